//! Activations and arithmetic, element by element.

use super::constant::{broadcast_shape, mapped, uniform};
use super::graph::{Call, Live, Reader, Value};
use super::node::{Reading, axis, broken, unsupported};
use snncc_ir::ann::{Activation, AnnOp, AnnTensor, element_count};

/// Constants of Selu as the operator's definition gives them.
const SELU: (f32, f32) = (1.673_263_2, 1.050_701);

impl Reader<'_, '_> {
    /// Operators on single elements; what is not known is not supported.
    pub(super) fn elementwise(&mut self, call: &Call) -> Reading<Vec<Value>> {
        let y = match call.node.kind.as_str() {
            "Add" => self.sum(call, &[1.0, 1.0])?,
            "Sub" => self.sum(call, &[1.0, -1.0])?,
            "Sum" => self.sum(call, &vec![1.0; call.inputs.len()])?,
            "Mul" => self.product(call)?,
            "Div" => self.quotient(call)?,
            "Neg" => {
                let x = call.live(0)?;
                self.layer_of(call, scale_by(AnnTensor::fill(Vec::new(), -1.0)), &[x], None)?
            }
            "Pow" => self.power(call)?,
            "Max" | "Min" => self.extreme(call)?,
            "Erf" => self.error_function(call)?,
            "PRelu" => self.prelu(call)?,
            "Clip" => {
                let (min, max) = self.clip_bounds(call)?;
                self.clip(call, min, max)?
            }
            kind => {
                let Some(activation) = self.activation(call)? else { return unsupported(advice(kind)) };
                self.layer_of(call, AnnOp::Activation(activation), &[call.live(0)?], None)?
            }
        };
        Ok(vec![Value::Live(y)])
    }

    /// The activation of a node that has no other inputs than its value; `None` if it is none.
    pub(super) fn activation(&self, call: &Call) -> Reading<Option<Activation>> {
        let node = call.node;
        Ok(Some(match node.kind.as_str() {
            "Relu" => Activation::Relu,
            "LeakyRelu" => Activation::LeakyRelu { slope: node.float("alpha", 0.01)? },
            "ThresholdedRelu" => Activation::ThresholdedRelu { threshold: node.float("alpha", 1.0)? },
            "Sigmoid" => Activation::Sigmoid,
            "Tanh" => Activation::Tanh,
            "HardSigmoid" => {
                Activation::HardSigmoid { alpha: node.float("alpha", 0.2)?, beta: node.float("beta", 0.5)? }
            }
            "HardSwish" => Activation::HardSwish,
            "Swish" if node.float("alpha", 1.0)? == 1.0 => Activation::Silu,
            "Elu" => Activation::Elu { alpha: node.float("alpha", 1.0)? },
            "Selu" => Activation::Selu { alpha: node.float("alpha", SELU.0)?, gamma: node.float("gamma", SELU.1)? },
            "Celu" => match node.float("alpha", 1.0)? {
                0.0 => return broken("`alpha` is 0; Celu divides by it"),
                alpha => Activation::Celu { alpha },
            },
            "Gelu" => match node.text("approximate", "none")? {
                "none" => Activation::Gelu { tanh: false },
                "tanh" => Activation::Gelu { tanh: true },
                other => return broken(format!("`approximate` is `{other}`; ONNX knows none and tanh")),
            },
            "Mish" => Activation::Mish,
            "Softplus" => Activation::Softplus,
            "Softsign" => Activation::Softsign,
            "Abs" => Activation::Abs,
            _ => return Ok(None),
        }))
    }

    fn prelu(&mut self, call: &Call) -> Reading<Live> {
        let x = call.live(0)?;
        let slope = self.parameter(call, 1, "slope")?;
        let slope = self.without_batch(x, slope)?;
        let activation = match uniform(&slope) {
            Some(slope) => Activation::LeakyRelu { slope },
            None => Activation::PRelu { slope },
        };
        self.layer_of(call, AnnOp::Activation(activation), &[x], None)
    }

