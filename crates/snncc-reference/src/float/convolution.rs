//! Convolutions and pools, driven by their active inputs; channels last (see [`super::layout`]).
//!
//! All channels that are active at one input place reach the same sums: for each row of the kernel a run of neighbouring
//! output places with all their channels, which lie together. So the sums of such a run stay in registers while the
//! channels of the place are added.

use super::aligned::Aligned;
use super::kernels::{Active, LANES, Starts, add, add_columns, padded};
use super::linear::Scratch;
use super::signal::Source;
use pulp::{Simd, WithSimd};
use snncc_ir::ConvolutionGeometry;
use snncc_ir::shapes::MAX_ELEMENTS;

/// Weights of some kernel rows (at least one) and one block of output channels should stay in the innermost cache while a
/// step runs through the places.
const BLOCK_BYTES: usize = 26 << 10;

/// A list of entries for each position along one dimension.
#[derive(Debug)]
struct Lists<T> {
    starts: Vec<u32>,
    entries: Vec<T>,
}

impl<T> Lists<T> {
    fn new(lists: impl Iterator<Item = Vec<T>>) -> Self {
        let mut result = Self { starts: vec![0], entries: Vec::new() };
        for list in lists {
            result.entries.extend(list);
            result.starts.push(result.entries.len() as u32);
        }
        result
    }

    #[inline(always)]
    fn of(&self, position: usize) -> &[T] {
        &self.entries[self.starts[position] as usize..self.starts[position + 1] as usize]
    }
}

/// For each position along dimension `d`, the outputs it reaches, each with the kernel element.
fn reached(geometry: &ConvolutionGeometry, d: usize) -> impl Iterator<Item = Vec<(u32, u32)>> {
    (0..geometry.input[d + 1]).map(move |position| geometry.reached(d, position).collect())
}

/// A convolution whose output channels see all input channels: active place by active place.
#[derive(Debug)]
pub(super) struct Convolution {
    channels_in: usize,
    channels_out: usize,
    places_out: usize,
    /// Output channels are split into blocks of this many whole vectors; the last may have channels that do not exist.
    block: usize,
    /// `(block, kernel row, channel_in, kernel column in the order of runs, channel_out within the block)`.
    weights: Aligned,
    /// Weights of one input channel in a kernel row of a block.
    channel_weights: usize,
    /// Kernel rows that are gone through together.
    rows_together: usize,
    kernel_rows: usize,
    /// For each group of kernel rows and each input row: the output rows it reaches, with the kernel rows.
    rows: Lists<Starts>,
    /// For each input column, what it reaches.
    runs: Lists<Run>,
    /// Row and column of each input place.
    coordinates: Vec<[u32; 2]>,
    rows_in: usize,
    place_of: Division,
}

/// Neighbouring kernel columns that reach neighbouring output columns.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Where they begin within a kernel row.
    weights: u32,
    /// Where they begin within an output row.
    sums: u32,
    len: u32,
}

