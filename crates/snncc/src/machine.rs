//! SpiNNaker-like machines: what `compile` writes for them, and how `emulate` runs it.
//!
//! The folder is that of every target: network, integers, program, target, report, each with its hash in the manifest. Time is
//! that of ticks, of one network step each; a core that does not finish within its tick is an overrun, and is counted.

use crate::args::{CompileArgs, DataArgs, EmulateArgs};
use crate::commands::compile::{Written, print as print_compiled, write_files};
use crate::commands::verify::{Subject, compare};
use crate::compilation::{Job, Results};
use crate::data::{self, Data, DataRequest, Port};
use crate::interrupted;
use crate::machine_reports;
use crate::output::{Opened, REPORT, REPORTS, write_file};
use crate::report::{basis, quality_row};
use crate::running::{
    accuracy, beyond, chip_steps, class_of, energy_figure, network_spikes, prediction, results_folder, run_samples,
    time_figure, warn,
};
use crate::session::{Failure, Outcome, Session, exit, pretty, print, print_json};
use serde_json::{Value as Json, json};
use snncc_chip::{Sourced, SpinnakerCore, Target};
use snncc_compile::spinnaker::Compiled;
use snncc_compile::{OverflowPolicy, QuantizeStrategy};
use snncc_data::Coding;
use snncc_emu::spinnaker::{
    SpinnakerEmulator, SpinnakerMachine, SpinnakerProgram, SpinnakerRunOptions, SpinnakerTotals, SpinnakerTrace,
};
use snncc_ids::{CoreId, Diagnostic, Diagnostics, code};
use snncc_image::spinnaker::{ChipImage, SpinnakerImage};
use snncc_ir::PopulationRole;
use snncc_ir::spinnaker::{SpinnakerIr, SpinnakerNeurons};
use snncc_report::{
    Basis, ChipRow, CoreRow, Figure, PlacementRow, QuantizationRow, ReportData, ResourceUse, RunSection, Table, Totals,
    Value, count_text, energy_text, time_text,
};
use snncc_verify::{EmulatedMachine, SampleInput};
use std::path::Path;

/// Length of a tick of a network without time step, in seconds.
const ABSTRACT_TICK_S: f64 = 1e-3;

/// Whether a target is a machine of this kind.
pub(crate) fn is_machine(target: &Target) -> bool {
    target.model.spinnaker().is_some()
}

/// Whether an output folder was compiled for a machine of this kind. What else is wrong with it is for others to say.
pub(crate) fn is_machine_folder(folder: &Path) -> bool {
    Opened::without_program(folder).is_ok_and(|opened| is_machine(&opened.target))
}

fn core_of(target: &Target) -> &SpinnakerCore {
    target.model.spinnaker().expect("bug in snncc: no SpiNNaker-like target")
}

/// Flags that mean nothing for such machines.
///
/// # Errors
/// SNN0205 for each of them.
pub(crate) fn check_options(job: &Job<'_>) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut refuse = |is_given: bool, what: &str| {
        if is_given {
            let message = format!("{what}: SpiNNaker-like machines have no such thing");
            problems.push(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message).help("leave it out"));
        }
    };
    let mapping = &job.options.mapping;
    refuse(!mapping.pins.is_empty(), "pins of neurons to cores");
    refuse(!mapping.reserved_cores.is_empty(), "reserved cores (list them as dead in the target)");
    refuse(!mapping.exclusive.is_empty(), "exclusive cores (a core has one population)");
    refuse(!mapping.split.is_empty(), "a least number of cores");
    let bits = core_of(&job.target.target).formats.weight_bits.0;
    refuse(job.options.weight_bits.is_some_and(|wanted| wanted != bits), "weights of another width than 16 bits");
    refuse(job.host.is_some(), "layers on the host");
    refuse(job.options.strategy != QuantizeStrategy::Calibrated, "the quantizer's rules of another tool");
    refuse(job.options.overflow != OverflowPolicy::Error, "values that may overflow their field");
    problems.into_result(()).map(|_| ())
}

