//! One group of a NIR file to one node: the 18 primitives, their datasets and what may be left out.
//!
//! Weights and neuron parameters are widened to `f64`. A parameter stored as one value (0-d or `[1]`) serves the whole
//! layer; the layer's shape then comes from its other parameters or from its input.

use super::hdf5::{Dataset, Group, Values};
use snncc_ids::{Diagnostic, Diagnostics, code, did_you_mean};
use snncc_ir::network::{
    Affine, Comparison, Convolution, DelayTime, Matrix, Neuron, NeuronModel, Node, Padding, Pool, PoolKind,
    SynapseDelay, Threshold,
};
use snncc_ir::{Param, Tensor};
use std::collections::BTreeSet;

/// Names of the primitives, and of the nested graph.
pub(super) const TYPES: [&str; 19] = [
    "Input",
    "Output",
    "Affine",
    "Linear",
    "Scale",
    "Conv1d",
    "Conv2d",
    "SumPool2d",
    "AvgPool2d",
    "Flatten",
    "Threshold",
    "Delay",
    "I",
    "LI",
    "IF",
    "LIF",
    "CubaLI",
    "CubaLIF",
    "NIRGraph",
];

/// A node, and the input shape that the file stores beside it where the node itself has no place for it.
pub(super) struct ReadNode {
    pub node: Node,
    pub stored_input: Option<Vec<usize>>,
}

/// The `type` of a node's group.
pub(super) fn node_type<'a>(group: &'a Group, problems: &mut Diagnostics) -> Option<&'a str> {
    let item = group.item("type");
    let Some(dataset) = group.datasets.get("type") else {
        problems.push(structure("a node has no dataset `type`").at(item));
        return None;
    };
    match &dataset.values {
        Ok(Values::Texts(texts)) if texts.len() == 1 => Some(&texts[0]),
        Ok(_) => {
            problems.push(structure("`type` must be a single string").at(item));
            None
        }
        Err(error) => {
            problems.push(structure(format!("`type` cannot be read: {error}")).at(item));
            None
        }
    }
}

/// Reads a primitive; `None` after an error, which is among the problems.
pub(super) fn read_node(group: &Group, kind: &str, problems: &mut Diagnostics) -> Option<ReadNode> {
    let mut fields = Fields { group, kind, used: BTreeSet::from(["type"]), problems };
    let mut stored_input = None;
    let node = match kind {
        "Input" => fields.shape("shape").map(|shape| Node::Input { shape }),
        "Output" => fields.shape("shape").map(|shape| Node::Output { shape }),
        "Affine" => affine(&mut fields, true),
        "Linear" => affine(&mut fields, false),
        "Scale" => fields.required_floats("scale").map(|scale| Node::Scale { scale: at_least_1d(scale) }),
        "Conv1d" => convolution(&mut fields, 1),
        "Conv2d" => convolution(&mut fields, 2),
        "SumPool2d" => pool(&mut fields, PoolKind::Sum),
        "AvgPool2d" => pool(&mut fields, PoolKind::Average),
        "Flatten" => {
            stored_input = if fields.has("input_type") { fields.shape("input_type") } else { None };
            flatten(&mut fields)
        }
        "Threshold" => parameters(&mut fields, &[("threshold", true)]).map(|(mut values, shape)| {
            let threshold = values.remove(0).expect("bug in snncc: a required parameter is missing");
            Node::Threshold(Threshold { shape, threshold, comparison: Comparison::Greater })
        }),
        "Delay" => parameters(&mut fields, &[("delay", true)]).map(|(mut values, shape)| {
            let delay = values.remove(0).expect("bug in snncc: a required parameter is missing");
            Node::Delay { delay: DelayTime::Seconds(delay), shape }
        }),
        "I" => neuron(&mut fields, NeuronModel::I),
        "LI" => neuron(&mut fields, NeuronModel::Li),
        "IF" => neuron(&mut fields, NeuronModel::If),
        "LIF" => neuron(&mut fields, NeuronModel::Lif),
        "CubaLI" => neuron(&mut fields, NeuronModel::CubaLi),
        "CubaLIF" => neuron(&mut fields, NeuronModel::CubaLif),
        _ => {
            let mut problem = structure(format!("unknown node type `{kind}`"))
                .at(group.item("type"))
                .note(format!("NIR's types are: {}", TYPES.join(", ")));
            if let Some(near) = did_you_mean(kind, TYPES) {
                problem = problem.help(format!("did you mean `{near}`?"));
            }
            fields.problems.push(problem);
            return None;
        }
    };
    fields.warn_of_unknown();
    node.map(|node| ReadNode { node, stored_input })
}