impl Convolution {
    /// `weights` are `(channels_out, channels_in, kernel_height, kernel_width)`.
    pub(super) fn new(geometry: &ConvolutionGeometry, weights: &[f64]) -> Self {
        let [channels_out, rows_out, width_out] = geometry.output.map(|d| d as usize);
        let channels_in = geometry.input[0] as usize;
        let [rows, columns] = geometry.kernel.map(|d| d as usize);
        let most = (BLOCK_BYTES / size_of::<f64>() / (channels_in * columns)).max(LANES);
        let block = padded(channels_out.div_ceil(channels_out.div_ceil(most)));
        let blocks = channels_out.div_ceil(block);
        // The columns that one position can reach at the same time side by side, the last first, as it reaches ascending
        // outputs with descending columns.
        let mut order: Vec<u32> = (0..geometry.kernel[1]).collect();
        order.sort_by_key(|column| (column * geometry.dilation[1] % geometry.stride[1], std::cmp::Reverse(*column)));
        let mut rank = vec![0; columns];
        order.iter().enumerate().for_each(|(at, column)| rank[*column as usize] = at as u32);

        let mut arranged = Aligned::zeros(blocks * rows * channels_in * columns * block);
        let mut given = weights.iter();
        for out in 0..channels_out {
            for channel in 0..channels_in {
                for row in 0..rows {
                    for column in &rank {
                        let place = ((out / block * rows + row) * channels_in + channel) * columns + *column as usize;
                        arranged[place * block + out % block] = *given.next().expect("bug in snncc: weights end early");
                    }
                }
            }
        }
        let row_weights = channels_in * columns * block;
        let rows_together = (BLOCK_BYTES / size_of::<f64>() / row_weights).clamp(1, rows);
        let row_reach =
            |(y, row): (u32, u32)| Starts { weights: row as usize * row_weights, sums: y as usize * width_out * block };
        let groups = (0..rows).step_by(rows_together).flat_map(|first| {
            let together = first as u32..(first + rows_together) as u32;
            let of_group = move |(_, row): &(u32, u32)| together.contains(row);
            reached(geometry, 0)
                .map(move |reached| reached.into_iter().filter(of_group.clone()).map(row_reach).collect())
        });
        let runs = |reached: Vec<(u32, u32)>| {
            let mut runs: Vec<Run> = Vec::new();
            for (x, column) in reached {
                let (weights, sums, block) = (rank[column as usize] * block as u32, x * block as u32, block as u32);
                match runs.last_mut() {
                    Some(run) if run.weights + run.len == weights && run.sums + run.len == sums => run.len += block,
                    _ => runs.push(Run { weights, sums, len: block }),
                }
            }
            runs
        };
        Self {
            channels_in,
            channels_out,
            places_out: rows_out * width_out,
            block,
            weights: arranged,
            channel_weights: columns * block,
            rows_together,
            kernel_rows: rows,
            rows: Lists::new(groups),
            runs: Lists::new(reached(geometry, 1).map(runs)),
            coordinates: (0..geometry.input[1]).flat_map(|y| (0..geometry.input[2]).map(move |x| [y, x])).collect(),
            rows_in: geometry.input[1] as usize,
            place_of: Division::by(geometry.input[0]),
        }
    }

    /// Writes the convolution of `input`, plus `bias` (one value per output, or none), to `output`.
    pub(super) fn sum(&self, input: Source<'_>, bias: &[f64], output: &mut [f64], scratch: &mut Scratch) {
        self.collect(input, scratch);
        let Scratch { arch, active, places, sums } = scratch;
        sums.grow(self.places_out * self.block);
        arch.dispatch(ConvolutionStep { convolution: self, active, places, sums, bias, output });
    }

    /// Lists the active channels of each place, and what they reach.
    fn collect(&self, input: Source<'_>, scratch: &mut Scratch) {
        let (active, places) = (&mut scratch.active, &mut scratch.places);
        let mut cursor = places.begin(self.coordinates.len());
        match input {
            Source::Spikes(spikes) => {
                let offsets = active.all_ones(spikes.len());
                for (at, (spike, offset)) in spikes.iter().zip(offsets).enumerate() {
                    let place = self.place_of.quotient(*spike);
                    *offset = (*spike as usize - place as usize * self.channels_in) * self.channel_weights;
                    cursor.extend(place, at + 1);
                }
            }
            Source::Values(values) => {
                active.clear(values.len());
                for (place, channels) in values.chunks_exact(self.channels_in).enumerate() {
                    let before = active.len();
                    active.push_values(0, self.channel_weights, channels);
                    if active.len() > before {
                        cursor.extend(place as u32, active.len());
                    }
                }
            }
        }
        let last = cursor.last;
        places.finish(last, self);
    }
}

/// Division of indices by a constant as multiplication (Granlund and Montgomery, *Division by invariant integers using
/// multiplication*, 1994): `⌊n m / 2^s⌋ = ⌊n / d⌋` with `m = ⌈2^s / d⌉`, `2^s = 2^b 2^⌈log2 d⌉` and `n < 2^b`.
#[derive(Debug)]
struct Division {
    multiplier: u64,
    shift: u32,
}

