//! Targets: which hardware model, how many chips, what is broken, which cost table, which defaults.
//!
//! Cores are numbered over all chips: chips row by row, in a chip routers row by row, at a router its cores.

use crate::model::HardwareModel;
use serde::{Deserialize, Serialize};
use snncc_ids::CoreId;

/// A target file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetFile {
    /// Version of this file format; 1.
    pub schema: u32,
    /// Name, equal to the file's.
    pub name: String,
    /// One line about it.
    pub about: String,
    /// Name of the hardware model, or path of its file.
    pub hardware: String,
    /// Chips.
    pub chips: ChipGrid,
    /// How the chips of a machine with multicast routers lie in the grid. Only such machines have it.
    #[serde(default)]
    pub machine: Option<MachineShape>,
    /// Cores that must not be used.
    #[serde(default)]
    pub dead_cores: Vec<u32>,
    /// Chips `(x, y)` that are not there. Only for machines with multicast routers.
    #[serde(default)]
    pub dead_chips: Vec<(u32, u32)>,
    /// Directed links `(x, y, link)` that must not be used: 0 east, 1 north-east, 2 north, 3 west, 4 south-west, 5 south. Only
    /// for machines with multicast routers.
    #[serde(default)]
    pub dead_links: Vec<(u32, u32, u8)>,
    /// Name of the cost table.
    pub costs: String,
    /// Defaults of the compiler.
    pub defaults: Defaults,
}

/// Chips in a grid whose meshes join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChipGrid {
    /// Chips along x.
    pub columns: u32,
    /// Chips along y.
    pub rows: u32,
}

/// How the chips of a machine with multicast routers lie in the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum MachineShape {
    /// A chip at every place; chips at the edges may be linked over them, along x and y.
    Rectangle {
        /// Whether x and y wrap.
        wraps: (bool, bool),
    },
    /// One hexagonal board of 48 chips in a grid of 8 by 8.
    Board,
    /// Triads of hexagonal boards, 12 by 12 chips each. An axis that does not wrap is 4 chips longer.
    Triads {
        /// Whether x and y wrap.
        wraps: (bool, bool),
    },
}

impl MachineShape {
    /// Whether links go on over the edge, along x and along y.
    pub fn wraps(self) -> (bool, bool) {
        match self {
            Self::Rectangle { wraps } | Self::Triads { wraps } => wraps,
            Self::Board => (false, false),
        }
    }

    /// Places of chips in a grid of `columns` by `rows`: x, y, and whether the chip has the Ethernet link of its board.
    pub fn chips(self, columns: u32, rows: u32) -> Vec<(u32, u32, bool)> {
        // Rows of a hexagonal board: 0 to 4, 0 to 5, 0 to 6, 0 to 7, 1 to 7, … 4 to 7.
        let board = |corner: (u32, u32)| {
            let row = |y: u32| (y.saturating_sub(3)..=(y + 4).min(7)).map(move |x| (x, y));
            (0..8).flat_map(row).map(move |(x, y)| (corner.0 + x, corner.1 + y, (x, y) == (0, 0)))
        };
        match self {
            Self::Rectangle { .. } => {
                (0..rows).flat_map(|y| (0..columns).map(move |x| (x, y, (x, y) == (0, 0)))).collect()
            }
            Self::Board => board((0, 0)).collect(),
            Self::Triads { .. } => (0..rows / 12)
                .flat_map(|row| (0..columns / 12).map(move |column| (column * 12, row * 12)))
                .flat_map(|(x, y)| [(x, y), (x + 4, y + 8), (x + 8, y + 4)])
                .flat_map(board)
                .map(|(x, y, ethernet)| (x % columns, y % rows, ethernet))
                .collect(),
        }
    }
}

/// Defaults of the compiler for a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Bits of a weight.
    pub weight_bits: u8,
    /// Seed of the placer.
    pub seed: u64,
}

/// A target with its hardware model, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The target file.
    pub file: TargetFile,
    /// Its hardware model.
    pub model: HardwareModel,
}

/// One hop between neighbouring routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Along y (otherwise along x).
    pub vertical: bool,
    /// Whether it leaves the chip.
    pub crosses_chip: bool,
    /// Router it leaves.
    pub from: (u32, u32),
    /// Router it enters.
    pub to: (u32, u32),
}

impl Target {
    /// Name of the target.
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// Number of chips that are there: of a machine with multicast routers, not all places of its grid.
    pub fn present_chips(&self) -> u32 {
        match self.file.machine {
            None => self.chips(),
            Some(_) => self.machine_chips().len() as u32,
        }
    }

