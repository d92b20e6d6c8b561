//! Layers and operations that join several values: sums, products, maxima, concatenations.

use super::activation::axis_without_batch;
use super::{Context, Made, Operand};
use crate::keras::config::{Failure, MAX_LENGTH};
use crate::keras::values::{Layout, Value, permuted};
use snncc_ir::ann::{AnnOp, AnnTensor};
use std::sync::Arc;

/// How values are joined, element by element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::keras) enum Merge {
    Add,
    Subtract,
    Multiply,
    Divide,
    Maximum,
    Average,
}

/// The way of a class.
pub(super) fn of_class(class: &str) -> Option<Merge> {
    Some(match class {
        "Add" => Merge::Add,
        "Subtract" => Merge::Subtract,
        "Multiply" => Merge::Multiply,
        "Divide" | "TrueDivide" => Merge::Divide,
        "Maximum" => Merge::Maximum,
        "Average" => Merge::Average,
        _ => return None,
    })
}

/// Joins values, or a value and a number.
pub(super) fn merge(context: &mut Context<'_, '_>, merge: Merge, operands: &[Operand]) -> Result<Made, Failure> {
    match operands {
        [Operand::Value(value), Operand::Number(number)] => with_number(context, merge, value, *number, false),
        [Operand::Number(number), Operand::Value(value)] => with_number(context, merge, value, *number, true),
        operands => {
            let values = operands.iter().map(|operand| match operand {
                Operand::Value(value) => Some(value.clone()),
                Operand::Number(_) => None,
            });
            let values: Option<Vec<Value>> = values.collect();
            let enough = if matches!(merge, Merge::Subtract | Merge::Divide) { 2..=2 } else { 1..=usize::MAX };
            match values.filter(|values| enough.contains(&values.len())) {
                Some(values) => of_values(context, merge, values),
                None => Err(Failure::Bad(format!("it is called on {} things, which do not suit it", operands.len()))),
            }
        }
    }
}

/// `number_first`: the number is the left operand.
fn with_number(
    context: &mut Context<'_, '_>,
    merge: Merge,
    value: &Value,
    number: f64,
    number_first: bool,
) -> Result<Made, Failure> {
    let (scale, shift) = match (merge, number_first) {
        (Merge::Add, _) => (1.0, number),
        (Merge::Subtract, false) => (1.0, -number),
        (Merge::Subtract, true) => (-1.0, number),
        (Merge::Multiply, _) => (number, 0.0),
        (Merge::Divide, false) if number != 0.0 => (1.0 / number, 0.0),
        _ => return Err(Failure::Unsupported(format!("{} with a number is not executed", context.layer.class))),
    };
    let tensor = |value: f64, neutral: f64| (value != neutral).then(|| AnnTensor::fill(vec![1], value as f32));
    let op = AnnOp::ScaleShift { scale: tensor(scale, 1.0), shift: tensor(shift, 0.0) };
    let name = context.name().to_owned();
    Ok(Made::value(context.builder.push_like(&name, op, value)?))
}

fn of_values(context: &mut Context<'_, '_>, merge: Merge, values: Vec<Value>) -> Result<Made, Failure> {
    let name = context.name().to_owned();
    let (values, shape) = align(context, values)?;
    let mut nodes = Vec::new();
    for value in &values {
        nodes.push(value.node);
    }
    let count = nodes.len();
    let op = match merge {
        Merge::Add => AnnOp::Sum { coefficients: vec![1.0; count] },
        Merge::Subtract => AnnOp::Sum { coefficients: vec![1.0, -1.0] },
        Merge::Average => AnnOp::Sum { coefficients: vec![1.0 / count as f32; count] },
        Merge::Maximum => AnnOp::Maximum,
        Merge::Divide => return Err(Failure::Unsupported("a quotient of two values is not executed".to_owned())),
        Merge::Multiply => return product(context, values, shape),
    };
    for (node, value) in nodes.iter_mut().zip(&values) {
        *node = repeated(context, value, &shape)?.node;
    }
    let node = context.builder.push(&name, op, nodes, None)?;
    let open = values.iter().find_map(|value| value.open.clone());
    Ok(Made::value(Value { node, shape, layout: values[0].layout.clone(), open }))
}

/// A product of many as products of two. A factor for each channel needs no repeating.
fn product(context: &mut Context<'_, '_>, values: Vec<Value>, shape: Vec<usize>) -> Result<Made, Failure> {
    let name = context.name().to_owned();
    let count = values.len();
    let mut values = values.into_iter();
    let first = values.next().expect("bug in snncc: a product has factors");
    if count == 1 {
        return Ok(Made::value(context.builder.push_like(&name, AnnOp::Identity, &first)?));
    }
    let mut result = first;
    for (index, value) in values.enumerate() {
        let own_name = if index + 2 == count { name.clone() } else { format!("{name}/{index}") };
        let node_shape = |value: &Value| permuted(&value.shape, &value.axes());
        let gates = |gate: &Value, value: &Value| {
            let gate = node_shape(gate);
            gate[0] == node_shape(value)[0] && gate[1..].iter().all(|length| *length == 1)
        };
        let fits = (value.shape == shape && (result.shape == shape || gates(&result, &value)))
            || (result.shape == shape && gates(&value, &result));
        let (left, right) = match fits {
            true => (result, value),
            false => (repeated(context, &result, &shape)?, repeated(context, &value, &shape)?),
        };
        let node = context.builder.push(&own_name, AnnOp::Product, vec![left.node, right.node], None)?;
        let open = left.open.clone().or_else(|| right.open.clone());
        result = Value { node, shape: shape.clone(), layout: left.layout.clone(), open };
    }
    Ok(Made::value(result))
}

