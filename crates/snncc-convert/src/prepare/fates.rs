//! What becomes of each node, in words: gathered while the network is rewritten, and told by the nodes of the file.

use super::{Exactness, Fate};
use snncc_ids::{AnnNodeId, IdVec};
use snncc_ir::ann::{Ann, AnnOp, SourceFate};
use std::collections::BTreeMap;

/// Fates of the nodes of a network.
#[derive(Debug)]
pub(super) struct Fates {
    rows: IdVec<AnnNodeId, (Exactness, String)>,
    /// For factors and constants that are folded, the layers that took them.
    targets: BTreeMap<AnnNodeId, Vec<String>>,
}

impl Fates {
    pub(super) fn new(ann: &Ann) -> Self {
        let rows = ann.nodes().iter().map(|_| (Exactness::Exact, "not used".to_owned())).collect();
        Self { rows, targets: BTreeMap::new() }
    }

    pub(super) fn set(&mut self, id: AnnNodeId, exactness: Exactness, note: impl Into<String>) {
        self.rows[id] = (exactness, note.into());
    }

    /// An exact fate.
    pub(super) fn exact(&mut self, id: AnnNodeId, note: impl Into<String>) {
        self.set(id, Exactness::Exact, note);
    }

    /// Says that the factors or constants of `id` went into a layer, or into one more.
    pub(super) fn folded(&mut self, id: AnnNodeId, into: &str) {
        let targets = self.targets.entry(id).or_default();
        if !targets.iter().any(|name| name == into) {
            targets.push(into.to_owned());
        }
        let names: Vec<String> = targets.iter().map(|name| format!("`{name}`")).collect();
        self.rows[id].1 = format!("folded into {}", listed(&names));
    }

    /// Puts words in front of a note.
    pub(super) fn prefix(&mut self, id: AnnNodeId, words: &str) {
        let note = &mut self.rows[id].1;
        *note = format!("{words}; {note}");
    }

    /// A row per node of the file, or per node of the network if the file's are not known. A node of the network that the file
    /// does not have by itself (`conv/activation` of `conv`) is told with the node whose name its own begins with.
    pub(super) fn rows(&self, ann: &Ann) -> Vec<Fate> {
        if ann.sources.is_empty() {
            let row = |(id, (exactness, note)): (AnnNodeId, &(Exactness, String))| Fate {
                name: ann.nodes()[id].name.clone(),
                kind: kind(&ann.nodes()[id].op).to_owned(),
                exactness: *exactness,
                note: note.clone(),
            };
            return self.rows.iter_with_ids().map(row).collect();
        }
        let by_name: BTreeMap<&str, usize> =
            ann.sources.iter().enumerate().map(|(index, source)| (&source.name[..], index)).collect();
        let own = |source: usize| match ann.sources[source].fate {
            SourceFate::Node(id) => Some(id),
            SourceFate::Folded(_) => None,
        };
        let told: std::collections::BTreeSet<AnnNodeId> = (0..ann.sources.len()).filter_map(own).collect();
        let mut parts: Vec<Vec<AnnNodeId>> = vec![Vec::new(); ann.sources.len()];
        for (id, node) in ann.nodes().iter_with_ids().filter(|(id, _)| !told.contains(id)) {
            let ends = node.name.match_indices(['/', '#']).map(|(end, _)| &node.name[..end]);
            if let Some(source) = ends.filter_map(|name| by_name.get(name)).next_back() {
                parts[*source].push(id);
            }
        }
        let row = |(index, parts): (usize, Vec<AnnNodeId>)| {
            let source = &ann.sources[index];
            let (mut exactness, mut note) = match &source.fate {
                SourceFate::Node(id) => self.rows[*id].clone(),
                SourceFate::Folded(how) => (Exactness::Exact, how.clone()),
            };
            for part in parts.into_iter().filter(|part| matters(&ann.nodes()[*part].op)) {
                let (other, words) = &self.rows[part];
                exactness = exactness.max(*other);
                let name = ann.nodes()[part].name.strip_prefix(&source.name).unwrap_or("");
                note = format!("{note}; {}: {words}", name.trim_start_matches(['/', '#']));
            }
            Fate { name: source.name.clone(), kind: source.kind.clone(), exactness, note }
        };
        parts.into_iter().enumerate().map(row).collect()
    }
}

