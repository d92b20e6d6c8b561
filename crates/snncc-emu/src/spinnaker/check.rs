//! What is checked of an image before it runs: the machine's parts that it uses, and every capacity, counted anew.

use super::machine::SpinnakerMachine;
use crate::check::{check_populations, refusal};
use snncc_chip::{HardwareModel, SpinnakerCore};
use snncc_ids::Diagnostics;
use snncc_image::spinnaker::layout::Memories;
use snncc_image::spinnaker::{ApplicationCore, ChipImage, CoreProgram, DelayExtension, NeuronCore, SpinnakerImage};
use std::collections::BTreeSet;

/// Bytes of a word.
const WORD: u64 = 4;
/// Row buffers of a core: one is filled while the other is read.
const ROW_BUFFERS: u64 = 2;
/// Synapse types of a program.
pub(crate) const TYPES: usize = 2;

/// Name of a core in messages.
pub(crate) fn core_name(chip: u32, core: u32, columns: u32) -> String {
    let columns = columns.max(1);
    format!("core {core} of chip ({}, {})", chip % columns, chip / columns)
}

pub(crate) struct Judge<'a> {
    pub(crate) machine: &'a SpinnakerMachine,
    pub(crate) model: &'a HardwareModel,
    pub(crate) core: &'a SpinnakerCore,
    pub(crate) cores_per_chip: u32,
    pub(crate) problems: Diagnostics,
}

