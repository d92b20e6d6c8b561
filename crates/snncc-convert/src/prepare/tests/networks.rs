//! Values before and after.

use super::*;

/// A random layer on one of the values so far, preferably the last; `None` if it does not suit.
fn random_layer(ann: &mut Ann, numbers: &mut Numbers, values: &[AnnNodeId]) -> Option<AnnNodeId> {
    let x = values[if numbers.below(5) == 0 { numbers.below(values.len()) } else { values.len() - 1 }];
    let shape = ann.nodes()[x].shape.clone();
    let (rank, channels, elements) = (shape.len(), shape[0], shape.iter().product::<usize>());
    let dimensions = rank - 1;
    let windows = |numbers: &mut Numbers| {
        let kernel: Vec<usize> = (0..dimensions).map(|_| 1 + numbers.below(4)).collect();
        let half = |numbers: &mut Numbers, kernel: usize| numbers.below(kernel.div_ceil(2) + 1).min(kernel - 1);
        AnnPool {
            function: if numbers.flip() { PoolFunction::Maximum } else { PoolFunction::Average },
            stride: (0..dimensions).map(|_| 1 + numbers.below(3)).collect(),
            padding: kernel.iter().map(|kernel| (half(numbers, *kernel), half(numbers, *kernel))).collect(),
            dilation: (0..dimensions).map(|_| 1 + usize::from(numbers.below(4) == 0)).collect(),
            counted_after: None,
            kernel,
        }
    };
    let same: Vec<AnnNodeId> = values.iter().copied().filter(|id| ann.nodes()[*id].shape == shape).collect();
    let is_spatial = (2..=3).contains(&rank);
    let mut inputs = vec![x];
    let mut given = None;
    let op = match numbers.below(22) {
        0..=2 if is_spatial => {
            let AnnPool { kernel, stride, padding, dilation, .. } = windows(numbers);
            let groups = if numbers.below(3) == 0 { channels } else { 1 };
            let outputs = groups * (1 + numbers.below(3));
            let weight = numbers.tensor(&[&[outputs, channels / groups], &kernel[..]].concat());
            let bias = numbers.flip().then(|| numbers.tensor(&[outputs]));
            AnnOp::Convolution(AnnConvolution { weight, bias, stride, padding, dilation, groups })
        }
        3 if is_spatial => {
            let AnnPool { kernel, stride, dilation, .. } = windows(numbers);
            let groups = if numbers.flip() { channels } else { 1 };
            let per_group = 1 + numbers.below(2);
            let padding = kernel.iter().map(|kernel| (numbers.below(*kernel), 0)).collect();
            let weight = numbers.tensor(&[&[channels, per_group], &kernel[..]].concat());
            let bias = numbers.flip().then(|| numbers.tensor(&[per_group * groups]));
            let output_padding = vec![0; dimensions];
            AnnOp::ConvolutionTranspose(AnnConvolutionTranspose {
                weight,
                bias,
                stride,
                padding,
                output_padding,
                dilation,
                groups,
            })
        }
        0..=4 => {
            let outputs = 1 + numbers.below(6);
            linear(numbers, outputs, shape[rank - 1])
        }
        5..=7 => batch_norm(numbers, channels),
        8 => {
            let from = numbers.below(rank + 1);
            let to: Vec<usize> = shape[from..].iter().map(|length| if numbers.flip() { *length } else { 1 }).collect();
            let scale = numbers.flip().then(|| numbers.tensor(&to));
            AnnOp::ScaleShift { scale, shift: numbers.flip().then(|| numbers.tensor(&to)) }
        }
        9..=11 => {
            let slope = if numbers.flip() { [&shape[..1], &vec![1; rank - 1]].concat() } else { shape.clone() };
            AnnOp::Activation(match numbers.below(9) {
                0 | 1 => Activation::Relu,
                2 => Activation::Clip { min: 0.0, max: 0.7 },
                3 => Activation::Clip { min: -0.5, max: 0.7 },
                4 => [
                    Activation::Clip { min: f32::NEG_INFINITY, max: 0.4 },
                    Activation::Clip { min: -0.3, max: f32::INFINITY },
                    Activation::Clip { min: f32::MIN, max: f32::MAX },
                    Activation::Clip { min: 0.5, max: 0.25 },
                ][numbers.below(4)]
                .clone(),
                5 => Activation::LeakyRelu { slope: [0.1, -0.5, 0.0, 1.0, 2.0][numbers.below(5)] },
                6 => Activation::PRelu { slope: numbers.tensor(&slope) },
                7 => Activation::HardSigmoid { alpha: 0.3, beta: 0.4 },
                _ => Activation::Abs,
            })
        }
        12 | 13 if is_spatial => {
            let mut pool = windows(numbers);
            let after = pool.padding.iter().map(|padding| numbers.below(padding.1 + 1)).collect();
            pool.counted_after = numbers.flip().then_some(after);
            AnnOp::Pool(pool)
        }
        14 if is_spatial => {
            AnnOp::GlobalPool(if numbers.flip() { PoolFunction::Maximum } else { PoolFunction::Average })
        }
        15 => {
            given = Some(match numbers.below(3) {
                0 => vec![elements],
                1 => vec![channels, elements / channels],
                _ => vec![elements, 1],
            });
            AnnOp::Reshape
        }
        16 => {
            let mut permutation: Vec<usize> = (0..rank).collect();
            permutation.rotate_left(numbers.below(rank));
            AnnOp::Transpose { permutation }
        }
        17 => {
            let mut around = || (0..rank).map(|d| if d == 0 { 0 } else { numbers.below(2) }).collect::<Vec<usize>>();
            let (before, after) = (around(), around());
            AnnOp::Pad { before, after, value: if numbers.flip() { 0.0 } else { 0.5 } }
        }
        18 => {
            let indices =
                shape.iter().map(|length| (0..1 + numbers.below(6)).map(|_| numbers.below(*length)).collect());
            AnnOp::Resample { indices: indices.collect() }
        }
        19 => {
            let steps: Vec<usize> = (0..rank).map(|_| 1 + numbers.below(2)).collect();
            given = Some(shape.iter().zip(&steps).map(|(length, step)| length.div_ceil(*step)).collect());
            AnnOp::Slice { starts: vec![0; rank], steps }
        }
        20 => {
            inputs.push(same[numbers.below(same.len())]);
            match numbers.below(3) {
                0 => AnnOp::Sum { coefficients: vec![1.0, numbers.next()] },
                1 => AnnOp::Maximum,
                _ => AnnOp::Concat { axis: numbers.below(rank) },
            }
        }
        _ => AnnOp::Identity,
    };
    if elements > 600 {
        return None;
    }
    let windows_hold_something = match &op {
        AnnOp::Pool(pool) => (0..dimensions).all(|d| {
            let reach = pool.dilation[d] * (pool.kernel[d] - 1) + 1;
            let padded = shape[d + 1] + pool.padding[d].0 + pool.padding[d].1;
            padded >= reach
                && (0..(padded - reach) / pool.stride[d] + 1).all(|o| {
                    (0..pool.kernel[d]).any(|k| {
                        let place = o * pool.stride[d] + k * pool.dilation[d];
                        (pool.padding[d].0..pool.padding[d].0 + shape[d + 1]).contains(&place)
                    })
                })
        }),
        _ => true,
    };
    windows_hold_something.then(|| ann.push(format!("n{}", ann.nodes().len()), op, inputs, given).ok())?
}