impl Division {
    /// Elements of a node are fewer than 2 to this (`b` above).
    const INDEX_BITS: u32 = MAX_ELEMENTS.ilog2() + 1;

    fn by(divisor: u32) -> Self {
        let shift = Self::INDEX_BITS + divisor.next_power_of_two().ilog2();
        Self { multiplier: (1_u64 << shift).div_ceil(u64::from(divisor)), shift }
    }

    #[inline(always)]
    fn quotient(&self, index: u32) -> u32 {
        ((u64::from(index) * self.multiplier) >> self.shift) as u32
    }
}

/// The input places that have active channels, row by row.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Each, with the end of its active channels; one that does not count stands before the first.
    places: Vec<(u32, u32)>,
    /// What the places reach in a row of outputs.
    spans: Vec<Span>,
    /// For each row, the end of its spans.
    span_ends: Vec<usize>,
}

/// Adds places.
struct Cursor<'a> {
    places: &'a mut [(u32, u32)],
    /// Index of the last.
    last: usize,
    last_place: u32,
}

impl Cursor<'_> {
    /// The active channels up to `end` belong to `place`, which is the last or a later one.
    #[inline(always)]
    fn extend(&mut self, place: u32, end: usize) {
        // No branch: that a channel begins a new place is hard to foretell.
        self.last += usize::from(place != self.last_place);
        self.last_place = place;
        self.places[self.last] = (place, end as u32);
    }
}

/// A run that an active place reaches, with its active channels.
#[derive(Clone, Copy, Debug)]
struct Span {
    run: Run,
    first: u32,
    end: u32,
}

impl Places {
    /// Removes all, and makes room for `most` places.
    fn begin(&mut self, most: usize) -> Cursor<'_> {
        if self.places.len() <= most {
            self.places.resize(most + 1, (0, 0));
        }
        Cursor { places: &mut self.places, last: 0, last_place: u32::MAX }
    }

    /// Lists what the places up to the `last` reach.
    fn finish(&mut self, last: usize, convolution: &Convolution) {
        self.spans.clear();
        self.span_ends.clear();
        let mut first = 0;
        for &(place, end) in &self.places[1..=last] {
            let [y, x] = convolution.coordinates[place as usize];
            while self.span_ends.len() < y as usize {
                self.span_ends.push(self.spans.len());
            }
            for run in convolution.runs.of(x as usize) {
                self.spans.push(Span { run: *run, first, end });
            }
            first = end;
        }
        self.span_ends.resize(convolution.rows_in, self.spans.len());
    }

    /// Spans of the places in row `y`.
    #[inline(always)]
    fn of_row(&self, y: usize) -> &[Span] {
        let first = if y == 0 { 0 } else { self.span_ends[y - 1] };
        &self.spans[first..self.span_ends[y]]
    }
}

struct ConvolutionStep<'a> {
    convolution: &'a Convolution,
    active: &'a Active,
    places: &'a Places,
    /// Room for the sums of one block.
    sums: &'a mut [f64],
    bias: &'a [f64],
    output: &'a mut [f64],
}

impl WithSimd for ConvolutionStep<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.active.are_ones() { self.run::<S, true>(simd) } else { self.run::<S, false>(simd) }
    }
}

impl ConvolutionStep<'_> {
    #[inline(always)]
    fn run<S: Simd, const ONES: bool>(self, simd: S) {
        let Convolution { channels_out, places_out, block, .. } = *self.convolution;
        if block == channels_out {
            self.convolution.block::<S, ONES>(simd, 0, self.active, self.places, self.output);
            return add(self.output, self.bias);
        }
        let sums = &mut self.sums[..places_out * block];
        for (at, first) in (0..channels_out).step_by(block).enumerate() {
            self.convolution.block::<S, ONES>(simd, at, self.active, self.places, sums);
            let count = block.min(channels_out - first);
            for (place, sums) in sums.chunks_exact(block).enumerate() {
                let range = place * channels_out + first..place * channels_out + first + count;
                let bias = if self.bias.is_empty() { &[] } else { &self.bias[range.clone()] };
                copy(&sums[..count], bias, &mut self.output[range]);
            }
        }
    }
}

