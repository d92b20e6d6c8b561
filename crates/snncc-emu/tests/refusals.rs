//! What `Program::load` and `Program::prepare` refuse, and that damaged images neither panic nor run away.

mod common;

use common::{Builder, NEURON, Neuron, Source, Synapse, synapse};
use snncc_chip::{Limit, Target};
use snncc_data::{HostBias, PortStimulus, Purpose, RandomStream, SpikeTrain, Stimulus};
use snncc_emu::{Emulator, Program, RunOptions, Selection};
use snncc_image::{
    AxonTarget, CompartmentConfig, Image, InAxon, Location, Readout, ResetModel, SynapseFormat, SynapseList,
    ThresholdConfig,
};

/// Two cores, two ports, delays, a shared list.
fn sound() -> Builder {
    let mut builder = Builder::new("loihi-emu");
    for core in [0, 9] {
        for _ in 0..5 {
            builder.neuron(core, Neuron { decay_u: 400, decay_v: 100, refractory: 2, threshold: 20, ..NEURON });
        }
    }
    let (a, b) = (builder.port("a", 3), builder.port("b", 2));
    for element in 0..3 {
        builder.connect(Source::Port(a, element), 0, synapse(element, 40));
        builder.connect(Source::Port(a, element), 9, Synapse { delay: 5, ..synapse(element + 1, 60) });
    }
    for element in 0..2 {
        builder.share(Source::Port(b, element), 0, 7, element, &[synapse(0, 30), synapse(2, -20)]);
    }
    for neuron in 0..4 {
        builder.connect(Source::Core(0, neuron), 9, synapse(4 - neuron, 50));
        builder.connect(Source::Core(9, neuron), 0, Synapse { delay: 2, ..synapse(neuron, -30) });
    }
    builder.population("x", &[(0, 0), (0, 1), (0, 2), (9, 0)], Readout::Spikes);
    builder.population("y", &[(9, 4)], Readout::Membrane);
    builder
}

fn refusal(image: &Image, target: &Target) -> (String, String, String) {
    let refusal = Program::load(image, target).expect_err("must be refused");
    let first = &refusal.0[0];
    (first.code.number().into(), first.item.clone().unwrap_or_default(), first.message.clone())
}

#[test]
fn an_image_of_another_model_is_refused() {
    let builder = sound();
    let mut image = builder.build();
    assert!(Program::load(&image, &builder.target).is_ok());
    image.model_hash[0] ^= 1;
    let (code, _, message) = refusal(&image, &builder.target);
    assert_eq!(code, "SNN0701");
    assert!(message.contains("another version of hardware model `loihi1`"), "{message}");
    let (code, _, message) = refusal(&builder.build(), &snncc_chip::target("lava-emu").unwrap());
    assert_eq!(code, "SNN0701");
    assert!(message.contains("`loihi1`") && message.contains("`lava-emu`"), "{message}");
}

