//! The nodes that are not neurons: ports, weights, convolutions, pools and reshapes, and given synapses.

use super::context::{Context, Fields};
use super::neurons::{self, COMPARISONS};
use super::rates;
use super::tensors::Shapes;
use super::value::{Kind, Value};
use snncc_ids::code;
use snncc_ir::network::{
    Affine, Convolution, DelayTime, GatedPool, Matrix, Padding, Pool, PoolKind, Reset, Synapses, Threshold,
};
use snncc_ir::{Node, SignMode};

/// Every kind of node, as its name is written.
pub(super) const NODE_KINDS: [&str; 23] = [
    "Input",
    "Output",
    "Linear",
    "Affine",
    "Scale",
    "Conv1d",
    "Conv2d",
    "SumPool2d",
    "AvgPool2d",
    "GatedMaxPool2d",
    "Flatten",
    "Reshape",
    "Threshold",
    "Delay",
    "I",
    "If",
    "Li",
    "Lif",
    "CubaLi",
    "CubaLif",
    "RateNeuron",
    "Compartments",
    "Synapses",
];

/// What the nodes of a file have in common.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    pub(super) dt_s: Option<f64>,
    pub(super) reset: Reset,
}

/// Reads one node.
pub(super) fn node(cx: &mut Context, value: &Value, item: &str, defaults: Defaults) -> Option<Node> {
    let kind = match &value.kind {
        Kind::Name(name) => name,
        Kind::Group(group) if group.name.is_some() => group.name?,
        _ => {
            cx.wrong_type(item, value, "a node, such as `Lif(…)`");
            return None;
        }
    };
    let title = format!("`{kind}`");
    let mut fields = |known: &[&str]| cx.fields(value, item, &title, known);
    match kind {
        "Input" => {
            let fields = fields(&["shape"])?;
            Some(Node::Input { shape: cx.required(&fields, "shape", Context::shape)? })
        }
        "Output" => {
            let fields = fields(&["shape"])?;
            Some(Node::Output { shape: cx.required(&fields, "shape", Context::shape)? })
        }
        "Linear" => {
            let fields = fields(&["weight", "delay"])?;
            affine(cx, &fields, false)
        }
        "Affine" => {
            let fields = fields(&["weight", "bias", "delay"])?;
            affine(cx, &fields, true)
        }
        "Scale" => {
            let fields = fields(&["scale"])?;
            Some(Node::Scale { scale: cx.required(&fields, "scale", Context::array::<f64>)?.tensor })
        }
        "Conv1d" | "Conv2d" => {
            let fields =
                fields(&["weight", "bias", "stride", "padding", "dilation", "groups", "input_shape", "delay"])?;
            convolution(cx, &fields, if kind == "Conv1d" { 1 } else { 2 })
        }
        "SumPool2d" | "AvgPool2d" => {
            let fields = fields(&["kernel_size", "stride", "padding"])?;
            let kind = if kind == "SumPool2d" { PoolKind::Sum } else { PoolKind::Average };
            let (kernel, stride, padding) = windows(cx, &fields)?;
            Some(Node::Pool(Pool { kind, kernel, stride, padding }))
        }
        "GatedMaxPool2d" => {
            let fields = fields(&["kernel_size", "stride", "padding"])?;
            let (kernel, stride, padding) = windows(cx, &fields)?;
            Some(Node::GatedPool(GatedPool { kernel, stride, padding }))
        }
        "RateNeuron" => {
            let fields = fields(&["shape", "function", "gain", "spiking", "initial", "seed"])?;
            rates::rate_neuron(cx, &fields)
        }
        "Flatten" => {
            let fields = fields(&["start_dim", "end_dim"])?;
            let start_dim = cx.optional(&fields, "start_dim", Context::scalar::<i64>).unwrap_or(0);
            let end_dim = cx.optional(&fields, "end_dim", Context::scalar::<i64>).unwrap_or(-1);
            if (start_dim < 0) == (end_dim < 0) && start_dim > end_dim {
                let message = format!("`start_dim` {start_dim} comes after `end_dim` {end_dim}");
                cx.error(code::BAD_PARAMETER, &fields.path("start_dim"), fields.span("start_dim"), message);
            }
            Some(Node::Flatten { start_dim, end_dim })
        }
        "Reshape" => {
            let fields = fields(&["shape"])?;
            Some(Node::Reshape { shape: cx.required(&fields, "shape", Context::shape)? })
        }
        "Threshold" => {
            let fields = fields(&["threshold", "shape", "comparison"])?;
            threshold(cx, &fields)
        }
        "Delay" => {
            let fields = fields(&["delay", "delay_steps", "shape"])?;
            delay(cx, &fields)
        }
        "Compartments" => {
            let fields = fields(&neurons::COMPARTMENT_FIELDS)?;
            neurons::compartments(cx, &fields)
        }
        "Synapses" => {
            let fields = fields(&["weight", "exponent", "weight_bits", "sign_mode", "delay"])?;
            synapses(cx, &fields)
        }
        _ => match neurons::model(kind) {
            Some(model) => {
                let fields = fields(&neurons::fields_of(model))?;
                neurons::neuron(cx, &fields, model, defaults)
            }
            None => {
                cx.unknown_name(item, value.anchor(), "kind of node", kind, &NODE_KINDS);
                None
            }
        },
    }
}

