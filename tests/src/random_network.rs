//! Random networks: a seed gives a network of every node and model that the compiler takes, and spikes to feed it.
//!
//! * [`floats`]: neurons of all models behind chains of linear nodes, skip connections, parallel paths, loops, delays;
//! * [`integers`]: compartments and synapses in a chip's own integers, to the borders of their fields;
//! * [`exact`]: floats that a chip's integers hold exactly.
//!
//! Nodes and edges stand in any order.

mod exact;
mod integers;

pub use exact::exact;
pub use integers::integers;

use crate::random::Random;
use snncc_data::{PortStimulus, SpikeTrain, Stimulus};
use snncc_ids::NodeId;
use snncc_ir::network::*;
use snncc_ir::{Network, Node, Param, Tensor, shapes};

/// Most outputs of a linear node.
const MOST_VALUES: usize = 400;

/// A network in floats.
pub fn floats(seed: u64) -> Network {
    let mut builder = Builder { random: Random(seed), nodes: Vec::new(), edges: Vec::new() };
    builder.fill();
    builder.finish(Some(1.0))
}

/// Spikes for every input of a network: each element in so many of 100 steps; with payloads up to `payload_max`, if that is
/// more than 1.
pub fn stimulus(network: &Network, random: &mut Random, steps: u32, percent: usize, payload_max: i32) -> Stimulus {
    let mut stimulus = Stimulus::default();
    for node in network.nodes.iter() {
        let Node::Input { shape } = &node.node else { continue };
        let len = shape.iter().product::<usize>() as u32;
        let mut spikes = SpikeTrain::new(len);
        for _ in 0..steps {
            let active = random.some(len, percent);
            spikes.push_step(active);
        }
        if payload_max > 1 {
            let most = i64::from(payload_max);
            let mut payload = || match random.integer(-most, most) as i32 {
                0 => 1,
                other => other,
            };
            spikes.payloads = Some((0..spikes.spike_count()).map(|_| payload()).collect());
        }
        stimulus.ports.push(PortStimulus { port: node.name.clone(), spikes });
    }
    stimulus
}

/// The same network with its nodes in reverse order.
pub fn reversed(network: &Network) -> Network {
    let last = network.nodes.len() as u32 - 1;
    let moved = |id: NodeId| NodeId(last - id.0);
    Network {
        dt_s: network.dt_s,
        nodes: network.nodes.iter().rev().cloned().collect(),
        edges: network
            .edges
            .iter()
            .map(|edge| Edge { source: moved(edge.source), target: moved(edge.target) })
            .collect(),
        mapping: network.mapping.clone(),
        run: network.run.clone(),
        calibration: network.calibration.clone(),
    }
}

/// Builds a network node by node, keeping the shape of every node's output.
struct Builder {
    random: Random,
    nodes: Vec<(Node, Vec<usize>)>,
    edges: Vec<(usize, usize)>,
}

impl Builder {
    fn add(&mut self, node: Node, shape: Vec<usize>) -> usize {
        self.nodes.push((node, shape));
        self.nodes.len() - 1
    }

    fn shape(&self, node: usize) -> Vec<usize> {
        self.nodes[node].1.clone()
    }

    fn len(&self, node: usize) -> usize {
        self.nodes[node].1.iter().product()
    }

    /// Appends `node` behind `source`, if it fits there.
    fn append(&mut self, source: usize, node: Node) -> usize {
        let probe = Network {
            nodes: vec![
                NetworkNode { name: "i".into(), node: Node::Input { shape: self.shape(source) } },
                NetworkNode { name: "n".into(), node: node.clone() },
            ]
            .into(),
            edges: vec![Edge { source: NodeId(0), target: NodeId(1) }],
            dt_s: Some(1.0),
            ..Network::default()
        };
        match shapes::infer(&probe) {
            Ok(shapes) if shapes.output_len(NodeId(1)) <= MOST_VALUES => {
                let shape = shapes.output[NodeId(1)].clone();
                let id = self.add(node, shape);
                self.edges.push((source, id));
                id
            }
            _ => source,
        }
    }

    fn affine(&mut self, inputs: usize, outputs: usize, delays: bool) -> Node {
        let random = &mut self.random;
        let weight = if random.chance(70) {
            Matrix::Dense(Tensor::new(vec![outputs, inputs], random.values(outputs * inputs, 0.75)))
        } else {
            let mut pairs: Vec<(u32, u32)> =
                (0..outputs as u32).flat_map(|row| (0..inputs as u32).map(move |column| (row, column))).collect();
            random.shuffle(&mut pairs);
            pairs.truncate(random.from(0, pairs.len()));
            let values = random.values(pairs.len(), 1.0);
            let (rows, columns) = pairs.into_iter().unzip();
            Matrix::Sparse { shape: (outputs, inputs), rows, columns, values }
        };
        let delay = match random.below(if delays { 4 } else { 1 }) {
            2 => SynapseDelay::Uniform(random.from(0, 3) as u32),
            3 => SynapseDelay::PerSynapse((0..weight.len()).map(|_| random.from(0, 3) as u32).collect()),
            _ => SynapseDelay::None,
        };
        let bias = random.chance(60).then(|| Tensor::vector(random.values(outputs, 0.25)));
        Node::Affine(Affine { weight, bias, delay })
    }

