//! Simulated annealing: cores swap places or move to free ones, with exact changes of cost.
//!
//! The budget is a number of moves. Half of the moves go to a random place, half to one near a core that the moved one talks
//! to, within a window that shrinks as it cools. The best placement seen is kept, so the result is never worse than the start.

use crate::place::{Slots, Traffic};
use rand_core::Rng;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use snncc_chip::Target;
use snncc_ids::CoreId;

/// Moves for each core, by effort.
const MOVES_PER_CORE: [u64; 4] = [0, 200, 1_000, 5_000];
/// Most moves of one run, by effort.
const MOST_MOVES: [u64; 4] = [0, 400_000, 2_000_000, 20_000_000];
/// Independent runs, by effort.
const RUNS: [u64; 4] = [0, 1, 2, 4];

/// Improves a placement. The same seed gives the same result on any number of threads.
pub(crate) fn anneal(
    traffic: &Traffic,
    slots: &Slots,
    target: &Target,
    start: Vec<CoreId>,
    effort: u8,
    seed: u64,
) -> Vec<CoreId> {
    let effort = usize::from(effort.min(3));
    let movable: Vec<u32> = (0..start.len() as u32).filter(|core| slots.pinned[*core as usize].is_none()).collect();
    if RUNS[effort] == 0 || movable.is_empty() || traffic.neighbours.iter().all(Vec::is_empty) || slots.free.len() < 2 {
        return start;
    }
    let moves = (MOVES_PER_CORE[effort] * movable.len() as u64).min(MOST_MOVES[effort]);
    let run = |number| Annealer::new(traffic, slots, target, &start, seed, number).run(&movable, moves);
    let mut results: Vec<Vec<CoreId>> = (0..RUNS[effort]).into_par_iter().map(run).collect();
    results.push(start.clone());
    let cost = |placement: &Vec<CoreId>| traffic.cost(target, placement);
    results.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b))).expect("bug in snncc: no placement")
}

const NOBODY: u32 = u32::MAX;

struct Annealer<'a> {
    traffic: &'a Traffic,
    /// Places: the free ones, then those of pinned cores. `at` and `occupant` index it.
    places: Vec<CoreId>,
    /// Number of free places.
    free: usize,
    position: Vec<(i32, i32)>,
    /// Places of each router of the mesh.
    at_router: Vec<Vec<u32>>,
    mesh: (i32, i32),
    at: Vec<u32>,
    occupant: Vec<u32>,
    random: Pcg64,
}

