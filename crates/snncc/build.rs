//! Embeds the pages of `docs/errors/` for `snncc explain`.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pages: Vec<_> = fs::read_dir(&folder)
        .expect("docs/errors/ is part of the project")
        .map(|entry| entry.expect("docs/errors/ is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    let mut table = String::from("&[\n");
    for page in pages {
        println!("cargo::rerun-if-changed={}", page.display());
        let name = page.file_stem().expect("a page has a name").to_string_lossy().into_owned();
        let page = page.canonicalize().expect("a page that was listed exists");
        writeln!(table, "    ({name:?}, include_str!({:?})),", page.display().to_string()).expect("strings grow");
    }
    table.push_str("]\n");
    let out = Path::new(&env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("error_pages.rs");
    fs::write(out, table).expect("OUT_DIR is writable");
}
