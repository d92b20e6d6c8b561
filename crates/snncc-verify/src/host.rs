//! What the host's constant currents become on the chip, worked out from the quantized network for the integer reference.

use snncc_chip::HardwareModel;
use snncc_data::Stimulus;
use snncc_ids::{Diagnostic, Diagnostics, PopulationId, code};
use snncc_ir::spinnaker::SpinnakerIr;
use snncc_ir::{Graph, PopulationRole, QuantizedIr};
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
    let add = |id: PopulationId, neuron: usize, current: f64| {
        let neurons = network.neurons[id].as_ref()?;
        let own = own_bias(neurons.bias_mantissa.get(neuron), neurons.bias_exponent.get(neuron));
        let wanted = own as f64 + current * neurons.units_per_volt.get(neuron);
        Some(register(wanted, model).map(|value| value - own).ok_or(wanted))
    };
    bound(stimulus, &network.graph, add)
}

/// The same for a SpiNNaker-like machine, where the host writes the constant input of neurons before a run: own value and current
/// are rounded together, to the nearest integer, ties to even.
///
/// # Errors
/// `SNN0210` where a current does not fit a population, `SNN0601` where the sum leaves 32 bits.
pub(crate) fn machine_added_bias(stimulus: &Stimulus, network: &SpinnakerIr) -> Result<Vec<AddedBias>, Diagnostics> {
    let add = |id: PopulationId, neuron: usize, current: f64| {
        let neurons = network.neurons[id].as_ref()?;
        let own = neurons.i_offset.get(neuron);
        let wanted = (f64::from(own) + current * neurons.units_per_volt.get(neuron)).round_ties_even();
        let fits = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&wanted);
        Some(if fits { Ok(wanted as i64 - i64::from(own)) } else { Err(wanted) })
    };
    bound(stimulus, &network.graph, add)
}

/// What `add` makes of each current: what to add to the bias of a neuron, or the bias that does not fit; `None` for an input.
fn bound(
    stimulus: &Stimulus,
    graph: &Graph,
    add: impl Fn(PopulationId, usize, f64) -> Option<Result<i64, f64>>,
) -> Result<Vec<AddedBias>, Diagnostics> {
    let mut faults = Diagnostics::new();
    let mut added = Vec::new();
    for host in &stimulus.host_biases {
        let item = format!("nodes/{}", host.population);
        let found = graph.populations.iter_with_ids().find(|(_, population)| population.name == host.population);
        let found = found.filter(|(_, population)| population.role == PopulationRole::Neurons);
        let Some((id, population)) = found else {
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
        for (neuron, current) in host.current.iter().enumerate() {
            match add(id, neuron, *current).expect("bug in snncc: a population without neurons") {
                Ok(value) => bias.push(value),
                Err(wanted) => {
                    let message = format!(
                        "the host current of neuron {neuron} of `{}` needs a bias of {wanted}",
                        host.population
                    );
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
