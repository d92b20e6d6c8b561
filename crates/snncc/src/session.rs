//! One run of the command: what the global flags ask of output, and what has been said so far.

use crate::args::{GlobalArgs, MessageFormat, Progress, When};
use crate::show::{self, Paint, Source};
use crate::values::Deny;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use snncc_ids::{Diagnostic, Diagnostics, Severity, code};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Why a command stops early.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Exit code.
    pub(crate) exit: u8,
}

/// Exit codes that no diagnostic code has.
pub(crate) mod exit {
    /// A bug in snncc.
    pub(crate) const BUG: u8 = 1;
    /// Wrong usage.
    pub(crate) const USAGE: u8 = 2;
    /// Invalid input.
    pub(crate) const INPUT: u8 = 3;
    /// Verification mismatch.
    pub(crate) const MISMATCH: u8 = 6;
    /// `--deny` or a threshold.
    pub(crate) const DENIED: u8 = 7;
    /// Ctrl-C.
    pub(crate) const INTERRUPTED: u8 = 130;
}

/// What a command returns: `Ok` with its exit code.
pub(crate) type Outcome<T = u8> = Result<T, Failure>;

/// The session.
pub(crate) struct Session {
    global: GlobalArgs,
    paint: Paint,
    terminal: bool,
    /// Whether the command prints JSON as its result.
    pub(crate) json: bool,
    /// Whether to say which command is useful next.
    pub(crate) guides: bool,
    denied: usize,
    said: Vec<(Diagnostic, serde_json::Value)>,
}

impl Session {
    /// A session with these flags.
    pub(crate) fn new(global: GlobalArgs) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let on = match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && !no_color,
        };
        Self { global, paint: Paint { on }, terminal, json: false, guides: true, denied: 0, said: Vec::new() }
    }

    /// Shows diagnostics and remembers them. Warnings are dropped with `-q` on the screen, and with `--allow` everywhere.
    pub(crate) fn say(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>, source: Option<&Source>) {
        let kept: Vec<Diagnostic> = diagnostics.into_iter().filter_map(|diagnostic| self.judge(diagnostic)).collect();
        let shown: Vec<&Diagnostic> =
            kept.iter().filter(|d| !self.global.quiet || d.severity == Severity::Error).collect();
        match self.global.message_format {
            MessageFormat::Human => {
                complain(&show::human_grouped(&shown, source, self.paint, self.global.verbose > 0));
            }
            MessageFormat::Short => shown.iter().for_each(|d| complain(&format!("{}\n", show::short(d, source)))),
            MessageFormat::Json => {
                shown.iter().for_each(|d| complain(&format!("{}\n", show::json_value(d, source))));
            }
        }
        let remembered = kept.into_iter().map(|diagnostic| {
            let mut value = show::json_value(&diagnostic, source);
            // Folders of the machine do not belong into the output.
            value["file"] = serde_json::json!(source.map(|source| file_name(&source.path)));
            (diagnostic, value)
        });
        self.said.extend(remembered);
    }

    fn judge(&mut self, mut diagnostic: Diagnostic) -> Option<Diagnostic> {
        if diagnostic.severity == Severity::Warning {
            if self.global.allow.contains(&diagnostic.code) {
                return None;
            }
            let denies = |deny: &Deny| match deny {
                Deny::Warnings => true,
                Deny::Code(code) => *code == diagnostic.code,
            };
            if self.global.deny.iter().any(denies) {
                self.denied += 1;
                diagnostic.notes.push("denied by --deny: the command exits with 7".to_owned());
            }
        }
        Some(diagnostic)
    }

    /// Shows errors and gives the failure with their exit code: that of the first error.
    pub(crate) fn fail(&mut self, diagnostics: Diagnostics, source: Option<&Source>) -> Failure {
        let first = diagnostics.0.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
        let exit = first.map_or(exit::INPUT, |diagnostic| diagnostic.code.exit());
        self.say(diagnostics.0, source);
        Failure { exit }
    }

    /// Shows a problem with files of our own, such as those of an output folder, and gives the failure.
    pub(crate) fn fail_files(&mut self, message: &str) -> Failure {
        self.fail(Diagnostic::error(code::OUTPUT_FOLDER, message).into(), None)
    }

    /// Shows a mistake in how the command was called.
    pub(crate) fn usage(&self, message: &str) -> Failure {
        complain(&format!("error: {message}\n\nFor more information, try '--help'.\n"));
        Failure { exit: exit::USAGE }
    }

    /// The exit code of a command that did its work: 7 where a denied warning occurred.
    pub(crate) fn finish(&self, exit: u8) -> u8 {
        if exit == 0 && self.denied > 0 { exit::DENIED } else { exit }
    }

    /// All that has been said, as JSON objects.
    pub(crate) fn diagnostics_json(&self) -> Vec<&serde_json::Value> {
        self.said.iter().map(|(_, value)| value).collect()
    }

    /// How many errors or warnings have been said.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.said().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// All that has been said, as JSON lines.
    pub(crate) fn diagnostics_jsonl(&self) -> String {
        self.said.iter().map(|(_, value)| format!("{value}\n")).collect()
    }

    /// All that has been said.
    pub(crate) fn said(&self) -> impl Iterator<Item = &Diagnostic> {
        self.said.iter().map(|(diagnostic, _)| diagnostic)
    }

    /// Says something on standard error that is no diagnostic: not with -q.
    pub(crate) fn note(&self, text: &str) {
        if !self.global.quiet && self.global.message_format != MessageFormat::Json {
            complain(&format!("{text}\n"));
        }
    }

    /// Says which command is useful next: not with -q or --json.
    pub(crate) fn next(&self, command: &str) {
        if !self.json && self.guides {
            self.note(&format!("next: {command}"));
        }
    }

    fn shows_bars(&self) -> bool {
        self.terminal
            && !self.global.quiet
            && self.global.progress == Progress::Auto
            && self.global.message_format == MessageFormat::Human
    }

    /// A bar over `len` items; hidden where bars are not wanted.
    pub(crate) fn bar(&self, what: &str, len: u64) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(len), self.draw_target());
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {eta}").expect("bug in snncc: template");
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(what.to_owned());
        bar
    }

    /// A spinner; hidden where bars are not wanted.
    pub(crate) fn spinner(&self) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, self.draw_target());
        if self.shows_bars() {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        bar
    }

    fn draw_target(&self) -> ProgressDrawTarget {
        if self.shows_bars() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
    }
}

/// Writes to standard error. Nobody there to read it changes nothing: the exit code says what happened.
fn complain(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Writes a result to standard output. A reader that has seen enough ends the command, without a complaint.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        complain(&format!("error: standard output cannot be written: {error}\n"));
        std::process::exit(exit::INPUT.into());
    }
}

/// Writes a result as indented JSON to standard output.
pub(crate) fn print_json(value: &serde_json::Value) {
    print(&pretty(value));
}

/// A value as indented JSON, with a line end.
pub(crate) fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).expect("bug in snncc: a value is always serializable") + "\n"
}

/// The last part of a path.
pub(crate) fn file_name(path: &str) -> String {
    std::path::Path::new(path).file_name().map_or(path.to_owned(), |name| name.to_string_lossy().into_owned())
}
