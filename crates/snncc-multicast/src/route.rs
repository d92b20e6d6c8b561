//! Multicast trees.
//!
//! One tree joins all chips with sinks of a class, over links that work both ways, and every source on it uses it in its own
//! direction: packets of one class come to a chip over few links, and those that come over the same link go on alike. A source
//! elsewhere reaches the tree by a shortest path; such paths join early. Trees grow like Prim's, breadth first from the middle, and
//! among equally short ways prefer links that earlier classes use, so that the trees of related classes coincide.
//!
//! Where dead links allow no such tree, each source gets a tree of shortest directed paths of its own.
//!
//! **Invariant:** a tree visits a chip once, and its leaves, seen from any source, are chips with sinks.

use crate::classes::Classes;
use crate::machine::{LINKS, Machine, opposite};
use crate::problem::Problem;
use snncc_ids::{Diagnostic, Diagnostics, code};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Cost of a link, next to the 1 for being the first class on it.
const HOP: u32 = 16;

/// No parent.
const ROOT: u32 = u32::MAX;

/// A tree as nodes with parents; parents come first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) chips: Vec<u32>,
    pub(crate) parent: Vec<u32>,
    /// Link from the parent to the node.
    down: Vec<u8>,
    /// Link from the node to the parent.
    up: Vec<u8>,
    /// Nodes below this number form the joint tree; the others only lead to it.
    joint: usize,
}

impl Tree {
    fn push(&mut self, chip: u32, parent: u32, down: usize, up: usize) -> u32 {
        self.chips.push(chip);
        self.parent.push(parent);
        self.down.push(down as u8);
        self.up.push(up as u8);
        self.chips.len() as u32 - 1
    }

    /// Children of each node, as starts and list.
    fn children(&self) -> (Vec<u32>, Vec<u32>) {
        let mut start = vec![0u32; self.chips.len() + 1];
        for &parent in self.parent.iter().filter(|&&parent| parent != ROOT) {
            start[parent as usize + 1] += 1;
        }
        for at in 1..start.len() {
            start[at] += start[at - 1];
        }
        let mut next = start.clone();
        let mut list = vec![0; self.chips.len().saturating_sub(1)];
        for (node, &parent) in self.parent.iter().enumerate() {
            if parent != ROOT {
                list[next[parent as usize] as usize] = node as u32;
                next[parent as usize] += 1;
            }
        }
        (start, list)
    }
}

/// The way of a packet over one chip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop {
    pub(crate) chip: u32,
    /// Link that a packet would leave by default: the one opposite to where it came in. None at the source.
    pub(crate) straight: Option<usize>,
    /// Links it leaves by, as bits.
    pub(crate) links: u32,
}

/// Nets of one class whose sources are on one chip: they have the same way everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    pub(crate) class: u32,
    pub(crate) chip: u32,
    pub(crate) nets: Vec<u32>,
    /// Its tree.
    pub(crate) tree: u32,
    pub(crate) hops: Vec<Hop>,
}

/// All trees and bundles.
pub(crate) struct Routed {
    pub(crate) trees: Vec<Tree>,
    /// By class, then by chip.
    pub(crate) bundles: Vec<Bundle>,
}

/// Routes all nets.
///
/// # Errors
/// Sinks that no working links lead to.
pub(crate) fn route(
    problem: &Problem,
    classes: &Classes,
    machine: &Machine,
    chip_of: &[u32],
) -> Result<Routed, Diagnostics> {
    let mut bundles = bundles(problem, classes, chip_of);
    let mut by_weight: Vec<(usize, usize)> = Vec::new();
    let mut first = 0;
    while first < bundles.len() {
        let count = bundles[first..].iter().take_while(|bundle| bundle.class == bundles[first].class).count();
        by_weight.push((first, first + count));
        first += count;
    }
    by_weight.sort_by_key(|&(first, _)| (Reverse(classes.weight[bundles[first].class as usize]), first));
    let mut search = Search::new(machine);
    let mut trees = Vec::new();
    let mut terminals = Vec::new();
    for (first, end) in by_weight {
        let class = bundles[first].class as usize;
        terminals.clear();
        terminals.extend(classes.sinks(problem, class).iter().map(|&sink| chip_of[sink as usize]));
        terminals.sort_unstable();
        terminals.dedup();
        let sources: Vec<u32> = bundles[first..end].iter().map(|bundle| bundle.chip).collect();
        let joint = search.joint_tree(&terminals, &sources);
        match joint {
            Some(tree) => {
                let (start, children) = tree.children();
                for bundle in &mut bundles[first..end] {
                    bundle.tree = trees.len() as u32;
                    bundle.hops = flood(&tree, &start, &children, bundle.chip);
                }
                trees.push(tree);
            }
            None => {
                for bundle in &mut bundles[first..end] {
                    let tree = search.directed_tree(bundle.chip, &terminals).map_err(|(from, to)| {
                        let ((x, y), (to_x, to_y)) = (machine.position(from), machine.position(to));
                        let message = format!("no working links lead from chip ({x}, {y}) to chip ({to_x}, {to_y})");
                        Diagnostics::from(
                            Diagnostic::error(code::NO_ROUTE, message).at(format!("nets/{}", bundle.nets[0])),
                        )
                    })?;
                    let (start, children) = tree.children();
                    bundle.tree = trees.len() as u32;
                    bundle.hops = flood(&tree, &start, &children, bundle.chip);
                    trees.push(tree);
                }
            }
        }
    }
    Ok(Routed { trees, bundles })
}

