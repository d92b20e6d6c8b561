//! Values while the graph is read: their shape in Keras, and where its elements lie in the value of an `Ann` node.
//!
//! **Invariant:** the number of elements of a [`Value`]'s shape is that of its node's; what is made from a file (tensors,
//! positions) stays within a budget proportional to the file, and so does the number of nodes.

use snncc_ids::AnnNodeId;
use snncc_ir::ann::{Ann, AnnOp, AnnTensor, element_count};
use std::sync::Arc;

/// More nodes than this come from models nested to multiply themselves.
const MAX_NODES: usize = 1 << 14;
/// No value of a network has more elements.
const MAX_ELEMENTS: usize = 1 << 30;

/// A value of Keras.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub node: AnnNodeId,
    /// Its shape in Keras, without batch.
    pub shape: Vec<usize>,
    pub layout: Layout,
    /// The unsupported layer that left the shape open, if one did: then what does not fit is no fault of the file.
    pub open: Option<Arc<str>>,
}

/// Where the elements lie.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Layout {
    /// Dimension `d` of the node is dimension `axes[d]` in Keras.
    Axes(Vec<usize>),
    /// Both have one dimension; element `k` of the node is element `order[k]` in Keras.
    Order(Arc<[u32]>),
}

/// Makes the nodes.
pub(super) struct Builder {
    pub ann: Ann,
    budget: u64,
}

/// Dimensions with the last one first: channels last to channels first.
pub(super) fn last_first(rank: usize) -> Vec<usize> {
    (0..rank).map(|d| if d == 0 { rank - 1 } else { d - 1 }).collect()
}

/// `shape` with its dimensions in the order of `axes`.
pub(super) fn permuted<T: Copy>(shape: &[T], axes: &[usize]) -> Vec<T> {
    axes.iter().map(|axis| shape[*axis]).collect()
}

/// The shape in Keras of a node's value.
pub(super) fn unpermuted(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let mut keras = vec![0; shape.len()];
    axes.iter().zip(shape).for_each(|(axis, length)| keras[*axis] = *length);
    keras
}

/// Whether elements keep their order when dimensions of this shape are permuted: only those of length 1 move.
fn keeps_order(shape: &[usize], permutation: &[usize]) -> bool {
    permutation.iter().filter(|d| shape[**d] != 1).is_sorted()
}

impl Value {
    /// The node's dimensions in Keras's terms; those of a vector are itself.
    pub(super) fn axes(&self) -> Vec<usize> {
        match &self.layout {
            Layout::Axes(axes) => axes.clone(),
            Layout::Order(_) => vec![0],
        }
    }

    /// The dimension of the node that is dimension `axis` in Keras.
    pub(super) fn node_axis(&self, axis: usize) -> usize {
        let position = self.axes().iter().position(|own| *own == axis);
        position.expect("bug in snncc: axes are a permutation")
    }

    /// The same value behind a node that keeps shape and layout.
    pub(super) fn at(&self, node: AnnNodeId) -> Self {
        Self { node, ..self.clone() }
    }

    /// Another shape and layout of a node made from this value.
    pub(super) fn made(&self, node: AnnNodeId, shape: Vec<usize>, axes: Vec<usize>) -> Self {
        Self { node, shape, layout: Layout::Axes(axes), open: self.open.clone() }
    }

    /// Parameters that broadcast from the right to the value's shape in Keras, as a tensor that broadcasts to the node's.
    /// `values` are row-major of `shape`.
    pub(super) fn spread(&self, shape: &[usize], values: &[f32]) -> Result<AnnTensor, String> {
        let rank = self.shape.len();
        let misfit = || format!("parameters of shape {shape:?} do not fit values of shape {:?}", self.shape);
        if shape.len() > rank || element_count(shape) != Some(values.len()) {
            return Err(misfit());
        }
        let full: Vec<usize> = std::iter::repeat_n(1, rank - shape.len()).chain(shape.iter().copied()).collect();
        if full.iter().zip(&self.shape).any(|(length, own)| *length != 1 && length != own) {
            return Err(misfit());
        }
        match &self.layout {
            Layout::Order(order) if values.len() > 1 => {
                Ok(AnnTensor::vector(order.iter().map(|index| values[*index as usize]).collect::<Vec<f32>>()))
            }
            Layout::Order(_) => Ok(AnnTensor::new(full, values)),
            Layout::Axes(axes) => Ok(permute(&AnnTensor::new(full, values), axes)),
        }
    }
}

