//! What a run gives back, and what may be asked of it.

use crate::core::{OverflowCount, Overflows};
use crate::network::{NetworkLevel, NetworkStep};
use crate::program::{PopulationProgram, Program};
use crate::timing::{Bound, CoreStep, Energy};
use snncc_data::SpikeTrain;
use snncc_ids::{Diagnostic, code};

/// A choice of populations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// Those with these indices.
    Some(Vec<usize>),
}

impl Selection {
    /// Whether a population is chosen.
    pub fn contains(&self, population: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(indices) => indices.contains(&population),
        }
    }
}

/// What to record in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// Populations whose spikes are recorded; they are counted in any case.
    pub spikes: Selection,
    /// Populations whose current and voltage are recorded in each step.
    pub states: Selection,
    /// Whether time and energy are computed.
    pub timing: bool,
    /// How exactly the network between cores is modelled. Beyond the analytic level, the cost table must have a
    /// [`NetworkTiming`](snncc_chip::NetworkTiming).
    pub network: NetworkLevel,
    /// Whether send and receive times of each core are kept for each step.
    pub core_steps: bool,
    /// Whether the cores of a step may be shared between threads, where that is worth while. Results do not depend on it.
    pub threads: bool,
}

impl Default for RunOptions {
    /// Times and energies in total, no recording.
    fn default() -> Self {
        Self {
            spikes: Selection::None,
            states: Selection::None,
            timing: true,
            network: NetworkLevel::Analytic,
            core_steps: false,
            threads: true,
        }
    }
}

/// Everything that came of a run. Steps count from 1: entry 0 is step 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Number of steps.
    pub steps: u32,
    /// Populations, in the program's order.
    pub populations: Vec<PopulationTrace>,
    /// Counts and, with timing, costs of each step.
    pub step_records: Vec<StepRecord>,
    /// Sums over all steps.
    pub totals: Totals,
    /// Cores, in the program's order.
    pub cores: Vec<CoreTrace>,
    /// Send and receive time `[step][core]`, row-major, if asked for; otherwise empty.
    pub core_steps: Vec<CoreStep>,
    /// Time of the barrier, paid in each step.
    pub barrier_ps: u64,
    /// What the network did in each step, beyond the analytic level; otherwise empty.
    pub network_steps: Vec<NetworkStep>,
}

/// What a population did.
#[derive(Clone, Debug, PartialEq)]
pub struct PopulationTrace {
    /// Spikes of each neuron.
    pub counts: Vec<u32>,
    /// Spikes in chip steps, if asked for. Payloads only where a spike of −1 occurred.
    pub spikes: Option<SpikeTrain>,
    /// Current and voltage after each step, if asked for.
    pub states: Option<StateTrace>,
    /// Voltage of each neuron after the last step, where an output reads membranes.
    pub final_membrane: Option<Vec<i64>>,
}

impl PopulationTrace {
    /// Of so many neurons, before the first step.
    pub(crate) fn new(neurons: usize, spikes: bool, states: bool) -> Self {
        Self {
            counts: Vec::new(),
            spikes: spikes.then(|| SpikeTrain::new(neurons as u32)),
            states: states.then(StateTrace::default),
            final_membrane: None,
        }
    }
}

/// Recorded state, `[step][neuron]`, row-major.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateTrace {
    /// Currents.
    pub u: Vec<i64>,
    /// Voltages, after the reset: 0 where the neuron fired.
    pub v: Vec<i64>,
}

/// One step. Costs are 0 and the bound is the barrier without timing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepRecord {
    /// Compartments that were updated.
    pub updated: u64,
    /// Compartments that fired.
    pub fired: u64,
    /// Messages between a source compartment and a destination core.
    pub packets: u64,
    /// Hops of all packets.
    pub hops: u64,
    /// Synapses activated, by packets and by the host.
    pub synaptic_events: u64,
    /// Those of them that spikes of the host activated: the first layer on the chip.
    pub first_synaptic_events: u64,
    /// Energy of these, in femtojoules, also without timing.
    pub first_synapses_fj: u64,
    /// Spikes of the host.
    pub host_spikes: u64,
    /// Messages of the host: one for each spike and core it reaches.
    pub host_messages: u64,
    /// Duration in picoseconds.
    pub time_ps: u64,
    /// Energy.
    pub energy: Energy<u64>,
    /// What set the time, as far as cores go: [`NetworkStep::bound`] knows the network too.
    pub bound: Bound,
}

