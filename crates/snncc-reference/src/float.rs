//! The float reference: a network as its author means it, step by step in `f64`.
//!
//! Nodes are evaluated one after the other in a topological order of the acyclic edges ([`snncc_ir::cycles`]); since the
//! target of a back edge stands before its source, it finds there what the source gave in the step before: a spike passes
//! acyclic edges in the same step and a back edge in one. Before the first step every linear node holds its answer to
//! silence (no input, no spikes, analog membranes at their initial value): so biases reach the neurons from step 1 on,
//! over back edges and delays too.
//!
//! Work is done per spike where the source spikes: matrices are kept by columns, a convolution scatters. Sums run over
//! sources in ascending order.
//!
//! **Invariant:** [`FloatNetwork`] never changes after it is built; threads share it, and every run has a state of its own.

mod build;
mod linear;
mod neurons;
mod trace;

pub use trace::{FloatTrace, OutputTrace, PopulationTrace, Record, States, Statistics};

use build::{Op, StepNode};
use neurons::{Extremes, GroupState};
use snncc_data::{PortStimulus, Stimulus};
use snncc_ids::{Diagnostic, Diagnostics, IdVec, NodeId, code, did_you_mean};
use snncc_ir::Network;
use snncc_ir::network::Reset;

/// What the command says beyond the network.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FloatOptions {
    /// Time step in seconds, before the network's own.
    pub dt_s: Option<f64>,
    /// Reset of all spiking neurons, before the network's own.
    pub reset: Option<Reset>,
}

/// What one run is fed.
#[derive(Clone, Debug)]
pub struct FloatInput<'a> {
    /// Spikes of the input ports, and constant currents of populations.
    pub spikes: &'a Stimulus,
    /// Constant values of input ports, one per element, in every step; spikes add to them.
    pub analog: Vec<(String, Vec<f64>)>,
}

impl<'a> From<&'a Stimulus> for FloatInput<'a> {
    fn from(spikes: &'a Stimulus) -> Self {
        Self { spikes, analog: Vec::new() }
    }
}

/// A network made ready to run.
#[derive(Debug)]
pub struct FloatNetwork {
    nodes: IdVec<NodeId, StepNode>,
    order: Vec<NodeId>,
    initial: State,
    /// Length of the longest input of a node, for the buffer of sums.
    longest_input: usize,
}

/// What a node gives in a step.
#[derive(Clone, Debug, PartialEq)]
enum Signal {
    /// Elements that are 1, ascending; the others are 0.
    Spikes(Vec<u32>),
    /// All elements.
    Values(Vec<f64>),
}

impl Default for Signal {
    fn default() -> Self {
        Self::Spikes(Vec::new())
    }
}

/// What a node takes in a step.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Spikes(&'a [u32]),
    Values(&'a [f64]),
}

impl Signal {
    fn view(&self) -> Source<'_> {
        match self {
            Self::Spikes(spikes) => Source::Spikes(spikes),
            Self::Values(values) => Source::Values(values),
        }
    }

    /// The buffer of values, `len` long and of any content.
    fn values_mut(&mut self, len: usize) -> &mut Vec<f64> {
        if !matches!(self, Self::Values(_)) {
            *self = Self::Values(vec![0.0; len]);
        }
        match self {
            Self::Values(values) => values,
            Self::Spikes(_) => unreachable!("bug in snncc: just set to values"),
        }
    }

    /// The buffer of spikes, empty.
    fn spikes_mut(&mut self) -> &mut Vec<u32> {
        if !matches!(self, Self::Spikes(_)) {
            *self = Self::Spikes(Vec::new());
        }
        match self {
            Self::Spikes(spikes) => {
                spikes.clear();
                spikes
            }
            Self::Values(_) => unreachable!("bug in snncc: just set to spikes"),
        }
    }
}

impl Source<'_> {
    /// Adds all elements to `sum`.
    fn add_to(self, sum: &mut [f64]) {
        match self {
            Self::Spikes(spikes) => spikes.iter().for_each(|element| sum[*element as usize] += 1.0),
            Self::Values(values) => sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value),
        }
    }

    /// Calls `visit` with index and value of every element that is not 0, ascending.
    fn for_each_active(self, mut visit: impl FnMut(usize, f64)) {
        match self {
            Self::Spikes(spikes) => spikes.iter().for_each(|element| visit(*element as usize, 1.0)),
            Self::Values(values) => {
                values.iter().enumerate().filter(|(_, value)| **value != 0.0).for_each(|(at, value)| visit(at, *value));
            }
        }
    }

    /// Copies all elements into `target`.
    fn copy_to(self, target: &mut [f64]) {
        target.fill(0.0);
        match self {
            Self::Spikes(spikes) => spikes.iter().for_each(|element| target[*element as usize] = 1.0),
            Self::Values(values) => target.copy_from_slice(values),
        }
    }
}

