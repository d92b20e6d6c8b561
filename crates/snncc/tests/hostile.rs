//! Damaged files of every kind: whatever the bytes, the command ends soon, with little memory, with an exit code that it
//! documents, and, unless it succeeds, with a diagnostic that has a code. Never with a panic or a signal.
//!
//! The damage is drawn from seeds, so that a failure repeats. Where checksums would stop damaged bytes at the door, some are
//! damaged behind it: with the checksum made right again.

mod support;

use sha2::{Digest, Sha256};
use snncc_formats::nir::write_nir;
use snncc_formats::ron_network::read_network;
use snncc_formats::tensor_files::{AnyTensor, write_npy, write_npz};
use snncc_ir::Tensor;
use support::{NETWORK, Place, SPIKES, example};

/// Damaged versions of each file.
const VERSIONS: u64 = 100;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Numbers where a small one is expected.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "2",
    "255",
    "65536",
    "1000003",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "1e30",
    "-1e-30",
    "99999999999999999999999",
];

/// Places of the numbers in a text: runs of digits.
fn numbers(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut start = None;
    for (at, byte) in bytes.iter().chain([&b' ']).enumerate() {
        match (byte.is_ascii_digit(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                runs.push((from, at));
                start = None;
            }
            _ => {}
        }
    }
    runs
}

