//! Joins nodes and edges into a [`Network`], and dissolves nested graphs.
//!
//! A nested graph's Input and Output nodes stand for nothing but a passage: they are kept as *passages* while edges are
//! gathered, and then every path `node → passages … → node` becomes one edge. Two such paths between the same nodes are two
//! edges, since several edges into one node sum.

use super::hdf5::{Dataset, Group, Values};
use super::node::{node_type, read_node, structure};
use snncc_ids::{Diagnostic, Diagnostics, Id, NodeId, code, did_you_mean};
use snncc_ir::network::{Edge, Network, NetworkNode, Node};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Steps that dissolving passages may take; a real graph takes about as many as it has edges.
const MAX_PASSAGE_STEPS: usize = 1 << 22;

/// What the file says about a node beyond the [`Node`] itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    /// Path below `/node`.
    pub item: String,
    /// Input shape stored beside the node (Flatten's `input_type`).
    pub input: Option<Vec<usize>>,
}

/// Nodes in reading order: real ones, and the Input and Output nodes of nested graphs.
enum Place {
    Node(NodeId),
    Passage { item: String },
}

#[derive(Default)]
struct Gathered {
    nodes: Vec<NetworkNode>,
    stored: Vec<Stored>,
    places: Vec<Place>,
    edges: Vec<(usize, usize)>,
}

/// What a name stands for where edges use it.
enum Named {
    Place {
        place: usize,
        is_input: bool,
        is_output: bool,
    },
    Graph {
        inputs: Vec<usize>,
        outputs: Vec<usize>,
    },
    /// Its own reading failed, which is among the problems; edges to it pass in silence.
    Broken,
}

/// Reads the graph below `/node`; the second part goes with the nodes one by one. `None` after an error.
pub(super) fn read_graph(root: &Group, problems: &mut Diagnostics) -> Option<(Network, Vec<Stored>)> {
    match node_type(root, problems)? {
        "NIRGraph" => {}
        other => {
            problems.push(structure(format!("the root node is of type `{other}`, not NIRGraph")).at("type"));
            return None;
        }
    }
    let mut gathered = Gathered::default();
    gather(root, "", true, &mut gathered, problems)?;
    let edges = dissolve(&gathered, problems)?;
    let Gathered { nodes, stored, .. } = gathered;
    report_equal_names(&nodes, &stored, problems);
    let network = Network { nodes: nodes.into(), edges, ..Network::default() };
    Some((network, stored))
}

fn gather(
    group: &Group,
    prefix: &str,
    is_root: bool,
    gathered: &mut Gathered,
    problems: &mut Diagnostics,
) -> Option<Named> {
    let Some(nodes) = group.groups.get("nodes") else {
        problems.push(structure("a NIRGraph needs the group `nodes`").at(group.item("nodes")));
        return None;
    };
    let mut names: BTreeMap<&str, Named> = BTreeMap::new();
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    let mut order: Vec<&str> = nodes.groups.keys().map(String::as_str).collect();
    order.sort_by(|a, b| natural_order(a, b));
    for name in order {
        let child = &nodes.groups[name];
        let kind = node_type(child, problems);
        let named = match kind {
            None => None,
            Some("NIRGraph") => gather(child, &format!("{prefix}{name}."), false, gathered, problems),
            Some(kind) => read_node(child, kind, problems).map(|read| {
                let place = gathered.places.len();
                let (is_input, is_output) =
                    (matches!(read.node, Node::Input { .. }), matches!(read.node, Node::Output { .. }));
                if is_input {
                    inputs.push(place);
                }
                if is_output {
                    outputs.push(place);
                }
                gathered.places.push(if (is_input || is_output) && !is_root {
                    Place::Passage { item: child.path.clone() }
                } else {
                    gathered.nodes.push(NetworkNode { name: format!("{prefix}{name}"), node: read.node });
                    gathered.stored.push(Stored { item: child.path.clone(), input: read.stored_input });
                    Place::Node(NodeId::new(gathered.nodes.len() - 1))
                });
                Named::Place { place, is_input, is_output }
            }),
        };
        names.insert(name, named.unwrap_or(Named::Broken));
    }
    for name in nodes.datasets.keys() {
        let message = format!("`{name}` is an array where only nodes may be; it is ignored");
        problems.push(Diagnostic::warning(code::NIR_STRUCTURE, message).at(nodes.item(name)));
    }
    if names.is_empty() {
        problems.push(structure("the graph has no nodes").at(group.item("nodes")));
        return None;
    }
    let unknown = group.datasets.keys().filter(|name| !matches!(name.as_str(), "type" | "edges"));
    for name in unknown.chain(group.groups.keys().filter(|name| *name != "nodes")) {
        let message = format!("a NIRGraph has no parameter `{name}`; it is ignored");
        problems.push(Diagnostic::warning(code::NIR_STRUCTURE, message).at(group.item(name)));
    }
    let edges = named_edges(group, problems)?;
    let mut complete = resolve_edges(group, &names, &edges, gathered, problems);
    complete &= !names.values().any(|named| matches!(named, Named::Broken));
    if complete && is_root {
        complete = add_missing_ends(&inputs, &outputs, gathered, problems);
    }
    complete.then_some(Named::Graph { inputs, outputs })
}

