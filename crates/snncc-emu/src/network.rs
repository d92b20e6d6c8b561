//! Time of a step with the network between cores: what the analytic level leaves out (docs/CHIP_SEMANTICS.md, "Time and energy").
//!
//! The messages of a step, with the times at which their cores send them, go through `snncc_noc`: link by link, or flit by flit. Both
//! levels give the time by which the step is longer than its busiest core. A step is complete before the next begins, so
//! the network of one step knows nothing of others, and steps run on any number of threads.
//!
//! **Invariants:** counts and energy are those of the analytic level; no step is shorter than there; results do not depend on the
//! number of threads.

use crate::core::CoreState;
use crate::program::Program;
use rayon::prelude::*;
use snncc_chip::NetworkTiming;
use snncc_noc::flit::{FlitPacket, FlitSimulator, Mesh};
use snncc_noc::{Link, Message as Packet, Network, Outcome, Routes, Simulator, Sink, Source, TreeId};
use std::collections::BTreeMap;

/// Messages from which on steps that wait are run.
const ENOUGH_MESSAGES: usize = 1 << 17;
/// Steps from which on they are.
const ENOUGH_STEPS: usize = 1 << 10;

/// How exactly the network between cores is modelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkLevel {
    /// Hops take no time.
    #[default]
    Analytic,
    /// Each link takes one message after the other; buffers are finite, and full ones stall what leads to them.
    Link,
    /// Routers with virtual channels and credits, cycle by cycle.
    Flit,
}

/// What took most of the time of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkBound {
    /// Neurons and sending, on the busiest core.
    Compute,
    /// Receiving, on the busiest core.
    Receive,
    /// Ways, waiting and stalls: the network.
    Network,
    /// The barrier.
    Barrier,
}

/// What the network did in a step. The step's time is the larger of `send_ps` and `receive_ps`, and `network_ps`, and the barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkStep {
    /// Longest time of a send side, without stalls.
    pub send_ps: u64,
    /// Longest time of a receive side, if all its messages were there from the start.
    pub receive_ps: u64,
    /// By how much the step is longer than both.
    pub network_ps: u64,
    /// Time for which cores stalled because the network did not take their messages, summed over cores.
    pub stalled_ps: u64,
    /// The core that was done last: index into [`crate::Trace::cores`].
    pub last_core: u32,
    /// The link that was occupied for longest, and how long.
    pub busiest_link: Option<(LinkPlace, u64)>,
    /// What took most of the time.
    pub bound: NetworkBound,
}

/// A directed link between routers, given by column and row over all chips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkPlace {
    /// Physical mesh.
    pub mesh: u32,
    /// Router it leaves.
    pub from: (u32, u32),
    /// Router it enters.
    pub to: (u32, u32),
}

/// What cores send in a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Send {
    /// By core, then time.
    messages: Vec<Sent>,
    /// Time of each core's send side.
    send_ps: Vec<u64>,
    /// Core and time of service of what the host sends.
    host: Vec<(u32, u64)>,
}

/// A message that a core sends.
#[derive(Clone, Copy, Debug)]
struct Sent {
    core: u32,
    target: u32,
    tree: TreeId,
    time_ps: u64,
    service_ps: u64,
}

/// The network of a program.
pub(crate) struct NetworkModel<'a> {
    program: &'a Program,
    timing: &'a NetworkTiming,
    level: NetworkLevel,
    network: Network,
    routes: Routes,
    /// Way of each message of each core's rows; of what the host sends, by core.
    trees: Vec<Vec<TreeId>>,
    host_trees: Vec<TreeId>,
    /// Place of each link; `None` for what joins chips behind a link.
    places: Vec<Option<LinkPlace>>,
    mesh: Mesh,
    /// Core of the mesh that each core of the program is.
    mesh_core: Vec<u32>,
}

