//! What the command does with chips with compartments it does with SpiNNaker-like machines: traces, early exit, layers on the
//! host, constant currents, `inspect`, `ledger`, `sweep`, `demo`.

mod support;

use serde_json::Value;
use snncc_formats::data_files::read_spikes;
use snncc_formats::tensor_files::read_npz;
use snncc_image::spinnaker::SpinnakerImage;
use support::{DATA, LABELS, LEVELS, Place};

/// Two layers; spikes subtract in the second. Sums stay away from thresholds.
const NET: &str = r#"(
    schema: 1,
    dt: 1e-3,
    nodes: {
        "in": Input(shape: [3]),
        "w1": Linear(weight: [[0.53, 0.27, 0.71], [1.1, 0.47, -0.24]]),
        "hidden": Lif(shape: [2], tau: 2e-3, r: 2.0, v_threshold: 1.0),
        "w2": Affine(weight: [[1.0, -0.5], [-0.5, 0.75]], bias: 0.0625),
        "last": If(shape: [2], v_threshold: 1.0, reset: BySubtraction),
        "out": Output(shape: [2]),
    },
    edges: [("in", "w1"), ("w1", "hidden"), ("hidden", "w2"), ("w2", "last"), ("last", "out")],
)
"#;

const DIGITS: &str =
    "digits-mlp.onnx --calibrate digits-train.npy --input digits-test.npy --labels digits-test-labels.npy --samples 60";

