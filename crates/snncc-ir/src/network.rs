//! The network as its author means it, aligned with NIR (Pedersen et al., *Nature Communications* 15, 2024) in names and
//! meaning, and explicit where NIR is silent: time step, reset, refractory period, initial state, threshold comparison,
//! synaptic delays, sparse weights.
//!
//! Time runs in steps of [`Network::dt_s`]. In one step a spike passes every acyclic edge; an edge that closes a cycle
//! takes one step. Discretization is forward Euler with decay `dt / tau`, as the frameworks that export NIR do it:
//!
//! ```text
//! LI, LIF        v += dt/tau · (v_leak − v + r·x)
//! CubaLI, CubaLIF i += dt/tau_syn · (w_in·x − i);  v += dt/tau_mem · (v_leak − v + r·i)     (the new i)
//! I, IF          v += r·x                                                            (dt is not applied)
//! ```

use crate::ann::Activation;
use crate::calibration::Calibration;
use crate::early_exit::EarlyExit;
use crate::tensor::{Param, Tensor};
use snncc_ids::{IdVec, NodeId};

/// A spiking network: nodes and edges. Several edges into one node sum.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// The time step in seconds; `None` where no node has a time constant or the file leaves it out.
    pub dt_s: Option<f64>,
    /// Nodes in the order of the file. Names are unique.
    pub nodes: IdVec<NodeId, NetworkNode>,
    /// Edges in the order of the file.
    pub edges: Vec<Edge>,
    /// What the file asks of the mapping.
    pub mapping: MappingRequest,
    /// How data is fed, where the user does not say.
    pub run: RunDefaults,
    /// What the network does on the data that it was made for, where a conversion has measured it: quantizer and placer use it
    /// unless they are given calibration data. Empty if nothing is known.
    pub calibration: Calibration,
}

/// A node with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkNode {
    /// Unique name. Nodes of nested graphs are called `outer.inner`.
    pub name: String,
    /// What it does.
    pub node: Node,
}

/// A directed connection: the output of `source` is added to the input of `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Where values come from.
    pub source: NodeId,
    /// Where they go.
    pub target: NodeId,
}

/// Placement wishes in the network file. Flags of the command are merged into the same structure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MappingRequest {
    /// Neurons that must sit on given cores.
    pub pins: Vec<Pin>,
    /// Cores, by number, that must stay empty.
    pub reserved_cores: Vec<u32>,
    /// Populations that share no core with others.
    pub exclusive: Vec<String>,
    /// Least number of cores for a population: (name, cores).
    pub split: Vec<(String, u32)>,
}

/// How levels are fed to the network and how its answer is read, where the user does not say. A conversion writes what it calibrated for; data that
/// is spikes already stays what it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunDefaults {
    /// Name of the coding (`snncc_data::Coding::name`).
    pub coding: Option<String>,
    /// Steps of a sample, at least 1.
    pub steps: Option<u32>,
    /// Steps in which levels are fed, at least 1, and nothing after them; `None`: in all steps.
    pub input_steps: Option<u32>,
    /// Steps of a sample for which a conversion has corrected the network, at least 1.
    pub corrected_for: Option<u32>,
    /// For input ports by name: the finite values (low, high), `low < high`, that are fed as 0 and 1.
    pub ranges: Vec<(String, (f64, f64))>,
    /// When a run may stop before its last step, where the user asks for it: a rule calibrated for `steps`.
    pub early_exit: Option<EarlyExit>,
}

/// Neurons `first .. first + count` (row-major) of a population, pinned to a core.
#[derive(Clone, Debug, PartialEq)]
pub struct Pin {
    /// Name of the neuron node.
    pub population: String,
    /// First neuron; with `count`, `None` means the whole population.
    pub neurons: Option<(u32, u32)>,
    /// Core number.
    pub core: u32,
}

