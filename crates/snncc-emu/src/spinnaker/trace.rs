//! What a run gives back, and what may be asked of it.

use super::faults::SpinnakerLinkTrace;
use super::program::SpinnakerProgram;
use super::timing::SpinnakerEnergy;
use super::walk::Drops;
use crate::core::OverflowCount;
use crate::trace::{PopulationTrace, Selection, overflow_warning};
use snncc_ids::Diagnostic;

/// How time is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SpinnakerTiming {
    /// Each core's cycles are summed up by step; packets arrive in no time. Nothing feeds back.
    #[default]
    Analytic,
    /// Processors, routers and links run against each other. Packets that are late, dropped or lost change what neurons get.
    Link,
}

/// What to record in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpinnakerRunOptions {
    /// Populations whose spikes are recorded; they are counted in any case.
    pub spikes: Selection,
    /// Populations whose current and membrane are recorded in each step ([`crate::StateTrace`]: `u` is the excitatory less the
    /// inhibitory current with the step's input, of a delta program the input; `v` the membrane after the step).
    pub states: Selection,
    /// Populations of which everything is recorded in each step.
    pub details: Selection,
    /// Length of a tick in picoseconds; `None`: steps follow one another as fast as the slowest core allows.
    pub tick_ps: Option<u64>,
    /// How time is told; with [`SpinnakerTiming::Link`] there must be a tick.
    pub timing: SpinnakerTiming,
    /// Whether the time of each core is kept for each step.
    pub core_steps: bool,
    /// Whether the cores of a step may be shared between threads, where that is worth while. Results do not depend on it.
    pub threads: bool,
}

impl Default for SpinnakerRunOptions {
    /// Times and energies without a tick, no recording.
    fn default() -> Self {
        Self {
            spikes: Selection::None,
            states: Selection::None,
            details: Selection::None,
            tick_ps: None,
            timing: SpinnakerTiming::Analytic,
            core_steps: false,
            threads: true,
        }
    }
}

/// Everything that came of a run. Steps count from 1: entry 0 is step 1.
#[derive(Clone, Debug, PartialEq)]
pub struct SpinnakerTrace {
    /// Number of steps.
    pub steps: u32,
    /// Populations, in the program's order.
    pub populations: Vec<PopulationTrace>,
    /// Details of populations, in the program's order, where asked for.
    pub details: Vec<Option<StateDetail>>,
    /// Counts and costs of each step.
    pub step_records: Vec<SpinnakerStep>,
    /// Sums over all steps.
    pub totals: SpinnakerTotals,
    /// Cores, in the program's order.
    pub cores: Vec<SpinnakerCoreTrace>,
    /// Time of each core in picoseconds, `[step][core]`, row-major, if asked for; otherwise empty.
    pub core_times_ps: Vec<u64>,
    /// Links, routers and what went wrong, at the level [`SpinnakerTiming::Link`].
    pub link: Option<SpinnakerLinkTrace>,
}

/// Recorded state, `[step][neuron]`, row-major, in units of the core. Before `start_step` it is the initial state, with slots
/// of 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDetail {
    /// Ring-buffer slots that were taken: excitatory, inhibitory.
    pub slots: [Vec<u16>; 2],
    /// Currents with the step's input, before they decay: excitatory, inhibitory. Of a delta program the inputs.
    pub currents: [Vec<i32>; 2],
    /// Membrane after update and reset.
    pub v: Vec<i32>,
    /// Steps of the refractory period that are left after the step.
    pub refractory_left: Vec<i32>,
}

/// One step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpinnakerStep {
    /// Neurons updated, refractory ones included.
    pub updated: u64,
    /// Refractory ones.
    pub refractory: u64,
    /// Neurons that fired.
    pub fired: u64,
    /// Packets sent by cores, injectors included.
    pub packets: u64,
    /// Packets received by cores.
    pub packets_in: u64,
    /// Packets received by a core that does not know their key.
    pub unmatched: u64,
    /// Links that packets took.
    pub hops: u64,
    /// Copies of packets that were lost.
    pub dropped: u64,
    /// Packets received that start no transfer: their source has no row there, or a delay extension takes them.
    pub without_row: u64,
    /// Rows transferred.
    pub rows: u64,
    /// Synapse words added to ring buffers.
    pub synaptic_events: u64,
    /// Ring-buffer slots taken whose sum was above what a slot holds.
    pub saturations: u64,
    /// Membranes that saturated.
    pub membrane_saturations: u64,
    /// Spikes of the host, each a packet of an injector if that has a key.
    pub host_spikes: u64,
    /// Duration in picoseconds: the tick, or the time of the slowest core if that is longer.
    pub time_ps: u64,
    /// Time of the slowest core.
    pub slowest_ps: u64,
    /// The slowest core (index into [`SpinnakerTrace::cores`]); of equal ones the first.
    pub slowest_core: u32,
    /// Cores that were not done within the tick.
    pub overruns: u32,
    /// Energy.
    pub energy: SpinnakerEnergy,
}

