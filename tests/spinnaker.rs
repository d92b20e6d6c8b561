//! The whole road for SpiNNaker-like machines: network → image bytes → emulator, equal to the integer reference in every spike
//! and membrane, and near the float network.

use snncc_chip::{MachineShape, Target, target};
use snncc_compile::spinnaker::{Compiled, compile};
use snncc_compile::{Ctx, NoObserver, Options};
use snncc_data::Stimulus;
use snncc_emu::Selection;
use snncc_emu::spinnaker::{
    SpinnakerEmulator, SpinnakerMachine, SpinnakerProgram, SpinnakerRunOptions, SpinnakerTiming, SpinnakerTrace,
};
use snncc_ids::Diagnostics;
use snncc_image::spinnaker::SpinnakerImage;
use snncc_ir::network::{DelayTime, SynapseDelay};
use snncc_ir::{Network, Node, PopulationRole};
use snncc_reference::spinnaker::SpinnakerNetwork;
use snncc_reference::{IntegerInput, IntegerRecord};
use snncc_tests::random::Random;
use snncc_tests::random_network::{floats, stimulus};
use snncc_verify::{EmulatedMachine, Plan, SampleInput, Witnesses, verify};

fn compiled(network: &Network, target: &Target) -> Result<Compiled, Diagnostics> {
    let options = Options::default();
    compile(network, &mut Ctx { target, options: &options, calibration: None, observer: &mut NoObserver })
}

