//! Golden vectors: what other emulators of the chip computed, step by step (tests/golden/loihi/FORMAT.md).
//!
//! A file becomes a [`Case`]: a [`Network`] of `Compartments` and `Synapses` nodes in the chip's own integers, a
//! [`Stimulus`], and what must come out. Every way to run a network (the integer reference, the compiler with the emulator)
//! gives [`Observed`] values, and [`Case::compare`] names the first that differs.
//!
//! The network has no alignment: each population starts at step 1, as in the emulators, so it must be compiled with plain
//! chip timing.

mod emulated;
mod file;
mod pass_through;

pub use file::{QuantizerCase, QuantizerConnection, QuantizerFloat, QuantizerInt, QuantizerParams, QuantizerScales};
pub use pass_through::quantized;

use crate::observed::{self, Observed};
use file::{Connection, Group, NetworkFile};
use serde::Deserialize;
use snncc_data::{PortStimulus, SpikeTrain, Stimulus};
use snncc_ids::{IdVec, NodeId};
use snncc_ir::network::{Compartments, Edge, Matrix, SynapseDelay, Synapses};
use snncc_ir::{Network, NetworkNode, Node, NoiseParams, NoiseTarget, Param, ResetModel, SignMode};

/// A golden file.
#[derive(Clone, Debug)]
pub enum GoldenFile {
    /// A network in integers, with the run of an emulator.
    Network(Box<Case>),
    /// A block in floats, with the integers that a quantizer made of it and their run.
    Quantizer(Box<QuantizerCase>),
}

/// A network in integers and what must come out.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Name of the case.
    pub id: String,
    /// The emulator that made it.
    pub engine: String,
    /// The built-in hardware model with its arithmetic; the target is `MODEL-emu`.
    pub model: String,
    /// Steps to run.
    pub steps: u32,
    /// The network.
    pub network: Network,
    /// Spikes of its inputs.
    pub stimulus: Stimulus,
    /// What must come out, by group.
    pub expected: Vec<Observed>,
}

/// Reads a golden file.
///
/// # Errors
/// What is wrong with the text, or which weight does not follow from the mantissa that the file gives.
pub fn parse(text: &str) -> Result<GoldenFile, String> {
    #[derive(Deserialize)]
    struct Format {
        format: String,
    }
    let Format { format } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match format.as_str() {
        "snncc-loihi-golden-1" => {
            let file: NetworkFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
            Ok(GoldenFile::Network(Box::new(case(&file)?)))
        }
        "snncc-loihi-discretize-1" => {
            Ok(GoldenFile::Quantizer(serde_json::from_str(text).map_err(|error| error.to_string())?))
        }
        other => Err(format!("unknown format `{other}`")),
    }
}

/// Builds a network node by node.
#[derive(Default)]
struct Builder {
    nodes: IdVec<NodeId, NetworkNode>,
    edges: Vec<Edge>,
}

impl Builder {
    fn add(&mut self, name: &str, node: Node) -> NodeId {
        self.nodes.push(NetworkNode { name: name.to_string(), node })
    }

    fn connect(&mut self, source: NodeId, target: NodeId) {
        self.edges.push(Edge { source, target });
    }

    fn find(&self, name: &str) -> Result<NodeId, String> {
        self.nodes
            .iter_with_ids()
            .find(|(_, node)| node.name == name)
            .map(|(id, _)| id)
            .ok_or_else(|| format!("there is no group or input `{name}`"))
    }

    /// A name that no node has yet.
    fn free_name(&self, name: String) -> String {
        let taken = |name: &str| self.find(name).is_ok();
        let numbered = (2..).map(|number| format!("{name}_{number}")).find(|numbered| !taken(numbered));
        if taken(&name) { numbered.expect("endless") } else { name }
    }
}

