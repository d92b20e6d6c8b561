//! `snncc emulate`: a compiled network on data, in the emulator.
//!
//! Spikes are counted in network steps: of a population with latency ℓ, those of the chip steps 1 + ℓ to N + ℓ. What the
//! chip does beyond (layers run on while the last steps pass to the output) is in its totals.

use crate::args::{EmulateArgs, Timing, Trace as TraceKind};
use crate::commands::verify::{compare_integers, mismatches};
use crate::early_exit::{Watch, WatchSummary, Watched};
use crate::host::HostWork;
use crate::interrupted;
use crate::machine;
use crate::network_sums::{self, NetworkSums};
use crate::output::{REPORT, write_file};
use crate::running::{
    ENERGY_PARTS, OVERFLOWS, RunSums, Running, accuracy, beyond, caveats, class_of, energy_figure, json_counts,
    network_spikes, prediction, results_folder, run_samples, time_figure, warn,
};
use crate::session::{Failure, Outcome, Session, exit, pretty, print, print_json};
use serde_json::{Value as Json, json};
use snncc_data::SpikeTrain;
use snncc_emu::{CoreTrace, Emulator, RunOptions, Selection, Totals, Trace};
use snncc_formats::data_files::write_spikes;
use snncc_formats::tensor_files::write_npz;
use snncc_ids::{Diagnostic, Diagnostics};
use snncc_ir::Tensor;
use snncc_report::{Basis, Figure, HostRun, LayerRow, RunSection, Table, Value, count_text, energy_text, time_text};
use snncc_verify::Verification;
use std::path::Path;

/// What one sample gave.
pub(crate) struct SampleResult {
    /// Spikes in network steps, by population.
    pub(crate) spikes: Vec<u64>,
    /// Spikes fed, by port.
    input_spikes: Vec<u64>,
    pub(crate) totals: Totals,
    pub(crate) cores: Vec<CoreTrace>,
    slowest_step_ps: u64,
    network: NetworkSums,
    pub(crate) class: Option<u32>,
    /// What the output said after each step, where that was asked for.
    watched: Watched,
    /// What the host computed.
    work: HostWork,
    warnings: Vec<Diagnostic>,
}

/// Runs a compiled network.
pub(crate) fn run(session: &mut Session, args: &EmulateArgs) -> Outcome {
    if machine::is_machine_folder(&args.dir) {
        if args.timing != Timing::Analytic {
            return Err(session.usage("--timing link and flit are for chips whose cores share a mesh"));
        }
        return machine::emulate(session, args);
    }
    session.json = args.json;
    let running = Running::open(session, &args.dir, &args.data)?;
    let watch = Watch::new(session, &running, args)?;
    let chip_steps = running.chip_steps();
    let mut options = recording(&running, chip_steps);
    options.network = network_sums::level(session, &running, args.timing)?;
    watch.iter().for_each(|watch| watch.record(&mut options));
    // Many samples keep all threads busy; a few leave threads for the cores of each.
    let options = RunOptions { threads: running.data.count < rayon::current_num_threads(), ..options };
    let run = |emulator: &mut Emulator<'_>, sample: usize| {
        run_sample(&running, emulator, sample, chip_steps, &options, watch.as_ref())
    };
    let samples = run_samples(session, running.data.count, || Emulator::new(&running.program), run)?;
    if samples.is_empty() {
        return Ok(exit::INTERRUPTED);
    }
    warn(session, samples.iter().map(|(number, result)| (*number, &result.warnings[..])));
    let checked = check(session, &running, if interrupted() { 0 } else { args.check_samples })?;
    let folder = results_folder(session, &running.opened.folder, args.output.as_ref())?;
    let mut report = running.opened.report().map_err(|message| session.fail_files(&message))?;
    let summary = Summary::new(&running, &samples, chip_steps, &report.layers, watch.as_ref());
    let network = network_sums::total(args.timing, samples.iter().map(|(_, result)| &result.network));
    let mut json = summary.json(interrupted(), checked.as_ref());
    json["network"] = network.as_ref().map_or(Json::Null, |network| network.json(args.timing));
    report.run = Some(summary.section());
    debug_assert_eq!(report.check_totals(), Ok(()));
    let write = || -> Result<(), String> {
        write_file(&folder.join("counters.json"), pretty(&json).as_bytes())?;
        write_file(&folder.join(REPORT), report.to_json().as_bytes())?;
        write_file(&folder.join("predictions.csv"), predictions(&running, &samples).as_bytes())?;
        for sample in 0..args.trace_samples.min(running.data.count) {
            write_traces(&running, &args.trace, options.network, sample, chip_steps, &folder)?;
        }
        Ok(())
    };
    write().map_err(|message| session.fail_files(&message))?;
    if args.json {
        print_json(&json);
    } else {
        print(&summary.text(&args.dir, &folder));
        print(&network.as_ref().map_or(String::new(), |network| network.text(args.timing)));
        if let Some(checked) = checked.as_ref().filter(|checked| mismatches(checked) == 0) {
            let samples = count_text(checked.samples.into(), "samples");
            print(&format!("first {samples}: equal to the integer reference in every spike\n"));
        }
        if interrupted() {
            print(&format!("interrupted: these are {} of {} samples\n", samples.len(), running.data.count));
        }
    }
    let problems = checked.map(|checked| checked.diagnostics()).unwrap_or_default();
    if !problems.is_empty() {
        session.say(problems, None);
        return Err(Failure { exit: exit::MISMATCH });
    }
    session.next(&format!("snncc report {}", args.dir.display()));
    Ok(if interrupted() { exit::INTERRUPTED } else { 0 })
}

