//! Diagnostics as text, as lines and as JSON.
//!
//! The text form is that of rustc: the message, the place, the source line with carets, notes and ways out. It is laid out
//! here, not by a library, because most places are items of binary files and have no source line.

use serde_json::json;
use snncc_ids::{Code, Diagnostic, Severity, Span};
use std::fmt::Write;

/// Diagnostics of one code shown in full before the rest is only listed.
const SHOWN_PER_CODE: usize = 4;
/// Columns of source shown around a place in a long line.
const EXCERPT_COLUMNS: usize = 100;

/// The file that diagnostics speak of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    /// Path as the user gave it.
    pub(crate) path: String,
    /// Its text, where it is text.
    pub(crate) text: Option<String>,
}

/// Line and column (from 1) of a byte offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    line: usize,
    column: usize,
}

fn position(text: &str, offset: usize) -> Position {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    Position { line, column: String::from_utf8_lossy(&before[line_start..]).chars().count() + 1 }
}

/// Colours of a terminal, or nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    /// Whether to use colours.
    pub(crate) on: bool,
}

impl Paint {
    fn wrap(self, style: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
    fn severity(self, severity: Severity, text: &str) -> String {
        self.wrap(if severity == Severity::Error { "1;31" } else { "1;33" }, text)
    }
    fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }
    fn frame(self, text: &str) -> String {
        self.wrap("1;34", text)
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// `net.ron:14:5 nodes/hidden`, `net.nir: nodes/hidden`, …
fn place(diagnostic: &Diagnostic, source: Option<&Source>) -> Option<String> {
    let item = diagnostic.item.as_deref();
    let Some(source) = source else { return item.map(str::to_owned) };
    match (diagnostic.span, &source.text) {
        (Some(span), Some(text)) => {
            let Position { line, column } = position(text, span.start);
            let item = item.map_or(String::new(), |item| format!(" {item}"));
            Some(format!("{}:{line}:{column}{item}", source.path))
        }
        _ => Some(item.map_or(source.path.clone(), |item| format!("{}: {item}", source.path))),
    }
}

/// One diagnostic in full.
pub(crate) fn human(diagnostic: &Diagnostic, source: Option<&Source>, paint: Paint) -> String {
    let head = format!("{}[{}]", severity_name(diagnostic.severity), diagnostic.code);
    let mut out = format!(
        "{}{}\n",
        paint.severity(diagnostic.severity, &head),
        paint.bold(&format!(": {}", indented(&diagnostic.message, 0)))
    );
    let excerpt = diagnostic.span.and_then(|span| Excerpt::of(source?.text.as_deref()?, span));
    let margin = excerpt.as_ref().map_or(2, |excerpt| excerpt.line.to_string().len() + 1);
    let pad = " ".repeat(margin);
    if let Some(place) = place(diagnostic, source) {
        let _ = writeln!(out, "{}{} {place}", " ".repeat(margin - 1), paint.frame("-->"));
    }
    if let Some(excerpt) = &excerpt {
        let bar = paint.frame("|");
        let number = paint.frame(&format!("{:<margin$}", excerpt.line));
        let carets = "^".repeat(excerpt.caret_columns.1.max(1));
        let _ = writeln!(out, "{pad}{bar}");
        let _ = writeln!(out, "{number}{bar} {}", excerpt.text);
        let _ = writeln!(
            out,
            "{pad}{bar} {}{}",
            " ".repeat(excerpt.caret_columns.0),
            paint.severity(diagnostic.severity, &carets)
        );
        let _ = writeln!(out, "{pad}{bar}");
    }
    for (kind, lines) in [("note", &diagnostic.notes), ("help", &diagnostic.help)] {
        for text in lines {
            let text = indented(text, margin + 8);
            let _ = writeln!(out, "{pad}{} {}: {text}", paint.frame("="), paint.bold(kind));
        }
    }
    let _ = writeln!(out, "{pad}for more: snncc explain {}", diagnostic.code);
    out
}

/// Text of several lines, all but the first indented.
fn indented(text: &str, spaces: usize) -> String {
    text.replace('\n', &format!("\n{}", " ".repeat(spaces)))
}

/// A source line with the marked part.
struct Excerpt {
    line: usize,
    text: String,
    /// Columns before the carets, and their number.
    caret_columns: (usize, usize),
}

impl Excerpt {
    fn of(text: &str, span: Span) -> Option<Self> {
        if span.start > text.len() {
            return None;
        }
        let Position { line, column } = position(text, span.start);
        let source_line = text.lines().nth(line - 1).unwrap_or("");
        let characters: Vec<char> = source_line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let start = (column - 1).min(characters.len());
        let end = position(text, span.end.max(span.start));
        let end = if end.line == line { end.column - 1 } else { characters.len() };
        // A window around the start of the span, with its end marks where the line goes on.
        let from = if characters.len() <= EXCERPT_COLUMNS { 0 } else { start.saturating_sub(EXCERPT_COLUMNS / 3) };
        let to = characters.len().min(from + EXCERPT_COLUMNS);
        let mut shown: String = characters[from..to].iter().collect();
        let mut before = start - from;
        if from > 0 {
            shown.insert(0, '…');
            before += 1;
        }
        if to < characters.len() {
            shown.push('…');
        }
        Some(Self { line, text: shown, caret_columns: (before, end.min(to).saturating_sub(start)) })
    }
}

/// One diagnostic on one line.
pub(crate) fn short(diagnostic: &Diagnostic, source: Option<&Source>) -> String {
    let place = place(diagnostic, source).map_or(String::new(), |place| format!("{place}: "));
    let message = diagnostic.message.replace('\n', " ");
    format!("{place}{}[{}]: {message}", severity_name(diagnostic.severity), diagnostic.code)
}

/// One diagnostic as a JSON object.
pub(crate) fn json_value(diagnostic: &Diagnostic, source: Option<&Source>) -> serde_json::Value {
    let mut value = json!(diagnostic);
    let position = diagnostic.span.zip(source.and_then(|source| source.text.as_deref()));
    let position = position.map(|(span, text)| position_of(text, span));
    value["file"] = json!(source.map(|source| &source.path));
    value["line"] = json!(position.map(|position| position.line));
    value["column"] = json!(position.map(|position| position.column));
    value
}

fn position_of(text: &str, span: Span) -> Position {
    position(text, span.start)
}

/// Diagnostics in full, repeats of a code beyond the first few only listed (`all` shows every one).
pub(crate) fn human_grouped(diagnostics: &[&Diagnostic], source: Option<&Source>, paint: Paint, all: bool) -> String {
    let mut out = String::new();
    let mut seen: Vec<(Code, Severity, Vec<&Diagnostic>)> = Vec::new();
    for diagnostic in diagnostics {
        let key = (diagnostic.code, diagnostic.severity);
        match seen.iter_mut().find(|(code, severity, _)| (*code, *severity) == key) {
            Some((_, _, group)) => group.push(diagnostic),
            None => seen.push((key.0, key.1, vec![diagnostic])),
        }
    }
    for (code, severity, group) in &seen {
        let shown = if all || group.len() <= SHOWN_PER_CODE + 1 { group.len() } else { SHOWN_PER_CODE };
        for diagnostic in &group[..shown] {
            out.push_str(&human(diagnostic, source, paint));
            out.push('\n');
        }
        if shown < group.len() {
            let head = format!("{}[{code}]", severity_name(*severity));
            let items: Vec<&str> = group[shown..].iter().filter_map(|d| d.item.as_deref()).take(8).collect();
            let dots = if group.len() - shown > items.len() && !items.is_empty() { ", …" } else { "" };
            let at = if items.is_empty() { String::new() } else { format!(" at {}{dots}", items.join(", ")) };
            let _ = writeln!(
                out,
                "{}: {} more of this kind{at}; -v shows all\n",
                paint.severity(*severity, &head),
                group.len() - shown
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use snncc_ids::code;

    const PLAIN: Paint = Paint { on: false };

    fn source() -> Source {
        Source {
            path: "net.ron".into(),
            text: Some("(schema: 1,\n nodes: {\n  \"hidden\": Lif(tau: -1.0),\n })\n".into()),
        }
    }

    fn negative_tau() -> Diagnostic {
        let text = source().text.unwrap();
        let start = text.find("-1.0").unwrap();
        Diagnostic::error(code::BAD_PARAMETER, "`tau` of `hidden` is -1, must be above 0")
            .at("nodes/hidden/tau")
            .span(start, start + 4)
            .note("time constants are in seconds")
            .help("give the time constant in seconds:\n20e-3 is 20 ms")
    }

    #[test]
    fn a_place_in_text_is_shown_with_its_line() {
        let expected = "\
error[SNN0203]: `tau` of `hidden` is -1, must be above 0
 --> net.ron:3:18 nodes/hidden/tau
  |
3 |   \"hidden\": Lif(tau: -1.0),
  |                      ^^^^
  |
  = note: time constants are in seconds
  = help: give the time constant in seconds:
          20e-3 is 20 ms
  for more: snncc explain SNN0203
";
        assert_eq!(human(&negative_tau(), Some(&source()), PLAIN), expected.replace(":18", ":22"));
    }

    #[test]
    fn a_place_in_a_binary_file_is_its_path_and_item() {
        let source = Source { path: "net.nir".into(), text: None };
        let diagnostic = Diagnostic { span: None, notes: vec![], help: vec![], ..negative_tau() };
        let expected = "\
error[SNN0203]: `tau` of `hidden` is -1, must be above 0
 --> net.nir: nodes/hidden/tau
  for more: snncc explain SNN0203
";
        assert_eq!(human(&diagnostic, Some(&source), PLAIN), expected);
        assert_eq!(
            short(&diagnostic, None),
            "nodes/hidden/tau: error[SNN0203]: `tau` of `hidden` is -1, must be above 0"
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let mut text = "x, ".repeat(400);
        text.insert_str(600, "HERE");
        let excerpt = Excerpt::of(&text, Span { start: 600, end: 604 }).unwrap();
        let characters: Vec<char> = excerpt.text.chars().collect();
        assert!(characters.len() <= EXCERPT_COLUMNS + 2 && characters[0] == '…' && *characters.last().unwrap() == '…');
        let (before, carets) = excerpt.caret_columns;
        assert_eq!(characters[before..before + carets].iter().collect::<String>(), "HERE");
        // Spans at and beyond the end, and inside a character, do no harm.
        assert!(Excerpt::of("é", Span { start: 1, end: 1 }).is_some());
        assert!(Excerpt::of("ab\n", Span { start: 3, end: 3 }).is_some());
        assert!(Excerpt::of("ab", Span { start: 9, end: 12 }).is_none());
    }

    #[test]
    fn repeats_are_listed_not_shown() {
        let many: Vec<Diagnostic> =
            (0..7).map(|n| Diagnostic::warning(code::UNREACHABLE, "alone").at(format!("nodes/n{n}"))).collect();
        let many: Vec<&Diagnostic> = many.iter().collect();
        let text = human_grouped(&many, None, PLAIN, false);
        assert_eq!(text.matches("alone").count(), 4);
        assert!(text.contains("warning[SNN0209]: 3 more of this kind at nodes/n4, nodes/n5, nodes/n6; -v shows all"));
        assert_eq!(human_grouped(&many, None, PLAIN, true).matches("alone").count(), 7);
    }

    #[test]
    fn json_has_the_place() {
        let value = json_value(&negative_tau(), Some(&source()));
        assert_eq!((&value["code"], &value["line"], &value["column"]), (&json!("SNN0203"), &json!(3), &json!(22)));
    }
}
