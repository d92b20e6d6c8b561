//! The spiking network of a prepared one and its scales.
//!
//! Every rectifier becomes integrate-and-fire neurons whose spike stands for the scale of its channel. What only moves or
//! weighs elements (Reshape, Transpose, Slice, Concat, Sum, …) is not written out where it stands: a value is kept as a sum of
//! terms, each a node with an index map and factors, which go into the weights around them where that is possible.
//!
//! **Invariant:** in the limit of many steps and with scales above every activation, the mean of each population's spikes
//! times its scale is the rectifier's value.

mod emit;
mod lif;
mod neurons;
pub(crate) mod schedule;
mod value;

pub use schedule::{Held, LayerSchedule};

pub(crate) use emit::not_gated;

use crate::options::{ConvertOptions, NeuronKind, ReadoutChoice, Schedule};
use emit::Emitter;
use snncc_ids::{AnnNodeId, Diagnostic, Diagnostics, NodeId, code};
use snncc_ir::ann::{Activation, Ann, AnnOp};
use snncc_ir::network::{Edge, Node};
use snncc_ir::{Network, NetworkNode};
use std::collections::BTreeMap;

/// What is built of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct BuiltLayer {
    /// The rectifier in the prepared network.
    pub node: AnnNodeId,
    /// Its neurons.
    pub population: NodeId,
    /// Name of the population.
    pub name: String,
    /// Neurons per channel.
    pub plane: usize,
    /// Activation that a spike stands for, by channel.
    pub scales: Vec<f64>,
    /// What its neurons do with their input.
    pub memory: MemoryKind,
}

/// What neurons keep of their input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// All of it, up to the next spike at least.
    Integrates,
    /// Less and less.
    Leaks,
    /// Nothing.
    None,
}

/// A spiking network and where its layers come from.
#[derive(Clone, Debug)]
pub struct Built {
    /// The network.
    pub network: Network,
    /// Spiking layers, inputs of a layer before it.
    pub layers: Vec<BuiltLayer>,
    /// When the layers fire, if one after the other.
    pub schedule: Option<LayerSchedule>,
}

impl Built {
    /// Steps of a run whose input takes `steps` steps.
    pub(crate) fn run_steps(&self, steps: u32) -> u32 {
        self.schedule.as_ref().map_or(steps, |schedule| schedule.run_steps)
    }
}

/// What is added to a layer so that its means agree with the trained network's, by channel, in units of its activation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerCorrection {
    /// To the input of every step.
    pub bias: Vec<f64>,
    /// To the initial membrane.
    pub potential: Vec<f64>,
    /// Factor on the threshold; of use where a spike does more to the membrane than to take the threshold off.
    pub threshold: Vec<f64>,
}

/// Corrections by rectifier; none for layers that are not listed.
pub type Corrections = BTreeMap<AnnNodeId, LayerCorrection>;

/// The layers that become spiking neurons: every rectifier and, where spikes are read, the outputs.
pub fn spiking_layers(ann: &Ann, options: &ConvertOptions) -> Vec<AnnNodeId> {
    let is_rectifier = |id: &AnnNodeId| matches!(ann.nodes()[*id].op, AnnOp::Activation(_));
    let mut layers: Vec<AnnNodeId> = ann.nodes().ids().filter(is_rectifier).collect();
    if options.readout == ReadoutChoice::Spikes {
        layers.extend(ann.outputs.iter().map(|(_, id)| *id).filter(|id| !is_rectifier(id)));
    }
    layers.sort_unstable();
    layers.dedup();
    layers
}

/// What has times in seconds, with its verb.
fn needs_time_step(ann: &Ann, options: &ConvertOptions) -> Option<&'static str> {
    let is_soft_lif = |op: &AnnOp| matches!(op, AnnOp::Activation(Activation::SoftLif(_)));
    if matches!(options.readout, ReadoutChoice::Filtered { .. }) {
        Some("a filtered readout has")
    } else if options.filter.is_some() {
        Some("a synaptic filter has")
    } else if matches!(options.neuron, NeuronKind::Lif { .. }) || ann.nodes().iter().any(|node| is_soft_lif(&node.op)) {
        Some("leaky neurons have")
    } else {
        None
    }
}

