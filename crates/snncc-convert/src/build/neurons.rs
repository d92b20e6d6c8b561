//! The neurons of a layer: what drives them, when they fire, and what a spike of theirs stands for.

use super::emit::Emitter;
use super::lif::{self, LifCurve};
use super::{BuiltLayer, LayerCorrection, MemoryKind, discrete_tau_s, spread};
use crate::options::{BalanceForm, ConvertOptions, Filter, NeuronKind};
use snncc_ids::AnnNodeId;
use snncc_ir::Param;
use snncc_ir::ann::{Activation, AnnOp};
use snncc_ir::network::{Neuron, NeuronModel, Node, RateNeuron, Reset, Spiking};

/// How values become membranes, and spikes values again; by channel. Membranes are counted in thresholds here.
struct Code {
    /// Membrane input of a step for a value of 1.
    per_value: Vec<f64>,
    /// Membrane input of a step that comes on top.
    bias: f64,
    /// Value that a spike stands for.
    spike: Vec<f64>,
    /// Growth of the layer's input for which its activation grows by 1.
    input_per_activation: f64,
    /// Of leaky neurons.
    lif: Option<LifCurve>,
}

impl Code {
    /// `scales` are the activations that a spike per step (or, of leaky neurons, their largest rate) should stand for.
    fn new(name: &str, op: &AnnOp, scales: &[f64], options: &ConvertOptions) -> Self {
        let rate = options.firing_rate.of(name);
        let curve = |tau_rc_s: f64, tau_ref_s: f64| {
            let dt_s = options.dt_s.expect("bug in snncc: checked by the caller");
            LifCurve::new(tau_rc_s, tau_ref_s, dt_s, options.comparison)
        };
        match (op, options.neuron) {
            (AnnOp::Activation(Activation::SoftLif(soft)), _) => {
                let dt_s = options.dt_s.expect("bug in snncc: checked by the caller");
                let curve = curve(soft.tau_rc_s.into(), soft.tau_ref_s.into());
                let largest = scales.iter().copied().fold(0.0, f64::max);
                let (drive, input_per_activation) = lif::like_soft(&curve, soft, largest, dt_s);
                Self {
                    per_value: vec![drive.gain; scales.len()],
                    bias: drive.bias,
                    spike: vec![f64::from(soft.amplitude) / dt_s; scales.len()],
                    input_per_activation,
                    lif: Some(curve),
                }
            }
            (_, NeuronKind::Lif { tau_rc_s, tau_ref_s }) => {
                let curve = curve(tau_rc_s, tau_ref_s);
                let (drive, rate) = lif::like_rectifier(&curve, rate, options.steps);
                Self {
                    per_value: scales.iter().map(|scale| drive.gain / scale).collect(),
                    bias: drive.bias,
                    spike: scales.iter().map(|scale| scale / rate).collect(),
                    input_per_activation: 1.0,
                    lif: Some(curve),
                }
            }
            (_, NeuronKind::IntegrateAndFire | NeuronKind::Rate(_)) => {
                let spike: Vec<f64> = scales.iter().map(|scale| scale / rate.unwrap_or(1.0)).collect();
                let per_value = spike.iter().map(|spike| 1.0 / spike).collect();
                Self { per_value, bias: 0.0, spike, input_per_activation: 1.0, lif: None }
            }
        }
    }

    /// What is added to the layer's input, by channel.
    fn input_bias(&self, correction: &LayerCorrection) -> Vec<f64> {
        let corrected =
            |channel: usize| correction.bias.get(channel).map_or(0.0, |bias| bias * self.input_per_activation);
        let own = |channel: usize| self.bias / self.per_value[channel];
        (0..self.spike.len()).map(|channel| corrected(channel) + own(channel)).collect()
    }
}