#[test]
fn random_networks_stay_the_same() {
    for seed in 0..400 {
        let mut numbers = Numbers(seed);
        let mut ann = Ann::new();
        let shape = [vec![3, 6, 5], vec![2, 9], vec![7], vec![4, 4, 8]][numbers.below(4)].clone();
        let mut values = vec![ann.push_input("x", shape)];
        let layers = 2 + numbers.below(8);
        for _ in 0..200 {
            values.extend(random_layer(&mut ann, &mut numbers, &values));
            if values.len() > layers {
                break;
            }
        }
        let other = values[numbers.below(values.len())];
        ann.outputs = vec![("y".into(), values[values.len() - 1]), ("z".into(), other)];
        let prepared = std::panic::catch_unwind(|| assert_exact(&ann, seed + 7_000));
        let prepared = prepared.unwrap_or_else(|_| {
            let list = ann
                .nodes()
                .iter()
                .map(|node| format!("{} {:?} {:?} {:?}", node.name, node.inputs, node.shape, node.op));
            panic!("seed {seed}: {}", list.collect::<Vec<String>>().join("\n"))
        });
        assert_eq!(prepared.fates.len(), ann.nodes().len());
        assert!(prepared.fates.iter().all(|fate| fate.exactness == Exactness::Exact && !fate.note.is_empty()));
    }
}

