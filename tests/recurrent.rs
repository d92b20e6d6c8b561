//! The recurrent benchmark network: the whole road gives the spike counts that other emulators of the chip report.

use snncc_emu::{Emulator, RunOptions};
use snncc_reference::{IntegerInput, IntegerNetwork, IntegerRecord};
use snncc_tests::recurrent::{self, KNOWN_SPIKE_COUNTS, Recurrent};
use snncc_tests::road;
use std::path::{Path, PathBuf};

fn emulated_spikes(network: &Recurrent) -> (u64, u64) {
    let target = snncc_chip::target("unbounded-loihi").unwrap();
    let (_, program) = road::program(&network.network, &target, &road::plain_timing()).unwrap();
    let stimulus = program.prepare(&network.stimulus).unwrap();
    let trace = Emulator::new(&program).run(&stimulus, network.steps, &RunOptions::default());
    (trace.totals.fired, trace.totals.synaptic_events)
}

/// Spikes times synapses: what the other engines call events. The last step's spikes activate synapses too.
fn expected_events(network: &Recurrent, spikes: u64) -> u64 {
    spikes * network.fan_out.0 + network.stimulus.ports[0].spikes.spike_count() * network.fan_out.1
}

#[test]
fn a_thousand_neurons_spike_as_in_other_emulators() {
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("networks/recurrent_1000.npz")).unwrap();
    let network = recurrent::load(&bytes);
    let known = KNOWN_SPIKE_COUNTS[0];
    let (spikes, events) = emulated_spikes(&network);
    assert_eq!((network.neurons, spikes), known);
    assert_eq!(events, expected_events(&network, spikes));

    let ir = snncc_tests::golden::quantized(&network.network).unwrap();
    let model = snncc_chip::hardware_model("nengo-loihi").unwrap();
    let input = IntegerInput { ports: &network.stimulus.ports, added_bias: &[] };
    let trace =
        IntegerNetwork::new(&ir, &model).run(&input, network.steps, &IntegerRecord { state: Vec::new() }).unwrap();
    let reference: u64 = trace.spikes.iter().map(|train| train.spike_count()).sum();
    let inputs = network.stimulus.ports[0].spikes.spike_count();
    assert!(reference == spikes || reference == spikes + inputs, "the integer reference has {reference} spikes");
}

#[test]
fn ten_thousand_neurons_spike_as_in_other_emulators() {
    let Some(folder) = std::env::var_os("SNNCC_BENCH_NETWORKS").map(PathBuf::from) else {
        snncc_tests::say_skipped(
            "SNNCC_BENCH_NETWORKS names no folder with recurrent_10000.npz (networks/make_recurrent.py makes it)",
        );
        return;
    };
    let network = recurrent::load(&std::fs::read(folder.join("recurrent_10000.npz")).unwrap());
    let (spikes, events) = emulated_spikes(&network);
    assert_eq!((network.neurons, spikes), KNOWN_SPIKE_COUNTS[1]);
    assert_eq!(events, expected_events(&network, spikes));
}
