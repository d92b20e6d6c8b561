//! The float IR, stepped as its documentation says, fires as the float reference does: chip step `t + latency` for network
//! step `t`, membranes equal but for rounding. Over random networks of every node and model that `lower` takes.
//!
//! And what reset by subtraction is for: on the chip no charge is lost, but for what the chip's decay takes.

use snncc_chip::Target;
use snncc_compile::lower::{LowerOptions, lower};
use snncc_compile::{Compiled, Options};
use snncc_data::Stimulus;
use snncc_emu::Program;
use snncc_ids::{NodeId, PopulationId, code};
use snncc_ir::network::{Affine, Comparison, Edge, Matrix, NetworkNode, Neuron, NeuronModel, Reset, SynapseDelay};
use snncc_ir::{Ir, IrNeurons, IrWeights, Network, Node, Param, PopulationRole, Tensor};
use snncc_reference::float::{FloatNetwork, FloatOptions, FloatTrace, Record};
use snncc_tests::case::quantized;
use snncc_tests::observed::{self, Observed};
use snncc_tests::random::Random;
use snncc_tests::random_network::{floats, stimulus};
use snncc_tests::road;

const STEPS: u32 = 24;

/// The float IR as `snncc_ir::ir` documents it, over chip steps.
struct Interpreter<'a> {
    ir: &'a Ir,
    /// Sum of the arriving weights: `[population][chip step][neuron]`.
    arriving: Vec<Vec<Vec<f64>>>,
    u: Vec<Vec<f64>>,
    v: Vec<Vec<f64>>,
    rest: Vec<Vec<u32>>,
    /// Populations that reset by subtraction.
    subtracts: Vec<bool>,
    /// Membrane after the reset, of neurons that fired.
    taken: Vec<Vec<f64>>,
}

/// Spikes and voltages, `[population][chip step]`; voltages are the network's.
struct Run {
    spikes: Vec<Vec<Vec<u32>>>,
    voltages: Vec<Vec<Vec<f64>>>,
}

impl<'a> Interpreter<'a> {
    fn run(network: &Network, ir: &'a Ir, stimulus: &Stimulus, chip_steps: u32) -> Run {
        let populations = &ir.graph.populations;
        let zeros = || populations.iter().map(|p| vec![0.0; p.len()]).collect::<Vec<_>>();
        let per_step = |len: usize| vec![vec![0.0; len]; chip_steps as usize + 1];
        let mut this = Self {
            ir,
            arriving: populations.iter().map(|p| per_step(p.len())).collect(),
            u: zeros(),
            v: zeros(),
            rest: populations.iter().map(|p| vec![0; p.len()]).collect(),
            subtracts: populations.iter().map(|p| subtracts(network, &p.name)).collect(),
            taken: zeros(),
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
                run.voltages[index][t as usize] = this.network_voltages(id, &run.spikes[index][t as usize]);
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
                // What subtracts keeps its membrane in the current, and takes the threshold off with the next input.
                self.taken[index][neuron] = if self.subtracts[index] { *v - threshold } else { 0.0 };
                *v = 0.0;
                *rest = n.refractory_steps.get(neuron) - 1;
            }
        }
        fired
    }

    /// Membranes as the network has them, after the reset.
    fn network_voltages(&self, id: PopulationId, fired: &[u32]) -> Vec<f64> {
        let index = id.0 as usize;
        let Some(IrNeurons::Float(n)) = &self.ir.neurons[id] else { return Vec::new() };
        let mut voltages = self.v[index].clone();
        fired.iter().for_each(|neuron| voltages[*neuron as usize] = self.taken[index][*neuron as usize]);
        voltages.iter_mut().enumerate().for_each(|(at, v)| *v += n.v_offset.get(at));
        voltages
    }
}

/// Whether a population of the network resets by subtraction.
fn subtracts(network: &Network, name: &str) -> bool {
    let mut named = network.nodes.iter().filter(|node| node.name == name);
    named.any(|node| matches!(&node.node, Node::Neuron(neuron) if neuron.reset == Reset::BySubtraction))
}

