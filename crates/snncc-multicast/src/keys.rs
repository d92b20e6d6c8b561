//! Key blocks.
//!
//! A router tells the sources of one class apart by the branch they are on, so each branch of a class's tree gets an aligned block
//! of its own, nested as the tree is: what comes from below a chip is one block there, and everything else of the class another.
//! Bundles that are alone in their class are laid out by chip, and there by destination. Alignment wastes keys; where they run
//! out, the largest branch of every node gives its alignment up, and then all do.
//!
//! **Invariant:** the blocks of different nets do not meet, and a bundle's nets share one aligned block.

use crate::problem::Problem;
use crate::route::{Bundle, Routed};
use crate::table::KeyBlock;
use snncc_ids::{Diagnostic, Diagnostics, code};
use std::collections::BTreeMap;

/// Which branches of a tree are aligned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aligned {
    All,
    AllButLargest,
    None,
}

/// A part of the key space: its size, the alignment it needs, and where it is.
#[derive(Clone, Copy, Default)]
struct Span {
    size: u64,
    align: u64,
    offset: u64,
}

/// The blocks of nets and bundles.
pub(crate) struct Keys {
    /// Per net; nets without sinks have one too.
    pub(crate) nets: Vec<KeyBlock>,
    /// Per bundle; holds those of its nets and nothing else's.
    pub(crate) bundles: Vec<KeyBlock>,
}

/// Chooses all keys.
///
/// # Errors
/// Nets without atoms; more keys than there are.
pub(crate) fn assign(problem: &Problem, routed: &Routed) -> Result<Keys, Diagnostics> {
    let mut faults = Diagnostics::new();
    for (number, _) in problem.nets.iter().enumerate().filter(|(_, net)| net.atoms == 0) {
        faults.push(Diagnostic::error(code::BAD_PARAMETER, "a net sends no keys").at(format!("nets/{number}")));
    }
    if faults.has_errors() {
        return Err(faults);
    }
    let layouts = [Aligned::All, Aligned::AllButLargest, Aligned::None];
    layouts.into_iter().find_map(|aligned| lay_out(problem, routed, aligned)).ok_or_else(|| {
        let keys: u64 = problem.nets.iter().map(|net| net_size(net.atoms)).sum();
        let message =
            format!("{} nets need {keys} keys in aligned blocks; there are 2^{}", problem.nets.len(), u32::BITS);
        Diagnostic::error(code::CHIP_FULL, message).into()
    })
}

fn net_size(atoms: u32) -> u64 {
    u64::from(atoms).next_power_of_two()
}

/// Rounds up to a power of two that stays below overflow: sizes beyond the key space only have to be seen as such.
fn round_up(size: u64) -> u64 {
    size.min(1 << (u32::BITS + 1)).next_power_of_two()
}

/// Puts spans one after another, larger alignments first, except `last`, which comes last. Returns the whole.
fn pack(spans: &mut [Span], order: &[usize], aligned: bool) -> Span {
    let mut whole = Span { size: 0, align: 1, offset: 0 };
    for &at in order {
        let span = &mut spans[at];
        span.offset = whole.size.next_multiple_of(span.align);
        whole.size = (span.offset + span.size).min(1 << (u32::BITS + 2));
        whole.align = whole.align.max(span.align);
    }
    if aligned {
        whole.size = round_up(whole.size);
        whole.align = whole.size;
    }
    whole
}

fn by_size(spans: &[Span]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(spans[at].align), at));
    order
}

fn lay_out(problem: &Problem, routed: &Routed, aligned: Aligned) -> Option<Keys> {
    let bundles = &routed.bundles;
    let mut bundle_spans: Vec<Span> = bundles.iter().map(|bundle| bundle_span(problem, bundle)).collect();
    let mut sources_of_tree = vec![0; routed.trees.len()];
    bundles.iter().for_each(|bundle| sources_of_tree[bundle.tree as usize] += 1);
    // Regions: trees with several sources, then chips with lone bundles, then nets without sinks.
    let mut regions: Vec<Span> = Vec::new();
    let mut members: Vec<Vec<usize>> = Vec::new();
    let mut of_tree: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let mut of_chip: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (number, bundle) in bundles.iter().enumerate() {
        if sources_of_tree[bundle.tree as usize] > 1 {
            of_tree.entry(bundle.tree).or_default().push(number);
        } else {
            of_chip.entry(bundle.chip).or_default().push(number);
        }
    }
    for (tree, numbers) in of_tree {
        regions.push(tree_span(routed, tree, &numbers, &mut bundle_spans, aligned));
        members.push(numbers);
    }
    for numbers in of_chip.into_values() {
        regions.push(chip_span(bundles, &numbers, &mut bundle_spans, aligned));
        members.push(numbers);
    }
    let mute: Vec<usize> = (0..problem.nets.len()).filter(|&net| problem.sinks(net).is_empty()).collect();
    let mute_regions = regions.len();
    regions.extend(mute.iter().map(|&net| {
        let size = net_size(problem.nets[net].atoms);
        Span { size, align: size, offset: 0 }
    }));
    let order = by_size(&regions);
    if pack(&mut regions, &order, false).size > 1 << u32::BITS {
        return None;
    }
    let block = |offset: u64, size: u64| KeyBlock { key: offset as u32, mask: !((size - 1) as u32) };
    let mut keys = Keys {
        nets: vec![KeyBlock { key: 0, mask: u32::MAX }; problem.nets.len()],
        bundles: vec![KeyBlock { key: 0, mask: u32::MAX }; bundles.len()],
    };
    for (region, numbers) in regions.iter().zip(&members) {
        for &number in numbers {
            let span = bundle_spans[number];
            let mut offset = region.offset + span.offset;
            keys.bundles[number] = block(offset, span.size);
            for net in nets_by_size(problem, &bundles[number]) {
                let size = net_size(problem.nets[net as usize].atoms);
                keys.nets[net as usize] = block(offset, size);
                offset += size;
            }
        }
    }
    for (&net, region) in mute.iter().zip(&regions[mute_regions..]) {
        keys.nets[net] = block(region.offset, region.size);
    }
    Some(keys)
}

