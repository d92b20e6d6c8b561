//! The block quantizer of nengo-loihi 1.1.0 (`discretize_model`), to the last bit.
//!
//! A block is a set of compartments that share a voltage scale, and the synapses onto them. The largest weight of the block
//! is scaled to 255; the exponent of that scale falls until threshold and bias fit; weaker synapses take a smaller exponent of
//! their own. Inputs are float32 arrays, and the steps that numpy makes in float32 are made in float32 here; all else is
//! float64, rounded half to even. **Invariant:** the golden cases `disc_*` come out bit for bit.
//!
//! Source of the rules: specs of the public emulator, and its behaviour on generated blocks. Widths come from the hardware
//! model; the constants below belong to the method.

use snncc_chip::LoihiCore;

/// Input magnitude for which [`decay_gain`] counts the loss by rounding.
const DECAY_INPUT: f64 = 2_097_152.0;
/// Expected loss of one rounding down, as nengo-loihi measured it.
const DECAY_LOSS: f64 = 0.494;
/// The block's exponent is searched from 0 down to this.
const SMALLEST_BLOCK_EXPONENT: i32 = -7;
/// No synapse gets an exponent below this.
const SMALLEST_SYNAPSE_EXPONENT: i32 = -6;
/// Weights or biases that are all smaller count as absent.
const ABSENT: f64 = 1e-8;
/// Synapses whose weights are all smaller count as empty.
const EMPTY_SYNAPSE: f64 = 1e-16;

/// Compartments and synapses in floats, as nengo-loihi configures them.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatBlock {
    /// Part of the current lost per step, of each compartment.
    pub decay_u: Vec<f32>,
    /// Part of the voltage lost per step, of each compartment.
    pub decay_v: Vec<f32>,
    /// Threshold of each compartment.
    pub threshold: Vec<f32>,
    /// Bias of each compartment, before the scaling by `decay_v`.
    pub bias: Vec<f32>,
    /// Whether weights are to be divided by the gain of the current's decay.
    pub scale_u: bool,
    /// Whether weights and biases are to be divided by the gain of the voltage's decay.
    pub scale_v: bool,
    /// Lower bound of the voltage.
    pub v_min: f64,
    /// Upper bound of the voltage; infinite for none.
    pub v_max: f64,
    /// Bits of a weight; 8 in nengo-loihi.
    pub weight_bits: u8,
    /// Synapses, by connection.
    pub synapses: Vec<FloatSynapse>,
}

/// The weights of one connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FloatSynapse {
    /// Weights.
    pub weights: Vec<f32>,
    /// Target compartment of each weight.
    pub targets: Vec<u32>,
}

/// A block in integers.
#[derive(Clone, Debug, PartialEq)]
pub struct IntBlock {
    /// Current decay registers.
    pub decay_u: Vec<i64>,
    /// Voltage decay registers.
    pub decay_v: Vec<i64>,
    /// Threshold mantissas.
    pub threshold_mantissa: Vec<i64>,
    /// Thresholds: mantissas shifted.
    pub threshold: Vec<i64>,
    /// Bias mantissas.
    pub bias_mantissa: Vec<i64>,
    /// Bias exponents.
    pub bias_exponent: Vec<i64>,
    /// Lower clip register: `v >= −2^e + 1`.
    pub v_min_exponent: u8,
    /// Upper clip register: `v <= 2^(9 + 2e) − 1`.
    pub v_max_exponent: u8,
    /// Units per volt.
    pub voltage_scale: f64,
    /// Units of bias per float unit, of each compartment.
    pub bias_scale: Vec<f64>,
    /// Weight of each compartment times this gives 255 at most (before exponents).
    pub weight_scale: Vec<f64>,
    /// Exponent found for the block.
    pub weight_exponent: i32,
    /// Synapses.
    pub synapses: Vec<IntSynapse>,
}

