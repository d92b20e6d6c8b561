//! The recurrent benchmark network of `networks/make_recurrent.py`, which brian2-loihi and nengo-loihi run as well.

use snncc_data::{PortStimulus, SpikeTrain, Stimulus};
use snncc_formats::tensor_files::read_npz;
use snncc_ids::IdVec;
use snncc_ir::network::{Compartments, Edge, Matrix, SynapseDelay, Synapses};
use snncc_ir::{Network, NetworkNode, Node, Param, ResetModel, SignMode};

/// Spikes of all neurons in 1,000 steps, as brian2-loihi, nengo-loihi and Lava report them: (neurons, spikes).
pub const KNOWN_SPIKE_COUNTS: [(u32, u64); 2] = [(1_000, 39_277), (10_000, 424_262)];

/// The network with its input.
pub struct Recurrent {
    /// Network in the chip's integers: `in -> neurons`, `neurons -> neurons`.
    pub network: Network,
    /// Input spikes.
    pub stimulus: Stimulus,
    /// Number of neurons.
    pub neurons: u32,
    /// Steps of the input.
    pub steps: u32,
    /// Synapses of a neuron and of an input: their spikes times these are the synaptic events.
    pub fan_out: (u64, u64),
}

/// Reads the network from the bytes of its `.npz`.
///
/// # Panics
/// If the file is not as `make_recurrent.py` writes it.
pub fn load(bytes: &[u8]) -> Recurrent {
    let array = |name: &str| read_npz(bytes, name, 1 << 30).unwrap_or_else(|error| panic!("{name}: {error}"));
    let targets = array("tgt").to_u32().unwrap();
    let weights = array("w").to_i32().unwrap();
    let input_targets = array("itgt").to_u32().unwrap();
    let raster = array("raster").to_i32().unwrap();
    let (neurons, inputs, steps) = (targets.shape[0], input_targets.shape[0], raster.shape[0]);

    let synapses = |targets: &snncc_ir::Tensor<u32>, values: Vec<i32>| {
        let fan_out = targets.shape[1];
        Node::Synapses(Synapses {
            weight: Matrix::Sparse {
                shape: (neurons, targets.shape[0]),
                rows: targets.data.clone(),
                columns: (0..targets.len()).map(|entry| (entry / fan_out) as u32).collect(),
                values,
            },
            exponent: 0,
            weight_bits: 8,
            sign_mode: SignMode::Mixed,
            delay: SynapseDelay::None,
        })
    };
    let input_weights = vec![200; input_targets.len()];
    let compartments = Compartments {
        shape: vec![neurons],
        decay_u: Param::Uniform(1023),
        decay_v: Param::Uniform(256),
        threshold_mantissa: Param::Uniform(2000),
        bias_mantissa: Param::Uniform(0),
        bias_exponent: Param::Uniform(0),
        refractory: Param::Uniform(1),
        v_min_exponent: Some(23),
        v_max_exponent: Some(7),
        u_initial: Param::Uniform(0),
        v_initial: Param::Uniform(0),
        reset: ResetModel::Lif,
        noise: None,
    };
    let mut nodes = IdVec::new();
    let mut node = |name: &str, node: Node| nodes.push(NetworkNode { name: name.into(), node });
    let input = node("in", Node::Input { shape: vec![inputs] });
    let from_input = node("from_input", synapses(&input_targets, input_weights));
    let recurrent = node("recurrent", synapses(&targets, weights.data));
    let group = node("neurons", Node::Compartments(compartments));
    let output = node("out", Node::Output { shape: vec![neurons] });
    let edges = [(input, from_input), (from_input, group), (group, recurrent), (recurrent, group), (group, output)]
        .map(|(source, target)| Edge { source, target });
    let mut spikes = SpikeTrain::new(inputs as u32);
    for row in 1..=steps {
        // Row t of the raster is step t.
        let row = raster.data.chunks_exact(inputs).nth(row).unwrap_or(&[]);
        spikes.push_step(row.iter().enumerate().filter(|(_, spike)| **spike != 0).map(|(neuron, _)| neuron as u32));
    }
    Recurrent {
        network: Network { nodes, edges: edges.to_vec(), ..Network::default() },
        stimulus: Stimulus { ports: vec![PortStimulus { port: "in".into(), spikes }], host_biases: Vec::new() },
        neurons: neurons as u32,
        steps: steps as u32,
        fan_out: (targets.shape[1] as u64, input_targets.shape[1] as u64),
    }
}
