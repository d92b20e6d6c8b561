//! The update of compartments: docs/CHIP_SEMANTICS.md ("Update"), line by line.

use super::Overflows;
use super::arithmetic::{keep, overflow, shift};
use snncc_chip::ArithmeticProfile;
use snncc_ir::{IntNeurons, NoiseParams, NoiseTarget, ResetModel};

/// Compartments of a population.
#[derive(Clone, Debug)]
pub(super) struct Neurons {
    cells: Vec<Cell>,
    v_min: Option<i64>,
    v_max: Option<i64>,
    reset: ResetModel,
    noise: Option<NoiseParams>,
    start_step: u32,
    profile: ArithmeticProfile,
}

/// Settings of one compartment, registers turned into the values they stand for.
#[derive(Clone, Copy, Debug)]
struct Cell {
    /// Kept part of the current, `ku`.
    current_keep: i64,
    /// Kept part of the voltage, `kv`.
    voltage_keep: i64,
    threshold: i64,
    bias: i64,
    refractory: i64,
    u_initial: i64,
    v_initial: i64,
}

/// State of a population.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) u: Vec<i64>,
    pub(super) v: Vec<i64>,
    /// Refractory counters.
    countdown: Vec<i64>,
    /// Bias from the start step on, with what the host adds.
    bias: Vec<i64>,
}

impl Neurons {
    pub(super) fn new(neurons: &IntNeurons, len: usize, profile: &ArithmeticProfile) -> Self {
        let one = 1_i64 << profile.decay_fraction_bits.min(62);
        let cells = (0..len).map(|i| Cell {
            current_keep: one - i64::from(profile.decay_u_offset) - neurons.decay_u.get(i),
            voltage_keep: one - i64::from(profile.decay_v_offset) - neurons.decay_v.get(i),
            threshold: shift(neurons.threshold_mantissa.get(i), profile.threshold_shift.into()),
            bias: shift(neurons.bias_mantissa.get(i), neurons.bias_exponent.get(i)),
            refractory: neurons.refractory.get(i),
            u_initial: neurons.u_initial.get(i),
            v_initial: neurons.v_initial.get(i),
        });
        let power = |exponent: u32| 1_i64 << exponent.min(62);
        Self {
            cells: cells.collect(),
            v_min: neurons.v_min_exponent.map(|x| 1 - power(x.into())),
            v_max: neurons.v_max_exponent.map(|y| {
                power(u32::from(profile.v_max_base_bits) + u32::from(profile.v_max_bits_per_unit) * u32::from(y)) - 1
            }),
            reset: neurons.reset,
            noise: neurons.noise.clone(),
            start_step: neurons.start_step.max(1),
            profile: profile.clone(),
        }
    }

    pub(super) fn is_ternary(&self) -> bool {
        matches!(self.reset, ResetModel::Ternary { .. })
    }

    /// The state before step 1.
    pub(super) fn start(&self, added_bias: Option<&[i64]>) -> State {
        let added = |i: usize| added_bias.map_or(0, |bias| bias[i]);
        let zero = vec![0; self.cells.len()];
        let bias = self.cells.iter().enumerate().map(|(i, cell)| cell.bias.wrapping_add(added(i))).collect();
        State { u: zero.clone(), v: zero.clone(), countdown: zero, bias }
    }

    /// Step `t`: takes the input that arrived, leaves it as it entered the current, and appends `(neuron, payload)` of each
    /// spike.
    pub(super) fn step(
        &self,
        t: u32,
        arrived: &mut [i64],
        state: &mut State,
        fired: &mut Vec<(u32, i64)>,
        overflows: &mut Overflows,
    ) {
        let profile = &self.profile;
        if t == self.start_step {
            for (i, cell) in self.cells.iter().enumerate() {
                state.u[i] = cell.u_initial;
                state.v[i] = cell.v_initial;
            }
        }
        if let ResetModel::Periodic { interval, offset } = self.reset
            && interval > 0
            && t % interval == offset % interval
        {
            state.u.fill(0);
            state.v.fill(0);
        }
        let samples = self.noise.as_ref().and_then(|noise| Some((noise.target, noise.samples.get(t as usize - 1)?)));
        let noise = |at: NoiseTarget, i: usize| match samples {
            Some((target, values)) if target == at => i64::from(values[i]),
            _ => 0,
        };
        let write = |x: i64, rule, counter: &mut u64| {
            let held = overflow(x, rule);
            *counter += u64::from(held != x);
            held
        };
        for (i, cell) in self.cells.iter().enumerate() {
            let a = arrived[i].wrapping_add(noise(NoiseTarget::Dendrite, i));
            let a = write(a, profile.input_overflow, &mut overflows.inputs);
            arrived[i] = a;

            let u = keep(state.u[i], cell.current_keep, profile.decay_fraction_bits).wrapping_add(a);
            let u = write(u, profile.current_overflow, &mut overflows.currents);
            state.u[i] = u;

            let bias = if t >= self.start_step { state.bias[i] } else { 0 };
            let b = u.wrapping_add(bias).wrapping_add(noise(NoiseTarget::Membrane, i));
            let b = write(b, profile.biased_current_overflow, &mut overflows.biased_currents);

            let mut v = keep(state.v[i], cell.voltage_keep, profile.decay_fraction_bits).wrapping_add(b);
            if let Some(v_min) = self.v_min.filter(|v_min| v < *v_min) {
                v = v_min;
                overflows.clipped_at_min += 1;
            }
            if let Some(v_max) = self.v_max.filter(|v_max| v > *v_max) {
                v = v_max;
                overflows.clipped_at_max += 1;
            }
            if state.countdown[i] > 0 {
                v = 0;
            }
            let spike = match self.reset {
                _ if v > cell.threshold => 1,
                ResetModel::Ternary { lower_threshold_mantissa }
                    if v < shift(lower_threshold_mantissa.into(), profile.threshold_shift.into()) =>
                {
                    -1
                }
                _ => 0,
            };
            if spike != 0 {
                v = 0;
                state.countdown[i] = cell.refractory;
                fired.push((i as u32, spike));
            }
            state.countdown[i] = (state.countdown[i] - 1).max(0);
            state.v[i] = v;
        }
    }
}
