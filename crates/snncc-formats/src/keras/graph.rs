//! Goes through the calls of a model, each after those it reads, nested models in place, and makes the network.
//!
//! **Invariant:** every layer of the file is among the sources, with its fate; a layer that cannot be executed becomes an
//! Unsupported node, and what follows from its unknown shape is not told as an error.

use super::config::{Argument, Failure, Layer, Model, Reference};
use super::hdf5::Hdf5;
use super::layers::{Context, Kind, Operand, kind, make};
use super::values::{Builder, Layout, Value, last_first, permuted};
use super::weights::Variables;
use crate::ann::ReadAnn;
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_ir::ann::{AnnOp, SourceFate, SourceNode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// More calls than this come from models nested to multiply themselves.
const MAX_CALLS: usize = 1 << 16;

/// What reading a model needs and gathers.
struct Run<'r> {
    builder: Builder,
    variables: Variables,
    file: &'r Hdf5,
    major: u32,
    channels_first: bool,
    sources: Vec<(SourceNode, bool)>,
    source_of: BTreeMap<String, usize>,
    problems: Diagnostics,
    warnings: Vec<Diagnostic>,
    calls_left: usize,
}

/// Makes the network of a model.
///
/// # Errors
/// `SNN0113` for every layer that contradicts its weights or inputs.
pub(super) fn build(model: &Model<'_>, major: u32, variables: Variables, file: &Hdf5) -> Result<ReadAnn, Diagnostics> {
    let mut run = Run {
        builder: Builder::new(file.values_bound()),
        variables,
        file,
        major,
        channels_first: has_channels_first(model),
        sources: Vec::new(),
        source_of: BTreeMap::new(),
        problems: Diagnostics::new(),
        warnings: Vec::new(),
        calls_left: MAX_CALLS,
    };
    run.list_sources(model);
    let mut inputs = Vec::new();
    for index in &model.inputs {
        inputs.extend(run.input(model, *index));
    }
    if run.problems.has_errors() {
        return Err(run.problems);
    }
    let outputs = run.model(model, inputs);
    let mut ends = Vec::new();
    for (reference, value) in model.outputs.iter().zip(outputs.into_iter().flatten()) {
        let layer = &model.layers[reference.layer];
        match run.output(&value, layer) {
            Ok(value) => ends.push((layer.name.to_owned(), value.node)),
            Err(why) => run.problem(&layer.path, why),
        }
    }
    if run.problems.has_errors() {
        return Err(run.problems);
    }
    let mut ann = run.builder.ann;
    ann.outputs = ends;
    ann.sources = run.sources.into_iter().map(|(source, _)| source).collect();
    Ok(ReadAnn { ann, warnings: run.warnings })
}

fn has_channels_first(model: &Model<'_>) -> bool {
    model
        .layers
        .iter()
        .any(|layer| layer.config.channels_first() || layer.inner.as_ref().is_some_and(has_channels_first))
}

/// Whether the layers that read a value, behind those that treat all elements alike, count its last dimension as channels:
/// `None` if none of them has channels. `seen` holds layers that were looked at.
fn reads_channels_last(model: &Model<'_>, start: usize, seen: &mut BTreeSet<String>) -> Option<bool> {
    let mut stack = vec![start];
    while let Some(index) = stack.pop() {
        let reads = |layer: &Layer<'_>| {
            let arguments = layer.calls.iter().flatten();
            arguments.filter(|argument| matches!(argument, Argument::Value(value) if value.layer == index)).count() > 0
        };
        for (reader, layer) in model.layers.iter().enumerate().filter(|(_, layer)| reads(layer)) {
            if !seen.insert(layer.path.clone()) {
                continue;
            }
            if let Some(inner) = &layer.inner {
                let found = inner.inputs.iter().find_map(|input| reads_channels_last(inner, *input, seen));
                if found.is_some() {
                    return found;
                }
                continue;
            }
            match kind(layer.class) {
                Some(
                    Kind::Convolution(_)
                    | Kind::Depthwise(_)
                    | Kind::Separable(_)
                    | Kind::Transposed(_)
                    | Kind::Pool(..)
                    | Kind::GlobalPool(..)
                    | Kind::ZeroPadding(_)
                    | Kind::Cropping(_)
                    | Kind::UpSampling(_),
                ) => return Some(!layer.config.channels_first()),
                Some(
                    Kind::BatchNormalization
                    | Kind::Normalization
                    | Kind::Rescaling
                    | Kind::Nonlinear
                    | Kind::Identity
                    | Kind::Augmentation
                    | Kind::Merge(_)
                    | Kind::Concatenate,
                ) => stack.push(reader),
                _ => {}
            }
        }
    }
    None
}

