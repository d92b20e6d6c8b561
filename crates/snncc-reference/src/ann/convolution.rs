//! Convolutions and their transposes: as matrix products over columns of windows, or directly where a group has hardly any
//! channels. One-dimensional layers have height 1.

use super::axis::Axis;
use super::linear::{Weight, bias_at};
use super::matrix;
use snncc_ir::ann::{AnnConvolution, AnnConvolutionTranspose, AnnTensor};

/// `f32` values of a block of columns: 256 KiB, a part of the second-level cache.
const COLUMN_ELEMENTS: usize = 1 << 16;

/// Columns below which a product spends more on repacking the weights than on multiplying.
const COLUMNS: usize = 256;

/// Channels per group up to which columns do not pay.
const DIRECT_CHANNELS: usize = 2;

/// A convolution, or the transpose of one: then `y` is what its windows lie on.
#[derive(Debug)]
pub(super) struct Convolution {
    groups: usize,
    /// Channels of `x` and of `y` in a group.
    inputs: usize,
    outputs: usize,
    /// Height and width.
    axes: [Axis; 2],
    weight: Weight,
    bias: Option<AnnTensor>,
    transposed: bool,
}

/// How the windows are split into blocks of columns.
struct Blocks {
    /// Rows of windows in a block.
    rows: usize,
    /// Samples in a block; more than 1 only if it has all rows.
    samples: usize,
}

impl Convolution {
    pub(super) fn new(layer: &AnnConvolution, x: &[usize], y: &[usize]) -> Self {
        let axis = |d: usize| Axis {
            input: x[d + 1],
            output: y[d + 1],
            kernel: layer.weight.shape[d + 2],
            stride: layer.stride[d],
            dilation: layer.dilation[d],
            before: layer.padding[d].0,
        };
        Self {
            groups: layer.groups,
            inputs: x[0] / layer.groups,
            outputs: y[0] / layer.groups,
            axes: Axis::pair(x.len() - 1, axis),
            weight: Weight::new(&layer.weight),
            bias: layer.bias.clone(),
            transposed: false,
        }
    }

    pub(super) fn transpose(layer: &AnnConvolutionTranspose, x: &[usize], y: &[usize]) -> Self {
        let axis = |d: usize| Axis {
            input: y[d + 1],
            output: x[d + 1],
            kernel: layer.weight.shape[d + 2],
            stride: layer.stride[d],
            dilation: layer.dilation[d],
            before: layer.padding[d].0,
        };
        Self {
            groups: layer.groups,
            inputs: x[0] / layer.groups,
            outputs: y[0] / layer.groups,
            axes: Axis::pair(x.len() - 1, axis),
            weight: Weight::new(&layer.weight),
            bias: layer.bias.clone(),
            transposed: true,
        }
    }

    /// Elements of scratch that [`Self::run`] needs for this many samples.
    pub(super) fn scratch_elements(&self, samples: usize) -> usize {
        if matches!(self.weight, Weight::Filled(_)) {
            return self.x_plane();
        }
        if self.is_direct() {
            return 0;
        }
        let blocks = self.blocks(samples);
        let columns = blocks.rows.saturating_mul(self.axes[1].output).saturating_mul(blocks.samples);
        let of_products = if blocks.samples > 1 { self.outputs } else { 0 };
        self.column_length().saturating_add(of_products).saturating_mul(columns)
    }

