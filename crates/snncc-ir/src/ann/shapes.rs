//! Shapes of the values of an [`super::Ann`], without batch.

use super::{AnnOp, AnnTensor, element_count};

/// The shape that `op` gives on inputs of these shapes. `given` is what the file says: needed by Reshape, Slice and
/// Unsupported, and it must agree otherwise.
///
/// # Errors
/// What does not fit, in a sentence that names shapes.
pub fn infer(op: &AnnOp, inputs: &[&[usize]], given: Option<Vec<usize>>) -> Result<Vec<usize>, String> {
    let shape = infer_from_inputs(op, inputs, given.as_deref())?;
    match element_count(&shape) {
        None => return Err(format!("shape {shape:?} is too large")),
        Some(0) => return Err(format!("shape {shape:?} has no elements")),
        Some(_) => {}
    }
    match given {
        Some(given) if given != shape => Err(format!("the file gives shape {given:?}, the operator makes {shape:?}")),
        _ => Ok(shape),
    }
}

fn infer_from_inputs(op: &AnnOp, inputs: &[&[usize]], given: Option<&[usize]>) -> Result<Vec<usize>, String> {
    let arity = match op {
        AnnOp::Input => Some(0),
        AnnOp::Sum { coefficients } => Some(coefficients.len()),
        AnnOp::Product => Some(2),
        AnnOp::Maximum | AnnOp::Concat { .. } | AnnOp::Unsupported { .. } => None,
        _ => Some(1),
    };
    if arity.is_some_and(|arity| arity != inputs.len()) || (arity.is_none() && inputs.is_empty()) {
        return Err(format!("{} inputs are given, {} are needed", inputs.len(), arity.unwrap_or(1)));
    }
    let stated = || given.map(<[usize]>::to_vec).ok_or_else(|| "its shape is not given".to_owned());
    let Some(x) = inputs.first().copied() else { return stated() };
    match op {
        AnnOp::Input => stated(),
        AnnOp::Linear(linear) => {
            let [outputs, columns] = linear.weight.shape[..] else {
                return Err(format!("a weight matrix has 2 dimensions, this one is {:?}", linear.weight.shape));
            };
            check_vector(linear.bias.as_ref(), outputs, "bias")?;
            match x.split_last() {
                Some((last, rest)) if *last == columns => Ok([rest, &[outputs]].concat()),
                _ => Err(format!("the weight {:?} needs {columns} values, the input is {x:?}", linear.weight.shape)),
            }
        }
        AnnOp::Convolution(convolution) => {
            let window = Window {
                kernel: convolution.weight.shape.get(2..).unwrap_or(&[]),
                stride: &convolution.stride,
                padding: &convolution.padding,
                dilation: &convolution.dilation,
            };
            let (channels_out, per_group) = channels_of(&convolution.weight)?;
            check_vector(convolution.bias.as_ref(), channels_out, "bias")?;
            let groups = check_groups(convolution.groups, channels_out)?;
            check_channels(x, per_group.checked_mul(groups))?;
            Ok([&[channels_out], &window.outputs(&x[1..])?[..]].concat())
        }
        AnnOp::ConvolutionTranspose(transpose) => {
            let (channels_in, per_group) = channels_of(&transpose.weight)?;
            let groups = check_groups(transpose.groups, channels_in)?;
            let channels_out = per_group.checked_mul(groups).ok_or("too many channels")?;
            check_vector(transpose.bias.as_ref(), channels_out, "bias")?;
            check_channels(x, Some(channels_in))?;
            let kernel = &transpose.weight.shape[2..];
            let dimensions = x.len() - 1;
            let lengths = [kernel.len(), transpose.stride.len(), transpose.padding.len(), transpose.dilation.len()];
            if lengths.iter().chain([&transpose.output_padding.len()]).any(|length| *length != dimensions) {
                return Err(format!("kernel {kernel:?} does not suit an input of shape {x:?}"));
            }
            let size = |d: usize| -> Option<usize> {
                let reach = transpose.dilation[d].checked_mul(kernel[d].checked_sub(1)?)?.checked_add(1)?;
                let span = transpose.stride[d].checked_mul(x[d + 1].checked_sub(1)?)?.checked_add(reach)?;
                let (before, after) = transpose.padding[d];
                span.checked_add(transpose.output_padding[d])?.checked_sub(before)?.checked_sub(after)
            };
            let sizes: Option<Vec<usize>> = (0..dimensions).map(size).collect();
            let sizes = sizes.ok_or_else(|| format!("padding cuts all of an input of shape {x:?}"))?;
            Ok([&[channels_out], &sizes[..]].concat())
        }
        AnnOp::BatchNorm(norm) => {
            let channels = x.first().copied().unwrap_or(0);
            for (tensor, name) in
                [(&norm.gamma, "gamma"), (&norm.beta, "beta"), (&norm.mean, "mean"), (&norm.variance, "variance")]
            {
                check_vector(Some(tensor), channels, name)?;
            }
            Ok(x.to_vec())
        }
        AnnOp::ScaleShift { scale, shift } => {
            for tensor in [scale, shift].into_iter().flatten() {
                check_broadcast(&tensor.shape, x)?;
            }
            Ok(x.to_vec())
        }
        AnnOp::Activation(super::Activation::PRelu { slope }) => {
            check_broadcast(&slope.shape, x)?;
            Ok(x.to_vec())
        }
        AnnOp::Activation(_) | AnnOp::LocalResponseNorm { .. } | AnnOp::Identity => Ok(x.to_vec()),
        AnnOp::Pool(pool) => {
            if x.len() < 2 {
                return Err(format!("a pool needs channels and space, the input is {x:?}"));
            }
            let window =
                Window { kernel: &pool.kernel, stride: &pool.stride, padding: &pool.padding, dilation: &pool.dilation };
            Ok([&x[..1], &window.outputs(&x[1..])?[..]].concat())
        }
        AnnOp::GlobalPool(_) => {
            if x.len() < 2 {
                return Err(format!("a pool needs channels and space, the input is {x:?}"));
            }
            Ok(x[..1].iter().copied().chain(x[1..].iter().map(|_| 1)).collect())
        }
        AnnOp::Reshape => {
            let shape = stated()?;
            match element_count(&shape) == element_count(x) {
                true => Ok(shape),
                false => Err(format!("{x:?} cannot become {shape:?}: the number of elements differs")),
            }
        }
        AnnOp::Transpose { permutation } => {
            let mut sorted = permutation.clone();
            sorted.sort_unstable();
            match sorted.iter().copied().eq(0..x.len()) {
                true => Ok(permutation.iter().map(|d| x[*d]).collect()),
                false => Err(format!("{permutation:?} does not permute the dimensions of {x:?}")),
            }
        }
        AnnOp::Pad { before, after, .. } => {
            if before.len() != x.len() || after.len() != x.len() {
                return Err(format!("padding for {} dimensions, the input is {x:?}", before.len()));
            }
            let sizes: Option<Vec<usize>> =
                x.iter().zip(before).zip(after).map(|((x, b), a)| x.checked_add(*b)?.checked_add(*a)).collect();
            sizes.ok_or_else(|| "the padding is too large".to_owned())
        }
        AnnOp::Slice { starts, steps } => {
            let shape = stated()?;
            if [starts.len(), steps.len(), shape.len()].iter().any(|length| *length != x.len()) || steps.contains(&0) {
                return Err(format!("the slice does not suit an input of shape {x:?}"));
            }
            let last = |d: usize| shape[d].checked_sub(1)?.checked_mul(steps[d])?.checked_add(starts[d]);
            match (0..x.len()).all(|d| last(d).is_some_and(|last| last < x[d])) {
                true => Ok(shape),
                false => Err(format!("the slice reaches beyond an input of shape {x:?}")),
            }
        }
        AnnOp::Resample { indices } => {
            let within = |d: usize| indices[d].iter().all(|index| *index < x[d]);
            match indices.len() == x.len() && (0..x.len()).all(within) {
                true => Ok(indices.iter().map(Vec::len).collect()),
                false => Err(format!("positions beyond an input of shape {x:?}")),
            }
        }
        AnnOp::Sum { .. } | AnnOp::Maximum => match inputs.iter().all(|other| *other == x) {
            true => Ok(x.to_vec()),
            false => Err(format!("inputs of shapes {inputs:?} differ")),
        },
        AnnOp::Product => {
            let (a, b) = (inputs[0], inputs[1]);
            let gates = |gate: &[usize], x: &[usize]| {
                gate.len() == x.len() && gate.first() == x.first() && gate.iter().skip(1).all(|length| *length == 1)
            };
            match (a == b || gates(b, a), gates(a, b)) {
                (true, _) => Ok(a.to_vec()),
                (false, true) => Ok(b.to_vec()),
                _ => Err(format!("inputs of shapes {a:?} and {b:?} do not fit")),
            }
        }
        AnnOp::Concat { axis } => {
            let agrees =
                |other: &[usize]| other.len() == x.len() && (0..x.len()).all(|d| d == *axis || other[d] == x[d]);
            if *axis >= x.len() || !inputs.iter().all(|other| agrees(other)) {
                return Err(format!("inputs of shapes {inputs:?} cannot be joined along dimension {axis}"));
            }
            let total = inputs.iter().try_fold(0_usize, |sum, other| sum.checked_add(other[*axis]));
            let mut shape = x.to_vec();
            shape[*axis] = total.ok_or("too large")?;
            Ok(shape)
        }
        AnnOp::Softmax { axis, .. } => match *axis < x.len() {
            true => Ok(x.to_vec()),
            false => Err(format!("there is no dimension {axis} in {x:?}")),
        },
        AnnOp::Unsupported { .. } => Ok(given.unwrap_or(x).to_vec()),
    }
}

