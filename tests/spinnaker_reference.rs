//! The golden vectors of a SpiNNaker program (tests/golden/spinnaker), replayed by the integer reference, bit for bit.

use snncc_chip::{CoreKind, HardwareModel, Product, hardware_model};
use snncc_data::{PortStimulus, SpikeTrain};
use snncc_ids::PopulationId;
use snncc_ir::spinnaker::{NeuronProgram, SYNAPSE_TYPES, SpikeReset, SpinnakerIr, SpinnakerNeurons, SynapseType};
use snncc_ir::{
    Connectivity, Delays, Graph, Param, Population, PopulationRole, Projection, ProjectionQuality, SparsePattern,
};
use snncc_reference::{IntegerInput, IntegerRecord, RingInitial, SpinnakerNetwork};
use snncc_tests::spinnaker_golden::{Vector, vectors};

const INPUT: PopulationId = PopulationId(0);
const NEURON: PopulationId = PopulationId(1);

fn model(product: Product) -> HardwareModel {
    let mut model = hardware_model("spinnaker1").unwrap();
    let CoreKind::Spinnaker(core) = &mut model.core else { panic!("a chip of another family") };
    core.arithmetic.product = product;
    model
}

fn neuron(vector: &Vector) -> SpinnakerNeurons {
    let p = &vector.params_s1615;
    let kind = |decay, init, left_shift| SynapseType {
        decay: Param::Uniform(decay),
        init: Param::Uniform(init),
        initial: Param::Uniform(0),
        left_shift,
    };
    let c = &vector.constants;
    SpinnakerNeurons {
        program: NeuronProgram::CurrentExponential,
        reset: SpikeReset::ToValue,
        v_initial: Param::Uniform(p.v),
        v_rest: Param::Uniform(p.v_rest),
        resistance: Param::Uniform(c.resistance),
        membrane_keep: Param::Uniform(c.membrane_keep),
        i_offset: Param::Uniform(p.i_offset),
        v_reset: Param::Uniform(p.v_reset),
        v_threshold: Param::Uniform(p.v_threshold),
        refractory_steps: Param::Uniform(c.refractory_steps),
        synapse_types: [
            kind(c.decay_excitatory, c.init_excitatory, vector.left_shift_exc),
            kind(c.decay_inhibitory, c.init_inhibitory, vector.left_shift_inh),
        ],
        start_step: 1,
        units_per_volt: Param::Uniform(1.0),
        v_offset: Param::Uniform(0.0),
        spikes: true,
    }
}

/// Delay of the input of a step: all that leave room for a spike occur, up to 17.
fn delay(step: u32) -> u32 {
    1 + (step * 7) % 17.min(step - 1)
}

/// The neuron behind an input with an element for each step from 2 and type, which fires once, and whose weight is the slot's
/// value. The input of step 1 is in the ring buffers before.
fn network(vector: &Vector) -> (SpinnakerIr, SpikeTrain, RingInitial) {
    let slots: Vec<[u16; SYNAPSE_TYPES]> = vector.rows.iter().map(|row| [row.excitatory, row.inhibitory]).collect();
    let (mut weights, mut delays, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for (step, [excitatory, inhibitory]) in (2..).zip(&slots[1..]) {
        for weight in [i32::from(*excitatory), -i32::from(*inhibitory)] {
            events.push((step - delay(step), weights.len() as u32));
            weights.push(weight);
            delays.push(delay(step));
        }
    }
    let population = |name: &str, len, role| Population {
        name: name.into(),
        shape: vec![len],
        role,
        latency_steps: 0,
        item: format!("nodes/{name}"),
    };
    let elements = weights.len();
    let populations =
        vec![population("in", elements, PopulationRole::Input), population("neuron", 1, PopulationRole::Neurons)];
    let pattern = SparsePattern { row_starts: (0..=elements as u32).collect(), targets: vec![0; elements] };
    let projection = Projection {
        name: "in->neuron".into(),
        source: INPUT,
        target: NEURON,
        source_len: elements as u32,
        target_len: 1,
        connectivity: Connectivity::Sparse(pattern),
        delays: Delays::PerSource(delays),
        item: "nodes/synapses".into(),
    };
    let figures =
        ProjectionQuality { weights: elements as u64, sqnr_db: f64::INFINITY, max_error: 0.0, zeroed: 0, clipped: 0 };
    let ir = SpinnakerIr {
        graph: Graph { populations: populations.into(), projections: vec![projection].into() },
        neurons: vec![None, Some(neuron(vector))].into(),
        weights: vec![weights].into(),
        outputs: Vec::new(),
        dt_s: None,
        population_quality: vec![None, None].into(),
        projection_quality: vec![figures].into(),
    };
    let train = SpikeTrain::from_events(elements as u32, vector.steps, &events).unwrap();
    let [excitatory, inhibitory] = slots[0];
    let initial = RingInitial { population: NEURON, step: 1, slots: [vec![excitatory], vec![inhibitory]] };
    (ir, train, initial)
}

fn replay(vector: &Vector, model: &HardwareModel) {
    let (ir, spikes, initial) = network(vector);
    let ports = [PortStimulus { port: "in".into(), spikes }];
    let trace = SpinnakerNetwork::new(&ir, model)
        .with_ring_initial(&[initial])
        .run(&IntegerInput { ports: &ports, added_bias: &[] }, vector.steps, &IntegerRecord { state: vec![NEURON] })
        .unwrap();
    let (state, currents) = (&trace.common.state[0], &trace.currents[0]);
    let mut v = i64::from(vector.params_s1615.v);
    assert_eq!(state.v.len(), vector.rows.len());
    for (at, row) in vector.rows.iter().enumerate() {
        let step = at as u32 + 1;
        let ours = (
            [currents.slots[0][at], currents.slots[1][at]],
            [v, state.v[at]],
            [currents.currents[0][at], currents.currents[1][at], currents.refractory_left[at]],
            trace.common.spikes[NEURON].at(step).len(),
        );
        let theirs = (
            [row.excitatory, row.inhibitory],
            [i64::from(row.v_recorded), i64::from(row.v_after)],
            [row.g_excitatory_recorded, row.g_inhibitory_recorded, row.refractory_left],
            usize::from(row.spike),
        );
        assert_eq!(ours, theirs, "{} in step {step}", vector.name);
        v = state.v[at];
    }
    let fired: Vec<u32> = trace.common.spikes[NEURON].events().map(|(step, ..)| step - 1).collect();
    assert_eq!(fired, vector.spike_steps, "{}", vector.name);
    assert_eq!(trace.common.overflows[NEURON].inputs, 0, "{}", vector.name);
}

#[test]
fn the_released_arithmetic_is_replayed() {
    let vectors = vectors("trunc");
    assert_eq!(vectors.len(), 7);
    vectors.iter().for_each(|vector| replay(vector, &model(Product::Truncated)));
}

#[test]
fn the_rounding_arithmetic_is_replayed() {
    let vectors = vectors("round");
    assert_eq!(vectors.len(), 7);
    vectors.iter().for_each(|vector| replay(vector, &model(Product::Rounded)));
}

/// The vectors tell the two arithmetics apart: otherwise equality would say little.
#[test]
fn the_variants_differ() {
    let pairs = vectors("trunc").into_iter().zip(vectors("round"));
    let differing = pairs.filter(|(trunc, round)| trunc.rows != round.rows).count();
    assert!(differing >= 5, "{differing} of 7");
}
