//! Synapse lists decoded for speed, and the delivery of spikes into the accumulators.
//!
//! **Weights** are kept in *units* of `2^S` (`w >> S`, exact, since every effective weight is a multiple): 16 bits of weight
//! and 16 of target in one word where they fit. A list is stored once, however many axons share it; the axon's base selects
//! where in the accumulators its targets begin, so nothing is expanded.
//!
//! **Accumulators** are planes, one for each step that a spike may still travel, in a ring. An accumulator holds
//! `(sum of units << count_bits) + number of events`. The count cannot reach the sum (`count_bits` covers the fan-in), so an
//! arithmetic shift right gives the sum back, and the accumulator is 0 just if nothing arrived: "input arrived" costs no work.
//!
//! **Exponents of sums** (`ExponentRule::PerSum`): a left shift distributes over the sum and is applied to each weight; a
//! right shift does not. Segments with one wait in *channels*, one for each (accumulator group, extra delay), and are summed
//! and shifted once all spikes of the step are known.

use crate::timing::Load;

/// A number type that accumulators are made of.
pub(crate) trait Accumulator: Copy + Default + Send + Sync {
    /// `(units << count_bits) + 1`.
    fn event(units: i64, count_bits: u32) -> Self;
    /// The sum of both; bounds checked when the program was loaded and the stimulus prepared keep it in range.
    fn plus(self, other: Self) -> Self;
}

impl Accumulator for i32 {
    #[inline(always)]
    fn event(units: i64, count_bits: u32) -> Self {
        ((units as i32) << count_bits).wrapping_add(1)
    }
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

impl Accumulator for i64 {
    #[inline(always)]
    fn event(units: i64, count_bits: u32) -> Self {
        (units << count_bits).wrapping_add(1)
    }
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

/// A synapse too large for one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WideSynapse {
    pub(crate) units: i64,
    pub(crate) target: u32,
}

/// Synapses of a core: all packed (weight in the upper half, target in the lower), or all wide.
#[derive(Clone, Debug)]
pub(crate) enum Synapses {
    Packed(Vec<u32>),
    Wide(Vec<WideSynapse>),
}

/// Consecutive synapses of one list with one extra delay (and one channel), ascending by target.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Segment {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) delay: u32,
    /// Index into [`SynapseTable::channels`], or [`NO_CHANNEL`].
    pub(crate) channel: u32,
}

pub(crate) const NO_CHANNEL: u32 = u32::MAX;

/// A synapse list: half a cache line, since a message must find it first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct List {
    /// Its only segment, in almost all lists.
    pub(crate) first: Segment,
    /// Further ones: `rest_start .. rest_end` of [`SynapseTable::segments`].
    pub(crate) rest_start: u32,
    pub(crate) rest_end: u32,
    /// Synapses of all its segments.
    pub(crate) synapses: u32,
    /// Index into [`SynapseTable::prices`].
    pub(crate) price: u32,
}

/// Sums that are shifted right together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channel {
    pub(crate) delay: u32,
    pub(crate) right_shift: u32,
}

/// What a message costs its receiver: `axon_in` and all synapses in time, the synapses alone in energy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Price {
    pub(crate) receive_ps: u64,
    pub(crate) synapses_fj: u64,
}

/// Synapse memory of a core.
#[derive(Clone, Debug)]
pub(crate) struct SynapseTable {
    pub(crate) lists: Vec<List>,
    /// Segments beyond the first of their list.
    pub(crate) segments: Vec<Segment>,
    pub(crate) synapses: Synapses,
    pub(crate) channels: Vec<Channel>,
    /// Distinct prices of lists.
    pub(crate) prices: Vec<Price>,
    pub(crate) count_bits: u32,
    /// Accumulator planes, a power of two above the longest extra delay.
    pub(crate) planes: usize,
}

/// A message on its way into a core's accumulators.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) list: u32,
    pub(crate) base: u32,
    pub(crate) payload: i32,
}

/// Accumulators of a core: a ring of planes.
#[derive(Clone, Debug)]
pub(crate) struct Planes<A> {
    values: Vec<A>,
    plane_len: usize,
    mask: usize,
}

impl<A: Accumulator> Planes<A> {
    pub(crate) fn new(planes: usize, plane_len: usize) -> Self {
        Self { values: vec![A::default(); planes * plane_len], plane_len, mask: planes - 1 }
    }

    pub(crate) fn clear(&mut self) {
        self.values.fill(A::default());
    }

    /// The plane of a step.
    pub(crate) fn of_step(&mut self, step: u64) -> &mut [A] {
        let at = (step as usize & self.mask) * self.plane_len;
        &mut self.values[at..at + self.plane_len]
    }
}

/// Scratch memory of channels.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChannelState {
    /// Segments waiting in each channel: (segment, base, payload).
    waiting: Vec<Vec<(Segment, u32, i32)>>,
    /// Channels in which something waits.
    open: Vec<u32>,
    sums: Vec<i64>,
    arrived: Vec<bool>,
    touched: Vec<u32>,
}

