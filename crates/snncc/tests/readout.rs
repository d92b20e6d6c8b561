//! Readouts and stopping early on the small digit network of `examples/digits-mlp`.

mod support;

use serde_json::Value;
use snncc_formats::data_files::read_spikes;
use snncc_formats::tensor_files::read_npz;
use support::Place;

const CONVERT: &str = "convert digits-mlp.onnx --calibrate digits-train.npy -o net.ron";
const COMPILE: &str = "compile net.ron --target loihi-emu -o out";
const EMULATE: &str = "emulate out --input digits-test.npy --labels digits-test-labels.npy -o run";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Columns of `predictions.csv`: exit step, exit class, class of the full run.
fn predictions(place: &Place) -> Vec<[u32; 3]> {
    let text = String::from_utf8(place.read("run/predictions.csv")).unwrap();
    assert!(text.starts_with("sample,label,class,exit_step,exit_class\n"), "{text}");
    let row = |line: &str| {
        let cells: Vec<u32> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        [cells[3], cells[4], cells[2]]
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn a_calibrated_rule_goes_from_convert_to_emulate() {
    let place = Place::example("digits-mlp");
    let converted = place.run(&format!("{CONVERT} --json")).exits(0).json();
    let found = &converted["early_exit"];
    // 1 of 1,200 is the most that shows a share of 0.5 % with 95 % confidence.
    assert!(number(&found["changed"]) <= 1.0 && found["samples"] == 1200, "{found}");
    place.run(COMPILE).exits(0);
    let network = String::from_utf8(place.read("out/network/network.ron")).unwrap();
    assert!(network.contains("early_exit: (margin: "), "{network}");
    let result = place.run(&format!("{EMULATE} --early-exit --accuracy-by-step --json")).exits(0).json();
    let exit = &result["early_exit"];
    assert_eq!((&exit["margin"], &exit["source"]), (&found["margin"], &"calibrated".into()));
    assert!(number(&exit["agreement"]) > 0.98, "{exit}");
    assert!(number(&exit["accuracy"]) > number(&result["accuracy"]) - 0.02, "{exit}");
    let mean_steps = number(&exit["steps"]["mean"]);
    assert!(mean_steps < 16.0 && number(&exit["steps"]["median"]) <= number(&exit["steps"]["p95"]), "{exit}");
    // The same figures, sample by sample.
    let rows = predictions(&place);
    let sum: u32 = rows.iter().map(|[step, ..]| step).sum();
    assert!((f64::from(sum) / rows.len() as f64 - mean_steps).abs() < 1e-9, "{sum} {mean_steps}");
    let same = rows.iter().filter(|[_, early, full]| early == full).count();
    assert!((same as f64 / rows.len() as f64 - number(&exit["agreement"])).abs() < 1e-9, "{same} {exit}");
    // All steps are the full run; each step costs something.
    let by_step = result["accuracy_by_step"].as_array().unwrap();
    assert_eq!(by_step.len(), 32);
    let last = &by_step[31];
    assert_eq!((&last["correct"], number(&last["agreement"])), (&result["correct"], 1.0));
    assert_eq!(number(&last["time_ps_per_sample"]), number(&result["time_ps_per_sample"]));
    assert_eq!(number(&last["energy_fj_per_sample"]), number(&result["energy_fj_per_sample"]));
    for pair in by_step.windows(2) {
        assert!(number(&pair[0]["time_ps_per_sample"]) < number(&pair[1]["time_ps_per_sample"]));
    }
    assert!(number(&exit["energy_fj_per_sample"]) < number(&result["energy_fj_per_sample"]) / 2.0);

    // A margin that is never reached is the full run.
    let never = place.run(&format!("{EMULATE} --early-exit=margin:1e9 --json")).exits(0).json();
    let exit = &never["early_exit"];
    assert_eq!((number(&exit["steps"]["mean"]), number(&exit["agreement"])), (32.0, 1.0));
    assert_eq!(exit["time_ps_per_sample"], never["time_ps_per_sample"]);
    assert!(never["accuracy_by_step"].is_null());
    let text = place.run(&format!("{EMULATE} --early-exit --samples 20 --steps 16")).exits(0);
    assert!(text.stdout.contains("steps, 95th percentile") && text.stderr.contains("calibrated for 32 steps"));
}

#[test]
fn spike_counts_stop_runs_too() {
    let place = Place::example("digits-mlp");
    place.run(&format!("{CONVERT} --readout spikes")).exits(0);
    place.run(COMPILE).exits(0);
    let emulate = format!("{EMULATE} --samples 20 --early-exit=margin:3 --trace spikes --trace-samples 20 --json");
    let result = place.run(&emulate).exits(0).json();
    let mut steps = Vec::new();
    for (sample, [step, class, _]) in predictions(&place).into_iter().enumerate() {
        let trains = read_spikes("spikes", &place.read(&format!("run/spikes-{sample:05}.npz"))).unwrap();
        let (_, train) = trains.iter().find(|(_, train)| train.neurons == 10).expect("spikes of the output");
        // By hand: the first step in which the largest count is three above the second largest.
        let mut counts = [0; 10];
        let stops = (1..=32).find(|t| {
            train.at(*t).iter().for_each(|neuron| counts[*neuron as usize] += 1);
            let mut sorted = counts;
            sorted.sort_unstable();
            sorted[9] >= sorted[8] + 3
        });
        let largest = counts.iter().max().unwrap();
        let first = counts.iter().position(|count| count == largest).unwrap();
        assert_eq!((step, class), (stops.unwrap_or(32), first as u32), "sample {sample}");
        steps.push(step);
    }
    assert!(steps.iter().any(|step| *step < 32));
    steps.sort_unstable();
    assert_eq!(result["early_exit"]["steps"]["median"], steps[9]);
}

#[test]
fn a_filtered_output_forgets_on_the_chip() {
    let place = Place::example("digits-mlp");
    let mut growth = Vec::new();
    for (readout, name) in [("filtered:8ms", "filtered"), ("membrane", "membrane")] {
        let converted = place.run(&format!("{CONVERT} --readout {readout} --dt 1ms --json")).exits(0).json();
        assert!(number(&converted["agreement"]) > 0.95, "{converted}");
        place.run(COMPILE).exits(0);
        // The first samples are compared with the integer reference: exit 6 if they differ.
        let emulate = format!("{EMULATE} --samples 200 --early-exit --trace membrane --trace-samples 20 --json");
        let result = place.run(&emulate).exits(0).json();
        assert!(number(&result["accuracy"]) > 0.88 && number(&result["early_exit"]["agreement"]) > 0.98, "{result}");
        assert!(number(&result["early_exit"]["steps"]["mean"]) < 32.0);
        // Largest membranes at steps 16 and 32; the output is behind two layers and itself.
        let (mut half, mut full) = (0, 0);
        for sample in 0..20 {
            let states = place.read(&format!("run/membrane-{sample:05}.npz"));
            let names = snncc_formats::tensor_files::npz_names(&states).unwrap();
            let array =
                names.iter().find(|array| array.ends_with(&format!(".{name}/v"))).expect("the output's membrane");
            let v = read_npz(&states, array, 1 << 20).unwrap().to_i32().unwrap().data;
            let largest = |step: usize| v[(step + 2) * 10..][..10].iter().map(|v| v.abs()).max().unwrap();
            half += largest(16);
            full += largest(32);
        }
        growth.push(f64::from(full) / f64::from(half));
    }
    // y[t] grows with 1 − exp(−t/8): by 1.135 from step 16 to 32; a sum grows twofold.
    assert!((growth[0] - 1.135).abs() < 0.06 && (growth[1] - 2.0).abs() < 0.1, "{growth:?}");
    let missing = place.run(&format!("{CONVERT} --readout filtered:8ms")).exits(3).says("SNN0204");
    assert!(missing.stderr.contains("--dt 1ms"), "{}", missing.stderr);
}

#[test]
fn without_a_rule_stopping_early_needs_a_margin() {
    let place = Place::example("digits-mlp");
    let few = place.run(&format!("{CONVERT} --calibrate-samples 100")).exits(0);
    assert!(few.stdout.contains("early exit: no rule; ") && few.stdout.contains(" takes 598 "), "{}", few.stdout);
    place.run(COMPILE).exits(0);
    let refused = place.run(&format!("{EMULATE} --early-exit")).exits(2);
    assert!(refused.stderr.contains("--early-exit=margin:X"), "{}", refused.stderr);
    let none = place.run(&format!("{CONVERT} --early-exit-changes none --json")).exits(0).json();
    assert!(none["early_exit"].is_null());
    // More samples than the share needs, and a larger share: fewer steps.
    let mean = |share: &str| {
        let result = place.run(&format!("{CONVERT} --early-exit-changes {share} --json")).exits(0).json();
        number(&result["early_exit"]["mean_steps"])
    };
    assert!(mean("5%") < mean("0.3%"));
}
