use super::*;
use snncc_ir::ann::{Activation, AnnLinear, AnnOp, AnnTensor};

/// `y = W relu(x)` with two inputs and two outputs.
fn network(weight: [f32; 4]) -> (Ann, AnnNodeId) {
    let mut ann = Ann::new();
    let x = ann.push_input("x", vec![2]);
    let rectified = ann.push("relu", AnnOp::Activation(Activation::Relu), vec![x], None).unwrap();
    let linear = AnnLinear { weight: AnnTensor::new(vec![2, 2], weight), bias: None };
    let y = ann.push("linear", AnnOp::Linear(linear), vec![rectified], None).unwrap();
    ann.outputs = vec![("y".into(), y)];
    (ann, rectified)
}

const STAGES: [Stage; 3] = [Stage::Float, Stage::Clipped, Stage::Rounded { steps: 2 }];

#[test]
fn errors_and_classes_by_hand() {
    let (ann, layer) = network([1.0, 0.0, 0.0, 1.0]);
    let scales = BTreeMap::from([(layer, vec![1.0, 2.0])]);
    // Clipped: (1, 1.8), (0.2, 0), (0.7, 0.8). Rounded to ½ and 1: (1, 2), (0, 0), (0.5, 1).
    let input: &[f32] = &[2.0, 1.8, 0.2, -1.0, 0.7, 0.8];
    let labels = [0, 0, 1];
    let results = run_stages(&ann, &[layer], &scales, &[input], 3, Some(&labels), &STAGES).unwrap();
    let classes: Vec<&[u32]> = results.iter().map(|result| &result.classes[..]).collect();
    assert_eq!(classes, [[0, 0, 1], [1, 0, 1], [1, 0, 1]]);
    assert_eq!(results.iter().map(|result| result.correct).collect::<Vec<_>>(), [Some(3), Some(2), Some(2)]);
    assert_eq!(results[0].layers, [LayerError { node: layer, relative_rms: 0.0, mean_shift: 0.0 }]);
    let squares = 4.0 + 1.8 * 1.8 + 0.04 + 0.49 + 0.64;
    let expect = |result: &StageResult, differences: &[f64]| {
        let error = result.layers[0];
        let sum: f64 = differences.iter().sum();
        let sum_squares: f64 = differences.iter().map(|d| d * d).sum();
        assert!((error.mean_shift - sum / 5.5).abs() < 1e-6, "{error:?}");
        assert!((error.relative_rms - (sum_squares / squares).sqrt()).abs() < 1e-6, "{error:?}");
    };
    expect(&results[1], &[-1.0]);
    expect(&results[2], &[-1.0, 0.2, -0.2, -0.2, 0.2]);
}

#[test]
fn the_result_does_not_depend_on_threads() {
    let (ann, layer) = network([0.5, -1.0, -0.7, 1.1]);
    let samples = 1000;
    let input: Vec<f32> = (0..2 * samples).map(|i| ((i * 7919) % 1013) as f32 / 500.0 - 0.3).collect();
    let scales = BTreeMap::from([(layer, vec![0.9, 1.3])]);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run_stages(&ann, &[layer], &scales, &[&input], samples, None, &STAGES).unwrap())
    };
    let one = run(1);
    assert_eq!(one, run(3));
    assert_eq!(one[2].classes.len(), samples);
    assert!(one[1].layers[0].relative_rms > 0.0);
    // Many steps leave the clipping alone.
    let fine =
        run_stages(&ann, &[layer], &scales, &[&input], samples, None, &[Stage::Rounded { steps: 100_000 }]).unwrap();
    assert!((fine[0].layers[0].relative_rms - one[1].layers[0].relative_rms).abs() < 1e-4);
}

#[test]
fn no_samples_give_no_classes() {
    let (ann, layer) = network([1.0; 4]);
    let results = run_stages(&ann, &[layer], &BTreeMap::new(), &[&[]], 0, Some(&[]), &STAGES).unwrap();
    assert!(results.iter().all(|result| result.classes.is_empty() && result.correct == Some(0)));
}
