//! What `emulate`, `verify`, `ledger` and `sweep` share: a compiled network with its data on the emulator of its chip, run
//! folders, figures of time and energy.

use crate::args::{DataArgs, Timing, TimingArgs};
use crate::chip::{ChipEmulator, ChipProgram, ChipRun, Recording};
use crate::data::{self, Data, DataRequest, HostCurrents, Port};
use crate::early_exit::{Watch, Watched};
use crate::host::{HostPart, HostWork};
use crate::integers::Integers;
use crate::machine::is_machine;
use crate::output::{AnyImage, Opened, next_run};
use crate::session::{Failure, Session};
use crate::{interrupted, stop_early_when_interrupted};
use rayon::prelude::*;
use snncc_chip::HostCosts;
use snncc_compile::lower::{LowerOptions, lower};
use snncc_data::{Coding, Stimulus};
use snncc_emu::{PopulationTrace, Selection};
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_image::Readout;
use snncc_ir::cut::cut;
use snncc_ir::network::Reset;
use snncc_ir::{Network, Node, Param};
use snncc_report::{Basis, Figure};
use snncc_verify::{Compiled, SampleInput, largest, predicted_by_membrane, predicted_by_spikes};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A compiled network with the data to run on.
pub(crate) struct Running {
    pub(crate) opened: Opened,
    pub(crate) program: ChipProgram,
    /// The network as compiled.
    pub(crate) network: Network,
    pub(crate) data: Arc<Data>,
    currents: Option<HostCurrents>,
    /// Layers that run on the host.
    pub(crate) host: Option<HostPart>,
    /// What the host's arithmetic costs.
    pub(crate) host_costs: Option<HostCosts>,
    /// The integers, read when they are first asked for.
    integers: OnceLock<Result<Integers, String>>,
    /// How exactly the network between cores is timed.
    pub(crate) timing: Timing,
}

/// What one sample gave.
pub(crate) struct SampleResult {
    pub(crate) run: ChipRun,
    /// Spikes in network steps, by population.
    pub(crate) spikes: Vec<u64>,
    /// Spikes fed, by port.
    pub(crate) input_spikes: Vec<u64>,
    pub(crate) class: Option<u32>,
    /// What the output said after each step, where that was asked for.
    pub(crate) watched: Watched,
    /// What the host computed.
    pub(crate) work: HostWork,
}

impl Running {
    /// Opens a folder and reads the data. Shows what is wrong.
    ///
    /// # Errors
    /// After the diagnostics have been shown.
    pub(crate) fn open(session: &mut Session, folder: &Path, args: &DataArgs) -> Result<Self, Failure> {
        let opened = Opened::open(folder).map_err(|problems| session.fail(problems, None))?;
        let network = opened.network().map_err(|message| session.fail_files(&message))?;
        let program = ChipProgram::load(&opened, network.dt_s).map_err(|problems| session.fail(problems, None))?;
        let host_network = opened.host_network().map_err(|message| session.fail_files(&message))?;
        // Data is for the inputs of the whole network; those of a chip behind the host are others.
        let ports: Vec<Port> = match &host_network {
            None => program.inputs().map(|(name, len)| (name.to_owned(), len as usize)).collect(),
            Some(_) => {
                let shapes = snncc_ir::shapes::infer(&network).map_err(|problems| session.fail(problems, None))?;
                data::ports_of_network(&network, &shapes)
            }
        };
        let data = data::load(session, &DataRequest::new(args, &network.run), &ports)?;
        let host_costs = opened.host_costs().map_err(|message| session.fail_files(&message))?;
        let running = Self::new(opened, program, network, Arc::new(data), host_network.as_ref());
        let mut running = running.map_err(|problems| session.fail(problems, None))?;
        running.host_costs = host_costs;
        // The units of membranes are there.
        if running.program.outputs().any(|(_, _, readout)| readout == Readout::Membrane) {
            running.integers().map_err(|message| session.fail_files(message))?;
        }
        for name in running.currents.iter().flat_map(HostCurrents::filtered) {
            session.note(&format!(
                "note: `{name}` filters its input; the host writes the current that a constant input settles at, \
                 from the first step on"
            ));
        }
        Ok(running)
    }

    /// With another level of timing, and ticks of another length.
    ///
    /// # Errors
    /// After the diagnostic that the program cannot be timed so.
    pub(crate) fn timed(mut self, session: &mut Session, timing: &TimingArgs) -> Result<Self, Failure> {
        let checked = self.program.check_timing(timing.timing, &self.opened.target);
        checked.map_err(|problem| session.fail(problem.into(), None))?;
        if !self.program.stretch(timing.time_scale) {
            return Err(session.usage("--time-scale is for SpiNNaker-like machines, whose steps take a tick"));
        }
        Ok(Self { timing: timing.timing, ..self })
    }

