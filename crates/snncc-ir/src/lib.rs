//! A trained artificial network ([`ann::Ann`]), the spiking network as its author means it ([`Network`]), and the two forms the compiler works on: [`Ir`] with floats and
//! [`QuantizedIr`] with integers, over one [`Graph`].
//!
//! **Invariant:** nothing here knows a chip, reads a file or prints.

pub mod ann;
mod calibration;
pub mod checks;
mod consistency;
pub mod cut;
pub mod cycles;
pub mod early_exit;
pub mod graph;
pub mod ir;
pub mod network;
pub mod print;
pub mod quantized;
pub mod shapes;
pub mod spinnaker;
mod tensor;

pub use calibration::{Calibration, PopulationStatistics};
pub use early_exit::{EarlyExit, Exit, Standing};
pub use graph::{
    Connectivity, ConvolutionGeometry, Delays, Graph, Population, PopulationRole, Projection, SparsePattern,
};
pub use ir::{Ir, IrNeurons, IrWeights, NeuronParams, OutputPort, Readout};
pub use network::{Network, NetworkNode, Node};
pub use quantized::{
    IntNeurons, IntWeights, NoiseParams, NoiseTarget, PopulationQuality, ProjectionQuality, QuantizedIr, ResetModel,
    SignMode,
};
pub use tensor::{Param, Tensor};
