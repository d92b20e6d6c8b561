//! The golden suite: every vector, through every way to run a network; one line a file.
//!
//! The files are those of `tests/golden/loihi`, or of the folder in `SNNCC_LOIHI_VECTORS`. With arguments, only files whose
//! names contain one of them.

use snncc_tests::golden::{Case, GoldenFile, parse};
use snncc_tests::observed::Observed;
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

fn main() -> ExitCode {
    let folder = std::env::var_os("SNNCC_LOIHI_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/loihi"), PathBuf::from);
    // Flags are those of cargo's own harness.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut paths: Vec<PathBuf> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries.filter_map(|entry| entry.ok()).map(|entry| entry.path()).collect(),
        Err(error) => {
            println!("{}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    };
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".json")
            && name != "MANIFEST.json"
            && (wanted.is_empty() || wanted.iter().any(|part| name.contains(part)))
    });
    paths.sort();
    let (mut passed, mut failed) = (0, 0);
    for path in &paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match check(path) {
            Ok(what) => {
                passed += 1;
                println!("ok      {name}: {what}");
            }
            Err(fault) => {
                failed += 1;
                println!("FAILED  {name}: {fault}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && (passed > 0 || !wanted.is_empty()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
