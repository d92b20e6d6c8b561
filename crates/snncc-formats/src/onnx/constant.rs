//! Constants while the file is read: tensors of numbers, and the integers that shapes are made of.
//!
//! **Invariant:** a tensor of one value stays lazy under every operation that allows it, and what operations make anew is
//! counted against a [`Budget`].

use super::node::{Reading, broken, unsupported};
use snncc_ir::ann::{AnnTensor, element_count, shapes::broadcast_indices};
use std::sync::Arc;

/// Stands for the number of samples in a batch, among the integers of a shape.
pub(super) const BATCH: i64 = i64::MIN;

/// A constant of the file, or made of such.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Floats(AnnTensor),
    Integers(Integers),
}

/// Integers and truth values; [`BATCH`] may be among them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Integers {
    pub shape: Vec<usize>,
    pub values: Arc<[i64]>,
}

impl Integers {
    /// A list of integers.
    pub(super) fn vector(values: impl Into<Arc<[i64]>>) -> Self {
        let values = values.into();
        Self { shape: vec![values.len()], values }
    }
}

/// Values that operations on constants may still make. A file may need many times its size once its constants are worked
/// out; this bounds the multiple.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

/// Values that any file may make of its constants ...
pub(super) const FREE_VALUES: usize = 4 << 20;
/// ... and values per byte of file beyond it: each weight is transposed, scaled and converted a few times at most.
const VALUES_PER_BYTE: usize = 4;

impl Budget {
    /// For a file of this size.
    pub(super) fn new(file_bytes: usize) -> Self {
        Self { left: FREE_VALUES.saturating_add(file_bytes.saturating_mul(VALUES_PER_BYTE)) }
    }

    /// External data counts as part of the file.
    pub(super) fn grow(&mut self, bytes: usize) {
        self.left = self.left.saturating_add(bytes.saturating_mul(VALUES_PER_BYTE));
    }

    /// Accounts for a tensor of this shape.
    pub(super) fn take(&mut self, shape: &[usize]) -> Reading<()> {
        match element_count(shape).and_then(|count| self.left.checked_sub(count)) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => broken(format!("a constant of shape {shape:?} is more than a file of this size may compute")),
        }
    }
}

/// Positions along one dimension.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Positions {
    /// All of them, as they are.
    All,
    /// `start + k · step`, `count` of them.
    Range { start: usize, step: usize, count: usize },
    /// Any.
    List(Vec<usize>),
}

impl Positions {
    /// These positions; a range if they are one.
    pub(super) fn of(list: Vec<usize>) -> Self {
        let step = if list.len() < 2 { 1 } else { list[1].wrapping_sub(list[0]) };
        let start = list.first().copied().unwrap_or(0);
        let expected = |k: usize| step.checked_mul(k).and_then(|distance| distance.checked_add(start));
        match (1..=super::node::MAX_LENGTH).contains(&step)
            && list.iter().enumerate().all(|(k, p)| expected(k) == Some(*p))
        {
            true => Self::Range { start, step, count: list.len() },
            false => Self::List(list),
        }
    }

    /// How many, along a dimension of this length.
    pub(super) fn count(&self, length: usize) -> usize {
        match self {
            Self::All => length,
            Self::Range { count, .. } => *count,
            Self::List(list) => list.len(),
        }
    }

    /// All of them, one by one.
    pub(super) fn list(&self, length: usize) -> Vec<usize> {
        match self {
            Self::All => (0..length).collect(),
            Self::Range { start, step, count } => (0..*count).map(|k| start + k * step).collect(),
            Self::List(list) => list.clone(),
        }
    }
}

impl Constant {
    pub(super) fn shape(&self) -> &[usize] {
        match self {
            Self::Floats(tensor) => &tensor.shape,
            Self::Integers(integers) => &integers.shape,
        }
    }

    /// As numbers with a fraction.
    pub(super) fn to_floats(&self, budget: &mut Budget) -> Reading<AnnTensor> {
        match self {
            Self::Floats(tensor) => Ok(tensor.clone()),
            Self::Integers(integers) if integers.values.contains(&BATCH) => computes_with_batch(),
            Self::Integers(integers) => {
                budget.take(&integers.shape)?;
                let values: Arc<[f32]> = integers.values.iter().map(|value| *value as f32).collect();
                Ok(AnnTensor::new(integers.shape.clone(), values))
            }
        }
    }

    /// As integers; fractions are cut off.
    pub(super) fn to_integers(&self, budget: &mut Budget) -> Reading<Integers> {
        match self {
            Self::Integers(integers) => Ok(integers.clone()),
            Self::Floats(tensor) => {
                budget.take(&tensor.shape)?;
                let values = tensor.iter().map(|value| (value as i64).max(BATCH + 1)).collect();
                Ok(Integers { shape: tensor.shape.clone(), values })
            }
        }
    }

