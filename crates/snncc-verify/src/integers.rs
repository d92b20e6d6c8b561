//! The integer reference as a witness, of either family of chips.

use crate::compiled::Compiled;
use crate::host::added_bias;
use crate::verification::Saturation;
use crate::witness::{SampleInput, Witnesses};
use snncc_ids::{Diagnostics, PopulationId};
use snncc_reference::spinnaker::{CurrentTrace, SpinnakerNetwork};
use snncc_reference::{IntegerInput, IntegerNetwork, IntegerRecord, IntegerTrace};

/// The kinds of saturation of a SpiNNaker-like machine: a slot of a ring buffer is full, a membrane is at the end of its range.
pub(crate) const SATURATIONS: [&str; 2] = ["ring_buffer", "membrane"];

/// An integer network, prepared for running.
pub(crate) enum IntegerWitness<'a> {
    Compartments(IntegerNetwork, &'a Witnesses<'a>),
    Spinnaker(SpinnakerNetwork),
}

impl<'a> IntegerWitness<'a> {
    pub(crate) fn new(witnesses: &'a Witnesses<'a>) -> Self {
        match witnesses.compiled {
            Compiled::Compartments { quantized, .. } => {
                Self::Compartments(IntegerNetwork::new(quantized, witnesses.model), witnesses)
            }
            Compiled::Spinnaker { quantized, .. } => Self::Spinnaker(SpinnakerNetwork::new(quantized, witnesses.model)),
        }
    }

    /// Runs a sample for `steps` chip steps, with the state of these populations. The second value has what SpiNNaker-like
    /// machines keep besides; for other chips it is empty.
    ///
    /// # Errors
    /// What the reference says of its input.
    pub(crate) fn run(
        &self,
        input: &SampleInput,
        steps: u32,
        state: Vec<PopulationId>,
    ) -> Result<(IntegerTrace, Vec<CurrentTrace>), Diagnostics> {
        let record = IntegerRecord { state };
        match self {
            Self::Compartments(network, witnesses) => {
                let Compiled::Compartments { quantized, .. } = witnesses.compiled else {
                    panic!("bug in snncc: integers of another family than the compiled network");
                };
                let added_bias = added_bias(&input.stimulus, quantized, witnesses.model)?;
                let fed = IntegerInput { ports: &input.stimulus.ports, added_bias: &added_bias };
                network.run(&fed, steps, &record).map(|trace| (trace, Vec::new()))
            }
            // Constant currents are refused by whatever runs the image.
            Self::Spinnaker(network) => {
                let fed = IntegerInput { ports: &input.stimulus.ports, added_bias: &[] };
                network.run(&fed, steps, &record).map(|trace| (trace.common, trace.currents))
            }
        }
    }

    /// What saturated in a run of both sides; empty for chips whose registers wrap instead. `overflows` are the emulator's.
    pub(crate) fn saturations(&self, trace: &IntegerTrace, overflows: &[(String, u128)]) -> Vec<Saturation> {
        let Self::Spinnaker(_) = self else { return Vec::new() };
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
