//! `snncc compile`: the whole flow, into an output folder.

use crate::args::{CalibrationArgs, CompileArgs};
use crate::calibrate::calibrate;
use crate::compilation::{Follower, Job, Results, Stopped, apply_overrides, options};
use crate::conversion;
use crate::data::{self, DataRequest};
use crate::files::sha256_hex;
use crate::host::OnHost;
use crate::integers::compartment_files;
use crate::load::{self, LoadedNetwork, LoadedTarget};
use crate::machine;
use crate::machine_text;
use crate::output::{
    DIAGNOSTICS, Existing, FAILED, HOST_COSTS_FILE, InputEntry, MANIFEST, Manifest, OutputFolder, PROGRAM, REPORT,
    existing, network_files, write_file,
};
use crate::session::{self, Failure, Outcome, Session, print_json};
use crate::stage_text;
use crate::values::{Emit, InputValue};
use serde_json::json;
use snncc_compile::{Compiled, Options};
use snncc_ids::{Diagnostics, Severity};
use snncc_ir::Calibration;
use snncc_report::{ReportData, Value, views};
use std::path::{Path, PathBuf};

/// Samples of a calibration of the quantizer.
const CALIBRATION_SAMPLES: usize = 200;

/// Folder for `out/NET@TARGET`.
fn default_output(network: &Path, target: &str) -> PathBuf {
    let stem = |path: &Path| path.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
    Path::new("out").join(format!("{}@{}", stem(network), stem(Path::new(target))))
}

/// Compiles a network.
pub(crate) fn run(session: &mut Session, args: &CompileArgs) -> Outcome {
    session.json = args.json;
    let output = args.output.clone().unwrap_or_else(|| default_output(&args.network, &args.target));
    // Before the work, not after it: is the place free?
    let folder = OutputFolder::begin(&output, args.force).map_err(|message| session.usage(&message))?;
    let (network, target) = if conversion::is_model(&args.network) {
        let target = load::target(session, &args.target)?;
        (converted(session, args), Ok(target))
    } else {
        (load::network(session, &args.network), load::target(session, &args.target))
    };
    let (mut network, target) = match (network, target) {
        (Ok(network), Ok(target)) => (network, target),
        (Err(failure), Ok(target)) => {
            let network = LoadedNetwork::unread(&args.network);
            let job =
                Job { network: &network, target: &target, options: Options::default(), calibration: None, host: None };
            return Err(leave_failure(session, folder, &output, &job, "read", failure, args.json));
        }
        (_, Err(failure)) => return Err(failure),
    };
    apply_overrides(&mut network.network, &args.lowering);
    let mut job =
        Job { network: &network, target: &target, options: Options::default(), calibration: None, host: None };
    match OnHost::of(&network.network, &args.host.host) {
        Ok(host) => job.host = host,
        Err(problems) => {
            let failure = session.fail(network.annotate(problems.0), Some(&network.source));
            return Err(leave_failure(session, folder, &output, &job, "host", failure, args.json));
        }
    }
    let options = options(job.chip_network(), &target.target, &args.lowering, &args.quantize, &args.mapping);
    job.options = match options {
        Ok(options) => options,
        Err(problems) => {
            let failure = session.fail(network.annotate(problems.0), Some(&network.source));
            return Err(leave_failure(session, folder, &output, &job, "options", failure, args.json));
        }
    };
    let mut inputs = network.inputs.clone();
    match calibration(session, &network, &args.calibration, &mut inputs) {
        Ok(calibration) => job.calibration = calibration,
        Err(failure) => return Err(leave_failure(session, folder, &output, &job, "calibrate", failure, args.json)),
    }
    if machine::is_machine(&target.target) {
        return run_for_machine(session, args, folder, &output, &job, &inputs);
    }
    let mut follower = Follower::new(session, &args.emit);
    let result = job.compile(&mut follower);
    let (compiled, folder) = compiled_or_left(session, args, folder, &output, &job, &mut follower, result)?;
    let manifest = timed_manifest(session, args, &job, &inputs, &follower);
    let texts = stage_texts(&follower, &compiled, &target, &args.emit);
    let report = write(session, &folder, &job, &compiled, manifest, &texts)
        .and_then(|report| folder.commit().map(|()| report))
        .map_err(|message| session.fail_files(&message))?;
    print(session, &report, &output, args.json);
    session.next(&format!("snncc verify {} --input DATA    (or: snncc report {})", output.display(), output.display()));
    Ok(0)
}