fn affine(fields: &mut Fields<'_, '_>, has_bias: bool) -> Option<Node> {
    let weight = fields.required_floats("weight");
    let bias = if has_bias { fields.required_floats("bias") } else { None };
    let weight = weight?;
    let [outputs, _] = weight.shape[..] else {
        fields.push(
            structure(format!("`weight` has the shape {:?}; only (outputs, inputs) is read", weight.shape)),
            "weight",
        );
        return None;
    };
    if !fields.check_size("weight", &weight.shape) {
        return None;
    }
    let bias = if has_bias { Some(fields.one_per(bias, "bias", outputs, "outputs")?) } else { None };
    Some(Node::Affine(Affine { weight: Matrix::Dense(weight), bias, delay: SynapseDelay::None }))
}

fn convolution(fields: &mut Fields<'_, '_>, dimensions: usize) -> Option<Node> {
    let weight = fields.required_floats("weight");
    let bias = fields.required_floats("bias");
    let stride = fields.per_dimension("stride", dimensions, 1);
    let dilation = fields.per_dimension("dilation", dimensions, 1);
    let padding = fields.padding(dimensions);
    let groups = fields.per_dimension("groups", 1, 1);
    let has_input_shape = fields.has("input_shape");
    let input_shape = if has_input_shape { fields.per_dimension("input_shape", dimensions, 1) } else { None };
    let (weight, stride, groups) = (weight?, stride?, groups?[0]);
    if weight.shape.len() != dimensions + 2 || weight.shape.contains(&0) {
        let wanted =
            ["(channels_out, channels_in / groups, length)", "(channels_out, channels_in / groups, height, width)"];
        fields.push(
            shapes_differ(format!("`weight` has the shape {:?}, not {}", weight.shape, wanted[dimensions - 1])),
            "weight",
        );
        return None;
    }
    let channels_out = weight.shape[0];
    let bias = fields.one_per(bias, "bias", channels_out, "output channels");
    if !channels_out.is_multiple_of(groups) {
        let message = format!("{groups} groups do not divide {channels_out} output channels");
        fields.push(Diagnostic::error(code::BAD_PARAMETER, message), "groups");
        return None;
    }
    let padding = padding?;
    if padding == Padding::Same && stride.iter().any(|stride| *stride != 1) {
        let message = format!("padding \"same\" has no meaning with stride {stride:?}");
        fields.push(Diagnostic::error(code::BAD_PARAMETER, message), "padding");
        return None;
    }
    Some(Node::Convolution(Convolution {
        dimensions: dimensions as u8,
        weight,
        bias: Some(bias?),
        stride,
        padding,
        dilation: dilation?,
        groups,
        input_shape,
        delay: 0,
    }))
}

fn pool(fields: &mut Fields<'_, '_>, kind: PoolKind) -> Option<Node> {
    let kernel = fields.per_dimension("kernel_size", 2, 1);
    let stride = fields.per_dimension("stride", 2, 1);
    let padding = fields.per_dimension("padding", 2, 0);
    let pair = |values: Vec<usize>| [values[0], values[1]];
    Some(Node::Pool(Pool { kind, kernel: pair(kernel?), stride: pair(stride?), padding: pair(padding?) }))
}

fn flatten(fields: &mut Fields<'_, '_>) -> Option<Node> {
    // The defaults are those of NIR's Python package.
    let mut dimension = |name, default| if fields.has(name) { fields.integer(name) } else { Some(default) };
    let (start_dim, end_dim) = (dimension("start_dim", 1), dimension("end_dim", -1));
    Some(Node::Flatten { start_dim: start_dim?, end_dim: end_dim? })
}

/// Parameters of a neuron model, and whether a file must have them.
pub(super) fn neuron_parameters(model: NeuronModel) -> &'static [(&'static str, bool)] {
    match model {
        NeuronModel::I => &[("r", true)],
        NeuronModel::Li => &[("tau", true), ("r", true), ("v_leak", true)],
        NeuronModel::If => &[("r", true), ("v_threshold", true), ("v_reset", false)],
        NeuronModel::Lif => &[("tau", true), ("r", true), ("v_leak", true), ("v_threshold", true), ("v_reset", false)],
        NeuronModel::CubaLi => &[("tau_syn", true), ("tau_mem", true), ("r", true), ("v_leak", true), ("w_in", false)],
        NeuronModel::CubaLif => &[
            ("tau_syn", true),
            ("tau_mem", true),
            ("r", true),
            ("v_leak", true),
            ("v_threshold", true),
            ("v_reset", false),
            ("w_in", false),
        ],
    }
}