/// A tensor with its dimensions in another order: dimension `d` of the result is dimension `permutation[d]`.
pub(super) fn permute(tensor: &AnnTensor, permutation: &[usize]) -> AnnTensor {
    let shape = permuted(&tensor.shape, permutation);
    if let Some(value) = tensor.filled_with() {
        return AnnTensor::fill(shape, value);
    }
    if keeps_order(&tensor.shape, permutation) {
        return tensor.reshaped(shape);
    }
    let strides = permuted(&strides(&tensor.shape), permutation);
    let values = tensor.to_values();
    AnnTensor::new(shape.clone(), offsets(&shape, &strides).map(|offset| values[offset]).collect::<Vec<f32>>())
}

/// Distance in memory of neighbours along each dimension, row-major.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d];
    }
    strides
}

/// `Σ position[d] · strides[d]` for all positions of a shape without zeros, row-major.
fn offsets(shape: &[usize], strides: &[usize]) -> impl Iterator<Item = usize> {
    let mut position = vec![0_usize; shape.len()];
    let mut offset = 0;
    let count: usize = shape.iter().product();
    (0..count).map(move |_| {
        let here = offset;
        for d in (0..shape.len()).rev() {
            position[d] += 1;
            offset += strides[d];
            if position[d] < shape[d] {
                break;
            }
            offset -= strides[d] * shape[d];
            position[d] = 0;
        }
        here
    })
}

impl Builder {
    /// `budget`: values and positions that may be made from the file.
    pub(super) fn new(budget: u64) -> Self {
        Self { ann: Ann::new(), budget }
    }

    /// Counts values or positions that are about to be made.
    pub(super) fn spend(&mut self, count: usize) -> Result<(), String> {
        self.budget =
            self.budget.checked_sub(count as u64).ok_or("the network needs more memory than its file allows")?;
        Ok(())
    }

    /// Appends a node. `shape` is needed by Reshape, Slice and Unsupported.
    pub(super) fn push(
        &mut self,
        name: &str,
        op: AnnOp,
        inputs: Vec<AnnNodeId>,
        shape: Option<Vec<usize>>,
    ) -> Result<AnnNodeId, String> {
        if self.ann.nodes().len() >= MAX_NODES {
            return Err(format!("the network has more than {MAX_NODES} layers"));
        }
        let node = self.ann.push(name, op, inputs, shape)?;
        self.check_size(&self.ann.nodes()[node].shape)?;
        Ok(node)
    }

    fn check_size(&self, shape: &[usize]) -> Result<(), String> {
        match element_count(shape) {
            Some(count) if count <= MAX_ELEMENTS => Ok(()),
            _ => Err(format!("a value of shape {shape:?} is too large")),
        }
    }

    /// Appends an input of the network, whose dimension `d` is Keras's dimension `axes[d]`.
    pub(super) fn push_input(&mut self, name: &str, shape: Vec<usize>, axes: Vec<usize>) -> Result<Value, String> {
        self.check_size(&shape)?;
        let node = self.ann.push_input(name, permuted(&shape, &axes));
        Ok(Value { node, shape, layout: Layout::Axes(axes), open: None })
    }

    /// Appends a node with one input that keeps shape and layout.
    pub(super) fn push_like(&mut self, name: &str, op: AnnOp, value: &Value) -> Result<Value, String> {
        let node = self.push(name, op, vec![value.node], None)?;
        Ok(value.at(node))
    }

