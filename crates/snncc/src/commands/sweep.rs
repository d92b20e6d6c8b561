//! `snncc sweep`: accuracy, latency and energy of a trained network over all combinations of some options.
//!
//! Points that differ in nothing that a conversion sees share one. Within a point, samples run in parallel.

use crate::chip::ChipEmulator;
use crate::conversion_args::ConversionArgs;
use crate::evaluation::{Experiment, Spiking, say_once};
use crate::ledger_args::{Setting, SweepArgs, Vary};
use crate::output::write_atomically;
use crate::running::{Running, accuracy};
use crate::session::{Outcome, Session, exit, pretty, print};
use crate::sums::RunSums;
use crate::{interrupted, stop_early_when_interrupted};
use rayon::prelude::*;
use serde_json::{Map, Value as Json, json};
use snncc_compile::lower::{LowerOptions, lower};
use snncc_convert::noise::{lowpass_variance, settling_steps};
use snncc_convert::options::{Balance, Filter, ReadoutChoice};
use snncc_ids::Diagnostics;
use snncc_ir::IrWeights;
use snncc_ir::network::Reset;
use snncc_reference::float::{FloatInput, FloatNetwork, FloatOptions, FloatTrace, Record};
use snncc_report::{Table, Value};
use std::sync::Mutex;

/// Most points of a sweep.
const MOST_POINTS: usize = 100_000;

/// What a point is converted and compiled with.
#[derive(Clone)]
struct Point {
    /// The values that vary, as they were written.
    values: Vec<String>,
    conversion: ConversionArgs,
    /// Tells points with the same conversion.
    key: String,
    steps: u32,
    weight_bits: Option<u8>,
    tau_s: Option<f64>,
    wants_variance: bool,
}

/// What came of a point.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    /// `chip` or `float`; nothing where nothing ran.
    run_on: Option<&'static str>,
    correct: u64,
    samples: u64,
    spikes: f64,
    /// What only a chip has.
    chip: Option<ChipFigures>,
    variance: Option<f64>,
    variance_formula: Option<f64>,
    pareto: bool,
    error: Option<String>,
}

/// Figures of the chip: totals over all samples but for the steps.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ChipFigures {
    chip_steps: u32,
    synaptic_events: u128,
    time_ps: u128,
    energy_fj: u128,
}

/// Runs a sweep.
pub(crate) fn run(session: &mut Session, args: &SweepArgs) -> Outcome {
    session.json = true;
    if !args.float && args.experiment.target.is_none() {
        return Err(session.usage("name a --target, or run with --float"));
    }
    let points = points(args).map_err(|message| session.usage(&message))?;
    let mut experiment = Experiment::open(session, &args.experiment)?;
    if args.float {
        experiment.target = None;
    }
    // One conversion after the other, each with all its points; rows stand in the order of the product.
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| points[*a].key.cmp(&points[*b].key));
    let mut rows: Vec<Option<Row>> = vec![None; points.len()];
    let mut converted: Option<(&str, Result<Spiking, Diagnostics>)> = None;
    let mut failed: Option<Diagnostics> = None;
    let bar = session.bar("sweep", points.len() as u64);
    stop_early_when_interrupted(true);
    for at in order {
        if interrupted() {
            break;
        }
        let point = &points[at];
        if converted.as_ref().is_none_or(|(key, _)| *key != point.key) {
            let spiking = experiment.convert(session, &point.conversion, point.steps);
            let spiking = spiking.map(|(spiking, warnings)| {
                say_once(session, warnings, &experiment);
                spiking
            });
            if let (Err(problems), None) = (&spiking, &failed) {
                failed = Some(problems.clone());
            }
            converted = Some((&point.key, spiking));
        }
        let row = match &converted {
            Some((_, Ok(spiking))) => evaluate(session, &experiment, spiking, point),
            Some((_, Err(problems))) => Some(Row::failed(problems)),
            None => None,
        };
        rows[at] = row;
        bar.inc(1);
    }
    bar.finish_and_clear();
    stop_early_when_interrupted(false);
    mark_pareto(&mut rows, &points);
    let done: Vec<(usize, &Row)> = rows.iter().enumerate().filter_map(|(at, row)| Some((at, row.as_ref()?))).collect();
    let text = if args.json { json_text(&experiment, args, &points, &done) } else { csv(args, &points, &done) };
    match &args.output {
        Some(path) => write_atomically(path, text.as_bytes()).map_err(|message| session.fail_files(&message))?,
        None => print(&text),
    }
    if interrupted() {
        session.note(&format!("interrupted: these are {} of {} points", done.len(), points.len()));
        return Ok(exit::INTERRUPTED);
    }
    if done.iter().any(|(_, row)| row.run_on.is_some()) {
        return Ok(0);
    }
    match failed {
        // What is wrong with the files is wrong at every point.
        Some(problems) => Err(session.fail(problems, Some(&experiment.model.source))),
        None => {
            session.note("no point could be run; see the column `error`");
            Ok(exit::INPUT)
        }
    }
}

