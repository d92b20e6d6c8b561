//! Reads models that Keras 2 and 3 wrote, and damaged ones.

use snncc_formats::keras::read_keras;
use snncc_formats::tensor_files::{AnyTensor, TensorData, npz_names, read_npz};
use snncc_ids::{Diagnostics, code};
use snncc_ir::ann::{Activation, Ann, AnnOp, SoftLif, SourceFate};
use std::io::Write;

/// Made by `make_keras_vectors.py`, which describes it.
const VECTORS: &[u8] = include_bytes!("data/keras_vectors.npz");

fn array(name: &str) -> Option<AnyTensor> {
    read_npz(VECTORS, name, 1 << 20).ok()
}

fn model(name: &str) -> Vec<u8> {
    match array(&format!("{name}/model")).unwrap().data {
        TensorData::U8(bytes) => bytes,
        other => panic!("{}", other.type_name()),
    }
}

fn read(name: &str) -> Ann {
    read_keras(name, &model(name)).unwrap_or_else(|problems| panic!("{name}: {problems}")).ann
}

fn node_named<'a>(ann: &'a Ann, name: &str) -> &'a AnnOp {
    let node = ann.nodes().iter().find(|node| node.name == name);
    &node.unwrap_or_else(|| panic!("no node {name}")).op
}

/// The shape of the Ann's value that a value of Keras with batch, and the axes beside it, ask for.
fn expected_shape(name: &str, kind: &str, number: usize) -> Option<Vec<usize>> {
    let suffix = if number == 0 { String::new() } else { format!("_{number}") };
    let shape = array(&format!("{name}/{kind}{suffix}"))?.shape;
    let axes = array(&format!("{name}/{kind}_axes{suffix}")).unwrap().to_i64().unwrap().data;
    Some(axes.into_iter().map(|axis| shape[axis as usize + 1]).collect())
}

#[test]
fn every_vector_reads_with_the_shapes_of_keras() {
    let names = npz_names(VECTORS).unwrap();
    let names: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix("/model")).collect();
    assert!(names.len() >= 30, "{names:?}");
    for name in names {
        let ann = read(name);
        let inputs: Vec<Vec<usize>> = ann.inputs().map(|id| ann.nodes()[id].shape.clone()).collect();
        let expected: Vec<_> = (0..).map_while(|number| expected_shape(name, "input", number)).collect();
        assert_eq!(inputs, expected, "inputs of {name}");
        let outputs: Vec<Vec<usize>> = ann.outputs.iter().map(|(_, id)| ann.nodes()[*id].shape.clone()).collect();
        let expected: Vec<_> = (0..).map_while(|number| expected_shape(name, "output", number)).collect();
        assert_eq!(outputs, expected, "outputs of {name}");
        for node in ann.nodes().iter() {
            assert!(!matches!(node.op, AnnOp::Unsupported { .. }), "{name}: {node:?}");
        }
        let untold = ann
            .sources
            .iter()
            .find(|source| matches!(&source.fate, SourceFate::Folded(how) if how.contains("nothing that leads")));
        assert!(untold.is_none(), "{name}: {untold:?}");
    }
}

/// The same model in both formats, and by both generations, gives the same nodes.
#[test]
fn formats_and_generations_agree() {
    for (one, other) in [
        ("k3_mlp", "k3_mlp_h5"),
        ("k2_mlp", "k2_mlp_h5"),
        ("k3_cnn", "k3_cnn_h5"),
        ("k2_cnn", "k2_cnn_h5"),
        ("k3_nested", "k3_nested_h5"),
        ("k2_nested", "k2_nested_h5"),
        ("k2_nested", "k3_nested"),
        ("k2_preprocessing", "k2_preprocessing_h5"),
    ] {
        let (one_ann, other_ann) = (read(one), read(other));
        let ops = |ann: &Ann| ann.nodes().iter().map(|node| format!("{:?}", node.op)).collect::<Vec<_>>();
        assert_eq!(ops(&one_ann), ops(&other_ann), "{one} and {other}");
    }
}

