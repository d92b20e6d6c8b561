//! From a [`Stimulus`] to what the host does on the chip: spikes by port, and biases in the chip's bias format.

use crate::load::WIDE_SUM_BITS;
use crate::program::{BiasFormat, Program};
use crate::rules::shift;
use snncc_data::{SpikeTrain, Stimulus};
use snncc_ids::{Diagnostic, Diagnostics, code, did_you_mean};

/// A stimulus bound to a program: checked, its currents quantized.
#[derive(Clone, Debug)]
pub struct ChipStimulus<'a> {
    /// Spikes of each input port of the program, in its order.
    pub(crate) ports: Vec<Option<&'a SpikeTrain>>,
    /// Biases that replace the image's.
    pub(crate) biases: Vec<BiasWrite>,
    /// What rounding did to the currents, by entry of [`Stimulus::host_biases`].
    pub rounding: Vec<BiasRounding>,
}

/// A bias register that the host writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BiasWrite {
    pub(crate) core: u32,
    pub(crate) compartment: u32,
    pub(crate) bias: i64,
}

/// What quantization to the bias register did to the currents of a population.
#[derive(Clone, Debug, PartialEq)]
pub struct BiasRounding {
    /// Index of the population.
    pub population: usize,
    /// Registers written.
    pub registers: u64,
    /// Largest error of a bias, in integer units.
    pub max_error_units: f64,
    /// The same, in units of the network's canonical voltage.
    pub max_error_volts: f64,
    /// Root mean square of the errors, in integer units.
    pub rms_error_units: f64,
}

impl Program {
    /// Binds a stimulus to this program. Ports that the stimulus does not name stay silent.
    ///
    /// # Errors
    /// `SNN0210` where ports, populations or their sizes do not match, or a payload is too large for the chip; `SNN0601`
    /// where a bias does not fit its register.
    pub fn prepare<'a>(&self, stimulus: &'a Stimulus) -> Result<ChipStimulus<'a>, Diagnostics> {
        let mut problems = Diagnostics::new();
        let inputs: Vec<(&str, usize)> =
            self.inputs.iter().map(|port| (port.name.as_str(), port.rows.starts.len() - 1)).collect();
        let ports = bind_ports(stimulus, &inputs, |at, payloads| self.check_payloads(at, payloads), &mut problems);
        let mut prepared = ChipStimulus { ports, biases: Vec::new(), rounding: Vec::new() };
        let mut given = vec![false; self.populations.len()];
        for bias in &stimulus.host_biases {
            match self.population(&bias.population) {
                Some(at) if given[at] => problems.push(Diagnostic::error(
                    code::STIMULUS_MISMATCH,
                    format!("population `{}` gets two host currents", bias.population),
                )),
                Some(at) => {
                    given[at] = true;
                    self.prepare_bias(at, &bias.current, &mut prepared, &mut problems);
                }
                None => problems.push(Diagnostic::error(
                    code::STIMULUS_MISMATCH,
                    format!("the network has no population `{}` for a host current", bias.population),
                )),
            }
        }
        problems.into_result(prepared).map(|(prepared, _)| prepared)
    }

    /// What is wrong with the payloads for a port, if anything.
    fn check_payloads(&self, port: usize, payloads: &[i32]) -> Result<(), String> {
        let largest = payloads.iter().map(|payload| i64::from(*payload).abs()).max().unwrap_or(0);
        if largest > self.payload_max {
            return Err(format!("a payload of magnitude {largest}; the chip carries at most {}", self.payload_max));
        }
        for message in &self.inputs[port].rows.messages {
            let core = &self.cores[message.core as usize];
            let bits = core.synapses.count_bits.max(core.rules.weight_shift);
            if (u128::from(core.units_bound) * largest as u128 + 1) >> (WIDE_SUM_BITS - bits) != 0 {
                return Err(format!("payloads up to {largest} could exceed the 64 bits of an input on {}", core.name));
            }
        }
        Ok(())
    }

    fn prepare_bias(
        &self,
        population: usize,
        current: &[f64],
        prepared: &mut ChipStimulus<'_>,
        problems: &mut Diagnostics,
    ) {
        let symbol = &self.populations[population];
        let item = format!("populations/{}", symbol.name);
        if current.len() != symbol.places.len() {
            let message =
                format!("{} host currents for the {} neurons of `{}`", current.len(), symbol.places.len(), symbol.name);
            problems.push(Diagnostic::error(code::STIMULUS_MISMATCH, message).at(item));
            return;
        }
        let mut rounding = BiasRounding {
            population,
            registers: current.len() as u64,
            max_error_units: 0.0,
            max_error_volts: 0.0,
            rms_error_units: 0.0,
        };
        let mut first_fault = None;
        for (neuron, (&(core, compartment), volts)) in symbol.places.iter().zip(current).enumerate() {
            let scale = symbol.units_per_volt.get(neuron).unwrap_or(&symbol.units_per_volt[0]);
            let exact = self.cores[core as usize].bias[compartment as usize] as f64 + volts * scale;
            let Some(bias) = quantize(exact, &self.bias_format) else {
                first_fault.get_or_insert((neuron, exact));
                continue;
            };
            let error = (bias as f64 - exact).abs();
            rounding.max_error_units = rounding.max_error_units.max(error);
            rounding.max_error_volts = rounding.max_error_volts.max(error / scale);
            rounding.rms_error_units += error * error;
            prepared.biases.push(BiasWrite { core, compartment, bias });
        }
        rounding.rms_error_units = (rounding.rms_error_units / current.len().max(1) as f64).sqrt();
        if let Some((neuron, exact)) = first_fault {
            let (low, high) = self.bias_format.mantissa;
            let exponent = self.bias_format.exponent.1;
            problems.push(
                Diagnostic::error(
                    code::VALUE_OVERFLOWS,
                    format!("the host current of neuron {neuron} of `{}` needs a bias of {exact}", symbol.name),
                )
                .at(item)
                .note(format!("a bias register holds {low} · 2^{exponent} to {high} · 2^{exponent}")),
            );
        }
        prepared.rounding.push(rounding);
    }
}

