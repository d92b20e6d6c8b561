//! What the image of a SpiNNaker-like machine says of cores, keys and the ways of packets: for `inspect` and the reports.

use snncc_chip::Target;
use snncc_emu::spinnaker::SpinnakerMachine;
use snncc_image::spinnaker::{ApplicationCore, ChipImage, CoreProgram, DelayExtension, RouteEntry, SpinnakerImage};
use std::collections::{BTreeMap, BTreeSet};

/// Links of a chip; the bits of a route behind them are cores.
pub(crate) const LINKS: u32 = 6;

/// Part of a population or an input on a core.
pub(crate) struct Slice {
    pub(crate) vertex: String,
    /// What its core runs, as users of sPyNNaker call it.
    pub(crate) model: &'static str,
    pub(crate) first: u32,
    pub(crate) last: u32,
}

impl Slice {
    /// `NAME(FIRST:LAST)`
    pub(crate) fn name(&self) -> String {
        format!("{}({}:{})", self.vertex, self.first, self.last)
    }
}

/// An image with the machine it was made for.
pub(crate) struct MachineImage<'a> {
    pub(crate) image: &'a SpinnakerImage,
    pub(crate) target: &'a Target,
    machine: SpinnakerMachine,
    /// By core over all chips.
    pub(crate) slices: BTreeMap<u32, Slice>,
}

/// What a chip does with a packet.
pub(crate) struct Stop {
    pub(crate) chip: u32,
    /// Link in whose direction the packet came; `None` where it starts.
    pub(crate) came: Option<u32>,
    /// Index of the entry that matches; `None`: it goes on as it came.
    pub(crate) entry: Option<usize>,
    /// Links and cores it goes to.
    pub(crate) route: u32,
}

impl<'a> MachineImage<'a> {
    pub(crate) fn new(image: &'a SpinnakerImage, target: &'a Target) -> Self {
        Self { image, target, machine: SpinnakerMachine::of(target), slices: slices(image) }
    }

    /// Place of a chip in the mesh.
    pub(crate) fn position(&self, chip: u32) -> (u32, u32) {
        (chip % self.target.file.chips.columns, chip / self.target.file.chips.columns)
    }

    /// Number of a core over all chips.
    pub(crate) fn number(&self, chip: &ChipImage, core: &ApplicationCore) -> u32 {
        chip.chip * self.image.cores_per_chip + core.core
    }

    /// Chip of a core.
    pub(crate) fn chip_of(&self, core: u32) -> u32 {
        core / self.image.cores_per_chip
    }

