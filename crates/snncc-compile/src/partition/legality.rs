//! Neurons that no core can hold, before anything is cut.
//!
//! Most neurons are cleared by a bound on their fan-in that needs no weights; only the rest is counted exactly, each alone
//! on a core.

use crate::backend::{Backend, CoreCount, Part, Resource, Shortfall, View};
use crate::options::Ctx;
use crate::partition::remedies;
use snncc_ids::{Diagnostic, Diagnostics, PopulationId, code};
use snncc_ir::QuantizedIr;

/// Checks every neuron alone.
///
/// # Errors
/// `SNN0401`, one for each population with such neurons; `SNN0404`, one for each projection with too long delays.
pub(crate) fn check<B: Backend>(view: &View<'_>, backend: &B, ctx: &Ctx<'_>, explain: bool) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    check_delays(view, backend, ctx, &mut problems);
    if problems.has_errors() {
        return Err(problems);
    }
    for population in view.neuron_populations() {
        if let Some((neuron, shortfall, others)) = first_misfit(view, backend, population) {
            problems.push(describe(view, backend, ctx, population, neuron, &shortfall, others, explain));
        }
    }
    problems.into_result(()).map(|((), _)| ())
}

fn check_delays<B: Backend>(view: &View<'_>, backend: &B, ctx: &Ctx<'_>, problems: &mut Diagnostics) {
    let longest = backend.longest_delay();
    for projection in &view.ir.graph.projections {
        let extra = projection.delays.max().saturating_sub(1);
        if extra > longest {
            problems.push(
                Diagnostic::error(
                    code::DELAY_TOO_LONG,
                    format!(
                        "a synapse of `{}` delays by {} steps; a core of `{}` holds {} at most",
                        projection.name,
                        extra + 1,
                        ctx.target.name(),
                        longest + 1
                    ),
                )
                .at(projection.item.clone())
                .note("a spike takes one step to arrive; the rest is kept in the delay slots of the target's core"),
            );
        }
    }
}

/// The first neuron that fits on no core, why, and how many others of the population do not.
fn first_misfit<B: Backend>(view: &View<'_>, backend: &B, population: PopulationId) -> Option<(u32, Shortfall, usize)> {
    let limits = backend.limits();
    let incoming = view.incoming(population);
    let fewest = [Resource::InAxons, Resource::SynapseWords].map(|resource| limits.get(resource).max());
    let formats = limits.get(Resource::SynapseFormats).max();
    let mut first: Option<(u32, Shortfall)> = None;
    let mut others = 0;
    for neuron in 0..view.population(population).len() as u32 {
        // One entry of one projection takes one word: formats are far narrower than two.
        let bound: u64 = incoming.iter().map(|projection| view.fan_in_bound(*projection, neuron)).sum();
        let cleared = bound <= fewest[0] && 2 * bound <= fewest[1] && incoming.len() as u64 <= formats;
        if cleared && neuron > 0 {
            continue;
        }
        if let Err(shortfall) = limits.check(&count_alone(backend, population, neuron).used) {
            match first {
                None => first = Some((neuron, shortfall)),
                Some(_) => others += 1,
            }
        }
    }
    first.map(|(neuron, shortfall)| (neuron, shortfall, others))
}

fn count_alone<B: Backend>(backend: &B, population: PopulationId, neuron: u32) -> CoreCount {
    backend.count(&[Part { population, neurons: &[neuron] }])
}

#[allow(clippy::too_many_arguments)]
fn describe<B: Backend>(
    view: &View<'_>,
    backend: &B,
    ctx: &Ctx<'_>,
    population: PopulationId,
    neuron: u32,
    shortfall: &Shortfall,
    others: usize,
    explain: bool,
) -> Diagnostic {
    let name = view.member_name(population, neuron);
    let mut problem = Diagnostic::error(
        code::NEURON_FITS_NOWHERE,
        format!("neuron `{name}` fits on no core of `{}`: it alone needs {shortfall}", ctx.target.name()),
    )
    .at(view.population(population).item.clone());
    let rest = backend.limits().percentages(&shortfall.used, |resource| !shortfall.exceeded.contains(&resource));
    if !rest.is_empty() {
        problem = problem.note(format!("not exceeded: {rest}"));
    }
    if others > 0 {
        problem =
            problem.note(format!("{others} other neurons of `{}` do not fit either", view.population(population).name));
    }
    if explain && shortfall.exceeded.contains(&Resource::SynapseWords) {
        let fits = |ir: &QuantizedIr| {
            let view = View::new(ir);
            let backend = crate::backend::backend(&view, ctx.target);
            first_misfit(&view, &backend, population).is_none()
        };
        if let Some(bits) = remedies::narrower_weights(view.ir, ctx.target, fits) {
            problem = problem.help(format!("`--weight-bits {bits}`: then every neuron of the population fits"));
        }
    }
    problem
}
