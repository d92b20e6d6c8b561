//! Every rule of docs/CHIP_SEMANTICS.md, with values worked out by hand.

use super::{AddedBias, IntegerInput, IntegerNetwork, IntegerRecord, IntegerTrace};
use snncc_chip::{HardwareModel, hardware_model};
use snncc_data::{PortStimulus, SpikeTrain};
use snncc_ids::{Id, PopulationId};
use snncc_ir::{
    Connectivity, ConvolutionGeometry, Delays, Graph, IntNeurons, IntWeights, NoiseParams, NoiseTarget, OutputPort,
    Param, Population, PopulationRole, Projection, QuantizedIr, Readout, ResetModel, SignMode, SparsePattern,
};

const INPUT: PopulationId = PopulationId(0);
const NEURONS: PopulationId = PopulationId(1);

/// Keeps all of the voltage, nothing of the current (with the decay offset of 1), never fires.
fn integrator() -> IntNeurons {
    IntNeurons {
        decay_u: Param::Uniform(4095),
        decay_v: Param::Uniform(0),
        threshold_mantissa: Param::Uniform(1 << 40),
        bias_mantissa: Param::Uniform(0),
        bias_exponent: Param::Uniform(0),
        refractory: Param::Uniform(1),
        u_initial: Param::Uniform(0),
        v_initial: Param::Uniform(0),
        v_min_exponent: None,
        v_max_exponent: None,
        reset: ResetModel::Lif,
        noise: None,
        start_step: 1,
        units_per_volt: Param::Uniform(1.0),
        v_offset: Param::Uniform(0.0),
        spikes: true,
    }
}

fn population(name: &str, len: usize, role: PopulationRole) -> Population {
    Population { name: name.into(), shape: vec![len], role, latency_steps: 0, item: format!("nodes/{name}") }
}

/// An input of `inputs` elements and one population of `len` neurons, without projections.
fn network(inputs: usize, len: usize, neurons: IntNeurons) -> QuantizedIr {
    let populations =
        vec![population("in", inputs, PopulationRole::Input), population("n", len, PopulationRole::Neurons)];
    QuantizedIr {
        graph: Graph { populations: populations.into(), projections: vec![].into() },
        neurons: vec![None, Some(neurons)].into(),
        weights: vec![].into(),
        outputs: vec![OutputPort { name: "out".into(), population: NEURONS, readout: Readout::Spikes }],
        dt_s: None,
        population_quality: vec![None, None].into(),
        projection_quality: vec![].into(),
    }
}

fn project(
    ir: &mut QuantizedIr,
    source: PopulationId,
    target: PopulationId,
    connectivity: Connectivity,
    delays: Delays,
    mantissas: Vec<i32>,
    exponent: i8,
) {
    let len = |id: PopulationId| ir.graph.populations[id].len() as u32;
    ir.graph.projections.push(Projection {
        name: format!("{}->{}", ir.graph.populations[source].name, ir.graph.populations[target].name),
        source,
        target,
        source_len: len(source),
        target_len: len(target),
        connectivity,
        delays,
        item: "nodes/synapses".into(),
    });
    ir.weights.push(IntWeights { mantissas, exponent, weight_bits: 8, sign_mode: SignMode::Mixed });
    ir.projection_quality.push(None);
}

/// As [`network`], densely connected with delay 1 and exponent 0.
fn dense(inputs: usize, len: usize, neurons: IntNeurons, mantissas: Vec<i32>) -> QuantizedIr {
    let mut ir = network(inputs, len, neurons);
    project(&mut ir, INPUT, NEURONS, Connectivity::Dense, Delays::Uniform(1), mantissas, 0);
    ir
}

fn model(name: &str) -> HardwareModel {
    hardware_model(name).unwrap()
}

fn spikes(neurons: usize, steps: u32, events: &[(u32, u32)]) -> Vec<PortStimulus> {
    let spikes = SpikeTrain::from_events(neurons as u32, steps, events).unwrap();
    vec![PortStimulus { port: "in".into(), spikes }]
}

fn run(ir: &QuantizedIr, profile: &str, steps: u32, events: &[(u32, u32)]) -> IntegerTrace {
    let ports = spikes(ir.graph.populations[INPUT].len(), steps, events);
    let input = IntegerInput { ports: &ports, added_bias: &[] };
    let state = ir.graph.populations.ids().filter(|id| ir.neurons[*id].is_some()).collect();
    IntegerNetwork::new(ir, &model(profile)).run(&input, steps, &IntegerRecord { state }).unwrap()
}

