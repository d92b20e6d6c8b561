//! Paths of linear nodes between two populations, and each path as one projection.
//!
//! Delays compose as far as one synapse still has one delay: those of the source's side pass every map, those of single
//! synapses or of the target's side only what is one to one.

use super::Lowering;
use super::maps::{LinearMap, TooLarge, shell, sparse_pattern};
use snncc_ids::{Diagnostic, NodeId, code};
use snncc_ir::network::{Matrix, SynapseDelay, Synapses};
use snncc_ir::{Connectivity, Delays, IntWeights, IrWeights, Network, Node, Param, checks};

/// Bound on the number of paths, and on their nodes together: skip connections without neurons could make it explode.
const MAX_PATHS: usize = 1 << 16;
const MAX_PATH_NODES: usize = 1 << 22;

/// A path from a population through linear nodes to a population.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// At least one edge.
    edges: Vec<usize>,
}

impl Path {
    pub(super) fn source(&self, network: &Network) -> NodeId {
        network.edges[self.edges[0]].source
    }

    pub(super) fn target(&self, network: &Network) -> NodeId {
        network.edges[*self.edges.last().expect("bug in snncc: a path without edges")].target
    }
}

/// A path as one projection, before its delay on the chip is known.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) source: NodeId,
    pub(super) target: NodeId,
    /// Back edges on the path.
    pub(super) back_edges: u32,
    /// The map; without weights where `integer` has them.
    pub(super) map: LinearMap,
    /// Weights in the chip's integers.
    integer: Option<IntWeights>,
    pub(super) delay: ExtraDelay,
    /// The node that holds the weights, or the edge.
    pub(super) item: String,
}

impl Link {
    pub(super) fn into_weights(self) -> IrWeights {
        match self.integer {
            Some(weights) => IrWeights::Integer(weights),
            None => IrWeights::Float(self.map.weights),
        }
    }
}

/// Steps that a spike is delayed beyond what the edges take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExtraDelay {
    Uniform(u32),
    PerSource(Vec<u32>),
    PerTarget(Vec<u32>),
    /// In the order of the weights.
    PerSynapse(Vec<u32>),
}

impl ExtraDelay {
    fn values(&self) -> &[u32] {
        match self {
            Self::Uniform(delay) => std::slice::from_ref(delay),
            Self::PerSource(delays) | Self::PerTarget(delays) | Self::PerSynapse(delays) => delays,
        }
    }

    /// The least delay of all.
    pub(super) fn least(&self) -> u32 {
        self.values().iter().copied().min().unwrap_or(0)
    }

    /// Delays on the chip, `offset` added, at least 1 each. Delays per target were made per synapse before.
    pub(super) fn on_chip(&self, offset: i64) -> Delays {
        let moved = |delay: &u32| (i64::from(*delay) + offset).clamp(1, i64::from(u32::MAX)) as u32;
        let all: Vec<u32> = self.values().iter().map(moved).collect();
        match self {
            Self::Uniform(_) => Delays::Uniform(all[0]),
            Self::PerSource(_) => Delays::PerSource(all),
            Self::PerSynapse(_) => Delays::PerSynapse(all),
            Self::PerTarget(_) => unreachable!("bug in snncc: delays per target were not spread over the synapses"),
        }
    }

    fn add_uniform(&mut self, steps: u32) {
        match self {
            Self::Uniform(delay) => *delay = delay.saturating_add(steps),
            Self::PerSource(delays) | Self::PerTarget(delays) | Self::PerSynapse(delays) => {
                delays.iter_mut().for_each(|delay| *delay = delay.saturating_add(steps));
            }
        }
    }

    /// Uniform if all delays are equal.
    fn compact(self) -> Self {
        match self.values() {
            [first, rest @ ..] if rest.iter().all(|delay| delay == first) => Self::Uniform(*first),
            _ => self,
        }
    }
}

