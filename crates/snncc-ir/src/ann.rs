//! A trained artificial network, as readers of ONNX and Keras give it: a graph of layers on values without batch.
//!
//! Layers are canonical: whatever a format writes in several ways (Gemm or MatMul and Add, auto_pad, channels last, axes
//! counted from the end) is one thing here. Shapes are channels first: `(channels)`, `(channels, length)` or
//! `(channels, height, width)`. Constants are folded into the layers; there are no constant values in the graph.
//!
//! **Invariant:** nodes stand in topological order (inputs of a node before it), and every node has the shape that
//! [`shapes::infer`] gives; [`Ann::push`] is the only way in.

mod activation;
pub mod shapes;

pub use activation::{Activation, SoftLif};

use snncc_ids::{AnnNodeId, IdVec};
use std::sync::Arc;

/// A trained artificial network.
#[derive(Clone, Debug, Default)]
pub struct Ann {
    nodes: IdVec<AnnNodeId, AnnNode>,
    /// The nodes whose values leave the network, with the names of the outputs.
    pub outputs: Vec<(String, AnnNodeId)>,
    /// Every node of the file, in its order, and what became of it.
    pub sources: Vec<SourceNode>,
}

/// A layer.
#[derive(Clone, Debug)]
pub struct AnnNode {
    /// Unique name, from the file where it has one.
    pub name: String,
    /// What it does.
    pub op: AnnOp,
    /// Where its inputs come from, in the order of the operator.
    pub inputs: Vec<AnnNodeId>,
    /// Shape of its value, without batch.
    pub shape: Vec<usize>,
}

/// A node of the file as its author wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceNode {
    /// Its name, or one made from its type and position.
    pub name: String,
    /// Operator or layer type in the words of the format: `Conv`, `Dense`.
    pub kind: String,
    /// What became of it.
    pub fate: SourceFate,
}

/// What a reader made of a node of the file.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceFate {
    /// A node of the [`Ann`].
    Node(AnnNodeId),
    /// Worked out while reading, or merged into another node; says how.
    Folded(String),
}

/// What a layer does. `x` is its (first) input.
#[derive(Clone, Debug)]
pub enum AnnOp {
    /// An input of the network. No inputs.
    Input,
    /// `y = W x + b` over the last dimension: fully connected. Weight `(outputs, inputs)`.
    Linear(AnnLinear),
    /// Cross-correlation over one or two dimensions.
    Convolution(AnnConvolution),
    /// Its transpose.
    ConvolutionTranspose(AnnConvolutionTranspose),
    /// `y = gamma (x − mean) / √(variance + epsilon) + beta`, by channel (dimension 0).
    BatchNorm(AnnBatchNorm),
    /// `y = scale ∘ x + shift`, element by element; both broadcast from the right to the shape of `x` as in NumPy.
    ScaleShift {
        /// Factors, or 1.
        scale: Option<AnnTensor>,
        /// Added afterwards, or 0.
        shift: Option<AnnTensor>,
    },
    /// A nonlinear function of each element.
    Activation(Activation),
    /// Mean or maximum over windows.
    Pool(AnnPool),
    /// Mean or maximum over all spatial dimensions; these stay, with length 1.
    GlobalPool(PoolFunction),
    /// The same elements in row-major order under another shape (Flatten, Reshape, Squeeze, Unsqueeze).
    Reshape,
    /// `y[i…] = x` with dimensions permuted: dimension `d` of `y` is dimension `permutation[d]` of `x`.
    Transpose {
        /// The permutation.
        permutation: Vec<usize>,
    },
    /// Constant values around `x`.
    Pad {
        /// Values before, along each dimension.
        before: Vec<usize>,
        /// Values after.
        after: Vec<usize>,
        /// The value.
        value: f32,
    },
    /// Elements `starts[d] + k · steps[d]`, as many as the node's shape says, along each dimension.
    Slice {
        /// First element.
        starts: Vec<usize>,
        /// Distance; at least 1.
        steps: Vec<usize>,
    },
    /// `y[…, k, …] = x[…, indices[d][k], …]` along every dimension: nearest-neighbour resizing.
    Resample {
        /// Source positions, one list per dimension.
        indices: Vec<Vec<usize>>,
    },
    /// Weighted sum of inputs of one shape: Add, Sub, Sum. One coefficient per input.
    Sum {
        /// Factors.
        coefficients: Vec<f32>,
    },
    /// Product of two inputs of one shape, or of one whose spatial dimensions are 1 (squeeze and excitation).
    Product,
    /// Element-wise maximum of inputs of one shape.
    Maximum,
    /// Inputs one after the other along a dimension.
    Concat {
        /// The dimension.
        axis: usize,
    },
    /// `exp(x) / Σ exp(x)` along a dimension.
    Softmax {
        /// The dimension.
        axis: usize,
        /// Whether the logarithm is given.
        log: bool,
    },
    /// Local response normalization: `y = x / (bias + alpha/size · Σ x²)^beta`, the sum over `size` channels around.
    LocalResponseNorm {
        /// Channels in the sum.
        size: usize,
        /// Weight of the sum.
        alpha: f32,
        /// Exponent.
        beta: f32,
        /// Added to the sum.
        bias: f32,
    },
    /// `y = x`: Identity, Dropout and noise layers, which do nothing in a trained network.
    Identity,
    /// An operator that this version cannot execute; the shape is the file's own or that of the first input.
    Unsupported {
        /// Why, and what the user can do, in a sentence.
        reason: String,
    },
}

