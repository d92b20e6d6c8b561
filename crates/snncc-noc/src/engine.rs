//! Packets on their way: the state of a network, moved on event by event.
//!
//! A *token* is a copy of a packet at one place: in a source's port, on a link or at its far end, or with a resender. A token that
//! is first at its place asks all its branches at once; each that takes it makes a token of its own, and when all have, it is gone
//! and its slot free, which lets others move. What becomes possible within one instant is worked off from a list, so that a long
//! jam that dissolves needs no deep recursion.

use crate::events::{Event, Events, Kind, packet_order};
use crate::network::{FOREVER, NONE, Network};
use crate::routes::{Node, Routes, TreeId};
use std::collections::VecDeque;

/// Sources beyond this have no place in an event's order.
const SOURCES: usize = 1 << 30;
/// All branches of a node; otherwise the only one that a token is for.
const ALL: u32 = u32::MAX;
/// Marks a leaf among branches.
const LEAF: u32 = 1 << 31;

/// A packet to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The way that it takes.
    pub tree: TreeId,
    /// What its sender knows it by.
    pub payload: u32,
    /// Service time at each sink, besides that of the leaf.
    pub service_ps: u64,
}

/// What a branch leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A link.
    Link(u32),
    /// A sink.
    Sink(u32),
}

/// What the users of a network are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A sink took a copy of a packet.
    Taken {
        /// Of the packet.
        payload: u32,
        /// Place of the leaf in the list that the tree was made of.
        leaf: u32,
        /// The sink.
        sink: u32,
        /// When it took it: now.
        arrived_ps: u64,
        /// When it begins to serve it.
        started_ps: u64,
        /// When it is done with it.
        done_ps: u64,
    },
    /// There is room in the port of a source that was refused.
    PortFree {
        /// The source.
        source: u32,
        /// Now.
        time_ps: u64,
    },
    /// A packet gave up a branch. A resender may have it now.
    Dropped {
        /// Of the packet.
        payload: u32,
        /// At the far end of this link.
        at: u32,
        /// What did not take it.
        target: Target,
        /// Sinks that the branch leads to.
        leaves: u32,
        /// Now.
        time_ps: u64,
    },
    /// A dropped branch that no resender took: `leaves` copies will not arrive. Follows its `Dropped`.
    Lost {
        /// Of the packet.
        payload: u32,
        /// At the far end of this link.
        at: u32,
        /// What did not take it.
        target: Target,
        /// Sinks that will not see it.
        leaves: u32,
        /// Now.
        time_ps: u64,
    },
}

/// What a link did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkUse {
    /// Packets it took.
    pub packets: u64,
    /// Time that they waited for it.
    pub waited_ps: u64,
    /// Longest time that one waited for it.
    pub longest_wait_ps: u64,
    /// Most packets that it held at once.
    pub most_held: u32,
    /// Branches dropped because it did not take them.
    pub dropped: u64,
}

/// What a sink did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkUse {
    /// Packets it took.
    pub packets: u64,
    /// Time from when packets asked for it until it took them.
    pub blocked_ps: u64,
    /// Time from when it took packets until it served them.
    pub waited_ps: u64,
    /// Time in which it served.
    pub busy_ps: u64,
    /// Most packets that it held at once.
    pub most_held: u32,
    /// Branches dropped because it did not take them.
    pub dropped: u64,
}

/// What a resender did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResenderUse {
    /// Dropped branches it was given, those it had no room for included.
    pub given: u64,
    /// Those that went on from it.
    pub resent: u64,
    /// Those it had no room for.
    pub overflowed: u64,
    /// Most that it kept at once.
    pub most_held: u32,
}

/// Where a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Source(u32),
    Link(u32),
    Resender(u32),
}

#[derive(Clone, Copy, Debug)]
struct Token {
    order: u64,
    service_ps: u64,
    /// When it asked for its branches.
    asked_ps: u64,
    payload: u32,
    node: u32,
    /// [`ALL`], or the only branch: a node, or a leaf with [`LEAF`].
    only: u32,
    /// Branches that have not taken it; 0 before it asked, and when it is gone.
    pending: u32,
    place: Place,
}

/// A token that waits for a link or a sink.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    since_ps: u64,
    order: u64,
    token: u32,
    /// Node behind the link, or leaf.
    branch: u32,
}

/// Mutable part of a link.
#[derive(Clone, Debug, Default)]
struct LinkState {
    free_ps: u64,
    held: u32,
    /// Whether an event for `free_ps` is under way.
    wakes: bool,
    /// Tokens at the far end, in order.
    queue: VecDeque<u32>,
    waiters: VecDeque<Waiter>,
}

