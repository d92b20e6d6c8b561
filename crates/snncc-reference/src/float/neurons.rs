//! Groups of neurons: forward Euler as the head of `snncc_ir::network` gives it, resets, refractory periods.
//!
//! Groups without refractory period (and without snnTorch's reset) are updated by [`super::blocks`], many neurons at a
//! time; [`Group::step_one`] is the plain rule for all.

use super::aligned::Aligned;
use super::blocks;
use super::layout::Layout;
use super::signal::{Signal, Source};
use snncc_ir::Param;
use snncc_ir::network::{Comparison, Neuron, NeuronModel, Reset};

/// Parameters of a group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) model: NeuronModel,
    pub(super) reset: Reset,
    len: usize,
    /// `dt / tau_mem`.
    pub(super) leak: Parameter,
    /// `dt / tau_syn`.
    pub(super) decay: Parameter,
    pub(super) r: Parameter,
    pub(super) w_in: Parameter,
    pub(super) v_leak: Parameter,
    v_threshold: Parameter,
    /// What the membrane must exceed to fire: the threshold, or the number before it where reaching it is enough.
    pub(super) fires_above: Parameter,
    pub(super) v_reset: Parameter,
    /// What a spike takes from the membrane: `v_threshold − v_reset`.
    pub(super) drop: Parameter,
    refractory_steps: Param<u32>,
    pub(super) v_min: f64,
    v_initial: Aligned,
    i_initial: Aligned,
    /// Whether blocks of neurons may be updated at once.
    in_blocks: bool,
}

/// A parameter, read in runs of neurons.
#[derive(Debug)]
pub(super) struct Parameter {
    /// One value per neuron, or [`blocks::LEN`] times the value of all.
    values: Aligned,
    is_uniform: bool,
}

impl Parameter {
    /// Of `len` neurons.
    fn new(len: usize, value: impl FnMut(usize) -> f64) -> Self {
        match Param::from_values((0..len).map(value).collect()) {
            Param::Uniform(value) => Self { values: Aligned::from(&[value; blocks::LEN][..]), is_uniform: true },
            Param::PerNeuron(values) => Self { values: Aligned::from(&values[..]), is_uniform: false },
        }
    }

    #[inline(always)]
    fn get(&self, neuron: usize) -> f64 {
        self.values[if self.is_uniform { 0 } else { neuron }]
    }

    /// The values of `len` neurons (at most [`blocks::LEN`]) from `first` on.
    #[inline(always)]
    pub(super) fn run(&self, first: usize, len: usize) -> &[f64] {
        let first = if self.is_uniform { 0 } else { first };
        &self.values[first..first + len]
    }
}

/// State of a group.
#[derive(Clone, Debug)]
pub(super) struct GroupState {
    pub(super) v: Aligned,
    pub(super) i: Aligned,
    /// Steps that the neuron still rests.
    rest: Vec<u32>,
    /// Input of this step, where it comes as spikes; 0 between the steps.
    x: Aligned,
    /// Extremes so far, if asked for.
    pub(super) extremes: Option<Extremes>,
    /// Spikes of steps to come, where the input is known to stay the same.
    ahead: Option<Ahead>,
}

/// Spikes made ahead: steps in which one neuron after the other was updated.
#[derive(Clone, Debug, Default)]
struct Ahead {
    /// Who fires in each step, up to `made`.
    lists: Vec<Vec<u32>>,
    made: usize,
    /// How many of them were taken.
    taken: usize,
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

