//! Operators that take values at fixed positions: slices, look-ups, copies and padding.

use super::constant::{BATCH, FREE_VALUES, Positions, computes_with_batch};
use super::graph::{Batch, Call, Live, Reader, Value};
use super::node::{MAX_LENGTH, Reading, axis, broken, length, unsupported};
use snncc_ir::ann::AnnOp;

impl Reader<'_, '_> {
    /// The values at these positions along every dimension of the file's shape.
    pub(super) fn select(&mut self, call: &Call, positions: Vec<Positions>) -> Reading<Value> {
        let x = match call.value(0)? {
            Value::Constant(constant) => return Ok(Value::Constant(constant.select(&positions, &mut self.budget)?)),
            Value::Live(live) => *live,
            Value::Told => return Err(super::node::Trouble::Told),
        };
        let own = match (x.batch.is_some(), &positions[..]) {
            (true, [Positions::All, own @ ..]) => own,
            (true, _) => return unsupported("it picks samples of the batch; each sample must stay on its own"),
            (false, own) => own,
        };
        let shape: Vec<usize> = self.shape(x).iter().zip(own).map(|(length, p)| p.count(*length)).collect();
        if shape.contains(&0) {
            return broken("it selects nothing");
        }
        if own.iter().all(|positions| *positions == Positions::All) {
            return self.layer_of(call, AnnOp::Identity, &[x], None).map(Value::Live);
        }
        if own.iter().any(|positions| matches!(positions, Positions::List(_))) {
            return self.resample(call, x, own).map(Value::Live);
        }
        let range = |positions: &Positions| match positions {
            Positions::Range { start, step, .. } => (*start, *step),
            _ => (0, 1),
        };
        let (starts, steps) = own.iter().map(range).unzip();
        self.layer_of(call, AnnOp::Slice { starts, steps }, &[x], Some(shape)).map(Value::Live)
    }

    /// A layer that takes these positions along every dimension but the batch.
    pub(super) fn resample(&mut self, call: &Call, x: Live, own: &[Positions]) -> Reading<Live> {
        let mut indices = Vec::with_capacity(own.len());
        for (positions, length) in own.iter().zip(self.shape(x).to_vec()) {
            self.budget.take(&[positions.count(length)])?;
            indices.push(positions.list(length));
        }
        self.layer_of(call, AnnOp::Resample { indices }, &[x], None)
    }

    pub(super) fn slice(&mut self, call: &Call) -> Reading<Value> {
        let full = self.full_shape(call.value(0)?)?;
        let starts = self.list(call, "starts", 1)?.unwrap_or_default();
        let ends = self.list(call, "ends", 2)?.unwrap_or_default();
        let axes = self.list(call, "axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = match call.optional(4) {
            Some(_) => self.integers(call, 4, "steps")?.values.to_vec(),
            None => vec![1; starts.len()],
        };
        if [ends.len(), axes.len(), steps.len()].iter().any(|length| *length != starts.len()) {
            return broken("`starts`, `ends`, `axes` and `steps` differ in length");
        }
        let mut positions = vec![Positions::All; full.len()];
        for (index, value) in axes.into_iter().enumerate() {
            let d = axis(value, full.len())?;
            let (start, end, step) = (starts[index], ends[index], steps[index]);
            positions[d] = match full[d] {
                None if start == 0 && step == 1 && (end == BATCH || end >= i64::from(i32::MAX)) => Positions::All,
                None => return unsupported("it picks samples of the batch; each sample must stay on its own"),
                Some(length) if end == BATCH && start == 0 && step == 1 && d == 0 && length > 0 => Positions::All,
                Some(_) if start == BATCH || end == BATCH || step == BATCH => return computes_with_batch(),
                Some(length) => range(start, end, step, length, &mut self.budget)?,
            };
        }
        self.select(call, positions)
    }

