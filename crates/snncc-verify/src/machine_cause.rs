//! Why the first difference came about on a SpiNNaker-like machine: the neuron's parameters in its core's memory, and the rows
//! that the keys of all sources find there, against the integers.

use crate::cause::{Incoming, Place, different_synapses};
use snncc_chip::HardwareModel;
use snncc_data::SpikeTrain;
use snncc_ids::{IdVec, PopulationId};
use snncc_image::spinnaker::layout::{Memories, row_synapses};
use snncc_image::spinnaker::{ApplicationCore, CoreProgram, DelayExtension, NeuronCore, SpinnakerImage};
use snncc_ir::spinnaker::{NeuronProgram, SYNAPSE_TYPES, SpikeReset, SpinnakerIr, SpinnakerNeurons};

/// Slots of the ring buffers that a neuron takes in a step, by synapse type, on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots {
    pub(crate) integer: [u16; SYNAPSE_TYPES],
    pub(crate) chip: [u16; SYNAPSE_TYPES],
}

/// What can be told. `spikes` are those of the integer reference, by population.
pub(crate) fn explain(
    (ir, image): (&SpinnakerIr, &SpinnakerImage),
    model: &HardwareModel,
    place: &Place<'_>,
    slots: Option<Slots>,
    spikes: &IdVec<PopulationId, SpikeTrain>,
) -> String {
    let found = image.core(place.location.core).and_then(|core| match &core.program {
        CoreProgram::Neurons(neurons) if (place.location.compartment as usize) < neurons.neurons.len() => Some(neurons),
        _ => None,
    });
    let Some(core) = found else {
        return format!("core {} of the image has no neuron {}", place.location.core, place.location.compartment);
    };
    let memories = match core.memories() {
        Ok(memories) => memories,
        Err(fault) => return format!("the memories of core {} cannot be read: {fault}", place.location.core),
    };
    let neurons = ir.neurons[place.layer.id].as_ref().expect("bug in snncc: layers have neurons");
    let mut causes = Vec::new();
    if let Some(slots) = slots.filter(|slots| slots.integer != slots.chip) {
        let colour_bits = u32::from(model.spinnaker().map_or(0, |core| core.formats.colour_bits.0));
        match held(image, core, &memories, place.location.compartment, colour_bits) {
            Ok(held) => causes.extend(different_synapses(&ir.graph, place, wanted(ir, place), held, spikes)),
            Err(fault) => causes.push(format!("the rows of the neuron cannot be read: {fault}")),
        }
        causes.extend(different_slots(slots, causes.is_empty()));
    }
    causes.extend(different_parameters(neurons, core, &memories, place));
    if causes.is_empty() {
        let same = "parameters of the neuron in the image are those of the quantized network, and the same input arrived: \
                    integer reference and emulator compute this step differently";
        causes.push(same.to_owned());
    }
    causes.join("; ")
}

fn different_slots(slots: Slots, rows_agree: bool) -> Vec<String> {
    let mut found = Vec::new();
    for (kind, (integer, chip)) in slots.integer.into_iter().zip(slots.chip).enumerate().filter(|(_, (a, b))| a != b) {
        let kind = ["excitatory", "inhibitory"][kind];
        let mut text =
            format!("the {kind} ring-buffer slot holds {chip} in the emulator, {integer} in the integer reference");
        if integer.max(chip) == u16::MAX {
            text += " (one of them is full: it saturated on one side only)";
        }
        if rows_agree {
            text += ", though the rows on the core are those of the quantized network: packets are lost, late or doubled on \
                     their way";
        }
        found.push(text);
    }
    found
}

/// Synapses onto the neuron that the network has.
fn wanted(ir: &SpinnakerIr, place: &Place<'_>) -> Vec<Incoming> {
    let mut wanted = Vec::new();
    for (id, projection) in ir.graph.projections.iter_with_ids().filter(|(_, p)| p.target == place.layer.id) {
        projection.fan_in(place.neuron, |synapse| {
            let source = ir.graph.populations[projection.source].name.clone();
            let delay = projection.delays.get(synapse.other, synapse.weight);
            wanted.extend(Incoming::new((source, synapse.other), delay, ir.weights[id][synapse.weight], 0));
        });
    }
    wanted
}

