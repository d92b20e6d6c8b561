//! Forms, names, delays and latencies by hand; every refusal. That spikes stay the same is tested over random networks in
//! the workspace's `lower_equivalence`.

use super::*;
use snncc_ids::Code;
use snncc_ir::network::*;
use snncc_ir::{Connectivity, Delays, IrWeights, NeuronParams, Param, SignMode, SparsePattern, Tensor};

fn network(nodes: Vec<(&str, Node)>, edges: &[(&str, &str)]) -> Network {
    let nodes = nodes.into_iter().map(|(name, node)| NetworkNode { name: name.into(), node }).collect();
    let mut network = Network { nodes, dt_s: Some(1.0), ..Network::default() };
    network.edges = edges
        .iter()
        .map(|(s, t)| Edge { source: network.find(s).unwrap(), target: network.find(t).unwrap() })
        .collect();
    network
}

/// A network in a row: each node feeds the next.
fn row(nodes: Vec<(&str, Node)>) -> Network {
    let names: Vec<&str> = nodes.iter().map(|(name, _)| *name).collect();
    let edges: Vec<(&str, &str)> = names.windows(2).map(|pair| (pair[0], pair[1])).collect();
    network(nodes, &edges)
}

fn input(shape: &[usize]) -> Node {
    Node::Input { shape: shape.to_vec() }
}

fn output(shape: &[usize]) -> Node {
    Node::Output { shape: shape.to_vec() }
}

fn neuron(model: NeuronModel, change: impl FnOnce(&mut Neuron)) -> Node {
    let mut neuron = Neuron::new(model);
    (neuron.tau_mem_s, neuron.tau_syn_s) = (Param::Uniform(4.0), Param::Uniform(2.0));
    change(&mut neuron);
    Node::Neuron(neuron)
}

fn fire() -> Node {
    neuron(NeuronModel::If, |_| {})
}

/// Networks for the float reference alone are told what to convert with instead.
#[test]
fn what_only_floats_have_is_refused() {
    let rate = Node::RateNeuron(RateNeuron::new(snncc_ir::ann::Activation::Tanh));
    let gate = Node::GatedPool(GatedPool { kernel: [2, 2], stride: [2, 2], padding: [0, 0] });
    let nodes = vec![("i", input(&[1, 4, 4])), ("r", rate), ("g", gate), ("n", fire()), ("o", output(&[1, 2, 2]))];
    let problems = lower(&row(nodes), &LowerOptions::default()).unwrap_err();
    assert_eq!(problems.0.iter().map(|problem| problem.code).collect::<Vec<_>>(), [code::UNSUPPORTED_BY_CHIP; 2]);
    assert!(problems.0[0].message.contains("the rate of Tanh") && problems.0[0].help[0].contains("--neuron if"));
    assert!(problems.0[1].help[0].contains("--max-pool tree"));
}

fn dense(shape: [usize; 2], weight: &[f64]) -> Affine {
    let weight = Matrix::Dense(Tensor::new(shape.to_vec(), weight.to_vec()));
    Affine { weight, bias: None, delay: SynapseDelay::None }
}

fn counting(len: usize) -> Vec<f64> {
    (1..=len).map(|value| value as f64).collect()
}

fn convolution(weight: [usize; 4], stride: usize, padding: usize) -> Node {
    Node::Convolution(Convolution {
        dimensions: 2,
        weight: Tensor::new(weight.to_vec(), counting(weight.iter().product())),
        bias: None,
        stride: vec![stride; 2],
        padding: Padding::Explicit(vec![padding; 2]),
        dilation: vec![1; 2],
        groups: 1,
        input_shape: None,
        delay: 0,
    })
}

fn pool(kernel: usize, padding: usize) -> Node {
    Node::Pool(Pool { kind: PoolKind::Average, kernel: [kernel; 2], stride: [kernel; 2], padding: [padding; 2] })
}

fn flatten() -> Node {
    Node::Flatten { start_dim: 0, end_dim: -1 }
}

fn delay(steps: &[u32]) -> Node {
    let steps = if steps.len() == 1 { Param::Uniform(steps[0]) } else { Param::PerNeuron(steps.to_vec()) };
    Node::Delay { delay: DelayTime::Steps(steps), shape: None }
}

fn lowered(network: &Network) -> Ir {
    lower(network, &LowerOptions::default()).unwrap().ir
}

