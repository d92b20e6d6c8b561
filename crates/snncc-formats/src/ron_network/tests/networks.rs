//! A generator of random networks with every kind of node, all of them such as the reader accepts.

use proptest::prelude::*;
use snncc_ids::{IdVec, NodeId};
use snncc_ir::ann::Activation;
use snncc_ir::network::*;
use snncc_ir::{
    Calibration, EarlyExit, NoiseParams, NoiseTarget, Param, PopulationStatistics, ResetModel, SignMode, Tensor,
};

/// Numbers of many sizes, `f32` and `f64`, negative zero among them.
fn number() -> BoxedStrategy<f64> {
    prop_oneof![
        -10.0..10.0_f64,
        any::<f32>().prop_filter("finite", |value| value.is_finite()).prop_map(f64::from),
        any::<f64>().prop_filter("finite", |value| value.is_finite()),
        Just(-0.0),
        (-5_i32..5).prop_map(f64::from),
    ]
    .boxed()
}

fn vector<T: std::fmt::Debug>(count: usize, element: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(element, count)
}

fn param<T: Clone + std::fmt::Debug + 'static>(
    count: usize,
    element: impl Strategy<Value = T> + Clone + 'static,
) -> BoxedStrategy<Param<T>> {
    prop_oneof![element.clone().prop_map(Param::Uniform), vector(count, element).prop_map(Param::PerNeuron)].boxed()
}

fn tensor(shape: Vec<usize>) -> impl Strategy<Value = Tensor> {
    vector(shape.iter().product(), number()).prop_map(move |data| Tensor::new(shape.clone(), data))
}

fn matrix<T: Clone + std::fmt::Debug + 'static>(
    element: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = (Matrix<T>, SynapseDelay)> {
    let dense = ((1_usize..4), (1_usize..4), element.clone());
    let dense = dense.prop_flat_map({
        let element = element.clone();
        move |(outputs, inputs, _)| {
            vector(outputs * inputs, element.clone())
                .prop_map(move |data| Matrix::Dense(Tensor::new(vec![outputs, inputs], data)))
        }
    });
    let sparse = prop::collection::btree_set((0_u32..5, 0_u32..6), 0..6).prop_flat_map(move |places| {
        let places: Vec<(u32, u32)> = places.into_iter().rev().collect();
        vector(places.len(), element.clone()).prop_map(move |values| Matrix::Sparse {
            shape: (5, 6),
            rows: places.iter().map(|place| place.0).collect(),
            columns: places.iter().map(|place| place.1).collect(),
            values,
        })
    });
    prop_oneof![dense.boxed(), sparse.boxed()].prop_flat_map(|matrix| {
        let delay = prop_oneof![
            Just(SynapseDelay::None),
            (1_u32..9).prop_map(SynapseDelay::Uniform),
            vector(matrix.len(), 0_u32..9).prop_map(SynapseDelay::PerSynapse),
        ];
        (Just(matrix), delay)
    })
}

fn shape_and_count() -> impl Strategy<Value = (Vec<usize>, usize)> {
    prop::collection::vec(1_usize..4, 1..4).prop_map(|shape| {
        let count = shape.iter().product();
        (shape, count)
    })
}

fn neuron() -> impl Strategy<Value = Node> {
    let models =
        [NeuronModel::I, NeuronModel::If, NeuronModel::Li, NeuronModel::Lif, NeuronModel::CubaLi, NeuronModel::CubaLif];
    (shape_and_count(), any::<bool>(), prop::sample::select(models.to_vec())).prop_flat_map(
        |((shape, count), has_shape, model)| {
            let floats =
                (param(count, number()), param(count, number()), param(count, number()), param(count, number()));
            let taus = (param(count, 0.01..1.0), param(count, 0.01..1.0));
            let thresholds = (param(count, 0.5..2.0), param(count, -1.0..0.4), prop::option::of(-3.0..-1.0));
            let resets = prop::sample::select(vec![Reset::ToValue, Reset::BySubtraction, Reset::SnntorchSubtract]);
            let comparisons = prop::sample::select(vec![Comparison::Greater, Comparison::GreaterOrEqual]);
            let i_initial = param(count, number());
            (floats, taus, thresholds, param(count, 1_u32..5), resets, comparisons, i_initial).prop_map(
                move |(floats, taus, thresholds, refractory_steps, reset, comparison, i_initial)| {
                    let mut neuron = Neuron::new(model);
                    neuron.shape = has_shape.then(|| shape.clone());
                    (neuron.r, neuron.v_initial, neuron.v_min) = (floats.0, floats.1, thresholds.2);
                    if model.leaks() {
                        (neuron.tau_mem_s, neuron.v_leak) = (taus.0, floats.2);
                    }
                    if model.filters() {
                        (neuron.tau_syn_s, neuron.w_in, neuron.i_initial) = (taus.1, floats.3, i_initial);
                    }
                    if model.spikes() {
                        (neuron.v_threshold, neuron.v_reset) = (thresholds.0, thresholds.1);
                        (neuron.refractory_steps, neuron.reset) = (refractory_steps, reset);
                        neuron.comparison = comparison;
                    }
                    Node::Neuron(neuron)
                },
            )
        },
    )
}

