//! The rules of docs/CHIP_SEMANTICS.md for SpiNNaker-like cores, with values worked out by hand, and properties of random
//! networks. Whole traces of the released arithmetic are replayed by `tests/spinnaker.rs`.

use super::{RingInitial, SpinnakerNetwork, SpinnakerTrace};
use crate::integer::{AddedBias, IntegerInput, IntegerRecord};
use proptest::prelude::*;
use snncc_chip::hardware_model;
use snncc_data::{PortStimulus, SpikeTrain};
use snncc_ids::PopulationId;
use snncc_ir::spinnaker::{NeuronProgram, SpikeReset, SpinnakerIr, SpinnakerNeurons, SynapseType};
use snncc_ir::{
    Connectivity, ConvolutionGeometry, Delays, Graph, OutputPort, Param, Population, PopulationRole, Projection,
    ProjectionQuality, Readout,
};

const INPUT: PopulationId = PopulationId(0);
const NEURONS: PopulationId = PopulationId(1);
const ONE: i32 = 1 << 15;
const NEVER: i32 = i32::MAX;

fn synapse_type(left_shift: u8) -> SynapseType {
    SynapseType {
        decay: Param::Uniform(1 << 31),
        init: Param::Uniform(1 << 31),
        initial: Param::Uniform(0),
        left_shift: Param::Uniform(left_shift),
    }
}

/// A delta program that keeps its membrane whole and takes threshold minus 0 off at a spike.
fn integrator(v_threshold: i32) -> SpinnakerNeurons {
    SpinnakerNeurons {
        program: NeuronProgram::Delta,
        reset: SpikeReset::BySubtraction,
        v_initial: Param::Uniform(0),
        v_rest: Param::Uniform(0),
        resistance: Param::Uniform(ONE),
        membrane_keep: Param::Uniform(ONE),
        i_offset: Param::Uniform(0),
        v_reset: Param::Uniform(0),
        v_threshold: Param::Uniform(v_threshold),
        refractory_steps: Param::Uniform(0),
        synapse_types: [synapse_type(0), synapse_type(0)],
        start_step: 1,
        units_per_volt: Param::Uniform(1.0),
        v_offset: Param::Uniform(0.0),
        spikes: true,
    }
}

/// Currents that halve from step to step, and take half of the input.
fn exponential(v_threshold: i32) -> SpinnakerNeurons {
    SpinnakerNeurons {
        program: NeuronProgram::CurrentExponential,
        reset: SpikeReset::ToValue,
        membrane_keep: Param::Uniform(ONE / 2),
        ..integrator(v_threshold)
    }
}

/// An input of `inputs` elements and one population of `len` neurons.
fn network(inputs: usize, len: usize, neurons: SpinnakerNeurons) -> SpinnakerIr {
    let population = |name: &str, len, role| Population {
        name: name.into(),
        shape: vec![len],
        role,
        latency_steps: 0,
        item: format!("nodes/{name}"),
    };
    let populations =
        vec![population("in", inputs, PopulationRole::Input), population("n", len, PopulationRole::Neurons)];
    SpinnakerIr {
        graph: Graph { populations: populations.into(), projections: vec![].into() },
        neurons: vec![None, Some(neurons)].into(),
        weights: vec![].into(),
        outputs: vec![OutputPort { name: "out".into(), population: NEURONS, readout: Readout::Membrane }],
        dt_s: None,
        population_quality: vec![None, None].into(),
        projection_quality: vec![].into(),
    }
}

fn project(ir: &mut SpinnakerIr, source: PopulationId, connectivity: Connectivity, delays: Delays, weights: Vec<i32>) {
    let len = |id: PopulationId| ir.graph.populations[id].len() as u32;
    ir.graph.projections.push(Projection {
        name: "projection".into(),
        source,
        target: NEURONS,
        source_len: len(source),
        target_len: len(NEURONS),
        connectivity,
        delays,
        item: "nodes/synapses".into(),
    });
    let figures = ProjectionQuality {
        weights: weights.len() as u64,
        sqnr_db: f64::INFINITY,
        max_error: 0.0,
        zeroed: 0,
        clipped: 0,
    };
    ir.weights.push(weights);
    ir.projection_quality.push(figures);
}

/// As [`network`], densely connected with delay 1.
fn dense(inputs: usize, len: usize, neurons: SpinnakerNeurons, weights: Vec<i32>) -> SpinnakerIr {
    let mut ir = network(inputs, len, neurons);
    project(&mut ir, INPUT, Connectivity::Dense, Delays::Uniform(1), weights);
    ir
}

