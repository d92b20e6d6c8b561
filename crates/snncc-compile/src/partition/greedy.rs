//! Packing chunks onto cores: largest first, each to the core that fits and knows it best, or to the fullest that fits if
//! that takes fewer cores.

use crate::backend::{Backend, CoreCount, Resource, View};
use crate::partition::chunks::{Bin, Chunk, OwnedPart, Rules, borrow_parts, union_len};
use crate::partition::ilp;
use snncc_ids::{CoreId, Diagnostic, Diagnostics, code};
use std::collections::BTreeMap;

/// Cores that are counted exactly for a chunk before it gets one of its own.
const EXACT_TRIES: usize = 12;

/// Most chunks for which both preferences are tried.
const MOST_FOR_SECOND_TRY: usize = 200;

/// Packs chunks.
///
/// # Errors
/// `SNN0403` if pinned neurons do not fit on their core.
pub(crate) fn pack<B: Backend>(rules: &Rules<'_, B>, chunks: Vec<Chunk>) -> Result<Vec<Bin>, Diagnostics> {
    let (pinned, mut free): (Vec<Chunk>, Vec<Chunk>) = chunks.into_iter().partition(|chunk| chunk.pinned.is_some());
    let started = pinned_bins(rules, pinned)?;
    // Largest first; equal ones in order of population and neuron.
    free.sort_by(|a, b| size(rules, &b.count).total_cmp(&size(rules, &a.count)));
    let mut bins = fill(rules, started.clone(), &free, Preference::Familiar);
    if free.len() <= MOST_FOR_SECOND_TRY {
        let tight = fill(rules, started.clone(), &free, Preference::Full);
        bins = if tight.len() < bins.len() { tight } else { bins };
    }
    let fewer = if started.is_empty() { ilp::pack(rules, &free, bins.len()) } else { None };
    Ok(fewer.unwrap_or(bins))
}

/// Which of the cores that fit gets a chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Preference {
    /// The one that shares most with it.
    Familiar,
    /// The fullest one.
    Full,
}

fn fill<B: Backend>(rules: &Rules<'_, B>, mut bins: Vec<Bin>, chunks: &[Chunk], preference: Preference) -> Vec<Bin> {
    for chunk in chunks {
        match best_bin(rules, &bins, chunk, preference) {
            Some((at, joined)) => bins[at] = joined,
            None => bins.push(Bin::new(chunk)),
        }
    }
    bins
}

/// How much of a core a chunk takes: its largest part of any resource.
fn size<B: Backend>(rules: &Rules<'_, B>, count: &CoreCount) -> f64 {
    let compartments = count.used.get(Resource::Compartments) as f64 / rules.backend.compartments_per_core() as f64;
    let limits = rules.limits();
    limits.fraction(&count.used, limits.binding(&count.used)).max(compartments)
}

/// The bin that fits and is preferred, and what it becomes.
fn best_bin<B: Backend>(
    rules: &Rules<'_, B>,
    bins: &[Bin],
    chunk: &Chunk,
    preference: Preference,
) -> Option<(usize, Bin)> {
    let rank = |bin: &Bin| match preference {
        Preference::Familiar => affinity(rules.view, bin, chunk),
        Preference::Full => (size(rules, &bin.count) * f64::from(1 << 20)) as u64,
    };
    let mut candidates: Vec<(u64, usize)> = bins
        .iter()
        .enumerate()
        .filter(|(_, bin)| rules.may_join(bin, chunk.part.population))
        .filter(|(_, bin)| !rules.ruled_out(&bin.count, &chunk.count))
        .map(|(at, bin)| (rank(bin), at))
        .collect();
    candidates.sort_by_key(|(rank, at)| (std::cmp::Reverse(*rank), *at));
    candidates
        .into_iter()
        .take(EXACT_TRIES)
        .find_map(|(_, at)| rules.joined(&bins[at], &chunk.part).ok().map(|joined| (at, joined)))
}

/// Messages saved each step if all neurons fire and the chunk joins the bin: sources that both listen to, and spikes that
/// stay on the core.
pub(crate) fn affinity(view: &View<'_>, bin: &Bin, chunk: &Chunk) -> u64 {
    let common = |a: &[u32], b: &[u32]| (a.len() + b.len()) as u64 - union_len(a, b);
    let mut total = common(&bin.count.sources, &chunk.count.sources);
    let globals = |part: &OwnedPart| {
        let mut numbers: Vec<u32> = part.neurons.iter().map(|neuron| view.global(part.population, *neuron)).collect();
        numbers.sort_unstable();
        numbers
    };
    total += common(&globals(&chunk.part), &bin.count.sources);
    for part in &bin.parts {
        total += common(&globals(part), &chunk.count.sources);
    }
    total
}

/// One bin for each core that is pinned to.
fn pinned_bins<B: Backend>(rules: &Rules<'_, B>, pinned: Vec<Chunk>) -> Result<Vec<Bin>, Diagnostics> {
    let mut by_core: BTreeMap<CoreId, Vec<Chunk>> = BTreeMap::new();
    for chunk in pinned {
        by_core.entry(chunk.pinned.expect("bug in snncc: not pinned")).or_default().push(chunk);
    }
    let mut problems = Diagnostics::new();
    let mut bins = Vec::new();
    for (core, chunks) in by_core {
        let mut bin = Bin::new(&chunks[0]);
        let name = |chunk: &Chunk| rules.view.population(chunk.part.population).name.clone();
        let mut names = vec![name(&chunks[0])];
        let mut refused = rules.check(&bin.count).err().map(|shortfall| shortfall.to_string());
        for chunk in &chunks[1..] {
            names.push(name(chunk));
            if !rules.may_mix(&bin, chunk.part.population) {
                refused = Some(format!(
                    "`{}` cannot share a core with the others: it is exclusive, or its core-wide registers differ",
                    name(chunk)
                ));
                break;
            }
            let parts = bin.parts_with(&chunk.part);
            let count = rules.backend.count(&borrow_parts(&parts));
            refused = rules.check(&count).err().map(|shortfall| shortfall.to_string());
            bin = Bin { parts, count, pinned: Some(core) };
        }
        names.dedup();
        match refused {
            Some(why) => problems.push(
                Diagnostic::error(
                    code::ILLEGAL_PIN,
                    format!("what is pinned to core {} does not fit there: {why}", core.0),
                )
                .at("mapping/pins")
                .note(format!("pinned there: {}", names.join(", "))),
            ),
            None => bins.push(bin),
        }
    }
    problems.into_result(bins).map(|(bins, _)| bins)
}
