//! Corrections after conversion, without labels: the spiking network runs on the calibration data, layer by layer, and the
//! mean activation of every channel is brought to the trained network's.
//!
//! A rate differs from its activation for two kinds of reasons. Rounding and the order in which spikes arrive cost a number of
//! spikes that does not grow with the steps: a shift of the initial membrane undoes it for any number of steps. Clipping costs
//! a part of the rate: a bias undoes it. One run cannot tell them apart, two runs of different length can; with one, what
//! exceeds a threshold is taken to be the second kind. (Li et al., *A free lunch from ANN*, ICML 2021, correct the bias alone.)
//!
//! Weights, if they are to be moved, are so before the means of the layer that they lead to (`weights`).
//!
//! **Invariant:** a layer is corrected after all layers before it, so that it sees their corrected spikes.

use crate::build::{self, Built, Corrections, LayerCorrection, MemoryKind};
use crate::data::CalibrationData;
use crate::options::{ConvertOptions, Correction, NeuronKind, Schedule};
use crate::pipeline::Progress;
use crate::prepare::Prepared;
use crate::weights::{self, WeightReport};
use rayon::prelude::*;
use snncc_ids::{AnnNodeId, Diagnostics};
use snncc_ir::Calibration;
use snncc_ir::ann::Ann;
use snncc_ir::network::Reset;
use snncc_reference::float::{FloatNetwork, FloatOptions, Record};
use std::collections::BTreeMap;

/// Samples that a correction looks at.
pub(crate) const SAMPLES: usize = 500;
/// Samples whose statistics are held at once.
const SAMPLES_AT_ONCE: usize = 64;
/// Layers that are corrected one by one; of more, several are corrected in one run.
const MOST_RUNS: usize = 12;
/// Part of the steps that the shorter of two runs takes.
const SHORT_RUN: u32 = 4;

/// Mean activation by channel.
pub(crate) type Means = BTreeMap<AnnNodeId, Vec<f64>>;

/// What the spiking network does on the data.
pub(crate) struct Measured {
    /// Spikes per step times scale, by layer and channel.
    pub(crate) means: Means,
    /// Spikes per neuron and step, by layer.
    pub(crate) rates: BTreeMap<AnnNodeId, f64>,
    /// The class that each sample gets.
    pub(crate) classes: Vec<usize>,
    /// What quantizer and placer want to know.
    pub(crate) calibration: Calibration,
}

/// What a conversion is corrected by.
pub(crate) struct Corrected {
    /// The prepared network, with the weights that the spiking network gets.
    pub(crate) ann: Ann,
    pub(crate) corrections: Corrections,
    /// What became of weights, if these were to be moved.
    pub(crate) weights: Vec<WeightReport>,
}

/// What one sample leaves behind.
struct Run {
    /// Spikes by layer and channel.
    counts: Vec<Vec<f64>>,
    class: usize,
    calibration: Calibration,
}

