//! Layers on the host: where they run, what is counted, and what is refused.

mod support;

use serde_json::Value;
use support::{DATA, LABELS, LEVELS, NETWORK, Place, SPIKES};

/// Two layers that reset by subtraction; every weight is far from 0.
const SUBTRACTING: &str = r#"(
    schema: 1,
    nodes: {
        "in": Input(shape: [3]),
        "w1": Affine(weight: [[0.5, 0.25, 0.75], [1.0, 0.5, 0.25]], bias: 0.125),
        "hidden": If(shape: [2], v_threshold: 1.0, reset: BySubtraction),
        "w2": Affine(weight: [[1.0, -0.5], [-0.5, 0.75]], bias: 0.0625),
        "last": If(shape: [2], v_threshold: 1.0, reset: BySubtraction),
        "out": Output(shape: [2]),
    },
    edges: [("in", "w1"), ("w1", "hidden"), ("hidden", "w2"), ("w2", "last"), ("last", "out")],
)
"#;

fn place() -> Place {
    Place::with(&[
        ("net.ron", SUBTRACTING),
        ("loop.ron", NETWORK),
        ("spikes.csv", SPIKES),
        ("levels.csv", LEVELS),
        ("labels.csv", LABELS),
    ])
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

#[test]
fn the_host_computes_what_the_chip_cannot() {
    let place = place();
    place.run("compile net.ron --target loihi-emu -o chip").exits(0);
    let refused = place.run(&format!("emulate chip {DATA} --coding constant")).exits(3);
    assert!(refused.stderr.contains("SNN0210") && refused.stderr.contains("--host hidden"), "{}", refused.stderr);

    let compiled = place.run("compile net.ron --target loihi-emu --host first -o out --json").exits(0).json();
    assert_eq!((&compiled["host"][0]["name"], number(&compiled["host"][0]["connections"])), (&"hidden".into(), 6));
    let emulated = place.run(&format!("emulate out {DATA} --coding constant --json")).exits(0).json();
    let host = &emulated["host"];
    assert_eq!(host["layers"], serde_json::json!(["hidden"]));
    // Constants meet their 6 weights once a sample; 2 neurons are updated in 20 steps.
    assert_eq!(
        host["work"],
        serde_json::json!({ "multiply_accumulates": 18, "accumulates": 0, "neuron_updates": 120 })
    );
    assert_eq!((number(&emulated["checked_samples"]), number(&emulated["mismatches"])), (3, 0));
    let sent = number(&emulated["input_spikes_per_port"]["hidden"]);
    assert_eq!((number(&host["spikes"]), sent > 0), (sent, true));
    // Every spike of the host meets two synapses, and each figure is the sum of its rows.
    assert_eq!(number(&emulated["first_layer_synaptic_events"]), 2 * sent);
    let energy = &host["energy_fj"];
    let parts = ["multiply_accumulates", "accumulates", "neuron_updates"].map(|part| number(&energy[part]));
    assert_eq!(parts.iter().sum::<u64>(), number(&energy["total"]));
    assert_eq!(
        number(&emulated["chip_and_host_energy_fj"]),
        number(&energy["total"]) + number(&emulated["energy_fj"]["total"])
    );
    assert_eq!(emulated["constant_sources"], serde_json::json!({ "last.bias": "last" }));

    let verified = place.run(&format!("verify out {DATA} --coding constant --json")).exits(0).json();
    assert_eq!((&verified["passed"], &verified["host_layers"]), (&true.into(), &serde_json::json!(["hidden"])));
    assert_eq!(verified["loss"][0]["layer"], "last");
    let report = place.run("report out").exits(0).stdout;
    for line in ["hidden (on the host)", "last.bias (constant source of last)", "energy, chip and host", "first layer"]
    {
        assert!(report.contains(line), "{line:?} is missing in:\n{report}");
    }
}

#[test]
fn spikes_on_the_host_cost_what_they_meet() {
    let place = place();
    place.run("compile net.ron --target loihi-emu -o chip").exits(0);
    place.run("compile net.ron --target loihi-emu --host hidden -o out").exits(0);
    let flags = format!("{DATA} --coding rate --json");
    let whole = place.run(&format!("emulate chip {flags}")).exits(0).json();
    let cut = place.run(&format!("emulate out {flags}")).exits(0).json();
    // The same input spikes meet the same weights on either side.
    assert_eq!(cut["host"]["work"]["accumulates"], whole["first_layer_synaptic_events"]);
    assert_eq!(cut["host"]["work"]["multiply_accumulates"], 0);
    assert_eq!((&whole["host"]["work"], &whole["chip_and_host_energy_fj"]), (&Value::Null, &Value::Null));
    assert!(number(&cut["updates"]) < number(&whole["updates"]));
    place.run(&format!("verify out {DATA} --coding rate")).exits(0);
}

#[test]
fn the_folder_holds_the_host_and_says_so() {
    let place = place();
    place.run("compile loop.ron --target tiny-loihi --host hidden -o out").exits(0);
    let manifest = place.json("out/manifest.json");
    assert_eq!(manifest["host"], serde_json::json!(["hidden"]));
    assert!(manifest["files"]["host/network.ron"].is_string() && manifest["files"]["target/host.ron"].is_string());
    // A loop of the host stays there, the delay behind the cut on the chip.
    let host = place.run("inspect out/host/network.ron").exits(0).stdout;
    assert!(host.contains("again") && !host.contains("fc2"), "{host}");
    place.run("verify out --input spikes.csv --data-kind spikes").exits(0);
    assert!(place.run("inspect out").exits(0).stdout.contains("host layers: hidden"));
    let neuron = place.run("inspect out --neuron hidden[0]").exits(2);
    assert!(neuron.stderr.contains("runs on the host"), "{}", neuron.stderr);
    let changed = String::from_utf8(place.read("out/host/network.ron")).unwrap().replace("0.9", "0.8");
    place.write("out/host/network.ron", &changed);
    let refused = place.run("emulate out --input spikes.csv --data-kind spikes").exits(3);
    assert!(refused.stderr.contains("host/network.ron"), "{}", refused.stderr);
}

#[test]
fn cuts_that_cannot_be_are_refused() {
    let place = place();
    for command in ["check net.ron", "compile net.ron -o out"] {
        let refused = place.run(&format!("{command} --target loihi-emu --host w1")).exits(3);
        assert!(refused.stderr.contains("SNN0211") && refused.stderr.contains("hidden"), "{}", refused.stderr);
    }
    let all = place.run("compile net.ron --target loihi-emu --host last -o out2").exits(3);
    assert!(all.stderr.contains("output `out` reads a layer on the host"), "{}", all.stderr);
    place.run("check net.ron --target loihi-emu --host hidden").exits(0);
    let looped = NETWORK.replace(
        "(\"out_neurons\", \"out\"),",
        "(\"out_neurons\", \"out\"), (\"out_neurons\", \"back\"), (\"back\", \"hidden\"),",
    );
    let looped = looped.replace(
        "\"fc2\": Linear",
        "\"back\": Linear(weight: [[0.1, 0.1], [0.1, 0.1], [0.1, 0.1], [0.1, 0.1]]),\n        \"fc2\": Linear",
    );
    place.write("looped.ron", &looped);
    let refused = place.run("compile looped.ron --target tiny-loihi --host hidden -o out3").exits(3);
    assert!(refused.stderr.contains("out_neurons -> back -> hidden"), "{}", refused.stderr);
}
