//! Fills [`ReportData`] from what a compilation knows: the network's integer form, the image, the target.
//!
//! Resource figures are counted from the image itself, not taken from the partitioner.

use crate::host::HostPart;
use snncc_chip::{Limit, LoihiCore, Sourced, Target};
use snncc_ids::{CoreId, Diagnostic, PopulationId, Severity};
use snncc_image::{CoreImage, Image};
use snncc_ir::{Graph, PopulationQuality, PopulationRole, ProjectionQuality, QuantizedIr, SignMode};
use snncc_report::{
    Basis, CoreRow, DiagnosticRow, Figure, HostRow, LayerRow, LinkRow, NetworkInfo, PlacementRow, QuantizationRow,
    ReportData, ResourceUse, SCHEMA_VERSION, Status, TargetInfo, Totals,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a report is filled from; a failed compilation has less.
pub(crate) struct Known<'a> {
    pub(crate) target: &'a Target,
    pub(crate) network: NetworkInfo,
    pub(crate) options: Vec<(String, String)>,
    pub(crate) quantized: Option<&'a QuantizedIr>,
    /// Structure, where there is no integer form yet.
    pub(crate) graph: Option<&'a Graph>,
    pub(crate) image: Option<&'a Image>,
    /// Layers that run on the host.
    pub(crate) host: Option<&'a HostPart>,
    /// The stage that gave up, if one did.
    pub(crate) failed: Option<String>,
    pub(crate) diagnostics: Vec<&'a Diagnostic>,
}

/// The report of a compilation.
pub(crate) fn report(known: &Known<'_>) -> ReportData {
    let target = known.target;
    let graph = known.quantized.map(|quantized| &quantized.graph).or(known.graph);
    let mut network = known.network.clone();
    if let Some(quantized) = known.quantized {
        network.step = quantized.dt_s.map(|dt_s| Figure::exact(dt_s * 1e3, "ms", "network"));
        let latencies = quantized.outputs.iter().map(|port| quantized.graph.populations[port.population].latency_steps);
        network.output_latency = latencies.max().map(|latency| Figure::exact(latency, "steps", "lowering"));
    }
    let layers = graph.map_or_else(Vec::new, |graph| layers(graph, known));
    let host = known.host.map_or_else(Vec::new, host_rows);
    let cores = known.image.map_or_else(Vec::new, |image| cores(image, target));
    ReportData {
        schema_version: SCHEMA_VERSION.to_owned(),
        snncc_version: env!("CARGO_PKG_VERSION").to_owned(),
        status: match &known.failed {
            None => Status::Compiled,
            Some(stage) => Status::Failed { stage: stage.clone() },
        },
        network,
        target: target_info(target),
        options: known.options.clone(),
        totals: Totals::of(&layers, &cores),
        layers,
        host,
        links: known.image.map_or_else(Vec::new, |image| links(image, target)),
        quantization: known.quantized.map_or_else(Vec::new, quantization),
        placement: known.image.map_or_else(Vec::new, |image| placement(image, target)),
        cores,
        chips: Vec::new(),
        diagnostics: known.diagnostics.iter().map(|diagnostic| diagnostic_row(diagnostic)).collect(),
        run: None,
        verification: None,
    }
}

/// A diagnostic as a report shows it.
fn diagnostic_row(diagnostic: &Diagnostic) -> DiagnosticRow {
    DiagnosticRow {
        code: diagnostic.code.number().to_owned(),
        severity: if diagnostic.severity == Severity::Error { "error" } else { "warning" }.to_owned(),
        message: diagnostic.message.clone(),
        item: diagnostic.item.clone(),
        notes: diagnostic.notes.clone(),
        help: diagnostic.help.clone(),
    }
}

/// The basis of a number of the hardware model.
pub(crate) fn basis(basis: snncc_chip::Basis) -> Basis {
    match basis {
        snncc_chip::Basis::Exact => Basis::Exact,
        snncc_chip::Basis::Literature => Basis::Literature,
        snncc_chip::Basis::Modelled => Basis::Modelled,
        snncc_chip::Basis::Assumed => Basis::Assumed,
    }
}

