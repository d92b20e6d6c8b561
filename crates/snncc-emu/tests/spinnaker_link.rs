//! The level `link` of SpiNNaker-like machines: timelines worked out by hand, overload with exact counts, and equality with the
//! level `analytic` where nothing is late.

#[path = "common/spinnaker.rs"]
mod common;

use common::{CURRENTS, DELTA, NEURON, Net, Neuron, entry, recorded};
use snncc_data::{Purpose, RandomStream};
use snncc_emu::spinnaker::{SpinnakerLinkTrace, SpinnakerPlace, SpinnakerRunOptions, SpinnakerTiming, SpinnakerTrace};

/// Never spikes, keeps its membrane whole.
const SUM: Neuron = Neuron { membrane_keep: 1 << 15, v_threshold: i32::MAX, ..NEURON };

/// A clock with a cycle a picosecond, and small numbers. A packet takes 2 cycles of interrupt, 5 until its transfer, 3 after it.
fn small(columns: u32) -> Net {
    let mut net = Net::new(columns, 1);
    let costs = net.spinnaker().costs.get_mut("ticks").unwrap();
    costs.clock_hz.0 = 1_000_000_000_000;
    let cycles = [
        (&mut costs.spike, 10),
        (&mut costs.timeline.spike_interrupt, 2),
        (&mut costs.timeline.transfer_end, 3),
        (&mut costs.row, 4),
        (&mut costs.synapse, 6),
        (&mut costs.ring_empty, 1),
        (&mut costs.ring_excitatory, 2),
        (&mut costs.ring_inhibitory, 3),
        (&mut costs.neuron, 10),
        (&mut costs.neuron_refractory, 5),
        (&mut costs.packet_out, 7),
    ];
    for (cost, cycles) in cycles {
        cost.cycles = cycles;
    }
    costs.transfer_bytes_per_cycle.0 = 4;
    costs.hop_time_ps.0 = 50;
    costs.link_occupied_ps.0 = 40;
    costs.timeline.router_time_ps.0 = 20;
    costs.timeline.router_cycle_ps.0 = 1;
    costs.timeline.router_wait_cycles.0 = 100;
    net
}

fn linked(tick_ps: u64) -> SpinnakerRunOptions {
    SpinnakerRunOptions { tick_ps: Some(tick_ps), timing: SpinnakerTiming::Link, ..recorded() }
}

fn link(trace: &SpinnakerTrace) -> &SpinnakerLinkTrace {
    trace.link.as_ref().unwrap()
}

fn membrane(trace: &SpinnakerTrace) -> &[i32] {
    &trace.details[0].as_ref().unwrap().v
}

#[test]
fn a_timeline_by_hand() {
    let mut net = small(1);
    let input = net.injector(0, 2);
    let core = net.neurons(0, DELTA, vec![SUM], 4);
    net.connect((input, 0), (core, 0), 10, 1);
    net.connect((input, 1), (core, 0), 20, 1);
    let events: &[(u32, u32)] = &[(1, 0), (1, 1)];
    let trace = net.run(&[("in0", events)], 2, &linked(1000));
    // The injector sends at 7 and 14; the router gives them to the core at 27 and 34, which interrupt until 29 and 36. The first is
    // looked up from 29 to 36, the interrupt of the second included, and transferred until 40 (4 words). Until 43 the transfer is
    // ended, until 48 the second looked up, to be in the core at 52, until 58 the first row processed. The second: until 61, 71.
    assert_eq!(trace.core_times_ps, [14, 71, 0, 13]);
    // The loop takes 12, in the next step 13, for its slot holds something; then 2, 5 and 3 for a packet and 10 for a row, twice.
    let analytic = net.run(&[("in0", events)], 2, &SpinnakerRunOptions { tick_ps: Some(1000), ..recorded() });
    assert_eq!((trace.cores[1].cycles, analytic.cores[1].cycles), (12 + 13 + 2 * 20, 12 + 13 + 2 * 20 + 2 * 4));
    assert_eq!((trace.step_records[0].slowest_ps, trace.step_records[0].slowest_core), (71, 1));
    assert_eq!((trace.cores[1].most_queued, trace.totals.overruns, trace.totals.time_ps), (1, 0, 2000));
    assert_eq!((&trace.populations, &trace.details), (&analytic.populations, &analytic.details));
    assert_eq!((membrane(&trace), link(&trace).routers[0].packets), (&[0, 30][..], 2));
    assert!(link(&trace).faults.kinds().iter().all(|(_, count, _)| count.count == 0));
    assert!(link(&trace).warnings(&net.program()).is_empty());
}

