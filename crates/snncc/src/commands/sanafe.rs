//! `snncc convert ARCH.yaml NET.yaml|NET.net`: a mapped network of SANA-FE as network, hardware model and target.

use crate::args::ConvertArgs;
use crate::files::InputFile;
use crate::output::write_atomically;
use crate::session::{self, Outcome, Session, file_name};
use serde_json::json;
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_sanafe::{Architecture, build, read_netlist, read_network};
use std::path::{Path, PathBuf};

/// Whether a file is an architecture of SANA-FE, by its name.
pub(crate) fn is_architecture(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml"))
}

/// Reads architecture and network, writes `OUT.ron` (with `OUT.npz`), `OUT-chip.ron` and `OUT-target.ron`.
pub(crate) fn run(session: &mut Session, args: &ConvertArgs) -> Outcome {
    let Some(network_path) = &args.network else {
        return Err(session.usage("an architecture of SANA-FE needs its network: snncc convert ARCH.yaml NET.yaml"));
    };
    let output = args.output.clone().unwrap_or_else(|| network_path.with_extension("ron"));
    if output.extension().is_none_or(|extension| extension != "ron") {
        return Err(session.usage(&format!("`{}` does not end in .ron", output.display())));
    }
    let beside = |suffix: &str| {
        let stem = output.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
        let name = format!("{stem}{suffix}");
        (output.with_file_name(format!("{name}.ron")), name)
    };
    let ((model_path, model_name), (target_path, target_name)) = (beside("-chip"), beside("-target"));
    let architecture_file = open(session, &args.model)?;
    let read = architecture_file.text().and_then(Architecture::read);
    let source = architecture_file.source();
    let (architecture, warnings) = read.map_err(|problems| session.fail(problems, Some(&source)))?;
    session.say(warnings, Some(&source));
    let network_file = open(session, network_path)?;
    let is_netlist = network_path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("net"));
    let read = network_file.text().and_then(|text| match is_netlist {
        true => read_netlist(text, &network_file.name(), &architecture),
        false => read_network(text, &architecture),
    });
    let source = network_file.source();
    let (description, mut warnings) = read.map_err(|problems| session.fail(problems, Some(&source)))?;
    let model_file = file_name(&model_path.display().to_string());
    let converted = build(&architecture, &description, (&target_name, &model_name, &model_file))
        .map_err(|problems| session.fail(problems, Some(&source)))?;
    drop(description);
    warnings.extend(converted.warnings);
    session.say(warnings, Some(&source));
    super::convert::write(session, &converted.network, &output, false)?;
    write(session, &model_path, &converted.model.to_ron())?;
    write(session, &target_path, &converted.target.to_ron())?;
    let files: Vec<String> =
        [&output, &model_path, &target_path].iter().map(|path: &&PathBuf| path.display().to_string()).collect();
    if args.json {
        session::print_json(&json!({
            "output": files[0],
            "hardware_model": files[1],
            "target": files[2],
            "diagnostics": session.diagnostics_json(),
        }));
    } else {
        session::print(&format!(
            "network         {}\nhardware model  {}\ntarget          {}\n",
            files[0], files[1], files[2]
        ));
    }
    // Without alignment each connection takes one step and all neurons run from step 1 on, as in SANA-FE.
    session.next(&format!("snncc compile {} --target {} --no-align", files[0], files[2]));
    Ok(0)
}

fn open(session: &mut Session, path: &Path) -> Outcome<InputFile> {
    InputFile::read(path).map_err(|problems| session.fail(problems, None))
}

fn write(session: &mut Session, path: &Path, text: &str) -> Outcome<()> {
    write_atomically(path, text.as_bytes()).map_err(|message| {
        let problems: Diagnostics = Diagnostic::error(code::OUTPUT_FOLDER, message).into();
        session.fail(problems, None)
    })
}
