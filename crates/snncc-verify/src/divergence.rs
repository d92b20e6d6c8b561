//! The first difference between integer reference and emulator.

use crate::cause;
use crate::compare::index_of;
use crate::driver::{Layer, STATE_LIMIT, Setup};
use crate::verification::{FirstDivergence, SideValues};
use crate::witness::{ChipState, SampleInput};
use snncc_data::SpikeTrain;
use snncc_ids::Diagnostics;
use snncc_reference::StateTrace;

/// Where the two differ.
struct Found<'a> {
    layer: &'a Layer,
    chip_step: u32,
    neuron: u32,
    integer: SideValues,
    chip: SideValues,
}

/// Runs a sample again, with the states of all neurons, up to chip step `bound`, and finds the first step in which anything
/// differs, there the first layer, there the first neuron. Layers are recorded in groups, to bound the memory.
///
/// # Errors
/// What a witness says of its input.
pub(crate) fn locate(
    setup: &Setup<'_>,
    sample: usize,
    input: &SampleInput,
    bound: u32,
) -> Result<Option<FirstDivergence>, Diagnostics> {
    let mut best: Option<Found<'_>> = None;
    let mut steps = bound;
    let mut rest = &setup.layers[..];
    while !rest.is_empty() && steps > 0 {
        let mut size = 0;
        let fits = |layer: &&Layer| {
            size += layer.len * steps as usize;
            size <= STATE_LIMIT
        };
        let group;
        (group, rest) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        let integer = setup.run_integer(input, steps, group.iter().map(|layer| layer.id).collect())?;
        let in_image: Vec<usize> = group.iter().map(|layer| layer.in_image).collect();
        let chip = setup.witnesses.chip.run(input, steps, &in_image)?;
        let find = |step: u32| {
            (group.iter().zip(&integer.state).zip(&chip.state)).find_map(|((layer, ours), theirs)| {
                let (a, b) = (&integer.spikes[layer.id], &chip.spikes[layer.in_image]);
                find_in(layer, step, (ours, a), (theirs, b))
            })
        };
        if let Some(found) = (1..=steps).find_map(find) {
            // A later layer is looked at for an earlier step alone.
            steps = found.chip_step - 1;
            best = Some(found);
        }
    }
    let Some(found) = best else { return Ok(None) };
    let location = setup.witnesses.image.populations[found.layer.in_image].locations[found.neuron as usize];
    let spikes = setup.run_integer(input, found.chip_step, Vec::new())?.spikes;
    let cause = cause::explain(
        setup,
        &cause::Place {
            layer: found.layer,
            neuron: found.neuron,
            location,
            chip_step: found.chip_step,
            integer: found.integer,
            chip: found.chip,
        },
        &spikes,
    );
    Ok(Some(FirstDivergence {
        sample: sample as u64,
        chip_step: found.chip_step,
        network_step: i64::from(found.chip_step) - i64::from(found.layer.latency),
        population: found.layer.name.clone(),
        neuron: found.neuron,
        index: index_of(found.neuron, &found.layer.shape),
        core: location.core,
        compartment: location.compartment,
        integer: found.integer,
        chip: found.chip,
        cause,
    }))
}

fn find_in<'a>(
    layer: &'a Layer,
    step: u32,
    (ours, our_spikes): (&StateTrace, &SpikeTrain),
    (theirs, their_spikes): (&ChipState, &SpikeTrain),
) -> Option<Found<'a>> {
    let row = (step as usize - 1) * layer.len;
    (0..layer.len as u32).find_map(|neuron| {
        let at = row + neuron as usize;
        let integer = SideValues {
            u: ours.u[at],
            v: ours.v[at],
            spike: payload(our_spikes, step, neuron),
            input: ours.input[at],
        };
        let (u, v) = (*theirs.u.get(at)?, *theirs.v.get(at)?);
        // Before the first difference both currents were equal, so they differ by what their inputs differ.
        let input = integer.input.wrapping_add(u.wrapping_sub(integer.u));
        let chip = SideValues { u, v, spike: payload(their_spikes, step, neuron), input };
        (integer != chip).then_some(Found { layer, chip_step: step, neuron, integer, chip })
    })
}

/// Payload of a neuron's spike in a step; 0 if it does not spike.
fn payload(train: &SpikeTrain, step: u32, neuron: u32) -> i32 {
    match train.at(step).binary_search(&neuron) {
        Ok(at) => train.payloads_at(step).map_or(1, |payloads| payloads[at]),
        Err(_) => 0,
    }
}
