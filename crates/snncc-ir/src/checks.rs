//! Whether the values of a network mean something: time constants against the time step, finite weights, delays in whole
//! steps. Shapes are judged by [`crate::shapes`].
//!
//! **Invariant:** after [`check_values`] without errors, every decay `dt / tau` is in `0 < decay <= 1`, and
//! [`delay_steps`] succeeds for every Delay node.

use crate::network::{DelayTime, Network, Neuron, Node};
use crate::shapes::neuron_params;
use crate::tensor::Param;
use snncc_ids::{Diagnostic, Diagnostics, NodeId, code};

/// Longest delay of a Delay node or synapse, in steps; longer ones are held for a mistake.
pub const MAX_DELAY_STEPS: u32 = 1 << 20;

/// How far a delay may be from a whole number of steps, in steps.
const DELAY_TOLERANCE_STEPS: f64 = 0.01;

/// The time step in seconds that holds: `given` (from the command) before the network's own. `None` if the network has no
/// need of one.
///
/// # Errors
/// SNN0204 if a node has a time constant or a delay in seconds and there is no time step; SNN0203 if the step is not a
/// positive number.
pub fn time_step(network: &Network, given: Option<f64>) -> Result<Option<f64>, Diagnostics> {
    match given.or(network.dt_s) {
        Some(dt) if dt.is_finite() && dt > 0.0 => Ok(Some(dt)),
        Some(dt) => {
            Err(Diagnostic::error(code::BAD_PARAMETER, format!("a time step of {dt} s means nothing")).at("dt").into())
        }
        None => match network.nodes.iter_with_ids().find(|(_, node)| needs_time_step(&node.node)) {
            None => Ok(None),
            Some((id, node)) => {
                let needs = network.nodes.iter().filter(|node| needs_time_step(&node.node)).count();
                let what = format!("`{}` has times in seconds, and the network gives no time step", node.name);
                Err(Diagnostic::error(code::DT_REQUIRED, what)
                    .at(network.item(id))
                    .note(format!("{needs} node(s) need one; nothing here tells it"))
                    .help("`--dt SECONDS`, with the time step the network was trained with")
                    .into())
            }
        },
    }
}

fn needs_time_step(node: &Node) -> bool {
    match node {
        Node::Neuron(neuron) => neuron.model.leaks(),
        Node::Delay { delay: DelayTime::Seconds(delay), .. } => delay.values().iter().any(|delay| *delay != 0.0),
        _ => false,
    }
}

/// Judges all values of `network` for a time step of `dt` seconds. One diagnostic per field, about its first bad value.
pub fn check_values(network: &Network, dt: Option<f64>) -> Diagnostics {
    let mut check = Check { network, problems: Diagnostics::new() };
    for (id, node) in network.nodes.iter_with_ids() {
        match &node.node {
            Node::Affine(affine) => {
                match &affine.weight {
                    crate::network::Matrix::Dense(tensor) => check.finite(id, "weight", &tensor.data),
                    crate::network::Matrix::Sparse { values, .. } => check.finite(id, "weight", values),
                }
                check.finite(id, "bias", affine.bias.as_ref().map_or(&[], |bias| &bias.data));
                check.synapse_delay(id, &affine.delay);
            }
            Node::Synapses(synapses) => check.synapse_delay(id, &synapses.delay),
            Node::Scale { scale } => check.finite(id, "scale", &scale.data),
            Node::Convolution(convolution) => {
                check.finite(id, "weight", &convolution.weight.data);
                check.finite(id, "bias", convolution.bias.as_ref().map_or(&[], |bias| &bias.data));
                check.delays(id, &[convolution.delay]);
            }
            Node::Threshold(threshold) => check.finite(id, "threshold", threshold.threshold.values()),
            Node::RateNeuron(neuron) => {
                check.finite(id, "gain", neuron.gain.values());
                check.finite(id, "initial", neuron.initial.values());
            }
            Node::Delay { delay, .. } => {
                if let Err(message) = delay_steps(delay, dt) {
                    check.problem(id, "delay", message);
                }
            }
            Node::Neuron(neuron) => check.neuron(id, neuron, dt),
            _ => {}
        }
    }
    check.problems
}

/// A delay in whole steps.
///
/// # Errors
/// A message for a delay that is negative, too long, or more than 1 % of a step from a whole number of steps.
pub fn delay_steps(delay: &DelayTime, dt: Option<f64>) -> Result<Param<u32>, String> {
    let too_long = |steps: f64| format!("a delay of {steps} steps is longer than {MAX_DELAY_STEPS}");
    match delay {
        DelayTime::Steps(steps) => match steps.values().iter().find(|steps| **steps > MAX_DELAY_STEPS) {
            Some(steps) => Err(too_long(f64::from(*steps))),
            None => Ok(steps.clone()),
        },
        DelayTime::Seconds(seconds) => {
            for &delay in seconds.values() {
                if !(delay.is_finite() && delay >= 0.0) {
                    return Err(format!("a delay of {delay} s means nothing"));
                }
                let Some(dt) = dt.filter(|_| delay != 0.0) else { continue };
                let steps = delay / dt;
                if steps > f64::from(MAX_DELAY_STEPS) {
                    return Err(too_long(steps));
                }
                if (steps - steps.round()).abs() > DELAY_TOLERANCE_STEPS {
                    return Err(format!(
                        "a delay of {delay} s is {steps:.3} steps of {dt} s; it must be a whole number"
                    ));
                }
            }
            Ok(seconds.map(|delay| dt.map_or(0, |dt| (delay / dt).round() as u32)))
        }
    }
}