impl IntBlock {
    /// Biases: mantissas shifted.
    pub fn bias(&self) -> Vec<i64> {
        self.bias_mantissa.iter().zip(&self.bias_exponent).map(|(mantissa, exponent)| mantissa << exponent).collect()
    }

    /// Smallest voltage.
    pub fn v_min(&self) -> i64 {
        -(1_i64 << self.v_min_exponent) + 1
    }

    /// Largest voltage.
    pub fn v_max(&self, core: &LoihiCore) -> i64 {
        let arithmetic = &core.arithmetic;
        (1_i64 << (arithmetic.v_max_base_bits + arithmetic.v_max_bits_per_unit * self.v_max_exponent)) - 1
    }
}

/// The weights of one connection in integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntSynapse {
    /// Mantissas, on the grid of mixed weights.
    pub mantissas: Vec<i32>,
    /// Exponent.
    pub exponent: i8,
    /// Weights that were clipped.
    pub clipped: u64,
}

impl IntSynapse {
    /// Effective weights in units: mantissas under exponent and weight shift.
    pub fn effective(&self, core: &LoihiCore) -> Vec<i64> {
        let shift = |mantissa: i64| match self.exponent {
            e if e >= 0 => mantissa << e,
            e => mantissa >> -e,
        };
        self.mantissas.iter().map(|mantissa| shift(i64::from(*mantissa)) << core.arithmetic.weight_shift).collect()
    }
}

/// Sum of the series that an input of 2^21 leaves under a decay with rounding, relative to the input:
/// `x_i = floor(r·x_{i−1})` is estimated by `y_i = r·y_{i−1} − q`, summed until it is 0.
pub fn decay_gain(register: i64, offset: u16, fraction_bits: u8) -> f64 {
    let one = f64::from(fraction_bits).exp2();
    let r = (one - f64::from(offset) - register as f64) / one;
    let n = -((DECAY_INPUT * (1.0 - r) / DECAY_LOSS).ln_1p()) / r.ln();
    let principal = (1.0 - r.powf(n + 1.0)) / (1.0 - r);
    let loss = DECAY_LOSS / ((1.0 - r) * DECAY_INPUT) * (n + 1.0 - (1.0 - r.powf(n + 1.0)) / (1.0 - r));
    principal - loss
}

/// Weight scale: one factor, applied in float32 (with weights), or one per compartment in float64 (without).
enum WeightScale {
    Single(f64),
    PerCompartment(Vec<f64>),
}

struct CompartmentScales {
    voltage: Vec<f64>,
    bias: Vec<f64>,
    weight: WeightScale,
    weight_exponent: i32,
    /// Rounded thresholds and biases, in units.
    thresholds: Vec<f64>,
    biases: Vec<f64>,
    /// Whether the biases were computed in float32.
    single: bool,
}

