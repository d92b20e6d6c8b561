//! Neurons whose spikes follow a rate, and pools that forward the spikes of the element with most of them.
//!
//! Random numbers come from one stream for each group and run, and are drawn neuron by neuron in every step.

use super::aligned::Aligned;
use super::layout::Layout;
use super::signal::Source;
use snncc_data::{Purpose, RandomStream};
use snncc_ir::ann::Activation;
use snncc_ir::network::{RateNeuron, Spiking};
use snncc_ir::{ConvolutionGeometry, Param};

/// Means of a Poisson distribution up to this are drawn at once, larger ones in parts.
const POISSON_PART: f64 = 16.0;
/// From this mean on the distribution is taken to be normal.
const POISSON_NORMAL: f64 = 1024.0;

/// A group of such neurons.
#[derive(Debug)]
pub(super) struct RateGroup {
    function: Activation,
    gain: Param,
    spiking: Spiking,
    initial: Param,
    stream: RandomStream,
    pub(super) len: usize,
}

/// State of a group.
#[derive(Clone, Debug)]
pub(super) struct RateState {
    /// Parts of spikes that are kept; of regular neurons.
    kept: Aligned,
    stream: RandomStream,
}

impl RateGroup {
    /// `neuron` as a group of `len` neurons in the order of `layout`; `name` is that of its node.
    pub(super) fn new(neuron: &RateNeuron, len: usize, layout: Layout, name: &str) -> Self {
        Self {
            function: neuron.function.clone(),
            gain: layout.arranged_param(&neuron.gain),
            spiking: neuron.spiking,
            initial: layout.arranged_param(&neuron.initial),
            stream: RandomStream::new(neuron.seed, Purpose::NeuronNoise, 0, name),
            len,
        }
    }

    /// The state before the first step.
    pub(super) fn initial(&self) -> RateState {
        let mut kept = Aligned::zeros(if self.spiking == Spiking::Regular { self.len } else { 0 });
        kept.iter_mut().enumerate().for_each(|(n, kept)| *kept = self.initial.get(n));
        RateState { kept, stream: self.stream.clone() }
    }

    /// One step: the spikes of each neuron. `host_bias` is added to the input.
    pub(super) fn step(&self, input: Source<'_>, host_bias: Option<&[f64]>, state: &mut RateState, output: &mut [f64]) {
        input.copy_to(output);
        let RateState { kept, stream } = state;
        for (n, spikes) in output.iter_mut().enumerate() {
            let x = *spikes + host_bias.map_or(0.0, |bias| bias[n]);
            let rate = self.gain.get(n) * self.function.value(x, 0.0);
            *spikes = match self.spiking {
                Spiking::Regular => {
                    let sum = kept[n] + rate;
                    let whole = sum.floor();
                    kept[n] = sum - whole;
                    whole
                }
                Spiking::Stochastic => {
                    let whole = rate.abs().floor();
                    let more = stream.unit() < rate.abs() - whole;
                    (whole + f64::from(u8::from(more))).copysign(rate)
                }
                Spiking::Poisson => poisson(rate.abs(), stream).copysign(rate),
            };
        }
    }
}

/// A number from the Poisson distribution of this mean.
fn poisson(mean: f64, stream: &mut RandomStream) -> f64 {
    if mean >= POISSON_NORMAL {
        // Box and Muller; 1 − u is above 0.
        let radius = (-2.0 * (-stream.unit()).ln_1p()).sqrt();
        let normal = radius * (std::f64::consts::TAU * stream.unit()).cos();
        return (mean + mean.sqrt() * normal).round().max(0.0);
    }
    let (mut left, mut count) = (mean, 0.0);
    while left > 0.0 {
        let part = left.min(POISSON_PART);
        left -= part;
        // The smallest number whose distribution function exceeds a uniform number.
        let (uniform, mut probability) = (stream.unit(), (-part).exp());
        let (mut sum, mut number) = (probability, 0.0);
        while sum <= uniform && probability > 0.0 {
            number += 1.0;
            probability *= part / number;
            sum += probability;
        }
        count += number;
    }
    count
}

/// A pool that forwards the input of the element of each window with the largest sum so far.
#[derive(Debug)]
pub(super) struct Gate {
    geometry: ConvolutionGeometry,
}

impl Gate {
    /// Inputs and outputs are channels last.
    pub(super) fn new(geometry: ConvolutionGeometry) -> Self {
        Self { geometry }
    }

