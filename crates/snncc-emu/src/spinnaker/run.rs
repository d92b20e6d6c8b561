//! The step loop: cores update on their own, packets are sent, cores take them in on their own, and the step is priced.
//!
//! **Invariant:** results do not depend on the number of threads. Cores share nothing while they step; everything that
//! crosses cores happens in one thread, in the order of cores and sources.

use super::core::CoreState;
use super::linked::Linked;
use super::program::{CoreProgram, SpinnakerProgram, SpinnakerStimulus};
use super::timing::Load;
use super::trace::{
    SpinnakerCoreTrace, SpinnakerRunOptions, SpinnakerStep, SpinnakerTiming, SpinnakerTotals, SpinnakerTrace,
    StateDetail,
};
use super::walk::Drops;
use crate::trace::PopulationTrace;
use rayon::prelude::*;
use snncc_image::Readout;

/// The mutable state of one run. Make one for each thread; it may run any number of samples.
#[derive(Clone, Debug)]
pub struct SpinnakerEmulator<'a> {
    pub(super) program: &'a SpinnakerProgram,
    pub(super) cores: Vec<CoreState>,
    /// Processors and network, once they were needed.
    pub(super) linked: Option<Linked<'a>>,
}

impl<'a> SpinnakerEmulator<'a> {
    /// An emulator before step 1.
    pub fn new(program: &'a SpinnakerProgram) -> Self {
        let mut emulator = Self { program, cores: vec![CoreState::default(); program.cores.len()], linked: None };
        emulator.reset();
        emulator
    }

    /// The program.
    pub fn program(&self) -> &'a SpinnakerProgram {
        self.program
    }

    /// Back to the image's initial state. A run begins with it.
    pub fn reset(&mut self) {
        self.cores.iter_mut().zip(&self.program.cores).for_each(|(state, core)| state.reset(core));
    }

    /// Runs steps `1 ..= steps` from the initial state. Spikes of the host stamped step `s` are sent in step `s`, as those of
    /// neurons: with a delay of 1 they are input of step `s + 1`. What the stimulus has beyond the last step is not used.
    ///
    /// # Panics
    /// If the stimulus was prepared by another program, or the level is `link` and there is no tick.
    pub fn run(
        &mut self,
        stimulus: &SpinnakerStimulus<'_>,
        steps: u32,
        options: &SpinnakerRunOptions,
    ) -> SpinnakerTrace {
        assert_eq!(stimulus.ports.len(), self.program.inputs.len(), "bug in snncc: the stimulus of another program");
        self.reset();
        for write in &stimulus.offsets {
            self.cores[write.core as usize].i_offset[write.neuron as usize] = write.i_offset;
        }
        let program = self.program;
        let threads = options.threads && program.worth_threads && rayon::current_num_threads() > 1;
        let mut recorder = Recorder::new(program, steps, options);
        recorder.trace.totals.host_writes = stimulus.offsets.len() as u64;
        if options.timing == SpinnakerTiming::Link {
            return self.run_linked(stimulus, threads, recorder);
        }
        for step in 1..=steps {
            self.for_each_core(threads, |state, core| {
                state.load = Load::default();
                state.update(program, core, step);
            });
            let mut record = SpinnakerStep { host_spikes: self.inject(stimulus, step), ..SpinnakerStep::default() };
            let drops = self.send(&mut record);
            self.for_each_core(threads, |state, core| state.deliver(core, step));
            recorder.step(&self.cores, record, &drops);
        }
        recorder.finish(&self.cores)
    }

    fn for_each_core(&mut self, threads: bool, work: impl Fn(&mut CoreState, &CoreProgram) + Sync) {
        if threads {
            self.cores.par_iter_mut().zip(&self.program.cores).for_each(|(state, core)| work(state, core));
        } else {
            self.cores.iter_mut().zip(&self.program.cores).for_each(|(state, core)| work(state, core));
        }
    }

    /// Gives the injectors the host's spikes of a step; their number.
    fn inject(&mut self, stimulus: &SpinnakerStimulus<'_>, step: u32) -> u64 {
        let mut count = 0;
        for (port, train) in self.program.inputs.iter().zip(&stimulus.ports) {
            let Some(train) = train else { continue };
            let elements = train.at(step);
            count += elements.len() as u64;
            let mut injector = 0;
            for &element in elements {
                while port.injectors.get(injector + 1).is_some_and(|(first, _)| *first <= element) {
                    injector += 1;
                }
                let (first, core) = port.injectors[injector];
                self.cores[core as usize].spikes.push(element - first);
            }
        }
        count
    }

    /// Sends the spikes of a step.
    fn send(&mut self, record: &mut SpinnakerStep) -> Drops {
        let mut drops = Drops::default();
        for (index, core) in self.program.cores.iter().enumerate() {
            if core.sends.ways.is_empty() {
                continue;
            }
            let spikes = std::mem::take(&mut self.cores[index].spikes);
            for &source in &spikes {
                let at = source as usize;
                let (hops, lost) = &core.sends.ways[at];
                record.hops += u64::from(*hops);
                drops.add(lost);
                for delivery in &core.sends.deliveries[core.sends.starts[at]..core.sends.starts[at + 1]] {
                    self.cores[delivery.core as usize].inbox.push(*delivery);
                }
            }
            self.cores[index].load.packets_out = spikes.len() as u64;
            // Kept for the recorder, and for its memory.
            self.cores[index].spikes = spikes;
        }
        record.dropped = drops.total();
        drops
    }
}

