use super::*;
use snncc_ids::Id;
use snncc_ir::ann::*;

/// Numbers between −1 and 1 from Knuth's linear congruential generator.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn list(&mut self, shape: &[usize]) -> Vec<f32> {
        (0..shape.iter().product()).map(|_| self.next()).collect()
    }

    fn tensor(&mut self, shape: &[usize]) -> AnnTensor {
        AnnTensor::new(shape.to_vec(), self.list(shape))
    }

    fn below(&mut self, end: usize) -> usize {
        (((self.next() + 1.0) / 2.0 * end as f32) as usize).min(end - 1)
    }
}

/// One sample through one operator.
fn apply(op: &AnnOp, inputs: &[(&[usize], &[f32])], shape: Option<&[usize]>) -> Vec<f32> {
    let mut ann = Ann::new();
    let ids: Vec<_> = inputs.iter().map(|(shape, _)| ann.push_input("x", shape.to_vec())).collect();
    let y = ann.push("y", op.clone(), ids, shape.map(<[usize]>::to_vec)).unwrap();
    ann.outputs = vec![("y".into(), y)];
    let inputs: Vec<&[f32]> = inputs.iter().map(|(_, values)| *values).collect();
    AnnExecutor::new(&ann).unwrap().outputs(&inputs, 1).remove(0)
}

fn assert_near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{index}: {found}, not {expected}");
    }
}

fn convolution(
    weight: AnnTensor,
    bias: Option<AnnTensor>,
    windows: &[(usize, usize, usize, usize)],
    groups: usize,
) -> AnnConvolution {
    AnnConvolution {
        weight,
        bias,
        stride: windows.iter().map(|window| window.0).collect(),
        padding: windows.iter().map(|window| (window.1, window.2)).collect(),
        dilation: windows.iter().map(|window| window.3).collect(),
        groups,
    }
}

/// Every weight between every pair of elements that the windows join, from the definition: `visit(x, weight, y)` in indices.
/// `long` is the shape that the windows lie on, `short` that of the windows.
fn for_each_synapse(
    layer: &AnnConvolution,
    long: &[usize],
    short: &[usize],
    mut visit: impl FnMut([usize; 2], [usize; 2], usize),
) {
    let kernel = &layer.weight.shape[2..];
    let dimensions = kernel.len();
    let spread = |mut index: usize, shape: &[usize]| {
        let mut position = vec![0; shape.len()];
        for d in (0..shape.len()).rev() {
            position[d] = index % shape[d];
            index /= shape[d];
        }
        position
    };
    let count = |shape: &[usize]| shape.iter().product::<usize>();
    for (window, k) in (0..count(&short[1..])).flat_map(|window| (0..count(kernel)).map(move |k| (window, k))) {
        let (window_at, k_at) = (spread(window, &short[1..]), spread(k, kernel));
        let place = (0..dimensions).try_fold(0, |place, d| {
            let at = (window_at[d] * layer.stride[d] + k_at[d] * layer.dilation[d]).checked_sub(layer.padding[d].0)?;
            (at < long[d + 1]).then_some(place * long[d + 1] + at)
        });
        if let Some(place) = place {
            visit([place, count(&long[1..])], [window, count(&short[1..])], k);
        }
    }
}

