//! Layers that fire one after the other: each adds up all of its input before its first spike.
//!
//! The schedule is made of ordinary nodes. A population of rank `r` (the longest path from the inputs, in populations) starts
//! `hold` thresholds below where it would, so that nothing its inputs send in their window of `T` steps lets it fire. A neuron
//! that fires once, of its own accord, opens it: it sends the hold to every neuron in the step in which the last input arrives.
//! The neurons then fire once per step and subtract, `T` steps long, until another such neuron takes the hold away again. So
//! a neuron whose input adds up to `s` thresholds fires `clamp(⌊s + ½⌋, 0, T)` times: the trained network with activations
//! clipped and rounded ([`crate::stages::Stage::Rounded`]), but for ties, where a neuron that must exceed its threshold rounds
//! down. What enters a population over paths of different lengths needs no alignment: it waits for the last.
//!
//! The window of rank `r` begins in step `r (T − 1) + 1`, that of the inputs in step 1. Biases would go on while a layer fires;
//! they are taken out of the linear nodes and added once, `T` times, to the initial membrane.
//!
//! **Invariant:** holds are powers of two times the threshold. So a chip whose register holds the threshold exactly holds them
//! exactly too, with the same digits.

use super::{Built, push};
use crate::data::CalibrationData;
use rayon::prelude::*;
use snncc_ids::{Diagnostic, Diagnostics, IdVec, NodeId, code};
use snncc_ir::network::{Affine, Comparison, Edge, Matrix, Neuron, NeuronModel, Node, Reset, SynapseDelay};
use snncc_ir::{Network, Param, Tensor};
use snncc_reference::float::{FloatInput, FloatNetwork, FloatOptions, Record};
use std::collections::BTreeMap;

/// Hold, in thresholds, of layers of which nothing is measured yet: floats have room for any sum.
const LOOSE_HOLD: f64 = (1_u32 << 24) as f64;
/// Part of what was measured by which a hold exceeds it at least.
const MARGIN: f64 = 1.5;
/// A neuron that fires once stays silent for this many times the steps of a run at least.
const SILENT_RUNS: u32 = 4;
/// A threshold that nothing reaches.
const NEVER: f64 = 1e300;

/// How the layers of a network wait for one another.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSchedule {
    /// Steps in which the inputs fire, and each layer.
    pub window_steps: u32,
    /// Steps of a sample.
    pub run_steps: u32,
    /// One per layer, in the order of [`Built::layers`].
    pub layers: Vec<Held>,
}

/// A layer that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// First step in which it may fire.
    pub first_step: u32,
    /// Thresholds by which it is held down before and after its window: a power of two.
    pub hold: f64,
    /// Its neurons.
    population: NodeId,
    /// Membrane before the first step, were it not held.
    start: Param,
    /// The nodes that open and close it, each with one weight per neuron.
    opens: NodeId,
    closes: NodeId,
}

/// Makes the spiking layers of `built` fire one after the other, each in a window of `steps` steps.
///
/// # Errors
/// SNN0203 if layers wait for each other in a loop, and what the float reference finds in the network.
pub(crate) fn layer_by_layer(built: &mut Built, steps: u32) -> Result<(), Diagnostics> {
    let network = &mut built.network;
    let ranks = ranks(network)?;
    add_constants_once(network, steps)?;
    let depth = built.layers.iter().map(|layer| ranks[layer.population]).max().unwrap_or(0);
    let run_steps = run_steps(depth, steps);
    let mut gates: BTreeMap<u32, NodeId> = BTreeMap::new();
    let mut layers = Vec::with_capacity(built.layers.len());
    for layer in &built.layers {
        let Node::Neuron(neuron) = &network.nodes[layer.population].node else {
            unreachable!("bug in snncc: a layer is no neurons")
        };
        let (shape, start) = (neuron.shape.clone().unwrap_or_default(), neuron.v_initial.clone());
        let first_step = first_step(ranks[layer.population], steps);
        let mut gate = |step: u32, what: &str| {
            let source = *gates.entry(step).or_insert_with(|| fires_once(network, step, run_steps));
            let name = format!("{}.{what}", layer.name);
            let len = shape.iter().product();
            let weight = Matrix::Dense(Tensor::new(vec![len, 1], vec![0.0; len]));
            let affine = Affine { weight, bias: None, delay: SynapseDelay::None };
            let weights = push(network, &name, Node::Affine(affine), &[source]);
            let shaped = match shape.len() {
                1 => weights,
                _ => push(network, &format!("{name}.shape"), Node::Reshape { shape: shape.clone() }, &[weights]),
            };
            network.edges.push(Edge { source: shaped, target: layer.population });
            weights
        };
        let (opens, closes) = (gate(first_step, "open"), gate(first_step.saturating_add(steps), "close"));
        layers.push(Held { first_step, hold: LOOSE_HOLD, population: layer.population, start, opens, closes });
    }
    layers.iter().for_each(|layer| layer.write(network));
    built.schedule = Some(LayerSchedule { window_steps: steps, run_steps, layers });
    Ok(())
}

