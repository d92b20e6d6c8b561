//! Layers that wait for all of their input: each neuron's spikes are the activation of its sum, clipped and rounded.

mod common;

use common::Noise;
use snncc_convert::options::{Balance, BalanceForm, Correction, NeuronKind, ReadoutChoice, Schedule};
use snncc_convert::{CalibrationData, ConvertOptions, Converted, NoProgress, convert};
use snncc_data::{
    Coding, DEFAULT_DELTA, Encoded, InputCoding, SampleValues, Samples, SpikeTrain, Stimulus, encode_with,
};
use snncc_ids::AnnNodeId;
use snncc_ir::ann::{Activation, Ann, AnnConvolution, AnnLinear, AnnOp, AnnPool, AnnTensor, PoolFunction};
use snncc_ir::network::Reset;
use snncc_reference::ann::AnnExecutor;
use snncc_reference::float::{FloatInput, FloatNetwork, FloatOptions, FloatTrace, Record};
use std::collections::BTreeMap;

fn relu() -> AnnOp {
    AnnOp::Activation(Activation::Relu)
}

fn linear(weight: AnnTensor, bias: AnnTensor) -> AnnOp {
    AnnOp::Linear(AnnLinear { weight, bias: Some(bias) })
}

fn samples(shape: &[usize], values: Vec<u8>) -> Samples {
    let count = values.len() / shape.iter().product::<usize>();
    Samples::new(count, shape.to_vec(), None, SampleValues::U8 { values, full_scale: 255 }).unwrap()
}

fn noisy_samples(noise: &mut Noise, shape: &[usize], count: usize) -> Samples {
    let len = count * shape.iter().product::<usize>();
    samples(shape, (0..len).map(|_| (noise.next() * 127.0 + 128.0) as u8).collect())
}

fn options(steps: u32) -> ConvertOptions {
    ConvertOptions { steps, schedule: Schedule::Layers, correction: Correction::None, ..ConvertOptions::default() }
}

fn try_convert(ann: &Ann, data: &Samples, coding: Coding, options: &ConvertOptions) -> Result<Converted, String> {
    let data = CalibrationData::new(ann, &[data], usize::MAX, coding, 1).unwrap();
    convert(ann, &data, options, &NoProgress).map_err(|problems| problems.to_string())
}

fn converted(ann: &Ann, data: &Samples, options: &ConvertOptions) -> Converted {
    try_convert(ann, data, Coding::RateRounded, options).unwrap()
}

fn spikes_of(samples: &Samples, sample: usize, steps: u32) -> SpikeTrain {
    let input = InputCoding { coding: Coding::RateRounded, range: None, delta: DEFAULT_DELTA };
    match encode_with(samples, sample, &input, "x", steps, 1).unwrap() {
        Encoded::Spikes(port) => port.spikes,
        Encoded::Current(_) => unreachable!(),
    }
}

/// Runs a sample for as many steps as the network asks for.
fn run(converted: &Converted, spikes: SpikeTrain) -> FloatTrace {
    let network = FloatNetwork::new(&converted.network, &FloatOptions::default()).unwrap();
    let ports = vec![snncc_data::PortStimulus { port: "x".into(), spikes }];
    let stimulus = Stimulus { ports, ..Stimulus::default() };
    let record = Record { spikes: true, ..Record::default() };
    network.observe(&FloatInput::from(&stimulus), converted.network.run.steps.unwrap(), &record).unwrap()
}

