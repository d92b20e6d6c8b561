//! Nonlinear functions: layers, settings of other layers, and operations of Keras 3.

use super::{Context, Made};
use crate::keras::config::{Config, Failure};
use crate::keras::values::{Builder, Value};
use serde_json::Value as Json;
use snncc_ir::ann::{Activation, AnnOp, SoftLif};

/// One step of a function.
#[derive(Debug, PartialEq)]
enum Step {
    Element(Activation),
    Softmax { axis: i64, log: bool },
}

/// Constants of SELU as Keras has them (Klambauer et al., *Self-Normalizing Neural Networks*, 2017).
const SELU: Activation = Activation::Selu { alpha: 1.673_263_2, gamma: 1.050_701 };

/// Layers and operations that are nonlinear functions.
pub(super) fn is_nonlinear(class: &str) -> bool {
    matches!(class, "Activation" | "ReLU" | "LeakyReLU" | "PReLU" | "ELU" | "ThresholdedReLU")
        || operation(class).is_some()
        || is_lif(class)
}

/// Whether a class or function that Keras does not have itself is, by its name, the rate of leaky integrate-and-fire neurons: as
/// NengoDL names it (`SoftLIFRate`, `LIFRate`), or written as a custom layer.
pub(super) fn is_lif(name: &str) -> bool {
    // A registered class stands behind its package: `package>Class`.
    let own = name.rsplit('>').next().unwrap_or(name).to_ascii_lowercase().replace('_', "");
    matches!(&own[..], "softlif" | "softlifrate" | "lif" | "lifrate")
}

/// The rate of leaky integrate-and-fire neurons with the times that the settings have.
fn lif(class: &str, config: Config<'_>) -> Result<Vec<Step>, Failure> {
    let is_soft = class.to_ascii_lowercase().contains("soft");
    let gamma = match config.number("gamma")?.or(config.number("sigma")?) {
        None if !is_soft => Some(0.0),
        gamma => gamma,
    };
    let (Some(tau_rc), Some(tau_ref), Some(gamma)) = (config.number("tau_rc")?, config.number("tau_ref")?, gamma)
    else {
        let names = if is_soft { "`tau_rc`, `tau_ref` and `gamma` (or `sigma`)" } else { "`tau_rc` and `tau_ref`" };
        return Err(Failure::Unsupported(format!(
            "the file does not say with which {names} the rates of `{class}` were trained: give them by \
             `--swap-activation LAYER=soft-lif:TAU_RC:TAU_REF:GAMMA:AMPLITUDE`, or put them into the layer's get_config"
        )));
    };
    let amplitude = config.number("amplitude")?.unwrap_or(1.0) as f32;
    let soft = SoftLif { tau_rc_s: tau_rc as f32, tau_ref_s: tau_ref as f32, gamma: gamma as f32, amplitude };
    soft.checked().map(|soft| vec![Step::Element(Activation::SoftLif(soft))]).map_err(Failure::Bad)
}

/// The name of the function that an operation of Keras 3, or a layer without more settings than these, computes.
fn operation(class: &str) -> Option<&'static str> {
    Some(match class {
        "Relu" => "relu",
        "Relu6" => "relu6",
        "Sigmoid" => "sigmoid",
        "Tanh" => "tanh",
        "Silu" => "silu",
        "HardSigmoid" => "hard_sigmoid",
        "HardSilu" => "hard_silu",
        "HardTanh" => "hard_tanh",
        "Softplus" => "softplus",
        "Softsign" => "softsign",
        "Softmax" => "softmax",
        "LogSoftmax" => "log_softmax",
        "LeakyRelu" => "leaky_relu",
        "Elu" => "elu",
        "Selu" => "selu",
        "Celu" => "celu",
        "Gelu" => "gelu",
        _ => return None,
    })
}

