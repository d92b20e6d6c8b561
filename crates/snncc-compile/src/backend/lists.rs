//! Synapse lists of a core: what each source sends there, with equal lists found and kept once.
//!
//! A list is what one source (one input axon) reaches on the core: a *segment* for each projection that has targets there,
//! with targets relative to the axon's base (the smallest target). Zero weights are dropped first. Lists that are equal
//! relative to their bases (formats, targets, delays, weights) are one list: interior positions of a convolution share theirs
//! because compartments are ordered (y, x, channel).
//!
//! Two ways of collecting give the same lists. Where a core holds few of the targets, synapses are gathered from the targets'
//! fan-in and sorted by source; where it holds many, each source's fan-out is filtered, which needs no memory.

use crate::backend::{Part, View};
use rustc_hash::{FxHashMap, FxHasher};
use snncc_ids::{PopulationId, ProjectionId};
use snncc_ir::{Connectivity, Delays};
use std::collections::BTreeMap;
use std::hash::Hasher;
use std::ops::Range;

/// An input axon before encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawAxon {
    /// Global number of the source.
    pub(crate) source: u32,
    /// Its list.
    pub(crate) list: u32,
    /// First target.
    pub(crate) base: u32,
}

/// Entries of one family within a list, by ascending target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Which synapse formats may store it: see [`crate::backend::layout`].
    pub(crate) family: u16,
    start: u32,
    end: u32,
}

