//! What the mapping stages made, as text for `--emit` and `ir/`.

use snncc_chip::Target;
use snncc_compile::partition::{Partitioned, Slice};
use snncc_compile::place::Placed;
use snncc_compile::route::{Routed, link_ends};
use snncc_ids::{CoreId, Id};
use snncc_image::Image;
use std::fmt::Write;

/// `fc1[0..64]`, or positions in the partitioner's order where it permuted the population.
fn slice_name(partitioned: &Partitioned, slice: &Slice) -> String {
    let name = &partitioned.ir().graph.populations[slice.population].name;
    match partitioned.order(slice.population) {
        None => format!("{name}[{}..{}]", slice.neurons.start, slice.neurons.end),
        Some(_) => format!("{name}(order {}..{})", slice.neurons.start, slice.neurons.end),
    }
}

fn slice_names(partitioned: &Partitioned, core: usize) -> String {
    let names: Vec<String> = partitioned.slices_of(core).map(|(_, slice)| slice_name(partitioned, slice)).collect();
    names.join(" ")
}

/// Cores before placement, with their slices and resources.
pub(crate) fn partition(partitioned: &Partitioned) -> String {
    let mut out = format!("{} cores, at least {}\n", partitioned.cores().len(), partitioned.cores_at_least());
    for (at, used) in partitioned.core_use().enumerate() {
        let used: Vec<String> = used.iter().map(|(resource, amount)| format!("{} {amount}", resource.name())).collect();
        let _ = writeln!(out, "core {at}: {}\n  {}", slice_names(partitioned, at), used.join(", "));
    }
    out
}

/// Where each core of the partition sits.
pub(crate) fn placement(placed: &Placed, target: &Target) -> String {
    let partitioned = placed.partitioned();
    let mut out = format!("{} hops per step\n", placed.hops_per_step());
    for at in 0..partitioned.cores().len() {
        let core = placed.core(at);
        let (x, y) = target.position(core);
        let _ = writeln!(out, "{} at ({x}, {y}): {}", target.core_name(core), slice_names(partitioned, at));
    }
    out
}

/// Nets with their destinations, and the load of each link.
pub(crate) fn routes(routed: &Routed, target: &Target) -> String {
    let partitioned = routed.placed().partitioned();
    let mut out = format!("{} nets, {} hops per step\n", routed.nets().len(), routed.hops_per_step());
    for (id, net) in routed.nets().iter_with_ids() {
        let name = slice_name(partitioned, &partitioned.slices()[net.slice]);
        let neurons: u32 = net.neurons.iter().map(|range| range.end - range.start).sum();
        let destinations: Vec<String> = net.destinations.iter().map(|core| target.core_name(*core)).collect();
        let _ = writeln!(out, "net {}: {neurons} of {name} -> {}", id.index(), destinations.join(" "));
    }
    for (link, load) in routed.link_loads() {
        let (from, to) = link_ends(target, *link);
        let _ = writeln!(out, "link {from:?} -> {to:?}: {load} messages per step");
    }
    out
}

/// Sizes of an image's tables.
pub(crate) fn image(image: &Image, target: &Target) -> String {
    let mut out = format!("image for {} (model {})\n", image.target_name, image.model_name);
    for core in &image.cores {
        let _ = writeln!(
            out,
            "{}: {} compartments, {} in-axons, {} out-axons, {} synapse lists in {} words",
            target.core_name(CoreId(core.core)),
            core.compartments.len(),
            core.in_axons.len(),
            core.out_axons.targets.len(),
            core.lists.len(),
            core.synapse_words.len()
        );
    }
    for population in &image.populations {
        let _ = writeln!(
            out,
            "population {} {:?}, latency {}",
            population.name, population.shape, population.latency_steps
        );
    }
    out
}