/// The function of a name. Settings are those of operations; names alone have none. Formulas: Keras's documentation of
/// `keras.activations`.
fn named(name: &str, config: Config<'_>, major: u32) -> Result<Vec<Step>, Failure> {
    let number = |key: &str, default: f64| Ok::<f32, Failure>(config.number(key)?.unwrap_or(default) as f32);
    let element = |activation| Ok(vec![Step::Element(activation)]);
    match name {
        "linear" => Ok(Vec::new()),
        "relu" => element(Activation::Relu),
        "relu6" => element(Activation::Clip { min: 0.0, max: 6.0 }),
        "leaky_relu" => element(Activation::LeakyRelu { slope: number("negative_slope", 0.2)? }),
        "sigmoid" => element(Activation::Sigmoid),
        "tanh" => element(Activation::Tanh),
        // Keras 3 has another slope.
        "hard_sigmoid" if major >= 3 => element(Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }),
        "hard_sigmoid" => element(Activation::HardSigmoid { alpha: 0.2, beta: 0.5 }),
        "hard_tanh" => element(Activation::Clip { min: -1.0, max: 1.0 }),
        "silu" | "swish" => element(Activation::Silu),
        "hard_silu" | "hard_swish" => element(Activation::HardSwish),
        "gelu" => element(Activation::Gelu { tanh: config.boolean("approximate", false) }),
        "elu" => element(Activation::Elu { alpha: number("alpha", 1.0)? }),
        "selu" => element(SELU),
        "celu" => element(Activation::Celu { alpha: number("alpha", 1.0)? }),
        "softplus" => element(Activation::Softplus),
        "softsign" => element(Activation::Softsign),
        "mish" => element(Activation::Mish),
        "softmax" => Ok(vec![Step::Softmax { axis: config.integer("axis")?.unwrap_or(-1), log: false }]),
        "log_softmax" => Ok(vec![Step::Softmax { axis: config.integer("axis")?.unwrap_or(-1), log: true }]),
        other if is_lif(other) => lif(other, config),
        other => Err(Failure::Unsupported(format!(
            "the activation `{other}` is not executed; train with relu or another that is"
        ))),
    }
}

/// The function of a layer without weights.
fn of_class(class: &str, config: Config<'_>, major: u32) -> Result<Vec<Step>, Failure> {
    match class {
        "Activation" => of_setting(config.get("activation"), major),
        "ReLU" => {
            let slope = config.number("negative_slope")?.unwrap_or(0.0) as f32;
            let threshold = config.number("threshold")?.unwrap_or(0.0) as f32;
            let largest = config.number("max_value")?.map(|value| value as f32);
            let below = match (slope == 0.0, threshold == 0.0, largest) {
                (true, true, Some(max)) => return Ok(vec![Step::Element(Activation::Clip { min: 0.0, max })]),
                (true, true, None) => Activation::Relu,
                (false, true, _) => Activation::LeakyRelu { slope },
                (true, false, _) => Activation::ThresholdedRelu { threshold },
                (false, false, _) => {
                    return Err(Failure::Unsupported(format!(
                        "a ReLU with both a threshold ({threshold}) and a slope below it ({slope}) is not executed"
                    )));
                }
            };
            let cut = largest.map(|max| Step::Element(Activation::Clip { min: f32::NEG_INFINITY, max }));
            Ok([Step::Element(below)].into_iter().chain(cut).collect())
        }
        "LeakyReLU" => {
            let slope = config.number("negative_slope")?.or(config.number("alpha")?).unwrap_or(0.3) as f32;
            Ok(vec![Step::Element(Activation::LeakyRelu { slope })])
        }
        "ELU" => named("elu", config, major),
        "ThresholdedReLU" => {
            let threshold = config.number("theta")?.unwrap_or(1.0) as f32;
            Ok(vec![Step::Element(Activation::ThresholdedRelu { threshold })])
        }
        "Gelu" => {
            let tanh = config.boolean("approximate", true);
            Ok(vec![Step::Element(Activation::Gelu { tanh })])
        }
        class if is_lif(class) => lif(class, config),
        class => match operation(class) {
            Some(name) => named(name, config, major),
            None => Err(Failure::Unsupported(format!("a {class} as activation is not executed"))),
        },
    }
}

