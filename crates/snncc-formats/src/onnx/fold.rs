//! Operators whose inputs are all constants.

use super::constant::{BATCH, Constant, Integers, computes_with_batch, mapped, product, zip_floats, zip_integers};
use super::graph::{Call, Reader};
use super::node::{Reading, axis, broken, unsupported};
use super::tensor;
use snncc_ir::ann::{Activation, AnnTensor};

impl Reader<'_, '_> {
    /// The result; `None` for operators that are not worked out.
    pub(super) fn fold(&mut self, call: &Call) -> Reading<Option<Constant>> {
        let node = call.node;
        let result = match node.kind.as_str() {
            "Identity" | "Dropout" => call.constant(0)?.clone(),
            "Cast" => {
                let to = i32::try_from(node.int("to", 0)?).unwrap_or(0);
                let x = call.constant(0)?;
                match (tensor::is_float(to), to) {
                    (true, _) => Constant::Floats(x.to_floats(&mut self.budget)?),
                    (false, tensor::element::STRING) => return unsupported("it casts numbers to texts"),
                    (false, tensor::element::BOOL) => {
                        let integers = match x {
                            Constant::Floats(tensor) => {
                                let truth =
                                    mapped(tensor, &mut self.budget, |value| f32::from(u8::from(value != 0.0)))?;
                                Constant::Floats(truth).to_integers(&mut self.budget)?
                            }
                            Constant::Integers(integers) => integers.clone(),
                        };
                        let truth = integers.values.iter().map(|value| i64::from(*value != 0)).collect();
                        Constant::Integers(Integers { shape: integers.shape, values: truth })
                    }
                    _ => Constant::Integers(x.to_integers(&mut self.budget)?),
                }
            }
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" | "Equal" => self.fold_pair(call)?,
            "Sum" => {
                let mut sum = call.constant(0)?.to_floats(&mut self.budget)?;
                for index in 1..call.inputs.len() {
                    let next = call.constant(index)?.to_floats(&mut self.budget)?;
                    sum = zip_floats(&sum, &next, &mut self.budget, |a, b| a + b)?;
                }
                Constant::Floats(sum)
            }
            "Where" => self.fold_where(call)?,
            "Neg" => match call.constant(0)? {
                Constant::Integers(integers) if integers.values.contains(&BATCH) => return computes_with_batch(),
                Constant::Integers(integers) => {
                    let values = integers.values.iter().map(|value| value.saturating_neg().max(BATCH + 1)).collect();
                    Constant::Integers(Integers { shape: integers.shape.clone(), values })
                }
                Constant::Floats(tensor) => Constant::Floats(mapped(tensor, &mut self.budget, |value| -value)?),
            },
            "Sqrt" => self.fold_each(call, f32::sqrt)?,
            "Exp" => self.fold_each(call, f32::exp)?,
            "Log" => self.fold_each(call, f32::ln)?,
            "Reciprocal" => self.fold_each(call, |value| 1.0 / value)?,
            "Floor" => self.fold_each(call, f32::floor)?,
            "Ceil" => self.fold_each(call, f32::ceil)?,
            "Round" => self.fold_each(call, f32::round_ties_even)?,
            "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL2" | "ReduceSumSquare" => {
                self.fold_reduction(call)?
            }
            "Range" => self.fold_range(call)?,
            "Clip" => {
                let (min, max) = self.clip_bounds(call)?;
                let (min, max) = (min.unwrap_or(f32::NEG_INFINITY), max.unwrap_or(f32::INFINITY));
                self.fold_activation(call, &Activation::Clip { min, max })?
            }
            "DequantizeLinear" => self.fold_dequantize(call)?,
            _ => match self.activation(call)? {
                Some(activation) => self.fold_activation(call, &activation)?,
                None => return Ok(None),
            },
        };
        Ok(Some(result))
    }

    fn fold_activation(&mut self, call: &Call, activation: &Activation) -> Reading<Constant> {
        self.fold_each(call, |value| activation.value(value.into(), 0.0) as f32)
    }

    fn fold_each(&mut self, call: &Call, f: impl Fn(f32) -> f32) -> Reading<Constant> {
        let x = call.constant(0)?.to_floats(&mut self.budget)?;
        Ok(Constant::Floats(mapped(&x, &mut self.budget, f)?))
    }

