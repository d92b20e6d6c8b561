//! The calibrated strategy: scales that minimize the expected error of the membrane input, under the limits of the chip.
//!
//! For each population the scale (integer units per volt) and for each projection the exponent and sign mode are chosen;
//! `scales` searches them, `bounds` says how large they may be. Two refinements follow: rounding weights so that errors cancel
//! in the mean where rates are known, and thresholds that decide as the network's comparison does.
//!
//! **Thresholds and comparisons.** The chip spikes if `v > M`, where `M` is a multiple of the mantissa's unit (64 on Loihi)
//! and `v` an integer. The network's rule at threshold `T` (in units) is `v > T` or `v ≥ T`.
//! * If all voltages are multiples of the unit (no decay between 0 and 1, biases and initial values on the grid; weights
//!   always are), `v > T` is `v > floor(T)` and `v ≥ T` is `v > ceil(T) − unit`, with floor and ceiling on the grid: both
//!   exact.
//! * Otherwise voltages take any integer: `v ≥ T` is `v > T − 1`, which the grid holds only by chance; the nearest multiple is
//!   taken and the difference recorded as the threshold's error.
//!
//! **Reset by subtraction** (`lower::neurons`). Without a leak, what a spike takes off must be the threshold itself, or the rate
//! is wrong by as much: scales are then thresholds that the weight of the reset holds exactly ([`Search::exact_reset`]). A core
//! that cannot keep all of a current loses about a unit of it per step, so the threshold should have [`MEMBRANE_UNITS`]; and of
//! a current far above the threshold, where the bias is as far below, it loses a part of it: what that is in the step of the
//! reset itself, the weight of the reset leaves on.

use super::bounds::{ACCUMULATED_STEPS, Cap, CapBasis, Drive, NeuronFacts, cap, worst_of_subtracting};
use super::fields::{Changed, Fitter, Registers, WeightFormat};
use super::quality::{Losses, assess, bias_units, effective};
use super::rounding::round_row;
use super::rows::Rows;
use super::scales::{NeuronCost, Scales, Search};
use super::{Done, Job};
use snncc_ids::{Diagnostic, code};
use snncc_ir::network::Comparison;
use snncc_ir::{IntNeurons, IntWeights, Param, ResetModel, SignMode};

/// Spikes per step of a neuron of unknown rate.
const ASSUMED_RATE: f64 = 0.25;
/// Units lost per step, on average, by a state that decays: half a unit.
const DECAY_LOSS: f64 = 0.5;
/// A threshold should have at least this many mantissa steps before limits of other kinds may cost it precision.
const THRESHOLD_STEPS: f64 = 64.0;
/// A threshold should have at least this many units where the current is the membrane and cannot be kept as a whole.
const MEMBRANE_UNITS: f64 = (1_u32 << 13) as f64;
/// How often scales are lowered when the rounded weights exceed a worst-case limit that the exact ones kept.
const RETRIES: usize = 12;

/// Weights in row order, with what became of them.
struct Rounded {
    weights: Vec<IntWeights>,
    clipped: Vec<u64>,
}