/// The spikes of each input, `(name, elements)`, in their order; what does not match is `SNN0210`.
pub(crate) fn bind_ports<'a>(
    stimulus: &'a Stimulus,
    inputs: &[(&str, usize)],
    check_payloads: impl Fn(usize, &[i32]) -> Result<(), String>,
    problems: &mut Diagnostics,
) -> Vec<Option<&'a SpikeTrain>> {
    let mut ports = vec![None; inputs.len()];
    for port in &stimulus.ports {
        let item = format!("stimulus/{}", port.port);
        let mut mismatch = |message: String| {
            problems.push(Diagnostic::error(code::STIMULUS_MISMATCH, message).at(item.as_str()));
        };
        match inputs.iter().position(|(name, _)| *name == port.port) {
            Some(at) if ports[at].is_none() => {
                match check_train(inputs[at].1, &port.spikes, |payloads| check_payloads(at, payloads)) {
                    Ok(()) => ports[at] = Some(&port.spikes),
                    Err(what) => mismatch(format!("stimulus of input `{}`: {what}", port.port)),
                };
            }
            Some(_) => mismatch(format!("input `{}` gets two stimuli", port.port)),
            None => {
                let mut diagnostic =
                    Diagnostic::error(code::STIMULUS_MISMATCH, format!("the network has no input `{}`", port.port))
                        .at(item);
                let names: Vec<&str> = inputs.iter().map(|(name, _)| *name).collect();
                if let Some(guess) = did_you_mean(&port.port, names.iter().copied()) {
                    diagnostic = diagnostic.help(format!("did you mean `{guess}`?"));
                }
                problems.push(diagnostic.note(format!("inputs: {}", names.join(", "))));
            }
        }
    }
    ports
}

/// What is wrong with the spikes for a port of so many elements, if anything: nothing in a train is trusted.
fn check_train(
    elements: usize,
    train: &SpikeTrain,
    check_payloads: impl Fn(&[i32]) -> Result<(), String>,
) -> Result<(), String> {
    if train.neurons as usize != elements {
        return Err(format!("it has {} neurons, the input {elements} elements", train.neurons));
    }
    let starts = &train.step_starts;
    if starts.first() != Some(&0)
        || !starts.is_sorted()
        || starts.last().is_none_or(|end| *end as usize != train.indices.len())
    {
        return Err("its steps are not in order".into());
    }
    for step in 1..=train.steps() {
        let row = train.at(step);
        if !row.is_sorted_by(|a, b| a < b) || row.last().is_some_and(|last| *last as usize >= elements) {
            return Err(format!("the spikes of step {step} are not ascending neurons below {elements}"));
        }
    }
    match &train.payloads {
        None => Ok(()),
        Some(payloads) if payloads.len() != train.indices.len() => {
            Err(format!("it has {} payloads for {} spikes", payloads.len(), train.indices.len()))
        }
        Some(payloads) => check_payloads(payloads),
    }
}

/// The nearest value (ties to even mantissas) that a bias register holds, with the smallest exponent that reaches it.
fn quantize(exact: f64, format: &BiasFormat) -> Option<i64> {
    let (low, high) = format.exponent;
    // A negative exponent only drops bits of the mantissa: it reaches nothing that 0 does not.
    (low.max(0)..=high).find_map(|exponent| {
        let mantissa = (exact / (exponent as f64).exp2()).round_ties_even();
        let fits = mantissa >= format.mantissa.0 as f64 && mantissa <= format.mantissa.1 as f64;
        fits.then(|| shift(mantissa as i64, exponent as i32))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn biases_take_the_smallest_exponent_that_holds_them() {
        let format = BiasFormat { mantissa: (-4096, 4095), exponent: (0, 7) };
        assert_eq!(quantize(4095.4, &format), Some(4095));
        assert_eq!(quantize(4095.6, &format), Some(4096));
        assert_eq!(quantize(4097.0, &format), Some(4096), "2048.5 · 2 ties to the even mantissa");
        assert_eq!(quantize(-4096.4, &format), Some(-4096));
        assert_eq!(quantize(4095.0 * 128.0 + 63.0, &format), Some(4095 * 128));
        assert_eq!(quantize(4095.0 * 128.0 + 65.0, &format), None);
        assert_eq!(quantize(f64::NAN, &format), None);
    }
}
