//! Linear nodes: matrices by columns, convolutions and pools by scattering, scales, delays.

use super::{Memory, Source};
use snncc_ir::network::{Affine, Convolution, Matrix, Pool, PoolKind, SynapseDelay};
use snncc_ir::{ConvolutionGeometry, Param, Tensor};

/// `y = W x + bias`, with delays of the synapses.
#[derive(Debug)]
pub(super) struct Linear {
    kernel: Kernel,
    /// The sum is divided by this before the bias is added: window size of a mean.
    divisor: Option<f64>,
    /// One value per output, or none.
    bias: Vec<f64>,
    delay: LineDelay,
    outputs: usize,
}

#[derive(Debug)]
enum Kernel {
    /// Weights of `(input, output)` at `input · outputs + output`.
    Dense(Vec<f64>),
    Sparse(Columns),
    Convolution(Box<Scatter>),
}

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

/// A convolution that adds the contribution of one input element at a time, into sums laid out `(height, width, channels)`.
#[derive(Debug)]
struct Scatter {
    geometry: ConvolutionGeometry,
    /// `(channels_in, kernel_height, kernel_width, channels_out of the group)`.
    weights: Vec<f64>,
    /// For each input row, the output rows it reaches, with the kernel row.
    rows: Vec<Vec<(u32, u32)>>,
    /// For each input column, the output columns it reaches, with the kernel column.
    columns: Vec<Vec<(u32, u32)>>,
}

