//! Shapes of single nodes: what a node states, what follows from its input, and whether its tensors fit.

use super::MAX_ELEMENTS;
use crate::ann::Activation;
use crate::graph::ConvolutionGeometry;
use crate::network::{
    Compartments, Convolution, DelayTime, GatedPool, Matrix, Network, Neuron, Node, Padding, Pool, SynapseDelay,
};
use crate::tensor::{Param, Tensor};
use snncc_ids::{Code, Diagnostic, NodeId, code};

/// A problem of one node; `field` is where in the node.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    code: Code,
    field: &'static str,
    message: String,
}

impl Problem {
    fn shape(field: &'static str, message: String) -> Self {
        Self { code: code::SHAPE_MISMATCH, field, message }
    }

    fn parameter(field: &'static str, message: String) -> Self {
        Self { code: code::BAD_PARAMETER, field, message }
    }

    /// As a diagnostic of node `id`.
    pub(super) fn at(self, network: &Network, id: NodeId) -> Diagnostic {
        let name = &network.nodes[id].name;
        let mut item = network.item(id);
        if !self.field.is_empty() {
            item = format!("{item}/{}", self.field);
        }
        Diagnostic::error(self.code, format!("`{name}`: {}", self.message)).at(item)
    }
}

/// Number of elements of a shape; an error for more than [`MAX_ELEMENTS`], or for none.
pub(super) fn checked_len(shape: &[usize]) -> Result<usize, Problem> {
    match shape.iter().try_fold(1_usize, |product, dimension| product.checked_mul(*dimension)) {
        Some(0) => Err(Problem::shape("", format!("shape {shape:?} has no elements"))),
        Some(len) if len <= MAX_ELEMENTS => Ok(len),
        _ => Err(Problem::shape("", format!("shape {shape:?} has more than {MAX_ELEMENTS} elements"))),
    }
}

/// The shape of the input, where the node states it.
pub(super) fn stated_input(node: &Node) -> Option<Vec<usize>> {
    match node {
        Node::Input { shape } | Node::Output { shape } => Some(shape.clone()),
        Node::Neuron(neuron) => neuron.shape.clone(),
        Node::RateNeuron(neuron) => neuron.shape.clone(),
        Node::Threshold(threshold) => threshold.shape.clone(),
        Node::Delay { shape, .. } => shape.clone(),
        Node::Compartments(compartments) => Some(compartments.shape.clone()),
        Node::Convolution(convolution) => {
            let spatial = convolution.input_shape.as_ref()?;
            Some(std::iter::once(channels_in(convolution)?).chain(spatial.iter().copied()).collect())
        }
        _ => None,
    }
}

/// The shape of the input as far as the node's parameters tell; used where nothing else is known.
pub(super) fn implied_input(node: &Node) -> Option<Vec<usize>> {
    match node {
        Node::Affine(affine) => affine.weight.dimensions().map(|(_, inputs)| vec![inputs]),
        Node::Synapses(synapses) => synapses.weight.dimensions().map(|(_, inputs)| vec![inputs]),
        Node::Scale { scale } if scale.len() > 1 => Some(scale.shape.clone()),
        // Only the number of elements: every shape of as many is finer, and is taken where it comes.
        Node::Reshape { shape } => checked_len(shape).ok().map(|len| vec![len]),
        Node::Neuron(neuron) => {
            neuron_params(neuron).iter().find_map(|(_, param)| per_neuron_len(param)).map(|len| vec![len])
        }
        Node::RateNeuron(neuron) => {
            [&neuron.gain, &neuron.initial].into_iter().find_map(per_neuron_len).map(|len| vec![len])
        }
        Node::Threshold(threshold) => per_neuron_len(&threshold.threshold).map(|len| vec![len]),
        Node::Delay { delay: DelayTime::Seconds(delay), .. } => per_neuron_len(delay).map(|len| vec![len]),
        Node::Delay { delay: DelayTime::Steps(delay), .. } => per_neuron_len(delay).map(|len| vec![len]),
        _ => None,
    }
}

/// The input of a node that is fed values of shape `given`: a matrix takes its own number of inputs (the edge is checked
/// later), the others take what comes.
pub(super) fn adapted_input(node: &Node, given: &[usize]) -> Vec<usize> {
    match node {
        Node::Affine(_) | Node::Synapses(_) => implied_input(node).unwrap_or_else(|| given.to_vec()),
        _ => given.to_vec(),
    }
}

