//! `snncc report`: shows a report again, from its file alone.

use crate::args::{ReportArgs, ReportFormat};
use crate::output::{FAILED, REPORT, read_report, run_folders};
use crate::session::{Failure, Outcome, Session, exit};
use snncc_report::views;

/// Shows the report of a folder, with its latest run.
pub(crate) fn run(session: &mut Session, args: &ReportArgs) -> Outcome {
    session.json = args.json || args.format == ReportFormat::Json;
    // A run's report holds the compilation's too; runs without one (interrupted before it was written) are passed over.
    let latest = run_folders(&args.dir).into_iter().rev().find(|(_, folder)| folder.join(REPORT).is_file());
    let path = match latest {
        Some((_, folder)) if !args.no_run => folder.join(REPORT),
        _ => args.dir.join(REPORT),
    };
    let report = read_report(&path).map_err(|message| {
        eprintln!("error: {message}");
        Failure { exit: exit::INPUT }
    })?;
    if session.json {
        print!("{}", report.to_json());
    } else {
        print!("{}", views::text(&report));
    }
    if args.dir.join(FAILED).is_dir() {
        let failed = args.dir.join(FAILED);
        session.note(&format!("a later compilation failed: see snncc report {}", failed.display()));
    }
    if report.run.is_none() && report.verification.is_none() {
        session.next(&format!("snncc emulate {} --input DATA", args.dir.display()));
    }
    Ok(0)
}
