//! Trained artificial networks from file to output: read, executed, and compared with ONNX Runtime and Keras.
//!
//! The vectors are small models with inputs and outputs (`tests/make_onnx_vectors.py`,
//! `crates/snncc-formats/tests/make_keras_vectors.py`). Whole trained models are read from outside the project:
//! `SNNCC_SHARED_MODELS` names a folder with `*.onnx`, `*.keras` and `*.h5` models of MNIST and the number of images each
//! gets right (`ort_correct` in its `.json`), `SNNCC_SHARED_DATA` one with `mnist/`. Without them those tests say that they
//! are skipped.

use snncc_data::SampleValues;
use snncc_formats::ann::ReadAnn;
use snncc_formats::data_files::{read_labels, read_samples};
use snncc_formats::keras::read_keras;
use snncc_formats::onnx::read_onnx;
use snncc_formats::tensor_files::{AnyTensor, TensorData, npz_names, read_npz};
use snncc_ids::Diagnostics;
use snncc_ir::ann::AnnOp;
use snncc_reference::ann::AnnExecutor;
use snncc_tests::say_skipped;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Largest difference, relative to the largest value of the output (at least 1), at which two results are the same: both
/// add in `f32`, in orders of their own.
const TOLERANCE: f32 = 1e-5;

/// The arrays of one case by their names.
type Case = BTreeMap<String, AnyTensor>;

fn cases(file: &str) -> BTreeMap<String, Case> {
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for name in npz_names(&bytes).unwrap() {
        let (case, part) = name.split_once('/').unwrap();
        let array = read_npz(&bytes, &name, 1 << 24).unwrap();
        cases.entry(case.to_owned()).or_default().insert(part.to_owned(), array);
    }
    cases
}

fn bytes(tensor: &AnyTensor) -> &[u8] {
    match &tensor.data {
        TensorData::U8(values) => values,
        other => panic!("a file is of bytes, not {}", other.type_name()),
    }
}

fn floats(tensor: &AnyTensor) -> &[f32] {
    match &tensor.data {
        TensorData::F32(values) => values,
        other => panic!("values are f32, not {}", other.type_name()),
    }
}

/// The arrays `NAME`, `NAME{separator}1`, … of a case.
fn numbered<'a>(case: &'a Case, name: &str, separator: &str) -> Vec<&'a AnyTensor> {
    let names = (0..).map(|number| if number == 0 { name.to_owned() } else { format!("{name}{separator}{number}") });
    names.map_while(|name| case.get(&name)).collect()
}

fn onnx(name: &str, bytes: &[u8]) -> Result<ReadAnn, Diagnostics> {
    read_onnx(name, bytes, &mut |file, _, _| Err(format!("there is no file `{file}`")))
}

/// Runs a network on inputs `(batch, …)` and says how it differs from the outputs `(batch, …)`, if it does.
fn difference(
    read: Result<ReadAnn, Diagnostics>,
    inputs: &[Vec<f32>],
    batch: usize,
    outputs: &[Vec<f32>],
) -> Result<(), String> {
    let ann = read.map_err(|problems| problems.to_string())?.ann;
    let executor = AnnExecutor::new(&ann).map_err(|problems| problems.to_string())?;
    let lengths: Vec<usize> = inputs.iter().map(|input| input.len() / batch).collect();
    if lengths != executor.input_elements() {
        return Err(format!("inputs of {lengths:?} elements, the network takes {:?}", executor.input_elements()));
    }
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let found = executor.outputs(&inputs, batch);
    if found.iter().map(Vec::len).ne(outputs.iter().map(Vec::len)) {
        let lengths = |values: &[Vec<f32>]| values.iter().map(Vec::len).collect::<Vec<_>>();
        return Err(format!("outputs of {:?} values, not {:?}", lengths(&found), lengths(outputs)));
    }
    for (number, (found, expected)) in found.iter().zip(outputs).enumerate() {
        let largest = expected.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
        let far = |(_, (found, expected)): &(usize, (&f32, &f32))| {
            let within = (*found - *expected).abs() <= TOLERANCE * largest;
            !within
        };
        let wrong: Vec<_> = found.iter().zip(expected).enumerate().filter(far).collect();
        if let Some((index, (found, expected))) = wrong.first() {
            return Err(format!(
                "output {number}: {} of {} values differ; value {index} is {found}, not {expected}",
                wrong.len(),
                outputs[number].len()
            ));
        }
    }
    Ok(())
}

