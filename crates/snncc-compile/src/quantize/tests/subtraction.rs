//! Populations that reset by subtraction: the threshold is what a spike takes off, and no register overflows.

use super::*;
use crate::QuantizeStrategy;
use crate::quantize::fields::Registers;
use crate::quantize::quality::{bias_units, effective};
use proptest::prelude::*;
use snncc_ids::ProjectionId;
use snncc_ir::IntNeurons;
use snncc_ir::PopulationStatistics;

const OUT: PopulationId = PopulationId(1);
const INPUT: ProjectionId = ProjectionId(0);
const RESET: ProjectionId = ProjectionId(1);

/// `sources` inputs onto neurons whose spikes subtract; `keep` of the membrane stays.
fn subtracting(sources: usize, weights: Vec<f64>, thresholds: &[f64], keep: f64) -> Ir {
    let params = NeuronParams {
        current_keep: Param::Uniform(keep),
        voltage_keep: Param::Uniform(0.0),
        threshold: Param::from_values(thresholds.to_vec()),
        ..integrators(1.0)
    };
    let mut ir = dense(sources, weights, params);
    let targets = thresholds.len();
    let reset = projection(1, 1, (targets, targets), Connectivity::OneToOne { shared: false });
    ir.graph.projections.push(Projection { name: Projection::reset_name("out"), ..reset });
    ir.weights.push(IrWeights::Float(thresholds.iter().map(|threshold| -keep * threshold).collect()));
    ir
}

fn neurons(ir: &QuantizedIr) -> &IntNeurons {
    ir.neurons[OUT].as_ref().unwrap()
}

/// Effective weights of a projection.
fn units(ir: &QuantizedIr, target: &Target, id: ProjectionId) -> Vec<i64> {
    let registers = Registers::new(target.model.loihi());
    ir.weights[id].mantissas.iter().map(|mantissa| effective(&registers, &ir.weights[id], *mantissa)).collect()
}

fn thresholds(ir: &QuantizedIr, target: &Target, count: usize) -> Vec<i64> {
    let shift = target.model.loihi().arithmetic.threshold_shift;
    (0..count).map(|neuron| neurons(ir).threshold_mantissa.get(neuron) << shift).collect()
}

fn calibration(v_min: f64, v_max: f64, neurons: usize) -> Calibration {
    let statistics =
        PopulationStatistics { name: "out".into(), rates: vec![0.2; neurons], input_max: 1.0, v_min, v_max };
    Calibration { populations: vec![statistics] }
}

proptest! {
    #[test]
    fn a_spike_takes_exactly_the_threshold_off(
        seed in any::<u64>(),
        sources in 1_usize..40,
        targets in 1_usize..24,
        bits in prop::sample::select(vec![1_u8, 2, 4, 6, 8]),
        differ in any::<bool>(),
        name in prop::sample::select(vec!["loihi-emu", "lava-emu", "brian2-loihi-emu"]),
    ) {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        // Rows of different size, so that several scales are worth it.
        let weights: Vec<f64> =
            (0..targets).flat_map(|row| vec![(-(row as f64) / 4.0).exp2(); sources]).map(|size| size * (next() - 0.6)).collect();
        let over: Vec<f64> = (0..targets).map(|_| if differ { 0.5 + next() } else { 1.3 }).collect();
        let target = target(name);
        let options = Options { weight_bits: Some(bits), ..Options::default() };
        let (result, _) = run(subtracting(sources, weights, &over, 1.0), &target, &options, None);
        let ir = result.unwrap();
        let taken: Vec<i64> = units(&ir, &target, RESET).iter().map(|weight| -weight).collect();
        prop_assert_eq!(&taken, &thresholds(&ir, &target, targets));
        for (neuron, taken) in taken.iter().enumerate() {
            let exact = over[neuron] * neurons(&ir).units_per_volt.get(neuron);
            prop_assert!((exact - *taken as f64).abs() < 1e-6 * exact, "{exact} {taken}");
        }
    }
}