/// The pairs of names in `edges`, without repetitions.
fn named_edges(group: &Group, problems: &mut Diagnostics) -> Option<BTreeSet<(String, String)>> {
    let item = group.item("edges");
    let Some(Dataset { shape, values }) = group.datasets.get("edges") else {
        problems.push(structure("a NIRGraph needs the dataset `edges`").at(item));
        return None;
    };
    if shape.contains(&0) {
        return Some(BTreeSet::new());
    }
    let texts = match values {
        Ok(Values::Texts(texts)) if shape.len() == 2 && shape[1] == 2 => texts,
        Ok(_) => {
            let message =
                format!("`edges` must be pairs of node names; its shape is {shape:?}, not (edges, 2) of text");
            problems.push(structure(message).at(item));
            return None;
        }
        Err(error) => {
            problems.push(structure(format!("`edges` cannot be read: {error}")).at(item));
            return None;
        }
    };
    let mut edges = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    for pair in texts.chunks_exact(2) {
        let edge = (pair[0].clone(), pair[1].clone());
        if edges.contains(&edge) {
            repeated.insert(edge);
        } else {
            edges.insert(edge);
        }
    }
    for (source, target) in repeated {
        let message = format!("the edge `{source}` -> `{target}` stands more than once; it is taken once");
        problems.push(Diagnostic::warning(code::NIR_STRUCTURE, message).at(item.clone()));
    }
    Some(edges)
}

/// Adds the edges by name to those by place. `false` after an error.
fn resolve_edges(
    group: &Group,
    names: &BTreeMap<&str, Named>,
    edges: &BTreeSet<(String, String)>,
    gathered: &mut Gathered,
    problems: &mut Diagnostics,
) -> bool {
    let item = group.item("edges");
    let mentioned: BTreeSet<&str> = edges.iter().flat_map(|(source, target)| [&**source, &**target]).collect();
    let mut complete = true;
    for name in mentioned.iter().filter(|name| !names.contains_key(**name)) {
        complete = false;
        let count = edges.iter().filter(|(source, target)| source == name || target == name).count();
        let subject = if count == 1 { "an edge names".to_owned() } else { format!("{count} edges name") };
        let mut problem = Diagnostic::error(
            code::UNKNOWN_NODE,
            format!("{subject} the node `{name}`, which {} does not have", graph_name(group)),
        )
        .at(item.clone());
        let idle: Vec<&str> = names.keys().copied().filter(|name| !mentioned.contains(name)).collect();
        if !idle.is_empty() && idle.len() <= 10 {
            problem = problem.note(format!("no edge names these nodes: {}", idle.join(", ")));
        }
        // A node that no edge names is the likelier one.
        if let Some(near) =
            did_you_mean(name, idle.iter().copied()).or_else(|| did_you_mean(name, names.keys().copied()))
        {
            problem = problem.help(format!("did you mean `{near}`?"));
        }
        problems.push(problem);
    }
    for (source, target) in edges {
        let (Some(from), Some(to)) = (names.get(&**source), names.get(&**target)) else { continue };
        let from = match from {
            Named::Broken => continue,
            Named::Place { is_output: true, .. } => Err(format!("an edge leaves the Output node `{source}`")),
            Named::Place { place, .. } => Ok(*place),
            Named::Graph { outputs, .. } => match outputs[..] {
                [place] => Ok(place),
                _ => Err(format!(
                    "an edge leaves the nested graph `{source}`, which has {} Output nodes, not one",
                    outputs.len()
                )),
            },
        };
        let to = match to {
            Named::Broken => continue,
            Named::Place { is_input: true, .. } => Err(format!("an edge enters the Input node `{target}`")),
            Named::Place { place, .. } => Ok(*place),
            Named::Graph { inputs, .. } => match inputs[..] {
                [place] => Ok(place),
                _ => Err(format!(
                    "an edge enters the nested graph `{target}`, which has {} Input nodes, not one",
                    inputs.len()
                )),
            },
        };
        for error in [from.as_ref().err(), to.as_ref().err()].into_iter().flatten() {
            problems.push(structure(error.clone()).at(item.clone()));
            complete = false;
        }
        if let (Ok(from), Ok(to)) = (from, to) {
            gathered.edges.push((from, to));
        }
    }
    complete
}

fn graph_name(group: &Group) -> String {
    match group.path.strip_prefix("nodes/") {
        Some(name) => format!("the nested graph `{}`", name.replace("/nodes/", ".")),
        None => "the graph".to_owned(),
    }
}

