//! Fully connected layers.

use super::matrix;
use snncc_ir::ann::{AnnLinear, AnnTensor};
use std::sync::Arc;

/// `y = W x + b`, for every row of the last dimension.
#[derive(Debug)]
pub(super) struct Linear {
    inputs: usize,
    outputs: usize,
    weight: Weight,
    bias: Option<AnnTensor>,
}

/// Weights: shared with the [`snncc_ir::ann::Ann`], or one value that stands for all.
#[derive(Debug)]
pub(super) enum Weight {
    Stored(Arc<[f32]>),
    Filled(f32),
}

impl Weight {
    pub(super) fn new(tensor: &AnnTensor) -> Self {
        tensor.filled_with().map_or_else(|| Self::Stored(tensor.to_values()), Self::Filled)
    }
}

/// Element `index` of a bias, or 0.
pub(super) fn bias_at(bias: Option<&AnnTensor>, index: usize) -> f32 {
    bias.map_or(0.0, |bias| bias.get(index))
}

impl Linear {
    pub(super) fn new(linear: &AnnLinear) -> Self {
        Self {
            inputs: linear.weight.shape[1],
            outputs: linear.weight.shape[0],
            weight: Weight::new(&linear.weight),
            bias: linear.bias.clone(),
        }
    }

    pub(super) fn run(&self, x: &[f32], y: &mut [f32]) {
        for row in y.chunks_exact_mut(self.outputs) {
            row.iter_mut().enumerate().for_each(|(index, y)| *y = bias_at(self.bias.as_ref(), index));
        }
        match &self.weight {
            Weight::Stored(weight) => {
                let count = x.len() / self.inputs;
                matrix::add_product(
                    &matrix::rows(x, count, self.inputs, self.inputs),
                    &matrix::rows(weight, self.outputs, self.inputs, self.inputs).reversed_axes(),
                    matrix::rows_mut(y, count, self.outputs, self.outputs),
                );
            }
            // All rows of the weight are equal: one sum serves all outputs.
            Weight::Filled(weight) => {
                for (x, y) in x.chunks_exact(self.inputs).zip(y.chunks_exact_mut(self.outputs)) {
                    let sum: f64 = x.iter().map(|x| f64::from(*x)).sum();
                    let product = (f64::from(*weight) * sum) as f32;
                    y.iter_mut().for_each(|y| *y += product);
                }
            }
        }
    }
}
