//! `ledger` and `sweep` on the small digit network of `examples/digits-mlp`.

mod support;

use serde_json::Value;
use support::Place;

const DATA: &str =
    "digits-mlp.onnx --calibrate digits-train.npy --input digits-test.npy --labels digits-test-labels.npy --samples 60";

fn stage<'a>(run: &'a Value, name: &str) -> &'a Value {
    let stages = run["stages"].as_array().unwrap();
    stages.iter().find(|stage| stage["stage"] == name).unwrap_or_else(|| panic!("no stage `{name}`"))
}

#[test]
fn the_ledger_has_every_stage_and_mapping_costs_nothing() {
    let place = Place::example("digits-mlp");
    let ledger =
        place.run(&format!("ledger {DATA} --target loihi-emu --steps 4,32 --json -o ledger.json")).exits(0).json();
    assert_eq!(ledger, place.json("ledger.json"));
    let runs = ledger["runs"].as_array().unwrap();
    assert_eq!(runs.iter().map(|run| run["steps"].as_u64().unwrap()).collect::<Vec<_>>(), [4, 32]);
    for run in runs {
        let names: Vec<&str> =
            run["stages"].as_array().unwrap().iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
        assert_eq!(names, ["trained", "prepared", "clipped", "rounded", "coded input", "float", "integer", "emulated"]);
        let (integer, emulated) = (stage(run, "integer"), stage(run, "emulated"));
        assert_eq!((&integer["correct"], &integer["layers"]), (&emulated["correct"], &emulated["layers"]));
        assert_eq!((&emulated["drop"], &run["differing_samples"]), (&0.0.into(), &0.into()));
        assert!(run["verdict"]["cause"].is_string());
    }
    // Rounding to 4 steps is coarser than to 32, in every layer.
    let error = |run: &Value, layer: usize| stage(run, "rounded")["layers"][layer]["relative_rms"].as_f64().unwrap();
    (0..3).for_each(|layer| assert!(error(&runs[0], layer) > 2.0 * error(&runs[1], layer)));
    // The emulator of the ledger is the one of the other commands.
    let model = "digits-mlp.onnx --target loihi-emu -o out --calibrate digits-train.npy --steps 32";
    place.run(&format!("compile {model}")).exits(0);
    let emulate = "emulate out --input digits-test.npy --labels digits-test-labels.npy --samples 60 --steps 32 --json";
    let emulated = place.run(emulate).exits(0).json();
    assert_eq!(emulated["correct"], stage(&runs[1], "emulated")["correct"]);
}

#[test]
fn a_hard_reset_is_a_cause_of_its_own() {
    let place = Place::example("digits-mlp");
    let ledger = place.run(&format!("ledger {DATA} --steps 8 --neuron-reset to-value --json")).exits(0).json();
    let run = &ledger["runs"][0];
    assert_eq!(stage(run, "float, subtracting")["cause"], "unevenness and transients");
    assert_eq!(stage(run, "float")["cause"], "hard reset");
    let text = place.run(&format!("ledger {DATA} --steps 4,8")).exits(0).stdout;
    assert!(text.contains("rate rounding") && text.contains("\n8 steps: "), "{text}");
}

#[test]
fn a_sweep_is_a_product_in_order_with_errors_as_rows() {
    let place = Place::example("digits-mlp");
    let sweep = format!("sweep {DATA} --target loihi-emu --vary weight-bits=4,8,99 --vary steps=8,4");
    let csv = place.run(&sweep).exits(0).stdout;
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| rows[0].iter().position(|head| *head == name).unwrap();
    let (bits, steps) = (column("weight_bits"), column("steps"));
    let order: Vec<(&str, &str)> = rows[1..].iter().map(|row| (row[bits], row[steps])).collect();
    assert_eq!(order, [("4", "8"), ("4", "4"), ("8", "8"), ("8", "4"), ("99", "8"), ("99", "4")]);
    for row in &rows[1..5] {
        assert_eq!((row[column("run_on")], row[column("error")]), ("chip", ""));
        let chip_steps: u32 = row[column("chip_steps")].parse().unwrap();
        assert!(chip_steps > row[steps].parse().unwrap());
        assert!(row[column("energy_fj_per_sample")].parse::<f64>().unwrap() > 0.0);
    }
    for row in &rows[5..] {
        assert_eq!((row[column("run_on")], row[column("pareto")]), ("", "false"));
        assert!(row[column("error")].contains("SNN"));
    }
    assert!(rows.iter().any(|row| row[column("pareto")] == "true"));
    assert_eq!(place.run(&format!("{sweep} --jobs 1")).exits(0).stdout, csv);
}

