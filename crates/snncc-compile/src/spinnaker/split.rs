//! Slices of populations, one for each core, the delay extensions beside them, and the blocks of synaptic rows between them.
//!
//! A slice is as large as its memories allow: ring buffers, rows of at most so many words, the neurons' state. A block holds the
//! synapses of one projection from one core to another, a row for each source, all rows of one length. A delay that is longer than
//! the ring buffers of its target is held by a delay extension of the source for part of the way ([`super::delays`]).
//!
//! **Invariant:** every synapse that is not 0 is in exactly one block.

use super::delays::{self, extension_bytes};
use super::inputs;
use crate::Ctx;
use rayon::prelude::*;
use snncc_chip::{SpinnakerCore, Target};
use snncc_ids::{Diagnostic, Diagnostics, PopulationId, ProjectionId, code};
use snncc_ir::spinnaker::SYNAPSE_TYPES;
use snncc_ir::{Graph, PopulationRole};
use snncc_multicast::{Net, Problem, Vertex};
use std::ops::Range;

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
    /// Bits of the delay field: there are `2^bits` slots. All slices of a population have the same.
    pub delay_bits: u8,
    /// Whether its core has bit fields that tell empty rows.
    pub filters: bool,
}

/// A core that sends the spikes of a slice again, `2^delay_bits` steps later for each stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extension {
    /// The slice.
    pub source: u32,
    /// Bits of the steps of a stage: those of the targets' delay field.
    pub delay_bits: u8,
    /// First neuron of the slice that it serves.
    pub first: u32,
    /// Number of neurons.
    pub len: u32,
    /// Number of stages. Stage `s`, from 1, of neuron `i` is source `(s − 1) · len + i`.
    pub stages: u32,
}

/// The synapses of a projection from one core to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The projection.
    pub projection: ProjectionId,
    /// Source: a slice, or beyond them an extension.
    pub source: u32,
    /// Target slice.
    pub target: u32,
    /// Synapse words of its longest row.
    pub row_words: u32,
    /// Rows that are not empty.
    pub filled: u32,
    /// Synapses.
    pub synapses: u64,
}

/// A split network. A *vertex* is what one core runs: slices come first, then extensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Slices, by population.
    pub slices: Vec<Slice>,
    /// Delay extensions, in their order.
    pub extensions: Vec<Extension>,
    /// For each extension bits of the sources that any synapse reads.
    pub sent: Vec<Vec<u32>>,
    /// Blocks, by target slice, then by source, then by projection.
    pub blocks: Vec<Block>,
}

impl Split {
    /// Slices of a population.
    pub fn of(&self, population: PopulationId) -> Range<usize> {
        let first = self.slices.partition_point(|slice| slice.population < population);
        let end = self.slices.partition_point(|slice| slice.population <= population);
        first..end
    }

    /// Number of delay extensions of a population.
    pub fn extensions_behind(&self, population: PopulationId) -> usize {
        let slices = self.of(population);
        self.extensions.iter().filter(|extension| slices.contains(&(extension.source as usize))).count()
    }

    /// Number of vertices.
    pub fn vertices(&self) -> usize {
        self.slices.len() + self.extensions.len()
    }

    /// The slice that a vertex is, or whose spikes it sends again.
    pub fn slice_of(&self, vertex: usize) -> &Slice {
        match vertex.checked_sub(self.slices.len()) {
            Some(extension) => &self.slices[self.extensions[extension].source as usize],
            None => &self.slices[vertex],
        }
    }

    /// Number of sources of a vertex, each with a key.
    pub fn sources(&self, vertex: usize) -> u32 {
        match vertex.checked_sub(self.slices.len()) {
            Some(extension) => self.extensions[extension].len * self.extensions[extension].stages,
            None => self.slices[vertex].len,
        }
    }

