//! Routers and links of a machine as a network of [`snncc_noc`], with the trees that its packets take.
//!
//! A router is a link of that network that all packets of its chip pass: it takes one each cycle, and drops what an output does
//! not take in time. Behind it are the links to other chips and the cores. Only chips that a packet comes to are part of it.

use super::machine::LINKS;
use super::walk::Tree;
use snncc_chip::{SpinnakerCosts, SpinnakerTimeline};
use snncc_noc::{Branch, Leaf, Link, Network, Resender, Routes, Sink, Source, Target, TreeId};
use std::collections::BTreeMap;

/// Links of the network for each chip: the router, then the links to other chips.
const PER_CHIP: u32 = 1 + LINKS;

/// What a link of the network stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The router of a chip.
    Router(u32),
    /// A link of a chip.
    Link(u32, u8),
}

/// Network and trees. Sources and sinks are the cores of the program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fabric {
    pub(crate) network: Network,
    pub(crate) routes: Routes,
    /// Number of each chip, in the order of the network's links.
    pub(crate) chips: Vec<u32>,
}

impl Fabric {
    pub(crate) fn part(&self, link: u32) -> Part {
        let chip = self.chips[(link / PER_CHIP) as usize];
        match link % PER_CHIP {
            0 => Part::Router(chip),
            at => Part::Link(chip, (at - 1) as u8),
        }
    }

    /// Chip and link of a target that is a link.
    pub(crate) fn link_of(&self, target: Target) -> Option<(u32, u8)> {
        match target {
            Target::Sink(_) => None,
            Target::Link(link) => match self.part(link) {
                Part::Link(chip, link) => Some((chip, link)),
                Part::Router(_) => unreachable!("bug in snncc: a link waits for its router without a timeout"),
            },
        }
    }
}

/// Makes a [`Fabric`] of trees.
#[derive(Clone, Debug)]
pub(crate) struct FabricBuilder {
    fabric: Fabric,
    router: Link,
    link: Link,
    resender: Resender,
    service_ps: u64,
    /// Index of each chip.
    index: BTreeMap<u32, u32>,
}

impl FabricBuilder {
    /// For a program of so many cores.
    pub(crate) fn new(costs: &SpinnakerCosts, cores: usize) -> Self {
        let SpinnakerTimeline { router_time_ps, router_cycle_ps, router_wait_cycles, .. } = &costs.timeline;
        let timeline = &costs.timeline;
        let router = Link {
            timeout_ps: router_cycle_ps.0.saturating_mul(router_wait_cycles.0),
            ..Link::new(router_time_ps.0, router_cycle_ps.0, timeline.router_slots.0)
        };
        let latency_ps = costs.hop_time_ps.0.saturating_sub(router_time_ps.0);
        let network = Network {
            sources: vec![Source { slots: timeline.send_slots.0 }; cores],
            // One that is being taken into the queue, and those that wait.
            sinks: vec![Sink { slots: timeline.receive_slots.0.saturating_add(1) }; cores],
            ..Network::default()
        };
        let (slots, resend_ps) = (timeline.reinjection_packets.0, timeline.reinjection_ps.0);
        Self {
            fabric: Fabric { network, ..Fabric::default() },
            router,
            link: Link::new(latency_ps, costs.link_occupied_ps.0, timeline.link_slots.0),
            resender: Resender { slots, resend_ps },
            service_ps: super::timing::time_ps(timeline.spike_interrupt.cycles.into(), costs.clock_hz.0),
            index: BTreeMap::new(),
        }
    }

    /// First link of a chip: its router.
    fn router_of(&mut self, chip: u32) -> u32 {
        let fabric = &mut self.fabric;
        let index = *self.index.entry(chip).or_insert_with(|| {
            let resender = fabric.chips.len() as u32;
            fabric.chips.push(chip);
            fabric.network.links.push(Link { resender, ..self.router });
            fabric.network.links.extend([self.link; LINKS as usize]);
            fabric.network.resenders.push(self.resender);
            resender
        });
        index * PER_CHIP
    }

    /// The tree of packets that arrive at these cores, in the order of the tree's arrivals.
    pub(crate) fn add(&mut self, tree: &Tree, targets: &[usize]) -> TreeId {
        let mut branches = Vec::with_capacity(2 * tree.visits.len());
        // The branch of the router of each visit.
        let mut routers = Vec::with_capacity(tree.visits.len());
        for visit in &tree.visits {
            let parent = visit.from.map(|(before, link)| {
                let chip = tree.visits[before as usize].chip;
                let link = self.router_of(chip) + 1 + link;
                branches.push(Branch { parent: Some(routers[before as usize]), link });
                branches.len() as u32 - 1
            });
            branches.push(Branch { parent, link: self.router_of(visit.chip) });
            routers.push(branches.len() as u32 - 1);
        }
        let leaves: Vec<Leaf> = (tree.last_visits.iter().zip(targets))
            .map(|(visit, core)| Leaf {
                branch: Some(routers[*visit as usize]),
                sink: *core as u32,
                service_ps: self.service_ps,
            })
            .collect();
        self.fabric.routes.add_tree(&branches, &leaves)
    }

    /// What was made.
    pub(crate) fn take(&mut self) -> Fabric {
        std::mem::take(&mut self.fabric)
    }
}
