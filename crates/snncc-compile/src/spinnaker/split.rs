//! Slices of populations, one for each core, and the blocks of synaptic rows between them.
//!
//! A slice is as large as its memories allow: ring buffers of all delays, rows of at most so many words, the neurons' state. A
//! block holds the synapses of one projection from one slice to another, a row for each source neuron, all rows of one length.
//!
//! **Invariant:** every synapse that is not 0 is in exactly one block.

use crate::Ctx;
use snncc_chip::{SpinnakerCore, Target};
use snncc_ids::{Diagnostic, Diagnostics, PopulationId, ProjectionId, code};
use snncc_ir::spinnaker::{SYNAPSE_TYPES, SpinnakerIr};
use snncc_ir::{Population, PopulationRole};
use snncc_multicast::{Net, Problem, Vertex};

/// Bits of a synapse word below its weight.
const WORD_BITS: u8 = 16;
/// Blocks that a population table can name: its entries give the first one in 13 bits.
const BLOCKS_MAX: usize = (1 << 13) - 1;

/// Neurons `first .. first + len` of a population, on a core of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The population.
    pub population: PopulationId,
    /// Its first neuron here.
    pub first: u32,
    /// Number of neurons.
    pub len: u32,
    /// Bits of the delay field: there are `2^bits` slots, and no delay is longer.
    pub delay_bits: u8,
}

/// The synapses of a projection from one slice to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The projection.
    pub projection: ProjectionId,
    /// Source slice.
    pub source: u32,
    /// Target slice.
    pub target: u32,
    /// Synapse words of its longest row.
    pub row_words: u32,
    /// Synapses.
    pub synapses: u64,
}

/// A split network.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Slices, by population.
    pub slices: Vec<Slice>,
    /// Blocks, by target slice, then by source slice, then by projection.
    pub blocks: Vec<Block>,
}

impl Split {
    /// Slices of a population.
    pub fn of(&self, population: PopulationId) -> std::ops::Range<usize> {
        let first = self.slices.partition_point(|slice| slice.population < population);
        let end = self.slices.partition_point(|slice| slice.population <= population);
        first..end
    }

    /// Blocks onto a slice.
    pub fn onto(&self, slice: usize) -> &[Block] {
        let first = self.blocks.partition_point(|block| (block.target as usize) < slice);
        let end = self.blocks.partition_point(|block| block.target as usize <= slice);
        &self.blocks[first..end]
    }

    /// Shared memory of a slice's rows, in bytes.
    pub fn synaptic_bytes(&self, slice: usize, target: &Target) -> u64 {
        let core = target.model.spinnaker().expect("bug in snncc: no SpiNNaker-like target");
        let bytes = |block: &Block| {
            let words = u64::from(core.formats.row_header_words.0 + block.row_words);
            words * u64::from(self.slices[block.source as usize].len) * 4
        };
        // Blocks begin at multiples of 16 bytes.
        self.onto(slice).iter().map(|block| bytes(block).next_multiple_of(16)).sum()
    }

    /// Bytes of the master population table of a core.
    fn table_bytes(&self, slice: usize, core: &SpinnakerCore) -> u64 {
        let (blocks, formats) = (self.onto(slice), &core.formats);
        let senders = blocks.chunk_by(|a, b| a.source == b.source).count() as u64;
        senders * u64::from(formats.population_entry_bytes.0)
            + blocks.len() as u64 * u64::from(formats.address_item_bytes.0)
            + 8
    }

    /// Data memory of a core with a slice of neurons: their state, ring buffers (2 bytes a slot), two buffers for the longest row,
    /// population table, waiting spikes (4 bytes each).
    pub fn data_bytes(&self, slice: usize, core: &SpinnakerCore) -> u64 {
        let Slice { len, delay_bits, .. } = self.slices[slice];
        let slots = 1_u64 << (bits_for(len).max(1) + bits_for(SYNAPSE_TYPES as u32) + delay_bits);
        let formats = &core.formats;
        let rows = self.onto(slice).iter().map(|block| formats.row_header_words.0 + block.row_words.max(1));
        let row_buffers = 2 * 4 * u64::from(rows.max().unwrap_or(0));
        let spikes = u64::from(core.limits.incoming_spikes.0) * 4;
        let state = u64::from(len) * u64::from(formats.neuron_bytes.0);
        state + slots * 2 + row_buffers + self.table_bytes(slice, core) + spikes
    }