/// A Flatten keeps the order of the network, and the columns of the Dense behind it follow; nothing is moved.
#[test]
fn dense_behind_flatten_needs_no_transpose() {
    let ann = read("k3_mlp");
    let names: Vec<&str> = ann.nodes().iter().map(|node| node.name.as_str()).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| !name.starts_with("input")).collect();
    assert_eq!(names, ["flatten", "dense", "dense/activation", "dropout", "dense_1", "dense_1/activation"]);
    assert!(matches!(node_named(&ann, "flatten"), AnnOp::Reshape));
    assert!(matches!(node_named(&ann, "dropout"), AnnOp::Identity));
    assert!(matches!(node_named(&ann, "dense/activation"), AnnOp::Activation(Activation::Relu)));
    assert!(matches!(node_named(&ann, "dense_1/activation"), AnnOp::Softmax { axis: 0, log: false }));
    let sources: Vec<(&str, bool)> =
        ann.sources.iter().map(|source| (source.kind.as_str(), matches!(source.fate, SourceFate::Node(_)))).collect();
    let kinds = ["InputLayer", "Flatten", "Dense", "Dropout", "Dense"];
    assert_eq!(sources, kinds.map(|kind| (kind, true)));
}

#[test]
fn padding_and_batch_norm_are_keras_own() {
    let ann = read("k2_cnn");
    let AnnOp::Convolution(convolution) = node_named(&ann, "conv2d") else { panic!() };
    // 11 × 10 by 3 × 3 in steps of 2: 6 × 5 outputs need 13 × 11.
    assert_eq!(convolution.padding, [(1, 1), (0, 1)]);
    assert!(convolution.bias.is_none());
    assert_eq!(convolution.weight.shape, [6, 3, 3, 3]);
    let AnnOp::BatchNorm(norm) = node_named(&ann, "batch_normalization") else { panic!() };
    assert_eq!(norm.epsilon, 1e-3);
    let AnnOp::BatchNorm(norm) = node_named(&ann, "batch_normalization_1") else { panic!() };
    assert_eq!((norm.epsilon, norm.gamma.filled_with()), (1e-4, Some(1.0)));
    let AnnOp::Convolution(depthwise) = node_named(&ann, "depthwise_conv2d") else { panic!() };
    assert_eq!((&depthwise.weight.shape[..], depthwise.groups), (&[12, 1, 3, 2][..], 6));
    let hard_sigmoid = |ann: &Ann| format!("{:?}", node_named(ann, "conv2d_1/activation"));
    assert_eq!(hard_sigmoid(&ann), "Activation(HardSigmoid { alpha: 0.2, beta: 0.5 })");
    assert_eq!(hard_sigmoid(&read("k3_cnn")), "Activation(HardSigmoid { alpha: 0.16666667, beta: 0.5 })");
}

#[test]
fn augmentation_is_told() {
    let read = read_keras("m.keras", &model("k3_preprocessing")).unwrap();
    let items: Vec<_> = read.warnings.iter().filter_map(|warning| warning.item.clone()).collect();
    assert_eq!(items, ["layers/random_flip", "layers/random_rotation"]);
}

