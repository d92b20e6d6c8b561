//! Activations as sums of rectifiers.
//!
//! Piecewise linear functions are exact: a pair of neurons that fire above and below 0 (`LeakyReLU(x) = ReLU(x) − a ReLU(−x)`),
//! or one neuron that saturates (`Clip`). Smooth ones become a [`Polygon`]: a spread of `x` into its units, which folds into
//! the layer before, the units' rectifier, and a gather of their values, which folds into the layer behind where that is exact.

use super::draft::{Draft, Role, Value};
use super::fates::at_most;
use super::segments::{self, Polygon, Unit};
use crate::options::{ConvertOptions, NeuronKind};
use snncc_ir::ann::{Activation, AnnConvolution, AnnOp, AnnTensor};

/// An activation as rectifiers.
pub(super) struct Rectified {
    pub(super) value: Value,
    /// In words.
    pub(super) note: String,
    /// `None` if the form is exact.
    pub(super) approximation: Option<Approximation>,
}

/// A form that is not exact.
pub(super) struct Approximation {
    /// More units and their error, if that helps.
    pub(super) finer: Option<(usize, f64)>,
}

/// `name` is that of the activation, and of the value made. `None` for functions without such a form.
pub(super) fn rectify(
    draft: &mut Draft,
    name: &str,
    x: Value,
    activation: &Activation,
    options: &ConvertOptions,
) -> Option<Rectified> {
    let exact = |value: Value, note: &str| Some(Rectified { value, note: note.into(), approximation: None });
    let segments = options.segments;
    let neurons = match options.neuron {
        NeuronKind::IntegrateAndFire => "integrate-and-fire neurons",
        NeuronKind::Lif { .. } => "leaky integrate-and-fire neurons",
        NeuronKind::Rate(_) => "neurons that follow its rate",
    };
    if matches!(options.neuron, NeuronKind::Rate(_)) && has_rate(activation, options.signed_spikes) {
        let value = draft.push(name, AnnOp::Activation(activation.clone()), vec![x], None);
        let spikes = if has_negative_values(activation) { ", with negative spikes" } else { "" };
        return exact(value, &format!("{neurons}{spikes}; run in floats only"));
    }
    match activation {
        Activation::Relu => exact(relu(draft, name, x), neurons),
        Activation::Clip { min, max } => {
            let (value, note) = clip(draft, name, x, [*min, *max], neurons);
            Some(Rectified { value, note, approximation: None })
        }
        Activation::HardSigmoid { alpha, beta } => {
            let argument = scale_shift(draft, format!("{name}/argument"), x, *alpha, *beta);
            let value = clip_at(draft, name, argument, 1.0);
            exact(value, &format!("{neurons}, clipped at 0 and 1 exactly"))
        }
        Activation::ThresholdedRelu { threshold } if *threshold == 0.0 => exact(relu(draft, name, x), neurons),
        Activation::LeakyRelu { slope } => leaky(draft, name, x, *slope, neurons),
        Activation::PRelu { slope } => match super::tensors::uniform(slope) {
            Some(slope) => leaky(draft, name, x, slope, neurons),
            None => {
                let (on, off) = pair(draft, name, x);
                let scale = AnnOp::ScaleShift { scale: Some(slope.clone()), shift: None };
                let off = draft.push(format!("{name}/off/slope"), scale, vec![off], None);
                let value = draft.push(name, AnnOp::Sum { coefficients: vec![1.0, -1.0] }, vec![on, off], None);
                exact(value, "ON/OFF pair of neurons")
            }
        },
        Activation::SoftLif(_) => {
            let value = draft.push(name, AnnOp::Activation(activation.clone()), vec![x], None);
            let note = "leaky integrate-and-fire neurons, whose rate it is, softened around the threshold".to_owned();
            Some(Rectified { value, note, approximation: None })
        }
        Activation::Abs => {
            let (on, off) = pair(draft, name, x);
            let value = draft.push(name, AnnOp::Sum { coefficients: vec![1.0, 1.0] }, vec![on, off], None);
            exact(value, "ON/OFF pair of neurons")
        }
        smooth => {
            let polygon = segments::polygon(smooth, segments)?;
            let units = polygon.units();
            let finer = (2 * units).min(segments::MAX_UNITS);
            let finer = segments::polygon(smooth, finer).filter(|finer| finer.error < 0.9 * polygon.error);
            let note = match smooth {
                Activation::ThresholdedRelu { threshold } => format!(
                    "sum of {units} rectifiers, which climb the jump at {threshold} over a width of {}: error at most {}",
                    threshold.abs() / 8.0,
                    at_most(polygon.error)
                ),
                _ => format!("sum of {units} rectifiers, error at most {}", at_most(polygon.error)),
            };
            let approximation = Approximation { finer: finer.map(|finer| (finer.units(), finer.error)) };
            let value = sum_of_units(draft, name, x, &polygon);
            Some(Rectified { value, note, approximation: Some(approximation) })
        }
    }
}

