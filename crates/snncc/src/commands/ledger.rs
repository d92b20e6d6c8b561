//! `snncc ledger`: where a trained network loses accuracy on its way to the chip.
//!
//! The same samples run through a chain of networks, each with one approximation more: the trained one, prepared, clipped,
//! rounded, fed with coded input, spiking in floats, in integers, and mapped in the emulator. What is lost between two
//! neighbours is the cost of one cause.
//!
//! **Invariant:** samples run in parallel and are folded in order, so the result does not depend on the number of threads.

use crate::chip::{ChipEmulator, Recording};
use crate::commands::emulate::{coding_name, in_network_steps};
use crate::conversion_args::ConversionArgs;
use crate::evaluation::{Experiment, Spiking, say_once};
use crate::ledger_args::LedgerArgs;
use crate::output::write_atomically;
use crate::running::{Running, accuracy};
use crate::session::{Outcome, Session, exit, pretty, print, print_json};
use rayon::prelude::*;
use serde_json::{Value as Json, json};
use snncc_convert::CalibrationData;
use snncc_convert::options::{ConvertOptions, ReadoutChoice};
use snncc_convert::stages::{LayerError, Stage, StageResult, Sums, run_stages};
use snncc_data::{Coding, Samples, SpikeTrain};
use snncc_emu::Selection;
use snncc_ids::{AnnNodeId, Diagnostics};
use snncc_ir::Readout;
use snncc_ir::network::Reset;
use snncc_reference::ann::AnnExecutor;
use snncc_reference::float::{FloatInput, FloatNetwork, FloatOptions, FloatTrace, Record};
use snncc_report::{Table, Value};
use snncc_verify::{Compiled, IntegerWitness, predicted_by_membrane, predicted_by_spikes};
use std::collections::BTreeMap;

/// A link of the chain: its name, and what makes it worse than the one before.
type Link = (&'static str, Option<&'static str>);

const TRAINED: Link = ("trained", None);
const PREPARED: Link = ("prepared", Some("replaced layers"));
const CLIPPED: Link = ("clipped", Some("clipping"));
const ROUNDED: Link = ("rounded", Some("rate rounding"));
const CODED: Link = ("coded input", Some("input coding"));
const SUBTRACTING: Link = ("float, subtracting", Some("unevenness and transients"));
const FLOAT: Link = ("float", Some("unevenness and transients"));
const FLOAT_RESET: Link = ("float", Some("hard reset"));
const INTEGER: Link = ("integer", Some("weight bits"));
const INTEGER_RESET: Link = ("integer", Some("weight bits and hard reset"));
const EMULATED: Link = ("emulated", Some("mapping"));

/// A network of the chain on all samples.
struct StageRow {
    link: Link,
    correct: usize,
    /// Errors against the prepared network, by layer; empty where they are not measured.
    layers: Vec<LayerError>,
}

/// The chain for a number of steps.
struct Chain {
    steps: u32,
    samples: usize,
    /// Names and numbers of values of the layers.
    layers: Vec<(String, usize)>,
    stages: Vec<StageRow>,
    verdict: Option<Verdict>,
    /// Samples in which emulator and integer reference do not agree; 0 unless snncc has a bug.
    differing: usize,
}

/// What costs most.
#[derive(Debug, PartialEq)]
struct Verdict {
    stage: &'static str,
    cause: &'static str,
    /// Samples that are right before the stage and not after it, less those the other way round; 0 where no stage loses any.
    lost: usize,
    /// The layer whose relative error grows most in the stage, and by how much; `None` where none grows.
    layer: Option<(String, f64)>,
}

