//! SpiNNaker-like machines by hand: docs/CHIP_SEMANTICS.md, "SpiNNaker-like cores", sentence by sentence, and what is refused.

#[path = "common/spinnaker.rs"]
mod common;

use common::{COLOUR_BITS, CURRENTS, DELTA, NEURON, Net, Neuron, Work, entry, key_of, recorded};
use snncc_data::{HostBias, PortStimulus, Purpose, RandomStream, SpikeTrain, Stimulus};
use snncc_emu::spinnaker::{Drops, SpinnakerEmulator, SpinnakerProgram, SpinnakerRunOptions};
use snncc_image::spinnaker::layout::{Synapse, SynapseFormat, push_block};
use snncc_image::spinnaker::table::{PopulationEntry, PopulationTable};
use snncc_image::spinnaker::{ApplicationCore, CoreProgram, DelayExtension, NeuronCore, ProgramKind, SpinnakerImage};

/// Never spikes, keeps its membrane whole.
const SUM: Neuron = Neuron { membrane_keep: 1 << 15, v_threshold: i32::MAX, ..NEURON };

fn neurons(image: &mut SpinnakerImage) -> &mut NeuronCore {
    let mut cores = image.chips.iter_mut().flat_map(|chip| &mut chip.cores);
    let find = cores.find_map(|core| match &mut core.program {
        CoreProgram::Neurons(core) => Some(core),
        CoreProgram::Injector(_) | CoreProgram::DelayExtension(_) => None,
    });
    find.expect("a core with neurons")
}

#[test]
fn a_spike_arrives_after_its_delay_up_to_all_slots() {
    let mut net = Net::new(1, 1);
    let input = net.injector(0, 2);
    let core = net.neurons(0, DELTA, vec![SUM], 4);
    net.connect((input, 0), (core, 0), 10, 1);
    net.connect((input, 0), (core, 0), -3, 2);
    net.connect((input, 1), (core, 0), 500, 4);
    // Twice in a row: the slot of delay 4 is that of the step itself, which has been taken.
    let trace = net.run(&[("in0", &[(1, 0), (2, 1), (3, 1)])], 8, &recorded());
    assert_eq!(trace.details[0].as_ref().unwrap().v, [0, 10, 7, 7, 7, 507, 1007, 1007]);
    assert_eq!(trace.populations[0].states.as_ref().unwrap().u, [0, 10, -3, 0, 0, 500, 500, 0]);
    assert_eq!(trace.populations[0].final_membrane, Some(vec![1007]));
    let first = &trace.step_records[0];
    assert_eq!((first.packets, first.packets_in, first.rows, first.synaptic_events), (1, 1, 1, 2));
    assert_eq!((first.hops, first.host_spikes, trace.totals.packets), (0, 1, 3));
}

#[test]
fn ring_buffers_saturate_and_count_it() {
    let mut net = Net::new(1, 1);
    let input = net.injector(0, 3);
    let core = net.neurons(0, DELTA, vec![SUM, SUM], 4);
    if let Work::Neurons { left_shifts, .. } = &mut net.cores[core].work {
        *left_shifts = [3, 0];
    }
    for source in 0..3 {
        net.connect((input, source), (core, 1), 40_000, 2);
    }
    // Exactly full is not above.
    net.connect((input, 1), (core, 0), -65_535, 2);
    let trace = net.run(&[("in0", &[(1, 0), (1, 1), (1, 2), (4, 0)])], 6, &recorded());
    let detail = trace.details[0].as_ref().unwrap();
    // [step][neuron]: the second neuron in step 3, and in step 6.
    assert_eq!((detail.slots[0][5], detail.slots[0][11]), (0xffff, 40_000));
    assert_eq!(detail.v[11], 8 * (0xffff + 40_000));
    // One slot, whatever the number of additions, where it is taken.
    assert_eq!((trace.totals.saturations, trace.step_records[2].saturations), (1, 1));
    assert_eq!((trace.cores[1].saturations.count, trace.cores[1].saturations.first), (1, Some((3, 1))));
    let warnings = trace.overflow_warnings(&net.program());
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].code.number(), "SNN0702");
    assert!(warnings[0].notes[0].contains("step 3, neuron 1 of the core (neuron 1 of `n1`)"), "{:?}", warnings[0]);
}

