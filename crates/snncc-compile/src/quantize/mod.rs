//! Floats become the chip's integers.
//!
//! Populations are independent of one another: the scale of a population (integer units per volt) concerns only its own
//! neurons and the weights onto them. Each is handled by the strategy of the options; integers that the network brings along
//! are checked and passed through unchanged.
//!
//! **Invariant:** every register in the result is in the range that the hardware model gives for it.

mod bounds;
mod calibrated;
mod fields;
pub mod nengo_loihi;
mod nengo_strategy;
mod qformat;
mod quality;
mod rounding;
mod rows;
mod scales;

#[cfg(test)]
mod tests;

pub use qformat::{Field, QFormat};

use crate::{Ctx, OverflowPolicy, QuantizeStrategy};
use fields::{Registers, check_compartments, check_delays, check_weights};
use rayon::prelude::*;
use rows::Rows;
use snncc_chip::LoihiCore;
use snncc_ids::{Diagnostic, Diagnostics, IdVec, PopulationId, ProjectionId, Severity, code};
use snncc_ir::network::Compartments;
use snncc_ir::{
    Calibration, IntNeurons, IntWeights, Ir, IrNeurons, IrWeights, NeuronParams, Param, Population, PopulationQuality,
    PopulationStatistics, Projection, ProjectionQuality, QuantizedIr, Readout,
};

/// A projection with float weights.
struct Incoming<'a> {
    id: ProjectionId,
    projection: &'a Projection,
    weights: &'a [f64],
    /// Spikes per step of each source neuron, if known.
    rates: Option<&'a [f64]>,
    /// Whether the weights are constants that arrive in every step.
    constants: bool,
}

/// A population to quantize, with all that the strategies need.
struct Job<'a> {
    id: PopulationId,
    registers: Registers<'a>,
    core: &'a LoihiCore,
    population: &'a Population,
    params: &'a NeuronParams,
    incoming: Vec<Incoming<'a>>,
    /// The projection that resets the population by subtraction, as an index of `incoming`. Its membrane is the current.
    reset: Option<usize>,
    own: Option<&'a PopulationStatistics>,
    weight_bits: u8,
    per_neuron_scales: bool,
    policy: OverflowPolicy,
}

impl<'a> Job<'a> {
    fn rows(&self) -> Vec<Rows<'a>> {
        self.incoming.iter().map(|incoming| Rows::new(incoming.projection, incoming.weights, incoming.rates)).collect()
    }
}

/// A quantized population; weights in the order of the projections, parallel to [`Job::incoming`].
struct Done {
    neurons: IntNeurons,
    quality: Option<PopulationQuality>,
    weights: Vec<IntWeights>,
    weight_quality: Vec<ProjectionQuality>,
    problems: Vec<Diagnostic>,
}

type JobResult = Result<Done, Vec<Diagnostic>>;

/// Makes the integer IR of a float IR.
///
/// Warnings (values saturated or wrapped, weights that all became 0, thresholds out of reach, scales that rest on likely
/// input) go to the observer.
///
/// # Errors
/// SNN0601 for values that do not fit their register, SNN0404 for delays that the chip cannot hold; one diagnostic for each
/// field of each population and projection.
pub fn quantize(ir: Ir, ctx: &mut Ctx<'_>) -> Result<QuantizedIr, Diagnostics> {
    let core = ctx.target.model.loihi();
    let registers = Registers::new(core);
    let mut problems = check_integers(&ir, &registers);
    check_weight_bits(&ir, ctx, &registers, &mut problems);
    check_calibration(&ir, ctx, &mut problems);
    if problems.has_errors() {
        return Err(problems);
    }

    let jobs = jobs(&ir, ctx, ctx.calibration, core, registers);
    let strategy = ctx.options.strategy;
    let results: Vec<(PopulationId, Vec<ProjectionId>, JobResult)> = jobs
        .par_iter()
        .map(|job| {
            let done = match strategy {
                QuantizeStrategy::Calibrated => Ok(calibrated::quantize_population(job)),
                QuantizeStrategy::NengoLoihi => nengo_strategy::quantize_population(job),
            };
            (job.id, job.incoming.iter().map(|incoming| incoming.id).collect(), done)
        })
        .collect();
    drop(jobs);

    let mut neurons = passed_neurons(&ir);
    let mut weights: Vec<Option<IntWeights>> = vec![None; ir.graph.projections.len()];
    let mut population_quality = vec![None; ir.graph.populations.len()];
    let mut projection_quality = vec![None; ir.graph.projections.len()];
    for (population, projections, result) in results {
        let done = match result {
            Ok(done) => done,
            Err(errors) => {
                problems.0.extend(errors);
                continue;
            }
        };
        problems.0.extend(done.problems);
        neurons[population.0 as usize] = Some(done.neurons);
        population_quality[population.0 as usize] = done.quality;
        for ((id, quantized), quality) in projections.into_iter().zip(done.weights).zip(done.weight_quality) {
            weights[id.0 as usize] = Some(quantized);
            projection_quality[id.0 as usize] = Some(quality);
        }
    }
    if problems.has_errors() {
        return Err(problems);
    }
    for warning in problems.0 {
        debug_assert!(warning.severity == Severity::Warning);
        ctx.observer.warning(warning);
    }
    for (slot, given) in weights.iter_mut().zip(ir.weights.iter()) {
        if let IrWeights::Integer(given) = given {
            *slot = Some(given.clone());
        }
    }
    let weights: Vec<IntWeights> = weights
        .into_iter()
        .map(|weights| weights.expect("bug in snncc: a float projection onto neurons in integers"))
        .collect();
    let quantized = QuantizedIr {
        graph: ir.graph,
        neurons: neurons.into(),
        weights: weights.into(),
        outputs: ir.outputs,
        dt_s: ir.dt_s,
        population_quality: population_quality.into(),
        projection_quality: projection_quality.into(),
    };
    quantized.assert_consistent();
    Ok(quantized)
}

