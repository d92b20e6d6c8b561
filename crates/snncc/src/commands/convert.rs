//! `snncc convert`: from a trained network to a spiking one, as RON or NIR.

use crate::args::ConvertArgs;
use crate::conversion::{self, Request};
use crate::output::write_atomically;
use crate::session::{self, Outcome, Session};
use serde_json::json;
use snncc_convert::build::MemoryKind;
use snncc_convert::early_exit::CONFIDENCE;
use snncc_convert::options::{Filter, NeuronKind};
use snncc_convert::{Converted, ExitCalibration, LayerReport, WeightOutcome, WeightReport};
use snncc_formats::{nir, ron_network};
use snncc_ids::{Diagnostic, code};
use snncc_ir::network::Reset;
use std::fmt::Write as _;
use std::path::Path;

/// Values that are written into the RON text itself.
const INLINE_VALUES: usize = 16;

/// Converts a network.
pub(crate) fn run(session: &mut Session, args: &ConvertArgs) -> Outcome {
    session.json = args.json;
    if super::sanafe::is_architecture(&args.model) {
        return super::sanafe::run(session, args);
    }
    if args.network.is_some() {
        return Err(session.usage("a second file goes with an architecture of SANA-FE (.yaml) only"));
    }
    let output = args.output.clone().unwrap_or_else(|| args.model.with_extension("ron"));
    let is_nir = output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("nir"));
    if !is_nir && output.extension().is_none_or(|extension| extension != "ron") {
        return Err(session.usage(&format!("`{}` is neither .ron nor .nir", output.display())));
    }
    if !conversion::is_model(&args.model) {
        return rewrite(session, args, &output, is_nir);
    }
    // Checked before the work, not after it.
    args.target.as_deref().map(|name| crate::load::target(session, name)).transpose()?;
    let mut model = conversion::read(session, &args.model)?;
    let request = Request {
        args: &args.conversion,
        calibrate: &args.calibrate,
        samples: args.calibrate_samples,
        steps: args.steps,
        coding: args.coding,
        dt_s: args.dt,
        seed: args.seed,
        early_exit_changes: args.exit.changes(),
    };
    let converted = conversion::run(session, &mut model, &request)?;
    write(session, &converted.network, &output, is_nir)?;
    if args.json {
        session::print_json(&json!({
            "output": output.display().to_string(),
            "steps": args.steps,
            "run_steps": { "taken": converted.run_steps(args.steps), "pipelined": args.steps,
                "layers": converted.layered_steps(args.steps) },
            "neurons": converted.report.iter().map(|layer| layer.neurons).sum::<usize>(),
            "agreement": converted.agreement,
            "early_exit": converted.early_exit,
            "filter_taus_s": converted.filter.map(|filter| filter.taus_s()),
            "layers": converted.report,
            "weights": converted.weights,
            "diagnostics": session.diagnostics_json(),
        }));
    } else {
        session::print(&table(&converted, args.steps));
    }
    if refused_filter(&converted, args) {
        session.note(
            "note: on chips a synaptic filter takes the place in which spikes subtract (SNN0205): this network runs in floats; \
             with `--neuron-reset to-value` it compiles",
        );
    }
    let target = args.target.as_deref().unwrap_or("loihi-emu");
    session.next(&format!("snncc compile {} --target {target}", output.display()));
    Ok(0)
}

/// Whether there is a filter in front of neurons whose spikes subtract: a compartment's current cannot be both.
fn refused_filter(converted: &Converted, args: &ConvertArgs) -> bool {
    let integrates = converted.layers.iter().any(|layer| layer.memory == MemoryKind::Integrates);
    matches!(converted.filter, Some(Filter::Lowpass { .. }))
        && args.conversion.neuron == NeuronKind::IntegrateAndFire
        && args.conversion.reset() == Reset::BySubtraction
        && integrates
}

/// A spiking network that is only written in the other format.
fn rewrite(session: &mut Session, args: &ConvertArgs, output: &Path, is_nir: bool) -> Outcome {
    let loaded = crate::load::network(session, &args.model)?;
    write(session, &loaded.network, output, is_nir)?;
    if args.json {
        session::print_json(&json!({ "output": output.display().to_string() }));
    }
    Ok(0)
}

/// Writes a network, with its tensors beside it.
pub(crate) fn write(session: &mut Session, network: &snncc_ir::Network, output: &Path, is_nir: bool) -> Outcome<()> {
    let files: Vec<(std::path::PathBuf, Vec<u8>)> = if is_nir {
        let bytes = nir::write_nir(network).map_err(|problems| session.fail(problems, None))?;
        vec![(output.to_owned(), bytes)]
    } else {
        let tensors = output.with_extension("npz");
        let name = tensors.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        let written = ron_network::write_network(network, &name, INLINE_VALUES);
        let beside = written.files.into_iter().map(|(_, bytes)| (tensors.clone(), bytes));
        beside.chain([(output.to_owned(), written.text.into_bytes())]).collect()
    };
    for (path, bytes) in files {
        write_atomically(&path, &bytes)
            .map_err(|message| session.fail(Diagnostic::error(code::OUTPUT_FOLDER, message).into(), None))?;
    }
    Ok(())
}