#[test]
fn packets_go_straight_on_over_chips_without_an_entry() {
    let mut net = Net::new(5, 1);
    let input = net.injector(0, 1);
    let core = net.neurons(3, DELTA, vec![SUM], 4);
    net.connect((input, 0), (core, 0), 10, 1);
    net.routes = vec![(0, entry(input, 1)), (3, entry(input, 1 << (6 + 2)))];
    let trace = net.run(&[("in0", &[(1, 0)])], 2, &recorded());
    assert_eq!(trace.details[0].as_ref().unwrap().v, [0, 10]);
    assert_eq!((trace.totals.hops, trace.totals.energy.hops_fj), (3, 3_000_000));
    // Without the last entry it leaves the machine; without the first it is lost on its chip.
    net.routes[1].1.key = 0;
    let trace = net.run(&[("in0", &[(1, 0)])], 2, &recorded());
    assert_eq!((trace.totals.hops, trace.totals.packets_in), (4, 0));
    assert_eq!(trace.totals.drops, Drops { dead_links: 1, ..Drops::default() });
    net.routes = vec![(3, entry(input, 1 << 8))];
    let trace = net.run(&[("in0", &[(1, 0)])], 2, &recorded());
    assert_eq!(trace.totals.drops, Drops { unrouted: 1, ..Drops::default() });
    assert_eq!(net.program().lost_copies().total(), 1);
}

#[test]
fn one_entry_may_bring_packets_that_a_core_has_no_row_for() {
    let mut net = Net::new(1, 1);
    let input = net.injector(0, 1);
    let first = net.neurons(0, DELTA, vec![SUM], 4);
    net.neurons(0, DELTA, vec![SUM], 4);
    net.connect((input, 0), (first, 0), 10, 1);
    net.routes = vec![(0, entry(input, 1 << 9 | 1 << 10))];
    let trace = net.run(&[("in0", &[(2, 0)])], 3, &recorded());
    assert_eq!((trace.totals.packets_in, trace.totals.unmatched, trace.totals.rows), (2, 1, 1));
    assert_eq!((trace.cores[2].unmatched, trace.populations[1].final_membrane.clone()), (1, Some(vec![0])));
}

#[test]
fn refractory_neurons_wait_and_lose_their_input() {
    let mut net = Net::new(1, 1);
    // 40 in each step from the offset; a spike sets to 5 and takes two steps.
    let neuron = Neuron { i_offset: 40, v_reset: 5, refractory_steps: 2, membrane_keep: 1 << 15, ..NEURON };
    let core = net.neurons(0, DELTA, vec![neuron], 4);
    let reset = net.run(&[], 8, &recorded());
    assert_eq!(reset.details[0].as_ref().unwrap().v, [40, 80, 5, 5, 5, 45, 85, 5]);
    assert_eq!(reset.details[0].as_ref().unwrap().refractory_left, [0, 0, 2, 1, 0, 0, 0, 2]);
    assert_eq!((reset.populations[0].counts[0], reset.totals.refractory), (2, 2));
    // Subtracting: threshold less reset off the membrane.
    if let Work::Neurons { kind, .. } = &mut net.cores[core].work {
        kind.subtracts = true;
    }
    let subtracted = net.run(&[], 8, &recorded());
    assert_eq!(subtracted.details[0].as_ref().unwrap().v, [40, 80, 25, 25, 25, 65, 10, 10]);
    let spikes = subtracted.populations[0].spikes.as_ref().unwrap();
    assert_eq!(spikes.events().collect::<Vec<_>>(), [(3, 0, 1), (7, 0, 1)]);
}

#[test]
fn delta_leaks_towards_rest_and_saturates() {
    let mut net = Net::new(1, 1);
    // Half of the distance is kept, rounded down: mul(2^14, −10 − v).
    let leaky = Neuron { v: 11, v_rest: -10, membrane_keep: 1 << 14, v_threshold: i32::MAX, ..NEURON };
    let full = Neuron { v: i32::MAX - 10, i_offset: 8, ..SUM };
    net.neurons(0, DELTA, vec![leaky, full], 4);
    let trace = net.run(&[], 3, &recorded());
    let v = &trace.details[0].as_ref().unwrap().v;
    // −10 − ⌊−21/2⌋ = 1, −10 − ⌊−11/2⌋ = −4, −10 − ⌊−6/2⌋ = −7.
    assert_eq!([v[0], v[2], v[4]], [1, -4, -7]);
    assert_eq!([v[1], v[3], v[5]], [i32::MAX - 2, i32::MAX, i32::MAX]);
    assert_eq!((trace.totals.membrane_saturations, trace.cores[0].membrane_high.count), (2, 2));
    assert_eq!(trace.populations[0].counts, [0, 0], "the largest threshold is no threshold");
}

