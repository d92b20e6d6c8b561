//! Results depend neither on the path that a core takes nor on threads.

mod common;

use common::{Builder, NEURON, Neuron, Source, Synapse, recurrent, synapse};
use snncc_data::{PortStimulus, Purpose, RandomStream, SpikeTrain, Stimulus};
use snncc_emu::{Emulator, Paths, Program, RunOptions, Selection};
use snncc_image::{Image, Readout};

const STEPS: u32 = 40;
const INPUTS: u32 = 6;

/// A random network on up to three cores, with weights and biases that overflow now and then.
fn random_network(random: &mut RandomStream) -> (Builder, Image, Stimulus) {
    let mut builder = Builder::new("loihi-emu");
    let mut below = |bound: u64| random.below(bound);
    let cores = 1 + below(3) as u32;
    let neurons: Vec<u32> = (0..cores).map(|_| 1 + below(150) as u32).collect();
    let refractory = below(2) == 0;
    let extreme = below(3) == 0;
    let kinds: Vec<Neuron> = (0..1 + below(8))
        .map(|_| Neuron {
            decay_u: below(if extreme { 40 } else { 4096 }) as u16,
            decay_v: below(4096) as u16,
            refractory: if refractory { 1 + below(5) as u16 } else { 1 },
            threshold: 1 + below(if extreme { 131_071 } else { 300 }) as i32,
            ..NEURON
        })
        .collect();
    for core in 0..cores {
        for _ in 0..neurons[core as usize] {
            let mut neuron = kinds[below(kinds.len() as u64) as usize];
            if below(3) == 0 {
                neuron.bias = (below(8192) as i32 - 4096, if extreme { below(8) as i8 } else { 0 });
                neuron.start_step = below(6) as u32;
                neuron.u = below(1 << 24) as i64 - (1 << 23);
                neuron.v = below(1 << 24) as i64 - (1 << 23);
            }
            builder.neuron(core, neuron);
        }
    }
    let port = builder.port("in", INPUTS);
    let sources = (0..INPUTS).map(|element| Source::Port(port, element));
    let compartments = (0..cores).flat_map(|core| (0..neurons[core as usize]).map(move |n| Source::Core(core, n)));
    let exponents = [0, 0, if extreme { 7 } else { 1 }, -3];
    for source in sources.chain(compartments) {
        for core in 0..cores {
            for _ in 0..below(12) {
                builder.connect(
                    source,
                    core,
                    Synapse {
                        exponent: exponents[below(4) as usize],
                        delay: below(8).saturating_sub(3) as u8,
                        ..synapse(below(u64::from(neurons[core as usize])) as u32, 2 * (below(255) as i32 - 127))
                    },
                );
            }
        }
    }
    let mut places: Vec<(u32, u32)> =
        (0..cores).flat_map(|core| (0..neurons[core as usize]).map(move |n| (core, n))).collect();
    places.reverse();
    builder.population("all", &places, Readout::Membrane);
    let mut image = builder.build();
    for core in &mut image.cores {
        core.settings.v_min_exponent = Some([0, 8, 20, 23][below(4) as usize]);
        core.settings.v_max_exponent = Some(5 + below(3) as u8);
    }
    let dense: Vec<i32> = (0..STEPS * INPUTS).map(|_| i32::from(below(3) == 0)).collect();
    let spikes = SpikeTrain::from_dense(INPUTS, &dense).unwrap();
    (builder, image, Stimulus { ports: vec![PortStimulus { port: "in".into(), spikes }], host_biases: Vec::new() })
}

#[test]
fn both_paths_compute_the_same() {
    let mut random = RandomStream::new(3, Purpose::Generation, 0, "paths");
    let options =
        RunOptions { spikes: Selection::All, states: Selection::All, core_steps: true, ..RunOptions::default() };
    let (mut narrow, mut fired, mut overflows) = (0, 0, [0; 5]);
    for _ in 0..60 {
        let (builder, image, stimulus) = random_network(&mut random);
        let [fast, wide] = [Paths::Fastest, Paths::Wide].map(|paths| {
            let program = Program::load_with(&image, &builder.target, paths).unwrap_or_else(|e| panic!("{e}"));
            narrow += program.narrow_cores();
            Emulator::new(&program).run(&program.prepare(&stimulus).unwrap(), STEPS, &options)
        });
        assert!(fast == wide, "the paths differ");
        fired += fast.totals.fired;
        for core in &fast.cores {
            let o = &core.overflows;
            let counts = [o.input, o.current, o.biased_current, o.v_high, o.v_low];
            counts.iter().zip(&mut overflows).for_each(|(count, sum)| *sum += count.count);
        }
    }
    assert!(narrow >= 60, "the narrow path was taken {narrow} times");
    assert!(fired > 1000 && overflows.iter().all(|count| *count > 0), "{fired} spikes, overflows {overflows:?}");
}

#[test]
fn threads_change_nothing() {
    let (builder, stimulus) = recurrent::network("unbounded-loihi", 40, 4000, 30);
    // Enough silent compartments that the emulator finds threads worth while.
    let mut builder = builder;
    for core in 0..40 {
        for _ in 0..2000 {
            builder.neuron(core, NEURON);
        }
    }
    let program = Program::load(&builder.build(), &builder.target).unwrap();
    assert!(program.worth_threads());
    let prepared = program.prepare(&stimulus).unwrap();
    let options =
        RunOptions { spikes: Selection::All, states: Selection::All, core_steps: true, ..RunOptions::default() };
    let traces = [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Emulator::new(&program).run(&prepared, 30, &options))
    });
    assert!(traces[0].totals.fired > 0);
    assert!(traces[0] == traces[1], "threads changed the trace");
}
