//! A histogram that grows with its values: one pass, fixed memory, no range known before.
//!
//! The bins start at 0 and their width is a power of two, the smallest for which the largest value lies in a bin. When a value
//! goes beyond, pairs of bins become one until it fits.
//!
//! **Invariant:** a bin of twice the width is exactly two bins, so the bins depend on the values alone and not on their order:
//! counting in pieces and merging gives the same as counting at once.

/// Offset of the exponent field of `f64` (IEEE 754).
const EXPONENT_BIAS: i32 = (1 << 10) - 1;

/// Values of one channel.
///
/// Values above 0 are counted in bins. Zeros are counted apart; negative values, which a rectifier does not have, go into
/// `count`, the sums, `min` and `max` only.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Number of values.
    pub count: u64,
    /// Number of values that are 0.
    pub zeros: u64,
    /// Sum of all values.
    pub sum: f64,
    /// Sum of the values above 0.
    pub sum_above_zero: f64,
    /// Sum of the squares of all values.
    pub sum_squares: f64,
    /// Smallest value; `+∞` if there is none.
    pub min: f32,
    /// Largest value; `−∞` if there is none.
    pub max: f32,
    /// Number of bins: a power of two.
    resolution: usize,
    /// The width of a bin is 2 to this power.
    exponent: i32,
    /// Empty until there is a value above 0.
    bins: Vec<u64>,
}

/// A part of the values above 0 that lies in one bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// No value is smaller.
    pub lower: f64,
    /// No value is larger.
    pub upper: f64,
    /// Number of values.
    pub count: u64,
}

impl Bin {
    /// The middle.
    pub fn middle(&self) -> f64 {
        0.5 * (self.lower + self.upper)
    }
}

impl Histogram {
    /// An empty histogram of `resolution` bins. The bins are at most `2 / resolution` of the largest value wide.
    ///
    /// # Panics
    /// If `resolution` is not a power of two.
    pub fn new(resolution: usize) -> Self {
        assert!(resolution.is_power_of_two(), "bug in snncc: {resolution} bins");
        Self {
            count: 0,
            zeros: 0,
            sum: 0.0,
            sum_above_zero: 0.0,
            sum_squares: 0.0,
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
            resolution,
            exponent: i32::MIN,
            bins: Vec::new(),
        }
    }

    /// A histogram of these values.
    pub fn of(resolution: usize, values: &[f32]) -> Self {
        let mut histogram = Self::new(resolution);
        histogram.count_values(values);
        histogram.set_sums(Moments::of(values));
        histogram
    }

    pub(super) fn set_sums(&mut self, moments: Moments) {
        (self.sum, self.sum_above_zero, self.sum_squares) = (moments.sum, moments.above_zero, moments.squares);
    }

    /// Counts values, without the sums: these depend on the order in which they are added up, nothing else does.
    ///
    /// # Panics
    /// If a value is not finite.
    pub(super) fn count_values(&mut self, values: &[f32]) {
        let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
        values.iter().for_each(|value| (min, max) = (min.min(*value), max.max(*value)));
        assert!(values.is_empty() || min.is_finite() && max.is_finite(), "bug in snncc: a value that is not finite");
        self.count += values.len() as u64;
        self.min = self.min.min(min);
        self.max = self.max.max(max);
        if max <= 0.0 {
            self.zeros += values.iter().filter(|value| **value == 0.0).count() as u64;
            return;
        }
        self.make_room(exponent_for(max, self.resolution));
        let per_bin = power_of_two(-self.exponent);
        for value in values {
            if *value > 0.0 {
                self.bins[(f64::from(*value) * per_bin) as usize] += 1;
            } else {
                self.zeros += u64::from(*value == 0.0);
            }
        }
    }

