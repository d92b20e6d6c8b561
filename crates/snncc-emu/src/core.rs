//! The state of one core, and its part of a step: the host's writes, the update, and the delivery of what was sent to it.
//!
//! A core touches nothing but itself, so the cores of a step may run in any order or at once.

use crate::narrow::NarrowState;
use crate::program::{CoreProgram, Neurons};
use crate::rules;
use crate::synapses::{ChannelState, Delivery};
use crate::timing::Load;
use crate::wide::WideState;
use snncc_chip::UpdateRule;

/// How often a register was left, and where first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverflowCount {
    /// Times, over all steps and compartments.
    pub count: u64,
    /// Step and compartment of the first.
    pub first: Option<(u32, u32)>,
}

impl OverflowCount {
    pub(crate) fn note(&mut self, step: u32, compartment: u32) {
        self.count += 1;
        self.first.get_or_insert((step, compartment));
    }
}

/// Registers left on a core in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overflows {
    /// Dendritic inputs.
    pub input: OverflowCount,
    /// Currents.
    pub current: OverflowCount,
    /// Sums of current and bias.
    pub biased_current: OverflowCount,
    /// Voltages clipped at `v_max`.
    pub v_high: OverflowCount,
    /// Voltages clipped at `v_min`: ordinary inhibition.
    pub v_low: OverflowCount,
}

impl Overflows {
    pub(crate) fn note(&mut self, left: u8, step: u32, compartment: u32) {
        for (bit, count) in [
            (rules::INPUT, &mut self.input),
            (rules::CURRENT, &mut self.current),
            (rules::BIASED_CURRENT, &mut self.biased_current),
            (rules::V_HIGH, &mut self.v_high),
            (rules::V_LOW, &mut self.v_low),
        ] {
            if left & bit != 0 {
                count.note(step, compartment);
            }
        }
    }

    pub(crate) fn has_clipped_low(&self) -> bool {
        self.v_low.first.is_some()
    }

    pub(crate) fn add_clipped_low(&mut self, count: u64) {
        self.v_low.count += count;
    }
}

/// What an update gives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Compartments updated, in this step.
    pub(crate) updated: u64,
    /// Compartment and payload of each spike of this step, ascending.
    pub(crate) spikes: Vec<(u32, i32)>,
    /// Whether `updated_by` is wanted.
    pub(crate) tracks_updates: bool,
    /// For each spike, how many compartments up to its own were updated.
    pub(crate) updated_by: Vec<u32>,
    /// Over the run.
    pub(crate) overflows: Overflows,
}

#[derive(Clone, Debug)]
enum State {
    Narrow(NarrowState),
    Wide(WideState),
}

/// A core while it runs.
#[derive(Clone, Debug)]
pub(crate) struct CoreState {
    state: State,
    channels: ChannelState,
    /// Messages sent in this step.
    pub(crate) inbox: Vec<Delivery>,
    pub(crate) outcome: Outcome,
    /// Spikes of each compartment over the run.
    pub(crate) spike_counts: Vec<u32>,
    /// Bias of each compartment from its start step on.
    bias: Vec<i64>,
    /// Position in the program's start order.
    started: usize,
    /// Registers with a value that the program made the host write after step 1.
    pub(crate) late_writes: u64,
    /// What happened in this step.
    pub(crate) load: Load,
}

impl CoreState {
    pub(crate) fn new(program: &CoreProgram) -> Self {
        let state = match &program.neurons {
            Neurons::Narrow(neurons) => State::Narrow(NarrowState::new(program, neurons)),
            Neurons::Wide(neurons) => State::Wide(WideState::new(program, neurons)),
        };
        Self {
            state,
            channels: ChannelState::new(&program.synapses, program.compartments),
            inbox: Vec::new(),
            outcome: Outcome::default(),
            spike_counts: vec![0; program.compartments],
            bias: program.bias.clone(),
            started: 0,
            late_writes: 0,
            load: Load::default(),
        }
    }

    /// Back to before step 1. Costs no more than writing the state once.
    pub(crate) fn reset(&mut self, program: &CoreProgram) {
        match &mut self.state {
            State::Narrow(state) => state.clear(),
            State::Wide(state) => state.clear(),
        }
        self.inbox.clear();
        self.outcome.spikes.clear();
        self.outcome.overflows = Overflows::default();
        self.spike_counts.fill(0);
        self.bias.copy_from_slice(&program.bias);
        (self.started, self.late_writes) = (0, 0);
    }

    /// Replaces the bias that a compartment has from its start step on; before step 1.
    pub(crate) fn set_bias(&mut self, compartment: u32, bias: i64) {
        self.bias[compartment as usize] = bias;
    }

    /// First half of a step (from 1): the host's writes, and the update.
    pub(crate) fn update(&mut self, program: &CoreProgram, step: u32) {
        self.load = Load::default();
        self.start_compartments(program, step);
        self.outcome.updated = 0;
        self.outcome.spikes.clear();
        self.outcome.updated_by.clear();
        match (&mut self.state, &program.neurons) {
            (State::Narrow(state), Neurons::Narrow(neurons)) => {
                state.update(program, neurons, step, &mut self.outcome);
            }
            (State::Wide(state), Neurons::Wide(neurons)) => state.update(program, neurons, step, &mut self.outcome),
            _ => unreachable!("bug in snncc: a core changed its path"),
        }
        for (compartment, _) in &self.outcome.spikes {
            self.spike_counts[*compartment as usize] += 1;
        }
        if self.outcome.tracks_updates && program.updated == UpdateRule::Always {
            self.outcome.updated_by.clear();
            self.outcome.updated_by.extend(self.outcome.spikes.iter().map(|(compartment, _)| compartment + 1));
        }
        self.load.updated = match program.updated {
            UpdateRule::Always => program.compartments as u64,
            UpdateRule::Active | UpdateRule::ActiveVoltage => self.outcome.updated,
        };
        self.load.fired = self.outcome.spikes.len() as u64;
    }

    /// Second half of a step: takes in what was sent in it.
    pub(crate) fn deliver(&mut self, program: &CoreProgram, step: u32) {
        let Self { state, channels, inbox, load, .. } = self;
        let (table, step) = (&program.synapses, u64::from(step));
        match state {
            State::Narrow(state) => table.deliver(inbox, &mut state.planes, channels, step, load),
            State::Wide(state) => table.deliver(inbox, &mut state.planes, channels, step, load),
        }
    }

    /// The host's writes before the update of `step`.
    fn start_compartments(&mut self, program: &CoreProgram, step: u32) {
        while let Some(&compartment) = program.start_order.get(self.started) {
            let at = compartment as usize;
            if program.start_step[at] > step {
                break;
            }
            let (u, v) = (program.u_initial[at], program.v_initial[at]);
            match &mut self.state {
                // The narrow path was chosen because these fit.
                State::Narrow(state) => {
                    (state.u[at], state.v[at], state.bias[at]) = (u as i32, v as i32, self.bias[at] as i32);
                }
                State::Wide(state) => (state.u[at], state.v[at], state.bias[at]) = (u, v, self.bias[at]),
            }
            if step > 1 {
                self.late_writes += u64::from(u != 0) + u64::from(v != 0) + u64::from(program.bias[at] != 0);
            }
            self.started += 1;
        }
    }

    /// Current and voltage of a compartment.
    pub(crate) fn u_and_v(&self, compartment: u32) -> (i64, i64) {
        let at = compartment as usize;
        match &self.state {
            State::Narrow(state) => (i64::from(state.u[at]), i64::from(state.v[at])),
            State::Wide(state) => (state.u[at], state.v[at]),
        }
    }
}
