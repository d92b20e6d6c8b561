//! Operators about shapes: on constants they are worked out, on values they become layers. Those that pick values by position
//! are in `select`.
//!
//! Dimensions are counted as the file does, with the batch in front; the batch must stay there, whole.

use super::constant::{BATCH, Constant, Integers, computes_with_batch, product};
use super::graph::{Batch, Call, Live, Reader, Value};
use super::node::{Reading, axis, broken, length, unsupported};
use super::tensor;
use snncc_ir::ann::{AnnOp, AnnTensor, element_count};

const MIXES: &str = "it moves values between samples of the batch; each sample must stay on its own";

impl Reader<'_, '_> {
    /// The values of a node of this file's kinds; `None` for others.
    pub(super) fn shape_operator(&mut self, call: &Call) -> Reading<Option<Vec<Value>>> {
        let values = match call.node.kind.as_str() {
            "Constant" => vec![Value::Constant(self.constant_node(call)?)],
            "ConstantOfShape" => vec![Value::Constant(self.constant_of_shape(call)?)],
            "Shape" => vec![Value::Constant(Constant::Integers(self.shape_of(call)?))],
            "Size" => vec![Value::Constant(Constant::Integers(self.size_of(call)?))],
            "Reshape" => vec![self.reshape(call)?],
            "Flatten" => vec![self.flatten(call)?],
            "Squeeze" => vec![self.squeeze(call)?],
            "Unsqueeze" => vec![self.unsqueeze(call)?],
            "Transpose" => vec![self.transpose(call)?],
            "Slice" => vec![self.slice(call)?],
            "Gather" => vec![self.gather(call)?],
            "Split" => self.split(call)?,
            "Concat" => vec![self.concat(call)?],
            "Expand" => vec![self.expand(call)?],
            "Tile" => vec![self.tile(call)?],
            "Pad" if !call.all_constant() => vec![self.pad(call)?],
            "DepthToSpace" | "SpaceToDepth" if !call.all_constant() => vec![self.depth_and_space(call)?],
            _ => return Ok(None),
        };
        Ok(Some(values))
    }

    fn constant_node(&mut self, call: &Call) -> Reading<Constant> {
        let node = call.node;
        if let Some(bytes) = node.tensor("value")? {
            let stored = tensor::decode(bytes)?;
            return tensor::constant(&stored, self.external, &mut self.external_left);
        }
        if node.has("sparse_value") {
            return broken("its value is a sparse tensor, which snncc does not read");
        }
        if node.has("value_float") {
            return Ok(Constant::Floats(AnnTensor::fill(Vec::new(), node.float("value_float", 0.0)?)));
        }
        if let Some(values) = node.floats("value_floats")? {
            return Ok(Constant::Floats(AnnTensor::vector(values)));
        }
        let whole = |value: &i64| (*value).max(BATCH + 1);
        if node.has("value_int") {
            let value = whole(&node.int("value_int", 0)?);
            return Ok(Constant::Integers(Integers { shape: Vec::new(), values: [value].into() }));
        }
        match node.ints("value_ints")? {
            Some(values) => Ok(Constant::Integers(Integers::vector(values.iter().map(whole).collect::<Vec<_>>()))),
            None => unsupported("the constant has no value that is a number"),
        }
    }

    fn constant_of_shape(&mut self, call: &Call) -> Reading<Constant> {
        let shape = self.integers(call, 0, "shape")?;
        let shape: Vec<usize> = shape.values.iter().map(|value| self.known_length(*value)).collect::<Reading<_>>()?;
        if element_count(&shape).is_none() {
            return broken(format!("shape {shape:?} is too large"));
        }
        let value = match call.node.tensor("value")? {
            None => Constant::Floats(AnnTensor::fill(vec![1], 0.0)),
            Some(bytes) => tensor::constant(&tensor::decode(bytes)?, self.external, &mut self.external_left)?,
        };
        match value {
            Constant::Floats(tensor) if tensor.len() == 1 => {
                Ok(Constant::Floats(AnnTensor::fill(shape, tensor.get(0))))
            }
            Constant::Integers(integers) if integers.values.len() == 1 => {
                self.budget.take(&shape)?;
                let count = shape.iter().product();
                Ok(Constant::Integers(Integers { shape, values: vec![integers.values[0]; count].into() }))
            }
            other => broken(format!("`value` has shape {:?}; it must be one number", other.shape())),
        }
    }

