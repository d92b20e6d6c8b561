//! The command: compiler, emulator and verifier for neuromorphic chips.
//!
//! `args` names the flags, `commands` has one file per subcommand, `session` holds what was said and how, `output` writes
//! folders, `report` fills reports. **Invariant:** results go to standard output and nothing else does.

mod args;
mod calibrate;
mod chip;
mod commands;
mod compilation;
mod conversion;
mod conversion_args;
mod data;
mod early_exit;
mod evaluation;
mod files;
mod host;
mod integers;
mod ledger_args;
mod link_sums;
mod load;
mod machine;
mod machine_image;
mod machine_reports;
mod machine_text;
mod network_sums;
mod output;
mod report;
mod running;
mod session;
mod show;
mod stage_text;
mod sums;
mod values;

use args::Cli;
use clap::Parser;
use session::{Session, exit};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether Ctrl-C was pressed while a command that can stop early was running.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Whether the running command watches [`INTERRUPTED`] and keeps partial results.
static STOPS_EARLY: AtomicBool = AtomicBool::new(false);

/// Whether, from here on, the command stops by itself after Ctrl-C; a second one ends it at once.
pub(crate) fn stop_early_when_interrupted(stops: bool) {
    STOPS_EARLY.store(stops, Ordering::Relaxed);
}

/// Whether the user wants the command to stop.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

fn interrupt() {
    if STOPS_EARLY.load(Ordering::Relaxed) && !INTERRUPTED.swap(true, Ordering::Relaxed) {
        eprintln!("interrupted: finishing what runs; again to stop at once");
        return;
    }
    output::remove_unfinished();
    std::process::exit(exit::INTERRUPTED.into());
}

/// A panic is a bug of snncc: says so, and how to report it.
fn report_bugs() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        default(panic);
        let command: Vec<String> = std::env::args().collect();
        eprintln!(
            "\nThis is a bug in snncc {}. Please report it with the message above, this command line and, if you can,\n\
             the files it names:\n  {}",
            env!("CARGO_PKG_VERSION"),
            command.join(" ")
        );
        output::remove_unfinished();
        // A panic in a worker thread must end the command as well.
        std::process::exit(exit::BUG.into());
    }));
}

fn main() -> ExitCode {
    report_bugs();
    let cli = Cli::parse();
    // Without a handler, Ctrl-C ends the process as the system does: still an interruption.
    let _ = ctrlc::set_handler(interrupt);
    if let Some(jobs) = cli.global.jobs {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.into());
        pool.build_global().expect("bug in snncc: the thread pool is built once");
    }
    let mut session = Session::new(cli.global);
    let code = match commands::run(&mut session, cli.command) {
        Ok(code) => session.finish(code),
        Err(failure) => failure.exit,
    };
    ExitCode::from(code)
}