/// A graph without Input (or Output) nodes gets one before each node that nothing feeds (after each that feeds nothing),
/// as NIR's Python package does it. `false` after an error.
fn add_missing_ends(inputs: &[usize], outputs: &[usize], gathered: &mut Gathered, problems: &mut Diagnostics) -> bool {
    let mut complete = true;
    for (is_input, missing) in [(true, inputs.is_empty()), (false, outputs.is_empty())] {
        if !missing {
            continue;
        }
        let end = if is_input { "Input" } else { "Output" };
        let connected: BTreeSet<usize> =
            gathered.edges.iter().map(|(source, target)| if is_input { *target } else { *source }).collect();
        let loose: Vec<(usize, NodeId)> = gathered
            .places
            .iter()
            .enumerate()
            .filter_map(|(place, kind)| match kind {
                Place::Node(id) if !connected.contains(&place) => Some((place, *id)),
                _ => None,
            })
            .filter(|(_, id)| !matches!(gathered.nodes[id.index()].node, Node::Input { .. } | Node::Output { .. }))
            .collect();
        if loose.is_empty() {
            problems.push(structure(format!("the graph has no {end} node, and no node that lacks one")).at("nodes"));
            complete = false;
        }
        for (place, id) in loose {
            let name = &gathered.nodes[id.index()].name;
            let added = format!("{}_{name}", end.to_lowercase());
            if !is_input {
                // The shape is filled in with the others; an empty one marks it.
                let message = format!("the graph has no Output node; `{added}` is added behind `{name}`");
                problems.push(Diagnostic::warning(code::NIR_STRUCTURE, message).at("nodes"));
                push_end(gathered, added, Node::Output { shape: Vec::new() }, |end| (place, end));
                continue;
            }
            match super::shapes::own_input_shape(&gathered.nodes[id.index()].node) {
                Some(shape) => {
                    let message = format!("the graph has no Input node; `{added}` is added before `{name}`");
                    problems.push(Diagnostic::warning(code::NIR_STRUCTURE, message).at("nodes"));
                    push_end(gathered, added, Node::Input { shape }, |end| (end, place));
                }
                None => {
                    let message = format!(
                        "the graph has no Input node, and the shape of the input of `{name}` does not follow from the file"
                    );
                    problems.push(structure(message).at(gathered.stored[id.index()].item.clone()));
                    complete = false;
                }
            }
        }
    }
    complete
}

fn push_end(gathered: &mut Gathered, name: String, node: Node, edge: impl Fn(usize) -> (usize, usize)) {
    gathered.stored.push(Stored { item: format!("nodes/{name}"), input: None });
    gathered.nodes.push(NetworkNode { name, node });
    gathered.edges.push(edge(gathered.places.len()));
    gathered.places.push(Place::Node(NodeId::new(gathered.nodes.len() - 1)));
}

/// Replaces paths through passages by edges between nodes, sorted.
fn dissolve(gathered: &Gathered, problems: &mut Diagnostics) -> Option<Vec<Edge>> {
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); gathered.places.len()];
    for &(source, target) in &gathered.edges {
        next[source].push(target);
    }
    let mut edges = Vec::new();
    let mut steps = 0;
    for (place, kind) in gathered.places.iter().enumerate() {
        let Place::Node(source) = kind else { continue };
        // Depth-first, with the number of passages on the way: more than there are passages means a ring of them.
        let mut open: Vec<(usize, usize)> = next[place].iter().map(|target| (*target, 0)).collect();
        while let Some((place, depth)) = open.pop() {
            match &gathered.places[place] {
                Place::Node(target) => edges.push(Edge { source: *source, target: *target }),
                Place::Passage { item } => {
                    if depth > gathered.places.len() || steps > MAX_PASSAGE_STEPS {
                        let message = "edges run in a ring, or too many ways, through nested graphs without nodes";
                        problems.push(structure(message).at(item.clone()));
                        return None;
                    }
                    steps += next[place].len();
                    open.extend(next[place].iter().map(|target| (*target, depth + 1)));
                }
            }
        }
    }
    edges.sort_by_key(|edge| (edge.source, edge.target));
    Some(edges)
}

fn report_equal_names(nodes: &[NetworkNode], stored: &[Stored], problems: &mut Diagnostics) {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        if let Some(earlier) = first.insert(&node.name, index) {
            let message = format!("two nodes are called `{}` once nested graphs are dissolved", node.name);
            let other = format!("the other is {}", stored[earlier].item);
            problems.push(Diagnostic::error(code::DUPLICATE_NAME, message).at(stored[index].item.clone()).note(other));
        }
    }
}

/// Orders runs of digits by their number: `2` before `10`. Equal numbers fall back to the text.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(x), Some(y)) = (left.chars().next(), right.chars().next()) {
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (number_x, rest_x) = split_number(left);
            let (number_y, rest_y) = split_number(right);
            match number_x.len().cmp(&number_y.len()).then_with(|| number_x.cmp(number_y)) {
                Ordering::Equal => (left, right) = (rest_x, rest_y),
                unequal => return unequal,
            }
        } else if x == y {
            (left, right) = (&left[x.len_utf8()..], &right[y.len_utf8()..]);
        } else {
            return x.cmp(&y);
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// The digits at the start without leading zeros, and the rest.
fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_people_count() {
        let mut names = ["10", "lif10", "2", "lif2", "1", "input", "lif02", "a.b", "a"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["1", "2", "10", "a", "a.b", "input", "lif02", "lif2", "lif10"]);
    }
}
