//! Nets with the same sinks are one class: what follows works on classes, and never looks at the nets' sinks again.
//!
//! The dense projections of large networks have millions of (net, sink) pairs and a handful of classes.

use crate::problem::Problem;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::Hasher;

/// The classes of a problem, in the order of their first net.
pub(crate) struct Classes {
    /// Class of each net.
    pub(crate) of_net: Vec<u32>,
    /// The first net of each class, whose sinks are the sinks of all.
    pub(crate) first_net: Vec<u32>,
    /// Sum of the nets' weights.
    pub(crate) weight: Vec<u64>,
}

impl Classes {
    /// Finds them.
    pub(crate) fn new(problem: &Problem) -> Self {
        let mut classes = Self { of_net: Vec::with_capacity(problem.nets.len()), first_net: vec![], weight: vec![] };
        // Sinks to class, for look-up only: by hash, then by the list itself.
        let mut by_hash: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
        for (net, number) in problem.nets.iter().zip(0u32..) {
            let sinks = problem.sinks(number as usize);
            let mut hasher = FxHasher::default();
            for pair in sinks.chunks(2) {
                hasher
                    .write_u64(u64::from(pair[0]) << 32 | u64::from(*pair.last().expect("bug in snncc: empty chunk")));
            }
            let same = by_hash.entry(hasher.finish()).or_default();
            let found = same.iter().find(|&&class| problem.sinks(classes.first_net[class as usize] as usize) == sinks);
            let class = found.copied().unwrap_or_else(|| {
                classes.first_net.push(number);
                classes.weight.push(0);
                let class = classes.first_net.len() as u32 - 1;
                same.push(class);
                class
            });
            classes.weight[class as usize] += u64::from(net.weight);
            classes.of_net.push(class);
        }
        classes
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.first_net.len()
    }

    /// The sinks of a class.
    pub(crate) fn sinks<'a>(&self, problem: &'a Problem, class: usize) -> &'a [u32] {
        problem.sinks(self.first_net[class] as usize)
    }
}
