//! Elements that move without change: transposing, padding, slicing, resampling, joining.

/// Elements of one tensor, each with its place in another: the place is a sum of one offset per dimension.
#[derive(Debug)]
pub(super) struct Layout {
    /// Offsets of the indices of each dimension; at least one dimension.
    offsets: Vec<Vec<usize>>,
    /// Elements of the tensor that has them in order.
    elements: usize,
    /// Elements of the other.
    others: usize,
}

/// Distance of neighbours along each dimension of a row-major tensor.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d];
    }
    strides
}

impl Layout {
    /// Index `i` along dimension `d` stands at `place(d, i)` along `along(d)` of the other tensor.
    pub(super) fn new(
        shape: &[usize],
        other: &[usize],
        along: impl Fn(usize) -> usize,
        place: impl Fn(usize, usize) -> usize,
    ) -> Self {
        let strides = strides(other);
        let dimension = |(d, len): (usize, &usize)| (0..*len).map(|i| place(d, i) * strides[along(d)]).collect();
        let mut offsets: Vec<Vec<usize>> = shape.iter().enumerate().map(dimension).collect();
        if offsets.is_empty() {
            offsets.push(vec![0]);
        }
        Self { offsets, elements: shape.iter().product(), others: other.iter().product() }
    }

    /// `y = x` from its places, sample by sample.
    pub(super) fn gather(&self, x: &[f32], y: &mut [f32]) {
        for (x, y) in x.chunks_exact(self.others).zip(y.chunks_exact_mut(self.elements)) {
            self.for_each_row(|start, offset, row| {
                let y = &mut y[start..start + row.len()];
                match contiguous(row) {
                    true => y.copy_from_slice(&x[offset + row[0]..][..row.len()]),
                    false => y.iter_mut().zip(row).for_each(|(y, place)| *y = x[offset + place]),
                }
            });
        }
    }

    /// `y = x` at its places and `value` elsewhere, sample by sample.
    pub(super) fn scatter(&self, x: &[f32], value: f32, y: &mut [f32]) {
        y.fill(value);
        for (x, y) in x.chunks_exact(self.elements).zip(y.chunks_exact_mut(self.others)) {
            self.for_each_row(|start, offset, row| {
                let x = &x[start..start + row.len()];
                match contiguous(row) {
                    true => y[offset + row[0]..][..row.len()].copy_from_slice(x),
                    false => x.iter().zip(row).for_each(|(x, place)| y[offset + place] = *x),
                }
            });
        }
    }

    /// Calls `f` for each row of the last dimension with its first element, the offset of the other dimensions, and the
    /// offsets of the last.
    fn for_each_row(&self, mut f: impl FnMut(usize, usize, &[usize])) {
        let (last, outer) = self.offsets.split_last().expect("bug in snncc: a layout has a dimension");
        let mut index = vec![0; outer.len()];
        for start in (0..self.elements).step_by(last.len().max(1)) {
            f(start, index.iter().zip(outer).map(|(index, offsets)| offsets[*index]).sum(), last);
            for (index, offsets) in index.iter_mut().zip(outer).rev() {
                *index += 1;
                if *index < offsets.len() {
                    break;
                }
                *index = 0;
            }
        }
    }
}

fn contiguous(row: &[usize]) -> bool {
    // Offsets of a dimension that is sliced, padded or transposed are evenly spaced, those of resampling need a look at all.
    row.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// Tensors one after the other along a dimension.
#[derive(Debug)]
pub(super) struct Concat {
    /// Elements of each input behind the dimensions before the joined one.
    pub(super) parts: Vec<usize>,
}

impl Concat {
    pub(super) fn run<'a>(&self, x: impl Fn(usize) -> &'a [f32], y: &mut [f32]) {
        let row: usize = self.parts.iter().sum();
        let mut start = 0;
        for (input, part) in self.parts.iter().enumerate() {
            for (x, y) in x(input).chunks_exact(*part).zip(y.chunks_exact_mut(row)) {
                y[start..start + part].copy_from_slice(x);
            }
            start += part;
        }
    }
}
