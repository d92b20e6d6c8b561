//! Whole conversions of small networks: the spiking network comes to the trained one's values as steps go on.

mod common;

use common::Noise;
use snncc_convert::options::{Balance, BalanceForm, Correction, MaxPooling, ReadoutChoice};
use snncc_convert::{CalibrationData, ConvertOptions, Converted, NoProgress, WeightOutcome, convert};
use snncc_data::{Coding, DEFAULT_DELTA, Encoded, InputCoding, SampleValues, Samples, Stimulus, encode_with};
use snncc_ids::AnnNodeId;
use snncc_ir::Standing;
use snncc_ir::ann::{
    Activation, Ann, AnnBatchNorm, AnnConvolution, AnnConvolutionTranspose, AnnLinear, AnnOp, AnnPool, AnnTensor,
    PoolFunction,
};
use snncc_ir::network::{Node, Reset};
use snncc_reference::ann::AnnExecutor;
use snncc_reference::float::{FloatInput, FloatNetwork, FloatOptions, Record};

struct Builder {
    ann: Ann,
    noise: Noise,
    at: AnnNodeId,
}

impl Builder {
    fn new(shape: &[usize]) -> Self {
        let mut ann = Ann::new();
        let at = ann.push_input("x", shape.to_vec());
        Self { ann, noise: Noise(1), at }
    }

    fn push(&mut self, op: AnnOp, inputs: Vec<AnnNodeId>, shape: Option<Vec<usize>>) -> AnnNodeId {
        self.at = self.ann.push("node", op, inputs, shape).unwrap();
        self.at
    }

    fn then(&mut self, op: AnnOp) -> AnnNodeId {
        self.push(op, vec![self.at], None)
    }

    fn relu(&mut self) -> AnnNodeId {
        self.then(AnnOp::Activation(Activation::Relu))
    }

    fn convolution(&mut self, shape: &[usize], stride: usize, padding: (usize, usize), groups: usize) -> AnnNodeId {
        let fan_in: usize = shape[1..].iter().product();
        let dimensions = shape.len() - 2;
        let op = AnnOp::Convolution(AnnConvolution {
            weight: self.noise.tensor(shape, 2.0 / (fan_in as f32).sqrt()),
            bias: Some(self.noise.tensor(&shape[..1], 0.2)),
            stride: vec![stride; dimensions],
            padding: vec![padding; dimensions],
            dilation: vec![1; dimensions],
            groups,
        });
        self.then(op)
    }

    fn classifier(mut self, outputs: usize) -> Ann {
        let elements: usize = self.ann.nodes()[self.at].shape.iter().product();
        if self.ann.nodes()[self.at].shape.len() > 1 {
            self.push(AnnOp::Reshape, vec![self.at], Some(vec![elements]));
        }
        let linear = AnnOp::Linear(AnnLinear {
            weight: self.noise.tensor(&[outputs, elements], 1.0 / (elements as f32).sqrt()),
            bias: Some(self.noise.tensor(&[outputs], 0.1)),
        });
        self.then(linear);
        self.ann.outputs.push(("y".into(), self.at));
        self.ann
    }
}

fn samples(elements: usize, count: usize) -> Samples {
    let mut noise = Noise(7);
    let values = (0..count * elements).map(|_| (noise.next() * 127.0 + 128.0) as u8).collect();
    Samples::new(count, vec![elements], None, SampleValues::U8 { values, full_scale: 255 }).unwrap()
}

/// Some of them.
fn part(samples: &Samples, first: usize, count: usize) -> Samples {
    let SampleValues::U8 { values, full_scale } = &samples.values else { unreachable!() };
    let (elements, full_scale) = (samples.elements(), *full_scale);
    let values = values[first * elements..][..count * elements].to_vec();
    Samples::new(count, vec![elements], None, SampleValues::U8 { values, full_scale }).unwrap()
}

