//! A loaded program: the image in the layout that the emulator runs on. Immutable, shared by any number of emulators.

use crate::rules::Rules;
use crate::synapses::SynapseTable;
use crate::timing::Costs;
use snncc_chip::UpdateRule;
use snncc_image::{NoiseTarget, OutputPort, Readout};

/// An image, checked against its target and laid out for emulation.
///
/// Immutable and `Sync`: emulators on any number of threads run from one program. See [`Program::load`].
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) cores: Vec<CoreProgram>,
    pub(crate) inputs: Vec<PortProgram>,
    pub(crate) outputs: Vec<OutputProgram>,
    pub(crate) populations: Vec<PopulationProgram>,
    pub(crate) costs: Costs,
    /// Routers with at least one compartment.
    pub(crate) routers: u32,
    pub(crate) bias_format: BiasFormat,
    pub(crate) payload_max: i64,
    /// The mesh of routers.
    pub(crate) mesh: MeshShape,
    /// Enough work in a step to share it between threads.
    pub(crate) worth_threads: bool,
}

/// Routers of all chips, and what a chip has of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeshShape {
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    pub(crate) chip_columns: u32,
    pub(crate) chip_rows: u32,
    pub(crate) cores_per_router: u32,
}

/// A message that a source sends: a destination core, and the list there that it activates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    /// Index into [`Program::cores`].
    pub(crate) core: u32,
    /// Where the list begins in the synapse table's stream.
    pub(crate) list: u32,
    pub(crate) base: u32,
}

/// What all messages of one spike cost the network.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HopCost {
    pub(crate) energy_fj: u64,
    pub(crate) hops: u32,
}

/// Messages of each source, in compressed rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) starts: Vec<u32>,
    pub(crate) messages: Vec<Message>,
}

impl Rows {
    #[inline]
    pub(crate) fn row(&self, source: usize) -> &[Message] {
        &self.messages[self.starts[source] as usize..self.starts[source + 1] as usize]
    }
}

/// One core.
#[derive(Clone, Debug)]
pub(crate) struct CoreProgram {
    /// Number over all chips.
    pub(crate) number: u32,
    /// Router, by column and row over all chips.
    pub(crate) position: (u32, u32),
    pub(crate) name: String,
    pub(crate) compartments: usize,
    pub(crate) rules: Rules,
    pub(crate) neurons: Neurons,
    pub(crate) synapses: SynapseTable,
    pub(crate) rows: Rows,
    pub(crate) hops: Vec<HopCost>,
    /// First step of bias and initial state of each compartment, at least 1.
    pub(crate) start_step: Vec<u32>,
    /// Compartments ascending by start step.
    pub(crate) start_order: Vec<u32>,
    pub(crate) bias: Vec<i64>,
    pub(crate) u_initial: Vec<i64>,
    pub(crate) v_initial: Vec<i64>,
    /// Bound of `sum of |units|` that can reach a compartment in one step with payloads of magnitude 1.
    pub(crate) units_bound: u64,
    /// Which compartments pay for an update.
    pub(crate) updated: UpdateRule,
    /// Population and neuron of each compartment; `u32::MAX` where it has no name.
    pub(crate) symbols: Vec<(u32, u32)>,
}

/// Per-compartment constants, in the layout of the path that the core takes.
#[derive(Clone, Debug)]
pub(crate) enum Neurons {
    /// 32 bits, in blocks of 64 compartments.
    Narrow(NarrowNeurons),
    /// 64 bits, every rule.
    Wide(WideNeurons),
}

/// Constants of the narrow path, padded to whole blocks with compartments that stay silent.
#[derive(Clone, Debug)]
pub(crate) struct NarrowNeurons {
    pub(crate) ku: Vec<u16>,
    pub(crate) kv: Vec<u16>,
    pub(crate) threshold: Vec<i32>,
    pub(crate) refractory: Vec<i32>,
    /// Whether any refractory register exceeds 1.
    pub(crate) any_refractory: bool,
    pub(crate) input_bits: u32,
    pub(crate) current_bits: u32,
    pub(crate) biased_current_bits: u32,
}