    /// The same values under a shape of as many elements.
    pub(super) fn reshaped(&self, shape: Vec<usize>) -> Self {
        match self {
            Self::Floats(tensor) => Self::Floats(tensor.reshaped(shape)),
            Self::Integers(integers) => Self::Integers(Integers { shape, values: integers.values.clone() }),
        }
    }

    /// The values at these positions, along every dimension.
    pub(super) fn select(&self, positions: &[Positions], budget: &mut Budget) -> Reading<Self> {
        if positions.iter().all(|positions| *positions == Positions::All) {
            return Ok(self.clone());
        }
        let shape: Vec<usize> = self.shape().iter().zip(positions).map(|(length, p)| p.count(*length)).collect();
        let strides = strides(self.shape());
        self.gather(shape, budget, |d| {
            positions[d].list(self.shape()[d]).into_iter().map(|position| position * strides[d]).collect()
        })
    }

    /// Dimension `d` of the result is dimension `permutation[d]`.
    pub(super) fn transposed(&self, permutation: &[usize], budget: &mut Budget) -> Reading<Self> {
        if permutation.iter().copied().eq(0..permutation.len()) {
            return Ok(self.clone());
        }
        let shape: Vec<usize> = permutation.iter().map(|d| self.shape()[*d]).collect();
        let strides = strides(self.shape());
        let lengths = shape.clone();
        self.gather(shape, budget, |d| (0..lengths[d]).map(|k| k * strides[permutation[d]]).collect())
    }

    /// Repeated along dimensions of length 1 and new ones in front, as NumPy broadcasts.
    pub(super) fn broadcast(&self, to: &[usize], budget: &mut Budget) -> Reading<Self> {
        let own = self.shape();
        if own == to {
            return Ok(self.clone());
        }
        let Some(offset) = to.len().checked_sub(own.len()) else {
            return broken(format!("{own:?} does not broadcast to {to:?}"));
        };
        let strides = strides(own);
        if (0..own.len()).any(|d| own[d] != 1 && own[d] != to[d + offset]) {
            return broken(format!("{own:?} does not broadcast to {to:?}"));
        }
        self.gather(to.to_vec(), budget, |d| match d.checked_sub(offset) {
            Some(d) if own[d] != 1 => (0..own[d]).map(|k| k * strides[d]).collect(),
            _ => vec![0; to[d]],
        })
    }

    /// A tensor of `shape` whose element at `(k0, k1, …)` is the one at index `Σ offsets(d)[kd]`.
    fn gather(&self, shape: Vec<usize>, budget: &mut Budget, offsets: impl Fn(usize) -> Vec<usize>) -> Reading<Self> {
        if let Self::Floats(tensor) = self
            && let Some(value) = tensor.filled_with()
        {
            return match element_count(&shape) {
                Some(_) => Ok(Self::Floats(AnnTensor::fill(shape, value))),
                None => broken(format!("shape {shape:?} is too large")),
            };
        }
        budget.take(&shape)?;
        // Lengths beside one of 0 are not bounded by the number of elements.
        let empty = shape.contains(&0);
        let offsets = |d: usize| if empty { Vec::new() } else { offsets(d) };
        let indices = gather_indices(&shape, offsets);
        Ok(match self {
            Self::Floats(tensor) => {
                let values = tensor.to_values();
                Self::Floats(AnnTensor::new(shape, indices.map(|index| values[index]).collect::<Vec<_>>()))
            }
            Self::Integers(integers) => {
                Self::Integers(Integers { shape, values: indices.map(|index| integers.values[index]).collect() })
            }
        })
    }

    /// Constants one after the other along a dimension.
    pub(super) fn concat(parts: &[&Self], axis: usize, budget: &mut Budget) -> Reading<Self> {
        let first = parts[0].shape();
        let agrees = |part: &&Self| {
            let shape = part.shape();
            shape.len() == first.len() && (0..first.len()).all(|d| d == axis || shape[d] == first[d])
        };
        let total = parts.iter().try_fold(0_usize, |sum, part| sum.checked_add(*part.shape().get(axis)?));
        let (true, Some(total)) = (parts.iter().all(agrees), total) else {
            return broken(format!("constants like {first:?} cannot be joined along dimension {axis}"));
        };
        let mut shape = first.to_vec();
        shape[axis] = total;
        budget.take(&shape)?;
        let outer = product(&first[..axis]);
        let rows = |part: &Self| product(&part.shape()[axis..]);
        if parts.iter().all(|part| matches!(part, Self::Integers(_))) {
            let mut values = Vec::new();
            for row in 0..outer {
                for part in parts {
                    let (Self::Integers(integers), length) = (part, rows(part)) else { continue };
                    values.extend_from_slice(&integers.values[row * length..(row + 1) * length]);
                }
            }
            return Ok(Self::Integers(Integers { shape, values: values.into() }));
        }
        let tensors: Vec<AnnTensor> = parts.iter().map(|part| part.to_floats(budget)).collect::<Reading<_>>()?;
        let mut values = Vec::new();
        for row in 0..outer {
            for (tensor, part) in tensors.iter().zip(parts) {
                let length = rows(part);
                values.extend((row * length..(row + 1) * length).map(|index| tensor.get(index)));
            }
        }
        Ok(Self::Floats(AnnTensor::new(shape, values)))
    }
}