/// Shows the warnings of a compilation; what came of it with its folder, or a folder that says why there is nothing.
fn compiled_or_left<C>(
    session: &mut Session,
    args: &CompileArgs,
    folder: OutputFolder,
    output: &Path,
    job: &Job<'_>,
    follower: &mut Follower,
    result: Result<C, Stopped>,
) -> Outcome<(C, OutputFolder)> {
    let network = job.network;
    let warnings = network.annotate(std::mem::take(&mut follower.warnings));
    session.say(warnings.0, Some(&network.source));
    match result {
        Ok(compiled) => Ok((compiled, folder)),
        Err(stopped) => {
            let problems = network.annotate(stopped.problems.0);
            let failure = session.fail(problems, Some(&network.source));
            Err(leave_failure(session, folder, output, job, &stopped.stage, failure, args.json))
        }
    }
}

/// The manifest, with times of stages if they are asked for; then they are said as well.
fn timed_manifest(
    session: &Session,
    args: &CompileArgs,
    job: &Job<'_>,
    inputs: &[(String, String, String)],
    follower: &Follower,
) -> Manifest {
    let mut manifest = manifest(job, inputs, command_line());
    if args.timings {
        manifest.timings_ms = follower.timings_ms.clone();
        for (stage, ms) in &follower.timings_ms {
            session.note(&format!("{stage}: {ms:.1} ms"));
        }
    }
    manifest
}

/// The command line as the manifest keeps it: the program by its name alone.
fn command_line() -> Vec<String> {
    std::iter::once("snncc".to_owned())
        .chain(std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()))
        .collect()
}

/// The spiking network of a trained one.
fn converted(session: &mut Session, args: &CompileArgs) -> Outcome<LoadedNetwork> {
    let mut model = conversion::read(session, &args.network)?;
    let data: Vec<InputValue> =
        args.calibration.calibrate.iter().map(|file| InputValue { port: None, file: file.clone() }).collect();
    let request = conversion::Request {
        args: &args.conversion,
        calibrate: &data,
        samples: args.calibration.calibrate_samples.unwrap_or(conversion::SAMPLES),
        steps: args.calibration.steps.unwrap_or(conversion::STEPS),
        coding: args.calibration.coding,
        dt_s: args.lowering.dt,
        seed: 1,
        early_exit_changes: args.exit.changes(),
    };
    let converted = conversion::run(session, &mut model, &request)?;
    Ok(model.spiking(converted.network))
}

/// Runs the calibration, where there is data.
fn calibration(
    session: &mut Session,
    network: &LoadedNetwork,
    args: &CalibrationArgs,
    inputs: &mut Vec<(String, String, String)>,
) -> Outcome<Option<Calibration>> {
    let Some(file) = &args.calibrate else { return Ok(None) };
    let input = [InputValue { port: None, file: file.clone() }];
    let request = DataRequest {
        inputs: &input,
        labels: args.labels.as_ref(),
        kind: None,
        coding: args.coding,
        ranges: &args.range,
        delta: args.delta,
        steps: args.steps,
        samples: Some(args.calibrate_samples.unwrap_or(CALIBRATION_SAMPLES)),
        seed: 1,
        defaults: &network.network.run,
    };
    let fail = |session: &mut Session, problems: Diagnostics| {
        let problems = network.annotate(problems.0);
        session.fail(problems, Some(&network.source))
    };
    let shapes = snncc_ir::shapes::infer(&network.network).map_err(|problems| fail(session, problems))?;
    let ports = data::ports_of_network(&network.network, &shapes);
    let data = data::load(session, &request, &ports)?;
    inputs.extend(data.files.iter().map(|(file, sha256)| ("calibration".to_owned(), file.clone(), sha256.clone())));
    let calibrated = calibrate(session, &network.network, &data).map_err(|problems| fail(session, problems))?;
    if let Some(correct) = calibrated.correct {
        session.note(&format!("float network on the calibration data: {correct} of {} samples correct", data.count));
    }
    Ok(Some(calibrated.calibration))
}

/// The manifest of a compilation, without files.
pub(crate) fn manifest(job: &Job<'_>, inputs: &[(String, String, String)], command: Vec<String>) -> Manifest {
    let target = &job.target.target;
    let seed = job.options.seed.unwrap_or(target.file.defaults.seed);
    let mut manifest = Manifest::new(target, command, seed);
    manifest.align = job.options.align;
    manifest.allow_loop_latency = job.options.allow_loop_latency;
    manifest.approximate_reset = job.options.reset.is_some();
    manifest.host = job.host.as_ref().map_or_else(Vec::new, |host| host.cut.layers.clone());
    manifest.inputs = inputs
        .iter()
        .map(|(role, file, sha256)| InputEntry { role: role.clone(), file: file.clone(), sha256: sha256.clone() })
        .collect();
    manifest
}

