//! Conversions to neurons other than those that integrate and fire.

mod common;

use common::Noise;
use snncc_convert::build::MemoryKind;
use snncc_convert::options::{Balance, Correction, Filter, FiringRate, MaxPooling, NeuronKind, Swap};
use snncc_convert::{CalibrationData, ConvertOptions, Converted, NoProgress, convert};
use snncc_data::{Coding, SampleValues, Samples, Stimulus};
use snncc_ids::AnnNodeId;
use snncc_ir::ann::{Activation, Ann, AnnConvolution, AnnLinear, AnnOp, AnnPool, AnnTensor, PoolFunction, SoftLif};
use snncc_ir::network::{Node, Reset, Spiking};
use snncc_reference::ann::AnnExecutor;
use snncc_reference::float::{FloatInput, FloatNetwork, FloatOptions, Record};

const SAMPLES: usize = 8;
const INPUTS: usize = 6;

fn linear(noise: &mut Noise, outputs: usize, inputs: usize, size: f32, bias: f32) -> AnnOp {
    let size = size / (inputs as f32).sqrt();
    let weight = (0..outputs * inputs).map(|_| noise.next() * size).collect::<Vec<f32>>();
    let bias = (0..outputs).map(|_| bias + noise.next() * 0.1).collect::<Vec<f32>>();
    let bias = Some(AnnTensor::vector(bias));
    AnnOp::Linear(AnnLinear { weight: AnnTensor::new(vec![outputs, inputs], weight), bias })
}

/// Two hidden layers with an activation.
fn perceptron(activation: &Activation, size: f32, bias: f32) -> Ann {
    let mut noise = Noise(5);
    let mut ann = Ann::new();
    let mut at: AnnNodeId = ann.push_input("x", vec![INPUTS]);
    for (layer, (outputs, inputs)) in [(16, INPUTS), (12, 16)].into_iter().enumerate() {
        at = ann.push(format!("fc{layer}"), linear(&mut noise, outputs, inputs, size, bias), vec![at], None).unwrap();
        at = ann.push(format!("act{layer}"), AnnOp::Activation(activation.clone()), vec![at], None).unwrap();
    }
    at = ann.push("last", linear(&mut noise, 4, 12, 2.0, 0.0), vec![at], None).unwrap();
    ann.outputs.push(("y".into(), at));
    ann
}

fn samples() -> Samples {
    let mut noise = Noise(7);
    let values = (0..SAMPLES * INPUTS).map(|_| (noise.next() * 127.0 + 128.0) as u8).collect();
    Samples::new(SAMPLES, vec![INPUTS], None, SampleValues::U8 { values, full_scale: 255 }).unwrap()
}

fn converted(ann: &Ann, options: &ConvertOptions) -> Converted {
    let samples = samples();
    let data = CalibrationData::new(ann, &[&samples], SAMPLES, Coding::ConstantCurrent, 1).unwrap();
    convert(ann, &data, options, &NoProgress).unwrap()
}

fn exact(neuron: NeuronKind) -> ConvertOptions {
    let balance = Balance::Maximum;
    ConvertOptions { neuron, balance, correction: Correction::None, dt_s: Some(1e-3), ..ConvertOptions::default() }
}

/// Root of the mean square difference between the trained network's outputs and those of the spiking one after so many steps,
/// relative to the root of the mean square of the former.
fn difference(ann: &Ann, converted: &Converted, steps: u32) -> f64 {
    let samples = samples();
    let SampleValues::U8 { values, .. } = &samples.values else { unreachable!() };
    let values: Vec<f32> = values.iter().map(|value| f32::from(*value) / 255.0).collect();
    let wanted = AnnExecutor::new(ann).unwrap().outputs(&[&values], SAMPLES);
    let network = FloatNetwork::new(&converted.network, &FloatOptions::default()).unwrap();
    let (mut squares, mut of_wanted) = (0.0, 0.0);
    for sample in 0..SAMPLES {
        let analog = values[sample * INPUTS..][..INPUTS].iter().map(|value| f64::from(*value)).collect();
        let stimulus = Stimulus::default();
        let input = FloatInput { spikes: &stimulus, analog: vec![("x".into(), analog)] };
        let trace = network.run(&input, steps, &Record::default()).unwrap();
        for (wanted, membrane) in wanted[0][sample * 4..].iter().zip(&trace.outputs[0].last) {
            squares += (f64::from(*wanted) - membrane / f64::from(steps)).powi(2);
            of_wanted += f64::from(*wanted).powi(2);
        }
    }
    (squares / of_wanted).sqrt()
}

