//! What a run of the float reference leaves behind.

use super::signal::Signal;
use super::{FloatNetwork, Memory, Op, State};
use snncc_data::SpikeTrain;
use snncc_ids::NodeId;
use snncc_ir::{Calibration, PopulationStatistics};

/// What is recorded beyond counts and final values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Spikes of all populations and inputs, step by step.
    pub spikes: bool,
    /// Values of all outputs, step by step.
    pub outputs: bool,
    /// Names of neuron nodes whose voltages and currents are kept, step by step.
    pub states_of: Vec<String>,
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatTrace {
    /// Number of steps.
    pub steps: u32,
    /// Inputs, spiking and other neurons, in node order.
    pub populations: Vec<PopulationTrace>,
    /// Output nodes, in node order.
    pub outputs: Vec<OutputTrace>,
}

/// A population over a run.
#[derive(Clone, Debug, PartialEq)]
pub struct PopulationTrace {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Whether it is an input.
    pub is_input: bool,
    /// Number of spikes, whatever their sign (of an input: of elements that are not 0, summed over the steps).
    pub spike_count: u64,
    /// Spikes by step, if recorded; `None` for neurons that do not spike or may send several in a step. An input's constant values are no spikes.
    pub spikes: Option<SpikeTrain>,
    /// Voltages and currents, if recorded.
    pub states: Option<States>,
    /// Activity and ranges, from [`FloatNetwork::observe`].
    pub statistics: Option<Statistics>,
}

/// Activity and ranges of a population over a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Spikes of each neuron, negative ones subtracted; of an input, the sum of each element; 0 for neurons that do not spike.
    pub activity: Vec<f64>,
    /// Largest magnitude of a neuron's summed input in one step, before gains; 0 for inputs.
    pub input_max: f64,
    /// Smallest membrane after an update, before reset; infinite for inputs.
    pub v_min: f64,
    /// Largest membrane after an update, before reset; minus infinity for inputs.
    pub v_max: f64,
}

impl FloatTrace {
    /// Statistics of an observed run; the rates are sums over its steps.
    pub fn calibration(&self) -> Calibration {
        let of = |population: &PopulationTrace| {
            let found = population.statistics.as_ref()?;
            Some(PopulationStatistics {
                name: population.name.clone(),
                rates: found.activity.clone(),
                input_max: found.input_max,
                v_min: found.v_min,
                v_max: found.v_max,
            })
        };
        Calibration { populations: self.populations.iter().filter_map(of).collect() }
    }
}

/// Voltages and currents by step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct States {
    /// Membrane after the step, reset included: `[step][neuron]`.
    pub v: Vec<f64>,
    /// Current after the step: `[step][neuron]`; empty for models without a synaptic filter.
    pub i: Vec<f64>,
}

/// An output over a run.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputTrace {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Whether it gets spikes alone.
    pub spiking: bool,
    /// Sum over the steps of each element: spike counts.
    pub sum: Vec<f64>,
    /// Value of each element in the last step: the final membrane of neurons that do not spike.
    pub last: Vec<f64>,
    /// Values by step, if recorded: `[step][element]`.
    pub values: Option<Vec<f64>>,
}

impl OutputTrace {
    /// The class that the output names: the largest spike count, or the largest final value where the output does not
    /// spike; ties go to the lowest index.
    pub fn class(&self) -> usize {
        let values = if self.spiking { &self.sum } else { &self.last };
        (0..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
    }
}

impl FloatTrace {
    /// The population of this name.
    pub fn population(&self, name: &str) -> Option<&PopulationTrace> {
        self.populations.iter().find(|population| population.name == name)
    }

    /// The output of this name.
    pub fn output(&self, name: &str) -> Option<&OutputTrace> {
        self.outputs.iter().find(|output| output.name == name)
    }