/// Builds the trace.
pub(super) struct Recorder<'a> {
    program: &'a SpinnakerProgram,
    pub(super) options: &'a SpinnakerRunOptions,
    pub(super) trace: SpinnakerTrace,
    /// Neurons of the step's spikes, by population that is recorded.
    fresh: Vec<Vec<u32>>,
    pub(super) records_spikes: bool,
}

impl<'a> Recorder<'a> {
    fn new(program: &'a SpinnakerProgram, steps: u32, options: &'a SpinnakerRunOptions) -> Self {
        let populations = program.populations.iter().enumerate().map(|(at, population)| {
            PopulationTrace::new(population.places.len(), options.spikes.contains(at), options.states.contains(at))
        });
        let populations: Vec<PopulationTrace> = populations.collect();
        let details = (0..populations.len()).map(|at| options.details.contains(at).then(StateDetail::default));
        let cores =
            program.cores.iter().map(|core| SpinnakerCoreTrace { core: core.number, ..SpinnakerCoreTrace::default() });
        Self {
            records_spikes: populations.iter().any(|population| population.spikes.is_some()),
            fresh: vec![Vec::new(); populations.len()],
            trace: SpinnakerTrace {
                steps,
                details: details.collect(),
                populations,
                step_records: Vec::new(),
                totals: SpinnakerTotals::default(),
                cores: cores.collect(),
                core_times_ps: Vec::new(),
                link: None,
            },
            program,
            options,
        }
    }

    fn step(&mut self, cores: &[CoreState], mut record: SpinnakerStep, drops: &Drops) {
        self.price(cores, &mut record);
        self.trace.totals.add(&record);
        self.trace.totals.drops.add(drops);
        self.trace.step_records.push(record);
        if self.records_spikes {
            self.record_spikes(cores);
        }
        let traces = self.trace.populations.iter_mut().zip(&mut self.trace.details);
        for ((trace, detail), population) in traces.zip(&self.program.populations) {
            if let Some(states) = &mut trace.states {
                for &(core, neuron) in &population.places {
                    let (u, v) = cores[core as usize].u_and_v(neuron);
                    states.u.push(u);
                    states.v.push(v);
                }
            }
            if let Some(detail) = detail {
                for &(core, neuron) in &population.places {
                    let (core, at) = (&cores[core as usize], neuron as usize);
                    for kind in 0..detail.slots.len() {
                        detail.slots[kind].push(core.taken[kind][at]);
                        detail.currents[kind].push(core.driven[kind][at]);
                    }
                    detail.v.push(core.v[at]);
                    detail.refractory_left.push(core.refractory_left[at]);
                }
            }
        }
    }

