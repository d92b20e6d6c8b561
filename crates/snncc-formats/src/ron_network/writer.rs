//! Writes a network as RON: parameters with their default values are left out, small tensors written out, large ones put
//! into one `.npz` file.

use super::SCHEMA;
use super::neurons::{model_name, tau_mem_name};
use super::rates;
use crate::tensor_files::{AnyTensor, write_npz};
use snncc_ir::network::{
    Comparison, Compartments, Convolution, DelayTime, MappingRequest, Matrix, Neuron, Padding, Pool, PoolKind, Reset,
    RunDefaults, Spiking, SynapseDelay,
};
use snncc_ir::{Network, Node, NoiseParams, NoiseTarget, Param, PopulationStatistics, ResetModel, Tensor};
use std::fmt::{Debug, Write};

/// Names longer than this are not used in the `.npz` file, whose format bounds them.
const LONGEST_ARRAY_NAME: usize = 1000;

/// Items longer than this go on lines of their own.
const LINE_WIDTH: usize = 100;

/// A network as text and files.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenNetwork {
    /// The RON text.
    pub text: String,
    /// Files that the text names: (name, bytes). At most one.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Writes a network. Tensors of more than `inline_limit` values go into the file `tensor_file` (which should end in `.npz`
/// and lie beside the text); a single value is always written out. Equal networks give equal bytes.
///
/// Values that are not finite are written, but [`super::read_network`] refuses them.
pub fn write_network(network: &Network, tensor_file: &str, inline_limit: usize) -> WrittenNetwork {
    let mut writer =
        Writer { tensor_file, inline_limit: inline_limit.max(1), prefix: String::new(), arrays: Vec::new() };
    let mut text = format!("(\n    schema: {SCHEMA},\n");
    if let Some(dt_s) = network.dt_s {
        put(&mut text, format_args!("    dt: {dt_s:?},\n"));
    }
    text += "    nodes: {\n";
    for (id, node) in network.nodes.iter_with_ids() {
        writer.prefix = if node.name.len() > LONGEST_ARRAY_NAME { format!("node/{}", id.0) } else { node.name.clone() };
        let (kind, fields) = writer.node(&node.node);
        put(&mut text, format_args!("        {}: {kind}{},\n", quoted(&node.name), group(&fields, 8)));
    }
    text += "    },\n    edges: [\n";
    for edge in &network.edges {
        let (source, target) = (&network.nodes[edge.source].name, &network.nodes[edge.target].name);
        put(&mut text, format_args!("        ({}, {}),\n", quoted(source), quoted(target)));
    }
    text += "    ],\n";
    if network.mapping != MappingRequest::default() {
        put(&mut text, format_args!("    mapping: {},\n", group(&mapping(&network.mapping), 4)));
    }
    if network.run != RunDefaults::default() {
        put(&mut text, format_args!("    run: {},\n", group(&run(&network.run), 4)));
    }
    if let Some(calibration) = network.calibration.known() {
        text += "    calibration: {\n";
        for (index, population) in calibration.populations.iter().enumerate() {
            let name = &population.name;
            writer.prefix = if name.len() > LONGEST_ARRAY_NAME { format!("calibration/{index}") } else { name.clone() };
            let fields = writer.statistics(population);
            put(&mut text, format_args!("        {}: {},\n", quoted(name), group(&fields, 8)));
        }
        text += "    },\n";
    }
    text += ")\n";
    let files = match &writer.arrays[..] {
        [] => Vec::new(),
        arrays => vec![(tensor_file.to_owned(), write_npz(arrays))],
    };
    WrittenNetwork { text, files }
}

/// Appends to a string, which cannot fail.
fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("bug in snncc: writing to a string failed");
}

fn quoted(text: &str) -> String {
    ron::to_string(text).expect("bug in snncc: a string cannot be written as RON")
}