/// Constants of the wide path.
#[derive(Clone, Debug)]
pub(crate) struct WideNeurons {
    pub(crate) configs: Vec<WideConfig>,
    pub(crate) config: Vec<u32>,
    pub(crate) threshold: Vec<i64>,
    pub(crate) lower_threshold: Vec<i64>,
    pub(crate) noise: Option<(NoiseTarget, Vec<Vec<i32>>)>,
}

/// A compartment config of the wide path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WideConfig {
    pub(crate) ku: i64,
    pub(crate) kv: i64,
    pub(crate) refractory: u32,
    /// Interval and offset modulo interval of a periodic clear.
    pub(crate) periodic: Option<(u32, u32)>,
    pub(crate) ternary: bool,
}

/// An input port.
#[derive(Clone, Debug)]
pub(crate) struct PortProgram {
    pub(crate) name: String,
    pub(crate) rows: Rows,
}

/// An output port.
#[derive(Clone, Debug)]
pub(crate) struct OutputProgram {
    pub(crate) name: String,
    pub(crate) population: u32,
    pub(crate) readout: Readout,
}

impl OutputProgram {
    /// Of the ports of an image.
    pub(crate) fn of(ports: &[OutputPort]) -> Vec<Self> {
        let of =
            |port: &OutputPort| Self { name: port.name.clone(), population: port.population, readout: port.readout };
        ports.iter().map(of).collect()
    }
}

/// A population.
#[derive(Clone, Debug)]
pub(crate) struct PopulationProgram {
    pub(crate) name: String,
    pub(crate) shape: Vec<u32>,
    pub(crate) latency_steps: u32,
    /// Index into [`Program::cores`] and compartment of each neuron.
    pub(crate) places: Vec<(u32, u32)>,
    pub(crate) units_per_volt: Vec<f64>,
    /// Whether spikes of −1 can occur.
    pub(crate) ternary: bool,
}

/// What a bias register holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BiasFormat {
    pub(crate) mantissa: (i64, i64),
    pub(crate) exponent: (i64, i64),
}

impl Program {
    /// Names of the input ports with the number of their elements.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, u32)> {
        self.inputs.iter().map(|port| (port.name.as_str(), (port.rows.starts.len() - 1) as u32))
    }

    /// Output ports: name, index of the population, what is read.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, usize, Readout)> {
        self.outputs.iter().map(|port| (port.name.as_str(), port.population as usize, port.readout))
    }

    /// Populations: name, shape, latency in steps; their order is that of [`crate::Trace::populations`].
    pub fn populations(&self) -> impl Iterator<Item = (&str, &[u32], u32)> {
        self.populations.iter().map(|p| (p.name.as_str(), p.shape.as_slice(), p.latency_steps))
    }

    /// Index of the population of this name.
    pub fn population(&self, name: &str) -> Option<usize> {
        self.populations.iter().position(|population| population.name == name)
    }

    /// Numbers of the cores in use, ascending; their order is that of [`crate::Trace::cores`].
    pub fn core_numbers(&self) -> impl Iterator<Item = u32> {
        self.cores.iter().map(|core| core.number)
    }

    /// Routers with at least one compartment.
    pub fn routers_in_use(&self) -> u32 {
        self.routers
    }

    /// Compartments of all cores.
    pub fn compartments(&self) -> u64 {
        self.cores.iter().map(|core| core.compartments as u64).sum()
    }

    /// Whether the cost table says how messages pass the network: needed for levels beyond the analytic one.
    pub fn has_network(&self) -> bool {
        self.costs.network.is_some()
    }

    /// Whether a step is work enough to share it between threads.
    pub fn worth_threads(&self) -> bool {
        self.worth_threads
    }

    /// Cores that take the fast path of 32 bits.
    pub fn narrow_cores(&self) -> usize {
        self.cores.iter().filter(|core| matches!(core.neurons, Neurons::Narrow(_))).count()
    }
}