    /// Cores and nets for the mapper, one of each for every slice.
    pub(super) fn problem(&self, ir: &SpinnakerIr, target: &Target) -> Problem {
        let core = target.model.spinnaker().expect("bug in snncc: no SpiNNaker-like target");
        let vertices = self.slices.iter().enumerate().map(|(at, slice)| {
            let state = u64::from(slice.len) * u64::from(core.formats.neuron_bytes.0);
            // Seven words of synapse parameters, and the left shifts.
            let regions = self.table_bytes(at, core) + 4 * (7 + SYNAPSE_TYPES as u64);
            let is_input = ir.graph.populations[slice.population].role == PopulationRole::Input;
            let sdram_bytes = if is_input { 0 } else { self.synaptic_bytes(at, target) + state + regions };
            Vertex { sdram_bytes, population: slice.population.0, pinned: None }
        });
        let mut problem = Problem::new(vertices.collect());
        let mut sinks: Vec<Vec<u32>> = vec![Vec::new(); self.slices.len()];
        for block in &self.blocks {
            sinks[block.source as usize].push(block.target);
        }
        for (at, (slice, sinks)) in self.slices.iter().zip(sinks).enumerate() {
            let atoms = slice.len << core.formats.colour_bits.0;
            problem.add_net(Net { source: at as u32, atoms, weight: 1 }, sinks);
        }
        problem
    }
}

/// Bits that number `values` things.
pub(super) fn bits_for(values: u32) -> u8 {
    values.max(1).next_power_of_two().trailing_zeros() as u8
}

/// Splits a network.
///
/// # Errors
/// SNN0404 for delays that no ring buffer can hold, SNN0401 for neurons that so many cores send to that the tables do not fit.
pub fn split(ir: &SpinnakerIr, ctx: &mut Ctx<'_>) -> Result<Split, Diagnostics> {
    let core = super::core(ctx);
    let mut sizes = sizes(ir, core)?;
    loop {
        let mut split = Split { slices: Vec::new(), blocks: Vec::new() };
        for ((id, population), (most, delay_bits)) in ir.graph.populations.iter_with_ids().zip(&sizes) {
            split.slices.extend(slices_of(id, population, *most, *delay_bits));
        }
        for (id, projection) in ir.graph.projections.iter_with_ids() {
            split.blocks.extend(blocks(ir, &split, id, projection.source, projection.target));
        }
        split.blocks.sort_unstable_by_key(|block| (block.target, block.source, block.projection));
        let full: Vec<usize> = (0..split.slices.len())
            .filter(|at| ir.graph.populations[split.slices[*at].population].role == PopulationRole::Neurons)
            .filter(|at| split.data_bytes(*at, core) > core.limits.dtcm_bytes.0 || split.onto(*at).len() > BLOCKS_MAX)
            .collect();
        if full.is_empty() {
            return Ok(split);
        }
        let mut problems = Diagnostics::new();
        for at in full {
            let slice = split.slices[at];
            let most = &mut sizes[slice.population.0 as usize].0;
            if slice.len == 1 || split.onto(at).len() > BLOCKS_MAX {
                problems.push(too_much(ir, &split, at, core));
            } else if *most >= slice.len {
                *most = slice.len.div_ceil(2);
            }
        }
        problems.into_result(())?;
    }
}

fn too_much(ir: &SpinnakerIr, split: &Split, at: usize, core: &SpinnakerCore) -> Diagnostic {
    let slice = split.slices[at];
    let population = &ir.graph.populations[slice.population];
    let message = format!(
        "`{}`: neuron {} reads {} blocks of synaptic rows and takes {} bytes of data memory; a core has {} bytes and names {} \
         blocks",
        population.name,
        slice.first,
        split.onto(at).len(),
        split.data_bytes(at, core),
        core.limits.dtcm_bytes.0,
        BLOCKS_MAX
    );
    Diagnostic::error(code::NEURON_FITS_NOWHERE, message).at(population.item.clone())
}

