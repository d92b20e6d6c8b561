//! Matrix products on slices.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};

/// A row-major matrix whose rows stand `stride` apart.
pub(super) fn rows(values: &[f32], rows: usize, columns: usize, stride: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns).strides((stride, 1)), values).expect("bug in snncc: size of a matrix")
}

/// As [`rows`], to write into.
pub(super) fn rows_mut(values: &mut [f32], rows: usize, columns: usize, stride: usize) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape((rows, columns).strides((stride, 1)), values).expect("bug in snncc: size of a matrix")
}

/// `c += a b`
pub(super) fn add_product(a: &ArrayView2<'_, f32>, b: &ArrayView2<'_, f32>, mut c: ArrayViewMut2<'_, f32>) {
    general_mat_mul(1.0, a, b, 1.0, &mut c);
}
