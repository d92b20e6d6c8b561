//! Slow, plain interpreters: the network in floats, and the quantized IR in integers.
//!
//! **Invariant:** they share no update rule with the compiler or the emulator, so that agreement means something.

pub mod ann;
pub mod float;
pub mod integer;

pub use integer::{AddedBias, IntegerInput, IntegerNetwork, IntegerRecord, IntegerTrace, Overflows, StateTrace};