/// Writes all files of a compiled network and says what came of it.
///
/// # Errors
/// What the system says.
pub(crate) fn write(
    session: &Session,
    job: &Job<'_>,
    compiled: &Compiled,
    written: Written<'_>,
) -> Result<ReportData, String> {
    let report = report(session, job, compiled);
    debug_assert_eq!(report.check_totals(), Ok(()));
    let program = compiled.image.to_bytes();
    write_files(session, job, written, &report, program, crate::output::spinnaker_files(&compiled.ir))?;
    Ok(report)
}

/// What to print of it, and what to do next.
pub(crate) fn print_result(session: &Session, args: &CompileArgs, report: &ReportData, output: &Path) {
    print_compiled(session, report, output, args.json);
    if !args.json {
        let most = |resource: &str| {
            let used = report.chips.iter().flat_map(|chip| &chip.resources).filter(|used| used.resource == resource);
            used.max_by_key(|used| used.used).map_or(String::new(), |used| {
                format!("{} of {}", count_text(used.used.into(), &used.unit), used.available.unwrap_or(0))
            })
        };
        print(&format!(
            "{}; at most {} and {} on a chip\n",
            count_text(report.chips.len().into(), "chips"),
            most("routing_entries"),
            most("sdram_bytes")
        ));
    }
    let folder = output.display();
    session.next(&format!("snncc emulate {folder} --input DATA    (or: snncc report {folder})"));
}

fn report(session: &Session, job: &Job<'_>, compiled: &Compiled) -> ReportData {
    let target = &job.target.target;
    let (graph, core) = (&compiled.ir.graph, core_of(target));
    let mut report = job.report(session, &Results { graph: Some(graph), ..Results::default() });
    report.network.step = compiled.ir.dt_s.map(|dt_s| Figure::exact(dt_s * 1e3, "ms", "network"));
    let latencies = compiled.ir.outputs.iter().map(|port| graph.populations[port.population].latency_steps);
    report.network.output_latency = latencies.max().map(|latency| Figure::exact(latency, "steps", "lowering"));
    for (layer, id) in report.layers.iter_mut().zip(graph.populations.ids()) {
        layer.cores = Some(Figure::exact(compiled.split.of(id).len(), "cores", "image"));
    }
    let (split, slices) = (&compiled.split, &compiled.split.slices);
    let number = |at: usize| compiled.cores[at];
    let mut order: Vec<usize> = (0..split.vertices()).collect();
    order.sort_unstable_by_key(|at| number(*at));
    report.cores = order
        .iter()
        .map(|at| {
            let (slice, id) = (split.slice_of(*at), CoreId(number(*at)));
            let population = &graph.populations[slice.population];
            let extension = at.checked_sub(slices.len()).map(|at| split.extensions[at]);
            let data = || used("dtcm_bytes", "bytes", split.data_bytes(*at, core), &core.limits.dtcm_bytes);
            let resources = match population.role {
                _ if extension.is_some() => vec![data()],
                PopulationRole::Input => vec![used("neurons", "sources", slice.len.into(), &core.limits.neurons)],
                PopulationRole::Neurons => {
                    vec![used("neurons", "neurons", slice.len.into(), &core.limits.neurons), data()]
                }
            };
            CoreRow {
                core: id.0,
                name: target.core_name(id),
                router: target.position(id),
                layers: vec![match extension {
                    Some(extension) => (format!("delay extension of {}", population.name), extension.len.into()),
                    None => (population.name.clone(), slice.len.into()),
                }],
                binding: CoreRow::find_binding(&resources),
                resources,
            }
        })
        .collect();
    report.placement = slices
        .iter()
        .enumerate()
        .filter(|(_, slice)| graph.populations[slice.population].role == PopulationRole::Neurons)
        .map(|(at, slice)| PlacementRow {
            layer: graph.populations[slice.population].name.clone(),
            first_neuron: slice.first,
            count: slice.len,
            core: number(at),
            core_name: target.core_name(CoreId(number(at))),
            first_compartment: 0,
        })
        .collect();
    report.chips = compiled.image.chips.iter().map(|chip| chip_row(chip, target)).collect();
    report.quantization = quantization(&compiled.ir);
    report.totals = Totals::of(&report.layers, &report.cores);
    report
}

