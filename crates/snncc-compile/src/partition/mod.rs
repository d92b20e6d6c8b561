//! Which neurons share a core: as few cores as possible, then as little communication as possible.
//!
//! 1. `request`: pins, reservations and splits of the user, checked.
//! 2. `legality`: neurons that no core can hold, with what they exceed.
//! 3. `split`: each population alone, cut into chunks that fill cores: convolutions into tiles (`tiles`), sparse and
//!    recurrent populations in an order of overlapping inputs (`overlap`), others in their own order.
//! 4. `greedy`: chunks packed onto cores; small instances exactly (`ilp`).
//! 5. `refine`: cores dissolved into others, neurons moved where that saves messages (`moves`).
//! 6. `finish`: output axons, order of cores, enough cores?
//!
//! **Invariant:** a [`Partitioned`] holds every neuron exactly once, and every core fits by the exact count of the backend.

mod chunks;
mod finish;
mod greedy;
mod ilp;
mod legality;
mod moves;
mod overlap;
mod refine;
mod remedies;
mod request;
mod split;
mod tiles;

use crate::backend::{CoreLimits, CoreUse, View, backend};
use crate::options::Ctx;
use request::Request;
use snncc_ids::{CoreId, Diagnostics, Id, IdVec, PopulationId, SliceId};
use snncc_ir::QuantizedIr;
use std::ops::Range;

/// Neurons of one population that share a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The population.
    pub population: PopulationId,
    /// Positions in the partitioner's order of the population ([`Partitioned::neuron`]), in the order of compartments.
    pub neurons: Range<u32>,
}

/// A core that is not yet placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalCore {
    /// Its slices, in the order of compartments.
    pub slices: Range<u32>,
    /// The core that the user asked for.
    pub pinned: Option<CoreId>,
    /// What it uses.
    pub used: CoreUse,
    /// Global numbers of its input axons' sources, ascending.
    pub(crate) sources: Vec<u32>,
}

/// What limits the number of cores of a population.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PopulationCores {
    /// Cores that the population takes if it shares none.
    pub alone: u32,
    /// The resource that its fullest core uses most.
    pub binding: crate::backend::Resource,
}

/// A network cut into cores that fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Partitioned {
    ir: QuantizedIr,
    order: IdVec<PopulationId, Option<Vec<u32>>>,
    slices: IdVec<SliceId, Slice>,
    core_of_slice: IdVec<SliceId, u32>,
    cores: Vec<LogicalCore>,
    limits: CoreLimits,
    population_cores: IdVec<PopulationId, Option<PopulationCores>>,
    at_least: u32,
    reserved: Vec<CoreId>,
}

/// Cuts the network into cores.
///
/// # Errors
/// `SNN0401` for neurons that fit on no core, `SNN0402` if the target has too few cores, `SNN0403` for pins and reservations
/// that cannot be honoured, `SNN0404` for delays that no core can hold.
pub fn partition(ir: QuantizedIr, ctx: &mut Ctx<'_>) -> Result<Partitioned, Diagnostics> {
    let cut = cut(&ir, ctx, true)?;
    Ok(cut.into_partitioned(ir))
}

/// A partition that does not own its network yet.
struct Cut {
    order: IdVec<PopulationId, Option<Vec<u32>>>,
    slices: IdVec<SliceId, Slice>,
    cores: Vec<LogicalCore>,
    limits: CoreLimits,
    population_cores: IdVec<PopulationId, Option<PopulationCores>>,
    at_least: u32,
    reserved: Vec<CoreId>,
}

/// Partitions `ir`. With `explain`, problems come with evaluated remedies (which partition variants of the network).
fn cut(ir: &QuantizedIr, ctx: &Ctx<'_>, explain: bool) -> Result<Cut, Diagnostics> {
    let view = View::new(ir);
    let backend = backend(&view, ctx.target);
    let request = Request::resolve(&view, ctx)?;
    legality::check(&view, &backend, ctx, explain).map_err(|mut problems| {
        problems.0.extend(finish::certainly_full(&view, &backend, &request, ctx));
        problems
    })?;
    let chunked = split::split(&view, &backend, &request);
    let rules = chunks::Rules { view: &view, backend: &backend, request: &request };
    let bins = greedy::pack(&rules, chunked.chunks)?;
    let bins = refine::refine(&rules, bins, ctx);
    finish::finish(&view, &backend, &request, ctx, bins, chunked.population_cores, explain)
}

