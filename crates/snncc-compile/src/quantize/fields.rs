//! The registers of a Loihi-like core as the quantizer sees them, and the check of integers that a network brings along.
//!
//! All widths come from the hardware model. **Invariant:** a value that leaves this file is in range of its register, or an
//! error has been reported.

use super::qformat::{Field, QFormat};
use crate::OverflowPolicy;
use itertools::Itertools;
use snncc_chip::{ArithmeticProfile, LoihiCore, LoihiFormats, Overflow};
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_ir::network::Compartments;
use snncc_ir::{Delays, IntWeights, Param, Population, Projection, ResetModel, SignMode};

/// How a projection's weights are stored: integer codes times a step of `2^(exponent + shift) << weight_shift` units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WeightFormat {
    /// Bits of a stored weight.
    pub(super) bits: u8,
    /// Signs that occur.
    pub(super) mode: SignMode,
    /// A mantissa is `code << shift`.
    pub(super) shift: u8,
    /// Stored codes.
    pub(super) codes: Field,
    /// Smallest and largest step exponent `q = exponent + shift`; below 0 the chip would lose bits and gain nothing.
    pub(super) steps: (i32, i32),
    /// Largest magnitude of an effective weight, if the chip clips it.
    clip: Option<i64>,
    weight_shift: u8,
}

impl WeightFormat {
    /// Units of one code step.
    pub(super) fn step_units(&self, q: i32) -> f64 {
        f64::from(q + i32::from(self.weight_shift)).exp2()
    }

    /// Codes usable with step exponent `q`.
    pub(super) fn codes_at(&self, q: i32) -> Field {
        match self.clip {
            None => self.codes,
            Some(clip) => {
                let limit = clip >> (q + i32::from(self.weight_shift)).clamp(0, 62);
                Field::new(self.codes.low.max(-limit), self.codes.high.min(limit))
            }
        }
    }

    /// Largest effective weight of each sign, in units.
    pub(super) fn reach_units(&self, q: i32) -> (f64, f64) {
        let codes = self.codes_at(q);
        (codes.low as f64 * self.step_units(q), codes.high as f64 * self.step_units(q))
    }

    /// The weight exponent for step exponent `q`.
    pub(super) fn exponent(&self, q: i32) -> i8 {
        (q - i32::from(self.shift)) as i8
    }
}

/// The registers of a core.
#[derive(Clone, Copy)]
pub(super) struct Registers<'a> {
    pub(super) formats: &'a LoihiFormats,
    pub(super) arithmetic: &'a ArithmeticProfile,
    pub(super) threshold_configs: u64,
}

impl<'a> Registers<'a> {
    pub(super) fn new(core: &'a LoihiCore) -> Self {
        Self {
            formats: &core.formats,
            arithmetic: &core.arithmetic,
            threshold_configs: core.limits.threshold_configs.0.max(),
        }
    }

    fn decay_one(&self) -> f64 {
        f64::from(self.arithmetic.decay_fraction_bits).exp2()
    }

    /// Decay register for a kept part, and the part it really keeps.
    pub(super) fn decay(&self, keep: f64, offset: u16) -> (i64, f64) {
        let wanted = (1.0 - keep) * self.decay_one() - f64::from(offset);
        let register = Field::new(0, self.formats.decay_max.0).fit(wanted, OverflowPolicy::Saturate).0;
        (register, self.kept(register, offset))
    }

    /// The part kept under a decay register.
    pub(super) fn kept(&self, register: i64, offset: u16) -> f64 {
        ((self.decay_one() - f64::from(offset) - register as f64) / self.decay_one()).max(0.0)
    }

    pub(super) fn threshold_field(&self) -> Field {
        Field::new(0, self.formats.threshold_mantissa_max.0)
    }

    /// Units of one step of the threshold mantissa.
    pub(super) fn threshold_unit(&self) -> f64 {
        f64::from(self.arithmetic.threshold_shift).exp2()
    }

    pub(super) fn refractory_field(&self) -> Field {
        Field::new(1, self.formats.refractory_max.0)
    }

    fn bias_mantissa_field(&self) -> Field {
        Field::new(self.formats.bias_mantissa.0.0, self.formats.bias_mantissa.0.1)
    }

    /// Initial values and noise: two's complement of the state's width.
    pub(super) fn state_format(&self) -> QFormat {
        QFormat { bits: self.formats.state_bits.0 + 1, fraction_bits: 0, signed: true }
    }

