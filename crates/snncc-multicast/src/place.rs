//! Puts vertices on chips.
//!
//! A chip costs about one link for every net that comes to it, so vertices with many nets coming in, the *body*, are packed
//! tightly, equals together, on chips that grow out from the middle of the machine as one connected region. Vertices that share no
//! net with others, the *satellites* (sources of input, mostly), then take the cores that are left on the chip of their partner,
//! and whole chips beside it when they are too many: they cost one link each, a chip of body vertices costs one for every net.
//!
//! **Invariant:** no chip holds more than its cores and its memory, and pinned vertices are where they were pinned.

use crate::classes::Classes;
use crate::machine::{LINKS, Machine, NOWHERE};
use crate::pack::{Kind, Packer, Scarce};
use crate::problem::Problem;
use snncc_ids::{Diagnostic, Diagnostics, code};
use std::collections::BTreeMap;

/// Which chip each vertex is on, and what is left of each chip.
pub(crate) struct Placement {
    /// Chip of each vertex; `NOWHERE` before it is placed.
    pub(crate) chip_of: Vec<u32>,
    pub(crate) free_cores: Vec<u32>,
    pub(crate) free_sdram: Vec<u64>,
}

impl Placement {
    fn new(problem: &Problem, machine: &Machine) -> Self {
        let resources = |chip: usize| machine.resources(chip as u32);
        let cores = |chip| resources(chip).map_or(0, |resources| u32::from(resources.cores));
        Self {
            chip_of: vec![NOWHERE; problem.vertices.len()],
            free_cores: (0..machine.places()).map(cores).collect(),
            free_sdram: (0..machine.places())
                .map(|chip| resources(chip).map_or(0, |resources| resources.sdram_bytes))
                .collect(),
        }
    }

    /// Whether the vertex fits onto the chip.
    pub(crate) fn fits(&self, problem: &Problem, vertex: u32, chip: u32) -> bool {
        let sdram_bytes = problem.vertices[vertex as usize].sdram_bytes;
        self.free_cores[chip as usize] > 0 && self.free_sdram[chip as usize] >= sdram_bytes
    }

    /// Puts it there.
    pub(crate) fn put(&mut self, problem: &Problem, vertex: u32, chip: u32) {
        debug_assert!(self.fits(problem, vertex, chip));
        self.chip_of[vertex as usize] = chip;
        self.free_cores[chip as usize] -= 1;
        self.free_sdram[chip as usize] -= problem.vertices[vertex as usize].sdram_bytes;
    }

    /// Takes it away from its chip.
    pub(crate) fn take(&mut self, problem: &Problem, vertex: u32) {
        let chip = std::mem::replace(&mut self.chip_of[vertex as usize], NOWHERE) as usize;
        self.free_cores[chip] += 1;
        self.free_sdram[chip] += problem.vertices[vertex as usize].sdram_bytes;
    }
}

/// The roles of vertices, from the classes alone.
struct Roles {
    kinds: Vec<Kind>,
    /// Satellites of each vertex.
    satellites: Vec<Vec<u32>>,
    /// Satellites without a partner.
    loose: Vec<u32>,
}

/// Places all vertices.
///
/// # Errors
/// A pin that cannot be honoured; a vertex that is too large; too few chips.
pub(crate) fn place(problem: &Problem, classes: &Classes, machine: &Machine) -> Result<Placement, Diagnostics> {
    let mut placement = Placement::new(problem, machine);
    pin(problem, machine, &mut placement)?;
    let roles = roles(problem, classes);
    let mut grower = Grower::new(problem, machine, placement, roles.satellites);
    grower.body(roles.kinds, &classes.weight);
    grower.rest(&roles.loose);
    grower.finish()
}

