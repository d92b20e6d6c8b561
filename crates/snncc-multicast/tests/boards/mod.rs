//! Machines of boards, whose shapes are those of targets.

use snncc_chip::MachineShape;
use snncc_ids::Diagnostics;
use snncc_multicast::{ChipResources, Machine};

/// Side of the square that three boards tile, and what they reach beyond the last one.
const TRIAD: (u32, u32) = (12, 4);

fn shaped(
    shape: MachineShape,
    (columns, rows): (u32, u32),
    chip: ChipResources,
    ethernet: ChipResources,
) -> Result<Machine, Diagnostics> {
    let chips = shape.chips(columns, rows).into_iter();
    let wraps = shape.wraps();
    let chips = chips.map(|(x, y, has_ethernet)| (x, y, if has_ethernet { ethernet } else { chip }));
    Machine::new(columns, rows, [wraps.0, wraps.1], chips)
}

/// One hexagonal board of 48 chips. `ethernet` is what the chip at its corner offers.
pub(crate) fn board(chip: ChipResources, ethernet: ChipResources) -> Result<Machine, Diagnostics> {
    shaped(MachineShape::Board, (8, 8), chip, ethernet)
}

/// `columns` by `rows` triads of boards.
pub(crate) fn triads(
    columns: u32,
    rows: u32,
    wraps: [bool; 2],
    chip: ChipResources,
    ethernet: ChipResources,
) -> Result<Machine, Diagnostics> {
    let size = |count: u32, wraps: bool| count * TRIAD.0 + if wraps { 0 } else { TRIAD.1 };
    let shape = MachineShape::Triads { wraps: (wraps[0], wraps[1]) };
    shaped(shape, (size(columns, wraps[0]), size(rows, wraps[1])), chip, ethernet)
}
