//! The step loop: cores update on their own, their spikes are sent, cores take them in on their own, and the step is priced.
//!
//! **Invariant:** results do not depend on the number of threads. Cores share nothing while they step; everything that
//! crosses cores happens in one thread, in the order of cores and compartments.

use crate::core::CoreState;
use crate::network::{NetworkLevel, NetworkModel, Send};
use crate::program::{CoreProgram, Message, Program};
use crate::stimulus::ChipStimulus;
use crate::synapses::Delivery;
use crate::timing::{Bound, CoreStep, Energy, price_step};
use crate::trace::{CoreTrace, PopulationTrace, RunOptions, StepRecord, Totals, Trace};
use rayon::prelude::*;
use snncc_image::Readout;

/// The mutable state of one run. Make one for each thread; it may run any number of samples.
#[derive(Clone, Debug)]
pub struct Emulator<'a> {
    program: &'a Program,
    cores: Vec<CoreState>,
    /// What the host sent in this step, where the network is modelled: core and time of service.
    host_sends: Vec<(u32, u64)>,
}

impl<'a> Emulator<'a> {
    /// An emulator before step 1.
    pub fn new(program: &'a Program) -> Self {
        Self { program, cores: program.cores.iter().map(CoreState::new).collect(), host_sends: Vec::new() }
    }

    /// The program.
    pub fn program(&self) -> &'a Program {
        self.program
    }

    /// Back to the image's initial state: accumulators, delay slots and spikes in flight are cleared. A run begins with it.
    pub fn reset(&mut self) {
        for (state, program) in self.cores.iter_mut().zip(&self.program.cores) {
            state.reset(program);
        }
    }

    /// Runs steps `1 ..= steps` from the initial state. Spikes of the host stamped step `s` arrive in step `s + 1`; what the
    /// stimulus has beyond the last step is not used.
    ///
    /// # Panics
    /// If the stimulus was prepared by another program, an option names a population that does not exist, or the network is to be
    /// modelled and the cost table does not say how ([`Program::has_network`]).
    pub fn run(&mut self, stimulus: &ChipStimulus<'_>, steps: u32, options: &RunOptions) -> Trace {
        assert_eq!(stimulus.ports.len(), self.program.inputs.len(), "bug in snncc: the stimulus of another program");
        self.reset();
        for write in &stimulus.biases {
            self.cores[write.core as usize].set_bias(write.compartment, write.bias);
        }
        let program = self.program;
        let threads = options.threads && program.worth_threads && rayon::current_num_threads() > 1;
        let modelled = options.timing && options.network != NetworkLevel::Analytic;
        let network = modelled.then(|| NetworkModel::new(program, options.network));
        self.cores.iter_mut().for_each(|core| core.outcome.tracks_updates = modelled);
        let mut recorder = Recorder::new(program, steps, options, network.as_ref());
        for step in 1..=steps {
            self.for_each_core(threads, |state, core| state.update(core, step));
            let mut record = self.send();
            self.send_from_host(stimulus, step, modelled, &mut record);
            self.for_each_core(threads, |state, core| state.deliver(core, step));
            record.synaptic_events = self.cores.iter().map(|core| core.load.synaptic_events).sum();
            recorder.step(&self.cores, &self.host_sends, record);
        }
        recorder.finish(&self.cores, self.host_writes(stimulus, steps))
    }

    fn for_each_core(&mut self, threads: bool, work: impl Fn(&mut CoreState, &CoreProgram) + Sync) {
        if threads {
            self.cores.par_iter_mut().zip(&self.program.cores).for_each(|(state, core)| work(state, core));
        } else {
            self.cores.iter_mut().zip(&self.program.cores).for_each(|(state, core)| work(state, core));
        }
    }

    /// Sends the spikes of a step.
    fn send(&mut self) -> StepRecord {
        let mut record = StepRecord {
            updated: 0,
            fired: 0,
            packets: 0,
            hops: 0,
            synaptic_events: 0,
            first_synaptic_events: 0,
            first_synapses_fj: 0,
            host_spikes: 0,
            host_messages: 0,
            time_ps: 0,
            energy: Energy::default(),
            bound: Bound::Barrier,
        };
        for (index, program) in self.program.cores.iter().enumerate() {
            let spikes = std::mem::take(&mut self.cores[index].outcome.spikes);
            let (mut packets, mut hops, mut hops_fj) = (0, 0, 0);
            for &(compartment, payload) in &spikes {
                let row = program.rows.row(compartment as usize);
                let cost = &program.hops[compartment as usize];
                packets += row.len() as u64;
                hops += u64::from(cost.hops);
                hops_fj += cost.energy_fj;
                post(&mut self.cores, row, payload);
            }
            let core = &mut self.cores[index];
            // Kept for the recorder, and for its memory.
            core.outcome.spikes = spikes;
            core.load.messages_out = packets;
            core.load.hops = hops;
            core.load.hops_fj = hops_fj;
            record.packets += packets;
            record.hops += hops;
            record.fired += core.load.fired;
            record.updated += core.load.updated;
        }
        record
    }

    fn send_from_host(&mut self, stimulus: &ChipStimulus<'_>, step: u32, modelled: bool, record: &mut StepRecord) {
        self.host_sends.clear();
        for (port, train) in self.program.inputs.iter().zip(&stimulus.ports) {
            let Some(train) = train else { continue };
            let payloads = train.payloads_at(step);
            for (at, &element) in train.at(step).iter().enumerate() {
                let payload = payloads.map_or(1, |payloads| payloads[at]);
                let row = port.rows.row(element as usize);
                record.host_spikes += 1;
                record.host_messages += row.len() as u64;
                for message in row {
                    let price = self.program.cores[message.core as usize].synapses.price(message.list);
                    record.first_synaptic_events += price.synapses;
                    record.first_synapses_fj += price.synapses_fj;
                    if modelled {
                        self.host_sends.push((message.core, price.receive_ps));
                    }
                }
                post(&mut self.cores, row, payload);
            }
        }
    }

    /// Registers written by the host, see [`Totals::host_writes`].
    fn host_writes(&self, stimulus: &ChipStimulus<'_>, steps: u32) -> u64 {
        let late: u64 = self.cores.iter().map(|core| core.late_writes).sum();
        // A late bias that the stimulus replaces is one register, written once.
        let fresh = stimulus.biases.iter().filter(|write| {
            let core = &self.program.cores[write.core as usize];
            let at = write.compartment as usize;
            !(2..=steps).contains(&core.start_step[at]) || core.bias[at] == 0
        });
        late + fresh.count() as u64
    }
}

