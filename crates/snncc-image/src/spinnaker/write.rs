//! Image to bytes. The layout is documented in docs/IMAGE_FORMAT.md; change both together.

use super::{ApplicationCore, ChipImage, CoreProgram, DelayExtension, NeuronCore, SpinnakerImage};
use crate::bytes::Writer;
use crate::container::{Family, write_chip, write_container, write_notes, write_outputs, write_shape, write_symbols};

impl SpinnakerImage {
    /// The image as bytes: a header, five sections, each with its CRC-32.
    pub fn to_bytes(&self) -> Vec<u8> {
        write_container(
            Family::Spinnaker,
            capacity(self),
            [
                &|out| write_chip(out, &self.model_name, &self.model_hash, &self.target_name),
                &|out| machine(out, self),
                &|out| ports(out, self),
                &|out| write_symbols(out, &self.populations),
                &|out| write_notes(out, &self.notes),
            ],
        )
    }
}

/// Bytes that an image takes about, or a little more: rows are nearly all of it, and are not to be copied as it grows.
fn capacity(image: &SpinnakerImage) -> usize {
    let core = |core: &ApplicationCore| match &core.program {
        CoreProgram::Injector(_) => 0,
        CoreProgram::DelayExtension(delay) => delay.words() * size_of::<u32>(),
        CoreProgram::Neurons(core) => {
            let tables = core.population_table.len() + core.bit_fields.len();
            // Columns of a neuron: nine and two times three, its place in the symbols, and a scale.
            (core.synaptic_words.len() + tables + core.neurons.len() * 20) * size_of::<u32>()
        }
    };
    let cores: usize = image.chips.iter().flat_map(|chip| &chip.cores).map(core).sum();
    let routes: usize = image.chips.iter().map(|chip| chip.routes.len() * 3 * size_of::<u32>()).sum();
    cores + routes + (1 << 12)
}

fn machine(out: &mut Writer, image: &SpinnakerImage) {
    out.u32(image.cores_per_chip);
    out.count(image.chips.len());
    for chip in &image.chips {
        write_one_chip(out, chip);
    }
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

fn ports(out: &mut Writer, image: &SpinnakerImage) {
    out.count(image.inputs.len());
    for port in &image.inputs {
        out.text(&port.name);
        write_shape(out, &port.shape);
        out.count(port.injectors.len());
        for (core, elements) in &port.injectors {
            out.u32(*core);
            out.u32(*elements);
        }
    }
    write_outputs(out, &image.outputs);
}