/// Root of the mean square of the difference between the trained network's outputs and the final membranes over the steps.
fn output_error(ann: &Ann, converted: &Converted, samples: &Samples, steps: u32) -> f64 {
    let executor = AnnExecutor::new(ann).unwrap();
    let SampleValues::U8 { values, .. } = &samples.values else { unreachable!() };
    let values: Vec<f32> = values.iter().map(|value| f32::from(*value) / 255.0).collect();
    let wanted = executor.outputs(&[&values], samples.count).remove(0);
    let network = FloatNetwork::new(&converted.network, &FloatOptions::default()).unwrap();
    let of_sample = |(sample, wanted): (usize, &[f32])| {
        let input = InputCoding { coding: Coding::RateRounded, range: None, delta: DEFAULT_DELTA };
        let Encoded::Spikes(spikes) = encode_with(samples, sample, &input, "x", steps, 1).unwrap() else {
            unreachable!()
        };
        let stimulus = Stimulus { ports: vec![spikes], ..Stimulus::default() };
        let trace = network.run(&FloatInput::from(&stimulus), steps, &Record::default()).unwrap();
        let found = trace.outputs[0].last.iter().map(|membrane| membrane / f64::from(steps));
        found.zip(wanted).map(|(found, wanted)| (found - f64::from(*wanted)).powi(2)).sum::<f64>()
    };
    let squares: f64 = wanted.chunks(wanted.len() / samples.count).enumerate().map(of_sample).sum();
    (squares / wanted.len() as f64).sqrt()
}

fn exact() -> ConvertOptions {
    ConvertOptions { balance: Balance::Maximum, correction: Correction::None, ..ConvertOptions::default() }
}

fn converted(ann: &Ann, options: &ConvertOptions) -> (Converted, Samples) {
    let elements: usize = ann.nodes()[ann.inputs().next().unwrap()].shape.iter().product();
    let samples = samples(elements, 6);
    let data = CalibrationData::new(ann, &[&samples], 6, Coding::ConstantCurrent, 1).unwrap();
    (convert(ann, &data, options, &NoProgress).unwrap(), samples)
}

/// Largest difference between the trained network's outputs and the final membranes over the steps, relative to the largest
/// output, over the samples.
fn difference(ann: &Ann, converted: &Converted, samples: &Samples, steps: u32) -> f64 {
    let executor = AnnExecutor::new(ann).unwrap();
    let SampleValues::U8 { values, .. } = &samples.values else { unreachable!() };
    let values: Vec<f32> = values.iter().map(|value| f32::from(*value) / 255.0).collect();
    let wanted = executor.outputs(&[&values], samples.count);
    let network = FloatNetwork::new(&converted.network, &FloatOptions::default()).unwrap();
    let outputs = wanted[0].len() / samples.count;
    let mut worst = 0.0_f64;
    for sample in 0..samples.count {
        let elements = samples.elements();
        let analog = values[sample * elements..(sample + 1) * elements].iter().map(|value| f64::from(*value)).collect();
        let stimulus = Stimulus::default();
        let input = FloatInput { spikes: &stimulus, analog: vec![("x".into(), analog)] };
        let trace = network.run(&input, steps, &Record::default()).unwrap();
        for (wanted, membrane) in wanted[0][sample * outputs..].iter().zip(&trace.outputs[0].last) {
            worst = worst.max((f64::from(*wanted) - membrane / f64::from(steps)).abs());
        }
    }
    worst / wanted[0].iter().fold(0.0_f64, |most, value| most.max(f64::from(value.abs())))
}

fn assert_converges(ann: &Ann, options: &ConvertOptions) {
    let (result, samples) = converted(ann, options);
    let few = difference(ann, &result, &samples, 64);
    let many = difference(ann, &result, &samples, 2048);
    assert!(many < 0.02, "{many} after 2048 steps, {few} after 64");
    assert!(many < few.max(1e-3), "{many} after 2048 steps, {few} after 64");
}

fn residual() -> Ann {
    let mut b = Builder::new(&[2, 6, 6]);
    b.convolution(&[4, 2, 3, 3], 1, (1, 1), 1);
    let x = b.relu();
    b.convolution(&[4, 4, 3, 3], 1, (1, 1), 1);
    b.relu();
    let y = b.convolution(&[4, 2, 3, 3], 1, (1, 1), 2);
    b.push(AnnOp::Sum { coefficients: vec![1.0, 1.0] }, vec![x, y], None);
    b.relu();
    b.then(AnnOp::GlobalPool(PoolFunction::Average));
    b.classifier(3)
}

