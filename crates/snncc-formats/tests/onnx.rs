//! The ONNX reader on small models made by `tests/make_onnx_vectors.py`, and on damaged copies of them.

use snncc_formats::ann::ReadAnn;
use snncc_formats::onnx::read_onnx;
use snncc_formats::tensor_files::{TensorData, npz_names, read_npz};
use snncc_ids::Diagnostics;
use snncc_ir::ann::{Activation, AnnOp, SourceFate};
use std::collections::BTreeMap;
use std::path::Path;

/// A model with the shapes of its inputs and outputs, batch first.
struct Case {
    name: String,
    model: Vec<u8>,
    inputs: Vec<Vec<usize>>,
    outputs: Vec<Vec<usize>>,
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/onnx_vectors.npz");
    let file = std::fs::read(path).unwrap();
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for key in npz_names(&file).unwrap() {
        let array = read_npz(&file, &key, u64::MAX).unwrap();
        let (name, part) = key.split_once('/').unwrap();
        let case = cases.entry(name.to_owned()).or_insert_with(|| Case {
            name: name.to_owned(),
            model: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        });
        match (part.split('.').next().unwrap(), array.data) {
            ("model", TensorData::U8(bytes)) => case.model = bytes,
            ("input", _) => case.inputs.push(array.shape),
            _ => case.outputs.push(array.shape),
        }
    }
    cases.into_values().collect()
}

fn read(model: &[u8]) -> Result<ReadAnn, Diagnostics> {
    read_onnx("model.onnx", model, &mut |_, _, _| Err("there is no such file".into()))
}

fn named(name: &str) -> ReadAnn {
    read(&cases().into_iter().find(|case| case.name == name).unwrap().model).unwrap()
}