    /// Bias as mantissa and exponent: the smallest exponent whose mantissa fits, so the error is least. The flag says that
    /// even the largest exponent was too small; the value is then saturated or wrapped.
    pub(super) fn split_bias(&self, bias: f64, policy: OverflowPolicy) -> (i64, i64, bool) {
        let field = self.bias_mantissa_field();
        let (low, high) = self.formats.bias_exponent.0;
        let first = low.max(0).min(high);
        for exponent in first..=high {
            let (mantissa, changed) = field.fit(bias / (exponent as f64).exp2(), OverflowPolicy::Saturate);
            if !changed {
                return (mantissa, exponent, false);
            }
        }
        (field.fit(bias / (high as f64).exp2(), policy).0, high, true)
    }

    /// Largest bias of both signs that [`Self::split_bias`] holds, in units.
    pub(super) fn bias_reach(&self) -> f64 {
        let field = self.bias_mantissa_field();
        (field.high.min(-field.low)) as f64 * (self.formats.bias_exponent.0.1 as f64).exp2()
    }

    /// Upper clip register: the widest that the state holds; `None` where the chip need not clip.
    pub(super) fn v_max_exponent(&self) -> Option<u8> {
        let (base, per_unit) = (self.arithmetic.v_max_base_bits, self.arithmetic.v_max_bits_per_unit.max(1));
        let widest = self.formats.state_bits.0.saturating_sub(base) / per_unit;
        self.formats.clip_required.0.then(|| widest.min(self.formats.v_max_exponent_max.0))
    }

    /// Largest voltage, in units.
    pub(super) fn voltage_max(&self) -> f64 {
        match self.v_max_exponent() {
            Some(exponent) => {
                let bits = u32::from(self.arithmetic.v_max_base_bits)
                    + u32::from(self.arithmetic.v_max_bits_per_unit) * u32::from(exponent);
                f64::from(bits).exp2() - 1.0
            }
            None => f64::from(self.formats.state_bits.0).exp2() - 1.0,
        }
    }

    /// Widest lower clip register that the state holds.
    fn widest_v_min_exponent(&self) -> u8 {
        let bits = (self.voltage_max() + 1.0).log2().round() as u8;
        self.formats.state_bits.0.min(bits).min(self.formats.v_min_exponent_max.0)
    }

    /// Lower clip register for a bound in units (`None`: no bound), nearest in the logarithm.
    pub(super) fn v_min_exponent(&self, v_min_units: Option<f64>) -> Option<u8> {
        let widest = self.widest_v_min_exponent();
        match v_min_units {
            None => self.formats.clip_required.0.then_some(widest),
            Some(v_min) => {
                let exponent = (1.0 - v_min.min(0.0)).log2().round_ties_even();
                Some((exponent as u8).min(widest))
            }
        }
    }

    /// Largest magnitude that a register with this overflow rule holds.
    pub(super) fn overflow_reach(overflow: Overflow) -> f64 {
        match overflow {
            Overflow::Unbounded => f64::INFINITY,
            Overflow::Wrap(bits) | Overflow::WrapOnce(bits) => f64::from(bits).exp2() - 1.0,
        }
    }

    /// Storage of weights of `bits` bits.
    pub(super) fn weight_format(&self, bits: u8, mode: SignMode) -> WeightFormat {
        let mixed = mode == SignMode::Mixed;
        let bits = bits.min(30);
        let shift = (self.formats.weight_magnitude_bits.0 + u8::from(mixed)).saturating_sub(bits);
        let codes = match mode {
            SignMode::Mixed if bits == 0 => Field::new(0, 0),
            SignMode::Mixed => Field::new(-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
            SignMode::Excitatory => Field::new(0, (1 << bits) - 1),
            SignMode::Inhibitory => Field::new(-(1 << bits) + 1, 0),
        };
        let (low, high) = self.formats.weight_exponent.0;
        let high_step = i32::from(high) + i32::from(shift);
        let low_step = (i32::from(low) + i32::from(shift)).max(0).min(high_step);
        let clip = self
            .arithmetic
            .effective_weight_clip_bits
            .map(|clip_bits| (1_i64 << clip_bits.min(40)) - (1_i64 << self.arithmetic.weight_shift));
        let weight_shift = self.arithmetic.weight_shift;
        WeightFormat { bits, mode, shift, codes, steps: (low_step, high_step), clip, weight_shift }
    }

    /// Whether the chip has weights of this many bits.
    pub(super) fn has_weight_bits(&self, bits: u8) -> bool {
        self.formats.weight_codes.0.iter().any(|code| code.bits == bits)
    }

    /// The widths of a weight, as text.
    pub(super) fn weight_bits_text(&self) -> String {
        self.formats.weight_codes.0.iter().map(|code| code.bits).join(", ")
    }
}

/// Fits values into fields under a policy, and tells of each field once.
pub(super) struct Fitter<'a> {
    pub(super) policy: OverflowPolicy,
    pub(super) name: &'a str,
    pub(super) item: &'a str,
    pub(super) problems: Vec<Diagnostic>,
}

