//! Tiles of a convolution: boxes of channels, rows and columns that each fill a core.
//!
//! All cuts into (nearly) equal channels × rows × columns are judged by the backend's closed form; the one with the fewest
//! tiles wins, and among those the one with the fewest input axons. Within a tile neurons are ordered (row, column, channel),
//! so that sources in its interior have the same synapse list.

use crate::backend::{Backend, Resource, Tile, View};
use snncc_ids::PopulationId;
use snncc_ir::Connectivity;
use std::ops::Range;

/// Neurons of each tile in the order of their compartments; `None` if no convolution enters the population. `least` is the
/// least number of tiles wanted.
pub(crate) fn tiles<B: Backend>(
    view: &View<'_>,
    backend: &B,
    population: PopulationId,
    least: u32,
) -> Option<Vec<Vec<u32>>> {
    let output = view.incoming(population).iter().find_map(|id| match &view.projection(*id).connectivity {
        Connectivity::Convolution(g) => Some(g.output),
        _ => None,
    })?;
    let cuts = best_cuts(backend, population, output, least)?;
    let [_, height, width] = output;
    let mut tiles = Vec::new();
    for rows in parts(output[1], cuts[1]) {
        for columns in parts(output[2], cuts[2]) {
            for channels in parts(output[0], cuts[0]) {
                let mut neurons = Vec::with_capacity(rows.len() * columns.len() * channels.len());
                for y in rows.clone() {
                    for x in columns.clone() {
                        neurons.extend(channels.clone().map(|channel| (channel * height + y) * width + x));
                    }
                }
                tiles.push(neurons);
            }
        }
    }
    Some(tiles)
}

/// Part `number` of `count` nearly equal parts of `0..len`.
fn part(len: u32, count: u32, number: u32) -> Range<u32> {
    let at = |number: u32| (u64::from(len) * u64::from(number) / u64::from(count)) as u32;
    at(number)..at(number + 1)
}

fn parts(len: u32, count: u32) -> impl Iterator<Item = Range<u32>> {
    (0..count).map(move |number| part(len, count, number))
}

/// Numbers of parts worth trying: those that make the largest part smaller than one part less would.
fn part_counts(len: u32) -> Vec<u32> {
    let mut counts: Vec<u32> = Vec::new();
    for count in 1..=len {
        if counts.last().is_none_or(|last| len.div_ceil(*last) > len.div_ceil(count)) {
            counts.push(count);
        }
    }
    counts
}

/// Number of parts along channels, rows, columns. `None` if even single neurons are judged too large: the closed form is a
/// bound, and the exact count may find otherwise.
fn best_cuts<B: Backend>(backend: &B, population: PopulationId, output: [u32; 3], least: u32) -> Option<[u32; 3]> {
    let limits = backend.limits();
    let mut best: Option<(u64, u64, [u32; 3])> = None;
    let column_counts = part_counts(output[2]);
    for channels in part_counts(output[0]) {
        for rows in part_counts(output[1]) {
            for columns in &column_counts {
                let cuts = [channels, rows, *columns];
                let tiles = cuts.iter().map(|cuts| u64::from(*cuts)).product::<u64>();
                if best.is_some_and(|(fewest, ..)| tiles > fewest) {
                    break;
                }
                // The largest part of a nearly equal cut lies wherever rounding puts it; the middle is away from borders,
                // where a tile has the most sources.
                let largest = |d: usize| {
                    let middle = part(output[d], cuts[d], cuts[d] / 2);
                    let missing = output[d].div_ceil(cuts[d]) - middle.len() as u32;
                    if middle.end + missing <= output[d] {
                        middle.start..middle.end + missing
                    } else {
                        middle.start - missing..middle.end
                    }
                };
                let tile = Tile { channels: largest(0), rows: largest(1), columns: largest(2) };
                if tiles < u64::from(least) || tile.len() > backend.compartments_per_core() {
                    continue;
                }
                let used = backend.tile_use(population, &tile);
                if limits.check(&used).is_err() {
                    continue;
                }
                let axons = tiles * used.get(Resource::InAxons);
                if best.is_none_or(|(fewest, fewest_axons, _)| (tiles, axons) < (fewest, fewest_axons)) {
                    best = Some((tiles, axons, cuts));
                }
                break;
            }
        }
    }
    best.map(|(_, _, cuts)| cuts)
}