type FieldTexts = Vec<(&'static str, String)>;

/// `(a: 1, b: 2)` on one line if it is short, else with one field a line; `indent` is that of the line where it starts.
fn group(fields: &FieldTexts, indent: usize) -> String {
    let parts: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let length: usize = parts.iter().map(|part| part.len() + 2).sum();
    if length <= LINE_WIDTH && parts.iter().all(|part| !part.contains('\n')) {
        return format!("({})", parts.join(", "));
    }
    let (inner, outer) = (" ".repeat(indent + 4), " ".repeat(indent));
    format!("(\n{inner}{},\n{outer})", parts.join(&format!(",\n{inner}")))
}

/// A number type of tensors.
trait Element: Copy + PartialEq {
    fn text(self) -> String;
    fn array(shape: Vec<usize>, data: Vec<Self>) -> AnyTensor;
}

impl Element for f64 {
    /// The shortest text that reads back as the same number.
    fn text(self) -> String {
        format!("{self:?}")
    }

    /// As `f32` where that loses nothing.
    fn array(shape: Vec<usize>, data: Vec<Self>) -> AnyTensor {
        if data.iter().all(|&value| f64::from(value as f32) == value) {
            Tensor::new(shape, data.into_iter().map(|value| value as f32).collect::<Vec<_>>()).into()
        } else {
            Tensor::new(shape, data).into()
        }
    }
}

macro_rules! integer_elements {
    ($($type:ty)*) => {$(
        impl Element for $type {
            fn text(self) -> String {
                self.to_string()
            }
            fn array(shape: Vec<usize>, data: Vec<Self>) -> AnyTensor {
                Tensor::new(shape, data).into()
            }
        }
    )*};
}

integer_elements!(i32 u32 i64);

struct Writer<'w> {
    tensor_file: &'w str,
    inline_limit: usize,
    /// Start of the names of arrays: the name of the node.
    prefix: String,
    arrays: Vec<(String, AnyTensor)>,
}

