//! Neuron groups, in floats and in a chip's integers.

use super::context::{Context, Fields};
use super::nodes::Defaults;
use super::tensors::{Shapes, element_span};
use super::value::{Kind, Value};
use snncc_ids::{Diagnostic, code};
use snncc_ir::network::{Comparison, Compartments, Neuron, NeuronModel, Reset};
use snncc_ir::{Node, NoiseParams, NoiseTarget, Param, ResetModel};

/// The comparisons by name.
pub(super) const COMPARISONS: [(&str, Comparison); 2] =
    [("Greater", Comparison::Greater), ("GreaterOrEqual", Comparison::GreaterOrEqual)];

/// The resets by name.
pub(super) const RESETS: [(&str, Reset); 3] = [
    ("ToValue", Reset::ToValue),
    ("BySubtraction", Reset::BySubtraction),
    ("SnntorchSubtract", Reset::SnntorchSubtract),
];

/// The neuron model with this name in RON.
pub(super) fn model(name: &str) -> Option<NeuronModel> {
    Some(match name {
        "I" => NeuronModel::I,
        "If" => NeuronModel::If,
        "Li" => NeuronModel::Li,
        "Lif" => NeuronModel::Lif,
        "CubaLi" => NeuronModel::CubaLi,
        "CubaLif" => NeuronModel::CubaLif,
        _ => return None,
    })
}

/// The name of a model in RON.
pub(super) fn model_name(model: NeuronModel) -> &'static str {
    match model {
        NeuronModel::I => "I",
        NeuronModel::If => "If",
        NeuronModel::Li => "Li",
        NeuronModel::Lif => "Lif",
        NeuronModel::CubaLi => "CubaLi",
        NeuronModel::CubaLif => "CubaLif",
    }
}

/// The name of the membrane time constant: NIR's `tau` where there is only one.
pub(super) fn tau_mem_name(model: NeuronModel) -> &'static str {
    if model.filters() { "tau_mem" } else { "tau" }
}

/// The fields that a model has.
pub(super) fn fields_of(model: NeuronModel) -> Vec<&'static str> {
    let mut fields = vec!["shape"];
    if model.leaks() {
        fields.push(tau_mem_name(model));
    }
    if model.filters() {
        fields.extend(["tau_syn", "w_in", "i_initial"]);
    }
    fields.push("r");
    if model.leaks() {
        fields.push("v_leak");
    }
    if model.spikes() {
        fields.extend(["v_threshold", "v_reset", "refractory_steps", "reset", "comparison"]);
    }
    fields.extend(["v_initial", "v_min"]);
    fields
}

/// Reads a neuron group.
pub(super) fn neuron(cx: &mut Context, fields: &Fields, model: NeuronModel, defaults: Defaults) -> Option<Node> {
    let before = cx.problems.0.len();
    let mut neuron = Neuron::new(model);
    let mut shapes = Shapes::default();
    let declared = cx.optional(fields, "shape", Context::shape);
    let mut needed = Vec::new();
    if model.leaks() {
        needed.push(tau_mem_name(model));
    }
    if model.filters() {
        needed.push("tau_syn");
    }
    if model.spikes() {
        needed.push("v_threshold");
    }
    for name in needed {
        cx.required(fields, name, |_, _, _| Some(()));
    }
    // Fields that the model lacks are not in `fields`, so their parameters keep their defaults.
    for (name, param) in [
        (tau_mem_name(model), &mut neuron.tau_mem_s),
        ("tau_syn", &mut neuron.tau_syn_s),
        ("r", &mut neuron.r),
        ("v_leak", &mut neuron.v_leak),
        ("v_threshold", &mut neuron.v_threshold),
        ("v_reset", &mut neuron.v_reset),
        ("w_in", &mut neuron.w_in),
        ("v_initial", &mut neuron.v_initial),
        ("i_initial", &mut neuron.i_initial),
    ] {
        if let Some(given) = cx.param(fields, name, &mut shapes) {
            *param = given;
        }
    }
    if let Some(steps) = cx.param(fields, "refractory_steps", &mut shapes) {
        cx.refuse(fields, "refractory_steps", &steps, |_, steps| steps == 0, "1 already means no refractory period");
        neuron.refractory_steps = steps;
    }
    neuron.v_min = cx.optional(fields, "v_min", Context::float);
    let reset = cx.optional(fields, "reset", |cx, value, item| cx.choice(value, item, "reset", &RESETS));
    neuron.reset = reset.unwrap_or(if model.spikes() { defaults.reset } else { Reset::ToValue });
    let comparison =
        cx.optional(fields, "comparison", |cx, value, item| cx.choice(value, item, "comparison", &COMPARISONS));
    neuron.comparison = comparison.unwrap_or_default();
    neuron.shape = shapes.settle(cx, fields, declared);
    // Values are compared only where all of them are there and fit each other.
    if cx.problems.0.len() == before {
        check_neuron(cx, fields, &neuron, defaults);
    }
    // Later stages may name the time constants as the network does.
    for (ron, others) in
        [("tau", ["tau_mem", "tau_mem_s"]), ("tau_mem", ["tau_mem_s", "tau"]), ("tau_syn", ["tau_syn_s"; 2])]
    {
        if fields.get(ron).is_some() {
            let span = cx.spans.find(&fields.path(ron)).unwrap_or(fields.anchor);
            for other in others {
                cx.spans.insert(fields.path(other), span);
            }
        }
    }
    Some(Node::Neuron(neuron))
}

