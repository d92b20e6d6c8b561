//! What a report holds: `report.json` is this, and every view is made from it alone.
//!
//! **Invariant:** [`Totals`] equal the sums of the rows ([`ReportData::check_totals`]). Additions within a major schema
//! version are only new optional fields.

use crate::figure::{Figure, Value};
use serde::{Deserialize, Serialize};

/// Version of the schema of `report.json`.
pub const SCHEMA_VERSION: &str = "1.0.0";

/// A report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportData {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: String,
    /// Version of snncc.
    pub snncc_version: String,
    /// Whether there is an image, and if not, which stage gave up.
    pub status: Status,
    /// The network.
    pub network: NetworkInfo,
    /// The target.
    pub target: TargetInfo,
    /// Options that shape the result, as (name, value).
    pub options: Vec<(String, String)>,
    /// Sums of the rows.
    pub totals: Totals,
    /// One row per population of the chip's network.
    pub layers: Vec<LayerRow>,
    /// Layers that run on the host; they are in no total.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host: Vec<HostRow>,
    /// One row per core in use.
    pub cores: Vec<CoreRow>,
    /// One row per chip in use, where cores share what their chip has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chips: Vec<ChipRow>,
    /// One row per mesh link in use.
    pub links: Vec<LinkRow>,
    /// One row per projection.
    pub quantization: Vec<QuantizationRow>,
    /// Where neurons sit, in runs of consecutive neurons and compartments.
    pub placement: Vec<PlacementRow>,
    /// What the compiler said.
    pub diagnostics: Vec<DiagnosticRow>,
    /// A run in the emulator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunSection>,
    /// A verification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationSection>,
}

/// How the compilation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Status {
    /// There is an image.
    Compiled,
    /// There is none; the report holds what was known by then.
    Failed {
        /// The stage that gave up.
        stage: String,
    },
}

/// The network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkInfo {
    /// File it was read from, without folders.
    pub file: String,
    /// SHA-256 of that file.
    pub sha256: String,
    /// Seconds of a step, where the network says.
    pub step: Option<Figure>,
    /// Chip steps after which network step 1 shows at the last output.
    pub output_latency: Option<Figure>,
}

/// The target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetInfo {
    /// Name.
    pub name: String,
    /// One line about it.
    pub about: String,
    /// Hardware model.
    pub model: String,
    /// SHA-256 of the hardware model's canonical form.
    pub model_sha256: String,
    /// Name of the time and energy table.
    pub costs: String,
    /// Chips.
    pub chips: u32,
    /// Routers of the joint mesh along x and y.
    pub mesh: (u32, u32),
    /// Cores at a router.
    pub cores_per_router: u32,
    /// Cores that may be used.
    pub usable_cores: u32,
}

/// Sums of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Neurons of all layers.
    pub neurons: Figure,
    /// Synapses of all layers.
    pub synapses: Figure,
    /// Cores in use.
    pub cores: Figure,
    /// Each resource, summed over cores: what is used, and what the cores in use have.
    pub resources: Vec<ResourceUse>,
}

impl Totals {
    /// The sums of these rows.
    pub fn of(layers: &[LayerRow], cores: &[CoreRow]) -> Self {
        let sum = |figures: &mut dyn Iterator<Item = &Figure>| -> i128 {
            figures.filter_map(|figure| figure.value.as_integer()).sum()
        };
        let mut resources: Vec<ResourceUse> = Vec::new();
        for used in cores.iter().flat_map(|core| &core.resources) {
            match resources.iter_mut().find(|total| total.resource == used.resource) {
                Some(total) => {
                    total.used = total.used.saturating_add(used.used);
                    total.available =
                        total.available.zip(used.available).map(|(total, core)| total.saturating_add(core));
                }
                None => resources.push(used.clone()),
            }
        }
        Self {
            neurons: Figure::exact(
                Value::Integer(sum(&mut layers.iter().map(|layer| &layer.neurons))),
                "neurons",
                "sum of layers",
            ),
            synapses: Figure::exact(
                Value::Integer(sum(&mut layers.iter().map(|layer| &layer.synapses))),
                "synapses",
                "sum of layers",
            ),
            cores: Figure::exact(cores.len(), "cores", "count of cores"),
            resources,
        }
    }
}

/// A population of neurons or of inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRow {
    /// Name.
    pub name: String,
    /// `input`, `host` (an input that gets the spikes of a layer on the host), `neurons`, or `constants` (a neuron that the
    /// compiler adds; it fires in every step).
    pub role: String,
    /// The layer whose constants it sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constants_of: Option<String>,
    /// Shape.
    pub shape: Vec<usize>,
    /// Neurons; 0 for inputs.
    pub neurons: Figure,
    /// Input elements; 0 for neurons.
    pub elements: Figure,
    /// Synapses onto it.
    pub synapses: Figure,
    /// Cores it sits on, if placed.
    pub cores: Option<Figure>,
    /// Chip step minus network step of the same event.
    pub latency: Figure,
    /// Item of the network file.
    pub item: String,
}