#[test]
fn every_model_reads_with_the_shapes_of_onnxruntime() {
    let cases = cases();
    assert!(cases.len() > 150, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let read = match read(&case.model) {
            Ok(read) => read,
            Err(problems) => {
                wrong.push(format!("{}: {problems}", case.name));
                continue;
            }
        };
        let ann = &read.ann;
        for node in ann.nodes().iter() {
            if let AnnOp::Unsupported { reason } = &node.op {
                wrong.push(format!("{}: {} is not supported: {reason}", case.name, node.name));
            }
        }
        let shapes: Vec<&[usize]> = ann.outputs.iter().map(|(_, id)| &ann.nodes()[*id].shape[..]).collect();
        let expected: Vec<&[usize]> = case.outputs.iter().map(|shape| &shape[1..]).collect();
        let inputs: Vec<&[usize]> = ann.inputs().map(|id| &ann.nodes()[id].shape[..]).collect();
        let expected_inputs: Vec<&[usize]> = case.inputs.iter().map(|shape| &shape[1..]).collect();
        if shapes != expected || inputs != expected_inputs {
            wrong.push(format!("{}: {inputs:?} to {shapes:?}, not {expected_inputs:?} to {expected:?}", case.name));
        }
        if !read.warnings.is_empty() {
            wrong.push(format!("{}: {:?}", case.name, read.warnings));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The operators of a network, without its inputs.
fn operators(read: &ReadAnn) -> Vec<&AnnOp> {
    read.ann.nodes().iter().map(|node| &node.op).filter(|op| !matches!(op, AnnOp::Input)).collect()
}

#[test]
fn layers_in_several_nodes_become_one() {
    let expected = [
        ("silu", Activation::Silu),
        ("silu_reversed", Activation::Silu),
        ("hard_swish_pattern", Activation::HardSwish),
        ("hard_swish_clip", Activation::HardSwish),
        ("gelu_erf_torch", Activation::Gelu { tanh: false }),
        ("gelu_erf_half_first", Activation::Gelu { tanh: false }),
        ("clip_opset7", Activation::Clip { min: 0.0, max: 6.0 }),
    ];
    for (name, activation) in expected {
        let read = named(name);
        match operators(&read)[..] {
            [AnnOp::Activation(found)] => assert_eq!(*found, activation, "{name}"),
            ref other => panic!("{name}: {other:?}"),
        }
    }
    for name in ["matmul_add", "matmul_add_left"] {
        let read = named(name);
        assert!(matches!(operators(&read)[..], [AnnOp::Linear(linear)] if linear.bias.is_some()), "{name}");
        let fates: Vec<&SourceFate> = read.ann.sources.iter().map(|source| &source.fate).collect();
        let linear = read.ann.outputs[0].1;
        assert_eq!(fates, [&SourceFate::Node(linear), &SourceFate::Folded("bias of `MatMul_0`".into())]);
    }
    // A product that others read keeps its value.
    assert_eq!(operators(&named("matmul_shared_value")).len(), 3);
}

#[test]
fn sources_list_every_node_of_the_file() {
    let read = named("normalized_input");
    let listed: Vec<(&str, &SourceFate)> = read.ann.sources.iter().map(|s| (s.kind.as_str(), &s.fate)).collect();
    assert_eq!(listed[0], ("Constant", &SourceFate::Folded("shift of `Sub_2`".into())));
    assert_eq!(listed[1], ("Constant", &SourceFate::Folded("scale of `Div_3`".into())));
    assert_eq!(
        listed.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        ["Constant", "Constant", "Sub", "Div", "Conv"]
    );
    let read = named("gelu_erf_torch");
    assert_eq!(read.ann.sources[1].fate, SourceFate::Folded("part of GELU `Mul_4`".into()));
    let read = named("constant_of_shape");
    assert_eq!(read.ann.sources[0].fate, SourceFate::Folded("weight of `Conv_1`".into()));
    assert!(matches!(operators(&read)[..], [AnnOp::Convolution(c)] if c.weight.filled_with() == Some(0.25)));
}

/// Damaged files give diagnostics, at any place of the damage.
#[test]
fn damaged_files_never_panic() {
    let mut refused = 0_usize;
    for (number, case) in cases().iter().enumerate() {
        let model = &case.model;
        for cut in (0..model.len()).step_by(2 + number % 7) {
            refused += usize::from(read(&model[..cut]).is_err());
        }
        let mut damaged = model.clone();
        for place in (number % 9..model.len()).step_by(9) {
            for change in [0x01, 0x80, 0x08 << (place % 4)] {
                damaged[place] ^= change;
                refused += usize::from(read(&damaged).is_err());
                damaged[place] ^= change;
            }
        }
        // Two places at once reach further than one.
        for place in (0..model.len().saturating_sub(40)).step_by(13) {
            damaged[place] = damaged[place].wrapping_add(3);
            damaged[place + 37] ^= 0x7f;
            refused += usize::from(read(&damaged).is_err());
            damaged.copy_from_slice(model);
        }
    }
    assert!(refused > 3_000, "{refused}");
}

/// Groups are the wire type that nests without stating a length.
#[test]
fn nesting_without_end_is_refused() {
    assert!(read(&[0x5b].repeat(1 << 20)).is_err());
    assert!(read(&[[0x3a, 0xff, 0xff, 0x03].as_slice(), &[0x5b].repeat(0xffff)].concat()).is_err());
}

/// Models of the ONNX repository whose weights are filled by operators, and networks trained by others.
#[test]
fn models_of_others_read_whole() {
    let Some(folder) = std::env::var_os("SNNCC_SHARED_DATA").map(std::path::PathBuf::from) else {
        eprintln!("skipped: SNNCC_SHARED_DATA does not name a folder with onnx/*.onnx");
        return;
    };
    let mut count = 0;
    for entry in std::fs::read_dir(folder.join("onnx")).unwrap() {
        let path = entry.unwrap().path();
        let read =
            read(&std::fs::read(&path).unwrap()).unwrap_or_else(|problems| panic!("{}: {problems}", path.display()));
        let unknown = |op: &&AnnOp| matches!(op, AnnOp::Unsupported { .. });
        assert_eq!(operators(&read).into_iter().filter(unknown).count(), 0, "{}", path.display());
        assert!(read.warnings.is_empty(), "{:?}", read.warnings);
        count += 1;
    }
    assert!(count > 0);
}
