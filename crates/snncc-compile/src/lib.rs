//! From a network to a placement image: `lower → quantize → partition → place → route → emit`.
//!
//! Each stage is a function in a file of its name, and its result is a type that only this file can build and that owns the
//! stage before: holding a `Placed` means legally placed, and belonging to this very network.

pub mod backend;
pub mod emit;
pub mod lower;
mod options;
pub mod partition;
pub mod place;
pub mod quantize;
pub mod route;
pub mod spinnaker;

pub use options::{Ctx, NoObserver, Observer, Options, OverflowPolicy, QuantizeStrategy};

use snncc_ids::Diagnostics;
use snncc_image::Image;
use snncc_ir::print::{print_ir, print_quantized};
use snncc_ir::{Ir, Network, QuantizedIr};

/// A compiled network.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The placement image.
    pub image: Image,
    /// All stages before it: `routed.placed().partitioned().ir()` is the quantized IR.
    pub routed: route::Routed,
}

/// Compiles a network. The mapping wishes of `ctx.options` are used, not those of the network: the caller merges them.
///
/// # Errors
/// What the first failing stage found.
pub fn compile(network: &Network, ctx: &mut Ctx<'_>) -> Result<Compiled, Diagnostics> {
    let quantized = quantized(network, ctx)?;
    ctx.observer.stage("partition");
    let partitioned = partition::partition(quantized, ctx)?;
    ctx.observer.stage("place");
    let placed = place::place(partitioned, ctx)?;
    ctx.observer.stage("route");
    let routed = route::route(placed, ctx)?;
    ctx.observer.stage("emit");
    let image = emit::emit(&routed, ctx)?;
    Ok(Compiled { image, routed })
}

/// The stages that need no layout: `lower → quantize`.
///
/// # Errors
/// What the first failing stage found.
pub fn quantized(network: &Network, ctx: &mut Ctx<'_>) -> Result<QuantizedIr, Diagnostics> {
    let ir = lowered(network, ctx)?;
    ctx.observer.stage("quantize");
    let quantized = quantize::quantize(ir, ctx)?;
    ctx.observer.finished("quantize", &|| print_quantized(&quantized));
    Ok(quantized)
}

/// The first stage alone.
///
/// # Errors
/// What is wrong with the network.
pub fn lowered(network: &Network, ctx: &mut Ctx<'_>) -> Result<Ir, Diagnostics> {
    ctx.observer.stage("lower");
    let options = lower::LowerOptions {
        dt_s: ctx.options.dt_s,
        align: ctx.options.align,
        reset: ctx.options.reset,
        allow_loop_latency: ctx.options.allow_loop_latency,
        subtracts: ctx.target.model.spinnaker().is_some(),
    };
    let lower::Lowered { ir, warnings } = lower::lower(network, &options)?;
    for warning in warnings {
        ctx.observer.warning(warning);
    }
    ctx.observer.finished("lower", &|| print_ir(&ir));
    Ok(ir)
}
