use super::*;
use snncc_ir::ann::{Activation, AnnOp, AnnTensor};

/// Evenly spread numbers from 0 to 1.
fn even(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 + 0.5) / count as f32).collect()
}

#[test]
fn the_bins_do_not_depend_on_the_order_of_the_values() {
    let values: Vec<f32> = (0..2000_u32).map(|i| (i.wrapping_mul(2_654_435_761) % 1000) as f32 * 0.013 - 1.0).collect();
    let mut sorted = values.clone();
    sorted.sort_by(f32::total_cmp);
    let whole = Histogram::of(64, &values);
    let up = Histogram::of(64, &sorted);
    sorted.reverse();
    let down = Histogram::of(64, &sorted);
    let mut merged = Histogram::new(64);
    values.chunks(7).for_each(|part| merged.merge(&Histogram::of(64, part)));
    for other in [&up, &down, &merged] {
        assert_eq!(whole.counts(), other.counts());
        assert_eq!(whole.bin_width(), other.bin_width());
        assert_eq!((whole.count, whole.zeros, whole.min, whole.max), (other.count, other.zeros, other.min, other.max));
        assert!((whole.sum - other.sum).abs() < 1e-9);
    }
    // 11.987 is below 64 bins of ¼, and above 64 of ⅛.
    assert_eq!(whole.bin_width(), 0.25);
    assert_eq!(whole.active() as usize, values.iter().filter(|value| **value > 0.0).count());
}

#[test]
fn extreme_values_have_bins() {
    let values = [f32::from_bits(1), f32::MIN_POSITIVE, 1.0, f32::MAX, 0.0, -0.0, f32::MIN];
    let histogram = Histogram::of(64, &values);
    assert_eq!((histogram.count, histogram.zeros, histogram.active()), (7, 2, 4));
    assert_eq!((histogram.min, histogram.max), (f32::MIN, f32::MAX));
    assert_eq!(histogram.percentile(100.0, true), f64::from(f32::MAX));
    let tiny = Histogram::of(64, &values[..2]);
    assert_eq!(tiny.percentile(100.0, false), f64::from(f32::MIN_POSITIVE));
    assert!(tiny.bins().all(|bin| bin.lower <= bin.upper && bin.upper > 0.0));
    let power = Histogram::of(64, &[8.0]);
    assert_eq!(power.bins().collect::<Vec<_>>(), [Bin { lower: 8.0, upper: 8.0, count: 1 }]);
}

#[test]
fn percentiles_of_all_values_and_of_those_above_zero() {
    let mut values = even(1000);
    values.extend(vec![0.0; 3000]);
    let histogram = Histogram::of(512, &values);
    let near = |value: f64, expected: f64| assert!((value - expected).abs() < 0.004, "{value} {expected}");
    for percent in [0.0, 10.0, 50.0, 99.0, 100.0] {
        near(histogram.percentile(percent, true), percent / 100.0);
    }
    // Three quarters are 0.
    assert_eq!(histogram.percentile(50.0, false), 0.0);
    assert_eq!(histogram.percentile(75.0, false), 0.0);
    near(histogram.percentile(80.0, false), 0.2);
    near(histogram.percentile(99.0, false), 0.96);
    near(histogram.above(0.25), 750.0);
    assert_eq!(histogram.above(histogram.largest()), 0.0);
    assert_eq!(histogram.above(0.0), 1000.0);
    near(histogram.mean(), 0.125);
    assert_eq!(Histogram::new(64).percentile(50.0, false), 0.0);
    let equal = Histogram::of(64, &[0.3; 5]);
    for percent in [0.0, 50.0, 100.0] {
        assert_eq!(equal.percentile(percent, false), f64::from(0.3_f32));
    }
}

#[test]
fn negative_values_are_not_in_the_bins() {
    let histogram = Histogram::of(64, &[-2.0, -1.0, 0.0, 1.0, 4.0]);
    assert_eq!((histogram.active(), histogram.zeros), (2, 1));
    assert_eq!((histogram.mean(), histogram.mean_above_zero(), histogram.sum_squares), (0.4, 1.0, 22.0));
    assert_eq!(Histogram::of(64, &[-2.0]).percentile(100.0, false), 0.0);
}

/// `relu(x)` and `2 relu(x)` of two channels of three elements.
fn network() -> (Ann, [AnnNodeId; 2]) {
    let mut ann = Ann::new();
    let x = ann.push_input("x", vec![2, 3]);
    let rectified = ann.push("relu", AnnOp::Activation(Activation::Relu), vec![x], None).unwrap();
    let scale = AnnOp::ScaleShift { scale: Some(AnnTensor::vector([2.0])), shift: None };
    let doubled = ann.push("double", scale, vec![rectified], None).unwrap();
    ann.outputs = vec![("y".into(), doubled)];
    (ann, [rectified, doubled])
}

#[test]
fn layers_are_measured_by_channel_with_any_number_of_threads() {
    let (ann, layers) = network();
    let samples = 300;
    let input: Vec<f32> = (0..6 * samples).map(|i| ((i * 7919) % 1013) as f32 / 100.0 - 3.0).collect();
    let run = |threads| {
        let done = Mutex::new(Vec::new());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let progress = |samples| done.lock().unwrap().push(samples);
        let statistics = pool.install(|| measure(&ann, &layers, &[&input], samples, &progress).unwrap());
        assert_eq!(done.lock().unwrap().last(), Some(&samples));
        statistics
    };
    let one = run(1);
    assert_eq!(one, run(3));
    for (layer, factor) in one.iter().zip([1.0, 2.0]) {
        for (channel, histogram) in layer.channels.iter().enumerate() {
            let own = input.chunks(3).skip(channel).step_by(2).flatten();
            let values: Vec<f32> = own.map(|value| factor * value.max(0.0)).collect();
            let expected = Histogram::of(MOST_BINS, &values);
            assert!((histogram.sum - expected.sum).abs() < 1e-6);
            assert!((histogram.sum_squares - expected.sum_squares).abs() < 1e-6);
            assert_eq!((histogram.count, histogram.zeros, histogram.max), (900, expected.zeros, expected.max));
            assert_eq!(histogram.counts(), expected.counts());
        }
    }
    assert_eq!(one[0].layer().count, 1800);
}

#[test]
fn values_that_are_not_finite_are_named() {
    let (ann, layers) = network();
    let mut input = vec![1.0; 6 * 500];
    input[6 * 400 + 2] = f32::MAX;
    input[6 * 450] = f32::MAX;
    let problem = measure(&ann, &layers, &[&input], 500, &|_| ()).unwrap_err().to_string();
    assert!(
        problem.contains("SNN0303") && problem.contains("layer `double` has the value inf on sample 400"),
        "{problem}"
    );
    input[6 * 30 + 1] = f32::NAN;
    let problem = measure(&ann, &layers, &[&input], 500, &|_| ()).unwrap_err().to_string();
    assert!(problem.contains("input `x` has the value NaN in sample 30"), "{problem}");
}

#[test]
fn many_channels_have_fewer_bins() {
    assert_eq!([1, 4096, 8192, 20_000, 10_000_000].map(bins), [1024, 1024, 512, 128, 64]);
}