#[test]
fn every_field_and_structure_is_checked() {
    let config = CompartmentConfig { decay_u: 0, decay_v: 0, refractory: 1, reset: ResetModel::Lif };
    type Damage = Box<dyn Fn(&mut Image)>;
    let cases: Vec<(Damage, &str, &str)> = vec![
        (Box::new(|i| i.cores.swap(0, 1)), "cores", "ascending"),
        (Box::new(|i| i.cores[1].core = 128), "cores/128", "no core 128"),
        (Box::new(|i| i.cores[0].settings.v_min_exponent = Some(32)), "cores/0/v_min_exponent", "31"),
        (Box::new(|i| i.cores[0].settings.v_max_exponent = None), "cores/0/v_max_exponent", "always clips"),
        (Box::new(|i| i.cores[0].settings.delay_bits = 7), "cores/0/delay_bits", "the chip has 6"),
        (Box::new(|i| i.cores[0].settings.delay_bits = 1), "cores/0/delay_bits", "allow 0"),
        (Box::new(|i| i.cores[0].noise_samples = vec![vec![1; 5]]), "cores/0/noise_samples", "not switched on"),
        (
            Box::new(move |i| i.cores[0].compartment_configs[0] = CompartmentConfig { decay_u: 4096, ..config }),
            "cores/0/compartment_configs",
            "4095",
        ),
        (
            Box::new(move |i| i.cores[0].compartment_configs[0] = CompartmentConfig { refractory: 0, ..config }),
            "cores/0/compartment_configs",
            "1 to 63",
        ),
        (
            Box::new(|i| {
                i.cores[0].threshold_configs[0] = ThresholdConfig { mantissa: 131_072, lower_mantissa: 0 };
            }),
            "cores/0/threshold_configs",
            "131071",
        ),
        (Box::new(|i| i.cores[0].synapse_formats[0].weight_bits = 7), "cores/0/synapse_formats/0", "7 bits"),
        (Box::new(|i| i.cores[0].synapse_formats[0].mantissa_shift = 0), "cores/0/synapse_formats/0", "2^1"),
        (Box::new(|i| i.cores[0].synapse_formats[0].exponent = 8), "cores/0/synapse_formats/0", "−8 to 7"),
        (Box::new(|i| i.cores[0].synapse_formats[0].index_bits = Some(5)), "cores/0/synapse_formats/0", "5 bits"),
        (Box::new(|i| i.cores[0].compartments.config[3] = 1), "cores/0/compartments", "compartment 3 has config 1"),
        (Box::new(|i| i.cores[0].compartments.threshold[4] = 9), "cores/0/compartments", "threshold 9"),
        (Box::new(|i| i.cores[0].compartments.u_initial.truncate(2)), "cores/0/compartments", "differ in length"),
        (Box::new(|i| i.cores[0].compartments.bias_mantissa[1] = 4096), "cores/0/bias", "4096 · 2^0"),
        (Box::new(|i| i.cores[0].compartments.bias_exponent[1] = -1), "cores/0/bias", "0 · 2^-1"),
        (Box::new(|i| i.cores[0].compartments.v_initial[1] = 1 << 23), "cores/0/initial_state", "8388608"),
        (Box::new(|i| i.cores[0].lists[1].first_word += 1), "cores/0/lists", "without gaps"),
        (Box::new(|i| i.cores[0].synapse_words.push(0)), "cores/0/lists", "without gaps"),
        (Box::new(|i| i.cores[0].synapse_words[0] |= 15), "cores/0/lists/0", "format 15"),
        (Box::new(|i| i.cores[0].in_axons[0].list = 99), "cores/0/in_axons", "list 99"),
        (Box::new(|i| i.cores[0].in_axons[0].base = 5), "cores/0/in_axons", "beyond the 5 compartments"),
        (Box::new(|i| i.cores[0].in_axons[0].base = u32::MAX), "cores/0/in_axons", "beyond the 5 compartments"),
        (Box::new(|i| i.cores[0].out_axons.starts[2] = 99), "cores/0/out_axons", "axon table"),
        (Box::new(|i| i.cores[0].out_axons.starts.clear()), "cores/0/out_axons", "axon table"),
        (Box::new(|i| i.cores[0].out_axons.targets[0].core = 1), "cores/0/out_axons", "core 1"),
        (Box::new(|i| i.cores[0].out_axons.targets[0].axon = 99), "cores/0/out_axons", "input axon 99"),
        (
            Box::new(|i| i.cores[0].out_axons.starts[1..].iter_mut().for_each(|start| *start = 4)),
            "cores/0/out_axons",
            "two axons to chip0.core9",
        ),
        (Box::new(|i| i.inputs[1].name = "a".into()), "inputs/1", "two input ports"),
        (Box::new(|i| i.inputs[0].shape = vec![u32::MAX; 9]), "inputs/0", "impossible shape"),
        (Box::new(|i| i.inputs[0].axons.targets[0].axon = 99), "inputs/0/axons", "input axon 99"),
        (Box::new(|i| i.outputs[0].population = 2), "outputs/0", "population 2"),
        (Box::new(|i| i.populations[0].shape = vec![5]), "populations/0", "[5] but 4 neurons"),
        (Box::new(|i| i.populations[0].latency_steps = 1 << 20), "populations/0", "a latency of 1048576 steps"),
        (Box::new(|i| i.populations[0].units_per_volt = vec![f64::NAN]), "populations/0", "scale"),
        (Box::new(|i| i.populations[0].locations[1].compartment = 5), "populations/0", "does not exist"),
        (Box::new(|i| i.populations[0].locations[1].compartment = 0), "populations/0", "another neuron"),
    ];
    let builder = sound();
    for (damage, item, part) in cases {
        let mut image = builder.build();
        damage(&mut image);
        let (code, at, message) = refusal(&image, &builder.target);
        assert_eq!((code.as_str(), at.as_str()), ("SNN0109", item), "{message}");
        assert!(message.replace('-', "−").contains(&part.replace('-', "−")), "{message} lacks {part}");
    }
    let mut dead = builder.target.clone();
    dead.file.dead_cores = vec![9];
    assert_eq!(refusal(&builder.build(), &dead).1, "cores/9/core");
}

