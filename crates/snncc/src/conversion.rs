//! Trained networks: read from ONNX and Keras files, converted on calibration data.

use crate::conversion_args::{ConversionArgs, check_layers};
use crate::files::InputFile;
use crate::load::LoadedNetwork;
use crate::session::{Failure, Outcome, Session, file_name};
use crate::show::Source;
use crate::values::InputValue;
use indicatif::ProgressBar;
use snncc_convert::{CalibrationData, ConvertOptions, Converted, Progress, convert};
use snncc_data::{Coding, Samples};
use snncc_formats::data_files::read_samples;
use snncc_formats::ron_network::SpanIndex;
use snncc_formats::{keras, onnx};
use snncc_ids::{AnnNodeId, Diagnostic, Diagnostics, code, did_you_mean};
use snncc_ir::Network;
use snncc_ir::ann::Ann;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Mutex;

/// Samples of a conversion where nothing is said.
pub(crate) const SAMPLES: usize = 2000;
/// Steps that a conversion is made for where nothing is said.
pub(crate) const STEPS: u32 = 32;

/// A trained network with its file.
pub(crate) struct Model {
    pub(crate) ann: Ann,
    pub(crate) source: Source,
    /// Files read: (role, last part of the path, SHA-256). The model itself comes first.
    pub(crate) inputs: Vec<(String, String, String)>,
}

impl Model {
    /// The spiking network made of it, as if it had been read. The calibration data is left to the step that it serves next.
    pub(crate) fn spiking(&self, network: Network) -> LoadedNetwork {
        LoadedNetwork {
            network,
            source: self.source.clone(),
            spans: SpanIndex::default(),
            inputs: self.inputs.iter().filter(|(role, ..)| role != "calibration").cloned().collect(),
        }
    }
}

/// Whether a file is a trained network, by its name.
pub(crate) fn is_model(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| ["onnx", "keras", "h5", "hdf5"].contains(&extension.as_str()))
}

/// Reads a trained network.
///
/// # Errors
/// After the diagnostics have been shown.
pub(crate) fn read(session: &mut Session, path: &Path) -> Result<Model, Failure> {
    let file = InputFile::read(path).map_err(|problems| session.fail(problems, None))?;
    let source = Source { path: file.path.clone(), text: None };
    let mut inputs = vec![("model".to_owned(), file.name(), file.sha256())];
    let is_onnx = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
    let mut files: Vec<String> = Vec::new();
    let read = if is_onnx {
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut external = |location: &str, offset: u64, length: u64| {
            let path = folder.join(location);
            let bytes = read_range(&path, offset, length).map_err(|error| error.to_string())?;
            if !files.contains(&location.to_owned()) {
                files.push(location.to_owned());
            }
            Ok(bytes)
        };
        onnx::read_onnx(&file.name(), &file.bytes, &mut external)
    } else {
        keras::read_keras(&file.name(), &file.bytes)
    };
    let read = read.map_err(|problems| session.fail(problems, Some(&source)))?;
    session.say(read.warnings, Some(&source));
    let folder = path.parent().unwrap_or(Path::new(""));
    for location in files {
        let file =
            InputFile::read(&folder.join(&location)).map_err(|problems| session.fail(problems, Some(&source)))?;
        inputs.push(("tensors".to_owned(), file_name(&location), file.sha256()));
    }
    Ok(Model { ann: read.ann, source, inputs })
}

/// Part of a file. Lengths are checked before anything is allocated for them.
fn read_range(path: &Path, offset: u64, length: u64) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    if offset.checked_add(length).is_none_or(|end| end > size) {
        let message = format!("it has {size} bytes, and {length} from byte {offset} on are asked for");
        return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, message));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// What a conversion is asked for.
pub(crate) struct Request<'a> {
    pub(crate) args: &'a ConversionArgs,
    /// Calibration data, by input.
    pub(crate) calibrate: &'a [InputValue],
    /// Most samples of it.
    pub(crate) samples: usize,
    /// Steps that the network is corrected for.
    pub(crate) steps: u32,
    /// How the spiking network will be fed.
    pub(crate) coding: Option<Coding>,
    pub(crate) dt_s: Option<f64>,
    pub(crate) seed: u64,
    /// Share of the answers that stopping early may change; `None` for no rule.
    pub(crate) early_exit_changes: Option<f64>,
}

