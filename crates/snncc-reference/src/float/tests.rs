//! Hand-computed runs, and convolutions against a plain sum.

use super::*;
use snncc_data::{HostBias, SpikeTrain};
use snncc_ir::ann::Activation;
use snncc_ir::network::*;
use snncc_ir::{Param, Tensor};

fn network(nodes: Vec<(&str, Node)>, edges: &[(&str, &str)]) -> Network {
    let nodes = nodes.into_iter().map(|(name, node)| NetworkNode { name: name.into(), node }).collect();
    let mut network = Network { nodes, dt_s: Some(1.0), ..Network::default() };
    network.edges = edges
        .iter()
        .map(|(s, t)| Edge { source: network.find(s).unwrap(), target: network.find(t).unwrap() })
        .collect();
    network
}

fn input(shape: &[usize]) -> Node {
    Node::Input { shape: shape.to_vec() }
}

fn output(shape: &[usize]) -> Node {
    Node::Output { shape: shape.to_vec() }
}

fn affine(shape: [usize; 2], weight: &[f64], bias: &[f64]) -> Affine {
    let bias = (!bias.is_empty()).then(|| Tensor::vector(bias.to_vec()));
    Affine { weight: Matrix::Dense(Tensor::new(shape.to_vec(), weight.to_vec())), bias, delay: SynapseDelay::None }
}

fn neuron(model: NeuronModel, change: impl FnOnce(&mut Neuron)) -> Node {
    let mut neuron = Neuron::new(model);
    change(&mut neuron);
    Node::Neuron(neuron)
}

/// A stimulus of port `i`: the neurons that spike, step by step.
fn stimulus(neurons: u32, steps: &[&[u32]]) -> Stimulus {
    let mut spikes = SpikeTrain::new(neurons);
    steps.iter().for_each(|step| spikes.push_step(step.iter().copied()));
    Stimulus { ports: vec![PortStimulus { port: "i".into(), spikes }], host_biases: vec![] }
}

fn run(network: &Network, stimulus: &Stimulus, steps: u32) -> FloatTrace {
    let names = network.nodes.iter().map(|node| node.name.clone()).collect();
    let record = Record { spikes: true, outputs: true, states_of: names };
    FloatNetwork::new(network, &FloatOptions::default()).unwrap().observe(&stimulus.into(), steps, &record).unwrap()
}

fn voltages(trace: &FloatTrace, name: &str) -> Vec<f64> {
    trace.population(name).unwrap().states.as_ref().unwrap().v.clone()
}

fn spike_steps(trace: &FloatTrace, name: &str) -> Vec<u32> {
    let train = trace.population(name).unwrap().spikes.as_ref().unwrap();
    (1..=train.steps()).filter(|t| !train.at(*t).is_empty()).collect()
}

#[test]
fn leaky_neuron_by_hand() {
    // a = 1/4: v += (v_leak − v + 2 x) / 4; threshold strict.
    let lif = neuron(NeuronModel::Lif, |n| {
        n.tau_mem_s = Param::Uniform(4.0);
        n.r = Param::Uniform(2.0);
        n.v_leak = Param::Uniform(1.0);
        n.v_threshold = Param::Uniform(0.75);
        n.v_reset = Param::Uniform(-1.0);
    });
    let net = network(vec![("i", input(&[1])), ("n", lif)], &[("i", "n")]);
    let trace = run(&net, &stimulus(1, &[&[0], &[], &[0]]), 4);
    // 0 + (1 + 2)/4 = 0.75 (no spike); 0.75 + 0.25/4 = 0.8125 > 0.75 → −1; −1 + (1 + 1 + 2)/4 = 0; 0 + 1/4 = 0.25
    assert_eq!(voltages(&trace, "n"), [0.75, -1.0, 0.0, 0.25]);
    assert_eq!(spike_steps(&trace, "n"), [2]);
    let statistics = trace.population("n").unwrap().statistics.clone().unwrap();
    assert_eq!(statistics, Statistics { activity: vec![1.0], input_max: 1.0, v_min: 0.0, v_max: 0.8125 });
    assert_eq!(trace.population("i").unwrap().statistics.as_ref().unwrap().activity, [2.0]);
}

