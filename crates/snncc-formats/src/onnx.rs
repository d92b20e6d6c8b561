//! ONNX files to trained artificial networks, without Python.
//!
//! Reading goes in steps, each a file below `onnx/`: `proto` decodes messages, `tensor` turns stored tensors into constants,
//! `graph` keeps values by name and the layers under construction, `layers`, `pool`, `elementwise`, `shape`, `select` and
//! `resize` turn one node each into a layer of `Ann` or work it out where all its inputs are constant (`constant`, `fold`).
//!
//! *Batch.* Dimension 0 of an input is the batch, whatever its size in the file, and stays in front; nodes that mix samples
//! are not supported. An input of one dimension of fixed length (or of none) has no batch; its values get one where the
//! file adds a dimension in front. The number of samples may be read (`Shape`) to be put back into a shape (`Reshape`), as
//! PyTorch exports it, but not computed with.
//!
//! *Constants* are worked out while reading, tensors of one value without expanding them. Several nodes that are one layer
//! (a product and its bias, `x · sigmoid(x)`) become one. Every node of the file is in `Ann::sources` with its fate.
//!
//! **Invariant:** any bytes give a network or diagnostics, within memory proportional to the file; a node that snncc has no
//! layer for becomes `Unsupported` with a reason, never nothing.

mod constant;
mod elementwise;
mod finish;
mod fold;
mod graph;
mod layers;
mod node;
mod patterns;
mod pool;
mod proto;
mod resize;
mod select;
mod shape;
mod tensor;
#[cfg(test)]
mod tests;
mod window;

use crate::ann::ReadAnn;
use graph::{Batch, Initializer, Reader};
use node::{FileNode, MAX_LENGTH};
use prost::Message;
use prost::bytes::Bytes;
use snncc_ids::{Diagnostic, Diagnostics, code};
use std::collections::{BTreeMap, BTreeSet};

/// Reads part of a file that lies beside the model: `(location, offset, length)`, with `length` bytes or a sentence why
/// not. The location is relative, without `..`; that it does not leave the folder by a link is for the caller to check, as
/// is that the file has so many bytes before it makes room for them.
pub type External<'a> = dyn FnMut(&str, u64, u64) -> Result<Vec<u8>, String> + 'a;

/// Operator sets whose changes were followed.
const KNOWN_OPSETS: std::ops::RangeInclusive<i64> = 7..=21;
/// Most nodes, initializers and values of one graph.
const MAX_ITEMS: usize = 1 << 16;

/// Reads an ONNX file; `name` stands in messages. Weights in other files are asked from `external`.
///
/// # Errors
/// `SNN0113` for everything that is damaged or contradicts itself, with `graph/NODE`, `initializer/NAME`, `input/NAME` or
/// `output/NAME` as place.
pub fn read_onnx(name: &str, bytes: &[u8], external: &mut External<'_>) -> Result<ReadAnn, Diagnostics> {
    let damaged =
        |why: String| Diagnostic::error(code::ANN_FILE, format!("`{name}` is not a readable ONNX model: {why}"));
    let model = proto::Model::decode(Bytes::copy_from_slice(bytes)).map_err(|error| {
        damaged(error.to_string())
            .note(format!("the file has {} bytes and should be one message of protobuf", bytes.len()))
    })?;
    let Some(graph) = model.graph else { return Err(damaged("there is no graph in it".into()).into()) };
    let graph = proto::Graph::decode(graph).map_err(|error| damaged(format!("its graph is damaged: {error}")))?;
    let items = [
        (graph.node.len(), "nodes"),
        (graph.initializer.len(), "initializers"),
        (graph.input.len(), "inputs"),
        (graph.output.len(), "outputs"),
        (graph.value_info.len(), "descriptions of values"),
    ];
    if let Some((count, what)) = items.into_iter().find(|(count, _)| *count > MAX_ITEMS) {
        return Err(damaged(format!("it has {count} {what}; at most {MAX_ITEMS} are read")).into());
    }
    let opset = opset(&model.opset_import).map_err(&damaged)?;
    let mut reader = Reader::new(opset, bytes.len(), external);
    if !KNOWN_OPSETS.contains(&opset) {
        let (from, to) = (KNOWN_OPSETS.start(), KNOWN_OPSETS.end());
        reader.warn(
            Diagnostic::warning(
                code::ANN_FILE,
                format!("`{name}` uses operator set {opset}; sets {from} to {to} are known"),
            )
            .help("compare the outputs with the original's, or export the model with operator set 17"),
        );
    }
    let nodes = decode_nodes(&mut reader, &graph.node);
    add_initializers(&mut reader, &graph);
    add_inputs(&mut reader, &graph.input);
    let outputs = add_outputs(&mut reader, &graph, &nodes);
    reader.read_nodes(&nodes);
    let (ann, problems) = reader.finish(&outputs);
    let (ann, warnings) = problems.into_result(ann)?;
    Ok(ReadAnn { ann: ann.expect("bug in snncc: a graph was refused without an error"), warnings })
}

