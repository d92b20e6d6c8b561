//! What stands in the memories of the machine.
//!
//! A core's rows lie in blocks, one for each projection from each core that sends to it; the master population table leads from
//! the key of a packet to the rows of its sender. Rows of a block have one length, so the sender's number is enough to find one.
//! Rows are written where they will lie, synapse by synapse.

use super::machine::working_core;
use super::split::{Block, Extension, Slice, Split, bits_for};
use itertools::Itertools;
use rayon::prelude::*;
use snncc_chip::{SpinnakerCore, Target};
use snncc_ids::PopulationId;
use snncc_image::spinnaker::layout::{BlockWriter, Synapse, SynapseFormat, SynapseParameters};
use snncc_image::spinnaker::table::{PopulationEntry, PopulationTable};
use snncc_image::spinnaker::{
    ApplicationCore, ChipImage, CoreProgram, DelayExtension, NeuronCore, NeuronRegion, ProgramKind, RouteEntry,
    SpikeInput, SpinnakerImage, SynapseTypeRegion,
};
use snncc_image::{Location, OutputPort, PopulationSymbol, Readout};
use snncc_ir::spinnaker::{NeuronProgram, SYNAPSE_TYPES, SpikeReset, SpinnakerIr, SpinnakerNeurons};
use snncc_ir::{Param, PopulationRole};
use snncc_multicast::{LINKS, Machine, Mapping, Table};

/// Lays a mapped network out; also gives the number of each vertex's core over all chips.
pub(super) fn emit(
    ir: &SpinnakerIr,
    split: &Split,
    mapping: &Mapping,
    machine: &Machine,
    target: &Target,
) -> (SpinnakerImage, Vec<u32>) {
    let layout = Layout { ir, split, mapping, machine, target, core: target.model.spinnaker().expect("bug in snncc") };
    let program = |vertex: usize| match vertex.checked_sub(split.slices.len()) {
        Some(extension) => layout.delay_extension(extension),
        None => layout.program(vertex),
    };
    let cores: Vec<CoreProgram> = (0..split.vertices()).into_par_iter().map(program).collect();
    let mut chips: Vec<ChipImage> = mapping
        .tables
        .iter()
        .zip(0_u32..)
        .map(|(table, chip)| ChipImage { chip, routes: layout.routes(chip, table), cores: Vec::new() })
        .collect();
    let mut sends = vec![false; split.vertices()];
    split.blocks.iter().for_each(|block| sends[block.source as usize] = true);
    split.extensions.iter().for_each(|extension| sends[extension.source as usize] = true);
    for (vertex, program) in cores.into_iter().enumerate() {
        let key = sends[vertex].then_some(mapping.keys[vertex].key);
        let core = ApplicationCore { core: layout.core_of(vertex), key, program };
        chips[mapping.chips[vertex] as usize].cores.push(core);
    }
    chips.iter_mut().for_each(|chip| chip.cores.sort_unstable_by_key(|core| core.core));
    chips.retain(|chip| !chip.routes.is_empty() || !chip.cores.is_empty());
    let neurons = |id: PopulationId| ir.graph.populations[id].role == PopulationRole::Neurons;
    let symbols: Vec<PopulationId> = ir.graph.populations.ids().filter(|id| neurons(*id)).collect();
    let outputs = ir.outputs.iter().map(|port| OutputPort {
        name: port.name.clone(),
        population: symbols.binary_search(&port.population).expect("bug in snncc: an output reads neurons") as u32,
        readout: match port.readout {
            snncc_ir::Readout::Spikes => Readout::Spikes,
            snncc_ir::Readout::Membrane => Readout::Membrane,
        },
    });
    let image = SpinnakerImage {
        cores_per_chip: target.cores_per_chip(),
        model_name: target.model.name.clone(),
        model_hash: target.model.hash(),
        target_name: target.name().to_owned(),
        inputs: ir.graph.populations.ids().filter(|id| !neurons(*id)).map(|id| layout.input(id)).collect(),
        outputs: outputs.collect(),
        populations: symbols.iter().map(|id| layout.symbol(*id)).collect(),
        chips,
        notes: Vec::new(),
    };
    (image, (0..split.vertices()).map(|vertex| layout.global_core(vertex)).collect())
}

struct Layout<'a> {
    ir: &'a SpinnakerIr,
    split: &'a Split,
    mapping: &'a Mapping,
    machine: &'a Machine,
    target: &'a Target,
    core: &'a SpinnakerCore,
}

