//! The `.npy` format (NumPy Enhancement Proposal 1, versions 1 to 3): a magic number, a Python dictionary that gives
//! element type, order and shape, then the raw values.
//!
//! **Invariant:** the size claimed by the header is compared with the bytes present before anything is allocated.

use super::{AnyTensor, TensorData, element_count, half_to_f32};

/// First bytes of every `.npy` file.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// The most dimensions that NumPy allows.
const MAX_DIMENSIONS: usize = 64;

/// Decodes an `.npy` file: booleans, integers of 8 to 64 bits, floats of 16, 32 and 64 bits, in either byte order, in C or
/// Fortran order (the result is in C order).
///
/// # Errors
/// If the file is damaged or has another element type; the message says what was found.
pub fn read_npy(bytes: &[u8]) -> Result<AnyTensor, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("does not start as an .npy file does")?;
    let &[major, _minor, ref rest @ ..] = rest else { return Err(truncated()) };
    let (length, rest) = match (major, rest) {
        (1, &[a, b, ref rest @ ..]) => (usize::from(u16::from_le_bytes([a, b])), rest),
        (2 | 3, &[a, b, c, d, ref rest @ ..]) => {
            let length = u32::from_le_bytes([a, b, c, d]);
            (usize::try_from(length).map_err(|_| truncated())?, rest)
        }
        (1..=3, _) => return Err(truncated()),
        _ => return Err(format!("has .npy format version {major}; versions 1 to 3 are known")),
    };
    let (header, data) = rest.split_at_checked(length).ok_or_else(truncated)?;
    let header = std::str::from_utf8(header).map_err(|_| "has a header that is not text")?;
    let header = Header::parse(header)?;

    let big_endian = header.descr.starts_with('>');
    let kind = header.descr.trim_start_matches(['<', '>', '=', '|']);
    let count = element_count(&header.shape).ok_or_else(|| format!("has an impossible shape {:?}", header.shape))?;
    let values = decode(data, kind, big_endian)?;
    if values.len() != count {
        return Err(format!(
            "has {} values of type {kind}, but its shape {:?} needs {count}",
            values.len(),
            header.shape
        ));
    }
    let tensor = AnyTensor { shape: header.shape, data: values };
    Ok(if header.fortran_order { from_fortran_order(tensor) } else { tensor })
}

fn truncated() -> String {
    "ends inside the .npy header".to_owned()
}

/// Raw values of the NumPy type `kind` (`f8`, `u1`, `b1`, …).
///
/// # Errors
/// If the type is not supported, or the bytes are not a whole number of values.
pub(super) fn decode(bytes: &[u8], kind: &str, big_endian: bool) -> Result<TensorData, String> {
    macro_rules! numbers {
        ($variant:ident, $type:ty) => {
            TensorData::$variant(values::<{ size_of::<$type>() }, _>(bytes, |raw| {
                if big_endian { <$type>::from_be_bytes(raw) } else { <$type>::from_le_bytes(raw) }
            })?)
        };
    }
    Ok(match kind {
        "b1" => match bytes.iter().find(|&&byte| byte > 1) {
            Some(byte) => return Err(format!("has a boolean with value {byte}")),
            None => TensorData::Bool(bytes.iter().map(|&byte| byte == 1).collect()),
        },
        "i1" => numbers!(I8, i8),
        "i2" => numbers!(I16, i16),
        "i4" => numbers!(I32, i32),
        "i8" => numbers!(I64, i64),
        "u1" => numbers!(U8, u8),
        "u2" => numbers!(U16, u16),
        "u4" => numbers!(U32, u32),
        "u8" => numbers!(U64, u64),
        "f2" => TensorData::F32(values::<2, _>(bytes, |raw| {
            half_to_f32(if big_endian { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) })
        })?),
        "f4" => numbers!(F32, f32),
        "f8" => numbers!(F64, f64),
        other => {
            return Err(format!(
                "has elements of type `{other}`; booleans, integers and floats up to 64 bits are known"
            ));
        }
    })
}

fn values<const SIZE: usize, T>(bytes: &[u8], decode: impl Fn([u8; SIZE]) -> T) -> Result<Vec<T>, String> {
    let (chunks, rest) = bytes.as_chunks::<SIZE>();
    if !rest.is_empty() {
        return Err(format!("has {} bytes of data, not a multiple of the element size {SIZE}", bytes.len()));
    }
    Ok(chunks.iter().map(|&chunk| decode(chunk)).collect())
}

/// Reorders values stored with the first dimension running fastest.
fn from_fortran_order(tensor: AnyTensor) -> AnyTensor {
    if tensor.is_empty() {
        return tensor;
    }
    let AnyTensor { shape, data } = tensor;
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1_usize;
    for &length in &shape {
        strides.push(stride);
        stride *= length;
    }
    let data = data.permuted(data.len(), |index| {
        let mut rest = index;
        let mut source = 0;
        for (&length, &stride) in shape.iter().zip(&strides).rev() {
            source += rest % length * stride;
            rest /= length;
        }
        source
    });
    AnyTensor { shape, data }
}

