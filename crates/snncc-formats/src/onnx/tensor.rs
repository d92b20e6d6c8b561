//! `TensorProto` to constants: element types, raw and typed storage, external files.
//!
//! **Invariant:** sizes are compared with the bytes that are there before anything is allocated.

use super::constant::{BATCH, Constant, Integers};
use super::node::{MAX_DIMENSIONS, Reading, Trouble, broken, unsupported};
use super::{External, proto};
use crate::tensor_files::{ARRAY_LIMIT_BYTES, half_to_f32};
use prost::Message;
use prost::bytes::Bytes;
use snncc_ir::ann::{AnnTensor, element_count};
use std::sync::Arc;

/// Values of `TensorProto.DataType`.
pub(super) mod element {
    pub(in super::super) const FLOAT: i32 = 1;
    pub(in super::super) const UINT8: i32 = 2;
    pub(in super::super) const INT8: i32 = 3;
    pub(in super::super) const UINT16: i32 = 4;
    pub(in super::super) const INT16: i32 = 5;
    pub(in super::super) const INT32: i32 = 6;
    pub(in super::super) const INT64: i32 = 7;
    pub(in super::super) const STRING: i32 = 8;
    pub(in super::super) const BOOL: i32 = 9;
    pub(in super::super) const FLOAT16: i32 = 10;
    pub(in super::super) const DOUBLE: i32 = 11;
    pub(in super::super) const UINT32: i32 = 12;
    pub(in super::super) const UINT64: i32 = 13;
    pub(in super::super) const BFLOAT16: i32 = 16;
}

/// ONNX's name of an element type.
pub(super) fn element_name(number: i32) -> String {
    const NAMES: [&str; 24] = [
        "undefined",
        "float",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "int32",
        "int64",
        "string",
        "bool",
        "float16",
        "double",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bfloat16",
        "float8e4m3fn",
        "float8e4m3fnuz",
        "float8e5m2",
        "float8e5m2fnuz",
        "uint4",
        "int4",
        "float4e2m1",
    ];
    let name = usize::try_from(number).ok().and_then(|number| NAMES.get(number));
    name.map_or_else(|| format!("number {number}"), |name| (*name).to_owned())
}

/// Whether values of this element type are numbers with a fraction that snncc reads.
pub(super) fn is_float(number: i32) -> bool {
    matches!(number, element::FLOAT | element::FLOAT16 | element::DOUBLE | element::BFLOAT16)
}

/// Bytes of an element in `raw_data`.
fn element_bytes(number: i32) -> Option<usize> {
    match number {
        element::UINT8 | element::INT8 | element::BOOL => Some(1),
        element::UINT16 | element::INT16 | element::FLOAT16 | element::BFLOAT16 => Some(2),
        element::FLOAT | element::INT32 | element::UINT32 => Some(4),
        element::DOUBLE | element::INT64 | element::UINT64 => Some(8),
        _ => None,
    }
}

/// Decodes the message.
pub(super) fn decode(bytes: &Bytes) -> Reading<proto::Tensor> {
    proto::Tensor::decode(bytes.clone()).map_err(|error| Trouble::Broken(format!("the tensor is damaged: {error}")))
}

/// Compares the shape with what is stored, without reading an external file. Gives the shape.
pub(super) fn check(tensor: &proto::Tensor) -> Reading<Vec<usize>> {
    let lengths: Option<Vec<usize>> = tensor.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let shape = lengths.filter(|shape| shape.len() <= MAX_DIMENSIONS);
    let (Some(shape), Some(count)) = (shape.clone(), shape.and_then(|shape| element_count(&shape))) else {
        return broken(format!("a tensor cannot have the shape {:?}", tensor.dims));
    };
    let Some(size) = element_bytes(tensor.data_type) else {
        let name = element_name(tensor.data_type);
        return unsupported(format!(
            "tensors of type {name} are not read; export the model with weights of type float"
        ));
    };
    let stated = |stored: usize, unit: &str| {
        broken(format!("the shape {shape:?} says {count} values, but the file holds {stored} {unit}"))
    };
    if tensor.data_location == 1 {
        return match count.checked_mul(size) {
            Some(_) => Ok(shape),
            None => broken(format!("a tensor cannot have the shape {shape:?}")),
        };
    }
    if !tensor.raw_data.is_empty() {
        return match count.checked_mul(size) == Some(tensor.raw_data.len()) {
            true => Ok(shape),
            false => stated(tensor.raw_data.len(), &format!("bytes for {size} per value")),
        };
    }
    let stored = match tensor.data_type {
        element::FLOAT => tensor.float_data.len(),
        element::DOUBLE => tensor.double_data.len(),
        element::INT64 => tensor.int64_data.len(),
        element::UINT32 | element::UINT64 => tensor.uint64_data.len(),
        _ => tensor.int32_data.len(),
    };
    if stored == count { Ok(shape) } else { stated(stored, "values") }
}