/// Steps in which neuron 0 of the first population of neurons fires.
fn fires(trace: &IntegerTrace) -> Vec<u32> {
    trace.spikes[NEURONS].events().filter(|(_, neuron, _)| *neuron == 0).map(|(step, _, _)| step).collect()
}

#[test]
fn a_spike_arrives_one_step_and_its_extra_delay_later() {
    let mut ir = network(2, 1, integrator());
    let pattern = SparsePattern { row_starts: vec![0, 1, 2], targets: vec![0, 0] };
    let delays = Delays::PerSource(vec![1, 4]);
    project(&mut ir, INPUT, NEURONS, Connectivity::Sparse(pattern), delays, vec![1, 2], 0);
    let trace = run(&ir, "nengo-loihi", 7, &[(1, 0), (1, 1), (2, 1)]);
    assert_eq!(trace.state[0].input, [0, 64, 0, 0, 128, 128, 0]);
    assert_eq!(trace.state[0].u, [0, 64, 0, 0, 128, 128, 0]);
    assert_eq!(trace.state[0].v, [0, 64, 64, 64, 192, 320, 320]);
    assert_eq!(trace.output_voltages, [[320]]);
    assert_eq!(trace.synaptic_events, 3);
}

#[test]
fn current_and_voltage_decay_toward_zero_and_the_threshold_is_strict() {
    // ku = 4096 − 1 − 1095 = 3000, kv = 4096 − 2096 = 2000; both signs.
    let neurons = IntNeurons {
        decay_u: Param::Uniform(1095),
        decay_v: Param::Uniform(2096),
        threshold_mantissa: Param::PerNeuron(vec![100, 99]),
        ..integrator()
    };
    let trace = run(&dense(1, 2, neurons, vec![100, -100]), "nengo-loihi", 4, &[(1, 0)]);
    // u: 6400, 6400·3000/4096 = 4687.5, 4687·3000/4096 = 3432.8
    assert_eq!(trace.state[0].u, [0, 0, 6400, -6400, 4687, -4687, 3432, -3432]);
    // v of neuron 0: 6400 = 100 << 6, which is not above the threshold; 6400·2000/4096 + 4687 = 3125 + 4687 = 7812 fires.
    // v of neuron 1: −6400, −7812, −(7812·2000 >> 12) − 3432 = −3814 − 3432
    assert_eq!(trace.state[0].v, [0, 0, 6400, -6400, 0, -7812, 3432, -7246]);
    assert_eq!(fires(&trace), [3]);
    assert_eq!(trace.counts[NEURONS], [1, 0]);
}

#[test]
fn a_refractory_neuron_stays_at_zero_while_the_current_goes_on() {
    let constant = IntNeurons {
        threshold_mantissa: Param::Uniform(1),
        bias_mantissa: Param::Uniform(50),
        refractory: Param::Uniform(3),
        ..integrator()
    };
    // 50, 100 fires at step 2; held at 0 in steps 3 and 4; 50, 100 fires at 6.
    let trace = run(&dense(1, 1, constant.clone(), vec![1]), "nengo-loihi", 8, &[(3, 0)]);
    assert_eq!(trace.state[0].v, [50, 0, 0, 0, 50, 0, 0, 0]);
    assert_eq!(trace.state[0].u, [0, 0, 0, 64, 0, 0, 0, 0]);
    assert_eq!(fires(&trace), [2, 6]);
    let none = IntNeurons { refractory: Param::Uniform(1), ..constant };
    assert_eq!(fires(&run(&network(1, 1, none), "nengo-loihi", 6, &[])), [2, 4, 6]);
}

