//! The YAML format of mapped networks: sections `network` (groups and edges) and `mappings`.

use crate::architecture::Architecture;
use crate::description::{Connection, Context, Description, Group, MOST_NEURONS, Neuron};
use crate::yaml::{self, Node, Place, Value, problem};
use snncc_ids::{Diagnostic, Diagnostics};
use std::collections::BTreeMap;

/// Most synapses that the convolutions of a network may stand for.
const MOST_EXPANDED: u64 = 1 << 26;

/// Reads a mapped network in YAML. Warnings come with it.
///
/// # Errors
/// `SNN0114` for a file that is damaged, `SNN0205` for what the emulator has no model of. Spans are bytes of the text.
pub fn read_network(text: &str, architecture: &Architecture) -> Result<(Description, Vec<Diagnostic>), Diagnostics> {
    let root = yaml::parse(text)?;
    let mut reader = Reader {
        cx: Context::new(architecture),
        groups: Vec::new(),
        by_name: BTreeMap::new(),
        connections: BTreeMap::new(),
        neurons: 0,
        expanded: 0,
    };
    let (Some(network), Some(mappings)) = (root.get("network"), root.get("mappings")) else {
        return Err(problem(root.place, "a mapped network has the sections `network` and `mappings`").into());
    };
    let sections = [network.get("groups"), network.get("edges"), Some(mappings)].map(|node| node.and_then(Node::list));
    let [Some(groups), Some(edges), Some(mappings)] = sections else {
        let message = "`network` has the lists `groups` and `edges`, and `mappings` is a list";
        return Err(problem(network.place, message).into());
    };
    groups.iter().for_each(|group| reader.group(group));
    if reader.cx.problems.has_errors() {
        return Err(reader.cx.problems);
    }
    for edge in edges.iter().chain(mappings) {
        if !matches!(&edge.value, Value::Map(_)) {
            reader.cx.wrong(edge.place, "this should be a map with one entry");
        }
    }
    let entries = |nodes: &[Node]| {
        nodes.iter().filter_map(Node::entries).flatten().map(|(a, b)| (a.clone(), b.clone())).collect::<Vec<_>>()
    };
    for (key, value) in entries(edges) {
        reader.edge(&key, &value);
    }
    for (key, value) in entries(mappings) {
        reader.mapping(&key, &value);
    }
    let description = Description {
        name: network.get("name").and_then(Node::text).unwrap_or("network").to_owned(),
        groups: reader.groups,
        connections: reader.connections,
    };
    reader.cx.problems.into_result(description)
}

struct Reader<'a> {
    cx: Context<'a>,
    groups: Vec<Group>,
    by_name: BTreeMap<String, usize>,
    connections: BTreeMap<(usize, usize), Vec<Connection>>,
    neurons: usize,
    expanded: u64,
}

/// `3` or `0..3`, both ends included.
fn range(text: &str) -> Option<(usize, usize)> {
    let text = text.trim();
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let (first, last) = match text.split_once("..") {
        Some((first, last)) => (first.trim().parse().ok()?, last.trim().parse().ok()?),
        None => {
            let one: usize = text.parse().ok()?;
            (one, one)
        }
    };
    (first <= last && last < usize::MAX).then_some((first, last))
}