/// Compares the first samples with the integer reference; `None` if none were to be, or the integer IR is not to be had.
fn check(session: &mut Session, running: &Running, samples: usize) -> Result<Option<Verification>, Failure> {
    if samples == 0 {
        return Ok(None);
    }
    match running.opened.quantized() {
        Ok(quantized) => compare_integers(session, running, &quantized, samples).map(Some),
        Err(message) => {
            session.note(&format!("note: no sample was compared with the integer reference: {message}"));
            Ok(None)
        }
    }
}

/// Spikes need recording only where a population runs beyond the last network step.
pub(crate) fn recording(running: &Running, chip_steps: u32) -> RunOptions {
    let spikes = beyond(running.data.steps, chip_steps, &running.latencies());
    RunOptions { spikes, ..RunOptions::default() }
}

/// Runs one sample.
///
/// # Errors
/// What the coding says of the data.
pub(crate) fn run_sample(
    running: &Running,
    emulator: &mut Emulator<'_>,
    sample: usize,
    chip_steps: u32,
    options: &RunOptions,
    watch: Option<&Watch>,
) -> Result<SampleResult, Diagnostics> {
    let (input, work) = running.sample_and_work(sample)?;
    let stimulus = running.program.prepare(&input.stimulus)?;
    let trace = emulator.run(&stimulus, chip_steps, options);
    let fed = |name: &str| input.stimulus.port(name).map_or(0, |port| port.spikes.spike_count());
    Ok(SampleResult {
        spikes: network_spikes(&trace.populations, &running.latencies(), running.data.steps),
        input_spikes: running.program.inputs().map(|(name, _)| fed(name)).collect(),
        totals: trace.totals,
        slowest_step_ps: trace.step_records.iter().map(|step| step.time_ps).max().unwrap_or(0),
        network: NetworkSums::of(&trace),
        class: class(running, &trace),
        watched: watch.map_or_else(Watched::default, |watch| watch.look(running, &trace)),
        work,
        warnings: trace.overflow_warnings(&running.program),
        cores: trace.cores,
    })
}

/// The class that the first output names: argmax of spike counts over the network steps, or of the final membrane.
pub(crate) fn class(running: &Running, trace: &Trace) -> Option<u32> {
    let (_, population, readout) = running.program.outputs().next()?;
    let (name, _, latency) = running.program.populations().nth(population)?;
    let units = running.neurons(name).map(|neurons| (&neurons.units_per_volt, &neurons.v_offset));
    class_of(&trace.populations[population], readout, (latency, running.data.steps), units)
}

