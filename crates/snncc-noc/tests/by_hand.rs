//! Small networks whose times are worked out by hand.

use snncc_noc::{
    Branch, Engine, FOREVER, Happening, Leaf, Link, Message, NEVER, NONE, Network, Packet, Resender, Routes, Simulator,
    Sink, Source, Target, TreeId,
};

fn network(links: Vec<Link>, sources: usize, sinks: usize) -> Network {
    Network {
        links,
        sources: vec![Source { slots: 9 }; sources],
        sinks: vec![Sink { slots: 9 }; sinks],
        resenders: vec![],
    }
}

fn message(source: u32, time_ps: u64, tree: TreeId) -> Message {
    Message { source, time_ps, tree, service_ps: 0 }
}

#[test]
fn a_link_takes_one_packet_at_a_time_and_a_sink_serves_one() {
    let network = network(vec![Link::new(10, 4, 9), Link::new(20, 1, 9)], 2, 1);
    let mut routes = Routes::new();
    let path = routes.add_path(&[0, 1], 0, 7);
    assert_eq!(routes.unloaded_ps(&network, path), [30]);
    // Both ask link 0 at time 5: source 0 first. Third at 6.
    let messages = [message(1, 5, path), message(0, 5, path), message(0, 6, path)];
    let got = Simulator::new(&network, &routes).run(&messages);
    // Link 0 takes at 5, 9, 13; link 1 at 15, 19, 23; the sink gets them at 35, 39, 43 and serves 7 each.
    assert_eq!(got.arrived_ps, [39, 35, 43]);
    assert_eq!(got.started_ps, [42, 35, 49]);
    assert_eq!(got.done_ps, [49, 42, 56]);
    assert_eq!((got.links[0].packets, got.links[0].waited_ps, got.links[0].longest_wait_ps), (3, 4 + 7, 7));
    assert_eq!((got.links[1].waited_ps, got.links[0].most_held), (0, 3));
    assert_eq!((got.sinks[0].waited_ps, got.sinks[0].busy_ps, got.sinks[0].most_held), (3 + 6, 21, 2));
    assert_eq!((got.lost, got.dropped, got.stuck, got.end_ps), (0, 0, 0, 43));
}

#[test]
fn a_packet_holds_its_slot_until_every_branch_took_it() {
    // Link 0 forks into 1 and 2; link 2 is slow. One slot behind link 0.
    let links = vec![Link::new(10, 1, 1), Link::new(10, 1, 9), Link::new(10, 50, 9)];
    let network = network(links, 1, 2);
    let mut routes = Routes::new();
    let branch = |parent, link| Branch { parent, link };
    let branches = [branch(None, 0), branch(Some(0), 2), branch(Some(0), 1)];
    let leaf = |branch, sink| Leaf { branch: Some(branch), sink, service_ps: 0 };
    let fork = routes.add_tree(&branches, &[leaf(1, 1), leaf(2, 0)]);
    let got = Simulator::new(&network, &routes).run(&[message(0, 0, fork), message(0, 0, fork), message(0, 0, fork)]);
    // First: at the fork at 10, both links take it, sinks at 20. The slot is free at 10: second at the fork at 20; link 1 takes it
    // at 20, link 2 at 60, when the third starts on link 0: fork at 70, link 1 at 70, link 2 at 110.
    assert_eq!(got.arrived_ps, [20, 20, 70, 30, 120, 80]);
    assert_eq!((got.links[2].waited_ps, got.links[2].longest_wait_ps), (40 + 40, 40));
    assert_eq!(got.links[0].waited_ps, 10 + 50, "each from when it was first in the port: at 0, 10");
}

#[test]
fn a_full_sink_blocks_back_to_the_source() {
    let mut network = network(vec![Link::new(1, 1, 1)], 1, 1);
    network.sources[0].slots = 1;
    network.sinks[0].slots = 1;
    let mut routes = Routes::new();
    let path = routes.add_path(&[0], 0, 100);
    let messages: Vec<Message> = (0..5).map(|at| message(0, at * 10, path)).collect();
    let got = Simulator::new(&network, &routes).run(&messages);
    // In service from 1; behind the link from 11 on; in the port from 20 on; the fourth finds the port full at 30. At 101 the sink
    // takes the second, the third goes on the link, and the port is free.
    assert_eq!(got.injected_ps, [0, 10, 20, 101, 201]);
    assert_eq!(got.arrived_ps, [1, 101, 201, 301, 401]);
    // The fifth, planned at 40, was ready at 111 and waited 90 more.
    assert_eq!(got.stalled_ps, [71 + 90]);
    assert_eq!(got.sinks[0].blocked_ps, 90 + 99 + 99 + 99);
}