fn nets_by_size(problem: &Problem, bundle: &Bundle) -> Vec<u32> {
    let mut nets = bundle.nets.clone();
    nets.sort_by_key(|&net| (std::cmp::Reverse(net_size(problem.nets[net as usize].atoms)), net));
    nets
}

fn bundle_span(problem: &Problem, bundle: &Bundle) -> Span {
    let size = round_up(bundle.nets.iter().map(|&net| net_size(problem.nets[net as usize].atoms)).sum());
    Span { size, align: size, offset: 0 }
}

/// Lays the bundles of one tree out along it. Their offsets become relative to the region.
fn tree_span(routed: &Routed, tree: u32, numbers: &[usize], spans: &mut [Span], aligned: Aligned) -> Span {
    let tree = &routed.trees[tree as usize];
    let nodes = tree.chips.len();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    let at_chip: BTreeMap<u32, usize> = numbers.iter().map(|&number| (routed.bundles[number].chip, number)).collect();
    let mut own = vec![Span::default(); nodes];
    // Children come after their parents: their spans are known when the parent's turn comes.
    let mut offsets: Vec<Vec<(Option<usize>, u64)>> = vec![Vec::new(); nodes];
    for node in (0..nodes).rev() {
        let local = at_chip.get(&tree.chips[node]).copied();
        let mut items: Vec<(Option<usize>, Span)> = local.map(|number| (None, spans[number])).into_iter().collect();
        items.extend(children[node].iter().map(|&child| (Some(child), own[child])).filter(|(_, span)| span.size > 0));
        let mut parts: Vec<Span> = items.iter().map(|(_, span)| *span).collect();
        let largest = (0..parts.len()).filter(|&at| items[at].0.is_some()).max_by_key(|&at| (parts[at].size, at));
        for (at, part) in parts.iter_mut().enumerate() {
            let keeps = match aligned {
                Aligned::All => true,
                Aligned::AllButLargest => Some(at) != largest,
                Aligned::None => items[at].0.is_none(),
            };
            if keeps {
                part.size = round_up(part.size);
                part.align = part.size;
            }
        }
        let mut order = by_size(&parts);
        if aligned == Aligned::AllButLargest
            && let Some(largest) = largest
        {
            order.retain(|&at| at != largest);
            order.push(largest);
        }
        if !parts.is_empty() {
            own[node] = pack(&mut parts, &order, aligned == Aligned::All);
        }
        offsets[node] = items.iter().zip(&parts).map(|((child, _), part)| (*child, part.offset)).collect();
        if node > 0 {
            children[tree.parent[node] as usize].push(node);
        }
    }
    let mut base = vec![0; nodes];
    for node in 0..nodes {
        for &(child, offset) in &offsets[node] {
            match child {
                Some(child) => base[child] = base[node] + offset,
                None => spans[at_chip[&tree.chips[node]]].offset = base[node] + offset,
            }
        }
    }
    let mut whole = own[0];
    if aligned != Aligned::None {
        whole.size = round_up(whole.size);
        whole.align = whole.size;
    }
    whole
}

/// Lays the lone bundles of one chip out: those that leave it alike and have the same farthest chip are together.
fn chip_span(bundles: &[Bundle], numbers: &[usize], spans: &mut [Span], aligned: Aligned) -> Span {
    let mut groups: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for &number in numbers {
        let hops = &bundles[number].hops;
        let ends = (hops.first().map_or(0, |hop| hop.links), hops.last().map_or(0, |hop| hop.chip));
        groups.entry(ends).or_default().push(number);
    }
    let mut group_spans = Vec::new();
    for group in groups.values() {
        let mut parts: Vec<Span> = group.iter().map(|&number| spans[number]).collect();
        let order = by_size(&parts);
        group_spans.push(pack(&mut parts, &order, aligned != Aligned::None));
        for (&number, part) in group.iter().zip(&parts) {
            spans[number].offset = part.offset;
        }
    }
    let order = by_size(&group_spans);
    let whole = pack(&mut group_spans, &order, aligned != Aligned::None);
    for (group, span) in groups.values().zip(&group_spans) {
        group.iter().for_each(|&number| spans[number].offset += span.offset);
    }
    whole
}
