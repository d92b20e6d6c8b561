//! One file per subcommand: each turns its arguments into a result on standard output and an exit code.

mod completions;
mod explain;
mod inspect;
mod targets;

use crate::args::Command;
use crate::session::{Outcome, Session};

/// Runs a command.
pub(crate) fn run(session: &mut Session, command: Command) -> Outcome {
    match command {
        Command::Targets { action } => targets::run(session, &action),
        Command::Explain(args) => explain::run(session, &args),
        Command::Inspect(args) => inspect::run(session, &args),
        Command::Completions { shell } => completions::completions(shell),
        Command::Man { dir } => completions::man(session, dir.as_deref()),
        _ => unreachable!(),
    }
}
