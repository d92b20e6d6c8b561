//! Networks and targets from the names that the user gives.

use crate::files::InputFile;
use crate::session::{Failure, Session, file_name};
use crate::show::Source;
use snncc_chip::{HARDWARE_MODELS, HardwareModel, TARGETS, Target, TargetFile};
use snncc_formats::ron_network::{SpanIndex, read_network};
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_ir::Network;
use std::path::Path;

/// First bytes of an HDF5 file, which is what a `.nir` file is.
const HDF5_SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// A network with its file.
pub(crate) struct LoadedNetwork {
    pub(crate) network: Network,
    /// Path, and text where the file is text.
    pub(crate) source: Source,
    /// Places of items in the text.
    pub(crate) spans: SpanIndex,
    /// Files read: (role, last part of the path, SHA-256). The network itself comes first.
    pub(crate) inputs: Vec<(String, String, String)>,
}

impl LoadedNetwork {
    /// Stands for a network that could not be read, in the report that says so.
    pub(crate) fn unread(path: &Path) -> Self {
        let file = std::fs::read(path).ok();
        let sha256 = file.map_or(String::new(), |bytes| crate::files::sha256_hex(&bytes));
        let path = path.display().to_string();
        Self {
            network: Network::default(),
            inputs: vec![("network".to_owned(), file_name(&path), sha256)],
            source: Source { path, text: None },
            spans: SpanIndex::default(),
        }
    }

    /// Gives each diagnostic its place in the text.
    pub(crate) fn annotate(&self, diagnostics: Vec<Diagnostic>) -> Diagnostics {
        let mut diagnostics = Diagnostics(diagnostics);
        self.spans.annotate(&mut diagnostics);
        diagnostics
    }
}

/// Reads a network by its content: HDF5 is NIR, anything else RON. Shows what is wrong, and warnings.
///
/// # Errors
/// After the diagnostics have been shown.
pub(crate) fn network(session: &mut Session, path: &Path) -> Result<LoadedNetwork, Failure> {
    let file = InputFile::read(path).map_err(|problems| session.fail(problems, None))?;
    let mut source = file.source();
    let mut inputs = vec![("network".to_owned(), file.name(), file.sha256())];
    if file.bytes.starts_with(HDF5_SIGNATURE) {
        source.text = None;
        let read = snncc_formats::nir::read_nir(&file.bytes);
        let read = read.map_err(|problems| session.fail(problems, Some(&source)))?;
        session.say(read.warnings, Some(&source));
        return Ok(LoadedNetwork { network: read.network, source, spans: SpanIndex::default(), inputs });
    }
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("nir")) {
        let message = format!("`{}` is no NIR file: it does not begin like HDF5", file.path);
        return Err(session.fail(Diagnostic::error(code::NIR_STRUCTURE, message).into(), Some(&source)));
    }
    let text = file.text().map_err(|problems| {
        let mut problems = problems;
        for problem in &mut problems.0 {
            problem.help.push("networks are .ron (text) or .nir (HDF5) files".to_owned());
        }
        session.fail(problems, Some(&source))
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut read_tensors = |name: &str| {
        let file = std::fs::read(folder.join(name)).map_err(|error| error.to_string());
        if let Ok(bytes) = &file {
            inputs.push(("tensors".to_owned(), file_name(name), crate::files::sha256_hex(bytes)));
        }
        file
    };
    match read_network(text, &mut read_tensors) {
        Ok(parsed) => {
            session.say(parsed.warnings, Some(&source));
            Ok(LoadedNetwork { network: parsed.network, source, spans: parsed.spans, inputs })
        }
        Err(problems) => Err(session.fail(problems, Some(&source))),
    }
}

/// A target with the texts it was read from.
pub(crate) struct LoadedTarget {
    pub(crate) target: Target,
    pub(crate) target_text: String,
    pub(crate) model_text: String,
}

/// Whether a name means a file rather than a built-in target.
fn is_path(name: &str) -> bool {
    name.ends_with(".ron") || name.contains(['/', '\\'])
}

fn built_in(known: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    known.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Reads a target: a built-in one by name, or a file. A target file may name its hardware model by a path beside it.
///
/// # Errors
/// After the diagnostics have been shown.
pub(crate) fn target(session: &mut Session, name: &str) -> Result<LoadedTarget, Failure> {
    if !is_path(name) {
        let target = snncc_chip::target(name).map_err(|mut problems| {
            if Path::new(name).exists() {
                problems.0[0].help.push(format!("for a file, write ./{name}"));
            }
            session.fail(problems, None)
        })?;
        let text = |known, name: &str| built_in(known, name).unwrap_or_default().to_owned();
        let (target_text, model_text) = (text(TARGETS, name), text(HARDWARE_MODELS, &target.file.hardware));
        return Ok(LoadedTarget { target, target_text, model_text });
    }
    let file = InputFile::read(Path::new(name)).map_err(|problems| session.fail(problems, None))?;
    let source = file.source();
    let read = file.text().and_then(|text| TargetFile::from_ron(&stem(name), text).map(|file| (file, text)));
    let (target_file, target_text) = read.map_err(|problems| session.fail(problems, Some(&source)))?;
    let hardware = target_file.hardware.clone();
    let (model, model_text) = if is_path(&hardware) {
        let path = Path::new(name).parent().unwrap_or(Path::new("")).join(&hardware);
        let file = InputFile::read(&path).map_err(|problems| session.fail(problems, Some(&source)))?;
        let model = file.text().and_then(|text| HardwareModel::from_ron(&stem(&hardware), text));
        let model = model.map_err(|problems| session.fail(problems, Some(&file.source())))?;
        (model, file.text().unwrap_or_default().to_owned())
    } else {
        let model = snncc_chip::hardware_model(&hardware).map_err(|problems| session.fail(problems, Some(&source)))?;
        (model, built_in(HARDWARE_MODELS, &hardware).unwrap_or_default().to_owned())
    };
    let target_text = target_text.to_owned();
    let target = Target::new(target_file, model).map_err(|problems| session.fail(problems, Some(&source)))?;
    Ok(LoadedTarget { target, target_text, model_text })
}

/// Name of a file without folders and extension.
fn stem(path: &str) -> String {
    Path::new(path).file_stem().map_or(path.to_owned(), |stem| stem.to_string_lossy().into_owned())
}
