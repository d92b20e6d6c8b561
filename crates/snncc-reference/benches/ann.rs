//! Trained networks in the executor: `cargo bench -p snncc-reference --bench ann`. Throughput is in images of 28 × 28.
//!
//! The networks have the shapes of common MNIST models and weights from a fixed generator; speed does not depend on weights.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use snncc_ids::AnnNodeId;
use snncc_ir::ann::*;
use snncc_reference::ann::AnnExecutor;
use std::hint::black_box;

const IMAGES: usize = 2_000;

/// A network under construction: layers on the value last pushed.
struct Chain {
    ann: Ann,
    last: AnnNodeId,
    state: u64,
}

impl Chain {
    fn new() -> Self {
        let mut ann = Ann::new();
        let last = ann.push_input("input", vec![1, 28, 28]);
        Self { ann, last, state: 1 }
    }

    fn tensor(&mut self, shape: &[usize]) -> AnnTensor {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| self.value() * 0.1).collect();
        AnnTensor::new(shape.to_vec(), values)
    }

    /// Between −0.5 and 0.5: Knuth's linear congruential generator.
    fn value(&mut self) -> f32 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 40) as f32 / (1 << 24) as f32 - 0.5
    }

    fn push(mut self, op: AnnOp, inputs: &[AnnNodeId], shape: Option<Vec<usize>>) -> Self {
        self.last = self.ann.push("layer", op, inputs.to_vec(), shape).unwrap();
        self
    }

    fn then(self, op: AnnOp) -> Self {
        let last = self.last;
        self.push(op, &[last], None)
    }

    fn flat(self) -> Self {
        let (last, len) = (self.last, self.ann.nodes()[self.last].shape.iter().product());
        self.push(AnnOp::Reshape, &[last], Some(vec![len]))
    }

    fn linear(mut self, outputs: usize) -> Self {
        let inputs = self.ann.nodes()[self.last].shape[0];
        let (weight, bias) = (self.tensor(&[outputs, inputs]), self.tensor(&[outputs]));
        self.then(AnnOp::Linear(AnnLinear { weight, bias: Some(bias) }))
    }

    /// Convolution and batch normalization.
    fn convolution(mut self, channels: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        let inputs = self.ann.nodes()[self.last].shape[0];
        let weight = self.tensor(&[channels, inputs, kernel, kernel]);
        let norm = [self.tensor(&[channels]), self.tensor(&[channels]), self.tensor(&[channels])];
        let [gamma, beta, mean] = norm;
        self.then(AnnOp::Convolution(AnnConvolution {
            weight,
            bias: None,
            stride: vec![stride; 2],
            padding: vec![(padding, padding); 2],
            dilation: vec![1; 2],
            groups: 1,
        }))
        .then(AnnOp::BatchNorm(AnnBatchNorm {
            variance: AnnTensor::fill(vec![channels], 1.0),
            gamma,
            beta,
            mean,
            epsilon: 1e-5,
        }))
    }

    fn relu(self) -> Self {
        self.then(AnnOp::Activation(Activation::Relu))
    }

    fn pool(self) -> Self {
        self.then(AnnOp::Pool(AnnPool {
            function: PoolFunction::Average,
            kernel: vec![2; 2],
            stride: vec![2; 2],
            padding: vec![(0, 0); 2],
            dilation: vec![1; 2],
            counted_after: None,
        }))
    }

    fn add(self, other: AnnNodeId) -> Self {
        let last = self.last;
        self.push(AnnOp::Sum { coefficients: vec![1.0; 2] }, &[last, other], None)
    }

    fn done(mut self) -> Ann {
        self.ann.outputs = vec![("output".into(), self.last)];
        self.ann
    }
}

fn mlp() -> Ann {
    Chain::new().flat().linear(128).relu().linear(64).relu().linear(10).done()
}

fn lenet() -> Ann {
    let features = Chain::new().convolution(16, 5, 1, 0).relu().pool().convolution(32, 5, 1, 0).relu().pool();
    features.flat().linear(128).relu().linear(10).done()
}

fn residual() -> Ann {
    let stem = Chain::new().convolution(12, 3, 2, 1).relu();
    let skip = stem.last;
    let first = stem.convolution(12, 3, 1, 1).relu().convolution(12, 3, 1, 1).add(skip).relu();
    let mut shortcut = first;
    let before = shortcut.last;
    shortcut = shortcut.convolution(24, 1, 2, 0);
    let skip = shortcut.last;
    shortcut.last = before;
    let second = shortcut.convolution(24, 3, 2, 1).relu().convolution(24, 3, 1, 1).add(skip).relu();
    second.then(AnnOp::GlobalPool(PoolFunction::Average)).flat().linear(10).done()
}

fn bench(criterion: &mut Criterion) {
    let mut generator = Chain::new();
    let images: Vec<f32> = (0..IMAGES * 784).map(|_| generator.value() + 0.5).collect();
    let mut group = criterion.benchmark_group("ann");
    group.sample_size(10).throughput(Throughput::Elements(IMAGES as u64));
    for (name, ann) in [("mlp", mlp()), ("lenet", lenet()), ("residual", residual())] {
        let executor = AnnExecutor::new(&ann).unwrap();
        group.bench_function(name, |bencher| bencher.iter(|| executor.outputs(black_box(&[&images]), IMAGES)));
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