/// A `.keras` archive of this description with the weights of a vector.
fn archive(config: &str, weights_of: &str) -> Vec<u8> {
    let weights = {
        let bytes = model(weights_of);
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let mut weights = Vec::new();
        std::io::Read::read_to_end(&mut archive.by_name("model.weights.h5").unwrap(), &mut weights).unwrap();
        weights
    };
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    let metadata: &[u8] = br#"{"keras_version": "3.0.0"}"#;
    for (name, contents) in
        [("config.json", config.as_bytes()), ("metadata.json", metadata), ("model.weights.h5", &weights)]
    {
        writer.start_file(name, options).unwrap();
        writer.write_all(contents).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn sequential(layers: &str) -> String {
    let input = r#"{"class_name": "InputLayer", "config": {"batch_shape": [null, 6, 5, 2], "name": "in"}}"#;
    format!(r#"{{"class_name": "Sequential", "config": {{"name": "m", "layers": [{input}, {layers}]}}}}"#)
}

fn problems(config: &str) -> Diagnostics {
    read_keras("m.keras", &archive(config, "k3_mlp")).unwrap_err()
}

const FLATTEN: &str = r#"{"class_name": "Flatten", "config": {"name": "flat"}}"#;

/// What isn't executed stays in the network, with the reason; what follows from its unknown shape is no error.
#[test]
fn unsupported_layers_stay() {
    let layers = format!(
        r#"{{"class_name": "Lambda", "config": {{"name": "odd"}}}}, {FLATTEN},
        {{"class_name": "Dense", "config": {{"name": "one", "units": 7, "activation": "exponential"}}}},
        {{"class_name": "LSTM", "config": {{"name": "two", "units": 3}}}},
        {{"class_name": "Dense", "registered_name": "Mine>Dense", "config": {{"name": "three", "units": 4}}}}"#
    );
    let ann = read_keras("m.keras", &archive(&sequential(&layers), "k3_mlp")).unwrap().ann;
    let reasons: Vec<(&str, &str)> = ann
        .nodes()
        .iter()
        .filter_map(|node| match &node.op {
            AnnOp::Unsupported { reason } => Some((node.name.as_str(), reason.as_str())),
            _ => None,
        })
        .collect();
    let names: Vec<&str> = reasons.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["odd", "one/activation", "two", "three"]);
    assert!(reasons[0].1.contains("Python code") && reasons[1].1.contains("exponential"), "{reasons:?}");
    assert!(reasons[3].1.contains("its author's own"), "{reasons:?}");
    assert_eq!(ann.sources.len(), 6);
}

/// Keras has no leaky integrate-and-fire neurons; classes that are called so are read where their times are in the file.
#[test]
fn rates_of_leaky_neurons_are_read() {
    let layers = format!(
        r#"{{"class_name": "SoftLIF", "registered_name": "Mine>SoftLIF",
             "config": {{"name": "own", "tau_rc": 0.02, "tau_ref": 0.002, "gamma": 0.02}}}}, {FLATTEN},
        {{"class_name": "SoftLIF", "registered_name": "Mine>SoftLIF", "config": {{"name": "bare"}}}}"#
    );
    let ann = read_keras("m.keras", &archive(&sequential(&layers), "k3_mlp")).unwrap().ann;
    let op = |name: &str| &ann.nodes().iter().find(|node| node.name == name).unwrap().op;
    let soft = SoftLif { tau_rc_s: 0.02, tau_ref_s: 0.002, gamma: 0.02, amplitude: 1.0 };
    assert!(matches!(op("own"), AnnOp::Activation(Activation::SoftLif(found)) if *found == soft));
    assert!(matches!(op("bare"), AnnOp::Unsupported { reason } if reason.contains("--swap-activation")));
}

#[test]
fn contradictions_are_told_with_numbers_and_places() {
    let dense = r#"{"class_name": "Dense", "config": {"name": "one", "units": 7}}"#;
    let no_bias = r#"{"class_name": "Dense", "config": {"name": "two", "units": 4, "use_bias": false}}"#;
    let found = problems(&sequential(&format!("{dense}, {no_bias}")));
    let told: Vec<String> = found.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "error[SNN0113]: its kernel of shape [60, 7] needs 60 values, its input is of shape [6, 5, 2] \
             (at layers/one)",
            "error[SNN0113]: a Dense with these settings has 1 variables (kernel), the file holds 2 (at layers/two)",
        ]
    );
    let reshape = r#"{"class_name": "Reshape", "config": {"name": "r", "target_shape": [7, -1]}}"#;
    let told = problems(&sequential(reshape)).to_string();
    assert!(told.contains("values of shape [6, 5, 2] cannot take the shape [7.0, -1.0]"), "{told}");
    let open = sequential(FLATTEN).replace("[null, 6, 5, 2]", "[null, null, null, 3]");
    assert!(problems(&open).to_string().contains("no fixed shape"));
    let other = r#"{"class_name": "Mine", "config": {}}"#;
    assert!(problems(other).to_string().contains("class `Mine`"));
    assert!(problems("{").to_string().contains("not JSON"));
    let endless = "[".repeat(100_000);
    assert!(problems(&endless).to_string().contains("not JSON"));
}

