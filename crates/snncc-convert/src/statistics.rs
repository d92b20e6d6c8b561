//! What the layers of a trained network do on the calibration data: streaming histograms per channel, never whole activations.
//!
//! Samples go through the network in chunks, in parallel. Counts go straight into one histogram per channel, which does not
//! depend on the order of the values; sums, which would, are kept per chunk and added in the order of the chunks. So memory is
//! that of one set of histograms, whatever the number of threads.
//!
//! **Invariant:** the result does not depend on the number of threads.

mod histogram;
#[cfg(test)]
mod tests;

pub use histogram::{Bin, Histogram};

use histogram::Moments;
use snncc_ids::{AnnNodeId, Diagnostic, Diagnostics, IdVec, code};
use snncc_ir::ann::{Ann, AnnNode};
use snncc_reference::ann::AnnExecutor;
use std::sync::Mutex;

/// Bins of a channel where there are few channels: a percentile is within 0.2 % of the largest value.
const MOST_BINS: usize = 1024;
/// Bins where there are very many.
const LEAST_BINS: usize = 64;
/// Bins of a layer that are wanted at most: 32 MiB.
const LAYER_BINS: usize = 1 << 22;

/// Activations of a layer by channel: dimension 0 of its shape; every element of a one-dimensional value is a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerStatistics {
    /// The layer.
    pub node: AnnNodeId,
    /// One histogram per channel.
    pub channels: Vec<Histogram>,
}

impl LayerStatistics {
    /// The values of all channels together.
    pub fn layer(&self) -> Histogram {
        let mut channels = self.channels.iter();
        let mut layer = channels.next().cloned().unwrap_or_else(|| Histogram::new(LEAST_BINS));
        channels.for_each(|channel| layer.merge(channel));
        layer
    }
}

