//! The change of a linear map that brings its outputs nearest to what they should be: ridge regression on streamed moments.
//!
//! Rows are pairs of an input `x` of the map and the residual `r = z − (W x + b)` of its output. Wanted is the `ΔW`, `Δb` with the
//! least `Σ ‖r − ΔW x − Δb‖² + n λ ‖ΔW‖²`: with the mean-free moments `S = Σ (x−x̄)(x−x̄)ᵀ / n` and `C = Σ (x−x̄)(r−r̄)ᵀ / n`,
//! `ΔWᵀ = (S + λ I)⁻¹ C` and `Δb = r̄ − ΔW x̄`. The bias is not punished.
//!
//! `λ` is a multiple of the mean variance of an input, `trace(S) / inputs`, so that it needs no unit: [`RIDGES`] are tried, and with
//! them `ΔW = 0` and no change at all. The least squared error on rows that nothing was learned from decides.
//!
//! **Invariant:** that error never rises.

use super::cholesky::{self, part};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// Multiples of the mean variance that are tried as `λ`.
pub(super) const RIDGES: [f64; 6] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0];

/// Part of the held-out squared error by which a change must lower it; less is chance.
const WORTH: f64 = 1e-3;

/// Columns of a block of second moments.
const BLOCK: usize = 1 << 7;

/// Sums over rows.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    pub(super) rows: usize,
    inputs: Array1<f64>,
    residuals: Array1<f64>,
    /// `Σ x xᵀ`, the lower half.
    squares: Array2<f64>,
    /// `Σ x rᵀ`
    products: Array2<f64>,
    /// `Σ ‖r‖²`
    residual_squares: f64,
}

/// A change of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    /// `ΔWᵀ`, `(inputs, outputs)`.
    pub(super) weight: Array2<f64>,
    /// `Δb`
    pub(super) bias: Array1<f64>,
}

/// What was chosen for a layer.
pub(super) struct Choice {
    /// The changes of the maps; `None` where no change is best.
    pub(super) changes: Option<Vec<Change>>,
    /// The multiple of the mean variance, where weights change.
    pub(super) ridge: Option<f64>,
    /// Squared error on the rows held out, without the changes and with them.
    pub(super) squares: [f64; 2],
}

impl Moments {
    pub(super) fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            rows: 0,
            inputs: Array1::zeros(inputs),
            residuals: Array1::zeros(outputs),
            squares: Array2::zeros((inputs, inputs)),
            products: Array2::zeros((inputs, outputs)),
            residual_squares: 0.0,
        }
    }

    /// Adds rows: `x` is `(rows, inputs)`, `r` is `(rows, outputs)`.
    pub(super) fn add(&mut self, x: &[f64], r: &[f64]) {
        let (inputs, outputs) = self.products.dim();
        let rows = r.len() / outputs;
        let view = |values, columns| {
            ArrayView2::from_shape((rows, columns), values).expect("bug in snncc: rows of another length")
        };
        let (x, r): (ArrayView2<'_, f64>, ArrayView2<'_, f64>) = (view(x, inputs), view(r, outputs));
        self.rows += rows;
        self.inputs += &x.sum_axis(Axis(0));
        self.residuals += &r.sum_axis(Axis(0));
        self.residual_squares += r.iter().map(|r| r * r).sum::<f64>();
        general_mat_mul(1.0, &x.t(), &r, 1.0, &mut self.products);
        let blocks: Vec<_> = self.squares.axis_chunks_iter_mut(Axis(0), BLOCK).enumerate().collect();
        blocks.into_par_iter().for_each(|(block, mut squares)| {
            let (start, end) = (block * BLOCK, block * BLOCK + squares.nrows());
            let mut lower = part(squares.view_mut(), 0..end - start, 0..end);
            general_mat_mul(1.0, &part(x, 0..rows, start..end).t(), &part(x, 0..rows, 0..end), 1.0, &mut lower);
        });
    }

    /// `S`, the lower half, and `C`.
    fn mean_free(&self) -> (Array2<f64>, Array2<f64>) {
        let n = self.rows as f64;
        let (mut squares, mut products) = (&self.squares / n, &self.products / n);
        let (inputs, residuals) = (&self.inputs / n, &self.residuals / n);
        for (at, input) in inputs.iter().enumerate() {
            squares.row_mut(at).scaled_add(-input, &inputs);
            products.row_mut(at).scaled_add(-input, &residuals);
        }
        (squares, products)
    }

    /// The change of the bias that goes with one of the weights.
    fn with_bias(&self, weight: Array2<f64>) -> Change {
        let bias = (&self.residuals - &weight.t().dot(&self.inputs)) / self.rows as f64;
        Change { weight, bias }
    }

    /// `Σ ‖r − ΔW x − Δb‖²`
    fn squares_after(&self, change: &Change) -> f64 {
        let dot = |a: &Array2<f64>, b: &Array2<f64>| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        // The lower half twice, the diagonal once: Σ x xᵀ ΔWᵀ.
        let mut lower = self.squares.clone();
        for (at, mut row) in lower.rows_mut().into_iter().enumerate() {
            row[at] *= 0.5;
            row.iter_mut().skip(at + 1).for_each(|value| *value = 0.0);
        }
        let curved = 2.0 * dot(&change.weight, &lower.dot(&change.weight));
        let linear = dot(&change.weight, &self.products);
        let shift = &self.residuals - &change.weight.t().dot(&self.inputs);
        let bias = self.rows as f64 * change.bias.dot(&change.bias) - 2.0 * change.bias.dot(&shift);
        (self.residual_squares - 2.0 * linear + curved + bias).max(0.0)
    }
}