/// Two packets whose rows are in the core only after the next tick has begun at 50.
fn late() -> Net {
    let mut net = small(1);
    net.spinnaker().costs.get_mut("ticks").unwrap().transfer_bytes_per_cycle.0 = 1;
    let input = net.injector(0, 2);
    let core = net.neurons(0, DELTA, vec![SUM], 4);
    net.connect((input, 0), (core, 0), 10, 1);
    net.connect((input, 0), (core, 0), 20, 2);
    net.connect((input, 1), (core, 0), 40, 3);
    net
}

#[test]
fn late_rows_keep_their_step_or_are_skipped() {
    let net = late();
    let events: &[(u32, u32)] = &[(1, 0), (1, 1)];
    let trace = net.run(&[("in0", events)], 4, &linked(50));
    // The first row is in the core at 56 and processed from 64 on, the second from 89 on, both in step 2. A delay of 1 is too short;
    // those of 2 and 3 arrive as they should.
    assert_eq!(membrane(&trace), [0, 0, 20, 60]);
    let faults = link(&trace).faults;
    let place = SpinnakerPlace::Core(net.program().core_numbers().nth(1).unwrap());
    assert_eq!((faults.late_rows.count, faults.late_rows.first), (2, Some((2, place))));
    assert_eq!((faults.skipped_synapses.count, faults.skipped_synapses.first), (1, Some((2, place))));
    assert_eq!((trace.cores[1].late_rows, trace.cores[1].skipped_synapses), (2, 1));
    assert_eq!((trace.cores[1].overruns, trace.cores[1].longest_ps, faults.misdated_rows.count), (1, 50, 0));
    assert!(faults.change_results());
    let warnings = link(&trace).warnings(&net.program());
    assert_eq!(warnings.iter().map(|warning| warning.code.number()).collect::<Vec<_>>(), ["SNN0703"; 2]);
    assert_eq!(warnings[1].message, "1 synapses skipped in late rows");
    assert!(warnings[1].notes[0].starts_with("first in step 2 at core 3 of chip (0, 0)"), "{:?}", warnings[1].notes);
    // All of it in time, and as if it were.
    assert_eq!(membrane(&net.run(&[("in0", events)], 4, &linked(1000))), [0, 10, 30, 70]);
}

#[test]
fn late_rows_are_dropped_where_the_image_says_so() {
    let mut net = late();
    net.spinnaker().formats.drops_late.0 = true;
    let trace = net.run(&[("in0", &[(1, 0), (1, 1)])], 4, &linked(50));
    assert_eq!(membrane(&trace), [0; 4]);
    assert_eq!((link(&trace).faults.late_rows.count, link(&trace).faults.skipped_synapses.count), (2, 3));
}

#[test]
fn a_full_queue_loses_packets() {
    let mut net = small(1);
    net.spinnaker().costs.get_mut("ticks").unwrap().packet_out.cycles = 1;
    net.spinnaker().limits.incoming_spikes.0 = 1;
    let input = net.injector(0, 6);
    let core = net.neurons(0, DELTA, vec![SUM], 4);
    for source in 0..6 {
        net.connect((input, source), (core, 0), 1 << source, 1);
    }
    let events: Vec<(u32, u32)> = (0..6).map(|source| (1, source)).collect();
    let trace = net.run(&[("in0", &events)], 2, &linked(1000));
    // Interrupts follow one another from 21 to 33, so nothing is looked up: one packet is on its way there, one waits.
    assert_eq!(membrane(&trace), [0, 1 + 2]);
    let faults = link(&trace).faults;
    let place = SpinnakerPlace::Core(net.program().core_numbers().nth(1).unwrap());
    assert_eq!((faults.overflowed.count, faults.overflowed.first), (4, Some((1, place))));
    assert_eq!((trace.cores[1].overflowed, trace.cores[1].most_queued, trace.totals.packets_in), (4, 1, 6));
    assert_eq!((trace.totals.rows, faults.late_rows.count), (2, 0));
}

