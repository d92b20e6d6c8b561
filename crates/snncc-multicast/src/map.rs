//! The whole way from a problem to routing tables.

use crate::classes::Classes;
use crate::exchange::exchange_vertices;
use crate::machine::Machine;
use crate::minimize::minimize;
use crate::place::place;
use crate::problem::Problem;
use crate::refine::refine;
use crate::route::{Routed, route};
use crate::table::{Entry, KeyBlock, Route, Table};
use crate::{keys, keys::Keys};
use snncc_ids::{Diagnostic, Diagnostics, code};

/// What a mapping may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Entries that a router's table has room for.
    pub table_entries: usize,
    /// Write entries for keys that default routing would route alike.
    pub keep_defaultable: bool,
}

/// Where everything is, and the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Chip of each vertex.
    pub chips: Vec<u32>,
    /// Core of each vertex on its chip.
    pub cores: Vec<u8>,
    /// Keys of each net: the first `atoms` of the block are sent.
    pub keys: Vec<KeyBlock>,
    /// Table of each chip, by chip number; empty where nothing is needed.
    pub tables: Vec<Table>,
    /// Links that one packet of every net takes, together.
    pub traversals: u64,
}

impl Mapping {
    /// Entries of all tables.
    pub fn entries(&self) -> usize {
        self.tables.iter().map(|table| table.entries.len()).sum()
    }
}

/// Maps a problem onto a machine.
///
/// # Errors
/// Nets that name unknown vertices or have no atoms; pins that cannot be honoured; vertices, keys or tables that do not fit; sinks
/// that no working links lead to.
pub fn map(problem: &Problem, machine: &Machine, options: Options) -> Result<Mapping, Diagnostics> {
    validate(problem)?;
    let classes = Classes::new(problem);
    let mut placement = place(problem, &classes, machine)?;
    exchange_vertices(problem, &classes, machine, &mut placement);
    refine(problem, &classes, machine, &mut placement);
    let cores = number_cores(machine, &placement.chip_of);
    let routed = route(problem, &classes, machine, &placement.chip_of)?;
    let Keys { nets: keys, bundles: blocks } = keys::assign(problem, &routed)?;
    let raw = tables(problem, &classes, machine, &routed, &blocks, &placement.chip_of, &cores);
    let tables: Vec<Table> = raw.iter().map(|table| minimize(table, options.keep_defaultable)).collect();
    let mut faults = Diagnostics::new();
    for (table, chip) in tables.iter().zip(0u32..) {
        if table.entries.len() > options.table_entries {
            let (x, y) = machine.position(chip);
            let message = format!(
                "the router of chip ({x}, {y}) needs {} entries; its table has {}",
                table.entries.len(),
                options.table_entries
            );
            faults.push(Diagnostic::error(code::CHIP_FULL, message).at(format!("chips/{x},{y}")));
        }
    }
    if faults.has_errors() {
        return Err(faults);
    }
    let links = |bundle: &crate::route::Bundle| -> u64 {
        let per_net: u64 = bundle.hops.iter().map(|hop| u64::from(hop.links.count_ones())).sum();
        per_net * bundle.nets.len() as u64
    };
    let traversals = routed.bundles.iter().map(links).sum();
    Ok(Mapping { chips: placement.chip_of, cores, keys, tables, traversals })
}

fn validate(problem: &Problem) -> Result<(), Diagnostics> {
    let mut faults = Diagnostics::new();
    let count = problem.vertices.len();
    for (number, net) in problem.nets.iter().enumerate() {
        let last = problem.sinks(number).last().copied().unwrap_or(0).max(net.source);
        if last as usize >= count {
            let message = format!("a net names vertex {last} of {count}");
            faults.push(Diagnostic::error(code::BAD_PARAMETER, message).at(format!("nets/{number}")));
        }
    }
    if faults.has_errors() { Err(faults) } else { Ok(()) }
}

/// Numbers the vertices of each chip from its first core on.
fn number_cores(machine: &Machine, chip_of: &[u32]) -> Vec<u8> {
    let mut next: Vec<u8> =
        (0..machine.places() as u32).map(|chip| machine.resources(chip).map_or(0, |chip| chip.first_core)).collect();
    let number = |&chip: &u32| {
        let core = next[chip as usize];
        next[chip as usize] += 1;
        core
    };
    chip_of.iter().map(number).collect()
}

/// What each router must do, one entry per bundle that comes by.
fn tables(
    problem: &Problem,
    classes: &Classes,
    machine: &Machine,
    routed: &Routed,
    blocks: &[KeyBlock],
    chip_of: &[u32],
    cores: &[u8],
) -> Vec<Table> {
    let mut tables = vec![Table::default(); machine.places()];
    // Cores with sinks of the class at hand; bundles are sorted by class.
    let mut sinks_on: Vec<u32> = vec![0; machine.places()];
    let mut blocks = blocks.iter();
    for of_class in routed.bundles.chunk_by(|a, b| a.class == b.class) {
        let sinks = classes.sinks(problem, of_class[0].class as usize);
        for &sink in sinks {
            sinks_on[chip_of[sink as usize] as usize] |= Route::core(cores[sink as usize]).0;
        }
        for (bundle, &block) in of_class.iter().zip(&mut blocks) {
            for hop in &bundle.hops {
                let route = Route(hop.links | sinks_on[hop.chip as usize]);
                let defaultable = hop.straight.is_some_and(|link| route == Route::link(link));
                tables[hop.chip as usize].entries.push(Entry { block, route, defaultable });
            }
        }
        sinks.iter().for_each(|&sink| sinks_on[chip_of[sink as usize] as usize] = 0);
    }
    tables
}