/// Indices of [`Constant::gather`] in the order of the result, with one allocation of the size of all but the last dimension.
fn gather_indices<F: Fn(usize) -> Vec<usize>>(shape: &[usize], offsets: F) -> impl Iterator<Item = usize> + use<F> {
    let mut outer = vec![0_usize];
    let mut last = vec![0_usize];
    for d in 0..shape.len() {
        let own = offsets(d);
        if d + 1 == shape.len() {
            last = own;
        } else {
            outer = outer.iter().flat_map(|base| own.iter().map(move |offset| base + offset)).collect();
        }
    }
    let row = last.len();
    (0..outer.len() * row).map(move |index| outer[index / row] + last[index % row])
}

/// Distance of neighbours along each dimension, row-major.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for d in (1..shape.len()).rev() {
        // A tensor without elements may have lengths whose product is too large.
        strides[d - 1] = strides[d].saturating_mul(shape[d]);
    }
    strides
}

/// Number of elements of a part of a shape; beside a length of 0 others may be of any size.
pub(super) fn product(lengths: &[usize]) -> usize {
    lengths.iter().copied().fold(1, usize::saturating_mul)
}

/// The tensor with every value changed.
pub(super) fn mapped(tensor: &AnnTensor, budget: &mut Budget, f: impl Fn(f32) -> f32) -> Reading<AnnTensor> {
    if tensor.filled_with().is_none() {
        budget.take(&tensor.shape)?;
    }
    Ok(tensor.map(f))
}

/// The shape to which both broadcast, as NumPy does.
pub(super) fn broadcast_shape(a: &[usize], b: &[usize]) -> Reading<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], d: usize| (d + shape.len()).checked_sub(rank).map_or(1, |d| shape[d]);
    let joined = (0..rank).map(|d| match (at(a, d), at(b, d)) {
        (1, length) | (length, 1) => Some(length),
        (x, y) => (x == y).then_some(x),
    });
    match joined.collect::<Option<Vec<_>>>() {
        Some(shape) => Ok(shape),
        None => broken(format!("shapes {a:?} and {b:?} do not fit together")),
    }
}

/// Element by element, with broadcasting.
pub(super) fn zip_floats(
    a: &AnnTensor,
    b: &AnnTensor,
    budget: &mut Budget,
    f: impl Fn(f32, f32) -> f32,
) -> Reading<AnnTensor> {
    let shape = broadcast_shape(&a.shape, &b.shape)?;
    if let (Some(a), Some(b), Some(_)) = (uniform(a), uniform(b), element_count(&shape)) {
        return Ok(AnnTensor::fill(shape, f(a, b)));
    }
    budget.take(&shape)?;
    let pairs = broadcast_indices(&a.shape, &shape).zip(broadcast_indices(&b.shape, &shape));
    let values: Vec<f32> = pairs.map(|(i, j)| f(a.get(i), b.get(j))).collect();
    Ok(AnnTensor::new(shape, values))
}

/// Element by element, with broadcasting; `f` may refuse.
pub(super) fn zip_integers(
    a: &Integers,
    b: &Integers,
    budget: &mut Budget,
    f: impl Fn(i64, i64) -> Reading<i64>,
) -> Reading<Integers> {
    let shape = broadcast_shape(&a.shape, &b.shape)?;
    budget.take(&shape)?;
    let pairs = broadcast_indices(&a.shape, &shape).zip(broadcast_indices(&b.shape, &shape));
    let values: Vec<i64> = pairs.map(|(i, j)| f(a.values[i], b.values[j])).collect::<Reading<_>>()?;
    Ok(Integers { shape, values: values.into() })
}

/// The value of all elements, if it is kept as one or there is only one.
pub(super) fn uniform(tensor: &AnnTensor) -> Option<f32> {
    tensor.filled_with().or_else(|| (tensor.len() == 1).then(|| tensor.get(0)))
}

/// The number of samples enters a computation that would not allow to run one sample at a time.
pub(super) fn computes_with_batch<T>() -> Reading<T> {
    unsupported("it computes with the number of samples in the batch; export the model with a fixed batch of 1")
}
