//! Slow, plain interpreters: the network in floats, and the integer IR of each family of chips.
//!
//! **Invariant:** they share no update rule with the compiler or the emulator, so that agreement means something.

pub mod ann;
pub mod float;
pub mod integer;
pub mod spinnaker;
mod stimuli;

pub use integer::{AddedBias, IntegerInput, IntegerNetwork, IntegerRecord, IntegerTrace, Overflows, StateTrace};
pub use spinnaker::{CurrentTrace, RingInitial, SpinnakerNetwork, SpinnakerTrace};