fn prepared(ir: &SpinnakerIr) -> SpinnakerNetwork {
    SpinnakerNetwork::new(ir, &hardware_model("spinnaker1").unwrap())
}

fn recorded() -> IntegerRecord {
    IntegerRecord { state: vec![NEURONS] }
}

fn fed(network: &SpinnakerNetwork, spikes: SpikeTrain, steps: u32) -> SpinnakerTrace {
    let ports = [PortStimulus { port: "in".into(), spikes }];
    network.run(&IntegerInput { ports: &ports, added_bias: &[] }, steps, &recorded()).unwrap()
}

fn run(ir: &SpinnakerIr, steps: u32, events: &[(u32, u32)]) -> SpinnakerTrace {
    let elements = ir.graph.populations[INPUT].len() as u32;
    fed(&prepared(ir), SpikeTrain::from_events(elements, steps, events).unwrap(), steps)
}

/// Steps in which neuron 0 spikes.
fn fires(trace: &SpinnakerTrace) -> Vec<u32> {
    trace.common.spikes[NEURONS].events().filter(|(_, neuron, _)| *neuron == 0).map(|(step, ..)| step).collect()
}

fn membrane(trace: &SpinnakerTrace) -> &[i64] {
    &trace.common.state[0].v
}

#[test]
fn currents_drive_the_membrane_with_half_of_their_input() {
    // E = 8 in step 2: gE 4, then 2, 1, 0. Goal gE · 1, half of the distance a step, rounded down.
    let mut ir = dense(2, 1, exponential(NEVER), vec![8, -6]);
    let trace = run(&ir, 6, &[(1, 0)]);
    assert_eq!(trace.currents[0].currents[0], [0, 4, 2, 1, 0, 0]);
    assert_eq!(trace.currents[0].slots[0], [0, 8, 0, 0, 0, 0]);
    // 4 − (4 >> 1), 2 − ((2 − 2) >> 1), 1 − ((1 − 2) >> 1) = 2, 0 − (−2 >> 1) = 1, 0 − (−1 >> 1) = 1
    assert_eq!(membrane(&trace), [0, 2, 2, 2, 1, 1]);
    assert_eq!(trace.common.state[0].u, [0, 4, 2, 1, 0, 0]);
    // The inhibitory current of 3 after a shift by 2 is 12, with the same halves; it is subtracted.
    ir.neurons[NEURONS].as_mut().unwrap().synapse_types[1].left_shift = Param::Uniform(2);
    let trace = run(&ir, 3, &[(1, 1)]);
    assert_eq!(trace.currents[0].currents[1], [0, 12, 6]);
    assert_eq!((&trace.common.state[0].input[..], membrane(&trace)), (&[0, -24, 0][..], &[0, -6, -6][..]));
}

#[test]
fn a_constant_input_with_resistance_fires_and_waits() {
    // Goal 3 · 2 + 10 = 16; from 0: 8, 12 fires, 2 steps of waiting at the reset of 4, then 10, 13 fires.
    let neurons = SpinnakerNeurons {
        v_rest: Param::Uniform(10),
        resistance: Param::Uniform(2 * ONE),
        i_offset: Param::Uniform(3),
        v_reset: Param::Uniform(4),
        refractory_steps: Param::Uniform(2),
        ..exponential(12)
    };
    let trace = run(&network(1, 1, neurons), 6, &[]);
    assert_eq!(membrane(&trace), [8, 4, 4, 4, 10, 4]);
    assert_eq!(trace.currents[0].refractory_left, [0, 2, 1, 0, 0, 2]);
    assert_eq!(fires(&trace), [2, 6]);
    assert_eq!(trace.common.output_voltages, [[4]]);
}

#[test]
fn a_reset_above_the_threshold_fires_in_the_refractory_period_too() {
    let neurons = SpinnakerNeurons {
        v_initial: Param::Uniform(7),
        v_reset: Param::Uniform(6),
        refractory_steps: Param::Uniform(5),
        reset: SpikeReset::ToValue,
        ..integrator(5)
    };
    let trace = run(&network(1, 1, neurons), 3, &[]);
    assert_eq!((fires(&trace), &trace.currents[0].refractory_left[..]), (vec![1, 2, 3], &[5, 5, 5][..]));
}

