//! The time of one core at the level `link`: what it works on, in which order (docs/CHIP_SEMANTICS.md, "Time that feeds back").
//!
//! The idea: three levels of work share the processor. A packet's *interrupt* stops everything; work on packets and rows (the
//! *pipeline*) stops the *loop* over the neurons, which takes what is left of a step. A piece of work is known by how much of it is
//! left, and from when on it runs, so what stops it only moves that time. Rows are transferred beside all of it.
//!
//! **Invariant:** a processor is told of things in the order of time, and all that it does until then has been asked for
//! ([`Processor::advance`] gives `None`).

use super::program::{Delivery, Effect, SpinnakerProgram};
use super::timing::Durations;
use std::collections::VecDeque;

/// A packet that came to a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incoming {
    /// Index of the core that sent it, and of its first row among what that core sends.
    pub(crate) sender: u32,
    pub(crate) delivery: u32,
    /// The step in which it was sent.
    pub(crate) step: u32,
}

/// A row that is in the core, or what else a packet does there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) delivery: Delivery,
    pub(crate) step: u32,
}

/// What the rest of the machine has to do with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A packet found the queue full.
    Overflow,
    /// A row is processed from now on, in the step of the last loop begun.
    Process(Row),
    /// A delay extension holds the spike of a packet.
    Hold(Row),
    /// The loop sends its next packet.
    Send,
    /// The loop of the next step begins.
    Begin,
}

/// What the pipeline does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segment {
    Idle,
    /// Looks a packet up, and starts the transfer of its row.
    LookUp,
    /// Ends a transfer.
    End,
    /// Processes a row.
    Process,
}

#[derive(Clone, Debug)]
pub(crate) struct Processor {
    capacity: usize,
    interrupted_until_ps: u64,
    /// Packets whose interrupt is under way, with its end.
    receiving: VecDeque<(u64, Incoming)>,
    queue: VecDeque<Incoming>,
    segment: Segment,
    left_ps: u64,
    since_ps: u64,
    looked_up: Option<Incoming>,
    /// A row in its buffer, next to be processed.
    held: Option<Row>,
    transfer: Option<(u64, Row)>,
    /// A row whose transfer is done, in the other buffer.
    arrived: Option<Row>,
    /// The row that follows that in transfer, of the same packet.
    more: Option<Incoming>,
    /// Step of the last loop begun.
    pub(crate) step: u32,
    /// Last step whose tick has begun.
    pub(crate) due: u32,
    looping: bool,
    loop_left_ps: u64,
    loop_since_ps: u64,
    /// Time between one packet and the next, and after the last.
    parts_ps: Vec<u64>,
    part: usize,
    blocked_since_ps: Option<u64>,
    /// When it was last busy.
    pub(crate) last_busy_ps: u64,
    /// Sum of the work done or under way.
    pub(crate) busy_ps: u64,
    /// Time for which its loop could not send.
    pub(crate) stalled_ps: u64,
    pub(crate) most_queued: u32,
    /// Packets of unknown keys, and others without a row.
    pub(crate) unmatched: u64,
    pub(crate) without_row: u64,
}