/// Nets without sinks are in none.
fn bundles(problem: &Problem, classes: &Classes, chip_of: &[u32]) -> Vec<Bundle> {
    let mut order: Vec<(u32, u32, u32)> = Vec::new();
    for (net, number) in problem.nets.iter().zip(0u32..) {
        if !problem.sinks(number as usize).is_empty() {
            order.push((classes.of_net[number as usize], chip_of[net.source as usize], number));
        }
    }
    order.sort_unstable();
    let same = order.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1));
    same.map(|nets| Bundle {
        class: nets[0].0,
        chip: nets[0].1,
        nets: nets.iter().map(|&(_, _, net)| net).collect(),
        tree: 0,
        hops: Vec::new(),
    })
    .collect()
}

/// The hops of packets from `chip` over the tree.
fn flood(tree: &Tree, start: &[u32], children: &[u32], chip: u32) -> Vec<Hop> {
    let source = tree.chips.iter().position(|&other| other == chip).expect("bug in snncc: a tree without its source");
    let mut hops = Vec::new();
    // Node, node it came from, link it came by.
    let mut stack: Vec<(u32, u32, Option<usize>)> = vec![(source as u32, ROOT, None)];
    while let Some((node, from, by)) = stack.pop() {
        let at = node as usize;
        let mut links = 0;
        let mut leave = |next: u32, link: u8, stack: &mut Vec<_>| {
            if next != from {
                links |= 1 << link;
                stack.push((next, node, Some(usize::from(link))));
            }
        };
        if tree.parent[at] != ROOT {
            leave(tree.parent[at], tree.up[at], &mut stack);
        }
        if at < tree.joint {
            let own = &children[start[at] as usize..start[at + 1] as usize];
            for &child in own.iter().filter(|&&child| (child as usize) < tree.joint) {
                leave(child, tree.down[child as usize], &mut stack);
            }
        }
        hops.push(Hop { chip: tree.chips[at], straight: by, links });
    }
    hops
}

/// Scratch of the searches, as large as the machine.
struct Search<'a> {
    machine: &'a Machine,
    /// Links that some joint tree uses, as bits.
    used: Vec<u8>,
    cost: Vec<u32>,
    /// Chip before, and the link from there to here.
    before: Vec<(u32, u8)>,
    /// Node of a chip in the tree being made.
    node: Vec<u32>,
    wanted: Vec<bool>,
}

impl<'a> Search<'a> {
    fn new(machine: &'a Machine) -> Self {
        let places = machine.places();
        Self {
            machine,
            used: vec![0; places],
            cost: vec![u32::MAX; places],
            before: vec![(0, 0); places],
            node: vec![ROOT; places],
            wanted: vec![false; places],
        }
    }

    /// A tree that joins `terminals` both ways, and the ways of `sources` to it.
    fn joint_tree(&mut self, terminals: &[u32], sources: &[u32]) -> Option<Tree> {
        let mut tree = Tree::default();
        let complete = self.grow(terminals, sources, &mut tree) && self.attach(sources, &mut tree);
        for &chip in &tree.chips {
            self.node[chip as usize] = ROOT;
        }
        for &chip in terminals.iter().chain(sources) {
            self.wanted[chip as usize] = false;
        }
        complete.then_some(tree)
    }

