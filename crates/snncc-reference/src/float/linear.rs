//! Linear nodes: matrices by columns, convolutions and pools, scales, delays.

use super::Memory;
use super::aligned::Aligned;
use super::convolution::{Convolution as ConvolutionKernel, GroupedConvolution, Places, PoolSums};
use super::kernels::{Active, Starts, add, add_columns, padded};
use super::layout::Layout;
use super::signal::Source;
use pulp::{Simd, WithSimd};
use snncc_ir::network::{Affine, Convolution, Matrix, Pool, PoolKind, SynapseDelay};
use snncc_ir::{ConvolutionGeometry, Param, Tensor};

/// `y = W x + bias`, with delays of the synapses.
#[derive(Debug)]
pub(super) struct Linear {
    kernel: Kernel,
    /// What the sum is divided by before the bias is added: window size of a mean.
    divisor: Option<Divisor>,
    /// One value per output, or none.
    bias: Aligned,
    delay: LineDelay,
    outputs: usize,
}

#[derive(Debug)]
enum Kernel {
    /// Weights of `(input, output)`, with the outputs of each input up to whole vectors.
    Dense(Aligned),
    Sparse(Columns),
    Convolution(Box<ConvolutionKernel>),
    Grouped(Box<GroupedConvolution>),
    Pool(Box<PoolSums>),
}

/// A divisor, or its reciprocal where multiplying by it is the same.
#[derive(Clone, Copy, Debug)]
enum Divisor {
    Divide(f64),
    Multiply(f64),
}

/// Buffers that a step needs and nothing keeps.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) arch: pulp::Arch,
    /// Active inputs of a kernel.
    pub(super) active: Active,
    /// Input places of a convolution.
    pub(super) places: Places,
    /// Sums of a block of output channels.
    pub(super) sums: Aligned,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self { arch: pulp::Arch::new(), active: Active::default(), places: Places::default(), sums: Aligned::zeros(0) }
    }
}

/// Active inputs of a matrix that are added to a run of outputs before the next run: enough to keep the sums in registers
/// for a while, few enough that each column is read from end to end.
const COLUMNS_AT_ONCE: usize = 16;

/// A sparse matrix by columns: the synapses of each input.
#[derive(Debug)]
struct Columns {
    /// `inputs + 1` offsets.
    starts: Vec<usize>,
    rows: Vec<u32>,
    weights: Vec<f64>,
    /// Steps of each synapse; empty if there are no delays per synapse.
    delays: Vec<u32>,
}

/// Delays after the weights. The bias is not delayed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LineDelay {
    None,
    /// All synapses; the memory holds as many steps.
    Uniform(usize),
    /// Per synapse, at most this; the memory holds one step more.
    PerSynapse(usize),
}

impl Linear {
    /// `layout` is that of the inputs; the outputs are row-major.
    pub(super) fn affine(affine: &Affine, outputs: usize, inputs: usize, layout: Layout) -> Self {
        let bias = Aligned::from(affine.bias.as_ref().map_or(&[][..], |bias| &bias.data));
        let delays = match &affine.delay {
            SynapseDelay::PerSynapse(delays) => &delays[..],
            _ => &[],
        };
        let delay = match &affine.delay {
            SynapseDelay::Uniform(steps) if *steps > 0 => LineDelay::Uniform(*steps as usize),
            SynapseDelay::PerSynapse(delays) => {
                LineDelay::PerSynapse(delays.iter().copied().max().unwrap_or(0) as usize)
            }
            _ => LineDelay::None,
        };
        let kernel = match &affine.weight {
            Matrix::Dense(tensor) if delays.is_empty() => Kernel::Dense(transposed(tensor, outputs, inputs, layout)),
            Matrix::Dense(tensor) => {
                let entries = (0..inputs).flat_map(|input| (0..outputs).map(move |output| (output, input)));
                Kernel::Sparse(Columns::new(
                    entries.map(|(row, column)| (row * inputs + layout.element(column), row, column)),
                    inputs,
                    &tensor.data,
                    delays,
                ))
            }
            Matrix::Sparse { rows, columns, values, .. } => {
                let column = |at: usize| layout.position(columns[at] as usize);
                let mut order: Vec<usize> = (0..values.len()).collect();
                order.sort_unstable_by_key(|at| (column(*at), rows[*at]));
                let entries = order.into_iter().map(|at| (at, rows[at] as usize, column(at)));
                Kernel::Sparse(Columns::new(entries, inputs, values, delays))
            }
        };
        Self { kernel, divisor: None, bias, delay, outputs }
    }

