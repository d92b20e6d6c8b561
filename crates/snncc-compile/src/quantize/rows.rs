//! The weights of a projection by target: one row for each neuron, or for each set of neurons that share their weights.
//!
//! A row is what a scale applies to. Dense, convolution and one-to-one weights are rows already as stored; a sparse
//! projection, stored by source, is transposed once. **Invariant:** row `r` serves the neurons
//! `r · neurons_per_row .. (r + 1) · neurons_per_row` of the target.

use snncc_ir::{Connectivity, ConvolutionGeometry, Projection};
use std::borrow::Cow;
use std::ops::Range;

/// Sources that never spike in the calibration data still count this part of the mean rate: other data may drive them.
const RATE_FLOOR: f64 = 0.05;

/// Weights of a projection by target, with the spike rate of each synapse's source.
pub(super) struct Rows<'a> {
    /// Weights, row after row.
    pub(super) weights: Cow<'a, [f64]>,
    /// Neurons that each row serves.
    pub(super) neurons_per_row: usize,
    /// Whether the rates are measured (otherwise they are all 1).
    pub(super) calibrated: bool,
    starts: Starts,
    rates: Rates,
    order: Option<Vec<u32>>,
}

enum Starts {
    Uniform(usize),
    Offsets(Vec<usize>),
}

enum Rates {
    /// By position in the row.
    PerColumn(Vec<f64>),
    /// By weight, in row order.
    PerWeight(Vec<f64>),
}

impl<'a> Rows<'a> {
    /// The rows of `projection` with weights in its own order. `rates`: spikes per step of each source neuron, if known.
    pub(super) fn new(projection: &Projection, weights: &'a [f64], rates: Option<&[f64]>) -> Self {
        assert_eq!(weights.len(), projection.weight_count(), "bug in snncc: weights of {}", projection.name);
        let sources = projection.source_len as usize;
        let rates = rates.filter(|rates| rates.len() == sources).map(usable_rates);
        let calibrated = rates.is_some();
        let rates = rates.unwrap_or_else(|| vec![1.0; sources]);
        let as_stored = |neurons_per_row, len, rates| Self {
            weights: Cow::Borrowed(weights),
            neurons_per_row,
            calibrated,
            starts: Starts::Uniform(len),
            rates,
            order: None,
        };
        match &projection.connectivity {
            Connectivity::Dense => as_stored(1, sources, Rates::PerColumn(rates)),
            Connectivity::OneToOne { shared: false } => as_stored(1, 1, Rates::PerWeight(rates)),
            Connectivity::OneToOne { shared: true } => {
                let mean = rates.iter().sum::<f64>() / sources.max(1) as f64;
                as_stored(projection.target_len as usize, 1, Rates::PerColumn(vec![mean]))
            }
            Connectivity::Convolution(geometry) => {
                let plane = (geometry.output[1] * geometry.output[2]) as usize;
                let len = weights.len() / (geometry.output[0] as usize).max(1);
                as_stored(plane, len, Rates::PerWeight(convolution_rates(geometry, &rates)))
            }
            Connectivity::Sparse(pattern) => {
                let mut offsets = vec![0_usize; projection.target_len as usize + 1];
                for target in &pattern.targets {
                    offsets[*target as usize + 1] += 1;
                }
                for row in 1..offsets.len() {
                    offsets[row] += offsets[row - 1];
                }
                let mut next = offsets.clone();
                let mut order = vec![0_u32; weights.len()];
                let mut by_weight = vec![0.0; weights.len()];
                for (source, rate) in rates.iter().enumerate() {
                    for at in pattern.row_starts[source] as usize..pattern.row_starts[source + 1] as usize {
                        let slot = &mut next[pattern.targets[at] as usize];
                        order[*slot] = at as u32;
                        by_weight[*slot] = *rate;
                        *slot += 1;
                    }
                }
                let gathered = order.iter().map(|at| weights[*at as usize]).collect();
                Self {
                    weights: Cow::Owned(gathered),
                    neurons_per_row: 1,
                    calibrated,
                    starts: Starts::Offsets(offsets),
                    rates: Rates::PerWeight(by_weight),
                    order: Some(order),
                }
            }
        }
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        match &self.starts {
            Starts::Uniform(0) => 0,
            Starts::Uniform(len) => self.weights.len() / len,
            Starts::Offsets(offsets) => offsets.len() - 1,
        }
    }