#[test]
fn convolutions_agree_with_the_definition() {
    let mut numbers = Numbers(3);
    // Shape of x, channels of y, kernel, (stride, before, after, dilation) of each dimension, groups: columns joined over
    // samples, blocks of rows, hardly any channels, pointwise, wide rows.
    type Case<'a> = (&'a [usize], usize, &'a [usize], &'a [(usize, usize, usize, usize)], usize);
    let cases: &[Case] = &[
        (&[3, 9, 8], 5, &[3, 3], &[(1, 1, 1, 1), (1, 1, 1, 1)], 1),
        (&[3, 9, 8], 5, &[3, 2], &[(2, 0, 2, 1), (3, 1, 0, 2)], 1),
        (&[4, 7, 7], 8, &[3, 3], &[(1, 2, 1, 2), (1, 0, 3, 1)], 2),
        (&[4, 7, 7], 4, &[3, 3], &[(2, 1, 1, 1), (2, 1, 1, 1)], 4),
        (&[4, 6, 5], 4, &[2, 2], &[(1, 3, 3, 1), (1, 3, 3, 1)], 2),
        (&[6, 20, 21], 7, &[1, 1], &[(1, 0, 0, 1), (1, 0, 0, 1)], 1),
        (&[6, 20, 21], 7, &[1, 1], &[(2, 0, 0, 1), (2, 0, 0, 1)], 1),
        (&[16, 40, 40], 8, &[5, 5], &[(1, 2, 2, 1), (1, 2, 2, 1)], 1),
        (&[2, 3, 700], 3, &[2, 5], &[(1, 0, 0, 1), (1, 2, 2, 1)], 1),
        (&[4, 30], 6, &[5], &[(2, 1, 3, 2)], 2),
        (&[2, 1, 1], 4, &[3, 3], &[(1, 5, 5, 1), (1, 1, 1, 1)], 1),
    ];
    for (x_shape, channels, kernel, windows, groups) in cases.iter().copied() {
        let weight_shape = [&[channels, x_shape[0] / groups], kernel].concat();
        for weight in [numbers.tensor(&weight_shape), AnnTensor::fill(weight_shape, 0.25)] {
            let layer = convolution(weight, Some(numbers.tensor(&[channels])), windows, groups);
            let op = AnnOp::Convolution(layer.clone());
            let y_shape = shapes::infer(&op, &[x_shape], None).unwrap();
            let x = numbers.list(x_shape);
            let (per_group, outputs) = (x_shape[0] / groups, channels / groups);
            let y_plane: usize = y_shape[1..].iter().product();
            let mut expected: Vec<f32> =
                (0..channels * y_plane).map(|index| layer.bias.as_ref().unwrap().get(index / y_plane)).collect();
            let kernel_len: usize = kernel.iter().product();
            for_each_synapse(&layer, x_shape, &y_shape, |[place, x_plane], [window, y_plane], k| {
                for (out, c) in (0..channels).flat_map(|out| (0..per_group).map(move |c| (out, c))) {
                    let x = x[(out / outputs * per_group + c) * x_plane + place];
                    expected[out * y_plane + window] += layer.weight.get((out * per_group + c) * kernel_len + k) * x;
                }
            });
            assert_near(&apply(&op, &[(x_shape, &x)], None), &expected);
        }
    }
}

#[test]
fn transposed_convolutions_agree_with_the_definition() {
    let mut numbers = Numbers(4);
    type Case<'a> = (&'a [usize], usize, &'a [usize], &'a [(usize, usize, usize, usize)], &'a [usize], usize);
    let cases: &[Case] = &[
        (&[3, 4, 5], 2, &[3, 3], &[(2, 1, 1, 1), (2, 0, 1, 1)], &[1, 0], 1),
        (&[4, 4, 5], 3, &[3, 2], &[(1, 0, 2, 2), (3, 1, 0, 1)], &[0, 2], 2),
        (&[4, 9], 1, &[4], &[(2, 1, 1, 1)], &[0], 2),
        (&[2, 40, 30], 6, &[3, 3], &[(2, 1, 1, 1), (2, 1, 1, 1)], &[1, 1], 1),
    ];
    for (x_shape, outputs, kernel, windows, output_padding, groups) in cases.iter().copied() {
        let weight_shape = [&[x_shape[0], outputs], kernel].concat();
        for weight in [numbers.tensor(&weight_shape), AnnTensor::fill(weight_shape, -0.5)] {
            let channels = outputs * groups;
            let layer = convolution(weight, Some(numbers.tensor(&[channels])), windows, groups);
            let op = AnnOp::ConvolutionTranspose(AnnConvolutionTranspose {
                weight: layer.weight.clone(),
                bias: layer.bias.clone(),
                stride: layer.stride.clone(),
                padding: layer.padding.clone(),
                output_padding: output_padding.to_vec(),
                dilation: layer.dilation.clone(),
                groups,
            });
            let y_shape = shapes::infer(&op, &[x_shape], None).unwrap();
            let x = numbers.list(x_shape);
            let per_group = x_shape[0] / groups;
            let y_plane: usize = y_shape[1..].iter().product();
            let mut expected: Vec<f32> =
                (0..channels * y_plane).map(|index| layer.bias.as_ref().unwrap().get(index / y_plane)).collect();
            let kernel_len: usize = kernel.iter().product();
            for_each_synapse(&layer, &y_shape, x_shape, |[place, y_plane], [window, x_plane], k| {
                for (c, out) in (0..x_shape[0]).flat_map(|c| (0..outputs).map(move |out| (c, out))) {
                    expected[(c / per_group * outputs + out) * y_plane + place] +=
                        layer.weight.get((c * outputs + out) * kernel_len + k) * x[c * x_plane + window];
                }
            });
            assert_near(&apply(&op, &[(x_shape, &x)], None), &expected);
        }
    }
}

