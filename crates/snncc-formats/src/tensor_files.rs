//! Decoders and encoders of the files that hold tensors: `.npy`, `.npz` and `.safetensors`.
//!
//! Bytes in, an [`AnyTensor`] out, in the element type of the file; conversions to the type wanted refuse to lose
//! anything. 16-bit floats become `f32`, which holds all of them.
//!
//! **Invariant:** no input panics, and none makes a reader allocate more than a small multiple of the input's size; for
//! deflated members the multiple is that of deflate (1032) and the caller's limit holds besides.

mod npy;

pub use npy::{read_npy, write_npy};

use snncc_ir::Tensor;
use snncc_ir::ann::element_count;
use std::borrow::Cow;
use std::io::{Cursor, Read, Write};

/// The limit that the network reader sets to the arrays it decodes for one network, together: 4 GiB.
pub const ARRAY_LIMIT_BYTES: u64 = 4 << 30;

/// A tensor in the element type of its file, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct AnyTensor {
    /// Length of each dimension, outermost first; empty for a single value.
    pub shape: Vec<usize>,
    /// Values; as many as the product of `shape`.
    pub data: TensorData,
}

macro_rules! element_types {
    ($($variant:ident $type:ty, $name:literal;)*) => {
        /// The values of an [`AnyTensor`].
        #[derive(Clone, Debug, PartialEq)]
        pub enum TensorData { $(
            #[doc = concat!("Values of type `", $name, "`.")]
            $variant(Vec<$type>),
        )* }

        impl TensorData {
            /// Number of values.
            pub fn len(&self) -> usize {
                match self { $(Self::$variant(values) => values.len(),)* }
            }

            /// Rust's name of the element type.
            pub fn type_name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// The values in another order: entry `i` of the result is entry `index(i)`.
            fn permuted(&self, count: usize, index: impl Fn(usize) -> usize) -> Self {
                match self { $(
                    Self::$variant(values) => Self::$variant((0..count).map(|i| values[index(i)]).collect()),
                )* }
            }
        }

        $(impl From<Tensor<$type>> for AnyTensor {
            fn from(tensor: Tensor<$type>) -> Self {
                Self { shape: tensor.shape, data: TensorData::$variant(tensor.data) }
            }
        })*
    };
}

element_types! {
    Bool bool, "bool";
    I8 i8, "i8";
    I16 i16, "i16";
    I32 i32, "i32";
    I64 i64, "i64";
    U8 u8, "u8";
    U16 u16, "u16";
    U32 u32, "u32";
    U64 u64, "u64";
    F32 f32, "f32";
    F64 f64, "f64";
}

impl TensorData {
    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Largest integer up to which every integer is an `f64`.
const EXACT_F64_INTEGERS: u64 = 1 << 53;

impl AnyTensor {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The values as `f64`; `false` is 0 and `true` is 1.
    ///
    /// # Errors
    /// If an integer of 64 bits is too large to be exact.
    pub fn to_f64(&self) -> Result<Tensor<f64>, String> {
        let inexact = |index: usize, value: i128| {
            format!("value {value} at {} is not exact as a 64-bit float", position(&self.shape, index))
        };
        let data = match &self.data {
            TensorData::Bool(values) => values.iter().map(|&value| f64::from(u8::from(value))).collect(),
            TensorData::I8(values) => values.iter().map(|&value| f64::from(value)).collect(),
            TensorData::I16(values) => values.iter().map(|&value| f64::from(value)).collect(),
            TensorData::I32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            TensorData::U8(values) => values.iter().map(|&value| f64::from(value)).collect(),
            TensorData::U16(values) => values.iter().map(|&value| f64::from(value)).collect(),
            TensorData::U32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            TensorData::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            TensorData::F64(values) => values.clone(),
            TensorData::I64(values) => match values.iter().position(|v| v.unsigned_abs() > EXACT_F64_INTEGERS) {
                Some(index) => return Err(inexact(index, i128::from(values[index]))),
                None => values.iter().map(|&value| value as f64).collect(),
            },
            TensorData::U64(values) => match values.iter().position(|&value| value > EXACT_F64_INTEGERS) {
                Some(index) => return Err(inexact(index, i128::from(values[index]))),
                None => values.iter().map(|&value| value as f64).collect(),
            },
        };
        Ok(Tensor { shape: self.shape.clone(), data })
    }