/// A damaged version of some bytes, and what was done.
fn damaged(bytes: &[u8], version: u64) -> (String, Vec<u8>) {
    let mut random = Random(version);
    let mut out = bytes.to_vec();
    let text = std::str::from_utf8(bytes).is_ok();
    // Headers are at the front; half of the damage goes there.
    let front = if random.below(2) == 0 { out.len() } else { out.len().min(200) };
    let what = match version % 5 {
        0 | 1 => {
            let (at, bit) = (random.below(front), random.below(8));
            out[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
        2 => {
            out.truncate(random.below(front));
            format!("cut to {} bytes", out.len())
        }
        3 if text => {
            let runs = numbers(bytes);
            let (from, to) = runs[random.below(runs.len())];
            let number = NUMBERS[random.below(NUMBERS.len())];
            out.splice(from..to, number.bytes());
            format!("{number} in place of bytes {from}..{to}")
        }
        3 => {
            let (at, len) = (random.below(front), 1 + random.below(8));
            let value = [0, 0xFF, 0x7F][random.below(3)];
            let end = (at + len).min(out.len());
            out[at..end].fill(value);
            format!("bytes {at}..{end} set to {value}")
        }
        _ => {
            let (from, len, to) = (random.below(front), 1 + random.below(40), random.below(front));
            let piece = out[from..(from + len).min(out.len())].to_vec();
            out.splice(to..to, piece.iter().copied());
            format!("{} bytes from {from} repeated at {to}", piece.len())
        }
    };
    (what, out)
}

/// Runs commands on damaged versions of a file. `seal` makes checksums right again, where wanted.
fn survives(place: &Place, file: &str, commands: &[&str], seal: impl Fn(&Place, &mut Vec<u8>)) {
    let original = place.read(file);
    let mut failures = 0;
    for version in 0..VERSIONS {
        let (what, mut bytes) = damaged(&original, version);
        seal(place, &mut bytes);
        place.write(file, &bytes);
        for command in commands {
            let ran = place.run_guarded(command);
            let ok = match ran.exit {
                Some(0) => true,
                Some(2) => ran.stderr.starts_with("error: "),
                Some(3..=7) => ran.stderr.contains("error[SNN"),
                _ => false,
            };
            assert!(ok, "`{file}`, version {version}, {what}:\n{}", ran.transcript());
            failures += u64::from(ran.exit != Some(0));
        }
    }
    let mut undamaged = original.clone();
    seal(place, &mut undamaged);
    place.write(file, undamaged);
    assert!(failures * 4 > VERSIONS, "`{file}`: the damage is noticed in {failures} of {VERSIONS} versions only");
    for command in commands {
        let ran = place.run_guarded(command);
        assert_eq!(ran.exit, Some(0), "undamaged: {}", ran.transcript());
    }
}

fn unsealed(_: &Place, _: &mut Vec<u8>) {}

/// The network with its weights in a file.
fn place() -> Place {
    let text = NETWORK.replace("[[0.6, -0.3, 0.5, 0.2], [-0.1, 0.7, 0.4, 0.3]]", "File(\"weights.npz\", \"fc2\")");
    assert_ne!(text, NETWORK);
    let place = Place::with(&[("net.ron", &text), ("spikes.csv", SPIKES)]);
    let weights = Tensor::new(vec![2, 4], vec![0.6_f32, -0.3, 0.5, 0.2, -0.1, 0.7, 0.4, 0.3]);
    place.write("weights.npz", write_npz(&[("fc2".to_owned(), AnyTensor::from(weights))]));
    place
}

fn compiled() -> Place {
    let place = place();
    place.run("compile net.ron --target tiny-loihi -o out").exits(0);
    place.run("emulate out --input spikes.csv --trace spikes").exits(0);
    place
}

const EMULATE: &str = "emulate out --input spikes.csv -o results";
const VERIFY: &str = "verify out --input spikes.csv -o results";

#[test]
fn programs() {
    survives(&compiled(), "out/program.snnbin", &[EMULATE, "inspect out"], unsealed);
}

/// Makes the checksums of an image right, as far as its table still says where they are.
fn seal_program(bytes: &mut [u8]) {
    let word = |bytes: &[u8], at: usize| bytes.get(at..at + 4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    let Some(sections) = word(bytes, 8).filter(|sections| *sections < 100) else { return };
    for section in 0..sections as usize {
        let entry = 12 + 24 * section;
        // The upper halves of offset and length are 0 in files of this size.
        let (Some(offset), Some(len)) = (word(bytes, entry + 4), word(bytes, entry + 12)) else { return };
        let end = (offset as usize).saturating_add(len as usize);
        let Some(crc) = bytes.get(offset as usize..end).map(crc32fast::hash) else { continue };
        if let Some(place) = bytes.get_mut(entry + 20..entry + 24) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
    }
    let end = 12 + 24 * sections as usize;
    if bytes.len() >= end + 4 {
        let crc = crc32fast::hash(&bytes[..end]);
        bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

#[test]
fn programs_with_right_checksums() {
    let commands = [EMULATE, VERIFY, "inspect out", "inspect out --core 0", "inspect out --neuron hidden[3]"];
    survives(&compiled(), "out/program.snnbin", &commands, |_, bytes| seal_program(bytes));
}

#[test]
fn files_of_an_output_folder() {
    let place = compiled();
    for file in ["quantized/quantized.ron", "quantized/weights.npz", "network/network.ron"] {
        survives(&place, &format!("out/{file}"), &[VERIFY], unsealed);
    }
    survives(&place, "out/manifest.json", &[EMULATE, "report out"], unsealed);
    survives(&place, "out/report.json", &[EMULATE, "report out"], unsealed);
    survives(&place, "out/target/target.ron", &[EMULATE], unsealed);
    survives(&place, "out/target/hardware-model.ron", &[EMULATE], unsealed);
}

/// Damaged files whose hash in the manifest is right.
#[test]
fn files_of_an_output_folder_with_right_hashes() {
    let place = compiled();
    let manifest = String::from_utf8(place.read("out/manifest.json")).unwrap();
    let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for file in ["network/network.ron", "quantized/quantized.ron", "quantized/weights.npz"] {
        let name = format!("out/{file}");
        let known = hash(&place.read(&name));
        assert!(manifest.contains(&known), "{file}");
        let constant = "verify out --input spikes.csv --data-kind levels --coding constant --steps 8 -o results";
        survives(&place, &name, &[VERIFY, constant], |place, bytes| {
            place.write("out/manifest.json", manifest.replace(&known, &hash(bytes)));
        });
    }
}

#[test]
fn networks_as_text() {
    let place = place();
    survives(&place, "net.ron", &["check net.ron", "compile net.ron --target tiny-loihi -o made"], unsealed);
    survives(&place, "weights.npz", &["check net.ron --target tiny-loihi"], unsealed);
}

#[test]
fn networks_in_nir() {
    let text = r#"(schema: 1, dt: 1e-3, nodes: {
        "in": Input(shape: [1, 6, 6]), "conv": Conv2d(weight: [[[[1.0, 0.5], [0.5, 1.0]]]], input_shape: [6, 6]),
        "maps": If(shape: [1, 5, 5], v_threshold: 1.0), "flat": Flatten(), "fc": Linear(weight: File("fc.npy")),
        "last": CubaLif(shape: [2], tau_syn: 4e-3, w_in: 4, tau_mem: 8e-3, r: 8, v_threshold: 0.5),
        "out": Output(shape: [2]) },
        edges: [("in", "conv"), ("conv", "maps"), ("maps", "flat"), ("flat", "fc"), ("fc", "last"), ("last", "out")])"#;
    let weights = write_npy(&AnyTensor::from(Tensor::new(vec![2, 25], vec![0.25_f32; 50])));
    let network = read_network(text, &mut |_: &str| Ok(weights.clone())).unwrap().network;
    let place = Place::new();
    place.write("net.nir", write_nir(&network).unwrap());
    survives(&place, "net.nir", &["check net.nir", "compile net.nir --dt 1ms --target loihi-emu -o made"], unsealed);
}

#[test]
fn targets() {
    let place = compiled();
    let text = |name: &str| String::from_utf8(place.read(&format!("out/target/{name}"))).unwrap();
    place.write("model.ron", text("hardware-model.ron").replace("name: \"tiny-loihi\"", "name: \"model\""));
    let target = text("target.ron").replace("name: \"tiny-loihi\"", "name: \"target\"");
    place.write("target.ron", target.replace("hardware: \"tiny-loihi\"", "hardware: \"model.ron\""));
    let commands = ["targets check target.ron", "compile net.ron --target ./target.ron -o made"];
    for file in ["target.ron", "model.ron"] {
        survives(&place, file, &commands, unsealed);
    }
}

#[test]
fn data() {
    let place = compiled();
    let levels = Tensor::new(vec![2, 3], vec![0_u8, 100, 255, 7, 8, 9]);
    place.write("levels.npy", write_npy(&AnyTensor::from(levels.clone())));
    let labels = Tensor::new(vec![2], vec![0_u8, 1]);
    let arrays = [("x".to_owned(), AnyTensor::from(levels)), ("y".to_owned(), AnyTensor::from(labels))];
    place.write("levels.npz", write_npz(&arrays));
    place.write("levels.idx", b"\0\0\x08\x02\0\0\0\x02\0\0\0\x03\0\x64\xff\x07\x08\x09");
    place.write("events.csv", "sample,t,neuron\n0,1,0\n0,4,2\n1,2,1\n");
    let events = Tensor::new(vec![3, 2], vec![1_i32, 0, 4, 2, 2, 1]);
    place.write("events.npy", write_npy(&AnyTensor::from(events)));
    for file in ["levels.npy", "levels.npz", "levels.idx", "events.csv", "events.npy", "spikes.csv"] {
        survives(&place, file, &[&format!("emulate out --input {file} -o results")], unsealed);
    }
    let images = "levels.npz";
    std::fs::copy(example("mnist-mlp").join("labels-idx1-ubyte.gz"), place.path("labels.gz")).unwrap();
    let hundred = Tensor::new(vec![100, 3], vec![128_u8; 300]);
    place.write(images, write_npz(&[("x".to_owned(), AnyTensor::from(hundred))]));
    let command = format!("emulate out --input {images} --labels labels.gz --steps 4 -o results");
    survives(&place, "labels.gz", &[&command], unsealed);
}

#[test]
fn spikes_of_other_tools() {
    let place = compiled();
    place.write("spikes.npz", place.read("out/run-001/spikes-00000.npz"));
    survives(&place, "spikes.npz", &[&format!("{VERIFY} --ref spikes.npz")], unsealed);
}
