//! The integer reference: runs a [`QuantizedIr`] as a Loihi-like chip would, written straight from docs/CHIP_SEMANTICS.md.
//!
//! It knows populations and projections, no cores, axons or synapse memory: whatever mapping and image do, they must not
//! change its results. It shares no code with the emulator, only the numbers of the hardware model. All values are 64-bit
//! two's complement, products of decays 128-bit.
//!
//! **Invariant:** an [`IntegerNetwork`] never changes; every [`IntegerNetwork::run`] starts from the initial state, so runs
//! may go on in parallel and equal inputs give equal traces.

mod arithmetic;
mod neurons;
mod synapses;
#[cfg(test)]
mod tests;

use crate::stimuli::{match_bias, match_ports};
use neurons::{Neurons, State};
use snncc_chip::HardwareModel;
use snncc_data::{PortStimulus, SpikeTrain};
use snncc_ids::{Diagnostics, Id, IdVec, PopulationId};
use snncc_ir::{OutputPort, PopulationRole, QuantizedIr};
use synapses::{Ring, Synapses};

/// A network, prepared for running.
#[derive(Clone, Debug)]
pub struct IntegerNetwork {
    populations: Vec<Prepared>,
    projections: Vec<Synapses>,
    outputs: Vec<OutputPort>,
}

/// A population with its neurons; `None` for an input.
#[derive(Clone, Debug)]
struct Prepared {
    name: String,
    len: usize,
    /// Accumulator slots: one more than the longest extra delay of a projection onto it.
    slots: usize,
    neurons: Option<Neurons>,
}

/// What the host feeds a network in one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct IntegerInput<'a> {
    /// Spikes of the input ports, in chip steps (inputs have latency 0, so network steps are the same). A port that is
    /// left out is silent.
    pub ports: &'a [PortStimulus],
    /// Added to the biases of these populations, from their start step on.
    pub added_bias: &'a [AddedBias],
}

/// A constant current for a population, in the chip's own units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedBias {
    /// The population.
    pub population: PopulationId,
    /// Added to the effective bias of each neuron (that is, after the bias exponent).
    pub bias: Vec<i64>,
}

/// What to record besides spikes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntegerRecord {
    /// Populations whose input, current and voltage are kept for every step.
    pub state: Vec<PopulationId>,
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegerTrace {
    /// Spikes of every population in chip steps; those of an input are the stimulus as it was fed. Payloads are given where
    /// a stimulus or a ternary population has them.
    pub spikes: IdVec<PopulationId, SpikeTrain>,
    /// Spikes of each neuron.
    pub counts: IdVec<PopulationId, Vec<u32>>,
    /// Recorded states, in the order of [`IntegerRecord::state`].
    pub state: Vec<StateTrace>,
    /// Voltages after the last step, of the population of each output port.
    pub output_voltages: Vec<Vec<i64>>,
    /// Values that left their register, by population.
    pub overflows: IdVec<PopulationId, Overflows>,
    /// Synapses that spikes went through. On a Loihi-like chip of any weight, the spikes of the last step not counted: they
    /// would arrive later. On a SpiNNaker-like one of a weight other than 0, the spikes of the last step counted.
    pub synaptic_events: u64,
}

/// State of a population in every step, each `(steps, neurons)` row-major, as it is after the step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateTrace {
    /// The population.
    pub population: PopulationId,
    /// Dendritic input as it enters the current: with dendritic noise, and after its register.
    pub input: Vec<i64>,
    /// Current.
    pub u: Vec<i64>,
    /// Voltage.
    pub v: Vec<i64>,
}

/// Values that left their register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overflows {
    /// Dendritic inputs.
    pub inputs: u64,
    /// Currents.
    pub currents: u64,
    /// Sums of current and bias.
    pub biased_currents: u64,
    /// Voltages clipped at `v_max`.
    pub clipped_at_max: u64,
    /// Voltages clipped at `v_min`: ordinary inhibition.
    pub clipped_at_min: u64,
}

impl IntegerNetwork {
    /// Prepares a network for the arithmetic of a hardware model.
    ///
    /// # Panics
    /// If the network contradicts itself: a bug in the stage that built it.
    pub fn new(network: &QuantizedIr, model: &HardwareModel) -> Self {
        network.assert_consistent();
        let profile = &model.loihi().arithmetic;
        let graph = &network.graph;
        let projections: Vec<Synapses> = graph
            .projections
            .iter_with_ids()
            .map(|(id, projection)| Synapses::new(projection, &network.weights[id], profile))
            .collect();
        let populations = graph
            .populations
            .iter_with_ids()
            .map(|(id, population)| Prepared {
                name: population.name.clone(),
                len: population.len(),
                slots: projections.iter().filter(|p| p.target == id).map(|p| p.max_delay).max().unwrap_or(1) as usize,
                neurons: match population.role {
                    PopulationRole::Input => None,
                    PopulationRole::Neurons => {
                        let neurons = network.neurons[id].as_ref().expect("bug in snncc: neurons without parameters");
                        Some(Neurons::new(neurons, population.len(), profile))
                    }
                },
            })
            .collect();
        Self { populations, projections, outputs: network.outputs.clone() }
    }

