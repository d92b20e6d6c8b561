//! The same messages flit by flit: input-queued routers on meshes, wormhole switching with virtual channels and credits, cycle by
//! cycle.
//!
//! A router has four links and one port for each of its cores, each with an input buffer of [`Mesh::buffer_flits`] for each virtual
//! channel. A packet's head flit gets a virtual channel of its output (one cycle), then its flits ask for the crossbar one by one
//! (one cycle each), pass it (one cycle) and the link. An output's virtual channel belongs to a packet until its tail has won the
//! crossbar. Both allocators are separable and round-robin with one iteration: outputs grant, inputs accept, and only what is
//! accepted moves a pointer. A credit is back `CREDIT_CYCLES` after its flit left the buffer. Routes go along x, then along y.
//!
//! **Invariants:** an idle network takes `4 · routers + 2` cycles from a source to a core (with links of one cycle), as BookSim 2
//! does with its delays of one cycle; routers act on one another with a delay of at least two cycles, so the order in which they are
//! visited does not matter; only routers that hold flits are visited, and cycles in which nothing can happen are skipped.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Cycles from a flit's leaving of a buffer until the router before it can use the credit.
const CREDIT_CYCLES: u64 = 3;
/// The same for the source before the first router.
const SOURCE_CREDIT_CYCLES: u64 = 2;
/// Cycles from winning the crossbar to the buffer behind the link, besides the link's own.
const SWITCH_CYCLES: u64 = 2;
/// Cycles from a source into the buffer of its router.
const SOURCE_CYCLES: u64 = 2;
/// Links of a router: east, west, north (y + 1), south.
const LINKS: usize = 4;
/// No packet, no channel.
const NONE: u32 = u32::MAX;

/// Meshes that cores send on. Core `i` sits at port `i mod cores_per_router` of router `i / cores_per_router` of every plane, and
/// routers are numbered row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mesh {
    /// Routers along x.
    pub columns: u32,
    /// Routers along y.
    pub rows: u32,
    /// Cores at each router.
    pub cores_per_router: u32,
    /// Physical meshes: core `i` sends on plane `i mod planes` and receives from all.
    pub planes: u32,
    /// Virtual channels of each input.
    pub channels: u32,
    /// Flits that each of them holds.
    pub buffer_flits: u32,
    /// Cycles of each link by router of a plane and direction (east, west, north, south), at least 1.
    pub link_cycles: Vec<[u32; 4]>,
    /// Picoseconds of a cycle.
    pub cycle_ps: u64,
    /// Packets that wait at a source, at least 1: the sender of one more stalls, and sends its later packets later by as much.
    /// `None`: any number.
    pub source_packets: Option<u32>,
}

impl Mesh {
    /// One mesh with links of one cycle of 1 ps, and sources that never stall.
    pub fn uniform(columns: u32, rows: u32, cores_per_router: u32, channels: u32, buffer_flits: u32) -> Self {
        let link_cycles = vec![[1; 4]; (columns * rows) as usize];
        let (planes, cycle_ps, source_packets) = (1, 1, None);
        Self { columns, rows, cores_per_router, planes, channels, buffer_flits, link_cycles, cycle_ps, source_packets }
    }

    fn routers(&self) -> usize {
        (self.columns * self.rows) as usize
    }
}

/// A packet to send. Those of a source must be listed by ascending time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlitPacket {
    /// Core that sends it.
    pub source: u32,
    /// Core that it is for.
    pub target: u32,
    /// Cycle from which on it can leave its source, if the source was not stalled before.
    pub ready: u64,
    /// Flits, at least 1.
    pub flits: u32,
    /// Time for which the target is busy with it. Its buffer space at the last router is free only then.
    pub service_ps: u64,
}

/// When packets arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlitOutcome {
    /// Cycle in which the tail of each packet reached its target; `u64::MAX` if the run ended before.
    pub arrived: Vec<u64>,
    /// Picosecond in which the target was done with it.
    pub done_ps: Vec<u64>,
    /// Cycles for which each source stalled.
    pub stalled: Vec<u64>,
    /// Flits that passed each link, by router over all planes and direction.
    pub link_flits: Vec<[u64; 4]>,
    /// The last cycle in which anything happened.
    pub end: u64,
}

/// What reaches its place after a delay.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A flit for an input channel.
    Flit(u32, Flit),
    /// A credit for an output channel.
    Credit(u32),
    /// A credit for a channel of a source.
    SourceCredit(u32),
    /// A flit for a core, from an output channel.
    Arrival(u32, Flit),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flit {
    packet: u32,
    head: bool,
    tail: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// A head flit waits for an output channel from this cycle on.
    Waiting(u64),
    /// Flits may ask for the crossbar from this cycle on.
    Active(u64),
}

