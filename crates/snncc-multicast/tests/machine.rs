//! Machines of boards: chips, links, faults.

mod boards;

use boards::{board, triads};
use snncc_multicast::{ChipResources, LINKS, Machine};

const CHIP: ChipResources = ChipResources { first_core: 2, cores: 16, sdram_bytes: 1 << 20 };
const ETHERNET: ChipResources = ChipResources { first_core: 3, cores: 15, sdram_bytes: 1 << 20 };

fn directed_links(machine: &Machine) -> usize {
    let of = |chip: u32| (0..LINKS).filter(|link| machine.neighbour(chip, *link).is_some()).count();
    machine.alive().into_iter().map(of).sum()
}

fn width(machine: &Machine) -> u32 {
    machine.position(machine.places() as u32 - 1).0 + 1
}

#[test]
fn boards_have_their_chips_and_links() {
    let board = board(CHIP, ETHERNET).unwrap();
    assert_eq!((board.alive().len(), directed_links(&board)), (48, 240));
    assert_eq!(board.resources(0), Some(ETHERNET));
    let three = triads(1, 1, [false; 2], CHIP, ETHERNET).unwrap();
    assert_eq!((width(&three), three.alive().len(), directed_links(&three)), (16, 144, 768));
    let torus = triads(2, 2, [true; 2], CHIP, ETHERNET).unwrap();
    assert_eq!((width(&torus), torus.alive().len(), directed_links(&torus)), (24, 24 * 24, 24 * 24 * 6));
    let ethernets = torus.alive().into_iter().filter(|&chip| torus.resources(chip) == Some(ETHERNET)).count();
    assert_eq!(ethernets, 12);
}

#[test]
fn faults_take_links_away() {
    let mut machine = board(CHIP, ETHERNET).unwrap();
    machine.remove_link(0, 0, 0);
    assert_eq!((machine.neighbour(0, 0), machine.neighbour(1, 3)), (None, Some(0)));
    machine.remove_chip(1, 1);
    assert_eq!((machine.chip_at(1, 1), machine.neighbour(0, 1)), (None, None));
}
