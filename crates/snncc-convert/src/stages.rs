//! What each approximation of a conversion costs, one on top of the other, on the trained network before it spikes.
//!
//! The prepared network runs as it is, with activations clipped at their scales, and clipped and rounded to `T` steps: that is
//! what neurons show that start at half their threshold and see all their input before they spike. What a spiking network loses
//! beyond that comes from the order in which spikes arrive.
//!
//! Every chunk of samples runs in all stages before it is forgotten, so no activations are kept.
//!
//! **Invariant:** the result does not depend on the number of threads.

#[cfg(test)]
mod tests;

use crate::statistics::channels_and_plane;
use snncc_ids::{AnnNodeId, Diagnostics};
use snncc_ir::ann::{Ann, AnnNode};
use snncc_reference::ann::AnnExecutor;
use std::collections::BTreeMap;

/// What is done to the activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing.
    Float,
    /// `min(a, λ)` with the scale `λ` of the channel.
    Clipped,
    /// `clip(⌊a T/λ + ½⌋, 0, T) · λ/T`
    Rounded {
        /// `T`
        steps: u32,
    },
}

/// What comes out of a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageResult {
    /// The stage.
    pub stage: Stage,
    /// Number of samples.
    pub samples: usize,
    /// The class of each sample: the largest value of the first output, the first of several.
    pub classes: Vec<u32>,
    /// With labels, how many samples have their label as class.
    pub correct: Option<usize>,
    /// Errors of the layers asked for, in their order.
    pub layers: Vec<LayerError>,
}

/// How far the values of a layer are from those of the trained network. Errors of the layers before are contained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerError {
    /// The layer.
    pub node: AnnNodeId,
    /// Root of the mean square, over samples and elements, of the difference, divided by that of the trained network's values.
    /// 0 where there is no difference; infinite where there is and the trained network's values are all 0.
    pub relative_rms: f64,
    /// Mean of the difference divided by the mean of the trained network's values; as above where they are 0.
    pub mean_shift: f64,
}

/// Runs the prepared network in each of `stages`. `scales` gives the scale of each channel of the layers to change; `layers`
/// are those whose errors are wanted. `input` has a slice per input port, sample after sample.
///
/// # Errors
/// SNN0301 for layers that cannot be executed.
///
/// # Panics
/// If `input`, `scales` or `labels` do not fit the network and the number of samples.
pub fn run_stages(
    prepared: &Ann,
    layers: &[AnnNodeId],
    scales: &BTreeMap<AnnNodeId, Vec<f64>>,
    input: &[&[f32]],
    samples: usize,
    labels: Option<&[u32]>,
    stages: &[Stage],
) -> Result<Vec<StageResult>, Diagnostics> {
    assert!(labels.is_none_or(|labels| labels.len() == samples), "bug in snncc: {samples} samples with other labels");
    let executor = AnnExecutor::new(prepared)?;
    let run = Run::new(prepared, &executor, layers, scales, input, samples);
    let float_only = stages.iter().all(|stage| *stage == Stage::Float);
    let Some(last) = prepared.nodes().ids().last() else { return Ok(Vec::new()) };

    let make = || Chunk {
        float: if float_only { Vec::new() } else { vec![Vec::new(); layers.len()] },
        classes: Vec::new(),
        stages: Vec::new(),
    };
    let visit = |chunk: &mut Chunk, node: AnnNodeId, first: usize, value: &[f32]| {
        if !float_only {
            run.places(node).for_each(|place| chunk.float[place] = value.to_vec());
        }
        run.classify(node, value, first, &mut chunk.classes);
        if node == last {
            chunk.stages = stages.iter().map(|stage| run.stage(*stage, first, chunk)).collect();
        }
    };
    let mut results = vec![Outcome::new(layers.len()); stages.len()];
    executor.map_reduce(input, samples, make, visit, |chunk: Chunk| {
        results.iter_mut().zip(chunk.stages).for_each(|(result, chunk)| result.append(chunk));
    });
    let result = |(stage, outcome): (&Stage, Outcome)| StageResult {
        stage: *stage,
        samples,
        correct: labels.map(|labels| labels.iter().zip(&outcome.classes).filter(|(a, b)| a == b).count()),
        layers: layers.iter().zip(&outcome.sums).map(|(node, sums)| sums.error(*node)).collect(),
        classes: outcome.classes,
    };
    Ok(stages.iter().zip(results).map(result).collect())
}

/// What all chunks share.
struct Run<'a> {
    executor: &'a AnnExecutor,
    layers: &'a [AnnNodeId],
    /// For the layers to change, the scale of each channel and its elements in a sample.
    scales: BTreeMap<AnnNodeId, (Vec<f32>, usize)>,
    input: &'a [&'a [f32]],
    samples: usize,
    output: Option<AnnNodeId>,
}

/// A chunk: the values of the layers in the trained network, and what came of each stage.
struct Chunk {
    float: Vec<Vec<f32>>,
    classes: Vec<u32>,
    stages: Vec<Outcome>,
}

/// What comes of some samples in a stage.
#[derive(Clone)]
struct Outcome {
    classes: Vec<u32>,
    /// By layer.
    sums: Vec<Sums>,
}

/// Sums over values `a` of the trained network and differences `d`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    value: f64,
    value_squares: f64,
    difference: f64,
    difference_squares: f64,
}

