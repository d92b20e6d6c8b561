//! What went wrong in time: packets that were late, dropped or lost, and where.

use super::program::SpinnakerProgram;
use snncc_ids::{Diagnostic, code};

/// Names of a chip's links.
const LINK_NAMES: [&str; 6] = ["east", "north-east", "north", "west", "south-west", "south"];

/// Where something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpinnakerPlace {
    /// A core, by its number over all chips.
    Core(u32),
    /// A link of a chip.
    Link {
        /// Number of the chip.
        chip: u32,
        /// 0 east, then counter-clockwise.
        link: u8,
    },
}

/// How often something happened, and the step and place of the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCount {
    /// Times.
    pub count: u64,
    /// Step and place of the first.
    pub first: Option<(u32, SpinnakerPlace)>,
}

impl FaultCount {
    pub(crate) fn note(&mut self, count: u64, step: u32, place: SpinnakerPlace) {
        if count > 0 {
            self.count += count;
            self.first.get_or_insert((step, place));
        }
    }
}

/// What went wrong in time. Only the last four change what neurons compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpinnakerFaults {
    /// Rows processed in another step than that in which their packet was sent.
    pub late_rows: FaultCount,
    /// Branches of packets that a router dropped, at the link or core that did not take them.
    pub dropped: FaultCount,
    /// Synapses of late rows whose delay was too short, or whose row was dropped for being late.
    pub skipped_synapses: FaultCount,
    /// Late rows whose colour says a wrong step: more steps late than colours, or processed before the core began the step.
    pub misdated_rows: FaultCount,
    /// Packets that found the queue of their core full.
    pub overflowed: FaultCount,
    /// Copies of packets that never arrived: dropped, with no room to keep them for sending again.
    pub lost: FaultCount,
}

impl SpinnakerFaults {
    /// Every kind: what was counted, and whether it changes what neurons compute.
    pub fn kinds(&self) -> [(&'static str, FaultCount, bool); 6] {
        [
            ("late rows", self.late_rows, false),
            ("branches of packets dropped by a router", self.dropped, false),
            ("synapses skipped in late rows", self.skipped_synapses, true),
            ("late rows of which the colour says a wrong step", self.misdated_rows, true),
            ("packets lost to full queues", self.overflowed, true),
            ("copies of packets lost by routers", self.lost, true),
        ]
    }

    /// Whether anything changed what neurons compute.
    pub fn change_results(&self) -> bool {
        self.kinds().iter().any(|(_, count, changes)| *changes && count.count > 0)
    }
}

/// What a link did at the level `link`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpinnakerLinkUse {
    /// Number of the chip.
    pub chip: u32,
    /// 0 east, then counter-clockwise.
    pub link: u8,
    /// Packets.
    pub packets: u64,
    /// Time in which it was occupied, in picoseconds.
    pub busy_ps: u64,
    /// Time that packets waited for it.
    pub waited_ps: u64,
    /// Longest time that one waited for it.
    pub longest_wait_ps: u64,
    /// Branches dropped because it did not take them.
    pub dropped: u64,
}

/// What a router did at the level `link`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpinnakerRouterUse {
    /// Number of the chip.
    pub chip: u32,
    /// Packets that went through it.
    pub packets: u64,
    /// Branches that it dropped.
    pub dropped: u64,
    /// Those that were sent again.
    pub reinjected: u64,
    /// Those that were lost.
    pub lost: u64,
    /// Most that were kept for sending again at once.
    pub most_kept: u32,
}

/// What a run at the level `link` tells besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpinnakerLinkTrace {
    /// What went wrong.
    pub faults: SpinnakerFaults,
    /// Branches of packets that were sent again.
    pub reinjected: u64,
    /// Links that took a packet.
    pub links: Vec<SpinnakerLinkUse>,
    /// Routers that a packet came by.
    pub routers: Vec<SpinnakerRouterUse>,
    /// When the last thing happened, in picoseconds since the first tick.
    pub end_ps: u64,
}

impl SpinnakerLinkTrace {
    /// The link that was occupied longest; of equal ones the first.
    pub fn busiest_link(&self) -> Option<&SpinnakerLinkUse> {
        self.links.iter().rev().max_by_key(|link| link.busy_ps)
    }

    /// One warning (`SNN0703`) for each kind of thing that went wrong.
    pub fn warnings(&self, program: &SpinnakerProgram) -> Vec<Diagnostic> {
        let kinds = self.faults.kinds();
        let warn = |(what, count, changes): &(&str, FaultCount, bool)| {
            let (step, place) = count.first?;
            let warning = Diagnostic::warning(code::LATE_PACKETS, format!("{} {what}", count.count));
            let effect = if *changes { "neurons miss input" } else { "no input is missing for this alone" };
            let warning = warning.note(format!("first in step {step} at {}; {effect}", program.place_name(place)));
            Some(warning.help("longer ticks (`--time-scale`) or fewer neurons on a core give time"))
        };
        kinds.iter().filter_map(warn).collect()
    }
}

impl SpinnakerProgram {
    /// A place in words.
    pub fn place_name(&self, place: SpinnakerPlace) -> String {
        match place {
            SpinnakerPlace::Core(number) => match self.cores.binary_search_by_key(&number, |core| core.number) {
                Ok(at) => self.cores[at].name.clone(),
                Err(_) => format!("core {number}"),
            },
            SpinnakerPlace::Link { chip, link } => {
                let columns = self.columns.max(1);
                let name = LINK_NAMES.get(usize::from(link)).unwrap_or(&"unknown");
                format!("the link {name} of chip ({}, {})", chip % columns, chip / columns)
            }
        }
    }
}
