//! Data sets: IDX, `.npy`, `.npz` and CSV files, plain or gzipped, to samples and labels.
//!
//! What a file holds is told by its bytes, never by its name. What an array means follows from the kind asked for; without
//! one, from the array's name (`.npz`), then from its type. The rules, for users, are in docs/DATA_FORMATS.md:
//!
//! | Kind | Array | Taken without being asked for |
//! |---|---|---|
//! | levels | `(samples, element…)`; one dimension is one sample | `x images data inputs`; 8- and 16-bit unsigned, floats |
//! | series | `(samples, steps, element…)`; two dimensions are one sample | `series` |
//! | dense spikes | `(samples, steps, neuron…)`; two dimensions are one sample | `spikes`; booleans, other integers |
//! | events | `(n, 2)` of `(t, neuron)` or `(n, 3)` of `(sample, t, neuron)` | `events`; 32- and 64-bit integers so shaped |
//!
//! Row 0 of a dense array is step 1, and events count steps from 1 unless the array `first_step` says 0.
//!
//! **Invariant:** any bytes give samples or a diagnostic, within memory proportional to the file plus a constant.

mod csv;
mod idx;
mod spikes;

pub use spikes::{read_spikes, write_spikes};

use crate::tensor_files::{AnyTensor, TensorData, npz_names, read_npy, read_npz};
use flate2::bufread::MultiGzDecoder;
use snncc_data::{SampleValues, Samples, SpikeTrain};
use snncc_ids::{Diagnostic, Diagnostics, code};
use std::borrow::Cow;
use std::io::Read;

/// Bytes that any file may decompress to ...
const FREE_BYTES: u64 = 256 << 20;
/// ... and bytes per byte of file beyond it.
const BYTES_PER_BYTE: u64 = 64;
/// Steps of all samples together that any file may have, since offsets take four bytes a step even where nothing spikes ...
const FREE_STEPS: u64 = 1 << 25;
/// ... and steps per value of the array beyond it.
const STEPS_PER_VALUE: u64 = 64;
/// A spike train takes as much memory for itself as for so many steps.
const STEPS_PER_TRAIN: u64 = 32;

/// What an array is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKind {
    /// One value per element, held for the whole run.
    Levels,
    /// One value per element and step.
    Series,
    /// 0, 1 or a payload for each step and neuron.
    DenseSpikes,
    /// Lists of spikes.
    Events,
}

impl DataKind {
    /// Every kind.
    pub const ALL: [DataKind; 4] = [Self::Levels, Self::Series, Self::DenseSpikes, Self::Events];

    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Levels => "levels",
            Self::Series => "series",
            Self::DenseSpikes => "spikes",
            Self::Events => "events",
        }
    }

    /// The kind of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Names of the arrays of an `.npz` that hold samples, and what they mean.
const SAMPLE_ARRAYS: [(&str, Option<DataKind>); 8] = [
    ("x", None),
    ("images", None),
    ("data", None),
    ("inputs", None),
    ("series", Some(DataKind::Series)),
    ("spikes", Some(DataKind::DenseSpikes)),
    ("events", Some(DataKind::Events)),
    ("samples", None),
];
const LABEL_ARRAYS: [&str; 3] = ["y", "labels", "targets"];
const SETTING_ARRAYS: [&str; 4] = ["steps", "shape", "first_step", "full_scale"];

/// What an `.npz` says beside the samples.
#[derive(Default)]
struct Settings {
    steps: Option<u32>,
    shape: Option<Vec<usize>>,
    first_step: Option<u32>,
    full_scale: Option<u32>,
    labels: Option<Vec<u32>>,
}

/// Reads samples. `file_name` is used in messages only.
///
/// # Errors
/// `SNN0107` if the file is damaged, of no known format, or its arrays do not fit the kind or each other.
pub fn read_samples(file_name: &str, bytes: &[u8], kind: Option<DataKind>) -> Result<Samples, Diagnostics> {
    let read = || -> Result<Samples, String> {
        let contents = unpacked(bytes)?;
        match format_of(&contents)? {
            Format::Idx => {
                let tensor = idx::read_idx(&contents)?;
                if tensor.shape.len() == 1 && kind.is_none() {
                    return Err(format!(
                        "an IDX file of one dimension ({}) holds labels, not samples",
                        tensor.shape[0]
                    ));
                }
                samples_of(&tensor, kind.unwrap_or(DataKind::Levels), Settings::default())
            }
            Format::Npy => {
                let tensor = read_npy(&contents)?;
                samples_of(&tensor, kind.unwrap_or_else(|| kind_of(&tensor)), Settings::default())
            }
            Format::Npz => samples_of_npz(&contents, kind),
            Format::Text(text) => {
                let table = csv::read_csv(text)?;
                let kind = kind.unwrap_or_else(|| table.kind());
                samples_of(&table.tensor, kind, Settings::default())
            }
        }
    };
    read().map_err(|message| fault(file_name, message))
}

