//! The description of a model: Keras's JSON as a graph of layers with their calls.
//!
//! A layer may be called several times; each call is a node of the graph and names the calls whose values it reads.
//! Sequential models get the calls that they imply. Both encodings of calls are read: lists `[name, call, output, …]` of
//! Keras 2, and objects `__keras_tensor__` of Keras 3.
//!
//! **Invariant:** every [`Reference`] of a [`Model`] names an existing layer, call and, for inputs of a model, one of its
//! input layers. The nesting of models is bounded by that of the JSON, which the parser bounds.

use serde_json::{Map, Value};
use snncc_ids::{Diagnostic, Diagnostics, code};
use std::collections::BTreeMap;

/// Largest length of a dimension, kernel, stride or the like; products of two stay far within 64 bits.
pub(super) const MAX_LENGTH: usize = 1 << 30;

/// Most layers of one model.
const MAX_LAYERS: usize = 1 << 14;

/// Why a layer cannot become a node.
#[derive(Debug)]
pub(super) enum Failure {
    /// The layer is right, but snncc cannot execute it; says why, and what to do.
    Unsupported(String),
    /// The file contradicts itself.
    Bad(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Bad(why)
    }
}

/// A Sequential or Functional model.
pub(super) struct Model<'a> {
    pub layers: Vec<Layer<'a>>,
    /// Its input layers, in the order of the model's inputs.
    pub inputs: Vec<usize>,
    pub outputs: Vec<Reference>,
}

/// A layer, or a model used as one.
pub(super) struct Layer<'a> {
    pub name: &'a str,
    /// Its name, behind those of the models that it is part of: `encoder/dense_1`.
    pub path: String,
    pub class: &'a str,
    /// Python module of its class, empty where the file does not say.
    pub module: &'a str,
    pub config: Config<'a>,
    pub calls: Vec<Vec<Argument>>,
    pub inner: Option<Model<'a>>,
    /// The shape of its input, without batch, where the file says it.
    pub input_shape: Option<Vec<usize>>,
    /// An input that the file implies but does not list.
    pub implied: bool,
    /// A class that its author registered, which may share its name with one of Keras.
    pub custom: bool,
}

/// What a layer is called on.
#[derive(Clone, Debug)]
pub(super) enum Argument {
    Value(Reference),
    Number(f64),
}

/// The value of a call.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub layer: usize,
    pub call: usize,
    /// Which of its outputs.
    pub output: usize,
    /// Shape without batch, where the file says it.
    pub shape: Option<Vec<usize>>,
}

/// Numbers in nested lists: the length of each level, and the values row-major.
pub(super) type Numbers = (Vec<usize>, Vec<f64>);

/// Settings of a layer.
#[derive(Clone, Copy)]
pub(super) struct Config<'a>(Option<&'a Map<String, Value>>);

/// Parses the JSON.
///
/// # Errors
/// `SNN0113` if it is none, or nested more than 128 deep.
pub(super) fn parse(name: &str, text: &[u8]) -> Result<Value, Diagnostics> {
    serde_json::from_slice(text).map_err(|error| {
        let diagnostic = super::damaged(name, format!("its description is not JSON: {error}"));
        let python = [&b"NaN"[..], b"Infinity"].iter().any(|word| text.windows(word.len()).any(|at| at == *word));
        match python {
            true => diagnostic.note("it has a NaN or Infinity, which Python writes but JSON does not know").into(),
            false => diagnostic.into(),
        }
    })
}

/// The version that the metadata of an archive give.
pub(super) fn keras_version(metadata: Option<&[u8]>) -> Option<String> {
    let metadata: Value = serde_json::from_slice(metadata?).ok()?;
    Some(metadata.get("keras_version")?.as_str()?.to_owned())
}

/// Reads the graph.
///
/// # Errors
/// `SNN0113` if it is not a Sequential or Functional model, or not a graph.
pub(super) fn read_model<'a>(name: &str, json: &'a Value) -> Result<Model<'a>, Diagnostics> {
    let class = json.get("class_name").and_then(Value::as_str).unwrap_or("?");
    if !is_model(class, json.get("config")) {
        return Err(Diagnostic::error(code::ANN_FILE, format!("`{name}` holds a model of the class `{class}`"))
            .note("only Sequential and Functional models say in the file how their layers are connected")
            .help("export a model of another class to ONNX")
            .into());
    }
    model(json, "")
}

