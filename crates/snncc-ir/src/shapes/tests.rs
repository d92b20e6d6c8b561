//! Hand-computed shapes, and one network per kind of error.

use super::*;
use crate::network::{Affine, Convolution, Edge, Matrix, NetworkNode, Neuron, NeuronModel, Padding, Pool, PoolKind};
use crate::tensor::{Param, Tensor};

fn network(nodes: Vec<(&str, Node)>, edges: &[(&str, &str)]) -> Network {
    let nodes = nodes.into_iter().map(|(name, node)| NetworkNode { name: name.into(), node }).collect();
    let mut network = Network { nodes, ..Network::default() };
    network.edges = edges
        .iter()
        .map(|(s, t)| Edge { source: network.find(s).unwrap(), target: network.find(t).unwrap() })
        .collect();
    network
}

fn input(shape: &[usize]) -> Node {
    Node::Input { shape: shape.to_vec() }
}

fn affine(outputs: usize, inputs: usize) -> Node {
    let weight = Matrix::Dense(Tensor::new(vec![outputs, inputs], vec![0.0; outputs * inputs]));
    Node::Affine(Affine { weight, bias: None, delay: Default::default() })
}

fn neurons() -> Node {
    Node::Neuron(Neuron::new(NeuronModel::If))
}

fn convolution(weight: &[usize], stride: &[usize], padding: Padding, dilation: &[usize], groups: usize) -> Convolution {
    Convolution {
        dimensions: stride.len() as u8,
        weight: Tensor::new(weight.to_vec(), vec![0.0; weight.iter().product()]),
        bias: None,
        stride: stride.to_vec(),
        padding,
        dilation: dilation.to_vec(),
        groups,
        input_shape: None,
        delay: 0,
    }
}

fn output_of(network: &Network, name: &str) -> Vec<usize> {
    infer(network).unwrap().output[network.find(name).unwrap()].clone()
}

#[test]
fn a_kernel_that_is_not_square_is_counted_per_dimension() {
    let conv = convolution(&[4, 2, 3, 5], &[1, 1], Padding::Valid, &[1, 1], 1);
    let net = network(vec![("i", input(&[2, 8, 10])), ("c", Node::Convolution(conv))], &[("i", "c")]);
    assert_eq!(output_of(&net, "c"), [4, 6, 6]);
    // floor((8 + 2 − 2·2 − 1) / 2 + 1) = 3, floor((10 + 4 − 1·4 − 1) / 3 + 1) = 4
    let conv = convolution(&[4, 1, 3, 5], &[2, 3], Padding::Explicit(vec![1, 2]), &[2, 1], 2);
    let net = network(vec![("i", input(&[2, 8, 10])), ("c", Node::Convolution(conv))], &[("i", "c")]);
    assert_eq!(output_of(&net, "c"), [4, 3, 4]);
}

#[test]
fn same_padding_keeps_the_size_and_puts_the_odd_zero_at_the_end() {
    let conv = convolution(&[1, 1, 4], &[1], Padding::Same, &[1], 1);
    let geometry = convolution_geometry(&conv, &[1, 9]).unwrap();
    assert_eq!((geometry.output, geometry.padding), ([1, 1, 9], [0, 1]));
}

#[test]
fn shapes_pass_a_cycle_a_pool_and_a_flatten() {
    let pool = Pool { kind: PoolKind::Sum, kernel: [2, 2], stride: [2, 2], padding: [0, 1] };
    let net = network(
        vec![
            ("rec", affine(18, 18)),
            ("n", neurons()),
            ("i", input(&[3, 5, 4])),
            ("p", Node::Pool(pool)),
            ("f", Node::Flatten { start_dim: -2, end_dim: -1 }),
            ("o", Node::Output { shape: vec![18] }),
        ],
        &[("rec", "n"), ("n", "rec"), ("p", "f"), ("f", "n"), ("i", "p"), ("n", "o")],
    );
    assert_eq!(output_of(&net, "p"), [3, 2, 3]);
    assert_eq!(output_of(&net, "n"), [3, 6]);
}

#[test]
fn shapes_agree_when_the_elements_keep_their_order() {
    assert!(agree(&[1, 1, 10], &[10]));
    assert!(agree(&[16, 4, 4], &[256]));
    assert!(agree(&[16, 16], &[16, 4, 4]));
    assert!(agree(&[1], &[1, 1, 1]));
    assert!(agree(&[], &[1]));
    assert!(!agree(&[28, 14], &[14, 28]));
    assert!(!agree(&[10], &[9]));
    assert!(!agree(&[6, 4], &[4, 6]));
    assert!(!agree(&[2, 3], &[2]));
}

#[test]
fn several_edges_into_one_node_must_agree() {
    let net = network(vec![("a", input(&[4])), ("b", input(&[5])), ("n", neurons())], &[("a", "n"), ("b", "n")]);
    let problems = infer(&net).unwrap_err();
    assert_eq!(problems.0.len(), 1);
    assert_eq!(problems.0[0].code, code::SHAPE_MISMATCH);
    assert_eq!(problems.0[0].item.as_deref(), Some("edges/1"));
    assert!(problems.0[0].message.contains("[4]") && problems.0[0].message.contains("[5]"));
}