/// Shows the ledger.
pub(crate) fn run(session: &mut Session, args: &LedgerArgs) -> Outcome {
    session.json = args.json;
    let mut experiment = Experiment::open(session, &args.experiment)?;
    let mut chains = Vec::new();
    for steps in &args.steps {
        match chain(session, &mut experiment, *steps) {
            Ok(chain) => chains.push(chain),
            Err(problems) => return Err(session.fail(problems, Some(&experiment.model.source))),
        }
    }
    let json = result(session, args, &experiment, &chains);
    if let Some(path) = &args.output {
        write_atomically(path, pretty(&json).as_bytes()).map_err(|message| session.fail_files(&message))?;
    }
    if args.json {
        print_json(&json);
    } else {
        print(&text(&experiment, &chains));
    }
    let differing: usize = chains.iter().map(|chain| chain.differing).sum();
    if differing > 0 {
        session.note(&format!(
            "emulator and integer reference differ in {differing} runs: this is a bug in snncc; `snncc verify` shows where"
        ));
        return Ok(exit::MISMATCH);
    }
    Ok(0)
}

/// Where the values of a layer are found in a spiking network.
#[derive(Clone)]
enum Place {
    /// Spikes of a population, times what each stands for.
    Spikes { population: String, unit: Vec<f32> },
    /// The membrane of the first output.
    Output {
        /// Membrane of a value of 1 in every step.
        unit: f64,
    },
}

/// A layer whose error is measured.
#[derive(Clone)]
struct Layer {
    node: AnnNodeId,
    name: String,
    place: Place,
}

/// The layers of a converted network: its spiking ones, and an output that does not spike.
fn layers(spiking: &Spiking, options: &ConvertOptions) -> Vec<Layer> {
    let of_spikes = spiking.converted.layers.iter().map(|layer| {
        let unit = layer.scales.iter().flat_map(|scale| std::iter::repeat_n(*scale as f32, layer.plane));
        let place = Place::Spikes { population: layer.name.clone(), unit: unit.collect() };
        Layer { node: layer.node, name: layer.name.clone(), place }
    });
    let output = spiking.converted.prepared.ann.outputs.first();
    // What the output would show if its value were 1 in every step.
    let steps = f64::from(spiking.data.input_steps);
    let unit = match options.readout {
        ReadoutChoice::Membrane => Some(steps),
        ReadoutChoice::Filtered { tau_s } => options.dt_s.map(|dt_s| -(-steps * dt_s / tau_s).exp_m1()),
        ReadoutChoice::Spikes => None,
    };
    let output = output.zip(unit);
    let output =
        output.map(|((name, id), unit)| Layer { node: *id, name: name.clone(), place: Place::Output { unit } });
    of_spikes.chain(output).collect()
}

/// What a spiking network makes of a sample: its class, and the values of the layers.
struct Shown {
    class: Option<u32>,
    values: Vec<Vec<f32>>,
}

impl Shown {
    /// From spike counts by population and the output's membrane.
    fn new(
        layers: &[Layer],
        steps: u32,
        class: Option<u32>,
        counts: &dyn Fn(&str) -> Option<Vec<f64>>,
        membrane: &dyn Fn() -> Vec<f64>,
    ) -> Self {
        let value = |layer: &Layer| match &layer.place {
            Place::Spikes { population, unit } => {
                let counts = counts(population).unwrap_or_else(|| panic!("bug in snncc: `{population}` is not traced"));
                counts.iter().zip(unit).map(|(count, unit)| (count / f64::from(steps)) as f32 * unit).collect()
            }
            Place::Output { unit } => membrane().iter().map(|value| (value / unit) as f32).collect(),
        };
        Self { class, values: layers.iter().map(value).collect() }
    }

    fn of_float(layers: &[Layer], steps: u32, trace: &FloatTrace) -> Self {
        let output = trace.outputs.first();
        let counts = |name: &str| Some(trace.population(name)?.statistics.as_ref()?.activity.clone());
        let class = output.map(|output| output.class() as u32);
        Self::new(layers, steps, class, &counts, &|| output.map_or(Vec::new(), |output| output.last.clone()))
    }
}

/// A spiking network in floats.
struct InFloats<'a> {
    network: FloatNetwork,
    layers: Vec<Layer>,
    spiking: &'a Spiking,
}