/// Whether the number of dimensions of the input means something to the node.
pub(super) fn has_windows(node: &Node) -> bool {
    matches!(node, Node::Convolution(_) | Node::Pool(_) | Node::GatedPool(_))
}

/// The shape of the output for an input of shape `input`.
pub(super) fn output_shape(node: &Node, input: &[usize]) -> Result<Vec<usize>, Problem> {
    match node {
        Node::Affine(affine) => Ok(vec![affine.weight.dimensions().map_or(0, |(outputs, _)| outputs)]),
        Node::Synapses(synapses) => Ok(vec![synapses.weight.dimensions().map_or(0, |(outputs, _)| outputs)]),
        Node::Convolution(convolution) => {
            let geometry = convolution_geometry(convolution, input).map_err(|message| Problem::shape("", message))?;
            let output = geometry.output.map(|d| d as usize);
            Ok(if convolution.dimensions == 1 { vec![output[0], output[2]] } else { output.to_vec() })
        }
        Node::Pool(pool) => {
            let geometry = pool_geometry(pool, input).map_err(|message| Problem::shape("", message))?;
            Ok(geometry.output.map(|d| d as usize).to_vec())
        }
        Node::GatedPool(pool) => {
            let geometry = gated_pool_geometry(pool, input).map_err(|message| Problem::shape("", message))?;
            Ok(geometry.output.map(|d| d as usize).to_vec())
        }
        Node::Flatten { start_dim, end_dim } => flattened(*start_dim, *end_dim, input),
        Node::Reshape { shape } => {
            let (wanted, found) = (checked_len(shape)?, checked_len(input)?);
            if wanted == found {
                return Ok(shape.clone());
            }
            let message = format!("shape {shape:?} has {wanted} elements, its input {input:?} has {found}");
            Err(Problem::shape("shape", message))
        }
        _ => Ok(input.to_vec()),
    }
}

/// Joins dimensions `start ..= end` of `input`. A range that holds fewer than two dimensions joins nothing.
fn flattened(start: i64, end: i64, input: &[usize]) -> Result<Vec<usize>, Problem> {
    let rank = input.len() as i64;
    let from_start = |dimension: i64| if dimension < 0 { dimension.saturating_add(rank) } else { dimension };
    let (first, last) = (from_start(start), from_start(end));
    if first < 0 || last < 0 || first > rank || last > rank {
        let message = format!("dimensions {start} to {end} are not all among those of the input {input:?}");
        return Err(Problem::shape("", message));
    }
    let (first, last) = (first as usize, (last as usize).min(input.len().saturating_sub(1)));
    if first >= last {
        return Ok(input.to_vec());
    }
    let mut shape = input[..first].to_vec();
    shape.push(input[first..=last].iter().product());
    shape.extend_from_slice(&input[last + 1..]);
    Ok(shape)
}

/// Channels that a convolution takes; `None` if that overflows.
fn channels_in(convolution: &Convolution) -> Option<usize> {
    convolution.weight.shape.get(1)?.checked_mul(convolution.groups)
}

/// The geometry of a convolution over an input `(channels, spatial…)`; one dimension becomes a row of height 1.
/// Along each dimension the output has `floor((input + 2·padding − dilation·(kernel − 1) − 1) / stride + 1)` positions.
///
/// # Errors
/// A message if the convolution does not fit the input.
pub fn convolution_geometry(convolution: &Convolution, input: &[usize]) -> Result<ConvolutionGeometry, String> {
    let dimensions = usize::from(convolution.dimensions);
    let &[channels_out, per_group, ref kernel @ ..] = &convolution.weight.shape[..] else {
        return Err(format!("weights of shape {:?} are no convolution", convolution.weight.shape));
    };
    let channels = channels_in(convolution).unwrap_or(usize::MAX);
    // Leading dimensions of length 1 are not counted, and a single channel need not be.
    let with_channel: Vec<usize>;
    let extra = input.len().saturating_sub(dimensions + 1);
    let shape = if input.len() == dimensions && channels == 1 {
        with_channel = std::iter::once(1).chain(input.iter().copied()).collect();
        &with_channel
    } else if input[..extra].iter().all(|d| *d == 1) {
        &input[extra..]
    } else {
        input
    };
    if shape.len() != dimensions + 1 || shape[0] != channels {
        let spatial = if dimensions == 1 { "length" } else { "height, width" };
        return Err(format!(
            "expects an input of shape [{channels}, {spatial}] ({per_group} channels in each of {} groups), found {input:?}",
            convolution.groups
        ));
    }
    let mut axes = Vec::with_capacity(2);
    if dimensions == 1 {
        axes.push(Axis { output: 1, kernel: 1, stride: 1, padding: 0, dilation: 1, input: 1 });
    }
    for d in 0..dimensions {
        let (stride, dilation) = (convolution.stride[d], convolution.dilation[d]);
        let extent = dilation * (kernel[d] - 1);
        let (before, after) = match &convolution.padding {
            Padding::Explicit(padding) => (padding[d], padding[d]),
            Padding::Valid => (0, 0),
            Padding::Same => (extent / 2, extent - extent / 2),
        };
        axes.push(Axis::new(shape[d + 1], kernel[d], stride, (before, after), dilation)?);
    }
    geometry([channels, channels_out], [axes[0], axes[1]], convolution.groups)
}