/// Runs `samples` samples (`input`: one slice per input port, sample after sample) and counts the values of `nodes`.
/// `progress` is told how many samples are done, now and then, from this thread.
///
/// # Errors
/// SNN0301 for layers that cannot be executed; SNN0303 for values that are not finite, of the data or of a layer.
///
/// # Panics
/// If the lengths of `input` do not fit the network.
pub fn measure(
    ann: &Ann,
    nodes: &[AnnNodeId],
    input: &[&[f32]],
    samples: usize,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Vec<LayerStatistics>, Diagnostics> {
    let executor = AnnExecutor::new(ann)?;
    check_input(ann, &executor, input)?;
    let layers: Vec<Layer> = nodes.iter().map(|id| Layer::new(&ann.nodes()[*id])).collect();
    let mut places: IdVec<AnnNodeId, Vec<usize>> = ann.nodes().ids().map(|_| Vec::new()).collect();
    nodes.iter().enumerate().for_each(|(place, id)| places[*id].push(place));

    let make = || Chunk { moments: vec![Vec::new(); layers.len()], samples: 0, broken: None };
    let visit = |chunk: &mut Chunk, node: AnnNodeId, first: usize, value: &[f32]| {
        chunk.samples = executor.chunk_samples().min(samples - first);
        if let Some(element) = first_not_finite(value) {
            let sample = first + element / executor.elements(node);
            chunk.broken = chunk.broken.or(Some(Broken { node, sample, value: value[element] }));
        }
        if chunk.broken.is_none() {
            places[node].iter().for_each(|place| chunk.moments[*place] = layers[*place].count(value));
        }
    };
    let mut sums: Vec<Vec<Moments>> =
        layers.iter().map(|layer| vec![Moments::default(); layer.channels.len()]).collect();
    let (mut done, mut broken) = (0, None::<Broken>);
    executor.map_reduce(input, samples, make, visit, |chunk: Chunk| {
        let earlier = |old: &Broken, new: &Broken| (new.node, new.sample) < (old.node, old.sample);
        broken = match (broken, chunk.broken) {
            (Some(old), Some(new)) if earlier(&old, &new) => Some(new),
            (old, new) => old.or(new),
        };
        for (sums, moments) in sums.iter_mut().zip(chunk.moments) {
            sums.iter_mut().zip(moments).for_each(|(sum, moments)| sum.add(moments));
        }
        done += chunk.samples;
        progress(done);
    });
    if let Some(broken) = broken {
        return Err(broken.diagnostic(ann).into());
    }
    let statistics = |((node, layer), sums): ((&AnnNodeId, Layer), Vec<Moments>)| LayerStatistics {
        node: *node,
        channels: layer.channels.into_iter().zip(sums).map(|(channel, sums)| finish(channel, sums)).collect(),
    };
    Ok(nodes.iter().zip(layers).zip(sums).map(statistics).collect())
}

fn finish(channel: Mutex<Histogram>, sums: Moments) -> Histogram {
    let mut channel = channel.into_inner().expect("bug in snncc: a chunk panicked");
    channel.set_sums(sums);
    channel
}

/// The histograms of a layer while they grow.
struct Layer {
    channels: Vec<Mutex<Histogram>>,
    /// Elements of a channel in one sample.
    plane: usize,
}

/// What is kept of a chunk until those before it are done.
struct Chunk {
    /// By layer and channel.
    moments: Vec<Vec<Moments>>,
    samples: usize,
    broken: Option<Broken>,
}

/// The first value of a chunk that is not finite.
#[derive(Clone, Copy)]
struct Broken {
    node: AnnNodeId,
    sample: usize,
    value: f32,
}

impl Layer {
    fn new(node: &AnnNode) -> Self {
        let (channels, plane) = channels_and_plane(node);
        let bins = bins(channels);
        Self { channels: (0..channels).map(|_| Mutex::new(Histogram::new(bins))).collect(), plane }
    }

    /// Counts the values of some samples; gives the sums of each channel.
    fn count(&self, value: &[f32]) -> Vec<Moments> {
        let (channels, plane) = (self.channels.len(), self.plane);
        if channels * plane == 0 {
            return vec![Moments::default(); channels];
        }
        let mut gathered = Vec::with_capacity(value.len() / channels);
        let mut count = |(channel, histogram): (usize, &Mutex<Histogram>)| {
            gathered.clear();
            let samples = value.chunks_exact(channels * plane);
            samples.for_each(|sample| gathered.extend_from_slice(&sample[channel * plane..][..plane]));
            histogram.lock().expect("bug in snncc: a chunk panicked").count_values(&gathered);
            Moments::of(&gathered)
        };
        self.channels.iter().enumerate().map(&mut count).collect()
    }
}

impl Broken {
    fn diagnostic(&self, ann: &Ann) -> Diagnostic {
        let Self { node, sample, value } = *self;
        let message =
            format!("layer `{}` has the value {value} on sample {sample} of the data", ann.nodes()[node].name);
        Diagnostic::error(code::CALIBRATION_NEEDED, message)
            .at(ann.item(node))
            .note("it is the first layer with such values")
            .help("check that the data is scaled as the network was trained, and that the weights are finite")
    }
}

/// Number of channels of a node's value, and the elements of each in one sample.
pub(crate) fn channels_and_plane(node: &AnnNode) -> (usize, usize) {
    let channels = node.shape.first().copied().unwrap_or(1);
    (channels, node.shape.iter().skip(1).product())
}

/// Bins of each of so many channels: few enough that a layer takes about 32 MiB, as far as that is possible.
fn bins(channels: usize) -> usize {
    let wanted = LAYER_BINS / channels.max(1);
    let power = if wanted == 0 { 1 } else { 1 << wanted.ilog2() };
    power.clamp(LEAST_BINS, MOST_BINS)
}

fn first_not_finite(value: &[f32]) -> Option<usize> {
    // Without a way out in the loop it runs on many values at a time.
    match value.iter().fold(true, |finite, value| finite & value.is_finite()) {
        true => None,
        false => value.iter().position(|value| !value.is_finite()),
    }
}

/// A rectifier may turn what is not a number into 0, so the data is looked at before.
fn check_input(ann: &Ann, executor: &AnnExecutor, input: &[&[f32]]) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    for ((node, values), elements) in ann.inputs().zip(input).zip(executor.input_elements()) {
        if let Some(element) = first_not_finite(values) {
            let (sample, value, name) = (element / elements, values[element], &ann.nodes()[node].name);
            let message = format!("the data for input `{name}` has the value {value} in sample {sample}");
            problems.push(
                Diagnostic::error(code::CALIBRATION_NEEDED, message)
                    .at(ann.item(node))
                    .note(format!("it is element {} of the sample", element % elements)),
            );
        }
    }
    problems.into_result(()).map(|_| ())
}
