//! Populations under the calibrated strategy (and the same under the rules of nengo-loihi).

use super::*;
use crate::quantize::calibrated::threshold_mantissa;
use crate::quantize::fields::Registers;
use crate::quantize::quality::effective;
use crate::{OverflowPolicy, QuantizeStrategy};
use proptest::prelude::*;
use snncc_ir::PopulationStatistics;
use snncc_ir::{ConvolutionGeometry, IntNeurons, IntWeights, SignMode, SparsePattern};

const OUT: PopulationId = PopulationId(1);
const WEIGHTS: snncc_ids::ProjectionId = snncc_ids::ProjectionId(0);

fn quantized(ir: Ir, options: &Options) -> (QuantizedIr, Warnings) {
    let (result, warnings) = run(ir, &target("loihi-emu"), options, None);
    (result.unwrap_or_else(|problems| panic!("{problems}")), warnings)
}

fn neurons(ir: &QuantizedIr) -> &IntNeurons {
    ir.neurons[OUT].as_ref().unwrap()
}

fn effective_weights(weights: &IntWeights) -> Vec<i64> {
    let target = target("loihi-emu");
    let registers = Registers::new(target.model.loihi());
    weights.mantissas.iter().map(|mantissa| effective(&registers, weights, *mantissa)).collect()
}

/// Deterministic values in −1 to 1, denser around 0.
fn values(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64 * 2.0 - 1.0
    };
    (0..count).map(|_| (next() + next() + next()) / 3.0).collect()
}

#[test]
fn weights_on_a_grid_are_exact_and_so_are_the_decisions() {
    let weights = vec![0.25, -0.5, 0.75, 1.25, 0.0, -1.0];
    let (ir, warnings) = quantized(dense(3, weights.clone(), integrators(1.0)), &Options::default());
    assert!(warnings.0.is_empty(), "{:?}", warnings.0);
    let units = neurons(&ir).units_per_volt.get(0);
    let expected: Vec<i64> = weights.iter().map(|weight| (weight * units) as i64).collect();
    assert_eq!(effective_weights(&ir.weights[WEIGHTS]), expected);
    assert_eq!(ir.projection_quality[WEIGHTS].as_ref().unwrap().sqnr_db, f64::INFINITY);
    assert_eq!(neurons(&ir).threshold_mantissa.get(0) * 64, units as i64);
    // Thirds are not binary fractions, yet multiples of one step.
    let (ir, _) = quantized(dense(2, vec![1.0 / 3.0, -2.0 / 3.0], integrators(1.0)), &Options::default());
    let found = effective_weights(&ir.weights[WEIGHTS]);
    assert_eq!(
        (found[0] * 3, found[1] * 3),
        (neurons(&ir).threshold_mantissa.get(0) * 64, neurons(&ir).threshold_mantissa.get(0) * -128)
    );
}

#[test]
fn both_comparisons_are_exact_where_voltages_stay_on_the_grid() {
    for (comparison, spikes_needed) in [(Comparison::Greater, 5), (Comparison::GreaterOrEqual, 4)] {
        let params = NeuronParams { comparison, ..integrators(1.0) };
        let (ir, _) = quantized(dense(1, vec![0.25], params), &Options::default());
        let weight = effective_weights(&ir.weights[WEIGHTS])[0];
        let threshold = neurons(&ir).threshold_mantissa.get(0) * 64;
        assert!((spikes_needed - 1) * weight <= threshold && spikes_needed * weight > threshold, "{comparison:?}");
        assert_eq!(ir.population_quality[OUT].as_ref().unwrap().threshold_error, 0.0);
    }
    // Off the grid: v >= 6401 is v > 6400, which mantissa 100 says exactly; v >= 6400 is one unit away from v > 6400.
    assert_eq!(threshold_mantissa(6401.0, Comparison::GreaterOrEqual, 64.0, false), (100.0, 0.0));
    assert_eq!(threshold_mantissa(6400.0, Comparison::GreaterOrEqual, 64.0, false), (100.0, 1.0 / 6400.0));
    assert_eq!(threshold_mantissa(6430.0, Comparison::Greater, 64.0, false).0, 100.0);
    assert_eq!(threshold_mantissa(6463.0, Comparison::Greater, 64.0, true), (100.0, 0.0));
    assert_eq!(threshold_mantissa(6401.0, Comparison::GreaterOrEqual, 64.0, true), (100.0, 0.0));
    assert_eq!(threshold_mantissa(6400.0, Comparison::GreaterOrEqual, 64.0, true), (99.0, 0.0));
}

