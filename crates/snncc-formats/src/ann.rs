//! What the readers of trained artificial networks (ONNX, Keras) give.

use snncc_ids::Diagnostic;
use snncc_ir::ann::Ann;

/// A trained artificial network read from a file.
#[derive(Clone, Debug)]
pub struct ReadAnn {
    /// The network. Layers that snncc cannot execute are among its nodes as `Unsupported`, so that all of them can be
    /// told at once.
    pub ann: Ann,
    /// What the user should know: oddities that did not stop the reading.
    pub warnings: Vec<Diagnostic>,
}