/// The function that a setting names: by its name, as a registered function, or as a layer.
fn of_setting(setting: Option<&Json>, major: u32) -> Result<Vec<Step>, Failure> {
    let Some(setting) = setting else { return Ok(Vec::new()) };
    if let Some(name) = setting.as_str() {
        return named(name, Config::of(&Json::Null), major);
    }
    let class = setting.get("class_name").and_then(Json::as_str);
    let config = setting.get("config").unwrap_or(&Json::Null);
    match (class, config.as_str()) {
        (_, Some(name)) => named(name, Config::of(&Json::Null), major),
        (Some(class), None) => of_class(class, Config::of(config), major),
        (None, None) => Err(Failure::Bad(format!("its activation is {setting}, which names no function"))),
    }
}

/// Appends the steps, the first under `name`.
fn apply(builder: &mut Builder, value: Value, steps: Vec<Step>, name: &str) -> Result<Value, Failure> {
    let mut value = value;
    for (index, step) in steps.into_iter().enumerate() {
        let own_name;
        let name = match (index, &step) {
            (0, _) => name,
            _ => {
                own_name = format!("{name}/clip");
                &own_name
            }
        };
        let op = match step {
            Step::Element(activation) => AnnOp::Activation(activation),
            Step::Softmax { axis, log } => {
                let axis = axis_without_batch(axis, value.shape.len())?;
                AnnOp::Softmax { axis: value.node_axis(axis), log }
            }
        };
        value = builder.push_like(name, op, &value)?;
    }
    Ok(value)
}

/// A dimension that Keras counts with the batch, or from the end, counted without it.
pub(super) fn axis_without_batch(axis: i64, rank: usize) -> Result<usize, Failure> {
    let with_batch = if axis < 0 { axis + rank as i64 + 1 } else { axis };
    match usize::try_from(with_batch - 1) {
        Ok(axis) if axis < rank => Ok(axis),
        _ => Err(Failure::Bad(format!("there is no dimension {axis} in a value of {rank} dimensions and batch"))),
    }
}

/// Appends the function of a setting; one that is not executed becomes an Unsupported node of the same shape.
pub(in crate::keras) fn apply_setting(
    builder: &mut Builder,
    value: Value,
    setting: Option<&Json>,
    major: u32,
    name: &str,
) -> Result<Value, Failure> {
    or_unsupported(builder, value, of_setting(setting, major), name)
}

fn or_unsupported(
    builder: &mut Builder,
    value: Value,
    steps: Result<Vec<Step>, Failure>,
    name: &str,
) -> Result<Value, Failure> {
    match steps {
        Ok(steps) => apply(builder, value, steps, name),
        Err(Failure::Unsupported(reason)) => {
            let node = builder.push(name, AnnOp::Unsupported { reason }, vec![value.node], None)?;
            Ok(value.at(node))
        }
        Err(bad) => Err(bad),
    }
}

