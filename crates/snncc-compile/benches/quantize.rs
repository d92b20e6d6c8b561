//! Times of `quantize`, by rules and layer sizes: `cargo bench -p snncc-compile --bench quantize`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand_core::Rng;
use snncc_compile::{Ctx, NoObserver, Options, QuantizeStrategy, lowered, quantize};
use snncc_ids::IdVec;
use snncc_ir::network::{Affine, Edge, Matrix, Neuron, NeuronModel, SynapseDelay};
use snncc_ir::{Network, NetworkNode, Node, Param, Tensor};

/// A chain of dense layers of LIF neurons with seeded weights.
fn chain(sizes: &[usize]) -> Network {
    let mut random = rand_pcg::Pcg64::new(1, 1);
    let mut nodes = IdVec::new();
    let mut edges = Vec::new();
    let mut last = nodes.push(NetworkNode { name: "in".into(), node: Node::Input { shape: vec![sizes[0]] } });
    for (layer, pair) in sizes.windows(2).enumerate() {
        let (inputs, outputs) = (pair[0], pair[1]);
        let scale = 1.0 / (inputs as f64).sqrt();
        let mut weight = || (f64::from(random.next_u32()) / f64::from(u32::MAX) - 0.5) * 2.0 * scale;
        let weights = Tensor::new(vec![outputs, inputs], (0..inputs * outputs).map(|_| weight()).collect());
        let neuron = Neuron {
            shape: Some(vec![outputs]),
            tau_mem_s: Param::Uniform(20e-3),
            r: Param::Uniform(20.0),
            ..Neuron::new(NeuronModel::Lif)
        };
        let affine = Affine {
            weight: Matrix::Dense(weights),
            bias: Some(Tensor::vector((0..outputs).map(|_| weight()).collect())),
            delay: SynapseDelay::None,
        };
        for (name, node) in
            [(format!("fc{layer}"), Node::Affine(affine)), (format!("lif{layer}"), Node::Neuron(neuron))]
        {
            let next = nodes.push(NetworkNode { name, node });
            edges.push(Edge { source: last, target: next });
            last = next;
        }
    }
    let output =
        nodes.push(NetworkNode { name: "out".into(), node: Node::Output { shape: vec![sizes[sizes.len() - 1]] } });
    edges.push(Edge { source: last, target: output });
    Network { dt_s: Some(1e-3), nodes, edges, ..Network::default() }
}

fn rules(criterion: &mut Criterion) {
    let target = snncc_chip::target("loihi-emu").unwrap();
    let mut group = criterion.benchmark_group("quantize");
    group.sample_size(10);
    for sizes in [&[784, 128, 64, 10][..], &[1024, 1024, 1024]] {
        let network = chain(sizes);
        let weights: usize = sizes.windows(2).map(|pair| pair[0] * pair[1]).sum();
        group.throughput(Throughput::Elements(weights as u64));
        for (name, strategy) in
            [("calibrated", QuantizeStrategy::Calibrated), ("nengo_loihi", QuantizeStrategy::NengoLoihi)]
        {
            let (options, mut observer) = (Options { strategy, ..Options::default() }, NoObserver);
            let mut ctx = Ctx { target: &target, options: &options, calibration: None, observer: &mut observer };
            let ir = lowered(&network, &mut ctx).unwrap();
            group.bench_function(format!("{name}/{sizes:?}"), |bencher| {
                bencher.iter_with_large_drop(|| quantize::quantize(ir.clone(), &mut ctx).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, rules);
criterion_main!(benches);
