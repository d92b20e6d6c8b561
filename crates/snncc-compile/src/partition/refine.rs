//! Fewer cores, then fewer messages, after packing.
//!
//! *Dissolving* takes the least filled core and spreads its neurons, piece by piece, over room left on others; if every
//! neuron finds a place the core is gone. Everything is counted exactly. The budget is a number of synapses counted.

use crate::backend::{Backend, Resource};
use crate::options::Ctx;
use crate::partition::chunks::{Bin, Chunk, OwnedPart, Rules};
use crate::partition::greedy::affinity;
use crate::partition::moves;

/// Synapses that may be counted while dissolving, by effort.
const SYNAPSES_COUNTED: [u64; 4] = [0, 4_000_000, 20_000_000, 400_000_000];
/// Cores that may fail to dissolve, one after the other.
const FAILURES: usize = 4;
/// Cores that a piece is tried on.
const HOSTS: usize = 12;
/// Lengths that are tried for a piece on a core.
const LENGTHS: usize = 3;

/// Improves a packing; every core still fits.
pub(crate) fn refine<B: Backend>(rules: &Rules<'_, B>, bins: Vec<Bin>, ctx: &Ctx<'_>) -> Vec<Bin> {
    let mut budget = SYNAPSES_COUNTED[usize::from(ctx.options.effort.min(3))];
    let bins = dissolve(rules, bins, &mut budget);
    moves::improve(rules, bins, ctx)
}

fn compartments(bin: &Bin) -> u64 {
    bin.count.used.get(Resource::Compartments)
}

fn dissolve<B: Backend>(rules: &Rules<'_, B>, mut bins: Vec<Bin>, budget: &mut u64) -> Vec<Bin> {
    let most = rules.backend.compartments_per_core() as u64;
    let mut failures = 0;
    while failures < FAILURES && bins.len() > 1 {
        let mut by_size: Vec<usize> = (0..bins.len()).filter(|at| bins[*at].pinned.is_none()).collect();
        by_size.sort_by_key(|at| compartments(&bins[*at]));
        let Some(victim) = by_size.get(failures).copied() else { break };
        let room: u64 =
            bins.iter().map(|bin| most - compartments(bin)).sum::<u64>() - (most - compartments(&bins[victim]));
        let tied = bins[victim].parts.iter().any(|part| rules.request.apart(part.population));
        if room < compartments(&bins[victim]) || *budget == 0 {
            break;
        }
        if tied {
            failures += 1;
            continue;
        }
        match spread(rules, &bins, victim, budget) {
            Some(changed) => {
                for (at, bin) in changed {
                    bins[at] = bin;
                }
                bins.remove(victim);
                failures = 0;
            }
            None => failures += 1,
        }
    }
    bins
}

/// The cores changed if the victim's neurons all find room elsewhere.
fn spread<B: Backend>(
    rules: &Rules<'_, B>,
    bins: &[Bin],
    victim: usize,
    budget: &mut u64,
) -> Option<Vec<(usize, Bin)>> {
    let most = rules.backend.compartments_per_core();
    let mut changed: Vec<(usize, Bin)> = Vec::new();
    for part in &bins[victim].parts {
        let as_chunk = Chunk { part: part.clone(), count: bins[victim].count.clone(), pinned: None };
        let mut hosts: Vec<(u64, usize)> = bins
            .iter()
            .enumerate()
            .filter(|(at, bin)| {
                *at != victim && compartments(bin) < most as u64 && rules.may_join(bin, part.population)
            })
            .map(|(at, bin)| (affinity(rules.view, bin, &as_chunk), at))
            .collect();
        hosts.sort_by_key(|(affinity, at)| (std::cmp::Reverse(*affinity), *at));
        let mut rest = &part.neurons[..];
        for (_, at) in hosts.into_iter().take(HOSTS) {
            if rest.is_empty() {
                break;
            }
            let host = changed.iter().find(|(number, _)| *number == at).map_or(&bins[at], |(_, bin)| bin);
            // A changed core may have become full, or hold what must not be beside this population.
            let room = most.saturating_sub(compartments(host) as usize);
            if room == 0 || !rules.may_join(host, part.population) {
                continue;
            }
            if let Some((len, bin)) = longest_piece(rules, host, part, rest, room, budget) {
                rest = &rest[len..];
                changed.retain(|(number, _)| *number != at);
                changed.push((at, bin));
            }
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(changed)
}

/// The longest prefix of `rest` among a few that fits beside what the host has.
fn longest_piece<B: Backend>(
    rules: &Rules<'_, B>,
    host: &Bin,
    part: &OwnedPart,
    rest: &[u32],
    room: usize,
    budget: &mut u64,
) -> Option<(usize, Bin)> {
    let mut len = rest.len().min(room);
    for _ in 0..LENGTHS {
        if len == 0 || *budget == 0 {
            return None;
        }
        let piece = OwnedPart { population: part.population, neurons: rest[..len].to_vec() };
        match rules.joined(host, &piece) {
            Ok(bin) => {
                *budget = budget.saturating_sub(bin.count.synapses + len as u64);
                return Some((len, bin));
            }
            Err(shortfall) => {
                // By proportion of the resource that is short, at most two thirds.
                *budget = budget.saturating_sub(host.count.synapses + len as u64);
                let fraction = |resource: &Resource| {
                    let free = rules.limits().get(*resource).max().saturating_sub(host.count.used.get(*resource));
                    let asked = shortfall.used.get(*resource).saturating_sub(host.count.used.get(*resource));
                    free as f64 / asked.max(1) as f64
                };
                let least = shortfall.exceeded.iter().map(fraction).fold(2.0 / 3.0, f64::min);
                len = (len as f64 * least) as usize;
            }
        }
    }
    None
}