/// The step in which layers of this rank begin to fire.
fn first_step(rank: u32, steps: u32) -> u32 {
    rank.saturating_mul(steps - 1).saturating_add(1)
}

/// Steps of a sample of a network in which the longest path has `depth` layers.
pub(crate) fn run_steps(depth: u32, steps: u32) -> u32 {
    first_step(depth, steps).saturating_add(steps - 1)
}

/// Lowers the holds to what the layers need on the first `samples` samples: the larger the hold, the less of a chip's range
/// is left. Neurons that other samples drive beyond it fire too early, which costs them nothing but perhaps a spike too much.
///
/// # Errors
/// What the float reference finds in the network.
pub(crate) fn tighten(built: &mut Built, data: &CalibrationData<'_>, samples: usize) -> Result<(), Diagnostics> {
    let Some(schedule) = &mut built.schedule else { return Ok(()) };
    let peaks = peaks(&built.network, schedule, data, samples)?;
    for (layer, peak) in schedule.layers.iter_mut().zip(peaks) {
        let Node::Neuron(neuron) = &built.network.nodes[layer.population].node else { continue };
        let threshold = neuron.v_threshold.values().iter().copied().fold(f64::INFINITY, f64::min);
        layer.hold = (MARGIN * peak / threshold).max(1.0).log2().ceil().exp2().min(LOOSE_HOLD);
        layer.write(&mut built.network);
    }
    Ok(())
}

impl Held {
    /// Writes the hold into the network.
    fn write(&self, network: &mut Network) {
        let Node::Neuron(neuron) = &mut network.nodes[self.population].node else { return };
        let held = neuron.v_threshold.map(|threshold| threshold * self.hold);
        neuron.v_initial = self.start.zip(&held, |start, held| start - held);
        for (node, sign) in [(self.opens, 1.0), (self.closes, -1.0)] {
            let Node::Affine(Affine { weight: Matrix::Dense(weight), .. }) = &mut network.nodes[node].node else {
                continue;
            };
            weight.data.iter_mut().enumerate().for_each(|(at, weight)| *weight = sign * held.get(at));
        }
    }
}

/// The longest path from the inputs to each node, in populations up to its own.
fn ranks(network: &Network) -> Result<IdVec<NodeId, u32>, Diagnostics> {
    let cycles = snncc_ir::cycles::find(network);
    if let Some(edge) = network.edges.iter().zip(&cycles.is_back).find(|(_, is_back)| **is_back).map(|(edge, _)| edge) {
        let name = |id: NodeId| &network.nodes[id].name;
        let message = format!(
            "`{}` leads back to `{}`: layers of a loop would wait for each other, and never fire",
            name(edge.source),
            name(edge.target)
        );
        let error = Diagnostic::error(code::BAD_PARAMETER, message).at(network.item(edge.target));
        return Err(error.help("take the pipelined schedule, in which all layers fire in every step").into());
    }
    let mut ranks: IdVec<NodeId, u32> = network.nodes.ids().map(|_| 0).collect();
    for id in &cycles.order {
        let is_neurons = matches!(network.nodes[*id].node, Node::Neuron(_));
        let before = network.edges.iter().filter(|edge| edge.target == *id).map(|edge| ranks[edge.source]).max();
        ranks[*id] = before.unwrap_or(0) + u32::from(is_neurons);
    }
    Ok(ranks)
}

/// Takes the biases out of the linear nodes, and adds to each initial membrane what they add up to in `steps` steps.
fn add_constants_once(network: &mut Network, steps: u32) -> Result<(), Diagnostics> {
    let mut silent = network.clone();
    let mut names = Vec::new();
    for node in silent.nodes.iter_mut() {
        if let Node::Neuron(neuron) = &mut node.node {
            neuron.v_initial = Param::Uniform(0.0);
            neuron.v_threshold = Param::Uniform(NEVER);
            names.push(node.name.clone());
        }
    }
    let record = Record { states_of: names, ..Record::default() };
    let silence = snncc_data::Stimulus::default();
    let trace = FloatNetwork::new(&silent, &FloatOptions::default())?.run(&(&silence).into(), 1, &record)?;
    for population in &trace.populations {
        let Some(states) = &population.states else { continue };
        if let Node::Neuron(neuron) = &mut network.nodes[population.node].node
            && states.v.iter().any(|constant| *constant != 0.0)
        {
            let added = states.v.iter().enumerate();
            let added = added.map(|(at, constant)| neuron.v_initial.get(at) + f64::from(steps) * constant);
            neuron.v_initial = Param::from_values(added.collect());
        }
    }
    for node in network.nodes.iter_mut() {
        match &mut node.node {
            Node::Affine(affine) => affine.bias = None,
            Node::Convolution(convolution) => convolution.bias = None,
            _ => {}
        }
    }
    Ok(())
}

