//! Shapes, tensors, matrices and delays: written out, or taken from a file.
//!
//! A tensor is a number, a (nested) list of numbers, `Tensor(shape: …, data: …)` with a flat list, or `File(…)`. At most one
//! problem is reported for each tensor.

use super::context::{Context, Fields, Scalar, sequence};
use super::value::{Kind, Members, Value};
use crate::tensor_files::{AnyTensor, position, read_array};
use snncc_ids::{Span, code};
use snncc_ir::ann::element_count;
use snncc_ir::network::{Matrix, SynapseDelay};
use snncc_ir::{Param, Tensor};

/// A number type that tensors may have.
pub(super) trait Element: Scalar {
    /// Converts the array of a file without loss.
    fn convert(array: &AnyTensor) -> Result<Tensor<Self>, String>;
}

impl Element for f64 {
    fn convert(array: &AnyTensor) -> Result<Tensor<Self>, String> {
        let tensor = array.to_f64()?;
        match tensor.data.iter().position(|value| !value.is_finite()) {
            None => Ok(tensor),
            Some(index) => {
                let at = position(&tensor.shape, index);
                Err(format!("value {} at {at} is not finite", tensor.data[index]))
            }
        }
    }
}

macro_rules! integer_elements {
    ($($type:ty)*) => {$(
        impl Element for $type {
            fn convert(array: &AnyTensor) -> Result<Tensor<Self>, String> {
                array.to_integer()
            }
        }
    )*};
}

integer_elements!(i32 u32 i64);

/// A tensor as written; shape `[]` is a single number.
pub(super) struct Array<T> {
    pub(super) tensor: Tensor<T>,
    from_file: bool,
}

impl<T: Copy> Array<T> {
    /// The only number, if there is one and it stands for all: a number without brackets, or an array of one value in a file.
    pub(super) fn single(&self) -> Option<T> {
        match &self.tensor.data[..] {
            [value] if self.from_file || self.tensor.shape.is_empty() => Some(*value),
            _ => None,
        }
    }

    fn into_param(self) -> Param<T> {
        match self.single() {
            Some(value) => Param::Uniform(value),
            None => Param::PerNeuron(self.tensor.data),
        }
    }
}

/// The place of value number `index` (row-major) of a tensor that is written out, or of the tensor.
pub(super) fn element_span(value: &Value, index: usize) -> Span {
    let items = match &value.kind {
        Kind::List(items) => items,
        Kind::Group(group) => match &group.members {
            Members::Named(fields) => match fields.iter().find(|field| field.name == "data") {
                Some(field) => return element_span(&field.value, index),
                None => return value.anchor(),
            },
            Members::Positional(_) => return value.anchor(),
        },
        _ => return value.anchor(),
    };
    // All rows are equally long: ragged lists were refused.
    let row_length = items.first().map_or(1, leaf_count).max(1);
    match items.get(index / row_length) {
        Some(item) => element_span(item, index % row_length),
        None => value.anchor(),
    }
}

/// Numbers in a list whose rows are equally long.
fn leaf_count(value: &Value) -> usize {
    match &value.kind {
        Kind::List(items) => items.len() * items.first().map_or(0, leaf_count),
        _ => 1,
    }
}

