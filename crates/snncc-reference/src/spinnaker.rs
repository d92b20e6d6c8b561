//! The integer reference of SpiNNaker-like chips: runs a [`SpinnakerIr`] as their programs would, written straight from
//! docs/CHIP_SEMANTICS.md ("SpiNNaker-like cores").
//!
//! It knows populations and projections, no cores, keys or rows: whatever mapping and image do, they must not change its
//! results. It shares no code with the emulator, only the numbers of the hardware model.
//!
//! **Invariant:** a [`SpinnakerNetwork`] never changes; every [`SpinnakerNetwork::run`] starts from the initial state, so runs
//! may go on in parallel and equal inputs give equal traces.

mod neurons;
mod synapses;
#[cfg(test)]
mod tests;

use crate::integer::{IntegerInput, IntegerRecord, IntegerTrace, Overflows, StateTrace};
use crate::stimuli::{bias_too_large, match_bias, match_ports, refuse_payloads};
use neurons::{Neurons, State};
use snncc_chip::HardwareModel;
use snncc_data::SpikeTrain;
use snncc_ids::{Diagnostics, Id, IdVec, PopulationId};
use snncc_ir::OutputPort;
use snncc_ir::spinnaker::{SYNAPSE_TYPES, SpinnakerIr};
use synapses::{Ring, Synapses};

/// A network, prepared for running.
#[derive(Clone, Debug)]
pub struct SpinnakerNetwork {
    populations: Vec<Prepared>,
    projections: Vec<Synapses>,
    outputs: Vec<OutputPort>,
}

/// A population with its neurons; `None` for an input.
#[derive(Clone, Debug)]
struct Prepared {
    name: String,
    neurons: Option<Neurons>,
    /// Ring buffers before step 1.
    ring: Ring,
    len: usize,
}

/// What is in the ring buffers of a population before step 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingInitial {
    /// The population.
    pub population: PopulationId,
    /// Step whose input it is, from 1.
    pub step: u32,
    /// Slots of each synapse type by neuron.
    pub slots: [Vec<u16>; SYNAPSE_TYPES],
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpinnakerTrace {
    /// What every family of chips has. Of a recorded state, `input` is the input of the membrane in its units before
    /// scaling, `(E << left_shift_E) − (I << left_shift_I)`; `u` is `gE − gI` as the membrane sees them, or `input` again for
    /// a delta program; `v` is the membrane after the step. Overflows are counted as `inputs` for slots that saturated and as
    /// `clipped_at_max` and `clipped_at_min` for saturated membranes of our own programs; what the released program wraps
    /// is not counted, as it is not on the chip.
    pub common: IntegerTrace,
    /// Inputs and currents by synapse type, parallel to `common.state`.
    pub currents: Vec<CurrentTrace>,
}

/// What drives a population in every step, each `(steps, neurons)` row-major.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CurrentTrace {
    /// Ring-buffer slots of each synapse type that the step takes.
    pub slots: [Vec<u16>; SYNAPSE_TYPES],
    /// Currents of each synapse type with the input of the step, before they decay: what a recording holds.
    pub currents: [Vec<i32>; SYNAPSE_TYPES],
    /// Steps left of the refractory period, after the step.
    pub refractory_left: Vec<i32>,
}

impl CurrentTrace {
    fn keep(&mut self, slots: &[[u16; SYNAPSE_TYPES]], state: &State) {
        for kind in 0..SYNAPSE_TYPES {
            self.slots[kind].extend(slots.iter().map(|slots| slots[kind]));
            self.currents[kind].extend(state.driving.iter().map(|currents| currents[kind]));
        }
        self.refractory_left.extend_from_slice(&state.refractory_left);
    }
}

impl SpinnakerNetwork {
    /// Prepares a network for the arithmetic of a hardware model.
    ///
    /// # Panics
    /// If the network contradicts itself, or the model has no such cores: a bug in the stage that built it.
    pub fn new(network: &SpinnakerIr, model: &HardwareModel) -> Self {
        network.assert_consistent();
        let core = model.spinnaker().expect("bug in snncc: a chip of another family");
        let graph = &network.graph;
        let projections: Vec<Synapses> = graph
            .projections
            .iter_with_ids()
            .map(|(id, projection)| Synapses::new(projection, &network.weights[id]))
            .collect();
        let populations = graph
            .populations
            .iter_with_ids()
            .map(|(id, population)| {
                let len = population.len();
                let delays = projections.iter().filter(|projection| projection.target == id).map(|p| p.max_delay);
                Prepared {
                    name: population.name.clone(),
                    neurons: network.neurons[id].as_ref().map(|neurons| Neurons::new(neurons, len, core)),
                    ring: Ring::new(delays.max().unwrap_or(1), len),
                    len,
                }
            })
            .collect();
        Self { populations, projections, outputs: network.outputs.clone() }
    }

    /// Fills ring buffers before step 1; what is given twice adds up.
    ///
    /// # Panics
    /// For a step 0 or values that are not one for each neuron of a population of neurons: a bug in the stage that built
    /// them.
    #[must_use]
    pub fn with_ring_initial(mut self, filled: &[RingInitial]) -> Self {
        for RingInitial { population, step, slots } in filled {
            let population = &mut self.populations[population.index()];
            let fits = population.neurons.is_some() && slots.iter().all(|slots| slots.len() == population.len);
            assert!(fits && *step >= 1, "bug in snncc: initial slots do not fit `{}`", population.name);
            population.ring.fill(*step, slots);
        }
        self
    }