    /// Number of places for chips.
    pub fn chips(&self) -> u32 {
        self.file.chips.columns * self.file.chips.rows
    }

    /// Cores of one chip.
    pub fn cores_per_chip(&self) -> u32 {
        let mesh = &self.model.mesh;
        mesh.columns.0 * mesh.rows.0 * mesh.cores_per_router.0
    }

    /// All cores, the dead ones included.
    pub fn cores(&self) -> u32 {
        self.chips() * self.cores_per_chip()
    }

    /// Cores that may be used.
    pub fn usable_cores(&self) -> u32 {
        let Some(core) = self.model.spinnaker() else {
            return self.cores() - self.file.dead_cores.len() as u32;
        };
        let (limits, per_chip) = (&core.limits, self.cores_per_chip());
        let of_chip = |(x, y, has_ethernet): (u32, u32, bool)| {
            let system = limits.system_cores.0 + if has_ethernet { limits.ethernet_system_cores.0 } else { 0 };
            let first = (y * self.file.chips.columns + x) * per_chip;
            (first + system..first + per_chip).filter(|core| !self.file.dead_cores.contains(core)).count() as u32
        };
        self.machine_chips().into_iter().map(of_chip).sum()
    }

    /// Whether the core may be used.
    pub fn is_usable(&self, core: CoreId) -> bool {
        core.0 < self.cores() && !self.file.dead_cores.contains(&core.0)
    }

    /// Number of the router of a core, over all chips.
    pub fn router(&self, core: CoreId) -> u32 {
        core.0 / self.model.mesh.cores_per_router.0
    }

    /// Position of the router of a core in the joint mesh of all chips: (x, y).
    pub fn position(&self, core: CoreId) -> (u32, u32) {
        let mesh = &self.model.mesh;
        let (columns, rows) = (mesh.columns.0, mesh.rows.0);
        let chip = core.0 / self.cores_per_chip();
        let router = core.0 % self.cores_per_chip() / mesh.cores_per_router.0;
        let (chip_x, chip_y) = (chip % self.file.chips.columns, chip / self.file.chips.columns);
        (chip_x * columns + router % columns, chip_y * rows + router / columns)
    }

    /// Readable name of a core: `chip0.core17`.
    pub fn core_name(&self, core: CoreId) -> String {
        format!("chip{}.core{}", core.0 / self.cores_per_chip(), core.0 % self.cores_per_chip())
    }

    /// Routers along x and y, over all chips.
    pub fn mesh_size(&self) -> (u32, u32) {
        let mesh = &self.model.mesh;
        (self.file.chips.columns * mesh.columns.0, self.file.chips.rows * mesh.rows.0)
    }

    /// The hops from one core to another: first along x, then along y (the model's `XFirst`).
    pub fn path(&self, from: CoreId, to: CoreId) -> impl Iterator<Item = Hop> + use<> {
        let (columns, rows) = (self.model.mesh.columns.0, self.model.mesh.rows.0);
        let (mut at, end) = (self.position(from), self.position(to));
        std::iter::from_fn(move || {
            if at == end {
                return None;
            }
            let start = at;
            let vertical = at.0 == end.0;
            let (moving, goal) = if vertical { (&mut at.1, end.1) } else { (&mut at.0, end.0) };
            if *moving < goal {
                *moving += 1;
            } else {
                *moving -= 1;
            }
            let crosses_chip = (start.0 / columns, start.1 / rows) != (at.0 / columns, at.1 / rows);
            Some(Hop { vertical, crosses_chip, from: start, to: at })
        })
    }

    /// Whether links of a machine with multicast routers go on over the edge, along x and along y.
    pub fn wraps(&self) -> (bool, bool) {
        self.file.machine.map_or((false, false), MachineShape::wraps)
    }

    /// The chips of a machine with multicast routers that are there: x, y, and whether the chip has the Ethernet link of its
    /// board.
    pub fn machine_chips(&self) -> Vec<(u32, u32, bool)> {
        let (columns, rows) = (self.file.chips.columns, self.file.chips.rows);
        let mut chips = self.file.machine.map_or_else(Vec::new, |shape| shape.chips(columns, rows));
        chips.retain(|(x, y, _)| !self.file.dead_chips.contains(&(*x, *y)));
        chips
    }

    /// Number of hops between two cores.
    pub fn hops(&self, from: CoreId, to: CoreId) -> u32 {
        let (a, b) = (self.position(from), self.position(to));
        a.0.abs_diff(b.0) + a.1.abs_diff(b.1)
    }
}
