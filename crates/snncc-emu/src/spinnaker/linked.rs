//! The step loop at the level `link`: processors of all cores and the network between them, in one order of time.
//!
//! The idea: what a core computes depends on time only through the step in which it processes a row. So rows are noted as they are
//! processed, and added to the ring buffers when the core next takes its slots; neurons are updated at once when their loop begins,
//! and the loop then only takes its time and sends. That leaves the heavy work to all threads and the order of events to one.
//!
//! **Invariant:** of events of the same time, those of the network come first, then those of cores by index, then timers.

use super::core::{CoreState, ProcessedRow};
use super::fabric::Part;
use super::faults::{SpinnakerFaults, SpinnakerLinkTrace, SpinnakerLinkUse, SpinnakerPlace, SpinnakerRouterUse};
use super::processor::{Event, Incoming, Processor, Row};
use super::program::{CoreProgram, SpinnakerProgram, SpinnakerStimulus};
use super::run::{Recorder, SpinnakerEmulator};
use super::timing::{Durations, Load};
use super::trace::{SpinnakerStep, SpinnakerTrace};
use super::walk::Drops;
use rayon::prelude::*;
use snncc_noc::{Engine, Happening, Packet, Target};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A time that does not come.
const NEVER: u64 = u64::MAX;

/// A core with its time.
#[derive(Clone, Debug)]
struct LinkedCore {
    processor: Processor,
    /// Ports of which it is the injector of some elements: port, first element, number.
    feeds: Vec<(usize, u32, u32)>,
    /// Whether each neuron is refractory before the update, and the times of the loop's parts.
    refractory: Vec<bool>,
    parts_ps: Vec<u64>,
    /// Earliest entry in the heap.
    scheduled_ps: u64,
    late_rows: u64,
    skipped_synapses: u64,
    overflowed: u64,
    /// Work up to the step before.
    busy_before_ps: u64,
}

/// Spikes of a step, which cores may begin at different times.
#[derive(Clone, Debug)]
struct Page {
    /// Cores that have not begun the step.
    left: usize,
    /// By population.
    spikes: Vec<Vec<u32>>,
}

/// Processors and network of a program.
#[derive(Clone, Debug)]
pub(super) struct Linked<'a> {
    program: &'a SpinnakerProgram,
    durations: Durations,
    engine: Engine<'a>,
    cores: Vec<LinkedCore>,
    /// Times at which cores do something.
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    /// Number of the first source of each core over all cores, and the core of each.
    first_sources: Vec<u32>,
    core_of: Vec<u32>,
    pages: VecDeque<Page>,
    /// Step of the first page.
    first_page: u32,
    tick_ps: u64,
    faults: SpinnakerFaults,
    hops: u64,
    drops: Drops,
}

impl<'a> Linked<'a> {
    fn new(program: &'a SpinnakerProgram) -> Self {
        let mut first_sources = Vec::with_capacity(program.cores.len());
        let mut core_of = Vec::new();
        for (at, core) in (0_u32..).zip(&program.cores) {
            first_sources.push(core_of.len() as u32);
            core_of.resize(core_of.len() + core.sends.trees.len(), at);
        }
        let mut cores: Vec<LinkedCore> = program.cores.iter().map(LinkedCore::new).collect();
        for (at, port) in program.inputs.iter().enumerate() {
            for (injector, &(first, core)) in port.injectors.iter().enumerate() {
                let end = port.injectors.get(injector + 1).map_or(port.elements, |next| next.0);
                cores[core as usize].feeds.push((at, first, end - first));
            }
        }
        Self {
            program,
            durations: Durations::new(&program.costs),
            engine: Engine::new(&program.fabric.network, &program.fabric.routes),
            cores,
            heap: BinaryHeap::new(),
            first_sources,
            core_of,
            pages: VecDeque::new(),
            first_page: 1,
            tick_ps: 1,
            faults: SpinnakerFaults::default(),
            hops: 0,
            drops: Drops::default(),
        }
    }

