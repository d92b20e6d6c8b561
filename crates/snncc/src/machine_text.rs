//! What the stages of a compilation for a SpiNNaker-like machine made, as text for `--emit` and `ir/`.

use crate::machine_image::MachineImage;
use snncc_chip::Target;
use snncc_compile::spinnaker::Compiled;
use snncc_ids::CoreId;
use snncc_image::spinnaker::route_text;
use std::fmt::Write;

/// Texts of the stages that `wants` names: file name and content.
pub(crate) fn texts(compiled: &Compiled, target: &Target, wants: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let view = MachineImage::new(&compiled.image, target);
    let mut texts = Vec::new();
    let mut add = |stage: &str, file: &str, text: &dyn Fn() -> String| {
        if wants(stage) {
            texts.push((file.to_owned(), text()));
        }
    };
    add("quantize", "20-quantized.txt", &|| snncc_ir::print::print_spinnaker(&compiled.ir));
    add("partition", "30-partition.txt", &|| partition(compiled, target));
    add("place", "40-placement.txt", &|| placement(compiled, &view));
    add("route", "50-routes.txt", &|| routes(compiled, &view));
    add("emit", "60-image.txt", &|| snncc_image::spinnaker::dump(&compiled.image));
    texts
}

/// `fc1[0..64]`; behind the slices come delay extensions of some of them.
fn slice_name(compiled: &Compiled, vertex: usize) -> String {
    let (split, slice) = (&compiled.split, compiled.split.slice_of(vertex));
    let name = &compiled.ir.graph.populations[slice.population].name;
    let name = format!("{name}[{}..{}]", slice.first, slice.first + slice.len);
    if vertex < split.slices.len() { name } else { format!("delay extension of {name}") }
}

/// Slices with their memory and the blocks of rows onto them.
fn partition(compiled: &Compiled, target: &Target) -> String {
    let split = &compiled.split;
    let core = target.model.spinnaker().expect("bug in snncc: no SpiNNaker-like target");
    let mut out = format!("{} slices, {} blocks of rows\n", split.slices.len(), split.blocks.len());
    for (at, slice) in split.slices.iter().enumerate() {
        let (name, data, rows) =
            (slice_name(compiled, at), split.data_bytes(at, core), split.synaptic_bytes(at, target));
        let slots = 1_u32 << slice.delay_bits;
        let _ = writeln!(out, "{name}: {slots} delay slots, {data} bytes of data memory, {rows} bytes of rows");
        for block in split.onto(at) {
            let source = slice_name(compiled, block.source as usize);
            let projection = &compiled.ir.graph.projections[block.projection].name;
            let _ = writeln!(
                out,
                "  {projection} from {source}: {} synapses, rows of up to {} words",
                block.synapses, block.row_words
            );
        }
    }
    out
}

/// Where each slice sits, and its keys.
fn placement(compiled: &Compiled, view: &MachineImage<'_>) -> String {
    let mut order: Vec<usize> = (0..compiled.cores.len()).collect();
    order.sort_unstable_by_key(|at| compiled.cores[*at]);
    let mut out = format!("{} cores on {} chips\n", order.len(), view.image.chips.len());
    for at in order {
        let core = compiled.cores[at];
        let (x, y) = view.position(view.chip_of(core));
        let name = view.target.core_name(CoreId(core));
        let keys = view.image.core(core).and_then(|core| Some((core.key?, view.mask(core))));
        let keys = keys.map_or("no key".to_owned(), |(key, mask)| format!("key {key:#010x} mask {mask:#010x}"));
        let _ = writeln!(out, "{name} at ({x}, {y}): {}, {keys}", slice_name(compiled, at));
    }
    out
}

/// Routing tables, and the ways that packets take.
fn routes(compiled: &Compiled, view: &MachineImage<'_>) -> String {
    let entries: usize = view.image.chips.iter().map(|chip| chip.routes.len()).sum();
    let mut out = format!("{entries} routing entries on {} chips\n", view.image.chips.len());
    for chip in &view.image.chips {
        let (x, y) = view.position(chip.chip);
        let _ = writeln!(out, "chip {} at ({x}, {y}): {} entries", chip.chip, chip.routes.len());
        for entry in &chip.routes {
            let _ = writeln!(out, "  {:#010x} mask {:#010x} -> {}", entry.key, entry.mask, route_text(entry.route));
        }
    }
    for (at, core) in compiled.cores.iter().enumerate() {
        let Some(key) = view.image.core(*core).and_then(|core| core.key) else { continue };
        let stops = view.walk(*core, key);
        let names: Vec<String> =
            view.arrivals(&stops).into_iter().map(|core| view.target.core_name(CoreId(core))).collect();
        let _ = writeln!(out, "{} over {} chips -> {}", slice_name(compiled, at), stops.len(), names.join(" "));
    }
    out
}
