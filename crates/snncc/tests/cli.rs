//! The command as users meet it: help, exit codes, where output goes, JSON, diagnostics that point at lines, determinism,
//! output folders. After a wanted change of a text, `INSTA_UPDATE=always cargo test -p snncc --test cli` writes it anew.

mod support;

use insta_cmd::assert_cmd_snapshot;
use serde_json::Value;
use snncc_formats::data_files::write_spikes;
use snncc_image::Image;
use std::collections::BTreeSet;
use std::process::Stdio;
use support::{LABELS, LEVELS, NETWORK, Place, Ran, SPIKES};

/// Three samples of three elements, for codings, and their labels.
const LEVELS_FLAGS: &str = "--input levels.csv --data-kind levels --labels labels.csv --coding rate --steps 20";

/// Compares a text with `tests/snapshots/cli__NAME.snap`.
fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn place() -> Place {
    Place::with(&[("net.ron", NETWORK), ("spikes.csv", SPIKES), ("levels.csv", LEVELS), ("labels.csv", LABELS)])
}

/// A place where the network is compiled into `out`.
fn compiled() -> Place {
    let place = place();
    place.run("compile net.ron --target tiny-loihi -o out").exits(0);
    place
}

/// A network of one layer, with these lines as neuron node, weights and more edges.
fn one_layer(neurons: &str, weights: &str) -> String {
    format!(
        "(\n    schema: 1,\n    dt: 1e-3,\n    nodes: {{\n        \"in\": Input(shape: [2]),\n        \"fc\": {weights},\n        \
         \"hidden\": {neurons},\n        \"out\": Output(shape: [2]),\n    }},\n    edges: [\n        (\"in\", \"fc\"),\n        \
         (\"fc\", \"hidden\"),\n        (\"hidden\", \"out\"),\n    ],\n)\n"
    )
}

const WEIGHTS: &str = "Linear(weight: [[1.0, 0.5], [0.5, 1.0]])";
const NEURONS: &str = "Lif(shape: [2], tau: 10e-3, r: 10, v_threshold: 1.0)";

// Help and lists.

/// Every command.
const COMMANDS: [&str; 17] = [
    "demo",
    "check",
    "convert",
    "compile",
    "emulate",
    "verify",
    "ledger",
    "sweep",
    "report",
    "inspect",
    "targets",
    "targets list",
    "targets show",
    "targets check",
    "explain",
    "completions",
    "man",
];

#[test]
fn help_of_every_command() {
    let place = Place::new();
    assert_cmd_snapshot!("help", place.command("--help"));
    for command in COMMANDS {
        let name = format!("help-{}", command.replace(' ', "-"));
        let help = place.run(&format!("{command} --help")).exits(0);
        assert_eq!(help.stderr, "");
        // The global flags are the same everywhere; they are in the help of the command itself.
        let own = help.stdout.split("\nGlobal options:").next().unwrap_or("");
        assert_ne!(own, help.stdout, "{command} has the global flags");
        snapshot(&name, own);
    }
    let listed = place.run("--help").stdout;
    let commands = listed.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    assert!(names.filter(|name| *name != "help").all(|name| COMMANDS.contains(&name)));
}

