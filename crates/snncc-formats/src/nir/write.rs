//! A [`Network`] to a NIR file that NIR's Python package reads.
//!
//! Parameters are written in the layer's full shape, as that package wants them; weights as 32-bit floats where that loses
//! nothing. Arrays stay uncompressed: for the sizes NIR is used for, chunks and their index cost more than they save. The
//! time step goes to `/snncc/dt_s`, which other readers pass over.
//!
//! **Invariant:** what is written means the same network; what NIR cannot say is refused, node by node. (Wishes for the
//! mapping and defaults of a run are no part of the network's meaning and are left out.)

use super::graph::Stored;
use super::node::{neuron_field, neuron_parameters, structure};
use super::shapes::{joined_dimensions, settle};
use hdf5_pure::{FileBuilder, GroupBuilder, LibVer};
use snncc_ids::{Diagnostics, Id};
use snncc_ir::ann::element_count;
use snncc_ir::network::{
    Comparison, Convolution, DelayTime, Matrix, Network, Neuron, Node, Padding, PoolKind, Reset, SynapseDelay,
};
use snncc_ir::{Param, Tensor};
use std::borrow::Cow;

/// Version of the Python package whose layout this is.
const NIR_VERSION: &str = "1.0.8";
/// Most values of a sparse matrix that is written as a dense one.
const MAX_DENSE_VALUES: usize = 1 << 28;

/// Writes a network as a NIR file.
///
/// # Errors
/// `SNN0106` for each thing that NIR cannot say: other resets than to a value, `>=`, refractory periods, initial state, lower
/// bounds, synaptic delays, reshapes that do not join dimensions, steps of delay without a time step, neurons that follow a rate, gated pools, a chip's own integers, edges that stand twice, names with
/// `/`; shapes that do not follow from the network or contradict each other.
pub fn write_nir(network: &Network) -> Result<Vec<u8>, Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut network = network.clone();
    let stored: Vec<Stored> = network.nodes.ids().map(|id| Stored { item: network.item(id), input: None }).collect();
    let outputs = settle(&mut network, &stored, &mut problems);
    let mut nodes = GroupBuilderOf::new("nodes");
    for (id, node) in network.nodes.iter_with_ids() {
        let item = network.item(id);
        if node.name.is_empty() || node.name.contains('/') || node.name == "." {
            problems.push(structure(format!("`{}` is no name that HDF5 can store", node.name)).at(item));
            continue;
        }
        let input = network.edges.iter().find(|edge| edge.target == id).map(|edge| edge.source);
        let input = input.and_then(|source| outputs[source.index()].as_deref());
        let output = outputs[id.index()].as_deref();
        let mut writer = NodeWriter { group: GroupBuilderOf::new(&node.name), input, output, dt_s: network.dt_s };
        match writer.node(&node.node) {
            Ok(()) => nodes.0.add_group(writer.group.0.finish()),
            Err(messages) => {
                for message in messages {
                    problems.push(structure(format!("NIR cannot say that `{}` {message}", node.name)).at(item.clone()));
                }
            }
        }
    }
    let mut pairs: Vec<_> = network.edges.iter().map(|edge| (edge.source, edge.target)).collect();
    pairs.sort();
    for pair in pairs.windows(2).filter(|pair| pair[0] == pair[1]) {
        let name = |id| &network.nodes[id].name;
        let message =
            format!("NIR cannot say that the edge `{}` -> `{}` counts twice", name(pair[0].0), name(pair[0].1));
        problems.push(structure(message).at("edges"));
    }
    if problems.has_errors() {
        return Err(problems);
    }
    let mut root = GroupBuilderOf::new("node");
    root.text("type", "NIRGraph");
    let names: Vec<&str> =
        pairs.iter().flat_map(|(source, target)| [source, target]).map(|id| &*network.nodes[*id].name).collect();
    root.0.create_dataset("edges").with_vlen_strings(&names).with_shape(&[pairs.len() as u64, 2]);
    root.0.add_group(nodes.0.finish());
    let mut file = FileBuilder::new();
    // The oldest format on offer: HDF5 1.8 and later read it.
    file.with_libver_bounds(LibVer::Earliest, LibVer::V18);
    file.create_dataset("version").with_vlen_strings(&[NIR_VERSION]).with_shape(&[]);
    file.add_group(root.0.finish());
    if let Some(dt_s) = network.dt_s {
        let mut own = GroupBuilderOf::new("snncc");
        own.0.create_dataset("dt_s").with_f64_data(&[dt_s]).with_shape(&[]);
        file.add_group(own.0.finish());
    }
    file.finish().map_err(|error| structure(format!("the network does not fit an HDF5 file: {error}")).into())
}

/// A group under construction.
struct GroupBuilderOf(GroupBuilder);

impl GroupBuilderOf {
    fn new(name: &str) -> Self {
        // A group builder comes only from a file builder, which keeps no tie to it.
        Self(FileBuilder::new().create_group(name))
    }