    /// Adds the values of another histogram with the same number of bins.
    ///
    /// # Panics
    /// If the numbers of bins differ.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.resolution, other.resolution, "bug in snncc: histograms that do not match");
        self.count += other.count;
        self.zeros += other.zeros;
        self.sum += other.sum;
        self.sum_above_zero += other.sum_above_zero;
        self.sum_squares += other.sum_squares;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if other.bins.is_empty() {
            return;
        }
        self.make_room(other.exponent);
        let shift = u32::try_from(self.exponent - other.exponent).expect("bug in snncc: room was made");
        for (bin, count) in other.bins.iter().enumerate() {
            self.bins[bin.checked_shr(shift).unwrap_or(0)] += count;
        }
    }

    /// Widens the bins to 2 to the power of `exponent`, if they are narrower.
    fn make_room(&mut self, exponent: i32) {
        if self.bins.is_empty() {
            self.bins = vec![0; self.resolution];
            self.exponent = exponent;
        }
        if exponent <= self.exponent {
            return;
        }
        let shift = exponent.abs_diff(self.exponent);
        for bin in 0..self.resolution {
            let count = std::mem::take(&mut self.bins[bin]);
            self.bins[bin.checked_shr(shift).unwrap_or(0)] += count;
        }
        self.exponent = exponent;
    }

    /// Number of values above 0.
    pub fn active(&self) -> u64 {
        self.bins.iter().sum()
    }

    /// Mean of all values; 0 if there is none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }

    /// Mean of all values when those below 0 are taken for 0: what a rectifier makes of them.
    pub fn mean_above_zero(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_above_zero / self.count as f64 }
    }

    /// Largest value, 0 if none is above 0.
    pub fn largest(&self) -> f64 {
        f64::from(self.max.max(0.0))
    }

    /// Number of values in each bin from 0 on; empty without values above 0.
    pub(crate) fn counts(&self) -> &[u64] {
        &self.bins
    }

    pub(crate) fn bin_width(&self) -> f64 {
        power_of_two(self.exponent)
    }

    /// Where the values above 0 lie, from small to large; bins without values are left out.
    pub fn bins(&self) -> impl Iterator<Item = Bin> + '_ {
        let width = self.bin_width();
        // Values below 0 say nothing about the smallest one above.
        let least = if self.zeros == 0 { f64::from(self.min).max(0.0) } else { 0.0 };
        let most = self.largest();
        self.bins.iter().enumerate().filter(|(_, count)| **count > 0).map(move |(bin, count)| Bin {
            lower: (bin as f64 * width).max(least),
            upper: ((bin + 1) as f64 * width).min(most),
            count: *count,
        })
    }

    /// The values above 0, each bin by its middle, and how many there are of each; from small to large.
    pub fn values(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.bins().map(|bin| (bin.middle(), bin.count))
    }

    /// The value below which `percent` of all values lie, or of those above 0; 0 where that is no value above 0. Values are
    /// taken to be spread evenly over their bin, so the result is off by at most `2 / resolution` of the largest value.
    pub fn percentile(&self, percent: f64, of_active: bool) -> f64 {
        let active = self.active();
        let below = if of_active { 0 } else { self.count - active };
        let wanted = percent.clamp(0.0, 100.0) / 100.0 * (below + active) as f64;
        let mut before = below as f64;
        if active == 0 || below > 0 && wanted <= before {
            return 0.0;
        }
        for bin in self.bins() {
            let after = before + bin.count as f64;
            if wanted <= after {
                return bin.lower + (bin.upper - bin.lower) * ((wanted - before) / bin.count as f64);
            }
            before = after;
        }
        self.largest()
    }

    /// Number of values above `limit`, which is at least 0; those of the bin around it in proportion.
    pub fn above(&self, limit: f64) -> f64 {
        let share = |bin: &Bin| match () {
            () if bin.lower >= limit && bin.upper > limit => 1.0,
            () if bin.upper <= limit => 0.0,
            () => (bin.upper - limit) / (bin.upper - bin.lower),
        };
        self.bins().map(|bin| bin.count as f64 * share(&bin)).sum()
    }
}

/// Sums of some values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moments {
    pub(super) sum: f64,
    pub(super) above_zero: f64,
    pub(super) squares: f64,
}

impl Moments {
    /// Adds up in a fixed order, in several sums at a time: one alone would wait for every addition.
    pub(super) fn of(values: &[f32]) -> Self {
        const LANES: usize = 8;
        let mut lanes = [Self::default(); LANES];
        let (whole, rest) = values.as_chunks::<LANES>();
        let all = whole.iter().map(|values| &values[..]).chain([rest]);
        all.for_each(|values| lanes.iter_mut().zip(values).for_each(|(lane, value)| lane.add_value((*value).into())));
        let mut total = Self::default();
        lanes.into_iter().for_each(|lane| total.add(lane));
        total
    }

    fn add_value(&mut self, value: f64) {
        self.add(Self { sum: value, above_zero: value.max(0.0), squares: value * value });
    }

    pub(super) fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.above_zero += other.above_zero;
        self.squares += other.squares;
    }
}

/// The smallest exponent for which `max < resolution · 2^exponent`.
fn exponent_for(max: f32, resolution: usize) -> i32 {
    // `f64` has no subnormal numbers among the values of `f32`: its exponent field is ⌊log₂ max⌋ with an offset.
    let log = ((f64::from(max).to_bits() >> 52) & 0x7ff) as i32 - EXPONENT_BIAS;
    log + 1 - resolution.trailing_zeros() as i32
}

/// 2 to the power of `exponent`, which is brought into the range of normal numbers.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(u64::from((exponent + EXPONENT_BIAS).clamp(1, 2 * EXPONENT_BIAS) as u32) << 52)
}