/// Sums over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpinnakerTotals {
    /// Neuron updates.
    pub updated: u64,
    /// Those of refractory neurons.
    pub refractory: u64,
    /// Spikes of neurons.
    pub fired: u64,
    /// Packets sent by cores.
    pub packets: u64,
    /// Packets received by cores.
    pub packets_in: u64,
    /// Packets received by a core that does not know their key.
    pub unmatched: u64,
    /// Links that packets took.
    pub hops: u64,
    /// Copies of packets that were lost, by reason.
    pub drops: Drops,
    /// Packets received that start no transfer: their source has no row there, or a delay extension takes them.
    pub without_row: u64,
    /// Rows transferred.
    pub rows: u64,
    /// Synapse words added to ring buffers.
    pub synaptic_events: u64,
    /// Ring-buffer slots taken whose sum was above what a slot holds.
    pub saturations: u64,
    /// Membranes that saturated.
    pub membrane_saturations: u64,
    /// Spikes of the host.
    pub host_spikes: u64,
    /// Constant inputs that the host wrote before the run. Resets before the run are not counted.
    pub host_writes: u64,
    /// Emulated time in picoseconds.
    pub time_ps: u128,
    /// Steps in which a core was not done within the tick.
    pub overrun_steps: u64,
    /// Pairs of step and core that was not done.
    pub overruns: u64,
    /// Energy.
    pub energy: SpinnakerEnergy,
}

/// What a core did in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpinnakerCoreTrace {
    /// Number over all chips.
    pub core: u32,
    /// Neuron updates.
    pub updated: u64,
    /// Spikes of its neurons.
    pub fired: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Packets received.
    pub packets_in: u64,
    /// Packets received whose key it does not know.
    pub unmatched: u64,
    /// Packets received that start no transfer: their source has no row there, or a delay extension takes them.
    pub without_row: u64,
    /// Rows transferred.
    pub rows: u64,
    /// Synapse words added to its ring buffers.
    pub synaptic_events: u64,
    /// Cycles in which it was busy.
    pub cycles: u64,
    /// Its longest step in picoseconds.
    pub longest_ps: u64,
    /// Steps in which it was not done within the tick.
    pub overruns: u64,
    /// At the level `link`: rows that were late.
    pub late_rows: u64,
    /// At the level `link`: synapses of late rows that were skipped.
    pub skipped_synapses: u64,
    /// At the level `link`: packets that found its queue full.
    pub overflowed: u64,
    /// At the level `link`: most packets that waited in its queue.
    pub most_queued: u32,
    /// At the level `link`: time for which it could not send, in picoseconds.
    pub stalled_ps: u64,
    /// Its ring-buffer slots, by step and neuron, whose sum was above what a slot holds.
    pub saturations: OverflowCount,
    /// Membranes that saturated at the upper end.
    pub membrane_high: OverflowCount,
    /// Membranes that saturated at the lower end.
    pub membrane_low: OverflowCount,
}

impl SpinnakerTotals {
    pub(crate) fn add(&mut self, step: &SpinnakerStep) {
        self.updated += step.updated;
        self.refractory += step.refractory;
        self.fired += step.fired;
        self.packets += step.packets;
        self.packets_in += step.packets_in;
        self.unmatched += step.unmatched;
        self.hops += step.hops;
        self.without_row += step.without_row;
        self.rows += step.rows;
        self.synaptic_events += step.synaptic_events;
        self.saturations += step.saturations;
        self.membrane_saturations += step.membrane_saturations;
        self.host_spikes += step.host_spikes;
        self.time_ps += u128::from(step.time_ps);
        self.overrun_steps += u64::from(step.overruns > 0);
        self.overruns += u64::from(step.overruns);
        self.energy.add(&step.energy);
    }
}

impl SpinnakerTrace {
    /// One warning (`SNN0702`) for each kind of register that saturated on each core.
    pub fn overflow_warnings(&self, program: &SpinnakerProgram) -> Vec<Diagnostic> {
        let mut warnings = Vec::new();
        for (core, trace) in program.cores.iter().zip(&self.cores) {
            for (what, count) in [
                ("a ring buffer was full", trace.saturations),
                ("a membrane left its 32 bits at the upper end", trace.membrane_high),
                ("a membrane left its 32 bits at the lower end", trace.membrane_low),
            ] {
                let place = |neuron: u32| format!("neuron {neuron} of the core");
                let named = (core.number, &core.name[..], &core.symbols[..]);
                warnings.extend(overflow_warning(named, what, &count, place, &program.populations));
            }
        }
        warnings
    }
}