    /// Inputs and outputs are channels last.
    pub(super) fn convolution(convolution: &Convolution, geometry: &ConvolutionGeometry) -> Self {
        let outputs = geometry.output.iter().map(|d| *d as usize).product::<usize>();
        let places = (geometry.output[1] * geometry.output[2]) as usize;
        let bias = convolution.bias.as_ref().map_or(Vec::new(), |bias| bias.data.repeat(places));
        let bias = Aligned::from(&bias[..]);
        let delay = match convolution.delay {
            0 => LineDelay::None,
            steps => LineDelay::Uniform(steps as usize),
        };
        let weights = &convolution.weight.data;
        let kernel = match geometry.groups {
            // Few channels would fill vectors with nothing.
            1 if geometry.output[0] > 2 => Kernel::Convolution(Box::new(ConvolutionKernel::new(geometry, weights))),
            _ => Kernel::Grouped(Box::new(GroupedConvolution::new(geometry, weights))),
        };
        Self { kernel, divisor: None, bias, delay, outputs }
    }

    /// Inputs and outputs are channels last.
    pub(super) fn pool(pool: &Pool, geometry: &ConvolutionGeometry) -> Self {
        let outputs = geometry.output.iter().map(|d| *d as usize).product::<usize>();
        let divisor = match pool.kind {
            PoolKind::Sum => None,
            PoolKind::Average => Some(Divisor::new((pool.kernel[0] * pool.kernel[1]) as f64)),
        };
        let kernel = Kernel::Pool(Box::new(PoolSums::new(geometry)));
        Self { kernel, divisor, bias: Aligned::zeros(0), delay: LineDelay::None, outputs }
    }

    /// Whether the output of a step depends on the input of that step alone.
    pub(super) fn is_immediate(&self) -> bool {
        self.delay == LineDelay::None
    }

    /// Values that the memory holds.
    pub(super) fn memory_len(&self) -> usize {
        let steps = match self.delay {
            LineDelay::None => 0,
            LineDelay::Uniform(steps) => steps,
            LineDelay::PerSynapse(longest) => longest + 1,
        };
        steps.saturating_mul(self.outputs)
    }

    /// The answer to an input that always was and is `input`.
    pub(super) fn steady(&self, input: Source<'_>, output: &mut [f64], scratch: &mut Scratch) {
        self.sum(input, &self.bias, output, scratch);
    }

    /// The memory before step 1, if the input always was `input` before.
    pub(super) fn initial_memory(&self, input: Source<'_>, scratch: &mut Scratch) -> Memory {
        match self.delay {
            LineDelay::None => Memory::None,
            LineDelay::Uniform(steps) => {
                let mut sum = vec![0.0; self.outputs];
                self.sum(input, &[], &mut sum, scratch);
                Memory::Ring(sum.repeat(steps))
            }
            LineDelay::PerSynapse(longest) => {
                let mut ring = vec![0.0; (longest + 1) * self.outputs];
                let Kernel::Sparse(columns) = &self.kernel else {
                    unreachable!("bug in snncc: delays per synapse are kept by columns")
                };
                // A synapse of delay d brings what was sent before step 1 in the steps 1 ..= d.
                input.for_each_active(|element, x| {
                    for at in columns.starts[element]..columns.starts[element + 1] {
                        for step in 1..=columns.delays[at] as usize {
                            ring[step % (longest + 1) * self.outputs + columns.rows[at] as usize] +=
                                x * columns.weights[at];
                        }
                    }
                });
                Memory::Ring(ring)
            }
        }
    }

