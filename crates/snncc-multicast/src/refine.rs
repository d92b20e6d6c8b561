//! Improves a placement: exchanges whole chips, then single satellites, while that saves links.
//!
//! The cost of a class is `weight × (least spanning tree over its sinks' chips)`, plus the way to it for sources elsewhere, all in
//! distances of the mesh. Only classes that hold exactly one of two exchanged chips change, and of a region of chips with
//! one class in common that is none: most exchanges cost nothing to judge.
//!
//! **Invariant:** the placement stays legal, and the sum of these costs never grows.

use crate::classes::Classes;
use crate::machine::Machine;
use crate::place::Placement;
use crate::problem::Problem;

/// Distances looked up in one call, about.
const BUDGET: u64 = 1 << 25;

/// Chips with sinks up to which a class is judged at once.
const SMALL: usize = 4;

/// Rounds of both kinds of steps.
const ROUNDS: usize = 2;

/// Sweeps over all chips.
const SWEEPS: usize = 3;

/// The chips of one class.
#[derive(Clone, Default)]
struct ChipClass {
    weight: u64,
    /// Chips with sinks.
    sinks: Vec<u32>,
    /// Chips with sources, with the weight of their nets.
    sources: Vec<(u32, u64)>,
}

impl ChipClass {
    /// Weighted links, about, with chips renamed by `name`; takes the distances it looked up off `budget`.
    fn cost(
        &self,
        machine: &Machine,
        name: impl Fn(u32) -> u32,
        budget: &mut u64,
        scratch: &mut Vec<(u32, u32)>,
    ) -> u64 {
        scratch.clear();
        scratch.extend(self.sinks.iter().map(|&chip| (name(chip), u32::MAX)));
        let work = scratch.len() * (scratch.len() + self.sources.len());
        *budget = budget.saturating_sub(work as u64);
        let mut total = 0;
        for &(chip, weight) in &self.sources {
            let from = name(chip);
            let nearest = scratch.iter().map(|&(chip, _)| machine.distance(from, chip)).min().unwrap_or(0);
            total += weight * u64::from(nearest);
        }
        // Prim: the chip nearest to the tree, again and again.
        let mut tree = 0;
        let Some((mut newest, _)) = scratch.pop() else { return total };
        while !scratch.is_empty() {
            let mut nearest = 0;
            for at in 0..scratch.len() {
                if scratch[at].1 > 1 {
                    scratch[at].1 = scratch[at].1.min(machine.distance(newest, scratch[at].0));
                }
                if scratch[at].1 < scratch[nearest].1 {
                    nearest = at;
                }
            }
            let (chip, distance) = scratch.swap_remove(nearest);
            tree += u64::from(distance);
            newest = chip;
        }
        total + self.weight * tree
    }

    /// No less than this is `cost` once the content of `leaves` is on `enters`: every link of the tree is one hop at least, and
    /// the new chip is as far away as it is.
    fn least_cost(&self, machine: &Machine, leaves: u32, enters: u32, budget: &mut u64) -> u64 {
        *budget = budget.saturating_sub(self.sinks.len() as u64);
        let others = self.sinks.iter().filter(|&&chip| chip != leaves);
        let Some(nearest) = others.map(|&chip| machine.distance(enters, chip)).min() else { return 0 };
        self.weight * (self.sinks.len() as u64 - 2 + u64::from(nearest))
    }

    fn has_sink(&self, chip: u32) -> bool {
        self.sinks.contains(&chip)
    }
}

/// Exchanges chips and moves satellites.
pub(crate) fn refine(problem: &Problem, classes: &Classes, machine: &Machine, placement: &mut Placement) {
    // Satellites that come nearer free whole chips to go elsewhere.
    for _ in 0..ROUNDS {
        exchange_chips(problem, classes, machine, placement);
        move_satellites(problem, classes, machine, placement);
    }
}