impl<'a> Annealer<'a> {
    fn new(traffic: &'a Traffic, slots: &Slots, target: &Target, start: &[CoreId], seed: u64, number: u64) -> Self {
        let mut places = slots.free.clone();
        places.extend(slots.pinned.iter().flatten());
        let position: Vec<(i32, i32)> =
            places.iter().map(|place| target.position(*place)).map(|(x, y)| (x as i32, y as i32)).collect();
        let (columns, rows) = target.mesh_size();
        let mut at_router = vec![Vec::new(); (columns * rows) as usize];
        for (place, (x, y)) in position.iter().enumerate().take(slots.free.len()) {
            at_router[(*y as u32 * columns + *x as u32) as usize].push(place as u32);
        }
        let mut index_of = vec![NOBODY; target.cores() as usize];
        for (index, place) in places.iter().enumerate() {
            index_of[place.0 as usize] = index as u32;
        }
        let at: Vec<u32> = start.iter().map(|place| index_of[place.0 as usize]).collect();
        let mut occupant = vec![NOBODY; places.len()];
        for (core, place) in at.iter().enumerate() {
            occupant[*place as usize] = core as u32;
        }
        let random = Pcg64::new(u128::from(seed), u128::from(number));
        Self {
            traffic,
            places,
            free: slots.free.len(),
            position,
            at_router,
            mesh: (columns as i32, rows as i32),
            at,
            occupant,
            random,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.random.next_u64()) * bound as u128) >> 64) as usize
    }

    fn unit(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 * (-53_f64).exp2()
    }

    /// Change of cost if `core` went to a position, ignoring its traffic with `other` (which does not change in a swap).
    fn delta(&self, core: u32, other: u32, to: (i32, i32)) -> f64 {
        let from = self.position[self.at[core as usize] as usize];
        let mut delta = 0.0;
        for (neighbour, rate) in &self.traffic.neighbours[core as usize] {
            if *neighbour != other {
                let there = self.position[self.at[*neighbour as usize] as usize];
                let distance = |a: (i32, i32)| (a.0 - there.0).abs() + (a.1 - there.1).abs();
                delta += rate * f64::from(distance(to) - distance(from));
            }
        }
        delta
    }

    fn swap_delta(&self, core: u32, place: u32) -> f64 {
        let other = self.occupant[place as usize];
        let mut delta = self.delta(core, other, self.position[place as usize]);
        if other != NOBODY {
            delta += self.delta(other, core, self.position[self.at[core as usize] as usize]);
        }
        delta
    }

    fn swap(&mut self, core: u32, place: u32) {
        let (from, other) = (self.at[core as usize], self.occupant[place as usize]);
        self.at[core as usize] = place;
        self.occupant[place as usize] = core;
        self.occupant[from as usize] = other;
        if other != NOBODY {
            self.at[other as usize] = from;
        }
    }

    /// A place to try for a core, within `window` routers of one that it talks to, or anywhere.
    fn propose(&mut self, core: u32, window: i32) -> u32 {
        let traffic = self.traffic;
        let neighbours = &traffic.neighbours[core as usize];
        if !neighbours.is_empty() && self.below(2) == 0 {
            let (neighbour, _) = neighbours[self.below(neighbours.len())];
            let (x, y) = self.position[self.at[neighbour as usize] as usize];
            let side = 2 * window as usize + 1;
            let (dx, dy) = (self.below(side) as i32 - window, self.below(side) as i32 - window);
            let (x, y) = ((x + dx).clamp(0, self.mesh.0 - 1), (y + dy).clamp(0, self.mesh.1 - 1));
            let router = (y * self.mesh.0 + x) as usize;
            if !self.at_router[router].is_empty() {
                let pick = self.below(self.at_router[router].len());
                return self.at_router[router][pick];
            }
        }
        self.below(self.free) as u32
    }

    fn run(mut self, movable: &[u32], moves: u64) -> Vec<CoreId> {
        let widest = self.mesh.0.max(self.mesh.1);
        let mut sizes: Vec<f64> = (0..64)
            .map(|_| {
                let core = movable[self.below(movable.len())];
                let place = self.propose(core, widest);
                self.swap_delta(core, place).abs()
            })
            .filter(|size| *size > 0.0)
            .collect();
        sizes.sort_by(f64::total_cmp);
        // A low start keeps what the greedy placement got right; the end is cold enough to be descent.
        let hot = sizes.get(sizes.len() / 5).copied().unwrap_or(1.0);
        let (mut change, mut best_change, mut best) = (0.0, 0.0, self.at.clone());
        for step in 0..moves {
            let progress = step as f64 / moves as f64;
            let temperature = hot * (-7.0 * progress).exp();
            let window = ((f64::from(widest) * (1.0 - progress)) as i32).max(1);
            let core = movable[self.below(movable.len())];
            let place = self.propose(core, window);
            if place == self.at[core as usize] {
                continue;
            }
            let delta = self.swap_delta(core, place);
            if delta <= 0.0 || self.unit() < (-delta / temperature).exp() {
                self.swap(core, place);
                change += delta;
                if change < best_change - 1e-9 {
                    best_change = change;
                    best.clone_from(&self.at);
                }
            }
        }
        best.iter().map(|place| self.places[*place as usize]).collect()
    }
}
