//! Fills one chip with vertices so that little of what is scarce is left over.
//!
//! A bounded depth-first search over kinds of equal vertices, nearest kinds first and as many of each as fit: the first filling
//! whose waste is within the tolerance wins, so vertices that belong together stay together where the waste allows it.

/// Steps of one search.
const STEPS: u32 = 1 << 12;

/// Equal vertices that may go onto the chip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Shared memory of one.
    pub(crate) sdram_bytes: u64,
    /// How many are left.
    pub(crate) count: u32,
}

/// Which of the two resources of a chip decides how many chips are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// Cores.
    Cores,
    /// Shared memory.
    Sdram,
}

struct Search<'a> {
    candidates: &'a [Candidate],
    scarce: Scarce,
    tolerance: u64,
    steps: u32,
    counts: Vec<u32>,
    best: Option<(u64, Vec<u32>)>,
}

/// How many of each candidate go onto a chip with these resources; at least one of the first, if it fits. `tolerance`: cores or
/// bytes that may stay unused.
pub(crate) fn fill(candidates: &[Candidate], cores: u32, sdram_bytes: u64, scarce: Scarce, tolerance: u64) -> Vec<u32> {
    let counts = vec![0; candidates.len()];
    let mut search = Search { candidates, scarce, tolerance, steps: STEPS, counts, best: None };
    search.step(0, cores, sdram_bytes);
    search.best.map_or_else(|| vec![0; candidates.len()], |(_, counts)| counts)
}

impl Search<'_> {
    /// Decides candidate `at`; true when the search is over.
    fn step(&mut self, at: usize, cores: u32, sdram_bytes: u64) -> bool {
        let waste = match self.scarce {
            Scarce::Cores => u64::from(cores),
            Scarce::Sdram => sdram_bytes,
        };
        if at > 0 && self.best.as_ref().is_none_or(|(least, _)| waste < *least) {
            self.best = Some((waste, self.counts.clone()));
            if waste <= self.tolerance {
                return true;
            }
        }
        self.steps = self.steps.saturating_sub(1);
        if self.steps == 0 {
            return true;
        }
        if at == self.candidates.len() || cores == 0 {
            return false;
        }
        let Candidate { sdram_bytes: each, count } = self.candidates[at];
        let by_memory = sdram_bytes.checked_div(each).map_or(count, |fit| u32::try_from(fit).unwrap_or(u32::MAX));
        let most = count.min(cores).min(by_memory);
        for take in (u32::from(at == 0).min(most)..=most).rev() {
            self.counts[at] = take;
            if self.step(at + 1, cores - take, sdram_bytes - u64::from(take) * each) {
                return true;
            }
        }
        self.counts[at] = 0;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_to_the_tolerance_and_prefers_the_first() {
        let kinds = [(7, 9), (5, 9), (3, 9)].map(|(sdram_bytes, count)| Candidate { sdram_bytes, count });
        assert_eq!(fill(&kinds, 9, 17, Scarce::Sdram, 0), [2, 0, 1]);
        assert_eq!(fill(&kinds, 9, 17, Scarce::Sdram, 3), [2, 0, 0]);
        assert_eq!(fill(&kinds, 3, 18, Scarce::Cores, 0), [2, 0, 1]);
        assert_eq!(fill(&kinds[..1], 3, 6, Scarce::Cores, 0), [0]);
    }
}