impl Context<'_> {
    /// Reads a tensor of any shape.
    pub(super) fn array<T: Element>(&mut self, value: &Value, item: &str) -> Option<Array<T>> {
        let tensor = match &value.kind {
            Kind::Number => Tensor { shape: Vec::new(), data: vec![self.scalar(value, item)?] },
            Kind::List(_) => self.nested_lists(value, item)?,
            Kind::Group(group) if group.name == Some("File") => {
                return Some(Array { tensor: self.file(value, item)?, from_file: true });
            }
            Kind::Group(group) if group.name == Some("Tensor") => {
                let fields = self.fields(value, item, "`Tensor`", &["shape", "data"])?;
                let shape = self.required(&fields, "shape", Self::tensor_shape);
                let data = self.required(&fields, "data", Self::array::<T>);
                let (shape, data) = (shape?, data?.tensor.data);
                if element_count(&shape) != Some(data.len()) {
                    let message = format!("a tensor of shape {shape:?} cannot have {} values", data.len());
                    self.error(code::SHAPE_MISMATCH, item, value.anchor(), message);
                    return None;
                }
                Tensor { shape, data }
            }
            _ => {
                self.wrong_type(item, value, &format!("{} or a list, `Tensor(…)` or `File(…)`", T::WHAT));
                return None;
            }
        };
        Some(Array { tensor, from_file: false })
    }

    /// The shape inside `Tensor(…)`, where a dimension may be 0.
    fn tensor_shape(&mut self, value: &Value, item: &str) -> Option<Vec<usize>> {
        let items = self.sequence(value, item, "a list of lengths")?;
        items.iter().map(|length| self.scalar(length, item)).collect()
    }

    fn nested_lists<T: Element>(&mut self, value: &Value, item: &str) -> Option<Tensor<T>> {
        let mut shape = Vec::new();
        let mut first = value;
        while let Kind::List(items) = &first.kind {
            shape.push(items.len());
            match items.first() {
                Some(item) => first = item,
                None => break,
            }
        }
        let mut data = Vec::with_capacity(element_count(&shape).unwrap_or(0).min(self.text_of(value).len()));
        self.fill(value, item, &shape, &mut data)?;
        Some(Tensor { shape, data })
    }

    fn fill<T: Element>(&mut self, value: &Value, item: &str, shape: &[usize], data: &mut Vec<T>) -> Option<()> {
        match (&value.kind, shape) {
            (Kind::List(items), [length, inner @ ..]) if items.len() == *length => {
                for element in items {
                    self.fill(element, item, inner, data)?;
                }
            }
            (Kind::List(items), [length, ..]) => {
                let message = format!("this row has length {}, the first row of its kind {length}", items.len());
                self.error(code::SHAPE_MISMATCH, item, value.anchor(), message);
                return None;
            }
            (_, []) => data.push(self.scalar(value, item)?),
            (_, [_, ..]) => {
                self.wrong_type(item, value, "a list, as the first of its kind");
                return None;
            }
        }
        Some(())
    }

    /// `File("weights.npz", "fc1.weight")` or `File("weight.npy")`.
    fn file<T: Element>(&mut self, value: &Value, item: &str) -> Option<Tensor<T>> {
        let names = match &value.kind {
            Kind::Group(group) => match &group.members {
                Members::Positional(names) if matches!(names.len(), 1 | 2) => names,
                _ => {
                    let message = "expected `File(\"name.npz\", \"array\")` or `File(\"name.npy\")`";
                    self.error(code::WRONG_TYPE, item, value.anchor(), message);
                    return None;
                }
            },
            _ => return None,
        };
        let file_name = self.string(&names[0], item)?;
        let array = match names.get(1) {
            Some(name) => Some(self.string(name, item)?),
            None => None,
        };
        if !self.loaded.contains_key(file_name) {
            let bytes = match (self.files)(file_name) {
                Ok(bytes) => Some(bytes),
                Err(why) => {
                    let message = format!("`{file_name}` cannot be read: {why}");
                    self.error(code::FILE_UNREADABLE, item, names[0].anchor(), message);
                    None
                }
            };
            self.loaded.insert(file_name.to_owned(), bytes);
        }
        let bytes = self.loaded.get(file_name)?.as_ref()?;
        let result = read_array(bytes, file_name, array, self.file_budget_bytes).and_then(|array| T::convert(&array));
        match result {
            Ok(tensor) => {
                let bytes = (tensor.len() * size_of::<T>()) as u64;
                self.file_budget_bytes = self.file_budget_bytes.saturating_sub(bytes);
                if self.file_budget_bytes == 0 {
                    let message = "the tensors taken from files exceed the limit for one network";
                    self.error(code::TENSOR_FILE, item, value.anchor(), message);
                    return None;
                }
                Some(tensor)
            }
            Err(why) => {
                let place = names.get(1).unwrap_or(&names[0]).anchor();
                let place = Span { start: value.anchor().start, end: place.end };
                let of = array.map_or(String::new(), |array| format!(", array `{array}`"));
                self.error(code::TENSOR_FILE, item, place, format!("`{file_name}`{of}: {why}"));
                None
            }
        }
    }

    /// The shape of a node: a length, or a list or tuple of lengths, none of them 0.
    pub(super) fn shape(&mut self, value: &Value, item: &str) -> Option<Vec<usize>> {
        let items = match &value.kind {
            Kind::Number => std::slice::from_ref(value),
            _ => self.sequence(value, item, "a shape, such as [16, 16]")?,
        };
        let mut shape = Vec::with_capacity(items.len());
        for length in items {
            shape.push(self.scalar::<usize>(length, item)?);
        }
        let count = element_count(&shape);
        if shape.is_empty() || count.is_none_or(|count| count == 0 || u32::try_from(count).is_err()) {
            let message = format!("a node of shape {shape:?} must have from 1 to {} elements", u32::MAX);
            self.error(code::BAD_PARAMETER, item, value.anchor(), message);
            return None;
        }
        Some(shape)
    }

    /// One length for every dimension, or one for each; each at least `least`.
    pub(super) fn lengths(&mut self, value: &Value, item: &str, dimensions: usize, least: usize) -> Option<Vec<usize>> {
        let lengths: Vec<usize> = match &value.kind {
            Kind::Number => vec![self.scalar(value, item)?; dimensions],
            _ => {
                let items = self.sequence(value, item, "a length, or one for each dimension")?;
                items.iter().map(|length| self.scalar(length, item)).collect::<Option<_>>()?
            }
        };
        if lengths.len() != dimensions {
            let message = format!("{} lengths for {dimensions} dimensions", lengths.len());
            self.error(code::SHAPE_MISMATCH, item, value.anchor(), message);
            return None;
        }
        if let Some(length) = lengths.iter().find(|length| **length < least) {
            self.error(code::BAD_PARAMETER, item, value.anchor(), format!("{length} is less than {least}"));
            return None;
        }
        Some(lengths)
    }

    /// A matrix `(outputs, inputs)`: a tensor of two dimensions, or `Sparse(…)`.
    pub(super) fn matrix<T: Element>(&mut self, value: &Value, item: &str) -> Option<Matrix<T>> {
        if let Kind::Group(group) = &value.kind
            && group.name == Some("Sparse")
        {
            return self.sparse(value, item);
        }
        let tensor = self.array::<T>(value, item)?.tensor;
        match tensor.shape[..] {
            [outputs, inputs] if outputs > 0 && inputs > 0 => Some(Matrix::Dense(tensor)),
            _ => {
                let message =
                    format!("a weight matrix has the shape [outputs, inputs]; this one has {:?}", tensor.shape);
                self.error(code::SHAPE_MISMATCH, item, value.anchor(), message);
                None
            }
        }
    }

    /// `Sparse(shape: (outputs, inputs), entries: [(row, column, value), …])`, or `rows`, `columns` and `values` apart.
    fn sparse<T: Element>(&mut self, value: &Value, item: &str) -> Option<Matrix<T>> {
        let known = ["shape", "entries", "rows", "columns", "values"];
        let fields = self.fields(value, item, "`Sparse`", &known)?;
        let shape = self.required(&fields, "shape", Self::shape)?;
        let [outputs, inputs] = shape[..] else {
            let message = format!("a sparse matrix has the shape (outputs, inputs), not {shape:?}");
            self.error(code::SHAPE_MISMATCH, &fields.path("shape"), fields.span("shape"), message);
            return None;
        };
        let (rows, columns, values) = if let Some(entries) = fields.find("entries") {
            if let Some(name) = known[2..].iter().find(|name| fields.find(name).is_some()) {
                let message = format!("`entries` and `{name}` exclude each other");
                self.error(code::WRONG_TYPE, &fields.path(name), fields.span(name), message);
                return None;
            }
            self.entries(entries, &fields.path("entries"))?
        } else {
            let rows = self.required(&fields, "rows", Self::array::<u32>);
            let columns = self.required(&fields, "columns", Self::array::<u32>);
            let values = self.required(&fields, "values", Self::array::<T>);
            (rows?.tensor.data, columns?.tensor.data, values?.tensor.data)
        };
        if rows.len() != values.len() || columns.len() != values.len() {
            let (rows, columns, values) = (rows.len(), columns.len(), values.len());
            let message = format!("{rows} rows, {columns} columns and {values} values must be equally many");
            self.error(code::SHAPE_MISMATCH, item, value.anchor(), message);
            return None;
        }
        let place = |index: usize| match fields.find("entries").and_then(sequence).and_then(|items| items.get(index)) {
            Some(entry) => entry.anchor(),
            None => value.anchor(),
        };
        let outside = |(row, column): (&u32, &u32)| *row as usize >= outputs || *column as usize >= inputs;
        if let Some(index) = rows.iter().zip(&columns).position(outside) {
            let message = format!(
                "entry {index} at row {}, column {} is outside the matrix of {outputs} rows and {inputs} columns",
                rows[index], columns[index]
            );
            self.error(code::BAD_PARAMETER, item, place(index), message);
            return None;
        }
        let mut order: Vec<(u32, u32, usize)> =
            rows.iter().zip(&columns).enumerate().map(|(index, (row, column))| (*row, *column, index)).collect();
        order.sort_unstable();
        let repeated = order.windows(2).filter(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1)).map(|p| p[1]);
        if let Some((row, column, index)) = repeated.min_by_key(|(_, _, index)| *index) {
            let message = format!("entry {index} gives the synapse at row {row}, column {column} a second time");
            self.error(code::DUPLICATE_NAME, item, place(index), message);
            return None;
        }
        Some(Matrix::Sparse { shape: (outputs, inputs), rows, columns, values })
    }

    /// Rows, columns and values of entries written as triples.
    fn entries<T: Element>(&mut self, value: &Value, item: &str) -> Option<(Vec<u32>, Vec<u32>, Vec<T>)> {
        const WHAT: &str = "a list of (row, column, value)";
        let entries = self.sequence(value, item, WHAT)?;
        let (mut rows, mut columns, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            let Some([row, column, value]) = sequence(entry) else {
                self.wrong_type(item, entry, "(row, column, value)");
                return None;
            };
            rows.push(self.scalar(row, item)?);
            columns.push(self.scalar(column, item)?);
            values.push(self.scalar(value, item)?);
        }
        Some((rows, columns, values))
    }

    /// The extra delay of the synapses of `matrix`: a number of steps, or one for each stored weight.
    pub(super) fn synapse_delay<T>(&mut self, fields: &Fields, matrix: Option<&Matrix<T>>) -> Option<SynapseDelay> {
        let Some(array) = self.optional(fields, "delay", Self::array::<u32>) else { return Some(SynapseDelay::None) };
        if let Some(steps) = array.single() {
            return Some(if steps == 0 { SynapseDelay::None } else { SynapseDelay::Uniform(steps) });
        }
        let tensor = array.tensor;
        let matrix = matrix?;
        let fits = match matrix {
            Matrix::Dense(weight) if tensor.shape.len() > 1 => weight.shape == tensor.shape,
            _ => matrix.len() == tensor.len(),
        };
        if !fits {
            let (shape, count) = (&tensor.shape, matrix.len());
            let message = format!("delays of shape {shape:?} for {count} weights; give one for each, or one for all");
            self.error(code::SHAPE_MISMATCH, &fields.path("delay"), fields.span("delay"), message);
            return None;
        }
        Some(SynapseDelay::PerSynapse(tensor.data))
    }

    /// One value for each of `count` outputs; a single number stands for all.
    pub(super) fn vector(&mut self, fields: &Fields, name: &str, count: Option<usize>) -> Option<Tensor> {
        let array = self.optional(fields, name, Self::array::<f64>)?;
        let count = count?;
        if let Some(value) = array.single() {
            return Some(Tensor::vector(vec![value; count]));
        }
        if array.tensor.shape != [count] {
            let message = format!("`{name}` of shape {:?} for {count} outputs", array.tensor.shape);
            self.error(code::SHAPE_MISMATCH, &fields.path(name), fields.span(name), message);
            return None;
        }
        Some(array.tensor)
    }

    /// A parameter of a neuron group; its shape is compared with the others by `shapes`.
    pub(super) fn param<T: Element>(&mut self, fields: &Fields, name: &str, shapes: &mut Shapes) -> Option<Param<T>> {
        let array = self.optional(fields, name, Self::array::<T>)?;
        if array.single().is_none() {
            shapes.given.push((name.to_owned(), array.tensor.shape.clone()));
        }
        Some(array.into_param())
    }

    /// Reports the first value of a parameter that `is_bad`.
    pub(super) fn refuse<T: Copy + std::fmt::Display>(
        &mut self,
        fields: &Fields,
        name: &str,
        param: &Param<T>,
        is_bad: impl Fn(usize, T) -> bool,
        why: &str,
    ) {
        let values = param.values();
        let Some(index) = (0..values.len()).find(|&index| is_bad(index, values[index])) else { return };
        let of = match param {
            Param::Uniform(_) => String::new(),
            Param::PerNeuron(_) => format!(" of neuron {index}"),
        };
        let span = fields.get(name).map_or(fields.anchor, |value| element_span(value, index));
        let message = format!("`{name}`{of} is {}, but {why}", values[index]);
        self.error(code::BAD_PARAMETER, &fields.path(name), span, message);
    }
}

