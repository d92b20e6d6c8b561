//! Ordered covers by general ternary blocks, for tables whose keys have no useful order.
//!
//! In the manner of Espresso's EXPAND and IRREDUNDANT, over the keys in use alone: routes are handled from the rarest to the most
//! frequent. The blocks of a route grow from each of its keys by freeing bits, as long as they meet no key of a route still to
//! come; keys of routes already handled are matched further up and may be overlapped, as in ordered covering (Mundy, Heathcote
//! and Garside, HPSR 2016). The last route is left with one block over everything.
//!
//! Keys are columns of bit sets, one pair per bit of the key: a block's keys are an AND of rows.

use crate::table::{Entry, KeyBlock, Route};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Rows over the keys, `words` words each.
struct Rows {
    words: usize,
    /// Bits of the key that differ between blocks.
    bits: Vec<u32>,
    /// Blocks that lie in "bit = value" wholly; shape: bits × 2 × words.
    inside: Vec<u64>,
    /// Blocks that meet "bit = value"; the same shape.
    meets: Vec<u64>,
}

impl Rows {
    /// `start` chooses the order of the bits.
    fn new(blocks: &[Entry], start: u32) -> Self {
        let words = blocks.len().div_ceil(64);
        let (ones, zeros) = blocks.iter().fold((0, 0), |(ones, zeros), entry| {
            let KeyBlock { key, mask } = entry.block;
            (ones | key | !mask, zeros | !key)
        });
        let mut bits: Vec<u32> = (0..u32::BITS).rev().filter(|bit| (ones & zeros) >> bit & 1 == 1).collect();
        // An odd factor permutes the numbers below a power of two.
        let factor = 2 * start + 1;
        bits.sort_by_key(|bit| Reverse(bit * factor % u32::BITS));
        let mut rows =
            Self { words, inside: vec![0; bits.len() * 2 * words], meets: vec![0; bits.len() * 2 * words], bits };
        for (index, &bit) in rows.bits.iter().enumerate() {
            for (number, entry) in blocks.iter().enumerate() {
                let (value, cares) = ((entry.block.key >> bit & 1) as usize, entry.block.mask >> bit & 1 == 1);
                for side in 0..2 {
                    let at = (index * 2 + side) * words + number / 64;
                    rows.inside[at] |= u64::from(cares && side == value) << (number % 64);
                    rows.meets[at] |= u64::from(!cares || side == value) << (number % 64);
                }
            }
        }
        rows
    }

    fn row<'a>(&self, of: &'a [u64], index: usize, value: u32) -> &'a [u64] {
        let at = (index * 2 + value as usize) * self.words;
        &of[at..at + self.words]
    }
}

/// A block grown from a seed, with the keys of its route that it covers.
struct Grown {
    block: KeyBlock,
    covers: Vec<u64>,
}

/// Scratch of one growth, reused.
#[derive(Default)]
struct Scratch {
    /// Keys still met / covered by the literals up to here; shape: (literals + 1) × words.
    suffix_meets: Vec<u64>,
    suffix_inside: Vec<u64>,
    prefix_meets: Vec<u64>,
    prefix_inside: Vec<u64>,
    literals: Vec<usize>,
}

