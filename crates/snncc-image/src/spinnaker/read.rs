//! Bytes to image: checks every count before allocating, every CRC, every index, every synaptic row.

use super::{
    ApplicationCore, ChipImage, CoreProgram, DelayExtension, NeuronCore, NeuronRegion, ProgramKind, RouteEntry,
    SpikeInput, SpinnakerImage, SynapseTypeRegion,
};
use crate::bytes::{Fault, Reader};
use crate::container::{
    Container, Family, Refusal, check_shape, check_symbols, damaged, read_chip, read_notes, read_outputs, read_symbols,
};
use snncc_ids::Diagnostics;
use std::collections::BTreeSet;

/// Bits of a route in front of those of the cores.
const LINK_BITS: u32 = 6;
/// Most sources of an injector.
const INJECTOR_SOURCES_MAX: u32 = (1 << 16) - 1;

impl SpinnakerImage {
    /// Reads an image.
    ///
    /// # Errors
    /// `SNN0108` for a newer major version, `SNN0701` for an image of another family, `SNN0109` with what is wrong and where
    /// for anything damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<SpinnakerImage, Diagnostics> {
        read(bytes).map_err(Diagnostics::from)
    }

    /// What is wrong with the structure of this image, if anything: all that [`SpinnakerImage::from_bytes`] checks.
    ///
    /// # Errors
    /// The first thing found.
    pub fn check(&self) -> Result<(), String> {
        check(self).map_err(|fault| fault.0)
    }
}

fn read(bytes: &[u8]) -> Result<SpinnakerImage, Refusal> {
    let [mut chip, mut machine, mut ports, mut symbols, mut notes] =
        Container::open(bytes)?.sections(Family::Spinnaker)?;
    let (model_name, model_hash, target_name) = read_chip(&mut chip)?;
    let image = SpinnakerImage {
        model_name,
        model_hash,
        target_name,
        cores_per_chip: machine.u32()?,
        chips: machine.list(12, read_one_chip)?,
        inputs: ports.list(12, |reader| {
            Ok(SpikeInput {
                name: reader.text()?,
                shape: reader.words()?,
                injectors: reader.list(8, |reader| Ok((reader.u32()?, reader.u32()?)))?,
            })
        })?,
        outputs: read_outputs(&mut ports)?,
        populations: read_symbols(&mut symbols)?,
        notes: read_notes(&mut notes)?,
    };
    check(&image)?;
    Ok(image)
}

fn read_one_chip(reader: &mut Reader<'_>) -> Result<ChipImage, Fault> {
    Ok(ChipImage {
        chip: reader.u32()?,
        routes: reader
            .list(12, |reader| Ok(RouteEntry { key: reader.u32()?, mask: reader.u32()?, route: reader.u32()? }))?,
        cores: reader.list(14, read_core)?,
    })
}

fn read_core(reader: &mut Reader<'_>) -> Result<ApplicationCore, Fault> {
    let core = reader.u32()?;
    let key = match (reader.u8()?, reader.u32()?) {
        (0, 0) => None,
        (1, key) => Some(key),
        (flag, key) => return damaged(format!("core {core} has key flag {flag} and key {key:#x}")),
    };
    let program = match reader.u8()? {
        0 => CoreProgram::Injector(reader.u32()?),
        1 => CoreProgram::Neurons(read_neurons(reader)?),
        2 => CoreProgram::DelayExtension(read_delay(reader)?),
        other => return damaged(format!("core {core} has unknown program {other}")),
    };
    Ok(ApplicationCore { core, key, program })
}

fn read_delay(reader: &mut Reader<'_>) -> Result<DelayExtension, Fault> {
    let (key, mask, colour_bits) = (reader.u32()?, reader.u32()?, reader.u32()?);
    Ok(DelayExtension {
        key,
        mask,
        // Too many in any case where they are cut.
        colour_bits: u8::try_from(colour_bits).unwrap_or(u8::MAX),
        first: reader.u32()?,
        neurons: reader.u32()?,
        stages: reader.u32()?,
        stage_steps: reader.u32()?,
        sent: reader.words()?,
    })
}

fn read_neurons(reader: &mut Reader<'_>) -> Result<NeuronCore, Fault> {
    let kind = match reader.u8()? {
        bits @ 0..4 => ProgramKind { is_delta: bits & 1 != 0, subtracts: bits & 2 != 0 },
        other => return damaged(format!("unknown kind of neurons {other}")),
    };
    let start_step = reader.u32()?;
    let len = reader.count(36)?;
    let mut column = || (0..len).map(|_| reader.i32()).collect::<Result<Vec<i32>, Fault>>();
    let neurons = NeuronRegion {
        v: column()?,
        v_rest: column()?,
        resistance: column()?,
        membrane_keep: column()?,
        i_offset: column()?,
        refractory_left: column()?,
        v_reset: column()?,
        refractory_steps: column()?,
        v_threshold: column()?,
    };
    let synapse_types = reader.list(len.saturating_mul(12).max(12), |reader| {
        let mut unsigned = || (0..len).map(|_| reader.u32()).collect::<Result<Vec<u32>, Fault>>();
        let (decay, init) = (unsigned()?, unsigned()?);
        let value = (0..len).map(|_| reader.i32()).collect::<Result<Vec<i32>, Fault>>()?;
        Ok(SynapseTypeRegion { decay, init, value })
    })?;
    Ok(NeuronCore {
        kind,
        start_step,
        neurons,
        synapse_types,
        synapse_parameters: reader.words()?,
        population_table: reader.words()?,
        synaptic_words: reader.words()?,
        bit_fields: reader.words()?,
        ring_initial: reader.list(6, |reader| Ok((reader.u32()?, reader.u16()?)))?,
    })
}