fn affine(cx: &mut Context, fields: &Fields, has_bias: bool) -> Option<Node> {
    let weight = cx.required(fields, "weight", Context::matrix::<f64>);
    let outputs = weight.as_ref().and_then(Matrix::dimensions).map(|(outputs, _)| outputs);
    let bias = cx.vector(fields, "bias", outputs);
    if has_bias && fields.get("bias").is_none() {
        let message = "`Affine` needs the field `bias`";
        cx.error(code::WRONG_TYPE, &fields.item, fields.anchor, message).help.push("`Linear` has no bias".to_owned());
    }
    let delay = cx.synapse_delay(fields, weight.as_ref())?;
    Some(Node::Affine(Affine { weight: weight?, bias, delay }))
}

fn convolution(cx: &mut Context, fields: &Fields, dimensions: u8) -> Option<Node> {
    let spatial = usize::from(dimensions);
    let weight = cx.required(fields, "weight", Context::array::<f64>).map(|array| array.tensor);
    let groups = cx.optional(fields, "groups", Context::scalar::<usize>).unwrap_or(1);
    let stride = cx.optional(fields, "stride", |cx, value, item| cx.lengths(value, item, spatial, 1));
    let stride = stride.unwrap_or(vec![1; spatial]);
    let dilation = cx.optional(fields, "dilation", |cx, value, item| cx.lengths(value, item, spatial, 1));
    let padding = cx.optional(fields, "padding", |cx, value, item| match &value.kind {
        Kind::Name(_) => {
            let choices = [("Same", true), ("Valid", false)];
            let same = cx.choice(value, item, "padding", &choices)?;
            Some(if same { Padding::Same } else { Padding::Valid })
        }
        _ => cx.lengths(value, item, spatial, 0).map(Padding::Explicit),
    });
    let padding = padding.unwrap_or(Padding::Explicit(vec![0; spatial]));
    let input_shape = cx.optional(fields, "input_shape", |cx, value, item| cx.lengths(value, item, spatial, 1));
    let delay = cx.optional(fields, "delay", Context::scalar::<u32>).unwrap_or(0);
    if padding == Padding::Same && stride.iter().any(|&step| step != 1) {
        let message = format!("padding `Same` needs stride 1; the stride is {stride:?}");
        cx.error(code::BAD_PARAMETER, &fields.path("padding"), fields.span("padding"), message);
    }
    let weight = weight?;
    if weight.shape.len() != spatial + 2 || weight.is_empty() {
        let kernel = if spatial == 1 { "kernel" } else { "kernel height, kernel width" };
        let message = format!(
            "`weight` has the shape [channels out, channels in / groups, {kernel}]; this one has {:?}",
            weight.shape
        );
        cx.error(code::SHAPE_MISMATCH, &fields.path("weight"), fields.span("weight"), message);
        return None;
    }
    let channels_out = weight.shape[0];
    if groups == 0 || !channels_out.is_multiple_of(groups) {
        let message = format!("{channels_out} output channels cannot form {groups} equal groups");
        cx.error(code::BAD_PARAMETER, &fields.path("groups"), fields.span("groups"), message);
    }
    let bias = cx.vector(fields, "bias", Some(channels_out));
    let dilation = dilation.unwrap_or(vec![1; spatial]);
    Some(Node::Convolution(Convolution {
        dimensions,
        weight,
        bias,
        stride,
        padding,
        dilation,
        groups,
        input_shape,
        delay,
    }))
}

