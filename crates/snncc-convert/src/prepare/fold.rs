//! Factors and constants go into the linear layers around them.
//!
//! Backward: the rows of the layer before are multiplied, through Reshape and Transpose where these keep channels together.
//! A layer that others read too stays as it is; if all that reads it can be folded, each gets a copy (without neurons in
//! between a copy costs nothing on a chip). Forward: the columns of the layer behind are multiplied; a constant in front of a
//! padded convolution stays, since it is not there at the border. Everything is worked out in `f64`.

use super::draft::{Draft, Role, Value};
use super::fates::Fates;
use super::gather::fold_gather;
use super::tensors::{along, composed, moved_down, moved_up, uniform};
use snncc_ids::IdVec;
use snncc_ir::ann::{AnnConvolution, AnnConvolutionTranspose, AnnLinear, AnnOp, AnnTensor, PoolFunction};

type Readers = IdVec<Value, Vec<Option<Value>>>;

/// Folds until nothing is left to fold, and says what became of the factors.
pub(super) fn fold(draft: &mut Draft, fates: &mut Fates) {
    until_nothing_changes(draft, |draft, readers, value| {
        drop_idle(draft, fates, value)
            || absorb_padding(draft, value)
            || fold_backward(draft, fates, readers, value)
            || fold_forward(draft, fates, readers, value)
    });
    // Gathers split layers in two; factors must be in them before.
    until_nothing_changes(draft, fold_gather);
    let readers = draft.readers();
    for (value, node) in draft.nodes.iter_with_ids().filter(|(value, _)| !readers[*value].is_empty()) {
        let is_padded = |reader: &Option<Value>| match reader.map(|reader| draft.op(reader)) {
            Some(AnnOp::Convolution(layer)) => has_padding(layer),
            _ => false,
        };
        let note = match readers[value].iter().any(is_padded) {
            true => {
                "kept: the convolution behind it is padded, so that the constant differs at the border; it becomes a bias per \
                 neuron"
            }
            false => "kept as factors and constants of the synapses behind it",
        };
        node.holds.iter().for_each(|id| fates.exact(*id, note));
    }
}

/// Applies a rule to all live nodes, inputs of a node before it, as long as it changes something.
fn until_nothing_changes(draft: &mut Draft, mut rule: impl FnMut(&mut Draft, &Readers, Value) -> bool) {
    loop {
        let mut changed = false;
        let mut readers = draft.readers();
        for value in draft.order() {
            if !readers[value].is_empty() && rule(draft, &readers, value) {
                changed = true;
                readers = draft.readers();
            }
        }
        if !changed {
            break;
        }
    }
}

/// Passes over what changes nothing.
fn drop_idle(draft: &mut Draft, fates: &mut Fates, value: Value) -> bool {
    let node = &draft.nodes[value];
    match &node.op {
        AnnOp::Reshape => {
            let x = node.inputs[0];
            if matches!(draft.op(x), AnnOp::Reshape) {
                draft.nodes[value].inputs = draft.nodes[x].inputs.clone();
                true
            } else if draft.shape(x) == node.shape {
                draft.replace(value, x);
                true
            } else {
                false
            }
        }
        AnnOp::ScaleShift { scale, shift } => {
            let is = |tensor: &Option<AnnTensor>, neutral| tensor.as_ref().is_none_or(|t| uniform(t) == Some(neutral));
            if !is(scale, 1.0) || !is(shift, 0.0) {
                return false;
            }
            node.holds.iter().for_each(|id| fates.exact(*id, "removed: it changes nothing"));
            draft.replace(value, node.inputs[0]);
            true
        }
        _ => false,
    }
}

fn has_padding(layer: &AnnConvolution) -> bool {
    layer.padding.iter().any(|padding| *padding != (0, 0))
}

/// Zeros around the input of a convolution, or of a mean that counts its padding, become its padding.
fn absorb_padding(draft: &mut Draft, value: Value) -> bool {
    let Some(x) = draft.nodes[value].inputs.first().copied() else { return false };
    let AnnOp::Pad { before, after, value: constant } = draft.op(x) else { return false };
    if *constant != 0.0 || before[0] != 0 || after[0] != 0 {
        return false;
    }
    let around: Vec<(usize, usize)> = before[1..].iter().copied().zip(after[1..].iter().copied()).collect();
    let inputs = draft.nodes[x].inputs.clone();
    let grow = |padding: &mut Vec<(usize, usize)>| {
        padding.iter_mut().zip(&around).for_each(|(padding, more)| *padding = (padding.0 + more.0, padding.1 + more.1));
    };
    let node = &mut draft.nodes[value];
    match &mut node.op {
        AnnOp::Convolution(layer) => grow(&mut layer.padding),
        AnnOp::Pool(pool) if pool.function == PoolFunction::Average => {
            let after =
                |pool: &snncc_ir::ann::AnnPool| pool.padding.iter().map(|(_, after)| *after).collect::<Vec<_>>();
            let is_padded = pool.padding.iter().any(|padding| *padding != (0, 0));
            if is_padded && pool.counted_after.as_ref() != Some(&after(pool)) {
                return false;
            }
            grow(&mut pool.padding);
            pool.counted_after = Some(after(pool));
        }
        _ => return false,
    }
    node.inputs = inputs;
    true
}

