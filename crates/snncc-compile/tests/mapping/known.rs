//! Networks of known size: cores, words, lists, hops.

use crate::checker::check_image;
use crate::networks::{Builder, plain_neurons};
use crate::samples::{cnn, mixed, mlp, random_recurrent, ring};
use crate::{map, networks::generator::Rng};
use snncc_chip::{CoreKind, Limit, Target, hardware_model, target};
use snncc_compile::backend::Resource;
use snncc_compile::{Ctx, NoObserver, Options};
use snncc_ir::{Calibration, PopulationStatistics};
use snncc_ir::{Connectivity, Delays};

fn effort(effort: u8) -> Options {
    Options { effort, ..Options::default() }
}

/// `loihi1` with at most this many compartments a core.
fn few_compartments(compartments: u64) -> Target {
    let mut model = hardware_model("loihi1").unwrap();
    let CoreKind::Loihi(core) = &mut model.core else { panic!("no Loihi-like cores") };
    core.limits.compartments.0 = Limit::AtMost(compartments);
    Target::new(target("loihi-emu").unwrap().file, model).unwrap()
}

#[test]
fn a_small_perceptron_takes_one_core() {
    let ir = mlp(&[784, 128, 64, 10]);
    let target = target("loihi-emu").unwrap();
    let (routed, image) = map(&ir, &target, &Options::default()).unwrap();
    check_image(&image, &ir, &target);
    let cores = routed.placed().partitioned().cores();
    assert_eq!(cores.len(), 1);
    // Two blocks of 64 8-bit weights take 9 words each, a block of 10 takes 2.
    assert_eq!(cores[0].used.get(Resource::SynapseWords), 784 * 18 + 128 * 9 + 64 * 2);
    assert_eq!(cores[0].used.get(Resource::InAxons), 784 + 128 + 64);
}

/// 118 outputs are 64 + 54 weights: 9 + 7 words from each of 1024 sources fill the 16,384 words of a core exactly.
#[test]
fn a_large_dense_layer_is_cut_where_memory_is_full() {
    let ir = mlp(&[1024, 1024]);
    let target = target("loihi-emu").unwrap();
    let (routed, _) = map(&ir, &target, &effort(0)).unwrap();
    let partitioned = routed.placed().partitioned();
    assert_eq!(partitioned.cores().len(), 1024_usize.div_ceil(118));
    assert_eq!(partitioned.core_use().next().unwrap().get(Resource::SynapseWords), 16_384);
}

/// A position's row is at the top, in the middle or at the bottom, its column likewise: nine lists for 64 sources.
#[test]
fn interior_positions_of_a_convolution_share_one_list() {
    let ir = cnn([1, 8, 8], &[(4, 3, 1, 1, false)]);
    let target = target("loihi-emu").unwrap();
    let (_, image) = map(&ir, &target, &Options::default()).unwrap();
    check_image(&image, &ir, &target);
    assert_eq!(image.cores.len(), 1);
    assert_eq!(image.cores[0].in_axons.len(), 64);
    assert_eq!(image.cores[0].lists.len(), 9);
}

/// Compartments alone need 12 cores; tiles alone would take 16.
#[test]
fn a_small_convolutional_network_takes_the_fewest_cores() {
    let layers = [(16, 3, 2, 1, false), (16, 3, 1, 1, false), (8, 3, 1, 1, false), (8, 2, 2, 0, true)];
    let ir = cnn([2, 34, 34], &layers);
    let target = target("loihi-emu").unwrap();
    let (routed, image) = map(&ir, &target, &Options::default()).unwrap();
    check_image(&image, &ir, &target);
    let partitioned = routed.placed().partitioned();
    assert_eq!(partitioned.cores_at_least(), 12);
    assert_eq!(partitioned.cores().len(), 12);
}

#[test]
fn neighbours_are_found_in_a_shuffled_ring() {
    let target = target("loihi-emu").unwrap();
    let in_axons = |shuffle| {
        let ir = ring(3_000, 40, shuffle);
        let (routed, image) = map(&ir, &target, &effort(1)).unwrap();
        check_image(&image, &ir, &target);
        routed.placed().partitioned().core_use().map(|used| used.get(Resource::InAxons)).sum::<u64>()
    };
    let (in_order, shuffled) = (in_axons(false), in_axons(true));
    assert!(shuffled < in_order * 5 / 4, "{shuffled} input axons, {in_order} where neighbours are known");
}

#[test]
fn an_unlimited_core_takes_65_536_compartments() {
    let ir = random_recurrent(70_000, 2);
    let target = target("unbounded-loihi").unwrap();
    let (routed, image) = map(&ir, &target, &effort(1)).unwrap();
    let compartments: Vec<usize> = image.cores.iter().map(|core| core.compartments.len()).collect();
    assert_eq!(compartments, [1 << 16, 70_000 - (1 << 16)]);
    assert_eq!(routed.placed().partitioned().cores_at_least(), 2);
}

/// Largest first puts 4 + 4 together and needs three cores of 10; 4 + 3 + 3 twice needs two.
#[test]
fn small_instances_are_packed_exactly() {
    let mut builder = Builder::default();
    let input = builder.population("input", &[4], None);
    for (number, size) in [4, 4, 3, 3, 3, 3].into_iter().enumerate() {
        let layer = builder.population(&format!("layer{number}"), &[size], Some(plain_neurons()));
        let weights = |len| mixed(&mut Rng(number as u64), len);
        builder.project(input, layer, Connectivity::Dense, Delays::Uniform(1), weights);
    }
    let ir = builder.finish();
    let (routed, _) = map(&ir, &few_compartments(10), &effort(0)).unwrap();
    assert_eq!(routed.placed().partitioned().cores().len(), 2);
}

#[test]
fn more_effort_is_never_worse() {
    let ir = mlp(&[300, 300, 300, 300, 100]);
    let target = few_compartments(40);
    let hops: Vec<f64> = (0..4)
        .map(|level| {
            let (routed, _) = map(&ir, &target, &effort(level)).unwrap();
            let (links, placed) = (routed.link_loads().values().sum::<f64>(), routed.placed().hops_per_step());
            assert!((links - placed).abs() < 1e-6 * links, "{links} over links, {placed} by distance");
            placed
        })
        .collect();
    assert!(hops[1] <= hops[0] && hops[2] <= hops[1] && hops[3] <= hops[2], "{hops:?}");
    assert!(hops[3] < hops[0], "{hops:?}");
}

/// Two layers of two cores: the silent half of the first layer does not count.
#[test]
fn rates_of_the_calibration_weigh_messages() {
    let ir = mlp(&[8, 8, 8]);
    let target = few_compartments(4);
    let statistics = |name: &str, rates: Vec<f64>| PopulationStatistics {
        name: name.into(),
        rates,
        input_max: 1.0,
        v_min: 0.0,
        v_max: 1.0,
    };
    let rates = vec![0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0];
    let calibration = Calibration { populations: vec![statistics("fc0", rates)] };
    let options = Options::default();
    let mut observer = NoObserver;
    let mut ctx = Ctx { target: &target, options: &options, calibration: Some(&calibration), observer: &mut observer };
    let partitioned = snncc_compile::partition::partition(ir, &mut ctx).unwrap();
    let placed = snncc_compile::place::place(partitioned, &mut ctx).unwrap();
    let routed = snncc_compile::route::route(placed, &mut ctx).unwrap();
    let rates: Vec<f64> = routed.nets().iter().map(|net| net.rate).collect();
    assert_eq!(rates.iter().sum::<f64>(), 2.0);
    assert_eq!(routed.nets().iter().map(|net| net.destinations.len()).max(), Some(2));
}