impl Judge<'_> {
    fn refuse(&mut self, item: impl Into<String>, message: impl Into<String>) {
        self.problems.push(refusal(item, message));
    }

    /// Refuses something of a core.
    pub(crate) fn refuse_core(&mut self, chip: u32, core: u32, resource: &str, message: impl std::fmt::Display) {
        let number = chip * self.cores_per_chip + core;
        let name = core_name(chip, core, self.machine.columns);
        self.refuse(format!("cores/{number}/{resource}"), format!("{name}: {message}"));
    }

    /// Refuses a core that uses more of a resource than there is.
    fn limit(&mut self, (chip, core): (u32, u32), resource: &str, used: u64, there: u64) {
        if used > there {
            let message = format!("{used} {} in use, {there} there", resource.replace('_', " "));
            self.refuse_core(chip, core, resource, message);
        }
    }

    /// Checks the image; the decoded memories of its cores with neurons, in order of chips and cores. What is not sound alone
    /// is in the problems.
    pub(crate) fn check(&mut self, image: &SpinnakerImage) -> Vec<Memories> {
        if let Err(what) = image.check() {
            self.refuse("image", what);
            return Vec::new();
        }
        let cores = self.model.mesh.cores_per_router.0;
        if image.cores_per_chip != cores {
            let message = format!("it counts {} cores on each chip, and the chip has {cores}", image.cores_per_chip);
            self.refuse("image", message);
            return Vec::new();
        }
        let mut memories = Vec::new();
        for chip in &image.chips {
            self.check_chip(chip, &mut memories);
        }
        self.check_keys(image);
        let mut names = BTreeSet::new();
        for (at, port) in image.inputs.iter().enumerate() {
            if !names.insert(port.name.as_str()) {
                self.refuse(format!("inputs/{at}"), format!("two input ports have the name `{}`", port.name));
            }
        }
        let slots = memories.iter().map(|memories| u64::from(memories.parameters.format.slots())).max().unwrap_or(1);
        let held = image.chips.iter().flat_map(|chip| &chip.cores).map(|core| match &core.program {
            CoreProgram::DelayExtension(delay) => held_steps(delay),
            CoreProgram::Neurons(_) | CoreProgram::Injector(_) => 0,
        });
        check_populations(&image.populations, slots + held.max().unwrap_or(0), &mut self.problems);
        memories
    }

    fn check_chip(&mut self, chip: &ChipImage, memories: &mut Vec<Memories>) {
        let number = chip.chip;
        let item = format!("chips/{number}");
        if !self.machine.has_chip(number) {
            let (columns, rows) = (self.machine.columns, self.machine.rows);
            self.refuse(item.clone(), format!("there is no chip {number} in the machine of {columns} by {rows} chips"));
        }
        let limits = &self.core.limits;
        let (entries, there) = (chip.routes.len() as u64, u64::from(limits.routing_entries.0));
        if entries > there {
            let message = format!("chip {number}: {entries} routing entries in use, {there} there");
            self.refuse(format!("{item}/routing_entries"), message);
        }
        let ethernet = self.machine.ethernet_chips.contains(&number);
        let system = limits.system_cores.0 + if ethernet { limits.ethernet_system_cores.0 } else { 0 };
        let mut sdram = 0_u64;
        for core in &chip.cores {
            if core.core < system {
                self.refuse_core(number, core.core, "core", format!("the system takes the first {system} cores"));
            }
            if self.machine.dead_cores.contains(&(number * self.cores_per_chip + core.core)) {
                self.refuse_core(number, core.core, "core", "the machine lists this core as dead");
            }
            match &core.program {
                CoreProgram::Injector(sources) => {
                    let there = u64::from(limits.neurons.0);
                    self.limit((number, core.core), "sources", u64::from(*sources), there);
                }
                CoreProgram::Neurons(neurons) => {
                    let decoded = neurons.memories().expect("bug in snncc: memories that were checked");
                    self.check_neurons((number, core.core), neurons, &decoded);
                    sdram += self.sdram_bytes(neurons);
                    memories.push(decoded);
                }
                CoreProgram::DelayExtension(delay) => {
                    self.check_delay((number, core.core), delay);
                    sdram += delay.words() as u64 * WORD;
                }
            }
        }
        if sdram > limits.sdram_bytes.0 {
            let message =
                format!("chip {number}: {sdram} bytes of shared memory in use, {} there", limits.sdram_bytes.0);
            self.refuse(format!("{item}/sdram_bytes"), message);
        }
    }

    fn check_neurons(&mut self, at: (u32, u32), core: &NeuronCore, memories: &Memories) {
        let SpinnakerCore { limits, formats, arithmetic, .. } = self.core;
        let parameters = &memories.parameters;
        self.limit(at, "neurons", core.neurons.len() as u64, u64::from(limits.neurons.0));
        let ring_bits = u64::from(parameters.format.ring_bits());
        self.limit(at, "ring_buffer_bits", ring_bits, u64::from(limits.ring_buffer_bits.0));
        let longest = memories.blocks.iter().map(|block| block.row_words).max().unwrap_or(0);
        self.limit(at, "row_words", u64::from(longest), u64::from(limits.row_words.0));
        let dtcm = self.dtcm_bytes(core, memories);
        self.limit(at, "dtcm_bytes", dtcm, limits.dtcm_bytes.0);
        self.limit(at, "incoming_spikes", parameters.spike_buffer.into(), limits.incoming_spikes.0.into());
        let (chip, number) = at;
        if parameters.left_shifts.len() != TYPES {
            let message = format!("{} synapse types; programs have {TYPES}", parameters.left_shifts.len());
            self.refuse_core(chip, number, "synapse_types", message);
        }
        if let Some(shift) = parameters.left_shifts.iter().find(|shift| **shift > formats.left_shift_max.0) {
            let message = format!("a left shift of {shift}; the largest is {}", formats.left_shift_max.0);
            self.refuse_core(chip, number, "left_shifts", message);
        }
        if core.kind.is_delta && !arithmetic.delta.0 {
            self.refuse_core(chip, number, "program", "this chip has no program that adds input to the membrane");
        }
        if core.kind.subtracts && !arithmetic.subtraction.0 {
            self.refuse_core(chip, number, "program", "this chip has no program whose spikes subtract");
        }
        let colour = formats.colour_bits.0;
        if let Some(entry) = memories.table.entries.iter().find(|entry| entry.colour_bits != colour) {
            let message =
                format!("entry {:#010x} has {} colour bits, keys have {colour}", entry.key, entry.colour_bits);
            self.refuse_core(chip, number, "population_table", message);
        }
    }

    fn check_delay(&mut self, at: (u32, u32), delay: &DelayExtension) {
        let (limits, colour) = (&self.core.limits, self.core.formats.colour_bits.0);
        // A bit for each neuron and step that is held, in whole bytes a step.
        let held = held_steps(delay) * u64::from(delay.neurons.div_ceil(u8::BITS));
        let dtcm = held + (delay.words() as u64 + u64::from(limits.incoming_spikes.0)) * WORD;
        self.limit(at, "dtcm_bytes", dtcm, limits.dtcm_bytes.0);
        if delay.colour_bits != colour {
            let message = format!("a delay extension for {} colour bits; keys have {colour}", delay.colour_bits);
            self.refuse_core(at.0, at.1, "delay_extension", message);
        }
    }

    /// Data memory of a core: neurons, ring buffers, row buffers, population table, bit fields, spikes that wait.
    fn dtcm_bytes(&self, core: &NeuronCore, memories: &Memories) -> u64 {
        let SpinnakerCore { limits, formats, .. } = self.core;
        let longest = memories.blocks.iter().map(|block| block.stride() as u64).max().unwrap_or(0);
        core.neurons.len() as u64 * u64::from(formats.neuron_bytes.0)
            + ((size_of::<u16>() as u64) << memories.parameters.format.ring_bits())
            + ROW_BUFFERS * longest * WORD
            + (core.population_table.len() + core.bit_fields.len()) as u64 * WORD
            + u64::from(limits.incoming_spikes.0) * WORD
    }

    /// Shared memory of a core: neurons, synapse parameters, population table, bit fields, rows.
    fn sdram_bytes(&self, core: &NeuronCore) -> u64 {
        let tables = core.synapse_parameters.len() + core.population_table.len() + core.bit_fields.len();
        let words = tables + core.synaptic_words.len();
        core.neurons.len() as u64 * u64::from(self.core.formats.neuron_bytes.0) + words as u64 * WORD
    }

    /// Blocks of keys are aligned and disjoint.
    fn check_keys(&mut self, image: &SpinnakerImage) {
        let colour = u32::from(self.core.formats.colour_bits.0);
        let mut blocks: Vec<(u32, u32, u32, u32)> = Vec::new();
        for chip in &image.chips {
            for core in &chip.cores {
                let Some(key) = core.key else { continue };
                let last = (1 << (neuron_bits(core) + colour)) - 1;
                if key & last != 0 {
                    let message = format!("its key {key:#x} is no multiple of the {} keys of its block", last + 1);
                    self.refuse_core(chip.chip, core.core, "key", message);
                } else {
                    blocks.push((key, key | last, chip.chip, core.core));
                }
            }
        }
        blocks.sort_unstable();
        for pair in blocks.windows(2) {
            if pair[1].0 <= pair[0].1 {
                let message = format!(
                    "its key {:#x} is one of {} too",
                    pair[1].0,
                    core_name(pair[0].2, pair[0].3, self.machine.columns)
                );
                self.refuse_core(pair[1].2, pair[1].3, "key", message);
            }
        }
    }
}

/// Steps whose spikes a delay extension holds.
fn held_steps(delay: &DelayExtension) -> u64 {
    u64::from(delay.stages) * u64::from(delay.stage_steps)
}

/// Bits of a core's keys that say which source it is.
pub(crate) fn neuron_bits(core: &ApplicationCore) -> u32 {
    core.sources().next_power_of_two().trailing_zeros()
}