#[test]
fn batch_normalization_disappears_into_the_layers_around() {
    let mut numbers = Numbers(3);
    let n = &mut numbers;
    let (first, second) = (convolution(n, &[4, 3, 3, 3], 1, (1, 1), 1), convolution(n, &[5, 4, 3, 3], 2, (0, 0), 1));
    let transpose = AnnOp::ConvolutionTranspose(AnnConvolutionTranspose {
        weight: n.tensor(&[5, 2, 2, 2]),
        bias: None,
        stride: vec![2, 2],
        padding: vec![(0, 0); 2],
        output_padding: vec![0, 0],
        dilation: vec![1, 1],
        groups: 5,
    });
    let layers = vec![
        ("conv1", first),
        ("bn1", batch_norm(n, 4)),
        ("relu1", relu()),
        // Before a convolution without padding.
        ("bn2", batch_norm(n, 4)),
        ("conv2", second),
        ("drop", AnnOp::Identity),
        ("bn3", batch_norm(n, 5)),
        ("relu2", relu()),
        ("up", transpose),
        ("bn4", batch_norm(n, 10)),
        ("relu3", relu()),
        ("flat", AnnOp::Reshape),
        ("bn5", batch_norm(n, 640)),
        ("fc", linear(n, 6, 640)),
        ("bn6", batch_norm(n, 6)),
    ];
    let ann = row(&[3, 9, 9], layers);
    let prepared = assert_exact(&ann, 1);
    let ops = [count(&prepared.ann, |op| matches!(op, AnnOp::ScaleShift { .. })), prepared.ann.nodes().len()];
    assert_eq!(ops, [0, 9]);
    let names: Vec<&str> = prepared.ann.nodes().iter().map(|node| &node.name[..]).collect();
    assert_eq!(names, ["x", "conv1", "relu1", "conv2", "relu2", "up", "relu3", "flat", "fc"]);
    let origin = |index: usize| prepared.origins[AnnNodeId::new(index)].map(|id| &ann.nodes()[id].name[..]);
    assert_eq!([origin(1), origin(3), origin(8)], [Some("bn1"), Some("bn3"), Some("bn6")]);
    let note = |name: &str| &prepared.fates.iter().find(|fate| fate.name == name).unwrap().note[..];
    let notes = ["bn1", "bn2", "bn3", "bn4", "bn5", "bn6"].map(note);
    assert_eq!(notes, ["conv1", "conv2", "conv2", "up", "fc", "fc"].map(|name| format!("folded into `{name}`")));
}

/// A constant in front of a padded convolution is not there at the border: folding it would be wrong.
#[test]
fn batch_normalization_before_padding_stays_unless_it_has_no_constant() {
    let mut numbers = Numbers(4);
    let layers =
        vec![("bn", batch_norm(&mut numbers, 3)), ("conv", convolution(&mut numbers, &[4, 3, 3, 3], 1, (1, 1), 1))];
    let prepared = assert_exact(&row(&[3, 5, 5], layers), 1);
    assert_eq!(count(&prepared.ann, |op| matches!(op, AnnOp::ScaleShift { .. })), 1);
    assert!(prepared.fates[1].note.starts_with("kept: the convolution behind it is padded"));
    let scale = AnnOp::ScaleShift { scale: Some(numbers.tensor(&[3, 1, 1])), shift: None };
    let layers = vec![("scale", scale), ("conv", convolution(&mut numbers, &[4, 3, 3, 3], 1, (1, 1), 1))];
    assert_eq!(assert_exact(&row(&[3, 5, 5], layers), 1).ann.nodes().len(), 2);
}

