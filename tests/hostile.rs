//! Damaged and hostile input: whatever the bytes, a reader answers with a value or with diagnostics of its stage, never with a
//! panic, and takes no more memory than sound files do. What a reader accepts goes on along the road, which must then answer
//! in the same way.
//!
//! Damage is drawn from the seed of the file's name, so a failure comes back; `SNNCC_ROUNDS` multiplies the rounds.

use peak_alloc::PeakAlloc;
use snncc_chip::{HardwareModel, Target, TargetFile};
use snncc_compile::{Ctx, NoObserver, Options};
use snncc_data::Stimulus;
use snncc_emu::spinnaker::{SpinnakerEmulator, SpinnakerMachine, SpinnakerProgram, SpinnakerRunOptions};
use snncc_emu::{Emulator, Program, RunOptions};
use snncc_formats::data_files::{DataKind, read_labels, read_samples, read_spikes};
use snncc_formats::nir::read_nir;
use snncc_formats::ron_network::{read_network, write_network};
use snncc_formats::tensor_files::{
    AnyTensor, TensorData, npz_names, read_array, read_npz, safetensors_names, write_npy, write_npz,
};
use snncc_ids::{Diagnostics, Severity};
use snncc_image::Image;
use snncc_ir::{Network, shapes};
use snncc_tests::case::{Case, Kind};
use snncc_tests::observed;
use snncc_tests::random::Random;
use snncc_tests::road;
use std::path::{Path, PathBuf};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Most memory that all tests of this file may take together, in megabytes.
const MOST_MEGABYTES: f32 = 1024.0;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the project").to_path_buf()
}

/// Files below a folder of the project whose names end so, with their bytes, but no large ones.
fn files(folder: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder can be listed").path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let bytes = std::fs::read(&path).expect("a file can be read");
                if bytes.len() < 100_000 {
                    found.push((path.to_string_lossy().into_owned(), bytes));
                }
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no `{ending}` below `{folder}`");
    found
}

fn random_of(name: &str) -> Random {
    let name = Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    Random(name.bytes().fold(0x0ddba11, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte))))
}

/// Runs `check` on the file cut short at some lengths and damaged in many ways.
fn damage(name: &str, bytes: &[u8], rounds: usize, mut check: impl FnMut(&[u8])) {
    let more = std::env::var("SNNCC_ROUNDS").ok().and_then(|rounds| rounds.parse::<usize>().ok()).unwrap_or(1);
    let rounds = rounds * more;
    let mut random = random_of(name);
    check(bytes);
    check(&[]);
    for at in 0..rounds {
        let cut = if rounds >= bytes.len() { at % bytes.len() } else { random.below(bytes.len()) };
        check(&bytes[..cut]);
    }
    for _ in 0..rounds {
        let mut damaged = bytes.to_vec();
        for _ in 0..random.from(1, 3) {
            one_damage(&mut random, &mut damaged);
        }
        check(&damaged);
    }
    assert!(MEMORY.peak_usage_as_mb() < MOST_MEGABYTES, "{name}: {} MB", MEMORY.peak_usage_as_mb());
}

fn one_damage(random: &mut Random, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    let len = random.from(1, 12).min(bytes.len() - at);
    match random.below(8) {
        0 | 1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at..at + len].fill(random.pick(&[0, 0xff, 0x7f, 0x80])),
        3 => bytes[at..at + len].iter_mut().for_each(|byte| *byte = random.next() as u8),
        4 => drop(bytes.drain(at..at + len)),
        5 => {
            let copy = bytes[at..at + len].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, copy);
        }
        // Texts are full of numbers: another digit, or a much larger number.
        _ => {
            let digits: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
            let Some(at) = (!digits.is_empty()).then(|| digits[random.below(digits.len())]) else { return };
            let number: &[u8] = random.pick(&[b"0", b"9", b"-1", b"65536", b"4294967296", b"1e308", b"-0.0", b"0.5"]);
            bytes.splice(at..at + 1, number.iter().copied());
        }
    }
}

/// Fails unless problems are errors of the codes given, and say something.
fn documented<T>(result: Result<T, Diagnostics>, codes: &[&str]) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(problems) => {
            assert!(problems.0.iter().any(|problem| problem.severity == Severity::Error), "{problems}");
            for problem in &problems.0 {
                assert!(codes.contains(&problem.code.number()), "{problem}");
                assert!(!problem.message.is_empty());
            }
            None
        }
    }
}

