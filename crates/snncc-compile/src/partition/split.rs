//! Each population alone: an order of its neurons, cut into chunks that fill cores.

use crate::backend::{Backend, CoreCount, Part, Resource, View};
use crate::partition::chunks::{Chunk, OwnedPart};
use crate::partition::request::Request;
use crate::partition::{PopulationCores, overlap, populations, tiles};
use rayon::prelude::*;
use snncc_chip::Limit;
use snncc_ids::{IdVec, PopulationId};

/// All populations in chunks.
pub(crate) struct Chunked {
    /// Chunks, by population.
    pub(crate) chunks: Vec<Chunk>,
    /// What each population takes alone.
    pub(crate) population_cores: IdVec<PopulationId, Option<PopulationCores>>,
}

/// Cuts every population into chunks that each fit on a core. Pinned neurons are chunks of their own, fitting or not.
pub(crate) fn split<B: Backend>(view: &View<'_>, backend: &B, request: &Request) -> Chunked {
    let mut chunked = Chunked { chunks: Vec::new(), population_cores: (0..populations(view)).map(|_| None).collect() };
    for population in view.neuron_populations() {
        let first = chunked.chunks.len();
        let mut free = vec![true; view.population(population).len()];
        for pin in request.pins.iter().filter(|pin| pin.population == population) {
            let neurons: Vec<u32> = pin.neurons.clone().collect();
            free[pin.neurons.start as usize..pin.neurons.end as usize].fill(false);
            let count = backend.count(&[Part { population, neurons: &neurons }]);
            chunked.chunks.push(Chunk { part: OwnedPart { population, neurons }, count, pinned: Some(pin.core) });
        }
        let least = request.least_cores(population).saturating_sub(request.pinned_cores(population)).max(1);
        let mut runs = runs(view, backend, population, least);
        for run in &mut runs {
            run.retain(|neuron| free[*neuron as usize]);
        }
        runs.retain(|run| !run.is_empty());
        let wanted = wanted_chunks(&runs, least as usize);
        let cut_runs: Vec<Vec<Chunk>> =
            runs.par_iter().zip(wanted).map(|(run, wanted)| cut(backend, population, run, wanted)).collect();
        chunked.chunks.extend(cut_runs.into_iter().flatten());
        let own = &chunked.chunks[first..];
        let limits = backend.limits();
        let fullest = own.iter().max_by(|a, b| {
            let fraction = |chunk: &Chunk| limits.fraction(&chunk.count.used, limits.binding(&chunk.count.used));
            fraction(a).total_cmp(&fraction(b))
        });
        chunked.population_cores[population] = fullest
            .map(|fullest| PopulationCores { alone: own.len() as u32, binding: limits.binding(&fullest.count.used) });
    }
    chunked
}

/// Chunks wanted of each run so that there are `least` in all: one each, more where chunks would be largest.
fn wanted_chunks(runs: &[Vec<u32>], least: usize) -> Vec<usize> {
    let mut wanted = vec![1; runs.len()];
    for _ in runs.len()..least {
        let largest = (0..runs.len()).filter(|run| wanted[*run] < runs[*run].len());
        match largest.max_by_key(|run| (runs[*run].len().div_ceil(wanted[*run]), std::cmp::Reverse(*run))) {
            Some(run) => wanted[run] += 1,
            None => break,
        }
    }
    wanted
}

/// Neurons in runs that are cut separately. A population that fits as a whole keeps its own order, unless it is a
/// convolution's.
fn runs<B: Backend>(view: &View<'_>, backend: &B, population: PopulationId, least: u32) -> Vec<Vec<u32>> {
    if let Some(tiles) = tiles::tiles(view, backend, population, least) {
        return tiles;
    }
    let all: Vec<u32> = (0..view.population(population).len() as u32).collect();
    let whole = all.len() <= backend.compartments_per_core()
        && (unlimited(backend)
            || backend.limits().check(&backend.count(&[Part { population, neurons: &all }]).used).is_ok());
    if whole || unlimited(backend) {
        return vec![all];
    }
    overlap::runs(view, backend, population).unwrap_or_else(|| vec![all])
}

/// Whether only the partitioner's own bound on compartments limits a core.
fn unlimited<B: Backend>(backend: &B) -> bool {
    Resource::ALL.iter().all(|resource| backend.limits().get(*resource) == Limit::Unlimited)
}

/// Cuts neurons in this order into as few runs as fit, at least `least`.
pub(crate) fn cut<B: Backend>(backend: &B, population: PopulationId, order: &[u32], least: usize) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let (mut rest, mut wanted, mut guess) = (order, least, None);
    while !rest.is_empty() {
        let cap = rest.len().div_ceil(wanted.max(1)).min(backend.compartments_per_core());
        let (len, count) = longest_prefix(backend, population, &rest[..cap], guess);
        guess = Some(len);
        let neurons = rest[..len].to_vec();
        chunks.push(Chunk { part: OwnedPart { population, neurons }, count, pinned: None });
        rest = &rest[len..];
        wanted = wanted.saturating_sub(1);
    }
    chunks
}

/// The longest prefix of `order` that fits on a core, at least one neuron (the legality check has seen to that), assuming
/// that fitting is monotone. `guess` is where to look first.
pub(crate) fn longest_prefix<B: Backend>(
    backend: &B,
    population: PopulationId,
    order: &[u32],
    guess: Option<usize>,
) -> (usize, CoreCount) {
    let limits = backend.limits();
    let count = |len: usize| backend.count(&[Part { population, neurons: &order[..len] }]);
    if unlimited(backend) {
        return (order.len(), count(order.len()));
    }
    if order.len() == 1 {
        return (1, count(1));
    }
    // All first: a tile that fits as a whole may not fit in part (a row cut short has lists of its own).
    let mut next = guess.unwrap_or(order.len()).clamp(1, order.len());
    // Fits at `low` (one neuron always does; it is counted only if nothing else fits), does not at `high`.
    let (mut low, mut high) = (1, order.len() + 1);
    let mut best: Option<CoreCount> = None;
    let (mut tries, mut fraction) = (0, 0.0);
    while high - low > 1 {
        if next > low && next < high {
            let tried = count(next);
            let fits = limits.check(&tried.used).is_ok();
            if fits || best.is_none() {
                fraction = limits.fraction(&tried.used, limits.binding(&tried.used)) / next as f64;
            }
            if fits {
                low = next;
                best = Some(tried);
            } else {
                high = next;
            }
        }
        tries += 1;
        // By proportion twice (the second time from the better sample), then a halving against bad proportions.
        next = if tries % 3 != 0 && fraction > 0.0 { (1.0 / fraction) as usize } else { low + (high - low) / 2 };
        next = next.clamp(low + 1, (high - 1).max(low + 1));
    }
    (low, best.unwrap_or_else(|| count(1)))
}