fn predictions(running: &Running, samples: &[(usize, SampleResult)]) -> String {
    let stops_early = samples.iter().any(|(_, result)| result.watched.exit.is_some());
    let columns: &[&str] = if stops_early { &["exit_step", "exit_class"] } else { &[] };
    let mut table = Table::new(&[&["sample", "label", "class"], columns].concat());
    for (number, result) in samples {
        let mut row = prediction(&running.data, *number, result.class);
        row.extend(
            result
                .watched
                .exit
                .iter()
                .flat_map(|exited| [exited.exit.step, exited.exit.class].map(|number| number.to_string())),
        );
        table.row(row);
    }
    table.csv()
}

/// The spikes of network steps 1 to `steps`: those of the chip steps `1 + latency` to `steps + latency`.
pub(crate) fn in_network_steps(train: &SpikeTrain, latency: u32, steps: u32) -> SpikeTrain {
    let mut cut = SpikeTrain::new(train.neurons);
    let mut payloads = train.payloads.as_ref().map(|_| Vec::new());
    for chip_step in latency + 1..=latency.saturating_add(steps) {
        cut.push_step(train.at(chip_step).iter().copied());
        if let Some((all, step)) = payloads.as_mut().zip(train.payloads_at(chip_step)) {
            all.extend_from_slice(step);
        }
    }
    cut.payloads = payloads;
    cut
}

/// Runs a sample again with everything recorded that is asked for.
fn write_traces(
    running: &Running,
    kinds: &[TraceKind],
    network: snncc_emu::NetworkLevel,
    sample: usize,
    chip_steps: u32,
    folder: &Path,
) -> Result<(), String> {
    if kinds.is_empty() {
        return Ok(());
    }
    let wants = |kind| kinds.contains(&kind);
    let all = |wanted: bool| if wanted { Selection::All } else { Selection::None };
    let options = RunOptions {
        spikes: all(wants(TraceKind::Spikes)),
        states: all(wants(TraceKind::Membrane)),
        network,
        ..RunOptions::default()
    };
    let input = running.sample(sample).map_err(|problems| problems.to_string())?;
    let stimulus = running.program.prepare(&input.stimulus).map_err(|problems| problems.to_string())?;
    let trace = Emulator::new(&running.program).run(&stimulus, chip_steps, &options);
    let names: Vec<&str> = running.program.populations().map(|(name, _, _)| name).collect();
    if wants(TraceKind::Spikes) {
        let mut trains: Vec<(&str, SpikeTrain)> =
            input.stimulus.ports.iter().map(|port| (port.port.as_str(), port.spikes.clone())).collect();
        for ((name, _, latency), population) in running.program.populations().zip(&trace.populations) {
            let train = population.spikes.as_ref().expect("bug in snncc: spikes were asked for");
            trains.push((name, in_network_steps(train, latency, running.data.steps)));
        }
        let trains: Vec<(&str, &SpikeTrain)> = trains.iter().map(|(name, train)| (*name, train)).collect();
        write_file(&folder.join(format!("spikes-{sample:05}.npz")), &write_spikes(&trains))?;
    }
    if wants(TraceKind::Membrane) {
        let mut arrays = Vec::new();
        for (name, population) in names.iter().zip(&trace.populations) {
            let Some(states) = &population.states else { continue };
            let shape = vec![chip_steps as usize, population.counts.len()];
            for (kind, values) in [("u", &states.u), ("v", &states.v)] {
                arrays.push((format!("{name}/{kind}"), Tensor::new(shape.clone(), values.clone()).into()));
            }
        }
        write_file(&folder.join(format!("membrane-{sample:05}.npz")), &write_npz(&arrays))?;
    }
    if wants(TraceKind::Timing) {
        let mut table = Table::new(&[
            "chip_step",
            "time_ps",
            "energy_fj",
            "bound",
            "updated",
            "fired",
            "packets",
            "hops",
            "synaptic_events",
            "host_spikes",
        ]);
        for (step, record) in (1..).zip(&trace.step_records) {
            let bound = match record.bound {
                snncc_emu::Bound::Send(core) => format!("send {core}"),
                snncc_emu::Bound::Receive(core) => format!("receive {core}"),
                snncc_emu::Bound::Barrier => "barrier".to_owned(),
            };
            let numbers =
                [record.updated, record.fired, record.packets, record.hops, record.synaptic_events, record.host_spikes];
            let mut row =
                vec![step.to_string(), record.time_ps.to_string(), record.energy.total_fj().to_string(), bound];
            row.extend(numbers.map(|number| number.to_string()));
            table.row(row);
        }
        write_file(&folder.join(format!("timing-{sample:05}.csv")), table.csv().as_bytes())?;
        if !trace.network_steps.is_empty() {
            let table = network_sums::table(&trace, &running.opened.target);
            write_file(&folder.join(format!("network-{sample:05}.csv")), table.csv().as_bytes())?;
        }
    }
    Ok(())
}