#[test]
fn currents_drive_the_membrane_as_written() {
    let mut net = Net::new(1, 1);
    let input = net.injector(0, 1);
    // Half of a current is kept; three quarters of the input enter it. R = 2, half of the distance is kept.
    let neuron = Neuron {
        resistance: 2 << 15,
        membrane_keep: 1 << 14,
        decay: [1 << 31; 2],
        init: [3 << 30; 2],
        v_threshold: 1000,
        ..NEURON
    };
    let core = net.neurons(0, CURRENTS, vec![neuron], 2);
    net.connect((input, 0), (core, 0), 101, 1);
    net.connect((input, 0), (core, 0), -10, 2);
    let trace = net.run(&[("in0", &[(1, 0)])], 4, &recorded());
    let detail = trace.details[0].as_ref().unwrap();
    assert_eq!(detail.currents, [vec![0, 75, 37, 18], vec![0, 0, 7, 3]]);
    // Goals 150, 60, 30: v = goal − ⌊(goal − v) / 2⌋.
    assert_eq!(detail.v, [0, 75, 68, 49]);
}

#[test]
fn input_waits_for_the_start_step() {
    let mut net = Net::new(1, 1);
    let input = net.injector(0, 2);
    let core = net.neurons(0, DELTA, vec![SUM], 4);
    net.connect((input, 0), (core, 0), 10, 3);
    net.connect((input, 1), (core, 0), 100, 1);
    if let Work::Neurons { start_step, .. } = &mut net.cores[core].work {
        *start_step = 4;
    }
    // Input of steps 4 and 5; that of step 2 is thrown away in its step.
    let trace = net.run(&[("in0", &[(1, 0), (1, 1), (2, 0)])], 6, &recorded());
    assert_eq!(trace.details[0].as_ref().unwrap().v, [0, 0, 0, 10, 20, 20]);
    assert_eq!((trace.step_records[2].updated, trace.step_records[3].updated), (0, 1));
}

#[test]
fn cycles_time_and_energy_are_sums_of_the_table() {
    let mut net = Net::new(2, 1);
    let input = net.injector(0, 1);
    let core = net.neurons(1, DELTA, vec![Neuron { v_threshold: 5, refractory_steps: 1, ..NEURON }, SUM], 4);
    net.connect((input, 0), (core, 0), 10, 1);
    net.connect((input, 0), (core, 1), -10, 1);
    net.routes = vec![(0, entry(input, 1)), (1, entry(input, 1 << 8)), (1, entry(core, 1 << 3))];
    let options = SpinnakerRunOptions { tick_ps: Some(4_000_000), ..recorded() };
    let trace = net.run(&[("in0", &[(1, 0)])], 3, &options);
    let cycles = [
        // Injector: a packet. Neurons: four empty slots, two updates, a packet in, a row of two words and its transfer.
        [75, 4 * 13 + 2 * 124 + 512 + 20 + 2 * 31 + (3 + 2) * 4],
        // An excitatory slot and an inhibitory one; a packet out.
        [0, 2 * 13 + 31 + 32 + 2 * 124 + 75],
        [0, 4 * 13 + 97 + 124],
    ];
    let times: Vec<u64> = cycles.iter().flatten().map(|cycles| cycles * 5_000).collect();
    assert_eq!(trace.core_times_ps, times);
    assert_eq!(trace.cores[1].cycles, cycles.iter().map(|step| step[1]).sum::<u64>());
    let records = &trace.step_records;
    assert_eq!((records[0].time_ps, records[0].slowest_core, records[0].overruns), (914 * 5_000, 1, 1));
    assert_eq!((records[1].time_ps, records[1].slowest_ps, records[1].overruns), (4_000_000, 412 * 5_000, 0));
    assert_eq!((trace.totals.overrun_steps, trace.totals.overruns, trace.cores[1].overruns), (1, 1, 1));
    // One hop from the injector; the spike of step 2 goes to chip 0, where no entry is for it, and on over the edge.
    assert_eq!((records[0].hops, records[1].hops, records[1].dropped), (1, 1, 1));
    let time_ps: u128 = 4_570_000 + 2 * 4_000_000;
    assert_eq!((trace.totals.time_ps, records[0].time_ps), (time_ps, 4_570_000));
    assert_eq!(trace.totals.energy.hops_fj, 2_000_000);
    assert_eq!(trace.totals.energy.chips_fj, 2 * 350_000 * time_ps / 1000);
    assert_eq!(trace.totals.energy.cores_fj, 2 * 34_000 * time_ps / 1000);
}

