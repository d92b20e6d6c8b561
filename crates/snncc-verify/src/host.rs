//! What the host's constant currents become on the chip, worked out from the quantized network for the integer reference.

use snncc_chip::HardwareModel;
use snncc_data::Stimulus;
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_ir::QuantizedIr;
use snncc_reference::AddedBias;

/// The currents of a stimulus in the chip's units: what each adds to the bias of its neuron.
///
/// The host writes one register, so bias and current are rounded together: to the nearest value of the smallest bias
/// exponent (0 or more) with which it fits, ties to the even mantissa.
///
/// # Errors
/// `SNN0210` where a current does not fit a population, `SNN0601` where a bias does not fit its register.
pub fn added_bias(
    stimulus: &Stimulus,
    network: &QuantizedIr,
    model: &HardwareModel,
) -> Result<Vec<AddedBias>, Diagnostics> {
    let mut faults = Diagnostics::new();
    let mut added = Vec::new();
    for host in &stimulus.host_biases {
        let item = format!("nodes/{}", host.population);
        let population = network.graph.populations.iter_with_ids().find(|(_, p)| p.name == host.population);
        let neurons = population.and_then(|(id, _)| network.neurons[id].as_ref());
        let (Some((id, population)), Some(neurons)) = (population, neurons) else {
            let message = format!("the network has no population `{}` for a host current", host.population);
            faults.push(Diagnostic::error(code::STIMULUS_MISMATCH, message).at(item));
            continue;
        };
        if host.current.len() != population.len() {
            let (given, wanted) = (host.current.len(), population.len());
            let message = format!("{given} host currents for the {wanted} neurons of `{}`", host.population);
            faults.push(Diagnostic::error(code::STIMULUS_MISMATCH, message).at(item));
            continue;
        }
        let mut bias = Vec::with_capacity(host.current.len());
        for (i, current) in host.current.iter().enumerate() {
            let own = own_bias(neurons.bias_mantissa.get(i), neurons.bias_exponent.get(i));
            let wanted = own as f64 + current * neurons.units_per_volt.get(i);
            match register(wanted, model) {
                Some(value) => bias.push(value - own),
                None => {
                    let message =
                        format!("the host current of neuron {i} of `{}` needs a bias of {wanted}", host.population);
                    faults.push(Diagnostic::error(code::VALUE_OVERFLOWS, message).at(item));
                    break;
                }
            }
        }
        added.push(AddedBias { population: id, bias });
    }
    faults.into_result(added).map(|(added, _)| added)
}

fn own_bias(mantissa: i64, exponent: i64) -> i64 {
    if exponent >= 0 { mantissa << exponent.min(32) } else { mantissa >> (-exponent).min(63) }
}

/// The value that the bias register holds for `wanted`.
fn register(wanted: f64, model: &HardwareModel) -> Option<i64> {
    let formats = &model.loihi().formats;
    let ((lowest, highest), (least_exponent, most_exponent)) = (formats.bias_mantissa.0, formats.bias_exponent.0);
    if !wanted.is_finite() {
        return None;
    }
    let mut exponent = least_exponent.max(0);
    while exponent <= most_exponent {
        let unit = 2_f64.powi(exponent as i32);
        let mantissa = (wanted / unit).round_ties_even();
        if (lowest as f64..=highest as f64).contains(&mantissa) {
            return Some((mantissa * unit) as i64);
        }
        exponent += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_takes_the_smallest_exponent_that_holds_the_value() {
        let model = snncc_chip::hardware_model("loihi1").unwrap();
        let (_, highest) = model.loihi().formats.bias_mantissa.0;
        let top = highest as f64;
        assert_eq!(register(top + 0.25, &model), Some(highest));
        assert_eq!(register(top + 2.0, &model), Some((highest + 1) / 2 * 2));
        assert_eq!(register(-2.5, &model), Some(-2));
        assert_eq!(register(top * 1e6, &model), None);
        assert_eq!(register(f64::NAN, &model), None);
    }
}