#[test]
fn several_scales_share_the_exponent_of_the_reset() {
    let sizes = [1.0, 0.3, 0.06, 0.02];
    let weights: Vec<f64> =
        (0..16 * 40).map(|at| ((at * 37 % 101) as f64 / 101.0 - 0.5) * sizes[at / 40 % 4]).collect();
    let target = target("brian2-loihi-emu");
    let options = Options { weight_bits: Some(5), ..Options::default() };
    let (result, _) = run(subtracting(40, weights, &[1.0; 16], 1.0), &target, &options, None);
    let ir = result.unwrap();
    let mut levels = thresholds(&ir, &target, 16);
    assert_eq!(units(&ir, &target, RESET), levels.iter().map(|level| -level).collect::<Vec<_>>());
    levels.sort_unstable();
    levels.dedup();
    assert!(levels.len() > 1, "{levels:?}");
}

#[test]
fn registers_hold_what_was_seen_four_times_over() {
    let target = target("loihi-emu");
    // Deep inhibition: 2^23 units are 400 thresholds of at most 20,971 units.
    let weights = vec![0.113, -4.97, 0.21, -4.03];
    let (result, warnings) = run(
        subtracting(2, weights.clone(), &[1.0, 1.0], 1.0),
        &target,
        &Options::default(),
        Some(&calibration(-100.0, 1.5, 2)),
    );
    let ir = result.unwrap();
    let units = neurons(&ir).units_per_volt.get(0);
    assert!(units <= 20_971.5, "{units}");
    assert!(warnings.0.is_empty(), "{:?}", warnings.0);
    // Deeper than the chip can hold with the precision wished: precision gives way.
    let (result, warnings) =
        run(subtracting(2, weights, &[1.0, 1.0], 1.0), &target, &Options::default(), Some(&calibration(-1e4, 1.5, 2)));
    assert!(neurons(&result.unwrap()).units_per_volt.get(0) * 1e4 <= f64::from(1 << 23));
    assert!(warnings.codes().contains(&"SNN0604"), "{:?}", warnings.0);
    assert!(warnings.0[0].notes[0].contains("wraps at both ends"));
}

#[test]
fn a_wide_layer_without_data_keeps_a_threshold_that_outlives_the_decay() {
    let target = target("loihi-emu");
    // A quarter of this inhibition over 256 steps would leave a threshold of 52 units.
    let weights = (0..4096).map(|at| if at % 4 == 0 { 0.2 } else { -0.8 }).collect();
    let (result, warnings) = run(subtracting(4096, weights, &[1.0], 1.0), &target, &Options::default(), None);
    let threshold = thresholds(&result.unwrap(), &target, 1)[0];
    // 2^11 units, less what the reset cannot hold exactly.
    assert!((1024..=2048).contains(&threshold), "{threshold}");
    assert_eq!(warnings.codes(), ["SNN0604"]);
}

#[test]
fn a_calibration_of_another_network_is_refused() {
    let network = subtracting(2, vec![0.3, -0.25], &[1.0], 1.0);
    let (result, _) = run(network, &target("loihi-emu"), &Options::default(), Some(&calibration(-1.0, 1.0, 3)));
    let error = &result.unwrap_err().0[0];
    assert_eq!((error.code.number(), error.item.as_deref()), ("SNN0202", Some("calibration/out")));
}

#[test]
fn without_data_the_worst_case_of_many_steps_is_kept_where_it_can_be() {
    let target = target("loihi-emu");
    let weights = vec![0.3, -0.25, 0.4, -0.125];
    let (result, warnings) = run(subtracting(2, weights, &[1.0, 1.0], 1.0), &target, &Options::default(), None);
    let ir = result.unwrap();
    assert!(warnings.0.is_empty(), "{:?}", warnings.0);
    for (neuron, row) in units(&ir, &target, INPUT).chunks(2).enumerate() {
        let inhibition: i64 = row.iter().map(|weight| -weight.min(&0)).sum();
        assert!(256 * inhibition + thresholds(&ir, &target, 2)[neuron] < 1 << 23);
    }
    assert!(neurons(&ir).units_per_volt.get(0) >= 8192.0);
}

/// Membranes that start `hold` thresholds below the reset, and a source that sends them there.
fn held(hold: f64) -> Ir {
    let mut ir = subtracting(3, vec![hold, 0.3, -0.25, hold, 0.02, -0.01], &[1.0, 1.0], 1.0);
    let Some(IrNeurons::Float(params)) = &mut ir.neurons[OUT] else { panic!("no neurons") };
    params.bias = Param::Uniform(0.5 - hold);
    // The hold comes over a projection of its own.
    let IrWeights::Float(weights) = &mut ir.weights[INPUT] else { panic!("no weights") };
    (weights[0], weights[3]) = (0.0, 0.0);
    let opens = projection(0, 1, (3, 2), Connectivity::Dense);
    ir.graph.projections.push(Projection { name: "opens".to_owned(), ..opens });
    ir.weights.push(IrWeights::Float(vec![hold, 0.0, 0.0, hold, 0.0, 0.0]));
    ir
}