/// Checks what the network gives in integers, and the delays of all projections.
fn check_integers(ir: &Ir, registers: &Registers<'_>) -> Diagnostics {
    let mut problems = Diagnostics::new();
    for (id, population) in ir.graph.populations.iter_with_ids() {
        if let Some(IrNeurons::Integer(compartments)) = &ir.neurons[id] {
            check_compartments(registers, population, compartments, &mut problems);
        }
    }
    for (id, projection) in ir.graph.projections.iter_with_ids() {
        if let IrWeights::Integer(weights) = &ir.weights[id] {
            check_weights(registers, projection, weights, &mut problems);
        }
        check_delays(registers, projection, &mut problems);
    }
    problems
}

/// The width asked for must be one of the chip's.
fn check_weight_bits(ir: &Ir, ctx: &Ctx<'_>, registers: &Registers<'_>, problems: &mut Diagnostics) {
    let bits = ctx.weight_bits();
    let is_needed = ir.weights.iter().any(|weights| matches!(weights, IrWeights::Float(_)));
    if is_needed && !registers.has_weight_bits(bits) {
        let message = format!(
            "weights of {bits} bits were asked for; the chip `{}` has {}",
            ctx.target.model.name,
            registers.weight_bits_text()
        );
        problems.push(Diagnostic::error(code::VALUE_OVERFLOWS, message).at("options/weight_bits"));
    }
}

/// A calibration that comes with a network file may be of another network.
fn check_calibration(ir: &Ir, ctx: &Ctx<'_>, problems: &mut Diagnostics) {
    let Some(calibration) = ctx.calibration else { return };
    for population in &ir.graph.populations {
        if let Some(known) = calibration.of(&population.name)
            && known.rates.len() != population.len()
        {
            let (name, rates, neurons) = (&population.name, known.rates.len(), population.len());
            let message =
                format!("the calibration of `{name}` has {rates} rate(s), and the population {neurons} neuron(s)");
            problems.push(
                Diagnostic::error(code::SHAPE_MISMATCH, message)
                    .at(format!("calibration/{name}"))
                    .help("remove the section `calibration` from the network file, or convert the network again"),
            );
        }
    }
}

fn jobs<'a>(
    ir: &'a Ir,
    ctx: &Ctx<'_>,
    calibration: Option<&'a Calibration>,
    core: &'a LoihiCore,
    registers: Registers<'a>,
) -> Vec<Job<'a>> {
    let statistics: IdVec<PopulationId, Option<&PopulationStatistics>> = ir
        .graph
        .populations
        .iter()
        .map(|population| calibration.and_then(|calibration| calibration.of(&population.name)))
        .collect();
    let mut incoming: Vec<Vec<Incoming<'a>>> = (0..ir.graph.populations.len()).map(|_| Vec::new()).collect();
    for (id, projection) in ir.graph.projections.iter_with_ids() {
        if let IrWeights::Float(weights) = &ir.weights[id] {
            let measured = statistics[projection.source].map(|statistics| &statistics.rates[..]);
            let constants = ir.graph.sends_constants(projection.source);
            let rates = if constants { Some(&[1.0][..]) } else { measured };
            incoming[projection.target.0 as usize].push(Incoming { id, projection, weights, rates, constants });
        }
    }
    let mut jobs = Vec::new();
    for ((id, population), incoming) in ir.graph.populations.iter_with_ids().zip(incoming) {
        if let Some(IrNeurons::Float(params)) = &ir.neurons[id] {
            let reset = ir.graph.reset_projection(id);
            jobs.push(Job {
                id,
                reset: incoming.iter().position(|incoming| Some(incoming.id) == reset),
                registers,
                core,
                population,
                params,
                incoming,
                own: statistics[id],
                weight_bits: ctx.weight_bits(),
                per_neuron_scales: ctx.options.per_neuron_scales,
                policy: ctx.options.overflow,
            });
        }
    }
    jobs
}

/// Neurons given in integers, unchanged; `None` for all others.
fn passed_neurons(ir: &Ir) -> Vec<Option<IntNeurons>> {
    ir.graph
        .populations
        .iter_with_ids()
        .map(|(id, population)| match &ir.neurons[id] {
            Some(IrNeurons::Integer(compartments)) => {
                let is_membrane =
                    |port: &snncc_ir::OutputPort| port.population == id && port.readout == Readout::Membrane;
                Some(passed(compartments, population, !ir.outputs.iter().any(is_membrane)))
            }
            _ => None,
        })
        .collect()
}

fn passed(given: &Compartments, population: &Population, spikes: bool) -> IntNeurons {
    IntNeurons {
        decay_u: given.decay_u.clone(),
        decay_v: given.decay_v.clone(),
        threshold_mantissa: given.threshold_mantissa.clone(),
        bias_mantissa: given.bias_mantissa.clone(),
        bias_exponent: given.bias_exponent.clone(),
        refractory: given.refractory.clone(),
        u_initial: given.u_initial.clone(),
        v_initial: given.v_initial.clone(),
        v_min_exponent: given.v_min_exponent,
        v_max_exponent: given.v_max_exponent,
        reset: given.reset,
        noise: given.noise.clone(),
        start_step: 1 + population.latency_steps,
        units_per_volt: Param::Uniform(1.0),
        v_offset: Param::Uniform(0.0),
        spikes,
    }
}