/// Texts for `ir/`: file name and content.
fn stage_texts(
    follower: &Follower,
    compiled: &Compiled,
    target: &LoadedTarget,
    wanted: &[Emit],
) -> Vec<(String, String)> {
    let wants = |stage: &str| wanted.iter().any(|emit| emit.wants(stage));
    let target = &target.target;
    let (routed, placed) = (&compiled.routed, compiled.routed.placed());
    let mut texts = ir_texts(follower);
    if wants("partition") {
        texts.push(("30-partition.txt".to_owned(), stage_text::partition(placed.partitioned())));
    }
    if wants("place") {
        texts.push(("40-placement.txt".to_owned(), stage_text::placement(placed, target)));
    }
    if wants("route") {
        texts.push(("50-routes.txt".to_owned(), stage_text::routes(routed, target)));
    }
    if wants("emit") {
        texts.push(("60-image.txt".to_owned(), stage_text::image(&compiled.image, target)));
    }
    texts
}

/// Those of the stages that need no layout.
fn ir_texts(follower: &Follower) -> Vec<(String, String)> {
    let name = |stage: &str| if stage == "lower" { "10-lowered.txt" } else { "20-quantized.txt" };
    follower.texts.iter().map(|(stage, text)| (name(stage).to_owned(), text.clone())).collect()
}

/// Writes all files of a compiled network; gives its report.
///
/// # Errors
/// What the system says.
pub(crate) fn write(
    session: &Session,
    folder: &OutputFolder,
    job: &Job<'_>,
    compiled: &Compiled,
    manifest: Manifest,
    texts: &[(String, String)],
) -> Result<ReportData, String> {
    let quantized = compiled.routed.placed().partitioned().ir();
    let report = job
        .report(session, &Results { quantized: Some(quantized), image: Some(&compiled.image), ..Results::default() });
    debug_assert_eq!(report.check_totals(), Ok(()));
    let program = compiled.image.to_bytes();
    write_files(session, job, Written { folder, manifest, texts }, &report, program, compartment_files(quantized))?;
    Ok(report)
}

/// Where a compilation is written, and what it is written with.
pub(crate) struct Written<'a> {
    pub(crate) folder: &'a OutputFolder,
    /// Without files yet.
    pub(crate) manifest: Manifest,
    /// Files of `ir/`.
    pub(crate) texts: &'a [(String, String)],
}

/// Writes program, integers and all that every kind of target has.
///
/// # Errors
/// What the system says.
pub(crate) fn write_files(
    session: &Session,
    job: &Job<'_>,
    written: Written<'_>,
    report: &ReportData,
    program: Vec<u8>,
    quantized: Vec<(String, Vec<u8>)>,
) -> Result<(), String> {
    let Written { folder, mut manifest, texts } = written;
    let mut files = vec![(PROGRAM.to_owned(), program)];
    files.extend(network_files("network", &job.network.network));
    files.extend(job.host.iter().flat_map(|host| network_files("host", &host.cut.host)));
    files.extend(quantized);
    files.push(("target/target.ron".to_owned(), job.target.target_text.clone().into_bytes()));
    files.push(("target/hardware-model.ron".to_owned(), job.target.model_text.clone().into_bytes()));
    files.push((HOST_COSTS_FILE.to_owned(), snncc_chip::HOST_COSTS.as_bytes().to_vec()));
    for (name, bytes) in &files {
        folder.write(name, bytes)?;
        manifest.files.insert(name.clone(), sha256_hex(bytes));
    }
    folder.write(REPORT, report.to_json())?;
    folder.write(DIAGNOSTICS, session.diagnostics_jsonl())?;
    for (name, text) in views::csv_tables(report) {
        folder.write(&format!("tables/{name}"), text)?;
    }
    for (name, text) in texts {
        folder.write(&format!("ir/{name}"), text)?;
    }
    folder.write(MANIFEST, manifest.to_json())
}

/// The rest of a compilation for a SpiNNaker-like machine.
fn run_for_machine(
    session: &mut Session,
    args: &CompileArgs,
    folder: OutputFolder,
    output: &Path,
    job: &Job<'_>,
    inputs: &[(String, String, String)],
) -> Outcome {
    let mut follower = Follower::new(session, &args.emit);
    let result = job.compile_for_machine(&mut follower);
    let (compiled, folder) = compiled_or_left(session, args, folder, output, job, &mut follower, result)?;
    let manifest = timed_manifest(session, args, job, inputs, &follower);
    let mut texts = ir_texts(&follower);
    let wants = |stage: &str| args.emit.iter().any(|emit| emit.wants(stage));
    texts.extend(machine_text::texts(&compiled, &job.target.target, wants));
    let written = Written { folder: &folder, manifest, texts: &texts };
    let report = machine::write(session, job, &compiled, written)
        .and_then(|report| folder.commit().map(|()| report))
        .map_err(|message| session.fail_files(&message))?;
    machine::print_result(session, args, &report, output);
    Ok(0)
}