impl<'a> InFloats<'a> {
    fn new(spiking: &'a Spiking, args: &ConversionArgs, reset: Option<Reset>) -> Result<Self, Diagnostics> {
        let options = args.options(spiking.data.input_steps, spiking.network.network.dt_s);
        let network = FloatNetwork::new(&spiking.network.network, &FloatOptions { reset, ..FloatOptions::default() })?;
        Ok(Self { network, layers: layers(spiking, &options), spiking })
    }

    fn show(&self, sample: usize) -> Result<Shown, Diagnostics> {
        let coded = self.spiking.data.sample(sample)?;
        let input = FloatInput { spikes: &coded.stimulus, analog: coded.analog };
        let trace = self.network.observe(&input, self.spiking.data.steps, &Record::default())?;
        Ok(Shown::of_float(&self.layers, self.spiking.data.input_steps, &trace))
    }
}

/// The integer reference and the emulator of a compiled network.
struct InIntegers<'a> {
    running: &'a Running,
    compiled: Compiled<'a>,
    reference: IntegerWitness<'a>,
    chip_steps: u32,
}

impl<'a> InIntegers<'a> {
    fn new(running: &'a Running) -> Self {
        let compiled = running.compiled().unwrap_or_else(|message| panic!("bug in snncc: {message}"));
        let reference = IntegerWitness::new(compiled, &running.opened.target.model);
        Self { running, compiled, reference, chip_steps: running.chip_steps() }
    }

    /// The membrane in the network's own units.
    fn in_volts(&self, voltages: &[i64]) -> Vec<f64> {
        let port = self.compiled.outputs().first().expect("bug in snncc: a membrane without output");
        let (units, offset) = self.compiled.units(port.population).expect("bug in snncc: an output without neurons");
        let volts = |(at, v): (usize, &i64)| *v as f64 / units.get(at) + offset.get(at);
        voltages.iter().enumerate().map(volts).collect()
    }

    /// What reference and emulator make of a sample.
    fn show(
        &self,
        emulator: &mut ChipEmulator<'_>,
        layers: &[Layer],
        sample: usize,
    ) -> Result<[Shown; 2], Diagnostics> {
        let (running, compiled) = (self.running, self.compiled);
        let steps = running.data.steps;
        let input = running.sample(sample)?;
        let counts_of = |train: &SpikeTrain, latency: u32| -> Vec<f64> {
            in_network_steps(train, latency, steps).counts().into_iter().map(f64::from).collect()
        };
        let (trace, _) = self.reference.run(&input, self.chip_steps, Vec::new())?;
        let populations = &compiled.graph().populations;
        let counts = |name: &str| {
            let (id, found) = populations.iter_with_ids().find(|(_, population)| population.name == name)?;
            Some(counts_of(&trace.spikes[id], found.latency_steps))
        };
        let predicted = compiled.outputs().first().and_then(|port| match port.readout {
            Readout::Spikes => {
                let latency = populations[port.population].latency_steps;
                Some(predicted_by_spikes(&trace.spikes[port.population], latency, steps))
            }
            Readout::Membrane => {
                Some(predicted_by_membrane(trace.output_voltages.first()?, compiled.units(port.population)?))
            }
        });
        let membrane = || self.in_volts(&trace.output_voltages[0]);
        let input_steps = running.data.input_steps;
        let integer = Shown::new(layers, input_steps, predicted, &counts, &membrane);

        let program = &running.program;
        let recording = Recording { spikes: Selection::All, ..Recording::default() };
        let run = emulator.run(&input.stimulus, self.chip_steps, &recording)?;
        let counts = |name: &str| {
            let at = program.population(name)?;
            let (_, latency) = program.populations().nth(at)?;
            Some(counts_of(run.populations()[at].spikes.as_ref()?, latency))
        };
        let membrane = || {
            let (_, at, _) = program.outputs().next().expect("bug in snncc: a membrane without output");
            let voltages = run.populations()[at].final_membrane.as_ref();
            self.in_volts(voltages.expect("bug in snncc: an output without its membrane"))
        };
        let emulated = Shown::new(layers, input_steps, running.class(&run), &counts, &membrane);
        Ok([integer, emulated])
    }
}