/// An input channel of a router.
#[derive(Clone, Debug)]
struct Input {
    queue: VecDeque<Flit>,
    state: State,
    port: u32,
    /// Channel of the output, once given.
    channel: u32,
}

/// An output channel of a router.
#[derive(Clone, Copy, Debug)]
struct Output {
    taken: bool,
    credits: u32,
}

#[derive(Clone, Debug)]
struct Source {
    /// Packets of the list not sent yet, as a range of `order`.
    next: usize,
    end: usize,
    /// Flits left of the packet under way, and its channel.
    left: u32,
    channel: u32,
    credits: Vec<u32>,
    /// Cycles in which packets left, the last `source_packets` of them: for the stall.
    left_at: VecDeque<u64>,
    listed: bool,
}

/// Runs packets until all have arrived, or until a cycle.
pub struct FlitSimulator<'a> {
    mesh: &'a Mesh,
    packets: &'a [FlitPacket],
    ports: usize,
    channels: usize,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    /// Round-robin pointers: of output channels over input channels and back, of output ports over input ports and back, of the
    /// channels of an input port.
    grant: Vec<u32>,
    accept: Vec<u32>,
    switch_grant: Vec<u32>,
    switch_accept: Vec<u32>,
    channel_turn: Vec<u32>,
    /// Flits in each router.
    held: Vec<u32>,
    /// Routers with flits.
    active: Vec<u32>,
    wheel: Vec<Vec<Event>>,
    in_flight: usize,
    /// Credits that come later than the wheel reaches: from busy cores.
    late: BinaryHeap<Reverse<(u64, u32)>>,
    sources: Vec<Source>,
    order: Vec<u32>,
    /// Sources with packets, by when they are next.
    waiting: BinaryHeap<Reverse<(u64, u32)>>,
    sending: Vec<u32>,
    busy_until_ps: Vec<u64>,
    outcome: FlitOutcome,
    /// Requests of the router at hand.
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    /// For each output channel, the input channel granted.
    granted: Vec<(u32, u32)>,
    /// For each input port and output port, the channel that asks.
    asks: Vec<u32>,
}

impl<'a> FlitSimulator<'a> {
    /// A simulator of these packets.
    ///
    /// # Panics
    /// If a mesh has no channel, buffer or cycle, a link takes no cycle, or a packet names a core that is not there.
    pub fn new(mesh: &'a Mesh, packets: &'a [FlitPacket]) -> Self {
        let routers = mesh.routers() * mesh.planes as usize;
        let (ports, channels) = (LINKS + mesh.cores_per_router as usize, mesh.channels as usize);
        let cores = mesh.routers() * mesh.cores_per_router as usize;
        assert!(channels > 0 && mesh.buffer_flits > 0 && mesh.cycle_ps > 0, "bug in snncc: a mesh without buffers");
        assert_eq!(mesh.link_cycles.len(), mesh.routers(), "bug in snncc: links of another mesh");
        let longest = mesh.link_cycles.iter().flatten().copied().max().unwrap_or(1);
        assert!(mesh.link_cycles.iter().flatten().all(|cycles| *cycles > 0), "bug in snncc: a link without a cycle");
        let reach = (u64::from(longest) + SWITCH_CYCLES + 1).next_power_of_two().max(8);
        let mut order: Vec<u32> = (0..packets.len() as u32).collect();
        order.sort_by_key(|at| packets[*at as usize].source);
        let mut sources = Vec::with_capacity(cores);
        let mut waiting = BinaryHeap::new();
        let mut at = 0;
        for core in 0..cores as u32 {
            let next = at;
            while at < order.len() && packets[order[at] as usize].source == core {
                at += 1;
            }
            if next < at {
                waiting.push(Reverse((packets[order[next] as usize].ready, core)));
            }
            sources.push(Source {
                next,
                end: at,
                left: 0,
                channel: 0,
                credits: vec![mesh.buffer_flits; channels],
                left_at: VecDeque::new(),
                listed: false,
            });
        }
        let inside = |packet: &FlitPacket| (packet.target as usize) < cores && packet.flits > 0;
        assert!(at == order.len() && packets.iter().all(inside), "bug in snncc: a packet for no core");
        let lanes = routers * ports * channels;
        Self {
            mesh,
            packets,
            ports,
            channels,
            inputs: vec![Input { queue: VecDeque::new(), state: State::Idle, port: 0, channel: 0 }; lanes],
            outputs: vec![Output { taken: false, credits: mesh.buffer_flits }; lanes],
            grant: vec![0; lanes],
            accept: vec![0; lanes],
            switch_grant: vec![0; routers * ports],
            switch_accept: vec![0; routers * ports],
            channel_turn: vec![0; routers * ports],
            held: vec![0; routers],
            active: Vec::new(),
            wheel: vec![Vec::new(); reach as usize],
            in_flight: 0,
            late: BinaryHeap::new(),
            sources,
            order,
            waiting,
            sending: Vec::new(),
            busy_until_ps: vec![0; cores],
            outcome: FlitOutcome {
                arrived: vec![u64::MAX; packets.len()],
                done_ps: vec![u64::MAX; packets.len()],
                stalled: vec![0; cores],
                link_flits: vec![[0; 4]; routers],
                end: 0,
            },
            scratch: Scratch { granted: vec![(NONE, 0); ports * channels], asks: vec![NONE; ports * ports] },
        }
    }

