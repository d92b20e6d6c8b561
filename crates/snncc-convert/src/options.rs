//! What the user may ask of a conversion. The defaults are those of the command, and need no tuning.

use snncc_ir::ann::Activation;
use snncc_ir::network::{Comparison, Reset, Spiking};

/// Options of a conversion.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvertOptions {
    /// Steps of a sample that calibration is made for. Other numbers of steps work too, unless layers wait for one another.
    pub steps: u32,
    /// When layers fire.
    pub schedule: Schedule,
    /// How the activation that a neuron shows by a spike in every step is chosen.
    pub balance: Balance,
    /// Whether each channel has a scale of its own, or each layer one.
    pub per_channel: bool,
    /// Where the scales go.
    pub form: BalanceForm,
    /// Largest firing rate, in spikes per step at the scale: `scale_firing_rates` of other tools, without their time step.
    pub firing_rate: FiringRate,
    /// What neurons stand for rectifiers.
    pub neuron: NeuronKind,
    /// Whether activations with values below 0 become neurons with negative spikes, where the neurons can send these.
    pub signed_spikes: bool,
    /// Seed of neurons that spike at random.
    pub seed: u64,
    /// What a spike does to the membrane of integrate-and-fire neurons. Leaky ones reset to a value.
    pub reset: Reset,
    /// How membrane and threshold are compared; from the hardware model.
    pub comparison: Comparison,
    /// Initial membrane, as a part of the threshold. One half makes the rounding of rates unbiased.
    pub initial_potential: f64,
    /// What becomes of max pooling.
    pub max_pool: MaxPooling,
    /// Activations replaced before anything else, by name of the layer or of the function.
    pub swap_activations: Vec<Swap>,
    /// Segments by which a smooth activation is replaced.
    pub segments: usize,
    /// What is corrected after conversion, on the calibration data, without labels.
    pub correction: Correction,
    /// What is read from the last layer.
    pub readout: ReadoutChoice,
    /// Synaptic filters.
    pub filter: Option<Filter>,
    /// Time step in seconds; needed by filters with a time constant.
    pub dt_s: Option<f64>,
    /// Share of the answers, above 0 and below 1, that stopping early may change: a rule is calibrated for it. `None` for no rule.
    pub early_exit_changes: Option<f64>,
}

impl Default for ConvertOptions {
    fn default() -> Self {
        Self {
            steps: 32,
            schedule: Schedule::Pipelined,
            balance: Balance::Percentile { percent: 99.9, of_active: false },
            per_channel: true,
            form: BalanceForm::Weights,
            firing_rate: FiringRate::Automatic,
            neuron: NeuronKind::IntegrateAndFire,
            signed_spikes: false,
            seed: 1,
            reset: Reset::BySubtraction,
            comparison: Comparison::Greater,
            initial_potential: 0.5,
            max_pool: MaxPooling::Tree,
            swap_activations: Vec::new(),
            segments: 8,
            correction: Correction::Both,
            readout: ReadoutChoice::Membrane,
            filter: None,
            dt_s: None,
            early_exit_changes: None,
        }
    }
}

/// When layers fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// All in every step, on what has arrived so far.
    Pipelined,
    /// One after the other, each when all of its input has arrived ([`crate::build::LayerSchedule`]).
    Layers,
}

/// Neurons that stand for rectifiers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NeuronKind {
    /// Without leak.
    IntegrateAndFire,
    /// With leak, reset to a value and refractory period. What a SoftLIF was trained for has these anyway, with its own times.
    Lif {
        /// Time constant of the membrane in seconds.
        tau_rc_s: f64,
        /// Refractory period in seconds.
        tau_ref_s: f64,
    },
    /// Neurons that follow the rate that the activation of a step's input names, with several spikes in a step where it is high.
    /// They run in floats only.
    Rate(Spiking),
}

/// How scales are chosen from the activations on the calibration data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Balance {
    /// The largest activation.
    Maximum,
    /// A percentile, 0 to 100, of all activations or of those above 0 (as SNN-Toolbox counts it).
    Percentile {
        /// The percentile.
        percent: f64,
        /// Whether activations of 0 are left out.
        of_active: bool,
    },
    /// The scale with the least squared error of rounding to `steps` levels and clipping.
    MeanSquaredError,
    /// The scale whose rounded and clipped distribution has the least Kullback–Leibler divergence from the activations'.
    Divergence,
}

/// Where scales go. Both forms give the same spikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BalanceForm {
    /// Into weights and biases; every threshold is 1.
    Weights,
    /// Into thresholds and the weights behind them; a spike stands for its neuron's threshold.
    Thresholds,
}