/// What became of weights, as a table; nothing where they were not to be moved.
fn weights_text(weights: &[WeightReport]) -> String {
    let width = weights.iter().map(|layer| layer.name.chars().count()).max().unwrap_or(0).max(7);
    let mut text = String::new();
    if !weights.is_empty() {
        let _ = writeln!(text, "{:width$}  inputs  error of its sums (before → after)", "weights");
    }
    for WeightReport { name, inputs, error, outcome, ridge, .. } in weights {
        let outcome = match outcome {
            WeightOutcome::Moved => format!("moved, ridge {}", ridge.unwrap_or_default()),
            WeightOutcome::BiasMoved => "only the bias moved".to_owned(),
            WeightOutcome::Kept => "kept: no change is better on the samples held out".to_owned(),
            WeightOutcome::TakenBack => "kept: the network as a whole named fewer classes right".to_owned(),
            WeightOutcome::TooWide => "kept: too many inputs to fit".to_owned(),
            WeightOutcome::Pruned => "kept: pruned, and changes would be synapses".to_owned(),
        };
        let _ = writeln!(text, "{name:width$}  {inputs:6}  {:7.4} → {:7.4}  {outcome}", error[0], error[1]);
    }
    text
}

/// The layers as a table.
fn table(converted: &Converted, steps: u32) -> String {
    let width = converted.report.iter().map(|layer| layer.name.chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!(
        "{:width$}  neurons  scale (min mean max)      clipped   rate  mean (ANN → SNN)    shift (before → after)\n",
        "layer"
    );
    for layer in &converted.report {
        let LayerReport { name, neurons, scale, clipped, rate, mean_activation, mean_spiking, shift, .. } = layer;
        let _ = writeln!(
            text,
            "{name:width$}  {neurons:7}  {:7.3} {:7.3} {:7.3}  {:7.3} %  {rate:5.3}  {mean_activation:7.4} → {mean_spiking:7.4}  \
             {:7.4} → {:7.4}",
            scale[0],
            scale[1],
            scale[2],
            clipped * 100.0,
            shift[0],
            shift[1],
        );
    }
    text += &weights_text(&converted.weights);
    if let Some(last) = converted.report.last().filter(|layer| layer.settling_steps > 0.0) {
        let taus = converted.filter.map_or(Vec::new(), |filter| filter.taus_s());
        let taus: Vec<String> = taus.iter().map(|tau_s| format!("{:.3} ms", tau_s * 1e3)).collect();
        let filters = if taus.is_empty() { String::new() } else { format!("filters of {}; ", taus.join(" and ")) };
        let _ = writeln!(
            text,
            "{filters}the last layer has settled {:.0} steps after its input came, {} steps after the network's",
            last.settling_steps, last.latency_steps
        );
    }
    let neurons: usize = converted.report.iter().map(|layer| layer.neurons).sum();
    let _ = writeln!(
        text,
        "{neurons} spiking neurons; the same class as the trained network on {:.1} % of the calibration samples at {steps} steps",
        converted.agreement * 100.0
    );
    text += &latency_text(converted, steps);
    if let Some(exit) = &converted.early_exit {
        let _ = writeln!(text, "early exit: {}", exit_text(exit));
    }
    text
}

/// How long a sample takes, in both schedules.
fn latency_text(converted: &Converted, steps: u32) -> String {
    let layered = converted.layered_steps(steps);
    let holds = converted.report.iter().filter_map(|layer| layer.hold);
    match holds.reduce(f64::max) {
        None => format!("latency: {steps} steps a sample; with `--schedule layers` {layered}\n"),
        Some(hold) => format!(
            "latency: {layered} steps a sample, since layers wait for all of their input (held by up to {hold} thresholds); \
             pipelined {steps}\n"
        ),
    }
}

/// What the calibration of an early exit found.
fn exit_text(exit: &ExitCalibration) -> String {
    let ExitCalibration { samples, changed, first_step, steps, mean_steps, .. } = exit;
    let (allowed, confidence) = (exit.allowed * 100.0, CONFIDENCE * 100.0);
    match exit.margin {
        Some(margin) => format!(
            "a lead of {margin} from step {first_step} on; {mean_steps:.1} of {steps} steps on average, and {changed} of {samples} \
             answers change (at most {allowed} % of all, with {confidence} % confidence)"
        ),
        None if (*samples as u64) < exit.least_samples() => format!(
            "no rule; that at most {allowed} % of the answers change takes {} calibration samples to show, these are {samples}",
            exit.least_samples()
        ),
        None => format!("no rule; every margin changes more than {allowed} % of the answers"),
    }
}