fn target_info(target: &Target) -> TargetInfo {
    TargetInfo {
        name: target.name().to_owned(),
        about: target.file.about.clone(),
        model: target.model.name.clone(),
        model_sha256: crate::files::hex(&target.model.hash()),
        costs: target.file.costs.clone(),
        chips: target.present_chips(),
        mesh: target.mesh_size(),
        cores_per_router: target.model.mesh.cores_per_router.0,
        usable_cores: target.usable_cores(),
    }
}

fn host_rows(host: &HostPart) -> Vec<HostRow> {
    let row = |layer: &crate::host::HostLayer| HostRow {
        name: layer.name.clone(),
        shape: layer.shape.clone(),
        neurons: Figure::exact(layer.neurons(), "neurons", "network"),
        connections: Figure::exact(layer.connections, "connections", "network"),
    };
    host.layers.iter().map(row).collect()
}

fn layers(graph: &Graph, known: &Known<'_>) -> Vec<LayerRow> {
    let is_on_host = |name: &str| known.host.is_some_and(|host| host.layers.iter().any(|layer| layer.name == name));
    let mut synapses = vec![0_u64; graph.populations.len()];
    for projection in &graph.projections {
        synapses[projection.target.0 as usize] += projection.synapse_count();
    }
    let row = |((id, population), synapses): ((PopulationId, &snncc_ir::Population), u64)| {
        let is_input = population.role == PopulationRole::Input;
        let served = graph.sends_constants(id).then(|| {
            let served = graph.populations.iter().find(|served| served.item == population.item);
            served.expect("bug in snncc: a sender of constants serves no layer").name.clone()
        });
        let role = match (population.role, &served) {
            (PopulationRole::Input, _) if is_on_host(&population.name) => "host",
            (PopulationRole::Input, _) => "input",
            (PopulationRole::Neurons, None) => "neurons",
            (PopulationRole::Neurons, Some(_)) => "constants",
        };
        let symbol =
            known.image.and_then(|image| image.populations.iter().find(|symbol| symbol.name == population.name));
        let cores = symbol.map(|symbol| symbol.locations.iter().map(|at| at.core).collect::<BTreeSet<_>>().len());
        let (neurons, elements) = if is_input { (0, population.len()) } else { (population.len(), 0) };
        LayerRow {
            name: population.name.clone(),
            role: role.to_owned(),
            constants_of: served,
            shape: population.shape.clone(),
            neurons: Figure::exact(neurons, "neurons", "network"),
            elements: Figure::exact(elements, "elements", "network"),
            synapses: Figure::exact(synapses, "synapses", "network"),
            cores: cores.map(|cores| Figure::exact(cores, "cores", "image")),
            latency: Figure::exact(population.latency_steps, "steps", "lowering"),
            item: population.item.clone(),
        }
    };
    graph.populations.iter_with_ids().zip(synapses).map(row).collect()
}

/// Resources of a core, counted from its image as docs/CHIP_SEMANTICS.md says.
fn resources(core: &CoreImage, model: &LoihiCore) -> Vec<ResourceUse> {
    let limits = &model.limits;
    let used = |resource: &str, unit: &str, used: usize, limit: &Sourced<Limit>| ResourceUse {
        resource: resource.to_owned(),
        used: used as u64,
        available: match limit.0 {
            Limit::AtMost(limit) => Some(limit),
            Limit::Unlimited => None,
        },
        limit_name: format!("limits.{resource}"),
        unit: unit.to_owned(),
        basis: basis(limit.2),
        source: limit.1.clone(),
    };
    let slots = core.compartments.len() << core.settings.delay_bits;
    vec![
        used("compartments", "compartments", core.compartments.len(), &limits.compartments),
        used("in_axons", "axons", core.in_axons.len(), &limits.in_axons),
        used("out_axons", "axons", core.out_axons.targets.len(), &limits.out_axons),
        used("synapse_words", "words", core.synapse_words.len(), &limits.synapse_words),
        used("compartment_configs", "settings", core.compartment_configs.len(), &limits.compartment_configs),
        used("threshold_configs", "settings", core.threshold_configs.len(), &limits.threshold_configs),
        used("synapse_formats", "formats", core.synapse_formats.len(), &limits.synapse_formats),
        used(
            "accumulator_slots",
            "slots",
            if core.settings.delay_bits == 0 { 0 } else { slots },
            &limits.accumulator_slots,
        ),
    ]
}

