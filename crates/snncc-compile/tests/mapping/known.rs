//! Networks of known size: how many cores they take.

use crate::checker::check_image;
use crate::networks::generator::Rng;
use crate::networks::{Builder, plain_neurons};
use crate::{map, map_stages};
use snncc_chip::target;
use snncc_compile::Options;
use snncc_compile::backend::Resource;
use snncc_ir::{Connectivity, ConvolutionGeometry, Delays, IntWeights, QuantizedIr, SignMode, SparsePattern};

/// Full 8-bit weights of both signs, none 0.
fn mixed(rng: &mut Rng, len: usize) -> IntWeights {
    let mantissas = (0..len).map(|_| 2 * (rng.range(1, 127) as i32) * if rng.chance(50) { 1 } else { -1 }).collect();
    IntWeights { mantissas, exponent: 0, weight_bits: 8, sign_mode: SignMode::Mixed }
}

/// A multilayer perceptron.
pub fn mlp(sizes: &[usize]) -> QuantizedIr {
    let mut rng = Rng(1);
    let mut builder = Builder::default();
    let mut last = builder.population("input", &sizes[..1], None);
    for (number, size) in sizes[1..].iter().enumerate() {
        let layer = builder.population(&format!("fc{number}"), &[*size], Some(plain_neurons()));
        builder.project(last, layer, Connectivity::Dense, Delays::Uniform(1), |len| mixed(&mut rng, len));
        last = layer;
    }
    builder.finish()
}

/// A convolutional network: each layer is (output channels, kernel, stride, padding, depthwise).
pub fn cnn(input: [u32; 3], layers: &[(u32, u32, u32, u32, bool)]) -> QuantizedIr {
    let mut rng = Rng(2);
    let mut builder = Builder::default();
    let mut shape = input;
    let mut last = builder.population("input", &shape.map(|len| len as usize), None);
    for (number, (channels, kernel, stride, padding, depthwise)) in layers.iter().enumerate() {
        let out = |len: u32| (len + 2 * padding - kernel) / stride + 1;
        let output = [*channels, out(shape[1]), out(shape[2])];
        let geometry = ConvolutionGeometry {
            input: shape,
            output,
            kernel: [*kernel; 2],
            stride: [*stride; 2],
            padding: [*padding; 2],
            dilation: [1; 2],
            groups: if *depthwise { shape[0] } else { 1 },
        };
        let name = format!("layer{number}");
        let layer = builder.population(&name, &output.map(|len| len as usize), Some(plain_neurons()));
        builder.project(last, layer, Connectivity::Convolution(geometry), Delays::Uniform(1), |len| {
            if *depthwise {
                IntWeights { mantissas: vec![64; len], exponent: 0, weight_bits: 8, sign_mode: SignMode::Excitatory }
            } else {
                mixed(&mut rng, len)
            }
        });
        (last, shape) = (layer, output);
    }
    builder.finish()
}

/// `neurons` neurons with `fan_out` random targets each, and an input.
pub fn random_recurrent(neurons: usize, fan_out: usize) -> QuantizedIr {
    let mut rng = Rng(3);
    let mut builder = Builder::default();
    let input = builder.population("input", &[neurons / 10], None);
    let layer = builder.population("neurons", &[neurons], Some(plain_neurons()));
    let mut pattern = |sources: usize| {
        let mut pattern = SparsePattern { row_starts: vec![0], targets: Vec::new() };
        for _ in 0..sources {
            let mut row: Vec<u32> = (0..fan_out).map(|_| rng.range(0, neurons as u64 - 1) as u32).collect();
            row.sort_unstable();
            row.dedup();
            pattern.targets.extend(row);
            pattern.row_starts.push(pattern.targets.len() as u32);
        }
        Connectivity::Sparse(pattern)
    };
    let (from_input, within) = (pattern(neurons / 10), pattern(neurons));
    let mut rng = Rng(4);
    builder.project(input, layer, from_input, Delays::Uniform(1), |len| mixed(&mut rng, len));
    builder.project(layer, layer, within, Delays::Uniform(1), |len| mixed(&mut rng, len));
    builder.finish()
}

