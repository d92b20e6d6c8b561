//! RON text as a tree of values with their places.
//!
//! serde forgets where a value stood, and with it an enum variant accepts misspelt fields; so the text is parsed here into a
//! tree that keeps both, with syntax errors that know which bracket is still open. The `ron` crate then reads the same text
//! and must accept it too, so nothing that is not RON passes; it also decodes what is rare: escapes, raw strings, and
//! numbers with underscores, other bases or suffixes.
//!
//! **Invariant:** brackets nest at most [`MAX_DEPTH`] deep, so no recursion over a tree can exhaust the stack.

use ron::extensions::Extensions;
use serde::de::{DeserializeOwned, IgnoredAny};
use snncc_ids::Span;
use std::borrow::Cow;

/// How deep brackets may nest. A network needs about ten levels; `ron` stops at 128.
const MAX_DEPTH: usize = 100;

/// A value and its place.
#[derive(Debug)]
pub(super) struct Value<'t> {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) kind: Kind<'t>,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind<'t> {
    /// A number; its text is decoded when its type is known.
    Number,
    /// `true` or `false`.
    Bool,
    /// A string.
    Text(Cow<'t, str>),
    /// A character or byte string: no field takes one.
    Other,
    /// A name without brackets, such as `None` or `BySubtraction`.
    Name(&'t str),
    /// `[a, b]`
    List(Vec<Value<'t>>),
    /// `{key: value}`
    Map(Vec<(Value<'t>, Value<'t>)>),
    /// `(…)` or `Name(…)`
    Group(Box<Group<'t>>),
}

/// Round brackets, with or without a name before them.
#[derive(Debug)]
pub(super) struct Group<'t> {
    pub(super) name: Option<&'t str>,
    /// End of the opening bracket.
    pub(super) open_end: u32,
    pub(super) members: Members<'t>,
}

/// What stands in round brackets.
#[derive(Debug)]
pub(super) enum Members<'t> {
    /// `(a: 1, b: 2)`
    Named(Vec<Field<'t>>),
    /// `(1, 2)` or `()`
    Positional(Vec<Value<'t>>),
}

/// `name: value` in round brackets.
#[derive(Debug)]
pub(super) struct Field<'t> {
    pub(super) name: &'t str,
    pub(super) start: u32,
    pub(super) value: Value<'t>,
}

impl Value<'_> {
    /// The whole value, or only its opening where it has brackets, which may span many lines.
    pub(super) fn anchor(&self) -> Span {
        let end = match &self.kind {
            Kind::Group(group) => group.open_end,
            Kind::List(_) | Kind::Map(_) => self.start + 1,
            _ => self.end,
        };
        Span { start: self.start as usize, end: end as usize }
    }

    /// What the value is, for messages.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::Number => "a number".to_owned(),
            Kind::Bool => "a truth value".to_owned(),
            Kind::Text(_) => "a string".to_owned(),
            Kind::Other => "a character or byte string".to_owned(),
            Kind::Name(name) => format!("`{name}`"),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map in `{}`".to_owned(),
            Kind::Group(group) => match (group.name, &group.members) {
                (Some(name), _) => format!("`{name}(…)`"),
                (None, Members::Named(_)) => "named fields in `()`".to_owned(),
                (None, Members::Positional(_)) => "a tuple".to_owned(),
            },
        }
    }
}

/// Where and why text is not RON.
#[derive(Debug, PartialEq)]
pub(super) struct SyntaxError {
    pub(super) message: String,
    pub(super) span: Span,
    /// The innermost bracket that was open.
    pub(super) open: Option<Span>,
}

/// The options with which `ron` reads: `dt: 1e-3` stands for `dt: Some(1e-3)`.
fn options() -> ron::Options {
    ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME)
}

/// Decodes the text of one value with `ron`.
pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Option<T> {
    options().from_str(text).ok()
}