    pub(super) fn known_length(&self, value: i64) -> Reading<usize> {
        if value == BATCH { computes_with_batch() } else { length("shape", value, 0) }
    }

    /// Constant integers of an input.
    pub(super) fn integers(&mut self, call: &Call, index: usize, role: &'static str) -> Reading<Integers> {
        self.note_role(call, index, role);
        call.constant(index)?.to_integers(&mut self.budget)
    }

    /// An attribute that later became an input; `None` if it is neither, or empty.
    pub(super) fn axes(&mut self, call: &Call, index: usize) -> Reading<Option<Vec<i64>>> {
        self.list(call, "axes", index)
    }

    pub(super) fn list(&mut self, call: &Call, name: &'static str, index: usize) -> Reading<Option<Vec<i64>>> {
        let list = match call.node.ints(name)? {
            Some(list) => Some(list.to_vec()),
            None if call.optional(index).is_some() => Some(self.integers(call, index, name)?.values.to_vec()),
            None => None,
        };
        Ok(list.filter(|list| !list.is_empty()))
    }

    fn shape_of(&mut self, call: &Call) -> Reading<Integers> {
        let full = self.full_shape(call.value(0)?)?;
        let batched = matches!(call.value(0)?, Value::Live(live) if live.batch.is_some());
        let rank = full.len() as i64;
        let bound = |value: i64| (if value < 0 { value.saturating_add(rank) } else { value }).clamp(0, rank) as usize;
        let (start, end) = (bound(call.node.int("start", 0)?), bound(call.node.int("end", rank)?));
        let length = |(d, length): (usize, &Option<usize>)| match length {
            Some(length) if d > 0 || !batched => *length as i64,
            _ => BATCH,
        };
        let lengths: Vec<i64> = full.iter().enumerate().map(length).collect();
        Ok(Integers::vector(if start < end { lengths[start..end].to_vec() } else { Vec::new() }))
    }

    fn size_of(&mut self, call: &Call) -> Reading<Integers> {
        let lengths = self.shape_of(call)?;
        if lengths.values.contains(&BATCH) {
            return computes_with_batch();
        }
        let size = lengths.values.iter().try_fold(1_i64, |product, length| product.checked_mul(*length));
        let Some(size) = size else { return broken("its size is too large") };
        Ok(Integers { shape: Vec::new(), values: [size].into() })
    }

    fn reshape(&mut self, call: &Call) -> Reading<Value> {
        let target = match call.node.ints("shape")? {
            Some(shape) => shape.to_vec(),
            None => self.integers(call, 1, "shape")?.values.to_vec(),
        };
        let full = self.full_shape(call.value(0)?)?;
        let copies = !call.node.flag("allowzero", false)?;
        let mut wanted = Vec::with_capacity(target.len());
        for (d, value) in target.into_iter().enumerate() {
            wanted.push(match (value, full.get(d)) {
                (0, Some(Some(length))) if copies => *length as i64,
                (0, Some(None)) if copies => BATCH,
                (0, None) if copies => {
                    return broken(format!("dimension {d} of the new shape is copied, but there is none"));
                }
                (value, _) => value,
            });
        }
        let x = match call.value(0)? {
            Value::Live(live) => *live,
            Value::Constant(constant) => {
                let count = product(constant.shape());
                return Ok(Value::Constant(constant.reshaped(resolve(&wanted, count)?)));
            }
            Value::Told => return Err(super::node::Trouble::Told),
        };
        let count: usize = self.shape(x).iter().product();
        if !x.batch.is_some() {
            return self.reshaped_without_batch(call, x, resolve(&wanted, count)?);
        }
        if let Some((first, rest)) = wanted.split_first() {
            let stays = match *first {
                BATCH | 1 => true,
                -1 => !rest.contains(&-1),
                size => usize::try_from(size).is_ok_and(|size| x.batch == Batch::Fixed(size)),
            };
            if stays && let Ok(shape) = resolve(rest, count) {
                return self.reshaped(call, x, shape, x.batch).map(Value::Live);
            }
        }
        match x.batch {
            // With one sample all dimensions are its own.
            Batch::Fixed(1) => {
                let wanted: Vec<i64> = wanted.iter().map(|value| if *value == BATCH { 1 } else { *value }).collect();
                self.reshaped_without_batch(call, x, resolve(&wanted, count)?)
            }
            _ => unsupported(format!(
                "the new shape {} of [batch, {}] does not keep the batch as first dimension",
                shape_text(&wanted),
                self.shape(x).iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
            )),
        }
    }