    /// Of what is in memory. `host_network` is needed where layers run on the host.
    ///
    /// # Errors
    /// `SNN0210` where constant currents cannot be made of the input; what the float reference says of the host's part.
    pub(crate) fn new(
        opened: Opened,
        program: ChipProgram,
        network: Network,
        data: Arc<Data>,
        host_network: Option<&Network>,
    ) -> Result<Self, Diagnostics> {
        let currents = match data.coding {
            Coding::ConstantCurrent => Some(host_currents(&opened, &network)?),
            _ => None,
        };
        let is_sent = |name: &&str| opened.manifest.host.iter().any(|layer| layer == name);
        let (sent, others): (Vec<&str>, Vec<&str>) = program.inputs().map(|(name, _)| name).partition(is_sent);
        let is_input =
            |name: &str| network.find(name).is_some_and(|id| matches!(network.nodes[id].node, Node::Input { .. }));
        if let Some(name) = others.into_iter().find(|name| host_network.is_some() && !is_input(name)) {
            let message = format!("nothing feeds the chip's input `{name}`: it is neither an input nor on the host");
            return Err(Diagnostic::error(code::HOST_CUT, message).help("compile the network again").into());
        }
        let sent = sent.into_iter().map(str::to_owned).collect();
        let host = host_network.map(|network| HostPart::new(network, sent)).transpose()?;
        let integers = OnceLock::new();
        Ok(Self {
            opened,
            program,
            network,
            data,
            currents,
            host,
            host_costs: None,
            integers,
            timing: Timing::Analytic,
        })
    }

    /// The same with these integers, which no folder holds.
    pub(crate) fn with_integers(self, integers: Integers) -> Self {
        Self { integers: OnceLock::from(Ok(integers)), ..self }
    }

    /// The integers.
    ///
    /// # Errors
    /// Which file of the folder is missing or was changed.
    pub(crate) fn integers(&self) -> Result<&Integers, &str> {
        self.integers.get_or_init(|| self.opened.quantized()).as_ref().map_err(String::as_str)
    }