/// Runs all networks of the chain for a number of steps.
fn chain(session: &mut Session, experiment: &mut Experiment<'_>, steps: u32) -> Result<Chain, Diagnostics> {
    let flags = experiment.args;
    let (spiking, warnings) = experiment.convert(session, &flags.conversion, steps)?;
    say_once(session, warnings, experiment);
    let has_hard_reset = flags.lowering.reset.unwrap_or(flags.conversion.reset()) == Reset::ToValue;
    let subtracting = if has_hard_reset {
        let conversion = ConversionArgs { neuron_reset: Some(Reset::BySubtraction), ..flags.conversion.clone() };
        Some(experiment.convert(session, &conversion, steps)?.0)
    } else {
        None
    };
    let on_chip = match &experiment.target {
        Some(_) => {
            let (on_chip, warnings) = experiment.compile(session, &spiking, flags.quantize.weight_bits)?;
            say_once(session, warnings, experiment);
            Some(on_chip)
        }
        None => None,
    };
    let float = InFloats::new(&spiking, &flags.conversion, None)?;
    let subtracting =
        subtracting.as_ref().map(|spiking| InFloats::new(spiking, &flags.conversion, Some(Reset::BySubtraction)));
    let subtracting = subtracting.transpose()?;
    let integers = on_chip.as_ref().map(InIntegers::new);

    let mut chain = Chain {
        steps,
        samples: spiking.data.count,
        layers: Vec::new(),
        stages: Vec::new(),
        verdict: None,
        differing: 0,
    };
    let values = trained_stages(experiment, &spiking, &float.layers, &mut chain)?;
    let spiking_links: Vec<Link> = [
        subtracting.as_ref().map(|_| SUBTRACTING),
        Some(if has_hard_reset { FLOAT_RESET } else { FLOAT }),
        integers.as_ref().map(|_| if flags.lowering.approximate_reset { INTEGER_RESET } else { INTEGER }),
        integers.as_ref().map(|_| EMULATED),
    ]
    .into_iter()
    .flatten()
    .collect();

    let executor = AnnExecutor::new(&spiking.converted.prepared.ann)?;
    let bar = session.bar(&format!("{steps} steps"), chain.samples as u64);
    let one = |emulator: &mut Option<ChipEmulator<'_>>, sample: usize| -> Result<_, Diagnostics> {
        let wanted = layer_values(&executor, &float.layers, &values, sample);
        let mut shown = Vec::with_capacity(spiking_links.len());
        if let Some(subtracting) = &subtracting {
            shown.push(subtracting.show(sample)?);
        }
        shown.push(float.show(sample)?);
        let mut differs = false;
        if let (Some(integers), Some(emulator)) = (&integers, emulator) {
            let [integer, emulated] = integers.show(emulator, &float.layers, sample)?;
            differs = integer.class != emulated.class || integer.values != emulated.values;
            shown.extend([integer, emulated]);
        }
        let sums = |shown: Shown| -> (Option<u32>, Vec<Sums>) {
            (shown.class, wanted.iter().zip(&shown.values).map(|(wanted, shown)| Sums::of(wanted, shown)).collect())
        };
        bar.inc(1);
        Ok((differs, shown.into_iter().map(sums).collect::<Vec<_>>()))
    };
    let emulator = || on_chip.as_ref().map(|running| running.program.emulator());
    let samples: Vec<_> = (0..chain.samples).into_par_iter().map_init(emulator, one).collect();
    bar.finish_and_clear();

    let labels = labels(&spiking);
    let mut totals = vec![(0, vec![Sums::default(); float.layers.len()]); spiking_links.len()];
    for (sample, result) in samples.into_iter().enumerate() {
        let (differs, stages) = result?;
        chain.differing += usize::from(differs);
        for ((correct, totals), (class, sums)) in totals.iter_mut().zip(stages) {
            *correct += usize::from(class == Some(labels[sample]));
            totals.iter_mut().zip(sums).for_each(|(total, sums)| total.add(sums));
        }
    }
    for (link, (correct, totals)) in spiking_links.into_iter().zip(totals) {
        let layers = float.layers.iter().zip(&totals).map(|(layer, sums)| sums.error(layer.node)).collect();
        chain.stages.push(StageRow { link, correct, layers });
    }
    let elements = |layer: &Layer| executor.elements(layer.node);
    chain.layers = float.layers.iter().map(|layer| (layer.name.clone(), elements(layer))).collect();
    chain.verdict = verdict(&chain);
    Ok(chain)
}