    /// A scalar string.
    fn text(&mut self, name: &str, text: &str) {
        self.0.create_dataset(name).with_vlen_strings(&[text]).with_shape(&[]);
    }

    fn integers(&mut self, name: &str, values: &[usize], scalar: bool) {
        let values: Vec<i64> = values.iter().map(|&value| value as i64).collect();
        let shape = [values.len() as u64];
        self.0.create_dataset(name).with_i64_data(&values).with_shape(if scalar { &[] } else { &shape });
    }

    /// A scalar integer.
    fn integer(&mut self, name: &str, value: i64) {
        self.0.create_dataset(name).with_i64_data(&[value]).with_shape(&[]);
    }

    /// Floats, as 32 bits where that loses nothing.
    fn floats(&mut self, name: &str, values: &[f64], shape: &[usize]) {
        let shape: Vec<u64> = shape.iter().map(|&length| length as u64).collect();
        let dataset = self.0.create_dataset(name);
        if values.iter().all(|&value| f64::from(value as f32) == value) {
            let narrow: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            dataset.with_f32_data(&narrow).with_shape(&shape);
        } else {
            dataset.with_f64_data(values).with_shape(&shape);
        }
    }

    fn tensor(&mut self, name: &str, tensor: &Tensor) {
        self.floats(name, &tensor.data, &tensor.shape);
    }
}

/// Writes one node; errors complete the sentence "NIR cannot say that `name` …".
struct NodeWriter<'a> {
    group: GroupBuilderOf,
    input: Option<&'a [usize]>,
    output: Option<&'a [usize]>,
    dt_s: Option<f64>,
}