/// What a node does.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Entry of the graph; one value per element and step (spikes are 1).
    Input {
        /// Shape without batch and time.
        shape: Vec<usize>,
    },
    /// Exit of the graph.
    Output {
        /// Shape without batch and time.
        shape: Vec<usize>,
    },
    /// `y = W x (+ bias)`: NIR's Linear and Affine.
    Affine(Affine),
    /// `y = scale ∘ x`, element by element.
    Scale {
        /// Factors, shaped like the input, or a single one.
        scale: Tensor,
    },
    /// Cross-correlation over one or two dimensions, as in PyTorch: NIR's Conv1d and Conv2d.
    Convolution(Convolution),
    /// Window sum or mean over `(channels, height, width)`: NIR's SumPool2d and AvgPool2d.
    Pool(Pool),
    /// Joins dimensions `start_dim ..= end_dim` of the shape without batch (negative counts from the end).
    Flatten {
        /// First dimension joined.
        start_dim: i64,
        /// Last dimension joined.
        end_dim: i64,
    },
    /// The same elements, in row-major order, under another shape. NIR knows only [`Node::Flatten`].
    Reshape {
        /// The new shape, without batch and time.
        shape: Vec<usize>,
    },
    /// Spikes in every step in which the input exceeds the threshold; has no state.
    Threshold(Threshold),
    /// `y(t) = x(t − delay)`, element by element.
    Delay {
        /// Delay of each element.
        delay: DelayTime,
        /// Shape, if the file gives it.
        shape: Option<Vec<usize>>,
    },
    /// A group of neurons: I, IF, LI, LIF, CubaLI, CubaLIF.
    Neuron(Neuron),
    /// Neurons whose spikes follow the rate that a function of their input names, several in a step and of both signs where it
    /// says so. The float reference runs them; no chip here does.
    RateNeuron(RateNeuron),
    /// Max pooling over `(channels, height, width)` that lets spikes pass: see [`GatedPool`]. As for [`Node::RateNeuron`].
    GatedPool(GatedPool),
    /// A group of compartments in a chip's own integers; passed through `quantize` unchanged.
    Compartments(Compartments),
    /// Synapses in a chip's own integers; passed through `quantize` unchanged.
    Synapses(Synapses),
}

/// `y = W x (+ bias)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// The matrix.
    pub weight: Matrix,
    /// One value per output; `None` for Linear.
    pub bias: Option<Tensor>,
    /// Extra steps from spike to arrival, beyond what the edge takes.
    pub delay: SynapseDelay,
}

/// A weight matrix `(outputs, inputs)`, dense or sparse.
#[derive(Clone, Debug, PartialEq)]
pub enum Matrix<T = f64> {
    /// Shape `(outputs, inputs)`, row-major. Leading dimensions before these two are not supported.
    Dense(Tensor<T>),
    /// Listed entries; the rest are no synapses. No pair may occur twice.
    Sparse {
        /// `(outputs, inputs)`.
        shape: (usize, usize),
        /// Output index of each entry.
        rows: Vec<u32>,
        /// Input index of each entry.
        columns: Vec<u32>,
        /// Weight of each entry.
        values: Vec<T>,
    },
}

impl<T> Matrix<T> {
    /// `(outputs, inputs)`. A dense tensor that is not two-dimensional gives `None`.
    pub fn dimensions(&self) -> Option<(usize, usize)> {
        match self {
            Self::Dense(tensor) => match tensor.shape[..] {
                [outputs, inputs] => Some((outputs, inputs)),
                _ => None,
            },
            Self::Sparse { shape, .. } => Some(*shape),
        }
    }

    /// Number of stored entries.
    pub fn len(&self) -> usize {
        match self {
            Self::Dense(tensor) => tensor.len(),
            Self::Sparse { values, .. } => values.len(),
        }
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Extra delay of synapses, in steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum SynapseDelay {
    /// None.
    #[default]
    None,
    /// The same for every synapse.
    Uniform(u32),
    /// One per stored weight, in the order of the weights.
    PerSynapse(Vec<u32>),
}

/// Cross-correlation over one or two dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// 1 or 2.
    pub dimensions: u8,
    /// `(channels_out, channels_in / groups, kernel…)`.
    pub weight: Tensor,
    /// One value per output channel.
    pub bias: Option<Tensor>,
    /// Step of the window along each dimension.
    pub stride: Vec<usize>,
    /// Zeros added around the input.
    pub padding: Padding,
    /// Distance of kernel elements along each dimension.
    pub dilation: Vec<usize>,
    /// Channels are split into this many independent groups.
    pub groups: usize,
    /// Spatial input shape, if the file gives it.
    pub input_shape: Option<Vec<usize>>,
    /// Extra steps from spike to arrival.
    pub delay: u32,
}

/// Padding of a convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros on both sides, along each dimension.
    Explicit(Vec<usize>),
    /// Output as large as the input (stride 1 only, as in PyTorch); an odd total puts the extra zero at the end.
    Same,
    /// No padding.
    Valid,
}

/// Window sum or mean over `(channels, height, width)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Sum or mean.
    pub kind: PoolKind,
    /// Window (height, width).
    pub kernel: [usize; 2],
    /// Step (height, width).
    pub stride: [usize; 2],
    /// Zeros on both sides (height, width); they count in the mean, as in PyTorch by default.
    pub padding: [usize; 2],
}

/// Sum or mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// NIR's SumPool2d.
    Sum,
    /// NIR's AvgPool2d.
    Average,
}

/// Spikes where the input exceeds a threshold, without state.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// Shape; inferred from the input if absent.
    pub shape: Option<Vec<usize>>,
    /// Threshold of each element.
    pub threshold: Param,
    /// `>` (NIR) or `>=`.
    pub comparison: Comparison,
}