    pub(super) fn gather(&mut self, call: &Call) -> Reading<Value> {
        if matches!(call.value(1)?, Value::Live(_)) {
            return unsupported(
                "it looks values up by computed indices, as an embedding does; cut the model behind it",
            );
        }
        let full = self.full_shape(call.value(0)?)?;
        let d = axis(call.node.int("axis", 0)?, full.len())?;
        let indices = self.integers(call, 1, "indices")?;
        if indices.values.contains(&BATCH) {
            return computes_with_batch();
        }
        let Some(length) = full[d] else { return unsupported("it picks samples of the batch") };
        let index = |value: &i64| axis(*value, length);
        let list: Vec<usize> = indices.values.iter().map(index).collect::<Reading<_>>()?;
        let is_batch = d == 0 && matches!(call.value(0)?, Value::Live(live) if live.batch.is_some());
        if is_batch {
            // One sample: its only one, without the dimension of the batch.
            let x = call.live(0)?;
            return match (x.batch, &indices.shape[..]) {
                (Batch::Fixed(1), []) => {
                    let shape = self.shape(x).to_vec();
                    self.reshaped(call, x, shape, Batch::None).map(Value::Live)
                }
                _ => unsupported("it picks samples of the batch; each sample must stay on its own"),
            };
        }
        self.budget.take(&[list.len()])?;
        let mut positions = vec![Positions::All; full.len()];
        positions[d] = Positions::of(list);
        let picked = self.select(call, positions)?;
        if indices.shape.len() == 1 {
            return Ok(picked);
        }
        let replaced = |shape: &[usize], d: usize| [&shape[..d], &indices.shape[..], &shape[d + 1..]].concat();
        match picked {
            Value::Constant(constant) => {
                let shape = replaced(constant.shape(), d);
                Ok(Value::Constant(constant.reshaped(shape)))
            }
            Value::Live(y) => {
                let shape = replaced(self.shape(y), d - usize::from(y.batch.is_some()));
                let z = self.helper(call, "reshape", AnnOp::Reshape, &[y], Some(shape))?;
                Ok(Value::Live(z))
            }
            told => Ok(told),
        }
    }

    pub(super) fn split(&mut self, call: &Call) -> Reading<Vec<Value>> {
        let full = self.full_shape(call.value(0)?)?;
        let d = axis(call.node.int("axis", 0)?, full.len())?;
        let Some(total) = full[d] else { return unsupported("it splits the batch; each sample must stay on its own") };
        let count = call.node.outputs.len();
        let sizes: Vec<usize> = match self.list(call, "split", 1)? {
            Some(sizes) => sizes.iter().map(|size| self.known_length(*size)).collect::<Reading<_>>()?,
            None => {
                let parts = length("num_outputs", call.node.int("num_outputs", count as i64)?, 1)?;
                if parts != count {
                    return broken(format!("`num_outputs` is {parts}, but there are {count} outputs"));
                }
                let size = total.div_ceil(parts);
                (0..parts).map(|part| size.min(total.saturating_sub(part * size))).collect()
            }
        };
        let sum = sizes.iter().try_fold(0_usize, |sum, size| sum.checked_add(*size));
        if sizes.len() != count || sum != Some(total) || sizes.contains(&0) {
            return broken(format!("{count} parts of sizes {sizes:?} do not make dimension {d} of length {total}"));
        }
        let mut start = 0;
        let mut parts = Vec::with_capacity(count);
        for size in sizes {
            let mut positions = vec![Positions::All; full.len()];
            positions[d] = Positions::Range { start, step: 1, count: size };
            start += size;
            parts.push(self.select(call, positions)?);
        }
        Ok(parts)
    }

    pub(super) fn expand(&mut self, call: &Call) -> Reading<Value> {
        let target = self.integers(call, 1, "shape")?.values;
        let x = match call.value(0)? {
            Value::Constant(constant) => {
                let target: Vec<usize> =
                    target.iter().map(|value| self.known_length(*value)).collect::<Reading<_>>()?;
                let shape = super::constant::broadcast_shape(constant.shape(), &target)?;
                return Ok(Value::Constant(constant.broadcast(&shape, &mut self.budget)?));
            }
            Value::Live(live) => *live,
            Value::Told => return Err(super::node::Trouble::Told),
        };
        let rank = self.shape(x).len();
        let own = &target[target.len().saturating_sub(rank)..];
        let front = &target[..target.len() - own.len()];
        let keeps = match (front, x.batch) {
            ([], _) => true,
            ([first], batch) if batch.is_some() => {
                *first == BATCH || *first == 1 || usize::try_from(*first).is_ok_and(|size| batch == Batch::Fixed(size))
            }
            _ => false,
        };
        if !keeps {
            return unsupported("it adds dimensions before the batch or repeats samples");
        }
        let own: Vec<usize> = own.iter().map(|value| self.known_length(*value)).collect::<Reading<_>>()?;
        let shape = super::constant::broadcast_shape(self.shape(x), &own)?;
        let positions: Vec<Positions> = self
            .shape(x)
            .iter()
            .zip(&shape)
            .map(|(from, to)| if from == to { Ok(Positions::All) } else { self.copies(1, *to) })
            .collect::<Reading<_>>()?;
        if shape.as_slice() == self.shape(x) {
            return self.layer_of(call, AnnOp::Identity, &[x], None).map(Value::Live);
        }
        self.resample(call, x, &positions).map(Value::Live)
    }

