//! IDX, the format of MNIST (LeCun, Cortes, Burges): `00 00 type dimensions`, the length of each dimension as 32-bit
//! big-endian number, then the values, big-endian, row-major.

use crate::tensor_files::{AnyTensor, TensorData};

/// Longest header: 255 dimensions.
pub(super) const MAX_HEADER_BYTES: u64 = 4 + 4 * 255;

struct Header {
    shape: Vec<usize>,
    value_bytes: usize,
    kind: u8,
    len: usize,
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let &[0, 0, kind, dimensions, ref rest @ ..] = bytes else {
            return Err(format!(
                "an IDX header starts with 00 00, type and dimensions; the file has {} bytes",
                bytes.len()
            ));
        };
        let value_bytes = match kind {
            0x08 | 0x09 => 1,
            0x0b => 2,
            0x0c | 0x0d => 4,
            0x0e => 8,
            _ => return Err(format!("IDX type {kind:#04x} is unknown; there are 08, 09, 0b, 0c, 0d and 0e")),
        };
        if dimensions == 0 {
            return Err("the IDX header has no dimensions".to_owned());
        }
        let lengths = rest.get(..4 * usize::from(dimensions)).ok_or_else(|| {
            format!("the IDX header promises {dimensions} dimensions; the file ends after {} bytes", bytes.len())
        })?;
        let shape = lengths
            .chunks_exact(4)
            .map(|length| u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize)
            .collect();
        Ok(Self { shape, value_bytes, kind, len: 4 + 4 * usize::from(dimensions) })
    }

    fn data_bytes(&self) -> Option<usize> {
        self.shape.iter().try_fold(self.value_bytes, |bytes, length| bytes.checked_mul(*length))
    }
}

/// Length of the whole file by its header; `None` if there is no valid one.
pub(super) fn total_bytes(start: &[u8]) -> Option<u64> {
    let header = Header::parse(start).ok()?;
    Some((header.data_bytes()? as u64).saturating_add(header.len as u64))
}

/// Decodes an IDX file.
///
/// # Errors
/// If the header is not one, or promises more or fewer values than the file holds.
pub(super) fn read_idx(bytes: &[u8]) -> Result<AnyTensor, String> {
    let header = Header::parse(bytes)?;
    let data = &bytes[header.len..];
    if header.data_bytes() != Some(data.len()) {
        let shape: Vec<String> = header.shape.iter().map(ToString::to_string).collect();
        let product =
            header.data_bytes().map_or("too many".to_owned(), |bytes| (bytes / header.value_bytes).to_string());
        let comparison = if header.data_bytes().is_some_and(|bytes| bytes < data.len()) { "at least " } else { "" };
        return Err(format!(
            "the IDX header promises {} = {product} values of {} bytes; {comparison}{} bytes follow it",
            shape.join(" x "),
            header.value_bytes,
            data.len()
        ));
    }
    let data = match header.kind {
        0x08 => TensorData::U8(data.to_vec()),
        0x09 => TensorData::I8(data.iter().map(|byte| i8::from_be_bytes([*byte])).collect()),
        0x0b => TensorData::I16(big_endian(data, i16::from_be_bytes)),
        0x0c => TensorData::I32(big_endian(data, i32::from_be_bytes)),
        0x0d => TensorData::F32(big_endian(data, f32::from_be_bytes)),
        _ => TensorData::F64(big_endian(data, f64::from_be_bytes)),
    };
    Ok(AnyTensor { shape: header.shape, data })
}

fn big_endian<const N: usize, T>(data: &[u8], decode: fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>().0.iter().map(|bytes| decode(*bytes)).collect()
}