/// The time step in seconds.
///
/// # Errors
/// SNN0204 if there is none and one is needed.
pub(crate) fn time_step(ann: &Ann, options: &ConvertOptions) -> Result<Option<f64>, Diagnostics> {
    match (options.dt_s, needs_time_step(ann, options)) {
        (None, Some(what)) => {
            let message = format!("{what} a time constant in seconds, and no time step is given");
            Err(Diagnostic::error(code::DT_REQUIRED, message).help("add `--dt 1ms`").into())
        }
        (dt_s, _) => Ok(dt_s),
    }
}

/// Builds the network of `ann` with the given scale of each channel of each spiking layer. `ranges` are the smallest and largest
/// value of each input, which the coding maps to 0 and 1. A filter that is not chosen yet counts as none.
///
/// # Errors
/// SNN0301 for an operator that `prepare` should not have left, SNN0204 for filters and leaky neurons without time step.
pub fn build(
    ann: &Ann,
    scales: &BTreeMap<AnnNodeId, Vec<f64>>,
    corrections: &Corrections,
    ranges: &[(f64, f64)],
    options: &ConvertOptions,
) -> Result<Built, Diagnostics> {
    time_step(ann, options)?;
    let mut emitter = Emitter::new(ann, options.dt_s);
    let spiking = spiking_layers(ann, options);
    let mut layers = Vec::new();
    let mut ranges = ranges.iter().copied();
    let mut problems = Diagnostics::new();
    for (id, node) in ann.nodes().iter_with_ids() {
        let done = match &node.op {
            AnnOp::Input => {
                emitter.input(id, ranges.next().unwrap_or((0.0, 1.0)));
                Ok(())
            }
            AnnOp::Activation(_) => {
                emitter.pass(id, node.inputs[0]);
                Ok(())
            }
            _ => emitter.linear(id),
        };
        if let Err(message) = done {
            problems.push(
                Diagnostic::error(code::UNSUPPORTED_LAYER, format!("`{}`: {message}", node.name)).at(ann.item(id)),
            );
            emitter.placeholder(id);
            continue;
        }
        if spiking.contains(&id) {
            let correction = corrections.get(&id).cloned().unwrap_or_default();
            layers.push(neurons::spiking_layer(&mut emitter, id, &scales[&id], &correction, options));
        }
    }
    for (name, id) in &ann.outputs {
        let is_spiking = layers.iter().find(|layer| layer.node == *id);
        let source = match (options.readout, is_spiking) {
            (ReadoutChoice::Spikes, Some(layer)) => layer.population,
            (ReadoutChoice::Filtered { tau_s }, _) => {
                emitter.silent_neurons(*id, &format!("{name}.filtered"), Some(tau_s))
            }
            _ => emitter.silent_neurons(*id, &format!("{name}.membrane"), None),
        };
        emitter.output(name, source, *id);
    }
    let (network, _) = problems.into_result(emitter.finish())?;
    let mut built = Built { network, layers, schedule: None };
    if options.schedule == Schedule::Layers {
        schedule::layer_by_layer(&mut built, options.steps)?;
    }
    Ok(built)
}

/// Appends a node of this name, or of this name with a number.
fn push(network: &mut Network, name: &str, node: Node, sources: &[NodeId]) -> NodeId {
    let mut unique = name.to_owned();
    for number in 2.. {
        if network.find(&unique).is_none() {
            break;
        }
        unique = format!("{name}#{number}");
    }
    let id = network.nodes.push(NetworkNode { name: unique, node });
    network.edges.extend(sources.iter().map(|source| Edge { source: *source, target: id }));
    id
}

/// The time constant that forward Euler turns into the decay `exp(−dt/tau)` of the exact filter.
fn discrete_tau_s(tau_s: f64, dt_s: f64) -> f64 {
    dt_s / -(-dt_s / tau_s).exp_m1()
}

/// One value per element from one per channel.
fn spread(by_channel: &[f64], plane: usize) -> Vec<f64> {
    by_channel.iter().flat_map(|value| std::iter::repeat_n(*value, plane)).collect()
}
