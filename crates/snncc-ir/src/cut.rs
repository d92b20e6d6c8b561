//! Cutting a network in two: layers that the host computes, and the rest for the chip.
//!
//! The host gets the layers asked for and every layer that feeds them over acyclic edges. A host layer whose spikes the rest
//! reads is an input of the chip part, under its own name; what is between the two (weights, delays) stays on the chip. A
//! linear node that leads to both sides is in both parts.
//!
//! **Invariant:** run one after the other, the parts do what the whole network does, step for step: no edge leads from the
//! chip to the host, and every edge of a part takes as many steps as in the whole network.

use crate::cycles::{self, Cycles};
use crate::network::{Edge, Network, NetworkNode, Node};
use crate::shapes;
use snncc_ids::{Diagnostic, Diagnostics, Id, IdVec, NodeId, code, did_you_mean};

/// The name that means the layers that read nothing but inputs, where no node of the network is called so.
pub const FIRST: &str = "first";

/// A network in two parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// What the host runs, with the inputs it reads.
    pub host: Network,
    /// What is left for the chip, with the inputs and the host layers it reads as its inputs.
    pub chip: Network,
    /// Names of the host's layers, in node order.
    pub layers: Vec<String>,
    /// Those whose spikes the chip is fed.
    pub sent: Vec<String>,
}

/// Cuts `network` so that the layers `through`, and what feeds them, are on the host.
///
/// Wishes for the placement of host layers, defaults for data and the calibration are no part of the chip's network.
///
/// # Errors
/// What [`shapes::infer`] finds; SNN0211 for names that are no layers, layers that do not fire or are given in integers,
/// loops from the chip back to the host (with their path), outputs that read the host, and if nothing is left for the chip.
pub fn cut(network: &Network, through: &[String]) -> Result<Cut, Diagnostics> {
    let shapes = shapes::infer(network)?;
    let cutter = Cutter::new(network);
    let on_host = cutter.layers(through)?;
    let host_linear = cutter.linear_before(|id| on_host[id.index()]);
    let on_chip = |id: NodeId| match &network.nodes[id].node {
        Node::Input { .. } => false,
        Node::Output { .. } => true,
        node => node.is_population() && !on_host[id.index()],
    };
    let chip_linear = cutter.linear_before(on_chip);
    cutter.check(&on_host, &host_linear)?;

    let host = cutter.part(|id| on_host[id.index()] || host_linear[id.index()], |id| network.nodes[id].node.clone());
    let chip = cutter.part(
        |id| on_chip(id) || chip_linear[id.index()],
        |id| match &network.nodes[id].node {
            node if on_host[id.index()] && node.is_population() => Node::Input { shape: shapes.output[id].clone() },
            node => node.clone(),
        },
    );
    cutter.check_timing(&[&host, &chip])?;
    let named = |id: &NodeId| network.nodes[*id].name.clone();
    let host_layers: Vec<NodeId> = network.nodes.ids().filter(|id| on_host[id.index()]).collect();
    let sent = host_layers.iter().filter(|id| chip.network.find(&network.nodes[**id].name).is_some());
    let sent = sent.map(named).collect();
    let mut chip = chip.network;
    let stays = |name: &String| !host_layers.iter().any(|id| network.nodes[*id].name == *name);
    chip.mapping = network.mapping.clone();
    chip.mapping.pins.retain(|pin| stays(&pin.population));
    chip.mapping.exclusive.retain(stays);
    chip.mapping.split.retain(|(name, _)| stays(name));
    let mut host = Network { run: network.run.clone(), ..host.network };
    // A rule for stopping looks at outputs, which the host has none of.
    host.run.early_exit = None;
    host.run.ranges = network.run.ranges.iter().filter(|(port, _)| host.find(port).is_some()).cloned().collect();
    Ok(Cut { host, chip, layers: host_layers.iter().map(named).collect(), sent })
}

/// A part, and the edge of the whole network that each of its edges is.
struct Part {
    network: Network,
    edges: Vec<usize>,
}

struct Cutter<'a> {
    network: &'a Network,
    cycles: Cycles,
    /// Edges into each node, by number.
    incoming: Vec<Vec<usize>>,
}

impl<'a> Cutter<'a> {
    fn new(network: &'a Network) -> Self {
        let mut incoming = vec![Vec::new(); network.nodes.len()];
        for (index, edge) in network.edges.iter().enumerate() {
            incoming[edge.target.index()].push(index);
        }
        Self { network, cycles: cycles::find(network), incoming }
    }