fn assert_none(failures: &[String], cases: usize) {
    assert!(failures.is_empty(), "{} of {cases} cases fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn onnx_models_give_the_outputs_of_onnx_runtime() {
    let cases = cases("data/onnx_vectors.npz");
    let mut failures = Vec::new();
    for (name, case) in &cases {
        let values = |part| numbered(case, part, ".").iter().map(|array| floats(array).to_vec()).collect::<Vec<_>>();
        let batch = case["input"].shape[0];
        let file = format!("{name}.onnx");
        if let Err(why) = difference(onnx(&file, bytes(&case["model"])), &values("input"), batch, &values("output")) {
            failures.push(format!("{name}: {why}"));
        }
    }
    assert!(cases.len() > 100, "{} cases", cases.len());
    assert_none(&failures, cases.len());
}

/// Values `(batch, …)` with the dimensions of every sample in the order `axes`.
fn transposed(values: &AnyTensor, axes: &AnyTensor) -> Vec<f32> {
    let axes: Vec<usize> = axes.to_i64().unwrap().data.iter().map(|axis| *axis as usize).collect();
    let shape = &values.shape[1..];
    let mut strides = vec![1; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d];
    }
    let elements = shape.iter().product::<usize>().max(1);
    let to: Vec<usize> = axes.iter().map(|axis| shape[*axis]).collect();
    let mut places = vec![0];
    for (axis, len) in axes.iter().zip(&to) {
        let along = |place: usize| (0..*len).map(move |index| (place, index));
        places = places.into_iter().flat_map(along).map(|(place, index)| place + index * strides[*axis]).collect();
    }
    floats(values).chunks(elements).flat_map(|sample| places.iter().map(|place| sample[*place])).collect()
}

#[test]
fn keras_models_give_the_outputs_of_keras() {
    let cases = cases("../crates/snncc-formats/tests/data/keras_vectors.npz");
    let mut failures = Vec::new();
    for (name, case) in &cases {
        let values = |part: &str| {
            let (values, axes) = (numbered(case, part, "_"), numbered(case, &format!("{part}_axes"), "_"));
            values.iter().zip(axes).map(|(values, axes)| transposed(values, axes)).collect::<Vec<_>>()
        };
        let batch = case["input"].shape[0];
        let file = if name.ends_with("_h5") { "model.h5" } else { "model.keras" };
        let read = read_keras(file, bytes(&case["model"]));
        if let Err(why) = difference(read, &values("input"), batch, &values("output")) {
            failures.push(format!("{name}: {why}"));
        }
    }
    assert!(cases.len() > 20, "{} cases", cases.len());
    assert_none(&failures, cases.len());
}

/// What lies outside the project: models, and images with their labels.
struct Published {
    models: PathBuf,
    /// `(10,000, 784)` between 0 and 1.
    images: Vec<f32>,
    labels: Vec<u32>,
}

