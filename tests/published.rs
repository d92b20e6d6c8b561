//! Published networks and traces, read from outside the project: `SNNCC_SHARED_DATA` names a folder with `nir/` (the NIR paper's
//! networks and snnTorch's spikes). Without it each test says that it is skipped.

use snncc_data::{Coding, Encoded, SpikeTrain, Stimulus, encode};
use snncc_formats::data_files::read_samples;
use snncc_formats::nir::read_nir;
use snncc_formats::tensor_files::read_npy;
use snncc_ir::Network;
use snncc_ir::network::{Node, Reset};
use snncc_reference::float::{FloatInput, FloatNetwork, FloatOptions, Record};
use snncc_tests::{recount, road, say_skipped};
use std::path::PathBuf;

fn data(file: &str) -> Option<Vec<u8>> {
    let Some(folder) = std::env::var_os("SNNCC_SHARED_DATA").map(PathBuf::from) else {
        say_skipped(&format!("SNNCC_SHARED_DATA names no folder with {file}"));
        return None;
    };
    Some(std::fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}")))
}

fn network(file: &str) -> Option<Network> {
    Some(read_nir(&data(file)?).unwrap_or_else(|problems| panic!("{file}: {problems}")).network)
}

/// Input spikes of the Braille sample, for the port of this network.
fn braille_input() -> Option<Stimulus> {
    let file = "nir/rnn/braille_ds_test_0_input_256x12.csv";
    let samples = read_samples(file, &data(file)?, None).unwrap();
    match encode(&samples, 0, Coding::Spikes, "input", 256, 1).unwrap() {
        Encoded::Spikes(port) => Some(Stimulus { ports: vec![port], host_biases: Vec::new() }),
        Encoded::Current(_) => panic!("the sample is a list of spikes"),
    }
}

fn hidden_spikes_equal(network: &str, reset: Option<Reset>, activity: &str, spikes: u64) {
    let (Some(network), Some(input), Some(activity)) = (self::network(network), braille_input(), data(activity)) else {
        return;
    };
    let activity = read_npy(&activity).unwrap().to_i32().unwrap();
    let expected = SpikeTrain::from_dense(activity.shape[1] as u32, &activity.data).unwrap();
    let float = FloatNetwork::new(&network, &FloatOptions { dt_s: None, reset }).unwrap();
    let record = Record { spikes: true, ..Record::default() };
    let trace = float.run(&FloatInput::from(&input), 256, &record).unwrap();
    let hidden = trace.population("lif1.lif").unwrap().spikes.as_ref().unwrap();
    assert_eq!(hidden.spike_count(), spikes);
    for step in 1..=256 {
        assert_eq!(hidden.at(step), expected.at(step), "step {step}");
    }
}

#[test]
fn braille_spikes_as_in_snntorch() {
    hidden_spikes_equal(
        "nir/rnn/braille_noDelay_bias_zero.nir",
        None,
        "nir/rnn/snntorch_activity_noDelay_bias_zero.npy",
        119,
    );
}

#[test]
fn braille_with_subtraction_spikes_as_in_snntorch() {
    hidden_spikes_equal(
        "nir/rnn/braille_noDelay_noBias_subtract.nir",
        Some(Reset::SnntorchSubtract),
        "nir/rnn/snntorch_activity_noDelay_noBias_subtract.npy",
        118,
    );
}

#[test]
fn the_n_mnist_network_fits_within_every_limit() {
    let Some(network) = network("nir/cnn/cnn_sinabs.nir") else { return };
    assert!(network.nodes.iter().any(|node| matches!(node.node, Node::Convolution(_))));
    let target = snncc_chip::target("loihi-emu").unwrap();
    let compiled = road::compiled(&network, &target, &snncc_compile::Options::default(), None).unwrap();
    assert_eq!(recount::faults(&compiled.image, &target), Vec::<String>::new());
    let partitioned = compiled.routed.placed().partitioned();
    assert!(partitioned.cores().len() <= 12, "{} cores", partitioned.cores().len());
}