    /// Extensions of a slice, by number, whose stages have this length.
    fn extensions_of(&self, slice: usize, delay_bits: u8) -> Range<usize> {
        let key = |extension: &Extension| (extension.source as usize, extension.delay_bits);
        let first = self.extensions.partition_point(|extension| key(extension) < (slice, delay_bits));
        let end = self.extensions.partition_point(|extension| key(extension) <= (slice, delay_bits));
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
            words * u64::from(self.sources(block.source as usize)) * 4
        };
        // Blocks begin at multiples of 16 bytes.
        self.onto(slice).iter().map(|block| bytes(block).next_multiple_of(16)).sum()
    }

    /// Bytes of the master population table of a core, with its bit fields.
    fn table_bytes(&self, slice: usize, core: &SpinnakerCore) -> u64 {
        let (blocks, formats) = (self.onto(slice), &core.formats);
        let sender = |blocks: &[Block]| {
            let words = if self.slices[slice].filters {
                self.sources(blocks[0].source as usize).div_ceil(u32::BITS)
            } else {
                0
            };
            u64::from(formats.population_entry_bytes.0) + u64::from(words) * 4
        };
        let senders: u64 = blocks.chunk_by(|a, b| a.source == b.source).map(sender).sum();
        senders + blocks.len() as u64 * u64::from(formats.address_item_bytes.0) + 8
    }

    /// Data memory of the core of a vertex. With neurons: their state, ring buffers (2 bytes a slot), two buffers for the longest
    /// row, population table with bit fields, waiting spikes (4 bytes each).
    pub fn data_bytes(&self, vertex: usize, core: &SpinnakerCore) -> u64 {
        if let Some(extension) = vertex.checked_sub(self.slices.len()) {
            let Extension { len, stages, delay_bits, .. } = self.extensions[extension];
            return extension_bytes(len, stages, delay_bits, core);
        }
        let Slice { len, delay_bits, .. } = self.slices[vertex];
        let slots = 1_u64 << (bits_for(len).max(1) + bits_for(SYNAPSE_TYPES as u32) + delay_bits);
        let formats = &core.formats;
        let rows = self.onto(vertex).iter().map(|block| formats.row_header_words.0 + block.row_words.max(1));
        let row_buffers = 2 * 4 * u64::from(rows.max().unwrap_or(0));
        let spikes = u64::from(core.limits.incoming_spikes.0) * 4;
        let state = u64::from(len) * u64::from(formats.neuron_bytes.0);
        state + slots * 2 + row_buffers + self.table_bytes(vertex, core) + spikes
    }

    /// Cores and nets for the mapper, one of each for every vertex.
    pub(super) fn problem(&self, graph: &Graph, target: &Target) -> Problem {
        let core = target.model.spinnaker().expect("bug in snncc: no SpiNNaker-like target");
        let vertices = (0..self.vertices()).map(|vertex| {
            let slice = self.slice_of(vertex);
            let is_input = graph.populations[slice.population].role == PopulationRole::Input;
            let sdram_bytes = if vertex >= self.slices.len() {
                delays::extension_words(self.sources(vertex)) * 4
            } else if is_input {
                0
            } else {
                let state = u64::from(slice.len) * u64::from(core.formats.neuron_bytes.0);
                // Seven words of synapse parameters, and the left shifts.
                let regions = self.table_bytes(vertex, core) + 4 * (7 + SYNAPSE_TYPES as u64);
                self.synaptic_bytes(vertex, target) + state + regions
            };
            Vertex { sdram_bytes, population: slice.population.0, pinned: None }
        });
        let mut problem = Problem::new(vertices.collect());
        let mut sinks: Vec<Vec<u32>> = vec![Vec::new(); self.vertices()];
        for block in &self.blocks {
            sinks[block.source as usize].push(block.target);
        }
        for (vertex, extension) in (self.slices.len()..).zip(&self.extensions) {
            sinks[extension.source as usize].push(vertex as u32);
        }
        for (vertex, sinks) in sinks.into_iter().enumerate() {
            let atoms = self.sources(vertex) << core.formats.colour_bits.0;
            problem.add_net(Net { source: vertex as u32, atoms, weight: 1 }, sinks);
        }
        problem
    }

    /// Counts the blocks anew, for weights of which no more are occupied than when the network was split.
    pub(super) fn recount(&mut self, graph: &Graph, occupied: impl Fn(ProjectionId, usize) -> bool + Sync) {
        let ids: Vec<ProjectionId> = graph.projections.ids().collect();
        let counted: Vec<Counted> = ids.into_par_iter().map(|id| self.count(graph, id, &occupied)).collect();
        let words = |extension: &Extension| (extension.len * extension.stages).div_ceil(u32::BITS) as usize;
        self.sent = self.extensions.iter().map(|extension| vec![0; words(extension)]).collect();
        self.blocks.clear();
        for Counted { blocks, sent } in counted {
            self.blocks.extend(blocks);
            for (extension, source) in sent {
                self.sent[extension as usize][(source / u32::BITS) as usize] |= 1 << (source % u32::BITS);
            }
        }
        self.blocks.sort_unstable_by_key(|block| (block.target, block.source, block.projection));
    }

    /// The blocks of a projection.
    fn count(&self, graph: &Graph, id: ProjectionId, occupied: impl Fn(ProjectionId, usize) -> bool) -> Counted {
        let projection = &graph.projections[id];
        let targets = self.of(projection.target);
        let slice_at: Vec<u32> = (0_u32..)
            .zip(&self.slices[targets.clone()])
            .flat_map(|(at, slice)| std::iter::repeat_n(at, slice.len as usize))
            .collect();
        let delay_bits = self.slices[targets.start].delay_bits;
        let stages = ((projection.delays.max().max(1) - 1) >> delay_bits) as usize + 1;
        // Words in each row of a source neuron, by stage and target slice, and which there are.
        let mut rows = vec![0_u32; stages * targets.len()];
        let mut touched = Vec::new();
        let mut counted = Counted::default();
        for slice in self.of(projection.source) {
            let extensions = self.extensions_of(slice, delay_bits);
            let mut blocks = vec![Block::none(id); (1 + extensions.len()) * targets.len()];
            for at in 0..self.slices[slice].len {
                let neuron = self.slices[slice].first + at;
                projection.fan_out(neuron, |synapse| {
                    if occupied(id, synapse.weight) {
                        let stage = (projection.delays.get(neuron, synapse.weight) - 1) >> delay_bits;
                        let row = stage as usize * targets.len() + slice_at[synapse.other as usize] as usize;
                        if rows[row] == 0 {
                            touched.push(row);
                        }
                        rows[row] += 1;
                    }
                });
                for row in touched.drain(..) {
                    let (stage, target) = ((row / targets.len()) as u32, row % targets.len());
                    let words = std::mem::take(&mut rows[row]);
                    let (from, source) = if stage == 0 {
                        (0, slice as u32)
                    } else {
                        let serves = |extension: &usize| {
                            let Extension { first, len, .. } = self.extensions[*extension];
                            (first..first + len).contains(&at)
                        };
                        let extension =
                            extensions.clone().find(serves).expect("bug in snncc: a delay without extension");
                        let Extension { first, len, stages, .. } = self.extensions[extension];
                        assert!(stage <= stages, "bug in snncc: a delay beyond its extension");
                        counted.sent.push((extension as u32, (stage - 1) * len + at - first));
                        (1 + extension - extensions.start, (self.slices.len() + extension) as u32)
                    };
                    let block = &mut blocks[from * targets.len() + target];
                    (block.source, block.target) = (source, (targets.start + target) as u32);
                    block.row_words = block.row_words.max(words);
                    block.filled += 1;
                    block.synapses += u64::from(words);
                }
            }
            counted.blocks.extend(blocks.into_iter().filter(|block| block.filled > 0));
        }
        counted
    }
}

