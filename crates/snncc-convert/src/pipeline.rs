//! The conversion as a whole.

use crate::build::{self, Built, Corrections, LayerSchedule, MemoryKind};
use crate::correct::{self, Means};
use crate::data::CalibrationData;
use crate::early_exit::{self, ExitCalibration};
use crate::noise;
use crate::options::{ConvertOptions, Correction, Filter, MaxPooling, NeuronKind, ReadoutChoice, Schedule};
use crate::prepare::{self, Prepared};
use crate::scales::{self, Scales};
use crate::statistics::{self, LayerStatistics};
use crate::weights::{self, WeightReport};
use serde::Serialize;
use snncc_data::Coding;
use snncc_ids::{AnnNodeId, Diagnostic, Diagnostics, IdVec, code};
use snncc_ir::Network;
use snncc_ir::ann::{Activation, Ann, AnnOp, PoolFunction};
use snncc_ir::network::{Node, Reset, RunDefaults};
use snncc_reference::ann::AnnExecutor;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Samples by which forms of max pooling are compared.
const COMPARED_SAMPLES: usize = 200;
/// Agreement that the cheaper form may lose.
const WORTH: f64 = 0.005;

/// Follows a conversion.
pub trait Progress: Sync {
    /// A stage of so many parts begins.
    fn begin(&self, _stage: &str, _total: usize) {}
    /// So many parts more are done.
    fn advance(&self, _parts: usize) {}
}

/// Nobody follows.
#[derive(Clone, Copy, Debug)]
pub struct NoProgress;

impl Progress for NoProgress {}

/// A converted network.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The spiking network, with the coding, steps and input ranges that it was made for.
    pub network: Network,
    /// The rewritten trained network, with its own weights.
    pub prepared: Prepared,
    /// Spiking layers, inputs of a layer before it.
    pub layers: Vec<build::BuiltLayer>,
    /// When the layers fire, if one after the other.
    pub schedule: Option<LayerSchedule>,
    /// What conversion did to each layer.
    pub report: Vec<LayerReport>,
    /// What became of the weights of trained layers, if these were to be moved, inputs of a layer before it.
    pub weights: Vec<WeightReport>,
    /// Share of the calibration samples on which trained and spiking network name the same class.
    pub agreement: f64,
    /// The synaptic filter, chosen if it was to be.
    pub filter: Option<Filter>,
    /// The form of max pooling that was taken.
    pub max_pool: MaxPooling,
    /// How the rule for stopping early was calibrated, if one was asked for and the output names classes.
    pub early_exit: Option<ExitCalibration>,
}

impl Converted {
    /// Steps of a sample whose input takes `steps` steps: more than these where layers wait for one another.
    pub fn run_steps(&self, steps: u32) -> u32 {
        self.schedule.as_ref().map_or(steps, |schedule| schedule.run_steps)
    }

    /// Steps of a sample whose input takes `steps` steps, if layers wait for one another, whether they do or not.
    pub fn layered_steps(&self, steps: u32) -> u32 {
        let depth = self.report.iter().map(|layer| layer.latency_steps).max().unwrap_or(0);
        build::schedule::run_steps(depth, steps)
    }
}

/// What conversion did to a layer. Activations are in units of the trained network, means over samples and elements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerReport {
    /// Name of the population.
    pub name: String,
    /// Neurons.
    pub neurons: usize,
    /// Channels.
    pub channels: usize,
    /// Smallest, mean and largest scale: the activation that a spike in every step stands for.
    pub scale: [f64; 3],
    /// Share of activations above their scale.
    pub clipped: f64,
    /// Mean activation of the trained network.
    pub mean_activation: f64,
    /// Mean of spikes times scale after correction.
    pub mean_spiking: f64,
    /// Mean over channels of the magnitude of the difference of means, relative to the scale, without correction and with it.
    pub shift: [f64; 2],
    /// Spikes per neuron and step.
    pub rate: f64,
    /// Steps from the input to this layer's spikes on a chip.
    pub latency_steps: u32,
    /// First and last step in which it fires, if layers wait for one another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<[u32; 2]>,
    /// Thresholds by which it is held down outside of these steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<f64>,
    /// Steps beyond these until filters and leaking membranes, up to this layer's own, have followed their input to 95 %.
    pub settling_steps: f64,
    /// Error of what the layer is given, before its activation, with the trained weights and with those it has: of the layers with
    /// weights before it on samples held out, root of the mean square relative to the trained network's values. `None` unless
    /// weights were to be moved.
    pub input_error: Option<[f64; 2]>,
}