fn used<T: Copy + Into<u64>>(resource: &str, unit: &str, used: u64, limit: &Sourced<T>) -> ResourceUse {
    ResourceUse {
        resource: resource.to_owned(),
        used,
        available: Some(limit.0.into()),
        limit_name: format!("limits.{resource}"),
        unit: unit.to_owned(),
        basis: basis(limit.2),
        source: limit.1.clone(),
    }
}

fn chip_row(chip: &ChipImage, target: &Target) -> ChipRow {
    let limits = &core_of(target).limits;
    let sdram = chip.cores.iter().map(|core| machine_reports::sdram_bytes(core, target)).sum();
    let columns = target.file.chips.columns;
    ChipRow {
        chip: chip.chip,
        position: (chip.chip % columns, chip.chip / columns),
        cores: chip.cores.len() as u64,
        resources: vec![
            used("routing_entries", "entries", chip.routes.len() as u64, &limits.routing_entries),
            used("sdram_bytes", "bytes", sdram, &limits.sdram_bytes),
        ],
    }
}

/// Cores may have different ones.
fn largest_shift(neurons: &SpinnakerNeurons, synapse_type: usize) -> i8 {
    let shifts = neurons.synapse_types[synapse_type].left_shift.values();
    shifts.iter().copied().max().map_or(0, |shift| shift as i8)
}

fn quantization(ir: &SpinnakerIr) -> Vec<QuantizationRow> {
    let row = |(id, projection): (snncc_ids::ProjectionId, &snncc_ir::Projection)| {
        let weights = &ir.weights[id];
        let neurons = ir.neurons[projection.target].as_ref();
        let (positive, negative) = (weights.iter().any(|w| *w > 0), weights.iter().any(|w| *w < 0));
        QuantizationRow {
            projection: projection.name.clone(),
            target: ir.graph.populations[projection.target].name.clone(),
            weights: Figure::exact(weights.len(), "weights", "network"),
            weight_bits: 16,
            exponent: neurons.map_or(0, |neurons| largest_shift(neurons, usize::from(!positive))),
            signs: match (positive, negative) {
                (true, true) => "mixed",
                (false, true) => "inhibitory",
                _ => "excitatory",
            }
            .to_owned(),
            ..quality_row(Some(&ir.projection_quality[id]), ir.population_quality[projection.target].as_ref())
        }
    };
    ir.graph.projections.iter_with_ids().map(row).collect()
}

/// Writes the reports that users of sPyNNaker know.
///
/// # Errors
/// After the diagnostics have been shown.
pub(crate) fn write_reports(session: &mut Session, folder: &Path) -> Outcome {
    let opened = Opened::open_with(folder, SpinnakerImage::from_bytes);
    let opened = opened.map_err(|problems| session.fail(problems, None))?;
    let place = folder.join(REPORTS);
    for (name, text) in machine_reports::reports(&opened.image, &opened.target) {
        write_file(&place.join(&name), text.as_bytes()).map_err(|message| session.fail_files(&message))?;
        print(&format!("{}\n", place.join(name).display()));
    }
    Ok(0)
}

/// What a sample gave.
struct Sample {
    class: Option<u32>,
    /// Spikes in network steps, by population.
    spikes: Vec<u64>,
    totals: SpinnakerTotals,
    /// Time of the slowest core of any step.
    slowest_core_ps: u64,
    warnings: Vec<Diagnostic>,
}

