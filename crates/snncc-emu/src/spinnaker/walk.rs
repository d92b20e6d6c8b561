//! Where packets go: through the routing tables, once for all keys that take the same way.

use super::machine::{LINKS, SpinnakerMachine};
use snncc_image::spinnaker::{ChipImage, RouteEntry};
use std::collections::BTreeSet;

/// Copies of packets that are lost, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Sent by a core whose router has no entry for the key.
    pub unrouted: u64,
    /// Routed to a link that does not work or leads nowhere.
    pub dead_links: u64,
    /// Come to a router over the same link a second time.
    pub looping: u64,
}

impl Drops {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.unrouted + self.dead_links + self.looping
    }

    pub(crate) fn add(&mut self, other: &Drops) {
        self.unrouted += other.unrouted;
        self.dead_links += other.dead_links;
        self.looping += other.looping;
    }
}

/// A router that a copy of a packet comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) chip: u32,
    /// The visit before, and the link from there; `None` where the packet is sent.
    pub(crate) from: Option<(u32, u32)>,
}

/// What becomes of a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    /// Chip and core of each copy that arrives, ascending.
    pub(crate) arrivals: Vec<(u32, u32)>,
    /// The visit at which each of them leaves the network.
    pub(crate) last_visits: Vec<u32>,
    /// In an order in which each comes after that before it.
    pub(crate) visits: Vec<Visit>,
    /// Links that copies take.
    pub(crate) hops: u32,
    pub(crate) drops: Drops,
}

/// Keys `key + (i << colour_bits)` for `i` below `2^neuron_bits`; the key is a multiple of the block's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyBlock {
    pub(crate) key: u32,
    pub(crate) neuron_bits: u32,
    pub(crate) colour_bits: u32,
}

impl KeyBlock {
    /// Bits in which the keys differ.
    fn varying(self) -> u32 {
        ((1 << self.neuron_bits) - 1) << self.colour_bits
    }
}

enum Match {
    Route(u32),
    None,
    /// Some keys of the block match an entry, some do not.
    Parted,
}

fn look_up(routes: &[RouteEntry], block: KeyBlock) -> Match {
    let varying = block.varying();
    for entry in routes {
        if (block.key ^ entry.key) & entry.mask & !varying == 0 {
            return if entry.mask & varying == 0 { Match::Route(entry.route) } else { Match::Parted };
        }
    }
    Match::None
}

/// Walks packets over a machine.
pub(crate) struct Walker<'a> {
    pub(crate) machine: &'a SpinnakerMachine,
    /// By ascending number.
    pub(crate) chips: &'a [ChipImage],
}

