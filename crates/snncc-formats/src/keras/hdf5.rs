//! The part of HDF5 that Keras uses: groups, text attributes and arrays of floats.
//!
//! The library reads the file through a source that counts: what one call may read is bounded by the size of the file, so
//! that a small file whose references share storage cannot grow without end. The sizes of arrays are checked before their
//! values are asked for. Panics of the library are caught by [`super::read_keras`].
//!
//! **Invariant:** no call takes more memory than a multiple of the file plus a constant.

use crate::hdf5_floats::half_floats;
use hdf5_pure::{AttrValue, Datatype, File, FormatError, Source};
use snncc_ir::ann::AnnTensor;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that one call of the library may read from any file ...
const FREE_BYTES: u64 = 64 << 20;
/// ... and beyond it, per byte of the file.
const READS_PER_BYTE: u64 = 8;
/// Values that all arrays of any file may have together (256 MiB), since compressed chunks expand ...
const FREE_VALUES: u64 = 64 << 20;
/// ... and beyond it, per byte of the file.
const VALUES_PER_BYTE: u64 = 8;

/// An open file.
pub(super) struct Hdf5 {
    file: File,
    allowance: Arc<AtomicU64>,
    len: u64,
    values_left: Cell<u64>,
}

/// The text attributes of a group; a list that Keras cut to pieces (`name0`, `name1`, …) is whole again.
pub(super) struct Attributes(BTreeMap<String, Vec<String>>);

struct CountedBytes {
    bytes: Vec<u8>,
    allowance: Arc<AtomicU64>,
}

impl Source for CountedBytes {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
        let wanted = buffer.len();
        let available = usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..)).unwrap_or(&[]);
        let allowed = self
            .allowance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(wanted as u64 + 8))
            .is_ok();
        match available.get(..wanted) {
            Some(range) if allowed => {
                buffer.copy_from_slice(range);
                Ok(())
            }
            _ => Err(FormatError::UnexpectedEof { expected: wanted, available: available.len() }),
        }
    }
}

