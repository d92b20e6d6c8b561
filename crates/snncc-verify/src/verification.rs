//! What a verification found, as plain fields.

use serde::Serialize;
use snncc_ids::{Diagnostic, code};

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verification {
    /// Samples run.
    pub samples: u64,
    /// Network steps of each sample.
    pub network_steps: u32,
    /// Chip steps of each sample: network steps and the longest latency of an output.
    pub chip_steps: u32,
    /// Integer reference against emulator.
    pub exact: ExactComparison,
    /// Float reference against integer reference, by population of neurons; empty without a float network.
    pub losses: Vec<PopulationLoss>,
    /// Where float and integer spikes differ first. That they do is what quantization costs, no fault.
    pub float_divergence: Option<FloatDivergence>,
    /// What each sample was taken for, where the network has an output.
    pub predictions: Vec<Prediction>,
    /// Samples for which float and integer reference predict different classes.
    pub flipped: Vec<u64>,
    /// Correct predictions by witness (`float`, `integer`, `emulator`), where labels were given.
    pub accuracy: Vec<Accuracy>,
    /// Spikes of another tool against ours, where they were given.
    pub other_tool: Option<OtherToolComparison>,
    /// What saturated, over all samples; empty for chips whose registers wrap instead. Where both sides say the same, it is
    /// no fault of the compilation: the network asks for more than the chip holds.
    pub saturations: Vec<Saturation>,
    /// Sums of the emulator's counts over all samples.
    pub chip: ChipTotals,
    /// Packets that were late or lost on the emulator, by kind; empty where time changes nothing.
    pub disturbances: Vec<Disturbance>,
    /// Samples in which integer reference and emulator differ, though they agree if all packets come in time.
    pub late_samples: u64,
}

/// Packets of a machine that were late or lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Disturbance {
    /// What was counted.
    pub what: String,
    /// Times, over all samples.
    pub count: u64,
    /// Whether neurons miss input for it.
    pub changes_results: bool,
    /// The first sample with it.
    pub sample: u64,
    /// Chip step of the first in that sample.
    pub chip_step: u32,
    /// Core or link of the first.
    pub place: String,
}

impl std::fmt::Display for Disturbance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, count, sample, chip_step, place, .. } = self;
        write!(f, "{count} {what}, first in sample {sample}, chip step {chip_step}, at {place}")
    }
}

/// Integer reference against emulator. All counts must be 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ExactComparison {
    /// Spikes of one side alone, or with another payload, over all samples and steps.
    pub mismatches: u64,
    /// Samples with any difference.
    pub differing_samples: u64,
    /// By population.
    pub populations: Vec<PopulationMismatches>,
    /// Samples, from the first one on, whose currents and voltages were compared in every step too.
    pub state_samples: u64,
    /// Currents and voltages that differ in them.
    pub state_mismatches: u64,
    /// Voltages read at non-spiking outputs that differ after the last step.
    pub output_mismatches: u64,
    /// The first difference.
    pub first: Option<FirstDivergence>,
}

impl ExactComparison {
    /// Whether integer reference and emulator agreed in everything compared.
    pub fn agrees(&self) -> bool {
        self.differing_samples == 0
    }
}

/// Spikes of a population that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PopulationMismatches {
    /// The population.
    pub population: String,
    /// Spikes of the integer reference.
    pub integer_spikes: u64,
    /// Spikes of the emulator.
    pub chip_spikes: u64,
    /// Spikes of one side alone, or with another payload.
    pub mismatches: u64,
}

/// The first difference between integer reference and emulator: by sample, chip step, layer, neuron.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FirstDivergence {
    /// The sample.
    pub sample: u64,
    /// The chip step.
    pub chip_step: u32,
    /// The network step of the same event (0 or less: before the population starts).
    pub network_step: i64,
    /// The population.
    pub population: String,
    /// The neuron, row-major.
    pub neuron: u32,
    /// The neuron along each dimension of the population's shape.
    pub index: Vec<u32>,
    /// Core number.
    pub core: u32,
    /// Compartment on it (of a SpiNNaker-like machine: index of the neuron).
    pub compartment: u32,
    /// What the integer reference has.
    pub integer: SideValues,
    /// What the emulator has.
    pub chip: SideValues,
    /// Why, if it can be told.
    pub cause: Option<String>,
}

/// State of one neuron after a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SideValues {
    /// Current.
    pub u: i64,
    /// Voltage.
    pub v: i64,
    /// Payload of its spike; 0 for none.
    pub spike: i32,
    /// Input of the step (of the emulator of a Loihi-like chip: what the change of the current implies).
    pub input: i64,
}

