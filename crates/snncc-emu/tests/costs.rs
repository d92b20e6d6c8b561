//! Time and energy computed by hand, and hops against the target's paths.

mod common;

use common::{Builder, NEURON, Neuron, Source, synapse};
use snncc_chip::{Barrier, Basis, Target, UpdateRule};
use snncc_data::{PortStimulus, SpikeTrain, Stimulus};
use snncc_emu::{Bound, CoreStep, Emulator, Energy, Program, RunOptions, Trace};
use snncc_ids::CoreId;
use snncc_image::Readout;

fn trace_of(builder: &Builder, steps: u32) -> Trace {
    let program = Program::load(&builder.build(), &builder.target).unwrap_or_else(|e| panic!("{e}"));
    let spikes = SpikeTrain::from_events(1, 1, &[(1, 0)]).unwrap();
    let stimulus = Stimulus { ports: vec![PortStimulus { port: "in".into(), spikes }], host_biases: Vec::new() };
    let prepared = program.prepare(&stimulus).unwrap();
    Emulator::new(&program).run(&prepared, steps, &RunOptions { core_steps: true, ..RunOptions::default() })
}

/// The host makes compartment 0 of core 0 fire in step 2; it sends to core 3 (one step east, one south) and to its own.
fn two_cores(target: Target) -> Builder {
    let mut builder = Builder::on(target);
    builder.neuron(0, Neuron { threshold: 1, ..NEURON });
    builder.neuron(0, NEURON);
    builder.neuron(3, NEURON);
    builder.port("in", 1);
    builder.connect(Source::Port(0, 0), 0, synapse(0, 20));
    builder.connect(Source::Core(0, 0), 0, synapse(1, 2));
    builder.connect(Source::Core(0, 0), 3, synapse(0, 2));
    builder.connect(Source::Core(0, 0), 3, synapse(0, -2));
    builder.population("a", &[(0, 0), (0, 1)], Readout::Spikes);
    builder
}

#[test]
fn two_cores_by_hand() {
    let trace = trace_of(&two_cores(snncc_chip::target("tiny-loihi").unwrap()), 3);
    // davies2018: access 5.3 ns, update 3.1, axon out 2.1, synapse 3.5; barrier 113 + 352 / 31 ns for two routers.
    assert_eq!(trace.barrier_ps, 124_354);
    let times = [(10_600, 3_500), (5_300, 0), (17_900, 3_500), (5_300, 7_000), (16_800, 0), (8_400, 0)]
        .map(|(send_ps, receive_ps)| CoreStep { send_ps, receive_ps });
    assert_eq!(trace.core_steps, times, "step 3: a current left over and an input that sums to 0 are updates too");
    let steps = &trace.step_records;
    assert_eq!(steps.iter().map(|step| step.time_ps).collect::<Vec<_>>(), [134_954, 142_254, 141_154]);
    assert_eq!(
        steps.iter().map(|step| (step.updated, step.fired, step.packets, step.hops)).collect::<Vec<_>>(),
        [(0, 0, 0, 0), (1, 1, 2, 2), (3, 0, 0, 0)]
    );
    let second = Energy {
        soma_fj: 3 * 52_000 + 29_000,
        axon_out_fj: 2 * 1_700,
        hops_fj: 3_000 + 4_000,
        axon_in_fj: 0,
        synapses_fj: 3 * 23_600,
    };
    assert_eq!(steps[1].energy, second);
    assert_eq!(steps[0].energy.total_fj(), 3 * 52_000 + 23_600);
    let totals = &trace.totals;
    assert_eq!((totals.synaptic_events, totals.packets, totals.host_messages), (4, 2, 1));
    assert_eq!(totals.time_ps, steps.iter().map(|step| u128::from(step.time_ps)).sum());
    assert_eq!(totals.energy.total_fj(), steps.iter().map(|step| u128::from(step.energy.total_fj())).sum());
    assert_eq!(totals.energy.total_fj(), trace.cores.iter().map(|core| core.energy.total_fj()).sum());
    assert_eq!((totals.barrier_bound_steps, steps[1].bound), (3, Bound::Barrier));
    assert_eq!((trace.cores[1].messages_in, trace.cores[1].synaptic_events, trace.cores[0].messages_out), (1, 2, 2));
}

