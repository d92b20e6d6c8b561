//! From synapse words to the [`SynapseTable`] of a core, and the bounds that decide how wide its accumulators must be.

use crate::check::Judge;
use crate::rules::shift;
use crate::synapses::{Channel, DELAY_BITS, MORE, PLAIN, Price, SEGMENT_MAX, SynapseTable, pack, unpacked};
use crate::timing::Costs;
use snncc_chip::{ArithmeticProfile, ExponentRule};
use snncc_image::{BlockLayout, CoreImage, Entry, SynapseFormat, decode_list};
use std::collections::BTreeMap;

/// Synapses visited at most to bound the fan-in exactly; beyond it (lists shared by very many axons) a coarser bound serves.
const EXACT_BOUND_VISITS: u64 = 1 << 28;

/// The decoded synapse memory of a core.
pub(crate) struct Decoded {
    pub(crate) table: SynapseTable,
    /// Where each list begins in the table's stream.
    pub(crate) list_starts: Vec<u32>,
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
    if judge.target.model.loihi().arithmetic.exponent_rule == ExponentRule::PerSum {
        check_groups(core, judge);
    }
    // Almost every core can be packed, and whether one can is known only when all weights were seen.
    let mut builder = Builder::new(judge, true);
    if !builder.add_lists(core, costs, judge) {
        judge.problems.0.truncate(before);
        builder = Builder::new(judge, false);
        builder.add_lists(core, costs, judge);
    }
    // Channels are numbered in 24 bits of a segment's header.
    if builder.channels.len() >= 1 << (u32::BITS - DELAY_BITS) {
        judge.refuse_core(core.core, "synapse_formats", "too many accumulator groups and delays");
    }
    if u32::try_from(builder.words.len()).is_err() {
        judge.refuse_core(core.core, "synapse_words", "more synapses than 32 bits can number");
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

/// A synapse on its way into the stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Synapse {
    delay: u32,
    /// 0 for none; otherwise its channel and one.
    channel: u32,
    target: u32,
    units: i64,
}

struct Builder<'a> {
    profile: &'a ArithmeticProfile,
    layout: BlockLayout,
    packed: bool,
    words: Vec<u32>,
    list_starts: Vec<u32>,
    channels: Vec<Channel>,
    channel_of: BTreeMap<(u16, u32), u32>,
    prices: Vec<Price>,
    price_of: BTreeMap<Price, u32>,
    longest_delay: u32,
    /// Synapses of the current list.
    list: Vec<Synapse>,
}

impl<'a> Builder<'a> {
    fn new(judge: &Judge<'a>, packed: bool) -> Self {
        let formats = judge.formats();
        let layout = BlockLayout { format_bits: formats.block_format_bits.0, count_bits: formats.block_count_bits.0 };
        Self {
            profile: &judge.target.model.loihi().arithmetic,
            layout,
            packed,
            words: Vec::new(),
            list_starts: Vec::new(),
            channels: Vec::new(),
            channel_of: BTreeMap::new(),
            prices: Vec::new(),
            price_of: BTreeMap::new(),
            longest_delay: 0,
            list: Vec::new(),
        }
    }

    /// Adds all lists of a core; whether every synapse could be written in this layout.
    fn add_lists(&mut self, core: &CoreImage, costs: &Costs, judge: &mut Judge<'_>) -> bool {
        // Where the targets of each list end; an empty list ends where it begins.
        let mut ends = Vec::with_capacity(core.lists.len());
        for (at, list) in core.lists.iter().enumerate() {
            let words = &core.synapse_words[list.first_word as usize..][..list.words as usize];
            let mut price = Price { receive_ps: costs.axon_in.ps, ..Price::default() };
            let mut end = 0;
            self.list.clear();
            let sound = decode_list(words, self.layout, &core.synapse_formats, |entry| {
                end = end.max(u64::from(entry.index) + 1);
                self.add(&entry, &core.synapse_formats[usize::from(entry.format)], &mut price, costs);
            });
            if let Err(what) = sound {
                judge.refuse_core(core.core, &format!("lists/{at}"), what);
            }
            ends.push(end);
            if !self.finish_list(price) {
                return false;
            }
        }
        let compartments = core.compartments.len() as u64;
        let lost = core.in_axons.iter().position(|axon| u64::from(axon.base) + ends[axon.list as usize] > compartments);
        if let Some(axon) = lost {
            let what = format!("input axon {axon} reaches beyond the {compartments} compartments");
            judge.refuse_core(core.core, "in_axons", what);
        }
        true
    }