#[test]
fn spikes_and_their_steps_by_hand() {
    // relu(x₁ − ½ x₂ + 0.1), at most 1.1: with 4 steps a spike stands for 0.275 of the mean.
    let mut ann = Ann::new();
    let x = ann.push_input("x", vec![2]);
    let weight = AnnTensor::new(vec![1, 2], vec![1.0, -0.5]);
    let z = ann.push("z", linear(weight, AnnTensor::new(vec![1], vec![0.1])), vec![x], None).unwrap();
    let a = ann.push("a", relu(), vec![z], None).unwrap();
    let out = linear(AnnTensor::new(vec![2, 1], vec![1.0, -2.0]), AnnTensor::new(vec![2], vec![0.5, 0.25]));
    let y = ann.push("y", out, vec![a], None).unwrap();
    ann.outputs = vec![("y".into(), y)];
    let data = samples(&[2], vec![255, 0, 255, 255, 0, 255, 128, 0]);
    for form in [BalanceForm::Weights, BalanceForm::Thresholds] {
        let converted = converted(&ann, &data, &ConvertOptions { balance: Balance::Maximum, form, ..options(4) });
        // One layer: its window begins with the last step of the input.
        let run_defaults = &converted.network.run;
        assert_eq!(
            (run_defaults.steps, run_defaults.input_steps, run_defaults.corrected_for),
            (Some(7), Some(4), None)
        );
        assert_eq!((converted.report[0].window, converted.layered_steps(4)), (Some([4, 7]), 7));
        // Sums 4.4, 2.4, −1.6 and 2 + 0.4 (two spikes) over 1.1: 4, 2.18, none, 2.18.
        let expected: [&[u32]; 4] = [&[4, 5, 6, 7], &[4, 5], &[], &[4, 5]];
        for (sample, expected) in expected.into_iter().enumerate() {
            let trace = run(&converted, spikes_of(&data, sample, 4));
            let steps: Vec<u32> =
                trace.population("a").unwrap().spikes.as_ref().unwrap().events().map(|(step, ..)| step).collect();
            assert_eq!(steps, expected, "sample {sample}");
            // The output adds up what the spikes stand for, and its bias four times.
            let sum = 1.1 * expected.len() as f64;
            let found = &trace.outputs[0].last;
            assert!((found[0] - sum - 2.0).abs() < 1e-5 && (found[1] + 2.0 * sum - 1.0).abs() < 1e-5, "{found:?}");
        }
        // Beyond its window the layer is silent, whatever is left of its input.
        let network = FloatNetwork::new(&converted.network, &FloatOptions::default()).unwrap();
        let mut flood = SpikeTrain::new(2);
        (0..40).for_each(|_| flood.push_step([0]));
        let ports = vec![snncc_data::PortStimulus { port: "x".into(), spikes: flood.with_steps(6) }];
        let stimulus = Stimulus { ports, ..Stimulus::default() };
        let trace = network.run(&FloatInput::from(&stimulus), 28, &Record::default()).unwrap();
        assert_eq!(trace.population("a").unwrap().spike_count, 4);
    }
}

/// A network of convolutions, a maximum, a residual sum, a concatenation and a mean.
fn network(seed: u64) -> Ann {
    let mut noise = Noise(seed);
    let mut ann = Ann::new();
    let x = ann.push_input("x", vec![2, 6, 6]);
    let convolution = |noise: &mut Noise, shape: &[usize], size: f32| {
        let fan_in: usize = shape[1..].iter().product();
        AnnOp::Convolution(AnnConvolution {
            weight: noise.tensor(shape, size / (fan_in as f32).sqrt()),
            bias: Some(noise.tensor(&shape[..1], 0.2)),
            stride: vec![1; 2],
            padding: vec![(1, 1); 2],
            dilation: vec![1; 2],
            groups: 1,
        })
    };
    let mut push = |name: &str, op: AnnOp, inputs: Vec<AnnNodeId>| ann.push(name, op, inputs, None).unwrap();
    let c1 = push("c1", convolution(&mut noise, &[3, 2, 3, 3], 2.5), vec![x]);
    let a1 = push("a1", relu(), vec![c1]);
    let c2 = push("c2", convolution(&mut noise, &[3, 3, 3, 3], 2.5), vec![a1]);
    let a2 = push("a2", relu(), vec![c2]);
    let c3 = push("c3", convolution(&mut noise, &[3, 3, 3, 3], 2.0), vec![a2]);
    let sum = push("sum", AnnOp::Sum { coefficients: vec![1.0, 0.75] }, vec![c3, a1]);
    let a3 = push("a3", relu(), vec![sum]);
    let both = push("both", AnnOp::Concat { axis: 0 }, vec![a3, a1]);
    let pool = |function: PoolFunction| {
        AnnOp::Pool(AnnPool {
            function,
            kernel: vec![2; 2],
            stride: vec![2; 2],
            padding: vec![(0, 0); 2],
            dilation: vec![1; 2],
            counted_after: (function == PoolFunction::Average).then(|| vec![0; 2]),
        })
    };
    let function = if seed.is_multiple_of(2) { PoolFunction::Maximum } else { PoolFunction::Average };
    let pooled = push("pool", pool(function), vec![both]);
    let c4 = push("c4", convolution(&mut noise, &[4, 6, 3, 3], 2.0), vec![pooled]);
    let a4 = push("a4", relu(), vec![c4]);
    let flat = ann.push("flat", AnnOp::Reshape, vec![a4], Some(vec![36])).unwrap();
    let out = linear(noise.tensor(&[5, 36], 0.3), noise.tensor(&[5], 0.1));
    let y = ann.push("y", out, vec![flat], None).unwrap();
    ann.outputs = vec![("y".into(), y)];
    ann
}