#[test]
fn residual_and_grouped_layers_converge() {
    assert_converges(&residual(), &exact());
}

#[test]
fn concatenation_keeps_the_scale_of_each_source() {
    let mut b = Builder::new(&[1, 8, 8]);
    let input = b.at;
    b.convolution(&[4, 1, 3, 3], 2, (1, 1), 1);
    let first = b.relu();
    b.at = input;
    b.convolution(&[4, 1, 5, 5], 2, (2, 2), 1);
    b.then(AnnOp::ScaleShift { scale: Some(AnnTensor::fill(vec![1], 9.0)), shift: None });
    let second = b.relu();
    b.push(AnnOp::Concat { axis: 0 }, vec![first, second], None);
    b.convolution(&[8, 2, 3, 3], 1, (1, 1), 4);
    b.relu();
    b.convolution(&[6, 8, 1, 1], 1, (0, 0), 1);
    b.relu();
    assert_converges(&b.classifier(3), &exact());
}

#[test]
fn padding_that_differs_pools_and_normalization_converge() {
    let mut b = Builder::new(&[2, 7, 7]);
    // In front of a padded convolution: its constant differs at the border.
    let shift = b.noise.tensor(&[2, 1, 1], 0.3);
    b.then(AnnOp::ScaleShift { scale: Some(AnnTensor::fill(vec![1], 2.0)), shift: Some(shift) });
    b.convolution(&[4, 2, 3, 3], 2, (0, 1), 1);
    let gamma = b.noise.tensor(&[4], 1.0).map(|value| value + 1.5);
    let norm = AnnBatchNorm {
        gamma,
        beta: b.noise.tensor(&[4], 0.2),
        mean: b.noise.tensor(&[4], 0.2),
        variance: AnnTensor::fill(vec![4], 0.5),
        epsilon: 1e-3,
    };
    b.then(AnnOp::BatchNorm(norm));
    b.relu();
    let pool = AnnPool {
        function: PoolFunction::Average,
        kernel: vec![2, 2],
        stride: vec![1, 1],
        padding: vec![(0, 0); 2],
        dilation: vec![1, 1],
        counted_after: None,
    };
    b.then(AnnOp::Pool(pool));
    b.convolution(&[4, 4, 2, 2], 1, (1, 0), 1);
    b.then(AnnOp::Activation(Activation::LeakyRelu { slope: 0.25 }));
    assert_converges(&b.classifier(3), &exact());
}

#[test]
fn what_moves_elements_converges() {
    let mut b = Builder::new(&[4, 3, 3]);
    b.convolution(&[4, 4, 2, 2], 1, (1, 0), 1);
    b.relu();
    b.push(AnnOp::Reshape, vec![b.at], Some(vec![2, 2, 3, 3]));
    b.then(AnnOp::Transpose { permutation: vec![1, 0, 2, 3] });
    b.push(AnnOp::Reshape, vec![b.at], Some(vec![4, 3, 3]));
    b.then(AnnOp::Resample { indices: vec![vec![0, 1, 2, 3], vec![0, 0, 1, 1, 2, 2], vec![0, 0, 1, 1, 2, 2]] });
    b.convolution(&[3, 4, 3, 3], 2, (1, 0), 1);
    b.relu();
    let transpose = AnnConvolutionTranspose {
        weight: b.noise.tensor(&[3, 2, 2, 2], 0.6),
        bias: Some(b.noise.tensor(&[2], 0.2)),
        stride: vec![2, 2],
        padding: vec![(0, 1), (1, 0)],
        output_padding: vec![0, 0],
        dilation: vec![1, 1],
        groups: 1,
    };
    b.then(AnnOp::ConvolutionTranspose(transpose));
    b.relu();
    let shape = b.ann.nodes()[b.at].shape.clone();
    let op = AnnOp::Slice { starts: vec![0, 1, 0], steps: vec![1, 1, 2] };
    b.push(op, vec![b.at], Some(vec![2, shape[1] - 1, shape[2].div_ceil(2)]));
    assert_converges(&b.classifier(3), &exact());
}

