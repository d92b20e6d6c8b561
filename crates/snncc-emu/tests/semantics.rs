//! Every rule of docs/CHIP_SEMANTICS.md on networks small enough to compute by hand.

mod common;

use common::{Builder, NEURON, Neuron, Source, synapse};
use snncc_data::{HostBias, PortStimulus, SpikeTrain, Stimulus};
use snncc_emu::{Emulator, Paths, Program, RunOptions, Selection, Trace};
use snncc_image::{Image, NoiseSetting, NoiseTarget, Readout, ResetModel};

fn record_all() -> RunOptions {
    RunOptions { spikes: Selection::All, states: Selection::All, core_steps: true, ..RunOptions::default() }
}

/// Runs an image on both paths, which must agree, and returns the trace.
fn run_image(builder: &Builder, image: &Image, stimulus: &Stimulus, steps: u32) -> Trace {
    let [fast, wide] = [Paths::Fastest, Paths::Wide].map(|paths| {
        let program = Program::load_with(image, &builder.target, paths).unwrap_or_else(|e| panic!("{e}"));
        let prepared = program.prepare(stimulus).unwrap_or_else(|e| panic!("{e}"));
        Emulator::new(&program).run(&prepared, steps, &record_all())
    });
    assert_eq!(fast, wide);
    fast
}

fn spikes(neurons: u32, steps: u32, events: &[(u32, u32)]) -> Stimulus {
    let spikes = SpikeTrain::from_events(neurons, steps, events).unwrap();
    Stimulus { ports: vec![PortStimulus { port: "in".into(), spikes }], host_biases: Vec::new() }
}

fn run(builder: &Builder, stimulus: &Stimulus, steps: u32) -> Trace {
    run_image(builder, &builder.build(), stimulus, steps)
}

/// One neuron on core 0 with a port of `elements` inputs.
fn single(target: &str, neuron: Neuron, elements: u32) -> Builder {
    let mut builder = Builder::new(target);
    builder.neuron(0, neuron);
    builder.port("in", elements);
    builder.population("out", &[(0, 0)], Readout::Membrane);
    builder
}

fn u_and_v(trace: &Trace) -> (&[i64], &[i64]) {
    let states = trace.populations[0].states.as_ref().unwrap();
    (&states.u, &states.v)
}

/// Steps in which neuron 0 of a population spikes.
fn spike_steps(trace: &Trace, population: usize) -> Vec<u32> {
    trace.populations[population].spikes.as_ref().unwrap().events().map(|(step, ..)| step).collect()
}

#[test]
fn a_spike_arrives_one_step_later_and_decays() {
    // ku = 4096 − 1 − 1023 = ¾, kv = ½, input 10 · 64.
    let mut builder = single("loihi-emu", Neuron { decay_u: 1023, decay_v: 2048, threshold: 1000, ..NEURON }, 1);
    builder.connect(Source::Port(0, 0), 0, synapse(0, 10));
    let trace = run(&builder, &spikes(1, 4, &[(1, 0), (4, 0)]), 4);
    assert_eq!(u_and_v(&trace), (&[0, 640, 480, 360][..], &[0, 640, 800, 760][..]));
    assert_eq!(trace.populations[0].final_membrane, Some(vec![760]));
    assert_eq!((trace.totals.host_spikes, trace.totals.synaptic_events, trace.totals.packets), (2, 2, 0));
    assert_eq!(trace.totals.updated, 3);
}

#[test]
fn negative_states_decay_toward_zero() {
    let mut builder = single("loihi-emu", Neuron { decay_u: 1023, decay_v: 4096 - 1, threshold: 1000, ..NEURON }, 1);
    builder.connect(Source::Port(0, 0), 0, synapse(0, -2));
    let trace = run(&builder, &spikes(1, 6, &[(1, 0)]), 6);
    // −128 · ¾ = −96, −72, −54, then −40.5 → −40; v adds 1/4096 of itself, rounded to 0.
    assert_eq!(u_and_v(&trace).0, [0, -128, -96, -72, -54, -40]);
    assert_eq!(u_and_v(&trace).1, [0, -128, -96, -72, -54, -40]);
}