/// Neurons on a ring, each with targets nearby (`shuffle` hides where they sit); one of 16 synapses goes anywhere.
pub fn ring(neurons: usize, fan_out: usize, shuffle: bool) -> QuantizedIr {
    let mut rng = Rng(5);
    let mut number: Vec<u32> = (0..neurons as u32).collect();
    if shuffle {
        for at in (1..neurons).rev() {
            number.swap(at, rng.range(0, at as u64) as usize);
        }
    }
    let mut rows = vec![Vec::new(); neurons];
    for place in 0..neurons {
        let row: &mut Vec<u32> = &mut rows[number[place] as usize];
        for step in 1..=fan_out {
            let to = if rng.chance(6) { rng.range(0, neurons as u64 - 1) as usize } else { (place + step) % neurons };
            row.push(number[to]);
        }
        row.sort_unstable();
        row.dedup();
    }
    let mut pattern = SparsePattern { row_starts: vec![0], targets: Vec::new() };
    for row in rows {
        pattern.targets.extend(row);
        pattern.row_starts.push(pattern.targets.len() as u32);
    }
    let mut builder = Builder::default();
    let input = builder.population("input", &[neurons], None);
    let layer = builder.population("neurons", &[neurons], Some(plain_neurons()));
    let weights = |len| mixed(&mut Rng(6), len);
    builder.project(input, layer, Connectivity::OneToOne { shared: true }, Delays::Uniform(1), weights);
    builder.project(layer, layer, Connectivity::Sparse(pattern), Delays::Uniform(1), weights);
    builder.finish()
}

#[test]
fn a_small_perceptron_takes_one_core() {
    let ir = mlp(&[784, 128, 64, 10]);
    let target = target("loihi-emu").unwrap();
    let (routed, image) = map(&ir, &target, &Options::default()).unwrap();
    check_image(&image, &ir, &target);
    let cores = routed.placed().partitioned().cores();
    assert_eq!(cores.len(), 1);
    // Two blocks of 64 8-bit weights take 9 words each, a block of 10 takes 2.
    assert_eq!(cores[0].used.get(Resource::SynapseWords), 784 * 18 + 128 * 9 + 64 * 2);
    assert_eq!(cores[0].used.get(Resource::InAxons), 784 + 128 + 64);
}

#[test]
fn timings() {
    let options = Options::default();
    for (name, ir, on) in [
        ("mlp", mlp(&[784, 128, 64, 10]), "loihi-emu"),
        ("mlp big", mlp(&[784, 1024, 1024, 10]), "loihi-emu"),
        (
            "cnn",
            cnn([2, 34, 34], &[(16, 3, 2, 1, false), (16, 3, 1, 1, false), (8, 3, 1, 1, false), (8, 2, 2, 0, true)]),
            "loihi-emu",
        ),
        (
            "vgg",
            cnn(
                [3, 32, 32],
                &[
                    (64, 3, 1, 1, false),
                    (64, 2, 2, 0, true),
                    (128, 3, 1, 1, false),
                    (128, 2, 2, 0, true),
                    (256, 3, 1, 1, false),
                ],
            ),
            "loihi-32chip",
        ),
        ("random", random_recurrent(10_000, 100), "unbounded-loihi"),
        ("random", random_recurrent(2_000, 50), "loihi-emu"),
        ("random 10k 32chip", random_recurrent(10_000, 100), "loihi-32chip"),
        ("small world", ring(8_000, 60, false), "loihi-emu"),
        ("small world shuffled", ring(8_000, 60, true), "loihi-emu"),
    ] {
        let target = target(on).unwrap();
        map_stages(name, &ir, &target, &options);
    }
}
