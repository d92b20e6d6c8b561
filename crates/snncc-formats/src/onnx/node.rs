//! A node of the file: its names and attributes, and what can be wrong with it.

use super::proto;
use prost::Message;
use prost::bytes::Bytes;
use std::collections::BTreeMap;

/// Most attributes of one node; the operators have up to about 20.
const MAX_ATTRIBUTES: usize = 256;
/// Most inputs and outputs of one node, and bytes of a name.
const MAX_VALUES: usize = 1 << 12;
/// The most dimensions that NumPy allows.
pub(super) const MAX_DIMENSIONS: usize = 64;
/// Largest length, stride, padding or position; products of two stay within 64 bits.
pub(super) const MAX_LENGTH: usize = 1 << 31;

/// Why a node gives no layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Trouble {
    /// The file is right, snncc has no such layer: a sentence with what to do.
    Unsupported(String),
    /// The file contradicts itself.
    Broken(String),
    /// As `Broken`, in the initializer of this name.
    BrokenInitializer(String, String),
    /// Something it needs was told before.
    Told,
}

/// What a step of reading gives.
pub(super) type Reading<T> = Result<T, Trouble>;

/// The file contradicts itself.
pub(super) fn broken<T>(message: impl Into<String>) -> Reading<T> {
    Err(Trouble::Broken(message.into()))
}

/// snncc has no such layer.
pub(super) fn unsupported<T>(reason: impl Into<String>) -> Reading<T> {
    Err(Trouble::Unsupported(reason.into()))
}

/// Values of `AttributeProto.AttributeType`.
mod kind {
    pub(super) const FLOAT: i32 = 1;
    pub(super) const INT: i32 = 2;
    pub(super) const STRING: i32 = 3;
    pub(super) const TENSOR: i32 = 4;
    pub(super) const GRAPH: i32 = 5;
    pub(super) const FLOATS: i32 = 6;
    pub(super) const INTS: i32 = 7;
    pub(super) const GRAPHS: i32 = 10;
}

/// A node of the file.
#[derive(Debug)]
pub(super) struct FileNode {
    /// Its name, or its type and position.
    pub name: String,
    /// Operator type.
    pub kind: String,
    /// Set of operators; empty for those of ONNX itself.
    pub domain: String,
    /// Names of the values it reads; empty where an optional input is left out.
    pub inputs: Vec<String>,
    /// Names of the values it makes.
    pub outputs: Vec<String>,
    attributes: BTreeMap<String, proto::Attribute>,
}

impl FileNode {
    /// Decodes node number `index`; attributes that cannot be decoded are an error.
    pub(super) fn decode(index: usize, bytes: &Bytes) -> Result<Self, String> {
        let node = proto::Node::decode(bytes.clone()).map_err(|error| error.to_string())?;
        if node.attribute.len() > MAX_ATTRIBUTES {
            return Err(format!("{} attributes; at most {MAX_ATTRIBUTES} are read", node.attribute.len()));
        }
        let values = node.input.len().max(node.output.len());
        if values > MAX_VALUES {
            return Err(format!("{values} inputs or outputs; at most {MAX_VALUES} are read"));
        }
        let names = [&node.name, &node.op_type, &node.domain].into_iter().chain(&node.input).chain(&node.output);
        if let Some(name) = names.into_iter().find(|name| name.len() > MAX_VALUES) {
            return Err(format!("a name of {} bytes; at most {MAX_VALUES} are read", name.len()));
        }
        let mut attributes = BTreeMap::new();
        for bytes in node.attribute {
            let attribute = proto::Attribute::decode(bytes).map_err(|error| format!("in an attribute: {error}"))?;
            if let Some(twice) = attributes.insert(attribute.name.clone(), attribute) {
                return Err(format!("attribute `{}` is given twice", twice.name));
            }
        }
        Ok(Self {
            name: if node.name.is_empty() { format!("{}_{index}", node.op_type) } else { node.name },
            kind: node.op_type,
            domain: if node.domain == "ai.onnx" { String::new() } else { node.domain },
            inputs: node.input,
            outputs: node.output,
            attributes,
        })
    }

