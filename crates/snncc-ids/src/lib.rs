//! Typed ids, the vectors they index, and the diagnostics that every stage reports.
//!
//! **Invariant:** this crate knows nothing of networks or chips; every other crate may use it.

mod codes;
mod diagnostic;
mod id_vec;

pub use codes::{ALL_CODES, Code, code};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, Span, did_you_mean};
pub use id_vec::{Id, IdVec};

macro_rules! define_ids {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl Id for $name {
            fn new(index: usize) -> Self {
                Self(u32::try_from(index).expect("bug in snncc: more than 2^32 items of one kind"))
            }
            fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )*};
}

define_ids! {
    /// A node of a [`Network`](https://neuroir.org): input, layer, neuron group or output.
    NodeId;
    /// A layer of a trained artificial network.
    AnnNodeId;
    /// A population of neurons (or of input axons) in the IR.
    PopulationId;
    /// A set of synapses between two populations in the IR.
    ProjectionId;
    /// Consecutive neurons (in the partitioner's order) of one population that share a core.
    SliceId;
    /// A core of the target, numbered over all chips: `(chip * routers + router) * cores_per_router + core`.
    CoreId;
    /// Neurons of one slice whose spikes go to the same set of cores.
    NetId;
    /// A directed link between two routers.
    LinkId;
}
