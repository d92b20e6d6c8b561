//! Image to bytes. The layout is documented in docs/IMAGE_FORMAT.md; change both together.

use super::{ApplicationCore, ChipImage, CoreProgram, DelayExtension, NeuronCore, SpinnakerImage};
use crate::bytes::Writer;
use crate::container::{Family, write_chip, write_container, write_notes, write_outputs, write_shape, write_symbols};

impl SpinnakerImage {
    /// The image as bytes: a header, five sections, each with its CRC-32.
    pub fn to_bytes(&self) -> Vec<u8> {
        let chip = write_chip(&self.model_name, &self.model_hash, &self.target_name);
        let bodies = [chip, machine(self), ports(self), write_symbols(&self.populations), write_notes(&self.notes)];
        write_container(Family::Spinnaker, bodies)
    }
}

fn machine(image: &SpinnakerImage) -> Vec<u8> {
    let mut out = Writer::default();
    out.u32(image.cores_per_chip);
    out.count(image.chips.len());
    for chip in &image.chips {
        write_one_chip(&mut out, chip);
    }
    out.bytes
}

fn write_one_chip(out: &mut Writer, chip: &ChipImage) {
    out.u32(chip.chip);
    out.count(chip.routes.len());
    for entry in &chip.routes {
        out.u32(entry.key);
        out.u32(entry.mask);
        out.u32(entry.route);
    }
    out.count(chip.cores.len());
    for core in &chip.cores {
        write_core(out, core);
    }
}

fn write_core(out: &mut Writer, core: &ApplicationCore) {
    out.u32(core.core);
    out.u8(u8::from(core.key.is_some()));
    out.u32(core.key.unwrap_or(0));
    match &core.program {
        CoreProgram::Injector(sources) => {
            out.u8(0);
            out.u32(*sources);
        }
        CoreProgram::Neurons(neurons) => {
            out.u8(1);
            write_neurons(out, neurons);
        }
        CoreProgram::DelayExtension(delay) => {
            out.u8(2);
            write_delay(out, delay);
        }
    }
}

fn write_delay(out: &mut Writer, delay: &DelayExtension) {
    let DelayExtension { key, mask, colour_bits, first, neurons, stages, stage_steps, sent } = delay;
    for value in [*key, *mask, u32::from(*colour_bits), *first, *neurons, *stages, *stage_steps] {
        out.u32(value);
    }
    out.count(sent.len());
    sent.iter().for_each(|word| out.u32(*word));
}

fn write_neurons(out: &mut Writer, core: &NeuronCore) {
    out.u8(u8::from(core.kind.is_delta) | u8::from(core.kind.subtracts) << 1);
    out.u32(core.start_step);
    let n = &core.neurons;
    out.count(n.len());
    for column in [
        &n.v,
        &n.v_rest,
        &n.resistance,
        &n.membrane_keep,
        &n.i_offset,
        &n.refractory_left,
        &n.v_reset,
        &n.refractory_steps,
        &n.v_threshold,
    ] {
        assert_eq!(column.len(), n.len(), "bug in snncc: columns of a core's neurons");
        column.iter().for_each(|value| out.i32(*value));
    }
    out.count(core.synapse_types.len());
    for kind in &core.synapse_types {
        let lengths = [kind.decay.len(), kind.init.len(), kind.value.len()];
        assert_eq!(lengths, [n.len(); 3], "bug in snncc: columns of a core's synapse types");
        kind.decay.iter().chain(&kind.init).for_each(|value| out.u32(*value));
        kind.value.iter().for_each(|value| out.i32(*value));
    }
    for words in [&core.synapse_parameters, &core.population_table, &core.synaptic_words, &core.bit_fields] {
        out.count(words.len());
        words.iter().for_each(|word| out.u32(*word));
    }
    out.count(core.ring_initial.len());
    for (slot, value) in &core.ring_initial {
        out.u32(*slot);
        out.u16(*value);
    }
}

fn ports(image: &SpinnakerImage) -> Vec<u8> {
    let mut out = Writer::default();
    out.count(image.inputs.len());
    for port in &image.inputs {
        out.text(&port.name);
        write_shape(&mut out, &port.shape);
        out.count(port.injectors.len());
        for (core, elements) in &port.injectors {
            out.u32(*core);
            out.u32(*elements);
        }
    }
    write_outputs(&mut out, &image.outputs);
    out.bytes
}
