//! The emulator as a witness.

use crate::verification::ChipTotals;
use crate::witness::{Chip, ChipState, ChipTrace, SampleInput};
use snncc_data::SpikeTrain;
use snncc_emu::{Emulator, OverflowCount, Overflows, PopulationTrace, Program, RunOptions, Selection, Trace};
use snncc_ids::Diagnostics;
use std::sync::Mutex;

/// Emulators that are kept for later runs.
pub(crate) struct Idle<E>(Mutex<Vec<E>>);

impl<E> Default for Idle<E> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<E> Idle<E> {
    /// Works with one of them, or with a new one.
    pub(crate) fn with<T>(&self, new: impl FnOnce() -> E, work: impl FnOnce(&mut E) -> T) -> T {
        let idle = self.0.lock().expect("bug in snncc: an emulator panicked").pop();
        let mut emulator = idle.unwrap_or_else(new);
        let result = work(&mut emulator);
        self.0.lock().expect("bug in snncc: an emulator panicked").push(emulator);
        result
    }
}

/// A loaded image on the emulator. Emulators are kept for later runs; each run starts from the initial state.
pub struct EmulatedChip<'a> {
    program: &'a Program,
    idle: Idle<Emulator<'a>>,
    timing: bool,
    threads: bool,
}

impl<'a> EmulatedChip<'a> {
    /// `timing`: whether time and energy are computed. `threads`: whether one run may use several threads, worth while where
    /// there are few samples.
    pub fn new(program: &'a Program, timing: bool, threads: bool) -> Self {
        Self { program, idle: Idle::default(), timing, threads }
    }
}

impl Chip for EmulatedChip<'_> {
    fn run(&self, input: &SampleInput, steps: u32, state: &[usize]) -> Result<ChipTrace, Diagnostics> {
        let prepared = self.program.prepare(&input.stimulus)?;
        let options = RunOptions {
            spikes: Selection::All,
            states: if state.is_empty() { Selection::None } else { Selection::Some(state.to_vec()) },
            timing: self.timing,
            threads: self.threads,
            ..RunOptions::default()
        };
        let trace = self.idle.with(|| Emulator::new(self.program), |emulator| emulator.run(&prepared, steps, &options));
        Ok(self.chip_trace(trace, state))
    }
}

impl EmulatedChip<'_> {
    fn chip_trace(&self, mut trace: Trace, state: &[usize]) -> ChipTrace {
        let totals = totals(&trace);
        let state = state.iter().map(|population| {
            let states = trace.populations[*population].states.take().expect("bug in snncc: a state was not recorded");
            ChipState { u: states.u, v: states.v, ..ChipState::default() }
        });
        let state = state.collect();
        let outputs = self.program.outputs().map(|(_, population, _)| population);
        let (spikes, output_voltages) = spikes_and_voltages(trace.populations, outputs, trace.steps);
        ChipTrace { spikes, state, output_voltages, totals, disturbances: Vec::new() }
    }
}

/// Spikes of each population, and the membranes that outputs read.
pub(crate) fn spikes_and_voltages(
    populations: Vec<PopulationTrace>,
    outputs: impl Iterator<Item = usize>,
    steps: u32,
) -> (Vec<SpikeTrain>, Vec<Vec<i64>>) {
    let voltages = outputs.map(|at| populations[at].final_membrane.clone().unwrap_or_default()).collect();
    let spikes = populations
        .into_iter()
        .map(|p| p.spikes.unwrap_or_else(|| SpikeTrain::silent(p.counts.len() as u32, steps)))
        .collect();
    (spikes, voltages)
}

fn totals(trace: &Trace) -> ChipTotals {
    let sums = &trace.totals;
    let energy = [
        ("soma", sums.energy.soma_fj),
        ("axon_out", sums.energy.axon_out_fj),
        ("hops", sums.energy.hops_fj),
        ("axon_in", sums.energy.axon_in_fj),
        ("synapses", sums.energy.synapses_fj),
    ];
    let by_core = |count: fn(&Overflows) -> OverflowCount| -> u128 {
        trace.cores.iter().map(|core| u128::from(count(&core.overflows).count)).sum()
    };
    let overflows = [
        ("input", by_core(|left| left.input)),
        ("current", by_core(|left| left.current)),
        ("biased_current", by_core(|left| left.biased_current)),
        ("v_high", by_core(|left| left.v_high)),
        ("v_low", by_core(|left| left.v_low)),
    ];
    ChipTotals {
        synaptic_events: sums.synaptic_events.into(),
        packets: sums.packets.into(),
        hops: sums.hops.into(),
        time_ps: sums.time_ps,
        energy_fj: energy.map(|(part, fj)| (part.to_string(), fj)).to_vec(),
        overflows: overflows.map(|(kind, count)| (kind.to_string(), count)).to_vec(),
    }
}