fn labels(spiking: &Spiking) -> &[u32] {
    spiking.data.labels.as_deref().expect("bug in snncc: labels are asked for")
}

/// Adds the stages in which the network does not spike yet. Gives what the trained network is fed, by input.
fn trained_stages(
    experiment: &Experiment<'_>,
    spiking: &Spiking,
    layers: &[Layer],
    chain: &mut Chain,
) -> Result<Vec<Vec<f32>>, Diagnostics> {
    let (ann, samples) = (&spiking.converted.prepared.ann, chain.samples);
    // The spiking network has the inputs of the trained one, in their order; the data has them as the user gave them.
    let nodes = spiking.network.network.nodes.iter_with_ids();
    let inputs = nodes.filter(|(_, node)| matches!(node.node, snncc_ir::Node::Input { .. }));
    let find = |name: &str| spiking.data.samples().find(|(port, _)| *port == name).map(|(_, samples)| samples);
    let by_port: Vec<&Samples> = inputs.filter_map(|(_, node)| find(&node.name)).collect();
    let coding = spiking.data.coding;
    let data = CalibrationData::new(ann, &by_port, samples, coding, experiment.args.seed)?;
    let values: Vec<Vec<f32>> = data.values().into_iter().map(<[f32]>::to_vec).collect();
    let input: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    let labels = Some(labels(spiking));
    let row = |link: Link, result: &StageResult| StageRow {
        link,
        correct: result.correct.unwrap_or(0),
        layers: result.layers.clone(),
    };
    let trained = run_stages(&experiment.model.ann, &[], &BTreeMap::new(), &input, samples, labels, &[Stage::Float])?;
    chain.stages.extend(trained.iter().map(|result| row(TRAINED, result)));
    let nodes: Vec<AnnNodeId> = layers.iter().map(|layer| layer.node).collect();
    let scales: BTreeMap<AnnNodeId, Vec<f64>> =
        spiking.converted.layers.iter().map(|layer| (layer.node, layer.scales.clone())).collect();
    let rounded = Stage::Rounded { steps: chain.steps };
    let stages = [Stage::Float, Stage::Clipped, rounded];
    let results = run_stages(ann, &nodes, &scales, &input, samples, labels, &stages)?;
    chain.stages.extend([PREPARED, CLIPPED, ROUNDED].into_iter().zip(&results).map(|(link, result)| row(link, result)));
    if let Some(coded) = coded_values(spiking, chain.steps)? {
        let input: Vec<&[f32]> = coded.iter().map(Vec::as_slice).collect();
        let results = run_stages(ann, &[], &scales, &input, samples, labels, &[rounded])?;
        chain.stages.extend(results.iter().map(|result| row(CODED, result)));
    }
    Ok(values)
}

/// What the spikes that are fed stand for, by input; `None` for codings that are no rates.
fn coded_values(spiking: &Spiking, steps: u32) -> Result<Option<Vec<Vec<f32>>>, Diagnostics> {
    if !matches!(spiking.data.coding, Coding::Rate | Coding::RateRounded | Coding::Poisson) {
        return Ok(None);
    }
    let ranges = &spiking.network.network.run.ranges;
    let mut values: Vec<Vec<f32>> = vec![Vec::new(); ranges.len()];
    for sample in 0..spiking.data.count {
        let coded = spiking.data.sample(sample)?;
        for ((port, (low, high)), values) in ranges.iter().zip(&mut values) {
            let Some(fed) = coded.stimulus.port(port) else { return Ok(None) };
            let value = |count: u32| low + f64::from(count) / f64::from(steps) * (high - low);
            values.extend(fed.spikes.counts().into_iter().map(|count| value(count) as f32));
        }
    }
    Ok(Some(values))
}