#[test]
fn neurons_of_different_thresholds_share_one_mantissa() {
    let thresholds = vec![0.5, 1.0, 3.0, 0.7];
    let params = NeuronParams { threshold: Param::PerNeuron(thresholds.clone()), ..integrators(1.0) };
    let weights: Vec<f64> = values(20, 5).repeat(4).iter().enumerate().map(|(at, w)| w * thresholds[at / 20]).collect();
    let (ir, _) = quantized(dense(20, weights.clone(), params.clone()), &Options::default());
    let Param::Uniform(mantissa) = neurons(&ir).threshold_mantissa else { panic!("{:?}", neurons(&ir)) };
    for (neuron, threshold) in thresholds.iter().enumerate() {
        let units = neurons(&ir).units_per_volt.get(neuron);
        assert!((units * threshold - mantissa as f64 * 64.0).abs() < 1e-6);
    }
    let options = Options { per_neuron_scales: false, ..Options::default() };
    let (ir, _) = quantized(dense(20, weights, params), &options);
    assert!(matches!(neurons(&ir).units_per_volt, Param::Uniform(_)));
    assert!(ir.population_quality[OUT].as_ref().unwrap().threshold_error < 1e-3);
}

#[test]
fn a_grid_in_volts_is_kept_over_different_thresholds_and_initial_values() {
    let params = NeuronParams {
        threshold: Param::PerNeuron(vec![2.75, 9.5]),
        bias: Param::PerNeuron(vec![0.25, -0.5]),
        v_initial: Param::PerNeuron(vec![-1.25, 3.5]),
        ..integrators(1.0)
    };
    let weights = vec![7.75, -0.25, 3.0, -8.0];
    let (ir, _) = quantized(dense(2, weights.clone(), params), &Options::default());
    let units = neurons(&ir).units_per_volt.clone();
    assert_eq!(units, Param::Uniform(units.get(0)), "one scale in volts");
    let expected: Vec<i64> = weights.iter().map(|weight| (weight * units.get(0)) as i64).collect();
    assert_eq!(effective_weights(&ir.weights[WEIGHTS]), expected);
    let initial = [-1.25, 3.5].map(|volts| (volts * units.get(0)) as i64);
    assert_eq!(neurons(&ir).v_initial, Param::PerNeuron(initial.to_vec()));
    let quality = ir.population_quality[OUT].as_ref().unwrap();
    assert_eq!((quality.threshold_error, quality.bias_error), (0.0, 0.0));
    // Without weights the grid is that of biases and initial values.
    let params = NeuronParams {
        bias: Param::Uniform(0.25),
        v_initial: Param::Uniform(3.5),
        comparison: Comparison::GreaterOrEqual,
        ..integrators(19.5)
    };
    let (ir, _) = quantized(dense(1, vec![0.0], params), &Options::default());
    let units = neurons(&ir).units_per_volt.get(0);
    assert_eq!(neurons(&ir).v_initial.get(0) as f64, 3.5 * units);
    let quality = ir.population_quality[OUT].as_ref().unwrap();
    assert_eq!((quality.threshold_error, quality.bias_error), (0.0, 0.0));
}

