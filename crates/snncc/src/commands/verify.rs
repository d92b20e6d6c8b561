//! `snncc verify`: float reference, integer reference and emulator on the same data.

use crate::args::VerifyArgs;
use crate::commands::emulate::coding_name;
use crate::data::Data;
use crate::files::InputFile;
use crate::output::{REPORT, write_file};
use crate::running::{Running, accuracy, results_folder};
use crate::session::{Failure, Outcome, Session, pretty, print, print_json};
use crate::sums::json_counts;
use serde_json::{Map, Value as Json, json};
use snncc_chip::HardwareModel;
use snncc_data::SpikeTrain;
use snncc_formats::data_files::{DataKind, read_samples, read_spikes};
use snncc_formats::tensor_files::npz_names;
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_ir::{Network, Node};
use snncc_reference::float::{FloatNetwork, FloatOptions};
use snncc_report::{
    Basis, Figure, LayerRow, LossRow, ReportData, Table, Value, VerificationSection, count_text, energy_text, time_text,
};
use snncc_verify::{Chip, Compiled, Plan, SampleInput, Verification, Witnesses, verify};
use std::path::Path;

/// Samples, from the first on, whose membranes are compared in every step.
const STATE_SAMPLES: usize = 4;

/// A compiled network with its data, of either family of chips.
pub(crate) struct Subject<'a> {
    /// The output folder.
    pub(crate) folder: &'a Path,
    /// Name of the cost table.
    pub(crate) costs: &'a str,
    /// Layers that run on the host.
    pub(crate) host: &'a [String],
    /// Names of the input ports.
    pub(crate) inputs: Vec<String>,
    pub(crate) data: &'a Data,
    pub(crate) compiled: Compiled<'a>,
    pub(crate) model: &'a HardwareModel,
    pub(crate) chip: &'a dyn Chip,
    /// What a sample feeds network and chip.
    pub(crate) sample: &'a (dyn Fn(usize) -> Result<SampleInput, Diagnostics> + Sync),
}

/// Verifies a compiled network.
pub(crate) fn run(session: &mut Session, args: &VerifyArgs) -> Outcome {
    session.json = args.json;
    let running = Running::open(session, &args.dir, &args.data)?.timed(session, &args.timing)?;
    let report = running.opened.report().map_err(|message| session.fail_files(&message))?;
    let compiled = running.compiled().map_err(|message| session.fail_files(message))?;
    with_subject(&running, compiled, running.data.count, |subject| {
        run_on(session, args, subject, &running.network, report)
    })
}

