//! SpiNNaker-like machines: what `compile` writes for them.
//!
//! The folder is that of every target: network, integers, program, target, report, each with its hash in the manifest. What
//! runs it sees no difference (`chip`).

use crate::args::CompileArgs;
use crate::commands::compile::{Written, print as print_compiled, write_files};
use crate::compilation::{Job, Results};
use crate::integers::spinnaker_files;
use crate::machine_image::MachineImage;
use crate::machine_reports;
use crate::output::{AnyImage, Opened, REPORTS, write_file};
use crate::report::{basis, quality_row};
use crate::session::{Outcome, Session, print};
use snncc_chip::{Sourced, SpinnakerCore, Target};
use snncc_compile::spinnaker::Compiled;
use snncc_compile::{OverflowPolicy, QuantizeStrategy};
use snncc_ids::{CoreId, Diagnostic, Diagnostics, code};
use snncc_image::spinnaker::ChipImage;
use snncc_ir::PopulationRole;
use snncc_ir::spinnaker::{SpinnakerIr, SpinnakerNeurons};
use snncc_report::{
    ChipRow, CoreRow, Figure, PlacementRow, QuantizationRow, ReportData, ResourceUse, Totals, count_text,
};
use std::path::Path;

const PICOSECONDS_PER_SECOND: u128 = 1_000_000_000_000;

/// Whether a target is a machine of this kind.
pub(crate) fn is_machine(target: &Target) -> bool {
    target.model.spinnaker().is_some()
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
    let mut refuse = |is_given: bool, what: &str, why: &str| {
        if is_given {
            let message = format!("{what}: not on SpiNNaker-like machines");
            let problem = Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message).note(why);
            problems.push(problem.help("leave it out"));
        }
    };
    let (mapping, bits) = (&job.options.mapping, core_of(&job.target.target).formats.weight_bits.0);
    let widths = format!("a synapse word has {bits} bits of weight");
    let overflow =
        "a slot of a ring buffer saturates in any case, and is counted; other values have no form beyond theirs";
    refuse(
        !mapping.pins.is_empty(),
        "pins of neurons to cores",
        "slices of populations go where packets have short ways",
    );
    refuse(
        !mapping.reserved_cores.is_empty(),
        "reserved cores",
        "a target lists cores that are not to be used as dead",
    );
    refuse(!mapping.exclusive.is_empty(), "exclusive cores", "every core has a single population");
    refuse(!mapping.split.is_empty(), "a least number of cores", "slices are as large as their memories allow");
    refuse(job.options.weight_bits.is_some_and(|wanted| wanted != bits), "weights of another width", &widths);
    let nengo = "the rules of NengoLoihi are those of a Loihi chip's registers";
    refuse(job.options.strategy != QuantizeStrategy::Calibrated, "the quantizer's rules of another tool", nengo);
    refuse(job.options.overflow != OverflowPolicy::Error, "values that may overflow their field", overflow);
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
    write_files(session, job, written, &report, program, spinnaker_files(&compiled.ir))?;
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
    let view = MachineImage::new(&compiled.image, target);
    report.chips = compiled.image.chips.iter().map(|chip| chip_row(chip, &view)).collect();
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

fn chip_row(chip: &ChipImage, view: &MachineImage<'_>) -> ChipRow {
    let limits = &core_of(view.target).limits;
    let sdram = chip.cores.iter().map(|core| view.sdram_bytes(core)).sum();
    ChipRow {
        chip: chip.chip,
        position: view.position(chip.chip),
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
    let opened = Opened::open(folder).map_err(|problems| session.fail(problems, None))?;
    let AnyImage::Spinnaker(image) = &opened.image else {
        let message = format!("`{}` was compiled for a chip with compartments", folder.display());
        let problem = Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message);
        return Err(session.fail(problem.help("these reports are of SpiNNaker-like machines").into(), None));
    };
    let place = folder.join(REPORTS);
    for (name, text) in machine_reports::reports(image, &opened.target) {
        write_file(&place.join(&name), text.as_bytes()).map_err(|message| session.fail_files(&message))?;
        print(&format!("{}\n", place.join(name).display()));
    }
    Ok(0)
}

/// Time of so many cycles of a core, in picoseconds.
pub(crate) fn time_ps(target: &Target, cycles: u128) -> u128 {
    let costs = core_of(target).costs.get(&target.file.costs);
    let costs = costs.expect("bug in snncc: a target without its cost table was accepted");
    (cycles * PICOSECONDS_PER_SECOND).div_ceil(u128::from(costs.clock_hz.0))
}