/// The product of what varies, the last option fastest.
fn points(args: &SweepArgs) -> Result<Vec<Point>, String> {
    let names: Vec<&str> = args.vary.iter().map(|vary| vary.name).collect();
    if let Some(twice) = (1..names.len()).find(|at| names[..*at].contains(&names[*at])) {
        return Err(format!("--vary names `{}` twice", names[twice]));
    }
    let is_filtered = |vary: &Vary| vary.values.iter().any(|(_, value)| matches!(value, Setting::Tau(Some(_))));
    if args.vary.iter().any(is_filtered) && args.experiment.lowering.dt.is_none() {
        return Err("a filter has a time constant in seconds: give the time step, such as --dt 1ms".to_owned());
    }
    let count = args.vary.iter().try_fold(1_usize, |count, vary| count.checked_mul(vary.values.len()));
    let count = count.filter(|count| *count <= MOST_POINTS);
    let count = count.ok_or_else(|| format!("these are more than {MOST_POINTS} points"))?;
    let conversion = &args.experiment.conversion;
    let tau_s = match conversion.filter {
        Some(Filter::Lowpass { tau_s }) => Some(tau_s),
        _ => None,
    };
    let start = Point {
        values: Vec::new(),
        conversion: conversion.clone(),
        key: String::new(),
        steps: args.steps,
        weight_bits: args.experiment.quantize.weight_bits,
        tau_s,
        // A filtered output is no sum of what is decoded in each step.
        wants_variance: (tau_s.is_some() || names.contains(&"tau"))
            && !matches!(conversion.readout, ReadoutChoice::Filtered { .. }),
    };
    let mut points = Vec::with_capacity(count);
    for number in 0..count {
        let mut point = start.clone();
        let mut rest = number;
        for vary in args.vary.iter().rev() {
            let (text, setting) = &vary.values[rest % vary.values.len()];
            rest /= vary.values.len();
            point.values.push(text.clone());
            point.set(*setting);
        }
        point.values.reverse();
        let ConversionArgs { balance, firing_rate, filter, .. } = &point.conversion;
        point.key = format!("{:?}", (point.steps, balance, firing_rate, filter));
        points.push(point);
    }
    Ok(points)
}

impl Point {
    fn set(&mut self, setting: Setting) {
        match setting {
            Setting::Steps(steps) => self.steps = steps,
            Setting::WeightBits(bits) => self.weight_bits = Some(bits),
            Setting::Percentile(percent) => {
                let of_active = matches!(self.conversion.balance, Balance::Percentile { of_active: true, .. });
                self.conversion.balance = Balance::Percentile { percent, of_active };
            }
            Setting::Tau(tau_s) => {
                self.tau_s = tau_s;
                self.conversion.filter = tau_s.map(|tau_s| Filter::Lowpass { tau_s });
            }
            Setting::FiringRate(rate) => {
                self.conversion.firing_rate.retain(|(layer, _)| layer.is_some());
                self.conversion.firing_rate.push((None, rate));
            }
        }
    }
}

impl Row {
    fn failed(problems: &Diagnostics) -> Self {
        Self { error: Some(reason(problems)), ..Self::default() }
    }

