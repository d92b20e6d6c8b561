//! NIR, the Neuromorphic Intermediate Representation (Pedersen et al., *Nature Communications* 15, 2024; neuroir.org):
//! an HDF5 file to a [`Network`] and back.
//!
//! Reading goes in four steps, each a file: `hdf5` turns bytes into groups and arrays under limits, `node` turns one
//! group into one node, `graph` joins nodes and edges and dissolves nested graphs, `shapes` fills in shapes and compares
//! them with those stored. `dt` finds the time step where the file implies it.
//!
//! What snncc takes more freely than NIR's Python package: parameters of one value (0-d or `[1]`) serve a whole layer;
//! strings may have fixed length; stored shapes that disagree with the computed ones give a warning while element counts
//! agree. Metadata, attributes and root groups other than `/node` are ignored, as there;
//! only `/snncc/dt_s` is snncc's own, the time step in seconds.
//!
//! **Invariant:** any bytes give a network or diagnostics; every diagnostic names the path below `/node`.

mod dt;
mod graph;
mod hdf5;
mod node;
mod shapes;
mod write;

pub use dt::infer_dt;
pub use write::write_nir;

use snncc_ids::{Diagnostic, Diagnostics};
use snncc_ir::Network;

/// A network read from a NIR file.
#[derive(Clone, Debug, PartialEq)]
pub struct NirNetwork {
    /// The network. Its time step is that of `/snncc/dt_s`, or the one the file implies (see [`infer_dt`]).
    pub network: Network,
    /// What the user should know: oddities that did not stop the reading.
    pub warnings: Vec<Diagnostic>,
    /// Version of the Python package that wrote the file, if it says so.
    pub version: Option<String>,
}

/// Reads a NIR file.
///
/// Nodes of nested graphs are named `outer.inner`; their Input and Output nodes become edges. Nodes are in natural order of
/// their names (`2` before `10`), edges in order of their nodes, since the file's order has no meaning.
///
/// # Errors
/// All problems found: `SNN0106` where the file is damaged or not as NIR defines it, `SNN0201` for edges to unknown nodes,
/// `SNN0202` for arrays and shapes that do not fit each other, `SNN0203` for values without meaning, `SNN0208` for names
/// that nested graphs make equal.
pub fn read_nir(bytes: &[u8]) -> Result<NirNetwork, Diagnostics> {
    let tree = hdf5::read_tree(bytes)?;
    let mut problems = Diagnostics::new();
    let network = graph::read_graph(&tree.node, &mut problems).map(|(mut network, stored)| {
        shapes::settle(&mut network, &stored, &mut problems);
        network.dt_s = tree.dt_s.or_else(|| infer_dt(&network));
        network
    });
    let (network, warnings) = problems.into_result(network)?;
    let network = network.expect("bug in snncc: a NIR graph was refused without an error");
    Ok(NirNetwork { network, warnings, version: tree.version })
}