    fn reset(&mut self, tick_ps: u64) {
        self.engine.reset();
        self.cores.iter_mut().zip(&self.program.cores).for_each(|(linked, core)| linked.reset(core));
        self.heap.clear();
        self.pages.clear();
        (self.first_page, self.tick_ps) = (1, tick_ps.max(1));
        (self.faults, self.hops, self.drops) = (SpinnakerFaults::default(), 0, Drops::default());
    }

    fn step_at(&self, time_ps: u64) -> u32 {
        // An event at the end of a tick is of that tick.
        u32::try_from(time_ps.saturating_sub(1) / self.tick_ps + 1).unwrap_or(u32::MAX)
    }

    fn schedule(&mut self, core: usize) {
        let linked = &mut self.cores[core];
        if let Some(next_ps) = linked.processor.next_ps()
            && next_ps < linked.scheduled_ps
        {
            linked.scheduled_ps = next_ps;
            self.heap.push(Reverse((next_ps, core as u32)));
        }
    }

    /// The loop of a core begins, whose neurons were updated.
    fn begin(&mut self, core: usize, now_ps: u64, state: &CoreState, recorder: &mut Recorder<'_>) {
        let linked = &mut self.cores[core];
        linked.processor.begin(now_ps, linked.parts_ps.iter().copied());
        let step = linked.processor.step;
        self.record(step, core, state, recorder);
        self.schedule(core);
    }

    /// Works off what happens up to a time; up to when all cores have begun step `until_begun`, if it is given.
    fn run(
        &mut self,
        states: &mut [CoreState],
        stimulus: &SpinnakerStimulus<'_>,
        recorder: &mut Recorder<'_>,
        limit_ps: u64,
        until_begun: Option<u32>,
    ) {
        // Pages of steps that all cores have begun are closed.
        while until_begun.is_none_or(|step| self.first_page <= step) {
            let next = self.heap.peek().map(|next| next.0).filter(|next| next.0 <= limit_ps);
            if let Some(happening) = self.engine.advance(next.map_or(limit_ps, |next| next.0)) {
                self.happen(states, happening);
            } else if let Some((now_ps, core)) = next {
                self.heap.pop();
                let linked = &mut self.cores[core as usize];
                if linked.scheduled_ps == now_ps {
                    linked.scheduled_ps = NEVER;
                    self.work(core as usize, now_ps, states, stimulus, recorder);
                }
            } else {
                return;
            }
        }
    }

    fn happen(&mut self, states: &mut [CoreState], happening: Happening) {
        match happening {
            Happening::Taken { payload, leaf, sink, started_ps, done_ps, .. } => {
                let core = sink as usize;
                states[core].load.packets_in += 1;
                let incoming = self.incoming(payload, leaf);
                self.cores[core].processor.interrupt(started_ps, done_ps, incoming);
                self.schedule(core);
            }
            Happening::PortFree { source, time_ps } => {
                self.cores[source as usize].processor.unblock(time_ps);
                self.schedule(source as usize);
            }
            Happening::Dropped { target, time_ps, .. } => {
                let (step, place) = (self.step_at(time_ps), self.place(target));
                self.faults.dropped.note(1, step, place);
            }
            Happening::Lost { target, leaves, time_ps, .. } => {
                let (step, place) = (self.step_at(time_ps), self.place(target));
                self.faults.lost.note(leaves.into(), step, place);
            }
        }
    }

    fn place(&self, target: Target) -> SpinnakerPlace {
        match (target, self.program.fabric.link_of(target)) {
            (Target::Sink(core), _) => SpinnakerPlace::Core(self.program.cores[core as usize].number),
            (_, Some((chip, link))) => SpinnakerPlace::Link { chip, link },
            (_, None) => unreachable!("bug in snncc: a target that is neither core nor link"),
        }
    }

