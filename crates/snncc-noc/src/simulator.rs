//! Messages whose times are known beforehand.

use crate::engine::{Engine, Happening, LinkUse, Packet, ResenderUse, SinkUse};
use crate::network::{FOREVER, Network};
use crate::routes::{Routes, TreeId};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The time of what does not happen.
pub const NEVER: u64 = u64::MAX;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sends it.
    pub source: u32,
    /// When, if its source was not stalled before.
    pub time_ps: u64,
    /// The way that it takes.
    pub tree: TreeId,
    /// Service time at each sink, besides that of the leaf.
    pub service_ps: u64,
}

/// When messages arrived, and what happened on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// When each message came into the port of its source; [`NEVER`] if the source is stuck.
    pub injected_ps: Vec<u64>,
    /// One more than there are messages: the leaves of message `i` are `first_leaf[i] .. first_leaf[i + 1]` of the next lists, in the
    /// order of its tree's list.
    pub first_leaf: Vec<usize>,
    /// When the sink took it; [`NEVER`] if it is lost or stuck.
    pub arrived_ps: Vec<u64>,
    /// When the sink began to serve it.
    pub started_ps: Vec<u64>,
    /// When the sink was done with it.
    pub done_ps: Vec<u64>,
    /// Time for which each source stalled: by so much its later messages are shifted.
    pub stalled_ps: Vec<u64>,
    /// Branches that were dropped, each time that they were.
    pub dropped: u64,
    /// Copies that are lost.
    pub lost: u64,
    /// Copies that will never arrive because packets wait for one another in a circle.
    pub stuck: u64,
    /// When the last event was.
    pub end_ps: u64,
    /// Links.
    pub links: Vec<LinkUse>,
    /// Sinks.
    pub sinks: Vec<SinkUse>,
    /// Resenders.
    pub resenders: Vec<ResenderUse>,
}

/// Runs lists of messages on a network. Keeps its memory between runs; each begins with an empty network at time 0.
#[derive(Clone, Debug)]
pub struct Simulator<'a> {
    routes: &'a Routes,
    engine: Engine<'a>,
    /// Messages by source, in compressed rows.
    starts: Vec<usize>,
    by_source: Vec<u32>,
    /// Next of `by_source`, by source.
    next: Vec<usize>,
    /// Times at which sources go on.
    ready: BinaryHeap<Reverse<(u64, u32)>>,
}

impl<'a> Simulator<'a> {
    /// A simulator.
    ///
    /// # Panics
    /// As [`Engine::new`].
    pub fn new(network: &'a Network, routes: &'a Routes) -> Self {
        let sources = network.sources.len();
        Self {
            routes,
            engine: Engine::new(network, routes),
            starts: vec![0; sources + 1],
            by_source: Vec::new(),
            next: vec![0; sources],
            ready: BinaryHeap::new(),
        }
    }

    /// Sends messages: those of a source in the order of the list, each at its time, or later by the time for which the source was
    /// stalled before, at the earliest when that before it was sent. A source stalls while its port is full.
    pub fn run(&mut self, messages: &[Message]) -> Outcome {
        let mut outcome = Outcome::default();
        self.run_into(messages, &mut outcome);
        outcome
    }

    /// As [`Simulator::run`], into lists that keep their memory.
    pub fn run_into(&mut self, messages: &[Message], outcome: &mut Outcome) {
        self.engine.reset();
        self.sort(messages);
        self.clear(messages, outcome);
        for source in 0..self.next.len() {
            self.next[source] = self.starts[source];
            self.schedule(messages, outcome, source as u32, 0);
        }
        loop {
            let limit_ps = self.ready.peek().map_or(FOREVER, |ready| ready.0.0);
            if let Some(happening) = self.engine.advance(limit_ps) {
                self.note(messages, outcome, happening);
            } else if let Some(Reverse((time_ps, source))) = self.ready.pop() {
                self.send(messages, outcome, source, time_ps);
            } else {
                break;
            }
        }
        outcome.end_ps = self.engine.now_ps();
        let missing = outcome.arrived_ps.iter().filter(|time_ps| **time_ps == NEVER).count() as u64;
        outcome.stuck = missing - outcome.lost;
        outcome.links.extend_from_slice(self.engine.link_use());
        outcome.sinks.extend_from_slice(self.engine.sink_use());
        outcome.resenders.extend_from_slice(self.engine.resender_use());
    }

