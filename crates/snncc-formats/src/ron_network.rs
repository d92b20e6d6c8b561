//! The RON network format (docs/RON_FORMAT.md): a network as people write it, with tensors written out or in a file beside
//! it.
//!
//! [`read_network`] gives the network and a [`SpanIndex`]; [`write_network`] gives text, and an `.npz` file of the tensors
//! that are too large for it.
//!
//! **Invariant:** what [`write_network`] writes, [`read_network`] reads back as the same network.

mod calibration;
mod context;
mod neurons;
mod nodes;
mod rates;
mod reader;
mod run;
mod span_index;
mod tensors;
#[cfg(test)]
mod tests;
mod value;
mod writer;

pub use reader::read_network;
pub use span_index::SpanIndex;
pub use writer::{WrittenNetwork, write_network};

use snncc_ids::Diagnostic;
use snncc_ir::Network;

/// The schema of the format that this version reads and writes.
pub const SCHEMA: u32 = 1;

/// What [`read_network`] found.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The network.
    pub network: Network,
    /// Where its items stand in the text.
    pub spans: SpanIndex,
    /// What should be looked at.
    pub warnings: Vec<Diagnostic>,
}
