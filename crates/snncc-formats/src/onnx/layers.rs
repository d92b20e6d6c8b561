//! Which operator is read where, and the layers with weights.

use super::constant::{Constant, mapped, uniform, zip_floats};
use super::graph::{Call, Live, Reader, Value};
use super::node::{Reading, broken, length, unsupported};
use super::window::{AutoPad, Window, per_dimension, reach, stated_padding};
use snncc_ir::ann::{AnnBatchNorm, AnnConvolution, AnnConvolutionTranspose, AnnLinear, AnnOp, AnnTensor, PoolFunction};

impl Reader<'_, '_> {
    /// Reads one node: the values of its outputs, in order. Those that are left out do not exist.
    pub(super) fn layer(&mut self, call: &Call) -> Reading<Vec<Value>> {
        let node = call.node;
        if !node.domain.is_empty() {
            return unsupported(format!(
                "`{}` is an operator of `{}`, not of ONNX itself; export the model without the optimizations or functions \
                 of that tool (onnx.inliner expands functions)",
                node.kind, node.domain
            ));
        }
        if node.has_subgraph() {
            return unsupported(format!(
                "`{}` runs a graph of its own; export the model for one fixed path (torch.onnx.export traces it)",
                node.kind
            ));
        }
        if let Some(values) = self.shape_operator(call)? {
            return Ok(values);
        }
        if call.all_constant() {
            return match self.fold(call)? {
                Some(constant) => Ok(vec![Value::Constant(constant)]),
                None => unsupported(format!(
                    "`{}` of constants is not worked out here; fold constants first (onnxsim does)",
                    node.kind
                )),
            };
        }
        match node.kind.as_str() {
            "Conv" => self.convolution(call),
            "ConvTranspose" => self.convolution_transpose(call),
            "Gemm" => self.gemm(call),
            "MatMul" => self.matrix_product(call),
            "BatchNormalization" => self.batch_norm(call),
            "LRN" => self.local_response_norm(call),
            "AveragePool" => self.pool(call, PoolFunction::Average),
            "MaxPool" => self.pool(call, PoolFunction::Maximum),
            "GlobalAveragePool" => self.global_pool(call, PoolFunction::Average),
            "GlobalMaxPool" => self.global_pool(call, PoolFunction::Maximum),
            "ReduceMean" | "ReduceMax" | "ReduceSum" => self.reduce(call),
            "Resize" | "Upsample" => self.resize(call),
            "Softmax" | "LogSoftmax" => self.softmax(call),
            "Dropout" | "Identity" | "Cast" | "CastLike" => self.identity(call),
            _ => self.elementwise(call),
        }
    }

    fn one(&mut self, call: &Call, op: AnnOp, x: Live) -> Reading<Vec<Value>> {
        Ok(vec![Value::Live(self.layer_of(call, op, &[x], None)?)])
    }

    fn convolution(&mut self, call: &Call) -> Reading<Vec<Value>> {
        let x = call.live(0)?;
        let weight = self.parameter(call, 1, "weight")?;
        let bias = self.optional_parameter(call, 2, "bias")?;
        let space = self.space(x, "a convolution")?;
        let kernel = check_kernel(call, &weight, &space)?;
        let Window { stride, dilation, padding } = Window::of(call.node, &kernel, &space)?;
        let groups = length("group", call.node.int("group", 1)?, 1)?;
        let convolution = AnnConvolution { weight, bias, stride, padding, dilation, groups };
        self.one(call, AnnOp::Convolution(convolution), x)
    }