    fn convolution(&mut self, channels: usize, dimensions: usize) -> Node {
        let random = &mut self.random;
        let groups = if random.chance(30) { channels } else { 1 };
        let out = groups * random.from(1, 2);
        let kernel: Vec<usize> = (0..dimensions).map(|_| random.from(1, 3)).collect();
        let mut shape = vec![out, channels / groups];
        shape.extend(&kernel);
        let weight = Tensor::new(shape.clone(), random.values(shape.iter().product(), 0.75));
        let same = random.chance(20);
        let mut each = |low, high| (0..dimensions).map(|_| random.from(low, high)).collect::<Vec<_>>();
        let (stride, padding, dilation) = (each(1, 2), each(0, 2), each(1, 2));
        Node::Convolution(Convolution {
            dimensions: dimensions as u8,
            weight,
            bias: random.chance(50).then(|| Tensor::vector(random.values(out, 0.25))),
            stride: if same { vec![1; dimensions] } else { stride },
            padding: if same { Padding::Same } else { Padding::Explicit(padding) },
            dilation,
            groups,
            input_shape: None,
            delay: if random.chance(20) { 2 } else { 0 },
        })
    }

    fn pool(&mut self) -> Node {
        let random = &mut self.random;
        let kind = random.pick(&[PoolKind::Sum, PoolKind::Average]);
        let mut pair = |low, high| [random.from(low, high), random.from(low, high)];
        Node::Pool(Pool { kind, kernel: pair(1, 3), stride: pair(1, 3), padding: pair(0, 1) })
    }

    fn delay(&mut self, len: usize) -> Node {
        let random = &mut self.random;
        let delay = match random.below(3) {
            0 => DelayTime::Steps(Param::PerNeuron((0..len).map(|_| random.from(0, 3) as u32).collect())),
            1 => DelayTime::Seconds(Param::Uniform(random.from(0, 3) as f64)),
            _ => DelayTime::Steps(Param::Uniform(random.from(0, 3) as u32)),
        };
        Node::Delay { delay, shape: None }
    }

    /// Up to four linear nodes behind `source`; returns the last.
    fn chain(&mut self, source: usize) -> usize {
        let mut at = source;
        for _ in 0..self.random.below(5) {
            let shape = self.shape(at);
            let len = self.len(at);
            let node = match self.random.below(12) {
                0..=2 if shape.len() == 3 => self.convolution(shape[0], 2),
                3 | 4 if shape.len() == 3 => self.pool(),
                0..=4 if shape.len() == 2 => self.convolution(shape[0], 1),
                5 | 6 => {
                    let outputs = self.random.from(1, 9);
                    self.affine(len, outputs, true)
                }
                7 => Node::Flatten { start_dim: self.random.below(shape.len()) as i64, end_dim: -1 },
                8 => {
                    let factors = if self.random.chance(50) { 1 } else { len };
                    let values = self.random.values(factors, 2.0);
                    Node::Scale { scale: Tensor::vector(values) }
                }
                9 => self.delay(len),
                _ => continue,
            };
            at = self.append(at, node);
        }
        at
    }

    /// A spiking group of `shape`.
    fn spiking(&mut self, shape: &[usize]) -> Node {
        let len = shape.iter().product();
        let random = &mut self.random;
        // Thresholds off the grid of the weights: no ties for rounding to decide.
        let threshold = random.param(len, |random| 0.337_711_923 + random.dyadic(0.25));
        let comparison = random.pick(&[Comparison::Greater, Comparison::GreaterOrEqual]);
        let shape = random.chance(50).then(|| shape.to_vec());
        if random.chance(12) {
            return Node::Threshold(Threshold { shape, threshold, comparison });
        }
        let mut neuron = Neuron::new(random.pick(&[NeuronModel::If, NeuronModel::Lif, NeuronModel::CubaLif]));
        neuron.v_threshold = threshold;
        neuron.comparison = comparison;
        neuron.shape = shape;
        if random.chance(50) {
            neuron.v_reset = random.param(len, |random| random.dyadic(0.25).min(0.0625));
        }
        if random.chance(30) && matches!(neuron.v_reset, Param::Uniform(_)) {
            neuron.v_min = Some(-0.75);
        }
        // By subtraction resets what has neither filter nor lower bound, and does not rest.
        let may_subtract = neuron.model != NeuronModel::CubaLif && neuron.v_min.is_none();
        if may_subtract && random.chance(40) {
            neuron.reset = Reset::BySubtraction;
        } else if random.chance(30) {
            neuron.refractory_steps = Param::PerNeuron((0..len).map(|_| random.from(1, 3) as u32).collect());
        }
        self.constants(neuron, len)
    }

