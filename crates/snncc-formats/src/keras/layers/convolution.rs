//! Dense and convolutional layers.

use super::{Context, Made};
use crate::keras::config::Failure;
use crate::keras::values::{Layout, Value, last_first, permute, unpermuted};
use snncc_ir::ann::{AnnConvolution, AnnConvolutionTranspose, AnnLinear, AnnOp, AnnTensor};

/// `y = x W + b` over the last dimension, with `W` of shape `(inputs, outputs)`. Over the channels of an image it is a
/// convolution with kernels of one element; behind a Flatten its columns go where the values are.
pub(super) fn dense(context: &mut Context<'_, '_>, value: &Value) -> Result<Made, Failure> {
    let (mut kernels, bias) = context.kernels_and_bias(1)?;
    let kernel = kernels.remove(0);
    let [inputs, outputs] = kernel.shape[..] else {
        return Err(Failure::Bad(format!("its kernel has the shape {:?}, two dimensions are needed", kernel.shape)));
    };
    let rank = value.shape.len();
    if value.shape.last() != Some(&inputs) {
        return Err(Failure::Bad(format!(
            "its kernel of shape {:?} needs {inputs} values, its input is of shape {:?}",
            kernel.shape, value.shape
        )));
    }
    let name = context.name().to_owned();
    let weight = match &value.layout {
        Layout::Axes(_) => permute(&kernel, &[1, 0]),
        Layout::Order(order) => {
            let values = kernel.to_values();
            let columns = |row: usize| order.iter().map(move |index| *index as usize * outputs + row);
            let weight: Vec<f32> = (0..outputs).flat_map(|row| columns(row).map(|index| values[index])).collect();
            AnnTensor::new(vec![outputs, inputs], weight)
        }
    };
    let mut shape = value.shape.clone();
    shape[rank - 1] = outputs;
    let last_is_last = value.axes().last() == Some(&(rank - 1));
    let (node, axes) = if last_is_last || rank > 3 {
        let value = match last_is_last {
            true => value.clone(),
            false => context.builder.in_keras_order(value, &name)?,
        };
        let axes = value.axes();
        (context.builder.push(&name, AnnOp::Linear(AnnLinear { weight, bias }), vec![value.node], None)?, axes)
    } else {
        let axes = last_first(rank);
        let value = context.builder.arrange(value, &axes, &name)?;
        let ones = vec![1; rank - 1];
        let convolution = AnnConvolution {
            weight: weight.reshaped([&[outputs, inputs], &ones[..]].concat()),
            bias,
            stride: ones.clone(),
            padding: vec![(0, 0); rank - 1],
            dilation: ones,
            groups: 1,
        };
        (context.builder.push(&name, AnnOp::Convolution(convolution), vec![value.node], None)?, axes)
    };
    context.activated(value.made(node, shape, axes), node)
}