fn check_neuron(cx: &mut Context, fields: &Fields, neuron: &Neuron, defaults: Defaults) {
    let taus = [(tau_mem_name(neuron.model), &neuron.tau_mem_s), ("tau_syn", &neuron.tau_syn_s)];
    for (name, tau) in taus {
        cx.refuse(fields, name, tau, |_, tau| tau <= 0.0, "a time constant is greater than 0 (in seconds)");
        if let Some(dt_s) = defaults.dt_s {
            let why = format!("must be at least the time step, {dt_s} s: forward Euler oscillates below it");
            cx.refuse(fields, name, tau, |_, tau| tau > 0.0 && tau < dt_s, &why);
        }
    }
    if !neuron.model.spikes() {
        return;
    }
    // Both parameters fit the same shape, so an index of one is an index of the other.
    if let Some(index) = first_pair(&neuron.v_threshold, &neuron.v_reset, |threshold, reset| threshold <= reset) {
        let (threshold, reset) = (neuron.v_threshold.get(index), neuron.v_reset.get(index));
        let message = format!("`v_threshold` {threshold} of neuron {index} is not above `v_reset` {reset}");
        let span = fields.get("v_threshold").map_or(fields.anchor, |value| element_span(value, index));
        cx.error(code::BAD_PARAMETER, &fields.path("v_threshold"), span, message)
            .notes
            .push("such a neuron would fire again and again without input".to_owned());
    }
    let Some(v_min) = neuron.v_min else { return };
    if let Some(index) = neuron.v_threshold.values().iter().position(|threshold| *threshold <= v_min) {
        let message =
            format!("`v_min` {v_min} is not below `v_threshold` {} of neuron {index}", neuron.v_threshold.get(index));
        cx.error(code::BAD_PARAMETER, &fields.path("v_min"), fields.span("v_min"), message);
    } else if let Some(v_reset) = neuron.v_reset.values().iter().find(|v_reset| **v_reset < v_min) {
        let message = format!("`v_reset` {v_reset} is below `v_min` {v_min}, so a reset ends at `v_min`");
        let span = fields.span("v_min");
        let warning = Diagnostic::warning(code::BAD_PARAMETER, message).at(fields.path("v_min"));
        cx.problems.push(warning.span(span.start, span.end));
    }
}

/// The first index at which two parameters of one group satisfy `is_bad`.
fn first_pair(a: &Param, b: &Param, is_bad: impl Fn(f64, f64) -> bool) -> Option<usize> {
    (0..a.values().len().max(b.values().len())).find(|&index| is_bad(a.get(index), b.get(index)))
}

/// The fields of `Compartments`.
pub(super) const COMPARTMENT_FIELDS: [&str; 13] = [
    "shape",
    "decay_u",
    "decay_v",
    "threshold_mantissa",
    "bias_mantissa",
    "bias_exponent",
    "refractory",
    "v_min_exponent",
    "v_max_exponent",
    "u_initial",
    "v_initial",
    "reset",
    "noise",
];