fn case(file: &NetworkFile) -> Result<Case, String> {
    let mut network = Builder::default();
    let mut stimulus = Stimulus::default();
    for input in &file.inputs {
        network.add(&input.name, Node::Input { shape: vec![input.n] });
        let spikes = match &input.payload {
            Some(payload) => {
                let mut dense = vec![0; file.steps as usize * input.n];
                for (step, spikes) in payload {
                    for (neuron, value) in spikes {
                        dense[(*step as usize - 1) * input.n + *neuron as usize] = *value;
                    }
                }
                SpikeTrain::from_dense(input.n as u32, &dense)
            }
            None => {
                let events: Vec<(u32, u32)> = (input.spikes.iter())
                    .flat_map(|(step, neurons)| neurons.iter().map(move |neuron| (*step, *neuron)))
                    .collect();
                SpikeTrain::from_events(input.n as u32, file.steps, &events)
            }
        };
        let spikes = spikes.map_err(|fault| format!("input `{}`: {fault}", input.name))?;
        stimulus.ports.push(PortStimulus { port: input.name.clone(), spikes });
    }
    for group in &file.groups {
        let id = network.add(&group.name, Node::Compartments(compartments(group)?));
        let output = network.add(&format!("{}_out", group.name), Node::Output { shape: vec![group.n] });
        network.connect(id, output);
    }
    for connection in &file.conns {
        let (source, target) = (network.find(&connection.src)?, network.find(&connection.dst)?);
        let targets = file.groups.iter().find(|group| group.name == connection.dst).map_or(0, |group| group.n);
        let synapses = synapses(&file.engine, connection, targets)?;
        let name = network.free_name(format!("{}_to_{}", connection.src, connection.dst));
        let id = network.add(&name, Node::Synapses(synapses));
        network.connect(source, id);
        network.connect(id, target);
    }
    let expected = (file.groups.iter())
        .map(|group| {
            let expected =
                file.expected.get(&group.name).ok_or_else(|| format!("nothing expected of `{}`", group.name))?;
            let mut spikes = SpikeTrain::new(group.n as u32);
            expected.spikes.iter().for_each(|step| spikes.push_step(step.iter().copied()));
            spikes.payloads = expected.spike_values.as_ref().map(|values| values.concat());
            Ok(Observed { group: group.name.clone(), u: expected.u.concat(), v: expected.v.concat(), spikes })
        })
        .collect::<Result<_, String>>()?;
    Ok(Case {
        id: file.id.clone(),
        engine: file.engine.clone(),
        model: file.engine.clone(),
        steps: file.steps,
        network: Network { nodes: network.nodes, edges: network.edges, ..Network::default() },
        stimulus,
        expected,
    })
}

fn compartments(group: &Group) -> Result<Compartments, String> {
    let per_neuron = |values: &[i64]| Param::from_values(values.to_vec());
    let (bias_mantissa, bias_exponent) = match (&group.bias_mant, &group.bias_exp) {
        (Some(mantissas), Some(exponents)) => (per_neuron(mantissas), per_neuron(exponents)),
        _ => (per_neuron(&group.bias), Param::Uniform(0)),
    };
    let initial = |values: &Option<Vec<i64>>| values.as_ref().map_or(Param::Uniform(0), |values| per_neuron(values));
    // Registers of the clips: v_min = −2^x + 1, v_max = 2^(9 + 2·y) − 1.
    let exponent = |power: i64| {
        (power > 0 && power & (power - 1) == 0)
            .then(|| power.trailing_zeros() as u8)
            .ok_or_else(|| format!("a voltage clip of `{}` is no power of two", group.name))
    };
    let reset = match (group.model.as_deref(), group.vth_lo_mant) {
        (None, _) => ResetModel::Lif,
        (Some("lif_reset"), _) => ResetModel::Periodic { interval: group.reset_interval, offset: group.reset_offset },
        (Some("ternary"), Some(lower_threshold_mantissa)) => ResetModel::Ternary { lower_threshold_mantissa },
        (Some(other), _) => return Err(format!("unknown model `{other}` of `{}`", group.name)),
    };
    Ok(Compartments {
        shape: vec![group.n],
        decay_u: per_neuron(&group.decay_u),
        decay_v: per_neuron(&group.decay_v),
        threshold_mantissa: per_neuron(&group.vth_mant),
        bias_mantissa,
        bias_exponent,
        refractory: per_neuron(&group.refract),
        v_min_exponent: group.vmin.map(|v_min| exponent(1 - v_min)).transpose()?,
        v_max_exponent: group.vmax.map(|v_max| exponent(v_max + 1).map(|bits| (bits - 9) / 2)).transpose()?,
        u_initial: initial(&group.u0),
        v_initial: initial(&group.v0),
        reset,
        noise: group.noise.as_ref().map(|noise| NoiseParams {
            exponent: noise.exp,
            mantissa_offset: noise.mant_offset,
            target: if noise.at_membrane == 0 { NoiseTarget::Dendrite } else { NoiseTarget::Membrane },
            samples: noise.samples.clone(),
        }),
    })
}

