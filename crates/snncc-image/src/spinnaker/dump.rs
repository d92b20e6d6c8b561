//! An image as text for people: routes, cores, neurons, rows, long tables cut short with a visible count of the rest.

use super::layout::{Memories, Synapse, row_synapses};
use super::{ApplicationCore, CoreProgram, NeuronCore, SpinnakerImage};
use crate::dump::{ROWS, Text, head, ports_and_populations, tail};

/// The image as text, tables cut after 16 rows.
pub fn dump(image: &SpinnakerImage) -> String {
    dump_rows(image, ROWS)
}

/// The image as text, each table cut after `rows` rows.
pub fn dump_rows(image: &SpinnakerImage, rows: usize) -> String {
    let mut out = Text::new(rows);
    head(&mut out, &image.target_name, &image.model_name, &image.model_hash);
    out.table(0, "input ports", image.inputs.len(), |out, at| {
        let port = &image.inputs[at];
        let elements: u64 = port.injectors.iter().map(|(_, elements)| u64::from(*elements)).sum();
        out.line(1, format_args!("{} {:?}: {elements} elements", port.name, port.shape));
        out.items(2, "elements at cores: ", &port.injectors, |(core, elements)| format!("{elements} at {core}"));
    });
    ports_and_populations(&mut out, &image.outputs, &image.populations);
    for chip in &image.chips {
        let (number, routes, cores) = (chip.chip, chip.routes.len(), chip.cores.len());
        out.line(0, format_args!("chip {number}: {routes} routing entries, {cores} cores"));
        out.table(1, "routing entries", routes, |out, at| {
            let entry = &chip.routes[at];
            out.line(2, format_args!("{:08x}/{:08x}: {}", entry.key, entry.mask, route_text(entry.route)));
        });
        for core in &chip.cores {
            dump_core(&mut out, core);
        }
    }
    tail(&mut out, &image.notes);
    out.text
}

/// Links (by direction) and cores of a route, in words: `E SW core 3`.
pub fn route_text(route: u32) -> String {
    let links = ["E", "NE", "N", "W", "SW", "S"];
    let names = (0..u32::BITS as usize).filter(|bit| route >> bit & 1 == 1);
    let names: Vec<String> = names
        .map(|bit| links.get(bit).map_or_else(|| format!("core {}", bit - links.len()), ToString::to_string))
        .collect();
    if names.is_empty() { "nowhere".to_string() } else { names.join(" ") }
}

fn dump_core(out: &mut Text, core: &ApplicationCore) {
    let key = core.key.map_or("no key".to_string(), |key| format!("keys from {key:08x} on"));
    match &core.program {
        CoreProgram::Injector(sources) => {
            out.line(1, format_args!("core {}: injector of {sources} sources, {key}", core.core));
        }
        CoreProgram::DelayExtension(delay) => {
            let (number, last) = (core.core, delay.first + delay.neurons - 1);
            let (stages, steps) = (delay.stages, delay.stage_steps);
            let source = delay.key;
            out.line(
                1,
                format_args!(
                    "core {number}: delay extension of neurons {} to {last} with keys from {source:08x} on, {stages} stages \
                     of {steps} steps, {key}",
                    delay.first
                ),
            );
            let sent: Vec<u32> = (0..delay.sources()).filter(|source| delay.sends(*source)).collect();
            out.items(2, "sends: ", &sent, |source| {
                format!("{}@{}", source % delay.neurons, source / delay.neurons + 1)
            });
        }
        CoreProgram::Neurons(neurons) => {
            let kind = if neurons.kind.is_delta { "delta" } else { "exponential currents" };
            let reset = if neurons.kind.subtracts { "reset by subtraction" } else { "reset to a value" };
            let (len, start) = (neurons.neurons.len(), neurons.start_step);
            out.line(1, format_args!("core {}: {len} neurons, {kind}, {reset}, from step {start}, {key}", core.core));
            dump_neurons(out, neurons);
        }
    }
}

fn dump_neurons(out: &mut Text, core: &NeuronCore) {
    let n = &core.neurons;
    out.table(2, "neurons", n.len(), |out, at| {
        out.line(
            3,
            format_args!(
                "{at}: v {}, rest {}, R {}, keep {}, offset {}, reset {}, threshold {}, refractory {} of {}",
                n.v[at],
                n.v_rest[at],
                n.resistance[at],
                n.membrane_keep[at],
                n.i_offset[at],
                n.v_reset[at],
                n.v_threshold[at],
                n.refractory_left[at],
                n.refractory_steps[at]
            ),
        );
    });
    for (number, kind) in core.synapse_types.iter().enumerate() {
        out.table(2, &format!("synapse type {number}"), n.len(), |out, at| {
            out.line(
                3,
                format_args!("{at}: decay {}, init {}, value {}", kind.decay[at], kind.init[at], kind.value[at]),
            );
        });
    }
    out.items(2, "ring buffers before step 1: ", &core.ring_initial, |(slot, value)| format!("slot {slot}: {value}"));
    match core.memories() {
        Ok(memories) => dump_memories(out, core, &memories),
        Err(fault) => out.line(2, format_args!("damaged: {fault}")),
    }
}

fn dump_memories(out: &mut Text, core: &NeuronCore, memories: &Memories) {
    let parameters = &memories.parameters;
    let format = parameters.format;
    out.line(
        2,
        format_args!(
            "synapses: {} target bits, {} type bits, {} delay slots, left shifts {:?}, {} words",
            format.target_bits,
            format.type_bits,
            format.slots(),
            parameters.left_shifts,
            core.synaptic_words.len()
        ),
    );
    out.table(2, "population table", memories.table.entries.len(), |out, at| {
        let entry = &memories.table.entries[at];
        let blocks: Vec<String> = memories
            .table
            .items(entry)
            .iter()
            .map(|item| item.first_word.map_or("none".to_string(), |word| format!("word {word}")))
            .collect();
        out.line(3, format_args!("{:08x}/{:08x}: blocks at {}", entry.key, entry.mask, blocks.join(", ")));
    });
    let words = core.bit_fields.len();
    if words > 0 {
        out.line(2, format_args!("bit fields: {words} words"));
    }
    out.table(2, "blocks", memories.blocks.len(), |out, at| {
        let block = &memories.blocks[at];
        out.line(3, format_args!("word {}: {} rows of {} words", block.first_word, block.rows, block.row_words));
        out.table(4, "rows", block.rows as usize, |out, at| {
            let row = block.row(at as u32).expect("bug in snncc: a row of the block");
            let words = row_synapses(&core.synaptic_words[row]).expect("bug in snncc: a row that was checked");
            out.items(5, &format!("{at}: "), words, |word| {
                let Synapse { weight, delay, synapse_type, target } = format.decode(*word);
                format!("{}{weight}@{delay}→{target}", ["+", "−"].get(synapse_type as usize).unwrap_or(&"?"))
            });
        });
    });
}
