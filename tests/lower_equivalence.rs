//! The float IR, stepped as its documentation says, fires as the float reference does: chip step `t + latency` for network
//! step `t`, membranes equal but for rounding. Over random networks of every node and model that `lower` takes.

use snncc_compile::lower::{LowerOptions, lower};
use snncc_data::{PortStimulus, SpikeTrain, Stimulus};
use snncc_ids::{NodeId, PopulationId, code};
use snncc_ir::network::*;
use snncc_ir::{Ir, IrNeurons, IrWeights, Network, Node, Param, PopulationRole, Tensor, shapes};
use snncc_reference::float::{FloatNetwork, FloatOptions, FloatTrace, Record};

const STEPS: u32 = 24;

/// splitmix64: enough for test cases.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// From `low` to `high`, both included.
    fn from(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A multiple of 1/64 between −range and range.
    fn dyadic(&mut self, range: f64) -> f64 {
        ((self.next() % 129) as f64 - 64.0) / 64.0 * range
    }

    fn values(&mut self, len: usize, range: f64) -> Vec<f64> {
        (0..len).map(|_| self.dyadic(range)).collect()
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// One value for all, or one per neuron.
    fn param(&mut self, len: usize, mut value: impl FnMut(&mut Self) -> f64) -> Param {
        match self.chance(60) {
            true => Param::Uniform(value(self)),
            false => Param::PerNeuron((0..len).map(|_| value(self)).collect()),
        }
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
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
            Ok(shapes) if shapes.output_len(NodeId(1)) <= 400 => {
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
            neuron.v_reset = random.param(len, |random| random.dyadic(0.25));
        }
        if random.chance(30) && matches!(neuron.v_reset, Param::Uniform(_)) {
            neuron.v_min = Some(-0.75);
        }
        if random.chance(30) {
            neuron.refractory_steps = Param::PerNeuron((0..len).map(|_| random.from(1, 3) as u32).collect());
        }
        self.finish(neuron, len)
    }

    /// Time constants, gains, leak and initial state.
    fn finish(&mut self, mut neuron: Neuron, len: usize) -> Node {
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

    fn build(seed: u64) -> Network {
        let mut builder = Self { random: Random(seed), nodes: Vec::new(), edges: Vec::new() };
        builder.fill();
        let Self { mut random, nodes, edges } = builder;
        // Neither the order of nodes nor that of edges may matter.
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
        Network { nodes, edges, dt_s: Some(1.0), ..Network::default() }
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
            let node = self.finish(Neuron::new(model), len);
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

/// The float IR as `snncc_ir::ir` documents it, over chip steps.
struct Interpreter<'a> {
    ir: &'a Ir,
    /// Sum of the arriving weights: `[population][chip step][neuron]`.
    arriving: Vec<Vec<Vec<f64>>>,
    u: Vec<Vec<f64>>,
    v: Vec<Vec<f64>>,
    rest: Vec<Vec<u32>>,
}

/// Spikes and voltages, `[population][chip step]`; voltages are the network's.
struct Run {
    spikes: Vec<Vec<Vec<u32>>>,
    voltages: Vec<Vec<Vec<f64>>>,
}

impl<'a> Interpreter<'a> {
    fn run(ir: &'a Ir, stimulus: &Stimulus, chip_steps: u32) -> Run {
        let populations = &ir.graph.populations;
        let zeros = || populations.iter().map(|p| vec![0.0; p.len()]).collect::<Vec<_>>();
        let per_step = |len: usize| vec![vec![0.0; len]; chip_steps as usize + 1];
        let mut this = Self {
            ir,
            arriving: populations.iter().map(|p| per_step(p.len())).collect(),
            u: zeros(),
            v: zeros(),
            rest: populations.iter().map(|p| vec![0; p.len()]).collect(),
        };
        let steps = chip_steps as usize + 1;
        let mut run = Run {
            spikes: vec![vec![Vec::new(); steps]; populations.len()],
            voltages: vec![vec![Vec::new(); steps]; populations.len()],
        };
        for t in 1..=chip_steps {
            for (id, population) in populations.iter_with_ids() {
                let index = id.0 as usize;
                run.spikes[index][t as usize] = match population.role {
                    PopulationRole::Input => {
                        stimulus.port(&population.name).map_or(Vec::new(), |port| port.spikes.at(t).to_vec())
                    }
                    PopulationRole::Neurons => this.update(id, t),
                };
                run.voltages[index][t as usize] = this.network_voltages(id);
            }
            for (id, projection) in ir.graph.projections.iter_with_ids() {
                let IrWeights::Float(weights) = &ir.weights[id] else { panic!("no integers here") };
                for &source in &run.spikes[projection.source.0 as usize][t as usize] {
                    projection.fan_out(source, |synapse| {
                        let arrival = (t + projection.delays.get(source, synapse.weight)) as usize;
                        if let Some(sums) = this.arriving[projection.target.0 as usize].get_mut(arrival) {
                            sums[synapse.other as usize] += weights[synapse.weight];
                        }
                    });
                }
            }
        }
        run
    }

    fn update(&mut self, id: PopulationId, t: u32) -> Vec<u32> {
        let index = id.0 as usize;
        let Some(IrNeurons::Float(n)) = &self.ir.neurons[id] else { panic!("no integers here") };
        let start = 1 + self.ir.graph.populations[id].latency_steps;
        let mut fired = Vec::new();
        for neuron in 0..self.v[index].len() {
            let (u, v) = (&mut self.u[index][neuron], &mut self.v[index][neuron]);
            if t < start {
                assert_eq!(self.arriving[index][t as usize][neuron], 0.0, "a spike arrives before the start");
                continue;
            }
            if t == start {
                (*u, *v) = (n.u_initial.get(neuron), n.v_initial.get(neuron));
            }
            *u = n.current_keep.get(neuron) * *u + self.arriving[index][t as usize][neuron];
            let rest = &mut self.rest[index][neuron];
            if *rest > 0 {
                *rest -= 1;
                continue;
            }
            *v = n.voltage_keep.get(neuron) * *v + *u + n.bias.get(neuron);
            *v = v.max(n.v_min.unwrap_or(f64::NEG_INFINITY));
            let threshold = n.threshold.get(neuron);
            let fires = match n.comparison {
                Comparison::Greater => *v > threshold,
                Comparison::GreaterOrEqual => *v >= threshold,
            };
            if fires {
                fired.push(neuron as u32);
                *v = 0.0;
                *rest = n.refractory_steps.get(neuron) - 1;
            }
        }
        fired
    }

    fn network_voltages(&self, id: PopulationId) -> Vec<f64> {
        match &self.ir.neurons[id] {
            Some(IrNeurons::Float(n)) => {
                self.v[id.0 as usize].iter().enumerate().map(|(at, v)| v + n.v_offset.get(at)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn stimulus(network: &Network, random: &mut Random) -> Stimulus {
    let mut stimulus = Stimulus::default();
    for node in network.nodes.iter() {
        let Node::Input { shape } = &node.node else { continue };
        let len = shape.iter().product::<usize>() as u32;
        let mut spikes = SpikeTrain::new(len);
        for _ in 0..STEPS {
            let active: Vec<u32> = (0..len).filter(|_| random.chance(30)).collect();
            spikes.push_step(active);
        }
        stimulus.ports.push(PortStimulus { port: node.name.clone(), spikes });
    }
    stimulus
}

fn compare(seed: u64, ir: &Ir, run: &Run, trace: &FloatTrace) -> u64 {
    let mut spikes = 0;
    for (id, population) in ir.graph.populations.iter_with_ids() {
        let index = id.0 as usize;
        let expected = trace.population(&population.name).expect("a population of the network");
        let latency = population.latency_steps;
        for t in 1..=STEPS {
            let context = format!("seed {seed}, `{}`, network step {t}, latency {latency}", population.name);
            let chip = (t + latency) as usize;
            if let Some(train) = &expected.spikes {
                assert_eq!(run.spikes[index][chip], train.at(t), "{context}");
                spikes += if expected.is_input { 0 } else { train.at(t).len() as u64 };
            }
            if let Some(states) = &expected.states {
                let len = population.len();
                for (neuron, v) in states.v[(t as usize - 1) * len..t as usize * len].iter().enumerate() {
                    let found = run.voltages[index][chip][neuron];
                    assert!(
                        (found - v).abs() <= 1e-9 * v.abs().max(1.0),
                        "{context}, neuron {neuron}: {found} for {v}"
                    );
                }
            }
        }
    }
    spikes
}

#[test]
fn random_networks_fire_alike_before_and_after_lowering() {
    let (mut lowered_count, mut spikes, mut refused_loops, mut refused_delays) = (0, 0, 0, 0);
    for seed in 0..600 {
        let network = Builder::build(seed);
        let reference = FloatNetwork::new(&network, &FloatOptions::default())
            .unwrap_or_else(|problems| panic!("seed {seed}: {problems}"));
        let lowered = match lower(&network, &LowerOptions::default()) {
            Ok(lowered) => lowered,
            Err(problems) => {
                for problem in &problems.0 {
                    if problem.code == code::LOOP_LATENCY {
                        refused_loops += 1;
                    } else {
                        assert!(problem.message.contains("delays"), "seed {seed}: {problem}");
                        refused_delays += 1;
                    }
                }
                continue;
            }
        };
        let stimulus = stimulus(&network, &mut Random(seed ^ 0x5eed));
        let names = network.nodes.iter().map(|node| node.name.clone()).collect();
        let record = Record { spikes: true, outputs: false, states_of: names };
        let trace = reference.run(&(&stimulus).into(), STEPS, &record).unwrap();
        let latest = lowered.ir.graph.populations.iter().map(|p| p.latency_steps).max().unwrap_or(0);
        let run = Interpreter::run(&lowered.ir, &stimulus, STEPS + latest);
        spikes += compare(seed, &lowered.ir, &run, &trace);
        lowered_count += 1;
    }
    println!("{lowered_count} networks, {spikes} spikes; refused: {refused_loops} loops, {refused_delays} delays");
    assert!(lowered_count > 400 && spikes > 50_000, "{lowered_count} networks, {spikes} spikes");
    assert!(refused_loops > 0 && refused_delays > 0);
}
