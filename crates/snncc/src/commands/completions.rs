//! `snncc completions` and `snncc man`: made from the command line's own definition.

use crate::args::Cli;
use crate::output::write_file;
use crate::session::{Outcome, Session, print};
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// Prints the completion script of a shell.
pub(crate) fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "snncc", &mut script);
    print(&String::from_utf8_lossy(&script));
    Ok(0)
}

fn page(command: clap::Command) -> Vec<u8> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).expect("bug in snncc: a page is rendered into memory");
    page
}

/// Prints the page of the command itself, or writes one per command.
pub(crate) fn man(session: &mut Session, folder: Option<&Path>) -> Outcome {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = folder else {
        print(&String::from_utf8_lossy(&page(command)));
        return Ok(0);
    };
    let mut pages = vec![("snncc".to_owned(), command.clone())];
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let name = format!("snncc-{}", sub.get_name());
        pages.push((name.clone(), sub.clone().name(name)));
    }
    for (name, command) in pages {
        let path = folder.join(format!("{name}.1"));
        write_file(&path, &page(command)).map_err(|message| session.fail_files(&message))?;
        session.note(&path.display().to_string());
    }
    Ok(0)
}