/// Settings that convolutions share.
struct Window {
    stride: Vec<usize>,
    dilation: Vec<usize>,
    padding: Padding,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Padding {
    Valid,
    /// As many outputs as strides fit into the input; what is missing is added half before and half, rounded up, after.
    Same,
    /// All before, so that no output depends on later inputs.
    Causal,
}

/// The padding of a layer by its name.
pub(super) fn padding_of(context: &Context<'_, '_>) -> Result<Padding, Failure> {
    match context.layer.config.text("padding").unwrap_or("valid") {
        "valid" => Ok(Padding::Valid),
        "same" => Ok(Padding::Same),
        "causal" => Ok(Padding::Causal),
        other => Err(Failure::Bad(format!("its padding is `{other}`; there are valid, same and causal"))),
    }
}

/// Elements before and after along one dimension, as TensorFlow adds them.
pub(super) fn padding_along(
    padding: Padding,
    length: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
) -> (usize, usize) {
    let reach = (kernel.max(1) - 1) * dilation;
    match padding {
        Padding::Valid => (0, 0),
        Padding::Causal => (reach, 0),
        Padding::Same => {
            let steps = length.div_ceil(stride.max(1)).max(1) - 1;
            let missing = (steps * stride + reach + 1).saturating_sub(length);
            (missing / 2, missing - missing / 2)
        }
    }
}

fn window(context: &Context<'_, '_>, dimensions: usize) -> Result<Window, Failure> {
    let config = &context.layer.config;
    Ok(Window {
        stride: config.lengths("strides", dimensions)?.unwrap_or_else(|| vec![1; dimensions]),
        dilation: config.lengths("dilation_rate", dimensions)?.unwrap_or_else(|| vec![1; dimensions]),
        padding: padding_of(context)?,
    })
}

/// The value with its channels first, and the axes of that.
pub(super) fn channels_first(
    context: &mut Context<'_, '_>,
    value: &Value,
    dimensions: usize,
) -> Result<(Value, Vec<usize>), Failure> {
    if value.shape.len() != dimensions + 1 {
        return Err(Failure::Bad(format!(
            "it needs values of {} dimensions, its input is of shape {:?}",
            dimensions + 1,
            value.shape
        )));
    }
    let axes = match context.layer.config.channels_first() {
        true => (0..=dimensions).collect(),
        false => last_first(dimensions + 1),
    };
    let name = context.name().to_owned();
    Ok((context.builder.arrange(value, &axes, &name)?, axes))
}

/// Appends a node with channels first and gives its value in Keras's terms.
pub(super) fn push_spatial(
    context: &mut Context<'_, '_>,
    name: &str,
    op: AnnOp,
    value: &Value,
    axes: &[usize],
) -> Result<Value, Failure> {
    let node = context.builder.push(name, op, vec![value.node], None)?;
    let shape = unpermuted(&context.builder.ann.nodes()[node].shape, axes);
    Ok(value.made(node, shape, axes.to_vec()))
}

/// Checks a kernel's number of dimensions and brings the channels before space: `(space…, a, b)` to `order` of them.
fn channels_before_space(kernel: &AnnTensor, dimensions: usize, swap: bool) -> Result<AnnTensor, Failure> {
    if kernel.shape.len() != dimensions + 2 {
        return Err(Failure::Bad(format!(
            "its kernel has the shape {:?}, {} dimensions are needed",
            kernel.shape,
            dimensions + 2
        )));
    }
    let channels = if swap { [dimensions + 1, dimensions] } else { [dimensions, dimensions + 1] };
    let permutation: Vec<usize> = channels.into_iter().chain(0..dimensions).collect();
    Ok(permute(kernel, &permutation))
}

/// The kernel of a depthwise convolution, `(space…, channels, multiplier)`, as `(channels · multiplier, 1, space…)`.
fn depthwise_weight(kernel: &AnnTensor, dimensions: usize) -> Result<(AnnTensor, usize), Failure> {
    let kernel = channels_before_space(kernel, dimensions, false)?;
    let channels = kernel.shape[0];
    let total = channels.checked_mul(kernel.shape[1]).ok_or_else(|| "its kernel is too large".to_owned())?;
    let shape = [&[total, 1], &kernel.shape[2..]].concat();
    Ok((kernel.reshaped(shape), channels))
}

/// A convolution on a value whose channels are first.
fn convolve(weight: AnnTensor, bias: Option<AnnTensor>, window: &Window, groups: usize, shape: &[usize]) -> AnnOp {
    let along = |d: usize| {
        padding_along(window.padding, shape[d + 1], weight.shape[d + 2], window.stride[d], window.dilation[d])
    };
    let padding = (0..window.stride.len()).map(along).collect();
    AnnOp::Convolution(AnnConvolution {
        padding,
        weight,
        bias,
        stride: window.stride.clone(),
        dilation: window.dilation.clone(),
        groups,
    })
}

/// The node's shape of a value whose channels are first.
fn node_shape(context: &Context<'_, '_>, value: &Value) -> Vec<usize> {
    context.builder.ann.nodes()[value.node].shape.clone()
}

/// Conv1D, Conv2D and their depthwise kin.
pub(super) fn convolution(
    context: &mut Context<'_, '_>,
    value: &Value,
    dimensions: usize,
    depthwise: bool,
) -> Result<Made, Failure> {
    let (mut kernels, bias) = context.kernels_and_bias(1)?;
    let window = window(context, dimensions)?;
    let (weight, groups) = match depthwise {
        true => depthwise_weight(&kernels.remove(0), dimensions)?,
        false => {
            let groups = context.layer.config.integer("groups")?.unwrap_or(1);
            (channels_before_space(&kernels.remove(0), dimensions, true)?, usize::try_from(groups).unwrap_or(0))
        }
    };
    let (value, axes) = channels_first(context, value, dimensions)?;
    let op = convolve(weight, bias, &window, groups, &node_shape(context, &value));
    let name = context.name().to_owned();
    let value = push_spatial(context, &name, op, &value, &axes)?;
    let node = value.node;
    context.activated(value, node)
}

/// A depthwise convolution, which has the strides, and one with kernels of one element, which has the bias.
pub(super) fn separable(context: &mut Context<'_, '_>, value: &Value, dimensions: usize) -> Result<Made, Failure> {
    let (mut kernels, bias) = context.kernels_and_bias(2)?;
    let mut window = window(context, dimensions)?;
    let pointwise = channels_before_space(&kernels.remove(1), dimensions, true)?;
    let (depthwise, groups) = depthwise_weight(&kernels.remove(0), dimensions)?;
    let (value, axes) = channels_first(context, value, dimensions)?;
    let name = context.name().to_owned();
    let op = convolve(depthwise, None, &window, groups, &node_shape(context, &value));
    let value = push_spatial(context, &format!("{name}/depthwise"), op, &value, &axes)?;
    window.stride.fill(1);
    window.dilation.fill(1);
    window.padding = Padding::Valid;
    let op = convolve(pointwise, bias, &window, 1, &node_shape(context, &value));
    let value = push_spatial(context, &name, op, &value, &axes)?;
    let node = value.node;
    context.activated(value, node)
}

/// Elements cut off before and after, and added after, along one dimension of a transposed convolution.
///
/// With `k` the reach of the kernel and `s` the stride, the output has `(n − 1) s + k` elements before cutting. Keras wants
/// `n s` of them for `same` and `n s + max(k − s, 0)` for `valid`, or with an output padding `p`,
/// `(n − 1) s + (k mod 2) + p` and `(n − 1) s + k + p`; `same` cuts evenly, less before (Keras's documentation of
/// `Conv2DTranspose`, and TensorFlow, whose operation is the gradient of a convolution with that padding).
fn transposed_margins(
    same: bool,
    reach: usize,
    stride: usize,
    output_padding: Option<usize>,
) -> ((usize, usize), usize) {
    let extra_after = |length: i64, before: i64| {
        let after = reach as i64 - length - before;
        ((before as usize, after.max(0) as usize), (-after).max(0) as usize)
    };
    // Length of the part of the output that belongs to the last input.
    match (same, output_padding) {
        (false, None) => extra_after(reach.max(stride) as i64, 0),
        (false, Some(padding)) => extra_after((reach + padding) as i64, 0),
        (true, padding) => {
            let length = padding.map_or(stride, |padding| reach % 2 + padding) as i64;
            let before = ((reach as i64 - length).max(0)) / 2;
            extra_after(length, before)
        }
    }
}

/// Conv1DTranspose and Conv2DTranspose, with kernels `(space…, channels out, channels in)`.
pub(super) fn transposed(context: &mut Context<'_, '_>, value: &Value, dimensions: usize) -> Result<Made, Failure> {
    let (mut kernels, bias) = context.kernels_and_bias(1)?;
    let window = window(context, dimensions)?;
    if context.layer.config.integer("groups")?.unwrap_or(1) != 1 {
        return Err(Failure::Unsupported("a transposed convolution in groups is not executed".to_owned()));
    }
    if window.padding == Padding::Causal || window.stride.contains(&0) || window.dilation.contains(&0) {
        return Err(Failure::Bad("its padding, strides or dilation are none of a transposed convolution".to_owned()));
    }
    let output_padding = context.layer.config.lengths("output_padding", dimensions)?;
    let weight = channels_before_space(&kernels.remove(0), dimensions, true)?;
    let margins = (0..dimensions).map(|d| {
        let reach = (weight.shape[d + 2].max(1) - 1) * window.dilation[d] + 1;
        let extra = output_padding.as_ref().map(|padding| padding[d]);
        transposed_margins(window.padding == Padding::Same, reach, window.stride[d], extra)
    });
    let (padding, output_padding) = margins.unzip();
    let (value, axes) = channels_first(context, value, dimensions)?;
    let op = AnnOp::ConvolutionTranspose(AnnConvolutionTranspose {
        weight,
        bias,
        stride: window.stride,
        padding,
        output_padding,
        dilation: window.dilation,
        groups: 1,
    });
    let name = context.name().to_owned();
    let value = push_spatial(context, &name, op, &value, &axes)?;
    let node = value.node;
    context.activated(value, node)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand from TensorFlow's rule: outputs ⌈n/s⌉, the odd element of padding goes after.
    #[test]
    fn same_padding_is_not_symmetric() {
        let same = |length, kernel, stride, dilation| padding_along(Padding::Same, length, kernel, stride, dilation);
        assert_eq!(same(224, 3, 2, 1), (0, 1));
        assert_eq!(same(7, 3, 2, 1), (1, 1));
        assert_eq!(same(5, 2, 1, 1), (0, 1));
        assert_eq!(same(10, 3, 1, 4), (4, 4));
        assert_eq!(same(6, 1, 3, 1), (0, 0));
        assert_eq!(padding_along(Padding::Causal, 9, 3, 1, 2), (4, 0));
    }

    /// Output lengths (n − 1) s + k − before − after + added, by hand, for n = 4.
    #[test]
    fn transposed_lengths() {
        let length = |same, kernel, stride: usize, padding| {
            let ((before, after), added) = transposed_margins(same, kernel, stride, padding);
            3 * stride + kernel - before - after + added
        };
        assert_eq!(length(true, 3, 2, None), 8);
        assert_eq!(length(true, 2, 3, None), 12);
        assert_eq!(length(false, 3, 2, None), 9);
        assert_eq!(length(false, 2, 3, None), 12);
        assert_eq!(length(true, 2, 3, Some(1)), 10);
        assert_eq!(length(false, 3, 2, Some(1)), 10);
        assert_eq!(transposed_margins(true, 5, 2, None), ((1, 2), 0));
        assert_eq!(transposed_margins(true, 3, 2, None), ((0, 1), 0));
    }
}
