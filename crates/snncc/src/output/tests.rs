//! The files of an output folder.

use super::*;

#[test]
fn a_folder_appears_whole_replaces_its_own_and_spares_others() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("deep/er/out");
    let write = |files: &[&str], force| {
        let folder = OutputFolder::begin(&out, force)?;
        files.iter().try_for_each(|name| folder.write(name, "x"))?;
        assert!(out.join(files[0]).exists() || existing(&out) != Existing::Own { compiled: false });
        folder.commit()
    };
    write(&[MANIFEST, "tables/cores.csv"], false).unwrap();
    assert_eq!(existing(&out), Existing::Own { compiled: false });
    let run = next_run(&out).unwrap();
    assert!(run.ends_with("run-001") && next_run(&out).unwrap().ends_with("run-002"));
    std::fs::write(out.join("notes.txt"), "mine").unwrap();
    write(&[MANIFEST, PROGRAM], false).unwrap();
    assert!(!out.join("tables").exists() && !run.exists() && out.join(PROGRAM).exists());
    assert_eq!(std::fs::read_to_string(out.join("notes.txt")).unwrap(), "mine");
    std::fs::remove_file(out.join(MANIFEST)).unwrap();
    assert!(write(&[MANIFEST], false).unwrap_err().contains("--force"));
    write(&[MANIFEST], true).unwrap();
    assert!(out.join("notes.txt").exists());
    drop(OutputFolder::begin(&out, true).unwrap());
    assert_eq!(std::fs::read_dir(out.parent().unwrap()).unwrap().count(), 1, "nothing is left beside the folder");
    drop(OutputFolder::begin(&place.path().join("new/er/out"), false).unwrap());
    assert!(!place.path().join("new").exists(), "a folder that was not finished leaves no parents");
}

#[test]
fn runs_are_numbered_and_files_of_others_are_not_runs() {
    assert_eq!(run_number("run-012"), Some(12));
    assert_eq!(run_number("run-1000"), Some(1000));
    assert!(["run-", "run-1", "run-x01", "running"].iter().all(|name| run_number(name).is_none()));
    assert!(is_own("tables") && !is_own("notes.txt"));
}
