//! SpiNNaker-like machines: compiled, checked, run and reported by the command.

mod support;

use snncc_image::spinnaker::{CoreProgram, SpinnakerImage};
use support::{DATA, LABELS, LEVELS, Place};

/// Two layers; the first keeps half of its membrane, the second subtracts.
const NET: &str = r#"(
    schema: 1,
    dt: 1e-3,
    nodes: {
        "in": Input(shape: [3]),
        "w1": Linear(weight: [[0.5, 0.25, 0.75], [1.0, 0.5, -0.25]]),
        "hidden": Lif(shape: [2], tau: 2e-3, r: 2.0, v_threshold: 1.0),
        "w2": Affine(weight: [[1.0, -0.5], [-0.5, 0.75]], bias: 0.0625),
        "last": If(shape: [2], v_threshold: 1.0, reset: BySubtraction),
        "out": Output(shape: [2]),
    },
    edges: [("in", "w1"), ("w1", "hidden"), ("hidden", "w2"), ("w2", "last"), ("last", "out")],
)
"#;

fn place() -> Place {
    Place::with(&[("net.ron", NET), ("levels.csv", LEVELS), ("labels.csv", LABELS)])
}

#[test]
fn a_network_goes_to_the_machine_and_back() {
    let place = place();
    let checked = place.run("check net.ron --target spinnaker-emu").exits(0);
    assert!(checked.stdout.contains("fits `spinnaker-emu` on 3 of 63 cores"), "{}", checked.stdout);
    let compiled = place.run("compile net.ron --target spinnaker-emu -o out --json").exits(0).json();
    assert_eq!((&compiled["neurons"], &compiled["cores"]), (&4.into(), &3.into()));
    let emulated = place.run(&format!("emulate out {DATA} --json")).exits(0).json();
    assert_eq!((&emulated["checked_samples"], &emulated["mismatches"]), (&3.into(), &0.into()));
    assert!(emulated["chip_spikes"].as_u64().unwrap() > 20, "{emulated}");
    // 20 steps and 2 of latency, 3 samples, ticks of 1 ms.
    assert_eq!(emulated["time_ps"].as_u64(), Some(3 * 22 * 1_000_000_000));
    let parts = ["chips", "cores", "hops"].map(|part| emulated["energy_fj"][part].as_u64().unwrap());
    assert_eq!(emulated["energy_fj"]["total"].as_u64().unwrap(), parts.iter().sum::<u64>());
    let report = place.run("report out").exits(0).stdout;
    for expected in ["Chips", "routing entries", "dtcm bytes", "energy, all parts"] {
        assert!(report.contains(expected), "{expected}: {report}");
    }
    // The float network with the same reset fires as often in each layer, or nearly.
    let chip = place.run("compile net.ron --target loihi-emu -o chip").exits(0);
    assert!(chip.stderr.is_empty() || chip.stderr.contains("next:"), "{}", chip.stderr);
    let loihi = place.run(&format!("emulate chip {DATA} --json")).exits(0).json();
    assert_eq!(loihi["correct"], emulated["correct"]);
}

#[test]
fn reports_have_the_form_that_users_of_spynnaker_know() {
    let place = place();
    place.run("compile net.ron --target spinnaker-48chip -o out").exits(0);
    let listed = place.run("report out --format spinnaker").exits(0).stdout;
    assert!(listed.lines().count() >= 8, "{listed}");
    let text = |name: &str| String::from_utf8(place.read(&format!("out/reports/{name}"))).unwrap();
    let vertices = text("placement_by_vertex_using_graph.rpt");
    assert!(vertices.contains("**** Vertex: 'hidden'") && vertices.contains("  Slice (0:1) on core ("), "{vertices}");
    assert!(
        text("virtual_key_space_information_report.rpt")
            .contains("Machine Vertex: in(0:2), Slice: (0:2), Routing Info: KeyAndMask:0x")
    );
    // Two cores send: an entry for each where they sit.
    let tables = listed.lines().filter(|line| line.contains("routing_tables_generated/routing_table_"));
    let tables: Vec<String> = tables.map(|line| String::from_utf8(place.read(line)).unwrap()).collect();
    assert!(tables.iter().any(|table| table.starts_with("Router contains 2 entries")), "{tables:?}");
    let loihi = place.run("compile net.ron --target loihi-emu -o chip").exits(0);
    assert!(loihi.stdout.contains("loihi-emu"));
    place.run("report chip --format spinnaker").exits(3);
}

#[test]
fn flags_are_heeded_or_refused() {
    let place = place();
    place.run("compile net.ron --target spinnaker-emu -o out --emit lowered").exits(0);
    assert!(!place.read("out/ir/10-lowered.txt").is_empty());
    let rules = place.run("compile net.ron --target spinnaker-emu -o other --quantizer nengo-loihi").exits(3);
    assert!(rules.stderr.contains("SNN0205"), "{}", rules.stderr);
    let saturating = place.run("compile net.ron --target spinnaker-emu -o other --overflow saturate").exits(3);
    assert!(saturating.stderr.contains("SNN0205"), "{}", saturating.stderr);
    let bytes = place.read("out/program.snnbin");
    place.write("out/program.snnbin", &bytes[..bytes.len() / 2]);
    let damaged = place.run(&format!("emulate out {DATA}")).exits(3);
    assert!(damaged.stderr.contains("SNN0109"), "{}", damaged.stderr);
}