/// Each capacity of docs/CHIP_SEMANTICS.md, just kept and then lowered by one.
#[test]
fn every_capacity_is_counted_anew() {
    // What core 9 (core 0 for out-axons and shared words) uses.
    type Field = fn(&mut Target) -> &mut Limit;
    fn limits(target: &mut Target) -> &mut snncc_chip::LoihiLimits {
        let snncc_chip::CoreKind::Loihi(core) = &mut target.model.core else { panic!("no Loihi-like cores") };
        &mut core.limits
    }
    let cases: [(&str, u64, Field); 8] = [
        ("compartments", 5, |t| &mut limits(t).compartments.0),
        // Core 0: 3 elements of a, 2 of b, 4 compartments of core 9.
        ("in_axons", 9, |t| &mut limits(t).in_axons.0),
        ("out_axons", 4, |t| &mut limits(t).out_axons.0),
        // Core 0: one word for each of 3 + 4 axons of one synapse, and one for the shared list.
        ("synapse_words", 8, |t| &mut limits(t).synapse_words.0),
        ("compartment_configs", 1, |t| &mut limits(t).compartment_configs.0),
        ("threshold_configs", 1, |t| &mut limits(t).threshold_configs.0),
        ("synapse_formats", 1, |t| &mut limits(t).synapse_formats.0),
        // Core 9: delay 5 needs 3 bits (2^3 − 2 ≥ 5).
        ("accumulator_slots", 5 * 8, |t| &mut limits(t).accumulator_slots.0),
    ];
    for (resource, used, field) in cases {
        let mut builder = sound();
        *field(&mut builder.target) = Limit::AtMost(used);
        builder.image.model_hash = builder.target.model.hash();
        assert!(Program::load(&builder.build(), &builder.target).is_ok(), "{resource}: {used} fit");
        *field(&mut builder.target) = Limit::AtMost(used - 1);
        builder.image.model_hash = builder.target.model.hash();
        let (code, item, message) = refusal(&builder.build(), &builder.target);
        assert_eq!(code, "SNN0109");
        assert!(item.ends_with(resource), "{item}");
        assert!(message.contains(&format!("{used} ")) && message.contains(&format!("{} there", used - 1)), "{message}");
    }
}

#[test]
fn all_problems_are_told() {
    let builder = sound();
    let mut image = builder.build();
    image.cores[0].compartments.bias_mantissa = vec![9999; 5];
    image.cores[1].settings.v_min_exponent = None;
    image.outputs[1].population = 7;
    let refusal = Program::load(&image, &builder.target).unwrap_err();
    assert_eq!(refusal.0.len(), 3, "{refusal}");
    assert!(refusal.0[0].message.contains("(and 4 more)"), "{refusal}");
}

#[test]
fn stimuli_must_match_the_network() {
    let builder = sound();
    let program = Program::load(&builder.build(), &builder.target).unwrap();
    let train = |neurons| SpikeTrain::silent(neurons, 3);
    let port = |port: &str, spikes| PortStimulus { port: port.into(), spikes };
    let unsorted = SpikeTrain { neurons: 3, step_starts: vec![0, 2], indices: vec![2, 1], payloads: None };
    let broken = SpikeTrain { neurons: 3, step_starts: vec![0, 9], indices: vec![2, 1], payloads: None };
    for (ports, part) in [
        (vec![port("aa", train(3))], "no input `aa`"),
        (vec![port("a", train(4))], "4 neurons"),
        (vec![port("a", train(3)), port("a", train(3))], "two stimuli"),
        (vec![port("a", unsorted)], "not ascending"),
        (vec![port("a", broken)], "not in order"),
    ] {
        let refusal = program.prepare(&Stimulus { ports, host_biases: Vec::new() }).unwrap_err();
        assert_eq!(refusal.0[0].code.number(), "SNN0210");
        assert!(refusal.0[0].message.contains(part), "{refusal}");
    }
    for (population, current) in [("z", vec![0.0; 4]), ("x", vec![0.0; 3])] {
        let host_biases = vec![HostBias { population: population.into(), current }];
        let refusal = program.prepare(&Stimulus { ports: Vec::new(), host_biases }).unwrap_err();
        assert_eq!(refusal.0[0].code.number(), "SNN0210");
    }
}

