//! The inner loop of all weighted sums: columns of weights, one per active input, added into contiguous sums.
//!
//! A run of sums stays in registers while all active inputs are added to it, so that a weight costs one load and no store.
//! Each sum adds its terms one by one in the order of the inputs, whatever the width of the vectors and without fused
//! multiplication, so results are the same bits on every machine.

use pulp::Simd;

/// Values in the widest vector that this is compiled for; a multiple of the lanes of all others.
pub(super) const LANES: usize = 8;

/// `len` up to whole vectors.
pub(super) fn padded(len: usize) -> usize {
    len.next_multiple_of(LANES)
}

/// Inputs that are not 0, in ascending order.
#[derive(Debug, Default)]
pub(super) struct Active {
    /// Where the weights of each begin.
    offsets: Vec<usize>,
    /// Their values.
    values: Vec<f64>,
    len: usize,
    /// Whether all values are 1; `values` are of no meaning then.
    are_ones: bool,
}

/// Some of [`Active`].
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    offsets: &'a [usize],
    values: &'a [f64],
}

impl Active {
    /// `len` inputs of value 1; gives their offsets, to be written.
    pub(super) fn all_ones(&mut self, len: usize) -> &mut [usize] {
        self.make_room(len);
        (self.len, self.are_ones) = (len, true);
        &mut self.offsets[..len]
    }

    /// Removes all, and makes room for `most` inputs of any value.
    pub(super) fn clear(&mut self, most: usize) {
        self.make_room(most);
        (self.len, self.are_ones) = (0, false);
    }

    fn make_room(&mut self, most: usize) {
        if self.offsets.len() < most {
            self.offsets.resize(most, 0);
            self.values.resize(most, 0.0);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn are_ones(&self) -> bool {
        self.are_ones
    }

    /// Appends inputs at `first`, `first + step`, … unless they are 0.
    #[inline(always)]
    pub(super) fn push_values(&mut self, first: usize, step: usize, values: &[f64]) {
        let mut len = self.len;
        let mut offset = first;
        for value in values {
            // Always written, counted only if active: no branch.
            self.offsets[len] = offset;
            self.values[len] = *value;
            len += usize::from(*value != 0.0);
            offset += step;
        }
        self.len = len;
    }

    /// Those in `range`, of which `ONES` says whether all are 1.
    #[inline(always)]
    pub(super) fn columns<const ONES: bool>(&self, range: std::ops::Range<usize>) -> Columns<'_> {
        let values = if ONES { &[][..] } else { &self.values[range.clone()] };
        Columns { offsets: &self.offsets[range], values }
    }
}

/// Where some sums begin, and the weights that are added to them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Starts {
    pub(super) sums: usize,
    pub(super) weights: usize,
}

/// Adds to the `len` sums from each of `starts` on the weights from there and each column's offset on, times its value
/// (`ONES`: without). `len` is a multiple of [`LANES`].
#[inline(always)]
pub(super) fn add_columns<S: Simd, const ONES: bool>(
    simd: S,
    sums: &mut [f64],
    weights: &[f64],
    starts: impl Iterator<Item = Starts>,
    len: usize,
    columns: Columns<'_>,
) {
    macro_rules! add {
        ($($vectors:literal)*; $most:literal) => {
            // As many sums at once as registers hold, with some to spare for weights and value.
            match len / S::F64_LANES {
                $($vectors => for starts in starts {
                    add_vectors::<S, $vectors, ONES>(simd, &mut sums[starts.sums..], &weights[starts.weights..], columns);
                })*
                _ => for Starts { sums: first_sum, weights: first_weight } in starts {
                    let most = $most * S::F64_LANES;
                    let mut at = 0;
                    while at + most <= len {
                        let (sums, weights) = (&mut sums[first_sum + at..], &weights[first_weight + at..]);
                        add_vectors::<S, $most, ONES>(simd, sums, weights, columns);
                        at += most;
                    }
                    while at < len {
                        let (sums, weights) = (&mut sums[first_sum + at..], &weights[first_weight + at..]);
                        add_vectors::<S, 1, ONES>(simd, sums, weights, columns);
                        at += S::F64_LANES;
                    }
                }
            }
        };
    }
    if S::REGISTER_COUNT >= 32 {
        add!(1 2 3 4 5 6 7 8 9 10 12 14 15 16 20; 8)
    } else {
        add!(1 2 3 4 5 6 7 8 9 10 12; 8)
    }
}

/// Adds columns to as many vectors of sums.
#[inline(always)]
fn add_vectors<S: Simd, const VECTORS: usize, const ONES: bool>(
    simd: S,
    sums: &mut [f64],
    weights: &[f64],
    columns: Columns<'_>,
) {
    let sums = S::as_mut_simd_f64s(&mut sums[..VECTORS * S::F64_LANES]).0;
    let target = sums.first_chunk_mut::<VECTORS>().expect("bug in snncc: sums end early");
    let mut registers = *target;
    for (at, offset) in columns.offsets.iter().enumerate() {
        let column = S::as_simd_f64s(&weights[*offset..][..VECTORS * S::F64_LANES]).0;
        let value = simd.splat_f64s(if ONES { 1.0 } else { columns.values[at] });
        for index in 0..VECTORS {
            let term = if ONES { column[index] } else { simd.mul_f64s(value, column[index]) };
            registers[index] = simd.add_f64s(registers[index], term);
        }
    }
    *target = registers;
}

/// Adds terms (as many as sums, or none) to sums.
#[inline(always)]
pub(super) fn add(sums: &mut [f64], terms: &[f64]) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum += term;
    }
}