impl Reader<'_> {
    /// Neurons and units from a list or map of attributes.
    fn attributes(&mut self, node: &Node, neuron: &mut Neuron) {
        let Some(entries) = node.entries() else {
            return self.cx.wrong(node.place, "attributes should be a map, or a list of them");
        };
        for (key, value) in entries {
            match (key.text(), &value.value) {
                (Some("soma" | "dendrite"), Value::Map(_) | Value::List(_)) => self.attributes(value, neuron),
                (Some(key), _) => self.cx.attribute(value.place, key, value.text(), neuron),
                (None, _) => self.cx.wrong(key.place, "the name of an attribute should be a word"),
            }
        }
    }

    fn group(&mut self, node: &Node) {
        let (Some(name), Some(list)) =
            (node.get("name").and_then(Node::text), node.get("neurons").and_then(Node::list))
        else {
            return self.cx.wrong(node.place, "a group has a `name` and a list `neurons`");
        };
        let mut common = Neuron::default();
        if let Some(attributes) = node.get("attributes") {
            self.attributes(attributes, &mut common);
        }
        // What is listed: ranges with their attributes.
        let mut listed: Vec<(Place, (usize, usize), Option<&Node>)> = Vec::new();
        for item in list {
            let entries: Vec<(&Node, Option<&Node>)> = match &item.value {
                Value::Scalar(_) => vec![(item, None)],
                Value::Map(entries) => entries.iter().map(|(key, value)| (key, Some(value))).collect(),
                Value::List(_) => return self.cx.wrong(item.place, "a neuron is `NUMBER: [attributes]`"),
            };
            for (key, attributes) in entries {
                match key.text().and_then(range) {
                    Some(range) => listed.push((key.place, range, attributes)),
                    None => {
                        self.cx.wrong(key.place, "this should be the number of a neuron, or a range such as `0..3`")
                    }
                }
            }
        }
        let mut count = 0_usize;
        for (_, (first, last), _) in &listed {
            count = count.saturating_add(last - first + 1);
        }
        self.neurons = self.neurons.saturating_add(count);
        if self.neurons > MOST_NEURONS {
            return self.cx.refuse(node.place, format!("more than {MOST_NEURONS} neurons"));
        }
        let mut neurons = vec![common; count];
        for (place, (first, last), attributes) in listed {
            let Some(slice) = neurons.get_mut(first..=last) else {
                self.cx.wrong(place, format!("the group has {count} neurons, numbered from 0"));
                continue;
            };
            let Some(attributes) = attributes else { continue };
            let mut neuron = slice[0];
            self.attributes(attributes, &mut neuron);
            slice.fill(neuron);
        }
        if self.by_name.insert(name.to_owned(), self.groups.len()).is_some() {
            self.cx.wrong(node.place, format!("two groups have the name `{name}`"));
        }
        self.groups.push(Group { name: name.to_owned(), place: node.place, neurons });
    }

    /// `group` or `group.neurons`.
    fn address(&mut self, place: Place, text: &str) -> Option<(usize, Option<(usize, usize)>)> {
        let text = text.trim();
        let (name, neurons) = match text.split_once('.') {
            Some((name, neurons)) => (name, Some(neurons)),
            None => (text, None),
        };
        let Some(&group) = self.by_name.get(name) else {
            self.cx.wrong(place, format!("there is no group `{name}`"));
            return None;
        };
        let Some(neurons) = neurons else { return Some((group, None)) };
        let count = self.groups[group].neurons.len();
        let found = range(neurons).filter(|(_, last)| *last < count);
        if found.is_none() {
            self.cx.wrong(place, format!("there is no `{neurons}` in group `{name}`, which has {count} neurons"));
        }
        Some((group, Some(found?)))
    }

    fn edge(&mut self, key: &Node, value: &Node) {
        let Some((source, target)) = key.text().and_then(|text| text.split_once("->")) else {
            return self.cx.wrong(key.place, "an edge is `group -> group` or `group.neuron -> group.neuron`");
        };
        let ends = (self.address(key.place, source), self.address(key.place, target));
        let (Some(source), Some(target)) = ends else { return };
        match (source, target) {
            ((from, Some((a, b))), (to, Some((c, d)))) if a == b && c == d => {
                let mut weight = 0.0;
                for (name, attribute) in self.edge_attributes(value) {
                    weight = self.cx.connection_attribute(attribute.place, name, attribute.text()).unwrap_or(weight);
                }
                let connection = Connection { source: a as u32, target: c as u32, weight };
                self.connections.entry((from, to)).or_default().push(connection);
            }
            ((from, None), (to, None)) => self.hyperedge(key.place, (from, to), value),
            _ => self.cx.wrong(key.place, "an edge joins two neurons or two groups"),
        }
    }

    /// Attributes of an edge by name, those meant for one unit among them.
    fn edge_attributes<'n>(&mut self, node: &'n Node) -> Vec<(&'n str, &'n Node)> {
        let mut read = Vec::new();
        let Some(entries) = node.entries() else {
            self.cx.wrong(node.place, "attributes should be a map, or a list of them");
            return read;
        };
        for (key, value) in entries {
            match (key.text(), &value.value) {
                (Some("synapse" | "dendrite"), Value::Map(entries)) => {
                    read.extend(entries.iter().filter_map(|(key, value)| Some((key.text()?, value))));
                }
                (Some(name), _) => read.push((name, value)),
                (None, _) => self.cx.wrong(key.place, "the name of an attribute should be a word"),
            }
        }
        read
    }

    fn numbers(&mut self, node: &Node) -> Option<Vec<f64>> {
        let number = |node: &Node| node.text().and_then(|text| text.parse::<f64>().ok()).filter(|x| x.is_finite());
        let read = node.list().and_then(|items| items.iter().map(number).collect());
        if read.is_none() {
            self.cx.wrong(node.place, "this should be a list of numbers");
        }
        read
    }

    fn hyperedge(&mut self, place: Place, (from, to): (usize, usize), node: &Node) {
        let (mut kind, mut weights, mut pairs) = (None, None, None);
        let mut geometry: BTreeMap<&str, u64> = BTreeMap::new();
        for (name, value) in self.edge_attributes(node) {
            match name {
                "type" => kind = value.text(),
                "weight" | "w" => weights = self.numbers(value),
                "delay" | "d" => {
                    if self.numbers(value).is_some_and(|delays| delays.iter().any(|delay| *delay != 0.0)) {
                        self.cx.refuse(value.place, "delays are not modelled");
                    }
                }
                "source_target_pairs" => pairs = Some(value),
                "input_width" | "input_height" | "input_channels" | "kernel_width" | "kernel_height"
                | "kernel_count" | "stride_width" | "stride_height" => {
                    match value.text().and_then(|text| text.parse::<u32>().ok()).filter(|value| *value > 0) {
                        Some(size) => drop(geometry.insert(name, size.into())),
                        None => self.cx.wrong(value.place, format!("`{name}` should be a whole number above 0")),
                    }
                }
                _ => self.cx.refuse(value.place, format!("the attribute `{name}` of an edge is not modelled")),
            }
        }
        let Some(weights) = weights else { return self.cx.wrong(place, "the edge has no list `weight`") };
        let (sources, targets) = (self.groups[from].neurons.len(), self.groups[to].neurons.len());
        let expect = |cx: &mut Context<'_>, count: u64| {
            let right = weights.len() as u64 == count;
            if !right {
                cx.wrong(place, format!("{} weights for {count} connections", weights.len()));
            }
            right
        };
        let mut new = Vec::new();
        match (kind, pairs) {
            (Some("dense"), None) => {
                if expect(&mut self.cx, sources as u64 * targets as u64) {
                    let at = |i: usize| ((i / targets) as u32, (i % targets) as u32);
                    new.extend(weights.iter().enumerate().map(|(i, weight)| {
                        let (source, target) = at(i);
                        Connection { source, target, weight: *weight }
                    }));
                }
            }
            (Some("sparse"), Some(pairs)) => {
                let items = pairs.list().unwrap_or_default();
                if !expect(&mut self.cx, items.len() as u64) {
                    return;
                }
                for (pair, weight) in items.iter().zip(&weights) {
                    let ends = pair.list().and_then(|ends| match ends {
                        [a, b] => Some((a.text()?.parse::<u32>().ok()?, b.text()?.parse::<u32>().ok()?)),
                        _ => None,
                    });
                    let inside = ends.filter(|(a, b)| (*a as usize) < sources && (*b as usize) < targets);
                    match inside {
                        Some((source, target)) => new.push(Connection { source, target, weight: *weight }),
                        None => self.cx.wrong(pair.place, "this should be a pair of neurons `[source, target]`"),
                    }
                }
            }
            (Some("conv2d"), None) => match Convolution::new(&geometry) {
                Some(convolution) => {
                    let ends = (sources as u64, targets as u64);
                    if (convolution.inputs(), convolution.outputs()) != ends {
                        let message = format!(
                            "the convolution has {} inputs and {} outputs, the groups {sources} and {targets} neurons",
                            convolution.inputs(),
                            convolution.outputs()
                        );
                        return self.cx.wrong(place, message);
                    }
                    if !expect(&mut self.cx, convolution.kernel_values()) {
                        return;
                    }
                    self.expanded = self.expanded.saturating_add(convolution.synapses());
                    if self.expanded > MOST_EXPANDED {
                        return self.cx.refuse(place, format!("convolutions with more than {MOST_EXPANDED} synapses"));
                    }
                    convolution.expand(&weights, &mut new);
                }
                None => {
                    let message = "a convolution has input_width, input_height, input_channels, kernel_width, \
                                   kernel_height (not larger than the input) and kernel_count";
                    self.cx.wrong(place, message);
                }
            },
            _ => self.cx.wrong(place, "the `type` of an edge between groups is dense, sparse (with pairs) or conv2d"),
        }
        self.connections.entry((from, to)).or_default().append(&mut new);
    }

    fn mapping(&mut self, key: &Node, value: &Node) {
        let Some((group, neurons)) = key.text().and_then(|text| self.address(key.place, text)) else { return };
        let (first, last) = neurons.unwrap_or((0, self.groups[group].neurons.len().saturating_sub(1)));
        let Some(entries) = value.entries() else {
            return self.cx.wrong(value.place, "a mapping is `group.neurons: {core: tile.core}`");
        };
        let mut neurons = std::mem::take(&mut self.groups[group].neurons);
        let mut core = None;
        let mut units = neurons.get(first).copied().unwrap_or_default();
        let (mut soma, mut synapse) = (false, false);
        for (key, value) in entries {
            match (key.text(), value.text()) {
                (Some("core"), Some(address)) => core = Some((value.place, address)),
                (Some("soma"), Some(name)) => (soma, _) = (true, self.cx.set_soma(value.place, name, &mut units)),
                (Some("synapse"), Some(name)) => {
                    (synapse, _) = (true, self.cx.set_synapse(value.place, name, &mut units));
                }
                (Some("dendrite"), Some(name)) => self.cx.check_dendrite(value.place, name),
                _ => self.cx.wrong(key.place, "a mapping has `core` and may name units: soma, synapse, dendrite"),
            }
        }
        if let Some(slice) = neurons.get_mut(first..=last) {
            for neuron in slice.iter_mut() {
                neuron.soma = if soma { units.soma } else { neuron.soma };
                neuron.synapse = if synapse { units.synapse } else { neuron.synapse };
            }
            match core {
                Some((place, address)) => self.cx.map(place, address, slice),
                None => self.cx.wrong(value.place, "the mapping names no `core`"),
            }
        }
        self.groups[group].neurons = neurons;
    }
}