/// Four packets over a link that takes one each 1000 ps; routers wait 10.
fn slow() -> Net {
    let mut net = small(2);
    let costs = net.spinnaker().costs.get_mut("ticks").unwrap();
    costs.link_occupied_ps.0 = 1000;
    costs.timeline.router_wait_cycles.0 = 10;
    costs.timeline.reinjection_packets.0 = 1;
    costs.timeline.reinjection_ps.0 = 5;
    let input = net.injector(0, 4);
    let core = net.neurons(1, DELTA, vec![SUM], 4);
    for source in 0..4 {
        net.connect((input, source), (core, 0), 1 << source, 1);
    }
    net.routes = vec![(0, entry(input, 1)), (1, entry(input, 1 << 8))];
    net
}

#[test]
fn a_slow_link_drops_packets_and_some_are_sent_again() {
    let mut net = slow();
    let events: Vec<(u32, u32)> = (0..4).map(|source| (1, source)).collect();
    let trace = net.run(&[("in0", &events)], 2, &linked(10_000));
    // They come to the link at 27, 34, and when the one before was dropped, at 44 and 54. The second is kept and sent again; there is
    // no room for others. It takes the link at 1027.
    assert_eq!(membrane(&trace), [0, 1 + 2]);
    let told = link(&trace);
    let place = SpinnakerPlace::Link { chip: 0, link: 0 };
    assert_eq!((told.faults.dropped.count, told.faults.dropped.first), (3, Some((1, place))));
    assert_eq!((told.faults.lost.count, told.faults.lost.first, told.reinjected), (2, Some((1, place)), 1));
    let used = told.busiest_link().unwrap();
    assert_eq!((used.packets, used.busy_ps, used.dropped), (2, 2000, 3));
    // The first is on the second chip after 50 ps more and is taken at 77; the second at 1077.
    assert_eq!((told.routers[0].lost, told.routers[0].most_kept, told.routers[1].packets), (2, 1, 2));
    assert_eq!(net.program().place_name(place), "the link east of chip (0, 0)");
    // 1077 + 2 + 5 + 4 + 3 + 10.
    assert_eq!(trace.cores[1].longest_ps, 1101);
    // Room for all: they take the link one by one.
    net.spinnaker().costs.get_mut("ticks").unwrap().timeline.reinjection_packets.0 = 4;
    let trace = net.run(&[("in0", &events)], 2, &linked(10_000));
    assert_eq!((membrane(&trace), link(&trace).faults.lost.count), (&[0, 15][..], 0));
    assert!(!link(&trace).faults.change_results() && link(&trace).faults.dropped.count == 3);
}

#[test]
fn a_core_that_sends_faster_than_its_router_takes_stalls() {
    let mut net = slow();
    net.spinnaker().costs.get_mut("ticks").unwrap().timeline.router_wait_cycles.0 = 5_000;
    net.spinnaker().costs.get_mut("ticks").unwrap().timeline.router_slots.0 = 1;
    let events: Vec<(u32, u32)> = (0..4).map(|source| (1, source)).collect();
    let trace = net.run(&[("in0", &events)], 2, &linked(10_000));
    // One waits in the router, one in the port; the fourth is ready at 28, and there is room when the second takes the link at 1027.
    assert_eq!((trace.cores[0].stalled_ps, membrane(&trace)), (1027 - 28, &[0, 15][..]));
    assert_eq!(trace.core_times_ps[0], 1027);
}

