//! `lower`: from the network as its author means it to populations and projections in the canonical float form.
//!
//! * Neurons get the canonical form of [`snncc_ir::ir`]: gains go into the weights, the reset to 0 (`neurons`).
//! * The linear nodes on every path between two populations become one projection, kept compact where that is exact
//!   (`paths`, `maps`, `convolutions`). Biases reach the neurons as a constant (`constants`).
//! * Populations that reset by subtraction get a projection onto themselves, and a neuron that sends their constants
//!   (`subtraction`).
//! * Populations get their latency, projections their delay on the chip (`latency`).
//!
//! Everything is exact but for rounding: the float IR, stepped as its documentation says, fires as the float reference does,
//! chip step `t + latency` for network step `t`.
//!
//! **Invariant:** the result depends on the network and the options alone; populations stand in node order, projections in
//! the order of the edges that leave their source, and behind them what the network does not have itself.

mod constants;
mod convolutions;
mod latency;
mod maps;
mod neurons;
mod paths;
mod subtraction;

use itertools::Itertools;
use latency::{BrokenLoop, Hop};
use maps::LinearMap;
use neurons::Canonical;
use paths::Link;
use snncc_ids::{Diagnostic, Diagnostics, IdVec, NodeId, PopulationId, ProjectionId, Severity, code};
use snncc_ir::network::{Reset, Spiking};
use snncc_ir::shapes::{self, Shapes};
use snncc_ir::{
    Graph, Ir, IrNeurons, Network, Node, OutputPort, Population, PopulationRole, Projection, Readout, checks, cycles,
};
use std::collections::BTreeMap;
use subtraction::Appender;

/// What the user may ask of `lower`.
#[derive(Clone, Debug, PartialEq)]
pub struct LowerOptions {
    /// Time step in seconds, before the network's own.
    pub dt_s: Option<f64>,
    /// Whether paths are padded with delay so that network step `t` is chip step `t + latency` everywhere.
    pub align: bool,
    /// Reset of all spiking neurons on the chip, where it differs from the network's own with a warning.
    pub reset: Option<Reset>,
    /// Whether loops may take longer on the chip than in the network.
    pub allow_loop_latency: bool,
    /// Whether the chip's neurons subtract by themselves what a spike takes off.
    pub subtracts: bool,
}

impl Default for LowerOptions {
    fn default() -> Self {
        Self { dt_s: None, align: true, reset: None, allow_loop_latency: false, subtracts: false }
    }
}

/// A lowered network.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowered {
    /// The float IR.
    pub ir: Ir,
    /// What the user should look at: unused populations, loops that take longer.
    pub warnings: Vec<Diagnostic>,
}

/// Lowers `network`.
///
/// # Errors
/// What [`shapes::infer`] and [`checks`] find; SNN0205 for what has no exact form (some resets by subtraction, analog values
/// between neurons, floats among a chip's integers); SNN0206 for loops that cannot keep their timing; SNN0207 for outputs
/// and loops that no neurons feed. All of them, not only the first.
pub fn lower(network: &Network, options: &LowerOptions) -> Result<Lowered, Diagnostics> {
    let mut problems = match attempt(network, options) {
        Ok(mut lowered) => {
            lowered.warnings.extend(approximated_resets(network, options));
            return Ok(lowered);
        }
        Err(problems) => problems,
    };
    // Resets are the one fault with a flag as the way out; say so only if it leads somewhere.
    let is_reset = |problem: &Diagnostic| problem.item.as_ref().is_some_and(|item| item.ends_with("/reset"));
    if problems.0.iter().all(|problem| problem.severity == Severity::Warning || is_reset(problem))
        && attempt(network, &LowerOptions { reset: Some(Reset::ToValue), ..options.clone() }).is_ok()
    {
        for problem in problems.0.iter_mut().filter(|problem| is_reset(problem)) {
            problem.help.push(
                "`--approximate-reset` compiles; spikes will differ from the network's, and `verify` says by how much"
                    .into(),
            );
        }
    }
    Err(problems)
}

/// Neurons whose own reset the options replace.
fn approximated_resets<'a>(network: &'a Network, options: &LowerOptions) -> impl Iterator<Item = Diagnostic> + use<'a> {
    let reset = options.reset;
    network.nodes.iter_with_ids().filter_map(move |(id, node)| match &node.node {
        Node::Neuron(neuron) if neuron.model.spikes() && reset.is_some_and(|reset| reset != neuron.reset) => {
            let message = format!("`{}`: resets by subtraction in the network, to a value on the chip", node.name);
            Some(
                Diagnostic::warning(code::UNSUPPORTED_BY_CHIP, message)
                    .at(format!("{}/reset", network.item(id)))
                    .note("what a spike leaves above the threshold is lost: high rates come out too low"),
            )
        }
        _ => None,
    })
}