/// Converts `ann`.
///
/// # Errors
/// SNN0301 for layers without spiking form, SNN0303 for data that does not suit.
pub fn convert(
    ann: &Ann,
    data: &CalibrationData<'_>,
    options: &ConvertOptions,
    progress: &dyn Progress,
) -> Result<Converted, Diagnostics> {
    let mut converted = match options.max_pool {
        MaxPooling::Measured => convert_measured(ann, data, options, progress)?,
        _ => convert_with(ann, data, options, progress)?,
    };
    if let Some(changes) = options.early_exit_changes {
        let steps = (options.steps, converted.run_steps(options.steps));
        let found = early_exit::calibrate(&converted.network, data, steps, changes, progress)?;
        converted.network.run.early_exit = found.and_then(|found| found.rule());
        converted.early_exit = found;
    }
    Ok(converted)
}

/// Converts with both forms of max pooling and takes the better one.
fn convert_measured(
    ann: &Ann,
    data: &CalibrationData<'_>,
    options: &ConvertOptions,
    progress: &dyn Progress,
) -> Result<Converted, Diagnostics> {
    let has_max_pool = ann.nodes().iter().any(|node| {
        matches!(&node.op, AnnOp::Pool(pool) if pool.function == PoolFunction::Maximum)
            || matches!(node.op, AnnOp::GlobalPool(PoolFunction::Maximum))
    });
    let tree = convert_with(ann, data, &ConvertOptions { max_pool: MaxPooling::Tree, ..options.clone() }, progress)?;
    if !has_max_pool {
        return Ok(tree);
    }
    let average = ConvertOptions { max_pool: MaxPooling::Average, ..options.clone() };
    let average = convert_with(ann, data, &average, progress)?;
    Ok(if average.agreement + WORTH >= tree.agreement { average } else { tree })
}

