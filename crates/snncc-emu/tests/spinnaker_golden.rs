//! The traces of tests/golden/spinnaker, replayed through image bytes and emulator: every integer of every step.
//!
//! One source for each step and synapse type that has input drives the neuron, with the slot's value split over two words and
//! delays from 1 on; what no spike can bring, the first step's input, is in the ring buffer from the start.

#[path = "common/spinnaker.rs"]
mod common;

use common::{CURRENTS, NEURON, Net, Neuron, recorded};
use serde_json::Value;
use snncc_chip::Product;
use snncc_image::spinnaker::layout::SynapseFormat;
use std::path::Path;

const SLOTS: u32 = 16;
/// Sources of an injector.
const SOURCES: usize = 256;

fn read(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/spinnaker");
    std::fs::read_to_string(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rows of a table of integers, `[step][column]`, in the order that is asked for.
fn table<const N: usize>(text: &str, columns: [&str; N]) -> Vec<[i64; N]> {
    let mut lines = text.lines().map(|line| line.split(','));
    let names: Vec<&str> = lines.next().unwrap().collect();
    let places = columns.map(|column| names.iter().position(|name| *name == column).unwrap());
    let row = |line: std::str::Split<'_, char>| {
        let values: Vec<i64> = line.map(|value| value.parse().unwrap()).collect();
        places.map(|place| values[place])
    };
    lines.map(row).collect()
}

fn replay(case: &Value, rows: &[[i64; 8]], product: Product) -> usize {
    let name = case["name"].as_str().unwrap();
    let number = |group: &str, field: &str| case[group][field].as_i64().unwrap();
    let raw = |field: &str| number("params_s1615", field) as i32;
    let constant = |field: &str| number("constants", field);
    let neuron = Neuron {
        v: raw("V"),
        v_rest: raw("Vrest"),
        resistance: constant("R") as i32,
        membrane_keep: constant("expTC") as i32,
        i_offset: raw("Ioff"),
        v_reset: raw("Vreset"),
        refractory_steps: constant("Trefract") as i32,
        v_threshold: raw("Vth"),
        decay: ["decE", "decI"].map(|field| constant(field) as u32),
        init: ["initE", "initI"].map(|field| constant(field) as u32),
        ..NEURON
    };
    let mut net = Net::new(1, 1);
    net.spinnaker().arithmetic.product = product;
    let mut drives: Vec<(u32, usize, i64)> = Vec::new();
    for (t, row) in rows.iter().enumerate().skip(1) {
        drives.extend(
            [row[0], row[1]]
                .into_iter()
                .enumerate()
                .filter(|(_, value)| *value > 0)
                .map(|(kind, value)| (t as u32 + 1, kind, value)),
        );
    }
    let injectors: Vec<usize> = drives.chunks(SOURCES).map(|chunk| net.injector(0, chunk.len() as u32)).collect();
    net.inputs = vec![("drive".to_string(), injectors.clone())];
    if drives.is_empty() {
        net.inputs.clear();
    }
    let core = net.neurons(0, CURRENTS, vec![neuron], SLOTS);
    if let common::Work::Neurons { left_shifts, .. } = &mut net.cores[core].work {
        *left_shifts = ["left_shift_exc", "left_shift_inh"].map(|field| case[field].as_u64().unwrap() as u8);
    }
    let format = SynapseFormat::new(1, 2, SLOTS);
    for (kind, value) in [rows[0][0], rows[0][1]].into_iter().enumerate().filter(|(_, value)| *value > 0) {
        net.cores[core].ring_initial.push((format.ring_slot(1, kind as u32, 0), value as u16));
    }
    let mut events = Vec::new();
    for (at, &(step, kind, value)) in drives.iter().enumerate() {
        let delay = 1 + step % SLOTS.min(step - 1);
        let sign = if kind == 0 { 1 } else { -1 };
        let source = (injectors[at / SOURCES], (at % SOURCES) as u32);
        for weight in [value / 2, value - value / 2] {
            net.connect(source, (core, 0), sign * weight as i32, delay);
        }
        events.push((step - delay, at as u32));
    }
    let events: &[(&str, &[(u32, u32)])] = if drives.is_empty() { &[] } else { &[("drive", &events)] };
    let trace = net.run(events, rows.len() as u32, &recorded());
    let detail = trace.details[0].as_ref().unwrap();
    let spikes = trace.populations[0].spikes.as_ref().unwrap();
    for (t, expected) in rows.iter().enumerate() {
        let v_before = if t == 0 { neuron.v } else { detail.v[t - 1] };
        let found = [
            i64::from(detail.slots[0][t]),
            i64::from(detail.slots[1][t]),
            i64::from(v_before),
            i64::from(detail.currents[0][t]),
            i64::from(detail.currents[1][t]),
            i64::from(detail.v[t]),
            i64::from(detail.refractory_left[t]),
            spikes.at(t as u32 + 1).len() as i64,
        ];
        assert_eq!(found, *expected, "{name}, row {t}");
    }
    assert_eq!(trace.totals.synaptic_events, 2 * drives.len() as u64);
    assert_eq!((trace.totals.saturations, trace.totals.unmatched, trace.totals.drops.total()), (0, 0, 0));
    rows.len()
}

#[test]
fn traces_are_equal_in_every_integer() {
    let (mut traces, mut steps) = (0, 0);
    for (variant, product) in [("trunc", Product::Truncated), ("round", Product::Rounded)] {
        let index: Value = serde_json::from_str(&read(&format!("{variant}/index.json"))).unwrap();
        for case in index.as_array().unwrap() {
            let text = read(&format!("{variant}/{}", case["file"].as_str().unwrap()));
            let columns = ["rbE", "rbI", "V_rec", "gE_rec", "gI_rec", "V_after", "refract", "spike"];
            let rows = table(&text, columns);
            assert_eq!(rows.len(), case["steps"].as_u64().unwrap() as usize);
            steps += replay(case, &rows, product);
            traces += 1;
        }
    }
    assert_eq!((traces, steps), (14, 2 * 2180));
}