    /// One step.
    pub(super) fn step(
        &self,
        t: u32,
        input: Source<'_>,
        output: &mut [f64],
        memory: &mut Memory,
        scratch: &mut Scratch,
    ) {
        match (self.delay, memory) {
            (LineDelay::None, _) => self.sum(input, &self.bias, output, scratch),
            (LineDelay::Uniform(steps), Memory::Ring(ring)) => {
                let slot = t as usize % steps * self.outputs;
                self.sum(input, &[], output, scratch);
                output.swap_with_slice(&mut ring[slot..slot + self.outputs]);
                add(output, &self.bias);
            }
            (LineDelay::PerSynapse(longest), Memory::Ring(ring)) => {
                let Kernel::Sparse(columns) = &self.kernel else {
                    unreachable!("bug in snncc: delays per synapse are kept by columns")
                };
                let slots = longest + 1;
                input.for_each_active(|element, x| {
                    for at in columns.starts[element]..columns.starts[element + 1] {
                        let slot = (t as usize + columns.delays[at] as usize) % slots;
                        ring[slot * self.outputs + columns.rows[at] as usize] += x * columns.weights[at];
                    }
                });
                let slot = t as usize % slots * self.outputs;
                output.copy_from_slice(&ring[slot..slot + self.outputs]);
                ring[slot..slot + self.outputs].fill(0.0);
                add(output, &self.bias);
            }
            _ => unreachable!("bug in snncc: a delay without memory"),
        }
    }

    /// Writes the sum of `input`, plus `bias` (one value per output, or none), to `output`.
    fn sum(&self, input: Source<'_>, bias: &[f64], output: &mut [f64], scratch: &mut Scratch) {
        match &self.kernel {
            Kernel::Dense(weights) => {
                let Scratch { arch, active, sums, .. } = scratch;
                let stride = padded(self.outputs);
                match input {
                    Source::Spikes(spikes) => {
                        let offsets = active.all_ones(spikes.len()).iter_mut();
                        offsets.zip(spikes).for_each(|(offset, spike)| *offset = *spike as usize * stride);
                    }
                    Source::Values(values) => {
                        active.clear(values.len());
                        active.push_values(0, stride, values);
                    }
                }
                sums.grow(stride);
                arch.dispatch(MatrixStep { weights, active, sums: &mut sums[..stride] });
                output.copy_from_slice(&sums[..self.outputs]);
            }
            Kernel::Sparse(columns) => {
                output.fill(0.0);
                input.for_each_active(|element, x| {
                    for at in columns.starts[element]..columns.starts[element + 1] {
                        output[columns.rows[at] as usize] += x * columns.weights[at];
                    }
                });
            }
            Kernel::Convolution(convolution) => return convolution.sum(input, bias, output, scratch),
            Kernel::Grouped(convolution) => convolution.sum(input, output),
            Kernel::Pool(pool) => pool.sum(input, output),
        }
        match self.divisor {
            Some(Divisor::Divide(divisor)) => output.iter_mut().for_each(|value| *value /= divisor),
            Some(Divisor::Multiply(factor)) => output.iter_mut().for_each(|value| *value *= factor),
            None => {}
        }
        add(output, bias);
    }
}

impl Divisor {
    fn new(divisor: f64) -> Self {
        // Exact for powers of two.
        let is_power_of_two = divisor.to_bits().trailing_zeros() >= f64::MANTISSA_DIGITS - 1;
        if is_power_of_two { Self::Multiply(1.0 / divisor) } else { Self::Divide(divisor) }
    }
}

struct MatrixStep<'a> {
    weights: &'a [f64],
    active: &'a Active,
    sums: &'a mut [f64],
}

