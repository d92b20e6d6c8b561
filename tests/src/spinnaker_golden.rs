//! Golden vectors of a SpiNNaker program: what its neurons computed, step by step, and memory words of real cores
//! (tests/golden/spinnaker/README.md).
//!
//! What is read is checked, so that a vector that contradicts itself is told from an engine that computes it differently.

mod blocks;
mod replay;

pub use blocks::check_block;
pub use replay::{compare, run_emulator, run_reference};

use serde::Deserialize;
use snncc_compile::spinnaker::constants::{NeuronConstants, NeuronParameters};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Variants of the arithmetic: folder, and whether products are rounded.
pub const VARIANTS: [(&str, bool); 2] = [("trunc", false), ("round", true)];

/// One neuron and its run.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    /// Name.
    pub name: String,
    /// Parameters in s16.15.
    pub parameters: Parameters,
    /// Left shifts of the ring buffers, excitatory and inhibitory.
    pub left_shifts: [u8; 2],
    /// What the chip makes of the parameters.
    pub constants: Constants,
    /// What happened, one row a step.
    pub rows: Vec<Row>,
}

/// Parameters in s16.15, those that a step uses as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Parameters {
    /// Membrane before the start.
    #[serde(rename = "V")]
    pub v: i32,
    /// Where it decays to.
    #[serde(rename = "Vrest")]
    pub v_rest: i32,
    /// Constant current.
    #[serde(rename = "Ioff")]
    pub i_offset: i32,
    /// Membrane after a spike.
    #[serde(rename = "Vreset")]
    pub v_reset: i32,
    /// Threshold.
    #[serde(rename = "Vth")]
    pub v_threshold: i32,
}

/// Constants that the chip computes at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Constants {
    /// Factor from current to membrane.
    #[serde(rename = "R")]
    pub resistance: i32,
    /// Part of the membrane's distance that is kept.
    #[serde(rename = "expTC")]
    pub membrane_keep: i32,
    /// Steps of the refractory period.
    #[serde(rename = "Trefract")]
    pub refractory_steps: i32,
    /// Kept part of the excitatory current.
    #[serde(rename = "decE")]
    pub decay_excitatory: u32,
    /// Part of the input that enters it.
    #[serde(rename = "initE")]
    pub init_excitatory: u32,
    /// Kept part of the inhibitory current.
    #[serde(rename = "decI")]
    pub decay_inhibitory: u32,
    /// Part of the input that enters it.
    #[serde(rename = "initI")]
    pub init_inhibitory: u32,
}

/// Parameters as users give them: mV, nF, ms, nA.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
struct Given {
    #[serde(rename = "V")]
    v: f64,
    #[serde(rename = "Vrest")]
    v_rest: f64,
    #[serde(rename = "Vreset")]
    v_reset: f64,
    #[serde(rename = "Vth")]
    v_threshold: f64,
    #[serde(rename = "cm")]
    capacitance: f64,
    #[serde(rename = "tau_m")]
    tau_membrane: f64,
    #[serde(rename = "Trefr")]
    tau_refractory: f64,
    #[serde(rename = "tsE")]
    tau_excitatory: f64,
    #[serde(rename = "tsI")]
    tau_inhibitory: f64,
    #[serde(rename = "Ioff")]
    i_offset: f64,
    dt: f64,
}

/// An item of the index.
#[derive(Clone, Debug, Deserialize)]
struct Item {
    name: String,
    params: Option<Given>,
    params_s1615: Option<Parameters>,
    left_shift_exc: u8,
    left_shift_inh: u8,
    steps: Option<usize>,
    constants: Option<Constants>,
    spike_steps: Option<Vec<u32>>,
    file: String,
}

/// What happened in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Ring-buffer slots, excitatory and inhibitory.
    pub slots: [u16; 2],
    /// Membrane before its update.
    pub v_recorded: i32,
    /// Currents with the input, excitatory and inhibitory.
    pub currents: [i32; 2],
    /// Membrane after update and reset.
    pub v_after: i32,
    /// Steps left of the refractory period after the step.
    pub refractory_left: i32,
    /// Whether it spiked.
    pub spike: bool,
}

/// The name of a vector, and the vector or what is wrong with it.
pub type Named = (String, Result<Vector, String>);

/// The project's copies.
pub fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/spinnaker")
}