impl Writer<'_> {
    fn tensor<T: Element>(&mut self, field: &str, shape: &[usize], data: &[T]) -> String {
        if data.len() > self.inline_limit {
            // Fields have no dots, so the last dot separates node and field, and the names are unique.
            let name = format!("{}.{field}", self.prefix);
            let text = format!("File({}, {})", quoted(self.tensor_file), quoted(&name));
            self.arrays.push((name, T::array(shape.to_vec(), data.to_vec())));
            return text;
        }
        if shape.len() > 1 && data.is_empty() {
            return format!("Tensor(shape: {shape:?}, data: [])");
        }
        nested(shape, data, 12)
    }

    fn param<T: Element>(&mut self, field: &str, param: &Param<T>) -> String {
        match param {
            Param::Uniform(value) => value.text(),
            Param::PerNeuron(values) => self.tensor(field, &[values.len()], values),
        }
    }

    /// A parameter, if it is not `default`.
    fn optional_param<T: Element>(
        &mut self,
        fields: &mut FieldTexts,
        name: &'static str,
        param: &Param<T>,
        default: T,
    ) {
        // Texts, to tell −0 from 0.
        if !matches!(param, Param::Uniform(value) if value.text() == default.text()) {
            fields.push((name, self.param(name, param)));
        }
    }

    fn matrix<T: Element>(&mut self, matrix: &Matrix<T>) -> String {
        match matrix {
            Matrix::Dense(tensor) => self.tensor("weight", &tensor.shape, &tensor.data),
            Matrix::Sparse { shape, rows, columns, values } if values.len() > self.inline_limit => {
                let count = [values.len()];
                let rows = self.tensor("weight.rows", &count, rows);
                let columns = self.tensor("weight.columns", &count, columns);
                let values = self.tensor("weight.values", &count, values);
                let shape = format!("({}, {})", shape.0, shape.1);
                let fields = vec![("shape", shape), ("rows", rows), ("columns", columns), ("values", values)];
                format!("Sparse{}", group(&fields, 12))
            }
            Matrix::Sparse { shape, rows, columns, values } => {
                let entries: Vec<String> = rows
                    .iter()
                    .zip(columns)
                    .zip(values)
                    .map(|((row, column), value)| format!("({row}, {column}, {})", value.text()))
                    .collect();
                let shape = format!("({}, {})", shape.0, shape.1);
                let fields = vec![("shape", shape), ("entries", format!("[{}]", entries.join(", ")))];
                format!("Sparse{}", group(&fields, 12))
            }
        }
    }

    fn synapse_delay(&mut self, fields: &mut FieldTexts, delay: &SynapseDelay) {
        match delay {
            SynapseDelay::None => {}
            SynapseDelay::Uniform(steps) => fields.push(("delay", steps.to_string())),
            SynapseDelay::PerSynapse(steps) => fields.push(("delay", self.tensor("delay", &[steps.len()], steps))),
        }
    }

    fn bias(&mut self, fields: &mut FieldTexts, bias: Option<&Tensor>) {
        if let Some(bias) = bias {
            fields.push(("bias", self.tensor("bias", &bias.shape, &bias.data)));
        }
    }

    /// The name of a node's kind, and its fields.
    fn node(&mut self, node: &Node) -> (&'static str, FieldTexts) {
        let mut fields = Vec::new();
        let kind = match node {
            Node::Input { shape } => {
                fields.push(("shape", format!("{shape:?}")));
                "Input"
            }
            Node::Output { shape } => {
                fields.push(("shape", format!("{shape:?}")));
                "Output"
            }
            Node::Affine(affine) => {
                fields.push(("weight", self.matrix(&affine.weight)));
                self.bias(&mut fields, affine.bias.as_ref());
                self.synapse_delay(&mut fields, &affine.delay);
                if affine.bias.is_some() { "Affine" } else { "Linear" }
            }
            Node::Scale { scale } => {
                fields.push(("scale", self.tensor("scale", &scale.shape, &scale.data)));
                "Scale"
            }
            Node::Convolution(convolution) => self.convolution(&mut fields, convolution),
            Node::Pool(pool) => {
                let Pool { kind, kernel, stride, padding } = pool;
                fields.push(("kernel_size", format!("{kernel:?}")));
                optional(&mut fields, "stride", stride, kernel);
                optional(&mut fields, "padding", padding, &[0, 0]);
                match kind {
                    PoolKind::Sum => "SumPool2d",
                    PoolKind::Average => "AvgPool2d",
                }
            }
            Node::GatedPool(pool) => {
                fields.push(("kernel_size", format!("{:?}", pool.kernel)));
                optional(&mut fields, "stride", &pool.stride, &pool.kernel);
                optional(&mut fields, "padding", &pool.padding, &[0, 0]);
                "GatedMaxPool2d"
            }
            Node::RateNeuron(neuron) => {
                shape(&mut fields, neuron.shape.as_deref());
                fields.push(("function", rates::function_text(&neuron.function)));
                self.optional_param(&mut fields, "gain", &neuron.gain, 1.0);
                optional(&mut fields, "spiking", &neuron.spiking, &Spiking::Regular);
                self.optional_param(&mut fields, "initial", &neuron.initial, 0.0);
                optional(&mut fields, "seed", &neuron.seed, &0);
                "RateNeuron"
            }
            Node::Flatten { start_dim, end_dim } => {
                optional(&mut fields, "start_dim", start_dim, &0);
                optional(&mut fields, "end_dim", end_dim, &-1);
                "Flatten"
            }
            Node::Reshape { shape } => {
                fields.push(("shape", format!("{shape:?}")));
                "Reshape"
            }
            Node::Threshold(threshold) => {
                shape(&mut fields, threshold.shape.as_deref());
                fields.push(("threshold", self.param("threshold", &threshold.threshold)));
                optional(&mut fields, "comparison", &threshold.comparison, &Comparison::Greater);
                "Threshold"
            }
            Node::Delay { delay, shape: given } => {
                shape(&mut fields, given.as_deref());
                fields.push(match delay {
                    DelayTime::Seconds(seconds) => ("delay", self.param("delay", seconds)),
                    DelayTime::Steps(steps) => ("delay_steps", self.param("delay_steps", steps)),
                });
                "Delay"
            }
            Node::Neuron(neuron) => {
                self.neuron(&mut fields, neuron);
                model_name(neuron.model)
            }
            Node::Compartments(compartments) => {
                self.compartments(&mut fields, compartments);
                "Compartments"
            }
            Node::Synapses(synapses) => {
                fields.push(("weight", self.matrix(&synapses.weight)));
                optional(&mut fields, "exponent", &synapses.exponent, &0);
                fields.push(("weight_bits", synapses.weight_bits.to_string()));
                fields.push(("sign_mode", format!("{:?}", synapses.sign_mode)));
                self.synapse_delay(&mut fields, &synapses.delay);
                "Synapses"
            }
        };
        (kind, fields)
    }

    fn convolution(&mut self, fields: &mut FieldTexts, convolution: &Convolution) -> &'static str {
        let ones = vec![1; usize::from(convolution.dimensions)];
        let zeros = Padding::Explicit(vec![0; usize::from(convolution.dimensions)]);
        let weight = &convolution.weight;
        fields.push(("weight", self.tensor("weight", &weight.shape, &weight.data)));
        self.bias(fields, convolution.bias.as_ref());
        optional(fields, "stride", &convolution.stride, &ones);
        match &convolution.padding {
            padding if *padding == zeros => {}
            Padding::Explicit(lengths) => fields.push(("padding", format!("{lengths:?}"))),
            Padding::Same => fields.push(("padding", "Same".to_owned())),
            Padding::Valid => fields.push(("padding", "Valid".to_owned())),
        }
        optional(fields, "dilation", &convolution.dilation, &ones);
        optional(fields, "groups", &convolution.groups, &1);
        if let Some(input_shape) = &convolution.input_shape {
            fields.push(("input_shape", format!("{input_shape:?}")));
        }
        optional(fields, "delay", &convolution.delay, &0);
        if convolution.dimensions == 1 { "Conv1d" } else { "Conv2d" }
    }

    fn neuron(&mut self, fields: &mut FieldTexts, neuron: &Neuron) {
        let model = neuron.model;
        shape(fields, neuron.shape.as_deref());
        if model.leaks() {
            let name = tau_mem_name(model);
            fields.push((name, self.param(name, &neuron.tau_mem_s)));
        }
        if model.filters() {
            fields.push(("tau_syn", self.param("tau_syn", &neuron.tau_syn_s)));
            self.optional_param(fields, "w_in", &neuron.w_in, 1.0);
            self.optional_param(fields, "i_initial", &neuron.i_initial, 0.0);
        }
        self.optional_param(fields, "r", &neuron.r, 1.0);
        if model.leaks() {
            self.optional_param(fields, "v_leak", &neuron.v_leak, 0.0);
        }
        if model.spikes() {
            fields.push(("v_threshold", self.param("v_threshold", &neuron.v_threshold)));
            self.optional_param(fields, "v_reset", &neuron.v_reset, 0.0);
            self.optional_param(fields, "refractory_steps", &neuron.refractory_steps, 1);
            optional(fields, "reset", &neuron.reset, &Reset::ToValue);
            optional(fields, "comparison", &neuron.comparison, &Comparison::Greater);
        }
        self.optional_param(fields, "v_initial", &neuron.v_initial, 0.0);
        if let Some(v_min) = neuron.v_min {
            fields.push(("v_min", v_min.text()));
        }
    }

    fn compartments(&mut self, fields: &mut FieldTexts, compartments: &Compartments) {
        shape(fields, Some(&compartments.shape));
        fields.push(("decay_u", self.param("decay_u", &compartments.decay_u)));
        fields.push(("decay_v", self.param("decay_v", &compartments.decay_v)));
        fields.push(("threshold_mantissa", self.param("threshold_mantissa", &compartments.threshold_mantissa)));
        self.optional_param(fields, "bias_mantissa", &compartments.bias_mantissa, 0);
        self.optional_param(fields, "bias_exponent", &compartments.bias_exponent, 0);
        self.optional_param(fields, "refractory", &compartments.refractory, 1);
        if let Some(exponent) = compartments.v_min_exponent {
            fields.push(("v_min_exponent", exponent.to_string()));
        }
        if let Some(exponent) = compartments.v_max_exponent {
            fields.push(("v_max_exponent", exponent.to_string()));
        }
        self.optional_param(fields, "u_initial", &compartments.u_initial, 0);
        self.optional_param(fields, "v_initial", &compartments.v_initial, 0);
        match compartments.reset {
            ResetModel::Lif => {}
            ResetModel::Periodic { interval, offset } => {
                fields.push(("reset", format!("Periodic(interval: {interval}, offset: {offset})")));
            }
            ResetModel::Ternary { lower_threshold_mantissa } => {
                fields.push(("reset", format!("Ternary(lower_threshold_mantissa: {lower_threshold_mantissa})")));
            }
        }
        if let Some(noise) = &compartments.noise {
            fields.push(("noise", self.noise(noise)));
        }
    }

    fn statistics(&mut self, population: &PopulationStatistics) -> FieldTexts {
        let rates = &population.rates;
        let mut fields = vec![("rates", self.tensor("rates", &[rates.len()], rates))];
        optional(&mut fields, "input_max", &population.input_max, &0.0);
        optional(&mut fields, "v_min", &population.v_min, &f64::INFINITY);
        optional(&mut fields, "v_max", &population.v_max, &f64::NEG_INFINITY);
        fields
    }

    fn noise(&mut self, noise: &NoiseParams) -> String {
        let target = match noise.target {
            NoiseTarget::Dendrite => "Dendrite",
            NoiseTarget::Membrane => "Membrane",
        };
        let samples: Vec<i32> = noise.samples.concat();
        let samples = match noise.samples.first() {
            None => "[]".to_owned(),
            Some(first) => self.tensor("noise_samples", &[noise.samples.len(), first.len()], &samples),
        };
        let fields = vec![
            ("exponent", noise.exponent.to_string()),
            ("mantissa_offset", noise.mantissa_offset.to_string()),
            ("target", target.to_owned()),
            ("samples", samples),
        ];
        group(&fields, 12)
    }
}

