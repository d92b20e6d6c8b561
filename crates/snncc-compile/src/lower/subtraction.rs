//! What a population that resets by subtraction needs besides its neurons (see `neurons` for the equations): a projection
//! from each neuron to itself, and for constants a neuron that fires in every step.
//!
//! The bias register is added to the voltage, which such a population computes anew in every step; a constant must reach the
//! current, and that only synapses do. So a population `NAME.bias` of one compartment fires in every step, and its weights
//! onto the neurons are the constants. It runs one step ahead of its target, so that they arrive from the first step on.
//! (Without alignment nothing runs ahead, and the constants come one step late, as all spikes do.)

use super::maps;
use super::neurons::Subtraction;
use itertools::Itertools;
use snncc_ids::PopulationId;
use snncc_ir::network::Comparison;
use snncc_ir::{
    Connectivity, Delays, Graph, IrNeurons, IrWeights, NeuronParams, Param, Population, PopulationRole, Projection,
    SparsePattern,
};

/// Appends to a graph, and collects the neurons and weights of what it appends.
pub(super) struct Appender<'a> {
    pub(super) graph: &'a mut Graph,
    pub(super) neurons: Vec<Option<IrNeurons>>,
    pub(super) weights: Vec<IrWeights>,
}

impl Appender<'_> {
    /// Appends what `target` needs.
    pub(super) fn append(&mut self, target: PopulationId, subtraction: &Subtraction) {
        let len = self.graph.populations[target].len();
        if subtraction.reset.values().iter().any(|weight| *weight != 0.0) {
            let name = Projection::reset_name(&self.graph.populations[target].name);
            // Not one weight for all: that would make the neurons share a scale.
            let weights = (0..len).map(|neuron| subtraction.reset.get(neuron)).collect();
            self.project(name, (target, len), (target, len), Connectivity::OneToOne { shared: false }, weights);
        }
        let constants: Vec<f64> = (0..len).map(|neuron| subtraction.constant.get(neuron)).collect();
        if constants.iter().any(|constant| *constant != 0.0) {
            self.append_constants(target, constants);
        }
    }

    fn append_constants(&mut self, target: PopulationId, constants: Vec<f64>) {
        let population = &self.graph.populations[target];
        let is_free = |name: &String| self.graph.populations.iter().all(|known| known.name != *name);
        let first = format!("{}.bias", population.name);
        let numbered = (2..).map(|number| format!("{first}#{number}"));
        let name = std::iter::once(first.clone()).chain(numbered).find(is_free).expect("bug in snncc: numbers end");
        let projection = format!("{name}->{}", population.name);
        let source = Population {
            name,
            shape: vec![1],
            role: PopulationRole::Neurons,
            latency_steps: population.latency_steps.saturating_sub(1),
            item: population.item.clone(),
        };
        let source = self.graph.populations.push(source);
        self.neurons.push(Some(IrNeurons::Float(always_firing())));
        let len = constants.len();
        let used: Vec<u32> = constants.iter().positions(|constant| *constant != 0.0).map(|at| at as u32).collect();
        let (connectivity, weights) = if used.len() * 2 < len {
            let weights = used.iter().map(|at| constants[*at as usize]).collect();
            let pattern = SparsePattern { row_starts: vec![0, used.len() as u32], targets: used };
            (Connectivity::Sparse(pattern), weights)
        } else {
            (Connectivity::Dense, constants)
        };
        self.project(projection, (source, 1), (target, len), connectivity, weights);
    }

    fn project(
        &mut self,
        name: String,
        source: (PopulationId, usize),
        target: (PopulationId, usize),
        connectivity: Connectivity,
        weights: Vec<f64>,
    ) {
        self.graph.projections.push(Projection {
            name,
            source: source.0,
            target: target.0,
            delays: Delays::Uniform(1),
            item: self.graph.populations[target.0].item.clone(),
            ..maps::shell(source.1, target.1, connectivity)
        });
        self.weights.push(IrWeights::Float(weights));
    }
}

/// A neuron that fires in every step.
fn always_firing() -> NeuronParams {
    NeuronParams {
        current_keep: Param::Uniform(0.0),
        voltage_keep: Param::Uniform(0.0),
        bias: Param::Uniform(1.0),
        subtracts: false,
        threshold: Param::Uniform(0.5),
        comparison: Comparison::Greater,
        refractory_steps: Param::Uniform(1),
        u_initial: Param::Uniform(0.0),
        v_initial: Param::Uniform(0.0),
        v_min: None,
        v_offset: Param::Uniform(0.0),
    }
}
