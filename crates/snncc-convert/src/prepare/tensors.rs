//! Factors and constants that broadcast to a value's shape: what they depend on, and where its elements are moved to.

use snncc_ir::ann::shapes::broadcast_indices;
use snncc_ir::ann::{AnnOp, AnnTensor};

/// The one value of all elements, if there is one.
pub(super) fn uniform(tensor: &AnnTensor) -> Option<f32> {
    tensor.filled_with().or_else(|| {
        let first = tensor.get(0);
        tensor.iter().all(|value| value == first).then_some(first)
    })
}

/// One value per index of dimension `dim` of `shape`, if a tensor that broadcasts to it depends on nothing else.
pub(super) fn along(tensor: &AnnTensor, shape: &[usize], dim: usize) -> Option<Vec<f64>> {
    if let Some(value) = uniform(tensor) {
        return Some(vec![value.into(); shape[dim]]);
    }
    let at = dim.checked_sub(shape.len() - tensor.shape.len())?;
    let (len, inner) = (tensor.shape[at], tensor.shape[at + 1..].iter().product::<usize>());
    let mut values: Vec<Option<f32>> = vec![None; len];
    for (index, value) in tensor.iter().enumerate() {
        let known = values[index / inner % len].get_or_insert(value);
        if *known != value {
            return None;
        }
    }
    let value = |index: usize| values[if len == 1 { 0 } else { index }].expect("bug in snncc: all were seen");
    Some((0..shape[dim]).map(|index| value(index).into()).collect())
}

/// A tensor in the whole shape that it broadcasts to.
pub(super) fn expanded(tensor: &AnnTensor, shape: &[usize]) -> AnnTensor {
    if let Some(value) = uniform(tensor) {
        return AnnTensor::fill(shape.to_vec(), value);
    }
    let values: Vec<f32> = broadcast_indices(&tensor.shape, shape).map(|index| tensor.get(index)).collect();
    AnnTensor::new(shape.to_vec(), values)
}

/// The factors in front of a Reshape or Transpose `(x → y)` that do what `tensor` does behind it.
pub(super) fn moved_up(tensor: &AnnTensor, op: &AnnOp, x: &[usize], y: &[usize]) -> AnnTensor {
    let full = expanded(tensor, y);
    match op {
        AnnOp::Transpose { permutation } => {
            let mut back = vec![0; permutation.len()];
            permutation.iter().enumerate().for_each(|(d, source)| back[*source] = d);
            transposed(&full, &back)
        }
        _ => full.reshaped(x.to_vec()),
    }
}

/// The factors behind a Reshape or Transpose that do what `tensor` does in front of it.
pub(super) fn moved_down(tensor: &AnnTensor, op: &AnnOp, x: &[usize], y: &[usize]) -> AnnTensor {
    let full = expanded(tensor, x);
    match op {
        AnnOp::Transpose { permutation } => transposed(&full, permutation),
        _ => full.reshaped(y.to_vec()),
    }
}

fn transposed(tensor: &AnnTensor, permutation: &[usize]) -> AnnTensor {
    let shape: Vec<usize> = permutation.iter().map(|d| tensor.shape[*d]).collect();
    if let Some(value) = tensor.filled_with() {
        return AnnTensor::fill(shape, value);
    }
    let stride = |d: usize| tensor.shape[d + 1..].iter().product::<usize>();
    let strides: Vec<usize> = permutation.iter().map(|d| stride(*d)).collect();
    let place = |index: usize| {
        let (mut rest, mut source) = (index, 0);
        for d in (0..shape.len()).rev() {
            source += rest % shape[d] * strides[d];
            rest /= shape[d];
        }
        source
    };
    let values: Vec<f32> = (0..tensor.len()).map(|index| tensor.get(place(index))).collect();
    AnnTensor::new(shape, values)
}