#[test]
fn layers_that_others_read_are_not_changed_for_one_reader() {
    let mut numbers = Numbers(5);
    let mut ann = Ann::new();
    let x = ann.push_input("x", vec![3]);
    let fc = ann.push("fc", linear(&mut numbers, 4, 3), vec![x], None).unwrap();
    let norm = ann.push("bn", batch_norm(&mut numbers, 4), vec![fc], None).unwrap();
    let y = ann.push("sum", AnnOp::Sum { coefficients: vec![1.0, 1.0] }, vec![fc, norm], None).unwrap();
    ann.outputs = vec![("y".into(), y)];
    let prepared = assert_exact(&ann, 2);
    assert_eq!(count(&prepared.ann, |op| matches!(op, AnnOp::ScaleShift { .. })), 1);
    assert_eq!(prepared.fates[2].note, "kept as factors and constants of the synapses behind it");
}

/// `k − 1` rectifiers per window where windows do not overlap, 3 for 2×2; fewer than 8 where 3×3 windows overlap. Behind a
/// rectifier one more gives the maximum, so that the layer behind reads one population.
#[test]
fn max_pooling_takes_few_neurons() {
    let rectifiers = |shape: &[usize], pool: AnnPool| {
        let ann = row(shape, vec![("relu", relu()), ("pool", AnnOp::Pool(pool))]);
        let prepared = assert_exact(&ann, 9);
        let outputs = ann.nodes()[AnnNodeId::new(2)].shape.iter().product::<usize>();
        (rectifier_elements(&prepared.ann) - shape.iter().product::<usize>(), outputs)
    };
    let max = |kernel: &[usize], stride: &[usize], padding| pool(PoolFunction::Maximum, kernel, stride, padding);
    let (neurons, outputs) = rectifiers(&[2, 8, 8], max(&[2, 2], &[2, 2], &[(0, 0); 2]));
    assert_eq!(neurons, (3 + 1) * outputs);
    let (neurons, outputs) = rectifiers(&[2, 9, 9], max(&[3, 3], &[3, 3], &[(0, 0); 2]));
    assert_eq!(neurons, (8 + 1) * outputs);
    let (neurons, outputs) = rectifiers(&[2, 17, 17], max(&[3, 3], &[2, 2], &[(0, 0); 2]));
    assert_eq!(neurons, 2 * 2 * 17 * 8 + (2 + 1) * outputs);
    // Windows of 5 at every position: 3 instead of 4 per dimension.
    let (neurons, outputs) = rectifiers(&[1, 40], max(&[5], &[1], &[(2, 2)]));
    assert!(neurons < (4 + 1) * outputs, "{neurons}");
    let ann = row(&[2, 7, 7], vec![("relu", relu()), ("pool", AnnOp::GlobalPool(PoolFunction::Maximum))]);
    assert_eq!(rectifier_elements(&assert_exact(&ann, 1).ann), 2 * 49 + 2 * (48 + 1));
    // One layer for each level, 10 levels: 1001 elements are 1002, 501 are 502, and so on.
    let prepared = assert_exact(&row(&[1, 1001], vec![("pool", AnnOp::GlobalPool(PoolFunction::Maximum))]), 1);
    assert_eq!(count(&prepared.ann, |op| matches!(op, AnnOp::Activation(_))), 10);
    assert!(rectifier_elements(&prepared.ann) < 1010);
}

#[test]
fn windows_of_all_lengths_and_strides() {
    for (kernel, stride) in (1..18).flat_map(|kernel| (1..9).map(move |stride| (kernel, stride))) {
        let max = pool(PoolFunction::Maximum, &[kernel], &[stride], &[(kernel / 2, kernel / 3)]);
        assert_exact(&row(&[2, 37], vec![("pool", AnnOp::Pool(max.clone()))]), 1);
        let layers = vec![("relu", relu()), ("pool", AnnOp::Pool(AnnPool { padding: vec![(0, 0)], ..max }))];
        assert_exact(&row(&[2, 37], layers), 1);
    }
}

