//! The emulator of SpiNNaker-like machines as a witness.

use crate::emulated::{Idle, spikes_and_voltages};
use crate::integers::SATURATIONS;
use crate::verification::ChipTotals;
use crate::witness::{Chip, ChipState, ChipTrace, SampleInput};
use snncc_emu::Selection;
use snncc_emu::spinnaker::{
    SpinnakerEmulator, SpinnakerProgram, SpinnakerRunOptions, SpinnakerTotals, SpinnakerTrace, StateDetail,
};
use snncc_ids::Diagnostics;

/// A loaded image of a machine on its emulator. Emulators are kept for later runs; each run starts from the initial state.
pub struct EmulatedMachine<'a> {
    program: &'a SpinnakerProgram,
    idle: Idle<SpinnakerEmulator<'a>>,
    tick_ps: Option<u64>,
    threads: bool,
}

impl<'a> EmulatedMachine<'a> {
    /// `tick_ps`: length of a tick, as in [`SpinnakerRunOptions`]. `threads`: whether one run may use several threads, worth
    /// while where there are few samples.
    pub fn new(program: &'a SpinnakerProgram, tick_ps: Option<u64>, threads: bool) -> Self {
        Self { program, idle: Idle::default(), tick_ps, threads }
    }
}

impl Chip for EmulatedMachine<'_> {
    fn run(&self, input: &SampleInput, steps: u32, state: &[usize]) -> Result<ChipTrace, Diagnostics> {
        let prepared = self.program.prepare(&input.stimulus)?;
        let options = SpinnakerRunOptions {
            spikes: Selection::All,
            states: Selection::None,
            details: if state.is_empty() { Selection::None } else { Selection::Some(state.to_vec()) },
            tick_ps: self.tick_ps,
            core_steps: false,
            threads: self.threads,
        };
        let run = |emulator: &mut SpinnakerEmulator<'_>| emulator.run(&prepared, steps, &options);
        let trace = self.idle.with(|| SpinnakerEmulator::new(self.program), run);
        Ok(self.chip_trace(trace, state))
    }
}

impl EmulatedMachine<'_> {
    fn chip_trace(&self, mut trace: SpinnakerTrace, state: &[usize]) -> ChipTrace {
        let totals = totals(&trace.totals);
        let recorded = state.iter().map(|population| {
            let detail = trace.details[*population].take().expect("bug in snncc: a state was not recorded");
            let StateDetail { slots, currents: [excitatory, inhibitory], v, .. } = detail;
            let u = excitatory.iter().zip(&inhibitory).map(|(e, i)| i64::from(*e) - i64::from(*i)).collect();
            ChipState { u, v: v.into_iter().map(i64::from).collect(), slots }
        });
        let recorded = recorded.collect();
        let outputs = self.program.outputs().map(|(_, population, _)| population);
        let (spikes, output_voltages) = spikes_and_voltages(trace.populations, outputs, trace.steps);
        ChipTrace { spikes, state: recorded, output_voltages, totals }
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
