//! A network compiled for a SpiNNaker-like machine past all witnesses: as it is, and with faults put into its image.

use crate::{Compiled, EmulatedMachine, FirstDivergence, Plan, SampleInput, Verification, Witnesses, verify};
use snncc_chip::Target;
use snncc_compile::spinnaker::{Compiled as Program, compile};
use snncc_compile::{Ctx, NoObserver, Options};
use snncc_data::{PortStimulus, SpikeTrain, Stimulus};
use snncc_emu::spinnaker::{SpinnakerMachine, SpinnakerProgram, SpinnakerTiming};
use snncc_ids::{Diagnostics, NodeId};
use snncc_image::spinnaker::{CoreProgram, NeuronCore};
use snncc_ir::network::{Affine, Edge, Matrix, Neuron, NeuronModel, Reset, SynapseDelay};
use snncc_ir::{Network, NetworkNode, Node, Param, Tensor};
use snncc_reference::float::{FloatNetwork, FloatOptions};

const STEPS: u32 = 20;

/// Inputs, a layer `hidden`, and a layer `last` of one neuron that reads all of it with weight ½.
fn network(inputs: usize, hidden: usize, weights: Vec<f64>, hidden_model: Neuron) -> Network {
    let dense = |inputs: usize, outputs: usize, weights: Vec<f64>| {
        let weight = Matrix::Dense(Tensor::new(vec![outputs, inputs], weights));
        Node::Affine(Affine { weight, bias: None, delay: SynapseDelay::None })
    };
    let neurons = |neuron: Neuron, len: usize| {
        Node::Neuron(Neuron { shape: Some(vec![len]), reset: Reset::BySubtraction, ..neuron })
    };
    let nodes = [
        ("in", Node::Input { shape: vec![inputs] }),
        ("fc1", dense(inputs, hidden, weights)),
        ("hidden", neurons(hidden_model, hidden)),
        ("fc2", dense(hidden, 1, vec![0.5; hidden])),
        ("last", neurons(Neuron::new(NeuronModel::If), 1)),
        ("out", Node::Output { shape: vec![1] }),
    ];
    let edges = (1..nodes.len() as u32).map(|at| Edge { source: NodeId(at - 1), target: NodeId(at) }).collect();
    let nodes: Vec<NetworkNode> = nodes.map(|(name, node)| NetworkNode { name: name.to_owned(), node }).into();
    Network { dt_s: Some(1e-3), nodes: nodes.into(), edges, ..Network::default() }
}

fn small() -> Network {
    network(3, 2, vec![0.5, 0.25, 0.75, 1.0, -0.25, 0.5], Neuron::new(NeuronModel::If))
}

struct Bench {
    network: Network,
    program: Program,
    target: Target,
    timing: SpinnakerTiming,
}

impl Bench {
    fn new(network: Network) -> Self {
        Self::on(network, snncc_chip::target("spinnaker-emu").unwrap())
    }

    fn on(network: Network, target: Target) -> Self {
        let options = Options::default();
        let mut ctx = Ctx { target: &target, options: &options, calibration: None, observer: &mut NoObserver };
        let program = compile(&network, &mut ctx).unwrap_or_else(|fault| panic!("{fault}"));
        Self { network, program, target, timing: SpinnakerTiming::Analytic }
    }

    fn verify(&self, samples: usize) -> Verification {
        let float = FloatNetwork::new(&self.network, &FloatOptions::default()).unwrap();
        let (model, image) = (&self.target.model, &self.program.image);
        let machine = SpinnakerMachine::of(&self.target);
        let loaded = SpinnakerProgram::load(image, model, &machine, &self.target.file.costs).unwrap();
        let chip = EmulatedMachine::new(&loaded, Some(1_000_000_000), false).with_timing(self.timing);
        let compiled = Compiled::Spinnaker { quantized: &self.program.ir, image };
        let witnesses = Witnesses { float: Some(&float), compiled, model, chip: &chip };
        let inputs = match &self.network.nodes[NodeId(0)].node {
            Node::Input { shape } => shape[0] as u32,
            _ => 0,
        };
        let labels = vec![0; samples];
        let plan = Plan { samples, steps: STEPS, state_samples: 1, labels: Some(&labels), ..Plan::default() };
        verify(&witnesses, &plan, &|at| sample(inputs, at)).unwrap()
    }

