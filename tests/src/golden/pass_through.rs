//! A network given in the chip's integers as a [`QuantizedIr`], without the compiler: so the integer reference can be checked
//! before and apart from it.

use snncc_ids::{IdVec, NodeId, PopulationId, ProjectionId};
use snncc_ir::network::{Matrix, SynapseDelay, Synapses};
use snncc_ir::{
    Connectivity, Delays, Graph, IntNeurons, IntWeights, Network, Node, OutputPort, Param, Population, PopulationRole,
    Projection, QuantizedIr, Readout, SparsePattern,
};

/// The integer IR of a network of inputs, compartments, synapses and outputs, with plain chip timing.
///
/// # Errors
/// For any other node, and for synapses that do not stand between two populations.
pub fn quantized(network: &Network) -> Result<QuantizedIr, String> {
    let mut population_of: IdVec<NodeId, Option<PopulationId>> = network.nodes.iter().map(|_| None).collect();
    let mut populations = IdVec::new();
    let mut neurons = IdVec::new();
    for (id, node) in network.nodes.iter_with_ids() {
        let (shape, role, parameters) = match &node.node {
            Node::Input { shape } => (shape.clone(), PopulationRole::Input, None),
            Node::Compartments(c) => {
                let parameters = IntNeurons {
                    decay_u: c.decay_u.clone(),
                    decay_v: c.decay_v.clone(),
                    threshold_mantissa: c.threshold_mantissa.clone(),
                    bias_mantissa: c.bias_mantissa.clone(),
                    bias_exponent: c.bias_exponent.clone(),
                    refractory: c.refractory.clone(),
                    u_initial: c.u_initial.clone(),
                    v_initial: c.v_initial.clone(),
                    v_min_exponent: c.v_min_exponent,
                    v_max_exponent: c.v_max_exponent,
                    reset: c.reset,
                    noise: c.noise.clone(),
                    start_step: 1,
                    units_per_volt: Param::Uniform(1.0),
                    v_offset: Param::Uniform(0.0),
                    spikes: true,
                };
                (c.shape.clone(), PopulationRole::Neurons, Some(parameters))
            }
            Node::Synapses(_) | Node::Output { .. } => continue,
            other => return Err(format!("`{}` is not given in integers: {other:?}", node.name)),
        };
        let item = network.item(id);
        population_of[id] =
            Some(populations.push(Population { name: node.name.clone(), shape, role, latency_steps: 0, item }));
        neurons.push(parameters);
    }
    let mut projections: IdVec<ProjectionId, Projection> = IdVec::new();
    let mut weights = IdVec::new();
    let mut outputs = Vec::new();
    for (id, node) in network.nodes.iter_with_ids() {
        let sources = network.edges.iter().filter(|edge| edge.target == id).map(|edge| population_of[edge.source]);
        match &node.node {
            Node::Synapses(synapses) => {
                let targets: Vec<_> = network
                    .edges
                    .iter()
                    .filter(|edge| edge.source == id)
                    .map(|edge| population_of[edge.target])
                    .collect();
                let ([Some(source)], [Some(target)]) = (&sources.collect::<Vec<_>>()[..], &targets[..]) else {
                    return Err(format!("`{}` does not stand between two populations", node.name));
                };
                let (pattern, mantissas, delays) = by_source(synapses)?;
                let name = |id: PopulationId| &populations[id].name;
                projections.push(Projection {
                    name: format!("{}->{}", name(*source), name(*target)),
                    source: *source,
                    target: *target,
                    source_len: populations[*source].len() as u32,
                    target_len: populations[*target].len() as u32,
                    connectivity: Connectivity::Sparse(pattern),
                    delays,
                    item: network.item(id),
                });
                let Synapses { exponent, weight_bits, sign_mode, .. } = *synapses;
                weights.push(IntWeights { mantissas, exponent, weight_bits, sign_mode });
            }
            Node::Output { .. } => outputs.extend(sources.flatten().map(|population| OutputPort {
                name: node.name.clone(),
                population,
                readout: Readout::Spikes,
            })),
            _ => {}
        }
    }
    Ok(QuantizedIr {
        population_quality: populations.iter().map(|_| None).collect(),
        projection_quality: projections.iter().map(|_| None).collect(),
        graph: Graph { populations, projections },
        neurons,
        weights,
        outputs,
        dt_s: network.dt_s,
    })
}

/// Rows by source with targets ascending; an IR delay is one step more than the extra delay.
fn by_source(synapses: &Synapses) -> Result<(SparsePattern, Vec<i32>, Delays), String> {
    let Matrix::Sparse { shape, rows, columns, values } = &synapses.weight else {
        return Err("only listed synapses are read".into());
    };
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|at| (columns[*at], rows[*at]));
    if let Some(pair) =
        order.windows(2).find(|pair| (columns[pair[0]], rows[pair[0]]) == (columns[pair[1]], rows[pair[1]]))
    {
        return Err(format!("neurons {} and {} are connected twice", columns[pair[0]], rows[pair[0]]));
    }
    let row_starts = (0..=shape.1 as u32).map(|source| order.partition_point(|at| columns[*at] < source) as u32);
    let delays = match &synapses.delay {
        SynapseDelay::None => Delays::Uniform(1),
        SynapseDelay::Uniform(extra) => Delays::Uniform(extra + 1),
        SynapseDelay::PerSynapse(extra) => Delays::PerSynapse(order.iter().map(|at| extra[*at] + 1).collect()),
    };
    let pattern =
        SparsePattern { row_starts: row_starts.collect(), targets: order.iter().map(|at| rows[*at]).collect() };
    Ok((pattern, order.iter().map(|at| values[*at]).collect(), delays))
}