#[derive(Clone, Debug, Default)]
struct SinkState {
    /// When it is done with each packet that it holds.
    done_ps: VecDeque<u64>,
    busy_until_ps: u64,
    wakes: bool,
    waiters: VecDeque<Waiter>,
}

#[derive(Clone, Debug, Default)]
struct SourceState {
    queue: VecDeque<u32>,
    refused: bool,
    /// Number of the next packet.
    next: u32,
}

/// What has become possible.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// The first token of a place asks for its branches.
    Ask(Place),
    /// A slot of a link is free.
    Offer(u32),
}

/// A network with packets on it.
#[derive(Clone, Debug)]
pub struct Engine<'a> {
    network: &'a Network,
    routes: &'a Routes,
    now_ps: u64,
    events: Events,
    tokens: Vec<Token>,
    free_tokens: Vec<u32>,
    links: Vec<LinkState>,
    sinks: Vec<SinkState>,
    sources: Vec<SourceState>,
    resenders: Vec<VecDeque<u32>>,
    work: VecDeque<Work>,
    told: VecDeque<Happening>,
    link_use: Vec<LinkUse>,
    sink_use: Vec<SinkUse>,
    resender_use: Vec<ResenderUse>,
}

impl<'a> Engine<'a> {
    /// An empty network at time 0.
    ///
    /// # Panics
    /// If anything has no slot, or there are more than 2^30 sources.
    pub fn new(network: &'a Network, routes: &'a Routes) -> Self {
        let slots = (network.links.iter().map(|link| link.slots))
            .chain(network.sources.iter().map(|source| source.slots))
            .chain(network.sinks.iter().map(|sink| sink.slots));
        assert!(slots.min() != Some(0), "bug in snncc: a link, source or sink without a slot");
        assert!(network.sources.len() <= SOURCES, "bug in snncc: too many sources");
        Self {
            network,
            routes,
            now_ps: 0,
            events: Events::default(),
            tokens: Vec::new(),
            free_tokens: Vec::new(),
            links: vec![LinkState::default(); network.links.len()],
            sinks: vec![SinkState::default(); network.sinks.len()],
            sources: vec![SourceState::default(); network.sources.len()],
            resenders: vec![VecDeque::new(); network.resenders.len()],
            work: VecDeque::new(),
            told: VecDeque::new(),
            link_use: vec![LinkUse::default(); network.links.len()],
            sink_use: vec![SinkUse::default(); network.sinks.len()],
            resender_use: vec![ResenderUse::default(); network.resenders.len()],
        }
    }

    /// Back to an empty network at time 0; memory is kept.
    pub fn reset(&mut self) {
        self.now_ps = 0;
        self.events.clear();
        self.tokens.clear();
        self.free_tokens.clear();
        for link in &mut self.links {
            (link.free_ps, link.held, link.wakes) = (0, 0, false);
            link.queue.clear();
            link.waiters.clear();
        }
        for sink in &mut self.sinks {
            (sink.busy_until_ps, sink.wakes) = (0, false);
            sink.done_ps.clear();
            sink.waiters.clear();
        }
        for source in &mut self.sources {
            (source.refused, source.next) = (false, 0);
            source.queue.clear();
        }
        self.resenders.iter_mut().for_each(VecDeque::clear);
        self.work.clear();
        self.told.clear();
        self.link_use.fill(LinkUse::default());
        self.sink_use.fill(SinkUse::default());
        self.resender_use.fill(ResenderUse::default());
    }

    /// Time of the last event or injection.
    pub fn now_ps(&self) -> u64 {
        self.now_ps
    }

    /// Time of the next event, if any.
    pub fn next_ps(&self) -> Option<u64> {
        if self.told.is_empty() { self.events.next_ps() } else { Some(self.now_ps) }
    }

    /// Copies of packets that are under way.
    pub fn under_way(&self) -> usize {
        self.tokens.len() - self.free_tokens.len()
    }

    /// What each link did since the last reset.
    pub fn link_use(&self) -> &[LinkUse] {
        &self.link_use
    }

    /// What each sink did.
    pub fn sink_use(&self) -> &[SinkUse] {
        &self.sink_use
    }

    /// What each resender did.
    pub fn resender_use(&self) -> &[ResenderUse] {
        &self.resender_use
    }

