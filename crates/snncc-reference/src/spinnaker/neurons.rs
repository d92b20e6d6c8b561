//! The update of neurons: docs/CHIP_SEMANTICS.md, "A step of a neuron", line by line.

use crate::integer::Overflows;
use snncc_chip::{Product, SpinnakerCore};
use snncc_ir::spinnaker::{NeuronProgram, SYNAPSE_TYPES, SpikeReset, SpinnakerNeurons};

/// Neurons of a population.
#[derive(Clone, Debug)]
pub(super) struct Neurons {
    cells: Vec<Cell>,
    program: NeuronProgram,
    reset: SpikeReset,
    start_step: u32,
    spikes: bool,
    multiplier: Multiplier,
}

/// Settings of one neuron.
#[derive(Clone, Copy, Debug)]
struct Cell {
    v_initial: i32,
    v_rest: i32,
    resistance: i32,
    membrane_keep: i32,
    i_offset: i32,
    v_reset: i32,
    v_threshold: i32,
    refractory_steps: i32,
    initial: [i32; SYNAPSE_TYPES],
    decay: [u32; SYNAPSE_TYPES],
    init: [u32; SYNAPSE_TYPES],
    left_shift: [u8; SYNAPSE_TYPES],
}

impl Cell {
    /// `(E << left_shift_E) − (I << left_shift_I)`.
    fn input(&self, [e, i]: [u16; SYNAPSE_TYPES]) -> i64 {
        (i64::from(e) << self.left_shift[0]) - (i64::from(i) << self.left_shift[1])
    }
}

/// State of a population.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) v: Vec<i32>,
    pub(super) refractory_left: Vec<i32>,
    /// Currents with the input of the last step, before they decayed.
    pub(super) driving: Vec<[i32; SYNAPSE_TYPES]>,
    /// Currents as the last step left them.
    currents: Vec<[i32; SYNAPSE_TYPES]>,
    /// Constant input, with what the host adds.
    i_offset: Vec<i32>,
}

impl State {
    /// Adds to the constant inputs.
    ///
    /// # Errors
    /// The first sum that leaves 32 bits.
    pub(super) fn add_bias(&mut self, added: &[i64]) -> Result<(), i64> {
        for (i_offset, added) in self.i_offset.iter_mut().zip(added) {
            let sum = i64::from(*i_offset).saturating_add(*added);
            *i_offset = i32::try_from(sum).map_err(|_| sum)?;
        }
        Ok(())
    }
}

/// How numbers with a fraction are multiplied.
#[derive(Clone, Copy, Debug)]
struct Multiplier {
    product: Product,
    fraction_bits: u8,
}

impl Multiplier {
    fn mul(self, a: i32, b: i32) -> i32 {
        let product = i64::from(a) * i64::from(b);
        match self.product {
            Product::Truncated => (product >> self.fraction_bits) as i32,
            Product::Rounded => saturate((product + (1 << (self.fraction_bits - 1))) >> self.fraction_bits),
        }
    }
}