fn problem(network: &Network) -> (Code, String) {
    let problems = lower(network, &LowerOptions::default()).unwrap_err();
    let problem = problems.0.iter().find(|problem| problem.severity == Severity::Error).unwrap();
    (problem.code, problem.item.clone().unwrap_or_default())
}

fn params<'a>(ir: &'a Ir, name: &str) -> &'a NeuronParams {
    let (id, _) = ir.graph.populations.iter_with_ids().find(|(_, p)| p.name == name).unwrap();
    match &ir.neurons[id] {
        Some(IrNeurons::Float(params)) => params,
        other => panic!("{other:?}"),
    }
}

fn projection<'a>(ir: &'a Ir, name: &str) -> (&'a Projection, &'a [f64]) {
    let (id, projection) = ir.graph.projections.iter_with_ids().find(|(_, p)| p.name == name).unwrap();
    match &ir.weights[id] {
        IrWeights::Float(weights) => (projection, weights),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_leaky_neuron_in_canonical_form() {
    let lif = neuron(NeuronModel::Lif, |n| {
        n.r = Param::PerNeuron(vec![2.0, 8.0]);
        n.v_leak = Param::Uniform(1.0);
        n.v_reset = Param::Uniform(-1.0);
        n.v_threshold = Param::Uniform(3.0);
        n.v_min = Some(-2.0);
    });
    let mut affine = dense([2, 1], &[1.0, 1.0]);
    affine.bias = Some(Tensor::vector(vec![0.5, 0.25]));
    let ir = lowered(&row(vec![("i", input(&[1])), ("w", Node::Affine(affine)), ("n", lif), ("o", output(&[2]))]));
    let n = params(&ir, "n");
    assert_eq!(n.voltage_keep, Param::Uniform(0.75));
    // (v_leak − v_reset) / 4 + r b / 4
    assert_eq!(n.bias, Param::PerNeuron(vec![0.5 + 0.25, 0.5 + 0.5]));
    assert_eq!((&n.threshold, &n.v_initial, n.v_min), (&Param::Uniform(4.0), &Param::Uniform(1.0), Some(-1.0)));
    assert_eq!(n.v_offset, Param::Uniform(-1.0));
    assert_eq!(projection(&ir, "i->n").1, [0.5, 2.0]);
    assert_eq!(ir.outputs[0].readout, Readout::Spikes);
}

#[test]
fn a_filtered_neuron_starts_below_the_steady_state_of_its_bias() {
    let cuba = neuron(NeuronModel::CubaLi, |n| {
        n.r = Param::Uniform(4.0);
        n.w_in = Param::Uniform(3.0);
        n.i_initial = Param::Uniform(5.0);
    });
    let mut affine = dense([1, 1], &[2.0]);
    affine.bias = Some(Tensor::vector(vec![0.5]));
    let ir = lowered(&row(vec![("i", input(&[1])), ("w", Node::Affine(affine)), ("n", cuba), ("o", output(&[1]))]));
    let n = params(&ir, "n");
    assert_eq!((&n.current_keep, &n.voltage_keep), (&Param::Uniform(0.5), &Param::Uniform(0.75)));
    assert_eq!(projection(&ir, "i->n").1, [2.0 * 0.5 * 3.0 * 0.25 * 4.0]);
    assert_eq!((&n.bias, &n.u_initial), (&Param::Uniform(1.5), &Param::Uniform(5.0 - 1.5)));
    assert!(!n.spikes());
    assert_eq!(ir.outputs[0].readout, Readout::Membrane);
}

#[test]
fn a_pool_before_a_convolution_joins_it_where_the_borders_agree() {
    let with = |pool_padding, size: usize| {
        let nodes = vec![
            ("i", input(&[2, size, size])),
            ("p", pool(2, pool_padding)),
            ("c", convolution([3, 2, 3, 3], 1, 1)),
            ("n", fire()),
        ];
        lowered(&row(nodes)).graph.projections.as_slice()[0].clone()
    };
    let joined = with(0, 8);
    let Connectivity::Convolution(g) = &joined.connectivity else { panic!("{:?}", joined.connectivity) };
    assert_eq!((g.kernel, g.stride, g.padding, g.groups), ([6, 6], [2, 2], [2, 2], 1));
    assert_eq!((g.input, g.output), ([2, 8, 8], [3, 4, 4]));
    assert_eq!(joined.item, "nodes/c");
    // The pool leaves the ninth row out; the convolution's padding would let it in again.
    assert!(!matches!(with(0, 9).connectivity, Connectivity::Convolution(_)));
}

#[test]
fn a_lone_pool_is_a_convolution_by_channel_and_behind_it_a_matrix_makes_all_dense() {
    let ir = lowered(&row(vec![("i", input(&[2, 4, 4])), ("p", pool(2, 0)), ("n", fire())]));
    let (shell, weights) = projection(&ir, "i->n");
    let Connectivity::Convolution(g) = &shell.connectivity else { panic!("{:?}", shell.connectivity) };
    assert_eq!((g.groups, weights), (2, &[0.25; 8][..]));

    let matrix = Node::Affine(dense([3, 8], &counting(24)));
    let nodes = vec![("i", input(&[2, 4, 4])), ("p", pool(2, 0)), ("f", flatten()), ("w", matrix), ("n", fire())];
    let ir = lowered(&row(nodes));
    let (shell, weights) = projection(&ir, "i->n");
    assert_eq!(shell.connectivity, Connectivity::Dense);
    // Target 1, source (channel 1, row 2, column 3): pooled element 4 + 2 + 1 = 7, weight 1·8 + 7 + 1.
    assert_eq!(weights[32 + 16 + 2 * 4 + 3], 16.0 / 4.0);
}

#[test]
fn direct_edges_and_scales_stay_one_to_one_and_parallel_paths_are_numbered() {
    let scale = |factors: &[f64]| Node::Scale { scale: Tensor::vector(factors.to_vec()) };
    let net = network(
        vec![
            ("i", input(&[2])),
            ("s", scale(&[2.0, 3.0])),
            ("n", neuron(NeuronModel::If, |n| n.r = Param::Uniform(5.0))),
        ],
        &[("i", "n"), ("i", "s"), ("s", "n")],
    );
    let ir = lowered(&net);
    assert_eq!(projection(&ir, "i->n").0.connectivity, Connectivity::OneToOne { shared: true });
    assert_eq!(projection(&ir, "i->n").1, [5.0]);
    assert_eq!(projection(&ir, "i->n#2").1, [10.0, 15.0]);
}

#[test]
fn scales_around_convolutions_stay_compact_by_channel_and_become_lists_otherwise() {
    let scale = |factors: Vec<f64>| Node::Scale { scale: Tensor::new(vec![2, 2, 2], factors) };
    let connectivity = |factors: Vec<f64>| {
        let net = row(vec![
            ("i", input(&[2, 2, 2])),
            ("s", scale(factors.clone())),
            ("c", convolution([2, 2, 1, 1], 1, 0)),
            ("t", scale(factors)),
            ("n", fire()),
        ]);
        let ir = lowered(&net);
        let (shell, weights) = projection(&ir, "i->n");
        (shell.connectivity.clone(), weights.to_vec())
    };
    let (by_channel, weights) = connectivity(vec![1.0, 1.0, 1.0, 1.0, 10.0, 10.0, 10.0, 10.0]);
    assert!(matches!(by_channel, Connectivity::Convolution(_)));
    assert_eq!(weights, [1.0, 20.0, 30.0, 400.0]);
    let (by_position, weights) = connectivity(vec![1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    assert!(matches!(by_position, Connectivity::Sparse(_)));
    assert_eq!(weights[2..4], [4.0, 6.0]);
}

#[test]
fn delays_of_sources_synapses_and_targets() {
    let mut affine = dense([2, 2], &counting(4));
    affine.delay = SynapseDelay::PerSynapse(vec![0, 1, 2, 3]);
    let delays = |nodes: Vec<(&str, Node)>| {
        let ir = lowered(&row(nodes));
        ir.graph.projections.as_slice()[0].delays.clone()
    };
    let per_source = vec![
        ("i", input(&[2])),
        ("d", delay(&[0, 4])),
        ("w", Node::Affine(dense([2, 2], &counting(4)))),
        ("n", fire()),
    ];
    assert_eq!(delays(per_source), Delays::PerSource(vec![1, 5]));
    let all = vec![("i", input(&[2])), ("d", delay(&[0, 10])), ("w", Node::Affine(affine.clone())), ("n", fire())];
    assert_eq!(delays(all), Delays::PerSynapse(vec![1, 12, 3, 14]));
    let behind = vec![("i", input(&[2])), ("w", Node::Affine(affine.clone())), ("d", delay(&[0, 10])), ("n", fire())];
    assert_eq!(delays(behind), Delays::PerSynapse(vec![1, 2, 13, 14]));
    let uniform =
        vec![("i", input(&[2])), ("w", Node::Affine(dense([2, 2], &counting(4)))), ("d", delay(&[3])), ("n", fire())];
    assert_eq!(delays(uniform), Delays::Uniform(4));
    // Two different delays on the way of one synapse.
    let second = Node::Affine(dense([2, 2], &counting(4)));
    let net = row(vec![("i", input(&[2])), ("a", Node::Affine(affine)), ("b", second), ("n", fire())]);
    assert_eq!(problem(&net), (code::UNSUPPORTED_BY_CHIP, "nodes/b".into()));
}

#[test]
fn sparse_matrices_keep_weights_and_delays_together() {
    let weight = Matrix::Sparse {
        shape: (3, 2),
        rows: vec![2, 0, 1, 0],
        columns: vec![1, 1, 0, 0],
        values: vec![1.0, 2.0, 3.0, 4.0],
    };
    let affine = Affine { weight, bias: None, delay: SynapseDelay::PerSynapse(vec![5, 6, 7, 8]) };
    let ir = lowered(&row(vec![("i", input(&[2])), ("w", Node::Affine(affine)), ("n", fire())]));
    let (shell, weights) = projection(&ir, "i->n");
    assert_eq!(weights, [4.0, 3.0, 2.0, 1.0]);
    assert_eq!(shell.delays, Delays::PerSynapse(vec![9, 8, 7, 6]));
    let mut synapses = Vec::new();
    shell.fan_out(1, |synapse| synapses.push((synapse.other, synapse.weight)));
    assert_eq!(synapses, [(0, 2), (2, 3)]);
}

#[test]
fn latencies_pad_short_paths_and_self_loops_keep_their_step() {
    let net = network(
        vec![
            ("i", input(&[1])),
            ("a", fire()),
            ("b", fire()),
            ("w", Node::Affine(dense([1, 1], &[1.0]))),
            ("o", output(&[1])),
        ],
        &[("i", "a"), ("a", "b"), ("i", "b"), ("b", "w"), ("w", "b"), ("b", "o")],
    );
    let ir = lowered(&net);
    let latency: Vec<u32> = ir.graph.populations.iter().map(|p| p.latency_steps).collect();
    assert_eq!(latency, [0, 1, 2]);
    assert_eq!(projection(&ir, "i->b").0.delays, Delays::Uniform(2));
    assert_eq!(projection(&ir, "b->b").0.delays, Delays::Uniform(1));
    let plain = lower(&net, &LowerOptions { align: false, ..LowerOptions::default() }).unwrap().ir;
    assert!(plain.graph.populations.iter().all(|p| p.latency_steps == 0));
    assert!(plain.graph.projections.iter().all(|p| p.delays == Delays::Uniform(1)));
}

#[test]
fn a_loop_over_two_populations_needs_permission() {
    let net = network(
        vec![("i", input(&[1])), ("a", fire()), ("b", fire()), ("o", output(&[1]))],
        &[("i", "a"), ("a", "b"), ("b", "a"), ("b", "o")],
    );
    let problems = lower(&net, &LowerOptions::default()).unwrap_err();
    assert_eq!(problems.0[0].code, code::LOOP_LATENCY);
    assert!(problems.0[0].message.contains("a -> b -> a takes 1 step(s) in the network, and at least 2"));
    let lowered = lower(&net, &LowerOptions { allow_loop_latency: true, ..LowerOptions::default() }).unwrap();
    assert_eq!(lowered.warnings[0].code, code::LOOP_LATENCY);
    assert!(lowered.ir.graph.projections.iter().all(|p| p.delays == Delays::Uniform(1)));
}

/// A constant of `constant` for each neuron and a population that resets by subtraction.
fn subtracting(model: NeuronModel, constant: &[f64], change: impl FnOnce(&mut Neuron)) -> Network {
    let biased = Affine { bias: Some(Tensor::vector(constant.to_vec())), ..dense([constant.len(), 1], constant) };
    let node = neuron(model, |n| {
        n.reset = Reset::BySubtraction;
        change(n);
    });
    row(vec![("i", input(&[1])), ("w", Node::Affine(biased)), ("n", node), ("o", output(&[constant.len()]))])
}

#[test]
fn a_spike_subtracts_from_the_current() {
    let net = subtracting(NeuronModel::If, &[0.5, -0.25], |n| {
        n.r = Param::Uniform(2.0);
        n.v_reset = Param::Uniform(-0.5);
        n.v_threshold = Param::PerNeuron(vec![1.5, 1.0]);
        n.v_initial = Param::Uniform(0.25);
    });
    let ir = lowered(&net);
    let n = params(&ir, "n");
    assert_eq!((n.current_keep.get(0), n.voltage_keep.get(0)), (1.0, 0.0));
    assert_eq!(n.threshold, Param::PerNeuron(vec![2.0, 1.5]));
    // The membrane starts at v_initial = u + v_initial, and the current at 0.
    assert_eq!((n.bias.get(0), n.u_initial.get(0), n.v_offset.get(0)), (0.75, 0.0, -0.5));
    let (shell, weights) = projection(&ir, "n->n (reset)");
    assert_eq!((&shell.connectivity, weights), (&Connectivity::OneToOne { shared: false }, &[-2.0, -1.5][..]));
    assert_eq!(ir.graph.reset_projection(PopulationId(1)), Some(ProjectionId(1)));
    let (shell, weights) = projection(&ir, "n.bias->n");
    assert_eq!(
        (&shell.connectivity, weights, &shell.delays),
        (&Connectivity::Dense, &[1.0, -0.5][..], &Delays::Uniform(1))
    );
    let constants = &ir.graph.populations[PopulationId(2)];
    assert_eq!((&constants.name[..], constants.len(), constants.latency_steps), ("n.bias", 1, 0));
    assert_eq!(ir.graph.populations[PopulationId(1)].latency_steps, 1);
    assert!(ir.graph.sends_constants(PopulationId(2)) && !ir.graph.sends_constants(PopulationId(1)));

    let net = subtracting(NeuronModel::Lif, &[0.0, 0.0, 0.8], |n| {
        n.v_leak = Param::Uniform(0.5);
        n.v_reset = Param::Uniform(0.25);
        n.v_threshold = Param::Uniform(1.25);
    });
    let ir = lowered(&net);
    let n = params(&ir, "n");
    assert_eq!((n.current_keep.get(0), n.voltage_keep.get(0), n.threshold.get(0)), (0.75, 0.0, 1.0));
    // The current is the membrane above v_leak, so the leak is its decay.
    assert_eq!((n.bias.get(0), n.u_initial.get(0), n.v_offset.get(0)), (0.25, -0.5, 0.25));
    assert_eq!(projection(&ir, "n->n (reset)").1, [-0.75; 3]);
    let (shell, weights) = projection(&ir, "n.bias->n");
    let pattern = SparsePattern { row_starts: vec![0, 1], targets: vec![2] };
    assert_eq!((&shell.connectivity, weights), (&Connectivity::Sparse(pattern), &[0.2][..]));
}

#[test]
fn what_adds_nothing_up_needs_neither_reset_nor_constants() {
    let ir = lowered(&subtracting(NeuronModel::Lif, &[0.5], |n| n.tau_mem_s = Param::Uniform(1.0)));
    assert_eq!((ir.graph.populations.len(), ir.graph.projections.len()), (2, 1));
    assert_eq!(params(&ir, "n").bias, Param::Uniform(0.5));
    let ir = lowered(&subtracting(NeuronModel::If, &[0.0], |_| {}));
    assert_eq!((ir.graph.populations.len(), ir.graph.projections.len()), (2, 2));
}

#[test]
fn a_name_that_is_taken_is_numbered() {
    let mut net = subtracting(NeuronModel::If, &[0.5], |_| {});
    net.nodes.push(NetworkNode { name: "n.bias".into(), node: fire() });
    let (input, other) = (net.find("i").unwrap(), net.find("n.bias").unwrap());
    net.edges.push(Edge { source: input, target: other });
    let ir = lowered(&net);
    let names: Vec<&str> = ir.graph.populations.iter().map(|population| &population.name[..]).collect();
    assert_eq!(names, ["i", "n", "n.bias", "n.bias#2"]);
}

#[test]
fn resets_without_an_exact_form_are_refused_with_the_way_out() {
    type Change = fn(&mut Neuron);
    let cases: [(NeuronModel, Change, &str); 4] = [
        (NeuronModel::If, |n| n.reset = Reset::SnntorchSubtract, "resets as snnTorch does"),
        (NeuronModel::CubaLif, |_| {}, "behind a synaptic filter"),
        (NeuronModel::If, |n| n.v_min = Some(-1.0), "has a lower bound"),
        (NeuronModel::Lif, |n| n.refractory_steps = Param::Uniform(2), "rests after a spike"),
    ];
    for (model, change, reason) in cases {
        let net = subtracting(model, &[0.5], change);
        let problems = lower(&net, &LowerOptions::default()).unwrap_err();
        assert_eq!(
            (problems.0[0].code, problems.0[0].item.as_deref()),
            (code::UNSUPPORTED_BY_CHIP, Some("nodes/n/reset"))
        );
        assert!(problems.0[0].message.contains(reason), "{}", problems.0[0]);
        assert!(problems.0[0].help[0].contains("--approximate-reset"), "{reason}");
        let options = LowerOptions { reset: Some(Reset::ToValue), ..LowerOptions::default() };
        let approximated = lower(&net, &options).unwrap();
        assert_eq!(approximated.warnings[0].code.number(), "SNN0205");
        assert_eq!(approximated.ir.graph.projections.len(), 1);
    }
}

#[test]
fn what_has_no_exact_form_is_refused() {
    let li = || neuron(NeuronModel::Li, |_| {});
    let analog = row(vec![("i", input(&[1])), ("li", li()), ("n", fire())]);
    assert_eq!(problem(&analog), (code::UNSUPPORTED_BY_CHIP, "nodes/li".into()));
    let scale = Node::Scale { scale: Tensor::vector(vec![2.0]) };
    let linear = row(vec![("i", input(&[1])), ("n", fire()), ("s", scale), ("o", output(&[1]))]);
    assert_eq!(problem(&linear), (code::NO_NEURONS, "nodes/o".into()));
    let empty = row(vec![("i", input(&[1])), ("o", output(&[1]))]);
    assert_eq!(problem(&empty), (code::NO_NEURONS, "nodes/o".into()));
    let sum = network(
        vec![("i", input(&[1])), ("a", fire()), ("b", fire()), ("o", output(&[1]))],
        &[("i", "a"), ("i", "b"), ("a", "o"), ("b", "o")],
    );
    assert_eq!(problem(&sum), (code::UNSUPPORTED_BY_CHIP, "nodes/o".into()));
    let mut timeless = row(vec![("i", input(&[1])), ("li", li()), ("o", output(&[1]))]);
    timeless.dt_s = None;
    assert_eq!(problem(&timeless).0, code::DT_REQUIRED);
}

fn compartments() -> Node {
    Node::Compartments(Compartments {
        shape: vec![2],
        decay_u: Param::Uniform(4095),
        decay_v: Param::Uniform(0),
        threshold_mantissa: Param::Uniform(1),
        bias_mantissa: Param::Uniform(0),
        bias_exponent: Param::Uniform(0),
        refractory: Param::Uniform(1),
        v_min_exponent: None,
        v_max_exponent: None,
        u_initial: Param::Uniform(0),
        v_initial: Param::Uniform(0),
        reset: Default::default(),
        noise: None,
    })
}

#[test]
fn a_chips_integers_pass_and_do_not_mix_with_floats() {
    let synapses = || {
        Node::Synapses(Synapses {
            weight: Matrix::Sparse { shape: (2, 3), rows: vec![1, 0], columns: vec![2, 1], values: vec![-3, 4] },
            exponent: 2,
            weight_bits: 8,
            sign_mode: SignMode::Mixed,
            delay: SynapseDelay::PerSynapse(vec![1, 0]),
        })
    };
    let net = row(vec![("i", input(&[3])), ("s", synapses()), ("c", compartments()), ("o", output(&[2]))]);
    let ir = lowered(&net);
    let shell = &ir.graph.projections.as_slice()[0];
    assert_eq!((shell.delays.clone(), &shell.item[..]), (Delays::PerSynapse(vec![1, 2]), "nodes/s"));
    let IrWeights::Integer(weights) = &ir.weights[ProjectionId(0)] else { panic!("floats") };
    assert_eq!((&weights.mantissas[..], weights.exponent), (&[4, -3][..], 2));
    assert!(matches!(ir.neurons[PopulationId(1)], Some(IrNeurons::Integer(_))));

    let affine = || Node::Affine(dense([2, 3], &counting(6)));
    let floats_in = row(vec![("i", input(&[3])), ("w", affine()), ("c", compartments())]);
    assert_eq!(problem(&floats_in), (code::UNSUPPORTED_BY_CHIP, "nodes/w".into()));
    let integers_in = row(vec![("i", input(&[3])), ("s", synapses()), ("n", fire())]);
    assert_eq!(problem(&integers_in), (code::UNSUPPORTED_BY_CHIP, "nodes/s".into()));
    let direct = row(vec![("i", input(&[2])), ("c", compartments())]);
    assert_eq!(problem(&direct), (code::UNSUPPORTED_BY_CHIP, "edges/0".into()));
    let both = row(vec![
        ("i", input(&[3])),
        ("s", synapses()),
        ("w", Node::Affine(dense([2, 2], &counting(4)))),
        ("c", compartments()),
    ]);
    assert_eq!(problem(&both), (code::UNSUPPORTED_BY_CHIP, "nodes/w".into()));
}

#[test]
fn unused_populations_stay_and_are_named() {
    let net = network(
        vec![("i", input(&[1])), ("a", fire()), ("b", fire()), ("o", output(&[1]))],
        &[("i", "a"), ("i", "b"), ("b", "o")],
    );
    let lowered = lower(&net, &LowerOptions::default()).unwrap();
    assert_eq!(lowered.ir.graph.populations.len(), 3);
    let warned: Vec<_> = lowered.warnings.iter().map(|w| (w.code, w.item.as_deref().unwrap())).collect();
    assert_eq!(warned, [(code::UNREACHABLE, "nodes/a")]);
}

#[test]
fn paths_that_explode_are_refused() {
    let mut nodes = vec![("i".to_owned(), input(&[1]))];
    let mut edges = Vec::new();
    let mut last = vec!["i".to_owned()];
    for level in 0..20 {
        let pair = [format!("a{level}"), format!("b{level}")];
        for name in &pair {
            nodes.push((name.clone(), flatten()));
            edges.extend(last.iter().map(|source| (source.clone(), name.clone())));
        }
        last = pair.to_vec();
    }
    nodes.push(("n".into(), fire()));
    edges.extend(last.iter().map(|source| (source.clone(), "n".to_owned())));
    let nodes = nodes.iter().map(|(name, node)| (&name[..], node.clone())).collect();
    let edges: Vec<(&str, &str)> = edges.iter().map(|(s, t)| (&s[..], &t[..])).collect();
    assert_eq!(problem(&network(nodes, &edges)), (code::UNSUPPORTED_BY_CHIP, "nodes/i".into()));
}

/// A matrix may feed a convolution, and a convolution a matrix in any shape: the maps are those without a reshape.
#[test]
fn a_reshape_leaves_maps_as_they_are() {
    let reshape = |shape: &[usize]| Node::Reshape { shape: shape.to_vec() };
    let affine = || Node::Affine(dense([3, 8], &counting(24)));
    let weights = |network: &Network| lowered(network).weights.as_slice().to_vec();
    let plain = row(vec![
        ("i", input(&[2, 4, 4])),
        ("p", pool(2, 0)),
        ("n", fire()),
        ("f", flatten()),
        ("w", affine()),
        ("m", fire()),
        ("o", output(&[3])),
    ]);
    let reshaped = row(vec![
        ("i", input(&[32])),
        ("r", reshape(&[2, 4, 4])),
        ("p", pool(2, 0)),
        ("n", fire()),
        ("s", reshape(&[4, 2])),
        ("f", flatten()),
        ("w", affine()),
        ("m", fire()),
        ("t", reshape(&[3, 1])),
        ("o", output(&[3, 1])),
    ]);
    assert_eq!(weights(&reshaped), weights(&plain));
    let connectivity = |network: &Network| {
        lowered(network).graph.projections.iter().map(|p| p.connectivity.clone()).collect::<Vec<_>>()
    };
    assert_eq!(connectivity(&reshaped), connectivity(&plain));
}