    /// `x` is `(samples, channels, …)`, so is `y`. `scratch` has at least [`Self::scratch_elements`].
    pub(super) fn run(&self, x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let (x_sample, y_sample) = (self.x_plane() * self.inputs * self.groups, self.y_plane() * self.channels_out());
        let weight = match &self.weight {
            Weight::Stored(weight) => &weight[..],
            Weight::Filled(weight) => {
                for (x, y) in x.chunks_exact(x_sample).zip(y.chunks_exact_mut(y_sample)) {
                    self.filled(*weight, x, y, scratch);
                }
                return;
            }
        };
        for (index, plane) in y.chunks_exact_mut(self.y_plane()).enumerate() {
            plane.fill(bias_at(self.bias.as_ref(), index % self.channels_out()));
        }
        if self.transposed {
            for (x, y) in x.chunks_exact(x_sample).zip(y.chunks_exact_mut(y_sample)) {
                self.scatter_columns(weight, x, y, scratch);
            }
        } else if self.is_direct() {
            for (x, y) in x.chunks_exact(x_sample).zip(y.chunks_exact_mut(y_sample)) {
                self.direct(weight, x, y);
            }
        } else {
            let samples = self.blocks(x.len() / x_sample).samples;
            for (x, y) in x.chunks(x_sample * samples).zip(y.chunks_mut(y_sample * samples)) {
                self.gather_columns(weight, x, y, scratch);
            }
        }
    }

    fn x_plane(&self) -> usize {
        self.axes.iter().map(|axis| if self.transposed { axis.output } else { axis.input }).product()
    }

    fn y_plane(&self) -> usize {
        self.axes.iter().map(|axis| if self.transposed { axis.input } else { axis.output }).product()
    }

    fn kernel(&self) -> usize {
        self.axes[0].kernel.saturating_mul(self.axes[1].kernel)
    }

    fn channels_out(&self) -> usize {
        self.groups * self.outputs
    }

    /// Elements of a column: of a window over the channels of a group.
    fn column_length(&self) -> usize {
        self.kernel().saturating_mul(if self.transposed { self.outputs } else { self.inputs })
    }

    fn is_direct(&self) -> bool {
        !self.transposed && self.outputs <= DIRECT_CHANNELS
    }

    fn blocks(&self, samples: usize) -> Blocks {
        let columns = (COLUMN_ELEMENTS / self.column_length().max(1)).max(COLUMNS);
        let [height, width] = self.axes.map(|axis| axis.output);
        let rows = (columns / width).clamp(1, height);
        let joins = !self.transposed && rows == height && height * width < COLUMNS;
        Blocks { rows, samples: if joins { (columns / (height * width)).clamp(1, samples.max(1)) } else { 1 } }
    }

    /// One sample of a layer whose weights are all equal: one channel of `x`, the sum of those of a group, and one of `y`.
    fn filled(&self, weight: f32, x: &[f32], y: &mut [f32], sum: &mut [f32]) {
        let (x_plane, y_plane) = (self.x_plane(), self.y_plane());
        let sum = &mut sum[..x_plane];
        let groups = x.chunks_exact(x_plane * self.inputs).zip(y.chunks_exact_mut(y_plane * self.outputs));
        for (group, (x, y)) in groups.enumerate() {
            sum.fill(0.0);
            for plane in x.chunks_exact(x_plane) {
                sum.iter_mut().zip(plane).for_each(|(sum, x)| *sum += x);
            }
            let sum = &*sum;
            let (one, others) = y.split_at_mut(y_plane);
            one.fill(0.0);
            match self.transposed {
                true => self.scatter(|_| (sum, weight), 0..self.axes[0].output, one),
                false => self.accumulate(sum, |_| weight, one),
            }
            let bias = |channel: usize| bias_at(self.bias.as_ref(), group * self.outputs + channel);
            for (channel, other) in others.chunks_exact_mut(y_plane).enumerate() {
                other.iter_mut().zip(&*one).for_each(|(y, one)| *y = one + bias(channel + 1));
            }
            one.iter_mut().for_each(|y| *y += bias(0));
        }
    }

    /// One sample, channel by channel.
    fn direct(&self, weight: &[f32], x: &[f32], y: &mut [f32]) {
        let (x_plane, kernel) = (self.x_plane(), self.kernel());
        for (channel, y) in y.chunks_exact_mut(self.y_plane()).enumerate() {
            let x = &x[channel / self.outputs * self.inputs * x_plane..][..self.inputs * x_plane];
            let weight = &weight[channel * self.inputs * kernel..][..self.inputs * kernel];
            for (x, weight) in x.chunks_exact(x_plane).zip(weight.chunks_exact(kernel)) {
                self.accumulate(x, |k| weight[k], y);
            }
        }
    }

