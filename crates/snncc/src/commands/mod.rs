//! One file per subcommand: each turns its arguments into a result on standard output and an exit code.

mod check;
pub(crate) mod compile;
mod completions;
mod convert;
mod demo;
mod emulate;
mod explain;
mod inspect;
mod ledger;
mod report;
mod sanafe;
mod sweep;
mod targets;
pub(crate) mod verify;

use crate::args::Command;
use crate::session::{Outcome, Session};

/// Runs a command.
pub(crate) fn run(session: &mut Session, command: Command) -> Outcome {
    match command {
        Command::Demo(args) => demo::run(session, &args),
        Command::Check(args) => check::run(session, &args),
        Command::Convert(args) => convert::run(session, &args),
        Command::Compile(args) => compile::run(session, &args),
        Command::Emulate(args) => emulate::run(session, &args),
        Command::Verify(args) => verify::run(session, &args),
        Command::Ledger(args) => ledger::run(session, &args),
        Command::Sweep(args) => sweep::run(session, &args),
        Command::Report(args) => report::run(session, &args),
        Command::Targets { action } => targets::run(session, &action),
        Command::Explain(args) => explain::run(session, &args),
        Command::Inspect(args) => inspect::run(session, &args),
        Command::Completions { shell } => completions::completions(shell),
        Command::Man { dir } => completions::man(session, dir.as_deref()),
    }
}
