//! The network as a whole: header, nodes, edges and mapping.

use super::calibration;
use super::context::{Context, sequence};
use super::neurons::RESETS;
use super::nodes::{self, Defaults};
use super::run;
use super::value::{self, Kind, Value};
use super::{Parsed, SCHEMA};
use snncc_ids::{Diagnostic, Diagnostics, IdVec, NodeId, Span, code, did_you_mean};
use snncc_ir::network::{Edge, MappingRequest, Pin};
use snncc_ir::{Network, NetworkNode, Node};
use std::collections::{BTreeMap, BTreeSet};

/// Nodes by name, and what they are.
pub(super) struct Names<'n> {
    ids: BTreeMap<&'n str, NodeId>,
    pub(super) nodes: &'n IdVec<NodeId, NetworkNode>,
}

/// Reads a network from RON text. `files` gives the bytes of a file that the text names, or says why it cannot; the caller
/// resolves names relative to the RON file. Each file is asked for once.
///
/// # Errors
/// Every problem found, each with its place: syntax (SNN0102), unknown and misspelt names (SNN0103), wrong types and missing
/// fields (SNN0104), files (SNN0101, SNN0105), the schema (SNN0108), edges (SNN0201), shapes inside a node (SNN0202),
/// values (SNN0203), repeated names (SNN0208) and pins (SNN0403).
pub fn read_network(text: &str, files: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>) -> Result<Parsed, Diagnostics> {
    let root = value::parse(text).map_err(|error| {
        let mut diagnostic = Diagnostic::error(code::SYNTAX, error.message).span(error.span.start, error.span.end);
        if let Some(open) = error.open {
            let bracket = &text[open.start..open.end];
            let line = text[..open.start].matches('\n').count() + 1;
            diagnostic = diagnostic.note(format!("the innermost bracket still open is the `{bracket}` in line {line}"));
        }
        Diagnostics::from(diagnostic)
    })?;
    let mut cx = Context::new(text, files);
    let network = network(&mut cx, &root);
    let Context { problems, spans, .. } = cx;
    let (network, warnings) = problems.into_result(network)?;
    let network = network.expect("bug in snncc: reading a network failed without a word");
    Ok(Parsed { network, spans, warnings })
}

fn network(cx: &mut Context, root: &Value) -> Option<Network> {
    if let Kind::Map(_) = root.kind {
        cx.wrong_type("", root, "a network `(schema: …, nodes: …, edges: …)`");
        return None;
    }
    let known = ["schema", "dt", "reset", "nodes", "edges", "mapping", "run", "calibration"];
    let fields = cx.fields(root, "", "a network", &known)?;
    let schema = cx.required(&fields, "schema", Context::scalar::<u32>);
    if schema.is_some_and(|schema| schema != SCHEMA) {
        let message =
            format!("the schema is {}; this version of snncc reads schema {SCHEMA}", schema.unwrap_or_default());
        cx.error(code::UNSUPPORTED_VERSION, "schema", fields.span("schema"), message);
        return None;
    }
    let dt_s = cx.optional(&fields, "dt", |cx, value, item| {
        let dt_s = cx.float(value, item)?;
        if dt_s > 0.0 {
            return Some(dt_s);
        }
        cx.error(code::BAD_PARAMETER, item, value.anchor(), format!("the time step is {dt_s} s, not greater than 0"));
        None
    });
    let reset = cx.optional(&fields, "reset", |cx, value, item| cx.choice(value, item, "reset", &RESETS));
    let defaults = Defaults { dt_s, reset: reset.unwrap_or_default() };
    let nodes = cx.required(&fields, "nodes", |cx, value, item| nodes_of(cx, value, item, defaults));
    let nodes = nodes.unwrap_or_default();
    let names =
        Names { ids: nodes.iter_with_ids().map(|(id, node)| (node.name.as_str(), id)).collect(), nodes: &nodes };
    // Without nodes, every name would be reported again as unknown.
    if cx.is_full() || nodes.is_empty() && cx.problems.has_errors() {
        return None;
    }
    let edges = cx.required(&fields, "edges", |cx, value, _| edges_of(cx, value, &names));
    let mapping = cx.optional(&fields, "mapping", |cx, value, _| mapping_of(cx, value, &names));
    let run = cx.optional(&fields, "run", |cx, value, _| run::run_of(cx, value, &names));
    let calibration =
        cx.optional(&fields, "calibration", |cx, value, _| calibration::calibration_of(cx, value, &names));
    Some(Network {
        dt_s,
        edges: edges?,
        mapping: mapping.unwrap_or_default(),
        run: run.unwrap_or_default(),
        calibration: calibration.unwrap_or_default(),
        nodes,
    })
}