/// Puts messages into the inboxes of their destinations.
#[inline]
fn post(cores: &mut [CoreState], row: &[Message], payload: i32) {
    for message in row {
        cores[message.core as usize].inbox.push(Delivery { list: message.list, base: message.base, payload });
    }
}

/// Builds the trace.
struct Recorder<'a> {
    program: &'a Program,
    options: &'a RunOptions,
    trace: Trace,
    /// Neurons and payloads of the step's spikes, by population that is recorded.
    fresh: Vec<Vec<(u32, i32)>>,
    records_spikes: bool,
    payloads: Vec<Vec<i32>>,
    network: Option<&'a NetworkModel<'a>>,
    /// Steps whose network is still to be run.
    sends: Vec<Send>,
}

impl<'a> Recorder<'a> {
    fn new(program: &'a Program, steps: u32, options: &'a RunOptions, network: Option<&'a NetworkModel<'a>>) -> Self {
        let populations = program.populations.iter().enumerate().map(|(at, population)| {
            PopulationTrace::new(population.places.len(), options.spikes.contains(at), options.states.contains(at))
        });
        let populations: Vec<PopulationTrace> = populations.collect();
        let cores = program.cores.iter().map(|core| CoreTrace { core: core.number, ..CoreTrace::default() });
        Self {
            records_spikes: populations.iter().any(|population| population.spikes.is_some()),
            fresh: vec![Vec::new(); populations.len()],
            payloads: vec![Vec::new(); populations.len()],
            trace: Trace {
                steps,
                populations,
                step_records: Vec::new(),
                totals: Totals::default(),
                cores: cores.collect(),
                core_steps: Vec::new(),
                barrier_ps: program.costs.barrier.time_ps(program.routers),
                network_steps: Vec::new(),
            },
            program,
            options,
            network,
            sends: Vec::new(),
        }
    }