    /// Adds a synapse to the current list.
    fn add(&mut self, entry: &Entry, format: &SynapseFormat, price: &mut Price, costs: &Costs) {
        let cost = match (costs.synapse_by_weight_bits.get(&format.weight_bits), format.shared, format.index_bits) {
            (Some(cost), ..) => *cost,
            (None, true, _) => costs.synapse_shared,
            (None, false, None) => costs.synapse_dense,
            (None, false, Some(_)) => costs.synapse_sparse,
        };
        // Saturated sums are refused later: the dearest step must fit 63 bits.
        price.receive_ps = price.receive_ps.saturating_add(cost.ps);
        price.synapses_fj = price.synapses_fj.saturating_add(cost.fj);
        price.synapses += 1;
        let delay = u32::from(entry.delay);
        self.longest_delay = self.longest_delay.max(delay);
        let channel = self.channel(format, delay);
        let units = self.units(format, entry.mantissa);
        self.list.push(Synapse { delay, channel, target: entry.index, units });
    }

    /// Writes the current list; whether its synapses fit the layout.
    fn finish_list(&mut self, price: Price) -> bool {
        self.list.sort_unstable();
        let next = self.prices.len() as u32;
        let index = *self.price_of.entry(price).or_insert(next);
        if index == next {
            self.prices.push(price);
        }
        self.list_starts.push(self.words.len() as u32);
        self.words.push(index);
        if self.list.is_empty() {
            self.words.push(PLAIN);
        }
        let mut rest = self.list.as_slice();
        while let Some(first) = rest.first() {
            let same = |synapse: &&Synapse| (synapse.delay, synapse.channel) == (first.delay, first.channel);
            let len = rest.iter().take(SEGMENT_MAX as usize).take_while(same).count();
            let segment;
            (segment, rest) = rest.split_at(len);
            let plain = first.delay == 0 && first.channel == 0;
            self.words.push(len as u32 | if rest.is_empty() { 0 } else { MORE } | if plain { PLAIN } else { 0 });
            if !plain {
                self.words.push(first.delay | first.channel << DELAY_BITS);
            }
            for synapse in segment {
                if !self.packed {
                    self.words.extend(unpacked(synapse.target, synapse.units));
                } else if let Some(word) = pack(synapse.target, synapse.units) {
                    self.words.push(word);
                } else {
                    return false;
                }
            }
        }
        true
    }

    /// The channel of synapses whose sum is shifted right, and one; 0 for all others.
    fn channel(&mut self, format: &SynapseFormat, delay: u32) -> u32 {
        if self.profile.exponent_rule == ExponentRule::PerWeight || format.exponent >= 0 {
            return 0;
        }
        let next = self.channels.len() as u32 + 1;
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
        let table = SynapseTable {
            words: self.words,
            packed: self.packed,
            channels: self.channels,
            prices: self.prices,
            count_bits: 0,
            planes: (self.longest_delay as usize + 1).next_power_of_two(),
        };
        Decoded { table, list_starts: self.list_starts, longest_delay: self.longest_delay }
    }
}

/// Bounds the input of the compartments of a core. `sources` is the number of sources of each input axon: each spikes at
/// most once a step, so that in any step a synapse adds to an accumulator at most once for each.
pub(crate) fn fan_in(core: &CoreImage, decoded: &Decoded, sources: &[u32]) -> FanIn {
    let Decoded { table, list_starts, .. } = decoded;
    let used = || core.in_axons.iter().zip(sources).filter(|(_, sources)| **sources > 0);
    let visits: u64 = used().map(|(axon, _)| table.price(list_starts[axon.list as usize]).synapses).sum();
    if visits <= EXACT_BOUND_VISITS {
        let mut sums = vec![(0_u64, 0_u64); core.compartments.len()];
        for (axon, sources) in used() {
            table.for_each_in(list_starts[axon.list as usize], |target, units| {
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
    let peak = |list: &u32| {
        let mut synapses: Vec<(u32, u64)> = Vec::new();
        table.for_each_in(*list, |target, units| synapses.push((target, units.unsigned_abs())));
        synapses.sort_unstable();
        synapses.chunk_by(|a, b| a.0 == b.0).fold((0_u64, 0_u64), |(events, units), same| {
            let sum = same.iter().fold(0_u64, |sum, synapse| sum.saturating_add(synapse.1));
            (events.max(same.len() as u64), units.max(sum))
        })
    };
    let peaks: Vec<(u64, u64)> = list_starts.iter().map(peak).collect();
    let mut bound = FanIn { events: 0, units: 0 };
    for (axon, sources) in used() {
        let (events, units) = peaks[axon.list as usize];
        bound.events = bound.events.saturating_add(events.saturating_mul(u64::from(*sources)));
        bound.units = bound.units.saturating_add(units.saturating_mul(u64::from(*sources)));
    }
    bound
}
