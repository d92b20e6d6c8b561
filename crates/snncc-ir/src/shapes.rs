//! The shape of what goes into and comes out of every node, inferred over the whole network, cycles included.
//!
//! Shapes spread from inputs, from nodes that state a shape and, where nothing else is known, from matrices and from
//! per-neuron parameters. A node that states none takes the finest shape that leads to it (the one with the most
//! dimensions): neurons between convolutions stay `[16, 4, 4]` though a matrix feeds them too. After that every edge is
//! checked. Two shapes *agree* if they have the same elements in the same
//! row-major order: dimensions of length 1 do not count, and one side may join neighbouring dimensions of the other, so
//! `[1, 1, 10]` and `[10]` agree, and `[16, 4, 4]` and `[256]`, but `[28, 14]` and `[14, 28]` do not.
//!
//! **Invariant:** after `infer` succeeds, every tensor and parameter of the network fits its node, so that interpreters and
//! `lower` may index without further checks. (Values are judged by [`crate::checks`].)

mod node;

pub(crate) use node::neuron_params;
pub use node::{convolution_geometry, gated_pool_geometry, pool_geometry};

use crate::network::{Network, Node};
use snncc_ids::{Diagnostic, Diagnostics, IdVec, NodeId, code};
use std::collections::VecDeque;

/// Most elements that one node may have. Larger networks would not fit any machine this program knows of, and sizes are
/// checked before memory is taken.
pub const MAX_ELEMENTS: usize = 1 << 27;

/// Shapes of all nodes, without batch and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shapes {
    /// What goes into each node. For an input: its shape.
    pub input: IdVec<NodeId, Vec<usize>>,
    /// What comes out of each node.
    pub output: IdVec<NodeId, Vec<usize>>,
}

impl Shapes {
    /// Number of values that go into the node.
    pub fn input_len(&self, id: NodeId) -> usize {
        self.input[id].iter().product()
    }

    /// Number of values that come out of the node.
    pub fn output_len(&self, id: NodeId) -> usize {
        self.output[id].iter().product()
    }
}

/// Infers the shapes of `network`.
///
/// # Errors
/// SNN0202 where shapes disagree, cannot be inferred or are too large; SNN0203 for parameters without meaning (stride 0,
/// a synapse listed twice); SNN0209 for nodes that no value can reach. All of them, not only the first.
pub fn infer(network: &Network) -> Result<Shapes, Diagnostics> {
    let mut problems = Diagnostics::new();
    check_edge_ends(network, &mut problems);
    check_reachable(network, &mut problems);

    let mut inference = Inference {
        network,
        outgoing: outgoing_edges(network),
        input: vec![None; network.nodes.len()],
        output: vec![None; network.nodes.len()],
        problem: network.nodes.iter().map(|node| node::check_structure(&node.node).err()).collect(),
        is_stated: vec![false; network.nodes.len()],
        queue: VecDeque::new(),
    };
    let is_sound: Vec<bool> = inference.problem.iter().map(Option::is_none).collect();
    // What nodes state comes first; what follows from parameters alone only where nothing else tells.
    for id in network.nodes.ids().filter(|id| is_sound[id.0 as usize]) {
        if let Some(shape) = node::stated_input(&network.nodes[id].node) {
            inference.is_stated[id.0 as usize] = true;
            inference.resolve(id, shape);
        }
    }
    inference.spread(&is_sound);
    for id in network.nodes.ids().filter(|id| is_sound[id.0 as usize]) {
        if inference.input[id.0 as usize].is_none()
            && let Some(shape) = node::implied_input(&network.nodes[id].node)
        {
            inference.resolve(id, shape);
            inference.spread(&is_sound);
        }
    }
    for (id, problem) in network.nodes.ids().zip(std::mem::take(&mut inference.problem)) {
        problems.0.extend(problem.map(|problem| problem.at(network, id)));
    }
    inference.check_edges(&mut problems);
    inference.check_complete(&mut problems);
    let (input, output) = (inference.input, inference.output);
    let ((), _) = problems.into_result(())?;
    let complete = |shapes: Vec<Option<Vec<usize>>>| -> IdVec<NodeId, Vec<usize>> {
        shapes.into_iter().map(|shape| shape.expect("bug in snncc: a shape is missing without a diagnostic")).collect()
    };
    Ok(Shapes { input: complete(input), output: complete(output) })
}

/// Whether two shapes have the same elements in the same row-major order (see the head of this file).
pub fn agree(a: &[usize], b: &[usize]) -> bool {
    let joins = |fine: &[usize], coarse: &[usize]| {
        let mut fine = fine.iter().copied().filter(|d| *d != 1);
        let whole = coarse.iter().copied().filter(|d| *d != 1).all(|wanted| {
            let mut product = 1_usize;
            while product < wanted {
                match fine.next() {
                    Some(dimension) => product = product.saturating_mul(dimension),
                    None => return false,
                }
            }
            product == wanted
        });
        whole && fine.next().is_none()
    };
    a == b || joins(a, b) || joins(b, a)
}

/// Dimensions that are not 1, and all dimensions.
fn fineness(shape: &[usize]) -> (usize, usize) {
    (shape.iter().filter(|dimension| **dimension != 1).count(), shape.len())
}

fn outgoing_edges(network: &Network) -> Vec<Vec<NodeId>> {
    let mut outgoing = vec![Vec::new(); network.nodes.len()];
    for edge in &network.edges {
        outgoing[edge.source.0 as usize].push(edge.target);
    }
    outgoing
}

