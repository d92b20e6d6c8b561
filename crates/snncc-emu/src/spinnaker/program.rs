//! A loaded program: the image in the layout that the emulator runs on. Immutable, shared by any number of emulators.

use super::delay::DelayProgram;
use super::fabric::Fabric;
use super::timing::Costs;
use super::walk::Drops;
use crate::program::{OutputProgram, PopulationProgram};
use crate::stimulus::bind_ports;
use snncc_chip::Product;
use snncc_data::{SpikeTrain, Stimulus};
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_image::Readout;
use snncc_image::spinnaker::layout::SynapseFormat;
use snncc_image::spinnaker::{NeuronRegion, ProgramKind, SynapseTypeRegion};
use snncc_noc::TreeId;

/// An image, checked against its machine and laid out for emulation.
///
/// Immutable and `Sync`: emulators on any number of threads run from one program. See [`SpinnakerProgram::load`].
#[derive(Clone, Debug)]
pub struct SpinnakerProgram {
    /// By ascending number.
    pub(crate) cores: Vec<CoreProgram>,
    pub(crate) inputs: Vec<InputProgram>,
    pub(crate) outputs: Vec<OutputProgram>,
    pub(crate) populations: Vec<PopulationProgram>,
    pub(crate) costs: Costs,
    pub(crate) product: Product,
    pub(crate) fraction_bits: u32,
    /// Links and routers, and the trees of packets on them.
    pub(crate) fabric: Fabric,
    /// Bits of a packet that say in which step it was sent.
    pub(crate) colour_bits: u32,
    /// Chips along x.
    pub(crate) columns: u32,
    /// Chips of the image.
    pub(crate) chips: u32,
    /// Enough work in a step to share it between threads.
    pub(crate) worth_threads: bool,
}

/// One core.
#[derive(Clone, Debug)]
pub(crate) struct CoreProgram {
    /// Number over all chips.
    pub(crate) number: u32,
    pub(crate) name: String,
    /// `None` for an injector or a delay extension.
    pub(crate) neurons: Option<NeuronProgram>,
    /// Of a delay extension.
    pub(crate) delay: Option<DelayProgram>,
    pub(crate) sends: Sends,
    /// Packets that wait.
    pub(crate) spike_buffer: u32,
    /// Population and neuron of each neuron; `u32::MAX` where it has no name.
    pub(crate) symbols: Vec<(u32, u32)>,
}

/// Neurons of a core.
#[derive(Clone, Debug)]
pub(crate) struct NeuronProgram {
    pub(crate) kind: ProgramKind,
    pub(crate) start_step: u32,
    pub(crate) region: NeuronRegion,
    /// Two, for exponential currents; else maybe none.
    pub(crate) types: Vec<SynapseTypeRegion>,
    pub(crate) left_shifts: [u8; 2],
    pub(crate) format: SynapseFormat,
    pub(crate) words: Vec<u32>,
    pub(crate) ring_initial: Vec<(u32, u16)>,
    /// Whether rows of late packets are dropped.
    pub(crate) drops_late: bool,
}

/// What spikes of a core's sources reach, in compressed rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sends {
    /// One more than there are sources; a single 0 for a core without a key, whose spikes send nothing.
    pub(crate) starts: Vec<usize>,
    pub(crate) deliveries: Vec<Delivery>,
    /// Links that the packet of a source takes, and copies that are lost.
    pub(crate) ways: Vec<(u32, Drops)>,
    /// Its tree in the fabric.
    pub(crate) trees: Vec<TreeId>,
}

/// What a packet does where it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Activates a row.
    Row,
    /// Nothing: the core knows the source, which has no row.
    NoRow,
    /// Nothing: the core does not know its key.
    Unmatched,
    /// Is held by a delay extension.
    Held,
}

/// A row that a packet activates on a core, or what else it does there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    /// Index into [`SpinnakerProgram::cores`].
    pub(crate) core: u32,
    /// First synapse word, or the neuron of a delay extension.
    pub(crate) first_word: u32,
    /// Number of synapse words.
    pub(crate) synapses: u16,
    /// Words that are transferred, with header and padding.
    pub(crate) row_words: u16,
    /// Whether it is the first row of its packet.
    pub(crate) is_first: bool,
    pub(crate) effect: Effect,
}

/// An input port.
#[derive(Clone, Debug)]
pub(crate) struct InputProgram {
    pub(crate) name: String,
    pub(crate) elements: u32,
    /// First element and index of the core of each injector, ascending.
    pub(crate) injectors: Vec<(u32, u32)>,
}

/// A stimulus bound to a program and checked.
#[derive(Clone, Debug)]
pub struct SpinnakerStimulus<'a> {
    /// Spikes of each input port of the program, in its order.
    pub(crate) ports: Vec<Option<&'a SpikeTrain>>,
    /// Constant inputs that replace the image's.
    pub(crate) offsets: Vec<OffsetWrite>,
}