#[test]
fn an_integrator_that_a_bias_alone_drives_has_a_scale() {
    let params = NeuronParams { bias: Param::Uniform(0.5), ..integrators(f64::INFINITY) };
    let (ir, warnings) = quantized(dense(1, vec![0.0], params), &Options::default());
    assert_eq!(neurons(&ir).bias_mantissa.get(0) << neurons(&ir).bias_exponent.get(0), 64 * 64);
    assert_eq!(neurons(&ir).units_per_volt.get(0), 8192.0);
    assert!(warnings.codes().contains(&"SNN0604"), "it adds up without end: {:?}", warnings.codes());
}

#[test]
fn small_rows_get_a_level_of_their_own_within_half_the_limit() {
    let sizes = [1.0, 0.3, 0.06, 0.02];
    let weights: Vec<f64> = values(16 * 40, 3).iter().enumerate().map(|(at, w)| w * sizes[at / 40 % 4]).collect();
    let quality = |per_neuron_scales: bool| {
        let options = Options { per_neuron_scales, weight_bits: Some(5), ..Options::default() };
        let (ir, _) = quantized(dense(40, weights.clone(), integrators(1.0)), &options);
        let mut levels = neurons(&ir).threshold_mantissa.values().to_vec();
        levels.sort_unstable();
        levels.dedup();
        // Error relative to each neuron's own weights.
        let worst: f64 = (0..16)
            .map(|row| {
                let found = &effective_weights(&ir.weights[WEIGHTS])[row * 40..(row + 1) * 40];
                let units = neurons(&ir).units_per_volt.get(row);
                let wanted = &weights[row * 40..(row + 1) * 40];
                let noise: f64 = found.iter().zip(wanted).map(|(f, w)| (*f as f64 / units - w).powi(2)).sum();
                noise / wanted.iter().map(|w| w * w).sum::<f64>()
            })
            .fold(0.0, f64::max);
        (levels.len(), worst)
    };
    let ((one, coarse), (several, fine)) = (quality(false), quality(true));
    assert_eq!(one, 1);
    assert!((2..=4).contains(&several), "{several} levels");
    assert!(fine < coarse / 4.0, "{fine} against {coarse}");
}

#[test]
fn one_sign_means_one_more_bit() {
    let positive: Vec<f64> = values(64, 9).iter().map(|w| w.abs() + 1e-3).collect();
    let sqnr = |weights: Vec<f64>, mode: SignMode| {
        let (ir, _) = quantized(dense(64, weights, integrators(1.0)), &Options::default());
        assert_eq!(ir.weights[WEIGHTS].sign_mode, mode);
        ir.projection_quality[WEIGHTS].as_ref().unwrap().sqnr_db
    };
    let mut mixed = positive.clone();
    mixed[0] = -mixed[0];
    let gain = sqnr(positive.clone(), SignMode::Excitatory) - sqnr(mixed, SignMode::Mixed);
    assert!(gain > 4.0, "{gain} dB");
    sqnr(positive.iter().map(|w| -w).collect(), SignMode::Inhibitory);
}

#[test]
fn decays_become_registers_and_their_error_is_told() {
    let params = NeuronParams {
        current_keep: Param::PerNeuron(vec![0.0, 0.5, 0.9]),
        voltage_keep: Param::PerNeuron(vec![1.0, 0.75, 0.0]),
        ..integrators(1.0)
    };
    let (ir, _) = quantized(dense(1, vec![0.3, 0.2, 0.1], params), &Options::default());
    assert_eq!(neurons(&ir).decay_u, Param::PerNeuron(vec![4095, 2047, 409]));
    assert_eq!(neurons(&ir).decay_v, Param::PerNeuron(vec![0, 1024, 4095]));
    assert_eq!(ir.population_quality[OUT].as_ref().unwrap().decay_error, 1.0 / 4096.0);
}