/// Nested lists; matrices have one row a line. `indent` is that of the field.
fn nested<T: Element>(shape: &[usize], data: &[T], indent: usize) -> String {
    match shape {
        [] => data.iter().map(|value| value.text()).collect(),
        [_] => {
            let values: Vec<String> = data.iter().map(|value| value.text()).collect();
            format!("[{}]", values.join(", "))
        }
        [_, inner @ ..] => {
            let row_length = inner.iter().product::<usize>().max(1);
            let pad = " ".repeat(indent + 4);
            let rows: Vec<String> =
                data.chunks(row_length).map(|row| format!("{pad}{},\n", nested(inner, row, indent + 4))).collect();
            format!("[\n{}{}]", rows.concat(), " ".repeat(indent))
        }
    }
}

/// A field whose value looks in RON as `Debug` prints it, if it is not the default.
fn optional<T: Debug + PartialEq>(fields: &mut FieldTexts, name: &'static str, value: &T, default: &T) {
    if value != default {
        fields.push((name, format!("{value:?}")));
    }
}

fn shape(fields: &mut FieldTexts, shape: Option<&[usize]>) {
    if let Some(shape) = shape {
        fields.push(("shape", format!("{shape:?}")));
    }
}

fn mapping(mapping: &MappingRequest) -> FieldTexts {
    let mut fields = Vec::new();
    if !mapping.pins.is_empty() {
        let pins: Vec<String> = mapping
            .pins
            .iter()
            .map(|pin| {
                let neurons = pin.neurons.map_or(String::new(), |neurons| format!("neurons: {neurons:?}, "));
                format!("(population: {}, {neurons}core: {})", quoted(&pin.population), pin.core)
            })
            .collect();
        fields.push(("pins", format!("[{}]", pins.join(", "))));
    }
    if !mapping.reserved_cores.is_empty() {
        fields.push(("reserved_cores", format!("{:?}", mapping.reserved_cores)));
    }
    if !mapping.exclusive.is_empty() {
        let names: Vec<String> = mapping.exclusive.iter().map(|name| quoted(name)).collect();
        fields.push(("exclusive", format!("[{}]", names.join(", "))));
    }
    if !mapping.split.is_empty() {
        let parts: Vec<String> =
            mapping.split.iter().map(|(name, cores)| format!("{}: {cores}", quoted(name))).collect();
        fields.push(("split", format!("{{{}}}", parts.join(", "))));
    }
    fields
}

fn run(run: &RunDefaults) -> FieldTexts {
    let mut fields = Vec::new();
    fields.extend(run.coding.as_ref().map(|coding| ("coding", quoted(coding))));
    let steps =
        [("steps", run.steps), ("input_steps", run.input_steps), ("corrected_for", run.corrected_for)].into_iter();
    fields.extend(steps.filter_map(|(name, steps)| Some((name, steps?.to_string()))));
    if !run.ranges.is_empty() {
        let parts: Vec<String> =
            run.ranges.iter().map(|(port, range)| format!("{}: {range:?}", quoted(port))).collect();
        fields.push(("ranges", format!("{{{}}}", parts.join(", "))));
    }
    fields.extend(run.early_exit.map(|rule| {
        let parts = vec![("margin", rule.margin.text()), ("first_step", rule.first_step.to_string())];
        ("early_exit", group(&parts, 8))
    }));
    fields
}
