//! The older line format: one group (`g`), neuron (`n`), connection (`e`) or mapping (`&`) a line, with attributes `name=value`.

use crate::architecture::Architecture;
use crate::description::{Connection, Context, Description, Group, MOST_NEURONS, Neuron};
use crate::yaml::Place;
use snncc_ids::{Diagnostic, Diagnostics};
use std::collections::BTreeMap;

/// Reads a network in the line format. Warnings come with it.
///
/// # Errors
/// `SNN0114` for lines that are damaged, `SNN0205` for what the emulator has no model of. Spans are bytes of the text.
pub fn read_netlist(
    text: &str,
    name: &str,
    architecture: &Architecture,
) -> Result<(Description, Vec<Diagnostic>), Diagnostics> {
    let mut reader =
        Reader { cx: Context::new(architecture), groups: Vec::new(), connections: BTreeMap::new(), neurons: 0 };
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        let place = Place { start: offset as u32, end: (offset + content.len()) as u32 };
        offset += line.len();
        let mut fields = content.split_whitespace();
        match fields.next() {
            None => {}
            Some(kind) if kind.starts_with('#') => {}
            Some("g") => reader.group(place, fields),
            Some("n") => reader.neuron(place, fields),
            Some("e") => reader.connection(place, fields),
            Some("&") => reader.mapping(place, fields),
            Some(kind) => reader.cx.wrong(place, format!("a line begins with g, n, e, & or #, not `{kind}`")),
        }
    }
    let description = Description { name: name.to_owned(), groups: reader.groups, connections: reader.connections };
    reader.cx.problems.into_result(description)
}

struct Reader<'a> {
    cx: Context<'a>,
    groups: Vec<Group>,
    connections: BTreeMap<(usize, usize), Vec<Connection>>,
    neurons: usize,
}

impl<'a> Reader<'a> {
    fn attributes<'t>(&mut self, place: Place, fields: impl Iterator<Item = &'t str>) -> Vec<(&'t str, &'t str)> {
        let mut read = Vec::new();
        for field in fields {
            match field.split_once('=') {
                Some(pair) => read.push(pair),
                None => self.cx.wrong(place, format!("`{field}` is no attribute: write `name=value`, without spaces")),
            }
        }
        read
    }

    /// A neuron by its address `group.neuron`.
    fn address(&mut self, place: Place, address: &str) -> Option<(usize, usize)> {
        let parsed = address.split_once('.').and_then(|(group, neuron)| {
            let (group, neuron) = (group.parse::<usize>().ok()?, neuron.parse::<usize>().ok()?);
            (neuron < self.groups.get(group)?.neurons.len()).then_some((group, neuron))
        });
        if parsed.is_none() {
            self.cx.wrong(place, format!("there is no neuron `{address}` so far"));
        }
        parsed
    }

    fn group<'t>(&mut self, place: Place, mut fields: impl Iterator<Item = &'t str>) {
        let count = fields.next().and_then(|count| count.parse::<usize>().ok()).filter(|count| *count > 0);
        let Some(count) = count else { return self.cx.wrong(place, "a group begins with its number of neurons") };
        self.neurons = self.neurons.saturating_add(count);
        if self.neurons > MOST_NEURONS {
            return self.cx.refuse(place, format!("more than {MOST_NEURONS} neurons"));
        }
        let mut neuron = Neuron::default();
        for (key, value) in self.attributes(place, fields) {
            self.cx.attribute(place, key, Some(value), &mut neuron);
        }
        self.groups.push(Group { name: self.groups.len().to_string(), place, neurons: vec![neuron; count] });
    }

    fn neuron<'t>(&mut self, place: Place, mut fields: impl Iterator<Item = &'t str>) {
        let Some((group, at)) = self.address(place, fields.next().unwrap_or("")) else { return };
        for (key, value) in self.attributes(place, fields) {
            self.cx.attribute(place, key, Some(value), &mut self.groups[group].neurons[at]);
        }
    }

    fn connection<'t>(&mut self, place: Place, mut fields: impl Iterator<Item = &'t str>) {
        let Some((source, target)) = fields.next().and_then(|field| field.split_once("->")) else {
            return self.cx.wrong(place, "a connection begins with `group.neuron->group.neuron`");
        };
        let ends = (self.address(place, source), self.address(place, target));
        let (Some(source), Some(target)) = ends else { return };
        let mut weight = 0.0;
        for (key, value) in self.attributes(place, fields) {
            weight = self.cx.connection_attribute(place, key, Some(value)).unwrap_or(weight);
        }
        let connection = Connection { source: source.1 as u32, target: target.1 as u32, weight };
        self.connections.entry((source.0, target.0)).or_default().push(connection);
    }

    fn mapping<'t>(&mut self, place: Place, mut fields: impl Iterator<Item = &'t str>) {
        let Some((neuron, core)) = fields.next().and_then(|field| field.split_once('@')) else {
            return self.cx.wrong(place, "a mapping is `group.neuron@tile.core`");
        };
        let Some((group, at)) = self.address(place, neuron) else { return };
        self.cx.map(place, core, &mut self.groups[group].neurons[at..=at]);
    }
}