    /// A value without batch gets one where its first dimension becomes 1.
    fn reshaped_without_batch(&mut self, call: &Call, x: Live, shape: Vec<usize>) -> Reading<Value> {
        match shape[..] {
            [1, ref rest @ ..] if !rest.is_empty() => self.reshaped(call, x, rest.to_vec(), Batch::Fixed(1)),
            _ => self.reshaped(call, x, shape, Batch::None),
        }
        .map(Value::Live)
    }

    pub(super) fn reshaped(&mut self, call: &Call, x: Live, shape: Vec<usize>, batch: Batch) -> Reading<Live> {
        let y = self.layer_of(call, AnnOp::Reshape, &[x], Some(shape))?;
        Ok(Live { batch, ..y })
    }

    fn flatten(&mut self, call: &Call) -> Reading<Value> {
        let full = self.full_shape(call.value(0)?)?;
        let rank = full.len() as i64;
        let stated = call.node.int("axis", 1)?;
        let counted = if stated < 0 { stated.saturating_add(rank) } else { stated };
        if !(0..=rank).contains(&counted) {
            return broken(format!("`axis` is {stated}, the input has {rank} dimensions"));
        }
        let at = counted as usize;
        match call.value(0)? {
            Value::Constant(constant) => {
                let shape = constant.shape();
                let shape = vec![product(&shape[..at]), product(&shape[at..])];
                Ok(Value::Constant(constant.reshaped(shape)))
            }
            Value::Live(x) => {
                let (x, own) = (*x, self.shape(*x).to_vec());
                match (x.batch, at) {
                    (Batch::None, at) => {
                        self.reshaped_without_batch(call, x, vec![product(&own[..at]), product(&own[at..])])
                    }
                    (Batch::Fixed(1), 0) => self.reshaped(call, x, vec![product(&own)], x.batch).map(Value::Live),
                    (_, at) if at > 0 && product(&own[..at - 1]) == 1 => {
                        self.reshaped(call, x, vec![product(&own)], x.batch).map(Value::Live)
                    }
                    (Batch::Fixed(1), at) => {
                        self.reshaped_without_batch(call, x, vec![product(&own[..at - 1]), product(&own[at - 1..])])
                    }
                    _ => unsupported(MIXES),
                }
            }
            Value::Told => Err(super::node::Trouble::Told),
        }
    }

    fn squeeze(&mut self, call: &Call) -> Reading<Value> {
        let full = self.full_shape(call.value(0)?)?;
        let mut goes = vec![false; full.len()];
        match self.axes(call, 1)? {
            Some(axes) => axes.into_iter().try_for_each(|value| axis(value, full.len()).map(|d| goes[d] = true))?,
            None => (0..full.len()).for_each(|d| goes[d] = full[d] == Some(1)),
        }
        if let Some(d) = (0..full.len()).find(|d| goes[*d] && full[*d] != Some(1)) {
            return match full[d] {
                None => unsupported("it removes the batch; export the model with a fixed batch of 1"),
                Some(length) => broken(format!("dimension {d} has length {length}, so it cannot be removed")),
            };
        }
        let stays = |d: &usize| !goes[*d];
        match call.value(0)? {
            Value::Constant(constant) => {
                let shape = (0..full.len()).filter(stays).map(|d| constant.shape()[d]).collect();
                Ok(Value::Constant(constant.reshaped(shape)))
            }
            Value::Live(x) => {
                let x = *x;
                let offset = usize::from(x.batch.is_some());
                let shape = (offset..full.len()).filter(stays).map(|d| self.shape(x)[d - offset]).collect();
                let batch = if offset == 1 && goes[0] { Batch::None } else { x.batch };
                self.reshaped(call, x, shape, batch).map(Value::Live)
            }
            Value::Told => Err(super::node::Trouble::Told),
        }
    }

