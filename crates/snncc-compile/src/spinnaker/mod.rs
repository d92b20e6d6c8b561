//! The way of SpiNNaker-like machines: `lower → split → quantize → map → emit`.
//!
//! Neurons are programs and memory is large, so the questions differ from those of chips with compartments and axons: which
//! slices of populations go to a core (`split`), where the cores lie, how their packets find each other and which keys they
//! have (`snncc-multicast`), and what stands in the memories (`emit`).

pub mod constants;
mod delays;
mod emit;
mod inputs;
mod machine;
mod quantize;
mod split;

#[cfg(test)]
mod tests;

pub use machine::machine;
pub use quantize::quantize;
pub use split::{Block, Extension, Slice, Split, split};

use crate::{Ctx, lowered};
use snncc_ids::{Diagnostics, ProjectionId, code};
use snncc_image::spinnaker::SpinnakerImage;
use snncc_ir::spinnaker::SpinnakerIr;
use snncc_ir::{Ir, IrWeights, Network};
use snncc_multicast::{Mapping, Walk};

/// A network compiled for a SpiNNaker-like machine.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The placement image.
    pub image: SpinnakerImage,
    /// The integers it computes with.
    pub ir: SpinnakerIr,
    /// Slices of populations and delay extensions, one for each core, and the synapses between them.
    pub split: Split,
    /// Chips, cores, keys and routing tables, by vertex of the split.
    pub mapping: Mapping,
    /// What a walk of all packets through the tables found.
    pub walk: Walk,
    /// Number of each vertex's core over all chips.
    pub cores: Vec<u32>,
}

/// Compiles a network.
///
/// # Errors
/// What the first failing stage found.
///
/// # Panics
/// If the routing tables do not deliver every packet to exactly its sinks, and for a target of another kind.
pub fn compile(network: &Network, ctx: &mut Ctx<'_>) -> Result<Compiled, Diagnostics> {
    let ir = lowered(network, ctx)?;
    ctx.observer.stage("split");
    let split = split(&ir.graph, occupied(&ir), ctx)?;
    ctx.observer.stage("quantize");
    let ir = quantize(ir, &split, ctx)?;
    map_and_emit(ir, split, ctx)
}

/// Compiles a network from its integers on: its left shifts are those of its populations, whatever its synapses.
///
/// # Errors
/// What the first failing stage found.
///
/// # Panics
/// If neurons of one core have different left shifts, if the routing tables do not deliver every packet to exactly its sinks, and
/// for a target of another kind.
pub fn compile_integers(ir: SpinnakerIr, ctx: &mut Ctx<'_>) -> Result<Compiled, Diagnostics> {
    ctx.observer.stage("split");
    let split = split(&ir.graph, |id, weight| ir.weights[id][weight] != 0, ctx)?;
    map_and_emit(ir, split, ctx)
}

/// Whether a weight is not 0, of a network in floats.
fn occupied(ir: &Ir) -> impl Fn(ProjectionId, usize) -> bool + Sync + '_ {
    |id, weight| match &ir.weights[id] {
        IrWeights::Float(weights) => weights[weight] != 0.0,
        IrWeights::Integer(_) => true,
    }
}

fn map_and_emit(ir: SpinnakerIr, mut split: Split, ctx: &mut Ctx<'_>) -> Result<Compiled, Diagnostics> {
    // Weights that became 0 have no synapses.
    split.recount(&ir.graph, |id, weight| ir.weights[id][weight] != 0);
    ctx.observer.stage("map");
    let machine = machine(ctx.target)?;
    let problem = split.problem(&ir.graph, ctx.target);
    let options = snncc_multicast::Options {
        table_entries: core(ctx).limits.routing_entries.0 as usize,
        keep_defaultable: false,
    };
    let mapping =
        snncc_multicast::map(&problem, &machine, options).map_err(|problems| placed(problems, &ir, &split))?;
    let walk = match snncc_multicast::check(&problem, &machine, &mapping) {
        Ok(walk) => walk,
        Err(message) => panic!("bug in snncc: routing tables: {message}"),
    };
    ctx.observer.stage("emit");
    let (image, cores) = emit::emit(&ir, &split, &mapping, &machine, ctx.target);
    Ok(Compiled { image, ir, split, mapping, walk, cores })
}

/// Problems of the mapper with vertices and nets, at the populations whose slices they are.
fn placed(mut problems: Diagnostics, ir: &SpinnakerIr, split: &Split) -> Diagnostics {
    for problem in &mut problems.0 {
        let number = problem.item.as_deref().and_then(|item| {
            item.strip_prefix("vertices/").or_else(|| item.strip_prefix("nets/"))?.parse::<usize>().ok()
        });
        if let Some(vertex) = number.filter(|number| *number < split.vertices()) {
            problem.item = Some(ir.graph.populations[split.slice_of(vertex).population].item.clone());
            let what = "a vertex is what one core runs: a slice of a population, or a delay extension of one";
            problem.notes.push(what.to_owned());
        }
        if problem.code == code::CHIP_FULL {
            problem.help.push("compile for a target with more chips: `snncc targets list`".to_owned());
        }
    }
    problems
}

fn core<'a>(ctx: &Ctx<'a>) -> &'a snncc_chip::SpinnakerCore {
    ctx.target.model.spinnaker().expect("bug in snncc: another kind of chip on the way of SpiNNaker-like machines")
}
