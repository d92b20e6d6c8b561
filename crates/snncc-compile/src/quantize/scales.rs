//! The search for scales: integer units per volt of each neuron, and the step exponent of each projection.
//!
//! Scales are searched in *normalized* form: `scale = units per volt × norm`, where the norm of a neuron is its threshold
//! wherever that is possible. Then one normalized scale is one threshold mantissa on the chip, whatever the thresholds in
//! volts are, and neurons share it. The cost of a scale is the expected squared error of the membrane input relative to the
//! threshold: weights (by the rates of their sources), bias, threshold, and what the chip's decays lose by rounding.
//!
//! First the best scale for all neurons is found. Then, if several thresholds are allowed, neurons are spread over a few
//! levels so that small weights use the whole range as well: greedily, level by level, each time the one that lowers the
//! cost most. **Invariant:** no scale exceeds the cap of its neurons.
//!
//! Where a population resets by subtraction and does not leak, the normalized weight of its reset is −1, so a scale is also the
//! effective weight of the reset: scales are then snapped to what both threshold and weight hold, and any other costs infinitely
//! much.

use super::fields::{Registers, WeightFormat};
use super::rounding::{common_step, squared_error};
use super::rows::Rows;
use rayon::prelude::*;
use std::ops::Range;

/// Scales tried per factor of two when all neurons share one.
const FINE_PER_OCTAVE: usize = 32;
/// Factors of two below the largest scale that are searched.
const FINE_OCTAVES: usize = 2;
/// Scales tried per factor of two for the levels.
const LEVELS_PER_OCTAVE: usize = 12;
/// Factors of two that levels may span.
const LEVEL_OCTAVES: usize = 5;
/// Coarser steps tried for the levels, in factors of two.
const LEVEL_STEP_SHIFTS: i32 = 3;
/// Several levels are taken if they lower the squared error by this factor (0.5 dB) …
const LEVELS_WORTH: f64 = 0.891;
/// … and one more if it lowers the rest by this.
const LEVEL_WORTH: f64 = 0.95;
/// Squared errors below this are rounding of floats.
const EXACT_COST: f64 = 1e-18;
/// Initial values count once in a run: as much as a bias in a thousand steps.
const INITIAL_RATE: f64 = 1e-3;
/// Weights looked at for one scale; of larger projections a regular sample is taken.
const SAMPLED_WEIGHTS: usize = 1 << 20;

/// What a neuron adds to the cost besides its weights; in volts.
#[derive(Clone, Copy, Debug)]
pub(super) struct NeuronCost {
    /// Bias.
    pub(super) bias: f64,
    /// Current and voltage before the start.
    pub(super) initial: [f64; 2],
    /// Threshold; infinite if it does not spike.
    pub(super) threshold: f64,
    /// Expected spikes per step: how often the threshold's error counts.
    pub(super) rate: f64,
    /// Mean loss of the decays per step, in units.
    pub(super) loss_units: f64,
}

/// A population whose scales are wanted.
pub(super) struct Search<'a> {
    pub(super) registers: Registers<'a>,
    pub(super) rows: &'a [Rows<'a>],
    pub(super) formats: &'a [WeightFormat],
    /// Neurons of an atom: the neurons that must share a scale.
    pub(super) atom_len: usize,
    /// Norm of each atom, in volts.
    pub(super) norms: &'a [f64],
    /// Largest normalized scale of each atom.
    pub(super) caps: &'a [f64],
    pub(super) neurons: &'a [NeuronCost],
    /// Whether a normalized scale is a threshold in units, so that it should be a multiple of the mantissa's unit.
    pub(super) snap: bool,
    /// Scales to choose from, if other reasons fix them.
    pub(super) only: Option<Vec<f64>>,
    /// Largest number of levels.
    pub(super) levels: usize,
    /// The projection whose normalized weights are all −1 and must be exact.
    pub(super) exact_reset: Option<usize>,
}

/// The scales found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scales {
    /// Normalized scale of each atom.
    pub(super) atoms: Vec<f64>,
    /// Step exponent of each projection.
    pub(super) steps: Vec<i32>,
}

