//! The golden suite: every vector, through every way to run a network; one line a file.
//!
//! The files are those of `tests/golden/loihi`, or of the folder in `SNNCC_LOIHI_VECTORS`, and those of `tests/golden/spinnaker`, or
//! of the folder in `SNNCC_SPINNAKER_VECTORS`: vectors in its folders `trunc` and `round`, memory words in `synblocks`, or vectors of
//! the released arithmetic in the folder itself. With arguments, only those whose names contain one of them.

use snncc_tests::golden::{Case, GoldenFile, parse};
use snncc_tests::observed::Observed;
use snncc_tests::spinnaker_golden::{self as spinnaker, Row, VARIANTS, Vector};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A way to run a case.
type Run = fn(&Case) -> Result<Vec<Observed>, String>;

/// Every way, by name.
const WAYS: &[(&str, Run)] =
    &[("integer reference", Case::run_reference), ("image on the emulator", Case::run_emulator)];

fn check(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let case = match parse(&text)? {
        GoldenFile::Network(case) => *case,
        GoldenFile::Quantizer(quantizer) => {
            quantizer.compare_quantizer().map_err(|difference| format!("quantizer: {difference}"))?;
            quantizer.case()?
        }
    };
    for (name, run) in WAYS {
        let observed = run(&case).map_err(|fault| format!("{name}: {fault}"))?;
        case.compare(&observed).map_err(|difference| format!("{name}: {difference}"))?;
    }
    let spikes: u64 = case.expected.iter().map(|expected| expected.spikes.spike_count()).sum();
    let ways: Vec<&str> = WAYS.iter().map(|(name, _)| *name).collect();
    let (engine, steps, neurons) = (&case.engine, case.steps, case.neurons());
    Ok(format!("{engine}, {steps} steps, {neurons} neurons, {spikes} spikes: {} agree", ways.join(" and ")))
}

/// A way to run a vector of a SpiNNaker program.
type Replay = fn(&Vector, bool) -> Result<Vec<Row>, String>;

/// Every way, by name.
const REPLAYS: &[(&str, Replay)] =
    &[("integer reference", spinnaker::run_reference), ("image on the emulator", spinnaker::run_emulator)];

fn check_spinnaker(vector: &Vector, rounded: bool) -> Result<String, String> {
    for (name, run) in REPLAYS {
        let rows = run(vector, rounded).map_err(|fault| format!("{name}: {fault}"))?;
        spinnaker::compare(vector, &rows).map_err(|difference| format!("{name}: {difference}"))?;
    }
    let spikes = vector.rows.iter().filter(|row| row.spike).count();
    let ways: Vec<&str> = REPLAYS.iter().map(|(name, _)| *name).collect();
    Ok(format!("{} steps, {spikes} spikes: {} agree", vector.rows.len(), ways.join(" and ")))
}

/// Lines of the suite.
#[derive(Default)]
struct Lines {
    wanted: Vec<String>,
    passed: usize,
    failed: usize,
}

impl Lines {
    fn wants(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|part| name.contains(part))
    }

    fn say(&mut self, name: &str, result: Result<String, String>) {
        match result {
            Ok(what) => {
                self.passed += 1;
                println!("ok      {name}: {what}");
            }
            Err(fault) => {
                self.failed += 1;
                println!("FAILED  {name}: {fault}");
            }
        }
    }
}

/// The folder in an environment variable.
fn folder(variable: &str, own: &str) -> PathBuf {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join(own);
    std::env::var_os(variable).map_or_else(own, PathBuf::from)
}

/// Files of a folder with a name that ends in `.json`, sorted.
fn json_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok()).map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn loihi(lines: &mut Lines) -> Result<(), String> {
    for path in json_files(&folder("SNNCC_LOIHI_VECTORS", "golden/loihi"))? {
        let name = name_of(&path);
        if name != "MANIFEST.json" && lines.wants(&name) {
            lines.say(&name, check(&path));
        }
    }
    Ok(())
}

fn spinnaker(lines: &mut Lines) -> Result<(), String> {
    let folder = folder("SNNCC_SPINNAKER_VECTORS", "golden/spinnaker");
    let mut found = false;
    let places = VARIANTS.map(|(variant, rounded)| (folder.join(variant), variant, rounded));
    for (place, variant, rounded) in places.into_iter().chain([(folder.clone(), "", false)]) {
        if !place.join("index.json").is_file() {
            continue;
        }
        found = true;
        for (name, vector) in spinnaker::vectors(&place).map_err(|fault| format!("{}: {fault}", place.display()))? {
            let name = format!("{variant}/{name}");
            if lines.wants(&name) {
                lines.say(&name, vector.and_then(|vector| check_spinnaker(&vector, rounded)));
            }
        }
    }
    let blocks = folder.join("synblocks");
    if blocks.is_dir() {
        found = true;
        for path in json_files(&blocks)? {
            let name = format!("synblocks/{}", name_of(&path));
            if lines.wants(&name) {
                let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
                lines.say(&name, text.and_then(|text| spinnaker::check_block(&text)));
            }
        }
    }
    let nothing = || format!("{}: no `trunc/index.json`, `round/index.json` or `synblocks`", folder.display());
    if found { Ok(()) } else { Err(nothing()) }
}

fn main() -> ExitCode {
    // Flags are those of cargo's own harness.
    let wanted = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut lines = Lines { wanted, ..Lines::default() };
    for suite in [loihi, spinnaker] {
        let before = lines.passed + lines.failed;
        if let Err(fault) = suite(&mut lines) {
            println!("{fault}");
            lines.failed += 1;
        } else if lines.passed + lines.failed == before && lines.wanted.is_empty() {
            println!("a folder has no vectors");
            lines.failed += 1;
        }
    }
    println!("{} passed, {} failed", lines.passed, lines.failed);
    if lines.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