/// Parses RON text.
pub(super) fn parse(text: &str) -> Result<Value<'_>, SyntaxError> {
    if u32::try_from(text.len()).is_err() {
        return Err(SyntaxError {
            message: "the text is longer than 4 GiB".to_owned(),
            span: Span { start: 0, end: 0 },
            open: None,
        });
    }
    let mut parser = Parser { text, at: 0, open: Vec::new() };
    let value = parser.document()?;
    match options().from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(value),
        Err(error) => {
            // `ron` points at the space before what it could not read.
            let start = offset_of(text, error.span.start);
            let start = text.len() - text[start..].trim_start().len();
            let next = text[start..].chars().next().map_or(0, char::len_utf8);
            let end = offset_of(text, error.span.end).max(start + next);
            Err(SyntaxError { message: error.code.to_string(), span: Span { start, end }, open: None })
        }
    }
}

/// Byte offset of a line and column, both counted from 1, columns in characters.
fn offset_of(text: &str, position: ron::error::Position) -> usize {
    let line_start: usize = text.split_inclusive('\n').take(position.line.saturating_sub(1)).map(str::len).sum();
    let line = &text[line_start..];
    line_start + line.char_indices().nth(position.col.saturating_sub(1)).map_or(line.len(), |(offset, _)| offset)
}

struct Parser<'t> {
    text: &'t str,
    /// Byte offset of what comes next; always at a character's start.
    at: usize,
    /// Offsets of the brackets that are open.
    open: Vec<usize>,
}

