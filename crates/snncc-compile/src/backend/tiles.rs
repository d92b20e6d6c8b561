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

/// Input positions that reach the same outputs (relative to the first) through the same kernel elements.
struct Class {
    /// Last output reached, from the first.
    last: u32,
    /// Outputs reached.
    outputs: u32,
    /// Input positions.
    positions: u64,
}

/// Which lists of a convolution are equal, beyond those that must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Those of positions of one class.
    ByClass,
    /// Those of all channels as well: all weights are equal.
    AcrossChannels,
    /// None: each source has a delay of its own.
    None,
}

/// Classes of the positions along dimension `d` that reach a range of outputs.
fn classes(g: &ConvolutionGeometry, d: usize, outputs: &Range<u32>) -> Vec<Class> {
    let mut known: Vec<(Vec<(u32, u32)>, u64)> = Vec::new();
    // Positions before and after the window reach nothing.
    let first = (outputs.start * g.stride[d]).saturating_sub(g.padding[d]);
    let end = ((outputs.end - 1) * g.stride[d] + (g.kernel[d] - 1) * g.dilation[d] + 1).saturating_sub(g.padding[d]);
    let mut pattern: Vec<(u32, u32)> = Vec::new();
    for position in first..end.min(g.input[d + 1]) {
        pattern.clear();
        pattern.extend(g.reached(d, position).filter(|(output, _)| outputs.contains(output)));
        let Some((base, _)) = pattern.first().copied() else { continue };
        for (output, _) in &mut pattern {
            *output -= base;
        }
        match known.iter_mut().find(|(other, _)| *other == pattern) {
            Some((_, positions)) => *positions += 1,
            None => known.push((pattern.clone(), 1)),
        }
    }
    let class = |(pattern, positions): &(Vec<(u32, u32)>, u64)| Class {
        last: pattern[pattern.len() - 1].0,
        outputs: pattern.len() as u32,
        positions: *positions,
    };
    known.iter().map(class).collect()
}

/// A bound for a convolution with weights of this format.
pub(crate) fn convolution_bound(
    core: &LoihiCore,
    g: &ConvolutionGeometry,
    format: &SynapseFormat,
    sharing: Sharing,
    tile: &Tile,
) -> ProjectionBound {
    let (rows, columns) = (classes(g, 0, &tile.rows), classes(g, 1, &tile.columns));
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
    let span = |row: &Class, column: &Class, held: u32| (row.last * width + column.last) * channels + held;
    let mut widest = 0;
    for row in &rows {
        for column in &columns {
            widest = kinds.iter().map(|(held, _)| span(row, column, *held)).fold(widest, u32::max);
        }
    }
    let block = block_layout(core);
    let dense = SynapseFormat { index_bits: None, ..*format };
    let sparse = SynapseFormat { index_bits: Some(index_bits(core, widest.saturating_sub(1))), ..*format };
    let mut words = 0;
    for row in &rows {
        for column in &columns {
            for (held, count) in &kinds {
                let entries = (row.outputs * column.outputs * held) as usize;
                let list = list_words(block, &dense, span(row, column, *held) as usize)
                    .min(list_words(block, &sparse, entries)) as u64;
                let sources = count * u64::from(inputs_per_group);
                words += match sharing {
                    Sharing::ByClass => list * sources,
                    Sharing::AcrossChannels => list,
                    Sharing::None => list * sources * row.positions * column.positions,
                };
            }
        }
    }
    let positions = |classes: &[Class]| classes.iter().map(|class| class.positions).sum::<u64>();
    let axons = groups.len() as u64 * u64::from(inputs_per_group) * positions(&rows) * positions(&columns);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::networks::generator::Rng;
    use crate::backend::networks::random_network;
    use crate::backend::{Backend, Part, Resource, backend};
    use snncc_ir::Connectivity;

    /// Over random convolutions and tiles, the closed form is never below the exact count, and often equal to it.
    #[test]
    fn the_closed_form_bounds_the_exact_count() {
        let target = snncc_chip::target("loihi-emu").unwrap();
        let (mut tiles, mut equal) = (0, 0);
        for seed in 0..400 {
            let mut rng = Rng(seed);
            let ir = random_network(&mut rng);
            let view = View::new(&ir);
            let backend = backend(&view, &target);
            for population in view.neuron_populations() {
                let incoming = view.incoming(population);
                let [id] = incoming else { continue };
                let Connectivity::Convolution(g) = &view.projection(*id).connectivity else { continue };
                let mut range = |len: u32| {
                    let start = rng.range(0, u64::from(len) - 1) as u32;
                    start..rng.range(u64::from(start) + 1, u64::from(len)) as u32
                };
                let tile = Tile { channels: range(g.output[0]), rows: range(g.output[1]), columns: range(g.output[2]) };
                let mut neurons = Vec::new();
                for y in tile.rows.clone() {
                    for x in tile.columns.clone() {
                        let at = |channel| (channel * g.output[1] + y) * g.output[2] + x;
                        neurons.extend(tile.channels.clone().map(at));
                    }
                }
                let (bound, exact) = (
                    backend.tile_use(population, &tile),
                    backend.count(&[Part { population, neurons: &neurons }]).used,
                );
                for resource in [Resource::Compartments, Resource::InAxons, Resource::SynapseWords] {
                    let (bound, exact) = (bound.get(resource), exact.get(resource));
                    assert!(bound >= exact, "seed {seed}, {tile:?} of {g:?}: {} {bound} < {exact}", resource.name());
                }
                tiles += 1;
                equal += u32::from(bound.get(Resource::InAxons) == exact.get(Resource::InAxons));
            }
        }
        assert!(tiles > 50 && equal * 2 > tiles, "{equal} of {tiles}");
    }
}