impl std::fmt::Display for FirstDivergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let index: Vec<String> = self.index.iter().map(u32::to_string).collect();
        write!(
            f,
            "sample {}, step {} (chip step {}), `{}`[{}] on core {}, compartment {}: integer reference {}, emulator {}",
            self.sample,
            self.network_step,
            self.chip_step,
            self.population,
            index.join(","),
            self.core,
            self.compartment,
            self.integer,
            self.chip
        )
    }
}

impl std::fmt::Display for SideValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { u, v, spike, input } = self;
        write!(f, "input {input}, u {u}, v {v}, ")?;
        match spike {
            0 => write!(f, "no spike"),
            1 => write!(f, "spike"),
            payload => write!(f, "spike of {payload}"),
        }
    }
}

/// What quantization cost a population.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PopulationLoss {
    /// The population.
    pub population: String,
    /// Spikes of the float reference.
    pub float_spikes: u64,
    /// Spikes of the integer reference.
    pub integer_spikes: u64,
    /// Spikes of both sides, at the same neuron and step.
    pub matching_spikes: u64,
    /// Integer spikes per float spike; `None` without float spikes.
    pub count_ratio: Option<f64>,
    /// `2 · matching / (float + integer)`: 1 where all match or none occur.
    pub matching_fraction: f64,
    /// Pearson correlation of the spike counts of (sample, neuron); `None` where one side does not vary.
    pub rate_correlation: Option<f64>,
    /// Signal-to-quantization-noise ratio of the membrane in dB, over the samples whose states were recorded; `None`
    /// without any, infinite where equal.
    pub membrane_sqnr_db: Option<f64>,
    /// Mean over samples of the van Rossum distance per neuron, if asked for.
    pub van_rossum: Option<f64>,
}

/// The first spike that float and integer reference do not share: by sample, network step, layer, neuron.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FloatDivergence {
    /// The sample.
    pub sample: u64,
    /// The network step.
    pub network_step: u32,
    /// The chip step of the same event.
    pub chip_step: u32,
    /// The population.
    pub population: String,
    /// The neuron, row-major.
    pub neuron: u32,
    /// The neuron along each dimension of the population's shape.
    pub index: Vec<u32>,
    /// Whether the float reference spikes (otherwise the integer reference does).
    pub float_spikes: bool,
    /// Membrane of the float reference after the step before, in canonical units (relative to the reset): after the step
    /// itself it is reset on one side. `None` in step 1, or where the float neuron has no state.
    pub float_v_before: Option<f64>,
    /// The same of the integer reference, divided by its units.
    pub integer_v_before: Option<f64>,
    /// Membrane of the side that did not spike, after the step, in canonical units.
    pub silent_v: Option<f64>,
    /// The integer threshold in canonical units.
    pub threshold: f64,
}

/// What a sample was taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Prediction {
    /// The sample.
    pub sample: u64,
    /// The label, if given.
    pub label: Option<u32>,
    /// Class by the float reference.
    pub float: Option<u32>,
    /// Class by the integer reference.
    pub integer: u32,
    /// Class by the emulator.
    pub chip: u32,
}

/// Correct predictions of a witness.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Accuracy {
    /// `float`, `integer` or `emulator`.
    pub witness: String,
    /// Correct predictions.
    pub correct: u64,
    /// Samples with a label.
    pub samples: u64,
}

/// Spikes of another tool against ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OtherToolComparison {
    /// By population that the other tool gave.
    pub populations: Vec<OtherToolPopulation>,
    /// The first spike that tool and emulator do not share.
    pub first_with_chip: Option<ToolDivergence>,
    /// The first spike that tool and float reference do not share.
    pub first_with_float: Option<ToolDivergence>,
}

/// Spikes of a population in another tool against ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OtherToolPopulation {
    /// The population.
    pub population: String,
    /// Spikes of the other tool.
    pub tool_spikes: u64,
    /// Spikes of the emulator.
    pub chip_spikes: u64,
    /// Spikes of one of these two alone.
    pub chip_mismatches: u64,
    /// Spikes of the tool or the float reference alone, if there is one.
    pub float_mismatches: Option<u64>,
}

/// The first spike that another tool and we do not share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ToolDivergence {
    /// The sample.
    pub sample: u64,
    /// The network step.
    pub network_step: u32,
    /// The population.
    pub population: String,
    /// The neuron, row-major.
    pub neuron: u32,
    /// The neuron along each dimension of the population's shape.
    pub index: Vec<u32>,
    /// Whether the other tool spikes (otherwise we do).
    pub tool_spikes: bool,
}

/// Values that saturated, as both sides count them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Saturation {
    /// What: `ring_buffer` or `membrane`.
    pub kind: String,
    /// Times by the integer reference.
    pub integer: u128,
    /// Times by the emulator.
    pub chip: u128,
}