#[test]
fn a_delta_program_decays_toward_rest_and_saturates() {
    let neurons = SpinnakerNeurons {
        v_initial: Param::PerNeuron(vec![101, i32::MAX, i32::MIN]),
        v_rest: Param::PerNeuron(vec![1, i32::MAX, i32::MIN]),
        membrane_keep: Param::Uniform(ONE / 2),
        synapse_types: [synapse_type(2), synapse_type(0)],
        spikes: false,
        ..integrator(5)
    };
    // 1 − (−100 >> 1) = 51, then 26 + 7 · 4
    let trace = run(&dense(1, 3, neurons, vec![7, 1, -1]), 2, &[(1, 0)]);
    let (max, min) = (i64::from(i32::MAX), i64::from(i32::MIN));
    assert_eq!(membrane(&trace), [51, max, min, 54, max, min]);
    let overflows = trace.common.overflows[NEURONS];
    assert_eq!((overflows.clipped_at_max, overflows.clipped_at_min), (1, 1));
    assert_eq!(trace.common.state[0].u, [0, 0, 0, 28, 4, -1]);
    assert_eq!(trace.common.counts[NEURONS], [0, 0, 0], "it has no spikes, even at the largest value");
}

#[test]
fn slots_saturate_once_for_each_neuron_and_type() {
    let weights = vec![40_000, 40_000, 1, -65_535, 0, -1];
    let trace = run(&dense(3, 2, integrator(NEVER), weights), 2, &[(1, 0), (1, 1), (1, 2)]);
    // Neuron 0: 80001 is 65535. Neuron 1: 65535 + 1, and a weight of 0 is no synapse.
    assert_eq!(trace.currents[0].slots[0], [0, 0, 65_535, 0]);
    assert_eq!(trace.currents[0].slots[1], [0, 0, 0, 65_535]);
    assert_eq!(trace.common.overflows[NEURONS].inputs, 2);
    assert_eq!(trace.common.synaptic_events, 5);
    // A sum of exactly 65535 did not saturate.
    let exact = run(&dense(2, 1, integrator(NEVER), vec![65_534, 1]), 2, &[(1, 0), (1, 1)]);
    assert_eq!((membrane(&exact)[1], exact.common.overflows[NEURONS].inputs), (65_535, 0));
}

#[test]
fn every_connectivity_and_delay_arrives_in_its_step() {
    let geometry = ConvolutionGeometry {
        input: [1, 1, 3],
        output: [1, 1, 3],
        kernel: [1, 3],
        stride: [1, 1],
        padding: [0, 1],
        dilation: [1, 1],
        groups: 1,
    };
    let pattern = snncc_ir::SparsePattern { row_starts: vec![0, 2, 2, 3], targets: vec![0, 2, 1] };
    let mut ir = network(3, 3, SpinnakerNeurons { spikes: false, ..integrator(NEVER) });
    project(&mut ir, INPUT, Connectivity::Convolution(geometry), Delays::Uniform(2), vec![1, 0, -3]);
    project(&mut ir, INPUT, Connectivity::Sparse(pattern), Delays::PerSynapse(vec![1, 4, 1]), vec![10, 20, 30]);
    project(&mut ir, INPUT, Connectivity::OneToOne { shared: true }, Delays::PerSource(vec![3, 1, 1]), vec![100]);
    let trace = run(&ir, 5, &[(1, 0)]);
    // The kernel [1, 0, −3] reaches output 0 of input 0 with its middle and output 1 with its first weight.
    assert_eq!(trace.common.state[0].input, [0, 0, 0, 10, 0, 0, 0, 1, 0, 100, 0, 0, 0, 0, 20]);
    assert_eq!(trace.common.synaptic_events, 4);
}

#[test]
fn spikes_of_the_last_step_have_passed_their_synapses() {
    assert_eq!(run(&dense(1, 1, integrator(NEVER), vec![1]), 1, &[(1, 0)]).common.synaptic_events, 1);
}

#[test]
fn a_population_waits_for_its_start() {
    let neurons = SpinnakerNeurons {
        start_step: 4,
        v_initial: Param::Uniform(50),
        i_offset: Param::Uniform(1),
        ..integrator(NEVER)
    };
    let mut ir = dense(1, 1, neurons, vec![10]);
    // What is for steps 2 and 3 is dropped, what is for 4 waits.
    let early = run(&ir, 5, &[(1, 0), (2, 0)]);
    assert_eq!(membrane(&early), [50, 50, 50, 51, 52]);
    ir.graph.projections[snncc_ids::ProjectionId(0)].delays = Delays::Uniform(3);
    let waiting = run(&ir, 5, &[(1, 0)]);
    assert_eq!(membrane(&waiting), [50, 50, 50, 61, 62]);
}