impl WithSimd for MatrixStep<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.active.are_ones() { self.run::<S, true>(simd) } else { self.run::<S, false>(simd) }
    }
}

impl MatrixStep<'_> {
    #[inline(always)]
    fn run<S: Simd, const ONES: bool>(self, simd: S) {
        self.sums.fill(0.0);
        let len = self.active.len();
        for first in (0..len).step_by(COLUMNS_AT_ONCE) {
            let columns = self.active.columns::<ONES>(first..len.min(first + COLUMNS_AT_ONCE));
            let start = std::iter::once(Starts { sums: 0, weights: 0 });
            add_columns::<S, ONES>(simd, self.sums, self.weights, start, self.sums.len(), columns);
        }
    }
}

fn transposed(tensor: &Tensor, outputs: usize, inputs: usize, layout: Layout) -> Aligned {
    let stride = padded(outputs);
    let mut columns = Aligned::zeros(stride * inputs);
    for (output, row) in tensor.data.chunks_exact(inputs).enumerate() {
        for (element, weight) in row.iter().enumerate() {
            columns[layout.position(element) * stride + output] = *weight;
        }
    }
    columns
}

impl Columns {
    /// From entries (index of the weight, row, column) by ascending column, then row.
    fn new(
        entries: impl Iterator<Item = (usize, usize, usize)>,
        inputs: usize,
        weights: &[f64],
        delays: &[u32],
    ) -> Self {
        let mut columns = Self { starts: vec![0; inputs + 1], rows: vec![], weights: vec![], delays: vec![] };
        for (at, row, column) in entries {
            columns.starts[column + 1] += 1;
            columns.rows.push(row as u32);
            columns.weights.push(weights[at]);
            columns.delays.extend(delays.get(at));
        }
        for column in 0..inputs {
            columns.starts[column + 1] += columns.starts[column];
        }
        columns
    }
}

/// Factors of a Scale node.
#[derive(Debug)]
pub(super) struct Scale(pub(super) Vec<f64>);

impl Scale {
    /// Writes the scaled input to `output`.
    pub(super) fn step(&self, input: Source<'_>, output: &mut [f64]) {
        let factor = |position: usize| if let [factor] = self.0[..] { factor } else { self.0[position] };
        match input {
            Source::Spikes(spikes) => {
                output.fill(0.0);
                spikes.iter().for_each(|spike| output[*spike as usize] = factor(*spike as usize));
            }
            Source::Values(values) => {
                output
                    .iter_mut()
                    .zip(values)
                    .enumerate()
                    .for_each(|(at, (output, value))| *output = value * factor(at));
            }
        }
    }
}

/// A Delay node.
#[derive(Debug)]
pub(super) struct DelayLine {
    /// Steps of each element.
    pub(super) steps: Param<u32>,
    pub(super) len: usize,
}

impl DelayLine {
    fn slots(&self) -> usize {
        self.steps.values().iter().copied().max().unwrap_or(0) as usize + 1
    }

    /// Values that the memory holds.
    pub(super) fn memory_len(&self) -> usize {
        self.slots().saturating_mul(self.len)
    }

    /// The memory before step 1, if the input always was `input` before.
    pub(super) fn initial_memory(&self, input: Source<'_>) -> Memory {
        let mut values = vec![0.0; self.len];
        input.copy_to(&mut values);
        Memory::Ring(values.repeat(self.slots()))
    }

    pub(super) fn step(&self, t: u32, input: Source<'_>, output: &mut [f64], memory: &mut Memory) {
        let Memory::Ring(ring) = memory else { unreachable!("bug in snncc: a delay without memory") };
        let slots = self.slots();
        let now = t as usize % slots;
        input.copy_to(&mut ring[now * self.len..(now + 1) * self.len]);
        for (element, value) in output.iter_mut().enumerate() {
            let slot = (now + slots - self.steps.get(element) as usize) % slots;
            *value = ring[slot * self.len + element];
        }
    }
}