/// Reads labels: an IDX or `.npy` file of one dimension, the array `y`, `labels` or `targets` of an `.npz`, or a CSV of one
/// column.
///
/// # Errors
/// `SNN0107` if the file is damaged, has no such array, or a label is not a whole number from 0 to 2³² − 1.
pub fn read_labels(file_name: &str, bytes: &[u8]) -> Result<Vec<u32>, Diagnostics> {
    let read = || -> Result<Vec<u32>, String> {
        let contents = unpacked(bytes)?;
        let mut tensor = match format_of(&contents)? {
            Format::Idx => idx::read_idx(&contents)?,
            Format::Npy => read_npy(&contents)?,
            Format::Npz => {
                let names = npz_names(&contents)?;
                let name = LABEL_ARRAYS.into_iter().find(|label| names.iter().any(|name| name == label));
                let name = name.or_else(|| match &names[..] {
                    [only] => Some(only),
                    _ => None,
                });
                let Some(name) = name else {
                    return Err(format!("has no array {} (it has: {})", LABEL_ARRAYS.join(" or "), names.join(", ")));
                };
                read_npz(&contents, name, limit_for(contents.len()))?
            }
            Format::Text(text) => csv::read_csv(text)?.tensor,
        };
        if tensor.shape.len() == 2 && tensor.shape[1] == 1 {
            tensor.shape.pop();
        }
        if tensor.shape.len() != 1 {
            return Err(format!("labels have one dimension, the array has the shape {:?}", tensor.shape));
        }
        Ok(tensor.to_u32().map_err(|error| format!("labels: {error}"))?.data)
    };
    read().map_err(|message| fault(file_name, message))
}

fn fault(file_name: &str, message: String) -> Diagnostics {
    Diagnostic::error(code::DATA_FILE, message).at(file_name).into()
}

enum Format<'a> {
    Idx,
    Npy,
    Npz,
    Text(&'a str),
}

fn format_of(bytes: &[u8]) -> Result<Format<'_>, String> {
    if bytes.is_empty() {
        return Err("the file is empty".to_owned());
    }
    if bytes.starts_with(b"\x93NUMPY") {
        return Ok(Format::Npy);
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Ok(Format::Npz);
    }
    if bytes.starts_with(&[0, 0]) {
        return Ok(Format::Idx);
    }
    std::str::from_utf8(bytes).map(Format::Text).map_err(|error| {
        let start: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!(
            "not IDX, npy, npz or text: {} bytes that start with {}, no text from byte {} on",
            bytes.len(),
            start.join(" "),
            error.valid_up_to()
        )
    })
}

fn limit_for(file_len: usize) -> u64 {
    FREE_BYTES + BYTES_PER_BYTE * file_len as u64
}

/// The contents, decompressed if they are gzipped.
fn unpacked(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut decoder = MultiGzDecoder::new(bytes);
    let damaged = |error: std::io::Error| format!("the gzip data of {} bytes are damaged: {error}", bytes.len());
    // IDX says its size up front, so an IDX file that unpacks to anything else is found without unpacking it.
    let mut contents = Vec::new();
    decoder.by_ref().take(idx::MAX_HEADER_BYTES).read_to_end(&mut contents).map_err(damaged)?;
    let limit = match contents.starts_with(&[0, 0]) {
        true => idx::total_bytes(&contents).unwrap_or(0).min(limit_for(bytes.len())),
        false => limit_for(bytes.len()),
    };
    decoder.take((limit + 1).saturating_sub(contents.len() as u64)).read_to_end(&mut contents).map_err(damaged)?;
    if contents.len() as u64 > limit && !contents.starts_with(&[0, 0]) {
        return Err(format!("{} gzipped bytes unpack to more than the limit of {limit}", bytes.len()));
    }
    Ok(Cow::Owned(contents))
}

/// What an array means whose name says nothing.
fn kind_of(tensor: &AnyTensor) -> DataKind {
    match &tensor.data {
        TensorData::U8(_) | TensorData::U16(_) | TensorData::F32(_) | TensorData::F64(_) => DataKind::Levels,
        TensorData::I32(_) | TensorData::I64(_) | TensorData::U32(_) | TensorData::U64(_)
            if matches!(tensor.shape[..], [_, 2 | 3]) =>
        {
            DataKind::Events
        }
        _ => DataKind::DenseSpikes,
    }
}

