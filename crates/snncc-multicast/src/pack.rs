//! Fills chips with vertices so that little of what is scarce is left over.
//!
//! For one chip, a bounded depth-first search goes over kinds of equal vertices, nearest kinds first and as many of each as fit.
//! Of the fillings whose waste is within the tolerance, the one that brings the fewest further nets to the chip wins: vertices
//! that belong together stay together where the waste allows it. For all
//! chips, a few strategies are rehearsed, and the one whose chips receive the fewest nets is kept.

/// Steps of one search.
const STEPS: u32 = 1 << 12;

/// Kinds of vertices that one chip is filled from.
const KINDS_PER_CHIP: usize = 24;

/// Kinds around the first one, in the order of populations, that are looked at for similarity.
const KINDS_NEARBY: usize = 1 << 7;

/// Kinds up to which strategies are rehearsed.
const KINDS_TO_REHEARSE: usize = 1 << 7;

/// Vertices that packing cannot tell apart.
#[derive(Clone)]
pub(crate) struct Kind {
    /// Shared classes that come to them, ascending.
    pub(crate) classes: Vec<u32>,
    pub(crate) sdram_bytes: u64,
    /// The vertices, last one first to be placed.
    pub(crate) members: Vec<u32>,
}

/// Which kind a chip is begun with.
#[derive(Clone, Copy, Debug)]
enum Seed {
    /// The last one, or the next after it.
    Next,
    /// The one with the largest vertices.
    Largest,
    /// The one that leaves most of a chip unused when it is alone there.
    Hardest,
    /// The one with most memory still to place.
    Most,
}

/// How chips are filled.
#[derive(Clone, Copy, Debug)]
struct Strategy {
    seed: Seed,
    /// Eighths of the fair share of waste that one chip may have.
    tolerance: u64,
}

/// Equal vertices that may go onto the chip.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// Shared memory of one.
    sdram_bytes: u64,
    /// How many are left.
    count: u32,
    /// Weight of the nets that come to it and not to the first candidate.
    further: u64,
}

/// Which of the two resources of a chip decides how many chips are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// Cores.
    Cores,
    /// Shared memory.
    Sdram,
}

/// A way to fill a chip, better ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Merit {
    /// Waste beyond the tolerance.
    excess: u64,
    /// The most that one of its kinds brings of nets.
    further: u64,
}

struct Search<'a> {
    candidates: &'a [Candidate],
    scarce: Scarce,
    tolerance: u64,
    steps: u32,
    counts: Vec<u32>,
    best: Option<(Merit, Vec<u32>)>,
}

/// How many of each candidate go onto a chip with these resources; at least one of the first, if it fits. `tolerance`: cores or
/// bytes that may stay unused.
fn fill(candidates: &[Candidate], cores: u32, sdram_bytes: u64, scarce: Scarce, tolerance: u64) -> Vec<u32> {
    let counts = vec![0; candidates.len()];
    let mut search = Search { candidates, scarce, tolerance, steps: STEPS, counts, best: None };
    search.step(0, cores, sdram_bytes, 0);
    search.best.map_or_else(|| vec![0; candidates.len()], |(_, counts)| counts)
}

impl Search<'_> {
    /// Decides candidate `at`; true when the search is over.
    fn step(&mut self, at: usize, cores: u32, sdram_bytes: u64, further: u64) -> bool {
        let waste = match self.scarce {
            Scarce::Cores => u64::from(cores),
            Scarce::Sdram => sdram_bytes,
        };
        let merit = Merit { excess: waste.saturating_sub(self.tolerance), further };
        if at > 0 && self.best.as_ref().is_none_or(|(best, _)| merit < *best) {
            self.best = Some((merit, self.counts.clone()));
            if merit == (Merit { excess: 0, further: 0 }) {
                return true;
            }
        }
        self.steps = self.steps.saturating_sub(1);
        if self.steps == 0 {
            return true;
        }
        let within = Merit { excess: 0, further };
        let hopeless = at > 0 && self.best.as_ref().is_some_and(|(best, _)| *best <= within);
        if at == self.candidates.len() || cores == 0 || hopeless {
            return false;
        }
        let Candidate { sdram_bytes: each, count, further: brings } = self.candidates[at];
        let by_memory = sdram_bytes.checked_div(each).map_or(count, |fit| u32::try_from(fit).unwrap_or(u32::MAX));
        let most = count.min(cores).min(by_memory);
        for take in (u32::from(at == 0).min(most)..=most).rev() {
            self.counts[at] = take;
            let further = if take > 0 { further.max(brings) } else { further };
            if self.step(at + 1, cores - take, sdram_bytes - u64::from(take) * each, further) {
                return true;
            }
        }
        self.counts[at] = 0;
        false
    }
}

