//! The end of reading: drafts that reach an output become the [`Ann`].

use super::graph::{Fate, Live, Reader, Value};
use snncc_ids::{AnnNodeId, Diagnostic, Diagnostics, code};
use snncc_ir::ann::{Ann, AnnOp, SourceFate, SourceNode};

impl Reader<'_, '_> {
    /// The network of all drafts that reach an output; `outputs` are the names of the file's. `None` after an error.
    pub(super) fn finish(mut self, outputs: &[String]) -> (Option<Ann>, Diagnostics) {
        let mut ends = Vec::new();
        for name in outputs {
            match self.value(name) {
                Ok(Some(Value::Live(live))) => {
                    self.compare_with_declared(name, live);
                    ends.push((name.clone(), live.draft));
                }
                Ok(Some(Value::Constant(_))) => {
                    self.error(format!("output/{name}"), "the output does not depend on any input of the network");
                }
                Ok(None) => self.error(format!("output/{name}"), "nothing makes this output"),
                Ok(Some(Value::Told)) | Err(_) => {}
            }
        }
        if self.problems.has_errors() {
            return (None, self.problems);
        }
        let mut alive: Vec<bool> = self.drafts.iter().map(|draft| matches!(draft.op, AnnOp::Input)).collect();
        ends.iter().for_each(|(_, draft)| alive[*draft] = true);
        for draft in (0..self.drafts.len()).rev() {
            if alive[draft] {
                self.drafts[draft].inputs.iter().for_each(|input| alive[*input] = true);
            }
        }
        let mut ann = Ann::new();
        let mut ids: Vec<Option<AnnNodeId>> = vec![None; self.drafts.len()];
        let absorbed: Vec<Option<String>> = self.drafts.iter_mut().map(|draft| draft.absorbed.take()).collect();
        for (index, draft) in self.drafts.into_iter().enumerate() {
            if !alive[index] {
                continue;
            }
            ids[index] = Some(if matches!(draft.op, AnnOp::Input) {
                ann.push_input(draft.name, draft.shape)
            } else {
                let inputs = draft.inputs.iter().map(|input| ids[*input].expect("bug in snncc: inputs are alive"));
                let pushed = ann.push(draft.name, draft.op, inputs.collect(), Some(draft.shape));
                pushed.unwrap_or_else(|message| panic!("bug in snncc: a draft was not checked: {message}"))
            });
        }
        ann.outputs = ends
            .into_iter()
            .map(|(name, draft)| (name, ids[draft].expect("bug in snncc: outputs are alive")))
            .collect();
        let role_of = |value: &str| {
            let (role, node) = self.roles.get(value)?;
            Some(format!("{role} of `{}`", self.sources[*node].0))
        };
        let fates: Vec<SourceFate> = self
            .fates
            .into_iter()
            .map(|fate| match fate {
                Fate::Draft(draft) => match (ids[draft], &absorbed[draft]) {
                    (Some(id), _) => SourceFate::Node(id),
                    (None, Some(role)) => SourceFate::Folded(role.clone()),
                    (None, None) => SourceFate::Folded("its value is not used".into()),
                },
                Fate::Folded(how) => SourceFate::Folded(how),
                Fate::Constant(value) => SourceFate::Folded(role_of(&value).unwrap_or_else(|| "constant".to_owned())),
            })
            .collect();
        ann.sources =
            self.sources.into_iter().zip(fates).map(|((name, kind), fate)| SourceNode { name, kind, fate }).collect();
        (Some(ann), self.problems)
    }

    /// A shape that the file states for an output and that differs is worth a look.
    fn compare_with_declared(&mut self, name: &str, live: Live) {
        let Some(declared) = self.declared.get(name) else { return };
        let own = self.full_shape(&Value::Live(live)).unwrap_or_default();
        let agrees = |(stated, own): (&Option<usize>, &Option<usize>)| match (stated, own) {
            (Some(stated), Some(own)) => stated == own,
            _ => true,
        };
        let agree = declared.len() == own.len() && declared.iter().zip(&own).skip(1).all(agrees);
        if !agree && self.drafts[live.draft].certain {
            let text = |shape: &[Option<usize>]| {
                let lengths = shape.iter().map(|length| length.map_or("N".to_owned(), |length| length.to_string()));
                lengths.collect::<Vec<_>>().join(", ")
            };
            let message =
                format!("the file says [{}] for this output, its nodes make [{}]", text(declared), text(&own));
            self.warn(Diagnostic::warning(code::ANN_FILE, message).at(format!("output/{name}")));
        }
    }
}