/// A folder that is ready to run.
pub(crate) struct Ready {
    pub(crate) opened: Opened<SpinnakerImage>,
    program: SpinnakerProgram,
    ir: SpinnakerIr,
    pub(crate) data: Data,
    chip_steps: u32,
    tick_ps: u64,
}

/// Runs an output folder of such a machine.
pub(crate) fn emulate(session: &mut Session, args: &EmulateArgs) -> Outcome {
    session.json = args.json;
    for (is_given, flag) in [
        (args.early_exit.is_some(), "--early-exit"),
        (args.accuracy_by_step, "--accuracy-by-step"),
        (!args.trace.is_empty(), "--trace"),
    ] {
        if is_given {
            return Err(session.usage(&format!("{flag} is not for SpiNNaker-like machines yet")));
        }
    }
    let ready = Ready::open(session, &args.dir, &args.data)?;
    let run = |emulator: &mut SpinnakerEmulator<'_>, sample: usize| ready.run(emulator, sample);
    let samples = run_samples(session, ready.data.count, || SpinnakerEmulator::new(&ready.program), run)?;
    if samples.is_empty() {
        return Ok(exit::INTERRUPTED);
    }
    warn(session, samples.iter().map(|(number, sample)| (*number, &sample.warnings[..])));
    let checked = if interrupted() { 0 } else { args.check_samples.min(ready.data.count) };
    let mut report = ready.opened.report().map_err(|message| session.fail_files(&message))?;
    let verification = match checked {
        0 => None,
        _ => Some(ready.with_subject(checked, |subject| compare(session, subject, None, None, checked))?),
    };
    let summary = Summary::new(&ready, &samples);
    let folder = results_folder(session, &ready.opened.folder, args.output.as_ref())?;
    report.run = Some(summary.section(&ready));
    debug_assert_eq!(report.check_totals(), Ok(()));
    let differing = verification.as_ref().map_or(0, |verification| verification.exact.differing_samples);
    let json = summary.json(&ready, interrupted(), checked, differing);
    let mut table = Table::new(&["sample", "label", "class"]);
    samples.iter().for_each(|(number, sample)| table.row(prediction(&ready.data, *number, sample.class)));
    write_file(&folder.join("counters.json"), pretty(&json).as_bytes())
        .and_then(|()| write_file(&folder.join(REPORT), report.to_json().as_bytes()))
        .and_then(|()| write_file(&folder.join("predictions.csv"), table.csv().as_bytes()))
        .map_err(|message| session.fail_files(&message))?;
    if args.json {
        print_json(&json);
    } else {
        print(&summary.text(&ready));
        if differing == 0 && checked > 0 {
            let samples = count_text(checked.into(), "samples");
            print(&format!("first {samples}: equal to the integer reference in every spike\n"));
        }
        if interrupted() {
            print(&format!("interrupted: these are {} of {} samples\n", samples.len(), ready.data.count));
        }
    }
    if let Some(verification) = verification.filter(|verification| !verification.passes()) {
        session.say(verification.diagnostics(), None);
        return Err(Failure { exit: exit::MISMATCH });
    }
    session.next(&format!("snncc report {}", args.dir.display()));
    Ok(if interrupted() { exit::INTERRUPTED } else { 0 })
}