/// Factors and constants for the rows of a layer; each row becomes `per` rows, side by side.
pub(super) struct Rows {
    per: usize,
    scale: Vec<f64>,
    shift: Vec<f64>,
}

/// Folds factors, or a spread of channels, into the layer before.
fn fold_backward(draft: &mut Draft, fates: &mut Fates, readers: &Readers, value: Value) -> bool {
    let is_factors = matches!(draft.op(value), AnnOp::ScaleShift { .. });
    if !is_factors && draft.nodes[value].role != Role::Spread {
        return false;
    }
    let x = draft.input(value);
    if let (AnnOp::ScaleShift { .. }, true) = (draft.op(x), is_factors) {
        return join_factors(draft, value, x);
    }
    // The layer itself.
    if channel_dimension(draft, x).is_some() {
        let foldable = |reader: &Option<Value>| reader.is_some_and(|reader| rows(draft, reader, &[], x).is_some());
        let Some(rows) = rows(draft, value, &[], x).filter(|_| readers[x].iter().all(foldable)) else { return false };
        let base = draft.nodes[x].clone();
        let node = &mut draft.nodes[value];
        node.op = scaled_rows(&base.op, &rows);
        node.inputs = base.inputs;
        node.role = Role::Plain;
        if !node.holds.is_empty() && readers[x].len() == 1 {
            node.name = base.name.clone();
        }
        std::mem::take(&mut node.holds).into_iter().for_each(|id| fates.folded(id, &base.name));
        return true;
    }
    // Behind layers that move elements and that nothing else reads.
    let mut chain = Vec::new();
    let mut base = x;
    while matches!(draft.op(base), AnnOp::Reshape | AnnOp::Transpose { .. }) {
        chain.push(base);
        base = draft.input(base);
    }
    if chain.is_empty() || channel_dimension(draft, base).is_none() || readers[base].len() != 1 {
        return false;
    }
    let Some(rows) = rows(draft, value, &chain, base) else { return false };
    if is_factors && chain.iter().all(|node| readers[*node].len() == 1) {
        let node = &mut draft.nodes[base];
        node.op = scaled_rows(&node.op, &rows);
        node.origin = None;
        let name = node.name.clone();
        chain.iter().for_each(|node| draft.nodes[*node].origin = None);
        draft.nodes[x].origin = draft.nodes[value].origin;
        std::mem::take(&mut draft.nodes[value].holds).into_iter().for_each(|id| fates.folded(id, &name));
        draft.replace(value, x);
        return true;
    }
    // Units of a fully connected layer, behind the Reshape that gives its values a spatial dimension.
    let foldable =
        |reader: &Option<Value>| reader.is_some_and(|reader| self::rows(draft, reader, &chain, base).is_some());
    if chain.len() != 1 || !readers[x].iter().all(foldable) {
        return false;
    }
    let layer = draft.nodes[base].clone();
    let name = format!("{}/rows", draft.nodes[value].name);
    let copy = draft.push(name, scaled_rows(&layer.op, &rows), layer.inputs, None);
    let node = &mut draft.nodes[value];
    node.op = AnnOp::Reshape;
    node.inputs = vec![copy];
    node.role = Role::Plain;
    std::mem::take(&mut node.holds).into_iter().for_each(|id| fates.folded(id, &layer.name));
    true
}

/// Two affine maps in a row are one.
fn join_factors(draft: &mut Draft, value: Value, x: Value) -> bool {
    let first = draft.nodes[x].clone();
    let (AnnOp::ScaleShift { scale: a, shift: b }, AnnOp::ScaleShift { scale: c, shift: d }) =
        (&first.op, draft.op(value))
    else {
        return false;
    };
    let (scale, shift) = composed((a.as_ref(), b.as_ref()), (c.as_ref(), d.as_ref()));
    let node = &mut draft.nodes[value];
    node.op = AnnOp::ScaleShift { scale, shift };
    node.inputs = first.inputs;
    node.holds.extend(first.holds);
    true
}

/// The dimension of a layer's value that counts its rows.
fn channel_dimension(draft: &Draft, value: Value) -> Option<usize> {
    match draft.op(value) {
        AnnOp::Linear(_) => Some(draft.shape(value).len() - 1),
        AnnOp::Convolution(_) | AnnOp::ConvolutionTranspose(_) => Some(0),
        _ => None,
    }
}

