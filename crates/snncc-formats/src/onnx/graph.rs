//! The graph under construction: values by name, layers, and what became of each node of the file.
//!
//! Layers are drafts until the end, so that a later node can take the place of earlier ones (a bias, a SiLU in two parts):
//! the drafts replaced stay without readers, and only those that reach an output become nodes of the network (`finish`).
//!
//! **Invariant:** the shape of every draft is that of [`shapes::infer`], and its inputs are drafts before it.

use super::External;
use super::constant::{Budget, Constant};
use super::node::{FileNode, MAX_DIMENSIONS, MAX_LENGTH, Reading, Trouble, broken, unsupported};
use super::proto;
use super::tensor;
use crate::tensor_files::ARRAY_LIMIT_BYTES;
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_ir::ann::{AnnOp, AnnTensor, element_count, shapes};
use std::collections::BTreeMap;

/// How a value counts samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batch {
    /// Its first dimension in the file is a dimension like others.
    None,
    /// Its first dimension in the file is the batch, of any size.
    Any,
    /// As `Any`, of the size that the file says.
    Fixed(usize),
}

impl Batch {
    /// Whether the first dimension in the file is the batch; it is not part of the shape of the draft.
    pub(super) fn is_some(self) -> bool {
        self != Self::None
    }
}

/// A value that depends on the inputs of the network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub draft: usize,
    pub batch: Batch,
}

/// A value of the file.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Constant(Constant),
    Live(Live),
    /// Its node was told to be wrong.
    Told,
}

/// A layer under construction.
#[derive(Debug)]
pub(super) struct Draft {
    pub name: String,
    pub op: AnnOp,
    pub inputs: Vec<usize>,
    /// Without batch.
    pub shape: Vec<usize>,
    /// The node of the file, by position; none for inputs.
    pub source: Option<usize>,
    /// Whether the shape is sure; it is not where an operator is unknown and the file is silent.
    pub certain: bool,
    /// Where it was merged into another, which one and as what.
    pub absorbed: Option<String>,
}

/// A constant of the file, converted when it is first used.
pub(super) enum Initializer {
    Stored(Box<proto::Tensor>),
    Ready(Constant),
    Told,
}

#[derive(Clone, Debug)]
pub(super) enum Fate {
    Draft(usize),
    Folded(String),
    /// Worked out; the name of the value tells what it serves as.
    Constant(String),
}

/// The node being read.
pub(super) struct Call<'a> {
    pub node: &'a FileNode,
    /// One per input; `None` where it is left out.
    pub inputs: Vec<Option<Value>>,
}

impl Call<'_> {
    /// Input `index`, which must be there.
    pub(super) fn value(&self, index: usize) -> Reading<&Value> {
        match self.inputs.get(index).and_then(Option::as_ref) {
            Some(value) => Ok(value),
            None => broken(format!("its input {index} is missing")),
        }
    }

    /// Input `index`, if it is given.
    pub(super) fn optional(&self, index: usize) -> Option<&Value> {
        self.inputs.get(index).and_then(Option::as_ref)
    }

    /// Input `index`, which must depend on the inputs of the network.
    pub(super) fn live(&self, index: usize) -> Reading<Live> {
        match self.value(index)? {
            Value::Live(live) => Ok(*live),
            Value::Constant(_) => unsupported(format!(
                "its input {index} is a constant; fold constants first (onnxruntime or onnxsim do)"
            )),
            Value::Told => Err(Trouble::Told),
        }
    }

    /// Input `index` as a constant, if it is given.
    pub(super) fn optional_constant(&self, index: usize) -> Reading<Option<&Constant>> {
        match self.optional(index) {
            None => Ok(None),
            Some(Value::Constant(constant)) => Ok(Some(constant)),
            Some(Value::Live(_)) => {
                unsupported(format!("its input {index} is computed from the inputs of the network, not constant"))
            }
            Some(Value::Told) => Err(Trouble::Told),
        }
    }

    /// Input `index` as a constant, which must be there.
    pub(super) fn constant(&self, index: usize) -> Reading<&Constant> {
        self.value(index)?;
        Ok(self.optional_constant(index)?.expect("bug in snncc: the input is there"))
    }

    /// Whether all inputs are constants.
    pub(super) fn all_constant(&self) -> bool {
        self.inputs.iter().flatten().all(|value| matches!(value, Value::Constant(_)))
    }
}