fn check(image: &SpinnakerImage) -> Result<(), Fault> {
    if !(1..=u32::BITS - LINK_BITS).contains(&image.cores_per_chip) {
        return damaged(format!("{} cores on each chip; a route has bits for 26", image.cores_per_chip));
    }
    if !image.chips.windows(2).all(|pair| pair[0].chip < pair[1].chip) {
        return damaged("chips are not in ascending order");
    }
    for chip in &image.chips {
        check_chip(chip, image.cores_per_chip)?;
    }
    check_inputs(image)?;
    check_symbols(&image.outputs, &image.populations, |number| match &image.core(number)?.program {
        CoreProgram::Neurons(core) => Some(core.neurons.len()),
        CoreProgram::Injector(_) | CoreProgram::DelayExtension(_) => None,
    })
}

fn check_chip(chip: &ChipImage, cores_per_chip: u32) -> Result<(), Fault> {
    let number = chip.chip;
    if number.checked_add(1).and_then(|chips| chips.checked_mul(cores_per_chip)).is_none() {
        return damaged(format!("cores of chip {number} have numbers above 2^32"));
    }
    let routes = LINK_BITS + cores_per_chip;
    for entry in &chip.routes {
        if entry.key & !entry.mask != 0 || u64::from(entry.route) >> routes != 0 {
            return damaged(format!("chip {number} has the routing entry {entry:x?}, which matches or leads nowhere"));
        }
    }
    let ascending = chip.cores.windows(2).all(|pair| pair[0].core < pair[1].core);
    if !ascending || chip.cores.last().is_some_and(|core| core.core >= cores_per_chip) {
        return damaged(format!("cores of chip {number} are not ascending numbers below {cores_per_chip}"));
    }
    for core in &chip.cores {
        check_core(core).map_err(|Fault(what)| Fault(format!("chip {number}, core {}: {what}", core.core)))?;
    }
    Ok(())
}

fn check_core(core: &ApplicationCore) -> Result<(), Fault> {
    let neurons = match &core.program {
        CoreProgram::Injector(1..=INJECTOR_SOURCES_MAX) => return Ok(()),
        CoreProgram::Injector(sources) => return damaged(format!("an injector with {sources} sources")),
        CoreProgram::DelayExtension(delay) => return delay.check().map_err(Fault),
        CoreProgram::Neurons(neurons) => neurons,
    };
    let n = &neurons.neurons;
    let columns = [
        &n.v_rest,
        &n.resistance,
        &n.membrane_keep,
        &n.i_offset,
        &n.refractory_left,
        &n.v_reset,
        &n.refractory_steps,
        &n.v_threshold,
    ];
    let types = &neurons.synapse_types;
    let equal = columns.iter().all(|column| column.len() == n.len())
        && types.iter().all(|kind| [kind.decay.len(), kind.init.len(), kind.value.len()] == [n.len(); 3]);
    if n.is_empty() || !equal {
        return damaged("columns of the neurons have no or different lengths");
    }
    let parameters = neurons.memories().map_err(Fault)?.parameters;
    let format = parameters.format;
    if types.len() != parameters.left_shifts.len() && !(neurons.kind.is_delta && types.is_empty()) {
        return damaged(format!("{} synapse types and {} left shifts", types.len(), parameters.left_shifts.len()));
    }
    let in_range = |slot: u32| {
        let (kind, target) = format.slot_target(slot);
        u64::from(slot) >> format.ring_bits() == 0
            && (kind as usize) < parameters.left_shifts.len()
            && target < parameters.neurons
    };
    let ring = &neurons.ring_initial;
    if !ring.iter().all(|(slot, _)| in_range(*slot)) || !ring.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        return damaged("initial values are not those of ring-buffer slots in ascending order");
    }
    Ok(())
}

fn check_inputs(image: &SpinnakerImage) -> Result<(), Fault> {
    let mut used = BTreeSet::new();
    for port in &image.inputs {
        let mut elements = 0_usize;
        for &(number, count) in &port.injectors {
            let sources = image.core(number).map(|core| &core.program);
            if sources != Some(&CoreProgram::Injector(count)) || !used.insert(number) {
                return damaged(format!(
                    "core {number} is no injector of {count} sources for input `{}` alone",
                    port.name
                ));
            }
            elements += count as usize;
        }
        check_shape(&port.name, &port.shape, elements)?;
    }
    Ok(())
}