#[test]
fn graphs_are_checked() {
    let functional = |inbound: &str, output: &str| {
        format!(
            r#"{{"class_name": "Functional", "config": {{"name": "m", "layers": [
            {{"class_name": "InputLayer", "name": "in", "config": {{"batch_shape": [null, 4], "name": "in"}},
              "inbound_nodes": []}},
            {{"class_name": "Add", "name": "sum", "config": {{"name": "sum"}}, "inbound_nodes": [[{inbound}]]}}],
            "input_layers": [["in", 0, 0]], "output_layers": [["{output}", 0, 0]]}}}}"#
        )
    };
    let read = |inbound: &str, output: &str| {
        read_keras("m.keras", &archive(&functional(inbound, output), "k3_mlp")).map_err(|found| found.to_string())
    };
    assert!(read(r#"["in", 0, 0, {}], ["in", 0, 0, {}]"#, "sum").is_ok());
    let told = |inbound: &str, output: &str| read(inbound, output).unwrap_err();
    assert!(told(r#"["on", 0, 0, {}]"#, "sum").contains("did it mean `in`?"));
    assert!(told(r#"["in", 1, 0, {}]"#, "sum").contains("reads call 1 of `in`"));
    assert!(told(r#"["in", 0, 1, {}]"#, "sum").contains("no output 1"));
    assert!(told(r#"["sum", 0, 0, {}], ["in", 0, 0, {}]"#, "sum").contains("depends on itself"));
    assert!(told(r#"["in", 0, 0, {}]"#, "some").contains("`some`"));
}

/// Models in models that double the work at each level end, with an error.
#[test]
fn models_that_multiply_are_stopped() {
    let mut inner = r#"{"class_name": "Activation", "name": "x", "config": {"name": "x", "activation": "linear"}, "#
        .to_owned()
        + r#""inbound_nodes": [[["in", 0, 0, {}]], [["x", 0, 0, {}]]]}"#;
    let functional = |inner: &str| {
        format!(
            r#""class_name": "Functional", "config": {{"name": "x", "layers": [
            {{"class_name": "InputLayer", "name": "in", "config": {{"batch_shape": [null, 4]}}, "inbound_nodes": []}},
            {inner}], "input_layers": [["in", 0, 0]], "output_layers": [["x", 2, 0]]}}"#
        )
    };
    inner = format!("{{{}, ", functional(&inner).replace("[\"x\", 2, 0]", "[\"x\", 1, 0]"));
    for _ in 0..20 {
        let nested = format!(r#"{inner} "name": "x", "inbound_nodes": [[["in", 0, 0, {{}}]], [["x", 1, 0, {{}}]]]}}"#);
        inner = format!("{{{}, ", functional(&nested));
    }
    let outermost = inner.trim_end_matches(", ").to_owned() + "}";
    let told = problems(&outermost).to_string();
    assert!(told.contains("more than 65536 layers"), "{told}");
}

#[test]
fn files_of_other_kinds_are_told() {
    let told = |bytes: &[u8]| {
        let found = read_keras("m.h5", bytes).unwrap_err();
        assert!(found.0.iter().all(|problem| problem.code == code::ANN_FILE));
        found.to_string()
    };
    assert!(told(b"").contains("no Keras model"));
    assert!(told(b"hello, world").contains("68 65 6c 6c"));
    assert!(told(VECTORS).contains("no `config.json`"));
    assert!(told(include_bytes!("data/nested.nir")).contains("describes no Keras model"));
}

/// Members that claim, or expand to, more than the limits are refused before they take memory.
#[test]
fn zip_bombs_are_refused() {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    writer.start_file("config.json", options).unwrap();
    writer.write_all(b"{}").unwrap();
    writer.start_file("model.weights.h5", options).unwrap();
    let zeros = vec![0_u8; 1 << 20];
    (0..80).for_each(|_| writer.write_all(&zeros).unwrap());
    let bytes = writer.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 20);
    let told = read_keras("m.keras", &bytes).unwrap_err().to_string();
    assert!(told.contains("claims 83886080 bytes"), "{told}");
}

/// Truncated and damaged files end in diagnostics or a network, never in a panic that gets out.
#[test]
fn damaged_files_do_no_harm() {
    for name in ["k3_mlp", "k2_mlp_h5", "k3_nested_h5"] {
        let bytes = model(name);
        for length in (0..bytes.len()).step_by(bytes.len() / 60) {
            let _ = read_keras(name, &bytes[..length]);
        }
        for position in (0..bytes.len()).step_by(bytes.len() / 400 + 1) {
            for mask in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[position] ^= mask;
                if let Err(found) = read_keras(name, &damaged) {
                    assert!(!found.0.is_empty());
                }
            }
        }
    }
}