fn exchange_chips(problem: &Problem, classes: &Classes, machine: &Machine, placement: &mut Placement) {
    let mut chip_classes: Vec<ChipClass> = vec![ChipClass::default(); classes.len()];
    for (class, at) in chip_classes.iter_mut().enumerate() {
        at.weight = classes.weight[class];
        at.sinks.extend(classes.sinks(problem, class).iter().map(|&sink| placement.chip_of[sink as usize]));
        at.sinks.sort_unstable();
        at.sinks.dedup();
    }
    for (net, &class) in problem.nets.iter().zip(&classes.of_net) {
        let chip = placement.chip_of[net.source as usize];
        let sources = &mut chip_classes[class as usize].sources;
        match sources.iter_mut().find(|(other, _)| *other == chip) {
            Some((_, weight)) => *weight += u64::from(net.weight),
            None => sources.push((chip, u64::from(net.weight))),
        }
    }
    // A class within one chip never costs anything.
    chip_classes.retain(|class| {
        class.weight > 0 && (class.sinks.len() > 1 || class.sources.iter().any(|&(chip, _)| !class.has_sink(chip)))
    });
    let mut of_chip: Vec<Vec<u32>> = vec![Vec::new(); machine.places()];
    for (class, number) in chip_classes.iter().zip(0u32..) {
        for &chip in class.sinks.iter().chain(class.sources.iter().map(|(chip, _)| chip)) {
            if of_chip[chip as usize].last() != Some(&number) {
                of_chip[chip as usize].push(number);
            }
        }
    }
    let mut fixed = vec![false; machine.places()];
    let mut cores_used = vec![0u32; machine.places()];
    let mut sdram_used = vec![0u64; machine.places()];
    for (vertex, &chip) in problem.vertices.iter().zip(&placement.chip_of) {
        fixed[chip as usize] |= vertex.pinned.is_some();
        cores_used[chip as usize] += 1;
        sdram_used[chip as usize] += vertex.sdram_bytes;
    }
    let fits = |from: usize, to: u32, cores_used: &[u32], sdram_used: &[u64]| {
        machine
            .resources(to)
            .is_some_and(|chip| u32::from(chip.cores) >= cores_used[from] && chip.sdram_bytes >= sdram_used[from])
    };
    let mut budget = BUDGET;
    let mut scratch = Vec::new();
    let mut costs: Vec<u64> =
        chip_classes.iter().map(|class| class.cost(machine, |chip| chip, &mut budget, &mut scratch)).collect();
    // What the content of each chip is called now.
    let mut moved_to: Vec<u32> = (0..machine.places() as u32).collect();
    let alive = machine.alive();
    let mut touched: Vec<u32> = Vec::new();
    let mut after: Vec<Option<u64>> = Vec::new();
    for _ in 0..SWEEPS {
        let mut improved = false;
        for (index, &a) in alive.iter().enumerate() {
            for &b in &alive[index + 1..] {
                if budget == 0 {
                    break;
                }
                let (from_a, from_b) = (a as usize, b as usize);
                budget -= 1;
                let idle = cores_used[from_a] == 0 && cores_used[from_b] == 0;
                if idle
                    || fixed[from_a]
                    || fixed[from_b]
                    || !fits(from_a, b, &cores_used, &sdram_used)
                    || !fits(from_b, a, &cores_used, &sdram_used)
                {
                    continue;
                }
                touched.clear();
                touched.extend(of_chip[from_a].iter().chain(&of_chip[from_b]));
                touched.sort_unstable();
                touched.dedup();
                let name = |chip: u32| {
                    if chip == a {
                        b
                    } else if chip == b {
                        a
                    } else {
                        chip
                    }
                };
                // Judge by bounds first: of most exchanges they say enough.
                let mut change = 0i64;
                after.clear();
                for &class in &touched {
                    let (chips, before) = (&chip_classes[class as usize], costs[class as usize]);
                    let (with_a, with_b) = (chips.has_sink(a), chips.has_sink(b));
                    let now = if with_a && with_b {
                        // The set of chips stays, and so does every way to it.
                        Some(before)
                    } else if chips.sinks.len() <= SMALL {
                        Some(chips.cost(machine, name, &mut budget, &mut scratch))
                    } else if with_a || with_b {
                        let (leaves, enters) = if with_a { (a, b) } else { (b, a) };
                        change += chips.least_cost(machine, leaves, enters, &mut budget) as i64 - before as i64;
                        None
                    } else {
                        change -= before as i64;
                        None
                    };
                    change += now.map_or(0, |now| now as i64 - before as i64);
                    after.push(now);
                }
                if change >= 0 {
                    continue;
                }
                change = 0;
                for (&class, now) in touched.iter().zip(&mut after) {
                    let chips = &chip_classes[class as usize];
                    let now = *now.get_or_insert_with(|| chips.cost(machine, name, &mut budget, &mut scratch));
                    change += now as i64 - costs[class as usize] as i64;
                }
                if change < 0 {
                    improved = true;
                    for (&class, cost) in touched.iter().zip(&after) {
                        costs[class as usize] = cost.expect("bug in snncc: an exchange that was not judged");
                        let class = &mut chip_classes[class as usize];
                        class
                            .sinks
                            .iter_mut()
                            .chain(class.sources.iter_mut().map(|(chip, _)| chip))
                            .for_each(|chip| *chip = name(*chip));
                    }
                    of_chip.swap(from_a, from_b);
                    cores_used.swap(from_a, from_b);
                    sdram_used.swap(from_a, from_b);
                    moved_to.iter_mut().for_each(|chip| *chip = name(*chip));
                }
            }
        }
        if !improved || budget == 0 {
            break;
        }
    }
    for chip in &mut placement.chip_of {
        *chip = moved_to[*chip as usize];
    }
    for &chip in &alive {
        let resources = machine.resources(chip).expect("bug in snncc: a chip that is alive has no resources");
        placement.free_cores[chip as usize] = u32::from(resources.cores) - cores_used[chip as usize];
        placement.free_sdram[chip as usize] = resources.sdram_bytes - sdram_used[chip as usize];
    }
}