/// The vertices still to be packed, and how.
#[derive(Clone)]
pub(crate) struct Packer<'a> {
    kinds: &'a [Kind],
    /// Weight of each class.
    weight: &'a [u64],
    counts: Vec<u32>,
    /// Vertices and memory left.
    left: u64,
    left_sdram: u128,
    /// A full chip.
    cores: u32,
    sdram_bytes: u64,
    strategy: Strategy,
    last: usize,
    scarce: Scarce,
}

impl<'a> Packer<'a> {
    /// Of all vertices of `kinds`, for chips that mostly have these resources.
    pub(crate) fn new(kinds: &'a [Kind], weight: &'a [u64], cores: u32, sdram_bytes: u64) -> Self {
        let counts: Vec<u32> = kinds.iter().map(|kind| kind.members.len() as u32).collect();
        let left: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        let left_sdram: u128 =
            kinds.iter().zip(&counts).map(|(kind, &count)| u128::from(kind.sdram_bytes) * u128::from(count)).sum();
        // Memory over memory per chip, against vertices over cores per chip.
        let (by_memory, by_cores) = (left_sdram * u128::from(cores), u128::from(left) * u128::from(sdram_bytes));
        let scarce = if by_memory > by_cores { Scarce::Sdram } else { Scarce::Cores };
        let strategy = Strategy { seed: Seed::Next, tolerance: 8 };
        let mut packer =
            Self { kinds, weight, counts, left, left_sdram, cores, sdram_bytes, strategy, last: 0, scarce };
        if 5 * by_memory > 4 * by_cores {
            packer.strategy.seed = Seed::Largest;
            if kinds.len() <= KINDS_TO_REHEARSE {
                packer.rehearse();
            }
        }
        packer
    }

    /// What decides how many chips are needed.
    pub(crate) fn scarce(&self) -> Scarce {
        self.scarce
    }

    /// Vertices left.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Takes the strategy whose chips, all full ones, receive the least weight of nets.
    fn rehearse(&mut self) {
        let mut best = (u64::MAX, self.strategy);
        for seed in [Seed::Largest, Seed::Hardest, Seed::Most] {
            for tolerance in [8, 5, 2, 0] {
                let mut trial = self.clone();
                trial.strategy = Strategy { seed, tolerance };
                let (mut weight, mut classes): (u64, Vec<u32>) = (0, Vec::new());
                while trial.left > 0 && weight < best.0 {
                    let chip = trial.next_chip(self.cores, self.sdram_bytes);
                    if chip.is_empty() {
                        weight = u64::MAX;
                        break;
                    }
                    classes.clear();
                    classes.extend(chip.iter().flat_map(|&(kind, _)| &self.kinds[kind].classes));
                    classes.sort_unstable();
                    classes.dedup();
                    weight += classes.iter().map(|&class| self.weight[class as usize]).sum::<u64>();
                }
                if weight < best.0 {
                    best = (weight, trial.strategy);
                }
            }
        }
        self.strategy = best.1;
    }

    /// Kinds and counts for the next chip, which has these resources; taken off what is left.
    pub(crate) fn next_chip(&mut self, cores: u32, sdram_bytes: u64) -> Vec<(usize, u32)> {
        let Some(seed) = self.seed() else { return Vec::new() };
        self.last = seed;
        let near = self.nearest_kinds(seed);
        let candidate = |&(kind, further): &(usize, u64)| Candidate {
            sdram_bytes: self.kinds[kind].sdram_bytes,
            count: self.counts[kind],
            further,
        };
        let candidates: Vec<Candidate> = near.iter().map(candidate).collect();
        let fair = match self.scarce {
            Scarce::Cores => {
                let chips = self.left.div_ceil(u64::from(self.cores));
                (chips * u64::from(self.cores) - self.left) / chips
            }
            Scarce::Sdram => {
                let chips = self.left_sdram.div_ceil(u128::from(self.sdram_bytes)).max(1);
                ((chips * u128::from(self.sdram_bytes)).saturating_sub(self.left_sdram) / chips) as u64
            }
        };
        let tolerance = (u128::from(fair) * u128::from(self.strategy.tolerance) / 8) as u64;
        let counts = fill(&candidates, cores, sdram_bytes, self.scarce, tolerance);
        let taken: Vec<(usize, u32)> =
            near.into_iter().map(|(kind, _)| kind).zip(counts).filter(|&(_, count)| count > 0).collect();
        for &(kind, count) in &taken {
            self.counts[kind] -= count;
            self.left -= u64::from(count);
            self.left_sdram -= u128::from(self.kinds[kind].sdram_bytes) * u128::from(count);
        }
        taken
    }

