//! What a kind of core demands of the mapping: resources, what may share a core, how a core's part of the image is made.
//!
//! Partitioner, placer and emitter know cores only through [`Backend`]. **Invariant:** [`Backend::count`] and
//! [`Backend::core_image`] go through the same code, so a partition that was counted as fitting is emitted as counted.

mod layout;
mod lists;
mod loihi;
mod tiles;
mod view;

#[cfg(test)]
#[allow(dead_code)]
#[path = "../../tests/mapping/networks.rs"]
mod networks;

pub use view::View;

pub(crate) use loihi::LoihiBackend;

use snncc_chip::{CoreKind, Limit, Target};
use snncc_ids::{PopulationId, ProjectionId};
use snncc_image::CoreImage;
use std::ops::Range;

/// A resource of a core that has a limit (docs/CHIP_SEMANTICS.md, "Resources of a core").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Compartments.
    Compartments,
    /// Distinct sources with a synapse on the core.
    InAxons,
    /// Pairs of a compartment and a core that it sends to.
    OutAxons,
    /// Words of synapse memory.
    SynapseWords,
    /// Distinct decay, refractory and reset settings.
    CompartmentConfigs,
    /// Distinct thresholds.
    ThresholdConfigs,
    /// Distinct synapse formats.
    SynapseFormats,
    /// Compartments times delay slots.
    AccumulatorSlots,
}

impl Resource {
    /// All resources, in the order of [`CoreUse`].
    pub const ALL: [Resource; 8] = [
        Resource::Compartments,
        Resource::InAxons,
        Resource::OutAxons,
        Resource::SynapseWords,
        Resource::CompartmentConfigs,
        Resource::ThresholdConfigs,
        Resource::SynapseFormats,
        Resource::AccumulatorSlots,
    ];

    /// Name for people: `in-axons`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compartments => "compartments",
            Self::InAxons => "in-axons",
            Self::OutAxons => "out-axons",
            Self::SynapseWords => "synapse words",
            Self::CompartmentConfigs => "compartment configs",
            Self::ThresholdConfigs => "threshold configs",
            Self::SynapseFormats => "synapse formats",
            Self::AccumulatorSlots => "accumulator slots",
        }
    }
}

/// Amounts of each resource: what a core uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreUse([u64; Resource::ALL.len()]);

impl CoreUse {
    /// Amount of a resource.
    pub fn get(&self, resource: Resource) -> u64 {
        self.0[resource as usize]
    }

    /// Sets the amount of a resource.
    pub(crate) fn set(&mut self, resource: Resource, amount: u64) {
        self.0[resource as usize] = amount;
    }

    /// Resources with their amounts.
    pub fn iter(&self) -> impl Iterator<Item = (Resource, u64)> + '_ {
        Resource::ALL.iter().map(|resource| (*resource, self.get(*resource)))
    }
}

/// Limits of a core, by resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreLimits([Limit; Resource::ALL.len()]);

impl CoreLimits {
    pub(crate) fn new(limits: [Limit; Resource::ALL.len()]) -> Self {
        Self(limits)
    }

    /// Limit of a resource.
    pub fn get(&self, resource: Resource) -> Limit {
        self.0[resource as usize]
    }

    /// Used part of a resource, from 0 to 1 and beyond; 0 where there is no limit.
    pub fn fraction(&self, used: &CoreUse, resource: Resource) -> f64 {
        match self.get(resource) {
            Limit::AtMost(limit) => used.get(resource) as f64 / limit as f64,
            Limit::Unlimited => 0.0,
        }
    }

    /// The resource used most, relative to its limit.
    pub fn binding(&self, used: &CoreUse) -> Resource {
        let fraction = |resource: &Resource| self.fraction(used, *resource);
        *Resource::ALL
            .iter()
            .rev()
            .max_by(|a, b| fraction(a).total_cmp(&fraction(b)))
            .expect("bug in snncc: there are resources")
    }

    /// Whether everything fits.
    ///
    /// # Errors
    /// The resources that do not.
    pub fn check(&self, used: &CoreUse) -> Result<(), Shortfall> {
        let exceeded: Vec<Resource> =
            Resource::ALL.into_iter().filter(|resource| !self.get(*resource).allows(used.get(*resource))).collect();
        if exceeded.is_empty() { Ok(()) } else { Err(Shortfall { used: *used, limits: *self, exceeded }) }
    }