fn pin(problem: &Problem, machine: &Machine, placement: &mut Placement) -> Result<(), Diagnostics> {
    let mut faults = Diagnostics::new();
    let largest = machine.alive().into_iter().filter_map(|chip| machine.resources(chip));
    let largest = largest.filter(|chip| chip.cores > 0).map(|chip| chip.sdram_bytes).max().unwrap_or(0);
    for (vertex, number) in problem.vertices.iter().zip(0u32..) {
        let item = format!("vertices/{number}");
        if vertex.sdram_bytes > largest {
            let message =
                format!("a vertex needs {} B of memory; no chip has more than {largest} B", vertex.sdram_bytes);
            faults.push(Diagnostic::error(code::NEURON_FITS_NOWHERE, message).at(item));
        } else if let Some((x, y)) = vertex.pinned {
            match machine.chip_at(x, y) {
                Some(chip) if placement.fits(problem, number, chip) => placement.put(problem, number, chip),
                Some(_) => faults.push(
                    Diagnostic::error(code::ILLEGAL_PIN, format!("chip ({x}, {y}) has no room left for it")).at(item),
                ),
                None => {
                    faults.push(Diagnostic::error(code::ILLEGAL_PIN, format!("there is no chip ({x}, {y})")).at(item))
                }
            }
        }
    }
    if faults.has_errors() { Err(faults) } else { Ok(()) }
}

fn roles(problem: &Problem, classes: &Classes) -> Roles {
    let count = problem.vertices.len();
    let mut shared: Vec<Vec<u32>> = vec![Vec::new(); count];
    // The one vertex a satellite should be near, with the weight that says so.
    let mut partner: Vec<Option<(u64, u32)>> = vec![None; count];
    let mut prefer = |vertex: u32, weight: u64, other: u32| {
        let best = &mut partner[vertex as usize];
        if vertex != other && best.is_none_or(|(most, _)| weight > most) {
            *best = Some((weight, other));
        }
    };
    for class in 0..classes.len() {
        let sinks = classes.sinks(problem, class);
        if sinks.len() > 1 {
            sinks.iter().for_each(|&sink| shared[sink as usize].push(class as u32));
        }
    }
    for (number, net) in problem.nets.iter().enumerate() {
        let sinks = problem.sinks(number);
        if !sinks.is_empty() {
            // Sources of one class spread over its sinks.
            let sink = sinks[(net.source as usize).wrapping_mul(7) % sinks.len()];
            prefer(net.source, u64::from(net.weight), sink);
            if sinks.len() == 1 {
                prefer(sink, u64::from(net.weight), net.source);
            }
        }
    }
    let mut roles = Roles { kinds: Vec::new(), satellites: vec![Vec::new(); count], loose: Vec::new() };
    let has_body = shared.iter().any(|classes| !classes.is_empty());
    let mut numbers: BTreeMap<(u32, u64, &[u32]), usize> = BTreeMap::new();
    for (vertex, number) in problem.vertices.iter().zip(0u32..) {
        let own = &shared[number as usize];
        if vertex.pinned.is_some() {
            continue;
        }
        if own.is_empty() && has_body {
            // A chain of satellites ends at a body vertex, or is loose.
            let mut at = number;
            let end = (0..8).find_map(|_| {
                at = partner[at as usize]?.1;
                let is_anchor = !shared[at as usize].is_empty() || problem.vertices[at as usize].pinned.is_some();
                is_anchor.then_some(at)
            });
            end.map_or(&mut roles.loose, |end| &mut roles.satellites[end as usize]).push(number);
            continue;
        }
        let kinds = &mut roles.kinds;
        let kind = *numbers.entry((vertex.population, vertex.sdram_bytes, own)).or_insert_with(|| {
            kinds.push(Kind { classes: own.clone(), sdram_bytes: vertex.sdram_bytes, members: Vec::new() });
            kinds.len() - 1
        });
        roles.kinds[kind].members.push(number);
    }
    for kind in &mut roles.kinds {
        kind.members.reverse();
    }
    roles
}

/// The region as it grows.
struct Grower<'a> {
    problem: &'a Problem,
    machine: &'a Machine,
    placement: Placement,
    satellites: Vec<Vec<u32>>,
    alive: Vec<u32>,
    /// Chips that hold something.
    used: Vec<bool>,
    /// Chips with body vertices.
    body: Vec<bool>,
    start: u32,
    /// Satellites whose partner's chip was full, with that chip.
    pending: Vec<(u32, u32)>,
    unplaced: Vec<u32>,
}