    fn grow(&mut self, terminals: &[u32], sources: &[u32], tree: &mut Tree) -> bool {
        let machine = self.machine;
        // A lone source belongs to the tree; it would have to come to it anyway.
        let also: &[u32] = if sources.len() == 1 { sources } else { &[] };
        let mut missing = 0;
        for &chip in terminals.iter().chain(also) {
            missing += usize::from(!std::mem::replace(&mut self.wanted[chip as usize], true));
        }
        let sum = |chip: u32| -> u64 { terminals.iter().map(|&other| u64::from(machine.distance(chip, other))).sum() };
        let middle = terminals.iter().copied().min_by_key(|&chip| (sum(chip), chip));
        let middle = middle.expect("bug in snncc: a tree without sinks");
        self.cost.fill(u32::MAX);
        let mut heap = BinaryHeap::new();
        let mut pushed = 0u32;
        self.cost[middle as usize] = 0;
        heap.push(Reverse((0, pushed, middle)));
        let mut path = Vec::new();
        while let Some(Reverse((cost, _, chip))) = heap.pop() {
            if cost > self.cost[chip as usize] {
                continue;
            }
            if self.wanted[chip as usize] && self.node[chip as usize] == ROOT {
                // The way back to the tree.
                path.clear();
                let mut at = chip;
                loop {
                    path.push(at);
                    if at == middle {
                        break;
                    }
                    at = self.before[at as usize].0;
                    if self.node[at as usize] != ROOT {
                        break;
                    }
                }
                for &at in path.iter().rev() {
                    let (before, link) = self.before[at as usize];
                    let link = usize::from(link);
                    self.node[at as usize] = if at == middle {
                        tree.push(at, ROOT, 0, 0)
                    } else {
                        self.used[before as usize] |= 1 << link;
                        self.used[at as usize] |= 1 << opposite(link);
                        tree.push(at, self.node[before as usize], link, opposite(link))
                    };
                    missing -= usize::from(self.wanted[at as usize]);
                    if self.cost[at as usize] > 0 || at == chip {
                        self.cost[at as usize] = 0;
                        pushed += 1;
                        heap.push(Reverse((0, pushed, at)));
                    }
                }
                if missing == 0 {
                    break;
                }
                if cost > 0 {
                    continue;
                }
            }
            for link in 0..LINKS {
                let Some(next) = machine.neighbour(chip, link) else { continue };
                if machine.neighbour(next, opposite(link)) != Some(chip) {
                    continue;
                }
                let further = cost + HOP + u32::from(self.used[chip as usize] >> link & 1 == 0);
                if further < self.cost[next as usize] {
                    self.cost[next as usize] = further;
                    self.before[next as usize] = (chip, link as u8);
                    pushed += 1;
                    heap.push(Reverse((further, pushed, next)));
                }
            }
        }
        tree.joint = tree.chips.len();
        missing == 0
    }

    /// Shortest ways from sources off the tree to it, found backwards from it.
    fn attach(&mut self, sources: &[u32], tree: &mut Tree) -> bool {
        let mut missing = sources.iter().filter(|&&chip| self.node[chip as usize] == ROOT).count();
        if missing == 0 {
            return true;
        }
        for &chip in sources {
            self.wanted[chip as usize] = true;
        }
        self.cost.fill(u32::MAX);
        let mut queue: VecDeque<u32> = tree.chips.iter().copied().collect();
        for &chip in &tree.chips {
            self.cost[chip as usize] = 0;
        }
        let mut path = Vec::new();
        while let Some(chip) = queue.pop_front() {
            for link in 0..LINKS {
                let Some(next) = self.machine.behind(chip, link) else { continue };
                if self.cost[next as usize] != u32::MAX {
                    continue;
                }
                self.cost[next as usize] = self.cost[chip as usize] + 1;
                self.before[next as usize] = (chip, link as u8);
                queue.push_back(next);
                if self.wanted[next as usize] && self.node[next as usize] == ROOT {
                    missing -= 1;
                    path.clear();
                    let mut at = next;
                    while self.node[at as usize] == ROOT {
                        path.push(at);
                        at = self.before[at as usize].0;
                    }
                    for &at in path.iter().rev() {
                        let (to, link) = self.before[at as usize];
                        let link = usize::from(link);
                        self.node[at as usize] = tree.push(at, self.node[to as usize], opposite(link), link);
                    }
                }
            }
            if missing == 0 {
                return true;
            }
        }
        false
    }

    /// Shortest directed paths from one chip; `Err` with a chip that none reaches.
    fn directed_tree(&mut self, source: u32, terminals: &[u32]) -> Result<Tree, (u32, u32)> {
        self.cost.fill(u32::MAX);
        self.cost[source as usize] = 0;
        let mut queue = VecDeque::from([source]);
        while let Some(chip) = queue.pop_front() {
            for link in 0..LINKS {
                if let Some(next) = self.machine.neighbour(chip, link)
                    && self.cost[next as usize] == u32::MAX
                {
                    self.cost[next as usize] = self.cost[chip as usize] + 1;
                    self.before[next as usize] = (chip, link as u8);
                    queue.push_back(next);
                }
            }
        }
        if let Some(&lost) = terminals.iter().find(|&&chip| self.cost[chip as usize] == u32::MAX) {
            return Err((source, lost));
        }
        let mut tree = Tree::default();
        self.node[source as usize] = tree.push(source, ROOT, 0, 0);
        let mut path = Vec::new();
        for &terminal in terminals {
            path.clear();
            let mut at = terminal;
            while self.node[at as usize] == ROOT {
                path.push(at);
                at = self.before[at as usize].0;
            }
            for &at in path.iter().rev() {
                let (before, link) = self.before[at as usize];
                let link = usize::from(link);
                self.node[at as usize] = tree.push(at, self.node[before as usize], link, opposite(link));
            }
        }
        tree.joint = tree.chips.len();
        for &chip in &tree.chips {
            self.node[chip as usize] = ROOT;
        }
        Ok(tree)
    }
}