/// Most neurons of a slice of each population, and the bits of its delays.
fn sizes(ir: &SpinnakerIr, core: &SpinnakerCore) -> Result<Vec<(u32, u8)>, Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut sizes = Vec::new();
    for (id, population) in ir.graph.populations.iter_with_ids() {
        let incoming = || ir.graph.projections.iter().filter(|projection| projection.target == id);
        let longest = incoming().map(|projection| projection.delays.max()).max().unwrap_or(1);
        let delay_bits = bits_for(longest);
        let type_bits = bits_for(SYNAPSE_TYPES as u32);
        // A word has 16 bits for target, type and delay; a target has a bit at least.
        let bits = core.limits.ring_buffer_bits.0.min(WORD_BITS);
        let Some(spare) = bits.checked_sub(type_bits + delay_bits).filter(|spare| *spare > 0) else {
            let most = 1_u32 << (bits - type_bits - 1);
            let message =
                format!("`{}`: a delay of {longest} steps; ring buffers hold {most} at most", population.name);
            let item =
                incoming().find(|projection| projection.delays.max() == longest).map(|projection| &projection.item);
            problems
                .push(Diagnostic::error(code::DELAY_TOO_LONG, message).at(item.unwrap_or(&population.item).clone()));
            continue;
        };
        sizes.push((core.limits.neurons.0.min(1 << spare).min(core.limits.row_words.0), delay_bits));
    }
    problems.into_result(sizes).map(|(sizes, _)| sizes)
}

/// Slices of about equal length.
fn slices_of(id: PopulationId, population: &Population, most: u32, delay_bits: u8) -> impl Iterator<Item = Slice> {
    let len = population.len() as u32;
    let count = len.div_ceil(most);
    (0..count).map(move |at| {
        let start = |at: u32| (u64::from(len) * u64::from(at) / u64::from(count)) as u32;
        Slice { population: id, first: start(at), len: start(at + 1) - start(at), delay_bits }
    })
}

fn blocks(ir: &SpinnakerIr, split: &Split, id: ProjectionId, source: PopulationId, target: PopulationId) -> Vec<Block> {
    let (projection, weights) = (&ir.graph.projections[id], &ir.weights[id]);
    let (sources, targets) = (split.of(source), split.of(target));
    let slice_at: Vec<u32> =
        targets.clone().flat_map(|slice| std::iter::repeat_n(slice as u32, split.slices[slice].len as usize)).collect();
    let mut blocks = Vec::new();
    let mut rows = vec![0_u32; targets.len()];
    for slice in sources {
        let Slice { first, len, .. } = split.slices[slice];
        let mut longest = vec![0_u32; targets.len()];
        let mut synapses = vec![0_u64; targets.len()];
        for neuron in first..first + len {
            projection.fan_out(neuron, |synapse| {
                if weights[synapse.weight] != 0 {
                    rows[slice_at[synapse.other as usize] as usize - targets.start] += 1;
                }
            });
            for ((row, longest), synapses) in rows.iter_mut().zip(&mut longest).zip(&mut synapses) {
                *longest = (*longest).max(*row);
                *synapses += u64::from(std::mem::take(row));
            }
        }
        for (at, (row_words, synapses)) in
            longest.into_iter().zip(synapses).enumerate().filter(|(_, (row, _))| *row > 0)
        {
            let target = (targets.start + at) as u32;
            blocks.push(Block { projection: id, source: slice as u32, target, row_words, synapses });
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use snncc_ids::Id;

    #[test]
    fn slices_are_of_about_equal_length() {
        let population = Population {
            name: "a".into(),
            shape: vec![1000],
            role: PopulationRole::Neurons,
            latency_steps: 0,
            item: String::new(),
        };
        let slices: Vec<(u32, u32)> =
            slices_of(PopulationId::new(0), &population, 256, 1).map(|slice| (slice.first, slice.len)).collect();
        assert_eq!(slices, [(0, 250), (250, 250), (500, 250), (750, 250)]);
        assert_eq!([1, 2, 3, 256, 257].map(bits_for), [0, 1, 2, 8, 9]);
    }
}