    fn sort(&mut self, messages: &[Message]) {
        self.starts.fill(0);
        for message in messages {
            self.starts[message.source as usize + 1] += 1;
        }
        for source in 1..self.starts.len() {
            self.starts[source] += self.starts[source - 1];
        }
        let sources = self.next.len();
        self.next.copy_from_slice(&self.starts[..sources]);
        self.by_source.clear();
        self.by_source.resize(messages.len(), 0);
        for (at, message) in (0_u32..).zip(messages) {
            let next = &mut self.next[message.source as usize];
            self.by_source[*next] = at;
            *next += 1;
        }
    }

    fn clear(&self, messages: &[Message], outcome: &mut Outcome) {
        outcome.first_leaf.clear();
        outcome.first_leaf.push(0);
        let mut leaves = 0;
        outcome.first_leaf.extend(messages.iter().map(|message| {
            leaves += self.routes.leaves(message.tree) as usize;
            leaves
        }));
        let never = |times: &mut Vec<u64>, len: usize| {
            times.clear();
            times.resize(len, NEVER);
        };
        never(&mut outcome.injected_ps, messages.len());
        never(&mut outcome.arrived_ps, leaves);
        never(&mut outcome.started_ps, leaves);
        never(&mut outcome.done_ps, leaves);
        outcome.stalled_ps.clear();
        outcome.stalled_ps.resize(self.next.len(), 0);
        outcome.links.clear();
        outcome.sinks.clear();
        outcome.resenders.clear();
        (outcome.dropped, outcome.lost, outcome.stuck, outcome.end_ps) = (0, 0, 0, 0);
    }

    /// The message that a source sends next, if any.
    fn pending(&self, source: u32) -> Option<u32> {
        let at = source as usize;
        (self.next[at] < self.starts[at + 1]).then(|| self.by_source[self.next[at]])
    }

    fn schedule(&mut self, messages: &[Message], outcome: &Outcome, source: u32, now_ps: u64) {
        if let Some(message) = self.pending(source) {
            let planned_ps = messages[message as usize].time_ps;
            let time_ps = planned_ps.saturating_add(outcome.stalled_ps[source as usize]).max(now_ps);
            self.ready.push(Reverse((time_ps, source)));
        }
    }

    fn send(&mut self, messages: &[Message], outcome: &mut Outcome, source: u32, now_ps: u64) {
        let Some(at) = self.pending(source) else { return };
        let Message { tree, service_ps, .. } = messages[at as usize];
        if self.engine.inject(source, now_ps, Packet { tree, payload: at, service_ps }) {
            outcome.injected_ps[at as usize] = now_ps;
            self.next[source as usize] += 1;
            self.schedule(messages, outcome, source, now_ps);
        }
    }

    fn note(&mut self, messages: &[Message], outcome: &mut Outcome, happening: Happening) {
        match happening {
            Happening::Taken { payload, leaf, arrived_ps, started_ps, done_ps, .. } => {
                let at = outcome.first_leaf[payload as usize] + leaf as usize;
                outcome.arrived_ps[at] = arrived_ps;
                outcome.started_ps[at] = started_ps;
                outcome.done_ps[at] = done_ps;
            }
            Happening::PortFree { source, time_ps } => {
                if let Some(at) = self.pending(source) {
                    // What it had waited for before is in the sum already.
                    let stalled_ps = &mut outcome.stalled_ps[source as usize];
                    let ready_ps = messages[at as usize].time_ps.saturating_add(*stalled_ps);
                    *stalled_ps += time_ps.saturating_sub(ready_ps);
                }
                self.send(messages, outcome, source, time_ps);
            }
            Happening::Dropped { .. } => outcome.dropped += 1,
            Happening::Lost { leaves, .. } => outcome.lost += u64::from(leaves),
        }
    }
}