impl Cut {
    fn into_partitioned(self, ir: QuantizedIr) -> Partitioned {
        let mut core_of_slice = IdVec::new();
        for (number, core) in self.cores.iter().enumerate() {
            for _ in core.slices.clone() {
                core_of_slice.push(number as u32);
            }
        }
        Partitioned {
            ir,
            order: self.order,
            slices: self.slices,
            core_of_slice,
            cores: self.cores,
            limits: self.limits,
            population_cores: self.population_cores,
            at_least: self.at_least,
            reserved: self.reserved,
        }
    }
}

impl Partitioned {
    /// The network.
    pub fn ir(&self) -> &QuantizedIr {
        &self.ir
    }

    /// Slices, by core and in it by compartment.
    pub fn slices(&self) -> &IdVec<SliceId, Slice> {
        &self.slices
    }

    /// Cores before placement.
    pub fn cores(&self) -> &[LogicalCore] {
        &self.cores
    }

    /// Index into [`Partitioned::cores`] of a slice's core.
    pub fn core_of_slice(&self, slice: SliceId) -> usize {
        self.core_of_slice[slice] as usize
    }

    /// Ids and slices of a core, by compartment.
    pub fn slices_of(&self, core: usize) -> impl Iterator<Item = (SliceId, &Slice)> {
        self.cores[core].slices.clone().map(|at| (SliceId(at), &self.slices[SliceId(at)]))
    }

    /// The neuron (row-major) at a position of the partitioner's order.
    pub fn neuron(&self, population: PopulationId, position: u32) -> u32 {
        self.order[population].as_ref().map_or(position, |order| order[position as usize])
    }

    /// Neurons of a slice, by compartment.
    pub fn neurons<'s>(&'s self, slice: &'s Slice) -> impl ExactSizeIterator<Item = u32> + 's {
        slice.neurons.clone().map(|position| self.neuron(slice.population, position))
    }

    /// The partitioner's order of a population; `None` if it is the row-major one.
    pub fn order(&self, population: PopulationId) -> Option<&[u32]> {
        self.order[population].as_deref()
    }

    /// Limits of a core.
    pub fn limits(&self) -> &CoreLimits {
        &self.limits
    }

    /// What each core uses, by [`Partitioned::cores`].
    pub fn core_use(&self) -> impl ExactSizeIterator<Item = &CoreUse> {
        self.cores.iter().map(|core| &core.used)
    }

    /// Cores that each population would take alone, and what limits it; `None` for inputs and empty populations.
    pub fn population_cores(&self) -> &IdVec<PopulationId, Option<PopulationCores>> {
        &self.population_cores
    }

    /// A lower bound of the number of cores: by compartments and accumulator slots, and core-wide registers that differ.
    /// (Synapse words and input axons give no bound that sharing could not beat.)
    pub fn cores_at_least(&self) -> u32 {
        self.at_least
    }

    /// Cores that the placer must leave empty.
    pub(crate) fn reserved(&self) -> &[CoreId] {
        &self.reserved
    }

    /// Slices as lists of neurons, for the backend.
    pub(crate) fn parts_of(&self, core: usize) -> Vec<chunks::OwnedPart> {
        self.slices_of(core)
            .map(|(_, slice)| chunks::OwnedPart {
                population: slice.population,
                neurons: self.neurons(slice).collect(),
            })
            .collect()
    }
}

pub(crate) use chunks::borrow_parts;

/// Number of populations, to size tables.
fn populations(view: &View<'_>) -> usize {
    view.ir.graph.populations.ids().last().map_or(0, |id| id.index() + 1)
}