/// Whether the function has values below 0.
pub(crate) fn has_negative_values(activation: &Activation) -> bool {
    match activation {
        Activation::Relu
        | Activation::Sigmoid
        | Activation::HardSigmoid { .. }
        | Activation::Softplus
        | Activation::Abs
        | Activation::SoftLif(_) => false,
        Activation::Clip { min, .. } => *min < 0.0,
        Activation::ThresholdedRelu { threshold } => *threshold < 0.0,
        Activation::LeakyRelu { slope } => *slope > 0.0,
        _ => true,
    }
}

/// Whether neurons can follow the function as their rate.
fn has_rate(activation: &Activation, signed_spikes: bool) -> bool {
    let is_one_function = match activation {
        Activation::PRelu { .. } => false,
        // What changes nothing needs no neurons.
        Activation::LeakyRelu { slope } => *slope != 1.0 && slope.is_finite(),
        Activation::Clip { min, max } => min < max && *min > f32::MIN && *max < f32::MAX,
        _ => true,
    };
    is_one_function && (signed_spikes || !has_negative_values(activation))
}

fn relu(draft: &mut Draft, name: impl Into<String>, x: Value) -> Value {
    draft.push(name, AnnOp::Activation(Activation::Relu), vec![x], None)
}

fn clip_at(draft: &mut Draft, name: impl Into<String>, x: Value, max: f32) -> Value {
    draft.push(name, AnnOp::Activation(Activation::Clip { min: 0.0, max }), vec![x], None)
}

/// Shape of a single value that broadcasts to that of `x`.
fn single(draft: &Draft, x: Value) -> Vec<usize> {
    vec![1; draft.shape(x).len().min(1)]
}

/// `scale · x + shift`
pub(super) fn scale_shift(draft: &mut Draft, name: impl Into<String>, x: Value, scale: f32, shift: f32) -> Value {
    let shape = single(draft, x);
    let tensor = |value: f32, neutral: f32| (value != neutral).then(|| AnnTensor::fill(shape.clone(), value));
    let (scale, shift) = (tensor(scale, 1.0), tensor(shift, 0.0));
    if scale.is_none() && shift.is_none() {
        return x;
    }
    draft.push(name, AnnOp::ScaleShift { scale, shift }, vec![x], None)
}

/// `ReLU(x)` and `ReLU(−x)`
fn pair(draft: &mut Draft, name: &str, x: Value) -> (Value, Value) {
    let on = relu(draft, format!("{name}/on"), x);
    let negative = scale_shift(draft, format!("{name}/negative"), x, -1.0, 0.0);
    (on, relu(draft, format!("{name}/off"), negative))
}

fn leaky(draft: &mut Draft, name: &str, x: Value, slope: f32, neurons: &'static str) -> Option<Rectified> {
    let (value, note) = if slope == 0.0 {
        (relu(draft, name, x), neurons)
    } else if slope == 1.0 {
        (x, "removed: the slope below 0 is 1")
    } else {
        let (on, off) = pair(draft, name, x);
        let sum = AnnOp::Sum { coefficients: vec![1.0, -slope] };
        (draft.push(name, sum, vec![on, off], None), "ON/OFF pair of neurons")
    };
    Some(Rectified { value, note: note.into(), approximation: None })
}