#[test]
fn what_holds_a_membrane_is_exact_and_asks_for_no_scale() {
    let opens = ProjectionId(2);
    for (name, keeps) in [("loihi-emu", 4095), ("brian2-loihi-emu", 4096)] {
        let target = target(name);
        let seen = calibration(-34.0, 1.5, 2);
        let (result, warnings) = run(held(32.0), &target, &Options::default(), Some(&seen));
        let ir = result.unwrap();
        assert!(!warnings.codes().contains(&"SNN0605"), "{:?}", warnings.0);
        let thresholds = thresholds(&ir, &target, 2);
        let opened: Vec<i64> = units(&ir, &target, opens).into_iter().filter(|units| *units != 0).collect();
        assert_eq!(opened, thresholds.iter().map(|threshold| 32 * threshold).collect::<Vec<_>>(), "{name}");
        // The largest weight but the hold uses nearly all codes, as without a hold.
        let largest = ir.weights[INPUT].mantissas.iter().map(|mantissa| mantissa.abs()).max().unwrap();
        assert!(largest >= 120, "{name}: {largest}");
        // A current of 32.5 thresholds loses 32.5 of 4,096 parts of one in the step of the reset.
        for (reset, threshold) in units(&ir, &target, RESET).iter().zip(thresholds) {
            let lost = 32.5 * threshold as f64 * (1.0 - f64::from(keeps) / 4096.0);
            let step = (threshold as f64 / 128.0).max(64.0);
            let error = (-*reset as f64 - (threshold as f64 - lost)).abs();
            assert!(error <= step / 2.0 + 1.0, "{name}: {reset} {threshold} {lost}");
        }
    }
}

#[test]
fn membranes_that_start_too_far_away_are_told() {
    let seen = calibration(-1100.0, 1.5, 2);
    let (result, warnings) = run(held(1024.0), &target("loihi-emu"), &Options::default(), Some(&seen));
    assert!(result.is_ok());
    let told = warnings.0.iter().find(|warning| warning.code.number() == "SNN0605").unwrap();
    assert!(
        told.message.contains("2 of 2 neuron(s)") && told.message.contains("by 1024 thresholds"),
        "{}",
        told.message
    );
}

#[test]
fn a_leak_asks_for_no_exact_reset_and_a_bias_is_an_offset() {
    let target = target("loihi-emu");
    let mut ir = subtracting(3, vec![0.5, -0.25, 0.125], &[1.0], 0.75);
    let Some(IrNeurons::Float(params)) = &mut ir.neurons[OUT] else { panic!("no neurons") };
    (params.bias, params.u_initial) = (Param::Uniform(0.5), Param::Uniform(-0.5));
    let (result, _) = run(ir, &target, &Options::default(), None);
    let ir = result.unwrap();
    let (neurons, volt) = (neurons(&ir), neurons(&ir).units_per_volt.get(0));
    assert_eq!((neurons.decay_u.get(0), neurons.decay_v.get(0)), (1023, 4095));
    assert!((units(&ir, &target, RESET)[0] as f64 / volt + 0.75).abs() < 0.005);
    assert!((bias_units(neurons, 0) / volt - 0.5).abs() < 1e-3);
    assert_eq!(neurons.u_initial.get(0), (-0.5 * volt).round_ties_even() as i64);
}

#[test]
fn nengo_loihis_rules_take_a_leak_and_refuse_none() {
    let target = target("nengo-loihi-emu");
    let options = Options { strategy: QuantizeStrategy::NengoLoihi, ..Options::default() };
    let (result, _) = run(subtracting(1, vec![0.5], &[1.0], 0.75), &target, &options, None);
    let ir = result.unwrap();
    let volt = neurons(&ir).units_per_volt.get(0);
    assert!((units(&ir, &target, RESET)[0] as f64 / volt + 0.75).abs() < 0.02);
    let (result, _) = run(subtracting(1, vec![0.5], &[1.0], 1.0), &target, &options, None);
    let problems = result.unwrap_err();
    assert!(problems.0[0].message.contains("resets by subtraction"), "{}", problems.0[0]);
}
