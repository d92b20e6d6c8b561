//! Neurons that follow the rate of a function, and the names of the functions.

use super::context::{Context, Fields};
use super::tensors::Shapes;
use super::value::{Kind, Value};
use snncc_ids::code;
use snncc_ir::Node;
use snncc_ir::ann::{Activation, SoftLif};
use snncc_ir::network::{RateNeuron, Spiking};

/// A function: its name, those of its parameters, and how it is made of them.
type Function = (&'static str, &'static [&'static str], fn(&[f32]) -> Activation);

/// Every function that a neuron can have.
const FUNCTIONS: [Function; 19] = [
    ("Relu", &[], |_| Activation::Relu),
    ("Clip", &["min", "max"], |p| Activation::Clip { min: p[0], max: p[1] }),
    ("LeakyRelu", &["slope"], |p| Activation::LeakyRelu { slope: p[0] }),
    ("ThresholdedRelu", &["threshold"], |p| Activation::ThresholdedRelu { threshold: p[0] }),
    ("Sigmoid", &[], |_| Activation::Sigmoid),
    ("Tanh", &[], |_| Activation::Tanh),
    ("HardSigmoid", &["alpha", "beta"], |p| Activation::HardSigmoid { alpha: p[0], beta: p[1] }),
    ("HardSwish", &[], |_| Activation::HardSwish),
    ("Silu", &[], |_| Activation::Silu),
    ("Gelu", &[], |_| Activation::Gelu { tanh: false }),
    ("GeluTanh", &[], |_| Activation::Gelu { tanh: true }),
    ("Elu", &["alpha"], |p| Activation::Elu { alpha: p[0] }),
    ("Selu", &["alpha", "gamma"], |p| Activation::Selu { alpha: p[0], gamma: p[1] }),
    ("Celu", &["alpha"], |p| Activation::Celu { alpha: p[0] }),
    ("Softplus", &[], |_| Activation::Softplus),
    ("Softsign", &[], |_| Activation::Softsign),
    ("Mish", &[], |_| Activation::Mish),
    ("Abs", &[], |_| Activation::Abs),
    ("SoftLif", &["tau_rc", "tau_ref", "gamma", "amplitude"], |p| {
        Activation::SoftLif(SoftLif { tau_rc_s: p[0], tau_ref_s: p[1], gamma: p[2], amplitude: p[3] })
    }),
];

const SPIKINGS: [(&str, Spiking); 3] =
    [("Regular", Spiking::Regular), ("Stochastic", Spiking::Stochastic), ("Poisson", Spiking::Poisson)];

/// Reads a group of such neurons.
pub(super) fn rate_neuron(cx: &mut Context, fields: &Fields) -> Option<Node> {
    let mut shapes = Shapes::default();
    let declared = cx.optional(fields, "shape", Context::shape);
    let function = cx.required(fields, "function", function);
    let mut neuron = RateNeuron::new(Activation::Relu);
    for (name, param) in [("gain", &mut neuron.gain), ("initial", &mut neuron.initial)] {
        if let Some(given) = cx.param(fields, name, &mut shapes) {
            *param = given;
        }
    }
    let spiking = cx.optional(fields, "spiking", |cx, value, item| cx.choice(value, item, "way to spike", &SPIKINGS));
    neuron.spiking = spiking.unwrap_or(Spiking::Regular);
    neuron.seed = cx.optional(fields, "seed", Context::scalar::<u64>).unwrap_or(0);
    neuron.shape = shapes.settle(cx, fields, declared);
    neuron.function = function?;
    Some(Node::RateNeuron(neuron))
}

/// `Relu`, or `LeakyRelu(slope: 0.1)`
fn function(cx: &mut Context, value: &Value, item: &str) -> Option<Activation> {
    let name = match &value.kind {
        Kind::Name(name) => *name,
        Kind::Group(group) if group.name.is_some() => group.name?,
        _ => {
            cx.wrong_type(item, value, "a function, such as `Relu` or `LeakyRelu(slope: 0.1)`");
            return None;
        }
    };
    let Some((_, names, make)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
        cx.unknown_name(item, value.anchor(), "function", name, &FUNCTIONS.map(|(known, ..)| known));
        return None;
    };
    let fields = cx.fields(value, item, &format!("`{name}`"), names)?;
    let read = |name: &&str| cx.required(&fields, name, Context::float).map(|number| number as f32);
    let parameters: Option<Vec<f32>> = names.iter().map(read).collect();
    let made = make(&parameters?);
    if let Activation::SoftLif(soft) = &made
        && let Err(message) = soft.checked()
    {
        cx.error(code::BAD_PARAMETER, item, value.anchor(), message);
        return None;
    }
    Some(made)
}

/// A function as [`function`] reads it.
pub(super) fn function_text(function: &Activation) -> String {
    use Activation as A;
    let parameters: Vec<f32> = match *function {
        A::Clip { min, max } => vec![min, max],
        A::LeakyRelu { slope } => vec![slope],
        A::ThresholdedRelu { threshold } => vec![threshold],
        A::HardSigmoid { alpha, beta } => vec![alpha, beta],
        A::Elu { alpha } | A::Celu { alpha } => vec![alpha],
        A::Selu { alpha, gamma } => vec![alpha, gamma],
        A::SoftLif(SoftLif { tau_rc_s, tau_ref_s, gamma, amplitude }) => vec![tau_rc_s, tau_ref_s, gamma, amplitude],
        _ => Vec::new(),
    };
    let same = |(_, names, make): &&Function| names.len() == parameters.len() && make(&parameters) == *function;
    let (name, names, _) = FUNCTIONS.iter().find(same).expect("bug in snncc: a function that neurons do not have");
    if names.is_empty() {
        return (*name).to_owned();
    }
    let fields: Vec<String> =
        names.iter().zip(&parameters).map(|(name, number)| format!("{name}: {number:?}")).collect();
    format!("{name}({})", fields.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_a_text() {
        for (name, names, make) in FUNCTIONS {
            let made = make(&[0.5, 0.25, 0.125, 2.0][..names.len()]);
            let text = function_text(&made);
            assert!(text == name || text.starts_with(&format!("{name}({}: 0.5", names[0])), "{text}");
        }
    }
}