    /// Bounds of `Clip`; `None` where there is none.
    pub(super) fn clip_bounds(&mut self, call: &Call) -> Reading<(Option<f32>, Option<f32>)> {
        if self.opset < 11 {
            let bound = |name: &str| call.node.has(name).then(|| call.node.float(name, 0.0)).transpose();
            // Exporters wrote the ends of the range of floats for none.
            let real = |bound: Option<f32>| bound.filter(|bound| bound.abs() < f32::MAX);
            return Ok((real(bound("min")?), real(bound("max")?)));
        }
        let mut bound = |index: usize| -> Reading<Option<f32>> {
            let Some(tensor) = self.optional_parameter(call, index, "bound")? else { return Ok(None) };
            match uniform(&tensor) {
                Some(bound) => Ok(Some(bound).filter(|bound| bound.abs() < f32::MAX || bound.is_nan())),
                None => broken(format!("a bound of Clip is one number, not a tensor of {:?}", tensor.shape)),
            }
        };
        Ok((bound(1)?, bound(2)?))
    }

    /// `min(max(x, min), max)`; several in a row become one, and one that is a ReLU is told as such.
    fn clip(&mut self, call: &Call, min: Option<f32>, max: Option<f32>) -> Reading<Live> {
        let x = call.live(0)?;
        self.clip_of(call, 0, x, min, max)
    }

    fn clip_of(&mut self, call: &Call, index: usize, x: Live, min: Option<f32>, max: Option<f32>) -> Reading<Live> {
        if min.into_iter().chain(max).any(f32::is_nan) {
            return broken("a bound is not a number");
        }
        let (mut low, mut high) = (min.unwrap_or(f32::NEG_INFINITY), max.unwrap_or(f32::INFINITY));
        let mut input = x;
        let before = match &self.drafts[x.draft].op {
            AnnOp::Activation(Activation::Relu) => Some((0.0, f32::INFINITY)),
            AnnOp::Activation(Activation::Clip { min, max }) => Some((*min, *max)),
            _ => None,
        };
        if let (Some((inner_low, inner_high)), true) = (before, self.sole_reader(call, index)) {
            let bound = |value: f32| value.max(low).min(high);
            (low, high) = (bound(inner_low), bound(inner_high));
            input = Live { draft: self.drafts[x.draft].inputs[0], batch: x.batch };
            self.absorb(call, x.draft, "the bounds of");
        }
        let op = match (low, high) {
            (f32::NEG_INFINITY, f32::INFINITY) => AnnOp::Identity,
            (0.0, f32::INFINITY) => AnnOp::Activation(Activation::Relu),
            (min, max) => AnnOp::Activation(Activation::Clip { min, max }),
        };
        self.layer_of(call, op, &[input], None)
    }

    /// `Max`, `Min`: of values, or of a value and one number.
    fn extreme(&mut self, call: &Call) -> Reading<Live> {
        let is_max = call.node.kind == "Max";
        let mut lives = Vec::new();
        let mut bound: Option<f32> = None;
        for index in 0..call.inputs.len() {
            match call.value(index)? {
                Value::Live(live) => lives.push((index, *live)),
                _ => {
                    let tensor = self.parameter(call, index, "bound")?;
                    let Some(value) = uniform(&tensor) else {
                        return unsupported(
                            "it compares with a tensor of different numbers; only one number is supported",
                        );
                    };
                    let joined = bound.map_or(value, |bound| if is_max { bound.max(value) } else { bound.min(value) });
                    bound = Some(joined);
                }
            }
        }
        match (&lives[..], bound) {
            ([(index, x)], Some(bound)) => match is_max {
                true => self.clip_of(call, *index, *x, Some(bound), None),
                false => self.clip_of(call, *index, *x, None, Some(bound)),
            },
            ([(_, x)], None) => self.layer_of(call, AnnOp::Identity, &[*x], None),
            (_, None) if is_max => {
                let lives: Vec<Live> = lives.into_iter().map(|(_, live)| live).collect();
                let lives = self.common_shape(call, &lives)?;
                self.layer_of(call, AnnOp::Maximum, &lives, None)
            }
            _ => unsupported(
                "the minimum of several values is not supported; write min(a, b) as -max(-a, -b), and bounds as Clip",
            ),
        }
    }