/// What there is to compare of an output folder. `samples` is how many will be run at most.
fn with_subject<T>(
    running: &Running,
    compiled: Compiled<'_>,
    samples: usize,
    work: impl FnOnce(&Subject<'_>) -> T,
) -> T {
    let opened = &running.opened;
    work(&Subject {
        folder: &opened.folder,
        costs: &opened.target.file.costs,
        host: &opened.manifest.host,
        inputs: running.program.inputs().map(|(name, _)| name.to_owned()).collect(),
        data: &running.data,
        compiled,
        model: &opened.target.model,
        chip: &*running.program.witness(samples < rayon::current_num_threads(), running.timing),
        sample: &|sample| running.sample(sample),
    })
}

fn run_on(
    session: &mut Session,
    args: &VerifyArgs,
    subject: &Subject<'_>,
    network: &Network,
    mut report: ReportData,
) -> Outcome {
    let float = float_network(network).map_err(|problems| session.fail(problems, None))?;
    if float.is_none() {
        session.note("note: the network is given in integers; there is no float reference to compare with");
    }
    let other = args.reference.as_ref().map(|path| other_tool(path, subject));
    let other = other.transpose().map_err(|problems| session.fail(problems, None))?;
    let verification = compare(session, subject, float.as_ref(), other.as_deref(), usize::MAX)?;
    let json = json_result(subject, &verification);
    let folder = results_folder(session, subject.folder, args.output.as_ref())?;
    report.verification = Some(section(subject, &verification));
    write_file(&folder.join("verify.json"), pretty(&json).as_bytes())
        .and_then(|()| write_file(&folder.join(REPORT), report.to_json().as_bytes()))
        .map_err(|message| session.fail_files(&message))?;
    if args.json {
        print_json(&json);
    } else {
        print(&text(&args.dir, subject, &report.layers, &verification, &folder));
    }
    let problems = verification.diagnostics();
    if problems.is_empty() {
        session.next(&format!("snncc report {}", args.dir.display()));
        Ok(0)
    } else {
        let exit = problems[0].code.exit();
        session.say(problems, None);
        Err(Failure { exit })
    }
}

/// The float reference, unless the network is given in integers.
///
/// # Errors
/// What the float reference says of the network.
pub(crate) fn float_network(network: &Network) -> Result<Option<FloatNetwork>, Diagnostics> {
    let integers = network.nodes.iter().any(|node| matches!(node.node, Node::Compartments(_) | Node::Synapses(_)));
    if integers {
        return Ok(None);
    }
    FloatNetwork::new(network, &FloatOptions::default()).map(Some)
}

/// Spikes of another tool: by sample, by population.
type OtherSpikes = Vec<Vec<(String, SpikeTrain)>>;

/// Compares the emulator with the integer reference alone, on the first `limit` samples.
pub(crate) fn compare_integers(
    session: &mut Session,
    running: &Running,
    compiled: Compiled<'_>,
    limit: usize,
) -> Result<Verification, Failure> {
    let samples = running.data.count.min(limit);
    with_subject(running, compiled, samples, |subject| compare(session, subject, None, None, limit))
}

/// Runs all witnesses on the first `limit` samples.
pub(crate) fn compare(
    session: &mut Session,
    subject: &Subject<'_>,
    float: Option<&FloatNetwork>,
    other: Option<&[Vec<(String, SpikeTrain)>]>,
    limit: usize,
) -> Result<Verification, Failure> {
    let data = subject.data;
    let samples = other.map_or(data.count, |other| other.len().min(data.count)).min(limit);
    let witnesses = Witnesses { float, compiled: subject.compiled, model: subject.model, chip: subject.chip };
    let bar = session.bar("verifying", samples as u64);
    let progress = || bar.inc(1);
    let tool = other.map(|other| move |sample: usize| other[sample].clone());
    let plan = Plan {
        samples,
        steps: data.steps,
        labels: data.labels.as_deref().map(|labels| &labels[..samples]),
        state_samples: STATE_SAMPLES,
        van_rossum_tau_steps: None,
        other_tool: tool.as_ref().map(|tool| tool as _),
        progress: Some(&progress),
    };
    let verification = verify(&witnesses, &plan, subject.sample);
    bar.finish_and_clear();
    verification.map_err(|problems| session.fail(problems, None))
}

/// Reads the spikes of another tool: arrays of one sample as events or `(steps, neurons)`, or `(samples, steps, neurons)`.
fn other_tool(path: &Path, subject: &Subject<'_>) -> Result<OtherSpikes, Diagnostics> {
    let file = InputFile::read(path)?;
    let fault = |message: String| Diagnostics::from(Diagnostic::error(code::DATA_FILE, message));
    // What was fed is no result to compare.
    let is_input = |name: &str| subject.inputs.iter().any(|input| input == name);
    if let Ok(mut single) = read_spikes(&file.name(), &file.bytes) {
        single.retain(|(name, _)| !is_input(name));
        return Ok(vec![single]);
    }
    let mut names = npz_names(&file.bytes).map_err(|error| fault(format!("`{}`: {error}", file.name())))?;
    names.retain(|name| !is_input(name));
    let mut samples: OtherSpikes = vec![Vec::new(); subject.data.count];
    for name in &names {
        let population = subject.compiled.graph().populations.iter().find(|population| population.name == *name);
        let array = snncc_formats::tensor_files::read_npz(&file.bytes, name, 1 << 34)
            .map_err(|error| fault(format!("`{}`, array `{name}`: {error}", file.name())))?;
        let bytes = snncc_formats::tensor_files::write_npy(&array);
        let read = read_samples(&file.name(), &bytes, Some(DataKind::DenseSpikes))?;
        let snncc_data::SampleValues::Spikes(trains) = read.values else {
            return Err(fault(format!("`{}`: array `{name}` holds no spikes", file.name())));
        };
        if population.is_some_and(|population| trains.iter().any(|train| train.neurons as usize != population.len())) {
            return Err(fault(format!(
                "`{}`: array `{name}` has another number of neurons than the layer",
                file.name()
            )));
        }
        if trains.len() < samples.len() {
            samples.truncate(trains.len());
        }
        for (sample, train) in samples.iter_mut().zip(trains) {
            sample.push((name.clone(), train));
        }
    }
    Ok(samples)
}

/// Spikes by layer in network steps: of the integer reference, where the float reference was compared with it. (Without one
/// they are those of the whole run on the chip, in which layers run on while the last steps pass to the output.)
fn layers(verification: &Verification) -> impl Iterator<Item = (&str, u128)> {
    verification.exact.populations.iter().map(|layer| {
        let loss = verification.losses.iter().find(|loss| loss.population == layer.population);
        (layer.population.as_str(), u128::from(loss.map_or(layer.chip_spikes, |loss| loss.integer_spikes)))
    })
}

fn finite(value: Option<f64>) -> Json {
    json!(value.map(Value::from))
}

/// Values in which integer reference and emulator differ.
pub(crate) fn mismatches(verification: &Verification) -> u64 {
    let exact = &verification.exact;
    exact.mismatches + exact.state_mismatches + exact.output_mismatches
}

fn json_result(subject: &Subject<'_>, verification: &Verification) -> Json {
    let chip = &verification.chip;
    let parts = |list: &[(String, u128)], total: bool| {
        json_counts(list.iter().map(|(name, count)| (name.as_str(), *count)), total)
    };
    let saturations: Map<String, Json> = verification
        .saturations
        .iter()
        .map(|row| {
            let counts = json!({ "integer": Value::from(row.integer), "emulator": Value::from(row.chip) });
            (row.kind.clone(), counts)
        })
        .collect();
    let mut by_witness = Map::new();
    for witness in ["float", "integer", "emulator"] {
        let found = verification.accuracy.iter().find(|found| found.witness == witness);
        by_witness.insert(witness.to_owned(), json!(found.map(|found| accuracy(found.correct, found.samples))));
    }
    let losses: Vec<Json> = verification
        .losses
        .iter()
        .map(|loss| {
            json!({
                "layer": loss.population,
                "float_spikes": loss.float_spikes,
                "integer_spikes": loss.integer_spikes,
                "matching_spikes": loss.matching_spikes,
                "count_ratio": finite(loss.count_ratio),
                "matching_fraction": loss.matching_fraction,
                "rate_correlation": finite(loss.rate_correlation),
                "membrane_sqnr_db": finite(loss.membrane_sqnr_db),
            })
        })
        .collect();
    let (input, input_sha256) = input(subject);
    let mut json = json!({
        "samples": verification.samples,
        "steps": verification.network_steps,
        "chip_steps": verification.chip_steps,
        "coding": coding_name(subject.data.coding),
        "input": input,
        "input_sha256": input_sha256,
        "passed": verification.passes(),
        "accuracy": by_witness,
        "flipped_predictions": verification.flipped,
        "spikes": Value::from(layers(verification).map(|(_, count)| count).sum::<u128>()),
        "spikes_per_layer": json_counts(layers(verification), false),
        "chip_spikes": verification.exact.populations.iter().map(|layer| layer.chip_spikes).sum::<u64>(),
        "synaptic_events": Value::from(chip.synaptic_events),
        "packets": Value::from(chip.packets),
        "hops": Value::from(chip.hops),
        "time_ps": Value::from(chip.time_ps),
        "energy_fj": parts(&chip.energy_fj, true),
        "overflows": parts(&chip.overflows, false),
        "saturations": saturations,
        "host_layers": subject.host,
        "mismatches": mismatches(verification),
        "exact": verification.exact,
        "first_divergence": verification.exact.first,
        "loss": losses,
        "first_float_difference": verification.float_divergence,
        "other_tool": verification.other_tool,
    });
    if !verification.disturbances.is_empty() {
        json["late_samples"] = json!(verification.late_samples);
        json["disturbances"] = json!(verification.disturbances);
    }
    json
}

fn section(subject: &Subject<'_>, verification: &Verification) -> VerificationSection {
    let exact = &verification.exact;
    let counted = |value: u64, unit: &str| Figure::new(value, unit, Basis::Counted, "verification");
    let losses = verification.losses.iter().map(|loss| {
        let measure = |name: &str, value: Option<f64>, unit: &str| {
            value.map(|value| (name.to_owned(), Figure::new(value, unit, Basis::Counted, "verification")))
        };
        let mut measures = vec![
            ("float".to_owned(), counted(loss.float_spikes, "spikes")),
            ("integer".to_owned(), counted(loss.integer_spikes, "spikes")),
        ];
        measures.extend(measure("matching", Some(loss.matching_fraction * 100.0), "%"));
        measures.extend(measure("rate correlation", loss.rate_correlation, ""));
        measures.extend(measure("membrane SQNR", loss.membrane_sqnr_db, "dB"));
        LossRow { layer: loss.population.clone(), measures }
    });
    VerificationSection {
        input: input(subject).0,
        samples: Figure::exact(verification.samples, "samples", "data"),
        steps: Figure::exact(verification.network_steps, "network steps", "command"),
        mismatches: counted(exact.mismatches + exact.state_mismatches + exact.output_mismatches, "values"),
        first_divergence: exact.first.as_ref().map(ToString::to_string),
        accuracy: verification
            .accuracy
            .iter()
            .map(|found| {
                let percent = accuracy(found.correct, found.samples) * 100.0;
                (found.witness.clone(), Figure::new(percent, "%", Basis::Counted, "verification"))
            })
            .collect(),
        losses: losses.collect(),
    }
}

/// What saturated, if anything did: where both sides count the same it is the network's, not the compiler's.
fn saturations(verification: &Verification) -> String {
    let rows = verification.saturations.iter().filter(|row| row.integer > 0 || row.chip > 0);
    rows.map(|row| {
        let what = row.kind.replace('_', " ");
        let number = |count: u128| snncc_report::number_text(count.into());
        if row.integer == row.chip {
            format!(
                "saturated on both sides alike (costs accuracy, is no mismatch): {what}, {} times\n",
                number(row.chip)
            )
        } else {
            format!(
                "saturated: {what}, {} times in the integer reference, {} times in the emulator\n",
                number(row.integer),
                number(row.chip)
            )
        }
    })
    .collect()
}

/// Name and hash of the first input file.
fn input(subject: &Subject<'_>) -> (String, String) {
    subject.data.files.first().cloned().unwrap_or_default()
}

/// The result for people.
fn text(dir: &Path, subject: &Subject<'_>, rows: &[LayerRow], verification: &Verification, folder: &Path) -> String {
    let exact = &verification.exact;
    let verdict = if exact.agrees() { "agree in every spike" } else { "DISAGREE" };
    let mut out = format!(
        "{}: integer reference and emulator {verdict} ({} of {}; membranes compared in {})\n",
        dir.display(),
        count_text(verification.samples.into(), "samples"),
        count_text(verification.network_steps.into(), "steps"),
        exact.state_samples
    );
    let mut table =
        Table::new(&["layer", "float spikes", "integer spikes", "mismatches", "matching", "rate corr.", "membrane dB"]);
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| snncc_report::number_text(value.into()));
    for layer in &exact.populations {
        let loss = verification.losses.iter().find(|loss| loss.population == layer.population);
        table.row(vec![
            rows.iter().find(|row| row.name == layer.population).map_or(layer.population.clone(), LayerRow::title),
            loss.map_or("–".to_owned(), |loss| snncc_report::number_text(loss.float_spikes.into())),
            snncc_report::number_text(loss.map_or(layer.integer_spikes, |loss| loss.integer_spikes).into()),
            snncc_report::number_text(layer.mismatches.into()),
            loss.map_or("–".to_owned(), |loss| format!("{:.2} %", loss.matching_fraction * 100.0)),
            number(loss.and_then(|loss| loss.rate_correlation)),
            number(loss.and_then(|loss| loss.membrane_sqnr_db)),
        ]);
    }
    out += &table.text(2);
    for found in &verification.accuracy {
        let percent = accuracy(found.correct, found.samples) * 100.0;
        out += &format!("accuracy, {}: {} of {} ({percent:.2} %)\n", found.witness, found.correct, found.samples);
    }
    if !verification.flipped.is_empty() {
        out += &format!(
            "predictions that differ between float and integer reference: {} of {}\n",
            verification.flipped.len(),
            verification.samples
        );
    }
    if !subject.host.is_empty() {
        out += &format!("on the host, and so equal to the float reference: {}\n", subject.host.join(", "));
    }
    out += &saturations(verification);
    for disturbance in &verification.disturbances {
        out += &format!("not in time: {disturbance}\n");
    }
    let chip = &verification.chip;
    let samples = verification.samples.max(1) as f64;
    let energy: u128 = chip.energy_fj.iter().map(|(_, part)| part).sum();
    out += &format!(
        "a sample: {} synaptic events, {}, {} (modelled, costs {})\n",
        snncc_report::number_text((chip.synaptic_events as f64 / samples).into()),
        time_text(chip.time_ps as f64 / samples),
        energy_text(energy as f64 / samples),
        subject.costs
    );
    out += &format!("all figures in {}\n", folder.display());
    out
}