/// What the dictionary says.
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Parses `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &str) -> Result<Self, String> {
        let mut descr = None;
        let mut fortran_order = None;
        let mut shape = None;
        let mut cursor = Cursor { rest: text };
        cursor.expect('{')?;
        while !cursor.accept('}') {
            let key = cursor.string()?;
            cursor.expect(':')?;
            match key {
                "descr" if descr.is_none() => {
                    if cursor.peek() == Some('[') {
                        return Err("has structured elements (several fields each), which are not supported".to_owned());
                    }
                    descr = Some(cursor.string()?.to_owned());
                }
                "fortran_order" if fortran_order.is_none() => {
                    fortran_order = Some(match cursor.word() {
                        "True" => true,
                        "False" => false,
                        other => return Err(format!("has a damaged header: fortran_order is `{other}`")),
                    });
                }
                "shape" if shape.is_none() => shape = Some(cursor.shape()?),
                other => return Err(format!("has a damaged header: key `{other}` is unknown or occurs twice")),
            }
            if !cursor.accept(',') {
                cursor.expect('}')?;
                break;
            }
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => Ok(Self { descr, fortran_order, shape }),
            _ => Err("has a damaged header: descr, fortran_order or shape is missing".to_owned()),
        }
    }
}

/// Reads the few tokens that a header has; whitespace between them is skipped.
struct Cursor<'t> {
    rest: &'t str,
}

impl<'t> Cursor<'t> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn accept(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest = &self.rest[wanted.len_utf8()..];
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.accept(wanted) { Ok(()) } else { Err(format!("has a damaged header: `{wanted}` expected")) }
    }

    fn string(&mut self) -> Result<&'t str, String> {
        let quote = self.peek().filter(|quote| matches!(quote, '\'' | '"'));
        let found = quote.and_then(|quote| self.rest[1..].split_once(quote));
        let (text, rest) = found.ok_or("has a damaged header: a quoted name expected")?;
        self.rest = rest;
        Ok(text)
    }

    fn word(&mut self) -> &'t str {
        self.peek();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn shape(&mut self) -> Result<Vec<usize>, String> {
        self.expect('(')?;
        let mut shape = Vec::new();
        while !self.accept(')') {
            // Python 2 wrote long integers as `3L`.
            let word = self.word();
            let length = word.strip_suffix('L').unwrap_or(word).parse();
            shape.push(length.map_err(|_| format!("has a damaged header: `{word}` is not a length"))?);
            if shape.len() > MAX_DIMENSIONS {
                return Err(format!("has more than {MAX_DIMENSIONS} dimensions"));
            }
            if !self.accept(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(shape)
    }
}

/// Encodes an `.npy` file, version 1, little endian, C order; data starts at a multiple of 64 bytes, as NumPy writes it.
///
/// # Panics
/// If the tensor has so many dimensions that the header exceeds 65 535 bytes, which no reader here produces.
pub fn write_npy(tensor: &AnyTensor) -> Vec<u8> {
    let mut data = Vec::new();
    macro_rules! put {
        ($values:expr) => {
            $values.iter().for_each(|value| data.extend_from_slice(&value.to_le_bytes()))
        };
    }
    let descr = match &tensor.data {
        TensorData::Bool(values) => {
            data.extend(values.iter().map(|&value| u8::from(value)));
            "|b1"
        }
        TensorData::I8(values) => {
            put!(values);
            "|i1"
        }
        TensorData::U8(values) => {
            data.extend_from_slice(values);
            "|u1"
        }
        TensorData::I16(values) => {
            put!(values);
            "<i2"
        }
        TensorData::I32(values) => {
            put!(values);
            "<i4"
        }
        TensorData::I64(values) => {
            put!(values);
            "<i8"
        }
        TensorData::U16(values) => {
            put!(values);
            "<u2"
        }
        TensorData::U32(values) => {
            put!(values);
            "<u4"
        }
        TensorData::U64(values) => {
            put!(values);
            "<u8"
        }
        TensorData::F32(values) => {
            put!(values);
            "<f4"
        }
        TensorData::F64(values) => {
            put!(values);
            "<f8"
        }
    };
    let lengths: Vec<String> = tensor.shape.iter().map(|length| format!("{length},")).collect();
    // NumPy writes `()`, `(3,)` and `(3, 4)`.
    let shape = match &lengths[..] {
        [one] => one.clone(),
        lengths => lengths.join(" ").trim_end_matches(',').to_owned(),
    };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("bug in snncc: npy header too long");
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend(length.to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use snncc_ir::Tensor;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn the_npyz_crate_reads_what_is_written() {
        let tensor = Tensor::new(vec![2, 3], vec![1.0_f64, -2.5, 3.0, 4.0, 5.0, 1e300]);
        let bytes = write_npy(&tensor.clone().into());
        assert_eq!(bytes.len() % 64, 48);
        let file = npyz::NpyFile::new(&bytes[..]).unwrap();
        assert_eq!(file.shape(), [2, 3]);
        assert_eq!(file.into_vec::<f64>().unwrap(), tensor.data);
    }

    #[test]
    fn what_the_npyz_crate_writes_is_read_in_both_orders() {
        use npyz::WriterBuilder;
        for order in [npyz::Order::C, npyz::Order::Fortran] {
            let mut bytes = Vec::new();
            let mut writer = npyz::WriteOptions::new()
                .default_dtype()
                .shape(&[2, 3])
                .order(order)
                .writer(&mut bytes)
                .begin_nd()
                .unwrap();
            writer.extend([1_i16, 2, 3, 4, 5, 6]).unwrap();
            writer.finish().unwrap();
            // In Fortran order the stored sequence runs down the columns.
            let expected = if order == npyz::Order::C { [1, 2, 3, 4, 5, 6] } else { [1, 3, 5, 2, 4, 6] };
            assert_eq!(read_npy(&bytes).unwrap(), Tensor::<i16>::new(vec![2, 3], expected.to_vec()).into());
        }
    }

    #[test]
    fn big_endian_and_half_floats() {
        let bytes = npy("{'descr': '>i4', 'fortran_order': False, 'shape': (1,), }\n", &[0, 0, 1, 2]);
        assert_eq!(read_npy(&bytes).unwrap().data, TensorData::I32(vec![258]));
        let bytes = npy("{\"descr\": \"<f2\", \"shape\": (), \"fortran_order\": False}", &[0, 0x3c]);
        assert_eq!(read_npy(&bytes).unwrap(), Tensor::new(vec![], vec![1.0_f32]).into());
    }

    #[test]
    fn lying_headers_are_refused() {
        let refused = |shape: &str, descr: &str| {
            let header = format!("{{'descr': {descr}, 'fortran_order': True, 'shape': {shape}, }}");
            read_npy(&npy(&header, &[0; 8])).unwrap_err()
        };
        assert!(refused("(3,)", "'<f8'").contains("has 1 values of type f8, but its shape [3] needs 3"));
        assert!(refused("(9223372036854775807, 9223372036854775807)", "'<f8'").contains("impossible shape"));
        assert!(refused("(0, 9223372036854775807)", "'<f8'").contains("needs 0"));
        assert!(refused("(-1,)", "'<f8'").contains("damaged header"));
        assert!(refused("(1,)", "'|O'").contains("elements of type `O`"));
        assert!(refused("(1,)", "[('x', '<f4'), ('y', '<f4')]").contains("structured elements"));
        assert!(refused("(1,)", "'<c16'").contains("elements of type `c16`"));
    }

    fn any_tensor() -> impl Strategy<Value = AnyTensor> {
        prop::collection::vec(0_usize..4, 0..4).prop_flat_map(|shape| {
            let count: usize = shape.iter().product();
            (Just(shape), prop::collection::vec(any::<u64>(), count), 0..11).prop_map(|(shape, raw, kind)| {
                let data = match kind {
                    0 => TensorData::Bool(raw.iter().map(|v| v & 1 == 1).collect()),
                    1 => TensorData::I8(raw.iter().map(|&v| v as i8).collect()),
                    2 => TensorData::I16(raw.iter().map(|&v| v as i16).collect()),
                    3 => TensorData::I32(raw.iter().map(|&v| v as i32).collect()),
                    4 => TensorData::I64(raw.iter().map(|&v| v as i64).collect()),
                    5 => TensorData::U8(raw.iter().map(|&v| v as u8).collect()),
                    6 => TensorData::U16(raw.iter().map(|&v| v as u16).collect()),
                    7 => TensorData::U32(raw.iter().map(|&v| v as u32).collect()),
                    8 => TensorData::U64(raw),
                    9 => TensorData::F32(raw.iter().map(|&v| v as f32).collect()),
                    _ => TensorData::F64(raw.iter().map(|&v| v as f64).collect()),
                };
                AnyTensor { shape, data }
            })
        })
    }

    proptest! {
        #[test]
        fn round_trip(tensor in any_tensor()) {
            prop_assert_eq!(read_npy(&write_npy(&tensor)).unwrap(), tensor);
        }

        #[test]
        fn damaged_bytes_never_panic(tensor in any_tensor(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = write_npy(&tensor);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = read_npy(&bytes);
            let _ = read_npy(&bytes[..at]);
        }

        #[test]
        fn arbitrary_headers_never_panic(header in "[{}()':,0-9LTrueFalsdchpo_ ü]{0,60}") {
            let _ = read_npy(&npy(&header, &[0; 16]));
        }
    }
}