/// What a run changes.
#[derive(Clone, Debug)]
struct State {
    signals: Vec<Signal>,
    memories: Vec<Memory>,
}

/// What a node keeps from step to step.
#[derive(Clone, Debug)]
enum Memory {
    None,
    /// Values of earlier steps, or sums for later ones, in turns.
    Ring(Vec<f64>),
    Neurons(GroupState),
}

impl Memory {
    fn neurons_mut(&mut self) -> &mut GroupState {
        match self {
            Self::Neurons(state) => state,
            _ => unreachable!("bug in snncc: neurons without state"),
        }
    }
}

/// What a run is fed, by node.
struct Feed<'a> {
    spikes: Vec<Option<&'a PortStimulus>>,
    analog: Vec<Option<&'a [f64]>>,
    host_bias: Vec<Option<&'a [f64]>>,
}

impl FloatNetwork {
    /// Makes `network` ready.
    ///
    /// # Errors
    /// What [`snncc_ir::shapes::infer`] and [`snncc_ir::checks`] find; SNN0207 for loops without neurons; SNN0205 for
    /// nodes given in a chip's integers, which have no meaning in floats.
    pub fn new(network: &Network, options: &FloatOptions) -> Result<Self, Diagnostics> {
        build::build(network, options)
    }

    /// Runs `steps` steps from the initial state.
    ///
    /// # Errors
    /// SNN0210 where the input does not match the network's ports or populations.
    pub fn run(&self, input: &FloatInput<'_>, steps: u32, record: &Record) -> Result<FloatTrace, Diagnostics> {
        self.run_observed(input, steps, record, false)
    }

    /// As [`FloatNetwork::run`], and the trace has each population's [`Statistics`]: what calibration needs.
    ///
    /// # Errors
    /// As [`FloatNetwork::run`].
    pub fn observe(&self, input: &FloatInput<'_>, steps: u32, record: &Record) -> Result<FloatTrace, Diagnostics> {
        self.run_observed(input, steps, record, true)
    }

    fn run_observed(
        &self,
        input: &FloatInput<'_>,
        steps: u32,
        record: &Record,
        observe: bool,
    ) -> Result<FloatTrace, Diagnostics> {
        let feed = self.feed(input)?;
        let mut recorder = trace::Recorder::new(self, record, steps, observe);
        let mut state = self.initial.clone();
        if observe {
            for memory in &mut state.memories {
                if let Memory::Neurons(group) = memory {
                    group.extremes = Some(Extremes::NONE);
                }
            }
        }
        let mut sum = vec![0.0; self.longest_input];
        for t in 1..=steps {
            for id in &self.order {
                self.step_node(*id, t, &feed, &mut state, &mut sum);
            }
            recorder.record(self, &state);
        }
        Ok(recorder.finish(self, &state))
    }

    fn step_node(&self, id: NodeId, t: u32, feed: &Feed<'_>, state: &mut State, sum: &mut [f64]) {
        let index = id.0 as usize;
        let node = &self.nodes[id];
        let single = match node.sources[..] {
            [source] if source != id => Some(source),
            _ => None,
        };
        let sum = &mut sum[..node.input_len];
        if single.is_none() {
            sum.fill(0.0);
            for source in &node.sources {
                state.signals[source.0 as usize].view().add_to(sum);
            }
        }
        let mut output = std::mem::take(&mut state.signals[index]);
        let input = match single {
            Some(source) => state.signals[source.0 as usize].view(),
            None => Source::Values(sum),
        };
        match &node.op {
            Op::Input => feed.write(index, t, node.output_len, &mut output),
            Op::Identity => match input {
                Source::Spikes(spikes) => output.spikes_mut().extend_from_slice(spikes),
                Source::Values(values) => output.values_mut(node.output_len).copy_from_slice(values),
            },
            Op::Scale(scale) => {
                let values = output.values_mut(node.output_len);
                input.copy_to(values);
                scale.apply(values);
            }
            Op::Linear(linear) => {
                linear.step(t, input, output.values_mut(node.output_len), &mut state.memories[index]);
            }
            Op::Delay(delay) => {
                delay.step(t, input, output.values_mut(node.output_len), &mut state.memories[index]);
            }
            Op::Threshold(threshold) => {
                let memory = state.memories[index].neurons_mut();
                threshold.step(input, feed.host_bias[index], memory);
                output.spikes_mut().extend_from_slice(&memory.fired);
            }
            Op::Neurons(group) => {
                let memory = state.memories[index].neurons_mut();
                group.step(input, feed.host_bias[index], memory);
                if group.spikes() {
                    output.spikes_mut().extend_from_slice(&memory.fired);
                } else {
                    output.values_mut(node.output_len).copy_from_slice(&memory.v);
                }
            }
        }
        state.signals[index] = output;
    }

