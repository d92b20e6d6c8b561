//! Floats to the numbers of a SpiNNaker-like core.
//!
//! Each population has one scale, in units per volt, and each core a left shift for each of its two synapse types. A ring-buffer slot sums the
//! weights that arrive in a step in 16 bits, so the largest sum that is expected fixes the weights' resolution, and what the
//! membrane may reach bounds scale and shifts together. The scale is that of the largest sum of the population; a core whose own
//! largest sum is smaller has a smaller shift, and weights of more bits. Where neurons share weights (convolutions), a weight is one
//! integer for all cores, and they have one shift.
//!
//! **The largest sum.** If every synapse is active in one step, a slot holds the sum of all weights of the type; where that
//! leaves the largest weight at least [`FULL_CODES`] steps, nothing can saturate. Otherwise the sum is the one that sPyNNaker
//! expects of independent Poisson sources: mean and `expected_deviations` standard deviations at measured rates, or at
//! `expected_rate_hz`, but not less than the largest weight nor more than all. The emulator counts what saturates.
//!
//! **The membrane** is the voltage relative to the reset. Exponential currents drive it as `(1 − keep)(resistance · x + …)`: the
//! resistance is `1/(1 − keep)`, so that currents are in the units of the membrane.

use super::split::{Slice, Split};
use crate::Ctx;
use rayon::prelude::*;
use snncc_chip::SpinnakerCore;
use snncc_ids::{Diagnostic, Diagnostics, IdVec, PopulationId, ProjectionId, code};
use snncc_ir::network::Comparison;
use snncc_ir::spinnaker::{NeuronProgram, SYNAPSE_TYPES, SpikeReset, SpinnakerIr, SpinnakerNeurons, SynapseType};
use snncc_ir::{
    Calibration, Connectivity, Ir, IrNeurons, IrWeights, NeuronParams, Param, Population, PopulationQuality,
    Projection, ProjectionQuality,
};
use std::ops::Range;

/// The largest weight keeps at least so many steps when room is made for all synapses at once.
const FULL_CODES: f64 = (1_u32 << 8) as f64;
/// Parts of a threshold that weights hold exactly …
const FRACTIONS: f64 = (1_u32 << 8) as f64;
/// … where the threshold has so many times as many weight steps: it loses one part in as many at most.
const ROUNDED_FRACTIONS: f64 = (1_u32 << 4) as f64;
/// Membranes that were seen are stretched by this.
const SEEN_HEADROOM: f64 = 4.0;
/// Thresholds that a membrane may be away from its reset where nothing was seen.
const ASSUMED_REACH: f64 = (1_u32 << 8) as f64;
/// Step of a network without time constants, in seconds.
const ABSTRACT_STEP_S: f64 = 1e-3;
/// Largest membrane, in units: half of what 32 bits hold, so that differences of two fit.
const MEMBRANE_MAX: f64 = (1_u32 << 30) as f64;

/// A projection onto a population.
struct Incoming<'a> {
    id: ProjectionId,
    projection: &'a Projection,
    weights: &'a [f64],
    /// Spikes per step of each source neuron, if measured.
    rates: Option<&'a [f64]>,
}

/// What becomes of a population.
struct Done {
    neurons: SpinnakerNeurons,
    quality: PopulationQuality,
    weights: Vec<(ProjectionId, Vec<i32>, ProjectionQuality)>,
    problems: Vec<Diagnostic>,
}

