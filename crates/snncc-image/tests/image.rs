//! The bytes of the image: pinned by a dump, and safe to read whatever they are.

mod common;

use common::{FIRST_SECTION, golden, hex_dump, seal};
use snncc_image::{
    AxonTable, AxonTarget, BlockLayout, CompartmentConfig, Compartments, CoreImage, CoreSettings, Entry, Image, InAxon,
    InputPort, Location, NoiseSetting, NoiseTarget, OutputPort, PopulationSymbol, Readout, ResetModel, SignMode,
    SynapseFormat, SynapseList, ThresholdConfig, dump, encode_block,
};

const LAYOUT: BlockLayout = BlockLayout { format_bits: 4, count_bits: 6 };

/// Two cores: two compartments with noise, one with a delayed and a dense synapse; every kind of field has some value.
fn tiny() -> Image {
    let dense = SynapseFormat {
        weight_bits: 8,
        mantissa_shift: 1,
        sign_mode: SignMode::Mixed,
        exponent: -2,
        delay_bits: 0,
        index_bits: None,
        accumulator_group: 0,
        shared: false,
    };
    let sparse = SynapseFormat {
        mantissa_shift: 0,
        sign_mode: SignMode::Inhibitory,
        exponent: 1,
        delay_bits: 3,
        index_bits: Some(6),
        accumulator_group: 1,
        shared: true,
        ..dense
    };
    let mut words = Vec::new();
    let entry = |format, index, delay, mantissa| Entry { format, index, delay, mantissa };
    encode_block(&mut words, LAYOUT, 0, &dense, &[entry(0, 0, 0, 254), entry(0, 1, 0, -2)]);
    encode_block(&mut words, LAYOUT, 1, &sparse, &[entry(1, 0, 5, -255), entry(1, 1, 0, -1)]);
    encode_block(&mut words, LAYOUT, 0, &dense, &[entry(0, 0, 0, 2)]);
    let first = CoreImage {
        core: 3,
        settings: CoreSettings {
            v_min_exponent: Some(23),
            v_max_exponent: Some(7),
            delay_bits: 3,
            noise: Some(NoiseSetting { exponent: 4, mantissa_offset: -1, target: NoiseTarget::Membrane }),
        },
        compartment_configs: vec![
            CompartmentConfig { decay_u: 4095, decay_v: 128, refractory: 1, reset: ResetModel::Lif },
            CompartmentConfig {
                decay_u: 0,
                decay_v: 1,
                refractory: 2,
                reset: ResetModel::Periodic { interval: 16, offset: 3 },
            },
        ],
        threshold_configs: vec![ThresholdConfig { mantissa: 100, lower_mantissa: 0 }],
        synapse_formats: vec![dense, sparse],
        compartments: Compartments {
            config: vec![0, 1],
            threshold: vec![0, 0],
            bias_mantissa: vec![0, -5],
            bias_exponent: vec![0, -2],
            start_step: vec![1, 2],
            u_initial: vec![0, -7],
            v_initial: vec![0, 64],
        },
        in_axons: vec![InAxon { list: 0, base: 0 }, InAxon { list: 1, base: 1 }],
        lists: vec![SynapseList { first_word: 0, words: 2 }, SynapseList { first_word: 2, words: 1 }],
        synapse_words: words,
        out_axons: AxonTable { starts: vec![0, 1, 1], targets: vec![AxonTarget { core: 4, axon: 0 }] },
        noise_samples: vec![vec![1, -1]],
    };
    let mut second_words = Vec::new();
    encode_block(&mut second_words, LAYOUT, 0, &dense, &[entry(0, 0, 0, 64)]);
    let second = CoreImage {
        core: 4,
        compartment_configs: vec![CompartmentConfig {
            decay_u: 1,
            decay_v: 2,
            refractory: 3,
            reset: ResetModel::Ternary,
        }],
        threshold_configs: vec![ThresholdConfig { mantissa: 9, lower_mantissa: -9 }],
        synapse_formats: vec![dense],
        compartments: Compartments {
            config: vec![0],
            threshold: vec![0],
            bias_mantissa: vec![1],
            bias_exponent: vec![7],
            start_step: vec![1],
            u_initial: vec![0],
            v_initial: vec![0],
        },
        in_axons: vec![InAxon { list: 0, base: 0 }],
        lists: vec![SynapseList { first_word: 0, words: 1 }],
        synapse_words: second_words,
        out_axons: AxonTable { starts: vec![0, 0], targets: vec![] },
        ..CoreImage::default()
    };
    Image {
        model_name: "m".into(),
        model_hash: std::array::from_fn(|at| at as u8),
        target_name: "t".into(),
        cores: vec![first, second],
        inputs: vec![InputPort {
            name: "in".into(),
            shape: vec![1, 2],
            axons: AxonTable {
                starts: vec![0, 1, 2],
                targets: vec![AxonTarget { core: 3, axon: 0 }, AxonTarget { core: 3, axon: 1 }],
            },
        }],
        outputs: vec![OutputPort { name: "out".into(), population: 1, readout: Readout::Membrane }],
        populations: vec![
            PopulationSymbol {
                name: "a".into(),
                shape: vec![2],
                latency_steps: 1,
                locations: vec![Location { core: 3, compartment: 1 }, Location { core: 3, compartment: 0 }],
                units_per_volt: vec![6400.0],
            },
            PopulationSymbol {
                name: "b".into(),
                shape: vec![1],
                latency_steps: 2,
                locations: vec![Location { core: 4, compartment: 0 }],
                units_per_volt: vec![0.5],
            },
        ],
        notes: vec![("seed".into(), "1".into())],
    }
}