    /// Integers and image.
    ///
    /// # Errors
    /// As [`Running::integers`].
    pub(crate) fn compiled(&self) -> Result<Compiled<'_>, &str> {
        Ok(match (self.integers()?, &self.opened.image) {
            (Integers::Compartments(quantized), AnyImage::Compartments(image)) => {
                Compiled::Compartments { quantized, image }
            }
            (Integers::Spinnaker(quantized), AnyImage::Spinnaker(image)) => Compiled::Spinnaker { quantized, image },
            _ => panic!("bug in snncc: integers of another kind of chip than the image"),
        })
    }

    /// Units of a population that an output's membrane is read from.
    pub(crate) fn units(&self, name: &str) -> Option<(&Param, &Param)> {
        self.integers().ok()?.units(name)
    }

    /// What a sample feeds network and chip.
    ///
    /// # Errors
    /// What the coding says of the data.
    pub(crate) fn sample(&self, sample: usize) -> Result<SampleInput, Diagnostics> {
        self.sample_and_work(sample).map(|(input, _)| input)
    }

    /// What a sample feeds network and chip, and what the host computed for it.
    ///
    /// # Errors
    /// What the coding says of the data.
    pub(crate) fn sample_and_work(&self, sample: usize) -> Result<(SampleInput, HostWork), Diagnostics> {
        let coded = self.data.sample(sample)?;
        let (mut stimulus, analog) = (coded.stimulus, coded.analog);
        let (mut whole, mut work) = (None, HostWork::default());
        if let Some(host) = &self.host {
            let (sent, done) = host.run(&stimulus, &analog, self.data.steps)?;
            let read = |name: &str| self.program.inputs().any(|(input, _)| input == name);
            let mut ports: Vec<_> = stimulus.ports.iter().filter(|port| read(&port.port)).cloned().collect();
            ports.extend(sent);
            whole = Some(std::mem::replace(&mut stimulus, Stimulus { ports, host_biases: Vec::new() }));
            work = done;
        }
        if let Some(currents) = &self.currents {
            stimulus.host_biases = currents.of(&analog);
            work.multiply_accumulates += u128::from(currents.products());
        }
        Ok((SampleInput { stimulus, analog, whole }, work))
    }

    /// Chip steps of a sample: network steps and the longest latency of an output (of any population, without outputs).
    pub(crate) fn chip_steps(&self) -> u32 {
        chip_steps(self.data.steps, &self.latencies(), self.program.outputs().map(|(_, population, _)| population))
    }

    /// Latency of each population.
    pub(crate) fn latencies(&self) -> Vec<u32> {
        self.program.populations().map(|(_, latency)| latency).collect()
    }

    /// What must be recorded for spikes in network steps: those of populations that run beyond the last one.
    pub(crate) fn recording(&self, chip_steps: u32) -> Recording {
        // Many samples keep all threads busy; a few leave threads for the cores of each.
        let threads = self.data.count < rayon::current_num_threads();
        let spikes = beyond(self.data.steps, chip_steps, &self.latencies());
        Recording { spikes, threads, timing: self.timing, ..Recording::default() }
    }

    /// Runs one sample.
    ///
    /// # Errors
    /// What the coding says of the data.
    pub(crate) fn run_sample(
        &self,
        emulator: &mut ChipEmulator<'_>,
        sample: usize,
        chip_steps: u32,
        recording: &Recording,
        watch: Option<&Watch>,
    ) -> Result<SampleResult, Diagnostics> {
        let (input, work) = self.sample_and_work(sample)?;
        let run = emulator.run(&input.stimulus, chip_steps, recording)?;
        let fed = |name: &str| input.stimulus.port(name).map_or(0, |port| port.spikes.spike_count());
        Ok(SampleResult {
            spikes: network_spikes(run.populations(), &self.latencies(), self.data.steps),
            input_spikes: self.program.inputs().map(|(name, _)| fed(name)).collect(),
            class: self.class(&run),
            watched: watch.map_or_else(Watched::default, |watch| watch.look(self, &run)),
            work,
            run,
        })
    }

    /// The class that the first output names: argmax of spike counts over the network steps, or of the final membrane.
    pub(crate) fn class(&self, run: &ChipRun) -> Option<u32> {
        let (_, at, readout) = self.program.outputs().next()?;
        let (name, latency) = self.program.populations().nth(at)?;
        let output = &run.populations()[at];
        Some(match readout {
            Readout::Spikes => match &output.spikes {
                Some(train) => predicted_by_spikes(train, latency, self.data.steps),
                None => largest(&output.counts),
            },
            Readout::Membrane => predicted_by_membrane(output.final_membrane.as_ref()?, self.units(name)?),
        })
    }

    /// What run figures leave out.
    pub(crate) fn caveats(&self) -> Vec<String> {
        let target = &self.opened.target;
        let resets = "resets between samples and writes by the host cost no modelled time or energy";
        let mut caveats = vec![resets.to_owned()];
        let waiting = match (is_machine(target), self.timing) {
            (true, Timing::Analytic) => {
                "a step takes a tick, or as long as its slowest core where that is longer; packets do not wait for links"
            }
            (true, _) => "steps are ticks; rows that are not done in one are late, and all timers tick in phase",
            (false, Timing::Analytic) => {
                "hops cost energy but no time, and traffic causes no waiting (analytic timing)"
            }
            (false, _) => "the host's messages take no time in the network",
        };
        caveats.push(waiting.to_owned());
        if is_machine(target) {
            return caveats;
        }
        if target.model.costs.get(&target.file.costs).is_some_and(|costs| costs.static_power.is_some()) {
            caveats.push("static power is left out".to_owned());
        }
        caveats
    }

    /// Name and hash of the first input file.
    pub(crate) fn input(&self) -> (String, String) {
        self.data.files.first().cloned().unwrap_or_default()
    }
}

/// Chip steps of a sample: network steps and the longest latency of an output (of any population, without outputs).
fn chip_steps(steps: u32, latencies: &[u32], outputs: impl Iterator<Item = usize>) -> u32 {
    let of_outputs = outputs.map(|population| latencies[population]).max();
    steps.saturating_add(of_outputs.or(latencies.iter().copied().max()).unwrap_or(0))
}

/// Populations that run beyond the last network step: of the others, counts are enough.
fn beyond(steps: u32, chip_steps: u32, latencies: &[u32]) -> Selection {
    Selection::Some((0..latencies.len()).filter(|at| steps + latencies[*at] < chip_steps).collect())
}