/// Quantizes a block for a core.
///
/// # Errors
/// A message where nengo-loihi raises: no exponent or bias scale lets thresholds and biases fit, a threshold becomes 0, or
/// compartments of different decays would need different voltage scales.
pub fn discretize(block: &FloatBlock, core: &LoihiCore) -> Result<IntBlock, String> {
    let count = block.threshold.len();
    let lengths = [block.decay_u.len(), block.decay_v.len(), block.bias.len()];
    if count == 0 || lengths.iter().any(|len| *len != count) {
        return Err(format!(
            "a block needs arrays of one length, at least 1; found {count} thresholds and {lengths:?}"
        ));
    }
    let bad_target = |synapse: &FloatSynapse| {
        synapse.targets.len() != synapse.weights.len() || synapse.targets.iter().any(|target| *target as usize >= count)
    };
    if block.synapses.iter().any(bad_target) {
        return Err("each weight needs a target among the compartments".into());
    }
    let arithmetic = &core.arithmetic;
    let largest_decay = ((1_u64 << arithmetic.decay_fraction_bits) - 1) as f32;
    let offset = f32::from(arithmetic.decay_u_offset);
    let decay_u: Vec<i64> = block
        .decay_u
        .iter()
        .map(|decay| (decay * largest_decay - offset).clamp(0.0, largest_decay).round_ties_even() as i64)
        .collect();
    let decay_v: Vec<i64> =
        block.decay_v.iter().map(|decay| (decay * largest_decay).round_ties_even() as i64).collect();

    let largest_weight = block.synapses.iter().map(largest_magnitude).fold(0.0, f32::max);
    let scales = compartment_scales(block, core, &decay_u, &decay_v, largest_weight)?;
    let unit = f64::from(arithmetic.threshold_shift).exp2();
    let threshold_max = core.formats.threshold_mantissa_max.0;
    let threshold_mantissa = scales
        .thresholds
        .iter()
        .map(|threshold| {
            let mantissa = (threshold / unit).round_ties_even();
            let fits = mantissa > 0.0 && mantissa <= threshold_max as f64;
            fits.then_some(mantissa as i64).ok_or_else(|| format!("a threshold of {threshold} units cannot be held"))
        })
        .collect::<Result<Vec<i64>, String>>()?;
    let mut bias_mantissa = Vec::with_capacity(count);
    let mut bias_exponent = Vec::with_capacity(count);
    for bias in &scales.biases {
        let (mantissa, exponent) = split_bias(*bias, core, scales.single)?;
        bias_mantissa.push(mantissa);
        bias_exponent.push(exponent);
    }
    if scales.voltage.iter().any(|scale| *scale != scales.voltage[0]) {
        return Err("the compartments of a block need the same decays, since they share a voltage scale".into());
    }
    let voltage_scale = scales.voltage[0];
    let v_min_exponent = (1.0 - voltage_scale * block.v_min).log2().round_ties_even();
    let v_max_bits = (voltage_scale * block.v_max + 1.0).log2() - f64::from(arithmetic.v_max_base_bits);
    let v_max_exponent = (v_max_bits / f64::from(arithmetic.v_max_bits_per_unit.max(1))).round_ties_even();
    let synapses =
        block.synapses.iter().map(|synapse| quantize_synapse(synapse, block, core, &scales, largest_weight)).collect();
    let shift = arithmetic.threshold_shift;
    let expand = |values: &[f64]| if values.len() == 1 { vec![values[0]; count] } else { values.to_vec() };
    Ok(IntBlock {
        decay_u,
        decay_v,
        threshold: threshold_mantissa.iter().map(|mantissa| mantissa << shift).collect(),
        threshold_mantissa,
        bias_mantissa,
        bias_exponent,
        v_min_exponent: v_min_exponent.clamp(0.0, f64::from(core.formats.v_min_exponent_max.0)) as u8,
        v_max_exponent: v_max_exponent.clamp(0.0, f64::from(core.formats.v_max_exponent_max.0)) as u8,
        voltage_scale,
        bias_scale: expand(&scales.bias),
        weight_scale: match &scales.weight {
            WeightScale::Single(scale) => vec![*scale; count],
            WeightScale::PerCompartment(scales) => expand(scales),
        },
        weight_exponent: scales.weight_exponent,
        synapses,
    })
}

fn largest_magnitude(synapse: &FloatSynapse) -> f32 {
    synapse.weights.iter().fold(f32::NEG_INFINITY, |max, weight| max.max(weight.abs()))
}

/// Factors by which weights and biases are divided, of each compartment; equal decays are computed once.
fn input_factors(registers: &[i64], is_scaled: bool, offset: u16, fraction_bits: u8) -> Vec<f64> {
    let mut known: Option<(i64, f64)> = None;
    registers
        .iter()
        .map(|register| match known {
            _ if !is_scaled => 1.0,
            Some((same, factor)) if same == *register => factor,
            _ => {
                let factor = 1.0 / decay_gain(*register, offset, fraction_bits);
                known = Some((*register, factor));
                factor
            }
        })
        .collect()
}