/// Changes one thing in an image, mostly to something that does not fit.
fn damage(image: &mut Image, random: &mut RandomStream) {
    let values = [0, 1, 2, 7, 63, 200, 1 << 16, i32::MAX as u32, u32::MAX];
    let value = values[random.below(values.len() as u64) as usize];
    let pick = |len: usize, random: &mut RandomStream| random.below(len.max(1) as u64) as usize;
    let core_at = pick(image.cores.len(), random);
    let core = &mut image.cores[core_at];
    let neurons = core.compartments.len();
    let at = pick(neurons, random);
    match random.below(24) {
        0 => core.core = value,
        1 => core.settings.v_min_exponent = Some(value as u8),
        2 => core.settings.v_max_exponent = Some(value as u8),
        3 => core.settings.delay_bits = value as u8,
        4 => core.compartment_configs[0].reset = ResetModel::Periodic { interval: value, offset: u32::MAX },
        5 => core.compartment_configs[0].reset = ResetModel::Ternary,
        6 => core.threshold_configs[0].mantissa = value as i32,
        7 => core.synapse_formats[0] = SynapseFormat { weight_bits: value as u8, ..core.synapse_formats[0] },
        8 => core.synapse_formats[0].mantissa_shift = value as u8,
        9 => core.synapse_formats[0].exponent = value as i8,
        10 => core.synapse_formats[0].delay_bits = value as u8,
        11 => core.synapse_formats[0].index_bits = (value > 1).then_some(value as u8),
        12 => core.compartments.start_step[at] = value,
        13 => core.compartments.config[at] = value,
        14 => core.compartments.v_initial[at] = i64::from(value) << random.below(32),
        15 => {
            let at = pick(core.in_axons.len(), random);
            core.in_axons[at] = InAxon { list: value % 9, base: value };
        }
        16 => {
            let at = pick(core.synapse_words.len(), random);
            core.synapse_words[at] ^= random.next_u64() & random.next_u64() & random.next_u64();
        }
        17 => {
            let at = pick(core.lists.len(), random);
            core.lists[at] = SynapseList { first_word: value, words: value };
        }
        18 => {
            let at = pick(core.out_axons.starts.len(), random);
            core.out_axons.starts[at] = value;
        }
        19 => core.out_axons.targets.push(AxonTarget { core: value, axon: value }),
        20 => core.noise_samples.push(vec![value as i32; neurons]),
        21 => image.inputs[0].axons.targets[0] = AxonTarget { core: value % 12, axon: value },
        22 => image.populations[0].locations[0] = Location { core: value % 12, compartment: value },
        _ => image.inputs[0].shape = vec![value, value],
    }
}

#[test]
fn damaged_images_are_refused_or_run() {
    let mut random = RandomStream::new(7, Purpose::Generation, 0, "damage");
    let builder = sound();
    let stimulus = Stimulus {
        ports: vec![PortStimulus { port: "b".into(), spikes: SpikeTrain::from_dense(2, &[1, 1, 0, 1, 1, 0]).unwrap() }],
        host_biases: Vec::new(),
    };
    let (mut refused, mut ran) = (0, 0);
    for _ in 0..4000 {
        let mut image = builder.build();
        for _ in 0..=random.below(2) {
            damage(&mut image, &mut random);
        }
        match Program::load(&image, &builder.target) {
            Ok(program) => {
                let options = RunOptions { spikes: Selection::All, states: Selection::All, ..RunOptions::default() };
                let prepared = program.prepare(&stimulus).unwrap();
                Emulator::new(&program).run(&prepared, 12, &options);
                ran += 1;
            }
            Err(refusal) => {
                assert!(refusal.0.iter().all(|problem| problem.code.number() == "SNN0109"), "{refusal}");
                refused += 1;
            }
        }
    }
    assert!(refused > 1000 && ran > 100, "{refused} refused, {ran} ran");
}
