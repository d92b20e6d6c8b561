//! Groups of neurons: forward Euler as the head of `snncc_ir::network` gives it, resets, refractory periods.

use super::Source;
use snncc_ir::Param;
use snncc_ir::network::{Comparison, Neuron, NeuronModel, Reset};

/// Parameters of a group, one value per neuron.
#[derive(Debug)]
pub(super) struct Group {
    model: NeuronModel,
    reset: Reset,
    comparison: Comparison,
    /// `dt / tau_mem`.
    leak: Vec<f64>,
    /// `dt / tau_syn`.
    decay: Vec<f64>,
    r: Vec<f64>,
    w_in: Vec<f64>,
    v_leak: Vec<f64>,
    v_threshold: Vec<f64>,
    v_reset: Vec<f64>,
    refractory_steps: Vec<u32>,
    v_min: f64,
    v_initial: Vec<f64>,
    i_initial: Vec<f64>,
}

/// State of a group.
#[derive(Clone, Debug)]
pub(super) struct GroupState {
    pub(super) v: Vec<f64>,
    pub(super) i: Vec<f64>,
    /// Steps that the neuron still rests.
    rest: Vec<u32>,
    /// Input of this step.
    x: Vec<f64>,
    /// Neurons that fired in this step.
    pub(super) fired: Vec<u32>,
    /// Extremes so far, if asked for.
    pub(super) extremes: Option<Extremes>,
}

/// The range of what a group has seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extremes {
    /// Largest magnitude of an input.
    pub(super) input_max: f64,
    /// Smallest and largest membrane, before reset.
    pub(super) v_min: f64,
    pub(super) v_max: f64,
}

impl Extremes {
    /// Of nothing seen yet.
    pub(super) const NONE: Self = Self { input_max: 0.0, v_min: f64::INFINITY, v_max: f64::NEG_INFINITY };

    fn see(&mut self, x: f64, v: f64) {
        self.input_max = self.input_max.max(x.abs());
        self.v_min = self.v_min.min(v);
        self.v_max = self.v_max.max(v);
    }
}

/// Neurons without state: a spike where the input exceeds a threshold.
#[derive(Debug)]
pub(super) struct ThresholdGroup {
    pub(super) threshold: Param,
    pub(super) comparison: Comparison,
    pub(super) len: usize,
}

fn fires(comparison: Comparison, v: f64, threshold: f64) -> bool {
    match comparison {
        Comparison::Greater => v > threshold,
        Comparison::GreaterOrEqual => v >= threshold,
    }
}

impl ThresholdGroup {
    /// The state before the first step; the membrane is the input.
    pub(super) fn initial(&self) -> GroupState {
        GroupState::new(vec![0.0; self.len], Vec::new())
    }

    /// One step. `host_bias` is added to the input.
    pub(super) fn step(&self, input: Source<'_>, host_bias: Option<&[f64]>, state: &mut GroupState) {
        input.copy_to(&mut state.x);
        state.fired.clear();
        for n in 0..self.len {
            let v = state.x[n] + host_bias.map_or(0.0, |bias| bias[n]);
            state.v[n] = v;
            if let Some(extremes) = &mut state.extremes {
                extremes.see(state.x[n], v);
            }
            if fires(self.comparison, v, self.threshold.get(n)) {
                state.fired.push(n as u32);
            }
        }
    }
}

impl GroupState {
    fn new(v: Vec<f64>, i: Vec<f64>) -> Self {
        let len = v.len();
        Self { v, i, rest: vec![0; len], x: vec![0.0; len], fired: Vec::new(), extremes: None }
    }
}

impl Group {
    /// `neuron` as a group of `len` neurons with time step `dt` (not used by models without time constants).
    pub(super) fn new(neuron: &Neuron, len: usize, dt: Option<f64>, reset: Option<Reset>) -> Self {
        // Parameters that the model lacks may have any length and value.
        let expand = |param: &Param, used: bool| (0..len).map(|n| if used { param.get(n) } else { 0.0 }).collect();
        let decay = |tau: &Param, used: bool| {
            let dt = dt.filter(|_| used);
            dt.map_or(Vec::new(), |dt| (0..len).map(|n| dt / tau.get(n)).collect())
        };
        let model = neuron.model;
        Self {
            model,
            reset: reset.unwrap_or(neuron.reset),
            comparison: neuron.comparison,
            leak: decay(&neuron.tau_mem_s, model.leaks()),
            decay: decay(&neuron.tau_syn_s, model.filters()),
            r: expand(&neuron.r, true),
            w_in: expand(&neuron.w_in, model.filters()),
            v_leak: expand(&neuron.v_leak, model.leaks()),
            v_threshold: expand(&neuron.v_threshold, model.spikes()),
            v_reset: expand(&neuron.v_reset, model.spikes()),
            refractory_steps: (0..len).map(|n| neuron.refractory_steps.get(n)).collect(),
            v_min: neuron.v_min.unwrap_or(f64::NEG_INFINITY),
            v_initial: expand(&neuron.v_initial, true),
            i_initial: if model.filters() { expand(&neuron.i_initial, true) } else { Vec::new() },
        }
    }

    /// The state before the first step.
    pub(super) fn initial(&self) -> GroupState {
        GroupState::new(self.v_initial.clone(), self.i_initial.clone())
    }

    /// Whether the output is spikes.
    pub(super) fn spikes(&self) -> bool {
        self.model.spikes()
    }

    /// One step. `host_bias` is added to the membrane.
    pub(super) fn step(&self, input: Source<'_>, host_bias: Option<&[f64]>, state: &mut GroupState) {
        input.copy_to(&mut state.x);
        state.fired.clear();
        for n in 0..state.v.len() {
            let x = state.x[n];
            let drive = if self.model.filters() {
                let i = &mut state.i[n];
                *i += self.decay[n] * (self.w_in[n] * x - *i);
                self.r[n] * *i
            } else {
                self.r[n] * x
            };
            if state.rest[n] > 0 {
                state.rest[n] -= 1;
                continue;
            }
            let (before, threshold) = (state.v[n], self.v_threshold[n]);
            let mut v = if self.model.leaks() {
                before + self.leak[n] * (self.v_leak[n] - before + drive)
            } else {
                before + drive
            };
            if let Some(bias) = host_bias {
                v += bias[n];
            }
            // snnTorch subtracts before the comparison if the membrane was still above the threshold.
            let early = self.model.spikes()
                && self.reset == Reset::SnntorchSubtract
                && fires(self.comparison, before, threshold);
            if early {
                v -= threshold;
            }
            v = v.max(self.v_min);
            if let Some(extremes) = &mut state.extremes {
                extremes.see(x, v);
            }
            let fired = self.model.spikes() && fires(self.comparison, v, threshold);
            if fired {
                state.fired.push(n as u32);
                state.rest[n] = self.refractory_steps[n] - 1;
            }
            state.v[n] = match self.reset {
                Reset::ToValue if fired => self.v_reset[n],
                Reset::BySubtraction if fired => v - (threshold - self.v_reset[n]),
                Reset::SnntorchSubtract if fired && !early => v - threshold,
                Reset::SnntorchSubtract if early && !fired => v + threshold,
                _ => v,
            };
        }
    }
}