#[test]
fn bias_and_initial_state_begin_with_the_start_step() {
    let neurons = IntNeurons {
        bias_mantissa: Param::PerNeuron(vec![5, -5]),
        bias_exponent: Param::PerNeuron(vec![2, -1]),
        u_initial: Param::Uniform(10),
        v_initial: Param::PerNeuron(vec![100, 7]),
        decay_u: Param::Uniform(0),
        start_step: 3,
        ..integrator()
    };
    let ir = network(1, 2, neurons);
    let trace = run(&ir, "brian2-loihi", 4, &[]);
    // −5 >> 1 = −3. The brian2-loihi profile has no decay offset: with decay 0 the current stays.
    assert_eq!(trace.state[0].u, [0, 0, 0, 0, 10, 10, 10, 10]);
    assert_eq!(trace.state[0].v, [0, 0, 0, 0, 130, 14, 160, 21]);

    let added = [AddedBias { population: NEURONS, bias: vec![1000, -1] }];
    let input = IntegerInput { ports: &[], added_bias: &added };
    let record = IntegerRecord { state: vec![NEURONS] };
    let network = IntegerNetwork::new(&ir, &model("brian2-loihi"));
    assert_eq!(network.run(&input, 3, &record).unwrap().state[0].v, [0, 0, 0, 0, 1130, 13]);
}

#[test]
fn exponents_go_to_each_weight_or_to_the_sum_of_one_delay() {
    let mut ir = network(4, 1, integrator());
    let pattern = SparsePattern { row_starts: vec![0, 1, 2, 3, 4], targets: vec![0; 4] };
    let delays = Delays::PerSynapse(vec![1, 1, 2, 2]);
    project(&mut ir, INPUT, NEURONS, Connectivity::Sparse(pattern), delays, vec![3, 5, 1, -1], -1);
    let events = [(1, 0), (1, 1), (2, 2), (3, 0), (3, 3)];
    // Step 2: 3 and 5 with delay 1: ⌊3/2⌋ + ⌊5/2⌋ = 3, or ⌊8/2⌋ = 4.
    // Step 4: 3 with delay 1 and 1 with delay 2, shifted apart by both rules: 1 + 0. Step 5: −1: ⌊−1/2⌋ = −1.
    assert_eq!(run(&ir, "nengo-loihi", 5, &events).state[0].input, [0, 3 * 64, 0, 64, -64]);
    assert_eq!(run(&ir, "lava", 5, &events).state[0].input, [0, 4 * 64, 0, 64, -64]);
}

#[test]
fn two_projections_are_two_sums() {
    let mut ir = network(2, 1, integrator());
    for mantissas in [vec![1, 0], vec![0, 1]] {
        project(&mut ir, INPUT, NEURONS, Connectivity::Dense, Delays::Uniform(1), mantissas, -1);
    }
    assert_eq!(run(&ir, "lava", 2, &[(1, 0), (1, 1)]).state[0].input, [0, 0]);
}

#[test]
fn effective_weights_are_clipped_where_the_profile_says_so() {
    let mut ir = network(1, 2, integrator());
    project(&mut ir, INPUT, NEURONS, Connectivity::Dense, Delays::Uniform(1), vec![254, -256], 7);
    let limit = (1 << 21) - 64;
    // 254 · 2^13 = 2080768 and −256 · 2^13 = −2^21
    assert_eq!(run(&ir, "brian2-loihi", 2, &[(1, 0)]).state[0].input, [0, 0, 2_080_768, -limit]);
    assert_eq!(run(&ir, "nengo-loihi", 2, &[(1, 0)]).state[0].input[3], -(1 << 21));
}

#[test]
fn input_and_current_wrap_in_twos_complement() {
    // Two synapses of 2^20 make 2^21, which wraps to −2^21 in a register of 21 bits and sign.
    let ir = dense(2, 1, IntNeurons { decay_u: Param::Uniform(0), ..integrator() }, vec![1 << 14, 1 << 14]);
    let trace = run(&ir, "nengo-loihi", 2, &[(1, 0), (1, 1)]);
    assert_eq!(trace.state[0].u, [0, -(1 << 21)]);
    assert_eq!(trace.overflows[NEURONS].inputs, 1);

    // u = 2^23 − 10 · 4095/4096 + 2048 · 64 leaves 23 bits.
    let start = (1 << 23) - 10;
    let neurons = IntNeurons { u_initial: Param::Uniform(start), decay_u: Param::Uniform(0), ..integrator() };
    let trace = run(&dense(1, 1, neurons, vec![2048]), "nengo-loihi", 2, &[(1, 0)]);
    let first = start - 2048; // rounded toward zero: 8388598 · 4095/4096 = 8386550.02
    assert_eq!(trace.state[0].u, [first, first - 2048 + 131_072 - (1 << 24)]);
    assert_eq!(trace.overflows[NEURONS].currents, 1);
}