/// Copies sums and adds terms (as many, or none). For a few channels at a time, so without calls.
#[inline(always)]
fn copy(sums: &[f64], terms: &[f64], output: &mut [f64]) {
    if terms.is_empty() {
        for (output, sum) in output.iter_mut().zip(sums) {
            *output = *sum;
        }
    } else {
        for ((output, sum), term) in output.iter_mut().zip(sums).zip(terms) {
            *output = *sum + *term;
        }
    }
}

impl Convolution {
    /// Writes the sums of block `at` of the output channels. An output row takes the input rows in ascending order, as they
    /// meet ascending kernel rows.
    #[inline(always)]
    fn block<S: Simd, const ONES: bool>(&self, simd: S, at: usize, active: &Active, places: &Places, sums: &mut [f64]) {
        sums.fill(0.0);
        let block_weights = self.kernel_rows * self.channels_in * self.channel_weights;
        let weights = &self.weights[at * block_weights..][..block_weights];
        for group in 0..self.kernel_rows.div_ceil(self.rows_together) {
            for y in 0..self.rows_in {
                let rows = self.rows.of(group * self.rows_in + y);
                for Span { run, first, end } in places.of_row(y) {
                    let columns = active.columns::<ONES>(*first as usize..*end as usize);
                    let starts = rows.iter().map(|row| Starts {
                        sums: row.sums + run.sums as usize,
                        weights: row.weights + run.weights as usize,
                    });
                    add_columns::<S, ONES>(simd, sums, weights, starts, run.len as usize, columns);
                }
            }
        }
    }
}

/// Which outputs an input place reaches along height and width, each with the kernel element.
#[derive(Debug)]
struct Reach {
    rows: Lists<(u32, u32)>,
    columns: Lists<(u32, u32)>,
}

/// A convolution in groups of channels that do not see each other (or in one), one active input at a time.
#[derive(Debug)]
pub(super) struct GroupedConvolution {
    geometry: ConvolutionGeometry,
    /// `(channel_in, kernel_row, kernel_column, channel_out within the group)`.
    weights: Vec<f64>,
    reach: Reach,
}

impl GroupedConvolution {
    /// `weights` are `(channels_out, channels_in / groups, kernel_height, kernel_width)`.
    pub(super) fn new(geometry: &ConvolutionGeometry, weights: &[f64]) -> Self {
        let groups = geometry.groups as usize;
        let (inputs, outputs) = (geometry.input[0] as usize / groups, geometry.output[0] as usize / groups);
        let elements = (geometry.kernel[0] * geometry.kernel[1]) as usize;
        let mut arranged = vec![0.0; weights.len()];
        for (at, weight) in weights.iter().enumerate() {
            let (channel_out, rest) = (at / (inputs * elements), at % (inputs * elements));
            let (channel_in, element) = (rest / elements, rest % elements);
            let (group, within) = (channel_out / outputs, channel_out % outputs);
            arranged[((group * inputs + channel_in) * elements + element) * outputs + within] = *weight;
        }
        Self { geometry: geometry.clone(), weights: arranged, reach: Reach::new(geometry) }
    }

