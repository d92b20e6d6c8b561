//! The decoded image of a SpiNNaker-like machine: routing tables of its chips, and the memories of their cores.
//!
//! What is in a core's memories is kept as the words that a core reads (docs/IMAGE_FORMAT.md, "SpiNNaker-like machines");
//! [`layout`] and [`table`] say what they mean. **Invariant:** an image that came out of [`SpinnakerImage::from_bytes`] is
//! structurally sound, down to the synapses; that it fits a machine is judged by the emulator.

mod delay;
mod dump;
pub mod layout;
mod read;
pub mod table;
mod write;

pub use delay::DelayExtension;
pub use dump::{dump, dump_rows, route_text};

use crate::image::{OutputPort, PopulationSymbol};

/// A placement image for a SpiNNaker-like machine.
#[derive(Clone, Debug, PartialEq)]
pub struct SpinnakerImage {
    /// Name of the hardware model.
    pub model_name: String,
    /// SHA-256 of the hardware model's canonical form.
    pub model_hash: [u8; 32],
    /// Name of the target.
    pub target_name: String,
    /// Cores of each chip, with those of the system: the unit of core numbers over all chips. At most 26.
    pub cores_per_chip: u32,
    /// Chips with an entry or a core in use, by ascending number.
    pub chips: Vec<ChipImage>,
    /// Input ports.
    pub inputs: Vec<SpikeInput>,
    /// Output ports.
    pub outputs: Vec<OutputPort>,
    /// Populations of neurons. A location is a core's number over all chips (`chip · cores per chip + core`) and the index of
    /// the neuron on it.
    pub populations: Vec<PopulationSymbol>,
    /// Free text by key: how the image was made.
    pub notes: Vec<(String, String)>,
}

impl SpinnakerImage {
    /// The core with this number over all chips.
    pub fn core(&self, number: u32) -> Option<&ApplicationCore> {
        let (chip, core) = (number.checked_div(self.cores_per_chip)?, number.checked_rem(self.cores_per_chip)?);
        let chip = &self.chips[self.chips.binary_search_by_key(&chip, |image| image.chip).ok()?];
        Some(&chip.cores[chip.cores.binary_search_by_key(&core, |image| image.core).ok()?])
    }
}

/// One chip.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChipImage {
    /// Number of the chip: `y · columns + x`.
    pub chip: u32,
    /// Routing table; the first entry that matches counts.
    pub routes: Vec<RouteEntry>,
    /// Cores in use, by ascending number.
    pub cores: Vec<ApplicationCore>,
}

/// An entry of a routing table: a packet with `key & mask == entry.key` goes where the route says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteEntry {
    /// Key.
    pub key: u32,
    /// Mask.
    pub mask: u32,
    /// Bits 0 to 5: links east, north-east, north, west, south-west, south. Bits 6 on: cores.
    pub route: u32,
}

/// A core in use.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplicationCore {
    /// Number on its chip.
    pub core: u32,
    /// Key of its neuron (or source) 0; neuron `i` sends `key + (i << colour_bits)`. `None`: its spikes go nowhere.
    pub key: Option<u32>,
    /// What it runs.
    pub program: CoreProgram,
}

impl ApplicationCore {
    /// Neurons, sources of an injector, or stages of neurons of a delay extension: how many keys it has.
    pub fn sources(&self) -> usize {
        match &self.program {
            CoreProgram::Injector(sources) => *sources as usize,
            CoreProgram::Neurons(core) => core.neurons.len(),
            CoreProgram::DelayExtension(core) => core.sources() as usize,
        }
    }
}

/// What a core runs.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all cores have neurons")]
pub enum CoreProgram {
    /// Sends packets for the host: that many sources, 1 to 2^16 − 1. All are elements of one input.
    Injector(u32),
    /// Neurons.
    Neurons(NeuronCore),
    /// Repeats spikes of another core later.
    DelayExtension(DelayExtension),
}

/// How the program of a core's neurons goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProgramKind {
    /// Whether input is added to the membrane as it is (otherwise exponential currents drive it).
    pub is_delta: bool,
    /// Whether a spike takes threshold minus reset off the membrane (otherwise it sets it to the reset).
    pub subtracts: bool,
}

/// Memories of a core with neurons.
#[derive(Clone, Debug, PartialEq)]
pub struct NeuronCore {
    /// Its program.
    pub kind: ProgramKind,
    /// First step in which the neurons are updated.
    pub start_step: u32,
    /// Membrane parameters.
    pub neurons: NeuronRegion,
    /// State and constants of each synapse type of the synapse parameters. A delta program does not use them: may be empty.
    pub synapse_types: Vec<SynapseTypeRegion>,
    /// Synapse parameters: words of the region.
    pub synapse_parameters: Vec<u32>,
    /// Master population table: words of the region.
    pub population_table: Vec<u32>,
    /// Synaptic rows in shared memory.
    pub synaptic_words: Vec<u32>,
    /// Bit fields of the entries of the population table one after the other; where there are none, all rows are transferred.
    pub bit_fields: Vec<u32>,
    /// What is in the ring buffers before step 1: slot and value, by ascending slot.
    pub ring_initial: Vec<(u32, u16)>,
}

/// Parameters of a core's neurons, in parallel arrays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeuronRegion {
    /// Membrane.
    pub v: Vec<i32>,
    /// Where it decays to.
    pub v_rest: Vec<i32>,
    /// Factor from current to membrane.
    pub resistance: Vec<i32>,
    /// Part of the distance that is kept.
    pub membrane_keep: Vec<i32>,
    /// Constant input.
    pub i_offset: Vec<i32>,
    /// Steps that are left of a refractory period.
    pub refractory_left: Vec<i32>,
    /// Membrane after a spike.
    pub v_reset: Vec<i32>,
    /// Steps of a refractory period.
    pub refractory_steps: Vec<i32>,
    /// Threshold.
    pub v_threshold: Vec<i32>,
}

impl NeuronRegion {
    /// Number of neurons.
    pub fn len(&self) -> usize {
        self.v.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.v.is_empty()
    }
}

/// State and constants of one synapse type, of all neurons of a core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SynapseTypeRegion {
    /// Part of the current kept from step to step, of 2^32.
    pub decay: Vec<u32>,
    /// Part of the input that enters it, of 2^32.
    pub init: Vec<u32>,
    /// Current.
    pub value: Vec<i32>,
}

/// Where the host sends the spikes of an Input node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpikeInput {
    /// Name of the Input node.
    pub name: String,
    /// Shape.
    pub shape: Vec<u32>,
    /// Injectors in the order of the elements: core over all chips, and number of elements, which is that of its sources.
    pub injectors: Vec<(u32, u32)>,
}