#[test]
fn ring_buffers_may_be_filled_before_the_first_step() {
    let initial = |step, excitatory, inhibitory| RingInitial {
        population: NEURONS,
        step,
        slots: [vec![excitatory], vec![inhibitory]],
    };
    let ir = dense(1, 1, integrator(NEVER), vec![10]);
    let network = prepared(&ir).with_ring_initial(&[initial(1, 5, 0), initial(7, 3, 9), initial(2, u16::MAX, 0)]);
    let trace = fed(&network, SpikeTrain::from_events(1, 8, &[(1, 0), (6, 0)]).unwrap(), 8);
    assert_eq!(trace.common.state[0].input, [5, 65_535, 0, 0, 0, 0, 4, 0]);
    assert_eq!(trace.common.overflows[NEURONS].inputs, 1);
}

#[test]
fn what_does_not_suit_the_network_is_refused() {
    let network = prepared(&network(2, 1, integrator(NEVER)));
    let refusal = |ports: &[PortStimulus], added_bias: &[AddedBias]| {
        let problems = network.run(&IntegerInput { ports, added_bias }, 1, &IntegerRecord::default()).unwrap_err();
        assert!(problems.0.iter().all(|problem| problem.code.number() == "SNN0210"));
        problems.0[0].message.clone()
    };
    let port = |name: &str, spikes| PortStimulus { port: name.into(), spikes };
    let silent = |neurons| SpikeTrain::silent(neurons, 1);
    assert!(refusal(&[port("n", silent(1))], &[]).contains("no input `n`"));
    assert!(refusal(&[port("in", silent(3))], &[]).contains("3 elements"));
    assert!(refusal(&[port("in", silent(2)), port("in", silent(2))], &[]).contains("two stimuli"));
    let graded = SpikeTrain::from_dense(2, &[0, 3]).unwrap();
    assert!(refusal(&[port("in", graded)], &[]).contains("carries 3"));
    let bias = |population, bias| [AddedBias { population, bias }];
    assert!(refusal(&[], &bias(INPUT, vec![1, 1])).contains("is an input"));
    assert!(refusal(&[], &bias(NEURONS, vec![1, 1])).contains("2 added biases"));
    assert!(refusal(&[], &bias(NEURONS, vec![1 << 31])).contains("beyond 32 bits"));
    let added = bias(NEURONS, vec![-4]);
    let trace = network.run(&IntegerInput { ports: &[], added_bias: &added }, 2, &recorded()).unwrap();
    assert_eq!(membrane(&trace), [-4, -8]);
}

/// A recurrent network: weights of the input and within, delays of each source, a constant input; and when which inputs fire.
#[derive(Clone, Debug)]
struct Random {
    ir: SpinnakerIr,
    stimulus: SpikeTrain,
}

const SOURCES: usize = 5;
const LEN: usize = 3;
const STEPS: u32 = 30;

fn random(largest: i32, neurons: impl Fn(i32) -> SpinnakerNeurons + 'static) -> impl Strategy<Value = Random> {
    let weights = |count| prop::collection::vec(-largest..=largest, count);
    let delays = |count| prop::collection::vec(1_u32..6, count);
    (
        (weights(SOURCES * LEN), delays(SOURCES)),
        (weights(LEN * LEN), delays(LEN * LEN)),
        (100..3000_i32, prop::collection::vec(-50..50_i32, LEN)),
        prop::collection::vec(prop::bool::weighted(0.3), SOURCES * STEPS as usize),
    )
        .prop_map(move |((feed, feed_delays), (inner, inner_delays), (threshold, offsets), fires)| {
            let neurons = SpinnakerNeurons {
                i_offset: Param::PerNeuron(offsets),
                synapse_types: [synapse_type(1), synapse_type(0)],
                ..neurons(threshold)
            };
            let mut ir = network(SOURCES, LEN, neurons);
            project(&mut ir, INPUT, Connectivity::Dense, Delays::PerSource(feed_delays), feed);
            project(&mut ir, NEURONS, Connectivity::Dense, Delays::PerSynapse(inner_delays), inner);
            let fires: Vec<i32> = fires.into_iter().map(i32::from).collect();
            Random { ir, stimulus: SpikeTrain::from_dense(SOURCES as u32, &fires).unwrap() }
        })
}