    /// The values as integers of type `T`. Floats must be whole numbers.
    ///
    /// # Errors
    /// If a value is not a whole number, or out of the range of `T`.
    pub fn to_integer<T: TryFrom<i128>>(&self) -> Result<Tensor<T>, String> {
        let fail = |index: usize, value: &dyn std::fmt::Display, why: &str| {
            format!("value {value} at {} is {why} of type {}", position(&self.shape, index), type_name::<T>())
        };
        let whole = |index: usize, value: i128| T::try_from(value).map_err(|_| fail(index, &value, "not an integer"));
        // Beyond 2^100 nothing fits any T, so the cast to i128 is exact.
        let float = |index: usize, value: f64| match value {
            value if value.fract() != 0.0 || value.abs() > 1e30 => Err(fail(index, &value, "not an integer")),
            value => whole(index, value as i128),
        };
        macro_rules! convert {
            ($values:expr, $f:expr) => {
                $values.iter().enumerate().map(|(index, &value)| $f(index, value.into())).collect::<Result<_, _>>()?
            };
        }
        let data = match &self.data {
            TensorData::Bool(values) => convert!(values, whole),
            TensorData::I8(values) => convert!(values, whole),
            TensorData::I16(values) => convert!(values, whole),
            TensorData::I32(values) => convert!(values, whole),
            TensorData::I64(values) => convert!(values, whole),
            TensorData::U8(values) => convert!(values, whole),
            TensorData::U16(values) => convert!(values, whole),
            TensorData::U32(values) => convert!(values, whole),
            TensorData::U64(values) => convert!(values, whole),
            TensorData::F32(values) => convert!(values, float),
            TensorData::F64(values) => convert!(values, float),
        };
        Ok(Tensor { shape: self.shape.clone(), data })
    }

    /// As [`AnyTensor::to_integer`].
    ///
    /// # Errors
    /// If a value is not a whole number, or out of range.
    pub fn to_i32(&self) -> Result<Tensor<i32>, String> {
        self.to_integer()
    }

    /// As [`AnyTensor::to_integer`].
    ///
    /// # Errors
    /// If a value is not a whole number, or out of range.
    pub fn to_i64(&self) -> Result<Tensor<i64>, String> {
        self.to_integer()
    }

    /// As [`AnyTensor::to_integer`].
    ///
    /// # Errors
    /// If a value is not a whole number, or out of range.
    pub fn to_u32(&self) -> Result<Tensor<u32>, String> {
        self.to_integer()
    }
}

/// The last part of Rust's name of `T`.
fn type_name<T>() -> &'static str {
    std::any::type_name::<T>().rsplit("::").next().unwrap_or_default()
}

/// The index of a row-major position, as people write it: `[2, 0]`.
pub(crate) fn position(shape: &[usize], index: usize) -> String {
    let mut rest = index;
    let mut parts: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&length| {
            let part = rest % length.max(1);
            rest /= length.max(1);
            part
        })
        .collect();
    parts.reverse();
    format!("{parts:?}")
}

/// A 16-bit IEEE 754 float, widened.
pub(crate) fn half_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits) & 0x3ff;
    match exponent {
        // Subnormal: fraction · 2^−24.
        0 => f32::from_bits(sign | (fraction as f32 * 2.0_f32.powi(-24)).to_bits()),
        0x1f => f32::from_bits(sign | 0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(sign | ((exponent + 112) << 23) | (fraction << 13)),
    }
}