#[test]
fn one_dimensional_layers_and_smooth_activations_converge_within_their_error() {
    let mut b = Builder::new(&[2, 9]);
    b.convolution(&[4, 2, 3], 1, (1, 1), 1);
    b.then(AnnOp::Activation(Activation::Tanh));
    b.convolution(&[4, 4, 3], 2, (1, 1), 1);
    b.relu();
    let ann = b.classifier(3);
    let (result, samples) = converted(&ann, &ConvertOptions { segments: 16, ..exact() });
    assert!(!result.prepared.warnings.is_empty(), "an approximation is told");
    let many = difference(&ann, &result, &samples, 2048);
    assert!(many < 0.03, "{many}");
}

/// The maximum over windows of two by two, side by side.
fn maximum_of_four() -> AnnPool {
    AnnPool {
        function: PoolFunction::Maximum,
        kernel: vec![2, 2],
        stride: vec![2, 2],
        padding: vec![(0, 0); 2],
        dilation: vec![1, 1],
        counted_after: None,
    }
}

#[test]
fn max_pooling_is_exact_as_a_tree() {
    let mut b = Builder::new(&[1, 6, 6]);
    b.convolution(&[4, 1, 3, 3], 1, (1, 1), 1);
    b.relu();
    b.then(AnnOp::Pool(maximum_of_four()));
    let ann = b.classifier(3);
    assert_converges(&ann, &exact());
    let (average, samples) = converted(&ann, &ConvertOptions { max_pool: MaxPooling::Average, ..exact() });
    assert!(difference(&ann, &average, &samples, 2048) > 0.05, "an average is not the maximum");
}

#[test]
fn both_forms_of_balancing_give_the_same_spikes() {
    let ann = residual();
    let counts = |form: BalanceForm| {
        // Powers of two scale without rounding only by chance; the margin is what rounding may do to single spikes.
        let (result, samples) = converted(&ann, &ConvertOptions { form, ..exact() });
        let network = FloatNetwork::new(&result.network, &FloatOptions::default()).unwrap();
        let SampleValues::U8 { values, .. } = &samples.values else { unreachable!() };
        let analog = values[..72].iter().map(|value| f64::from(*value) / 255.0).collect();
        let stimulus = Stimulus::default();
        let input = FloatInput { spikes: &stimulus, analog: vec![("x".into(), analog)] };
        let trace = network.run(&input, 50, &Record::default()).unwrap();
        trace.populations.iter().map(|population| (population.name.clone(), population.spike_count)).collect::<Vec<_>>()
    };
    assert_eq!(counts(BalanceForm::Weights), counts(BalanceForm::Thresholds));
}

/// Σ s = (Σ z − (v[T] − v[0])) / θ: what enters the membrane leaves it as spikes or stays.
#[test]
fn charge_is_conserved() {
    let mut b = Builder::new(&[5]);
    let weight = b.noise.tensor(&[4, 5], 0.8);
    b.then(AnnOp::Linear(AnnLinear { weight: weight.clone(), bias: None }));
    let hidden = b.relu();
    let ann = b.classifier(2);
    let (result, samples) = converted(&ann, &ConvertOptions { form: BalanceForm::Thresholds, ..exact() });
    let layer = result.layers.iter().find(|layer| layer.name == result.network.nodes[layer.population].name).unwrap();
    assert_eq!(result.prepared.origins[layer.node], Some(hidden));
    let SampleValues::U8 { values, .. } = &samples.values else { unreachable!() };
    let x: Vec<f64> = values[..5].iter().map(|value| f64::from(*value) / 255.0).collect();
    let network = FloatNetwork::new(&result.network, &FloatOptions::default()).unwrap();
    let stimulus = Stimulus::default();
    let input = FloatInput { spikes: &stimulus, analog: vec![("x".into(), x.clone())] };
    let record = Record { states_of: vec![layer.name.clone()], ..Record::default() };
    let steps = 40;
    let trace = network.observe(&input, steps, &record).unwrap();
    let population = trace.population(&layer.name).unwrap();
    let spikes = &population.statistics.as_ref().unwrap().activity;
    let v = &population.states.as_ref().unwrap().v;
    for neuron in 0..4 {
        let z: f64 = (0..5).map(|input| f64::from(weight.get(neuron * 5 + input)) * x[input]).sum();
        let theta = layer.scales[neuron];
        let end = v[(steps as usize - 1) * 4 + neuron];
        let expected = (z * f64::from(steps) - (end - theta / 2.0)) / theta;
        assert!((spikes[neuron] - expected).abs() < 1e-6, "neuron {neuron}: {} spikes, {expected}", spikes[neuron]);
    }
}

