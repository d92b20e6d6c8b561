//! The integers of a compiled network, of either family of chips: what `quantized/` of an output folder holds.
//!
//! Structure and registers are RON, weights an `.npz` with one array for each projection.

use serde::Serialize;
use snncc_formats::tensor_files::{AnyTensor, read_npz, write_npz};
use snncc_ids::{Id, IdVec, ProjectionId};
use snncc_ir::spinnaker::SpinnakerIr;
use snncc_ir::{Graph, Param, QuantizedIr, Tensor};

/// Most bytes of one array of our own files.
const ARRAY_LIMIT_BYTES: u64 = 16 << 30;
/// Structure and registers.
pub(crate) const STRUCTURE: &str = "quantized/quantized.ron";
/// Weights.
pub(crate) const WEIGHTS: &str = "quantized/weights.npz";

/// An integer IR.
pub(crate) enum Integers {
    Compartments(QuantizedIr),
    Spinnaker(SpinnakerIr),
}

impl Integers {
    /// Populations and projections.
    pub(crate) fn graph(&self) -> &Graph {
        match self {
            Self::Compartments(ir) => &ir.graph,
            Self::Spinnaker(ir) => &ir.graph,
        }
    }

    /// Integer units per canonical volt of a population's neurons, and what to add to a canonical voltage to get the network's.
    pub(crate) fn units(&self, population: &str) -> Option<(&Param, &Param)> {
        let (id, _) = self.graph().populations.iter_with_ids().find(|(_, known)| known.name == population)?;
        match self {
            Self::Compartments(ir) => {
                ir.neurons[id].as_ref().map(|neurons| (&neurons.units_per_volt, &neurons.v_offset))
            }
            Self::Spinnaker(ir) => ir.neurons[id].as_ref().map(|neurons| (&neurons.units_per_volt, &neurons.v_offset)),
        }
    }

    /// As text for people.
    pub(crate) fn print(&self) -> String {
        match self {
            Self::Compartments(ir) => snncc_ir::print::print_quantized(ir),
            Self::Spinnaker(ir) => snncc_ir::print::print_spinnaker(ir),
        }
    }

    /// Reads integers back.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub(crate) fn read(is_machine: bool, structure: &str, weights: &[u8]) -> Result<Self, String> {
        if is_machine {
            let mut ir: SpinnakerIr = ron::from_str(structure).map_err(|error| error.to_string())?;
            read_weights(&mut ir.weights, ir.graph.projections.len(), weights, |known, read| *known = read)?;
            ir.check()?;
            return Ok(Self::Spinnaker(ir));
        }
        let mut ir: QuantizedIr = ron::from_str(structure).map_err(|error| error.to_string())?;
        read_weights(&mut ir.weights, ir.graph.projections.len(), weights, |known, read| known.mantissas = read)?;
        ir.check()?;
        Ok(Self::Compartments(ir))
    }
}

/// Name of a projection's mantissas in [`WEIGHTS`].
fn weights_name(projection: ProjectionId) -> String {
    format!("weights{:04}", projection.0)
}

fn read_weights<W>(
    known: &mut IdVec<ProjectionId, W>,
    projections: usize,
    file: &[u8],
    put: impl Fn(&mut W, Vec<i32>),
) -> Result<(), String> {
    if known.len() != projections {
        return Err("it has not as many weights as projections".to_owned());
    }
    for (at, weights) in known.iter_mut().enumerate() {
        put(weights, read_npz(file, &weights_name(ProjectionId::new(at)), ARRAY_LIMIT_BYTES)?.to_i32()?.data);
    }
    Ok(())
}

/// The files of `quantized/` for chips with compartments.
pub(crate) fn compartment_files(ir: &QuantizedIr) -> Vec<(String, Vec<u8>)> {
    let mut structure = ir.clone();
    let take = |id| std::mem::take(&mut structure.weights[id].mantissas);
    let weights = ir.graph.projections.ids().map(take).collect();
    files(&structure, weights)
}

/// The same for SpiNNaker-like machines.
pub(crate) fn spinnaker_files(ir: &SpinnakerIr) -> Vec<(String, Vec<u8>)> {
    let mut structure = ir.clone();
    let weights = structure.weights.iter_mut().map(std::mem::take).collect();
    files(&structure, weights)
}

fn files(structure: &impl Serialize, weights: Vec<Vec<i32>>) -> Vec<(String, Vec<u8>)> {
    let named = weights.into_iter().enumerate();
    let arrays: Vec<(String, AnyTensor)> =
        named.map(|(at, weights)| (weights_name(ProjectionId::new(at)), Tensor::vector(weights).into())).collect();
    let text = ron::ser::to_string_pretty(structure, ron::ser::PrettyConfig::default().depth_limit(5));
    let text = text.expect("bug in snncc: the integer IR is always serializable") + "\n";
    vec![(STRUCTURE.to_owned(), text.into_bytes()), (WEIGHTS.to_owned(), write_npz(&arrays))]
}

#[cfg(test)]
mod tests;
