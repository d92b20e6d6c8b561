//! Pins, reservations, splits; networks that do not fit, and what is said about them.

use crate::checker::check_image;
use crate::map;
use crate::networks::generator::Rng;
use crate::networks::{Builder, plain_neurons};
use crate::samples::{mixed, mlp};
use snncc_chip::{CoreKind, Limit, Target, hardware_model, target};
use snncc_compile::Options;
use snncc_ids::{CoreId, Diagnostic, PopulationId};
use snncc_ir::network::{MappingRequest, Pin};
use snncc_ir::{Connectivity, Delays, IntWeights, ProjectionQuality, QuantizedIr, SignMode};

fn pin(population: &str, neurons: Option<(u32, u32)>, core: u32) -> Pin {
    Pin { population: population.into(), neurons, core }
}

fn with(mapping: MappingRequest) -> Options {
    Options { mapping, ..Options::default() }
}

fn pinned(pins: Vec<Pin>) -> Options {
    with(MappingRequest { pins, ..MappingRequest::default() })
}

/// The problems of a mapping that must fail.
fn problems(ir: &QuantizedIr, target: &Target, options: &Options) -> Vec<Diagnostic> {
    map(ir, target, options).map(|_| ()).unwrap_err().0
}

#[test]
fn pins_are_honoured() {
    let ir = mlp(&[20, 30, 10]);
    let target = target("loihi-emu").unwrap();
    let options = pinned(vec![pin("fc0", Some((5, 10)), 17), pin("fc1", None, 17), pin("fc0", Some((20, 1)), 99)]);
    let (routed, image) = map(&ir, &target, &options).unwrap();
    check_image(&image, &ir, &target);
    let core = |population: usize, neuron: usize| image.populations[population].locations[neuron].core;
    assert!((5..15).all(|neuron| core(0, neuron) == 17));
    assert!((0..10).all(|neuron| core(1, neuron) == 17));
    assert_eq!(core(0, 20), 99);
    assert!(routed.placed().partitioned().cores().iter().any(|core| core.pinned == Some(CoreId(99))));
}

