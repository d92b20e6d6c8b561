//! Which physical core each logical one becomes: as few hops as possible.
//!
//! Cost = Σ over messages of their mean rate times the hops to each destination core (each destination is a message of its
//! own). A greedy start puts each core near those it talks to (`greedy`); annealing swaps and moves (`anneal`).

mod anneal;
mod greedy;

use crate::backend::View;
use crate::options::Ctx;
use crate::partition::Partitioned;
use snncc_chip::Target;
use snncc_ids::{CoreId, Diagnostics, SliceId};
use std::collections::BTreeMap;

/// A partition whose cores have places.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    partitioned: Partitioned,
    core_of: Vec<CoreId>,
    cost: f64,
}

/// Places the cores.
///
/// # Errors
/// None at present: the partitioner has made sure that there are enough cores.
pub fn place(partitioned: Partitioned, ctx: &mut Ctx<'_>) -> Result<Placed, Diagnostics> {
    let traffic = Traffic::new(&partitioned, ctx);
    let slots = Slots::new(&partitioned, ctx.target);
    let start = greedy::place(&traffic, &slots, ctx.target);
    let core_of = anneal::anneal(&traffic, &slots, ctx.target, start, ctx.options.effort, ctx.seed());
    let cost = traffic.cost(ctx.target, &core_of);
    Ok(Placed { partitioned, core_of, cost })
}

impl Placed {
    /// The partition.
    pub fn partitioned(&self) -> &Partitioned {
        &self.partitioned
    }

    /// Place of a logical core (an index into [`Partitioned::cores`]).
    pub fn core(&self, logical: usize) -> CoreId {
        self.core_of[logical]
    }

    /// Place of a slice.
    pub fn core_of(&self, slice: SliceId) -> CoreId {
        self.core_of[self.partitioned.core_of_slice(slice)]
    }

    /// Hops per step, at the rates of the calibration data (or with every neuron firing in every step).
    pub fn hops_per_step(&self) -> f64 {
        self.cost
    }
}

/// Mean messages per step between logical cores.
pub(crate) struct Traffic {
    /// For each core, the others it exchanges messages with and how many, both directions summed. Ascending, no self-loops.
    pub(crate) neighbours: Vec<Vec<(u32, f64)>>,
}

/// Mean spikes per step by global number; 1 where there is no calibration data.
pub(crate) fn rates(view: &View<'_>, ctx: &Ctx<'_>) -> Vec<f64> {
    let mut rates = vec![1.0; view.global_len()];
    if let Some(calibration) = ctx.calibration {
        for (id, population) in view.ir.graph.populations.iter_with_ids() {
            let Some(known) = calibration.of(&population.name) else { continue };
            if known.rates.len() == population.len() {
                let start = view.global(id, 0) as usize;
                rates[start..start + known.rates.len()].copy_from_slice(&known.rates);
            }
        }
    }
    rates
}

impl Traffic {
    fn new(partitioned: &Partitioned, ctx: &Ctx<'_>) -> Self {
        let view = View::new(partitioned.ir());
        let rates = rates(&view, ctx);
        let owner = owners(&view, partitioned);
        let mut pairs: BTreeMap<(u32, u32), f64> = BTreeMap::new();
        for (number, core) in partitioned.cores().iter().enumerate() {
            let target = number as u32;
            let mut from = vec![0.0; partitioned.cores().len()];
            for source in &core.sources {
                if let Some(sum) = from.get_mut(owner[*source as usize] as usize) {
                    *sum += rates[*source as usize];
                }
            }
            for (source, rate) in from.into_iter().enumerate() {
                let source = source as u32;
                if source != target && rate > 0.0 {
                    *pairs.entry((source.min(target), source.max(target))).or_default() += rate;
                }
            }
        }
        let mut neighbours = vec![Vec::new(); partitioned.cores().len()];
        for ((a, b), rate) in pairs {
            neighbours[a as usize].push((b, rate));
            neighbours[b as usize].push((a, rate));
        }
        for list in &mut neighbours {
            list.sort_by_key(|(other, _)| *other);
        }
        Self { neighbours }
    }

    /// Hops per step.
    pub(crate) fn cost(&self, target: &Target, core_of: &[CoreId]) -> f64 {
        let mut cost = 0.0;
        for (core, neighbours) in self.neighbours.iter().enumerate() {
            for (other, rate) in neighbours.iter().filter(|(other, _)| *other as usize > core) {
                cost += rate * f64::from(target.hops(core_of[core], core_of[*other as usize]));
            }
        }
        cost
    }
}

/// Logical core of each global number; `u32::MAX` for members of inputs.
pub(crate) fn owners(view: &View<'_>, partitioned: &Partitioned) -> Vec<u32> {
    let mut owner = vec![u32::MAX; view.global_len()];
    for (id, slice) in partitioned.slices().iter_with_ids() {
        for neuron in partitioned.neurons(slice) {
            owner[view.global(slice.population, neuron) as usize] = partitioned.core_of_slice(id) as u32;
        }
    }
    owner
}

/// Where cores may go.
pub(crate) struct Slots {
    /// Cores that may be used and are not pinned to, ascending.
    pub(crate) free: Vec<CoreId>,
    /// The place that the user asked for, by logical core.
    pub(crate) pinned: Vec<Option<CoreId>>,
}

impl Slots {
    fn new(partitioned: &Partitioned, target: &Target) -> Self {
        let pinned: Vec<Option<CoreId>> = partitioned.cores().iter().map(|core| core.pinned).collect();
        let mut taken = vec![false; target.cores() as usize];
        let dead = target.file.dead_cores.iter().map(|core| CoreId(*core));
        for core in dead.chain(partitioned.reserved().iter().copied()).chain(pinned.iter().flatten().copied()) {
            taken[core.0 as usize] = true;
        }
        let free = (0..target.cores()).filter(|core| !taken[*core as usize]).map(CoreId).collect();
        Self { free, pinned }
    }
}