impl LayerRow {
    /// The name, and what the row is where that is not the network's layer on the chip.
    pub fn title(&self) -> String {
        match (&self.constants_of, self.role.as_str()) {
            (Some(served), _) => format!("{} (constant source of {served})", self.name),
            (None, "host") => format!("{} (on the host)", self.name),
            (None, _) => self.name.clone(),
        }
    }
}

/// A layer on the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostRow {
    /// Name.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Neurons.
    pub neurons: Figure,
    /// Connections onto it: products of its linear map.
    pub connections: Figure,
}

/// How much of a resource is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceUse {
    /// Name: `compartments`, `in_axons`, …
    pub resource: String,
    /// Used.
    pub used: u64,
    /// Available; `None` where there is no limit.
    pub available: Option<u64>,
    /// The limit's name in the hardware model.
    pub limit_name: String,
    /// Unit.
    pub unit: String,
    /// What the limit rests on; `exact` where there is none.
    pub basis: crate::figure::Basis,
    /// Source of the limit.
    pub source: String,
}

impl ResourceUse {
    /// Used part in percent; `None` where there is no limit.
    pub fn percent(&self) -> Option<f64> {
        match self.available? {
            0 => Some(if self.used == 0 { 0.0 } else { f64::INFINITY }),
            available => Some(self.used as f64 * 100.0 / available as f64),
        }
    }
}

/// A chip of a machine with several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChipRow {
    /// Its number.
    pub chip: u32,
    /// Where it is.
    pub position: (u32, u32),
    /// Cores in use.
    pub cores: u64,
    /// Resources that its cores share.
    pub resources: Vec<ResourceUse>,
}

/// A core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoreRow {
    /// Number over all chips.
    pub core: u32,
    /// `chip0.core17`.
    pub name: String,
    /// Router in the joint mesh: x, y.
    pub router: (u32, u32),
    /// Layers on it: name and neurons.
    pub layers: Vec<(String, u64)>,
    /// Resources.
    pub resources: Vec<ResourceUse>,
    /// The resource used the most, relative to its limit; `None` if none is limited.
    pub binding: Option<String>,
}

impl CoreRow {
    /// The resource of this name.
    pub fn resource(&self, name: &str) -> Option<&ResourceUse> {
        self.resources.iter().find(|used| used.resource == name)
    }

    /// The resource used the most; the first of equals.
    pub fn find_binding(resources: &[ResourceUse]) -> Option<String> {
        let mut binding: Option<(f64, &str)> = None;
        for used in resources {
            if let Some(percent) = used.percent()
                && binding.is_none_or(|(most, _)| percent > most)
            {
                binding = Some((percent, &used.resource));
            }
        }
        binding.map(|(_, name)| name.to_owned())
    }
}

/// A directed link between neighbouring routers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkRow {
    /// Router it leaves: x, y.
    pub from: (u32, u32),
    /// Router it enters: x, y.
    pub to: (u32, u32),
    /// Whether it leaves the chip.
    pub crosses_chip: bool,
    /// Axons over it: packets if every neuron spikes once.
    pub axons: Figure,
}

/// What quantization did to a projection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantizationRow {
    /// `source->target`.
    pub projection: String,
    /// Layer that receives.
    pub target: String,
    /// Distinct weights.
    pub weights: Figure,
    /// Bits of a stored weight.
    pub weight_bits: u8,
    /// Weights are multiplied by `2^exponent`.
    pub exponent: i8,
    /// Signs: `mixed`, `excitatory`, `inhibitory`.
    pub signs: String,
    /// Signal-to-noise ratio of the weights; `None` where integers were given.
    pub sqnr: Option<Figure>,
    /// Largest error of a weight.
    pub max_error: Option<Figure>,
    /// Weights that became 0.
    pub zeroed: Option<Figure>,
    /// Weights clipped.
    pub clipped: Option<Figure>,
    /// Largest relative error of a threshold of the target.
    pub threshold_error: Option<Figure>,
    /// Largest error of a bias of the target, relative to the threshold.
    pub bias_error: Option<Figure>,
    /// Largest error of a kept part of the target.
    pub decay_error: Option<Figure>,
}

/// A run of consecutive neurons on consecutive compartments of one core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementRow {
    /// Population.
    pub layer: String,
    /// First neuron.
    pub first_neuron: u32,
    /// How many.
    pub count: u32,
    /// Core number.
    pub core: u32,
    /// Core name.
    pub core_name: String,
    /// First compartment.
    pub first_compartment: u32,
}

/// A diagnostic, without its source excerpt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosticRow {
    /// `SNN0402`.
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    /// Message.
    pub message: String,
    /// Item at fault.
    pub item: Option<String>,
    /// Notes.
    pub notes: Vec<String>,
    /// Ways out.
    pub help: Vec<String>,
}