impl Segment {
    pub(crate) fn entries(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Input axons and distinct lists of a core.
#[derive(Default)]
pub(crate) struct RawLists {
    /// Axons by ascending source.
    pub(crate) axons: Vec<RawAxon>,
    /// Synapses of all axons, lists that are shared counted for each.
    pub(crate) synapses: u64,
    /// Segments of all lists.
    pub(crate) segments: Vec<Segment>,
    /// End of each list in `segments`.
    pub(crate) list_ends: Vec<u32>,
    /// Hash of the content of each list.
    pub(crate) hashes: Vec<u64>,
    /// Entries: targets relative to the base of the axon.
    pub(crate) index: Vec<u32>,
    /// Entries: weight mantissas.
    pub(crate) mantissa: Vec<i32>,
    /// Entries: extra delays.
    pub(crate) delay: Vec<u8>,
}

impl RawLists {
    /// Segments of a list.
    pub(crate) fn list(&self, list: usize) -> &[Segment] {
        let start = if list == 0 { 0 } else { self.list_ends[list - 1] as usize };
        &self.segments[start..self.list_ends[list] as usize]
    }
}

/// A synapse on its way into a list.
#[derive(Clone, Copy)]
struct Raw {
    compartment: u32,
    mantissa: i32,
    family: u16,
    delay: u8,
}

/// Keeps equal lists once.
#[derive(Default)]
struct Interner {
    lists: RawLists,
    /// Latest list of each hash; earlier ones follow in `previous`.
    latest: FxHashMap<u64, u32>,
    previous: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Interner {
    /// Adds the axon of a source. `entries` are grouped by segment (a change of projection starts a new one: `breaks`).
    fn push(&mut self, source: u32, entries: &[Raw], breaks: &[usize]) {
        let Some(base) = entries.iter().map(|entry| entry.compartment).min() else { return };
        let lists = &mut self.lists;
        lists.synapses += entries.len() as u64;
        let (first_segment, first_entry) = (lists.segments.len(), lists.index.len());
        let mut hasher = FxHasher::default();
        for (segment, start) in breaks.iter().enumerate() {
            let end = breaks.get(segment + 1).copied().unwrap_or(entries.len());
            let family = entries[*start].family;
            hasher.write_u64(u64::from(family) << 32 | (end - start) as u64);
            for entry in &entries[*start..end] {
                let index = entry.compartment - base;
                hasher.write_u64(u64::from(index) << 32 | u64::from(entry.mantissa as u32));
                hasher.write_u8(entry.delay);
                lists.index.push(index);
                lists.mantissa.push(entry.mantissa);
                lists.delay.push(entry.delay);
            }
            let offset = |at: usize| u32::try_from(first_entry + at).expect("bug in snncc: 2^32 synapses on a core");
            lists.segments.push(Segment { family, start: offset(*start), end: offset(end) });
        }
        let hash = hasher.finish();
        let new = lists.list_ends.len() as u32;
        let head = self.latest.get(&hash).copied().unwrap_or(NONE);
        let mut known = head;
        while known != NONE && !lists.same(known as usize, first_segment) {
            known = self.previous[known as usize];
        }
        if known == NONE {
            lists.list_ends.push(lists.segments.len() as u32);
            lists.hashes.push(hash);
            self.latest.insert(hash, new);
            self.previous.push(head);
            known = new;
        } else {
            lists.segments.truncate(first_segment);
            lists.index.truncate(first_entry);
            lists.mantissa.truncate(first_entry);
            lists.delay.truncate(first_entry);
        }
        self.lists.axons.push(RawAxon { source, list: known, base });
    }
}

impl RawLists {
    /// Whether a list equals the one whose segments begin at `first_segment` and end with the last.
    fn same(&self, list: usize, first_segment: usize) -> bool {
        let (known, new) = (self.list(list), &self.segments[first_segment..]);
        known.len() == new.len()
            && known.iter().zip(new).all(|(a, b)| {
                a.family == b.family
                    && self.index[a.entries()] == self.index[b.entries()]
                    && self.mantissa[a.entries()] == self.mantissa[b.entries()]
                    && self.delay[a.entries()] == self.delay[b.entries()]
            })
    }
}

/// A projection into the core, with what the inner loops need.
struct Entering<'a> {
    id: ProjectionId,
    mantissas: &'a [i32],
    delays: &'a Delays,
    family: u16,
    target: PopulationId,
}

impl Entering<'_> {
    /// The delay register: the chip's step from spike to arrival is not stored. Longer delays than 255 are refused by the
    /// legality check, which counts them separately.
    fn delay(&self, source: u32, weight: usize) -> u8 {
        (self.delays.get(source, weight) - 1).min(255) as u8
    }
}

/// Neurons of a population on the core: (neuron, compartment), by ascending compartment.
type Members = Vec<(u32, u32)>;

/// Collects the lists of a core with these parts. `family` names the family of each projection; it is asked in order of id.
pub(crate) fn collect(view: &View<'_>, parts: &[Part<'_>], mut family: impl FnMut(ProjectionId) -> u16) -> RawLists {
    let mut members: BTreeMap<PopulationId, Members> = BTreeMap::new();
    let mut compartment = 0;
    for part in parts {
        let list = members.entry(part.population).or_default();
        list.reserve(part.neurons.len());
        for neuron in part.neurons {
            list.push((*neuron, compartment));
            compartment += 1;
        }
    }
    let mut entering: Vec<ProjectionId> = members.keys().flat_map(|target| view.incoming(*target)).copied().collect();
    entering.sort_unstable();
    let mut by_source: BTreeMap<PopulationId, Vec<Entering<'_>>> = BTreeMap::new();
    for id in entering {
        let projection = view.projection(id);
        by_source.entry(projection.source).or_default().push(Entering {
            id,
            mantissas: &view.ir.weights[id].mantissas,
            delays: &projection.delays,
            family: family(id),
            target: projection.target,
        });
    }
    let mut interner = Interner::default();
    for (source, projections) in &by_source {
        if streams_well(view, &members, projections) {
            stream(view, *source, projections, &members, &mut interner);
        } else {
            gather(view, *source, projections, &members, &mut interner);
        }
    }
    interner.lists
}

/// Whether filtering fan-outs looks at no more than about twice the synapses that the core has.
fn streams_well(view: &View<'_>, members: &BTreeMap<PopulationId, Members>, projections: &[Entering<'_>]) -> bool {
    projections.iter().all(|entering| match view.projection(entering.id).connectivity {
        Connectivity::Dense => true,
        _ => 2 * members[&entering.target].len() >= view.population(entering.target).len(),
    })
}