fn synapses(engine: &str, connection: &Connection, targets: usize) -> Result<Synapses, String> {
    let given = if engine == "nengo-loihi" { None } else { connection.synapses_mant.as_ref() };
    let is_effective = engine == "nengo-loihi" || engine == "brian2-loihi" && given.is_none();
    let mut listed = connection.synapses.clone();
    let (mut exponent, mut weight_bits, mut sign_mode) = (0, WIDE_BITS, SignMode::Mixed);
    if is_effective {
        // Effective weights: mantissa << 6, the exponent applied.
        listed.iter_mut().for_each(|synapse| synapse.weight >>= 6);
    } else {
        exponent = connection.weight_exp.unwrap_or(0);
        weight_bits = connection.num_weight_bits.unwrap_or(WIDE_BITS);
        sign_mode = match connection.sign_mode.as_deref() {
            None | Some("mixed") => SignMode::Mixed,
            Some("excitatory") => SignMode::Excitatory,
            Some("inhibitory") => SignMode::Inhibitory,
            Some(other) => return Err(format!("unknown sign mode `{other}`")),
        };
    }
    if let Some(given) = given {
        let mut given = given.clone();
        for synapse in &mut given {
            synapse.weight = truncated(engine, synapse.weight, sign_mode, weight_bits);
        }
        check_weight_rule(engine, &given, &listed, exponent)?;
        listed = given;
    }
    let delays: Vec<u32> = listed.iter().map(|synapse| synapse.delay.unwrap_or(connection.delay)).collect();
    let values = listed.iter().map(|synapse| i32::try_from(synapse.weight).map_err(|error| error.to_string()));
    Ok(Synapses {
        weight: Matrix::Sparse {
            shape: (targets, connection.n_pre),
            rows: listed.iter().map(|synapse| synapse.post).collect(),
            columns: listed.iter().map(|synapse| synapse.pre).collect(),
            values: values.collect::<Result<_, _>>()?,
        },
        exponent,
        weight_bits,
        sign_mode,
        delay: if delays.iter().all(|delay| *delay == connection.delay) {
            SynapseDelay::Uniform(connection.delay)
        } else {
            SynapseDelay::PerSynapse(delays)
        },
    })
}

/// Weight bits that hold every integer of the cases: the hardware models of emulators have them.
const WIDE_BITS: u8 = 24;

/// What an emulator stores of a mantissa: Lava clips and rounds down, brian2-loihi rounds toward zero.
fn truncated(engine: &str, mantissa: i64, sign_mode: SignMode, weight_bits: u8) -> i64 {
    let unused = 8 - u32::from(weight_bits) + u32::from(sign_mode == SignMode::Mixed);
    if engine == "lava" {
        let flip = if sign_mode == SignMode::Inhibitory { -1 } else { 1 };
        let least = if sign_mode == SignMode::Mixed { -256 } else { 0 };
        flip * ((flip * mantissa).clamp(least, 255) >> unused << unused)
    } else {
        mantissa.signum() * (mantissa.abs() >> unused << unused)
    }
}

/// Whether the weights that the emulator computed with follow from the truncated mantissas.
fn check_weight_rule(
    engine: &str,
    mantissas: &[file::Synapse],
    listed: &[file::Synapse],
    exponent: i8,
) -> Result<(), String> {
    let effective = |mantissa: i64| {
        let e = i64::from(exponent);
        let weight = if e >= 0 { mantissa << e } else { mantissa >> -e } << 6;
        weight.clamp(64 - (1 << 21), (1 << 21) - 64)
    };
    let mut follow: Vec<file::Synapse> = mantissas.to_vec();
    if engine == "brian2-loihi" {
        follow.iter_mut().for_each(|synapse| synapse.weight = effective(synapse.weight));
    } else {
        follow.retain(|synapse| synapse.weight != 0);
    }
    let mut listed = listed.to_vec();
    follow.sort_unstable();
    listed.sort_unstable();
    match follow.iter().zip(&listed).find(|(a, b)| a != b) {
        Some((ours, theirs)) => Err(format!("weight rule: {ours:?}, the emulator has {theirs:?}")),
        None if follow.len() != listed.len() => Err(format!("{} of {} synapses", follow.len(), listed.len())),
        None => Ok(()),
    }
}

impl QuantizerCase {
    /// The integers of the case as a network, and their run.
    ///
    /// # Errors
    /// If the arrays contradict one another.
    pub fn case(&self) -> Result<Case, String> {
        case(&self.network_file())
    }
}

impl Case {
    /// Runs the case on the integer reference.
    ///
    /// # Errors
    /// What keeps it from running.
    pub fn run_reference(&self) -> Result<Vec<Observed>, String> {
        let ir = quantized(&self.network)?;
        let model = snncc_chip::hardware_model(&self.model).map_err(|fault| fault.to_string())?;
        observed::on_reference(&ir, &model, &self.stimulus, self.steps).map_err(|fault| fault.to_string())
    }

    /// Whether `observed` is what the emulator computed.
    ///
    /// # Errors
    /// The first difference, by step, then group.
    pub fn compare(&self, observed: &[Observed]) -> Result<(), String> {
        observed::compare(&self.expected, observed, self.steps)
    }

    /// Number of neurons.
    pub fn neurons(&self) -> usize {
        self.expected.iter().map(|expected| expected.spikes.neurons as usize).sum()
    }
}