#[test]
fn correction_brings_the_means_together_and_is_deterministic() {
    let ann = residual();
    let samples = samples(72, 40);
    let data = CalibrationData::new(&ann, &[&samples], 40, Coding::RateRounded, 1).unwrap();
    for (reset, correction) in [
        (Reset::BySubtraction, Correction::Bias),
        (Reset::BySubtraction, Correction::Potential),
        (Reset::BySubtraction, Correction::Both),
        (Reset::ToValue, Correction::Both),
    ] {
        let options = ConvertOptions { steps: 16, reset, correction, ..ConvertOptions::default() };
        let result = convert(&ann, &data, &options, &NoProgress).unwrap();
        let shift = |at: usize| result.report.iter().map(|layer| layer.shift[at]).sum::<f64>();
        assert!(shift(1) < 0.75 * shift(0), "{reset:?} {correction:?}: {} before, {} after", shift(0), shift(1));
        let again = convert(&ann, &data, &options, &NoProgress).unwrap();
        assert_eq!(again.report, result.report);
        // Two layers on the first path, one more behind the sum.
        assert_eq!(result.report.iter().map(|layer| layer.latency_steps).collect::<Vec<_>>(), [1, 2, 3]);
    }
}

#[test]
fn weights_fitted_to_spikes_bring_the_outputs_nearer() {
    let ann = residual();
    let samples = samples(72, 400);
    let data = CalibrationData::new(&ann, &[&samples], 300, Coding::RateRounded, 1).unwrap();
    let fresh = part(&samples, 300, 100);
    let of = |correction: Correction| {
        let options = ConvertOptions { steps: 6, correction, ..ConvertOptions::default() };
        convert(&ann, &data, &options, &NoProgress).unwrap()
    };
    let (both, fitted) = (of(Correction::Both), of(Correction::Weights));
    assert!(both.weights.is_empty() && both.report.iter().all(|layer| layer.input_error.is_none()));
    // Every trained layer, in order; none is worse on samples that nothing was learned from.
    let moved = fitted.weights.iter().filter(|layer| layer.outcome == WeightOutcome::Moved).count();
    assert!(moved >= 3, "{:?}", fitted.weights);
    assert_eq!(fitted.weights.iter().map(|layer| layer.inputs).collect::<Vec<_>>(), [18, 36, 18, 4]);
    for layer in &fitted.weights {
        assert!(layer.error[1] <= layer.error[0] && layer.error[0] > 0.0, "{layer:?}");
        assert_eq!(layer.ridge.is_some(), layer.outcome == WeightOutcome::Moved);
        assert_eq!(layer.rows[0], 3 * layer.rows[1]);
    }
    // The third convolution stands before the sum, where the second rectifier stays out of sight.
    let seen: Vec<[f64; 2]> = fitted.report.iter().map(|layer| layer.input_error.unwrap()).collect();
    (0..3).for_each(|at| assert!((seen[at][1] - fitted.weights[at].error[1]).abs() < 1e-12, "{seen:?}"));
    // The trained network is told apart from what became of it.
    let weights = |ann: &Ann| ann.nodes().iter().map(|node| format!("{:?}", node.op)).collect::<Vec<_>>();
    assert_eq!(weights(&fitted.prepared.ann), weights(&both.prepared.ann));
    // On samples that conversion has not seen at all.
    let error = |converted: &Converted| output_error(&ann, converted, &fresh, 6);
    assert!(error(&fitted) < 0.85 * error(&both), "{} and {}", error(&fitted), error(&both));
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let again = pool.install(|| of(Correction::Weights));
        assert_eq!((&again.weights, &again.report), (&fitted.weights, &fitted.report));
        assert_eq!(format!("{:?}", again.network), format!("{:?}", fitted.network));
    }
}