    /// A core is busy from the start up to this time, before it serves the first packet.
    pub fn set_busy(&mut self, core: u32, until_ps: u64) {
        self.busy_until_ps[core as usize] = until_ps;
    }

    /// Runs until everything has arrived, or up to the cycle `limit`.
    pub fn run(mut self, limit: u64) -> FlitOutcome {
        let mut now = 0;
        loop {
            if self.active.is_empty() && self.sending.is_empty() && self.in_flight == 0 {
                let next = [self.waiting.peek().map(|next| next.0.0), self.late.peek().map(|next| next.0.0)];
                let Some(next) = next.into_iter().flatten().min() else { break };
                now = now.max(next);
            }
            if now > limit {
                break;
            }
            self.deliver(now);
            self.send(now);
            self.route(now);
            self.outcome.end = now;
            now += 1;
        }
        self.outcome
    }

    fn schedule(&mut self, now: u64, delay: u64, event: Event) {
        let slot = (now + delay) as usize & (self.wheel.len() - 1);
        self.wheel[slot].push(event);
        self.in_flight += 1;
    }

    /// What arrives in this cycle.
    fn deliver(&mut self, now: u64) {
        while let Some(&Reverse((time, output))) = self.late.peek()
            && time <= now
        {
            self.late.pop();
            self.outputs[output as usize].credits += 1;
        }
        let slot = now as usize & (self.wheel.len() - 1);
        let mut events = std::mem::take(&mut self.wheel[slot]);
        self.in_flight -= events.len();
        for event in events.drain(..) {
            match event {
                Event::Credit(output) => self.outputs[output as usize].credits += 1,
                Event::SourceCredit(channel) => {
                    let (core, channel) = (channel as usize / self.channels, channel as usize % self.channels);
                    self.sources[core].credits[channel] += 1;
                }
                Event::Flit(input, flit) => self.take_in(now, input, flit),
                Event::Arrival(output, flit) => self.arrive(now, output, flit),
            }
        }
        self.wheel[slot] = events;
    }

    fn take_in(&mut self, now: u64, at: u32, flit: Flit) {
        let router = at as usize / (self.ports * self.channels);
        let input = &mut self.inputs[at as usize];
        input.queue.push_back(flit);
        if self.held[router] == 0 {
            self.active.push(router as u32);
        }
        self.held[router] += 1;
        if input.state == State::Idle {
            self.await_channel(now, at);
        }
    }

    /// The head flit at the front of an input asks for a channel from a cycle on.
    fn await_channel(&mut self, from: u64, at: u32) {
        let router = at as usize / (self.ports * self.channels);
        let Some(flit) = self.inputs[at as usize].queue.front() else { return };
        debug_assert!(flit.head, "a packet that was cut");
        let port = self.output_port(router, self.packets[flit.packet as usize].target);
        let input = &mut self.inputs[at as usize];
        (input.port, input.state) = (port, State::Waiting(from));
    }

    /// Along x, then along y, then to the core.
    fn output_port(&self, router: usize, target: u32) -> u32 {
        let (columns, cores) = (self.mesh.columns, self.mesh.cores_per_router);
        let here = (router % self.mesh.routers()) as u32;
        let there = target / cores;
        let ((x, y), (to_x, to_y)) = ((here % columns, here / columns), (there % columns, there / columns));
        match (to_x.cmp(&x), to_y.cmp(&y)) {
            (std::cmp::Ordering::Greater, _) => 0,
            (std::cmp::Ordering::Less, _) => 1,
            (_, std::cmp::Ordering::Greater) => 2,
            (_, std::cmp::Ordering::Less) => 3,
            _ => LINKS as u32 + target % cores,
        }
    }

