//! An order of neurons by overlapping inputs, for populations with sparse connections that exceed a core.
//!
//! A core is grown from a seed: next comes the neuron that shares most sources with those on the core, counting also the
//! members of the core that it listens to (their spikes stay local). Growth stops where compartments, input axons (exact) or
//! synapse words (estimated) are used up; the cutter counts exactly afterwards.

use crate::backend::{Backend, Resource, View};
use snncc_ids::{PopulationId, ProjectionId};
use snncc_ir::Connectivity;

/// Candidates that may fail to fit before a core is closed.
const MISFITS: usize = 8;

/// Neurons of the population in runs, each about a core; `None` if no sparse projection enters it.
pub(crate) fn runs<B: Backend>(view: &View<'_>, backend: &B, population: PopulationId) -> Option<Vec<Vec<u32>>> {
    let sparse = |id: &&ProjectionId| matches!(view.projection(**id).connectivity, Connectivity::Sparse(_));
    let projections: Vec<ProjectionId> = view.incoming(population).iter().filter(sparse).copied().collect();
    if projections.is_empty() {
        return None;
    }
    Some(Growth::new(view, backend, population, projections).run())
}

/// Unassigned neurons by overlap, for taking the largest.
struct Buckets {
    /// Neurons of each overlap.
    by_overlap: Vec<Vec<u32>>,
    /// Index of each neuron in its bucket.
    index: Vec<u32>,
    overlap: Vec<u32>,
    /// No bucket above this one has neurons.
    top: usize,
}

impl Buckets {
    fn new(neurons: usize) -> Self {
        Self { by_overlap: vec![Vec::new()], index: vec![0; neurons], overlap: vec![0; neurons], top: 0 }
    }

    fn insert(&mut self, neuron: u32, overlap: u32) {
        if self.by_overlap.len() <= overlap as usize {
            self.by_overlap.resize_with(overlap as usize + 1, Vec::new);
        }
        let bucket = &mut self.by_overlap[overlap as usize];
        self.index[neuron as usize] = bucket.len() as u32;
        self.overlap[neuron as usize] = overlap;
        bucket.push(neuron);
        self.top = self.top.max(overlap as usize);
    }

    fn remove(&mut self, neuron: u32) {
        let at = self.index[neuron as usize] as usize;
        let bucket = &mut self.by_overlap[self.overlap[neuron as usize] as usize];
        bucket.swap_remove(at);
        if let Some(moved) = bucket.get(at) {
            self.index[*moved as usize] = at as u32;
        }
    }

    fn holds(&self, neuron: u32) -> bool {
        let bucket = &self.by_overlap[self.overlap[neuron as usize] as usize];
        bucket.get(self.index[neuron as usize] as usize) == Some(&neuron)
    }

    fn raise(&mut self, neuron: u32) {
        self.remove(neuron);
        self.insert(neuron, self.overlap[neuron as usize] + 1);
    }

    fn largest(&mut self) -> Option<u32> {
        while self.top > 0 && self.by_overlap[self.top].is_empty() {
            self.top -= 1;
        }
        self.by_overlap[self.top].last().copied()
    }
}

struct Growth<'a, B: Backend> {
    view: &'a View<'a>,
    backend: &'a B,
    population: PopulationId,
    projections: Vec<ProjectionId>,
    /// Axons and words that every neuron brings whatever the order (inputs that are not sparse), for a whole core.
    axons_left: u64,
    /// Number of the core on which a source (by global number) was last seen.
    seen: Vec<u32>,
    /// Synapses of each source of each sparse projection on the current core.
    held: Vec<Vec<u32>>,
    /// Estimated words of a list by its number of synapses, by projection.
    words_of: Vec<Vec<u64>>,
}