    #[inline(always)]
    pub(super) fn see(&mut self, x: f64, v: f64) {
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

fn fires_above(comparison: Comparison, threshold: f64) -> f64 {
    match comparison {
        Comparison::Greater => threshold,
        Comparison::GreaterOrEqual => threshold.next_down(),
    }
}

impl ThresholdGroup {
    /// The state before the first step; the membrane is the input.
    pub(super) fn initial(&self) -> GroupState {
        GroupState::new(Aligned::zeros(self.len), Aligned::zeros(0), 0)
    }

    /// One step. `host_bias` is added to the input.
    pub(super) fn step(
        &self,
        input: Source<'_>,
        host_bias: Option<&[f64]>,
        state: &mut GroupState,
        fired: &mut Vec<u32>,
    ) {
        input.copy_to(&mut state.x);
        for n in 0..self.len {
            let v = state.x[n] + host_bias.map_or(0.0, |bias| bias[n]);
            state.v[n] = v;
            if let Some(extremes) = &mut state.extremes {
                extremes.see(state.x[n], v);
            }
            if v > fires_above(self.comparison, self.threshold.get(n)) {
                fired.push(n as u32);
            }
        }
    }
}

impl GroupState {
    /// From now on the input stays the same, and between steps nobody looks at the state.
    pub(super) fn go_ahead(&mut self) {
        self.ahead = Some(Ahead::default());
    }

    /// Puts the spikes of this step in `output` if they were made ahead.
    pub(super) fn take_ahead(&mut self, output: &mut Signal) -> bool {
        let Some(ahead) = self.ahead.as_mut().filter(|ahead| ahead.taken < ahead.made) else { return false };
        std::mem::swap(output.spikes_mut(), &mut ahead.lists[ahead.taken]);
        ahead.taken += 1;
        true
    }

    fn new(v: Aligned, i: Aligned, resting: usize) -> Self {
        let len = v.len();
        Self { v, i, rest: vec![0; resting], x: Aligned::zeros(len), extremes: None, ahead: None }
    }
}

impl Group {
    /// `neuron` as a group of `len` neurons, in the order of `layout`, with time step `dt` (not used by models without time
    /// constants).
    pub(super) fn new(neuron: &Neuron, len: usize, layout: Layout, dt: Option<f64>, reset: Option<Reset>) -> Self {
        // Parameters that the model lacks may have any length and value.
        let of =
            |param: &Param, used: bool| Parameter::new(len, |n| if used { param.get(layout.element(n)) } else { 0.0 });
        let decay = |tau: &Param, used: bool| match dt.filter(|_| used) {
            Some(dt) => Parameter::new(len, |n| dt / tau.get(layout.element(n))),
            None => Parameter::new(len, |_| 0.0),
        };
        let initial = |param: &Param| {
            let mut values = Aligned::zeros(len);
            values.iter_mut().enumerate().for_each(|(n, value)| *value = param.get(layout.element(n)));
            values
        };
        let model = neuron.model;
        let reset = reset.unwrap_or(neuron.reset);
        let v_threshold = of(&neuron.v_threshold, model.spikes());
        let v_reset = of(&neuron.v_reset, model.spikes());
        let refractory_steps = layout.arranged_param(&neuron.refractory_steps);
        let rests = model.spikes() && refractory_steps.values().iter().any(|steps| *steps > 1);
        Self {
            model,
            reset,
            len,
            leak: decay(&neuron.tau_mem_s, model.leaks()),
            decay: decay(&neuron.tau_syn_s, model.filters()),
            r: of(&neuron.r, true),
            w_in: of(&neuron.w_in, model.filters()),
            v_leak: of(&neuron.v_leak, model.leaks()),
            fires_above: Parameter::new(len, |n| fires_above(neuron.comparison, v_threshold.get(n))),
            drop: Parameter::new(len, |n| v_threshold.get(n) - v_reset.get(n)),
            v_threshold,
            v_reset,
            refractory_steps,
            v_min: neuron.v_min.unwrap_or(f64::NEG_INFINITY),
            v_initial: initial(&neuron.v_initial),
            i_initial: if model.filters() { initial(&neuron.i_initial) } else { Aligned::zeros(0) },
            in_blocks: !model.spikes() || !rests && reset != Reset::SnntorchSubtract,
        }
    }

    /// The state before the first step.
    pub(super) fn initial(&self) -> GroupState {
        let resting = if self.in_blocks { 0 } else { self.len };
        GroupState::new(self.v_initial.clone(), self.i_initial.clone(), resting)
    }

    /// Whether all neurons have the same parameters.
    pub(super) fn is_uniform(&self) -> bool {
        let parameters =
            [&self.leak, &self.decay, &self.r, &self.w_in, &self.v_leak, &self.fires_above, &self.v_reset, &self.drop];
        parameters.iter().all(|parameter| parameter.is_uniform)
    }

    /// Whether the output is spikes.
    pub(super) fn spikes(&self) -> bool {
        self.model.spikes()
    }

    /// Whether several steps may be taken at once while the input is the same.
    pub(super) fn can_go_ahead(&self) -> bool {
        self.in_blocks && self.spikes() && self.steps_ahead() > 1
    }

    /// Steps ahead, so that their spikes do not take too much memory.
    fn steps_ahead(&self) -> usize {
        const MOST_SPIKES: usize = 1 << 20;
        (MOST_SPIKES / self.len.max(1)).min(blocks::LEN)
    }

    /// One step, the first of `left`. `host_bias` is added to the membrane.
    pub(super) fn step(
        &self,
        arch: pulp::Arch,
        input: Source<'_>,
        host_bias: Option<&[f64]>,
        left: u32,
        state: &mut GroupState,
        output: &mut Signal,
    ) {
        let mut dense = std::mem::replace(&mut state.x, Aligned::zeros(0));
        let x = match input {
            Source::Values(x) => x,
            Source::Spikes(spikes) => {
                spikes.iter().for_each(|spike| dense[*spike as usize] = 1.0);
                &dense[..]
            }
        };
        if let Some(mut ahead) = state.ahead.take() {
            ahead.made = self.steps_ahead().min(left as usize);
            ahead.taken = 0;
            ahead.lists.resize(ahead.lists.len().max(ahead.made), Vec::new());
            let lists = &mut ahead.lists[..ahead.made];
            lists.iter_mut().for_each(Vec::clear);
            let updated = blocks::steps_ahead(arch, self, x, host_bias, state, lists);
            for fired in lists {
                self.step_each(updated, x, host_bias, state, fired);
            }
            state.ahead = Some(ahead);
            state.take_ahead(output);
        } else {
            // The output of neurons that do not spike is not touched before the end.
            let mut none = Vec::new();
            let fired = if self.spikes() { output.spikes_mut() } else { &mut none };
            let updated = if self.in_blocks { blocks::step(arch, self, x, host_bias, state, fired) } else { 0 };
            self.step_each(updated, x, host_bias, state, fired);
        }
        if !self.spikes() {
            output.values_mut(self.len).copy_from_slice(&state.v);
        }
        if let Source::Spikes(spikes) = input {
            spikes.iter().for_each(|spike| dense[*spike as usize] = 0.0);
        }
        state.x = dense;
    }

    /// One step of neuron `first` and those behind it.
    fn step_each(
        &self,
        first: usize,
        x: &[f64],
        host_bias: Option<&[f64]>,
        state: &mut GroupState,
        fired: &mut Vec<u32>,
    ) {
        for n in first..self.len {
            if self.step_one(n, x[n], host_bias.map_or(0.0, |bias| bias[n]), state) {
                fired.push(n as u32);
            }
        }
    }

    /// One step of neuron `n`: whether it fires.
    fn step_one(&self, n: usize, x: f64, host_bias: f64, state: &mut GroupState) -> bool {
        let drive = if self.model.filters() {
            let i = &mut state.i[n];
            *i += self.decay.get(n) * (self.w_in.get(n) * x - *i);
            self.r.get(n) * *i
        } else {
            self.r.get(n) * x
        };
        if let Some(rest) = state.rest.get_mut(n).filter(|rest| **rest > 0) {
            *rest -= 1;
            return false;
        }
        let before = state.v[n];
        let mut v = if self.model.leaks() {
            before + self.leak.get(n) * (self.v_leak.get(n) - before + drive)
        } else {
            before + drive
        };
        v += host_bias;
        let spikes = self.model.spikes();
        // snnTorch subtracts before the comparison if the membrane was still above the threshold.
        let early = spikes && self.reset == Reset::SnntorchSubtract && before > self.fires_above.get(n);
        if early {
            v -= self.v_threshold.get(n);
        }
        v = v.max(self.v_min);
        if let Some(extremes) = &mut state.extremes {
            extremes.see(x, v);
        }
        let fired = spikes && v > self.fires_above.get(n);
        if fired && let Some(rest) = state.rest.get_mut(n) {
            *rest = self.refractory_steps.get(n) - 1;
        }
        state.v[n] = match self.reset {
            Reset::ToValue if fired => self.v_reset.get(n),
            Reset::BySubtraction if fired => v - self.drop.get(n),
            Reset::SnntorchSubtract if fired && !early => v - self.v_threshold.get(n),
            Reset::SnntorchSubtract if early && !fired => v + self.v_threshold.get(n),
            _ => v,
        };
        fired
    }
}