/// What only the float reference runs.
fn in_floats_only(node: &Node, name: &str) -> Option<Diagnostic> {
    let (message, help) = match node {
        Node::RateNeuron(neuron) => {
            let function = neuron.function.name();
            let message = match neuron.spiking {
                Spiking::Regular => format!("`{name}` has neurons that follow the rate of {function}"),
                _ => format!("`{name}` has neurons that follow the rate of {function} at random"),
            };
            let message =
                format!("{message}, with several spikes in a step; compartments have a membrane and fire once");
            (message, "convert with `--neuron if` or `--neuron lif:TAU_RC`, without `--signed-spikes`")
        }
        Node::GatedPool(_) => (
            format!("`{name}` passes the spikes of the most active input of each window on, which no compartment does"),
            "convert with `--max-pool tree`, which is exact, or `--max-pool average`",
        ),
        _ => return None,
    };
    let note = "`sweep` and `ledger` without --target run it in floats";
    Some(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message).note(note).help(help))
}

fn attempt(network: &Network, options: &LowerOptions) -> Result<Lowered, Diagnostics> {
    let shapes = shapes::infer(network)?;
    let dt_s = checks::time_step(network, options.dt_s)?;
    let mut problems = checks::check_values(network, dt_s);
    for path in cycles::loops_without_neurons(network) {
        problems.push(cycles::loop_diagnostic(network, &path));
    }
    for (id, node) in network.nodes.iter_with_ids() {
        problems.0.extend(in_floats_only(&node.node, &node.name).map(|problem| problem.at(network.item(id))));
    }
    let ((), warnings) = problems.into_result(())?;

    let mut lowering = Lowering::new(network, &shapes, dt_s, options);
    lowering.warnings.extend(warnings);
    let neurons = lowering.canonical_neurons();
    let links = lowering.links(&neurons);
    let outputs = lowering.outputs();
    let mut graph = lowering.graph(&links);
    let Lowering { mut problems, warnings, .. } = lowering;
    problems.0.extend(warnings);
    let ((), mut warnings) = problems.into_result(())?;

    warnings.extend(unused(&graph, &outputs));
    let mut appender = Appender {
        graph: &mut graph,
        neurons: Vec::with_capacity(neurons.len()),
        weights: links.into_iter().map(Link::into_weights).collect(),
    };
    let mut subtractions = Vec::new();
    for (at, canonical) in neurons.into_values().enumerate() {
        appender.neurons.push(match canonical {
            Canonical::Input => None,
            Canonical::Float { params, subtraction, .. } => {
                subtractions.extend(subtraction.map(|subtraction| (PopulationId(at as u32), subtraction)));
                Some(IrNeurons::Float(params))
            }
            Canonical::Integer(compartments) => Some(IrNeurons::Integer(compartments)),
        });
    }
    subtractions.iter().for_each(|(target, subtraction)| appender.append(*target, subtraction));
    let neurons: IdVec<PopulationId, _> = appender.neurons.into();
    let weights: IdVec<ProjectionId, _> = appender.weights.into();
    Ok(Lowered { ir: Ir { graph, neurons, weights, outputs, dt_s }, warnings })
}

/// What the steps of lowering share.
struct Lowering<'a> {
    network: &'a Network,
    shapes: &'a Shapes,
    dt_s: Option<f64>,
    options: &'a LowerOptions,
    is_back: Vec<bool>,
    /// Edges that leave each node, in the order of the file.
    outgoing: Vec<Vec<usize>>,
    /// Edges that enter each node, in the order of the file.
    incoming: Vec<Vec<usize>>,
    /// The map of every Affine, Convolution and Pool.
    maps: BTreeMap<NodeId, LinearMap>,
    /// Population of each population node.
    population_of: BTreeMap<NodeId, PopulationId>,
    problems: Diagnostics,
    warnings: Vec<Diagnostic>,
}

impl<'a> Lowering<'a> {
    fn new(network: &'a Network, shapes: &'a Shapes, dt_s: Option<f64>, options: &'a LowerOptions) -> Self {
        let mut outgoing = vec![Vec::new(); network.nodes.len()];
        let mut incoming = vec![Vec::new(); network.nodes.len()];
        for (index, edge) in network.edges.iter().enumerate() {
            outgoing[edge.source.0 as usize].push(index);
            incoming[edge.target.0 as usize].push(index);
        }
        let is_population = |(id, node): (NodeId, &snncc_ir::NetworkNode)| node.node.is_population().then_some(id);
        let population_of = network.nodes.iter_with_ids().filter_map(is_population);
        let population_of = population_of.enumerate().map(|(at, id)| (id, PopulationId(at as u32))).collect();
        let map_of = |(id, node): (NodeId, &snncc_ir::NetworkNode)| {
            LinearMap::of(&node.node, &shapes.input[id], shapes.output_len(id)).map(|map| (id, map))
        };
        let maps = network.nodes.iter_with_ids().filter_map(map_of).collect();
        Self {
            network,
            shapes,
            dt_s,
            options,
            is_back: cycles::find(network).is_back,
            outgoing,
            incoming,
            maps,
            population_of,
            problems: Diagnostics::new(),
            warnings: Vec::new(),
        }
    }