fn cores(image: &Image, target: &Target) -> Vec<CoreRow> {
    let mut layers: BTreeMap<u32, Vec<(String, u64)>> = BTreeMap::new();
    for population in &image.populations {
        let mut on_core: BTreeMap<u32, u64> = BTreeMap::new();
        for at in &population.locations {
            *on_core.entry(at.core).or_default() += 1;
        }
        for (core, neurons) in on_core {
            layers.entry(core).or_default().push((population.name.clone(), neurons));
        }
    }
    let row = |core: &CoreImage| {
        let resources = resources(core, target.model.loihi());
        CoreRow {
            core: core.core,
            name: target.core_name(CoreId(core.core)),
            router: target.position(CoreId(core.core)),
            layers: layers.get(&core.core).cloned().unwrap_or_default(),
            binding: CoreRow::find_binding(&resources),
            resources,
        }
    };
    image.cores.iter().map(row).collect()
}

fn links(image: &Image, target: &Target) -> Vec<LinkRow> {
    // Axons by pair of cores first: a path is walked once a pair.
    let mut pairs: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    for core in &image.cores {
        for axon in &core.out_axons.targets {
            *pairs.entry((core.core, axon.core)).or_default() += 1;
        }
    }
    // Router it leaves and router it enters.
    type Ends = ((u32, u32), (u32, u32));
    let mut links: BTreeMap<Ends, (bool, u64)> = BTreeMap::new();
    for ((from, to), axons) in pairs {
        for hop in target.path(CoreId(from), CoreId(to)) {
            let link = links.entry((hop.from, hop.to)).or_insert((hop.crosses_chip, 0));
            link.1 += axons;
        }
    }
    let row = |((from, to), (crosses_chip, axons))| LinkRow {
        from,
        to,
        crosses_chip,
        axons: Figure::exact(axons, "axons", "image"),
    };
    links.into_iter().map(row).collect()
}

/// What quantization did to a projection and the neurons behind it; the rest of the row is the caller's.
pub(crate) fn quality_row(quality: Option<&ProjectionQuality>, neurons: Option<&PopulationQuality>) -> QuantizationRow {
    let exact = |value: f64, unit: &str| (!value.is_nan()).then(|| Figure::exact(value, unit, "quantization"));
    let count = |value: u64| Figure::exact(value, "weights", "quantization");
    QuantizationRow {
        projection: String::new(),
        target: String::new(),
        weights: count(0),
        weight_bits: 0,
        exponent: 0,
        signs: String::new(),
        sqnr: quality.and_then(|quality| exact(quality.sqnr_db, "dB")),
        max_error: quality.and_then(|quality| exact(quality.max_error, "")),
        zeroed: quality.map(|quality| count(quality.zeroed)),
        clipped: quality.map(|quality| count(quality.clipped)),
        threshold_error: neurons.and_then(|quality| exact(quality.threshold_error, "")),
        bias_error: neurons.and_then(|quality| exact(quality.bias_error, "")),
        decay_error: neurons.and_then(|quality| exact(quality.decay_error, "")),
    }
}

