//! Networks in a chip's own integers, with values up to the borders of their fields: so that registers overflow, voltages are
//! clipped and exponents drop bits.

use super::Builder;
use crate::random::Random;
use snncc_chip::LoihiCore;
use snncc_ir::network::*;
use snncc_ir::{Network, Node, NoiseParams, NoiseTarget, ResetModel, SignMode};

/// A network of inputs, compartments, synapses and outputs for a core of this kind.
pub fn integers(seed: u64, core: &LoihiCore) -> Network {
    let mut builder = Builder { random: Random(seed), nodes: Vec::new(), edges: Vec::new() };
    builder.fill_with_integers(core);
    builder.finish(None)
}

impl Builder {
    fn fill_with_integers(&mut self, core: &LoihiCore) {
        let mut sources = Vec::new();
        for _ in 0..self.random.from(1, 2) {
            let shape = vec![self.random.from(1, 12)];
            sources.push(self.add(Node::Input { shape: shape.clone() }, shape));
        }
        let inputs = sources.len();
        for _ in 0..self.random.from(1, 4) {
            let shape = vec![self.random.from(1, 4), self.random.from(1, 6)];
            let node = compartments(&mut self.random, shape.clone(), core);
            let group = self.add(node, shape);
            let source = self.random.pick(&sources);
            sources.push(group);
            self.connect_integers(source, group, core);
        }
        for _ in 0..self.random.below(5) {
            let source = self.random.pick(&sources);
            let target = self.random.pick(&sources[inputs..]);
            self.connect_integers(source, target, core);
        }
        for group in sources.split_off(inputs) {
            let shape = self.shape(group);
            let output = self.add(Node::Output { shape: shape.clone() }, shape);
            self.edges.push((group, output));
        }
    }

    fn connect_integers(&mut self, source: usize, target: usize, core: &LoihiCore) {
        let (sources, targets) = (self.len(source), self.len(target));
        let node = synapses(&mut self.random, sources, targets, core);
        let shape = self.shape(target);
        let id = self.add(node, shape);
        self.edges.extend([(source, id), (id, target)]);
    }
}

fn compartments(random: &mut Random, shape: Vec<usize>, core: &LoihiCore) -> Node {
    let formats = &core.formats;
    let len = shape.iter().product();
    // Of every field a few values, so that the tables of a small core hold them: the borders among them.
    let mut some = |values: &[i64]| {
        let chosen: Vec<i64> = (0..3).map(|_| random.pick(values)).collect();
        random.param(len, |random| random.pick(&chosen))
    };
    let decay_max = formats.decay_max.0;
    let decay_u = some(&[0, 1, 300, 2048, decay_max, decay_max]);
    let decay_v = some(&[0, 0, 100, 1024, decay_max]);
    let threshold_mantissa = some(&[0, 1, 60, 100, 300, 1000, 5000]);
    let (low, high) = formats.bias_mantissa.0;
    let bias_mantissa = some(&[0, 0, 0, 7, -20, 100, low.max(-4096), high.min(4095)]);
    let (low, high) = formats.bias_exponent.0;
    let bias_exponent = some(&[0, 0, low, (low + high) / 2, high]);
    let refractory = some(&[1, 1, 2, 3, formats.refractory_max.0]);
    let state = (1_i64 << formats.state_bits.0.min(30)) - 1;
    let u_initial = some(&[0, 0, 0, 777, -5000, state, -state]);
    let v_initial = some(&[0, 0, 0, 777, -5000, state, -state]);
    let clips = formats.clip_required.0 || random.chance(70);
    let reset = match random.below(6) {
        0 => ResetModel::Periodic { interval: random.from(1, 9) as u32, offset: random.from(0, 12) as u32 },
        1 => ResetModel::Ternary { lower_threshold_mantissa: -random.pick(&[0, 1, 50, 400]) },
        _ => ResetModel::Lif,
    };
    Node::Compartments(Compartments {
        shape,
        decay_u,
        decay_v,
        threshold_mantissa,
        bias_mantissa,
        bias_exponent,
        refractory,
        v_min_exponent: clips.then(|| random.pick(&[0, 10, 23, 23, formats.v_min_exponent_max.0])),
        v_max_exponent: clips.then(|| random.pick(&[0, 3, 7, 7, formats.v_max_exponent_max.0])),
        u_initial,
        v_initial,
        reset,
        noise: random.chance(15).then(|| noise(random, len)),
    })
}

fn noise(random: &mut Random, len: usize) -> NoiseParams {
    let steps = random.from(0, 20);
    NoiseParams {
        exponent: random.from(0, 7) as u8,
        mantissa_offset: random.integer(-4, 4) as i32,
        target: random.pick(&[NoiseTarget::Dendrite, NoiseTarget::Membrane]),
        samples: (0..steps).map(|_| (0..len).map(|_| random.integer(-3000, 3000) as i32).collect()).collect(),
    }
}

fn synapses(random: &mut Random, sources: usize, targets: usize, core: &LoihiCore) -> Node {
    let formats = &core.formats;
    let widths: Vec<u8> = formats.weight_codes.0.iter().map(|code| code.bits).filter(|bits| *bits <= 8).collect();
    let weight_bits = random.pick(&widths);
    let sign_mode = random.pick(&[SignMode::Mixed, SignMode::Mixed, SignMode::Excitatory, SignMode::Inhibitory]);
    let mixed = sign_mode == SignMode::Mixed;
    let shift = u32::from(formats.weight_magnitude_bits.0) + u32::from(mixed) - u32::from(weight_bits);
    let zeros = random.pick(&[0, 10, 50]);
    let weight = |random: &mut Random| {
        if random.chance(zeros) {
            return 0;
        }
        let (low, high) = match sign_mode {
            SignMode::Mixed => (-(1 << weight_bits >> 1), (1 << weight_bits >> 1) - 1),
            SignMode::Excitatory => (0, (1 << weight_bits) - 1),
            SignMode::Inhibitory => (1 - (1 << weight_bits), 0),
        };
        (random.integer(low, high) << shift) as i32
    };
    let weight = if random.chance(50) {
        Matrix::Dense(snncc_ir::Tensor::new(
            vec![targets, sources],
            (0..sources * targets).map(|_| weight(random)).collect(),
        ))
    } else {
        let density = random.pick(&[10, 40, 90]);
        let mut pairs: Vec<(u32, u32)> = (0..targets as u32)
            .flat_map(|row| (0..sources as u32).map(move |column| (row, column)))
            .filter(|_| random.chance(density))
            .collect();
        random.shuffle(&mut pairs);
        let values = pairs.iter().map(|_| weight(random)).collect();
        let (rows, columns) = pairs.into_iter().unzip();
        Matrix::Sparse { shape: (targets, sources), rows, columns, values }
    };
    let slots = 1_usize << formats.delay_bits.0.min(6);
    let longest = slots - usize::from(formats.delay_slots_reserved.0);
    let most = random.pick(&[1, 3, 3, 6, longest]);
    let delay = match random.below(4) {
        0 => SynapseDelay::Uniform(random.from(0, most) as u32),
        1 => SynapseDelay::PerSynapse((0..weight.len()).map(|_| random.from(0, most) as u32).collect()),
        _ => SynapseDelay::None,
    };
    let (low, high) = formats.weight_exponent.0;
    let exponent = random.pick(&[0, 0, 1, -2, low, high, 3]);
    Node::Synapses(Synapses { weight, exponent, weight_bits, sign_mode, delay })
}
