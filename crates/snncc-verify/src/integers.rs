//! The integer reference as a witness, of either family of chips.

use crate::compiled::Compiled;
use crate::host::{added_bias, machine_added_bias};
use crate::verification::Saturation;
use crate::witness::SampleInput;
use snncc_chip::HardwareModel;
use snncc_ids::{Diagnostics, PopulationId};
use snncc_reference::spinnaker::{CurrentTrace, SpinnakerNetwork};
use snncc_reference::{IntegerInput, IntegerNetwork, IntegerRecord, IntegerTrace};

/// The kinds of saturation of a SpiNNaker-like machine: a slot of a ring buffer is full, a membrane is at the end of its range.
pub(crate) const SATURATIONS: [&str; 2] = ["ring_buffer", "membrane"];

/// An integer network, prepared for running.
pub struct IntegerWitness<'a> {
    compiled: Compiled<'a>,
    model: &'a HardwareModel,
    network: Network,
}

enum Network {
    Compartments(IntegerNetwork),
    Spinnaker(SpinnakerNetwork),
}

impl<'a> IntegerWitness<'a> {
    /// Of the integers of a compiled network, for chips of this model.
    pub fn new(compiled: Compiled<'a>, model: &'a HardwareModel) -> Self {
        let network = match compiled {
            Compiled::Compartments { quantized, .. } => Network::Compartments(IntegerNetwork::new(quantized, model)),
            Compiled::Spinnaker { quantized, .. } => Network::Spinnaker(SpinnakerNetwork::new(quantized, model)),
        };
        Self { compiled, model, network }
    }

    /// Runs a sample for `steps` chip steps, with the state of these populations. The second value has what SpiNNaker-like
    /// machines keep besides; for other chips it is empty.
    ///
    /// # Errors
    /// What the reference says of its input; `SNN0210` and `SNN0601` for constant currents that do not suit the network.
    pub fn run(
        &self,
        input: &SampleInput,
        steps: u32,
        state: Vec<PopulationId>,
    ) -> Result<(IntegerTrace, Vec<CurrentTrace>), Diagnostics> {
        let record = IntegerRecord { state };
        let added_bias = match self.compiled {
            Compiled::Compartments { quantized, .. } => added_bias(&input.stimulus, quantized, self.model)?,
            Compiled::Spinnaker { quantized, .. } => machine_added_bias(&input.stimulus, quantized)?,
        };
        let fed = IntegerInput { ports: &input.stimulus.ports, added_bias: &added_bias };
        match &self.network {
            Network::Compartments(network) => network.run(&fed, steps, &record).map(|trace| (trace, Vec::new())),
            Network::Spinnaker(network) => {
                network.run(&fed, steps, &record).map(|trace| (trace.common, trace.currents))
            }
        }
    }

    /// What saturated in a run of both sides; empty for chips whose registers wrap instead. `overflows` are the emulator's.
    pub(crate) fn saturations(&self, trace: &IntegerTrace, overflows: &[(String, u128)]) -> Vec<Saturation> {
        let Network::Spinnaker(_) = self.network else { return Vec::new() };
        let sum = |of: fn(&snncc_reference::Overflows) -> u64| trace.overflows.iter().map(of).sum();
        let integer: [u64; 2] = [sum(|left| left.inputs), sum(|left| left.clipped_at_max + left.clipped_at_min)];
        let rows = SATURATIONS.iter().zip(integer).map(|(kind, integer)| Saturation {
            kind: (*kind).to_string(),
            integer: integer.into(),
            chip: overflows.iter().find(|(known, _)| known == kind).map_or(0, |(_, count)| *count),
        });
        rows.collect()
    }
}