#[test]
fn the_sum_of_current_and_bias_wraps_before_it_enters_the_voltage() {
    let neurons = IntNeurons { bias_mantissa: Param::Uniform(1 << 23), ..integrator() };
    let trace = run(&network(1, 1, neurons), "nengo-loihi", 1, &[]);
    assert_eq!((&trace.state[0].v[..], trace.overflows[NEURONS].biased_currents), (&[-(1 << 23)][..], 1));
}

#[test]
fn lava_wraps_once_and_not_the_input() {
    // 2^23 stays, 2^23 + 64 wraps, and a bias on top does not.
    let weights = vec![1 << 17, (1 << 17) + 1, -(1 << 17)];
    let neurons = IntNeurons { bias_mantissa: Param::Uniform(1000), ..integrator() };
    let trace = run(&dense(1, 3, neurons, weights), "lava", 2, &[(1, 0)]);
    let full = 1 << 23;
    assert_eq!(trace.state[0].u[3..], [full, 64 - full, full]);
    assert_eq!(trace.state[0].v[3..], [full + 2000, 2064 - full, full + 2000]);
    assert_eq!((trace.overflows[NEURONS].inputs, trace.overflows[NEURONS].currents), (0, 2));
}

#[test]
fn the_voltage_is_clipped_between_its_registers() {
    let neurons = IntNeurons {
        bias_mantissa: Param::PerNeuron(vec![-100, 10_000, 3]),
        v_min_exponent: Some(7),
        v_max_exponent: Some(2),
        ..integrator()
    };
    // −2^7 + 1 = −127 and 2^(9 + 4) − 1 = 8191
    let trace = run(&network(1, 3, neurons), "nengo-loihi", 2, &[]);
    assert_eq!(trace.state[0].v, [-100, 8191, 3, -127, 8191, 6]);
    assert_eq!((trace.overflows[NEURONS].clipped_at_min, trace.overflows[NEURONS].clipped_at_max), (1, 2));
}

#[test]
fn a_periodic_compartment_clears_before_the_update() {
    let neurons = IntNeurons {
        bias_mantissa: Param::Uniform(10),
        reset: ResetModel::Periodic { interval: 3, offset: 5 },
        ..integrator()
    };
    // Cleared in steps 2 and 5.
    assert_eq!(run(&network(1, 1, neurons), "lava", 6, &[]).state[0].v, [10, 10, 20, 30, 10, 20]);
}

#[test]
fn a_ternary_compartment_sends_both_signs() {
    let neurons = IntNeurons {
        threshold_mantissa: Param::Uniform(1),
        reset: ResetModel::Ternary { lower_threshold_mantissa: -2 },
        ..integrator()
    };
    let mut ir = dense(1, 4, neurons, vec![1, 2, -2, -3]);
    ir.graph.populations.push(population("after", 1, PopulationRole::Neurons));
    ir.neurons.push(Some(integrator()));
    ir.population_quality.push(None);
    let after = PopulationId::new(2);
    project(&mut ir, NEURONS, after, Connectivity::Dense, Delays::Uniform(1), vec![1, 10, 100, 1000], 0);
    let trace = run(&ir, "lava", 3, &[(1, 0)]);
    // 64 is not above 64, −128 not below −128.
    assert_eq!(trace.spikes[NEURONS].events().collect::<Vec<_>>(), [(2, 1, 1), (2, 3, -1)]);
    assert_eq!(trace.state[0].v[4..8], [64, 0, -128, 0]);
    assert_eq!(trace.state[1].input, [0, 0, (10 - 1000) * 64]);
}

#[test]
fn noise_goes_to_the_dendrite_or_to_the_membrane() {
    let noisy = |target| {
        let samples = vec![vec![3], vec![1 << 21]];
        let noise = Some(NoiseParams { exponent: 0, mantissa_offset: 0, target, samples });
        run(&network(1, 1, IntNeurons { noise, ..integrator() }), "nengo-loihi", 3, &[])
    };
    // At the dendrite it is wrapped as an input; after the last sample there is no noise.
    let dendrite = noisy(NoiseTarget::Dendrite);
    assert_eq!(dendrite.state[0].u, [3, -(1 << 21), 0]);
    assert_eq!(dendrite.state[0].v, [3, 3 - (1 << 21), 3 - (1 << 21)]);
    let membrane = noisy(NoiseTarget::Membrane);
    assert_eq!(membrane.state[0].u, [0, 0, 0]);
    assert_eq!(membrane.state[0].v, [3, 3 + (1 << 21), 3 + (1 << 21)]);
}

