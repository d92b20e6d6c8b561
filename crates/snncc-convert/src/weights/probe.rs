//! Trained and spiking network side by side: what a layer reads and gives in either, in one network of values.
//!
//! **Invariant:** the spiking side ends at layers of spikes and inputs, whose values are given.

use snncc_ids::AnnNodeId;
use snncc_ir::ann::{Ann, AnnOp};
use std::collections::BTreeMap;

/// The trained network up to a layer, and beside it the layer as it reads spikes.
pub(super) struct Probe {
    pub(super) ann: Ann,
    /// Where the values of each input come from.
    pub(super) ports: Vec<Port>,
    pub(super) wanted: AnnNodeId,
    pub(super) input: AnnNodeId,
    pub(super) output: AnnNodeId,
}

pub(super) enum Port {
    /// An input of the trained network.
    Data(usize),
    /// A layer of spikes, or an input as it is coded.
    Spiking(AnnNodeId),
}

impl Probe {
    /// Both networks in one, so that a chunk of samples sees them side by side.
    pub(super) fn new(trained: &Ann, tuned: &Ann, target: AnnNodeId, sources: &[AnnNodeId]) -> Self {
        let mut ann = Ann::new();
        let mut ports = Vec::new();
        let inputs: Vec<AnnNodeId> = trained.inputs().collect();
        let (_, through) = before(trained, target, &[]);
        let first = copy(&mut ann, trained, &inputs, &through);
        let data = |id: &AnnNodeId| inputs.iter().position(|input| input == id).map(Port::Data);
        ports.extend(inputs.iter().filter_map(data));
        let wanted = first[&target];

        let (_, through) = before(tuned, target, sources);
        let second = copy(&mut ann, tuned, sources, &through);
        ports.extend(sources.iter().copied().map(Port::Spiking));
        let (input, output) = (second[&tuned.nodes()[target].inputs[0]], second[&target]);
        ann.outputs = [wanted, input, output].map(|id| (String::new(), id)).to_vec();
        Self { ann, ports, wanted, input, output }
    }
}

/// The network up to the last of `nodes` and of its own inputs, with the outputs that are among these. Nodes keep their numbers.
pub(super) fn up_to(ann: &Ann, nodes: &[AnnNodeId]) -> Ann {
    let last = ann.inputs().chain(nodes.iter().copied()).max();
    let mut part = Ann::new();
    for node in ann.nodes().iter().take(last.map_or(0, |last| last.0 as usize + 1)) {
        let pushed = match &node.op {
            AnnOp::Input => Ok(part.push_input(node.name.clone(), node.shape.clone())),
            op => part.push(node.name.clone(), op.clone(), node.inputs.clone(), Some(node.shape.clone())),
        };
        pushed.expect("bug in snncc: a node of a network that exists");
    }
    part.outputs = ann.outputs.iter().filter(|(_, id)| part.nodes().get(*id).is_some()).cloned().collect();
    part
}

/// Copies nodes of a network, in topological order; `sources` become inputs. Gives their new numbers.
fn copy(to: &mut Ann, from: &Ann, sources: &[AnnNodeId], nodes: &[AnnNodeId]) -> BTreeMap<AnnNodeId, AnnNodeId> {
    let input = |id: &AnnNodeId| (*id, to.push_input(id.0.to_string(), from.nodes()[*id].shape.clone()));
    let mut places: BTreeMap<AnnNodeId, AnnNodeId> = sources.iter().map(input).collect();
    for id in nodes {
        let node = &from.nodes()[*id];
        let inputs = node.inputs.iter().map(|input| places[input]).collect();
        let pushed = to.push(id.0.to_string(), node.op.clone(), inputs, Some(node.shape.clone()));
        places.insert(*id, pushed.expect("bug in snncc: a node of a network that exists"));
    }
    places
}

/// What `target` reads, up to `ends` and inputs of the network: these, and the nodes between them and it, itself included. Both
/// in topological order.
pub(crate) fn before(ann: &Ann, target: AnnNodeId, ends: &[AnnNodeId]) -> (Vec<AnnNodeId>, Vec<AnnNodeId>) {
    let mut is_read: Vec<bool> = vec![false; target.0 as usize + 1];
    let (mut sources, mut through) = (Vec::new(), Vec::new());
    is_read[target.0 as usize] = true;
    for id in (0..=target.0).rev().map(AnnNodeId) {
        if !is_read[id.0 as usize] {
            continue;
        }
        let node = &ann.nodes()[id];
        if id != target && (ends.contains(&id) || matches!(node.op, AnnOp::Input)) {
            sources.push(id);
            continue;
        }
        through.push(id);
        node.inputs.iter().for_each(|input| is_read[input.0 as usize] = true);
    }
    sources.reverse();
    through.reverse();
    (sources, through)
}