    /// A flit reaches its core.
    fn arrive(&mut self, now: u64, output: u32, flit: Flit) {
        let packet = &self.packets[flit.packet as usize];
        let arrived_ps = now * self.mesh.cycle_ps;
        let mut free = now;
        if flit.tail {
            let busy = &mut self.busy_until_ps[packet.target as usize];
            *busy = arrived_ps.max(*busy) + packet.service_ps;
            self.outcome.arrived[flit.packet as usize] = now;
            self.outcome.done_ps[flit.packet as usize] = *busy;
            free = busy.div_ceil(self.mesh.cycle_ps);
        }
        if free == now {
            self.schedule(now, CREDIT_CYCLES, Event::Credit(output));
        } else {
            self.late.push(Reverse((free + CREDIT_CYCLES, output)));
        }
    }

    /// Sources send one flit each.
    fn send(&mut self, now: u64) {
        while let Some(&Reverse((time, core))) = self.waiting.peek()
            && time <= now
        {
            self.waiting.pop();
            if !std::mem::replace(&mut self.sources[core as usize].listed, true) {
                self.sending.push(core);
            }
        }
        // Sources share nothing, so their order does not matter.
        let mut at = 0;
        while at < self.sending.len() {
            let core = self.sending[at];
            if self.send_flit(now, core) {
                at += 1;
            } else {
                self.sources[core as usize].listed = false;
                self.sending.swap_remove(at);
            }
        }
    }

    /// Whether the source has more to send in the next cycle.
    fn send_flit(&mut self, now: u64, core: u32) -> bool {
        let (mesh, channels) = (self.mesh, self.channels as u32);
        let source = &mut self.sources[core as usize];
        let at = self.order[source.next];
        let packet = self.packets[at as usize];
        let head = source.left == 0;
        if head {
            // The next channel in turn with room.
            let turn = (1..=channels).map(|step| (source.channel + step) % channels);
            let Some(channel) = turn.into_iter().find(|channel| source.credits[*channel as usize] > 0) else {
                return true;
            };
            (source.channel, source.left) = (channel, packet.flits);
        } else if source.credits[source.channel as usize] == 0 {
            return true;
        }
        source.credits[source.channel as usize] -= 1;
        source.left -= 1;
        let tail = source.left == 0;
        let (channel, mut more) = (source.channel, true);
        if tail {
            source.next += 1;
            more = source.next < source.end;
            if let Some(most) = mesh.source_packets {
                source.left_at.push_back(now);
                if source.left_at.len() > most as usize {
                    source.left_at.pop_front();
                }
            }
            if more {
                let ready = self.ready(core);
                if ready > now + 1 {
                    self.waiting.push(Reverse((ready, core)));
                    more = false;
                }
            }
        }
        let plane = (core % mesh.planes) as usize;
        let router = plane * mesh.routers() + (core / mesh.cores_per_router) as usize;
        let port = LINKS + (core % mesh.cores_per_router) as usize;
        let input = ((router * self.ports + port) * self.channels) as u32 + channel;
        self.schedule(now, SOURCE_CYCLES, Event::Flit(input, Flit { packet: at, head, tail }));
        more
    }

    /// When the next packet of a source is ready. If the packet `source_packets` before it left after the sender wanted to hand over
    /// this one, the sender stalled.
    fn ready(&mut self, core: u32) -> u64 {
        let source = &self.sources[core as usize];
        let wanted = self.packets[self.order[source.next] as usize].ready + self.outcome.stalled[core as usize];
        let Some(most) = self.mesh.source_packets else { return wanted };
        let room = match source.left_at.front() {
            Some(left) if source.left_at.len() == most as usize => *left,
            _ => 0,
        };
        self.outcome.stalled[core as usize] += room.saturating_sub(wanted);
        wanted.max(room)
    }

    /// Routers with flits give channels, then the crossbar.
    fn route(&mut self, now: u64) {
        let mut at = 0;
        while at < self.active.len() {
            let router = self.active[at] as usize;
            self.give_channels(now, router);
            self.give_crossbar(now, router);
            if self.held[router] == 0 {
                self.active.swap_remove(at);
            } else {
                at += 1;
            }
        }
    }