impl<'a> Fitter<'a> {
    pub(super) fn new(policy: OverflowPolicy, population: &'a Population) -> Self {
        Self { policy, name: &population.name, item: &population.item, problems: Vec::new() }
    }

    /// Each value rounded into `field`.
    pub(super) fn fit(&mut self, what: &str, field: Field, values: &Param) -> Param<i64> {
        let mut changed = Changed::default();
        let mut at = 0;
        let fitted = values.map(|value| {
            let (fitted, is_changed) = field.fit(value, self.policy);
            changed.note(is_changed, at, value);
            at += 1;
            fitted
        });
        self.report(what, &changed, &field.to_string());
        fitted
    }

    /// Reports values that did not fit: an error, or a warning with their count where the policy says what becomes of them.
    pub(super) fn report(&mut self, what: &str, changed: &Changed, range: &str) {
        let Some((at, value)) = changed.first else { return };
        let message = format!(
            "`{}`: {what} is {value} units, outside {range} ({} value(s); first: neuron {at})",
            self.name, changed.count
        );
        let item = format!("{}/{what}", self.item).replace(' ', "_");
        let diagnostic = match self.policy {
            OverflowPolicy::Error => Diagnostic::error(code::VALUE_OVERFLOWS, message)
                .help("`--overflow saturate` takes the nearest value and reports the count"),
            OverflowPolicy::Saturate => Diagnostic::warning(code::VALUE_OVERFLOWS, message)
                .note("the nearest value of the field was taken instead"),
            OverflowPolicy::Wrap => {
                Diagnostic::warning(code::VALUE_OVERFLOWS, message).note("the values wrapped around (two's complement)")
            }
        };
        self.problems.push(diagnostic.at(item));
    }
}

/// Values that did not fit: how many, and the first.
#[derive(Default)]
pub(super) struct Changed {
    pub(super) count: u64,
    pub(super) first: Option<(usize, f64)>,
}

impl Changed {
    pub(super) fn note(&mut self, is_changed: bool, at: usize, value: f64) {
        if is_changed {
            self.count += 1;
            self.first.get_or_insert((at, value));
        }
    }
}

fn check_values(population: &Population, what: &str, field: Field, values: &Param<i64>, problems: &mut Diagnostics) {
    let outside = |value: &i64| !field.contains(*value);
    if let Some(at) = values.values().iter().position(outside) {
        let count = values.values().iter().filter(|value| outside(value)).count();
        let value = values.values()[at];
        let message =
            format!("`{}`: {what} is {value}; the chip holds {field} ({count} such value(s))", population.name);
        let item = format!("{}/{what}", population.item);
        problems.push(Diagnostic::error(code::VALUE_OVERFLOWS, message).at(item));
    }
}