/// `min(max(x, min), max)`; a bound beyond every number is none.
fn clip(draft: &mut Draft, name: &str, x: Value, [min, max]: [f32; 2], neurons: &str) -> (Value, String) {
    let [lower, upper] = [min > f32::MIN, max < f32::MAX];
    match (lower, upper) {
        (false, false) => (x, "removed: it has no bounds".into()),
        (true, true) if min >= max => {
            let shape = single(draft, x);
            let [scale, shift] = [0.0, max].map(|value| Some(AnnTensor::fill(shape.clone(), value)));
            let zero = AnnOp::ScaleShift { scale, shift };
            (
                draft.push(name, zero, vec![x], None),
                format!("the constant {max}: the lower bound is not below the upper"),
            )
        }
        (true, true) if min == 0.0 => (clip_at(draft, name, x, max), format!("{neurons}, clipped at {max} exactly")),
        (true, false) if min == 0.0 => (relu(draft, name, x), neurons.into()),
        (true, _) => {
            let argument = scale_shift(draft, format!("{name}/argument"), x, 1.0, -min);
            let unit = match upper {
                true => clip_at(draft, format!("{name}/neuron"), argument, max - min),
                false => relu(draft, format!("{name}/neuron"), argument),
            };
            let bounds = if upper { format!("{min} and {max}") } else { format!("{min}") };
            (scale_shift(draft, name, unit, 1.0, min), format!("{neurons} and a constant, clipped at {bounds} exactly"))
        }
        (false, true) => {
            let argument = scale_shift(draft, format!("{name}/argument"), x, -1.0, max);
            let unit = relu(draft, format!("{name}/neuron"), argument);
            (scale_shift(draft, name, unit, -1.0, max), format!("{neurons} and a constant, clipped at {max} exactly"))
        }
    }
}

/// A polygon of `x`.
///
/// The saturating units of all channels are one layer of `K·C` channels, those of a channel side by side. Values of one
/// dimension get a spatial one of length 1, those of more than three become `(C, rest)`.
fn sum_of_units(draft: &mut Draft, name: &str, x: Value, polygon: &Polygon) -> Value {
    let shape = draft.shape(x).to_vec();
    let channels = shape.first().copied().unwrap_or(1);
    let rest: usize = shape.iter().skip(1).product();
    let inner = if (2..=3).contains(&shape.len()) { shape.clone() } else { vec![channels, rest] };
    let x = draft.reshape(&format!("{name}/column"), x, &inner);
    let mut parts = Vec::new();
    if !polygon.clips.is_empty() {
        let list = |of: fn(&Unit) -> f64| polygon.clips.iter().map(|unit| of(unit) as f32).collect::<Vec<f32>>();
        let (scale, shift) = (list(|unit| unit.scale), list(|unit| unit.shift));
        let spread = pointwise(&scale, Some(&shift), channels, inner.len() - 1, Role::Spread);
        let arguments = draft.push(format!("{name}/argument"), spread, vec![x], None);
        draft.nodes[arguments].role = Role::Spread;
        let units = clip_at(draft, format!("{name}/segments"), arguments, 1.0);
        let gather = pointwise(&list(|unit| unit.coefficient), None, channels, inner.len() - 1, Role::Gather);
        let sum = draft.push(format!("{name}/sum"), gather, vec![units], None);
        draft.nodes[sum].role = Role::Gather;
        parts.push((sum, 1.0));
    }
    for (index, unit) in polygon.tails.iter().enumerate() {
        let tail = if index == 0 { "tail".to_owned() } else { format!("tail{}", index + 1) };
        let argument = scale_shift(draft, format!("{name}/{tail}/argument"), x, unit.scale as f32, unit.shift as f32);
        parts.push((relu(draft, format!("{name}/{tail}"), argument), unit.coefficient as f32));
    }
    let sum = match parts[..] {
        [(value, 1.0)] => value,
        _ => {
            let coefficients = parts.iter().map(|(_, factor)| *factor).collect();
            let inputs = parts.iter().map(|(value, _)| *value).collect();
            let sum = draft.push(format!("{name}/total"), AnnOp::Sum { coefficients }, inputs, None);
            draft.nodes[sum].role = Role::GatherSum;
            sum
        }
    };
    let value = draft.reshape(name, sum, &shape);
    draft.nodes[value].name = name.to_owned();
    value
}

/// A 1×1 convolution in groups of one channel: a spread of each channel into `factors`, or a gather by them.
fn pointwise(factors: &[f32], shifts: Option<&[f32]>, channels: usize, dimensions: usize, role: Role) -> AnnOp {
    let repeated = |values: &[f32]| -> Vec<f32> { std::iter::repeat_n(values, channels).flatten().copied().collect() };
    let ones = vec![1; dimensions];
    let head = match role {
        Role::Gather => [channels, factors.len()],
        _ => [channels * factors.len(), 1],
    };
    AnnOp::Convolution(AnnConvolution {
        weight: AnnTensor::new([&head[..], &ones].concat(), repeated(factors)),
        bias: shifts.map(|shifts| AnnTensor::vector(repeated(shifts))),
        stride: ones.clone(),
        padding: vec![(0, 0); dimensions],
        dilation: ones,
        groups: channels,
    })
}