    /// The packet that came to a leaf of its tree.
    fn incoming(&self, payload: u64, leaf: u32) -> Incoming {
        let (source, step) = ((payload >> u32::BITS) as u32, payload as u32);
        let sender = self.core_of[source as usize];
        let sends = &self.program.cores[sender as usize].sends;
        let at = (source - self.first_sources[sender as usize]) as usize;
        let (first, end) = (sends.starts[at], sends.starts[at + 1]);
        let leaves = self.program.fabric.routes.leaves(sends.trees[at]);
        let delivery = if end - first == leaves as usize {
            first + leaf as usize
        } else {
            // Some core has several rows for the packet.
            let mut firsts = (first..end).filter(|delivery| sends.deliveries[*delivery].is_first);
            firsts.nth(leaf as usize).expect("bug in snncc: a packet came where it has no row")
        };
        Incoming { sender, delivery: delivery as u32, step }
    }

    /// A core does what is due.
    fn work(
        &mut self,
        core: usize,
        now_ps: u64,
        states: &mut [CoreState],
        stimulus: &SpinnakerStimulus<'_>,
        recorder: &mut Recorder<'_>,
    ) {
        let program = self.program;
        while let Some(event) = self.cores[core].processor.advance(now_ps, program, &self.durations) {
            match event {
                Event::Overflow => {
                    self.cores[core].overflowed += 1;
                    let (step, place) = (self.step_at(now_ps), SpinnakerPlace::Core(program.cores[core].number));
                    self.faults.overflowed.note(1, step, place);
                }
                Event::Process(row) => self.process(core, now_ps, &row, &mut states[core]),
                Event::Hold(spike) => self.hold(core, now_ps, &spike, &mut states[core]),
                Event::Send => self.send(core, now_ps, &states[core]),
                Event::Begin => {
                    self.cores[core].prepare(program, &program.cores[core], &mut states[core], stimulus);
                    self.begin(core, now_ps, &states[core], recorder);
                }
            }
        }
        self.schedule(core);
    }

    fn process(&mut self, core: usize, now_ps: u64, row: &Row, state: &mut CoreState) {
        let program = self.program;
        let neurons = program.cores[core].neurons.as_ref().expect("bug in snncc: a row for a core without neurons");
        let Row { delivery, step: sent } = *row;
        state.load.rows += 1;
        state.load.row_bytes += u64::from(delivery.row_words) * size_of::<u32>() as u64;
        state.load.synaptic_events += u64::from(delivery.synapses);
        let step = self.cores[core].processor.step;
        let colours = (1_u32 << program.colour_bits) - 1;
        let late = step.wrapping_sub(sent) & colours;
        let (first_word, synapses) = (delivery.first_word, delivery.synapses);
        let mut skipped = 0;
        if step != sent {
            let first = first_word as usize;
            let words = &neurons.words[first..first + usize::from(synapses)];
            let is_dropped = neurons.drops_late && late > 0;
            let skips = |word: &&u32| is_dropped || late > 0 && neurons.format.decode(**word).delay <= late;
            skipped = words.iter().filter(skips).count() as u64;
            self.note_late(core, now_ps, skipped, step.wrapping_sub(late) != sent);
        }
        if skipped < u64::from(synapses) {
            state.processed.push(ProcessedRow { first_word, synapses, late, sent: step.wrapping_sub(late) });
        }
    }

    /// A delay extension holds a spike, as one of the step that its colour says.
    fn hold(&mut self, core: usize, now_ps: u64, spike: &Row, state: &mut CoreState) {
        let delay =
            self.program.cores[core].delay.as_ref().expect("bug in snncc: a spike to hold without an extension");
        let step = self.cores[core].processor.step;
        let late = step.wrapping_sub(spike.step) & ((1 << self.program.colour_bits) - 1);
        let missed = match step.checked_sub(late) {
            Some(sent) if late < delay.steps() => {
                state.held.hold(delay, sent, spike.delivery.first_word);
                delay.stages_before(late)
            }
            _ => delay.stages_before(u32::MAX),
        };
        if step != spike.step {
            self.note_late(core, now_ps, missed, step.wrapping_sub(late) != spike.step);
        }
    }