/// An ordered table for disjoint blocks; the rarest routes come first, or last. Among equally good bits the first in the order
/// that `start` chooses is freed, so different starts give different covers.
pub(crate) fn minimize_ternary(blocks: &[Entry], rarest_first: bool, start: u32) -> Vec<Entry> {
    let words = blocks.len().div_ceil(64);
    let rows = Rows::new(blocks, start);
    let mut by_route: BTreeMap<Route, Vec<usize>> = BTreeMap::new();
    for (number, entry) in blocks.iter().enumerate() {
        by_route.entry(entry.route).or_default().push(number);
    }
    let needed = |members: &[usize]| members.iter().filter(|&&number| !blocks[number].defaultable).count();
    let mut routes: Vec<(Route, Vec<usize>)> = by_route.into_iter().collect();
    routes.sort_by_key(|(route, members)| (needed(members), *route));
    if !rarest_first {
        routes.reverse();
    }
    // Keys that later blocks must still tell apart: a handled route's defaultable keys stay, they may have no entry above.
    let mut undecided = vec![u64::MAX; words];
    if !blocks.len().is_multiple_of(64) {
        undecided[words - 1] = (1 << (blocks.len() % 64)) - 1;
    }
    let mut scratch = Scratch::default();
    let mut out = Vec::new();
    for (route, members) in &routes {
        let mut to_cover = vec![0u64; words];
        let mut off = undecided.clone();
        for &number in members {
            off[number / 64] &= !(1 << (number % 64));
            to_cover[number / 64] |= u64::from(!blocks[number].defaultable) << (number % 64);
        }
        let seeds = members.iter().filter(|&&number| !blocks[number].defaultable);
        let mut grown: Vec<Grown> =
            seeds.map(|&seed| grow(blocks[seed].block, &rows, &to_cover, &off, &mut scratch)).collect();
        for word in 0..words {
            undecided[word] &= !to_cover[word];
        }
        let gain = |grown: &Grown, left: &[u64]| -> u32 {
            grown.covers.iter().zip(left).map(|(covers, left)| (covers & left).count_ones()).sum()
        };
        let mut left = to_cover;
        while left.iter().any(|&word| word != 0) {
            grown.retain(|grown| gain(grown, &left) > 0);
            let best = (0..grown.len()).max_by_key(|&at| (gain(&grown[at], &left), usize::MAX - at));
            let best = &grown[best.expect("bug in snncc: a key that its own block does not cover")];
            out.push(Entry { block: best.block, route: *route, defaultable: false });
            for (left, covers) in left.iter_mut().zip(&best.covers) {
                *left &= !covers;
            }
        }
    }
    out
}

/// Frees bits of `seed` one at a time, the one that brings most keys of `on` first, while no key of `off` is met.
fn grow(seed: KeyBlock, rows: &Rows, on: &[u64], off: &[u64], scratch: &mut Scratch) -> Grown {
    let words = rows.words;
    let value = |index: usize| seed.key >> rows.bits[index] & 1;
    let Scratch { suffix_meets, suffix_inside, prefix_meets, prefix_inside, literals } = scratch;
    literals.clear();
    literals.extend((0..rows.bits.len()).filter(|&index| seed.mask >> rows.bits[index] & 1 == 1));
    loop {
        let count = literals.len();
        for rows in [&mut *suffix_meets, &mut *suffix_inside] {
            rows.clear();
            rows.resize((count + 1) * words, u64::MAX);
        }
        for at in (0..count).rev() {
            let meets = rows.row(&rows.meets, literals[at], value(literals[at]));
            let inside = rows.row(&rows.inside, literals[at], value(literals[at]));
            for word in 0..words {
                suffix_meets[at * words + word] = suffix_meets[(at + 1) * words + word] & meets[word];
                suffix_inside[at * words + word] = suffix_inside[(at + 1) * words + word] & inside[word];
            }
        }
        for rows in [&mut *prefix_meets, &mut *prefix_inside] {
            rows.clear();
            rows.resize(words, u64::MAX);
        }
        let mut best: Option<(u32, usize)> = None;
        for (at, &literal) in literals.iter().enumerate() {
            let next = (at + 1) * words;
            let (mut clear, mut covered) = (true, 0);
            for word in 0..words {
                if prefix_meets[word] & suffix_meets[next + word] & off[word] != 0 {
                    clear = false;
                    break;
                }
                covered += (prefix_inside[word] & suffix_inside[next + word] & on[word]).count_ones();
            }
            if clear && best.is_none_or(|(most, _)| covered > most) {
                best = Some((covered, at));
            }
            let meets = rows.row(&rows.meets, literal, value(literal));
            let inside = rows.row(&rows.inside, literal, value(literal));
            for word in 0..words {
                prefix_meets[word] &= meets[word];
                prefix_inside[word] &= inside[word];
            }
        }
        match best {
            Some((_, at)) => {
                literals.remove(at);
            }
            None => {
                let mask = literals.iter().fold(0, |mask, &index| mask | 1 << rows.bits[index]);
                let covers = prefix_inside.iter().zip(on).map(|(inside, on)| inside & on).collect();
                return Grown { block: KeyBlock { key: seed.key & mask, mask }, covers };
            }
        }
    }
}
