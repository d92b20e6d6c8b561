//! How large the quantities of a neuron can become, and what that allows its scale to be.
//!
//! Two figures for each neuron: what happens *at worst* (every source with a positive weight spikes in one step, and goes on
//! to do so), and what is *likely* (mean and deviation of independent spikes at the measured rates, with a safety factor).
//! A scale that holds the worst case is taken wherever it leaves the weights their full precision.
//!
//! A population that resets by subtraction keeps its membrane in the current, which wraps at both ends where a voltage would be
//! clipped, and adds up without bound where it does not decay. Its worst case is that of [`ACCUMULATED_STEPS`] steps.
//!
//! **Invariant:** a cap that is [`CapBasis::Certain`] lets no register overflow, whatever spikes arrive (of a population that
//! resets by subtraction: in that many steps).

use super::fields::Registers;
use super::rows::Rows;

/// Likely values are this many standard deviations from the mean …
const DEVIATIONS: f64 = 6.0;
/// … times this, since spikes are not independent.
const SAFETY: f64 = 2.0;
/// Steps over which a membrane without leak is taken to add up, where nothing is known of it.
const ASSUMED_STEPS: f64 = 128.0;
/// Spikes per step of a source of unknown rate, for what is likely.
const ASSUMED_RATE: f64 = 0.25;
/// Observed voltages are stretched by this.
const OBSERVED_HEADROOM: f64 = 1.5;
/// Observed membranes that would wrap are stretched by this.
const WRAPPING_HEADROOM: f64 = 4.0;
/// Steps over which a membrane that spikes subtract from is taken to add up.
pub(super) const ACCUMULATED_STEPS: f64 = 256.0;
/// Units that the threshold of a membrane in the current has at least where nothing was seen of it, whatever may be likely: a
/// core that cannot keep all of a current loses about a unit of it per step, which is then one spike in as many steps.
const LEAST_MEMBRANE_UNITS: f64 = (1_u32 << 11) as f64;
/// Space below the worst case for the rounding of weights.
const ROUNDING_ROOM: f64 = 0.99;

/// Input of each neuron in one step, over all projections, in volts.
pub(super) struct Drive {
    /// Sum of positive weights.
    pub(super) positive: Vec<f64>,
    /// Sum of negative weights (0 or less).
    pub(super) negative: Vec<f64>,
    /// Largest magnitude of a weight that is not a whole.
    pub(super) largest: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl Drive {
    /// Adds up the rows of all projections onto `neurons` neurons, but for the one of index `reset`, which is no input. The
    /// weights of some are `wholes`, exact at every scale.
    pub(super) fn new(neurons: usize, projections: &[Rows<'_>], wholes: &[bool], reset: Option<usize>) -> Self {
        let zeros = || vec![0.0; neurons];
        let mut drive =
            Self { positive: zeros(), negative: zeros(), largest: zeros(), mean: zeros(), variance: zeros() };
        for (index, rows) in projections.iter().enumerate().filter(|(index, _)| Some(*index) != reset) {
            for row in 0..rows.len() {
                let (mut positive, mut negative, mut largest) = (0.0, 0.0, 0.0_f64);
                let (mut mean, mut variance) = (0.0, 0.0);
                for (weight, rate) in rows.weights[rows.range(row)].iter().zip(rows.rates(row)) {
                    let rate = if rows.calibrated { *rate } else { ASSUMED_RATE };
                    positive += weight.max(0.0);
                    negative += weight.min(0.0);
                    largest = if wholes[index] { 0.0 } else { largest.max(weight.abs()) };
                    mean += weight * rate;
                    variance += weight * weight * rate * (1.0 - rate);
                }
                for neuron in row * rows.neurons_per_row..((row + 1) * rows.neurons_per_row).min(neurons) {
                    drive.positive[neuron] += positive;
                    drive.negative[neuron] += negative;
                    drive.largest[neuron] = drive.largest[neuron].max(largest);
                    drive.mean[neuron] += mean;
                    drive.variance[neuron] += variance;
                }
            }
        }
        drive
    }
}

/// What is known of one neuron besides its input.
#[derive(Clone, Copy, Debug)]
pub(super) struct NeuronFacts {
    /// Part of the current kept on the chip.
    pub(super) current_keep: f64,
    /// Part of the voltage kept on the chip.
    pub(super) voltage_keep: f64,
    /// Bias in volts.
    pub(super) bias: f64,
    /// Threshold in volts; infinite for a neuron that does not spike.
    pub(super) threshold: f64,
    /// Current before the start, in volts.
    pub(super) u_initial: f64,
    /// Voltage before the start, in volts.
    pub(super) v_initial: f64,
    /// Smallest and largest voltage seen, relative to the reset, if there is data.
    pub(super) observed: Option<(f64, f64)>,
    /// What a spike takes off the current, in volts, if it does.
    pub(super) taken: Option<f64>,
}

/// Largest magnitudes of input and current, in the worst case of [`ACCUMULATED_STEPS`] steps, of a neuron whose spikes take
/// `taken` off its current: `positive` and `negative` are the sums of its weights of each sign (`negative` as a magnitude),
/// `top` is the current at which it spikes.
pub(super) fn worst_of_subtracting(
    (positive, negative): (f64, f64),
    taken: f64,
    top: f64,
    current_keep: f64,
    u_initial: f64,
) -> (f64, f64) {
    let steps = (1.0 / (1.0 - current_keep).max(f64::MIN_POSITIVE)).min(ACCUMULATED_STEPS);
    // Inhibition adds up; excitation does so as far as it exceeds what a spike in every step takes off.
    let low = negative * steps + taken;
    let high = top.abs() + positive + (positive - taken).max(0.0) * steps;
    (positive.max(negative + taken), low.max(high) + u_initial.abs())
}

/// Largest scale of a neuron, in units per volt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cap {
    /// The largest scale.
    pub(super) scale: f64,
    /// What it rests on.
    pub(super) basis: CapBasis,
}

/// What a [`Cap`] rests on, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CapBasis {
    /// The worst case: nothing overflows.
    Certain,
    /// What was seen, with all the headroom that it should have: the worst case would cost precision.
    Seen,
    /// What is likely, or less headroom over what was seen.
    Likely,
}