/// The best change for the multiple `ridge` of the mean variance; `None` where the inputs never change.
pub(super) fn fit(moments: &Moments, ridge: f64) -> Option<Change> {
    let (mut squares, products) = moments.mean_free();
    let punished = ridge * squares.diag().sum() / squares.nrows() as f64;
    squares.diag_mut().iter_mut().for_each(|value| *value += punished);
    Some(moments.with_bias(cholesky::solve(&cholesky::factor(squares)?, products)))
}

/// Learns the changes of a layer's maps (one for each group of a convolution) from some rows and chooses by others.
pub(super) fn choose(learned: &[Moments], held_out: &[Moments]) -> Choice {
    let before: f64 = held_out.iter().map(|held_out| held_out.residual_squares).sum();
    let mut best = Choice { changes: None, ridge: None, squares: [before, before] };
    if learned.iter().chain(held_out).any(|moments| moments.rows == 0) {
        return best;
    }
    let mut most = before * (1.0 - WORTH);
    let still = |moments: &Moments| moments.with_bias(Array2::zeros(moments.products.dim()));
    for ridge in std::iter::once(None).chain(RIDGES.map(Some)) {
        let change = |moments: &Moments| match ridge {
            // Where the inputs of a group never change, its bias can.
            Some(ridge) => fit(moments, ridge).unwrap_or_else(|| still(moments)),
            None => still(moments),
        };
        let changes: Vec<Change> = learned.iter().map(change).collect();
        let after = held_out.iter().zip(&changes).map(|(held_out, change)| held_out.squares_after(change)).sum();
        if after < most {
            most = after;
            best = Choice { changes: Some(changes), ridge, squares: [before, after] };
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Residuals after a change, row by row.
    fn squares(x: &[f64], r: &[f64], change: &Change) -> f64 {
        let (inputs, outputs) = change.weight.dim();
        let rows = x.chunks_exact(inputs).zip(r.chunks_exact(outputs));
        let error = |x: &[f64], r: &[f64], output: usize| {
            let moved: f64 = x.iter().zip(change.weight.column(output)).map(|(x, weight)| x * weight).sum();
            (r[output] - moved - change.bias[output]).powi(2)
        };
        rows.map(|(x, r)| (0..outputs).map(|output| error(x, r, output)).sum::<f64>()).sum()
    }

    #[test]
    fn the_regression_worked_out_by_hand() {
        // x = 0, 1, 2, 3 and r = 1, 3, 5, 7: variance 5/4, covariance 5/2. With λ = variance the slope 2 becomes 1, and the bias
        // r̄ − x̄ = 4 − 3/2.
        let mut moments = Moments::new(1, 1);
        moments.add(&[0.0, 1.0], &[1.0, 3.0]);
        moments.add(&[2.0, 3.0], &[5.0, 7.0]);
        for (ridge, weight, bias) in [(1.0, 1.0, 2.5), (0.0, 2.0, 1.0)] {
            let found = fit(&moments, ridge).unwrap();
            assert!((found.weight[[0, 0]] - weight).abs() < 1e-12 && (found.bias[0] - bias).abs() < 1e-12, "{found:?}");
        }
        // Two inputs that know nothing of each other, with variances 1 and 4 and covariances 1 and 0; λ is half of their mean
        // 5/2: weights 1/(1 + 5/4) and 0.
        let mut moments = Moments::new(2, 1);
        moments.add(&[1.0, 2.0, 1.0, -2.0, -1.0, 2.0, -1.0, -2.0], &[1.0, 1.0, -1.0, -1.0]);
        let found = fit(&moments, 0.5).unwrap();
        assert!((found.weight[[0, 0]] - 4.0 / 9.0).abs() < 1e-12 && found.weight[[1, 0]].abs() < 1e-12, "{found:?}");
        assert_eq!(found.bias, array![0.0]);
    }

    #[test]
    fn errors_from_moments_are_those_of_the_rows() {
        let x: Vec<f64> = (0..24).map(|at| f64::from(at * 7 % 11) - 3.0).collect();
        let r: Vec<f64> = (0..16).map(|at| f64::from(at * 5 % 13) - 6.0).collect();
        let mut moments = Moments::new(3, 2);
        moments.add(&x, &r);
        let change = Change { weight: array![[0.5, -1.0], [2.0, 0.25], [0.0, 1.5]], bias: array![1.0, -0.5] };
        let (found, wanted) = (moments.squares_after(&change), squares(&x, &r, &change));
        assert!((found - wanted).abs() < 1e-9 * wanted, "{found} {wanted}");
    }

    #[test]
    fn the_held_out_error_never_rises() {
        let mut state = 1_u64;
        let mut random = move || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 40) as f64 / (1_u64 << 24) as f64 - 0.5
        };
        let mut kept = 0;
        for case in 0..60 {
            // Few rows, and residuals that depend on the inputs more or less.
            let (inputs, outputs, rows) = (1 + case % 5, 1 + case % 3, 2 + case % 17);
            let strength = f64::from(case as u32 % 4) / 3.0;
            let mut part = || {
                let x: Vec<f64> = (0..rows * inputs).map(|_| random()).collect();
                let r: Vec<f64> =
                    (0..rows * outputs).map(|at| strength * x[at / outputs * inputs] + random()).collect();
                let mut moments = Moments::new(inputs, outputs);
                moments.add(&x, &r);
                (x, r, moments)
            };
            let ((_, _, learned), (x, r, held_out)) = (part(), part());
            let choice = choose(&[learned], &[held_out]);
            let before: f64 = r.iter().map(|r| r * r).sum();
            let after = choice.changes.as_ref().map_or(before, |changes| squares(&x, &r, &changes[0]));
            assert!(after <= before, "case {case}: {before} to {after}");
            assert!((after - choice.squares[1]).abs() < 1e-9 * before && (before - choice.squares[0]).abs() < 1e-9);
            kept += usize::from(choice.changes.is_none());
        }
        assert!((1..60).contains(&kept), "{kept}");
    }

    #[test]
    fn inputs_that_never_change_leave_the_weights() {
        let mut moments = Moments::new(2, 1);
        moments.add(&[0.0; 8], &[1.0, 1.0, 2.0, 2.0]);
        let choice = choose(std::slice::from_ref(&moments), std::slice::from_ref(&moments));
        let change = &choice.changes.unwrap()[0];
        assert_eq!((change.weight.clone(), change.bias.clone()), (Array2::zeros((2, 1)), array![1.5]));
        assert_eq!(choice.ridge, None);
        assert_eq!(choice.squares, [10.0, 1.0]);
        assert!(choose(&[Moments::new(2, 1)], &[moments]).changes.is_none());
    }
}