fn convert_with(
    ann: &Ann,
    data: &CalibrationData<'_>,
    options: &ConvertOptions,
    progress: &dyn Progress,
) -> Result<Converted, Diagnostics> {
    let prepared = prepare::prepare(ann, options)?;
    check_schedule(&prepared.ann, data, options)?;
    let layers = build::spiking_layers(&prepared.ann, options);
    progress.begin("measure", data.count());
    let seen = AtomicUsize::new(0);
    let follow = |done: usize| progress.advance(done.saturating_sub(seen.fetch_max(done, Ordering::Relaxed)));
    let statistics = statistics::measure(&prepared.ann, &layers, &data.values(), data.count(), &follow)?;
    let chosen: BTreeMap<AnnNodeId, Scales> = statistics
        .iter()
        .map(|layer| {
            let mut scales = scales::choose(layer, options.balance, options.per_channel, options.steps);
            if let AnnOp::Activation(activation) = &prepared.ann.nodes()[layer.node].op
                && prepare::has_negative_values(activation)
            {
                let lowest = |channel: &statistics::Histogram| -f64::from(channel.min);
                scales
                    .scales
                    .iter_mut()
                    .zip(&layer.channels)
                    .for_each(|(scale, channel)| *scale = scale.max(lowest(channel)));
            } else if let AnnOp::Activation(Activation::Clip { max, .. }) = &prepared.ann.nodes()[layer.node].op {
                // A neuron that spikes in every step clips, exactly.
                scales.scales.iter_mut().for_each(|scale| *scale = scale.min((*max).into()));
            }
            (layer.node, scales)
        })
        .collect();
    let scales: BTreeMap<AnnNodeId, Vec<f64>> =
        chosen.iter().map(|(node, chosen)| (*node, chosen.scales.clone())).collect();
    let filtered = with_filter(&prepared.ann, &layers, &statistics, &scales, options)?;
    let options = &filtered;
    let wanted: Means = statistics
        .iter()
        .map(|layer| {
            let is_signed = match &prepared.ann.nodes()[layer.node].op {
                AnnOp::Activation(activation) => prepare::has_negative_values(activation),
                _ => options.signed_spikes,
            };
            let mean =
                |channel: &statistics::Histogram| if is_signed { channel.mean() } else { channel.mean_above_zero() };
            (layer.node, layer.channels.iter().map(mean).collect())
        })
        .collect();
    let trained = weights::trained_layers(ann, &prepared);
    let mut corrected = correct::correct(&prepared, &trained, &scales, &wanted, data, options, progress)?;
    if options.correction == Correction::Weights && !corrected.weights.is_empty() {
        let still = ConvertOptions { correction: Correction::Both, ..options.clone() };
        let still = correct::correct(&prepared, &[], &scales, &wanted, data, &still, progress)?;
        let build =
            |with: &correct::Corrected| build::build(&with.ann, &scales, &with.corrections, data.ranges(), options);
        let classes = classes(&prepared.ann, data, data.count().min(weights::SAMPLES))?;
        corrected = weights::better(corrected, still, build, &classes, data, options.steps)?;
    }
    let plain = build::build(&prepared.ann, &scales, &Corrections::new(), data.ranges(), options)?;
    let mut built = build::build(&corrected.ann, &scales, &corrected.corrections, data.ranges(), options)?;
    build::schedule::tighten(&mut built, data, data.count().min(correct::SAMPLES))?;
    let samples = data.count().min(COMPARED_SAMPLES);
    progress.begin("compare", 2);
    let before = correct::measure(&plain, data, samples, options.steps)?;
    progress.advance(1);
    let after = correct::measure(&built, data, samples, options.steps)?;
    progress.advance(1);
    let mut report = report(&prepared.ann, &built, (&chosen, &wanted), [&before, &after], options);
    let spiking: Vec<AnnNodeId> = built.layers.iter().map(|layer| layer.node).collect();
    let mut held = built.schedule.iter().flat_map(|schedule| &schedule.layers);
    for (row, layer) in report.iter_mut().zip(&built.layers) {
        let (_, read) = weights::before(&prepared.ann, layer.node, &spiking);
        if let Some(held) = held.next() {
            row.window = Some([held.first_step, held.first_step + options.steps - 1]);
            row.hold = Some(held.hold);
        }
        row.input_error = WeightReport::joint_error(corrected.weights.iter().filter(|one| read.contains(&one.node)));
    }
    let classes = classes(&prepared.ann, data, samples)?;
    let same = classes.iter().zip(&after.classes).filter(|(a, b)| a == b).count();
    let run_steps = built.run_steps(options.steps);
    let Built { mut network, layers, schedule } = built;
    network.run = RunDefaults {
        coding: Some(data.coding().name().to_owned()),
        steps: Some(run_steps),
        input_steps: schedule.as_ref().map(|schedule| schedule.window_steps),
        corrected_for: (options.correction != Correction::None).then_some(run_steps),
        ranges: data.ports().map(str::to_owned).zip(data.ranges().iter().copied()).collect(),
        early_exit: None,
    };
    network.calibration = after.calibration;
    Ok(Converted {
        network,
        prepared,
        layers,
        schedule,
        report,
        weights: corrected.weights,
        agreement: same as f64 / samples as f64,
        filter: options.filter,
        max_pool: options.max_pool,
        early_exit: None,
    })
}

/// What keeps layers from waiting for one another.
fn check_schedule(ann: &Ann, data: &CalibrationData<'_>, options: &ConvertOptions) -> Result<(), Diagnostics> {
    if options.schedule == Schedule::Pipelined {
        return Ok(());
    }
    let is_soft_lif = |op: &AnnOp| matches!(op, AnnOp::Activation(Activation::SoftLif(_)));
    let (why, help) = if options.neuron != NeuronKind::IntegrateAndFire
        || ann.nodes().iter().any(|node| is_soft_lif(&node.op))
    {
        ("add up all of their input before they fire, which these neurons do not", "take neurons without leak (`if`)")
    } else if options.reset != Reset::BySubtraction {
        ("fire off what they have added up, which neurons that reset to a value lose", "let spikes subtract")
    } else if options.filter.is_some() {
        ("know when their input has ended, which a synaptic filter puts off", "leave the filter out")
    } else if matches!(options.readout, ReadoutChoice::Filtered { .. }) {
        (
            "are read when the last one has fired, of which a filtered readout forgets the first steps",
            "read the membrane",
        )
    } else if options.max_pool == MaxPooling::Gated {
        ("have no gates, which choose while spikes still come", "take the tree of maxima")
    } else if data.coding() == Coding::ConstantCurrent {
        ("have input that ends, as a constant current does not", "feed spikes, such as with the coding rate-rounded")
    } else {
        return Ok(());
    };
    let message = format!("layers that wait for one another {why}");
    Err(Diagnostic::error(code::BAD_PARAMETER, message).help(format!("{help}, or take the pipelined schedule")).into())
}