    fn accuracy(&self) -> f64 {
        accuracy(self.correct, self.samples)
    }
}

/// The first error, in a line.
fn reason(problems: &Diagnostics) -> String {
    let first = problems.0.iter().find(|problem| problem.severity == snncc_ids::Severity::Error);
    first.map_or(String::new(), |problem| format!("{}: {}", problem.code, problem.message.replace('\n', " ")))
}

/// Runs a point; `None` where the user interrupted it.
fn evaluate(session: &mut Session, experiment: &Experiment<'_>, spiking: &Spiking, point: &Point) -> Option<Row> {
    let on_chip = experiment.target.is_some().then(|| experiment.compile(session, spiking, point.weight_bits));
    let mut row = match on_chip {
        Some(Ok((on_chip, warnings))) => {
            say_once(session, warnings, experiment);
            chip_row(&on_chip).transpose()?.unwrap_or_else(|problems| Row::failed(&problems))
        }
        Some(Err(problems)) => Row::failed(&problems),
        None => Row::default(),
    };
    // Filters that the chip does not have still have figures in floats.
    let in_floats = row.run_on.is_none() && (experiment.target.is_none() || point.tau_s.is_some());
    if in_floats || (point.wants_variance && row.run_on.is_some()) {
        match float_row(spiking, point).transpose()? {
            Ok(float) if in_floats => {
                row = Row { error: row.error.map(|error| in_floats_because(&error, point)), ..float }
            }
            Ok(float) => (row.variance, row.variance_formula) = (float.variance, float.variance_formula),
            Err(problems) => row.error = row.error.or_else(|| Some(reason(&problems))),
        }
    }
    Some(row)
}

/// What a row says that ran in floats since the chip did not take the network.
fn in_floats_because(error: &str, point: &Point) -> String {
    let remedy = match point.conversion.reset() {
        Reset::ToValue => "",
        _ => "; with `--neuron-reset to-value` it runs on the chip",
    };
    format!("ran in floats, since the chip refuses it: {error}{remedy}")
}

/// Runs all samples in the emulator.
fn chip_row(running: &Running) -> Result<Option<Row>, Diagnostics> {
    let chip_steps = running.chip_steps();
    let recording = running.recording(chip_steps);
    let sums = Mutex::new(RunSums::default());
    let run = |emulator: &mut ChipEmulator<'_>, sample: usize| -> Result<Option<bool>, Diagnostics> {
        if interrupted() {
            return Ok(None);
        }
        let result = running.run_sample(emulator, sample, chip_steps, &recording, None)?;
        sums.lock().expect("bug in snncc: a run panicked").add(sample, &result);
        Ok(Some(result.class.is_some() && label(&running.data.labels, sample) == result.class))
    };
    let results: Vec<_> =
        (0..running.data.count).into_par_iter().map_init(|| running.program.emulator(), run).collect();
    let mut row = Row { run_on: Some("chip"), ..Row::default() };
    for result in results {
        let Some(is_right) = result? else { return Ok(None) };
        row.correct += u64::from(is_right);
        row.samples += 1;
    }
    let sums = sums.into_inner().expect("bug in snncc: a run panicked");
    row.spikes = sums.spikes.iter().sum::<u128>() as f64 / row.samples as f64;
    row.chip = Some(ChipFigures {
        chip_steps,
        synaptic_events: sums.counts.get("synaptic_events"),
        time_ps: sums.time_ps,
        energy_fj: sums.energy_fj.total(),
    });
    Ok(Some(row))
}

fn label(labels: &Option<Vec<u32>>, sample: usize) -> Option<u32> {
    labels.as_ref().map(|labels| labels[sample])
}

/// What one sample gave in floats.
struct FloatSample {
    class: usize,
    spikes: u64,
    /// Of the output: as measured, and by the formula.
    variances: [Option<f64>; 2],
}