#[test]
fn weights_that_were_not_trained_stay() {
    // A pruned layer, a maximum that becomes layers of its own, and two samples, none of which can be held out.
    let mut b = Builder::new(&[2, 6, 6]);
    b.convolution(&[4, 2, 3, 3], 1, (1, 1), 1);
    b.relu();
    b.then(AnnOp::Pool(maximum_of_four()));
    let weight = AnnTensor::new(vec![4, 4, 1, 1], (0..16).map(|at| (at % 3) as f32).collect::<Vec<_>>());
    b.then(AnnOp::Convolution(AnnConvolution {
        weight,
        bias: None,
        stride: vec![1; 2],
        padding: vec![(0, 0); 2],
        dilation: vec![1; 2],
        groups: 1,
    }));
    b.relu();
    let ann = b.classifier(3);
    let samples = samples(72, 60);
    for (count, outcomes) in [
        (60, [WeightOutcome::Moved, WeightOutcome::Pruned, WeightOutcome::Moved]),
        (2, [WeightOutcome::Kept, WeightOutcome::Pruned, WeightOutcome::Kept]),
    ] {
        let data = CalibrationData::new(&ann, &[&samples], count, Coding::RateRounded, 1).unwrap();
        let options = ConvertOptions { steps: 4, correction: Correction::Weights, ..ConvertOptions::default() };
        let result = convert(&ann, &data, &options, &NoProgress).unwrap();
        assert_eq!(result.weights.iter().map(|layer| layer.outcome).collect::<Vec<_>>(), outcomes, "{count} samples");
    }
}

#[test]
fn spikes_can_be_read_and_relu6_clips_exactly() {
    let mut b = Builder::new(&[6]);
    let weight = b.noise.tensor(&[8, 6], 9.0);
    b.then(AnnOp::Linear(AnnLinear { weight, bias: None }));
    b.then(AnnOp::Activation(Activation::Clip { min: 0.0, max: 2.0 }));
    let ann = b.classifier(4);
    assert_converges(&ann, &exact());
    let (result, _) = converted(&ann, &ConvertOptions { readout: ReadoutChoice::Spikes, ..exact() });
    assert_eq!(result.layers.len(), 2);
    assert!(result.layers[0].scales.iter().all(|scale| *scale <= 2.0));
    let spiking = result.network.nodes.iter().filter(|node| matches!(&node.node, Node::Neuron(n) if n.model.spikes()));
    assert_eq!(spiking.count(), 2);
}

#[test]
fn data_that_does_not_suit_is_told() {
    let ann = residual();
    let wrong = samples(10, 2);
    let problem = CalibrationData::new(&ann, &[&wrong], 2, Coding::RateRounded, 1).err().unwrap();
    assert!(problem.to_string().contains("SNN0303"), "{problem}");
    assert!(CalibrationData::new(&ann, &[], 2, Coding::RateRounded, 1).is_err());
}

