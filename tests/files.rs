//! The file suite: one test for each network in `tests/suite`, see [`snncc_tests::suite`] for what a file may order.

use libtest_mimic::{Arguments, Failed, Trial};
use snncc_tests::suite::check_file;
use std::path::{Path, PathBuf};

fn networks(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
    entries.sort();
    for path in entries {
        // Folders named `files` hold what networks refer to.
        if path.is_dir() && !path.ends_with("files") {
            networks(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "ron") {
            into.push(path);
        }
    }
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite");
    let mut paths = Vec::new();
    networks(&root, &mut paths);
    let trial = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
        Trial::test(name, move || check_file(&path).map_err(Failed::from))
    };
    libtest_mimic::run(&Arguments::from_args(), paths.into_iter().map(trial).collect()).exit();
}
