//! Neurons in the canonical form.
//!
//! With `a = dt/tau_mem`, `c = dt/tau_syn` and a constant input `b` (biases), writing `v̂ = v − v_reset`:
//!
//! ```text
//! LIF      v̂ = (1 − a) v̂ + a r x + [a (v_leak − v_reset) + a r b]
//! IF       v̂ = v̂ + r x + [r b]
//! CubaLIF  û = (1 − c) û + (a r c w_in) x;   v̂ = (1 − a) v̂ + û + [a (v_leak − v_reset) + a r w_in b]
//! ```
//!
//! where `û = a r i − a r w_in b`: the constant's part of the current is at its steady state from the start, which is exact
//! since only `û` starts lower by it.

use snncc_ir::network::{Comparison, Compartments, Neuron, Reset};
use snncc_ir::{NeuronParams, Node, Param};

/// What a population becomes.
#[derive(Clone, Debug)]
pub(super) enum Canonical {
    Input,
    /// Parameters, and the factor on the weights of everything that leads to a neuron.
    Float {
        params: NeuronParams,
        gain: Param,
    },
    Integer(Compartments),
}

/// The canonical form of a population node with constant input `constant` (`None`: 0). `dt` is there if a model needs it.
///
/// # Errors
/// The field at fault and a message, for what has no exact form.
pub(super) fn canonical(
    node: &Node,
    constant: Option<&[f64]>,
    dt: Option<f64>,
    reset: Option<Reset>,
) -> Result<Canonical, (&'static str, String)> {
    let constant = constant.map_or(Param::Uniform(0.0), |values| Param::from_values(values.to_vec()));
    match node {
        Node::Compartments(compartments) => Ok(Canonical::Integer(compartments.clone())),
        Node::Neuron(neuron) => canonical_neuron(neuron, &constant, dt, reset),
        Node::Threshold(threshold) => {
            let params = NeuronParams {
                current_keep: Param::Uniform(0.0),
                voltage_keep: Param::Uniform(0.0),
                bias: constant,
                threshold: compact(threshold.threshold.clone()),
                comparison: threshold.comparison,
                refractory_steps: Param::Uniform(1),
                u_initial: Param::Uniform(0.0),
                v_initial: Param::Uniform(0.0),
                v_min: None,
                v_offset: Param::Uniform(0.0),
            };
            Ok(Canonical::Float { params, gain: Param::Uniform(1.0) })
        }
        _ => Ok(Canonical::Input),
    }
}

fn canonical_neuron(
    neuron: &Neuron,
    constant: &Param,
    dt: Option<f64>,
    reset: Option<Reset>,
) -> Result<Canonical, (&'static str, String)> {
    let model = neuron.model;
    if model.spikes() && reset.unwrap_or(neuron.reset) != Reset::ToValue {
        let message = "resets by subtraction, and a chip's compartments reset to a value".to_owned();
        return Err(("reset", message));
    }
    let dt = dt.unwrap_or(f64::NAN);
    let v_reset = if model.spikes() { compact(neuron.v_reset.clone()) } else { Param::Uniform(0.0) };
    let leak = compact(neuron.tau_mem_s.map(|tau| dt / tau));

    let mut gain = compact(neuron.r.clone());
    let mut bias_of_leak = Param::Uniform(0.0);
    let mut voltage_keep = Param::Uniform(1.0);
    if model.leaks() {
        gain = product(&gain, &leak);
        bias_of_leak = product(&leak, &difference(&compact(neuron.v_leak.clone()), &v_reset));
        voltage_keep = leak.map(|leak| 1.0 - leak);
    }
    let mut current_keep = Param::Uniform(0.0);
    let mut u_initial = Param::Uniform(0.0);
    let mut constant = constant.clone();
    if model.filters() {
        let w_in = compact(neuron.w_in.clone());
        let decay = compact(neuron.tau_syn_s.map(|tau| dt / tau));
        current_keep = decay.map(|decay| 1.0 - decay);
        constant = product(&constant, &w_in);
        u_initial = product(&gain, &difference(&compact(neuron.i_initial.clone()), &constant));
        constant = product(&constant, &gain);
        gain = product(&gain, &product(&decay, &w_in));
    } else {
        constant = product(&constant, &gain);
    }
    let v_min = match (neuron.v_min, &v_reset) {
        (None, _) => None,
        (Some(v_min), Param::Uniform(v_reset)) => Some(v_min - v_reset),
        (Some(_), Param::PerNeuron(_)) => {
            let message = "one lower bound cannot be kept exactly while neurons reset to different values".to_owned();
            return Err(("v_min", message));
        }
    };
    let params = NeuronParams {
        current_keep: compact(current_keep),
        voltage_keep: compact(voltage_keep),
        bias: compact(bias_of_leak.zip(&constant, |leak, constant| leak + constant)),
        threshold: match model.spikes() {
            true => compact(difference(&neuron.v_threshold, &v_reset)),
            false => Param::Uniform(f64::INFINITY),
        },
        comparison: if model.spikes() { neuron.comparison } else { Comparison::Greater },
        refractory_steps: match (&neuron.refractory_steps, model.spikes()) {
            (_, false) => Param::Uniform(1),
            (Param::PerNeuron(steps), true) => Param::from_values(steps.clone()),
            (uniform, true) => uniform.clone(),
        },
        u_initial: compact(u_initial),
        v_initial: compact(difference(&neuron.v_initial, &v_reset)),
        v_min,
        v_offset: v_reset,
    };
    Ok(Canonical::Float { params, gain: compact(gain) })
}

fn product(a: &Param, b: &Param) -> Param {
    a.zip(b, |a, b| a * b)
}

fn difference(a: &Param, b: &Param) -> Param {
    a.zip(b, |a, b| a - b)
}

/// Uniform if all values are equal.
fn compact(param: Param) -> Param {
    match param {
        Param::PerNeuron(values) => Param::from_values(values),
        uniform => uniform,
    }
}