fn check_edge_ends(network: &Network, problems: &mut Diagnostics) {
    for (index, edge) in network.edges.iter().enumerate() {
        let node = network.nodes.get(edge.target).filter(|_| network.nodes.get(edge.source).is_some());
        let target = node.expect("bug in snncc: an edge names a node that does not exist");
        if let Node::Input { .. } = target.node {
            let message =
                format!("an edge leads into the input `{}`; inputs get their values from outside", target.name);
            problems.push(Diagnostic::error(code::BAD_PARAMETER, message).at(format!("edges/{index}")));
        }
    }
}

/// Every node that is no neurons and no input must be reached from one of them: otherwise its input is undefined.
fn check_reachable(network: &Network, problems: &mut Diagnostics) {
    let outgoing = outgoing_edges(network);
    let mut reached: Vec<bool> = network
        .nodes
        .iter()
        .map(|n| matches!(n.node, Node::Input { .. } | Node::Neuron(_) | Node::Compartments(_)))
        .collect();
    let mut queue: Vec<NodeId> = network.nodes.ids().filter(|id| reached[id.0 as usize]).collect();
    while let Some(id) = queue.pop() {
        for target in &outgoing[id.0 as usize] {
            if !std::mem::replace(&mut reached[target.0 as usize], true) {
                queue.push(*target);
            }
        }
    }
    for (id, node) in network.nodes.iter_with_ids() {
        if !reached[id.0 as usize] {
            let message = format!("`{}` gets no values: no path leads to it from an input or from neurons", node.name);
            problems.push(Diagnostic::error(code::UNREACHABLE, message).at(network.item(id)));
        }
    }
}

struct Inference<'a> {
    network: &'a Network,
    outgoing: Vec<Vec<NodeId>>,
    /// The input each node takes, also where it does not fit the node.
    input: Vec<Option<Vec<usize>>>,
    output: Vec<Option<Vec<usize>>>,
    /// What is wrong with a node by itself, or with its input as it stands.
    problem: Vec<Option<node::Problem>>,
    /// Nodes that state their shape: it is not refined.
    is_stated: Vec<bool>,
    queue: VecDeque<NodeId>,
}

impl Inference<'_> {
    /// Takes `shape` as the input of a node and computes its output.
    fn resolve(&mut self, id: NodeId, shape: Vec<usize>) {
        let index = id.0 as usize;
        let node = &self.network.nodes[id].node;
        let result = node::checked_len(&shape).and_then(|len| {
            let output = node::output_shape(node, &shape)?;
            node::checked_len(&output)?;
            node::check_parameters(node, len)?;
            Ok(output)
        });
        self.input[index] = Some(shape);
        match result {
            Ok(output) => {
                self.problem[index] = None;
                if self.output[index].as_ref() != Some(&output) {
                    self.output[index] = Some(output);
                    self.queue.push_back(id);
                }
            }
            Err(problem) => self.problem[index] = Some(problem),
        }
    }

    /// Passes shapes on until nothing changes. An input changes only for a finer one, so this ends.
    fn spread(&mut self, is_sound: &[bool]) {
        while let Some(id) = self.queue.pop_front() {
            let shape = self.output[id.0 as usize].clone().expect("bug in snncc: queued without a shape");
            for at in 0..self.outgoing[id.0 as usize].len() {
                let target = self.outgoing[id.0 as usize][at];
                let index = target.0 as usize;
                if !is_sound[index] || self.is_stated[index] {
                    continue;
                }
                let wanted = node::adapted_input(&self.network.nodes[target].node, &shape);
                let takes = match &self.input[index] {
                    None => true,
                    // A window that fits its input already keeps it.
                    Some(_) if node::has_windows(&self.network.nodes[target].node) && self.problem[index].is_none() => {
                        false
                    }
                    Some(known) => agree(known, &wanted) && fineness(known) < fineness(&wanted),
                };
                if takes {
                    self.resolve(target, wanted);
                }
            }
        }
    }

    fn check_edges(&self, problems: &mut Diagnostics) {
        for (index, edge) in self.network.edges.iter().enumerate() {
            let (Some(found), Some(expected)) =
                (&self.output[edge.source.0 as usize], &self.input[edge.target.0 as usize])
            else {
                continue;
            };
            if !agree(found, expected) {
                let (source, target) = (&self.network.nodes[edge.source].name, &self.network.nodes[edge.target].name);
                let message =
                    format!("`{target}` expects an input of shape {expected:?}, but `{source}` gives {found:?}");
                let mut diagnostic = Diagnostic::error(code::SHAPE_MISMATCH, message).at(format!("edges/{index}"));
                let count = |shape: &[usize]| shape.iter().product::<usize>();
                diagnostic = if count(found) == count(expected) {
                    diagnostic.note(format!("both have {} elements, but in another order", count(found)))
                } else {
                    diagnostic.note(format!("{} elements expected, {} found", count(expected), count(found)))
                };
                problems.push(diagnostic);
            }
        }
    }

    /// Reports nodes without a shape, unless that follows from a problem reported already.
    fn check_complete(&self, problems: &mut Diagnostics) {
        if problems.has_errors() {
            return;
        }
        for (id, node) in self.network.nodes.iter_with_ids() {
            if self.output[id.0 as usize].is_none() {
                let message =
                    format!("the shape of `{}` cannot be inferred: nothing that leads to it has one", node.name);
                let diagnostic = Diagnostic::error(code::SHAPE_MISMATCH, message).at(self.network.item(id));
                problems.push(diagnostic.help("state the shape of the neurons that feed it"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
