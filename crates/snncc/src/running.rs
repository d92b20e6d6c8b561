//! What `emulate` and `verify` share: an opened output folder with its data, run folders, figures of time and energy.

use crate::args::DataArgs;
use crate::data::{self, Data, DataRequest, HostCurrents, Port};
use crate::host::{HostPart, HostWork};
use crate::output::{Opened, next_run};
use crate::session::{Failure, Session};
use crate::{interrupted, stop_early_when_interrupted};
use rayon::prelude::*;
use serde_json::{Map, Value as Json, json};
use snncc_chip::{CostTable, HostCosts};
use snncc_compile::lower::{LowerOptions, lower};
use snncc_data::{Coding, Stimulus};
use snncc_emu::{CoreTrace, OverflowCount, PopulationTrace, Program, Selection, Totals};
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_image::Readout;
use snncc_ir::cut::cut;
use snncc_ir::network::Reset;
use snncc_ir::{IntNeurons, Network, Node, Param, QuantizedIr};
use snncc_report::{Basis, Figure, Value};
use snncc_verify::{SampleInput, largest, predicted_by_membrane, predicted_by_spikes};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An output folder with the data to run on.
pub(crate) struct Running {
    pub(crate) opened: Opened,
    pub(crate) program: Program,
    /// The network as compiled.
    pub(crate) network: Network,
    pub(crate) data: Arc<Data>,
    currents: Option<HostCurrents>,
    /// Layers that run on the host.
    pub(crate) host: Option<HostPart>,
    /// What the host's arithmetic costs.
    pub(crate) host_costs: Option<HostCosts>,
    /// The integers, where an output reads membranes: their units are there.
    quantized: Option<QuantizedIr>,
}

impl Running {
    /// Opens a folder and reads the data. Shows what is wrong.
    ///
    /// # Errors
    /// After the diagnostics have been shown.
    pub(crate) fn open(session: &mut Session, folder: &Path, args: &DataArgs) -> Result<Self, Failure> {
        let opened = Opened::open(folder).map_err(|problems| session.fail(problems, None))?;
        let program = Program::load(&opened.image, &opened.target).map_err(|problems| session.fail(problems, None))?;
        let network = opened.network().map_err(|message| session.fail_files(&message))?;
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
        let reads_membranes = program.outputs().any(|(_, _, readout)| readout == Readout::Membrane);
        let quantized =
            reads_membranes.then(|| opened.quantized()).transpose().map_err(|message| session.fail_files(&message))?;
        let host_costs = opened.host_costs().map_err(|message| session.fail_files(&message))?;
        let running = Self::new(opened, program, network, Arc::new(data), quantized, host_network.as_ref());
        let mut running = running.map_err(|problems| session.fail(problems, None))?;
        running.host_costs = host_costs;
        for name in running.currents.iter().flat_map(HostCurrents::filtered) {
            session.note(&format!(
                "note: `{name}` filters its input; the host writes the current that a constant input settles at, \
                 from the first step on"
            ));
        }
        Ok(running)
    }

    /// Of what is in memory. `quantized` is needed where an output reads membranes, `host_network` where layers run on the
    /// host.
    ///
    /// # Errors
    /// `SNN0210` where constant currents cannot be made of the input; what the float reference says of the host's part.
    pub(crate) fn new(
        opened: Opened,
        program: Program,
        network: Network,
        data: Arc<Data>,
        quantized: Option<QuantizedIr>,
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
        Ok(Self { opened, program, network, data, currents, host, host_costs: None, quantized })
    }

    /// Registers and units of a population that an output's membrane is read from.
    pub(crate) fn neurons(&self, name: &str) -> Option<&IntNeurons> {
        let quantized = self.quantized.as_ref()?;
        let (id, _) = quantized.graph.populations.iter_with_ids().find(|(_, population)| population.name == name)?;
        quantized.neurons[id].as_ref()
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
        self.program.populations().map(|(_, _, latency)| latency).collect()
    }

    /// The cost table in use.
    pub(crate) fn costs(&self) -> &CostTable {
        let target = &self.opened.target;
        target.model.costs.get(&target.file.costs).expect("bug in snncc: a target without its cost table was accepted")
    }