    /// Time constants, gains, leak and initial state.
    fn constants(&mut self, mut neuron: Neuron, len: usize) -> Node {
        let random = &mut self.random;
        let tau = |random: &mut Random| random.pick(&[1.0, 1.5, 2.0, 4.0, 10.0]);
        neuron.tau_mem_s = random.param(len, tau);
        neuron.tau_syn_s = random.param(len, tau);
        neuron.r = random.param(len, |random| 1.0 + random.dyadic(0.5));
        neuron.w_in = random.param(len, |random| 1.5 + random.dyadic(0.5));
        if random.chance(50) {
            neuron.v_leak = random.param(len, |random| random.dyadic(0.5));
            neuron.v_initial = random.param(len, |random| random.dyadic(0.5));
            neuron.i_initial = random.param(len, |random| random.dyadic(0.5));
        }
        Node::Neuron(neuron)
    }

    /// The network, its nodes and edges in any order.
    fn finish(self, dt_s: Option<f64>) -> Network {
        let Self { mut random, nodes, edges } = self;
        let mut place: Vec<usize> = (0..nodes.len()).collect();
        random.shuffle(&mut place);
        let mut placed: Vec<Option<NetworkNode>> = vec![None; nodes.len()];
        for (at, (node, _)) in nodes.into_iter().enumerate() {
            placed[place[at]] = Some(NetworkNode { name: format!("n{at}"), node });
        }
        let mut edges: Vec<Edge> = edges
            .into_iter()
            .map(|(source, target)| Edge { source: NodeId(place[source] as u32), target: NodeId(place[target] as u32) })
            .collect();
        random.shuffle(&mut edges);
        let nodes = placed.into_iter().map(|node| node.expect("every node has a place")).collect();
        Network { nodes, edges, dt_s, ..Network::default() }
    }

    fn fill(&mut self) {
        let mut sources = Vec::new();
        for _ in 0..self.random.from(1, 2) {
            let shape = match self.random.below(4) {
                0 => vec![self.random.from(1, 9)],
                1 => vec![self.random.from(1, 3), self.random.from(3, 9)],
                _ => vec![self.random.from(1, 3), self.random.from(3, 7), self.random.from(3, 7)],
            };
            let input = self.add(Node::Input { shape: shape.clone() }, shape);
            sources.push(input);
        }
        let inputs = sources.len();
        for _ in 0..self.random.from(1, 4) {
            let source = self.random.pick(&sources);
            let end = self.chain(source);
            let shape = self.shape(end);
            let node = self.spiking(&shape);
            let neurons = self.add(node, shape);
            self.edges.push((end, neurons));
            sources.push(neurons);
            // Further ways in: from an earlier population, from itself, and back from a later one with time to spare.
            if self.random.chance(40) {
                let source = self.random.pick(&sources[..sources.len() - 1]);
                self.join(source, neurons, 0);
            }
            if self.random.chance(35) {
                self.join(neurons, neurons, 0);
            }
            if self.random.chance(25) && sources.len() > inputs + 1 {
                let target = self.random.pick(&sources[inputs..sources.len() - 1]);
                let steps = self.random.from(0, 4) as u32;
                self.join(neurons, target, steps);
            }
        }
        let last = *sources.last().expect("there is an input");
        let spikes = self.shape(last);
        let output = self.add(Node::Output { shape: spikes.clone() }, spikes);
        self.edges.push((last, output));
        if self.random.chance(50) {
            let end = self.chain(last);
            let shape = self.shape(end);
            let model = self.random.pick(&[NeuronModel::I, NeuronModel::Li, NeuronModel::CubaLi]);
            let len = shape.iter().product();
            let node = self.constants(Neuron::new(model), len);
            let neurons = self.add(node, shape.clone());
            let output = self.add(Node::Output { shape: vec![len] }, shape);
            self.edges.extend([(end, neurons), (neurons, output)]);
        }
    }

    /// A way from `source` to `target` through a chain and, where the lengths differ, a matrix.
    fn join(&mut self, source: usize, target: usize, steps: u32) {
        let mut end = self.chain(source);
        if self.len(end) != self.len(target) || self.shape(end) != self.shape(target) || end == source {
            let (inputs, outputs) = (self.len(end), self.len(target));
            let node = self.affine(inputs, outputs, end == source);
            end = self.append(end, node);
        }
        if steps > 0 {
            end = self.append(end, Node::Delay { delay: DelayTime::Steps(Param::Uniform(steps)), shape: None });
        }
        self.edges.push((end, target));
    }
}