    /// Counts, time and energy of a step.
    fn price(&mut self, cores: &[CoreState], record: &mut SpinnakerStep) {
        let costs = &self.program.costs;
        for (index, core) in cores.iter().enumerate() {
            let cycles = costs.cycles(&core.load);
            let time_ps = costs.time_ps(cycles);
            let is_late = self.options.tick_ps.is_some_and(|tick_ps| time_ps > tick_ps);
            self.add_core(index, &core.load, (cycles, time_ps, is_late), record);
        }
        self.close(cores.len(), record);
    }

    /// Adds what a core did in a step: its load; cycles, time, and whether it was not done within the tick.
    pub(super) fn add_core(
        &mut self,
        index: usize,
        load: &Load,
        (cycles, time_ps, is_late): (u64, u64, bool),
        record: &mut SpinnakerStep,
    ) {
        let total = &mut self.trace.cores[index];
        record.updated += load.updated;
        record.refractory += load.refractory;
        record.fired += load.fired;
        record.packets += load.packets_out;
        record.packets_in += load.packets_in;
        record.unmatched += load.unmatched;
        record.without_row += load.without_row;
        record.rows += load.rows;
        record.synaptic_events += load.synaptic_events;
        record.saturations += load.saturations;
        record.membrane_saturations += load.membrane_saturations;
        total.updated += load.updated;
        total.fired += load.fired;
        total.packets_out += load.packets_out;
        total.packets_in += load.packets_in;
        total.unmatched += load.unmatched;
        total.without_row += load.without_row;
        total.rows += load.rows;
        total.synaptic_events += load.synaptic_events;
        total.cycles += cycles;
        total.longest_ps = total.longest_ps.max(time_ps);
        if is_late {
            total.overruns += 1;
            record.overruns += 1;
        }
        if time_ps > record.slowest_ps {
            (record.slowest_ps, record.slowest_core) = (time_ps, index as u32);
        }
        if self.options.core_steps {
            self.trace.core_times_ps.push(time_ps);
        }
    }

    /// Time and energy of a step whose cores were added.
    pub(super) fn close(&self, cores: usize, record: &mut SpinnakerStep) {
        record.time_ps = record.slowest_ps.max(self.options.tick_ps.unwrap_or(0));
        let chips = u64::from(self.program.chips);
        record.energy = self.program.costs.energy(record.hops, chips, cores as u64, record.time_ps);
    }

    fn record_spikes(&mut self, cores: &[CoreState]) {
        for (core, state) in self.program.cores.iter().zip(cores) {
            if core.neurons.is_none() {
                continue;
            }
            for &source in &state.spikes {
                let (population, neuron) = core.symbols[source as usize];
                if population != u32::MAX && self.trace.populations[population as usize].spikes.is_some() {
                    self.fresh[population as usize].push(neuron);
                }
            }
        }
        for (trace, fresh) in self.trace.populations.iter_mut().zip(&mut self.fresh) {
            let Some(train) = &mut trace.spikes else { continue };
            // A population may be spread over cores in any order.
            if !fresh.is_sorted() {
                fresh.sort_unstable();
            }
            train.push_step(fresh.drain(..));
        }
    }

    pub(super) fn finish(mut self, cores: &[CoreState]) -> SpinnakerTrace {
        for (at, (trace, population)) in self.trace.populations.iter_mut().zip(&self.program.populations).enumerate() {
            let places = || population.places.iter().map(|&(core, neuron)| (&cores[core as usize], neuron as usize));
            trace.counts = places().map(|(core, neuron)| core.spike_counts[neuron]).collect();
            let mut outputs = self.program.outputs.iter();
            if outputs.any(|output| output.population as usize == at && output.readout == Readout::Membrane) {
                trace.final_membrane = Some(places().map(|(core, neuron)| i64::from(core.v[neuron])).collect());
            }
        }
        for (trace, core) in self.trace.cores.iter_mut().zip(cores) {
            trace.saturations = core.saturations;
            trace.membrane_high = core.membrane_high;
            trace.membrane_low = core.membrane_low;
        }
        self.trace
    }
}