    /// The value with its dimensions in this order, behind as many nodes as that takes, which are named after `name`.
    pub(super) fn arrange(&mut self, value: &Value, axes: &[usize], name: &str) -> Result<Value, String> {
        let node = match &value.layout {
            Layout::Axes(own) if own == axes => return Ok(value.clone()),
            Layout::Axes(_) => {
                let permutation: Vec<usize> = axes.iter().map(|axis| value.node_axis(*axis)).collect();
                let shape = self.ann.nodes()[value.node].shape.clone();
                let target = permuted(&shape, &permutation);
                if shape == target && keeps_order(&shape, &permutation) {
                    value.node
                } else if keeps_order(&shape, &permutation) {
                    self.push(&format!("{name}/reshape"), AnnOp::Reshape, vec![value.node], Some(target))?
                } else {
                    self.push(&format!("{name}/transpose"), AnnOp::Transpose { permutation }, vec![value.node], None)?
                }
            }
            Layout::Order(order) => {
                self.spend(order.len())?;
                let mut indices = vec![0_usize; order.len()];
                order.iter().enumerate().for_each(|(k, index)| indices[*index as usize] = k);
                self.push(&format!("{name}/order"), AnnOp::Resample { indices: vec![indices] }, vec![value.node], None)?
            }
        };
        Ok(value.made(node, value.shape.clone(), axes.to_vec()))
    }

    /// The value in Keras's own order.
    pub(super) fn in_keras_order(&mut self, value: &Value, name: &str) -> Result<Value, String> {
        self.arrange(value, &(0..value.shape.len()).collect::<Vec<_>>(), name)
    }

    /// The same elements under another shape of as many; `from` is the order of Keras's dimensions in which its elements are
    /// counted. Leaves out nodes that change nothing. Returns `None` as node if there was nothing to do.
    pub(super) fn reshape(
        &mut self,
        value: &Value,
        from: &[usize],
        shape: Vec<usize>,
        channels_first: bool,
        name: &str,
    ) -> Result<(Value, Option<AnnNodeId>), String> {
        if element_count(&shape) != element_count(&value.shape) {
            return Err(format!("{:?} cannot become {shape:?}: the number of elements differs", value.shape));
        }
        let ordered = match &value.layout {
            Layout::Order(_) => self.arrange(value, &[0], name)?,
            Layout::Axes(own) => {
                let permutation: Vec<usize> = from.iter().map(|axis| value.node_axis(*axis)).collect();
                let node_shape = permuted(&value.shape, own);
                match keeps_order(&node_shape, &permutation) {
                    true => value.clone(),
                    false => self.arrange(value, from, name)?,
                }
            }
        };
        // An image whose channels can come first without moving elements has them first at once.
        let rank = shape.len();
        let first = last_first(rank);
        let axes = match rank == 3 && !channels_first && keeps_order(&shape, &first) {
            true => first,
            false => (0..rank).collect(),
        };
        let target = permuted(&shape, &axes);
        let node = match self.ann.nodes()[ordered.node].shape == target {
            true => None,
            false => Some(self.push(name, AnnOp::Reshape, vec![ordered.node], Some(target))?),
        };
        Ok((ordered.made(node.unwrap_or(ordered.node), shape, axes), node))
    }