/// Neurons whose spikes follow a rate. In every step the rate is `gain · function(x)` spikes per step, and the output is the whole
/// number of spikes that the step brings, negative where the rate is.
///
/// The rule is that of Nengo's `RegularSpiking`, `StochasticSpiking` and `PoissonSpiking`: the function sees the input of one step,
/// so input that is spikes needs a synaptic filter or many spikes per step.
#[derive(Clone, Debug, PartialEq)]
pub struct RateNeuron {
    /// Shape; inferred from the input if absent.
    pub shape: Option<Vec<usize>>,
    /// Function of the input. Not [`Activation::PRelu`].
    pub function: Activation,
    /// Spikes per step where the function is 1.
    pub gain: Param,
    /// How spikes follow the rate.
    pub spiking: Spiking,
    /// Part of a spike that [`Spiking::Regular`] neurons hold before the first step (default 0).
    pub initial: Param,
    /// Seed of the random stream of neurons that are not regular; the name of the node enters too. Runs with the same seed see
    /// the same noise.
    pub seed: u64,
}

impl RateNeuron {
    /// Regular neurons of this function, with gain 1.
    pub fn new(function: Activation) -> Self {
        let (gain, initial) = (Param::Uniform(1.0), Param::Uniform(0.0));
        Self { shape: None, function, gain, spiking: Spiking::Regular, initial, seed: 0 }
    }
}

/// How spikes follow a rate of `r` spikes per step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spiking {
    /// Evenly: `v += r`, as many spikes as whole numbers are in it, `n = ⌊v⌋; v −= n`.
    Regular,
    /// `⌊|r|⌋` spikes, and one more with the probability of the rest; the sign is that of `r`.
    Stochastic,
    /// As many as a Poisson process of rate `|r|` has in a step; the sign is that of `r`.
    Poisson,
}

/// Max pooling that lets spikes pass: in every step each window forwards what its winner sends, which is the element whose sum
/// over the steps so far, this one included, is the largest; the first of several (Rueckauer et al., *Conversion of
/// Continuous-Valued Deep Networks to Efficient Event-Driven Networks for Image Classification*, 2017). Padding never wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatedPool {
    /// Window (height, width).
    pub kernel: [usize; 2],
    /// Step (height, width).
    pub stride: [usize; 2],
    /// Elements on both sides (height, width) that windows may reach into; less than the window.
    pub padding: [usize; 2],
}

/// A delay, in the unit the file used.
#[derive(Clone, Debug, PartialEq)]
pub enum DelayTime {
    /// Seconds, as in NIR; rounded to whole steps, which must be within 1 % of a step.
    Seconds(Param),
    /// Steps.
    Steps(Param<u32>),
}

/// How the membrane is compared with the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Comparison {
    /// Spike if `v > v_threshold`.
    #[default]
    Greater,
    /// Spike if `v >= v_threshold`.
    GreaterOrEqual,
}

/// What a spike does to the membrane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// `v = v_reset`.
    #[default]
    ToValue,
    /// `v −= v_threshold − v_reset`.
    BySubtraction,
    /// snnTorch's subtraction without delay: `pre = v > θ` from the last step; `v = β v + i − pre·θ`; spike if `v > θ`;
    /// `v −= (spike − pre)·θ`.
    SnntorchSubtract,
}

/// Neuron models of NIR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeuronModel {
    /// Integrator; its output is the membrane.
    I,
    /// Integrate and fire.
    If,
    /// Leaky integrator; its output is the membrane.
    Li,
    /// Leaky integrate and fire.
    Lif,
    /// Leaky integrator behind a leaky synapse; its output is the membrane.
    CubaLi,
    /// Leaky integrate and fire behind a leaky synapse.
    CubaLif,
}

impl NeuronModel {
    /// Whether the output is spikes (otherwise the membrane).
    pub fn spikes(self) -> bool {
        matches!(self, Self::If | Self::Lif | Self::CubaLif)
    }

    /// Whether the membrane leaks (has `tau_mem`, `v_leak`).
    pub fn leaks(self) -> bool {
        !matches!(self, Self::I | Self::If)
    }

    /// Whether there is a synaptic filter (has `tau_syn`, `w_in`).
    pub fn filters(self) -> bool {
        matches!(self, Self::CubaLi | Self::CubaLif)
    }

    /// NIR's name of the model.
    pub fn name(self) -> &'static str {
        match self {
            Self::I => "I",
            Self::If => "IF",
            Self::Li => "LI",
            Self::Lif => "LIF",
            Self::CubaLi => "CubaLI",
            Self::CubaLif => "CubaLIF",
        }
    }
}

