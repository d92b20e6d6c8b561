//! Ways out of a network that does not fit, each tried before it is offered.

use crate::backend::Resource;
use crate::options::{Ctx, NoObserver};
use crate::partition::{PopulationCores, cut};
use snncc_chip::{TARGETS, Target, target};
use snncc_ids::PopulationId;
use snncc_ir::{QuantizedIr, SignMode};

/// What would make room on a full chip.
pub(crate) fn for_full_chip(
    ir: &QuantizedIr,
    ctx: &Ctx<'_>,
    layers: &[(PopulationId, PopulationCores)],
    compartments_exceeded: bool,
) -> Vec<String> {
    let mut remedies = Vec::new();
    let cores_on = |ir: &QuantizedIr, target: &Target| {
        let (options, calibration) = (ctx.options, ctx.calibration);
        let ctx = Ctx { target, options, calibration, observer: &mut NoObserver };
        cut(ir, &ctx, false).ok().map(|cut| cut.cores.len())
    };
    if let Some((larger, cores)) =
        larger_targets(ctx.target).into_iter().find_map(|larger| cores_on(ir, &larger).map(|cores| (larger, cores)))
    {
        let (name, usable) = (larger.name(), larger.usable_cores());
        remedies.push(format!("`--target {name}`: {usable} cores, of which the network takes {cores}"));
    }
    let words_bind = layers.iter().any(|(_, cores)| cores.binding == Resource::SynapseWords);
    if words_bind && !compartments_exceeded {
        let mut cores = None;
        let fits = |ir: &QuantizedIr| {
            cores = cores_on(ir, ctx.target);
            cores.is_some()
        };
        if let Some(bits) = narrower_weights(ir, ctx.target, fits) {
            let cores = cores.unwrap_or_default();
            remedies
                .push(format!("`--weight-bits {bits}`: the network then takes {cores} cores (and loses precision)"));
        }
    }
    remedies
}

/// Built-in targets of the same hardware with more cores, fewest first.
fn larger_targets(than: &Target) -> Vec<Target> {
    let mut larger: Vec<Target> = TARGETS
        .iter()
        .filter_map(|(name, _)| target(name).ok())
        .filter(|target| target.model == than.model && target.usable_cores() > than.usable_cores())
        .collect();
    larger.sort_by_key(Target::usable_cores);
    larger
}

/// The most weight bits, fewer than now, with which `fits` holds; weights given as integers stay as they are.
pub(crate) fn narrower_weights(
    ir: &QuantizedIr,
    target: &Target,
    mut fits: impl FnMut(&QuantizedIr) -> bool,
) -> Option<u8> {
    let formats = &target.model.loihi().formats;
    let from_floats = |at: usize| ir.projection_quality.as_slice()[at].is_some();
    let widest =
        (0..ir.weights.len()).filter(|at| from_floats(*at)).map(|at| ir.weights.as_slice()[at].weight_bits).max()?;
    let mut widths: Vec<u8> = formats.weight_codes.0.iter().map(|code| code.bits).collect();
    widths.retain(|bits| (2..widest).contains(bits));
    widths.sort_unstable();
    widths.into_iter().rev().find(|bits| {
        let mut narrow = ir.clone();
        for (at, weights) in narrow.weights.iter_mut().enumerate() {
            if !from_floats(at) || weights.weight_bits <= *bits {
                continue;
            }
            weights.weight_bits = *bits;
            let mixed = u8::from(weights.sign_mode == SignMode::Mixed);
            let step = 1_i32 << (formats.weight_magnitude_bits.0 + mixed).saturating_sub(*bits);
            for mantissa in &mut weights.mantissas {
                *mantissa = *mantissa / step * step;
            }
        }
        fits(&narrow)
    })
}
