//! Means over windows whose padding does not count, or not all of it: the mean with all padding counted as zeros, times a
//! constant that depends on the place alone.

use super::draft::{Draft, Value};
use snncc_ir::ann::{AnnOp, AnnPool, AnnTensor, PoolFunction};

/// A mean over windows.
pub(super) fn mean_pool(draft: &mut Draft, name: &str, x: Value, pool: &AnnPool) -> Value {
    let after: Vec<usize> = pool.padding.iter().map(|(_, after)| *after).collect();
    let is_padded = pool.padding.iter().any(|padding| *padding != (0, 0));
    let all = AnnPool { function: PoolFunction::Average, counted_after: is_padded.then_some(after), ..pool.clone() };
    let space = draft.shape(x)[1..].to_vec();
    let counts: Vec<Vec<usize>> = (0..space.len()).map(|d| counts(pool, d, space[d])).collect();
    if !is_padded || counts.iter().zip(&pool.kernel).all(|(counts, kernel)| counts.iter().all(|count| count == kernel))
    {
        return draft.push(name, AnnOp::Pool(all), vec![x], None);
    }
    let mut factors = vec![1.0_f64];
    for (counts, kernel) in counts.iter().zip(&pool.kernel) {
        let factor = |count: &usize| *kernel as f64 / *count as f64;
        factors = factors.iter().flat_map(|outer| counts.iter().map(move |count| outer * factor(count))).collect();
    }
    let shape = [1].into_iter().chain(counts.iter().map(Vec::len)).collect();
    let factors = AnnTensor::new(shape, factors.into_iter().map(|factor| factor as f32).collect::<Vec<f32>>());
    let sum = draft.push(format!("{name}/padded"), AnnOp::Pool(all), vec![x], None);
    draft.push(name, AnnOp::ScaleShift { scale: Some(factors), shift: None }, vec![sum], None)
}

/// How many elements each window counts along a dimension, at least 1.
fn counts(pool: &AnnPool, d: usize, len: usize) -> Vec<usize> {
    let (kernel, stride, dilation) = (pool.kernel[d], pool.stride[d], pool.dilation[d]);
    let (before, after) = pool.padding[d];
    let counted = pool.counted_after.as_ref().map(|after| after.get(d).copied().unwrap_or(0));
    let end = before + len + counted.unwrap_or(0);
    let outputs = (len + before + after - (dilation * (kernel - 1) + 1)) / stride + 1;
    let counts = |place: usize| place < end && (counted.is_some() || place >= before);
    let count = |o: usize| (0..kernel).filter(|k| counts(o * stride + k * dilation)).count().max(1);
    (0..outputs).map(count).collect()
}
