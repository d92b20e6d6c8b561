use super::*;
use snncc_ids::AnnNodeId;

const BINS: usize = 1024;

/// Evenly spread numbers from 0 to 1.
fn even(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 + 0.5) / count as f32).collect()
}

/// `−ln(1 − p)` for evenly spread `p`: mean 1, as activations often lie.
fn exponential(count: usize) -> Vec<f32> {
    even(count).into_iter().map(|p| -(1.0 - p).ln()).collect()
}

fn layer(channels: &[Vec<f32>]) -> LayerStatistics {
    let channels = channels.iter().map(|values| Histogram::of(BINS, values)).collect();
    LayerStatistics { node: AnnNodeId(0), channels }
}

fn scale(values: Vec<f32>, balance: Balance, steps: u32) -> f64 {
    choose(&layer(&[values]), balance, true, steps).scales[0]
}

#[track_caller]
fn near(value: f64, expected: f64, within: f64) {
    assert!((value - expected).abs() <= within, "{value} is not {expected} ± {within}");
}

const ALL: [Balance; 5] = [
    Balance::Maximum,
    Balance::Percentile { percent: 99.9, of_active: false },
    Balance::Percentile { percent: 99.9, of_active: true },
    Balance::MeanSquaredError,
    Balance::Divergence,
];

#[test]
fn uniform_values_have_the_scale_with_the_least_squared_error() {
    // d/dλ (λ³/12T² + (1 − λ)³/3) = 0 gives λ = 2T/(2T + 1).
    for steps in [1, 2, 4, 8, 32] {
        let expected = 2.0 * f64::from(steps) / (2.0 * f64::from(steps) + 1.0);
        near(scale(even(100_000), Balance::MeanSquaredError, steps), expected, 0.006);
    }
}

#[test]
fn squared_errors_agree_with_their_definition() {
    let values = exponential(5000);
    let bins: Vec<_> = Histogram::of(BINS, &values).bins().collect();
    for (scale, steps) in [(2.0, 1), (3.0, 4), (5.0, 16), (9.0, 500), (0.1, 3)] {
        let (step, most) = (scale / f64::from(steps), f64::from(steps));
        let error = |a: &f32| {
            let a = f64::from(*a);
            (a - (a / step + 0.5).floor().clamp(0.0, most) * step).powi(2)
        };
        let expected: f64 = values.iter().map(error).sum();
        near(rounding::squared_error(&bins, scale, steps), expected, 0.02 * expected);
    }
}

#[test]
fn equal_values_are_their_own_scale() {
    for balance in ALL {
        for steps in [1, 4, 1000] {
            near(scale(vec![0.7; 100], balance, steps), f64::from(0.7_f32), 1e-9);
            let chosen = choose(&layer(&[vec![0.7; 100]]), balance, true, steps);
            assert_eq!(chosen.clipped, 0.0);
        }
    }
}

#[test]
fn one_outlier_counts_for_the_maximum_alone() {
    let mut values = even(20_000);
    values.push(10.0);
    near(scale(values.clone(), Balance::Maximum, 8), 10.0, 0.0);
    for balance in &ALL[1..] {
        let chosen = choose(&layer(std::slice::from_ref(&values)), *balance, true, 8);
        near(chosen.scales[0], 1.0, 0.08);
        assert!(chosen.clipped < 0.07, "{balance:?} {chosen:?}");
    }
}

#[test]
fn more_steps_allow_larger_scales() {
    let scales = [1, 2, 4, 8, 16, 32, 64].map(|steps| scale(exponential(100_000), Balance::MeanSquaredError, steps));
    assert!(scales.is_sorted() && scales[0] > 0.9 && scales[0] < 3.0 && scales[6] > 4.0, "{scales:?}");
    // A hundredth lies above ln 100 = 4.6, the largest is 12.2.
    for steps in [1, 4, 16, 64] {
        let scale = scale(exponential(100_000), Balance::Divergence, steps);
        assert!((4.59..6.0).contains(&scale), "{steps} {scale}");
    }
    // Steps finer than bins cost nothing, so nothing is clipped.
    near(scale(exponential(1000), Balance::Divergence, 5000), 7.6, 0.01);
}

#[test]
fn percentiles_count_all_values_or_those_above_zero() {
    let mut values = even(1000);
    values.extend(vec![0.0; 1000]);
    let percentile = |percent, of_active| scale(values.clone(), Balance::Percentile { percent, of_active }, 8);
    near(percentile(98.0, false), 0.96, 0.002);
    near(percentile(98.0, true), 0.98, 0.002);
    // At most a tenth of the values above 0 is clipped: 10 % of all would be a fifth of them.
    near(percentile(90.0, false), 0.9, 0.002);
    let clipped = choose(&layer(&[values]), Balance::Percentile { percent: 98.0, of_active: false }, true, 8).clipped;
    near(clipped, 0.02, 0.001);
}

#[test]
fn channels_without_much_to_go_by_lean_on_the_layer() {
    let silent = vec![0.0; 1000];
    let mut few = vec![0.0; 1000];
    few[3] = 0.01;
    let mut few_large = vec![0.0; 1000];
    few_large[3] = 5.0;
    let mut sparse = vec![0.0; 100_000];
    sparse[..50].copy_from_slice(&even(50));
    for balance in ALL {
        let channels = [exponential(1000), silent.clone(), few.clone(), few_large.clone(), sparse.clone()];
        let statistics = layer(&channels);
        let scales = choose(&statistics, balance, true, 8).scales;
        let whole = choose(&statistics, balance, false, 8).scales;
        assert!(whole.iter().all(|scale| *scale == whole[0]));
        assert_eq!(scales[1], whole[0]);
        assert_eq!(scales[2], FEW_VALUES_SHARE * whole[0]);
        assert!(scales[3] >= 5.0, "{balance:?} {scales:?}");
        assert!((0.5..=1.0).contains(&scales[4]), "{balance:?} {scales:?}");
    }
}

#[test]
fn a_frequent_value_does_not_draw_the_divergence() {
    let mut values = even(2000);
    values.extend(vec![0.3; 8000]);
    assert!(scale(values, Balance::Divergence, 8) > 0.94);
}

#[test]
fn a_silent_layer_has_scales() {
    for balance in ALL {
        let chosen = choose(&layer(&[vec![0.0; 4], vec![-1.0], vec![]]), balance, true, 4);
        assert_eq!(chosen, Scales { scales: vec![1.0; 3], clipped: 0.0 });
    }
}