    fn fold_pair(&mut self, call: &Call) -> Reading<Constant> {
        let kind = call.node.kind.as_str();
        let (a, b) = (call.constant(0)?, call.constant(1)?);
        if call.inputs.len() != 2 {
            return unsupported("more than two constants are not worked out; fold constants first (onnxsim does)");
        }
        if let (Constant::Integers(a), Constant::Integers(b)) = (a, b) {
            return Ok(Constant::Integers(zip_integers(a, b, &mut self.budget, |a, b| integer_pair(kind, a, b))?));
        }
        let (a, b) = (a.to_floats(&mut self.budget)?, b.to_floats(&mut self.budget)?);
        let f: fn(f32, f32) -> f32 = match kind {
            "Add" => |a, b| a + b,
            "Sub" => |a, b| a - b,
            "Mul" => |a, b| a * b,
            "Div" => |a, b| a / b,
            "Pow" => f32::powf,
            "Max" => f32::max,
            "Min" => f32::min,
            _ => |a, b| f32::from(u8::from(a == b)),
        };
        let result = Constant::Floats(zip_floats(&a, &b, &mut self.budget, f)?);
        match kind {
            "Equal" => Ok(Constant::Integers(result.to_integers(&mut self.budget)?)),
            _ => Ok(result),
        }
    }

    fn fold_where(&mut self, call: &Call) -> Reading<Constant> {
        let condition = call.constant(0)?.to_integers(&mut self.budget)?;
        let (a, b) = (call.constant(1)?, call.constant(2)?);
        let shape = super::constant::broadcast_shape(&condition.shape, a.shape())?;
        let shape = super::constant::broadcast_shape(&shape, b.shape())?;
        if condition.values.contains(&BATCH) {
            return computes_with_batch();
        }
        self.budget.take(&shape)?;
        let choose = Constant::Integers(condition).broadcast(&shape, &mut self.budget)?;
        let (a, b) = (a.broadcast(&shape, &mut self.budget)?, b.broadcast(&shape, &mut self.budget)?);
        match (choose, a, b) {
            (Constant::Integers(choose), Constant::Integers(a), Constant::Integers(b)) => {
                let picked =
                    (0..choose.values.len()).map(|k| if choose.values[k] != 0 { a.values[k] } else { b.values[k] });
                Ok(Constant::Integers(Integers { shape, values: picked.collect() }))
            }
            (Constant::Integers(choose), a, b) => {
                let (a, b) = (a.to_floats(&mut self.budget)?, b.to_floats(&mut self.budget)?);
                let picked = (0..choose.values.len()).map(|k| if choose.values[k] != 0 { a.get(k) } else { b.get(k) });
                Ok(Constant::Floats(AnnTensor::new(shape, picked.collect::<Vec<_>>())))
            }
            _ => unreachable!("bug in snncc: integers stay integers"),
        }
    }

    fn fold_range(&mut self, call: &Call) -> Reading<Constant> {
        let number = |index: usize| -> Reading<i64> {
            match call.constant(index)? {
                Constant::Integers(integers) if integers.values.len() == 1 => Ok(integers.values[0]),
                other => unsupported(format!("a range of numbers of shape {:?} is not worked out", other.shape())),
            }
        };
        let (start, limit, step) = (number(0)?, number(1)?, number(2)?);
        if [start, limit, step].contains(&BATCH) {
            return computes_with_batch();
        }
        if step == 0 {
            return broken("the step of a range is 0");
        }
        let span = i128::from(limit) - i128::from(start);
        let count = if (span > 0) == (step > 0) { span.unsigned_abs().div_ceil(step.unsigned_abs().into()) } else { 0 };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.budget.take(&[count])?;
        let values: Vec<i64> = (0..count as i64).map(|k| start.wrapping_add(k.wrapping_mul(step))).collect();
        Ok(Constant::Integers(Integers::vector(values)))
    }