/// Converts a trained network, and shows what was not exact.
///
/// # Errors
/// After the diagnostics have been shown.
pub(crate) fn run(session: &mut Session, model: &mut Model, request: &Request<'_>) -> Outcome<Converted> {
    let converted = attempt(session, model, request);
    let converted = converted.map_err(|problems| session.fail(problems, Some(&model.source)))?;
    session.say(converted.prepared.warnings.clone(), Some(&model.source));
    Ok(converted)
}

/// As [`run`], and nothing is shown.
///
/// # Errors
/// What is wrong with the calibration data, or has no spiking form.
pub(crate) fn attempt(session: &Session, model: &mut Model, request: &Request<'_>) -> Result<Converted, Diagnostics> {
    let options = ConvertOptions {
        early_exit_changes: request.early_exit_changes,
        seed: request.seed,
        ..request.args.options(request.steps, request.dt_s)
    };
    request.args.check()?;
    let samples = samples(model, request)?;
    let by_port: Vec<&Samples> = samples.iter().collect();
    let coding = request.coding.unwrap_or(Coding::RateRounded);
    let data = CalibrationData::new(&model.ann, &by_port, request.samples, coding, request.seed)?;
    let bars = Bars { session, bar: Mutex::new(None) };
    let converted = convert(&model.ann, &data, &options, &bars);
    bars.clear();
    let converted = converted?;
    let nodes = converted.prepared.ann.nodes();
    let layers: Vec<&str> = converted.layers.iter().map(|layer| nodes[layer.node].name.as_str()).collect();
    check_layers(&options, &layers)?;
    Ok(converted)
}

/// The samples of each input.
fn samples(model: &mut Model, request: &Request<'_>) -> Result<Vec<Samples>, Diagnostics> {
    let ports: Vec<(AnnNodeId, String)> =
        model.ann.inputs().map(|id| (id, model.ann.nodes()[id].name.clone())).collect();
    let names: Vec<&str> = ports.iter().map(|(_, name)| name.as_str()).collect();
    if request.calibrate.is_empty() {
        let message = "a trained network is converted on calibration data, and none is given";
        let error = Diagnostic::error(code::CALIBRATION_NEEDED, message);
        return Err(error
            .help("add `--calibrate FILE` with 100 to 2,000 unlabelled samples of the training set")
            .into());
    }
    let mut found: Vec<Option<Samples>> = vec![None; ports.len()];
    for input in request.calibrate {
        let at = match &input.port {
            None if ports.len() == 1 => 0,
            None => {
                let message = format!("the network has {} inputs; say which the data is for", ports.len());
                return Err(Diagnostic::error(code::CALIBRATION_NEEDED, message)
                    .note(format!("inputs: {}", names.join(", ")))
                    .help("write --calibrate INPUT=FILE")
                    .into());
            }
            Some(port) => names.iter().position(|name| name == port).ok_or_else(|| {
                let error = Diagnostic::error(code::CALIBRATION_NEEDED, format!("the network has no input `{port}`"));
                match did_you_mean(port, names.iter().copied()) {
                    Some(guess) => error.help(format!("did you mean `{guess}`?")),
                    None => error.note(format!("inputs: {}", names.join(", "))),
                }
            })?,
        };
        let file = InputFile::read(&input.file)?;
        model.inputs.push(("calibration".to_owned(), file.name(), file.sha256()));
        found[at] = Some(read_samples(&file.name(), &file.bytes, None)?);
    }
    let missing = |at: usize| {
        Diagnostic::error(code::CALIBRATION_NEEDED, format!("no calibration data is given for input `{}`", names[at]))
    };
    found.into_iter().enumerate().map(|(at, samples)| samples.ok_or_else(|| missing(at).into())).collect()
}

/// A bar per stage of the conversion.
struct Bars<'a> {
    session: &'a Session,
    bar: Mutex<Option<ProgressBar>>,
}

impl Bars<'_> {
    fn clear(&self) {
        if let Some(bar) = self.bar.lock().expect("bug in snncc: a bar panicked").take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bars<'_> {
    fn begin(&self, stage: &str, total: usize) {
        self.clear();
        let bar = self.session.bar(stage, total as u64);
        *self.bar.lock().expect("bug in snncc: a bar panicked") = Some(bar);
    }

    fn advance(&self, parts: usize) {
        if let Some(bar) = &*self.bar.lock().expect("bug in snncc: a bar panicked") {
            bar.inc(parts as u64);
        }
    }
}