fn nodes_of(cx: &mut Context, value: &Value, item: &str, defaults: Defaults) -> Option<IdVec<NodeId, NetworkNode>> {
    let Kind::Map(entries) = &value.kind else {
        cx.wrong_type(item, value, "a map `{\"name\": Lif(…), …}`");
        return None;
    };
    let mut nodes = IdVec::new();
    let mut seen = BTreeMap::new();
    for (key, value) in entries {
        if cx.is_full() {
            break;
        }
        let Some(name) = cx.string(key, item) else { continue };
        let path = format!("nodes/{name}");
        if name.is_empty() || name.contains(|c: char| c == '/' || c.is_control()) {
            let message = format!("a node cannot be called {name:?}");
            cx.error(code::BAD_PARAMETER, &path, key.anchor(), message)
                .notes
                .push("names are not empty and have no `/` and no control characters".to_owned());
        }
        if let Some(first) = seen.insert(name, key.start) {
            let line = cx.line_of(first as usize);
            let message = format!("two nodes are called `{name}`; the first is in line {line}");
            cx.error(code::DUPLICATE_NAME, &path, key.anchor(), message);
            seen.insert(name, first);
            continue;
        }
        cx.spans.insert(path.as_str(), Span { start: key.start as usize, end: value.anchor().end });
        // A node with problems leaves its name, so that its edges are not reported as well.
        let node = nodes::node(cx, value, &path, defaults).unwrap_or(Node::Input { shape: Vec::new() });
        nodes.push(NetworkNode { name: name.to_owned(), node });
    }
    Some(nodes)
}

impl Names<'_> {
    /// The node that `value` names.
    pub(super) fn resolve(&self, cx: &mut Context, value: &Value, item: &str) -> Option<NodeId> {
        let name = cx.string(value, item)?;
        if let Some(id) = self.ids.get(name) {
            return Some(*id);
        }
        if cx.is_full() {
            return None;
        }
        let near = did_you_mean(name, self.ids.keys().copied());
        let diagnostic = cx.error(code::UNKNOWN_NODE, item, value.anchor(), format!("there is no node `{name}`"));
        diagnostic.help.extend(near.map(|near| format!("did you mean `{near}`?")));
        None
    }

    /// The group of neurons that `value` names, which is what can be mapped.
    fn population(&self, cx: &mut Context, value: &Value, item: &str) -> Option<NodeId> {
        let id = self.resolve(cx, value, item)?;
        let NetworkNode { name, node } = &self.nodes[id];
        let is_mapped = match node {
            Node::Neuron(_) | Node::RateNeuron(_) | Node::Compartments(_) | Node::Threshold(_) => true,
            // What a node with problems left behind.
            Node::Input { shape } => shape.is_empty(),
            _ => false,
        };
        if !is_mapped && !cx.is_full() {
            let message = format!("`{name}` is not a group of neurons");
            cx.error(code::ILLEGAL_PIN, item, value.anchor(), message);
        }
        is_mapped.then_some(id)
    }
}

fn edges_of(cx: &mut Context, value: &Value, names: &Names) -> Option<Vec<Edge>> {
    let items = cx.sequence(value, "edges", "a list of (\"source\", \"target\")")?;
    let mut edges = Vec::with_capacity(items.len());
    let mut seen = BTreeMap::new();
    for (index, value) in items.iter().enumerate() {
        if cx.is_full() {
            break;
        }
        let item = format!("edges/{index}");
        cx.spans.insert(item.as_str(), Span { start: value.start as usize, end: value.end as usize });
        let Some([source, target]) = sequence(value) else {
            cx.wrong_type(&item, value, "(\"source\", \"target\")");
            continue;
        };
        let (source, target) = (names.resolve(cx, source, &item), names.resolve(cx, target, &item));
        let (Some(source), Some(target)) = (source, target) else { continue };
        if let Some(first) = seen.insert((source, target), index) {
            let (from, to) = (&names.nodes[source].name, &names.nodes[target].name);
            let message = format!("the edge from `{from}` to `{to}` is already edge {first}");
            let span = Span { start: value.start as usize, end: value.end as usize };
            cx.error(code::DUPLICATE_NAME, &item, span, message)
                .help
                .push("to add the values twice, double the weights".to_owned());
        }
        edges.push(Edge { source, target });
    }
    Some(edges)
}

