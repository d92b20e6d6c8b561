//! The output folder: written beside its place under another name, then renamed, so that it is there whole or not at all.
//!
//! **Invariant:** files that snncc did not write are never deleted: a folder that is not one of its own is refused, and with
//! `--force` its files are carried over.

use crate::files::sha256_hex;
use crate::integers::{Integers, STRUCTURE, WEIGHTS};
use crate::machine::is_machine;
use serde::{Deserialize, Serialize};
use snncc_chip::{HardwareModel, HostCosts, Target, TargetFile};
use snncc_formats::ron_network::{read_network, write_network};
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_image::spinnaker::SpinnakerImage;
use snncc_image::{Image, PopulationSymbol};
use snncc_ir::{Graph, Network, PopulationRole};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The placement image.
pub(crate) const PROGRAM: &str = "program.snnbin";
/// The manifest: its presence makes a folder one of snncc's.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The report.
pub(crate) const REPORT: &str = "report.json";
/// What the host's arithmetic costs.
pub(crate) const HOST_COSTS_FILE: &str = "target/host.ron";
/// Reports in a form of other tools.
pub(crate) const REPORTS: &str = "reports";
/// What the command said.
pub(crate) const DIAGNOSTICS: &str = "diagnostics.jsonl";
/// Where a failed compilation leaves its report if the folder holds an earlier result.
pub(crate) const FAILED: &str = "failed";
/// Schema of the manifest.
const MANIFEST_SCHEMA: u32 = 1;
/// Tensors of more values than this go into the `.npz` file beside `network.ron`.
const INLINE_VALUES: usize = 32;

/// Entries of an output folder that belong to snncc.
fn is_own(name: &str) -> bool {
    const OWN: [&str; 12] = [
        MANIFEST,
        PROGRAM,
        REPORT,
        REPORTS,
        DIAGNOSTICS,
        FAILED,
        "network",
        "host",
        "quantized",
        "target",
        "tables",
        "ir",
    ];
    OWN.contains(&name) || run_number(name).is_some()
}

/// `run-001` is run 1.
fn run_number(name: &str) -> Option<u32> {
    name.strip_prefix("run-").filter(|digits| digits.len() >= 3)?.parse().ok()
}

/// What made an output folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Version of this file's schema.
    pub(crate) schema: u32,
    /// Version of snncc.
    pub(crate) snncc_version: String,
    /// `compiled` or `failed`.
    pub(crate) status: String,
    /// The command line.
    pub(crate) command: Vec<String>,
    /// Seed of the placer.
    pub(crate) seed: u64,
    /// Files read.
    pub(crate) inputs: Vec<InputEntry>,
    /// Name of the target.
    pub(crate) target: String,
    /// Name of the hardware model.
    pub(crate) model: String,
    /// SHA-256 of the hardware model's canonical form.
    pub(crate) model_sha256: String,
    /// Whether paths are padded with delay.
    pub(crate) align: bool,
    /// Whether loops may take longer on the chip.
    pub(crate) allow_loop_latency: bool,
    /// Whether neurons reset to a value where the network resets by subtraction.
    #[serde(default)]
    pub(crate) approximate_reset: bool,
    /// Layers that run on the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) host: Vec<String>,
    /// SHA-256 of the files that later commands rely on.
    pub(crate) files: BTreeMap<String, String>,
    /// Milliseconds of each stage, only with `--timings`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) timings_ms: Vec<(String, f64)>,
}

impl Manifest {
    /// A manifest without files.
    pub(crate) fn new(target: &Target, command: Vec<String>, seed: u64) -> Self {
        Self {
            schema: MANIFEST_SCHEMA,
            snncc_version: env!("CARGO_PKG_VERSION").to_owned(),
            status: "compiled".to_owned(),
            command,
            seed,
            inputs: Vec::new(),
            target: target.name().to_owned(),
            model: target.model.name.clone(),
            model_sha256: crate::files::hex(&target.model.hash()),
            align: true,
            allow_loop_latency: false,
            approximate_reset: false,
            host: Vec::new(),
            files: BTreeMap::new(),
            timings_ms: Vec::new(),
        }
    }

    /// As the text of `manifest.json`.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("bug in snncc: a manifest is always serializable") + "\n"
    }
}

/// A file that was read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InputEntry {
    /// `network`, `tensors`, `calibration`, `calibration labels`.
    pub(crate) role: String,
    /// Name without folders.
    pub(crate) file: String,
    /// SHA-256.
    pub(crate) sha256: String,
}