    /// Inputs, whose sums are kept, and as many values of the step behind them.
    pub(super) fn memory_len(&self) -> usize {
        2 * self.geometry.input.iter().map(|d| *d as usize).product::<usize>()
    }

    /// One step.
    pub(super) fn step(&self, input: Source<'_>, memory: &mut [f64], output: &mut [f64]) {
        let g = &self.geometry;
        let (sums, x) = memory.split_at_mut(memory.len() / 2);
        input.copy_to(x);
        sums.iter_mut().zip(&*x).for_each(|(sum, x)| *sum += x);
        let channels = g.input[0] as usize;
        let [height, width] = [g.input[1], g.input[2]];
        let inside = |window: u32, element: u32, d: usize, len: u32| {
            (window * g.stride[d] + element).checked_sub(g.padding[d]).filter(|place| *place < len)
        };
        for (place, outputs) in (0_u32..).zip(output.chunks_exact_mut(channels)) {
            let (row, column) = (place / g.output[2], place % g.output[2]);
            for (channel, output) in outputs.iter_mut().enumerate() {
                let mut best: Option<usize> = None;
                for y in (0..g.kernel[0]).filter_map(|y| inside(row, y, 0, height)) {
                    for x in (0..g.kernel[1]).filter_map(|x| inside(column, x, 1, width)) {
                        let at = (y * width + x) as usize * channels + channel;
                        if best.is_none_or(|best| sums[at] > sums[best]) {
                            best = Some(at);
                        }
                    }
                }
                *output = best.map_or(0.0, |best| x[best]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(spiking: Spiking, function: Activation, gain: f64, len: usize) -> RateGroup {
        let neuron = RateNeuron {
            gain: Param::Uniform(gain),
            initial: Param::Uniform(0.5),
            spiking,
            seed: 3,
            ..RateNeuron::new(function)
        };
        RateGroup::new(&neuron, len, Layout::RowMajor, "n")
    }

    /// Spikes of one neuron in so many steps of constant input.
    fn run(group: &RateGroup, x: f64, steps: usize) -> Vec<f64> {
        let mut state = group.initial();
        let mut output = [0.0];
        (0..steps)
            .map(|_| {
                group.step(Source::Values(&[x]), None, &mut state, &mut output);
                output[0]
            })
            .collect()
    }

    /// Counts that Nengo 4 gives for `RegularSpiking` rectifiers that start at one half: 1 s in steps of 1 ms.
    #[test]
    fn regular_spikes_are_those_of_nengo() {
        let regular = group(Spiking::Regular, Activation::Relu, 1e-3, 1);
        for (rate, count) in [(-5.0, 0.0), (0.0, 0.0), (10.0, 10.0), (99.5, 100.0), (333.3, 333.0), (2500.0, 2500.0)] {
            assert_eq!(run(&regular, rate, 1000).iter().sum::<f64>(), count, "{rate}");
        }
        let signed = group(Spiking::Regular, Activation::LeakyRelu { slope: 0.5 }, 1.0, 1);
        assert_eq!(run(&signed, -0.5, 8), [0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0]);
        assert_eq!(run(&signed, 2.25, 4), [2.0, 3.0, 2.0, 2.0]);
    }

    #[test]
    fn random_spikes_have_their_mean_and_variance() {
        for (spiking, rate, variance) in [
            (Spiking::Stochastic, 2.25, 0.25 * 0.75),
            (Spiking::Stochastic, -0.4, 0.4 * 0.6),
            (Spiking::Poisson, 0.7, 0.7),
            (Spiking::Poisson, -40.0, 40.0),
            (Spiking::Poisson, 3000.0, 3000.0),
        ] {
            let group = group(spiking, Activation::LeakyRelu { slope: 1.0 }, 1.0, 1);
            let spikes = run(&group, rate, 20_000);
            let mean = spikes.iter().sum::<f64>() / 20_000.0;
            let found = spikes.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / 20_000.0;
            let deviation = (variance / 20_000.0_f64).sqrt();
            assert!((mean - rate).abs() < 4.0 * deviation, "{spiking:?} {rate}: {mean}");
            assert!((found / variance - 1.0).abs() < 0.05, "{spiking:?} {rate}: {found}");
            assert!(spikes.iter().all(|n| n.fract() == 0.0));
            assert_eq!(run(&group, rate, 100), spikes[..100]);
        }
        assert_eq!(poisson(0.0, &mut RandomStream::new(1, Purpose::NeuronNoise, 0, "")), 0.0);
    }
}
