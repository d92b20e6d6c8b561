//! The rules of nengo-loihi as a strategy: a population is a block, each projection onto it one of its synapses.
//!
//! nengo-loihi's floats mean something else than the IR's: it divides weights by the gain of the decays, which corrects for
//! what the chip loses by rounding. So weights are first multiplied by the ideal gain `1 / (1 − keep)`.

use super::calibrated::threshold_mantissa;
use super::fields::Fitter;
use super::nengo_loihi::{FloatBlock, FloatSynapse, IntBlock, discretize};
use super::quality::{Losses, assess};
use super::{Done, Job};
use itertools::Itertools;
use snncc_ids::{Diagnostic, code};
use snncc_ir::network::Comparison;
use snncc_ir::{IntNeurons, IntWeights, Param, ResetModel, SignMode};

/// Decays below half a register step are not corrected, as in nengo-loihi.
const SCALED_DECAY_STEPS: f64 = 0.5;
/// A membrane that does not spike is given room for this many times its largest input …
const MEMBRANE_INPUTS: f64 = 64.0;
/// … or for this many times what was observed.
const OBSERVED_HEADROOM: f64 = 1.5;

/// Quantizes a population of float neurons and the projections onto it.
pub(super) fn quantize_population(job: &Job<'_>) -> Result<Done, Vec<Diagnostic>> {
    let refuse = |message: String| {
        let message = format!("`{}`: {message} (rules of nengo-loihi)", job.population.name);
        vec![
            Diagnostic::error(code::VALUE_OVERFLOWS, message)
                .at(job.population.item.clone())
                .help("`--quantizer calibrated` has no such restriction"),
        ]
    };
    let params = job.params;
    let uniform = |param: &Param| param.values().iter().all_equal();
    if !uniform(&params.current_keep) || !uniform(&params.voltage_keep) {
        return Err(refuse("its neurons have different decays, but must share a voltage scale".into()));
    }
    let first = |param: &Param| param.values().first().copied().unwrap_or(0.0);
    let (loss_u, loss_v) = (1.0 - first(&params.current_keep), 1.0 - first(&params.voltage_keep));
    let smallest = SCALED_DECAY_STEPS / f64::from(job.registers.arithmetic.decay_fraction_bits).exp2();
    if loss_u <= smallest {
        return Err(refuse(match job.reset {
            None => "its current does not decay".into(),
            Some(_) => "it resets by subtraction and does not leak, so its current does not decay".into(),
        }));
    }
    let scale_v = loss_v > smallest;
    let bias_gain = if scale_v { 1.0 / loss_v } else { 1.0 };
    let weight_gain = bias_gain / loss_u;

    let block = block(job, loss_u, loss_v, scale_v, weight_gain, bias_gain);
    let integers = discretize(&block, job.core).map_err(refuse)?;
    let mut problems = Vec::new();
    let (neurons, threshold_error) = neurons(job, &integers, weight_gain, &mut problems);
    let stored: Vec<IntWeights> = integers
        .synapses
        .iter()
        .map(|synapse| IntWeights {
            mantissas: synapse.mantissas.clone(),
            exponent: synapse.exponent,
            weight_bits: job.weight_bits,
            sign_mode: SignMode::Mixed,
        })
        .collect();
    let rows = job.rows();
    let by_row: Vec<IntWeights> = stored
        .iter()
        .zip(&rows)
        .map(|(weights, rows)| IntWeights { mantissas: rows.to_row_order(&weights.mantissas), ..weights.clone() })
        .collect();
    let clipped = integers.synapses.iter().map(|synapse| synapse.clipped).collect();
    let losses = Losses { clipped, threshold_error, biases_clipped: 0 };
    let assessment = assess(job, &rows, &neurons, &by_row, &losses);
    problems.extend(assessment.warnings);
    Ok(Done {
        neurons,
        quality: Some(assessment.population),
        weights: stored,
        weight_quality: assessment.projections,
        problems,
    })
}

