//! From a network to a placement image: `lower → quantize → partition → place → route → emit`.
//!
//! Each stage is a function in a file of its name, and its result is a type that only this file can build and that owns the
//! stage before: holding a `Placed` means legally placed, and belonging to this very network.

pub mod lower;
mod options;

pub use options::{
    Calibration, Ctx, NoObserver, Observer, Options, OverflowPolicy, PopulationStatistics, QuantizeStrategy,
};
