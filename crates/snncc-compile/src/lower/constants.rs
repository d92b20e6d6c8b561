//! The constant that biases of linear nodes add to the input of every neuron, whatever the neurons do.
//!
//! A bias passes the rest of its way as a vector through the nodes' maps, so that padding at the borders of convolutions
//! counts as it does for spikes. Delays and back edges do not matter to a constant that acts from the first step.

use super::Lowering;
use petgraph::graph::DiGraph;
use snncc_ids::NodeId;
use snncc_ir::Node;
use std::collections::BTreeMap;

/// The constant input of each population that has one.
///
/// # Panics
/// If linear nodes form a loop; refused before.
pub(super) fn at_populations(lowering: &Lowering<'_>) -> BTreeMap<NodeId, Vec<f64>> {
    let network = lowering.network;
    let mut graph = DiGraph::<NodeId, ()>::new();
    let indices: Vec<_> = network.nodes.ids().map(|id| graph.add_node(id)).collect();
    for edge in &network.edges {
        if !network.nodes[edge.source].node.is_population() {
            graph.add_edge(indices[edge.source.0 as usize], indices[edge.target.0 as usize], ());
        }
    }
    let order = petgraph::algo::toposort(&graph, None).expect("bug in snncc: a loop without neurons");

    let mut input: BTreeMap<NodeId, Vec<f64>> = BTreeMap::new();
    for index in order {
        let id = graph[index];
        let node = &network.nodes[id].node;
        if node.is_population() {
            continue;
        }
        let given = input.remove(&id);
        let Some(output) = answer(lowering, id, node, given) else { continue };
        for edge in &lowering.outgoing[id.0 as usize] {
            let sum = input.entry(network.edges[*edge].target).or_insert_with(|| vec![0.0; output.len()]);
            sum.iter_mut().zip(&output).for_each(|(sum, value)| *sum += value);
        }
    }
    input
}

/// What a linear node answers to the constant `given`; `None` stands for 0.
fn answer(lowering: &Lowering<'_>, id: NodeId, node: &Node, given: Option<Vec<f64>>) -> Option<Vec<f64>> {
    let mapped = match (node, given) {
        (Node::Affine(_) | Node::Convolution(_) | Node::Pool(_), Some(given)) => Some(lowering.maps[&id].apply(&given)),
        (Node::Scale { scale }, Some(mut given)) => {
            let factor = |at: usize| if scale.len() == 1 { scale.data[0] } else { scale.data[at] };
            given.iter_mut().enumerate().for_each(|(at, value)| *value *= factor(at));
            Some(given)
        }
        (Node::Synapses(_), _) => None,
        (_, given) => given,
    };
    let bias = match node {
        Node::Affine(affine) => affine.bias.as_ref().map(|bias| bias.data.clone()),
        Node::Convolution(convolution) => convolution.bias.as_ref().map(|bias| {
            let plane = lowering.shapes.output_len(id) / bias.len();
            bias.data.iter().flat_map(|value| std::iter::repeat_n(*value, plane)).collect()
        }),
        _ => None,
    };
    match (mapped, bias) {
        (Some(mapped), Some(bias)) => Some(mapped.iter().zip(&bias).map(|(mapped, bias)| mapped + bias).collect()),
        (mapped, bias) => mapped.or(bias),
    }
}