/// Quantizes a network whose slices are known.
///
/// # Errors
/// SNN0205 for what the programs cannot do, SNN0601 for values that do not fit their register.
pub fn quantize(ir: Ir, split: &Split, ctx: &mut Ctx<'_>) -> Result<SpinnakerIr, Diagnostics> {
    let core = super::core(ctx);
    let mut problems = Diagnostics::new();
    let mut jobs: Vec<(PopulationId, &NeuronParams)> = Vec::new();
    for (id, neurons) in ir.neurons.iter_with_ids() {
        match neurons {
            Some(IrNeurons::Float(params)) => jobs.push((id, params)),
            Some(IrNeurons::Integer(_)) => {
                let population = &ir.graph.populations[id];
                let message = format!("`{}` is given in the integers of Loihi-like chips", population.name);
                problems.push(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message).at(population.item.clone()));
            }
            None => {}
        }
    }
    let ((), _) = problems.into_result(())?;
    let step_s = ir.dt_s.unwrap_or(ABSTRACT_STEP_S);
    let results: Vec<(PopulationId, Result<Done, Vec<Diagnostic>>)> = jobs
        .into_par_iter()
        .map(|(id, params)| {
            let slices = &split.slices[split.of(id)];
            (id, population(&ir, id, (params, slices), core, ctx.calibration, step_s))
        })
        .collect();

    let mut problems = Diagnostics::new();
    let mut neurons = vec![None; ir.graph.populations.len()];
    let mut population_quality = vec![None; ir.graph.populations.len()];
    let mut weights: Vec<Vec<i32>> = vec![Vec::new(); ir.graph.projections.len()];
    let mut projection_quality: Vec<Option<ProjectionQuality>> = vec![None; ir.graph.projections.len()];
    for (id, result) in results {
        match result {
            Err(errors) => problems.0.extend(errors),
            Ok(done) => {
                neurons[id.0 as usize] = Some(done.neurons);
                population_quality[id.0 as usize] = Some(done.quality);
                problems.0.extend(done.problems);
                for (id, quantized, quality) in done.weights {
                    weights[id.0 as usize] = quantized;
                    projection_quality[id.0 as usize] = Some(quality);
                }
            }
        }
    }
    let ((), warnings) = problems.into_result(())?;
    warnings.into_iter().for_each(|warning| ctx.observer.warning(warning));
    let quality = |quality: Option<ProjectionQuality>| quality.expect("bug in snncc: a projection onto no neurons");
    Ok(SpinnakerIr {
        neurons: neurons.into(),
        weights: weights.into(),
        population_quality: population_quality.into(),
        projection_quality: projection_quality.into_iter().map(quality).collect::<IdVec<ProjectionId, _>>(),
        outputs: ir.outputs,
        dt_s: ir.dt_s,
        graph: ir.graph,
    })
}

