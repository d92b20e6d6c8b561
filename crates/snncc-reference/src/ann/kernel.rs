//! What a node does, prepared: shapes are worked out, and what every element would ask is asked once.

use super::convolution::Convolution;
use super::elementwise::{self, Normalization, Runs};
use super::layout::{Concat, Layout, strides};
use super::linear::Linear;
use super::pool::{self, Pool, ResponseNorm};
use snncc_ir::ann::{Activation, AnnNode, AnnOp, PoolFunction};

/// What a node does.
#[derive(Debug)]
pub(super) enum Kernel {
    /// Takes the value of an input port.
    Input { port: usize },
    /// Its value is that of its input.
    Alias,
    /// Overwrites its first input.
    Over(Over),
    /// Reads its inputs and writes elsewhere.
    Apart(Apart),
}

/// Kernels that find their first input in `y`.
#[derive(Debug)]
pub(super) enum Over {
    Scale {
        scale: Option<Runs>,
        shift: Option<Runs>,
    },
    Normalize(Normalization),
    Activate(Activation),
    ParametricRelu(Runs),
    Sum(Vec<f32>),
    Maximum {
        inputs: usize,
    },
    /// Each element of the second input is for `run` of the first.
    Product {
        run: usize,
    },
    Softmax {
        len: usize,
        stride: usize,
        log: bool,
    },
}

/// Kernels that write every element of `y`.
#[derive(Debug)]
pub(super) enum Apart {
    Linear(Linear),
    Convolve(Convolution),
    Pool(Pool),
    GlobalPool { function: PoolFunction, plane: usize },
    ResponseNorm(ResponseNorm),
    Gather(Layout),
    Pad { layout: Layout, value: f32 },
    Concat(Concat),
}

/// A kernel and the order in which it wants the inputs of its node.
pub(super) struct Prepared {
    pub(super) kernel: Kernel,
    pub(super) swapped: bool,
}

impl Kernel {
    /// Prepares a node; `inputs` are the shapes of its inputs. `port` is the number of the next input port.
    ///
    /// # Errors
    /// Why it cannot be executed, in a sentence.
    pub(super) fn prepare(node: &AnnNode, inputs: &[&[usize]], port: usize) -> Result<Prepared, String> {
        let y = &node.shape[..];
        let x = inputs.first().copied().unwrap_or(&[]);
        let mut swapped = false;
        let kernel = match &node.op {
            AnnOp::Input => Self::Input { port },
            AnnOp::Reshape | AnnOp::Identity => Self::Alias,
            AnnOp::Linear(linear) => Self::Apart(Apart::Linear(Linear::new(linear))),
            AnnOp::Convolution(layer) => Self::Apart(Apart::Convolve(Convolution::new(layer, x, y))),
            AnnOp::ConvolutionTranspose(layer) => {
                if layer.stride.contains(&0) {
                    return Err("the stride of a transposed convolution must be at least 1".into());
                }
                Self::Apart(Apart::Convolve(Convolution::transpose(layer, x, y)))
            }
            AnnOp::BatchNorm(norm) => Self::Over(Over::Normalize(Normalization::new(norm, x.iter().skip(1).product()))),
            AnnOp::ScaleShift { scale, shift } => {
                let runs = |tensor: &Option<_>| tensor.as_ref().map(|tensor| Runs::new(tensor, x));
                Self::Over(Over::Scale { scale: runs(scale), shift: runs(shift) })
            }
            AnnOp::Activation(Activation::PRelu { slope }) => Self::Over(Over::ParametricRelu(Runs::new(slope, x))),
            AnnOp::Activation(activation) => Self::Over(Over::Activate(activation.clone())),
            AnnOp::Pool(pool) => Self::Apart(Apart::Pool(Pool::new(pool, x, y))),
            AnnOp::GlobalPool(function) => {
                Self::Apart(Apart::GlobalPool { function: *function, plane: x[1..].iter().product() })
            }
            AnnOp::Transpose { permutation } => {
                Self::Apart(Apart::Gather(Layout::new(y, x, |d| permutation[d], |_, i| i)))
            }
            AnnOp::Pad { before, value, .. } => {
                Self::Apart(Apart::Pad { layout: Layout::new(x, y, |d| d, |d, i| before[d] + i), value: *value })
            }
            AnnOp::Slice { starts, steps } => {
                Self::Apart(Apart::Gather(Layout::new(y, x, |d| d, |d, i| starts[d] + i * steps[d])))
            }
            AnnOp::Resample { indices } => Self::Apart(Apart::Gather(Layout::new(y, x, |d| d, |d, i| indices[d][i]))),
            AnnOp::Sum { coefficients } => Self::Over(Over::Sum(coefficients.clone())),
            AnnOp::Product => {
                swapped = x != y;
                let gate = if swapped { x } else { inputs[1] };
                let run = if gate == y { 1 } else { y[1..].iter().product() };
                Self::Over(Over::Product { run })
            }
            AnnOp::Maximum => Self::Over(Over::Maximum { inputs: inputs.len() }),
            AnnOp::Concat { axis } => Self::Apart(Apart::Concat(Concat {
                parts: inputs.iter().map(|shape| shape[*axis..].iter().product()).collect(),
            })),
            AnnOp::Softmax { axis, log } => {
                Self::Over(Over::Softmax { len: x[*axis], stride: strides(x)[*axis], log: *log })
            }
            AnnOp::LocalResponseNorm { size, alpha, beta, bias } => Self::Apart(Apart::ResponseNorm(ResponseNorm {
                channels: x.first().copied().unwrap_or(1),
                plane: x.iter().skip(1).product(),
                size: *size,
                alpha: *alpha,
                beta: *beta,
                bias: *bias,
            })),
            AnnOp::Unsupported { reason } => return Err(reason.clone()),
        };
        Ok(Prepared { kernel, swapped })
    }

