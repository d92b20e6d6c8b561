//! The machine: which chips and links there are, and what a chip offers.
//!
//! A chip has the number `y * width + x`. Links 0 to 5 lead east, north-east, north, west, south-west and south; link `l` and
//! link `(l + 3) % 6` are opposite. Axes may wrap. Dead chips and dead directed links are simply absent from `links`.

use snncc_ids::{Diagnostic, Diagnostics, code};

/// Links of a chip.
pub const LINKS: usize = 6;

/// Step in x and y of each link.
const STEPS: [(i32, i32); LINKS] = [(1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1)];

/// No neighbour.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// What one chip offers to vertices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChipResources {
    /// Number of the first core that a vertex may use; the ones below serve the system.
    pub first_core: u8,
    /// Cores that vertices may use, from `first_core` on.
    pub cores: u8,
    /// Shared memory, bytes.
    pub sdram_bytes: u64,
}

/// Chips, links and resources.
#[derive(Clone, Debug)]
pub struct Machine {
    width: u32,
    height: u32,
    wraps: [bool; 2],
    chips: Vec<Option<ChipResources>>,
    links: Vec<[u32; LINKS]>,
    /// Places of the chips, by number: looked up far more often than a division would like.
    positions: Vec<(i16, i16)>,
}

impl Machine {
    /// A machine of the listed chips `(x, y, resources)`; neighbours in the grid are linked, over the edge where `wraps` (x, y)
    /// says so.
    ///
    /// # Errors
    /// A chip outside the grid, listed twice, or with core numbers that a route has no bits for; no size at all.
    pub fn new(
        width: u32,
        height: u32,
        wraps: [bool; 2],
        chips: impl IntoIterator<Item = (u32, u32, ChipResources)>,
    ) -> Result<Self, Diagnostics> {
        let fault = |message: String| Diagnostics::from(Diagnostic::error(code::BAD_PARAMETER, message));
        let side = 1 << 12;
        if width == 0 || height == 0 || width > side || height > side {
            return Err(fault(format!("a machine of {width} by {height} chips; each side is 1 to {side}")));
        }
        let mut machine = Self {
            width,
            height,
            wraps,
            chips: vec![None; (width * height) as usize],
            links: vec![[NOWHERE; LINKS]; (width * height) as usize],
            positions: (0..height).flat_map(|y| (0..width).map(move |x| (x as i16, y as i16))).collect(),
        };
        for (x, y, resources) in chips {
            if x >= width || y >= height {
                return Err(fault(format!("chip ({x}, {y}) is outside the machine of {width} by {height}")));
            }
            let last = u32::from(resources.first_core) + u32::from(resources.cores);
            if last > crate::table::Route::CORES {
                return Err(fault(format!(
                    "chip ({x}, {y}) has cores up to {last}, and a route names {}",
                    crate::table::Route::CORES
                )));
            }
            let place = &mut machine.chips[(y * width + x) as usize];
            if place.replace(resources).is_some() {
                return Err(fault(format!("chip ({x}, {y}) is listed twice")));
            }
        }
        for chip in machine.alive() {
            for link in 0..LINKS {
                if let Some(next) = machine.grid_neighbour(chip, link)
                    && machine.chips[next as usize].is_some()
                {
                    machine.links[chip as usize][link] = next;
                }
            }
        }
        Ok(machine)
    }

    /// A full rectangle of equal chips.
    ///
    /// # Errors
    /// As [`Machine::new`].
    pub fn rectangle(width: u32, height: u32, wraps: [bool; 2], resources: ChipResources) -> Result<Self, Diagnostics> {
        let columns = move |y| (0..width).map(move |x| (x, y, resources));
        Self::new(width, height, wraps, (0..height).flat_map(columns))
    }

    /// Takes chip `(x, y)` and all links to and from it away. Unknown chips are ignored.
    pub fn remove_chip(&mut self, x: u32, y: u32) {
        let Some(chip) = self.chip_at(x, y) else { return };
        self.chips[chip as usize] = None;
        self.links[chip as usize] = [NOWHERE; LINKS];
        for links in &mut self.links {
            for next in links.iter_mut().filter(|next| **next == chip) {
                *next = NOWHERE;
            }
        }
    }

    /// Lets vertices use so many cores of a chip. Unknown chips are ignored.
    pub fn set_cores(&mut self, chip: u32, cores: u8) {
        if let Some(Some(resources)) = self.chips.get_mut(chip as usize) {
            resources.cores = cores;
        }
    }

    /// Takes the directed link `link` of chip `(x, y)` away. Unknown links are ignored.
    pub fn remove_link(&mut self, x: u32, y: u32, link: usize) {
        if let Some(chip) = self.chip_at(x, y)
            && link < LINKS
        {
            self.links[chip as usize][link] = NOWHERE;
        }
    }