    /// Adds what one channel of `x` gives to one of `y`.
    fn accumulate(&self, x: &[f32], weight: impl Fn(usize) -> f32, y: &mut [f32]) {
        let [vertical, horizontal] = &self.axes;
        for (ky, kx) in pairs(vertical.kernel, horizontal.kernel) {
            let (weight, columns) = (weight(ky * horizontal.kernel + kx), horizontal.inside(kx));
            if columns.is_empty() {
                continue;
            }
            for row in vertical.inside(ky) {
                let x = &x[vertical.position(row, ky) * horizontal.input..][..horizontal.input];
                let x = &x[horizontal.position(columns.start, kx)..];
                let y = &mut y[row * horizontal.output..][columns.clone()];
                match horizontal.stride {
                    1 => y.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x),
                    stride => y.iter_mut().zip(x.iter().step_by(stride)).for_each(|(y, x)| *y += weight * x),
                }
            }
        }
    }

    /// `y = W · columns` for some samples; `y` has the bias.
    fn gather_columns(&self, weight: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let [vertical, horizontal] = &self.axes;
        let (length, x_plane, y_plane) = (self.column_length(), self.x_plane(), self.y_plane());
        let (x_group, y_group) = (x_plane * self.inputs, y_plane * self.outputs);
        let samples = x.len() / (x_group * self.groups);
        let is_pointwise = |axis: &Axis| axis.kernel == 1 && axis.stride == 1 && axis.input == axis.output;
        let pointwise = self.axes.iter().all(is_pointwise) && vertical.before == 0 && horizontal.before == 0;
        for group in 0..self.groups {
            let weight = matrix::rows(
                &weight[group * self.outputs * length..][..self.outputs * length],
                self.outputs,
                length,
                length,
            );
            let x_of = |sample: usize| &x[(sample * self.groups + group) * x_group..][..x_group];
            if samples > 1 {
                let columns = samples * y_plane;
                let (block, products) = scratch.split_at_mut(length * columns);
                let products = &mut products[..self.outputs * columns];
                for sample in 0..samples {
                    self.fill_columns(x_of(sample), 0..vertical.output, block, sample * y_plane, columns);
                }
                for (channel, products) in products.chunks_exact_mut(columns).enumerate() {
                    products.fill(bias_at(self.bias.as_ref(), group * self.outputs + channel));
                }
                matrix::add_product(
                    &weight,
                    &matrix::rows(block, length, columns, columns),
                    matrix::rows_mut(products, self.outputs, columns, columns),
                );
                for (sample, channel) in pairs(samples, self.outputs) {
                    let y = &mut y[(sample * self.groups + group) * y_group + channel * y_plane..][..y_plane];
                    y.copy_from_slice(&products[channel * columns + sample * y_plane..][..y_plane]);
                }
                continue;
            }
            let x = x_of(0);
            let y = &mut y[group * y_group..][..y_group];
            if pointwise {
                let x = matrix::rows(x, length, y_plane, y_plane);
                matrix::add_product(&weight, &x, matrix::rows_mut(y, self.outputs, y_plane, y_plane));
                continue;
            }
            let block_rows = self.blocks(1).rows;
            for start in (0..vertical.output).step_by(block_rows) {
                let rows = start..vertical.output.min(start + block_rows);
                let columns = rows.len() * horizontal.output;
                let block = &mut scratch[..length * columns];
                self.fill_columns(x, rows, block, 0, columns);
                matrix::add_product(
                    &weight,
                    &matrix::rows(block, length, columns, columns),
                    matrix::rows_mut(&mut y[start * horizontal.output..], self.outputs, columns, y_plane),
                );
            }
        }
    }

    /// Writes the windows of some rows over one group of one sample into `block (column length, columns)`, from column
    /// `first` on.
    fn fill_columns(&self, x: &[f32], rows: std::ops::Range<usize>, block: &mut [f32], first: usize, columns: usize) {
        let [vertical, horizontal] = &self.axes;
        let mut lines = block.chunks_exact_mut(columns);
        for plane in x.chunks_exact(self.x_plane()) {
            for (ky, kx) in pairs(vertical.kernel, horizontal.kernel) {
                let line = lines.next().expect("bug in snncc: a column per weight");
                let line = &mut line[first..][..rows.len() * horizontal.output];
                let (inside_y, inside_x) = (vertical.inside(ky), horizontal.inside(kx));
                for (row, line) in rows.clone().zip(line.chunks_exact_mut(horizontal.output)) {
                    if !inside_y.contains(&row) || inside_x.is_empty() {
                        line.fill(0.0);
                        continue;
                    }
                    let x = &plane[vertical.position(row, ky) * horizontal.input..][..horizontal.input];
                    let x = &x[horizontal.position(inside_x.start, kx)..];
                    line[..inside_x.start].fill(0.0);
                    line[inside_x.end..].fill(0.0);
                    let line = &mut line[inside_x.clone()];
                    match horizontal.stride {
                        1 => line.copy_from_slice(&x[..line.len()]),
                        stride => line.iter_mut().zip(x.iter().step_by(stride)).for_each(|(to, x)| *to = *x),
                    }
                }
            }
        }
    }

    /// Adds `columns = Wᵀ x` of one sample to `y`, each element of a column where it belongs.
    fn scatter_columns(&self, weight: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let [vertical, horizontal] = &self.axes;
        let (length, x_plane, y_plane) = (self.column_length(), self.x_plane(), self.y_plane());
        let block_rows = self.blocks(1).rows;
        for group in 0..self.groups {
            let weight = &weight[group * self.inputs * length..][..self.inputs * length];
            let weight = matrix::rows(weight, self.inputs, length, length).reversed_axes();
            let x = &x[group * self.inputs * x_plane..][..self.inputs * x_plane];
            let y = &mut y[group * self.outputs * y_plane..][..self.outputs * y_plane];
            for start in (0..vertical.output).step_by(block_rows) {
                let rows = start..vertical.output.min(start + block_rows);
                let columns = rows.len() * horizontal.output;
                let block = &mut scratch[..length * columns];
                block.fill(0.0);
                matrix::add_product(
                    &weight,
                    &matrix::rows(&x[start * horizontal.output..], self.inputs, columns, x_plane),
                    matrix::rows_mut(block, length, columns, columns),
                );
                let kernel = self.kernel();
                for (channel, y) in y.chunks_exact_mut(y_plane).enumerate() {
                    let line = |k: usize| &block[(channel * kernel + k) * columns..][..columns];
                    self.scatter(|k| (line(k), 1.0), rows.clone(), y);
                }
            }
        }
    }

    /// Adds element `k` of the windows in some rows, times a factor, to the channel of `y` they lie on.
    fn scatter<'a>(&self, line: impl Fn(usize) -> (&'a [f32], f32), rows: std::ops::Range<usize>, y: &mut [f32]) {
        let [vertical, horizontal] = &self.axes;
        for (ky, kx) in pairs(vertical.kernel, horizontal.kernel) {
            let (line, factor) = line(ky * horizontal.kernel + kx);
            let (inside_y, inside_x) = (vertical.inside(ky), horizontal.inside(kx));
            if inside_x.is_empty() {
                continue;
            }
            for (row, line) in rows.clone().zip(line.chunks_exact(horizontal.output)) {
                if inside_y.contains(&row) {
                    let y = &mut y[vertical.position(row, ky) * horizontal.input..][..horizontal.input];
                    let y = y[horizontal.position(inside_x.start, kx)..].iter_mut().step_by(horizontal.stride);
                    y.zip(&line[inside_x.clone()]).for_each(|(y, value)| *y += factor * value);
                }
            }
        }
    }
}

/// `(a, b)` for all `a` below the first number and `b` below the second, `b` fastest.
fn pairs(a: usize, b: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..a).flat_map(move |a| (0..b).map(move |b| (a, b)))
}
