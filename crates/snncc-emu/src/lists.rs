//! From synapse words to the [`SynapseTable`] of a core, and the bounds that decide how wide its accumulators must be.

use crate::check::Judge;
use crate::rules::shift;
use crate::synapses::{Channel, List, NO_CHANNEL, Price, Segment, SynapseTable, Synapses, WideSynapse};
use crate::timing::Costs;
use snncc_chip::{ArithmeticProfile, ExponentRule};
use snncc_image::{BlockLayout, CoreImage, Entry, SynapseFormat, decode_list};
use std::collections::BTreeMap;

/// Synapses visited at most to bound the fan-in exactly; beyond it (lists shared by very many axons) a coarser bound serves.
const EXACT_BOUND_VISITS: u64 = 1 << 28;

/// The decoded synapse memory of a core.
pub(crate) struct Decoded {
    pub(crate) table: SynapseTable,
    /// Longest extra delay.
    pub(crate) longest_delay: u32,
}

/// Bounds of what reaches one compartment in one step, with payloads of magnitude 1.
pub(crate) struct FanIn {
    pub(crate) events: u64,
    /// Sum of |units|.
    pub(crate) units: u64,
}

/// Decodes all lists of a core and checks that they stay on it. `None` if the image was refused.
pub(crate) fn decode(core: &CoreImage, costs: &Costs, judge: &mut Judge<'_>) -> Option<Decoded> {
    let before = judge.problems.0.len();
    let number = core.core;
    let formats = judge.formats();
    let profile = &judge.target.model.loihi().arithmetic;
    let layout = BlockLayout { format_bits: formats.block_format_bits.0, count_bits: formats.block_count_bits.0 };
    if profile.exponent_rule == ExponentRule::PerSum {
        check_groups(core, judge);
    }
    let mut builder = Builder {
        profile,
        channels: Vec::new(),
        channel_of: BTreeMap::new(),
        segments: Vec::new(),
        lists: Vec::with_capacity(core.lists.len()),
        synapses: Vec::new(),
        prices: Vec::new(),
        price_of: BTreeMap::new(),
        longest_delay: 0,
    };
    let mut last_targets = Vec::with_capacity(core.lists.len());
    for (at, list) in core.lists.iter().enumerate() {
        let words = &core.synapse_words[list.first_word as usize..][..list.words as usize];
        let mut entries = Vec::new();
        match decode_list(words, layout, &core.synapse_formats, |entry| entries.push(entry)) {
            Ok(()) => last_targets.push(builder.add_list(&entries, &core.synapse_formats, costs)),
            Err(what) => {
                judge.refuse_core(number, &format!("lists/{at}"), what);
                last_targets.push(None);
            }
        }
    }
    let compartments = core.compartments.len() as u64;
    // An empty list ends where it begins.
    let end = |last: Option<u32>| last.map_or(0, |last| u64::from(last) + 1);
    let lost = core
        .in_axons
        .iter()
        .position(|axon| u64::from(axon.base) + end(last_targets[axon.list as usize]) > compartments);
    if let Some(axon) = lost {
        let what = format!("input axon {axon} reaches beyond the {compartments} compartments");
        judge.refuse_core(number, "in_axons", what);
    }
    if u32::try_from(builder.synapses.len()).is_err() {
        judge.refuse_core(number, "synapse_words", "more than 2^32 synapses");
    }
    (judge.problems.0.len() == before).then(|| builder.finish())
}

/// Weights of one accumulator group share their exponent: it is applied to their sum.
fn check_groups(core: &CoreImage, judge: &mut Judge<'_>) {
    let mut exponent_of = BTreeMap::new();
    for (at, format) in core.synapse_formats.iter().enumerate() {
        let exponent = *exponent_of.entry(format.accumulator_group).or_insert(format.exponent);
        if exponent != format.exponent {
            let what = format!(
                "accumulator group {} has exponents {exponent} and {}",
                format.accumulator_group, format.exponent
            );
            judge.refuse_core(core.core, &format!("synapse_formats/{at}"), what);
        }
    }
}

struct Builder<'a> {
    profile: &'a ArithmeticProfile,
    channels: Vec<Channel>,
    channel_of: BTreeMap<(u16, u32), u32>,
    segments: Vec<Segment>,
    lists: Vec<List>,
    synapses: Vec<WideSynapse>,
    prices: Vec<Price>,
    price_of: BTreeMap<Price, u32>,
    longest_delay: u32,
}