/// Names of the arrays in an `.npz` file, sorted, without `.npy`.
///
/// # Errors
/// If the bytes are not a zip archive.
pub fn npz_names(bytes: &[u8]) -> Result<Vec<String>, String> {
    let archive = open_zip(bytes)?;
    let mut names: Vec<String> =
        archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// The array `name` of an `.npz` file, stored or deflated, of at most `limit_bytes` when decompressed.
///
/// # Errors
/// If the archive is damaged, lacks the array (the message lists what it has), or the array exceeds the limit.
pub fn read_npz(bytes: &[u8], name: &str, limit_bytes: u64) -> Result<AnyTensor, String> {
    let mut archive = open_zip(bytes)?;
    let Some(index) = archive.index_for_name(&format!("{name}.npy")) else {
        return Err(no_such_array(name, &npz_names(bytes)?));
    };
    let member = archive.by_index(index).map_err(|error| format!("array `{name}` cannot be read: {error}"))?;
    let declared = member.size();
    if declared > limit_bytes {
        return Err(format!("array `{name}` has {declared} bytes, more than the limit of {limit_bytes}"));
    }
    // Deflate expands at most 1032 times, so a larger claim is a lie, found before anything is allocated.
    if declared > (bytes.len() as u64).saturating_mul(1100) {
        return Err(format!("array `{name}` claims {declared} bytes, more than a file of {} can hold", bytes.len()));
    }
    let mut contents = Vec::new();
    member
        .take(declared.saturating_add(1))
        .read_to_end(&mut contents)
        .map_err(|error| format!("array `{name}` is damaged: {error}"))?;
    if contents.len() as u64 != declared {
        return Err(format!("array `{name}` is damaged: its length is not the {declared} bytes of the directory"));
    }
    read_npy(&contents).map_err(|error| format!("array `{name}`: {error}"))
}

fn open_zip(bytes: &[u8]) -> Result<zip::ZipArchive<Cursor<&[u8]>>, String> {
    zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| format!("not a readable zip archive: {error}"))
}

/// Says that an array is missing, what there is, and which name was probably meant.
fn no_such_array(name: &str, names: &[String]) -> String {
    let mut message = format!("has no array `{name}`");
    if let Some(near) = snncc_ids::did_you_mean(name, names.iter().map(String::as_str)) {
        message += &format!("; did you mean `{near}`?");
    }
    const SHOWN: usize = 20;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    message + &format!(" (it has: {}{more})", shown.join(", "))
}

/// An `.npz` file of these arrays: sorted by name, stored without compression, with a fixed date, so that equal arrays
/// give equal bytes with every version of every library.
///
/// # Panics
/// If two arrays have the same name, or a name is longer than a zip archive allows (65 531 bytes).
pub fn write_npz<N: AsRef<str>>(arrays: &[(N, AnyTensor)]) -> Vec<u8> {
    let mut sorted: Vec<(&str, &AnyTensor)> = arrays.iter().map(|(name, tensor)| (name.as_ref(), tensor)).collect();
    sorted.sort_by_key(|(name, _)| *name);
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, tensor) in sorted {
        let contents = write_npy(tensor);
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .large_file(contents.len() as u64 > u64::from(u32::MAX / 2));
        writer
            .start_file(format!("{name}.npy"), options)
            .and_then(|()| Ok(writer.write_all(&contents)?))
            .unwrap_or_else(|error| panic!("bug in snncc: array `{name}` cannot be written: {error}"));
    }
    writer.finish().expect("bug in snncc: writing to memory failed").into_inner()
}

