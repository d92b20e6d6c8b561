//! Speed of the emulator on a random recurrent network: 10,000 neurons on one core, 100 synapses each, 1,000 inputs of 20
//! synapses that spike with probability 0.1, about 4 % of the neurons firing in a step.

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Builder, NEURON, Neuron, Source, synapse};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use snncc_data::{PortStimulus, Purpose, RandomStream, SpikeTrain, Stimulus};
use snncc_emu::{Emulator, Paths, Program, RunOptions};
use snncc_image::Readout;

const NEURONS: u32 = 10_000;
const INPUTS: u32 = NEURONS / 10;
const STEPS: u32 = 1000;

/// The network on this target, its neurons dealt out in equal parts to this many cores.
fn network(target: &str, cores: u32) -> (Builder, Stimulus) {
    let mut random = RandomStream::new(1, Purpose::Generation, 0, "bench");
    let mut builder = Builder::new(target);
    let share = NEURONS.div_ceil(cores);
    let place = |neuron: u32| (neuron / share, neuron % share);
    for neuron in 0..NEURONS {
        builder.neuron(place(neuron).0, Neuron { decay_u: 1023, decay_v: 256, threshold: 2000, ..NEURON });
    }
    let port = builder.port("input", INPUTS);
    let mut targets = |count: usize, random: &mut RandomStream| {
        let mut chosen = std::collections::BTreeSet::new();
        while chosen.len() < count {
            chosen.insert(random.below(u64::from(NEURONS)) as u32);
        }
        chosen
    };
    for neuron in 0..NEURONS {
        for target in targets(100, &mut random) {
            let weight = 2 * (1 + random.below(12) as i32) * if neuron >= NEURONS / 5 * 4 { -5 } else { 1 };
            let (from, to) = (place(neuron), place(target));
            builder.connect(Source::Core(from.0, from.1), to.0, synapse(to.1, weight));
        }
    }
    for input in 0..INPUTS {
        for target in targets(20, &mut random) {
            let to = place(target);
            builder.connect(Source::Port(port, input), to.0, synapse(to.1, 200));
        }
    }
    let places: Vec<_> = (0..NEURONS).map(place).collect();
    builder.population("neurons", &places, Readout::Spikes);
    let mut spikes = SpikeTrain::new(INPUTS);
    for _ in 0..STEPS {
        spikes.push_step((0..INPUTS).filter(|_| random.below(10) == 0).collect::<Vec<_>>());
    }
    (builder, Stimulus { ports: vec![PortStimulus { port: "input".into(), spikes }], host_biases: Vec::new() })
}

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
        let (builder, stimulus) = network(target, cores);
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