fn saturate(x: i64) -> i32 {
    x.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// `x` times a fraction of 2^32, rounded down.
fn part(x: i32, fraction: u32) -> i32 {
    ((i64::from(x) * i64::from(fraction)) >> 32) as i32
}

impl Neurons {
    pub(super) fn new(neurons: &SpinnakerNeurons, len: usize, core: &SpinnakerCore) -> Self {
        let types = &neurons.synapse_types;
        let cells = (0..len).map(|i| Cell {
            v_initial: neurons.v_initial.get(i),
            v_rest: neurons.v_rest.get(i),
            resistance: neurons.resistance.get(i),
            membrane_keep: neurons.membrane_keep.get(i),
            i_offset: neurons.i_offset.get(i),
            v_reset: neurons.v_reset.get(i),
            v_threshold: neurons.v_threshold.get(i),
            refractory_steps: neurons.refractory_steps.get(i),
            initial: [0, 1].map(|kind: usize| types[kind].initial.get(i)),
            decay: [0, 1].map(|kind: usize| types[kind].decay.get(i)),
            init: [0, 1].map(|kind: usize| types[kind].init.get(i)),
            left_shift: [0, 1].map(|kind: usize| types[kind].left_shift.get(i)),
        });
        Self {
            cells: cells.collect(),
            program: neurons.program,
            reset: neurons.reset,
            start_step: neurons.start_step,
            spikes: neurons.spikes,
            multiplier: Multiplier { product: core.arithmetic.product, fraction_bits: core.formats.fraction_bits.0 },
        }
    }

    /// The state before step 1.
    pub(super) fn start(&self) -> State {
        let currents: Vec<_> = self.cells.iter().map(|cell| cell.initial).collect();
        State {
            v: self.cells.iter().map(|cell| cell.v_initial).collect(),
            refractory_left: vec![0; self.cells.len()],
            driving: currents.clone(),
            currents,
            i_offset: self.cells.iter().map(|cell| cell.i_offset).collect(),
        }
    }

    /// Input of each neuron from the slots of a step.
    pub(super) fn inputs<'a>(&'a self, slots: &'a [[u16; SYNAPSE_TYPES]]) -> impl Iterator<Item = i64> + 'a {
        slots.iter().zip(&self.cells).map(|(slots, cell)| cell.input(*slots))
    }

    /// What drives the membrane of each neuron in the step that took these slots, without the constant input.
    pub(super) fn driven<'a>(
        &'a self,
        slots: &'a [[u16; SYNAPSE_TYPES]],
        state: &'a State,
    ) -> impl Iterator<Item = i64> + 'a {
        slots.iter().zip(&state.driving).zip(&self.cells).map(|((slots, [e, i]), cell)| match self.program {
            NeuronProgram::CurrentExponential => i64::from(*e) - i64::from(*i),
            NeuronProgram::Delta => cell.input(*slots),
        })
    }

    /// Whether the neurons are not updated yet in step `t`.
    pub(super) fn wait_in(&self, t: u32) -> bool {
        t < self.start_step
    }

    /// A step with the slots of each neuron; appends the neurons that spike.
    pub(super) fn step(
        &self,
        slots: &[[u16; SYNAPSE_TYPES]],
        state: &mut State,
        fired: &mut Vec<u32>,
        overflows: &mut Overflows,
    ) {
        let mut saturate_counted = |x: i64| {
            overflows.clipped_at_max += u64::from(x > i32::MAX.into());
            overflows.clipped_at_min += u64::from(x < i32::MIN.into());
            saturate(x)
        };
        let mul = |a, b| self.multiplier.mul(a, b);
        for (neuron, cell) in self.cells.iter().enumerate() {
            let v = &mut state.v[neuron];
            let refractory_left = &mut state.refractory_left[neuron];
            let i_offset = state.i_offset[neuron];
            if self.program == NeuronProgram::CurrentExponential {
                let driving = &mut state.driving[neuron];
                for kind in 0..SYNAPSE_TYPES {
                    // The shift wraps: bits beyond 32 are lost.
                    let shifted = (i64::from(slots[neuron][kind]) << cell.left_shift[kind]) as i32;
                    driving[kind] = state.currents[neuron][kind].wrapping_add(part(shifted, cell.init[kind]));
                }
            }
            if *refractory_left > 0 {
                *refractory_left -= 1;
            } else {
                *v = match self.program {
                    NeuronProgram::CurrentExponential => {
                        let [excitatory, inhibitory] = state.driving[neuron];
                        let x = excitatory.wrapping_sub(inhibitory).wrapping_add(i_offset);
                        let goal = mul(x, cell.resistance).wrapping_add(cell.v_rest);
                        goal.wrapping_sub(mul(cell.membrane_keep, goal.wrapping_sub(*v)))
                    }
                    NeuronProgram::Delta => {
                        let kept = cell.v_rest.wrapping_sub(mul(cell.membrane_keep, cell.v_rest.wrapping_sub(*v)));
                        saturate_counted(i64::from(kept) + cell.input(slots[neuron]) + i64::from(i_offset))
                    }
                };
            }
            if self.spikes && *v >= cell.v_threshold {
                *v = match self.reset {
                    SpikeReset::ToValue => cell.v_reset,
                    SpikeReset::BySubtraction => {
                        saturate_counted(i64::from(*v) - (i64::from(cell.v_threshold) - i64::from(cell.v_reset)))
                    }
                };
                *refractory_left = cell.refractory_steps;
                fired.push(neuron as u32);
            }
            if self.program == NeuronProgram::CurrentExponential {
                for kind in 0..SYNAPSE_TYPES {
                    state.currents[neuron][kind] = part(state.driving[neuron][kind], cell.decay[kind]);
                }
            }
        }
    }
}
