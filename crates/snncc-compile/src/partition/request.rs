//! What the user asks of the mapping, checked against network and target.

use crate::backend::View;
use crate::options::Ctx;
use itertools::Itertools;
use snncc_ids::{CoreId, Diagnostic, Diagnostics, Id, PopulationId, code, did_you_mean};
use snncc_ir::PopulationRole;
use std::collections::BTreeSet;
use std::ops::Range;

/// Checked wishes.
pub(crate) struct Request {
    /// Pinned neurons, in the order of the wishes; they do not overlap.
    pub(crate) pins: Vec<PinnedRange>,
    /// Cores that stay empty.
    pub(crate) reserved: Vec<CoreId>,
    exclusive: BTreeSet<PopulationId>,
    /// Least number of cores by population.
    split: Vec<(PopulationId, u32)>,
}

/// Neurons that must sit on a core.
pub(crate) struct PinnedRange {
    pub(crate) population: PopulationId,
    pub(crate) neurons: Range<u32>,
    pub(crate) core: CoreId,
}

impl Request {
    /// Whether the population shares no core with others.
    pub(crate) fn exclusive(&self, population: PopulationId) -> bool {
        self.exclusive.contains(&population)
    }

    /// Least number of cores for the population.
    pub(crate) fn least_cores(&self, population: PopulationId) -> u32 {
        self.split.iter().filter(|(split, _)| *split == population).map(|(_, cores)| *cores).max().unwrap_or(1)
    }

    /// Cores that neurons of the population are pinned to.
    pub(crate) fn pinned_cores(&self, population: PopulationId) -> u32 {
        let cores: BTreeSet<CoreId> =
            self.pins.iter().filter(|pin| pin.population == population).map(|pin| pin.core).collect();
        cores.len() as u32
    }

    /// Whether chunks of the population must stay on different cores.
    pub(crate) fn apart(&self, population: PopulationId) -> bool {
        self.least_cores(population) > 1
    }

    /// Checks the wishes.
    ///
    /// # Errors
    /// `SNN0403`, one for each wish that cannot be honoured.
    pub(crate) fn resolve(view: &View<'_>, ctx: &Ctx<'_>) -> Result<Self, Diagnostics> {
        let wishes = &ctx.options.mapping;
        let mut problems = Diagnostics::new();
        let mut request =
            Self { pins: Vec::new(), reserved: Vec::new(), exclusive: BTreeSet::new(), split: Vec::new() };
        for core in &wishes.reserved_cores {
            if *core >= ctx.target.cores() {
                problems.push(no_such_core(ctx, *core, "reserved").at("mapping/reserved_cores"));
            } else if !request.reserved.contains(&CoreId(*core)) {
                request.reserved.push(CoreId(*core));
            }
        }
        request.reserved.sort_unstable();
        for name in &wishes.exclusive {
            match population(view, name, "exclusive", "mapping/exclusive") {
                Ok(id) => {
                    request.exclusive.insert(id);
                }
                Err(problem) => problems.push(problem),
            }
        }
        for (name, cores) in &wishes.split {
            match population(view, name, "to be split", "mapping/split") {
                Ok(id) if *cores as usize > view.population(id).len() => problems.push(
                    Diagnostic::error(
                        code::ILLEGAL_PIN,
                        format!(
                            "population `{name}` is to be split over {cores} cores but has {} neurons",
                            view.population(id).len()
                        ),
                    )
                    .at("mapping/split"),
                ),
                Ok(id) => request.split.push((id, (*cores).max(1))),
                Err(problem) => problems.push(problem),
            }
        }
        for (index, pin) in wishes.pins.iter().enumerate() {
            let item = format!("mapping/pins/{index}");
            match population(view, &pin.population, "pinned", &item) {
                Ok(id) => request.pin(view, ctx, id, pin.neurons, pin.core, &item, &mut problems),
                Err(problem) => problems.push(problem),
            }
        }
        request.check_splits(view, &mut problems);
        problems.into_result(request).map(|(request, _)| request)
    }

