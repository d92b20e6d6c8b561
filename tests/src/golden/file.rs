//! The JSON of golden files, as it is.

use serde::Deserialize;
use std::collections::BTreeMap;

/// A file of format `snncc-loihi-golden-1`.
#[derive(Deserialize)]
pub(super) struct NetworkFile {
    pub(super) id: String,
    pub(super) engine: String,
    pub(super) steps: u32,
    pub(super) groups: Vec<Group>,
    pub(super) inputs: Vec<Input>,
    pub(super) conns: Vec<Connection>,
    pub(super) expected: BTreeMap<String, Expected>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) n: usize,
    pub(super) decay_u: Vec<i64>,
    pub(super) decay_v: Vec<i64>,
    pub(super) vth_mant: Vec<i64>,
    pub(super) bias: Vec<i64>,
    pub(super) bias_mant: Option<Vec<i64>>,
    pub(super) bias_exp: Option<Vec<i64>>,
    pub(super) refract: Vec<i64>,
    pub(super) vmin: Option<i64>,
    pub(super) vmax: Option<i64>,
    pub(super) u0: Option<Vec<i64>>,
    pub(super) v0: Option<Vec<i64>>,
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) reset_interval: u32,
    #[serde(default)]
    pub(super) reset_offset: u32,
    pub(super) vth_lo_mant: Option<i32>,
    pub(super) noise: Option<Noise>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Noise {
    pub(super) exp: u8,
    pub(super) mant_offset: i32,
    pub(super) at_membrane: u8,
    pub(super) samples: Vec<Vec<i32>>,
}

/// Per step: `(neuron, value)` of each spike.
type Payloads = Vec<(u32, Vec<(u32, i32)>)>;

#[derive(Clone, Deserialize)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) n: usize,
    pub(super) spikes: Vec<(u32, Vec<u32>)>,
    pub(super) payload: Option<Payloads>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Connection {
    pub(super) src: String,
    pub(super) dst: String,
    pub(super) n_pre: usize,
    pub(super) delay: u32,
    pub(super) synapses: Vec<Synapse>,
    pub(super) synapses_mant: Option<Vec<Synapse>>,
    pub(super) weight_exp: Option<i8>,
    pub(super) num_weight_bits: Option<u8>,
    pub(super) sign_mode: Option<String>,
}

/// `[pre, post, weight]` or `[pre, post, weight, delay]`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "Vec<i64>")]
pub(super) struct Synapse {
    pub(super) pre: u32,
    pub(super) post: u32,
    pub(super) weight: i64,
    pub(super) delay: Option<u32>,
}

impl TryFrom<Vec<i64>> for Synapse {
    type Error = String;

    fn try_from(values: Vec<i64>) -> Result<Self, String> {
        let small = |value: i64| u32::try_from(value).map_err(|error| error.to_string());
        match values[..] {
            [pre, post, weight] => Ok(Self { pre: small(pre)?, post: small(post)?, weight, delay: None }),
            [pre, post, weight, delay] => {
                Ok(Self { pre: small(pre)?, post: small(post)?, weight, delay: Some(small(delay)?) })
            }
            _ => Err(format!("a synapse of {} values", values.len())),
        }
    }
}

#[derive(Clone, Deserialize)]
pub(super) struct Expected {
    pub(super) u: Vec<Vec<i64>>,
    pub(super) v: Vec<Vec<i64>>,
    pub(super) spikes: Vec<Vec<u32>>,
    pub(super) spike_values: Option<Vec<Vec<i32>>>,
}

/// A file of format `snncc-loihi-discretize-1`: a block of neurons in floats, and what a quantizer made of it.
#[derive(Clone, Deserialize)]
pub struct QuantizerCase {
    /// Name of the case.
    pub id: String,
    /// The emulator that made it.
    pub engine: String,
    /// How the block was configured.
    pub params: QuantizerParams,
    /// The block in floats.
    pub float: QuantizerFloat,
    /// Connections from the one input, in floats and integers.
    pub conns: Vec<QuantizerConnection>,
    /// The block in integers.
    pub int: QuantizerInt,
    /// Steps of the run.
    pub steps: u32,
    /// `(step, elements)` of the input's spikes.
    pub input_spikes: Vec<(u32, Vec<u32>)>,
    expected: Expected,
}

impl std::fmt::Debug for QuantizerCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "QuantizerCase {} ({:?})", self.id, self.params)
    }
}

/// Configuration of a block.
#[derive(Clone, Debug, Deserialize)]
pub struct QuantizerParams {
    /// `lif` or `relu`.
    pub kind: String,
    /// Neurons.
    pub n: usize,
    /// Elements of the input.
    pub n_in: usize,
    /// Time step in seconds.
    pub dt: f64,
    /// Time constant of the synapse in seconds.
    pub tau_s: f64,
    /// Time constant of the membrane in seconds.
    pub tau_rc: f64,
    /// Refractory period in seconds.
    pub tau_ref: f64,
    /// Threshold.
    pub vth: f64,
    /// Lower bound of the membrane.
    pub min_voltage: f64,
}