#[test]
fn targets_and_codes() {
    let place = Place::new();
    assert_cmd_snapshot!("targets-list", place.command("targets list"));
    assert_cmd_snapshot!("targets-show", place.command("targets show tiny-loihi"));
    assert_cmd_snapshot!("explain", place.command("explain"));
    assert_cmd_snapshot!("explain-code", place.command("explain SNN0402"));
    let listed = place.run("targets list --json").exits(0).json();
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|target| target["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"loihi-emu") && names.contains(&"tiny-loihi"));
    for name in names {
        let shown = place.run(&format!("targets show {name} --json")).exits(0).json();
        assert_eq!(shown["target"]["name"], name);
    }
}

// Exit codes, and what goes where.

#[test]
fn wrong_usage_exits_with_2() {
    let place = place();
    place.write("foreign/notes.txt", "mine");
    for arguments in [
        "",
        "compile",
        "compil net.ron",
        "compile net.ron",
        "compile net.ron --target tiny-loihi --effort 7",
        "compile net.ron --target tiny-loihi --quantizer best",
        "compile net.ron --target tiny-loihi --steps 3",
        "compile net.ron --target tiny-loihi -o foreign",
        "compile net.ron --target tiny-loihi -o net.ron",
        "emulate out --input x.csv --steps 0",
        "explain SNN9999",
        "inspect net.ron --neuron hidden[0]",
        "report -q -v out",
        "--deny SNN12 check net.ron",
    ] {
        let ran = place.run(arguments).exits(2);
        assert_eq!(ran.stdout, "", "{arguments}");
        assert!(ran.stderr.contains("Usage:") || ran.stderr.contains("--help"), "{}", ran.transcript());
    }
    assert_eq!(place.files("foreign"), [("foreign/notes.txt".to_owned(), b"mine".to_vec())]);
}

/// On the chip a membrane that spikes subtract from is a current, to which the host adds nothing.
#[test]
fn constant_currents_reach_no_reset_by_subtraction() {
    let subtracting = NETWORK.replace("r: 10,", "r: 10, reset: BySubtraction,");
    let place = Place::with(&[("net.ron", &subtracting), ("x.csv", "0.05,0.025,0.1\n")]);
    let data = "--input x.csv --data-kind levels --coding constant --steps 4";
    place.run("compile net.ron --target loihi-emu -o exact").exits(0);
    let refused = place.run(&format!("emulate exact {data}")).exits(3).says("SNN0210");
    assert!(refused.stderr.contains("`hidden`, which resets by subtraction"), "{}", refused.stderr);
    place.run("compile net.ron --target loihi-emu --approximate-reset -o approximate").exits(0);
    place.run(&format!("emulate approximate {data}")).exits(0);
}

#[test]
fn bad_input_exits_with_3_and_names_its_code() {
    let place = compiled();
    let network = |text: &str| Place::with(&[("net.ron", text), ("x.npy", "damaged")]);
    let check = |text: &str, code: &str| {
        let ran = network(text).run("check net.ron --target loihi-emu").exits(3).says(code);
        assert_eq!(ran.stdout, "");
    };
    let layer = |neurons: &str| one_layer(neurons, WEIGHTS);
    check("(schema: 1, nodes: {", "SNN0102");
    check(&layer("Lif(shape: [2], tau: 10e-3, v_treshold: 1.0)"), "SNN0103");
    check(&layer("Lif(shape: [2], tau: \"long\", v_threshold: 1.0)"), "SNN0104");
    check(&one_layer(NEURONS, "Linear(weight: File(\"none.npy\"))"), "SNN0101");
    check(&one_layer(NEURONS, "Linear(weight: File(\"x.npy\"))"), "SNN0105");
    check(&NETWORK.replace("schema: 1", "schema: 7"), "SNN0108");
    check(&NETWORK.replace("(\"in\", \"fc1\")", "(\"im\", \"fc1\")"), "SNN0201");
    check(&one_layer(NEURONS, "Linear(weight: [[1.0, 0.5, 0.5]])"), "SNN0202");
    check(&layer("Lif(shape: [2], tau: 1e-4, r: 10, v_threshold: 1.0)"), "SNN0203");
    check(&NETWORK.replace("dt: 1e-3,", ""), "SNN0204");
    check(&NETWORK.replace("r: 10,", "r: 10, reset: SnntorchSubtract,"), "SNN0205");
    check(&layer("If(shape: [2], v_threshold: 1.0, refractory_steps: 100)"), "SNN0601");
    place.run("check none.ron").exits(3).says("SNN0101");
    place.run("check net.ron --target tiny-lohi").exits(3).says("SNN0111");
    place.write("net.nir", "no HDF5");
    place.run("check net.nir").exits(3).says("SNN0106");
    place.write("bad-target.ron", "(schema: 1, name: \"bad-target\")");
    place.run("check net.ron --target bad-target.ron").exits(3);
    place.write("damaged.npy", b"\x93NUMPY\x01\x00");
    place.run("emulate out --input damaged.npy").exits(3).says("SNN0107");
    place.write("wide.csv", "1,0,1,1\n");
    place.run("emulate out --input wide.csv").exits(3).says("SNN0210");
    place.run("emulate out --input other=spikes.csv").exits(3).says("SNN0210");
    place.run("emulate none --input spikes.csv").exits(3).says("SNN0101");
    place.run("report none").exits(3).says("SNN0112");
}

#[test]
fn damaged_output_folders_exit_with_3() {
    let emulate = "emulate out --input spikes.csv";
    let verify = "verify out --input spikes.csv";
    let place = compiled();
    let program = place.read("out/program.snnbin");
    place.write("out/program.snnbin", &program[..program.len() - 1]);
    place.run(emulate).exits(3).says("SNN0109");
    let mut image = Image::from_bytes(&program).unwrap();
    image.model_hash[0] ^= 1;
    place.write("out/program.snnbin", image.to_bytes());
    place.run(emulate).exits(3).says("SNN0701");
    place.write("out/program.snnbin", &program);
    let weights = place.read("out/quantized/weights.npz");
    place.write("out/quantized/weights.npz", [&weights[..], b" "].concat());
    place.run(verify).exits(3).says("SNN0112");
    place.run(emulate).exits(0);
    std::fs::remove_file(place.path("out/quantized/weights.npz")).unwrap();
    place.run(verify).exits(3).says("SNN0112");
    std::fs::remove_file(place.path("out/manifest.json")).unwrap();
    place.run(emulate).exits(3).says("SNN0101");
}

#[test]
fn what_does_not_fit_exits_with_4() {
    let place = place();
    place.run("compile net.ron --target tiny-loihi --reserve 0-3 -o out").exits(4).says("SNN0402");
    place.run("compile net.ron --target tiny-loihi --pin hidden=9 -o out").exits(4).says("SNN0403");
    place.write("late.ron", NETWORK.replace("delay: 2", "delay: 200"));
    place.run("compile late.ron --target tiny-loihi -o out").exits(4).says("SNN0404");
}

/// Doubles a threshold of the image: the chip then is not what the integer reference says.
fn spoil_threshold(place: &Place) {
    let mut image = Image::from_bytes(&place.read("out/program.snnbin")).unwrap();
    image.cores[0].threshold_configs[0].mantissa *= 2;
    place.write("out/program.snnbin", image.to_bytes());
}

#[test]
fn a_chip_that_differs_exits_with_6_and_says_where_first() {
    let place = compiled();
    place.run("verify out --input spikes.csv").exits(0);
    spoil_threshold(&place);
    let ran = place.run("verify out --input spikes.csv").exits(6).says("SNN0801");
    assert!(ran.stdout.contains("DISAGREE"));
    snapshot("verify-differs", &ran.transcript());
    let json = place.run("verify out --input spikes.csv --json").exits(6).json();
    assert_eq!(json["passed"], false);
    assert!(json["mismatches"].as_u64().unwrap() > 0);
    place.run("emulate out --input spikes.csv").exits(6).says("SNN0801");
    place.run("emulate out --input spikes.csv --check-samples 0").exits(0);
    let first = &json["first_divergence"];
    for key in ["sample", "chip_step", "network_step", "population", "neuron", "integer", "chip", "cause"] {
        assert!(!first[key].is_null(), "{key} in {first}");
    }
}

#[test]
fn spikes_of_another_tool_are_equal_or_exit_with_6() {
    let place = compiled();
    place.run("emulate out --input spikes.csv --trace spikes").exits(0);
    let traced = place.read("out/run-001/spikes-00000.npz");
    let verify = "verify out --input spikes.csv --ref spikes.npz";
    place.write("spikes.npz", &traced);
    let json = place.run(&format!("{verify} --json")).exits(0).json();
    assert!(!json["other_tool"].is_null());
    let mut trains = snncc_formats::data_files::read_spikes("spikes.npz", &traced).unwrap();
    let (_, train) = trains.iter_mut().find(|(name, _)| name == "hidden").unwrap();
    let mut events: Vec<(u32, u32)> = train.events().map(|(t, neuron, _)| (t, neuron)).collect();
    assert!(!events.is_empty());
    events.remove(events.len() / 2);
    *train = snncc_data::SpikeTrain::from_events(4, 8, &events).unwrap();
    let written: Vec<(&str, &snncc_data::SpikeTrain)> = trains.iter().map(|(name, t)| (name.as_str(), t)).collect();
    place.write("spikes.npz", write_spikes(&written));
    let ran = place.run(verify).exits(6).says("SNN0802");
    snapshot("other-tool-differs", &ran.transcript());
}

#[test]
fn denied_warnings_exit_with_7() {
    let text = one_layer("If(shape: [2], v_threshold: 100.0, v_min: -1.0)", WEIGHTS).replace("dt: 1e-3", "dt: None");
    let place = Place::with(&[("net.ron", &text.replace("If(", "Lif(tau: 2e-3, ").replace("None", "1e-3"))]);
    let ran = place.run("check net.ron --target loihi-emu").exits(0).says("SNN0603");
    assert!(ran.stdout.contains("ok"));
    for deny in ["warnings", "SNN0603", "snn0603"] {
        place.run(&format!("check net.ron --target loihi-emu --deny {deny}")).exits(7).says("SNN0603");
    }
    place.run("check net.ron --target loihi-emu --deny SNN0604").exits(0);
    let ran = place.run("check net.ron --target loihi-emu --deny warnings --allow SNN0603").exits(0);
    assert!(!ran.stderr.contains("SNN0603"));
    assert!(!place.run("check net.ron --target loihi-emu -q").exits(0).stderr.contains("SNN0603"));
    // A denied warning is no error: what was made is there.
    place.run("compile net.ron --target loihi-emu --deny warnings -o out").exits(7);
    assert!(place.path("out/program.snnbin").exists());
}

#[test]
fn results_go_to_standard_output_and_the_rest_to_standard_error() {
    let place = compiled();
    for arguments in ["emulate out --input spikes.csv", "verify out --input spikes.csv", "report out", "inspect out"] {
        let ran = place.run(arguments).exits(0);
        assert!(!ran.stdout.is_empty() && !ran.stdout.contains("next:"), "{}", ran.transcript());
        let quiet = place.run(&format!("{arguments} --quiet")).exits(0);
        assert!(!quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{}", quiet.transcript());
        assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "colours only on a terminal");
    }
    let bad = place.run("check none.ron --color always").exits(3);
    assert!(bad.stdout.is_empty() && bad.stderr.contains('\u{1b}'));
    assert!(place.run("emulate out --input spikes.csv --json").exits(0).stderr.is_empty());
}

// JSON.

#[track_caller]
fn has_keys(json: &Value, keys: &[&str]) {
    for key in keys {
        assert!(json.get(key).is_some(), "{key} is missing in {json}");
    }
}

fn keys(json: &Value) -> BTreeSet<&str> {
    json.as_object().expect("an object").keys().map(String::as_str).collect()
}

const RUN_KEYS: [&str; 18] = [
    "samples",
    "steps",
    "chip_steps",
    "coding",
    "accuracy",
    "spikes",
    "spikes_per_layer",
    "chip_spikes",
    "synaptic_events",
    "packets",
    "hops",
    "time_ps",
    "energy_fj",
    "overflows",
    "samples",
    "steps",
    "coding",
    "spikes",
];

#[test]
fn emulate_and_verify_print_what_the_manual_lists() {
    let place = compiled();
    let emulated = place.run(&format!("emulate out {LEVELS_FLAGS} --json")).exits(0).json();
    let verified = place.run(&format!("verify out {LEVELS_FLAGS} --json")).exits(0).json();
    for json in [&emulated, &verified] {
        has_keys(json, &RUN_KEYS);
        assert_eq!((&json["samples"], &json["steps"], &json["coding"]), (&3.into(), &20.into(), &"rate".into()));
        assert_eq!(keys(&json["spikes_per_layer"]), BTreeSet::from(["hidden", "out_neurons"]));
        let layers = json["spikes_per_layer"].as_object().unwrap().values().map(|count| count.as_u64().unwrap());
        assert_eq!(json["spikes"], layers.sum::<u64>());
        let parts = BTreeSet::from(["soma", "axon_out", "hops", "axon_in", "synapses", "total"]);
        assert_eq!(keys(&json["energy_fj"]), parts);
        let energy = json["energy_fj"].as_object().unwrap();
        let sum: u64 = energy.iter().filter(|(name, _)| *name != "total").map(|(_, part)| part.as_u64().unwrap()).sum();
        assert_eq!(json["energy_fj"]["total"], sum);
        assert!(json["time_ps"].as_u64().unwrap() > 0 && json["synaptic_events"].as_u64().unwrap() > 0);
    }
    for key in ["spikes", "spikes_per_layer", "chip_spikes", "synaptic_events", "packets", "time_ps", "energy_fj"] {
        assert_eq!(emulated[key], verified[key], "{key}");
    }
    has_keys(&emulated, &["correct", "input_spikes", "input_spikes_per_port", "slowest_step_ps", "host", "cores"]);
    assert!(emulated["accuracy"].as_f64().unwrap() <= 1.0);
    has_keys(&emulated, &["checked_samples", "mismatches", "first_divergence"]);
    assert_eq!((&emulated["mismatches"], &emulated["first_divergence"]), (&0.into(), &serde_json::Value::Null));
    has_keys(&verified, &["passed", "mismatches", "first_divergence", "exact", "loss", "flipped_predictions"]);
    assert_eq!((&verified["passed"], &verified["mismatches"]), (&true.into(), &0.into()));
    assert!(verified["first_divergence"].is_null());
    assert_eq!(keys(&verified["accuracy"]), BTreeSet::from(["float", "integer", "emulator"]));
    assert_eq!(verified["accuracy"]["emulator"], emulated["accuracy"]);
    // The same is in the run folders.
    assert_eq!(place.json("out/run-001/counters.json"), emulated);
    assert_eq!(place.json("out/run-002/verify.json"), verified);
    let report = place.run("report out --json").exits(0).json();
    has_keys(&report, &["network", "target", "totals", "layers", "cores", "run", "verification"]);
    assert!(!report["run"].is_null() && !report["verification"].is_null());
    // Without labels there is no accuracy, but its key.
    let unlabelled = place.run("emulate out --input spikes.csv --json").exits(0).json();
    assert!(unlabelled["accuracy"].is_null() && unlabelled.get("accuracy").is_some());
}

/// A network that says how it is fed needs no flags, from calibration to verification; flags win, and spikes stay spikes.
#[test]
fn defaults_of_a_run_need_no_flags() {
    let place = place();
    let run = "    run: (coding: \"rate-rounded\", steps: 12, ranges: {\"in\": (-1.0, 1.0)}),\n)";
    let text = NETWORK.trim_end().strip_suffix(')').unwrap().to_owned() + run;
    place.write("net.ron", text);
    let data = "--input levels.csv --data-kind levels";
    // Without a range, a value below 0 would be refused.
    let levels = snncc_ir::Tensor::new(vec![2, 3], vec![-1.0_f32, 0.5, 1.0, 0.9, 0.1, 0.4]);
    place.write("levels.npz", snncc_formats::tensor_files::write_npz(&[("x", levels.into())]));
    place.run("compile net.ron --target tiny-loihi -o out --calibrate levels.npz").exits(0);
    let copy = String::from_utf8(place.read("out/network/network.ron")).unwrap();
    assert!(copy.contains("run: (coding: \"rate-rounded\", steps: 12, ranges: {\"in\": (-1.0, 1.0)})"), "{copy}");
    let emulated = place.run(&format!("emulate out {data} --json")).exits(0).json();
    assert_eq!((&emulated["coding"], &emulated["steps"]), (&"rate-rounded".into(), &12.into()));
    // (x + 1) / 2 of the levels in 12 steps, rounded: 12, 9, 7 (7.4999); 7 (6.6), 11 (11.4), 8 (8.4); 10, 10 (10.2), 6.
    assert_eq!(emulated["input_spikes"], 12 + 9 + 7 + 7 + 11 + 8 + 10 + 10 + 6);
    let verified = place.run(&format!("verify out {data} --json")).exits(0).json();
    assert_eq!((&verified["coding"], &verified["steps"]), (&"rate-rounded".into(), &12.into()));
    let flags = place.run(&format!("emulate out {data} --coding rate --steps 4 --range 0..0.5 --json")).exits(0);
    assert!(
        flags.stderr.contains("warning[SNN0210]: input `in`: values outside 0 to 0.5 are fed as its ends (4 of 9)"),
        "{}",
        flags.stderr
    );
    let flags = flags.json();
    assert_eq!((&flags["coding"], &flags["steps"]), (&"rate".into(), &4.into()));
    let spikes = place.run("emulate out --input spikes.csv --json").exits(0).json();
    assert_eq!(spikes["coding"], "spikes");
}

#[test]
fn the_other_json_results_parse() {
    let place = place();
    let compiled = place.run("compile net.ron --target tiny-loihi -o out --json").exits(0).json();
    has_keys(&compiled, &["status", "neurons", "synapses", "cores", "layers", "diagnostics"]);
    assert_eq!((&compiled["neurons"], &compiled["errors"]), (&6.into(), &0.into()));
    let checked = place.run("check net.ron --target tiny-loihi --json").exits(0).json();
    assert_eq!((&checked["ok"], &checked["fits"]), (&true.into(), &true.into()));
    let failed = place.run("check net.ron --target tiny-loihi --reserve 0-3 --json").exits(4).json();
    assert_eq!((&failed["ok"], &failed["fits"]), (&false.into(), &false.into()));
    assert_eq!(failed["diagnostics"][0]["code"], "SNN0402");
    let failed = place.run("compile net.ron --target tiny-loihi --reserve 0-3 -o failed --json").exits(4).json();
    assert_eq!(failed["errors"], 1);
    for arguments in ["inspect out", "inspect out --neuron hidden[1]", "inspect out --core 0", "inspect out --ir"] {
        place.run(&format!("{arguments} --json")).exits(0).json();
    }
}

#[test]
fn diagnostics_as_json_are_one_object_a_line() {
    let text = one_layer("Lif(shape: [2], tau: 1e-4, v_threshold: 1.0, vv: 1)", "Linear(weight: [[1.0, 0.5, 0.5]])");
    let place = Place::with(&[("net.ron", &text)]);
    let commands = ["check net.ron", "check none.ron", "compile net.ron --target tiny-loihi -o out", "report none"];
    for arguments in commands {
        let ran = place.run(&format!("{arguments} --message-format json")).exits(3);
        assert!(!ran.stderr.is_empty());
        for line in ran.stderr.lines() {
            let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            has_keys(&json, &["code", "severity", "message", "item", "notes", "help", "file", "line", "column"]);
        }
    }
    let place = compiled();
    spoil_threshold(&place);
    let ran = place.run("verify out --input spikes.csv --message-format json").exits(6);
    ran.stderr.lines().for_each(|line| drop(serde_json::from_str::<Value>(line).unwrap()));
    let short = place.run("check none.ron --message-format short").exits(3);
    assert_eq!(short.stderr.lines().count(), 1);
}

// Diagnostics point at the place.

/// What `check` says of a network.
fn said(text: &str, flags: &str) -> Ran {
    Place::with(&[("net.ron", text)]).run(&format!("check net.ron {flags}"))
}

#[test]
fn a_misspelt_field_is_shown_with_what_is_known() {
    let text = one_layer("Lif(shape: [2], tau: 10e-3, r: 10, v_treshold: 1.0)", WEIGHTS);
    snapshot("misspelt-field", &said(&text, "").exits(3).says("SNN0103").transcript());
    let text = one_layer("Liff(shape: [2])", WEIGHTS);
    snapshot("misspelt-node", &said(&text, "").exits(3).says("SNN0103").transcript());
}

#[test]
fn meaning_errors_point_at_the_line() {
    let text = one_layer(NEURONS, "Linear(weight: [[1.0, 0.5, 0.5], [0.5, 1.0, 0.5]])");
    snapshot("shape-mismatch", &said(&text, "").exits(3).says("SNN0202").transcript());
    let text = one_layer(NEURONS, WEIGHTS).replace("(\"fc\", \"hidden\")", "(\"fc\", \"hiden\")");
    snapshot("unknown-node", &said(&text, "").exits(3).says("SNN0201").transcript());
    let text = one_layer("Lif(shape: [2], tau: [10e-3, 0.5e-3], r: 10, v_threshold: 1.0)", WEIGHTS);
    snapshot("tau-below-dt", &said(&text, "").exits(3).says("SNN0203").transcript());
    // All problems are said, not only the first.
    let text = one_layer("Lif(shape: [3], tau: 0.5e-3, r: 10, v_threshold: 1.0)", WEIGHTS)
        .replace("(\"hidden\", \"out\")", "(\"hidden\", \"aut\")");
    let ran = said(&text, "--target loihi-emu").exits(3).says("SNN0201");
    snapshot("several-problems", &ran.transcript());
}

#[test]
fn what_does_not_fit_is_explained() {
    let ran = said(NETWORK, "--target tiny-loihi --reserve 0-3").exits(4);
    snapshot("chip-full", &ran.transcript());
    let ran = said(&NETWORK.replace("delay: 2", "delay: 200"), "--target tiny-loihi").exits(4);
    snapshot("delay-too-long", &ran.transcript());
}

// Determinism.

#[test]
fn bytes_do_not_depend_on_threads() {
    let place = Place::example("recurrent");
    let compile = "compile net.ron --target loihi-emu --calibrate input.npy --emit ir,image -o";
    for (jobs, folder) in [(1, "one"), (4, "four")] {
        place.run(&format!("--jobs {jobs} {compile} {folder}")).exits(0);
    }
    let files = |folder: &str| {
        let files = place.files(folder).into_iter();
        files.map(|(name, bytes)| (name[folder.len()..].to_owned(), bytes)).collect::<Vec<_>>()
    };
    let (one, four) = (files("one"), files("four"));
    assert!(one.iter().any(|(name, _)| name == "/program.snnbin") && one.len() == four.len());
    for ((name, a), (other, b)) in one.iter().zip(&four) {
        assert_eq!(name, other);
        if name == "/manifest.json" {
            let manifest = |bytes: &[u8]| {
                let mut json: Value = serde_json::from_slice(bytes).unwrap();
                assert!(json.as_object_mut().unwrap().remove("command").is_some());
                json
            };
            assert_eq!(manifest(a), manifest(b));
        } else {
            assert!(a == b, "{name} differs");
        }
    }
    for command in ["emulate", "verify"] {
        let results = [1, 2].map(|jobs| place.run(&format!("--jobs {jobs} {command} one --input input.npy --json")));
        let [first, second] = results.map(|ran| ran.exits(0).stdout);
        assert_eq!(first, second, "{command}");
    }
}

#[test]
fn many_samples_give_the_same_with_any_number_of_threads() {
    let place = compiled();
    let flags = "--input levels.csv --data-kind levels --labels labels.csv --coding poisson --steps 30 --seed 7 --json";
    for command in ["emulate", "verify"] {
        let results = [1, 2, 3].map(|jobs| place.run(&format!("--jobs {jobs} {command} out {flags}")).exits(0).stdout);
        assert!(results[0] == results[1] && results[0] == results[2], "{command}");
    }
    let other = place.run(&format!("emulate out {}", flags.replace("--seed 7", "--seed 8"))).exits(0).stdout;
    let same = place.run(&format!("emulate out {flags}")).exits(0).stdout;
    assert_ne!(other, same, "the seed matters");
}

// Output folders.

/// Names in the folder, hidden ones too.
fn names(place: &Place) -> BTreeSet<String> {
    let entries = std::fs::read_dir(place.path(".")).unwrap().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_failed_compilation_leaves_nothing_half_made() {
    let place = place();
    let before = names(&place);
    // Problems before the work begins leave nothing at all.
    place.run("compile net.ron --target none -o out").exits(3);
    assert_eq!(names(&place), before);
    // Where there was nothing, a failure leaves diagnostics and a partial report, and no program.
    place.run("compile net.ron --target tiny-loihi --reserve 0-3 -o failed").exits(4);
    let files: Vec<String> = place.files("failed").into_iter().map(|(name, _)| name).collect();
    assert_eq!(files, ["failed/diagnostics.jsonl", "failed/manifest.json", "failed/report.json"]);
    for line in String::from_utf8(place.read("failed/diagnostics.jsonl")).unwrap().lines() {
        has_keys(&serde_json::from_str(line).unwrap(), &["code", "message"]);
    }
    place.run("report failed").exits(0);
    place.run("emulate failed --input spikes.csv").exits(3).says("SNN0101");
    // An earlier result stays as it was.
    place.run("compile net.ron --target tiny-loihi -o out").exits(0);
    place.run("emulate out --input spikes.csv").exits(0);
    let earlier = place.files("out");
    place.run("compile net.ron --target tiny-loihi --reserve 0-3 -o out").exits(4);
    let mut later = place.files("out");
    later.retain(|(name, _)| !name.starts_with("out/failed/"));
    assert!(earlier == later && place.path("out/failed/report.json").exists());
    // The next that succeeds replaces all of it.
    place.run("compile net.ron --target tiny-loihi -o out").exits(0);
    assert!(!place.path("out/failed").exists() && !place.path("out/run-001").exists());
    let expected: BTreeSet<String> = before.into_iter().chain(["failed", "out"].map(str::to_owned)).collect();
    assert_eq!(names(&place), expected, "nothing is left beside the folders");
}

#[test]
fn foreign_files_are_not_touched() {
    let place = place();
    place.write("mine/notes.txt", "mine");
    let ran = place.run("compile net.ron --target tiny-loihi -o mine").exits(2);
    assert!(ran.stderr.contains("--force"));
    assert_eq!(place.files("mine").len(), 1);
    place.run("compile net.ron --target tiny-loihi -o mine --force").exits(0);
    assert_eq!(place.read("mine/notes.txt"), b"mine");
    place.run("emulate mine --input spikes.csv").exits(0);
    place.run("compile net.ron --target tiny-loihi -o mine").exits(0);
    assert_eq!(place.read("mine/notes.txt"), b"mine");
    place.run("compile net.ron --target tiny-loihi").exits(0);
    assert!(place.path("out/net@tiny-loihi/program.snnbin").exists());
}

#[test]
fn completions_and_manual_pages() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(&format!("completions {shell}")).exits(0).stdout.contains("emulate"));
    }
    place.run("man --dir man").exits(0);
    assert!(place.files("man").iter().any(|(name, text)| name == "man/snncc-verify.1" && !text.is_empty()));
    assert!(place.run("man").exits(0).stdout.starts_with(".ie"));
}

#[test]
fn nobody_who_reads_the_errors_changes_the_exit_code() {
    let place = Place::with(&[("net.ron", "(schema: 1, nods: {})")]);
    let mut command = place.command("check net.ron");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}
