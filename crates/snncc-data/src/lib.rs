//! Input data: samples, the codings that turn them into stimuli, spike trains, and the one random stream.
//!
//! **Invariant:** values in, values out; files are read by `snncc-formats` and the command.

mod stimulus;

pub use stimulus::{HostBias, PortStimulus, SpikeTrain, Stimulus};