/// The constant input of a neuron, which the host writes before a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OffsetWrite {
    pub(crate) core: u32,
    pub(crate) neuron: u32,
    pub(crate) i_offset: i32,
}

impl SpinnakerProgram {
    /// Names of the input ports with the number of their elements.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, u32)> {
        self.inputs.iter().map(|port| (port.name.as_str(), port.elements))
    }

    /// Output ports: name, index of the population, what is read.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, usize, Readout)> {
        self.outputs.iter().map(|port| (port.name.as_str(), port.population as usize, port.readout))
    }

    /// Populations: name, shape, latency in steps; their order is that of [`super::SpinnakerTrace::populations`].
    pub fn populations(&self) -> impl Iterator<Item = (&str, &[u32], u32)> {
        self.populations.iter().map(|p| (p.name.as_str(), p.shape.as_slice(), p.latency_steps))
    }

    /// Index of the population of this name.
    pub fn population(&self, name: &str) -> Option<usize> {
        self.populations.iter().position(|population| population.name == name)
    }

    /// Numbers of the cores in use over all chips, ascending; their order is that of [`super::SpinnakerTrace::cores`].
    pub fn core_numbers(&self) -> impl Iterator<Item = u32> {
        self.cores.iter().map(|core| core.number)
    }

    /// Neurons of all cores.
    pub fn neurons(&self) -> u64 {
        self.cores.iter().filter_map(|core| core.neurons.as_ref()).map(|neurons| neurons.region.len() as u64).sum()
    }

    /// Chips with a core in use or a routing entry.
    pub fn chips_in_use(&self) -> u32 {
        self.chips
    }

    /// Copies of packets that would be lost if every source spiked once: none, if the routing tables are right.
    pub fn lost_copies(&self) -> Drops {
        let mut lost = Drops::default();
        self.cores.iter().flat_map(|core| &core.sends.ways).for_each(|(_, drops)| lost.add(drops));
        lost
    }

    /// Binds a stimulus to this program. Ports that the stimulus does not name stay silent.
    ///
    /// # Errors
    /// `SNN0210` where ports, populations or their sizes do not match, or a spike has a payload other than 1; `SNN0601` where a
    /// constant input leaves 32 bits.
    pub fn prepare<'a>(&self, stimulus: &'a Stimulus) -> Result<SpinnakerStimulus<'a>, Diagnostics> {
        let mut problems = Diagnostics::new();
        let inputs: Vec<(&str, usize)> =
            self.inputs.iter().map(|port| (port.name.as_str(), port.elements as usize)).collect();
        let plain = |_, payloads: &[i32]| match payloads.iter().find(|payload| **payload != 1) {
            Some(payload) => Err(format!("a payload of {payload}; a packet of this chip carries none")),
            None => Ok(()),
        };
        let ports = bind_ports(stimulus, &inputs, plain, &mut problems);
        let mut offsets = Vec::new();
        let mut given = vec![false; self.populations.len()];
        for bias in &stimulus.host_biases {
            let name = &bias.population;
            let Some(at) = self.population(name).filter(|at| !std::mem::replace(&mut given[*at], true)) else {
                let message = format!("`{name}` is no population that can get a host current, or gets two");
                problems.push(Diagnostic::error(code::STIMULUS_MISMATCH, message));
                continue;
            };
            let (wanted, len) = (self.populations[at].places.len(), bias.current.len());
            if wanted != len {
                let message = format!("{len} host currents for the {wanted} neurons of `{name}`");
                problems.push(Diagnostic::error(code::STIMULUS_MISMATCH, message));
                continue;
            }
            if let Err(problem) = self.write_offsets(at, &bias.current, &mut offsets) {
                problems.push(problem.at(format!("populations/{name}")));
            }
        }
        problems.into_result(SpinnakerStimulus { ports, offsets }).map(|(prepared, _)| prepared)
    }

    /// The constant inputs of a population with these currents (in volts a step) added, rounded to the nearest, ties to even.
    fn write_offsets(&self, at: usize, current: &[f64], offsets: &mut Vec<OffsetWrite>) -> Result<(), Diagnostic> {
        let population = &self.populations[at];
        for (at, (&(core, neuron), volts)) in population.places.iter().zip(current).enumerate() {
            let scale = population.units_per_volt.get(at).or(population.units_per_volt.first()).copied().unwrap_or(0.0);
            let own =
                self.cores[core as usize].neurons.as_ref().map_or(0, |core| core.region.i_offset[neuron as usize]);
            let wanted = (f64::from(own) + volts * scale).round_ties_even();
            if !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&wanted) {
                let message = format!("the host current of neuron {at} of `{}` needs {wanted}", population.name);
                return Err(Diagnostic::error(code::VALUE_OVERFLOWS, message).note("a constant input has 32 bits"));
            }
            offsets.push(OffsetWrite { core, neuron, i_offset: wanted as i32 });
        }
        Ok(())
    }
}