/// The values of the layers in the prepared network for one sample.
fn layer_values(executor: &AnnExecutor, layers: &[Layer], input: &[Vec<f32>], sample: usize) -> Vec<Vec<f32>> {
    let of_port = |(values, len): (&Vec<f32>, &usize)| values[sample * len..][..*len].to_vec();
    let input: Vec<Vec<f32>> = input.iter().zip(executor.input_elements()).map(of_port).collect();
    let input: Vec<&[f32]> = input.iter().map(Vec::as_slice).collect();
    let mut values = vec![Vec::new(); layers.len()];
    executor.run(&input, 1, &mut |node, value| {
        for (_, values) in layers.iter().zip(&mut values).filter(|(layer, _)| layer.node == node) {
            value.clone_into(values);
        }
    });
    values
}

/// The stage that loses most, the first of several; where none does, the one whose error grows most.
fn verdict(chain: &Chain) -> Option<Verdict> {
    let mut best: Option<(usize, f64, Verdict)> = None;
    let mut before = chain.stages.first()?;
    // Not every stage has errors: a layer's grows from the last stage that has.
    let mut errors: &[LayerError] = &[];
    for stage in &chain.stages[1..] {
        let lost = before.correct.saturating_sub(stage.correct);
        let growth = |at: usize| stage.layers[at].relative_rms - errors.get(at).map_or(0.0, |error| error.relative_rms);
        let growths = (0..stage.layers.len())
            .map(|at| (at, growth(at)))
            .filter(|(_, growth)| growth.is_finite() && *growth > 0.0);
        let grown = growths.reduce(|most, next| if next.1 > most.1 { next } else { most });
        let layer = grown.map(|(at, growth)| (chain.layers[at].0.clone(), growth));
        let grown = grown.map_or(0.0, |(_, growth)| growth);
        if best.as_ref().is_none_or(|(most, error, _)| lost > *most || (lost == *most && lost == 0 && grown > *error)) {
            let cause = stage.link.1.expect("bug in snncc: only the first stage has no cause");
            best = Some((lost, grown, Verdict { stage: stage.link.0, cause, lost, layer }));
        }
        if !stage.layers.is_empty() {
            errors = &stage.layers;
        }
        before = stage;
    }
    best.map(|(_, _, verdict)| verdict)
}

fn result(session: &Session, args: &LedgerArgs, experiment: &Experiment<'_>, chains: &[Chain]) -> Json {
    let finite = |value: f64| json!(Value::from(value));
    let chain_json = |chain: &Chain| {
        let share = |correct: usize| accuracy(correct as u64, chain.samples as u64);
        let mut before: Option<usize> = None;
        let stages: Vec<Json> = chain
            .stages
            .iter()
            .map(|stage| {
                let drop = before.replace(stage.correct).map(|before| share(before) - share(stage.correct));
                let layer = |((name, _), error): (&(String, usize), &LayerError)| {
                    json!({
                        "layer": name,
                        "relative_rms": finite(error.relative_rms),
                        "mean_shift": finite(error.mean_shift),
                    })
                };
                json!({
                    "stage": stage.link.0,
                    "cause": stage.link.1,
                    "correct": stage.correct,
                    "accuracy": share(stage.correct),
                    "drop": drop,
                    "layers": chain.layers.iter().zip(&stage.layers).map(layer).collect::<Vec<_>>(),
                })
            })
            .collect();
        let layer = |(name, values): &(String, usize)| json!({ "layer": name, "values": values });
        json!({
            "steps": chain.steps,
            "layers": chain.layers.iter().map(layer).collect::<Vec<_>>(),
            "stages": stages,
            "verdict": chain.verdict.as_ref().map(|verdict| json!({
                "stage": verdict.stage,
                "cause": verdict.cause,
                "lost": share(verdict.lost),
                "layer": verdict.layer.as_ref().map(|(name, _)| name),
                "error_growth": verdict.layer.as_ref().map(|(_, growth)| finite(*growth)),
            })),
            "differing_samples": chain.differing,
        })
    };
    json!({
        "model": experiment.model_name(),
        "target": experiment.target.as_ref().map(|target| target.target.name()),
        "coding": coding_name(args.experiment.coding.unwrap_or(Coding::RateRounded)),
        "samples": chains.first().map(|chain| chain.samples),
        "runs": chains.iter().map(chain_json).collect::<Vec<_>>(),
        "diagnostics": session.diagnostics_json(),
    })
}

