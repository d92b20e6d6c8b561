//! A vector as a network: through the integer reference, and through image bytes and emulator.
//!
//! The neuron stands behind an input with a source for each bit of a slot, synapse type and delay, whose weight is the bit: whatever
//! a step needs, some sources bring it, however long the vector is. What no spike can bring, the input of the first step, is in the
//! ring buffers before.

use super::{Row, Vector};
use snncc_chip::{CoreKind, Product, Target, target};
use snncc_compile::spinnaker::{Compiled, compile_integers};
use snncc_compile::{Ctx, NoObserver, Options};
use snncc_data::{PortStimulus, SpikeTrain, Stimulus};
use snncc_emu::Selection;
use snncc_emu::spinnaker::{SpinnakerEmulator, SpinnakerMachine, SpinnakerProgram, SpinnakerRunOptions};
use snncc_ids::PopulationId;
use snncc_image::spinnaker::layout::SynapseFormat;
use snncc_image::spinnaker::{CoreProgram, SpinnakerImage};
use snncc_ir::spinnaker::{NeuronProgram, SYNAPSE_TYPES, SpikeReset, SpinnakerIr, SpinnakerNeurons, SynapseType};
use snncc_ir::{
    Connectivity, Delays, Graph, Param, Population, PopulationRole, Projection, ProjectionQuality, SparsePattern,
};
use snncc_reference::{IntegerInput, IntegerRecord, RingInitial, SpinnakerNetwork};

const INPUT: PopulationId = PopulationId(0);
const NEURON: PopulationId = PopulationId(1);
/// Delays that occur in turn where there is time for them.
const DELAYS: [u32; 6] = [1, 2, 5, 16, 17, 40];
/// Bits of a slot.
const BITS: u32 = u16::BITS;

/// A chip with this arithmetic that can hold any left shift of the vectors.
fn machine(rounded: bool, vector: &Vector) -> Target {
    let mut target = target("spinnaker-emu").expect("a built-in target");
    let CoreKind::Spinnaker(core) = &mut target.model.core else { panic!("a chip of another family") };
    core.arithmetic.product = if rounded { Product::Rounded } else { Product::Truncated };
    let shift = &mut core.formats.left_shift_max.0;
    *shift = vector.left_shifts.into_iter().fold(*shift, u8::max);
    target
}

fn neuron(vector: &Vector) -> SpinnakerNeurons {
    let (p, c) = (&vector.parameters, &vector.constants);
    let kind = |decay, init, left_shift| SynapseType {
        decay: Param::Uniform(decay),
        init: Param::Uniform(init),
        initial: Param::Uniform(0),
        left_shift: Param::Uniform(left_shift),
    };
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
            kind(c.decay_excitatory, c.init_excitatory, vector.left_shifts[0]),
            kind(c.decay_inhibitory, c.init_inhibitory, vector.left_shifts[1]),
        ],
        start_step: 1,
        units_per_volt: Param::Uniform(1.0),
        v_offset: Param::Uniform(0.0),
        spikes: true,
    }
}

/// The source of a bit of a slot's value that comes with a delay.
fn source(delay: usize, kind: usize, bit: u32) -> u32 {
    (delay * SYNAPSE_TYPES + kind) as u32 * BITS + bit
}

/// The network and the spikes of its input.
fn network(vector: &Vector) -> Result<(SpinnakerIr, SpikeTrain), String> {
    let (mut weights, mut delays) = (Vec::new(), Vec::new());
    for delay in DELAYS {
        for sign in [1, -1] {
            weights.extend((0..BITS).map(|bit| sign << bit));
            delays.extend((0..BITS).map(|_| delay));
        }
    }
    let mut events = Vec::new();
    for (step, row) in (1_u32..).zip(&vector.rows).skip(1) {
        let possible = DELAYS.partition_point(|delay| *delay < step);
        let delay = step as usize % possible;
        for (kind, slot) in row.slots.into_iter().enumerate() {
            let bits = (0..BITS).filter(|bit| slot >> bit & 1 == 1);
            events.extend(bits.map(|bit| (step - DELAYS[delay], source(delay, kind, bit))));
        }
    }
    let elements = weights.len();
    let train = SpikeTrain::from_events(elements as u32, vector.rows.len() as u32, &events)
        .map_err(|fault| format!("{fault:?}"))?;
    let population = |name: &str, len, role| Population {
        name: name.into(),
        shape: vec![len],
        role,
        latency_steps: 0,
        item: format!("nodes/{name}"),
    };
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
    Ok((ir, train))
}

