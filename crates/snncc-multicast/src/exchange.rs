//! Exchanges single body vertices between chips, so that nets come to fewer chips.
//!
//! A chip with `n` sinks of a class is charged `weight × (2 - 2^(1-n))`: the first sink costs most, and every move from a chip with
//! few of a class to one with many pays off, so a class leaves a chip step by step without a step that seems to gain nothing. Where
//! the chips lie does not matter here.
//!
//! **Invariant:** the placement stays legal, and the sum of the charges falls with every exchange.

use crate::classes::Classes;
use crate::machine::Machine;
use crate::place::Placement;
use crate::problem::Problem;
use std::collections::BTreeMap;

/// Classes compared in one call, about.
const BUDGET: u64 = 1 << 24;

/// Counters at most: classes times chips.
const COUNTERS: usize = 1 << 23;

/// Sweeps over all pairs of chips.
const SWEEPS: usize = 3;

/// The charge for a first sink of weight one.
const UNIT: u64 = 1 << 10;

/// Vertices with the same shared classes and memory.
struct Kind {
    classes: Vec<u32>,
    sdram_bytes: u64,
}

/// Sinks of every class on every chip with body vertices.
struct Counts {
    chips: usize,
    of: Vec<u32>,
}

impl Counts {
    fn at(&mut self, class: u32, chip: usize) -> &mut u32 {
        &mut self.of[class as usize * self.chips + chip]
    }

    /// What the charges fall by when classes `only` go from chip `from` to chip `to`, of the classes not in `also`.
    fn gain(&self, only: &[u32], also: &[u32], weight: &[u64], from: usize, to: usize) -> i64 {
        let charge = |class: u32, chip: usize, less: u32| {
            let count = self.of[class as usize * self.chips + chip] - less;
            (weight[class as usize] * (UNIT >> count.min(16))) as i64
        };
        let different = only.iter().copied().filter(|class| also.binary_search(class).is_err());
        different.map(|class| charge(class, from, 1) - charge(class, to, 0)).sum()
    }
}

/// Exchanges vertices, and moves them to free cores, while the charges fall.
pub(crate) fn exchange_vertices(problem: &Problem, classes: &Classes, machine: &Machine, placement: &mut Placement) {
    let mut shared: Vec<Vec<u32>> = vec![Vec::new(); problem.vertices.len()];
    for class in (0..classes.len()).filter(|&class| classes.weight[class] > 0) {
        let sinks = classes.sinks(problem, class);
        if sinks.len() > 1 {
            sinks.iter().for_each(|&sink| shared[sink as usize].push(class as u32));
        }
    }
    // Chips with body vertices, and on each the movable vertices by kind.
    let mut kinds: Vec<Kind> = Vec::new();
    let mut numbers: BTreeMap<(u64, &[u32]), u32> = BTreeMap::new();
    let mut body: Vec<u32> = Vec::new();
    let mut number_of_chip = vec![usize::MAX; machine.places()];
    for (vertex, own) in shared.iter().enumerate().filter(|(_, own)| !own.is_empty()) {
        let chip = placement.chip_of[vertex] as usize;
        if number_of_chip[chip] == usize::MAX {
            number_of_chip[chip] = body.len();
            body.push(chip as u32);
        }
        numbers.entry((problem.vertices[vertex].sdram_bytes, own)).or_insert_with(|| {
            kinds.push(Kind { classes: own.clone(), sdram_bytes: problem.vertices[vertex].sdram_bytes });
            kinds.len() as u32 - 1
        });
    }
    if classes.len().saturating_mul(body.len()) > COUNTERS {
        return;
    }
    let mut counts = Counts { chips: body.len(), of: vec![0; classes.len() * body.len()] };
    let mut on_chip: Vec<BTreeMap<u32, Vec<u32>>> = vec![BTreeMap::new(); body.len()];
    for (vertex, own) in shared.iter().enumerate().filter(|(_, own)| !own.is_empty()) {
        let chip = number_of_chip[placement.chip_of[vertex] as usize];
        own.iter().for_each(|&class| *counts.at(class, chip) += 1);
        if problem.vertices[vertex].pinned.is_none() {
            let kind = numbers[&(problem.vertices[vertex].sdram_bytes, own.as_slice())];
            on_chip[chip].entry(kind).or_default().push(vertex as u32);
        }
    }
    let mut budget = BUDGET;
    for _ in 0..SWEEPS {
        let mut improved = false;
        for a in 0..body.len() {
            for b in (0..body.len()).filter(|&b| b != a) {
                while let Some((one, other)) =
                    best_exchange(&kinds, &counts, classes, placement, &body, &on_chip, (a, b), &mut budget)
                {
                    improved = true;
                    let mut moves = vec![(one, a, b)];
                    moves.extend(other.map(|other| (other, b, a)));
                    let vertices: Vec<u32> = moves
                        .iter()
                        .map(|&(kind, from, _)| {
                            let members = on_chip[from].get_mut(&kind).expect("bug in snncc: no such kind on the chip");
                            let vertex = members.pop().expect("bug in snncc: a kind without members");
                            if members.is_empty() {
                                on_chip[from].remove(&kind);
                            }
                            placement.take(problem, vertex);
                            vertex
                        })
                        .collect();
                    for (&(kind, from, to), vertex) in moves.iter().zip(vertices) {
                        placement.put(problem, vertex, body[to]);
                        on_chip[to].entry(kind).or_default().push(vertex);
                        for &class in &kinds[kind as usize].classes {
                            *counts.at(class, from) -= 1;
                            *counts.at(class, to) += 1;
                        }
                    }
                }
                if budget == 0 {
                    return;
                }
            }
        }
        if !improved {
            return;
        }
    }
}

/// The kinds on chips `a` and `b` whose exchange gains most; the second may be a free core.
#[allow(clippy::too_many_arguments)]
fn best_exchange(
    kinds: &[Kind],
    counts: &Counts,
    classes: &Classes,
    placement: &Placement,
    body: &[u32],
    on_chip: &[BTreeMap<u32, Vec<u32>>],
    (a, b): (usize, usize),
    budget: &mut u64,
) -> Option<(u32, Option<u32>)> {
    let (free_a, free_b) = (placement.free_sdram[body[a] as usize], placement.free_sdram[body[b] as usize]);
    let mut best: Option<(i64, u32, Option<u32>)> = None;
    for &one in on_chip[a].keys() {
        let one_kind = &kinds[one as usize];
        let free_core = placement.free_cores[body[b] as usize] > 0;
        let others = on_chip[b].keys().map(|&other| Some(other)).chain(free_core.then_some(None));
        for other in others.filter(|&other| other != Some(one)) {
            let (other_classes, other_bytes) = other
                .map_or((&[][..], 0), |other| (&kinds[other as usize].classes[..], kinds[other as usize].sdram_bytes));
            if free_b + other_bytes < one_kind.sdram_bytes || free_a + one_kind.sdram_bytes < other_bytes {
                continue;
            }
            *budget = budget.saturating_sub((one_kind.classes.len() + other_classes.len()) as u64);
            if *budget == 0 {
                return None;
            }
            let gain = counts.gain(&one_kind.classes, other_classes, &classes.weight, a, b)
                + counts.gain(other_classes, &one_kind.classes, &classes.weight, b, a);
            if gain > 0 && best.is_none_or(|(most, _, _)| gain > most) {
                best = Some((gain, one, other));
            }
        }
    }
    best.map(|(_, one, other)| (one, other))
}