impl Layout<'_> {
    /// The working core that the mapper's number on a chip stands for.
    fn working(&self, chip: u32, core: u32) -> u32 {
        let first = self.machine.resources(chip).map_or(0, |resources| resources.first_core);
        working_core(self.target, chip, first.into(), core)
    }

    /// Core of a vertex on its chip.
    fn core_of(&self, vertex: usize) -> u32 {
        self.working(self.mapping.chips[vertex], self.mapping.cores[vertex].into())
    }

    /// Core of a vertex over all chips.
    fn global_core(&self, vertex: usize) -> u32 {
        self.mapping.chips[vertex] * self.target.cores_per_chip() + self.core_of(vertex)
    }

    fn routes(&self, chip: u32, table: &Table) -> Vec<RouteEntry> {
        let links = (1 << LINKS) - 1;
        let cores = |route: u32| {
            let named = (LINKS as u32..u32::BITS).filter(move |bit| route >> bit & 1 == 1);
            named
                .map(|bit| 1 << (LINKS as u32 + self.working(chip, bit - LINKS as u32)))
                .fold(0, |all, core: u32| all | core)
        };
        let entry = |entry: &snncc_multicast::Entry| {
            let route = entry.route.0;
            RouteEntry { key: entry.block.key, mask: entry.block.mask, route: route & links | cores(route) }
        };
        table.entries.iter().map(entry).collect()
    }

    fn input(&self, id: PopulationId) -> SpikeInput {
        let population = &self.ir.graph.populations[id];
        SpikeInput {
            name: population.name.clone(),
            shape: population.shape.iter().map(|len| *len as u32).collect(),
            injectors: self.split.of(id).map(|slice| (self.global_core(slice), self.split.slices[slice].len)).collect(),
        }
    }

    fn symbol(&self, id: PopulationId) -> PopulationSymbol {
        let population = &self.ir.graph.populations[id];
        let neurons = self.ir.neurons[id].as_ref().expect("bug in snncc: neurons without parameters");
        let locations = self.split.of(id).flat_map(|slice| {
            let core = self.global_core(slice);
            (0..self.split.slices[slice].len).map(move |compartment| Location { core, compartment })
        });
        PopulationSymbol {
            name: population.name.clone(),
            shape: population.shape.iter().map(|len| *len as u32).collect(),
            latency_steps: population.latency_steps,
            locations: locations.collect(),
            units_per_volt: neurons.units_per_volt.values().to_vec(),
        }
    }

    /// What the core of a slice runs.
    fn program(&self, slice: usize) -> CoreProgram {
        let part = self.split.slices[slice];
        let Some(neurons) = &self.ir.neurons[part.population] else { return CoreProgram::Injector(part.len) };
        let format = SynapseFormat::new(part.len, SYNAPSE_TYPES as u32, 1 << part.delay_bits);
        let mut synaptic_words = Vec::with_capacity((self.split.synaptic_bytes(slice, self.target) / 4) as usize);
        let mut addresses = Vec::new();
        let mut senders: Vec<(PopulationEntry, Vec<u32>)> = Vec::new();
        for (source, blocks) in &self.split.onto(slice).iter().chunk_by(|block| block.source) {
            let start = addresses.len();
            let sources = self.split.sources(source as usize);
            let mut bit_field = vec![0_u32; sources.div_ceil(u32::BITS) as usize];
            for block in blocks {
                let length = block.row_words.max(1) as usize;
                let (item, mut rows) = BlockWriter::append(&mut synaptic_words, sources as usize, length);
                self.fill(block, format, |row, word| {
                    rows.push(row as usize, word);
                    bit_field[(row / u32::BITS) as usize] |= 1 << (row % u32::BITS);
                });
                addresses.push(item);
            }
            let (key, count) = (self.mapping.keys[source as usize].key, addresses.len() - start);
            let colour_bits = self.core.formats.colour_bits.0;
            senders.push((PopulationEntry::of_core(key, sources, colour_bits, start as u16, count as u16), bit_field));
        }
        senders.sort_unstable_by_key(|(entry, _)| entry.key);
        let bit_fields = if part.filters {
            senders.iter().flat_map(|(_, bit_field)| bit_field.iter().copied()).collect()
        } else {
            Vec::new()
        };
        let table = PopulationTable { entries: senders.into_iter().map(|(entry, _)| entry).collect(), addresses };
        let population_table = table.encode();
        let parameters = SynapseParameters {
            neurons: part.len,
            format,
            drops_late: self.core.formats.drops_late.0,
            spike_buffer: self.core.limits.incoming_spikes.0,
            left_shifts: neurons.synapse_types.iter().map(|kind| self.left_shift(&kind.left_shift, part)).collect(),
        };
        let kind = ProgramKind {
            is_delta: neurons.program == NeuronProgram::Delta,
            subtracts: neurons.reset == SpikeReset::BySubtraction,
        };
        CoreProgram::Neurons(NeuronCore {
            kind,
            start_step: neurons.start_step,
            neurons: region(neurons, part),
            synapse_types: neurons
                .synapse_types
                .iter()
                .map(|known| SynapseTypeRegion {
                    decay: cut(&known.decay, part),
                    init: cut(&known.init, part),
                    value: cut(&known.initial, part),
                })
                .collect(),
            synapse_parameters: parameters.encode(),
            population_table,
            synaptic_words,
            bit_fields,
            ring_initial: Vec::new(),
        })
    }

    /// The one value of a slice's neurons.
    fn left_shift(&self, shifts: &Param<u8>, part: Slice) -> u8 {
        let shift = shifts.get(part.first as usize);
        let same = (part.first..part.first + part.len).all(|neuron| shifts.get(neuron as usize) == shift);
        assert!(same, "bug in snncc: neurons of one core have different left shifts");
        shift
    }

    /// Gives `push` all synapse words of a block, each with its row.
    fn fill(&self, block: &Block, format: SynapseFormat, mut push: impl FnMut(u32, u32)) {
        let (split, delay_bits) = (self.split, format.delay_bits);
        let (source, target) = (split.slice_of(block.source as usize), split.slices[block.target as usize]);
        let (projection, weights) = (&self.ir.graph.projections[block.projection], &self.ir.weights[block.projection]);
        let extension = (block.source as usize).checked_sub(split.slices.len()).map(|at| split.extensions[at]);
        let (first, len) = extension.map_or((0, source.len), |extension| (extension.first, extension.len));
        for at in 0..len {
            let neuron = source.first + first + at;
            projection.fan_out_onto(neuron, target.first..target.first + target.len, |synapse| {
                let weight = weights[synapse.weight];
                if weight == 0 {
                    return;
                }
                let delay = projection.delays.get(neuron, synapse.weight);
                let stage = (delay - 1) >> delay_bits;
                if (stage > 0) != extension.is_some() {
                    return;
                }
                let word = format.word(Synapse {
                    weight: weight.unsigned_abs() as u16,
                    delay: delay - (stage << delay_bits),
                    synapse_type: u32::from(weight < 0),
                    target: synapse.other - target.first,
                });
                push(stage.saturating_sub(1) * len + at, word);
            });
        }
    }

    /// What the core of a delay extension runs.
    fn delay_extension(&self, at: usize) -> CoreProgram {
        let Extension { source, delay_bits, first, len, stages } = self.split.extensions[at];
        let colour_bits = self.core.formats.colour_bits.0;
        let key_bits = bits_for(self.split.slices[source as usize].len) + colour_bits;
        CoreProgram::DelayExtension(DelayExtension {
            key: self.mapping.keys[source as usize].key,
            mask: u32::MAX << key_bits,
            colour_bits,
            first,
            neurons: len,
            stages,
            stage_steps: 1 << delay_bits,
            sent: self.split.sent[at].clone(),
        })
    }
}

/// The values of a slice's neurons.
fn cut<T: Copy + PartialEq>(param: &Param<T>, part: Slice) -> Vec<T> {
    (part.first..part.first + part.len).map(|neuron| param.get(neuron as usize)).collect()
}

fn region(neurons: &SpinnakerNeurons, part: Slice) -> NeuronRegion {
    NeuronRegion {
        v: cut(&neurons.v_initial, part),
        v_rest: cut(&neurons.v_rest, part),
        resistance: cut(&neurons.resistance, part),
        membrane_keep: cut(&neurons.membrane_keep, part),
        i_offset: cut(&neurons.i_offset, part),
        refractory_left: vec![0; part.len as usize],
        v_reset: cut(&neurons.v_reset, part),
        refractory_steps: cut(&neurons.refractory_steps, part),
        v_threshold: cut(&neurons.v_threshold, part),
    }
}