impl Builder<'_> {
    /// Adds a list, sorted into segments; returns its largest target.
    fn add_list(&mut self, entries: &[Entry], formats: &[SynapseFormat], costs: &Costs) -> Option<u32> {
        let mut price = Price { receive_ps: costs.axon_in.ps, synapses_fj: 0 };
        let mut sorted = Vec::with_capacity(entries.len());
        for entry in entries {
            let format = &formats[usize::from(entry.format)];
            let synapse = match (format.shared, format.index_bits) {
                (true, _) => costs.synapse_shared,
                (false, None) => costs.synapse_dense,
                (false, Some(_)) => costs.synapse_sparse,
            };
            // Saturated sums are refused later: the dearest step must fit 63 bits.
            price.receive_ps = price.receive_ps.saturating_add(synapse.ps);
            price.synapses_fj = price.synapses_fj.saturating_add(synapse.fj);
            let delay = u32::from(entry.delay);
            self.longest_delay = self.longest_delay.max(delay);
            let channel = self.channel(format, delay);
            sorted.push((delay, channel, entry.index, self.units(format, entry.mantissa)));
        }
        sorted.sort_unstable();
        let last = entries.iter().map(|entry| entry.index).max();
        let mut list =
            List { synapses: entries.len() as u32, rest_start: self.segments.len() as u32, ..List::default() };
        list.first.channel = NO_CHANNEL;
        let mut open = None;
        for (delay, channel, target, units) in sorted {
            let at = self.synapses.len() as u32;
            self.synapses.push(WideSynapse { units, target });
            match &mut open {
                Some(Segment { delay: d, channel: c, end, .. }) if (*d, *c) == (delay, channel) => *end = at + 1,
                _ => {
                    let next = Segment { start: at, end: at + 1, delay, channel };
                    self.close(&mut list, open.replace(next));
                }
            }
        }
        self.close(&mut list, open);
        list.rest_end = self.segments.len() as u32;
        list.price = *self.price_of.entry(price).or_insert_with(|| {
            self.prices.push(price);
            self.prices.len() as u32 - 1
        });
        self.lists.push(list);
        last
    }

    /// Gives a finished segment to its list.
    fn close(&mut self, list: &mut List, segment: Option<Segment>) {
        let Some(segment) = segment else { return };
        if list.first.start == list.first.end {
            list.first = segment;
        } else {
            self.segments.push(segment);
        }
    }

    /// The channel of synapses whose sum is shifted right.
    fn channel(&mut self, format: &SynapseFormat, delay: u32) -> u32 {
        if self.profile.exponent_rule == ExponentRule::PerWeight || format.exponent >= 0 {
            return NO_CHANNEL;
        }
        let next = self.channels.len() as u32;
        *self.channel_of.entry((format.accumulator_group, delay)).or_insert_with(|| {
            self.channels.push(Channel { delay, right_shift: u32::from(format.exponent.unsigned_abs()) });
            next
        })
    }

    /// The effective weight in units of `2^S`; the bare mantissa where a channel shifts the sum.
    fn units(&self, format: &SynapseFormat, mantissa: i32) -> i64 {
        let (mantissa, exponent) = (i64::from(mantissa), i32::from(format.exponent));
        match self.profile.exponent_rule {
            ExponentRule::PerSum if exponent < 0 => mantissa,
            ExponentRule::PerSum => shift(mantissa, exponent),
            ExponentRule::PerWeight => {
                let units = shift(mantissa, exponent);
                match self.profile.effective_weight_clip_bits {
                    Some(bits) => {
                        let limit = (shift(1, i32::from(bits) - i32::from(self.profile.weight_shift)) - 1).max(0);
                        units.clamp(-limit, limit)
                    }
                    None => units,
                }
            }
        }
    }

    fn finish(self) -> Decoded {
        let packable = self
            .synapses
            .iter()
            .all(|synapse| u16::try_from(synapse.target).is_ok() && i16::try_from(synapse.units).is_ok());
        let synapses = if packable {
            let pack = |synapse: &WideSynapse| (synapse.units as u32) << 16 | synapse.target;
            Synapses::Packed(self.synapses.iter().map(pack).collect())
        } else {
            Synapses::Wide(self.synapses)
        };
        let table = SynapseTable {
            lists: self.lists,
            segments: self.segments,
            synapses,
            channels: self.channels,
            prices: self.prices,
            count_bits: 0,
            planes: (self.longest_delay as usize + 1).next_power_of_two(),
        };
        Decoded { table, longest_delay: self.longest_delay }
    }
}

/// Bounds the input of the compartments of a core. `sources` is the number of sources of each input axon: each spikes at
/// most once a step, so that in any step a synapse adds to an accumulator at most once for each.
pub(crate) fn fan_in(core: &CoreImage, table: &SynapseTable, sources: &[u32]) -> FanIn {
    let used = || core.in_axons.iter().zip(sources).filter(|(_, sources)| **sources > 0);
    let visits: u64 = used().map(|(axon, _)| u64::from(table.lists[axon.list as usize].synapses)).sum();
    if visits <= EXACT_BOUND_VISITS {
        let mut sums = vec![(0_u64, 0_u64); core.compartments.len()];
        for (axon, sources) in used() {
            table.for_each_in(axon.list, |target, units| {
                let sum = &mut sums[(axon.base + target) as usize];
                sum.0 += u64::from(*sources);
                sum.1 = sum.1.saturating_add(units.unsigned_abs().saturating_mul(u64::from(*sources)));
            });
        }
        return FanIn {
            events: sums.iter().map(|sum| sum.0).max().unwrap_or(0),
            units: sums.iter().map(|sum| sum.1).max().unwrap_or(0),
        };
    }
    // Per list, the most that any of its targets gets; summed over the axons.
    let peak = |list: u32| {
        let mut synapses: Vec<(u32, u64)> = Vec::new();
        table.for_each_in(list, |target, units| synapses.push((target, units.unsigned_abs())));
        synapses.sort_unstable();
        synapses.chunk_by(|a, b| a.0 == b.0).fold((0_u64, 0_u64), |(events, units), same| {
            let sum = same.iter().fold(0_u64, |sum, synapse| sum.saturating_add(synapse.1));
            (events.max(same.len() as u64), units.max(sum))
        })
    };
    let peaks: Vec<(u64, u64)> = (0..core.lists.len() as u32).map(peak).collect();
    let mut bound = FanIn { events: 0, units: 0 };
    for (axon, sources) in used() {
        let (events, units) = peaks[axon.list as usize];
        bound.events = bound.events.saturating_add(events.saturating_mul(u64::from(*sources)));
        bound.units = bound.units.saturating_add(units.saturating_mul(u64::from(*sources)));
    }
    bound
}