#[test]
fn linear_layers_by_hand() {
    let weight = AnnTensor::new(vec![2, 3], vec![1.0, 2.0, 3.0, -1.0, 0.0, 0.5]);
    let linear = |weight, bias| AnnOp::Linear(AnnLinear { weight, bias });
    let biased = linear(weight, Some(AnnTensor::vector(vec![10.0, -10.0])));
    assert_eq!(apply(&biased, &[(&[3], &[1.0, 2.0, 4.0])], None), [27.0, -9.0]);
    // Over the last dimension, row by row.
    let rows = [1.0, 2.0, 4.0, 0.0, 0.0, 2.0];
    assert_eq!(apply(&biased, &[(&[2, 3], &rows)], None), [27.0, -9.0, 16.0, -9.0]);
    let filled = linear(AnnTensor::fill(vec![2, 3], 0.5), Some(AnnTensor::vector(vec![0.0, 1.0])));
    assert_eq!(apply(&filled, &[(&[2, 3], &rows)], None), [3.5, 4.5, 1.0, 2.0]);
}

fn pool(
    function: PoolFunction,
    kernel: &[usize],
    stride: usize,
    padding: &[(usize, usize)],
    counted: Option<&[usize]>,
) -> AnnOp {
    AnnOp::Pool(AnnPool {
        function,
        kernel: kernel.to_vec(),
        stride: vec![stride; kernel.len()],
        padding: padding.to_vec(),
        dilation: vec![1; kernel.len()],
        counted_after: counted.map(<[usize]>::to_vec),
    })
}

#[test]
fn pools_by_hand() {
    use PoolFunction::{Average, Maximum};
    let x: Vec<f32> = (1..=9).map(|value| value as f32).collect();
    let of = |op: &AnnOp| apply(op, &[(&[1, 3, 3], &x)], None);
    assert_eq!(of(&pool(Average, &[2, 2], 1, &[(0, 0); 2], None)), [3.0, 4.0, 6.0, 7.0]);
    assert_eq!(of(&pool(Maximum, &[2, 2], 1, &[(0, 0); 2], None)), [5.0, 6.0, 8.0, 9.0]);
    // Padding is not counted, or all of it is, or what rounding up added is not.
    let padded = [(1, 1); 2];
    assert_eq!(of(&pool(Average, &[2, 2], 2, &padded, None)), [1.0, 2.5, 5.5, 7.0]);
    assert_eq!(of(&pool(Average, &[2, 2], 2, &padded, Some(&[1, 1]))), [0.25, 1.25, 2.75, 7.0]);
    let rounded_up = [(0, 1); 2];
    assert_eq!(of(&pool(Average, &[2, 2], 2, &rounded_up, Some(&[0, 0]))), [3.0, 4.5, 7.5, 9.0]);
    assert_eq!(of(&pool(Average, &[2, 2], 2, &rounded_up, Some(&[1, 0]))), [3.0, 4.5, 3.75, 4.5]);
    // Padding never wins.
    let negative = [-3.0, -1.0, -2.0];
    let line = pool(Maximum, &[2], 2, &[(1, 0)], None);
    assert_eq!(apply(&line, &[(&[1, 3], &negative)], None), [-3.0, -1.0]);
    let mean = pool(Average, &[2], 2, &[(1, 0)], Some(&[0]));
    assert_eq!(apply(&mean, &[(&[1, 3], &negative)], None), [-1.5, -1.5]);
    assert_eq!(apply(&AnnOp::GlobalPool(Average), &[(&[2, 2], &[1.0, 2.0, 5.0, 7.0])], None), [1.5, 6.0]);
    assert_eq!(apply(&AnnOp::GlobalPool(Maximum), &[(&[2, 2], &[1.0, -2.0, -5.0, -7.0])], None), [1.0, -5.0]);
}

