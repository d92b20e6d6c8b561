//! YAML as a tree of texts: what a scalar means is decided where it is used, so that the address `0.10` stays what it is.
//!
//! **Invariant:** the tree is at most [`DEPTH`] levels deep and takes memory proportional to the text. Anchors, aliases and tags
//! are refused: none of the formats read here needs them, and aliases can make a short text a very large tree.

use saphyr_parser::{Event, Parser, Span as ParserSpan};
use snncc_ids::{Diagnostic, Diagnostics, code};

/// Deepest nesting that is read.
const DEPTH: usize = 64;

/// Bytes `start .. end` of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Box<str>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// Items of a list.
    pub(crate) fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value of a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Entries of a map, or of the maps of a list, in order: attributes may be written both ways. `None` for anything else.
    pub(crate) fn entries(&self) -> Option<Vec<(&Node, &Node)>> {
        match &self.value {
            Value::Scalar(text) if text.is_empty() || &**text == "~" || &**text == "null" => Some(Vec::new()),
            Value::Scalar(_) => None,
            Value::Map(entries) => Some(entries.iter().map(|(key, value)| (key, value)).collect()),
            Value::List(items) => {
                let mut all = Vec::with_capacity(items.len());
                for item in items {
                    let Value::Map(entries) = &item.value else { return None };
                    all.extend(entries.iter().map(|(key, value)| (key, value)));
                }
                Some(all)
            }
        }
    }
}

/// A diagnostic at a place.
pub(crate) fn problem(place: Place, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(code::SANAFE_FILE, message).span(place.start as usize, place.end.max(place.start) as usize)
}

/// From places in characters, as the parser counts them, to places in bytes. They come in ascending order, nearly.
struct Bytes<'a> {
    text: &'a str,
    ascii: bool,
    at: (usize, usize),
}

impl Bytes<'_> {
    fn of(&mut self, character: usize) -> u32 {
        if self.ascii {
            return character.min(self.text.len()) as u32;
        }
        if character < self.at.0 {
            self.at = (0, 0);
        }
        let rest = &self.text[self.at.1..];
        let (count, offset) = (character - self.at.0, rest.len());
        let offset = rest.char_indices().nth(count).map_or(offset, |(offset, _)| offset);
        self.at = (character, self.at.1 + offset);
        self.at.1 as u32
    }

    fn place(&mut self, span: ParserSpan) -> Place {
        let start = self.of(span.start.index());
        Place { start, end: self.of(span.end.index()).max(start) }
    }
}

/// A list or map that is still open.
struct Open {
    node: Node,
    /// The key that waits for its value.
    key: Option<Node>,
}

/// Reads the first document of a text.
///
/// # Errors
/// `SNN0114` for text that is no YAML, has no value, or has what is refused.
pub(crate) fn parse(text: &str) -> Result<Node, Diagnostics> {
    if u32::try_from(text.len()).is_err() {
        return Err(problem(Place::default(), "the text is longer than 4 GiB").into());
    }
    let mut bytes = Bytes { text, ascii: text.is_ascii(), at: (0, 0) };
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = bytes.of(error.marker().index());
            Diagnostics::from(problem(Place { start: at, end: at }, format!("this is no YAML: {}", error.info())))
        })?;
        let place = bytes.place(span);
        let refuse = |what: &str| Err(problem(place, format!("{what} are not read")).into());
        let done = match event {
            Event::Alias(_) => return refuse("aliases"),
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                return refuse("anchors");
            }
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                return refuse("tags");
            }
            Event::Scalar(text, ..) => Node { value: Value::Scalar(text.into()), place },
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() == DEPTH {
                    return Err(problem(place, format!("nested more than {DEPTH} levels deep")).into());
                }
                let value = match event {
                    Event::SequenceStart(..) => Value::List(Vec::new()),
                    _ => Value::Map(Vec::new()),
                };
                open.push(Open { node: Node { value, place }, key: None });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(mut closed) = open.pop() else { continue };
                closed.node.place.end = place.end;
                closed.node
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                continue;
            }
        };
        let Some(parent) = open.last_mut() else { return Ok(done) };
        match (&mut parent.node.value, parent.key.take()) {
            (Value::List(items), _) => items.push(done),
            (Value::Map(entries), Some(key)) => entries.push((key, done)),
            (_, None) => parent.key = Some(done),
            (Value::Scalar(_), Some(_)) => unreachable!("bug in snncc: a scalar was opened"),
        }
    }
    Err(problem(Place::default(), "the file is empty").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_stay_texts_and_places_count_bytes() {
        let text = "é: [0.10, {a.0 -> b.1: [weight: -4]}]\n";
        let tree = parse(text).unwrap();
        let items = tree.get("é").unwrap().list().unwrap();
        assert_eq!(items[0].text(), Some("0.10"));
        let place = items[0].place;
        assert_eq!(&text[place.start as usize..place.end as usize], "0.10");
        let edge = items[1].get("a.0 -> b.1").unwrap().entries().unwrap();
        assert_eq!((edge[0].0.text(), edge[0].1.text()), (Some("weight"), Some("-4")));
    }

    #[test]
    fn hostile_texts_are_refused() {
        for text in ["", "a: &x [1]\nb: [*x, *x]", "!!python/object:os.system x", "a: [1, 2", "\t- x: {"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
