//! How long ring buffers are, and who holds spikes whose delays are longer.
//!
//! Ring buffers of `2^b` slots leave room for `2^(bits − 1 − b)` neurons, so a population with long delays takes many cores. Or its
//! ring buffers are shorter, and delay extensions of its sources send their spikes again: stage `s` does `s · 2^b` steps later, and a
//! delay `d` is `d − s · 2^b` from stage `s = ⌊(d − 1) / 2^b⌋`.
//!
//! **The rule:** the lengths that take the fewest cores, of slices and extensions together, if that is one in eight less than with the
//! longest ring buffers: extensions cost packets and rows. All populations with longer delays get one common length, the best of all
//! there are (the longest of equals); then each gets its own one if that saves cores.

use super::split::{Extension, Split, bits_for, parts};
use snncc_chip::SpinnakerCore;
use snncc_ids::{Diagnostic, Diagnostics, ProjectionId, code};
use snncc_ir::Graph;
use snncc_ir::spinnaker::SYNAPSE_TYPES;
use std::collections::BTreeMap;

/// Bits of a synapse word below its weight.
const WORD_BITS: u8 = 16;
/// Most keys of a core: entries of population tables count them in 16 bits.
const SOURCES_MAX: u64 = (1 << 16) - 1;
/// Extensions must save one core of so many.
const WORTH: u64 = 8;
/// Words of a delay extension in front of its bits.
const PARAMETER_WORDS: u64 = 7;

/// Words of a delay extension's memories: parameters, and a bit for each source.
pub(super) fn extension_words(sources: u32) -> u64 {
    PARAMETER_WORDS + u64::from(sources.div_ceil(u32::BITS))
}

/// Data memory of a delay extension: a bit for each neuron and step that is held, in whole bytes a step, its parameters, and
/// waiting spikes (4 bytes each).
pub(super) fn extension_bytes(len: u32, stages: u32, delay_bits: u8, core: &SpinnakerCore) -> u64 {
    let held = u64::from(stages) << delay_bits;
    let words = extension_words(len.saturating_mul(stages)) + u64::from(core.limits.incoming_spikes.0);
    held * u64::from(len.div_ceil(u8::BITS)) + 4 * words
}

/// Most neurons that a delay extension can serve, of at most `len`; 0 if none.
fn served(len: u32, stages: u32, delay_bits: u8, core: &SpinnakerCore) -> u32 {
    let fits = |len: u32| {
        u64::from(len) * u64::from(stages) <= SOURCES_MAX
            && extension_bytes(len, stages, delay_bits, core) <= core.limits.dtcm_bytes.0
    };
    let (mut fitting, mut too_many) = (0, len + 1);
    while too_many - fitting > 1 {
        let middle = fitting + (too_many - fitting) / 2;
        if fits(middle) { fitting = middle } else { too_many = middle }
    }
    fitting
}

/// Stages that a delay needs beyond the ring buffers.
fn stages(delay: u32, delay_bits: u8) -> u32 {
    (delay.max(1) - 1) >> delay_bits
}

/// What is known of a network before it is split.
struct Rings<'a> {
    core: &'a SpinnakerCore,
    /// Bits of ring-buffer slots for neurons and delays.
    bits: u8,
    /// Length of each population.
    lens: Vec<u32>,
    /// Longest delay of each pair of populations with a projection: source, target, delay.
    longest: Vec<(usize, usize, u32)>,
}

impl Rings<'_> {
    /// Most neurons of a slice.
    fn most(&self, delay_bits: u8) -> u32 {
        let limits = &self.core.limits;
        limits.neurons.0.min(1 << (self.bits - delay_bits)).min(limits.row_words.0)
    }

    /// Cores for slices and extensions; `None` if a delay cannot be held.
    fn cores(&self, delay_bits: &[u8]) -> Option<u64> {
        let slices = |population: usize| self.lens[population].div_ceil(self.most(delay_bits[population]));
        let mut cores: u64 = (0..self.lens.len()).map(|population| u64::from(slices(population))).sum();
        let mut extended: BTreeMap<(usize, u8), u32> = BTreeMap::new();
        for &(source, target, delay) in &self.longest {
            let stages = stages(delay, delay_bits[target]);
            if stages > 0 {
                let most = extended.entry((source, delay_bits[target])).or_default();
                *most = stages.max(*most);
            }
        }
        for ((source, bits), stages) in extended {
            let count = slices(source);
            let longest = self.lens[source].div_ceil(count);
            let served = served(longest, stages, bits, self.core);
            cores += u64::from(count) * u64::from(longest.div_ceil((served > 0).then_some(served)?));
        }
        Some(cores)
    }
}

