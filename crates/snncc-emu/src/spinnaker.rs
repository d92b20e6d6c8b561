//! The emulator of SpiNNaker-like machines: runs a [`SpinnakerImage`](snncc_image::spinnaker::SpinnakerImage), with time and
//! energy.
//!
//! docs/CHIP_SEMANTICS.md, "SpiNNaker-like cores", is the contract. [`SpinnakerProgram::load`] counts every capacity anew and
//! walks the packets of every key through the routing tables once; what a neuron's spike reaches is then a list of rows, and a
//! step adds the words of rows to ring buffers.
//!
//! At the level `link` of timing, processors, routers and links run against each other, and what comes too late changes what
//! neurons get; at the level `analytic` nothing does.
//!
//! **Invariant:** a trace depends on program, stimulus, steps and options alone, not on threads.

mod check;
mod core;
mod delay;
mod fabric;
mod faults;
mod linked;
mod load;
mod machine;
mod processor;
mod program;
mod run;
mod timing;
mod trace;
mod walk;

pub use faults::{
    FaultCount, SpinnakerFaults, SpinnakerLinkTrace, SpinnakerLinkUse, SpinnakerPlace, SpinnakerRouterUse,
};
pub use machine::SpinnakerMachine;
pub use program::{SpinnakerProgram, SpinnakerStimulus};
pub use run::SpinnakerEmulator;
pub use timing::SpinnakerEnergy;
pub use trace::{
    SpinnakerCoreTrace, SpinnakerRunOptions, SpinnakerStep, SpinnakerTiming, SpinnakerTotals, SpinnakerTrace,
    StateDetail,
};
pub use walk::Drops;
