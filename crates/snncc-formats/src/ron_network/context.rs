//! What all parts of the reader share: reporting problems, taking apart fields, and reading single values.
//!
//! **Invariant:** a function here that returns `None` has reported why, except that an absent optional field is silent. The
//! reader goes on after a problem, to find them all, and gives no network in the end.

use super::SpanIndex;
use super::value::{Kind, Members, Value, decode};
use crate::tensor_files::ARRAY_LIMIT_BYTES;
use snncc_ids::{Code, Diagnostic, Diagnostics, Span, code, did_you_mean};
use std::collections::BTreeMap;

/// Gives the bytes of a file, or says why not.
pub(super) type Files<'c> = &'c mut dyn FnMut(&str) -> Result<Vec<u8>, String>;

/// The reader stops early after about this many problems: a hostile file could hold millions.
const MOST_PROBLEMS: usize = 100;

/// The state of reading one network.
pub(super) struct Context<'c> {
    text: &'c str,
    pub(super) files: Files<'c>,
    /// Files read so far; `None` where that failed, which is reported once.
    pub(super) loaded: BTreeMap<String, Option<Vec<u8>>>,
    /// Bytes that tensors from files may still take, so that naming one large array a thousand times ends well.
    pub(super) file_budget_bytes: u64,
    pub(super) problems: Diagnostics,
    pub(super) spans: SpanIndex,
}

impl<'c> Context<'c> {
    pub(super) fn new(text: &'c str, files: Files<'c>) -> Self {
        Self {
            text,
            files,
            loaded: BTreeMap::new(),
            file_budget_bytes: ARRAY_LIMIT_BYTES,
            problems: Diagnostics::new(),
            spans: SpanIndex::default(),
        }
    }

    /// Reports an error and returns it, for notes and help.
    pub(super) fn error(&mut self, code: Code, item: &str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        let diagnostic = Diagnostic::error(code, message).span(span.start, span.end);
        self.problems.push(if item.is_empty() { diagnostic } else { diagnostic.at(item) });
        self.problems.0.last_mut().expect("bug in snncc: the diagnostic was pushed just now")
    }

    /// Whether so many problems were found that looking for more helps nobody.
    pub(super) fn is_full(&self) -> bool {
        self.problems.0.len() >= MOST_PROBLEMS
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong_type(&mut self, item: &str, value: &Value, expected: &str) -> &mut Diagnostic {
        let message = format!("expected {expected}, found {}", value.describe());
        self.error(code::WRONG_TYPE, item, value.anchor(), message)
    }

    /// Reports a name that is not known, with those that are.
    pub(super) fn unknown_name(&mut self, item: &str, span: Span, what: &str, name: &str, known: &[&str]) {
        let message = format!("`{name}` is not a {what}");
        let near = did_you_mean(name, known.iter().copied());
        let diagnostic = self.error(code::UNKNOWN_FIELD, item, span, message);
        diagnostic.notes.push(format!("known here: {}", known.join(", ")));
        diagnostic.help.extend(near.map(|near| format!("did you mean `{near}`?")));
    }

    /// The line, counted from 1, of a byte of the text.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }

    /// The text of a value.
    pub(super) fn text_of(&self, value: &Value) -> &'c str {
        &self.text[value.start as usize..value.end as usize]
    }

