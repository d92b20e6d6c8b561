//! Properties of the whole road, over random networks and random small chips.
//!
//! A failing case prints its seed; `SNNCC_SEED` runs that seed alone, `SNNCC_ROUNDS` multiplies the number of cases.

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use snncc_compile::Compiled;
use snncc_emu::{Emulator, Overflows, Program, RunOptions, Selection, Trace};
use snncc_ids::{Diagnostics, Severity, code};
use snncc_image::Image;
use snncc_ir::QuantizedIr;
use snncc_reference::float::{FloatNetwork, FloatOptions, Record};
use snncc_tests::case::{Case, Kind, quantized};
use snncc_tests::observed::{self, Observed};
use snncc_tests::random_network::reversed;
use snncc_tests::{recount, road};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Runs a property over random seeds, or over the one of `SNNCC_SEED`.
fn for_each_seed(cases: u32, property: impl Fn(u64)) {
    if let Some(seed) = std::env::var_os("SNNCC_SEED") {
        let seed = seed.to_str().and_then(|seed| seed.parse().ok()).expect("SNNCC_SEED is a number");
        property(seed);
        return;
    }
    let rounds = std::env::var("SNNCC_ROUNDS").ok().and_then(|rounds| rounds.parse::<u32>().ok()).unwrap_or(1);
    let config = Config { cases: cases * rounds, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&proptest::num::u64::ANY, |seed| {
        property(seed);
        Ok::<_, TestCaseError>(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// How many cases went which way.
#[derive(Debug, Default)]
struct Tally {
    compiled: u32,
    spikes: u64,
    clipped: u32,
    refused: BTreeMap<&'static str, u32>,
}

impl Tally {
    /// Files a refusal, which must be one that a sound network on a small chip can meet, and name its place.
    fn refuse(&mut self, problems: &Diagnostics) {
        for problem in &problems.0 {
            let number = problem.code.number();
            let of_the_chip = ["SNN04", "SNN05", "SNN06"].iter().any(|stage| number.starts_with(stage));
            let of_time = [code::LOOP_LATENCY, code::UNSUPPORTED_BY_CHIP].contains(&problem.code);
            assert!(of_the_chip || of_time, "{problem}");
            // A full chip is nobody's fault alone.
            assert!(problem.item.is_some() || problem.code == code::CHIP_FULL, "no item: {problem}");
        }
        let first = problems.0.iter().find(|problem| problem.severity == Severity::Error).expect("an error");
        *self.refused.entry(first.code.number()).or_default() += 1;
    }

    /// Checks that enough of the cases said anything.
    fn check(&self, name: &str, percent: u32) {
        println!("{name}: {self:?}");
        let all = self.compiled + self.clipped + self.refused.values().sum::<u32>();
        if std::env::var_os("SNNCC_SEED").is_none() {
            assert!(self.compiled * 100 >= all * percent, "{name}: {} of {all} cases compiled", self.compiled);
        }
    }
}

fn loaded(compiled: &Compiled, case: &Case) -> Program {
    let image = Image::from_bytes(&compiled.image.to_bytes()).expect("an image that the compiler wrote");
    assert_eq!(image, compiled.image, "the image that was written is not the one that is read");
    Program::load(&image, &case.target).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Integer reference and emulator agree in every spike, current and voltage of every step.
fn agree(case: &Case, compiled: &Compiled) -> Vec<Observed> {
    let program = loaded(compiled, case);
    let ir = quantized(compiled);
    let steps = case.chip_steps(ir);
    let expected = match observed::on_reference(ir, &case.target.model, &case.stimulus, steps) {
        Ok(expected) => expected,
        // A host current may exceed the bias register: then the emulator must say so too.
        Err(problems) => {
            let theirs = observed::on_emulator(&program, &case.stimulus, steps).expect_err("the reference refuses");
            assert_eq!(problems.0[0].code, theirs.0[0].code);
            return Vec::new();
        }
    };
    let found = observed::on_emulator(&program, &case.stimulus, steps).unwrap_or_else(|problems| panic!("{problems}"));
    observed::compare(&expected, &found, steps).unwrap_or_else(|difference| panic!("{difference}"));
    expected
}

fn spikes(observed: &[Observed]) -> u64 {
    observed.iter().map(|observed| observed.spikes.spike_count()).sum()
}

fn emulator_is_reference(kind: Kind, percent: u32) {
    let tally = RefCell::new(Tally::default());
    for_each_seed(200, |seed| {
        let case = Case::new(kind, seed);
        match case.compiled() {
            Ok(compiled) => {
                let faults = recount::faults(&compiled.image, &case.target);
                assert!(faults.is_empty(), "{}", faults.join("\n"));
                let observed = agree(&case, &compiled);
                let mut tally = tally.borrow_mut();
                tally.compiled += 1;
                tally.spikes += spikes(&observed);
            }
            Err(problems) => tally.borrow_mut().refuse(&problems),
        }
    });
    tally.borrow().check(&format!("{kind:?}"), percent);
}

#[test]
fn the_emulator_does_what_the_integer_reference_does_with_floats() {
    emulator_is_reference(Kind::Floats, 40);
}

#[test]
fn the_emulator_does_what_the_integer_reference_does_with_integers() {
    emulator_is_reference(Kind::Integers, 40);
}

/// Networks that need no rounding fire on the chip as in floats, `latency` steps later, and have their voltages. Inhibition
/// may take a voltage to the chip's lower clip, which the network does not have; such cases are passed over.
#[test]
fn exact_networks_fire_as_their_floats() {
    let tally = RefCell::new(Tally::default());
    for_each_seed(200, |seed| {
        let case = Case::new(Kind::Exact, seed);
        let compiled = match case.compiled() {
            Ok(compiled) => compiled,
            Err(problems) => return tally.borrow_mut().refuse(&problems),
        };
        let observed = agree(&case, &compiled);
        if leaves_registers(&case, &compiled) {
            tally.borrow_mut().clipped += 1;
            return;
        }
        let float = FloatNetwork::new(&case.network, &FloatOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        let names = observed.iter().map(|observed| observed.group.clone()).collect();
        let record = Record { spikes: true, states_of: names, ..Record::default() };
        let trace = float.run(&(&case.stimulus).into(), case.steps, &record).unwrap_or_else(|e| panic!("{e}"));
        let ir = quantized(&compiled);
        for (id, population) in ir.graph.populations.iter_with_ids() {
            let Some(neurons) = &ir.neurons[id] else { continue };
            let ours = observed.iter().find(|observed| observed.group == population.name).expect("a population");
            let theirs = trace.population(&population.name).expect("a population");
            for t in 1..=case.steps {
                let chip = t + population.latency_steps;
                if let Some(train) = &theirs.spikes {
                    let (ours, theirs) = (ours.spikes.at(chip), train.at(t));
                    assert_eq!(ours, theirs, "`{}`, network step {t}: chip and float spikes", population.name);
                }
                let Some(states) = &theirs.states else { continue };
                for neuron in 0..population.len() {
                    let units = ours.v[(chip as usize - 1) * population.len() + neuron];
                    let volts = units as f64 / neurons.units_per_volt.get(neuron) + neurons.v_offset.get(neuron);
                    let exact = states.v[(t as usize - 1) * population.len() + neuron];
                    let name = &population.name;
                    let equal = (volts - exact).abs() <= 1e-9 * exact.abs().max(1.0);
                    assert!(equal, "`{name}`, network step {t}, neuron {neuron}: {volts} for {exact} ({units} units)");
                }
            }
        }
        let mut tally = tally.borrow_mut();
        tally.compiled += 1;
        tally.spikes += spikes(&observed);
    });
    tally.borrow().check("exact", 40);
}

/// Whether any register overflows or is clipped in the run of a case.
fn leaves_registers(case: &Case, compiled: &Compiled) -> bool {
    let program = loaded(compiled, case);
    let stimulus = program.prepare(&case.stimulus).unwrap_or_else(|problems| panic!("{problems}"));
    let trace = Emulator::new(&program).run(&stimulus, case.chip_steps(quantized(compiled)), &RunOptions::default());
    let left = |o: &Overflows| [o.input, o.current, o.biased_current, o.v_high, o.v_low].map(|left| left.count);
    trace.cores.iter().flat_map(|core| left(&core.overflows)).any(|count| count > 0)
}

fn with_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(run)
}

fn any_kind(seed: u64) -> Kind {
    [Kind::Floats, Kind::Integers, Kind::Exact][(seed % 3) as usize]
}

#[test]
fn bytes_depend_on_neither_threads_nor_repetition() {
    for_each_seed(100, |seed| {
        let case = Case::new(any_kind(seed), seed);
        let bytes = || case.compiled().map(|compiled| compiled.image.to_bytes());
        let first = bytes();
        assert_eq!(first, bytes(), "the second time");
        assert_eq!(first, with_threads(1, bytes), "one thread");
        assert_eq!(first, with_threads(4, bytes), "four threads");
    });
}

/// What [`snncc_formats::ron_network::write_network`] writes compiles to the same image, whether tensors are written out or
/// lie in a file.
#[test]
fn written_networks_compile_to_the_same_bytes() {
    for_each_seed(100, |seed| {
        let case = Case::new(any_kind(seed), seed);
        let inline_limit = [0, 8, usize::MAX][(seed / 3 % 3) as usize];
        let read = road::written_and_read(&case.network, inline_limit).unwrap_or_else(|problems| panic!("{problems}"));
        let bytes = |case: &Case| case.compiled().map(|compiled| compiled.image.to_bytes());
        let again = Case { network: read, ..case.clone() };
        match (bytes(&case), bytes(&again)) {
            (Ok(first), Ok(second)) => assert!(first == second, "the images differ"),
            (Err(first), Err(second)) => assert_eq!(first, second),
            (first, second) => panic!("{:?} and {:?}", first.err(), second.err()),
        }
    });
}

/// Networks whose populations are declared in reverse fire alike. Loops over several populations are left out: which of
/// their edges closes the loop, and so takes a step, depends on the order.
#[test]
fn the_order_of_declaration_changes_no_spike() {
    let tally = RefCell::new(Tally::default());
    for_each_seed(150, |seed| {
        let case = Case::new(any_kind(seed), seed);
        if road::has_long_loop(&case.network) {
            return;
        }
        let other = Case { network: reversed(&case.network), ..case.clone() };
        match (case.compiled(), other.compiled()) {
            (Ok(first), Ok(second)) => {
                let (first, second) = (agree(&case, &first), agree(&other, &second));
                observed::compare(&first, &second, case.steps).unwrap_or_else(|difference| panic!("{difference}"));
                let mut tally = tally.borrow_mut();
                tally.compiled += 1;
                tally.spikes += spikes(&first);
            }
            // The partitioner goes by the order: a network that just fits may not fit the other way round.
            (Err(problems), _) | (_, Err(problems)) => tally.borrow_mut().refuse(&problems),
        }
    });
    tally.borrow().check("reversed", 30);
}

/// A program and a run of it.
fn traced(case: &Case, options: &RunOptions) -> Option<(Program, QuantizedIr, Trace)> {
    let compiled = case.compiled().ok()?;
    let program = loaded(&compiled, case);
    let ir = quantized(&compiled).clone();
    let trace = {
        let stimulus = program.prepare(&case.stimulus).ok()?;
        Emulator::new(&program).run(&stimulus, case.chip_steps(&ir), options)
    };
    Some((program, ir, trace))
}

/// Every total is the sum of its rows, over steps and over cores.
#[test]
fn totals_are_the_sums_of_their_rows() {
    let spikes = RefCell::new(0);
    for_each_seed(150, |seed| {
        let case = Case::new(any_kind(seed), seed);
        let options = RunOptions { core_steps: true, spikes: Selection::All, ..RunOptions::default() };
        let Some((program, _, trace)) = traced(&case, &options) else { return };
        let (steps, cores, totals) = (&trace.step_records, &trace.cores, &trace.totals);
        assert_eq!(steps.len(), trace.steps as usize);
        let by_step = |count: fn(&snncc_emu::StepRecord) -> u64| -> u64 { steps.iter().map(count).sum() };
        let by_core = |count: fn(&snncc_emu::CoreTrace) -> u64| -> u64 { cores.iter().map(count).sum() };
        assert_eq!([by_step(|s| s.updated), by_core(|c| c.updated)], [totals.updated; 2]);
        assert_eq!([by_step(|s| s.fired), by_core(|c| c.fired)], [totals.fired; 2]);
        assert_eq!([by_step(|s| s.packets), by_core(|c| c.messages_out)], [totals.packets; 2]);
        assert_eq!([by_step(|s| s.synaptic_events), by_core(|c| c.synaptic_events)], [totals.synaptic_events; 2]);
        assert_eq!(by_step(|s| s.hops), totals.hops);
        assert_eq!(by_step(|s| s.host_spikes), totals.host_spikes);
        assert_eq!(by_step(|s| s.host_messages), totals.host_messages);
        assert_eq!(by_core(|c| c.messages_in), totals.packets + totals.host_messages);
        let counts = trace.populations.iter().flat_map(|population| &population.counts);
        assert_eq!(counts.map(|count| u64::from(*count)).sum::<u64>(), totals.fired);
        for population in &trace.populations {
            let train = population.spikes.as_ref().expect("spikes were asked for");
            assert_eq!(train.counts(), population.counts);
        }

        assert_eq!(steps.iter().map(|step| u128::from(step.time_ps)).sum::<u128>(), totals.time_ps);
        let parts = |e: &snncc_emu::Energy<u64>| {
            [e.soma_fj, e.axon_out_fj, e.hops_fj, e.axon_in_fj, e.synapses_fj].map(u128::from)
        };
        let sum = |rows: &mut dyn Iterator<Item = [u128; 5]>| {
            rows.fold([0; 5], |sum, row| std::array::from_fn(|part| sum[part] + row[part]))
        };
        let total = &totals.energy;
        let total = [total.soma_fj, total.axon_out_fj, total.hops_fj, total.axon_in_fj, total.synapses_fj];
        let wide = |e: &snncc_emu::Energy<u128>| [e.soma_fj, e.axon_out_fj, e.hops_fj, e.axon_in_fj, e.synapses_fj];
        assert_eq!(sum(&mut steps.iter().map(|step| parts(&step.energy))), total);
        assert_eq!(sum(&mut cores.iter().map(|core| wide(&core.energy))), total);
        assert_eq!(totals.energy.total_fj(), total.iter().sum::<u128>());

        // Each step lasts as long as its busiest side, and the barrier; sides add up over the run.
        assert_eq!(trace.core_steps.len(), steps.len() * cores.len());
        for (at, core) in cores.iter().enumerate() {
            let column = trace.core_steps.iter().skip(at).step_by(cores.len());
            assert_eq!(column.clone().map(|step| u128::from(step.send_ps)).sum::<u128>(), core.send_ps);
            assert_eq!(column.map(|step| u128::from(step.receive_ps)).sum::<u128>(), core.receive_ps);
        }
        for (step, sides) in steps.iter().zip(trace.core_steps.chunks(cores.len().max(1))) {
            let busiest = sides.iter().map(|side| side.send_ps.max(side.receive_ps)).max().unwrap_or(0);
            assert_eq!(step.time_ps, busiest + trace.barrier_ps);
        }
        let bounds = totals.send_bound_steps + totals.receive_bound_steps + totals.barrier_bound_steps;
        assert_eq!(bounds, u64::from(trace.steps));
        let bound_cores: u64 = by_core(|core| core.bound_steps);
        assert_eq!(bound_cores, totals.send_bound_steps + totals.receive_bound_steps);
        assert_eq!(trace.barrier_ps, case.target.costs().barrier.time_ps(program.routers_in_use()));
        *spikes.borrow_mut() += totals.fired;
    });
    assert!(std::env::var_os("SNNCC_SEED").is_some() || *spikes.borrow() > 5_000);
}

/// Time and energy never fall when one cost of the table rises, and only what it prices rises.
#[test]
fn dearer_events_never_make_a_run_cheaper() {
    for_each_seed(60, |seed| {
        let case = Case::new(any_kind(seed), seed);
        let Ok(compiled) = case.compiled() else { return };
        let steps = case.chip_steps(quantized(&compiled));
        let priced = |change: &dyn Fn(&mut snncc_chip::CostTable)| {
            let mut target = case.target.clone();
            change(target.model.costs.get_mut(&case.target.file.costs).expect("the table in use"));
            // The same image, bound to the model with the other prices.
            let image = Image { model_hash: target.model.hash(), ..compiled.image.clone() };
            let program = Program::load(&image, &target).unwrap_or_else(|problems| panic!("{problems}"));
            let Ok(stimulus) = program.prepare(&case.stimulus) else { return None };
            Some(Emulator::new(&program).run(&stimulus, steps, &RunOptions::default()))
        };
        let Some(plain) = priced(&|_| ()) else { return };
        type Event = fn(&mut snncc_chip::CostTable) -> &mut snncc_chip::Cost;
        let events: [(&str, Event); 11] = [
            ("soma_access", |t| &mut t.soma_access),
            ("soma_update", |t| &mut t.soma_update),
            ("spike_out", |t| &mut t.spike_out),
            ("axon_out", |t| &mut t.axon_out),
            ("axon_in", |t| &mut t.axon_in),
            ("synapse_dense", |t| &mut t.synapse_dense),
            ("synapse_sparse", |t| &mut t.synapse_sparse),
            ("synapse_shared", |t| &mut t.synapse_shared),
            ("hop_east_west", |t| &mut t.hop_east_west),
            ("hop_north_south", |t| &mut t.hop_north_south),
            ("chip_crossing", |t| &mut t.chip_crossing),
        ];
        for (name, event) in events {
            let dearer = priced(&|table| {
                event(table).time_ps += 70_000;
                event(table).energy_fj += 90_000;
            });
            let dearer = dearer.expect("prices change no stimulus");
            let count = [plain.totals.fired, plain.totals.packets, plain.totals.synaptic_events];
            assert_eq!(count, [dearer.totals.fired, dearer.totals.packets, dearer.totals.synaptic_events]);
            for (step, (before, after)) in (1..).zip(plain.step_records.iter().zip(&dearer.step_records)) {
                assert!(after.time_ps >= before.time_ps, "{name}: step {step} is shorter");
                let (before, after) = (&before.energy, &after.energy);
                assert!(after.total_fj() >= before.total_fj(), "{name}: step {step} takes less energy");
                // Hops cost energy and, at this level, no time.
                let rest = |e: &snncc_emu::Energy<u64>| e.total_fj() - e.hops_fj;
                let is_hop = name.starts_with("hop") || name == "chip_crossing";
                assert!(!is_hop || rest(after) == rest(before), "{name}: step {step}");
                assert!(is_hop || after.hops_fj == before.hops_fj, "{name}: step {step}");
            }
        }
        let longer = priced(&|table| {
            if let snncc_chip::Barrier::Linear { from, to, .. } = &mut table.barrier {
                from.1 += 1_000;
                to.1 += 1_000;
            }
        });
        let is_linear = matches!(case.target.costs().barrier, snncc_chip::Barrier::Linear { .. });
        let more = if is_linear { 1_000 * u128::from(steps) } else { 0 };
        assert_eq!(longer.expect("prices change no stimulus").totals.time_ps, plain.totals.time_ps + more);
    });
}

/// What is recorded, and on how many threads, changes no figure.
#[test]
fn recording_changes_no_figure() {
    for_each_seed(60, |seed| {
        let case = Case::new(any_kind(seed), seed);
        let Some((program, ir, plain)) = traced(&case, &RunOptions::default()) else { return };
        let stimulus = program.prepare(&case.stimulus).unwrap_or_else(|problems| panic!("{problems}"));
        let mut emulator = Emulator::new(&program);
        for options in [
            RunOptions { spikes: Selection::All, states: Selection::All, core_steps: true, ..RunOptions::default() },
            RunOptions { states: Selection::Some(vec![0]), threads: false, ..RunOptions::default() },
            RunOptions::default(),
        ] {
            // The same emulator again: every run starts from the initial state.
            let trace = emulator.run(&stimulus, case.chip_steps(&ir), &options);
            assert_eq!(trace.totals, plain.totals);
            assert_eq!(trace.step_records, plain.step_records);
            assert_eq!(trace.cores, plain.cores);
            for (recorded, plain) in trace.populations.iter().zip(&plain.populations) {
                assert_eq!((&recorded.counts, &recorded.final_membrane), (&plain.counts, &plain.final_membrane));
            }
        }
        let untimed = RunOptions { timing: false, ..RunOptions::default() };
        let untimed = emulator.run(&stimulus, case.chip_steps(&ir), &untimed).totals;
        assert_eq!((untimed.time_ps, untimed.energy.total_fj()), (0, 0));
        assert_eq!((untimed.fired, untimed.synaptic_events), (plain.totals.fired, plain.totals.synaptic_events));
    });
}
