//! `snncc demo`: a trained network and data that come with the command, through the very commands a user would type.

use crate::args::{Cli, DemoArgs};
use crate::output::write_file;
use crate::session::{Outcome, Session};
use clap::Parser;
use std::path::{Path, PathBuf};

const NETWORK: &str = "mlp_128_64_snn.nir";
const IMAGES: &str = "images-idx3-ubyte.gz";
const LABELS: &str = "labels-idx1-ubyte.gz";
/// The files of `examples/mnist-mlp`.
const FILES: [(&str, &[u8]); 3] = [
    (NETWORK, include_bytes!("../../../../examples/mnist-mlp/mlp_128_64_snn.nir")),
    (IMAGES, include_bytes!("../../../../examples/mnist-mlp/images-idx3-ubyte.gz")),
    (LABELS, include_bytes!("../../../../examples/mnist-mlp/labels-idx1-ubyte.gz")),
];

/// Where the demo works; removed with this value unless the user asked for the place.
struct Place {
    folder: PathBuf,
    kept: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Runs the demo.
pub(crate) fn run(session: &mut Session, args: &DemoArgs) -> Outcome {
    let place = match &args.output {
        Some(folder) => Place { folder: folder.clone(), kept: true },
        None => Place { folder: std::env::temp_dir().join(format!("snncc-demo-{}", std::process::id())), kept: false },
    };
    for (name, bytes) in FILES {
        write_file(&place.folder.join(name), bytes).map_err(|message| session.fail_files(&message))?;
    }
    session.note("100 handwritten digits of the MNIST test set (Yann LeCun and Corinna Cortes; CC BY-SA 3.0)");
    session.guides = false;
    for line in lines(&place.folder, &args.target) {
        session.note(&format!("\n$ {}", line.join(" ")));
        let cli = Cli::try_parse_from(&line).unwrap_or_else(|error| panic!("bug in snncc: {error}"));
        match super::run(session, cli.command)? {
            0 => {}
            code => return Ok(code),
        }
    }
    session.guides = true;
    if place.kept {
        session.next(&format!("snncc inspect {}", place.folder.join("out").display()));
    } else {
        let target = &args.target;
        session.next(&format!(
            "snncc demo -o demo    (keeps the files), or: snncc compile YOUR.nir --target {target} -o out"
        ));
    }
    Ok(0)
}

/// The commands of the demo.
fn lines(folder: &Path, target: &str) -> [Vec<String>; 4] {
    let file = |name: &str| folder.join(name).display().to_string();
    let out = file("out");
    let data = |command: &str| {
        let line = ["snncc", command, &out, "--input", &file(IMAGES), "--labels", &file(LABELS), "--coding", "rate"];
        line.into_iter().chain(["--steps", "64"]).map(str::to_owned).collect::<Vec<_>>()
    };
    let compile = ["snncc", "compile", &file(NETWORK), "--target", target, "-o", &out].map(str::to_owned).to_vec();
    [compile, data("emulate"), data("verify"), vec!["snncc".to_owned(), "report".to_owned(), out.clone()]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_valid_and_the_files_are_what_they_say() {
        for line in lines(Path::new("place with spaces"), "spinnaker-emu") {
            Cli::try_parse_from(&line).unwrap();
        }
        let labels = snncc_formats::data_files::read_labels(LABELS, FILES[2].1).unwrap();
        let images = snncc_formats::data_files::read_samples(IMAGES, FILES[1].1, None).unwrap();
        assert_eq!((labels.len(), images.count, images.elements()), (100, 100, 784));
    }
}