/// Sums over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Compartment updates.
    pub updated: u64,
    /// Spikes of compartments.
    pub fired: u64,
    /// Messages between a source compartment and a destination core.
    pub packets: u64,
    /// Hops.
    pub hops: u64,
    /// Synapses activated.
    pub synaptic_events: u64,
    /// Those of them that spikes of the host activated: the first layer on the chip.
    pub first_synaptic_events: u64,
    /// Energy of these, in femtojoules.
    pub first_synapses_fj: u128,
    /// Spikes of the host.
    pub host_spikes: u64,
    /// Messages of the host.
    pub host_messages: u64,
    /// Registers that the host wrote: host currents, and biases and states that are not 0 of compartments that start after
    /// step 1. Resets before the run are not counted.
    pub host_writes: u64,
    /// Emulated time in picoseconds.
    pub time_ps: u128,
    /// Energy.
    pub energy: Energy<u128>,
    /// Steps whose time a send side set.
    pub send_bound_steps: u64,
    /// Steps whose time a receive side set.
    pub receive_bound_steps: u64,
    /// Steps whose time the barrier set.
    pub barrier_bound_steps: u64,
}

/// What a core did in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreTrace {
    /// Number over all chips.
    pub core: u32,
    /// Compartment updates.
    pub updated: u64,
    /// Spikes of its compartments.
    pub fired: u64,
    /// Messages sent.
    pub messages_out: u64,
    /// Messages received, from cores and the host.
    pub messages_in: u64,
    /// Synapses activated on it.
    pub synaptic_events: u64,
    /// Time of the send side.
    pub send_ps: u128,
    /// Time of the receive side.
    pub receive_ps: u128,
    /// Energy; hops count for the sender.
    pub energy: Energy<u128>,
    /// Steps whose time it set.
    pub bound_steps: u64,
    /// Registers left.
    pub overflows: Overflows,
}

impl Totals {
    pub(crate) fn add(&mut self, step: &StepRecord, timing: bool) {
        self.updated += step.updated;
        self.fired += step.fired;
        self.packets += step.packets;
        self.hops += step.hops;
        self.synaptic_events += step.synaptic_events;
        self.first_synaptic_events += step.first_synaptic_events;
        self.first_synapses_fj += u128::from(step.first_synapses_fj);
        self.host_spikes += step.host_spikes;
        self.host_messages += step.host_messages;
        self.time_ps += u128::from(step.time_ps);
        self.energy.add(&step.energy);
        if timing {
            *match step.bound {
                Bound::Send(_) => &mut self.send_bound_steps,
                Bound::Receive(_) => &mut self.receive_bound_steps,
                Bound::Barrier => &mut self.barrier_bound_steps,
            } += 1;
        }
    }
}

impl Trace {
    /// One warning (`SNN0702`) for each kind of register that was left on each core. Clips at `v_min`, ordinary inhibition,
    /// give none.
    pub fn overflow_warnings(&self, program: &Program) -> Vec<Diagnostic> {
        let mut warnings = Vec::new();
        for (core, trace) in program.cores.iter().zip(&self.cores) {
            let o = &trace.overflows;
            for (what, count) in [
                ("the dendritic input left its register", &o.input),
                ("the current left its register", &o.current),
                ("the sum of current and bias left its register", &o.biased_current),
                ("the voltage was clipped at its upper limit", &o.v_high),
            ] {
                let place = |compartment: u32| format!("compartment {compartment}");
                let named = (core.number, &core.name[..], &core.symbols[..]);
                warnings.extend(overflow_warning(named, what, count, place, &program.populations));
            }
        }
        warnings
    }
}

/// The warning that a register of a core (number, name, symbols of its neurons) overflowed, if it did; `place` says which neuron
/// of the core is meant.
pub(crate) fn overflow_warning(
    (number, name, symbols): (u32, &str, &[(u32, u32)]),
    what: &str,
    overflows: &OverflowCount,
    place: impl FnOnce(u32) -> String,
    populations: &[PopulationProgram],
) -> Option<Diagnostic> {
    let OverflowCount { count, first: Some((step, at)) } = *overflows else { return None };
    let symbol = match symbols[at as usize] {
        (u32::MAX, _) => String::new(),
        (population, neuron) => format!(" (neuron {neuron} of `{}`)", populations[population as usize].name),
    };
    let warning = Diagnostic::warning(code::STATE_OVERFLOW, format!("{name}: {what} {count} times"));
    let note = format!("first in step {step}, {}{symbol}", place(at));
    Some(warning.at(format!("cores/{number}")).note(note))
}
