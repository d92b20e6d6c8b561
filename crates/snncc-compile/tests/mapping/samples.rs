//! Networks of known shape, for tests and benchmarks.

use crate::networks::generator::Rng;
use crate::networks::{Builder, plain_neurons};
use snncc_ir::{Connectivity, ConvolutionGeometry, Delays, IntWeights, QuantizedIr, SignMode, SparsePattern};

/// Full 8-bit weights of both signs, none 0.
pub(crate) fn mixed(rng: &mut Rng, len: usize) -> IntWeights {
    let mantissas = (0..len).map(|_| 2 * (rng.range(1, 127) as i32) * if rng.chance(50) { 1 } else { -1 }).collect();
    IntWeights { mantissas, exponent: 0, weight_bits: 8, sign_mode: SignMode::Mixed }
}

/// A multilayer perceptron.
pub(crate) fn mlp(sizes: &[usize]) -> QuantizedIr {
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
pub(crate) fn cnn(input: [u32; 3], layers: &[(u32, u32, u32, u32, bool)]) -> QuantizedIr {
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
pub(crate) fn random_recurrent(neurons: usize, fan_out: usize) -> QuantizedIr {
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
pub(crate) fn ring(neurons: usize, fan_out: usize, shuffle: bool) -> QuantizedIr {
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