impl Processor {
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            capacity: capacity as usize,
            interrupted_until_ps: 0,
            receiving: VecDeque::new(),
            queue: VecDeque::new(),
            segment: Segment::Idle,
            left_ps: 0,
            since_ps: 0,
            looked_up: None,
            held: None,
            transfer: None,
            arrived: None,
            more: None,
            step: 0,
            due: 0,
            looping: false,
            loop_left_ps: 0,
            loop_since_ps: 0,
            parts_ps: Vec::new(),
            part: 0,
            blocked_since_ps: None,
            last_busy_ps: 0,
            busy_ps: 0,
            stalled_ps: 0,
            most_queued: 0,
            unmatched: 0,
            without_row: 0,
        }
    }

    /// Whether anything is left to do.
    pub(crate) fn is_busy(&self) -> bool {
        let pipeline = self.segment != Segment::Idle || self.transfer.is_some() || self.arrived.is_some();
        pipeline || self.looping || self.due > self.step || !self.queue.is_empty() || !self.receiving.is_empty()
    }

    /// Whether the loop of the next step could begin now.
    pub(crate) fn can_begin(&self, now_ps: u64) -> bool {
        let waits = self.looping || self.segment != Segment::Idle || self.due <= self.step;
        !waits && self.interrupted_until_ps <= now_ps && self.receiving.is_empty()
    }

    /// When it next does something, if nothing comes from outside.
    pub(crate) fn next_ps(&self) -> Option<u64> {
        let interrupt = self.receiving.front().map(|(end_ps, _)| *end_ps);
        let transfer = self.transfer.map(|(end_ps, _)| end_ps);
        let work = match self.segment {
            Segment::Idle if self.looping => {
                self.blocked_since_ps.is_none().then(|| self.loop_since_ps.saturating_add(self.loop_left_ps))
            }
            Segment::Idle => (self.due > self.step).then_some(self.interrupted_until_ps),
            _ => Some(self.since_ps.saturating_add(self.left_ps)),
        };
        [interrupt, transfer, work].into_iter().flatten().min()
    }

    /// A packet's interrupt, from `start_ps` to `end_ps`.
    pub(crate) fn interrupt(&mut self, start_ps: u64, end_ps: u64, incoming: Incoming) {
        let (left, since) = match self.segment {
            Segment::Idle => (&mut self.loop_left_ps, &mut self.loop_since_ps),
            _ => (&mut self.left_ps, &mut self.since_ps),
        };
        // Without a loop under way this sets nothing of meaning.
        *left = left.saturating_sub(start_ps.saturating_sub(*since));
        *since = end_ps.max(*since);
        self.busy_ps = self.busy_ps.saturating_add(end_ps - start_ps);
        self.interrupted_until_ps = end_ps;
        self.receiving.push_back((end_ps, incoming));
    }

    /// The loop of the next step begins: times of its parts, each but the last with a packet at its end.
    pub(crate) fn begin(&mut self, now_ps: u64, parts_ps: impl Iterator<Item = u64>) {
        self.step += 1;
        self.looping = true;
        self.parts_ps.clear();
        self.parts_ps.extend(parts_ps);
        self.part = 0;
        self.loop_left_ps = self.parts_ps[0];
        self.loop_since_ps = now_ps;
        self.busy_ps = self.parts_ps.iter().fold(self.busy_ps, |sum, part_ps| sum.saturating_add(*part_ps));
    }

    /// The packet was sent; the loop goes on.
    pub(crate) fn sent(&mut self) {
        self.part += 1;
        self.loop_left_ps = self.parts_ps[self.part];
    }

    /// Index of the packet that is to be sent.
    pub(crate) fn next_packet(&self) -> usize {
        self.part
    }

    /// The packet could not be sent.
    pub(crate) fn block(&mut self, now_ps: u64) {
        self.blocked_since_ps = Some(now_ps);
    }

    /// There is room for a packet again.
    pub(crate) fn unblock(&mut self, now_ps: u64) {
        if let Some(since_ps) = self.blocked_since_ps.take() {
            self.stalled_ps += now_ps - since_ps;
            self.loop_since_ps = self.loop_since_ps.max(now_ps);
        }
    }

    /// Does what is due, up to the next thing that others have to do with.
    pub(crate) fn advance(&mut self, now_ps: u64, program: &SpinnakerProgram, durations: &Durations) -> Option<Event> {
        loop {
            if self.receiving.front().is_some_and(|(end_ps, _)| *end_ps <= now_ps) {
                let (end_ps, incoming) = self.receiving.pop_front().expect("bug in snncc: it was there");
                self.last_busy_ps = self.last_busy_ps.max(end_ps);
                if self.queue.len() >= self.capacity {
                    return Some(Event::Overflow);
                }
                self.queue.push_back(incoming);
                self.most_queued = self.most_queued.max(self.queue.len() as u32);
            } else if let Some((_, row)) = self.transfer.filter(|(end_ps, _)| *end_ps <= now_ps) {
                self.transfer = None;
                self.arrived = Some(row);
            } else if self.segment != Segment::Idle {
                if self.since_ps.saturating_add(self.left_ps) > now_ps {
                    return None;
                }
                self.last_busy_ps = now_ps;
                if let Some(effect) = self.end_segment(now_ps, program, durations) {
                    return Some(effect);
                }
            } else if let Some(row) = self.arrived.take() {
                self.stop_loop(now_ps);
                self.held = Some(row);
                // What ends a transfer is counted once for a packet.
                let end_ps = if row.delivery.is_first { durations.transfer_end_ps } else { 0 };
                self.work(Segment::End, now_ps, end_ps);
            } else if self.transfer.is_none() && !self.queue.is_empty() {
                self.stop_loop(now_ps);
                self.look_up(now_ps, program, durations);
            } else if self.looping {
                if self.blocked_since_ps.is_some() || self.loop_since_ps.saturating_add(self.loop_left_ps) > now_ps {
                    return None;
                }
                self.last_busy_ps = now_ps;
                if self.part + 1 < self.parts_ps.len() {
                    (self.loop_left_ps, self.loop_since_ps) = (0, now_ps);
                    return Some(Event::Send);
                }
                self.looping = false;
            } else {
                return self.can_begin(now_ps).then_some(Event::Begin);
            }
        }
    }

    /// Gives the processor a piece of work.
    fn work(&mut self, segment: Segment, now_ps: u64, duration_ps: u64) {
        self.segment = segment;
        self.left_ps = duration_ps;
        self.since_ps = now_ps.max(self.interrupted_until_ps);
        self.busy_ps = self.busy_ps.saturating_add(duration_ps);
    }

    fn stop_loop(&mut self, now_ps: u64) {
        if self.looping {
            self.loop_left_ps = self.loop_left_ps.saturating_sub(now_ps.saturating_sub(self.loop_since_ps));
        }
    }

    fn idle(&mut self, now_ps: u64) {
        self.segment = Segment::Idle;
        self.loop_since_ps = now_ps.max(self.interrupted_until_ps);
    }

    fn look_up(&mut self, now_ps: u64, program: &SpinnakerProgram, durations: &Durations) {
        let incoming = self.queue.pop_front().expect("bug in snncc: a packet waits");
        self.looked_up = Some(incoming);
        let duration_ps = match delivery(program, incoming).effect {
            Effect::Row => durations.look_up_ps,
            // All of what a packet takes.
            Effect::Unmatched => durations.look_up_ps.saturating_add(durations.transfer_end_ps),
            Effect::NoRow | Effect::Held => durations.without_row_ps,
        };
        self.work(Segment::LookUp, now_ps, duration_ps);
    }

    fn end_segment(&mut self, now_ps: u64, program: &SpinnakerProgram, durations: &Durations) -> Option<Event> {
        match self.segment {
            Segment::Idle => unreachable!("bug in snncc: no work that ends"),
            Segment::Process => {
                self.idle(now_ps);
                return None;
            }
            Segment::LookUp => {
                let incoming = self.looked_up.take().expect("bug in snncc: a packet was looked up");
                let delivery = delivery(program, incoming);
                if delivery.effect == Effect::Row {
                    self.start_transfer(incoming, now_ps, program, durations);
                } else {
                    self.unmatched += u64::from(delivery.effect == Effect::Unmatched);
                    self.without_row += u64::from(delivery.effect != Effect::Unmatched);
                    if delivery.effect == Effect::Held {
                        // A delay extension has no rows, so nothing else is under way.
                        self.idle(now_ps);
                        return Some(Event::Hold(Row { delivery, step: incoming.step }));
                    }
                    if !self.queue.is_empty() {
                        self.look_up(now_ps, program, durations);
                        return None;
                    }
                }
            }
            Segment::End => match self.more.take() {
                Some(next) => self.start_transfer(next, now_ps, program, durations),
                None if !self.queue.is_empty() => {
                    self.look_up(now_ps, program, durations);
                    return None;
                }
                None => {}
            },
        }
        // The next transfer is under way, if there is one: now the row that is held.
        let Some(row) = self.held.take() else {
            self.idle(now_ps);
            return None;
        };
        self.work(Segment::Process, now_ps, durations.row_ps(row.delivery.synapses));
        Some(Event::Process(row))
    }

    /// Starts the transfer of a row.
    fn start_transfer(&mut self, incoming: Incoming, now_ps: u64, program: &SpinnakerProgram, durations: &Durations) {
        let delivery = delivery(program, incoming);
        let end_ps = now_ps.saturating_add(durations.transfer_ps(delivery.row_words));
        self.transfer = Some((end_ps, Row { delivery, step: incoming.step }));
        let next = program.cores[incoming.sender as usize].sends.deliveries.get(incoming.delivery as usize + 1);
        let follows = next.is_some_and(|next| !next.is_first);
        self.more = follows.then_some(Incoming { delivery: incoming.delivery + 1, ..incoming });
    }
}

fn delivery(program: &SpinnakerProgram, incoming: Incoming) -> Delivery {
    program.cores[incoming.sender as usize].sends.deliveries[incoming.delivery as usize]
}