/// Leaves diagnostics and a partial report of a failed compilation, and says where.
fn leave_failure(
    session: &mut Session,
    folder: OutputFolder,
    output: &Path,
    job: &Job<'_>,
    stage: &str,
    failure: Failure,
    as_json: bool,
) -> Failure {
    let quantized = if stage == "read" { None } else { job.saturated() };
    let report = job.report(
        session,
        &Results { quantized: quantized.as_ref(), failed: Some(stage.to_owned()), ..Results::default() },
    );
    let mut manifest = manifest(job, &job.network.inputs, command_line());
    manifest.status = "failed".to_owned();
    let files =
        [(REPORT, report.to_json()), (DIAGNOSTICS, session.diagnostics_jsonl()), (MANIFEST, manifest.to_json())];
    // An earlier result is worth more than the report of a failure: that goes beside it then.
    let beside = existing(output) == Existing::Own { compiled: true };
    let written = if beside {
        files.iter().try_for_each(|(name, text)| write_file(&output.join(FAILED).join(name), text.as_bytes()))
    } else {
        files.iter().try_for_each(|(name, text)| folder.write(name, text)).and_then(|()| folder.commit())
    };
    let place = if beside { output.join(FAILED) } else { output.to_owned() };
    match written {
        Ok(()) if beside => session.note(&format!(
            "not compiled; {} keeps its earlier result, diagnostics and a partial report are in {}",
            output.display(),
            place.display()
        )),
        Ok(()) => session.note(&format!("not compiled; diagnostics and a partial report are in {}", place.display())),
        Err(message) => drop(session.fail_files(&message)),
    }
    if as_json {
        print_json(&summary(session, &report, &place));
    }
    failure
}

/// The result as JSON.
fn summary(session: &Session, report: &ReportData, output: &Path) -> serde_json::Value {
    let layers: Vec<serde_json::Value> = report
        .layers
        .iter()
        .map(|layer| {
            json!({
                "name": layer.name, "role": layer.role, "shape": layer.shape, "neurons": layer.neurons.value,
                "synapses": layer.synapses.value, "cores": layer.cores.as_ref().map(|cores| cores.value),
                "latency_steps": layer.latency.value,
            })
        })
        .collect();
    let resources: serde_json::Map<String, serde_json::Value> = report
        .totals
        .resources
        .iter()
        .map(|used| {
            (
                used.resource.clone(),
                json!({ "used": Value::from(used.used), "available": used.available.map(Value::from) }),
            )
        })
        .collect();
    json!({
        "status": report.status,
        "output": output.display().to_string(),
        "target": report.target.name,
        "neurons": report.totals.neurons.value,
        "synapses": report.totals.synapses.value,
        "cores": report.totals.cores.value,
        "host": report.host.iter().map(|layer| json!({
            "name": layer.name, "shape": layer.shape, "neurons": layer.neurons.value,
            "connections": layer.connections.value,
        })).collect::<Vec<_>>(),
        "usable_cores": report.target.usable_cores,
        "output_latency_steps": report.network.output_latency.as_ref().map(|latency| latency.value),
        "layers": layers,
        "resources": resources,
        "errors": session.count(Severity::Error),
        "warnings": session.count(Severity::Warning),
        "diagnostics": session.diagnostics_json(),
    })
}

/// What a compilation gave, for people or as JSON.
pub(crate) fn print(session: &Session, report: &ReportData, output: &Path, as_json: bool) {
    if as_json {
        print_json(&summary(session, report, output));
        return;
    }
    let fullest = report.cores.iter().filter_map(|core| {
        let used = core.resource(core.binding.as_deref()?)?;
        Some((used.percent()?, &core.name, used.resource.replace('_', " ")))
    });
    let fullest = fullest.max_by(|a, b| a.0.total_cmp(&b.0));
    let fullest = fullest.map_or(String::new(), |(percent, core, resource)| {
        format!("; fullest is {core}, {percent:.0} % of its {resource}")
    });
    session::print(&format!(
        "{} -> {}: {}, {} on {} of {} cores of `{}`{fullest}\n",
        report.network.file,
        output.display(),
        report.totals.neurons.text(),
        report.totals.synapses.text(),
        snncc_report::number_text(report.totals.cores.value),
        report.target.usable_cores,
        report.target.name
    ));
    for layer in &report.host {
        session::print(&format!(
            "on the host: `{}`, {}, {}\n",
            layer.name,
            layer.neurons.text(),
            layer.connections.text()
        ));
    }
    let warnings = session.count(Severity::Warning);
    if warnings > 0 {
        session::print(&format!("{warnings} warning(s), also in {}\n", output.join(DIAGNOSTICS).display()));
    }
}