    /// Weighted sum of values and constants.
    fn sum(&mut self, call: &Call, coefficients: &[f32]) -> Reading<Live> {
        if call.inputs.len() != coefficients.len() || call.inputs.is_empty() {
            return broken(format!(
                "it has {} inputs, the operator takes {}",
                call.inputs.len(),
                coefficients.len().max(1)
            ));
        }
        if self.opset < 7 && call.node.has("axis") {
            return unsupported("it broadcasts along `axis`; export the model with operator set 7 or later");
        }
        let (mut lives, mut factors) = (Vec::new(), Vec::new());
        let mut constant: Option<AnnTensor> = None;
        let mut live_index = 0;
        for (index, coefficient) in coefficients.iter().copied().enumerate() {
            match call.value(index)? {
                Value::Live(live) => {
                    lives.push(*live);
                    factors.push(coefficient);
                    live_index = index;
                }
                _ => {
                    let tensor = self.parameter(call, index, "shift")?;
                    let tensor = self.times(tensor, coefficient)?;
                    constant = Some(match constant {
                        None => tensor,
                        Some(sum) => super::constant::zip_floats(&sum, &tensor, &mut self.budget, |a, b| a + b)?,
                    });
                }
            }
        }
        let Some(shift) = constant else {
            let lives = self.common_shape(call, &lives)?;
            return self.layer_of(call, AnnOp::Sum { coefficients: factors }, &lives, None);
        };
        if let ([x], [1.0]) = (&lives[..], &factors[..]) {
            let shift = self.without_batch(*x, shift.clone())?;
            if let Some(merged) = self.merge_bias(call, live_index, *x, &shift)? {
                return Ok(merged);
            }
        }
        let (x, scale) = match (&lives[..], &factors[..]) {
            ([x], [factor]) => (*x, (*factor != 1.0).then(|| AnnTensor::fill(Vec::new(), *factor))),
            _ => {
                let lives = self.common_shape(call, &lives)?;
                (self.helper(call, "sum", AnnOp::Sum { coefficients: factors }, &lives, None)?, None)
            }
        };
        let (x, shift) = self.fit(call, x, shift)?;
        self.layer_of(call, AnnOp::ScaleShift { scale, shift: Some(shift) }, &[x], None)
    }

    fn product(&mut self, call: &Call) -> Reading<Live> {
        match (call.value(0)?, call.value(1)?) {
            (Value::Live(a), Value::Live(b)) => {
                let (a, b) = (*a, *b);
                if let Some(merged) = self.merge_product(call, a, b)? {
                    return Ok(merged);
                }
                let fits = {
                    let (a, b) = (self.shape(a), self.shape(b));
                    let gates = |gate: &[usize], x: &[usize]| {
                        gate.len() == x.len()
                            && gate.first() == x.first()
                            && gate.iter().skip(1).all(|length| *length == 1)
                    };
                    gates(a, b) || gates(b, a)
                };
                let inputs = if fits { vec![a, b] } else { self.common_shape(call, &[a, b])? };
                self.layer_of(call, AnnOp::Product, &inputs, None)
            }
            (Value::Live(x), _) => {
                let x = *x;
                let scale = self.parameter(call, 1, "scale")?;
                self.scaled(call, x, scale)
            }
            (_, Value::Live(x)) => {
                let x = *x;
                let scale = self.parameter(call, 0, "scale")?;
                self.scaled(call, x, scale)
            }
            _ => broken("it has no input that depends on those of the network"),
        }
    }

    fn quotient(&mut self, call: &Call) -> Reading<Live> {
        let x = match (call.value(0)?, call.value(1)?) {
            (Value::Live(x), Value::Constant(_)) => *x,
            _ => return unsupported("it divides by computed values; snncc converts networks without such divisions"),
        };
        let divisor = self.parameter(call, 1, "scale")?;
        let has_zero = match uniform(&divisor) {
            Some(value) => value == 0.0,
            None => divisor.iter().any(|value| value == 0.0),
        };
        if has_zero {
            return broken("it divides by 0");
        }
        let scale = mapped(&divisor, &mut self.budget, |value| 1.0 / value)?;
        self.scaled(call, x, scale)
    }