fn samples_of_npz(bytes: &[u8], kind: Option<DataKind>) -> Result<Samples, String> {
    let names = npz_names(bytes)?;
    let limit = limit_for(bytes.len());
    let read = |name: &str| read_npz(bytes, name, limit);
    let optional = |name: &str| names.iter().any(|found| found == name).then(|| read(name)).transpose();
    let known = SAMPLE_ARRAYS.iter().find(|(array, _)| names.iter().any(|name| name == array));
    let (name, named_kind) = match known {
        Some((name, kind)) => (*name, *kind),
        None => {
            let is_sample =
                |name: &&String| !LABEL_ARRAYS.contains(&name.as_str()) && !SETTING_ARRAYS.contains(&name.as_str());
            match &names.iter().filter(is_sample).collect::<Vec<_>>()[..] {
                [only] => (only.as_str(), None),
                _ => {
                    let wanted = SAMPLE_ARRAYS.map(|(name, _)| name).join(", ");
                    return Err(format!("has no array of samples: one of {wanted} (it has: {})", names.join(", ")));
                }
            }
        }
    };
    let tensor = read(name)?;
    let number = |name: &str| -> Result<Option<u32>, String> {
        let Some(tensor) = optional(name)? else { return Ok(None) };
        match tensor.to_u32().map_err(|error| format!("`{name}`: {error}"))?.data[..] {
            [value] => Ok(Some(value)),
            ref values => Err(format!("`{name}` must be one number, not {}", values.len())),
        }
    };
    let labels = LABEL_ARRAYS.into_iter().find(|label| names.iter().any(|name| name == label));
    let whole =
        |name: &str, tensor: AnyTensor| Ok::<_, String>(tensor.to_u32().map_err(|e| format!("`{name}`: {e}"))?.data);
    let settings = Settings {
        steps: number("steps")?,
        shape: match optional("shape")? {
            Some(tensor) => Some(whole("shape", tensor)?.into_iter().map(|length| length as usize).collect()),
            None => None,
        },
        first_step: number("first_step")?,
        full_scale: number("full_scale")?,
        labels: labels.map(|name| whole(name, read(name)?)).transpose()?,
    };
    // A list of events may stand under any name but `series`.
    let found = kind_of(&tensor);
    let kind = kind.or(if named_kind == Some(DataKind::DenseSpikes) && found == DataKind::Events {
        Some(found)
    } else {
        named_kind
    });
    samples_of(&tensor, kind.unwrap_or(found), settings).map_err(|error| format!("array `{name}`: {error}"))
}

fn samples_of(tensor: &AnyTensor, kind: DataKind, settings: Settings) -> Result<Samples, String> {
    let text = |problems: Diagnostics| problems.0.into_iter().map(|p| p.message).collect::<Vec<_>>().join("; ");
    let mut samples = match kind {
        DataKind::Levels => {
            let (count, shape) = match &tensor.shape[..] {
                [elements] => (1, vec![*elements]),
                [count, shape @ ..] => (*count, shape.to_vec()),
                [] => return Err("a single number holds no samples".to_owned()),
            };
            Samples::new(count, shape, None, level_values(tensor)?).map_err(text)?
        }
        DataKind::Series => {
            let (count, steps, shape) = timed_shape(tensor)?;
            Samples::new(count, shape, Some(steps), level_values(tensor)?).map_err(text)?
        }
        DataKind::DenseSpikes => {
            let (count, steps, shape) = timed_shape(tensor)?;
            let neurons: usize = shape.iter().product();
            let neurons =
                u32::try_from(neurons).map_err(|_| format!("{neurons} neurons are more than {}", u32::MAX))?;
            let values = tensor.to_i32()?.data;
            let sample_len = steps as usize * neurons as usize;
            let trains = (0..count)
                .map(|sample| SpikeTrain::from_dense(neurons, &values[sample * sample_len..(sample + 1) * sample_len]))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| error.to_string())?;
            // Without neurons a dense array shows no steps, so they are set.
            let trains = trains.into_iter().map(|train| train.with_steps(steps)).collect();
            Samples::new(count, shape, Some(steps), SampleValues::Spikes(trains)).map_err(text)?
        }
        DataKind::Events => event_samples(tensor, &settings)?,
    };
    if let Some(full_scale) = settings.full_scale {
        samples = samples.with_full_scale(full_scale).map_err(text)?;
    }
    match settings.labels {
        Some(labels) => samples.with_labels(labels).map_err(text),
        None => Ok(samples),
    }
}

/// `(samples, steps, shape)` of an array with a dimension for time.
fn timed_shape(tensor: &AnyTensor) -> Result<(usize, u32, Vec<usize>), String> {
    let (count, steps, shape) = match &tensor.shape[..] {
        [steps, neurons] => (1, *steps, vec![*neurons]),
        [count, steps, shape @ ..] => (*count, *steps, shape.to_vec()),
        shape => {
            return Err(format!("the shape {shape:?} is neither (steps, neurons) nor (samples, steps, neuron…)"));
        }
    };
    check_steps(count, steps as u64, tensor.len())?;
    let steps = u32::try_from(steps).map_err(|_| format!("{steps} steps are more than {}", u32::MAX))?;
    Ok((count, steps, shape))
}