    fn first(&self) -> FirstDivergence {
        let found = self.verify(2);
        assert!(!found.passes() && found.diagnostics()[0].to_string().contains("SNN0801"));
        found.exact.first.unwrap()
    }

    /// The core of a population.
    fn core(&mut self, name: &str) -> &mut NeuronCore {
        let image = &mut self.program.image;
        let number = image.populations.iter().find(|population| population.name == name).unwrap().locations[0].core;
        let (chip, core) = (number / image.cores_per_chip, number % image.cores_per_chip);
        let chip = image.chips.iter_mut().find(|found| found.chip == chip).unwrap();
        match &mut chip.cores.iter_mut().find(|found| found.core == core).unwrap().program {
            CoreProgram::Neurons(neurons) => neurons,
            CoreProgram::Injector(_) | CoreProgram::DelayExtension(_) => panic!("`{name}` has no neurons"),
        }
    }
}

/// Element `i` of sample `s` spikes in every step in which `t + s` is a multiple of `2 + i % 3`.
fn sample(inputs: u32, at: usize) -> Result<SampleInput, Diagnostics> {
    let mut spikes = SpikeTrain::new(inputs);
    for t in 1..=STEPS {
        spikes.push_step((0..inputs).filter(|element| (t + at as u32).is_multiple_of(2 + element % 3)));
    }
    let ports = vec![PortStimulus { port: "in".into(), spikes }];
    Ok(SampleInput { stimulus: Stimulus { ports, host_biases: vec![] }, ..SampleInput::default() })
}

#[test]
fn three_witnesses_agree() {
    for model in [Neuron::new(NeuronModel::If), leaky()] {
        // No sum of them is at a threshold, where rounding alone would decide.
        let weights = vec![0.53, 0.27, 0.71, 1.1, -0.24, 0.47];
        let found = Bench::new(network(3, 2, weights, model)).verify(3);
        assert!(found.passes(), "{:?}", found.exact);
        assert_eq!((found.exact.state_samples, found.exact.state_mismatches, found.exact.mismatches), (1, 0, 0));
        assert_eq!(found.losses.len(), 2);
        for loss in &found.losses {
            assert!(loss.float_spikes > 3, "{loss:?}");
            assert!(loss.matching_fraction > 0.9, "{loss:?}");
            assert!(loss.membrane_sqnr_db.unwrap() > 30.0, "{loss:?}");
        }
        let witnesses: Vec<&str> = found.accuracy.iter().map(|accuracy| &accuracy.witness[..]).collect();
        assert_eq!(witnesses, ["float", "integer", "emulator"]);
        assert!(found.saturations.iter().all(|row| (row.integer, row.chip) == (0, 0)));
        assert!(found.chip.synaptic_events > 0 && found.chip.packets > 0);
        assert!(found.chip.energy_fj.iter().any(|(part, energy)| part == "chips" && *energy > 0));
    }
}

/// A machine whose cores are so slow that rows are processed one step late.
fn slow() -> Target {
    let mut target = snncc_chip::target("spinnaker-emu").unwrap();
    let snncc_chip::CoreKind::Spinnaker(core) = &mut target.model.core else { panic!("another kind of chip") };
    core.costs.get_mut(&target.file.costs).unwrap().clock_hz.0 = 500_000;
    target
}

#[test]
fn late_packets_are_no_error() {
    // In time the levels are equal, and all witnesses.
    let weights = vec![0.53, 0.27, 0.71, 1.1, -0.24, 0.47];
    let mut bench = Bench::new(network(3, 2, weights, Neuron::new(NeuronModel::If)));
    let analytic = bench.verify(3);
    bench.timing = SpinnakerTiming::Link;
    let found = bench.verify(3);
    assert!(found.passes() && found.disturbances.is_empty(), "{:?}", found.disturbances);
    assert_eq!(found.chip.synaptic_events, analytic.chip.synaptic_events);
    // On a slow machine it matters.
    let mut bench = Bench::on(small(), slow());
    assert!(bench.verify(2).passes(), "nothing is late in the sums of cycles");
    bench.timing = SpinnakerTiming::Link;
    let found = bench.verify(2);
    assert!(found.differs_by_time_alone() && found.late_samples == 2, "{:?}", found.disturbances);
    let problem = found.diagnostics()[0].to_string();
    assert!(problem.contains("SNN0803") && problem.contains("late or lost"), "{problem}");
    let skipped = found.disturbances.iter().find(|row| row.what.contains("skipped")).unwrap();
    assert!(skipped.changes_results && skipped.count > 0 && skipped.place.starts_with("core "), "{skipped:?}");
    assert!(found.exact.first.is_some());
    // A wrong threshold is an error all the same, and is found among late packets.
    bench.core("hidden").neurons.v_threshold[1] *= 8;
    let found = bench.verify(2);
    assert!(!found.passes() && !found.differs_by_time_alone());
    assert!(found.diagnostics()[0].to_string().contains("SNN0801"));
    let first = found.exact.first.unwrap();
    assert!(first.cause.unwrap().starts_with("v_threshold is "), "the wrong neuron is named");
}