/// The graph under construction.
pub(super) struct Reader<'a, 'e> {
    /// Version of the operators.
    pub opset: i64,
    /// Layers so far.
    pub drafts: Vec<Draft>,
    /// Error functions among the drafts, with their inputs: known only as parts of a GELU.
    pub error_functions: BTreeMap<usize, usize>,
    pub budget: Budget,
    pub problems: Diagnostics,
    pub external: &'a mut External<'e>,
    /// Bytes that may still be read from other files.
    pub external_left: u64,
    /// How many nodes and outputs read each value.
    pub uses: BTreeMap<String, u32>,
    /// Shapes that the file states, with batch; `None` for sizes left open.
    pub declared: BTreeMap<String, Vec<Option<usize>>>,
    pub initializers: BTreeMap<String, Initializer>,
    values: BTreeMap<String, Value>,
    pub sources: Vec<(String, String)>,
    pub fates: Vec<Fate>,
    /// What constants serve as, and for which node, by the name of the value.
    pub roles: BTreeMap<String, (&'static str, usize)>,
    /// Names taken, with the number that the next of the same name tries.
    names: BTreeMap<String, usize>,
    /// The first draft of the current node that bears its name.
    main: Option<usize>,
}

impl<'a, 'e> Reader<'a, 'e> {
    pub(super) fn new(opset: i64, file_bytes: usize, external: &'a mut External<'e>) -> Self {
        Self {
            opset,
            drafts: Vec::new(),
            error_functions: BTreeMap::new(),
            budget: Budget::new(file_bytes),
            problems: Diagnostics::new(),
            external,
            external_left: ARRAY_LIMIT_BYTES,
            uses: BTreeMap::new(),
            declared: BTreeMap::new(),
            initializers: BTreeMap::new(),
            values: BTreeMap::new(),
            sources: Vec::new(),
            fates: Vec::new(),
            roles: BTreeMap::new(),
            names: BTreeMap::new(),
            main: None,
        }
    }

    /// Tells an error.
    pub(super) fn error(&mut self, item: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Diagnostic::error(code::ANN_FILE, message).at(item));
    }

    /// Tells an oddity.
    pub(super) fn warn(&mut self, diagnostic: Diagnostic) {
        self.problems.push(diagnostic);
    }

    /// Adds an input of the network.
    pub(super) fn add_input(&mut self, name: &str, shape: Vec<usize>, batch: Batch) {
        let draft = Draft {
            name: self.unique(name),
            op: AnnOp::Input,
            inputs: Vec::new(),
            shape,
            source: None,
            certain: true,
            absorbed: None,
        };
        self.drafts.push(draft);
        let live = Live { draft: self.drafts.len() - 1, batch };
        self.values.insert(name.to_owned(), Value::Live(live));
    }

    /// An input of the network that was told to be wrong.
    pub(super) fn add_told(&mut self, name: &str) {
        self.values.insert(name.to_owned(), Value::Told);
    }

    /// Reads the nodes, which stand in the order of their values.
    pub(super) fn read_nodes(&mut self, nodes: &[FileNode]) {
        let made: BTreeMap<&str, &str> = nodes
            .iter()
            .flat_map(|node| node.outputs.iter().map(|output| (output.as_str(), node.name.as_str())))
            .filter(|(output, _)| !output.is_empty())
            .collect();
        for node in nodes {
            self.sources.push((node.name.clone(), node.kind.clone()));
            self.fates.push(Fate::Folded("not read".into()));
            let source = self.sources.len() - 1;
            self.main = None;
            let outcome = self.inputs_of(node, &made).and_then(|inputs| {
                let call = Call { node, inputs };
                match self.layer(&call).and_then(|values| self.check_values(node, values)) {
                    Err(Trouble::Unsupported(reason)) => self.unsupported(&call, reason),
                    Err(Trouble::Broken(_)) if self.reads_uncertain(&call) => {
                        let reason = "its input comes from an operator that is not supported, so its shape is unknown";
                        self.unsupported(&call, reason.into())
                    }
                    outcome => outcome,
                }
            });
            let values = match outcome {
                Ok(values) => values,
                Err(trouble) => {
                    match trouble {
                        Trouble::Broken(message) => self.error(format!("graph/{}", node.name), message),
                        Trouble::BrokenInitializer(name, message) => self.error(format!("initializer/{name}"), message),
                        Trouble::Unsupported(reason) => self.error(format!("graph/{}", node.name), reason),
                        Trouble::Told => {}
                    }
                    Vec::new()
                }
            };
            let live = values.iter().find_map(|value| match value {
                Value::Live(live) => Some(live.draft),
                _ => None,
            });
            if let Some(draft) = self.main.or(live) {
                // A node merged into an earlier one has said so already.
                if self.drafts[draft].source == Some(source) {
                    self.fates[source] = Fate::Draft(draft);
                }
            } else if !values.is_empty() {
                self.fates[source] = Fate::Constant(node.outputs.first().cloned().unwrap_or_default());
            }
            let mut values = values.into_iter();
            for output in &node.outputs {
                let value = values.next().unwrap_or(Value::Told);
                if !output.is_empty() && self.values.insert(output.clone(), value).is_some() {
                    self.error(format!("graph/{}", node.name), format!("`{output}` is made a second time"));
                }
            }
        }
    }