impl Run<'_> {
    fn problem(&mut self, path: &str, why: impl Into<String>) {
        self.problems.push(Diagnostic::error(code::ANN_FILE, why).at(format!("layers/{path}")));
    }

    /// Lists all layers, nested ones behind their model.
    fn list_sources(&mut self, model: &Model<'_>) {
        for layer in model.layers.iter().filter(|layer| !layer.implied) {
            self.source_of.insert(layer.path.clone(), self.sources.len());
            let fate = match &layer.inner {
                Some(_) => SourceFate::Folded("a model: its layers stand in its place".to_owned()),
                None => SourceFate::Folded("nothing that leads to an output reads it".to_owned()),
            };
            let source = SourceNode { name: layer.path.clone(), kind: layer.class.to_owned(), fate };
            self.sources.push((source, layer.inner.is_some()));
            if let Some(inner) = &layer.inner {
                self.list_sources(inner);
            }
        }
    }

    /// Says what became of a layer; the first of several calls counts.
    fn set_fate(&mut self, path: &str, fate: SourceFate) {
        if let Some((source, known)) = self.source_of.get(path).map(|index| &mut self.sources[*index])
            && !*known
        {
            (source.fate, *known) = (fate, true);
        }
    }

    fn input(&mut self, model: &Model<'_>, index: usize) -> Option<Value> {
        let layer = &model.layers[index];
        let Some(shape) = layer.input_shape.clone() else {
            let diagnostic = Diagnostic::error(code::ANN_FILE, "the input has no fixed shape")
                .at(format!("layers/{}", layer.path))
                .note("an image of any size, or a sequence of any length, has no fixed number of neurons")
                .help("give the first layer a shape, such as `keras.Input((28, 28, 1))`, and save the model again");
            self.problems.push(diagnostic);
            return None;
        };
        let rank = shape.len();
        let last = reads_channels_last(model, index, &mut BTreeSet::new());
        let moved = match rank {
            2 => last == Some(true),
            3 => last.unwrap_or(!self.channels_first),
            _ => false,
        };
        let axes = if moved { last_first(rank) } else { (0..rank).collect() };
        match self.builder.push_input(&layer.path, shape, axes) {
            Ok(value) => Some(value),
            Err(why) => {
                self.problem(&layer.path, why);
                None
            }
        }
    }

    /// An output in the order that the documentation of [`super`] gives.
    fn output(&mut self, value: &Value, layer: &Layer<'_>) -> Result<Value, String> {
        let name = format!("{}/output", layer.path);
        match (&value.layout, value.shape.len()) {
            (Layout::Axes(_), 2) => Ok(value.clone()),
            (_, 3) if !self.channels_first => self.builder.arrange(value, &last_first(3), &name),
            _ => self.builder.in_keras_order(value, &name),
        }
    }

    /// Goes through the calls of a model; its outputs, or `None` if there was a problem with the graph itself.
    fn model(&mut self, model: &Model<'_>, inputs: Vec<Value>) -> Option<Vec<Value>> {
        let calls: Vec<(usize, usize)> = model
            .layers
            .iter()
            .enumerate()
            .flat_map(|(index, layer)| (0..layer.calls.len()).map(move |call| (index, call)))
            .collect();
        let arguments = |(layer, call): (usize, usize)| {
            model.layers[layer].calls[call].iter().filter_map(|argument| match argument {
                Argument::Value(reference) => Some(reference),
                Argument::Number(_) => None,
            })
        };
        let mut readers: BTreeMap<(usize, usize), Vec<&Reference>> = BTreeMap::new();
        let mut followers: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
        let mut missing: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for at in &calls {
            for reference in arguments(*at) {
                readers.entry((reference.layer, reference.call)).or_default().push(reference);
                followers.entry((reference.layer, reference.call)).or_default().push(*at);
                *missing.entry(*at).or_default() += 1;
            }
        }
        let mut ready: BTreeSet<(usize, usize)> =
            calls.iter().copied().filter(|at| !missing.contains_key(at)).collect();
        let mut values: BTreeMap<(usize, usize), Vec<Value>> = BTreeMap::new();
        while let Some(at) = ready.pop_first() {
            let layer = &model.layers[at.0];
            let made = if layer.class == "InputLayer" {
                let position = model.inputs.iter().position(|input| *input == at.0);
                self.bind_input(layer, position.and_then(|position| inputs.get(position)))?
            } else {
                let operands = self.operands(layer, at.1, &values)?;
                let shape = shape_in_file(model, at, &readers);
                self.call(layer, &operands, shape)?
            };
            values.insert(at, made);
            for follower in followers.remove(&at).into_iter().flatten() {
                let left = missing.get_mut(&follower).expect("bug in snncc: a follower waits");
                *left -= 1;
                if *left == 0 {
                    ready.insert(follower);
                }
            }
        }
        if let Some(at) = calls.iter().find(|at| !values.contains_key(at)) {
            self.problem(&model.layers[at.0].path, "it waits for a value that depends on itself");
            return None;
        }
        let mut outputs = Vec::new();
        for reference in &model.outputs {
            let layer = &model.layers[reference.layer];
            outputs.push(self.value_of(reference, layer, &values)?.clone());
        }
        Some(outputs)
    }

    fn bind_input(&mut self, layer: &Layer<'_>, value: Option<&Value>) -> Option<Vec<Value>> {
        let Some(value) = value else {
            self.problem(&layer.path, "it is no input of its model, or the model is called on too few values");
            return None;
        };
        let is_own = self.builder.ann.nodes()[value.node].name == layer.path;
        let fate = match is_own {
            true => SourceFate::Node(value.node),
            false => SourceFate::Folded("what the model is called on".to_owned()),
        };
        self.set_fate(&layer.path, fate);
        Some(vec![value.clone()])
    }

    fn operands(
        &mut self,
        layer: &Layer<'_>,
        call: usize,
        values: &BTreeMap<(usize, usize), Vec<Value>>,
    ) -> Option<Vec<Operand>> {
        let mut operands = Vec::new();
        for argument in &layer.calls[call] {
            operands.push(match argument {
                Argument::Number(number) => Operand::Number(*number),
                Argument::Value(reference) => Operand::Value(self.value_of(reference, layer, values)?.clone()),
            });
        }
        Some(operands)
    }

    fn value_of<'v>(
        &mut self,
        reference: &Reference,
        reader: &Layer<'_>,
        values: &'v BTreeMap<(usize, usize), Vec<Value>>,
    ) -> Option<&'v Value> {
        let found = values.get(&(reference.layer, reference.call)).and_then(|outputs| outputs.get(reference.output));
        if found.is_none() {
            self.problem(&reader.path, format!("there is no output {} where it is read", reference.output));
        }
        found
    }

    /// One call of a layer; `None` if it leaves no value to go on with.
    fn call(&mut self, layer: &Layer<'_>, operands: &[Operand], shape: Option<Vec<usize>>) -> Option<Vec<Value>> {
        let values = operands.iter().filter_map(|operand| match operand {
            Operand::Value(value) => Some(value.clone()),
            Operand::Number(_) => None,
        });
        let values: Vec<Value> = values.collect();
        let Some(left) = self.calls_left.checked_sub(1) else {
            self.problem(&layer.path, format!("the network has more than {MAX_CALLS} layers"));
            return None;
        };
        self.calls_left = left;
        if let Some(inner) = &layer.inner {
            if values.len() != inner.inputs.len() {
                let message = format!("it is called on {} values and has {} inputs", values.len(), inner.inputs.len());
                self.problem(&layer.path, message);
                return None;
            }
            return self.model(inner, values);
        }
        let context = Context {
            builder: &mut self.builder,
            layer,
            variables: &self.variables,
            file: self.file,
            major: self.major,
            channels_first: self.channels_first,
        };
        let open = values.iter().find_map(|value| value.open.clone());
        let reason = match (make(context, operands), open) {
            (Ok(made), _) => {
                let fate = match made.node {
                    Some(node) => SourceFate::Node(node),
                    None => SourceFate::Folded(made.folded.to_owned()),
                };
                if kind(layer.class) == Some(Kind::Augmentation) {
                    self.warn_of_augmentation(layer);
                }
                self.set_fate(&layer.path, fate);
                return Some(vec![made.value]);
            }
            (Err(Failure::Unsupported(reason)), _) => reason,
            (Err(Failure::Bad(why)), Some(open)) => {
                format!("the shape of its input is not known, since `{open}` is not executed ({why})")
            }
            (Err(Failure::Bad(why)), None) => {
                self.problem(&layer.path, why.clone());
                why
            }
        };
        self.unsupported(layer, &values, shape, reason).map(|value| vec![value])
    }

    fn warn_of_augmentation(&mut self, layer: &Layer<'_>) {
        let message = format!("a {} changes samples only in training; here it does nothing", layer.class);
        self.warnings.push(Diagnostic::warning(code::ANN_FILE, message).at(format!("layers/{}", layer.path)));
    }

    /// A node in place of a layer that is not executed, of the shape that the file gives or that the class keeps.
    fn unsupported(
        &mut self,
        layer: &Layer<'_>,
        values: &[Value],
        shape: Option<Vec<usize>>,
        reason: String,
    ) -> Option<Value> {
        let Some(first) = values.first() else {
            self.problem(&layer.path, "it is called on no value");
            return None;
        };
        let shape = shape.or_else(|| shape_of_class(layer, &first.shape));
        let (shape, axes, open) = match shape {
            Some(shape) if shape == first.shape => (shape, first.axes(), None),
            Some(shape) => {
                let rank = shape.len();
                let moved = rank == 3 && !self.channels_first;
                (shape, if moved { last_first(rank) } else { (0..rank).collect() }, None)
            }
            None => (first.shape.clone(), first.axes(), Some(first.open.clone().unwrap_or(Arc::from(&layer.path[..])))),
        };
        let nodes = values.iter().map(|value| value.node).collect();
        let node_shape = permuted(&shape, &axes);
        match self.builder.push(&layer.path, AnnOp::Unsupported { reason }, nodes, Some(node_shape)) {
            Ok(node) => {
                self.set_fate(&layer.path, SourceFate::Node(node));
                Some(Value { node, shape, layout: Layout::Axes(axes), open })
            }
            Err(why) => {
                self.problem(&layer.path, why);
                None
            }
        }
    }
}