#[test]
fn delays_go_round_the_ring() {
    let mut builder = single("loihi-emu", Neuron { threshold: 1000, ..NEURON }, 2);
    let mut late = synapse(0, 20);
    late.delay = 5;
    builder.connect(Source::Port(0, 0), 0, synapse(0, 10));
    builder.connect(Source::Port(0, 0), 0, late);
    builder.connect(Source::Port(0, 1), 0, late);
    let trace = run(&builder, &spikes(2, 10, &[(1, 0), (6, 0), (3, 1)]), 13);
    // Element 0 at 1: steps 2 (640) and 7 (1280); at 6: steps 7 (640) and 12 (1280). Element 1 at 3: step 9.
    let expected = [0, 640, 0, 0, 0, 0, 1920, 0, 1280, 0, 0, 1280, 0];
    assert_eq!(u_and_v(&trace), (&expected[..], &expected[..]));
}

#[test]
fn refractory_register_r_holds_the_voltage_r_minus_1_steps() {
    // v grows by 3200; it exceeds 6400 in the third step. R = 3 holds it for two.
    let neuron = Neuron { decay_v: 0, bias: (3200, 0), refractory: 3, ..NEURON };
    let trace = run(&single("loihi-emu", neuron, 1), &Stimulus::default(), 14);
    assert_eq!(spike_steps(&trace, 0), [3, 8, 13]);
    assert_eq!(u_and_v(&trace).1, [3200, 6400, 0, 0, 0, 3200, 6400, 0, 0, 0, 3200, 6400, 0, 0]);
    let trace = run(&single("loihi-emu", Neuron { refractory: 1, ..neuron }, 1), &Stimulus::default(), 9);
    assert_eq!(spike_steps(&trace, 0), [3, 6, 9]);
}

#[test]
fn the_current_goes_on_while_refractory() {
    let neuron = Neuron { decay_u: 0, decay_v: 0, refractory: 3, threshold: 1, ..NEURON };
    let mut builder = single("loihi-emu", neuron, 1);
    builder.connect(Source::Port(0, 0), 0, synapse(0, 64));
    let trace = run(&builder, &spikes(1, 5, &[(1, 0)]), 5);
    // ku = 4095/4096: 4096, 4095, 4094, 4093. It fires at 2 and again as soon as it may, at 5.
    assert_eq!(u_and_v(&trace), (&[0, 4096, 4095, 4094, 4093][..], &[0, 0, 0, 0, 0][..]));
    assert_eq!(spike_steps(&trace, 0), [2, 5]);
}

#[test]
fn the_input_wraps_at_21_bits_and_is_counted() {
    // 254 · 2^7 + 254 = 32 766 units of 64 fit; 254 · 2^7 + 128 · 2 = 2^15 units do not.
    for (mantissa, exponent, expected, left) in [(254, 0, 32_766 << 6, 0), (128, 1, -(1 << 21), 1)] {
        let mut builder = single("loihi-emu", Neuron { threshold: 131_071, ..NEURON }, 1);
        let mut large = synapse(0, 254);
        large.exponent = 7;
        let rest = common::Synapse { exponent, ..synapse(0, mantissa) };
        builder.connect(Source::Port(0, 0), 0, large);
        builder.connect(Source::Port(0, 0), 0, rest);
        let trace = run(&builder, &spikes(1, 2, &[(1, 0)]), 3);
        assert_eq!(u_and_v(&trace).0[1], expected);
        let overflows = trace.cores[0].overflows;
        assert_eq!((overflows.input.count, overflows.current.count), (left, 0));
        assert_eq!(overflows.input.first, (left > 0).then_some((2, 0)));
    }
}