#[test]
fn payloads_multiply_weights() {
    let ir = dense(2, 1, integrator(), vec![3, -2]);
    let ports = [PortStimulus { port: "in".into(), spikes: SpikeTrain::from_dense(2, &[5, 7, -1, 0, 0, 0]).unwrap() }];
    let input = IntegerInput { ports: &ports, added_bias: &[] };
    let record = IntegerRecord { state: vec![NEURONS] };
    let trace = IntegerNetwork::new(&ir, &model("lava")).run(&input, 3, &record).unwrap();
    assert_eq!(trace.state[0].input, [0, 64, -3 * 64]);
    assert_eq!(trace.spikes[INPUT], ports[0].spikes);
}

#[test]
fn a_neuron_drives_itself_one_step_later() {
    let neurons = IntNeurons { threshold_mantissa: Param::Uniform(1), ..integrator() };
    let mut ir = dense(1, 1, neurons, vec![2]);
    project(&mut ir, NEURONS, NEURONS, Connectivity::OneToOne { shared: true }, Delays::Uniform(3), vec![2], 0);
    assert_eq!(fires(&run(&ir, "nengo-loihi", 9, &[(1, 0)])), [2, 5, 8]);
}

#[test]
fn a_convolution_equals_its_list_of_synapses() {
    let geometry = ConvolutionGeometry {
        input: [2, 4, 5],
        output: [4, 2, 3],
        kernel: [3, 2],
        stride: [2, 2],
        padding: [1, 1],
        dilation: [1, 1],
        groups: 2,
    };
    let (inputs, outputs) = (2 * 4 * 5, 4 * 2 * 3);
    let kernel: Vec<i32> = (0..geometry.weight_count() as i32).map(|i| i * 7 % 23 - 11).collect();
    let mut convolution = network(inputs, outputs, integrator());
    let connectivity = Connectivity::Convolution(geometry);
    project(&mut convolution, INPUT, NEURONS, connectivity, Delays::Uniform(2), kernel.clone(), 1);
    let projection = &convolution.graph.projections.as_slice()[0];
    let mut matrix = vec![0; inputs * outputs];
    for source in 0..inputs as u32 {
        projection.fan_out(source, |synapse| {
            matrix[synapse.other as usize * inputs + source as usize] = kernel[synapse.weight];
        });
    }
    let mut listed = network(inputs, outputs, integrator());
    project(&mut listed, INPUT, NEURONS, Connectivity::Dense, Delays::Uniform(2), matrix, 1);
    let events: Vec<(u32, u32)> = (0..inputs as u32).map(|source| (1 + source % 3, source)).collect();
    for profile in ["nengo-loihi", "lava"] {
        let (a, b) = (run(&convolution, profile, 6, &events), run(&listed, profile, 6, &events));
        assert_eq!(a.state, b.state);
        assert_eq!(a.synaptic_events, projection.synapse_count());
    }
}

#[test]
fn input_that_fits_nothing_is_told_in_full() {
    let ir = network(2, 1, integrator());
    let ports = [
        PortStimulus { port: "in".into(), spikes: SpikeTrain::silent(3, 1) },
        PortStimulus { port: "n".into(), spikes: SpikeTrain::silent(1, 1) },
    ];
    let added = [AddedBias { population: NEURONS, bias: vec![] }, AddedBias { population: INPUT, bias: vec![1, 1] }];
    let input = IntegerInput { ports: &ports, added_bias: &added };
    let faults = IntegerNetwork::new(&ir, &model("lava")).run(&input, 1, &IntegerRecord::default()).unwrap_err();
    let text = faults.to_string();
    assert!(faults.0.iter().all(|fault| fault.code.number() == "SNN0210"), "{text}");
    for part in ["has 3 elements, input `in` has 2", "no input `n`", "0 added biases for the 1", "`in` is an input"] {
        assert!(text.contains(part), "{text}");
    }
}