impl<'a> NetworkModel<'a> {
    pub(crate) fn new(program: &'a Program, level: NetworkLevel) -> Self {
        let timing = program.costs.network.as_ref().expect("bug in snncc: the cost table says nothing of the network");
        let cores = program.cores.len();
        let port = |slots: u32| Source { slots };
        // Cores first, then for each the host, which sends straight into its input.
        let sources = [timing.send_messages, u32::MAX].iter().flat_map(|slots| vec![port(*slots); cores]).collect();
        let sinks = vec![Sink { slots: timing.receive_messages }; cores];
        let shape = &program.mesh;
        let mesh_core = |core: &crate::program::CoreProgram| {
            let router = core.position.1 * shape.columns + core.position.0;
            router * shape.cores_per_router + core.number % shape.cores_per_router
        };
        let mut model = Self {
            program,
            timing,
            level,
            network: Network { links: Vec::new(), sources, sinks, resenders: Vec::new() },
            routes: Routes::new(),
            trees: Vec::new(),
            host_trees: Vec::new(),
            places: Vec::new(),
            mesh_core: program.cores.iter().map(mesh_core).collect(),
            mesh: mesh(program, timing),
        };
        model.add_routes();
        model
    }

    fn add_routes(&mut self) {
        let mut links: BTreeMap<(LinkPlace, bool), u32> = BTreeMap::new();
        for (core, program) in self.program.cores.iter().enumerate() {
            let mut known: BTreeMap<u32, TreeId> = BTreeMap::new();
            let mut trees = Vec::with_capacity(program.rows.messages.len());
            for message in &program.rows.messages {
                let tree = *known.entry(message.core).or_insert_with(|| {
                    let way = self.way(core, message.core as usize);
                    let mut numbers = Vec::with_capacity(way.len());
                    for (place, crossing, link) in way {
                        let next = self.network.links.len() as u32;
                        let number = *links.entry((place, crossing)).or_insert(next);
                        if number == next {
                            self.network.links.push(link);
                            self.places.push((!crossing).then_some(place));
                        }
                        numbers.push(number);
                    }
                    self.routes.add_path(&numbers, message.core, 0)
                });
                trees.push(tree);
            }
            self.trees.push(trees);
        }
        self.host_trees = (0..self.program.cores.len()).map(|core| self.routes.add_path(&[], core as u32, 0)).collect();
    }

    /// Links from one core to another: along x, then along y; where chips join, what joins them follows the link.
    fn way(&self, from: usize, to: usize) -> Vec<(LinkPlace, bool, Link)> {
        let (costs, timing, shape) = (&self.program.costs, self.timing, &self.program.mesh);
        let mesh = self.mesh_core[from] % timing.meshes;
        let (mut at, end) = (self.program.cores[from].position, self.program.cores[to].position);
        let mut way = Vec::new();
        while at != end {
            let start = at;
            let east_west = at.0 != end.0;
            let (moving, goal) = if east_west { (&mut at.0, end.0) } else { (&mut at.1, end.1) };
            *moving = if *moving < goal { *moving + 1 } else { *moving - 1 };
            let place = LinkPlace { mesh, from: start, to: at };
            let (latency_ps, occupied_ps) = match east_west {
                true => (costs.hop_east_west_ps, timing.east_west_occupied_ps),
                false => (costs.hop_north_south_ps, timing.north_south_occupied_ps),
            };
            way.push((place, false, Link::new(latency_ps, occupied_ps, timing.link_messages)));
            let chip = |(x, y): (u32, u32)| (x / shape.chip_columns, y / shape.chip_rows);
            if chip(start) != chip(at) {
                let link = Link::new(costs.chip_crossing_ps, timing.chip_crossing_occupied_ps, timing.link_messages);
                way.push((place, true, link));
            }
        }
        way
    }

    /// What cores send in the step that they have just done.
    pub(crate) fn sends(&self, cores: &[CoreState], host: &[(u32, u64)]) -> Send {
        let costs = &self.program.costs;
        let mut send = Send { messages: Vec::new(), send_ps: Vec::with_capacity(cores.len()), host: host.to_vec() };
        for (core, (state, program)) in cores.iter().zip(&self.program.cores).enumerate() {
            let (mut spikes, mut messages) = (0, 0);
            for (&(compartment, _), &updated) in state.outcome.spikes.iter().zip(&state.outcome.updated_by) {
                spikes += 1;
                let before_ps = u64::from(compartment + 1) * costs.soma_access.ps
                    + u64::from(updated) * costs.soma_update.ps
                    + spikes * costs.spike_out.ps;
                let first = program.rows.starts[compartment as usize] as usize;
                let row = program.rows.row(compartment as usize);
                for (message, tree) in row.iter().zip(&self.trees[core][first..]) {
                    messages += 1;
                    let price = self.program.cores[message.core as usize].synapses.price(message.list);
                    send.messages.push(Sent {
                        core: core as u32,
                        target: message.core,
                        tree: *tree,
                        time_ps: before_ps + messages * costs.axon_out.ps,
                        service_ps: price.receive_ps,
                    });
                }
            }
            send.send_ps.push(state.load.send_ps(costs, program.compartments as u64));
        }
        send
    }