    /// Counts what was late on a core.
    fn note_late(&mut self, core: usize, now_ps: u64, skipped: u64, is_misdated: bool) {
        let linked = &mut self.cores[core];
        linked.late_rows += 1;
        linked.skipped_synapses += skipped;
        let (now, place) = (self.step_at(now_ps), SpinnakerPlace::Core(self.program.cores[core].number));
        self.faults.late_rows.note(1, now, place);
        self.faults.skipped_synapses.note(skipped, now, place);
        self.faults.misdated_rows.note(is_misdated.into(), now, place);
    }

    fn send(&mut self, core: usize, now_ps: u64, state: &CoreState) {
        let processor = &mut self.cores[core].processor;
        let source = state.spikes[processor.next_packet()];
        let sends = &self.program.cores[core].sends;
        let number = u64::from(self.first_sources[core] + source);
        let payload = number << u32::BITS | u64::from(processor.step);
        let packet = Packet { tree: sends.trees[source as usize], payload, service_ps: 0 };
        if self.engine.inject(core as u32, now_ps, packet) {
            processor.sent();
            let (hops, lost) = &sends.ways[source as usize];
            self.hops += u64::from(*hops);
            self.drops.add(lost);
        } else {
            processor.block(now_ps);
        }
    }

    /// Notes what a core did in a step that it has begun.
    fn record(&mut self, step: u32, core: usize, state: &CoreState, recorder: &mut Recorder<'_>) {
        let trace = &mut recorder.trace;
        let at = (step - self.first_page) as usize;
        while self.pages.len() <= at {
            let spikes = vec![Vec::new(); trace.populations.len()];
            self.pages.push_back(Page { left: self.cores.len(), spikes });
        }
        let page = &mut self.pages[at];
        page.left -= 1;
        let symbols = &self.program.cores[core].symbols;
        if self.program.cores[core].neurons.is_some() {
            for &source in &state.spikes {
                let (population, neuron) = symbols[source as usize];
                if population != u32::MAX && trace.populations[population as usize].spikes.is_some() {
                    page.spikes[population as usize].push(neuron);
                }
            }
        }
        for (compartment, &(population, neuron)) in (0_u32..).zip(symbols) {
            if population == u32::MAX {
                continue;
            }
            let population = population as usize;
            let len = self.program.populations[population].places.len();
            let at = (step as usize - 1) * len + neuron as usize;
            if let Some(states) = &mut trace.populations[population].states {
                (states.u[at], states.v[at]) = state.u_and_v(compartment);
            }
            if let Some(detail) = &mut trace.details[population] {
                let own = compartment as usize;
                for kind in 0..detail.slots.len() {
                    detail.slots[kind][at] = state.taken[kind][own];
                    detail.currents[kind][at] = state.driven[kind][own];
                }
                detail.v[at] = state.v[own];
                detail.refractory_left[at] = state.refractory_left[own];
            }
        }
        while self.pages.front().is_some_and(|page| page.left == 0) {
            let page = self.pages.pop_front().expect("bug in snncc: a page was there");
            self.first_page += 1;
            for (trace, mut spikes) in trace.populations.iter_mut().zip(page.spikes) {
                if let Some(train) = &mut trace.spikes {
                    spikes.sort_unstable();
                    train.push_step(spikes);
                }
            }
        }
    }

    /// Closes a step that ends at `end_ps`.
    fn close_step(
        &mut self,
        states: &mut [CoreState],
        recorder: &mut Recorder<'_>,
        mut record: SpinnakerStep,
        end_ps: u64,
    ) {
        let begin_ps = end_ps - self.tick_ps;
        record.hops = std::mem::take(&mut self.hops);
        let drops = std::mem::take(&mut self.drops);
        record.dropped = drops.total();
        for (index, (linked, state)) in self.cores.iter_mut().zip(states.iter_mut()).enumerate() {
            let processor = &mut linked.processor;
            state.load.unmatched += std::mem::take(&mut processor.unmatched);
            state.load.without_row += std::mem::take(&mut processor.without_row);
            let is_late = processor.is_busy();
            let last_ps = if is_late { end_ps } else { processor.last_busy_ps.clamp(begin_ps, end_ps) };
            let busy_ps = processor.busy_ps - linked.busy_before_ps;
            linked.busy_before_ps = processor.busy_ps;
            let cycles = self.program.costs.cycles_in(busy_ps);
            recorder.add_core(index, &state.load, (cycles, last_ps - begin_ps, is_late), &mut record);
            state.load = Load::default();
        }
        recorder.close(states.len(), &mut record);
        recorder.trace.totals.add(&record);
        recorder.trace.totals.drops.add(&drops);
        recorder.trace.step_records.push(record);
    }

