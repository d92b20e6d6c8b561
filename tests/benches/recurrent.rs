//! The recurrent benchmark network through partition, emit and emulator: `cargo bench -p snncc-tests --bench recurrent`.
//!
//! With `SNNCC_BENCH_NETWORKS` naming a folder with `recurrent_10000.npz` (networks/make_recurrent.py), 10,000 neurons as well.
//! Throughput is in synaptic events; the spike counts of other emulators are the gate.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use snncc_compile::{Ctx, NoObserver, emit, partition, place, quantized, route};
use snncc_emu::{Emulator, Program, RunOptions};
use snncc_tests::recurrent::{self, KNOWN_SPIKE_COUNTS};
use snncc_tests::road;
use std::path::{Path, PathBuf};

fn networks() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("networks/recurrent_1000.npz");
    let large = std::env::var_os("SNNCC_BENCH_NETWORKS").map(|folder| Path::new(&folder).join("recurrent_10000.npz"));
    [Some(own), large].into_iter().flatten().collect()
}

fn bench(criterion: &mut Criterion) {
    let target = snncc_chip::target("unbounded-loihi").unwrap();
    let options = road::plain_timing();
    for path in networks() {
        let network = recurrent::load(&std::fs::read(&path).unwrap());
        let mut group = criterion.benchmark_group(format!("recurrent_{}", network.neurons));
        group.sample_size(10).sampling_mode(SamplingMode::Flat);

        let mut observer = NoObserver;
        let mut ctx = Ctx { target: &target, options: &options, calibration: None, observer: &mut observer };
        let ir = quantized(&network.network, &mut ctx).unwrap();
        group.bench_function("partition", |bencher| {
            bencher.iter_with_large_drop(|| partition::partition(ir.clone(), &mut ctx).unwrap());
        });
        let routed = partition::partition(ir.clone(), &mut ctx)
            .and_then(|partitioned| place::place(partitioned, &mut ctx))
            .and_then(|placed| route::route(placed, &mut ctx))
            .unwrap();
        group.bench_function("emit", |bencher| {
            bencher.iter_with_large_drop(|| emit::emit(&routed, &mut ctx).unwrap());
        });
        let image = emit::emit(&routed, &mut ctx).unwrap();
        let program = Program::load(&image, &target).unwrap();
        let stimulus = program.prepare(&network.stimulus).unwrap();
        for (name, timing) in [("functional", false), ("analytic", true)] {
            let run = RunOptions { timing, threads: false, ..RunOptions::default() };
            let mut emulator = Emulator::new(&program);
            let totals = emulator.run(&stimulus, network.steps, &run).totals;
            assert!(KNOWN_SPIKE_COUNTS.contains(&(network.neurons, totals.fired)), "{} spikes", totals.fired);
            group.throughput(Throughput::Elements(totals.synaptic_events));
            group.bench_function(format!("emulate_{name}"), |bencher| {
                bencher.iter(|| emulator.run(&stimulus, network.steps, &run).totals);
            });
        }
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