/// A recurrent network over chips in a ring: spikes of every core reach three others.
fn large() -> Net {
    let mut net = Net::new(4, 1);
    net.machine.wraps = [true, false];
    let mut random = RandomStream::new(7, Purpose::Generation, 0, "");
    let input = net.injector(0, 64);
    let mut cores = Vec::new();
    for chip in 0..4 {
        for _ in 0..6 {
            let neuron = Neuron { membrane_keep: 8_000, v_threshold: 1_000, refractory_steps: 1, ..NEURON };
            cores.push(net.neurons(chip, CURRENTS, vec![neuron; 100], 8));
        }
    }
    for source in 0..100 {
        for (at, &core) in cores.iter().enumerate() {
            for step in [1, 5, 7] {
                let target = cores[(at + step) % cores.len()];
                for _ in 0..4 {
                    let weight = random.below(2_000) as i32 - 900;
                    net.connect((core, source), (target, random.below(100) as u32), weight, 1 + random.below(8) as u32);
                }
            }
            if source < 64 {
                net.connect((input, source), (core, source), 2_500, 1);
            }
        }
    }
    for source in 0..net.cores.len() {
        let chip = net.cores[source].chip;
        let mut targets = [0; 4];
        for target in net.cores.iter().filter(|target| target.synapses.contains_key(&source)) {
            targets[target.chip as usize] |= 1 << (6 + target.core);
        }
        // Once round to the east, as far as there are targets.
        let far = (0..4).filter(|hop| targets[((chip + hop) % 4) as usize] != 0).max().unwrap_or(0);
        for hop in 0..=far {
            let at = (chip + hop) % 4;
            net.routes.push((at, entry(source, targets[at as usize] | u32::from(hop < far))));
        }
    }
    net
}

#[test]
fn threads_change_nothing() {
    let net = large();
    let program = net.program();
    assert_eq!(program.lost_copies(), Drops::default());
    let events: Vec<(u32, u32)> = (1..=20).flat_map(|step| (0..64).step_by(3).map(move |at| (step, at))).collect();
    let spikes = SpikeTrain::from_events(64, 40, &events).unwrap();
    let stimulus = Stimulus { ports: vec![PortStimulus { port: "in0".into(), spikes }], host_biases: Vec::new() };
    let prepared = program.prepare(&stimulus).unwrap();
    let mut emulator = SpinnakerEmulator::new(&program);
    let one = emulator.run(&prepared, 40, &SpinnakerRunOptions { threads: false, ..recorded() });
    let many = emulator.run(&prepared, 40, &recorded());
    assert_eq!(one, many);
    assert!(one.totals.fired > 1_000 && one.totals.hops > 1_000, "{:?}", one.totals);
    assert_eq!((one.totals.unmatched, one.totals.drops.total()), (0, 0));
    let counts: u64 = one.populations.iter().flat_map(|population| &population.counts).map(|n| u64::from(*n)).sum();
    assert_eq!(counts, one.totals.fired);
}

type Damage = Box<dyn Fn(&mut Net, &mut SpinnakerImage)>;

