//! Reads the part of an HDF5 file that NIR uses into plain groups and arrays.
//!
//! The HDF5 library is met here and nowhere else. What a hostile file could inflate is bounded before the library is asked
//! for it: depth and number of groups, the number of values of each array and of all together, the bytes of strings. Should
//! the library panic all the same, the panic is caught and told as a damaged file.
//!
//! **Invariant:** any bytes give a tree or a diagnostic, within memory proportional to the file plus a constant.

use crate::hdf5_floats::half_floats;
use hdf5_pure::{Datatype, File, VlenStringReadOptions};
use snncc_ids::{Diagnostic, Diagnostics, code};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Deepest nesting of groups. NIR needs two levels per nested graph.
const MAX_DEPTH: usize = 64;
/// A group with a dataset takes more bytes than this; more groups than that mean links that share storage.
const LEAST_GROUP_BYTES: u64 = 64;
/// Values that any file may hold (256 MiB once widened) ...
const FREE_VALUES: u64 = 32 << 20;
/// ... and values per byte of file beyond it, far above what compression does to real weights.
const VALUES_PER_BYTE: u64 = 8;

/// A group: sub-groups and datasets by name.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Path below `/node`, empty for `/node` itself.
    pub path: String,
    pub groups: BTreeMap<String, Group>,
    pub datasets: BTreeMap<String, Dataset>,
}

/// An array, or why it cannot be read.
#[derive(Debug)]
pub(super) struct Dataset {
    pub shape: Vec<usize>,
    pub values: Result<Values, String>,
}

/// Values in row-major order, widened.
#[derive(Debug)]
pub(super) enum Values {
    Floats(Vec<f64>),
    Integers(Vec<i64>),
    Texts(Vec<String>),
}

/// What snncc reads of a file.
pub(super) struct Tree {
    /// `/node`
    pub node: Group,
    /// `/version`
    pub version: Option<String>,
    /// `/snncc/dt_s`, an extension of snncc's own that other readers pass over.
    pub dt_s: Option<f64>,
}

impl Group {
    /// Path of a member, for diagnostics.
    pub(super) fn item(&self, member: &str) -> String {
        if self.path.is_empty() { member.to_owned() } else { format!("{}/{member}", self.path) }
    }
}

/// Reads `/version`, `/snncc/dt_s` and everything below `/node` except metadata.
///
/// # Errors
/// `SNN0106` if the bytes are not HDF5, are damaged, or have no group `/node`.
pub(super) fn read_tree(bytes: &[u8]) -> Result<Tree, Diagnostics> {
    if !hdf5_pure::is_hdf5_bytes(bytes) {
        let start: String = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        return Err(Diagnostic::error(
            code::NIR_STRUCTURE,
            format!("not an HDF5 file: its {} bytes start with `{start}`", bytes.len()),
        )
        .note("a NIR file starts with the HDF5 signature 89 48 44 46 0d 0a 1a 0a")
        .into());
    }
    catch_unwind(AssertUnwindSafe(|| read_unguarded(bytes))).unwrap_or_else(|_| {
        Err(damaged(bytes, "the HDF5 library gave up on it").note("it stopped at a broken invariant").into())
    })
}

fn damaged(bytes: &[u8], why: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error(code::NIR_STRUCTURE, format!("the HDF5 file of {} bytes is damaged: {why}", bytes.len()))
}

fn read_unguarded(bytes: &[u8]) -> Result<Tree, Diagnostics> {
    let file = File::from_bytes(bytes.to_vec()).map_err(|error| damaged(bytes, error))?;
    let root = file.root();
    let mut reader = Reader {
        file_len: bytes.len() as u64,
        groups_left: bytes.len() as u64 / LEAST_GROUP_BYTES,
        values_left: FREE_VALUES + VALUES_PER_BYTE * bytes.len() as u64,
    };
    let names = root.groups().map_err(|error| damaged(bytes, error))?;
    if !names.iter().any(|name| name == "node") {
        let mut found = names;
        found.sort();
        return Err(Diagnostic::error(code::NIR_STRUCTURE, "the file has no group `/node`, so it is not a NIR file")
            .note(if found.is_empty() {
                "it has no groups at all".to_owned()
            } else {
                format!("its groups are: {}", found.iter().take(20).cloned().collect::<Vec<_>>().join(", "))
            })
            .into());
    }
    let group = root.group("node").map_err(|error| damaged(bytes, error))?;
    let version = match root.dataset("version").map(|dataset| reader.dataset(&dataset)) {
        Ok(Dataset { values: Ok(Values::Texts(texts)), .. }) => texts.into_iter().next(),
        _ => None,
    };
    let dt_s = match root.dataset("snncc/dt_s").map(|dataset| reader.dataset(&dataset)) {
        Ok(Dataset { values: Ok(Values::Floats(values)), .. }) => {
            values.first().copied().filter(|dt| dt.is_finite() && *dt > 0.0)
        }
        _ => None,
    };
    let node = reader.group(&group, String::new(), false, 0).map_err(|fault| match fault {
        Fault::Library(path, error) => damaged(bytes, error).at(if path.is_empty() { "node".to_owned() } else { path }),
        Fault::Limit(path, message) => Diagnostic::error(code::NIR_STRUCTURE, message).at(path),
    })?;
    Ok(Tree { node, version, dt_s })
}