    /// Place of a row in [`Self::weights`].
    pub(super) fn range(&self, row: usize) -> Range<usize> {
        match &self.starts {
            Starts::Uniform(len) => row * len..(row + 1) * len,
            Starts::Offsets(offsets) => offsets[row]..offsets[row + 1],
        }
    }

    /// Rates of a row's sources, parallel to its weights.
    pub(super) fn rates(&self, row: usize) -> &[f64] {
        match &self.rates {
            Rates::PerColumn(rates) => rates,
            Rates::PerWeight(rates) => &rates[self.range(row)],
        }
    }

    /// Rows that serve neurons of `neurons`.
    pub(super) fn rows_of(&self, neurons: &Range<usize>) -> Range<usize> {
        let rows = neurons.start / self.neurons_per_row..neurons.end.div_ceil(self.neurons_per_row);
        rows.start.min(self.len())..rows.end.min(self.len())
    }

    /// Values in the order of the projection, put into row order.
    pub(super) fn to_row_order(&self, values: &[i32]) -> Vec<i32> {
        match &self.order {
            None => values.to_vec(),
            Some(order) => order.iter().map(|at| values[*at as usize]).collect(),
        }
    }

    /// Values in row order, put back into the order of the projection.
    pub(super) fn to_stored_order(&self, values: Vec<i32>) -> Vec<i32> {
        let Some(order) = &self.order else { return values };
        let mut stored = vec![0; values.len()];
        for (value, at) in values.into_iter().zip(order) {
            stored[*at as usize] = value;
        }
        stored
    }
}

/// Rates with a floor, scaled to at most one spike per step (mean values of an input may be in other units).
fn usable_rates(rates: &[f64]) -> Vec<f64> {
    let clean = |rate: &f64| if rate.is_finite() { rate.abs() } else { 0.0 };
    let max = rates.iter().map(clean).fold(0.0, f64::max);
    if max == 0.0 {
        return vec![1.0; rates.len()];
    }
    let scale = 1.0 / max.max(1.0);
    let mean = rates.iter().map(clean).sum::<f64>() / rates.len() as f64 * scale;
    rates.iter().map(|rate| (clean(rate) * scale).max(RATE_FLOOR * mean)).collect()
}

/// Rate of each convolution weight: mean over the output positions of the rate of the input it meets there.
fn convolution_rates(geometry: &ConvolutionGeometry, rates: &[f64]) -> Vec<f64> {
    let [channels, height, width] = geometry.input;
    let kernel = (geometry.kernel[0] * geometry.kernel[1]) as usize;
    let mut sums = vec![0.0; channels as usize * kernel];
    let rows: Vec<Vec<(u32, u32)>> = (0..height).map(|y| geometry.reached(0, y).collect()).collect();
    let columns: Vec<Vec<(u32, u32)>> = (0..width).map(|x| geometry.reached(1, x).collect()).collect();
    for channel in 0..channels as usize {
        for (y, reached_y) in rows.iter().enumerate() {
            for (x, reached_x) in columns.iter().enumerate() {
                let rate = rates[(channel * height as usize + y) * width as usize + x];
                for (_, ky) in reached_y {
                    for (_, kx) in reached_x {
                        sums[channel * kernel + (ky * geometry.kernel[1] + kx) as usize] += rate;
                    }
                }
            }
        }
    }
    let positions = f64::from(geometry.output[1] * geometry.output[2]).max(1.0);
    let inputs_per_group = (geometry.input[0] / geometry.groups) as usize;
    let outputs_per_group = (geometry.output[0] / geometry.groups) as usize;
    (0..geometry.output[0] as usize)
        .flat_map(|out_channel| {
            let group = out_channel / outputs_per_group;
            let first = group * inputs_per_group * kernel;
            sums[first..first + inputs_per_group * kernel].iter().map(move |sum| sum / positions)
        })
        .collect()
}