#[test]
fn what_does_not_fit_is_refused_with_numbers() {
    let cases: Vec<(Damage, &str, &str)> = vec![
        (Box::new(|_, i| i.model_hash[0] ^= 1), "SNN0701", "another version of hardware model `spinnaker1`"),
        (Box::new(|n, _| n.machine.columns = 1), "SNN0109", "no chip 1"),
        (Box::new(|n, _| n.machine.absent_chips.extend([1])), "SNN0109", "no chip 1"),
        (Box::new(|n, _| n.machine.ethernet_chips.extend([0])), "SNN0109", "the system takes the first 3 cores"),
        (Box::new(|n, _| n.machine.dead_cores.extend([20])), "SNN0109", "core 2 of chip (1, 0): the machine lists"),
        (
            Box::new(|_, i| {
                i.cores_per_chip = 17;
                i.populations.clear();
                i.outputs.clear();
            }),
            "SNN0109",
            "17 cores on each chip, and the chip has 18",
        ),
        (Box::new(|_, i| i.chips[0].cores[0].key = Some(0x18)), "SNN0109", "no multiple of the 32 keys"),
        (
            Box::new(|_, i| i.chips[0].cores[0].key = Some(key_of(1))),
            "SNN0109",
            "its key 0x20000 is one of core 2 of chip (0, 0) too",
        ),
        (
            Box::new(|_, i| i.chips[1].routes[0].route = 1 << 9),
            "SNN0109",
            "core 3 of chip (1, 0), which has neither neurons",
        ),
        (Box::new(|_, i| i.chips[0].routes = vec![i.chips[0].routes[0]; 1024]), "SNN0109", "1024 routing entries"),
        (Box::new(|_, i| neurons(i).kind.subtracts = true), "SNN0109", "no program whose spikes subtract"),
        (Box::new(|_, i| neurons(i).synapse_parameters[7] = 16), "SNN0109", "a left shift of 16; the largest is 15"),
        (Box::new(|_, i| neurons(i).synapse_parameters[4] = 14), "SNN0109", "16 ring buffer bits in use, 14 there"),
        (
            Box::new(|_, i| neurons(i).population_table[4] = 3 << 13 | 1 << 16),
            "SNN0109",
            "has 3 colour bits, keys have 4",
        ),
        (
            Box::new(|_, i| neurons(i).population_table[6] = 1 << 16),
            "SNN0109",
            "key 0x10010 wants row 1 of the block at word 0, which has 1 rows",
        ),
        (Box::new(|_, i| neurons(i).synaptic_words[1] = 9), "SNN0109", "9 synapse words"),
        (Box::new(|_, i| i.populations[0].units_per_volt[0] = 0.0), "SNN0109", "no usable scale"),
        (Box::new(|_, i| i.populations[0].latency_steps = 100), "SNN0109", "latency of 100 steps"),
        (
            Box::new(|_, i| {
                let place = i.populations[0].locations[0];
                i.populations[0].locations[1] = place;
            }),
            "SNN0109",
            "is taken by another neuron",
        ),
    ];
    for (damage, code, what) in cases {
        let mut net = Net::new(2, 1);
        let input = net.injector(0, 2);
        let core = net.neurons(1, DELTA, vec![SUM, SUM], 4);
        net.connect((input, 0), (core, 0), 10, 1);
        net.routes = vec![(0, entry(input, 1)), (1, entry(input, 1 << 8)), (1, entry(core, 1))];
        net.spinnaker().arithmetic.subtraction.0 = false;
        let mut image = net.image();
        assert!(SpinnakerProgram::load(&image, &net.model, &net.machine, "ticks").is_ok());
        if what.contains("has 1 rows") {
            // One row instead of two.
            neurons(&mut image).synaptic_words.truncate(4);
        }
        damage(&mut net, &mut image);
        let problems = SpinnakerProgram::load(&image, &net.model, &net.machine, "ticks").expect_err(what);
        let found = &problems.0[0];
        assert_eq!(found.code.number(), code, "{problems}");
        assert!(found.message.contains(what), "`{}` does not say `{what}`", found.message);
    }
}

