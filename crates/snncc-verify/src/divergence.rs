//! The first difference between integer reference and emulator.

use crate::cause;
use crate::compare::index_of;
use crate::compiled::Compiled;
use crate::driver::{Layer, STATE_LIMIT, Setup};
use crate::machine_cause::{self, Slots};
use crate::verification::{FirstDivergence, SideValues};
use crate::witness::{ChipState, ChipTrace, SampleInput};
use snncc_data::SpikeTrain;
use snncc_ids::Diagnostics;
use snncc_reference::{CurrentTrace, StateTrace};

/// Where the two differ.
struct Found<'a> {
    layer: &'a Layer,
    chip_step: u32,
    neuron: u32,
    integer: SideValues,
    chip: SideValues,
    /// Of SpiNNaker-like machines.
    slots: Option<Slots>,
}

/// How the chip is run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChipRun {
    /// Up to the steps that are looked at.
    Short,
    /// Over all steps: where cores lag behind, those later change those before.
    Whole,
    /// As if all packets came in time.
    InTime,
}

impl ChipRun {
    fn run(
        self,
        setup: &Setup<'_>,
        input: &SampleInput,
        steps: u32,
        state: &[usize],
    ) -> Result<ChipTrace, Diagnostics> {
        let chip = setup.witnesses.chip;
        match self {
            Self::Short => chip.run(input, steps, state),
            Self::Whole => chip.run(input, setup.chip_steps, state),
            Self::InTime => match chip.run_in_time(input, steps, state)? {
                Some(trace) => Ok(trace),
                None => chip.run(input, steps, state),
            },
        }
    }
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
    chip_run: ChipRun,
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
        let (integer, currents) = setup.run_integer(input, steps, group.iter().map(|layer| layer.id).collect())?;
        let in_image: Vec<usize> = group.iter().map(|layer| layer.in_image).collect();
        let chip = chip_run.run(setup, input, steps, &in_image)?;
        let find = |step: u32| {
            (group.iter().zip(&integer.state).zip(&chip.state)).enumerate().find_map(|(at, ((layer, ours), theirs))| {
                let (a, b) = (&integer.spikes[layer.id], &chip.spikes[layer.in_image]);
                find_in(setup.witnesses.compiled, layer, step, (ours, a, currents.get(at)), (theirs, b))
            })
        };
        if let Some(found) = (1..=steps).find_map(find) {
            // A later layer is looked at for an earlier step alone.
            steps = found.chip_step - 1;
            best = Some(found);
        }
    }
    let Some(found) = best else { return Ok(None) };
    let location = setup.witnesses.compiled.symbols()[found.layer.in_image].locations[found.neuron as usize];
    let spikes = setup.run_integer(input, found.chip_step, Vec::new())?.0.spikes;
    let place = cause::Place {
        layer: found.layer,
        neuron: found.neuron,
        location,
        chip_step: found.chip_step,
        integer: found.integer,
        chip: found.chip,
    };
    let cause = match setup.witnesses.compiled {
        Compiled::Compartments { quantized, image } => cause::explain(setup, (quantized, image), &place, &spikes),
        Compiled::Spinnaker { quantized, image } => {
            let model = setup.witnesses.model;
            Some(machine_cause::explain((quantized, image), model, &place, found.slots, &spikes))
        }
    };
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
    compiled: Compiled<'_>,
    layer: &'a Layer,
    step: u32,
    (ours, our_spikes, our_currents): (&StateTrace, &SpikeTrain, Option<&CurrentTrace>),
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
        let slots = our_currents.and_then(|ours| {
            let [excitatory, inhibitory] = &theirs.slots;
            let chip = [*excitatory.get(at)?, *inhibitory.get(at)?];
            Some(Slots { integer: [ours.slots[0][at], ours.slots[1][at]], chip })
        });
        let input = match slots {
            Some(slots) => compiled.input_of_slots(layer.id, neuron as usize, slots.chip),
            // Before the first difference both currents were equal, so they differ by what their inputs differ.
            None => integer.input.wrapping_add(u.wrapping_sub(integer.u)),
        };
        let chip = SideValues { u, v, spike: payload(their_spikes, step, neuron), input };
        (integer != chip).then_some(Found { layer, chip_step: step, neuron, integer, chip, slots })
    })
}

/// Payload of a neuron's spike in a step; 0 if it does not spike.
fn payload(train: &SpikeTrain, step: u32, neuron: u32) -> i32 {
    match train.at(step).binary_search(&neuron) {
        Ok(at) => train.payloads_at(step).map_or(1, |payloads| payloads[at]),
        Err(_) => 0,
    }
}