/// Runs all samples in floats.
fn float_row(spiking: &Spiking, point: &Point) -> Result<Option<Row>, Diagnostics> {
    let network = FloatNetwork::new(&spiking.network.network, &FloatOptions::default())?;
    // Neurons that no chip has show no synapses: there is a measured variance, and none by the formula.
    let readout = if point.wants_variance { OutputSynapses::of(spiking).ok() } else { None };
    let dt_s = spiking.network.network.dt_s;
    let tau_steps = point.tau_s.zip(dt_s).map(|(tau_s, dt_s)| tau_s / dt_s);
    let (data, steps) = (&spiking.data, spiking.data.steps);
    // Those of the layers, and that of what is decoded.
    let filters = 1 + spiking.converted.report.iter().map(|layer| layer.latency_steps).max().unwrap_or(0);
    let settling = tau_steps.map_or(0.0, |tau| settling_steps(&[tau], filters));
    let record = Record { outputs: point.wants_variance, ..Record::default() };
    let run = |sample: usize| -> Result<Option<FloatSample>, Diagnostics> {
        if interrupted() {
            return Ok(None);
        }
        let coded = data.sample(sample)?;
        let trace = network.observe(&FloatInput { spikes: &coded.stimulus, analog: coded.analog }, steps, &record)?;
        let class = trace.outputs.first().map_or(0, |output| output.class());
        let neurons = trace.populations.iter().filter(|population| !population.is_input);
        let spikes = neurons.map(|population| population.spike_count).sum();
        let unit = readout.as_ref().and_then(|readout| readout.unit.as_deref());
        let variance = if point.wants_variance { output_variance(&trace, tau_steps, settling, unit) } else { None };
        let formula = readout.as_ref().zip(tau_steps).and_then(|(readout, tau)| readout.variance(&trace, tau));
        Ok(Some(FloatSample { class, spikes, variances: [variance, formula] }))
    };
    let results: Vec<_> = (0..data.count).into_par_iter().map(run).collect();
    let mut row = Row { run_on: Some("float"), ..Row::default() };
    let mut variances = [(0.0, 0_u64); 2];
    let mut spikes = 0;
    for (sample, result) in results.into_iter().enumerate() {
        let Some(FloatSample { class, spikes: fired, variances: found }) = result? else { return Ok(None) };
        row.correct += u64::from(label(&data.labels, sample) == Some(class as u32));
        row.samples += 1;
        spikes += fired;
        for ((sum, count), value) in variances.iter_mut().zip(found) {
            if let Some(value) = value {
                *sum += value;
                *count += 1;
            }
        }
    }
    row.spikes = spikes as f64 / row.samples as f64;
    let [variance, formula] = variances.map(|(sum, count)| (count > 0).then(|| sum / count as f64));
    (row.variance, row.variance_formula) = (variance, formula);
    Ok(Some(row))
}

/// Mean over the elements of the first output of the variance of what is decoded in each step: the growth of a membrane, or
/// spikes times their `unit`, through the lowpass filter. The first half of the run and the first `settling` steps do not
/// count: while filters settle, what is decoded drifts by more than the noise. `None` where no step is left.
fn output_variance(trace: &FloatTrace, tau_steps: Option<f64>, settling: f64, unit: Option<&[f64]>) -> Option<f64> {
    let output = trace.outputs.first()?;
    let values = output.values.as_ref()?;
    let elements = output.last.len();
    let keep = tau_steps.map_or(0.0, |tau| (-1.0 / tau).exp());
    let steps = values.len() / elements.max(1);
    let start = (steps / 2).max(settling.ceil() as usize);
    let mut sum = 0.0;
    for element in 0..elements {
        let (mut before, mut filtered) = (0.0, 0.0);
        let (mut mean, mut squares, mut count) = (0.0, 0.0, 0.0);
        for step in 0..steps {
            let value = values[step * elements + element];
            let decoded = if output.spiking { value * unit.map_or(1.0, |unit| unit[element]) } else { value - before };
            before = value;
            filtered = keep * filtered + (1.0 - keep) * decoded;
            if step >= start {
                // Welford: no difference of large sums.
                count += 1.0;
                let difference = filtered - mean;
                mean += difference / count;
                squares += difference * (filtered - mean);
            }
        }
        sum += squares / count;
    }
    (elements > 0 && steps > start).then(|| sum / elements as f64)
}

