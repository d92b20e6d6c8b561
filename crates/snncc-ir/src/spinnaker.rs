//! The integer IR of SpiNNaker-like chips: exactly what their programs compute with, before it is laid out over cores.
//!
//! Numbers of a neuron have 32 bits. Which of them are fractions of what is in docs/CHIP_SEMANTICS.md ("SpiNNaker-like cores"),
//! with the arithmetic.

use crate::graph::Graph;
use crate::ir::OutputPort;
use crate::quantized::{PopulationQuality, ProjectionQuality};
use crate::tensor::Param;
use serde::{Deserialize, Serialize};
use snncc_ids::{IdVec, PopulationId, ProjectionId};

/// Synapse types of a neuron, in the order of their numbers: excitatory, inhibitory.
pub const SYNAPSE_TYPES: usize = 2;

/// The integer IR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpinnakerIr {
    /// Structure, the same as in the float IR. Delays are those of the chip, at least 1.
    pub graph: Graph,
    /// Neurons of each population; `None` for inputs.
    pub neurons: IdVec<PopulationId, Option<SpinnakerNeurons>>,
    /// Weights of each projection, in the order of the connectivity: the magnitude is what a synapse word holds (at most 16
    /// bits), the sign says the synapse type (negative: inhibitory). A weight of 0 has no synapse.
    pub weights: IdVec<ProjectionId, Vec<i32>>,
    /// What leaves the chip.
    pub outputs: Vec<OutputPort>,
    /// The time step in seconds, if the network has one.
    pub dt_s: Option<f64>,
    /// What quantization cost, by population; `None` for inputs.
    pub population_quality: IdVec<PopulationId, Option<PopulationQuality>>,
    /// What quantization cost, by projection.
    pub projection_quality: IdVec<ProjectionId, ProjectionQuality>,
}

/// What a neuron's program does with its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NeuronProgram {
    /// Exponential currents of two types drive a leaky membrane.
    CurrentExponential,
    /// The input of a step is added to a leaky membrane.
    Delta,
}

/// What a spike does to the membrane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SpikeReset {
    /// Sets it to the reset value.
    ToValue,
    /// Takes threshold minus reset value off.
    BySubtraction,
}

/// Neurons of a population.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpinnakerNeurons {
    /// The program.
    pub program: NeuronProgram,
    /// What a spike does.
    pub reset: SpikeReset,
    /// Membrane before the start.
    pub v_initial: Param<i32>,
    /// Where the membrane decays to.
    pub v_rest: Param<i32>,
    /// Factor from current to membrane, with a fraction. Not used by [`NeuronProgram::Delta`].
    pub resistance: Param<i32>,
    /// Part of the membrane's distance from its goal that is kept, with a fraction.
    pub membrane_keep: Param<i32>,
    /// Constant input: to the current, or of [`NeuronProgram::Delta`] to the membrane.
    pub i_offset: Param<i32>,
    /// Membrane after a spike.
    pub v_reset: Param<i32>,
    /// A membrane of at least this spikes.
    pub v_threshold: Param<i32>,
    /// Steps after a spike in which the membrane is not updated.
    pub refractory_steps: Param<i32>,
    /// Synapse types. Not used by [`NeuronProgram::Delta`], but for the left shift.
    pub synapse_types: [SynapseType; SYNAPSE_TYPES],
    /// First chip step in which the neurons are updated.
    pub start_step: u32,
    /// Integer units per float unit of the canonical voltage.
    pub units_per_volt: Param,
    /// Add to a canonical voltage to get the network's.
    pub v_offset: Param,
    /// Whether the population spikes (otherwise its membrane is read).
    pub spikes: bool,
}

/// A synapse type of a population.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SynapseType {
    /// Part of the current kept from step to step, of 2^32.
    pub decay: Param<u32>,
    /// Part of the input that enters the current, of 2^32.
    pub init: Param<u32>,
    /// Current before the start.
    pub initial: Param<i32>,
    /// A ring-buffer slot of `s` is an input of `s << left_shift`; neurons of one core have one value.
    pub left_shift: Param<u8>,
}