    /// What there is to tell of links, routers and cores.
    fn tell(&self, trace: &mut SpinnakerTrace) {
        for (linked, core) in self.cores.iter().zip(&mut trace.cores) {
            core.late_rows = linked.late_rows;
            core.skipped_synapses = linked.skipped_synapses;
            core.overflowed = linked.overflowed;
            core.most_queued = linked.processor.most_queued;
            core.stalled_ps = linked.processor.stalled_ps;
        }
        let fabric = &self.program.fabric;
        let mut told = SpinnakerLinkTrace { faults: self.faults, ..SpinnakerLinkTrace::default() };
        for ((at, used), data) in (0_u32..).zip(self.engine.link_use()).zip(&fabric.network.links) {
            match fabric.part(at) {
                Part::Link(chip, link) if used.packets > 0 || used.dropped > 0 => told.links.push(SpinnakerLinkUse {
                    chip,
                    link,
                    packets: used.packets,
                    busy_ps: used.packets.saturating_mul(data.occupancy_ps),
                    waited_ps: used.waited_ps,
                    longest_wait_ps: used.longest_wait_ps,
                    dropped: used.dropped,
                }),
                Part::Router(chip) if used.packets > 0 => {
                    let resender = self.engine.resender_use()[data.resender as usize];
                    told.reinjected += resender.resent;
                    told.routers.push(SpinnakerRouterUse {
                        chip,
                        packets: used.packets,
                        dropped: resender.given,
                        reinjected: resender.resent,
                        lost: resender.overflowed,
                        most_kept: resender.most_held,
                    });
                }
                _ => {}
            }
        }
        told.links.sort_unstable_by_key(|link| (link.chip, link.link));
        told.routers.sort_unstable_by_key(|router| router.chip);
        told.end_ps = self.engine.now_ps();
        trace.link = Some(told);
    }
}

impl LinkedCore {
    fn new(core: &CoreProgram) -> Self {
        Self {
            processor: Processor::new(core.spike_buffer),
            feeds: Vec::new(),
            refractory: Vec::new(),
            parts_ps: Vec::new(),
            scheduled_ps: NEVER,
            late_rows: 0,
            skipped_synapses: 0,
            overflowed: 0,
            busy_before_ps: 0,
        }
    }

    fn reset(&mut self, core: &CoreProgram) {
        let feeds = std::mem::take(&mut self.feeds);
        *self = Self { feeds, ..Self::new(core) };
    }

    /// Updates the neurons for the loop that is to begin, and works out its times.
    fn prepare(
        &mut self,
        program: &SpinnakerProgram,
        core: &CoreProgram,
        state: &mut CoreState,
        stimulus: &SpinnakerStimulus<'_>,
    ) {
        let step = self.processor.step + 1;
        state.take_in(core);
        self.refractory.clear();
        self.refractory.extend(state.refractory_left.iter().map(|left| *left > 0));
        state.update(program, core, step);
        for &(port, first, count) in &self.feeds {
            let Some(train) = stimulus.ports[port] else { continue };
            let elements = train.at(step);
            let begin = elements.partition_point(|element| *element < first);
            let own = elements[begin..].iter().take_while(|element| **element - first < count);
            state.spikes.extend(own.map(|element| element - first));
        }
        let costs = &program.costs;
        let sends = !core.sends.ways.is_empty();
        let (mut cycles, mut told_ps) = (0, 0);
        self.parts_ps.clear();
        let mut part = |cycles: u64, parts_ps: &mut Vec<u64>| {
            let time_ps = costs.time_ps(cycles);
            parts_ps.push(time_ps - std::mem::replace(&mut told_ps, time_ps));
        };
        cycles += core.delay.as_ref().map_or(0, |delay| costs.looking_cycles(delay.looked_at()));
        match &core.neurons {
            Some(neurons) if step >= neurons.start_step => {
                let mut spikes = state.spikes.iter().peekable();
                for neuron in 0..neurons.region.len() {
                    let held = [state.taken[0][neuron] > 0, state.taken[1][neuron] > 0];
                    cycles += costs.neuron_cycles(held, self.refractory[neuron]);
                    if spikes.next_if(|spike| **spike as usize == neuron).is_some() && sends {
                        cycles += costs.packet_cycles();
                        part(cycles, &mut self.parts_ps);
                    }
                }
            }
            Some(_) => {}
            None if sends => {
                for _ in &state.spikes {
                    cycles += costs.packet_cycles();
                    part(cycles, &mut self.parts_ps);
                }
            }
            None => {}
        }
        state.load.packets_out += self.parts_ps.len() as u64;
        part(cycles, &mut self.parts_ps);
    }
}