impl Search<'_> {
    /// The best scales.
    pub(super) fn run(&self) -> Scales {
        let largest = self.caps.iter().copied().fold(f64::INFINITY, f64::min);
        let extent: Vec<(f64, f64)> = (0..self.rows.len()).map(|projection| self.extent(projection)).collect();
        let candidates = self.candidates(largest, &extent);
        let scored: Vec<(f64, Vec<i32>)> =
            candidates.par_iter().map(|scale| self.score_shared(*scale, &extent)).collect();
        let mut best = 0;
        for (index, (cost, _)) in scored.iter().enumerate() {
            if *cost < scored[best].0 * (1.0 - 1e-9) {
                best = index;
            }
        }
        if scored[best].0 <= EXACT_COST {
            // Of the exact scales, one that keeps voltages on the thresholds' grid: there both comparisons are exact too.
            let on_grid = |index: &usize| scored[*index].0 <= EXACT_COST && self.keeps_grid(candidates[*index]);
            best = (0..candidates.len()).find(on_grid).unwrap_or(best);
        }
        let (cost, steps) = scored.into_iter().nth(best).expect("bug in snncc: no scale to try");
        let shared = Scales { atoms: vec![candidates[best]; self.caps.len()], steps };
        if self.levels < 2 || self.caps.len() < 2 || cost <= EXACT_COST || self.only.is_some() {
            return shared;
        }
        let levels = self.levels(&shared.steps);
        let others = [self.in_volts(), levels].into_iter().flatten();
        let cheapest = others.min_by(|(a, _), (b, _)| a.total_cmp(b));
        match cheapest {
            Some((other_cost, scales)) if other_cost < cost * LEVELS_WORTH => scales,
            _ => shared,
        }
    }

    /// One scale in units per volt, where thresholds differ but are no more than levels are allowed: the only one that can be
    /// exact, since weights that are multiples of a step are not that over different thresholds.
    fn in_volts(&self) -> Option<(f64, Scales)> {
        let mut thresholds = self.norms.to_vec();
        thresholds.sort_by(f64::total_cmp);
        thresholds.dedup();
        if !(2..=self.levels).contains(&thresholds.len()) || self.exact_reset.is_some() {
            return None;
        }
        let caps: Vec<f64> = self.caps.iter().zip(self.norms).map(|(cap, norm)| cap / norm).collect();
        let volts = vec![1.0; self.norms.len()];
        let search = Search { norms: &volts, caps: &caps, snap: false, only: None, levels: 1, ..*self };
        let Scales { atoms, steps } = search.run();
        let atoms: Vec<f64> = atoms.iter().zip(self.norms).map(|(scale, norm)| scale * norm).collect();
        let cost = |(atom, scale): (usize, &f64)| {
            let weights =
                steps.iter().enumerate().map(|(projection, q)| self.weight_cost(projection, atom, *scale, *q));
            self.neuron_cost(atom, *scale) + weights.sum::<f64>()
        };
        Some((atoms.iter().enumerate().map(cost).sum(), Scales { atoms, steps }))
    }

    fn atom_neurons(&self, atom: usize) -> Range<usize> {
        atom * self.atom_len..((atom + 1) * self.atom_len).min(self.neurons.len())
    }

    /// Smallest and largest weight of a projection, over the norms.
    fn extent(&self, projection: usize) -> (f64, f64) {
        let rows = &self.rows[projection];
        let mut extent = (0.0_f64, 0.0_f64);
        for row in 0..rows.len() {
            let norm = self.norms[row * rows.neurons_per_row / self.atom_len];
            for weight in &rows.weights[rows.range(row)] {
                extent = (extent.0.min(weight / norm), extent.1.max(weight / norm));
            }
        }
        extent
    }

    /// Scales to try for all neurons together, largest first.
    fn candidates(&self, largest: f64, extent: &[(f64, f64)]) -> Vec<f64> {
        if let Some(only) = &self.only {
            return only.clone();
        }
        // Beyond this the largest exponent clips the largest weights.
        let mut largest = largest;
        for (format, (low, high)) in self.formats.iter().zip(extent) {
            let (reach_low, reach_high) = format.reach_units(format.steps.1);
            if *high > 0.0 && reach_high > 0.0 {
                largest = largest.min(reach_high / high);
            }
            if *low < 0.0 && reach_low < 0.0 {
                largest = largest.min(reach_low / low);
            }
        }
        let smallest = largest / (FINE_OCTAVES as f64).exp2();
        let mut scales: Vec<f64> = (0..=FINE_PER_OCTAVE * FINE_OCTAVES)
            .map(|index| self.snapped(largest * (-(index as f64) / FINE_PER_OCTAVE as f64).exp2()))
            .collect();
        let unit = self.registers.threshold_unit();
        for step in self.common_steps() {
            // All weights are whole multiples of the step: a step of a power of two of the grid is exact.
            let exact = unit / step;
            // A threshold that is a multiple of the step is a whole mantissa, whatever the division rounded.
            let whole = (exact / unit).round() * unit;
            let exact = if self.snap && (whole - exact).abs() <= 1e-9 * exact { whole } else { exact };
            let mut scale = exact * (largest / exact).log2().floor().exp2();
            while scale >= smallest / 64.0 && scale >= exact * 0.5 && scale > 0.0 {
                scales.push(scale);
                scale /= 2.0;
            }
        }
        scales.sort_by(|a, b| b.total_cmp(a));
        scales.dedup();
        scales
    }

    /// Steps of which all weights are multiples, with and without threshold and biases; over the norms.
    fn common_steps(&self) -> Vec<f64> {
        let max_codes =
            self.formats.iter().map(|format| format.codes.high - format.codes.low).max().unwrap_or(0) as f64;
        let weights = || {
            self.rows.iter().flat_map(move |rows| {
                (0..rows.len()).flat_map(move |row| {
                    let norm = self.norms[row * rows.neurons_per_row / self.atom_len];
                    rows.weights[rows.range(row)].iter().map(move |weight| weight / norm)
                })
            })
        };
        // Without weights only thresholds and biases matter.
        let of_weights = match common_step(weights(), max_codes) {
            None if weights().any(|weight| weight != 0.0) => return Vec::new(),
            of_weights => of_weights,
        };
        let others = self.neurons.iter().enumerate().flat_map(|(index, neuron)| {
            let norm = self.norms[index / self.atom_len];
            let threshold = if neuron.threshold.is_finite() { neuron.threshold / norm } else { 0.0 };
            [threshold, neuron.bias / norm, neuron.initial[0] / norm, neuron.initial[1] / norm]
        });
        let of_all = common_step(of_weights.into_iter().chain(others), 65_536.0);
        of_weights.into_iter().chain(of_all).collect()
    }

    /// Whether biases and initial values are multiples of the threshold's unit.
    fn keeps_grid(&self, scale: f64) -> bool {
        let unit = self.registers.threshold_unit();
        self.neurons.iter().enumerate().all(|(index, neuron)| {
            let units_per_volt = scale / self.norms[index / self.atom_len];
            [neuron.bias, neuron.initial[0], neuron.initial[1]].into_iter().all(|volts| {
                let steps = volts * units_per_volt / unit;
                (steps - steps.round()).abs() <= 1e-9 * steps.abs().max(1.0)
            })
        })
    }

    /// The nearest scale below that is a threshold mantissa, if scales are thresholds, and that the reset's weight holds
    /// exactly, if it must.
    fn snapped(&self, scale: f64) -> f64 {
        let step = self.exact_reset.map_or(0.0, |projection| {
            self.formats[projection].step_units(self.fitting_step(projection, scale, (-1.0, 0.0)))
        });
        self.snapped_to(scale, step)
    }

    /// The nearest scale below that is a threshold mantissa, if scales are thresholds, and a multiple of `step`, which is 0 or
    /// a power of two.
    fn snapped_to(&self, scale: f64, step: f64) -> f64 {
        let unit = self.registers.threshold_unit().max(step);
        let mantissa = (scale / unit).floor();
        if self.snap && mantissa >= 1.0 { mantissa * unit } else { scale }
    }

    fn stride(&self) -> usize {
        let weights: usize = self.rows.iter().map(|rows| rows.weights.len()).sum();
        weights.div_ceil(SAMPLED_WEIGHTS).max(1)
    }

    /// Cost of one scale for all neurons, with the best step exponents.
    fn score_shared(&self, scale: f64, extent: &[(f64, f64)]) -> (f64, Vec<i32>) {
        let atoms = self.norms.len();
        let mut cost: f64 = (0..atoms).map(|atom| self.neuron_cost(atom, scale)).sum();
        let mut steps = Vec::with_capacity(self.rows.len());
        for (projection, extent) in extent.iter().enumerate() {
            let total = |q: i32| -> f64 { (0..atoms).map(|atom| self.weight_cost(projection, atom, scale, q)).sum() };
            let mut q = self.fitting_step(projection, scale, *extent);
            let mut best = total(q);
            // Finer steps clip some weights; that may still be the smaller error.
            while q > self.formats[projection].steps.0 && best > 0.0 {
                let finer = total(q - 1);
                if finer >= best {
                    break;
                }
                (q, best) = (q - 1, finer);
            }
            cost += best;
            steps.push(q);
        }
        (cost, steps)
    }

    /// The smallest step exponent that holds all weights of a projection.
    fn fitting_step(&self, projection: usize, scale: f64, extent: (f64, f64)) -> i32 {
        let format = &self.formats[projection];
        // Half a step beyond the last code still rounds to it, but exponents are rarely decided by that.
        (format.steps.0..format.steps.1)
            .find(|q| {
                let (low, high) = format.reach_units(*q);
                let half = 0.499 * format.step_units(*q);
                extent.0 * scale >= low - half && extent.1 * scale <= high + half
            })
            .unwrap_or(format.steps.1)
    }

    fn weight_cost(&self, projection: usize, atom: usize, scale: f64, q: i32) -> f64 {
        let (rows, format) = (&self.rows[projection], &self.formats[projection]);
        let step = format.step_units(q);
        let codes = format.codes_at(q);
        if self.exact_reset == Some(projection) {
            let code = scale / step;
            return if code.fract() == 0.0 && -code >= codes.low as f64 { 0.0 } else { f64::INFINITY };
        }
        let stride = self.stride();
        let sum: f64 = rows
            .rows_of(&self.atom_neurons(atom))
            .map(|row| {
                let weights = &rows.weights[rows.range(row)];
                squared_error(weights, rows.rates(row), scale / (self.norms[atom] * step), codes, stride)
            })
            .sum();
        sum * rows.neurons_per_row as f64 * (step / scale).powi(2)
    }

    fn neuron_cost(&self, atom: usize, scale: f64) -> f64 {
        let unit = self.registers.threshold_unit();
        let units_per_volt = scale / self.norms[atom];
        let neurons = &self.neurons[self.atom_neurons(atom)];
        let mut squares = 0.0;
        for neuron in neurons {
            if neuron.bias != 0.0 {
                let bias = neuron.bias * units_per_volt;
                let (mantissa, exponent, _) = self.registers.split_bias(bias, crate::OverflowPolicy::Saturate);
                squares += (bias - mantissa as f64 * (exponent as f64).exp2()).powi(2);
            }
            if neuron.threshold.is_finite() {
                let threshold = neuron.threshold * units_per_volt;
                let error = threshold - (threshold / unit).round_ties_even() * unit;
                squares += neuron.rate * error * error;
            }
            for initial in neuron.initial.map(|initial| initial * units_per_volt) {
                squares += INITIAL_RATE * (initial - initial.round_ties_even()).powi(2);
            }
            squares += neuron.loss_units * neuron.loss_units;
        }
        squares / (scale * scale)
    }

    /// Several scales: for each of a few step exponents the levels are chosen greedily; the cheapest result is returned.
    fn levels(&self, steps: &[i32]) -> Option<(f64, Scales)> {
        let largest = self.caps.iter().copied().fold(0.0, f64::max);
        // All levels share the exponent of the reset's weight: the one that holds the largest.
        let reset_step = self.exact_reset.map(|reset| (reset, self.fitting_step(reset, largest, (-1.0, 0.0))));
        let grid = reset_step.map_or(0.0, |(reset, q)| self.formats[reset].step_units(q));
        let mut candidates: Vec<f64> = (0..=LEVELS_PER_OCTAVE * LEVEL_OCTAVES)
            .map(|index| self.snapped_to(largest * (-(index as f64) / LEVELS_PER_OCTAVE as f64).exp2(), grid))
            .collect();
        candidates.dedup();
        let neuron_costs = self.matrix(&candidates, |atom, scale| self.neuron_cost(atom, scale));
        let mut best: Option<(f64, Scales)> = None;
        for shift in -LEVEL_STEP_SHIFTS + 1..=1 {
            let mut shifted = Vec::with_capacity(steps.len());
            for (q, format) in steps.iter().zip(self.formats) {
                shifted.push((q + shift).clamp(format.steps.0, format.steps.1));
            }
            if let Some((reset, q)) = reset_step {
                shifted[reset] = q;
            }
            let mut costs = neuron_costs.clone();
            for (projection, q) in shifted.iter().enumerate() {
                let more = self.matrix(&candidates, |atom, scale| self.weight_cost(projection, atom, scale, *q));
                costs.iter_mut().zip(more).for_each(|(cost, more)| *cost += more);
            }
            if let Some((cost, atoms)) = self.spread(&candidates, &costs)
                && best.as_ref().is_none_or(|(known, _)| cost < *known)
            {
                best = Some((cost, Scales { atoms, steps: shifted }));
            }
        }
        best
    }

    /// `cost(atom, scale)` for all atoms and scales, `[atom][scale]`; infinite beyond the atom's cap.
    fn matrix(&self, scales: &[f64], cost: impl Fn(usize, f64) -> f64 + Sync) -> Vec<f64> {
        (0..self.caps.len())
            .into_par_iter()
            .flat_map_iter(|atom| {
                let cost = &cost;
                scales
                    .iter()
                    .map(move |scale| if *scale <= self.caps[atom] { cost(atom, *scale) } else { f64::INFINITY })
            })
            .collect()
    }

    /// Chooses up to `levels` of the scales and gives each atom the best of them.
    fn spread(&self, scales: &[f64], costs: &[f64]) -> Option<(f64, Vec<f64>)> {
        let atoms = self.caps.len();
        let count = scales.len();
        let mut chosen: Vec<usize> = Vec::new();
        let mut current = vec![f64::INFINITY; atoms];
        let with = |current: &[f64], scale: usize| -> f64 {
            current.iter().enumerate().map(|(atom, cost)| cost.min(costs[atom * count + scale])).sum()
        };
        let cheapest = |current: &[f64]| {
            (0..count).map(|scale| (with(current, scale), scale)).min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
        };
        let mut total = f64::INFINITY;
        while chosen.len() < self.levels {
            let (cost, scale) = cheapest(&current)?;
            if !cost.is_finite() || (total.is_finite() && cost > total * LEVEL_WORTH) {
                break;
            }
            chosen.push(scale);
            total = cost;
            for atom in 0..atoms {
                current[atom] = current[atom].min(costs[atom * count + scale]);
            }
        }
        // Early choices were made without the later ones: exchange each once more.
        for at in 0..chosen.len() {
            let without: Vec<f64> = (0..atoms)
                .map(|atom| {
                    let others = chosen.iter().enumerate().filter(|(other, _)| *other != at);
                    others.map(|(_, scale)| costs[atom * count + scale]).fold(f64::INFINITY, f64::min)
                })
                .collect();
            let (cost, scale) = cheapest(&without)?;
            if cost < total {
                (chosen[at], total) = (scale, cost);
            }
        }
        let best_of = |atom: usize| {
            chosen.iter().copied().min_by(|a, b| costs[atom * count + a].total_cmp(&costs[atom * count + b]))
        };
        let atoms: Option<Vec<f64>> = (0..atoms).map(|atom| best_of(atom).map(|scale| scales[scale])).collect();
        total.is_finite().then_some(()).and(atoms).map(|atoms| (total, atoms))
    }
}