/// The options with a filter that is chosen, if it is to be.
fn with_filter(
    ann: &Ann,
    layers: &[AnnNodeId],
    statistics: &[LayerStatistics],
    scales: &BTreeMap<AnnNodeId, Vec<f64>>,
    options: &ConvertOptions,
) -> Result<ConvertOptions, Diagnostics> {
    let Some(Filter::Automatic) = options.filter else { return Ok(options.clone()) };
    let dt_s = build::time_step(ann, options)?.expect("bug in snncc: filters need a time step");
    // What a spike stands for depends on no filter.
    let unfiltered = ConvertOptions { filter: None, ..options.clone() };
    let built = build::build(ann, scales, &Corrections::new(), &[], &unfiltered)?;
    let spikes: Vec<Vec<f64>> = built.layers.into_iter().map(|layer| layer.scales).collect();
    let depth = latencies(ann, |id| layers.contains(&id)).iter().copied().max().unwrap_or(0);
    let filter = noise::automatic_filter(statistics, &spikes, options.neuron, depth, options.steps, dt_s);
    Ok(ConvertOptions { filter, ..unfiltered })
}

/// The class that the trained network gives each of the first `samples` samples.
fn classes(ann: &Ann, data: &CalibrationData<'_>, samples: usize) -> Result<Vec<usize>, Diagnostics> {
    let executor = AnnExecutor::new(ann)?;
    let elements = executor.input_elements().to_vec();
    let values = data.values();
    let input: Vec<&[f32]> = values.iter().zip(elements).map(|(values, len)| &values[..samples * len]).collect();
    let outputs = executor.outputs(&input, samples);
    let Some(output) = outputs.first() else { return Ok(vec![0; samples]) };
    let argmax =
        |values: &[f32]| (0..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best });
    Ok(output.chunks_exact(output.len() / samples).map(argmax).collect())
}

/// Steps from the input to each node's value on a chip: one per layer of neurons on the longest path.
fn latencies(ann: &Ann, is_layer: impl Fn(AnnNodeId) -> bool) -> IdVec<AnnNodeId, u32> {
    let mut latencies: IdVec<AnnNodeId, u32> = IdVec::new();
    for (id, node) in ann.nodes().iter_with_ids() {
        let before = node.inputs.iter().map(|input| latencies[*input]).max().unwrap_or(0);
        latencies.push(before + u32::from(is_layer(id)));
    }
    latencies
}

fn report(
    ann: &Ann,
    built: &Built,
    (chosen, wanted): (&BTreeMap<AnnNodeId, Scales>, &Means),
    [before, after]: [&correct::Measured; 2],
    options: &ConvertOptions,
) -> Vec<LayerReport> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let latencies = latencies(ann, |id| built.layers.iter().any(|layer| layer.node == id));
    let dt_s = options.dt_s.unwrap_or(1.0);
    let taus = |layer: &build::BuiltLayer| -> Vec<f64> {
        let filters = options.filter.map_or(Vec::new(), |filter| filter.taus_s());
        let membrane = match (&built.network.nodes[layer.population].node, layer.memory) {
            (Node::Neuron(neuron), MemoryKind::Leaks) => Some(neuron.tau_mem_s.get(0)),
            _ => None,
        };
        filters.into_iter().chain(membrane).map(|tau_s| tau_s / dt_s).collect()
    };
    let mut reports = Vec::new();
    for layer in &built.layers {
        let wanted = &wanted[&layer.node];
        let shift = |measured: &correct::Measured| {
            let differences = wanted.iter().zip(&measured.means[&layer.node]).zip(&layer.scales);
            mean(&differences.map(|((wanted, mean), scale)| (wanted - mean).abs() / scale).collect::<Vec<_>>())
        };
        let scales = &layer.scales;
        reports.push(LayerReport {
            name: layer.name.clone(),
            neurons: layer.plane * scales.len(),
            channels: scales.len(),
            scale: [
                scales.iter().copied().fold(f64::INFINITY, f64::min),
                mean(scales),
                scales.iter().copied().fold(0.0, f64::max),
            ],
            clipped: chosen[&layer.node].clipped,
            mean_activation: mean(wanted),
            mean_spiking: mean(&after.means[&layer.node]),
            shift: [shift(before), shift(after)],
            rate: after.rates[&layer.node],
            latency_steps: latencies[layer.node],
            window: None,
            hold: None,
            settling_steps: noise::settling_steps(&taus(layer), latencies[layer.node]),
            input_error: None,
        });
    }
    reports
}