    fn convolution_transpose(&mut self, call: &Call) -> Reading<Vec<Value>> {
        let x = call.live(0)?;
        let weight = self.parameter(call, 1, "weight")?;
        let bias = self.optional_parameter(call, 2, "bias")?;
        let space = self.space(x, "a convolution")?;
        let kernel = check_kernel(call, &weight, &space)?;
        let node = call.node;
        let dimensions = space.len();
        let stride = per_dimension(node, "strides", dimensions)?;
        let dilation = per_dimension(node, "dilations", dimensions)?;
        let output_padding = match node.lengths("output_padding", 0)? {
            None => vec![0; dimensions],
            Some(lengths) if lengths.len() == dimensions => lengths,
            Some(lengths) => return broken(format!("`output_padding` {lengths:?} does not suit space {space:?}")),
        };
        let auto_pad = AutoPad::of(node)?;
        // With batch and channels in old files.
        let outputs = node.lengths("output_shape", 1)?.map(|all| all[all.len().saturating_sub(dimensions)..].to_vec());
        let outputs = match (outputs, auto_pad) {
            (Some(outputs), _) if outputs.len() == dimensions => Some(outputs),
            (Some(outputs), _) => return broken(format!("`output_shape` {outputs:?} does not suit space {space:?}")),
            (None, AutoPad::SameUpper | AutoPad::SameLower) => {
                Some((0..dimensions).map(|d| space[d] * stride[d]).collect())
            }
            (None, _) => None,
        };
        let padding = match outputs {
            None if auto_pad == AutoPad::Valid => vec![(0, 0); dimensions],
            None => stated_padding(node, dimensions)?,
            Some(outputs) => (0..dimensions)
                .map(|d| {
                    let whole = stride[d] * (space[d] - 1) + output_padding[d] + reach(kernel[d], dilation[d])?;
                    match whole.checked_sub(outputs[d]) {
                        Some(total) => Ok(auto_pad.split(total)),
                        None => broken(format!(
                            "the output cannot have size {}; without padding it has {whole}",
                            outputs[d]
                        )),
                    }
                })
                .collect::<Reading<_>>()?,
        };
        let groups = length("group", node.int("group", 1)?, 1)?;
        let transpose = AnnConvolutionTranspose { weight, bias, stride, padding, output_padding, dilation, groups };
        self.one(call, AnnOp::ConvolutionTranspose(transpose), x)
    }

    /// `y = alpha · A B + beta · C`
    fn gemm(&mut self, call: &Call) -> Reading<Vec<Value>> {
        let node = call.node;
        if matches!(call.value(0)?, Value::Constant(_)) {
            return unsupported("its first matrix is constant, so it mixes the samples of the batch");
        }
        let x = call.live(0)?;
        if node.flag("transA", false)? {
            return unsupported("transA turns the batch into features; export the model with samples as rows");
        }
        if self.shape(x).len() + usize::from(x.batch.is_some()) != 2 {
            return broken(format!("Gemm needs a matrix, its input is {:?} without batch", self.shape(x)));
        }
        let matrix = self.parameter(call, 1, "weight")?;
        let alpha = node.float("alpha", 1.0)?;
        let beta = node.float("beta", 1.0)?;
        let weight = match node.flag("transB", false)? {
            true => matrix,
            false => self.transposed_matrix(matrix)?,
        };
        let [outputs, _] = weight.shape[..] else {
            return broken(format!("its weight has shape {:?}; it must be a matrix", weight.shape));
        };
        let weight = self.times(weight, alpha)?;
        if let Some(Value::Live(c)) = call.optional(2) {
            let linear = AnnOp::Linear(AnnLinear { weight, bias: None });
            let product = self.helper(call, "product", linear, &[x], None)?;
            let sum = AnnOp::Sum { coefficients: vec![1.0, beta] };
            return Ok(vec![Value::Live(self.layer_of(call, sum, &[product, *c], None)?)]);
        }
        let bias = self.optional_parameter(call, 2, "bias")?;
        let bias = bias.map(|bias| self.bias_vector(&bias, outputs)).transpose()?;
        let bias = bias.map(|bias| self.times(bias, beta)).transpose()?;
        self.one(call, AnnOp::Linear(AnnLinear { weight, bias }), x)
    }

    /// The tensor times a number.
    pub(super) fn times(&mut self, tensor: AnnTensor, factor: f32) -> Reading<AnnTensor> {
        if factor == 1.0 { Ok(tensor) } else { mapped(&tensor, &mut self.budget, |value| value * factor) }
    }

    /// A bias that broadcasts to rows of `outputs` values, as such a row.
    fn bias_vector(&mut self, bias: &AnnTensor, outputs: usize) -> Reading<AnnTensor> {
        let leading = bias.shape.len().saturating_sub(1);
        if bias.shape[..leading].iter().any(|length| *length != 1) {
            return broken(format!("its bias {:?} differs from sample to sample", bias.shape));
        }
        let row = Constant::Floats(bias.reshaped(bias.shape[leading..].to_vec()));
        match row.broadcast(&[outputs], &mut self.budget)? {
            Constant::Floats(row) => Ok(row),
            Constant::Integers(_) => unreachable!("bug in snncc: floats stay floats"),
        }
    }

