//! Image to bytes. The layout is documented in docs/IMAGE_FORMAT.md; change both together.

use crate::bytes::Writer;
use crate::container::{Family, write_chip, write_container, write_notes, write_outputs, write_shape, write_symbols};
use crate::image::{AxonTable, CoreImage, Image, NoiseTarget, ResetModel, SignMode};

impl Image {
    /// The image as bytes: a header, five sections, each with its CRC-32.
    pub fn to_bytes(&self) -> Vec<u8> {
        write_container(
            Family::Loihi,
            0,
            [
                &|out| write_chip(out, &self.model_name, &self.model_hash, &self.target_name),
                &|out| cores(out, self),
                &|out| ports(out, self),
                &|out| write_symbols(out, &self.populations),
                &|out| write_notes(out, &self.notes),
            ],
        )
    }
}

fn cores(out: &mut Writer, image: &Image) {
    out.count(image.cores.len());
    for core in &image.cores {
        write_core(out, core);
    }
}

fn write_core(out: &mut Writer, core: &CoreImage) {
    out.u32(core.core);
    // Exponents are stored plus one; 0 means that there is no clip.
    out.u8(core.settings.v_min_exponent.map_or(0, |exponent| exponent + 1));
    out.u8(core.settings.v_max_exponent.map_or(0, |exponent| exponent + 1));
    out.u8(core.settings.delay_bits);
    match core.settings.noise {
        None => out.u8(0),
        Some(noise) => {
            out.u8(match noise.target {
                NoiseTarget::Dendrite => 1,
                NoiseTarget::Membrane => 2,
            });
            out.u8(noise.exponent);
            out.i32(noise.mantissa_offset);
        }
    }
    out.count(core.compartment_configs.len());
    for config in &core.compartment_configs {
        out.u16(config.decay_u);
        out.u16(config.decay_v);
        out.u16(config.refractory);
        let (model, interval, offset) = match config.reset {
            ResetModel::Lif => (0, 0, 0),
            ResetModel::Periodic { interval, offset } => (1, interval, offset),
            ResetModel::Ternary => (2, 0, 0),
        };
        out.u16(model);
        out.u32(interval);
        out.u32(offset);
    }
    out.count(core.threshold_configs.len());
    for threshold in &core.threshold_configs {
        out.i32(threshold.mantissa);
        out.i32(threshold.lower_mantissa);
    }
    out.count(core.synapse_formats.len());
    for format in &core.synapse_formats {
        out.u8(format.weight_bits);
        out.u8(format.mantissa_shift);
        out.u8(match format.sign_mode {
            SignMode::Mixed => 0,
            SignMode::Excitatory => 1,
            SignMode::Inhibitory => 2,
        });
        out.i8(format.exponent);
        out.u8(format.delay_bits);
        // 0 is dense, otherwise index bits plus one.
        out.u8(format.index_bits.map_or(0, |bits| bits + 1));
        out.u16(format.accumulator_group);
        out.u8(u8::from(format.shared));
    }
    let compartments = &core.compartments;
    out.count(compartments.len());
    for i in 0..compartments.len() {
        out.u32(compartments.config[i]);
        out.u32(compartments.threshold[i]);
        out.i32(compartments.bias_mantissa[i]);
        out.u32(compartments.bias_exponent[i] as u8 as u32 | compartments.start_step[i] << 8);
    }
    let stateful: Vec<usize> = (0..compartments.len())
        .filter(|i| (compartments.u_initial[*i], compartments.v_initial[*i]) != (0, 0))
        .collect();
    out.count(stateful.len());
    for i in stateful {
        out.u32(i as u32);
        out.i64(compartments.u_initial[i]);
        out.i64(compartments.v_initial[i]);
    }
    out.count(core.in_axons.len());
    for axon in &core.in_axons {
        out.u32(axon.list);
        out.u32(axon.base);
    }
    out.count(core.lists.len());
    for list in &core.lists {
        out.u32(list.words);
    }
    out.count(core.synapse_words.len());
    for word in &core.synapse_words {
        out.u64(*word);
    }
    axons(out, &core.out_axons);
    out.count(core.noise_samples.len());
    for sample in core.noise_samples.iter().flatten() {
        out.i32(*sample);
    }
}

fn axons(out: &mut Writer, table: &AxonTable) {
    out.count(table.rows());
    for row in 0..table.rows() {
        out.u32(table.row(row).len() as u32);
    }
    for target in &table.targets {
        out.u32(target.core);
        out.u32(target.axon);
    }
}

fn ports(out: &mut Writer, image: &Image) {
    out.count(image.inputs.len());
    for port in &image.inputs {
        out.text(&port.name);
        write_shape(out, &port.shape);
        axons(out, &port.axons);
    }
    write_outputs(out, &image.outputs);
}