/// Brings values to one number of dimensions and one layout, and gives the shape that they broadcast to, in Keras's terms:
/// missing dimensions are put in front.
fn align(context: &mut Context<'_, '_>, values: Vec<Value>) -> Result<(Vec<Value>, Vec<usize>), Failure> {
    let name = context.name().to_owned();
    let rank = values.iter().map(|value| value.shape.len()).max().unwrap_or(0);
    let mut shape = vec![1_usize; rank];
    for value in &values {
        for (length, own) in shape[rank - value.shape.len()..].iter_mut().zip(&value.shape) {
            if *length != 1 && *own != 1 && length != own {
                let shapes: Vec<&[usize]> = values.iter().map(|value| &value.shape[..]).collect();
                return Err(Failure::Bad(format!("values of the shapes {shapes:?} cannot be joined")));
            }
            *length = (*length).max(*own);
        }
    }
    let one_layout = values.iter().all(|value| value.layout == values[0].layout && value.shape == values[0].shape);
    if one_layout {
        return Ok((values, shape));
    }
    let full = values.iter().find(|value| value.shape.len() == rank).expect("bug in snncc: the largest rank is taken");
    let axes = full.axes();
    let mut aligned = Vec::new();
    for value in values {
        let missing = rank - value.shape.len();
        let value = match missing {
            0 => value,
            _ => {
                let value = context.builder.in_keras_order(&value, &name)?;
                let shape = [&vec![1; missing][..], &value.shape[..]].concat();
                let target = Some(shape.clone());
                let reshape_name = format!("{name}/reshape");
                let node = context.builder.push(&reshape_name, AnnOp::Reshape, vec![value.node], target)?;
                value.made(node, shape, (0..rank).collect())
            }
        };
        aligned.push(context.builder.arrange(&value, &axes, &name)?);
    }
    Ok((aligned, shape))
}

/// The value with dimensions of length 1 repeated to a shape.
fn repeated(context: &mut Context<'_, '_>, value: &Value, shape: &[usize]) -> Result<Value, Failure> {
    if value.shape == shape {
        return Ok(value.clone());
    }
    let axes = value.axes();
    let (from, to) = (permuted(&value.shape, &axes), permuted(shape, &axes));
    for length in &to {
        context.builder.spend(*length)?;
    }
    let along = |(from, to): (&usize, &usize)| if from == to { (0..*to).collect() } else { vec![0; *to] };
    let indices = from.iter().zip(&to).map(along).collect();
    let name = format!("{}/repeat", context.name());
    let node = context.builder.push(&name, AnnOp::Resample { indices }, vec![value.node], None)?;
    Ok(value.made(node, shape.to_vec(), axes))
}

/// Values one after the other. Flattened values keep their order, one order behind the other.
pub(super) fn concatenate(context: &mut Context<'_, '_>, values: &[Value]) -> Result<Made, Failure> {
    let name = context.name().to_owned();
    let rank = values[0].shape.len();
    let axis = axis_without_batch(context.layer.config.integer("axis")?.unwrap_or(-1), rank)?;
    let fits = |value: &&Value| {
        value.shape.len() == rank && (0..rank).all(|d| d == axis || value.shape[d] == values[0].shape[d])
    };
    if !values.iter().all(|value| fits(&value)) {
        let shapes: Vec<&[usize]> = values.iter().map(|value| &value.shape[..]).collect();
        return Err(Failure::Bad(format!("values of the shapes {shapes:?} cannot follow each other along {axis}")));
    }
    let open = values.iter().find_map(|value| value.open.clone());
    let total: usize = values.iter().map(|value| value.shape[axis]).sum();
    if total > MAX_LENGTH {
        return Err(Failure::Bad(format!("{total} elements one after the other are too many")));
    }
    let mut shape = values[0].shape.clone();
    shape[axis] = total;
    if values.iter().any(|value| matches!(value.layout, Layout::Order(_))) {
        context.builder.spend(total)?;
        let mut order: Vec<u32> = Vec::with_capacity(total);
        for value in values {
            let start = order.len() as u32;
            match &value.layout {
                Layout::Order(own) => order.extend(own.iter().map(|index| start + index)),
                Layout::Axes(_) => order.extend(start..start + value.shape[0] as u32),
            }
        }
        let nodes = values.iter().map(|value| value.node).collect();
        let node = context.builder.push(&name, AnnOp::Concat { axis: 0 }, nodes, None)?;
        return Ok(Made::value(Value { node, shape, layout: Layout::Order(Arc::from(order)), open }));
    }
    let axes = values[0].axes();
    let mut nodes = Vec::new();
    for value in values {
        nodes.push(context.builder.arrange(value, &axes, &name)?.node);
    }
    let op = AnnOp::Concat { axis: values[0].node_axis(axis) };
    let node = context.builder.push(&name, op, nodes, None)?;
    Ok(Made::value(Value { node, shape, layout: Layout::Axes(axes), open }))
}
