//! The scale whose rounded and clipped distribution diverges least from the activations'.
//!
//! After the calibration of TensorRT (S. Migacz, *8-bit inference with TensorRT*, 2017), for the `T` levels of a neuron instead
//! of 128: bins are put together into levels; the candidate distribution `Q` spreads the values of each level evenly over its
//! bins that are not empty. Values above the scale count in the last bin of the reference distribution `P` and are missing in
//! `Q`. Here levels are few, and the values of the lowest half level vanish: a neuron never spikes for them. So they are treated
//! as those above the scale: they count in the first bin above in `P`, and are missing in `Q`. The scale with the least
//! `Σ P ln(P/Q)` is taken.
//!
//! Where one value is very frequent, as that of an image's background is, `P` and `Q` agree best with a scale at that value:
//! all values above count there, too. So a scale must also keep most values below it.

use crate::statistics::Histogram;

/// Least number of bins: fewer say nothing about levels.
const LEAST_BINS: usize = 128;
/// Values per bin, on average, below which bins are put together: single values are no distribution.
const VALUES_PER_BIN: u64 = 4;
/// Candidates are at least this percentile of the values above 0.
const LEAST_PERCENTILE: f64 = 99.0;

/// The scale with the least divergence, at most the largest value; the larger of two that are as good.
pub(super) fn least_divergence(values: &Histogram, steps: u32) -> f64 {
    let (mut counts, mut width) = (values.counts().to_vec(), values.bin_width());
    while counts.len() > LEAST_BINS && values.active() < VALUES_PER_BIN * counts.len() as u64 {
        counts = counts.chunks(2).map(|pair| pair.iter().sum()).collect();
        width *= 2.0;
    }
    counts.truncate(counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1));
    let sums = Sums::new(&counts);
    let levels = steps as usize;
    let least_bins = (values.percentile(LEAST_PERCENTILE, true) / width).ceil() as usize;
    let first = least_bins.max(levels.saturating_add(1));
    let (mut best, mut least) = (values.largest(), f64::INFINITY);
    for end in (first..=counts.len()).rev() {
        let divergence = sums.divergence(end, levels);
        if divergence < least - 1e-12 {
            (best, least) = ((end as f64 * width).min(values.largest()), divergence);
        }
    }
    best
}

/// Sums over all bins before each.
struct Sums<'a> {
    counts: &'a [u64],
    values: Vec<u64>,
    /// Bins that are not empty.
    occupied: Vec<u64>,
    /// `n ln n`
    logarithms: Vec<f64>,
}

impl<'a> Sums<'a> {
    fn new(counts: &'a [u64]) -> Self {
        let mut sums = Self { counts, values: vec![0], occupied: vec![0], logarithms: vec![0.0] };
        for (bin, count) in counts.iter().enumerate() {
            sums.values.push(sums.values[bin] + count);
            sums.occupied.push(sums.occupied[bin] + u64::from(*count > 0));
            sums.logarithms.push(sums.logarithms[bin] + times_logarithm(*count as f64));
        }
        sums
    }

    /// Divergence for a scale at the end of bin `end − 1`; infinite where `Q` has no value and `P` has.
    fn divergence(&self, end: usize, levels: usize) -> f64 {
        // Level `k` has the values that round to it, and the last one those up to the scale.
        let border = |level: usize| match level > levels {
            true => end,
            false => ((level as f64 - 0.5) * end as f64 / levels as f64).round() as usize,
        };
        let all = *self.values.last().expect("bug in snncc: sums begin with 0");
        let start = border(1);
        // Values that are only in P, and the bins where they count.
        let (vanished, clipped) = (self.values[start], all - self.values[end]);
        let extra = match start == end - 1 {
            true => [(start, vanished + clipped), (start, 0)],
            false => [(start, vanished), (end - 1, clipped)],
        };
        let mut own = self.logarithms[end] - self.logarithms[start];
        for (bin, extra) in &extra {
            own += times_logarithm((self.counts[*bin] + extra) as f64) - times_logarithm(self.counts[*bin] as f64);
        }
        let mut cross = 0.0;
        for level in 1..=levels {
            let (from, to) = (border(level), border(level + 1));
            let values = self.values[to] - self.values[from];
            let mut occupied = self.occupied[to] - self.occupied[from];
            let mut reference = values;
            for (bin, extra) in extra.iter().filter(|(bin, extra)| *extra > 0 && (from..to).contains(bin)) {
                reference += extra;
                occupied += u64::from(self.counts[*bin] == 0);
            }
            if reference > 0 {
                cross += reference as f64 * (values as f64 / occupied as f64).ln();
            }
        }
        let inside = self.values[end] - self.values[start];
        (own - cross) / all as f64 - (all as f64).ln() + (inside as f64).ln()
    }
}

fn times_logarithm(count: f64) -> f64 {
    if count > 0.0 { count * count.ln() } else { 0.0 }
}