    /// A chip in use.
    pub(crate) fn chip(&self, chip: u32) -> Option<&'a ChipImage> {
        let at = self.image.chips.binary_search_by_key(&chip, |image| image.chip).ok()?;
        Some(&self.image.chips[at])
    }

    /// Cores in use, with their numbers.
    pub(crate) fn cores(&self) -> impl Iterator<Item = (u32, &'a ApplicationCore)> + '_ {
        self.image.chips.iter().flat_map(|chip| chip.cores.iter().map(|core| (self.number(chip, core), core)))
    }

    /// Low bits of a key that hold the time of sending.
    fn colour_bits(&self) -> u32 {
        self.target.model.spinnaker().map_or(0, |core| core.formats.colour_bits.0.into())
    }

    /// Mask of a core's keys: they are the key and what differs from it where the mask is 0.
    pub(crate) fn mask(&self, core: &ApplicationCore) -> u32 {
        let atoms = (core.sources() as u32).max(1).next_power_of_two();
        !(atoms.wrapping_shl(self.colour_bits()).wrapping_sub(1))
    }

    /// Key of a core's neuron or source.
    pub(crate) fn key(&self, core: &ApplicationCore, index: u32) -> Option<u32> {
        Some(core.key?.wrapping_add(index.wrapping_shl(self.colour_bits())))
    }

    /// Packets that a spike sends: of its core, then of each stage of the delay extensions that hold it.
    pub(crate) fn packets(&self, core: u32, index: u32) -> Vec<Packet> {
        let sender = |core: u32| self.image.core(core);
        let Some((own, key)) = sender(core).and_then(|own| Some((own, self.key(own, index)?))) else {
            return Vec::new();
        };
        let mut packets = vec![Packet { core, key, held_steps: 0 }];
        for (extension, delay) in delay_extensions(self.image) {
            let neuron = index.checked_sub(delay.first).filter(|at| *at < delay.neurons && own.key == Some(delay.key));
            let Some((neuron, application)) = neuron.zip(sender(extension)) else { continue };
            for stage in 1..=delay.stages {
                let source = (stage - 1) * delay.neurons + neuron;
                let key = self.key(application, source).filter(|_| delay.sends(source));
                packets.extend(key.map(|key| Packet { core: extension, key, held_steps: stage * delay.stage_steps }));
            }
        }
        packets
    }

    /// Cores with a key, and the mask of their keys.
    pub(crate) fn senders(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        self.cores().filter_map(|(number, core)| Some((number, core.key?, self.mask(core))))
    }

    /// The way of a packet from a core's chip on: every chip once, in the order in which copies come there.
    pub(crate) fn walk(&self, core: u32, key: u32) -> Vec<Stop> {
        let mut stops = Vec::new();
        let mut seen = BTreeSet::new();
        let mut waiting = std::collections::VecDeque::from([(self.chip_of(core), None)]);
        while let Some((chip, came)) = waiting.pop_front() {
            if !seen.insert(chip) {
                continue;
            }
            let routes: &[RouteEntry] = self.chip(chip).map_or(&[], |chip| &chip.routes);
            let entry = routes.iter().position(|entry| key & entry.mask == entry.key);
            let straight = came.map(|link: u32| 1 << link);
            let Some(route) = entry.map(|entry| routes[entry].route).or(straight) else { continue };
            stops.push(Stop { chip, came, entry, route });
            let links = (0..LINKS).filter(|link| route >> link & 1 == 1);
            waiting.extend(links.filter_map(|link| Some((self.machine.neighbour(chip, link)?, Some(link)))));
        }
        stops
    }

    /// Cores that a packet comes to.
    pub(crate) fn arrivals(&self, stops: &[Stop]) -> Vec<u32> {
        let of = |stop: &Stop| {
            let (chip, route) = (stop.chip, stop.route);
            let cores = (0..self.image.cores_per_chip).filter(move |core| route.unbounded_shr(LINKS + core) & 1 == 1);
            cores.map(move |core| chip * self.image.cores_per_chip + core).collect::<Vec<_>>()
        };
        stops.iter().flat_map(of).collect()
    }

    /// Shared memory of a core: its neurons, synapse parameters, population table, bit fields and rows.
    pub(crate) fn sdram_bytes(&self, core: &ApplicationCore) -> u64 {
        let neurons = match &core.program {
            CoreProgram::Injector(_) => return 0,
            CoreProgram::DelayExtension(delay) => return (delay.words() * size_of::<u32>()) as u64,
            CoreProgram::Neurons(neurons) => neurons,
        };
        let neuron_bytes = self.target.model.spinnaker().map_or(0, |core| core.formats.neuron_bytes.0);
        let tables = neurons.population_table.len() + neurons.bit_fields.len() + neurons.synapse_parameters.len();
        let words = neurons.synaptic_words.len() + tables;
        (words * size_of::<u32>()) as u64 + neurons.neurons.len() as u64 * u64::from(neuron_bytes)
    }
}

/// What a spike sends.
pub(crate) struct Packet {
    /// Core that sends it.
    pub(crate) core: u32,
    pub(crate) key: u32,
    /// Steps after the spike.
    pub(crate) held_steps: u32,
}

/// Slices by core over all chips.
fn slices(image: &SpinnakerImage) -> BTreeMap<u32, Slice> {
    let mut slices = BTreeMap::new();
    for input in &image.inputs {
        let mut first = 0;
        for (core, elements) in &input.injectors {
            let (vertex, last) = (input.name.clone(), first + elements - 1);
            slices.insert(*core, Slice { vertex, model: "SpikeInjector", first, last });
            first += elements;
        }
    }
    for population in &image.populations {
        for (neuron, at) in (0_u32..).zip(&population.locations) {
            let slice = slices.entry(at.core).or_insert_with(|| Slice {
                vertex: population.name.clone(),
                model: "Population",
                first: neuron,
                last: neuron,
            });
            (slice.first, slice.last) = (slice.first.min(neuron), slice.last.max(neuron));
        }
    }
    for (number, delay) in delay_extensions(image) {
        let Some(source) = slice_with_key(image, &slices, delay.key) else { continue };
        let (vertex, first) = (format!("{}_delayed", source.vertex), source.first + delay.first);
        let last = first + delay.neurons - 1;
        slices.insert(number, Slice { vertex, model: "DelayExtension", first, last });
    }
    slices
}

/// Delay extensions with the numbers of their cores.
fn delay_extensions(image: &SpinnakerImage) -> impl Iterator<Item = (u32, &DelayExtension)> {
    let cores = image.chips.iter().flat_map(|chip| chip.cores.iter().map(move |core| (chip.chip, core)));
    cores.filter_map(|(chip, core)| match &core.program {
        CoreProgram::DelayExtension(delay) => Some((chip * image.cores_per_chip + core.core, delay)),
        CoreProgram::Neurons(_) | CoreProgram::Injector(_) => None,
    })
}

/// The slice whose core has this key.
fn slice_with_key<'a>(image: &SpinnakerImage, slices: &'a BTreeMap<u32, Slice>, key: u32) -> Option<&'a Slice> {
    slices.iter().find(|(core, _)| image.core(**core).is_some_and(|core| core.key == Some(key))).map(|(_, slice)| slice)
}