impl<'t> Parser<'t> {
    fn document(&mut self) -> Result<Value<'t>, SyntaxError> {
        self.skip_space()?;
        while self.rest().starts_with("#!") {
            self.attribute()?;
            self.skip_space()?;
        }
        let value = self.value()?;
        self.skip_space()?;
        if self.at < self.text.len() {
            return Err(self.error_here("text after the end of the network"));
        }
        Ok(value)
    }

    /// `#![enable(…)]`: extensions change nothing here, since all that matter are on.
    fn attribute(&mut self) -> Result<(), SyntaxError> {
        let end = self.rest().find(']').map(|length| self.at + length + 1);
        self.at = end.ok_or_else(|| self.error_here("`]` of the attribute is missing"))?;
        Ok(())
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&self, start: usize, end: usize, message: impl Into<String>) -> SyntaxError {
        let open = self.open.last().map(|&open| Span { start: open, end: open + 1 });
        SyntaxError { message: message.into(), span: Span { start, end }, open }
    }

    /// An error at the next character.
    fn error_here(&self, message: impl Into<String>) -> SyntaxError {
        let length = self.rest().chars().next().map_or(0, char::len_utf8);
        self.error(self.at, self.at + length, message)
    }

    /// The next character, for messages.
    fn found(&self) -> String {
        self.rest().chars().next().map_or("the end of the text".to_owned(), |c| format!("`{}`", c.escape_debug()))
    }

    /// Skips white space (what `ron` counts as such) and comments.
    fn skip_space(&mut self) -> Result<(), SyntaxError> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) => self.at += 1,
                Some(b'/') if self.rest().starts_with("//") => {
                    self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                }
                Some(b'/') if self.rest().starts_with("/*") => self.block_comment()?,
                Some(byte) if byte >= 0x80 => match self.rest().chars().next() {
                    Some(c @ ('\u{85}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')) => {
                        self.at += c.len_utf8();
                    }
                    _ => return Ok(()),
                },
                _ => return Ok(()),
            }
        }
    }

    /// Comments nest, as in Rust.
    fn block_comment(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            let Some(length) = self.rest().find(['/', '*']) else {
                return Err(self.error(start, start + 2, "the comment `/*` has no end"));
            };
            self.at += length;
            if self.rest().starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if self.rest().starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return Ok(());
                }
            } else {
                self.at += 1;
            }
        }
    }

    fn value(&mut self) -> Result<Value<'t>, SyntaxError> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'(') => self.group(None)?,
            Some(b'[') => self.list()?,
            Some(b'{') => self.map()?,
            Some(b'"') => self.string()?,
            Some(b'\'') => self.character()?,
            Some(b'0'..=b'9' | b'+' | b'-' | b'.') => self.number(),
            _ => self.word()?,
        };
        Ok(Value { start: start as u32, end: self.at as u32, kind })
    }

    fn number(&mut self) -> Kind<'t> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        self.at += self.rest().find(|c| !is_part(c)).unwrap_or(self.rest().len());
        Kind::Number
    }

    fn character(&mut self) -> Result<Kind<'t>, SyntaxError> {
        let body = &self.rest()[1..];
        // What follows a backslash may itself be a quote, so it is passed over before the end is sought.
        let escaped = body.starts_with('\\');
        let end = body.char_indices().skip(if escaped { 2 } else { 1 }).find(|(_, c)| !escaped || *c == '\'');
        match end {
            Some((offset, '\'')) => {
                self.at += 1 + offset + 1;
                Ok(Kind::Other)
            }
            _ => Err(self.error_here("a character needs one sign between two `'`")),
        }
    }

    fn string(&mut self) -> Result<Kind<'t>, SyntaxError> {
        let start = self.at;
        let mut escaped = false;
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        loop {
            match bytes.get(at) {
                None => return Err(self.error(start, start + 1, "the string that starts here has no end")),
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(_) => at += 1,
            }
        }
        // `at` is at the closing quote, an ASCII character, so the slices are whole characters.
        self.at = at + 1;
        if !escaped {
            return Ok(Kind::Text(Cow::Borrowed(&self.text[start + 1..at])));
        }
        match decode::<String>(&self.text[start..self.at]) {
            Some(text) => Ok(Kind::Text(Cow::Owned(text))),
            None => Err(self.error(start, self.at, "the string has an unknown escape")),
        }
    }

    /// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `b'…'`; `None` if it is none of these.
    fn prefixed_string(&mut self) -> Result<Option<Kind<'t>>, SyntaxError> {
        let start = self.at;
        let after_b = self.rest().strip_prefix('b');
        let is_bytes = after_b.is_some();
        let body = after_b.unwrap_or(self.rest());
        if let Some(raw) = body.strip_prefix('r') {
            let quoted = raw.trim_start_matches('#');
            let hashes = raw.len() - quoted.len();
            let Some(contents) = quoted.strip_prefix('"') else { return Ok(None) };
            let close = format!("\"{}", "#".repeat(hashes));
            let Some(length) = contents.find(&close) else {
                return Err(self.error(start, start + 1, format!("the string that starts here has no end `{close}`")));
            };
            let contents_start = self.text.len() - contents.len();
            self.at = contents_start + length + close.len();
            let text = &self.text[contents_start..contents_start + length];
            return Ok(Some(if is_bytes { Kind::Other } else { Kind::Text(Cow::Borrowed(text)) }));
        }
        if is_bytes && body.starts_with('"') {
            self.at += 1;
            // Escapes of byte strings differ from those of strings; nothing here takes one, so only the end is sought.
            let mut skip = false;
            let end = body.bytes().skip(1).position(|byte| {
                let ends = byte == b'"' && !skip;
                skip = byte == b'\\' && !skip;
                ends
            });
            let Some(end) = end else {
                return Err(self.error(start, start + 1, "the string that starts here has no end"));
            };
            self.at += end + 2;
            return Ok(Some(Kind::Other));
        }
        if is_bytes && body.starts_with('\'') {
            self.at += 1;
            return self.character().map(Some);
        }
        Ok(None)
    }

    /// A name, and the round brackets after it if there are any.
    fn word(&mut self) -> Result<Kind<'t>, SyntaxError> {
        if matches!(self.peek(), Some(b'r' | b'b'))
            && let Some(kind) = self.prefixed_string()?
        {
            return Ok(kind);
        }
        let start = self.at;
        let Some(name) = self.identifier() else {
            let message = format!("a value is expected here, not {}", self.found());
            return Err(self.error_here(message));
        };
        match name {
            "true" | "false" => return Ok(Kind::Bool),
            "inf" | "NaN" | "inff32" | "inff64" | "NaNf32" | "NaNf64" => return Ok(Kind::Number),
            _ => {}
        }
        let end = self.at;
        self.skip_space()?;
        if self.peek() == Some(b'(') {
            return self.group(Some(name));
        }
        if self.peek() == Some(b'{') {
            return Err(self.error_here(format!("the fields of `{name}` stand in round brackets `()`")));
        }
        debug_assert!(start < end);
        self.at = end;
        Ok(Kind::Name(name))
    }

    /// A name such as `v_threshold` or `r#v.threshold`.
    fn identifier(&mut self) -> Option<&'t str> {
        let raw = self.rest().strip_prefix("r#");
        let body = raw.unwrap_or(self.rest());
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || (raw.is_some() && matches!(c, '.' | '+' | '-'));
        if raw.is_none() && body.starts_with(|c: char| c.is_numeric()) {
            return None;
        }
        let name = &body[..body.find(|c| !is_part(c)).unwrap_or(body.len())];
        if name.is_empty() {
            return None;
        }
        self.at += name.len() + if raw.is_some() { 2 } else { 0 };
        Some(name)
    }

    fn enter(&mut self) -> Result<(), SyntaxError> {
        if self.open.len() == MAX_DEPTH {
            return Err(self.error_here(format!("brackets nest more than {MAX_DEPTH} deep")));
        }
        self.open.push(self.at);
        self.at += 1;
        Ok(())
    }

    /// After a member: whether there is another one. Leaves the closing bracket behind.
    fn more(&mut self, close: u8, before_first: bool) -> Result<bool, SyntaxError> {
        self.skip_space()?;
        if !before_first {
            if self.peek() == Some(b',') {
                self.at += 1;
                self.skip_space()?;
            } else if self.peek() != Some(close) {
                let message = format!("`,` or `{}` is expected here, not {}", char::from(close), self.found());
                return Err(self.error_here(message));
            }
        }
        if self.peek() == Some(close) {
            self.at += 1;
            self.open.pop();
            return Ok(false);
        }
        if self.at == self.text.len() {
            return Err(self.error_here(format!("the text ends before the closing `{}`", char::from(close))));
        }
        Ok(true)
    }

    fn list(&mut self) -> Result<Kind<'t>, SyntaxError> {
        self.enter()?;
        let mut items = Vec::new();
        while self.more(b']', items.is_empty())? {
            items.push(self.value()?);
        }
        Ok(Kind::List(items))
    }

    fn map(&mut self) -> Result<Kind<'t>, SyntaxError> {
        self.enter()?;
        let mut entries = Vec::new();
        while self.more(b'}', entries.is_empty())? {
            let key = self.value()?;
            self.skip_space()?;
            self.colon()?;
            entries.push((key, self.value()?));
        }
        Ok(Kind::Map(entries))
    }

    fn colon(&mut self) -> Result<(), SyntaxError> {
        if self.peek() != Some(b':') {
            let message = format!("`:` is expected here, not {}", self.found());
            return Err(self.error_here(message));
        }
        self.at += 1;
        self.skip_space()
    }

    fn group(&mut self, name: Option<&'t str>) -> Result<Kind<'t>, SyntaxError> {
        self.enter()?;
        let open_end = self.at as u32;
        self.skip_space()?;
        let members = if self.next_is_field()? {
            let mut fields = Vec::new();
            while self.more(b')', fields.is_empty())? {
                let start = self.at as u32;
                let Some(name) = self.identifier() else {
                    let message = format!("a field name is expected here, not {}", self.found());
                    return Err(self.error_here(message));
                };
                self.skip_space()?;
                self.colon()?;
                fields.push(Field { name, start, value: self.value()? });
            }
            Members::Named(fields)
        } else {
            let mut items = Vec::new();
            while self.more(b')', items.is_empty())? {
                items.push(self.value()?);
            }
            Members::Positional(items)
        };
        Ok(Kind::Group(Box::new(Group { name, open_end, members })))
    }

    /// Whether a name and a colon come next (or `=`, which then is refused as a misspelt colon).
    fn next_is_field(&mut self) -> Result<bool, SyntaxError> {
        let start = self.at;
        let mut is_field = false;
        if self.identifier().is_some() {
            self.skip_space()?;
            is_field = matches!(self.peek(), Some(b':' | b'='));
        }
        self.at = start;
        Ok(is_field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn syntax_error(text: &str) -> (String, usize, Option<usize>) {
        let error = parse(text).unwrap_err();
        (error.message, error.span.start, error.open.map(|open| open.start))
    }

    #[test]
    fn every_kind_of_value() {
        let text = r##"#![enable(implicit_some)] /* a /* nested */ comment */
            Name(a: -1.5e3, b: [1, 0x1F, 1_000, inf, -inf, NaN], c: {"k": true}, d: ("x\n\"y", r#"ra"w"#), // line
                 e: None, f: Some(2), g: 'c', h: b"by\"te", i: b'a', j: '\'', k: '\u{1F600}', l: (), m: [[],[1,],],)"##;
        let value = parse(text).unwrap();
        let Kind::Group(group) = &value.kind else { panic!() };
        assert_eq!(group.name, Some("Name"));
        let Members::Named(fields) = &group.members else { panic!() };
        let described: Vec<String> = fields.iter().map(|field| field.value.describe()).collect();
        let expected = [
            "a number",
            "a list",
            "a map in `{}`",
            "a tuple",
            "`None`",
            "`Some(…)`",
            "a character or byte string",
            "a character or byte string",
            "a character or byte string",
            "a character or byte string",
            "a character or byte string",
            "a tuple",
            "a list",
        ];
        assert_eq!(described, expected);
        let Kind::Group(pair) = &fields[3].value.kind else { panic!() };
        let Members::Positional(texts) = &pair.members else { panic!() };
        assert!(matches!(&texts[0].kind, Kind::Text(text) if text == "x\n\"y"));
        assert!(matches!(&texts[1].kind, Kind::Text(text) if text == "ra\"w"));
        let span = fields[0].value.anchor();
        assert_eq!(&text[span.start..span.end], "-1.5e3");
        let opening = value.anchor();
        assert_eq!(&text[opening.start..opening.end], "Name(");
    }

    #[test]
    fn syntax_errors_have_a_place_and_the_open_bracket() {
        assert_eq!(syntax_error("(a: 1 b: 2)"), ("`,` or `)` is expected here, not `b`".to_owned(), 6, Some(0)));
        assert_eq!(syntax_error("(a: [1,2)"), ("`,` or `]` is expected here, not `)`".to_owned(), 8, Some(4)));
        assert_eq!(
            syntax_error("(a: 1"),
            ("`,` or `)` is expected here, not the end of the text".to_owned(), 5, Some(0))
        );
        assert_eq!(syntax_error("(a = 1)"), ("`:` is expected here, not `=`".to_owned(), 3, Some(0)));
        assert_eq!(syntax_error("(a: \"x)"), ("the string that starts here has no end".to_owned(), 4, Some(0)));
        assert_eq!(syntax_error("(a: 1) 2"), ("text after the end of the network".to_owned(), 7, None));
        assert_eq!(syntax_error("/* x"), ("the comment `/*` has no end".to_owned(), 0, None));
        assert_eq!(syntax_error("(a: Lif{})").0, "the fields of `Lif` stand in round brackets `()`");
        assert_eq!(syntax_error("").0, "a value is expected here, not the end of the text");
        assert!(syntax_error(&"[".repeat(100_000)).0.contains("more than 100 deep"));
    }

    #[test]
    fn what_only_ron_refuses_is_refused() {
        // Two dots in a number: the tree takes any text, `ron` looks closer.
        let (message, start, _) = syntax_error("(ä: 1,\n b: 1.2.3)");
        assert_eq!((message.as_str(), start), ("Expected float", "(ä: 1,\n b: ".len()));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in r#"([\[\](){}:,"'/*#!\\rb0-9.a_=ü \n]|Some|//|/\*|r#"|b'){0,40}"#) {
            let _ = parse(&text);
        }
    }
}