    /// Elements of scratch that the kernel needs for this many samples.
    pub(super) fn scratch_elements(&self, samples: usize) -> usize {
        match self {
            Self::Apart(Apart::Convolve(convolution)) => convolution.scratch_elements(samples),
            _ => 0,
        }
    }
}

impl Over {
    /// `y` holds the first input; `x` gives the others.
    pub(super) fn run<'a>(&self, x: impl Fn(usize) -> &'a [f32], y: &mut [f32]) {
        match self {
            Self::Scale { scale, shift } => {
                scale.iter().for_each(|scale| elementwise::scale(scale, y));
                shift.iter().for_each(|shift| elementwise::shift(shift, y));
            }
            Self::Normalize(norm) => norm.run(y),
            Self::Activate(activation) => elementwise::activate(activation, y),
            Self::ParametricRelu(slope) => elementwise::parametric_relu(slope, y),
            Self::Sum(coefficients) => elementwise::weighted_sum(coefficients, x, y),
            Self::Maximum { inputs } => (1..*inputs).for_each(|input| elementwise::maximum(x(input), y)),
            Self::Product { run } => elementwise::product(x(1), *run, y),
            Self::Softmax { len, stride, log } => elementwise::softmax(*len, *stride, *log, y),
        }
    }
}

impl Apart {
    /// Writes `y` from the inputs `x`.
    pub(super) fn run<'a>(&self, x: impl Fn(usize) -> &'a [f32], y: &mut [f32], scratch: &mut [f32]) {
        match self {
            Self::Linear(linear) => linear.run(x(0), y),
            Self::Convolve(convolution) => convolution.run(x(0), y, scratch),
            Self::Pool(pool) => pool.run(x(0), y),
            Self::GlobalPool { function, plane } => pool::global(*function, *plane, x(0), y),
            Self::ResponseNorm(norm) => norm.run(x(0), y),
            Self::Gather(layout) => layout.gather(x(0), y),
            Self::Pad { layout, value } => layout.scatter(x(0), *value, y),
            Self::Concat(concat) => concat.run(x, y),
        }
    }
}