impl<'a> Grower<'a> {
    fn new(problem: &'a Problem, machine: &'a Machine, placement: Placement, satellites: Vec<Vec<u32>>) -> Self {
        let alive = machine.alive();
        let mut used = vec![false; machine.places()];
        placement.chip_of.iter().filter(|&&chip| chip != NOWHERE).for_each(|&chip| used[chip as usize] = true);
        // The middle of the machine: on a torus any chip is.
        let sum = alive
            .iter()
            .map(|&chip| machine.position(chip))
            .fold((0, 0), |sum: (u64, u64), (x, y)| (sum.0 + u64::from(x), sum.1 + u64::from(y)));
        let count = (alive.len() as u64).max(1);
        let middle = ((sum.0 / count) as u32, (sum.1 / count) as u32);
        let off = |chip: u32| {
            let (x, y) = machine.position(chip);
            let (dx, dy) = (x as i32 - middle.0 as i32, y as i32 - middle.1 as i32);
            dx.unsigned_abs().max(dy.unsigned_abs()).max((dx - dy).unsigned_abs())
        };
        let start = alive.iter().copied().min_by_key(|&chip| (off(chip), chip)).unwrap_or(0);
        let body = vec![false; machine.places()];
        let pinned: Vec<u32> =
            (0..problem.vertices.len() as u32).filter(|&v| placement.chip_of[v as usize] != NOWHERE).collect();
        let mut grower = Self {
            problem,
            machine,
            placement,
            satellites,
            alive,
            used,
            body,
            start,
            pending: Vec::new(),
            unplaced: Vec::new(),
        };
        for vertex in pinned {
            grower.call_satellites(vertex);
        }
        grower
    }

    /// Cores and memory of the largest chips.
    fn usual(&self) -> (u32, u64) {
        let resources = self.alive.iter().filter_map(|&chip| self.machine.resources(chip));
        resources.fold((1, 1), |most, chip| (most.0.max(u32::from(chip.cores)), most.1.max(chip.sdram_bytes)))
    }

    /// Packs the body, chip after chip, each followed by its satellites.
    fn body(&mut self, mut kinds: Vec<Kind>, weight: &[u64]) {
        let (cores, sdram_bytes) = self.usual();
        let known = kinds.clone();
        let mut packer = Packer::new(&known, weight, cores, sdram_bytes);
        let satellites = self.satellites.iter().map(Vec::len).sum::<usize>() as u64;
        let crowded = packer.scarce() == Scarce::Cores && 4 * satellites > 3 * packer.left();
        while packer.left() > 0 {
            let Some(chip) = self.next_body_chip(packer.scarce(), crowded) else { break };
            self.used[chip as usize] = true;
            let (cores, sdram_bytes) =
                (self.placement.free_cores[chip as usize], self.placement.free_sdram[chip as usize]);
            let mut placed = Vec::new();
            for (kind, count) in packer.next_chip(cores, sdram_bytes) {
                let members = &mut kinds[kind].members;
                placed.extend(members.drain(members.len() - count as usize..));
            }
            if placed.is_empty() {
                continue;
            }
            self.body[chip as usize] = true;
            placed.iter().for_each(|&vertex| self.placement.put(self.problem, vertex, chip));
            placed.iter().for_each(|&vertex| self.call_satellites(vertex));
            self.settle_nearby(chip);
            self.open_satellite_chips(false);
        }
        self.unplaced.extend(kinds.iter().flat_map(|kind| kind.members.iter().rev().copied()));
    }

    /// A free chip beside the body, near the start, with many body chips around it.
    fn next_body_chip(&self, scarce: Scarce, crowded: bool) -> Option<u32> {
        let (usual_cores, _) = self.usual();
        let cost = |chip: u32| {
            let around = (0..LINKS).filter_map(|link| self.machine.neighbour(chip, link));
            let (mut body, mut free) = (0, 0);
            around.for_each(|next| {
                body += i64::from(self.body[next as usize]);
                free += i64::from(!self.used[next as usize]);
            });
            let missing = i64::from(usual_cores - self.placement.free_cores[chip as usize]);
            let distance = i64::from(self.machine.distance(self.start, chip));
            let apart = i64::from(body == 0 && self.body.contains(&true));
            let cramped = i64::from(crowded && free == 0);
            let missing = missing * if scarce == Scarce::Cores { 8 } else { 2 };
            (apart, cramped, 8 * distance - 3 * body + missing, chip)
        };
        let free = self
            .alive
            .iter()
            .copied()
            .filter(|&chip| !self.used[chip as usize] && self.placement.free_cores[chip as usize] > 0);
        free.min_by_key(|&chip| cost(chip))
    }