    /// Matches what is fed with ports and populations.
    fn feed<'a>(&self, input: &'a FloatInput<'_>) -> Result<Feed<'a>, Diagnostics> {
        let mut problems = Diagnostics::new();
        let count = self.nodes.len();
        let mut feed = Feed { spikes: vec![None; count], analog: vec![None; count], host_bias: vec![None; count] };
        let is_port = |op: &Op| matches!(op, Op::Input);
        let is_neurons = |op: &Op| matches!(op, Op::Neurons(_) | Op::Threshold(_));
        for port in &input.spikes.ports {
            let Some(id) = self.find(&port.port, "input port", is_port, &mut problems) else { continue };
            let (found, expected) = (port.spikes.neurons as usize, self.nodes[id].output_len);
            let outside = port.spikes.indices.iter().any(|element| *element as usize >= expected);
            if found != expected || outside {
                let message = format!("input `{}` has {expected} elements, the stimulus {found}", port.port);
                problems.push(Diagnostic::error(code::STIMULUS_MISMATCH, message).at(format!("nodes/{}", port.port)));
            } else {
                feed.spikes[id.0 as usize] = Some(port);
            }
        }
        let constants = input.analog.iter().map(|(port, values)| (port, values, "input port", true));
        let currents = input.spikes.host_biases.iter().map(|b| (&b.population, &b.current, "population", false));
        for (name, values, what, analog) in constants.chain(currents) {
            let kind: &dyn Fn(&Op) -> bool = if analog { &is_port } else { &is_neurons };
            let Some(id) = self.find(name, what, kind, &mut problems) else { continue };
            let expected = self.nodes[id].output_len;
            if values.len() != expected {
                let message = format!("{what} `{name}` has {expected} elements, {} values are given", values.len());
                problems.push(Diagnostic::error(code::STIMULUS_MISMATCH, message).at(format!("nodes/{name}")));
                continue;
            }
            let slot = if analog { &mut feed.analog } else { &mut feed.host_bias };
            slot[id.0 as usize] = Some(values);
        }
        let (feed, _) = problems.into_result(feed)?;
        Ok(feed)
    }

    fn find(&self, name: &str, what: &str, kind: impl Fn(&Op) -> bool, problems: &mut Diagnostics) -> Option<NodeId> {
        let candidates = || self.nodes.iter_with_ids().filter(|(_, node)| kind(&node.op));
        let found = candidates().find(|(_, node)| node.name == name).map(|(id, _)| id);
        if found.is_none() {
            let mut diagnostic =
                Diagnostic::error(code::STIMULUS_MISMATCH, format!("the network has no {what} named `{name}`"));
            if let Some(near) = did_you_mean(name, candidates().map(|(_, node)| node.name.as_str())) {
                diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
            }
            problems.push(diagnostic);
        }
        found
    }
}

impl Feed<'_> {
    /// Writes what input node `index` gives in step `t`.
    fn write(&self, index: usize, t: u32, len: usize, output: &mut Signal) {
        let spikes = self.spikes[index].map(|port| &port.spikes);
        let elements = spikes.map_or(&[][..], |train| train.at(t));
        let payloads = spikes.and_then(|train| train.payloads_at(t));
        if self.analog[index].is_none() && payloads.is_none() {
            output.spikes_mut().extend_from_slice(elements);
            return;
        }
        let values = output.values_mut(len);
        match self.analog[index] {
            Some(analog) => values.copy_from_slice(analog),
            None => values.fill(0.0),
        }
        for (at, element) in elements.iter().enumerate() {
            values[*element as usize] += payloads.map_or(1.0, |payloads| f64::from(payloads[at]));
        }
    }
}

#[cfg(test)]
mod tests;