impl<'a, B: Backend> Growth<'a, B> {
    fn new(view: &'a View<'a>, backend: &'a B, population: PopulationId, projections: Vec<ProjectionId>) -> Self {
        let dense: u64 = view
            .incoming(population)
            .iter()
            .map(|id| view.projection(*id))
            .filter(|projection| matches!(projection.connectivity, Connectivity::Dense))
            .map(|projection| u64::from(projection.source_len))
            .sum();
        let held = projections.iter().map(|id| vec![0; view.projection(*id).source_len as usize]).collect();
        let axons_left = backend.limits().get(Resource::InAxons).max().saturating_sub(dense).max(1);
        let words_of = projections
            .iter()
            .map(|id| {
                (0..=backend.compartments_per_core() + 1).map(|held| backend.scattered_words(*id, held)).collect()
            })
            .collect();
        Self { view, backend, population, projections, axons_left, seen: vec![0; view.global_len()], held, words_of }
    }

    /// Axons and words that a neuron adds to the current core.
    fn added(&self, neuron: u32, core: u32) -> (u64, u64) {
        let (mut axons, mut words) = (0, 0);
        for ((projection, held), words_of) in self.projections.iter().zip(&self.held).zip(&self.words_of) {
            let source_population = self.view.projection(*projection).source;
            self.view.fan_in(*projection, neuron, |source, weight| {
                if self.view.ir.weights[*projection].mantissas[weight] == 0 {
                    return;
                }
                let before = held[source as usize] as usize;
                words += words_of[before + 1] - words_of[before];
                axons += u64::from(self.seen[self.view.global(source_population, source) as usize] != core);
            });
        }
        (axons, words)
    }

    fn run(mut self) -> Vec<Vec<u32>> {
        let len = self.view.population(self.population).len();
        let limits = self.backend.limits();
        let (words_limit, most) = (limits.get(Resource::SynapseWords).max(), self.backend.compartments_per_core());
        let mut assigned = vec![false; len];
        let mut runs: Vec<Vec<u32>> = Vec::new();
        let mut left = len;
        while left > 0 {
            let core = runs.len() as u32 + 1;
            let mut buckets = Buckets::new(len);
            // The first unassigned neuron is the seed, and first among equals.
            for neuron in (0..len as u32).rev().filter(|neuron| !assigned[*neuron as usize]) {
                buckets.insert(neuron, 0);
            }
            self.held.iter_mut().for_each(|held| held.fill(0));
            let (mut run, mut axons, mut words, mut misfits) = (Vec::new(), 0, 0, 0);
            while let Some(neuron) = buckets.largest() {
                let added = self.added(neuron, core);
                buckets.remove(neuron);
                let fits = axons + added.0 <= self.axons_left && words + added.1 <= words_limit && run.len() < most;
                if !fits && !run.is_empty() {
                    misfits += 1;
                    if misfits > MISFITS || run.len() == most {
                        break;
                    }
                    continue;
                }
                axons += added.0;
                words += added.1;
                assigned[neuron as usize] = true;
                run.push(neuron);
                self.take(neuron, core, &mut buckets, &assigned);
            }
            left -= run.len();
            run.sort_unstable();
            runs.push(run);
        }
        runs
    }

    /// Puts a neuron on the core and raises those that share its new sources or listen to it.
    fn take(&mut self, neuron: u32, core: u32, buckets: &mut Buckets, assigned: &[bool]) {
        let view = self.view;
        let mut raise = |target: u32| {
            // Neurons set aside as misfits stay aside: they are in no bucket.
            if !assigned[target as usize] && buckets.holds(target) {
                buckets.raise(target);
            }
        };
        for at in 0..self.projections.len() {
            let id = self.projections[at];
            let projection = view.projection(id);
            let Connectivity::Sparse(pattern) = &projection.connectivity else { continue };
            let row = |source: u32| {
                let range =
                    pattern.row_starts[source as usize] as usize..pattern.row_starts[source as usize + 1] as usize;
                &pattern.targets[range]
            };
            let (held, seen) = (&mut self.held[at], &mut self.seen);
            view.fan_in(id, neuron, |source, _| {
                held[source as usize] += 1;
                let global = view.global(projection.source, source) as usize;
                if seen[global] != core {
                    seen[global] = core;
                    row(source).iter().for_each(|target| raise(*target));
                }
            });
            if projection.source == self.population {
                row(neuron).iter().for_each(|target| raise(*target));
            }
        }
    }
}