#[test]
fn a_filtered_output_is_the_lowpass_filter_of_the_values() {
    // Without hidden layers the value is the same in every step: y[t] = (1 − a^t) x with a = exp(−dt/τ).
    let ann = Builder::new(&[6]).classifier(4);
    let readout = ReadoutChoice::Filtered { tau_s: 3e-3 };
    let (result, samples) = converted(&ann, &ConvertOptions { readout, dt_s: Some(1e-3), ..exact() });
    let SampleValues::U8 { values, .. } = &samples.values else { unreachable!() };
    let values: Vec<f32> = values.iter().map(|value| f32::from(*value) / 255.0).collect();
    let wanted = AnnExecutor::new(&ann).unwrap().outputs(&[&values], samples.count);
    let network = FloatNetwork::new(&result.network, &FloatOptions::default()).unwrap();
    let stimulus = Stimulus::default();
    let analog = values[..6].iter().map(|value| f64::from(*value)).collect();
    let input = FloatInput { spikes: &stimulus, analog: vec![("x".into(), analog)] };
    let record = Record { outputs: true, ..Record::default() };
    let trace = network.run(&input, 40, &record).unwrap();
    for (step, values) in (1..).zip(trace.outputs[0].values.as_ref().unwrap().chunks(4)) {
        let settled = 1.0 - (-f64::from(step) / 3.0).exp();
        for (value, wanted) in values.iter().zip(&wanted[0]) {
            assert!((value - settled * f64::from(*wanted)).abs() < 1e-6, "step {step}: {value} of {wanted}");
        }
    }
    let data = CalibrationData::new(&ann, &[&samples], 6, Coding::ConstantCurrent, 1).unwrap();
    let problem = convert(&ann, &data, &ConvertOptions { readout, ..exact() }, &NoProgress).err().unwrap();
    assert!(problem.to_string().contains("a filtered readout has a time constant"), "{problem}");
}

#[test]
fn stopping_early_changes_no_more_answers_than_allowed() {
    let mut b = Builder::new(&[12]);
    let weight = b.noise.tensor(&[24, 12], 0.5);
    b.then(AnnOp::Linear(AnnLinear { weight, bias: None }));
    b.relu();
    let ann = b.classifier(5);
    let samples = samples(12, 800);
    let data = CalibrationData::new(&ann, &[&samples], 800, Coding::RateRounded, 1).unwrap();
    for readout in [ReadoutChoice::Membrane, ReadoutChoice::Spikes, ReadoutChoice::Filtered { tau_s: 8e-3 }] {
        let options = |changes: f64| ConvertOptions {
            readout,
            dt_s: Some(1e-3),
            early_exit_changes: Some(changes),
            ..ConvertOptions::default()
        };
        let mut mean_steps = 32.0;
        for changes in [0.005, 0.02, 0.1] {
            let result = convert(&ann, &data, &options(changes), &NoProgress).unwrap();
            let found = result.early_exit.unwrap();
            let rule = result.network.run.early_exit.unwrap();
            // Again, sample by sample, as a run would be stopped.
            let network = FloatNetwork::new(&result.network, &FloatOptions::default()).unwrap();
            let (mut changed, mut sum) = (0, 0);
            for sample in 0..samples.count {
                let coded = snncc_data::encode(&samples, sample, Coding::RateRounded, "x", 32, 1).unwrap();
                let snncc_data::Encoded::Spikes(port) = coded else { unreachable!() };
                let mut stimulus = Stimulus::default();
                stimulus.ports.push(port);
                let record = Record { outputs: true, ..Record::default() };
                let trace = network.run(&(&stimulus).into(), 32, &record).unwrap();
                let output = &trace.outputs[0];
                let mut shown = vec![0.0; 5];
                let standings = output.values.as_ref().unwrap().chunks(5).map(|step| {
                    let spikes = readout == ReadoutChoice::Spikes;
                    shown.iter_mut().zip(step).for_each(|(sum, v)| *sum = if spikes { *sum + v } else { *v });
                    Standing::of(&shown)
                });
                let exit = rule.exit(&standings.collect::<Vec<_>>()).unwrap();
                changed += usize::from(exit.class as usize != output.class());
                sum += exit.step;
            }
            assert_eq!((changed, f64::from(sum) / 800.0), (found.changed, found.mean_steps), "{readout:?} {changes}");
            assert!((changed as f64) < changes * 800.0, "{changed} of 800 answers changed, {changes} are allowed");
            // More changes buy fewer steps.
            assert!(found.mean_steps <= mean_steps);
            mean_steps = found.mean_steps;
        }
        assert!(mean_steps < 24.0, "{readout:?}: {mean_steps}");
    }
}