fn population(
    ir: &Ir,
    id: PopulationId,
    (params, slices): (&NeuronParams, &[Slice]),
    core: &SpinnakerCore,
    calibration: Option<&Calibration>,
    step_s: f64,
) -> Result<Done, Vec<Diagnostic>> {
    let population = &ir.graph.populations[id];
    let program = program(params, core, population).map_err(|problem| vec![problem])?;
    let incoming: Vec<Incoming<'_>> = ir
        .graph
        .projections
        .iter_with_ids()
        .filter(|(_, projection)| projection.target == id)
        .map(|(id, projection)| {
            let IrWeights::Float(weights) = &ir.weights[id] else {
                panic!("bug in snncc: integer weights onto float neurons");
            };
            let known = calibration.and_then(|known| known.of(&ir.graph.populations[projection.source].name));
            let rates =
                known.map(|known| &known.rates[..]).filter(|rates| rates.len() == projection.source_len as usize);
            Incoming { id, projection, weights, rates }
        })
        .collect();

    let sums = Sums::new(population.len(), &incoming, core, step_s);
    let slot_max = f64::from((1_u32 << core.formats.weight_bits.0) - 1);
    let fraction = f64::from(1_u32 << core.formats.fraction_bits.0);
    let membrane_keep = params.voltage_keep.map(|keep| (keep * fraction).round_ties_even() as i32);

    // How far membrane and currents may go, in volts.
    let seen = calibration.and_then(|known| known.of(&population.name));
    let reach = reach(population, params, &sums, seen.map(|seen| seen.v_min.abs().max(seen.v_max.abs())));
    let largest_scale = MEMBRANE_MAX / reach;
    // Slots of the type with the larger sums are filled; the shift makes the most of the membrane's bits.
    let largest_sum = sums.expected.iter().copied().fold(0.0, f64::max);
    let shift_max = i32::from(core.formats.left_shift_max.0);
    let shift = match largest_sum > 0.0 {
        true => (largest_scale * largest_sum / slot_max).log2().floor().clamp(0.0, shift_max.into()),
        false => 0.0,
    };
    let filled = if largest_sum > 0.0 { slot_max / largest_sum * shift.exp2() } else { f64::INFINITY };
    let mut units_per_volt = filled.min(largest_scale);
    if let Param::Uniform(threshold) = params.threshold
        && threshold.is_finite()
        && threshold * units_per_volt >= 1.0
    {
        // Weights that are simple fractions of the threshold are exact, and with them the comparison where sums reach it.
        let steps = threshold * units_per_volt / shift.exp2();
        let fraction = if steps >= FRACTIONS * ROUNDED_FRACTIONS { FRACTIONS * shift.exp2() } else { 1.0 };
        units_per_volt = (threshold * units_per_volt / fraction).floor() * fraction / threshold;
    }
    let shift_of = |sum: f64| {
        let needed = (sum * units_per_volt / slot_max).log2().ceil();
        if needed.is_finite() { needed.clamp(0.0, shift_max.into()) as u8 } else { 0 }
    };
    let one_shift = slices.len() == 1 || incoming.iter().any(|incoming| shares_weights(incoming.projection));
    let shifts: [Param<u8>; SYNAPSE_TYPES] = std::array::from_fn(|kind| match one_shift {
        true => Param::Uniform(shift_of(sums.expected[kind])),
        false => {
            let shift = |slice: &Slice| (shift_of(sums.of_slice(kind, slice)), slice.len as usize);
            Param::from_values(
                slices.iter().map(shift).flat_map(|(shift, len)| std::iter::repeat_n(shift, len)).collect(),
            )
        }
    });

    let mut problems = Vec::new();
    let weights = incoming
        .iter()
        .map(|incoming| {
            let (quantized, quality) = weights(incoming, units_per_volt, &shifts, slot_max as i32);
            (incoming.id, quantized, quality)
        })
        .collect();
    if sums.statistical {
        let message =
            format!("`{}`: ring buffers have room for likely input, not for all synapses at once", population.name);
        problems.push(
            Diagnostic::warning(code::LIKELY_INPUT_SCALE, message)
                .at(population.item.clone())
                .note("room for the largest input would leave the weights fewer than 8 bits")
                .note("the emulator counts saturated slots; none on your data means that none mattered"),
        );
    }
    let chosen = Chosen { program, membrane_keep, units_per_volt, shifts };
    let (neurons, quality) = neurons(population, params, chosen, core, &mut problems);
    match problems.iter().any(|problem| problem.severity == snncc_ids::Severity::Error) {
        true => Err(problems),
        false => Ok(Done { neurons, quality, weights, problems }),
    }
}

/// The program that neurons of these parameters need.
fn program(params: &NeuronParams, core: &SpinnakerCore, population: &Population) -> Result<NeuronProgram, Diagnostic> {
    let refuse = |field: &str, message: String| {
        let item = format!("{}/{field}", population.item);
        Err(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, format!("`{}`: {message}", population.name)).at(item))
    };
    if params.v_min.is_some() {
        return refuse("v_min", "the membrane has a lower bound, which no program of this chip has".into());
    }
    if params.subtracts && !core.arithmetic.subtraction.0 {
        return refuse("reset", "this chip has no program whose spikes subtract from the membrane".into());
    }
    if params.current_keep.values().iter().all(|keep| *keep == 0.0) && core.arithmetic.delta.0 {
        return Ok(NeuronProgram::Delta);
    }
    let fraction = f64::from(1_u32 << core.formats.fraction_bits.0);
    let decays = |keep: &f64| (keep * fraction).round_ties_even() < fraction;
    if !params.voltage_keep.values().iter().all(decays) {
        let message = "exponential currents drive a membrane that keeps all of its voltage; the program's membrane decays \
                       toward what drives it, by at least one unit of its fraction in every step";
        return refuse("tau_mem", message.into());
    }
    Ok(NeuronProgram::CurrentExponential)
}