/// All paths, in the order of the edges that leave their source, then depth first.
pub(super) fn all(lowering: &Lowering<'_>) -> Result<Vec<Path>, Box<Diagnostic>> {
    let network = lowering.network;
    let mut paths: Vec<Path> = Vec::new();
    let mut path_nodes = 0;
    for (first, edge) in network.edges.iter().enumerate() {
        if !network.nodes[edge.source].node.is_population() {
            continue;
        }
        let mut open = vec![vec![first]];
        while let Some(edges) = open.pop() {
            let end = network.edges[*edges.last().expect("bug in snncc: a path without edges")].target;
            path_nodes += edges.len();
            if paths.len() >= MAX_PATHS || path_nodes > MAX_PATH_NODES {
                let name = lowering.name(edge.source);
                let message =
                    format!("more than {MAX_PATHS} paths, or too long ones, lead from `{name}` to other neurons");
                return Err(Box::new(
                    Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message)
                        .at(network.item(edge.source))
                        .note("each path through linear nodes becomes a projection of its own"),
                ));
            }
            if network.nodes[end].node.is_population() {
                paths.push(Path { edges });
                continue;
            }
            for next in lowering.outgoing[end.0 as usize].iter().rev() {
                open.push(edges.iter().copied().chain([*next]).collect());
            }
        }
    }
    Ok(paths)
}

/// Makes one projection of `path`.
///
/// # Errors
/// SNN0205 for what has no exact form as one.
pub(super) fn compose(lowering: &Lowering<'_>, path: &Path) -> Result<Link, Box<Diagnostic>> {
    let network = lowering.network;
    let (source, target) = (path.source(network), path.target(network));
    let mut chain = Chain {
        lowering,
        map: LinearMap::identity(lowering.shapes.output_len(source)),
        integer: None,
        delay: ExtraDelay::Uniform(0),
    };
    let middle: Vec<NodeId> =
        path.edges[..path.edges.len() - 1].iter().map(|edge| network.edges[*edge].target).collect();
    for id in &middle {
        chain.pass(*id)?;
    }
    let has_weights = |node: &Node| matches!(node, Node::Affine(_) | Node::Convolution(_) | Node::Synapses(_));
    let does_something = |node: &Node| matches!(node, Node::Pool(_) | Node::Scale { .. } | Node::Delay { .. });
    let last = |wanted: &dyn Fn(&Node) -> bool| middle.iter().rev().find(|id| wanted(&network.nodes[**id].node));
    let item = match last(&has_weights).or_else(|| last(&does_something)) {
        Some(id) => network.item(*id),
        None => format!("edges/{}", path.edges[0]),
    };
    let wants_integers = matches!(network.nodes[target].node, Node::Compartments(_));
    if wants_integers != chain.integer.is_some() {
        let (from, to) = (lowering.name(source), lowering.name(target));
        let message = match (wants_integers, chain.map.is_identity()) {
            (false, _) => format!("`{to}` is given in floats, and the weights from `{from}` in a chip's integers"),
            (true, true) => format!("`{to}` is given in a chip's integers, and no weights are given from `{from}`"),
            (true, false) => format!("`{to}` is given in a chip's integers, and the weights from `{from}` in floats"),
        };
        return Err(Box::new(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message).at(item)));
    }
    if let Err(message) = chain.spread_target_delays() {
        return Err(Box::new(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message).at(item)));
    }
    Ok(Link {
        source,
        target,
        back_edges: path.edges.iter().filter(|edge| lowering.is_back[**edge]).count() as u32,
        map: chain.map,
        integer: chain.integer,
        delay: chain.delay.compact(),
        item,
    })
}

/// What the nodes passed so far do to the source's spikes.
struct Chain<'a> {
    lowering: &'a Lowering<'a>,
    map: LinearMap,
    integer: Option<IntWeights>,
    delay: ExtraDelay,
}

