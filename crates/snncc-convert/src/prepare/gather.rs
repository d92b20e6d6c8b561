//! The sums behind the units of a smooth activation go into the convolution or fully connected layer behind: it reads the
//! units themselves, `K` columns in the place of each. Without a constant that is exact with padding too. A sum of units and a
//! tail becomes a sum of two such layers.

use super::draft::{Draft, Role, Value};
use snncc_ids::IdVec;
use snncc_ir::ann::{AnnConvolution, AnnLinear, AnnOp, AnnTensor};

/// No weight larger than this is made.
const MAX_WEIGHTS: usize = 1 << 26;

/// Folds the gather that `value` reads into it, if that can be.
pub(super) fn fold_gather(draft: &mut Draft, readers: &IdVec<Value, Vec<Option<Value>>>, value: Value) -> bool {
    let is_linear = match draft.op(value) {
        AnnOp::Linear(_) => true,
        AnnOp::Convolution(_) if draft.nodes[value].role == Role::Plain => false,
        _ => return false,
    };
    let x = draft.input(value);
    // A fully connected layer reads the value as a list.
    let gathered = match (is_linear, draft.op(x)) {
        (true, AnnOp::Reshape) if draft.shape(x).len() == 1 => draft.input(x),
        (false, _) => x,
        _ => return false,
    };
    let parts: Vec<(Value, f32)> = match (draft.nodes[gathered].role, draft.op(gathered)) {
        (Role::Gather, _) => vec![(gathered, 1.0)],
        (Role::GatherSum, AnnOp::Sum { coefficients }) => {
            draft.nodes[gathered].inputs.iter().copied().zip(coefficients.iter().copied()).collect()
        }
        _ => return false,
    };
    // Whoever else reads the sum needs it anyway; folding would only add weights.
    if readers[gathered].len() > 1
        && !readers[gathered].iter().all(|reader| reader.is_some_and(|r| reads_weights(draft, readers, r)))
    {
        return false;
    }
    let layer = draft.nodes[value].clone();
    let weights = match &layer.op {
        AnnOp::Linear(layer) => layer.weight.len(),
        AnnOp::Convolution(layer) => layer.weight.len(),
        _ => return false,
    };
    let per_channel = |part: Value| match (draft.nodes[part].role, draft.op(part)) {
        (Role::Gather, AnnOp::Convolution(gather)) => gather.weight.shape[1],
        _ => 1,
    };
    if parts.iter().any(|(part, _)| weights.saturating_mul(per_channel(*part)) > MAX_WEIGHTS) {
        return false;
    }
    let mut sums = Vec::new();
    for (index, (part, coefficient)) in parts.iter().enumerate() {
        let channels = draft.shape(*part)[0];
        let (source, factors) = match (draft.nodes[*part].role, draft.op(*part)) {
            (Role::Gather, AnnOp::Convolution(gather)) => {
                (draft.input(*part), gather.weight.iter().map(|factor| factor * coefficient).collect())
            }
            _ => (*part, vec![*coefficient; channels]),
        };
        let op = columns(&layer.op, &factors, channels, index == 0);
        let name = if parts.len() == 1 { layer.name.clone() } else { format!("{}/{}", layer.name, index + 1) };
        let source = match is_linear {
            false => source,
            true => {
                let elements = draft.shape(source).iter().product();
                draft.reshape(&format!("{name}/list"), source, &[elements])
            }
        };
        sums.push((name, op, source));
    }
    match sums.len() {
        1 => {
            let (_, op, source) = sums.remove(0);
            draft.nodes[value].op = op;
            draft.nodes[value].inputs = vec![source];
        }
        count => {
            let inputs = sums.into_iter().map(|(name, op, source)| draft.push(name, op, vec![source], None)).collect();
            draft.nodes[value].op = AnnOp::Sum { coefficients: vec![1.0; count] };
            draft.nodes[value].inputs = inputs;
        }
    }
    true
}

/// Whether a reader is a layer that a gather folds into.
fn reads_weights(draft: &Draft, readers: &IdVec<Value, Vec<Option<Value>>>, reader: Value) -> bool {
    match draft.op(reader) {
        AnnOp::Convolution(_) => draft.nodes[reader].role == Role::Plain,
        AnnOp::Reshape if draft.shape(reader).len() == 1 => {
            readers[reader].iter().all(|r| r.is_some_and(|r| matches!(draft.op(r), AnnOp::Linear(_))))
        }
        _ => false,
    }
}

/// A layer whose every input channel is `K` ones, weighed by `factors` (`channels · K`).
fn columns(op: &AnnOp, factors: &[f32], channels: usize, with_bias: bool) -> AnnOp {
    let per = factors.len() / channels;
    match op {
        AnnOp::Linear(layer) => {
            let [outputs, inputs] = [layer.weight.shape[0], layer.weight.shape[1]];
            let plane = inputs / channels;
            let weight = |output: usize, unit: usize, place: usize| {
                layer.weight.get(output * inputs + unit / per * plane + place) * factors[unit]
            };
            let units = move |output: usize| (0..factors.len()).map(move |unit| (output, unit));
            let pairs = (0..outputs).flat_map(units);
            let values: Vec<f32> = pairs
                .flat_map(|(output, unit)| (0..plane).map(move |place| (output, unit, place)))
                .map(|(output, unit, place)| weight(output, unit, place))
                .collect();
            let weight = AnnTensor::new(vec![outputs, inputs * per], values);
            AnnOp::Linear(AnnLinear { weight, bias: layer.bias.clone().filter(|_| with_bias) })
        }
        AnnOp::Convolution(layer) => {
            let mut shape = layer.weight.shape.clone();
            let (outputs, slots) = (shape[0], shape[1]);
            let kernel: usize = shape[2..].iter().product();
            let per_output = outputs / layer.groups;
            shape[1] *= per;
            let mut values = Vec::with_capacity(layer.weight.len() * per);
            for output in 0..outputs {
                for slot in 0..slots * per {
                    let factor = factors[output / per_output * slots * per + slot];
                    let start = (output * slots + slot / per) * kernel;
                    values.extend((start..start + kernel).map(|index| layer.weight.get(index) * factor));
                }
            }
            let weight = AnnTensor::new(shape, values);
            let bias = layer.bias.clone().filter(|_| with_bias);
            AnnOp::Convolution(AnnConvolution { weight, bias, ..layer.clone() })
        }
        _ => panic!("bug in snncc: {op:?} has no columns"),
    }
}