/// Values as levels: unsigned bytes and words as they are, other integers in the narrowest of these that holds them all.
fn level_values(tensor: &AnyTensor) -> Result<SampleValues, String> {
    let finite = |values: Vec<f32>| match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(format!(
            "value {} at {} is no finite number",
            values[at],
            crate::tensor_files::position(&tensor.shape, at)
        )),
        None => Ok(SampleValues::F32(values)),
    };
    match &tensor.data {
        TensorData::U8(values) => Ok(SampleValues::U8 { values: values.clone(), full_scale: u8::MAX }),
        TensorData::U16(values) => Ok(SampleValues::U16 { values: values.clone(), full_scale: u16::MAX }),
        TensorData::F32(values) => finite(values.clone()),
        TensorData::F64(values) => finite(values.iter().map(|&value| value as f32).collect()),
        TensorData::Bool(values) => {
            Ok(SampleValues::U8 { values: values.iter().map(|&value| value.into()).collect(), full_scale: 1 })
        }
        _ => match tensor.to_integer::<u8>() {
            Ok(bytes) => Ok(SampleValues::U8 { values: bytes.data, full_scale: u8::MAX }),
            Err(_) => {
                let words = tensor.to_integer::<u16>()?;
                Ok(SampleValues::U16 { values: words.data, full_scale: u16::MAX })
            }
        },
    }
}

/// Bounds the memory that spike trains take for their steps.
fn check_steps(count: usize, steps: u64, values: usize) -> Result<(), String> {
    let limit = FREE_STEPS + STEPS_PER_VALUE * values as u64;
    if (count as u64).saturating_mul(steps.saturating_add(STEPS_PER_TRAIN)) > limit {
        return Err(format!(
            "{count} samples of {steps} steps are more than {limit} steps in all, the limit for {values} values"
        ));
    }
    Ok(())
}

fn event_samples(tensor: &AnyTensor, settings: &Settings) -> Result<Samples, String> {
    let [_, columns @ (2 | 3)] = tensor.shape[..] else {
        return Err(format!(
            "events have the shape (n, 2) for (t, neuron) or (n, 3) for (sample, t, neuron), not {:?}",
            tensor.shape
        ));
    };
    let values = tensor.to_u32()?.data;
    let first_step = settings.first_step.unwrap_or(1);
    if first_step > 1 {
        return Err(format!("`first_step` is {first_step}; steps count from 0 or 1"));
    }
    let mut events: Vec<(u32, u32, u32)> = Vec::with_capacity(values.len() / columns);
    for (row, event) in values.chunks_exact(columns).enumerate() {
        let (sample, t, neuron) = if columns == 2 { (0, event[0], event[1]) } else { (event[0], event[1], event[2]) };
        if t < first_step || t == u32::MAX {
            return Err(format!("event {row} is at step {t}; steps count from {first_step}"));
        }
        events.push((sample, t + 1 - first_step, neuron));
    }
    let largest = |of: fn(&(u32, u32, u32)) -> u32| events.iter().map(of).max();
    let steps = settings.steps.unwrap_or_else(|| largest(|event| event.1).unwrap_or(0));
    let shape = match &settings.shape {
        Some(shape) => shape.clone(),
        None => vec![largest(|event| event.2).map_or(0, |neuron| neuron as usize + 1)],
    };
    let neurons = snncc_ir::ann::element_count(&shape).and_then(|count| u32::try_from(count).ok());
    let neurons = neurons.ok_or_else(|| format!("the shape {shape:?} has more than {} neurons", u32::MAX))?;
    let found = largest(|event| event.0).map_or(0, |sample| sample as usize + 1).max(usize::from(columns == 2));
    let count = settings.labels.as_ref().map_or(found, |labels| labels.len().max(found));
    check_steps(count, steps.into(), tensor.len())?;
    events.sort_by_key(|event| event.0);
    let mut trains = Vec::with_capacity(count);
    let mut rest = &events[..];
    for sample in 0..count {
        let len = rest.iter().take_while(|event| event.0 as usize == sample).count();
        let (own, others) = rest.split_at(len);
        rest = others;
        let own: Vec<(u32, u32)> = own.iter().map(|&(_, step, neuron)| (step, neuron)).collect();
        let train = SpikeTrain::from_events(neurons, steps, &own);
        trains.push(train.map_err(|error| format!("sample {sample}: {error}"))?);
    }
    Samples::new(count, shape, Some(steps), SampleValues::Spikes(trains)).map_err(|problems| problems.to_string())
}