#[test]
fn what_waits_too_long_is_dropped_and_sent_again() {
    // Link 0 leads to a router with a timeout of 30, link 1 on from it takes a packet each 100.
    let links = vec![Link { timeout_ps: 30, resender: 0, ..Link::new(0, 1, 1) }, Link::new(0, 100, 9)];
    let mut network = network(links, 1, 2);
    network.resenders.push(Resender { slots: 2, resend_ps: 10 });
    let mut routes = Routes::new();
    let branch = |parent, link| Branch { parent, link };
    let leaf = |branch, sink| Leaf { branch: Some(branch), sink, service_ps: 0 };
    let fork = routes.add_tree(&[branch(None, 0), branch(Some(0), 1)], &[leaf(0, 0), leaf(1, 1)]);
    let messages: Vec<Message> = (0..6).map(|_| message(0, 0, fork)).collect();
    let got = Simulator::new(&network, &routes).run(&messages);
    // Sink 0 is at the router and gets all: at 0, then the second at 1 (link 0 takes one a picosecond), which gives up link 1 at 31;
    // the third is there at 31 and gives up at 61, the fourth at 61 and 91, the fifth at 91.
    let near: Vec<u64> = got.arrived_ps.iter().copied().step_by(2).collect();
    assert_eq!(near, [0, 1, 31, 61, 91, 121]);
    // The resender asks for the second at 41, in vain until 100, while it keeps the third, and has no room for the fourth. The fifth
    // has asked at 91: it goes at 200, but gives up at 121, when one place is free again. The third asks at 110, the fifth at 210, the
    // sixth at 121 and gives up at 151: no room, as the third and the fifth are kept.
    let far: Vec<u64> = got.arrived_ps.iter().copied().skip(1).step_by(2).collect();
    assert_eq!(far, [0, 100, 200, NEVER, 300, NEVER]);
    assert_eq!((got.dropped, got.lost, got.links[1].dropped, got.links[1].packets), (5, 2, 5, 4));
    let resender = got.resenders[0];
    assert_eq!((resender.given, resender.resent, resender.overflowed, resender.most_held), (5, 3, 2, 2));
}

#[test]
fn without_a_resender_what_is_dropped_is_lost() {
    let links = vec![Link { timeout_ps: 5, ..Link::new(0, 0, 1) }];
    let mut network = network(links, 1, 1);
    network.sinks[0].slots = 1;
    let mut routes = Routes::new();
    let path = routes.add_path(&[0], 0, 100);
    let mut engine = Engine::new(&network, &routes);
    for payload in 0..2 {
        assert!(engine.inject(0, 0, Packet { tree: path, payload, service_ps: 0 }));
    }
    let mut told = Vec::new();
    while let Some(happening) = engine.advance(FOREVER) {
        told.push(happening);
    }
    let (payload, at, target, leaves, time_ps) = (1, 0, Target::Sink(0), 1, 5);
    assert_eq!(
        told,
        [
            Happening::Taken { payload: 0, leaf: 0, sink: 0, arrived_ps: 0, started_ps: 0, done_ps: 100 },
            Happening::Dropped { payload, at, target, leaves, time_ps },
            Happening::Lost { payload, at, target, leaves, time_ps },
        ]
    );
    assert_eq!((engine.under_way(), network.links[0].resender), (0, NONE));
    assert_eq!(engine.sink_use()[0].dropped, 1);
}

#[test]
fn a_circle_of_full_links_is_stuck() {
    let network = network(vec![Link::new(1, 1, 1); 3], 3, 3);
    let mut routes = Routes::new();
    let paths: Vec<TreeId> =
        (0..3).map(|at| routes.add_path(&[at, (at + 1) % 3, (at + 2) % 3], (at + 2) % 3, 0)).collect();
    let messages: Vec<Message> = (0..3).map(|at| message(at, 0, paths[at as usize])).collect();
    let got = Simulator::new(&network, &routes).run(&messages);
    assert_eq!((got.stuck, got.lost), (3, 0));
    assert_eq!(got.arrived_ps, [NEVER; 3]);
    // A second slot loosens it.
    let network = Network { links: vec![Link::new(1, 1, 2); 3], ..network };
    assert_eq!(Simulator::new(&network, &routes).run(&messages).arrived_ps, [3; 3]);
}

#[test]
fn a_way_of_no_links_or_no_leaves_is_one() {
    let network = network(vec![], 1, 1);
    let mut routes = Routes::new();
    let (home, nowhere) = (routes.add_path(&[], 0, 3), routes.add_tree(&[], &[]));
    let got = Simulator::new(&network, &routes).run(&[message(0, 2, nowhere), message(0, 2, home)]);
    assert_eq!((got.first_leaf, got.arrived_ps, got.done_ps), (vec![0, 0, 1], vec![2], vec![5]));
}