/// The tensor as a constant. Floats of other widths become `f32`. `external_left` bounds the bytes from other files.
pub(super) fn constant(
    tensor: &proto::Tensor,
    external: &mut External<'_>,
    external_left: &mut u64,
) -> Reading<Constant> {
    let shape = check(tensor)?;
    let kind = tensor.data_type;
    if tensor.data_location == 1 {
        let size = element_bytes(kind).expect("bug in snncc: the element type was checked");
        let bytes = read_external(tensor, shape.iter().product::<usize>() * size, external, external_left)?;
        return Ok(from_raw(shape, kind, &bytes));
    }
    if !tensor.raw_data.is_empty() {
        return Ok(from_raw(shape, kind, &tensor.raw_data));
    }
    let floats = |values: Arc<[f32]>| Constant::Floats(AnnTensor::new(shape.clone(), values));
    // 16-bit floats stand in `int32_data` as bit patterns.
    let pattern = |value: &i32| *value as u16;
    Ok(match kind {
        element::FLOAT => floats(tensor.float_data.iter().copied().collect()),
        element::DOUBLE => floats(tensor.double_data.iter().map(|value| *value as f32).collect()),
        element::FLOAT16 => floats(tensor.int32_data.iter().map(|value| half_to_f32(pattern(value))).collect()),
        element::BFLOAT16 => floats(tensor.int32_data.iter().map(|value| bfloat(pattern(value))).collect()),
        element::INT64 => integers(shape, tensor.int64_data.iter().copied()),
        element::UINT32 | element::UINT64 => integers(shape, tensor.uint64_data.iter().map(|value| wide(*value))),
        _ => integers(shape, tensor.int32_data.iter().map(|value| i64::from(*value))),
    })
}

/// `raw_data` or a part of an external file: little-endian, as many bytes as the shape needs.
fn from_raw(shape: Vec<usize>, kind: i32, bytes: &[u8]) -> Constant {
    macro_rules! floats {
        ($convert:expr) => {
            Constant::Floats(AnnTensor::new(shape, bytes.as_chunks().0.iter().map($convert).collect::<Arc<[f32]>>()))
        };
    }
    macro_rules! whole {
        ($type:ty, $convert:expr) => {
            integers(shape, bytes.as_chunks().0.iter().map(|chunk| $convert(<$type>::from_le_bytes(*chunk))))
        };
    }
    match kind {
        element::FLOAT => floats!(|chunk| f32::from_le_bytes(*chunk)),
        element::DOUBLE => floats!(|chunk| f64::from_le_bytes(*chunk) as f32),
        element::FLOAT16 => floats!(|chunk| half_to_f32(u16::from_le_bytes(*chunk))),
        element::BFLOAT16 => floats!(|chunk| bfloat(u16::from_le_bytes(*chunk))),
        element::INT8 => whole!(i8, i64::from),
        element::UINT16 => whole!(u16, i64::from),
        element::INT16 => whole!(i16, i64::from),
        element::INT32 => whole!(i32, i64::from),
        element::UINT32 => whole!(u32, i64::from),
        element::INT64 => whole!(i64, std::convert::identity),
        element::UINT64 => whole!(u64, wide),
        _ => whole!(u8, i64::from),
    }
}

fn integers(shape: Vec<usize>, values: impl Iterator<Item = i64>) -> Constant {
    // The smallest integer stands for the batch; as a limit of a slice its neighbour does as well.
    Constant::Integers(Integers { shape, values: values.map(|value| value.max(BATCH + 1)).collect() })
}

fn wide(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// bfloat16: the upper half of a 32-bit float.
fn bfloat(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

fn read_external(
    tensor: &proto::Tensor,
    needed: usize,
    external: &mut External<'_>,
    left: &mut u64,
) -> Reading<Vec<u8>> {
    let (mut location, mut offset, mut length) = (None, 0_u64, None);
    for bytes in &tensor.external_data {
        let entry = proto::Entry::decode(bytes.clone())
            .map_err(|error| Trouble::Broken(format!("the entries of its external data are damaged: {error}")))?;
        let number = || match entry.value.parse::<u64>() {
            Ok(number) => Ok(number),
            Err(_) => broken(format!("`{}` of its external data is `{}`, not a number", entry.key, entry.value)),
        };
        match entry.key.as_str() {
            "location" => location = Some(entry.value.clone()),
            "offset" => offset = number()?,
            "length" => length = Some(number()?),
            _ => {}
        }
    }
    let Some(location) = location else { return broken("its data is in another file, which the model does not name") };
    check_location(&location)?;
    let needed_bytes = needed as u64;
    if let Some(length) = length.filter(|length| *length != needed_bytes) {
        return broken(format!("the shape {:?} needs {needed} bytes, its external data has {length}", tensor.dims));
    }
    if offset.checked_add(needed_bytes).is_none() {
        return broken(format!("its external data starts at byte {offset}, beyond any file"));
    }
    let Some(rest) = left.checked_sub(needed_bytes) else {
        return broken(format!(
            "with its {needed} bytes the model takes more from other files than {ARRAY_LIMIT_BYTES} bytes"
        ));
    };
    *left = rest;
    match external(&location, offset, needed_bytes) {
        Ok(bytes) if bytes.len() == needed => Ok(bytes),
        Ok(bytes) => broken(format!("`{location}` gives {} of the {needed} bytes from byte {offset}", bytes.len())),
        Err(why) => broken(format!("its data is in `{location}`, {needed} bytes from byte {offset}: {why}")),
    }
}

/// A model may name files in its own folder and below, nothing else.
fn check_location(location: &str) -> Reading<()> {
    let absolute = location.starts_with(['/', '\\']) || location.contains(':');
    let climbs = location.split(['/', '\\']).any(|part| part == "..");
    match location.is_empty() || absolute || climbs || location.contains('\0') {
        true => broken(format!("its data is in `{location}`, which is not inside the folder of the model")),
        false => Ok(()),
    }
}
