//! The best table of nested prefixes, in linear time.
//!
//! After Draves, King, Venkatachary and Zill, "Constructing optimal IP routing tables" (INFOCOM 1999): in a binary trie over the
//! keys, going up, each node keeps the routes that cost its subtree least; going down, a node takes an entry only where the route
//! it inherits is not among them. Here keys that never arrive cost nothing with any route (the trie skips them), and
//! defaultable keys may also inherit "no entry at all", which an entry above takes away for good.
//!
//! **Invariant:** no table whose blocks are prefixes is shorter, as long as the blocks given are disjoint prefixes.

use crate::table::{Entry, KeyBlock, Route};

/// A node over the blocks `first..end` of the sorted list.
struct Node {
    /// Children; for a leaf the number of its block and `LEAF`.
    children: (u32, u32),
    /// Fewest entries below, when one of `routes` is inherited.
    entries: u32,
    /// The same when nothing is inherited.
    entries_of_none: u32,
    /// Range in the arena of routes.
    routes: (u32, u32),
    /// The prefix that all blocks below share.
    block: KeyBlock,
}

const LEAF: u32 = u32::MAX;

/// Whether the block is a prefix: its mask is ones and then zeros.
pub(crate) fn is_prefix(block: KeyBlock) -> bool {
    block.mask.leading_ones() + block.mask.trailing_zeros() == u32::BITS || block.mask == 0
}

/// The shortest prefix table for disjoint prefix blocks, sorted by key.
pub(crate) fn minimize_prefixes(blocks: &[Entry]) -> Vec<Entry> {
    debug_assert!(blocks.windows(2).all(|pair| pair[0].block.key < pair[1].block.key));
    if blocks.is_empty() {
        return Vec::new();
    }
    let mut nodes: Vec<Node> = Vec::with_capacity(2 * blocks.len());
    let mut arena: Vec<Route> = Vec::with_capacity(2 * blocks.len());
    let root = build(blocks, 0, &mut nodes, &mut arena);
    let mut out = Vec::new();
    // Parents are pushed before their children, and the list is turned round: longer prefixes come first.
    let mut stack: Vec<(u32, Option<Route>)> = vec![(root, None)];
    while let Some((number, inherited)) = stack.pop() {
        let node = &nodes[number as usize];
        let routes = &arena[node.routes.0 as usize..node.routes.1 as usize];
        let stays = match inherited {
            // Equal is enough: an entry here would cost one more than `entries`.
            None => node.entries_of_none <= node.entries,
            Some(route) => routes.binary_search(&route).is_ok(),
        };
        let now = if stays {
            inherited
        } else {
            let route = routes[0];
            out.push(Entry { block: node.block, route, defaultable: false });
            Some(route)
        };
        if node.children.1 != LEAF {
            stack.push((node.children.1, now));
            stack.push((node.children.0, now));
        }
    }
    out.reverse();
    out
}

/// Builds the node over `blocks` and returns its number. The depth is at most the 32 bits of a key.
fn build(blocks: &[Entry], offset: u32, nodes: &mut Vec<Node>, arena: &mut Vec<Route>) -> u32 {
    let start = arena.len() as u32;
    let (first, last) = (blocks[0].block, blocks[blocks.len() - 1].block);
    if blocks.len() == 1 {
        arena.push(blocks[0].route);
        nodes.push(Node {
            children: (offset, LEAF),
            entries: 0,
            entries_of_none: u32::from(!blocks[0].defaultable),
            routes: (start, start + 1),
            block: first,
        });
        return nodes.len() as u32 - 1;
    }
    let bit = (first.key ^ last.key).ilog2();
    let split = blocks.partition_point(|entry| entry.block.key >> bit & 1 == 0);
    let a = build(&blocks[..split], offset, nodes, arena);
    let b = build(&blocks[split..], offset + split as u32, nodes, arena);
    let (left, right) = (&nodes[a as usize], &nodes[b as usize]);
    let start = arena.len() as u32;
    let of = |node: &Node| node.routes.0 as usize..node.routes.1 as usize;
    combine(arena, of(left), of(right), true);
    let mut entries = left.entries + right.entries;
    if arena.len() as u32 == start {
        combine(arena, of(left), of(right), false);
        entries += 1;
    }
    let mask = (u32::MAX << bit) << 1;
    let node = Node {
        children: (a, b),
        entries,
        entries_of_none: (left.entries_of_none + right.entries_of_none).min(entries + 1),
        routes: (start, arena.len() as u32),
        block: KeyBlock { key: first.key & mask, mask },
    };
    nodes.push(node);
    nodes.len() as u32 - 1
}

/// Appends the intersection or the union of two ascending ranges of the arena to it.
fn combine(arena: &mut Vec<Route>, a: std::ops::Range<usize>, b: std::ops::Range<usize>, intersection: bool) {
    let (mut i, mut j) = (a.start, b.start);
    while i < a.end || j < b.end {
        let order = match (i < a.end, j < b.end) {
            (true, true) => arena[i].cmp(&arena[j]),
            (true, false) => std::cmp::Ordering::Less,
            _ => std::cmp::Ordering::Greater,
        };
        let route = if order.is_gt() { arena[j] } else { arena[i] };
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
        if order.is_eq() || !intersection {
            arena.push(route);
        }
    }
}
