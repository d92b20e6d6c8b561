//! From bins to a partition: order of cores and neurons, output axons, the number of cores against the target's.

use crate::backend::{Backend, Resource, View};
use crate::options::Ctx;
use crate::partition::chunks::{Bin, OwnedPart, borrow_parts};
use crate::partition::remedies;
use crate::partition::request::Request;
use crate::partition::{Cut, LogicalCore, PopulationCores, Slice};
use snncc_ids::{Diagnostic, Diagnostics, IdVec, PopulationId, SliceId, code};
use snncc_ir::PopulationRole;

/// Makes the partition.
///
/// # Errors
/// `SNN0402` if the target has too few cores.
#[allow(clippy::too_many_arguments)]
pub(crate) fn finish<B: Backend>(
    view: &View<'_>,
    backend: &B,
    request: &Request,
    ctx: &Ctx<'_>,
    mut bins: Vec<Bin>,
    population_cores: IdVec<PopulationId, Option<PopulationCores>>,
    explain: bool,
) -> Result<Cut, Diagnostics> {
    let usable = usable_cores(request, ctx);
    relieve_out_axons(view, backend, request, &mut bins, usable)?;
    if bins.len() > usable {
        let at_least = at_least(view, backend) as usize;
        return Err(chip_full(view, ctx, [bins.len(), usable, at_least], &population_cores, explain).into());
    }
    bins.sort_by_key(|bin| (bin.parts[0].population, bin.parts[0].neurons[0]));
    let mut order: IdVec<PopulationId, Vec<u32>> = view.ir.graph.populations.ids().map(|_| Vec::new()).collect();
    let mut slices: IdVec<SliceId, Slice> = IdVec::new();
    let mut cores = Vec::new();
    for bin in bins {
        let first_slice = slices.len() as u32;
        for part in bin.parts {
            let order = &mut order[part.population];
            let start = order.len() as u32;
            order.extend_from_slice(&part.neurons);
            slices.push(Slice { population: part.population, neurons: start..order.len() as u32 });
        }
        cores.push(LogicalCore {
            slices: first_slice..slices.len() as u32,
            pinned: bin.pinned,
            used: bin.count.used,
            sources: bin.count.sources,
        });
    }
    for (id, population) in view.ir.graph.populations.iter_with_ids() {
        let expected = if population.role == PopulationRole::Neurons { population.len() } else { 0 };
        assert_eq!(order[id].len(), expected, "bug in snncc: neurons of `{}` lost or doubled", population.name);
    }
    let identity = |order: Vec<u32>| {
        let row_major = order.iter().enumerate().all(|(position, neuron)| position as u32 == *neuron);
        if row_major { None } else { Some(order) }
    };
    let order = order.iter().cloned().map(identity).collect();
    Ok(Cut {
        order,
        slices,
        cores,
        limits: *backend.limits(),
        population_cores,
        at_least: at_least(view, backend),
        reserved: request.reserved.clone(),
    })
}

/// Cores that are neither dead nor reserved.
fn usable_cores(request: &Request, ctx: &Ctx<'_>) -> usize {
    let reserved = request.reserved.iter().filter(|core| ctx.target.is_usable(**core)).count();
    ctx.target.usable_cores() as usize - reserved
}

/// Counts output axons and halves cores that have too many, until all fit or there are more cores than `usable`.
///
/// # Errors
/// `SNN0401` for single neurons that send to more cores than a core has output axons.
fn relieve_out_axons<B: Backend>(
    view: &View<'_>,
    backend: &B,
    request: &Request,
    bins: &mut Vec<Bin>,
    usable: usize,
) -> Result<(), Diagnostics> {
    let limit = backend.limits().get(Resource::OutAxons);
    loop {
        let counts = count_out_axons(view, bins);
        for (bin, out) in bins.iter_mut().zip(&counts) {
            bin.count.used.set(Resource::OutAxons, *out);
        }
        let exceeding: Vec<usize> = (0..bins.len()).filter(|at| !limit.allows(counts[*at])).collect();
        if exceeding.is_empty() || bins.len() > usable {
            return Ok(());
        }
        let mut problems = Diagnostics::new();
        for at in exceeding {
            match halve(backend, request, &bins[at]) {
                Some((kept, moved)) => {
                    bins[at] = kept;
                    bins.push(moved);
                }
                None => {
                    let names: Vec<&str> =
                        bins[at].parts.iter().map(|part| view.population(part.population).name.as_str()).collect();
                    let item = view.population(bins[at].parts[0].population).item.clone();
                    let message = format!(
                        "neurons of `{}` need {} out-axons of {}, and cannot be spread further",
                        names.join("`, `"),
                        counts[at],
                        limit.max()
                    );
                    problems.push(Diagnostic::error(code::NEURON_FITS_NOWHERE, message).at(item));
                }
            }
        }
        if problems.has_errors() {
            return Err(problems);
        }
    }
}

