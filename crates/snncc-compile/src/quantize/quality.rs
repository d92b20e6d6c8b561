//! What quantization cost: errors of weights and neurons, and what no longer works.
//!
//! Everything is measured on the integers that leave the quantizer, against the floats that entered it, so the figures hold
//! for every strategy.

use super::Job;
use super::fields::Registers;
use super::rows::Rows;
use snncc_ids::{Diagnostic, code};
use snncc_ir::{IntNeurons, IntWeights, PopulationQuality, ProjectionQuality};

/// What only the strategy knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    /// Weights clipped, by projection.
    pub(super) clipped: Vec<u64>,
    /// Largest relative error of a threshold.
    pub(super) threshold_error: f64,
    /// Biases clipped.
    pub(super) biases_clipped: u64,
}

/// Quality of a population, of its projections, and warnings about what no longer works.
pub(super) struct Assessment {
    pub(super) population: PopulationQuality,
    pub(super) projections: Vec<ProjectionQuality>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// Effective weight of a mantissa, in units.
pub(super) fn effective(registers: &Registers<'_>, weights: &IntWeights, mantissa: i32) -> i64 {
    let shifted = match weights.exponent {
        e if e >= 0 => i64::from(mantissa) << e,
        e => i64::from(mantissa) >> -e,
    };
    shifted << registers.arithmetic.weight_shift
}

/// Sums over one neuron's input, in volts.
#[derive(Clone, Copy, Default)]
struct NeuronSums {
    /// Expected input and the variance of it.
    mean: f64,
    variance: f64,
    /// The same of the error.
    error_mean: f64,
    error_variance: f64,
    /// Sum of the positive integer weights, in units.
    positive_units: f64,
}

/// Measures a quantized population. `rows` and `weights` are parallel to the job's projections; mantissas in row order.
pub(super) fn assess(
    job: &Job<'_>,
    rows: &[Rows<'_>],
    neurons: &IntNeurons,
    weights: &[IntWeights],
    losses: &Losses,
) -> Assessment {
    let count = job.population.len();
    let mut sums = vec![NeuronSums::default(); count];
    let mut warnings = Vec::new();
    let mut projections = Vec::with_capacity(rows.len());
    for (index, (rows, weights)) in rows.iter().zip(weights).enumerate() {
        let (quality, warning) =
            assess_projection(job, index, rows, weights, neurons, losses.clipped[index], &mut sums);
        projections.push(quality);
        warnings.extend(warning);
    }
    warnings.extend(unreachable_thresholds(job, neurons, &sums));
    let population = assess_population(job, rows, neurons, losses, &sums);
    Assessment { population, projections, warnings }
}

fn assess_projection(
    job: &Job<'_>,
    index: usize,
    rows: &Rows<'_>,
    weights: &IntWeights,
    neurons: &IntNeurons,
    clipped: u64,
    sums: &mut [NeuronSums],
) -> (ProjectionQuality, Option<Diagnostic>) {
    let (mut signal, mut noise, mut max_error, mut zeroed, mut dead_rows) = (0.0, 0.0, 0.0_f64, 0, 0_usize);
    for row in 0..rows.len() {
        let first = row * rows.neurons_per_row;
        let units_per_volt = neurons.units_per_volt.get(first);
        let mut sum = NeuronSums::default();
        let (mut was_alive, mut is_alive) = (false, false);
        let range = rows.range(row);
        for ((weight, rate), mantissa) in
            rows.weights[range.clone()].iter().zip(rows.rates(row)).zip(&weights.mantissas[range])
        {
            let units = effective(&job.registers, weights, *mantissa);
            let error = units as f64 / units_per_volt - weight;
            signal += weight * weight;
            noise += error * error;
            max_error = max_error.max(error.abs());
            zeroed += u64::from(*weight != 0.0 && units == 0);
            was_alive |= *weight != 0.0;
            is_alive |= units != 0;
            sum.mean += rate * weight;
            sum.variance += rate * (1.0 - rate) * weight * weight;
            sum.error_mean += rate * error;
            sum.error_variance += rate * (1.0 - rate) * error * error;
            sum.positive_units += units.max(0) as f64;
        }
        dead_rows += usize::from(was_alive && !is_alive);
        for neuron in &mut sums[first..first + rows.neurons_per_row] {
            neuron.mean += sum.mean;
            neuron.variance += sum.variance;
            neuron.error_mean += sum.error_mean;
            neuron.error_variance += sum.error_variance;
            neuron.positive_units += sum.positive_units;
        }
    }
    let projection = job.incoming[index].projection;
    // A small constant may well round to 0.
    let warning = (dead_rows > 0 && !job.incoming[index].constants).then(|| {
        let message = format!(
            "`{}`: all weights of {} of {} neuron(s) became 0 (weights of {} bits, largest error {max_error:.3e})",
            projection.name,
            dead_rows * rows.neurons_per_row,
            projection.target_len,
            weights.weight_bits,
        );
        Diagnostic::warning(code::ALL_ZERO_WEIGHTS, message)
            .at(projection.item.clone())
            .note("their weights are small next to those of the other neurons, which share the exponent")
    });
    let sqnr_db = if noise == 0.0 { f64::INFINITY } else { 10.0 * (signal / noise).log10() };
    let weights = rows.weights.len() as u64;
    (ProjectionQuality { weights, sqnr_db, max_error, zeroed, clipped }, warning)
}

/// Voltage that counts as 1 for the errors of a neuron: its threshold, or the largest bias where it has none.
fn reference_volt(job: &Job<'_>, neuron: usize, largest_bias: f64) -> f64 {
    let threshold = job.params.threshold.get(neuron).abs();
    if threshold.is_finite() && threshold > 0.0 {
        threshold
    } else if largest_bias > 0.0 {
        largest_bias
    } else {
        1.0
    }
}

fn assess_population(
    job: &Job<'_>,
    rows: &[Rows<'_>],
    neurons: &IntNeurons,
    losses: &Losses,
    sums: &[NeuronSums],
) -> PopulationQuality {
    let arithmetic = job.registers.arithmetic;
    let largest_bias = job.params.bias.values().iter().fold(0.0_f64, |max, bias| max.max(bias.abs()));
    let (mut bias_error, mut decay_error, mut error_power, mut power) = (0.0_f64, 0.0_f64, 0.0, 0.0);
    for (index, sum) in sums.iter().enumerate() {
        let units_per_volt = neurons.units_per_volt.get(index);
        let volt = reference_volt(job, index, largest_bias);
        let bias = job.params.bias.get(index);
        let error = bias_units(neurons, index) / units_per_volt - bias;
        bias_error = bias_error.max(error.abs() / volt);
        let kept_u = job.registers.kept(neurons.decay_u.get(index), arithmetic.decay_u_offset);
        let kept_v = job.registers.kept(neurons.decay_v.get(index), arithmetic.decay_v_offset);
        decay_error = decay_error
            .max((kept_u - job.params.current_keep.get(index)).abs())
            .max((kept_v - job.params.voltage_keep.get(index)).abs());
        // Of a neuron that resets by subtraction the bias is an offset, no input.
        let (bias, error) = if job.reset.is_some() { (0.0, 0.0) } else { (bias, error) };
        error_power += (sum.error_variance + (sum.error_mean + error).powi(2)) / (volt * volt);
        power += (sum.variance + (sum.mean + bias).powi(2)) / (volt * volt);
    }
    let calibrated = !rows.is_empty() && rows.iter().any(|rows| rows.calibrated);
    PopulationQuality {
        threshold_error: losses.threshold_error,
        bias_error,
        decay_error,
        biases_clipped: losses.biases_clipped,
        calibrated_error: (calibrated && power > 0.0).then(|| (error_power / power).sqrt()),
    }
}

/// Bias of a neuron in units, as the chip adds it.
pub(super) fn bias_units(neurons: &IntNeurons, index: usize) -> f64 {
    let (mantissa, exponent) = (neurons.bias_mantissa.get(index), neurons.bias_exponent.get(index));
    (mantissa as f64 * (exponent as f64).exp2()).floor()
}

/// Neurons that cannot spike although every excitatory synapse is active in every step.
fn unreachable_thresholds(job: &Job<'_>, neurons: &IntNeurons, sums: &[NeuronSums]) -> Option<Diagnostic> {
    if !neurons.spikes {
        return None;
    }
    let arithmetic = job.registers.arithmetic;
    let mut first = None;
    let mut count = 0_usize;
    for (index, sum) in sums.iter().enumerate() {
        if job.params.threshold.get(index).is_infinite() {
            continue;
        }
        let kept_u = job.registers.kept(neurons.decay_u.get(index), arithmetic.decay_u_offset);
        let kept_v = job.registers.kept(neurons.decay_v.get(index), arithmetic.decay_v_offset);
        let gather = |kept: f64, input: f64| if input > 0.0 { input / (1.0 - kept).max(0.0) } else { input };
        let current = gather(kept_u, sum.positive_units) + neurons.u_initial.get(index).max(0) as f64;
        let reach = gather(kept_v, current + bias_units(neurons, index)).max(neurons.v_initial.get(index) as f64);
        let threshold = neurons.threshold_mantissa.get(index) as f64 * job.registers.threshold_unit();
        if reach <= threshold {
            count += 1;
            first.get_or_insert((index, reach, threshold));
        }
    }
    first.map(|(index, reach, threshold)| {
        let message = format!(
            "`{}`: {count} of {} neuron(s) can never spike; neuron {index} reaches at most {reach:.0} units, its threshold is {threshold:.0}",
            job.population.name,
            sums.len(),
        );
        Diagnostic::warning(code::THRESHOLD_UNREACHABLE, message)
            .at(format!("{}/v_threshold", job.population.item))
            .note("counted with every excitatory synapse active in every step, and no inhibition")
    })
}