/// `second(first(x))` of two affine maps of single elements, as scale and shift.
pub(super) fn composed(
    first: (Option<&AnnTensor>, Option<&AnnTensor>),
    second: (Option<&AnnTensor>, Option<&AnnTensor>),
) -> (Option<AnnTensor>, Option<AnnTensor>) {
    let scaled = match second.0 {
        Some(scale) => first.1.map(|shift| combined(shift, scale, |a, b| a * b)),
        None => first.1.cloned(),
    };
    (either(first.0, second.0, |a, b| a * b), either(scaled.as_ref(), second.1, |a, b| a + b))
}

fn either(a: Option<&AnnTensor>, b: Option<&AnnTensor>, f: impl Fn(f64, f64) -> f64) -> Option<AnnTensor> {
    match (a, b) {
        (Some(a), Some(b)) => Some(combined(a, b, f)),
        _ => a.or(b).cloned(),
    }
}

/// `f` of two tensors that broadcast against each other.
fn combined(a: &AnnTensor, b: &AnnTensor, f: impl Fn(f64, f64) -> f64) -> AnnTensor {
    let rank = a.shape.len().max(b.shape.len());
    let length = |tensor: &AnnTensor, d: usize| d.checked_sub(rank - tensor.shape.len()).map_or(1, |d| tensor.shape[d]);
    let shape: Vec<usize> = (0..rank).map(|d| length(a, d).max(length(b, d))).collect();
    if let (Some(a), Some(b)) = (a.filled_with(), b.filled_with()) {
        return AnnTensor::fill(shape, f(a.into(), b.into()) as f32);
    }
    let pairs = broadcast_indices(&a.shape, &shape).zip(broadcast_indices(&b.shape, &shape));
    let values: Vec<f32> = pairs.map(|(i, j)| f(a.get(i).into(), b.get(j).into()) as f32).collect();
    AnnTensor::new(shape, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize], values: &[f32]) -> AnnTensor {
        AnnTensor::new(shape.to_vec(), values.to_vec())
    }

    #[test]
    fn what_a_tensor_depends_on() {
        let channels = tensor(&[2, 1, 1], &[1.0, 2.0]);
        assert_eq!(along(&channels, &[2, 3, 4], 0).unwrap(), [1.0, 2.0]);
        assert_eq!(along(&channels, &[2, 3, 4], 1), None);
        assert_eq!(along(&tensor(&[2, 2], &[1.0, 1.0, 3.0, 3.0]), &[5, 2, 2], 1).unwrap(), [1.0, 3.0]);
        assert_eq!(along(&tensor(&[2, 2], &[1.0, 1.0, 3.0, 4.0]), &[5, 2, 2], 1), None);
        assert_eq!(along(&tensor(&[2], &[1.0, 3.0]), &[4, 2], 0), None);
        assert_eq!(along(&AnnTensor::fill(vec![], 5.0), &[2, 2], 0).unwrap(), [5.0, 5.0]);
    }

    #[test]
    fn factors_follow_the_elements() {
        let op = AnnOp::Transpose { permutation: vec![1, 0] };
        let factors = tensor(&[2, 1], &[1.0, 2.0]);
        let below = moved_down(&factors, &op, &[2, 3], &[3, 2]);
        assert_eq!(*below.to_values(), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
        assert_eq!(along(&moved_up(&below, &op, &[2, 3], &[3, 2]), &[2, 3], 0).unwrap(), [1.0, 2.0]);
        let flat = moved_down(&factors, &AnnOp::Reshape, &[2, 3], &[6]);
        assert_eq!(*flat.to_values(), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    fn affine_maps_compose() {
        let (a, b) = (tensor(&[2, 1], &[2.0, 3.0]), tensor(&[2], &[1.0, -1.0]));
        let (scale, shift) = composed((Some(&a), Some(&b)), (Some(&a), Some(&b)));
        assert_eq!(*scale.unwrap().to_values(), [4.0, 9.0]);
        assert_eq!(*shift.unwrap().to_values(), [3.0, -3.0, 4.0, -4.0]);
        assert_eq!(composed((None, None), (Some(&a), None)), (Some(a), None));
    }
}