impl SpinnakerEmulator<'_> {
    /// Runs all steps of a recorder's trace from the initial state.
    pub(super) fn run_linked(
        &mut self,
        stimulus: &SpinnakerStimulus<'_>,
        threads: bool,
        mut recorder: Recorder<'_>,
    ) -> SpinnakerTrace {
        let tick_ps = recorder.options.tick_ps.expect("bug in snncc: the level `link` without a tick");
        let steps = recorder.trace.steps;
        make_room(self.program, &mut recorder.trace);
        let mut linked = self.linked.take().unwrap_or_else(|| Linked::new(self.program));
        linked.reset(tick_ps);
        let states = &mut self.cores[..];
        let program = self.program;
        for step in 1..=steps {
            let begin_ps = u64::from(step - 1).saturating_mul(linked.tick_ps);
            let end_ps = begin_ps.saturating_add(linked.tick_ps);
            let begin = |((linked, state), core): ((&mut LinkedCore, &mut CoreState), &CoreProgram)| {
                linked.processor.due = step;
                if linked.processor.can_begin(begin_ps) {
                    linked.prepare(program, core, state, stimulus);
                    true
                } else {
                    false
                }
            };
            let begun: Vec<bool> = if threads {
                let cores = linked.cores.par_iter_mut().zip(states.par_iter_mut()).zip(program.cores.par_iter());
                cores.map(begin).collect()
            } else {
                linked.cores.iter_mut().zip(states.iter_mut()).zip(&program.cores).map(begin).collect()
            };
            for (core, begun) in begun.into_iter().enumerate() {
                if begun {
                    linked.begin(core, begin_ps, &states[core], &mut recorder);
                } else {
                    linked.schedule(core);
                }
            }
            linked.run(states, stimulus, &mut recorder, end_ps, None);
            if step == steps {
                // Cores that lag behind compute their last steps.
                linked.run(states, stimulus, &mut recorder, NEVER, Some(steps));
            }
            let ports = stimulus.ports.iter().flatten();
            let host_spikes = ports.map(|train| train.at(step).len() as u64).sum();
            let record = SpinnakerStep { host_spikes, ..SpinnakerStep::default() };
            linked.close_step(states, &mut recorder, record, end_ps);
        }
        linked.tell(&mut recorder.trace);
        self.linked = Some(linked);
        recorder.finish(&self.cores)
    }
}

/// Room for the states of all steps.
fn make_room(program: &SpinnakerProgram, trace: &mut SpinnakerTrace) {
    let steps = trace.steps as usize;
    let populations = trace.populations.iter_mut().zip(&mut trace.details).zip(&program.populations);
    for ((trace, detail), population) in populations {
        let len = steps * population.places.len();
        if let Some(states) = &mut trace.states {
            states.u.resize(len, 0);
            states.v.resize(len, 0);
        }
        if let Some(detail) = detail {
            for kind in 0..detail.slots.len() {
                detail.slots[kind].resize(len, 0);
                detail.currents[kind].resize(len, 0);
            }
            detail.v.resize(len, 0);
            detail.refractory_left.resize(len, 0);
        }
    }
}