fn place() -> Place {
    let place = Place::with(&[("net.ron", NET), ("levels.csv", LEVELS), ("labels.csv", LABELS)]);
    place.run("compile net.ron --target spinnaker-emu -o out").exits(0);
    place
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn traces_have_the_form_that_other_chips_traces_have() {
    let place = place();
    place.run(&format!("emulate out {DATA} --trace spikes,membrane,timing --trace-samples 2 -o run")).exits(0);
    let counters = place.json("run/counters.json");
    let spikes: Vec<_> = (0..2)
        .map(|sample| read_spikes("spikes", &place.read(&format!("run/spikes-{sample:05}.npz"))).unwrap())
        .collect();
    assert_eq!(spikes[0].iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["hidden", "in", "last"]);
    assert!(spikes.iter().flatten().all(|(_, train)| train.steps() <= 20));
    // Membranes are those of the registers: what fired by subtraction keeps the rest, in 22 chip steps of two neurons.
    let membrane = place.read("run/membrane-00001.npz");
    for name in ["hidden", "last"] {
        for kind in ["u", "v"] {
            let array = read_npz(&membrane, &format!("{name}/{kind}"), 1 << 20).unwrap().to_i64().unwrap();
            assert_eq!(array.shape, [22, 2]);
        }
    }
    let timing = String::from_utf8(place.read("run/timing-00000.csv")).unwrap();
    assert!(
        timing.starts_with("chip_step,time_ps,energy_fj,slowest_core,slowest_core_ps,overruns,updated"),
        "{timing}"
    );
    assert_eq!(timing.lines().count(), 1 + 22);
    assert!(timing.lines().skip(1).all(|line| line.split(',').nth(1) == Some("1000000000")), "ticks of 1 ms");
    // A trace is what another tool's spikes are compared with.
    place.run(&format!("verify out {DATA} --ref run/spikes-00000.npz")).exits(0);
    let keys =
        ["input_spikes", "spikes_per_sample", "synaptic_events", "rows", "overruns", "tick_ps", "energy_fj_per_sample"];
    assert!(keys.iter().all(|key| counters[key].is_number()), "{counters}");
    let cores = counters["cores"].as_array().unwrap();
    assert_eq!(cores.len(), 3);
    for key in ["updates", "spikes", "synaptic_events", "rows"] {
        let all = if key == "spikes" { "chip_spikes" } else { key };
        assert_eq!(cores.iter().map(|core| number(&core[key])).sum::<f64>(), number(&counters[all]), "{key}");
    }
    assert!(cores.iter().any(|core| number(&core["busy_ps"]) > 0.0));
}

#[test]
fn stopping_early_and_accuracy_by_step() {
    let place = place();
    place.run(&format!("emulate out {DATA} --early-exit")).exits(2);
    let result = place
        .run(&format!("emulate out {DATA} --early-exit=margin:2 --accuracy-by-step --json -o run"))
        .exits(0)
        .json();
    let by_step = result["accuracy_by_step"].as_array().unwrap();
    assert_eq!(by_step.len(), 20);
    assert_eq!((&by_step[19]["correct"], number(&by_step[19]["agreement"])), (&result["correct"], 1.0));
    for key in ["time_ps_per_sample", "energy_fj_per_sample"] {
        assert_eq!(by_step[19][key], result[key]);
    }
    let exit = &result["early_exit"];
    // 2 of latency, then so many ticks.
    let steps = number(&exit["steps"]["mean"]);
    assert!((number(&exit["time_ps_per_sample"]) / 1e9 - steps - 2.0).abs() < 1e-9 && steps < 20.0, "{exit}");
    assert!(String::from_utf8(place.read("run/predictions.csv")).unwrap().starts_with("sample,label,class,exit_step"));
    assert!(place.run("report run").exits(0).stdout.contains("early exit"));
}

#[test]
fn layers_on_the_host_feed_the_machine() {
    let place = place();
    let whole = place.run(&format!("emulate out {DATA} --json")).exits(0).json();
    let compiled = place.run("compile net.ron --target spinnaker-emu --host first -o cut --json").exits(0).json();
    assert_eq!(compiled["host"][0]["name"], "hidden");
    let cut = place.run(&format!("emulate cut {DATA} --json")).exits(0).json();
    assert_eq!((number(&cut["checked_samples"]), number(&cut["mismatches"])), (3.0, 0.0));
    assert_eq!(cut["host"]["layers"], serde_json::json!(["hidden"]));
    assert_eq!(cut["host"]["spikes"], cut["input_spikes_per_port"]["hidden"]);
    assert!(number(&cut["updates"]) < number(&whole["updates"]));
    assert_eq!(
        number(&cut["chip_and_host_energy_fj"]),
        number(&cut["energy_fj"]["total"]) + number(&cut["host"]["energy_fj"]["total"])
    );
    place.run(&format!("verify cut {DATA}")).exits(0);
    assert!(place.run("report cut").exits(0).stdout.contains("hidden (on the host)"));
    assert!(place.run("inspect cut --neuron hidden[0]").exits(2).stderr.contains("runs on the host"));
}

#[test]
fn constant_currents_are_written_into_the_neurons() {
    let place = place();
    let result = place.run(&format!("emulate out {DATA} --coding constant --json")).exits(0).json();
    assert_eq!((number(&result["checked_samples"]), number(&result["mismatches"])), (3.0, 0.0));
    assert_eq!(result["coding"], "constant");
    // Two neurons of each of three samples; the host multiplies six weights.
    assert_eq!((number(&result["host"]["writes"]), number(&result["input_spikes"])), (6.0, 0.0));
    assert_eq!(result["host"]["work"]["multiply_accumulates"], 18);
    assert!(number(&result["spikes_per_layer"]["hidden"]) > 20.0, "{result}");
    let found = place.run(&format!("verify out {DATA} --coding constant --json")).exits(0).json();
    for layer in found["loss"].as_array().unwrap() {
        assert!(number(&layer["matching_fraction"]) > 0.95, "{layer}");
    }
    // A subtracting neuron, to which constants cannot lead on chips with compartments.
    place.write(
        "one.ron",
        NET.replace(
            "Lif(shape: [2], tau: 2e-3, r: 2.0, v_threshold: 1.0)",
            "If(shape: [2], v_threshold: 1.0, reset: BySubtraction)",
        ),
    );
    place.run("compile one.ron --target spinnaker-emu -o one").exits(0);
    place.run(&format!("verify one {DATA} --coding constant")).exits(0);
}

#[test]
fn an_image_is_inspected() {
    let place = place();
    let overview = place.run("inspect out --json").exits(0).json();
    assert_eq!(overview["cores"].as_array().unwrap().len(), 3);
    let neuron = place.run("inspect out --neuron hidden[1] --json").exits(0).json();
    assert_eq!(neuron["index_on_core"], 1);
    let targets = neuron["targets"].as_array().unwrap();
    assert_eq!((targets.len(), &targets[0]["layer"], &targets[0]["synapses"]), (1, &"last(0:1)".into(), &2.into()));
    let core = neuron["core"].as_str().unwrap();
    let seen = place.run(&format!("inspect out --core {core} --json")).exits(0).json();
    assert_eq!((&seen["layer"], &seen["count"]), (&"hidden".into(), &2.into()));
    let table = seen["population_table"].as_array().unwrap();
    assert_eq!((table.len(), &table[0]["from"], &table[0]["synapses"]), (1, &"in(0:2)".into(), &6.into()));
    let resources = seen["resources"].as_array().unwrap();
    assert!(resources.iter().any(|row| row["resource"] == "dtcm_bytes" && number(&row["used"]) > 0.0), "{seen}");

    // The weights of the network, in units of the target's membranes.
    let units = number(&neuron["units_per_volt"]);
    for (to, weight, kind) in [(0, 0.71, "excitatory"), (1, -0.24, "inhibitory")] {
        let found = place.run(&format!("inspect out --neuron in[2] --to hidden[{to}] --json")).exits(0).json();
        assert_eq!(found["count"], 1);
        let synapse = &found["synapses"][0];
        assert_eq!((&synapse["type"], &synapse["packets_arrive"]), (&kind.into(), &true.into()), "{found}");
        assert!((number(&synapse["input"]) / units - weight).abs() < 0.01, "{found} {units}");
    }
    let none = place.run("inspect out --neuron last[0] --to hidden[0] --json").exits(0).json();
    assert_eq!(none["count"], 0);

    let at = &neuron["chip"];
    let chip = place.run(&format!("inspect out --chip {},{} --json", at[0], at[1])).exits(0).json();
    let routes = chip["routing_table"].as_array().unwrap();
    assert_eq!(chip["routing_entries"], routes.len());
    assert!(routes.iter().any(|route| route["packets_of"].to_string().contains("hidden(0:1)")), "{chip}");
    let text = place.run(&format!("inspect out --chip {},{}", at[0], at[1])).exits(0).stdout;
    assert!(text.contains("routing table") && text.contains("core "), "{text}");
    assert!(place.run("inspect out --ir").exits(0).stdout.contains("SpiNNaker-like machine"));

    // An image alone, and what is not there.
    std::fs::copy(place.path("out/program.snnbin"), place.path("alone.snnbin")).unwrap();
    assert!(place.run(&format!("inspect alone.snnbin --core {core}")).exits(0).stdout.contains("population table"));
    for (arguments, expected) in [
        ("--neuron hiden[0]", "did you mean `hidden`?"),
        ("--neuron hidden[2]", "has 2 neurons"),
        ("--core 17", "is not used"),
        ("--core 4000", "has no core"),
        ("--chip 7,7", "has no chip"),
        ("--neuron hidden[0] --to in[0]", "has no neurons"),
    ] {
        let refused = place.run(&format!("inspect out {arguments}")).exits(2);
        assert!(refused.stderr.contains(expected), "{arguments}: {}", refused.stderr);
    }
}

/// On a board of 48 chips, a population of many cores sends over several chips.
#[test]
fn the_way_of_a_spike_is_told_chip_by_chip() {
    let place = place();
    let wide = NET.replace("\"in\": Input(shape: [3])", "\"in\": Input(shape: [6000])").replace(
        "Linear(weight: [[0.53, 0.27, 0.71], [1.1, 0.47, -0.24]])",
        "Linear(weight: Sparse(shape: (2, 6000), entries: [(0, 0, 0.5), (1, 5999, 0.75)]))",
    );
    place.write("wide.ron", wide);
    place.run("compile wide.ron --target spinnaker-48chip -o wide").exits(0);
    let image = SpinnakerImage::from_bytes(&place.read("wide/program.snnbin")).unwrap();
    assert!(image.chips.len() > 1, "{}", image.chips.len());
    let last = place.run("inspect wide --neuron in[5999] --json").exits(0).json();
    let route = last["route"].as_array().unwrap();
    assert_eq!(route[0]["came"], "from here");
    assert!(route.last().unwrap()["to"].as_str().unwrap().contains("core "), "{last}");
    assert_eq!(last["targets"][0]["synapses"], 1);
    let synapses = place.run("inspect wide --neuron in[5999] --to hidden[1] --json").exits(0).json();
    assert_eq!((&synapses["count"], &synapses["synapses"][0]["packets_arrive"]), (&1.into(), &true.into()));
}

#[test]
fn synapses_are_found_on_chips_with_compartments_too() {
    let place = place();
    place.run("compile net.ron --target loihi-emu --approximate-reset -o chip").exits(0);
    let found = place.run("inspect chip --neuron in[2] --to hidden[1] --json").exits(0).json();
    assert_eq!((&found["count"], number(&found["synapses"][0]["mantissa"]) < 0.0), (&1.into(), true), "{found}");
    assert_eq!(place.run("inspect chip --neuron hidden[0] --to last[1] --json").exits(0).json()["count"], 1);
    assert!(place.run("inspect chip --chip 0").exits(2).stderr.contains("no routing tables"));
}

#[test]
fn stages_are_written_as_text() {
    let place = place();
    let stages = "ir,lowered,quantized,partition,placement,routes,image";
    place.run(&format!("compile net.ron --target spinnaker-emu -o out --emit {stages}")).exits(0);
    for (file, expected) in [
        ("10-lowered.txt", "hidden"),
        ("20-quantized.txt", "reset by subtraction"),
        ("30-partition.txt", "hidden[0..2]: "),
        ("40-placement.txt", "last[0..2], no key"),
        ("50-routes.txt", "hidden[0..2] over 1 chips -> chip"),
        ("60-image.txt", "routing entries"),
    ] {
        let text = String::from_utf8(place.read(&format!("out/ir/{file}"))).unwrap();
        assert!(text.contains(expected), "{file}: {text}");
    }
}

#[test]
fn the_ledger_ends_on_the_machine() {
    let place = Place::example("digits-mlp");
    let ledger = place.run(&format!("ledger {DIGITS} --target spinnaker-emu --steps 8,32 --json")).exits(0).json();
    for run in ledger["runs"].as_array().unwrap() {
        let stage = |name: &str| run["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == name).unwrap();
        let (float, integer, emulated) = (stage("float"), stage("integer"), stage("emulated"));
        assert_eq!((&integer["correct"], &integer["layers"]), (&emulated["correct"], &emulated["layers"]));
        assert_eq!(run["differing_samples"], 0);
        // 16 bits of weight cost next to nothing.
        assert!((number(&float["accuracy"]) - number(&integer["accuracy"])).abs() < 0.04, "{run}");
    }
}

#[test]
fn a_sweep_has_points_on_the_machine() {
    let place = Place::example("digits-mlp");
    let sweep = format!("sweep {DIGITS} --target spinnaker-emu --vary weight-bits=8,16 --vary steps=8,16 --json");
    let result = place.run(&sweep).exits(0).json();
    assert_eq!(result["target"], "spinnaker-emu");
    let rows = result["rows"].as_array().unwrap();
    let error = rows[0]["error"].as_str().unwrap();
    assert!(error.contains("SNN0205") && error.contains("width") && rows[0]["run_on"].is_null(), "{error}");
    for (row, steps) in rows[2..].iter().zip([8.0, 16.0]) {
        assert_eq!((&row["run_on"], number(&row["steps"])), (&"chip".into(), steps));
        assert!(number(&row["accuracy"]) > 0.8 && number(&row["energy_fj_per_sample"]) > 0.0, "{row}");
        assert_eq!(number(&row["time_ps_per_sample"]), number(&row["chip_steps"]) * 1e9, "a tick a step");
    }
    assert!(number(&rows[2]["energy_fj_per_sample"]) < number(&rows[3]["energy_fj_per_sample"]));
}

/// The same trained network on both families: what differs is the width of weights.
#[test]
fn both_families_classify_alike() {
    let place = Place::example("digits-mlp");
    place.run("convert digits-mlp.onnx --calibrate digits-train.npy -o net.ron").exits(0);
    let emulate = "--input digits-test.npy --labels digits-test-labels.npy --samples 100 --early-exit --json";
    let [loihi, machine] = ["loihi-emu", "spinnaker-emu"].map(|target| {
        place.run(&format!("compile net.ron --target {target} -o {target}")).exits(0);
        place.run(&format!("emulate {target} {emulate}")).exits(0).json()
    });
    assert!((number(&loihi["accuracy"]) - number(&machine["accuracy"])).abs() < 0.03, "{loihi} {machine}");
    assert_eq!(loihi["input_spikes"], machine["input_spikes"]);
    assert!(number(&machine["early_exit"]["agreement"]) > 0.95, "{}", machine["early_exit"]);
    let (ours, theirs) = (number(&machine["spikes_per_sample"]), number(&loihi["spikes_per_sample"]));
    assert!(ours > 0.0 && theirs > 0.0);
}

#[test]
fn the_demo_runs_on_a_machine() {
    let place = Place::new();
    let ran = place.run("demo --target spinnaker-emu -o demo").exits(0);
    assert!(ran.stdout.contains("agree in every spike"), "{}", ran.stdout);
    assert!(place.read("demo/out/program.snnbin").len() > 1000);
}

#[test]
fn a_slow_machine_is_late_at_the_level_link_and_says_so() {
    let place = place();
    // With time enough, links change nothing but what is told of them.
    place.run(&format!("emulate out {DATA} -o analytic")).exits(0);
    place.run(&format!("emulate out {DATA} --timing link -o link")).exits(0);
    let (analytic, link) = (place.json("analytic/counters.json"), place.json("link/counters.json"));
    assert_eq!((&analytic["timing"], &link["timing"]), (&Value::from("analytic"), &Value::from("link")));
    assert_eq!(analytic["spikes_per_layer"], link["spikes_per_layer"]);
    assert_eq!(link["link"]["faults"]["late_rows"]["count"], 0);
    assert_eq!(link["link"]["faults"]["queue_overflows"]["first"], Value::Null);
    assert!(link["link"]["cores"].as_array().unwrap().len() >= 2);
    assert!(analytic.get("link").is_none());
    place.run(&format!("verify out {DATA} --timing link")).exits(0);
    place.run(&format!("emulate out {DATA} --timing flit")).exits(3).says("SNN0205");

    // A clock of 100 kHz has 100 cycles a tick: rows wait for the next.
    let model = std::fs::read_to_string("../../hardware-models/spinnaker1.ron").unwrap();
    let clock = model.find("clock_hz:").unwrap();
    let digits = clock + model[clock..].find("200").unwrap();
    let end = digits + model[digits..].find(|c: char| !c.is_ascii_digit() && c != '_').unwrap();
    let slow = format!("{}100_000{}", &model[..digits], &model[end..]);
    let target = std::fs::read_to_string("../../targets/spinnaker-emu.ron").unwrap();
    let place = Place::with(&[
        ("net.ron", NET),
        ("levels.csv", LEVELS),
        ("labels.csv", LABELS),
        ("spinnaker1.ron", &slow),
        ("slow.ron", &target.replace("\"spinnaker1\"", "\"spinnaker1.ron\"").replace("\"spinnaker-emu\"", "\"slow\"")),
    ]);
    place.run("compile net.ron --target slow.ron -o out").exits(0);
    place.run(&format!("verify out {DATA}")).exits(0);
    let said = place.run(&format!("verify out {DATA} --timing link"));
    said.exits(8).says("SNN0803");
    // Ticks that are long enough help.
    place.run(&format!("verify out {DATA} --timing link --time-scale 2000")).exits(0);
    place.run(&format!("emulate out {DATA} --timing link --time-scale 2000 -o long")).exits(0);
    let counters = place.json("long/counters.json");
    assert_eq!((&counters["tick_ps"], &counters["overruns"]), (&Value::from(2_000_000_000_000_u64), &Value::from(0)));
    place.run("compile net.ron --target loihi-emu -o loihi --approximate-reset").exits(0);
    place.run(&format!("emulate loihi {DATA} --time-scale 2")).exits(2);
}

#[test]
fn a_spike_is_followed_through_delay_extensions() {
    // 6,000 steps are more than any ring buffer holds.
    let net = NET.replace("[1.1, 0.47, -0.24]])", "[1.1, 0.47, -0.24]], delay: 6000)");
    assert_ne!(net, NET);
    let place = Place::with(&[("net.ron", &net)]);
    place.run("compile net.ron --target spinnaker-emu -o out --no-align").exits(0);
    let found = place.run("inspect out --neuron in[0] --to hidden[1] --json").exits(0).json();
    let synapses = found["synapses"].as_array().unwrap();
    assert_eq!(synapses.len(), 1, "{found}");
    let (delay, held) = (synapses[0]["delay_steps"].as_u64().unwrap(), synapses[0]["held_steps"].as_u64().unwrap());
    assert!(held > 0 && held < delay && (6_000..=6_001).contains(&delay), "{found}");
    assert_eq!(synapses[0]["packets_arrive"], true);
}