#[test]
fn every_illegal_pin_is_named() {
    let ir = mlp(&[20, 30, 10]);
    let mut target = target("loihi-emu").unwrap();
    target.file.dead_cores = vec![3];
    let mut options = pinned(vec![
        pin("fc00", None, 1),
        pin("input", None, 1),
        pin("fc0", Some((25, 6)), 1),
        pin("fc0", None, 128),
        pin("fc0", Some((0, 2)), 3),
        pin("fc0", Some((4, 2)), 4),
        pin("fc1", Some((0, 5)), 5),
        pin("fc1", Some((4, 5)), 6),
    ]);
    options.mapping.reserved_cores = vec![4, 500];
    options.mapping.exclusive = vec!["nobody".into()];
    options.mapping.split = vec![("fc1".into(), 11)];
    let found = problems(&ir, &target, &options);
    assert!(found.iter().all(|problem| problem.code.number() == "SNN0403"));
    let text = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for part in [
        "core 500 is reserved",
        "`nobody` is exclusive",
        "11 cores but has 10",
        "`fc00` is pinned, but there is no population",
        "`input` is pinned, but it is an input",
        "6 neurons from 25 on are pinned, but `fc0` has 30",
        "core 128 is asked for",
        "chip0.core3, which is marked dead",
        "chip0.core4, which is reserved",
        "the ranges overlap",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert_eq!(found.len(), 10, "{text}");
    assert!(found.iter().any(|problem| problem.help == ["did you mean `fc0`?"]));
}

#[test]
fn pins_that_do_not_fit_say_what_is_short() {
    let ir = mlp(&[20, 2000]);
    let found = problems(&ir, &target("loihi-emu").unwrap(), &pinned(vec![pin("fc0", None, 7)]));
    assert_eq!(found[0].code.number(), "SNN0403");
    assert!(
        found[0].message.contains("core 7") && found[0].message.contains("2000 compartments of 1024"),
        "{}",
        found[0]
    );
}

#[test]
fn exclusive_split_and_reserved_are_honoured() {
    let ir = mlp(&[20, 30, 20, 10]);
    let target = target("loihi-emu").unwrap();
    let options = with(MappingRequest {
        reserved_cores: vec![0, 1],
        exclusive: vec!["fc1".into()],
        split: vec![("fc0".into(), 4)],
        ..MappingRequest::default()
    });
    let (_, image) = map(&ir, &target, &options).unwrap();
    check_image(&image, &ir, &target);
    let cores = |population: usize| {
        let mut cores: Vec<u32> = image.populations[population].locations.iter().map(|place| place.core).collect();
        cores.sort_unstable();
        cores.dedup();
        cores
    };
    assert_eq!(cores(0).len(), 4);
    assert!(cores(1).iter().all(|core| !cores(0).contains(core) && !cores(2).contains(core)));
    assert!(image.cores.iter().all(|core| core.core > 1));
}

#[test]
fn a_neuron_with_too_many_inputs_is_named() {
    let ir = mlp(&[5000, 3, 2]);
    let found = problems(&ir, &target("loihi-emu").unwrap(), &Options::default());
    assert_eq!(found.len(), 1);
    let problem = &found[0];
    assert_eq!((problem.code.number(), problem.item.as_deref()), ("SNN0401", Some("nodes/fc0")));
    assert!(
        problem.message.contains("`fc0[0]`") && problem.message.contains("5000 in-axons of 4096 (122 %)"),
        "{problem}"
    );
    assert!(problem.notes.iter().any(|note| note.starts_with("not exceeded: compartments 0 %")), "{:?}", problem.notes);
    assert!(problem.notes.iter().any(|note| note.contains("2 other neurons")), "{:?}", problem.notes);
}

/// 60 inputs of different 8-bit weights are 60 lists of a word; of 2 bits two lists.
#[test]
fn fewer_weight_bits_are_offered_where_they_help() {
    let mut builder = Builder::default();
    let input = builder.population("input", &[60], None);
    let layer = builder.population("layer", &[1], Some(plain_neurons()));
    builder.project(input, layer, Connectivity::Dense, Delays::Uniform(1), |len| IntWeights {
        mantissas: (0..len as i32).map(|at| 2 * (at + 1)).collect(),
        exponent: 0,
        weight_bits: 8,
        sign_mode: SignMode::Mixed,
    });
    let mut ir = builder.finish();
    let mut model = hardware_model("loihi1").unwrap();
    let CoreKind::Loihi(core) = &mut model.core else { panic!("no Loihi-like cores") };
    core.limits.synapse_words.0 = Limit::AtMost(20);
    let target = Target::new(target("loihi-emu").unwrap().file, model).unwrap();
    let given = problems(&ir, &target, &Options::default());
    assert!(given[0].message.contains("60 synapse words of 20 (300 %)"), "{}", given[0]);
    assert!(given[0].help.is_empty(), "the integers were given: {:?}", given[0].help);
    let quality = ProjectionQuality { weights: 60, sqnr_db: 40.0, max_error: 0.0, zeroed: 0, clipped: 0 };
    ir.projection_quality = vec![Some(quality)].into();
    let found = problems(&ir, &target, &Options::default());
    assert!(found[0].help[0].starts_with("`--weight-bits 6`"), "{:?}", found[0].help);
}

#[test]
fn a_full_chip_says_what_is_needed_and_where_it_fits() {
    let mut builder = Builder::default();
    let input = builder.population("input", &[140_000], None);
    let layer = builder.population("layer", &[140_000], Some(plain_neurons()));
    let weights = |len| mixed(&mut Rng(1), len);
    builder.project(input, layer, Connectivity::OneToOne { shared: true }, Delays::Uniform(1), weights);
    let ir = builder.finish();
    let found = problems(&ir, &target("loihi-emu").unwrap(), &Options::default());
    let problem = &found[0];
    assert_eq!(problem.code.number(), "SNN0402");
    assert!(problem.message.contains("needs 137 cores; `loihi-emu` has 128"), "{problem}");
    assert!(
        problem.notes[0].contains("`layer` takes 137 cores alone; compartments run out first"),
        "{:?}",
        problem.notes
    );
    assert_eq!(problem.help, ["`--target loihi-2chip`: 256 cores, of which the network takes 137"]);
    let (routed, image) =
        map(&ir, &target("loihi-2chip").unwrap(), &Options { effort: 0, ..Options::default() }).unwrap();
    assert_eq!((image.cores.len(), routed.placed().partitioned().cores().len()), (137, 137));
}

#[test]
fn a_delay_beyond_the_slots_is_named() {
    let mut builder = Builder::default();
    let input = builder.population("input", &[2], None);
    let layer = builder.population("layer", &[2], Some(plain_neurons()));
    let weights = |len| mixed(&mut Rng(1), len);
    // The register holds 62 beyond the step that every synapse takes.
    builder.project(input, layer, Connectivity::Dense, Delays::Uniform(63), weights);
    let target = target("loihi-emu").unwrap();
    map(&builder.finish(), &target, &Options::default()).unwrap();
    let mut builder = Builder::default();
    let input = builder.population("input", &[2], None);
    let layer = builder.population("layer", &[2], Some(plain_neurons()));
    builder.project(input, layer, Connectivity::Dense, Delays::Uniform(64), weights);
    let found = problems(&builder.finish(), &target, &Options::default());
    assert_eq!(found[0].code.number(), "SNN0404");
    assert!(found[0].message.contains("delays by 64 steps; a core of `loihi-emu` holds 63 at most"), "{}", found[0]);
}

/// Voltage clips are registers of the whole core.
#[test]
fn populations_with_other_core_wide_registers_get_other_cores() {
    let mut ir = mlp(&[4, 4, 4]);
    ir.neurons[PopulationId(2)].as_mut().unwrap().v_min_exponent = Some(0);
    let target = target("loihi-emu").unwrap();
    let (routed, image) = map(&ir, &target, &Options::default()).unwrap();
    check_image(&image, &ir, &target);
    assert_eq!((image.cores.len(), routed.placed().partitioned().cores_at_least()), (2, 2));
}