/// The field of a neuron that holds the parameter of this name.
pub(super) fn neuron_field<'a>(neuron: &'a mut Neuron, name: &str) -> &'a mut Param {
    match name {
        "tau" | "tau_mem" => &mut neuron.tau_mem_s,
        "tau_syn" => &mut neuron.tau_syn_s,
        "r" => &mut neuron.r,
        "v_leak" => &mut neuron.v_leak,
        "v_threshold" => &mut neuron.v_threshold,
        "v_reset" => &mut neuron.v_reset,
        "w_in" => &mut neuron.w_in,
        _ => unreachable!("bug in snncc: no parameter `{name}`"),
    }
}

fn neuron(fields: &mut Fields<'_, '_>, model: NeuronModel) -> Option<Node> {
    let names = neuron_parameters(model);
    let (values, shape) = parameters(fields, names)?;
    let mut neuron = Neuron::new(model);
    neuron.shape = shape;
    for ((name, _), value) in names.iter().zip(values) {
        if let Some(value) = value {
            *neuron_field(&mut neuron, name) = value;
        }
    }
    Some(Node::Neuron(neuron))
}

/// Values in the order asked for, and their shape.
type Parameters = (Vec<Option<Param>>, Option<Vec<usize>>);

/// Reads parameters that must have one shape, or one value. Gives them in order (absent ones as `None`), and the shape if
/// any of them shows it.
fn parameters(fields: &mut Fields<'_, '_>, names: &[(&str, bool)]) -> Option<Parameters> {
    let tensors: Vec<Option<Tensor>> = names
        .iter()
        .map(|&(name, required)| if required || fields.has(name) { fields.required_floats(name) } else { None })
        .collect();
    let mut shape: Option<(&str, Vec<usize>)> = None;
    let mut complete = true;
    let mut values = Vec::with_capacity(names.len());
    for (&(name, required), tensor) in names.iter().zip(tensors) {
        let Some(tensor) = tensor else {
            complete &= !required && !fields.has(name);
            values.push(None);
            continue;
        };
        if tensor.len() == 1 && tensor.shape.len() <= 1 {
            values.push(Some(Param::Uniform(tensor.data[0])));
            continue;
        }
        match &shape {
            Some((first, shape)) if *shape != tensor.shape => {
                let message = format!("`{name}` has the shape {:?}, but `{first}` has {shape:?}", tensor.shape);
                fields.push(shapes_differ(message), name);
                complete = false;
            }
            Some(_) => {}
            None => shape = Some((name, tensor.shape)),
        }
        values.push(Some(Param::from_values(tensor.data)));
    }
    if let Some((name, shape)) = &shape {
        complete &= fields.check_size(name, shape);
    }
    complete.then(|| (values, shape.map(|(_, shape)| shape)))
}

fn at_least_1d(mut tensor: Tensor) -> Tensor {
    if tensor.shape.is_empty() {
        tensor.shape.push(1);
    }
    tensor
}

/// The datasets of one node: reads them, remembers which were asked for, collects what is wrong.
struct Fields<'g, 'p> {
    group: &'g Group,
    kind: &'g str,
    used: BTreeSet<&'g str>,
    problems: &'p mut Diagnostics,
}

