//! Timing with the network: by hand, and what holds for every program.

mod common;

use common::{Builder, NEURON, Neuron, Source, synapse};
use snncc_chip::{NetworkTiming, Target};
use snncc_data::{PortStimulus, SpikeTrain, Stimulus};
use snncc_emu::{Emulator, NetworkBound, NetworkLevel, Program, RunOptions, Trace};
use snncc_image::Readout;

const LEVELS: [NetworkLevel; 3] = [NetworkLevel::Analytic, NetworkLevel::Link, NetworkLevel::Flit];

fn run(builder: &Builder, steps: u32, network: NetworkLevel, threads: bool) -> Trace {
    let program = Program::load(&builder.build(), &builder.target).unwrap_or_else(|e| panic!("{e}"));
    let events: Vec<(u32, u32)> = (1..steps).filter(|step| step % 3 == 1).map(|step| (step, 0)).collect();
    let spikes = SpikeTrain::from_events(1, steps, &events).unwrap();
    let stimulus = Stimulus { ports: vec![PortStimulus { port: "in".into(), spikes }], host_biases: Vec::new() };
    let prepared = program.prepare(&stimulus).unwrap();
    let options = RunOptions { network, threads, ..RunOptions::default() };
    Emulator::new(&program).run(&prepared, steps, &options)
}

fn network(target: &mut Target) -> &mut NetworkTiming {
    let costs = target.file.costs.clone();
    target.model.costs.get_mut(&costs).unwrap().network.as_mut().unwrap()
}

#[test]
fn one_message_by_hand() {
    let mut builder = Builder::on(snncc_chip::target("tiny-loihi").unwrap());
    builder.neuron(0, Neuron { threshold: 1, ..NEURON });
    builder.neuron(3, NEURON);
    builder.port("in", 1);
    builder.connect(Source::Port(0, 0), 0, synapse(0, 20));
    builder.connect(Source::Core(0, 0), 3, synapse(0, 2));
    builder.population("a", &[(0, 0)], Readout::Spikes);
    // Step 2: access and update 8.4 ns, axon out 2.1; one hop east 4.1 and one north or south 6.5; a synapse 3.5.
    let link = run(&builder, 3, NetworkLevel::Link, false);
    let step = &link.network_steps[1];
    assert_eq!((step.send_ps, step.receive_ps, step.network_ps, step.stalled_ps), (10_500, 3_500, 14_100, 0));
    assert_eq!((step.last_core, step.bound), (1, NetworkBound::Barrier));
    let (place, occupied_ps) = step.busiest_link.unwrap();
    assert_eq!((place.mesh, place.from, place.to, occupied_ps), (0, (1, 0), (1, 1), 6_500));
    assert_eq!(link.step_records[1].time_ps, 10_500 + 14_100 + link.barrier_ps);
    // In cycles of 1 ns: ready at 11, 2 to the router, 4 + 1 and 4 + 3 to the routers after it, 4 to the core; then the synapse.
    let flit = run(&builder, 3, NetworkLevel::Flit, false);
    assert_eq!(flit.network_steps[1].network_ps, (11 + 2 + 5 + 7 + 4) * 1_000 + 3_500 - 10_500);
}

/// A small generator of numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(end)) as u32
    }
}

/// Cores with neurons of which many fire in many steps and send to many cores.
fn busy(seed: u64, mut target: Target) -> Builder {
    let mut random = Random(seed);
    let costs = target.file.costs.clone();
    // Barriers and sends that do not hide the network.
    target.model.costs.get_mut(&costs).unwrap().axon_out.time_ps = 100;
    let spacing = (target.cores() / 40).max(1);
    let cores: Vec<u32> = (0..40).map(|at| at * spacing).collect();
    let mut builder = Builder::on(target);
    let mut places = Vec::new();
    for &core in &cores {
        for _ in 0..1 + random.below(4) {
            builder.neuron(
                core,
                Neuron { threshold: 1 + random.below(6) as i32, bias: (random.below(500) as i32, 0), ..NEURON },
            );
            places.push((core, places.iter().filter(|(other, _)| *other == core).count() as u32));
        }
    }
    builder.port("in", 1);
    builder.connect(Source::Port(0, 0), places[0].0, synapse(0, 20));
    for &(core, compartment) in &places {
        for &target in &cores {
            if random.below(3) == 0 {
                let weight = 2 * random.below(9) as i32 - 6;
                builder.connect(
                    Source::Core(core, compartment),
                    target,
                    synapse(0, if weight == 0 { 2 } else { weight }),
                );
            }
        }
    }
    builder.population("a", &places, Readout::Spikes);
    builder
}