    /// Runs the network for `steps` chip steps.
    ///
    /// # Errors
    /// `SNN0210` for a stimulus or an added bias that names no such population or has another size.
    pub fn run(
        &self,
        input: &IntegerInput<'_>,
        steps: u32,
        record: &IntegerRecord,
    ) -> Result<IntegerTrace, Diagnostics> {
        let (stimuli, added) = self.match_input(input)?;
        let mut rings: Vec<Ring> = self.populations.iter().map(|p| Ring::new(p.slots, p.len)).collect();
        let mut states: Vec<Option<State>> = (self.populations.iter().zip(&added))
            .map(|(population, added)| population.neurons.as_ref().map(|neurons| neurons.start(*added)))
            .collect();
        let mut fired: Vec<Vec<(u32, i64)>> = vec![Vec::new(); self.populations.len()];
        let mut trace = self.empty_trace(&stimuli, steps, record);
        for t in 1..=steps {
            for projection in &self.projections {
                let (source, target) = (projection.source.index(), projection.target.index());
                trace.synaptic_events += projection.deliver(t, &fired[source], &mut rings[target]);
            }
            for (index, population) in self.populations.iter().enumerate() {
                let id = PopulationId::new(index);
                fired[index].clear();
                let (Some(neurons), Some(state)) = (&population.neurons, &mut states[index]) else {
                    if let Some(train) = stimuli[index] {
                        let payload = |at: usize| train.payloads_at(t).map_or(1, |payloads| payloads[at].into());
                        fired[index].extend(train.at(t).iter().enumerate().map(|(at, neuron)| (*neuron, payload(at))));
                    }
                    continue;
                };
                let arrived = rings[index].slot(t);
                neurons.step(t, arrived, state, &mut fired[index], &mut trace.overflows[id]);
                let spikes = &mut trace.spikes[id];
                spikes.push_step(fired[index].iter().map(|(neuron, _)| *neuron));
                if let Some(payloads) = &mut spikes.payloads {
                    payloads.extend(fired[index].iter().map(|(_, payload)| *payload as i32));
                }
                if let Some(kept) = trace.state.iter_mut().find(|kept| kept.population == id) {
                    kept.input.extend_from_slice(arrived);
                    kept.u.extend_from_slice(&state.u);
                    kept.v.extend_from_slice(&state.v);
                }
                arrived.fill(0);
            }
        }
        trace.counts = trace.spikes.iter().map(SpikeTrain::counts).collect();
        trace.output_voltages = (self.outputs.iter())
            .map(|port| states[port.population.index()].as_ref().map_or_else(Vec::new, |state| state.v.clone()))
            .collect();
        Ok(trace)
    }

    fn empty_trace(&self, stimuli: &[Option<&SpikeTrain>], steps: u32, record: &IntegerRecord) -> IntegerTrace {
        let spikes = (self.populations.iter().zip(stimuli)).map(|(population, stimulus)| {
            let silent = SpikeTrain::silent(population.len as u32, steps);
            match (&population.neurons, stimulus) {
                (Some(neurons), _) => SpikeTrain {
                    payloads: neurons.is_ternary().then(Vec::new),
                    ..SpikeTrain::new(population.len as u32)
                },
                (None, Some(train)) => (*train).clone().with_steps(steps),
                (None, None) => silent,
            }
        });
        let mut populations = record.state.clone();
        populations.sort_unstable();
        populations.dedup();
        let state = (record.state.iter())
            .map(|population| StateTrace { population: *population, input: vec![], u: vec![], v: vec![] })
            .collect();
        assert!(populations.len() == record.state.len(), "bug in snncc: a population is recorded twice");
        IntegerTrace {
            spikes: spikes.collect(),
            counts: IdVec::new(),
            state,
            output_voltages: Vec::new(),
            overflows: vec![Overflows::default(); self.populations.len()].into(),
            synaptic_events: 0,
        }
    }

    /// Stimulus and added bias of each population.
    #[allow(clippy::type_complexity)]
    fn match_input<'a>(
        &self,
        input: &IntegerInput<'a>,
    ) -> Result<(Vec<Option<&'a SpikeTrain>>, Vec<Option<&'a [i64]>>), Diagnostics> {
        let mut faults = Diagnostics::new();
        let inputs = self.populations.iter().map(|p| p.neurons.is_none().then_some((&p.name[..], p.len)));
        let stimuli = match_ports(input.ports, inputs, &mut faults);
        let mut added = vec![None; self.populations.len()];
        for bias in input.added_bias {
            let population = &self.populations[bias.population.index()];
            let neurons = population.neurons.as_ref().map(|_| population.len);
            added[bias.population.index()] = match_bias(bias, &population.name, neurons, &mut faults);
        }
        if faults.has_errors() { Err(faults) } else { Ok((stimuli, added)) }
    }
}