fn quantization(ir: &QuantizedIr) -> Vec<QuantizationRow> {
    let row = |(id, projection): (snncc_ids::ProjectionId, &snncc_ir::Projection)| {
        let weights = &ir.weights[id];
        QuantizationRow {
            projection: projection.name.clone(),
            target: ir.graph.populations[projection.target].name.clone(),
            weights: Figure::exact(weights.mantissas.len(), "weights", "network"),
            weight_bits: weights.weight_bits,
            exponent: weights.exponent,
            signs: match weights.sign_mode {
                SignMode::Mixed => "mixed",
                SignMode::Excitatory => "excitatory",
                SignMode::Inhibitory => "inhibitory",
            }
            .to_owned(),
            ..quality_row(ir.projection_quality[id].as_ref(), ir.population_quality[projection.target].as_ref())
        }
    };
    ir.graph.projections.iter_with_ids().map(row).collect()
}

fn placement(image: &Image, target: &Target) -> Vec<PlacementRow> {
    let mut rows: Vec<PlacementRow> = Vec::new();
    for population in &image.populations {
        for (neuron, at) in (0_u32..).zip(&population.locations) {
            match rows.last_mut() {
                Some(row)
                    if row.layer == population.name
                        && row.core == at.core
                        && row.first_neuron + row.count == neuron
                        && row.first_compartment + row.count == at.compartment =>
                {
                    row.count += 1;
                }
                _ => rows.push(PlacementRow {
                    layer: population.name.clone(),
                    first_neuron: neuron,
                    count: 1,
                    core: at.core,
                    core_name: target.core_name(CoreId(at.core)),
                    first_compartment: at.compartment,
                }),
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use snncc_image::{AxonTable, AxonTarget, Compartments, InAxon, Location, PopulationSymbol};

    /// Three neurons of one population on two cores of the teaching chip, neuron 0 and 1 on core 0.
    fn image(target: &Target) -> Image {
        let core = |number: u32, compartments: usize, targets: Vec<AxonTarget>| CoreImage {
            core: number,
            compartments: Compartments { config: vec![0; compartments], ..Compartments::default() },
            in_axons: vec![InAxon { list: 0, base: 0 }; 2],
            synapse_words: vec![0; 5],
            out_axons: AxonTable { starts: vec![0, targets.len() as u32, targets.len() as u32], targets },
            ..CoreImage::default()
        };
        Image {
            model_name: target.model.name.clone(),
            model_hash: target.model.hash(),
            target_name: target.name().to_owned(),
            cores: vec![
                core(0, 2, vec![AxonTarget { core: 3, axon: 0 }, AxonTarget { core: 3, axon: 1 }]),
                core(3, 1, vec![]),
            ],
            inputs: vec![],
            outputs: vec![],
            populations: vec![PopulationSymbol {
                name: "a".into(),
                shape: vec![3],
                latency_steps: 1,
                locations: [(0, 0), (0, 1), (3, 0)].map(|(core, compartment)| Location { core, compartment }).to_vec(),
                units_per_volt: vec![1.0],
            }],
            notes: vec![],
        }
    }

    #[test]
    fn cores_links_and_placement_are_counted_from_the_image() {
        let target = snncc_chip::target("tiny-loihi").unwrap();
        let image = image(&target);
        let rows = cores(&image, &target);
        assert_eq!(rows[0].layers, [("a".to_owned(), 2)]);
        assert_eq!(rows[0].resource("out_axons").unwrap().used, 2);
        // Of 16 compartments, 64 axons and 128 words, 2 compartments are the largest part.
        assert_eq!(rows[0].binding.as_deref(), Some("compartments"));
        // Core 0 is at (0, 0), core 3 at (1, 1): x first, then y, two axons each.
        let links = links(&image, &target);
        let ends: Vec<_> = links.iter().map(|link| (link.from, link.to)).collect();
        assert_eq!(ends, [((0, 0), (1, 0)), ((1, 0), (1, 1))]);
        assert!(links.iter().all(|link| link.axons.value.as_integer() == Some(2) && !link.crosses_chip));
        let runs = placement(&image, &target);
        assert_eq!(
            runs.iter().map(|run| (run.first_neuron, run.count, run.core)).collect::<Vec<_>>(),
            [(0, 2, 0), (2, 1, 3)]
        );
    }
}
