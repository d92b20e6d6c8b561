//! The scale with the least squared error of rounding and clipping.
//!
//! A neuron that starts at half its threshold `λ` shows `q(a) = min(⌊aT/λ + ½⌋, T) · λ/T` of an activation `a ≥ 0`. The error
//! `Σ (a − q(a))²` is worked out from the histogram, values spread evenly over their bin, in closed form: with `δ = λ/T` and
//! `n = min(⌊x/δ + ½⌋, T)`
//!
//! `F(x) = ∫₀ˣ (a − q(a))² da = n δ³/12 + (x − nδ)³/3`,
//!
//! because each level before `n` contributes `δ³/12`. So steps much finer than the bins are counted right, too.

use crate::statistics::{Bin, Histogram};

/// Candidates below the largest value; each is this factor below the one before it. The last is 1/256 of the largest value.
const COARSE_STEPS: u32 = 96;
const COARSE_FACTOR: f64 = 0.943_874_312_681_693_5;
/// Candidates between the neighbours of the best of them.
const FINE_STEPS: u32 = 16;

/// The scale `λ` with the least `Σ (a − q(a))²`, at most the largest value; the larger of two that are as good.
pub(super) fn least_squared_error(values: &Histogram, steps: u32) -> f64 {
    let bins: Vec<Bin> = values.bins().collect();
    let largest = values.largest();
    let mut best = (largest, squared_error(&bins, largest, steps));
    let mut consider = |scale: f64| {
        let error = squared_error(&bins, scale, steps);
        // What is better by rounding alone is not.
        if error < best.1 * (1.0 - 1e-9) {
            best = (scale, error);
        }
        best.0
    };
    let mut coarse = largest;
    for step in 1..=COARSE_STEPS {
        coarse = consider(largest * COARSE_FACTOR.powi(step as i32));
    }
    let (from, to) = (coarse * COARSE_FACTOR, (coarse / COARSE_FACTOR).min(largest));
    let mut scale = coarse;
    for step in (1..FINE_STEPS).rev() {
        scale = consider(from + (to - from) * f64::from(step) / f64::from(FINE_STEPS));
    }
    scale
}

/// `Σ (a − q(a))²` over values above 0.
pub(super) fn squared_error(bins: &[Bin], scale: f64, steps: u32) -> f64 {
    let steps = f64::from(steps);
    let step = scale / steps;
    let integral = |x: f64| {
        let level = (x / step + 0.5).floor().min(steps);
        level * step.powi(3) / 12.0 + (x - level * step).powi(3) / 3.0
    };
    let error = |bin: &Bin| {
        let width = bin.upper - bin.lower;
        if width <= 1e-9 * bin.upper {
            let middle = bin.middle();
            (middle - (middle / step + 0.5).floor().min(steps) * step).powi(2)
        } else {
            (integral(bin.upper) - integral(bin.lower)) / width
        }
    };
    bins.iter().map(|bin| bin.count as f64 * error(bin)).sum()
}