/// Stages by numbers of steps, and the verdicts.
fn text(experiment: &Experiment<'_>, chains: &[Chain]) -> String {
    let Some(first) = chains.first() else { return String::new() };
    let heads: Vec<String> = chains.iter().map(|chain| format!("{} steps", chain.steps)).collect();
    let heads: Vec<&str> = ["stage", "cause"].into_iter().chain(heads.iter().map(String::as_str)).collect();
    let mut table = Table::new(&heads);
    for (at, stage) in first.stages.iter().enumerate() {
        let mut row = vec![stage.link.0.to_owned(), stage.link.1.unwrap_or("").to_owned()];
        let percent = |chain: &Chain| accuracy(chain.stages[at].correct as u64, chain.samples as u64) * 100.0;
        row.extend(chains.iter().map(|chain| format!("{:.2} %", percent(chain))));
        table.row(row);
    }
    let samples = snncc_report::count_text((first.samples as u64).into(), "samples");
    let mut out = format!("{}: {samples}\n{}", experiment.model_name(), table.text(2));
    for chain in chains {
        let Some(verdict) = &chain.verdict else { continue };
        let layer = verdict.layer.as_ref().map_or(String::new(), |(name, growth)| {
            format!("; in layer `{name}`, whose error grows most (by {:.2} %)", growth * 100.0)
        });
        let points = accuracy(verdict.lost as u64, chain.samples as u64) * 100.0;
        out += &match verdict.lost {
            0 => format!(
                "{} steps: no stage loses accuracy; most error comes from {}{layer}\n",
                chain.steps, verdict.cause
            ),
            _ => format!("{} steps: {} costs most, {points:.2} points{layer}\n", chain.steps, verdict.cause),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(link: Link, correct: usize, errors: &[f64]) -> StageRow {
        let error =
            |relative_rms: &f64| LayerError { node: AnnNodeId(0), relative_rms: *relative_rms, mean_shift: 0.0 };
        StageRow { link, correct, layers: errors.iter().map(error).collect() }
    }

    fn chain(stages: Vec<StageRow>) -> Chain {
        let layers = vec![("fc1".to_owned(), 4), ("fc2".to_owned(), 2)];
        Chain { steps: 4, samples: 10, layers, stages, verdict: None, differing: 0 }
    }

    #[test]
    fn the_largest_drop_and_the_layer_where_its_error_grows() {
        let found = verdict(&chain(vec![
            row(TRAINED, 10, &[]),
            row(PREPARED, 10, &[0.0, 0.0]),
            row(CLIPPED, 9, &[0.1, 0.2]),
            row(CODED, 9, &[]),
            row(FLOAT, 6, &[0.4, 0.3]),
        ]));
        let found = found.unwrap();
        assert_eq!((found.cause, found.lost), ("unevenness and transients", 3));
        let (layer, growth) = found.layer.unwrap();
        assert_eq!(layer, "fc1");
        assert!((growth - 0.3).abs() < 1e-12);
    }

    #[test]
    fn without_a_drop_the_error_decides() {
        let stages = vec![row(TRAINED, 9, &[]), row(CLIPPED, 9, &[0.1, 0.2]), row(ROUNDED, 10, &[0.15, 0.9])];
        let found = verdict(&chain(stages)).unwrap();
        assert_eq!((found.stage, found.lost), ("rounded", 0));
        assert_eq!(found.layer.unwrap().0, "fc2");
    }
}