/// Names of the tensors in a `.safetensors` file, sorted.
///
/// # Errors
/// If the header is damaged.
pub fn safetensors_names(bytes: &[u8]) -> Result<Vec<String>, String> {
    let file = safetensors::SafeTensors::deserialize(bytes).map_err(|error| format!("damaged header: {error}"))?;
    let mut names: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

/// The tensor `name` of a `.safetensors` file.
///
/// # Errors
/// If the file is damaged, lacks the tensor (the message lists what it has), or its element type has no exact form here.
pub fn read_safetensors(bytes: &[u8], name: &str) -> Result<AnyTensor, String> {
    use safetensors::Dtype;
    let file = safetensors::SafeTensors::deserialize(bytes).map_err(|error| format!("damaged header: {error}"))?;
    let Ok(view) = file.tensor(name) else {
        return Err(no_such_array(name, &safetensors_names(bytes)?));
    };
    let raw = view.data();
    let data = match view.dtype() {
        Dtype::BOOL => npy::decode(raw, "b1", false)?,
        Dtype::I8 => npy::decode(raw, "i1", false)?,
        Dtype::I16 => npy::decode(raw, "i2", false)?,
        Dtype::I32 => npy::decode(raw, "i4", false)?,
        Dtype::I64 => npy::decode(raw, "i8", false)?,
        Dtype::U8 => npy::decode(raw, "u1", false)?,
        Dtype::U16 => npy::decode(raw, "u2", false)?,
        Dtype::U32 => npy::decode(raw, "u4", false)?,
        Dtype::U64 => npy::decode(raw, "u8", false)?,
        Dtype::F16 => npy::decode(raw, "f2", false)?,
        Dtype::F32 => npy::decode(raw, "f4", false)?,
        Dtype::F64 => npy::decode(raw, "f8", false)?,
        Dtype::BF16 => TensorData::F32(
            raw.chunks_exact(2)
                .map(|pair| f32::from_bits(u32::from(u16::from_le_bytes([pair[0], pair[1]])) << 16))
                .collect(),
        ),
        other => return Err(format!("tensor `{name}` has elements of type {other:?}, which are not supported")),
    };
    if element_count(view.shape()) != Some(data.len()) {
        return Err(format!("tensor `{name}` of shape {:?} has {} values", view.shape(), data.len()));
    }
    Ok(AnyTensor { shape: view.shape().to_vec(), data })
}

/// The kinds of tensor file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorFileKind {
    /// One array.
    Npy,
    /// A zip archive of `.npy` files.
    Npz,
    /// Named tensors behind a JSON header.
    Safetensors,
}

/// Tells the kind of a tensor file from its first bytes, and from its name where they leave it open.
pub fn tensor_file_kind(bytes: &[u8], file_name: &str) -> Option<TensorFileKind> {
    let lower = file_name.to_ascii_lowercase();
    if bytes.starts_with(npy::MAGIC) || lower.ends_with(".npy") {
        Some(TensorFileKind::Npy)
    } else if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") || lower.ends_with(".npz") {
        Some(TensorFileKind::Npz)
    } else if lower.ends_with(".safetensors") {
        Some(TensorFileKind::Safetensors)
    } else {
        None
    }
}