fn compartments() -> impl Strategy<Value = Node> {
    shape_and_count().prop_flat_map(|(shape, count)| {
        let registers = vector(8, param(count, any::<i64>()));
        let reset = prop_oneof![
            Just(ResetModel::Lif),
            (1_u32..9, 0_u32..9).prop_map(|(interval, offset)| ResetModel::Periodic { interval, offset }),
            any::<i32>().prop_map(|lower_threshold_mantissa| ResetModel::Ternary { lower_threshold_mantissa }),
        ];
        let target = prop::sample::select(vec![NoiseTarget::Dendrite, NoiseTarget::Membrane]);
        let samples = prop::collection::vec(vector(count, any::<i32>()), 0..3);
        let noise =
            (any::<u8>(), any::<i32>(), target, samples).prop_map(|(exponent, mantissa_offset, target, samples)| {
                NoiseParams { exponent, mantissa_offset, target, samples }
            });
        let clips = (any::<Option<u8>>(), any::<Option<u8>>());
        (registers, reset, prop::option::of(noise), clips).prop_map(move |(registers, reset, noise, clips)| {
            let mut registers = registers.into_iter();
            let mut next = || registers.next().unwrap();
            Node::Compartments(Compartments {
                shape: shape.clone(),
                decay_u: next(),
                decay_v: next(),
                threshold_mantissa: next(),
                bias_mantissa: next(),
                bias_exponent: next(),
                refractory: next(),
                v_min_exponent: clips.0,
                v_max_exponent: clips.1,
                u_initial: next(),
                v_initial: next(),
                reset,
                noise,
            })
        })
    })
}

fn convolution() -> impl Strategy<Value = Node> {
    let kernel = |dimensions: usize| prop::collection::vec(1_usize..4, dimensions);
    (1_usize..3, 1_usize..3).prop_flat_map(move |(spatial, groups)| {
        let lengths = (kernel(spatial), kernel(spatial), kernel(spatial), prop::option::of(kernel(spatial)));
        (kernel(spatial), lengths, 0_u8..3, any::<bool>(), 0_u32..3).prop_flat_map(
            move |(kernel, (stride, dilation, padding, input_shape), padding_kind, has_bias, delay)| {
                let mut shape = vec![2 * groups, 2];
                shape.extend(kernel);
                let (stride, padding) = match padding_kind {
                    0 => (vec![1; spatial], Padding::Same),
                    1 => (stride, Padding::Valid),
                    _ => (stride, Padding::Explicit(padding.iter().map(|length| length - 1).collect())),
                };
                (tensor(shape), tensor(vec![2 * groups])).prop_map(move |(weight, bias)| {
                    Node::Convolution(Convolution {
                        dimensions: spatial as u8,
                        weight,
                        bias: has_bias.then_some(bias),
                        stride: stride.clone(),
                        padding: padding.clone(),
                        dilation: dilation.clone(),
                        groups,
                        input_shape: input_shape.clone(),
                        delay,
                    })
                })
            },
        )
    })
}

