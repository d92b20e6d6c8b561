//! Short tables with the same meaning, and the proof that it is the same.
//!
//! The keys in use at a router are those its table matches. All others are free: they never arrive. A table is first taken apart
//! into disjoint prefix blocks. [`prefix`](crate::prefix) is exact among prefixes and linear; general
//! [`ternary`](crate::ternary) blocks are tried where that leaves room, which is where there are more entries than routes.
//! The shortest result that [`equivalent`] proves is kept.

use crate::prefix::{is_prefix, minimize_prefixes};
use crate::table::{Entry, KeyBlock, Table};
use crate::ternary::minimize_ternary;

/// Blocks up to which ternary covers are tried: their time grows with the square.
const TERNARY_BLOCKS: usize = 1 << 12;

/// Routes up to which a ternary cover is tried with the rarest first and with the rarest last.
const ROUTES_EITHER_WAY: usize = 4;

/// Starts of ternary covers for tables of few blocks; others get two.
const STARTS: u32 = 8;

/// Blocks up to which a table is one of few.
const BLOCKS_FEW: usize = 1 << 9;

/// Parts into which a table may fall per entry before it is left as it is.
const PARTS_PER_ENTRY: usize = 1 << 6;

/// A table that routes every key of `table` alike, with as few entries as we find. Keys that `table` does not match are taken
/// never to arrive; keys of defaultable entries may end without an entry, unless `keep_defaultable`.
pub fn minimize(table: &Table, keep_defaultable: bool) -> Table {
    let mut given = table.clone();
    if keep_defaultable {
        for entry in &mut given.entries {
            entry.defaultable = false;
        }
    }
    let Some(blocks) = disjoint_prefixes(&given) else { return given };
    let mut routes: Vec<_> = blocks.iter().filter(|entry| !entry.defaultable).map(|entry| entry.route).collect();
    routes.sort_unstable();
    routes.dedup();
    let mut best = Table { entries: minimize_prefixes(&blocks) };
    // With few routes it is not clear which should be the wide one below.
    let orders = if routes.len() <= ROUTES_EITHER_WAY { &[true, false][..] } else { &[true] };
    let starts = if blocks.len() <= BLOCKS_FEW { STARTS } else { 2 };
    for (start, &rarest_first) in (0..starts).flat_map(|start| orders.iter().map(move |order| (start, order))) {
        if best.entries.len() > routes.len() && blocks.len() <= TERNARY_BLOCKS {
            let ternary = Table { entries: minimize_ternary(&blocks, rarest_first, start) };
            if ternary.entries.len() < best.entries.len() {
                best = ternary;
            }
        }
    }
    if best.entries.len() >= given.entries.len() {
        return given;
    }
    assert!(equivalent(&given, &best), "bug in snncc: a minimized routing table differs from its original");
    best
}

/// The table as disjoint prefix blocks, sorted by key; `None` if that takes far more blocks than entries.
fn disjoint_prefixes(table: &Table) -> Option<Vec<Entry>> {
    let mut blocks = table.entries.clone();
    if blocks.iter().all(|entry| is_prefix(entry.block)) {
        blocks.sort_by_key(|entry| entry.block.key);
        let last = |block: KeyBlock| block.key | !block.mask;
        if blocks.windows(2).all(|pair| last(pair[0].block) < pair[1].block.key) {
            return Some(blocks);
        }
    }
    let mut parts = Vec::new();
    let all: Vec<usize> = (0..table.entries.len()).collect();
    let limit = table.entries.len().saturating_mul(PARTS_PER_ENTRY);
    let whole = KeyBlock { key: 0, mask: 0 };
    split(table, &all, whole, limit, &mut parts).then_some(parts)
}

/// Appends the parts of `within`, lower keys first. Entries that meet it are `live`, in order. False if over the limit.
fn split(table: &Table, live: &[usize], within: KeyBlock, limit: usize, parts: &mut Vec<Entry>) -> bool {
    let Some(&first) = live.first() else { return true };
    let entry = table.entries[first];
    if entry.block.covers(within) {
        parts.push(Entry { block: within, ..entry });
        return parts.len() <= limit;
    }
    let bit = !within.mask & (1 << (u32::BITS - 1) >> within.mask.count_ones());
    [0, bit].into_iter().all(|value| {
        let half = KeyBlock { key: within.key | value, mask: within.mask | bit };
        let inside: Vec<usize> = live.iter().copied().filter(|&at| table.entries[at].block.meets(half)).collect();
        split(table, &inside, half, limit, parts)
    })
}

