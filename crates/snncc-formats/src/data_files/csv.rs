//! Tables of numbers as text: fields split by commas, semicolons, tabs or spaces; lines that are empty or start with `#` are
//! passed over; a first line with words is a header.

use super::DataKind;
use crate::tensor_files::{AnyTensor, TensorData};

/// A table.
pub(super) struct Table {
    /// Rows and columns; `I64` if every field is a whole number, `F64` otherwise.
    pub tensor: AnyTensor,
    /// Whether the header names the columns of events.
    is_events: bool,
}

impl Table {
    /// What the table means if nobody says: events by its header, spikes where all fields are whole numbers, else a series.
    pub(super) fn kind(&self) -> DataKind {
        match (&self.tensor.data, self.is_events) {
            (_, true) => DataKind::Events,
            (TensorData::I64(_), false) => DataKind::DenseSpikes,
            _ => DataKind::Series,
        }
    }
}

/// Reads a table.
///
/// # Errors
/// If rows differ in length, a field is no number, or there are no rows; the message gives the line.
pub(super) fn read_csv(text: &str) -> Result<Table, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    });
    let mut lines_left = lines.clone().peekable();
    let first = lines_left.peek().map_or("", |(_, line)| *line);
    let has_header = fields(first).any(|field| field.parse::<f64>().is_err());
    let header: Vec<String> =
        if has_header { fields(first).map(|name| name.trim_matches('"').to_lowercase()).collect() } else { Vec::new() };
    if has_header {
        lines.next();
    }
    let mut columns = None;
    let mut values = Vec::new();
    let mut rows = 0;
    for (number, line) in lines {
        let before = values.len();
        for field in fields(line) {
            values.push(field.parse::<f64>().map_err(|_| format!("line {number}: `{field}` is not a number"))?);
        }
        let found = values.len() - before;
        let expected = *columns.get_or_insert(found);
        if found != expected {
            return Err(format!("line {number} has {found} fields, the lines before have {expected}"));
        }
        rows += 1;
    }
    let Some(columns) = columns else { return Err("the table has no rows".to_owned()) };
    if has_header && header.len() != columns {
        return Err(format!("the header has {} names, the rows have {columns} fields", header.len()));
    }
    let names: Vec<&str> = header.iter().map(String::as_str).collect();
    let is_events = matches!(names[..], ["t" | "step", "neuron"] | ["sample", "t" | "step", "neuron"]);
    // Whole numbers that a float holds exactly.
    let whole = values.iter().all(|value| value.fract() == 0.0 && value.abs() < (53_f64).exp2());
    let data = match whole {
        true => TensorData::I64(values.into_iter().map(|value| value as i64).collect()),
        false => TensorData::F64(values),
    };
    Ok(Table { tensor: AnyTensor { shape: vec![rows, columns], data }, is_events })
}

fn fields(line: &str) -> impl Iterator<Item = &str> {
    let separator = [',', ';', '\t'].into_iter().find(|separator| line.contains(*separator)).unwrap_or(' ');
    line.trim().split(separator).map(str::trim).filter(move |field| separator != ' ' || !field.is_empty())
}