    fn unsqueeze(&mut self, call: &Call) -> Reading<Value> {
        let full = self.full_shape(call.value(0)?)?;
        let Some(axes) = self.axes(call, 1)? else { return broken("`axes` is missing") };
        if axes.len() > 64 {
            return broken(format!("{} dimensions are too many", axes.len()));
        }
        let rank = full.len() + axes.len();
        let mut is_new = vec![false; rank];
        for value in axes {
            let d = axis(value, rank)?;
            if std::mem::replace(&mut is_new[d], true) {
                return broken(format!("dimension {d} is added twice"));
            }
        }
        let mut old = 0..full.len();
        let from: Vec<Option<usize>> = is_new.iter().map(|new| if *new { None } else { old.next() }).collect();
        match call.value(0)? {
            Value::Constant(constant) => {
                let shape = from.iter().map(|d| d.map_or(1, |d| constant.shape()[d])).collect();
                Ok(Value::Constant(constant.reshaped(shape)))
            }
            Value::Live(x) if x.batch.is_some() => {
                if is_new[0] {
                    return unsupported(
                        "it puts a dimension before the batch; snncc takes the first dimension of an input for the batch",
                    );
                }
                let shape = from[1..].iter().map(|d| d.map_or(1, |d| self.shape(*x)[d - 1])).collect();
                self.reshaped(call, *x, shape, x.batch).map(Value::Live)
            }
            Value::Live(x) => {
                let shape = from.iter().map(|d| d.map_or(1, |d| self.shape(*x)[d])).collect();
                self.reshaped_without_batch(call, *x, shape)
            }
            Value::Told => Err(super::node::Trouble::Told),
        }
    }