/// Sums over all samples, and what they mean.
struct Summary<'a> {
    running: &'a Running,
    chip_steps: u32,
    sums: RunSums,
    layers: Vec<(String, u128)>,
    inputs: Vec<(String, u128)>,
    /// What the host computed, where it runs layers or makes currents.
    host: Option<HostWork>,
    /// What the compilation says of each population.
    rows: Vec<LayerRow>,
    slowest_step_ps: u64,
    /// Correct and labelled samples.
    correct: Option<(u64, u64)>,
    watched: Option<WatchSummary<'a>>,
}

impl<'a> Summary<'a> {
    fn new(
        running: &'a Running,
        samples: &[(usize, SampleResult)],
        chip_steps: u32,
        rows: &[LayerRow],
        watch: Option<&'a Watch>,
    ) -> Self {
        let mut sums = RunSums::default();
        let mut work = HostWork::default();
        let mut layers: Vec<(String, u128)> =
            running.program.populations().map(|(name, _, _)| (name.to_owned(), 0)).collect();
        let mut inputs: Vec<(String, u128)> = running.program.inputs().map(|(name, _)| (name.to_owned(), 0)).collect();
        for (_, result) in samples {
            sums.add(&result.totals, &result.cores);
            work.add(&result.work);
            layers.iter_mut().zip(&result.spikes).for_each(|((_, sum), count)| *sum += u128::from(*count));
            inputs.iter_mut().zip(&result.input_spikes).for_each(|((_, sum), count)| *sum += u128::from(*count));
        }
        let has_output = running.program.outputs().next().is_some();
        let correct = running.data.labels.as_ref().filter(|_| has_output).map(|labels| {
            let right = samples.iter().filter(|(number, result)| result.class == Some(labels[*number])).count();
            (right as u64, samples.len() as u64)
        });
        let slowest_step_ps = samples.iter().map(|(_, result)| result.slowest_step_ps).max().unwrap_or(0);
        let watched = watch.map(|watch| {
            let seen = samples.iter().map(|(number, result)| (*number, result.class, &result.watched));
            WatchSummary::new(watch, running.data.labels.as_deref(), seen)
        });
        let host = (running.host.is_some() || work != HostWork::default()).then_some(work);
        let rows = rows.to_vec();
        Self { running, chip_steps, sums, layers, inputs, host, rows, slowest_step_ps, correct, watched }
    }

    /// A population's name, and what it is where it is no layer of the network on the chip.
    fn title(&self, name: &str) -> String {
        self.rows.iter().find(|row| row.name == name).map_or_else(|| name.to_owned(), LayerRow::title)
    }