/// Whether a node that the file does not have is worth a word: moving elements is not.
fn matters(op: &AnnOp) -> bool {
    !matches!(op, AnnOp::Reshape | AnnOp::Transpose { .. } | AnnOp::Identity | AnnOp::Slice { .. })
}

/// The words of the file for a node's type, or the operator's.
pub(super) fn kind_of(ann: &Ann, id: AnnNodeId) -> String {
    let source = ann.sources.iter().find(|source| source.fate == SourceFate::Node(id));
    source.map_or_else(|| kind(&ann.nodes()[id].op).to_owned(), |source| source.kind.clone())
}

/// The operator's name.
pub(super) fn kind(op: &AnnOp) -> &'static str {
    use snncc_ir::ann::PoolFunction::{Average, Maximum};
    match op {
        AnnOp::Input => "Input",
        AnnOp::Linear(_) => "Linear",
        AnnOp::Convolution(_) => "Convolution",
        AnnOp::ConvolutionTranspose(_) => "ConvolutionTranspose",
        AnnOp::BatchNorm(_) => "BatchNorm",
        AnnOp::ScaleShift { .. } => "ScaleShift",
        AnnOp::Activation(activation) => activation.name(),
        AnnOp::Pool(pool) if pool.function == Maximum => "MaxPool",
        AnnOp::Pool(_) => "AveragePool",
        AnnOp::GlobalPool(Maximum) => "GlobalMaxPool",
        AnnOp::GlobalPool(Average) => "GlobalAveragePool",
        AnnOp::Reshape => "Reshape",
        AnnOp::Transpose { .. } => "Transpose",
        AnnOp::Pad { .. } => "Pad",
        AnnOp::Slice { .. } => "Slice",
        AnnOp::Resample { .. } => "Resample",
        AnnOp::Sum { .. } => "Sum",
        AnnOp::Product => "Product",
        AnnOp::Maximum => "Maximum",
        AnnOp::Concat { .. } => "Concat",
        AnnOp::Softmax { log: false, .. } => "Softmax",
        AnnOp::Softmax { log: true, .. } => "LogSoftmax",
        AnnOp::LocalResponseNorm { .. } => "LocalResponseNorm",
        AnnOp::Identity => "Identity",
        AnnOp::Unsupported { .. } => "Unsupported",
    }
}

/// `a`, `b` and `c`
pub(super) fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [start @ .., last] => format!("{} and {last}", start.join(", ")),
    }
}

/// A number with two digits, never below it: `0.0134` is `0.014`.
pub(super) fn at_most(number: f64) -> String {
    if number <= 0.0 || !number.is_finite() {
        return format!("{number}");
    }
    let exponent = |number: f64| (number.log10() + 1e-12).floor() as i32;
    let unit = 10_f64.powi(exponent(number) - 1);
    let rounded = (number / unit - 1e-9).ceil() * unit;
    let digits = (1 - exponent(rounded)).max(0) as usize;
    format!("{rounded:.digits$}")
}

/// An integer with separators: `6,272`.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_up_and_grouped() {
        assert_eq!([0.0134, 0.5, 1.0, 123.4, 0.099_1].map(at_most), ["0.014", "0.50", "1.0", "130", "0.10"]);
        assert_eq!([7, 1_000, 1_234_567].map(grouped), ["7", "1,000", "1,234,567"]);
        assert_eq!(listed(&["a", "b", "c"].map(String::from)), "a, b and c");
    }
}
