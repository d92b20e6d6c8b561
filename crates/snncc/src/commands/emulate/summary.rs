//! What `emulate` says of a run: as JSON, for the report, and for reading.

use super::{Sample, coding_name};
use crate::args::Timing;
use crate::chip::ChipProgram;
use crate::commands::verify::mismatches;
use crate::early_exit::{Watch, WatchSummary};
use crate::host::HostWork;
use crate::machine;
use crate::running::{Running, accuracy, energy_figure, time_figure};
use crate::sums::{CYCLES, OVERRUNS, RunSums, json_counts};
use serde_json::{Value as Json, json};
use snncc_ids::CoreId;
use snncc_report::{
    Basis, Figure, HostRun, LayerRow, RunSection, Table, Value, count_text, energy_text, number_text, time_text,
};
use snncc_verify::Verification;
use std::path::Path;

/// Sums over all samples, and what they mean.
pub(super) struct Summary<'a> {
    running: &'a Running,
    chip_steps: u32,
    sums: &'a RunSums,
    layers: Vec<(String, u128)>,
    inputs: Vec<(String, u128)>,
    /// What the host computed, where it runs layers or makes currents.
    host: Option<HostWork>,
    /// What the compilation says of each population.
    rows: Vec<LayerRow>,
    /// Correct and labelled samples.
    correct: Option<(u64, u64)>,
    watched: Option<WatchSummary<'a>>,
}

impl<'a> Summary<'a> {
    pub(super) fn new(
        running: &'a Running,
        sums: &'a RunSums,
        samples: &[(usize, Sample)],
        chip_steps: u32,
        rows: &[LayerRow],
        watch: Option<&'a Watch>,
    ) -> Self {
        let named = |names: Vec<String>, counts: &[u128]| names.into_iter().zip(counts.iter().copied()).collect();
        let layers = running.program.populations().map(|(name, _)| name.to_owned()).collect();
        let inputs = running.program.inputs().map(|(name, _)| name.to_owned()).collect();
        let has_output = running.program.outputs().next().is_some();
        let correct = running.data.labels.as_ref().filter(|_| has_output).map(|labels| {
            let right = samples.iter().filter(|(number, sample)| sample.class == Some(labels[*number])).count();
            (right as u64, samples.len() as u64)
        });
        let watched = watch.map(|watch| {
            let seen = samples.iter().map(|(number, sample)| (*number, sample.class, &sample.watched));
            WatchSummary::new(watch, running.data.labels.as_deref(), seen)
        });
        Self {
            running,
            chip_steps,
            sums,
            layers: named(layers, &sums.spikes),
            inputs: named(inputs, &sums.input_spikes),
            host: (running.host.is_some() || sums.work != HostWork::default()).then_some(sums.work),
            rows: rows.to_vec(),
            correct,
            watched,
        }
    }

    /// A population's name, and what it is where it is no layer of the network on the chip.
    fn title(&self, name: &str) -> String {
        self.rows.iter().find(|row| row.name == name).map_or_else(|| name.to_owned(), LayerRow::title)
    }