#[test]
fn current_and_biased_current_wrap_at_23_bits() {
    // u0 · 4095/4096 = 8 386 559; + 32 766 · 64 leaves the register: 10 483 583 − 2^24.
    let full = Neuron { decay_u: 0, u: (1 << 23) - 1, threshold: 131_071, ..NEURON };
    let mut builder = single("loihi-emu", Neuron { start_step: 2, ..full }, 1);
    let mut large = synapse(0, 254);
    large.exponent = 7;
    builder.connect(Source::Port(0, 0), 0, large);
    builder.connect(Source::Port(0, 0), 0, synapse(0, 254));
    let trace = run(&builder, &spikes(1, 2, &[(1, 0)]), 2);
    assert_eq!(u_and_v(&trace).0, [0, 8_386_559 + (32_766 << 6) - (1 << 24)]);
    assert_eq!(trace.cores[0].overflows.current.first, Some((2, 0)));
    // u + bias: 8 386 559 + 4095 · 128 = 8 910 719, minus 2^24.
    let trace = run(&single("loihi-emu", Neuron { bias: (4095, 7), ..full }, 1), &Stimulus::default(), 1);
    assert_eq!(u_and_v(&trace), (&[8_386_559][..], &[8_910_719 - (1 << 24)][..]));
    let overflows = trace.cores[0].overflows;
    assert_eq!((overflows.biased_current.count, overflows.current.count, overflows.v_low.count), (1, 0, 0));
}

#[test]
fn voltages_clip_and_clips_are_counted_apart() {
    let high = Neuron { decay_v: 0, v: (1 << 23) - 1, bias: (64, 0), threshold: 131_071, ..NEURON };
    let trace = run(&single("loihi-emu", high, 1), &Stimulus::default(), 1);
    assert_eq!(spike_steps(&trace, 0), [1], "2^23 − 1 exceeds 131 071 · 64");
    assert_eq!((trace.cores[0].overflows.v_high.count, trace.cores[0].overflows.v_low.count), (1, 0));
    let builder = single("loihi-emu", Neuron { decay_v: 0, bias: (-64, 0), ..NEURON }, 1);
    let mut image = builder.build();
    image.cores[0].settings.v_min_exponent = Some(7);
    let trace = run_image(&builder, &image, &Stimulus::default(), 4);
    assert_eq!(u_and_v(&trace).1, [-64, -127, -127, -127], "−2^7 + 1");
    let overflows = trace.cores[0].overflows;
    assert_eq!((overflows.v_high.count, overflows.v_low.count, overflows.v_low.first), (0, 3, Some((2, 0))));
    let program = Program::load(&image, &builder.target).unwrap();
    assert!(trace.overflow_warnings(&program).is_empty(), "inhibition is ordinary");
}

#[test]
fn exponents_of_single_weights_round_down_one_by_one() {
    // −6 · 2^−2 = −1.5 → −2 each; in a sum it would be −3.
    let mut builder = single("loihi-emu", Neuron { threshold: 1000, ..NEURON }, 2);
    for element in 0..2 {
        let mut weak = synapse(0, -6);
        weak.exponent = -2;
        builder.connect(Source::Port(0, element), 0, weak);
    }
    let trace = run(&builder, &spikes(2, 2, &[(1, 0), (1, 1)]), 2);
    assert_eq!(u_and_v(&trace).0, [0, -4 * 64]);
}

