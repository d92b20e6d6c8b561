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
//!
//! **Reset by subtraction.** A compartment resets its voltage to 0 and leaves its current alone, so the current is the
//! membrane: `voltage_keep = 0`, and the voltage is only what the current is compared as. The spike subtracts from the current
//! over a synapse of each neuron onto itself, which takes one step and so arrives before the next comparison. With the *base*
//! `s` (`v_leak` of a LIF, `v_initial` of an IF neuron), `u = v − s` and `keep = 1 − a` (1 of an IF neuron):
//!
//! ```text
//! u = keep · u + a r x + [a r b] − keep · (v_threshold − v_reset) · (spiked in the step before)
//! v̂ = u + (s − v_reset);   spike if v̂ > v_threshold − v_reset
//! ```
//!
//! which is `v −= v_threshold − v_reset` exactly. The offset `s − v_reset` stands in the bias register, which does not add up
//! here; the base makes the leak a decay to 0, as the chip has it, and starts the current of an IF neuron at 0, where a chip
//! that cannot keep all of a current loses least of it. Constants must add up, so they come over synapses (`subtraction`).

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
        /// There if spikes subtract.
        subtraction: Option<Subtraction>,
    },
    Integer(Compartments),
}

/// What a population that resets by subtraction needs besides its parameters.
#[derive(Clone, Debug)]
pub(super) struct Subtraction {
    /// Weight of each neuron onto itself.
    pub(super) reset: Param,
    /// What is added to the current of each neuron in every step.
    pub(super) constant: Param,
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
    chip_subtracts: bool,
) -> Result<Canonical, (&'static str, String)> {
    let constant = constant.map_or(Param::Uniform(0.0), |values| Param::from_values(values.to_vec()));
    match node {
        Node::Compartments(compartments) => Ok(Canonical::Integer(compartments.clone())),
        Node::Neuron(neuron) => canonical_neuron(neuron, &constant, dt, reset, chip_subtracts),
        Node::Threshold(threshold) => {
            let params = NeuronParams {
                current_keep: Param::Uniform(0.0),
                voltage_keep: Param::Uniform(0.0),
                bias: constant,
                subtracts: false,
                threshold: compact(threshold.threshold.clone()),
                comparison: threshold.comparison,
                refractory_steps: Param::Uniform(1),
                u_initial: Param::Uniform(0.0),
                v_initial: Param::Uniform(0.0),
                v_min: None,
                v_offset: Param::Uniform(0.0),
            };
            Ok(Canonical::Float { params, gain: Param::Uniform(1.0), subtraction: None })
        }
        _ => Ok(Canonical::Input),
    }
}

fn canonical_neuron(
    neuron: &Neuron,
    constant: &Param,
    dt: Option<f64>,
    reset: Option<Reset>,
    chip_subtracts: bool,
) -> Result<Canonical, (&'static str, String)> {
    let model = neuron.model;
    let dt = dt.unwrap_or(f64::NAN);
    let reset = reset.unwrap_or(neuron.reset);
    let subtracts = model.spikes() && reset == Reset::BySubtraction && chip_subtracts;
    if model.spikes() && reset != Reset::ToValue && !subtracts {
        return match not_subtracted(neuron, reset) {
            Some(message) => Err(("reset", message.to_owned())),
            None => Ok(subtracting_neuron(neuron, constant, dt)),
        };
    }
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
        subtracts,
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
    Ok(Canonical::Float { params, gain: compact(gain), subtraction: None })
}

/// Why a reset other than to a value has no exact form; `None` if it has one.
fn not_subtracted(neuron: &Neuron, reset: Reset) -> Option<&'static str> {
    if reset == Reset::SnntorchSubtract {
        Some(
            "resets as snnTorch does, which compares the membrane a second time before the spike is known; a chip's \
             compartments have one comparison. `reset: BySubtraction` compiles, and differs only where a membrane exceeds \
             the threshold twice over",
        )
    } else if neuron.model.filters() {
        Some(
            "resets by subtraction behind a synaptic filter; a compartment's current is either the filter or the membrane \
             that spikes subtract from",
        )
    } else if neuron.v_min.is_some() {
        Some(
            "resets by subtraction and has a lower bound; the membrane that spikes subtract from is the compartment's \
             current, which has no lower clip",
        )
    } else if neuron.refractory_steps.values().iter().any(|steps| *steps > 1) {
        Some(
            "resets by subtraction and rests after a spike; the membrane that spikes subtract from is the compartment's \
             current, which goes on while the compartment rests",
        )
    } else {
        None
    }
}

/// An IF or LIF neuron that resets by subtraction (see the head of this file).
fn subtracting_neuron(neuron: &Neuron, constant: &Param, dt: f64) -> Canonical {
    let v_reset = compact(neuron.v_reset.clone());
    let mut gain = compact(neuron.r.clone());
    let mut current_keep = Param::Uniform(1.0);
    let mut base = &neuron.v_initial;
    if neuron.model.leaks() {
        let leak = compact(neuron.tau_mem_s.map(|tau| dt / tau));
        gain = product(&gain, &leak);
        current_keep = compact(leak.map(|leak| 1.0 - leak));
        base = &neuron.v_leak;
    }
    let threshold = compact(difference(&neuron.v_threshold, &v_reset));
    let mut bias = difference(base, &v_reset);
    let mut constant = compact(product(constant, &gain));
    if current_keep.values().iter().all(|keep| *keep == 0.0) {
        // Nothing adds up, so the bias register serves constants as well.
        bias = bias.zip(&constant, |bias, constant| bias + constant);
        constant = Param::Uniform(0.0);
    }
    let reset = compact(product(&current_keep, &threshold).map(|taken| 0.0 - taken));
    let params = NeuronParams {
        voltage_keep: Param::Uniform(0.0),
        bias: compact(bias),
        subtracts: false,
        threshold,
        comparison: neuron.comparison,
        refractory_steps: Param::Uniform(1),
        u_initial: compact(difference(&neuron.v_initial, base)),
        v_initial: Param::Uniform(0.0),
        v_min: None,
        v_offset: v_reset,
        current_keep,
    };
    Canonical::Float { params, gain: compact(gain), subtraction: Some(Subtraction { reset, constant }) }
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