/// Folders being written, to be removed when the command is interrupted.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes unfinished folders.
pub(crate) fn remove_unfinished() {
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for folder in unfinished.drain(..) {
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// A folder under construction; dropped without [`OutputFolder::commit`] it leaves nothing.
pub(crate) struct OutputFolder {
    destination: PathBuf,
    temporary: PathBuf,
    /// Parent folders that did not exist before, innermost first.
    made: Vec<PathBuf>,
}

/// What already lies at the place of an output folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Nothing, or an empty folder.
    Nothing,
    /// A folder of snncc; whether it holds a compiled program.
    Own {
        /// Whether there is an image.
        compiled: bool,
    },
    /// Other files.
    Foreign,
}

/// Looks at the place of an output folder.
pub(crate) fn existing(destination: &Path) -> Existing {
    match std::fs::read_dir(destination) {
        Err(_) if destination.exists() => Existing::Foreign,
        Err(_) => Existing::Nothing,
        Ok(_) if destination.join(MANIFEST).is_file() => {
            Existing::Own { compiled: destination.join(PROGRAM).is_file() }
        }
        Ok(mut entries) => {
            if entries.next().is_none() {
                Existing::Nothing
            } else {
                Existing::Foreign
            }
        }
    }
}

impl OutputFolder {
    /// Begins a folder that will be at `destination`; parent folders are made.
    ///
    /// # Errors
    /// What is in the way, in words.
    pub(crate) fn begin(destination: &Path, force: bool) -> Result<Self, String> {
        let shown = destination.display();
        if destination.is_file() {
            return Err(format!("`{shown}` is a file; name a folder"));
        }
        if existing(destination) == Existing::Foreign && !force {
            return Err(format!(
                "`{shown}` holds files that are not snncc's; name another folder, or use --force to write among them"
            ));
        }
        let Some(name) = destination.file_name() else {
            return Err(format!("`{shown}` cannot be an output folder; name a new one"));
        };
        let parent = match destination.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => Path::new("."),
        };
        let problem = |error: std::io::Error| format!("`{shown}` cannot be written: {error}");
        let made = parent.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let made: Vec<PathBuf> = made.map(Path::to_owned).collect();
        std::fs::create_dir_all(parent).map_err(problem)?;
        let temporary = parent.join(format!(".{}.snncc-{}", name.to_string_lossy(), std::process::id()));
        if temporary.exists() {
            std::fs::remove_dir_all(&temporary).map_err(problem)?;
        }
        std::fs::create_dir(&temporary).map_err(problem)?;
        UNFINISHED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(temporary.clone());
        Ok(Self { destination: destination.to_owned(), temporary, made })
    }

    /// Writes a file of the folder; folders on the way are made.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<(), String> {
        write_file(&self.temporary.join(name), bytes.as_ref())
    }

    /// Puts the folder in its place: an older one is replaced, foreign files in it are carried over.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn commit(self) -> Result<(), String> {
        let problem = |error: std::io::Error| format!("`{}` cannot be replaced: {error}", self.destination.display());
        if !self.destination.exists() {
            return std::fs::rename(&self.temporary, &self.destination).map_err(problem);
        }
        let old = self.temporary.with_extension("old");
        std::fs::rename(&self.destination, &old).map_err(problem)?;
        if let Err(error) = std::fs::rename(&self.temporary, &self.destination) {
            let _ = std::fs::rename(&old, &self.destination);
            return Err(problem(error));
        }
        for entry in std::fs::read_dir(&old).map_err(problem)? {
            let entry = entry.map_err(problem)?;
            let name = entry.file_name();
            if !is_own(&name.to_string_lossy()) {
                std::fs::rename(entry.path(), self.destination.join(name)).map_err(problem)?;
            }
        }
        std::fs::remove_dir_all(&old).map_err(problem)
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        let mut unfinished = UNFINISHED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        unfinished.retain(|folder| *folder != self.temporary);
        let _ = std::fs::remove_dir_all(&self.temporary);
        // Only folders that are empty go: with a committed folder in them they stay.
        let _ = self.made.iter().try_for_each(std::fs::remove_dir);
    }
}

/// Writes a file; folders on the way are made.
///
/// # Errors
/// What the system says.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let write = || {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, bytes)
    };
    write().map_err(|error: std::io::Error| format!("`{}` cannot be written: {error}", path.display()))
}

/// Writes a file beside its place first, and moves it there when it is whole.
///
/// # Errors
/// What the system says.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error: std::io::Error| format!("`{}` cannot be written: {error}", path.display()))
}

