//! The float IR: what `lower` makes of a network, and `quantize` turns into integers.
//!
//! Every neuron model is in one canonical discrete form, per step:
//!
//! ```text
//! u = current_keep · u + Σ weight · spikes(arriving now)
//! v = voltage_keep · v + u + bias        (held at 0 while refractory), not below v_min
//! spike if v > threshold (or >=);  v = 0 on a spike (or v − threshold)
//! ```
//!
//! `lower` folds `r`, `w_in` and `dt` into the weights, moves the reset to 0 by shifting the voltage, and turns `v_leak` and
//! the biases of affine nodes into `bias` (with a synaptic filter: into `bias` and `u_initial`, which is exact).

use crate::graph::Graph;
use crate::network::{Comparison, Compartments};
use crate::quantized::IntWeights;
use crate::tensor::Param;
use serde::{Deserialize, Serialize};
use snncc_ids::{IdVec, PopulationId, ProjectionId};

/// The float IR.
#[derive(Clone, Debug, PartialEq)]
pub struct Ir {
    /// Structure.
    pub graph: Graph,
    /// Neurons of each population; `None` for inputs.
    pub neurons: IdVec<PopulationId, Option<IrNeurons>>,
    /// Weights of each projection.
    pub weights: IdVec<ProjectionId, IrWeights>,
    /// What leaves the chip, by the network's Output nodes.
    pub outputs: Vec<OutputPort>,
    /// The time step in seconds, if the network has one.
    pub dt_s: Option<f64>,
}

/// An Output node of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPort {
    /// Name of the Output node.
    pub name: String,
    /// The population that feeds it; element `i` of the output is neuron `i`.
    pub population: PopulationId,
    /// What is read.
    pub readout: Readout,
}

/// What an output port reads from its population.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readout {
    /// Spikes.
    Spikes,
    /// The membrane of a non-spiking population.
    Membrane,
}

/// Neurons of a population, in floats or given in the chip's integers.
#[derive(Clone, Debug, PartialEq)]
pub enum IrNeurons {
    /// Canonical float form.
    Float(NeuronParams),
    /// The chip's own integers; `quantize` passes them through.
    Integer(Compartments),
}

/// Parameters of the canonical form.
#[derive(Clone, Debug, PartialEq)]
pub struct NeuronParams {
    /// Part of the current kept from step to step; 0 for no synaptic filter.
    pub current_keep: Param,
    /// Part of the voltage kept; 1 for no leak.
    pub voltage_keep: Param,
    /// Added to the voltage in every step from the start on.
    pub bias: Param,
    /// Whether a spike takes the threshold off the voltage instead of setting it to 0: for chips that can.
    pub subtracts: bool,
    /// Threshold, relative to the reset. Infinite for a population that does not spike.
    pub threshold: Param,
    /// How the voltage is compared with it.
    pub comparison: Comparison,
    /// Refractory register, 1 for none (see [`crate::network::Neuron::refractory_steps`]).
    pub refractory_steps: Param<u32>,
    /// Current before the start.
    pub u_initial: Param,
    /// Voltage before the start, relative to the reset.
    pub v_initial: Param,
    /// Lower bound of the voltage, relative to the reset.
    pub v_min: Option<f64>,
    /// Add this to a canonical voltage to get the network's (it is `v_reset`).
    pub v_offset: Param,
}

impl NeuronParams {
    /// Whether the population spikes at all.
    pub fn spikes(&self) -> bool {
        self.threshold.values().iter().any(|threshold| threshold.is_finite())
    }
}

/// Weights of a projection, in floats or in the chip's integers.
#[derive(Clone, Debug, PartialEq)]
pub enum IrWeights {
    /// Floats, in the order of the connectivity.
    Float(Vec<f64>),
    /// The chip's own integers; `quantize` passes them through.
    Integer(IntWeights),
}