#[test]
fn what_does_not_fit_follows_the_policy() {
    let ir = || dense(1, vec![0.5], NeuronParams { refractory_steps: Param::Uniform(100), ..integrators(1.0) });
    let target = target("loihi-emu");
    let (result, _) = run(ir(), &target, &Options::default(), None);
    assert_eq!(result.unwrap_err().0[0].code.number(), "SNN0601");
    for (overflow, expected) in [(OverflowPolicy::Saturate, 63), (OverflowPolicy::Wrap, 37)] {
        let (ir, warnings) = quantized(ir(), &Options { overflow, ..Options::default() });
        assert_eq!(neurons(&ir).refractory, Param::Uniform(expected));
        assert_eq!(warnings.codes(), ["SNN0601"]);
    }
    let (result, _) = run(ir(), &target, &Options { weight_bits: Some(7), ..Options::default() }, None);
    assert!(result.unwrap_err().0[0].message.contains("1, 2, 3, 4, 5, 6, 8"));
}

#[test]
fn dead_weights_and_thresholds_out_of_reach_are_warned_of() {
    let mut weights = values(30, 1);
    weights[10..20].iter_mut().for_each(|weight| *weight *= 1e-5);
    let options = Options { per_neuron_scales: false, ..Options::default() };
    let (ir, warnings) = quantized(dense(10, weights, integrators(0.1)), &options);
    assert!(warnings.codes().contains(&"SNN0602") && warnings.codes().contains(&"SNN0603"), "{:?}", warnings.0);
    assert!(ir.projection_quality[WEIGHTS].as_ref().unwrap().zeroed >= 10);
    // 0.4 with a quarter lost per step gathers at most 1.6.
    let leaky = |threshold| NeuronParams { voltage_keep: Param::Uniform(0.75), ..integrators(threshold) };
    assert_eq!(quantized(dense(1, vec![0.4], leaky(1.7)), &Options::default()).1.codes(), ["SNN0603"]);
    assert!(quantized(dense(1, vec![0.4], leaky(1.5)), &Options::default()).1.0.is_empty());
}

#[test]
fn a_fan_in_beyond_the_worst_case_is_told() {
    let weights: Vec<f64> = values(6000, 2).iter().map(|weight| weight.abs()).collect();
    let (ir, warnings) = quantized(dense(6000, weights, integrators(1.0)), &Options::default());
    assert_eq!(warnings.codes(), ["SNN0604"]);
    assert!(ir.projection_quality[WEIGHTS].as_ref().unwrap().sqnr_db > 30.0);
    let (_, warnings) = quantized(dense(600, values(600, 2), integrators(1.0)), &Options::default());
    assert!(warnings.0.is_empty());
}

#[test]
fn a_membrane_that_is_read_has_one_scale_and_room() {
    let params = NeuronParams { voltage_keep: Param::Uniform(0.9), ..integrators(f64::INFINITY) };
    let weights: Vec<f64> =
        values(40, 4).iter().enumerate().map(|(at, w)| if at < 20 { *w } else { w / 50.0 }).collect();
    let (ir, _) = quantized(dense(20, weights.clone(), params), &Options::default());
    let n = neurons(&ir);
    assert!(!n.spikes);
    assert_eq!(n.threshold_mantissa, Param::Uniform(131_071));
    let Param::Uniform(units) = n.units_per_volt else { panic!("{:?}", n.units_per_volt) };
    let most: f64 = weights[..20].iter().map(|w| w.max(0.0)).sum::<f64>() * 10.0;
    assert!(most * units < f64::from(1 << 23), "{units}");
}