/// Windows along the spatial dimensions.
struct Window<'a> {
    kernel: &'a [usize],
    stride: &'a [usize],
    padding: &'a [(usize, usize)],
    dilation: &'a [usize],
}

impl Window<'_> {
    fn outputs(&self, space: &[usize]) -> Result<Vec<usize>, String> {
        let lengths = [self.kernel.len(), self.stride.len(), self.padding.len(), self.dilation.len()];
        if lengths.iter().any(|length| *length != space.len()) || !(1..=2).contains(&space.len()) {
            return Err(format!("a kernel {:?} does not suit space {space:?}", self.kernel));
        }
        if self.stride.contains(&0) || self.dilation.contains(&0) || self.kernel.contains(&0) {
            return Err("kernel, stride and dilation must be at least 1".into());
        }
        let size = |d: usize| -> Option<usize> {
            let reach = self.dilation[d].checked_mul(self.kernel[d] - 1)?.checked_add(1)?;
            let padded = space[d].checked_add(self.padding[d].0)?.checked_add(self.padding[d].1)?;
            Some(padded.checked_sub(reach)? / self.stride[d] + 1)
        };
        let sizes: Option<Vec<usize>> = (0..space.len()).map(size).collect();
        sizes.ok_or_else(|| format!("a kernel {:?} is larger than the padded space {space:?}", self.kernel))
    }
}