#[test]
fn leaky_neurons_stand_for_rectifiers() {
    let ann = perceptron(&Activation::Relu, 3.0, 0.1);
    let lif = NeuronKind::Lif { tau_rc_s: 0.02, tau_ref_s: 0.001 };
    let options = ConvertOptions { steps: 256, ..exact(lif) };
    let plain = converted(&ann, &options);
    for layer in &plain.layers {
        let Node::Neuron(neuron) = &plain.network.nodes[layer.population].node else { panic!() };
        assert_eq!(
            (neuron.reset, neuron.refractory_steps.get(0), layer.memory),
            (Reset::ToValue, 2, MemoryKind::Leaks)
        );
    }
    let corrected = converted(&ann, &ConvertOptions { correction: Correction::Both, ..options });
    let shift = |at: usize| corrected.report.iter().map(|layer| layer.shift[at]).sum::<f64>();
    assert!(shift(1) < 0.6 * shift(0), "{} before, {} after", shift(0), shift(1));
    for result in [plain, corrected] {
        let difference = difference(&ann, &result, 256);
        assert!(difference < 0.15, "{difference}");
    }
}

/// The rate curve that the network was trained with is that of the neurons where their currents are smooth: no correction is
/// needed.
#[test]
fn trained_rates_become_the_neurons_that_have_them() {
    let soft = SoftLif { tau_rc_s: 0.02, tau_ref_s: 0.002, gamma: 0.02, amplitude: 0.01 };
    let ann = perceptron(&Activation::SoftLif(soft), 3.0, 1.0);
    let smooth =
        ConvertOptions { filter: Some(Filter::Lowpass { tau_s: 0.05 }), ..exact(NeuronKind::IntegrateAndFire) };
    let result = converted(&ann, &smooth);
    assert!(
        result
            .layers
            .iter()
            .all(|layer| layer.memory == MemoryKind::Leaks
                && layer.scales.iter().all(|scale| (scale - 10.0).abs() < 1e-6))
    );
    let few = difference(&ann, &result, 64);
    let many = difference(&ann, &result, 8192);
    assert!(many < 0.06 && many < few, "{many} after 8192 steps, {few} after 64");
    // Swapping an activation for it is another way to the same network.
    let relu = perceptron(&Activation::Relu, 3.0, 1.0);
    let swap_activations = vec![Swap { from: "relu".into(), to: Activation::SoftLif(soft) }];
    let swapped = converted(&relu, &ConvertOptions { swap_activations, ..smooth });
    // As texts: what a model does not have is not a number.
    assert_eq!(format!("{:?}", swapped.network), format!("{:?}", result.network));
}

#[test]
fn leaky_neurons_need_a_time_step() {
    let ann = perceptron(&Activation::Relu, 3.0, 0.1);
    let samples = samples();
    let data = CalibrationData::new(&ann, &[&samples], SAMPLES, Coding::RateRounded, 1).unwrap();
    let options = ConvertOptions { dt_s: None, ..exact(NeuronKind::Lif { tau_rc_s: 0.02, tau_ref_s: 0.0 }) };
    let problems = convert(&ann, &data, &options, &NoProgress).unwrap_err();
    assert!(problems.to_string().contains("SNN0204"), "{problems}");
}

