//! Every step of mapped networks against what SANA-FE 2.2.9 says of it (timing model `simple`): counts, time and energy, to the
//! picosecond and femtojoule. `make_cases.py` made the cases. `SNNCC_SANAFE_CASES` may name a folder with more of them, such as
//! the network of 10,000 neurons and a million synapses that the script makes from arrays.

use snncc_chip::Target;
use snncc_compile::{Ctx, NoObserver, Options};
use snncc_emu::{Emulator, NetworkLevel, Program, RunOptions};
use snncc_sanafe::{Architecture, Converted, build, read_netlist, read_network};
use std::io::Write;
use std::path::Path;

fn convert(folder: &Path) -> Converted {
    let text = |name: &str| std::fs::read_to_string(folder.join(name));
    let (architecture, warnings) = Architecture::read(&text("arch.yaml").unwrap()).unwrap_or_else(|e| panic!("{e}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    let read = match text("net.net") {
        Ok(net) => read_netlist(&net, "netlist", &architecture),
        Err(_) => read_network(&text("net.yaml").unwrap(), &architecture),
    };
    let (description, warnings) = read.unwrap_or_else(|e| panic!("{e}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    let converted =
        build(&architecture, &description, ("target", "chip", "chip.ron")).unwrap_or_else(|e| panic!("{e}"));
    assert!(converted.warnings.is_empty(), "{:?}", converted.warnings);
    converted
}

/// Compares a case; the columns of `steps.csv` are named in its first line.
fn compare(folder: &Path) {
    let converted = convert(folder);
    let target = Target::new(converted.target, converted.model).unwrap_or_else(|e| panic!("{e}"));
    // Without alignment each connection takes one step, and all neurons run from step 1 on.
    let options = Options { align: false, mapping: converted.network.mapping.clone(), ..Options::default() };
    let mut context = Ctx { target: &target, options: &options, calibration: None, observer: &mut NoObserver };
    let compiled = snncc_compile::compile(&converted.network, &mut context).unwrap_or_else(|e| panic!("{e}"));
    let program = Program::load(&compiled.image, &target).unwrap_or_else(|e| panic!("{e}"));
    let wanted: Vec<Vec<u64>> = std::fs::read_to_string(folder.join("steps.csv"))
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|field| field.parse().unwrap()).collect())
        .collect();
    let silence = snncc_data::Stimulus::default();
    let stimulus = program.prepare(&silence).unwrap();
    let trace = Emulator::new(&program).run(&stimulus, wanted.len() as u32, &RunOptions::default());
    for (step, (record, wanted)) in trace.step_records.iter().zip(&wanted).enumerate() {
        let energy = &record.energy;
        let network_fj = energy.axon_out_fj + energy.hops_fj + energy.axon_in_fj;
        let found = [
            record.fired,
            record.updated,
            record.packets,
            record.hops,
            record.synaptic_events,
            record.time_ps,
            energy.soma_fj,
            energy.synapses_fj,
            network_fj,
        ];
        assert_eq!(&found[..], &wanted[..], "{}, step {}", folder.display(), step + 1);
    }
    // Other levels take longer, and nothing else; steps 21 to 25 are those of docs/VALIDATION.md.
    let steps = wanted.len().min(25);
    for network in [NetworkLevel::Link, NetworkLevel::Flit] {
        let options = RunOptions { network, ..RunOptions::default() };
        let other = Emulator::new(&program).run(&stimulus, steps as u32, &options);
        for (other, analytic) in other.step_records.iter().zip(&trace.step_records) {
            assert!(other.time_ps >= analytic.time_ps && other.energy == analytic.energy);
        }
        let times: Vec<f64> = other.step_records[20..].iter().map(|step| step.time_ps as f64 / 1e6).collect();
        println!("{network:?}, steps 21 to 25 in µs: {times:.2?}");
    }
    assert!(trace.totals.fired > 0 && trace.overflow_warnings(&program).is_empty());
    let totals = &trace.totals;
    println!(
        "{}: {} steps, {} fired, {} synaptic events, {} packets, {} ps, {} fJ: equal in every step",
        folder.display(),
        wanted.len(),
        totals.fired,
        totals.synaptic_events,
        totals.packets,
        totals.time_ps,
        totals.energy.total_fj()
    );
}

#[test]
fn small_networks_equal_sanafe_in_every_step() {
    for case in ["units", "netlist", "convolution"] {
        compare(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(case));
    }
}

#[test]
fn larger_networks_equal_sanafe_in_every_step() {
    let Some(folder) = std::env::var_os("SNNCC_SANAFE_CASES") else {
        // Past the capture of output: a skipped test says so.
        let _ = std::io::stderr().write_all(b"skipped: SNNCC_SANAFE_CASES names no folder with cases\n");
        return;
    };
    let mut cases: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "a folder without cases");
    cases.iter().for_each(|case| compare(case));
}
