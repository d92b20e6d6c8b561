//! The network: what stands still while packets move. Names are indices into its lists.

/// A time that does not come.
pub const FOREVER: u64 = u64::MAX;
/// No resender.
pub const NONE: u32 = u32::MAX;

/// A directed link, or anything else that packets pass one after the other, as the pipeline of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// From when it takes a packet until the packet is at its far end.
    pub latency_ps: u64,
    /// From when it takes a packet until it can take the next.
    pub occupancy_ps: u64,
    /// Packets it holds: on their way, and at the far end as long as not all branches took them. At least 1; fewer than
    /// `latency / occupancy` limit its rate.
    pub slots: u32,
    /// How long a packet at its far end waits for its branches; [`FOREVER`] for as long as it takes.
    pub timeout_ps: u64,
    /// Who takes the branches that are dropped at the far end: index into [`Network::resenders`], or [`NONE`]: they are lost.
    pub resender: u32,
}

impl Link {
    /// A link that drops nothing.
    pub fn new(latency_ps: u64, occupancy_ps: u64, slots: u32) -> Self {
        Self { latency_ps, occupancy_ps, slots, timeout_ps: FOREVER, resender: NONE }
    }
}

/// Where packets enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Packets that wait in its port, at least 1; the sender of one more stalls.
    pub slots: u32,
}

/// Where packets end: a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Packets it holds, that in service included; at least 1.
    pub slots: u32,
}

/// Who sends dropped branches once more, one after the other, from the place where they were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resender {
    /// Branches it keeps; those beyond are lost.
    pub slots: u32,
    /// Time before each of them.
    pub resend_ps: u64,
}

/// Links, sources, sinks and resenders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Links.
    pub links: Vec<Link>,
    /// Sources.
    pub sources: Vec<Source>,
    /// Sinks.
    pub sinks: Vec<Sink>,
    /// Resenders.
    pub resenders: Vec<Resender>,
}