    fn transposed_matrix(&mut self, matrix: AnnTensor) -> Reading<AnnTensor> {
        if matrix.shape.len() != 2 {
            return broken(format!("its weight has shape {:?}; it must be a matrix", matrix.shape));
        }
        match Constant::Floats(matrix).transposed(&[1, 0], &mut self.budget)? {
            Constant::Floats(matrix) => Ok(matrix),
            Constant::Integers(_) => unreachable!("bug in snncc: floats stay floats"),
        }
    }

    /// `MatMul` with a constant on one side.
    fn matrix_product(&mut self, call: &Call) -> Reading<Vec<Value>> {
        match (call.value(0)?, call.value(1)?) {
            (Value::Live(x), Value::Constant(_)) => {
                let x = *x;
                let matrix = self.parameter(call, 1, "weight")?;
                let rank = self.shape(x).len() + usize::from(x.batch.is_some());
                if self.shape(x).is_empty() {
                    return broken("its input has no features to multiply");
                }
                let matrix = flat_matrix(matrix, rank)?;
                if let [inputs] = matrix.shape[..] {
                    // A vector: one output, without a dimension of its own.
                    let weight = matrix.reshaped(vec![1, inputs]);
                    let shape = self.shape(x)[..self.shape(x).len() - 1].to_vec();
                    let y = self.layer_of(call, AnnOp::Linear(AnnLinear { weight, bias: None }), &[x], None)?;
                    return Ok(vec![Value::Live(self.helper(call, "squeeze", AnnOp::Reshape, &[y], Some(shape))?)]);
                }
                let weight = self.transposed_matrix(matrix)?;
                self.one(call, AnnOp::Linear(AnnLinear { weight, bias: None }), x)
            }
            (Value::Constant(_), Value::Live(x)) => {
                let x = *x;
                let matrix = self.parameter(call, 0, "weight")?;
                let rank = self.shape(x).len();
                if rank < 2 {
                    return unsupported("its first matrix is constant, so it mixes the samples of the batch");
                }
                let weight = flat_matrix(matrix, rank + usize::from(x.batch.is_some()))?;
                if weight.shape.len() != 2 {
                    return unsupported(
                        "a constant vector times a matrix of values is not supported; write it as MatMul(x, W)",
                    );
                }
                // W x = (xᵀ Wᵀ)ᵀ
                let mut permutation: Vec<usize> = (0..rank).collect();
                permutation.swap(rank - 1, rank - 2);
                let turn = || AnnOp::Transpose { permutation: permutation.clone() };
                let turned = self.helper(call, "before", turn(), &[x], None)?;
                let linear = AnnOp::Linear(AnnLinear { weight, bias: None });
                let product = self.layer_of(call, linear, &[turned], None)?;
                Ok(vec![Value::Live(self.helper(call, "after", turn(), &[product], None)?)])
            }
            _ => unsupported(
                "it multiplies two computed matrices, as attention does; snncc converts networks with constant weights",
            ),
        }
    }

    fn batch_norm(&mut self, call: &Call) -> Reading<Vec<Value>> {
        let node = call.node;
        let training = node.flag("training_mode", false)?
            || (self.opset < 7 && !node.flag("is_test", false)?)
            || node.outputs.iter().skip(1).any(|output| !output.is_empty());
        if training {
            return unsupported(
                "the batch normalization is in training mode; export the model for inference (model.eval() in PyTorch)",
            );
        }
        if self.opset < 9 && !node.flag("spatial", true)? {
            return unsupported(
                "spatial = 0 normalizes each element by itself; export the model with operator set 9 or later",
            );
        }
        let x = call.live(0)?;
        self.needs_batch(x)?;
        let norm = AnnBatchNorm {
            gamma: self.parameter(call, 1, "gamma")?,
            beta: self.parameter(call, 2, "beta")?,
            mean: self.parameter(call, 3, "mean")?,
            variance: self.parameter(call, 4, "variance")?,
            epsilon: node.float("epsilon", 1e-5)?,
        };
        self.one(call, AnnOp::BatchNorm(norm), x)
    }

    fn local_response_norm(&mut self, call: &Call) -> Reading<Vec<Value>> {
        let x = call.live(0)?;
        self.needs_batch(x)?;
        let node = call.node;
        if !node.has("size") {
            return broken("attribute `size` is missing");
        }
        let op = AnnOp::LocalResponseNorm {
            size: length("size", node.int("size", 1)?, 1)?,
            alpha: node.float("alpha", 1e-4)?,
            beta: node.float("beta", 0.75)?,
            bias: node.float("bias", 1.0)?,
        };
        self.one(call, op, x)
    }