/// A network of neurons that spike, on some chips in a row.
fn random(seed: u64, chips: u32, cores: u32, neurons: u32) -> (Net, Vec<(u32, u32)>) {
    let mut random = RandomStream::new(seed, Purpose::Generation, 0, "");
    let mut below = |bound: u64| random.below(bound);
    let mut net = Net::new(chips, 1);
    let mut all = Vec::new();
    for chip in 0..chips {
        let input = net.injector(chip, 5);
        for _ in 0..cores {
            let kind = if below(2) == 0 { DELTA } else { CURRENTS };
            let neuron = |v_threshold| Neuron {
                v_threshold,
                refractory_steps: 2,
                membrane_keep: 1 << 14,
                decay: [1 << 31; 2],
                ..NEURON
            };
            let neurons = (0..neurons).map(|_| neuron(50 + below(200) as i32)).collect();
            all.push((chip, input, net.neurons(chip, kind, neurons, 8)));
        }
    }
    for &(chip, input, core) in &all {
        for source in 0..5 {
            for _ in 0..2 {
                net.connect((input, source), (core, below(neurons.into()) as u32), 120, 1 + below(8) as u32);
            }
        }
        let near: Vec<usize> = all.iter().filter(|other| other.0 == chip).map(|other| other.2).collect();
        for _ in 0..3 * neurons {
            let from = near[below(near.len() as u64) as usize];
            let (source, target) = (below(neurons.into()) as u32, below(neurons.into()) as u32);
            net.connect((from, source), (core, target), below(160) as i32 - 60, 1 + below(8) as u32);
        }
    }
    let events = (1..=20).flat_map(|step| (0..5).map(move |element| (step, element)));
    let events = events.filter(|(step, element)| (step * 7 + element * 3) % 4 == 0).collect();
    (net, events)
}

#[test]
fn in_time_the_level_makes_no_difference() {
    let mut fired = 0;
    for seed in 0..12 {
        let (net, events) = random(seed, 1, 3, 6);
        let fed = [("in0", &events[..])];
        let tick_ps = Some(1_000_000_000);
        let analytic = net.run(&fed, 24, &SpinnakerRunOptions { tick_ps, ..recorded() });
        let trace = net.run(&fed, 24, &linked(1_000_000_000));
        fired += analytic.totals.fired;
        assert!(!link(&trace).faults.change_results() && link(&trace).faults.late_rows.count == 0);
        assert_eq!((&trace.populations, &trace.details), (&analytic.populations, &analytic.details));
        assert_eq!(trace.totals, analytic.totals);
        for (step, other) in trace.step_records.iter().zip(&analytic.step_records) {
            let counts = |s: &snncc_emu::spinnaker::SpinnakerStep| (s.fired, s.packets, s.packets_in, s.rows, s.hops);
            assert_eq!(counts(step), counts(other));
            assert!(step.slowest_ps <= step.time_ps);
        }
    }
    assert!(fired > 400, "{fired} spikes");
}

#[test]
fn threads_make_no_difference() {
    // As many neurons as are worth threads, and a tick in which cores lag behind.
    let (net, events) = random(3, 6, 14, 200);
    let names: Vec<String> = net.inputs.iter().map(|(name, _)| name.clone()).collect();
    let fed: Vec<(&str, &[(u32, u32)])> = names.iter().map(|name| (&name[..], &events[..])).collect();
    let options = linked(60_000_000);
    let one = net.run(&fed, 20, &SpinnakerRunOptions { threads: false, ..options.clone() });
    let all = net.run(&fed, 20, &options);
    let faults = link(&one).faults;
    assert!(faults.misdated_rows.count > 0 && one.totals.overruns > 0, "{faults:?}");
    assert_eq!(one, all);
}

#[test]
fn an_emulator_may_run_again() {
    let net = late();
    let program = net.program();
    let mut emulator = snncc_emu::spinnaker::SpinnakerEmulator::new(&program);
    let spikes = snncc_data::SpikeTrain::from_events(2, 4, &[(1, 0), (1, 1)]).unwrap();
    let ports = vec![snncc_data::PortStimulus { port: "in0".into(), spikes }];
    let stimulus = snncc_data::Stimulus { ports, host_biases: Vec::new() };
    let stimulus = program.prepare(&stimulus).unwrap();
    let first = emulator.run(&stimulus, 4, &linked(50));
    emulator.run(&stimulus, 3, &linked(1000));
    assert_eq!(emulator.run(&stimulus, 4, &linked(50)), first);
}
