//! Golden data of the SpiNNaker-like family (tests/golden/spinnaker): memory words of real cores, decoded and encoded again.

use serde_json::Value;
use snncc_image::spinnaker::layout::{SynapseFormat, SynapseParameters, push_block_of, row_synapses};
use snncc_image::spinnaker::table::{AddressItem, PopulationTable};
use snncc_image::spinnaker::{NeuronCore, NeuronRegion, ProgramKind};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/spinnaker")
}

fn json(path: &str) -> Value {
    let text = std::fs::read_to_string(folder().join(path)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|value| u32::try_from(value).ok()).unwrap_or_else(|| panic!("{value} is no u32"))
}

fn words(value: &Value) -> Vec<u32> {
    let word = |word: &Value| u32::from_str_radix(word.as_str().unwrap(), 16).unwrap();
    value.as_array().unwrap().iter().map(word).collect()
}

/// Words of synapse parameters, table and rows decode to what the tool says, and encode to the same words.
#[test]
fn memories_of_real_cores_decode_and_encode() {
    for (file, synapses) in [("synblocks/core_0_0_3.json", 1), ("synblocks/core_0_0_7.json", 1206)] {
        let case = json(file);
        let field = |name: &str| number(&case[name]);
        let neurons = field("n_neurons");
        let format = SynapseFormat {
            target_bits: field("log_n_neurons") as u8,
            type_bits: field("log_n_synapse_types") as u8,
            delay_bits: field("log_max_delay") as u8,
        };
        assert_eq!(SynapseFormat::new(neurons, field("n_synapse_types"), format.slots()), format, "{file}");
        let parameters = SynapseParameters {
            neurons,
            format,
            drops_late: field("drop_late") == 1,
            spike_buffer: field("in_buffer"),
            left_shifts: case["ring_buffer_left_shifts"].as_array().unwrap().iter().map(|s| number(s) as u8).collect(),
        };
        let column = vec![0; neurons as usize];
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
            population_table: words(&case["pop_table_words"]),
            synaptic_words: words(&case["syn_block_words"]),
            bit_fields: Vec::new(),
            ring_initial: Vec::new(),
        };
        let memories = core.memories().unwrap_or_else(|fault| panic!("{file}: {fault}"));
        assert_eq!(memories.parameters, parameters);

        let (entry, item) = (&memories.table.entries[0], &memories.table.addresses[0]);
        let said = &case["pop_entries"][0];
        assert_eq!(said["key"], format!("{:#x}", entry.key));
        assert_eq!(said["mask"], format!("{:#x}", entry.mask));
        let found = [
            u32::from(entry.start),
            u32::from(entry.colour_bits),
            u32::from(entry.count),
            u32::from(entry.core_mask),
            u32::from(entry.mask_shift),
            u32::from(entry.neurons),
            u32::from(entry.bit_field_words),
        ];
        let names = ["start", "n_colour_bits", "count", "core_mask", "mask_shift", "n_neurons", "n_words"];
        assert_eq!(found, names.map(|name| number(&said[name])), "{file}");
        assert_eq!(*item, AddressItem { row_words: field("row_words") - 3, first_word: Some(0) });

        // By key of each source, from the row that the table finds.
        let mut decoded = Vec::new();
        let mut rows = Vec::new();
        for source in 0..field("n_rows") {
            let per_core = u32::from(entry.neurons);
            let (part, neuron) = (source / per_core, source % per_core);
            let key = entry.key + (part << entry.mask_shift) + (neuron << entry.colour_bits);
            let places = memories.look_up(key).unwrap().unwrap();
            let stride = field("row_words") as usize;
            assert_eq!((places.len(), places[0].start, places[0].len()), (1, source as usize * stride, stride));
            let fixed = row_synapses(&core.synaptic_words[places[0].clone()]).unwrap();
            for word in fixed {
                let synapse = format.decode(*word);
                assert_eq!(format.word(synapse), *word);
                decoded.push([source, synapse.target, synapse.synapse_type, synapse.delay, u32::from(synapse.weight)]);
            }
            rows.push(fixed.to_vec());
        }
        let expected: Vec<[u32; 5]> = case["decoded_synapses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| std::array::from_fn(|at| number(&row[at])))
            .collect();
        assert_eq!(expected.len(), synapses);
        assert_eq!(decoded, expected, "{file}");

        let mut memory = Vec::new();
        assert_eq!(push_block_of(&mut memory, &rows, item.row_words as usize), *item);
        assert_eq!(memory, core.synaptic_words, "{file}");
        assert_eq!(memories.table.encode(), core.population_table, "{file}");
        assert_eq!(PopulationTable::decode(&core.population_table), Ok(memories.table));
    }
}