/// Spikes in network steps, by population.
fn network_spikes(populations: &[PopulationTrace], latencies: &[u32], steps: u32) -> Vec<u64> {
    let of = |(population, latency): (&PopulationTrace, &u32)| match &population.spikes {
        Some(train) => {
            let end = steps.saturating_add(*latency).min(train.steps());
            u64::from(train.step_starts[end as usize])
        }
        None => population.counts.iter().map(|count| u64::from(*count)).sum(),
    };
    populations.iter().zip(latencies).map(of).collect()
}

/// Runs samples in parallel, each on an emulator that others have used; gives those that were done when the user stopped it.
///
/// # Errors
/// After the diagnostics of the first sample that failed have been shown.
pub(crate) fn run_samples<E, R: Send>(
    session: &mut Session,
    count: usize,
    emulator: impl Fn() -> E + Sync + Send,
    run: impl Fn(&mut E, usize) -> Result<R, Diagnostics> + Sync + Send,
) -> Result<Vec<(usize, R)>, Failure> {
    let bar = session.bar("emulating", count as u64);
    stop_early_when_interrupted(true);
    let unless_stopped = |emulator: &mut E, sample: usize| -> Result<Option<R>, Diagnostics> {
        if interrupted() {
            return Ok(None);
        }
        let result = run(emulator, sample);
        bar.inc(1);
        result.map(Some)
    };
    let results: Vec<_> = (0..count).into_par_iter().map_init(emulator, unless_stopped).collect();
    bar.finish_and_clear();
    stop_early_when_interrupted(false);
    let mut samples = Vec::with_capacity(results.len());
    for (number, result) in results.into_iter().enumerate() {
        match result {
            Ok(result) => samples.extend(result.map(|result| (number, result))),
            Err(problems) => return Err(session.fail(problems, None)),
        }
    }
    Ok(samples)
}

/// Shows the overflows of the first sample that has any, and in how many samples they occur.
pub(crate) fn warn<'s>(session: &mut Session, samples: impl ExactSizeIterator<Item = (usize, &'s [Diagnostic])>) {
    let count = samples.len();
    let overflowing: Vec<_> = samples.filter(|(_, warnings)| !warnings.is_empty()).collect();
    if let Some((number, warnings)) = overflowing.first() {
        let note = format!("in sample {number}; registers overflowed in {} of {count} samples", overflowing.len());
        session.say(warnings.iter().map(|warning| warning.clone().note(&*note)), None);
    }
}

/// Number, label and class of a sample, for `predictions.csv`.
pub(crate) fn prediction(data: &Data, number: usize, class: Option<u32>) -> Vec<String> {
    let label = data.labels.as_ref().map(|labels| labels[number].to_string());
    vec![number.to_string(), label.unwrap_or_default(), class.map(|class| class.to_string()).unwrap_or_default()]
}

/// The folder for results of a run in an output folder: the one asked for, or the next `run-NNN`.
///
/// # Errors
/// What the system says.
pub(crate) fn results_folder(
    session: &mut Session,
    output: &Path,
    asked: Option<&PathBuf>,
) -> Result<PathBuf, Failure> {
    let made = match asked {
        Some(folder) => std::fs::create_dir_all(folder)
            .map(|()| folder.clone())
            .map_err(|error| format!("`{}` cannot be written: {error}", folder.display())),
        None => next_run(output),
    };
    made.map_err(|message| session.fail_files(&message))
}

fn host_currents(opened: &Opened, network: &Network) -> Result<HostCurrents, Diagnostics> {
    let options = LowerOptions {
        align: opened.manifest.align,
        allow_loop_latency: opened.manifest.allow_loop_latency,
        subtracts: is_machine(&opened.target),
        reset: opened.manifest.approximate_reset.then_some(Reset::ToValue),
        ..LowerOptions::default()
    };
    let layers = &opened.manifest.host;
    let of_chip = if layers.is_empty() { None } else { Some(cut(network, layers)?.chip) };
    HostCurrents::new(lower(of_chip.as_ref().unwrap_or(network), &options)?.ir, layers.clone())
}

/// The basis of a cost table's figures: modelled, for they are published costs times counted events.
pub(crate) fn energy_figure(energy_fj: u128, table: &str) -> Figure {
    Figure::new(energy_fj, "fJ", Basis::Modelled, &format!("counted events × {table}"))
}

/// A time from a cost table.
pub(crate) fn time_figure(time_ps: u128, table: &str) -> Figure {
    Figure::new(time_ps, "ps", Basis::Modelled, &format!("counted events × {table}, analytic"))
}

/// `true` where a prediction is right, by sample; the part of them.
pub(crate) fn accuracy(correct: u64, samples: u64) -> f64 {
    if samples == 0 { 0.0 } else { correct as f64 / samples as f64 }
}