fn stream(
    view: &View<'_>,
    source: PopulationId,
    projections: &[Entering<'_>],
    members: &BTreeMap<PopulationId, Members>,
    interner: &mut Interner,
) {
    // Compartment of each neuron of the target populations that are not dense.
    let mut places: BTreeMap<PopulationId, Vec<u32>> = BTreeMap::new();
    for entering in projections {
        if !matches!(view.projection(entering.id).connectivity, Connectivity::Dense) {
            places.entry(entering.target).or_insert_with(|| {
                let mut place = vec![NONE; view.population(entering.target).len()];
                for (neuron, compartment) in &members[&entering.target] {
                    place[*neuron as usize] = *compartment;
                }
                place
            });
        }
    }
    let (mut entries, mut breaks): (Vec<Raw>, Vec<usize>) = (Vec::new(), Vec::new());
    let source_len = view.population(source).len();
    for neuron in 0..source_len as u32 {
        entries.clear();
        breaks.clear();
        for entering in projections {
            let start = entries.len();
            let mut push = |compartment: u32, weight: usize| {
                let mantissa = entering.mantissas[weight];
                if mantissa != 0 {
                    let delay = entering.delay(neuron, weight);
                    entries.push(Raw { compartment, mantissa, family: entering.family, delay });
                }
            };
            let projection = view.projection(entering.id);
            if matches!(projection.connectivity, Connectivity::Dense) {
                for (target, compartment) in &members[&entering.target] {
                    push(*compartment, *target as usize * source_len + neuron as usize);
                }
            } else {
                let place = &places[&entering.target];
                projection.fan_out(neuron, |synapse| {
                    let compartment = place[synapse.other as usize];
                    if compartment != NONE {
                        push(compartment, synapse.weight);
                    }
                });
                let segment = &mut entries[start..];
                if !segment.is_sorted_by_key(|entry| entry.compartment) {
                    segment.sort_unstable_by_key(|entry| entry.compartment);
                }
            }
            if entries.len() > start {
                breaks.push(start);
            }
        }
        interner.push(view.global(source, neuron), &entries, &breaks);
    }
}

fn gather(
    view: &View<'_>,
    source: PopulationId,
    projections: &[Entering<'_>],
    members: &BTreeMap<PopulationId, Members>,
    interner: &mut Interner,
) {
    // In order of projection and compartment; the counting sort by source keeps that order within each source.
    let mut found: Vec<(u32, u16, Raw)> = Vec::new();
    let source_len = view.population(source).len();
    let mut starts = vec![0_u32; source_len + 1];
    for (ordinal, entering) in projections.iter().enumerate() {
        for (target, compartment) in &members[&entering.target] {
            view.fan_in(entering.id, *target, |neuron, weight| {
                let mantissa = entering.mantissas[weight];
                if mantissa != 0 {
                    let delay = entering.delay(neuron, weight);
                    starts[neuron as usize + 1] += 1;
                    let raw = Raw { compartment: *compartment, mantissa, family: entering.family, delay };
                    found.push((neuron, ordinal as u16, raw));
                }
            });
        }
    }
    for neuron in 0..source_len {
        starts[neuron + 1] += starts[neuron];
    }
    let mut sorted = vec![(0_u16, Raw { compartment: 0, mantissa: 0, family: 0, delay: 0 }); found.len()];
    let mut next = starts.clone();
    for (neuron, ordinal, raw) in found {
        let at = &mut next[neuron as usize];
        sorted[*at as usize] = (ordinal, raw);
        *at += 1;
    }
    let (mut entries, mut breaks): (Vec<Raw>, Vec<usize>) = (Vec::new(), Vec::new());
    for neuron in 0..source_len {
        let row = &sorted[starts[neuron] as usize..starts[neuron + 1] as usize];
        entries.clear();
        breaks.clear();
        let mut last_ordinal = None;
        for (ordinal, raw) in row {
            if last_ordinal != Some(*ordinal) {
                breaks.push(entries.len());
                last_ordinal = Some(*ordinal);
            }
            entries.push(*raw);
        }
        interner.push(view.global(source, neuron as u32), &entries, &breaks);
    }
}
