//! Moving and swapping single neurons of sparse populations between cores, with exact changes of the number of messages.
//!
//! Messages = Σ over sources of their rate times the number of cores, other than their own, that listen to them; a small
//! weight on every input axon besides makes axons the second aim. Of each pair (source, core) the number of listeners is
//! kept, so a move's change is exact. Input axons and compartments are exact as well, words estimated; at the end the cores
//! are counted, and if one does not fit all moves are taken back.

use crate::backend::{Backend, Resource, View};
use crate::options::Ctx;
use crate::partition::chunks::{Bin, OwnedPart, Rules, borrow_parts};
use crate::place::rates;
use rayon::prelude::*;
use snncc_ids::PopulationId;
use snncc_ir::Connectivity;
use std::collections::BTreeMap;

/// Sweeps over all neurons, by effort.
const SWEEPS: [usize; 4] = [0, 1, 3, 12];
/// Largest table of listeners (sources times cores).
const MOST_PAIRS: usize = 1 << 25;
/// Weight of an input axon against a message.
const AXON_WEIGHT: f64 = 1e-3;

/// Improves the cores of each sparse population that has several to itself.
pub(crate) fn improve<B: Backend>(rules: &Rules<'_, B>, mut bins: Vec<Bin>, ctx: &Ctx<'_>) -> Vec<Bin> {
    let sweeps = SWEEPS[usize::from(ctx.options.effort.min(3))];
    if sweeps == 0 || rules.backend.compartments_per_core() > usize::from(u16::MAX) {
        return bins;
    }
    let rates = rates(rules.view, ctx);
    for population in rules.view.neuron_populations() {
        let own: Vec<usize> = (0..bins.len())
            .filter(|at| bins[*at].pinned.is_none())
            .filter(|at| bins[*at].parts.len() == 1 && bins[*at].parts[0].population == population)
            .collect();
        if own.len() < 2 || own.len() > usize::from(u16::MAX) {
            continue;
        }
        let Some(mut state) = State::new(rules, population, &own, &bins, &rates) else { continue };
        let mut moved = false;
        for _ in 0..sweeps {
            let gained = state.sweep();
            moved |= gained > 0;
            if gained * 200 < state.core_of.len() {
                break;
            }
        }
        let better = if moved { state.into_bins(rules, population) } else { None };
        for (at, bin) in own.into_iter().zip(better.into_iter().flatten()) {
            bins[at] = bin;
        }
    }
    bins
}

const NOWHERE: u16 = u16::MAX;

/// Inputs of the neurons and who listens where.
struct State<'a, B: Backend> {
    backend: &'a B,
    /// Core (of those looked at) of each neuron of the population; `NOWHERE` for those on other cores.
    core_of: Vec<u16>,
    /// Sources of each neuron, in compressed rows.
    starts: Vec<u32>,
    sources: Vec<u32>,
    /// Estimated words of a list by its number of synapses.
    words_of: Vec<i64>,
    /// Source number of each neuron of the population; `u32::MAX` if nobody here listens to it.
    source_of_neuron: Vec<u32>,
    /// For each source: its rate, the neuron that it is (or `u32::MAX`), listeners by core.
    rate: Vec<f64>,
    neuron_of_source: Vec<u32>,
    listeners: Vec<u16>,
    cores: usize,
    compartments: Vec<u64>,
    axons: Vec<u64>,
    words: Vec<i64>,
}