#[test]
fn capacities_are_counted() {
    let refuse = |what: &str, change: &dyn Fn(&mut Net)| {
        let mut net = Net::new(1, 1);
        let input = net.injector(0, 2);
        let core = net.neurons(0, DELTA, vec![SUM; 8], 4);
        net.connect((input, 0), (core, 0), 10, 1);
        net.connect((input, 0), (core, 1), 10, 1);
        change(&mut net);
        let problems = SpinnakerProgram::load(&net.image(), &net.model, &net.machine, "ticks").expect_err(what);
        assert!(problems.0[0].message.contains(what), "`{problems}` does not say `{what}`");
    };
    // 8 neurons · 60, 64 slots · 2, 2 row buffers of 5 words, a table of 8 words, 256 spikes.
    let bytes = 8 * 60 + 64 * 2 + 2 * 5 * 4 + 8 * 4 + 256 * 4;
    refuse(&format!("{bytes} dtcm bytes in use, {} there", bytes - 1), &|net| {
        net.spinnaker().limits.dtcm_bytes.0 = bytes - 1;
    });
    // 8 neurons · 60; 9 words of parameters, 8 of the table, 2 rows of 5.
    let bytes = 8 * 60 + (9 + 8 + 10) * 4;
    refuse(&format!("{bytes} bytes of shared memory in use, {} there", bytes - 1), &|net| {
        net.spinnaker().limits.sdram_bytes.0 = bytes - 1;
    });
    refuse("8 neurons in use, 7 there", &|net| net.spinnaker().limits.neurons.0 = 7);
    refuse("2 row words in use, 1 there", &|net| net.spinnaker().limits.row_words.0 = 1);
    refuse("2 sources in use, 1 there", &|net| net.spinnaker().limits.neurons.0 = 1);
    let mut net = Net::new(1, 1);
    net.neurons(0, ProgramKind { subtracts: true, ..CURRENTS }, vec![NEURON], 1);
    let problems = SpinnakerProgram::load(&net.image(), &net.model, &net.machine, "tick").unwrap_err();
    assert_eq!(problems.0[0].code.number(), "SNN0111");
    assert_eq!(problems.0[0].help, ["did you mean `ticks`?"]);
}

#[test]
fn stimuli_must_match() {
    let mut net = Net::new(1, 1);
    let input = net.injector(0, 2);
    let core = net.neurons(0, DELTA, vec![SUM], 4);
    net.connect((input, 0), (core, 0), 10, 1);
    let program = net.program();
    let code = |port: &str, spikes: SpikeTrain, host_biases: Vec<HostBias>| {
        let stimulus = Stimulus { ports: vec![PortStimulus { port: port.into(), spikes }], host_biases };
        program.prepare(&stimulus).map(|_| ()).map_err(|problems| problems.0[0].code.number())
    };
    assert_eq!(code("in0", SpikeTrain::silent(2, 3), Vec::new()), Ok(()));
    assert_eq!(code("in1", SpikeTrain::silent(2, 3), Vec::new()), Err("SNN0210"));
    assert_eq!(code("in0", SpikeTrain::silent(3, 3), Vec::new()), Err("SNN0210"));
    assert_eq!(code("in0", SpikeTrain::from_dense(2, &[0, 2]).unwrap(), Vec::new()), Err("SNN0210"));
    let bias = |population: &str, current: &[f64]| {
        let biases = vec![HostBias { population: population.into(), current: current.to_vec() }];
        code("in0", SpikeTrain::silent(2, 3), biases)
    };
    assert_eq!(bias("n1", &[1.0]), Ok(()));
    assert_eq!((bias("n2", &[1.0]), bias("n1", &[1.0, 2.0])), (Err("SNN0210"), Err("SNN0210")));
    assert_eq!((bias("n1", &[1e10]), bias("n1", &[f64::NAN])), (Err("SNN0601"), Err("SNN0601")));
    let twice = [1.0, 2.0].map(|volts| HostBias { population: "n1".into(), current: vec![volts] });
    assert_eq!(code("in0", SpikeTrain::silent(2, 3), twice.to_vec()), Err("SNN0210"));
}

#[test]
fn the_host_writes_constant_inputs_for_one_run() {
    let mut net = Net::new(1, 1);
    let neuron = Neuron { i_offset: 3, v_threshold: 1000, ..SUM };
    net.neurons(0, DELTA, vec![neuron, neuron], 4);
    let program = net.program();
    let mut emulator = SpinnakerEmulator::new(&program);
    // One unit a volt: 3 + 1.5 rounds to the even 4, 3 − 20.2 to −17.
    let current = HostBias { population: "n0".into(), current: vec![1.5, -20.2] };
    let stimulus = Stimulus { ports: Vec::new(), host_biases: vec![current] };
    let run = |emulator: &mut SpinnakerEmulator<'_>, stimulus: &Stimulus| {
        let trace = emulator.run(&program.prepare(stimulus).unwrap(), 2, &recorded());
        (trace.details[0].as_ref().unwrap().v.clone(), trace.totals.host_writes)
    };
    assert_eq!(run(&mut emulator, &stimulus), (vec![4, -17, 8, -34], 2));
    assert_eq!(run(&mut emulator, &Stimulus::default()), (vec![3, 3, 6, 6], 0), "the next run has the image's own");
}

