//! Cuts of small networks, node by node.

use super::*;
use crate::network::{Neuron, NeuronModel, Pin};

/// Nodes as `name:kind` (`i`nput, `o`utput, `n`eurons, `m`embranes, `f`lat linear), edges as `a>b`.
fn network(nodes: &str, edges: &str) -> Network {
    let node = |text: &str| {
        let (name, kind) = text.split_once(':').unwrap();
        let shape = Some(vec![2]);
        let node = match kind {
            "i" => Node::Input { shape: vec![2] },
            "o" => Node::Output { shape: vec![2] },
            "n" => Node::Neuron(Neuron { shape, ..Neuron::new(NeuronModel::If) }),
            "m" => Node::Neuron(Neuron { shape, ..Neuron::new(NeuronModel::I) }),
            _ => Node::Flatten { start_dim: 0, end_dim: -1 },
        };
        NetworkNode { name: name.to_owned(), node }
    };
    let nodes: IdVec<NodeId, NetworkNode> = nodes.split(' ').map(node).collect();
    let find = |name: &str| nodes.iter_with_ids().find(|(_, node)| node.name == name).unwrap().0;
    let edge = |text: &str| {
        let (source, target) = text.split_once('>').unwrap();
        Edge { source: find(source), target: find(target) }
    };
    let edges = edges.split(' ').map(edge).collect();
    Network { nodes, edges, ..Network::default() }
}

fn through(network: &Network, names: &str) -> Result<Cut, Diagnostics> {
    cut(network, &names.split(',').map(str::to_owned).collect::<Vec<_>>())
}

fn nodes(network: &Network) -> String {
    network.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn edges(network: &Network) -> String {
    let shown = |edge: &Edge| format!("{}>{}", network.nodes[edge.source].name, network.nodes[edge.target].name);
    network.edges.iter().map(shown).collect::<Vec<_>>().join(" ")
}

fn fault(network: &Network, names: &str) -> String {
    through(network, names).unwrap_err().to_string()
}

#[test]
fn weights_behind_the_cut_stay_on_the_chip() {
    let mut whole = network("x:i w1:f a:n w2:f b:n y:o", "x>w1 w1>a a>w2 w2>b b>y");
    let pin = |name: &str| Pin { population: name.to_owned(), neurons: None, core: 0 };
    whole.mapping.pins = vec![pin("a"), pin("b")];
    whole.run.ranges = vec![("x".to_owned(), (0.0, 2.0)), ("z".to_owned(), (0.0, 1.0))];
    let cut = through(&whole, FIRST).unwrap();
    assert_eq!((nodes(&cut.host), edges(&cut.host)), ("x w1 a".into(), "x>w1 w1>a".into()));
    assert_eq!((nodes(&cut.chip), edges(&cut.chip)), ("a w2 b y".into(), "a>w2 w2>b b>y".into()));
    assert_eq!(cut.chip.nodes[NodeId(0)].node, Node::Input { shape: vec![2] });
    assert_eq!((&cut.layers, &cut.sent), (&vec!["a".to_owned()], &vec!["a".to_owned()]));
    assert_eq!(cut.chip.mapping.pins, [pin("b")]);
    assert_eq!(cut.host.run.ranges, whole.run.ranges[..1]);
    shapes::infer(&cut.chip).unwrap();
    assert_eq!(edges(&through(&whole, "a").unwrap().chip), edges(&cut.chip));
}

#[test]
fn a_linear_node_of_both_sides_and_an_input_of_both_are_in_both_parts() {
    // x feeds a and c; w, behind a, leads to b on the host and to c.
    let whole = network("x:i a:n w:f b:n c:n y:o", "x>a a>w w>b w>c x>c b>c c>y");
    let cut = through(&whole, "b").unwrap();
    assert_eq!((nodes(&cut.host), edges(&cut.host)), ("x a w b".into(), "x>a a>w w>b".into()));
    assert_eq!((nodes(&cut.chip), edges(&cut.chip)), ("x a w b c y".into(), "a>w w>c x>c b>c c>y".into()));
    assert_eq!((cut.layers.join(" "), cut.sent.join(" ")), ("a b".into(), "a b".into()));
    // What feeds a layer comes with it, and is sent only where the chip reads it.
    let chain = network("x:i a:n b:n c:n y:o", "x>a a>b b>c c>y");
    let cut = through(&chain, "b").unwrap();
    assert_eq!(
        (cut.layers.join(" "), cut.sent.join(" "), nodes(&cut.chip)),
        ("a b".into(), "b".into(), "b c y".into())
    );
}

#[test]
fn the_first_layers_read_inputs_alone() {
    let whole = network("x:i z:i a:n w:f b:n c:n y:o", "x>w w>a z>b a>c b>c z>c c>y a>a");
    assert_eq!(through(&whole, FIRST).unwrap().layers, ["a", "b"]);
    // A layer of that name is meant before the word.
    let named = network("x:i a:n first:n b:n y:o", "x>a a>first first>b b>y");
    assert_eq!(through(&named, FIRST).unwrap().layers, ["a", "first"]);
}

#[test]
fn loops_stay_whole() {
    let inside = network("x:i a:n w:f b:n y:o", "x>a a>w w>a a>b b>y");
    assert_eq!(edges(&through(&inside, "a").unwrap().host), "x>a a>w w>a");
    let across = network("x:i a:n b:n w:f y:o", "x>a a>b b>w w>a b>y");
    let problem = fault(&across, "a");
    assert!(problem.contains("SNN0211") && problem.contains("b -> w -> a"), "{problem}");
    // The weights that feed a back to itself also feed b: there the spikes come a step later, and no input can.
    let late = network("x:i w:f a:n b:n c:n y:o", "x>w w>a a>w w>b a>b b>y");
    let problem = fault(&late, "a");
    assert!(problem.contains("a -> w would no longer take as long"), "{problem}");
}

#[test]
fn what_the_host_cannot_do_is_refused() {
    let whole = network("x:i w:f a:n b:m y:o", "x>w w>a a>b b>y");
    let problem = through(&whole, "w").unwrap_err().0.remove(0);
    assert!(problem.message.contains("`w` holds no neurons"), "{problem}");
    assert_eq!(problem.help, ["neurons behind it: a"]);
    let problem = through(&whole, "frst").unwrap_err().0.remove(0);
    assert!(problem.message.contains("no layer `frst`"), "{problem}");
    assert_eq!(problem.help, ["did you mean `first`?"]);
    assert!(fault(&whole, "x").contains("`x` holds no neurons"));
    let problem = fault(&whole, "b");
    assert!(problem.contains("`b` does not fire") && problem.contains("output `y` reads"), "{problem}");
    let both = network("x:i a:n b:n y:o z:o", "x>a a>b b>y a>z");
    assert!(fault(&both, "a").contains("output `z` reads a layer on the host: a -> z"));
    let silent = network("x:i a:n", "x>a");
    assert!(fault(&silent, "a").contains("nothing is left for the chip"));
    let looped = network("x:i a:n b:n y:o", "x>b a>b b>y");
    assert!(fault(&looped, FIRST).contains("no first layer"));
}
