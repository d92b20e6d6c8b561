//! Layers that fire one after the other, and runs of another length than the network was made for, on the digit network of
//! `examples/digits-mlp`.

mod support;

use serde_json::Value;
use support::Place;

const CONVERT: &str = "convert digits-mlp.onnx --calibrate digits-train.npy --correction none --schedule layers";
const DATA: &str = "--input digits-test.npy --labels digits-test-labels.npy";

fn stage<'a>(run: &'a Value, name: &str) -> &'a Value {
    run["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == name).unwrap()
}

/// The spiking network is the rounded one, sample by sample, and both families of chips run it.
#[test]
fn layers_that_wait_are_the_rounded_network_down_to_the_chip() {
    let place = Place::example("digits-mlp");
    let ledger =
        format!("ledger digits-mlp.onnx --calibrate digits-train.npy {DATA} --correction none --schedule layers");
    let ledger = place.run(&format!("{ledger} --target loihi-emu --steps 4,16 --json")).exits(0).json();
    for run in ledger["runs"].as_array().unwrap() {
        let (coded, float) = (stage(run, "coded input"), stage(run, "float"));
        assert_eq!((&coded["correct"], run["differing_samples"].as_u64()), (&float["correct"], Some(0)));
        for (coded, float) in coded["layers"].as_array().unwrap().iter().zip(float["layers"].as_array().unwrap()) {
            let [coded, float] = [coded, float].map(|layer| layer["relative_rms"].as_f64().unwrap());
            assert!((coded - float).abs() < 1e-3 * coded, "{coded} {float}");
        }
        let lost = float["correct"].as_i64().unwrap() - stage(run, "emulated")["correct"].as_i64().unwrap();
        assert!(lost <= 6, "{lost}");
    }

    let result = place.run(&format!("{CONVERT} --steps 16 -o net.ron --json")).exits(0).json();
    assert_eq!(result["run_steps"], serde_json::json!({"taken": 46, "pipelined": 16, "layers": 46}));
    assert_eq!(result["layers"][1]["window"], serde_json::json!([31, 46]));
    for target in ["loihi-emu", "spinnaker-emu"] {
        place.run(&format!("compile net.ron --target {target} -o {target}")).exits(0);
        let verified = place.run(&format!("verify {target} {DATA} --samples 100 --json")).exits(0).json();
        assert_eq!(verified["steps"], 46);
        // Trained: 95 of these; a neuron of the chip differs by a spike now and then.
        let emulated = place.run(&format!("emulate {target} {DATA} --samples 100 --json")).exits(0);
        assert!(!emulated.stderr.contains("SNN0212"), "{}", emulated.stderr);
        let correct = emulated.json()["correct"].as_u64().unwrap();
        assert!(correct >= 93, "{target}: {correct}");
    }
    // A run that ends before the last layer has fired is told.
    place.run(&format!("emulate loihi-emu {DATA} --samples 3 --steps 32")).exits(0).says("SNN0212");
    // What a constant current feeds does not end.
    place.run(&format!("emulate loihi-emu {DATA} --samples 3 --coding current")).exits(3).says("SNN0210");
}

#[test]
fn the_table_names_both_latencies() {
    let place = Place::example("digits-mlp");
    let few = "--calibrate-samples 100 --early-exit-changes none";
    let waits = place.run(&format!("{CONVERT} {few} --steps 8 -o net.ron")).exits(0).stdout;
    assert!(waits.contains("latency: 22 steps a sample") && waits.contains("pipelined 8"), "{waits}");
    let plain = CONVERT.replace(" --schedule layers", "");
    let pipelined = place.run(&format!("{plain} {few} --steps 8 -o net.ron")).exits(0).stdout;
    assert!(pipelined.contains("latency: 8 steps a sample; with `--schedule layers` 22"), "{pipelined}");
    place.run(&format!("{CONVERT} --neuron-reset to-value -o no.ron")).exits(3).says("SNN0203");
    place.run(&format!("{CONVERT} --coding constant -o no.ron")).exits(3).says("SNN0203");
}

#[test]
fn runs_far_from_the_steps_that_were_corrected_for_are_told() {
    let place = Place::example("digits-mlp");
    let convert = "convert digits-mlp.onnx --calibrate digits-train.npy --calibrate-samples 100 --steps 8 -o net.ron";
    place.run(convert).exits(0);
    let text = String::from_utf8(place.read("net.ron")).unwrap();
    assert!(text.contains("steps: 8") && text.contains("corrected_for: 8"), "{text}");
    place.run("compile net.ron --target loihi-emu -o out").exits(0);
    for command in ["emulate", "verify"] {
        let told = place.run(&format!("{command} out {DATA} --samples 3 --steps 16")).exits(0).says("SNN0212");
        let wanted = "the network was corrected for 8 steps, and this run has 16";
        assert!(told.stderr.contains(wanted) && told.stderr.contains("convert it again"), "{}", told.stderr);
        let quiet = place.run(&format!("{command} out {DATA} --samples 3 --steps 15")).exits(0);
        assert!(!quiet.stderr.contains("SNN0212"), "{}", quiet.stderr);
    }
}
