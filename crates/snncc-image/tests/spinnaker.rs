//! The bytes of an image of a SpiNNaker-like machine: pinned by a dump, and safe to read whatever they are.

mod common;

use common::{FIRST_SECTION, golden, hex_dump, seal};
use snncc_image::spinnaker::layout::{Synapse, SynapseFormat, SynapseParameters, push_block};
use snncc_image::spinnaker::table::{AddressItem, PopulationEntry, PopulationTable};
use snncc_image::spinnaker::{
    ApplicationCore, ChipImage, CoreProgram, DelayExtension, NeuronCore, NeuronRegion, ProgramKind, RouteEntry,
    SpikeInput, SpinnakerImage, SynapseTypeRegion, dump,
};
use snncc_image::{Family, Image, Location, OutputPort, PopulationSymbol, Readout};

fn region(neurons: usize) -> NeuronRegion {
    let column = |value: i32| (0..neurons as i32).map(|at| value - at).collect::<Vec<i32>>();
    NeuronRegion {
        v: column(-65),
        v_rest: column(-64),
        resistance: column(20),
        membrane_keep: column(30_000),
        i_offset: column(3),
        refractory_left: column(1),
        v_reset: column(-70),
        refractory_steps: column(2),
        v_threshold: column(-50),
    }
}

/// An injector of two sources, three neurons with exponential currents on the same chip, two that sum and a delay extension of the
/// three on another.
fn tiny() -> SpinnakerImage {
    let format = SynapseFormat::new(3, 2, 4);
    let word = |weight, delay, synapse_type, target| format.word(Synapse { weight, delay, synapse_type, target });
    let mut memory = Vec::new();
    let from_input = push_block(&mut memory, &[vec![word(100, 1, 0, 0), word(0xffff, 4, 1, 2)], Vec::new()]);
    let recurrent = push_block(&mut memory, &[vec![word(7, 2, 1, 1)], Vec::new(), Vec::new()]);
    let nowhere = AddressItem { row_words: 1, first_word: None };
    let table = PopulationTable {
        entries: vec![PopulationEntry::of_core(0x100, 2, 4, 0, 2), PopulationEntry::of_core(0x200, 3, 4, 2, 1)],
        addresses: vec![from_input, nowhere, recurrent],
    };
    let parameters = |neurons, format, left_shifts| SynapseParameters {
        neurons,
        format,
        drops_late: false,
        spike_buffer: 256,
        left_shifts,
    };
    let kind = |value| SynapseTypeRegion { decay: vec![9, 8, 7], init: vec![u32::MAX, 6, 5], value: vec![value, 0, 1] };
    let first = NeuronCore {
        kind: ProgramKind { is_delta: false, subtracts: false },
        start_step: 1,
        neurons: region(3),
        synapse_types: vec![kind(-4), kind(2)],
        synapse_parameters: parameters(3, format, vec![5, 0]).encode(),
        population_table: table.encode(),
        synaptic_words: memory,
        // Only source 0 of each has a row.
        bit_fields: vec![1, 1],
        ring_initial: vec![(format.ring_slot(1, 0, 2), 77), (format.ring_slot(2, 1, 0), 1)],
    };
    let format = SynapseFormat::new(2, 2, 1);
    let mut memory = Vec::new();
    let word = format.word(Synapse { weight: 3, delay: 1, synapse_type: 0, target: 1 });
    let block = push_block(&mut memory, &[[word], [word], [word]]);
    let later = push_block(&mut memory, &[[word], [word], [word], [word]]);
    let entries = vec![PopulationEntry::of_core(0x200, 3, 4, 0, 1), PopulationEntry::of_core(0x300, 4, 4, 1, 1)];
    let table = PopulationTable { entries, addresses: vec![block, later] };
    let second = NeuronCore {
        kind: ProgramKind { is_delta: true, subtracts: true },
        start_step: 3,
        neurons: region(2),
        synapse_types: Vec::new(),
        synapse_parameters: parameters(2, format, vec![0, 15]).encode(),
        population_table: table.encode(),
        synaptic_words: memory,
        bit_fields: Vec::new(),
        ring_initial: Vec::new(),
    };
    let delay = DelayExtension {
        key: 0x200,
        mask: 0xffff_ffc0,
        colour_bits: 4,
        first: 1,
        neurons: 2,
        stages: 2,
        stage_steps: 1,
        sent: vec![0b1101],
    };
    let chip = |chip, routes, cores| ChipImage { chip, routes, cores };
    let entry = |key, route| RouteEntry { key, mask: 0xffff_ff00, route };
    let core = |core, key, program| ApplicationCore { core, key, program };
    SpinnakerImage {
        model_name: "m".into(),
        model_hash: std::array::from_fn(|at| at as u8),
        target_name: "t".into(),
        cores_per_chip: 4,
        chips: vec![
            chip(
                0,
                vec![entry(0x100, 1 << 9), entry(0x200, 1 << 9 | 1)],
                vec![core(2, Some(0x100), CoreProgram::Injector(2)), core(3, Some(0x200), CoreProgram::Neurons(first))],
            ),
            chip(
                1,
                vec![entry(0x200, 1 << 6 | 1 << 8), entry(0x300, 1 << 6)],
                vec![
                    core(0, None, CoreProgram::Neurons(second)),
                    core(2, Some(0x300), CoreProgram::DelayExtension(delay)),
                ],
            ),
        ],
        inputs: vec![SpikeInput { name: "in".into(), shape: vec![1, 2], injectors: vec![(2, 2)] }],
        outputs: vec![OutputPort { name: "out".into(), population: 1, readout: Readout::Membrane }],
        populations: vec![
            PopulationSymbol {
                name: "a".into(),
                shape: vec![3],
                latency_steps: 1,
                locations: (0..3).map(|compartment| Location { core: 3, compartment }).collect(),
                units_per_volt: vec![32768.0],
            },
            PopulationSymbol {
                name: "b".into(),
                shape: vec![2],
                latency_steps: 2,
                locations: vec![Location { core: 4, compartment: 1 }, Location { core: 4, compartment: 0 }],
                units_per_volt: vec![1.0, 2.0],
            },
        ],
        notes: vec![("seed".into(), "1".into())],
    }
}