impl Random {
    fn run(&self) -> SpinnakerTrace {
        fed(&prepared(&self.ir), self.stimulus.clone(), STEPS)
    }

    /// The same network with the inputs in reverse order.
    fn reversed(&self) -> Self {
        let mut reversed = self.clone();
        let projection = &mut reversed.ir.graph.projections[snncc_ids::ProjectionId(0)];
        if let Delays::PerSource(delays) = &mut projection.delays {
            delays.reverse();
        }
        let weights = &mut reversed.ir.weights[snncc_ids::ProjectionId(0)];
        weights.chunks_exact_mut(SOURCES).for_each(<[i32]>::reverse);
        let mut fires = self.stimulus.to_dense();
        fires.chunks_exact_mut(SOURCES).for_each(<[i32]>::reverse);
        reversed.stimulus = SpikeTrain::from_dense(SOURCES as u32, &fires).unwrap();
        reversed
    }

    /// What neuron `neuron` has taken in through synapses and its constant input after all steps, worked out from the spikes.
    fn charge(&self, trace: &SpinnakerTrace, neuron: u32) -> i64 {
        let Param::PerNeuron(offsets) = &self.ir.neurons[NEURONS].as_ref().unwrap().i_offset else { panic!() };
        let mut charge = i64::from(offsets[neuron as usize]) * i64::from(STEPS);
        for (id, projection) in self.ir.graph.projections.iter_with_ids() {
            for (step, source, _) in trace.common.spikes[projection.source].events() {
                projection.fan_out(source, |synapse| {
                    let weight = i64::from(self.ir.weights[id][synapse.weight]);
                    if synapse.other == neuron && step + projection.delays.get(source, synapse.weight) <= STEPS {
                        charge += if weight > 0 { weight << 1 } else { weight };
                    }
                });
            }
        }
        charge
    }
}

proptest! {
    #[test]
    fn an_integrator_holds_what_it_was_given(case in random(900, |_| integrator(NEVER))) {
        let trace = case.run();
        prop_assert_eq!(trace.common.overflows[NEURONS], Default::default());
        for neuron in 0..LEN as u32 {
            prop_assert_eq!(trace.common.output_voltages[0][neuron as usize], case.charge(&trace, neuron));
        }
    }

    #[test]
    fn subtracting_conserves_charge(case in random(900, integrator)) {
        let trace = case.run();
        prop_assert_eq!(trace.common.overflows[NEURONS], Default::default());
        let threshold = i64::from(case.ir.neurons[NEURONS].as_ref().unwrap().v_threshold.get(0));
        for neuron in 0..LEN {
            let sent = i64::from(trace.common.counts[NEURONS][neuron]) * threshold;
            prop_assert_eq!(trace.common.output_voltages[0][neuron] + sent, case.charge(&trace, neuron as u32));
        }
    }

    #[test]
    fn neither_runs_nor_the_order_of_additions_matter(
        case in prop_oneof![
            random(60_000, |threshold| integrator(threshold * 50)),
            random(60_000, |threshold| exponential(threshold * 10)),
        ],
    ) {
        let trace = case.run();
        prop_assert_eq!(&trace, &case.run());
        let mut reversed = case.reversed().run();
        reversed.common.spikes[INPUT] = trace.common.spikes[INPUT].clone();
        reversed.common.counts[INPUT] = trace.common.counts[INPUT].clone();
        prop_assert_eq!(trace, reversed);
    }

    #[test]
    fn a_later_start_of_all_is_a_shift_in_time(case in random(900, exponential), late in 1_u32..9) {
        let trace = case.run();
        let mut shifted = case.clone();
        shifted.ir.neurons[NEURONS].as_mut().unwrap().start_step += late;
        let events: Vec<(u32, u32)> = case.stimulus.events().map(|(step, element, _)| (step + late, element)).collect();
        shifted.stimulus = SpikeTrain::from_events(SOURCES as u32, STEPS + late, &events).unwrap();
        let later = fed(&prepared(&shifted.ir), shifted.stimulus, STEPS + late);
        let waited = late as usize * LEN;
        prop_assert_eq!(&later.common.state[0].v[..waited], &vec![0; waited][..]);
        prop_assert_eq!(&later.common.state[0].v[waited..], membrane(&trace));
        prop_assert_eq!(&later.common.counts, &trace.common.counts);
    }
}