/// The largest scale of neuron `index`. `precision`: scale from which on the weights of the population have all their bits;
/// `full_units`: the same of a weight, in units.
pub(super) fn cap(
    registers: &Registers<'_>,
    drive: &Drive,
    index: usize,
    facts: NeuronFacts,
    precision: f64,
    full_units: f64,
) -> Cap {
    let voltage_max = registers.voltage_max();
    let over = |room: f64, value: f64| if value > 0.0 { room / value } else { f64::INFINITY };
    // What is certain to be stored: threshold, bias, initial state.
    let threshold_reach = registers.threshold_field().high as f64 * registers.threshold_unit();
    let mut hard = over(registers.bias_reach(), facts.bias.abs())
        .min(over(voltage_max, facts.u_initial.abs()))
        .min(over(voltage_max, facts.v_initial.abs()));
    if facts.threshold.is_finite() {
        hard = hard.min(over(threshold_reach, facts.threshold.abs()));
    }
    let (worst, likely) = (reach(drive, index, facts, true), reach(drive, index, facts, false));
    let input_room = Registers::overflow_reach(registers.arithmetic.input_overflow);
    let current_room = Registers::overflow_reach(registers.arithmetic.current_overflow);
    let biased_room = Registers::overflow_reach(registers.arithmetic.biased_current_overflow);
    let allowed = |reach: Reach| {
        over(input_room, reach.input)
            .min(over(current_room, reach.current))
            .min(over(biased_room, reach.biased))
            .min(over(voltage_max, reach.voltage))
    };
    let safe = allowed(worst) * ROUNDING_ROOM;
    let own_precision = if drive.largest[index] > 0.0 { full_units / drive.largest[index] } else { 0.0 };
    // The worst case of what adds up is far from what happens: each neuron may have its own precision.
    let precision = if facts.taken.is_some() { precision.max(own_precision) } else { precision };
    let least_scale = LEAST_MEMBRANE_UNITS / facts.threshold.abs();
    let mut cap = if safe >= precision.min(hard) {
        Cap { scale: hard.min(safe), basis: CapBasis::Certain }
    } else {
        let room = allowed(likely);
        let scale = hard.min(safe.max(precision.min(room)));
        let seen = facts.taken.is_some() && facts.observed.is_some() && precision <= room;
        Cap { scale, basis: if seen { CapBasis::Seen } else { CapBasis::Likely } }
    };
    let loses_current = facts.taken.is_some() && facts.current_keep < 1.0;
    if loses_current && facts.observed.is_none() && cap.scale < least_scale.min(hard) {
        cap = Cap { scale: least_scale.min(hard), basis: CapBasis::Likely };
    }
    // The voltage is clipped below, not wrapped: deep inhibition is worth its range only where it costs no precision.
    if let (Some((low, _)), None) = (facts.observed, facts.taken) {
        let wanted = over(voltage_max, -low * OBSERVED_HEADROOM).max(precision).max(own_precision);
        cap.scale = cap.scale.min(wanted);
    }
    cap
}

