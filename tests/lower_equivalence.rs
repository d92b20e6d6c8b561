//! The float IR, stepped as its documentation says, fires as the float reference does: chip step `t + latency` for network
//! step `t`, membranes equal but for rounding. Over random networks of every node and model that `lower` takes.

use snncc_compile::lower::{LowerOptions, lower};
use snncc_data::Stimulus;
use snncc_ids::{PopulationId, code};
use snncc_ir::network::Comparison;
use snncc_ir::{Ir, IrNeurons, IrWeights, PopulationRole};
use snncc_reference::float::{FloatNetwork, FloatOptions, FloatTrace, Record};
use snncc_tests::random::Random;
use snncc_tests::random_network::{floats, stimulus};

const STEPS: u32 = 24;

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
        let run = Interpreter::run(&lowered.ir, &stimulus, STEPS + latest);
        spikes += compare(seed, &lowered.ir, &run, &trace);
        lowered_count += 1;
    }
    println!("{lowered_count} networks, {spikes} spikes; refused: {refused_loops} loops, {refused_delays} delays");
    assert!(lowered_count > 400 && spikes > 50_000, "{lowered_count} networks, {spikes} spikes");
    assert!(refused_loops > 0 && refused_delays > 0);
}