    /// The value as a vector, whose elements Keras counts in the order `from` of its dimensions: a Reshape of the node as it
    /// lies; the layout says what stands where.
    pub(super) fn flatten(
        &mut self,
        value: &Value,
        from: &[usize],
        name: &str,
    ) -> Result<(Value, Option<AnnNodeId>), String> {
        let Layout::Axes(own) = &value.layout else { return Ok((value.clone(), None)) };
        if value.shape.len() == 1 {
            return Ok((value.clone(), None));
        }
        let count = element_count(&value.shape).ok_or("the value is too large")?;
        let node_shape = permuted(&value.shape, own);
        let permutation: Vec<usize> = from.iter().map(|axis| value.node_axis(*axis)).collect();
        let layout = match keeps_order(&node_shape, &permutation) {
            true => Layout::Axes(vec![0]),
            false => {
                self.spend(count)?;
                // Along dimension d of the node, Keras's position moves by the stride of that dimension in its own order.
                let keras = strides(&permuted(&value.shape, from));
                let stride_of = |axis: &usize| keras[from.iter().position(|other| other == axis).unwrap_or(0)];
                let strides: Vec<usize> = own.iter().map(stride_of).collect();
                Layout::Order(offsets(&node_shape, &strides).map(|offset| offset as u32).collect())
            }
        };
        let node = self.push(name, AnnOp::Reshape, vec![value.node], Some(vec![count]))?;
        Ok((Value { node, shape: vec![count], layout, open: value.open.clone() }, Some(node)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(builder: &mut Builder) -> Value {
        builder.push_input("x", vec![2, 1, 3], last_first(3)).unwrap()
    }

    /// (h, w, c) = (2, 1, 3) lies as (c, h, w): element (c, h) of the node is element 3 h + c of Keras.
    #[test]
    fn flatten_notes_the_order() {
        let mut builder = Builder::new(100);
        let x = image(&mut builder);
        assert_eq!(builder.ann.nodes()[x.node].shape, [3, 2, 1]);
        let (flat, node) = builder.flatten(&x, &[0, 1, 2], "flat").unwrap();
        assert_eq!(flat.layout, Layout::Order([0, 3, 1, 4, 2, 5].into()));
        assert!(node.is_some());
        let ordered = builder.arrange(&flat, &[0], "next").unwrap();
        let AnnOp::Resample { indices } = &builder.ann.nodes()[ordered.node].op else { panic!() };
        // Element j of Keras is element indices[j] of the node.
        assert_eq!(indices[0], [0, 2, 4, 1, 3, 5]);
    }

    #[test]
    fn dimensions_of_length_one_move_freely() {
        let mut builder = Builder::new(100);
        let x = builder.push_input("x", vec![4, 5, 1], last_first(3)).unwrap();
        let (flat, _) = builder.flatten(&x, &[0, 1, 2], "flat").unwrap();
        assert_eq!(flat.layout, Layout::Axes(vec![0]));
        let (back, node) = builder.reshape(&flat, &[0], vec![4, 5, 1], false, "back").unwrap();
        assert_eq!((back.axes(), node.is_some()), (vec![2, 0, 1], true));
        assert_eq!(builder.ann.nodes()[back.node].shape, [1, 4, 5]);
        let (_, node) = builder.reshape(&back, &[0, 1, 2], vec![4, 5, 1], false, "same").unwrap();
        assert_eq!(node, None);
    }

    #[test]
    fn parameters_follow_the_layout() {
        let mut builder = Builder::new(100);
        let x = image(&mut builder);
        let by_channel = x.spread(&[3], &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((&by_channel.shape[..], &by_channel.to_values()[..]), (&[3, 1, 1][..], &[1.0, 2.0, 3.0][..]));
        let all = x.spread(&[2, 1, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!(all.to_values()[..], [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert!(x.spread(&[2], &[1.0, 2.0]).is_err());
    }

    #[test]
    fn tensors_are_permuted() {
        let tensor = AnnTensor::new(vec![2, 3], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(permute(&tensor, &[1, 0]).to_values()[..], [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(permute(&AnnTensor::fill(vec![2, 3], 1.0), &[1, 0]), AnnTensor::fill(vec![3, 2], 1.0));
    }

    #[test]
    fn budgets_end() {
        let mut builder = Builder::new(5);
        let x = image(&mut builder);
        assert!(builder.flatten(&x, &[0, 1, 2], "flat").unwrap_err().contains("memory"));
        assert!(builder.push_input("y", vec![1 << 20, 1 << 20], vec![0, 1]).is_err());
    }
}