/// Quantizes a population of float neurons and the projections onto it.
pub(super) fn quantize_population(job: &Job<'_>) -> Done {
    let rows = job.rows();
    let formats: Vec<WeightFormat> =
        rows.iter().map(|rows| job.registers.weight_format(job.weight_bits, sign_mode(&rows.weights))).collect();
    let decays = Decays::new(job);
    let mut problems = Vec::new();
    let atoms = Atoms::new(job, &rows);
    let wholes: Vec<bool> = rows.iter().map(|rows| is_whole(job, rows)).collect();
    let drive = Drive::new(job.population.len(), &rows, &wholes, job.reset);
    let caps = caps(job, &atoms, &formats, (&rows, &wholes), &drive, &decays);

    let mut shrink = 1.0;
    let (scales, rounded) = loop {
        let limits: Vec<f64> = caps.iter().map(|cap| cap.scale * shrink).collect();
        let scales = search(job, &atoms, &rows, &formats, &decays, &limits);
        let rounded = round(job, &atoms, &rows, &formats, &scales, &decays);
        let fits = worst_case_fits(job, &atoms, &rows, &rounded.weights, &scales, &decays, &caps);
        if fits || shrink < 0.97_f64.powi(RETRIES as i32) {
            break (scales, rounded);
        }
        shrink *= 0.97;
    };
    problems.extend(statistical_warning(job, &atoms, &caps));
    problems.extend(offset_warning(job, &atoms, &scales));

    let units_per_volt =
        Param::from_values((0..job.population.len()).map(|neuron| atoms.units_per_volt(&scales, neuron)).collect());
    let (neurons, losses) = neurons(job, &formats, &scales, &decays, units_per_volt, rounded.clipped, &mut problems);
    let assessment = assess(job, &rows, &neurons, &rounded.weights, &losses);
    problems.extend(assessment.warnings);
    let weights = rounded
        .weights
        .into_iter()
        .zip(&rows)
        .map(|(weights, rows)| IntWeights { mantissas: rows.to_stored_order(weights.mantissas), ..weights })
        .collect();
    Done { neurons, quality: Some(assessment.population), weights, weight_quality: assessment.projections, problems }
}

/// The narrowest sign mode that holds the weights; one sign leaves one more bit of precision.
fn sign_mode(weights: &[f64]) -> SignMode {
    let (has_positive, has_negative) = (weights.iter().any(|w| *w > 0.0), weights.iter().any(|w| *w < 0.0));
    match (has_positive, has_negative) {
        (true, false) => SignMode::Excitatory,
        (false, true) => SignMode::Inhibitory,
        _ => SignMode::Mixed,
    }
}

/// Decay registers and the parts they really keep.
struct Decays {
    u: Param<(i64, f64)>,
    v: Param<(i64, f64)>,
}

impl Decays {
    fn new(job: &Job<'_>) -> Self {
        let arithmetic = job.registers.arithmetic;
        Self {
            u: job.params.current_keep.map(|keep| job.registers.decay(keep, arithmetic.decay_u_offset)),
            v: job.params.voltage_keep.map(|keep| job.registers.decay(keep, arithmetic.decay_v_offset)),
        }
    }

    /// Whether no current decays by a fraction.
    fn keep_currents(&self) -> bool {
        self.u.values().iter().all(|(_, kept)| *kept == 0.0 || *kept == 1.0)
    }

    /// Whether no state decays by a fraction, so that values on a grid stay on it.
    fn keep_the_grid(&self) -> bool {
        self.keep_currents() && self.v.values().iter().all(|(_, kept)| *kept == 0.0 || *kept == 1.0)
    }
}

/// Sets of neurons that must share a scale because they share weights, and the voltage that counts as 1 for each.
struct Atoms {
    len: usize,
    norms: Vec<f64>,
    /// Whether the norms are the thresholds, so that a normalized scale is a threshold in units.
    by_threshold: bool,
}

impl Atoms {
    fn new(job: &Job<'_>, rows: &[Rows<'_>]) -> Self {
        let neurons = job.population.len();
        let mut len = 1;
        for rows in rows {
            len = match (len, rows.neurons_per_row) {
                (known, more) if known == more || more == 1 => known,
                (1, more) => more,
                _ => neurons,
            };
        }
        let len = len.max(1);
        let thresholds = &job.params.threshold;
        let usable = |threshold: &f64| threshold.is_finite() && *threshold > 0.0;
        let all_usable = thresholds.values().iter().all(usable);
        let uniform =
            |range: std::ops::Range<usize>| range.clone().all(|n| thresholds.get(n) == thresholds.get(range.start));
        let count = neurons.div_ceil(len);
        let range = |atom: usize| atom * len..((atom + 1) * len).min(neurons);
        let fixed_clip = job.params.v_min.is_some_and(|v_min| v_min != 0.0);
        let by_threshold = all_usable
            && (uniform(0..neurons)
                || (job.per_neuron_scales && !fixed_clip && (0..count).all(|atom| uniform(range(atom)))));
        let norms =
            if by_threshold { (0..count).map(|atom| thresholds.get(atom * len)).collect() } else { vec![1.0; count] };
        Self { len, norms, by_threshold }
    }

    fn units_per_volt(&self, scales: &Scales, neuron: usize) -> f64 {
        scales.atoms[neuron / self.len] / self.norms[neuron / self.len]
    }
}

