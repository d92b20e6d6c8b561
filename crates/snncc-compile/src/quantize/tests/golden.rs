//! Blocks that nengo-loihi itself quantized.

use super::super::nengo_loihi::{FloatBlock, FloatSynapse, discretize};
use serde_json::Value;

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn integers(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
}

fn check(name: &str, case: &Value) {
    let float = &case["float"];
    let synapses: Vec<FloatSynapse> = case["conns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|connection| {
            let rows: Vec<Vec<f32>> = connection["weights_float32"].as_array().unwrap().iter().map(floats).collect();
            let targets = rows.iter().flat_map(|row| 0..row.len() as u32).collect();
            FloatSynapse { weights: rows.concat(), targets }
        })
        .collect();
    let block = FloatBlock {
        decay_u: floats(&float["decay_u"]),
        decay_v: floats(&float["decay_v"]),
        threshold: floats(&float["vth"]),
        bias: floats(&float["bias"]),
        scale_u: float["scale_u"].as_bool().unwrap(),
        scale_v: float["scale_v"].as_bool().unwrap(),
        v_min: float["vmin"].as_f64().unwrap_or(f64::NEG_INFINITY),
        v_max: float["vmax"].as_f64().unwrap_or(f64::INFINITY),
        weight_bits: 8,
        synapses,
    };
    let model = snncc_chip::hardware_model("loihi1").unwrap();
    let core = model.loihi();
    let found = discretize(&block, core);
    if case.get("error").is_some() {
        assert!(found.is_err(), "{name}: nengo-loihi refuses this block");
        return;
    }
    let found = found.unwrap_or_else(|message| panic!("{name}: {message}"));
    let expected = &case["int"];
    assert_eq!(found.decay_u, integers(&expected["decay_u"]), "{name} decay_u");
    assert_eq!(found.decay_v, integers(&expected["decay_v"]), "{name} decay_v");
    assert_eq!(found.threshold, integers(&expected["vth"]), "{name} vth");
    assert_eq!(found.bias(), integers(&expected["bias"]), "{name} bias");
    assert_eq!(found.v_min(), expected["vmin"].as_i64().unwrap(), "{name} vmin");
    assert_eq!(found.v_max(core), expected["vmax"].as_i64().unwrap(), "{name} vmax");
    let info = &expected["info"];
    assert_eq!(f64::from(found.weight_exponent), info["w_exp"].as_f64().unwrap(), "{name} w_exp");
    let scale = info["v_scale"].as_f64().unwrap();
    assert!((found.voltage_scale / scale - 1.0).abs() < 1e-12, "{name} v_scale");
    for (index, (synapse, connection)) in found.synapses.iter().zip(case["conns"].as_array().unwrap()).enumerate() {
        assert_eq!(i64::from(synapse.exponent), connection["weight_exp"].as_i64().unwrap(), "{name} exponent {index}");
        let rows: Vec<Vec<i64>> = connection["weights_int"].as_array().unwrap().iter().map(integers).collect();
        assert_eq!(synapse.effective(core), rows.concat(), "{name} weights {index}");
    }
}

#[test]
fn blocks_come_out_as_from_nengo_loihi_bit_for_bit() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/loihi");
    let mut cases = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("disc_") && name.ends_with(".json") {
            let case: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            check(&name, &case);
            cases += 1;
        }
    }
    assert!(cases >= 7, "{cases} golden blocks found in {folder}");
}

fn block(threshold: f32, bias: f32, weights: Vec<f32>) -> FloatBlock {
    let targets = vec![0; weights.len()];
    FloatBlock {
        decay_u: vec![1.0],
        decay_v: vec![0.0],
        threshold: vec![threshold],
        bias: vec![bias],
        scale_u: false,
        scale_v: false,
        v_min: 0.0,
        v_max: f64::INFINITY,
        weight_bits: 8,
        synapses: if weights.is_empty() { Vec::new() } else { vec![FloatSynapse { weights, targets }] },
    }
}

#[test]
fn a_block_counted_by_hand() {
    let model = snncc_chip::hardware_model("loihi1").unwrap();
    let core = model.loihi();
    // Largest weight 1 -> 255, 255·64 = 16320 units per volt; 0.5 -> 127.5/2 = 63.75 -> 64 code steps of 2.
    let found = discretize(&block(1.0, 0.25, vec![1.0, -0.5]), core).unwrap();
    assert_eq!(found.synapses[0].mantissas, [254, -128]);
    assert_eq!((found.synapses[0].exponent, found.threshold[0], found.bias()[0]), (0, 16_320, 4080));
    assert_eq!((found.decay_u[0], found.decay_v[0], found.v_min_exponent, found.v_max_exponent), (4094, 0, 0, 7));
    // A threshold of 1000 needs the scale halved once: 16.32e6 > 131071·64 >= 8.16e6.
    let found = discretize(&block(1000.0, 0.0, vec![1.0]), core).unwrap();
    assert_eq!((found.weight_exponent, found.threshold_mantissa[0]), (-1, 127_500));
    // Without weights the bias is scaled to 4095·128.
    let found = discretize(&block(1.0, 2.0, Vec::new()), core).unwrap();
    assert_eq!((found.bias_mantissa[0], found.bias_exponent[0], found.threshold_mantissa[0]), (4095, 7, 4095));
    // With neither, half of 2^21 is the threshold of 1.
    let found = discretize(&block(1.0, 0.0, Vec::new()), core).unwrap();
    assert_eq!(found.threshold_mantissa[0], 16_384);
}

#[test]
fn what_nengo_loihi_refuses_is_refused() {
    let model = snncc_chip::hardware_model("loihi1").unwrap();
    let refused = |block: FloatBlock| discretize(&block, model.loihi()).unwrap_err();
    assert!(refused(block(1e6, 0.0, vec![1.0])).contains("exponent"));
    assert!(refused(block(1e7, 1.0, Vec::new())).contains("bias scale"));
    assert!(refused(block(1e-9, 0.0, vec![1.0])).contains("threshold"));
    let mut two = block(1.0, 0.0, vec![1.0]);
    two.decay_u = vec![0.1, 0.2];
    (two.decay_v, two.threshold, two.bias, two.scale_u) = (vec![0.0; 2], vec![1.0; 2], vec![0.0; 2], true);
    assert!(refused(two).contains("voltage scale"));
}