/// Whether a layer is a model.
fn is_model(class: &str, config: Option<&Value>) -> bool {
    let lists_layers = || config.is_some_and(|config| config.is_array() || config.get("layers").is_some());
    matches!(class, "Sequential" | "Functional" | "Model") && lists_layers()
}

fn bad(path: &str, why: impl Into<String>) -> Diagnostics {
    let item = if path.is_empty() { "layers".to_owned() } else { format!("layers/{path}") };
    Diagnostic::error(code::ANN_FILE, why).at(item).into()
}

fn model<'a>(json: &'a Value, path: &str) -> Result<Model<'a>, Diagnostics> {
    let config = json.get("config").unwrap_or(&Value::Null);
    // Before Keras 2.2.3 the configuration of a Sequential was the list of its layers.
    let list = config.get("layers").unwrap_or(config).as_array();
    let list = list.ok_or_else(|| bad(path, "the model has no list of layers"))?;
    if list.len() > MAX_LAYERS {
        return Err(bad(path, format!("the model has {} layers, more than the limit of {MAX_LAYERS}", list.len())));
    }
    let mut layers = Vec::new();
    let mut by_name = BTreeMap::new();
    for (index, json) in list.iter().enumerate() {
        let layer = layer(json, path, index)?;
        if by_name.insert(layer.name, index).is_some() {
            return Err(bad(&layer.path, format!("two layers have the name `{}`", layer.name)));
        }
        layers.push(layer);
    }
    if layers.is_empty() {
        return Err(bad(path, "the model has no layers"));
    }
    if json.get("class_name").and_then(Value::as_str) == Some("Sequential") {
        let own_shape = || fixed_shape(config.get("build_input_shape")?).or_else(|| build_shape(json));
        Ok(sequential(layers, own_shape, path))
    } else {
        functional(layers, &by_name, list, config, path)
    }
}

/// Chains the layers, behind an input that is implied where it is not listed.
fn sequential<'a>(mut layers: Vec<Layer<'a>>, own_shape: impl Fn() -> Option<Vec<usize>>, path: &str) -> Model<'a> {
    if layers[0].class != "InputLayer" {
        let input_shape = layers[0].input_shape.clone().or_else(own_shape).or_else(|| {
            let inner = layers[0].inner.as_ref()?;
            inner.layers[*inner.inputs.first()?].input_shape.clone()
        });
        let taken = |name: &str| layers.iter().any(|layer| layer.name == name);
        let name = ["input", "model_input", "implied_input"].into_iter().find(|name| !taken(name));
        let name = name.unwrap_or("implied_model_input");
        layers.insert(
            0,
            Layer {
                name,
                path: join(path, name),
                class: "InputLayer",
                module: "",
                config: Config(None),
                calls: vec![Vec::new()],
                inner: None,
                input_shape,
                implied: true,
                custom: false,
            },
        );
    }
    layers[0].calls = vec![Vec::new()];
    for (index, layer) in layers.iter_mut().enumerate().skip(1) {
        layer.calls = vec![vec![Argument::Value(Reference { layer: index - 1, call: 0, output: 0, shape: None })]];
    }
    let last = layers.len() - 1;
    Model { layers, inputs: vec![0], outputs: vec![Reference { layer: last, call: 0, output: 0, shape: None }] }
}

