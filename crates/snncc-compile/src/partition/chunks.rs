//! Chunks (neurons that stay together while packing) and bins (cores being filled).

use crate::backend::{Backend, CoreCount, CoreLimits, Part, Resource, Shortfall, View};
use crate::partition::request::Request;
use snncc_ids::{CoreId, PopulationId};

/// Neurons of one population on one core, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnedPart {
    pub(crate) population: PopulationId,
    pub(crate) neurons: Vec<u32>,
}

/// Parts as the backend takes them.
pub(crate) fn borrow_parts(parts: &[OwnedPart]) -> Vec<Part<'_>> {
    parts.iter().map(|part| Part { population: part.population, neurons: &part.neurons }).collect()
}

/// Neurons that stay together while packing; they fit on a core of their own.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) part: OwnedPart,
    /// What a core with this chunk alone uses.
    pub(crate) count: CoreCount,
    pub(crate) pinned: Option<CoreId>,
}

/// A core being filled.
#[derive(Clone, Debug)]
pub(crate) struct Bin {
    /// Its neurons; one part per population, by population, in the order of compartments.
    pub(crate) parts: Vec<OwnedPart>,
    pub(crate) count: CoreCount,
    pub(crate) pinned: Option<CoreId>,
}

impl Bin {
    /// A core with one chunk.
    pub(crate) fn new(chunk: &Chunk) -> Self {
        Self { parts: vec![chunk.part.clone()], count: chunk.count.clone(), pinned: chunk.pinned }
    }

    /// Its parts with more neurons added, in canonical order: populations ascending; neurons of a population run by run, runs
    /// by their first neuron. Where the runs touch in row-major order this is row-major again.
    pub(crate) fn parts_with(&self, added: &OwnedPart) -> Vec<OwnedPart> {
        let mut parts = self.parts.clone();
        match parts.binary_search_by_key(&added.population, |part| part.population) {
            Err(at) => parts.insert(at, added.clone()),
            Ok(at) => {
                let held = &mut parts[at].neurons;
                if added.neurons.first() < held.first() {
                    held.splice(0..0, added.neurons.iter().copied());
                } else {
                    held.extend_from_slice(&added.neurons);
                }
            }
        }
        parts
    }
}

/// What the packer asks about joining neurons to a core, short of the exact count.
pub(crate) struct Rules<'a, B: Backend> {
    pub(crate) view: &'a View<'a>,
    pub(crate) backend: &'a B,
    pub(crate) request: &'a Request,
}

impl<B: Backend> Rules<'_, B> {
    pub(crate) fn limits(&self) -> &CoreLimits {
        self.backend.limits()
    }

    /// Whether wishes and core-wide registers allow it.
    pub(crate) fn may_join(&self, bin: &Bin, population: PopulationId) -> bool {
        let apart = self.request.apart(population);
        !(apart && bin.parts.iter().any(|part| part.population == population)) && self.may_mix(bin, population)
    }

    /// Whether the population may sit beside the others of a core.
    pub(crate) fn may_mix(&self, bin: &Bin, population: PopulationId) -> bool {
        bin.parts.iter().filter(|part| part.population != population).all(|part| {
            !self.request.exclusive(population)
                && !self.request.exclusive(part.population)
                && self.backend.may_share(population, part.population)
        })
    }

    /// Whether compartments, delay slots or axons rule it out: cheap and exact for these.
    pub(crate) fn ruled_out(&self, bin: &CoreCount, chunk: &CoreCount) -> bool {
        let sum = |resource| bin.used.get(resource) + chunk.used.get(resource);
        let compartments = sum(Resource::Compartments);
        if compartments > self.backend.compartments_per_core() as u64 {
            return true;
        }
        let slots_each = |count: &CoreCount| {
            count.used.get(Resource::AccumulatorSlots) / count.used.get(Resource::Compartments).max(1)
        };
        let slots = compartments * slots_each(bin).max(slots_each(chunk));
        if !self.limits().get(Resource::AccumulatorSlots).allows(slots) {
            return true;
        }
        let axons = self.limits().get(Resource::InAxons);
        if !axons.allows(sum(Resource::InAxons)) && !axons.allows(union_len(&bin.sources, &chunk.sources)) {
            return true;
        }
        // Lists that both have are stored once, as long as their sources have no other list on the core.
        let words = self.limits().get(Resource::SynapseWords);
        !words.allows(sum(Resource::SynapseWords)) && !words.allows(words_together(&bin.lists, &chunk.lists))
    }

    /// The bin with more neurons, if that fits.
    pub(crate) fn joined(&self, bin: &Bin, added: &OwnedPart) -> Result<Bin, Shortfall> {
        let parts = bin.parts_with(added);
        let count = self.backend.count(&borrow_parts(&parts));
        self.check(&count)?;
        Ok(Bin { parts, count, pinned: bin.pinned })
    }

    /// Whether a core fits, with the partitioner's own bound on compartments.
    pub(crate) fn check(&self, count: &CoreCount) -> Result<(), Shortfall> {
        self.limits().check(&count.used)?;
        if count.used.get(Resource::Compartments) > self.backend.compartments_per_core() as u64 {
            let exceeded = vec![Resource::Compartments];
            return Err(Shortfall { used: count.used, limits: *self.limits(), exceeded });
        }
        Ok(())
    }
}

/// Length of the union of two ascending lists.
pub(crate) fn union_len(a: &[u32], b: &[u32]) -> u64 {
    let (mut i, mut j, mut both) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                both += 1;
                i += 1;
                j += 1;
            }
        }
    }
    (a.len() + b.len() - both) as u64
}

/// Words of the lists of two cores together, equal ones counted once. Both ascending.
fn words_together(a: &[(u64, u32)], b: &[(u64, u32)]) -> u64 {
    let sum = |lists: &[(u64, u32)]| lists.iter().map(|(_, words)| u64::from(*words)).sum::<u64>();
    let (mut rest, mut common) = (b, 0);
    for list in a {
        rest = &rest[rest.partition_point(|other| other < list)..];
        if rest.first() == Some(list) {
            common += u64::from(list.1);
        }
    }
    sum(a) + sum(b) - common
}