/// A leaky membrane.
fn leaky() -> Neuron {
    Neuron { tau_mem_s: Param::Uniform(4e-3), r: Param::Uniform(4.0), ..Neuron::new(NeuronModel::Lif) }
}

#[test]
fn a_wrong_threshold_is_named() {
    let mut bench = Bench::new(small());
    let threshold = bench.core("hidden").neurons.v_threshold[1];
    bench.core("hidden").neurons.v_threshold[1] = threshold * 8;
    let first = bench.first();
    // In step 2 the weight of 1 of input 0 reaches the threshold of neuron 1, in step 4 more comes.
    assert_eq!((&first.population[..], first.neuron, first.network_step), ("hidden", 1, 4));
    assert_eq!((first.integer.spike, first.chip.spike), (1, 0));
    let cause = first.cause.unwrap();
    assert_eq!(cause, format!("v_threshold is {} in the image, {threshold} in the quantized network", threshold * 8));
}

#[test]
fn a_wrong_weight_is_found_in_its_row() {
    let mut bench = Bench::new(small());
    let wanted = bench.program.ir.weights[snncc_ids::ProjectionId(0)][1];
    assert!(wanted > 1, "a weight from input 1 onto neuron 0");
    let core = bench.core("hidden");
    let memories = core.memories().unwrap();
    let format = memories.parameters.format;
    let mut changed = 0;
    for block in &memories.blocks {
        for row in (0..block.rows).filter_map(|row| block.row(row)) {
            // The words of a header decode to a weight of 0.
            for word in &mut core.synaptic_words[row] {
                let mut synapse = format.decode(*word);
                if synapse.target == 0 && synapse.synapse_type == 0 && i32::from(synapse.weight) == wanted {
                    synapse.weight -= 1;
                    *word = format.word(synapse);
                    changed += 1;
                }
            }
        }
    }
    assert_eq!(changed, 1);
    let first = bench.first();
    assert_eq!((&first.population[..], first.neuron), ("hidden", 0));
    assert!(first.integer.input > first.chip.input, "{first:?}");
    let cause = first.cause.unwrap();
    let told = format!("the synapse from `in`[1] has weight {} and delay 1 in the image, weight {wanted}", wanted - 1);
    assert!(cause.starts_with(&told) && cause.contains("ring-buffer slot holds"), "{cause}");
}

#[test]
fn lost_packets_are_told_apart_from_wrong_rows() {
    let mut bench = Bench::new(small());
    // No chip has a route to any core: packets go straight on and are lost, or end in a monitor.
    bench.program.image.chips.iter_mut().for_each(|chip| chip.routes.clear());
    let first = bench.first();
    assert_eq!(&first.population[..], "hidden");
    let cause = first.cause.unwrap();
    assert!(cause.contains("packets are lost, late or doubled on their way"), "{cause}");
}

#[test]
fn saturated_slots_are_no_mismatch() {
    // Slots hold what is expected of inputs that spike independently, not all of them at once.
    let inputs = 12 * 250;
    let found = Bench::new(network(inputs, 1, vec![0.5; inputs], Neuron::new(NeuronModel::If))).verify(1);
    assert!(found.passes(), "{:?}", found.exact);
    let slots = &found.saturations[0];
    assert_eq!(slots.kind, "ring_buffer");
    assert!(slots.chip > 0 && slots.integer == slots.chip, "{slots:?}");
}