/// Blocks of a projection, and the sources of extensions that it reads.
#[derive(Default)]
struct Counted {
    blocks: Vec<Block>,
    sent: Vec<(u32, u32)>,
}

impl Block {
    fn none(projection: ProjectionId) -> Self {
        Self { projection, source: 0, target: 0, row_words: 0, filled: 0, synapses: 0 }
    }
}

/// Bits that number `values` things.
pub(super) fn bits_for(values: u32) -> u8 {
    (u32::BITS - (values.max(1) - 1).leading_zeros()) as u8
}

/// Splits a network. `occupied` says which weights have a synapse.
///
/// # Errors
/// SNN0404 for delays that neither ring buffers nor delay extensions can hold, SNN0401 for neurons that so many cores send to that
/// the tables do not fit.
pub fn split(
    graph: &Graph,
    occupied: impl Fn(ProjectionId, usize) -> bool + Sync,
    ctx: &Ctx<'_>,
) -> Result<Split, Diagnostics> {
    let core = super::core(ctx);
    let mut sizes = delays::sizes(graph, core)?;
    loop {
        let slices = graph.populations.ids().zip(&sizes).flat_map(|(id, (_, delay_bits))| {
            inputs::parts_of(graph, id, &sizes).into_iter().map(move |part| Slice {
                population: id,
                first: part.start,
                len: part.end - part.start,
                delay_bits: *delay_bits,
                filters: false,
            })
        });
        let slices = slices.collect();
        let mut split = Split { slices, extensions: Vec::new(), sent: Vec::new(), blocks: Vec::new() };
        split.extensions = delays::extensions(graph, &split, &occupied, core);
        split.recount(graph, &occupied);
        for slice in 0..split.slices.len() {
            let has_empty = |block: &Block| block.filled < split.sources(block.source as usize);
            split.slices[slice].filters = split.onto(slice).iter().any(has_empty);
        }
        let full: Vec<usize> = (0..split.slices.len())
            .filter(|at| graph.populations[split.slices[*at].population].role == PopulationRole::Neurons)
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
                problems.push(too_much(graph, &split, at, core));
            } else if *most >= slice.len {
                *most = slice.len.div_ceil(2);
            }
        }
        problems.into_result(())?;
    }
}

fn too_much(graph: &Graph, split: &Split, at: usize, core: &SpinnakerCore) -> Diagnostic {
    let slice = split.slices[at];
    let population = &graph.populations[slice.population];
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

/// Cuts `len` things into as few parts of about equal length as there can be of at most `most`.
pub(super) fn parts(len: u32, most: u32) -> impl Iterator<Item = Range<u32>> {
    let count = len.div_ceil(most);
    let start = move |at: u32| (u64::from(len) * u64::from(at) / u64::from(count)) as u32;
    (0..count).map(move |at| start(at)..start(at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_about_equal_length() {
        assert_eq!(parts(1000, 256).collect::<Vec<_>>(), [0..250, 250..500, 500..750, 750..1000]);
        assert_eq!([1, 2, 3, 256, 257, u32::MAX].map(bits_for), [0, 1, 2, 8, 9, 32]);
    }
}
