//! An independent witness: walks packets through the tables as the routers would, and compares who got them with who should have.
//!
//! It shares the machine and the table format with the mapping, and nothing else.

use crate::machine::{LINKS, Machine};
use crate::map::Mapping;
use crate::problem::Problem;
use crate::table::{KeyBlock, Route, Table};

/// What the walk saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Different (net, link) pairs.
    pub traversals: u64,
    /// The same times the nets' weights.
    pub weighted_traversals: u64,
    /// Different (net, core) pairs.
    pub deliveries: u64,
    /// Links on the longest way from a source to a sink.
    pub longest_way: u32,
}

/// Walks all keys of every net.
///
/// # Errors
/// The first thing that is wrong, in words: a core or a chip that holds too much, keys of two nets that meet, a packet that is
/// dropped, comes by a chip twice, reaches a core that is no sink, or misses one that is.
pub fn check(problem: &Problem, machine: &Machine, mapping: &Mapping) -> Result<Walk, String> {
    check_places(problem, machine, mapping)?;
    check_keys(problem, mapping)?;
    let mut walk = Walk::default();
    let mut seen = vec![u32::MAX; machine.places()];
    let mut got: Vec<(u32, u32)> = Vec::new();
    let mut want: Vec<(u32, u32)> = Vec::new();
    let mut stack: Vec<(u32, Option<usize>, u32)> = Vec::new();
    for (number, net) in problem.nets().iter().enumerate() {
        got.clear();
        want.clear();
        for &sink in problem.sinks(number) {
            want.push((mapping.chips[sink as usize], u32::from(mapping.cores[sink as usize])));
        }
        want.sort_unstable();
        if !want.is_empty() {
            stack.push((mapping.chips[net.source as usize], None, 0));
        }
        while let Some((chip, came_over, way)) = stack.pop() {
            if std::mem::replace(&mut seen[chip as usize], number as u32) == number as u32 {
                return Err(format!("net {number} comes by chip {chip} twice"));
            }
            let found = look_up(&mapping.tables[chip as usize], mapping.keys[number])
                .map_err(|()| format!("keys of net {number} part ways at chip {chip}"))?;
            let route = match (found, came_over) {
                (Some(route), _) => route,
                (None, Some(link)) => Route::link(link),
                (None, None) => return Err(format!("net {number} is dropped at its source")),
            };
            for core in (0..Route::CORES).filter(|core| route.cores() >> core & 1 == 1) {
                got.push((chip, core));
                walk.longest_way = walk.longest_way.max(way);
            }
            for link in (0..LINKS).filter(|&link| route.has_link(link)) {
                let next = machine.neighbour(chip, link);
                let next = next.ok_or_else(|| format!("net {number} takes the dead link {link} of chip {chip}"))?;
                walk.traversals += 1;
                walk.weighted_traversals += u64::from(net.weight);
                stack.push((next, Some(link), way + 1));
            }
        }
        got.sort_unstable();
        if got != want {
            return Err(format!("net {number} reaches {got:?} and should reach {want:?}"));
        }
        walk.deliveries += got.len() as u64;
    }
    Ok(walk)
}

fn check_places(problem: &Problem, machine: &Machine, mapping: &Mapping) -> Result<(), String> {
    let mut cores: Vec<(u32, u8)> = Vec::new();
    let mut sdram = vec![0u64; machine.places()];
    for (number, vertex) in problem.vertices().iter().enumerate() {
        let (chip, core) = (mapping.chips[number], mapping.cores[number]);
        let resources = machine.resources(chip).ok_or_else(|| format!("vertex {number} is on no chip"))?;
        if core < resources.first_core || core - resources.first_core >= resources.cores {
            return Err(format!("vertex {number} has core {core} of chip {chip}, which is not to be used"));
        }
        if vertex.pinned.is_some_and(|place| place != machine.position(chip)) {
            return Err(format!("vertex {number} is not where it is pinned"));
        }
        cores.push((chip, core));
        sdram[chip as usize] += vertex.sdram_bytes;
        if sdram[chip as usize] > resources.sdram_bytes {
            return Err(format!("chip {chip} holds more than its memory"));
        }
    }
    cores.sort_unstable();
    match cores.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two vertices share core {} of chip {}", pair[0].1, pair[0].0)),
        None => Ok(()),
    }
}

fn check_keys(problem: &Problem, mapping: &Mapping) -> Result<(), String> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for (number, (net, block)) in problem.nets().iter().zip(&mapping.keys).enumerate() {
        let free = !block.mask;
        if free & free.wrapping_add(1) != 0 || block.key & free != 0 || u64::from(free) + 1 < u64::from(net.atoms) {
            return Err(format!("net {number} has no aligned block for {} atoms", net.atoms));
        }
        ranges.push((block.key, block.key | free));
    }
    ranges.sort_unstable();
    match ranges.windows(2).find(|pair| pair[0].1 >= pair[1].0) {
        Some(pair) => Err(format!("keys {:#x} belong to two nets", pair[1].0)),
        None => Ok(()),
    }
}

/// What the table does with the keys of a block, which must be the same for all of them.
fn look_up(table: &Table, keys: KeyBlock) -> Result<Option<Route>, ()> {
    let meets = |block: KeyBlock| (keys.key ^ block.key) & keys.mask & block.mask == 0;
    let mut said = None;
    for entry in table.entries.iter().filter(|entry| meets(entry.block)) {
        if said.is_some_and(|route| route != entry.route) {
            return Err(());
        }
        said = Some(entry.route);
        if entry.block.mask & !keys.mask == 0 {
            return Ok(said);
        }
    }
    // Entries took parts of the block and none took the rest.
    if said.is_some() { Err(()) } else { Ok(None) }
}
