//! Spike files: what a run wrote down, one list per population, as `.npz`.
//!
//! The array `NAME` is `(n, 2)` with columns (t, neuron), ordered, steps from 1; `NAME/size` is (steps, neurons), and
//! `NAME/payload` stands beside graded spikes. Files of other tools may leave the two out, or give `NAME` as a dense array
//! `(steps, neurons)`.

use super::{DataKind, Settings, fault, kind_of, limit_for, samples_of, unpacked};
use crate::tensor_files::{AnyTensor, TensorData, npz_names, read_npz, write_npz};
use snncc_data::{SampleValues, SpikeTrain};
use snncc_ids::Diagnostics;

/// Writes the spikes of populations by name.
pub fn write_spikes(populations: &[(&str, &SpikeTrain)]) -> Vec<u8> {
    let mut arrays = Vec::new();
    for (name, train) in populations {
        let events = train.events().flat_map(|(step, neuron, _)| [step, neuron]).collect();
        let vector = |data: TensorData| AnyTensor { shape: vec![data.len()], data };
        arrays.push((
            (*name).to_owned(),
            AnyTensor { shape: vec![train.indices.len(), 2], data: TensorData::U32(events) },
        ));
        arrays.push((format!("{name}/size"), vector(TensorData::U32(vec![train.steps(), train.neurons]))));
        if let Some(payloads) = &train.payloads {
            arrays.push((format!("{name}/payload"), vector(TensorData::I32(payloads.clone()))));
        }
    }
    write_npz(&arrays)
}

/// Reads the spikes of populations, sorted by name.
///
/// # Errors
/// `SNN0107` if the file is no `.npz`, is damaged, or an array is neither events nor dense spikes of one sample.
pub fn read_spikes(file_name: &str, bytes: &[u8]) -> Result<Vec<(String, SpikeTrain)>, Diagnostics> {
    let read = || -> Result<Vec<(String, SpikeTrain)>, String> {
        let contents = unpacked(bytes)?;
        let names = npz_names(&contents)?;
        let limit = limit_for(contents.len());
        let mut populations = Vec::new();
        for name in names.iter().filter(|name| !name.ends_with("/size") && !name.ends_with("/payload")) {
            let train = read_train(&contents, &names, name, limit);
            populations.push((name.clone(), train.map_err(|error| format!("array `{name}`: {error}"))?));
        }
        Ok(populations)
    };
    read().map_err(|message| fault(file_name, message))
}

fn read_train(contents: &[u8], names: &[String], name: &str, limit: u64) -> Result<SpikeTrain, String> {
    let tensor = read_npz(contents, name, limit)?;
    let part = |part: &str| -> Result<Option<AnyTensor>, String> {
        let name = format!("{name}/{part}");
        names.contains(&name).then(|| read_npz(contents, &name, limit)).transpose()
    };
    let mut settings = Settings::default();
    if let Some(size) = part("size")? {
        let [steps, neurons] = size.to_u32()?.data[..] else {
            return Err("its size is not (steps, neurons)".to_owned());
        };
        settings.steps = Some(steps);
        settings.shape = Some(vec![neurons as usize]);
    }
    let kind = match (settings.steps, kind_of(&tensor)) {
        (Some(_), _) | (None, DataKind::Events) => DataKind::Events,
        _ => DataKind::DenseSpikes,
    };
    let samples = samples_of(&tensor, kind, settings)?;
    let SampleValues::Spikes(mut trains) = samples.values else {
        unreachable!("bug in snncc: events and dense spikes are spikes")
    };
    if trains.len() != 1 {
        return Err(format!("it holds {} samples, not one", trains.len()));
    }
    let mut train = trains.remove(0);
    if let Some(payload) = part("payload")? {
        let payload = payload.to_i32()?.data;
        if payload.len() != train.indices.len() {
            return Err(format!("{} payloads for {} spikes", payload.len(), train.indices.len()));
        }
        let order = tensor.to_u32()?.data;
        if !order.chunks_exact(2).is_sorted() {
            return Err("graded spikes must be ordered by step, then neuron".to_owned());
        }
        train.payloads = Some(payload);
    }
    Ok(train)
}