impl Chain<'_> {
    fn pass(&mut self, id: NodeId) -> Result<(), Box<Diagnostic>> {
        let refuse = |message: String| {
            let message = format!("`{}`: {message}", self.lowering.name(id));
            Err(Box::new(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message).at(self.lowering.network.item(id))))
        };
        let node = &self.lowering.network.nodes[id].node;
        let reshapes =
            matches!(node, Node::Flatten { .. } | Node::Reshape { .. } | Node::Output { .. } | Node::Delay { .. });
        if self.integer.is_some() && !reshapes {
            return refuse("weights in a chip's integers must lead straight to the compartments".into());
        }
        match node {
            Node::Flatten { .. } | Node::Reshape { .. } | Node::Output { .. } => Ok(()),
            Node::Delay { delay, .. } => {
                let steps = checks::delay_steps(delay, self.lowering.dt_s).expect("bug in snncc: delays were checked");
                self.pass_delay(&steps).or_else(refuse)
            }
            Node::Scale { scale } => {
                let factors = Param::from_values(scale.data.clone());
                let map = std::mem::replace(&mut self.map, LinearMap::identity(1));
                let scaled = map.scale_targets(&factors).map_err(TooLarge::message);
                scaled.map(|map| self.map = map).or_else(refuse)
            }
            Node::Affine(affine) => {
                let order = match &affine.weight {
                    Matrix::Dense(_) => None,
                    sparse @ Matrix::Sparse { .. } => Some(sparse_pattern(sparse, self.map.target_len()).1),
                };
                self.pass_map(id, &affine.delay, order.as_deref()).or_else(refuse)
            }
            Node::Convolution(convolution) => {
                self.pass_map(id, &SynapseDelay::Uniform(convolution.delay), None).or_else(refuse)
            }
            Node::Pool(_) => self.pass_map(id, &SynapseDelay::None, None).or_else(refuse),
            Node::Synapses(synapses) => self.pass_synapses(synapses).or_else(refuse),
            Node::RateNeuron(_) | Node::GatedPool(_) => unreachable!("bug in snncc: refused before"),
            Node::Input { .. } | Node::Neuron(_) | Node::Threshold(_) | Node::Compartments(_) => {
                unreachable!("bug in snncc: a population within a path")
            }
        }
    }

    fn pass_delay(&mut self, steps: &Param<u32>) -> Result<(), String> {
        let steps = match steps {
            Param::Uniform(steps) => {
                self.delay.add_uniform(*steps);
                return Ok(());
            }
            Param::PerNeuron(steps) => steps,
        };
        let add = |delays: &[u32]| -> Vec<u32> {
            delays.iter().zip(steps).map(|(delay, steps)| delay.saturating_add(*steps)).collect()
        };
        self.delay = match &self.delay {
            ExtraDelay::Uniform(delay) => {
                let all = add(&vec![*delay; steps.len()]);
                if self.map.is_one_to_one() { ExtraDelay::PerSource(all) } else { ExtraDelay::PerTarget(all) }
            }
            ExtraDelay::PerSource(delays) if self.map.is_one_to_one() => ExtraDelay::PerSource(add(delays)),
            ExtraDelay::PerTarget(delays) => ExtraDelay::PerTarget(add(delays)),
            ExtraDelay::PerSource(_) | ExtraDelay::PerSynapse(_) => {
                let mut delays = self.delays_per_synapse()?;
                self.for_each_synapse(|_, target, weight| {
                    delays[weight] = delays[weight].saturating_add(steps[target as usize]);
                });
                ExtraDelay::PerSynapse(delays)
            }
        };
        Ok(())
    }

    /// The delay of every stored weight; a convolution is listed for that.
    fn delays_per_synapse(&mut self) -> Result<Vec<u32>, String> {
        if let Connectivity::Convolution(_) = self.map.shell.connectivity {
            self.map = self.map.listed().map_err(TooLarge::message)?;
        }
        let mut delays = vec![0; self.map.shell.weight_count()];
        self.for_each_synapse(|source, target, weight| {
            delays[weight] = match &self.delay {
                ExtraDelay::Uniform(delay) => *delay,
                ExtraDelay::PerSource(delays) => delays[source as usize],
                ExtraDelay::PerTarget(delays) => delays[target as usize],
                ExtraDelay::PerSynapse(delays) => delays[weight],
            };
        });
        Ok(delays)
    }

    fn for_each_synapse(&self, mut visit: impl FnMut(u32, u32, usize)) {
        for source in 0..self.map.shell.source_len {
            self.map.shell.fan_out(source, |synapse| visit(source, synapse.other, synapse.weight));
        }
    }

    /// Passes a node that has a map. `order` gives the node's entry for each synapse of the map, if they differ.
    fn pass_map(&mut self, id: NodeId, delay: &SynapseDelay, order: Option<&[usize]>) -> Result<(), String> {
        let next = &self.lowering.maps[&id];
        if matches!(self.delay, ExtraDelay::PerTarget(_) | ExtraDelay::PerSynapse(_)) {
            return Err("the delays before it differ by synapse, and one synapse cannot have several".into());
        }
        let was_one_to_one = self.map.is_one_to_one();
        self.map = self.map.then(next).map_err(TooLarge::message)?;
        self.pass_synapse_delay(delay, order, was_one_to_one)
    }

    /// Adds the delays of the synapses of the map just passed.
    fn pass_synapse_delay(
        &mut self,
        delay: &SynapseDelay,
        order: Option<&[usize]>,
        was_one_to_one: bool,
    ) -> Result<(), String> {
        match delay {
            SynapseDelay::None => {}
            SynapseDelay::Uniform(steps) => self.delay.add_uniform(*steps),
            SynapseDelay::PerSynapse(steps) => {
                if let [first, rest @ ..] = &steps[..]
                    && rest.iter().all(|delay| delay == first)
                {
                    self.delay.add_uniform(*first);
                    return Ok(());
                }
                if !was_one_to_one {
                    return Err("its delays per synapse cannot be kept behind other weights".into());
                }
                let mut delays = self.delays_per_synapse()?;
                let entry = |weight: usize| order.map_or(weight, |order| order[weight]);
                for (weight, delay) in delays.iter_mut().enumerate() {
                    *delay = delay.saturating_add(steps[entry(weight)]);
                }
                self.delay = ExtraDelay::PerSynapse(delays);
            }
        }
        Ok(())
    }

    fn pass_synapses(&mut self, synapses: &Synapses) -> Result<(), String> {
        if !self.map.is_identity() {
            return Err("weights in a chip's integers must come straight from neurons or an input".into());
        }
        let (outputs, inputs) = synapses.weight.dimensions().expect("bug in snncc: shapes were inferred");
        let (connectivity, mantissas, order) = match &synapses.weight {
            Matrix::Dense(tensor) => (Connectivity::Dense, tensor.data.clone(), None),
            Matrix::Sparse { values, .. } => {
                let (pattern, order) = sparse_pattern(&synapses.weight, inputs);
                (Connectivity::Sparse(pattern), order.iter().map(|at| values[*at]).collect(), Some(order))
            }
        };
        self.map = LinearMap { shell: shell(inputs, outputs, connectivity), weights: Vec::new() };
        self.integer = Some(IntWeights {
            mantissas,
            exponent: synapses.exponent,
            weight_bits: synapses.weight_bits,
            sign_mode: synapses.sign_mode,
        });
        self.pass_synapse_delay(&synapses.delay, order.as_deref(), true)
    }

    /// Turns delays per target into delays per synapse, which is what a chip has.
    fn spread_target_delays(&mut self) -> Result<(), String> {
        self.delay = std::mem::replace(&mut self.delay, ExtraDelay::Uniform(0)).compact();
        if let ExtraDelay::PerTarget(_) = self.delay {
            self.delay = ExtraDelay::PerSynapse(self.delays_per_synapse()?);
        }
        Ok(())
    }
}