/// What a spike of each source adds to the elements of the first output.
struct OutputSynapses {
    elements: usize,
    /// Source population, and the sum over the output's elements of the squares of each neuron's weights.
    sources: Vec<(String, Vec<f64>)>,
    /// Where spikes are read: what each stands for.
    unit: Option<Vec<f64>>,
}

impl OutputSynapses {
    fn of(spiking: &Spiking) -> Result<Self, Diagnostics> {
        // Neither weights nor names depend on the reset, and some resets have no form on a chip.
        let options = LowerOptions { align: false, reset: Some(Reset::ToValue), ..LowerOptions::default() };
        let ir = lower(&spiking.network.network, &options)?.ir;
        let Some(output) = ir.outputs.first() else {
            return Ok(Self { elements: 0, sources: Vec::new(), unit: None });
        };
        let population = &ir.graph.populations[output.population];
        if output.readout == snncc_ir::Readout::Spikes {
            let layer = spiking.converted.layers.iter().find(|layer| layer.name == population.name);
            let unit: Option<Vec<f64>> = layer
                .map(|layer| layer.scales.iter().flat_map(|scale| std::iter::repeat_n(*scale, layer.plane)).collect());
            let squares = unit.iter().flatten().map(|scale| scale * scale).collect();
            return Ok(Self { elements: population.len(), sources: vec![(population.name.clone(), squares)], unit });
        }
        let mut sources = Vec::new();
        for (id, projection) in ir.graph.projections.iter_with_ids() {
            let IrWeights::Float(weights) = &ir.weights[id] else { continue };
            if projection.target != output.population {
                continue;
            }
            let mut squares = vec![0.0; projection.source_len as usize];
            for (source, sum) in (0..projection.source_len).zip(&mut squares) {
                projection.fan_out(source, |synapse| *sum += weights[synapse.weight].powi(2));
            }
            sources.push((ir.graph.populations[projection.source].name.clone(), squares));
        }
        Ok(Self { elements: population.len(), sources, unit: None })
    }

    /// The variance that the rates of a run let expect, mean over the elements.
    fn variance(&self, trace: &FloatTrace, tau_steps: f64) -> Option<f64> {
        let mut sum = 0.0;
        for (name, squares) in &self.sources {
            let activity = &trace.population(name)?.statistics.as_ref()?.activity;
            let rates = activity.iter().map(|spikes| spikes / f64::from(trace.steps));
            sum += rates.zip(squares).map(|(rate, square)| square * lowpass_variance(rate, tau_steps)).sum::<f64>();
        }
        (self.elements > 0).then(|| sum / self.elements as f64)
    }
}