fn mapping_of(cx: &mut Context, value: &Value, names: &Names) -> Option<MappingRequest> {
    let fields = cx.fields(value, "mapping", "`mapping`", &["pins", "reserved_cores", "exclusive", "split"])?;
    let mut mapping = MappingRequest::default();
    for (index, value) in list(cx, fields.get("pins"), "mapping/pins").iter().enumerate() {
        let item = format!("mapping/pins/{index}");
        cx.spans.insert(item.as_str(), value.anchor());
        mapping.pins.extend(pin(cx, value, &item, names));
    }
    for (index, value) in list(cx, fields.get("reserved_cores"), "mapping/reserved_cores").iter().enumerate() {
        let item = format!("mapping/reserved_cores/{index}");
        cx.spans.insert(item.as_str(), value.anchor());
        mapping.reserved_cores.extend(cx.scalar::<u32>(value, &item));
    }
    for (index, value) in list(cx, fields.get("exclusive"), "mapping/exclusive").iter().enumerate() {
        let item = format!("mapping/exclusive/{index}");
        cx.spans.insert(item.as_str(), value.anchor());
        let id = names.population(cx, value, &item);
        mapping.exclusive.extend(id.map(|id| names.nodes[id].name.clone()));
    }
    if let Some(value) = fields.get("split") {
        mapping.split = split(cx, value, names);
    }
    Some(mapping)
}

/// The members of a list that may be absent.
fn list<'v>(cx: &mut Context, value: Option<&'v Value<'v>>, item: &str) -> &'v [Value<'v>] {
    value.and_then(|value| cx.sequence(value, item, "a list")).unwrap_or_default()
}

fn pin(cx: &mut Context, value: &Value, item: &str, names: &Names) -> Option<Pin> {
    let fields = cx.fields(value, item, "a pin", &["population", "neurons", "core"])?;
    let id = cx.required(&fields, "population", |cx, value, item| names.population(cx, value, item));
    let core = cx.required(&fields, "core", Context::scalar::<u32>);
    let neurons = cx.optional(&fields, "neurons", |cx, value, item| {
        let Some([first, count]) = sequence(value) else {
            cx.wrong_type(item, value, "(first neuron, number of neurons)");
            return None;
        };
        Some((cx.scalar::<u32>(first, item)?, cx.scalar::<u32>(count, item)?))
    });
    let node = &names.nodes[id?];
    if let Some((first, count)) = neurons {
        let size = neuron_count(&node.node);
        let end = u64::from(first) + u64::from(count);
        if count == 0 || size.is_some_and(|size| end > size as u64) {
            let of = size.map_or(String::new(), |size| format!(", which has {size}"));
            let message = format!("neurons {first} .. {end} are not a range of `{}`{of}", node.name);
            cx.error(code::ILLEGAL_PIN, &fields.path("neurons"), fields.span("neurons"), message);
        }
    }
    Some(Pin { population: node.name.clone(), neurons, core: core? })
}

/// Number of neurons of a node, if it says so itself.
pub(super) fn neuron_count(node: &Node) -> Option<usize> {
    let shape = match node {
        Node::Input { shape } | Node::Output { shape } => shape,
        Node::Compartments(compartments) => &compartments.shape,
        Node::Neuron(neuron) => neuron.shape.as_ref()?,
        Node::RateNeuron(neuron) => neuron.shape.as_ref()?,
        Node::Threshold(threshold) => threshold.shape.as_ref()?,
        _ => return None,
    };
    Some(shape.iter().product())
}

fn split(cx: &mut Context, value: &Value, names: &Names) -> Vec<(String, u32)> {
    let Kind::Map(entries) = &value.kind else {
        cx.wrong_type("mapping/split", value, "a map `{\"population\": cores}`");
        return Vec::new();
    };
    let mut split = Vec::new();
    let mut seen = BTreeSet::new();
    for (key, value) in entries {
        if cx.is_full() {
            break;
        }
        let id = names.population(cx, key, "mapping/split");
        let cores = cx.scalar::<u32>(value, "mapping/split");
        let (Some(id), Some(cores)) = (id, cores) else { continue };
        let name = &names.nodes[id].name;
        let item = format!("mapping/split/{name}");
        cx.spans.insert(item.as_str(), Span { start: key.start as usize, end: value.end as usize });
        if !seen.insert(id) {
            let message = format!("`split` has the population `{name}` twice");
            cx.error(code::DUPLICATE_NAME, &item, key.anchor(), message);
        } else if cores == 0 {
            let message = format!("`{name}` cannot be split over 0 cores");
            cx.error(code::BAD_PARAMETER, &item, value.anchor(), message);
        }
        split.push((name.clone(), cores));
    }
    split
}
