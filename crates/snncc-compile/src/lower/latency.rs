//! Latencies: by how many chip steps each population runs behind the network, so that no spike has to arrive before it is
//! sent.
//!
//! A spike that passes `b` back edges and extra delays of `k` steps arrives `b + k` network steps after it was sent, on the
//! chip `b + k + ℓ(target) − ℓ(source)` steps after, which must be at least 1. The latency ℓ is the longest path from the
//! inputs, counted in projections; neurons that no input reaches count as one projection from one. Where a loop has delays
//! of its own, that may ask more of it than needed: then the delays inside the loop's strongly connected component are
//! counted as what they are, steps that the loop has to spare.

use petgraph::graph::{DiGraph, NodeIndex};

/// A projection as far as timing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) source: usize,
    pub(super) target: usize,
    /// Back edges on the way.
    pub(super) back_edges: u32,
    /// Least extra delay of its synapses.
    pub(super) extra_delay: u32,
}

impl Hop {
    /// Network steps from spike to arrival, extra delay aside, moved to the chip. With the extra delay it is the delay on
    /// the chip; it may be below 1.
    pub(super) fn steps_on_chip(&self, latency: &[u32]) -> i64 {
        i64::from(self.back_edges) + i64::from(latency[self.target]) - i64::from(latency[self.source])
    }

    fn network_steps(&self) -> i64 {
        i64::from(self.back_edges) + i64::from(self.extra_delay)
    }
}

/// Latencies, and the loops that cannot keep their timing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// Of each population.
    pub(super) latency: Vec<u32>,
    /// One loop per strongly connected component that has such a loop. Its members' latencies are the longest paths.
    pub(super) broken: Vec<BrokenLoop>,
}

/// A loop with more projections than network steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BrokenLoop {
    /// Populations in the order of the spikes.
    pub(super) populations: Vec<usize>,
    /// Steps that the loop takes in the network.
    pub(super) network_steps: i64,
    /// Projections in the loop, each at least one step.
    pub(super) chip_steps: i64,
}

/// Assigns latencies. Hops without back edges form no cycle.
pub(super) fn assign(is_input: &[bool], hops: &[Hop]) -> Timing {
    let mut all = DiGraph::<(), ()>::new();
    let mut forward = DiGraph::<(), ()>::new();
    for _ in is_input {
        all.add_node(());
        forward.add_node(());
    }
    for hop in hops {
        let (source, target) = (NodeIndex::new(hop.source), NodeIndex::new(hop.target));
        all.add_edge(source, target, ());
        if hop.back_edges == 0 {
            forward.add_edge(source, target, ());
        }
    }
    let components = petgraph::algo::tarjan_scc(&all);
    let mut component_of = vec![0; is_input.len()];
    for (index, members) in components.iter().enumerate() {
        members.iter().for_each(|member| component_of[member.index()] = index);
    }
    let order = petgraph::algo::toposort(&forward, None).expect("bug in snncc: a cycle without back edges");
    let mut place = vec![0; is_input.len()];
    order.iter().enumerate().for_each(|(at, node)| place[node.index()] = at);

    let mut assigner = Assigner {
        is_input,
        hops: hops.to_vec(),
        component_sizes: components.iter().map(Vec::len).collect(),
        is_relaxed: vec![false; components.len()],
        component_of,
    };
    assigner.hops.sort_by_key(|hop| place[hop.source]);
    let mut is_broken = vec![false; components.len()];
    let mut broken = Vec::new();
    loop {
        match assigner.longest_paths() {
            Err(found) => {
                let component = assigner.component_of[found.populations[0]];
                assigner.is_relaxed[component] = false;
                is_broken[component] = true;
                broken.push(found);
            }
            Ok(latency) => {
                let late = |hop: &&Hop| hop.steps_on_chip(&latency) + i64::from(hop.extra_delay) < 1;
                let open = |hop: &&Hop| !is_broken[assigner.component_of[hop.source]];
                match assigner.hops.iter().filter(late).find(open) {
                    None => return Timing { latency, broken },
                    Some(hop) => {
                        let component = assigner.component_of[hop.source];
                        assert!(!assigner.is_relaxed[component], "bug in snncc: latencies that do not settle");
                        assigner.is_relaxed[component] = true;
                    }
                }
            }
        }
    }
}

struct Assigner<'a> {
    is_input: &'a [bool],
    /// By place of the source in a topological order, so that one round settles what no loop touches.
    hops: Vec<Hop>,
    component_of: Vec<usize>,
    component_sizes: Vec<usize>,
    /// Components whose inner hops are counted with their delays.
    is_relaxed: Vec<bool>,
}