/// Whether `short` routes every key that `table` matches as `table` does; a defaultable key may also match nothing. Proved on
/// blocks, by intersection, never key by key. Flags in `short` do not count.
pub fn equivalent(table: &Table, short: &Table) -> bool {
    let sorted_disjoint = disjoint_prefixes_only(table);
    table.entries.iter().enumerate().all(|(number, entry)| {
        // What earlier entries leave of this one.
        let mut left = vec![entry.block];
        if !sorted_disjoint {
            for earlier in &table.entries[..number] {
                left = left.into_iter().flat_map(|block| outside(block, earlier.block)).collect();
            }
        }
        left.into_iter().all(|block| routes_alike(block, entry, &short.entries))
    })
}

/// Whether the entries are prefixes of which none meets another.
fn disjoint_prefixes_only(table: &Table) -> bool {
    let mut blocks: Vec<KeyBlock> = table.entries.iter().map(|entry| entry.block).collect();
    blocks.sort_unstable();
    blocks.iter().all(|&block| is_prefix(block))
        && blocks.windows(2).all(|pair| (pair[0].key | !pair[0].mask) < pair[1].key)
}

fn routes_alike(block: KeyBlock, entry: &Entry, short: &[Entry]) -> bool {
    let Some(at) = short.iter().position(|candidate| candidate.block.meets(block)) else { return entry.defaultable };
    short[at].route == entry.route
        && outside(block, short[at].block).into_iter().all(|rest| routes_alike(rest, entry, &short[at + 1..]))
}

/// The keys of `block` that are not in `other`, as disjoint blocks.
fn outside(block: KeyBlock, other: KeyBlock) -> Vec<KeyBlock> {
    if !block.meets(other) {
        return vec![block];
    }
    let mut parts = Vec::new();
    let mut rest = block;
    for bit in (0..u32::BITS).map(|bit| 1 << bit).filter(|bit| other.mask & !block.mask & bit != 0) {
        parts.push(KeyBlock { key: rest.key | (!other.key & bit), mask: rest.mask | bit });
        rest = KeyBlock { key: rest.key | (other.key & bit), mask: rest.mask | bit };
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Route;

    fn entry(key: u32, mask: u32, route: u32, defaultable: bool) -> Entry {
        Entry { block: KeyBlock { key, mask: mask | !15 }, route: Route(route), defaultable }
    }

    fn short(entries: &[Entry], keep: bool) -> usize {
        minimize(&Table { entries: entries.to_vec() }, keep).entries.len()
    }

    #[test]
    fn an_exception_above_a_wide_block_costs_one_entry() {
        let mut entries: Vec<Entry> = (0..16).map(|key| entry(key, 15, 1, false)).collect();
        entries[5].route = Route(2);
        assert_eq!(short(&entries, true), 2);
    }

    #[test]
    fn unused_keys_are_free() {
        let entries: Vec<Entry> =
            [(0, 1), (3, 1), (9, 1), (12, 2), (15, 2)].map(|(key, route)| entry(key, 15, route, false)).into();
        assert_eq!(short(&entries, true), 2);
    }

    #[test]
    fn defaultable_keys_need_no_entry_but_hinder_others() {
        let mut entries = vec![entry(0, 15, 1, false), entry(1, 15, 4, true), entry(2, 15, 1, false)];
        assert_eq!(short(&entries, false), 1, "x0x0 goes round key 1");
        assert_eq!(short(&entries, true), 2);
        entries.push(entry(3, 15, 8, true));
        let table = Table { entries: entries.clone() };
        let wide = Table { entries: vec![entry(0, 0, 1, false)] };
        assert!(!equivalent(&table, &wide));
        assert_eq!(short(&entries[1..2], false), 0);
    }

    #[test]
    fn parity_has_ternary_structure_only_in_its_bits() {
        // Route by the lowest bit: two entries, though no prefix helps.
        let entries: Vec<Entry> = (0..16).map(|key| entry(key, 15, 1 + (key & 1), false)).collect();
        assert_eq!(short(&entries, true), 2);
    }

    #[test]
    fn overlapping_originals_keep_their_order() {
        let table = Table { entries: vec![entry(4, 12, 1, false), entry(0, 0, 2, false), entry(5, 15, 8, false)] };
        let minimized = minimize(&table, true);
        assert_eq!(minimized.entries.len(), 2);
        assert!(equivalent(&table, &minimized));
        assert!(!equivalent(&table, &Table { entries: vec![entry(0, 0, 2, false)] }));
    }
}