/// Makes the next `run-NNN` folder of an output folder.
///
/// # Errors
/// What the system says.
pub(crate) fn next_run(folder: &Path) -> Result<PathBuf, String> {
    let last = run_folders(folder).last().map_or(0, |(number, _)| *number);
    for number in last + 1.. {
        let path = folder.join(format!("run-{number:03}"));
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            // Another run took the number.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("`{}` cannot be written: {error}", path.display())),
        }
    }
    Err("no number is left for a run".to_owned())
}

/// The `run-NNN` folders, by ascending number.
pub(crate) fn run_folders(folder: &Path) -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut runs: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((run_number(&entry.file_name().to_string_lossy())?, entry.path()))).collect();
    runs.sort();
    runs
}

/// The files of a network's folder: `network` for the whole one, `host` for the host's part.
pub(crate) fn network_files(folder: &str, network: &Network) -> Vec<(String, Vec<u8>)> {
    let written = write_network(network, "network.npz", INLINE_VALUES);
    let mut files = vec![(format!("{folder}/network.ron"), written.text.into_bytes())];
    files.extend(written.files.into_iter().map(|(name, bytes)| (format!("{folder}/{name}"), bytes)));
    files
}

/// A placement image of either family of chips.
pub(crate) enum AnyImage {
    Compartments(Image),
    Spinnaker(SpinnakerImage),
}

impl AnyImage {
    /// Reads an image for a chip of the target's kind.
    ///
    /// # Errors
    /// `SNN0109` for one that is damaged, `SNN0701` for one of another kind of chip.
    pub(crate) fn from_bytes(bytes: &[u8], target: &Target) -> Result<Self, Diagnostics> {
        match is_machine(target) {
            true => SpinnakerImage::from_bytes(bytes).map(Self::Spinnaker),
            false => Image::from_bytes(bytes).map(Self::Compartments),
        }
    }

    /// Populations of neurons; of a SpiNNaker-like machine a compartment is the index of a neuron on its core.
    pub(crate) fn populations(&self) -> &[PopulationSymbol] {
        match self {
            Self::Compartments(image) => &image.populations,
            Self::Spinnaker(image) => &image.populations,
        }
    }

    /// Elements of an input.
    fn input_len(&self, name: &str) -> Option<usize> {
        match self {
            Self::Compartments(image) => {
                image.inputs.iter().find(|port| port.name == name).map(|port| port.axons.rows())
            }
            Self::Spinnaker(image) => image
                .inputs
                .iter()
                .find(|port| port.name == name)
                .map(|port| port.injectors.iter().map(|(_, elements)| *elements as usize).sum()),
        }
    }
}

/// A compiled output folder.
pub(crate) struct Opened {
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Manifest,
    pub(crate) target: Target,
    pub(crate) image: AnyImage,
}

impl Opened {
    /// Opens an output folder and its program.
    ///
    /// # Errors
    /// `SNN0101` for a folder that is none of ours, or lacks a file; `SNN0108` for one of another schema; what the readers of
    /// target and hardware model say; `SNN0109` for a program that is damaged, `SNN0701` for one of another kind of chip.
    pub(crate) fn open(folder: &Path) -> Result<Self, Diagnostics> {
        let shown = folder.display();
        let unreadable = |message: String| Diagnostic::error(code::FILE_UNREADABLE, message);
        let text = |name: &str| {
            std::fs::read_to_string(folder.join(name))
                .map_err(|error| unreadable(format!("`{shown}/{name}` cannot be read: {error}")))
        };
        let manifest = text(MANIFEST).map_err(|error| {
            error
                .note(format!("the {MANIFEST} makes a folder one of snncc's"))
                .help("name the folder that `snncc compile` wrote")
        })?;
        let manifest: Manifest = serde_json::from_str(&manifest)
            .map_err(|error| unreadable(format!("`{shown}/{MANIFEST}` is damaged: {error}")))?;
        if manifest.schema != MANIFEST_SCHEMA {
            let message = format!(
                "`{shown}` has schema {} of the output folder; this version reads {MANIFEST_SCHEMA}",
                manifest.schema
            );
            return Err(Diagnostic::error(code::UNSUPPORTED_VERSION, message).into());
        }
        if manifest.status != "compiled" {
            let message = format!("`{shown}` holds a failed compilation, no program");
            return Err(unreadable(message).help(format!("see `snncc report {shown}`")).into());
        }
        let file = TargetFile::from_ron(&manifest.target, &text("target/target.ron")?)?;
        let model = HardwareModel::from_ron(&manifest.model, &text("target/hardware-model.ron")?)?;
        let target = Target::new(file, model)?;
        let path = folder.join(PROGRAM);
        let bytes = std::fs::read(&path)
            .map_err(|error| unreadable(format!("`{}` cannot be read: {error}", path.display())))?;
        let image = AnyImage::from_bytes(&bytes, &target)?;
        Ok(Self { folder: folder.to_owned(), manifest, target, image })
    }

