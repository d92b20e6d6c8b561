//! Synapse lists decoded for speed, and the delivery of spikes into the accumulators.
//!
//! **Lists** lie one after the other in one stream of words, so that a message finds everything in one place of memory:
//!
//! ```text
//! list     = price (index into the table of prices), then one or more segments
//! segment  = number of synapses | MORE if another segment of the list follows | PLAIN if the next word is left out,
//!            delay | (channel + 1) << 8,
//!            synapses, ascending by target
//! synapse  = target | units << 16, or where that is too narrow on this core: target, low and high half of the units
//! ```
//!
//! **Weights** are kept in *units* of `2^S` (`w >> S`, exact, since every effective weight is a multiple). A list is stored
//! once, however many axons share it; the axon's base selects where in the accumulators its targets begin, so nothing is
//! expanded.
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

/// A segment header: another segment of the list follows.
pub(crate) const MORE: u32 = 1 << 31;
/// A segment header: no delay and no channel.
pub(crate) const PLAIN: u32 = 1 << 30;
/// Most synapses of a segment; longer runs are split.
pub(crate) const SEGMENT_MAX: u32 = PLAIN - 1;
/// Bits of the delay in the second word of a segment.
pub(crate) const DELAY_BITS: u32 = 8;

/// Words of a cache line.
const LINE_WORDS: usize = 16;
/// Lists lie all over memory. Their beginnings are read this many at once, and the lines of each long list before its turn:
/// reads that wait for nothing overlap with each other and with the work.
const TOUCHED_LISTS: usize = 32;
/// Cache lines fetched of one list.
const TOUCHED_LINES: usize = 8;

/// Synapses of a segment: where they lie in the stream.
#[derive(Clone, Copy, Debug)]
struct Segment {
    start: u32,
    len: u32,
    delay: u32,
    channel: Option<u32>,
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
    pub(crate) synapses: u64,
}

/// Synapse memory of a core.
#[derive(Clone, Debug)]
pub(crate) struct SynapseTable {
    pub(crate) words: Vec<u32>,
    /// Whether synapses take one word each, or three.
    pub(crate) packed: bool,
    pub(crate) channels: Vec<Channel>,
    /// Distinct prices of lists.
    pub(crate) prices: Vec<Price>,
    pub(crate) count_bits: u32,
    /// Accumulator planes, a power of two above the longest extra delay.
    pub(crate) planes: usize,
}

/// The word of a packed synapse, if it fits.
pub(crate) fn pack(target: u32, units: i64) -> Option<u32> {
    let (target, units) = (u16::try_from(target).ok()?, i16::try_from(units).ok()?);
    Some((units as u32) << 16 | u32::from(target))
}

/// The words of a synapse that is not packed.
pub(crate) fn unpacked(target: u32, units: i64) -> [u32; 3] {
    [target, units as u32, (units >> 32) as u32]
}

/// A message on its way into a core's accumulators.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    /// Where its list begins in the stream.
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
    /// Segments waiting in each channel, with base and payload.
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
    /// The price of the list at this place of the stream.
    #[inline]
    pub(crate) fn price(&self, list: u32) -> &Price {
        &self.prices[self.words[list as usize] as usize]
    }

    /// Reads the segment header at `at`; also gives where the next one lies, if the list goes on.
    #[inline]
    fn segment(&self, at: u32) -> (Segment, Option<u32>) {
        let header = self.words[at as usize];
        let (delay, channel, start) = if header & PLAIN != 0 {
            (0, None, at + 1)
        } else {
            let second = self.words[at as usize + 1];
            (second & ((1 << DELAY_BITS) - 1), (second >> DELAY_BITS).checked_sub(1), at + 2)
        };
        let len = header & SEGMENT_MAX;
        let next = (header & MORE != 0).then(|| start + len * self.synapse_words());
        (Segment { start, len, delay, channel }, next)
    }

    #[inline]
    fn synapse_words(&self) -> u32 {
        if self.packed { 1 } else { 3 }
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
        let mut touched = 0;
        for (at, message) in inbox.iter().enumerate() {
            if at.is_multiple_of(TOUCHED_LISTS) {
                let soon = &inbox[at..inbox.len().min(at + TOUCHED_LISTS)];
                touched ^= soon.iter().fold(0, |sum, message| sum ^ self.words[message.list as usize]);
            }
            touched ^= inbox.get(at + 1).map_or(0, |next| self.touch(next));
            let price = self.price(message.list);
            load.synaptic_events += price.synapses;
            load.receive_ps += price.receive_ps;
            load.synapses_fj += price.synapses_fj;
            let mut next = Some(message.list + 1);
            while let Some(at) = next {
                let segment;
                (segment, next) = self.segment(at);
                if let Some(channel) = segment.channel {
                    let waiting = &mut channels.waiting[channel as usize];
                    if waiting.is_empty() {
                        channels.open.push(channel);
                    }
                    waiting.push((segment, message.base, message.payload));
                } else {
                    let plane = &mut planes.of_step(step + 1 + u64::from(segment.delay))[message.base as usize..];
                    self.add_segment(&segment, plane, message.payload);
                }
            }
        }
        std::hint::black_box(touched);
        inbox.clear();
        for channel in std::mem::take(&mut channels.open) {
            self.flush(channel as usize, planes, channels, step);
        }
    }

    /// Reads one word of each cache line of a long list that is next in turn. The result is of no use.
    #[inline]
    fn touch(&self, next: &Delivery) -> u32 {
        let start = next.list as usize + 1;
        let lines = (self.words[start] & SEGMENT_MAX) as usize / LINE_WORDS;
        let words = self.words[start..].chunks(LINE_WORDS).take(lines.min(TOUCHED_LINES));
        words.fold(0, |sum, line| sum ^ line[line.len() - 1])
    }

    /// The hot loop.
    #[inline]
    fn add_segment<A: Accumulator>(&self, segment: &Segment, plane: &mut [A], payload: i32) {
        let count_bits = self.count_bits;
        let words = &self.words[segment.start as usize..][..(segment.len * self.synapse_words()) as usize];
        if self.packed && payload == 1 {
            let mut add = |word: u32| {
                let target = &mut plane[(word & 0xffff) as usize];
                *target = target.plus(A::event(i64::from(word as i32 >> 16), count_bits));
            };
            let (eights, rest) = words.as_chunks::<8>();
            eights.iter().for_each(|eight| eight.iter().for_each(|word| add(*word)));
            rest.iter().for_each(|word| add(*word));
        } else {
            self.for_each(segment, |target, units| {
                let target = &mut plane[target as usize];
                *target = target.plus(A::event(units.wrapping_mul(i64::from(payload)), count_bits));
            });
        }
    }

    /// Calls `visit` with target and units of each synapse of a segment.
    #[inline]
    fn for_each(&self, segment: &Segment, mut visit: impl FnMut(u32, i64)) {
        let words = &self.words[segment.start as usize..][..(segment.len * self.synapse_words()) as usize];
        if self.packed {
            words.iter().for_each(|word| visit(word & 0xffff, i64::from(*word as i32 >> 16)));
        } else {
            let (synapses, _) = words.as_chunks::<3>();
            for [target, low, high] in synapses {
                visit(*target, i64::from(*high as i32) << 32 | i64::from(*low));
            }
        }
    }

    /// Calls `visit` with target and units of each synapse of the list at this place of the stream.
    pub(crate) fn for_each_in(&self, list: u32, mut visit: impl FnMut(u32, i64)) {
        let mut next = Some(list + 1);
        while let Some(at) = next {
            let segment;
            (segment, next) = self.segment(at);
            self.for_each(&segment, &mut visit);
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