/// First two dimensions of a convolution's weight.
fn channels_of(weight: &AnnTensor) -> Result<(usize, usize), String> {
    match weight.shape[..] {
        [a, b, _] | [a, b, _, _] => Ok((a, b)),
        _ => Err(format!("the weight {:?} has not 1 or 2 spatial dimensions", weight.shape)),
    }
}

fn check_groups(groups: usize, channels: usize) -> Result<usize, String> {
    match groups > 0 && channels.is_multiple_of(groups) {
        true => Ok(groups),
        false => Err(format!("{channels} channels do not split into {groups} groups")),
    }
}

fn check_channels(x: &[usize], channels: Option<usize>) -> Result<(), String> {
    match x.first().copied() == channels && x.len() >= 2 {
        true => Ok(()),
        false => Err(format!("the weight is for {} channels, the input is {x:?}", channels.unwrap_or(0))),
    }
}

fn check_vector(tensor: Option<&AnnTensor>, len: usize, name: &str) -> Result<(), String> {
    match tensor {
        Some(tensor) if tensor.shape != [len] => Err(format!("{name} has shape {:?}, not [{len}]", tensor.shape)),
        _ => Ok(()),
    }
}

fn check_broadcast(shape: &[usize], to: &[usize]) -> Result<(), String> {
    let fits = shape.len() <= to.len()
        && shape.iter().rev().zip(to.iter().rev()).all(|(length, other)| *length == 1 || length == other);
    match fits {
        true => Ok(()),
        false => Err(format!("{shape:?} does not broadcast to {to:?}")),
    }
}

