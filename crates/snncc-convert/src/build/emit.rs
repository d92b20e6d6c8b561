//! Writes nodes of the spiking network for the linear layers of the trained one.

mod gate;

pub(in super::super) use gate::not_gated;

use super::value::{Term, Value, ZERO, by_channel, channel_map, gather};
use snncc_ids::{AnnNodeId, IdVec, NodeId};
use snncc_ir::ann::shapes::broadcast_indices;
use snncc_ir::ann::{Ann, AnnConvolution, AnnConvolutionTranspose, AnnLinear, AnnOp, AnnPool, AnnTensor, PoolFunction};
use snncc_ir::network::{
    Affine, Convolution, Matrix, Neuron, NeuronModel, Node, Padding, Pool, PoolKind, SynapseDelay,
};
use snncc_ir::{Network, Param, Tensor};

/// Most entries of a sparse map that stands for an operator without compact form.
const MAX_LISTED: usize = 1 << 26;

pub(super) struct Emitter<'a> {
    ann: &'a Ann,
    readers: IdVec<AnnNodeId, u32>,
    values: Vec<Value>,
    network: Network,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(ann: &'a Ann, dt_s: Option<f64>) -> Self {
        Self { ann, readers: ann.reader_counts(), values: Vec::new(), network: Network { dt_s, ..Network::default() } }
    }

    pub(super) fn ann(&self) -> &'a Ann {
        self.ann
    }

    pub(super) fn finish(self) -> Network {
        self.network
    }

    /// Name of the population of a rectifier: that of its layer with separators that commands can quote.
    pub(super) fn population_name(&self, id: AnnNodeId) -> String {
        self.ann.nodes()[id].name.trim_matches('/').replace('/', ".")
    }

    /// An input whose values from `range` the coding maps to 0 to 1.
    pub(super) fn input(&mut self, id: AnnNodeId, range: (f64, f64)) {
        let node = &self.ann.nodes()[id];
        let name = self.population_name(id);
        let port = self.push(&name, Node::Input { shape: node.shape.clone() }, &[]);
        let len: usize = node.shape.iter().product();
        let mut value = Value::of_node(port, &node.shape, self.readers[id] == 1).weighed(&vec![range.1 - range.0; len]);
        if range.0 != 0.0 {
            value = self.shifted(&format!("{name}.range"), value, &vec![range.0; len]);
        }
        self.store(id, value);
    }

    /// A layer that passes the value of another one; what it does is added by the caller.
    pub(super) fn pass(&mut self, id: AnnNodeId, from: AnnNodeId) {
        let value = self.read(from);
        self.store(id, value);
    }

    /// A value for a layer that failed, so that the others can be tried.
    pub(super) fn placeholder(&mut self, id: AnnNodeId) {
        let shape = self.ann.nodes()[id].shape.clone();
        self.values.truncate(id.0 as usize);
        self.store(id, Value { terms: Vec::new(), shape });
    }

    /// The value of a layer, made of nodes that nothing else reads if this is its only reader.
    fn read(&self, id: AnnNodeId) -> Value {
        let value = self.values[id.0 as usize].clone();
        if self.readers[id] == 1 { value } else { value.shared() }
    }

    fn store(&mut self, id: AnnNodeId, value: Value) {
        debug_assert_eq!(self.values.len(), id.0 as usize);
        self.values.push(value);
    }

    /// A linear layer.
    ///
    /// # Errors
    /// Why it has no linear form.
    pub(super) fn linear(&mut self, id: AnnNodeId) -> Result<(), String> {
        let node = &self.ann.nodes()[id];
        let name = self.population_name(id);
        let x = node.inputs.first().map(|input| self.read(*input)).ok_or("it has no input")?;
        let from = x.shape.clone();
        let shape = &node.shape[..];
        let value = match &node.op {
            AnnOp::Linear(linear) => self.fully_connected(&name, linear, x, shape)?,
            AnnOp::Convolution(convolution) => self.convolution(&name, convolution, x, shape)?,
            AnnOp::ConvolutionTranspose(transpose) => self.transposed(&name, transpose, x, shape)?,
            AnnOp::ScaleShift { scale, shift } => {
                let of = |tensor: &AnnTensor| -> Vec<f64> {
                    broadcast_indices(&tensor.shape, shape).map(|at| tensor.get(at).into()).collect()
                };
                let value = match scale {
                    Some(scale) => x.weighed(&of(scale)),
                    None => x,
                };
                match shift {
                    Some(shift) => self.shifted(&name, value, &of(shift)),
                    None => value,
                }
            }
            AnnOp::Pool(pool) if pool.function == PoolFunction::Maximum => self.gated_pool(&name, pool, x, shape)?,
            AnnOp::Pool(pool) => self.pool(&name, pool, x, shape)?,
            AnnOp::GlobalPool(PoolFunction::Average) => {
                let pool = AnnPool {
                    function: PoolFunction::Average,
                    kernel: from[1..].to_vec(),
                    stride: vec![1; from.len() - 1],
                    padding: vec![(0, 0); from.len() - 1],
                    dilation: vec![1; from.len() - 1],
                    counted_after: None,
                };
                self.pool(&name, &pool, x, shape)?
            }
            AnnOp::Reshape => x.reshaped(shape),
            AnnOp::Identity => x,
            AnnOp::Transpose { permutation } => x.gathered(
                &gather(shape, &from, |at, there| {
                    permutation.iter().zip(at).for_each(|(d, at)| there[*d] = *at);
                    true
                }),
                shape,
            ),
            AnnOp::Slice { starts, steps } => x.gathered(
                &gather(shape, &from, |at, there| {
                    (0..at.len()).for_each(|d| there[d] = starts[d] + at[d] * steps[d]);
                    true
                }),
                shape,
            ),
            AnnOp::Resample { indices } => x.gathered(
                &gather(shape, &from, |at, there| {
                    (0..at.len()).for_each(|d| there[d] = indices[d][at[d]]);
                    true
                }),
                shape,
            ),
            AnnOp::Pad { before, value: 0.0, .. } => x.gathered(
                &gather(shape, &from, |at, there| {
                    (0..at.len()).for_each(|d| there[d] = at[d].wrapping_sub(before[d]));
                    (0..at.len()).all(|d| there[d] < from[d])
                }),
                shape,
            ),
            AnnOp::Sum { coefficients } => {
                let mut terms = Vec::new();
                for (input, coefficient) in node.inputs.iter().zip(coefficients) {
                    let len = shape.iter().product();
                    terms.extend(self.read(*input).weighed(&vec![f64::from(*coefficient); len]).terms);
                }
                Value { terms, shape: shape.to_vec() }
            }
            AnnOp::Concat { axis } => {
                let mut terms = Vec::new();
                let mut first = 0;
                for input in &node.inputs {
                    let part = self.read(*input);
                    let length = part.shape[*axis];
                    let source = gather(shape, &part.shape, |at, there| {
                        there.copy_from_slice(at);
                        there[*axis] = at[*axis].wrapping_sub(first);
                        there[*axis] < length
                    });
                    terms.extend(part.gathered(&source, shape).terms);
                    first += length;
                }
                Value { terms, shape: shape.to_vec() }
            }
            other => return Err(format!("{} is neither linear nor a rectifier", describe(other))),
        };
        self.store(id, value);
        Ok(())
    }

    /// Nodes whose sum is the value of `id` times `factors`.
    pub(super) fn weighed(&mut self, id: AnnNodeId, factors: &[f64]) -> Vec<NodeId> {
        let name = self.population_name(id);
        let value = self.values[id.0 as usize].weighed(factors);
        self.nodes_of(&name, value)
    }

    /// Adds a bias per channel to the value of `id`, which only the caller reads.
    pub(super) fn add_bias(&mut self, id: AnnNodeId, by_channel: &[f64]) {
        let value = self.values[id.0 as usize].clone();
        let plane = value.shape.iter().product::<usize>() / by_channel.len();
        let name = format!("{}.correction", self.population_name(id));
        let value = self.shifted(&name, value, &super::spread(by_channel, plane));
        self.values[id.0 as usize] = value;
    }

    /// Neurons that do not spike: they add up a value, or pass it through a lowpass filter.
    pub(super) fn silent_neurons(&mut self, id: AnnNodeId, name: &str, tau_s: Option<f64>) -> NodeId {
        let value = self.read(id);
        let shape = value.shape.clone();
        let sources = self.nodes_of(&format!("{name}.input"), value);
        let mut neuron = Neuron::new(if tau_s.is_some() { NeuronModel::Li } else { NeuronModel::I });
        if let Some(tau_s) = tau_s {
            let dt_s = self.network.dt_s.expect("bug in snncc: filters need a time step");
            neuron.tau_mem_s = Param::Uniform(super::discrete_tau_s(tau_s, dt_s));
        }
        neuron.shape = Some(shape);
        self.push(name, Node::Neuron(neuron), &sources)
    }

    /// An output port.
    pub(super) fn output(&mut self, name: &str, source: NodeId, id: AnnNodeId) {
        let shape = self.ann.nodes()[id].shape.clone();
        self.push(name, Node::Output { shape }, &[source]);
    }

    /// Spiking neurons; the value of `id` becomes their spikes times `scales`, one per element.
    pub(super) fn neurons(
        &mut self,
        id: AnnNodeId,
        name: &str,
        node: Node,
        sources: &[NodeId],
        scales: &[f64],
    ) -> NodeId {
        let shape = self.ann.nodes()[id].shape.clone();
        let population = self.push(name, node, sources);
        self.values[id.0 as usize] = Value::of_node(population, &shape, true).weighed(scales);
        population
    }

    /// Lowpass filters in a row, as leaky integrators that do not spike, behind the sum of `input`; returns the last.
    pub(super) fn filter_chain(&mut self, name: &str, input: &[NodeId], taus_s: &[f64], shape: &[usize]) -> NodeId {
        let dt_s = self.network.dt_s.expect("bug in snncc: filters need a time step");
        let mut sources = input.to_vec();
        for (number, tau_s) in taus_s.iter().enumerate() {
            let mut neuron = Neuron::new(NeuronModel::Li);
            neuron.shape = Some(shape.to_vec());
            neuron.tau_mem_s = Param::Uniform(super::discrete_tau_s(*tau_s, dt_s));
            sources = vec![self.push(&format!("{name}.filter{}", number + 1), Node::Neuron(neuron), &sources)];
        }
        sources[0]
    }

    /// Name of a node: the one asked for, or that with a number.
    pub(super) fn name_of(&self, node: NodeId) -> String {
        self.network.nodes[node].name.clone()
    }

    fn push(&mut self, name: &str, node: Node, sources: &[NodeId]) -> NodeId {
        super::push(&mut self.network, name, node, sources)
    }

    /// One node per term, of the value's shape.
    fn nodes_of(&mut self, name: &str, value: Value) -> Vec<NodeId> {
        value.terms.into_iter().map(|term| self.node_of(name, term, &value.shape)).collect()
    }

    /// A node of `shape` whose output is the term.
    fn node_of(&mut self, name: &str, term: Term, shape: &[usize]) -> NodeId {
        let Term { node, node_shape, source, factors, exclusive } = term;
        match source {
            None => {
                let weighed = match factors {
                    None => node,
                    Some(factors) if exclusive && self.fold(node, &node_shape, &factors) => node,
                    Some(factors) => {
                        let scale = match factors.iter().all(|factor| *factor == factors[0]) {
                            true => Tensor::vector(vec![factors[0]]),
                            false => Tensor::new(node_shape.clone(), factors),
                        };
                        self.push(&format!("{name}.scale"), Node::Scale { scale }, &[node])
                    }
                };
                self.reshape(name, weighed, &node_shape, shape)
            }
            Some(source) => {
                let factors = factors.unwrap_or_else(|| vec![1.0; source.len()]);
                let channels = channel_map(&source, &node_shape, shape).zip(by_channel(&factors, shape));
                if let Some((channels, factors)) = channels.filter(|_| (2..=3).contains(&shape.len())) {
                    let (outputs, inputs) = (shape[0], node_shape[0]);
                    let mut weight = vec![0.0; outputs * inputs];
                    for (output, (channel, factor)) in channels.iter().zip(factors).enumerate() {
                        if let Some(input) = channel {
                            weight[output * inputs + input] = factor;
                        }
                    }
                    let dimensions = shape.len() - 1;
                    let kernel = vec![1; dimensions];
                    let weight = Tensor::new([&[outputs, inputs], &kernel[..]].concat(), weight);
                    let convolution = plain_convolution(weight, None, 1);
                    return self.push(&format!("{name}.channels"), Node::Convolution(convolution), &[node]);
                }
                let len = node_shape.iter().product();
                let flat = self.reshape(name, node, &node_shape, &[len]);
                let entries = source.iter().zip(&factors).enumerate().filter(|(_, (from, _))| **from != ZERO);
                let (mut rows, mut columns, mut values) = (Vec::new(), Vec::new(), Vec::new());
                for (row, (from, factor)) in entries {
                    rows.push(row as u32);
                    columns.push(*from);
                    values.push(*factor);
                }
                let weight = Matrix::Sparse { shape: (source.len(), len), rows, columns, values };
                let affine = Affine { weight, bias: None, delay: SynapseDelay::None };
                let moved = self.push(&format!("{name}.elements"), Node::Affine(affine), &[flat]);
                self.reshape(name, moved, &[source.len()], shape)
            }
        }
    }

    fn reshape(&mut self, name: &str, node: NodeId, from: &[usize], to: &[usize]) -> NodeId {
        match to {
            _ if from == to => node,
            [_] => self.push(&format!("{name}.flat"), Node::Flatten { start_dim: 0, end_dim: -1 }, &[node]),
            _ => self.push(&format!("{name}.shape"), Node::Reshape { shape: to.to_vec() }, &[node]),
        }
    }

    /// Multiplies the rows of a linear node with `factors`; `false` if it has no rows to multiply.
    fn fold(&mut self, node: NodeId, shape: &[usize], factors: &[f64]) -> bool {
        match &mut self.network.nodes[node].node {
            Node::Affine(Affine { weight: Matrix::Dense(weight), bias, .. }) => {
                scale_rows(weight, factors);
                bias.iter_mut().for_each(|bias| scale_rows(bias, factors));
                true
            }
            Node::Convolution(convolution) => {
                let Some(factors) = by_channel(factors, shape) else { return false };
                scale_rows(&mut convolution.weight, &factors);
                convolution.bias.iter_mut().for_each(|bias| scale_rows(bias, &factors));
                true
            }
            _ => false,
        }
    }

    /// `value + shift`, as the bias of a linear node that is there, or of a new one.
    fn shifted(&mut self, name: &str, mut value: Value, shift: &[f64]) -> Value {
        for term in &mut value.terms {
            if !term.exclusive || term.source.is_some() {
                continue;
            }
            if let Some(factors) = &term.factors {
                if !self.fold(term.node, &term.node_shape, factors) {
                    continue;
                }
                term.factors = None;
            }
            if self.fold_shift(term.node, &term.node_shape, shift) {
                return value;
            }
        }
        let shape = value.shape.clone();
        let len: usize = shape.iter().product();
        let channels = by_channel(shift, &shape).filter(|_| (2..=3).contains(&shape.len()));
        let sources = self.nodes_of(name, value);
        let node = match channels {
            Some(bias) => {
                let weight = Tensor::new([&[shape[0], 1], &vec![1; shape.len() - 1][..]].concat(), vec![1.0; shape[0]]);
                self.push(name, Node::Convolution(plain_convolution(weight, Some(bias), shape[0])), &sources)
            }
            None => {
                let flat: Vec<NodeId> = sources.iter().map(|node| self.reshape(name, *node, &shape, &[len])).collect();
                let all: Vec<u32> = (0..len as u32).collect();
                let weight =
                    Matrix::Sparse { shape: (len, len), rows: all.clone(), columns: all, values: vec![1.0; len] };
                let bias = Some(Tensor::vector(shift.to_vec()));
                let affine = Affine { weight, bias, delay: SynapseDelay::None };
                let node = self.push(name, Node::Affine(affine), &flat);
                self.reshape(name, node, &[len], &shape)
            }
        };
        Value::of_node(node, &shape, true)
    }

    fn fold_shift(&mut self, node: NodeId, shape: &[usize], shift: &[f64]) -> bool {
        let (bias, shift) = match &mut self.network.nodes[node].node {
            Node::Affine(Affine { weight: Matrix::Dense(_), bias, .. }) => (bias, shift.to_vec()),
            Node::Convolution(convolution) => match by_channel(shift, shape) {
                Some(shift) => (&mut convolution.bias, shift),
                None => return false,
            },
            _ => return false,
        };
        match bias {
            Some(bias) => bias.data.iter_mut().zip(&shift).for_each(|(bias, shift)| *bias += shift),
            None => *bias = Some(Tensor::vector(shift)),
        }
        true
    }

    fn fully_connected(&mut self, name: &str, linear: &AnnLinear, x: Value, shape: &[usize]) -> Result<Value, String> {
        let (outputs, inputs) = (linear.weight.shape[0], linear.weight.shape[1]);
        let positions = x.shape.iter().product::<usize>() / inputs;
        if positions > 1 {
            let entries = (0..positions).flat_map(|position| {
                (0..outputs).flat_map(move |output| {
                    (0..inputs).map(move |input| {
                        let weight = f64::from(linear.weight.get(output * inputs + input));
                        (position * outputs + output, position * inputs + input, weight)
                    })
                })
            });
            let bias =
                linear.bias.as_ref().map(|bias| bias.iter().map(f64::from).collect::<Vec<_>>().repeat(positions));
            return self.listed(name, x, shape, entries, positions * outputs * inputs, bias);
        }
        let mut bias = linear.bias.as_ref().map(AnnTensor::to_tensor);
        let mut terms = Vec::new();
        for term in x.terms {
            let columns: usize = term.node_shape.iter().product();
            let node = self.reshape(name, term.node, &term.node_shape, &[columns]);
            let mut weight = vec![0.0; outputs * columns];
            for input in 0..inputs {
                let column = term.source.as_ref().map_or(input as u32, |source| source[input]);
                let factor = term.factors.as_ref().map_or(1.0, |factors| factors[input]);
                if column != ZERO {
                    for output in 0..outputs {
                        weight[output * columns + column as usize] +=
                            factor * f64::from(linear.weight.get(output * inputs + input));
                    }
                }
            }
            let weight = Matrix::Dense(Tensor::new(vec![outputs, columns], weight));
            let affine = Affine { weight, bias: bias.take(), delay: SynapseDelay::None };
            let node = self.push(name, Node::Affine(affine), &[node]);
            terms.extend(Value::of_node(node, &[outputs], true).terms);
        }
        Ok(Value { terms, shape: shape.to_vec() })
    }

    fn convolution(&mut self, name: &str, layer: &AnnConvolution, x: Value, shape: &[usize]) -> Result<Value, String> {
        let per_group = layer.weight.shape[1];
        let per_group_out = layer.weight.shape[0] / layer.groups;
        let mut bias = layer.bias.as_ref().map(|bias| bias.iter().map(f64::from).collect::<Vec<_>>());
        let mut terms = Vec::new();
        for term in x.terms {
            let factors = match &term.factors {
                None => Some(vec![1.0; x.shape[0]]),
                Some(factors) => by_channel(factors, &x.shape),
            };
            let channels = match &term.source {
                None => (term.node_shape == x.shape).then(|| (0..x.shape[0]).map(Some).collect::<Vec<_>>()),
                Some(source) => channel_map(source, &term.node_shape, &x.shape).filter(|_| layer.groups == 1),
            };
            let weight = layer.weight.to_tensor();
            let (node, weight) = match (factors, channels) {
                (Some(factors), Some(channels)) => {
                    let inputs = if layer.groups == 1 { term.node_shape[0] } else { per_group };
                    let area: usize = weight.shape[2..].iter().product();
                    let mut moved = vec![0.0; weight.shape[0] * inputs * area];
                    for (slot, kernel) in weight.data.chunks_exact(area).enumerate() {
                        let (output, input) = (slot / per_group, slot % per_group);
                        let channel = output / per_group_out * per_group + input;
                        let Some(from) = channels[channel] else { continue };
                        let at = output * inputs + if layer.groups == 1 { from } else { input };
                        let target = &mut moved[at * area..(at + 1) * area];
                        target.iter_mut().zip(kernel).for_each(|(to, weight)| *to += factors[channel] * weight);
                    }
                    let shape = [&[weight.shape[0], inputs], &weight.shape[2..]].concat();
                    (term.node, Tensor::new(shape, moved))
                }
                _ => (self.node_of(name, term, &x.shape), weight),
            };
            let node = self.padded_convolution(name, layer, weight, bias.take(), node);
            terms.extend(Value::of_node(node, shape, true).terms);
        }
        Ok(Value { terms, shape: shape.to_vec() })
    }

    /// A convolution whose padding may differ on both sides: the kernel grows by zeros until it does not.
    fn padded_convolution(
        &mut self,
        name: &str,
        layer: &AnnConvolution,
        weight: Tensor,
        bias: Option<Vec<f64>>,
        mut node: NodeId,
    ) -> NodeId {
        let dimensions = layer.stride.len();
        let mut convolution = plain_convolution(weight, bias, layer.groups);
        convolution.stride = layer.stride.clone();
        convolution.dilation = layer.dilation.clone();
        let grows = |d: usize| {
            let (before, after) = layer.padding[d];
            let side = before.max(after);
            let zeros = ((side - before) / layer.dilation[d], (side - after) / layer.dilation[d]);
            let fits =
                (side - before).is_multiple_of(layer.dilation[d]) && (side - after).is_multiple_of(layer.dilation[d]);
            fits.then_some((side, zeros))
        };
        let plan: Option<Vec<_>> = (0..dimensions).map(grows).collect();
        let plan = plan.unwrap_or_else(|| {
            // Holes between kernel elements: a convolution of its own pads.
            let channels = convolution.weight.shape[1] * layer.groups;
            let weight = Tensor::new([&[channels, 1], &vec![1; dimensions][..]].concat(), vec![1.0; channels]);
            let identity = AnnConvolution {
                weight: AnnTensor::fill(weight.shape.clone(), 1.0),
                bias: None,
                stride: vec![1; dimensions],
                padding: layer.padding.clone(),
                dilation: vec![1; dimensions],
                groups: channels,
            };
            node = self.padded_convolution(&format!("{name}.padding"), &identity, weight, None, node);
            vec![(0, (0, 0)); dimensions]
        });
        convolution.padding = Padding::Explicit(plan.iter().map(|(side, _)| *side).collect());
        let zeros: Vec<(usize, usize)> = plan.iter().map(|(_, zeros)| *zeros).collect();
        convolution.weight = with_zeros(&convolution.weight, &zeros);
        self.push(name, Node::Convolution(convolution), &[node])
    }

    fn pool(&mut self, name: &str, layer: &AnnPool, x: Value, shape: &[usize]) -> Result<Value, String> {
        let padded = layer.padding.iter().any(|(before, after)| before + after > 0);
        if padded && layer.counted_after.is_none() {
            return Err("a mean that leaves padding out is not one convolution".into());
        }
        let dimensions = layer.kernel.len();
        let symmetric = layer.padding.iter().all(|(before, after)| before == after);
        let mut terms = Vec::new();
        for term in x.terms {
            // A factor per channel passes.
            let factors = term.factors.as_deref().map(|factors| by_channel(factors, &x.shape));
            let (term, factors) = match factors {
                Some(Some(factors)) if term.source.is_none() && term.node_shape == x.shape => {
                    (Term { factors: None, ..term }, Some(factors))
                }
                _ => (term, None),
            };
            let node = self.node_of(name, term, &x.shape);
            let node = if dimensions == 2 && symmetric && layer.dilation == [1, 1] {
                let pair = |values: &[usize]| [values[0], values[1]];
                let pool = Pool {
                    kind: PoolKind::Average,
                    kernel: pair(&layer.kernel),
                    stride: pair(&layer.stride),
                    padding: [layer.padding[0].0, layer.padding[1].0],
                };
                self.push(name, Node::Pool(pool), &[node])
            } else {
                let area: usize = layer.kernel.iter().product();
                let weight_shape = [&[x.shape[0], 1], &layer.kernel[..]].concat();
                let weight = Tensor::new(weight_shape.clone(), vec![1.0 / area as f64; x.shape[0] * area]);
                let convolution = AnnConvolution {
                    weight: AnnTensor::fill(weight_shape, 1.0),
                    bias: None,
                    stride: layer.stride.clone(),
                    padding: layer.padding.clone(),
                    dilation: layer.dilation.clone(),
                    groups: x.shape[0],
                };
                self.padded_convolution(name, &convolution, weight, None, node)
            };
            let mut value = Value::of_node(node, shape, true);
            if let Some(factors) = factors {
                let plane = shape[1..].iter().product();
                value = value.weighed(&super::spread(&factors, plane));
            }
            terms.extend(value.terms);
        }
        Ok(Value { terms, shape: shape.to_vec() })
    }

    fn transposed(
        &mut self,
        name: &str,
        layer: &AnnConvolutionTranspose,
        x: Value,
        shape: &[usize],
    ) -> Result<Value, String> {
        let two = |values: &[usize], fill: usize| match values {
            [one] => [fill, *one],
            [first, second] => [*first, *second],
            _ => unreachable!("bug in snncc: shapes were checked"),
        };
        let input = two(&x.shape[1..], 1);
        let output = two(&shape[1..], 1);
        let kernel = two(&layer.weight.shape[2..], 1);
        let (stride, dilation) = (two(&layer.stride, 1), two(&layer.dilation, 1));
        let before = two(&layer.padding.iter().map(|padding| padding.0).collect::<Vec<_>>(), 0);
        let (channels_in, per_group) = (layer.weight.shape[0], layer.weight.shape[1]);
        let inputs_per_group = channels_in / layer.groups;
        let reach = |d: usize, position: usize, element: usize| {
            (position * stride[d] + element * dilation[d]).checked_sub(before[d]).filter(|at| *at < output[d])
        };
        let mut entries = Vec::new();
        for channel in 0..channels_in {
            for (row, column) in (0..input[0]).flat_map(|row| (0..input[1]).map(move |column| (row, column))) {
                let from = (channel * input[0] + row) * input[1] + column;
                for slot in 0..per_group {
                    let target = channel / inputs_per_group * per_group + slot;
                    for (ky, kx) in (0..kernel[0]).flat_map(|ky| (0..kernel[1]).map(move |kx| (ky, kx))) {
                        let (Some(y), Some(z)) = (reach(0, row, ky), reach(1, column, kx)) else { continue };
                        let at = ((channel * per_group + slot) * kernel[0] + ky) * kernel[1] + kx;
                        let to = (target * output[0] + y) * output[1] + z;
                        entries.push((to, from, f64::from(layer.weight.get(at))));
                        if entries.len() > MAX_LISTED {
                            return Err(format!("it would list more than {MAX_LISTED} synapses"));
                        }
                    }
                }
            }
        }
        let plane = output[0] * output[1];
        let bias =
            layer.bias.as_ref().map(|bias| super::spread(&bias.iter().map(f64::from).collect::<Vec<_>>(), plane));
        let count = entries.len();
        self.listed(name, x, shape, entries, count, bias)
    }

    /// A linear map given by its entries (target, source, weight).
    fn listed(
        &mut self,
        name: &str,
        x: Value,
        shape: &[usize],
        entries: impl IntoIterator<Item = (usize, usize, f64)>,
        count: usize,
        bias: Option<Vec<f64>>,
    ) -> Result<Value, String> {
        if count > MAX_LISTED {
            return Err(format!("it would list {count} synapses, more than {MAX_LISTED}"));
        }
        let (targets, sources): (usize, usize) = (shape.iter().product(), x.shape.iter().product());
        let from = x.shape.clone();
        let nodes = self.nodes_of(name, x);
        let flat: Vec<NodeId> = nodes.into_iter().map(|node| self.reshape(name, node, &from, &[sources])).collect();
        let mut sorted: Vec<(usize, usize, f64)> = entries.into_iter().collect();
        sorted.sort_unstable_by_key(|(target, source, _)| (*target, *source));
        let (mut rows, mut columns, mut values): (Vec<u32>, Vec<u32>, Vec<f64>) = (Vec::new(), Vec::new(), Vec::new());
        for (target, source, weight) in sorted {
            if rows.last() == Some(&(target as u32)) && columns.last() == Some(&(source as u32)) {
                *values.last_mut().expect("bug in snncc: parallel lists") += weight;
                continue;
            }
            rows.push(target as u32);
            columns.push(source as u32);
            values.push(weight);
        }
        let weight = Matrix::Sparse { shape: (targets, sources), rows, columns, values };
        let affine = Affine { weight, bias: bias.map(Tensor::vector), delay: SynapseDelay::None };
        let node = self.push(name, Node::Affine(affine), &flat);
        let node = self.reshape(name, node, &[targets], shape);
        Ok(Value::of_node(node, shape, false))
    }
}