/// What the integer reference computes.
///
/// # Errors
/// What it refuses.
pub fn run_reference(vector: &Vector, rounded: bool) -> Result<Vec<Row>, String> {
    let (ir, spikes) = network(vector)?;
    let slots = vector.rows[0].slots.map(|slot| vec![slot]);
    let ports = [PortStimulus { port: "in".into(), spikes }];
    let trace = SpinnakerNetwork::new(&ir, &machine(rounded, vector).model)
        .with_ring_initial(&[RingInitial { population: NEURON, step: 1, slots }])
        .run(
            &IntegerInput { ports: &ports, added_bias: &[] },
            vector.rows.len() as u32,
            &IntegerRecord { state: vec![NEURON] },
        )
        .map_err(|problems| problems.to_string())?;
    if trace.common.overflows[NEURON].inputs != 0 {
        return Err("a ring-buffer slot saturated".into());
    }
    let (state, currents) = (&trace.common.state[0], &trace.currents[0]);
    let v: Vec<i32> =
        state.v.iter().map(|v| i32::try_from(*v).map_err(|_| "a membrane beyond 32 bits")).collect::<Result<_, _>>()?;
    let rows = (0..v.len()).map(|at| Row {
        slots: [0, 1].map(|kind: usize| currents.slots[kind][at]),
        v_recorded: if at == 0 { vector.parameters.v } else { v[at - 1] },
        currents: [0, 1].map(|kind: usize| currents.currents[kind][at]),
        v_after: v[at],
        refractory_left: currents.refractory_left[at],
        spike: !trace.common.spikes[NEURON].at(at as u32 + 1).is_empty(),
    });
    Ok(rows.collect())
}

/// What the emulator computes from the bytes of an image.
///
/// # Errors
/// What compiler, image or emulator refuse.
pub fn run_emulator(vector: &Vector, rounded: bool) -> Result<Vec<Row>, String> {
    let (ir, spikes) = network(vector)?;
    let (target, options) = (machine(rounded, vector), Options::default());
    let mut ctx = Ctx { target: &target, options: &options, calibration: None, observer: &mut NoObserver };
    let mut compiled = compile_integers(ir, &mut ctx).map_err(|problems| problems.to_string())?;
    fill_rings(&mut compiled, vector.rows[0].slots);
    let image = SpinnakerImage::from_bytes(&compiled.image.to_bytes()).map_err(|problems| problems.to_string())?;
    let machine = SpinnakerMachine::of(&target);
    let program = SpinnakerProgram::load(&image, &target.model, &machine, &target.file.costs)
        .map_err(|problems| problems.to_string())?;
    let stimulus = Stimulus { ports: vec![PortStimulus { port: "in".into(), spikes }], host_biases: Vec::new() };
    let prepared = program.prepare(&stimulus).map_err(|problems| problems.to_string())?;
    let options =
        SpinnakerRunOptions { spikes: Selection::All, details: Selection::All, ..SpinnakerRunOptions::default() };
    let trace = SpinnakerEmulator::new(&program).run(&prepared, vector.rows.len() as u32, &options);
    let totals = &trace.totals;
    if (totals.saturations, totals.unmatched, totals.drops.total()) != (0, 0, 0) {
        return Err("a ring-buffer slot saturated, or packets were lost".into());
    }
    let detail = trace.details[0].as_ref().expect("the neuron is recorded");
    let spikes = trace.populations[0].spikes.as_ref().expect("the neuron is recorded");
    let rows = (0..detail.v.len()).map(|at| Row {
        slots: [0, 1].map(|kind: usize| detail.slots[kind][at]),
        v_recorded: if at == 0 { vector.parameters.v } else { detail.v[at - 1] },
        currents: [0, 1].map(|kind: usize| detail.currents[kind][at]),
        v_after: detail.v[at],
        refractory_left: detail.refractory_left[at],
        spike: !spikes.at(at as u32 + 1).is_empty(),
    });
    Ok(rows.collect())
}

/// Writes the slots of the first step into the image.
fn fill_rings(compiled: &mut Compiled, slots: [u16; SYNAPSE_TYPES]) {
    let slice = compiled.split.slices[compiled.split.of(NEURON).start];
    let format = SynapseFormat::new(slice.len, SYNAPSE_TYPES as u32, 1 << slice.delay_bits);
    let filled = (0_u32..).zip(slots).filter(|(_, slot)| *slot > 0);
    let mut initial: Vec<(u32, u16)> = filled.map(|(kind, slot)| (format.ring_slot(1, kind, 0), slot)).collect();
    initial.sort_unstable();
    for core in compiled.image.chips.iter_mut().flat_map(|chip| &mut chip.cores) {
        if let CoreProgram::Neurons(neurons) = &mut core.program {
            neurons.ring_initial.clone_from(&initial);
        }
    }
}

/// The first row that differs.
///
/// # Errors
/// Its step, and what is in it.
pub fn compare(vector: &Vector, found: &[Row]) -> Result<(), String> {
    let difference = vector.rows.iter().zip(found).position(|(expected, found)| expected != found);
    match difference {
        Some(at) => Err(format!("step {at}: {:?} instead of {:?}", found[at], vector.rows[at])),
        None if found.len() != vector.rows.len() => {
            Err(format!("{} steps instead of {}", found.len(), vector.rows.len()))
        }
        None => Ok(()),
    }
}
