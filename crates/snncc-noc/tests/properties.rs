//! What holds on every network.

use proptest::prelude::*;
use snncc_noc::{
    Branch, Leaf, Link, Message, NEVER, NONE, Network, Outcome, Resender, Routes, Simulator, Sink, Source, TreeId,
};

/// A mesh of `SIDE` by `SIDE` places, each with a source and a sink.
const SIDE: u32 = 3;
const PLACES: u32 = SIDE * SIDE;

/// The link from a place in a direction (east, north, west, south); those over the edge are not used.
fn link(place: u32, direction: u32) -> u32 {
    place * 4 + direction
}

fn to(place: u32, direction: u32) -> Option<u32> {
    let (x, y) = (place % SIDE, place / SIDE);
    match direction {
        0 => (x + 1 < SIDE).then(|| place + 1),
        1 => (y + 1 < SIDE).then(|| place + SIDE),
        2 => (x > 0).then(|| place - 1),
        _ => (y > 0).then(|| place - SIDE),
    }
}

/// First x, then y.
fn path(from: u32, target: u32) -> Vec<u32> {
    let mut links = Vec::new();
    let mut at = from;
    while at != target {
        let direction = match (at % SIDE).cmp(&(target % SIDE)) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Greater => 2,
            std::cmp::Ordering::Equal => 1 + 2 * u32::from(at > target),
        };
        links.push(link(at, direction));
        at = to(at, direction).unwrap();
    }
    links
}

/// The tree of the paths to some places.
fn tree(routes: &mut Routes, from: u32, targets: &[u32]) -> TreeId {
    let mut branches: Vec<Branch> = Vec::new();
    let mut leaves = Vec::new();
    for &target in targets {
        let mut parent = None;
        for link in path(from, target) {
            let known = branches.iter().position(|branch| *branch == Branch { parent, link });
            parent = Some(known.unwrap_or_else(|| {
                branches.push(Branch { parent, link });
                branches.len() - 1
            }) as u32);
        }
        leaves.push(Leaf { branch: parent, sink: target, service_ps: 0 });
    }
    routes.add_tree(&branches, &leaves)
}

#[derive(Clone, Debug)]
struct Case {
    network: Network,
    routes: Routes,
    messages: Vec<Message>,
}

fn numbers() -> impl Strategy<Value = (u64, u64, u32)> {
    (0..40_u64, 0..20_u64, 1..4_u32)
}

/// Random links, messages and trees with up to `most` sinks; a timeout in each router if `drops`.
fn cases(most: usize, drops: bool) -> impl Strategy<Value = Case> {
    let links = prop::collection::vec(numbers(), (PLACES * 4) as usize);
    let slots = prop::collection::vec((1..4_u32, 1..4_u32), PLACES as usize);
    let target = prop::collection::btree_set(0..PLACES, 1..=most);
    let messages = prop::collection::vec((0..PLACES, 0..300_u64, target, 0..60_u64), 0..60);
    let resender = (0..6_u32, 0..100_u64, 1..60_u64, any::<bool>());
    (links, slots, messages, resender).prop_map(move |(links, slots, messages, (kept, resend_ps, timeout_ps, has))| {
        let links = links.into_iter().enumerate().map(|(at, (latency_ps, occupancy_ps, slots))| {
            let plain = Link::new(latency_ps, occupancy_ps, slots);
            let resender = if has { at as u32 / 4 } else { NONE };
            if drops { Link { timeout_ps, resender, ..plain } } else { plain }
        });
        let network = Network {
            links: links.collect(),
            sources: slots.iter().map(|(slots, _)| Source { slots: *slots }).collect(),
            sinks: slots.iter().map(|(_, slots)| Sink { slots: *slots }).collect(),
            resenders: vec![Resender { slots: kept, resend_ps }; PLACES as usize],
        };
        let mut routes = Routes::new();
        let mut messages: Vec<Message> = messages
            .into_iter()
            .map(|(source, time_ps, targets, service_ps)| {
                let targets: Vec<u32> = targets.into_iter().collect();
                Message { source, time_ps, tree: tree(&mut routes, source, &targets), service_ps }
            })
            .collect();
        messages.sort_by_key(|message| message.time_ps);
        Case { network, routes, messages }
    })
}

fn run(case: &Case) -> Outcome {
    Simulator::new(&case.network, &case.routes).run(&case.messages)
}