#[test]
fn filters_trade_variance_for_time() {
    let place = Place::example("digits-mlp");
    let sweep =
        place.run(&format!("sweep {DATA} --float --dt 1ms --steps 128 --vary tau=0,2ms,5ms --json")).exits(0).json();
    let rows = sweep["rows"].as_array().unwrap();
    let variance = |row: usize, name: &str| rows[row][name].as_f64().unwrap();
    assert!(rows[0]["variance_formula"].is_null() && rows[0]["energy_fj_per_sample"].is_null());
    assert!(variance(0, "variance") > variance(1, "variance") && variance(1, "variance") > variance(2, "variance"));
    // Spikes are nearly regular where the filter is shorter than the changes of the rates.
    let ratio = variance(1, "variance") / variance(1, "variance_formula");
    assert!((0.7..1.4).contains(&ratio), "{ratio}");
}

#[test]
fn a_filter_runs_on_the_chip_where_spikes_reset_to_a_value() {
    let place = Place::example("digits-mlp");
    let sweep = format!("sweep {DATA} --target loihi-emu --dt 1ms --steps 16 --vary tau=2ms --json");
    let row = |flags: &str| place.run(&format!("{sweep} {flags}")).exits(0).json()["rows"][0].clone();
    let subtracting = row("");
    assert_eq!((&subtracting["run_on"], subtracting["energy_fj_per_sample"].is_null()), (&"float".into(), true));
    let why = subtracting["error"].as_str().unwrap();
    assert!(
        why.starts_with("ran in floats, since the chip refuses it: SNN0205: ") && why.contains("to-value"),
        "{why}"
    );
    let resetting = row("--neuron-reset to-value");
    assert_eq!((&resetting["run_on"], resetting["error"].is_null()), (&"chip".into(), true));
    assert!(resetting["energy_fj_per_sample"].as_f64().unwrap() > 0.0);
}

#[test]
fn wrong_sweeps_are_refused() {
    let place = Place::example("digits-mlp");
    let refuse = |flags: &str, text: &str| {
        let refused = place.run(&format!("sweep {DATA} {flags}")).exits(2);
        assert!(refused.stderr.contains(text), "{}", refused.stderr);
    };
    refuse("--vary steps=4", "--target");
    refuse("--float --vary steps=4 --vary steps=8", "twice");
    refuse("--float --vary tau=2ms", "--dt");
    refuse("--float --vary stepps=4", "did you mean `steps`?");
    place.run("ledger net.ron --calibrate x.npy --input x.npy --labels y.npy").exits(2);
    let missing = DATA.replace("digits-train", "missing");
    place.run(&format!("sweep {missing} --float --vary steps=4,8")).exits(3).says("SNN0101");
}

#[test]
fn weights_fitted_to_spikes_bring_layers_nearer() {
    let place = Place::example("digits-mlp");
    let data = "digits-mlp.onnx --calibrate digits-train.npy";
    let converted =
        place.run(&format!("convert {data} --steps 16 --correction weights --json -o net.ron")).exits(0).json();
    let weights = converted["weights"].as_array().unwrap();
    assert_eq!(weights.len(), 3);
    for layer in weights {
        let [before, after] = [0, 1].map(|at| layer["error"][at].as_f64().unwrap());
        assert!(after < before && layer["outcome"] == "moved" && layer["ridge"].is_number(), "{layer}");
        // A quarter of the 1,200 samples is held out.
        assert_eq!(layer["rows"], serde_json::json!([900, 300]));
    }
    // The error before a rectifier is that of the one layer behind it.
    let layers = converted["layers"].as_array().unwrap();
    assert_eq!((&layers[0]["input_error"], &layers[1]["input_error"]), (&weights[0]["error"], &weights[1]["error"]));
    let text = place.run(&format!("convert {data} --steps 16 --correction weights -o net.ron")).exits(0).stdout;
    assert!(text.contains("error of its sums (before → after)") && text.contains("moved, ridge "), "{text}");
    let plain = place.run(&format!("convert {data} --steps 16 --json -o plain.ron")).exits(0).json();
    assert_eq!((&plain["weights"], &plain["layers"][0]["input_error"]), (&serde_json::json!([]), &Value::Null));
    // On images that calibration has not seen, and on the chip.
    place.run("compile net.ron --target loihi-emu -o out").exits(0);
    place.run("verify out --input digits-test.npy --samples 10").exits(0);
    let errors = ["both", "weights"].map(|correction| {
        let ledger = place.run(&format!("ledger {DATA} --steps 16 --correction {correction} --json")).exits(0).json();
        let layers = stage(&ledger["runs"][0], "float")["layers"].as_array().unwrap().clone();
        layers.iter().map(|layer| layer["relative_rms"].as_f64().unwrap()).collect::<Vec<_>>()
    });
    assert!((1..3).all(|layer| errors[1][layer] < errors[0][layer]), "{errors:?}");
}