#[test]
fn rates_make_the_expected_error_smaller() {
    let (sources, targets) = (60, 12);
    let weights = values(sources * targets, 8);
    let rates: Vec<f64> = (0..sources).map(|source| if source % 3 == 0 { 0.6 } else { 0.05 }).collect();
    let statistics = |name: &str, rates: Vec<f64>| PopulationStatistics {
        name: name.into(),
        rates,
        input_max: 10.0,
        v_min: -3.0,
        v_max: 2.0,
    };
    let calibration =
        Calibration { populations: vec![statistics("in", rates.clone()), statistics("out", vec![0.1; targets])] };
    let options = Options { weight_bits: Some(4), per_neuron_scales: false, ..Options::default() };
    let error = |calibration: Option<&Calibration>| {
        let ir = dense(sources, weights.clone(), integrators(1.0));
        let (result, _) = run(ir, &target("loihi-emu"), &options, calibration);
        let ir = result.unwrap();
        let units = neurons(&ir).units_per_volt.get(0);
        let found = effective_weights(&ir.weights[WEIGHTS]);
        (0..targets)
            .map(|row| {
                let errors = (0..sources).map(|s| found[row * sources + s] as f64 / units - weights[row * sources + s]);
                let (mean, variance) = errors.zip(&rates).fold((0.0, 0.0), |(mean, variance), (error, rate)| {
                    (mean + rate * error, variance + rate * (1.0 - rate) * error * error)
                });
                mean * mean + variance
            })
            .sum::<f64>()
    };
    let (with, without) = (error(Some(&calibration)), error(None));
    assert!(with < 0.8 * without, "{with} against {without}");
}

#[test]
fn nengo_rules_serve_as_a_strategy_and_calibrated_is_not_worse() {
    let weights = values(50 * 20, 6);
    let params = NeuronParams {
        current_keep: Param::Uniform(0.8),
        voltage_keep: Param::Uniform(0.95),
        bias: Param::Uniform(0.01),
        ..integrators(1.0)
    };
    let quality = |strategy| {
        let (ir, _) =
            quantized(dense(50, weights.clone(), params.clone()), &Options { strategy, ..Options::default() });
        check_ranges(&ir, &target("loihi-emu"));
        ir.projection_quality[WEIGHTS].as_ref().unwrap().sqnr_db
    };
    let (nengo, calibrated) = (quality(QuantizeStrategy::NengoLoihi), quality(QuantizeStrategy::Calibrated));
    assert!(nengo > 30.0 && calibrated >= nengo, "{nengo} {calibrated}");
    let mixed = NeuronParams { voltage_keep: Param::PerNeuron(vec![0.9, 0.8]), ..integrators(1.0) };
    let options = Options { strategy: QuantizeStrategy::NengoLoihi, ..Options::default() };
    let (result, _) = run(dense(1, vec![0.5, 0.5], mixed), &target("loihi-emu"), &options, None);
    assert!(result.unwrap_err().0[0].message.contains("different decays"));
}

/// Asserts that every register is in the range of its field, and that clip registers and grids are legal.
fn check_ranges(ir: &QuantizedIr, target: &Target) {
    ir.assert_consistent();
    let core = target.model.loihi();
    let formats = &core.formats;
    for (id, _) in ir.graph.populations.iter_with_ids() {
        let Some(n) = &ir.neurons[id] else { continue };
        let within =
            |values: &Param<i64>, low: i64, high: i64| values.values().iter().all(|v| (low..=high).contains(v));
        assert!(within(&n.decay_u, 0, formats.decay_max.0) && within(&n.decay_v, 0, formats.decay_max.0));
        assert!(within(&n.threshold_mantissa, 0, formats.threshold_mantissa_max.0));
        assert!(within(&n.bias_mantissa, formats.bias_mantissa.0.0, formats.bias_mantissa.0.1));
        assert!(within(&n.bias_exponent, formats.bias_exponent.0.0, formats.bias_exponent.0.1));
        assert!(within(&n.refractory, 1, formats.refractory_max.0));
        let state = 1_i64 << formats.state_bits.0;
        assert!(within(&n.u_initial, -state, state - 1) && within(&n.v_initial, -state, state - 1));
        assert!(n.v_min_exponent.is_none_or(|e| e <= formats.v_min_exponent_max.0));
        assert!(n.v_max_exponent.is_none_or(|e| e <= formats.v_max_exponent_max.0));
        assert!(!formats.clip_required.0 || (n.v_min_exponent.is_some() && n.v_max_exponent.is_some()));
        assert!(n.units_per_volt.values().iter().all(|units| units.is_finite() && *units > 0.0));
        if let Some(quality) = &ir.population_quality[id] {
            let figures = [quality.threshold_error, quality.bias_error, quality.decay_error];
            assert!(figures.iter().all(|figure| figure.is_finite() && *figure >= 0.0), "{quality:?}");
        }
    }
    let registers = Registers::new(core);
    let mut problems = Diagnostics::new();
    for (id, projection) in ir.graph.projections.iter_with_ids() {
        crate::quantize::fields::check_weights(&registers, projection, &ir.weights[id], &mut problems);
        if let Some(quality) = &ir.projection_quality[id] {
            assert!(!quality.sqnr_db.is_nan() && quality.max_error.is_finite(), "{quality:?}");
        }
    }
    assert!(problems.0.is_empty(), "{problems}");
}