/// `y = W x + b`.
#[derive(Clone, Debug)]
pub struct AnnLinear {
    /// `(outputs, inputs)`.
    pub weight: AnnTensor,
    /// `(outputs)`.
    pub bias: Option<AnnTensor>,
}

/// A convolution over the dimensions behind the first.
#[derive(Clone, Debug)]
pub struct AnnConvolution {
    /// `(channels_out, channels_in / groups, kernel…)`, one or two kernel dimensions.
    pub weight: AnnTensor,
    /// `(channels_out)`.
    pub bias: Option<AnnTensor>,
    /// Step of the window along each dimension.
    pub stride: Vec<usize>,
    /// Zeros before and after, along each dimension.
    pub padding: Vec<(usize, usize)>,
    /// Distance of kernel elements.
    pub dilation: Vec<usize>,
    /// Groups of channels.
    pub groups: usize,
}

/// The transpose of a convolution: `y` grows from `x` by `stride`.
#[derive(Clone, Debug)]
pub struct AnnConvolutionTranspose {
    /// `(channels_in, channels_out / groups, kernel…)`.
    pub weight: AnnTensor,
    /// `(channels_out)`.
    pub bias: Option<AnnTensor>,
    /// Distance of the windows in `y`.
    pub stride: Vec<usize>,
    /// Elements cut off before and after.
    pub padding: Vec<(usize, usize)>,
    /// Extra elements after.
    pub output_padding: Vec<usize>,
    /// Distance of kernel elements.
    pub dilation: Vec<usize>,
    /// Groups of channels.
    pub groups: usize,
}

/// Batch normalization with its running statistics; all `(channels)`.
#[derive(Clone, Debug)]
pub struct AnnBatchNorm {
    /// Factor after normalization.
    pub gamma: AnnTensor,
    /// Added at the end.
    pub beta: AnnTensor,
    /// Running mean.
    pub mean: AnnTensor,
    /// Running variance.
    pub variance: AnnTensor,
    /// Added to the variance; from the file.
    pub epsilon: f32,
}

/// Mean or maximum over windows.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnPool {
    /// Which.
    pub function: PoolFunction,
    /// Window along each spatial dimension.
    pub kernel: Vec<usize>,
    /// Step.
    pub stride: Vec<usize>,
    /// Padding before and after; more after than the file says where it rounds the output size up.
    pub padding: Vec<(usize, usize)>,
    /// Distance of window elements.
    pub dilation: Vec<usize>,
    /// Whether a mean counts the padding: the zeros up to this many elements after the end (the file's own padding, without
    /// what rounding up added), or none.
    pub counted_after: Option<Vec<usize>>,
}

/// Mean or maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolFunction {
    /// The mean.
    Average,
    /// The maximum; padding never wins.
    Maximum,
}

/// A row-major tensor of `f32` that is cheap to clone and, where all its values are equal, takes no memory: files exist
/// whose weights are filled by an operator and would take half a gigabyte.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnTensor {
    /// Length of each dimension.
    pub shape: Vec<usize>,
    values: Values,
}

#[derive(Clone, Debug, PartialEq)]
enum Values {
    Stored(Arc<[f32]>),
    Fill(f32),
}

impl AnnTensor {
    /// A tensor of these values.
    ///
    /// # Panics
    /// If the number of values is not the product of `shape`; readers check it before.
    pub fn new(shape: Vec<usize>, values: impl Into<Arc<[f32]>>) -> Self {
        let values = values.into();
        assert_eq!(element_count(&shape), Some(values.len()), "bug in snncc: tensor of shape {shape:?}");
        Self { shape, values: Values::Stored(values) }
    }

    /// A tensor of one value, which takes no memory.
    ///
    /// # Panics
    /// If the number of elements is beyond `usize`; readers check it before.
    pub fn fill(shape: Vec<usize>, value: f32) -> Self {
        assert!(element_count(&shape).is_some(), "bug in snncc: tensor of shape {shape:?}");
        Self { shape, values: Values::Fill(value) }
    }