fn compare(seed: u64, ir: &Ir, run: &Run, trace: &FloatTrace) -> u64 {
    let mut spikes = 0;
    for (id, population) in ir.graph.populations.iter_with_ids() {
        let index = id.0 as usize;
        if ir.graph.sends_constants(id) {
            assert!(trace.population(&population.name).is_none(), "seed {seed}: `{}`", population.name);
            continue;
        }
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
    let (mut subtracting, mut constants) = (0, 0);
    for seed in 0..600 {
        let network = floats(seed);
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
        let stimulus = stimulus(&network, &mut Random(seed ^ 0x5eed), STEPS, 30, 1);
        let names = network.nodes.iter().map(|node| node.name.clone()).collect();
        let record = Record { spikes: true, states_of: names, ..Record::default() };
        let trace = reference.run(&(&stimulus).into(), STEPS, &record).unwrap();
        let latest = lowered.ir.graph.populations.iter().map(|p| p.latency_steps).max().unwrap_or(0);
        let run = Interpreter::run(&network, &lowered.ir, &stimulus, STEPS + latest);
        spikes += compare(seed, &lowered.ir, &run, &trace);
        lowered_count += 1;
        let graph = &lowered.ir.graph;
        subtracting += graph.populations.ids().filter(|id| graph.reset_projection(*id).is_some()).count();
        constants += graph.populations.ids().filter(|id| graph.sends_constants(*id)).count();
    }
    println!("{lowered_count} networks, {spikes} spikes; refused: {refused_loops} loops, {refused_delays} delays");
    assert!(lowered_count > 400 && spikes > 50_000, "{lowered_count} networks, {spikes} spikes");
    println!("{subtracting} populations reset by subtraction, {constants} of them with constants");
    assert!(subtracting > 150 && constants > 75, "{subtracting} and {constants}");
    assert!(refused_loops > 0 && refused_delays > 0);
}

/// Two layers of integrators that reset by subtraction, with weights, biases and initial membranes in eighths.
fn integrators(seed: u64) -> Network {
    let mut random = Random(seed);
    let layer = |random: &mut Random, inputs: usize, outputs: usize| {
        let eighths = |random: &mut Random, count: usize| -> Vec<f64> {
            (0..count).map(|_| random.integer(-8, 12) as f64 / 8.0).collect()
        };
        let weight = Matrix::Dense(Tensor::new(vec![outputs, inputs], eighths(random, inputs * outputs)));
        let bias = random.chance(50).then(|| Tensor::vector(eighths(random, outputs)));
        let mut neuron = Neuron::new(NeuronModel::If);
        neuron.reset = Reset::BySubtraction;
        neuron.comparison = random.pick(&[Comparison::Greater, Comparison::GreaterOrEqual]);
        neuron.v_threshold = Param::Uniform(random.pick(&[1.0, 2.0]));
        neuron.v_initial = Param::Uniform(random.pick(&[0.0, 0.5]));
        [Node::Affine(Affine { weight, bias, delay: SynapseDelay::None }), Node::Neuron(neuron)]
    };
    let mut nodes = vec![Node::Input { shape: vec![6] }];
    nodes.extend(layer(&mut random, 6, 9));
    nodes.extend(layer(&mut random, 9, 4));
    nodes.push(Node::Output { shape: vec![4] });
    let edges = (1..nodes.len() as u32).map(|at| Edge { source: NodeId(at - 1), target: NodeId(at) }).collect();
    let named = nodes.into_iter().enumerate().map(|(at, node)| NetworkNode { name: format!("n{at}"), node });
    Network { nodes: named.collect::<Vec<_>>().into(), edges, ..Network::default() }
}

/// Current and spikes of every population of neurons on the emulator.
fn emulated(compiled: &Compiled, target: &Target, stimulus: &Stimulus, steps: u32) -> Vec<Observed> {
    let program = Program::load(&compiled.image, target).unwrap_or_else(|problems| panic!("{problems}"));
    observed::on_emulator(&program, stimulus, steps).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Where a chip keeps all of a current, integrators fire as in floats.
#[test]
fn subtraction_is_exact_on_a_chip_that_keeps_its_currents() {
    let target = snncc_chip::target("brian2-loihi-emu").unwrap();
    let mut spikes = 0;
    for seed in 0..100 {
        let network = integrators(seed);
        let stimulus = stimulus(&network, &mut Random(seed ^ 0x5eed), STEPS, 40, 1);
        let float = FloatNetwork::new(&network, &FloatOptions::default()).unwrap();
        let record = Record { spikes: true, ..Record::default() };
        let trace = float.run(&(&stimulus).into(), STEPS, &record).unwrap();
        let compiled = road::compiled(&network, &target, &Options::default(), None).unwrap();
        for population in emulated(&compiled, &target, &stimulus, STEPS + 2) {
            let Some(expected) = trace.population(&population.group) else { continue };
            let latency = if population.group == "n2" { 1 } else { 2 };
            for t in 1..=STEPS {
                let expected = expected.spikes.as_ref().unwrap().at(t);
                assert_eq!(
                    population.spikes.at(t + latency),
                    expected,
                    "seed {seed}, `{}`, step {t}",
                    population.group
                );
                spikes += expected.len();
            }
        }
    }
    assert!(spikes > 5_000, "{spikes} spikes");
}

/// Input − spikes · threshold is what the membrane has gained, and what the chip lost of it: of a current `u` no more than
/// `|u| / 4096 + 1` units a step.
#[test]
fn no_charge_is_lost_but_by_the_decay() {
    let target = snncc_chip::target("loihi-emu").unwrap();
    let arithmetic = &target.model.loihi().arithmetic;
    let steps = 200;
    let mut spikes = 0;
    for seed in 0..50 {
        let network = integrators(seed);
        let stimulus = stimulus(&network, &mut Random(seed ^ 0x5eed), steps, 40, 1);
        let compiled = road::compiled(&network, &target, &Options::default(), None).unwrap();
        let ir = quantized(&compiled);
        let observed = emulated(&compiled, &target, &stimulus, steps);
        let neurons_of = |id: PopulationId| ir.neurons[id].as_ref().unwrap();
        for (id, population) in ir.graph.populations.iter_with_ids() {
            let Some(reset) = ir.graph.reset_projection(id) else { continue };
            let find = |name: &str| observed.iter().find(|observed| observed.group == name);
            let own = find(&population.name).unwrap();
            let mut charge = vec![0_i64; population.len()];
            for (at, projection) in ir.graph.projections.iter_with_ids().filter(|(_, p)| p.target == id) {
                let source = &ir.graph.populations[projection.source].name;
                let train = match find(source) {
                    Some(observed) => &observed.spikes,
                    None => &stimulus.port(source).unwrap().spikes,
                };
                let weights = &ir.weights[at];
                // Spikes of the last step are still under way.
                for step in 1..steps {
                    for spike in train.at(step) {
                        projection.fan_out(*spike, |synapse| {
                            let mantissa = i64::from(weights.mantissas[synapse.weight]);
                            let exponent = i32::from(weights.exponent) + i32::from(arithmetic.weight_shift);
                            let weight = mantissa << exponent;
                            if at == reset {
                                let threshold = neurons_of(id).threshold_mantissa.get(*spike as usize);
                                let grid = neurons_of(id).threshold_mantissa.get(*spike as usize) << 6;
                                assert!(-weight == grid || -weight == (threshold + 1) << 6, "seed {seed}: {weight}");
                                spikes += 1;
                            }
                            charge[synapse.other as usize] += weight;
                        });
                    }
                }
            }
            let len = population.len();
            for (neuron, charge) in charge.iter().enumerate() {
                let currents: Vec<i64> = own.u.iter().skip(neuron).step_by(len).copied().collect();
                let most: f64 = currents.iter().map(|u| u.abs() as f64 / 4096.0 + 1.0).sum();
                let lost = (charge - currents.last().unwrap()).abs() as f64;
                assert!(lost <= most, "seed {seed}, `{}`[{neuron}]: {lost} units lost of {charge}", population.name);
            }
        }
    }
    assert!(spikes > 5_000, "{spikes} spikes");
}