impl<'a> Run<'a> {
    fn new(
        ann: &Ann,
        executor: &'a AnnExecutor,
        layers: &'a [AnnNodeId],
        scales: &BTreeMap<AnnNodeId, Vec<f64>>,
        input: &'a [&'a [f32]],
        samples: usize,
    ) -> Self {
        let checked = |(id, scales): (&AnnNodeId, &Vec<f64>)| {
            let node: &AnnNode = &ann.nodes()[*id];
            let (channels, plane) = channels_and_plane(node);
            assert_eq!(channels, scales.len(), "bug in snncc: scales of `{}`", node.name);
            assert!(scales.iter().all(|scale| *scale > 0.0), "bug in snncc: a scale of `{}` is not above 0", node.name);
            (*id, (scales.iter().map(|scale| *scale as f32).collect(), plane))
        };
        let scales = scales.iter().map(checked).collect();
        Self { executor, layers, scales, input, samples, output: ann.outputs.first().map(|(_, id)| *id) }
    }

    /// Places of a node among the layers.
    fn places(&self, node: AnnNodeId) -> impl Iterator<Item = usize> + '_ {
        self.layers.iter().enumerate().filter(move |(_, layer)| **layer == node).map(|(place, _)| place)
    }

    fn chunk_len(&self, first: usize) -> usize {
        self.executor.chunk_samples().min(self.samples - first)
    }

    /// Notes the classes of a chunk, if this is the output.
    fn classify(&self, node: AnnNodeId, value: &[f32], first: usize, classes: &mut Vec<u32>) {
        if Some(node) == self.output {
            let samples = self.chunk_len(first);
            let elements = value.len() / samples;
            classes.extend((0..samples).map(|sample| largest(&value[sample * elements..][..elements])));
        }
    }

    /// Runs a chunk in a stage; `chunk` holds what the trained network made of it.
    fn stage(&self, stage: Stage, first: usize, chunk: &Chunk) -> Outcome {
        let mut outcome = Outcome::new(self.layers.len());
        if stage == Stage::Float {
            outcome.classes.clone_from(&chunk.classes);
            return outcome;
        }
        let samples = self.chunk_len(first);
        let part = |(values, len): (&&'a [f32], &usize)| &values[first * len..][..samples * len];
        let input: Vec<&[f32]> = self.input.iter().zip(self.executor.input_elements()).map(part).collect();
        let mut adjust = |node: AnnNodeId, value: &mut [f32]| {
            if let Some((scales, plane)) = self.scales.get(&node) {
                approximate(stage, scales, *plane, value);
            }
        };
        let Outcome { classes, sums } = &mut outcome;
        self.executor.run_adjusted(&input, samples, &mut adjust, &mut |node, value| {
            self.places(node).for_each(|place| sums[place] = Sums::of(&chunk.float[place], value));
            self.classify(node, value, first, classes);
        });
        outcome
    }
}

impl Outcome {
    fn new(layers: usize) -> Self {
        Self { classes: Vec::new(), sums: vec![Sums::default(); layers] }
    }

    fn append(&mut self, later: Self) {
        self.classes.extend(later.classes);
        self.sums.iter_mut().zip(later.sums).for_each(|(sums, later)| sums.add(later));
    }
}

impl Sums {
    /// Of values of the trained network, and those that stand for them.
    pub fn of(float: &[f32], value: &[f32]) -> Self {
        let mut sums = Self::default();
        for (float, value) in float.iter().zip(value) {
            let (float, difference) = (f64::from(*float), f64::from(*value) - f64::from(*float));
            sums.value += float;
            sums.value_squares += float * float;
            sums.difference += difference;
            sums.difference_squares += difference * difference;
        }
        sums
    }

    /// Adds the sums of other samples.
    pub fn add(&mut self, other: Self) {
        self.value += other.value;
        self.value_squares += other.value_squares;
        self.difference += other.difference;
        self.difference_squares += other.difference_squares;
    }

    /// The error of the layer that the values are of.
    pub fn error(&self, node: AnnNodeId) -> LayerError {
        let ratio = |difference: f64, value: f64| if difference == 0.0 { 0.0 } else { difference / value };
        LayerError {
            node,
            relative_rms: ratio(self.difference_squares, self.value_squares).sqrt(),
            mean_shift: ratio(self.difference, self.value),
        }
    }
}

/// Changes values `(samples, channels, plane)` as the stage says.
fn approximate(stage: Stage, scales: &[f32], plane: usize, values: &mut [f32]) {
    if plane == 0 {
        return;
    }
    for (values, scale) in values.chunks_exact_mut(plane).zip(scales.iter().cycle()) {
        match stage {
            Stage::Float => {}
            Stage::Clipped => values.iter_mut().for_each(|value| *value = value.min(*scale)),
            Stage::Rounded { steps } => {
                let steps = steps.max(1) as f32;
                let (to_steps, step) = (steps / scale, scale / steps);
                values.iter_mut().for_each(|value| *value = (*value * to_steps + 0.5).floor().clamp(0.0, steps) * step);
            }
        }
    }
}

/// Where the largest value stands; the first of several.
fn largest(values: &[f32]) -> u32 {
    let better = |best: usize, at: usize| if values[at] > values[best] { at } else { best };
    (0..values.len()).fold(0, better) as u32
}