    /// `compartments 50 %, in-axons 71 %, …` of the limited resources for which `select` holds.
    pub fn percentages(&self, used: &CoreUse, select: impl Fn(Resource) -> bool) -> String {
        let shown: Vec<String> = Resource::ALL
            .into_iter()
            .filter(|resource| self.get(*resource) != Limit::Unlimited && select(*resource))
            .map(|resource| format!("{} {:.0} %", resource.name(), 100.0 * self.fraction(used, resource)))
            .collect();
        shown.join(", ")
    }
}

/// Why something does not fit on a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// What would be used.
    pub used: CoreUse,
    /// What there is.
    pub limits: CoreLimits,
    /// Resources exceeded, at least one.
    pub exceeded: Vec<Resource>,
}

impl std::fmt::Display for Shortfall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, resource) in self.exceeded.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            let (used, limit) = (self.used.get(*resource), self.limits.get(*resource).max());
            let percent = 100.0 * self.limits.fraction(&self.used, *resource);
            write!(f, "{comma}{used} {} of {limit} ({percent:.0} %)", resource.name())?;
        }
        Ok(())
    }
}

/// Neurons of one population that go to one core, in the order of their compartments.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The population.
    pub population: PopulationId,
    /// Its neurons.
    pub neurons: &'a [u32],
}

/// A box of a convolution's outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Channels.
    pub channels: Range<u32>,
    /// Rows.
    pub rows: Range<u32>,
    /// Columns.
    pub columns: Range<u32>,
}

impl Tile {
    /// Neurons in it.
    pub fn len(&self) -> usize {
        self.channels.len() * self.rows.len() * self.columns.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a core with given neurons needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreCount {
    /// Amounts. Output axons are 0: they depend on the other cores.
    pub used: CoreUse,
    /// Global numbers ([`View::global`]) of the sources with a synapse on the core, ascending: its input axons in order.
    pub sources: Vec<u32>,
    /// Longest extra delay.
    pub longest_delay: u32,
    /// Synapses; those of a shared list count for each axon.
    pub synapses: u64,
    /// Hash of the content and words of each distinct list, by hash: what two cores may have in common.
    pub lists: Vec<(u64, u32)>,
}

/// Rules of a kind of core for one network.
pub trait Backend: Sync {
    /// Limits of a core, with those that follow from field widths worked in.
    fn limits(&self) -> &CoreLimits;

    /// Most compartments that the partitioner puts on a core, also where there is no limit.
    fn compartments_per_core(&self) -> usize;

    /// Whether neurons of both populations may sit on one core: its core-wide registers would be equal.
    fn may_share(&self, a: PopulationId, b: PopulationId) -> bool;

    /// Longest extra delay that a core can hold.
    fn longest_delay(&self) -> u32;

    /// Resources of a core with this tile of a population, without expanding it: not below the exact ones where all projections
    /// into the population are convolutions.
    fn tile_use(&self, population: PopulationId, tile: &Tile) -> CoreUse;

    /// Words of a list with this many synapses of a projection onto a full core, none of them neighbours: an estimate for
    /// populations with sparse inputs.
    fn scattered_words(&self, projection: ProjectionId, synapses: usize) -> u64;

    /// Exact resources of a core with these parts, compartments in this order.
    fn count(&self, parts: &[Part<'_>]) -> CoreCount;

    /// The core's part of the image, save core number and output axons, and the global numbers of its axons' sources.
    fn core_image(&self, parts: &[Part<'_>]) -> (CoreImage, Vec<u32>);
}

/// The backend for the target's kind of core.
pub(crate) fn backend<'a>(view: &'a View<'a>, target: &'a Target) -> impl Backend + 'a {
    match &target.model.core {
        CoreKind::Loihi(core) => LoihiBackend::new(view, core),
        CoreKind::Spinnaker(_) => panic!("bug in snncc: a SpiNNaker-like target on the way of Loihi-like chips"),
    }
}

/// A field width given in the model as bits: how many values it holds.
fn values_of(bits: u8) -> u64 {
    1_u64.checked_shl(u32::from(bits)).unwrap_or(u64::MAX)
}