impl Ready {
    /// Opens a folder and reads the data. Shows what is wrong.
    ///
    /// # Errors
    /// After the diagnostics have been shown.
    pub(crate) fn open(session: &mut Session, folder: &Path, args: &DataArgs) -> Result<Self, Failure> {
        let opened = Opened::open_with(folder, SpinnakerImage::from_bytes);
        let opened = opened.map_err(|problems| session.fail(problems, None))?;
        let target = &opened.target;
        let machine = SpinnakerMachine::of(target);
        let program = SpinnakerProgram::load(&opened.image, &target.model, &machine, &target.file.costs)
            .map_err(|problems| session.fail(problems, None))?;
        let ports: Vec<Port> = program.inputs().map(|(name, len)| (name.to_owned(), len as usize)).collect();
        let network = opened.network().map_err(|message| session.fail_files(&message))?;
        let data = data::load(session, &DataRequest::new(args, &network.run), &ports)?;
        if data.coding == Coding::ConstantCurrent {
            let message = "constant currents: the host of a SpiNNaker-like machine sends spikes only";
            return Err(session.fail(
                Diagnostic::error(code::STIMULUS_MISMATCH, message).help("use --coding rate-rounded").into(),
                None,
            ));
        }
        let ir = opened.quantized().map_err(|message| session.fail_files(&message))?;
        let latencies = latencies(&program);
        let outputs = program.outputs().map(|(_, population, _)| population);
        let chip_steps = chip_steps(data.steps, &latencies, outputs);
        let tick_ps = (ir.dt_s.unwrap_or(ABSTRACT_TICK_S) * 1e12).round() as u64;
        Ok(Self { opened, program, ir, data, chip_steps, tick_ps })
    }

