//! The cortical microcircuit at one hundredth on a SpiNNaker-like machine: `cargo bench -p snncc-tests --bench machine`.
//!
//! Compiler, and a tenth of a second on the emulator at both levels of timing. Throughput is in synaptic events.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use snncc_chip::target;
use snncc_compile::spinnaker::compile;
use snncc_compile::{Ctx, NoObserver, Options};
use snncc_data::{PortStimulus, SpikeTrain, Stimulus};
use snncc_emu::spinnaker::{
    SpinnakerEmulator, SpinnakerMachine, SpinnakerProgram, SpinnakerRunOptions, SpinnakerTiming,
};
use snncc_formats::ron_network::read_network;
use snncc_tests::random::Random;
use std::path::Path;

const STEPS: u32 = 1_000;
/// A tick that every core keeps, in picoseconds.
const TICK_PS: u64 = 1_000_000_000;
/// Neurons of the network: each has a source of its own.
const SOURCES: usize = 771;

fn bench(criterion: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/microcircuit");
    let text = std::fs::read_to_string(folder.join("net.ron")).unwrap();
    let mut files = |name: &str| std::fs::read(folder.join(name)).map_err(|error| error.to_string());
    let network = read_network(&text, &mut files).unwrap_or_else(|problems| panic!("{problems}")).network;
    let target = target("spinnaker-emu").unwrap();
    let options = Options { align: false, allow_loop_latency: true, ..Options::default() };
    let compiled = || {
        let mut ctx = Ctx { target: &target, options: &options, calibration: None, observer: &mut NoObserver };
        compile(&network, &mut ctx).unwrap_or_else(|problems| panic!("{problems}"))
    };
    let mut random = Random(1);
    let mut spikes = SpikeTrain::new(SOURCES as u32);
    for _ in 0..STEPS {
        spikes.push_step((0..SOURCES as u32).filter(|_| random.chance(1)));
    }
    let stimulus = Stimulus { ports: vec![PortStimulus { port: "background".into(), spikes }], host_biases: vec![] };

    let mut group = criterion.benchmark_group("machine");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.bench_function("compile", |bencher| bencher.iter_with_large_drop(compiled));
    let image = compiled().image;
    let machine = SpinnakerMachine::of(&target);
    let program = SpinnakerProgram::load(&image, &target.model, &machine, &target.file.costs).unwrap();
    let prepared = program.prepare(&stimulus).unwrap();
    for (name, timing) in [("analytic", SpinnakerTiming::Analytic), ("link", SpinnakerTiming::Link)] {
        let run = SpinnakerRunOptions { timing, tick_ps: Some(TICK_PS), ..SpinnakerRunOptions::default() };
        let mut emulator = SpinnakerEmulator::new(&program);
        let totals = emulator.run(&prepared, STEPS, &run).totals;
        group.throughput(Throughput::Elements(totals.synaptic_events));
        group.bench_function(format!("emulate_{name}"), |bencher| {
            bencher.iter(|| emulator.run(&prepared, STEPS, &run).totals);
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