fn compartment_scales(
    block: &FloatBlock,
    core: &LoihiCore,
    decay_u: &[i64],
    decay_v: &[i64],
    largest_weight: f32,
) -> Result<CompartmentScales, String> {
    let arithmetic = &core.arithmetic;
    let bits = arithmetic.decay_fraction_bits;
    let u_factor = input_factors(decay_u, block.scale_u, arithmetic.decay_u_offset, bits);
    let v_factor = input_factors(decay_v, block.scale_v, arithmetic.decay_v_offset, bits);
    let threshold_max = (core.formats.threshold_mantissa_max.0 as f64) * f64::from(arithmetic.threshold_shift).exp2();
    let bias_max = bias_limit(core);
    let largest_bias = block.bias.iter().fold(0.0_f32, |max, bias| max.max(bias.abs()));
    let weight_unit = |exponent: i32| f64::from(i32::from(arithmetic.weight_shift) + exponent).exp2();
    let scaled = |values: &[f32], scales: &[f64]| -> Vec<f64> {
        values.iter().zip(scales).map(|(value, scale)| (f64::from(*value) * scale).round_ties_even()).collect()
    };
    let thresholds_fit = |thresholds: &[f64]| thresholds.iter().all(|threshold| *threshold <= threshold_max);

    if f64::from(largest_weight) > ABSENT {
        let full = f64::from(core.formats.weight_magnitude_bits.0).exp2() - 1.0;
        let weight_scale = full / f64::from(largest_weight);
        let mut exponent = 0;
        while exponent >= SMALLEST_BLOCK_EXPONENT {
            let voltage: Vec<f64> = u_factor
                .iter()
                .zip(&v_factor)
                .map(|(u, v)| 1.0 / (u * v) * weight_scale * weight_unit(exponent))
                .collect();
            let bias: Vec<f64> = voltage.iter().zip(&v_factor).map(|(scale, v)| scale * v).collect();
            let thresholds = scaled(&block.threshold, &voltage);
            let biases = scaled(&block.bias, &bias);
            if thresholds_fit(&thresholds) && biases.iter().all(|bias| bias.abs() <= bias_max) {
                let weight = WeightScale::Single(weight_scale);
                let weight_exponent = exponent;
                return Ok(CompartmentScales {
                    voltage,
                    bias,
                    weight,
                    weight_exponent,
                    thresholds,
                    biases,
                    single: false,
                });
            }
            exponent -= 1;
        }
        Err("no weight exponent lets thresholds and biases fit".into())
    } else if f64::from(largest_bias) > ABSENT {
        let mut bias_scale = bias_max / f64::from(largest_bias);
        while bias_scale * f64::from(largest_bias) > 1.0 {
            let voltage: Vec<f64> = v_factor.iter().map(|v| bias_scale / v).collect();
            let thresholds = scaled(&block.threshold, &voltage);
            if thresholds_fit(&thresholds) {
                // An array of float32 times one number stays float32 in numpy.
                let single = bias_scale as f32;
                let biases = block.bias.iter().map(|bias| f64::from((bias * single).round_ties_even())).collect();
                let weights = u_factor.iter().map(|u| bias_scale * u / weight_unit(0)).collect();
                return Ok(CompartmentScales {
                    voltage,
                    bias: vec![bias_scale],
                    weight: WeightScale::PerCompartment(weights),
                    weight_exponent: 0,
                    thresholds,
                    biases,
                    single: true,
                });
            }
            bias_scale /= 2.0;
        }
        Err("no bias scale lets the thresholds fit".into())
    } else {
        let largest_threshold = block.threshold.iter().fold(f32::NEG_INFINITY, |max, threshold| max.max(*threshold));
        let scale = threshold_max.min(DECAY_INPUT - 1.0) / (f64::from(largest_threshold) + 1.0);
        let voltage = vec![scale; block.threshold.len()];
        let thresholds = scaled(&block.threshold, &voltage);
        let bias: Vec<f64> = v_factor.iter().map(|v| scale * v).collect();
        let biases = scaled(&block.bias, &bias);
        let weights = bias.iter().zip(&u_factor).map(|(bias, u)| bias * u / weight_unit(0)).collect();
        let weight = WeightScale::PerCompartment(weights);
        Ok(CompartmentScales { voltage, bias, weight, weight_exponent: 0, thresholds, biases, single: false })
    }
}