/// Largest firing rate of the neurons.
#[derive(Clone, Debug, PartialEq)]
pub enum FiringRate {
    /// One spike per step at the scale: all that a chip can send. Of leaky neurons, whose rate grows with bends, the rate that
    /// errs least in the steps of a sample.
    Automatic,
    /// So many spikes per step at the scale, in every layer; at most 1, but of neurons that send several in a step.
    Scalar(f64),
    /// By layer, of which the parts of its activation have the name and more behind a slash; as `Automatic` for layers that are
    /// not named.
    PerLayer(Vec<(String, f64)>),
}

impl FiringRate {
    /// The rate asked for a layer of the prepared network: by its name, else by the longest name of which it is a part.
    pub fn of(&self, layer: &str) -> Option<f64> {
        match self {
            Self::Automatic => None,
            Self::Scalar(rate) => Some(*rate),
            Self::PerLayer(rates) => {
                let fitting = rates.iter().filter(|(name, _)| is_part(layer, name));
                fitting.max_by_key(|(name, _)| name.len()).map(|(_, rate)| *rate)
            }
        }
    }
}

/// Whether `part` names the layer, its population (which has dots in place of slashes), or a part of what its activation became:
/// `act`, `act/segments`, `act/on`.
pub fn is_part(part: &str, layer: &str) -> bool {
    part == layer
        || part.trim_matches('/').replace('/', ".") == layer
        || part.strip_prefix(layer).is_some_and(|rest| rest.starts_with('/'))
}

/// What becomes of max pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxPooling {
    /// `max(a, b) = a + ReLU(b − a)`, pair by pair: exact in the rates, costs neurons and latency.
    Tree,
    /// A gate that passes the spikes of the most active input of each window; runs in floats only.
    Gated,
    /// Average pooling in its place; the network should have been trained for it.
    Average,
    /// Whichever of tree and average loses less accuracy (or, without labels, agreement with the trained network) on the
    /// calibration data, the cheaper one if both are within half a point.
    Measured,
}

/// An activation to replace.
#[derive(Clone, Debug, PartialEq)]
pub struct Swap {
    /// Name of a layer, or of a function as [`Activation::name`] gives it, in any case.
    pub from: String,
    /// What takes its place.
    pub to: Activation,
}

/// What is corrected after conversion so that the mean activation of every channel agrees with the trained network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// Nothing.
    None,
    /// The bias, which acts in every step.
    Bias,
    /// The initial potential, which acts once: what rounding and the first steps cost does not grow with the steps. What
    /// exceeds a threshold goes into the bias.
    Potential,
    /// Both, told apart by runs of different length.
    Both,
    /// As `Both`; before that the weights of each layer, which are fitted to the spikes that reach it.
    Weights,
}

/// What is read from the last layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReadoutChoice {
    /// The membrane of neurons that do not spike: nothing is rounded.
    Membrane,
    /// Spike counts.
    Spikes,
    /// The membrane of leaky neurons that do not spike: the layer's value through a lowpass filter,
    /// `y[t] = a y[t−1] + (1−a) x[t]` with `a = exp(−dt/τ)`, undelayed, from 0. What came first is forgotten.
    Filtered {
        /// Time constant in seconds.
        tau_s: f64,
    },
}

/// A synaptic filter, on every connection onto spiking neurons.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filter {
    /// A lowpass filter whose time constant is chosen from the noise of the spikes and the steps that there are
    /// ([`crate::noise`]).
    Automatic,
    /// `1 / (τ s + 1)`
    Lowpass {
        /// Time constant in seconds.
        tau_s: f64,
    },
    /// `1 / (τ s + 1)²`
    Alpha {
        /// Time constant in seconds.
        tau_s: f64,
    },
    /// `1 / ((τ₁ s + 1)(τ₂ s + 1))`
    DoubleExponential {
        /// First time constant in seconds.
        tau_1_s: f64,
        /// Second time constant in seconds.
        tau_2_s: f64,
    },
}

impl Filter {
    /// The time constants of the lowpass filters in a row that it is; none before they are chosen.
    pub fn taus_s(&self) -> Vec<f64> {
        match *self {
            Self::Automatic => Vec::new(),
            Self::Lowpass { tau_s } => vec![tau_s],
            Self::Alpha { tau_s } => vec![tau_s; 2],
            Self::DoubleExponential { tau_1_s, tau_2_s } => vec![tau_1_s, tau_2_s],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reaches_the_parts_of_a_layer() {
        let rates =
            FiringRate::PerLayer(vec![("act".into(), 0.5), ("act/tail".into(), 0.25), ("fc.Relu".into(), 0.75)]);
        assert_eq!(
            ["act", "act/segments", "act/tail", "act2", "actor/on"].map(|name| rates.of(name)),
            [Some(0.5), Some(0.5), Some(0.25), None, None]
        );
        assert_eq!(rates.of("/fc/Relu"), Some(0.75));
    }
}
