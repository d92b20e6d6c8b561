//! Bytes to image: checks every count before allocating, every CRC, every index.

use crate::bytes::{Fault, Reader};
use crate::container::{
    Container, Family, Refusal, check_shape, check_symbols, damaged, read_chip, read_notes, read_outputs, read_symbols,
};
use crate::image::{
    AxonTable, AxonTarget, CompartmentConfig, CoreImage, CoreSettings, Image, InAxon, InputPort, NoiseSetting,
    NoiseTarget, ResetModel, SignMode, SynapseFormat, SynapseList, ThresholdConfig,
};
use snncc_ids::Diagnostics;

impl Image {
    /// Reads an image.
    ///
    /// # Errors
    /// `SNN0108` for a newer major version, `SNN0701` for an image of another family, `SNN0109` with what is wrong and where
    /// for anything damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Image, Diagnostics> {
        read(bytes).map_err(Diagnostics::from)
    }
}

fn read(bytes: &[u8]) -> Result<Image, Refusal> {
    let [mut chip, mut cores, mut ports, mut symbols, mut notes] = Container::open(bytes)?.sections(Family::Loihi)?;
    let (model_name, model_hash, target_name) = read_chip(&mut chip)?;
    let image = Image {
        model_name,
        model_hash,
        target_name,
        cores: cores.list(30, read_core)?,
        inputs: ports.list(12, |reader| {
            Ok(InputPort { name: reader.text()?, shape: reader.list(4, Reader::u32)?, axons: read_axons(reader)? })
        })?,
        outputs: read_outputs(&mut ports)?,
        populations: read_symbols(&mut symbols)?,
        notes: read_notes(&mut notes)?,
    };
    check_references(&image)?;
    Ok(image)
}

fn read_core(reader: &mut Reader<'_>) -> Result<CoreImage, Fault> {
    let mut core = CoreImage { core: reader.u32()?, ..CoreImage::default() };
    core.settings = CoreSettings {
        v_min_exponent: reader.u8()?.checked_sub(1),
        v_max_exponent: reader.u8()?.checked_sub(1),
        delay_bits: reader.u8()?,
        noise: match reader.u8()? {
            0 => None,
            target @ (1 | 2) => Some(NoiseSetting {
                target: if target == 1 { NoiseTarget::Dendrite } else { NoiseTarget::Membrane },
                exponent: reader.u8()?,
                mantissa_offset: reader.i32()?,
            }),
            other => return damaged(format!("core {} has noise target {other}", core.core)),
        },
    };
    core.compartment_configs = reader.list(16, |reader| {
        let (decay_u, decay_v, refractory) = (reader.u16()?, reader.u16()?, reader.u16()?);
        let (model, interval, offset) = (reader.u16()?, reader.u32()?, reader.u32()?);
        let reset = match model {
            0 => ResetModel::Lif,
            1 if interval > 0 => ResetModel::Periodic { interval, offset },
            2 => ResetModel::Ternary,
            other => return damaged(format!("unknown reset model {other}")),
        };
        Ok(CompartmentConfig { decay_u, decay_v, refractory, reset })
    })?;
    core.threshold_configs =
        reader.list(8, |reader| Ok(ThresholdConfig { mantissa: reader.i32()?, lower_mantissa: reader.i32()? }))?;
    core.synapse_formats = reader.list(9, read_format)?;
    let compartments = reader.count(16)?;
    for _ in 0..compartments {
        core.compartments.config.push(reader.u32()?);
        core.compartments.threshold.push(reader.u32()?);
        core.compartments.bias_mantissa.push(reader.i32()?);
        let packed = reader.u32()?;
        core.compartments.bias_exponent.push(packed as u8 as i8);
        core.compartments.start_step.push(packed >> 8);
    }
    core.compartments.u_initial = vec![0; compartments];
    core.compartments.v_initial = vec![0; compartments];
    for _ in 0..reader.count(20)? {
        let at = reader.u32()? as usize;
        let (u, v) = (reader.i64()?, reader.i64()?);
        if at >= compartments {
            return damaged(format!("core {} has no compartment {at}", core.core));
        }
        core.compartments.u_initial[at] = u;
        core.compartments.v_initial[at] = v;
    }
    core.in_axons = reader.list(8, |reader| Ok(InAxon { list: reader.u32()?, base: reader.u32()? }))?;
    let mut first_word = 0_u32;
    core.lists = reader.list(4, |reader| {
        let list = SynapseList { first_word, words: reader.u32()? };
        first_word = match first_word.checked_add(list.words) {
            Some(next) => next,
            None => return damaged("synapse lists have more than 2^32 words"),
        };
        Ok(list)
    })?;
    core.synapse_words = reader.list(8, Reader::u64)?;
    if core.synapse_words.len() != first_word as usize {
        return damaged(format!(
            "core {} has {} synapse words, but its lists have {first_word}",
            core.core,
            core.synapse_words.len()
        ));
    }
    core.out_axons = read_axons(reader)?;
    let sampled_steps = reader.count(compartments.saturating_mul(4))?;
    for _ in 0..sampled_steps {
        core.noise_samples.push((0..compartments).map(|_| reader.i32()).collect::<Result<_, _>>()?);
    }
    Ok(core)
}