    /// Pins may leave too few neurons for a split.
    fn check_splits(&self, view: &View<'_>, problems: &mut Diagnostics) {
        for (id, cores) in &self.split {
            let pinned: u32 =
                self.pins.iter().filter(|pin| pin.population == *id).map(|pin| pin.neurons.len() as u32).sum();
            let most = self.pinned_cores(*id) + view.population(*id).len() as u32 - pinned;
            if most < *cores {
                let name = &view.population(*id).name;
                let message = format!("`{name}` is to be split over {cores} cores, but its pins leave {most} at most");
                problems.push(Diagnostic::error(code::ILLEGAL_PIN, message).at("mapping/split"));
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn pin(
        &mut self,
        view: &View<'_>,
        ctx: &Ctx<'_>,
        id: PopulationId,
        neurons: Option<(u32, u32)>,
        core: u32,
        item: &str,
        problems: &mut Diagnostics,
    ) {
        let name = &view.population(id).name;
        let len = view.population(id).len() as u32;
        let range = match neurons {
            None => 0..len,
            Some((first, count)) => match first.checked_add(count) {
                Some(end) if end <= len && count > 0 => first..end,
                _ => {
                    problems.push(
                        Diagnostic::error(
                            code::ILLEGAL_PIN,
                            format!("{count} neurons from {first} on are pinned, but `{name}` has {len}"),
                        )
                        .at(item),
                    );
                    return;
                }
            },
        };
        let id_of_core = CoreId(core);
        if core >= ctx.target.cores() {
            problems.push(no_such_core(ctx, core, &format!("asked for by a pin of `{name}`")).at(item));
            return;
        }
        let unusable = if !ctx.target.is_usable(id_of_core) {
            Some("marked dead in the target")
        } else if self.reserved.contains(&id_of_core) {
            Some("reserved")
        } else {
            None
        };
        if let Some(why) = unusable {
            let message = format!("`{name}` is pinned to {}, which is {why}", ctx.target.core_name(id_of_core));
            problems.push(Diagnostic::error(code::ILLEGAL_PIN, message).at(item));
            return;
        }
        let clash = self
            .pins
            .iter()
            .find(|pin| pin.population == id && pin.neurons.start < range.end && range.start < pin.neurons.end);
        match clash {
            Some(other) if other.core != id_of_core || other.neurons != range => problems.push(
                Diagnostic::error(
                    code::ILLEGAL_PIN,
                    format!(
                        "neurons {}..{} of `{name}` are pinned to {} and neurons {}..{} to {}: the ranges overlap",
                        range.start,
                        range.end,
                        ctx.target.core_name(id_of_core),
                        other.neurons.start,
                        other.neurons.end,
                        ctx.target.core_name(other.core)
                    ),
                )
                .at(item),
            ),
            Some(_) => {}
            None => self.pins.push(PinnedRange { population: id, neurons: range, core: id_of_core }),
        }
    }
}

fn no_such_core(ctx: &Ctx<'_>, core: u32, why: &str) -> Diagnostic {
    Diagnostic::error(
        code::ILLEGAL_PIN,
        format!("core {core} is {why}, but `{}` has cores 0 to {}", ctx.target.name(), ctx.target.cores() - 1),
    )
}

fn population(view: &View<'_>, name: &str, wish: &str, item: &str) -> Result<PopulationId, Diagnostic> {
    let populations = &view.ir.graph.populations;
    match populations.iter_with_ids().find(|(_, population)| population.name == name) {
        Some((_, population)) if population.role == PopulationRole::Input => Err(Diagnostic::error(
            code::ILLEGAL_PIN,
            format!("`{name}` is {wish}, but it is an input: it sits on no core"),
        )
        .at(item)),
        Some((id, _)) => Ok(id),
        None => {
            let message = format!("`{name}` is {wish}, but there is no population of this name");
            let names =
                || view.neuron_populations().map(|id| view.population(PopulationId::new(id.index())).name.as_str());
            let mut problem = Diagnostic::error(code::ILLEGAL_PIN, message)
                .at(item)
                .note(format!("populations: {}", names().join(", ")));
            if let Some(guess) = did_you_mean(name, names()) {
                problem = problem.help(format!("did you mean `{guess}`?"));
            }
            Err(problem)
        }
    }
}