#[test]
fn the_largest_of_send_receive_and_barrier_bounds_a_step() {
    let mut target = snncc_chip::target("tiny-loihi").unwrap();
    let table = target.model.costs.get_mut("davies2018").unwrap();
    table.barrier =
        Barrier::Table { entries: vec![(1, 1_000), (2, 6_000)], source: "davies2018".into(), basis: Basis::Assumed };
    table.axon_in.time_ps = 20_000;
    table.axon_in.energy_fj = 7;
    let trace = trace_of(&two_cores(target.clone()), 3);
    // Step 1: the host's message costs 23.5 ns. Step 2: core 3 receives in 27. Step 3: core 0 sends in 16.8.
    let bounds: Vec<Bound> = trace.step_records.iter().map(|step| step.bound).collect();
    assert_eq!(bounds, [Bound::Receive(0), Bound::Receive(1), Bound::Send(0)]);
    assert_eq!(trace.step_records.iter().map(|step| step.time_ps).collect::<Vec<_>>(), [29_500, 33_000, 22_800]);
    assert_eq!((trace.cores[0].bound_steps, trace.cores[1].bound_steps), (2, 1));
    assert_eq!(trace.totals.energy.axon_in_fj, 3 * 7);

    target.model.costs.get_mut("davies2018").unwrap().updated = UpdateRule::Always;
    let always = trace_of(&two_cores(target), 3);
    assert_eq!(always.totals.updated, 9);
    assert_eq!(always.core_steps[0].send_ps, 10_600 + 2 * 3_100);
    assert_eq!(always.totals.fired, trace.totals.fired);
}

#[test]
fn without_timing_only_counts_are_kept() {
    let builder = two_cores(snncc_chip::target("tiny-loihi").unwrap());
    let program = Program::load(&builder.build(), &builder.target).unwrap();
    let stimulus = Stimulus::default();
    let options = RunOptions { timing: false, core_steps: true, ..RunOptions::default() };
    let trace = Emulator::new(&program).run(&program.prepare(&stimulus).unwrap(), 2, &options);
    assert_eq!((trace.totals.time_ps, trace.totals.energy.total_fj()), (0, 0));
    assert!(trace.core_steps.is_empty());
}

#[test]
fn hops_are_those_of_the_targets_paths_over_chips_too() {
    let mut target = snncc_chip::target("loihi-2chip").unwrap();
    target.model.costs.get_mut("davies2018").unwrap().chip_crossing.energy_fj = 1_000_000;
    for (from, to) in [(0, 0), (0, 3), (0, 127), (5, 200), (130, 90), (255, 1)] {
        let mut builder = Builder::on(target.clone());
        builder.neuron(from, Neuron { threshold: 1, ..NEURON });
        if to != from {
            builder.neuron(to, NEURON);
        }
        builder.port("in", 1);
        builder.connect(Source::Port(0, 0), from, synapse(0, 20));
        builder.connect(Source::Core(from, 0), to, synapse(0, 2));
        let trace = trace_of(&builder, 2);
        let (mut energy, mut hops) = (0, 0);
        for hop in target.path(CoreId(from), CoreId(to)) {
            energy += if hop.vertical { 4_000 } else { 3_000 } + if hop.crosses_chip { 1_000_000 } else { 0 };
            hops += 1;
        }
        assert_eq!((trace.totals.packets, trace.totals.hops, trace.totals.energy.hops_fj), (1, hops, energy));
    }
}

#[test]
fn formats_price_their_synapses() {
    let mut target = snncc_chip::target("loihi-emu").unwrap();
    target.file.costs = "sanafe-calibrated".into();
    let mut builder = Builder::on(target);
    builder.neuron(0, NEURON);
    builder.port("in", 1);
    builder.connect(Source::Port(0, 0), 0, synapse(0, 2));
    builder.connect(Source::Port(0, 0), 0, common::Synapse { shared: true, ..synapse(0, 2) });
    let trace = trace_of(&builder, 1);
    // One sparse, one shared; 16 ns for the message.
    assert_eq!(trace.core_steps[0].receive_ps, 16_000 + 4_700 + 3_100);
    assert_eq!(trace.totals.energy.synapses_fj, 33_600 + 24_000);
}