    /// The positions of a dimension of this length, `repeats` times.
    fn copies(&self, length: usize, repeats: usize) -> Reading<Positions> {
        match length.checked_mul(repeats).filter(|count| *count <= MAX_LENGTH.min(FREE_VALUES)) {
            Some(count) => Ok(Positions::List((0..count).map(|k| k % length).collect())),
            None => broken(format!("{length} values cannot be repeated {repeats} times")),
        }
    }

    pub(super) fn tile(&mut self, call: &Call) -> Reading<Value> {
        let full = self.full_shape(call.value(0)?)?;
        let repeats = self.integers(call, 1, "repeats")?.values;
        if repeats.len() != full.len() {
            return broken(format!("{} repeats are given for {} dimensions", repeats.len(), full.len()));
        }
        let mut positions = Vec::with_capacity(full.len());
        for (length, repeats) in full.iter().zip(repeats.iter()) {
            positions.push(match (length, self.known_length(*repeats)?) {
                (_, 1) => Positions::All,
                (Some(length), repeats) => {
                    self.budget.take(&[*length, repeats])?;
                    self.copies(*length, repeats)?
                }
                (None, _) => return unsupported("it repeats samples of the batch"),
            });
        }
        self.select(call, positions)
    }

    pub(super) fn pad(&mut self, call: &Call) -> Reading<Value> {
        let x = call.live(0)?;
        let full = self.full_shape(call.value(0)?)?;
        let Some(pads) = self.list(call, "pads", 1)? else { return broken("`pads` is missing") };
        let value = match call.optional(2).is_some() {
            true => {
                let tensor = self.parameter(call, 2, "value")?;
                match super::constant::uniform(&tensor) {
                    Some(value) => value,
                    None => return broken(format!("the value has shape {:?}; it must be one number", tensor.shape)),
                }
            }
            false => call.node.float("value", 0.0)?,
        };
        let axes: Vec<usize> = match call.optional(3) {
            Some(_) => {
                let axes = self.integers(call, 3, "axes")?;
                axes.values.iter().map(|value| axis(*value, full.len())).collect::<Reading<_>>()?
            }
            None => (0..full.len()).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return broken(format!("`pads` is {pads:?}, for {} dimensions", axes.len()));
        }
        let mut amounts = vec![(0_i64, 0_i64); full.len()];
        for (index, d) in axes.iter().enumerate() {
            amounts[*d] = (pads[index], pads[index + axes.len()]);
        }
        let limit = MAX_LENGTH as i64;
        if amounts.iter().any(|(before, after)| !(-limit..=limit).contains(before) || !(-limit..=limit).contains(after))
        {
            return broken(format!("`pads` {pads:?} is too large"));
        }
        let offset = usize::from(x.batch.is_some());
        if offset == 1 && amounts[0] != (0, 0) {
            return unsupported("it pads the batch");
        }
        let amounts = &amounts[offset..];
        let own = self.shape(x).to_vec();
        match call.node.text("mode", "constant")? {
            "constant" => {}
            mode @ ("edge" | "reflect" | "wrap") => {
                let positions: Vec<Positions> = own
                    .iter()
                    .zip(amounts)
                    .map(|(length, amounts)| continued(mode, *length, *amounts))
                    .collect::<Reading<_>>()?;
                return self.resample(call, x, &positions).map(Value::Live);
            }
            other => return unsupported(format!("padding of mode `{other}` is not supported; use constant padding")),
        }
        // Negative padding cuts off.
        let cut = |amount: i64| amount.min(0).unsigned_abs() as usize;
        let mut y = x;
        if amounts.iter().any(|(before, after)| *before < 0 || *after < 0) {
            let rest = |(length, (before, after)): (&usize, &(i64, i64))| {
                length.checked_sub(cut(*before))?.checked_sub(cut(*after)).filter(|length| *length > 0)
            };
            let Some(shape) = own.iter().zip(amounts).map(rest).collect::<Option<Vec<_>>>() else {
                return broken(format!("`pads` {pads:?} cuts off all of {own:?}"));
            };
            let starts = amounts.iter().map(|(before, _)| cut(*before)).collect();
            let slice = AnnOp::Slice { starts, steps: vec![1; own.len()] };
            y = self.helper(call, "cut", slice, &[x], Some(shape))?;
        }
        let added = |amount: i64| amount.max(0) as usize;
        let before = amounts.iter().map(|(before, _)| added(*before)).collect();
        let after = amounts.iter().map(|(_, after)| added(*after)).collect();
        self.layer_of(call, AnnOp::Pad { before, after, value }, &[y], None).map(Value::Live)
    }
}

