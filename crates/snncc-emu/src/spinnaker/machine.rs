//! The machine that an image runs on: chips in a triangular mesh, and what is missing of it.

use snncc_chip::Target;
use std::collections::BTreeSet;

/// Steps in x and y of the links east, north-east, north, west, south-west, south.
const STEPS: [(i32, i32); 6] = [(1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1)];

/// Number of links of a chip.
pub(crate) const LINKS: u32 = STEPS.len() as u32;

/// A machine of `columns` by `rows` chips; chip `(x, y)` has the number `y · columns + x`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpinnakerMachine {
    /// Chips along x.
    pub columns: u32,
    /// Chips along y.
    pub rows: u32,
    /// Whether links go on over the edge, along x and along y.
    pub wraps: [bool; 2],
    /// Chips that are not there, or dead.
    pub absent_chips: BTreeSet<u32>,
    /// Chips with an Ethernet link, where the system takes more cores.
    pub ethernet_chips: BTreeSet<u32>,
    /// Cores that must not be used, by their number over all chips.
    pub dead_cores: BTreeSet<u32>,
    /// Directed links that do not work: chip and link.
    pub dead_links: BTreeSet<(u32, u8)>,
}

impl SpinnakerMachine {
    /// A full rectangle.
    pub fn new(columns: u32, rows: u32, wraps: [bool; 2]) -> Self {
        Self { columns, rows, wraps, ..Self::default() }
    }

    /// The machine of a target.
    pub fn of(target: &Target) -> Self {
        let (columns, rows) = (target.file.chips.columns, target.file.chips.rows);
        let wraps = target.wraps();
        let number = |x: u32, y: u32| y * columns + x;
        let there = target.machine_chips();
        let present: BTreeSet<u32> = there.iter().map(|(x, y, _)| number(*x, *y)).collect();
        Self {
            absent_chips: (0..columns * rows).filter(|chip| !present.contains(chip)).collect(),
            ethernet_chips: there.iter().filter(|chip| chip.2).map(|(x, y, _)| number(*x, *y)).collect(),
            dead_cores: target.file.dead_cores.iter().copied().collect(),
            dead_links: target.file.dead_links.iter().map(|(x, y, link)| (number(*x, *y), *link)).collect(),
            ..Self::new(columns, rows, [wraps.0, wraps.1])
        }
    }

    /// Whether there is a chip with this number.
    pub fn has_chip(&self, chip: u32) -> bool {
        u64::from(chip) < u64::from(self.columns) * u64::from(self.rows) && !self.absent_chips.contains(&chip)
    }

    /// Where a link of a chip leads.
    pub fn neighbour(&self, chip: u32, link: u32) -> Option<u32> {
        let (dx, dy) = STEPS[link as usize];
        let along = |at: u32, step: i32, len: u32, wraps: bool| {
            let next = i64::from(at) + i64::from(step);
            if wraps {
                Some(next.rem_euclid(i64::from(len)) as u32)
            } else {
                u32::try_from(next).ok().filter(|at| *at < len)
            }
        };
        let x = along(chip % self.columns, dx, self.columns, self.wraps[0])?;
        let y = along(chip / self.columns, dy, self.rows, self.wraps[1])?;
        let next = y * self.columns + x;
        (self.has_chip(next) && !self.dead_links.contains(&(chip, link as u8))).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snncc_chip::MachineShape;

    #[test]
    fn machines_of_targets_have_their_boards() {
        let of = |name: &str| SpinnakerMachine::of(&snncc_chip::target(name).unwrap());
        let chips = |machine: &SpinnakerMachine| {
            let all = 0..machine.columns * machine.rows;
            let there: Vec<u32> = all.filter(|chip| machine.has_chip(*chip)).collect();
            let links = there.iter().flat_map(|chip| (0..LINKS).filter_map(|link| machine.neighbour(*chip, link)));
            (there.len(), links.count(), machine.ethernet_chips.clone())
        };
        // A board has 240 links; a torus six for each chip.
        assert_eq!(chips(&of("spinnaker-48chip")), (48, 240, BTreeSet::from([0])));
        let boards = BTreeSet::from([0, 8 * 12 + 4, 4 * 12 + 8]);
        assert_eq!(chips(&of("spinnaker-3board")), (144, 6 * 144, boards));
        assert!(chips(&of("spinnaker-emu")).0 >= 1);
        // Without wraps three boards lie in a square of 16.
        let mut target = snncc_chip::target("spinnaker-3board").unwrap();
        target.file.machine = Some(MachineShape::Triads { wraps: (false, false) });
        (target.file.chips.columns, target.file.chips.rows) = (16, 16);
        target.file.dead_chips.push((4, 8));
        target.file.dead_links.push((0, 0, 0));
        let machine = SpinnakerMachine::of(&target);
        assert_eq!(chips(&machine).0, 143);
        assert_eq!((machine.neighbour(0, 0), machine.neighbour(1, 3)), (None, Some(0)));
    }

    #[test]
    fn links_lead_to_the_six_neighbours_and_over_edges_that_wrap() {
        let mut machine = SpinnakerMachine::new(4, 3, [true, false]);
        let all =
            |machine: &SpinnakerMachine, chip| (0..LINKS).map(|link| machine.neighbour(chip, link)).collect::<Vec<_>>();
        assert_eq!(all(&machine, 5), [6, 10, 9, 4, 0, 1].map(Some));
        assert_eq!(all(&machine, 3), [Some(0), Some(4), Some(7), Some(2), None, None]);
        machine.absent_chips.insert(10);
        machine.dead_links.insert((5, 2));
        assert_eq!(all(&machine, 5), [Some(6), None, None, Some(4), Some(0), Some(1)]);
        assert_eq!(machine.neighbour(9, 5), Some(5), "the other direction of a link works");
    }
}