fn functional<'a>(
    mut layers: Vec<Layer<'a>>,
    by_name: &BTreeMap<&str, usize>,
    list: &'a [Value],
    config: &'a Value,
    path: &str,
) -> Result<Model<'a>, Diagnostics> {
    let mut calls: Vec<Vec<Vec<RawArgument<'a>>>> = Vec::new();
    for json in list {
        let nodes = json.get("inbound_nodes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or(&[]);
        calls.push(nodes.iter().map(raw_arguments).collect());
    }
    // A nested model starts with a call of its own, which files count or don't.
    let counts: Vec<usize> = calls.iter().map(Vec::len).collect();
    let is_object = |argument: &RawArgument<'_>| matches!(argument, RawArgument::Value(value) if value.is_object);
    let keras_3 = calls.iter().flatten().flatten().any(is_object);
    let mut largest = vec![0_usize; layers.len()];
    for argument in calls.iter().flatten().flatten() {
        if let RawArgument::Value(value) = argument
            && let Some(index) = by_name.get(value.layer)
        {
            largest[*index] = largest[*index].max(value.call);
        }
    }
    let resolve = |raw: &RawReference<'a>, is_output: bool, reader: &str| -> Result<Reference, Diagnostics> {
        let Some(&index) = by_name.get(raw.layer) else {
            let near = snncc_ids::did_you_mean(raw.layer, by_name.keys().copied());
            let near = near.map(|near| format!("; did it mean `{near}`?")).unwrap_or_default();
            return Err(bad(reader, format!("it reads `{}`, which is not in the file{near}", raw.layer)));
        };
        let layer: &Layer<'_> = &layers[index];
        let own_call_counted = layer.inner.as_ref().is_some_and(|inner| {
            let functional = layer.class != "Sequential";
            match (raw.is_object, is_output) {
                (true, _) => largest[index] >= counts[index],
                (false, true) if keras_3 => functional,
                (false, _) => functional || inner.layers.first().is_some_and(|first| !first.implied),
            }
        });
        let call = raw.call.saturating_sub(usize::from(own_call_counted));
        // Inputs have no calls in the file, but a value.
        if call >= counts[index].max(usize::from(layer.class == "InputLayer")) {
            return Err(bad(
                reader,
                format!("it reads call {call} of `{}`, which is called {} times", raw.layer, counts[index]),
            ));
        }
        Ok(Reference { layer: index, call, output: raw.output, shape: raw.shape.clone() })
    };
    let mut resolved = Vec::new();
    for (layer, calls) in layers.iter().zip(&calls) {
        let mut layer_calls = Vec::new();
        for call in calls {
            let arguments = call.iter().map(|argument| match argument {
                RawArgument::Number(number) => Ok(Argument::Number(*number)),
                RawArgument::Value(value) => resolve(value, false, &layer.path).map(Argument::Value),
            });
            layer_calls.push(arguments.collect::<Result<_, Diagnostics>>()?);
        }
        if layer.class == "InputLayer" {
            layer_calls = vec![Vec::new()];
        }
        resolved.push(layer_calls);
    }
    let ends = |key: &str| {
        let mut found = Vec::new();
        references_in_lists(config.get(key).unwrap_or(&Value::Null), &mut found);
        found
    };
    let outputs: Vec<Reference> =
        ends("output_layers").iter().map(|raw| resolve(raw, true, path)).collect::<Result<_, _>>()?;
    let inputs: Vec<usize> = ends("input_layers")
        .iter()
        .map(|raw| Ok(resolve(raw, true, path)?.layer))
        .collect::<Result<_, Diagnostics>>()?;
    if outputs.is_empty() {
        return Err(bad(path, "the model has no outputs"));
    }
    for (layer, calls) in layers.iter_mut().zip(resolved) {
        layer.calls = calls;
    }
    if let Some(other) = inputs.iter().find(|input| layers[**input].class != "InputLayer") {
        return Err(bad(&layers[*other].path, "it is an input of the model, but no InputLayer"));
    }
    Ok(Model { layers, inputs, outputs })
}

fn layer<'a>(json: &'a Value, path: &str, index: usize) -> Result<Layer<'a>, Diagnostics> {
    let class = json.get("class_name").and_then(Value::as_str);
    let class = class.ok_or_else(|| bad(path, format!("layer {index} has no class")))?;
    let config = json.get("config");
    let name = json.get("name").and_then(Value::as_str).or_else(|| config?.get("name")?.as_str());
    let name = name.ok_or_else(|| bad(path, format!("layer {index}, a {class}, has no name")))?;
    let path = join(path, name);
    let custom = json.get("registered_name").and_then(Value::as_str).is_some_and(|name| name.contains('>'));
    let inner = match is_model(class, config) && !custom {
        true => Some(model(json, &path)?),
        false => None,
    };
    let config = Config(config.and_then(Value::as_object));
    let input_shape = ["batch_shape", "batch_input_shape"].iter().find_map(|key| fixed_shape(config.get(key)?));
    Ok(Layer {
        name,
        path,
        class,
        custom,
        module: json.get("module").and_then(Value::as_str).unwrap_or(""),
        config,
        calls: Vec::new(),
        inner,
        input_shape: input_shape.or_else(|| build_shape(json)),
        implied: false,
    })
}