    /// Name and hash of the first input file.
    pub(crate) fn input(&self) -> (String, String) {
        self.data.files.first().cloned().unwrap_or_default()
    }
}

/// Chip steps of a sample: network steps and the longest latency of an output (of any population, without outputs).
pub(crate) fn chip_steps(steps: u32, latencies: &[u32], outputs: impl Iterator<Item = usize>) -> u32 {
    let of_outputs = outputs.map(|population| latencies[population]).max();
    steps.saturating_add(of_outputs.or(latencies.iter().copied().max()).unwrap_or(0))
}

/// Populations that run beyond the last network step: of the others, counts are enough.
pub(crate) fn beyond(steps: u32, chip_steps: u32, latencies: &[u32]) -> Selection {
    Selection::Some((0..latencies.len()).filter(|at| steps + latencies[*at] < chip_steps).collect())
}

/// Spikes in network steps, by population.
pub(crate) fn network_spikes(populations: &[PopulationTrace], latencies: &[u32], steps: u32) -> Vec<u64> {
    let of = |(population, latency): (&PopulationTrace, &u32)| match &population.spikes {
        Some(train) => {
            let end = steps.saturating_add(*latency).min(train.steps());
            u64::from(train.step_starts[end as usize])
        }
        None => population.counts.iter().map(|count| u64::from(*count)).sum(),
    };
    populations.iter().zip(latencies).map(of).collect()
}

/// The class that an output names: argmax of spike counts over the network steps, or of the final membrane. `units`: units per
/// volt and offset of its neurons, where membranes are read.
pub(crate) fn class_of(
    output: &PopulationTrace,
    readout: Readout,
    (latency, steps): (u32, u32),
    units: Option<(&Param, &Param)>,
) -> Option<u32> {
    Some(match readout {
        Readout::Spikes => match &output.spikes {
            Some(train) => predicted_by_spikes(train, latency, steps),
            None => largest(&output.counts),
        },
        Readout::Membrane => predicted_by_membrane(output.final_membrane.as_ref()?, units?),
    })
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
        reset: opened.manifest.approximate_reset.then_some(Reset::ToValue),
        ..LowerOptions::default()
    };
    let layers = &opened.manifest.host;
    let of_chip = if layers.is_empty() { None } else { Some(cut(network, layers)?.chip) };
    HostCurrents::new(lower(of_chip.as_ref().unwrap_or(network), &options)?.ir, layers.clone())
}

/// Sums over samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunSums {
    pub(crate) samples: u64,
    pub(crate) synaptic_events: u128,
    /// Those of them that spikes of the host activated, and their energy.
    pub(crate) first_synaptic_events: u128,
    pub(crate) first_synapses_fj: u128,
    pub(crate) packets: u128,
    pub(crate) hops: u128,
    pub(crate) host_spikes: u128,
    pub(crate) host_messages: u128,
    pub(crate) host_writes: u128,
    pub(crate) fired: u128,
    pub(crate) updated: u128,
    pub(crate) time_ps: u128,
    /// By part, in the order of [`ENERGY_PARTS`].
    pub(crate) energy_fj: [u128; 5],
    /// By kind, in the order of [`OVERFLOWS`].
    pub(crate) overflows: [u128; 5],
    /// Steps bound by sending, by receiving, by the barrier.
    pub(crate) bound_steps: [u128; 3],
    pub(crate) cores: Vec<CoreTrace>,
}

/// Parts of the energy.
pub(crate) const ENERGY_PARTS: [&str; 5] = ["soma", "axon_out", "hops", "axon_in", "synapses"];
/// Registers that may overflow.
pub(crate) const OVERFLOWS: [&str; 5] = ["input", "current", "biased_current", "v_high", "v_low"];

fn overflow_counts(core: &CoreTrace) -> [OverflowCount; 5] {
    let o = &core.overflows;
    [o.input, o.current, o.biased_current, o.v_high, o.v_low]
}