    fn power(&mut self, call: &Call) -> Reading<Live> {
        let x = call.live(0)?;
        match call.optional_constant(1)?.map(|exponent| exponent.to_floats(&mut self.budget)).transpose()? {
            Some(exponent) if uniform(&exponent) == Some(2.0) => self.layer_of(call, AnnOp::Product, &[x, x], None),
            Some(exponent) if uniform(&exponent) == Some(1.0) => self.layer_of(call, AnnOp::Identity, &[x], None),
            _ => unsupported("only the powers 1 and 2 are supported"),
        }
    }

    /// `scale ∘ x`, which may complete a pattern.
    fn scaled(&mut self, call: &Call, x: Live, scale: AnnTensor) -> Reading<Live> {
        if let Some(factor) = uniform(&scale)
            && let Some(merged) = self.merge_scale(call, x, factor)?
        {
            return Ok(merged);
        }
        let (x, scale) = self.fit(call, x, scale)?;
        self.layer_of(call, scale_by(scale), &[x], None)
    }

    /// A constant that broadcasts against a value, without the dimension that stands for the batch.
    pub(super) fn without_batch(&self, x: Live, constant: AnnTensor) -> Reading<AnnTensor> {
        let own = self.shape(x);
        if constant.is_empty() {
            return broken(format!("a constant of shape {:?} has no elements", constant.shape));
        }
        let Some(extra) = constant.shape.len().checked_sub(own.len() + 1) else { return Ok(constant) };
        let full = own.len() + usize::from(x.batch.is_some());
        if constant.shape.len() > full {
            return unsupported(format!(
                "a constant of shape {:?} adds dimensions in front of {own:?}, where the batch must be",
                constant.shape
            ));
        }
        if constant.shape[..=extra].iter().any(|length| *length != 1) {
            return unsupported(format!("a constant of shape {:?} differs from sample to sample", constant.shape));
        }
        let shape = constant.shape[extra + 1..].to_vec();
        Ok(constant.reshaped(shape))
    }

    /// As [`Reader::without_batch`]; where the constant is longer than the value, the value is repeated.
    fn fit(&mut self, call: &Call, x: Live, constant: AnnTensor) -> Reading<(Live, AnnTensor)> {
        let constant = self.without_batch(x, constant)?;
        let shape = broadcast_shape(self.shape(x), &constant.shape)?;
        Ok((self.repeated(call, x, &shape)?, constant))
    }

    /// Repeats a value along dimensions of length 1 until it has this shape, of as many dimensions.
    pub(super) fn repeated(&mut self, call: &Call, x: Live, to: &[usize]) -> Reading<Live> {
        let own = self.shape(x).to_vec();
        if own == to {
            return Ok(x);
        }
        if own.len() != to.len() || element_count(to).is_none() {
            return unsupported(format!("values of shapes {own:?} and {to:?} (without batch) have different ranks"));
        }
        let mut indices = Vec::with_capacity(to.len());
        for (from, length) in own.iter().zip(to) {
            self.budget.take(&[*length])?;
            indices.push(if from == length { (0..*length).collect() } else { vec![0; *length] });
        }
        self.helper(call, "repeat", AnnOp::Resample { indices }, &[x], None)
    }

    /// Values repeated until they have one shape.
    fn common_shape(&mut self, call: &Call, lives: &[Live]) -> Reading<Vec<Live>> {
        let mut shape = self.shape(lives[0]).to_vec();
        for live in lives {
            if self.shape(*live).len() != shape.len() {
                return unsupported(format!(
                    "values of shapes {shape:?} and {:?} (without batch) have different ranks",
                    self.shape(*live)
                ));
            }
            shape = broadcast_shape(&shape, self.shape(*live))?;
        }
        lives.iter().map(|live| self.repeated(call, *live, &shape)).collect()
    }