/// From image bytes.
fn program(image: &SpinnakerImage, target: &Target) -> SpinnakerProgram {
    let bytes = image.to_bytes();
    let image = SpinnakerImage::from_bytes(&bytes).unwrap_or_else(|problems| panic!("{problems}"));
    let machine = SpinnakerMachine::of(target);
    SpinnakerProgram::load(&image, &target.model, &machine, &target.file.costs)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// Emulator and reference on the same input, compared in every spike and every membrane.
fn assert_equal(compiled: &Compiled, target: &Target, stimulus: &Stimulus, steps: u32) -> SpinnakerTrace {
    let program = program(&compiled.image, target);
    let prepared = program.prepare(stimulus).unwrap_or_else(|problems| panic!("{problems}"));
    let options = SpinnakerRunOptions { spikes: Selection::All, states: Selection::All, ..Default::default() };
    let trace = SpinnakerEmulator::new(&program).run(&prepared, steps, &options);
    let graph = &compiled.ir.graph;
    let neurons: Vec<_> = graph
        .populations
        .iter_with_ids()
        .filter(|(_, population)| population.role == PopulationRole::Neurons)
        .map(|(id, _)| id)
        .collect();
    let reference = SpinnakerNetwork::new(&compiled.ir, &target.model);
    let input = IntegerInput { ports: &stimulus.ports, added_bias: &[] };
    let expected = reference.run(&input, steps, &IntegerRecord { state: neurons.clone() }).unwrap();
    for (at, id) in neurons.iter().enumerate() {
        let name = &graph.populations[*id].name;
        let found = &trace.populations[program.population(name).expect("a population of the network")];
        assert_eq!(found.counts, expected.common.counts[*id], "spikes of `{name}`");
        assert_eq!(found.spikes.as_ref().unwrap(), &expected.common.spikes[*id], "spikes of `{name}`");
        assert_eq!(found.states.as_ref().unwrap().v, expected.common.state[at].v, "membranes of `{name}`");
    }
    // What delay extensions still hold has not come to its rows yet.
    let (found, all) = (trace.totals.synaptic_events, expected.common.synaptic_events);
    assert!(found == all || found < all && !compiled.split.extensions.is_empty(), "{found} synaptic events of {all}");
    let saturated: u64 = expected.common.overflows.iter().map(|overflows| overflows.inputs).sum();
    assert_eq!(trace.totals.saturations, saturated);
    assert_eq!((trace.totals.drops.total(), trace.totals.unmatched), (0, 0));
    // With time enough, processors and links that run against each other give the same.
    let timing = SpinnakerTiming::Link;
    let linked = SpinnakerRunOptions { timing, tick_ps: Some(1_000_000_000_000), ..options };
    let linked = SpinnakerEmulator::new(&program).run(&prepared, steps, &linked);
    let faults = linked.link.as_ref().unwrap().faults;
    assert!(!faults.change_results() && faults.late_rows.count == 0, "{faults:?}");
    assert_eq!(linked.populations, trace.populations);
    let counts = |of: &SpinnakerTrace| {
        let sums = of.totals;
        (sums.fired, sums.packets, sums.packets_in, sums.without_row, sums.hops, sums.rows, sums.synaptic_events)
    };
    assert_eq!(counts(&linked), counts(&trace));
    trace
}

/// On a machine that is too slow, what differs does so for late packets, and is told as such.
#[test]
fn late_packets_are_told_apart_from_errors() {
    let mut slow = target("spinnaker-emu").unwrap();
    let snncc_chip::CoreKind::Spinnaker(core) = &mut slow.model.core else { panic!("another kind of chip") };
    core.costs.get_mut(&slow.file.costs).unwrap().clock_hz.0 = 2_000_000;
    let (mut late, mut ran) = (0, 0);
    for seed in 0..40 {
        let network = floats(seed);
        let Ok(compiled) = compiled(&network, &slow) else { continue };
        let program = program(&compiled.image, &slow);
        let chip = EmulatedMachine::new(&program, Some(1_000_000_000), false).with_timing(SpinnakerTiming::Link);
        let quantized = snncc_verify::Compiled::Spinnaker { quantized: &compiled.ir, image: &compiled.image };
        let witnesses = Witnesses { float: None, compiled: quantized, model: &slow.model, chip: &chip };
        let stimulus = stimulus(&network, &mut Random(seed), 40, 20, 1);
        let sample = |_| Ok(SampleInput { stimulus: stimulus.clone(), ..SampleInput::default() });
        let found = verify(&witnesses, &Plan { samples: 1, steps: 30, ..Plan::default() }, &sample).unwrap();
        ran += 1;
        if let Some(problem) = found.diagnostics().first() {
            assert_eq!((problem.code.number(), problem.code.exit()), ("SNN0803", 8), "{problem}");
            assert!(found.disturbances.iter().any(|row| row.changes_results && row.count > 0));
            late += 1;
        }
    }
    assert!(late > 5 && ran > 10, "{late} of {ran}");
}

#[test]
fn random_networks_run_on_the_machine_as_in_the_reference() {
    let (mut ran, mut fired) = (0, 0);
    for seed in 0..150 {
        let network = floats(seed);
        let name = ["spinnaker-emu", "spinnaker-48chip"][seed as usize % 2];
        let target = target(name).unwrap();
        let Ok(compiled) = compiled(&network, &target) else { continue };
        let mut random = Random(seed);
        let stimulus = stimulus(&network, &mut random, 40, 20, 1);
        let trace = assert_equal(&compiled, &target, &stimulus, 40);
        ran += 1;
        fired += trace.totals.fired;
    }
    assert!(ran > 60 && fired > 1_000, "{ran} networks ran, {fired} spikes");
}

/// All delays of a network, times a factor, plus what differs from synapse to synapse.
fn stretched(mut network: Network, factor: u32) -> Network {
    let steps = |delay: u32| delay * factor;
    for node in network.nodes.iter_mut() {
        match &mut node.node {
            Node::Affine(affine) => match &mut affine.delay {
                SynapseDelay::None => {}
                SynapseDelay::Uniform(delay) => *delay = steps(*delay),
                SynapseDelay::PerSynapse(delays) => {
                    for (at, delay) in (0_u32..).zip(delays) {
                        *delay = steps(*delay) + at % 5;
                    }
                }
            },
            Node::Convolution(convolution) => convolution.delay = steps(convolution.delay),
            Node::Delay { delay: DelayTime::Steps(delay), .. } => *delay = delay.map(steps),
            _ => {}
        }
    }
    network
}

#[test]
fn long_delays_are_held_on_the_way() {
    let (mut ran, mut extensions, mut fired) = (0, 0, 0);
    for seed in 0..200 {
        let network = stretched(floats(seed), [1, 3, 17, 50][seed as usize % 4]);
        let mut target = target(["spinnaker-emu", "spinnaker-48chip"][seed as usize % 2]).unwrap();
        let snncc_chip::CoreKind::Spinnaker(core) = &mut target.model.core else { panic!("another kind of chip") };
        // Small ring buffers: long delays leave a core few neurons, or none.
        core.limits.ring_buffer_bits.0 = 3 + (seed % 5) as u8;
        let Ok(compiled) = compiled(&network, &target) else { continue };
        if compiled.split.extensions.is_empty() {
            continue;
        }
        let mut random = Random(seed);
        let latency = compiled.ir.graph.populations.iter().map(|population| population.latency_steps).max();
        let steps = 40 + latency.unwrap_or(0);
        let stimulus = stimulus(&network, &mut random, steps, 20, 1);
        let trace = assert_equal(&compiled, &target, &stimulus, steps);
        ran += 1;
        extensions += compiled.split.extensions.len();
        fired += trace.totals.fired;
    }
    assert!(ran > 30 && extensions > 60 && fired > 1_000, "{ran} ran with {extensions} extensions, {fired} spikes");
}

#[test]
fn one_machine_or_many_gives_the_same_spikes() {
    let mut ran = 0;
    for seed in 0..60 {
        let network = floats(seed);
        let one = target("spinnaker-emu").unwrap();
        // Chips of three usable cores, in a ring with a broken link. Slices are the same, and so are left shifts.
        let mut many = target("spinnaker-48chip").unwrap();
        many.file.machine = Some(MachineShape::Rectangle { wraps: (true, false) });
        many.file.dead_links = vec![(0, 0, 0), (3, 1, 2)];
        let snncc_chip::CoreKind::Spinnaker(core) = &mut many.model.core else { panic!("another kind of chip") };
        core.limits.neurons.0 = 7;
        let mut one = one;
        one.model.core = many.model.core.clone();
        let Ok(first) = compiled(&network, &one) else { continue };
        many.model.mesh.cores_per_router.0 = 6;
        let Ok(second) = compiled(&network, &many) else { continue };
        assert_eq!(first.split, second.split);
        let mut random = Random(seed);
        let stimulus = stimulus(&network, &mut random, 40, 20, 1);
        let (first, second) = (assert_equal(&first, &one, &stimulus, 40), assert_equal(&second, &many, &stimulus, 40));
        let counts = |trace: &SpinnakerTrace| trace.populations.iter().map(|p| p.counts.clone()).collect::<Vec<_>>();
        assert_eq!(counts(&first), counts(&second), "seed {seed}");
        ran += 1;
    }
    assert!(ran > 20, "{ran} networks ran");
}
