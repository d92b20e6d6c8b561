//! Reads architectures and mapped networks in the formats of SANA-FE (YAML, and the older line format `.net`) and makes of them
//! a [`Network`](snncc_ir::Network) in a chip's own integers, a hardware model and a target, with every neuron pinned to its core.
//!
//! Only what the emulator reproduces exactly is read: a mesh of equal tiles and cores, LIF somas that reset to 0, synapses without
//! delay, one cost for each synapse unit. The rest is refused by name. Potentials are kept in units of 1/64, as SANA-FE's LIF model
//! does; what of weights, biases and thresholds lies between is rounded, with a warning.
//!
//! **Invariant:** any text gives a result or diagnostics, in memory proportional to the text plus a constant; expansions of ranges
//! and convolutions are bounded.

mod architecture;
mod build;
mod description;
mod netlist;
mod network;
#[cfg(test)]
mod tests;
mod yaml;

pub use architecture::Architecture;
pub use build::{Converted, build};
pub use description::Description;
pub use netlist::read_netlist;
pub use network::read_network;