/// Neurons with the activation as their rate need neither pairs nor segments, and agree with the network in the limit.
#[test]
fn rates_of_any_activation_converge() {
    for activation in [Activation::Relu, Activation::Sigmoid, Activation::LeakyRelu { slope: 0.25 }, Activation::Tanh] {
        let ann = perceptron(&activation, 3.0, 0.1);
        let filter = Some(Filter::Lowpass { tau_s: 0.02 });
        let regular = ConvertOptions {
            signed_spikes: true,
            filter,
            firing_rate: FiringRate::Scalar(4.0),
            ..exact(NeuronKind::Rate(Spiking::Regular))
        };
        let result = converted(&ann, &regular);
        assert_eq!(result.layers.len(), 2);
        for layer in &result.layers {
            let Node::RateNeuron(neuron) = &result.network.nodes[layer.population].node else { panic!() };
            assert_eq!(neuron.function, activation);
        }
        let [few, many] = [64, 2048].map(|steps| difference(&ann, &result, steps));
        assert!(many < 0.03 && many < few, "{activation:?}: {many} after 2048 steps, {few} after 64");
        let poisson = ConvertOptions { neuron: NeuronKind::Rate(Spiking::Poisson), ..regular.clone() };
        let random = difference(&ann, &converted(&ann, &poisson), 2048);
        assert!(random < 0.1 && random > many, "{activation:?}: {random}");
        let seeded = ConvertOptions { seed: 2, ..poisson };
        assert_ne!(difference(&ann, &converted(&ann, &seeded), 2048), random);
    }
    // Without negative spikes there are pairs.
    let ann = perceptron(&Activation::LeakyRelu { slope: 0.25 }, 3.0, 0.1);
    let pairs = converted(&ann, &exact(NeuronKind::Rate(Spiking::Stochastic)));
    assert_eq!(
        pairs.layers.iter().map(|layer| &layer.name[..]).collect::<Vec<_>>(),
        ["act0.on", "act0.off", "act1.on", "act1.off"]
    );
}

/// A gate lets only one element of a window pass, the one that the trained network takes.
#[test]
fn gates_pool_maxima() {
    let mut noise = Noise(11);
    for (shape, kernel, padding) in [(vec![1, 1, 6], vec![1, 2], 0), (vec![1, 6], vec![3], 1)] {
        let mut ann = Ann::new();
        let dimensions = shape.len() - 1;
        let x = ann.push_input("x", vec![INPUTS]);
        let x = ann.push("shape", AnnOp::Reshape, vec![x], Some(shape.clone())).unwrap();
        let weight = AnnTensor::new([&[4, 1], &vec![1; dimensions][..]].concat(), vec![1.0, -1.0, 2.0, 0.5]);
        let convolution = AnnConvolution {
            weight,
            bias: Some(AnnTensor::vector(vec![0.1, 0.9, -0.2, 0.0])),
            stride: vec![1; dimensions],
            padding: vec![(0, 0); dimensions],
            dilation: vec![1; dimensions],
            groups: 1,
        };
        let y = ann.push("convolution", AnnOp::Convolution(convolution), vec![x], None).unwrap();
        let y = ann.push("act", AnnOp::Activation(Activation::Relu), vec![y], None).unwrap();
        let mut around = vec![(0, 0); dimensions];
        around[dimensions - 1] = (padding, padding);
        let pool = AnnPool {
            function: PoolFunction::Maximum,
            stride: kernel.clone(),
            kernel,
            padding: around,
            dilation: vec![1; dimensions],
            counted_after: None,
        };
        let y = ann.push("pool", AnnOp::Pool(pool), vec![y], None).unwrap();
        let elements = ann.nodes()[y].shape.iter().product();
        let y = ann.push("flat", AnnOp::Reshape, vec![y], Some(vec![elements])).unwrap();
        let y = ann.push("last", linear(&mut noise, 4, elements, 2.0, 0.0), vec![y], None).unwrap();
        ann.outputs.push(("y".into(), y));
        let options = ConvertOptions { max_pool: MaxPooling::Gated, ..exact(NeuronKind::IntegrateAndFire) };
        let result = converted(&ann, &options);
        assert_eq!(result.layers.len(), 1);
        let [few, many] = [32, 1024].map(|steps| difference(&ann, &result, steps));
        assert!(many < 0.01 && many < few, "{shape:?}: {many} after 1024 steps, {few} after 32");
    }
}