#[test]
fn exponents_of_sums_apply_per_group_and_delay() {
    let weak = |mantissa, group, delay| common::Synapse { exponent: -1, group, delay, ..synapse(0, mantissa) };
    let arrives = |synapses: &[(u32, common::Synapse)], events: &[(u32, u32)], step: usize| {
        let mut builder = single("lava-emu", Neuron { threshold: 1000, ..NEURON }, 2);
        for (element, synapse) in synapses {
            builder.connect(Source::Port(0, *element), 0, *synapse);
        }
        let trace = run(&builder, &spikes(2, 3, events), 4);
        (u_and_v(&trace).0[step - 1] / 64, trace.step_records[step - 1].updated)
    };
    let together = [(1, 0), (1, 1)];
    assert_eq!(arrives(&[(0, weak(3, 0, 0)), (1, weak(3, 0, 0))], &together, 2), (3, 1), "one sum: 6 / 2");
    assert_eq!(arrives(&[(0, weak(3, 0, 0)), (1, weak(3, 1, 0))], &together, 2), (2, 1), "two groups: 1 + 1");
    assert_eq!(arrives(&[(0, weak(-3, 0, 0))], &together, 2), (-2, 1), "rounded down");
    // Element 0 spikes at 1 with delay 1, element 1 at 2 without: both arrive at 3, but are shifted separately.
    assert_eq!(arrives(&[(0, weak(3, 0, 1)), (1, weak(3, 0, 0))], &[(1, 0), (2, 1)], 3), (2, 1));
    // One list with two delays: 3 at step 2, 5 at step 3 (and 3 again, sent in step 2).
    let both = [(0, weak(3, 0, 0)), (0, weak(5, 0, 1))];
    assert_eq!(arrives(&both, &[(1, 0), (2, 0)], 3), (1 + 2, 1));
    // A sum of 0 is input nevertheless.
    assert_eq!(arrives(&[(0, weak(1, 0, 0))], &[(1, 0)], 2), (0, 1));
    assert_eq!(arrives(&[(0, weak(1, 0, 0))], &[(1, 0)], 3), (0, 0));
}

#[test]
fn the_brian2_profile_clips_effective_weights_and_nothing_else() {
    let neuron = Neuron { decay_u: 0, decay_v: 4096, threshold: 131_071, u: 1 << 40, ..NEURON };
    let mut builder = single("brian2-loihi-emu", neuron, 1);
    let mut huge = synapse(0, 254 * 1000 + 1);
    huge.exponent = 0;
    builder.connect(Source::Port(0, 0), 0, huge);
    let trace = run(&builder, &spikes(1, 2, &[(1, 0)]), 2);
    // The weight is clipped to 2^21 − 64; u keeps everything (ku = 4096) and never wraps.
    assert_eq!(u_and_v(&trace).0, [1 << 40, (1 << 40) + (1 << 21) - 64]);
    assert_eq!(trace.cores[0].overflows, snncc_emu::Overflows::default());
}

#[test]
fn lava_wraps_the_current_once() {
    let neuron = Neuron { decay_u: 4095, threshold: 131_071, ..NEURON };
    let mut builder = single("lava-emu", neuron, 1);
    builder.connect(Source::Port(0, 0), 0, synapse(0, 131_072));
    let trace = run(&builder, &spikes(1, 2, &[(1, 0)]), 2);
    assert_eq!((u_and_v(&trace).0[1], trace.cores[0].overflows.current.count), (1 << 23, 0), "2^23 is inside");
    let mut builder = single("lava-emu", neuron, 1);
    builder.connect(Source::Port(0, 0), 0, synapse(0, 131_073));
    let trace = run(&builder, &spikes(1, 2, &[(1, 0)]), 2);
    assert_eq!((u_and_v(&trace).0[1], trace.cores[0].overflows.current.count), (64 - (1 << 23), 1));
}

#[test]
fn graded_spikes_multiply_weights() {
    let mut builder = single("lava-emu", Neuron { threshold: 1000, ..NEURON }, 2);
    builder.connect(Source::Port(0, 0), 0, common::Synapse { exponent: -1, ..synapse(0, 3) });
    builder.connect(Source::Port(0, 1), 0, common::Synapse { group: 1, ..synapse(0, 7) });
    let mut stimulus = spikes(2, 3, &[]);
    // Steps 1 to 3: (5, 0), (0, −2), (−1, 1).
    stimulus.ports[0].spikes = SpikeTrain::from_dense(2, &[5, 0, 0, -2, -1, 1]).unwrap();
    let trace = run(&builder, &stimulus, 4);
    assert_eq!(u_and_v(&trace).0, [0, 7 * 64, -14 * 64, (-2 + 7) * 64], "15 / 2 = 7; −3 / 2 = −2");
    let loihi = single("loihi-emu", NEURON, 2);
    let program = Program::load(&loihi.build(), &loihi.target).unwrap();
    let refusal = program.prepare(&stimulus).unwrap_err();
    assert_eq!(refusal.0[0].code.number(), "SNN0210");
    assert!(refusal.0[0].message.contains("magnitude 5"), "{refusal}");
}