/// A block in floats, one value per neuron.
#[derive(Clone, Debug, Deserialize)]
pub struct QuantizerFloat {
    /// Decay of the current: part lost per step.
    pub decay_u: Vec<f64>,
    /// Decay of the voltage.
    pub decay_v: Vec<f64>,
    /// Threshold.
    pub vth: Vec<f64>,
    /// Bias.
    pub bias: Vec<f64>,
    /// Lower bound of the voltage.
    pub vmin: f64,
    /// Whether the gain of the current's filter is compensated.
    pub scale_u: bool,
    /// Whether the gain of the voltage's filter is compensated.
    pub scale_v: bool,
    /// Refractory register.
    pub refract: Vec<i64>,
}

/// Weights of a connection.
#[derive(Clone, Debug, Deserialize)]
pub struct QuantizerConnection {
    /// Weights `[source][target]`, 32-bit floats.
    pub weights_float32: Vec<Vec<f64>>,
    /// Effective integer weights `[source][target]`: mantissa and exponent applied, `<< 6`.
    pub weights_int: Vec<Vec<i64>>,
    /// Weight exponent.
    pub weight_exp: i32,
    /// Bits of a weight.
    pub weight_bits: u8,
    /// Bits that the stored weight leaves out.
    pub shift_bits: u8,
    /// Bits of synapse memory, in whole words.
    pub bits: u64,
}

/// A block in integers.
#[derive(Clone, Debug, Deserialize)]
pub struct QuantizerInt {
    /// Decay registers of the current.
    pub decay_u: Vec<i64>,
    /// Decay registers of the voltage.
    pub decay_v: Vec<i64>,
    /// Thresholds (a multiple of 64).
    pub vth: Vec<i64>,
    /// Biases, their exponent applied.
    pub bias: Vec<i64>,
    /// Lower clip of the voltage.
    pub vmin: i64,
    /// Upper clip of the voltage.
    pub vmax: i64,
    /// Refractory registers.
    pub refract: Vec<i64>,
    /// The scales found.
    pub info: QuantizerScales,
}

/// Scales that the quantizer found.
#[derive(Clone, Debug, Deserialize)]
pub struct QuantizerScales {
    /// Common weight exponent.
    pub w_exp: f64,
    /// Integer units of the voltage per unit.
    pub v_scale: f64,
    /// Integer units of the bias per unit: one value, or one per neuron.
    #[serde(deserialize_with = "one_or_many")]
    pub b_scale: Vec<f64>,
    /// Weight units per unit: one value; without weights, one per neuron.
    #[serde(deserialize_with = "one_or_many")]
    pub w_scale: Vec<f64>,
    /// Largest weight.
    pub w_max: f64,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(f64),
        Many(Vec<f64>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(value) => vec![value],
        OneOrMany::Many(values) => values,
    })
}

impl QuantizerCase {
    /// The integers as a network file.
    pub(super) fn network_file(&self) -> NetworkFile {
        let group = Group {
            name: "a".into(),
            n: self.params.n,
            decay_u: self.int.decay_u.clone(),
            decay_v: self.int.decay_v.clone(),
            vth_mant: self.int.vth.iter().map(|threshold| threshold >> 6).collect(),
            bias: self.int.bias.clone(),
            bias_mant: None,
            bias_exp: None,
            refract: self.int.refract.clone(),
            vmin: Some(self.int.vmin),
            vmax: Some(self.int.vmax),
            u0: None,
            v0: None,
            model: None,
            reset_interval: 0,
            reset_offset: 0,
            vth_lo_mant: None,
            noise: None,
        };
        let input = Input { name: "in".into(), n: self.params.n_in, spikes: self.input_spikes.clone(), payload: None };
        let conns = self.conns.iter().map(|connection| {
            let row = |(pre, row): (u32, &Vec<i64>)| -> Vec<Synapse> {
                (0..).zip(row).map(|(post, weight)| Synapse { pre, post, weight: *weight, delay: None }).collect()
            };
            Connection {
                src: "in".into(),
                dst: "a".into(),
                n_pre: self.params.n_in,
                delay: 0,
                synapses: (0..).zip(&connection.weights_int).flat_map(row).collect(),
                synapses_mant: None,
                weight_exp: None,
                num_weight_bits: None,
                sign_mode: None,
            }
        });
        NetworkFile {
            id: self.id.clone(),
            engine: self.engine.clone(),
            steps: self.steps,
            groups: vec![group],
            inputs: vec![input],
            conns: conns.collect(),
            expected: [("a".to_string(), self.expected.clone())].into(),
        }
    }
}