impl NodeWriter<'_> {
    fn node(&mut self, node: &Node) -> Result<(), Vec<String>> {
        let one = |message: &str| vec![message.to_owned()];
        match node {
            Node::Input { shape } => {
                self.group.text("type", "Input");
                self.group.integers("shape", shape, false);
            }
            Node::Output { shape } => {
                self.group.text("type", "Output");
                self.group.integers("shape", shape, false);
            }
            Node::Affine(affine) => {
                if affine.delay != SynapseDelay::None {
                    return Err(one("delays its synapses"));
                }
                self.group.text("type", if affine.bias.is_some() { "Affine" } else { "Linear" });
                self.group.tensor("weight", &*dense(&affine.weight)?);
                if let Some(bias) = &affine.bias {
                    self.group.tensor("bias", bias);
                }
            }
            Node::Scale { scale } => {
                self.group.text("type", "Scale");
                let values =
                    if scale.len() == 1 { Param::Uniform(scale.data[0]) } else { Param::PerNeuron(scale.data.clone()) };
                self.parameter("scale", &values)?;
            }
            Node::Convolution(convolution) => self.convolution(convolution)?,
            Node::Pool(pool) => {
                let name = match pool.kind {
                    PoolKind::Sum => "SumPool2d",
                    PoolKind::Average => "AvgPool2d",
                };
                self.group.text("type", name);
                self.group.integers("kernel_size", &pool.kernel, false);
                self.group.integers("stride", &pool.stride, false);
                self.group.integers("padding", &pool.padding, false);
            }
            Node::Flatten { start_dim, end_dim } => self.flatten(*start_dim, *end_dim),
            Node::Reshape { shape } => {
                let joined = self.input.and_then(|input| joined_dimensions(input, shape));
                let (start_dim, end_dim) = joined.ok_or_else(|| {
                    let from = self.input.map_or(String::new(), |input| format!(" {input:?}"));
                    vec![format!(
                        "reshapes{from} to {shape:?}: it has no reshape, only Flatten, which joins dimensions side by side"
                    )]
                })?;
                self.flatten(start_dim, end_dim);
            }
            Node::Threshold(threshold) => {
                if threshold.comparison != Comparison::Greater {
                    return Err(one("spikes at `>=`"));
                }
                self.group.text("type", "Threshold");
                self.parameter("threshold", &threshold.threshold)?;
            }
            Node::Delay { delay, .. } => {
                self.group.text("type", "Delay");
                let seconds = match (delay, self.dt_s) {
                    (DelayTime::Seconds(seconds), _) => seconds.clone(),
                    (DelayTime::Steps(steps), Some(dt_s)) => steps.map(|steps| f64::from(steps) * dt_s),
                    (DelayTime::Steps(_), None) => return Err(one("delays by steps, without a time step in seconds")),
                };
                self.parameter("delay", &seconds)?;
            }
            Node::Neuron(neuron) => self.neuron(neuron)?,
            Node::RateNeuron(_) => return Err(one("follows a rate, with several spikes in a step")),
            Node::GatedPool(_) => return Err(one("pools maxima by a gate")),
            Node::Compartments(_) => return Err(one("has integers of a chip")),
            Node::Synapses(_) => return Err(one("has integer weights of a chip")),
        }
        Ok(())
    }

    fn flatten(&mut self, start_dim: i64, end_dim: i64) {
        self.group.text("type", "Flatten");
        self.group.integer("start_dim", start_dim);
        self.group.integer("end_dim", end_dim);
        if let Some(input) = self.input {
            self.group.integers("input_type", input, false);
        }
    }

    fn convolution(&mut self, convolution: &Convolution) -> Result<(), Vec<String>> {
        if convolution.delay != 0 {
            return Err(vec![format!("delays its synapses by {} steps", convolution.delay)]);
        }
        let is_flat = convolution.dimensions == 1;
        self.group.text("type", if is_flat { "Conv1d" } else { "Conv2d" });
        self.group.tensor("weight", &convolution.weight);
        self.group.integers("stride", &convolution.stride, is_flat);
        match &convolution.padding {
            Padding::Explicit(padding) => self.group.integers("padding", padding, is_flat),
            Padding::Same => self.group.text("padding", "same"),
            Padding::Valid => self.group.text("padding", "valid"),
        }
        self.group.integers("dilation", &convolution.dilation, is_flat);
        self.group.integer("groups", convolution.groups as i64);
        let zeros = || Tensor::vector(vec![0.0; convolution.weight.shape[0]]);
        self.group.tensor("bias", &convolution.bias.clone().unwrap_or_else(zeros));
        if let Some(shape) = &convolution.input_shape {
            self.group.integers("input_shape", shape, is_flat);
        }
        Ok(())
    }

    fn neuron(&mut self, neuron: &Neuron) -> Result<(), Vec<String>> {
        let is_default = |param: &Param, default: f64| param.values().iter().all(|value| *value == default);
        let refusals = [
            (neuron.model.spikes() && neuron.reset == Reset::BySubtraction, "resets by subtraction"),
            (neuron.model.spikes() && neuron.reset == Reset::SnntorchSubtract, "resets by snnTorch's subtraction"),
            (neuron.model.spikes() && neuron.comparison != Comparison::Greater, "spikes at `>=`"),
            (
                neuron.model.spikes() && neuron.refractory_steps.values().iter().any(|steps| *steps > 1),
                "has a refractory period",
            ),
            (!is_default(&neuron.v_initial, 0.0), "starts with a membrane other than 0"),
            (neuron.model.filters() && !is_default(&neuron.i_initial, 0.0), "starts with a current other than 0"),
            (neuron.v_min.is_some(), "has a lower bound of the membrane"),
        ];
        let refused: Vec<String> =
            refusals.iter().filter(|(applies, _)| *applies).map(|(_, message)| (*message).to_owned()).collect();
        if !refused.is_empty() {
            return Err(refused);
        }
        self.group.text("type", neuron.model.name());
        let mut neuron = neuron.clone();
        for (name, _) in neuron_parameters(neuron.model) {
            let values = neuron_field(&mut neuron, name).clone();
            self.parameter(name, &values)?;
        }
        Ok(())
    }

    /// A parameter in the node's full shape.
    fn parameter(&mut self, name: &str, values: &Param) -> Result<(), Vec<String>> {
        let shape = self.output.ok_or_else(|| vec!["has a shape: it does not follow from the network".to_owned()])?;
        let count = element_count(shape).filter(|count| values.fits(*count));
        let count = count
            .ok_or_else(|| vec![format!("has {} values of `{name}` for the shape {shape:?}", values.values().len())])?;
        let full: Cow<'_, [f64]> = match values {
            Param::Uniform(value) => Cow::Owned(vec![*value; count]),
            Param::PerNeuron(values) => Cow::Borrowed(values),
        };
        self.group.floats(name, &full, shape);
        Ok(())
    }
}

/// The matrix with zeros where it has no synapse.
fn dense(matrix: &Matrix) -> Result<Cow<'_, Tensor>, Vec<String>> {
    match matrix {
        Matrix::Dense(tensor) => Ok(Cow::Borrowed(tensor)),
        Matrix::Sparse { shape: (outputs, inputs), rows, columns, values } => {
            let count = outputs.checked_mul(*inputs).filter(|count| *count <= MAX_DENSE_VALUES);
            let count = count.ok_or_else(|| {
                vec![format!("is sparse, and as a dense matrix {outputs} x {inputs} exceeds {MAX_DENSE_VALUES} values")]
            })?;
            let mut data = vec![0.0; count];
            for ((&row, &column), &value) in rows.iter().zip(columns).zip(values) {
                match data.get_mut(row as usize * inputs + column as usize) {
                    Some(slot) if (column as usize) < *inputs => *slot = value,
                    _ => return Err(vec![format!("has a synapse ({row}, {column}) outside {outputs} x {inputs}")]),
                }
            }
            Ok(Cow::Owned(Tensor::new(vec![*outputs, *inputs], data)))
        }
    }
}