fn other_node() -> impl Strategy<Value = Node> {
    let shape = || shape_and_count().prop_map(|(shape, _)| shape);
    prop_oneof![
        shape().prop_map(|shape| Node::Input { shape }),
        shape().prop_map(|shape| Node::Output { shape }),
        shape().prop_map(|shape| Node::Reshape { shape }),
        (matrix(number()), any::<bool>()).prop_flat_map(|((weight, delay), has_bias)| {
            tensor(vec![weight.dimensions().unwrap().0]).prop_map(move |bias| {
                let (weight, delay) = (weight.clone(), delay.clone());
                Node::Affine(Affine { weight, bias: has_bias.then_some(bias), delay })
            })
        }),
        prop_oneof![Just(vec![]), shape(), Just(vec![2, 0, 3])]
            .prop_flat_map(|shape| tensor(shape).prop_map(|scale| Node::Scale { scale })),
        (1_usize..4, 1_usize..4, 0_usize..3, any::<bool>()).prop_map(|(kernel, stride, padding, sums)| {
            let kind = if sums { PoolKind::Sum } else { PoolKind::Average };
            Node::Pool(Pool { kind, kernel: [kernel, 2], stride: [stride, 2], padding: [padding, 0] })
        }),
        (1_usize..4, 1_usize..4).prop_map(|(kernel, stride)| Node::GatedPool(GatedPool {
            kernel: [kernel, 3],
            stride: [stride, 3],
            padding: [0, 2]
        })),
        (shape_and_count(), any::<bool>(), any::<u64>(), any::<f32>()).prop_flat_map(
            |((shape, count), has_shape, seed, slope)| {
                param(count, number()).prop_map(move |gain| {
                    let slope = if slope.is_finite() { slope } else { 0.5 };
                    let function = match seed % 3 {
                        0 => Activation::LeakyRelu { slope },
                        1 => Activation::Gelu { tanh: has_shape },
                        _ => Activation::Clip { min: -0.25, max: slope },
                    };
                    let spiking = if seed % 2 == 0 { Spiking::Poisson } else { Spiking::Regular };
                    let shape = has_shape.then(|| shape.clone());
                    Node::RateNeuron(RateNeuron { shape, gain, seed, spiking, ..RateNeuron::new(function) })
                })
            }
        ),
        (0_i64..2, -1_i64..1)
            .prop_map(|(start_dim, end)| Node::Flatten { start_dim, end_dim: end * 2 + 2 + start_dim }),
        (shape_and_count(), any::<bool>()).prop_flat_map(|((shape, count), has_shape)| {
            param(count, number()).prop_map(move |threshold| {
                let shape = has_shape.then(|| shape.clone());
                Node::Threshold(Threshold { shape, threshold, comparison: Comparison::GreaterOrEqual })
            })
        }),
        (shape_and_count(), any::<bool>()).prop_flat_map(|((shape, count), has_shape)| {
            let seconds = param(count, 0.0..1.0).prop_map(DelayTime::Seconds);
            prop_oneof![seconds, param(count, 0_u32..9).prop_map(DelayTime::Steps)]
                .prop_map(move |delay| Node::Delay { delay, shape: has_shape.then(|| shape.clone()) })
        }),
        (matrix(any::<i32>()), any::<i8>(), any::<u8>()).prop_map(|((weight, delay), exponent, weight_bits)| {
            Node::Synapses(Synapses { weight, exponent, weight_bits, sign_mode: SignMode::Mixed, delay })
        }),
    ]
}

pub(super) fn network() -> impl Strategy<Value = Network> {
    let node = prop_oneof![neuron(), compartments(), convolution(), other_node()];
    let nodes = prop::collection::btree_map("[a-z.\"'\\\\é{( ]{1,6}", node, 1..8);
    (nodes, prop::option::of(1e-4..1e-2_f64), any::<bool>()).prop_flat_map(|(nodes, dt_s, has_mapping)| {
        let count = nodes.len() as u32;
        let edges = prop::collection::btree_set((0..count, 0..count), 0..6);
        edges.prop_map(move |edges| {
            let nodes: IdVec<NodeId, NetworkNode> =
                nodes.iter().map(|(name, node)| NetworkNode { name: name.clone(), node: node.clone() }).collect();
            // Only groups of neurons are mapped.
            let mapped = nodes
                .iter()
                .find(|node| matches!(node.node, Node::Neuron(_) | Node::Compartments(_) | Node::Threshold(_)));
            let has_mapping = has_mapping && mapped.is_some();
            let name = mapped.map_or(String::new(), |node| node.name.clone());
            let mapping = MappingRequest {
                pins: vec![
                    Pin { population: name.clone(), neurons: None, core: 7 },
                    Pin { population: name.clone(), neurons: Some((0, 1)), core: 8 },
                ],
                reserved_cores: vec![1, 2],
                exclusive: vec![name.clone()],
                split: vec![(name, 3)],
            };
            Network {
                dt_s,
                edges: edges.iter().map(|&(a, b)| Edge { source: NodeId(a), target: NodeId(b) }).collect(),
                mapping: if has_mapping { mapping } else { MappingRequest::default() },
                run: if has_mapping { run(&nodes) } else { RunDefaults::default() },
                calibration: if has_mapping { calibration(&nodes) } else { Calibration::default() },
                nodes,
            }
        })
    })
}

fn calibration(nodes: &IdVec<NodeId, NetworkNode>) -> Calibration {
    let of = |node: &NetworkNode| {
        let Node::Input { shape } = &node.node else { return None };
        let rates = (0..shape.iter().product()).map(|index: usize| index as f64 / 3.0).collect();
        Some(PopulationStatistics {
            name: node.name.clone(),
            rates,
            input_max: 2.5,
            v_min: -1e3,
            v_max: f64::NEG_INFINITY,
        })
    };
    Calibration { populations: nodes.iter().filter_map(of).collect() }
}

fn run(nodes: &IdVec<NodeId, NetworkNode>) -> RunDefaults {
    let inputs = nodes.iter().filter(|node| matches!(node.node, Node::Input { .. }));
    RunDefaults {
        coding: Some("rate-rounded".to_owned()),
        steps: Some(32),
        input_steps: Some(7),
        corrected_for: Some(31),
        ranges: inputs.map(|node| (node.name.clone(), (-0.1, 1e300))).collect(),
        early_exit: Some(EarlyExit { margin: 0.7, first_step: 3 }),
    }
}