/// What a node does to the rows of the layer `base` that it reads through `chain` (nearest to the node first).
fn rows(draft: &Draft, value: Value, chain: &[Value], base: Value) -> Option<Rows> {
    let shape = draft.shape(base);
    let dim = channel_dimension(draft, base)?;
    let channels = shape[dim];
    match draft.op(value) {
        AnnOp::ScaleShift { scale, shift } => {
            let vector = |tensor: &Option<AnnTensor>, neutral: f64| match tensor {
                None => Some(vec![neutral; channels]),
                Some(tensor) => {
                    let moved = chain.iter().fold(tensor.clone(), |tensor, node| {
                        let x = draft.shape(draft.input(*node));
                        moved_up(&tensor, draft.op(*node), x, draft.shape(*node))
                    });
                    along(&moved, shape, dim)
                }
            };
            Some(Rows { per: 1, scale: vector(scale, 1.0)?, shift: vector(shift, 0.0)? })
        }
        AnnOp::Convolution(layer) if draft.nodes[value].role == Role::Spread => {
            // Channels must be the spread's; behind a Reshape only if it adds dimensions of length 1.
            let spread = draft.shape(draft.input(value));
            let is_column = shape.len() == 1 && spread[0] == channels && spread[1..].iter().all(|length| *length == 1);
            let fits = if chain.is_empty() { dim == 0 } else { chain.len() == 1 && is_column };
            fits.then(|| Rows {
                per: layer.weight.len() / channels,
                scale: layer.weight.iter().map(f64::from).collect(),
                shift: match &layer.bias {
                    Some(bias) => bias.iter().map(f64::from).collect(),
                    None => vec![0.0; layer.weight.len()],
                },
            })
        }
        _ => None,
    }
}

/// A layer with other rows.
fn scaled_rows(op: &AnnOp, rows: &Rows) -> AnnOp {
    let bias = |bias: &Option<AnnTensor>| {
        let value = |index: usize| bias.as_ref().map_or(0.0, |bias| f64::from(bias.get(index / rows.per)));
        let values = rows.scale.iter().zip(&rows.shift).enumerate();
        let values: Vec<f32> = values.map(|(index, (scale, shift))| (scale * value(index) + shift) as f32).collect();
        (bias.is_some() || values.iter().any(|value| *value != 0.0)).then(|| AnnTensor::vector(values))
    };
    match op {
        AnnOp::Linear(layer) => {
            let weight = scaled(&layer.weight, 0, rows, |row, _| row);
            AnnOp::Linear(AnnLinear { weight, bias: bias(&layer.bias) })
        }
        AnnOp::Convolution(layer) => {
            let weight = scaled(&layer.weight, 0, rows, |row, _| row);
            AnnOp::Convolution(AnnConvolution { weight, bias: bias(&layer.bias), ..layer.clone() })
        }
        AnnOp::ConvolutionTranspose(layer) => {
            let per_group = layer.weight.shape[1] * rows.per;
            let inputs = layer.weight.shape[0] / layer.groups;
            let weight = scaled(&layer.weight, 1, rows, |row, input| input / inputs * per_group + row);
            AnnOp::ConvolutionTranspose(AnnConvolutionTranspose { weight, bias: bias(&layer.bias), ..layer.clone() })
        }
        _ => panic!("bug in snncc: {op:?} has no rows"),
    }
}

/// A weight whose dimension `dim` counts rows, each repeated and multiplied. `row` gives the row's index among all channels
/// from that along the dimension and, in the second dimension, from the index along the first.
fn scaled(weight: &AnnTensor, dim: usize, rows: &Rows, row: impl Fn(usize, usize) -> usize) -> AnnTensor {
    let mut shape = weight.shape.clone();
    shape[dim] *= rows.per;
    let is_uniform = rows.scale.iter().all(|scale| *scale == rows.scale[0]);
    if let (Some(value), true) = (weight.filled_with(), is_uniform) {
        return AnnTensor::fill(shape, (f64::from(value) * rows.scale[0]) as f32);
    }
    let inner: usize = weight.shape[dim + 1..].iter().product();
    let (outer, count) = (weight.shape[..dim].iter().product::<usize>(), weight.shape[dim]);
    let mut values = Vec::with_capacity(weight.len() * rows.per);
    for block in 0..outer {
        for at in 0..count * rows.per {
            let scale = rows.scale[row(at, block)];
            let start = (block * count + at / rows.per) * inner;
            values.extend((start..start + inner).map(|index| (scale * f64::from(weight.get(index))) as f32));
        }
    }
    AnnTensor::new(shape, values)
}

