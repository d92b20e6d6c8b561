//! Activations that the user wants replaced, by layer or by function.

use crate::options::Swap;
use snncc_ids::{AnnNodeId, Diagnostic, Diagnostics, code, did_you_mean};
use snncc_ir::ann::{Activation, Ann, AnnOp, AnnTensor, SoftLif, SourceFate, shapes};
use std::collections::BTreeMap;

/// The activations to replace, and by what. A swap that names a layer wins over one that names a function; among equals the
/// first. Names are compared in any case.
///
/// # Errors
/// SNN0103 for a name that is neither a layer with an activation nor a function.
pub(super) fn swaps(ann: &Ann, swaps: &[Swap]) -> (BTreeMap<AnnNodeId, Activation>, Diagnostics) {
    let mut problems = Diagnostics::new();
    let mut by_layer = BTreeMap::new();
    let mut by_function = BTreeMap::new();
    for swap in swaps {
        let layer = layer(ann, &swap.from);
        let function = functions().into_iter().any(|name| name.eq_ignore_ascii_case(&swap.from));
        let (found, chosen) = match layer {
            Some(found) if !found.is_empty() => (found, &mut by_layer),
            _ if function => (of_function(ann, &swap.from), &mut by_function),
            layer => {
                problems.push(unknown(ann, &swap.from, layer.is_some()));
                continue;
            }
        };
        for id in found {
            let node = &ann.nodes()[id];
            match shapes::infer(&AnnOp::Activation(swap.to.clone()), &[&node.shape], None) {
                Ok(_) => {
                    chosen.entry(id).or_insert_with(|| swap.to.clone());
                }
                Err(why) => {
                    let message = format!("`{}` cannot become {}: {why}", node.name, swap.to.name());
                    problems.push(Diagnostic::error(code::BAD_PARAMETER, message).at(ann.item(id)));
                }
            }
        }
    }
    by_function.extend(by_layer);
    (by_function, problems)
}

/// The activations of the layer of this name, which may be part of a layer of the file; `None` if there is no such layer.
fn layer(ann: &Ann, name: &str) -> Option<Vec<AnnNodeId>> {
    let is_named = |other: &str| other.eq_ignore_ascii_case(name);
    let is_activation = |id: &AnnNodeId| is_swappable(ann, *id);
    let starts = |other: &str| other.split_once('/').is_some_and(|(start, _)| is_named(start));
    let named = ann.nodes().iter_with_ids().filter(|(_, node)| is_named(&node.name)).map(|(id, _)| id);
    let sources = ann.sources.iter().filter(|source| is_named(&source.name));
    let mut known = sources.clone().next().is_some();
    let mut found: Vec<AnnNodeId> = named.collect();
    known |= !found.is_empty();
    found.extend(sources.filter_map(|source| match source.fate {
        SourceFate::Node(id) => Some(id),
        SourceFate::Folded(_) => None,
    }));
    // A layer with an activation of its own, as Keras has them: `dense/activation`.
    if known && !found.iter().any(is_activation) {
        found.extend(ann.nodes().iter_with_ids().filter(|(_, node)| starts(&node.name)).map(|(id, _)| id));
    }
    found.retain(is_activation);
    found.dedup();
    known.then_some(found)
}

/// Whether a layer is an activation, or may be one that is not known: a value of the same shape as its only input.
fn is_swappable(ann: &Ann, id: AnnNodeId) -> bool {
    let node = &ann.nodes()[id];
    match (&node.op, &node.inputs[..]) {
        (AnnOp::Activation(_), _) => true,
        (AnnOp::Unsupported { .. }, [input]) => ann.nodes()[*input].shape == node.shape,
        _ => false,
    }
}

fn of_function(ann: &Ann, name: &str) -> Vec<AnnNodeId> {
    let is_it =
        |op: &AnnOp| matches!(op, AnnOp::Activation(activation) if activation.name().eq_ignore_ascii_case(name));
    ann.nodes().iter_with_ids().filter(|(_, node)| is_it(&node.op)).map(|(id, _)| id).collect()
}

fn unknown(ann: &Ann, name: &str, is_layer: bool) -> Diagnostic {
    let message = match is_layer {
        true => format!("`{name}` has no activation that could be swapped"),
        false => format!("there is no layer and no activation `{name}` to swap"),
    };
    let layers = ann.nodes().iter().filter(|node| matches!(node.op, AnnOp::Activation(_)));
    let layers = layers.map(|node| &node.name[..]);
    let diagnostic = Diagnostic::error(code::UNKNOWN_FIELD, message).at("swap_activations");
    match did_you_mean(name, functions().into_iter().chain(layers)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.note(format!("activations are {}", functions().join(", "))),
    }
}

/// Names of all functions.
fn functions() -> Vec<&'static str> {
    let slope = AnnTensor::fill(vec![1], 0.0);
    [
        Activation::Relu,
        Activation::Clip { min: 0.0, max: 1.0 },
        Activation::LeakyRelu { slope: 0.0 },
        Activation::PRelu { slope },
        Activation::ThresholdedRelu { threshold: 0.0 },
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::HardSigmoid { alpha: 0.0, beta: 0.0 },
        Activation::HardSwish,
        Activation::Silu,
        Activation::Gelu { tanh: false },
        Activation::Elu { alpha: 0.0 },
        Activation::Selu { alpha: 0.0, gamma: 0.0 },
        Activation::Celu { alpha: 0.0 },
        Activation::Softplus,
        Activation::Softsign,
        Activation::Mish,
        Activation::Abs,
        Activation::SoftLif(SoftLif::DEFAULT),
    ]
    .iter()
    .map(Activation::name)
    .collect()
}