/// An image with a source of two neurons on one chip, whose spikes go to a third neuron and to a delay extension of two stages of
/// four steps, which sends them there again.
fn delayed() -> (Net, SpinnakerImage) {
    let mut net = Net::new(1, 1);
    let input = net.injector(0, 2);
    let core = net.neurons(0, DELTA, vec![NEURON], 4);
    net.connect((input, 0), (core, 0), 1, 4);
    let mut image = net.image();
    let delay = DelayExtension {
        key: key_of(input),
        mask: !0x1f,
        colour_bits: COLOUR_BITS,
        first: 0,
        neurons: 2,
        stages: 2,
        stage_steps: 4,
        sent: vec![0b1110],
    };
    let chip = &mut image.chips[0];
    let key = key_of(9);
    chip.cores.push(ApplicationCore { core: 8, key: Some(key), program: CoreProgram::DelayExtension(delay) });
    chip.routes[0].route |= 1 << (6 + 8);
    chip.routes.push(entry(9, 1 << (6 + net.cores[core].core)));
    // Rows of four sources: neuron 1 after 4 and 8 steps, neuron 0 after 8.
    let memory = neurons(&mut image);
    let mut table = PopulationTable::decode(&memory.population_table).unwrap();
    let format = SynapseFormat::new(1, 2, 4);
    let word = |weight, delay| vec![format.word(Synapse { weight, delay, synapse_type: 0, target: 0 })];
    let rows = [Vec::new(), word(10, 1), word(20, 2), word(40, 4)];
    table.addresses.push(push_block(&mut memory.synaptic_words, &rows));
    table.entries.push(PopulationEntry::of_core(key, 4, COLOUR_BITS, 1, 1));
    memory.population_table = table.encode();
    // Source 1 of the injector and source 0 of the extension have no row.
    memory.bit_fields = vec![0b01, 0b1110];
    (net, image)
}

#[test]
fn delay_extensions_send_spikes_again() {
    let (net, image) = delayed();
    let image = SpinnakerImage::from_bytes(&image.to_bytes()).unwrap();
    let program = SpinnakerProgram::load(&image, &net.model, &net.machine, "ticks").unwrap();
    let spikes = SpikeTrain::from_dense(2, &[1, 0, 0, 1, 0, 0]).unwrap();
    let stimulus = Stimulus { ports: vec![PortStimulus { port: "in0".into(), spikes }], host_biases: Vec::new() };
    let prepared = program.prepare(&stimulus).unwrap();
    let trace = SpinnakerEmulator::new(&program).run(&prepared, 16, &recorded());
    // Neuron 0 in step 1: its row, 4 steps; stage 2 in step 9, 2 steps. Neuron 1 in step 2: stage 1 in step 6, 1 step; stage 2 in
    // step 10, 4 steps.
    let slots = &trace.details[0].as_ref().unwrap().slots[0];
    let expected = (1..=16).map(|step| match step {
        5 => 1,
        7 => 10,
        11 => 20,
        14 => 40,
        _ => 0,
    });
    assert!(slots.iter().copied().eq(expected), "{slots:?}");
    // Two packets of the host, to two cores each, and three of the extension.
    assert_eq!((trace.totals.packets, trace.totals.packets_in, trace.totals.rows), (5, 7, 4));
    assert_eq!((trace.totals.without_row, trace.totals.unmatched, trace.totals.synaptic_events), (3, 0, 4));
    // Of the extension: two packets, and two words of bits in each of 16 steps.
    let (table, cores) = (&net.model.spinnaker().unwrap().costs["ticks"], &trace.cores);
    let cycles = 2 * table.spike_without_row.cycles + 32 * table.ring_empty.cycles + 3 * table.packet_out.cycles;
    assert_eq!(cores[2].cycles, u64::from(cycles));
}