    /// `Softmax`, `LogSoftmax`. Before operator set 13 they go over all dimensions from `axis` on.
    pub(super) fn softmax(&mut self, call: &Call) -> Reading<Vec<Value>> {
        let x = call.live(0)?;
        let log = call.node.kind == "LogSoftmax";
        let offset = usize::from(x.batch.is_some());
        let shape = self.shape(x).to_vec();
        let joins = self.opset < 13;
        let stated = call.node.int("axis", if joins { 1 } else { -1 })?;
        let Some(first) = axis(stated, shape.len() + offset)?.checked_sub(offset) else {
            return unsupported("it goes over the batch; each sample must stay on its own");
        };
        if !joins {
            return Ok(vec![Value::Live(self.layer_of(call, AnnOp::Softmax { axis: first, log }, &[x], None)?)]);
        }
        let long: Vec<usize> = (first..shape.len()).filter(|d| shape[*d] > 1).collect();
        if let ([] | [_], false) = (&long[..], shape.is_empty()) {
            let axis = long.first().copied().unwrap_or(first);
            return Ok(vec![Value::Live(self.layer_of(call, AnnOp::Softmax { axis, log }, &[x], None)?)]);
        }
        let rows = [shape[..first].iter().product(), shape[first..].iter().product()];
        let flat = self.helper(call, "flatten", AnnOp::Reshape, &[x], Some(rows.to_vec()))?;
        let soft = self.layer_of(call, AnnOp::Softmax { axis: 1, log }, &[flat], None)?;
        Ok(vec![Value::Live(self.helper(call, "unflatten", AnnOp::Reshape, &[soft], Some(shape))?)])
    }
}

/// A layer that multiplies.
pub(super) fn scale_by(scale: AnnTensor) -> AnnOp {
    AnnOp::ScaleShift { scale: Some(scale), shift: None }
}

/// What to do about an operator without a layer.
fn advice(kind: &str) -> String {
    let why = match kind {
        "InstanceNormalization"
        | "LayerNormalization"
        | "GroupNormalization"
        | "RMSNormalization"
        | "LpNormalization"
        | "MeanVarianceNormalization"
        | "SimplifiedLayerNormalization" => {
            "normalizes each sample by its own statistics, which spikes cannot; train with batch normalization instead"
        }
        "LSTM" | "GRU" | "RNN" => {
            "is recurrent; snncc converts networks without recurrence (spiking recurrent networks come as NIR)"
        }
        "ArgMax" | "ArgMin" | "TopK" | "NonMaxSuppression" | "Hardmax" => {
            "picks among outputs, which is done after the network; cut the model before it (onnx.utils.extract_model)"
        }
        "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger"
        | "QLinearAdd" => {
            "computes with quantized values; give snncc the model before quantization, it quantizes for the chip itself"
        }
        "Attention" | "MultiHeadAttention" | "Einsum" => {
            "multiplies computed matrices, as attention does; snncc converts networks with constant weights"
        }
        "LpPool" | "GlobalLpPool" | "MaxRoiPool" | "RoiAlign" | "MaxUnpool" => {
            "is a pool that snncc does not have; train with AveragePool or MaxPool"
        }
        "GridSample" | "AffineGrid" | "DeformConv" => "samples at computed places; snncc has fixed connections only",
        "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMin" | "ReduceProd"
        | "ReduceSumSquare" => {
            "is a reduction that snncc does not have; ReduceMean, ReduceSum and ReduceMax are supported"
        }
        "Exp" | "Log" | "Sqrt" | "Reciprocal" | "Sin" | "Cos" | "Tan" | "Floor" | "Ceil" | "Round" | "Sign"
        | "Shrink" | "Sinh" | "Cosh" | "Atan" | "Swish" => {
            "is a function that snncc has no activation for; train with ReLU or another activation of the list"
        }
        "Where" | "Equal" | "Greater" | "Less" | "And" | "Or" | "Not" | "GreaterOrEqual" | "LessOrEqual"
        | "NonZero" => "decides by computed values; snncc converts networks whose connections are fixed",
        _ => "is not known to this version; replace it, or cut the model before or after it (onnx.utils.extract_model)",
    };
    format!("`{kind}` {why}")
}