impl<'a, B: Backend> State<'a, B> {
    fn new(rules: &Rules<'a, B>, population: PopulationId, own: &[usize], bins: &[Bin], rates: &[f64]) -> Option<Self> {
        let view = rules.view;
        let incoming = view.incoming(population);
        let projection =
            *incoming.iter().find(|id| matches!(view.projection(**id).connectivity, Connectivity::Sparse(_)))?;
        // A neuron counts once for a source, whatever projections join them, and a core may exceed its limit by one neuron
        // while a move is judged.
        let words_of: Vec<i64> = (0..=rules.backend.compartments_per_core() + 1)
            .map(|synapses| rules.backend.scattered_words(projection, synapses) as i64)
            .collect();
        let len = view.population(population).len();
        let mut core_of = vec![NOWHERE; len];
        for (core, at) in own.iter().enumerate() {
            for neuron in &bins[*at].parts[0].neurons {
                core_of[*neuron as usize] = core as u16;
            }
        }
        let (starts, globals) = inputs(view, population, &core_of);
        let mut known = globals.clone();
        known.sort_unstable();
        known.dedup();
        if known.len() * own.len() > MOST_PAIRS {
            return None;
        }
        let number = |global: u32| known.binary_search(&global).ok().map(|at| at as u32);
        let sources: Vec<u32> =
            globals.iter().map(|global| number(*global).expect("bug in snncc: lost source")).collect();
        let source_of_neuron: Vec<u32> =
            (0..len as u32).map(|neuron| number(view.global(population, neuron)).unwrap_or(u32::MAX)).collect();
        let mut neuron_of_source = vec![u32::MAX; known.len()];
        for (neuron, source) in source_of_neuron.iter().enumerate() {
            if *source != u32::MAX {
                neuron_of_source[*source as usize] = neuron as u32;
            }
        }
        // Spikes of the host make no hops: only their axons count.
        let rate = known
            .iter()
            .map(|global| {
                let role = view.population(view.member(*global).0).role;
                if role == snncc_ir::PopulationRole::Input { 0.0 } else { rates[*global as usize] }
            })
            .collect();
        let mut listeners = vec![0_u16; known.len() * own.len()];
        for neuron in 0..len {
            if core_of[neuron] != NOWHERE {
                for source in &sources[starts[neuron] as usize..starts[neuron + 1] as usize] {
                    listeners[*source as usize * own.len() + usize::from(core_of[neuron])] += 1;
                }
            }
        }
        let used = |resource| own.iter().map(|at| bins[*at].count.used.get(resource)).collect::<Vec<u64>>();
        Some(Self {
            backend: rules.backend,
            core_of,
            starts,
            sources,
            words_of,
            source_of_neuron,
            rate,
            neuron_of_source,
            listeners,
            cores: own.len(),
            compartments: used(Resource::Compartments),
            axons: used(Resource::InAxons),
            words: used(Resource::SynapseWords).into_iter().map(|words| words as i64).collect(),
        })
    }

    fn inputs(&self, neuron: usize) -> std::ops::Range<usize> {
        self.starts[neuron] as usize..self.starts[neuron + 1] as usize
    }

    fn listeners(&self, source: u32, core: usize) -> u16 {
        self.listeners[source as usize * self.cores + core]
    }

    /// Core of a source, if it is one of those looked at.
    fn core_of_source(&self, source: u32) -> u16 {
        match self.neuron_of_source[source as usize] {
            u32::MAX => NOWHERE,
            neuron => self.core_of[neuron as usize],
        }
    }

    /// What it costs that core `core` listens to a source.
    fn cost(&self, source: u32, core: usize) -> f64 {
        let message = if usize::from(self.core_of_source(source)) == core { 0.0 } else { self.rate[source as usize] };
        message + AXON_WEIGHT
    }

    /// Moves a neuron; returns what that saves.
    fn shift(&mut self, neuron: usize, to: usize) -> f64 {
        let from = usize::from(self.core_of[neuron]);
        let own = self.source_of_neuron[neuron];
        let mut saved = 0.0;
        // The neuron's own spikes: the cores listening to it, other than its own, before and after.
        let heard = |state: &Self| -> f64 {
            if own == u32::MAX {
                return 0.0;
            }
            let home = usize::from(state.core_of[neuron]);
            let row = &state.listeners[own as usize * state.cores..(own as usize + 1) * state.cores];
            let elsewhere = row.iter().enumerate().filter(|(core, count)| **count > 0 && *core != home).count();
            elsewhere as f64 * state.rate[own as usize]
        };
        saved += heard(self);
        for at in self.inputs(neuron) {
            let source = self.sources[at];
            let (before, after) = (self.listeners(source, from), self.listeners(source, to));
            let words = |count: u16| self.words_of[usize::from(count)];
            self.words[from] += words(before - 1) - words(before);
            self.words[to] += words(after + 1) - words(after);
            if before == 1 {
                saved += if source == own { AXON_WEIGHT } else { self.cost(source, from) };
                self.axons[from] -= 1;
            }
            if after == 0 {
                saved -= if source == own { AXON_WEIGHT } else { self.cost(source, to) };
                self.axons[to] += 1;
            }
            self.listeners[source as usize * self.cores + from] -= 1;
            self.listeners[source as usize * self.cores + to] += 1;
        }
        self.compartments[from] -= 1;
        self.compartments[to] += 1;
        self.core_of[neuron] = to as u16;
        saved - heard(self)
    }

    fn fits(&self, core: usize) -> bool {
        let limits = self.backend.limits();
        self.compartments[core] <= self.backend.compartments_per_core() as u64
            && limits.get(Resource::InAxons).allows(self.axons[core])
            && limits.get(Resource::SynapseWords).allows(self.words[core].max(0) as u64)
    }

