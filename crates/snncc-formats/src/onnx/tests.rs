//! Models written field by field: what the vectors of onnxruntime do not hold.

use super::node::Trouble;
use super::proto::{Attribute, Dimension, Entry, Graph, Model, Node, OperatorSet, Tensor, TensorShape, TensorType};
use super::proto::{ValueInfo, ValueType};
use super::{read_onnx, tensor};
use crate::ann::ReadAnn;
use prost::Message;
use prost::bytes::Bytes;
use snncc_ids::Diagnostics;
use snncc_ir::ann::{AnnOp, SourceFate};

fn bytes<M: Message>(message: &M) -> Bytes {
    message.encode_to_vec().into()
}

/// A value of these sizes; 0 leaves one open.
fn value(name: &str, sizes: &[i64]) -> Bytes {
    let dim = |size: &i64| Dimension { dim_value: (*size != 0).then_some(*size), dim_param: None };
    let shape = TensorShape { dim: sizes.iter().map(dim).collect() };
    let value_type = ValueType { tensor_type: Some(TensorType { elem_type: 1, shape: Some(shape) }) };
    bytes(&ValueInfo { name: name.into(), value_type: Some(bytes(&value_type)) })
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> Tensor {
    Tensor { name: name.into(), dims: dims.into(), data_type: 1, float_data: values.into(), ..Tensor::default() }
}

fn whole(name: &str, values: &[i64]) -> Tensor {
    let dims = vec![values.len() as i64];
    Tensor { name: name.into(), dims, data_type: 7, int64_data: values.into(), ..Tensor::default() }
}

fn node(kind: &str, inputs: &[&str], output: &str, attributes: Vec<Attribute>) -> Node {
    Node {
        op_type: kind.into(),
        name: format!("{kind}_{output}"),
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: output.split(' ').map(str::to_owned).collect(),
        attribute: attributes.iter().map(bytes).collect(),
        ..Node::default()
    }
}

fn int(name: &str, value: i64) -> Attribute {
    Attribute { name: name.into(), i: Some(value), kind: 2, ..Attribute::default() }
}

fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute { name: name.into(), ints: values.into(), kind: 7, ..Attribute::default() }
}

/// The file of a graph with an output `y`.
fn file(opset: i64, inputs: &[Bytes], nodes: Vec<Node>, initializers: Vec<Tensor>) -> Vec<u8> {
    let graph = Graph {
        node: nodes.iter().map(bytes).collect(),
        initializer: initializers.iter().map(bytes).collect(),
        input: inputs.to_vec(),
        output: vec![bytes(&ValueInfo { name: "y".into(), value_type: None })],
        ..Graph::default()
    };
    let set = OperatorSet { domain: String::new(), version: opset };
    let model =
        Model { ir_version: 8, graph: Some(bytes(&graph)), opset_import: vec![bytes(&set)], ..Model::default() };
    model.encode_to_vec()
}

fn read(file: &[u8]) -> Result<ReadAnn, Diagnostics> {
    read_onnx("model.onnx", file, &mut |_, _, _| Err("there is no such file".into()))
}

/// Items and messages of all problems.
fn problems(file: &[u8]) -> Vec<(String, String)> {
    let problems = read(file).expect_err("the file has errors");
    problems.0.into_iter().map(|problem| (problem.item.unwrap_or_default(), problem.message)).collect()
}

/// Names and reasons of what is not supported.
fn unsupported(read: &ReadAnn) -> Vec<(&str, &str)> {
    read.ann
        .nodes()
        .iter()
        .filter_map(|node| match &node.op {
            AnnOp::Unsupported { reason } => Some((node.name.as_str(), reason.as_str())),
            _ => None,
        })
        .collect()
}