fn check(case: &Case, got: &Outcome) -> Result<(), TestCaseError> {
    for (at, message) in case.messages.iter().enumerate() {
        prop_assert!(got.injected_ps[at] >= message.time_ps);
        let unloaded = case.routes.unloaded_ps(&case.network, message.tree);
        for (leaf, unloaded_ps) in (got.first_leaf[at]..got.first_leaf[at + 1]).zip(unloaded) {
            if got.arrived_ps[leaf] != NEVER {
                prop_assert!(got.arrived_ps[leaf] >= got.injected_ps[at] + unloaded_ps);
                prop_assert!(got.started_ps[leaf] >= got.arrived_ps[leaf]);
                prop_assert_eq!(got.done_ps[leaf], got.started_ps[leaf] + message.service_ps);
            }
        }
    }
    let missing = got.arrived_ps.iter().filter(|time| **time == NEVER).count() as u64;
    prop_assert_eq!(missing, got.lost + got.stuck);
    prop_assert_eq!(got.sinks.iter().map(|sink| sink.packets).sum::<u64>() + missing, got.arrived_ps.len() as u64);
    let (given, resent, overflowed) =
        got.resenders.iter().fold((0, 0, 0), |sum, r| (sum.0 + r.given, sum.1 + r.resent, sum.2 + r.overflowed));
    prop_assert_eq!(given, resent + overflowed);
    for (link, data) in got.links.iter().zip(&case.network.links) {
        prop_assert!(link.most_held <= data.slots);
    }
    for (sink, data) in got.sinks.iter().zip(&case.network.sinks) {
        prop_assert!(sink.most_held <= data.slots);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn all_paths_arrive_where_nothing_is_dropped(case in cases(1, false)) {
        let got = run(&case);
        check(&case, &got)?;
        // First x, then y: no circle of links.
        prop_assert_eq!((got.lost, got.stuck, got.dropped), (0, 0, 0));
    }

    #[test]
    fn copies_arrive_or_are_lost(case in cases(4, true)) {
        let got = run(&case);
        check(&case, &got)?;
        prop_assert_eq!(got.stuck, 0, "whoever waits at a router gives up");
        if case.network.links[0].resender == NONE {
            prop_assert!(got.dropped <= got.lost);
        }
    }

    #[test]
    fn the_order_of_the_list_does_not_matter(case in cases(3, true), shuffle in any::<prop::sample::Index>()) {
        // Another order of sources; that of each source stays.
        let shift = shuffle.index(PLACES as usize) as u32;
        let mut order: Vec<usize> = (0..case.messages.len()).collect();
        order.sort_by_key(|at| (case.messages[*at].source + shift) % PLACES);
        let other = Case { messages: order.iter().map(|at| case.messages[*at]).collect(), ..case.clone() };
        let (got, moved) = (run(&case), run(&other));
        for (at, from) in order.iter().enumerate() {
            prop_assert_eq!(moved.injected_ps[at], got.injected_ps[*from]);
            let leaves = |of: &Outcome, at: usize| of.arrived_ps[of.first_leaf[at]..of.first_leaf[at + 1]].to_vec();
            prop_assert_eq!(leaves(&moved, at), leaves(&got, *from));
        }
        prop_assert_eq!((got.links, got.sinks, got.stalled_ps), (moved.links, moved.sinks, moved.stalled_ps));
    }

    #[test]
    fn a_simulator_may_run_again(case in cases(3, true)) {
        let mut simulator = Simulator::new(&case.network, &case.routes);
        let first = simulator.run(&case.messages);
        let mut again = simulator.run(&case.messages[..case.messages.len() / 2]);
        simulator.run_into(&case.messages, &mut again);
        prop_assert_eq!(first, again);
    }

    #[test]
    fn longer_latencies_make_nothing_earlier_on_a_line(
        links in prop::collection::vec(numbers(), 5),
        messages in prop::collection::vec((0..100_u64, 0..=5_usize, 0..60_u64), 1..40),
        (at, more) in (0..5_usize, 1..50_u64),
    ) {
        // One source: packets stay in order on every link, so what is later makes others later at most.
        let links: Vec<Link> = links.into_iter().map(|(latency, cycle, slots)| Link::new(latency, cycle, slots)).collect();
        let mut network = Network {
            links,
            sources: vec![Source { slots: 2 }],
            sinks: vec![Sink { slots: 2 }; 6],
            resenders: vec![],
        };
        let mut routes = Routes::new();
        let line: Vec<u32> = (0..5).collect();
        let paths: Vec<TreeId> = (0..=5).map(|len| routes.add_path(&line[..len], len as u32, 0)).collect();
        let mut messages: Vec<Message> = messages
            .into_iter()
            .map(|(time_ps, len, service_ps)| Message { source: 0, time_ps, tree: paths[len], service_ps })
            .collect();
        messages.sort_by_key(|message| message.time_ps);
        let before = Simulator::new(&network, &routes).run(&messages);
        network.links[at].latency_ps += more;
        let after = Simulator::new(&network, &routes).run(&messages);
        prop_assert_eq!((before.lost, before.stuck, after.stuck), (0, 0, 0));
        prop_assert!(before.done_ps.iter().zip(&after.done_ps).all(|(before, after)| before <= after));
    }

    #[test]
    fn one_link_serves_who_comes_first(
        (latency, cycle) in (0..40_u64, 0..20_u64),
        times in prop::collection::vec((0..200_u64, 0..30_u64), 1..40),
    ) {
        let network = Network {
            links: vec![Link::new(latency, cycle, u32::MAX)],
            sources: vec![Source { slots: 1 }; times.len()],
            sinks: vec![Sink { slots: u32::MAX }],
            resenders: vec![],
        };
        let mut routes = Routes::new();
        let tree = routes.add_path(&[0], 0, 0);
        let messages: Vec<Message> = (0_u32..)
            .zip(times)
            .map(|(source, (time_ps, service_ps))| Message { source, time_ps, tree, service_ps })
            .collect();
        let got = Simulator::new(&network, &routes).run(&messages);
        let mut order: Vec<usize> = (0..messages.len()).collect();
        order.sort_by_key(|at| (messages[*at].time_ps, *at));
        let (mut link_ps, mut sink_ps) = (0, 0);
        for at in order {
            let taken_ps = messages[at].time_ps.max(link_ps);
            link_ps = taken_ps + cycle;
            let started_ps = sink_ps.max(taken_ps + latency);
            sink_ps = started_ps + messages[at].service_ps;
            prop_assert_eq!(got.arrived_ps[at], taken_ps + latency);
            prop_assert_eq!((got.started_ps[at], got.done_ps[at]), (started_ps, sink_ps));
        }
        prop_assert_eq!(&got.stalled_ps, &vec![0; messages.len()]);
    }
}
