//! The zip archive of a `.keras` file.
//!
//! **Invariant:** a member takes no more memory than it declares, than [`MAX_WEIGHTS_BYTES`], and than a documented multiple
//! of the file.

use super::MAX_CONFIG_BYTES;
use std::io::{Cursor, Read};

/// Largest weights file that is read: 2 GiB ...
const MAX_WEIGHTS_BYTES: u64 = 2 << 30;
/// ... and at most this much beyond ...
const FREE_BYTES: u64 = 64 << 20;
/// ... a multiple of the archive. Keras stores without compression, and real weights don't compress as much.
const MAX_EXPANSION: u64 = 64;
/// Metadata are two short fields.
const MAX_METADATA_BYTES: u64 = 64 << 10;

/// The members of the archive that matter.
pub(super) struct Members {
    /// `config.json`
    pub config: Vec<u8>,
    /// `metadata.json`
    pub metadata: Option<Vec<u8>>,
    /// `model.weights.h5`
    pub weights: Vec<u8>,
}

/// Whether the bytes start as a zip archive.
pub(super) fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Reads the members, stored or deflated.
///
/// # Errors
/// If the archive is damaged, lacks a member, or one is larger than the limits.
pub(super) fn read(bytes: &[u8]) -> Result<Members, String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| format!("no readable zip: {error}"))?;
    let names: Vec<String> = archive.file_names().filter_map(|name| Some(name.ok()?.to_string())).take(20).collect();
    let limit = MAX_WEIGHTS_BYTES.min(FREE_BYTES + MAX_EXPANSION * bytes.len() as u64);
    let required = |name: &str, member: Option<Vec<u8>>| {
        member.ok_or_else(|| format!("the archive has no `{name}` (it has: {})", names.join(", ")))
    };
    let config = required("config.json", member(&mut archive, "config.json", MAX_CONFIG_BYTES)?)?;
    let metadata = member(&mut archive, "metadata.json", MAX_METADATA_BYTES)?;
    let weights = required("model.weights.h5", member(&mut archive, "model.weights.h5", limit)?)?;
    Ok(Members { config, metadata, weights })
}

fn member(archive: &mut zip::ZipArchive<Cursor<&[u8]>>, name: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
    let Some(index) = archive.index_for_name(name) else { return Ok(None) };
    let member = archive.by_index(index).map_err(|error| format!("member `{name}` cannot be read: {error}"))?;
    let declared = member.size();
    if declared > limit {
        return Err(format!("member `{name}` claims {declared} bytes, more than the limit of {limit}"));
    }
    let mut contents = Vec::new();
    let read = member.take(declared.saturating_add(1)).read_to_end(&mut contents);
    read.map_err(|error| format!("member `{name}`: {error}"))?;
    if contents.len() as u64 != declared {
        return Err(format!("member `{name}` has not the {declared} bytes that the directory says"));
    }
    Ok(Some(contents))
}