/// Synapses onto a neuron of a core that the keys of all sources, and of their delay extensions, find in its memories.
fn held(
    image: &SpinnakerImage,
    core: &NeuronCore,
    memories: &Memories,
    neuron: u32,
    colour_bits: u32,
) -> Result<Vec<Incoming>, String> {
    let mut held = Vec::new();
    let cores = || image.chips.iter().flat_map(|chip| &chip.cores);
    let extensions: Vec<(u32, &DelayExtension)> = cores()
        .filter_map(|sender| match &sender.program {
            CoreProgram::DelayExtension(extension) => Some((sender.key?, extension)),
            CoreProgram::Neurons(_) | CoreProgram::Injector(_) => None,
        })
        .collect();
    let mut look_up = |sender: &ApplicationCore, source: u32, name: &str, element: u32| -> Result<(), String> {
        let Some(key) = sender.key else { return Ok(()) };
        let key = key.wrapping_add(source << colour_bits);
        // Keys with the steps after which they are sent.
        let mut keys = vec![(key, 0)];
        for (first, extension) in &extensions {
            let Some(Some(neuron)) = extension.neuron(key) else { continue };
            let sources = (0..extension.stages).map(|stage| (stage + 1, stage * extension.neurons + neuron));
            let sent = sources.filter(|(_, source)| extension.sends(*source));
            keys.extend(
                sent.map(|(stage, source)| (first.wrapping_add(source << colour_bits), stage * extension.stage_steps)),
            );
        }
        for (key, later) in keys {
            for row in memories.look_up(key)?.unwrap_or_default() {
                for word in row_synapses(&core.synaptic_words[row])? {
                    let synapse = memories.parameters.format.decode(*word);
                    if synapse.target == neuron {
                        let weight = i32::from(synapse.weight) * if synapse.synapse_type == 0 { 1 } else { -1 };
                        held.extend(Incoming::new((name.to_owned(), element), later + synapse.delay, weight, 0));
                    }
                }
            }
        }
        Ok(())
    };
    for port in &image.inputs {
        let mut first = 0;
        for (number, count) in &port.injectors {
            if let Some(sender) = image.core(*number) {
                (0..*count).try_for_each(|source| look_up(sender, source, &port.name, first + source))?;
            }
            first += count;
        }
    }
    for population in &image.populations {
        for (neuron, at) in (0..).zip(&population.locations) {
            if let Some(sender) = image.core(at.core) {
                look_up(sender, at.compartment, &population.name, neuron)?;
            }
        }
    }
    Ok(held)
}

/// Parameters of the neuron in which the image differs from the integers.
fn different_parameters(
    neurons: &SpinnakerNeurons,
    core: &NeuronCore,
    memories: &Memories,
    place: &Place<'_>,
) -> Vec<String> {
    let (i, at, image) = (place.neuron as usize, place.location.compartment as usize, &core.neurons);
    let mut found = Vec::new();
    let mut check = |name: &str, image: i64, network: i64| {
        if image != network {
            found.push(format!("{name} is {image} in the image, {network} in the quantized network"));
        }
    };
    let is_delta = neurons.program == NeuronProgram::Delta;
    check("delta input (1 for yes)", core.kind.is_delta.into(), is_delta.into());
    let subtracts = neurons.reset == SpikeReset::BySubtraction;
    check("reset by subtraction (1 for yes)", core.kind.subtracts.into(), subtracts.into());
    check("the start step", core.start_step.max(1).into(), neurons.start_step.max(1).into());
    for (name, image, network) in [
        ("v_initial", &image.v, &neurons.v_initial),
        ("v_rest", &image.v_rest, &neurons.v_rest),
        ("resistance", &image.resistance, &neurons.resistance),
        ("membrane_keep", &image.membrane_keep, &neurons.membrane_keep),
        ("i_offset", &image.i_offset, &neurons.i_offset),
        ("v_reset", &image.v_reset, &neurons.v_reset),
        ("v_threshold", &image.v_threshold, &neurons.v_threshold),
        ("refractory_steps", &image.refractory_steps, &neurons.refractory_steps),
    ] {
        // A delta program has no current for a resistance.
        if !(is_delta && name == "resistance") {
            check(name, image[at].into(), network.get(i).into());
        }
    }
    for (kind, network) in neurons.synapse_types.iter().enumerate() {
        let name = |what: &str| format!("{what} of synapse type {kind}");
        let shift = memories.parameters.left_shifts.get(kind).copied().unwrap_or_default();
        check(&name("the left shift"), shift.into(), network.left_shift.get(i).into());
        if let Some(image) = core.synapse_types.get(kind).filter(|_| !is_delta) {
            check(&name("the decay"), image.decay[at].into(), network.decay.get(i).into());
            check(&name("the initial part"), image.init[at].into(), network.init.get(i).into());
            check(&name("the initial current"), image.value[at].into(), network.initial.get(i).into());
        }
    }
    found
}