#[test]
fn scalars_have_rectifiers_too() {
    let mut ann = Ann::new();
    let x = ann.push_input("x", vec![]);
    let y = ann.push("y", AnnOp::Activation(Activation::Silu), vec![x], None).unwrap();
    let z = ann.push("z", AnnOp::Activation(Activation::Abs), vec![y], None).unwrap();
    ann.outputs = vec![("z".into(), z)];
    let prepared = prepare(&ann, &ConvertOptions::default()).unwrap();
    let input = vec![vec![-1.0, 0.0, 2.0]];
    assert!(output_difference(&ann, &prepared, &input, 3) < 0.03);
}

/// The pick of a window's first element is a convolution with a kernel of one element where windows do not overlap, so that
/// it stays small when it is joined with others.
#[test]
fn max_pooling_keeps_kernels_short() {
    let max = pool(PoolFunction::Maximum, &[2, 2], &[2, 2], &[(0, 0); 2]);
    let prepared = assert_exact(&row(&[1, 4, 4], vec![("pool", AnnOp::Pool(max))]), 1);
    let kernels: Vec<usize> = prepared
        .ann
        .nodes()
        .iter()
        .filter_map(|node| match &node.op {
            AnnOp::Convolution(layer) => Some(layer.weight.len()),
            _ => None,
        })
        .collect();
    assert_eq!(kernels, [2, 1, 2, 1]);
}

fn smooth() -> Vec<Activation> {
    vec![
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softsign,
        Activation::HardSwish,
        Activation::Silu,
        Activation::Gelu { tanh: true },
        Activation::Gelu { tanh: false },
        Activation::Elu { alpha: 1.0 },
        Activation::Selu { alpha: 1.67, gamma: 1.05 },
        Activation::Celu { alpha: 0.7 },
        Activation::Softplus,
        Activation::Mish,
    ]
}

/// The error that a fate states, `error at most 0.013`.
fn stated_error(fates: &[Fate]) -> f32 {
    let note = fates.iter().find_map(|fate| fate.note.split_once("error at most ")).unwrap().1;
    note.parse().unwrap()
}

#[test]
fn smooth_activations_are_within_the_stated_error() {
    for activation in smooth() {
        for shape in [vec![6], vec![3, 5], vec![2, 3, 4], vec![2, 2, 2, 2]] {
            let ann = row(&shape, vec![("act", AnnOp::Activation(activation.clone()))]);
            let prepared = prepare(&ann, &ConvertOptions::default()).unwrap();
            assert_only_linear_layers_and_rectifiers(&prepared.ann);
            assert_eq!(prepared.fates[1].exactness, Exactness::Approximate);
            let error = stated_error(&prepared.fates);
            let input = input_of(&ann, &mut Numbers(1), 6.0, 200);
            let (before, after) = (values(&ann, &input, 200), values(&prepared.ann, &input, 200));
            let end = prepared.ann.outputs[0].1.index();
            let worst = before[1].iter().zip(&after[end]).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
            assert!(worst <= error + 1e-5, "{activation:?}: {worst}, not {error}");
            assert!(worst > error / 4.0, "{activation:?}: {worst}, far below {error}");
            let warning = &prepared.warnings[0];
            assert_eq!((warning.code, warning.severity), (code::APPROXIMATED_LAYER, Severity::Warning));
        }
    }
}

