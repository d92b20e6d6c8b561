//! The section `calibration`: what the network does on the data that it was made for.

use super::context::Context;
use super::reader::{Names, neuron_count};
use super::value::{Kind, Value};
use snncc_ids::{Span, code};
use snncc_ir::{Calibration, PopulationStatistics};
use std::collections::BTreeSet;

pub(super) fn calibration_of(cx: &mut Context, value: &Value, names: &Names) -> Option<Calibration> {
    let Kind::Map(entries) = &value.kind else {
        cx.wrong_type("calibration", value, "a map `{\"node\": (rates: …, v_min: …, v_max: …)}`");
        return None;
    };
    let mut calibration = Calibration::default();
    let mut seen = BTreeSet::new();
    for (key, value) in entries {
        if cx.is_full() {
            break;
        }
        let Some(id) = names.resolve(cx, key, "calibration") else { continue };
        let node = &names.nodes[id];
        let path = format!("calibration/{}", node.name);
        cx.spans.insert(path.as_str(), Span { start: key.start as usize, end: value.anchor().end });
        if !seen.insert(id) {
            let message = format!("`calibration` has the node `{}` twice", node.name);
            cx.error(code::DUPLICATE_NAME, &path, key.anchor(), message);
        }
        calibration.populations.extend(population(cx, value, &path, &node.name, neuron_count(&node.node)));
    }
    Some(calibration)
}

fn population(
    cx: &mut Context,
    value: &Value,
    item: &str,
    name: &str,
    neurons: Option<usize>,
) -> Option<PopulationStatistics> {
    let fields = cx.fields(value, item, "a population's statistics", &["rates", "input_max", "v_min", "v_max"])?;
    let rates = cx.required(&fields, "rates", Context::array::<f64>);
    let mut float = |name: &str, default: f64| cx.optional(&fields, name, Context::float).unwrap_or(default);
    let (input_max, v_min, v_max) =
        (float("input_max", 0.0), float("v_min", f64::INFINITY), float("v_max", f64::NEG_INFINITY));
    let rates = rates?.tensor.data;
    if let Some(neurons) = neurons
        && neurons != rates.len()
    {
        let message = format!("{} rate(s) for {neurons} neuron(s)", rates.len());
        cx.error(code::SHAPE_MISMATCH, &fields.path("rates"), fields.span("rates"), message);
    }
    Some(PopulationStatistics { name: name.to_owned(), rates, input_max, v_min, v_max })
}