const RON_CODES: &[&str] = &[
    "SNN0101", "SNN0102", "SNN0103", "SNN0104", "SNN0105", "SNN0108", "SNN0201", "SNN0202", "SNN0203", "SNN0208",
    "SNN0403",
];
const NIR_CODES: &[&str] = &["SNN0106", "SNN0201", "SNN0202", "SNN0203", "SNN0208"];
const IMAGE_CODES: &[&str] = &["SNN0108", "SNN0109"];
const CHIP_CODES: &[&str] = &["SNN0110"];
const DATA_CODES: &[&str] = &["SNN0107"];
/// Codes of the compiler's stages.
const COMPILER_CODES: &[&str] = &[
    "SNN0202", "SNN0203", "SNN0204", "SNN0205", "SNN0206", "SNN0207", "SNN0208", "SNN0209", "SNN0401", "SNN0402",
    "SNN0403", "SNN0404", "SNN0601", "SNN0602", "SNN0603", "SNN0604",
];

/// Compiles for a SpiNNaker-like machine, and runs what comes of it.
fn go_on_machine(network: &Network, target: &Target) {
    let options = Options::default();
    let mut ctx = Ctx { target, options: &options, calibration: None, observer: &mut NoObserver };
    let Some(compiled) = documented(snncc_compile::spinnaker::compile(network, &mut ctx), COMPILER_CODES) else {
        return;
    };
    let machine = SpinnakerMachine::of(target);
    let program = SpinnakerProgram::load(&compiled.image, &target.model, &machine, &target.file.costs);
    if let Some(program) = documented(program, IMAGE_CODES) {
        let stimulus = Stimulus::default();
        let stimulus = program.prepare(&stimulus).expect("an empty stimulus fits every program");
        SpinnakerEmulator::new(&program).run(&stimulus, 3, &SpinnakerRunOptions::default());
    }
}

/// Compiles what a reader accepted, if it is still small, and runs it if it compiles.
fn go_on(network: &Network, target: &Target) {
    if target.model.spinnaker().is_some() {
        return go_on_machine(network, target);
    }
    let small = shapes::infer(network).is_ok_and(|shapes| {
        let values: usize = network.nodes.ids().map(|id| shapes.output_len(id)).fold(0, usize::saturating_add);
        values < 20_000
    });
    if small
        && let Some((_, program)) =
            documented(road::program(network, target, &Options::default()), &[COMPILER_CODES, IMAGE_CODES].concat())
    {
        let steps = 3;
        let stimulus = Stimulus::default();
        observed::on_emulator(&program, &stimulus, steps).expect("an empty stimulus fits every program");
    }
}

#[test]
fn damaged_networks_in_ron() {
    let target = snncc_chip::target("tiny-loihi").expect("a built-in target");
    let mut texts = files("examples", ".ron");
    texts.extend(files("tests/suite", ".ron"));
    // Every kind of node, in few values.
    for seed in 0..6 {
        let kind = [Kind::Floats, Kind::Integers][seed as usize % 2];
        let written = write_network(&Case::new(kind, seed).network, "tensors.npz", usize::MAX);
        texts.push((format!("random {seed}"), written.text.into_bytes()));
    }
    let mut accepted = 0;
    for (name, bytes) in texts {
        let folder = Path::new(&name).parent().unwrap_or(Path::new("")).to_path_buf();
        damage(&name, &bytes, 25, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let mut beside = |name: &str| match name.contains("..") || name.starts_with('/') {
                true => Err("it lies elsewhere".to_string()),
                false => std::fs::read(folder.join(name)).map_err(|error| error.to_string()),
            };
            let result = read_network(&text, &mut beside);
            if let Err(problems) = &result {
                let spans = problems.0.iter().filter_map(|problem| problem.span);
                for span in spans {
                    let inside = span.start <= span.end && text.get(span.start..span.end).is_some();
                    assert!(inside, "{span:?} in a text of {} bytes: {problems}", text.len());
                }
            }
            if let Some(parsed) = documented(result, RON_CODES) {
                accepted += 1;
                let written = write_network(&parsed.network, "tensors.npz", usize::MAX);
                let again = read_network(&written.text, &mut |_| Err("no file".into()));
                let again = again.unwrap_or_else(|problems| panic!("what was read cannot be written: {problems}"));
                assert_eq!(write_network(&again.network, "tensors.npz", usize::MAX), written);
                go_on(&parsed.network, &target);
            }
        });
    }
    assert!(accepted > 300, "{accepted} damaged networks were accepted");
}

#[test]
fn damaged_networks_in_nir() {
    let target = snncc_chip::target("tiny-loihi").expect("a built-in target");
    for (name, bytes) in files("crates/snncc-formats/tests/data", ".nir") {
        damage(&name, &bytes, 150, |bytes| {
            if let Some(nir) = documented(read_nir(bytes), NIR_CODES) {
                go_on(&nir.network, &target);
            }
        });
    }
}