/// The shape of a call's value as those that read it give it: with the value, or as the only input they were built for.
fn shape_in_file(
    model: &Model<'_>,
    at: (usize, usize),
    readers: &BTreeMap<(usize, usize), Vec<&Reference>>,
) -> Option<Vec<usize>> {
    let references = readers.get(&at).into_iter().flatten().filter(|reference| reference.output == 0);
    references.clone().find_map(|reference| reference.shape.clone()).or_else(|| {
        let reads_it = |argument: &Argument| {
            matches!(argument, Argument::Value(value) if (value.layer, value.call, value.output) == (at.0, at.1, 0))
        };
        let only = |layer: &&Layer<'_>| matches!(&layer.calls[..], [call] if call.len() == 1 && reads_it(&call[0]));
        model.layers.iter().filter(only).find_map(|layer| layer.input_shape.clone())
    })
}

/// The shape that layers of some classes give, though they are not executed.
fn shape_of_class(layer: &Layer<'_>, input: &[usize]) -> Option<Vec<usize>> {
    let length = |key: &str| layer.config.integer(key).ok().flatten().and_then(|length| usize::try_from(length).ok());
    match layer.class {
        "LSTM" | "GRU" | "SimpleRNN" => {
            let units = length("units").filter(|units| *units > 0)?;
            let all_steps = layer.config.boolean("return_sequences", false);
            Some(if all_steps { vec![*input.first()?, units] } else { vec![units] })
        }
        "Embedding" => Some([input, &[length("output_dim").filter(|length| *length > 0)?]].concat()),
        "LayerNormalization" | "GroupNormalization" | "UnitNormalization" | "RMSNormalization" | "Masking" => {
            Some(input.to_vec())
        }
        // Built-in layers that only their settings keep from being executed.
        class if matches!(kind(class), Some(Kind::BatchNormalization | Kind::Nonlinear)) => Some(input.to_vec()),
        "Dense" => Some([&input[..input.len() - 1], &[length("units").filter(|units| *units > 0)?]].concat()),
        _ => None,
    }
}