    /// The host's energy by kind of operation, where something is known of it.
    fn host_energy_fj(&self) -> Option<[(&'static str, u128); 3]> {
        Some(self.host?.energy_fj(self.running.host_costs.as_ref()?))
    }

    fn spikes(&self) -> u128 {
        self.layers.iter().map(|(_, count)| count).sum()
    }

    fn core_name(&self, core: u32) -> String {
        self.running.opened.target.core_name(CoreId(core))
    }

    /// Time in which a core was busy.
    fn busy_ps(&self, core: &crate::sums::Named) -> u128 {
        let cycles = core.find(CYCLES).map(|cycles| machine::time_ps(&self.running.opened.target, cycles));
        cycles.unwrap_or_else(|| core.get("send_ps").max(core.get("receive_ps")))
    }

    pub(super) fn json(&self, interrupted: bool, checked: Option<&Verification>) -> Json {
        let (sums, data) = (self.sums, &self.running.data);
        let per_sample = |total: u128| total as f64 / sums.samples as f64;
        let named =
            |counts: &[(String, u128)]| json_counts(counts.iter().map(|(name, count)| (name.as_str(), *count)), false);
        let [early_exit, by_step] = self.watched.as_ref().map_or([Json::Null, Json::Null], WatchSummary::json);
        let core = |(core, counts): &(u32, crate::sums::Named)| {
            let mut object = counts.json(false);
            object["core"] = json!(core);
            object["name"] = json!(self.core_name(*core));
            object["busy_ps"] = json!(Value::from(self.busy_ps(counts)));
            object
        };
        let input_spikes: u128 = self.inputs.iter().map(|(_, count)| count).sum();
        let mut host = sums.host.json(false);
        host["layers"] = json!(self.running.opened.manifest.host);
        host["work"] = json!(self.host.map(|work| json_counts(work.parts(), false)));
        host["energy_fj"] = json!(self.host_energy_fj().map(|parts| json_counts(parts, true)));
        let mut result = json!({
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
            "input_spikes": Value::from(input_spikes),
            "input_spikes_per_port": named(&self.inputs),
            "spikes_per_sample": per_sample(self.spikes()),
            "constant_sources": constant_sources(&self.rows),
            "time_ps": Value::from(sums.time_ps),
            "time_ps_per_sample": per_sample(sums.time_ps),
            "slowest_step_ps": Value::from(sums.slowest_step_ps),
            "energy_fj": sums.energy_fj.json(true),
            "energy_fj_per_sample": per_sample(sums.energy_fj.total()),
            "costs": self.running.opened.target.file.costs,
            "overflows": sums.overflows.json(false),
            "host": host,
            "chip_and_host_energy_fj": self.host_energy_fj().map(|parts| {
                Value::from(sums.energy_fj.total() + parts.iter().map(|(_, part)| part).sum::<u128>())
            }),
            "cores": sums.cores.iter().map(core).collect::<Vec<_>>(),
            "checked_samples": checked.map_or(0, |checked| checked.samples),
            "mismatches": checked.map(mismatches),
            "first_divergence": checked.and_then(|checked| checked.exact.first.as_ref()),
        });
        for (name, count) in sums.counts.iter() {
            result[name] = json!(Value::from(count));
        }
        match self.running.program.tick_ps() {
            Some(tick_ps) => result["tick_ps"] = json!(Value::from(tick_ps)),
            None => result["bound_steps"] = sums.bound_steps.json(false),
        }
        let timing = self.running.timing;
        result["timing"] = json!(timing.name());
        match &self.running.program {
            _ if timing == Timing::Analytic => {}
            ChipProgram::Compartments(_) => result["network"] = sums.network.json(),
            ChipProgram::Machine { program, .. } => result["link"] = sums.links.json(program),
        }
        result
    }

    pub(super) fn section(&self) -> RunSection {
        let (sums, running) = (self.sums, self.running);
        let table = &running.opened.target.file.costs;
        let counted = |count: u128, unit: &str| Figure::counted(count, unit);
        let (input, input_sha256) = running.input();
        let mut spikes: Vec<(String, Figure)> =
            self.inputs.iter().map(|(name, count)| (name.clone(), counted(*count, "spikes"))).collect();
        spikes.extend(self.layers.iter().map(|(name, count)| (name.clone(), counted(*count, "spikes"))));
        let watched = self.watched.as_ref();
        let overruns = sums.counts.find(OVERRUNS).map(|overruns| (OVERRUNS, overruns, "core ticks"));
        let overflows = sums.overflows.iter().map(|(kind, count)| (kind, count, "events")).chain(overruns);
        let host_work = sums.host.iter().map(|(what, count)| match what {
            "writes" => ("register writes".to_owned(), counted(count, "writes")),
            other => (other.to_owned(), counted(count, other)),
        });
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
            synaptic_events: counted(sums.counts.get("synaptic_events"), "events"),
            synaptic_events_by_layer: sums
                .events_by_layer()
                .iter()
                .flatten()
                .map(|(part, count)| ((*part).to_owned(), counted(*count, "events")))
                .collect(),
            packets: counted(sums.counts.get("packets"), "packets"),
            hops: counted(sums.counts.get("hops"), "hops"),
            time: time_figure(sums.time_ps, table),
            slowest_step: time_figure(sums.slowest_step_ps.into(), table),
            energy: sums
                .energy_fj
                .iter()
                .map(|(part, energy_fj)| (part.to_owned(), energy_figure(energy_fj, table)))
                .collect(),
            total_energy: energy_figure(sums.energy_fj.total(), table),
            first_layer_energy: sums.first_synapses_fj().map(|energy_fj| energy_figure(energy_fj, table)),
            host: self.host.map(|work| self.host_section(&work)),
            overflows: overflows
                .map(|(kind, count, unit)| (kind.to_owned(), counted(count, unit)))
                .chain(self.late_packets())
                .collect(),
            host_work: host_work.collect(),
            cores: sums
                .cores
                .iter()
                .map(|(core, counts)| (self.core_name(*core), time_figure(self.busy_ps(counts), table)))
                .collect(),
            caveats: running.caveats(),
        }
    }