/// The units' arguments fold into the layer before and their sums into the layer behind, padded or not: what is left is as
/// small as a network of rectifiers can be.
#[test]
fn units_of_smooth_activations_join_the_layers_around() {
    let mut numbers = Numbers(8);
    let n = &mut numbers;
    let layers = vec![
        ("conv1", convolution(n, &[4, 2, 3, 3], 1, (1, 1), 2)),
        ("bn1", batch_norm(n, 4)),
        ("act1", AnnOp::Activation(Activation::Silu)),
        ("conv2", convolution(n, &[6, 2, 3, 3], 2, (1, 1), 2)),
        ("act2", AnnOp::Activation(Activation::Tanh)),
        ("flat", AnnOp::Reshape),
        ("fc1", linear(n, 5, 54)),
        ("act3", AnnOp::Activation(Activation::Elu { alpha: 1.0 })),
        ("fc2", linear(n, 3, 5)),
    ];
    let ann = row(&[4, 6, 6], layers);
    let options = ConvertOptions { segments: 16, ..ConvertOptions::default() };
    let prepared = prepare(&ann, &options).unwrap();
    assert_only_linear_layers_and_rectifiers(&prepared.ann);
    // No spread and no gather is left. SiLU and ELU have segments and a tail, tanh has segments: `conv1` makes two kinds of
    // units and reads one, `conv2` makes one and reads two, `fc1` makes two and reads one, `fc2` reads two.
    let layers = count(&prepared.ann, |op| matches!(op, AnnOp::Convolution(_) | AnnOp::Linear(_)));
    assert_eq!(layers, 2 + 2 + 2 + 2);
    assert_eq!(count(&prepared.ann, |op| matches!(op, AnnOp::ScaleShift { .. })), 0);
    let input = input_of(&ann, &mut Numbers(2), 1.0, 20);
    let difference = output_difference(&ann, &prepared, &input, 20);
    assert!(difference < 0.02, "{difference}");
    let coarse = prepare(&ann, &ConvertOptions { segments: 3, ..options }).unwrap();
    assert!(output_difference(&ann, &coarse, &input, 20) > 2.0 * difference);
}

#[test]
fn thresholded_rectifiers_differ_near_the_threshold_alone() {
    for threshold in [1.0, -0.5] {
        let ann = row(&[5], vec![("act", AnnOp::Activation(Activation::ThresholdedRelu { threshold }))]);
        let prepared = prepare(&ann, &ConvertOptions::default()).unwrap();
        assert_eq!(prepared.warnings.len(), 1);
        let width = threshold.abs() / 8.0;
        let input = vec![vec![-2.0, threshold - width, threshold + width, 2.0, 3.0]];
        assert!(output_difference(&ann, &prepared, &input, 1) < 1e-5);
    }
    let ann = row(&[5], vec![("act", AnnOp::Activation(Activation::ThresholdedRelu { threshold: 0.0 }))]);
    assert_exact(&ann, 1);
}

#[test]
fn average_pooling_in_the_place_of_max_pooling() {
    let max = pool(PoolFunction::Maximum, &[3, 3], &[2, 2], &[(1, 1); 2]);
    let layers = vec![("pool", AnnOp::Pool(max.clone())), ("global", AnnOp::GlobalPool(PoolFunction::Maximum))];
    let ann = row(&[2, 6, 6], layers);
    let options = ConvertOptions { max_pool: MaxPooling::Average, ..ConvertOptions::default() };
    let prepared = prepare(&ann, &options).unwrap();
    assert_only_linear_layers_and_rectifiers(&prepared.ann);
    assert_eq!((prepared.warnings.len(), rectifier_elements(&prepared.ann)), (2, 0));
    assert_eq!(prepared.fates[1].exactness, Exactness::Approximate);
    let average = AnnPool { function: PoolFunction::Average, ..max };
    let layers = vec![("pool", AnnOp::Pool(average)), ("global", AnnOp::GlobalPool(PoolFunction::Average))];
    let averaged = row(&[2, 6, 6], layers);
    let input = input_of(&ann, &mut Numbers(2), 1.0, 2);
    assert!(output_difference(&averaged, &prepared, &input, 2) < 1e-5);
}

#[test]
fn filled_weights_stay_filled() {
    let weight = AnnTensor::fill(vec![1 << 15, 1 << 15], 0.5);
    let filled = |value| AnnTensor::fill(vec![1 << 15], value);
    let norm = AnnBatchNorm {
        gamma: filled(1.0),
        beta: filled(0.5),
        mean: filled(0.25),
        variance: filled(2.0),
        epsilon: 1e-5,
    };
    let layers = vec![("fc", AnnOp::Linear(AnnLinear { weight, bias: None })), ("bn", AnnOp::BatchNorm(norm))];
    let prepared = prepare(&row(&[1 << 15], layers), &ConvertOptions::default()).unwrap();
    let AnnOp::Linear(layer) = &prepared.ann.nodes()[AnnNodeId::new(1)].op else { panic!() };
    assert!(layer.weight.filled_with().is_some());
}