    fn reads_uncertain(&self, call: &Call) -> bool {
        let uncertain = |value: &Value| matches!(value, Value::Live(live) if !self.drafts[live.draft].certain);
        call.inputs.iter().flatten().any(uncertain)
    }

    /// An output that a reader wants but the layer does not give makes the node unsupported.
    fn check_values(&self, node: &FileNode, values: Vec<Value>) -> Reading<Vec<Value>> {
        let is_deep = |value: &Value| matches!(value, Value::Constant(c) if c.shape().len() > MAX_DIMENSIONS);
        if values.iter().any(is_deep) {
            return broken(format!("it makes a constant of more than {MAX_DIMENSIONS} dimensions"));
        }
        let used = |output: &&String| self.uses.get(*output).is_some_and(|uses| *uses > 0);
        match node.outputs.iter().skip(values.len()).find(used) {
            Some(output) => unsupported(format!(
                "its further output `{output}` is used; snncc gives the first only, so cut what reads the other"
            )),
            None => Ok(values),
        }
    }

    fn inputs_of(&mut self, node: &FileNode, made: &BTreeMap<&str, &str>) -> Reading<Vec<Option<Value>>> {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        let mut trouble = None;
        for name in &node.inputs {
            if name.is_empty() {
                inputs.push(None);
                continue;
            }
            match self.value(name) {
                Ok(Some(Value::Told)) => trouble = trouble.or(Some(Trouble::Told)),
                Ok(Some(value)) => inputs.push(Some(value)),
                Ok(None) => {
                    let why = match made.get(name.as_str()) {
                        Some(later) => format!("`{name}` is made later, by `{later}`; nodes must stand in order"),
                        None => format!("nothing makes its input `{name}`"),
                    };
                    trouble = Some(Trouble::Broken(why));
                }
                // With an unreadable type the node itself is not supported.
                Err(Trouble::Unsupported(reason)) => {
                    trouble = trouble.or(Some(Trouble::BrokenInitializer(name.clone(), reason)));
                    self.initializers.insert(name.clone(), Initializer::Told);
                }
                Err(other) => trouble = Some(other),
            }
        }
        trouble.map_or(Ok(inputs), Err)
    }

    /// The value of a name; an initializer is converted when it is first wanted.
    pub(super) fn value(&mut self, name: &str) -> Reading<Option<Value>> {
        if let Some(value) = self.values.get(name) {
            return Ok(Some(value.clone()));
        }
        let constant = match self.initializers.get(name) {
            None => return Ok(None),
            Some(Initializer::Told) => return Ok(Some(Value::Told)),
            Some(Initializer::Ready(constant)) => return Ok(Some(Value::Constant(constant.clone()))),
            Some(Initializer::Stored(stored)) => tensor::constant(stored, self.external, &mut self.external_left),
        };
        match constant {
            Ok(constant) => {
                // Data in other files counts as part of the model.
                self.budget.grow(constant.shape().iter().product());
                self.initializers.insert(name.to_owned(), Initializer::Ready(constant.clone()));
                Ok(Some(Value::Constant(constant)))
            }
            Err(Trouble::Broken(message)) => {
                self.initializers.insert(name.to_owned(), Initializer::Told);
                Err(Trouble::BrokenInitializer(name.to_owned(), message))
            }
            Err(other) => Err(other),
        }
    }

    /// Remembers what a constant serves as: `weight` of the current node.
    pub(super) fn note_role(&mut self, call: &Call, index: usize, role: &'static str) {
        if let Some(name) = call.node.inputs.get(index) {
            self.roles.insert(name.clone(), (role, self.sources.len() - 1));
        }
    }

