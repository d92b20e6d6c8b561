//! Packing as an integer program, for small instances: fewer cores than greedy packing found, or the certainty that there is
//! no such packing of these chunks.
//!
//! `x[c,k]` is 1 if chunk `c` sits on core `k`, `y[g,k]` if core `k` has axons of source group `g` (sources that listen-in on
//! the same chunks). Compartments and words add up; axons are `Σ size(g) · y[g,k]`, exact for distinct sources. A solution is
//! counted exactly before it is taken. The size of the instance is limited, never the time.

use crate::backend::{Backend, Resource};
use crate::partition::chunks::{Bin, Chunk, Rules};
use good_lp::{Expression, ProblemVariables, Solution, SolverModel, Variable, constraint, microlp, variable};
use snncc_chip::Limit;
use std::collections::BTreeMap;

/// Most chunks times cores of an instance.
const MOST_PLACEMENTS: usize = 36;
/// Most groups of sources.
const MOST_GROUPS: usize = 16;

/// A packing of the chunks onto fewer than `cores` cores, if there is one and the instance is small.
pub(crate) fn pack<B: Backend>(rules: &Rules<'_, B>, chunks: &[Chunk], cores: usize) -> Option<Vec<Bin>> {
    let mut fewest = None;
    for cores in (least_cores(rules, chunks)..cores).rev() {
        match solve(rules, chunks, cores) {
            Some(bins) => fewest = Some(bins),
            None => break,
        }
    }
    fewest
}

/// A bound from what adds up in this model.
fn least_cores<B: Backend>(rules: &Rules<'_, B>, chunks: &[Chunk]) -> usize {
    let sum = |resource| chunks.iter().map(|chunk| chunk.count.used.get(resource)).sum::<u64>();
    let by_compartments = sum(Resource::Compartments).div_ceil(rules.backend.compartments_per_core() as u64);
    let by_words = sum(Resource::SynapseWords).div_ceil(rules.limits().get(Resource::SynapseWords).max());
    by_compartments.max(by_words).max(1) as usize
}

/// Sources by the chunks that have them: (chunks, number of sources).
fn groups(chunks: &[Chunk]) -> Vec<(Vec<usize>, u64)> {
    let mut by_source: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (number, chunk) in chunks.iter().enumerate() {
        for source in &chunk.count.sources {
            by_source.entry(*source).or_default().push(number);
        }
    }
    let mut sizes: BTreeMap<Vec<usize>, u64> = BTreeMap::new();
    for chunks in by_source.into_values() {
        *sizes.entry(chunks).or_default() += 1;
    }
    sizes.into_iter().collect()
}

fn solve<B: Backend>(rules: &Rules<'_, B>, chunks: &[Chunk], cores: usize) -> Option<Vec<Bin>> {
    if chunks.len() * cores > MOST_PLACEMENTS {
        return None;
    }
    let groups = groups(chunks);
    if groups.len() > MOST_GROUPS {
        return None;
    }
    let mut variables = ProblemVariables::new();
    // Chunk `c` sits on one of the first `c + 1` cores: cores are interchangeable.
    let x: Vec<Vec<Variable>> = (0..chunks.len())
        .map(|chunk| (0..cores.min(chunk + 1)).map(|_| variables.add(variable().binary())).collect())
        .collect();
    let y: Vec<Vec<Variable>> =
        groups.iter().map(|_| (0..cores).map(|_| variables.add(variable().min(0.0).max(1.0))).collect()).collect();
    let sum = |terms: &mut dyn Iterator<Item = (f64, Variable)>| -> Expression {
        terms.map(|(factor, variable)| factor * variable).sum()
    };
    // Fewest messages among packings of this size: each group of sources once per core that it reaches.
    let objective = sum(&mut groups.iter().zip(&y).flat_map(|((_, size), row)| row.iter().map(|y| (*size as f64, *y))));
    let mut model = variables.minimise(objective).using(microlp);
    for row in &x {
        model.add_constraint(constraint!(sum(&mut row.iter().map(|x| (1.0, *x))) == 1.0));
    }
    let compartments = Limit::AtMost(rules.backend.compartments_per_core() as u64);
    let words = rules.limits().get(Resource::SynapseWords);
    let axons = rules.limits().get(Resource::InAxons);
    for core in 0..cores {
        for (resource, limit) in [(Resource::Compartments, compartments), (Resource::SynapseWords, words)] {
            let Limit::AtMost(limit) = limit else { continue };
            let used = |chunk: usize| chunks[chunk].count.used.get(resource) as f64 / limit as f64;
            let mut terms = x.iter().enumerate().filter_map(|(chunk, row)| Some((used(chunk), *row.get(core)?)));
            model.add_constraint(constraint!(sum(&mut terms) <= 1.0));
        }
        for ((members, _), row) in groups.iter().zip(&y) {
            for x in members.iter().filter_map(|chunk| x[*chunk].get(core)) {
                model.add_constraint(constraint!(row[core] >= *x));
            }
        }
        if let Limit::AtMost(limit) = axons {
            let mut terms = groups.iter().zip(&y).map(|((_, size), row)| (*size as f64 / limit as f64, row[core]));
            model.add_constraint(constraint!(sum(&mut terms) <= 1.0));
        }
        for (a, first) in chunks.iter().enumerate() {
            for (b, second) in chunks.iter().enumerate().skip(a + 1) {
                let apart = !rules.may_join(&Bin::new(first), second.part.population);
                if let (true, Some(a), Some(b)) = (apart, x[a].get(core), x[b].get(core)) {
                    model.add_constraint(constraint!(*a + *b <= 1.0));
                }
            }
        }
    }
    let solution = model.solve().ok()?;
    let mut bins: Vec<Bin> = Vec::new();
    for core in 0..cores {
        let mut bin: Option<Bin> = None;
        for (row, chunk) in x.iter().zip(chunks) {
            if row.get(core).is_some_and(|x| solution.value(*x) > 0.5) {
                bin = Some(match bin {
                    None => Bin::new(chunk),
                    Some(bin) => rules.joined(&bin, &chunk.part).ok()?,
                });
            }
        }
        bins.extend(bin);
    }
    Some(bins)
}
