//! Symmetric positive definite systems by Cholesky's factorization, block by block: nearly all the work is matrix products.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayBase, Axis, Ix2, RawData, Slice};
use std::ops::Range;

/// Rows of a block: a block of three such squares fits the first-level cache.
const BLOCK: usize = 1 << 5;

/// Some rows and columns of a matrix.
pub(super) fn part<S: RawData<Elem = f64>>(
    mut matrix: ArrayBase<S, Ix2>,
    rows: Range<usize>,
    columns: Range<usize>,
) -> ArrayBase<S, Ix2> {
    matrix.slice_axis_inplace(Axis(0), Slice::from(rows));
    matrix.slice_axis_inplace(Axis(1), Slice::from(columns));
    matrix
}

/// The lower factor `L` of `a = L Lᵀ`. What is above the diagonal of `a` is neither read nor of any meaning afterwards. `None`
/// where `a` is not positive definite, as far as rounding lets see.
pub(super) fn factor(mut a: Array2<f64>) -> Option<Array2<f64>> {
    let n = a.nrows();
    for start in (0..n).step_by(BLOCK) {
        let end = n.min(start + BLOCK);
        let (known, mut panel) = part(a.view_mut(), start..n, 0..end).split_at(Axis(1), start);
        let top = part(known.view(), 0..end - start, 0..start);
        general_mat_mul(-1.0, &known, &top.t(), 1.0, &mut panel);
        for column in 0..end - start {
            let known: f64 = (0..column).map(|at| panel[[column, at]].powi(2)).sum();
            let pivot = panel[[column, column]] - known;
            if !(pivot > 0.0 && pivot.is_finite()) {
                return None;
            }
            let pivot = pivot.sqrt();
            panel[[column, column]] = pivot;
            let (upper, mut below) = panel.view_mut().split_at(Axis(0), column + 1);
            let top = upper.row(column);
            for mut row in below.rows_mut() {
                let known: f64 = (0..column).map(|at| row[at] * top[at]).sum();
                row[column] = (row[column] - known) / pivot;
            }
        }
    }
    Some(a)
}

/// The `x` with `L Lᵀ x = b`, for each column of `b`.
pub(super) fn solve(factor: &Array2<f64>, mut b: Array2<f64>) -> Array2<f64> {
    let (n, columns) = b.dim();
    let blocks: Vec<(usize, usize)> = (0..n).step_by(BLOCK).map(|start| (start, n.min(start + BLOCK))).collect();
    for &(start, end) in &blocks {
        let (done, mut rest) = b.view_mut().split_at(Axis(0), start);
        let mut block = part(rest.view_mut(), 0..end - start, 0..columns);
        general_mat_mul(-1.0, &part(factor.view(), start..end, 0..start), &done, 1.0, &mut block);
        for at in start..end {
            let (done, mut rest) = block.view_mut().split_at(Axis(0), at - start);
            let mut row = rest.row_mut(0);
            done.rows().into_iter().enumerate().for_each(|(k, done)| row.scaled_add(-factor[[at, start + k]], &done));
            row /= factor[[at, at]];
        }
    }
    for &(start, end) in blocks.iter().rev() {
        let (mut open, done) = b.view_mut().split_at(Axis(0), end);
        let mut block = part(open.view_mut(), start..end, 0..columns);
        general_mat_mul(-1.0, &part(factor.view(), end..n, start..end).t(), &done, 1.0, &mut block);
        for at in (start..end).rev() {
            let (mut open, done) = block.view_mut().split_at(Axis(0), at - start + 1);
            let mut row = open.row_mut(at - start);
            done.rows().into_iter().enumerate().for_each(|(k, done)| row.scaled_add(-factor[[at + 1 + k, at]], &done));
            row /= factor[[at, at]];
        }
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_factor_worked_out_by_hand() {
        // [4 2; 2 5] = [2 0; 1 2] [2 1; 0 2]; what is above the diagonal is not read.
        let lower = factor(array![[4.0, f64::NAN], [2.0, 5.0]]).unwrap();
        assert_eq!([lower[[0, 0]], lower[[1, 0]], lower[[1, 1]]], [2.0, 1.0, 2.0]);
        assert_eq!(solve(&lower, array![[8.0, 4.0], [12.0, 2.0]]), array![[1.0, 1.0], [2.0, 0.0]]);
    }

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        assert!(factor(array![[1.0, 0.0], [2.0, 1.0]]).is_none());
        assert!(factor(array![[0.0]]).is_none());
        assert!(factor(array![[f64::NAN]]).is_none());
    }

    #[test]
    fn systems_of_several_blocks_are_solved() {
        let n = 2 * BLOCK + 7;
        let value = |row: usize, column: usize| (((row * 31 + column * 17) % 23) as f64 - 11.0) / 23.0;
        let root = Array2::from_shape_fn((n, n), |(row, column)| value(row, column));
        let matrix = root.dot(&root.t()) + Array2::<f64>::eye(n);
        let wanted = Array2::from_shape_fn((n, 3), |(row, column)| value(column, row));
        let found = solve(&factor(matrix.clone()).unwrap(), matrix.dot(&wanted));
        let worst = (&found - &wanted).iter().fold(0.0_f64, |worst, error| worst.max(error.abs()));
        assert!(worst < 1e-9, "{worst}");
    }
}