#[test]
fn every_neuron_fires_as_often_as_its_rounded_activation_says() {
    for (seed, steps) in [(1, 3), (2, 5), (3, 8), (4, 4), (5, 16), (6, 1)] {
        let ann = network(seed);
        let mut noise = Noise(seed + 100);
        let data = noisy_samples(&mut noise, &[2, 6, 6], 24);
        let balance = Balance::Percentile { percent: 98.0, of_active: false };
        let readout = if seed == 3 { ReadoutChoice::Spikes } else { ReadoutChoice::Membrane };
        let converted = converted(&ann, &data, &ConvertOptions { balance, readout, ..options(steps) });
        let prepared = &converted.prepared.ann;
        let executor = AnnExecutor::new(prepared).unwrap();
        let scales: BTreeMap<AnnNodeId, (&[f64], usize)> =
            converted.layers.iter().map(|layer| (layer.node, (&layer.scales[..], layer.plane))).collect();
        // Samples that calibration has seen: no neuron is driven beyond its hold.
        for sample in 0..6 {
            let spikes = spikes_of(&data, sample, steps);
            let coded: Vec<f32> = spikes.counts().iter().map(|count| *count as f32 / steps as f32).collect();
            let mut expected: BTreeMap<AnnNodeId, Vec<f64>> = BTreeMap::new();
            let mut adjust = |node: AnnNodeId, values: &mut [f32]| {
                let Some((scales, plane)) = scales.get(&node) else { return };
                for (at, value) in values.iter_mut().enumerate() {
                    let spike = scales[at / plane] / f64::from(steps);
                    let count = (f64::from(*value) / spike + 0.5).floor().clamp(0.0, steps.into());
                    *value = (count * spike) as f32;
                    expected.entry(node).or_default().push(count);
                }
            };
            executor.run_adjusted(&[&coded], 1, &mut adjust, &mut |_, _| ());
            let trace = run(&converted, spikes);
            for (layer, row) in converted.layers.iter().zip(&converted.report) {
                let population = trace.population(&layer.name).unwrap();
                let found = &population.statistics.as_ref().unwrap().activity;
                assert_eq!(found, &expected[&layer.node], "seed {seed}, sample {sample}, `{}`", layer.name);
                let [first, last] = row.window.unwrap();
                let train = population.spikes.as_ref().unwrap();
                assert!(
                    train.events().all(|(step, ..)| (first..=last).contains(&step)),
                    "{} {first} {last}",
                    layer.name
                );
                assert!(last <= converted.network.run.steps.unwrap());
            }
        }
        assert!(converted.report.iter().all(|row| row.hold.unwrap().log2().fract() == 0.0));
        assert_eq!(converted.run_steps(steps), converted.layered_steps(steps));
    }
}

#[test]
fn means_are_corrected_within_a_window() {
    let ann = network(3);
    let data = noisy_samples(&mut Noise(8), &[2, 6, 6], 100);
    let shift = |correction: Correction| -> [f64; 2] {
        let converted = converted(&ann, &data, &ConvertOptions { correction, ..options(4) });
        let of_layers = |at: usize| converted.report.iter().map(|row| row.shift[at]).sum::<f64>();
        [of_layers(0), of_layers(1)]
    };
    let [before, after] = shift(Correction::Both);
    assert!(after < before * 0.7, "{before} {after}");
    assert!(shift(Correction::None)[1] == before);
    let weights = converted(&ann, &data, &ConvertOptions { correction: Correction::Weights, ..options(4) });
    assert_eq!(weights.network.run.corrected_for, weights.network.run.steps);
}

#[test]
fn what_cannot_wait_is_refused() {
    let ann = network(1);
    let data = noisy_samples(&mut Noise(8), &[2, 6, 6], 8);
    let refused = |options: ConvertOptions, coding: Coding, what: &str| {
        let message = try_convert(&ann, &data, coding, &options).unwrap_err();
        assert!(message.contains("SNN0203") && message.contains(what), "{message}");
    };
    let leaky = NeuronKind::Lif { tau_rc_s: 0.02, tau_ref_s: 0.0 };
    refused(
        ConvertOptions { neuron: leaky, dt_s: Some(1e-3), ..options(4) },
        Coding::RateRounded,
        "which these neurons do not",
    );
    refused(
        ConvertOptions { reset: Reset::ToValue, ..options(4) },
        Coding::RateRounded,
        "neurons that reset to a value",
    );
    let readout = ReadoutChoice::Filtered { tau_s: 0.01 };
    refused(ConvertOptions { readout, dt_s: Some(1e-3), ..options(4) }, Coding::RateRounded, "a filtered readout");
    refused(options(4), Coding::ConstantCurrent, "a constant current");
}