    fn node(&self, id: NodeId) -> &'a Node {
        &self.network.nodes[id].node
    }

    fn name(&self, id: NodeId) -> &'a str {
        &self.network.nodes[id].name
    }

    fn problem(&self, id: NodeId, message: String) -> Diagnostic {
        Diagnostic::error(code::HOST_CUT, message).at(self.network.item(id))
    }

    fn is_layer(&self, id: NodeId) -> bool {
        self.node(id).is_population() && !matches!(self.node(id), Node::Input { .. })
    }

    /// Sources of a node; with `back`, also over edges that close a loop.
    fn sources(&self, id: NodeId, back: bool) -> impl Iterator<Item = NodeId> {
        let edges = self.incoming[id.index()].iter().filter(move |edge| back || !self.cycles.is_back[**edge]);
        edges.map(|edge| self.network.edges[*edge].source)
    }

    /// All that leads to these nodes (themselves included) over acyclic edges; a walk goes on from nodes that `pass`.
    fn upstream(&self, from: impl IntoIterator<Item = NodeId>, pass: impl Fn(NodeId) -> bool) -> Vec<bool> {
        let mut seen = vec![false; self.network.nodes.len()];
        let mut open: Vec<NodeId> = from.into_iter().collect();
        open.iter().for_each(|id| seen[id.index()] = true);
        while let Some(id) = open.pop() {
            for source in self.sources(id, false) {
                if !std::mem::replace(&mut seen[source.index()], true) && pass(source) {
                    open.push(source);
                }
            }
        }
        seen
    }

    /// The layers on the host, by node.
    fn layers(&self, through: &[String]) -> Result<Vec<bool>, Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut named = Vec::new();
        for name in through {
            match self.network.find(name) {
                Some(id) if self.is_layer(id) => named.push(id),
                Some(id) => problems.push(self.no_layer(id)),
                None if name == FIRST => named.extend(self.first()),
                None => problems.push(self.unknown(name)),
            }
        }
        if named.is_empty() && !problems.has_errors() {
            let message = "no layer reads inputs alone: there is no first layer for the host";
            problems.push(Diagnostic::error(code::HOST_CUT, message).help("name the layers: --host LAYER,LAYER"));
        }
        let upstream = self.upstream(named, |_| true);
        let layers = self.network.nodes.ids().map(|id| upstream[id.index()] && self.is_layer(id));
        problems.into_result(layers.collect()).map(|(layers, _)| layers)
    }

    /// Layers that read inputs, and over acyclic edges nothing else.
    fn first(&self) -> impl Iterator<Item = NodeId> {
        let reads_inputs_alone = |id: &NodeId| {
            let upstream = self.upstream([*id], |source| !self.node(source).is_population());
            let others = || self.network.nodes.ids().filter(|source| source != id && upstream[source.index()]);
            others().any(|source| matches!(self.node(source), Node::Input { .. }))
                && !others().any(|source| self.is_layer(source))
        };
        self.network.nodes.ids().filter(|id| self.is_layer(*id)).filter(reads_inputs_alone)
    }

    fn unknown(&self, name: &str) -> Diagnostic {
        let layers = self.network.nodes.ids().filter(|id| self.is_layer(*id)).map(|id| self.name(id));
        let names: Vec<&str> = layers.collect();
        let error = Diagnostic::error(code::HOST_CUT, format!("the network has no layer `{name}` for the host"))
            .note(format!("layers: {}", names.join(", ")));
        match did_you_mean(name, names.into_iter().chain([FIRST])) {
            Some(guess) => error.help(format!("did you mean `{guess}`?")),
            None => error,
        }
    }

    /// A node that is no layer; the help names layers behind it.
    fn no_layer(&self, id: NodeId) -> Diagnostic {
        let behind = self.network.nodes.ids().filter(|layer| self.is_layer(*layer));
        let behind =
            behind.filter(|layer| self.upstream([*layer], |source| !self.node(source).is_population())[id.index()]);
        let behind: Vec<&str> = behind.map(|layer| self.name(layer)).take(4).collect();
        let error = self.problem(id, format!("`{}` holds no neurons; the host takes whole layers", self.name(id)));
        if behind.is_empty() { error } else { error.help(format!("neurons behind it: {}", behind.join(", "))) }
    }

    /// Linear nodes that lead to nodes that `end` picks, without a population between.
    fn linear_before(&self, end: impl Fn(NodeId) -> bool) -> Vec<bool> {
        let is_linear = |id: NodeId| !self.node(id).is_population() && !matches!(self.node(id), Node::Output { .. });
        let mut marked = vec![false; self.network.nodes.len()];
        let mut open: Vec<NodeId> = self.network.nodes.ids().filter(|id| end(*id)).collect();
        while let Some(id) = open.pop() {
            for source in self.sources(id, true) {
                if is_linear(source) && !std::mem::replace(&mut marked[source.index()], true) {
                    open.push(source);
                }
            }
        }
        marked
    }

    /// The path of linear nodes to `target` from a population that `from` picks, if there is one.
    fn path_to(&self, target: NodeId, from: impl Fn(NodeId) -> bool) -> Option<Vec<NodeId>> {
        let mut next: Vec<Option<NodeId>> = vec![None; self.network.nodes.len()];
        let mut open = vec![target];
        while let Some(id) = open.pop() {
            for source in self.sources(id, true) {
                if self.node(source).is_population() {
                    if from(source) {
                        let mut path = vec![source, id];
                        while let Some(id) = path.last().filter(|id| **id != target).and_then(|id| next[id.index()]) {
                            path.push(id);
                        }
                        return Some(path);
                    }
                } else if next[source.index()].is_none() {
                    next[source.index()] = Some(id);
                    open.push(source);
                }
            }
        }
        None
    }

    fn shown(&self, path: &[NodeId]) -> String {
        path.iter().map(|id| self.name(*id)).collect::<Vec<_>>().join(" -> ")
    }

    /// What forbids these layers on the host.
    fn check(&self, on_host: &[bool], host_linear: &[bool]) -> Result<(), Diagnostics> {
        let mut problems = Diagnostics::new();
        for id in self.network.nodes.ids() {
            let name = self.name(id);
            match self.node(id) {
                Node::Compartments(_) if on_host[id.index()] => {
                    let message = format!("`{name}` is given in a chip's integers; the host computes in floats");
                    problems.push(self.problem(id, message));
                }
                Node::Synapses(_) if host_linear[id.index()] => {
                    let message = format!("`{name}` is given in a chip's integers; the host computes in floats");
                    problems.push(self.problem(id, message));
                }
                Node::Neuron(neuron) if on_host[id.index()] && !neuron.model.spikes() => {
                    let message = format!("`{name}` does not fire; the host sends spikes to the chip, no membranes");
                    problems.push(self.problem(id, message).help("cut behind another layer"));
                }
                Node::Output { .. } => {
                    if let Some(path) = self.path_to(id, |source| on_host[source.index()]) {
                        let message = format!("output `{name}` reads a layer on the host: {}", self.shown(&path));
                        problems.push(self.problem(id, message).help("leave the last layer on the chip"));
                    }
                }
                _ => {}
            }
            if on_host[id.index()] {
                let from_chip = |source: NodeId| self.is_layer(source) && !on_host[source.index()];
                if let Some(path) = self.path_to(id, from_chip) {
                    let message = format!("the chip would have to feed `{name}` on the host: {}", self.shown(&path));
                    let help = format!("put `{}` on the host too, or leave `{name}` on the chip", self.name(path[0]));
                    problems.push(self.problem(id, message).help(help));
                }
            }
        }
        if !problems.has_errors() && self.network.nodes.ids().all(|id| !self.is_layer(id) || on_host[id.index()]) {
            let message = "all layers would be on the host; nothing is left for the chip";
            problems.push(Diagnostic::error(code::HOST_CUT, message).help("name an earlier layer"));
        }
        problems.into_result(()).map(|_| ())
    }

    /// The members, and as inputs what they read of other populations.
    fn part(&self, is_member: impl Fn(NodeId) -> bool, node: impl Fn(NodeId) -> Node) -> Part {
        let kept: Vec<usize> =
            (0..self.network.edges.len()).filter(|edge| is_member(self.network.edges[*edge].target)).collect();
        let mut read = vec![false; self.network.nodes.len()];
        kept.iter().for_each(|edge| read[self.network.edges[*edge].source.index()] = true);
        let mut nodes: IdVec<NodeId, NetworkNode> = IdVec::new();
        let mut numbers: Vec<Option<NodeId>> = vec![None; self.network.nodes.len()];
        for id in self.network.nodes.ids() {
            if is_member(id) || read[id.index()] {
                numbers[id.index()] = Some(NodeId::new(nodes.len()));
                nodes.push(NetworkNode { name: self.name(id).to_owned(), node: node(id) });
            }
        }
        let number = |id: NodeId| numbers[id.index()].expect("bug in snncc: both ends of a kept edge are in the part");
        let edge = |edge: &usize| {
            let Edge { source, target } = self.network.edges[*edge];
            Edge { source: number(source), target: number(target) }
        };
        let edges = kept.iter().map(edge).collect();
        Part { network: Network { dt_s: self.network.dt_s, nodes, edges, ..Network::default() }, edges: kept }
    }

    /// Refuses a cut that changes which edges close a loop, and so take a step.
    fn check_timing(&self, parts: &[&Part]) -> Result<(), Diagnostics> {
        let mut problems = Diagnostics::new();
        for part in parts {
            let is_back = cycles::find(&part.network).is_back;
            for (&whole, is_back) in part.edges.iter().zip(is_back) {
                if self.cycles.is_back[whole] != is_back {
                    let edge = self.network.edges[whole];
                    let (source, target) = (self.name(edge.source), self.name(edge.target));
                    let message = format!("cut here, the edge {source} -> {target} would no longer take as long");
                    problems.push(
                        Diagnostic::error(code::HOST_CUT, message)
                            .at(format!("edges/{whole}"))
                            .note("an edge that closes a loop takes one step, any other none")
                            .help("cut before or behind the whole loop"),
                    );
                }
            }
        }
        problems.into_result(()).map(|_| ())
    }
}

#[cfg(test)]
mod tests;
