//! The emulator: runs a placement image, step by step, with time and energy.
//!
//! docs/CHIP_SEMANTICS.md is the contract. [`Program::load`] checks an image against its target, counting every capacity
//! anew, and lays it out for speed; [`Program::prepare`] binds a stimulus to it; [`Emulator::run`] gives a [`Trace`].
//!
//! Two paths compute the same: 64 compartments at a time in 32 bits where that is provably exact, and one at a time in 64
//! bits for every other rule. Time and energy are table sums over spikes and messages and never feed back.
//!
//! **Invariant:** a trace depends on program, stimulus, steps and options alone, not on threads or paths.

mod check;
mod core;
mod lists;
mod load;
mod narrow;
mod network;
mod program;
mod rules;
mod run;
pub mod spinnaker;
mod stimulus;
mod synapses;
mod timing;
mod trace;
mod wide;

pub use crate::core::{OverflowCount, Overflows};
pub use load::Paths;
pub use network::{LinkPlace, NetworkBound, NetworkLevel, NetworkStep};
pub use program::Program;
pub use run::Emulator;
pub use stimulus::{BiasRounding, ChipStimulus};
pub use timing::{Bound, CoreStep, Energy};
pub use trace::{CoreTrace, PopulationTrace, RunOptions, Selection, StateTrace, StepRecord, Totals, Trace};