#[test]
fn ternary_neurons_send_minus_one() {
    let mut builder = Builder::new("loihi-emu");
    let ternary = Neuron { reset: ResetModel::Ternary, threshold: 10, lower_threshold: -10, decay_v: 0, ..NEURON };
    builder.neuron(0, Neuron { bias: (-400, 0), ..ternary });
    builder.neuron(0, Neuron { bias: (321, 0), ..ternary });
    builder.neuron(1, Neuron { threshold: 1000, ..NEURON });
    builder.connect(Source::Core(0, 0), 1, synapse(0, 10));
    builder.connect(Source::Core(0, 1), 1, synapse(0, 2));
    builder.population("ternary", &[(0, 0), (0, 1)], Readout::Spikes);
    builder.population("after", &[(1, 0)], Readout::Membrane);
    let trace = run(&builder, &Stimulus::default(), 4);
    // −400, −800 < −640: −1 in steps 2 and 4. 321, 642 > 640: +1 likewise.
    let train = trace.populations[0].spikes.as_ref().unwrap();
    assert_eq!(train.events().collect::<Vec<_>>(), [(2, 0, -1), (2, 1, 1), (4, 0, -1), (4, 1, 1)]);
    assert_eq!(trace.populations[1].states.as_ref().unwrap().u, [0, 0, -8 * 64, 0]);
    assert_eq!(trace.populations[1].spikes.as_ref().unwrap().payloads, None);
}

#[test]
fn periodic_neurons_are_cleared_before_the_update() {
    let reset = ResetModel::Periodic { interval: 3, offset: 4 };
    let neuron = Neuron { reset, decay_v: 0, decay_u: 0, bias: (10, 0), u: 64, ..NEURON };
    let trace = run(&single("loihi-emu", neuron, 1), &Stimulus::default(), 7);
    // Cleared at 1, 4, 7: the initial current never acts.
    assert_eq!(u_and_v(&trace), (&[0; 7][..], &[10, 20, 30, 10, 20, 30, 10][..]));
}

#[test]
fn noise_is_added_where_the_register_says_while_samples_last() {
    for (target, u, v) in
        [(NoiseTarget::Dendrite, [7, -3, 0], [8, 6, 7]), (NoiseTarget::Membrane, [0, 0, 0], [8, 6, 7])]
    {
        let builder = single("loihi-emu", Neuron { decay_v: 0, bias: (1, 0), ..NEURON }, 1);
        let mut image = builder.build();
        image.cores[0].settings.noise = Some(NoiseSetting { exponent: 3, mantissa_offset: 0, target });
        image.cores[0].noise_samples = vec![vec![7], vec![-3]];
        let trace = run_image(&builder, &image, &Stimulus::default(), 3);
        assert_eq!(u_and_v(&trace), (&u[..], &v[..]));
    }
}

#[test]
fn bias_and_initial_state_wait_for_the_start_step() {
    let neuron = Neuron { decay_u: 4095 - 2048, decay_v: 0, bias: (5, 1), start_step: 3, u: 100, v: 1000, ..NEURON };
    let mut builder = single("loihi-emu", neuron, 1);
    builder.connect(Source::Port(0, 0), 0, synapse(0, 2));
    let trace = run(&builder, &spikes(1, 3, &[(1, 0), (2, 0)]), 4);
    // Step 2: u = 128. Step 3: u = 100 / 2 + 128 (the write replaces 128), v = 1000 + 178 + 10.
    assert_eq!(u_and_v(&trace), (&[0, 128, 178, 89][..], &[0, 128, 1188, 1287][..]));
    assert_eq!(trace.totals.host_writes, 3, "bias, u and v");
    assert_eq!(run(&builder, &spikes(1, 1, &[]), 2).totals.host_writes, 0, "the start step was not reached");
}

