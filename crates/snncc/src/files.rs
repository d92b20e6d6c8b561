//! Files in and hashes of them. Here, and only here, the command opens files that the user names.

use crate::session::file_name;
use crate::show::Source;
use sha2::{Digest, Sha256};
use snncc_ids::{Diagnostic, Diagnostics, code};
use std::path::Path;

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct InputFile {
    /// Path as the user gave it.
    pub(crate) path: String,
    /// Content.
    pub(crate) bytes: Vec<u8>,
}

impl InputFile {
    /// Reads a file.
    ///
    /// # Errors
    /// `SNN0101` with what the system says.
    pub(crate) fn read(path: &Path) -> Result<Self, Diagnostics> {
        let name = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => Ok(Self { path: name, bytes }),
            Err(error) => Err(unreadable(&name, &error).into()),
        }
    }

    /// Last part of the path.
    pub(crate) fn name(&self) -> String {
        file_name(&self.path)
    }

    /// SHA-256 of the content, in hex.
    pub(crate) fn sha256(&self) -> String {
        sha256_hex(&self.bytes)
    }

    /// What diagnostics show of this file.
    pub(crate) fn source(&self) -> Source {
        Source { path: self.path.clone(), text: std::str::from_utf8(&self.bytes).ok().map(Into::into) }
    }

    /// The content as text.
    ///
    /// # Errors
    /// `SNN0101` if it is not UTF-8.
    pub(crate) fn text(&self) -> Result<&str, Diagnostics> {
        std::str::from_utf8(&self.bytes).map_err(|error| {
            let message = format!("`{}` is no text: byte {} is not UTF-8", self.path, error.valid_up_to());
            Diagnostic::error(code::FILE_UNREADABLE, message).into()
        })
    }
}

/// `SNN0101` for a file that the system does not give.
pub(crate) fn unreadable(path: &str, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error(code::FILE_UNREADABLE, format!("`{path}` cannot be read: {error}"))
}

/// SHA-256 in hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