#[test]
fn every_problem_is_reported_once_and_not_what_follows_from_it() {
    let mut conv = convolution(&[4, 1, 3, 3], &[0, 1], Padding::Valid, &[1, 1], 1);
    let zero_stride = Node::Convolution(conv.clone());
    conv.stride = vec![1, 1];
    let net = network(
        vec![
            ("i", input(&[2, 8, 8])),
            ("c1", zero_stride),
            ("n1", neurons()),
            ("c2", Node::Convolution(conv)),
            ("n2", neurons()),
            ("lonely", affine(1, 1)),
        ],
        &[("i", "c1"), ("c1", "n1"), ("i", "c2"), ("c2", "n2")],
    );
    let codes: Vec<_> = infer(&net).unwrap_err().0.iter().map(|d| (d.code.number(), d.item.clone().unwrap())).collect();
    let expected = [("SNN0209", "nodes/lonely"), ("SNN0203", "nodes/c1/stride"), ("SNN0202", "nodes/c2")];
    assert_eq!(codes, expected.map(|(code, item)| (code, item.to_owned())));
}

#[test]
fn sizes_that_overflow_are_refused() {
    let net = network(vec![("i", input(&[usize::MAX, 2]))], &[]);
    assert!(infer(&net).is_err());
    let conv = convolution(&[1, 1, 1], &[1], Padding::Explicit(vec![MAX_ELEMENTS]), &[1], 1);
    let net = network(vec![("i", input(&[1, 3])), ("c", Node::Convolution(conv))], &[("i", "c")]);
    assert_eq!(infer(&net).unwrap_err().0[0].code, code::SHAPE_MISMATCH);
}

#[test]
fn parameters_must_fit_and_sparse_entries_must_differ() {
    let mut neuron = Neuron::new(NeuronModel::If);
    neuron.v_threshold = Param::PerNeuron(vec![1.0; 3]);
    let weight = Matrix::Sparse { shape: (2, 2), rows: vec![0, 1, 0], columns: vec![1, 1, 1], values: vec![1.0; 3] };
    let sparse = Node::Affine(Affine { weight, bias: None, delay: Default::default() });
    let net = network(vec![("i", input(&[2])), ("n", Node::Neuron(neuron)), ("s", sparse)], &[("i", "n"), ("i", "s")]);
    let items: Vec<_> = infer(&net).unwrap_err().0.into_iter().map(|d| d.item.unwrap()).collect();
    assert_eq!(items, ["nodes/n/v_threshold", "nodes/s/weight"]);
}

#[test]
fn flatten_of_a_vector_with_the_usual_defaults_changes_nothing() {
    let net = network(vec![("i", input(&[4])), ("f", Node::Flatten { start_dim: 1, end_dim: -1 })], &[("i", "f")]);
    assert_eq!(output_of(&net, "f"), [4]);
}

#[test]
fn reshape_keeps_the_number_of_elements_whatever_their_shape() {
    let reshape = |shape: &[usize]| Node::Reshape { shape: shape.to_vec() };
    let pool = || Node::Pool(Pool { kind: PoolKind::Sum, kernel: [2, 2], stride: [2, 2], padding: [0, 0] });
    let net = network(
        vec![("i", input(&[3, 8])), ("w", affine(32, 24)), ("r", reshape(&[2, 4, 4])), ("p", pool()), ("n", neurons())],
        &[("i", "w"), ("w", "r"), ("r", "p"), ("p", "n")],
    );
    assert_eq!(output_of(&net, "n"), [2, 2, 2]);
    // No order of the input's dimensions is wrong.
    let net = network(vec![("i", input(&[4, 3])), ("r", reshape(&[3, 4]))], &[("i", "r")]);
    assert_eq!(output_of(&net, "r"), [3, 4]);
    // In a loop without an input, a reshape knows its shape by itself.
    let net = network(vec![("n", neurons()), ("r", reshape(&[2, 3]))], &[("n", "r"), ("r", "n")]);
    assert_eq!(output_of(&net, "n"), [2, 3]);
    for wrong in [&[5, 2][..], &[3, 0], &[usize::MAX, 2]] {
        let net = network(vec![("i", input(&[12])), ("r", reshape(wrong))], &[("i", "r")]);
        let problems = infer(&net).unwrap_err();
        assert_eq!((problems.0.len(), problems.0[0].code), (1, code::SHAPE_MISMATCH), "{problems}");
        assert_eq!(problems.0[0].item.as_deref(), Some("nodes/r/shape"));
    }
}

#[test]
fn a_network_of_neurons_alone_takes_its_shape_from_parameters_or_matrices() {
    let net = network(vec![("w", affine(3, 3)), ("n", neurons())], &[("n", "w"), ("w", "n")]);
    assert_eq!(output_of(&net, "n"), [3]);
    let net = network(vec![("n", neurons())], &[]);
    assert_eq!(infer(&net).unwrap_err().0[0].code, code::SHAPE_MISMATCH);
}

#[test]
fn neurons_take_the_finest_shape_that_leads_to_them() {
    let conv = |channels| Node::Convolution(convolution(&[2, channels, 1, 1], &[1, 1], Padding::Valid, &[1, 1], 1));
    let net = network(
        vec![("i", input(&[3, 4])), ("w", affine(24, 12)), ("c", conv(1)), ("n", neurons()), ("d", conv(2))],
        &[("i", "w"), ("w", "n"), ("i", "c"), ("c", "n"), ("n", "d")],
    );
    assert_eq!(output_of(&net, "n"), [2, 3, 4]);
    assert_eq!(output_of(&net, "d"), [2, 3, 4]);
}