/// Reads `Compartments(…)`. Ranges of registers are the chip's matter and checked later.
pub(super) fn compartments(cx: &mut Context, fields: &Fields) -> Option<Node> {
    let shape = cx.required(fields, "shape", Context::shape);
    for name in ["decay_u", "decay_v", "threshold_mantissa"] {
        cx.required(fields, name, |_, _, _| Some(()));
    }
    let mut shapes = Shapes::default();
    let mut param =
        |name: &str, default: i64| cx.param::<i64>(fields, name, &mut shapes).unwrap_or(Param::Uniform(default));
    let (decay_u, decay_v) = (param("decay_u", 0), param("decay_v", 0));
    let threshold_mantissa = param("threshold_mantissa", 0);
    let (bias_mantissa, bias_exponent) = (param("bias_mantissa", 0), param("bias_exponent", 0));
    let refractory = param("refractory", 1);
    let (u_initial, v_initial) = (param("u_initial", 0), param("v_initial", 0));
    let v_min_exponent = cx.optional(fields, "v_min_exponent", Context::scalar::<u8>);
    let v_max_exponent = cx.optional(fields, "v_max_exponent", Context::scalar::<u8>);
    let reset = cx.optional(fields, "reset", reset_model).unwrap_or_default();
    let neurons = shape.as_ref().map(|shape| shape.iter().product());
    let noise = cx.optional(fields, "noise", |cx, value, item| noise(cx, value, item, neurons));
    let shape = shapes.settle(cx, fields, Some(shape?))?;
    Some(Node::Compartments(Compartments {
        shape,
        decay_u,
        decay_v,
        threshold_mantissa,
        bias_mantissa,
        bias_exponent,
        refractory,
        v_min_exponent,
        v_max_exponent,
        u_initial,
        v_initial,
        reset,
        noise,
    }))
}

fn reset_model(cx: &mut Context, value: &Value, item: &str) -> Option<ResetModel> {
    let name = match &value.kind {
        Kind::Name(name) => Some(*name),
        Kind::Group(group) => group.name,
        _ => None,
    };
    match name {
        Some("Lif") => {
            cx.fields(value, item, "`Lif`", &[])?;
            Some(ResetModel::Lif)
        }
        Some("Periodic") => {
            let fields = cx.fields(value, item, "`Periodic`", &["interval", "offset"])?;
            let interval = cx.required(&fields, "interval", Context::scalar::<u32>);
            let offset = cx.required(&fields, "offset", Context::scalar::<u32>);
            if interval == Some(0) {
                let message = "`interval` is 0, but there is at least one step between two clears";
                cx.error(code::BAD_PARAMETER, &fields.path("interval"), fields.span("interval"), message);
            }
            Some(ResetModel::Periodic { interval: interval?, offset: offset? })
        }
        Some("Ternary") => {
            let fields = cx.fields(value, item, "`Ternary`", &["lower_threshold_mantissa"])?;
            let lower = cx.required(&fields, "lower_threshold_mantissa", Context::scalar::<i32>);
            Some(ResetModel::Ternary { lower_threshold_mantissa: lower? })
        }
        Some(name) => {
            cx.unknown_name(item, value.anchor(), "reset of compartments", name, &["Lif", "Periodic", "Ternary"]);
            None
        }
        None => {
            cx.wrong_type(item, value, "`Lif`, `Periodic(…)` or `Ternary(…)`");
            None
        }
    }
}

fn noise(cx: &mut Context, value: &Value, item: &str, neurons: Option<usize>) -> Option<NoiseParams> {
    let fields = cx.fields(value, item, "noise", &["exponent", "mantissa_offset", "target", "samples"])?;
    let exponent = cx.required(&fields, "exponent", Context::scalar::<u8>);
    let mantissa_offset = cx.required(&fields, "mantissa_offset", Context::scalar::<i32>);
    let target = cx.required(&fields, "target", |cx, value, item| {
        let choices = [("Dendrite", NoiseTarget::Dendrite), ("Membrane", NoiseTarget::Membrane)];
        cx.choice(value, item, "noise target", &choices)
    });
    let samples = cx.required(&fields, "samples", Context::array::<i32>)?.tensor;
    let samples = match (&samples.shape[..], neurons) {
        ([0], _) => Vec::new(),
        ([_, columns], Some(neurons)) if *columns == neurons => {
            samples.data.chunks(neurons).map(<[i32]>::to_vec).collect()
        }
        (_, None) => return None,
        (shape, Some(neurons)) => {
            let message = format!("`samples` has shape {shape:?}; wanted is [steps, neurons] with {neurons} neurons");
            cx.error(code::SHAPE_MISMATCH, &fields.path("samples"), fields.span("samples"), message);
            return None;
        }
    };
    Some(NoiseParams { exponent: exponent?, mantissa_offset: mantissa_offset?, target: target?, samples })
}