    /// A file whose hash the manifest holds.
    fn hashed(&self, name: &str) -> Result<Vec<u8>, String> {
        let path = self.folder.join(name);
        let bytes = std::fs::read(&path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
        match self.manifest.files.get(name) {
            Some(expected) if *expected == sha256_hex(&bytes) => Ok(bytes),
            _ => Err(format!("`{}` is not as it was compiled: its SHA-256 differs from {MANIFEST}", path.display())),
        }
    }

    /// The network as compiled; where layers run on the host, with these.
    ///
    /// # Errors
    /// Which file is missing or was changed.
    pub(crate) fn network(&self) -> Result<Network, String> {
        self.network_in("network")
    }

    /// The host's part of the network, where layers run on the host.
    ///
    /// # Errors
    /// Which file is missing or was changed.
    pub(crate) fn host_network(&self) -> Result<Option<Network>, String> {
        if self.manifest.host.is_empty() { Ok(None) } else { self.network_in("host").map(Some) }
    }

    fn network_in(&self, folder: &str) -> Result<Network, String> {
        let text = String::from_utf8(self.hashed(&format!("{folder}/network.ron"))?);
        let text = text.map_err(|error| error.to_string())?;
        let parsed = read_network(&text, &mut |name: &str| self.hashed(&format!("{folder}/{name}")));
        parsed.map(|parsed| parsed.network).map_err(|problems| format!("{folder}/network.ron: {problems}"))
    }

    /// What the host's arithmetic costs; `None` in folders of a version that did not say.
    ///
    /// # Errors
    /// Which file is missing or was changed.
    pub(crate) fn host_costs(&self) -> Result<Option<HostCosts>, String> {
        if !self.manifest.files.contains_key(HOST_COSTS_FILE) {
            return Ok(None);
        }
        let text = String::from_utf8(self.hashed(HOST_COSTS_FILE)?).map_err(|error| error.to_string())?;
        HostCosts::from_ron(&text).map(Some).map_err(|problems| format!("{HOST_COSTS_FILE}: {problems}"))
    }

    /// The integer IR.
    ///
    /// # Errors
    /// Which file is missing or was changed; what does not belong to the image.
    pub(crate) fn quantized(&self) -> Result<Integers, String> {
        let text = String::from_utf8(self.hashed(STRUCTURE)?).map_err(|error| error.to_string())?;
        let integers = Integers::read(is_machine(&self.target), &text, &self.hashed(WEIGHTS)?);
        integers
            .and_then(|integers| self.belongs_to_image(integers.graph()).map(|()| integers))
            .map_err(|error| format!("`{}/quantized` is damaged: {error}", self.folder.display()))
    }

    /// Whether populations are those of the image.
    fn belongs_to_image(&self, graph: &Graph) -> Result<(), String> {
        graph.populations.iter().try_for_each(|population| {
            let symbol = self.image.populations().iter().find(|symbol| symbol.name == population.name);
            if symbol.is_some_and(|symbol| symbol.latency_steps != population.latency_steps) {
                return Err(format!("`{}` has another latency than in the image", population.name));
            }
            let placed = match population.role {
                PopulationRole::Input => self.image.input_len(&population.name),
                PopulationRole::Neurons => symbol.map(|symbol| symbol.locations.len()),
            };
            match placed {
                Some(placed) if placed == population.len() => Ok(()),
                Some(placed) => {
                    Err(format!("`{}` has {} members, in the image {placed}", population.name, population.len()))
                }
                None => Err(format!("`{}` is not in the image", population.name)),
            }
        })
    }

    /// The report of the compilation.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub(crate) fn report(&self) -> Result<snncc_report::ReportData, String> {
        read_report(&self.folder.join(REPORT))
    }
}

/// Reads a report.
///
/// # Errors
/// If it is missing or damaged.
pub(crate) fn read_report(path: &Path) -> Result<snncc_report::ReportData, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
    let report = snncc_report::ReportData::from_json(&text)
        .map_err(|error| format!("`{}` is no report: {error}", path.display()))?;
    report.check_totals().map_err(|error| format!("`{}` was changed: {error}", path.display()))?;
    Ok(report)
}

#[cfg(test)]
mod tests;
