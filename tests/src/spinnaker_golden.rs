//! Golden vectors of a SpiNNaker program: what its neurons computed, step by step (tests/golden/spinnaker/README.md).

use serde::Deserialize;
use std::path::Path;

/// One neuron and its run.
#[derive(Clone, Debug, Deserialize)]
pub struct Vector {
    /// Name.
    pub name: String,
    /// Parameters in s16.15.
    pub params_s1615: Parameters,
    /// Left shift of the excitatory ring buffer.
    pub left_shift_exc: u8,
    /// Left shift of the inhibitory ring buffer.
    pub left_shift_inh: u8,
    /// Steps.
    pub steps: u32,
    /// What the chip makes of the parameters.
    pub constants: Constants,
    /// Steps with a spike, from 0.
    pub spike_steps: Vec<u32>,
    /// Name of the file with the rows.
    file: String,
    /// What happened, one row a step.
    #[serde(skip)]
    pub rows: Vec<Row>,
}

/// Parameters in s16.15, those that a step uses as they are.
#[derive(Clone, Copy, Debug, Deserialize)]
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
#[derive(Clone, Copy, Debug, Deserialize)]
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

/// What happened in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Excitatory ring-buffer slot.
    pub excitatory: u16,
    /// Inhibitory ring-buffer slot.
    pub inhibitory: u16,
    /// Membrane before its update.
    pub v_recorded: i32,
    /// Excitatory current with the input.
    pub g_excitatory_recorded: i32,
    /// Inhibitory current with the input.
    pub g_inhibitory_recorded: i32,
    /// Membrane after update and reset.
    pub v_after: i32,
    /// Excitatory current after its decay.
    pub g_excitatory_after: i32,
    /// Inhibitory current after its decay.
    pub g_inhibitory_after: i32,
    /// Steps left of the refractory period after the step.
    pub refractory_left: i32,
    /// Whether it spiked.
    pub spike: bool,
}

/// The vectors of a variant, `trunc` or `round`.
///
/// # Panics
/// If a file cannot be read: the tests cannot go on.
pub fn vectors(variant: &str) -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/spinnaker").join(variant);
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let mut vectors: Vec<Vector> = serde_json::from_str(&read("index.json")).expect("an index of vectors");
    for vector in &mut vectors {
        let text = read(&vector.file);
        let mut lines = text.lines();
        let header = "t,rbE,rbI,V_rec,gE_rec,gI_rec,V_after,gE_after,gI_after,refract,spike";
        assert_eq!(lines.next(), Some(header), "{}", vector.file);
        vector.rows = lines.map(|line| row(line).unwrap_or_else(|| panic!("{}: {line}", vector.file))).collect();
        assert_eq!(vector.rows.len(), vector.steps as usize, "{}", vector.file);
    }
    vectors
}

fn row(line: &str) -> Option<Row> {
    let values: Vec<i32> = line.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [_, e, i, v_recorded, ge_recorded, gi_recorded, v_after, ge_after, gi_after, refractory_left, spike] =
        values[..]
    else {
        return None;
    };
    Some(Row {
        excitatory: e.try_into().ok()?,
        inhibitory: i.try_into().ok()?,
        v_recorded,
        g_excitatory_recorded: ge_recorded,
        g_inhibitory_recorded: gi_recorded,
        v_after,
        g_excitatory_after: ge_after,
        g_inhibitory_after: gi_after,
        refractory_left,
        spike: spike == 1,
    })
}