/// Makes the checksums of a damaged image right again (docs/IMAGE_FORMAT.md, "Header").
fn seal(bytes: &mut [u8]) {
    let number = |bytes: &[u8], at: usize, len: usize| {
        bytes
            .get(at..at + len)
            .map(|field| field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) as usize)
    };
    let sections = number(bytes, 8, 4).unwrap_or(0).min(16);
    for entry in (0..sections).map(|section| 12 + 24 * section) {
        let (Some(start), Some(len)) = (number(bytes, entry + 4, 8), number(bytes, entry + 12, 8)) else { return };
        let Some(crc) = start.checked_add(len).and_then(|end| bytes.get(start..end)).map(crc32fast::hash) else {
            continue;
        };
        if let Some(field) = bytes.get_mut(entry + 20..entry + 24) {
            field.copy_from_slice(&crc.to_le_bytes());
        }
    }
    let end = 12 + 24 * sections;
    if let Some(crc) = bytes.get(..end).map(crc32fast::hash)
        && let Some(field) = bytes.get_mut(end..end + 4)
    {
        field.copy_from_slice(&crc.to_le_bytes());
    }
}

/// Images behind right checksums: what the reader accepts the emulator refuses or runs.
#[test]
fn damaged_images() {
    let (mut read, mut ran) = (0, 0);
    for seed in 0..60 {
        let case = Case::new([Kind::Floats, Kind::Integers][seed as usize % 2], seed);
        let Ok(compiled) = case.compiled() else { continue };
        let bytes = compiled.image.to_bytes();
        let mut check = |bytes: &mut [u8]| {
            documented(Image::from_bytes(bytes), IMAGE_CODES);
            seal(bytes);
            let Some(image) = documented(Image::from_bytes(bytes), IMAGE_CODES) else { return };
            read += 1;
            let loaded = Program::load(&image, &case.target);
            let Some(program) = documented(loaded, &["SNN0109", "SNN0701"]) else { return };
            let Ok(stimulus) = program.prepare(&case.stimulus) else { return };
            ran += 1;
            let trace = Emulator::new(&program).run(&stimulus, 6, &RunOptions::default());
            assert_eq!(trace.step_records.len(), 6);
        };
        damage(&format!("image {seed}"), &bytes, 50, |bytes| check(&mut bytes.to_vec()));
        // Within the fields: what moves no section is most often read.
        let mut random = Random(seed);
        for _ in 0..200 {
            let mut damaged = bytes.clone();
            for _ in 0..random.from(1, 2) {
                let at = random.below(bytes.len());
                damaged[at] = random.pick(&[0, 1, 2, 7, 0x7f, 0x80, 0xff]);
            }
            check(&mut damaged);
        }
    }
    assert!(read > 2_000 && ran > 500, "{read} damaged images were read, {ran} ran");
}

#[test]
fn damaged_targets_and_hardware_models() {
    let network = {
        let text = std::fs::read_to_string(root().join("tests/suite/lower/skip-connection.ron")).expect("a network");
        read_network(&text, &mut |_| Err("no file".into())).expect("a network").network
    };
    for (name, text) in snncc_chip::HARDWARE_MODELS {
        let mut file =
            snncc_chip::TARGETS.iter().map(|(name, text)| TargetFile::from_ron(name, text).expect("a target"));
        let file = file.rfind(|file| file.hardware == *name);
        damage(name, text.as_bytes(), 150, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let Some(model) = documented(HardwareModel::from_ron(name, &text), CHIP_CODES) else { return };
            // What validation lets pass is trusted from here on.
            let Some(file) = file.clone() else { return };
            if let Some(target) = documented(Target::new(file, model), CHIP_CODES) {
                go_on(&network, &target);
            }
        });
    }
    for (name, text) in snncc_chip::TARGETS {
        damage(name, text.as_bytes(), 100, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let Some(file) = documented(TargetFile::from_ron(name, &text), CHIP_CODES) else { return };
            let model = snncc_chip::hardware_model("tiny-loihi").expect("a built-in model");
            if let Some(target) = documented(Target::new(file, model), CHIP_CODES) {
                go_on(&network, &target);
            }
        });
    }
}

fn array(shape: &[usize], data: TensorData) -> AnyTensor {
    AnyTensor { shape: shape.to_vec(), data }
}