/// Index into a tensor of `shape` that broadcasts from the right to `to`, for each element of `to` in row-major order.
pub fn broadcast_indices(shape: &[usize], to: &[usize]) -> impl Iterator<Item = usize> + use<> {
    let count = element_count(to).expect("bug in snncc: shapes were checked");
    let offset = to.len() - shape.len();
    let mut strides = vec![0_usize; to.len()];
    let mut stride = 1;
    for d in (0..shape.len()).rev() {
        strides[d + offset] = if shape[d] == 1 { 0 } else { stride };
        stride *= shape[d];
    }
    let to = to.to_vec();
    let mut position = vec![0_usize; to.len()];
    let mut index = 0;
    (0..count).map(move |_| {
        let here = index;
        for d in (0..to.len()).rev() {
            position[d] += 1;
            index += strides[d];
            if position[d] < to[d] {
                break;
            }
            index -= strides[d] * to[d];
            position[d] = 0;
        }
        here
    })
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;

    fn convolution(weight: &[usize], stride: usize, padding: (usize, usize), groups: usize) -> AnnOp {
        let dimensions = weight.len() - 2;
        AnnOp::Convolution(AnnConvolution {
            weight: AnnTensor::fill(weight.to_vec(), 1.0),
            bias: None,
            stride: vec![stride; dimensions],
            padding: vec![padding; dimensions],
            dilation: vec![1; dimensions],
            groups,
        })
    }

    #[test]
    fn windows_give_sizes_and_reasons() {
        let shape = |op: &AnnOp, x: &[usize]| infer(op, &[x], None);
        assert_eq!(shape(&convolution(&[8, 3, 3, 3], 2, (0, 1), 1), &[3, 224, 224]).unwrap(), [8, 112, 112]);
        assert_eq!(shape(&convolution(&[8, 1, 5], 1, (2, 2), 4), &[4, 10]).unwrap(), [8, 10]);
        assert!(shape(&convolution(&[8, 3, 3, 3], 1, (0, 0), 1), &[4, 8, 8]).unwrap_err().contains("3 channels"));
        assert!(shape(&convolution(&[8, 3, 9, 9], 1, (0, 0), 1), &[3, 8, 8]).unwrap_err().contains("larger"));
        assert!(shape(&convolution(&[8, 3, 3, 3], 1, (0, 0), 3), &[9, 8, 8]).unwrap_err().contains("groups"));
        assert!(shape(&convolution(&[8, 3, 3, 3], 1, (usize::MAX, 2), 1), &[3, 8, 8]).is_err());
    }

    #[test]
    fn inputs_and_given_shapes_must_agree() {
        let sum = AnnOp::Sum { coefficients: vec![1.0, -1.0] };
        assert_eq!(infer(&sum, &[&[2, 3], &[2, 3]], None).unwrap(), [2, 3]);
        assert!(infer(&sum, &[&[2, 3]], None).unwrap_err().contains("2 are needed"));
        assert!(infer(&sum, &[&[2, 3], &[2, 4]], None).is_err());
        assert_eq!(infer(&AnnOp::Concat { axis: 0 }, &[&[2, 3], &[4, 3]], None).unwrap(), [6, 3]);
        assert!(infer(&AnnOp::Reshape, &[&[2, 3]], Some(vec![7])).is_err());
        assert!(infer(&AnnOp::Identity, &[&[2, 3]], Some(vec![6])).unwrap_err().contains("[6]"));
        let slice = AnnOp::Slice { starts: vec![0, 1], steps: vec![1, 2] };
        assert_eq!(infer(&slice, &[&[2, 4]], Some(vec![2, 2])).unwrap(), [2, 2]);
        assert!(infer(&slice, &[&[2, 3]], Some(vec![2, 2])).is_err());
        let mut ann = Ann::new();
        let x = ann.push_input("x", vec![2, 3]);
        let y = ann.push("y", AnnOp::Identity, vec![x], None).unwrap();
        assert!(ann.replace(y, AnnOp::Concat { axis: 0 }).is_ok() && matches!(ann.nodes()[y].op, AnnOp::Concat { .. }));
        assert!(ann.replace(y, sum).is_err() && matches!(ann.nodes()[y].op, AnnOp::Concat { .. }));
    }

    #[test]
    fn broadcasting_follows_the_shape_from_the_right() {
        let of = |shape: &[usize], to: &[usize]| broadcast_indices(shape, to).collect::<Vec<_>>();
        assert_eq!(of(&[3, 1], &[2, 3, 2]), [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
        assert_eq!(of(&[], &[2]), [0, 0]);
        assert_eq!(of(&[2], &[2, 2]), [0, 1, 0, 1]);
    }

    #[test]
    fn names_stay_unique_and_fills_take_no_memory() {
        let mut ann = Ann::new();
        let x = ann.push_input("x", vec![2]);
        let huge = AnnTensor::fill(vec![1 << 20, 2], 0.5);
        let linear = AnnOp::Linear(AnnLinear { weight: huge.clone(), bias: None });
        let y = ann.push("x", linear, vec![x], None).unwrap();
        assert_eq!((ann.nodes()[y].name.as_str(), ann.nodes()[y].shape[0]), ("x#2", 1 << 20));
        assert_eq!(huge.map(|value| value * 2.0).filled_with(), Some(1.0));
        assert_eq!(ann.reader_counts()[x], 1);
    }
}