    /// A one-dimensional tensor.
    pub fn vector(values: impl Into<Arc<[f32]>>) -> Self {
        let values = values.into();
        Self { shape: vec![values.len()], values: Values::Stored(values) }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        element_count(&self.shape).expect("bug in snncc: checked when made")
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value `index` in row-major order.
    pub fn get(&self, index: usize) -> f32 {
        match &self.values {
            Values::Stored(values) => values[index],
            Values::Fill(value) => *value,
        }
    }

    /// The value of all elements, if the tensor is kept as one.
    pub fn filled_with(&self) -> Option<f32> {
        match &self.values {
            Values::Stored(_) => None,
            Values::Fill(value) => Some(*value),
        }
    }

    /// All values; expands a filled tensor.
    pub fn to_values(&self) -> Arc<[f32]> {
        match &self.values {
            Values::Stored(values) => values.clone(),
            Values::Fill(value) => std::iter::repeat_n(*value, self.len()).collect(),
        }
    }

    /// All values in order, without expanding.
    pub fn iter(&self) -> impl Iterator<Item = f32> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The same values under another shape of as many elements.
    ///
    /// # Panics
    /// If the number of elements differs; readers check it before.
    pub fn reshaped(&self, shape: Vec<usize>) -> Self {
        assert_eq!(element_count(&shape), Some(self.len()), "bug in snncc: {:?} as {shape:?}", self.shape);
        Self { shape, values: self.values.clone() }
    }

    /// Applies `f` to every value; a filled tensor stays one.
    pub fn map(&self, mut f: impl FnMut(f32) -> f32) -> Self {
        let values = match &self.values {
            Values::Stored(values) => Values::Stored(values.iter().map(|value| f(*value)).collect()),
            Values::Fill(value) => Values::Fill(f(*value)),
        };
        Self { shape: self.shape.clone(), values }
    }

    /// The values in `f64`, as the tensors of a [`crate::Network`] have them.
    pub fn to_tensor(&self) -> crate::Tensor {
        crate::Tensor { shape: self.shape.clone(), data: self.iter().map(f64::from).collect() }
    }
}

/// Number of elements of a shape, if it is one.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().copied().try_fold(1_usize, usize::checked_mul)
}

impl Ann {
    /// An empty network.
    pub fn new() -> Self {
        Self::default()
    }

    /// All nodes, inputs of a node before it.
    pub fn nodes(&self) -> &IdVec<AnnNodeId, AnnNode> {
        &self.nodes
    }

    /// Appends an input.
    pub fn push_input(&mut self, name: impl Into<String>, shape: Vec<usize>) -> AnnNodeId {
        self.nodes.push(AnnNode { name: self.unique(name.into()), op: AnnOp::Input, inputs: Vec::new(), shape })
    }

    /// Appends a node; its shape is worked out. `shape` is needed where the operator does not say it (Reshape, Slice,
    /// Unsupported) and is checked otherwise. A name that is taken gets a number.
    ///
    /// # Errors
    /// What does not fit, in a sentence that names shapes.
    ///
    /// # Panics
    /// If an input does not exist yet.
    pub fn push(
        &mut self,
        name: impl Into<String>,
        op: AnnOp,
        inputs: Vec<AnnNodeId>,
        shape: Option<Vec<usize>>,
    ) -> Result<AnnNodeId, String> {
        let input_shapes: Vec<&[usize]> = inputs.iter().map(|id| &self.nodes[*id].shape[..]).collect();
        let shape = shapes::infer(&op, &input_shapes, shape)?;
        let name = self.unique(name.into());
        Ok(self.nodes.push(AnnNode { name, op, inputs, shape }))
    }

    /// Puts another operator in the place of a node's, with the same inputs and the same shape of the value.
    ///
    /// # Errors
    /// What does not fit, in a sentence that names shapes; the node stays as it was.
    pub fn replace(&mut self, id: AnnNodeId, op: AnnOp) -> Result<(), String> {
        let node = &self.nodes[id];
        let input_shapes: Vec<&[usize]> = node.inputs.iter().map(|id| &self.nodes[*id].shape[..]).collect();
        let shape = shapes::infer(&op, &input_shapes, Some(node.shape.clone()))?;
        if shape != node.shape {
            return Err(format!("its value of shape {:?} would have shape {shape:?}", node.shape));
        }
        self.nodes[id].op = op;
        Ok(())
    }

    /// The inputs of the network.
    pub fn inputs(&self) -> impl Iterator<Item = AnnNodeId> + '_ {
        self.nodes.iter_with_ids().filter(|(_, node)| matches!(node.op, AnnOp::Input)).map(|(id, _)| id)
    }

    /// How many nodes read the value of each node; outputs of the network count as one.
    pub fn reader_counts(&self) -> IdVec<AnnNodeId, u32> {
        let mut counts: IdVec<AnnNodeId, u32> = self.nodes.ids().map(|_| 0).collect();
        let readers = self.nodes.iter().flat_map(|node| &node.inputs).chain(self.outputs.iter().map(|(_, id)| id));
        readers.for_each(|id| counts[*id] += 1);
        counts
    }

    /// Item path of a node, as diagnostics show it.
    pub fn item(&self, id: AnnNodeId) -> String {
        format!("graph/{}", self.nodes[id].name)
    }

    fn unique(&self, name: String) -> String {
        let taken = |name: &str| self.nodes.iter().any(|node| node.name == name);
        if !taken(&name) {
            return name;
        }
        let mut numbered = (2..).map(|number| format!("{name}#{number}"));
        numbered.find(|name| !taken(name)).expect("bug in snncc: numbers never end")
    }
}