/// `a/b`, or `b` in the outermost model.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn build_shape(json: &Value) -> Option<Vec<usize>> {
    fixed_shape(json.get("build_config")?.get("input_shape")?)
}

/// `[null, 28, 28, 1]` as a shape without batch, if it has dimensions and every one is fixed.
fn fixed_shape(value: &Value) -> Option<Vec<usize>> {
    let (_, dimensions) = value.as_array()?.split_first().filter(|(_, dimensions)| !dimensions.is_empty())?;
    dimensions.iter().map(|value| length(value).filter(|length| *length > 0)).collect()
}

fn length(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok().filter(|length| *length <= MAX_LENGTH)
}

enum RawArgument<'a> {
    Value(RawReference<'a>),
    Number(f64),
}

struct RawReference<'a> {
    layer: &'a str,
    call: usize,
    output: usize,
    shape: Option<Vec<usize>>,
    is_object: bool,
}

/// Arguments of one call, in either encoding.
fn raw_arguments(node: &Value) -> Vec<RawArgument<'_>> {
    let mut found = Vec::new();
    if let Some(arguments) = node.get("args") {
        for argument in arguments.as_array().into_iter().flatten() {
            match argument.as_f64() {
                Some(number) => found.push(RawArgument::Number(number)),
                None => references_in_objects(argument, &mut found),
            }
        }
        references_in_objects(node.get("kwargs").unwrap_or(&Value::Null), &mut found);
    } else {
        let mut references = Vec::new();
        references_in_lists(node, &mut references);
        found.extend(references.into_iter().map(RawArgument::Value));
    }
    found
}

/// `["name", call, output, …]`, at any depth.
fn references_in_lists<'a>(value: &'a Value, found: &mut Vec<RawReference<'a>>) {
    match value {
        Value::Array(items) => match &items[..] {
            [Value::String(layer), call, output, rest @ ..] if call.is_u64() && output.is_u64() => {
                let (call, output) = (length(call).unwrap_or(MAX_LENGTH), length(output).unwrap_or(MAX_LENGTH));
                found.push(RawReference { layer, call, output, shape: None, is_object: false });
                rest.iter().for_each(|value| references_in_lists(value, found));
            }
            items => items.iter().for_each(|value| references_in_lists(value, found)),
        },
        Value::Object(members) => members.values().for_each(|value| references_in_lists(value, found)),
        _ => {}
    }
}

/// Objects of the class `__keras_tensor__`, at any depth.
fn references_in_objects<'a>(value: &'a Value, found: &mut Vec<RawArgument<'a>>) {
    match value {
        Value::Object(members) if members.get("class_name").and_then(Value::as_str) == Some("__keras_tensor__") => {
            let config = members.get("config").unwrap_or(&Value::Null);
            let history = config.get("keras_history").and_then(Value::as_array).map(Vec::as_slice);
            if let Some([Value::String(layer), call, output]) = history {
                let (call, output) = (length(call).unwrap_or(MAX_LENGTH), length(output).unwrap_or(MAX_LENGTH));
                let shape = config.get("shape").and_then(fixed_shape);
                found.push(RawArgument::Value(RawReference { layer, call, output, shape, is_object: true }));
            }
        }
        Value::Object(members) => members.values().for_each(|value| references_in_objects(value, found)),
        Value::Array(items) => items.iter().for_each(|value| references_in_objects(value, found)),
        _ => {}
    }
}

