//! What compiling for a SpiNNaker-like machine takes in memory: it grows with the synapses, by few bytes for each.

use peak_alloc::PeakAlloc;
use snncc_chip::target;
use snncc_compile::spinnaker::compile;
use snncc_compile::{Ctx, NoObserver, Options};
use snncc_ids::NodeId;
use snncc_ir::network::{Affine, Edge, Matrix, Neuron, NeuronModel, Reset, SynapseDelay};
use snncc_ir::{Network, NetworkNode, Node};
use snncc_tests::random::Random;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Largest number of bytes for each synapse beyond those of the network itself: pattern, weight and delay of the lowered network (16)
/// while its projections are put together, or the quantized one (12) with rows, their headers and padding.
const BYTES: usize = 40;

#[test]
fn memory_grows_by_few_bytes_a_synapse() {
    let (neurons, mut random) = (2_000_u32, Random(1));
    let (mut rows, mut columns, mut delays) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..neurons * neurons {
        if random.chance(10) {
            columns.push(pair / neurons);
            rows.push(pair % neurons);
            delays.push(random.below(60) as u32);
        }
    }
    let synapses = rows.len();
    let values: Vec<f64> = rows.iter().map(|row| f64::from(row % 7) - 2.5).collect();
    let shape = (neurons as usize, neurons as usize);
    let weight = Matrix::Sparse { shape, rows, columns, values };
    let shape = vec![neurons as usize];
    let neuron = Neuron { shape: Some(shape.clone()), reset: Reset::ToValue, ..Neuron::new(NeuronModel::If) };
    let nodes = [
        ("in", Node::Input { shape: shape.clone() }),
        ("fc", Node::Affine(Affine { weight, bias: None, delay: SynapseDelay::PerSynapse(delays) })),
        ("n", Node::Neuron(neuron)),
        ("out", Node::Output { shape }),
    ];
    let nodes: Vec<NetworkNode> =
        nodes.into_iter().map(|(name, node)| NetworkNode { name: name.to_owned(), node }).collect();
    let edges = (1..4).map(|at| Edge { source: NodeId(at - 1), target: NodeId(at) }).collect();
    let network = Network { dt_s: Some(1e-3), nodes: nodes.into(), edges, ..Network::default() };
    let (target, options) = (target("spinnaker-48chip").unwrap(), Options::default());
    let mut ctx = Ctx { target: &target, options: &options, calibration: None, observer: &mut NoObserver };
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let compiled = compile(&network, &mut ctx).unwrap();
    let compiling = (MEMORY.peak_usage() - before) / synapses;
    let held = (MEMORY.current_usage() - before) / synapses;
    let words: usize = compiled.split.blocks.iter().map(|block| block.synapses as usize).sum();
    assert_eq!(words, synapses);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let bytes = compiled.image.to_bytes();
    let writing = (MEMORY.peak_usage() - before) / synapses;
    println!("{synapses} synapses: {compiling} bytes each while compiling, {held} then, {writing} more for the image");
    assert!(compiling <= BYTES, "{compiling} bytes for each of {synapses} synapses");
    assert!(writing <= bytes.len() / synapses + 1, "{writing} bytes for each synapse in {} of the image", bytes.len());
}
