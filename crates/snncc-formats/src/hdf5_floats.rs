//! 16-bit floats of HDF5, which the library gives as bytes alone.

use crate::tensor_files::half_to_f32;
use hdf5_pure::DatatypeByteOrder;

/// IEEE half floats (5 bits of exponent) or bfloat16 (8 bits), widened.
///
/// # Errors
/// For other formats of 16 bits.
pub(crate) fn half_floats(raw: &[u8], byte_order: DatatypeByteOrder, exponent_bits: u8) -> Result<Vec<f32>, String> {
    let bits = raw.chunks_exact(2).map(|pair| match byte_order {
        DatatypeByteOrder::BigEndian => u16::from_be_bytes([pair[0], pair[1]]),
        _ => u16::from_le_bytes([pair[0], pair[1]]),
    });
    match exponent_bits {
        5 => Ok(bits.map(half_to_f32).collect()),
        // bfloat16: the upper half of a 32-bit float.
        8 => Ok(bits.map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()),
        other => Err(format!("16-bit floats with {other} bits of exponent are not read")),
    }
}
