//! Rules about the tree itself: who may use whom, every code has its page and its test, chips are data.

use snncc_ids::ALL_CODES;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the project").to_path_buf()
}

fn files(folder: &Path, extension: &str, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.ends_with("target") {
            files(&path, extension, into);
        } else if path.extension().is_some_and(|found| found == extension) {
            into.push(path);
        }
    }
}

fn rust_sources() -> Vec<(PathBuf, String)> {
    let mut paths = Vec::new();
    files(&root().join("crates"), "rs", &mut paths);
    files(&root().join("tests"), "rs", &mut paths);
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The table of docs/ARCHITECTURE.md. A new edge is a design decision: change the table and the document together.
const EDGES: &[(&str, &[&str])] = &[
    ("snncc-ids", &[]),
    ("snncc-data", &["snncc-ids"]),
    ("snncc-ir", &["snncc-ids"]),
    ("snncc-chip", &["snncc-ids"]),
    ("snncc-image", &["snncc-ids"]),
    ("snncc-formats", &["snncc-data", "snncc-ids", "snncc-ir"]),
    ("snncc-reference", &["snncc-chip", "snncc-data", "snncc-ids", "snncc-ir"]),
    ("snncc-compile", &["snncc-chip", "snncc-ids", "snncc-image", "snncc-ir", "snncc-multicast"]),
    ("snncc-convert", &["snncc-data", "snncc-ids", "snncc-ir", "snncc-reference"]),
    ("snncc-emu", &["snncc-chip", "snncc-data", "snncc-ids", "snncc-image", "snncc-noc"]),
    (
        "snncc-verify",
        &["snncc-chip", "snncc-data", "snncc-emu", "snncc-ids", "snncc-image", "snncc-ir", "snncc-reference"],
    ),
    ("snncc-report", &[]),
    ("snncc-multicast", &["snncc-ids"]),
    ("snncc-sanafe", &["snncc-chip", "snncc-ids", "snncc-ir"]),
    ("snncc-noc", &[]),
    (
        "snncc",
        &[
            "snncc-chip",
            "snncc-compile",
            "snncc-convert",
            "snncc-data",
            "snncc-emu",
            "snncc-formats",
            "snncc-ids",
            "snncc-image",
            "snncc-ir",
            "snncc-reference",
            "snncc-report",
            "snncc-sanafe",
            "snncc-verify",
        ],
    ),
];

#[test]
fn crates_use_only_whom_they_may() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap().to_string();
        let uses: BTreeSet<String> = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| dependency["name"].as_str().unwrap().to_string())
            .filter(|dependency| dependency.starts_with("snncc"))
            .collect();
        found.insert(name, uses);
    }
    for (name, allowed) in EDGES {
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_string()).collect();
        let uses = found.remove(*name).unwrap_or_else(|| panic!("crate {name} is gone"));
        assert_eq!(uses, allowed, "edges of {name}");
    }
    found.remove("snncc-tests");
    assert!(found.is_empty(), "crates missing in the table: {:?}", found.keys());
}

/// Codes that the names of the file tests in `suite/errors` begin with; each expects its code (`snncc_tests::suite`).
fn codes_of_error_files() -> BTreeSet<String> {
    let mut paths = Vec::new();
    files(&root().join("tests/suite/errors"), "ron", &mut paths);
    paths.iter().filter_map(|path| Some(path.file_stem()?.to_string_lossy().get(..7)?.to_string())).collect()
}

#[test]
fn every_code_has_a_page_and_a_test() {
    let mut numbers = BTreeSet::new();
    let sources = rust_sources();
    let in_files = codes_of_error_files();
    for code in ALL_CODES {
        assert!(numbers.insert(code.number()), "{code} is defined twice");
        let page = root().join(format!("docs/errors/{code}.md"));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("{} is missing", page.display()));
        for part in ["## Cause", "## Example", "## What to do"] {
            assert!(text.contains(part), "{code}: its page lacks {part:?}");
        }
        // A file test is named by the code, or a test names its number, in a test module or in the tests crate.
        let tested = in_files.contains(code.number())
            || sources.iter().any(|(path, text)| {
                let tests_only = path.starts_with(root().join("tests")) && !path.ends_with("tidy.rs")
                    || path.components().any(|part| part.as_os_str() == "tests")
                    || path.ends_with("tests.rs");
                let tests = if tests_only {
                    Some(text.as_str())
                } else {
                    text.split_once("#[cfg(test)]").map(|(_, tests)| tests)
                };
                tests.is_some_and(|tests| tests.contains(code.number()))
            });
        assert!(tested, "{code} is raised by no test that names it");
    }
    let mut pages = Vec::new();
    files(&root().join("docs/errors"), "md", &mut pages);
    for page in pages {
        let name = page.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(numbers.contains(name.as_str()), "docs/errors/{name}.md documents no code");
    }
}

/// Integers of the hardware models above 64, which could only be limits or costs of a chip.
fn chip_numbers() -> BTreeSet<u64> {
    let mut paths = Vec::new();
    files(&root().join("hardware-models"), "ron", &mut paths);
    let mut numbers = BTreeSet::new();
    for path in paths {
        let text = std::fs::read_to_string(path).unwrap();
        let without_strings: String = text.split('"').step_by(2).collect();
        for word in without_strings.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            numbers.extend(word.replace('_', "").parse::<u64>().ok().filter(|number| *number > 64));
        }
    }
    // Powers of ten and of two up to 4096 are also units, capacities of buffers and mesh sizes in validation.
    numbers.retain(|number| !([100, 1000].contains(number) || number.is_power_of_two() && *number <= 256));
    numbers
}

/// The library source of a file: without comments, strings and test modules.
fn code_only(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or("");
    text.lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .map(|line| line.split('"').step_by(2).collect::<String>())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn no_chip_number_stands_in_rust() {
    let numbers = chip_numbers();
    assert!(numbers.contains(&16_384) && numbers.contains(&23_600), "the hardware models were not read");
    let mut found = Vec::new();
    for (path, text) in rust_sources() {
        let in_library = path.components().any(|part| part.as_os_str() == "src")
            && path.starts_with(root().join("crates"))
            && !path.ends_with("tests.rs")
            && !path.components().any(|part| part.as_os_str() == "tests");
        if !in_library {
            continue;
        }
        let code = code_only(&text);
        for word in code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.') {
            let digits: String = word.replace('_', "");
            let digits = digits.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            if digits.parse::<u64>().is_ok_and(|number| numbers.contains(&number)) {
                found.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "numbers of a chip in Rust; move them to hardware-models/:\n{}", found.join("\n"));
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let mut paths = Vec::new();
    for extension in ["rs", "md", "ron", "toml"] {
        files(&root(), extension, &mut paths);
    }
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["/work/", "/root/", "crates.io/api", "static.crates"] {
            let own = path.ends_with("tidy.rs");
            assert!(own || !text.contains(word), "{} contains {word:?}", path.display());
        }
    }
}