    /// Runs the network for `steps` chip steps. An added bias is added to the constant input of its population.
    ///
    /// # Errors
    /// `SNN0210` for a stimulus or an added bias that names no such population or has another size, a stimulus with
    /// payloads, and a sum of constant input and added bias beyond 32 bits.
    pub fn run(
        &self,
        input: &IntegerInput<'_>,
        steps: u32,
        record: &IntegerRecord,
    ) -> Result<SpinnakerTrace, Diagnostics> {
        let (stimuli, mut states) = self.start(input)?;
        let mut rings: Vec<Ring> = self.populations.iter().map(|population| population.ring.clone()).collect();
        let mut fired: Vec<Vec<u32>> = vec![Vec::new(); self.populations.len()];
        let mut taken = Vec::new();
        let mut trace = self.empty_trace(&stimuli, steps, record);
        for t in 1..=steps {
            for (index, population) in self.populations.iter().enumerate() {
                let id = PopulationId::new(index);
                fired[index].clear();
                let (Some(neurons), Some(state)) = (&population.neurons, &mut states[index]) else {
                    fired[index].extend(stimuli[index].iter().flat_map(|train| train.at(t)));
                    continue;
                };
                let overflows = &mut trace.common.overflows[id];
                let saturated = rings[index].take(t, &mut taken);
                if neurons.wait_in(t) {
                    taken.fill([0; SYNAPSE_TYPES]);
                } else {
                    overflows.inputs += saturated;
                    neurons.step(&taken, state, &mut fired[index], overflows);
                }
                trace.common.spikes[id].push_step(fired[index].iter().copied());
                if let Some(at) = record.state.iter().position(|recorded| *recorded == id) {
                    let kept = &mut trace.common.state[at];
                    kept.input.extend(neurons.inputs(&taken));
                    kept.u.extend(neurons.driven(&taken, state));
                    kept.v.extend(state.v.iter().map(|v| i64::from(*v)));
                    trace.currents[at].keep(&taken, state);
                }
            }
            for projection in &self.projections {
                let spikes = &fired[projection.source.index()];
                trace.common.synaptic_events += projection.deliver(t, spikes, &mut rings[projection.target.index()]);
            }
        }
        trace.common.counts = trace.common.spikes.iter().map(SpikeTrain::counts).collect();
        let membrane = |state: &State| state.v.iter().map(|v| i64::from(*v)).collect();
        trace.common.output_voltages = (self.outputs.iter())
            .map(|port| states[port.population.index()].as_ref().map_or_else(Vec::new, membrane))
            .collect();
        Ok(trace)
    }

    fn empty_trace(&self, stimuli: &[Option<&SpikeTrain>], steps: u32, record: &IntegerRecord) -> SpinnakerTrace {
        let spikes =
            self.populations.iter().zip(stimuli).map(|(population, stimulus)| match (&population.neurons, stimulus) {
                (Some(_), _) => SpikeTrain::new(population.len as u32),
                (None, Some(train)) => (*train).clone().with_steps(steps),
                (None, None) => SpikeTrain::silent(population.len as u32, steps),
            });
        let mut populations = record.state.clone();
        populations.sort_unstable();
        populations.dedup();
        assert!(populations.len() == record.state.len(), "bug in snncc: a population is recorded twice");
        let state = (record.state.iter())
            .map(|population| StateTrace { population: *population, input: vec![], u: vec![], v: vec![] })
            .collect();
        SpinnakerTrace {
            common: IntegerTrace {
                spikes: spikes.collect(),
                counts: IdVec::new(),
                state,
                output_voltages: Vec::new(),
                overflows: vec![Overflows::default(); self.populations.len()].into(),
                synaptic_events: 0,
            },
            currents: vec![CurrentTrace::default(); record.state.len()],
        }
    }

    /// Stimulus of each population, and its state before step 1 (`None` for inputs).
    #[allow(clippy::type_complexity)]
    fn start<'a>(
        &self,
        input: &IntegerInput<'a>,
    ) -> Result<(Vec<Option<&'a SpikeTrain>>, Vec<Option<State>>), Diagnostics> {
        let mut faults = Diagnostics::new();
        let inputs = self.populations.iter().map(|p| p.neurons.is_none().then_some((&p.name[..], p.len)));
        let stimuli = match_ports(input.ports, inputs, &mut faults);
        refuse_payloads(input.ports, &mut faults);
        let mut states: Vec<Option<State>> =
            self.populations.iter().map(|population| population.neurons.as_ref().map(Neurons::start)).collect();
        for bias in input.added_bias {
            let index = bias.population.index();
            let Prepared { name, neurons, len, .. } = &self.populations[index];
            let added = match_bias(bias, name, neurons.as_ref().map(|_| *len), &mut faults);
            if let (Some(state), Some(added)) = (&mut states[index], added)
                && let Err(sum) = state.add_bias(added)
            {
                faults.push(bias_too_large(name, sum));
            }
        }
        if faults.has_errors() { Err(faults) } else { Ok((stimuli, states)) }
    }
}
