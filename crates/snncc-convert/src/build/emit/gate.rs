//! Max pooling as a gate: the one layer that is neither linear nor neurons.

use super::super::value::{Term, Value, by_channel};
use super::Emitter;
use snncc_ir::ann::AnnPool;
use snncc_ir::network::{GatedPool, Node};

/// Why a maximum cannot be a gate; `None` if it can.
pub(in super::super::super) fn not_gated(pool: &AnnPool) -> Option<&'static str> {
    if pool.kernel.len() > 2 {
        Some("a gate has windows over two dimensions at most")
    } else if pool.dilation.iter().any(|dilation| *dilation != 1) {
        Some("the windows of a gate have no gaps")
    } else if pool.padding.iter().any(|(before, after)| before != after) {
        Some("the padding of a gate is the same on both sides")
    } else if pool.padding.iter().zip(&pool.kernel).any(|((before, _), kernel)| before >= kernel) {
        Some("one of its windows lies in the padding as a whole, where there is no maximum")
    } else {
        None
    }
}

impl Emitter<'_> {
    /// A gate for each window. Spikes of a channel that all stand for the same pass as they are.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn gated_pool(
        &mut self,
        name: &str,
        pool: &AnnPool,
        x: Value,
        shape: &[usize],
    ) -> Result<Value, String> {
        if let Some(why) = not_gated(pool) {
            return Err(why.into());
        }
        let two = |values: &[usize], fill: usize| match *values {
            [one] => [fill, one],
            [first, second, ..] => [first, second],
            [] => unreachable!("bug in snncc: shapes were checked"),
        };
        let padding: Vec<usize> = pool.padding.iter().map(|(before, _)| *before).collect();
        let gate = GatedPool { kernel: two(&pool.kernel, 1), stride: two(&pool.stride, 1), padding: two(&padding, 0) };
        let [height, width] = two(&x.shape[1..], 1);
        let [height_out, width_out] = two(&shape[1..], 1);
        let mut factors = None;
        let mut x = x;
        if let [term] = &mut x.terms[..] {
            let by_channel = term.factors.as_deref().and_then(|factors| by_channel(factors, &x.shape));
            let is_passed = |factors: &Vec<f64>| factors.iter().all(|factor| *factor > 0.0);
            factors = by_channel.filter(is_passed);
            if factors.is_some() {
                *term = Term { factors: None, ..term.clone() };
            }
        }
        let input = x.shape.clone();
        let nodes = self.nodes_of(name, x);
        let nodes: Vec<_> =
            nodes.into_iter().map(|node| self.reshape(name, node, &input, &[input[0], height, width])).collect();
        let node = self.push(name, Node::GatedPool(gate), &nodes);
        let node = self.reshape(name, node, &[shape[0], height_out, width_out], shape);
        let value = Value::of_node(node, shape, true);
        Ok(match factors {
            Some(factors) => value.weighed(&super::super::spread(&factors, shape[1..].iter().product())),
            None => value,
        })
    }
}
