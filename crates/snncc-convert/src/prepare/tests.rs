//! Random and hand-made networks, before and after.

mod networks;
mod words;

use super::*;
use crate::options::{ConvertOptions, MaxPooling, Swap};
use snncc_ids::{Id, Severity, code};
use snncc_ir::ann::*;
use snncc_reference::ann::AnnExecutor;

/// Numbers between −1 and 1 from Knuth's linear congruential generator.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn tensor(&mut self, shape: &[usize]) -> AnnTensor {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| self.next()).collect();
        AnnTensor::new(shape.to_vec(), values)
    }

    fn below(&mut self, end: usize) -> usize {
        (((self.next() + 1.0) / 2.0 * end as f32) as usize).min(end - 1)
    }

    fn flip(&mut self) -> bool {
        self.next() > 0.0
    }
}

/// The values of every node on `samples` samples, and the inputs' ranges.
fn values(ann: &Ann, input: &[Vec<f32>], samples: usize) -> Vec<Vec<f32>> {
    let ports: Vec<&[f32]> = input.iter().map(|values| &values[..]).collect();
    let mut values = vec![Vec::new(); ann.nodes().len()];
    let executor = AnnExecutor::new(ann).unwrap();
    executor.run(&ports, samples, &mut |id, value| values[id.index()].extend_from_slice(value));
    values
}

fn input_of(ann: &Ann, numbers: &mut Numbers, reach: f32, samples: usize) -> Vec<Vec<f32>> {
    let port = |id| samples * ann.nodes()[id].shape.iter().product::<usize>();
    ann.inputs().map(port).map(|len| (0..len).map(|_| reach * numbers.next()).collect()).collect()
}

/// The largest difference between values, for values of order 1 or relative to the largest.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(1.0_f32, |size, value| size.max(value.abs()));
    found.iter().zip(expected).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs())) / size
}

/// Largest difference of an output.
fn output_difference(ann: &Ann, prepared: &Prepared, input: &[Vec<f32>], samples: usize) -> f32 {
    let (before, after) = (values(ann, input, samples), values(&prepared.ann, input, samples));
    let pairs = ann.outputs.iter().zip(&prepared.ann.outputs);
    pairs.fold(0.0, |worst, (a, b)| worst.max(difference(&after[b.1.index()], &before[a.1.index()])))
}

/// Nothing is left that a spiking network does not have.
fn assert_only_linear_layers_and_rectifiers(ann: &Ann) {
    for node in ann.nodes() {
        let is_left = match &node.op {
            AnnOp::Activation(activation) => {
                matches!(activation, Activation::Relu | Activation::Clip { min: 0.0, max: 0.0.. })
            }
            AnnOp::Pool(pool) => {
                let after: Vec<usize> = pool.padding.iter().map(|padding| padding.1).collect();
                let is_padded = pool.padding.iter().any(|padding| *padding != (0, 0));
                pool.function == PoolFunction::Average && (!is_padded || pool.counted_after == Some(after))
            }
            AnnOp::GlobalPool(function) => *function == PoolFunction::Average,
            AnnOp::Pad { value, .. } => *value == 0.0,
            op => !matches!(
                op,
                AnnOp::BatchNorm(_)
                    | AnnOp::Identity
                    | AnnOp::Product
                    | AnnOp::Maximum
                    | AnnOp::Softmax { .. }
                    | AnnOp::LocalResponseNorm { .. }
                    | AnnOp::Unsupported { .. }
            ),
        };
        assert!(is_left, "`{}`: {:?}", node.name, node.op);
    }
}