    /// Reductions, in `f64`: the reduced dimensions are put last.
    fn fold_reduction(&mut self, call: &Call) -> Reading<Constant> {
        let x = call.constant(0)?;
        let rank = x.shape().len();
        let is_integer = matches!(x, Constant::Integers(_));
        let axes = match self.axes(call, 1)? {
            Some(axes) => axes,
            None if call.node.flag("noop_with_empty_axes", false)? => return Ok(x.clone()),
            None => (0..rank as i64).collect(),
        };
        let mut goes = vec![false; rank];
        axes.into_iter().try_for_each(|value| axis(value, rank).map(|d| goes[d] = true))?;
        let keep = call.node.flag("keepdims", true)?;
        let shape: Vec<usize> =
            (0..rank).filter(|d| keep || !goes[*d]).map(|d| if goes[d] { 1 } else { x.shape()[d] }).collect();
        let permutation: Vec<usize> = (0..rank).filter(|d| !goes[*d]).chain((0..rank).filter(|d| goes[*d])).collect();
        let lengths: Vec<usize> = (0..rank).filter(|d| goes[*d]).map(|d| x.shape()[d]).collect();
        let count = product(&lengths);
        if count == 0 {
            return broken("it reduces no elements");
        }
        let turned = x.transposed(&permutation, &mut self.budget)?.to_floats(&mut self.budget)?;
        self.budget.take(&turned.shape)?;
        let values = turned.to_values();
        let reduce: fn(&[f32]) -> f64 = match call.node.kind.as_str() {
            "ReduceSum" => |row| row.iter().map(|v| f64::from(*v)).sum(),
            "ReduceMean" => |row| row.iter().map(|v| f64::from(*v)).sum::<f64>() / row.len() as f64,
            "ReduceMax" => |row| row.iter().map(|v| f64::from(*v)).fold(f64::NEG_INFINITY, f64::max),
            "ReduceMin" => |row| row.iter().map(|v| f64::from(*v)).fold(f64::INFINITY, f64::min),
            "ReduceProd" => |row| row.iter().map(|v| f64::from(*v)).product(),
            "ReduceL2" => |row| row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt(),
            _ => |row| row.iter().map(|v| f64::from(*v).powi(2)).sum(),
        };
        let reduced: Vec<f32> = values.chunks_exact(count).map(|row| reduce(row) as f32).collect();
        let result = Constant::Floats(AnnTensor::new(shape, reduced));
        if is_integer { Ok(Constant::Integers(result.to_integers(&mut self.budget)?)) } else { Ok(result) }
    }

    /// `(x − zero point) · scale`, with one scale or one per position of `axis`.
    fn fold_dequantize(&mut self, call: &Call) -> Reading<Constant> {
        if call.node.int("block_size", 0)? != 0 {
            return unsupported("scales by blocks are not supported; export the model without quantization");
        }
        let x = call.constant(0)?.to_floats(&mut self.budget)?;
        let scale = call.constant(1)?.to_floats(&mut self.budget)?;
        let zero = call.optional_constant(2)?.map(|zero| zero.to_floats(&mut self.budget)).transpose()?;
        // One per channel: along a dimension of its own.
        let along = |tensor: AnnTensor| -> Reading<AnnTensor> {
            if tensor.shape.len() != 1 || tensor.len() == 1 {
                let shape = if tensor.len() == 1 { Vec::new() } else { tensor.shape.clone() };
                return Ok(tensor.reshaped(shape));
            }
            let d = axis(call.node.int("axis", 1)?, x.shape.len())?;
            let shape = (0..x.shape.len()).map(|other| if other == d { tensor.len() } else { 1 }).collect();
            Ok(tensor.reshaped(shape))
        };
        let centred = match zero {
            None => x.clone(),
            Some(zero) => zip_floats(&x, &along(zero)?, &mut self.budget, |x, zero| x - zero)?,
        };
        let result = zip_floats(&centred, &along(scale)?, &mut self.budget, |x, scale| x * scale)?;
        match result.shape == x.shape {
            true => Ok(Constant::Floats(result)),
            false => broken(format!("its scales do not fit a tensor of shape {:?}", x.shape)),
        }
    }
}

/// Arithmetic of shapes. The batch may pass through operations that do not change it.
fn integer_pair(kind: &str, a: i64, b: i64) -> Reading<i64> {
    if a == BATCH || b == BATCH {
        return match (kind, a, b) {
            ("Mul", BATCH, 1) | ("Mul", 1, BATCH) | ("Add", BATCH, 0) | ("Add", 0, BATCH) => Ok(BATCH),
            ("Div", BATCH, 1) | ("Sub", BATCH, 0) => Ok(BATCH),
            // A number of samples is at least 1.
            ("Equal", BATCH, other) | ("Equal", other, BATCH) if other != BATCH && other < 1 => Ok(0),
            ("Equal", BATCH, BATCH) => Ok(1),
            _ => computes_with_batch(),
        };
    }
    let result = match kind {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        "Div" => a.checked_div(b),
        "Pow" => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        "Max" => Some(a.max(b)),
        "Min" => Some(a.min(b)),
        _ => Some(i64::from(a == b)),
    };
    match result {
        Some(result) if result > BATCH => Ok(result),
        _ => broken(format!("{kind} of {a} and {b} is not a number")),
    }
}
