//! Layers that change shapes: pools, padding, cropping, upsampling, Flatten, Reshape and Permute.

use super::convolution::{Padding, channels_first, padding_along, padding_of, push_spatial};
use super::{Context, Made};
use crate::keras::config::{Failure, MAX_LENGTH};
use crate::keras::values::{Layout, Value, permuted, unpermuted};
use snncc_ir::ann::{AnnOp, AnnPool, PoolFunction, element_count};

/// Means and maxima over windows. Means leave padding out, as TensorFlow does.
pub(super) fn pool(
    context: &mut Context<'_, '_>,
    value: &Value,
    function: PoolFunction,
    dimensions: usize,
) -> Result<Made, Failure> {
    let config = context.layer.config;
    let kernel = config.lengths("pool_size", dimensions)?.unwrap_or_else(|| vec![2; dimensions]);
    let stride = config.lengths("strides", dimensions)?.unwrap_or_else(|| kernel.clone());
    let padding = padding_of(context)?;
    if padding == Padding::Causal {
        return Err(Failure::Bad("a pool has no causal padding".to_owned()));
    }
    let (value, axes) = channels_first(context, value, dimensions)?;
    let shape = permuted(&value.shape, &axes);
    let padding = (0..dimensions).map(|d| padding_along(padding, shape[d + 1], kernel[d], stride[d], 1)).collect();
    let dilation = vec![1; dimensions];
    let op = AnnOp::Pool(AnnPool { function, kernel, stride, padding, dilation, counted_after: None });
    let name = context.name().to_owned();
    Ok(Made::value(push_spatial(context, &name, op, &value, &axes)?))
}

/// Means and maxima over all positions; these dimensions go, unless `keepdims` is set.
pub(super) fn global_pool(
    context: &mut Context<'_, '_>,
    value: &Value,
    function: PoolFunction,
    dimensions: usize,
) -> Result<Made, Failure> {
    let (value, axes) = channels_first(context, value, dimensions)?;
    let name = context.name().to_owned();
    let pooled = push_spatial(context, &name, AnnOp::GlobalPool(function), &value, &axes)?;
    let node = pooled.node;
    if context.layer.config.boolean("keepdims", false) {
        return Ok(Made::node(pooled, node));
    }
    let channels = vec![value.shape[axes[0]]];
    let vector =
        context.builder.push(&format!("{name}/reshape"), AnnOp::Reshape, vec![node], Some(channels.clone()))?;
    Ok(Made::node(pooled.made(vector, channels, vec![0]), node))
}

/// The value in dimensions, and the node's dimension of each spatial one in Keras.
fn spatial_axes(
    context: &mut Context<'_, '_>,
    value: &Value,
    dimensions: usize,
) -> Result<(Value, Vec<usize>), Failure> {
    let rank = value.shape.len();
    if rank != dimensions + 1 {
        return Err(Failure::Bad(format!(
            "it needs values of {} dimensions, its input is of shape {:?}",
            dimensions + 1,
            value.shape
        )));
    }
    let name = context.name().to_owned();
    let value = match value.layout {
        Layout::Axes(_) => value.clone(),
        Layout::Order(_) => context.builder.in_keras_order(value, &name)?,
    };
    let first = usize::from(context.layer.config.channels_first());
    let axes = (first..first + dimensions).map(|axis| value.node_axis(axis)).collect();
    Ok((value, axes))
}

/// Appends a node that keeps the layout and gives its value in Keras's terms.
fn push_kept(
    context: &mut Context<'_, '_>,
    op: AnnOp,
    value: &Value,
    shape: Option<Vec<usize>>,
) -> Result<Made, Failure> {
    let name = context.name().to_owned();
    let node = context.builder.push(&name, op, vec![value.node], shape)?;
    let axes = value.axes();
    let shape = unpermuted(&context.builder.ann.nodes()[node].shape, &axes);
    Ok(Made::node(value.made(node, shape, axes), node))
}

/// Zeros around.
pub(super) fn zero_padding(context: &mut Context<'_, '_>, value: &Value, dimensions: usize) -> Result<Made, Failure> {
    let margins = context.layer.config.margins("padding", dimensions)?;
    let (value, axes) = spatial_axes(context, value, dimensions)?;
    let (mut before, mut after) = (vec![0; dimensions + 1], vec![0; dimensions + 1]);
    for (axis, margin) in axes.iter().zip(margins) {
        (before[*axis], after[*axis]) = margin;
    }
    push_kept(context, AnnOp::Pad { before, after, value: 0.0 }, &value, None)
}