impl Hdf5 {
    /// Opens a file that lies in memory.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub(super) fn open(bytes: Vec<u8>) -> Result<Self, String> {
        let len = bytes.len() as u64;
        let allowance = Arc::new(AtomicU64::new(FREE_BYTES));
        let source = CountedBytes { bytes, allowance: allowance.clone() };
        let file = File::from_source(source).map_err(|error| error.to_string())?;
        Ok(Self { file, allowance, len, values_left: Cell::new(FREE_VALUES.saturating_add(VALUES_PER_BYTE * len)) })
    }

    /// Values that the arrays made from this file may have together, a bound for copies of them too.
    pub(super) fn values_bound(&self) -> u64 {
        FREE_VALUES.saturating_add(VALUES_PER_BYTE * self.len)
    }

    /// What the next call of the library may read.
    fn allow(&self) {
        self.allowance.store(FREE_BYTES.saturating_add(READS_PER_BYTE * self.len), Ordering::Relaxed);
    }

    fn group(&self, path: &str) -> Result<hdf5_pure::Group, String> {
        self.allow();
        let root = self.file.root();
        if path.is_empty() { Ok(root) } else { root.group(path).map_err(|error| format!("group `{path}`: {error}")) }
    }

    /// Text attributes of a group.
    ///
    /// # Errors
    /// If there is no such group or it is damaged.
    pub(super) fn attributes(&self, path: &str) -> Result<Attributes, String> {
        let group = self.group(path)?;
        self.allow();
        let attributes = group.attrs().map_err(|error| format!("attributes of `{path}`: {error}"))?;
        let texts = attributes.into_iter().filter_map(|(name, value)| {
            let texts = match &value {
                // NumPy makes an empty list one of floats.
                AttrValue::F64Array(values) if values.is_empty() => Vec::new(),
                other => other.as_strings()?.to_vec(),
            };
            Some((name, texts))
        });
        Ok(Attributes(texts.collect()))
    }

    /// Names of the groups in a group, sorted; none if there is no such group.
    pub(super) fn groups(&self, path: &str) -> Vec<String> {
        let mut names = self.group(path).and_then(|group| {
            self.allow();
            group.groups().map_err(|error| error.to_string())
        });
        if let Ok(names) = &mut names {
            names.sort();
        }
        names.unwrap_or_default()
    }

    /// Names of the arrays in a group, sorted; none if there is no such group.
    pub(super) fn arrays(&self, path: &str) -> Vec<String> {
        let mut names = self.group(path).and_then(|group| {
            self.allow();
            group.datasets().map_err(|error| error.to_string())
        });
        if let Ok(names) = &mut names {
            names.sort();
        }
        names.unwrap_or_default()
    }

    /// An array of floats, narrowed or widened to `f32`.
    ///
    /// # Errors
    /// If it is missing, damaged, larger than the file can hold, or not of floats.
    pub(super) fn tensor(&self, path: &str) -> Result<AnnTensor, String> {
        let text = |error: hdf5_pure::Error| format!("`{path}`: {error}");
        self.allow();
        let dataset = self.file.root().dataset(path).map_err(text)?;
        let dimensions = dataset.shape().map_err(text)?;
        let count = dimensions.iter().copied().try_fold(1_u64, u64::checked_mul);
        let datatype = dataset.datatype().map_err(text)?;
        let left = count.and_then(|count| self.values_left.get().checked_sub(count));
        let (Some(count), Some(left)) = (count, left) else {
            return Err(format!(
                "`{path}` says {dimensions:?}, more values than a file of {} bytes may hold",
                self.len
            ));
        };
        let chunk = dataset.chunk_shape().map_err(text)?.unwrap_or_default();
        let chunk_values = chunk.iter().copied().try_fold(1_u64, u64::checked_mul);
        if chunk_values.is_none_or(|values| values > self.values_bound()) {
            return Err(format!("`{path}` is stored in chunks {chunk:?}, larger than the file may hold"));
        }
        self.values_left.set(left);
        self.allow();
        let values: Vec<f32> = match datatype {
            Datatype::FloatingPoint { size: 2, byte_order, layout } => {
                let raw = dataset.read_raw().map_err(text)?;
                let bits = layout.exponent_size;
                half_floats(&raw, byte_order, bits).map_err(|fault| format!("`{path}`: {fault}"))?
            }
            Datatype::FloatingPoint { size: 4, .. } => dataset.read_f32().map_err(text)?,
            Datatype::FloatingPoint { .. } => {
                dataset.read_f64().map_err(text)?.into_iter().map(|value| value as f32).collect()
            }
            other => return Err(format!("`{path}` has values of type {other}, floats are needed")),
        };
        if values.len() as u64 != count {
            return Err(format!("`{path}` says {dimensions:?}, {count} values, but the file holds {}", values.len()));
        }
        // Each fits, since their product does; a zero among them makes the others free.
        let shape: Result<Vec<usize>, _> = dimensions.into_iter().map(usize::try_from).collect();
        let shape = shape.map_err(|error| format!("`{path}`: {error}"))?;
        if snncc_ir::ann::element_count(&shape) != Some(values.len()) {
            return Err(format!("`{path}` has the impossible shape {shape:?}"));
        }
        Ok(AnnTensor::new(shape, values))
    }
}

impl Attributes {
    /// A single text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name).map(Vec::as_slice) {
            Some([text]) => Some(text),
            _ => None,
        }
    }

    /// A list of texts, whole or in numbered pieces.
    pub(super) fn list(&self, name: &str) -> Option<Vec<String>> {
        if let Some(list) = self.0.get(name) {
            return Some(list.clone());
        }
        let pieces = (0..).map_while(|piece: u32| self.0.get(&format!("{name}{piece}")));
        let list: Vec<String> = pieces.flatten().cloned().collect();
        (!list.is_empty()).then_some(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_bounded() {
        let allowance = Arc::new(AtomicU64::new(30));
        let source = CountedBytes { bytes: vec![7; 16], allowance };
        let mut buffer = [0; 8];
        assert!(source.read_at(8, &mut buffer).is_ok());
        assert_eq!(buffer, [7; 8]);
        assert!(source.read_at(9, &mut buffer).is_err(), "beyond the end");
        assert!(source.read_at(0, &mut buffer).is_err(), "beyond the allowance");
    }

    #[test]
    fn lists_in_pieces_are_joined() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let pieces = [("names0", texts(&["a", "b"])), ("names1", texts(&["c"])), ("other", texts(&["d"]))];
        let attributes = Attributes(pieces.map(|(name, texts)| (name.to_owned(), texts)).into());
        assert_eq!(attributes.list("names").unwrap(), ["a", "b", "c"]);
        assert_eq!(attributes.list("other").unwrap(), ["d"]);
        assert_eq!(attributes.text("other"), Some("d"));
        assert_eq!(attributes.text("names0"), None);
        assert_eq!(attributes.list("none"), None);
    }
}