    fn step(&mut self, cores: &[CoreState], host_sends: &[(u32, u64)], mut record: StepRecord) {
        let program = self.program;
        if self.options.timing {
            self.price(cores, &mut record);
        }
        for (trace, core) in self.trace.cores.iter_mut().zip(cores) {
            trace.updated += core.load.updated;
            trace.fired += core.load.fired;
            trace.messages_out += core.load.messages_out;
            trace.messages_in += core.load.messages_in;
            trace.synaptic_events += core.load.synaptic_events;
        }
        self.trace.totals.add(&record, self.options.timing);
        self.trace.step_records.push(record);
        if let Some(network) = self.network {
            self.sends.push(network.sends(cores, host_sends));
            if network.are_enough(&self.sends) {
                self.run_network();
            }
        }
        if self.records_spikes {
            self.record_spikes(cores);
        }
        for (trace, population) in self.trace.populations.iter_mut().zip(&program.populations) {
            if let Some(states) = &mut trace.states {
                for &(core, compartment) in &population.places {
                    let (u, v) = cores[core as usize].u_and_v(compartment);
                    states.u.push(u);
                    states.v.push(v);
                }
            }
        }
    }

    fn price(&mut self, cores: &[CoreState], record: &mut StepRecord) {
        let loads = self.program.cores.iter().zip(cores).map(|(core, state)| (core.compartments as u64, &state.load));
        let Trace { cores: totals, core_steps, barrier_ps, .. } = &mut self.trace;
        let keep = self.options.core_steps;
        let cost = price_step(&self.program.costs, *barrier_ps, loads, |index, times: CoreStep, energy| {
            let total = &mut totals[index];
            total.send_ps += u128::from(times.send_ps);
            total.receive_ps += u128::from(times.receive_ps);
            total.energy.add(energy);
            if keep {
                core_steps.push(times);
            }
        });
        (record.time_ps, record.energy, record.bound) = (cost.time_ps, cost.energy, cost.bound);
        if let Bound::Send(core) | Bound::Receive(core) = cost.bound {
            totals[core as usize].bound_steps += 1;
        }
    }

    /// Runs the network of the steps that wait for it, on all threads: they do not depend on one another.
    fn run_network(&mut self) {
        let Some(network) = self.network else { return };
        let trace = &mut self.trace;
        let steps = network.run(&self.sends, trace.barrier_ps, self.options.threads);
        self.sends.clear();
        for step in steps {
            let record = &mut trace.step_records[trace.network_steps.len()];
            record.time_ps += step.network_ps;
            trace.totals.time_ps += u128::from(step.network_ps);
            trace.network_steps.push(step);
        }
    }

    fn record_spikes(&mut self, cores: &[CoreState]) {
        for (core, state) in self.program.cores.iter().zip(cores) {
            for &(compartment, payload) in &state.outcome.spikes {
                let (population, neuron) = core.symbols[compartment as usize];
                if population != u32::MAX && self.trace.populations[population as usize].spikes.is_some() {
                    self.fresh[population as usize].push((neuron, payload));
                }
            }
        }
        for (at, fresh) in self.fresh.iter_mut().enumerate() {
            let Some(train) = &mut self.trace.populations[at].spikes else { continue };
            // A population may be spread over cores in any order.
            if !fresh.is_sorted() {
                fresh.sort_unstable();
            }
            train.push_step(fresh.iter().map(|(neuron, _)| *neuron));
            if self.program.populations[at].ternary {
                self.payloads[at].extend(fresh.iter().map(|(_, payload)| *payload));
            }
            fresh.clear();
        }
    }

    fn finish(mut self, cores: &[CoreState], host_writes: u64) -> Trace {
        self.run_network();
        for (at, (trace, population)) in self.trace.populations.iter_mut().zip(&self.program.populations).enumerate() {
            let places = || population.places.iter().map(|&(core, compartment)| (&cores[core as usize], compartment));
            trace.counts = places().map(|(core, compartment)| core.spike_counts[compartment as usize]).collect();
            let payloads = std::mem::take(&mut self.payloads[at]);
            if let Some(train) = &mut trace.spikes
                && payloads.iter().any(|payload| *payload != 1)
            {
                train.payloads = Some(payloads);
            }
            let read = self
                .program
                .outputs
                .iter()
                .any(|output| output.population as usize == at && output.readout == Readout::Membrane);
            if read {
                trace.final_membrane = Some(places().map(|(core, compartment)| core.u_and_v(compartment).1).collect());
            }
        }
        for (trace, core) in self.trace.cores.iter_mut().zip(cores) {
            trace.overflows = core.outcome.overflows;
        }
        self.trace.totals.host_writes = host_writes;
        self.trace
    }
}