fn scale_rows(tensor: &mut Tensor, factors: &[f64]) {
    let row = tensor.len() / factors.len();
    for (values, factor) in tensor.data.chunks_exact_mut(row).zip(factors) {
        values.iter_mut().for_each(|value| *value *= factor);
    }
}

/// A convolution with stride 1 and no padding; as many dimensions as its weight has behind the first two.
fn plain_convolution(weight: Tensor, bias: Option<Vec<f64>>, groups: usize) -> Convolution {
    let dimensions = weight.shape.len() - 2;
    Convolution {
        dimensions: dimensions as u8,
        weight,
        bias: bias.map(Tensor::vector),
        stride: vec![1; dimensions],
        padding: Padding::Explicit(vec![0; dimensions]),
        dilation: vec![1; dimensions],
        groups,
        input_shape: None,
        delay: 0,
    }
}

/// The kernel with zeros before and after, along each dimension.
fn with_zeros(weight: &Tensor, zeros: &[(usize, usize)]) -> Tensor {
    if zeros.iter().all(|zeros| *zeros == (0, 0)) {
        return weight.clone();
    }
    let kernel = &weight.shape[2..];
    let grown: Vec<usize> = kernel.iter().zip(zeros).map(|(length, (before, after))| length + before + after).collect();
    let source = gather(&grown, kernel, |at, there| {
        (0..at.len()).for_each(|d| there[d] = at[d].wrapping_sub(zeros[d].0));
        (0..at.len()).all(|d| there[d] < kernel[d])
    });
    let area: usize = kernel.iter().product();
    let element = |values: &[f64], at: u32| if at == ZERO { 0.0 } else { values[at as usize] };
    let data = weight.data.chunks_exact(area).flat_map(|values| source.iter().map(|at| element(values, *at))).collect();
    Tensor::new([&weight.shape[..2], &grown[..]].concat(), data)
}

fn describe(op: &AnnOp) -> &'static str {
    match op {
        AnnOp::BatchNorm(_) => "batch normalization",
        AnnOp::GlobalPool(_) => "global max pooling",
        AnnOp::Pad { .. } => "padding with a value",
        AnnOp::Product => "a product of values",
        AnnOp::Maximum => "a maximum",
        AnnOp::Softmax { .. } => "softmax",
        AnnOp::LocalResponseNorm { .. } => "local response normalization",
        AnnOp::Unsupported { .. } => "an unknown operator",
        _ => "it",
    }
}
