//! The section `run`: how data is fed, and when a run may stop, where the user does not say.

use super::context::{Context, sequence};
use super::reader::Names;
use super::value::{Kind, Value};
use snncc_data::Coding;
use snncc_ids::{Span, code};
use snncc_ir::network::RunDefaults;
use snncc_ir::{EarlyExit, Node};
use std::collections::BTreeSet;

const FIELDS: [&str; 6] = ["coding", "steps", "input_steps", "corrected_for", "ranges", "early_exit"];

pub(super) fn run_of(cx: &mut Context, value: &Value, names: &Names) -> Option<RunDefaults> {
    let fields = cx.fields(value, "run", "`run`", &FIELDS)?;
    let coding = cx.optional(&fields, "coding", coding);
    let steps = cx.optional(&fields, "steps", steps_of);
    let input_steps = cx.optional(&fields, "input_steps", steps_of);
    let corrected_for = cx.optional(&fields, "corrected_for", steps_of);
    let ranges = cx.optional(&fields, "ranges", |cx, value, item| ranges(cx, value, item, names));
    let early_exit = cx.optional(&fields, "early_exit", early_exit);
    let (coding, ranges) = (coding.map(str::to_owned), ranges.unwrap_or_default());
    Some(RunDefaults { coding, steps, input_steps, corrected_for, ranges, early_exit })
}

fn steps_of(cx: &mut Context, value: &Value, item: &str) -> Option<u32> {
    let steps = cx.scalar::<u32>(value, item)?;
    if steps == 0 {
        cx.error(code::BAD_PARAMETER, item, value.anchor(), "a run has at least one step");
    }
    Some(steps)
}

fn early_exit(cx: &mut Context, value: &Value, item: &str) -> Option<EarlyExit> {
    let fields = cx.fields(value, item, "`early_exit`", &["margin", "first_step"])?;
    let margin = cx.required(&fields, "margin", |cx, value, item| {
        let margin = cx.float(value, item)?;
        if !(margin > 0.0 && margin.is_finite()) {
            cx.error(code::BAD_PARAMETER, item, value.anchor(), format!("the margin {margin} is not above 0"));
        }
        Some(margin)
    });
    let first_step = cx.optional(&fields, "first_step", |cx, value, item| {
        let step = cx.scalar::<u32>(value, item)?;
        if step == 0 {
            cx.error(code::BAD_PARAMETER, item, value.anchor(), "steps count from 1");
        }
        Some(step)
    });
    Some(EarlyExit { margin: margin?, first_step: first_step.unwrap_or(1) })
}

fn coding(cx: &mut Context, value: &Value, item: &str) -> Option<&'static str> {
    let name = cx.string(value, item)?;
    let coding = Coding::find(name);
    if coding.is_none() {
        cx.unknown_name(item, value.anchor(), "coding", name, &Coding::ALL.map(Coding::name));
    }
    coding.map(Coding::name)
}

fn ranges(cx: &mut Context, value: &Value, item: &str, names: &Names) -> Option<Vec<(String, (f64, f64))>> {
    let Kind::Map(entries) = &value.kind else {
        cx.wrong_type(item, value, "a map `{\"input\": (low, high)}`");
        return None;
    };
    let mut ranges = Vec::new();
    let mut seen = BTreeSet::new();
    for (key, value) in entries {
        if cx.is_full() {
            break;
        }
        let Some(id) = names.resolve(cx, key, item) else { continue };
        let name = &names.nodes[id].name;
        let path = format!("{item}/{name}");
        cx.spans.insert(path.as_str(), Span { start: key.start as usize, end: value.end as usize });
        if !matches!(names.nodes[id].node, Node::Input { .. }) {
            cx.error(code::BAD_PARAMETER, &path, key.anchor(), format!("`{name}` is not an input"));
        }
        if !seen.insert(id) {
            let message = format!("`ranges` has the input `{name}` twice");
            cx.error(code::DUPLICATE_NAME, &path, key.anchor(), message);
        }
        let Some([low, high]) = sequence(value) else {
            cx.wrong_type(&path, value, "(low, high)");
            continue;
        };
        let (Some(low), Some(high)) = (cx.float(low, &path), cx.float(high, &path)) else { continue };
        if !(low < high && (high - low).is_finite()) {
            let message = format!("the range {low} to {high} does not go from a number to a larger one");
            cx.error(code::BAD_PARAMETER, &path, value.anchor(), message);
        }
        ranges.push((name.clone(), (low, high)));
    }
    Some(ranges)
}
