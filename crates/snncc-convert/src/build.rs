//! The spiking network of a prepared one and its scales.
//!
//! Every rectifier becomes integrate-and-fire neurons whose spike stands for the scale of its channel. What only moves or
//! weighs elements (Reshape, Transpose, Slice, Concat, Sum, …) is not written out where it stands: a value is kept as a sum of
//! terms, each a node with an index map and factors, which go into the weights around them where that is possible.
//!
//! **Invariant:** in the limit of many steps and with scales above every activation, the mean of each population's spikes
//! times its scale is the rectifier's value.

mod emit;
mod value;

use crate::options::{BalanceForm, ConvertOptions, Filter, ReadoutChoice};
use emit::Emitter;
use snncc_ids::{AnnNodeId, Diagnostic, Diagnostics, NodeId, code};
use snncc_ir::Network;
use snncc_ir::Param;
use snncc_ir::ann::{Ann, AnnOp};
use snncc_ir::network::{Neuron, NeuronModel, Node};
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
}

/// A spiking network and where its layers come from.
#[derive(Clone, Debug)]
pub struct Built {
    /// The network.
    pub network: Network,
    /// Spiking layers, inputs of a layer before it.
    pub layers: Vec<BuiltLayer>,
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

/// Builds the network of `ann` with the given scale of each channel of each spiking layer. `ranges` are the smallest and largest
/// value of each input, which the coding maps to 0 and 1.
///
/// # Errors
/// SNN0301 for an operator that `prepare` should not have left, SNN0204 for filters without time step.
pub fn build(
    ann: &Ann,
    scales: &BTreeMap<AnnNodeId, Vec<f64>>,
    corrections: &Corrections,
    ranges: &[(f64, f64)],
    options: &ConvertOptions,
) -> Result<Built, Diagnostics> {
    let filter = match options.readout {
        ReadoutChoice::Filtered { .. } => Some("filtered readout"),
        _ => options.filter.map(|_| "synaptic filter"),
    };
    if let (Some(filter), None) = (filter, options.dt_s) {
        let message = format!("a {filter} has a time constant in seconds, and no time step is given");
        return Err(Diagnostic::error(code::DT_REQUIRED, message).help("add `--dt 1ms`").into());
    }
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
            layers.push(spiking_layer(&mut emitter, id, &scales[&id], &correction, options));
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
    Ok(Built { network, layers })
}

/// The neurons of a layer.
fn spiking_layer(
    emitter: &mut Emitter<'_>,
    id: AnnNodeId,
    scales: &[f64],
    correction: &LayerCorrection,
    options: &ConvertOptions,
) -> BuiltLayer {
    let ann = emitter.ann();
    let node = &ann.nodes()[id];
    let elements: usize = node.shape.iter().product();
    let plane = elements / scales.len();
    let name = emitter.population_name(id);
    let rate = options.firing_rate.of(&node.name);
    // The activation that a spike stands for.
    let scales: Vec<f64> = scales.iter().map(|scale| scale / rate).collect();
    if !correction.bias.is_empty() {
        emitter.add_bias(id, &correction.bias);
    }
    let unit: Vec<f64> = match options.form {
        BalanceForm::Weights => scales.iter().map(|scale| 1.0 / scale).collect(),
        BalanceForm::Thresholds => vec![1.0; scales.len()],
    };
    let mut sources = emitter.weighed(id, &spread(&unit, plane));
    let per_neuron = |by_channel: Vec<f64>| match by_channel.iter().all(|value| *value == by_channel[0]) {
        true => Param::Uniform(by_channel[0]),
        false => Param::PerNeuron(spread(&by_channel, plane)),
    };
    let threshold_of = |channel: usize| scales[channel] * unit[channel];
    let factor = |channel: usize| correction.threshold.get(channel).copied().unwrap_or(1.0);
    let moved = |channel: usize| correction.potential.get(channel).map_or(0.0, |value| value * unit[channel]);
    let channels = 0..scales.len();
    let v_threshold = per_neuron(channels.clone().map(|channel| threshold_of(channel) * factor(channel)).collect());
    let initial = |channel: usize| options.initial_potential * threshold_of(channel) + moved(channel);
    let v_initial = per_neuron(channels.map(initial).collect());
    let mut neuron = Neuron::new(NeuronModel::If);
    match options.filter {
        Some(Filter::Lowpass { tau_s }) => {
            // Integrate and fire behind a filter: a membrane whose time constant is beyond every run, with a gain to match.
            let dt_s = options.dt_s.expect("bug in snncc: checked above");
            neuron = Neuron::new(NeuronModel::CubaLif);
            neuron.tau_syn_s = Param::Uniform(discrete_tau_s(tau_s, dt_s));
            neuron.tau_mem_s = Param::Uniform(dt_s * MEMBRANE_STEPS);
            neuron.r = Param::Uniform(MEMBRANE_STEPS);
        }
        Some(Filter::Alpha { tau_s }) => sources = vec![emitter.filter_chain(&name, &sources, [tau_s; 2], &node.shape)],
        Some(Filter::DoubleExponential { tau_1_s, tau_2_s }) => {
            sources = vec![emitter.filter_chain(&name, &sources, [tau_1_s, tau_2_s], &node.shape)];
        }
        None => {}
    }
    neuron.shape = Some(node.shape.clone());
    neuron.v_threshold = v_threshold;
    neuron.v_initial = v_initial;
    neuron.comparison = options.comparison;
    neuron.reset = options.reset;
    let population = emitter.neurons(id, &name, Node::Neuron(neuron), &sources, &spread(&scales, plane));
    BuiltLayer { node: id, population, name: emitter.name_of(population), plane, scales }
}

/// Steps of a membrane time constant that stands for none: a power of two, so that `r · dt / tau` is exactly 1.
const MEMBRANE_STEPS: f64 = (1_u64 << 40) as f64;

/// The time constant that forward Euler turns into the decay `exp(−dt/tau)` of the exact filter.
fn discrete_tau_s(tau_s: f64, dt_s: f64) -> f64 {
    dt_s / -(-dt_s / tau_s).exp_m1()
}

/// One value per element from one per channel.
fn spread(by_channel: &[f64], plane: usize) -> Vec<f64> {
    by_channel.iter().flat_map(|value| std::iter::repeat_n(*value, plane)).collect()
}