/// Moves vertices that have only partners, no shared nets, onto the chip of a partner or nearer to it.
fn move_satellites(problem: &Problem, classes: &Classes, machine: &Machine, placement: &mut Placement) {
    let count = problem.vertices.len();
    let mut movable = vec![true; count];
    for (vertex, movable) in problem.vertices.iter().zip(&mut movable) {
        *movable = vertex.pinned.is_none();
    }
    for class in 0..classes.len() {
        let sinks = classes.sinks(problem, class);
        if sinks.len() > 1 {
            sinks.iter().for_each(|&sink| movable[sink as usize] = false);
        }
    }
    let mut partners: Vec<Vec<(u32, u64)>> = vec![Vec::new(); count];
    for (number, net) in problem.nets.iter().enumerate() {
        match *problem.sinks(number) {
            [] => {}
            [sink] => {
                partners[net.source as usize].push((sink, u64::from(net.weight)));
                partners[sink as usize].push((net.source, u64::from(net.weight)));
            }
            // Sources of wide nets stay where the placement spread them.
            _ => movable[net.source as usize] = false,
        }
    }
    let mut on_chip: Vec<Vec<u32>> = vec![Vec::new(); machine.places()];
    for (vertex, &chip) in placement.chip_of.iter().enumerate() {
        if movable[vertex] {
            on_chip[chip as usize].push(vertex as u32);
        }
    }
    let alive = machine.alive();
    let cost = |placement: &Placement, vertex: u32, chip: u32| -> u64 {
        let partners = partners[vertex as usize].iter();
        partners
            .map(|&(other, weight)| weight * u64::from(machine.distance(chip, placement.chip_of[other as usize])))
            .sum()
    };
    let mut budget = BUDGET;
    for vertex in (0..count as u32).filter(|&vertex| movable[vertex as usize]) {
        let here = placement.chip_of[vertex as usize];
        let now = cost(placement, vertex, here);
        if now == 0 || budget == 0 {
            continue;
        }
        budget = budget.saturating_sub((alive.len() * partners[vertex as usize].len()) as u64);
        // The chip with most gain; where it is full, what its guests lose by coming here.
        let mut best: Option<(u64, u32, Option<u32>)> = None;
        for &chip in &alive {
            let there = cost(placement, vertex, chip);
            if there >= now {
                continue;
            }
            let gain = now - there;
            let mut offer = |gain: u64, guest: Option<u32>| {
                if gain > 0 && best.is_none_or(|(most, _, _)| gain > most) {
                    best = Some((gain, chip, guest));
                }
            };
            if placement.fits(problem, vertex, chip) {
                offer(gain, None);
                continue;
            }
            for &guest in &on_chip[chip as usize] {
                let bytes = |vertex: u32| problem.vertices[vertex as usize].sdram_bytes;
                let room = placement.free_sdram[chip as usize] + bytes(guest) >= bytes(vertex)
                    && placement.free_sdram[here as usize] + bytes(vertex) >= bytes(guest);
                let related = partners[vertex as usize].iter().any(|&(other, _)| other == guest);
                budget = budget.saturating_sub(1);
                if room && !related {
                    let loss = cost(placement, guest, here) as i64 - cost(placement, guest, chip) as i64;
                    offer((gain as i64 - loss).max(0) as u64, Some(guest));
                }
            }
        }
        if let Some((_, chip, guest)) = best {
            placement.take(problem, vertex);
            on_chip[here as usize].retain(|&other| other != vertex);
            if let Some(guest) = guest {
                placement.take(problem, guest);
                on_chip[chip as usize].retain(|&other| other != guest);
                placement.put(problem, guest, here);
                on_chip[here as usize].push(guest);
            }
            placement.put(problem, vertex, chip);
            on_chip[chip as usize].push(vertex);
        }
    }
}
