//! `snncc report`: shows a report again, from its file alone.

use crate::args::{ReportArgs, ReportFormat};
use crate::machine;
use crate::output::{FAILED, REPORT, read_report, run_folders};
use crate::session::{Outcome, Session, print};
use snncc_report::{Status, views};

/// Shows the report of a folder, with its latest run.
pub(crate) fn run(session: &mut Session, args: &ReportArgs) -> Outcome {
    session.json = args.json || args.format == ReportFormat::Json;
    if args.format == ReportFormat::Spinnaker {
        return machine::write_reports(session, &args.dir);
    }
    let mut report = read_report(&args.dir.join(REPORT)).map_err(|message| session.fail_files(&message))?;
    if !args.no_run {
        // The latest run in the emulator and the latest verification, whichever came last. Folders of runs that were
        // interrupted have no report.
        for (_, folder) in run_folders(&args.dir) {
            if let Ok(latest) = read_report(&folder.join(REPORT)) {
                report.run = latest.run.or(report.run);
                report.verification = latest.verification.or(report.verification);
            }
        }
    }
    print(&if session.json { report.to_json() } else { views::text(&report) });
    if args.dir.join(FAILED).is_dir() {
        let failed = args.dir.join(FAILED);
        session.note(&format!("a later compilation failed: see snncc report {}", failed.display()));
    }
    if report.status == Status::Compiled && report.run.is_none() && report.verification.is_none() {
        session.next(&format!("snncc emulate {} --input DATA", args.dir.display()));
    }
    Ok(0)
}
