//! The float reference: a network as its author means it, step by step in `f64`.
//!
//! Nodes are evaluated one after the other in a topological order of the acyclic edges ([`snncc_ir::cycles`]); since the
//! target of a back edge stands before its source, it finds there what the source gave in the step before: a spike passes
//! acyclic edges in the same step and a back edge in one. Before the first step every linear node holds its answer to
//! silence (no input, no spikes, analog membranes at their initial value): so biases reach the neurons from step 1 on,
//! over back edges and delays too.
//!
//! Work is done per active input, a spike or a value that is not 0: matrices are kept by columns, a convolution adds to what
//! an input place reaches. Sums run over sources in ascending order of their positions (place by place behind
//! convolutions), one by one and in `f64`, on every machine alike. What hangs on inputs that do not change is computed in
//! the first step only, and neurons behind it are updated many steps at once.
//!
//! **Invariant:** [`FloatNetwork`] never changes after it is built; threads share it, and every run has a state of its own.

mod aligned;
mod blocks;
mod build;
mod convolution;
mod kernels;
mod layout;
mod linear;
mod neurons;
mod rates;
mod signal;
mod trace;

pub use trace::{FloatTrace, OutputTrace, PopulationTrace, Record, States, Statistics};

use build::{Gathered, Op, StepNode};
use linear::Scratch;
use neurons::{Extremes, GroupState};
use rates::RateState;
use signal::{Signal, Source};
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
    Rates(RateState),
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
    /// In the order of the population.
    host_bias: Vec<Option<Vec<f64>>>,
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
        let is_constant = self.constants(&feed);
        for (id, node) in self.nodes.iter_with_ids() {
            if let (Op::Neurons(group), Memory::Neurons(memory)) = (&node.op, &mut state.memories[id.0 as usize])
                && group.can_go_ahead()
                && node.sources.iter().all(|incoming| is_constant[incoming.source.0 as usize])
                && !record.states_of.contains(&node.name)
            {
                memory.go_ahead();
            }
        }
        let varying: Vec<NodeId> = self.order.iter().copied().filter(|id| !is_constant[id.0 as usize]).collect();
        let mut buffers = (Gathered::new(self.longest_input), Scratch::new());
        for t in 1..=steps {
            for id in if t == 1 { &self.order } else { &varying } {
                self.step_node(*id, (t, steps - t + 1), &feed, &mut state, &mut buffers);
            }
            recorder.record(self, &state, &is_constant);
        }
        Ok(recorder.finish(self, &state))
    }

    /// Which nodes give the same in every step: inputs without spikes, and what depends on them alone, without state and
    /// over no back edge.
    fn constants(&self, feed: &Feed<'_>) -> Vec<bool> {
        let mut is_constant = vec![false; self.nodes.len()];
        for id in &self.order {
            let node = &self.nodes[*id];
            // The source of a back edge stands later in the order: it does not count as constant yet.
            let of_constants = || node.sources.iter().all(|incoming| is_constant[incoming.source.0 as usize]);
            is_constant[id.0 as usize] = match &node.op {
                Op::Input => feed.spikes[id.0 as usize].is_none_or(|port| port.spikes.indices.is_empty()),
                Op::Identity | Op::Scale(_) => of_constants(),
                Op::Linear(linear) => linear.is_immediate() && of_constants(),
                Op::Delay(_) | Op::Threshold(_) | Op::Neurons(_) | Op::Rates(_) | Op::Gate(_) => false,
            };
        }
        is_constant
    }

    /// One step of a node: step `t`, the first of `left`.
    fn step_node(
        &self,
        id: NodeId,
        (t, left): (u32, u32),
        feed: &Feed<'_>,
        state: &mut State,
        buffers: &mut (Gathered, Scratch),
    ) {
        let index = id.0 as usize;
        let node = &self.nodes[id];
        let (sum, scratch) = buffers;
        if let Memory::Neurons(group) = &mut state.memories[index]
            && group.take_ahead(&mut state.signals[index])
        {
            return;
        }
        // A node that feeds itself reads what it gave in the step before.
        let feeds_itself = node.sources.iter().any(|incoming| incoming.source == id);
        let before = if feeds_itself { state.signals[index].clone() } else { Signal::default() };
        let mut output = std::mem::replace(&mut state.signals[index], before);
        let input = node.gather(&state.signals, sum);
        let len = node.output_len;
        let memory = &mut state.memories[index];
        let host_bias = feed.host_bias[index].as_deref();
        match &node.op {
            Op::Input => feed.write(index, t, len, &mut output),
            Op::Identity => match input {
                Source::Spikes(spikes) => output.spikes_mut().extend_from_slice(spikes),
                Source::Values(values) => output.values_mut(len).copy_from_slice(values),
            },
            Op::Scale(scale) => scale.step(input, output.values_mut(len)),
            Op::Linear(linear) => linear.step(t, input, output.values_mut(len), memory, scratch),
            Op::Delay(delay) => delay.step(t, input, output.values_mut(len), memory),
            Op::Rates(group) => match memory {
                Memory::Rates(state) => group.step(input, host_bias, state, output.values_mut(len)),
                _ => unreachable!("bug in snncc: neurons without state"),
            },
            Op::Gate(gate) => match memory {
                Memory::Ring(sums) => gate.step(input, sums, output.values_mut(len)),
                _ => unreachable!("bug in snncc: a gate without sums"),
            },
            Op::Threshold(threshold) => {
                threshold.step(input, host_bias, memory.neurons_mut(), output.spikes_mut());
            }
            Op::Neurons(group) => {
                group.step(scratch.arch, input, host_bias, left, memory.neurons_mut(), &mut output);
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
        let is_neurons = |op: &Op| matches!(op, Op::Neurons(_) | Op::Threshold(_) | Op::Rates(_));
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
            if analog {
                feed.analog[id.0 as usize] = Some(values);
            } else {
                feed.host_bias[id.0 as usize] = Some(self.nodes[id].layout.arranged(values));
            }
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