#[test]
fn bytes_are_those_of_the_golden_dump() {
    golden("spinnaker.hex", &hex_dump(&tiny().to_bytes()));
}

#[test]
fn text_is_that_of_the_golden_file() {
    golden("spinnaker.txt", &dump(&tiny()));
}

#[test]
fn reading_gives_back_what_was_written() {
    assert_eq!(SpinnakerImage::from_bytes(&tiny().to_bytes()).unwrap(), tiny());
}

#[test]
fn keys_find_rows_through_bit_fields_and_delays() {
    let image = tiny();
    let CoreProgram::Neurons(core) = &image.core(3).unwrap().program else { panic!("core 3 has neurons") };
    let memories = core.memories().unwrap();
    let rows = |key| memories.look_up(key).unwrap().map(|rows| rows.len());
    assert_eq!([0x100, 0x110, 0x200, 0x210, 0x400].map(rows), [Some(1), Some(0), Some(1), Some(0), None]);
    let CoreProgram::DelayExtension(delay) = &image.core(6).unwrap().program else { panic!("core 6 delays") };
    let found = [0x200, 0x21f, 0x220, 0x230, 0x240].map(|key| delay.neuron(key));
    assert_eq!(found, [Some(None), Some(Some(0)), Some(Some(1)), Some(None), None]);
    assert_eq!([0, 1, 2, 3, 4].map(|source| delay.sends(source)), [true, false, true, true, false]);
    assert_eq!((delay.sources(), delay.words()), (4, 8));
}

#[test]
fn families_are_told_apart() {
    let bytes = tiny().to_bytes();
    assert_eq!(Family::of(&bytes).unwrap(), Family::Spinnaker);
    assert_eq!(Image::from_bytes(&bytes).unwrap_err().0[0].code.number(), "SNN0701");
    let loihi = Image {
        model_name: String::new(),
        model_hash: [0; 32],
        target_name: String::new(),
        cores: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        populations: Vec::new(),
        notes: Vec::new(),
    };
    assert_eq!(Family::of(&loihi.to_bytes()).unwrap(), Family::Loihi);
    assert_eq!(SpinnakerImage::from_bytes(&loihi.to_bytes()).unwrap_err().0[0].code.number(), "SNN0701");
    assert_eq!(Family::of(b"SNN").unwrap_err().0[0].code.number(), "SNN0109");
}

#[test]
fn every_truncation_and_every_flipped_bit_is_noticed() {
    let bytes = tiny().to_bytes();
    for len in 0..bytes.len() {
        assert!(SpinnakerImage::from_bytes(&bytes[..len]).is_err(), "cut to {len} bytes");
    }
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let problems = SpinnakerImage::from_bytes(&damaged).unwrap_err();
        assert!(["SNN0108", "SNN0109"].contains(&problems.0[0].code.number()), "bit {bit}: {problems}");
    }
}

