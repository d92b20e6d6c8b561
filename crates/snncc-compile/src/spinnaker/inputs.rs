//! Where populations are cut into slices.
//!
//! Slices of neurons are of about equal length. A packet goes to all cores that anything of its slice reaches, so where elements of an
//! input have few synapses each, its slices end where slices of their targets do, if that takes few cores more.

use super::split::parts;
use snncc_ids::{Id, PopulationId};
use snncc_ir::{Graph, PopulationRole, Projection};
use std::ops::Range;

/// Synapses of an element, on average, up to which slices of an input follow those of its targets.
const FEW_SYNAPSES: u64 = 4;
/// One core more for each so many is worth it.
const CORES_PER_CORE: usize = 8;

/// The slices of a population; `sizes` gives the most neurons of a slice of each.
pub(super) fn parts_of(graph: &Graph, id: PopulationId, sizes: &[(u32, u8)]) -> Vec<Range<u32>> {
    let population = &graph.populations[id];
    let (len, most) = (population.len() as u32, sizes[id.index()].0);
    let equal: Vec<Range<u32>> = parts(len, most).collect();
    let projections: Vec<&Projection> = graph.projections.iter().filter(|projection| projection.source == id).collect();
    let synapses: u64 = projections.iter().map(|projection| projection.synapse_count()).sum();
    if population.role != PopulationRole::Input || equal.len() <= 1 || synapses > FEW_SYNAPSES * u64::from(len) {
        return equal;
    }
    let ends = changes(graph, &projections, len, sizes);
    let mut aligned = Vec::with_capacity(equal.len());
    let mut start = 0;
    while start < len {
        let limit = len.min(start.saturating_add(most));
        let within = ends[..ends.partition_point(|end| *end <= limit)].last();
        let end = within.copied().filter(|end| *end > start).unwrap_or(limit);
        aligned.push(start..end);
        start = end;
    }
    if aligned.len() <= equal.len() + equal.len().div_ceil(CORES_PER_CORE) { aligned } else { equal }
}

/// Elements before which the slices that are reached change, and the end.
fn changes(graph: &Graph, projections: &[&Projection], len: u32, sizes: &[(u32, u8)]) -> Vec<u32> {
    let ends: Vec<Vec<u32>> = (projections.iter())
        .map(|projection| {
            let target = projection.target;
            parts(graph.populations[target].len() as u32, sizes[target.index()].0).map(|part| part.end).collect()
        })
        .collect();
    let mut before: Vec<(usize, usize)> = Vec::new();
    let (mut reached, mut changes) = (Vec::new(), Vec::new());
    for element in 0..len {
        reached.clear();
        for (at, (projection, ends)) in projections.iter().zip(&ends).enumerate() {
            projection.fan_out(element, |synapse| {
                reached.push((at, ends.partition_point(|end| *end <= synapse.other)));
            });
        }
        reached.sort_unstable();
        reached.dedup();
        if element > 0 && reached != before {
            changes.push(element);
        }
        std::mem::swap(&mut before, &mut reached);
    }
    changes.push(len);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use snncc_ir::{Connectivity, Delays, Population};

    #[test]
    fn slices_of_inputs_follow_their_targets() {
        let population = |name: &str, len, role| Population {
            name: name.into(),
            shape: vec![len],
            role,
            latency_steps: 0,
            item: String::new(),
        };
        let graph = |connectivity| Graph {
            populations: vec![
                population("in", 1000, PopulationRole::Input),
                population("n", 1000, PopulationRole::Neurons),
            ]
            .into(),
            projections: vec![Projection {
                name: String::new(),
                source: PopulationId::new(0),
                target: PopulationId::new(1),
                source_len: 1000,
                target_len: 1000,
                connectivity,
                delays: Delays::Uniform(1),
                item: String::new(),
            }]
            .into(),
        };
        let starts = |connectivity, most| -> Vec<u32> {
            let parts = parts_of(&graph(connectivity), PopulationId::new(0), &[(256, 0), (most, 0)]);
            parts.iter().map(|part| part.start).collect()
        };
        let one_to_one = || Connectivity::OneToOne { shared: true };
        // Targets are cut at 0, 111, 222, 333, 444 …: two of them fit a slice.
        assert_eq!(starts(one_to_one(), 120), [0, 222, 444, 666, 888]);
        // Cuts at 166, 333, 500, 666, 833 would take six cores instead of four.
        assert_eq!(starts(one_to_one(), 170), [0, 250, 500, 750]);
        assert_eq!(starts(Connectivity::Dense, 120), [0, 250, 500, 750]);
    }
}