    fn name(&self, id: NodeId) -> &'a str {
        &self.network.nodes[id].name
    }

    /// The canonical form of every population.
    fn canonical_neurons(&mut self) -> BTreeMap<NodeId, Canonical> {
        let constants = constants::at_populations(self);
        let mut result = BTreeMap::new();
        for id in self.population_of.keys().copied().collect::<Vec<_>>() {
            let constant = constants.get(&id).map(|values| &values[..]);
            let (node, options) = (&self.network.nodes[id].node, self.options);
            match neurons::canonical(node, constant, self.dt_s, options.reset, options.subtracts) {
                Ok(canonical) => {
                    result.insert(id, canonical);
                }
                Err((field, message)) => {
                    let message = format!("`{}`: {message}", self.name(id));
                    let item = format!("{}/{field}", self.network.item(id));
                    self.problems.push(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message).at(item));
                }
            }
        }
        result
    }

    /// One link per path between two populations, gains of the target included.
    fn links(&mut self, neurons: &BTreeMap<NodeId, Canonical>) -> Vec<Link> {
        let found = match paths::all(self) {
            Ok(found) => found,
            Err(problem) => {
                self.problems.push(*problem);
                return Vec::new();
            }
        };
        let mut links = Vec::with_capacity(found.len());
        let mut analog_told = Vec::new();
        for path in found {
            let source = path.source(self.network);
            if is_analog(&self.network.nodes[source].node) {
                if !analog_told.contains(&source) {
                    analog_told.push(source);
                    let (from, to) = (self.name(source), self.name(path.target(self.network)));
                    let message = format!("the membrane of `{from}`, which does not spike, leads to `{to}`");
                    self.problems.push(
                        Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message)
                            .at(self.network.item(source))
                            .note("chips send spikes; a membrane can only be read at an output"),
                    );
                }
                continue;
            }
            match paths::compose(self, &path) {
                Ok(mut link) => {
                    if let Some(Canonical::Float { gain, .. }) = neurons.get(&link.target) {
                        link.map = match link.map.scale_targets(gain) {
                            Ok(map) => map,
                            Err(too_large) => {
                                let message = format!("`{}`: {}", self.name(link.target), too_large.message());
                                let item = self.network.item(link.target);
                                self.problems.push(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message).at(item));
                                continue;
                            }
                        };
                    }
                    if link.map.weights.iter().any(|weight| !weight.is_finite()) {
                        let message = format!(
                            "a weight from `{}` to `{}` is too large for a float once gains are applied",
                            self.name(link.source),
                            self.name(link.target)
                        );
                        self.problems.push(Diagnostic::error(code::BAD_PARAMETER, message).at(link.item.clone()));
                    }
                    links.push(link);
                }
                Err(problem) => self.problems.push(*problem),
            }
        }
        links
    }

    /// The output ports: each must be fed by one population, through nodes that only reshape.
    fn outputs(&mut self) -> Vec<OutputPort> {
        let mut ports = Vec::new();
        for (id, node) in self.network.nodes.iter_with_ids() {
            if matches!(node.node, Node::Output { .. }) {
                match self.population_behind(id) {
                    Ok(population) => {
                        let readout = match is_analog(&self.network.nodes[population].node) {
                            true => Readout::Membrane,
                            false => Readout::Spikes,
                        };
                        let population = self.population_of[&population];
                        ports.push(OutputPort { name: node.name.clone(), population, readout });
                    }
                    Err(problem) => self.problems.push(problem.at(self.network.item(id))),
                }
            }
        }
        ports
    }

    fn population_behind(&self, output: NodeId) -> Result<NodeId, Box<Diagnostic>> {
        let name = self.name(output);
        let mut at = output;
        loop {
            let [edge] = self.incoming[at.0 as usize][..] else {
                let sources = self.incoming[at.0 as usize].iter().map(|edge| self.network.edges[*edge].source);
                let names = sources.map(|id| format!("`{}`", self.name(id))).join(", ");
                let message = format!("output `{name}` is the sum of {names}; only neurons can sum");
                return Err(Box::new(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message)));
            };
            if self.is_back[edge] {
                let message = format!("output `{name}` lies in a loop and would show values one step late");
                return Err(Box::new(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message)));
            }
            at = self.network.edges[edge].source;
            match &self.network.nodes[at].node {
                Node::Neuron(_) | Node::Threshold(_) | Node::Compartments(_) => return Ok(at),
                Node::Flatten { .. } | Node::Reshape { .. } | Node::Output { .. } => {}
                _ => {
                    let message =
                        format!("values reach output `{name}` from `{}` without passing neurons", self.name(at));
                    return Err(Box::new(
                        Diagnostic::error(code::NO_NEURONS, message)
                            .help("put neurons before the output; LI neurons integrate without spiking"),
                    ));
                }
            }
        }
    }

    /// Populations with latencies and projections with delays. Links that break the timing are problems or, where the user
    /// allows that, warnings.
    fn graph(&mut self, links: &[Link]) -> Graph {
        let index_of = |id: NodeId| self.population_of[&id].0 as usize;
        let is_input: Vec<bool> =
            self.population_of.keys().map(|id| matches!(self.network.nodes[*id].node, Node::Input { .. })).collect();
        let hops: Vec<Hop> = links
            .iter()
            .map(|link| Hop {
                source: index_of(link.source),
                target: index_of(link.target),
                back_edges: link.back_edges,
                extra_delay: link.delay.least(),
            })
            .collect();
        let timing = if self.options.align {
            latency::assign(&is_input, &hops)
        } else {
            latency::Timing { latency: vec![0; is_input.len()], broken: Vec::new() }
        };
        let broken: Vec<Diagnostic> = timing.broken.iter().map(|broken| self.loop_problem(broken)).collect();
        for diagnostic in broken {
            match self.options.allow_loop_latency {
                true => self.warnings.push(diagnostic),
                false => self.problems.push(diagnostic),
            }
        }

        let mut graph = Graph::default();
        for (id, population) in &self.population_of {
            graph.populations.push(Population {
                name: self.name(*id).to_owned(),
                shape: self.shapes.output[*id].clone(),
                role: match is_input[population.0 as usize] {
                    true => PopulationRole::Input,
                    false => PopulationRole::Neurons,
                },
                latency_steps: timing.latency[population.0 as usize],
                item: self.network.item(*id),
            });
        }
        let mut seen: BTreeMap<(NodeId, NodeId), u32> = BTreeMap::new();
        for (link, hop) in links.iter().zip(&hops) {
            let count = seen.entry((link.source, link.target)).or_insert(0);
            *count += 1;
            let mut name = format!("{}->{}", self.name(link.source), self.name(link.target));
            if *count > 1 {
                name = format!("{name}#{count}");
            }
            let offset = match self.options.align {
                true => hop.steps_on_chip(&timing.latency),
                false => 1,
            };
            graph.projections.push(Projection {
                name,
                source: self.population_of[&link.source],
                target: self.population_of[&link.target],
                delays: link.delay.on_chip(offset),
                item: link.item.clone(),
                ..link.map.shell.clone()
            });
        }
        graph
    }

    fn loop_problem(&self, broken: &BrokenLoop) -> Diagnostic {
        let nodes: Vec<NodeId> = self.population_of.keys().copied().collect();
        let mut names: Vec<&str> = broken.populations.iter().map(|at| self.name(nodes[*at])).collect();
        names.push(names[0]);
        let message = format!(
            "the loop {} takes {} step(s) in the network, and at least {} on a chip",
            names.join(" -> "),
            broken.network_steps,
            broken.chip_steps
        );
        let diagnostic = match self.options.allow_loop_latency {
            true => Diagnostic::warning(code::LOOP_LATENCY, message),
            false => Diagnostic::error(code::LOOP_LATENCY, message).help(format!(
                "`--allow-loop-latency` lets the loop take {} steps; spikes will differ from the network's",
                broken.chip_steps
            )),
        };
        diagnostic.at(self.network.item(nodes[broken.populations[0]])).note(
            "on a chip every projection takes at least one step; a spike passes acyclic edges of a network in none",
        )
    }
}

/// Whether the output is a membrane, not spikes.
fn is_analog(node: &Node) -> bool {
    matches!(node, Node::Neuron(neuron) if !neuron.model.spikes())
}

/// A warning for every population from which no path leads to an output.
fn unused(graph: &Graph, outputs: &[OutputPort]) -> Vec<Diagnostic> {
    let mut used = vec![false; graph.populations.len()];
    let mut queue: Vec<PopulationId> = outputs.iter().map(|output| output.population).collect();
    let mut sources = vec![Vec::new(); graph.populations.len()];
    for projection in graph.projections.iter() {
        sources[projection.target.0 as usize].push(projection.source);
    }
    while let Some(id) = queue.pop() {
        if !std::mem::replace(&mut used[id.0 as usize], true) {
            queue.extend(&sources[id.0 as usize]);
        }
    }
    let unused = graph.populations.iter().zip(used).filter(|(_, used)| !used);
    unused
        .map(|(population, _)| {
            let message = format!("no path leads from `{}` to an output", population.name);
            Diagnostic::warning(code::UNREACHABLE, message).at(population.item.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests;