    /// Late and lost packets of a machine, where its level of timing tells.
    fn late_packets(&self) -> Vec<(String, Figure)> {
        let tells = self.running.timing != Timing::Analytic && self.running.program.tick_ps().is_some();
        if tells { self.sums.links.figures() } else { Vec::new() }
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
        let with_chip = self.sums.energy_fj.total() + total;
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

    pub(super) fn text(&self, dir: &Path, folder: &Path) -> String {
        let sums = self.sums;
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
        let number = |total: u128| number_text((total as f64 / samples).into());
        let energy = |total: u128| energy_text(total as f64 / samples);
        for (name, count) in self.inputs.iter().chain(&self.layers) {
            row(&format!("spikes of {}", self.title(name)), number(*count));
        }
        row("synaptic events", number(sums.counts.get("synaptic_events")));
        for (part, count) in sums.events_by_layer().iter().flatten() {
            row(&format!("  {part}"), number(*count));
        }
        row("packets", number(sums.counts.get("packets")));
        row("modelled time", time_text(sums.time_ps as f64 / samples));
        row("modelled energy", energy(sums.energy_fj.total()));
        if let Some(first) = sums.first_synapses_fj() {
            row("  synapses of the first layer", energy(first));
        } else {
            for (part, part_fj) in sums.energy_fj.iter() {
                row(&format!("  {part}"), energy(part_fj));
            }
        }
        for (kind, count) in self.host.iter().flat_map(HostWork::parts) {
            row(&format!("host: {}", kind.replace('_', " ")), number(count));
        }
        if let Some(parts) = self.host_energy_fj() {
            let host: u128 = parts.iter().map(|(_, part)| part).sum();
            row("host: energy, arithmetic alone", energy(host));
            row("energy, chip and host", energy(sums.energy_fj.total() + host));
        }
        out += &table.text(2);
        if let Some(tick_ps) = self.running.program.tick_ps() {
            out += &self.ticks(tick_ps);
        }
        match &self.running.program {
            _ if self.running.timing == Timing::Analytic => {}
            ChipProgram::Compartments(_) => out += &sums.network.text(self.running.timing),
            ChipProgram::Machine { program, .. } => {
                let mut table = Table::new(&["in time", "all samples"]);
                sums.links.rows(program).into_iter().for_each(|(name, text)| table.row(vec![name, text]));
                out += &table.text(2);
            }
        }
        out += &self.watched.as_ref().map_or(String::new(), |watched| watched.text(self.running.data.steps));
        out += &format!("costs: {}; all figures in {}\n", self.running.opened.target.file.costs, folder.display());
        out
    }

    /// Whether a machine kept its ticks, and what saturated.
    fn ticks(&self, tick_ps: u64) -> String {
        let sums = self.sums;
        let (tick, slowest) = (time_text(tick_ps as f64), time_text(sums.slowest_step_ps as f64));
        let mut out = format!("ticks of {tick}; the slowest core of a step took {slowest}");
        out += &match sums.counts.get(OVERRUNS) {
            0 => "; no core was late\n".to_owned(),
            late => format!("; cores were late {} times\n", number_text(late.into())),
        };
        for (kind, count) in sums.overflows.iter().filter(|(_, count)| *count > 0) {
            let what = if kind == "membrane" { "membranes" } else { "ring-buffer slots" };
            out += &format!("saturated {what}: {}\n", number_text(count.into()));
        }
        out
    }
}

/// Populations that send constants, with the layer that each serves.
fn constant_sources(rows: &[LayerRow]) -> Json {
    let source = |row: &LayerRow| Some((row.name.clone(), json!(row.constants_of.as_ref()?)));
    Json::Object(rows.iter().filter_map(source).collect())
}