/// The version of ONNX's own operators.
fn opset(imports: &[Bytes]) -> Result<i64, String> {
    let mut version = None;
    for bytes in imports.iter().take(MAX_ITEMS) {
        let set = proto::OperatorSet::decode(bytes.clone())
            .map_err(|error| format!("an operator set is damaged: {error}"))?;
        if set.domain.is_empty() || set.domain == "ai.onnx" {
            version = version.max(Some(set.version));
        }
    }
    match version {
        Some(version) if version > 0 => Ok(version),
        Some(version) => Err(format!("{version} is not the number of an operator set")),
        None => Err("it does not say which operator set it uses".into()),
    }
}

fn decode_nodes(reader: &mut Reader, nodes: &[Bytes]) -> Vec<FileNode> {
    let mut decoded = Vec::new();
    for (index, bytes) in nodes.iter().enumerate() {
        match FileNode::decode(index, bytes) {
            Ok(node) => decoded.push(node),
            Err(why) => reader.error(format!("graph/{index}"), format!("node {index} is damaged: {why}")),
        }
    }
    for input in decoded.iter().flat_map(|node| &node.inputs).filter(|input| !input.is_empty()) {
        *reader.uses.entry(input.clone()).or_default() += 1;
    }
    decoded
}

/// Keeps initializers for later, after comparing their shapes with what is stored.
fn add_initializers(reader: &mut Reader, graph: &proto::Graph) {
    for (index, bytes) in graph.initializer.iter().enumerate() {
        let tensor = match tensor::decode(bytes) {
            Ok(tensor) => tensor,
            Err(_) => {
                reader.error(format!("initializer/{index}"), format!("initializer {index} is damaged"));
                continue;
            }
        };
        let name = tensor.name.clone();
        if tensor.data_type == tensor::element::DOUBLE && reader.uses.contains_key(&name) {
            let message = format!("the values of `{name}` have 64 bits; they are rounded to 32");
            reader.warn(Diagnostic::warning(code::ANN_FILE, message).at(format!("initializer/{name}")));
        }
        let kept = match tensor::check(&tensor) {
            Err(node::Trouble::Broken(message)) => {
                reader.error(format!("initializer/{name}"), format!("`{name}`: {message}"));
                Initializer::Told
            }
            // A type that is not read matters where the value is used.
            _ => Initializer::Stored(Box::new(tensor)),
        };
        if reader.initializers.insert(name.clone(), kept).is_some() {
            reader.error(format!("initializer/{name}"), format!("there are two initializers `{name}`"));
        }
    }
    for (index, bytes) in graph.sparse_initializer.iter().enumerate().take(MAX_ITEMS) {
        // Its name is that of its values, the first field.
        let name = proto::SparseTensor::decode(bytes.clone())
            .ok()
            .and_then(|sparse| sparse.values)
            .map_or_else(|| index.to_string(), |values| values.name);
        reader.problems.push(
            Diagnostic::error(code::ANN_FILE, format!("`{name}` is a sparse tensor, which snncc does not read"))
                .at(format!("initializer/{name}"))
                .help("export the model with dense weights"),
        );
        reader.initializers.insert(name, Initializer::Told);
    }
}

/// Lengths of dimensions; `None` for those left open.
type OpenShape = Vec<Option<usize>>;

