//! `snncc emulate`: a compiled network on data, in the emulator.
//!
//! Spikes are counted in network steps: of a population with latency ℓ, those of the chip steps 1 + ℓ to N + ℓ. What the
//! chip does beyond (layers run on while the last steps pass to the output) is in its totals.

mod summary;
mod traces;

pub(crate) use traces::in_network_steps;

use crate::args::EmulateArgs;
use crate::chip::ChipEmulator;
use crate::commands::verify::{compare_integers, mismatches};
use crate::early_exit::{Watch, Watched};
use crate::interrupted;
use crate::output::{REPORT, write_file};
use crate::running::{Running, prediction, results_folder, run_samples, warn};
use crate::session::{Failure, Outcome, Session, exit, pretty, print, print_json};
use crate::sums::RunSums;
use snncc_ids::Diagnostic;
use snncc_report::{Table, count_text};
use snncc_verify::Verification;
use std::sync::Mutex;
use summary::Summary;

/// What is kept of a sample besides its part of the sums.
pub(crate) struct Sample {
    class: Option<u32>,
    watched: Watched,
    warnings: Vec<Diagnostic>,
}

/// Runs a compiled network.
pub(crate) fn run(session: &mut Session, args: &EmulateArgs) -> Outcome {
    session.json = args.json;
    let running = Running::open(session, &args.dir, &args.data)?.timed(session, &args.timing)?;
    let watch = Watch::new(session, &running, args)?;
    let chip_steps = running.chip_steps();
    let mut recording = running.recording(chip_steps);
    watch.iter().for_each(|watch| watch.record(&mut recording));
    let sums = Mutex::new(RunSums::default());
    let run = |emulator: &mut ChipEmulator<'_>, sample: usize| {
        let result = running.run_sample(emulator, sample, chip_steps, &recording, watch.as_ref())?;
        sums.lock().expect("bug in snncc: a run panicked").add(sample, &result);
        let warnings = result.run.warnings(&running.program);
        Ok(Sample { class: result.class, watched: result.watched, warnings })
    };
    let samples = run_samples(session, running.data.count, || running.program.emulator(), run)?;
    if samples.is_empty() {
        return Ok(exit::INTERRUPTED);
    }
    let sums = sums.into_inner().expect("bug in snncc: a run panicked");
    warn(session, samples.iter().map(|(number, sample)| (*number, &sample.warnings[..])));
    let checked = check(session, &running, if interrupted() { 0 } else { args.check_samples })?;
    let folder = results_folder(session, &running.opened.folder, args.output.as_ref())?;
    let mut report = running.opened.report().map_err(|message| session.fail_files(&message))?;
    let summary = Summary::new(&running, &sums, &samples, chip_steps, &report.layers, watch.as_ref());
    let json = summary.json(interrupted(), checked.as_ref());
    report.run = Some(summary.section());
    debug_assert_eq!(report.check_totals(), Ok(()));
    let write = || -> Result<(), String> {
        write_file(&folder.join("counters.json"), pretty(&json).as_bytes())?;
        write_file(&folder.join(REPORT), report.to_json().as_bytes())?;
        write_file(&folder.join("predictions.csv"), predictions(&running, &samples).as_bytes())?;
        for sample in 0..args.trace_samples.min(running.data.count) {
            traces::write(&running, &args.trace, sample, chip_steps, &folder)?;
        }
        Ok(())
    };
    write().map_err(|message| session.fail_files(&message))?;
    if args.json {
        print_json(&json);
    } else {
        print(&summary.text(&args.dir, &folder));
        if let Some(checked) = checked.as_ref().filter(|checked| mismatches(checked) == 0) {
            let samples = count_text(checked.samples.into(), "samples");
            print(&format!("first {samples}: equal to the integer reference in every spike\n"));
        }
        if interrupted() {
            print(&format!("interrupted: these are {} of {} samples\n", samples.len(), running.data.count));
        }
    }
    let problems = checked.map(|checked| checked.diagnostics()).unwrap_or_default();
    if let Some(problem) = problems.first() {
        let exit = problem.code.exit();
        session.say(problems, None);
        return Err(Failure { exit });
    }
    session.next(&format!("snncc report {}", args.dir.display()));
    Ok(if interrupted() { exit::INTERRUPTED } else { 0 })
}

/// Compares the first samples with the integer reference; `None` if none were to be, or the integer IR is not to be had.
fn check(session: &mut Session, running: &Running, samples: usize) -> Result<Option<Verification>, Failure> {
    if samples == 0 {
        return Ok(None);
    }
    match running.compiled() {
        Ok(compiled) => compare_integers(session, running, compiled, samples).map(Some),
        Err(message) => {
            session.note(&format!("note: no sample was compared with the integer reference: {message}"));
            Ok(None)
        }
    }
}

fn predictions(running: &Running, samples: &[(usize, Sample)]) -> String {
    let stops_early = samples.iter().any(|(_, sample)| sample.watched.exit.is_some());
    let columns: &[&str] = if stops_early { &["exit_step", "exit_class"] } else { &[] };
    let mut table = Table::new(&[&["sample", "label", "class"], columns].concat());
    for (number, sample) in samples {
        let mut row = prediction(&running.data, *number, sample.class);
        let exited = sample.watched.exit.iter();
        row.extend(exited.flat_map(|exited| [exited.exit.step, exited.exit.class].map(|number| number.to_string())));
        table.row(row);
    }
    table.csv()
}

/// The coding's name on the command line.
pub(crate) fn coding_name(coding: snncc_data::Coding) -> &'static str {
    match coding {
        snncc_data::Coding::ConstantCurrent => "constant",
        other => other.name(),
    }
}