    /// Puts the satellites of a placed vertex on its chip, as far as there is room.
    fn call_satellites(&mut self, vertex: u32) {
        let chip = self.placement.chip_of[vertex as usize];
        for satellite in std::mem::take(&mut self.satellites[vertex as usize]) {
            if self.placement.fits(self.problem, satellite, chip) {
                self.placement.put(self.problem, satellite, chip);
            } else {
                self.pending.push((satellite, chip));
            }
        }
    }

    /// Lets pending satellites of the chips around take what is left on a chip.
    fn settle_nearby(&mut self, chip: u32) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.retain(|&(satellite, partner)| {
            let near = self.machine.distance(chip, partner) <= 1 && self.placement.fits(self.problem, satellite, chip);
            if near {
                self.placement.put(self.problem, satellite, chip);
            }
            !near
        });
        self.pending = pending;
    }

    /// Opens chips for the pending satellites: full ones, or for `all`.
    fn open_satellite_chips(&mut self, all: bool) {
        let (usual_cores, _) = self.usual();
        while !self.pending.is_empty() && (all || self.pending.len() >= usual_cores as usize) {
            let take = self.pending.len().min(usual_cores as usize);
            let cost = |chip: u32| {
                let cores = (self.placement.free_cores[chip as usize] as usize).min(take);
                let hops: u64 = self.pending[..cores]
                    .iter()
                    .map(|&(_, partner)| u64::from(self.machine.distance(chip, partner)))
                    .sum();
                let around = (0..LINKS).filter_map(|link| self.machine.neighbour(chip, link));
                let free = around.filter(|&next| !self.used[next as usize]).count() as u64;
                (64 * hops / cores as u64 + 2 * free, chip)
            };
            let free = self
                .alive
                .iter()
                .copied()
                .filter(|&chip| !self.used[chip as usize] && self.placement.free_cores[chip as usize] > 0);
            let Some(chip) = free.min_by_key(|&chip| cost(chip)) else { break };
            self.used[chip as usize] = true;
            let mut pending = std::mem::take(&mut self.pending);
            pending.retain(|&(satellite, _)| {
                let fits = self.placement.fits(self.problem, satellite, chip);
                if fits {
                    self.placement.put(self.problem, satellite, chip);
                }
                !fits
            });
            self.pending = pending;
        }
    }

    /// Everything that is left goes to the nearest chip with room.
    fn rest(&mut self, loose: &[u32]) {
        let pending = std::mem::take(&mut self.pending);
        let called: Vec<u32> = std::mem::take(&mut self.satellites).into_iter().flatten().collect();
        let mut rest: Vec<(u32, u32)> = pending;
        let others = std::mem::take(&mut self.unplaced).into_iter().chain(called).chain(loose.iter().copied());
        rest.extend(others.map(|vertex| (vertex, self.start)));
        for (vertex, partner) in rest {
            let room = self.alive.iter().copied().filter(|&chip| self.placement.fits(self.problem, vertex, chip));
            let cost = |chip: u32| (self.machine.distance(chip, partner), !self.used[chip as usize], chip);
            match room.min_by_key(|&chip| cost(chip)) {
                Some(chip) => {
                    self.used[chip as usize] = true;
                    self.placement.put(self.problem, vertex, chip);
                }
                None => self.unplaced.push(vertex),
            }
        }
    }

    fn finish(self) -> Result<Placement, Diagnostics> {
        let Some(&first) = self.unplaced.first() else { return Ok(self.placement) };
        let cores: u64 =
            self.alive.iter().filter_map(|&chip| self.machine.resources(chip)).map(|chip| u64::from(chip.cores)).sum();
        let message = format!(
            "{} of {} vertices find no chip with a free core and enough memory; the machine has {} chips with {cores} cores",
            self.unplaced.len(),
            self.problem.vertices.len(),
            self.alive.len(),
        );
        Err(Diagnostic::error(code::CHIP_FULL, message).at(format!("vertices/{first}")).into())
    }
}