impl ChannelState {
    pub(crate) fn new(table: &SynapseTable, compartments: usize) -> Self {
        let scratch = if table.channels.is_empty() { 0 } else { compartments };
        Self {
            waiting: vec![Vec::new(); table.channels.len()],
            open: Vec::new(),
            sums: vec![0; scratch],
            arrived: vec![false; scratch],
            touched: Vec::new(),
        }
    }
}

impl SynapseTable {
    /// Calls `visit` with target and units of each synapse of a list.
    pub(crate) fn for_each_in(&self, list: u32, mut visit: impl FnMut(u32, i64)) {
        let list = &self.lists[list as usize];
        self.for_each(&list.first, &mut visit);
        for segment in &self.segments[list.rest_start as usize..list.rest_end as usize] {
            self.for_each(segment, &mut visit);
        }
    }

    /// Adds the messages of a step to the accumulators of the next and later ones, books them, and empties the inbox.
    pub(crate) fn deliver<A: Accumulator>(
        &self,
        inbox: &mut Vec<Delivery>,
        planes: &mut Planes<A>,
        channels: &mut ChannelState,
        step: u64,
        load: &mut Load,
    ) {
        load.messages_in = inbox.len() as u64;
        for message in inbox.iter() {
            let list = &self.lists[message.list as usize];
            let price = &self.prices[list.price as usize];
            load.synaptic_events += u64::from(list.synapses);
            load.receive_ps += price.receive_ps;
            load.synapses_fj += price.synapses_fj;
            self.deliver_segment(&list.first, message, planes, channels, step);
            for segment in &self.segments[list.rest_start as usize..list.rest_end as usize] {
                self.deliver_segment(segment, message, planes, channels, step);
            }
        }
        inbox.clear();
        for channel in std::mem::take(&mut channels.open) {
            self.flush(channel as usize, planes, channels, step);
        }
    }

    #[inline]
    fn deliver_segment<A: Accumulator>(
        &self,
        segment: &Segment,
        message: &Delivery,
        planes: &mut Planes<A>,
        channels: &mut ChannelState,
        step: u64,
    ) {
        if segment.channel == NO_CHANNEL {
            let plane = &mut planes.of_step(step + 1 + u64::from(segment.delay))[message.base as usize..];
            self.add_segment(segment, plane, message.payload);
        } else {
            let waiting = &mut channels.waiting[segment.channel as usize];
            if waiting.is_empty() {
                channels.open.push(segment.channel);
            }
            waiting.push((*segment, message.base, message.payload));
        }
    }

    /// The hot loop.
    #[inline]
    fn add_segment<A: Accumulator>(&self, segment: &Segment, plane: &mut [A], payload: i32) {
        let range = segment.start as usize..segment.end as usize;
        let count_bits = self.count_bits;
        match &self.synapses {
            Synapses::Packed(words) if payload == 1 => {
                for &word in &words[range] {
                    let target = &mut plane[(word & 0xffff) as usize];
                    *target = target.plus(A::event(i64::from(word as i32 >> 16), count_bits));
                }
            }
            Synapses::Packed(words) => {
                for &word in &words[range] {
                    let target = &mut plane[(word & 0xffff) as usize];
                    *target = target.plus(A::event(i64::from(word as i32 >> 16) * i64::from(payload), count_bits));
                }
            }
            Synapses::Wide(synapses) => {
                for synapse in &synapses[range] {
                    let target = &mut plane[synapse.target as usize];
                    *target = target.plus(A::event(synapse.units.wrapping_mul(i64::from(payload)), count_bits));
                }
            }
        }
    }

    /// Calls `visit` with target and units of each synapse of a segment.
    fn for_each(&self, segment: &Segment, mut visit: impl FnMut(u32, i64)) {
        let range = segment.start as usize..segment.end as usize;
        match &self.synapses {
            Synapses::Packed(words) => {
                words[range].iter().for_each(|word| visit(word & 0xffff, i64::from(*word as i32 >> 16)));
            }
            Synapses::Wide(synapses) => {
                synapses[range].iter().for_each(|synapse| visit(synapse.target, synapse.units));
            }
        }
    }

    /// Sums what waits in a channel, shifts the sums right (rounding down) and adds them to the plane of their arrival.
    fn flush<A: Accumulator>(&self, channel: usize, planes: &mut Planes<A>, state: &mut ChannelState, step: u64) {
        let ChannelState { waiting, sums, arrived, touched, .. } = state;
        for (segment, base, payload) in waiting[channel].drain(..) {
            self.for_each(&segment, |target, mantissa| {
                let target = base + target;
                let at = target as usize;
                if !arrived[at] {
                    arrived[at] = true;
                    touched.push(target);
                }
                sums[at] = sums[at].wrapping_add(mantissa.wrapping_mul(i64::from(payload)));
            });
        }
        let Channel { delay, right_shift } = self.channels[channel];
        let plane = planes.of_step(step + 1 + u64::from(delay));
        for target in touched.drain(..) {
            let at = target as usize;
            plane[at] = plane[at].plus(A::event(sums[at] >> right_shift, self.count_bits));
            sums[at] = 0;
            arrived[at] = false;
        }
    }
}