    /// Input `index` as constant numbers that serve as `role`.
    pub(super) fn parameter(&mut self, call: &Call, index: usize, role: &'static str) -> Reading<AnnTensor> {
        self.note_role(call, index, role);
        let constant = call.constant(index).map_err(|trouble| match trouble {
            Trouble::Unsupported(_) => Trouble::Unsupported(format!(
                "its {role} is computed from the inputs of the network; snncc needs constant weights"
            )),
            other => other,
        })?;
        constant.to_floats(&mut self.budget)
    }

    /// As [`Reader::parameter`], where the input may be left out.
    pub(super) fn optional_parameter(
        &mut self,
        call: &Call,
        index: usize,
        role: &'static str,
    ) -> Reading<Option<AnnTensor>> {
        call.optional(index).is_some().then(|| self.parameter(call, index, role)).transpose()
    }

    /// The shape of a value as the file sees it, with batch; `None` for a batch of any size.
    pub(super) fn full_shape(&self, value: &Value) -> Reading<Vec<Option<usize>>> {
        match value {
            Value::Constant(constant) => Ok(constant.shape().iter().copied().map(Some).collect()),
            Value::Live(live) => {
                let shape = self.drafts[live.draft].shape.iter().copied().map(Some);
                Ok(match live.batch {
                    Batch::None => shape.collect(),
                    Batch::Any => std::iter::once(None).chain(shape).collect(),
                    Batch::Fixed(size) => std::iter::once(Some(size)).chain(shape).collect(),
                })
            }
            Value::Told => Err(Trouble::Told),
        }
    }

    /// The shape of a value without batch.
    pub(super) fn shape(&self, live: Live) -> &[usize] {
        &self.drafts[live.draft].shape
    }

    /// Adds the layer of the current node.
    pub(super) fn layer_of(
        &mut self,
        call: &Call,
        op: AnnOp,
        inputs: &[Live],
        shape: Option<Vec<usize>>,
    ) -> Reading<Live> {
        let name = call.node.name.clone();
        let live = self.add(name, op, inputs, shape)?;
        self.main = self.main.or(Some(live.draft));
        Ok(live)
    }

    /// Adds a layer that helps the one of the current node; `role` makes its name.
    pub(super) fn helper(
        &mut self,
        call: &Call,
        role: &str,
        op: AnnOp,
        inputs: &[Live],
        shape: Option<Vec<usize>>,
    ) -> Reading<Live> {
        self.add(format!("{}.{role}", call.node.name), op, inputs, shape)
    }

    fn add(&mut self, name: String, op: AnnOp, inputs: &[Live], shape: Option<Vec<usize>>) -> Reading<Live> {
        let batch = self.joint_batch(inputs)?;
        let inputs: Vec<usize> = inputs.iter().map(|live| live.draft).collect();
        self.add_raw(name, op, inputs, shape).map(|draft| Live { draft, batch })
    }

    fn add_raw(&mut self, name: String, op: AnnOp, inputs: Vec<usize>, shape: Option<Vec<usize>>) -> Reading<usize> {
        let certain = inputs.iter().all(|input| self.drafts[*input].certain);
        let shapes: Vec<&[usize]> = inputs.iter().map(|input| &self.drafts[*input].shape[..]).collect();
        let shape = match shapes::infer(&op, &shapes, shape) {
            Ok(shape) if shape.len() <= MAX_DIMENSIONS && shape.iter().all(|length| *length <= MAX_LENGTH) => shape,
            Ok(shape) => return broken(format!("shape {shape:?} is too large")),
            Err(message) => return broken(message),
        };
        let source = Some(self.sources.len() - 1);
        let name = self.unique(&name);
        self.drafts.push(Draft { name, op, inputs, shape, source, certain, absorbed: None });
        Ok(self.drafts.len() - 1)
    }

    /// Puts a layer in the place of `old`: it has its name, its source and other inputs or parameters. The current node is
    /// merged into it as `role`.
    pub(super) fn replace(&mut self, old: Live, op: AnnOp, role: &str) -> Reading<Live> {
        let inputs = self.drafts[old.draft].inputs.clone();
        let draft = self.add_raw("merged".into(), op, inputs, None)?;
        let replaced = &mut self.drafts[old.draft];
        let name = std::mem::take(&mut replaced.name);
        let source = replaced.source;
        self.drafts[draft].source = source;
        let current = self.fates.len() - 1;
        self.fates[current] = Fate::Folded(format!("{role} of `{name}`"));
        if let Some(source) = source {
            self.fates[source] = Fate::Draft(draft);
        }
        self.drafts[draft].name = name;
        Ok(Live { draft, batch: old.batch })
    }

