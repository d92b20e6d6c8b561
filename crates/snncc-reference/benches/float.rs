//! Spiking networks in the float reference: `cargo bench -p snncc-reference --bench float`. Throughput is in steps.
//!
//! The networks have the shapes of common MNIST models and weights from a fixed generator, scaled so that about one neuron
//! in ten fires in a step; the input is constant, as after a conversion.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use snncc_data::Stimulus;
use snncc_ir::network::*;
use snncc_ir::{Param, Tensor};
use snncc_reference::float::{FloatInput, FloatNetwork, FloatOptions, Record};
use std::hint::black_box;

const STEPS: u32 = 128;

/// A network under construction: each node on the last.
struct Chain {
    network: Network,
    state: u64,
}

impl Chain {
    fn new(shape: &[usize]) -> Self {
        let mut chain = Self { network: Network::default(), state: 1 };
        chain.push("input", Node::Input { shape: shape.to_vec() });
        chain
    }

    /// From 0 to 1: Knuth's linear congruential generator.
    fn value(&mut self) -> f64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 40) as f64 / f64::from(1 << 24)
    }

    /// Weights that are negative as often as positive.
    fn tensor(&mut self, shape: &[usize], scale: f64) -> Tensor {
        let values = (0..shape.iter().product()).map(|_| (self.value() - 0.5) * scale).collect();
        Tensor::new(shape.to_vec(), values)
    }

    fn push(&mut self, name: &str, node: Node) {
        let source = self.network.nodes.ids().last();
        self.network.nodes.push(NetworkNode { name: name.into(), node });
        if let (Some(source), Some(target)) = (source, self.network.nodes.ids().last()) {
            self.network.edges.push(Edge { source, target });
        }
    }

    fn convolution(mut self, channels: [usize; 2], kernel: usize, padding: usize, scale: f64) -> Self {
        let weight = self.tensor(&[channels[1], channels[0], kernel, kernel], scale);
        let bias = Some(Tensor::vector(vec![0.05; channels[1]]));
        let convolution = Convolution {
            dimensions: 2,
            weight,
            bias,
            stride: vec![1, 1],
            padding: Padding::Explicit(vec![padding; 2]),
            dilation: vec![1, 1],
            groups: 1,
            input_shape: None,
            delay: 0,
        };
        self.push(&format!("convolution {}", self.network.nodes.len()), Node::Convolution(convolution));
        self
    }

    fn affine(mut self, inputs: usize, outputs: usize, scale: f64) -> Self {
        let weight = Matrix::Dense(self.tensor(&[outputs, inputs], scale));
        let bias = Some(Tensor::vector(vec![0.05; outputs]));
        let affine = Affine { weight, bias, delay: SynapseDelay::None };
        self.push(&format!("affine {}", self.network.nodes.len()), Node::Affine(affine));
        self
    }

    fn pool(mut self, window: usize) -> Self {
        let (kernel, stride) = ([window; 2], [window; 2]);
        let pool = Pool { kind: PoolKind::Average, kernel, stride, padding: [0, 0] };
        self.push(&format!("pool {}", self.network.nodes.len()), Node::Pool(pool));
        self
    }

    fn flatten(mut self) -> Self {
        self.push("flatten", Node::Flatten { start_dim: 0, end_dim: -1 });
        self
    }

    fn neurons(mut self, model: NeuronModel) -> Self {
        let mut neuron = Neuron::new(model);
        neuron.reset = Reset::BySubtraction;
        neuron.v_initial = Param::Uniform(if model.spikes() { 0.5 } else { 0.0 });
        neuron.v_min = model.spikes().then_some(-1.0);
        self.push(&format!("neurons {}", self.network.nodes.len()), Node::Neuron(neuron));
        self
    }

    fn output(mut self, elements: usize) -> Network {
        self.push("output", Node::Output { shape: vec![elements] });
        self.network
    }
}

fn multilayer() -> Network {
    Chain::new(&[784])
        .affine(784, 128, 0.05)
        .neurons(NeuronModel::If)
        .affine(128, 64, 0.3)
        .neurons(NeuronModel::If)
        .affine(64, 10, 0.3)
        .neurons(NeuronModel::I)
        .output(10)
}

fn lenet() -> Network {
    Chain::new(&[1, 28, 28])
        .convolution([1, 16], 5, 0, 0.2)
        .neurons(NeuronModel::If)
        .pool(2)
        .convolution([16, 32], 5, 0, 0.1)
        .neurons(NeuronModel::If)
        .pool(2)
        .flatten()
        .affine(512, 128, 0.2)
        .neurons(NeuronModel::If)
        .affine(128, 10, 0.3)
        .neurons(NeuronModel::I)
        .output(10)
}

/// Convolutions of few channels and few spikes.
fn narrow() -> Network {
    Chain::new(&[1, 28, 28])
        .convolution([1, 12], 3, 1, 0.2)
        .pool(2)
        .neurons(NeuronModel::If)
        .convolution([12, 12], 3, 1, 0.2)
        .neurons(NeuronModel::If)
        .convolution([12, 12], 3, 1, 0.2)
        .neurons(NeuronModel::If)
        .pool(14)
        .flatten()
        .affine(12, 10, 0.3)
        .neurons(NeuronModel::I)
        .output(10)
}

fn runs(criterion: &mut Criterion) {
    let image: Vec<f64> = {
        let mut chain = Chain::new(&[1]);
        (0..784).map(|_| chain.value()).collect()
    };
    let silence = Stimulus::default();
    let input = FloatInput { spikes: &silence, analog: vec![("input".into(), image)] };
    let mut group = criterion.benchmark_group("float");
    group.throughput(Throughput::Elements(STEPS.into()));
    for (name, network) in [("multilayer", multilayer()), ("lenet", lenet()), ("narrow", narrow())] {
        let network =
            FloatNetwork::new(&network, &FloatOptions::default()).unwrap_or_else(|problems| panic!("{problems}"));
        let run = || network.run(black_box(&input), STEPS, &Record::default()).unwrap_or_else(|e| panic!("{e}"));
        let trace = run();
        for population in trace.populations.iter().filter(|population| !population.is_input) {
            println!("{name}: {} has {} spikes", population.name, population.spike_count);
        }
        group.bench_function(name, |bencher| bencher.iter(run));
    }
    group.finish();
}

criterion_group!(benches, runs);
criterion_main!(benches);