#[test]
fn equal_input_gives_equal_bytes() {
    let place = place();
    for (out, jobs) in [("a", 1), ("b", 2)] {
        place.run(&format!("--jobs {jobs} compile net.ron --target spinnaker-48chip -o {out}")).exits(0);
    }
    assert_eq!(place.read("a/program.snnbin"), place.read("b/program.snnbin"));
}

#[test]
fn what_such_machines_do_not_have_is_refused() {
    let place = place();
    let pinned = place.run("compile net.ron --target spinnaker-emu -o out --pin hidden=3").exits(3);
    assert!(pinned.stderr.contains("SNN0205") && pinned.stderr.contains("pins"), "{}", pinned.stderr);
    for flag in ["--reserve 3", "--exclusive hidden", "--split hidden=2", "--weight-bits 8"] {
        let refused = place.run(&format!("compile net.ron --target spinnaker-emu -o out {flag}")).exits(3);
        assert!(refused.stderr.contains("SNN0205") && refused.stderr.contains("help"), "{}", refused.stderr);
    }
}

#[test]
fn three_witnesses_are_compared() {
    let place = place();
    // Away from sums that reach a threshold exactly, where rounding alone would decide.
    let weights = "[[0.53, 0.27, 0.71], [1.1, 0.47, -0.24]]";
    place.write("net.ron", NET.replace("[[0.5, 0.25, 0.75], [1.0, 0.5, -0.25]]", weights));
    place.run("compile net.ron --target spinnaker-emu -o out").exits(0);
    let found = place.run(&format!("verify out {DATA} --json")).exits(0).json();
    assert_eq!((&found["passed"], &found["mismatches"]), (&true.into(), &0.into()));
    assert_eq!((&found["steps"], &found["chip_steps"], &found["samples"]), (&20.into(), &22.into(), &3.into()));
    assert_eq!(found["exact"]["state_samples"].as_u64(), Some(3));
    for layer in found["loss"].as_array().unwrap() {
        assert!(layer["matching_fraction"].as_f64().unwrap() > 0.9, "{layer}");
        assert!(layer["rate_correlation"].as_f64().unwrap() > 0.9, "{layer}");
    }
    assert_eq!(found["accuracy"]["integer"], found["accuracy"]["emulator"]);
    assert!(found["accuracy"]["float"].is_number());
    assert_eq!(found["saturations"]["ring_buffer"], serde_json::json!({ "integer": 0, "emulator": 0 }));
    let emulated = place.run(&format!("emulate out {DATA} --json")).exits(0).json();
    assert_eq!(found["energy_fj"], emulated["energy_fj"]);
    assert_eq!(found["time_ps"], emulated["time_ps"]);
    let text = place.run(&format!("verify out {DATA}")).exits(0).stdout;
    assert!(text.contains("agree in every spike") && text.contains("accuracy, float"), "{text}");
    let report = place.run("report out/run-001").exits(0).stdout;
    assert!(report.contains("rate correlation"), "{report}");
}

#[test]
fn a_machine_that_differs_exits_with_6_and_says_where_first() {
    let place = place();
    place.run("compile net.ron --target spinnaker-emu -o out").exits(0);
    let mut image = SpinnakerImage::from_bytes(&place.read("out/program.snnbin")).unwrap();
    for core in image.chips.iter_mut().flat_map(|chip| &mut chip.cores) {
        if let CoreProgram::Neurons(neurons) = &mut core.program {
            neurons.neurons.v_threshold.iter_mut().for_each(|threshold| *threshold /= 2);
        }
    }
    place.write("out/program.snnbin", image.to_bytes());
    let ran = place.run(&format!("verify out {DATA}")).exits(6);
    assert!(ran.stdout.contains("DISAGREE"), "{}", ran.stdout);
    assert!(ran.stderr.contains("SNN0801") && ran.stderr.contains("v_threshold is "), "{}", ran.stderr);
    let json = place.run(&format!("verify out {DATA} --json")).exits(6).json();
    assert_eq!(json["first_divergence"]["population"], "hidden");
    let emulated = place.run(&format!("emulate out {DATA}")).exits(6);
    assert!(emulated.stderr.contains("SNN0801") && emulated.stderr.contains("first: sample 0"), "{}", emulated.stderr);
}

#[test]
fn spikes_of_another_tool_are_compared() {
    let place = place();
    place.run("compile net.ron --target spinnaker-emu -o out").exits(0);
    // One spike, in a step in which no spike can be.
    let early = snncc_data::SpikeTrain::from_events(2, 20, &[(1, 0)]).unwrap();
    let spikes = snncc_formats::data_files::write_spikes(&[("last", &early)]);
    place.write("spikes.npz", spikes);
    let ran = place.run(&format!("verify out {DATA} --ref spikes.npz")).exits(6);
    assert!(ran.stderr.contains("SNN0802"), "{}", ran.stderr);
}
