//! Where each item of a network stands in its text.

use snncc_ids::{Diagnostics, Span};
use std::collections::BTreeMap;

/// The places of a network's items, by item path: `nodes/hidden/v_threshold`, `edges/3`, `mapping/pins/0`. The reader fills
/// it beside the network, so that any later stage's diagnostic that names an item can point at the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanIndex {
    spans: BTreeMap<String, Span>,
}

impl SpanIndex {
    pub(super) fn insert(&mut self, item: impl Into<String>, span: Span) {
        self.spans.insert(item.into(), span);
    }

    /// The place of an item, or of the nearest parent that has one.
    pub fn find(&self, item: &str) -> Option<Span> {
        let mut path = item;
        loop {
            if let Some(span) = self.spans.get(path) {
                return Some(*span);
            }
            path = &path[..path.rfind('/')?];
        }
    }

    /// Gives a place to each diagnostic that names an item and has none.
    pub fn annotate(&self, diagnostics: &mut Diagnostics) {
        for diagnostic in &mut diagnostics.0 {
            if let (None, Some(item)) = (diagnostic.span, &diagnostic.item) {
                diagnostic.span = self.find(item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snncc_ids::{Diagnostic, code};

    #[test]
    fn falls_back_to_the_nearest_parent() {
        let mut index = SpanIndex::default();
        let node = Span { start: 10, end: 20 };
        index.insert("nodes/hidden", node);
        index.insert("nodes/hidden/tau", Span { start: 12, end: 15 });
        assert_eq!(index.find("nodes/hidden/tau").unwrap().start, 12);
        assert_eq!(index.find("nodes/hidden/weight/3"), Some(node));
        assert_eq!(index.find("nodes/hidden2"), None);
        let mut problems = Diagnostics::from(Diagnostic::error(code::BAD_PARAMETER, "x").at("nodes/hidden/r"));
        index.annotate(&mut problems);
        assert_eq!(problems.0[0].span, Some(node));
    }
}