/// Element type and shape that a description of a value states; `None` for sizes left open.
fn stated(info: &proto::ValueInfo) -> Result<Option<(i32, Option<OpenShape>)>, String> {
    let Some(bytes) = &info.value_type else { return Ok(None) };
    let value_type =
        proto::ValueType::decode(bytes.clone()).map_err(|error| format!("its type is damaged: {error}"))?;
    let Some(tensor) = value_type.tensor_type else { return Ok(None) };
    let length = |dim: &proto::Dimension| {
        dim.dim_value.and_then(|value| usize::try_from(value).ok()).filter(|length| (1..=MAX_LENGTH).contains(length))
    };
    Ok(Some((tensor.elem_type, tensor.shape.map(|shape| shape.dim.iter().map(length).collect()))))
}

/// Inputs of the network: those of the graph that are not initializers (which files of IR version 3 list among them).
fn add_inputs(reader: &mut Reader, inputs: &[Bytes]) {
    let mut names = BTreeSet::new();
    for (index, bytes) in inputs.iter().enumerate() {
        let Ok(info) = proto::ValueInfo::decode(bytes.clone()) else {
            reader.error(format!("input/{index}"), format!("input {index} is damaged"));
            continue;
        };
        let name = info.name.clone();
        if reader.initializers.contains_key(&name) {
            continue;
        }
        if !names.insert(name.clone()) {
            reader.error(format!("input/{name}"), format!("there are two inputs `{name}`"));
            continue;
        }
        match input_shape(&info) {
            Ok((shape, batch)) => reader.add_input(&name, shape, batch),
            Err(mut problem) => {
                problem.item = Some(format!("input/{name}"));
                reader.problems.push(problem);
                reader.add_told(&name);
            }
        }
    }
}

/// Shape without batch.
fn input_shape(info: &proto::ValueInfo) -> Result<(Vec<usize>, Batch), Diagnostic> {
    let name = &info.name;
    let problem = |why: String| Diagnostic::error(code::ANN_FILE, format!("the input `{name}` {why}"));
    let Some((element, shape)) = stated(info).map_err(|why| problem(format!("is damaged: {why}")))? else {
        return Err(problem("is not a tensor".into()));
    };
    if element == tensor::element::STRING {
        return Err(problem("has texts as elements, not numbers".into()));
    }
    let Some(shape) = shape else {
        return Err(problem("has no shape".into()).help("state the shape when exporting the model"));
    };
    let batch = match shape[..] {
        [] | [Some(_)] => return Ok((shape.into_iter().flatten().collect(), Batch::None)),
        [None, ..] => Batch::Any,
        [Some(size), ..] => Batch::Fixed(size),
    };
    let sizes: Option<Vec<usize>> = shape[1..].iter().copied().collect();
    match sizes {
        Some(sizes) if snncc_ir::ann::element_count(&sizes).is_some() => Ok((sizes, batch)),
        Some(sizes) => Err(problem(format!("has the shape {sizes:?}, which is too large"))),
        None => {
            let text: Vec<String> = shape.iter().map(|n| n.map_or("?".to_owned(), |n| n.to_string())).collect();
            Err(problem(format!("has the shape [{}]; only the first size may be left open", text.join(", "))).help(
                "fix the sizes: python -m onnxruntime.tools.make_dynamic_shape_fixed --input_name NAME --input_shape SHAPE",
            ))
        }
    }
}

/// Notes the shapes that the file states, and gives the names of the outputs.
fn add_outputs(reader: &mut Reader, graph: &proto::Graph, nodes: &[FileNode]) -> Vec<String> {
    let made: BTreeSet<&str> = nodes.iter().flat_map(|node| &node.outputs).map(String::as_str).collect();
    let mut declared = BTreeMap::new();
    for bytes in graph.value_info.iter().chain(&graph.output) {
        // A description that is damaged is no loss.
        let Ok(info) = proto::ValueInfo::decode(bytes.clone()) else { continue };
        if let (true, Ok(Some((_, Some(shape))))) = (made.contains(info.name.as_str()), stated(&info)) {
            declared.insert(info.name, shape);
        }
    }
    reader.declared = declared;
    let mut names = Vec::new();
    for (index, bytes) in graph.output.iter().enumerate() {
        match proto::ValueInfo::decode(bytes.clone()) {
            Ok(info) => names.push(info.name),
            Err(_) => reader.error(format!("output/{index}"), format!("output {index} is damaged")),
        }
    }
    if graph.output.is_empty() {
        reader.error("graph", "the graph has no outputs");
    }
    for name in &names {
        *reader.uses.entry(name.clone()).or_default() += 1;
    }
    names
}