    fn transpose(&mut self, call: &Call) -> Reading<Value> {
        let rank = self.full_shape(call.value(0)?)?.len();
        let permutation: Vec<usize> = match call.node.ints("perm")? {
            None => (0..rank).rev().collect(),
            Some(perm) => perm.iter().map(|value| axis(*value, rank)).collect::<Reading<_>>()?,
        };
        let mut sorted = permutation.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank) {
            return broken(format!("{permutation:?} does not permute {rank} dimensions"));
        }
        match call.value(0)? {
            Value::Constant(constant) => Ok(Value::Constant(constant.transposed(&permutation, &mut self.budget)?)),
            Value::Live(x) => {
                let x = *x;
                let own: Vec<usize> = match x.batch.is_some() {
                    false => permutation,
                    true if permutation[0] == 0 => permutation[1..].iter().map(|d| d - 1).collect(),
                    true => {
                        return unsupported(format!("the permutation {permutation:?} moves the batch from the front"));
                    }
                };
                self.layer_of(call, AnnOp::Transpose { permutation: own }, &[x], None).map(Value::Live)
            }
            Value::Told => Err(super::node::Trouble::Told),
        }
    }

    fn concat(&mut self, call: &Call) -> Reading<Value> {
        if call.inputs.iter().any(Option::is_none) || call.inputs.is_empty() {
            return broken("an input is missing");
        }
        if !call.node.has("axis") && self.opset >= 4 {
            return broken("attribute `axis` is missing");
        }
        let rank = self.full_shape(call.value(0)?)?.len();
        let d = axis(call.node.int("axis", 1)?, rank)?;
        if call.all_constant() {
            let parts: Vec<&Constant> =
                (0..call.inputs.len()).map(|index| call.constant(index)).collect::<Reading<_>>()?;
            return Ok(Value::Constant(Constant::concat(&parts, d, &mut self.budget)?));
        }
        let mut lives = Vec::with_capacity(call.inputs.len());
        for value in call.inputs.iter().flatten() {
            match value {
                Value::Live(live) => lives.push(*live),
                _ => return unsupported("it joins values with constants, as transformers do with a class token"),
            }
        }
        let Some(own) = d.checked_sub(usize::from(lives[0].batch.is_some())) else { return unsupported(MIXES) };
        self.layer_of(call, AnnOp::Concat { axis: own }, &lives, None).map(Value::Live)
    }

    /// `DepthToSpace` and `SpaceToDepth`: a permutation of blocks.
    fn depth_and_space(&mut self, call: &Call) -> Reading<Value> {
        let x = call.live(0)?;
        self.needs_batch(x)?;
        let block = length("blocksize", call.node.int("blocksize", 0)?, 1)?;
        let [channels, height, width] = self.shape(x)[..] else {
            return broken(format!("it needs channels, height and width, its input is {:?}", self.shape(x)));
        };
        let to_space = call.node.kind == "DepthToSpace";
        let area = block * block;
        let divides = if to_space { channels % area == 0 } else { height % block == 0 && width % block == 0 };
        if !divides {
            return broken(format!("blocks of {block} do not divide {:?}", self.shape(x)));
        }
        let (apart, permutation, joined) = match (to_space, call.node.text("mode", "DCR")?) {
            (true, "CRD") => (
                vec![channels / area, block, block, height, width],
                vec![0, 3, 1, 4, 2],
                vec![channels / area, height * block, width * block],
            ),
            (true, _) => (
                vec![block, block, channels / area, height, width],
                vec![2, 3, 0, 4, 1],
                vec![channels / area, height * block, width * block],
            ),
            (false, _) => (
                vec![channels, height / block, block, width / block, block],
                vec![2, 4, 0, 1, 3],
                vec![channels * area, height / block, width / block],
            ),
        };
        let y = self.helper(call, "apart", AnnOp::Reshape, &[x], Some(apart))?;
        let y = self.layer_of(call, AnnOp::Transpose { permutation }, &[y], None)?;
        self.helper(call, "join", AnnOp::Reshape, &[y], Some(joined)).map(Value::Live)
    }
}

/// A shape of `count` elements, with -1 for one length to work out.
fn resolve(wanted: &[i64], count: usize) -> Reading<Vec<usize>> {
    let known = wanted.iter().filter(|value| **value != -1);
    let product = known
        .clone()
        .try_fold(1_usize, |product, value| usize::try_from(*value).ok().and_then(|value| product.checked_mul(value)));
    let open = wanted.len() - known.count();
    let open_length = match (open, product) {
        (0, Some(product)) if product == count => Some(1),
        (1, Some(product)) if product > 0 && count.is_multiple_of(product) => Some(count / product),
        _ => None,
    };
    match open_length {
        Some(open_length) => Ok(wanted.iter().map(|value| usize::try_from(*value).unwrap_or(open_length)).collect()),
        None => broken(format!("{count} values cannot have the shape {}", shape_text(wanted))),
    }
}

fn shape_text(wanted: &[i64]) -> String {
    let texts = wanted.iter().map(|value| if *value == BATCH { "batch".to_owned() } else { value.to_string() });
    format!("[{}]", texts.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_length_is_worked_out() {
        assert_eq!(resolve(&[2, -1, 3], 24).unwrap(), [2, 4, 3]);
        assert_eq!(resolve(&[24], 24).unwrap(), [24]);
        assert_eq!(resolve(&[], 1).unwrap(), [0_usize; 0]);
        for wrong in [&[5, -1][..], &[-1, -1], &[25], &[-2, 12], &[0, -1], &[i64::MAX, i64::MAX], &[BATCH, 24]] {
            assert!(resolve(wrong, 24).is_err(), "{wrong:?}");
        }
    }
}