/// Folds factors and constants in front of a linear layer into its columns.
fn fold_forward(draft: &mut Draft, fates: &mut Fates, readers: &Readers, value: Value) -> bool {
    let (AnnOp::Linear(_) | AnnOp::Convolution(_) | AnnOp::ConvolutionTranspose(_)) = draft.op(value) else {
        return false;
    };
    let mut chain = Vec::new();
    let mut factors = draft.input(value);
    while matches!(draft.op(factors), AnnOp::Reshape | AnnOp::Transpose { .. }) && readers[factors].len() == 1 {
        chain.push(factors);
        factors = draft.input(factors);
    }
    let AnnOp::ScaleShift { scale, shift } = draft.op(factors) else { return false };
    let moved = |tensor: &AnnTensor| {
        chain.iter().rev().fold(tensor.clone(), |tensor, node| {
            moved_down(&tensor, draft.op(*node), draft.shape(draft.input(*node)), draft.shape(*node))
        })
    };
    let x = draft.shape(draft.input(value));
    let dim = if matches!(draft.op(value), AnnOp::Linear(_)) { x.len() - 1 } else { 0 };
    let vector = |tensor: &Option<AnnTensor>, neutral: f64| match tensor {
        None => Some(vec![neutral; x[dim]]),
        Some(tensor) => along(&moved(tensor), x, dim),
    };
    let (Some(scale), Some(shift)) = (vector(scale, 1.0), vector(shift, 0.0)) else { return false };
    let is_shifted = shift.iter().any(|shift| *shift != 0.0);
    let folded = match draft.op(value) {
        AnnOp::Linear(layer) => {
            let columns = scale.len();
            let weight = multiplied(&layer.weight, &scale, |index| index % columns);
            let bias = moved_bias(&layer.weight, layer.bias.as_ref(), is_shifted, |index| shift[index % columns]);
            AnnOp::Linear(AnnLinear { weight, bias })
        }
        AnnOp::Convolution(layer) if !(is_shifted && has_padding(layer)) => {
            let [outputs, per_group] = [layer.weight.shape[0], layer.weight.shape[1]];
            let kernel: usize = layer.weight.shape[2..].iter().product();
            let per_output = outputs / layer.groups;
            let column = |index: usize| {
                let (output, slot) = (index / (kernel * per_group), index / kernel % per_group);
                output / per_output * per_group + slot
            };
            let weight = multiplied(&layer.weight, &scale, column);
            let bias = moved_bias(&layer.weight, layer.bias.as_ref(), is_shifted, |index| shift[column(index)]);
            AnnOp::Convolution(AnnConvolution { weight, bias, ..layer.clone() })
        }
        AnnOp::ConvolutionTranspose(layer) if !is_shifted => {
            let row: usize = layer.weight.shape[1..].iter().product();
            let weight = multiplied(&layer.weight, &scale, |index| index / row);
            AnnOp::ConvolutionTranspose(AnnConvolutionTranspose { weight, ..layer.clone() })
        }
        _ => return false,
    };
    let source = draft.input(factors);
    draft.nodes[value].op = folded;
    match chain.last() {
        None => draft.nodes[value].inputs = vec![source],
        Some(nearest) => draft.nodes[*nearest].inputs = vec![source],
    }
    chain.iter().for_each(|node| draft.nodes[*node].origin = None);
    let name = draft.nodes[value].name.clone();
    draft.nodes[factors].holds.clone().into_iter().for_each(|id| fates.folded(id, &name));
    true
}

/// `weight[i] · factors[column(i)]`
fn multiplied(weight: &AnnTensor, factors: &[f64], column: impl Fn(usize) -> usize) -> AnnTensor {
    if factors.iter().all(|factor| *factor == factors[0]) {
        return weight.map(|value| (f64::from(value) * factors[0]) as f32);
    }
    let value = |(index, value): (usize, f32)| (f64::from(value) * factors[column(index)]) as f32;
    AnnTensor::new(weight.shape.clone(), weight.iter().enumerate().map(value).collect::<Vec<f32>>())
}

/// The bias plus, for each row of the weight, its product with the constants in front.
fn moved_bias(
    weight: &AnnTensor,
    bias: Option<&AnnTensor>,
    is_shifted: bool,
    shift: impl Fn(usize) -> f64,
) -> Option<AnnTensor> {
    if !is_shifted {
        return bias.cloned();
    }
    let outputs = weight.shape[0];
    let row = weight.len() / outputs;
    let value = |output: usize| {
        let elements = output * row..(output + 1) * row;
        let moved: f64 = elements.map(|index| f64::from(weight.get(index)) * shift(index)).sum();
        (moved + bias.map_or(0.0, |bias| bias.get(output).into())) as f32
    };
    Some(AnnTensor::vector((0..outputs).map(value).collect::<Vec<f32>>()))
}
