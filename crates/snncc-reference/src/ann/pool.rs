//! Means and maxima over windows and over whole channels, and the normalization over neighbouring channels.

use super::axis::Axis;
use snncc_ir::ann::{AnnPool, PoolFunction};

/// Mean or maximum over windows.
#[derive(Debug)]
pub(super) struct Pool {
    function: PoolFunction,
    /// Height and width; height 1 if there is one dimension.
    axes: [Axis; 2],
    /// Elements that a mean counts in each window along height and width.
    counts: [Vec<usize>; 2],
}

impl Pool {
    pub(super) fn new(pool: &AnnPool, x: &[usize], y: &[usize]) -> Self {
        let axis = |d: usize| Axis {
            input: x[d + 1],
            output: y[d + 1],
            kernel: pool.kernel[d],
            stride: pool.stride[d],
            dilation: pool.dilation[d],
            before: pool.padding[d].0,
        };
        let axes = Axis::pair(x.len() - 1, axis);
        let after = |d: usize| pool.counted_after.as_ref().map(|after| after.get(d).copied().unwrap_or(0));
        let after = if x.len() == 2 { [after(0).map(|_| 0), after(0)] } else { [after(0), after(1)] };
        let counts = [0, 1].map(|d: usize| {
            let (axis, end) = (&axes[d], axes[d].input.saturating_add(after[d].unwrap_or(0)));
            (0..axis.output).map(|o| axis.count(o, after[d].is_some(), end)).collect()
        });
        Self { function: pool.function, axes, counts }
    }

    /// `x` is `(…, height, width)`, so is `y`. A window without elements has mean 0 and the lowest maximum.
    pub(super) fn run(&self, x: &[f32], y: &mut [f32]) {
        let [vertical, horizontal] = &self.axes;
        let planes = x.chunks_exact(vertical.input * horizontal.input);
        for (x, y) in planes.zip(y.chunks_exact_mut(vertical.output * horizontal.output)) {
            match self.function {
                PoolFunction::Maximum => self.fold(x, y, f32::MIN, f32::max),
                PoolFunction::Average => {
                    self.fold(x, y, 0.0, |sum, x| sum + x);
                    for (y, rows) in y.chunks_exact_mut(horizontal.output).zip(&self.counts[0]) {
                        for (y, columns) in y.iter_mut().zip(&self.counts[1]) {
                            *y /= (rows * columns).max(1) as f32;
                        }
                    }
                }
            }
        }
    }

    fn fold(&self, x: &[f32], y: &mut [f32], start: f32, f: impl Fn(f32, f32) -> f32) {
        let [vertical, horizontal] = &self.axes;
        y.fill(start);
        for ky in 0..vertical.kernel {
            let rows = vertical.inside(ky);
            for kx in 0..horizontal.kernel {
                let columns = horizontal.inside(kx);
                if columns.is_empty() {
                    continue;
                }
                for row in rows.clone() {
                    let x = &x[vertical.position(row, ky) * horizontal.input..][..horizontal.input];
                    let x = &x[horizontal.position(columns.start, kx)..];
                    let y = &mut y[row * horizontal.output..][columns.clone()];
                    match horizontal.stride {
                        1 => y.iter_mut().zip(x).for_each(|(y, x)| *y = f(*y, *x)),
                        stride => y.iter_mut().zip(x.iter().step_by(stride)).for_each(|(y, x)| *y = f(*y, *x)),
                    }
                }
            }
        }
    }
}

/// Mean or maximum of every `plane` elements.
pub(super) fn global(function: PoolFunction, plane: usize, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks_exact(plane).zip(y) {
        *y = match function {
            PoolFunction::Average => (x.iter().map(|x| f64::from(*x)).sum::<f64>() / plane as f64) as f32,
            PoolFunction::Maximum => x.iter().copied().fold(f32::MIN, f32::max),
        };
    }
}

/// Local response normalization; its fields as in [`snncc_ir::ann::AnnOp::LocalResponseNorm`].
#[derive(Debug)]
pub(super) struct ResponseNorm {
    pub(super) channels: usize,
    /// Elements of a channel.
    pub(super) plane: usize,
    pub(super) size: usize,
    pub(super) alpha: f32,
    pub(super) beta: f32,
    pub(super) bias: f32,
}

impl ResponseNorm {
    /// `x` is `(samples, channels, plane)`, so is `y`. The sum of channel `c` goes from `c − ⌊(size − 1)/2⌋` to
    /// `c + ⌈(size − 1)/2⌉`, as ONNX has it.
    pub(super) fn run(&self, x: &[f32], y: &mut [f32]) {
        let around = self.size.saturating_sub(1);
        let (below, above) = (around / 2, around.div_ceil(2));
        let factor = f64::from(self.alpha) / self.size.max(1) as f64;
        let sample = self.channels * self.plane;
        for (x, y) in x.chunks_exact(sample).zip(y.chunks_exact_mut(sample)) {
            for (channel, y) in y.chunks_exact_mut(self.plane).enumerate() {
                let last = channel.saturating_add(above).min(self.channels - 1);
                let summed = &x[channel.saturating_sub(below) * self.plane..(last + 1) * self.plane];
                y.fill(0.0);
                for x in summed.chunks_exact(self.plane) {
                    y.iter_mut().zip(x).for_each(|(y, x)| *y += x * x);
                }
                for (y, x) in y.iter_mut().zip(&x[channel * self.plane..]) {
                    let norm = f64::from(self.bias) + factor * f64::from(*y);
                    *y = (f64::from(*x) / norm.powf(self.beta.into())) as f32;
                }
            }
        }
    }
}