/// A run in the emulator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSection {
    /// Input file, without folders.
    pub input: String,
    /// SHA-256 of that file.
    pub input_sha256: String,
    /// Coding.
    pub coding: String,
    /// Samples.
    pub samples: Figure,
    /// Network steps of a sample.
    pub steps: Figure,
    /// Part of the samples classified correctly, where labels were given.
    pub accuracy: Option<Figure>,
    /// Part of the samples that are classified correctly (without labels: as after all steps) after so many steps, where asked
    /// for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accuracy_by_step: Vec<(u32, Figure)>,
    /// What a rule for early exit gives, by what it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub early_exit: Vec<(String, Figure)>,
    /// Spikes of each layer, inputs included, over all samples.
    pub spikes: Vec<(String, Figure)>,
    /// Spikes of all neurons (without inputs).
    pub total_spikes: Figure,
    /// Synaptic events.
    pub synaptic_events: Figure,
    /// Those that spikes of the host activate (the first layer on the chip), and the rest: they sum to the events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub synaptic_events_by_layer: Vec<(String, Figure)>,
    /// Packets sent.
    pub packets: Figure,
    /// Hops of packets.
    pub hops: Figure,
    /// Modelled time of all samples.
    pub time: Figure,
    /// Modelled time of the slowest step.
    pub slowest_step: Figure,
    /// Modelled energy by part.
    pub energy: Vec<(String, Figure)>,
    /// Modelled energy of all parts.
    pub total_energy: Figure,
    /// The part of the synapses' energy that spikes of the host cause: the first layer on the chip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_layer_energy: Option<Figure>,
    /// What the host computed, where it runs layers or makes currents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostRun>,
    /// Registers that overflowed, by kind.
    pub overflows: Vec<(String, Figure)>,
    /// Work of the host that no time or energy is charged for.
    pub host_work: Vec<(String, Figure)>,
    /// Busy time of each core.
    pub cores: Vec<(String, Figure)>,
    /// What the figures leave out.
    pub caveats: Vec<String>,
}

/// Arithmetic of the host in a run: no part of the chip's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostRun {
    /// Operations by kind.
    pub work: Vec<(String, Figure)>,
    /// Modelled energy by kind of operation; empty where nothing is known of the host.
    pub energy: Vec<(String, Figure)>,
    /// Sum of `energy`.
    pub total_energy: Option<Figure>,
    /// Sum of the chip's total and the host's.
    pub energy_with_chip: Option<Figure>,
    /// What the host's energy leaves out.
    pub caveats: Vec<String>,
}

/// A verification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerificationSection {
    /// Input file, without folders.
    pub input: String,
    /// Samples compared.
    pub samples: Figure,
    /// Network steps of a sample.
    pub steps: Figure,
    /// Differences between the integer reference and the emulator: must be 0.
    pub mismatches: Figure,
    /// The first of them, in words.
    pub first_divergence: Option<String>,
    /// Accuracy by witness (`float`, `integer`, `emulator`), where labels were given.
    pub accuracy: Vec<(String, Figure)>,
    /// Float against integer, by layer: measure and figure.
    pub losses: Vec<LossRow>,
}

/// What quantization cost a layer on the given data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossRow {
    /// Layer.
    pub layer: String,
    /// Measures by name.
    pub measures: Vec<(String, Figure)>,
}

impl ReportData {
    /// Checks that totals equal the sums of the rows.
    ///
    /// # Errors
    /// The totals that do not, in words.
    pub fn check_totals(&self) -> Result<(), String> {
        if Totals::of(&self.layers, &self.cores) != self.totals {
            return Err("totals differ from the sums of layers and cores".to_owned());
        }
        if let Some(run) = &self.run {
            let sum: i128 = run.energy.iter().filter_map(|(_, part)| part.value.as_integer()).sum();
            if run.total_energy.value.as_integer() != Some(sum) {
                return Err(format!("total energy differs from the sum of its parts, {sum} fJ"));
            }
            let of = |rows: &[(String, Figure)]| -> i128 {
                rows.iter().filter_map(|(_, part)| part.value.as_integer()).sum()
            };
            let events = &run.synaptic_events_by_layer;
            if !events.is_empty() && run.synaptic_events.value.as_integer() != Some(of(events)) {
                return Err("synaptic events differ from the sum of their parts".to_owned());
            }
            if let Some(host) = &run.host {
                let is = |figure: &Option<Figure>, sum: i128| {
                    figure.as_ref().is_none_or(|figure| figure.value.as_integer() == Some(sum))
                };
                let sum_of_host = of(&host.energy);
                if !is(&host.total_energy, sum_of_host) || !is(&host.energy_with_chip, sum + sum_of_host) {
                    return Err("the host's energy differs from the sum of its parts".to_owned());
                }
            }
        }
        Ok(())
    }

    /// The report as it is written to `report.json`.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("bug in snncc: a report is always serializable");
        text.push('\n');
        text
    }

    /// Reads a `report.json`.
    ///
    /// # Errors
    /// What is wrong: text that is no report, or one of a newer major schema version.
    pub fn from_json(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: String,
        }
        let major = |version: &str| version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        let version: Version = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match major(&version.schema_version) {
            Some(found) if Some(found) == major(SCHEMA_VERSION) => {
                serde_json::from_str(text).map_err(|error| error.to_string())
            }
            _ => Err(format!(
                "schema version {} is not one this version reads ({SCHEMA_VERSION})",
                version.schema_version
            )),
        }
    }
}

#[cfg(test)]
mod tests;