/// Whether neurons of different slices may have one weight.
fn shares_weights(projection: &Projection) -> bool {
    matches!(projection.connectivity, Connectivity::Convolution(_) | Connectivity::OneToOne { shared: true })
}

/// Sums of the weights that arrive in one step, by synapse type.
struct Sums {
    /// For each type and neuron: all weights, mean and variance of what arrives, largest weight.
    neurons: [Vec<[f64; 4]>; SYNAPSE_TYPES],
    /// Standard deviations above the mean.
    deviations: f64,
    slot_max: f64,
    /// Of each type, whether it has room for all weights.
    full: [bool; SYNAPSE_TYPES],
    /// The sum that slots have room for, in volts: the largest of all neurons.
    expected: [f64; SYNAPSE_TYPES],
    /// Whether more may arrive.
    statistical: bool,
}

impl Sums {
    fn new(neurons: usize, incoming: &[Incoming<'_>], core: &SpinnakerCore, step_s: f64) -> Self {
        let mut sums = [0.0; SYNAPSE_TYPES].map(|_: f64| vec![[0.0_f64; 4]; neurons]);
        let assumed = f64::from(core.arithmetic.expected_rate_hz.0) * step_s;
        for incoming in incoming {
            for source in 0..incoming.projection.source_len {
                let rate = incoming.rates.map_or(assumed, |rates| rates[source as usize].abs());
                incoming.projection.fan_out(source, |synapse| {
                    let weight = incoming.weights[synapse.weight];
                    let [all, mean, variance, largest] = &mut sums[usize::from(weight < 0.0)][synapse.other as usize];
                    *all += weight.abs();
                    *mean += rate * weight.abs();
                    *variance += rate * weight * weight;
                    *largest = largest.max(weight.abs());
                });
            }
        }
        let mut result = Self {
            neurons: sums,
            deviations: f64::from(core.arithmetic.expected_deviations.0),
            slot_max: f64::from((1_u32 << core.formats.weight_bits.0) - 1),
            full: [true; SYNAPSE_TYPES],
            expected: [0.0; SYNAPSE_TYPES],
            statistical: false,
        };
        for kind in 0..SYNAPSE_TYPES {
            let all = result.all(kind, 0..neurons);
            result.full[kind] = all.is_some();
            result.expected[kind] = all.unwrap_or_else(|| result.likely(kind, 0..neurons));
            result.statistical |= all.is_none();
        }
        result
    }

    /// The sum of all weights, where that leaves the largest one bits enough.
    fn all(&self, kind: usize, neurons: Range<usize>) -> Option<f64> {
        let most = |at: usize| self.neurons[kind][neurons.clone()].iter().map(|sum| sum[at]).fold(0.0, f64::max);
        let (all, largest) = (most(0), most(3));
        // A little room for rounding: each weight may be half a step too large.
        (largest * self.slot_max >= all * FULL_CODES).then_some(all * (1.0 + FULL_CODES / self.slot_max))
    }

    /// The largest sum that is likely.
    fn likely(&self, kind: usize, neurons: Range<usize>) -> f64 {
        let likely = |sum: &[f64; 4]| (sum[1] + self.deviations * sum[2].sqrt()).clamp(sum[3], sum[0].max(sum[3]));
        self.neurons[kind][neurons].iter().map(likely).fold(0.0, f64::max)
    }

    /// The sum that slots of a slice have room for: all weights if those of the population have, and not more than it expects.
    fn of_slice(&self, kind: usize, slice: &Slice) -> f64 {
        let neurons = slice.first as usize..(slice.first + slice.len) as usize;
        let sum = if self.full[kind] {
            self.neurons[kind][neurons].iter().map(|sum| sum[0]).fold(0.0, f64::max)
                * (1.0 + FULL_CODES / self.slot_max)
        } else {
            self.all(kind, neurons.clone()).unwrap_or_else(|| self.likely(kind, neurons))
        };
        sum.min(self.expected[kind])
    }
}

/// How far a membrane and what drives it may be from the reset, in volts.
fn reach(population: &Population, params: &NeuronParams, sums: &Sums, seen: Option<f64>) -> f64 {
    let input = sums.expected.iter().copied().fold(0.0, f64::max);
    let mut reach = f64::MIN_POSITIVE;
    for neuron in 0..population.len() {
        let (keep_u, keep_v) = (params.current_keep.get(neuron), params.voltage_keep.get(neuron));
        let gathered = |keep: f64| 1.0 / (1.0 - keep).max(f64::EPSILON);
        let threshold = params.threshold.get(neuron).abs();
        let threshold = if threshold.is_finite() { threshold } else { 0.0 };
        let bias = params.bias.get(neuron).abs();
        // What a membrane without leak gathers has no bound: the program saturates there.
        let driven = match keep_v {
            1.0 => (threshold + input + bias) * ASSUMED_REACH,
            keep_v => (input * gathered(keep_u) + bias) * gathered(keep_v),
        };
        let driven = match (seen, params.current_keep.get(neuron) == 0.0) {
            (Some(seen), true) if seen.is_finite() => driven.min((seen + bias + input) * SEEN_HEADROOM),
            _ => driven,
        };
        let initial = params.v_initial.get(neuron).abs() + params.u_initial.get(neuron).abs();
        reach = reach.max(driven.max(2.0 * (threshold + input + bias)).max(2.0 * initial));
    }
    reach
}

/// Weights as signed magnitudes, and what that cost.
fn weights(
    incoming: &Incoming<'_>,
    units_per_volt: f64,
    shifts: &[Param<u8>; SYNAPSE_TYPES],
    max: i32,
) -> (Vec<i32>, ProjectionQuality) {
    let (mut signal, mut noise, mut max_error, mut zeroed, mut clipped) = (0.0, 0.0, 0.0_f64, 0, 0);
    let projection = incoming.projection;
    let quantized: Vec<i32> = (incoming.weights.iter().enumerate())
        .map(|(at, &weight)| {
            let shift = match &shifts[usize::from(weight < 0.0)] {
                Param::Uniform(shift) => *shift,
                Param::PerNeuron(shifts) => shifts[target_of(projection, at)],
            };
            let scale = units_per_volt / f64::from(1_u32 << shift);
            let rounded = (weight * scale).round_ties_even();
            let fitted = rounded.clamp(-f64::from(max), f64::from(max));
            let error = fitted / scale - weight;
            clipped += u64::from(fitted != rounded);
            zeroed += u64::from(weight != 0.0 && fitted == 0.0);
            signal += weight * weight;
            noise += error * error;
            max_error = max_error.max(error.abs());
            fitted as i32
        })
        .collect();
    let sqnr_db = if noise == 0.0 { f64::INFINITY } else { 10.0 * (signal / noise).log10() };
    let count = quantized.len() as u64;
    (quantized, ProjectionQuality { weights: count, sqnr_db, max_error, zeroed, clipped })
}

/// The neuron that a weight leads to.
fn target_of(projection: &Projection, weight: usize) -> usize {
    match &projection.connectivity {
        Connectivity::Dense => weight / projection.source_len as usize,
        Connectivity::Sparse(pattern) => pattern.targets[weight] as usize,
        Connectivity::OneToOne { .. } => weight,
        Connectivity::Convolution(_) => panic!("bug in snncc: a shared weight leads to one neuron"),
    }
}

/// What was chosen for a population.
struct Chosen {
    program: NeuronProgram,
    membrane_keep: Param<i32>,
    units_per_volt: f64,
    shifts: [Param<u8>; SYNAPSE_TYPES],
}

fn neurons(
    population: &Population,
    params: &NeuronParams,
    chosen: Chosen,
    core: &SpinnakerCore,
    problems: &mut Vec<Diagnostic>,
) -> (SpinnakerNeurons, PopulationQuality) {
    let Chosen { program, membrane_keep, units_per_volt, shifts } = chosen;
    let fraction = f64::from(1_u32 << core.formats.fraction_bits.0);
    let mut fit = |field: &str, values: Param, max: f64| -> Param<i32> {
        let worst = values
            .values()
            .iter()
            .copied()
            .fold(0.0, |worst: f64, value| if value.abs() > worst.abs() { value } else { worst });
        if worst.abs() > max {
            let message = format!("`{}`: {field} of {worst:.0} units; the register holds {max:.0}", population.name);
            problems.push(Diagnostic::error(code::VALUE_OVERFLOWS, message).at(format!("{}/{field}", population.item)));
        }
        values.map(|value| value.clamp(-max, max) as i32)
    };
    let max = f64::from(i32::MAX);
    let units = |values: &Param| values.map(|value| (value * units_per_volt).round_ties_even());
    let v_threshold = params.threshold.map(|threshold| {
        let units = threshold * units_per_volt;
        match params.comparison {
            _ if threshold.is_infinite() => max,
            Comparison::Greater => units.floor() + 1.0,
            Comparison::GreaterOrEqual => units.ceil(),
        }
    });
    let resistance = membrane_keep.map(|keep| (fraction * fraction / (fraction - f64::from(keep)).max(0.5)).round());
    let resistance = match program {
        NeuronProgram::Delta => Param::Uniform(0.0),
        NeuronProgram::CurrentExponential => resistance,
    };
    let one = (1_u64 << 32) as f64;
    let decay = params.current_keep.map(|keep| (keep * one).round().min(one - 1.0) as u32);
    let synapse_type = |at: usize| {
        let sign = if at == 0 { 1.0 } else { -1.0 };
        let initial = params.u_initial.map(|u| ((u * sign).max(0.0) * units_per_volt).round_ties_even() as i32);
        SynapseType { decay: decay.clone(), init: Param::Uniform(u32::MAX), initial, left_shift: shifts[at].clone() }
    };
    let refractory = params.refractory_steps.map(|steps| f64::from(steps.saturating_sub(1)));
    let neurons = SpinnakerNeurons {
        program,
        reset: if params.subtracts { SpikeReset::BySubtraction } else { SpikeReset::ToValue },
        v_initial: fit("v_initial", units(&params.v_initial), MEMBRANE_MAX),
        v_rest: Param::Uniform(0),
        resistance: fit("tau_mem", resistance, max),
        i_offset: fit("bias", units(&params.bias), MEMBRANE_MAX),
        v_reset: Param::Uniform(0),
        v_threshold: fit("v_threshold", v_threshold, max),
        refractory_steps: fit("refractory", refractory, max),
        synapse_types: [synapse_type(0), synapse_type(1)],
        start_step: 1 + population.latency_steps,
        units_per_volt: Param::Uniform(units_per_volt),
        v_offset: params.v_offset.clone(),
        spikes: params.spikes(),
        membrane_keep,
    };
    let volt = |neuron: usize| {
        let threshold = params.threshold.get(neuron).abs();
        if threshold.is_finite() && threshold > 0.0 { threshold } else { 1.0 }
    };
    let mut quality = PopulationQuality {
        threshold_error: 0.0,
        bias_error: 0.0,
        decay_error: 0.0,
        biases_clipped: 0,
        calibrated_error: None,
    };
    for neuron in 0..population.len() {
        let bias = f64::from(neurons.i_offset.get(neuron)) / units_per_volt - params.bias.get(neuron);
        quality.bias_error = quality.bias_error.max(bias.abs() / volt(neuron));
        let kept = f64::from(neurons.membrane_keep.get(neuron)) / fraction - params.voltage_keep.get(neuron);
        quality.decay_error = quality.decay_error.max(kept.abs());
        if params.threshold.get(neuron).is_finite() {
            let exact = params.threshold.get(neuron) * units_per_volt;
            let error = (f64::from(neurons.v_threshold.get(neuron)) - exact).abs() / exact.abs().max(1.0);
            quality.threshold_error = quality.threshold_error.max(error);
        }
    }
    (neurons, quality)
}