    /// Writes the convolution of `input` to `output`.
    pub(super) fn sum(&self, input: Source<'_>, output: &mut [f64]) {
        output.fill(0.0);
        let g = &self.geometry;
        let [channels_out, _, width_out] = g.output.map(|d| d as usize);
        let [channels_in, _, width_in] = g.input.map(|d| d as usize);
        let (inputs, outputs) = (channels_in / g.groups as usize, channels_out / g.groups as usize);
        let kernel = g.kernel.map(|d| d as usize);
        input.for_each_active(|position, value| {
            let (place, channel) = (position / channels_in, position % channels_in);
            let first_channel = channel / inputs * outputs;
            for &(y, row) in self.reach.rows.of(place / width_in) {
                for &(x, column) in self.reach.columns.of(place % width_in) {
                    let from = ((channel * kernel[0] + row as usize) * kernel[1] + column as usize) * outputs;
                    let to = (y as usize * width_out + x as usize) * channels_out + first_channel;
                    let weights = &self.weights[from..from + outputs];
                    output[to..to + outputs].iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * weight);
                }
            }
        });
    }
}

impl Reach {
    fn new(geometry: &ConvolutionGeometry) -> Self {
        Self { rows: Lists::new(reached(geometry, 0)), columns: Lists::new(reached(geometry, 1)) }
    }
}

/// Window sums of each channel.
#[derive(Debug)]
pub(super) struct PoolSums {
    channels: usize,
    width_in: usize,
    width_out: usize,
    windows: Windows,
}

#[derive(Debug)]
enum Windows {
    /// Each input is in one window at most: its output position, or [`PoolSums::NONE`].
    Apart(Vec<u32>),
    Overlapping(Reach),
}

impl PoolSums {
    const NONE: u32 = u32::MAX;

    pub(super) fn new(geometry: &ConvolutionGeometry) -> Self {
        let channels = geometry.input[0] as usize;
        let [width_in, width_out] = [geometry.input[2] as usize, geometry.output[2] as usize];
        let reach = Reach::new(geometry);
        let apart = (0..2).all(|d| geometry.stride[d] >= geometry.kernel[d]);
        let windows = if apart {
            let places = 0..(geometry.input[1] * geometry.input[2]) as usize;
            let target = |place: usize, channel: usize| {
                let (row, column) =
                    (reach.rows.of(place / width_in).first(), reach.columns.of(place % width_in).first());
                row.zip(column).map_or(Self::NONE, |((y, _), (x, _))| {
                    ((*y as usize * width_out + *x as usize) * channels + channel) as u32
                })
            };
            Windows::Apart(
                places.flat_map(|place| (0..channels).map(move |c| (place, c))).map(|(p, c)| target(p, c)).collect(),
            )
        } else {
            Windows::Overlapping(reach)
        };
        Self { channels, width_in, width_out, windows }
    }

    /// Writes the sums of `input` to `output`.
    pub(super) fn sum(&self, input: Source<'_>, output: &mut [f64]) {
        output.fill(0.0);
        match (&self.windows, input) {
            (Windows::Apart(targets), Source::Spikes(spikes)) => {
                for spike in spikes {
                    if let Some(sum) = output.get_mut(targets[*spike as usize] as usize) {
                        *sum += 1.0;
                    }
                }
            }
            (Windows::Apart(targets), Source::Values(values)) => {
                for (values, targets) in values.chunks_exact(self.channels).zip(targets.chunks_exact(self.channels)) {
                    if targets[0] != Self::NONE {
                        let sums = &mut output[targets[0] as usize..][..self.channels];
                        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                    }
                }
            }
            (Windows::Overlapping(reach), input) => input.for_each_active(|position, value| {
                let (place, channel) = (position / self.channels, position % self.channels);
                for (y, _) in reach.rows.of(place / self.width_in) {
                    for (x, _) in reach.columns.of(place % self.width_in) {
                        output[(*y as usize * self.width_out + *x as usize) * self.channels + channel] += value;
                    }
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_by_multiplication() {
        let most = MAX_ELEMENTS as u32;
        for divisor in [1, 2, 3, 7, 12, 64, 1000, 65_537, most - 1, most] {
            let division = Division::by(divisor);
            for index in [0, 1, divisor - 1, divisor, 2 * divisor - 1, 2 * divisor, most - 1, most] {
                assert_eq!(division.quotient(index), index / divisor, "{index} / {divisor}");
            }
        }
    }
}