    fn seed(&self) -> Option<usize> {
        let mut waiting = (self.last..self.kinds.len()).chain(0..self.last).filter(|&kind| self.counts[kind] > 0);
        let bytes = |kind: usize| self.kinds[kind].sdram_bytes;
        let alone = |kind: usize| self.sdram_bytes.checked_rem(bytes(kind)).unwrap_or(0);
        match self.strategy.seed {
            Seed::Next => waiting.next(),
            Seed::Largest => waiting.max_by_key(|&kind| (bytes(kind), std::cmp::Reverse(kind))),
            Seed::Hardest => waiting.max_by_key(|&kind| (alone(kind), std::cmp::Reverse(kind))),
            Seed::Most => waiting.max_by_key(|&kind| {
                (bytes(kind).saturating_mul(u64::from(self.counts[kind])), std::cmp::Reverse(kind))
            }),
        }
    }

    /// The kinds to fill a chip from: `seed`, then those with most of their incoming nets in common with it;
    /// with the weight of the nets that come to each and not to `seed`.
    fn nearest_kinds(&self, seed: usize) -> Vec<(usize, u64)> {
        let sum =
            |classes: &mut dyn Iterator<Item = u32>| -> u64 { classes.map(|class| self.weight[class as usize]).sum() };
        let own = &self.kinds[seed].classes;
        let own_weight = sum(&mut own.iter().copied());
        let range = seed.saturating_sub(KINDS_NEARBY)..(seed + KINDS_NEARBY).min(self.kinds.len());
        let mut near: Vec<(u64, usize, usize, u64)> = range
            .filter(|&kind| kind != seed && self.counts[kind] > 0)
            .map(|kind| {
                let other = &self.kinds[kind].classes;
                let common = sum(&mut own.iter().copied().filter(|class| other.binary_search(class).is_ok()));
                let further = sum(&mut other.iter().copied()) - common;
                let union = own_weight + further;
                // What is not shared, of a thousand.
                let different = (u128::from(union - common) * 1000 / u128::from(union.max(1))) as u64;
                (different, kind.abs_diff(seed), kind, further)
            })
            .collect();
        near.sort_unstable();
        near.truncate(KINDS_PER_CHIP - 1);
        std::iter::once((seed, 0)).chain(near.into_iter().map(|(_, _, kind, further)| (kind, further))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_to_the_tolerance_and_prefers_the_first() {
        let kinds = [(7, 9), (5, 9), (3, 9)].map(|(sdram_bytes, count)| Candidate { sdram_bytes, count, further: 0 });
        assert_eq!(fill(&kinds, 9, 17, Scarce::Sdram, 0), [2, 0, 1]);
        assert_eq!(fill(&kinds, 9, 17, Scarce::Sdram, 3), [2, 0, 0]);
        assert_eq!(fill(&kinds, 3, 18, Scarce::Cores, 0), [2, 0, 1]);
        assert_eq!(fill(&kinds[..1], 3, 6, Scarce::Cores, 0), [0]);
        let dear = [(7, 9, 0), (3, 9, 5), (5, 9, 1)].map(|(sdram_bytes, count, further)| Candidate {
            sdram_bytes,
            count,
            further,
        });
        assert_eq!(fill(&dear, 9, 17, Scarce::Sdram, 0), [1, 0, 2]);
    }

    #[test]
    fn packs_into_no_more_chips_than_the_memory_asks_for() {
        // 6 + 4, 6 + 4, 5 + 5: largest first with its own kind would need four chips.
        let kind = |sdram_bytes, count| Kind { classes: vec![0], sdram_bytes, members: (0..count).collect() };
        let kinds = [kind(5, 2), kind(6, 2), kind(4, 2)];
        let mut packer = Packer::new(&kinds, &[1], 9, 10);
        assert_eq!(packer.scarce(), Scarce::Sdram);
        let chips: Vec<_> = std::iter::from_fn(|| (packer.left() > 0).then(|| packer.next_chip(9, 10))).collect();
        assert_eq!(chips.len(), 3);
        let placed: u32 = chips.iter().flatten().map(|&(_, count)| count).sum();
        assert_eq!(placed, 6);
    }
}
