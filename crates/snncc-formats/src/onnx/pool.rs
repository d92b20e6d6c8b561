//! Pools and means over space.

use super::graph::{Call, Live, Reader, Value};
use super::node::{Reading, axis, broken, unsupported};
use super::window::{AutoPad, Window, reach};
use snncc_ir::ann::{AnnOp, AnnPool, AnnTensor, PoolFunction};

impl Reader<'_, '_> {
    /// `AveragePool`, `MaxPool`.
    pub(super) fn pool(&mut self, call: &Call, function: PoolFunction) -> Reading<Vec<Value>> {
        let x = call.live(0)?;
        let space = self.space(x, "a pool")?;
        let kernel = match call.node.lengths("kernel_shape", 1)? {
            Some(kernel) if kernel.len() == space.len() => kernel,
            Some(kernel) => return broken(format!("`kernel_shape` {kernel:?} does not suit space {space:?}")),
            None => return broken("attribute `kernel_shape` is missing"),
        };
        let Window { stride, dilation, mut padding } = Window::of(call.node, &kernel, &space)?;
        if let Some(d) = (0..space.len()).find(|d| padding[*d].0 >= kernel[*d] || padding[*d].1 >= kernel[*d]) {
            return broken(format!("padding {:?} is not smaller than the kernel {kernel:?}", padding[d]));
        }
        let own_after: Vec<usize> = padding.iter().map(|(_, after)| *after).collect();
        if call.node.flag("ceil_mode", false)? && AutoPad::of(call.node)? == AutoPad::Stated {
            for d in 0..space.len() {
                padding[d].1 = padding_to_round_up(space[d], padding[d], reach(kernel[d], dilation[d])?, stride[d]);
            }
        }
        let counted = function == PoolFunction::Average && call.node.flag("count_include_pad", false)?;
        let pool = AnnPool { function, kernel, stride, padding, dilation, counted_after: counted.then_some(own_after) };
        Ok(vec![Value::Live(self.layer_of(call, AnnOp::Pool(pool), &[x], None)?)])
    }

    /// `GlobalAveragePool`, `GlobalMaxPool`.
    pub(super) fn global_pool(&mut self, call: &Call, function: PoolFunction) -> Reading<Vec<Value>> {
        let x = call.live(0)?;
        self.needs_batch(x)?;
        Ok(vec![Value::Live(self.layer_of(call, AnnOp::GlobalPool(function), &[x], None)?)])
    }

    /// Lengths of the spatial dimensions of a value of `(channels, space…)`; there must be one or two.
    pub(super) fn space(&self, x: Live, what: &str) -> Reading<Vec<usize>> {
        self.needs_batch(x)?;
        match self.shape(x) {
            [_, space @ ..] if (1..=2).contains(&space.len()) => Ok(space.to_vec()),
            [_, _, _, _] => unsupported(format!(
                "{what} over three spatial dimensions is not supported; replace it by ones over two"
            )),
            shape => broken(format!("{what} needs channels and space, its input is {shape:?} without batch")),
        }
    }

    /// Refuses values without a batch dimension where the operator counts dimensions from it.
    pub(super) fn needs_batch(&self, x: Live) -> Reading<()> {
        match x.batch.is_some() {
            true => Ok(()),
            false => unsupported(
                "its input has no batch dimension; export the model with inputs whose first dimension is the batch",
            ),
        }
    }

    /// `ReduceMean`, `ReduceMax`, `ReduceSum` of values: dimensions that stay come first, the others become one, over which
    /// a global pool goes.
    pub(super) fn reduce(&mut self, call: &Call) -> Reading<Vec<Value>> {
        let x = call.live(0)?;
        let function = match call.node.kind.as_str() {
            "ReduceMax" => PoolFunction::Maximum,
            _ => PoolFunction::Average,
        };
        let offset = usize::from(x.batch.is_some());
        let shape = self.shape(x).to_vec();
        let axes = match self.axes(call, 1)? {
            Some(axes) => axes,
            None if call.node.flag("noop_with_empty_axes", false)? => {
                return Ok(vec![Value::Live(self.layer_of(call, AnnOp::Identity, &[x], None)?)]);
            }
            None => (0..shape.len() + offset).map(|d| d as i64).collect(),
        };
        let mut reduced = vec![false; shape.len()];
        for value in axes {
            match axis(value, shape.len() + offset)?.checked_sub(offset) {
                Some(d) => reduced[d] = true,
                None => return unsupported("it reduces over the batch; each sample must stay on its own"),
            }
        }
        let keep = call.node.flag("keepdims", true)?;
        let final_shape: Vec<usize> = match keep {
            true => (0..shape.len()).map(|d| if reduced[d] { 1 } else { shape[d] }).collect(),
            false => (0..shape.len()).filter(|d| !reduced[*d]).map(|d| shape[d]).collect(),
        };
        let stays: Vec<usize> = (0..shape.len()).filter(|d| !reduced[*d]).collect();
        let goes: Vec<usize> = (0..shape.len()).filter(|d| reduced[*d]).collect();
        let count: usize = goes.iter().map(|d| shape[*d]).product();
        let mut y = x;
        // Channels first and space behind is what a global pool takes as it is.
        if stays != [0] || goes.is_empty() {
            let permutation = [stays.clone(), goes].concat();
            if !permutation.iter().copied().eq(0..shape.len()) {
                y = self.helper(call, "transpose", AnnOp::Transpose { permutation }, &[y], None)?;
            }
            let rows: usize = stays.iter().map(|d| shape[*d]).product();
            y = self.helper(call, "reshape", AnnOp::Reshape, &[y], Some(vec![rows, count]))?;
        }
        y = self.layer_of(call, AnnOp::GlobalPool(function), &[y], None)?;
        if self.shape(y) != final_shape {
            y = self.helper(call, "squeeze", AnnOp::Reshape, &[y], Some(final_shape))?;
        }
        if call.node.kind == "ReduceSum" {
            let scale = AnnOp::ScaleShift { scale: Some(AnnTensor::fill(Vec::new(), count as f32)), shift: None };
            y = self.helper(call, "sum", scale, &[y], None)?;
        }
        Ok(vec![Value::Live(y)])
    }
}

/// Padding after that makes the number of windows what `ceil_mode` says: a last window that reaches beyond the padding
/// counts, unless it starts behind the input and the padding before it.
fn padding_to_round_up(length: usize, (before, after): (usize, usize), reach: usize, stride: usize) -> usize {
    let Some(span) = (length + before + after).checked_sub(reach) else { return after };
    let mut windows = span.div_ceil(stride) + 1;
    if (windows - 1) * stride >= length + before {
        windows -= 1;
    }
    ((windows - 1) * stride + reach).saturating_sub(length + before)
}

#[cfg(test)]
mod tests {
    use super::padding_to_round_up;

    #[test]
    fn rounding_up_pads_until_the_last_window_fits() {
        assert_eq!(padding_to_round_up(6, (0, 0), 3, 2), 1);
        assert_eq!(padding_to_round_up(7, (0, 0), 3, 2), 0);
        // A third window would start at 6, behind one zero and five elements.
        assert_eq!(padding_to_round_up(5, (1, 1), 2, 3), 0);
        assert_eq!(padding_to_round_up(2, (0, 0), 5, 1), 0);
    }
}