/// Sums of an emulator's counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChipTotals {
    /// Synapses activated.
    pub synaptic_events: u128,
    /// Messages between a compartment and a core.
    pub packets: u128,
    /// Hops of all messages.
    pub hops: u128,
    /// Modelled time in picoseconds.
    pub time_ps: u128,
    /// Modelled energy in femtojoules, by part.
    pub energy_fj: Vec<(String, u128)>,
    /// Registers that overflowed, by kind.
    pub overflows: Vec<(String, u128)>,
}

impl ChipTotals {
    /// Adds another's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.synaptic_events += other.synaptic_events;
        self.packets += other.packets;
        self.hops += other.hops;
        self.time_ps += other.time_ps;
        let lists = [(&mut self.energy_fj, &other.energy_fj), (&mut self.overflows, &other.overflows)];
        for (ours, theirs) in lists {
            for (name, count) in theirs {
                match ours.iter_mut().find(|(known, _)| known == name) {
                    Some((_, sum)) => *sum += count,
                    None => ours.push((name.clone(), *count)),
                }
            }
        }
    }
}

impl Verification {
    /// Adds what saturated in a sample.
    pub(crate) fn add_saturations(&mut self, of_sample: &[Saturation]) {
        for row in of_sample {
            match self.saturations.iter_mut().find(|sum| sum.kind == row.kind) {
                Some(sum) => (sum.integer, sum.chip) = (sum.integer + row.integer, sum.chip + row.chip),
                None => self.saturations.push(row.clone()),
            }
        }
    }

    /// Adds what was late or lost in a sample.
    pub(crate) fn add_disturbances(&mut self, sample: u64, of_sample: &[Disturbance]) {
        for row in of_sample {
            match self.disturbances.iter_mut().find(|sum| sum.what == row.what) {
                Some(sum) => sum.count += row.count,
                None => self.disturbances.push(Disturbance { sample, ..row.clone() }),
            }
        }
    }

    /// Whether emulator and integer reference differ only because packets were late or lost.
    pub fn differs_by_time_alone(&self) -> bool {
        !self.exact.agrees() && self.late_samples == self.exact.differing_samples
    }

    /// Whether the verification passes: emulator and integer reference agree, and another tool's spikes, if given, equal
    /// the emulator's.
    pub fn passes(&self) -> bool {
        self.diagnostics().is_empty()
    }

    /// `SNN0801` where emulator and integer reference disagree, or `SNN0803` if they do so only because packets were late or
    /// lost; `SNN0802` where another tool's spikes differ from the emulator's.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        if !self.exact.agrees() {
            let ExactComparison { mismatches, differing_samples, .. } = self.exact;
            let places = format!("in {differing_samples} of {} samples, in {mismatches} spikes", self.samples);
            let mut diagnostic = if self.differs_by_time_alone() {
                let message = format!(
                    "the emulator differs from the integer reference because packets were late or lost: {places}"
                );
                let diagnostic = Diagnostic::error(code::TIMING_DIVERGENCE, message);
                diagnostic.note("the same samples with all packets in time: equal in every spike")
            } else {
                let diagnostic =
                    Diagnostic::error(code::DIVERGENCE, format!("integer reference and emulator disagree {places}"));
                match self.late_samples {
                    0 => diagnostic,
                    late => diagnostic.note(format!("{late} of these samples agree if all packets come in time")),
                }
            };
            for disturbance in self.disturbances.iter().filter(|disturbance| disturbance.changes_results) {
                diagnostic = diagnostic.note(disturbance.to_string());
            }
            if let Some(first) = &self.exact.first {
                diagnostic = diagnostic.at(format!("nodes/{}", first.population)).note(format!("first: {first}"));
                if let Some(cause) = &first.cause {
                    diagnostic = diagnostic.note(format!("cause: {cause}"));
                }
            }
            diagnostics.push(diagnostic);
        }
        if let Some(tool) = &self.other_tool
            && let Some(first) = &tool.first_with_chip
        {
            let differing: u64 = tool.populations.iter().map(|population| population.chip_mismatches).sum();
            let index: Vec<String> = first.index.iter().map(u32::to_string).collect();
            let (who, silent) =
                if first.tool_spikes { ("the other tool", "the emulator") } else { ("the emulator", "the other tool") };
            let mut diagnostic = Diagnostic::error(
                code::OTHER_TOOL_DIVERGENCE,
                format!("{differing} spikes differ between the other tool and the emulator"),
            )
            .at(format!("nodes/{}", first.population))
            .note(format!(
                "first: sample {}, step {}, `{}`[{}]: {who} spikes, {silent} does not",
                first.sample,
                first.network_step,
                first.population,
                index.join(",")
            ));
            if tool.populations.iter().all(|population| population.float_mismatches == Some(0)) {
                diagnostic =
                    diagnostic.note("the float reference agrees with the tool: the difference is quantization");
            }
            diagnostics.push(diagnostic);
        }
        diagnostics
    }
}