    /// What `verify` compares; `samples` is how many will be run at most.
    pub(crate) fn with_subject<T>(&self, samples: usize, work: impl FnOnce(&Subject<'_>) -> T) -> T {
        let opened = &self.opened;
        let threads = samples < rayon::current_num_threads();
        let sample = |sample: usize| {
            let coded = self.data.sample(sample)?;
            Ok(SampleInput { stimulus: coded.stimulus, analog: coded.analog, whole: None })
        };
        work(&Subject {
            folder: &opened.folder,
            costs: &opened.target.file.costs,
            host: &[],
            inputs: self.program.inputs().map(|(name, _)| name.to_owned()).collect(),
            data: &self.data,
            compiled: snncc_verify::Compiled::Spinnaker { quantized: &self.ir, image: &opened.image },
            model: &opened.target.model,
            chip: &EmulatedMachine::new(&self.program, Some(self.tick_ps), threads),
            sample: &sample,
        })
    }

    fn run(&self, emulator: &mut SpinnakerEmulator<'_>, sample: usize) -> Result<Sample, Diagnostics> {
        let coded = self.data.sample(sample)?;
        let stimulus = self.program.prepare(&coded.stimulus)?;
        let latencies = latencies(&self.program);
        let spikes = beyond(self.data.steps, self.chip_steps, &latencies);
        let options = SpinnakerRunOptions { spikes, tick_ps: Some(self.tick_ps), ..SpinnakerRunOptions::default() };
        let trace = emulator.run(&stimulus, self.chip_steps, &options);
        Ok(Sample {
            class: self.class(&trace),
            spikes: network_spikes(&trace.populations, &latencies, self.data.steps),
            slowest_core_ps: trace.step_records.iter().map(|step| step.slowest_ps).max().unwrap_or(0),
            warnings: trace.overflow_warnings(&self.program),
            totals: trace.totals,
        })
    }

    /// The class that the first output names: most spikes in the network steps, or the largest membrane in volts.
    fn class(&self, trace: &SpinnakerTrace) -> Option<u32> {
        let (_, population, readout) = self.program.outputs().next()?;
        let (name, _, latency) = self.program.populations().nth(population)?;
        let known = self.ir.graph.populations.iter_with_ids().find(|(_, known)| known.name == name);
        let units = known.and_then(|(id, _)| self.ir.neurons[id].as_ref());
        let units = units.map(|neurons| (&neurons.units_per_volt, &neurons.v_offset));
        class_of(&trace.populations[population], readout, (latency, self.data.steps), units)
    }
}

/// Latency of each population.
fn latencies(program: &SpinnakerProgram) -> Vec<u32> {
    program.populations().map(|(_, _, latency)| latency).collect()
}

/// Sums over samples.
struct Summary {
    samples: usize,
    correct: Option<usize>,
    /// Name and spikes of each population.
    spikes: Vec<(String, u128)>,
    host_spikes: u128,
    counts: [(&'static str, u128); 6],
    /// Slots that saturated, membranes that did.
    saturations: [(&'static str, u128); 2],
    overruns: u128,
    overrun_steps: u128,
    time_ps: u128,
    slowest_core_ps: u64,
    energy_fj: [(&'static str, u128); 3],
}

impl Summary {
    fn new(ready: &Ready, samples: &[(usize, Sample)]) -> Self {
        let sum =
            |of: &dyn Fn(&SpinnakerTotals) -> u128| samples.iter().map(|(_, sample)| of(&sample.totals)).sum::<u128>();
        let spikes = ready.program.populations().enumerate().map(|(at, (name, _, _))| {
            (name.to_owned(), samples.iter().map(|(_, sample)| u128::from(sample.spikes[at])).sum())
        });
        Self {
            samples: samples.len(),
            correct: ready
                .data
                .labels
                .as_ref()
                .map(|labels| samples.iter().filter(|(number, sample)| sample.class == Some(labels[*number])).count()),
            spikes: spikes.collect(),
            host_spikes: sum(&|totals| totals.host_spikes.into()),
            counts: [
                ("updated", sum(&|totals| totals.updated.into())),
                ("fired", sum(&|totals| totals.fired.into())),
                ("packets", sum(&|totals| totals.packets.into())),
                ("hops", sum(&|totals| totals.hops.into())),
                ("rows", sum(&|totals| totals.rows.into())),
                ("synaptic_events", sum(&|totals| totals.synaptic_events.into())),
            ],
            saturations: [
                ("ring_buffer", sum(&|totals| totals.saturations.into())),
                ("membrane", sum(&|totals| totals.membrane_saturations.into())),
            ],
            overruns: sum(&|totals| totals.overruns.into()),
            overrun_steps: sum(&|totals| totals.overrun_steps.into()),
            time_ps: sum(&|totals| totals.time_ps),
            slowest_core_ps: samples.iter().map(|(_, sample)| sample.slowest_core_ps).max().unwrap_or(0),
            energy_fj: [
                ("chips", sum(&|totals| totals.energy.chips_fj)),
                ("cores", sum(&|totals| totals.energy.cores_fj)),
                ("hops", sum(&|totals| totals.energy.hops_fj)),
            ],
        }
    }

    fn count(&self, name: &str) -> u128 {
        self.counts.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count)
    }

    fn total_energy_fj(&self) -> u128 {
        self.energy_fj.iter().map(|(_, part)| part).sum()
    }

    fn json(&self, ready: &Ready, interrupted: bool, checked: usize, differing: u64) -> Json {
        let object = |pairs: &[(&str, u128)]| -> Json {
            Json::Object(pairs.iter().map(|(name, count)| ((*name).to_owned(), json!(Value::from(*count)))).collect())
        };
        let mut energy = object(&self.energy_fj);
        energy["total"] = json!(Value::from(self.total_energy_fj()));
        let spikes: serde_json::Map<String, Json> =
            self.spikes.iter().map(|(name, count)| (name.clone(), json!(Value::from(*count)))).collect();
        json!({
            "target": ready.opened.target.name(),
            "samples": self.samples,
            "interrupted": interrupted,
            "steps": ready.data.steps,
            "correct": self.correct,
            "accuracy": self.correct.map(|correct| accuracy(correct as u64, self.samples as u64)),
            "spikes": spikes,
            "host_spikes": Value::from(self.host_spikes),
            "counts": object(&self.counts),
            "saturations": object(&self.saturations),
            "tick_ps": Value::from(u128::from(ready.tick_ps)),
            "time_ps": Value::from(self.time_ps),
            "slowest_core_ps": Value::from(u128::from(self.slowest_core_ps)),
            "overruns": Value::from(self.overruns),
            "overrun_steps": Value::from(self.overrun_steps),
            "energy_fj": energy,
            "checked_samples": checked,
            "mismatches": differing,
        })
    }

    fn text(&self, ready: &Ready) -> String {
        let mut table = Table::new(&["emulated", ready.opened.target.name()]);
        let mut row = |name: &str, text: String| table.row(vec![name.to_owned(), text]);
        row("samples", self.samples.to_string());
        row("steps a sample", ready.data.steps.to_string());
        if let Some(correct) = self.correct {
            let percent = 100.0 * accuracy(correct as u64, self.samples as u64);
            row("accuracy", format!("{percent:.2} % ({correct} of {})", self.samples));
        }
        for (name, spikes) in &self.spikes {
            row(&format!("spikes of {name}"), count_text((*spikes).into(), "spikes"));
        }
        for (name, count) in self.counts.iter().chain(&self.saturations.map(|(name, count)| (name, count))) {
            let name = match *name {
                "ring_buffer" => "saturated ring-buffer slots".to_owned(),
                "membrane" => "saturated membranes".to_owned(),
                name => name.replace('_', " "),
            };
            row(&name, snncc_report::number_text((*count).into()));
        }
        row("time (ticks)", time_text(self.time_ps as f64));
        row("slowest core of a step", time_text(self.slowest_core_ps as f64));
        row("overruns (cores late in a step)", snncc_report::number_text(self.overruns.into()));
        for (part, energy) in self.energy_fj {
            row(&format!("energy, {part}"), energy_text(energy as f64));
        }
        row("energy", energy_text(self.total_energy_fj() as f64));
        table.text(0)
    }

    fn section(&self, ready: &Ready) -> RunSection {
        let costs = &ready.opened.target.file.costs;
        let counted = |count: u128, unit: &str| Figure::counted(count, unit);
        let (input, input_sha256) = ready.data.files.first().cloned().unwrap_or_default();
        RunSection {
            input,
            input_sha256,
            coding: ready.data.coding.name().to_owned(),
            samples: Figure::exact(self.samples, "samples", "data"),
            steps: Figure::exact(ready.data.steps, "network steps", "command"),
            accuracy: self.correct.map(|correct| {
                let percent = 100.0 * accuracy(correct as u64, self.samples as u64);
                Figure::new(percent, "%", Basis::Counted, "emulator")
            }),
            accuracy_by_step: Vec::new(),
            early_exit: Vec::new(),
            spikes: self.spikes.iter().map(|(name, count)| (name.clone(), counted(*count, "spikes"))).collect(),
            total_spikes: counted(self.spikes.iter().map(|(_, count)| count).sum(), "spikes"),
            synaptic_events: counted(self.count("synaptic_events"), "events"),
            synaptic_events_by_layer: Vec::new(),
            packets: counted(self.count("packets"), "packets"),
            hops: counted(self.count("hops"), "hops"),
            time: time_figure(self.time_ps, costs),
            slowest_step: time_figure(self.slowest_core_ps.into(), costs),
            energy: self.energy_fj.iter().map(|(part, fj)| ((*part).to_owned(), energy_figure(*fj, costs))).collect(),
            total_energy: energy_figure(self.total_energy_fj(), costs),
            first_layer_energy: None,
            host: None,
            overflows: self
                .saturations
                .iter()
                .map(|(kind, count)| ((*kind).to_owned(), counted(*count, "events")))
                .chain([("overruns".to_owned(), counted(self.overruns, "core ticks"))])
                .collect(),
            host_work: vec![("spikes".to_owned(), counted(self.host_spikes, "spikes"))],
            cores: Vec::new(),
            caveats: vec![
                "a step takes a tick, or as long as its slowest core where that is longer; packets do not wait for links".to_owned(),
                "resets between samples cost no modelled time or energy".to_owned(),
            ],
        }
    }
}
