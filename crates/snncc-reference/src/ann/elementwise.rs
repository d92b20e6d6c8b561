//! Functions of single elements and of elements that stand at the same place; they overwrite their first input.

use snncc_ir::ann::shapes::broadcast_indices;
use snncc_ir::ann::{Activation, AnnBatchNorm, AnnTensor};
use std::sync::Arc;

/// A tensor that is broadcast to the shape of a value: one of `values` for every `run` elements in turn.
#[derive(Debug)]
pub(super) struct Runs {
    values: Arc<[f32]>,
    run: usize,
}

impl Runs {
    /// `tensor` broadcasts from the right to `shape`.
    pub(super) fn new(tensor: &AnnTensor, shape: &[usize]) -> Self {
        if let Some(value) = tensor.filled_with() {
            return Self { values: Arc::new([value]), run: shape.iter().product() };
        }
        // Dimensions at the end along which the tensor has one value.
        let kept = tensor.shape.iter().rposition(|len| *len > 1).map_or(0, |last| last + 1);
        let outer = shape.len() - (tensor.shape.len() - kept);
        let (outer, run) = (&shape[..outer], shape[outer..].iter().product());
        let own: usize = outer.iter().product();
        let values = if own == tensor.len() {
            tensor.to_values()
        } else {
            broadcast_indices(&tensor.shape[..kept], outer).map(|index| tensor.get(index)).collect()
        };
        Self { values, run }
    }

    /// Calls `f` with each run of `y` and its value, sample by sample.
    fn for_each(&self, y: &mut [f32], f: impl Fn(&mut [f32], f32)) {
        if self.run == 1 {
            for y in y.chunks_exact_mut(self.values.len()) {
                y.iter_mut().zip(&*self.values).for_each(|(y, value)| f(std::slice::from_mut(y), *value));
            }
            return;
        }
        for y in y.chunks_exact_mut(self.values.len() * self.run) {
            y.chunks_exact_mut(self.run).zip(&*self.values).for_each(|(y, value)| f(y, *value));
        }
    }
}

/// `y = scale y`
pub(super) fn scale(scale: &Runs, y: &mut [f32]) {
    scale.for_each(y, |y, scale| y.iter_mut().for_each(|y| *y *= scale));
}

/// `y = y + shift`
pub(super) fn shift(shift: &Runs, y: &mut [f32]) {
    shift.for_each(y, |y, shift| y.iter_mut().for_each(|y| *y += shift));
}

/// Batch normalization: `y = (y − mean) · factor + beta` by channel.
#[derive(Debug)]
pub(super) struct Normalization {
    /// Mean, factor and beta of each channel.
    channels: Vec<(f32, f32, f32)>,
    /// Elements of a channel.
    plane: usize,
}

impl Normalization {
    pub(super) fn new(norm: &AnnBatchNorm, plane: usize) -> Self {
        let channel = |channel: usize| {
            let deviation = (f64::from(norm.variance.get(channel)) + f64::from(norm.epsilon)).sqrt();
            let factor = f64::from(norm.gamma.get(channel)) / deviation;
            (norm.mean.get(channel), factor as f32, norm.beta.get(channel))
        };
        Self { channels: (0..norm.gamma.len()).map(channel).collect(), plane }
    }

    pub(super) fn run(&self, y: &mut [f32]) {
        for (y, (mean, factor, beta)) in y.chunks_exact_mut(self.plane).zip(self.channels.iter().cycle()) {
            y.iter_mut().for_each(|y| *y = (*y - mean) * factor + beta);
        }
    }
}

/// Applies a nonlinear function without slopes of its own.
///
/// The functions made of products and comparisons are in `f32` as ONNX Runtime has them; the others go through the
/// definition in `f64`.
pub(super) fn activate(activation: &Activation, y: &mut [f32]) {
    match *activation {
        Activation::Relu => apply(y, |x| x.max(0.0)),
        Activation::Clip { min, max } => apply(y, |x| x.max(min).min(max)),
        Activation::LeakyRelu { slope } => apply(y, |x| if x >= 0.0 { x } else { slope * x }),
        Activation::ThresholdedRelu { threshold } => apply(y, |x| if x > threshold { x } else { 0.0 }),
        Activation::HardSigmoid { alpha, beta } => apply(y, |x| (alpha * x + beta).clamp(0.0, 1.0)),
        Activation::HardSwish => apply(y, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        Activation::Softsign => apply(y, |x| x / (1.0 + x.abs())),
        Activation::Abs => apply(y, f32::abs),
        _ => apply(y, |x| activation.value(x.into(), 0.0) as f32),
    }
}

fn apply(y: &mut [f32], f: impl Fn(f32) -> f32) {
    y.iter_mut().for_each(|y| *y = f(*y));
}

/// `y = y` if `y ≥ 0`, else `slope · y`.
pub(super) fn parametric_relu(slope: &Runs, y: &mut [f32]) {
    slope.for_each(y, |y, slope| apply(y, |x| if x >= 0.0 { x } else { slope * x }));
}

/// `y = first · y + factor · x + …`, for all inputs but the first, which is in `y`.
pub(super) fn weighted_sum<'a>(coefficients: &[f32], x: impl Fn(usize) -> &'a [f32], y: &mut [f32]) {
    if coefficients[0] != 1.0 {
        apply(y, |x| coefficients[0] * x);
    }
    for (input, coefficient) in coefficients.iter().enumerate().skip(1) {
        y.iter_mut().zip(x(input)).for_each(|(y, x)| *y += coefficient * x);
    }
}

/// `y = max(y, x)`
pub(super) fn maximum(x: &[f32], y: &mut [f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = y.max(*x));
}

/// `y = y ∘ x`, each `x` for `run` elements.
pub(super) fn product(x: &[f32], run: usize, y: &mut [f32]) {
    if run == 1 {
        y.iter_mut().zip(x).for_each(|(y, x)| *y *= x);
        return;
    }
    for (y, x) in y.chunks_exact_mut(run).zip(x) {
        y.iter_mut().for_each(|y| *y *= x);
    }
}

/// `exp(x) / Σ exp(x)` or its logarithm along a dimension of length `len` whose neighbours stand `stride` apart.
pub(super) fn softmax(len: usize, stride: usize, log: bool, y: &mut [f32]) {
    for y in y.chunks_exact_mut(len * stride) {
        for first in 0..stride {
            let at = |index: usize| first + index * stride;
            let largest = (0..len).map(|index| y[at(index)]).fold(f32::NEG_INFINITY, f32::max);
            let exponent = |value: f32| f64::from(value) - f64::from(largest);
            let sum: f64 = (0..len).map(|index| exponent(y[at(index)]).exp()).sum();
            for index in 0..len {
                let exponent = exponent(y[at(index)]);
                y[at(index)] = if log { exponent - sum.ln() } else { exponent.exp() / sum } as f32;
            }
        }
    }
}
