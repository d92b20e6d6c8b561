//! A look at the network from its target side: which projections enter a population, and who the sources of a neuron are.
//!
//! Members of all populations share one numbering ([`View::global`]), so that a source is a single `u32` wherever axons are
//! counted. Transposes of sparse projections are made when first asked for.

use snncc_ids::{Id, IdVec, PopulationId, ProjectionId};
use snncc_ir::{Connectivity, Population, PopulationRole, Projection, QuantizedIr, SparsePattern};
use std::sync::OnceLock;

/// Indices over a [`QuantizedIr`].
pub struct View<'a> {
    /// The network.
    pub ir: &'a QuantizedIr,
    /// Global number of the first member of each population, and one past the last.
    starts: Vec<u32>,
    incoming: IdVec<PopulationId, Vec<ProjectionId>>,
    transposes: IdVec<ProjectionId, OnceLock<Transpose>>,
}

/// A sparse pattern by target.
pub(crate) struct Transpose {
    starts: Vec<u32>,
    sources: Vec<u32>,
    weights: Vec<u32>,
}

impl<'a> View<'a> {
    /// Indices over this network.
    pub fn new(ir: &'a QuantizedIr) -> Self {
        let mut starts = vec![0_u32];
        for population in &ir.graph.populations {
            let len = u32::try_from(population.len()).expect("bug in snncc: a population of more than 2^32 neurons");
            let end = starts.last().and_then(|start| start.checked_add(len));
            starts.push(end.expect("bug in snncc: more than 2^32 neurons"));
        }
        let mut incoming: IdVec<PopulationId, Vec<ProjectionId>> =
            ir.graph.populations.ids().map(|_| Vec::new()).collect();
        for (id, projection) in ir.graph.projections.iter_with_ids() {
            incoming[projection.target].push(id);
        }
        let transposes = ir.graph.projections.ids().map(|_| OnceLock::new()).collect();
        Self { ir, starts, incoming, transposes }
    }

    /// A population.
    pub fn population(&self, id: PopulationId) -> &'a Population {
        &self.ir.graph.populations[id]
    }

    /// A projection.
    pub fn projection(&self, id: ProjectionId) -> &'a Projection {
        &self.ir.graph.projections[id]
    }

    /// Populations with neurons, in order.
    pub fn neuron_populations(&self) -> impl Iterator<Item = PopulationId> + use<'a> {
        let populations = &self.ir.graph.populations;
        populations
            .iter_with_ids()
            .filter(|(_, p)| p.role == PopulationRole::Neurons && !p.is_empty())
            .map(|(id, _)| id)
    }

    /// Projections into a population, in order.
    pub fn incoming(&self, population: PopulationId) -> &[ProjectionId] {
        &self.incoming[population]
    }

    /// Number of a member over all populations.
    pub fn global(&self, population: PopulationId, member: u32) -> u32 {
        self.starts[population.index()] + member
    }

    /// Number of members over all populations.
    pub fn global_len(&self) -> usize {
        self.starts[self.starts.len() - 1] as usize
    }

    /// Population and member of a global number.
    pub fn member(&self, global: u32) -> (PopulationId, u32) {
        let after = self.starts.partition_point(|start| *start <= global);
        (PopulationId::new(after - 1), global - self.starts[after - 1])
    }

    /// `conv1[3, 0, 12]`: a member of a population by its position in the shape.
    pub fn member_name(&self, population: PopulationId, member: u32) -> String {
        let population = self.population(population);
        let mut rest = member as usize;
        let mut index: Vec<String> = Vec::new();
        for len in population.shape.iter().rev() {
            index.push((rest % len).to_string());
            rest /= len;
        }
        index.reverse();
        format!("{}[{}]", population.name, index.join(", "))
    }

    /// Calls `visit(source, weight index)` for each synapse onto `target`.
    pub(crate) fn fan_in(&self, id: ProjectionId, target: u32, mut visit: impl FnMut(u32, usize)) {
        let projection = self.projection(id);
        match &projection.connectivity {
            Connectivity::Sparse(pattern) => {
                let transpose = self.transposes[id].get_or_init(|| Transpose::new(pattern, projection.target_len));
                let row = transpose.starts[target as usize] as usize..transpose.starts[target as usize + 1] as usize;
                for at in row {
                    visit(transpose.sources[at], transpose.weights[at] as usize);
                }
            }
            _ => projection.fan_in(target, |synapse| visit(synapse.other, synapse.weight)),
        }
    }

    /// Synapses onto `target` at most, without looking at weights.
    pub(crate) fn fan_in_bound(&self, id: ProjectionId, target: u32) -> u64 {
        let projection = self.projection(id);
        match &projection.connectivity {
            Connectivity::Dense => u64::from(projection.source_len),
            Connectivity::OneToOne { .. } => 1,
            Connectivity::Convolution(g) => {
                u64::from(g.input[0] / g.groups) * u64::from(g.kernel[0]) * u64::from(g.kernel[1])
            }
            Connectivity::Sparse(_) => {
                let mut count = 0;
                self.fan_in(id, target, |_, _| count += 1);
                count
            }
        }
    }
}

impl Transpose {
    fn new(pattern: &SparsePattern, target_len: u32) -> Self {
        let mut starts = vec![0_u32; target_len as usize + 1];
        for target in &pattern.targets {
            starts[*target as usize + 1] += 1;
        }
        for target in 0..target_len as usize {
            starts[target + 1] += starts[target];
        }
        let mut next = starts.clone();
        let mut sources = vec![0_u32; pattern.targets.len()];
        let mut weights = vec![0_u32; pattern.targets.len()];
        for source in 0..pattern.row_starts.len() - 1 {
            for weight in pattern.row_starts[source]..pattern.row_starts[source + 1] {
                let at = &mut next[pattern.targets[weight as usize] as usize];
                sources[*at as usize] = source as u32;
                weights[*at as usize] = weight;
                *at += 1;
            }
        }
        Self { starts, sources, weights }
    }
}
