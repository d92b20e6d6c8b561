//! Resources of a convolution's tile from its geometry alone.
//!
//! Input rows that reach the same tile rows through the same kernel rows are one *class*; so are columns. Sources of one
//! channel, row class and column class have the same list, so a tile needs one list per input channel and pair of classes.
//! Zero weights and weights that happen to agree only make the real count smaller.

use crate::backend::layout::{block_layout, index_bits};
use crate::backend::{Tile, View};
use snncc_chip::LoihiCore;
use snncc_ids::ProjectionId;
use snncc_image::{SynapseFormat, list_words};
use snncc_ir::ConvolutionGeometry;
use std::ops::Range;

/// Input axons and synapse words of a projection into a tile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProjectionBound {
    pub(crate) axons: u64,
    pub(crate) words: u64,
}

/// Input positions that reach a range of outputs, by the outputs (relative) and kernel elements they reach.
struct Classes {
    /// First and last output, and their number, of each class.
    reach: Vec<(u32, u32, u32)>,
    /// Positions in all classes.
    positions: u64,
}

impl Classes {
    fn new(g: &ConvolutionGeometry, d: usize, outputs: &Range<u32>) -> Self {
        let mut known: Vec<Vec<(u32, u32)>> = Vec::new();
        let mut positions = 0;
        // Positions before and after the window reach nothing.
        let first = (outputs.start * g.stride[d]).saturating_sub(g.padding[d]);
        let end =
            ((outputs.end - 1) * g.stride[d] + (g.kernel[d] - 1) * g.dilation[d] + 1).saturating_sub(g.padding[d]);
        let mut pattern: Vec<(u32, u32)> = Vec::new();
        for position in first..end.min(g.input[d + 1]) {
            pattern.clear();
            let reached = g.reached(d, position).filter(|(output, _)| outputs.contains(output));
            pattern.extend(reached);
            let Some((base, _)) = pattern.first().copied() else { continue };
            positions += 1;
            for (output, _) in &mut pattern {
                *output -= base;
            }
            if !known.contains(&pattern) {
                known.push(pattern.clone());
            }
        }
        let reach = known.iter().map(|pattern| (0, pattern[pattern.len() - 1].0, pattern.len() as u32)).collect();
        Self { reach, positions }
    }
}

/// A bound for a convolution with weights of this format. `uniform`: all its weights are equal.
pub(crate) fn convolution_bound(
    core: &LoihiCore,
    g: &ConvolutionGeometry,
    format: &SynapseFormat,
    uniform: bool,
    tile: &Tile,
) -> ProjectionBound {
    let (rows, columns) = (Classes::new(g, 0, &tile.rows), Classes::new(g, 1, &tile.columns));
    let width = tile.columns.len() as u32;
    let channels = tile.channels.len() as u32;
    let (inputs_per_group, outputs_per_group) = (g.input[0] / g.groups, g.output[0] / g.groups);
    // Groups by how many of their output channels lie in the tile.
    let groups = tile.channels.start / outputs_per_group..tile.channels.end.div_ceil(outputs_per_group);
    let mut kinds: Vec<(u32, u64)> = Vec::new();
    for group in groups.clone() {
        let start = (group * outputs_per_group).max(tile.channels.start);
        let end = ((group + 1) * outputs_per_group).min(tile.channels.end);
        match kinds.iter_mut().find(|(len, _)| *len == end - start) {
            Some((_, count)) => *count += 1,
            None => kinds.push((end - start, 1)),
        }
    }
    let span = |row: &(u32, u32, u32), column: &(u32, u32, u32), held: u32| {
        ((row.1 - row.0) * width + column.1 - column.0) * channels + held
    };
    let mut widest = 0;
    for row in &rows.reach {
        for column in &columns.reach {
            widest = kinds.iter().map(|(held, _)| span(row, column, *held)).fold(widest, u32::max);
        }
    }
    let block = block_layout(core);
    let dense = SynapseFormat { index_bits: None, ..*format };
    let sparse = SynapseFormat { index_bits: Some(index_bits(core, widest.saturating_sub(1))), ..*format };
    let mut words = 0;
    for row in &rows.reach {
        for column in &columns.reach {
            for (held, count) in &kinds {
                let entries = (row.2 * column.2 * held) as usize;
                let list = list_words(block, &dense, span(row, column, *held) as usize)
                    .min(list_words(block, &sparse, entries)) as u64;
                words += if uniform { list } else { list * count * u64::from(inputs_per_group) };
            }
        }
    }
    let axons = groups.len() as u64 * u64::from(inputs_per_group) * rows.positions * columns.positions;
    ProjectionBound { axons, words }
}

/// An estimate for projections other than convolutions.
pub(crate) fn other_estimate(
    view: &View<'_>,
    core: &LoihiCore,
    id: ProjectionId,
    format: &SynapseFormat,
    neurons: u64,
) -> ProjectionBound {
    let projection = view.projection(id);
    let per_neuron = projection.synapse_count().div_ceil(u64::from(projection.target_len).max(1));
    let axons = u64::from(projection.source_len).min(neurons * per_neuron);
    let entries = (neurons * per_neuron).div_ceil(axons.max(1));
    let words = list_words(block_layout(core), &SynapseFormat { index_bits: None, ..*format }, entries as usize);
    ProjectionBound { axons, words: axons * words as u64 }
}