impl Walker<'_> {
    /// Gives `visit` the way of the packets of neurons `0 .. neurons` that a core of `chip` sends: first neuron, number of
    /// neurons, what becomes of their packets.
    pub(crate) fn walk(&self, chip: u32, block: KeyBlock, neurons: u32, visit: &mut impl FnMut(u32, u32, &Tree)) {
        self.walk_part(chip, block, 0, neurons, visit);
    }

    fn walk_part(&self, chip: u32, block: KeyBlock, first: u32, neurons: u32, visit: &mut impl FnMut(u32, u32, &Tree)) {
        if first >= neurons {
            return;
        }
        if let Some(tree) = self.tree(chip, block) {
            visit(first, (1 << block.neuron_bits).min(neurons - first), &tree);
            return;
        }
        let neuron_bits = block.neuron_bits - 1;
        let half = 1_u32 << neuron_bits;
        self.walk_part(chip, KeyBlock { neuron_bits, ..block }, first, neurons, visit);
        let upper = KeyBlock { key: block.key | half << block.colour_bits, neuron_bits, ..block };
        self.walk_part(chip, upper, first + half, neurons, visit);
    }

    /// The way of all packets of a block; `None` if they part.
    fn tree(&self, chip: u32, block: KeyBlock) -> Option<Tree> {
        let mut tree = Tree::default();
        let mut seen = BTreeSet::new();
        let mut arrivals = Vec::new();
        // Visit, and direction in which the packet came.
        let mut open: Vec<(u32, Option<u32>)> = vec![(0, None)];
        tree.visits.push(Visit { chip, from: None });
        while let Some((visit, came)) = open.pop() {
            let chip = tree.visits[visit as usize].chip;
            let at = self.chips.binary_search_by_key(&chip, |image| image.chip);
            let routes = at.map_or(&[][..], |at| &self.chips[at].routes);
            let route = match (look_up(routes, block), came) {
                (Match::Parted, _) => return None,
                (Match::Route(route), _) => route,
                (Match::None, Some(direction)) => 1 << direction,
                (Match::None, None) => {
                    tree.drops.unrouted += 1;
                    continue;
                }
            };
            for link in (0..LINKS).filter(|link| route >> link & 1 == 1) {
                let Some(next) = self.machine.neighbour(chip, link) else {
                    tree.drops.dead_links += 1;
                    continue;
                };
                tree.hops += 1;
                if seen.insert((next, link)) {
                    open.push((tree.visits.len() as u32, Some(link)));
                    tree.visits.push(Visit { chip: next, from: Some((visit, link)) });
                } else {
                    tree.drops.looping += 1;
                }
            }
            let cores = (LINKS..u32::BITS).filter(|bit| route >> bit & 1 == 1);
            arrivals.extend(cores.map(|bit| (chip, bit - LINKS, visit)));
        }
        arrivals.sort_unstable();
        tree.arrivals = arrivals.iter().map(|(chip, core, _)| (*chip, *core)).collect();
        tree.last_visits = arrivals.iter().map(|(_, _, visit)| *visit).collect();
        Some(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chip(chip: u32, routes: &[(u32, u32, u32)]) -> ChipImage {
        let routes = routes.iter().map(|&(key, mask, route)| RouteEntry { key, mask, route }).collect();
        ChipImage { chip, routes, cores: Vec::new() }
    }

    fn walk(
        machine: &SpinnakerMachine,
        chips: &[ChipImage],
        from: u32,
        block: KeyBlock,
        neurons: u32,
    ) -> Vec<(u32, u32, Tree)> {
        let mut trees = Vec::new();
        let mut visit = |first, count, tree: &Tree| trees.push((first, count, tree.clone()));
        Walker { machine, chips }.walk(from, block, neurons, &mut visit);
        trees
    }

    const BLOCK: KeyBlock = KeyBlock { key: 0x100, neuron_bits: 2, colour_bits: 4 };

    #[test]
    fn packets_go_straight_on_where_no_entry_matches() {
        let machine = SpinnakerMachine::new(5, 1, [false; 2]);
        let chips = [chip(0, &[(0x100, !0xff, 1)]), chip(3, &[(0x100, !0xff, 1 << 8)])];
        let trees = walk(&machine, &chips, 0, BLOCK, 3);
        let visits =
            (0..4_u32).map(|chip| Visit { chip, from: chip.checked_sub(1).map(|before| (before, 0)) }).collect();
        let tree = Tree { arrivals: vec![(3, 2)], last_visits: vec![3], visits, hops: 3, drops: Drops::default() };
        assert_eq!(trees, [(0, 3, tree)]);
        // Beyond the last chip nothing is left of it.
        let trees = walk(&machine, &chips[..1], 0, BLOCK, 3);
        assert_eq!((trees[0].2.hops, trees[0].2.drops), (4, Drops { dead_links: 1, ..Drops::default() }));
        let trees = walk(&machine, &chips, 1, BLOCK, 3);
        assert_eq!((trees[0].2.hops, trees[0].2.drops.unrouted), (0, 1));
    }

    #[test]
    fn the_first_entry_counts_and_keys_may_part() {
        let machine = SpinnakerMachine::new(1, 1, [false; 2]);
        // Neuron 2 by an entry of its own, then all.
        let chips = [chip(0, &[(0x120, !0xf, 1 << 6), (0x100, !0x3f, 1 << 7)])];
        let trees = walk(&machine, &chips, 0, BLOCK, 4);
        let ways: Vec<(u32, u32, (u32, u32))> =
            trees.iter().map(|(at, len, tree)| (*at, *len, tree.arrivals[0])).collect();
        assert_eq!(ways, [(0, 2, (0, 1)), (2, 1, (0, 0)), (3, 1, (0, 1))]);
        assert_eq!(walk(&machine, &chips, 0, BLOCK, 2).len(), 1);
    }

    #[test]
    fn loops_end() {
        // A ring without an entry but the first: once round.
        let machine = SpinnakerMachine::new(4, 1, [true, false]);
        let chips = [chip(1, &[(0x100, !0xff, 1 | 1 << 6)])];
        let tree = &walk(&machine, &chips, 1, BLOCK, 1)[0].2;
        assert_eq!((tree.hops, tree.drops.looping), (5, 1));
        assert_eq!(tree.arrivals, [(1, 0), (1, 0)], "at the start, and after a round");
    }
}