/// Checks the registers of compartments that the network gives in the chip's integers.
pub(super) fn check_compartments(
    registers: &Registers<'_>,
    population: &Population,
    compartments: &Compartments,
    problems: &mut Diagnostics,
) {
    let mut check =
        |what: &str, field: Field, values: &Param<i64>| check_values(population, what, field, values, problems);
    let formats = registers.formats;
    let decay = Field::new(0, formats.decay_max.0);
    check("decay_u", decay, &compartments.decay_u);
    check("decay_v", decay, &compartments.decay_v);
    check("threshold_mantissa", registers.threshold_field(), &compartments.threshold_mantissa);
    check("bias_mantissa", registers.bias_mantissa_field(), &compartments.bias_mantissa);
    let (low, high) = formats.bias_exponent.0;
    check("bias_exponent", Field::new(low, high), &compartments.bias_exponent);
    check("refractory", registers.refractory_field(), &compartments.refractory);
    let state = registers.state_format().field();
    check("u_initial", state, &compartments.u_initial);
    check("v_initial", state, &compartments.v_initial);
    if let ResetModel::Periodic { interval, .. } = compartments.reset {
        check("reset", Field::new(1, i64::from(u32::MAX)), &Param::Uniform(i64::from(interval)));
    }
    if let ResetModel::Ternary { lower_threshold_mantissa } = compartments.reset {
        let max = formats.threshold_mantissa_max.0;
        check("reset", Field::new(-max, max), &Param::Uniform(i64::from(lower_threshold_mantissa)));
    }
    for (what, exponent, max) in [
        ("v_min_exponent", compartments.v_min_exponent, formats.v_min_exponent_max.0),
        ("v_max_exponent", compartments.v_max_exponent, formats.v_max_exponent_max.0),
    ] {
        if let Some(exponent) = exponent {
            let value = Param::Uniform(i64::from(exponent));
            check_values(population, what, Field::new(0, i64::from(max)), &value, problems);
        } else if formats.clip_required.0 {
            let message = format!("`{}`: {what} is missing, and the chip always clips the voltage", population.name);
            let diagnostic = Diagnostic::error(code::VALUE_OVERFLOWS, message)
                .at(format!("{}/{what}", population.item))
                .help(format!("give `{what}`, from 0 to {max}"));
            problems.push(diagnostic);
        }
    }
    if let Some(noise) = &compartments.noise {
        let outside = |sample: &&i32| !state.contains(i64::from(**sample));
        if let Some(sample) = noise.samples.iter().flatten().find(outside) {
            let message = format!("`{}`: a noise sample is {sample}; the chip holds {state}", population.name);
            problems.push(Diagnostic::error(code::VALUE_OVERFLOWS, message).at(format!("{}/noise", population.item)));
        }
    }
}

/// Checks weights that the network gives in the chip's integers: width, exponent, and mantissas on the grid and in range.
pub(super) fn check_weights(
    registers: &Registers<'_>,
    projection: &Projection,
    weights: &IntWeights,
    problems: &mut Diagnostics,
) {
    let mut refuse = |what: &str, message: String| {
        let message = format!("`{}`: {message}", projection.name);
        problems.push(Diagnostic::error(code::VALUE_OVERFLOWS, message).at(format!("{}/{what}", projection.item)));
    };
    if !registers.has_weight_bits(weights.weight_bits) {
        refuse(
            "weight_bits",
            format!("weights of {} bits; the chip has {}", weights.weight_bits, registers.weight_bits_text()),
        );
        return;
    }
    let (low, high) = registers.formats.weight_exponent.0;
    if !(low..=high).contains(&weights.exponent) {
        refuse("exponent", format!("the weight exponent is {}; the chip holds {low} to {high}", weights.exponent));
    }
    let format = registers.weight_format(weights.weight_bits, weights.sign_mode);
    let is_wrong = |mantissa: &i32| {
        let mantissa = i64::from(*mantissa);
        mantissa & ((1 << format.shift) - 1) != 0 || !format.codes.contains(mantissa >> format.shift)
    };
    if let Some(at) = weights.mantissas.iter().position(is_wrong) {
        let count = weights.mantissas.iter().filter(|mantissa| is_wrong(mantissa)).count();
        refuse(
            "weight",
            format!(
                "mantissa {} (weight {at}) is not one of the chip's {} {:?} weights, {} to {} in steps of {} ({count} such value(s))",
                weights.mantissas[at],
                weights.weight_bits,
                weights.sign_mode,
                format.codes.low << format.shift,
                format.codes.high << format.shift,
                1 << format.shift,
            ),
        );
    }
}

/// Checks that the chip can hold the delays of a projection.
pub(super) fn check_delays(registers: &Registers<'_>, projection: &Projection, problems: &mut Diagnostics) {
    let slots = 1_u32 << registers.formats.delay_bits.0;
    let longest = slots.saturating_sub(u32::from(registers.formats.delay_slots_reserved.0));
    // The register holds the steps beyond the one that every connection takes.
    let extra = projection.delays.max().saturating_sub(1);
    if extra > longest {
        let count = match &projection.delays {
            Delays::Uniform(_) => 1,
            Delays::PerSource(delays) | Delays::PerSynapse(delays) => {
                delays.iter().filter(|delay| delay.saturating_sub(1) > longest).count()
            }
        };
        let message = format!(
            "`{}`: a delay of {} steps; the chip holds 1 to {} ({count} such value(s))",
            projection.name,
            extra + 1,
            longest + 1
        );
        problems.push(Diagnostic::error(code::DELAY_TOO_LONG, message).at(format!("{}/delay", projection.item)));
    }
}
