//! The trained network rewritten until it holds linear layers and rectifiers only.
//!
//! A first walk (`expand`) writes every layer as linear layers and rectifiers: activations (`rectifiers`, `segments`), maxima
//! (`max_pool`) and means (`mean_pool`); what has no such form is a problem, and all problems are told at once. Then factors
//! and constants are folded into the linear layers around them (`fold`, `gather`). What becomes of each node of the file is
//! kept along the way (`fates`).
//!
//! **Invariant:** the rewritten network computes the same values up to the rounding of `f32`, but for the replacements that
//! are among the warnings and for swaps that were asked for.

mod draft;
mod expand;
mod fates;
mod fold;
mod gather;
mod max_pool;
mod mean_pool;
mod rectifiers;
mod segments;
mod swap;
mod tensors;
#[cfg(test)]
mod tests;

pub(crate) use rectifiers::has_negative_values;

use crate::options::ConvertOptions;
use expand::Expanded;
use snncc_ids::{AnnNodeId, Diagnostic, Diagnostics, IdVec};
use snncc_ir::ann::Ann;

/// A network of linear layers and rectifiers.
///
/// Neurons that follow a rate have activations of their own ([`crate::options::NeuronKind::Rate`]), and a gate is a maximum
/// ([`crate::options::MaxPooling::Gated`]): these are left where they are asked for. Operators left: Input, Linear, Convolution, ConvolutionTranspose, ScaleShift, Activation (Relu, Clip with minimum 0, or SoftLif), Pool
/// and GlobalPool (Average), Reshape, Transpose, Pad (with 0), Slice, Resample, Sum, Concat. No Identity, no BatchNorm that can
/// be folded, nothing that does not reach an output (inputs stay, all of them, in their order).
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The rewritten network. Its nodes have the names of the original ones whose values they have, and names made from
    /// theirs (`act/on`, `act/off`, `act/segments`) otherwise.
    pub ann: Ann,
    /// For each of its nodes the node of the original network with the same values (up to rounding and the replacements told
    /// in the warnings), if there is one.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exactness {
    /// The same function.
    Exact,
    /// Another function, close to it.
    Approximate,
    /// There is none.
    Unsupported,
}

/// Rewrites `ann`. [`crate::options::MaxPooling::Measured`] is taken as `Tree`.
///
/// # Errors
/// SNN0301 for every layer without a spiking form, SNN0103 and SNN0203 for swaps that name nothing or do not fit.
pub fn prepare(ann: &Ann, options: &ConvertOptions) -> Result<Prepared, Diagnostics> {
    let Expanded { mut draft, mut fates, problems } = expand::expand(ann, options);
    let ((), warnings) = problems.into_result(())?;
    fold::fold(&mut draft, &mut fates);
    let (prepared, origins) = draft.finish();
    Ok(Prepared { ann: prepared, origins, fates: fates.rows(ann), warnings })
}

/// What would become of each node of the file, of those without a spiking form too.
pub fn check(ann: &Ann, options: &ConvertOptions) -> Vec<Fate> {
    let Expanded { mut draft, mut fates, .. } = expand::expand(ann, options);
    fold::fold(&mut draft, &mut fates);
    fates.rows(ann)
}
