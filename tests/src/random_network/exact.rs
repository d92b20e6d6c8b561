//! Networks in floats that a chip's integers hold exactly: integrate-and-fire neurons, every weight a quarter of an integer
//! up to 8, biases and initial values quarters, thresholds halves.
//!
//! On a chip with weights of 8 bits a scale of 256 units per volt holds them all, so nothing needs to be rounded. Threshold
//! nodes are left out: a chip whose voltage cannot forget more than 4095/4096 in a step keeps a trace of the last step.

use super::Builder;
use crate::random::Random;
use snncc_ir::network::*;
use snncc_ir::{Network, Node, Param, Tensor};

/// A network that needs no rounding.
pub fn exact(seed: u64) -> Network {
    let mut builder = Builder { random: Random(seed), nodes: Vec::new(), edges: Vec::new() };
    builder.fill_exactly();
    builder.finish(None)
}

/// A multiple of 1/4 between −range and range.
fn quarter(random: &mut Random, range: i64) -> f64 {
    random.integer(-4 * range, 4 * range) as f64 / 4.0
}

impl Builder {
    fn fill_exactly(&mut self) {
        let mut sources = Vec::new();
        for _ in 0..self.random.from(1, 2) {
            let shape = vec![self.random.from(1, 2), self.random.from(2, 5), self.random.from(2, 5)];
            sources.push(self.add(Node::Input { shape: shape.clone() }, shape));
        }
        let inputs = sources.len();
        for _ in 0..self.random.from(1, 4) {
            let source = self.random.pick(&sources);
            let end = self.exact_way(source);
            let shape = self.shape(end);
            let node = self.exact_neurons(&shape);
            let neurons = self.add(node, shape);
            self.edges.push((end, neurons));
            sources.push(neurons);
            // A second way from an earlier population, or from the same; and one from itself.
            if self.random.chance(50) {
                let source = self.random.pick(&sources[..sources.len() - 1]);
                self.exact_join(source, neurons);
            }
            if self.random.chance(30) {
                self.exact_join(neurons, neurons);
            }
        }
        for neurons in sources.split_off(inputs) {
            let shape = self.shape(neurons);
            let output = self.add(Node::Output { shape: shape.clone() }, shape);
            self.edges.push((neurons, output));
        }
    }

    /// One node with weights behind `source`, and perhaps a pool before and a delay after it.
    fn exact_way(&mut self, source: usize) -> usize {
        let mut at = source;
        if self.shape(at).len() == 3 && self.random.chance(25) {
            let kernel = [self.random.from(1, 2), self.random.from(1, 2)];
            at = self.append(at, Node::Pool(Pool { kind: PoolKind::Sum, kernel, stride: kernel, padding: [0, 0] }));
        }
        let shape = self.shape(at);
        let len = self.len(at);
        let node = match self.random.below(5) {
            0 | 1 if shape.len() == 3 => match self.convolution(shape[0], 2) {
                Node::Convolution(mut convolution) => {
                    let random = &mut self.random;
                    convolution.weight.data.iter_mut().for_each(|weight| *weight = quarter(random, 8));
                    let bias = convolution.bias.iter_mut().flat_map(|bias| &mut bias.data);
                    bias.for_each(|bias| *bias = quarter(random, 1));
                    Node::Convolution(convolution)
                }
                _ => unreachable!("convolution makes a convolution"),
            },
            2 => {
                let factors = if self.random.chance(50) { 1 } else { len };
                let values = (0..factors).map(|_| quarter(&mut self.random, 8)).collect();
                Node::Scale { scale: Tensor::vector(values) }
            }
            _ => {
                let outputs = self.random.from(1, 12);
                self.exact_affine(len, outputs)
            }
        };
        let before = at;
        at = self.append(at, node);
        if at == before {
            let node = self.exact_affine(len, 5);
            at = self.append(at, node);
        }
        if self.random.chance(25) {
            let node = self.delay_steps(self.random.0 % 4);
            at = self.append(at, node);
        }
        at
    }

    fn delay_steps(&mut self, steps: u64) -> Node {
        Node::Delay { delay: DelayTime::Steps(Param::Uniform(steps as u32)), shape: None }
    }

    fn exact_affine(&mut self, inputs: usize, outputs: usize) -> Node {
        match self.affine(inputs, outputs, true) {
            Node::Affine(mut affine) => {
                let random = &mut self.random;
                match &mut affine.weight {
                    Matrix::Dense(tensor) => tensor.data.iter_mut().for_each(|weight| *weight = quarter(random, 8)),
                    Matrix::Sparse { values, .. } => values.iter_mut().for_each(|weight| *weight = quarter(random, 8)),
                }
                let bias = affine.bias.iter_mut().flat_map(|bias| &mut bias.data);
                bias.for_each(|bias| *bias = quarter(random, 1));
                Node::Affine(affine)
            }
            _ => unreachable!("affine makes an affine node"),
        }
    }

    fn exact_join(&mut self, source: usize, target: usize) {
        if source != target && self.shape(source) == self.shape(target) && self.random.chance(40) {
            if !self.edges.contains(&(source, target)) {
                self.edges.push((source, target));
            }
            return;
        }
        let (inputs, outputs) = (self.len(source), self.len(target));
        let node = self.exact_affine(inputs, outputs);
        let end = self.append(source, node);
        if end != source {
            self.edges.push((end, target));
        }
    }

    fn exact_neurons(&mut self, shape: &[usize]) -> Node {
        let len = shape.iter().product();
        let random = &mut self.random;
        // Of each a few, as a chip has room for a few thresholds.
        let thresholds: Vec<f64> = (0..2).map(|_| random.pick(&[0.5, 1.0, 2.5, 4.0, 9.5, 16.0])).collect();
        let resets: Vec<f64> = (0..2).map(|_| -random.pick(&[0.0, 0.25, 1.0, 3.5])).collect();
        let threshold = random.param(len, |random| random.pick(&thresholds));
        let comparison = random.pick(&[Comparison::Greater, Comparison::GreaterOrEqual]);
        let mut neuron = Neuron::new(if random.chance(90) { NeuronModel::If } else { NeuronModel::I });
        if neuron.model == NeuronModel::If {
            neuron.v_threshold = threshold;
            neuron.comparison = comparison;
            neuron.refractory_steps = random.param(len, |random| random.from(1, 4) as u32);
            if random.chance(40) {
                neuron.v_reset = random.param(len, |random| random.pick(&resets));
            }
        }
        if random.chance(40) {
            neuron.v_initial = random.param(len, |random| quarter(random, 1) - 1.0);
        }
        Node::Neuron(neuron)
    }
}