/// Largest magnitudes, in volts.
#[derive(Clone, Copy)]
struct Reach {
    input: f64,
    current: f64,
    biased: f64,
    voltage: f64,
}

fn reach(drive: &Drive, index: usize, facts: NeuronFacts, worst: bool) -> Reach {
    if let Some(taken) = facts.taken {
        return reach_of_subtracting(drive, index, facts, taken, worst);
    }
    let sum_u = 1.0 / (1.0 - facts.current_keep).max(f64::MIN_POSITIVE);
    let all = drive.positive[index].max(-drive.negative[index]);
    let mean = drive.mean[index].abs();
    let deviation = drive.variance[index].max(0.0).sqrt();
    let likely = |steps: f64, squares: f64| SAFETY * (mean * steps + DEVIATIONS * deviation * squares.sqrt());
    let (input, current) = if worst || all == 0.0 {
        (all, if all == 0.0 { 0.0 } else { all * sum_u })
    } else {
        let squares = 1.0 / (1.0 - facts.current_keep * facts.current_keep).max(f64::MIN_POSITIVE);
        (all.min(likely(1.0, 1.0)), (all * sum_u).min(likely(sum_u, squares)))
    };
    let current = current + facts.u_initial.abs();
    let biased = current + facts.bias.abs();
    let sum_v = 1.0 / (1.0 - facts.voltage_keep).max(f64::MIN_POSITIVE);
    let voltage = if facts.threshold.is_finite() {
        // One step beyond the threshold.
        facts.threshold.abs() + biased
    } else if let Some((low, high)) = facts.observed {
        low.abs().max(high.abs()) * OBSERVED_HEADROOM
    } else if biased == 0.0 {
        facts.v_initial.abs()
    } else if worst {
        facts.v_initial.abs() + biased * sum_v
    } else {
        let steps = sum_v.min(ASSUMED_STEPS);
        facts.v_initial.abs()
            + (SAFETY * (mean * sum_u + facts.bias.abs()) * steps).min(biased * steps)
            + SAFETY * DEVIATIONS * deviation * sum_u * steps.sqrt()
    };
    Reach { input, current, biased, voltage }
}

fn reach_of_subtracting(drive: &Drive, index: usize, facts: NeuronFacts, taken: f64, worst: bool) -> Reach {
    let sums = (drive.positive[index], -drive.negative[index]);
    let top = facts.threshold - facts.bias;
    let (most_input, most_current) = worst_of_subtracting(sums, taken, top, facts.current_keep, facts.u_initial);
    // What was seen counts in any case: the data may have had more steps.
    let seen = facts.observed.map_or(0.0, |(low, high)| low.abs().max(high.abs()));
    let (input, current) = if worst {
        (most_input, most_current)
    } else {
        let (mean, deviation) = (drive.mean[index], drive.variance[index].max(0.0).sqrt());
        let input = SAFETY * (mean.abs() + DEVIATIONS * deviation) + taken;
        let current = match facts.observed {
            Some(_) => seen * WRAPPING_HEADROOM,
            None => {
                let steps = (1.0 / (1.0 - facts.current_keep).max(f64::MIN_POSITIVE)).min(ACCUMULATED_STEPS);
                // What does not come back to the threshold: inhibition, and excitation beyond one spike in every step.
                let drift = (-mean).max(mean - taken).max(0.0);
                // A sample may drive inhibition alone.
                let inhibited = sums.1 * ASSUMED_RATE * steps;
                top.abs()
                    + taken
                    + (SAFETY * (drift * steps + DEVIATIONS * deviation * steps.sqrt())).max(inhibited)
                    + facts.u_initial.abs()
            }
        };
        (input.min(most_input), current.min(most_current))
    };
    let current = current.max(seen);
    Reach { input, current, biased: current + facts.bias.abs(), voltage: facts.threshold.abs() }
}