/// Two cores from one, each with about half of the neurons; pinned neurons stay on the first. `None` if nothing can move.
fn halve<B: Backend>(backend: &B, request: &Request, bin: &Bin) -> Option<(Bin, Bin)> {
    let pinned = |population: PopulationId, neuron: u32| {
        bin.pinned.is_some()
            && request.pins.iter().any(|pin| pin.population == population && pin.neurons.contains(&neuron))
    };
    let total: usize = bin.parts.iter().map(|part| part.neurons.len()).sum();
    let (mut kept, mut moved): (Vec<OwnedPart>, Vec<OwnedPart>) = (Vec::new(), Vec::new());
    let mut to_move = total / 2;
    for part in bin.parts.iter().rev() {
        let (mut stay, mut go) = (Vec::new(), Vec::new());
        for neuron in part.neurons.iter().rev() {
            if to_move > 0 && !pinned(part.population, *neuron) {
                to_move -= 1;
                go.push(*neuron);
            } else {
                stay.push(*neuron);
            }
        }
        for (neurons, parts) in [(stay, &mut kept), (go, &mut moved)] {
            if !neurons.is_empty() {
                parts.push(OwnedPart { population: part.population, neurons: neurons.into_iter().rev().collect() });
            }
        }
    }
    if moved.is_empty() {
        return None;
    }
    let bin_of = |mut parts: Vec<OwnedPart>, pinned| {
        parts.reverse();
        let count = backend.count(&borrow_parts(&parts));
        Bin { parts, count, pinned }
    };
    let (kept, moved) = (bin_of(kept, bin.pinned), bin_of(moved, None));
    let fits = |bin: &Bin| backend.limits().check(&bin.count.used).is_ok();
    (fits(&kept) && fits(&moved)).then_some((kept, moved))
}

/// Output axons of each bin: pairs of one of its neurons and a core that has an input axon for it.
fn count_out_axons(view: &View<'_>, bins: &[Bin]) -> Vec<u64> {
    let mut owner = vec![u32::MAX; view.global_len()];
    for (number, bin) in bins.iter().enumerate() {
        for part in &bin.parts {
            for neuron in &part.neurons {
                owner[view.global(part.population, *neuron) as usize] = number as u32;
            }
        }
    }
    let mut counts = vec![0; bins.len()];
    for source in bins.iter().flat_map(|bin| &bin.count.sources) {
        if let Some(count) = counts.get_mut(owner[*source as usize] as usize) {
            *count += 1;
        }
    }
    counts
}

/// Fewest cores: compartments over what a core holds, for each group of populations with equal core-wide registers.
fn at_least<B: Backend>(view: &View<'_>, backend: &B) -> u32 {
    let mut groups: Vec<(PopulationId, u64)> = Vec::new();
    for population in view.neuron_populations() {
        let len = view.population(population).len() as u64;
        match groups.iter_mut().find(|(first, _)| backend.may_share(*first, population)) {
            Some((_, sum)) => *sum += len,
            None => groups.push((population, len)),
        }
    }
    let slots = backend.limits().get(Resource::AccumulatorSlots).max();
    let per_core = (backend.compartments_per_core() as u64).min(slots);
    groups.iter().map(|(_, sum)| sum.div_ceil(per_core) as u32).sum()
}

/// The diagnostic of a network that cannot fit however it is cut, for when it is not cut at all.
pub(crate) fn certainly_full<B: Backend>(
    view: &View<'_>,
    backend: &B,
    request: &Request,
    ctx: &Ctx<'_>,
) -> Option<Diagnostic> {
    let (at_least, usable) = (at_least(view, backend), usable_cores(request, ctx));
    (at_least as usize > usable).then(|| {
        let message = format!(
            "the network needs {at_least} cores or more; `{}` has {usable} that may be used",
            ctx.target.name()
        );
        Diagnostic::error(code::CHIP_FULL, message).note("compartments alone need as many")
    })
}

/// Populations whose needs are listed.
const LISTED: usize = 12;

/// The diagnostic of a network that needs more cores than there are.
fn chip_full(
    view: &View<'_>,
    ctx: &Ctx<'_>,
    [needed, usable, at_least]: [usize; 3],
    population_cores: &IdVec<PopulationId, Option<PopulationCores>>,
    explain: bool,
) -> Diagnostic {
    let mut problem = Diagnostic::error(
        code::CHIP_FULL,
        format!("the network needs {needed} cores; `{}` has {usable} that may be used", ctx.target.name()),
    );
    let mut layers: Vec<(PopulationId, PopulationCores)> =
        population_cores.iter_with_ids().filter_map(|(id, cores)| Some((id, (*cores)?))).collect();
    layers.sort_by_key(|(id, cores)| (std::cmp::Reverse(cores.alone), *id));
    for (id, cores) in layers.iter().take(LISTED) {
        problem = problem.note(format!(
            "`{}` takes {} cores alone; {} run out first",
            view.population(*id).name,
            cores.alone,
            cores.binding.name()
        ));
    }
    if layers.len() > LISTED {
        problem = problem.note(format!("{} more populations take fewer", layers.len() - LISTED));
    }
    if at_least > usable {
        problem = problem.note(format!("compartments alone need {at_least} cores"));
    }
    if explain {
        for remedy in remedies::for_full_chip(view.ir, ctx, &layers, at_least > usable) {
            problem = problem.help(remedy);
        }
    }
    problem
}
