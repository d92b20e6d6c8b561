//! Nonlinear functions of single elements.

use super::AnnTensor;

/// A nonlinear function. Formulas are those of the ONNX operators of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, min), max)`: Clip, Relu6.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
    /// `x` if `x ≥ 0`, else `slope · x`.
    LeakyRelu {
        /// Slope below 0.
        slope: f32,
    },
    /// As [`Activation::LeakyRelu`] with slopes that broadcast from the right to the shape of `x`.
    PRelu {
        /// Slopes below 0.
        slope: AnnTensor,
    },
    /// `x` if `x > threshold`, else 0.
    ThresholdedRelu {
        /// The threshold.
        threshold: f32,
    },
    /// `1 / (1 + exp(−x))`
    Sigmoid,
    /// `tanh(x)`
    Tanh,
    /// `min(max(alpha · x + beta, 0), 1)`
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `x · min(max(x/6 + 1/2, 0), 1)`
    HardSwish,
    /// `x / (1 + exp(−x))`: SiLU, Swish.
    Silu,
    /// `x · Φ(x)`, with the error function or its approximation by tanh.
    Gelu {
        /// Whether by `tanh(√(2/π) (x + 0.044715 x³))`.
        tanh: bool,
    },
    /// `x` if `x > 0`, else `alpha · (exp(x) − 1)`
    Elu {
        /// Value towards which it falls, negated.
        alpha: f32,
    },
    /// `gamma · (x if x > 0, else alpha · (exp(x) − 1))`
    Selu {
        /// As for Elu.
        alpha: f32,
        /// Factor of both branches.
        gamma: f32,
    },
    /// `max(x, 0) + min(0, alpha · (exp(x/alpha) − 1))`
    Celu {
        /// Scale.
        alpha: f32,
    },
    /// `ln(1 + exp(x))`
    Softplus,
    /// `x / (1 + |x|)`
    Softsign,
    /// `x · tanh(ln(1 + exp(x)))`
    Mish,
    /// `|x|`
    Abs,
}

impl Activation {
    /// Its name, as the tables show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Relu => "ReLU",
            Self::Clip { .. } => "Clip",
            Self::LeakyRelu { .. } => "LeakyReLU",
            Self::PRelu { .. } => "PReLU",
            Self::ThresholdedRelu { .. } => "ThresholdedReLU",
            Self::Sigmoid => "Sigmoid",
            Self::Tanh => "Tanh",
            Self::HardSigmoid { .. } => "HardSigmoid",
            Self::HardSwish => "HardSwish",
            Self::Silu => "SiLU",
            Self::Gelu { .. } => "GELU",
            Self::Elu { .. } => "ELU",
            Self::Selu { .. } => "SELU",
            Self::Celu { .. } => "CELU",
            Self::Softplus => "Softplus",
            Self::Softsign => "Softsign",
            Self::Mish => "Mish",
            Self::Abs => "Abs",
        }
    }

    /// The function at `x`. `slope` is the element's slope of a PReLU, broadcast by the caller.
    pub fn value(&self, x: f64, slope: f64) -> f64 {
        let expm1_below = |alpha: f32| if x > 0.0 { x } else { f64::from(alpha) * x.exp_m1() };
        match self {
            Self::Relu => x.max(0.0),
            Self::Clip { min, max } => x.max((*min).into()).min((*max).into()),
            Self::LeakyRelu { slope } => {
                if x >= 0.0 {
                    x
                } else {
                    f64::from(*slope) * x
                }
            }
            Self::PRelu { .. } => {
                if x >= 0.0 {
                    x
                } else {
                    slope * x
                }
            }
            Self::ThresholdedRelu { threshold } => {
                if x > f64::from(*threshold) {
                    x
                } else {
                    0.0
                }
            }
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::HardSigmoid { alpha, beta } => (f64::from(*alpha) * x + f64::from(*beta)).clamp(0.0, 1.0),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::Silu => x * sigmoid(x),
            Self::Gelu { tanh: false } => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Self::Gelu { tanh: true } => {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh())
            }
            Self::Elu { alpha } => expm1_below(*alpha),
            Self::Selu { alpha, gamma } => f64::from(*gamma) * expm1_below(*alpha),
            Self::Celu { alpha } => {
                let alpha = f64::from(*alpha);
                x.max(0.0) + (alpha * (x / alpha).exp_m1()).min(0.0)
            }
            Self::Softplus => softplus(x),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Mish => x * softplus(x).tanh(),
            Self::Abs => x.abs(),
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The error function by its series below 3 and the continued fraction of its complement above; Abramowitz and Stegun,
/// *Handbook of Mathematical Functions*, 7.1.6 and 7.1.14. Absolute error below 1e-12.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    let value = if a < 3.0 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term > 1e-17 * sum {
            n += 1.0;
            term *= 2.0 * a * a / (2.0 * n + 1.0);
            sum += term;
        }
        2.0 / std::f64::consts::PI.sqrt() * (-a * a).exp() * sum
    } else {
        let fraction = (1..60).rev().fold(a, |below, k| a + f64::from(k) / 2.0 / below);
        1.0 - (-a * a).exp() / (std::f64::consts::PI.sqrt() * fraction)
    };
    value.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table 7.1 of Abramowitz and Stegun, and erfc(4).
    #[test]
    fn error_function_agrees_with_the_tables() {
        for (x, expected) in [(0.0, 0.0), (0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)] {
            assert!((erf(x) - expected).abs() < 1e-10, "{x}");
            assert!((erf(-x) + expected).abs() < 1e-10, "{x}");
        }
        assert!((1.0 - erf(4.0) - 1.541_725_790e-8).abs() < 1e-15);
        assert!((erf(2.999_999_9) - erf(3.000_000_1)).abs() < 1e-9);
    }

    #[test]
    fn functions_at_known_points() {
        let at = |activation: Activation, x: f64| activation.value(x, 0.25);
        assert_eq!(at(Activation::Clip { min: 0.0, max: 6.0 }, 7.0), 6.0);
        assert_eq!(at(Activation::LeakyRelu { slope: 0.5 }, -2.0), -1.0);
        assert_eq!(at(Activation::PRelu { slope: AnnTensor::fill(vec![1], 0.25) }, -2.0), -0.5);
        assert_eq!(at(Activation::HardSwish, 3.0), 3.0);
        assert_eq!(at(Activation::HardSwish, -3.0), 0.0);
        assert!((at(Activation::Sigmoid, -800.0)).abs() < 1e-300);
        assert!((at(Activation::Softplus, 800.0) - 800.0).abs() < 1e-12);
        assert!((at(Activation::Gelu { tanh: false }, 1.0) - 0.841_344_746).abs() < 1e-8);
        assert!((at(Activation::Mish, 1.0) - 0.865_098_388).abs() < 1e-8);
    }
}
