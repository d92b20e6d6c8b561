//! Routing tables: ordered ternary entries, of which the first that matches a key decides.

use crate::machine::LINKS;

/// Where a packet goes: bits 0 to 5 are links, bit `6 + p` is core `p`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route(pub u32);

impl Route {
    /// Cores that a route can name.
    pub const CORES: u32 = u32::BITS - LINKS as u32;

    /// The route over one link.
    pub fn link(link: usize) -> Self {
        Self(1 << link)
    }

    /// The route to one core.
    pub fn core(core: u8) -> Self {
        Self(1 << (LINKS as u32 + u32::from(core)))
    }

    /// Whether it includes the link.
    pub fn has_link(self, link: usize) -> bool {
        self.0 >> link & 1 == 1
    }

    /// The cores, as bits from core 0.
    pub fn cores(self) -> u32 {
        self.0 >> LINKS
    }
}

/// The keys `k` with `k & mask == key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyBlock {
    /// Bits that must be set; none outside `mask`.
    pub key: u32,
    /// Bits that must agree.
    pub mask: u32,
}

impl KeyBlock {
    /// Whether every key of `other` is in `self`.
    pub fn covers(self, other: Self) -> bool {
        self.mask & !other.mask == 0 && other.key & self.mask == self.key
    }

    /// Whether some key is in both.
    pub fn meets(self, other: Self) -> bool {
        (self.key ^ other.key) & self.mask & other.mask == 0
    }
}

/// One entry of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The keys that match.
    pub block: KeyBlock,
    /// Where they go.
    pub route: Route,
    /// Default routing does the same: the route is one link, and every packet of these keys comes in over the opposite one. Such
    /// keys may stay without an entry.
    pub defaultable: bool,
}

/// The table of one chip; the first match wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The entries, in the order in which the router looks at them.
    pub entries: Vec<Entry>,
}