#[test]
fn dilated_pools_by_hand() {
    let x = [1.0, 8.0, 3.0, 4.0, 5.0];
    let dilated = |function| {
        AnnOp::Pool(AnnPool {
            function,
            kernel: vec![2],
            stride: vec![1],
            padding: vec![(1, 1)],
            dilation: vec![3],
            counted_after: None,
        })
    };
    // Windows (−1, 2), (0, 3), (1, 4), (2, 5).
    assert_eq!(apply(&dilated(PoolFunction::Maximum), &[(&[1, 5], &x)], None), [3.0, 4.0, 8.0, 3.0]);
    assert_eq!(apply(&dilated(PoolFunction::Average), &[(&[1, 5], &x)], None), [3.0, 2.5, 6.5, 3.0]);
}

#[test]
fn functions_of_elements_by_hand() {
    let x: &[f32] = &[1.0, -2.0, 3.0, -4.0];
    let shape: &[usize] = &[2, 2];
    let of = |op: AnnOp| apply(&op, &[(shape, x)], None);
    let rows = AnnTensor::new(vec![2, 1], vec![2.0, 10.0]);
    let columns = AnnTensor::new(vec![2], vec![0.5, 0.25]);
    let scale = |scale: Option<&AnnTensor>, shift: Option<&AnnTensor>| AnnOp::ScaleShift {
        scale: scale.cloned(),
        shift: shift.cloned(),
    };
    assert_eq!(of(scale(Some(&rows), None)), [2.0, -4.0, 30.0, -40.0]);
    assert_eq!(of(scale(Some(&columns), Some(&rows))), [2.5, 1.5, 11.5, 9.0]);
    assert_eq!(of(scale(None, Some(&AnnTensor::fill(vec![], 1.0)))), [2.0, -1.0, 4.0, -3.0]);
    assert_eq!(of(scale(Some(&AnnTensor::new(vec![1, 1], vec![3.0])), None)), [3.0, -6.0, 9.0, -12.0]);
    let all = AnnTensor::new(vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]);
    assert_eq!(of(scale(Some(&all), Some(&all))), [2.0, -2.0, 12.0, -12.0]);
    let slope = |slope: &AnnTensor| AnnOp::Activation(Activation::PRelu { slope: slope.clone() });
    assert_eq!(of(slope(&rows)), [1.0, -4.0, 3.0, -40.0]);
    assert_eq!(of(slope(&columns)), [1.0, -0.5, 3.0, -1.0]);
    let norm = AnnOp::BatchNorm(AnnBatchNorm {
        gamma: AnnTensor::vector(vec![2.0, 3.0]),
        beta: AnnTensor::vector(vec![1.0, 0.0]),
        mean: AnnTensor::vector(vec![0.0, 3.0]),
        variance: AnnTensor::vector(vec![3.0, 8.0]),
        epsilon: 1.0,
    });
    assert_near(&of(norm), &[2.0, -1.0, 0.0, -7.0]);
    assert_eq!(of(AnnOp::Activation(Activation::Relu)), [1.0, 0.0, 3.0, 0.0]);
    assert_near(&of(AnnOp::Activation(Activation::Tanh)), &x.iter().map(|x| x.tanh()).collect::<Vec<_>>());
}

/// The functions that have a path of their own in `f32` agree with the definition.
#[test]
fn activations_agree_with_the_definition() {
    let slope = 0.3;
    let activations = [
        Activation::Relu,
        Activation::Clip { min: -0.5, max: 0.75 },
        Activation::LeakyRelu { slope },
        Activation::ThresholdedRelu { threshold: 0.25 },
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Activation::HardSwish,
        Activation::Silu,
        Activation::Gelu { tanh: false },
        Activation::Elu { alpha: 1.5 },
        Activation::Softplus,
        Activation::Softsign,
        Activation::Abs,
    ];
    let x: Vec<f32> = (-40..=40).map(|x| x as f32 / 8.0).collect();
    for activation in activations {
        let expected: Vec<f32> = x.iter().map(|x| activation.value((*x).into(), 0.0) as f32).collect();
        assert_near(&apply(&AnnOp::Activation(activation), &[(&[x.len()], &x)], None), &expected);
    }
}