#[test]
fn bytes_are_those_of_the_golden_dump() {
    golden("tiny.hex", &hex_dump(&tiny().to_bytes()));
}

#[test]
fn text_is_that_of_the_golden_file() {
    golden("tiny.txt", &dump(&tiny(), LAYOUT));
}

#[test]
fn long_tables_are_cut_with_a_count() {
    let mut image = tiny();
    image.notes = (0..40).map(|at| (format!("key {at}"), String::new())).collect();
    let text = dump(&image, LAYOUT);
    assert!(text.contains("key 15") && !text.contains("key 16") && text.contains("… 24 more"), "{text}");
}

/// Where docs/IMAGE_FORMAT.md says that fields lie.
#[test]
fn fields_lie_where_the_document_says() {
    let bytes = tiny().to_bytes();
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(&bytes[..12], b"SNNB\x01\0\0\0\x05\0\0\0");
    let body = |section: usize| {
        let entry = 12 + 24 * section;
        let (start, len) = (u64_at(entry + 4) as usize, u64_at(entry + 12) as usize);
        assert_eq!(u32_at(entry + 20), crc32fast::hash(&bytes[start..start + len]));
        start
    };
    assert_eq!(body(0), 12 + 24 * 5 + 4);
    assert_eq!(u32_at(12 + 24 * 5), crc32fast::hash(&bytes[..12 + 24 * 5]));
    let cores = body(1);
    assert_eq!((u32_at(cores), u32_at(cores + 4)), (2, 3));
    // v_min + 1, v_max + 1, delay bits, noise to the membrane, its exponent and offset.
    assert_eq!(bytes[cores + 8..cores + 17], [24, 8, 3, 2, 4, 0xff, 0xff, 0xff, 0xff]);
    // One block of the dense format: format 0, one entry less is 1, weights 127 and −1 from bit 10 on.
    let word = (1_u64 << 4 | 127 << 10 | 0xff << 18).to_le_bytes();
    assert!(bytes.windows(8).any(|window| window == word));
    // Inhibitory, 3 delay bits, 6 index bits: (255, delay 5, index 0), (1, 0, 1).
    let word = (1_u64 | 1 << 4 | 255 << 10 | 5 << 18 | 1 << 27 | 1 << 38).to_le_bytes();
    assert!(bytes.windows(8).any(|window| window == word));
}

#[test]
fn reading_gives_back_what_was_written() {
    assert_eq!(Image::from_bytes(&tiny().to_bytes()).unwrap(), tiny());
}

#[test]
fn every_truncation_and_every_flipped_bit_is_noticed() {
    let bytes = tiny().to_bytes();
    for len in 0..bytes.len() {
        assert!(Image::from_bytes(&bytes[..len]).is_err(), "cut to {len} bytes");
    }
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let problems = Image::from_bytes(&damaged).unwrap_err();
        assert!(["SNN0108", "SNN0109"].contains(&problems.0[0].code.number()), "bit {bit}: {problems}");
    }
}

/// Damage behind right checksums: an answer of either kind, never a panic, and what is accepted can be shown and written.
#[test]
fn sealed_damage_never_panics() {
    let bytes = tiny().to_bytes();
    let (mut accepted, mut refused) = (0, 0);
    for at in FIRST_SECTION..bytes.len() {
        for value in [0x00, 0x01, 0x07, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            seal(&mut damaged);
            match Image::from_bytes(&damaged) {
                Err(_) => refused += 1,
                Ok(image) => {
                    accepted += 1;
                    dump(&image, LAYOUT);
                    let again = Image::from_bytes(&image.to_bytes());
                    assert!(again.is_ok(), "byte {at} = {value:#x}: {}", again.unwrap_err());
                }
            }
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
}

#[test]
fn huge_counts_are_refused_before_they_are_believed() {
    let bytes = tiny().to_bytes();
    for at in FIRST_SECTION..bytes.len() - 4 {
        let mut damaged = bytes.clone();
        damaged[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        seal(&mut damaged);
        if let Ok(image) = Image::from_bytes(&damaged) {
            dump(&image, LAYOUT);
        }
    }
}