/// Marks the points that no other one beats: as accurate, as fast and as frugal, and better in one of these. Points on the
/// chip and points in floats are not compared; in floats, fast means few steps.
fn mark_pareto(rows: &mut [Option<Row>], points: &[Point]) {
    let costs = |at: usize, row: &Row| {
        let per_sample = |total: u128| total as f64 / row.samples as f64;
        row.chip.map_or([-row.accuracy(), f64::from(points[at].steps), 0.0], |chip| {
            [-row.accuracy(), per_sample(chip.time_ps), per_sample(chip.energy_fj)]
        })
    };
    let ran: Vec<(usize, &'static str, [f64; 3])> = rows
        .iter()
        .enumerate()
        .filter_map(|(at, row)| row.as_ref().and_then(|row| Some((at, row.run_on?, costs(at, row)))))
        .collect();
    let beats = |a: &[f64; 3], b: &[f64; 3]| a.iter().zip(b).all(|(a, b)| a <= b) && a != b;
    for (at, run_on, own) in &ran {
        let beaten = ran.iter().any(|(_, other_on, other)| other_on == run_on && beats(other, own));
        if let Some(row) = &mut rows[*at] {
            row.pareto = !beaten;
        }
    }
}

/// Columns of a row behind what varies.
fn cells(point: &Point, row: &Row) -> Vec<(&'static str, Json)> {
    let ran = row.run_on.is_some();
    let per_sample = |total: u128| total as f64 / row.samples as f64;
    let chip = row.chip.as_ref();
    let finite = |value: Option<f64>| json!(value.map(Value::from));
    vec![
        ("run_on", json!(row.run_on)),
        ("accuracy", json!(ran.then(|| row.accuracy()))),
        ("correct", json!(ran.then_some(row.correct))),
        ("samples", json!(ran.then_some(row.samples))),
        ("steps", json!(point.steps)),
        ("chip_steps", json!(chip.map(|chip| chip.chip_steps))),
        ("time_ps_per_sample", finite(chip.map(|chip| per_sample(chip.time_ps)))),
        ("spikes_per_sample", finite(ran.then_some(row.spikes))),
        ("synaptic_events_per_sample", finite(chip.map(|chip| per_sample(chip.synaptic_events)))),
        ("energy_fj_per_sample", finite(chip.map(|chip| per_sample(chip.energy_fj)))),
        ("variance", finite(row.variance)),
        ("variance_formula", finite(row.variance_formula)),
        ("pareto", json!(row.pareto)),
        ("error", json!(row.error)),
    ]
}

/// All columns of a row: what varies (steps stand among the others), then the figures.
fn columns(args: &SweepArgs, point: &Point, row: &Row) -> Vec<(&'static str, Json)> {
    let varied = args.vary.iter().zip(&point.values).filter(|(vary, _)| vary.name != "steps");
    varied.map(|(vary, text)| (vary.name, json!(text))).chain(cells(point, row)).collect()
}

fn csv(args: &SweepArgs, points: &[Point], rows: &[(usize, &Row)]) -> String {
    let empty = Row::default();
    let names: Vec<&str> = columns(args, &points[0], &empty).into_iter().map(|(name, _)| name).collect();
    let mut table = Table::new(&names);
    for (at, row) in rows {
        let cells = columns(args, &points[*at], row).into_iter().map(|(_, value)| match value {
            Json::Null => String::new(),
            Json::String(text) => text,
            other => other.to_string(),
        });
        table.row(cells.collect());
    }
    table.csv()
}

fn json_text(experiment: &Experiment<'_>, args: &SweepArgs, points: &[Point], rows: &[(usize, &Row)]) -> String {
    let rows: Vec<Json> = rows
        .iter()
        .map(|(at, row)| {
            let named = columns(args, &points[*at], row).into_iter().map(|(name, value)| (name.to_owned(), value));
            Json::Object(named.collect::<Map<String, Json>>())
        })
        .collect();
    let target = experiment.target.as_ref();
    pretty(&json!({
        "model": experiment.model_name(),
        "target": target.map(|target| target.target.name()),
        "costs": target.map(|target| &target.target.file.costs),
        "points": points.len(),
        "interrupted": interrupted(),
        "rows": rows,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unbeaten_points_are_marked() {
        let point = |steps| Point {
            values: Vec::new(),
            conversion: conversion(),
            key: String::new(),
            steps,
            weight_bits: None,
            tau_s: None,
            wants_variance: false,
        };
        let row = |correct, time_ps, energy_fj| {
            let chip = ChipFigures { chip_steps: 1, synaptic_events: 0, time_ps, energy_fj };
            Some(Row { run_on: Some("chip"), correct, samples: 10, chip: Some(chip), ..Row::default() })
        };
        let float = Some(Row { run_on: Some("float"), correct: 10, samples: 10, ..Row::default() });
        let failed = Some(Row { error: Some("SNN0402".into()), ..Row::default() });
        let mut rows = vec![row(9, 10, 10), row(8, 10, 10), row(8, 5, 20), row(9, 10, 10), float, failed, None];
        mark_pareto(&mut rows, &vec![point(4); 7]);
        let marked: Vec<bool> = rows.iter().map(|row| row.as_ref().is_some_and(|row| row.pareto)).collect();
        assert_eq!(marked, [true, false, true, true, true, false, false]);
    }

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        conversion: ConversionArgs,
    }

    fn conversion() -> ConversionArgs {
        <Flags as clap::Parser>::parse_from(["test"]).conversion
    }
}