#[test]
fn delay_extensions_that_do_not_fit_are_refused() {
    let (net, image) = delayed();
    let refusal = |damage: fn(&mut DelayExtension)| {
        let mut image = image.clone();
        let CoreProgram::DelayExtension(delay) = &mut image.chips[0].cores[2].program else { panic!("core 8 delays") };
        damage(delay);
        SpinnakerProgram::load(&image, &net.model, &net.machine, "ticks").unwrap_err().to_string()
    };
    assert!(refusal(|delay| delay.stage_steps = 1 << 15).contains("66592 dtcm bytes in use"));
    assert!(refusal(|delay| delay.colour_bits = 3).contains("3 colour bits; keys have 4"));
}

/// Damaged images are refused or run, and do neither panic nor run away.
#[test]
fn damaged_images_are_answered() {
    let mut net = Net::new(2, 2);
    net.machine.wraps = [true; 2];
    let input = net.injector(0, 2);
    let core = net.neurons(1, CURRENTS, vec![NEURON; 3], 4);
    net.connect((input, 0), (core, 0), 200, 1);
    net.connect((core, 0), (core, 1), 200, 2);
    net.routes = vec![(0, entry(input, 1)), (1, entry(input, 1 << 8)), (1, entry(core, 1 << 8 | 2))];
    let sound = net.image().to_bytes();
    let (extended, other) = delayed();
    let other = other.to_bytes();
    let mut random = RandomStream::new(3, Purpose::Generation, 0, "");
    let (mut ran, mut refused) = (0, 0);
    for round in 0..6_000 {
        let mut image = SpinnakerImage::from_bytes(if round < 4_000 { &sound } else { &other }).unwrap();
        let machine = if round < 4_000 { &net.machine } else { &extended.machine };
        damage(&mut image, &mut random);
        match SpinnakerProgram::load(&image, &net.model, machine, "ticks") {
            Err(_) => refused += 1,
            Ok(program) => {
                let spikes = SpikeTrain::from_dense(2, &[1, 1, 0, 1]).unwrap();
                let ports = vec![PortStimulus { port: "in0".into(), spikes }];
                let stimulus = Stimulus { ports, host_biases: Vec::new() };
                if let Ok(stimulus) = program.prepare(&stimulus) {
                    SpinnakerEmulator::new(&program).run(&stimulus, 6, &recorded());
                    ran += 1;
                }
            }
        }
    }
    assert!(ran > 300 && refused > 300, "{ran} ran, {refused} refused");
}

/// Replaces one number of an image.
fn damage(image: &mut SpinnakerImage, random: &mut RandomStream) {
    let value = [0, 1, 2, 3, 1 << 16, 0x0001_0010, i32::MAX as u32, 1 << 31, u32::MAX, random.next_u64() as u32]
        [random.below(10) as usize];
    let kind = random.below(12);
    let chips = image.chips.len() as u64;
    match kind {
        0 => {
            let chip = random.below(chips) as usize;
            let routes = &mut image.chips[chip].routes;
            let at = random.below(routes.len() as u64) as usize;
            match random.below(3) {
                0 => routes[at].key = value,
                1 => routes[at].mask = value,
                _ => routes[at].route = value,
            }
        }
        1 => image.chips[random.below(chips) as usize].cores[0].key = Some(value),
        2 => image.chips[random.below(chips) as usize].chip = value,
        3 => image.chips[0].cores[0].program = CoreProgram::Injector(value),
        4 | 5 => {
            let cores = image.chips.iter_mut().flat_map(|chip| &mut chip.cores);
            for core in cores {
                let CoreProgram::DelayExtension(delay) = &mut core.program else { continue };
                let fields = [
                    &mut delay.key,
                    &mut delay.mask,
                    &mut delay.first,
                    &mut delay.neurons,
                    &mut delay.stages,
                    &mut delay.stage_steps,
                    &mut delay.sent[0],
                ];
                *fields.into_iter().nth(random.below(7) as usize).unwrap() = value;
            }
        }
        _ => {
            let core = neurons(image);
            let words = match kind {
                6 => &mut core.synapse_parameters,
                7 | 8 => &mut core.population_table,
                9 if !core.bit_fields.is_empty() => &mut core.bit_fields,
                _ => &mut core.synaptic_words,
            };
            let at = random.below(words.len() as u64) as usize;
            words[at] = value;
        }
    }
}