#[test]
fn host_currents_become_biases() {
    // 64 units a volt: 1.5 → 96, on top of bias 4; 100.02 → 6401.28 + 4 → 6405.28 → 3203 · 2.
    let mut builder = Builder::new("loihi-emu");
    builder.neuron(0, Neuron { bias: (4, 0), threshold: 1000, ..NEURON });
    builder.neuron(0, Neuron { bias: (4, 0), threshold: 1000, start_step: 2, ..NEURON });
    builder.population("out", &[(0, 0), (0, 1)], Readout::Membrane);
    let current = HostBias { population: "out".into(), current: vec![1.5, 100.02] };
    let stimulus = Stimulus { ports: Vec::new(), host_biases: vec![current] };
    let trace = run(&builder, &stimulus, 2);
    assert_eq!(u_and_v(&trace).1, [100, 0, 100, 6406]);
    assert_eq!(trace.totals.host_writes, 2);
    let program = Program::load(&builder.build(), &builder.target).unwrap();
    let rounding = &program.prepare(&stimulus).unwrap().rounding[0];
    assert!((rounding.max_error_units - 0.72).abs() < 1e-9 && rounding.registers == 2, "{rounding:?}");
    let too_much = HostBias { population: "out".into(), current: vec![0.0, 9000.0] };
    let refusal = program.prepare(&Stimulus { ports: Vec::new(), host_biases: vec![too_much] }).unwrap_err();
    assert_eq!(refusal.0[0].code.number(), "SNN0601");
}

#[test]
fn shared_lists_reach_each_axons_own_targets() {
    let mut builder = Builder::new("loihi-emu");
    for _ in 0..4 {
        builder.neuron(0, Neuron { threshold: 1000, ..NEURON });
    }
    builder.port("in", 3);
    let kernel = [synapse(0, 2), synapse(1, 4)].map(|entry| common::Synapse { shared: true, ..entry });
    for element in 0..3 {
        builder.share(Source::Port(0, element), 0, 1, element, &kernel);
    }
    builder.population("out", &[(0, 3), (0, 2), (0, 1), (0, 0)], Readout::Membrane);
    assert_eq!(builder.build().cores[0].lists.len(), 1);
    let trace = run(&builder, &spikes(3, 1, &[(1, 0), (1, 1), (1, 2)]), 2);
    // Compartments 0 to 3 get 2, 4 + 2, 4 + 2, 4; the population is in reverse.
    assert_eq!(u_and_v(&trace).1[4..], [256, 384, 384, 128]);
}

#[test]
fn a_run_forgets_the_one_before() {
    let neuron = Neuron { decay_u: 100, decay_v: 100, refractory: 4, threshold: 3, ..NEURON };
    let mut builder = single("loihi-emu", neuron, 1);
    builder.connect(Source::Port(0, 0), 0, common::Synapse { delay: 3, ..synapse(0, 100) });
    builder.connect(Source::Core(0, 0), 0, common::Synapse { delay: 2, ..synapse(0, -40) });
    let program = Program::load(&builder.build(), &builder.target).unwrap();
    let stimulus = spikes(1, 9, &[(1, 0), (3, 0), (8, 0), (9, 0)]);
    let prepared = program.prepare(&stimulus).unwrap();
    let mut emulator = Emulator::new(&program);
    let first = emulator.run(&prepared, 9, &record_all());
    assert!(first.totals.fired > 0);
    emulator.run(&prepared, 7, &record_all());
    assert_eq!(emulator.run(&prepared, 9, &record_all()), first);
    let silent = Stimulus::default();
    let silent = emulator.run(&program.prepare(&silent).unwrap(), 9, &record_all());
    assert_eq!((silent.totals.fired, silent.totals.updated), (0, 0));
}