    fn give_channels(&mut self, now: u64, router: usize) {
        let (lanes, channels) = (self.ports * self.channels, self.channels);
        let first = router * lanes;
        // Outputs grant.
        let mut any = false;
        for lane in 0..lanes {
            let input = &self.inputs[first + lane];
            let State::Waiting(from) = input.state else { continue };
            if from > now {
                continue;
            }
            for channel in 0..channels {
                let output = input.port as usize * channels + channel;
                if self.outputs[first + output].taken {
                    continue;
                }
                let distance = (lane as u32 + lanes as u32 - self.grant[first + output]) % lanes as u32;
                let granted = &mut self.scratch.granted[output];
                if granted.0 == NONE || distance < granted.1 {
                    *granted = (lane as u32, distance);
                }
                any = true;
            }
        }
        if !any {
            return;
        }
        // Inputs accept: each the first in its turn of those that granted it.
        for lane in 0..lanes {
            let input = &self.inputs[first + lane];
            let State::Waiting(_) = input.state else { continue };
            let turn = self.accept[first + lane];
            let outputs = (0..channels).map(|channel| input.port as usize * channels + channel);
            let granted = outputs.filter(|output| self.scratch.granted[*output].0 == lane as u32);
            let distance = |output: &usize| (*output as u32 + lanes as u32 - turn) % lanes as u32;
            let Some(output) = granted.min_by_key(distance) else { continue };
            self.outputs[first + output].taken = true;
            self.grant[first + output] = (lane as u32 + 1) % lanes as u32;
            self.accept[first + lane] = (output as u32 + 1) % lanes as u32;
            let input = &mut self.inputs[first + lane];
            (input.channel, input.state) = ((output % channels) as u32, State::Active(now + 1));
        }
        self.scratch.granted.fill((NONE, 0));
    }

    fn give_crossbar(&mut self, now: u64, router: usize) {
        let (ports, channels) = (self.ports, self.channels);
        let first = router * ports;
        let mut any = false;
        for port in 0..ports {
            let turn = self.channel_turn[first + port];
            // In turn, so that the first channel that asks for an output is the one that may have it.
            for step in 0..channels as u32 {
                let channel = (turn + step) % channels as u32;
                let input = &self.inputs[(first + port) * channels + channel as usize];
                let State::Active(from) = input.state else { continue };
                let output = (first + input.port as usize) * channels + input.channel as usize;
                if from > now || input.queue.is_empty() || self.outputs[output].credits == 0 {
                    continue;
                }
                let ask = &mut self.scratch.asks[port * ports + input.port as usize];
                if *ask == NONE {
                    *ask = channel;
                }
                any = true;
            }
        }
        if !any {
            return;
        }
        // Outputs grant one input port each; an input port accepts one of them.
        let nearest = |candidates: &mut dyn Iterator<Item = usize>, turn: u32| {
            candidates.min_by_key(|port| (*port as u32 + ports as u32 - turn) % ports as u32)
        };
        let mut accepted = [(NONE, 0_u32); 64];
        let mut far = Vec::new();
        let accepted: &mut [(u32, u32)] = if ports <= accepted.len() {
            &mut accepted[..ports]
        } else {
            far.resize(ports, (NONE, 0));
            &mut far
        };
        for output in 0..ports {
            let asks = &self.scratch.asks;
            let mut asking = (0..ports).filter(|port| asks[port * ports + output] != NONE);
            let Some(port) = nearest(&mut asking, self.switch_grant[first + output]) else { continue };
            let distance = (output as u32 + ports as u32 - self.switch_accept[first + port]) % ports as u32;
            if accepted[port].0 == NONE || distance < accepted[port].1 {
                accepted[port] = (output as u32, distance);
            }
        }
        for (port, &mut (output, _)) in accepted.iter_mut().enumerate() {
            if output == NONE {
                continue;
            }
            let channel = self.scratch.asks[port * ports + output as usize];
            self.switch_grant[first + output as usize] = (port as u32 + 1) % ports as u32;
            self.switch_accept[first + port] = (output + 1) % ports as u32;
            self.channel_turn[first + port] = (channel + 1) % channels as u32;
            self.pass(now, router, port, channel);
        }
        self.scratch.asks.fill(NONE);
    }

