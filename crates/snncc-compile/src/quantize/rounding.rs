//! Weights to codes: the squared error of a scale, and the rounding itself.
//!
//! Rounding is to nearest, ties to even. Where spike rates are known, a few weights that lie near the middle between two
//! codes are rounded the other way so that the errors of a row cancel in the mean: with spikes of rate `r` that are
//! independent, the expected squared error of the input is `Σ r(1−r)·d² + (Σ r·d)²` for errors `d`, and plain rounding
//! minimizes only the first part.

use super::qformat::Field;

/// Adding and subtracting this rounds a double of magnitude below 2^51 to an integer, ties to even; unlike a call of
/// `round_ties_even` it vectorizes on every x86-64.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// `Σ rate · (weight·scale − code)²`, in squared code steps, over every `stride`-th weight and extrapolated to all.
pub(super) fn squared_error(weights: &[f64], rates: &[f64], scale: f64, codes: Field, stride: usize) -> f64 {
    let (low, high) = (codes.low as f64, codes.high as f64);
    let term = |weight: f64, rate: f64| {
        let wanted = weight * scale;
        let code = (wanted.max(low).min(high) + ROUND) - ROUND;
        rate * (wanted - code) * (wanted - code)
    };
    if stride > 1 {
        let sampled = weights.len().div_ceil(stride).max(1);
        let sum: f64 = weights.iter().zip(rates).step_by(stride).map(|(weight, rate)| term(*weight, *rate)).sum();
        return sum * weights.len() as f64 / sampled as f64;
    }
    // Four sums, so that the additions need not wait for one another.
    let mut sums = [0.0; 4];
    let (weight_chunks, rate_chunks) = (weights.chunks_exact(4), rates.chunks_exact(4));
    let rest: f64 =
        weight_chunks.remainder().iter().zip(rate_chunks.remainder()).map(|(weight, rate)| term(*weight, *rate)).sum();
    for (weights, rates) in weight_chunks.zip(rate_chunks) {
        for lane in 0..4 {
            sums[lane] += term(weights[lane], rates[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Codes of a row, and how many were clipped.
pub(super) fn round_row(weights: &[f64], rates: Option<&[f64]>, scale: f64, codes: Field, out: &mut Vec<i64>) -> u64 {
    out.clear();
    let mut clipped = 0;
    out.extend(weights.iter().map(|weight| {
        let code = (weight * scale).round_ties_even() as i64;
        clipped += u64::from(!codes.contains(code));
        codes.saturate(code)
    }));
    if let Some(rates) = rates {
        cancel_mean_error(weights, rates, scale, codes, out);
    }
    clipped
}

/// Rounds some weights the other way, in the order of what it costs, while the expected squared error falls.
fn cancel_mean_error(weights: &[f64], rates: &[f64], scale: f64, codes: Field, row: &mut [i64]) {
    let residual = |at: usize, code: i64| weights[at] * scale - code as f64;
    let mut mean: f64 = (0..row.len()).map(|at| rates[at] * residual(at, row[at])).sum();
    let direction = if mean > 0.0 { 1.0 } else { -1.0 };
    // Flipping a weight with residual d (same sign as the mean error, |d| <= 1/2) moves the mean by its rate towards 0 and
    // adds r(1−r)·(1 − 2|d|) to the variance.
    let mut flips: Vec<(f64, usize)> = (0..row.len())
        .filter_map(|at| {
            let d = residual(at, row[at]) * direction;
            let flipped = row[at] + direction as i64;
            let is_candidate = d > 0.0 && d <= 0.5 && rates[at] > 0.0 && codes.contains(flipped) && weights[at] != 0.0;
            is_candidate.then(|| ((1.0 - rates[at]).max(0.0) * (1.0 - 2.0 * d), at))
        })
        .collect();
    flips.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    for (cost, at) in flips {
        let moved = mean - direction * rates[at];
        if moved * moved + cost * rates[at] < mean * mean {
            row[at] += direction as i64;
            mean = moved;
        }
    }
}

/// The largest step of which all `values` are whole multiples, at most `max_codes` steps each; `None` if there is none.
/// Networks trained for a chip have such weights, and then an exact scale exists.
pub(super) fn common_step(values: impl Iterator<Item = f64>, max_codes: f64) -> Option<f64> {
    let mut step = 0.0_f64;
    let mut largest = 0.0_f64;
    for value in values {
        let value = value.abs();
        if value == 0.0 {
            continue;
        }
        largest = largest.max(value);
        let tolerance = largest * 1e-9;
        let (mut a, mut b) = (step.max(value), step.min(value));
        while b > tolerance {
            (a, b) = (b, (a - b * (a / b).round()).abs());
        }
        step = a;
        if step * max_codes < largest * (1.0 - 1e-9) {
            return None;
        }
    }
    (step > 0.0).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: Field = Field { low: -128, high: 127 };

    #[test]
    fn the_error_counts_rounding_and_clipping_by_rate() {
        // 1.25 -> 1, 2.5 -> 2 (even), 130 -> 127
        let error = squared_error(&[1.25, 2.5, 130.0, 7.0, -129.0], &[1.0, 2.0, 0.5, 9.0, 1.0], 1.0, CODES, 1);
        assert_eq!(error, 0.0625 + 0.5 + 4.5 + 1.0);
    }

    #[test]
    fn errors_cancel_in_the_mean_where_rates_are_known() {
        let weights = [1.4; 10];
        let mut row = Vec::new();
        round_row(&weights, None, 1.0, CODES, &mut row);
        assert_eq!(row, [1; 10]);
        round_row(&weights, Some(&[0.5; 10]), 1.0, CODES, &mut row);
        assert_eq!(row.iter().sum::<i64>(), 14);
    }

    #[test]
    fn zero_weights_stay_zero() {
        let mut row = Vec::new();
        round_row(&[0.0, 0.3, 0.0, 0.3], Some(&[0.9; 4]), 1.0, CODES, &mut row);
        assert_eq!((row[0], row[2]), (0, 0));
    }

    #[test]
    fn a_common_step_is_found_if_there_is_one() {
        let step = common_step([0.3, -0.75, 0.0, 1.2].into_iter(), 127.0).unwrap();
        assert!((step - 0.15).abs() < 1e-12, "{step}");
        assert_eq!(common_step([1.0, 2.0_f64.sqrt()].into_iter(), 127.0), None);
        assert_eq!(common_step([0.0].into_iter(), 127.0), None);
        assert_eq!(common_step([1.0, 300.0].into_iter(), 127.0), None);
    }
}
