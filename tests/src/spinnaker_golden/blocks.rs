//! Memory words of real cores: decoded as the tool says, and encoded to the same words.

use serde::Deserialize;
use snncc_image::spinnaker::layout::{BlockWriter, SynapseFormat, SynapseParameters, row_synapses};
use snncc_image::spinnaker::{NeuronCore, NeuronRegion, ProgramKind};

/// A core's memories.
#[derive(Debug, Deserialize)]
struct File {
    n_neurons: u32,
    n_synapse_types: u32,
    log_n_neurons: u8,
    log_n_synapse_types: u8,
    log_max_delay: u8,
    drop_late: u32,
    in_buffer: u32,
    ring_buffer_left_shifts: Vec<u8>,
    pop_table_words: Vec<String>,
    pop_entries: Vec<Entry>,
    syn_block_words: Vec<String>,
    n_rows: Option<u32>,
    /// Source, target, type, delay, weight.
    decoded_synapses: Vec<[u32; 5]>,
}

/// An entry of the population table.
#[derive(Debug, Deserialize)]
struct Entry {
    key: String,
    mask: String,
    start: u16,
    n_colour_bits: u8,
    count: u16,
    core_mask: u16,
    mask_shift: u8,
    n_neurons: u16,
    n_words: u16,
}

fn hex(word: &str) -> Result<u32, String> {
    let digits = word.trim().trim_start_matches("0x");
    u32::from_str_radix(digits, 16).map_err(|_| format!("`{word}` is no word in hexadecimal digits"))
}

fn words(words: &[String]) -> Result<Vec<u32>, String> {
    words.iter().map(|word| hex(word)).collect()
}

/// Checks a file of memory words; what was found.
///
/// # Errors
/// What cannot be read, or the first difference.
pub fn check_block(text: &str) -> Result<String, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let format = SynapseFormat {
        target_bits: file.log_n_neurons,
        type_bits: file.log_n_synapse_types,
        delay_bits: file.log_max_delay,
    };
    let parameters = SynapseParameters {
        neurons: file.n_neurons,
        format,
        drops_late: file.drop_late != 0,
        spike_buffer: file.in_buffer,
        left_shifts: file.ring_buffer_left_shifts.clone(),
    };
    if file.n_synapse_types as usize != parameters.left_shifts.len() {
        return Err(format!("{} left shifts for {} synapse types", parameters.left_shifts.len(), file.n_synapse_types));
    }
    let column = vec![0; file.n_neurons as usize];
    let core = NeuronCore {
        kind: ProgramKind { is_delta: true, subtracts: false },
        start_step: 1,
        neurons: NeuronRegion {
            v: column.clone(),
            v_rest: column.clone(),
            resistance: column.clone(),
            membrane_keep: column.clone(),
            i_offset: column.clone(),
            refractory_left: column.clone(),
            v_reset: column.clone(),
            refractory_steps: column.clone(),
            v_threshold: column,
        },
        synapse_types: Vec::new(),
        synapse_parameters: parameters.encode(),
        population_table: words(&file.pop_table_words)?,
        synaptic_words: words(&file.syn_block_words)?,
        bit_fields: Vec::new(),
        ring_initial: Vec::new(),
    };
    let memories = core.memories()?;
    equal("synapse parameters", &memories.parameters, &parameters)?;
    equal("population table words", &memories.table.encode(), &core.population_table)?;
    equal("number of table entries", &memories.table.entries.len(), &file.pop_entries.len())?;
    let mut decoded: Vec<[u32; 5]> = Vec::new();
    for (entry, said) in memories.table.entries.iter().zip(&file.pop_entries) {
        let fields = (hex(&said.key)?, hex(&said.mask)?, said.start, said.n_colour_bits, said.count);
        equal("table entry", &(entry.key, entry.mask, entry.start, entry.colour_bits, entry.count), &fields)?;
        let fields = (said.core_mask, said.mask_shift, said.n_neurons, said.n_words);
        equal("table entry", &(entry.core_mask, entry.mask_shift, entry.neurons, entry.bit_field_words), &fields)?;
        let rows = memories.table.items(entry).iter().filter_map(|item| {
            let first = item.first_word?;
            memories.blocks.iter().find(|block| block.first_word == first).map(|block| block.rows)
        });
        let there = rows.min().unwrap_or(0);
        // A block goes on to the next one; where the file says how many rows there are, these count.
        let rows = match file.n_rows.filter(|_| file.pop_entries.len() == 1) {
            Some(rows) if rows > there => return Err(format!("{rows} rows, and room for {there}")),
            rows => rows.unwrap_or(there),
        };
        for source in 0..rows {
            let per_core = u32::from(entry.neurons).max(1);
            let key = entry.key | (source / per_core) << entry.mask_shift | (source % per_core) << entry.colour_bits;
            if key & entry.mask != entry.key {
                break;
            }
            for row in memories.look_up(key)?.unwrap_or_default() {
                for word in row_synapses(&core.synaptic_words[row])? {
                    let synapse = format.decode(*word);
                    equal("synapse word", &format.word(synapse), word)?;
                    let (kind, weight) = (synapse.synapse_type, u32::from(synapse.weight));
                    decoded.push([source, synapse.target, kind, synapse.delay, weight]);
                }
            }
        }
    }
    let mut expected = file.decoded_synapses;
    expected.sort_unstable();
    decoded.sort_unstable();
    if let Some(at) = (0..expected.len().max(decoded.len())).find(|at| expected.get(*at) != decoded.get(*at)) {
        return Err(format!("synapse {at} is {:?} instead of {:?}", decoded.get(at), expected.get(at)));
    }
    // Blocks written anew.
    let mut memory = Vec::new();
    for block in &memories.blocks {
        memory.resize((block.first_word as usize).max(memory.len()), 0);
        let (item, mut rows) = BlockWriter::append(&mut memory, block.rows as usize, block.row_words as usize);
        equal("first word of a block", &item.first_word, &Some(block.first_word))?;
        for row in 0..block.rows {
            let place = block.row(row).expect("a row of the block");
            row_synapses(&core.synaptic_words[place])?.iter().for_each(|word| rows.push(row as usize, *word));
        }
    }
    memory.resize(core.synaptic_words.len().max(memory.len()), 0);
    if let Some(at) = (0..memory.len()).find(|at| core.synaptic_words.get(*at) != Some(&memory[*at])) {
        return Err(format!(
            "word {at} of the rows is {:#010x} instead of {:?}",
            memory[at],
            core.synaptic_words.get(at)
        ));
    }
    let (synapses, words) = (decoded.len(), memory.len());
    Ok(format!("{synapses} synapses in {words} words decode, and encode to the same words"))
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?} instead of {expected:?}")) }
}
