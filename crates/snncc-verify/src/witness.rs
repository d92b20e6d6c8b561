//! Who is asked, and what they are fed.

use crate::compiled::Compiled;
use crate::verification::{ChipTotals, Disturbance};
use snncc_chip::HardwareModel;
use snncc_data::{SpikeTrain, Stimulus};
use snncc_ids::Diagnostics;
use snncc_ir::spinnaker::SYNAPSE_TYPES;
use snncc_reference::float::FloatNetwork;

/// What one sample feeds the network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampleInput {
    /// Spikes of the ports and constant currents, for all witnesses.
    pub stimulus: Stimulus,
    /// Constant analog values of ports, for the float reference. Where they are given, the stimulus' constant currents are
    /// what the host made of them, and are fed to the chip and the integer reference alone.
    pub analog: Vec<(String, Vec<f64>)>,
    /// What the float reference is fed instead of `stimulus`, where the host runs layers: that reference runs the whole
    /// network, and `stimulus` has the spikes of the host's layers.
    pub whole: Option<Stimulus>,
}

/// The image on something that runs it: the emulator, or a stand-in.
pub trait Chip: Sync {
    /// Runs a sample from the initial state for `steps` chip steps, and records the state of these populations (indices
    /// into the image's).
    ///
    /// # Errors
    /// If the stimulus does not fit the image.
    fn run(&self, input: &SampleInput, steps: u32, state: &[usize]) -> Result<ChipTrace, Diagnostics>;

    /// The same as if all packets came in time, where time can change results (see [`ChipTrace::disturbances`]); `None` where it
    /// cannot.
    ///
    /// # Errors
    /// As [`Chip::run`].
    fn run_in_time(
        &self,
        _input: &SampleInput,
        _steps: u32,
        _state: &[usize],
    ) -> Result<Option<ChipTrace>, Diagnostics> {
        Ok(None)
    }
}

/// What a run of the image gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChipTrace {
    /// Spikes in chip steps, by population of the image.
    pub spikes: Vec<SpikeTrain>,
    /// Recorded states, in the order asked for.
    pub state: Vec<ChipState>,
    /// Voltages after the last step of each population that a membrane output reads, by output port; empty for others.
    pub output_voltages: Vec<Vec<i64>>,
    /// Counts of the run.
    pub totals: ChipTotals,
    /// Packets that were late or lost; their samples are not set.
    pub disturbances: Vec<Disturbance>,
}

/// State of a population after each step, `(steps, neurons)` row-major.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChipState {
    /// Current.
    pub u: Vec<i64>,
    /// Voltage.
    pub v: Vec<i64>,
    /// Ring-buffer slots of each synapse type that the step took, of SpiNNaker-like machines; otherwise empty.
    pub slots: [Vec<u16>; SYNAPSE_TYPES],
}

/// The witnesses, and what they tell of.
#[derive(Clone, Copy)]
pub struct Witnesses<'a> {
    /// The float reference, if the network is given in floats.
    pub float: Option<&'a FloatNetwork>,
    /// Integers and image.
    pub compiled: Compiled<'a>,
    /// The hardware model of both.
    pub model: &'a HardwareModel,
    /// What runs the image.
    pub chip: &'a dyn Chip,
}