    /// Synaptic events of the first layer on the chip, and the rest.
    fn events_by_layer(&self) -> [(&'static str, u128); 2] {
        let first = self.sums.first_synaptic_events;
        [("first layer", first), ("later layers", self.sums.synaptic_events - first)]
    }

    /// The host's energy by kind of operation, where something is known of it.
    fn host_energy_fj(&self) -> Option<[(&'static str, u128); 3]> {
        Some(self.host?.energy_fj(self.running.host_costs.as_ref()?))
    }

    fn spikes(&self) -> u128 {
        self.layers.iter().map(|(_, count)| count).sum()
    }

    fn input_spikes(&self) -> u128 {
        self.inputs.iter().map(|(_, count)| count).sum()
    }

    fn json(&self, interrupted: bool, checked: Option<&Verification>) -> Json {
        let (sums, data) = (&self.sums, &self.running.data);
        let per_sample = |total: u128| total as f64 / sums.samples as f64;
        let named =
            |counts: &[(String, u128)]| json_counts(counts.iter().map(|(name, count)| (name.as_str(), *count)), false);
        let [early_exit, by_step] = self.watched.as_ref().map_or([Json::Null, Json::Null], WatchSummary::json);
        let cores: Vec<Json> = sums
            .cores
            .iter()
            .map(|core| {
                json!({
                    "core": core.core,
                    "name": self.running.opened.target.core_name(snncc_ids::CoreId(core.core)),
                    "send_ps": Value::from(core.send_ps), "receive_ps": Value::from(core.receive_ps),
                    "busy_ps": Value::from(core.send_ps.max(core.receive_ps)),
                    "bound_steps": Value::from(core.bound_steps),
                    "updates": Value::from(core.updated), "spikes": Value::from(core.fired),
                    "messages_out": Value::from(core.messages_out), "messages_in": Value::from(core.messages_in),
                    "synaptic_events": Value::from(core.synaptic_events),
                })
            })
            .collect();
        json!({
            "samples": sums.samples,
            "steps": data.steps,
            "chip_steps": self.chip_steps,
            "coding": coding_name(data.coding),
            "interrupted": interrupted,
            "accuracy": self.correct.map(|(correct, samples)| accuracy(correct, samples)),
            "correct": self.correct.map(|(correct, _)| correct),
            "early_exit": early_exit,
            "accuracy_by_step": by_step,
            "spikes": Value::from(self.spikes()),
            "spikes_per_layer": named(&self.layers),
            "input_spikes": Value::from(self.input_spikes()),
            "input_spikes_per_port": named(&self.inputs),
            "spikes_per_sample": per_sample(self.spikes()),
            "chip_spikes": Value::from(sums.fired),
            "updates": Value::from(sums.updated),
            "synaptic_events": Value::from(sums.synaptic_events),
            "first_layer_synaptic_events": Value::from(sums.first_synaptic_events),
            "first_layer_synapse_energy_fj": Value::from(sums.first_synapses_fj),
            "constant_sources": constant_sources(&self.rows),
            "packets": Value::from(sums.packets),
            "hops": Value::from(sums.hops),
            "time_ps": Value::from(sums.time_ps),
            "time_ps_per_sample": per_sample(sums.time_ps),
            "slowest_step_ps": Value::from(self.slowest_step_ps),
            "energy_fj": json_counts(ENERGY_PARTS.into_iter().zip(sums.energy_fj), true),
            "energy_fj_per_sample": per_sample(sums.total_energy_fj()),
            "costs": self.running.opened.target.file.costs,
            "bound_steps": json_counts(["send", "receive", "barrier"].into_iter().zip(sums.bound_steps), false),
            "overflows": json_counts(OVERFLOWS.into_iter().zip(sums.overflows), false),
            "host": {
                "spikes": Value::from(sums.host_spikes), "messages": Value::from(sums.host_messages),
                "writes": Value::from(sums.host_writes),
                "layers": self.running.opened.manifest.host,
                "work": self.host.map(|work| json_counts(work.parts(), false)),
                "energy_fj": self.host_energy_fj().map(|parts| json_counts(parts, true)),
            },
            "chip_and_host_energy_fj": self.host_energy_fj().map(|parts| {
                Value::from(sums.total_energy_fj() + parts.iter().map(|(_, part)| part).sum::<u128>())
            }),
            "cores": cores,
            "checked_samples": checked.map_or(0, |checked| checked.samples),
            "mismatches": checked.map(mismatches),
            "first_divergence": checked.and_then(|checked| checked.exact.first.as_ref()),
        })
    }

    fn section(&self) -> RunSection {
        let (sums, running) = (&self.sums, self.running);
        let table = &running.opened.target.file.costs;
        let counted = |count: u128, unit: &str| Figure::counted(count, unit);
        let (input, input_sha256) = running.input();
        let mut spikes: Vec<(String, Figure)> =
            self.inputs.iter().map(|(name, count)| (name.clone(), counted(*count, "spikes"))).collect();
        spikes.extend(self.layers.iter().map(|(name, count)| (name.clone(), counted(*count, "spikes"))));
        let named =
            |names: [&str; 5], counts: [u128; 5]| names.into_iter().map(str::to_owned).zip(counts).collect::<Vec<_>>();
        let watched = self.watched.as_ref();
        RunSection {
            accuracy_by_step: watched.map(WatchSummary::figures_by_step).unwrap_or_default(),
            early_exit: watched.map(WatchSummary::exit_figures).unwrap_or_default(),
            input,
            input_sha256,
            coding: coding_name(running.data.coding).to_owned(),
            samples: Figure::exact(sums.samples, "samples", "data"),
            steps: Figure::exact(running.data.steps, "network steps", "command"),
            accuracy: self.correct.map(|(correct, samples)| {
                Figure::new(accuracy(correct, samples) * 100.0, "%", Basis::Counted, "emulator")
            }),
            spikes,
            total_spikes: counted(self.spikes(), "spikes"),
            synaptic_events: counted(sums.synaptic_events, "events"),
            synaptic_events_by_layer: self
                .events_by_layer()
                .map(|(part, count)| (part.to_owned(), counted(count, "events")))
                .to_vec(),
            packets: counted(sums.packets, "packets"),
            hops: counted(sums.hops, "hops"),
            time: time_figure(sums.time_ps, table),
            slowest_step: time_figure(self.slowest_step_ps.into(), table),
            energy: named(ENERGY_PARTS, sums.energy_fj)
                .into_iter()
                .map(|(part, energy_fj)| (part, energy_figure(energy_fj, table)))
                .collect(),
            total_energy: energy_figure(sums.total_energy_fj(), table),
            first_layer_energy: Some(energy_figure(sums.first_synapses_fj, table)),
            host: self.host.map(|work| self.host_section(&work)),
            overflows: named(OVERFLOWS, sums.overflows)
                .into_iter()
                .map(|(kind, count)| (kind, counted(count, "events")))
                .collect(),
            host_work: vec![
                ("spikes".to_owned(), counted(sums.host_spikes, "spikes")),
                ("messages".to_owned(), counted(sums.host_messages, "messages")),
                ("register writes".to_owned(), counted(sums.host_writes, "writes")),
            ],
            cores: sums
                .cores
                .iter()
                .map(|core| {
                    let name = running.opened.target.core_name(snncc_ids::CoreId(core.core));
                    (name, time_figure(core.send_ps.max(core.receive_ps), table))
                })
                .collect(),
            caveats: caveats(running.costs()),
        }
    }

    fn host_section(&self, work: &HostWork) -> HostRun {
        let named = |name: &str| name.replace('_', " ");
        let counts = work
            .parts()
            .map(|(kind, count)| (named(kind), Figure::new(count, "operations", Basis::Counted, "layers on the host")));
        let Some((costs, parts)) = self.running.host_costs.as_ref().zip(self.host_energy_fj()) else {
            let caveats = vec!["the host's energy is not known: compile again".to_owned()];
            return HostRun {
                work: counts.to_vec(),
                energy: vec![],
                total_energy: None,
                energy_with_chip: None,
                caveats,
            };
        };
        let total: u128 = parts.iter().map(|(_, part)| part).sum();
        let figure = |energy_fj: u128| {
            Figure::new(energy_fj, "fJ", Basis::Modelled, &format!("counted operations × {}", costs.name))
        };
        let with_chip = self.sums.total_energy_fj() + total;
        let source = format!("counted events × {} and {}", self.running.opened.target.file.costs, costs.name);
        HostRun {
            work: counts.to_vec(),
            energy: parts.map(|(kind, part)| (named(kind), figure(part))).to_vec(),
            total_energy: Some(figure(total)),
            energy_with_chip: Some(Figure::new(with_chip, "fJ", Basis::Modelled, &source)),
            caveats: vec![
                format!("the host's energy is {}", costs.about),
                "the host's time is left out, and its spikes cost no hops on their way to the cores".to_owned(),
            ],
        }
    }

    fn text(&self, dir: &Path, folder: &Path) -> String {
        let sums = &self.sums;
        let samples = sums.samples as f64;
        let accuracy = self.correct.map_or(String::new(), |(correct, all)| {
            format!(", {correct} of {all} correct ({:.2} %)", accuracy(correct, all) * 100.0)
        });
        let mut out = format!(
            "{}: {} of {} ({} on the chip){accuracy}\n",
            dir.display(),
            count_text(sums.samples.into(), "samples"),
            count_text(self.running.data.steps.into(), "steps"),
            self.chip_steps
        );
        let mut table = Table::new(&["a sample", "mean"]);
        let mut row = |name: &str, text: String| table.row(vec![name.to_owned(), text]);
        let number = |total: u128| snncc_report::number_text((total as f64 / samples).into());
        for (name, count) in self.inputs.iter().chain(&self.layers) {
            row(&format!("spikes of {}", self.title(name)), number(*count));
        }
        row("synaptic events", number(sums.synaptic_events));
        for (part, count) in self.events_by_layer() {
            row(&format!("  {part}"), number(count));
        }
        row("packets", number(sums.packets));
        row("modelled time", time_text(sums.time_ps as f64 / samples));
        let energy = |total: u128| energy_text(total as f64 / samples);
        row("modelled energy", energy(sums.total_energy_fj()));
        row("  synapses of the first layer", energy(sums.first_synapses_fj));
        for (kind, count) in self.host.iter().flat_map(HostWork::parts) {
            row(&format!("host: {}", kind.replace('_', " ")), number(count));
        }
        if let Some(parts) = self.host_energy_fj() {
            let host: u128 = parts.iter().map(|(_, part)| part).sum();
            row("host: energy, arithmetic alone", energy(host));
            row("energy, chip and host", energy(sums.total_energy_fj() + host));
        }
        out += &table.text(2);
        out += &self.watched.as_ref().map_or(String::new(), |watched| watched.text(self.running.data.steps));
        out += &format!("costs: {}; all figures in {}\n", self.running.opened.target.file.costs, folder.display());
        out
    }
}

/// Populations that send constants, with the layer that each serves.
fn constant_sources(rows: &[LayerRow]) -> Json {
    let source = |row: &LayerRow| Some((row.name.clone(), json!(row.constants_of.as_ref()?)));
    Json::Object(rows.iter().filter_map(source).collect())
}

/// The coding's name on the command line.
pub(crate) fn coding_name(coding: snncc_data::Coding) -> &'static str {
    match coding {
        snncc_data::Coding::ConstantCurrent => "constant",
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_cut_to_network_steps() {
        let mut train = SpikeTrain::from_events(3, 5, &[(1, 0), (3, 1), (4, 2), (5, 0)]).unwrap();
        assert_eq!(in_network_steps(&train, 2, 2).events().collect::<Vec<_>>(), [(1, 1, 1), (2, 2, 1)]);
        train.payloads = Some(vec![7, -1, 2, 3]);
        let cut = in_network_steps(&train, 2, 9);
        assert_eq!((cut.steps(), cut.payloads), (9, Some(vec![-1, 2, 3])));
    }
}