    /// The core where the neuron's inputs are cheapest, other than its own, and what the move would save by its inputs.
    fn best_core(&self, neuron: usize, sums: &mut [f64]) -> Option<(usize, f64)> {
        let from = usize::from(self.core_of[neuron]);
        sums.fill(0.0);
        let mut leaving = 0.0;
        for at in self.inputs(neuron) {
            let source = self.sources[at];
            let row = &self.listeners[source as usize * self.cores..(source as usize + 1) * self.cores];
            let (rate, home) = (self.rate[source as usize] + AXON_WEIGHT, usize::from(self.core_of_source(source)));
            if row[from] == 1 {
                leaving += self.cost(source, from);
            }
            for (core, (sum, count)) in sums.iter_mut().zip(row).enumerate() {
                // What the new core would have to pay for this source.
                if *count == 0 {
                    *sum += if core == home { AXON_WEIGHT } else { rate };
                }
            }
        }
        let own = self.source_of_neuron[neuron];
        if own != u32::MAX {
            let row = &self.listeners[own as usize * self.cores..(own as usize + 1) * self.cores];
            for (sum, count) in sums.iter_mut().zip(row) {
                // Going where one is heard makes a message local.
                if *count > 0 {
                    *sum -= self.rate[own as usize];
                }
            }
            leaving -= if row[from] > 0 { self.rate[own as usize] } else { 0.0 };
        }
        let best = (0..self.cores).filter(|core| *core != from).min_by(|a, b| sums[*a].total_cmp(&sums[*b]))?;
        Some((best, leaving - sums[best]))
    }

    /// One pass over all neurons; returns the number of moves made. Every kept move or swap saves something and fits.
    fn sweep(&mut self) -> usize {
        let mut sums = vec![0.0; self.cores];
        let mut wishes: BTreeMap<(u16, u16), Vec<u32>> = BTreeMap::new();
        let mut moves = 0;
        for neuron in 0..self.core_of.len() {
            let from = self.core_of[neuron];
            if from == NOWHERE || self.compartments[usize::from(from)] == 1 {
                continue;
            }
            let Some((to, estimate)) = self.best_core(neuron, &mut sums) else { continue };
            if estimate <= 1e-9 {
                continue;
            }
            let saved = self.shift(neuron, to);
            if saved > 1e-9 && self.fits(to) {
                moves += 1;
                continue;
            }
            // Full: swap with a neuron that wishes to go the other way.
            let partner = wishes.get_mut(&(to as u16, from)).and_then(Vec::pop).map(|partner| partner as usize);
            let partner = partner.filter(|partner| usize::from(self.core_of[*partner]) == to && *partner != neuron);
            if let Some(partner) = partner {
                let saved = saved + self.shift(partner, usize::from(from));
                if saved > 1e-9 && self.fits(to) && self.fits(usize::from(from)) {
                    moves += 2;
                    continue;
                }
                self.shift(partner, to);
            }
            self.shift(neuron, usize::from(from));
            wishes.entry((from, to as u16)).or_default().push(neuron as u32);
        }
        moves
    }

    /// The cores, counted exactly; `None` if one does not fit.
    fn into_bins(self, rules: &Rules<'_, B>, population: PopulationId) -> Option<Vec<Bin>> {
        let mut neurons: Vec<Vec<u32>> = vec![Vec::new(); self.cores];
        for (neuron, core) in self.core_of.iter().enumerate() {
            if *core != NOWHERE {
                neurons[usize::from(*core)].push(neuron as u32);
            }
        }
        neurons
            .into_par_iter()
            .map(|neurons| {
                let parts = vec![OwnedPart { population, neurons }];
                let count = rules.backend.count(&borrow_parts(&parts));
                rules.check(&count).ok().map(|()| Bin { parts, count, pinned: None })
            })
            .collect()
    }
}

/// Distinct sources (global numbers) of each neuron that has a core, in compressed rows.
fn inputs(view: &View<'_>, population: PopulationId, core_of: &[u16]) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0_u32];
    let mut globals: Vec<u32> = Vec::new();
    let mut row: Vec<u32> = Vec::new();
    for (neuron, core) in core_of.iter().enumerate() {
        row.clear();
        if *core != NOWHERE {
            for id in view.incoming(population) {
                let source_population = view.projection(*id).source;
                view.fan_in(*id, neuron as u32, |source, weight| {
                    if view.ir.weights[*id].mantissas[weight] != 0 {
                        row.push(view.global(source_population, source));
                    }
                });
            }
        }
        row.sort_unstable();
        row.dedup();
        globals.extend_from_slice(&row);
        starts.push(globals.len() as u32);
    }
    (starts, globals)
}