/// Runs the spiking network on the first `samples` samples, with `steps` steps of input each.
pub(crate) fn measure(
    built: &Built,
    data: &CalibrationData<'_>,
    samples: usize,
    steps: u32,
) -> Result<Measured, Diagnostics> {
    let network = FloatNetwork::new(&built.network, &FloatOptions::default())?;
    let record = Record::default();
    let run = |sample: usize| -> Result<Run, Diagnostics> {
        let stimulus = data.stimulus(sample, steps)?;
        let trace = network.observe(&stimulus.input(), built.run_steps(steps), &record)?;
        let counts_of = |layer: &build::BuiltLayer| -> Vec<f64> {
            let population = trace.population(&layer.name).expect("bug in snncc: a layer without population");
            let statistics = population.statistics.as_ref().expect("bug in snncc: observed");
            statistics.activity.chunks_exact(layer.plane).map(|channel| channel.iter().sum()).collect()
        };
        let counts = built.layers.iter().map(counts_of).collect();
        let class = trace.outputs.first().map_or(0, |output| output.class());
        Ok(Run { counts, class, calibration: trace.calibration() })
    };
    let mut calibration = Calibration::default();
    let mut classes = Vec::with_capacity(samples);
    let mut sums: Vec<Vec<f64>> = built.layers.iter().map(|layer| vec![0.0; layer.scales.len()]).collect();
    for first in (0..samples).step_by(SAMPLES_AT_ONCE) {
        let part = first..samples.min(first + SAMPLES_AT_ONCE);
        for run in part.into_par_iter().map(run).collect::<Vec<_>>() {
            let run = run?;
            for (sums, counts) in sums.iter_mut().zip(&run.counts) {
                sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
            classes.push(run.class);
            calibration.add(&run.calibration);
        }
    }
    // Rates are those of a window; what the network as a whole does in a step is another matter where layers wait.
    let total = f64::from(steps) * samples as f64;
    let of_run = f64::from(built.run_steps(steps)) * samples as f64;
    let calibration = calibration.per_step(of_run).in_single_precision();
    let mut measured = Measured { means: Means::new(), rates: BTreeMap::new(), classes, calibration };
    for (layer, sums) in built.layers.iter().zip(&sums) {
        let spikes: f64 = sums.iter().sum();
        measured.rates.insert(layer.node, spikes / (total * (layer.plane * layer.scales.len()) as f64));
        let mean = |(sum, scale): (&f64, &f64)| sum * scale / (total * layer.plane as f64);
        measured.means.insert(layer.node, sums.iter().zip(&layer.scales).map(mean).collect());
    }
    Ok(measured)
}

/// The class that the spiking network gives each of some samples.
pub(crate) fn classes(
    built: &Built,
    data: &CalibrationData<'_>,
    samples: &[usize],
    steps: u32,
) -> Result<Vec<usize>, Diagnostics> {
    let network = FloatNetwork::new(&built.network, &FloatOptions::default())?;
    let record = Record::default();
    let class = |sample: &usize| -> Result<usize, Diagnostics> {
        let stimulus = data.stimulus(*sample, steps)?;
        let trace = network.run(&stimulus.input(), built.run_steps(steps), &record)?;
        Ok(trace.outputs.first().map_or(0, |output| output.class()))
    };
    samples.par_iter().map(class).collect::<Vec<_>>().into_iter().collect()
}

/// The values that inputs and layers of spikes show over the steps, in units of the trained network: for each of `sources` the
/// first `samples` samples, one after the other. Of an input, what its coding makes of it.
pub(crate) fn values(
    built: &Built,
    ann: &Ann,
    sources: &[AnnNodeId],
    data: &CalibrationData<'_>,
    samples: usize,
    steps: u32,
) -> Result<BTreeMap<AnnNodeId, Vec<f32>>, Diagnostics> {
    let network = FloatNetwork::new(&built.network, &FloatOptions::default())?;
    let record = Record::default();
    let run = |sample: usize| -> Result<Vec<Vec<f32>>, Diagnostics> {
        let stimulus = data.stimulus(sample, steps)?;
        let trace = network.observe(&stimulus.input(), built.run_steps(steps), &record)?;
        let mut inputs = trace.populations.iter().filter(|population| population.is_input).zip(data.ranges());
        let inputs: BTreeMap<AnnNodeId, _> = ann.inputs().zip(&mut inputs).collect();
        let value = |source: &AnnNodeId| -> Vec<f32> {
            let layer = built.layers.iter().find(|layer| layer.node == *source);
            let (population, scales, plane, low) = match (layer, inputs.get(source)) {
                (Some(layer), _) => (trace.population(&layer.name), layer.scales.clone(), layer.plane, 0.0),
                (None, Some((input, (low, high)))) => (Some(*input), vec![high - low], usize::MAX, *low),
                (None, None) => (None, Vec::new(), 1, 0.0),
            };
            let population = population.expect("bug in snncc: a layer without population");
            let activity = &population.statistics.as_ref().expect("bug in snncc: observed").activity;
            let value = |(at, sum): (usize, &f64)| (low + scales[at / plane] * sum / f64::from(steps)) as f32;
            activity.iter().enumerate().map(value).collect()
        };
        Ok(sources.iter().map(value).collect())
    };
    let mut values: Vec<Vec<f32>> = vec![Vec::new(); sources.len()];
    for first in (0..samples).step_by(SAMPLES_AT_ONCE) {
        let part = first..samples.min(first + SAMPLES_AT_ONCE);
        for run in part.into_par_iter().map(run).collect::<Vec<_>>() {
            values.iter_mut().zip(run?).for_each(|(values, of_sample)| values.extend(of_sample));
        }
    }
    Ok(sources.iter().copied().zip(values).collect())
}

/// Factors on the thresholds of neurons that lose at every spike what is above the threshold.
///
/// With the mean loss `o` a spike, `n` spikes take `n (θ + o)` from the membrane where the trained network's activation asks for
/// `n′ θ`: so `o = (n′/n − 1) θ`, and the threshold `θ − o` gives `n′` spikes. The loss of a constant input `z` is between 0 and
/// `z`; more than three quarters of the threshold are not taken off.
fn overshoot_factors(wanted: &[f64], means: &[f64]) -> Vec<f64> {
    let factor = |(wanted, mean): (&f64, &f64)| if *mean > 0.0 { (2.0 - wanted / mean).clamp(0.25, 1.0) } else { 1.0 };
    wanted.iter().zip(means).map(factor).collect()
}

/// Finds the corrections of all layers. `wanted` are the trained network's means, `trained` the layers whose weights can be moved.
///
/// # Errors
/// What the float reference finds in the network.
pub(crate) fn correct(
    prepared: &Prepared,
    trained: &[AnnNodeId],
    scales: &BTreeMap<AnnNodeId, Vec<f64>>,
    wanted: &Means,
    data: &CalibrationData<'_>,
    options: &ConvertOptions,
    progress: &dyn Progress,
) -> Result<Corrected, Diagnostics> {
    let (mut ann, mut corrections, mut reports) = (prepared.ann.clone(), Corrections::new(), Vec::new());
    if options.correction == Correction::None {
        return Ok(Corrected { ann, corrections, weights: reports });
    }
    let layers = build::spiking_layers(&ann, options);
    let moves_weights = options.correction == Correction::Weights;
    let most_runs = if moves_weights { layers.len() } else { MOST_RUNS };
    let mut waiting = if moves_weights { trained } else { &[] };
    let mut move_weights = |ann: &mut Ann, corrections: &Corrections, targets: &[AnnNodeId]| {
        if !targets.is_empty() {
            let build = |ann: &Ann| build::build(ann, scales, corrections, data.ranges(), options);
            reports.extend(weights::tune(&prepared.ann, ann, targets, &layers, build, data, options.steps)?);
        }
        Ok::<(), Diagnostics>(())
    };
    let samples = data.count().min(SAMPLES);
    let short = (options.steps / SHORT_RUN).max(1);
    let groups = layers.chunks(layers.len().div_ceil(most_runs.max(1)).max(1));
    progress.begin("correct", groups.len());
    for group in groups {
        // Whatever spikes before these is corrected.
        let ready = waiting.partition_point(|id| group.last().is_some_and(|last| id <= last));
        move_weights(&mut ann, &corrections, &waiting[..ready])?;
        waiting = &waiting[ready..];
        let mut built = build::build(&ann, scales, &corrections, data.ranges(), options)?;
        if options.reset == Reset::ToValue && options.neuron == NeuronKind::IntegrateAndFire {
            let run = measure(&built, data, samples, options.steps)?;
            for layer in built
                .layers
                .iter()
                .filter(|layer| group.contains(&layer.node) && layer.memory == MemoryKind::Integrates)
            {
                let threshold = overshoot_factors(&wanted[&layer.node], &run.means[&layer.node]);
                corrections.insert(layer.node, LayerCorrection { threshold, ..LayerCorrection::default() });
            }
            built = build::build(&ann, scales, &corrections, data.ranges(), options)?;
        }
        let long_run = measure(&built, data, samples, options.steps)?;
        let short_run = match options.correction {
            // Layers that wait add what a bias brings once, as they start: there is nothing to tell apart.
            _ if options.schedule == Schedule::Layers => None,
            Correction::Both | Correction::Weights if short < options.steps => {
                Some(measure(&built, data, samples, short)?)
            }
            _ => None,
        };
        for layer in built.layers.iter().filter(|layer| group.contains(&layer.node)) {
            let error = |means: &Means| -> Vec<f64> {
                wanted[&layer.node].iter().zip(&means[&layer.node]).map(|(wanted, mean)| wanted - mean).collect()
            };
            let long = error(&long_run.means);
            let steps = f64::from(options.steps);
            let channels = layer.scales.len();
            let mut correction = LayerCorrection {
                bias: vec![0.0; channels],
                potential: vec![0.0; channels],
                threshold: corrections.get(&layer.node).map_or(Vec::new(), |known| known.threshold.clone()),
            };
            for (channel, &scale) in layer.scales.iter().enumerate() {
                let (potential, bias) = match (options.correction, &short_run) {
                    (Correction::Bias, _) => (0.0, long[channel]),
                    _ if layer.memory == MemoryKind::None => (0.0, long[channel]),
                    (_, Some(short_run)) => {
                        // T·e = potential + bias·T, for both lengths.
                        let (few, error) = (f64::from(short), error(&short_run.means)[channel]);
                        let bias = (steps * long[channel] - few * error) / (steps - few);
                        let potential = (steps * (long[channel] - bias)).clamp(-scale, scale);
                        (potential, long[channel] - potential / steps)
                    }
                    _ => {
                        let potential = (steps * long[channel]).clamp(-scale, scale);
                        (potential, long[channel] - potential / steps)
                    }
                };
                correction.potential[channel] = potential;
                correction.bias[channel] = bias;
            }
            if correction.bias.iter().all(|bias| *bias == 0.0) {
                correction.bias.clear();
            }
            corrections.insert(layer.node, correction);
        }
        progress.advance(1);
    }
    move_weights(&mut ann, &corrections, waiting)?;
    Ok(Corrected { ann, corrections, weights: reports })
}
