//! The network while it is rewritten: a graph whose nodes may be changed, passed over and left behind.
//!
//! **Invariant:** inputs of a node exist and the graph has no loops; nodes need not stand in topological order, and nodes that
//! no output reads may be left over. [`Draft::finish`] sorts and drops.

use snncc_ids::{AnnNodeId, Id, IdVec};
use snncc_ir::ann::{Ann, AnnOp, shapes};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A node of a [`Draft`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Value(u32);

impl Id for Value {
    fn new(index: usize) -> Self {
        Self(u32::try_from(index).expect("bug in snncc: more than 2^32 layers"))
    }
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a node is for, where folding needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing particular.
    Plain,
    /// A 1×1 convolution in groups of one channel that makes several factors and constants of each: `C → K·C`.
    Spread,
    /// A 1×1 convolution in groups without constant that sums `K` values for each channel: `K·C → C`.
    Gather,
    /// A sum, one of whose inputs is a [`Role::Gather`].
    GatherSum,
}

/// A layer.
#[derive(Clone, Debug)]
pub(super) struct DraftNode {
    pub(super) name: String,
    pub(super) op: AnnOp,
    pub(super) inputs: Vec<Value>,
    pub(super) shape: Vec<usize>,
    /// The node of the original network with the same value, or the one that this value stands in for.
    pub(super) origin: Option<AnnNodeId>,
    /// Factors and constants of the original network that this node holds until it is folded away.
    pub(super) holds: Vec<AnnNodeId>,
    pub(super) role: Role,
}

/// A network that is rewritten.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) nodes: IdVec<Value, DraftNode>,
    pub(super) outputs: Vec<(String, Value)>,
}

impl Draft {
    /// Appends a node; its shape is worked out, or given where the operator does not say it.
    pub(super) fn push(
        &mut self,
        name: impl Into<String>,
        op: AnnOp,
        inputs: Vec<Value>,
        shape: Option<Vec<usize>>,
    ) -> Value {
        let name = name.into();
        let shapes: Vec<&[usize]> = inputs.iter().map(|value| self.shape(*value)).collect();
        let shape = shapes::infer(&op, &shapes, shape).unwrap_or_else(|why| panic!("bug in snncc: `{name}`: {why}"));
        self.nodes.push(DraftNode { name, op, inputs, shape, origin: None, holds: Vec::new(), role: Role::Plain })
    }

    /// The same elements under another shape; the value itself if it has that shape.
    pub(super) fn reshape(&mut self, name: &str, value: Value, shape: &[usize]) -> Value {
        match self.shape(value) == shape {
            true => value,
            false => self.push(name, AnnOp::Reshape, vec![value], Some(shape.to_vec())),
        }
    }

    pub(super) fn shape(&self, value: Value) -> &[usize] {
        &self.nodes[value].shape
    }

    pub(super) fn op(&self, value: Value) -> &AnnOp {
        &self.nodes[value].op
    }

    /// The only input of a node.
    pub(super) fn input(&self, value: Value) -> Value {
        self.nodes[value].inputs[0]
    }

    /// Lets everything that reads `old` read `new`.
    pub(super) fn replace(&mut self, old: Value, new: Value) {
        let readers = self.nodes.iter_mut().flat_map(|node| &mut node.inputs);
        let ends = self.outputs.iter_mut().map(|(_, value)| value);
        readers.chain(ends).filter(|value| **value == old).for_each(|value| *value = new);
    }

    /// Which nodes an output or nothing but the network itself needs: those on a path to an output, and all inputs.
    pub(super) fn live(&self) -> IdVec<Value, bool> {
        let mut live: IdVec<Value, bool> = self.nodes.iter().map(|node| matches!(node.op, AnnOp::Input)).collect();
        let mut stack: Vec<Value> = self.outputs.iter().map(|(_, value)| *value).collect();
        while let Some(value) = stack.pop() {
            if !live[value] || matches!(self.op(value), AnnOp::Input) {
                live[value] = true;
                stack.extend(&self.nodes[value].inputs);
            }
        }
        live
    }

