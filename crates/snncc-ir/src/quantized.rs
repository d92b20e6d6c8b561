//! The integer IR: exactly what the chip computes with, before it is laid out over cores.

use crate::graph::Graph;
use crate::ir::OutputPort;
use crate::tensor::Param;
use serde::{Deserialize, Serialize};
use snncc_ids::{IdVec, PopulationId, ProjectionId};

/// The integer IR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantizedIr {
    /// Structure, the same as in the float IR.
    pub graph: Graph,
    /// Neurons of each population; `None` for inputs.
    pub neurons: IdVec<PopulationId, Option<IntNeurons>>,
    /// Weights of each projection.
    pub weights: IdVec<ProjectionId, IntWeights>,
    /// What leaves the chip.
    pub outputs: Vec<OutputPort>,
    /// The time step in seconds, if the network has one.
    pub dt_s: Option<f64>,
    /// What quantization cost, by population; `None` for inputs and for given integers.
    pub population_quality: IdVec<PopulationId, Option<PopulationQuality>>,
    /// What quantization cost, by projection; `None` for given integers.
    pub projection_quality: IdVec<ProjectionId, Option<ProjectionQuality>>,
}

/// Signs that the weights of a synapse format may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SignMode {
    /// Both; one bit of precision goes to the sign.
    Mixed,
    /// 0 or more.
    Excitatory,
    /// 0 or less.
    Inhibitory,
}

/// How a compartment fires and resets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ResetModel {
    /// Fires above the threshold; `v = 0`.
    #[default]
    Lif,
    /// As `Lif`, and `u = v = 0` before the update of every step `t` with `t mod interval = offset mod interval`.
    Periodic {
        /// Steps between clears.
        interval: u32,
        /// Step of the first clear.
        offset: u32,
    },
    /// Fires +1 above the threshold and −1 below the lower one; `v = 0` on either.
    Ternary {
        /// Lower threshold is `lower_threshold_mantissa << 6`.
        lower_threshold_mantissa: i32,
    },
}

/// Where noise is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoiseTarget {
    /// To the dendritic input, before it wraps.
    Dendrite,
    /// To the sum of current and bias, before it wraps.
    Membrane,
}

/// Noise from given samples: the chip's generator is not public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoiseParams {
    /// Exponent register, core-wide.
    pub exponent: u8,
    /// Offset register, core-wide.
    pub mantissa_offset: i32,
    /// Where the samples are added, core-wide.
    pub target: NoiseTarget,
    /// Samples as added, `[step][neuron]`, from step 1 on; after the last step noise is 0.
    pub samples: Vec<Vec<i32>>,
}

/// Compartments of a population, as registers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntNeurons {
    /// Current decay register.
    pub decay_u: Param<i64>,
    /// Voltage decay register.
    pub decay_v: Param<i64>,
    /// Threshold mantissa.
    pub threshold_mantissa: Param<i64>,
    /// Bias mantissa.
    pub bias_mantissa: Param<i64>,
    /// Bias exponent.
    pub bias_exponent: Param<i64>,
    /// Refractory register, 1 for none.
    pub refractory: Param<i64>,
    /// Current before the start.
    pub u_initial: Param<i64>,
    /// Voltage before the start.
    pub v_initial: Param<i64>,
    /// Lower clip register (`−2^e + 1`), if the voltage is clipped.
    pub v_min_exponent: Option<u8>,
    /// Upper clip register (`2^(9 + 2e) − 1`), if the voltage is clipped.
    pub v_max_exponent: Option<u8>,
    /// How it fires and resets.
    pub reset: ResetModel,
    /// Noise samples.
    pub noise: Option<NoiseParams>,
    /// First chip step in which bias and initial state hold; before it the bias is 0 and so are `u` and `v`.
    pub start_step: u32,
    /// Integer units per float unit of the canonical voltage; 1 for given integers.
    pub units_per_volt: Param,
    /// Add to a canonical voltage to get the network's.
    pub v_offset: Param,
    /// Whether the population spikes (otherwise its membrane is read).
    pub spikes: bool,
}

/// Weights of a projection, as the chip stores them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntWeights {
    /// Mantissas in the order of the connectivity, already on the grid of `weight_bits` and `sign_mode`.
    pub mantissas: Vec<i32>,
    /// The chip multiplies by `2^exponent`.
    pub exponent: i8,
    /// Bits of a stored weight.
    pub weight_bits: u8,
    /// Signs that occur.
    pub sign_mode: SignMode,
}

/// What quantization did to a projection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectionQuality {
    /// Number of weights.
    pub weights: u64,
    /// Signal-to-quantization-noise ratio of the weights in dB; infinite if exact.
    pub sqnr_db: f64,
    /// Largest error, in the network's weight units.
    pub max_error: f64,
    /// Weights that were not 0 and became 0.
    pub zeroed: u64,
    /// Weights clipped to the largest or smallest value.
    pub clipped: u64,
}

/// What quantization did to the neurons of a population.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PopulationQuality {
    /// Largest relative error of a threshold.
    pub threshold_error: f64,
    /// Largest error of a bias, relative to the threshold.
    pub bias_error: f64,
    /// Largest error of a kept part (decay).
    pub decay_error: f64,
    /// Biases clipped to the largest or smallest value.
    pub biases_clipped: u64,
    /// Relative error of the membrane input on the calibration data (root mean square), if data was given.
    pub calibrated_error: Option<f64>,
}