/// The vectors of a variant's folder.
///
/// # Errors
/// What cannot be read or contradicts itself, by vector, with its name.
pub fn vectors(folder: &Path) -> Result<Vec<Named>, String> {
    let text = read(&folder.join("index.json"))?;
    let items: Vec<serde_json::Value> = serde_json::from_str(&text).map_err(|error| format!("index.json: {error}"))?;
    let mut found = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        let name = item["name"].as_str().map_or_else(|| format!("vector {at}"), str::to_owned);
        match serde_json::from_value::<Item>(item).map_err(|error| format!("index.json: {error}")) {
            Ok(item) => found.extend(vector(folder, &item).map_or_else(
                |fault| vec![(name.clone(), Err(fault))],
                |vectors| vectors.into_iter().map(|vector| (vector.name.clone(), Ok(vector))).collect(),
            )),
            Err(fault) => found.push((name, Err(fault))),
        }
    }
    Ok(found)
}

/// The vectors of the project's copy of a variant.
///
/// # Panics
/// If one cannot be read: the tests cannot go on.
pub fn own_vectors(variant: &str) -> Vec<Vector> {
    let read = vectors(&own_folder().join(variant)).unwrap_or_else(|fault| panic!("{variant}: {fault}"));
    read.into_iter().map(|(name, vector)| vector.unwrap_or_else(|fault| panic!("{variant}/{name}: {fault}"))).collect()
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A vector for each neuron of an item: more than one if its file has a column `neuron`.
fn vector(folder: &Path, item: &Item) -> Result<Vec<Vector>, String> {
    let (parameters, constants) = parameters(item)?;
    let neurons = rows(&read(&folder.join(&item.file))?).map_err(|fault| format!("{}: {fault}", item.file))?;
    let several = neurons.len() > 1;
    let vector = |(neuron, rows): (i64, Vec<Row>)| {
        if item.steps.is_some_and(|steps| steps != rows.len()) {
            return Err(format!("{}: {} rows for {} steps", item.file, rows.len(), item.steps.unwrap_or(0)));
        }
        let spikes = (0_u32..).zip(&rows).filter(|(_, row)| row.spike).map(|(step, _)| step);
        if !several && item.spike_steps.as_ref().is_some_and(|steps| !spikes.eq(steps.iter().copied())) {
            return Err(format!("{}: its spikes are not those of the index", item.file));
        }
        let name = if several { format!("{}, neuron {neuron}", item.name) } else { item.name.clone() };
        Ok(Vector { name, parameters, left_shifts: [item.left_shift_exc, item.left_shift_inh], constants, rows })
    };
    neurons.into_iter().map(vector).collect()
}

/// Raw parameters and constants, as given or from the parameters that users give; what is there of both must agree.
fn parameters(item: &Item) -> Result<(Parameters, Constants), String> {
    let computed = item.params.map(|given| computed(&given)).transpose();
    // What the chip's own range does not hold is no fault where raw values are given.
    let computed = match computed {
        Err(_) if item.params_s1615.is_some() && item.constants.is_some() => None,
        other => other?,
    };
    let differ = |what: &str, given: String, computed: String| {
        Err(format!("{what} are {given}; its parameters give {computed}"))
    };
    if let Some((parameters, constants)) = computed {
        if let Some(given) = item.params_s1615.filter(|given| *given != parameters) {
            return differ("raw parameters", format!("{given:?}"), format!("{parameters:?}"));
        }
        if let Some(given) = item.constants.filter(|given| *given != constants) {
            return differ("constants", format!("{given:?}"), format!("{constants:?}"));
        }
        return Ok((parameters, constants));
    }
    match (item.params_s1615, item.constants) {
        (Some(parameters), Some(constants)) => Ok((parameters, constants)),
        _ => Err("neither `params`, nor `params_s1615` and `constants`, are given".into()),
    }
}

fn computed(given: &Given) -> Result<(Parameters, Constants), String> {
    let constants = NeuronConstants::new(&NeuronParameters {
        v_initial_mv: given.v,
        v_rest_mv: given.v_rest,
        v_reset_mv: given.v_reset,
        v_threshold_mv: given.v_threshold,
        capacitance_nf: given.capacitance,
        tau_membrane_ms: given.tau_membrane,
        tau_refractory_ms: given.tau_refractory,
        tau_synapse_ms: [given.tau_excitatory, given.tau_inhibitory],
        i_offset_na: given.i_offset,
        dt_ms: given.dt,
    })
    .map_err(|fault| format!("{fault:?}"))?;
    let [excitatory, inhibitory] = constants.synapse_types;
    let parameters = Parameters {
        v: constants.v_initial,
        v_rest: constants.v_rest,
        i_offset: constants.i_offset,
        v_reset: constants.v_reset,
        v_threshold: constants.v_threshold,
    };
    let constants = Constants {
        resistance: constants.resistance,
        membrane_keep: constants.membrane_keep,
        refractory_steps: constants.refractory_steps,
        decay_excitatory: excitatory.decay,
        init_excitatory: excitatory.init,
        decay_inhibitory: inhibitory.decay,
        init_inhibitory: inhibitory.init,
    };
    Ok((parameters, constants))
}

/// Rows by neuron. Columns are found by name; those that are not known do not count.
fn rows(text: &str) -> Result<BTreeMap<i64, Vec<Row>>, String> {
    let mut lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    let header: Vec<&str> = lines.next().ok_or("no rows")?.1.split(',').map(str::trim).collect();
    let find = |name: &str| header.iter().position(|column| *column == name);
    let needed = |name: &str| find(name).ok_or_else(|| format!("no column `{name}`"));
    let columns = ["rbE", "rbI", "V_rec", "gE_rec", "gI_rec", "V_after", "refract", "spike"];
    let columns: Vec<usize> = columns.into_iter().map(needed).collect::<Result<_, _>>()?;
    let (time, neuron) = (needed("t")?, find("neuron"));
    let mut neurons: BTreeMap<i64, (i64, Vec<Row>)> = BTreeMap::new();
    for (line, text) in lines {
        let fault = |what: &str| format!("line {}: {what}", line + 1);
        let values: Vec<i64> = (text.split(',').map(|value| value.trim().parse()))
            .collect::<Result<_, _>>()
            .map_err(|_| fault("not all values are whole numbers"))?;
        if values.len() != header.len() {
            return Err(fault(&format!("{} values for {} columns", values.len(), header.len())));
        }
        let column = |at: usize| values[columns[at]];
        let int = |at: usize| i32::try_from(column(at)).map_err(|_| fault("a value beyond 32 bits"));
        let slot = |at: usize| u16::try_from(column(at)).map_err(|_| fault("a ring-buffer slot beyond 16 bits"));
        let row = Row {
            slots: [slot(0)?, slot(1)?],
            v_recorded: int(2)?,
            currents: [int(3)?, int(4)?],
            v_after: int(5)?,
            refractory_left: int(6)?,
            spike: column(7) != 0,
        };
        let t = values[time];
        let (last, rows) = neurons.entry(neuron.map_or(0, |at| values[at])).or_insert((t - 1, Vec::new()));
        if t != *last + 1 {
            return Err(fault(&format!("step {t} after step {last}")));
        }
        *last = t;
        rows.push(row);
    }
    let rows: BTreeMap<i64, Vec<Row>> = neurons.into_iter().map(|(neuron, (_, rows))| (neuron, rows)).collect();
    if rows.is_empty() { Err("no rows".into()) } else { Ok(rows) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "rbI,t,rbE,V_rec,gE_rec,gI_rec,V_after,refract,spike,note";

    #[test]
    fn columns_are_found_by_name_and_lines_checked() {
        let one = |lines: &str| rows(&format!("{HEADER}\r\n{lines}"));
        let found = one("2,0,1,-3,4,5,6,0,1,9\r\n0,1,0,6,0,0,7,0,0,9\r\n\r\n").unwrap();
        let row = found[&0][0];
        assert_eq!((row.slots, row.v_recorded, row.currents, row.v_after), ([1, 2], -3, [4, 5], 6));
        assert_eq!((row.spike, found[&0].len()), (true, 2));
        for (damage, what) in [
            ("2,0,1,-3,4,5,6,0,1", "9 values for 10 columns"),
            ("65536,0,1,-3,4,5,6,0,1,0", "16 bits"),
            ("0,0,1,3000000000,4,5,6,0,1,0", "32 bits"),
            ("0,0,1,x,4,5,6,0,1,0", "whole numbers"),
            ("0,0,1,3,4,5,6,0,1,0\n0,2,1,3,4,5,6,0,1,0", "step 2 after step 0"),
            ("", "no rows"),
        ] {
            let fault = one(damage).unwrap_err();
            assert!(fault.contains(what), "`{fault}` does not say `{what}`");
        }
        assert!(rows("t,rbE\n0,1").unwrap_err().contains("no column `rbI`"));
    }
}
