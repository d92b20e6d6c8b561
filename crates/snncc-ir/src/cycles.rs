//! Which edges of a network close a cycle, and an order in which its nodes can be evaluated.
//!
//! A depth-first walk starts at the inputs, in node order, then at every node not seen yet; successors are taken in node
//! order, so the order of the file's edges carries no meaning. An edge to a node that is still open on the walk is a *back
//! edge*: it takes one step. Without the back edges the graph has no cycle, and the reverse of the order in which the walk
//! leaves the nodes is a topological order of it.
//!
//! **Invariant:** the target of a back edge stands before its source (or is its source) in [`Cycles::order`].

use crate::network::{Network, Node};
use snncc_ids::{Diagnostic, NodeId, code};

/// Back edges and evaluation order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycles {
    /// For each edge of the network, whether it closes a cycle and so takes one step.
    pub is_back: Vec<bool>,
    /// All nodes; the source of every edge that is not a back edge stands before its target.
    pub order: Vec<NodeId>,
}

impl Node {
    /// Whether the node is a population of its own in the IR and on a chip: an input, or neurons of any kind. The others
    /// (but for Output) are linear and become part of projections.
    pub fn is_population(&self) -> bool {
        matches!(
            self,
            Self::Input { .. } | Self::Neuron(_) | Self::RateNeuron(_) | Self::Threshold(_) | Self::Compartments(_)
        )
    }
}

/// Finds the back edges of `network`. Linear in nodes and edges, but for sorting.
pub fn find(network: &Network) -> Cycles {
    let walk = walk(network, |_| true, 0);
    Cycles { is_back: walk.is_back, order: walk.order }
}

/// Loops that pass no population ([`Node::is_population`]), each as its nodes in the order of the values; at most 16 are
/// given. Such a loop has no meaning on a chip.
pub fn loops_without_neurons(network: &Network) -> Vec<Vec<NodeId>> {
    walk(network, |node| !node.is_population(), 16).loops
}

/// The diagnostic for a loop without neurons.
pub fn loop_diagnostic(network: &Network, path: &[NodeId]) -> Diagnostic {
    let mut names: Vec<&str> = path.iter().take(8).map(|id| network.nodes[*id].name.as_str()).collect();
    if path.len() > names.len() {
        names.push("…");
    }
    names.push(names[0]);
    let message = format!("the loop {} passes no neurons", names.join(" -> "));
    Diagnostic::error(code::NO_NEURONS, message).at(network.item(path[0]))
}

struct Walk {
    is_back: Vec<bool>,
    order: Vec<NodeId>,
    loops: Vec<Vec<NodeId>>,
}

/// Walks the nodes that `keep` admits, and lists the first `loop_limit` loops.
fn walk(network: &Network, keep: impl Fn(&Node) -> bool, loop_limit: usize) -> Walk {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        Open,
        Closed,
    }

    let count = network.nodes.len();
    let mut successors: Vec<Vec<(NodeId, usize)>> = vec![Vec::new(); count];
    for (index, edge) in network.edges.iter().enumerate() {
        if keep(&network.nodes[edge.source].node) && keep(&network.nodes[edge.target].node) {
            successors[edge.source.0 as usize].push((edge.target, index));
        }
    }
    for list in &mut successors {
        list.sort_unstable();
    }

    let is_input = |id: &NodeId| matches!(network.nodes[*id].node, Node::Input { .. });
    let roots = network.nodes.ids().filter(is_input).chain(network.nodes.ids().filter(|id| !is_input(id)));

    let mut seen = vec![Seen::No; count];
    let mut result =
        Walk { is_back: vec![false; network.edges.len()], order: Vec::with_capacity(count), loops: vec![] };
    // The open nodes, each with the successor to look at next.
    let mut open: Vec<(NodeId, usize)> = Vec::new();
    for root in roots {
        if seen[root.0 as usize] != Seen::No || !keep(&network.nodes[root].node) {
            continue;
        }
        seen[root.0 as usize] = Seen::Open;
        open.push((root, 0));
        while let Some((node, next)) = open.last_mut() {
            let node = *node;
            let Some(&(target, edge)) = successors[node.0 as usize].get(*next) else {
                seen[node.0 as usize] = Seen::Closed;
                result.order.push(node);
                open.pop();
                continue;
            };
            *next += 1;
            match seen[target.0 as usize] {
                Seen::Open => {
                    result.is_back[edge] = true;
                    if result.loops.len() < loop_limit {
                        let start = open.iter().position(|(id, _)| *id == target);
                        let start = start.expect("bug in snncc: an open node is not on the path");
                        result.loops.push(open[start..].iter().map(|(id, _)| *id).collect());
                    }
                }
                Seen::No => {
                    seen[target.0 as usize] = Seen::Open;
                    open.push((target, 0));
                }
                Seen::Closed => {}
            }
        }
    }
    result.order.reverse();
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Edge, NetworkNode, Neuron, NeuronModel};

    fn network(kinds: &str, edges: &[(u32, u32)]) -> Network {
        let nodes = kinds.chars().enumerate().map(|(index, kind)| NetworkNode {
            name: index.to_string(),
            node: match kind {
                'i' => Node::Input { shape: vec![1] },
                'n' => Node::Neuron(Neuron::new(NeuronModel::If)),
                _ => Node::Flatten { start_dim: 0, end_dim: -1 },
            },
        });
        Network {
            nodes: nodes.collect(),
            edges: edges.iter().map(|(s, t)| Edge { source: NodeId(*s), target: NodeId(*t) }).collect(),
            ..Network::default()
        }
    }

    #[test]
    fn the_edge_back_into_the_neurons_is_the_back_edge_whatever_the_order_of_edges() {
        // input → fc → n → w → n
        let edges = [(3, 2), (2, 3), (1, 2), (0, 1)];
        let cycles = find(&network("ifnf", &edges));
        assert_eq!(cycles.is_back, [true, false, false, false]);
        assert_eq!(cycles.order.iter().map(|id| id.0).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn self_loops_parallel_edges_and_parts_without_input() {
        let cycles = find(&network("nin", &[(2, 2), (1, 2), (1, 2), (2, 0), (0, 0)]));
        assert_eq!(cycles.is_back, [true, false, false, false, true]);
        let place = |id: u32| cycles.order.iter().position(|n| n.0 == id).unwrap();
        assert!(place(1) < place(2) && place(2) < place(0));
    }

    #[test]
    fn a_loop_of_linear_nodes_is_found() {
        let found = loops_without_neurons(&network("ifffn", &[(0, 1), (1, 2), (2, 3), (3, 1), (3, 4), (4, 1)]));
        assert_eq!(found, [[NodeId(1), NodeId(2), NodeId(3)]]);
        assert!(loops_without_neurons(&network("ifn", &[(0, 1), (1, 2), (2, 1)])).is_empty());
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let count = 200_000_u32;
        let edges: Vec<_> = (0..count - 1).map(|i| (i, i + 1)).collect();
        let cycles = find(&network(&"f".repeat(count as usize), &edges));
        assert!(cycles.order.is_sorted());
    }
}