    /// Says that a layer was merged into that of the current node.
    pub(super) fn absorb(&mut self, call: &Call, draft: usize, role: &str) {
        self.drafts[draft].absorbed = Some(format!("part of {role} `{}`", call.node.name));
    }

    /// Whether only the current node reads input `index`.
    pub(super) fn sole_reader(&self, call: &Call, index: usize) -> bool {
        call.node.inputs.get(index).and_then(|name| self.uses.get(name)) == Some(&1)
    }

    /// The batch of a value made of these.
    fn joint_batch(&self, inputs: &[Live]) -> Reading<Batch> {
        let Some(first) = inputs.first() else { return Ok(Batch::Any) };
        inputs.iter().skip(1).try_fold(first.batch, |joint, live| match (joint, live.batch) {
            (a, b) if a == b => Ok(a),
            (Batch::Any, Batch::Fixed(size)) | (Batch::Fixed(size), Batch::Any) => Ok(Batch::Fixed(size)),
            (Batch::Fixed(a), Batch::Fixed(b)) if a == 1 || b == 1 => Ok(Batch::Fixed(a.max(b))),
            (Batch::Fixed(a), Batch::Fixed(b)) => broken(format!("its inputs are for batches of {a} and {b} samples")),
            _ => unsupported("one of its inputs has a batch dimension and another has none"),
        })
    }

    /// Adds a node of the file as one that snncc cannot execute, so that it is listed with the others.
    pub(super) fn unsupported(&mut self, call: &Call, reason: String) -> Reading<Vec<Value>> {
        let mut inputs: Vec<Live> = Vec::new();
        for value in call.inputs.iter().flatten() {
            if let Value::Live(live) = value {
                inputs.push(*live);
            }
        }
        if inputs.is_empty() {
            // It must hang somewhere to be listed.
            let is_input = |draft: &Draft| matches!(draft.op, AnnOp::Input);
            let Some(draft) = self.drafts.iter().position(is_input) else {
                return broken(format!("it is not supported: {reason}"));
            };
            inputs.push(Live { draft, batch: Batch::Any });
        }
        let batch = inputs[0].batch;
        let drafts: Vec<usize> = inputs.iter().map(|live| live.draft).collect();
        let mut values = Vec::new();
        for output in &call.node.outputs {
            let is_used = self.uses.contains_key(output);
            if !is_used && !values.is_empty() {
                values.push(Value::Told);
                continue;
            }
            let stated = self.declared.get(output).and_then(|shape| {
                let own: Option<Vec<usize>> = shape.iter().skip(usize::from(batch.is_some())).copied().collect();
                own.filter(|own| own.iter().all(|length| (1..=MAX_LENGTH).contains(length)))
                    .filter(|own| own.len() <= MAX_DIMENSIONS && element_count(own).is_some())
            });
            let certain = stated.is_some() || keeps_shape(&call.node.kind);
            let op = AnnOp::Unsupported { reason: reason.clone() };
            // All inputs once: further outputs hang on the first alone.
            let inputs = if values.is_empty() { drafts.clone() } else { drafts[..1].to_vec() };
            let draft = self.add_raw(call.node.name.clone(), op, inputs, stated)?;
            self.drafts[draft].certain &= certain;
            self.main = Some(self.main.unwrap_or(draft));
            values.push(Value::Live(Live { draft, batch }));
        }
        Ok(values)
    }

    /// A name that no other draft has.
    fn unique(&mut self, name: &str) -> String {
        let Some(mut number) = self.names.get(name).copied() else {
            self.names.insert(name.to_owned(), 2);
            return name.to_owned();
        };
        let numbered = loop {
            let numbered = format!("{name}#{number}");
            number += 1;
            if !self.names.contains_key(&numbered) {
                break numbered;
            }
        };
        self.names.insert(name.to_owned(), number);
        self.names.insert(numbered.clone(), 2);
        numbered
    }
}

/// Whether an unknown operator certainly gives as many values as it takes.
fn keeps_shape(kind: &str) -> bool {
    const KINDS: [&str; 27] = [
        "Exp",
        "Log",
        "Sqrt",
        "Erf",
        "Sin",
        "Cos",
        "Tan",
        "Asin",
        "Acos",
        "Atan",
        "Sinh",
        "Cosh",
        "Asinh",
        "Acosh",
        "Atanh",
        "Reciprocal",
        "Floor",
        "Ceil",
        "Round",
        "Sign",
        "Cast",
        "Shrink",
        "Hardmax",
        "InstanceNormalization",
        "LayerNormalization",
        "GroupNormalization",
        "LpNormalization",
    ];
    KINDS.contains(&kind)
}