/// The geometry of a pool over an input `(channels, height, width)`: a convolution with one group per channel.
///
/// # Errors
/// A message if the pool does not fit the input.
pub fn pool_geometry(pool: &Pool, input: &[usize]) -> Result<ConvolutionGeometry, String> {
    window_geometry(pool.kernel, pool.stride, pool.padding, input)
}

/// As [`pool_geometry`], of a gated one.
///
/// # Errors
/// As [`pool_geometry`].
pub fn gated_pool_geometry(pool: &GatedPool, input: &[usize]) -> Result<ConvolutionGeometry, String> {
    window_geometry(pool.kernel, pool.stride, pool.padding, input)
}

fn window_geometry(
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    input: &[usize],
) -> Result<ConvolutionGeometry, String> {
    let extra = input.len().saturating_sub(3);
    let shape = if input[..extra].iter().all(|d| *d == 1) { &input[extra..] } else { input };
    let &[channels, height, width] = shape else {
        return Err(format!("expects an input of shape [channels, height, width], found {input:?}"));
    };
    let axis = |d: usize, len: usize| Axis::new(len, kernel[d], stride[d], (padding[d], padding[d]), 1);
    geometry([channels, channels], [axis(0, height)?, axis(1, width)?], channels)
}

#[derive(Clone, Copy)]
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
}

impl Axis {
    fn new(
        input: usize,
        kernel: usize,
        stride: usize,
        (before, after): (usize, usize),
        dilation: usize,
    ) -> Result<Self, String> {
        let padded = input + before + after;
        let window = dilation * (kernel - 1) + 1;
        if window > padded {
            return Err(format!(
                "a window of {window} does not fit an input of {input} with {before} + {after} elements of padding"
            ));
        }
        let output = (padded - window) / stride + 1;
        Ok(Self { input, output, kernel, stride, padding: before, dilation })
    }
}

fn geometry(channels: [usize; 2], axes: [Axis; 2], groups: usize) -> Result<ConvolutionGeometry, String> {
    let small = |value: usize| u32::try_from(value).map_err(|_| format!("{value} is too large for a dimension"));
    let pair = |f: fn(&Axis) -> usize| Ok::<_, String>([small(f(&axes[0]))?, small(f(&axes[1]))?]);
    let (input, output) = (pair(|a| a.input)?, pair(|a| a.output)?);
    Ok(ConvolutionGeometry {
        input: [small(channels[0])?, input[0], input[1]],
        output: [small(channels[1])?, output[0], output[1]],
        kernel: pair(|a| a.kernel)?,
        stride: pair(|a| a.stride)?,
        padding: pair(|a| a.padding)?,
        dilation: pair(|a| a.dilation)?,
        groups: small(groups)?,
    })
}

