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
    /// One row per population.
    pub layers: Vec<LayerRow>,
    /// One row per core in use.
    pub cores: Vec<CoreRow>,
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
    /// `input` or `neurons`.
    pub role: String,
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
    /// Spikes of each layer, inputs included, over all samples.
    pub spikes: Vec<(String, Figure)>,
    /// Spikes of all neurons (without inputs).
    pub total_spikes: Figure,
    /// Synaptic events.
    pub synaptic_events: Figure,
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
    /// Registers that overflowed, by kind.
    pub overflows: Vec<(String, Figure)>,
    /// Work of the host that no time or energy is charged for.
    pub host_work: Vec<(String, Figure)>,
    /// Busy time of each core.
    pub cores: Vec<(String, Figure)>,
    /// What the figures leave out.
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
mod tests {
    use super::*;
    use crate::figure::Basis;

    fn used(resource: &str, used: u64, available: Option<u64>) -> ResourceUse {
        ResourceUse {
            resource: resource.into(),
            used,
            available,
            limit_name: resource.into(),
            unit: resource.into(),
            basis: Basis::Literature,
            source: "test".into(),
        }
    }

    fn core(number: u32, resources: Vec<ResourceUse>) -> CoreRow {
        CoreRow {
            core: number,
            name: format!("chip0.core{number}"),
            router: (0, 0),
            layers: vec![("a".into(), 2)],
            binding: CoreRow::find_binding(&resources),
            resources,
        }
    }

    fn layer(name: &str, neurons: u64, synapses: u64) -> LayerRow {
        LayerRow {
            name: name.into(),
            role: "neurons".into(),
            shape: vec![neurons as usize],
            neurons: Figure::exact(neurons, "neurons", "network"),
            elements: Figure::exact(0, "elements", "network"),
            synapses: Figure::exact(synapses, "synapses", "network"),
            cores: Some(Figure::exact(1, "cores", "image")),
            latency: Figure::exact(1, "steps", "network"),
            item: format!("nodes/{name}"),
        }
    }

    fn report() -> ReportData {
        let layers = vec![layer("a", 3, 7), layer("b", 4, 1 << 60)];
        let cores = vec![
            core(0, vec![used("compartments", 3, Some(16)), used("in_axons", 9, Some(10))]),
            core(1, vec![used("compartments", 4, Some(16)), used("in_axons", 1, None)]),
        ];
        ReportData {
            schema_version: SCHEMA_VERSION.into(),
            snncc_version: "0".into(),
            status: Status::Compiled,
            network: NetworkInfo::default(),
            target: TargetInfo::default(),
            options: vec![],
            totals: Totals::of(&layers, &cores),
            layers,
            cores,
            links: vec![],
            quantization: vec![],
            placement: vec![],
            diagnostics: vec![],
            run: None,
            verification: None,
        }
    }

    #[test]
    fn totals_are_sums_and_a_wrong_one_is_found() {
        let mut report = report();
        assert_eq!(report.totals.neurons.value, Value::Integer(7));
        assert_eq!(report.totals.synapses.value, Value::Integer((1 << 60) + 7));
        assert_eq!(report.totals.resources[0], used("compartments", 7, Some(32)));
        assert_eq!(report.totals.resources[1].available, None, "one unlimited core makes the sum unlimited");
        report.check_totals().unwrap();
        report.layers[0].neurons.value = Value::Integer(4);
        assert!(report.check_totals().is_err());
    }

    #[test]
    fn the_binding_resource_is_the_fullest() {
        let report = report();
        assert_eq!(report.cores[0].binding.as_deref(), Some("in_axons"));
        assert_eq!(report.cores[1].binding.as_deref(), Some("compartments"));
        assert_eq!(CoreRow::find_binding(&[used("x", 1, None)]), None);
    }

    #[test]
    fn a_report_survives_json_and_a_newer_major_version_is_refused() {
        let report = report();
        let json = report.to_json();
        assert_eq!(ReportData::from_json(&json).unwrap(), report);
        let newer = json.replacen("\"1.0.0\"", "\"2.0.0\"", 1);
        assert!(ReportData::from_json(&newer).unwrap_err().contains("2.0.0"));
        assert!(ReportData::from_json("{}").is_err());
    }

    #[test]
    fn the_text_view_names_layers_cores_and_the_failed_stage() {
        let mut report = report();
        let text = crate::views::text(&report);
        assert!(text.contains("chip0.core0") && text.contains("9 (90 %)"), "{text}");
        report.status = Status::Failed { stage: "partition".into() };
        assert!(crate::views::text(&report).contains("partition failed"));
    }
}