/// The largest membrane of each layer, were it never held and never fired.
fn peaks(
    network: &Network,
    schedule: &LayerSchedule,
    data: &CalibrationData<'_>,
    samples: usize,
) -> Result<Vec<f64>, Diagnostics> {
    // Beside each layer neurons that do not spike read what it reads, but for what opens and closes it.
    let mut probed = network.clone();
    let mut names = Vec::new();
    for layer in &schedule.layers {
        let Node::Neuron(neuron) = &network.nodes[layer.population].node else { continue };
        let gates = [layer.opens, layer.closes];
        let is_gate = |source: NodeId| {
            gates.contains(&source)
                || network.edges.iter().any(|edge| edge.target == source && gates.contains(&edge.source))
        };
        let read = network.edges.iter().filter(|edge| edge.target == layer.population && !is_gate(edge.source));
        let sources: Vec<NodeId> = read.map(|edge| edge.source).collect();
        let mut probe = Neuron::new(NeuronModel::I);
        (probe.shape, probe.v_initial, probe.r) = (neuron.shape.clone(), layer.start.clone(), neuron.r.clone());
        let name = format!("{}.probe", network.nodes[layer.population].name);
        let probe = push(&mut probed, &name, Node::Neuron(probe), &sources);
        names.push(probed.nodes[probe].name.clone());
    }
    let float = FloatNetwork::new(&probed, &FloatOptions::default())?;
    let run = |sample: usize| -> Result<Vec<f64>, Diagnostics> {
        let stimulus = data.stimulus(sample, schedule.window_steps)?;
        let input: FloatInput<'_> = stimulus.input();
        let trace = float.observe(&input, schedule.run_steps, &Record::default())?;
        let peak = |name: &String| {
            let population = trace.population(name).expect("bug in snncc: a probe is a population");
            population.statistics.as_ref().map_or(0.0, |statistics| statistics.v_max)
        };
        Ok(names.iter().map(peak).collect())
    };
    let mut peaks = vec![0.0_f64; names.len()];
    for run in (0..samples).into_par_iter().map(run).collect::<Vec<_>>() {
        peaks.iter_mut().zip(run?).for_each(|(peak, of_sample)| *peak = peak.max(of_sample));
    }
    Ok(peaks)
}

/// A neuron that fires in step `step` alone: it counts the steps, and what it sends itself takes it far below its threshold.
fn fires_once(network: &mut Network, step: u32, run_steps: u32) -> NodeId {
    let mut neuron = Neuron::new(NeuronModel::If);
    neuron.shape = Some(vec![1]);
    neuron.v_threshold = Param::Uniform(f64::from(step) - 0.5);
    neuron.comparison = Comparison::Greater;
    neuron.reset = Reset::ToValue;
    let name = format!("step.{step}");
    let gate = push(network, &name, Node::Neuron(neuron), &[]);
    let far = run_steps.max(step).saturating_mul(SILENT_RUNS).checked_next_power_of_two().unwrap_or(1 << 31);
    let affine = Affine {
        weight: Matrix::Dense(Tensor::new(vec![1, 1], vec![-f64::from(far)])),
        bias: Some(Tensor::vector(vec![1.0])),
        delay: SynapseDelay::None,
    };
    let itself = push(network, &format!("{name}.itself"), Node::Affine(affine), &[gate]);
    network.edges.push(Edge { source: itself, target: gate });
    gate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{BuiltLayer, MemoryKind};
    use snncc_ids::AnnNodeId;

    #[test]
    fn neurons_of_a_loop_would_wait_for_each_other() {
        let mut network = Network::default();
        let x = push(&mut network, "x", Node::Input { shape: vec![1] }, &[]);
        let neuron = |network: &mut Network, name: &str, source: NodeId| {
            let mut neuron = Neuron::new(NeuronModel::If);
            neuron.shape = Some(vec![1]);
            push(network, name, Node::Neuron(neuron), &[source])
        };
        let a = neuron(&mut network, "a", x);
        let b = neuron(&mut network, "b", a);
        network.edges.push(Edge { source: b, target: a });
        let layer = |population: NodeId, name: &str| BuiltLayer {
            node: AnnNodeId(0),
            population,
            name: name.to_owned(),
            plane: 1,
            scales: vec![1.0],
            memory: MemoryKind::Integrates,
        };
        let layers = vec![layer(a, "a"), layer(b, "b")];
        let mut built = Built { network, layers, schedule: None };
        let problem = layer_by_layer(&mut built, 4).unwrap_err().0.remove(0);
        assert_eq!((problem.code, problem.item.as_deref()), (code::BAD_PARAMETER, Some("nodes/a")));
        assert!(problem.message.contains("`b` leads back to `a`"), "{}", problem.message);
    }

    #[test]
    fn a_neuron_fires_once_of_its_own_accord() {
        for step in [1, 2, 9] {
            let mut network = Network::default();
            let gate = fires_once(&mut network, step, 12);
            let output = push(&mut network, "out", Node::Output { shape: vec![1] }, &[gate]);
            assert_eq!(network.nodes[output].name, "out");
            let float = FloatNetwork::new(&network, &FloatOptions::default()).unwrap();
            let record = Record { spikes: true, ..Record::default() };
            let silence = snncc_data::Stimulus::default();
            let trace = float.run(&(&silence).into(), 4 * 12, &record).unwrap();
            let events: Vec<_> = trace.populations[0].spikes.as_ref().unwrap().events().collect();
            assert_eq!(events, [(step, 0, 1)]);
        }
    }
}