/// Asserts that no spikes whatever overflow input, current or biased current on a chip with Loihi's registers.
fn check_worst_case(ir: &QuantizedIr, target: &Target) {
    let registers = Registers::new(target.model.loihi());
    for (id, population) in ir.graph.populations.iter_with_ids() {
        let Some(n) = &ir.neurons[id] else { continue };
        let mut sums = vec![(0_i64, 0_i64); population.len()];
        for (projection_id, projection) in ir.graph.projections.iter_with_ids() {
            if projection.target != id {
                continue;
            }
            let weights = &ir.weights[projection_id];
            for source in 0..projection.source_len {
                projection.fan_out(source, |synapse| {
                    let units = effective(&registers, weights, weights.mantissas[synapse.weight]);
                    sums[synapse.other as usize].0 += units.max(0);
                    sums[synapse.other as usize].1 += units.min(0);
                });
            }
        }
        for (neuron, (positive, negative)) in sums.iter().enumerate() {
            let input = (*positive).max(-negative);
            assert!(input < 1 << 21, "{} neuron {neuron}: input {input}", population.name);
            let lost = (1 + n.decay_u.get(neuron)) as f64 / 4096.0;
            let current = input as f64 / lost + n.u_initial.get(neuron).abs() as f64;
            let bias = (n.bias_mantissa.get(neuron) << n.bias_exponent.get(neuron)).abs() as f64;
            assert!(current + bias < f64::from(1 << 23), "{} neuron {neuron}: {current} + {bias}", population.name);
        }
    }
}