impl<'g> Fields<'g, '_> {
    fn push(&mut self, problem: Diagnostic, name: &str) {
        self.problems.push(problem.at(self.group.item(name)));
    }

    fn has(&self, name: &str) -> bool {
        self.group.datasets.contains_key(name)
    }

    fn dataset(&mut self, name: &str) -> Option<(&'g Dataset, &'g Values)> {
        let Some((name, dataset)) = self.group.datasets.get_key_value(name) else {
            let mut problem = structure(format!("a node of type {} needs the dataset `{name}`", self.kind));
            let others = self.group.datasets.keys().map(String::as_str).filter(|other| *other != "type");
            if let Some(near) = did_you_mean(name, others) {
                problem = problem.help(format!("there is a dataset `{near}`: was it meant?"));
            }
            self.push(problem, name);
            return None;
        };
        self.used.insert(name);
        match &dataset.values {
            Ok(values) => Some((dataset, values)),
            Err(error) => {
                self.push(structure(format!("`{name}` cannot be read: {error}")), name);
                None
            }
        }
    }

    fn wrong_kind(&mut self, name: &str, wanted: &str) {
        self.push(structure(format!("`{name}` must be {wanted}")), name);
    }

    fn required_floats(&mut self, name: &str) -> Option<Tensor> {
        let (dataset, values) = self.dataset(name)?;
        let data: Vec<f64> = match values {
            Values::Floats(values) => values.clone(),
            Values::Integers(values) => values.iter().map(|&value| value as f64).collect(),
            Values::Texts(_) => {
                self.wrong_kind(name, "numbers, not text");
                return None;
            }
        };
        if let Some(at) = data.iter().position(|value| value.is_nan()) {
            let message = format!("`{name}` is not a number at {}", crate::tensor_files::position(&dataset.shape, at));
            self.push(Diagnostic::error(code::BAD_PARAMETER, message), name);
            return None;
        }
        Some(Tensor::new(dataset.shape.clone(), data))
    }

    /// Whole numbers, also where they are stored as floats.
    fn integers(&mut self, name: &str) -> Option<Vec<i64>> {
        let (_, values) = self.dataset(name)?;
        match values {
            Values::Integers(values) => Some(values.clone()),
            Values::Floats(values) if values.iter().all(|value| value.fract() == 0.0 && value.abs() < 1e15) => {
                Some(values.iter().map(|&value| value as i64).collect())
            }
            _ => {
                self.wrong_kind(name, "whole numbers");
                None
            }
        }
    }

    fn integer(&mut self, name: &str) -> Option<i64> {
        match self.integers(name)?[..] {
            [value] => Some(value),
            _ => {
                self.wrong_kind(name, "a single whole number");
                None
            }
        }
    }

    /// One whole number per dimension, each at least `least`; a single one serves all dimensions.
    fn per_dimension(&mut self, name: &str, dimensions: usize, least: usize) -> Option<Vec<usize>> {
        let values = self.integers(name)?;
        let values = if values.len() == 1 { vec![values[0]; dimensions] } else { values };
        if values.len() != dimensions {
            self.push(shapes_differ(format!("`{name}` has {} values, not {dimensions}", values.len())), name);
            return None;
        }
        let in_range = |value: &i64| u32::try_from(*value).ok().map(|value| value as usize).filter(|v| *v >= least);
        let checked: Option<Vec<usize>> = values.iter().map(in_range).collect();
        if checked.is_none() {
            let message = format!("`{name}` is {values:?}; each must be from {least} to {}", u32::MAX);
            self.push(Diagnostic::error(code::BAD_PARAMETER, message), name);
        }
        checked
    }

    fn padding(&mut self, dimensions: usize) -> Option<Padding> {
        let is_text = matches!(
            self.group.datasets.get("padding"),
            Some(Dataset { values: Ok(Values::Texts(texts)), .. }) if texts.len() == 1
        );
        if !is_text {
            return self.per_dimension("padding", dimensions, 0).map(Padding::Explicit);
        }
        let (_, values) = self.dataset("padding")?;
        match values {
            Values::Texts(texts) if texts[0] == "same" => Some(Padding::Same),
            Values::Texts(texts) if texts[0] == "valid" => Some(Padding::Valid),
            _ => {
                self.wrong_kind("padding", "numbers, \"same\" or \"valid\"");
                None
            }
        }
    }

    /// A shape: every length at least 1, and no more elements than ids can number.
    fn shape(&mut self, name: &str) -> Option<Vec<usize>> {
        let lengths = self.integers(name)?;
        let shape: Option<Vec<usize>> =
            lengths.iter().map(|&length| usize::try_from(length).ok().filter(|length| *length > 0)).collect();
        let Some(shape) = shape.filter(|shape| !shape.is_empty()) else {
            let message = format!("`{name}` is {lengths:?}; a shape has lengths of at least 1");
            self.push(Diagnostic::error(code::BAD_PARAMETER, message), name);
            return None;
        };
        self.check_size(name, &shape).then_some(shape)
    }

    fn check_size(&mut self, name: &str, shape: &[usize]) -> bool {
        let count = snncc_ir::ann::element_count(shape);
        let fits = count.is_some_and(|count| count > 0 && u32::try_from(count).is_ok());
        if !fits {
            let message = format!("`{name}` gives the shape {shape:?}; a node has from 1 to {} elements", u32::MAX);
            self.push(Diagnostic::error(code::BAD_PARAMETER, message), name);
        }
        fits
    }

    /// A vector with one value per output; other shapes of as many values are taken as that.
    fn one_per(&mut self, tensor: Option<Tensor>, name: &str, count: usize, of: &str) -> Option<Tensor> {
        let tensor = tensor?;
        if tensor.len() != count {
            let message = format!("`{name}` has the shape {:?}; the weight has {count} {of}", tensor.shape);
            self.push(shapes_differ(message), name);
            return None;
        }
        Some(Tensor::vector(tensor.data))
    }

    fn warn_of_unknown(&mut self) {
        let unknown: Vec<&str> = self
            .group
            .datasets
            .keys()
            .chain(self.group.groups.keys())
            .map(String::as_str)
            .filter(|name| !self.used.contains(name))
            .collect();
        for name in unknown {
            let message = format!("a node of type {} has no parameter `{name}`; it is ignored", self.kind);
            self.push(Diagnostic::warning(code::NIR_STRUCTURE, message), name);
        }
    }
}

/// The file is not as NIR defines it.
pub(super) fn structure(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(code::NIR_STRUCTURE, message)
}

/// Arrays that must agree do not.
pub(super) fn shapes_differ(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(code::SHAPE_MISMATCH, message)
}