    /// The number of the chip at `(x, y)`, if it is there.
    pub fn chip_at(&self, x: u32, y: u32) -> Option<u32> {
        let inside = x < self.width && y < self.height;
        inside.then(|| y * self.width + x).filter(|&chip| self.chips[chip as usize].is_some())
    }

    /// The place `(x, y)` of a chip.
    pub fn position(&self, chip: u32) -> (u32, u32) {
        (chip % self.width, chip / self.width)
    }

    /// Numbers that chips may have: width times height.
    pub fn places(&self) -> usize {
        self.chips.len()
    }

    /// What a chip offers; `None` if it is not there.
    pub fn resources(&self, chip: u32) -> Option<ChipResources> {
        self.chips.get(chip as usize).copied().flatten()
    }

    /// The chip at the end of a link, if the link works.
    pub fn neighbour(&self, chip: u32, link: usize) -> Option<u32> {
        Some(self.links[chip as usize][link]).filter(|&next| next != NOWHERE)
    }

    /// The chips that are there, by number.
    pub fn alive(&self) -> Vec<u32> {
        (0..self.chips.len() as u32).filter(|&chip| self.chips[chip as usize].is_some()).collect()
    }

    /// The chip whose link `link` leads to `chip`, if that link works.
    pub(crate) fn behind(&self, chip: u32, link: usize) -> Option<u32> {
        let from = self.grid_neighbour(chip, opposite(link))?;
        (self.links[from as usize][link] == chip).then_some(from)
    }

    /// Links between two chips on a machine without faults: `max(|dx|, |dy|, |dx - dy|)`, the least over the wraps.
    #[inline]
    pub fn distance(&self, a: u32, b: u32) -> u32 {
        let ((ax, ay), (bx, by)) = (self.positions[a as usize], self.positions[b as usize]);
        let (dx, dy) = (i32::from(bx) - i32::from(ax), i32::from(by) - i32::from(ay));
        if self.wraps == [false; 2] {
            return hops(dx, dy);
        }
        let around = |straight: i32, size: u32, wraps: bool| match wraps {
            true if straight > 0 => straight - size as i32,
            true => straight + size as i32,
            false => straight,
        };
        let (far_x, far_y) = (around(dx, self.width, self.wraps[0]), around(dy, self.height, self.wraps[1]));
        hops(dx, dy).min(hops(far_x, dy)).min(hops(dx, far_y)).min(hops(far_x, far_y))
    }

    fn grid_neighbour(&self, chip: u32, link: usize) -> Option<u32> {
        let (x, y) = self.position(chip);
        let axis = |at: u32, step: i32, size: u32, wraps: bool| {
            let to = at as i32 + step;
            if (0..size as i32).contains(&to) {
                Some(to as u32)
            } else {
                wraps.then(|| to.rem_euclid(size as i32) as u32)
            }
        };
        let to_x = axis(x, STEPS[link].0, self.width, self.wraps[0])?;
        let to_y = axis(y, STEPS[link].1, self.height, self.wraps[1])?;
        Some(to_y * self.width + to_x)
    }
}

fn hops(dx: i32, dy: i32) -> u32 {
    dx.unsigned_abs().max(dy.unsigned_abs()).max((dx - dy).unsigned_abs())
}

/// The link that comes back.
pub(crate) fn opposite(link: usize) -> usize {
    (link + LINKS / 2) % LINKS
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHIP: ChipResources = ChipResources { first_core: 2, cores: 16, sdram_bytes: 1 << 20 };

    #[test]
    fn distance_is_the_length_of_a_shortest_path() {
        for (width, height, wraps) in [(7, 5, [true; 2]), (6, 4, [true, false]), (5, 5, [false; 2]), (2, 2, [true; 2])]
        {
            let machine = Machine::rectangle(width, height, wraps, CHIP).unwrap();
            let mut hops = vec![u32::MAX; machine.places()];
            let mut queue = std::collections::VecDeque::from([0]);
            hops[0] = 0;
            while let Some(chip) = queue.pop_front() {
                for next in (0..LINKS).filter_map(|link| machine.neighbour(chip, link)) {
                    if hops[next as usize] == u32::MAX {
                        hops[next as usize] = hops[chip as usize] + 1;
                        queue.push_back(next);
                    }
                }
            }
            for chip in machine.alive() {
                assert_eq!(machine.distance(0, chip), hops[chip as usize], "{width}x{height} {wraps:?} to {chip}");
            }
        }
    }

    #[test]
    fn chips_outside_or_doubled_are_refused() {
        assert!(Machine::new(2, 2, [false; 2], [(2, 0, CHIP)]).is_err());
        assert!(Machine::new(2, 2, [false; 2], [(1, 0, CHIP), (1, 0, CHIP)]).is_err());
        assert!(Machine::new(0, 2, [false; 2], []).is_err());
        assert!(Machine::new(1, 1, [false; 2], [(0, 0, ChipResources { cores: 200, ..CHIP })]).is_err());
    }
}
