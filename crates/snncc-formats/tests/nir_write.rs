//! Networks written as NIR come back, and what NIR cannot say is refused.

use snncc_formats::nir::{read_nir, write_nir};
use snncc_ids::{NodeId, code};
use snncc_ir::ann::Activation;
use snncc_ir::network::{
    Affine, Comparison, DelayTime, Edge, GatedPool, Matrix, Network, NetworkNode, Neuron, NeuronModel, Node,
    RateNeuron, Reset, SynapseDelay,
};
use snncc_ir::{Param, Tensor};
use std::path::Path;

fn files() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    ["convolutional", "one_dimensional", "nested", "no_ends"]
        .map(|name| (name.to_owned(), std::fs::read(folder.join(format!("{name}.nir"))).unwrap()))
        .to_vec()
}

/// With `SNNCC_NIR_OUT` set, the written files are kept there for other readers.
fn keep(name: &str, bytes: &[u8]) {
    if let Some(folder) = std::env::var_os("SNNCC_NIR_OUT") {
        std::fs::write(Path::new(&folder).join(format!("{name}.nir")), bytes).unwrap();
    }
}

#[test]
fn every_primitive_comes_back() {
    for (name, bytes) in files() {
        let first = read_nir(&bytes).unwrap();
        let written = write_nir(&first.network).unwrap_or_else(|problems| panic!("{name}: {problems}"));
        keep(&name, &written);
        let second = read_nir(&written).unwrap_or_else(|problems| panic!("{name}: {problems}"));
        assert_eq!(second.warnings, [], "{name}");
        // As text, since the time constants that IF lacks are not equal to themselves.
        assert_eq!(format!("{:?}", second.network), format!("{:?}", first.network), "{name}");
        assert_eq!(write_nir(&second.network).unwrap(), written, "{name}");
    }
}

fn chain(nodes: Vec<(&str, Node)>) -> Network {
    let edges = (1..nodes.len() as u32).map(|i| Edge { source: NodeId(i - 1), target: NodeId(i) }).collect();
    let nodes = nodes.into_iter().map(|(name, node)| NetworkNode { name: name.to_owned(), node }).collect();
    Network { dt_s: Some(1e-3), nodes, edges, ..Network::default() }
}

fn lif() -> Neuron {
    let mut neuron = Neuron::new(NeuronModel::Lif);
    neuron.tau_mem_s = Param::Uniform(0.1);
    neuron
}

#[test]
fn sparse_weights_steps_and_the_time_step() {
    let weight = Matrix::Sparse { shape: (2, 3), rows: vec![1, 0], columns: vec![0, 2], values: vec![0.5, -1.0] };
    let network = chain(vec![
        ("in", Node::Input { shape: vec![3] }),
        ("w", Node::Affine(Affine { weight, bias: None, delay: SynapseDelay::None })),
        ("d", Node::Delay { delay: DelayTime::Steps(Param::Uniform(3)), shape: None }),
        ("n", Node::Neuron(lif())),
        ("out", Node::Output { shape: vec![2] }),
    ]);
    let bytes = write_nir(&network).unwrap();
    keep("sparse", &bytes);
    let read = read_nir(&bytes).unwrap().network;
    assert_eq!(read.dt_s, Some(1e-3));
    let node = |name: &str| &read.nodes[read.find(name).unwrap()].node;
    let Node::Affine(affine) = node("w") else { panic!() };
    assert_eq!(affine.weight, Matrix::Dense(Tensor::new(vec![2, 3], vec![0.0, 0.0, -1.0, 0.5, 0.0, 0.0])));
    assert_eq!(*node("d"), Node::Delay { delay: DelayTime::Seconds(Param::Uniform(3e-3)), shape: Some(vec![2]) });
    let Node::Neuron(neuron) = node("n") else { panic!() };
    assert_eq!((&neuron.tau_mem_s, &neuron.shape), (&Param::Uniform(0.1), &Some(vec![2])));
}

#[test]
fn a_reshape_is_written_where_it_joins_dimensions() {
    let reshaped = |shape: &[usize]| {
        chain(vec![
            ("in", Node::Input { shape: vec![2, 3, 4] }),
            ("r", Node::Reshape { shape: shape.to_vec() }),
            ("out", Node::Output { shape: shape.to_vec() }),
        ])
    };
    let read = read_nir(&write_nir(&reshaped(&[2, 12])).unwrap()).unwrap();
    let at = read.network.find("r").unwrap();
    assert_eq!(read.network.nodes[at].node, Node::Flatten { start_dim: 1, end_dim: 2 });
    assert_eq!(read.warnings, []);
    let problems = write_nir(&reshaped(&[4, 6])).unwrap_err();
    assert_eq!((problems.0.len(), problems.0[0].code), (1, code::NIR_STRUCTURE), "{problems}");
    assert!(problems.to_string().contains("it has no reshape"), "{problems}");
    assert!(write_nir(&reshaped(&[5, 5])).unwrap_err().to_string().contains("(25 elements)"));
}

#[test]
fn what_nir_cannot_say_is_refused() {
    let neuron = Neuron {
        reset: Reset::BySubtraction,
        comparison: Comparison::GreaterOrEqual,
        refractory_steps: Param::Uniform(3),
        v_min: Some(0.0),
        ..lif()
    };
    let mut network = chain(vec![
        ("in", Node::Input { shape: vec![2] }),
        ("a/b", Node::Neuron(lif())),
        ("n", Node::Neuron(neuron)),
        ("out", Node::Output { shape: vec![2] }),
    ]);
    network.edges.push(network.edges[2]);
    let problems = write_nir(&network).unwrap_err();
    assert!(problems.0.iter().all(|problem| problem.code == code::NIR_STRUCTURE));
    let text = problems.to_string();
    for part in
        ["`a/b` is no name", "resets by subtraction", "`>=`", "refractory", "lower bound", "`n` -> `out` counts twice"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut network =
        chain(vec![("d", Node::Delay { delay: DelayTime::Steps(Param::Uniform(3)), shape: Some(vec![1]) })]);
    network.dt_s = None;
    assert!(write_nir(&network).unwrap_err().to_string().contains("without a time step"));
    let rate = Node::RateNeuron(RateNeuron::new(Activation::Relu));
    let gate = Node::GatedPool(GatedPool { kernel: [2, 2], stride: [2, 2], padding: [0, 0] });
    let text = write_nir(&chain(vec![("r", rate), ("g", gate)])).unwrap_err().to_string();
    assert!(text.contains("`r` follows a rate") && text.contains("`g` pools maxima"), "{text}");
}