    /// Takes `(a: …, b: …)` apart, whatever its name, and files the places of its fields under `item`. Unknown and repeated
    /// fields are reported; an empty `item` stands for the top level.
    pub(super) fn fields<'v>(
        &mut self,
        value: &'v Value<'v>,
        item: &str,
        title: &str,
        known: &[&str],
    ) -> Option<Fields<'v>> {
        let mut fields =
            Fields { item: item.to_owned(), title: title.to_owned(), anchor: value.anchor(), members: Vec::new() };
        let members = match &value.kind {
            Kind::Name(_) => return Some(fields),
            Kind::Group(group) => match &group.members {
                Members::Named(members) => members,
                Members::Positional(items) if items.is_empty() => return Some(fields),
                Members::Positional(_) => {
                    let message =
                        format!("{title} takes named fields, such as `{}: …`", known.first().unwrap_or(&"name"));
                    self.error(code::WRONG_TYPE, item, value.anchor(), message);
                    return None;
                }
            },
            _ => {
                self.wrong_type(item, value, &format!("{title} with its fields in `()`"));
                return None;
            }
        };
        for field in members {
            if self.is_full() {
                break;
            }
            let path = fields.path(field.name);
            let name_span = Span { start: field.start as usize, end: field.start as usize + field.name.len() };
            if !known.contains(&field.name) {
                self.unknown_name(&path, name_span, &format!("field of {title}"), field.name, known);
            } else if fields.find(field.name).is_some() {
                let message = format!("field `{}` of {title} is given twice", field.name);
                self.error(code::DUPLICATE_NAME, &path, name_span, message);
            } else {
                self.spans.insert(path, Span { start: name_span.start, end: field.value.anchor().end });
                fields.members.push((field.name, &field.value));
            }
        }
        Some(fields)
    }

    /// Reads a field that may be absent, or `None`.
    pub(super) fn optional<T>(
        &mut self,
        fields: &Fields,
        name: &str,
        read: impl FnOnce(&mut Self, &Value, &str) -> Option<T>,
    ) -> Option<T> {
        let value = fields.get(name)?;
        read(self, value, &fields.path(name))
    }

    /// Reads a field that must be there.
    pub(super) fn required<T>(
        &mut self,
        fields: &Fields,
        name: &str,
        read: impl FnOnce(&mut Self, &Value, &str) -> Option<T>,
    ) -> Option<T> {
        match fields.get(name) {
            Some(value) => read(self, value, &fields.path(name)),
            None => {
                let message = format!("{} needs the field `{name}`", fields.title);
                self.error(code::WRONG_TYPE, &fields.item, fields.anchor, message);
                None
            }
        }
    }

    /// A finite number.
    pub(super) fn float(&mut self, value: &Value, item: &str) -> Option<f64> {
        self.scalar(value, item)
    }

    /// A single number of type `T`.
    pub(super) fn scalar<T: Scalar>(&mut self, value: &Value, item: &str) -> Option<T> {
        if !matches!(value.kind, Kind::Number) {
            self.wrong_type(item, value, T::WHAT);
            return None;
        }
        match T::parse(self.text_of(value)) {
            Ok(number) => Some(number),
            Err((code, message)) => {
                self.error(code, item, value.anchor(), message);
                None
            }
        }
    }

    /// A string.
    pub(super) fn string<'v>(&mut self, value: &'v Value, item: &str) -> Option<&'v str> {
        match &value.kind {
            Kind::Text(text) => Some(text),
            _ => {
                self.wrong_type(item, value, "a string");
                None
            }
        }
    }

    /// One of several names.
    pub(super) fn choice<T: Copy>(
        &mut self,
        value: &Value,
        item: &str,
        what: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let known: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        match &value.kind {
            Kind::Name(name) => match choices.iter().find(|(known, _)| known == name) {
                Some((_, choice)) => Some(*choice),
                None => {
                    self.unknown_name(item, value.anchor(), what, name, &known);
                    None
                }
            },
            _ => {
                self.wrong_type(item, value, &format!("one of {}", known.join(", ")));
                None
            }
        }
    }

    /// The members of a list or tuple.
    pub(super) fn sequence<'v>(&mut self, value: &'v Value<'v>, item: &str, what: &str) -> Option<&'v [Value<'v>]> {
        match sequence(value) {
            Some(items) => Some(items),
            None => {
                self.wrong_type(item, value, what);
                None
            }
        }
    }
}

/// The members of a list or of a tuple without a name.
pub(super) fn sequence<'v>(value: &'v Value<'v>) -> Option<&'v [Value<'v>]> {
    match &value.kind {
        Kind::List(items) => Some(items),
        Kind::Group(group) if group.name.is_none() => match &group.members {
            Members::Positional(items) => Some(items),
            Members::Named(_) => None,
        },
        _ => None,
    }
}

/// The fields of a group, found by name.
pub(super) struct Fields<'v> {
    pub(super) item: String,
    title: String,
    pub(super) anchor: Span,
    members: Vec<(&'v str, &'v Value<'v>)>,
}

impl<'v> Fields<'v> {
    /// The field as written.
    pub(super) fn find(&self, name: &str) -> Option<&'v Value<'v>> {
        self.members.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The value of an optional field: `Some(x)` is `x`, and `None` is the same as leaving the field out.
    pub(super) fn get(&self, name: &str) -> Option<&'v Value<'v>> {
        let value = self.find(name)?;
        match &value.kind {
            Kind::Name("None") => None,
            Kind::Group(group) if group.name == Some("Some") => match &group.members {
                Members::Positional(items) if items.len() == 1 => items.first(),
                _ => Some(value),
            },
            _ => Some(value),
        }
    }

    /// The item path of a field.
    pub(super) fn path(&self, name: &str) -> String {
        if self.item.is_empty() { name.to_owned() } else { format!("{}/{name}", self.item) }
    }

    /// The place of a field's value, or of the group if the field is absent.
    pub(super) fn span(&self, name: &str) -> Span {
        self.get(name).map_or(self.anchor, Value::anchor)
    }
}

/// A number type that a field may have.
pub(super) trait Scalar: Sized + Copy {
    /// What the field wants.
    const WHAT: &'static str;
    /// Reads a number's text.
    fn parse(text: &str) -> Result<Self, (Code, String)>;
}

impl Scalar for f64 {
    const WHAT: &'static str = "a number";
    fn parse(text: &str) -> Result<Self, (Code, String)> {
        match text.parse().ok().or_else(|| decode::<f64>(text)) {
            Some(number) if f64::is_finite(number) => Ok(number),
            Some(_) => Err((code::BAD_PARAMETER, format!("{text} is not a finite 64-bit number"))),
            None => Err((code::WRONG_TYPE, format!("{text} is not a number"))),
        }
    }
}

macro_rules! integer_scalars {
    ($($type:ty)*) => {$(
        impl Scalar for $type {
            const WHAT: &'static str = "an integer";
            fn parse(text: &str) -> Result<Self, (Code, String)> {
                text.parse().ok().or_else(|| decode::<$type>(text)).ok_or_else(|| {
                    let range = format!("{text} is not an integer from {} to {}", <$type>::MIN, <$type>::MAX);
                    (code::WRONG_TYPE, range)
                })
            }
        }
    )*};
}

integer_scalars!(i8 u8 i32 u32 i64 u64 usize);