/// The neurons of a layer.
pub(super) fn spiking_layer(
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
    let code = Code::new(&node.name, &node.op, scales, options);
    if let NeuronKind::Rate(spiking) = options.neuron {
        return rate_layer(emitter, id, scales, correction, options, spiking);
    }
    let bias = code.input_bias(correction);
    if bias.iter().any(|bias| *bias != 0.0) {
        emitter.add_bias(id, &bias);
    }
    // Membranes of weights in which scales are have a threshold of 1, others one that is the scale.
    let unit: Vec<f64> = match options.form {
        BalanceForm::Weights => code.per_value.clone(),
        BalanceForm::Thresholds => vec![1.0; scales.len()],
    };
    let mut sources = emitter.weighed(id, &spread(&unit, plane));
    let per_neuron = |by_channel: Vec<f64>| match by_channel.iter().all(|value| *value == by_channel[0]) {
        true => Param::Uniform(by_channel[0]),
        false => Param::PerNeuron(spread(&by_channel, plane)),
    };
    let threshold_of = |channel: usize| unit[channel] / code.per_value[channel];
    let factor = |channel: usize| correction.threshold.get(channel).copied().unwrap_or(1.0);
    let moved = |channel: usize| correction.potential.get(channel).map_or(0.0, |value| value / code.spike[channel]);
    let channels = 0..scales.len();
    let v_threshold = per_neuron(channels.clone().map(|channel| threshold_of(channel) * factor(channel)).collect());
    let initial = |channel: usize| {
        let part = options.initial_potential + moved(channel);
        // What does not add up would fire at once, input or not.
        threshold_of(channel) * if code.lif.is_some() { part.clamp(0.0, 1.0) } else { part }
    };
    let v_initial = per_neuron(channels.map(initial).collect());
    let mut neuron = Neuron::new(if code.lif.is_some() { NeuronModel::Lif } else { NeuronModel::If });
    match options.filter {
        Some(Filter::Lowpass { tau_s }) => {
            let dt_s = options.dt_s.expect("bug in snncc: checked by the caller");
            neuron = Neuron::new(NeuronModel::CubaLif);
            neuron.tau_syn_s = Param::Uniform(discrete_tau_s(tau_s, dt_s));
            // Integrate and fire behind a filter: a membrane whose time constant is beyond every run, with a gain to match.
            neuron.tau_mem_s = Param::Uniform(dt_s * MEMBRANE_STEPS);
            neuron.r = Param::Uniform(MEMBRANE_STEPS);
        }
        None | Some(Filter::Automatic) => {}
        Some(filter) => sources = vec![emitter.filter_chain(&name, &sources, &filter.taus_s(), &node.shape)],
    }
    if let Some(curve) = &code.lif {
        neuron.tau_mem_s = Param::Uniform(curve.tau_s());
        neuron.r = Param::Uniform(1.0);
        neuron.refractory_steps = Param::Uniform(curve.refractory_steps());
    }
    neuron.shape = Some(node.shape.clone());
    neuron.v_threshold = v_threshold;
    neuron.v_initial = v_initial;
    neuron.comparison = options.comparison;
    neuron.reset = if code.lif.is_some() { Reset::ToValue } else { options.reset };
    let population = emitter.neurons(id, &name, Node::Neuron(neuron), &sources, &spread(&code.spike, plane));
    let memory = if code.lif.is_some() { MemoryKind::Leaks } else { MemoryKind::Integrates };
    BuiltLayer { node: id, population, name: emitter.name_of(population), plane, scales: code.spike, memory }
}

/// A layer of neurons that follow a rate: they take values as they are, and have the activation themselves.
fn rate_layer(
    emitter: &mut Emitter<'_>,
    id: AnnNodeId,
    scales: &[f64],
    correction: &LayerCorrection,
    options: &ConvertOptions,
    spiking: Spiking,
) -> BuiltLayer {
    let ann = emitter.ann();
    let node = &ann.nodes()[id];
    let elements: usize = node.shape.iter().product();
    let plane = elements / scales.len();
    let name = emitter.population_name(id);
    let function = match &node.op {
        AnnOp::Activation(activation) => activation.clone(),
        // An output of which the spikes are read.
        _ if options.signed_spikes => Activation::LeakyRelu { slope: 1.0 },
        _ => Activation::Relu,
    };
    let rate = options.firing_rate.of(&node.name).unwrap_or(1.0);
    let spike: Vec<f64> = scales.iter().map(|scale| scale / rate).collect();
    if correction.bias.iter().any(|bias| *bias != 0.0) {
        emitter.add_bias(id, &correction.bias);
    }
    let mut sources = emitter.weighed(id, &vec![1.0; elements]);
    if let Some(filter) = options.filter.filter(|filter| *filter != Filter::Automatic) {
        sources = vec![emitter.filter_chain(&name, &sources, &filter.taus_s(), &node.shape)];
    }
    let per_neuron = |by_channel: Vec<f64>| Param::from_values(spread(&by_channel, plane));
    let held = |(channel, spike): (usize, &f64)| {
        options.initial_potential + correction.potential.get(channel).map_or(0.0, |value| value / spike)
    };
    let neuron = RateNeuron {
        shape: Some(node.shape.clone()),
        gain: per_neuron(spike.iter().map(|spike| 1.0 / spike).collect()),
        initial: match spiking {
            Spiking::Regular => per_neuron(spike.iter().enumerate().map(held).collect()),
            _ => Param::Uniform(0.0),
        },
        spiking,
        seed: if spiking == Spiking::Regular { 0 } else { options.seed },
        ..RateNeuron::new(function)
    };
    let population = emitter.neurons(id, &name, Node::RateNeuron(neuron), &sources, &spread(&spike, plane));
    let memory = if spiking == Spiking::Regular { MemoryKind::Integrates } else { MemoryKind::None };
    BuiltLayer { node: id, population, name: emitter.name_of(population), plane, scales: spike, memory }
}

/// Steps of a membrane time constant that stands for none: a power of two, so that `r · dt / tau` is exactly 1.
const MEMBRANE_STEPS: f64 = (1_u64 << 40) as f64;
