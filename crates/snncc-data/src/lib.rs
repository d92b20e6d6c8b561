//! Input data: samples, the codings that turn them into stimuli, spike trains, and the one random stream.
//!
//! **Invariant:** values in, values out; files are read by `snncc-formats` and the command.

mod coding;
mod random;
mod samples;
mod stimulus;

pub use coding::{Coding, DEFAULT_DELTA, Encoded, InputCoding, clipped_values, encode, encode_with};
pub use random::{Purpose, RandomStream};
pub use samples::{SampleValues, Samples};
pub use stimulus::{HostBias, PortStimulus, SpikeFault, SpikeTrain, Stimulus};