/// Elements cut off around.
pub(super) fn cropping(context: &mut Context<'_, '_>, value: &Value, dimensions: usize) -> Result<Made, Failure> {
    let margins = context.layer.config.margins("cropping", dimensions)?;
    let (value, axes) = spatial_axes(context, value, dimensions)?;
    let mut shape = permuted(&value.shape, &value.axes());
    let mut starts = vec![0; dimensions + 1];
    for (axis, (before, after)) in axes.iter().zip(margins) {
        starts[*axis] = before;
        let rest = shape[*axis].checked_sub(before + after).filter(|rest| *rest > 0);
        let Some(rest) = rest else {
            return Err(Failure::Bad(format!("cropping {before} and {after} of {} leaves nothing", shape[*axis])));
        };
        shape[*axis] = rest;
    }
    push_kept(context, AnnOp::Slice { starts, steps: vec![1; dimensions + 1] }, &value, Some(shape))
}

/// Every element several times.
pub(super) fn up_sampling(context: &mut Context<'_, '_>, value: &Value, dimensions: usize) -> Result<Made, Failure> {
    let config = context.layer.config;
    if let Some(interpolation) = config.text("interpolation").filter(|name| *name != "nearest") {
        return Err(Failure::Unsupported(format!(
            "upsampling with `{interpolation}` interpolation is not executed; use nearest, or Conv2DTranspose"
        )));
    }
    let size = config.lengths("size", dimensions)?.unwrap_or_else(|| vec![2; dimensions]);
    let (value, axes) = spatial_axes(context, value, dimensions)?;
    let mut factors = vec![1; dimensions + 1];
    axes.iter().zip(size).for_each(|(axis, factor)| factors[*axis] = factor);
    let shape = permuted(&value.shape, &value.axes());
    let mut indices = Vec::new();
    for (length, factor) in shape.into_iter().zip(factors) {
        let total = length.checked_mul(factor).filter(|total| *total <= MAX_LENGTH);
        let total = total.ok_or_else(|| format!("{length} elements, each {factor} times, are too many"))?;
        context.builder.spend(total)?;
        indices.push((0..total).map(|index| index / factor).collect());
    }
    push_kept(context, AnnOp::Resample { indices }, &value, None)
}

/// All elements as a vector, in Keras's order, which with channels first counts the channels last all the same.
pub(super) fn flatten(context: &mut Context<'_, '_>, value: &Value) -> Result<Made, Failure> {
    let rank = value.shape.len();
    let from: Vec<usize> = match context.layer.config.channels_first() && rank > 1 {
        true => (1..rank).chain([0]).collect(),
        false => (0..rank).collect(),
    };
    let name = context.name().to_owned();
    let (value, node) = context.builder.flatten(value, &from, &name)?;
    Ok(Made { value, node, folded: "its input is a vector already" })
}

/// The same elements, in Keras's order, under another shape; one dimension may be -1.
pub(super) fn reshape(context: &mut Context<'_, '_>, value: &Value) -> Result<Made, Failure> {
    let Some((_, target)) = context.layer.config.numbers("target_shape")? else {
        return Err(Failure::Bad("it has no target shape".to_owned()));
    };
    let misfit = || Failure::Bad(format!("values of shape {:?} cannot take the shape {target:?}", value.shape));
    let total = element_count(&value.shape).ok_or_else(misfit)?;
    let known: Option<usize> = target
        .iter()
        .filter(|length| **length >= 0.0)
        .try_fold(1_usize, |product, length| product.checked_mul(*length as usize));
    let open = target.iter().filter(|length| **length < 0.0).count();
    let rest = known.filter(|known| *known > 0 && total % known == 0).map(|known| total / known).ok_or_else(misfit)?;
    if open > 1 || (open == 0 && rest != 1) || target.is_empty() {
        return Err(misfit());
    }
    let shape: Vec<usize> = target.iter().map(|length| if *length < 0.0 { rest } else { *length as usize }).collect();
    let from: Vec<usize> = (0..value.shape.len()).collect();
    let name = context.name().to_owned();
    let (value, node) = context.builder.reshape(value, &from, shape, context.channels_first, &name)?;
    Ok(Made { value, node, folded: "the elements lie so already" })
}

/// Dimensions in another order: only what is known of the value changes.
pub(super) fn permute(context: &mut Context<'_, '_>, value: &Value) -> Result<Made, Failure> {
    let rank = value.shape.len();
    let Some((_, dims)) = context.layer.config.numbers("dims")? else {
        return Err(Failure::Bad("it has no dims".to_owned()));
    };
    let dims: Vec<usize> = dims.iter().map(|d| (*d as usize).wrapping_sub(1)).collect();
    let mut sorted = dims.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..rank) {
        return Err(Failure::Bad(format!("its dims do not permute the dimensions of {:?}", value.shape)));
    }
    let mut value = value.clone();
    if let Layout::Axes(axes) = &value.layout {
        let new_axis = |axis: &usize| dims.iter().position(|d| d == axis).unwrap_or(*axis);
        value.layout = Layout::Axes(axes.iter().map(new_axis).collect());
        value.shape = permuted(&value.shape, &dims);
    }
    Ok(Made { value, node: None, folded: "an order of dimensions, which those that read it take into account" })
}