impl<'a> Config<'a> {
    /// A setting that is there and not null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.0?.get(key).filter(|value| !value.is_null())
    }

    /// The settings of an object in the settings.
    pub(super) fn of(value: &'a Value) -> Self {
        Self(value.as_object())
    }

    /// A whole number, perhaps in a list of one.
    pub(super) fn integer(&self, key: &str) -> Result<Option<i64>, Failure> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let single = match value.as_array().map(Vec::as_slice) {
            Some([one]) => one,
            _ => value,
        };
        let number = single.as_i64().filter(|number| number.unsigned_abs() <= MAX_LENGTH as u64);
        number.map(Some).ok_or_else(|| Failure::Bad(format!("`{key}` is {value}, a whole number is needed")))
    }

    /// One length per spatial dimension; a single number stands for all.
    pub(super) fn lengths(&self, key: &str, dimensions: usize) -> Result<Option<Vec<usize>>, Failure> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let list: Option<Vec<usize>> = match value {
            Value::Array(items) if items.len() == dimensions => items.iter().map(length).collect(),
            single => length(single).map(|length| vec![length; dimensions]),
        };
        list.map(Some)
            .ok_or_else(|| Failure::Bad(format!("`{key}` is {value}, {dimensions} lengths of at least 0 are needed")))
    }

    /// Lengths before and after each spatial dimension: `n`, `[n, m]` or `[[n, n'], [m, m']]`.
    pub(super) fn margins(&self, key: &str, dimensions: usize) -> Result<Vec<(usize, usize)>, Failure> {
        let value = self.get(key).unwrap_or(&Value::Null);
        let pair = |value: &Value| match value.as_array().map(Vec::as_slice) {
            Some([before, after]) => Some((length(before)?, length(after)?)),
            _ => length(value).map(|both| (both, both)),
        };
        let margins: Option<Vec<(usize, usize)>> = match value {
            // One dimension: the pair itself.
            Value::Array(items) if dimensions == 1 && items.len() == 2 => pair(value).map(|pair| vec![pair]),
            Value::Array(items) if items.len() == dimensions => items.iter().map(pair).collect(),
            single => length(single).map(|both| vec![(both, both); dimensions]),
        };
        margins
            .ok_or_else(|| Failure::Bad(format!("`{key}` is {value}, lengths of {dimensions} dimensions are needed")))
    }

    /// A number, perhaps wrapped as a value of NumPy or in a list of one.
    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, Failure> {
        match self.numbers(key)? {
            None => Ok(None),
            Some((_, values)) if values.len() == 1 => Ok(Some(values[0])),
            Some((shape, _)) => Err(Failure::Bad(format!("`{key}` has the shape {shape:?}, a number is needed"))),
        }
    }

    /// Numbers in lists, row-major with their shape, perhaps wrapped as an array of NumPy or a tensor.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Numbers>, Failure> {
        let Some(mut value) = self.get(key) else { return Ok(None) };
        if matches!(value.get("class_name").and_then(Value::as_str), Some("__numpy__" | "__tensor__")) {
            value = value.get("config").and_then(|config| config.get("value")).unwrap_or(&Value::Null);
        }
        let (mut shape, mut items) = (Vec::new(), vec![value]);
        while let Some(Value::Array(first)) = items.first() {
            shape.push(first.len());
            let rows = items.iter().map(|item| item.as_array().filter(|row| row.len() == first.len()));
            let rows: Option<Vec<_>> = rows.collect();
            let rows = rows.ok_or_else(|| Failure::Bad(format!("the rows of `{key}` differ in length")))?;
            items = rows.into_iter().flatten().collect();
        }
        let values: Option<Vec<f64>> = items.into_iter().map(Value::as_f64).collect();
        let values = values.ok_or_else(|| Failure::Bad(format!("`{key}` is not of numbers")))?;
        Ok(Some((shape, values)))
    }

    pub(super) fn boolean(&self, key: &str, default: bool) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or(default)
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key)?.as_str()
    }

    /// Whether values are channels first. Keras writes the setting into every layer that has it.
    pub(super) fn channels_first(&self) -> bool {
        self.text("data_format") == Some("channels_first")
    }

    /// The name of the layer's policy for element types, such as `float32` or `int8_from_float32`.
    pub(super) fn type_policy(&self) -> &'a str {
        let Some(value) = self.get("dtype") else { return "float32" };
        let wrapped = || value.get("config")?.get("name")?.as_str();
        value.as_str().or_else(wrapped).unwrap_or("float32")
    }
}