/// The shapes that the parameters of one group were given in.
#[derive(Default)]
pub(super) struct Shapes {
    given: Vec<(String, Vec<usize>)>,
}

impl Shapes {
    /// The shape of the group: that of the field `shape`, or of the first parameter with two dimensions or more. A flat list
    /// fits any shape with as many elements. Reports parameters that do not fit.
    pub(super) fn settle(&self, cx: &mut Context, fields: &Fields, declared: Option<Vec<usize>>) -> Option<Vec<usize>> {
        let named = |(name, shape): &(String, Vec<usize>)| (format!("`{name}`"), shape.clone());
        let reference = match &declared {
            Some(shape) => Some(("the group".to_owned(), shape.clone())),
            None => self.given.iter().find(|(_, shape)| shape.len() > 1).or(self.given.first()).map(named),
        };
        let (owner, reference) = reference?;
        for (name, shape) in &self.given {
            let fits = match shape.len() {
                1 => element_count(&reference) == Some(shape[0]),
                _ => *shape == reference,
            };
            if !fits {
                let message = format!("`{name}` has shape {shape:?}, {owner} {reference:?}");
                let help = "a number without brackets applies to all neurons";
                cx.error(code::SHAPE_MISMATCH, &fields.path(name), fields.span(name), message)
                    .help
                    .push(help.to_owned());
            }
        }
        match declared {
            Some(shape) => Some(shape),
            None => (reference.len() > 1).then_some(reference),
        }
    }
}
