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
    /// Firing rate of leaky integrate-and-fire neurons, with a soft threshold.
    SoftLif(SoftLif),
}

/// The firing rate of a leaky integrate-and-fire neuron of threshold 1 under the current `x`, softened around the threshold so
/// that it has a derivative everywhere (Hunsberger and Eliasmith, *Training Spiking Deep Networks for Neuromorphic Hardware*,
/// 2016):
///
/// ```text
/// y = amplitude / (tau_ref + tau_rc · ln(1 + 1/ρ))     ρ = gamma · ln(1 + exp((x − 1)/gamma))
/// ```
///
/// With `gamma = 0` this is the rate of the neuron itself, `ρ = max(x − 1, 0)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftLif {
    /// Membrane time constant in seconds, above 0.
    pub tau_rc_s: f32,
    /// Refractory period in seconds, not below 0.
    pub tau_ref_s: f32,
    /// Width of the soft threshold, not below 0.
    pub gamma: f32,
    /// What a rate of one spike per second stands for, above 0.
    pub amplitude: f32,
}

impl SoftLif {
    /// The constants that NengoDL has where nothing is said: 20 ms, 2 ms, 1, 1.
    pub const DEFAULT: Self = Self { tau_rc_s: 0.02, tau_ref_s: 0.002, gamma: 1.0, amplitude: 1.0 };

    /// The function itself, if its parameters are in their range.
    ///
    /// # Errors
    /// Which is not.
    pub fn checked(self) -> Result<Self, String> {
        let Self { tau_rc_s, tau_ref_s, gamma, amplitude } = self;
        let numbers = [
            ("tau_rc", tau_rc_s, tau_rc_s > 0.0, "above 0"),
            ("tau_ref", tau_ref_s, tau_ref_s >= 0.0, "not below 0"),
            ("gamma", gamma, gamma >= 0.0, "not below 0"),
            ("amplitude", amplitude, amplitude > 0.0, "above 0"),
        ];
        match numbers.into_iter().find(|(_, number, fits, _)| !number.is_finite() || !fits) {
            Some((name, number, _, range)) => Err(format!("the {name} of a SoftLIF is a number {range}, not {number}")),
            None => Ok(self),
        }
    }

    /// The largest number that the value stays below; infinite without refractory period.
    pub fn limit(&self) -> f64 {
        f64::from(self.amplitude) / f64::from(self.tau_ref_s)
    }

    /// The function at `x`.
    pub fn value(&self, x: f64) -> f64 {
        let [tau_rc, tau_ref, gamma] = [self.tau_rc_s, self.tau_ref_s, self.gamma].map(f64::from);
        let above = x - 1.0;
        // ln(1 + 1/ρ), by its first term where ρ is too small to be told from 0.
        let charging = if gamma == 0.0 {
            above.max(0.0).recip().ln_1p()
        } else if above / gamma < -30.0 {
            -above / gamma - gamma.ln()
        } else {
            (gamma * softplus(above / gamma)).recip().ln_1p()
        };
        f64::from(self.amplitude) / (tau_ref + tau_rc * charging)
    }

    /// The `x` at which the function has the value `y`, for `0 < y <` [`SoftLif::limit`].
    pub fn inverse(&self, y: f64) -> f64 {
        let [tau_rc, tau_ref, gamma] = [self.tau_rc_s, self.tau_ref_s, self.gamma].map(f64::from);
        let rho = ((f64::from(self.amplitude) / y - tau_ref) / tau_rc).exp_m1().recip();
        match gamma > 0.0 {
            // ρ/γ = ln(1 + e^u), so u = ln(e^{ρ/γ} − 1), which is ρ/γ where that is large.
            true if rho / gamma < 30.0 => 1.0 + gamma * (rho / gamma).exp_m1().ln(),
            _ => 1.0 + rho,
        }
    }
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
            Self::SoftLif(_) => "SoftLIF",
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
            Self::SoftLif(soft) => soft.value(x),
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

    /// Rates that Nengo 4 (`nengo.LIF`, `nengo_dl.SoftLIF`; GPLv2, run, not copied) gives for tau_rc 20 ms and tau_ref 2 ms.
    #[test]
    fn rates_are_those_of_nengo() {
        let soft_lif = |gamma| SoftLif { gamma, ..SoftLif::DEFAULT };
        let currents = [0.9, 1.001, 1.1, 1.5, 2.0, 5.0, 10.0, 50.0];
        let hard =
            [0.0, 7.133_934_9, 20.016_852_1, 41.714_906_9, 63.040_002_2, 154.729_994_8, 243.474_262, 415.964_008_8];
        let soft = [5.545_993_7, 11.475_955_1, 20.026_633_9, 41.714_906_9, 63.040_002_2];
        for (current, rate) in currents.into_iter().zip(hard) {
            assert!((soft_lif(0.0).value(current) - rate).abs() < 1e-4 * rate.max(1e-9), "{current}");
        }
        for (current, rate) in currents.into_iter().zip(soft) {
            assert!((soft_lif(0.02).value(current) - rate).abs() < 1e-4 * rate, "{current}");
        }
        assert!((soft_lif(0.1).value(0.9) - 13.911_506_7).abs() < 1e-4);
        // Far below the threshold the rate vanishes without overflow.
        assert!(soft_lif(0.01).value(-1e6) < 1e-6);
        for (gamma, x) in [(0.0, 1.7), (0.02, 0.95), (0.02, 3.0), (1.0, -2.0)] {
            assert!((soft_lif(gamma).inverse(soft_lif(gamma).value(x)) - x).abs() < 1e-9, "{gamma} {x}");
        }
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
