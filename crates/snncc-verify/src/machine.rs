//! The emulator of SpiNNaker-like machines as a witness.

use crate::emulated::{Idle, spikes_and_voltages};
use crate::integers::SATURATIONS;
use crate::verification::{ChipTotals, Disturbance};
use crate::witness::{Chip, ChipState, ChipTrace, SampleInput};
use snncc_emu::Selection;
use snncc_emu::spinnaker::{
    FaultCount, SpinnakerEmulator, SpinnakerProgram, SpinnakerRunOptions, SpinnakerTiming, SpinnakerTotals,
    SpinnakerTrace, StateDetail,
};
use snncc_ids::Diagnostics;

/// A loaded image of a machine on its emulator. Emulators are kept for later runs; each run starts from the initial state.
pub struct EmulatedMachine<'a> {
    program: &'a SpinnakerProgram,
    idle: Idle<SpinnakerEmulator<'a>>,
    tick_ps: Option<u64>,
    timing: SpinnakerTiming,
    threads: bool,
}

impl<'a> EmulatedMachine<'a> {
    /// `tick_ps`: length of a tick, as in [`SpinnakerRunOptions`]. `threads`: whether one run may use several threads, worth
    /// while where there are few samples.
    pub fn new(program: &'a SpinnakerProgram, tick_ps: Option<u64>, threads: bool) -> Self {
        Self { program, idle: Idle::default(), tick_ps, timing: SpinnakerTiming::Analytic, threads }
    }

    /// With this level of timing. At the level `link` packets may be late or lost, and `verify` tells that apart from errors.
    pub fn with_timing(self, timing: SpinnakerTiming) -> Self {
        Self { timing, ..self }
    }

    fn run_at(
        &self,
        timing: SpinnakerTiming,
        input: &SampleInput,
        steps: u32,
        state: &[usize],
    ) -> Result<ChipTrace, Diagnostics> {
        let prepared = self.program.prepare(&input.stimulus)?;
        let options = SpinnakerRunOptions {
            spikes: Selection::All,
            states: Selection::None,
            details: if state.is_empty() { Selection::None } else { Selection::Some(state.to_vec()) },
            tick_ps: self.tick_ps,
            timing,
            core_steps: false,
            threads: self.threads,
        };
        let run = |emulator: &mut SpinnakerEmulator<'_>| emulator.run(&prepared, steps, &options);
        let trace = self.idle.with(|| SpinnakerEmulator::new(self.program), run);
        Ok(self.chip_trace(trace, state))
    }
}

impl Chip for EmulatedMachine<'_> {
    fn run(&self, input: &SampleInput, steps: u32, state: &[usize]) -> Result<ChipTrace, Diagnostics> {
        self.run_at(self.timing, input, steps, state)
    }

    fn run_in_time(&self, input: &SampleInput, steps: u32, state: &[usize]) -> Result<Option<ChipTrace>, Diagnostics> {
        match self.timing {
            SpinnakerTiming::Analytic => Ok(None),
            SpinnakerTiming::Link => self.run_at(SpinnakerTiming::Analytic, input, steps, state).map(Some),
        }
    }
}

impl EmulatedMachine<'_> {
    fn chip_trace(&self, mut trace: SpinnakerTrace, state: &[usize]) -> ChipTrace {
        let totals = totals(&trace.totals);
        let disturbances = self.disturbances(&trace);
        let recorded = state.iter().map(|population| {
            let detail = trace.details[*population].take().expect("bug in snncc: a state was not recorded");
            let StateDetail { slots, currents: [excitatory, inhibitory], v, .. } = detail;
            let u = excitatory.iter().zip(&inhibitory).map(|(e, i)| i64::from(*e) - i64::from(*i)).collect();
            ChipState { u, v: v.into_iter().map(i64::from).collect(), slots }
        });
        let recorded = recorded.collect();
        let outputs = self.program.outputs().map(|(_, population, _)| population);
        let (spikes, output_voltages) = spikes_and_voltages(trace.populations, outputs, trace.steps);
        ChipTrace { spikes, state: recorded, output_voltages, totals, disturbances }
    }

    fn disturbances(&self, trace: &SpinnakerTrace) -> Vec<Disturbance> {
        let Some(link) = &trace.link else { return Vec::new() };
        let told = |(what, count, changes_results): (&str, FaultCount, bool)| {
            let (chip_step, place) = count.first?;
            Some(Disturbance {
                what: what.to_owned(),
                count: count.count,
                changes_results,
                sample: 0,
                chip_step,
                place: self.program.place_name(place),
            })
        };
        link.faults.kinds().into_iter().filter_map(told).collect()
    }
}

fn totals(sums: &SpinnakerTotals) -> ChipTotals {
    let energy = [("chips", sums.energy.chips_fj), ("cores", sums.energy.cores_fj), ("hops", sums.energy.hops_fj)];
    let saturations = SATURATIONS.into_iter().zip([sums.saturations, sums.membrane_saturations]);
    ChipTotals {
        synaptic_events: sums.synaptic_events.into(),
        packets: sums.packets.into(),
        hops: sums.hops.into(),
        time_ps: sums.time_ps,
        energy_fj: energy.map(|(part, fj)| (part.to_string(), fj)).to_vec(),
        overflows: saturations.map(|(kind, count)| (kind.to_string(), count.into())).collect(),
    }
}
