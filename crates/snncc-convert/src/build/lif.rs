//! The rate of a leaky integrate-and-fire neuron that moves in steps, and the drive for which it is wanted.
//!
//! With `q = 1 − dt/tau`, threshold 1 and reset to 0, a constant current `J` charges the membrane to `J (1 − q^n)` in `n` steps.
//! It fires in the first step in which that exceeds 1; then it rests for `R − 1` steps and begins anew:
//!
//! ```text
//! r(J) = 1 / (R − 1 + n)     n = ⌊N⌋ + 1     N = ln(1 − 1/J) / ln q     J > 1
//! ```
//!
//! `tau` is chosen so that `q = exp(−dt/tau_rc)`: then `N dt` is the time in which the neuron of continuous time charges, and the
//! rate is that neuron's with the interval rounded up to whole steps. The stairs are those of a constant current; inputs that
//! are spikes vary, and smooth them. Where a current is wanted for a rate, it is that in the middle of a stair.

use snncc_ir::ann::SoftLif;
use snncc_ir::network::Comparison;

/// Points at which a rate is compared with the wanted one, and onsets that are tried.
const POINTS: u32 = 64;
/// Longest time to the threshold at the scale that is tried, in steps.
const LONGEST: u32 = 64;

/// The rate over the current of a neuron.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LifCurve {
    dt_s: f64,
    /// Part of the membrane that a step leaves, and its logarithm.
    keep: f64,
    ln_keep: f64,
    /// Steps after that of a spike in which the membrane stays.
    rest: u32,
    comparison: Comparison,
}

/// A current `gain · x + bias`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Drive {
    pub(super) gain: f64,
    pub(super) bias: f64,
}

impl LifCurve {
    pub(super) fn new(tau_rc_s: f64, tau_ref_s: f64, dt_s: f64, comparison: Comparison) -> Self {
        let ln_keep = -dt_s / tau_rc_s;
        Self { dt_s, keep: ln_keep.exp(), ln_keep, rest: (tau_ref_s / dt_s).round() as u32, comparison }
    }

    /// The time constant with which forward Euler decays as the neuron does.
    pub(super) fn tau_s(&self) -> f64 {
        self.dt_s / -self.ln_keep.exp_m1()
    }

    /// Steps of the refractory period, that of the spike among them.
    pub(super) fn refractory_steps(&self) -> u32 {
        self.rest.saturating_add(1)
    }

    /// Spikes per step under a constant current.
    pub(super) fn rate(&self, current: f64) -> f64 {
        if current <= 1.0 {
            return 0.0;
        }
        let charging = (-1.0 / current).ln_1p() / self.ln_keep;
        let steps = match self.comparison {
            Comparison::Greater => charging.floor() + 1.0,
            Comparison::GreaterOrEqual => charging.ceil(),
        };
        1.0 / (f64::from(self.rest) + steps.max(1.0))
    }

    /// The current in the middle of those that have a rate; rates between two stairs lie between theirs. Rates that are too
    /// high have the current that is needed to fire as often as there is time for.
    pub(super) fn current(&self, rate: f64) -> f64 {
        let steps = (1.0 / rate - f64::from(self.rest)).max(1.0) - 0.5;
        1.0 / (1.0 - self.keep.powf(steps))
    }

    /// The drive that reaches `last` at the largest `x` and errs least from `wanted` for `x` between `range`, and the root of
    /// the mean square error. At the smallest `x` the current is at most the threshold.
    fn fitted(&self, range: [f64; 2], last: f64, wanted: impl Fn(f64) -> f64) -> (Drive, f64) {
        let width = range[1] - range[0];
        let points = (0..POINTS).map(|point| range[0] + width * (f64::from(point) + 0.5) / f64::from(POINTS));
        let points: Vec<(f64, f64)> = points.map(|x| (x, wanted(x))).collect();
        let candidate = |onset: u32| {
            let onset = f64::from(onset) / f64::from(POINTS);
            let gain = (last - onset) / width;
            let drive = Drive { gain, bias: onset - gain * range[0] };
            let square = |(x, wanted): &(f64, f64)| (self.rate(drive.gain * x + drive.bias) - wanted).powi(2);
            (drive, (points.iter().map(square).sum::<f64>() / f64::from(POINTS)).sqrt())
        };
        let better = |best: (Drive, f64), next: (Drive, f64)| if next.1 < best.1 { next } else { best };
        (0..=POINTS).map(candidate).reduce(better).expect("bug in snncc: there are candidates")
    }
}

/// The drive of a neuron that stands for a rectifier of the values 0 to 1, and its rate at 1. Where the rate is not given, it is
/// the one for which the shape of the curve and the rounding of the spikes of `steps` steps together err least.
pub(super) fn like_rectifier(curve: &LifCurve, rate: Option<f64>, steps: u32) -> (Drive, f64) {
    let at = |rate: f64| {
        let (drive, error) = curve.fitted([0.0, 1.0], curve.current(rate), |x| rate * x);
        (drive, error / rate)
    };
    if let Some(rate) = rate {
        let rate = rate.min(1.0 / f64::from(curve.refractory_steps()));
        return (at(rate).0, rate);
    }
    let candidate = |n: u32| {
        let rate = 1.0 / f64::from(curve.rest.saturating_add(n));
        let (drive, error) = at(rate);
        // A count is rounded to whole spikes: a uniform error of 1.
        let rounding = 1.0 / (12.0 * (rate * f64::from(steps.max(1))).powi(2));
        (drive, rate, error.powi(2) + rounding)
    };
    let best = (1..=LONGEST).map(candidate).reduce(|best, next| if next.2 < best.2 { next } else { best });
    let (drive, rate, _) = best.expect("bug in snncc: there are candidates");
    (drive, rate)
}