/// Small sound files of every data format.
fn data_files() -> Vec<(String, Vec<u8>)> {
    let levels = array(&[3, 2, 2], TensorData::U8((0..12).collect()));
    let events = array(&[3, 3], TensorData::I64(vec![0, 1, 2, 0, 2, 0, 1, 1, 1]));
    let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2];
    idx.extend(0..12_u8);
    let labels = vec![0, 0, 8, 1, 0, 0, 0, 3, 1, 0, 2];
    let spikes = [
        ("hidden", array(&[2, 2], TensorData::U32(vec![1, 0, 2, 1]))),
        ("hidden/size", array(&[2], TensorData::U32(vec![3, 2]))),
        ("hidden/payload", array(&[2], TensorData::I32(vec![1, -1]))),
    ];
    let named = [
        ("x", levels.clone()),
        ("y", array(&[3], TensorData::I64(vec![0, 1, 2]))),
        ("full_scale", array(&[], TensorData::I64(vec![16]))),
    ];
    let header = br#"{"fc":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}"#;
    let mut safetensors = (header.len() as u64).to_le_bytes().to_vec();
    safetensors.extend_from_slice(header);
    safetensors.extend_from_slice(&[0; 8]);
    let mut made: Vec<(&str, Vec<u8>)> = vec![
        ("levels.npy", write_npy(&levels)),
        ("events.npy", write_npy(&events)),
        ("floats.npy", write_npy(&array(&[2, 2], TensorData::F64(vec![0.0, 0.25, 0.5, 1.0])))),
        ("images.idx", idx),
        ("labels.idx", labels),
        ("spikes.npz", write_npz(&spikes)),
        ("samples.npz", write_npz(&named)),
        ("weights.safetensors", safetensors),
        ("events.csv", b"sample,t,neuron\n0,1,2\n0,2,0\n1,1,1\n".to_vec()),
        ("table.csv", b"# a series\n0.5;1.5\n\n2;-3e2\n".to_vec()),
    ];
    made.sort();
    let mut all: Vec<(String, Vec<u8>)> = made.into_iter().map(|(name, bytes)| (name.to_string(), bytes)).collect();
    for ending in [".npy", ".npz", "ubyte.gz"] {
        all.extend(files("examples", ending));
    }
    all
}

#[test]
fn damaged_data_files() {
    for (name, bytes) in data_files() {
        damage(&name, &bytes, 250, |bytes| {
            let kinds = DataKind::ALL.into_iter().map(Some).chain([None]);
            for kind in kinds {
                documented(read_samples(&name, bytes, kind), DATA_CODES);
            }
            documented(read_labels(&name, bytes), DATA_CODES);
            documented(read_spikes(&name, bytes), DATA_CODES);
            // Tensor files answer in a sentence.
            for name in npz_names(bytes).unwrap_or_default() {
                let read =
                    read_npz(bytes, &name, 1 << 24).map(|tensor| (tensor.to_f64().is_ok(), tensor.to_u32().is_ok()));
                assert!(read != Err(String::new()));
            }
            for array in safetensors_names(bytes).unwrap_or_default() {
                assert!(read_array(bytes, "x.safetensors", Some(&array), 1 << 24) != Err(String::new()));
            }
            assert!(read_array(bytes, &name, None, 1 << 24) != Err(String::new()));
        });
    }
}

/// Bytes of no format at all.
#[test]
fn arbitrary_bytes() {
    let starts: [&[u8]; 8] = [
        b"",
        b"(",
        b"\x89HDF\r\n\x1a\n",
        b"SNNB\x01\0",
        b"\x93NUMPY\x01\0",
        b"PK\x03\x04",
        b"\0\0\x08\x03",
        b"\x1f\x8b\x08",
    ];
    let mut random = Random(1);
    for round in 0..800 {
        let len = random.below(300);
        let mut bytes = starts[round % starts.len()].to_vec();
        bytes.extend((0..len).map(|_| random.next() as u8));
        if round % 3 == 0 {
            bytes.iter_mut().for_each(|byte| *byte &= 0x7f);
        }
        let text = String::from_utf8_lossy(&bytes);
        documented(read_network(&text, &mut |_| Err("no file".into())), RON_CODES);
        documented(read_nir(&bytes), NIR_CODES);
        documented(Image::from_bytes(&bytes), IMAGE_CODES);
        documented(HardwareModel::from_ron("x", &text), CHIP_CODES);
        documented(TargetFile::from_ron("x", &text), CHIP_CODES);
        documented(read_samples("x", &bytes, None), DATA_CODES);
        documented(read_labels("x", &bytes), DATA_CODES);
        documented(read_spikes("x", &bytes), DATA_CODES);
    }
    assert!(MEMORY.peak_usage_as_mb() < MOST_MEGABYTES, "{} MB", MEMORY.peak_usage_as_mb());
}
