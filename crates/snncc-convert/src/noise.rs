//! The noise of filtered spikes, and the filter that a network needs.
//!
//! A filter of time constant `τ` lowers the variance of what a spike train stands for and delays the layer behind it. Of a layer
//! whose channels have the rates `r` and the spikes `s`, and of weights that know nothing of each other, the input of the next
//! layer has the signal-to-noise ratio
//!
//! ```text
//! SNR(τ) = Σ E[a²] / Σ s² Var(r, τ)
//! ```
//!
//! over the channels: the weights cancel. The smallest `τ` is taken for which every layer reaches [`WANTED`], but no more than
//! lets the last layer settle in half of the steps.

use crate::options::{Filter, NeuronKind};
use crate::statistics::LayerStatistics;
use snncc_ir::network::Spiking;

/// Signal power over noise power that the input of each layer should have: 20 dB.
pub const WANTED: f64 = 100.0;
/// Part of a step in its input that a layer has not followed once it counts as settled.
pub const UNSETTLED: f64 = 0.05;

/// Variance, over a uniform phase, of a regular spike train of `rate` spikes a step behind a lowpass filter of unit area:
/// `r (1−c²)/(2τ(1−c)²) − r²` with `c = exp(−1/(rτ))`. Times are in steps.
pub fn lowpass_variance(rate: f64, tau: f64) -> f64 {
    if rate <= 0.0 {
        return 0.0;
    }
    let c = (-1.0 / (rate * tau)).exp();
    // (1−c²)/(1−c)² = (1+c)/(1−c); the formula is of time, in which no rate is above one spike a step.
    (rate * (1.0 + c) / (2.0 * tau * -(-1.0 / (rate * tau)).exp_m1()) - rate * rate).max(0.0)
}

/// Steps until `layers` layers behind filters of these time constants (in steps) have settled.
pub fn settling_steps(taus: &[f64], layers: u32) -> f64 {
    taus.iter().sum::<f64>() * -UNSETTLED.ln() * f64::from(layers)
}

/// The lowpass filter for a network of so many layers in a row; none where less than half a step is enough. `spikes` are the
/// values that a spike of each channel of each layer stands for.
pub(crate) fn automatic_filter(
    statistics: &[LayerStatistics],
    spikes: &[Vec<f64>],
    neuron: NeuronKind,
    layers: u32,
    steps: u32,
    dt_s: f64,
) -> Option<Filter> {
    let longest = 0.5 * f64::from(steps) / settling_steps(&[1.0], layers.max(1));
    let suffices = |tau: f64| {
        statistics.iter().zip(spikes).all(|(layer, spikes)| {
            let (mut signal, mut noise) = (0.0, 0.0);
            for (channel, spike) in layer.channels.iter().zip(spikes) {
                let rate = channel.mean_above_zero() / spike;
                signal += channel.sum_squares / channel.count.max(1) as f64;
                noise += spike
                    * spike
                    * match neuron {
                        NeuronKind::Rate(Spiking::Stochastic | Spiking::Poisson) => rate / (2.0 * tau),
                        _ => lowpass_variance(rate, tau),
                    };
            }
            signal >= WANTED * noise
        })
    };
    let (mut low, mut high) = (0.0, longest);
    if suffices(high) {
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if suffices(middle) { high = middle } else { low = middle }
        }
    }
    (high >= 0.5).then_some(Filter::Lowpass { tau_s: high * dt_s })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Histogram;
    use snncc_ids::AnnNodeId;

    #[test]
    fn the_variance_has_its_limits() {
        // Few spikes in a time constant: those of a Poisson train, r/(2τ).
        let (rate, tau) = (1e-3, 5.0);
        assert!((lowpass_variance(rate, tau) / (rate / (2.0 * tau)) - 1.0).abs() < 0.02);
        // Many: 1/(12 τ²).
        let (rate, tau) = (0.5, 50.0);
        assert!((lowpass_variance(rate, tau) * 12.0 * tau * tau - 1.0).abs() < 0.01);
        assert_eq!(lowpass_variance(0.0, 5.0), 0.0);
    }

    /// A channel at half its scale: power ¼, and noise `1/(12 τ²)` or `r/(2τ)`.
    #[test]
    fn the_filter_meets_the_budget_or_the_steps() {
        let statistics = [LayerStatistics { node: AnnNodeId(0), channels: vec![Histogram::of(64, &[0.5; 8])] }];
        let tau = |neuron, steps| match automatic_filter(&statistics, &[vec![1.0]], neuron, 2, steps, 1.0) {
            Some(Filter::Lowpass { tau_s }) => tau_s,
            _ => 0.0,
        };
        let regular = tau(NeuronKind::IntegrateAndFire, 1 << 20);
        assert!((lowpass_variance(0.5, regular) * WANTED - 0.25).abs() < 1e-6, "{regular}");
        assert!((tau(NeuronKind::Rate(Spiking::Poisson), 1 << 20) - 100.0).abs() < 1e-6);
        // Not all of it fits into few steps, and nothing into very few.
        assert!((settling_steps(&[tau(NeuronKind::Rate(Spiking::Poisson), 64)], 2) - 32.0).abs() < 1e-6);
        assert_eq!(tau(NeuronKind::IntegrateAndFire, 4), 0.0);
    }
}