impl Linear {
    pub(super) fn affine(affine: &Affine, outputs: usize, inputs: usize) -> Self {
        let bias = affine.bias.as_ref().map_or(Vec::new(), |bias| bias.data.clone());
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
            Matrix::Dense(tensor) if delays.is_empty() => Kernel::Dense(transposed(tensor, outputs, inputs)),
            Matrix::Dense(tensor) => {
                let entries = (0..inputs).flat_map(|input| (0..outputs).map(move |output| (output, input)));
                Kernel::Sparse(Columns::new(
                    entries.map(|(row, column)| (row * inputs + column, row, column)),
                    inputs,
                    &tensor.data,
                    delays,
                ))
            }
            Matrix::Sparse { rows, columns, values, .. } => {
                let mut order: Vec<usize> = (0..values.len()).collect();
                order.sort_unstable_by_key(|at| (columns[*at], rows[*at]));
                let entries = order.into_iter().map(|at| (at, rows[at] as usize, columns[at] as usize));
                Kernel::Sparse(Columns::new(entries, inputs, values, delays))
            }
        };
        Self { kernel, divisor: None, bias, delay, outputs }
    }

    pub(super) fn convolution(convolution: &Convolution, geometry: ConvolutionGeometry) -> Self {
        let outputs = geometry.output.iter().map(|d| *d as usize).product::<usize>();
        let plane = (geometry.output[1] * geometry.output[2]) as usize;
        let bias = convolution
            .bias
            .as_ref()
            .map_or(Vec::new(), |bias| bias.data.iter().flat_map(|value| std::iter::repeat_n(*value, plane)).collect());
        let delay = match convolution.delay {
            0 => LineDelay::None,
            steps => LineDelay::Uniform(steps as usize),
        };
        let scatter = Scatter::new(geometry, &convolution.weight.data);
        Self { kernel: Kernel::Convolution(Box::new(scatter)), divisor: None, bias, delay, outputs }
    }

    pub(super) fn pool(pool: &Pool, geometry: ConvolutionGeometry) -> Self {
        let outputs = geometry.output.iter().map(|d| *d as usize).product::<usize>();
        let weights = vec![1.0; geometry.weight_count()];
        let divisor = match pool.kind {
            PoolKind::Sum => None,
            PoolKind::Average => Some((pool.kernel[0] * pool.kernel[1]) as f64),
        };
        let scatter = Scatter::new(geometry, &weights);
        let kernel = Kernel::Convolution(Box::new(scatter));
        Self { kernel, divisor, bias: Vec::new(), delay: LineDelay::None, outputs }
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
    pub(super) fn steady(&self, input: Source<'_>, output: &mut [f64]) {
        self.sum(input, output);
        self.add_bias(output);
    }

    /// The memory before step 1, if the input always was `input` before.
    pub(super) fn initial_memory(&self, input: Source<'_>) -> Memory {
        match self.delay {
            LineDelay::None => Memory::None,
            LineDelay::Uniform(steps) => {
                let mut sum = vec![0.0; self.outputs];
                self.sum(input, &mut sum);
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
    pub(super) fn step(&self, t: u32, input: Source<'_>, output: &mut [f64], memory: &mut Memory) {
        match (self.delay, memory) {
            (LineDelay::None, _) => self.sum(input, output),
            (LineDelay::Uniform(steps), Memory::Ring(ring)) => {
                let slot = t as usize % steps * self.outputs;
                self.sum(input, output);
                output.swap_with_slice(&mut ring[slot..slot + self.outputs]);
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
            }
            _ => unreachable!("bug in snncc: a delay without memory"),
        }
        self.add_bias(output);
    }

    fn add_bias(&self, output: &mut [f64]) {
        output.iter_mut().zip(&self.bias).for_each(|(output, bias)| *output += bias);
    }

    fn sum(&self, input: Source<'_>, output: &mut [f64]) {
        output.fill(0.0);
        match &self.kernel {
            Kernel::Dense(weights) => add_columns(weights, input, output),
            Kernel::Sparse(columns) => input.for_each_active(|element, x| {
                for at in columns.starts[element]..columns.starts[element + 1] {
                    output[columns.rows[at] as usize] += x * columns.weights[at];
                }
            }),
            Kernel::Convolution(scatter) => scatter.add(input, output),
        }
        if let Some(divisor) = self.divisor {
            output.iter_mut().for_each(|value| *value /= divisor);
        }
    }
}

/// Adds the columns of the active inputs, four spikes at a time to spare passes over `output`; the order of the additions
/// is that of one at a time.
fn add_columns(weights: &[f64], input: Source<'_>, output: &mut [f64]) {
    let outputs = output.len();
    let column = |element: usize| &weights[element * outputs..(element + 1) * outputs];
    let Source::Spikes(spikes) = input else {
        return input.for_each_active(|element, x| {
            output.iter_mut().zip(column(element)).for_each(|(sum, weight)| *sum += x * weight);
        });
    };
    let mut groups = spikes.chunks_exact(4);
    for group in &mut groups {
        let [a, b, c, d] = [
            column(group[0] as usize),
            column(group[1] as usize),
            column(group[2] as usize),
            column(group[3] as usize),
        ];
        for ((((sum, a), b), c), d) in output.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *sum = *sum + a + b + c + d;
        }
    }
    for element in groups.remainder() {
        output.iter_mut().zip(column(*element as usize)).for_each(|(sum, weight)| *sum += weight);
    }
}

fn transposed(tensor: &Tensor, outputs: usize, inputs: usize) -> Vec<f64> {
    let mut columns = vec![0.0; outputs * inputs];
    for (output, row) in tensor.data.chunks_exact(inputs).enumerate() {
        for (input, weight) in row.iter().enumerate() {
            columns[input * outputs + output] = *weight;
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

impl Scatter {
    /// `weights` are `(channels_out, channels_in / groups, kernel_height, kernel_width)`.
    fn new(geometry: ConvolutionGeometry, weights: &[f64]) -> Self {
        let reached = |d: usize| -> Vec<Vec<(u32, u32)>> {
            (0..geometry.input[d + 1]).map(|position| geometry.reached(d, position).collect()).collect()
        };
        let (rows, columns) = (reached(0), reached(1));
        let groups = geometry.groups as usize;
        let (inputs, outputs) = (geometry.input[0] as usize / groups, geometry.output[0] as usize / groups);
        let elements = (geometry.kernel[0] * geometry.kernel[1]) as usize;
        let mut scattered = vec![0.0; weights.len()];
        for (at, weight) in weights.iter().enumerate() {
            let (channel_out, rest) = (at / (inputs * elements), at % (inputs * elements));
            let (channel_in, element) = (rest / elements, rest % elements);
            let (group, within) = (channel_out / outputs, channel_out % outputs);
            scattered[((group * inputs + channel_in) * elements + element) * outputs + within] = *weight;
        }
        Self { geometry, weights: scattered, rows, columns }
    }

    /// Adds the convolution of `input` to `output`, which is 0.
    fn add(&self, input: Source<'_>, output: &mut [f64]) {
        let g = &self.geometry;
        let groups = g.groups as usize;
        let channels_out = g.output[0] as usize;
        let (inputs, outputs) = (g.input[0] as usize / groups, channels_out / groups);
        let (plane_in, width_in) = ((g.input[1] * g.input[2]) as usize, g.input[2] as usize);
        let (plane_out, width_out) = ((g.output[1] * g.output[2]) as usize, g.output[2] as usize);
        let kernel = [g.kernel[0] as usize, g.kernel[1] as usize];
        // Sums by position, then channel, so that the channels of one position lie together.
        let mut sums = vec![0.0; output.len()];
        input.for_each_active(|element, x| {
            let (channel, place) = (element / plane_in, element % plane_in);
            let first_channel = channel / inputs * outputs;
            for &(y, ky) in &self.rows[place / width_in] {
                for &(column, kx) in &self.columns[place % width_in] {
                    let from = ((channel * kernel[0] + ky as usize) * kernel[1] + kx as usize) * outputs;
                    let to = (y as usize * width_out + column as usize) * channels_out + first_channel;
                    let weights = &self.weights[from..from + outputs];
                    sums[to..to + outputs].iter_mut().zip(weights).for_each(|(sum, weight)| *sum += x * weight);
                }
            }
        });
        for (place, channels) in sums.chunks_exact(channels_out).enumerate() {
            for (channel, sum) in channels.iter().enumerate() {
                output[channel * plane_out + place] = *sum;
            }
        }
    }
}

/// Factors of a Scale node.
#[derive(Debug)]
pub(super) struct Scale(pub(super) Vec<f64>);

impl Scale {
    pub(super) fn apply(&self, values: &mut [f64]) {
        match self.0[..] {
            [factor] => values.iter_mut().for_each(|value| *value *= factor),
            _ => values.iter_mut().zip(&self.0).for_each(|(value, factor)| *value *= factor),
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