#[test]
fn norms_over_channels_by_hand() {
    let softmax = |axis, log| AnnOp::Softmax { axis, log };
    let x: &[f32] = &[0.0, 2.0_f32.ln(), 0.0, 6.0_f32.ln()];
    assert_near(&apply(&softmax(1, false), &[(&[2, 2], x)], None), &[1.0 / 3.0, 2.0 / 3.0, 1.0 / 7.0, 6.0 / 7.0]);
    assert_near(&apply(&softmax(0, false), &[(&[2, 2], x)], None), &[0.5, 0.25, 0.5, 0.75]);
    assert_near(&apply(&softmax(0, true), &[(&[2], &[1000.0, 1000.0])], None), &[-(2.0_f32.ln()); 2]);
    let norm = |size| AnnOp::LocalResponseNorm { size, alpha: 3.0, beta: 0.5, bias: 1.0 };
    // Size 3: a channel and both neighbours; size 2: a channel and the next.
    let roots = |squares: [f32; 3]| [1.0, 2.0, 3.0].iter().zip(squares).map(|(x, s)| x / s.sqrt()).collect::<Vec<_>>();
    assert_near(&apply(&norm(3), &[(&[3, 1], &[1.0, 2.0, 3.0])], None), &roots([6.0, 15.0, 14.0]));
    assert_near(&apply(&norm(2), &[(&[3, 1], &[1.0, 2.0, 3.0])], None), &roots([8.5, 20.5, 14.5]));
}

#[test]
fn several_inputs_by_hand() {
    let (a, b): (&[f32], &[f32]) = (&[1.0, 2.0, 3.0, 4.0], &[10.0, 0.0, -1.0, 5.0]);
    let shape: &[usize] = &[2, 2];
    let of = |op: AnnOp| apply(&op, &[(shape, a), (shape, b)], None);
    assert_eq!(of(AnnOp::Sum { coefficients: vec![2.0, -1.0] }), [-8.0, 4.0, 7.0, 3.0]);
    assert_eq!(of(AnnOp::Product), [10.0, 0.0, -3.0, 20.0]);
    assert_eq!(of(AnnOp::Maximum), [10.0, 2.0, 3.0, 5.0]);
    assert_eq!(of(AnnOp::Concat { axis: 0 }), [a, b].concat());
    assert_eq!(of(AnnOp::Concat { axis: 1 }), [1.0, 2.0, 10.0, 0.0, 3.0, 4.0, -1.0, 5.0]);
    let gate: (&[usize], &[f32]) = (&[2, 1], &[0.5, 2.0]);
    for inputs in [[(shape, a), gate], [gate, (shape, a)]] {
        assert_eq!(apply(&AnnOp::Product, &inputs, None), [0.5, 1.0, 6.0, 8.0]);
    }
}