/// Positions `start`, `start + step`, … before `end`, counted from the end where negative, as the operator defines.
fn range(start: i64, end: i64, step: i64, length: usize, budget: &mut super::constant::Budget) -> Reading<Positions> {
    if step == 0 {
        return broken("a step is 0");
    }
    if length == 0 {
        return Ok(Positions::All);
    }
    let Ok(signed) = i64::try_from(length) else { return broken("a dimension is too long") };
    let from_start = |value: i64| if value < 0 { value.saturating_add(signed) } else { value };
    let (low, high) = if step > 0 { (0, signed) } else { (-1, signed - 1) };
    let (start, end) = (from_start(start).clamp(low.max(0), high.max(0)), from_start(end).clamp(low, high));
    let span = if step > 0 { end - start } else { start - end };
    let distance = step.unsigned_abs();
    let count = span.max(0).unsigned_abs().div_ceil(distance) as usize;
    match (step, start, count) {
        (1, 0, count) if count == length => Ok(Positions::All),
        (1.., start, count) => {
            // A step beyond the dimension is taken once at most.
            let step = (distance as usize).min(length);
            Ok(Positions::Range { start: start as usize, step, count })
        }
        _ => {
            budget.take(&[count])?;
            Ok(Positions::List((0..count).map(|k| start as usize - k * distance as usize).collect()))
        }
    }
}

/// Positions that go on beyond the ends of a dimension.
fn continued(mode: &str, length: usize, (before, after): (i64, i64)) -> Reading<Positions> {
    let limit = match mode {
        "reflect" => length - 1,
        "wrap" => length,
        _ => FREE_VALUES,
    } as i64;
    if before > limit || after > limit {
        return broken(format!(
            "padding {before} and {after} of mode {mode} does not suit a dimension of length {length}"
        ));
    }
    let signed = length as i64;
    if signed + before + after <= 0 || signed > FREE_VALUES as i64 {
        return broken(format!("padding {before} and {after} does not suit a dimension of length {length}"));
    }
    let position = |k: i64| match mode {
        "edge" => k.clamp(0, signed - 1),
        "wrap" => k.rem_euclid(signed),
        _ if k < 0 => -k,
        _ if k >= signed => 2 * (signed - 1) - k,
        _ => k,
    };
    let list: Vec<usize> = (-before..signed + after).map(|k| position(k) as usize).collect();
    Ok(if (before, after) == (0, 0) { Positions::All } else { Positions::of(list) })
}

#[cfg(test)]
mod tests {
    use super::super::constant::Budget;
    use super::*;

    #[test]
    fn slices_count_from_both_ends() {
        let of = |start, end, step| range(start, end, step, 5, &mut Budget::new(0)).unwrap();
        assert_eq!(of(0, i64::MAX, 1), Positions::All);
        assert_eq!(of(-4, -1, 2), Positions::Range { start: 1, step: 2, count: 2 });
        assert_eq!(of(1, 9, 100), Positions::Range { start: 1, step: 5, count: 1 });
        assert_eq!(of(-1, i64::MIN + 1, -2), Positions::List(vec![4, 2, 0]));
        assert_eq!(of(3, 1, 1), Positions::Range { start: 3, step: 1, count: 0 });
        assert_eq!(of(9, 0, -1), Positions::List(vec![4, 3, 2, 1]));
        assert!(range(0, 1, 0, 5, &mut Budget::new(0)).is_err());
    }

    #[test]
    fn padding_continues_a_dimension() {
        let of = |mode, amounts| continued(mode, 4, amounts).unwrap().list(4);
        assert_eq!(of("reflect", (2, 1)), [2, 1, 0, 1, 2, 3, 2]);
        assert_eq!(of("edge", (1, 2)), [0, 0, 1, 2, 3, 3, 3]);
        assert_eq!(of("wrap", (1, -1)), [3, 0, 1, 2]);
        assert!(continued("reflect", 4, (4, 0)).is_err());
    }
}