impl RunSums {
    /// Adds the sums of one sample.
    pub(crate) fn add(&mut self, totals: &Totals, cores: &[CoreTrace]) {
        self.samples += 1;
        self.synaptic_events += u128::from(totals.synaptic_events);
        self.first_synaptic_events += u128::from(totals.first_synaptic_events);
        self.first_synapses_fj += totals.first_synapses_fj;
        self.packets += u128::from(totals.packets);
        self.hops += u128::from(totals.hops);
        self.host_spikes += u128::from(totals.host_spikes);
        self.host_messages += u128::from(totals.host_messages);
        self.host_writes += u128::from(totals.host_writes);
        self.fired += u128::from(totals.fired);
        self.updated += u128::from(totals.updated);
        self.time_ps += totals.time_ps;
        let e = &totals.energy;
        let parts = [e.soma_fj, e.axon_out_fj, e.hops_fj, e.axon_in_fj, e.synapses_fj];
        self.energy_fj.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        let bound = [totals.send_bound_steps, totals.receive_bound_steps, totals.barrier_bound_steps];
        self.bound_steps.iter_mut().zip(bound).for_each(|(sum, steps)| *sum += u128::from(steps));
        if self.cores.is_empty() {
            self.cores = cores.iter().map(|core| CoreTrace { core: core.core, ..CoreTrace::default() }).collect();
        }
        for (sum, core) in self.cores.iter_mut().zip(cores) {
            sum.updated += core.updated;
            sum.fired += core.fired;
            sum.messages_out += core.messages_out;
            sum.messages_in += core.messages_in;
            sum.synaptic_events += core.synaptic_events;
            sum.send_ps += core.send_ps;
            sum.receive_ps += core.receive_ps;
            sum.bound_steps += core.bound_steps;
            for (total, count) in self.overflows.iter_mut().zip(overflow_counts(core)) {
                *total += u128::from(count.count);
            }
        }
    }

    /// Energy of all parts.
    pub(crate) fn total_energy_fj(&self) -> u128 {
        self.energy_fj.iter().sum()
    }
}

/// Named counts as a JSON object, with their sum where wanted.
pub(crate) fn json_counts<'a>(counts: impl IntoIterator<Item = (&'a str, u128)>, total: bool) -> Json {
    let mut object = Map::new();
    let mut sum = 0;
    for (name, count) in counts {
        sum += count;
        object.insert(name.to_owned(), json!(Value::from(count)));
    }
    if total {
        object.insert("total".to_owned(), json!(Value::from(sum)));
    }
    Json::Object(object)
}

/// The basis of a cost table's figures: modelled, for they are published costs times counted events.
pub(crate) fn energy_figure(energy_fj: u128, table: &str) -> Figure {
    Figure::new(energy_fj, "fJ", Basis::Modelled, &format!("counted events × {table}"))
}

/// A time from a cost table.
pub(crate) fn time_figure(time_ps: u128, table: &str) -> Figure {
    Figure::new(time_ps, "ps", Basis::Modelled, &format!("counted events × {table}, analytic"))
}

/// What run figures leave out.
pub(crate) fn caveats(costs: &CostTable) -> Vec<String> {
    let mut caveats = vec![
        "resets between samples and writes by the host cost no modelled time or energy".to_owned(),
        "hops cost energy but no time, and traffic causes no waiting (analytic timing)".to_owned(),
    ];
    if costs.static_power.is_some() {
        caveats.push("static power is left out".to_owned());
    }
    caveats
}

/// `true` where a prediction is right, by sample; the part of them.
pub(crate) fn accuracy(correct: u64, samples: u64) -> f64 {
    if samples == 0 { 0.0 } else { correct as f64 / samples as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_in_json() {
        let counts = json_counts([("soma", 1 << 60), ("hops", 2)], true);
        assert_eq!(counts, json!({ "soma": "1152921504606846976", "hops": 2, "total": "1152921504606846978" }));
    }

    #[test]
    fn sums_add_samples_and_cores() {
        let core = CoreTrace { core: 3, fired: 2, send_ps: 10, ..CoreTrace::default() };
        let totals = Totals { fired: 2, time_ps: 7, ..Totals::default() };
        let mut sums = RunSums::default();
        sums.add(&totals, &[core]);
        sums.add(&totals, &[core]);
        assert_eq!((sums.samples, sums.fired, sums.time_ps), (2, 4, 14));
        assert_eq!((sums.cores[0].core, sums.cores[0].fired, sums.cores[0].send_ps), (3, 4, 20));
    }
}