    /// Nodes that do nothing in a trained network.
    fn identity(&mut self, call: &Call) -> Reading<Vec<Value>> {
        let node = call.node;
        match node.kind.as_str() {
            "Cast" if !super::tensor::is_float(i32::try_from(node.int("to", 0)?).unwrap_or(0)) => {
                let to = super::tensor::element_name(i32::try_from(node.int("to", 0)?).unwrap_or(-1));
                return unsupported(format!(
                    "it casts values to {to}, which cuts off their fractions; cut the model before it"
                ));
            }
            "CastLike" => return unsupported("CastLike is not supported; export the model with Cast"),
            "Dropout" => {
                let training = match call.optional_constant(2)? {
                    None => false,
                    Some(mode) => mode.to_integers(&mut self.budget)?.values.first().is_some_and(|mode| *mode != 0),
                };
                if training {
                    return unsupported("the dropout is in training mode; export the model for inference");
                }
            }
            _ => {}
        }
        let x = call.live(0)?;
        self.one(call, AnnOp::Identity, x)
    }

    /// Adds a constant to the bias of the layer that made `x`, if only the current node reads it and the constant is one
    /// value per output. `None` if that is not so.
    pub(super) fn merge_bias(
        &mut self,
        call: &Call,
        index: usize,
        x: Live,
        added: &AnnTensor,
    ) -> Reading<Option<Live>> {
        let draft = &self.drafts[x.draft];
        let rank = draft.shape.len();
        let (channel, bias) = match &draft.op {
            AnnOp::Linear(linear) => (rank - 1, &linear.bias),
            AnnOp::Convolution(convolution) => (0, &convolution.bias),
            AnnOp::ConvolutionTranspose(transpose) => (0, &transpose.bias),
            _ => return Ok(None),
        };
        let outputs = draft.shape[channel];
        let by_channel = |(d, length): (usize, &usize)| {
            *length == 1 || (*length == outputs && d + rank - added.shape.len() == channel)
        };
        if !added.shape.iter().enumerate().all(by_channel) || !self.sole_reader(call, index) {
            return Ok(None);
        }
        let (bias, mut op) = (bias.clone(), draft.op.clone());
        let row = match uniform(added) {
            Some(value) => AnnTensor::fill(vec![outputs], value),
            None => added.reshaped(vec![outputs]),
        };
        let sum = match bias {
            Some(bias) => zip_floats(&bias, &row, &mut self.budget, |a, b| a + b)?,
            None => row,
        };
        match &mut op {
            AnnOp::Linear(linear) => linear.bias = Some(sum),
            AnnOp::Convolution(convolution) => convolution.bias = Some(sum),
            AnnOp::ConvolutionTranspose(transpose) => transpose.bias = Some(sum),
            _ => unreachable!("bug in snncc: matched above"),
        }
        self.replace(x, op, "bias").map(Some)
    }
}

/// The spatial dimensions of a weight, which must suit the space and the attribute `kernel_shape`.
fn check_kernel(call: &Call, weight: &AnnTensor, space: &[usize]) -> Reading<Vec<usize>> {
    let kernel = weight.shape.get(2..).unwrap_or(&[]).to_vec();
    if kernel.len() != space.len() || kernel.contains(&0) {
        return broken(format!("its weight {:?} does not suit space {space:?}", weight.shape));
    }
    match call.node.lengths("kernel_shape", 1)? {
        Some(stated) if stated != kernel => {
            broken(format!("`kernel_shape` is {stated:?}, but the weight has shape {:?}", weight.shape))
        }
        _ => Ok(kernel),
    }
}

/// A constant factor of a MatMul with values of `rank` dimensions: a matrix, or a vector; leading dimensions of length 1
/// that do not add to those of the values are dropped.
fn flat_matrix(matrix: AnnTensor, rank: usize) -> Reading<AnnTensor> {
    let leading = matrix.shape.len().saturating_sub(2);
    if matrix.shape.is_empty() || matrix.is_empty() {
        return broken(format!("its weight has shape {:?}; it must be a matrix", matrix.shape));
    }
    if matrix.shape.len() > rank.max(2) || matrix.shape[..leading].iter().any(|length| *length != 1) {
        return unsupported(format!(
            "its weight has shape {:?}: a stack of matrices; snncc knows one matrix for all rows",
            matrix.shape
        ));
    }
    let shape = matrix.shape[leading..].to_vec();
    Ok(matrix.reshaped(shape))
}