/// A random network: an input, neurons behind some kind of connection, and neurons behind those.
fn random_ir(seed: u64, kind: usize, size: f64, threshold: f64, keeps: (f64, f64)) -> Ir {
    let (connectivity, shapes): (Connectivity, [Vec<usize>; 2]) = match kind % 4 {
        0 => (Connectivity::Dense, [vec![20], vec![18]]),
        1 => (Connectivity::OneToOne { shared: seed.is_multiple_of(2) }, [vec![18], vec![18]]),
        2 => {
            let geometry = ConvolutionGeometry {
                input: [2, 5, 5],
                output: [2, 3, 3],
                kernel: [3, 3],
                stride: [2, 2],
                padding: [1, 1],
                dilation: [1, 1],
                groups: 1,
            };
            (Connectivity::Convolution(geometry), [vec![2, 5, 5], vec![2, 3, 3]])
        }
        _ => {
            let pattern = SparsePattern {
                row_starts: (0..=20).map(|row| row * 3).collect(),
                targets: (0..20).flat_map(|row| [row % 6, 6 + row % 5, 12 + row % 4]).collect(),
            };
            (Connectivity::Sparse(pattern), [vec![20], vec![18]])
        }
    };
    let lens: Vec<usize> = shapes.iter().map(|shape| shape.iter().product()).collect();
    let mut populations = vec![
        population("in", 1, PopulationRole::Input),
        population("a", 1, PopulationRole::Neurons),
        population("b", 4, PopulationRole::Neurons),
    ];
    populations[0].shape = shapes[0].clone();
    populations[1].shape = shapes[1].clone();
    let projections = vec![
        projection(0, 1, (lens[0], lens[1]), connectivity),
        projection(1, 1, (lens[1], lens[1]), Connectivity::OneToOne { shared: false }),
        projection(1, 2, (lens[1], 4), Connectivity::Dense),
    ];
    let noise = values(400, seed);
    let weights: Vec<IrWeights> = projections
        .iter()
        .enumerate()
        .map(|(at, projection)| {
            IrWeights::Float((0..projection.weight_count()).map(|w| noise[(at * 37 + w) % 400] * size).collect())
        })
        .collect();
    let per_neuron = |scale: f64, len: usize| Param::PerNeuron((0..len).map(|at| noise[at + 11] * scale).collect());
    let a = NeuronParams {
        current_keep: Param::Uniform(keeps.0),
        voltage_keep: Param::Uniform(keeps.1),
        bias: per_neuron(threshold * 0.3, lens[1]),
        threshold: if seed % 3 == 1 {
            Param::PerNeuron((0..lens[1]).map(|at| threshold * (1.0 + noise[at].abs())).collect())
        } else {
            Param::Uniform(threshold)
        },
        comparison: if seed % 5 == 2 { Comparison::GreaterOrEqual } else { Comparison::Greater },
        u_initial: per_neuron(if seed % 7 == 3 { threshold } else { 0.0 }, lens[1]),
        v_initial: per_neuron(threshold * 0.5, lens[1]),
        v_min: (seed % 11 == 5).then_some(-threshold),
        ..integrators(threshold)
    };
    let b = integrators(if seed % 4 == 1 { f64::INFINITY } else { threshold });
    Ir {
        graph: Graph { populations: populations.into(), projections: projections.into() },
        neurons: vec![None, Some(IrNeurons::Float(a)), Some(IrNeurons::Float(b))].into(),
        weights: weights.into(),
        outputs: Vec::new(),
        dt_s: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_comes_in_fits_the_chip(
        seed in any::<u64>(),
        kind in 0_usize..4,
        size in -4.0..4.0_f64,
        threshold in -3.0..3.0_f64,
        keep_u in prop_oneof![Just(0.0), 0.01..0.999_f64],
        keep_v in prop_oneof![Just(1.0), Just(0.0), 0.5..0.9999_f64],
        bits in prop_oneof![1_u8..=6, Just(8_u8)],
        nengo in any::<bool>(),
    ) {
        let ir = random_ir(seed, kind, size.exp2(), threshold.exp2(), (keep_u, keep_v));
        let strategy = if nengo { QuantizeStrategy::NengoLoihi } else { QuantizeStrategy::Calibrated };
        let options = Options { weight_bits: Some(bits), strategy, ..Options::default() };
        for name in ["loihi-emu", "lava-emu", "brian2-loihi-emu"] {
            let target = target(name);
            let (result, warnings) = run(ir.clone(), &target, &options, None);
            match result {
                Ok(ir) => {
                    check_ranges(&ir, &target);
                    if name == "loihi-emu" && !nengo && !warnings.codes().contains(&"SNN0604") {
                        check_worst_case(&ir, &target);
                    }
                }
                Err(problems) => prop_assert!(nengo, "{}", problems),
            }
        }
    }
}

#[test]
fn threads_do_not_matter() {
    let options = Options::default();
    let with_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| quantized(random_ir(4, 0, 1.0, 1.0, (0.5, 0.9)), &options).0)
    };
    assert_eq!(with_threads(1), with_threads(4));
}
