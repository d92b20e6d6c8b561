//! The examples, by the commands of their READMEs. What `snncc report` and `snncc verify` print is kept in each example's
//! `expected/`; after a wanted change, `INSTA_UPDATE=always cargo test -p snncc --test examples` writes it anew.

mod support;

use support::{Place, example, readme_commands};

/// Compares a text with the file `expected/NAME.snap` of an example.
fn compare(name: &str, snapshot: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(example(name).join("expected"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(snapshot, text));
}

/// Runs the commands of the README, which all succeed, and compares the verification's text and the final report.
fn runs(name: &str) {
    let place = Place::example(name);
    let commands = readme_commands(name);
    let verified = commands.iter().map(|command| (command, place.run(command).exits(0)));
    let verified: Vec<_> = verified.filter(|(command, _)| command.starts_with("verify")).collect();
    assert_eq!(verified.len(), 1, "the README verifies once");
    assert!(verified[0].1.stdout.contains("agree in every spike"));
    compare(name, "verify", &verified[0].1.stdout);
    compare(name, "report", &place.run("report out").exits(0).stdout);
}

#[test]
fn two_neurons() {
    runs("two-neurons");
}

#[test]
fn mnist_mlp() {
    runs("mnist-mlp");
}

/// Runs the commands of the README of a trained network, and compares what is stable about the chip and its accuracy.
fn converts(name: &str) {
    let place = Place::example(name);
    let readme = String::from_utf8(place.read("README.md")).unwrap();
    let mut summary = String::new();
    for command in readme_commands(name) {
        let result = place.run(&format!("{command} --json")).exits(0).json();
        let figures: &[&str] = match command.split(' ').next() {
            Some("convert") => &[],
            Some("compile") => &["neurons", "synapses", "cores"],
            // Not the accuracy: scales rest on products of matrices, whose last bits differ from processor to processor.
            Some("emulate") => &["samples", "steps", "checked_samples", "mismatches"],
            _ => panic!("a README that converts has no other command: {command}"),
        };
        if command.starts_with("emulate") {
            let start = format!("| {} | ", result["steps"]);
            let told =
                readme.lines().find_map(|line| line.strip_prefix(&start)?.split(' ').next()?.parse::<u64>().ok());
            let (told, correct) = (told.expect("a row for these steps"), result["correct"].as_u64().unwrap());
            let one_percent = result["samples"].as_u64().unwrap() / 100;
            assert!(told.abs_diff(correct) <= one_percent, "the README's table has {told}, not {correct}, at {start}");
        }
        summary += &format!("{command}\n");
        for figure in figures {
            assert!(!result[figure].is_null(), "{command} has no {figure}: {result}");
            summary += &format!("  {figure}: {}\n", result[figure]);
        }
    }
    compare(name, "summary", &summary);
}

#[test]
fn digits_mlp() {
    converts("digits-mlp");
}

#[test]
fn digits_lenet() {
    converts("digits-lenet");
}

#[test]
fn recurrent() {
    runs("recurrent");
}

#[test]
fn convolution() {
    runs("convolution");
}

/// The small microcircuit: what is stable is compared, and its spikes are counted. In floats there are 265 to 295, by the seed.
#[test]
fn microcircuit() {
    let place = Place::example("microcircuit");
    let commands = readme_commands("microcircuit");
    assert_eq!(commands.len(), 2);
    let compiled = place.run(&format!("{} --json", commands[0])).exits(0).json();
    let emulated = place.run(&format!("{} --json", commands[1])).exits(0).json();
    let mut summary = String::new();
    for (command, result, figures) in [
        (&commands[0], &compiled, &["neurons", "synapses", "cores"][..]),
        (&commands[1], &emulated, &["samples", "steps", "overflows", "checked_samples", "mismatches"]),
    ] {
        summary += &format!("{command}\n");
        figures.iter().for_each(|figure| summary += &format!("  {figure}: {}\n", result[figure]));
    }
    compare("microcircuit", "summary", &summary);
    let spikes = |population: &str| emulated["spikes_per_layer"][population].as_u64().unwrap();
    let all = emulated["spikes"].as_u64().unwrap();
    assert_eq!(emulated["chip_spikes"], all);
    assert!((180..=360).contains(&all), "{all} spikes of all neurons");
    // 219 excitatory neurons of layer 4 at about 0.5 Hz, 29 inhibitory ones of layer 6 at about 2.6 Hz.
    assert!(
        (60..=170).contains(&spikes("L4E")) && (45..=110).contains(&spikes("L6I")),
        "{}",
        emulated["spikes_per_layer"]
    );
}

#[test]
fn too_big_says_all_that_does_not_fit() {
    let place = Place::example("too-big");
    let commands = readme_commands("too-big");
    assert_eq!(commands.len(), 2);
    let check = place.run(&commands[0]).exits(4);
    assert_eq!(check.stdout, "");
    let compile = place.run(&commands[1]).exits(4);
    assert!(!place.path("out/program.snnbin").exists());
    compare("too-big", "compile", &compile.stderr);
    compare("too-big", "report", &place.run("report out").exits(0).stdout);
}

/// The table in the README of `two-neurons`: steps in which the neurons spike, and membranes after each step.
#[test]
fn two_neurons_go_as_the_table_says() {
    let place = Place::example("two-neurons");
    place.run("compile net.ron --target tiny-loihi -o out").exits(0);
    place.run("emulate out --input input.npy --trace spikes,membrane").exits(0);
    let readme = String::from_utf8(place.read("README.md")).unwrap();
    let spikes = place.read("out/run-001/spikes-00000.npz");
    let spikes = snncc_formats::data_files::read_spikes("spikes", &spikes).unwrap();
    let membranes = place.read("out/run-001/membrane-00000.npz");
    for (name, latency, volts) in [("first", 1, 1 << 21), ("second", 2, 1 << 21)] {
        let row = readme.lines().find(|line| line.trim_start().starts_with(name)).expect("a row of the table");
        let cells: Vec<&str> = row.split_whitespace().filter(|cell| !cell.contains(['(', ')'])).skip(1).collect();
        assert_eq!(cells.len(), 12, "{row}");
        let spiking: Vec<u32> = (1..).zip(&cells).filter(|(_, cell)| cell.ends_with('*')).map(|(t, _)| t).collect();
        let train = &spikes.iter().find(|(population, _)| population == name).expect("spikes").1;
        assert_eq!(train.events().map(|(t, ..)| t).collect::<Vec<_>>(), spiking);
        let v = snncc_formats::tensor_files::read_npz(&membranes, &format!("{name}/v"), 1 << 20).unwrap();
        let v = v.to_i32().unwrap().data;
        for (at, cell) in cells.iter().enumerate() {
            // A neuron that spikes is at 0 afterwards; the table shows what crossed the threshold.
            let volt = if cell.ends_with('*') { 0.0 } else { cell.parse::<f64>().unwrap() };
            assert_eq!(f64::from(v[at + latency]), volt * f64::from(volts), "{name}, step {}", at + 1);
        }
    }
}