/// Most neurons of a slice of each population, and the bits of its delay field.
///
/// # Errors
/// SNN0404 for delays that nothing holds.
pub(super) fn sizes(graph: &Graph, core: &SpinnakerCore) -> Result<Vec<(u32, u8)>, Diagnostics> {
    // A word has 16 bits for target, type and delay; a target has a bit at least.
    let bits = core.limits.ring_buffer_bits.0.min(WORD_BITS).saturating_sub(bits_for(SYNAPSE_TYPES as u32)).max(1);
    let mut longest: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    for projection in &graph.projections {
        let delay = longest.entry((projection.source.0 as usize, projection.target.0 as usize)).or_default();
        *delay = projection.delays.max().max(*delay);
    }
    let lens = graph.populations.iter().map(|population| population.len() as u32).collect();
    let longest: Vec<(usize, usize, u32)> = longest.into_iter().map(|((from, to), delay)| (from, to, delay)).collect();
    let mut own = vec![0; graph.populations.len()];
    for &(_, target, delay) in &longest {
        own[target] = bits_for(delay).max(own[target]);
    }
    let rings = Rings { core, bits, lens, longest };
    let common = |most: u8| -> Vec<u8> { own.iter().map(|own: &u8| (*own).min(most)).collect() };
    let lengths = (0..bits).rev().filter_map(|most| Some((rings.cores(&common(most))?, common(most))));
    let lengths: Vec<(u64, Vec<u8>)> = lengths.collect();
    let Some((mut cores, mut chosen)) = lengths.iter().min_by_key(|(cores, _)| *cores).cloned() else {
        return Err(too_long(graph, &rings));
    };
    for population in 0..own.len() {
        for length in (0..own[population].saturating_add(1).min(bits)).rev() {
            let before = std::mem::replace(&mut chosen[population], length);
            match rings.cores(&chosen) {
                Some(fewer) if fewer < cores => cores = fewer,
                _ => chosen[population] = before,
            }
        }
    }
    let (longest_cores, longest) = lengths.into_iter().next().expect("bug in snncc: there is a best one");
    if cores * WORTH > longest_cores * (WORTH - 1) {
        chosen = longest;
    }
    Ok(chosen.into_iter().map(|bits| (rings.most(bits), bits)).collect())
}

/// The delays that not even an extension for a single neuron holds.
fn too_long(graph: &Graph, rings: &Rings<'_>) -> Diagnostics {
    let delay_bits = rings.bits - 1;
    let stages = (1..).take_while(|stages| served(1, *stages, delay_bits, rings.core) > 0).count() as u64;
    let most = (stages + 1) << delay_bits;
    let mut problems = Diagnostics::new();
    for projection in graph.projections.iter().filter(|projection| u64::from(projection.delays.max()) > most) {
        let (name, longest) = (&graph.populations[projection.target].name, projection.delays.max());
        let message =
            format!("`{name}`: a delay of {longest} steps; ring buffers and delay extensions hold {most} at most");
        problems.push(Diagnostic::error(code::DELAY_TOO_LONG, message).at(projection.item.clone()));
    }
    assert!(problems.has_errors(), "bug in snncc: delays of at most {most} steps that nothing holds");
    problems
}

/// The delay extensions of a network with these slices, whose sizes are those of [`sizes`].
pub(super) fn extensions(
    graph: &Graph,
    split: &Split,
    occupied: impl Fn(ProjectionId, usize) -> bool,
    core: &SpinnakerCore,
) -> Vec<Extension> {
    let mut needed: BTreeMap<(usize, u8), u32> = BTreeMap::new();
    for (id, projection) in graph.projections.iter_with_ids() {
        let delay_bits = split.slices[split.of(projection.target).start].delay_bits;
        if stages(projection.delays.max(), delay_bits) == 0 {
            continue;
        }
        for slice in split.of(projection.source) {
            let part = split.slices[slice];
            let mut longest = 0;
            for neuron in part.first..part.first + part.len {
                projection.fan_out(neuron, |synapse| {
                    if occupied(id, synapse.weight) {
                        longest = projection.delays.get(neuron, synapse.weight).max(longest);
                    }
                });
            }
            let stages = stages(longest, delay_bits);
            if stages > 0 {
                let most = needed.entry((slice, delay_bits)).or_default();
                *most = stages.max(*most);
            }
        }
    }
    let mut extensions = Vec::new();
    for ((slice, delay_bits), stages) in needed {
        let len = split.slices[slice].len;
        let most = served(len, stages, delay_bits, core);
        assert!(most > 0, "bug in snncc: {stages} stages of 2^{delay_bits} steps, which sizes have no room for");
        extensions.extend(parts(len, most).map(|part| Extension {
            source: slice as u32,
            delay_bits,
            first: part.start,
            len: part.end - part.start,
            stages,
        }));
    }
    extensions
}