    /// Whether so many messages wait that it is time to run them.
    pub(crate) fn are_enough(&self, sends: &[Send]) -> bool {
        sends.len() >= ENOUGH_STEPS || sends.iter().map(|send| send.messages.len()).sum::<usize>() >= ENOUGH_MESSAGES
    }

    /// Runs the network of some steps.
    pub(crate) fn run(&self, sends: &[Send], barrier_ps: u64, threads: bool) -> Vec<NetworkStep> {
        let flits = |send: &Send| self.run_flits(send, barrier_ps);
        let simulator = || (Simulator::new(&self.network, &self.routes), Outcome::default());
        match (self.level, threads) {
            (NetworkLevel::Flit, true) => sends.par_iter().map(flits).collect(),
            (NetworkLevel::Flit, false) => sends.iter().map(flits).collect(),
            (_, true) => {
                let run = |state: &mut (Simulator<'_>, Outcome), send| self.run_links(state, send, barrier_ps);
                sends.par_iter().map_init(simulator, run).collect()
            }
            (_, false) => {
                let mut state = simulator();
                sends.iter().map(|send| self.run_links(&mut state, send, barrier_ps)).collect()
            }
        }
    }

    fn run_links(
        &self,
        (simulator, outcome): &mut (Simulator<'_>, Outcome),
        send: &Send,
        barrier_ps: u64,
    ) -> NetworkStep {
        let cores = self.program.cores.len();
        let host = send.host.iter().map(|&(core, service_ps)| Packet {
            source: cores as u32 + core,
            time_ps: 0,
            tree: self.host_trees[core as usize],
            service_ps,
        });
        let packet = |sent: &Sent| Packet {
            source: sent.core,
            time_ps: sent.time_ps,
            tree: sent.tree,
            service_ps: sent.service_ps,
        };
        let packets: Vec<Packet> = host.chain(send.messages.iter().map(packet)).collect();
        simulator.run_into(&packets, outcome);
        assert_eq!(outcome.lost + outcome.stuck, 0, "bug in snncc: a message that does not arrive");
        let targets = send.host.iter().map(|(core, _)| *core).chain(send.messages.iter().map(|sent| sent.target));
        let done = targets.zip(outcome.done_ps.iter().copied());
        let occupied = outcome.links.iter().zip(&self.network.links).zip(&self.places);
        let occupied = occupied.filter_map(|((used, link), place)| Some(((*place)?, used.packets * link.occupancy_ps)));
        self.step(send, barrier_ps, &outcome.stalled_ps[..cores], done, occupied)
    }

    fn run_flits(&self, send: &Send, barrier_ps: u64) -> NetworkStep {
        let (cycle_ps, flits) = (self.timing.cycle_ps, self.timing.message_flits);
        let packet = |sent: &Sent| FlitPacket {
            source: self.mesh_core[sent.core as usize],
            target: self.mesh_core[sent.target as usize],
            ready: sent.time_ps.div_ceil(cycle_ps),
            flits,
            service_ps: sent.service_ps,
        };
        let packets: Vec<FlitPacket> = send.messages.iter().map(packet).collect();
        let mut simulator = FlitSimulator::new(&self.mesh, &packets);
        let mut host = vec![0; self.program.cores.len()];
        for (core, service_ps) in &send.host {
            host[*core as usize] += service_ps;
        }
        for (core, busy_ps) in host.iter().enumerate() {
            simulator.set_busy(self.mesh_core[core], *busy_ps);
        }
        let outcome = simulator.run(u64::MAX);
        let stalled: Vec<u64> =
            self.mesh_core.iter().map(|core| outcome.stalled[*core as usize].saturating_mul(cycle_ps)).collect();
        let done = send.messages.iter().map(|sent| sent.target).zip(outcome.done_ps.iter().copied());
        let done = done.chain((0..).zip(host));
        let (columns, routers) = (self.mesh.columns, self.mesh.columns * self.mesh.rows);
        let occupied = outcome.link_flits.iter().enumerate().flat_map(|(router, links)| {
            let (mesh, router) = (router as u32 / routers, router as u32 % routers);
            let (x, y) = (router % columns, router / columns);
            let ends = [(x + 1, y), (x.wrapping_sub(1), y), (x, y + 1), (x, y.wrapping_sub(1))];
            ends.into_iter()
                .zip(*links)
                .map(move |(to, flits)| (LinkPlace { mesh, from: (x, y), to }, flits * cycle_ps))
        });
        self.step(send, barrier_ps, &stalled, done, occupied)
    }

    /// What became of a step: when each message was served, how long cores stalled and links were occupied.
    fn step(
        &self,
        send: &Send,
        barrier_ps: u64,
        stalled: &[u64],
        done: impl Iterator<Item = (u32, u64)>,
        occupied: impl Iterator<Item = (LinkPlace, u64)>,
    ) -> NetworkStep {
        let mut receive = vec![0; send.send_ps.len()];
        let host = send.host.iter().copied();
        for (core, service_ps) in host.chain(send.messages.iter().map(|sent| (sent.target, sent.service_ps))) {
            receive[core as usize] += service_ps;
        }
        let send_ps = send.send_ps.iter().copied().max().unwrap_or(0);
        let receive_ps = receive.into_iter().max().unwrap_or(0);
        let sent = (0..).zip(send.send_ps.iter().zip(stalled).map(|(send_ps, stalled_ps)| send_ps + stalled_ps));
        let mut last = (0, 0);
        for (core, time_ps) in sent.chain(done) {
            if time_ps > last.1 || (time_ps == last.1 && core < last.0) {
                last = (core, time_ps);
            }
        }
        let busy_ps = send_ps.max(receive_ps);
        let network_ps = last.1.checked_sub(busy_ps).expect("bug in snncc: a network that shortens a step");
        let mut busiest_link: Option<(LinkPlace, u64)> = None;
        for (place, occupied_ps) in occupied {
            if occupied_ps > busiest_link.map_or(0, |(_, longest)| longest) {
                busiest_link = Some((place, occupied_ps));
            }
        }
        let bound = if barrier_ps >= busy_ps.max(network_ps) {
            NetworkBound::Barrier
        } else if network_ps > busy_ps {
            NetworkBound::Network
        } else if send_ps >= receive_ps {
            NetworkBound::Compute
        } else {
            NetworkBound::Receive
        };
        let stalled_ps = stalled.iter().sum();
        NetworkStep { send_ps, receive_ps, network_ps, stalled_ps, last_core: last.0, busiest_link, bound }
    }
}

/// The mesh at the level of flits. An idle router passes a flit in four cycles, one of them the link's; links of more cycles make
/// up what a hop takes longer.
fn mesh(program: &Program, timing: &NetworkTiming) -> Mesh {
    let (shape, costs) = (&program.mesh, &program.costs);
    let cycles = |latency_ps: u64| {
        let cycles = latency_ps.div_ceil(timing.cycle_ps).saturating_sub(3).clamp(1, 1 << 20);
        cycles as u32
    };
    let router = |at: u32| {
        let (x, y) = (at % shape.columns, at / shape.columns);
        let crossing = |crosses: bool| if crosses { costs.chip_crossing_ps } else { 0 };
        let east_west = |crosses: bool| cycles(costs.hop_east_west_ps.saturating_add(crossing(crosses)));
        let north_south = |crosses: bool| cycles(costs.hop_north_south_ps.saturating_add(crossing(crosses)));
        [
            east_west((x + 1).is_multiple_of(shape.chip_columns)),
            east_west(x.is_multiple_of(shape.chip_columns)),
            north_south((y + 1).is_multiple_of(shape.chip_rows)),
            north_south(y.is_multiple_of(shape.chip_rows)),
        ]
    };
    Mesh {
        columns: shape.columns,
        rows: shape.rows,
        cores_per_router: shape.cores_per_router,
        planes: timing.meshes,
        channels: timing.channels,
        buffer_flits: timing.buffer_flits,
        link_cycles: (0..shape.columns * shape.rows).map(router).collect(),
        cycle_ps: timing.cycle_ps,
        source_packets: Some(timing.send_messages),
    }
}