fn bias_mantissa_max(core: &LoihiCore) -> f64 {
    core.formats.bias_mantissa.0.1 as f64
}

/// Largest bias; where the fields are wider than the state (emulators), what the state holds.
fn bias_limit(core: &LoihiCore) -> f64 {
    let widest = bias_mantissa_max(core) * (core.formats.bias_exponent.0.1 as f64).exp2();
    widest.min(f64::from(core.formats.state_bits.0).exp2() - 1.0)
}

fn split_bias(bias: f64, core: &LoihiCore, single: bool) -> Result<(i64, i64), String> {
    let mantissa_max = bias_mantissa_max(core);
    let exponent = if single {
        f64::from((bias.abs() as f32 / mantissa_max as f32).max(1.0).log2().ceil())
    } else {
        (bias.abs() / mantissa_max).max(1.0).log2().ceil()
    };
    let mantissa = (bias / exponent.exp2()).round_ties_even();
    let (low, high) = core.formats.bias_exponent.0;
    if exponent >= low as f64 && exponent <= high as f64 && mantissa.abs() <= mantissa_max {
        Ok((mantissa as i64, exponent as i64))
    } else {
        Err(format!("a bias of {bias} units cannot be held"))
    }
}

fn quantize_synapse(
    synapse: &FloatSynapse,
    block: &FloatBlock,
    core: &LoihiCore,
    scales: &CompartmentScales,
    largest_weight: f32,
) -> IntSynapse {
    let own = largest_magnitude(synapse);
    let (finer, exponent) = if f64::from(own) > EMPTY_SYNAPSE {
        // A float32 logarithm, rounded once.
        let finer = (f64::from(largest_weight / own).log2() as f32).floor() as i32;
        (finer, (scales.weight_exponent - finer).max(SMALLEST_SYNAPSE_EXPONENT))
    } else {
        (scales.weight_exponent - SMALLEST_SYNAPSE_EXPONENT, SMALLEST_SYNAPSE_EXPONENT)
    };
    let magnitude_bits = core.formats.weight_magnitude_bits.0;
    let shift = (magnitude_bits + 1).saturating_sub(block.weight_bits);
    let limit = f64::from(magnitude_bits.saturating_sub(shift)).exp2() - 1.0;
    let step = f64::from(shift).exp2();
    let total_shift = i32::from(shift) + exponent;
    let mut clipped = 0;
    let mut quantize = |steps: f64| {
        clipped += u64::from(steps.abs() > limit);
        let mut code = steps.clamp(-limit, limit);
        if total_shift < 0 {
            // The chip will shift right; rounding before keeps small weights from a bias downward.
            let lost = f64::from(total_shift).exp2();
            code = ((code * lost).round_ties_even() / lost).clamp(-limit, limit);
        }
        (code as i32) << shift
    };
    let mantissas = match &scales.weight {
        WeightScale::Single(scale) => {
            let (scale, finer) = (*scale as f32, f64::from(finer).exp2() as f32);
            let steps = |weight: &f32| f64::from((weight * scale * finer / step as f32).round_ties_even());
            synapse.weights.iter().map(|weight| quantize(steps(weight))).collect()
        }
        WeightScale::PerCompartment(scales) => {
            let finer = f64::from(finer).exp2();
            let pairs = synapse.weights.iter().zip(&synapse.targets);
            pairs
                .map(|(weight, target)| {
                    let scaled = f64::from(*weight) * scales[*target as usize] * finer;
                    quantize((scaled / step).round_ties_even())
                })
                .collect()
        }
    };
    IntSynapse { mantissas, exponent: exponent as i8, clipped }
}