/// The drive of a neuron whose rate curve was trained, for values up to `largest`, and the mean growth of the input for which the
/// value grows by 1.
pub(super) fn like_soft(curve: &LifCurve, soft: &SoftLif, largest: f64, dt_s: f64) -> (Drive, f64) {
    let amplitude = f64::from(soft.amplitude);
    let steepest = f64::from(curve.refractory_steps()) * dt_s;
    // No neuron fires more often than its refractory period lets it.
    let largest = largest.clamp(1e-3 * amplitude, amplitude / steepest.max(f64::from(soft.tau_ref_s)) * 0.99);
    let end = soft.inverse(largest).max(1.0 + 1e-6);
    let (drive, _) =
        curve.fitted([1.0, end], curve.current(largest / amplitude * dt_s), |x| soft.value(x) / amplitude * dt_s);
    (drive, (end - 1.0) / largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use snncc_ids::NodeId;
    use snncc_ir::Param;
    use snncc_ir::network::{Edge, Neuron, NeuronModel, Node};
    use snncc_ir::{Network, NetworkNode};
    use snncc_reference::float::{FloatInput, FloatNetwork, FloatOptions, Record};

    fn curve() -> LifCurve {
        LifCurve::new(0.02, 0.002, 0.001, Comparison::Greater)
    }

    /// Spikes of the float reference's neuron under a constant current.
    fn count(curve: &LifCurve, current: f64, steps: u32) -> u64 {
        let mut neuron = Neuron::new(NeuronModel::Lif);
        neuron.tau_mem_s = Param::Uniform(curve.tau_s());
        neuron.refractory_steps = Param::Uniform(curve.refractory_steps());
        let nodes = [("x", Node::Input { shape: vec![1] }), ("n", Node::Neuron(neuron))];
        let node = |(name, node): (&str, Node)| NetworkNode { name: name.into(), node };
        let network = Network {
            dt_s: Some(curve.dt_s),
            nodes: nodes.into_iter().map(node).collect(),
            edges: vec![Edge { source: NodeId(0), target: NodeId(1) }],
            ..Network::default()
        };
        let network = FloatNetwork::new(&network, &FloatOptions::default()).unwrap();
        let spikes = snncc_data::Stimulus::default();
        let input = FloatInput { spikes: &spikes, analog: vec![("x".into(), vec![current])] };
        network.run(&input, steps, &Record::default()).unwrap().population("n").unwrap().spike_count
    }

    #[test]
    fn the_rate_is_that_of_the_neuron() {
        for curve in [curve(), LifCurve::new(0.005, 0.0, 0.001, Comparison::Greater)] {
            for current in [0.5, 1.0, 1.001, 1.1, 1.5, 2.0, 3.7, 5.0, 10.0, 50.0, 1e6] {
                let expected = curve.rate(current) * 5000.0;
                let found = count(&curve, current, 5000) as f64;
                assert!((found - expected).abs() <= 1.0, "{current}: {found}, {expected}");
            }
        }
    }

    /// The neuron of continuous time has shorter intervals, by less than a step.
    #[test]
    fn intervals_are_those_of_continuous_time_rounded_up() {
        let rate = SoftLif { gamma: 0.0, ..SoftLif::DEFAULT };
        for current in [1.001, 1.1, 1.5, 2.0, 5.0, 10.0, 50.0] {
            let longer = 1.0 / curve().rate(current) - 1000.0 / rate.value(current);
            assert!((0.0..=1.0).contains(&longer), "{current}: {longer}");
        }
    }

    #[test]
    fn a_rectifier_has_its_rate_at_the_scale_and_errs_little_below() {
        let curve = curve();
        for rate in [None, Some(0.1), Some(0.05)] {
            let (drive, reached) = like_rectifier(&curve, rate, 128);
            assert!(rate.is_none_or(|rate| rate == reached));
            assert!((curve.rate(drive.gain + drive.bias) - reached).abs() < 1e-12);
            assert_eq!(curve.rate(drive.bias), 0.0);
            let error = |x: u32| {
                let x = f64::from(x) / 100.0;
                curve.rate(drive.gain * x + drive.bias) / reached - x
            };
            let square = (0..100).map(|x| error(x).powi(2)).sum::<f64>() / 100.0;
            assert!(square.sqrt() < 0.1, "{rate:?}: {}", square.sqrt());
        }
        // More steps are worth fewer spikes per step, whose stairs are finer.
        assert!(like_rectifier(&curve, None, 16).1 > like_rectifier(&curve, None, 1024).1);
        // Faster than the refractory period is not possible.
        assert_eq!(like_rectifier(&curve, Some(1.0), 16).1, 1.0 / 3.0);
    }

    #[test]
    fn a_trained_curve_needs_hardly_any_change() {
        let soft = SoftLif { gamma: 0.02, ..SoftLif::DEFAULT };
        let (drive, slope) = like_soft(&curve(), &soft, 150.0, 0.001);
        assert!((0.9..1.2).contains(&drive.gain) && drive.bias.abs() < 0.2, "{drive:?}");
        assert!((slope - (soft.inverse(150.0) - 1.0) / 150.0).abs() < 1e-12);
    }
}