/// A convolution without padding. Neurons lie channel by channel, row by row; kernel values `[y][x][channel in][channel out]`.
struct Convolution {
    width: u64,
    height: u64,
    channels: u64,
    kernel: (u64, u64),
    stride: (u64, u64),
    count: u64,
}

impl Convolution {
    fn new(geometry: &BTreeMap<&str, u64>) -> Option<Self> {
        let size = |name: &str| geometry.get(name).copied();
        let new = Self {
            width: size("input_width")?,
            height: size("input_height")?,
            channels: size("input_channels")?,
            kernel: (size("kernel_width")?, size("kernel_height")?),
            stride: (size("stride_width").unwrap_or(1), size("stride_height").unwrap_or(1)),
            count: size("kernel_count")?,
        };
        (new.kernel.0 <= new.width && new.kernel.1 <= new.height).then_some(new)
    }

    /// Columns and rows of the output.
    fn output(&self) -> (u64, u64) {
        ((self.width - self.kernel.0) / self.stride.0 + 1, (self.height - self.kernel.1) / self.stride.1 + 1)
    }

    fn inputs(&self) -> u64 {
        (self.width * self.height).saturating_mul(self.channels)
    }

    fn outputs(&self) -> u64 {
        let (columns, rows) = self.output();
        (columns * rows).saturating_mul(self.count)
    }

    fn kernel_values(&self) -> u64 {
        (self.kernel.0 * self.kernel.1).saturating_mul(self.channels).saturating_mul(self.count)
    }

    fn synapses(&self) -> u64 {
        let per_output = (self.kernel.0 * self.kernel.1).saturating_mul(self.channels);
        self.outputs().saturating_mul(per_output)
    }

    fn expand(&self, weights: &[f64], into: &mut Vec<Connection>) {
        let (columns, rows) = self.output();
        for target in 0..self.outputs() {
            let (channel_out, y, x) = (target / (columns * rows), target / columns % rows, target % columns);
            for value in 0..self.kernel.0 * self.kernel.1 * self.channels {
                let (channel, at) = (value % self.channels, value / self.channels);
                let (kernel_x, kernel_y) = (at % self.kernel.0, at / self.kernel.0);
                let row = y * self.stride.1 + kernel_y;
                let source = (channel * self.height + row) * self.width + x * self.stride.0 + kernel_x;
                let weight = weights[(value * self.count + channel_out) as usize];
                into.push(Connection { source: source as u32, target: target as u32, weight });
            }
        }
    }
}