/// Window, step and padding of a pool, along height and width.
fn windows(cx: &mut Context, fields: &Fields) -> Option<([usize; 2], [usize; 2], [usize; 2])> {
    let pair = |least| {
        move |cx: &mut Context, value: &Value, item: &str| {
            let lengths = cx.lengths(value, item, 2, least)?;
            Some([lengths[0], lengths[1]])
        }
    };
    let kernel = cx.required(fields, "kernel_size", pair(1));
    let stride = cx.optional(fields, "stride", pair(1));
    let padding = cx.optional(fields, "padding", pair(0)).unwrap_or([0, 0]);
    let kernel = kernel?;
    Some((kernel, stride.unwrap_or(kernel), padding))
}

fn threshold(cx: &mut Context, fields: &Fields) -> Option<Node> {
    let declared = cx.optional(fields, "shape", Context::shape);
    let mut shapes = Shapes::default();
    let param = cx.param::<f64>(fields, "threshold", &mut shapes);
    let comparison =
        cx.optional(fields, "comparison", |cx, value, item| cx.choice(value, item, "comparison", &COMPARISONS));
    if fields.get("threshold").is_none() {
        cx.error(code::WRONG_TYPE, &fields.item, fields.anchor, "`Threshold` needs the field `threshold`");
    }
    let shape = shapes.settle(cx, fields, declared);
    Some(Node::Threshold(Threshold { shape, threshold: param?, comparison: comparison.unwrap_or_default() }))
}

fn delay(cx: &mut Context, fields: &Fields) -> Option<Node> {
    let declared = cx.optional(fields, "shape", Context::shape);
    let mut shapes = Shapes::default();
    let seconds = cx.param::<f64>(fields, "delay", &mut shapes);
    let steps = cx.param::<u32>(fields, "delay_steps", &mut shapes);
    if let Some(seconds) = &seconds {
        cx.refuse(fields, "delay", seconds, |_, value| value < 0.0, "a delay cannot be negative");
    }
    if fields.get("delay").is_some() == fields.get("delay_steps").is_some() {
        let message = "`Delay` needs either `delay` (in seconds) or `delay_steps`";
        cx.error(code::WRONG_TYPE, &fields.item, fields.anchor, message);
    }
    let shape = shapes.settle(cx, fields, declared);
    let delay = seconds.map(DelayTime::Seconds).or(steps.map(DelayTime::Steps))?;
    Some(Node::Delay { delay, shape })
}

fn synapses(cx: &mut Context, fields: &Fields) -> Option<Node> {
    let weight = cx.required(fields, "weight", Context::matrix::<i32>);
    let exponent = cx.optional(fields, "exponent", Context::scalar::<i8>).unwrap_or(0);
    let weight_bits = cx.required(fields, "weight_bits", Context::scalar::<u8>);
    let sign_mode = cx.optional(fields, "sign_mode", |cx, value, item| {
        let choices =
            [("Mixed", SignMode::Mixed), ("Excitatory", SignMode::Excitatory), ("Inhibitory", SignMode::Inhibitory)];
        cx.choice(value, item, "sign mode", &choices)
    });
    let sign_mode = sign_mode.unwrap_or(SignMode::Mixed);
    let delay = cx.synapse_delay(fields, weight.as_ref());
    if let Some(Matrix::Dense(snncc_ir::Tensor { data: values, .. }) | Matrix::Sparse { values, .. }) = &weight {
        let wrong = values.iter().find(|value| match sign_mode {
            SignMode::Mixed => false,
            SignMode::Excitatory => **value < 0,
            SignMode::Inhibitory => **value > 0,
        });
        if let Some(value) = wrong {
            let message = format!("weight {value} has a sign that `sign_mode: {sign_mode:?}` excludes");
            cx.error(code::BAD_PARAMETER, &fields.path("weight"), fields.span("weight"), message);
        }
    }
    Some(Node::Synapses(Synapses { weight: weight?, exponent, weight_bits: weight_bits?, sign_mode, delay: delay? }))
}