    /// Whether a graph is among its attributes.
    pub(super) fn has_subgraph(&self) -> bool {
        self.attributes.values().any(|attribute| matches!(attribute.kind, kind::GRAPH | kind::GRAPHS))
    }

    /// Whether the file gives an attribute.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }

    /// The attribute, if it is there and of this type.
    fn attribute(&self, name: &str, kind: i32) -> Reading<Option<&proto::Attribute>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(attribute) if !attribute.ref_attr_name.is_empty() => {
                unsupported(format!("its attribute `{name}` is that of a function; inline the functions of the model"))
            }
            // Files of IR version 1 may lack the type.
            Some(attribute) if attribute.kind == kind || attribute.kind == 0 => Ok(Some(attribute)),
            Some(attribute) => {
                broken(format!("attribute `{name}` is of type number {}, the operator defines {kind}", attribute.kind))
            }
        }
    }

    /// An integer attribute.
    pub(super) fn int(&self, name: &str, default: i64) -> Reading<i64> {
        Ok(self.attribute(name, kind::INT)?.map_or(default, |attribute| attribute.i.unwrap_or(0)))
    }

    /// An attribute of 0 or 1.
    pub(super) fn flag(&self, name: &str, default: bool) -> Reading<bool> {
        Ok(self.int(name, default.into())? != 0)
    }

    /// A list of integers.
    pub(super) fn ints(&self, name: &str) -> Reading<Option<&[i64]>> {
        Ok(self.attribute(name, kind::INTS)?.map(|attribute| &attribute.ints[..]))
    }

    /// A list of sizes or distances, all at least `least`.
    pub(super) fn lengths(&self, name: &str, least: usize) -> Reading<Option<Vec<usize>>> {
        let Some(values) = self.ints(name)? else { return Ok(None) };
        values.iter().map(|value| length(name, *value, least)).collect::<Reading<_>>().map(Some)
    }

    /// A number.
    pub(super) fn float(&self, name: &str, default: f32) -> Reading<f32> {
        Ok(self.attribute(name, kind::FLOAT)?.map_or(default, |attribute| attribute.f.unwrap_or(0.0)))
    }

    /// A list of numbers.
    pub(super) fn floats(&self, name: &str) -> Reading<Option<&[f32]>> {
        Ok(self.attribute(name, kind::FLOATS)?.map(|attribute| &attribute.floats[..]))
    }

    /// A word.
    pub(super) fn text<'a>(&'a self, name: &str, default: &'a str) -> Reading<&'a str> {
        match self.attribute(name, kind::STRING)?.and_then(|attribute| attribute.s.as_ref()) {
            None => Ok(default),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(text),
                Err(_) => broken(format!("attribute `{name}` is not text")),
            },
        }
    }

    /// The bytes of a tensor.
    pub(super) fn tensor(&self, name: &str) -> Reading<Option<&Bytes>> {
        Ok(self.attribute(name, kind::TENSOR)?.and_then(|attribute| attribute.t.as_ref()))
    }
}

/// A size or distance from the file.
pub(super) fn length(name: &str, value: i64, least: usize) -> Reading<usize> {
    match usize::try_from(value) {
        Ok(value) if (least..=MAX_LENGTH).contains(&value) => Ok(value),
        _ => broken(format!("{value} in `{name}`; it must be from {least} to {MAX_LENGTH}")),
    }
}

/// A dimension counted from the end if negative, of `rank` in all.
pub(super) fn axis(value: i64, rank: usize) -> Reading<usize> {
    let rank_signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let counted = if value < 0 { value.saturating_add(rank_signed) } else { value };
    match usize::try_from(counted) {
        Ok(axis) if axis < rank => Ok(axis),
        _ => broken(format!("there is no dimension {value} among {rank}")),
    }
}