#[test]
fn moved_elements_by_hand() {
    let x: Vec<f32> = (0..6).map(|value| value as f32).collect();
    let of = |op: AnnOp, shape: Option<&[usize]>| apply(&op, &[(&[2, 3], &x)], shape);
    assert_eq!(of(AnnOp::Transpose { permutation: vec![1, 0] }, None), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    let pad = AnnOp::Pad { before: vec![1, 0], after: vec![0, 1], value: 9.0 };
    assert_eq!(of(pad, None), [9.0, 9.0, 9.0, 9.0, 0.0, 1.0, 2.0, 9.0, 3.0, 4.0, 5.0, 9.0]);
    let slice = AnnOp::Slice { starts: vec![1, 0], steps: vec![1, 2] };
    assert_eq!(of(slice, Some(&[1, 2])), [3.0, 5.0]);
    let resample = AnnOp::Resample { indices: vec![vec![1, 0], vec![0, 0, 2]] };
    assert_eq!(of(resample, None), [3.0, 3.0, 5.0, 0.0, 0.0, 2.0]);
    assert_eq!(of(AnnOp::Reshape, Some(&[6])), x);
    let cube: Vec<f32> = (0..8).map(|value| value as f32).collect();
    let transpose = AnnOp::Transpose { permutation: vec![2, 0, 1] };
    assert_eq!(apply(&transpose, &[(&[2, 2, 2], &cube)], None), [0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]);
}

/// A network of operators on `(4, 4)` that read any values before them, several of them outputs.
fn random_network(numbers: &mut Numbers) -> Ann {
    let mut ann = Ann::new();
    let mut values = vec![ann.push_input("a", vec![4, 4]), ann.push_input("b", vec![4, 4])];
    for _ in 0..40 {
        let two = [values[numbers.below(values.len())], values[values.len() - 1 - numbers.below(4.min(values.len()))]];
        let (op, inputs) = match numbers.below(9) {
            0 => (AnnOp::Activation(Activation::Relu), 1),
            1 => (AnnOp::Identity, 1),
            2 => (AnnOp::Linear(AnnLinear { weight: numbers.tensor(&[4, 4]), bias: None }), 1),
            3 => (AnnOp::Sum { coefficients: vec![0.5, -1.0] }, 2),
            4 => (AnnOp::Maximum, 2),
            5 => (AnnOp::Transpose { permutation: vec![1, 0] }, 1),
            6 => (AnnOp::Softmax { axis: 1, log: false }, 1),
            7 => (AnnOp::ScaleShift { scale: Some(numbers.tensor(&[4])), shift: None }, 1),
            _ => (AnnOp::Reshape, 1),
        };
        let shape = matches!(op, AnnOp::Reshape).then(|| vec![4, 4]);
        values.push(ann.push("n", op, two[..inputs].to_vec(), shape).unwrap());
    }
    ann.outputs = [5, 20, 41, 41].map(|index| (format!("y{index}"), values[index])).to_vec();
    ann
}

/// Every value, as it is shown, is what its operator alone makes of the values shown for its inputs: no buffer is given away
/// too early, none is overwritten that is still read.
#[test]
fn buffers_are_used_again_only_when_free() {
    let mut numbers = Numbers(1);
    for _ in 0..60 {
        let ann = random_network(&mut numbers);
        let executor = AnnExecutor::new(&ann).unwrap();
        let inputs = [numbers.list(&[4, 4]), numbers.list(&[4, 4])];
        let mut seen: Vec<Vec<f32>> = Vec::new();
        executor.run(&[&inputs[0], &inputs[1]], 1, &mut |node, value| {
            assert_eq!(node.index(), seen.len());
            seen.push(value.to_vec());
        });
        for (id, node) in ann.nodes().iter_with_ids().skip(2) {
            let shape: &[usize] = &[4, 4];
            let inputs: Vec<_> = node.inputs.iter().map(|input| (shape, &seen[input.index()][..])).collect();
            assert_eq!(apply(&node.op, &inputs, Some(shape)), seen[id.index()], "{id:?}");
        }
        for ((_, id), output) in ann.outputs.iter().zip(executor.outputs(&[&inputs[0], &inputs[1]], 1)) {
            assert_eq!(output, seen[id.index()]);
        }
        assert!(executor.plan.buffer_elements(1) <= 16 * 16, "{} elements", executor.plan.buffer_elements(1));
    }
}

/// Convolutions of all kinds and linear layers in one network, on more samples than a chunk has.
fn chain(numbers: &mut Numbers) -> Ann {
    let mut ann = Ann::new();
    let mut last = ann.push_input("x", vec![3, 12, 12]);
    for (channels, kernel, groups) in [(8, 3, 1), (8, 3, 8), (6, 1, 2), (5, 5, 1)] {
        let weight = numbers.tensor(&[channels, ann.nodes()[last].shape[0] / groups, kernel, kernel]);
        let layer = convolution(weight, None, &[(1, 0, 1, 1); 2], groups);
        last = ann.push("c", AnnOp::Convolution(layer), vec![last], None).unwrap();
    }
    let len = ann.nodes()[last].shape.iter().product();
    last = ann.push("flat", AnnOp::Reshape, vec![last], Some(vec![len])).unwrap();
    let linear = AnnLinear { weight: numbers.tensor(&[300, len]), bias: Some(numbers.tensor(&[300])) };
    last = ann.push("linear", AnnOp::Linear(linear), vec![last], None).unwrap();
    ann.outputs = vec![("y".into(), last)];
    ann
}

#[test]
fn a_sample_does_not_depend_on_the_others_or_on_threads() {
    let mut numbers = Numbers(2);
    let executor = AnnExecutor::new(&chain(&mut numbers)).unwrap();
    let samples = executor.chunk_samples() * 2 + 3;
    let elements = executor.input_elements()[0];
    let x = numbers.list(&[samples, elements]);
    let together = executor.outputs(&[&x], samples).remove(0);
    let alone: Vec<f32> = x.chunks(elements).flat_map(|x| executor.outputs(&[x], 1).remove(0)).collect();
    assert!(together == alone);
    let threads = |count| rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
    for count in [1, 3] {
        assert!(threads(count).install(|| executor.outputs(&[&x], samples).remove(0)) == together);
    }
    let mut in_order = Vec::new();
    executor.run(&[&x], samples, &mut |node, value| {
        if Some(&node) == executor.outputs.first() {
            in_order.extend_from_slice(value);
        }
    });
    assert!(in_order == together);
    let mut starts = Vec::new();
    executor.map_reduce(&[&x], samples, || 0, |start, _, first, _| *start = first, |start| starts.push(start));
    assert_eq!(starts, [0, executor.chunk_samples(), 2 * executor.chunk_samples()]);
    assert_eq!(executor.outputs(&[&[]], 0), [Vec::<f32>::new()]);
}

#[test]
fn readers_see_adjusted_values() {
    let mut ann = Ann::new();
    let x = ann.push_input("x", vec![2, 2]);
    let rectified = ann.push("relu", AnnOp::Activation(Activation::Relu), vec![x], None).unwrap();
    let flat = ann.push("flat", AnnOp::Reshape, vec![rectified], Some(vec![4])).unwrap();
    let sum = ann.push("sum", AnnOp::Sum { coefficients: vec![1.0, 10.0] }, vec![flat, flat], None).unwrap();
    ann.outputs = vec![("y".into(), sum)];
    let executor = AnnExecutor::new(&ann).unwrap();
    let (mut asked, mut seen) = (Vec::new(), Vec::new());
    let mut adjust = |node, value: &mut [f32]| {
        asked.push(node);
        if node == rectified {
            value.iter_mut().for_each(|value| *value = value.min(1.0));
        }
    };
    executor.run_adjusted(&[&[-1.0, 0.5, 1.5, 1.0]], 1, &mut adjust, &mut |_, value| seen.push(value.to_vec()));
    assert_eq!(asked, [rectified, sum]);
    assert_eq!(
        seen,
        [vec![-1.0, 0.5, 1.5, 1.0], vec![0.0, 0.5, 1.0, 1.0], vec![0.0, 0.5, 1.0, 1.0], vec![0.0, 5.5, 11.0, 11.0]]
    );
}

#[test]
fn all_nodes_that_cannot_run_are_listed() {
    let mut ann = Ann::new();
    let x = ann.push_input("x", vec![4]);
    let unsupported = |reason: &str| AnnOp::Unsupported { reason: reason.into() };
    let a = ann.push("loop", unsupported("loops are not unrolled"), vec![x], None).unwrap();
    let b = ann.push("relu", AnnOp::Activation(Activation::Relu), vec![a], None).unwrap();
    ann.push("sort", unsupported("sorting has no spiking form"), vec![b], None).unwrap();
    let problems = AnnExecutor::new(&ann).unwrap_err();
    let shown = problems.to_string();
    assert_eq!(problems.0.len(), 2);
    for part in ["SNN0301", "`loop`", "loops are not unrolled", "`sort`", "graph/sort"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn values_beyond_memory_are_refused() {
    let refused = |ann: &Ann| AnnExecutor::new(ann).unwrap_err().to_string();
    let mut ann = Ann::new();
    ann.push_input("x", vec![usize::MAX, 3]);
    assert!(refused(&ann).contains("elements"));
    let mut ann = Ann::new();
    let x = ann.push_input("x", vec![1]);
    let pad = AnnOp::Pad { before: vec![1 << 40], after: vec![0], value: 0.0 };
    let wide = ann.push("wide", pad, vec![x], None).unwrap();
    ann.push("relu", AnnOp::Activation(Activation::Relu), vec![wide], None).unwrap();
    assert!(refused(&ann).contains("`wide`") && !refused(&ann).contains("`relu`"));
    // A weight of 2^41 bytes that is never expanded.
    let mut ann = Ann::new();
    let mut last = ann.push_input("x", vec![1 << 19]);
    for outputs in [1 << 20, 1] {
        let linear = AnnLinear { weight: AnnTensor::fill(vec![outputs, ann.nodes()[last].shape[0]], 0.5), bias: None };
        last = ann.push("linear", AnnOp::Linear(linear), vec![last], None).unwrap();
    }
    ann.outputs = vec![("y".into(), last)];
    let executor = AnnExecutor::new(&ann).unwrap();
    assert_eq!(executor.outputs(&[&vec![1.0; 1 << 19]], 1), [[(1_u64 << 37) as f32]]);
    // Its columns would take as much.
    let mut ann = Ann::new();
    let x = ann.push_input("x", vec![1, 1, 1]);
    let layer =
        convolution(AnnTensor::new(vec![3, 1, 1, 1], vec![1.0; 3]), None, &[(1, 1 << 20, 0, 1), (1, 1 << 20, 0, 1)], 1);
    ann.push("c", AnnOp::Convolution(layer), vec![x], None).unwrap();
    assert!(refused(&ann).contains("`c`"));
}