/// A layer that is a nonlinear function.
pub(super) fn layer(context: &mut Context<'_, '_>, value: &Value) -> Result<Made, Failure> {
    let (layer, name) = (context.layer, context.layer.path.as_str());
    if layer.class == "PReLU" {
        let slopes = context.tensors(1)?.remove(0);
        let slope = value.spread(&slopes.shape, &slopes.to_values())?;
        let op = AnnOp::Activation(Activation::PRelu { slope });
        return Ok(Made::value(context.builder.push_like(name, op, value)?));
    }
    let steps = of_class(layer.class, layer.config, context.major);
    let made = or_unsupported(context.builder, value.clone(), steps, name)?;
    match made.node == value.node {
        true => Ok(Made { value: made, node: None, folded: "a linear activation does nothing" }),
        false => Ok(Made::value(made)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn steps(setting: Json, major: u32) -> Result<Vec<Step>, Failure> {
        of_setting(Some(&setting), major)
    }

    #[test]
    fn functions_are_named_in_several_ways() {
        let relu6 = vec![Step::Element(Activation::Clip { min: 0.0, max: 6.0 })];
        assert_eq!(steps(json!("relu6"), 2).unwrap(), relu6);
        let function = json!({"module": "builtins", "class_name": "function", "config": "relu6"});
        assert_eq!(steps(function, 3).unwrap(), relu6);
        let layer = json!({"class_name": "ReLU", "config": {"max_value": 6.0, "negative_slope": 0.0}});
        assert_eq!(steps(layer, 3).unwrap(), relu6);
        assert!(matches!(steps(json!("exponential"), 3), Err(Failure::Unsupported(_))));
        assert!(matches!(steps(json!(7), 3), Err(Failure::Bad(_))));
    }

    /// The formula of Keras 2 is clip(0.2 x + 0.5), that of Keras 3 relu6(x + 3) / 6.
    #[test]
    fn hard_sigmoid_depends_on_the_generation() {
        let slope = |major| match &steps(json!("hard_sigmoid"), major).unwrap()[..] {
            [Step::Element(Activation::HardSigmoid { alpha, beta: 0.5 })] => *alpha,
            other => panic!("{other:?}"),
        };
        assert_eq!((slope(2), slope(3)), (0.2, 1.0 / 6.0));
    }

    #[test]
    fn rates_of_leaky_neurons_need_their_times() {
        let config = json!({ "tau_rc": 0.02, "tau_ref": 0.001, "sigma": 0.05, "amplitude": 0.01 });
        let layer = |class: &str, config: &Json| of_class(class, Config::of(config), 3);
        let soft = SoftLif { tau_rc_s: 0.02, tau_ref_s: 0.001, gamma: 0.05, amplitude: 0.01 };
        let expected = vec![Step::Element(Activation::SoftLif(soft))];
        assert_eq!(layer("SoftLIFRate", &config).ok().unwrap(), expected);
        let setting = json!({ "class_name": "mine>SoftLIF", "config": config });
        assert_eq!(steps(setting, 3).ok().unwrap(), expected);
        let hard = json!({ "tau_rc": 0.02, "tau_ref": 0.0 });
        let hard = layer("LIF", &hard).ok().unwrap();
        assert!(matches!(hard[..], [Step::Element(Activation::SoftLif(SoftLif { gamma: 0.0, .. }))]));
        let missing = layer("SoftLIF", &json!({ "tau_rc": 0.02 })).err().unwrap();
        assert!(matches!(missing, Failure::Unsupported(why) if why.contains("--swap-activation")));
        assert!(matches!(steps(json!("soft_lif"), 3), Err(Failure::Unsupported(why)) if why.contains("tau_rc")));
        assert!(matches!(layer("LIF", &json!({ "tau_rc": -1.0, "tau_ref": 0.0 })), Err(Failure::Bad(_))));
    }

    #[test]
    fn settings_of_relu() {
        let steps = |config: Json| of_class("ReLU", Config::of(&config), 3);
        let wrapped = json!({"class_name": "__numpy__", "config": {"value": 0.0, "dtype": "float32"}});
        let plain = steps(json!({"max_value": null, "negative_slope": wrapped, "threshold": wrapped}));
        assert_eq!(plain.unwrap(), [Step::Element(Activation::Relu)]);
        let cut = steps(json!({"max_value": 2.0, "negative_slope": 0.5})).unwrap();
        assert_eq!(
            cut,
            [
                Step::Element(Activation::LeakyRelu { slope: 0.5 }),
                Step::Element(Activation::Clip { min: f32::NEG_INFINITY, max: 2.0 })
            ]
        );
        assert!(matches!(steps(json!({"threshold": 1.0, "negative_slope": 0.5})), Err(Failure::Unsupported(_))));
    }

    #[test]
    fn axes_are_counted_with_the_batch() {
        assert_eq!(axis_without_batch(-1, 3).unwrap(), 2);
        assert_eq!(axis_without_batch(1, 3).unwrap(), 0);
        assert!(axis_without_batch(0, 3).is_err());
        assert!(axis_without_batch(4, 3).is_err());
        assert!(axis_without_batch(-4, 3).is_err());
    }
}