/// Exact everywhere: outputs, and every value that claims to be one of the original network's.
fn assert_exact(ann: &Ann, seed: u64) -> Prepared {
    let prepared = prepare(ann, &ConvertOptions::default()).unwrap();
    assert_eq!(prepared.warnings, []);
    assert_only_linear_layers_and_rectifiers(&prepared.ann);
    assert_eq!(prepared.origins.len(), prepared.ann.nodes().len());
    assert_eq!(prepared.ann.outputs.len(), ann.outputs.len());
    let input = input_of(ann, &mut Numbers(seed), 2.0, 3);
    let (before, after) = (values(ann, &input, 3), values(&prepared.ann, &input, 3));
    for (id, origin) in prepared.origins.iter_with_ids() {
        let Some(origin) = origin else { continue };
        let (node, original) = (&prepared.ann.nodes()[id], &ann.nodes()[*origin]);
        assert_eq!(node.shape, original.shape, "{}", node.name);
        let difference = difference(&after[id.index()], &before[origin.index()]);
        assert!(difference < 1e-5, "`{}`, which is `{}`: {difference}", node.name, original.name);
    }
    let is_softmax = |id| matches!(ann.nodes()[id].op, AnnOp::Softmax { .. });
    for ((name, old), (_, new)) in ann.outputs.iter().zip(&prepared.ann.outputs).filter(|((_, id), _)| !is_softmax(*id))
    {
        let difference = difference(&after[new.index()], &before[old.index()]);
        assert!(difference < 1e-5, "output {name}: {difference}");
    }
    prepared
}

/// A network of one input and layers in a row; shapes are worked out.
fn row(shape: &[usize], layers: Vec<(&str, AnnOp)>) -> Ann {
    let mut ann = Ann::new();
    let mut x = ann.push_input("x", shape.to_vec());
    for (name, op) in layers {
        let given = match op {
            AnnOp::Reshape => Some(vec![ann.nodes()[x].shape.iter().product()]),
            _ => None,
        };
        x = ann.push(name, op, vec![x], given).unwrap();
    }
    ann.outputs = vec![("y".into(), x)];
    ann
}

fn convolution(
    numbers: &mut Numbers,
    weight: &[usize],
    stride: usize,
    padding: (usize, usize),
    groups: usize,
) -> AnnOp {
    let dimensions = weight.len() - 2;
    AnnOp::Convolution(AnnConvolution {
        weight: numbers.tensor(weight),
        bias: numbers.flip().then(|| numbers.tensor(&weight[..1])),
        stride: vec![stride; dimensions],
        padding: vec![padding; dimensions],
        dilation: vec![1; dimensions],
        groups,
    })
}

fn linear(numbers: &mut Numbers, outputs: usize, inputs: usize) -> AnnOp {
    let bias = numbers.flip().then(|| numbers.tensor(&[outputs]));
    AnnOp::Linear(AnnLinear { weight: numbers.tensor(&[outputs, inputs]), bias })
}

fn batch_norm(numbers: &mut Numbers, channels: usize) -> AnnOp {
    let variance = numbers.tensor(&[channels]).map(|value| value.abs() + 0.3);
    let [gamma, beta, mean] = [0; 3].map(|_| numbers.tensor(&[channels]));
    AnnOp::BatchNorm(AnnBatchNorm { gamma, beta, mean, variance, epsilon: 1e-3 })
}

fn relu() -> AnnOp {
    AnnOp::Activation(Activation::Relu)
}

fn pool(function: PoolFunction, kernel: &[usize], stride: &[usize], padding: &[(usize, usize)]) -> AnnPool {
    let dilation = vec![1; kernel.len()];
    let (kernel, stride, padding) = (kernel.to_vec(), stride.to_vec(), padding.to_vec());
    AnnPool { function, kernel, stride, padding, dilation, counted_after: None }
}

fn count(ann: &Ann, is: impl Fn(&AnnOp) -> bool) -> usize {
    ann.nodes().iter().filter(|node| is(&node.op)).count()
}

fn rectifier_elements(ann: &Ann) -> usize {
    let rectifiers = ann.nodes().iter().filter(|node| matches!(node.op, AnnOp::Activation(_)));
    rectifiers.map(|node| node.shape.iter().product::<usize>()).sum()
}