/// Damage behind right checksums: an answer of either kind, never a panic, and what is accepted can be shown, looked up and
/// written.
#[test]
fn sealed_damage_never_panics() {
    let bytes = tiny().to_bytes();
    let (mut accepted, mut refused) = (0, 0);
    let mut try_damage = |damaged: &mut Vec<u8>, what: String| {
        seal(damaged);
        match SpinnakerImage::from_bytes(damaged) {
            Err(_) => refused += 1,
            Ok(image) => {
                accepted += 1;
                dump(&image);
                for core in image.chips.iter().flat_map(|chip| &chip.cores) {
                    if let CoreProgram::Neurons(core) = &core.program {
                        let memories = core.memories().unwrap();
                        for entry in &memories.table.entries {
                            let _ = memories.look_up(entry.key);
                            let _ = memories.look_up(entry.key | !entry.mask);
                        }
                    }
                }
                let again = SpinnakerImage::from_bytes(&image.to_bytes());
                assert!(again.is_ok(), "{what}: {}", again.unwrap_err());
            }
        }
    };
    for at in FIRST_SECTION..bytes.len() {
        for value in [0x00, 0x01, 0x07, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            try_damage(&mut damaged, format!("byte {at} = {value:#x}"));
        }
        for value in [u32::MAX, 1 << 31, 1 << 24] {
            let mut damaged = bytes.clone();
            let end = (at + 4).min(bytes.len());
            damaged[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
            try_damage(&mut damaged, format!("bytes at {at} = {value:#x}"));
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
}

#[test]
fn unsound_images_are_refused_by_name() {
    let refuse = |what: &str, damage: &dyn Fn(&mut SpinnakerImage)| {
        let mut image = tiny();
        damage(&mut image);
        let found = image.check().unwrap_err();
        assert!(found.contains(what), "`{found}` does not say `{what}`");
        assert!(SpinnakerImage::from_bytes(&image.to_bytes()).is_err());
    };
    fn neurons(image: &mut SpinnakerImage) -> &mut NeuronCore {
        match &mut image.chips[0].cores[1].program {
            CoreProgram::Neurons(core) => core,
            CoreProgram::Injector(_) | CoreProgram::DelayExtension(_) => unreachable!("core 3 has neurons"),
        }
    }
    fn delay(image: &mut SpinnakerImage) -> &mut DelayExtension {
        match &mut image.chips[1].cores[1].program {
            CoreProgram::DelayExtension(delay) => delay,
            CoreProgram::Injector(_) | CoreProgram::Neurons(_) => unreachable!("core 2 delays"),
        }
    }
    assert_eq!(tiny().check(), Ok(()));
    refuse("3 words of bit fields; the population table has 2", &|image| neurons(image).bit_fields.push(1));
    refuse("0 stages", &|image| delay(image).stages = 0);
    refuse("65535 stages of 1 steps for 2 neurons", &|image| delay(image).stages = (1 << 16) - 1);
    refuse("stages of 4294967295 steps", &|image| delay(image).stage_steps = u32::MAX);
    refuse("with mask 0xffffffa0", &|image| delay(image).mask = 0xffff_ffa0);
    refuse("from 3 on; there are 4 keys", &|image| delay(image).first = 3);
    refuse("2 words of bits for 4 keys", &|image| delay(image).sent.push(0));
    // The first row has two words; word 3 is a synapse of neuron 0.
    refuse("leads to neuron 3", &|image| neurons(image).synaptic_words[3] |= 3);
    refuse("plastic", &|image| neurons(image).synaptic_words[0] = 1);
    refuse("3 synapse words, and room for 2", &|image| neurons(image).synaptic_words[1] = 3);
    refuse("no row of 1 words fits", &|image| neurons(image).synaptic_words.truncate(12));
    refuse("not in order, or overlap", &|image| neurons(image).population_table[7] = 0x100);
    refuse("ring-buffer slots", &|image| neurons(image).ring_initial[0].0 = 3);
    refuse("no injector of 2 sources", &|image| image.chips[0].cores[0].program = CoreProgram::Injector(3));
    refuse("0 sources", &|image| image.chips[0].cores[0].program = CoreProgram::Injector(0));
    refuse("not in ascending order", &|image| image.chips[1].chip = 0);
    refuse("below 4", &|image| image.chips[1].cores[0].core = 4);
    refuse("matches or leads nowhere", &|image| image.chips[1].routes[0].route = 1 << 10);
    refuse("does not exist", &|image| image.populations[0].locations[0].core = 2);
    refuse("shape", &|image| image.inputs[0].shape = vec![3]);
}
