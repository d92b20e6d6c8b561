//! Speed of the emulator on a random recurrent network of 10,000 neurons, packed on one core and spread over a hundred.

#[path = "../tests/common/mod.rs"]
mod common;

use common::recurrent::network;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use snncc_emu::{Emulator, Paths, Program, RunOptions};

const STEPS: u32 = 1000;

fn emulate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("emulate");
    group.sample_size(10);
    for (name, target, cores, paths, options) in [
        ("one-core", "unbounded-loihi", 1, Paths::Fastest, RunOptions::default()),
        (
            "one-core-functional",
            "unbounded-loihi",
            1,
            Paths::Fastest,
            RunOptions { timing: false, ..RunOptions::default() },
        ),
        ("one-core-wide", "unbounded-loihi", 1, Paths::Wide, RunOptions::default()),
        ("one-core-brian2", "brian2-loihi-emu", 1, Paths::Fastest, RunOptions::default()),
        ("100-cores", "unbounded-loihi", 100, Paths::Fastest, RunOptions { threads: false, ..RunOptions::default() }),
        ("100-cores-threads", "unbounded-loihi", 100, Paths::Fastest, RunOptions::default()),
    ] {
        let (builder, stimulus) = network(target, cores, 10_000, STEPS);
        let program = Program::load_with(&builder.build(), &builder.target, paths).unwrap();
        let stimulus = program.prepare(&stimulus).unwrap();
        let mut emulator = Emulator::new(&program);
        let trace = emulator.run(&stimulus, STEPS, &options);
        println!("{name}: {} spikes, {} synaptic events", trace.totals.fired, trace.totals.synaptic_events);
        group.throughput(Throughput::Elements(trace.totals.synaptic_events));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| emulator.run(&stimulus, STEPS, &options));
        });
    }
    group.finish();
}

criterion_group!(benches, emulate);
criterion_main!(benches);