#[test]
fn element_types_become_floats() {
    let raw = |kind: i32, bytes: Vec<u8>| Tensor {
        name: "w".into(),
        dims: vec![2, 1],
        data_type: kind,
        raw_data: bytes.into(),
        ..Tensor::default()
    };
    // 1.5 and -2 in every type.
    let stored = [
        raw(1, [1.5_f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
        raw(11, [1.5_f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
        raw(10, [0x3e00_u16, 0xc000].iter().flat_map(|v| v.to_le_bytes()).collect()),
        raw(16, [0x3fc0_u16, 0xc000].iter().flat_map(|v| v.to_le_bytes()).collect()),
        Tensor { int32_data: vec![0x3e00, 0xc000], ..raw(10, vec![]) },
        Tensor { int32_data: vec![0x3fc0, 0xc000], ..raw(16, vec![]) },
        Tensor { double_data: vec![1.5, -2.0], ..raw(11, vec![]) },
        floats("w", &[2, 1], &[1.5, -2.0]),
    ];
    for weight in stored {
        let kind = weight.data_type;
        let file = file(13, &[value("x", &[0, 2])], vec![node("Gemm", &["x", "w"], "y", vec![])], vec![weight]);
        let read = read(&file).unwrap();
        let AnnOp::Linear(linear) = &read.ann.nodes()[read.ann.outputs[0].1].op else { panic!("no Linear") };
        assert_eq!(linear.weight.to_values()[..], [1.5, -2.0], "type {kind}");
        assert_eq!(read.warnings.len(), usize::from(kind == 11));
    }
    // Integers of all widths, cast.
    let stored = [(3, vec![1, 0xfe]), (5, vec![1, 0, 0xfe, 0xff]), (6, vec![1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff])];
    for (kind, bytes) in stored {
        let nodes = vec![node("Cast", &["w"], "f", vec![int("to", 1)]), node("Gemm", &["x", "f"], "y", vec![])];
        let file = file(13, &[value("x", &[0, 2])], nodes, vec![raw(kind, bytes)]);
        let read = read(&file).unwrap();
        let AnnOp::Linear(linear) = &read.ann.nodes()[read.ann.outputs[0].1].op else { panic!("no Linear") };
        assert_eq!(linear.weight.to_values()[..], [1.0, -2.0], "type {kind}");
    }
}

/// A weight `(2, 1)` in another file.
fn outside(entries: &[(&str, &str)], dims: &[i64]) -> Vec<u8> {
    let entry = |(key, value): &(&str, &str)| bytes(&Entry { key: (*key).into(), value: (*value).into() });
    let weight = Tensor {
        name: "w".into(),
        dims: dims.into(),
        data_type: 1,
        data_location: 1,
        external_data: entries.iter().map(entry).collect(),
        ..Tensor::default()
    };
    file(13, &[value("x", &[0, 2])], vec![node("Gemm", &["x", "w"], "y", vec![])], vec![weight])
}

#[test]
fn weights_in_other_files_are_asked_for_by_range() {
    let file = outside(&[("location", "sub/w.bin"), ("offset", "4096"), ("length", "8")], &[2, 1]);
    let mut asked = Vec::new();
    let read = read_onnx("m", &file, &mut |location, offset, length| {
        asked.push((location.to_owned(), offset, length));
        Ok([3.0_f32, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect())
    });
    let read = read.unwrap();
    assert_eq!(asked, [("sub/w.bin".to_owned(), 4096, 8)]);
    let AnnOp::Linear(linear) = &read.ann.nodes()[read.ann.outputs[0].1].op else { panic!("no Linear") };
    assert_eq!(linear.weight.to_values()[..], [3.0, 4.0]);

    for location in ["/etc/passwd", "../w", "a/../../w", "a\\..\\w", "C:\\w", "", "w\0"] {
        let (item, message) = &problems(&outside(&[("location", location)], &[2, 1]))[0];
        assert_eq!(item, "initializer/w");
        assert!(message.contains("not inside the folder"), "{location}: {message}");
    }
    let message = |entries: &[(&str, &str)], dims: &[i64]| problems(&outside(entries, dims))[0].1.clone();
    assert!(message(&[("location", "w")], &[2, 1]).contains("no such file"));
    assert!(message(&[], &[2, 1]).contains("does not name"));
    assert!(message(&[("location", "w"), ("length", "4")], &[2, 1]).contains("needs 8 bytes, its external data has 4"));
    assert!(message(&[("location", "w"), ("offset", "x")], &[2, 1]).contains("not a number"));
    assert!(message(&[("location", "w"), ("offset", "18446744073709551615")], &[2, 1]).contains("beyond any file"));
    assert!(message(&[("location", "w")], &[1 << 20, 1 << 20]).contains("more from other files"));
    assert!(message(&[("location", "w")], &[1 << 31, 1 << 31]).contains("shape"));
    let short = read_onnx("m", &outside(&[("location", "w")], &[2, 1]), &mut |_, _, _| Ok(vec![0; 3]));
    assert!(short.unwrap_err().to_string().contains("gives 3 of the 8 bytes"));
}

#[test]
fn all_problems_are_told_with_their_places() {
    let nodes = vec![
        node("Relu", &["nowhere"], "a", vec![]),
        node("Relu", &["late"], "b", vec![]),
        node("Identity", &["x"], "late", vec![]),
        node("Conv", &["x", "short"], "c", vec![]),
        node("Gemm", &["x", "w"], "d", vec![ints("transB", &[1])]),
        node("Gemm", &["x", "w"], "e", vec![int("transB", 1)]),
        // What reads a wrong value is not wrong itself.
        node("Sum", &["a", "b", "c", "d", "e"], "y", vec![]),
    ];
    let weights = vec![floats("short", &[16, 1, 5, 5], &[0.0; 390]), floats("w", &[4, 3], &[0.0; 12])];
    let found = problems(&file(13, &[value("x", &[0, 4])], nodes, weights));
    let expected = [
        ("initializer/short", "[16, 1, 5, 5] says 400 values, but the file holds 390"),
        ("graph/Relu_a", "nothing makes its input `nowhere`"),
        ("graph/Relu_b", "`late` is made later, by `Identity_late`"),
        ("graph/Gemm_d", "`transB`"),
        ("graph/Gemm_e", "needs 3 values, the input is [4]"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((item, message), (expected_item, part)) in found.iter().zip(expected) {
        assert!(item == expected_item && message.contains(part), "{item}: {message}");
    }

    let sparse = Graph {
        // Its values, field 1, have the name `s`, field 8.
        sparse_initializer: vec![Bytes::from_static(&[0x0a, 3, 0x42, 1, b's'])],
        node: vec![bytes(&node("Gemm", &["x", "s"], "y", vec![]))],
        input: vec![value("x", &[0, 4])],
        ..Graph::default()
    };
    let set = OperatorSet { domain: String::new(), version: 13 };
    let model = Model { graph: Some(bytes(&sparse)), opset_import: vec![bytes(&set)], ..Model::default() };
    let found = problems(&model.encode_to_vec());
    assert_eq!(found.iter().map(|(item, _)| item.as_str()).collect::<Vec<_>>(), ["initializer/s", "graph"]);
    assert!(found[0].1.contains("sparse tensor"));

    let found = problems(&file(13, &[value("x", &[0, 0, 8])], vec![node("Relu", &["x"], "z", vec![])], vec![]));
    assert_eq!(found.iter().map(|(item, _)| item.as_str()).collect::<Vec<_>>(), ["input/x", "output/y"]);
    assert!(problems(b"\x08\x07 no model")[0].1.contains("not a readable ONNX model"));
    assert!(problems(&[])[0].1.contains("no graph"));
    let set = OperatorSet { domain: "ai.onnx.ml".into(), version: 3 };
    let no_set = Model { graph: Some(Bytes::new()), opset_import: vec![bytes(&set)], ..Model::default() };
    assert!(problems(&no_set.encode_to_vec())[0].1.contains("which operator set"));
}

#[test]
fn what_is_not_supported_is_listed_as_a_whole() {
    let graph = Attribute { name: "then_branch".into(), kind: 5, ..Attribute::default() };
    let foreign = Node { domain: "com.microsoft".into(), ..node("FusedConv", &["c"], "d", vec![]) };
    let nodes = vec![
        node("If", &["x"], "a", vec![graph]),
        node("LayerNormalization", &["x"], "b", vec![]),
        node("Mystery", &["b"], "c", vec![]),
        foreign,
        // Its input has an unknown shape, so nothing certain can be said about it.
        node("Gemm", &["d", "w"], "e", vec![]),
        node("Softmax", &["e"], "f", vec![]),
        node("MatMul", &["b", "x"], "g", vec![]),
        node("Concat", &["f", "g", "a"], "y", vec![int("axis", 1)]),
    ];
    let read = read(&file(17, &[value("x", &[0, 4])], nodes, vec![floats("w", &[7, 2], &[0.0; 14])])).unwrap();
    let found = unsupported(&read);
    let expected = [
        ("If_a", "one fixed path"),
        ("LayerNormalization_b", "batch normalization instead"),
        ("Mystery_c", "not known to this version"),
        ("FusedConv_d", "com.microsoft"),
        ("Gemm_e", "shape is unknown"),
        ("MatMul_g", "attention"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((name, reason), (expected_name, part)) in found.iter().zip(expected) {
        assert!(*name == expected_name && reason.contains(part), "{name}: {reason}");
    }
    assert_eq!(read.ann.sources.len(), 8);
    assert!(read.ann.sources.iter().all(|source| matches!(source.fate, SourceFate::Node(_))));
}

#[test]
fn shapes_that_the_file_states_help_behind_unknown_operators() {
    let nodes = [node("Mystery", &["x"], "h", vec![]), node("Gemm", &["h", "w"], "y", vec![])];
    let graph = Graph {
        node: nodes.iter().map(bytes).collect(),
        initializer: vec![bytes(&floats("w", &[3, 2], &[0.0; 6]))],
        input: vec![value("x", &[0, 4])],
        output: vec![value("y", &[0, 5])],
        value_info: vec![value("h", &[0, 3])],
        ..Graph::default()
    };
    let set = OperatorSet { domain: String::new(), version: 30 };
    let model = Model { graph: Some(bytes(&graph)), opset_import: vec![bytes(&set)], ..Model::default() };
    let read = read(&model.encode_to_vec()).unwrap();
    assert_eq!(unsupported(&read).len(), 1);
    assert_eq!(read.ann.nodes()[read.ann.outputs[0].1].shape, [2]);
    let warnings: Vec<&str> = read.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert!(warnings[0].contains("operator set 30"), "{warnings:?}");
    assert!(warnings[1].contains("the file says [N, 5] for this output, its nodes make [N, 2]"), "{warnings:?}");
}

/// The shape of `y`, or why it is not supported.
fn shape_of_y(inputs: &[Bytes], nodes: Vec<Node>, initializers: Vec<Tensor>) -> Result<Vec<usize>, String> {
    let read = read(&file(13, inputs, nodes, initializers)).unwrap();
    match unsupported(&read).first() {
        Some((_, reason)) => Err((*reason).to_owned()),
        None => Ok(read.ann.nodes()[read.ann.outputs[0].1].shape.clone()),
    }
}

#[test]
fn the_batch_stays_in_front() {
    let x = |sizes: &[i64]| [value("x", sizes)];
    let reshape = |sizes: &[i64], target: &[i64]| {
        shape_of_y(&x(sizes), vec![node("Reshape", &["x", "s"], "y", vec![])], vec![whole("s", target)])
    };
    assert_eq!(reshape(&[0, 3, 4], &[-1, 12]).unwrap(), [12]);
    assert_eq!(reshape(&[0, 3, 4], &[1, -1]).unwrap(), [12]);
    assert_eq!(reshape(&[8, 3, 4], &[8, 2, 6]).unwrap(), [2, 6]);
    assert!(reshape(&[0, 3, 4], &[-1, 4]).unwrap_err().contains("does not keep the batch"));
    assert!(reshape(&[8, 3, 4], &[24, 4]).unwrap_err().contains("does not keep the batch"));
    // With one sample the batch may go.
    assert_eq!(reshape(&[1, 3, 4], &[12]).unwrap(), [12]);
    assert_eq!(reshape(&[1, 3, 4], &[-1, 4]).unwrap(), [3, 4]);
    // An input of one dimension has none, until one is added.
    assert_eq!(reshape(&[12], &[1, 3, 4]).unwrap(), [3, 4]);
    assert_eq!(reshape(&[12], &[3, 4]).unwrap(), [3, 4]);

    let one = |kind: &str, attributes: Vec<Attribute>| {
        shape_of_y(&x(&[0, 3, 4]), vec![node(kind, &["x"], "y", attributes)], vec![])
    };
    assert!(one("Flatten", vec![int("axis", 2)]).is_err());
    assert!(one("Transpose", vec![ints("perm", &[1, 0, 2])]).unwrap_err().contains("moves the batch"));
    assert!(one("ReduceMean", vec![ints("axes", &[0])]).unwrap_err().contains("over the batch"));
    assert!(one("Softmax", vec![int("axis", 0)]).unwrap_err().contains("over the batch"));
    assert!(one("Concat", vec![int("axis", 0)]).is_err());
    assert!(one("Split", vec![int("axis", 0)]).unwrap_err().contains("splits the batch"));
    let constant = |shape: &[i64]| {
        let count = shape.iter().product::<i64>() as usize;
        let nodes = vec![node("Add", &["x", "c"], "y", vec![])];
        shape_of_y(&x(&[2, 3, 4]), nodes, vec![floats("c", shape, &vec![1.0; count])])
    };
    assert_eq!(constant(&[1, 3, 1]).unwrap(), [3, 4]);
    assert!(constant(&[2, 3, 4]).unwrap_err().contains("sample to sample"));
    assert!(constant(&[1, 1, 1, 4]).unwrap_err().contains("in front"));
    // The number of samples may be moved about but not computed with.
    let computed = |kind: &str, factor: i64| {
        let nodes = vec![
            node("Shape", &["x"], "s", vec![]),
            node("Gather", &["s", "zero"], "n", vec![]),
            node(kind, &["n", "k"], "m", vec![]),
            node("Concat", &["m", "rest"], "t", vec![int("axis", 0)]),
            node("Reshape", &["x", "t"], "y", vec![]),
        ];
        shape_of_y(&x(&[0, 3, 4]), nodes, vec![whole("zero", &[0]), whole("k", &[factor]), whole("rest", &[-1])])
    };
    assert_eq!(computed("Mul", 1).unwrap(), [12]);
    assert!(computed("Mul", 3).unwrap_err().contains("number of samples"));
}

#[test]
fn training_leftovers_are_refused() {
    let statistics = || ["g", "b", "m", "v"].map(|name| floats(name, &[3], &[1.0; 3])).to_vec();
    let norm = |attributes: Vec<Attribute>, outputs: &str| {
        let nodes = vec![node("BatchNormalization", &["x", "g", "b", "m", "v"], outputs, attributes)];
        shape_of_y(&[value("x", &[0, 3, 2])], nodes, statistics())
    };
    assert_eq!(norm(vec![], "y").unwrap(), [3, 2]);
    assert!(norm(vec![int("training_mode", 1)], "y").unwrap_err().contains("training mode"));
    assert!(norm(vec![], "y mean variance").unwrap_err().contains("training mode"));
    let drop = shape_of_y(&[value("x", &[0, 3])], vec![node("Dropout", &["x"], "y mask", vec![])], vec![]);
    assert_eq!(drop.unwrap(), [3]);
}

#[test]
fn outputs_that_no_layer_gives_are_told_when_used() {
    let nodes = vec![
        node("MaxPool", &["x"], "p indices", vec![ints("kernel_shape", &[2])]),
        node("Add", &["p", "indices"], "y", vec![]),
    ];
    let reason = shape_of_y(&[value("x", &[0, 3, 8])], nodes, vec![]).unwrap_err();
    assert!(reason.contains("`indices` is used"), "{reason}");
}

#[test]
fn values_without_readers_leave_no_layers() {
    let nodes = vec![
        node("Relu", &["x"], "y", vec![]),
        node("Mystery", &["x"], "z", vec![]),
        node("Cast", &["w"], "v", vec![int("to", 1)]),
    ];
    let read = read(&file(13, &[value("x", &[0, 3])], nodes, vec![floats("w", &[1], &[1.0])])).unwrap();
    assert_eq!(read.ann.nodes().len(), 2);
    let fates: Vec<SourceFate> = read.ann.sources.into_iter().skip(1).map(|source| source.fate).collect();
    assert_eq!(fates, [SourceFate::Folded("its value is not used".into()), SourceFate::Folded("constant".into())]);
}

/// Fills take no memory whatever is done to them; everything else is counted.
#[test]
fn small_files_cannot_ask_for_much_memory() {
    let with_nodes =
        |nodes: Vec<Node>, constants: Vec<Tensor>| read(&file(13, &[value("x", &[0, 4])], nodes, constants));
    let fill = |rows: i64| whole("s", &[4, rows]);
    let nodes = || vec![node("ConstantOfShape", &["s"], "w", vec![]), node("Gemm", &["x", "w"], "y", vec![])];
    let read = with_nodes(nodes(), vec![fill(1 << 30)]).unwrap();
    assert_eq!(read.ann.nodes()[read.ann.outputs[0].1].shape, [1 << 30]);

    let seven = bytes(&Tensor { dims: vec![1], data_type: 7, int64_data: vec![7], ..Tensor::default() });
    let integer = Attribute { name: "value".into(), t: Some(seven), kind: 4, ..Attribute::default() };
    let hungry: Vec<(Vec<Node>, Vec<Tensor>)> = vec![
        (vec![node("ConstantOfShape", &["s"], "y", vec![integer])], vec![whole("s", &[1 << 20, 1 << 20])]),
        (vec![node("ConstantOfShape", &["s"], "y", vec![])], vec![whole("s", &[1 << 31, 1 << 31, 1 << 31])]),
        (
            vec![node("Range", &["a", "b", "c"], "y", vec![])],
            vec![whole("a", &[0]), whole("b", &[i64::MAX]), whole("c", &[1])],
        ),
        (vec![node("Expand", &["a", "s"], "y", vec![])], vec![whole("a", &[0]), whole("s", &[1 << 30])]),
        (vec![node("Tile", &["x", "s"], "y", vec![])], vec![whole("s", &[1, 1 << 30])]),
        (vec![node("Tile", &["x", "s"], "y", vec![])], vec![whole("s", &[1, i64::MAX])]),
        (vec![node("Pad", &["x", "s"], "y", vec![])], vec![whole("s", &[0, 1 << 31, 0, 1 << 31])]),
        (
            vec![node("Unsqueeze", &["x", "s"], "u", vec![]), node("Resize", &["u", "", "", "t"], "y", vec![])],
            vec![whole("s", &[1]), whole("t", &[1, 1 << 22, 1 << 22])],
        ),
    ];
    for (nodes, constants) in hungry {
        let kind = nodes.last().unwrap().op_type.clone();
        assert!(with_nodes(nodes, constants).is_err(), "{kind}");
    }
    // A weight of a megabyte that a thousand nodes transpose.
    let many: Vec<Node> = (0..1000).map(|k| node("Transpose", &["w"], &format!("t{k}"), vec![])).collect();
    let megabyte = floats("w", &[512, 512], &vec![0.5; 512 * 512]);
    let error = with_nodes(many, vec![megabyte]).unwrap_err();
    assert!(error.to_string().contains("more than a file of this size may compute"));
}

#[test]
fn tensors_without_a_sane_shape_are_refused() {
    let shaped = |dims: &[i64], kind: i32| Tensor { dims: dims.into(), data_type: kind, ..Tensor::default() };
    assert!(matches!(tensor::check(&shaped(&[-1], 1)), Err(Trouble::Broken(_))));
    assert!(matches!(tensor::check(&shaped(&[i64::MAX, 2], 1)), Err(Trouble::Broken(_))));
    assert!(matches!(tensor::check(&shaped(&[1; 65], 1)), Err(Trouble::Broken(_))));
    assert!(matches!(tensor::check(&shaped(&[2], 1)), Err(Trouble::Broken(_))));
    assert!(matches!(tensor::check(&shaped(&[2], 22)), Err(Trouble::Unsupported(_))));
    assert_eq!(tensor::check(&shaped(&[0, 5], 1)).unwrap(), [0, 5]);
}

/// Constants without elements and lengths beside a 0 reach every operation on constants.
#[test]
fn empty_constants_are_harmless() {
    let empty =
        || Tensor { name: "e".into(), dims: vec![0, 1 << 30, 1 << 30, 1 << 30], data_type: 1, ..Tensor::default() };
    let kinds = [
        "Flatten",
        "Transpose",
        "Squeeze",
        "Relu",
        "Neg",
        "Sqrt",
        "ReduceSum",
        "ReduceMax",
        "Identity",
        "Shape",
        "Size",
    ];
    for kind in kinds {
        let nodes = vec![node(kind, &["e"], "c", vec![]), node("Add", &["x", "c"], "y", vec![])];
        let _ = read(&file(13, &[value("x", &[0, 4])], nodes, vec![empty()]));
    }
    for kind in ["Add", "Mul", "Concat", "Reshape", "Expand", "Tile", "Slice", "Gather", "Equal", "Conv", "MatMul"] {
        for second in ["e", "x", "s"] {
            let attributes = if kind == "Concat" { vec![int("axis", -1)] } else { vec![] };
            let nodes =
                vec![node(kind, &["e", second, "s", "s"], "c", attributes), node("Add", &["x", "c"], "y", vec![])];
            let _ = read(&file(13, &[value("x", &[0, 4])], nodes, vec![empty(), whole("s", &[0, 0, -1, 1])]));
        }
    }
}