/// A group of neurons of one model. Parameters that the model lacks keep their defaults and are not used.
#[derive(Clone, Debug, PartialEq)]
pub struct Neuron {
    /// The model.
    pub model: NeuronModel,
    /// Shape; inferred from the input if absent.
    pub shape: Option<Vec<usize>>,
    /// Membrane time constant in seconds (NIR's `tau` in LI and LIF).
    pub tau_mem_s: Param,
    /// Synaptic time constant in seconds.
    pub tau_syn_s: Param,
    /// Resistance: gain from current to voltage.
    pub r: Param,
    /// Voltage to which the membrane leaks.
    pub v_leak: Param,
    /// Firing threshold.
    pub v_threshold: Param,
    /// Voltage after a spike (default 0).
    pub v_reset: Param,
    /// Gain of the synaptic filter (default 1).
    pub w_in: Param,
    /// Steps in which the neuron cannot fire again; 1 means none beyond the step of the spike itself. With `R`, the
    /// membrane stays at its reset value for `R − 1` steps after the step of the spike; the current goes on.
    pub refractory_steps: Param<u32>,
    /// Membrane before the first step (default 0).
    pub v_initial: Param,
    /// Current before the first step (default 0).
    pub i_initial: Param,
    /// Lower bound of the membrane, if any.
    pub v_min: Option<f64>,
    /// What a spike does to the membrane.
    pub reset: Reset,
    /// How membrane and threshold are compared.
    pub comparison: Comparison,
}

impl Neuron {
    /// A group of `model` with the defaults: `r = 1`, leak, reset and initial state 0, threshold 1, no refractory period.
    /// The time constants are NaN until set, where the model has them.
    pub fn new(model: NeuronModel) -> Self {
        Self {
            model,
            shape: None,
            tau_mem_s: Param::Uniform(f64::NAN),
            tau_syn_s: Param::Uniform(f64::NAN),
            r: Param::Uniform(1.0),
            v_leak: Param::Uniform(0.0),
            v_threshold: Param::Uniform(1.0),
            v_reset: Param::Uniform(0.0),
            w_in: Param::Uniform(1.0),
            refractory_steps: Param::Uniform(1),
            v_initial: Param::Uniform(0.0),
            i_initial: Param::Uniform(0.0),
            v_min: None,
            reset: Reset::ToValue,
            comparison: Comparison::Greater,
        }
    }
}

/// A group of compartments in a Loihi-like chip's own integers. The update is the chip's (docs/CHIP_SEMANTICS.md).
#[derive(Clone, Debug, PartialEq)]
pub struct Compartments {
    /// Shape.
    pub shape: Vec<usize>,
    /// Decay register of the current; the kept part is `(4096 − offset − decay_u) / 4096`, offset from the hardware model.
    pub decay_u: Param<i64>,
    /// Decay register of the voltage.
    pub decay_v: Param<i64>,
    /// Threshold mantissa; the threshold is `mantissa << 6`.
    pub threshold_mantissa: Param<i64>,
    /// Bias mantissa.
    pub bias_mantissa: Param<i64>,
    /// Bias exponent; the bias is `mantissa << exponent` (or `>> −exponent`, rounding down).
    pub bias_exponent: Param<i64>,
    /// Refractory register, 1 for none.
    pub refractory: Param<i64>,
    /// `v` never goes below `−2^exponent + 1`; `None`: no lower bound.
    pub v_min_exponent: Option<u8>,
    /// `v` never goes above `2^(9 + 2·exponent) − 1`; `None`: no upper bound.
    pub v_max_exponent: Option<u8>,
    /// Current before the first step.
    pub u_initial: Param<i64>,
    /// Voltage before the first step.
    pub v_initial: Param<i64>,
    /// How the compartment fires and resets.
    pub reset: crate::quantized::ResetModel,
    /// Noise, from given samples.
    pub noise: Option<crate::quantized::NoiseParams>,
}

/// Synapses in a Loihi-like chip's own integers.
#[derive(Clone, Debug, PartialEq)]
pub struct Synapses {
    /// Weight mantissas `(targets, sources)`.
    pub weight: Matrix<i32>,
    /// Weights are multiplied by `2^exponent`.
    pub exponent: i8,
    /// Bits of a weight, with sign in mixed mode.
    pub weight_bits: u8,
    /// Signs that occur.
    pub sign_mode: crate::quantized::SignMode,
    /// Extra steps from spike to arrival.
    pub delay: SynapseDelay,
}

impl Network {
    /// The node with this name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter_with_ids().find(|(_, node)| node.name == name).map(|(id, _)| id)
    }

    /// Item path of a node, as diagnostics show it.
    pub fn item(&self, id: NodeId) -> String {
        format!("nodes/{}", self.nodes[id].name)
    }
}