    /// A flit leaves its buffer through the crossbar.
    fn pass(&mut self, now: u64, router: usize, port: usize, channel: u32) {
        let at = (router * self.ports + port) * self.channels + channel as usize;
        let input = &mut self.inputs[at];
        let flit = input.queue.pop_front().expect("bug in snncc: an empty buffer won the crossbar");
        let (out_port, out_channel) = (input.port as usize, input.channel);
        let output = (router * self.ports + out_port) * self.channels + out_channel as usize;
        self.outputs[output].credits -= 1;
        self.held[router] -= 1;
        if flit.tail {
            self.outputs[output].taken = false;
            self.inputs[at].state = State::Idle;
            self.await_channel(now + 1, at as u32);
        }
        // The flit to where the output leads, the credit to where the input comes from.
        let within = router % self.mesh.routers();
        if out_port < LINKS {
            let cycles = u64::from(self.mesh.link_cycles[within][out_port]);
            self.outcome.link_flits[router][out_port] += 1;
            let next = (self.neighbour(router, out_port) * self.ports + (out_port ^ 1)) * self.channels;
            self.schedule(now, SWITCH_CYCLES + cycles, Event::Flit(next as u32 + out_channel, flit));
        } else {
            self.schedule(now, SWITCH_CYCLES + 1, Event::Arrival(output as u32, flit));
        }
        if port < LINKS {
            let before = (self.neighbour(router, port) * self.ports + (port ^ 1)) * self.channels;
            self.schedule(now, CREDIT_CYCLES, Event::Credit(before as u32 + channel));
        } else {
            let core = within * self.mesh.cores_per_router as usize + port - LINKS;
            let source = (core * self.channels) as u32 + channel;
            self.schedule(now, SOURCE_CREDIT_CYCLES, Event::SourceCredit(source));
        }
    }

    /// The router that a link leads to; the opposite link of that router comes from here.
    fn neighbour(&self, router: usize, link: usize) -> usize {
        match link {
            0 => router + 1,
            1 => router - 1,
            2 => router + self.mesh.columns as usize,
            _ => router - self.mesh.columns as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(source: u32, target: u32, ready: u64, flits: u32) -> FlitPacket {
        FlitPacket { source, target, ready, flits, service_ps: 0 }
    }

    #[test]
    fn an_idle_network_takes_four_cycles_a_router_and_two() {
        let mesh = Mesh::uniform(8, 8, 1, 1, 8);
        for (source, target, routers) in [(0, 0, 1), (0, 1, 2), (0, 8, 2), (9, 54, 11), (63, 0, 15)] {
            for flits in [1, 4] {
                let outcome = FlitSimulator::new(&mesh, &[packet(source, target, 5, flits)]).run(u64::MAX);
                assert_eq!(outcome.arrived, [5 + 4 * routers + 2 + u64::from(flits) - 1]);
            }
        }
    }

    #[test]
    fn one_channel_passes_a_packet_every_other_cycle_and_two_one_each() {
        for (channels, cycles) in [(1, 2), (2, 1)] {
            let mesh = Mesh::uniform(4, 1, 1, channels, 16);
            let packets: Vec<FlitPacket> = (0..100).map(|_| packet(0, 3, 0, 1)).collect();
            let outcome = FlitSimulator::new(&mesh, &packets).run(u64::MAX);
            assert_eq!(outcome.arrived.iter().max(), Some(&(18 + 99 * cycles)));
        }
    }

    #[test]
    fn a_busy_core_blocks_what_leads_to_it_and_its_senders_stall() {
        let mut mesh = Mesh::uniform(4, 1, 1, 1, 2);
        mesh.source_packets = Some(2);
        let packets: Vec<FlitPacket> =
            (0..40).map(|at| FlitPacket { service_ps: 100, ..packet(0, 3, at, 1) }).collect();
        let outcome = FlitSimulator::new(&mesh, &packets).run(u64::MAX);
        assert_eq!(outcome.done_ps[39], 18 + 40 * 100);
        // Four buffers of two, two at the core and two in the port are on their way while the others wait.
        assert!((2_700..2_900).contains(&outcome.stalled[0]), "{}", outcome.stalled[0]);
    }

    #[test]
    fn links_longer_than_a_cycle_add_their_cycles() {
        let mut mesh = Mesh::uniform(3, 2, 2, 1, 4);
        mesh.planes = 2;
        mesh.link_cycles.iter_mut().for_each(|links| *links = [2, 2, 4, 4]);
        for source in [0, 1] {
            let outcome = FlitSimulator::new(&mesh, &[packet(source, 11, 0, 1)]).run(u64::MAX);
            assert_eq!(outcome.arrived, [4 * 4 + 2 + 2 + 3]);
        }
    }
}