fn block(job: &Job<'_>, loss_u: f64, loss_v: f64, scale_v: bool, weight_gain: f64, bias_gain: f64) -> FloatBlock {
    let params = job.params;
    let count = job.population.len();
    let synapses: Vec<FloatSynapse> = job
        .incoming
        .iter()
        .map(|incoming| {
            let weights: Vec<f32> = incoming.weights.iter().map(|weight| (weight * weight_gain) as f32).collect();
            // Targets matter only where decays differ, which is refused.
            let targets = vec![0; weights.len()];
            FloatSynapse { weights, targets }
        })
        .collect();
    let stand_in = membrane_room(job);
    FloatBlock {
        decay_u: vec![loss_u as f32; count],
        decay_v: vec![loss_v as f32; count],
        threshold: (0..count).map(|neuron| params.threshold.get(neuron).min(stand_in) as f32).collect(),
        bias: (0..count).map(|neuron| (params.bias.get(neuron) * bias_gain) as f32).collect(),
        scale_u: true,
        scale_v,
        v_min: params.v_min.unwrap_or(f64::NEG_INFINITY),
        v_max: f64::INFINITY,
        weight_bits: job.weight_bits,
        synapses,
    }
}

/// Voltage that must be held where there is no threshold; infinite where every neuron has one.
fn membrane_room(job: &Job<'_>) -> f64 {
    if job.params.threshold.values().iter().all(|threshold| threshold.is_finite()) {
        return f64::INFINITY;
    }
    if let Some(own) = job.own {
        let offset = job.params.v_offset.values().first().copied().unwrap_or(0.0);
        let largest = (own.v_min - offset).abs().max((own.v_max - offset).abs());
        if largest.is_finite() && largest > 0.0 {
            return largest * OBSERVED_HEADROOM;
        }
    }
    let weights = job.incoming.iter().flat_map(|incoming| incoming.weights);
    let largest = weights.chain(job.params.bias.values()).fold(0.0_f64, |max, value| max.max(value.abs()));
    if largest > 0.0 { largest * MEMBRANE_INPUTS } else { 1.0 }
}

fn neurons(job: &Job<'_>, block: &IntBlock, weight_gain: f64, problems: &mut Vec<Diagnostic>) -> (IntNeurons, f64) {
    let (params, registers) = (job.params, job.registers);
    let units = block.voltage_scale;
    // A current of one volt is `weight_gain` of nengo-loihi's weights, each of this many units.
    let weight_units =
        block.weight_scale[0] * f64::from(i32::from(registers.arithmetic.weight_shift) + block.weight_exponent).exp2();
    let mut fitter = Fitter::new(job.policy, job.population);
    let state = registers.state_format().field();
    let u_initial = fitter.fit("u_initial", state, &params.u_initial.map(|u| u * weight_gain * weight_units));
    let v_initial = fitter.fit("v_initial", state, &params.v_initial.map(|v| v * units));
    let refractory = fitter.fit("refractory", registers.refractory_field(), &params.refractory_steps.map(f64::from));
    problems.append(&mut fitter.problems);
    let top = registers.threshold_field().high;
    let unit = registers.threshold_unit();
    let mut threshold_error = 0.0_f64;
    let thresholds = (0..job.population.len())
        .map(|neuron| {
            let threshold = params.threshold.get(neuron);
            if threshold.is_infinite() {
                return top;
            }
            let mut mantissa = block.threshold_mantissa[neuron];
            if params.comparison == Comparison::GreaterOrEqual {
                mantissa = threshold_mantissa(mantissa as f64 * unit, params.comparison, unit, false).0 as i64;
            }
            if threshold != 0.0 {
                threshold_error = threshold_error.max((mantissa as f64 * unit / units / threshold - 1.0).abs());
            }
            mantissa
        })
        .collect();
    let widest = registers.v_min_exponent(None);
    let neurons = IntNeurons {
        decay_u: Param::from_values(block.decay_u.clone()),
        decay_v: Param::from_values(block.decay_v.clone()),
        threshold_mantissa: Param::from_values(thresholds),
        bias_mantissa: Param::from_values(block.bias_mantissa.clone()),
        bias_exponent: Param::from_values(block.bias_exponent.clone()),
        refractory,
        u_initial,
        v_initial,
        v_min_exponent: match params.v_min {
            None => widest,
            Some(_) => Some(widest.map_or(block.v_min_exponent, |widest| block.v_min_exponent.min(widest))),
        },
        v_max_exponent: registers.v_max_exponent(),
        reset: ResetModel::Lif,
        noise: None,
        start_step: 1 + job.population.latency_steps,
        units_per_volt: Param::Uniform(units),
        v_offset: params.v_offset.clone(),
        spikes: params.spikes(),
    };
    (neurons, threshold_error)
}