#[test]
fn filtered_neuron_uses_the_new_current() {
    let cuba = neuron(NeuronModel::CubaLi, |n| {
        n.tau_mem_s = Param::Uniform(2.0);
        n.tau_syn_s = Param::Uniform(4.0);
        n.w_in = Param::Uniform(8.0);
        n.i_initial = Param::Uniform(4.0);
    });
    let net = network(vec![("i", input(&[1])), ("n", cuba), ("o", output(&[1]))], &[("i", "n"), ("n", "o")]);
    let trace = run(&net, &stimulus(1, &[&[0]]), 2);
    // i: 4 + (8 − 4)/4 = 5, then 3.75; v: 2.5, then 2.5 + (3.75 − 2.5)/2 = 3.125
    assert_eq!(trace.population("n").unwrap().states.as_ref().unwrap().i, [5.0, 3.75]);
    assert_eq!(trace.output("o").unwrap().values.as_ref().unwrap(), &[2.5, 3.125]);
    assert_eq!(trace.output("o").unwrap().last, [3.125]);
    assert!(!trace.output("o").unwrap().spiking);
}

#[test]
fn resets_differ_as_their_formulas_do() {
    let with = |reset| {
        let node = neuron(NeuronModel::If, |n| n.reset = reset);
        let net = network(
            vec![("i", input(&[1])), ("w", Node::Affine(affine([1, 1], &[2.5], &[]))), ("n", node)],
            &[("i", "w"), ("w", "n")],
        );
        let trace = run(&net, &stimulus(1, &[&[0], &[], &[]]), 3);
        (voltages(&trace, "n"), spike_steps(&trace, "n"))
    };
    assert_eq!(with(Reset::ToValue), (vec![0.0, 0.0, 0.0], vec![1]));
    assert_eq!(with(Reset::BySubtraction), (vec![1.5, 0.5, 0.5], vec![1, 2]));
    // Step 2: pre, v = 1.5 − 1 = 0.5, no spike, v = 0.5 + 1 = 1.5; step 3 again.
    assert_eq!(with(Reset::SnntorchSubtract), (vec![1.5, 1.5, 1.5], vec![1]));
}