    /// Puts a packet into the port of a source at a time that is not before [`Engine::now_ps`]. Events up to then must have been
    /// worked off. `false`, and nothing happens, if the port is full: [`Happening::PortFree`] will say when it is not.
    pub fn inject(&mut self, source: u32, time_ps: u64, packet: Packet) -> bool {
        debug_assert!(time_ps >= self.now_ps, "a packet of the past");
        self.now_ps = self.now_ps.max(time_ps);
        let state = &mut self.sources[source as usize];
        if state.queue.len() >= self.network.sources[source as usize].slots as usize {
            state.refused = true;
            return false;
        }
        let order = packet_order(source, state.next);
        state.next = state.next.wrapping_add(1);
        let place = Place::Source(source);
        let Packet { tree, payload, service_ps } = packet;
        let node = self.routes.trees[tree.0 as usize].0;
        let token = Token { order, service_ps, asked_ps: 0, payload, node, only: ALL, pending: 0, place };
        let token = self.keep(token);
        self.put(place, token);
        self.settle();
        true
    }

    /// Works off events up to `limit_ps` until something is to be told. `None`: nothing more happens until then.
    pub fn advance(&mut self, limit_ps: u64) -> Option<Happening> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Some(told);
            }
            let event = self.events.pop(limit_ps)?;
            self.now_ps = event.time_ps;
            match event.kind() {
                Kind::LinkFree(link) => {
                    self.links[link as usize].wakes = false;
                    self.offer_link(link);
                }
                Kind::SinkFree(sink) => {
                    self.sinks[sink as usize].wakes = false;
                    self.offer_sink(sink);
                }
                Kind::Resend(resender) => self.ask(Place::Resender(resender)),
                Kind::Arrive => {
                    let place = self.tokens[event.handle as usize].place;
                    self.put(place, event.handle);
                }
                Kind::GiveUp => self.give_up(&event),
            }
            self.settle();
        }
    }

    fn keep(&mut self, token: Token) -> u32 {
        match self.free_tokens.pop() {
            Some(at) => {
                self.tokens[at as usize] = token;
                at
            }
            None => {
                self.tokens.push(token);
                self.tokens.len() as u32 - 1
            }
        }
    }

    fn queue(&mut self, place: Place) -> &mut VecDeque<u32> {
        match place {
            Place::Source(at) => &mut self.sources[at as usize].queue,
            Place::Link(at) => &mut self.links[at as usize].queue,
            Place::Resender(at) => &mut self.resenders[at as usize],
        }
    }

    /// A token comes to a place.
    fn put(&mut self, place: Place, token: u32) {
        let queue = self.queue(place);
        queue.push_back(token);
        if queue.len() == 1 {
            self.work.push_back(Work::Ask(place));
        }
    }

    /// Works off what has become possible.
    fn settle(&mut self) {
        while let Some(work) = self.work.pop_front() {
            match work {
                Work::Ask(Place::Resender(at)) => {
                    // It takes its time before it sends.
                    let time_ps = self.now_ps.saturating_add(self.network.resenders[at as usize].resend_ps);
                    self.events.push(Event::of_place(time_ps, Kind::Resend(at)));
                }
                Work::Ask(place) => self.ask(place),
                Work::Offer(link) => self.offer_link(link),
            }
        }
    }

    /// The first token of a place asks for its branches.
    fn ask(&mut self, place: Place) {
        let Some(&at) = self.queue(place).front() else { return };
        let (now_ps, routes) = (self.now_ps, self.routes);
        let Token { node, only, order, .. } = self.tokens[at as usize];
        let (children, leaves) = match only {
            ALL => {
                let Node { children, leaves, .. } = routes.nodes[node as usize];
                (children, leaves)
            }
            leaf if leaf & LEAF != 0 => ((0, 0), (leaf & !LEAF, (leaf & !LEAF) + 1)),
            child => ((child, child + 1), (0, 0)),
        };
        let pending = children.1 - children.0 + leaves.1 - leaves.0;
        let token = &mut self.tokens[at as usize];
        (token.asked_ps, token.pending) = (now_ps, pending);
        if pending == 0 {
            // A way that ends nowhere.
            self.leave(at);
            return;
        }
        let mut left = pending;
        for branch in children.0..children.1 {
            left -= u32::from(self.ask_link(at, branch, order));
        }
        for leaf in leaves.0..leaves.1 {
            left -= u32::from(self.ask_sink(at, leaf, order));
        }
        if let (Place::Link(link), true) = (place, left > 0) {
            let timeout_ps = self.network.links[link as usize].timeout_ps;
            if timeout_ps != FOREVER {
                let time_ps = now_ps.saturating_add(timeout_ps);
                self.events.push(Event::of_packet(time_ps, true, order, node, at));
            }
        }
    }

    /// Whether a link takes a token at once; otherwise it waits.
    fn ask_link(&mut self, token: u32, branch: u32, order: u64) -> bool {
        let link = self.routes.nodes[branch as usize].link;
        let (state, now_ps) = (&mut self.links[link as usize], self.now_ps);
        let waiter = Waiter { since_ps: now_ps, order, token, branch };
        let has_slot = state.held < self.network.links[link as usize].slots;
        if state.waiters.is_empty() && state.free_ps <= now_ps && has_slot {
            self.take(link, waiter);
            return true;
        }
        wait(&mut state.waiters, waiter);
        if has_slot && state.free_ps > now_ps && !state.wakes {
            state.wakes = true;
            self.events.push(Event::of_place(state.free_ps, Kind::LinkFree(link)));
        }
        false
    }

    /// A link takes a token.
    fn take(&mut self, link: u32, waiter: Waiter) {
        let (now_ps, data) = (self.now_ps, &self.network.links[link as usize]);
        let state = &mut self.links[link as usize];
        state.held += 1;
        state.free_ps = now_ps.saturating_add(data.occupancy_ps);
        let sums = &mut self.link_use[link as usize];
        let waited_ps = now_ps - waiter.since_ps;
        sums.packets += 1;
        sums.waited_ps += waited_ps;
        sums.longest_wait_ps = sums.longest_wait_ps.max(waited_ps);
        sums.most_held = sums.most_held.max(state.held);
        let parent = self.tokens[waiter.token as usize];
        let copy = Token { node: waiter.branch, only: ALL, pending: 0, place: Place::Link(link), ..parent };
        let copy = self.keep(copy);
        let time_ps = now_ps.saturating_add(data.latency_ps);
        self.events.push(Event::of_packet(time_ps, false, parent.order, waiter.branch, copy));
        self.taken(waiter.token);
    }

    /// A branch took a token.
    fn taken(&mut self, token: u32) {
        let pending = &mut self.tokens[token as usize].pending;
        *pending -= 1;
        if *pending == 0 {
            self.leave(token);
        }
    }

    /// A token that is first at its place is gone.
    fn leave(&mut self, token: u32) {
        let place = self.tokens[token as usize].place;
        let queue = self.queue(place);
        let first = queue.pop_front();
        debug_assert_eq!(first, Some(token), "only the first token of a place leaves");
        if !queue.is_empty() {
            self.work.push_back(Work::Ask(place));
        }
        self.free_tokens.push(token);
        match place {
            Place::Source(source) => {
                if std::mem::take(&mut self.sources[source as usize].refused) {
                    self.told.push_back(Happening::PortFree { source, time_ps: self.now_ps });
                }
            }
            Place::Link(link) => {
                self.links[link as usize].held -= 1;
                self.work.push_back(Work::Offer(link));
            }
            Place::Resender(resender) => self.resender_use[resender as usize].resent += 1,
        }
    }

    /// A link takes those that wait, as far as it can.
    fn offer_link(&mut self, link: u32) {
        let slots = self.network.links[link as usize].slots;
        loop {
            let state = &mut self.links[link as usize];
            if state.waiters.is_empty() || state.held >= slots {
                return;
            }
            if state.free_ps > self.now_ps {
                if !std::mem::replace(&mut state.wakes, true) {
                    self.events.push(Event::of_place(state.free_ps, Kind::LinkFree(link)));
                }
                return;
            }
            let waiter = state.waiters.pop_front().expect("bug in snncc: a waiter was there");
            self.take(link, waiter);
        }
    }

    /// Whether a sink takes a token at once; otherwise it waits.
    fn ask_sink(&mut self, token: u32, leaf: u32, order: u64) -> bool {
        let (sink, now_ps) = (self.routes.leaves[leaf as usize].sink, self.now_ps);
        let waiter = Waiter { since_ps: now_ps, order, token, branch: leaf };
        if self.sinks[sink as usize].waiters.is_empty() && self.has_room(sink) {
            self.serve(sink, waiter);
            return true;
        }
        let state = &mut self.sinks[sink as usize];
        wait(&mut state.waiters, waiter);
        self.wake_sink(sink);
        false
    }

    /// Whether a sink holds fewer packets than it can.
    fn has_room(&mut self, sink: u32) -> bool {
        let state = &mut self.sinks[sink as usize];
        while state.done_ps.front().is_some_and(|done_ps| *done_ps <= self.now_ps) {
            state.done_ps.pop_front();
        }
        state.done_ps.len() < self.network.sinks[sink as usize].slots as usize
    }

    fn wake_sink(&mut self, sink: u32) {
        let state = &mut self.sinks[sink as usize];
        if let Some(&done_ps) = state.done_ps.front()
            && !std::mem::replace(&mut state.wakes, true)
        {
            self.events.push(Event::of_place(done_ps, Kind::SinkFree(sink)));
        }
    }

    fn serve(&mut self, sink: u32, waiter: Waiter) {
        let now_ps = self.now_ps;
        let leaf = self.routes.leaves[waiter.branch as usize];
        let token = self.tokens[waiter.token as usize];
        let state = &mut self.sinks[sink as usize];
        let started_ps = now_ps.max(state.busy_until_ps);
        let service_ps = leaf.service_ps.saturating_add(token.service_ps);
        let done_ps = started_ps.saturating_add(service_ps);
        state.busy_until_ps = done_ps;
        state.done_ps.push_back(done_ps);
        let sums = &mut self.sink_use[sink as usize];
        sums.packets += 1;
        sums.blocked_ps += now_ps - waiter.since_ps;
        sums.waited_ps += started_ps - now_ps;
        sums.busy_ps += service_ps;
        sums.most_held = sums.most_held.max(state.done_ps.len() as u32);
        let (payload, leaf) = (token.payload, leaf.position);
        self.told.push_back(Happening::Taken { payload, leaf, sink, arrived_ps: now_ps, started_ps, done_ps });
        self.taken(waiter.token);
    }

    fn offer_sink(&mut self, sink: u32) {
        while !self.sinks[sink as usize].waiters.is_empty() {
            if !self.has_room(sink) {
                self.wake_sink(sink);
                return;
            }
            let waiter = self.sinks[sink as usize].waiters.pop_front().expect("bug in snncc: a waiter was there");
            self.serve(sink, waiter);
        }
    }

    /// A token that has waited for its time gives up what did not take it.
    fn give_up(&mut self, event: &Event) {
        let at = event.handle;
        let token = self.tokens[at as usize];
        let Place::Link(place) = token.place else { return };
        let timeout_ps = self.network.links[place as usize].timeout_ps;
        let is_it = (token.order, token.node) == (event.packet(), event.node) && token.pending > 0;
        if !is_it || token.asked_ps.saturating_add(timeout_ps) != self.now_ps {
            return;
        }
        let Node { children, leaves, .. } = self.routes.nodes[token.node as usize];
        for child in children.0..children.1 {
            let link = self.routes.nodes[child as usize].link;
            if forget(&mut self.links[link as usize].waiters, at) {
                self.link_use[link as usize].dropped += 1;
                let mut behind = 0;
                self.routes.visit_leaves(child, &mut |_| behind += 1);
                self.drop_branch(&token, place, child, Target::Link(link), behind);
            }
        }
        for leaf in leaves.0..leaves.1 {
            let sink = self.routes.leaves[leaf as usize].sink;
            if forget(&mut self.sinks[sink as usize].waiters, at) {
                self.sink_use[sink as usize].dropped += 1;
                self.drop_branch(&token, place, leaf | LEAF, Target::Sink(sink), 1);
            }
        }
        self.tokens[at as usize].pending = 0;
        self.leave(at);
    }

    fn drop_branch(&mut self, token: &Token, at: u32, only: u32, target: Target, leaves: u32) {
        let (payload, time_ps) = (token.payload, self.now_ps);
        self.told.push_back(Happening::Dropped { payload, at, target, leaves, time_ps });
        let resender = self.network.links[at as usize].resender;
        if resender != NONE {
            let held = self.resenders[resender as usize].len() as u32;
            let sums = &mut self.resender_use[resender as usize];
            sums.given += 1;
            if held < self.network.resenders[resender as usize].slots {
                sums.most_held = sums.most_held.max(held + 1);
                let place = Place::Resender(resender);
                let token = self.keep(Token { only, pending: 0, place, ..*token });
                self.put(place, token);
                return;
            }
            sums.overflowed += 1;
        }
        self.told.push_back(Happening::Lost { payload, at, target, leaves, time_ps });
    }
}

/// Puts a waiter into a queue: behind all that came before, and those of the same time by source and message.
fn wait(waiters: &mut VecDeque<Waiter>, waiter: Waiter) {
    let goes_before = |other: &&Waiter| other.since_ps == waiter.since_ps && other.order > waiter.order;
    let before = waiters.iter().rev().take_while(goes_before).count();
    waiters.insert(waiters.len() - before, waiter);
}

/// Takes a token's waiter out of a queue; whether it was there.
fn forget(waiters: &mut VecDeque<Waiter>, token: u32) -> bool {
    let at = waiters.iter().position(|waiter| waiter.token == token);
    at.is_some_and(|at| waiters.remove(at).is_some())
}