impl Assigner<'_> {
    /// How much later the target must run than the source; `None` if this hop is not counted.
    fn weight(&self, hop: &Hop) -> Option<i64> {
        let component = self.component_of[hop.source];
        let is_inner = component == self.component_of[hop.target];
        // A way into a loop from its side may pass the loop's back edge without being part of a loop itself.
        let is_side_entry = !is_inner && hop.back_edges > 0;
        if is_side_entry || (is_inner && self.is_relaxed[component]) {
            Some(1 - hop.network_steps())
        } else {
            (hop.back_edges == 0).then_some(1)
        }
    }

    /// Longest paths by Bellman and Ford, or a loop in a relaxed component that no latencies can satisfy.
    fn longest_paths(&self) -> Result<Vec<u32>, BrokenLoop> {
        let mut latency: Vec<i64> = self.is_input.iter().map(|is_input| i64::from(!is_input)).collect();
        let mut through: Vec<Option<usize>> = vec![None; latency.len()];
        let mut rounds_within = vec![0_usize; self.component_sizes.len()];
        loop {
            let mut changed_within: Vec<Option<usize>> = vec![None; self.component_sizes.len()];
            let mut changed = false;
            for (index, hop) in self.hops.iter().enumerate() {
                let Some(weight) = self.weight(hop) else { continue };
                let least = latency[hop.source] + weight;
                if latency[hop.target] < least {
                    latency[hop.target] = least;
                    through[hop.target] = Some(index);
                    changed = true;
                    let component = self.component_of[hop.target];
                    if component == self.component_of[hop.source] && self.is_relaxed[component] {
                        changed_within[component] = Some(hop.target);
                    }
                }
            }
            if !changed {
                return Ok(latency.into_iter().map(|latency| latency as u32).collect());
            }
            // Paths into a component settle within as many rounds as there are populations.
            for (component, at) in changed_within.into_iter().enumerate() {
                let Some(at) = at else { continue };
                rounds_within[component] += 1;
                if rounds_within[component] > self.is_input.len() + 1 {
                    return Err(self.loop_through(at, &through));
                }
            }
        }
    }

    /// The loop behind a latency that keeps growing, found along the hops that raised it.
    fn loop_through(&self, start: usize, through: &[Option<usize>]) -> BrokenLoop {
        let before = |at: usize| {
            let hop = through[at].expect("bug in snncc: a growing latency has a cause");
            &self.hops[hop]
        };
        let mut at = start;
        for _ in 0..through.len() {
            at = before(at).source;
        }
        let mut found = BrokenLoop { populations: Vec::new(), network_steps: 0, chip_steps: 0 };
        let last = at;
        loop {
            let hop = before(at);
            found.populations.push(hop.source);
            found.network_steps += hop.network_steps();
            found.chip_steps += 1;
            at = hop.source;
            if at == last {
                break;
            }
        }
        found.populations.reverse();
        // Start at the first population of the network.
        let first = (0..found.populations.len()).min_by_key(|at| found.populations[*at]).unwrap_or(0);
        found.populations.rotate_left(first);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(source: usize, target: usize, back_edges: u32, extra_delay: u32) -> Hop {
        Hop { source, target, back_edges, extra_delay }
    }

    #[test]
    fn a_short_path_waits_for_the_long_one_and_a_self_loop_keeps_its_step() {
        let hops = [hop(0, 1, 0, 0), hop(1, 2, 0, 0), hop(0, 2, 0, 3), hop(2, 2, 1, 0)];
        let timing = assign(&[true, false, false], &hops);
        assert_eq!(timing, Timing { latency: vec![0, 1, 2], broken: vec![] });
        assert_eq!(hops.map(|hop| hop.steps_on_chip(&timing.latency)), [1, 1, 2, 1]);
    }

    #[test]
    fn a_longer_loop_is_broken_unless_it_has_delay_to_spare() {
        let broken = assign(&[true, false, false], &[hop(0, 1, 0, 0), hop(1, 2, 0, 0), hop(2, 1, 1, 0)]);
        assert_eq!(broken.latency, [0, 1, 2]);
        assert_eq!(broken.broken, [BrokenLoop { populations: vec![1, 2], network_steps: 1, chip_steps: 2 }]);
        // Delay on the way back: longest paths will do.
        let back = assign(&[true, false, false], &[hop(0, 1, 0, 0), hop(1, 2, 0, 0), hop(2, 1, 1, 1)]);
        assert_eq!(back, Timing { latency: vec![0, 1, 2], broken: vec![] });
        // Delay on the way out: the second population must not run later than the first.
        let out = assign(&[true, false, false], &[hop(0, 1, 0, 0), hop(1, 2, 0, 1), hop(2, 1, 1, 0)]);
        assert_eq!(out, Timing { latency: vec![0, 1, 1], broken: vec![] });
    }

    #[test]
    fn every_component_gives_its_own_loop() {
        let hops = [
            hop(0, 1, 0, 0),
            hop(1, 2, 0, 0),
            hop(2, 1, 1, 0),
            hop(2, 3, 0, 0),
            hop(3, 4, 0, 1),
            hop(4, 3, 1, 0),
            hop(4, 5, 0, 0),
            hop(5, 6, 0, 0),
            hop(6, 7, 0, 0),
            hop(7, 5, 1, 1),
        ];
        let timing = assign(&[true, false, false, false, false, false, false, false], &hops);
        let loops: Vec<_> = timing.broken.iter().map(|broken| broken.populations.clone()).collect();
        assert_eq!(loops, [vec![1, 2], vec![5, 6, 7]]);
        assert_eq!(timing.latency, [0, 1, 2, 3, 3, 4, 5, 6]);
    }

    #[test]
    fn a_side_entry_over_a_back_edge_makes_the_loop_wait() {
        // 0 → 1 → 2 → 3, which enters the loop of 4 over its back edge.
        let hops =
            [hop(0, 1, 0, 0), hop(1, 2, 0, 0), hop(2, 3, 0, 0), hop(3, 4, 1, 0), hop(0, 4, 0, 0), hop(4, 4, 1, 0)];
        let timing = assign(&[true, false, false, false, false], &hops);
        assert_eq!(timing, Timing { latency: vec![0, 1, 2, 3, 3], broken: vec![] });
    }

    #[test]
    fn neurons_without_input_count_as_one_projection() {
        let timing = assign(&[false, false], &[hop(0, 1, 0, 0)]);
        assert_eq!(timing.latency, [1, 2]);
    }
}