#[test]
fn refractory_neuron_rests_and_its_current_goes_on() {
    let node = neuron(NeuronModel::If, |n| n.refractory_steps = Param::Uniform(3));
    let net = network(vec![("i", input(&[1])), ("n", node)], &[("i", "n")]);
    let trace = run(&net, &stimulus(1, &[[0].as_slice(); 9]), 9);
    // v: 1, 2 → spike; rest, rest; 1, 2 → spike; rest, rest; 1
    assert_eq!(spike_steps(&trace, "n"), [2, 6]);
    assert_eq!(voltages(&trace, "n"), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn comparison_and_lower_bound() {
    let node = neuron(NeuronModel::If, |n| {
        n.comparison = Comparison::GreaterOrEqual;
        n.v_min = Some(-0.5);
        n.v_threshold = Param::Uniform(0.5);
    });
    let net = network(
        vec![("i", input(&[2])), ("w", Node::Affine(affine([1, 2], &[-3.0, 1.0], &[]))), ("n", node)],
        &[("i", "w"), ("w", "n")],
    );
    let trace = run(&net, &stimulus(2, &[&[0], &[1]]), 2);
    assert_eq!(voltages(&trace, "n"), [-0.5, 0.0]);
    assert_eq!(spike_steps(&trace, "n"), [2]);
}

#[test]
fn a_back_edge_takes_one_step_and_its_bias_acts_from_the_first() {
    let weights = Node::Affine(affine([1, 1], &[1.0], &[0.25]));
    let node = neuron(NeuronModel::If, |_| {});
    let net = network(
        vec![("i", input(&[1])), ("n", node), ("w", weights), ("m", neuron(NeuronModel::If, |_| {}))],
        &[("w", "n"), ("i", "n"), ("n", "w"), ("n", "m")],
    );
    let trace = run(&net, &stimulus(1, &[&[0]]), 3);
    // Step 1: 1 + 0.25 > 1, spike; step 2: recurrent spike and bias: 1.25, spike; and so on.
    assert_eq!(spike_steps(&trace, "n"), [1, 2, 3]);
    // Forward, spikes pass in the same step: 1 (not above 1), 2 (spike), 1.
    assert_eq!(spike_steps(&trace, "m"), [2]);
}

#[test]
fn delays_of_nodes_and_synapses() {
    let mut per_synapse = affine([1, 2], &[1.0, 10.0], &[100.0]);
    per_synapse.delay = SynapseDelay::PerSynapse(vec![2, 0]);
    let mut uniform = affine([1, 2], &[1.0, 10.0], &[100.0]);
    uniform.delay = SynapseDelay::Uniform(1);
    let delay = Node::Delay { delay: DelayTime::Seconds(Param::PerNeuron(vec![0.0, 2.0])), shape: None };
    let net = network(
        vec![
            ("i", input(&[2])),
            ("p", Node::Affine(per_synapse)),
            ("u", Node::Affine(uniform)),
            ("d", delay),
            ("op", output(&[1])),
            ("ou", output(&[1])),
            ("od", output(&[2])),
        ],
        &[("i", "p"), ("i", "u"), ("i", "d"), ("p", "op"), ("u", "ou"), ("d", "od")],
    );
    let trace = run(&net, &stimulus(2, &[&[0, 1], &[0]]), 4);
    let values = |name: &str| trace.output(name).unwrap().values.clone().unwrap();
    assert_eq!(values("op"), [110.0, 100.0, 101.0, 101.0]);
    assert_eq!(values("ou"), [100.0, 111.0, 101.0, 100.0]);
    assert_eq!(values("od"), [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn a_delay_behind_a_bias_holds_the_bias_before_the_start() {
    let mut second = affine([1, 1], &[2.0], &[]);
    second.delay = SynapseDelay::PerSynapse(vec![2]);
    let net = network(
        vec![
            ("i", input(&[1])),
            ("a", Node::Affine(affine([1, 1], &[1.0], &[3.0]))),
            ("d", Node::Delay { delay: DelayTime::Steps(Param::Uniform(1)), shape: None }),
            ("b", Node::Affine(second)),
            ("o", output(&[1])),
        ],
        &[("i", "a"), ("a", "d"), ("d", "b"), ("b", "o")],
    );
    let trace = run(&net, &stimulus(1, &[&[0]]), 5);
    assert_eq!(trace.output("o").unwrap().values.as_ref().unwrap(), &[6.0, 6.0, 6.0, 8.0, 6.0]);
}

/// Steps a convolution over `input` (channels, height, width) and neurons behind it once, against the plain sum.
fn check_convolution(input_shape: [usize; 3], channels_out: usize, groups: usize, kernel: [usize; 2]) {
    let (stride, padding, dilation) = ([2, 1], [1, 2], [1, 2]);
    let [channels, height, width] = input_shape;
    let per_group = channels / groups;
    let len = channels_out * per_group * kernel[0] * kernel[1];
    let weight: Vec<f64> = (0..len).map(|at| ((at * 7) % 11) as f64 - 5.0).collect();
    let bias: Vec<f64> = (0..channels_out).map(|at| at as f64 * 0.5).collect();
    let convolution = Convolution {
        dimensions: 2,
        weight: Tensor::new(vec![channels_out, per_group, kernel[0], kernel[1]], weight.clone()),
        bias: Some(Tensor::vector(bias.clone())),
        stride: stride.to_vec(),
        padding: Padding::Explicit(padding.to_vec()),
        dilation: dilation.to_vec(),
        groups,
        input_shape: Some(vec![height, width]),
        delay: 0,
    };
    let out = |d: usize| (input_shape[d + 1] + 2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1) / stride[d] + 1;
    let shape = [channels_out, out(0), out(1)];
    let net = network(
        vec![
            ("i", input(&input_shape)),
            ("c", Node::Convolution(convolution)),
            ("o", output(&shape)),
            ("n", neuron(NeuronModel::If, |_| {})),
        ],
        &[("i", "c"), ("c", "o"), ("c", "n")],
    );
    let count = channels * height * width;
    let active: Vec<u32> = (0..count as u32).filter(|at| at % 7 < 3).collect();
    let at = |channel: usize, y: usize, x: usize| -> f64 {
        let (Some(y), Some(x)) = (y.checked_sub(padding[0]), x.checked_sub(padding[1])) else { return 0.0 };
        let inside = y < height && x < width;
        f64::from(u8::from(inside && ((channel * height + y) * width + x) % 7 < 3))
    };
    let mut expected = Vec::new();
    for o in 0..channels_out {
        for (y, x) in (0..shape[1]).flat_map(|y| (0..shape[2]).map(move |x| (y, x))) {
            let mut sum = bias[o];
            for c in 0..per_group {
                for (ky, kx) in (0..kernel[0]).flat_map(|ky| (0..kernel[1]).map(move |kx| (ky, kx))) {
                    let channel = o / (channels_out / groups) * per_group + c;
                    sum += weight[((o * per_group + c) * kernel[0] + ky) * kernel[1] + kx]
                        * at(channel, y * stride[0] + ky * dilation[0], x * stride[1] + kx * dilation[1]);
                }
            }
            expected.push(sum);
        }
    }
    let spikes: Vec<u32> = (0..).zip(&expected).filter(|(_, sum)| **sum > 1.0).map(|(at, _)| at).collect();
    let trace = run(&net, &stimulus(count as u32, &[&active]), 1);
    assert_eq!(trace.output("o").unwrap().values.as_ref().unwrap(), &expected);
    assert_eq!(trace.population("n").unwrap().spikes.as_ref().unwrap().indices, spikes);
    // The same as values.
    let values = (0..count as u32).map(|at| f64::from(u8::from(active.contains(&at)))).collect();
    let input = FloatInput { spikes: &Stimulus::default(), analog: vec![("i".into(), values)] };
    let network = FloatNetwork::new(&net, &FloatOptions::default()).unwrap();
    assert_eq!(network.run(&input, 1, &Record::default()).unwrap().output("o").unwrap().last, expected);
}

#[test]
fn convolution_equals_the_plain_sum() {
    check_convolution([4, 5, 6], 6, 2, [2, 3]);
    check_convolution([3, 5, 9], 3, 3, [3, 2]);
    check_convolution([1, 5, 6], 8, 1, [2, 3]);
    check_convolution([4, 5, 6], 13, 1, [2, 3]);
    // In blocks of output channels, the last of which is not full.
    check_convolution([90, 3, 4], 20, 1, [3, 2]);
}

/// Neurons one by one and many at once: a group is updated one by one if a neuron has a refractory period.
#[test]
fn many_neurons_at_once_are_as_one_by_one() {
    let models = [NeuronModel::If, NeuronModel::Lif, NeuronModel::CubaLif];
    for (model, reset) in models.into_iter().flat_map(|m| [(m, Reset::ToValue), (m, Reset::BySubtraction)]) {
        for uniform in [true, false] {
            let states = [1, 2].map(|last_refractory| {
                let len = 100;
                let node = neuron(model, |n| {
                    n.reset = reset;
                    n.tau_mem_s = Param::Uniform(3.0);
                    n.tau_syn_s = Param::Uniform(2.0);
                    n.v_min = Some(-0.5);
                    n.comparison = Comparison::GreaterOrEqual;
                    if !uniform {
                        n.v_threshold = Param::PerNeuron((0..len).map(|at| 0.25 + at as f64 / 64.0).collect());
                    }
                    n.refractory_steps =
                        Param::PerNeuron((0..len).map(|at| if at == len - 1 { last_refractory } else { 1 }).collect());
                });
                let net = network(vec![("i", input(&[len])), ("n", node)], &[("i", "n")]);
                let values = (0..len).map(|at| (at * 37 % len) as f64 / 32.0 - 0.5).collect();
                // A spike in the last step, so that the input is not the same in all.
                let fed = stimulus(len as u32, &[&[], &[], &[], &[], &[], &[], &[], &[5]]);
                let fed = FloatInput { spikes: &fed, analog: vec![("i".into(), values)] };
                let record = Record { spikes: true, states_of: vec!["n".into()], ..Record::default() };
                let trace =
                    FloatNetwork::new(&net, &FloatOptions::default()).unwrap().observe(&fed, 8, &record).unwrap();
                let population = trace.population("n").unwrap();
                let (spikes, states) = (population.spikes.as_ref().unwrap(), population.states.as_ref().unwrap());
                assert!(spikes.spike_count() > 100);
                let but_the_last = |values: &[f64]| -> Vec<f64> {
                    values.chunks_exact(len).flat_map(|step| step[..len - 1].to_vec()).collect()
                };
                let events: Vec<_> = spikes.events().filter(|event| event.1 != len as u32 - 1).collect();
                let statistics = population.statistics.clone().unwrap();
                (events, but_the_last(&states.v), but_the_last(&states.i), statistics.input_max, statistics.v_min)
            });
            assert_eq!(states[0], states[1], "{model:?} {reset:?}");
        }
    }
}

/// What hangs on constant inputs is computed once, or many steps at once; that must not show.
#[test]
fn constant_input_is_as_any_other() {
    let pool = Node::Pool(Pool { kind: PoolKind::Average, kernel: [1, 2], stride: [1, 2], padding: [0, 0] });
    let weights: Vec<f64> = (0..9 * 150).map(|at| (at * 29 % 41) as f64 / 128.0 - 0.125).collect();
    let net = network(
        vec![
            ("i", input(&[3, 10, 10])),
            ("p", pool),
            ("n", neuron(NeuronModel::If, |n| n.reset = Reset::BySubtraction)),
            ("w", Node::Affine(affine([9, 150], &weights, &[]))),
            ("m", neuron(NeuronModel::If, |_| {})),
            ("o", output(&[9])),
        ],
        &[("i", "p"), ("p", "n"), ("n", "w"), ("w", "m"), ("m", "o")],
    );
    let network = FloatNetwork::new(&net, &FloatOptions::default()).unwrap();
    let values: Vec<f64> = (0..300).map(|at| (at * 17 % 300) as f64 / 400.0).collect();
    let steps = 150;
    // One more step, which is not run, with a spike.
    let mut varying = stimulus(300, &[]);
    varying.ports[0].spikes = SpikeTrain::from_events(300, steps + 1, &[(steps + 1, 7)]).unwrap();
    let traces = [Stimulus::default(), varying].map(|stimulus| {
        let input = FloatInput { spikes: &stimulus, analog: vec![("i".into(), values.clone())] };
        let record = Record { spikes: true, outputs: true, ..Record::default() };
        network.observe(&input, steps, &record).unwrap()
    });
    assert!(traces[0].population("m").unwrap().spike_count > 100);
    assert_eq!(traces[0], traces[1]);
}

#[test]
fn pools_threshold_scale_and_constant_input() {
    let pool = |kind| Node::Pool(Pool { kind, kernel: [2, 2], stride: [2, 2], padding: [1, 0] });
    let threshold = Threshold { shape: None, threshold: Param::Uniform(0.5), comparison: Comparison::Greater };
    let net = network(
        vec![
            ("i", input(&[1, 2, 2])),
            ("sum", pool(PoolKind::Sum)),
            ("mean", pool(PoolKind::Average)),
            ("t", Node::Threshold(threshold)),
            ("s", Node::Scale { scale: Tensor::vector(vec![2.0]) }),
            ("os", output(&[1, 2, 1])),
            ("ot", output(&[2])),
        ],
        &[("i", "sum"), ("i", "mean"), ("sum", "s"), ("s", "os"), ("mean", "t"), ("t", "ot")],
    );
    let stimulus = stimulus(4, &[&[], &[2]]);
    let input = FloatInput { spikes: &stimulus, analog: vec![("i".into(), vec![0.5, 1.0, 0.75, 0.5])] };
    let record = Record { spikes: true, outputs: true, ..Record::default() };
    let network = FloatNetwork::new(&net, &FloatOptions::default()).unwrap();
    let trace = network.run(&input, 2, &record).unwrap();
    assert_eq!(trace.output("os").unwrap().values.as_ref().unwrap(), &[3.0, 2.5, 3.0, 4.5]);
    // Means: 0.375 and 0.3125, then 0.375 and 0.5625.
    assert_eq!(trace.population("t").unwrap().spikes.as_ref().unwrap().indices, [1]);
    assert_eq!(trace.output("ot").unwrap().sum, [0.0, 1.0]);
    assert_eq!(trace.output("ot").unwrap().class(), 1);
}

/// The gate passes what the element with most spikes sends; several spikes in a step and negative ones arrive as such.
#[test]
fn gates_and_neurons_that_follow_a_rate() {
    let gate = Node::GatedPool(GatedPool { kernel: [1, 2], stride: [1, 2], padding: [0, 0] });
    let rate = |function| Node::RateNeuron(RateNeuron { gain: Param::Uniform(2.0), ..RateNeuron::new(function) });
    let net = network(
        vec![
            ("i", input(&[2, 1, 4])),
            ("g", gate),
            ("og", output(&[2, 1, 2])),
            ("r", rate(Activation::LeakyRelu { slope: 0.5 })),
            ("f", Node::Flatten { start_dim: 0, end_dim: -1 }),
            ("or", output(&[8])),
        ],
        &[("i", "g"), ("g", "og"), ("i", "r"), ("r", "f"), ("f", "or")],
    );
    // Windows (0, 1), (2, 3), (4, 5), (6, 7). In the first, element 1 overtakes element 0 in step 3.
    let stimulus = stimulus(8, &[&[0, 2], &[1, 5], &[1, 2], &[0, 1, 5]]);
    let record = Record { spikes: true, outputs: true, ..Record::default() };
    let network = FloatNetwork::new(&net, &FloatOptions::default()).unwrap();
    let trace = network.observe(&(&stimulus).into(), 4, &record).unwrap();
    let steps: Vec<&[f64]> = trace.output("og").unwrap().values.as_ref().unwrap().chunks(4).collect();
    assert_eq!(steps, [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]]);
    // Two spikes for each that comes in.
    let (population, out) = (trace.population("r").unwrap(), trace.output("or").unwrap());
    assert_eq!((population.spike_count, population.spikes.as_ref()), (18, None));
    assert_eq!(population.statistics.as_ref().unwrap().activity, [4.0, 6.0, 4.0, 0.0, 0.0, 4.0, 0.0, 0.0]);
    assert!(out.spiking && out.class() == 1);
    // Constant input below 0, with half the slope.
    let analog = FloatInput { spikes: &Stimulus::default(), analog: vec![("i".into(), vec![-0.75; 8])] };
    let trace = network.run(&analog, 4, &record).unwrap();
    assert_eq!(trace.output("or").unwrap().sum, [-3.0; 8]);
    assert_eq!(trace.population("r").unwrap().spike_count, 24);
}

/// Elements keep their row-major order through a reshape, also behind and before convolutions.
#[test]
fn a_reshape_moves_no_element() {
    let reshape = |shape: &[usize]| Node::Reshape { shape: shape.to_vec() };
    let pool = || Node::Pool(Pool { kind: PoolKind::Sum, kernel: [2, 2], stride: [2, 2], padding: [0, 0] });
    let net = network(
        vec![
            ("i", input(&[32])),
            ("r", reshape(&[2, 4, 4])),
            ("p", pool()),
            ("s", reshape(&[4, 2])),
            ("w", Node::Affine(affine([1, 8], &[1.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7], &[]))),
            ("o", output(&[4, 2])),
            ("ow", output(&[1])),
        ],
        &[("i", "r"), ("r", "p"), ("p", "s"), ("s", "w"), ("s", "o"), ("w", "ow")],
    );
    // Element 16 · channel + 4 · row + column: windows 0 (twice), 1, 3 of channel 0 and 2 of channel 1.
    let trace = run(&net, &stimulus(32, &[&[0, 5, 3, 10, 28]]), 1);
    assert_eq!(trace.output("o").unwrap().values.as_ref().unwrap(), &[2.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(trace.output("ow").unwrap().values.as_ref().unwrap(), &[1_001_012.0]);
}

#[test]
fn host_bias_and_mismatched_stimuli() {
    let net = network(vec![("i", input(&[1])), ("hidden", neuron(NeuronModel::If, |_| {}))], &[("i", "hidden")]);
    let network = FloatNetwork::new(&net, &FloatOptions::default()).unwrap();
    let mut stimulus = stimulus(1, &[]);
    let bias = |population: &str, current| HostBias { population: population.into(), current };
    stimulus.host_biases = vec![bias("hidden", vec![0.75])];
    let record = Record { spikes: true, ..Record::default() };
    let trace = network.run(&(&stimulus).into(), 4, &record).unwrap();
    assert_eq!(spike_steps(&trace, "hidden"), [2, 4]);
    stimulus.host_biases = vec![bias("hiden", vec![0.75]), bias("hidden", vec![])];
    stimulus.ports[0].spikes = SpikeTrain::new(3);
    let problems = network.run(&(&stimulus).into(), 4, &record).unwrap_err();
    assert_eq!(problems.0.len(), 3);
    assert!(problems.0.iter().all(|problem| problem.code == code::STIMULUS_MISMATCH));
    assert_eq!(problems.0[1].help, ["did you mean `hidden`?"]);
}

#[test]
fn loops_without_neurons_and_chip_integers_are_refused() {
    let identity = || Node::Affine(affine([1, 1], &[1.0], &[]));
    let net =
        network(vec![("i", input(&[1])), ("a", identity()), ("b", identity())], &[("i", "a"), ("a", "b"), ("b", "a")]);
    let problems = FloatNetwork::new(&net, &FloatOptions::default()).unwrap_err();
    assert_eq!(problems.0[0].code, code::NO_NEURONS);
    assert!(problems.0[0].message.contains("a -> b -> a"));
}