#[test]
fn levels_differ_in_time_alone_and_none_is_faster_than_the_analytic_one() {
    let (mut later, mut stalls) = (0, 0);
    for seed in 0..6 {
        for name in ["loihi-emu", "loihi-2chip"] {
            let mut target = snncc_chip::target(name).unwrap();
            if seed % 2 == 1 {
                let network = network(&mut target);
                (network.link_messages, network.send_messages, network.receive_messages) = (1, 1, 1);
                network.buffer_flits = 1;
            }
            let builder = busy(seed, target);
            let traces = LEVELS.map(|level| run(&builder, 20, level, true));
            let [analytic, others @ ..] = &traces;
            assert!(analytic.totals.packets > 0 && analytic.network_steps.is_empty());
            for trace in others {
                assert_eq!(trace.totals.energy, analytic.totals.energy);
                assert_eq!((&trace.populations, &trace.cores), (&analytic.populations, &analytic.cores));
                assert_eq!(trace.totals.time_ps, trace.step_records.iter().map(|step| u128::from(step.time_ps)).sum());
                for ((step, record), without) in
                    trace.network_steps.iter().zip(&trace.step_records).zip(&analytic.step_records)
                {
                    assert_eq!(without.time_ps, step.send_ps.max(step.receive_ps) + trace.barrier_ps);
                    assert_eq!(record.time_ps, without.time_ps + step.network_ps);
                    later += u64::from(step.network_ps > 0);
                    stalls += step.stalled_ps;
                }
                assert_eq!(trace.network_steps.len(), 20);
            }
        }
    }
    assert!(later > 50 && stalls > 0);
}

#[test]
fn results_do_not_depend_on_threads() {
    for level in LEVELS {
        let builder = busy(3, snncc_chip::target("loihi-emu").unwrap());
        assert_eq!(run(&builder, 30, level, true), run(&builder, 30, level, false));
    }
}

#[test]
fn without_contention_no_larger_latency_is_faster() {
    let mut target = snncc_chip::target("loihi-emu").unwrap();
    let costs = target.file.costs.clone();
    let free = network(&mut target);
    (free.east_west_occupied_ps, free.north_south_occupied_ps) = (0, 0);
    (free.link_messages, free.send_messages, free.receive_messages) = (1 << 16, 1 << 16, 1 << 16);
    let base = run(&busy(5, target.clone()), 15, NetworkLevel::Link, true);
    for slow in 0..4 {
        let mut target = target.clone();
        let table = target.model.costs.get_mut(&costs).unwrap();
        let cost = match slow {
            0 => &mut table.hop_east_west,
            1 => &mut table.hop_north_south,
            2 => &mut table.axon_in,
            _ => &mut table.spike_out,
        };
        cost.time_ps += 3_000;
        let slower = run(&busy(5, target), 15, NetworkLevel::Link, true);
        let pairs = base.step_records.iter().zip(&slower.step_records);
        assert!(pairs.clone().all(|(fast, slow)| fast.time_ps <= slow.time_ps));
        assert!(pairs.clone().any(|(fast, slow)| fast.time_ps < slow.time_ps), "cost {slow}");
    }
}

#[test]
fn full_links_take_longer() {
    let mut target = snncc_chip::target("loihi-emu").unwrap();
    let usual = run(&busy(1, target.clone()), 15, NetworkLevel::Link, true);
    let network = network(&mut target);
    (network.east_west_occupied_ps, network.north_south_occupied_ps) = (400_000, 400_000);
    let full = run(&busy(1, target), 15, NetworkLevel::Link, true);
    assert!(full.totals.time_ps > 2 * usual.totals.time_ps);
    assert!(full.network_steps.iter().any(|step| step.bound == NetworkBound::Network));
}