    /// The live nodes that read each node; an output counts as a reader without a node.
    pub(super) fn readers(&self) -> IdVec<Value, Vec<Option<Value>>> {
        let live = self.live();
        let mut readers: IdVec<Value, Vec<Option<Value>>> = self.nodes.ids().map(|_| Vec::new()).collect();
        for (id, node) in self.nodes.iter_with_ids().filter(|(id, _)| live[*id]) {
            node.inputs.iter().for_each(|input| readers[*input].push(Some(id)));
        }
        self.outputs.iter().for_each(|(_, value)| readers[*value].push(None));
        readers
    }

    /// Live nodes, inputs of a node before it, otherwise in the order they were made.
    pub(super) fn order(&self) -> Vec<Value> {
        let live = self.live();
        let readers = self.readers();
        let mut missing: IdVec<Value, usize> = self.nodes.iter().map(|node| node.inputs.len()).collect();
        let ready = self.nodes.ids().filter(|id| live[*id] && missing[*id] == 0).map(Reverse);
        let mut ready: BinaryHeap<Reverse<Value>> = ready.collect();
        let mut order = Vec::new();
        while let Some(Reverse(value)) = ready.pop() {
            order.push(value);
            for reader in readers[value].iter().flatten() {
                missing[*reader] -= 1;
                if missing[*reader] == 0 {
                    ready.push(Reverse(*reader));
                }
            }
        }
        order
    }

    /// The network of what is live, and the origin of each of its nodes.
    pub(super) fn finish(&self) -> (Ann, IdVec<AnnNodeId, Option<AnnNodeId>>) {
        let mut ann = Ann::new();
        let mut origins = IdVec::new();
        let mut ids: IdVec<Value, Option<AnnNodeId>> = self.nodes.ids().map(|_| None).collect();
        let is_input = |value: &Value| matches!(self.op(*value), AnnOp::Input);
        let (inputs, others): (Vec<Value>, Vec<Value>) = self.order().into_iter().partition(is_input);
        let known = |id: Option<AnnNodeId>| id.expect("bug in snncc: the order is topological");
        for value in inputs.into_iter().chain(others) {
            let node = &self.nodes[value];
            let id = match node.op {
                AnnOp::Input => ann.push_input(&node.name, node.shape.clone()),
                _ => {
                    let inputs = node.inputs.iter().map(|input| known(ids[*input])).collect();
                    ann.push(&node.name, node.op.clone(), inputs, Some(node.shape.clone()))
                        .unwrap_or_else(|why| panic!("bug in snncc: `{}`: {why}", node.name))
                }
            };
            ids[value] = Some(id);
            origins.push(node.origin);
        }
        ann.outputs = self.outputs.iter().map(|(name, value)| (name.clone(), known(ids[*value]))).collect();
        (ann, origins)
    }

    /// Whether a value cannot be below 0, as far as its layers say.
    pub(super) fn is_nonnegative(&self, value: Value) -> bool {
        use snncc_ir::ann::{Activation, AnnTensor};
        let not_below_0 = |tensor: &Option<AnnTensor>| {
            tensor.as_ref().is_none_or(|tensor| match tensor.filled_with() {
                Some(value) => value >= 0.0,
                None => tensor.iter().all(|value| value >= 0.0),
            })
        };
        let mut stack = vec![value];
        let mut seen: IdVec<Value, bool> = self.nodes.ids().map(|_| false).collect();
        while let Some(value) = stack.pop() {
            if std::mem::replace(&mut seen[value], true) {
                continue;
            }
            let passes = match self.op(value) {
                AnnOp::Activation(Activation::Relu) => continue,
                AnnOp::Activation(Activation::Clip { min, max }) if *min >= 0.0 && *max >= 0.0 => continue,
                AnnOp::Pool(_)
                | AnnOp::GlobalPool(_)
                | AnnOp::Reshape
                | AnnOp::Transpose { .. }
                | AnnOp::Slice { .. }
                | AnnOp::Resample { .. }
                | AnnOp::Concat { .. } => true,
                AnnOp::Pad { value, .. } => *value >= 0.0,
                AnnOp::Sum { coefficients } => coefficients.iter().all(|factor| *factor >= 0.0),
                AnnOp::ScaleShift { scale, shift } => not_below_0(scale) && not_below_0(shift),
                AnnOp::Convolution(layer) => not_below_0(&layer.bias) && not_below_0(&Some(layer.weight.clone())),
                _ => false,
            };
            if !passes {
                return false;
            }
            stack.extend(&self.nodes[value].inputs);
        }
        true
    }
}