    /// Spikes of inputs and neurons together.
    pub fn total_spikes(&self) -> u64 {
        self.populations.iter().map(|population| population.spike_count).sum()
    }
}

/// Fills a trace during a run.
pub(super) struct Recorder {
    trace: FloatTrace,
    /// Elements of each input that are not 0 in every step, once they were counted; of inputs that do not change.
    always_active: Vec<Option<u64>>,
}

impl Recorder {
    pub(super) fn new(network: &FloatNetwork, record: &Record, steps: u32, observe: bool) -> Self {
        let mut trace = FloatTrace { steps, populations: Vec::new(), outputs: Vec::new() };
        for (id, node) in network.nodes.iter_with_ids() {
            let is_input = matches!(node.op, Op::Input);
            if is_input || matches!(node.op, Op::Neurons(_) | Op::Threshold(_) | Op::Rates(_)) {
                let spikes = record.spikes && (is_input || node.op.spikes());
                let states = matches!(node.op, Op::Neurons(_)) && record.states_of.contains(&node.name);
                trace.populations.push(PopulationTrace {
                    node: id,
                    name: node.name.clone(),
                    is_input,
                    spike_count: 0,
                    spikes: spikes.then(|| SpikeTrain::new(node.output_len as u32)),
                    states: states.then(States::default),
                    statistics: observe.then(|| Statistics {
                        activity: vec![0.0; node.output_len],
                        input_max: 0.0,
                        v_min: f64::INFINITY,
                        v_max: f64::NEG_INFINITY,
                    }),
                });
            }
            if node.is_output {
                trace.outputs.push(OutputTrace {
                    node: id,
                    name: node.name.clone(),
                    spiking: false,
                    sum: vec![0.0; node.output_len],
                    last: Vec::new(),
                    values: record.outputs.then(Vec::new),
                });
            }
        }
        Self { always_active: vec![None; trace.populations.len()], trace }
    }

    /// After each step.
    pub(super) fn record(&mut self, network: &FloatNetwork, state: &State, is_constant: &[bool]) {
        for (population, always_active) in self.trace.populations.iter_mut().zip(&mut self.always_active) {
            let index = population.node.0 as usize;
            let (layout, len) = (network.nodes[population.node].layout, network.nodes[population.node].output_len);
            match &state.signals[index] {
                Signal::Spikes(spikes) => {
                    population.spike_count += spikes.len() as u64;
                    if let Some(train) = &mut population.spikes {
                        train.push_step(layout.restored_spikes(spikes, len));
                    }
                }
                Signal::Values(values) if population.is_input => {
                    let active = || values.iter().enumerate().filter(|(_, value)| **value != 0.0);
                    let count = always_active.unwrap_or_else(|| active().count() as u64);
                    *always_active = is_constant[index].then_some(count);
                    population.spike_count += count;
                    if let Some(train) = &mut population.spikes {
                        train.push_step(active().map(|(at, _)| at as u32));
                    }
                }
                Signal::Values(values) if matches!(network.nodes[population.node].op, Op::Rates(_)) => {
                    population.spike_count += values.iter().map(|spikes| spikes.abs() as u64).sum::<u64>();
                }
                Signal::Values(_) => {}
            }
            if let Some(statistics) = &mut population.statistics {
                let signal = &state.signals[index];
                let counts = matches!(network.nodes[population.node].op, Op::Rates(_));
                if population.is_input || counts || matches!(signal, Signal::Spikes(_)) {
                    signal.view().add_to(&mut statistics.activity);
                }
            }
            if let (Some(states), Memory::Neurons(memory)) = (&mut population.states, &state.memories[index]) {
                states.v.extend(layout.restored(&memory.v));
                states.i.extend(layout.restored(&memory.i));
            }
        }
        for output in &mut self.trace.outputs {
            let signal = &state.signals[output.node.0 as usize];
            output.spiking = matches!(signal, Signal::Spikes(_)) || network.nodes[output.node].counts;
            signal.view().add_to(&mut output.sum);
            if let Some(values) = &mut output.values {
                let start = values.len();
                values.resize(start + network.nodes[output.node].output_len, 0.0);
                signal.view().copy_to(&mut values[start..]);
            }
        }
    }

    pub(super) fn finish(mut self, network: &FloatNetwork, state: &State) -> FloatTrace {
        for output in &mut self.trace.outputs {
            output.last = vec![0.0; network.nodes[output.node].output_len];
            state.signals[output.node.0 as usize].view().copy_to(&mut output.last);
        }
        for population in &mut self.trace.populations {
            if let Some(statistics) = &mut population.statistics {
                statistics.activity = network.nodes[population.node].layout.restored(&statistics.activity);
            }
            if let (Some(statistics), Memory::Neurons(memory)) =
                (&mut population.statistics, &state.memories[population.node.0 as usize])
                && let Some(extremes) = memory.extremes
            {
                statistics.input_max = extremes.input_max;
                (statistics.v_min, statistics.v_max) = (extremes.v_min, extremes.v_max);
            }
        }
        self.trace
    }
}
