//! Batch normalization, and the layers that prepare inputs: Normalization and Rescaling.

use super::activation::axis_without_batch;
use super::{Context, Made};
use crate::keras::config::Failure;
use crate::keras::values::{Layout, Value};
use snncc_ir::ann::{AnnBatchNorm, AnnOp, AnnTensor};

/// Smallest standard deviation that Normalization divides by: `keras.backend.epsilon()`.
const LEAST_DEVIATION: f64 = 1e-7;

/// BatchNormalization, with its running statistics.
pub(super) fn batch(context: &mut Context<'_, '_>, value: &Value) -> Result<Made, Failure> {
    let config = context.layer.config;
    let rank = value.shape.len();
    let Ok(axis) = config.integer("axis") else {
        return Err(Failure::Unsupported("a BatchNormalization over several axes is not executed".to_owned()));
    };
    let axis = axis_without_batch(axis.unwrap_or(-1), rank)?;
    let (scale, center) = (config.boolean("scale", true), config.boolean("center", true));
    let tensors = context.tensors(2 + usize::from(scale) + usize::from(center))?;
    let channels = value.shape[axis];
    if let Some(tensor) = tensors.iter().find(|tensor| tensor.shape != [channels]) {
        return Err(Failure::Bad(format!(
            "a variable has the shape {:?}, its input of shape {:?} has {channels} channels",
            tensor.shape, value.shape
        )));
    }
    let name = context.name().to_owned();
    let value = match &value.layout {
        Layout::Axes(axes) if axes[0] != axis => {
            let axes: Vec<usize> = [axis].into_iter().chain((0..rank).filter(|d| *d != axis)).collect();
            context.builder.arrange(value, &axes, &name)?
        }
        _ => value.clone(),
    };
    let ordered = |tensor: AnnTensor| match &value.layout {
        Layout::Order(_) => value.spread(&tensor.shape, &tensor.to_values()),
        Layout::Axes(_) => Ok(tensor),
    };
    let mut tensors = tensors.into_iter();
    let mut next = || ordered(tensors.next().expect("bug in snncc: the number of variables was checked"));
    let gamma = if scale { next()? } else { AnnTensor::fill(vec![channels], 1.0) };
    let beta = if center { next()? } else { AnnTensor::fill(vec![channels], 0.0) };
    let (mean, variance) = (next()?, next()?);
    let epsilon = config.number("epsilon")?.unwrap_or(1e-3) as f32;
    let op = AnnOp::BatchNorm(AnnBatchNorm { gamma, beta, mean, variance, epsilon });
    Ok(Made::value(context.builder.push_like(&name, op, &value)?))
}

/// Normalization: `(x − mean) / √variance`, or its inverse, with statistics from the file or the settings.
pub(super) fn input(context: &mut Context<'_, '_>, value: &Value) -> Result<Made, Failure> {
    let config = context.layer.config;
    let rank = value.shape.len();
    // No axis: one mean for all values.
    let axes = config.numbers("axis")?.map(|(_, axes)| axes).unwrap_or_default();
    let mut kept = axes.iter().map(|axis| axis_without_batch(*axis as i64, rank)).collect::<Result<Vec<_>, _>>()?;
    kept.sort_unstable();
    kept.dedup();
    let shape: Vec<usize> = (0..rank).map(|d| if kept.contains(&d) { value.shape[d] } else { 1 }).collect();
    let count: usize = shape.iter().product();
    let (mean, variance) = match (config.numbers("mean")?, config.numbers("variance")?) {
        (Some((_, mean)), Some((_, variance))) => (mean, variance),
        _ => {
            let tensors = context.tensors(2)?;
            let wide = |tensor: &AnnTensor| tensor.iter().map(f64::from).collect::<Vec<f64>>();
            (wide(&tensors[0]), wide(&tensors[1]))
        }
    };
    let all = |values: Vec<f64>| match values.len() {
        1 => Ok(vec![values[0]; count]),
        len if len == count => Ok(values),
        len => Err(Failure::Bad(format!("it has statistics of {len} values, the shape {shape:?} needs {count}"))),
    };
    context.builder.spend(2 * count)?;
    let (mean, variance) = (all(mean)?, all(variance)?);
    let deviation = variance.iter().map(|variance| variance.sqrt().max(LEAST_DEVIATION));
    let pairs = mean.iter().zip(deviation);
    let (scale, shift): (Vec<f32>, Vec<f32>) = match config.boolean("invert", false) {
        true => pairs.map(|(mean, deviation)| (deviation as f32, *mean as f32)).unzip(),
        false => pairs.map(|(mean, deviation)| ((1.0 / deviation) as f32, (-mean / deviation) as f32)).unzip(),
    };
    let op =
        AnnOp::ScaleShift { scale: Some(value.spread(&shape, &scale)?), shift: Some(value.spread(&shape, &shift)?) };
    let name = context.name().to_owned();
    Ok(Made::value(context.builder.push_like(&name, op, value)?))
}

/// `scale · x + offset`
pub(super) fn rescaling(context: &mut Context<'_, '_>, value: &Value) -> Result<Made, Failure> {
    let config = context.layer.config;
    let tensor = |key: &str| -> Result<Option<AnnTensor>, Failure> {
        let Some((shape, values)) = config.numbers(key)? else { return Ok(None) };
        let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
        match values[..] {
            [value] => Ok(Some(AnnTensor::fill(vec![1], value))),
            _ => Ok(Some(value.spread(&shape, &values)?)),
        }
    };
    let op = AnnOp::ScaleShift { scale: tensor("scale")?, shift: tensor("offset")? };
    let name = context.name().to_owned();
    Ok(Made::value(context.builder.push_like(&name, op, value)?))
}