fn read_format(reader: &mut Reader<'_>) -> Result<SynapseFormat, Fault> {
    let format = SynapseFormat {
        weight_bits: reader.u8()?,
        mantissa_shift: reader.u8()?,
        sign_mode: match reader.u8()? {
            0 => SignMode::Mixed,
            1 => SignMode::Excitatory,
            2 => SignMode::Inhibitory,
            other => return damaged(format!("unknown sign mode {other}")),
        },
        exponent: reader.i8()?,
        delay_bits: reader.u8()?,
        index_bits: reader.u8()?.checked_sub(1),
        accumulator_group: reader.u16()?,
        shared: match reader.u8()? {
            0 => false,
            1 => true,
            other => return damaged(format!("unknown sharing {other}")),
        },
    };
    let widths_sane = (1..=32).contains(&format.weight_bits)
        && u32::from(format.mantissa_shift) + u32::from(format.weight_bits) <= 32
        && format.delay_bits <= 8
        && format.index_bits.is_none_or(|bits| bits <= 32)
        && (-32..=32).contains(&format.exponent);
    if widths_sane { Ok(format) } else { damaged(format!("impossible field widths in {format:?}")) }
}

fn read_axons(reader: &mut Reader<'_>) -> Result<AxonTable, Fault> {
    let mut table = AxonTable::default();
    let rows = reader.count(4)?;
    let mut end = 0_u32;
    for _ in 0..rows {
        end = match end.checked_add(reader.u32()?) {
            Some(end) => end,
            None => return damaged("an axon table has more than 2^32 entries"),
        };
        table.starts.push(end);
    }
    if end as usize > reader.remaining() / 8 {
        return damaged(format!("an axon table of {end} entries exceeds the bytes that follow"));
    }
    for _ in 0..end {
        table.targets.push(AxonTarget { core: reader.u32()?, axon: reader.u32()? });
    }
    Ok(table)
}

fn check_references(image: &Image) -> Result<(), Fault> {
    if !image.cores.windows(2).all(|pair| pair[0].core < pair[1].core) {
        return damaged("cores are not in ascending order");
    }
    let find =
        |number: u32| image.cores.binary_search_by_key(&number, |core| core.core).ok().map(|at| &image.cores[at]);
    let axon_exists =
        |target: &AxonTarget| find(target.core).is_some_and(|core| (target.axon as usize) < core.in_axons.len());
    for core in &image.cores {
        let n = core.core;
        let c = &core.compartments;
        if c.config.iter().any(|config| *config as usize >= core.compartment_configs.len()) {
            return damaged(format!("a compartment of core {n} has an unknown config"));
        }
        if c.threshold.iter().any(|threshold| *threshold as usize >= core.threshold_configs.len()) {
            return damaged(format!("a compartment of core {n} has an unknown threshold"));
        }
        if core.in_axons.iter().any(|axon| axon.list as usize >= core.lists.len()) {
            return damaged(format!("an input axon of core {n} has an unknown list"));
        }
        if core.out_axons.rows() != c.len() {
            return damaged(format!("core {n} has {} compartments and {} axon rows", c.len(), core.out_axons.rows()));
        }
        if !core.out_axons.targets.iter().all(axon_exists) {
            return damaged(format!("an output axon of core {n} leads to no input axon"));
        }
    }
    for port in &image.inputs {
        if !port.axons.targets.iter().all(axon_exists) {
            return damaged(format!("an axon of input `{}` leads to no input axon", port.name));
        }
        check_shape(&port.name, &port.shape, port.axons.rows())?;
    }
    check_symbols(&image.outputs, &image.populations, |core| find(core).map(|core| core.compartments.len()))
}