impl Published {
    fn load() -> Option<Self> {
        let folder = |variable| std::env::var_os(variable).map(PathBuf::from);
        let (Some(models), Some(data)) = (folder("SNNCC_SHARED_MODELS"), folder("SNNCC_SHARED_DATA")) else {
            say_skipped("SNNCC_SHARED_MODELS names no folder with models, or SNNCC_SHARED_DATA none with mnist/");
            return None;
        };
        let read = |file: &str| {
            let path = data.join("mnist").join(file);
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let samples = read_samples("images", &read("t10k-images-idx3-ubyte.gz"), None).unwrap();
        let SampleValues::U8 { values, .. } = samples.values else { panic!("images are bytes") };
        let images = values.iter().map(|level| *level as f32 / 255.0).collect();
        let labels = read_labels("labels", &read("t10k-labels-idx1-ubyte.gz")).unwrap();
        Some(Self { models, images, labels })
    }

    fn read(&self, file: &str) -> ReadAnn {
        let bytes = std::fs::read(self.models.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let read = if file.ends_with(".onnx") { onnx(file, &bytes) } else { read_keras(file, &bytes) };
        read.unwrap_or_else(|problems| panic!("{file}: {problems}"))
    }

    /// The first output on all images, `(images, classes)`.
    fn output(&self, file: &str) -> Vec<f32> {
        let executor = AnnExecutor::new(&self.read(file).ann).unwrap_or_else(|problems| panic!("{file}: {problems}"));
        executor.outputs(&[&self.images], self.labels.len()).remove(0)
    }

    fn correct(&self, output: &[f32]) -> usize {
        let classes = output.len() / self.labels.len();
        let best = |values: &[f32]| (0..classes).rev().max_by(|a, b| values[*a].total_cmp(&values[*b]));
        let guesses = output.chunks(classes).map(best);
        guesses.zip(&self.labels).filter(|(guess, label)| *guess == Some(**label as usize)).count()
    }

    /// The names of the models in one format, without the extension.
    fn names(&self, extension: &str) -> BTreeSet<String> {
        let paths = std::fs::read_dir(&self.models).unwrap().map(|entry| entry.unwrap().path());
        let of_format = paths.filter(|path| path.extension().is_some_and(|found| found == extension));
        of_format.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    }
}

#[test]
fn trained_models_are_right_as_often_as_in_onnx_runtime() {
    let Some(published) = Published::load() else { return };
    let names = published.names("onnx");
    let mut failures = Vec::new();
    for name in &names {
        let text = std::fs::read_to_string(published.models.join(format!("{name}.json"))).unwrap();
        let description: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = description["ort_correct"].as_u64().unwrap() as usize;
        let found = published.correct(&published.output(&format!("{name}.onnx")));
        if found != expected {
            failures.push(format!("{name}: {found} of {} images are right, not {expected}", published.labels.len()));
        }
    }
    assert!(names.len() >= 5, "{names:?}");
    assert_none(&failures, names.len());
}

/// `exp(x) / Σ exp(x)` of every row of `classes` values.
fn softmax(values: &[f32], classes: usize) -> Vec<f32> {
    let row = |row: &[f32]| {
        let largest = row.iter().copied().fold(f32::MIN, f32::max);
        let exponents: Vec<f32> = row.iter().map(|value| (value - largest).exp()).collect();
        let sum: f32 = exponents.iter().sum();
        exponents.into_iter().map(move |exponent| exponent / sum)
    };
    values.chunks(classes).flat_map(row).collect()
}

/// The same weights were exported to both; a Keras model may end in a softmax where the ONNX model gives what goes into it.
#[test]
fn keras_files_of_a_model_agree_with_its_onnx_file() {
    let Some(published) = Published::load() else { return };
    let mut compared = 0;
    let mut failures = Vec::new();
    for (extension, name) in
        ["keras", "h5"].iter().flat_map(|e| published.names(e).into_iter().map(move |name| (e, name)))
    {
        let expected = published.output(&format!("{name}.onnx"));
        let file = format!("{name}.{extension}");
        let ann = published.read(&file).ann;
        let found = published.output(&file);
        let ends_in_softmax = matches!(ann.nodes()[ann.outputs[0].1].op, AnnOp::Softmax { .. });
        let expected =
            if ends_in_softmax { softmax(&expected, found.len() / published.labels.len()) } else { expected };
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let largest = expected.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
        if found.len() != expected.len() || worst.is_nan() || worst > TOLERANCE * largest {
            failures.push(format!("{file}: outputs differ by up to {worst}, the largest is {largest}"));
        }
        compared += 1;
    }
    assert!(compared >= 4, "{compared} files");
    assert_none(&failures, compared);
}