/// Checks what can be checked without knowing the input.
pub(super) fn check_structure(node: &Node) -> Result<(), Problem> {
    match node {
        Node::Affine(affine) => {
            let (outputs, _) = check_matrix(&affine.weight, &affine.delay)?;
            check_bias(affine.bias.as_ref(), outputs)
        }
        Node::Synapses(synapses) => check_matrix(&synapses.weight, &synapses.delay).map(|_| ()),
        Node::Reshape { shape } => {
            checked_len(shape).map(|_| ()).map_err(|problem| Problem { field: "shape", ..problem })
        }
        Node::Convolution(convolution) => check_convolution(convolution),
        Node::Pool(pool) => {
            check_window("kernel", &pool.kernel, 1)?;
            check_window("stride", &pool.stride, 1)?;
            check_window("padding", &pool.padding, 0)
        }
        Node::GatedPool(pool) => {
            check_window("kernel", &pool.kernel, 1)?;
            check_window("stride", &pool.stride, 1)?;
            match pool.kernel.iter().zip(&pool.padding).find(|(kernel, padding)| padding >= kernel) {
                Some((kernel, padding)) => {
                    let message = format!("padding of {padding} leaves windows of {kernel} nothing but padding");
                    Err(Problem::parameter("padding", message))
                }
                None => Ok(()),
            }
        }
        Node::RateNeuron(neuron) => match &neuron.function {
            Activation::PRelu { .. } => {
                Err(Problem::parameter("function", "PReLU has slopes of its own for each element".into()))
            }
            Activation::SoftLif(soft) => {
                soft.checked().map(|_| ()).map_err(|message| Problem::parameter("function", message))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn check_bias(bias: Option<&Tensor>, outputs: usize) -> Result<(), Problem> {
    match bias {
        Some(bias) if bias.len() != outputs => {
            Err(Problem::shape("bias", format!("{outputs} biases expected, one per output; found {}", bias.len())))
        }
        _ => Ok(()),
    }
}

fn check_matrix<T>(matrix: &Matrix<T>, delay: &SynapseDelay) -> Result<(usize, usize), Problem> {
    let Some((outputs, inputs)) = matrix.dimensions() else {
        let Matrix::Dense(tensor) = matrix else { unreachable!("bug in snncc: sparse matrices have dimensions") };
        let message = format!("weights must have shape [outputs, inputs], found {:?}", tensor.shape);
        return Err(Problem::shape("weight", message));
    };
    checked_len(&[outputs])?;
    checked_len(&[inputs])?;
    if let Matrix::Sparse { rows, columns, values, .. } = matrix {
        if rows.len() != values.len() || columns.len() != values.len() {
            let message = format!(
                "{} rows, {} columns and {} values; there must be as many of each",
                rows.len(),
                columns.len(),
                values.len()
            );
            return Err(Problem::shape("weight", message));
        }
        let outside = |(row, column): (&u32, &u32)| *row as usize >= outputs || *column as usize >= inputs;
        if let Some(at) = rows.iter().zip(columns).position(outside) {
            let message =
                format!("entry {at} is at ({}, {}), outside the matrix [{outputs}, {inputs}]", rows[at], columns[at]);
            return Err(Problem::parameter("weight", message));
        }
        let mut places: Vec<(u32, u32)> = columns.iter().copied().zip(rows.iter().copied()).collect();
        places.sort_unstable();
        if let Some(twice) = places.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!("the weight at ({}, {}) is given twice", twice[0].1, twice[0].0);
            return Err(Problem::parameter("weight", message));
        }
    }
    match delay {
        SynapseDelay::PerSynapse(delays) if delays.len() != matrix.len() => {
            let message = format!("{} delays for {} weights", delays.len(), matrix.len());
            Err(Problem::shape("delay", message))
        }
        _ => Ok((outputs, inputs)),
    }
}

fn check_window(field: &'static str, values: &[usize], least: usize) -> Result<(), Problem> {
    match values.iter().find(|value| **value < least || **value > MAX_ELEMENTS) {
        Some(value) => Err(Problem::parameter(field, format!("{value} is outside {least} to {MAX_ELEMENTS}"))),
        None => Ok(()),
    }
}

fn check_convolution(convolution: &Convolution) -> Result<(), Problem> {
    let dimensions = usize::from(convolution.dimensions);
    if !(1..=2).contains(&dimensions) {
        return Err(Problem::parameter("", format!("convolutions over {dimensions} dimensions do not exist here")));
    }
    let shape = &convolution.weight.shape;
    if shape.len() != dimensions + 2 {
        let message = format!(
            "weights of a convolution over {dimensions} dimension(s) have {} dimensions, found {shape:?}",
            dimensions + 2
        );
        return Err(Problem::shape("weight", message));
    }
    checked_len(shape).map_err(|problem| Problem { field: "weight", ..problem })?;
    if convolution.groups == 0 || !shape[0].is_multiple_of(convolution.groups) {
        let message = format!("{} output channels cannot be split into {} groups", shape[0], convolution.groups);
        return Err(Problem::parameter("groups", message));
    }
    if let Some(input_shape) = &convolution.input_shape
        && input_shape.len() != dimensions
    {
        let message = format!("{dimensions} spatial dimension(s) expected, found {input_shape:?}");
        return Err(Problem::shape("input_shape", message));
    }
    let fields = [("stride", Some(&convolution.stride), 1), ("dilation", Some(&convolution.dilation), 1)];
    let padding = match &convolution.padding {
        Padding::Explicit(padding) => Some(padding),
        _ => None,
    };
    for (field, values, least) in fields.into_iter().chain([("padding", padding, 0)]) {
        let Some(values) = values else { continue };
        if values.len() != dimensions {
            let message = format!("{dimensions} value(s) expected, one per dimension; found {values:?}");
            return Err(Problem::shape(field, message));
        }
        check_window(field, values, least)?;
    }
    if convolution.padding == Padding::Same && convolution.stride.iter().any(|stride| *stride != 1) {
        let message = format!("padding \"same\" needs stride 1, found {:?}", convolution.stride);
        return Err(Problem::parameter("padding", message));
    }
    check_bias(convolution.bias.as_ref(), shape[0])
}

/// Checks that parameters with one value per element have `len` of them.
pub(super) fn check_parameters(node: &Node, len: usize) -> Result<(), Problem> {
    match node {
        Node::Scale { scale } if scale.len() != 1 && scale.len() != len => {
            Err(Problem::shape("scale", format!("{len} factors expected, or a single one; found {}", scale.len())))
        }
        Node::RateNeuron(neuron) => {
            check_param("gain", &neuron.gain, len)?;
            check_param("initial", &neuron.initial, len)
        }
        Node::Threshold(threshold) => check_param("threshold", &threshold.threshold, len),
        Node::Delay { delay: DelayTime::Seconds(delay), .. } => check_param("delay", delay, len),
        Node::Delay { delay: DelayTime::Steps(delay), .. } => check_param("delay", delay, len),
        Node::Neuron(neuron) => {
            check_param("refractory_steps", &neuron.refractory_steps, len)?;
            neuron_params(neuron).into_iter().try_for_each(|(field, param)| check_param(field, param, len))
        }
        Node::Compartments(compartments) => {
            compartment_params(compartments).into_iter().try_for_each(|(field, param)| check_param(field, param, len))
        }
        _ => Ok(()),
    }
}

fn check_param<T: Copy>(field: &'static str, param: &Param<T>, len: usize) -> Result<(), Problem> {
    if param.fits(len) {
        return Ok(());
    }
    let found = param.values().len();
    Err(Problem::shape(field, format!("{len} values expected, one per neuron, or a single one; found {found}")))
}

fn per_neuron_len<T>(param: &Param<T>) -> Option<usize> {
    match param {
        Param::PerNeuron(values) => Some(values.len()),
        Param::Uniform(_) => None,
    }
}

/// The parameters of a neuron group that its model uses, by name. LI and LIF call their time constant `tau`, as NIR does.
pub(crate) fn neuron_params(neuron: &Neuron) -> Vec<(&'static str, &Param)> {
    let model = neuron.model;
    let mut params = vec![("r", &neuron.r), ("v_initial", &neuron.v_initial)];
    if model.leaks() {
        params.push((if model.filters() { "tau_mem" } else { "tau" }, &neuron.tau_mem_s));
        params.push(("v_leak", &neuron.v_leak));
    }
    if model.filters() {
        params.extend([("tau_syn", &neuron.tau_syn_s), ("w_in", &neuron.w_in), ("i_initial", &neuron.i_initial)]);
    }
    if model.spikes() {
        params.extend([("v_threshold", &neuron.v_threshold), ("v_reset", &neuron.v_reset)]);
    }
    params
}

fn compartment_params(compartments: &Compartments) -> [(&'static str, &Param<i64>); 8] {
    let c = compartments;
    [
        ("decay_u", &c.decay_u),
        ("decay_v", &c.decay_v),
        ("threshold_mantissa", &c.threshold_mantissa),
        ("bias_mantissa", &c.bias_mantissa),
        ("bias_exponent", &c.bias_exponent),
        ("refractory", &c.refractory),
        ("u_initial", &c.u_initial),
        ("v_initial", &c.v_initial),
    ]
}