/// Largest normalized scale of each atom.
fn caps(
    job: &Job<'_>,
    atoms: &Atoms,
    formats: &[WeightFormat],
    (rows, wholes): (&[Rows<'_>], &[bool]),
    drive: &Drive,
    decays: &Decays,
) -> Vec<Cap> {
    let thresholds = job.params.threshold.values().iter().filter(|threshold| threshold.is_finite());
    let smallest_threshold = thresholds.map(|threshold| threshold.abs()).fold(f64::INFINITY, f64::min);
    // Scale from which on the largest weights use all codes, and thresholds have enough steps.
    let mut precision = if smallest_threshold > 0.0 && smallest_threshold.is_finite() {
        THRESHOLD_STEPS * job.registers.threshold_unit() / smallest_threshold
    } else {
        0.0
    };
    let (mut full_codes, mut full_units) = (0.0_f64, 0.0_f64);
    // The weight of a reset is exact or rounded by itself, and wholes are exact with it: they ask for no scale.
    let asks = |index: usize| job.reset != Some(index) && !wholes[index];
    let inputs = rows.iter().zip(formats).enumerate().filter(|(index, _)| asks(*index));
    for (_, (rows, format)) in inputs {
        let largest = rows.weights.iter().fold(0.0_f64, |max, weight| max.max(weight.abs()));
        if largest > 0.0 {
            let codes = format.codes.high.max(-format.codes.low) as f64;
            let units = codes * format.step_units(format.steps.0);
            full_units = full_units.max(units);
            let needed = units / largest;
            full_codes = if full_codes == 0.0 { needed } else { full_codes.min(needed) };
        }
    }
    // Where every weight is far above the threshold, its steps decide nothing.
    precision = if full_codes > 0.0 { full_codes.max(precision.min(full_codes * 4.0)) } else { precision };
    let loses_current = job.reset.is_some() && !decays.keep_currents();
    if loses_current && smallest_threshold > 0.0 && smallest_threshold.is_finite() {
        precision = precision.max(MEMBRANE_UNITS / smallest_threshold);
    }
    if precision == 0.0 {
        // Neither weights nor thresholds: integrators that biases alone drive.
        let largest = job.params.bias.values().iter().fold(0.0_f64, |max, bias| max.max(bias.abs()));
        if largest > 0.0 {
            precision = THRESHOLD_STEPS * job.registers.threshold_unit() / largest;
        }
    }
    let observed = |neuron: usize| {
        let own = job.own.filter(|own| own.v_min.is_finite() && own.v_max.is_finite())?;
        // The current of a neuron that resets by subtraction is the membrane without what the bias adds.
        let offset = match job.reset {
            None => job.params.v_offset.values().first().copied().unwrap_or(0.0),
            Some(_) => job.params.v_offset.get(neuron) + job.params.bias.get(neuron),
        };
        Some((own.v_min - offset, own.v_max - offset))
    };
    let per_atom = |atom: usize| {
        let neurons = atom * atoms.len..((atom + 1) * atoms.len).min(job.population.len());
        let norm = atoms.norms[atom];
        let mut least = Cap { scale: f64::INFINITY, basis: CapBasis::Certain };
        for neuron in neurons {
            let facts = NeuronFacts {
                current_keep: decays.u.get(neuron).1,
                voltage_keep: decays.v.get(neuron).1,
                bias: job.params.bias.get(neuron),
                threshold: job.params.threshold.get(neuron),
                u_initial: job.params.u_initial.get(neuron),
                v_initial: job.params.v_initial.get(neuron),
                observed: observed(neuron),
                taken: taken(job, neuron),
            };
            let cap = cap(&job.registers, drive, neuron, facts, precision, full_units);
            if cap.scale < least.scale {
                least.scale = cap.scale;
            }
            least.basis = least.basis.max(cap.basis);
        }
        if !least.scale.is_finite() {
            // Nothing limits a neuron without input, bias and threshold.
            least.scale = job.registers.voltage_max() / 2.0;
        }
        Cap { scale: least.scale * norm, ..least }
    };
    (0..atoms.norms.len()).map(per_atom).collect()
}

/// Whether all weights are thresholds times powers of two, of neurons whose reset is a weight: then what holds that weight
/// exactly holds these exactly.
fn is_whole(job: &Job<'_>, rows: &Rows<'_>) -> bool {
    let of_threshold = |row: usize| {
        let threshold = job.params.threshold.get(row * rows.neurons_per_row);
        let mut weights = rows.weights[rows.range(row)].iter().filter(|weight| **weight != 0.0);
        weights.all(|weight| (weight / threshold).abs().log2().fract() == 0.0)
    };
    job.reset.is_some() && (0..rows.len()).all(of_threshold)
}

/// What a spike of this neuron takes off its current, in volts, if it does.
fn taken(job: &Job<'_>, neuron: usize) -> Option<f64> {
    let weights = job.incoming[job.reset?].weights;
    Some(weights[neuron].abs())
}

fn search(
    job: &Job<'_>,
    atoms: &Atoms,
    rows: &[Rows<'_>],
    formats: &[WeightFormat],
    decays: &Decays,
    limits: &[f64],
) -> Scales {
    let measured = job.own.filter(|own| own.rates.len() == job.population.len());
    let neurons: Vec<NeuronCost> = (0..job.population.len())
        .map(|neuron| {
            let (kept_u, kept_v) = (decays.u.get(neuron).1, decays.v.get(neuron).1);
            let decays_by_fraction = |kept: f64| kept > 0.0 && kept < 1.0;
            let loss_u = if decays_by_fraction(kept_u) { DECAY_LOSS / (1.0 - kept_u) } else { 0.0 };
            let loss_v = if decays_by_fraction(kept_v) { DECAY_LOSS } else { 0.0 };
            // Of what resets by subtraction the bias is an offset, and the loss adds up over the steps, as errors that are
            // independent do not.
            let (bias, v_initial) = (job.params.bias.get(neuron), job.params.v_initial.get(neuron));
            let ((bias, v_initial), loss_u, loss_v) = match job.reset {
                None => ((bias, v_initial), loss_u, loss_v),
                Some(_) if decays_by_fraction(kept_u) => ((0.0, bias), DECAY_LOSS * ACCUMULATED_STEPS.sqrt(), 0.0),
                Some(_) => ((0.0, bias), 0.0, 0.0),
            };
            NeuronCost {
                bias,
                initial: [job.params.u_initial.get(neuron), v_initial],
                threshold: job.params.threshold.get(neuron),
                rate: measured.map_or(ASSUMED_RATE, |own| own.rates[neuron].abs()),
                loss_units: loss_u + loss_v,
            }
        })
        .collect();
    let fixed_clip = job.params.v_min.filter(|v_min| *v_min < 0.0);
    // The lower clip is a power of two: scales that put the network's bound on one.
    let only = fixed_clip.map(|v_min| {
        let norm = atoms.norms[0];
        let limit = limits.iter().copied().fold(f64::INFINITY, f64::min);
        let exponent = (1.0 - v_min * limit / norm).log2().floor().clamp(1.0, 62.0);
        (0..4)
            .map(|lower| ((exponent - f64::from(lower)).max(1.0).exp2() - 1.0) / -v_min * norm)
            .filter(|scale| *scale <= limit)
            .chain(std::iter::once(limit).filter(|_| exponent <= 1.0))
            .collect::<Vec<f64>>()
    });
    let only = only.map(|mut scales| {
        if scales.is_empty() {
            scales.push(limits.iter().copied().fold(f64::INFINITY, f64::min));
        }
        scales
    });
    let levels = if job.per_neuron_scales && atoms.by_threshold { job.registers.threshold_configs / 2 } else { 1 };
    Search {
        registers: job.registers,
        rows,
        formats,
        atom_len: atoms.len,
        norms: &atoms.norms,
        caps: limits,
        neurons: &neurons,
        snap: atoms.by_threshold,
        only,
        levels: levels.min(8) as usize,
        exact_reset: job
            .reset
            .filter(|_| atoms.by_threshold && job.params.current_keep.values().iter().all(|k| *k == 1.0)),
    }
    .run()
}

/// What the current of a neuron at its threshold loses beyond the network's leak, in volts, in the step that its reset is on the
/// way: so much less the reset has to take off. It matters where the membrane is far below what the current is compared as.
fn lost_while_reset(job: &Job<'_>, decays: &Decays, neuron: usize) -> f64 {
    let current = job.params.threshold.get(neuron) - job.params.bias.get(neuron);
    current.max(0.0) * (job.params.current_keep.get(neuron) - decays.u.get(neuron).1).max(0.0)
}

fn round(
    job: &Job<'_>,
    atoms: &Atoms,
    rows: &[Rows<'_>],
    formats: &[WeightFormat],
    scales: &Scales,
    decays: &Decays,
) -> Rounded {
    let mut rounded = Rounded { weights: Vec::with_capacity(rows.len()), clipped: Vec::with_capacity(rows.len()) };
    for ((rows, format), q) in rows.iter().zip(formats).zip(&scales.steps) {
        let (step, codes) = (format.step_units(*q), format.codes_at(*q));
        let mut mantissas = Vec::with_capacity(rows.weights.len());
        let mut row_codes = Vec::new();
        let mut clipped = 0;
        for row in 0..rows.len() {
            let units_per_volt = atoms.units_per_volt(scales, row * rows.neurons_per_row);
            let rates = rows.calibrated.then(|| rows.rates(row));
            clipped += round_row(&rows.weights[rows.range(row)], rates, units_per_volt / step, codes, &mut row_codes);
            mantissas.extend(row_codes.iter().map(|code| (code << format.shift) as i32));
        }
        if job.reset == Some(rounded.weights.len()) {
            let code = |mantissa: i32| i64::from(mantissa) >> format.shift;
            for (neuron, mantissa) in mantissas.iter_mut().enumerate() {
                let lost = lost_while_reset(job, decays, neuron) * atoms.units_per_volt(scales, neuron) / step;
                *mantissa = ((code(*mantissa) + lost.round() as i64).min(0) << format.shift) as i32;
            }
        }
        let (exponent, weight_bits, sign_mode) = (format.exponent(*q), job.weight_bits, format.mode);
        rounded.weights.push(IntWeights { mantissas, exponent, weight_bits, sign_mode });
        rounded.clipped.push(clipped);
    }
    rounded
}

/// Whether the rounded weights keep the limits of input, current and biased current in the worst case, for all neurons whose
/// scale promises it.
fn worst_case_fits(
    job: &Job<'_>,
    atoms: &Atoms,
    rows: &[Rows<'_>],
    weights: &[IntWeights],
    scales: &Scales,
    decays: &Decays,
    caps: &[Cap],
) -> bool {
    let mut sums = vec![(0.0_f64, 0.0_f64); job.population.len()];
    let inputs = rows.iter().zip(weights).enumerate().filter(|(index, _)| job.reset != Some(*index));
    for (_, (rows, weights)) in inputs {
        for row in 0..rows.len() {
            let (mut positive, mut negative) = (0.0, 0.0);
            for mantissa in &weights.mantissas[rows.range(row)] {
                let units = effective(&job.registers, weights, *mantissa) as f64;
                positive += units.max(0.0);
                negative += units.min(0.0);
            }
            for sum in &mut sums[row * rows.neurons_per_row..(row + 1) * rows.neurons_per_row] {
                sum.0 += positive;
                sum.1 += negative;
            }
        }
    }
    let arithmetic = job.registers.arithmetic;
    sums.iter().enumerate().all(|(neuron, (positive, negative))| {
        if caps[neuron / atoms.len].basis != CapBasis::Certain {
            return true;
        }
        let units_per_volt = atoms.units_per_volt(scales, neuron);
        let (kept, bias) = (decays.u.get(neuron).1, job.params.bias.get(neuron) * units_per_volt);
        let u_initial = job.params.u_initial.get(neuron) * units_per_volt;
        let (input, current) = match taken(job, neuron) {
            Some(taken) => {
                let top = job.params.threshold.get(neuron) * units_per_volt - bias;
                worst_of_subtracting((*positive, -negative), taken * units_per_volt, top, kept, u_initial)
            }
            None => {
                let input = positive.max(-negative);
                let gather = 1.0 / (1.0 - kept).max(f64::MIN_POSITIVE);
                (input, if input == 0.0 { 0.0 } else { input * gather } + u_initial.abs())
            }
        };
        let biased = current + bias.abs() + 1.0;
        input <= Registers::overflow_reach(arithmetic.input_overflow)
            && current <= Registers::overflow_reach(arithmetic.current_overflow)
            && biased <= Registers::overflow_reach(arithmetic.biased_current_overflow)
    })
}

/// A warning where membranes start so far from the reset that the bias register, which holds the distance, leaves the
/// threshold few steps.
fn offset_warning(job: &Job<'_>, atoms: &Atoms, scales: &Scales) -> Option<Diagnostic> {
    job.reset?;
    let unit = job.registers.threshold_unit();
    let far = |neuron: &usize| {
        let (threshold, offset) = (job.params.threshold.get(*neuron), job.params.bias.get(*neuron).abs());
        let fits = THRESHOLD_STEPS * unit * offset <= job.registers.bias_reach() * threshold;
        !fits && threshold * atoms.units_per_volt(scales, *neuron) < THRESHOLD_STEPS * unit
    };
    let count = (0..job.population.len()).filter(far).count();
    let neuron = (0..job.population.len()).find(far)?;
    let threshold = job.params.threshold.get(neuron);
    let message = format!(
        "`{}`: {count} of {} neuron(s) start far from their reset (neuron {neuron} by {:.0} thresholds); a bias of at most {} \
         leaves their threshold {:.0} steps of {unit}",
        job.population.name,
        job.population.len(),
        job.params.bias.get(neuron).abs() / threshold,
        job.registers.bias_reach(),
        threshold * atoms.units_per_volt(scales, neuron) / unit,
    );
    Some(
        Diagnostic::warning(code::FAR_FROM_RESET, message)
            .at(job.population.item.clone())
            .help("if its layers wait for one another, convert the network for fewer steps, or pipelined"),
    )
}

fn statistical_warning(job: &Job<'_>, atoms: &Atoms, caps: &[Cap]) -> Option<Diagnostic> {
    let count = caps.iter().filter(|cap| cap.basis == CapBasis::Likely).count() * atoms.len;
    (count > 0).then(|| {
        let message = format!(
            "`{}`: the scale of {} of {} neuron(s) rests on likely input, not on the largest possible",
            job.population.name,
            count.min(job.population.len()),
            job.population.len(),
        );
        let why = match job.reset {
            None => "room for all synapses at once would leave the weights fewer bits than they have".to_owned(),
            Some(_) => format!(
                "spikes subtract from the membrane, which wraps at both ends; room for the largest input over \
                 {ACCUMULATED_STEPS} steps would cost precision"
            ),
        };
        Diagnostic::warning(code::LIKELY_INPUT_SCALE, message)
            .at(job.population.item.clone())
            .note(why)
            .note("the emulator counts overflows; none on your data means that none mattered")
    })
}

/// The mantissa that decides as the comparison does (see the head of this file), before it is fitted into its field, and the
/// relative error that remains.
pub(super) fn threshold_mantissa(threshold: f64, comparison: Comparison, unit: f64, on_grid: bool) -> (f64, f64) {
    let steps = threshold / unit;
    let nearest = steps.round_ties_even();
    let exact = (steps - nearest).abs() <= 1e-9 * steps.abs().max(1.0);
    let relative = |error: f64| if threshold == 0.0 { 0.0 } else { (error / threshold).abs() };
    match (comparison, on_grid) {
        (Comparison::Greater, true) => (if exact { nearest } else { steps.floor() }, 0.0),
        (Comparison::GreaterOrEqual, true) => {
            let mantissa = if exact { nearest } else { steps.ceil() } - 1.0;
            // A positive threshold, however small, needs a positive voltage.
            (if threshold > 0.0 { mantissa.max(0.0) } else { mantissa }, 0.0)
        }
        (Comparison::Greater, false) => (nearest, if exact { 0.0 } else { relative(nearest * unit - threshold) }),
        (Comparison::GreaterOrEqual, false) => {
            let mantissa = ((threshold - 1.0) / unit).round_ties_even();
            (mantissa, relative(mantissa * unit + 1.0 - threshold))
        }
    }
}

fn neurons(
    job: &Job<'_>,
    formats: &[WeightFormat],
    scales: &Scales,
    decays: &Decays,
    units_per_volt: Param,
    clipped: Vec<u64>,
    problems: &mut Vec<Diagnostic>,
) -> (IntNeurons, Losses) {
    let params = job.params;
    let registers = job.registers;
    let mut fitter = Fitter::new(job.policy, job.population);
    let state = registers.state_format().field();
    let u_initial = fitter.fit("u_initial", state, &params.u_initial.zip(&units_per_volt, |u, units| u * units));
    let v_initial = fitter.fit("v_initial", state, &params.v_initial.zip(&units_per_volt, |v, units| v * units));
    let refractory = fitter.fit("refractory", registers.refractory_field(), &params.refractory_steps.map(f64::from));

    let biases = params.bias.zip(&units_per_volt, |bias, units| bias * units);
    let mut changed = Changed::default();
    let mut at = 0;
    let split = biases.map(|bias| {
        let (mantissa, exponent, is_changed) = registers.split_bias(bias, job.policy);
        changed.note(is_changed, at, bias);
        at += 1;
        (mantissa, exponent)
    });
    fitter.report("bias", &changed, &format!("±{}", registers.bias_reach()));

    let first_units = units_per_volt.values().first().copied().unwrap_or(1.0);
    let mut neurons = IntNeurons {
        decay_u: decays.u.map(|(register, _)| register),
        decay_v: decays.v.map(|(register, _)| register),
        threshold_mantissa: Param::Uniform(0),
        bias_mantissa: split.map(|(mantissa, _)| mantissa),
        bias_exponent: split.map(|(_, exponent)| exponent),
        refractory,
        u_initial,
        v_initial,
        v_min_exponent: registers.v_min_exponent(params.v_min.map(|v_min| v_min * first_units)),
        v_max_exponent: registers.v_max_exponent(),
        reset: ResetModel::Lif,
        noise: None,
        start_step: 1 + job.population.latency_steps,
        units_per_volt,
        v_offset: params.v_offset.clone(),
        spikes: params.spikes(),
    };

    // Thresholds last: whether comparisons are exact depends on all that is added to the voltage.
    let unit = registers.threshold_unit();
    let is_multiple = |value: f64| value % unit == 0.0;
    let on_grid = decays.keep_the_grid()
        && formats.iter().zip(&scales.steps).all(|(format, q)| is_multiple(format.step_units(*q)))
        && (0..neurons.bias_mantissa.values().len()).all(|index| is_multiple(bias_units(&neurons, index)))
        && neurons.u_initial.values().iter().chain(neurons.v_initial.values()).all(|value| is_multiple(*value as f64));
    let mut threshold_error = 0.0_f64;
    let top = registers.threshold_field().high as f64;
    let mantissas = params.threshold.zip(&neurons.units_per_volt, |threshold, units| {
        if threshold.is_infinite() {
            return top;
        }
        let (mantissa, error) = threshold_mantissa(threshold * units, params.comparison, unit, on_grid);
        threshold_error = threshold_error.max(error);
        mantissa
    });
    let fitted = fitter.fit("threshold mantissa", registers.threshold_field(), &mantissas);
    neurons.threshold_mantissa = Param::from_values(fitted.values().to_vec());
    problems.append(&mut fitter.problems);
    (neurons, Losses { clipped, threshold_error, biases_clipped: changed.count })
}