enum Fault {
    Library(String, hdf5_pure::Error),
    Limit(String, String),
}

struct Reader {
    file_len: u64,
    groups_left: u64,
    values_left: u64,
}

impl Reader {
    /// `names_are_nodes`: the members are nodes, whose names are free; elsewhere `metadata` is left out.
    fn group(
        &mut self,
        group: &hdf5_pure::Group,
        path: String,
        names_are_nodes: bool,
        depth: usize,
    ) -> Result<Group, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::Limit(path, format!("groups are nested more than {MAX_DEPTH} deep")));
        }
        if self.groups_left == 0 {
            let message = format!("more groups than a file of {} bytes can hold: links share storage", self.file_len);
            return Err(Fault::Limit(path, message));
        }
        self.groups_left -= 1;
        let mut read = Group { path, ..Group::default() };
        let library = |error| Fault::Library(read.path.clone(), error);
        let sub_groups: Vec<_> = group.iter_groups().map_err(library)?.collect();
        let datasets: Vec<_> = group.iter_datasets().map_err(library)?.collect();
        for (name, dataset) in datasets {
            let dataset = self.dataset(&dataset);
            read.datasets.insert(name, dataset);
        }
        for (name, sub_group) in sub_groups {
            if name == "metadata" && !names_are_nodes {
                continue;
            }
            let nodes_follow = name == "nodes" && !names_are_nodes;
            let sub_group = self.group(&sub_group, read.item(&name), nodes_follow, depth + 1)?;
            read.groups.insert(name, sub_group);
        }
        Ok(read)
    }

    fn dataset(&mut self, dataset: &hdf5_pure::Dataset) -> Dataset {
        let shape = match dataset.shape() {
            Ok(shape) => shape,
            Err(error) => return Dataset { shape: Vec::new(), values: Err(error.to_string()) },
        };
        let values = self.values(dataset, &shape);
        let shape = shape.into_iter().map(|len| usize::try_from(len).unwrap_or(usize::MAX)).collect();
        Dataset { shape, values }
    }

    fn values(&mut self, dataset: &hdf5_pure::Dataset, shape: &[u64]) -> Result<Values, String> {
        let count = shape.iter().copied().try_fold(1_u64, u64::checked_mul);
        let datatype = dataset.datatype().map_err(|error| error.to_string())?;
        let element_bytes = dataset.element_size().map_err(|error| error.to_string())?;
        // Strings of fixed length count by their bytes.
        let cost = count.and_then(|count| count.checked_mul(element_bytes.div_ceil(8).max(1)));
        let Some(count) = count.filter(|_| cost.is_some_and(|cost| cost <= self.values_left)) else {
            return Err(format!(
                "an array of shape {shape:?} with elements of {element_bytes} bytes is more than a file of {} bytes may hold",
                self.file_len
            ));
        };
        self.values_left -= cost.unwrap_or(0);
        let text = |error: hdf5_pure::Error| error.to_string();
        let values = match datatype {
            // The library reads no 16-bit floats as numbers.
            Datatype::FloatingPoint { size: 2, byte_order, layout } => {
                let raw = dataset.read_raw().map_err(text)?;
                let halves = half_floats(&raw, byte_order, layout.exponent_size)?;
                Values::Floats(halves.into_iter().map(f64::from).collect())
            }
            Datatype::FloatingPoint { .. } => Values::Floats(dataset.read_f64().map_err(text)?),
            Datatype::FixedPoint { layout, .. } if layout.signed => Values::Integers(dataset.read_i64().map_err(text)?),
            Datatype::FixedPoint { .. } => {
                let values = dataset.read_u64().map_err(text)?;
                let values = values.into_iter().map(|value| i64::try_from(value).map_err(|_| value));
                Values::Integers(
                    values.collect::<Result<_, _>>().map_err(|value| format!("{value} exceeds {}", i64::MAX))?,
                )
            }
            Datatype::VariableLength { is_string: true, .. } => {
                let limits = VlenStringReadOptions::new()
                    .with_max_elements(count as usize)
                    .with_max_payload_bytes(self.file_len as usize);
                Values::Texts(dataset.read_vlen_strings(limits).map_err(text)?)
            }
            Datatype::String { .. } => Values::Texts(dataset.read_string().map_err(text)?),
            other => return Err(format!("values of type {other} are not read")),
        };
        let read = match &values {
            Values::Floats(values) => values.len(),
            Values::Integers(values) => values.len(),
            Values::Texts(values) => values.len(),
        };
        if read as u64 != count {
            return Err(format!("{read} values are stored for the shape {shape:?}"));
        }
        Ok(values)
    }
}