struct Check<'a> {
    network: &'a Network,
    problems: Diagnostics,
}

impl Check<'_> {
    fn problem(&mut self, id: NodeId, field: &str, message: String) {
        let item = format!("{}/{field}", self.network.item(id));
        let message = format!("`{}`: {message}", self.network.nodes[id].name);
        self.problems.push(Diagnostic::error(code::BAD_PARAMETER, message).at(item));
    }

    fn finite(&mut self, id: NodeId, field: &str, values: &[f64]) {
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let count = values.iter().filter(|value| !value.is_finite()).count();
            let message = format!("{field} must be finite; value {at} is {} ({count} such values)", values[at]);
            self.problem(id, field, message);
        }
    }

    fn synapse_delay(&mut self, id: NodeId, delay: &crate::network::SynapseDelay) {
        match delay {
            crate::network::SynapseDelay::None => {}
            crate::network::SynapseDelay::Uniform(delay) => self.delays(id, &[*delay]),
            crate::network::SynapseDelay::PerSynapse(delays) => self.delays(id, delays),
        }
    }

    fn delays(&mut self, id: NodeId, delays: &[u32]) {
        if let Some(delay) = delays.iter().find(|delay| **delay > MAX_DELAY_STEPS) {
            self.problem(id, "delay", format!("a delay of {delay} steps is longer than {MAX_DELAY_STEPS}"));
        }
    }

    fn neuron(&mut self, id: NodeId, neuron: &Neuron, dt: Option<f64>) {
        for (field, param) in neuron_params(neuron) {
            if !field.starts_with("tau") {
                self.finite(id, field, param.values());
                continue;
            }
            let is_bad = |tau: &f64| !(tau.is_finite() && *tau > 0.0 && dt.is_none_or(|dt| *tau >= dt));
            if let Some(at) = param.values().iter().position(is_bad) {
                let tau = param.values()[at];
                let count = param.values().iter().filter(|tau| is_bad(tau)).count();
                let message = match dt {
                    Some(dt) => format!(
                        "{field} must be at least the time step of {dt} s; value {at} is {tau} s ({count} such values)"
                    ),
                    None => format!("{field} must be positive; value {at} is {tau} s"),
                };
                self.problem(id, field, message);
            }
        }
        if neuron.refractory_steps.values().contains(&0) {
            self.problem(id, "refractory_steps", "a refractory period has at least 1 step, that of the spike".into());
        }
        if neuron.v_min.is_some_and(|v_min| !v_min.is_finite()) {
            self.problem(id, "v_min", format!("v_min must be finite, found {:?}", neuron.v_min));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{NetworkNode, NeuronModel};

    fn lif(tau: f64) -> Network {
        let mut neuron = Neuron::new(NeuronModel::Lif);
        neuron.tau_mem_s = Param::Uniform(tau);
        let nodes = vec![NetworkNode { name: "x".into(), node: Node::Neuron(neuron) }];
        Network { nodes: nodes.into(), ..Network::default() }
    }

    #[test]
    fn a_time_constant_below_the_step_is_refused_and_one_equal_to_it_is_not() {
        let problems = check_values(&lif(0.9e-3), Some(1e-3));
        assert_eq!(problems.0[0].code, code::BAD_PARAMETER);
        assert_eq!(problems.0[0].item.as_deref(), Some("nodes/x/tau"));
        assert_eq!(check_values(&lif(1e-3), Some(1e-3)), Diagnostics::new());
        assert!(check_values(&lif(f64::NAN), Some(1e-3)).has_errors());
    }

    #[test]
    fn a_time_step_is_asked_for_only_where_needed() {
        assert_eq!(time_step(&lif(1.0), None).unwrap_err().0[0].code, code::DT_REQUIRED);
        assert_eq!(time_step(&lif(1.0), Some(0.5)).unwrap(), Some(0.5));
        assert_eq!(time_step(&Network::default(), None).unwrap(), None);
        assert_eq!(time_step(&lif(1.0), Some(0.0)).unwrap_err().0[0].code, code::BAD_PARAMETER);
    }

    #[test]
    fn delays_in_seconds_become_whole_steps_within_a_hundredth() {
        let steps = |seconds: f64| delay_steps(&DelayTime::Seconds(Param::Uniform(seconds)), Some(1e-3));
        assert_eq!(steps(3.009e-3).unwrap(), Param::Uniform(3));
        assert!(steps(3.02e-3).is_err());
        assert!(steps(-1e-3).is_err());
        assert!(steps(1e9).is_err());
        assert!(steps(f64::NAN).is_err());
    }
}