/// One array of a tensor file of any kind. `array` names it; an `.npy` file has one without a name, and a file with a
/// single array needs no name either.
///
/// # Errors
/// If the file is of no known kind or damaged, or the array is missing or exceeds `limit_bytes`.
pub fn read_array(bytes: &[u8], file_name: &str, array: Option<&str>, limit_bytes: u64) -> Result<AnyTensor, String> {
    let only_name = |names: Vec<String>| -> Result<Cow<'_, str>, String> {
        match (array, &names[..]) {
            (Some(name), _) => Ok(Cow::Borrowed(name)),
            (None, [name]) => Ok(Cow::Owned(name.clone())),
            (None, names) => Err(format!("holds {} arrays: say which one ({})", names.len(), names.join(", "))),
        }
    };
    match tensor_file_kind(bytes, file_name) {
        Some(TensorFileKind::Npy) => match array {
            Some(name) => Err(format!("an .npy file holds one array without a name, so `{name}` cannot be chosen")),
            None => read_npy(bytes),
        },
        Some(TensorFileKind::Npz) => read_npz(bytes, &only_name(npz_names(bytes)?)?, limit_bytes),
        Some(TensorFileKind::Safetensors) => read_safetensors(bytes, &only_name(safetensors_names(bytes)?)?),
        None => Err("is not an .npy, .npz or .safetensors file".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deflated(name: &str, contents: &[u8]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        writer.start_file(name, options).unwrap();
        writer.write_all(contents).unwrap();
        writer.finish().unwrap().into_inner()
    }

    fn sample() -> Vec<(&'static str, AnyTensor)> {
        vec![
            ("b", Tensor::new(vec![2, 3], vec![1.5_f32, -2.0, 0.0, 4.0, 5.0, 6.0]).into()),
            ("a", Tensor::new(vec![], vec![7_i64]).into()),
            ("mask", Tensor::vector(vec![true, false]).into()),
        ]
    }

    #[test]
    fn npz_round_trip_is_sorted_and_repeatable() {
        let bytes = write_npz(&sample());
        assert_eq!(npz_names(&bytes).unwrap(), ["a", "b", "mask"]);
        for (name, tensor) in sample() {
            assert_eq!(read_npz(&bytes, name, 1000).unwrap(), tensor);
        }
        let mut reversed = sample();
        reversed.reverse();
        assert_eq!(write_npz(&reversed), bytes);
    }

    #[test]
    fn missing_array_lists_names_and_suggests() {
        let error = read_npz(&write_npz(&sample()), "mas", 1000).unwrap_err();
        assert_eq!(error, "has no array `mas`; did you mean `mask`? (it has: a, b, mask)");
    }

    #[test]
    fn deflated_members_are_read_and_limits_hold() {
        let tensor: AnyTensor = Tensor::vector(vec![0_u8; 100_000]).into();
        let bytes = deflated("zeros.npy", &write_npy(&tensor));
        assert!(bytes.len() < 1000);
        assert_eq!(read_npz(&bytes, "zeros", 200_000).unwrap(), tensor);
        assert!(read_npz(&bytes, "zeros", 50_000).unwrap_err().contains("more than the limit of 50000"));
    }

    #[test]
    fn safetensors_are_read() {
        // Written by hand from the format: 8 bytes of header length, JSON, then the data.
        let header = r#"{"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"h":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([1.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()));
        bytes.extend([0x80, 0x3f, 0x00, 0xc0]); // bfloat16: 1.0 and −2.0
        assert_eq!(safetensors_names(&bytes).unwrap(), ["h", "w"]);
        assert_eq!(read_safetensors(&bytes, "w").unwrap(), Tensor::new(vec![2, 1], vec![1.5_f32, -2.0]).into());
        assert_eq!(read_array(&bytes, "x.safetensors", Some("h"), 99).unwrap().data, TensorData::F32(vec![1.0, -2.0]));
        assert!(read_array(&bytes, "x.safetensors", None, 99).unwrap_err().contains("say which one (h, w)"));
        assert!(read_safetensors(&bytes[..20], "w").unwrap_err().contains("damaged header"));
    }

    #[test]
    fn conversions_refuse_to_lose_anything() {
        let big = AnyTensor::from(Tensor::new(vec![2, 2], vec![0_i64, 1, 2, (1 << 53) + 1]));
        assert_eq!(big.to_f64().unwrap_err(), "value 9007199254740993 at [1, 1] is not exact as a 64-bit float");
        let half = AnyTensor::from(Tensor::vector(vec![1.0_f32, 0.5]));
        assert_eq!(half.to_i32().unwrap_err(), "value 0.5 at [1] is not an integer of type i32");
        assert!(AnyTensor::from(Tensor::vector(vec![-1.0_f64])).to_u32().is_err());
        assert!(AnyTensor::from(Tensor::vector(vec![f64::NAN])).to_i64().is_err());
        assert!(AnyTensor::from(Tensor::vector(vec![f64::INFINITY])).to_i64().is_err());
        assert_eq!(AnyTensor::from(Tensor::vector(vec![3.0_f64, -4.0])).to_i64().unwrap().data, [3, -4]);
    }

    #[test]
    fn half_floats() {
        // From the IEEE 754 binary16 format: 1, −2, largest, smallest subnormal, smallest normal.
        for (bits, value) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 5.960_464_5e-8), (0x0400, 6.103_515_6e-5)]
        {
            assert_eq!(half_to_f32(bits), value);
        }
        assert!(half_to_f32(0x7e00).is_nan());
        assert_eq!(half_to_f32(0xfc00), f32::NEG_INFINITY);
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..8),
                                     cut in any::<prop::sample::Index>(), deflate in any::<bool>()) {
            let mut bytes = if deflate { deflated("a.npy", &write_npy(&sample()[0].1)) } else { write_npz(&sample()) };
            for (index, bit) in &flips {
                let at = index.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            let _ = read_npz(&bytes, "a", 10_000);
            bytes.truncate(cut.index(bytes.len() + 1));
            let _ = read_npz(&bytes, "a", 10_000);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for name in ["x.npy", "x.npz", "x.safetensors", "x"] {
                let _ = read_array(&bytes, name, None, 10_000);
            }
        }
    }
}
