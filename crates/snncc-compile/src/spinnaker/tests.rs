use super::*;
use crate::{NoObserver, Options};
use snncc_chip::{Target, target};
use snncc_ids::{NodeId, PopulationId, ProjectionId};
use snncc_image::spinnaker::{CoreProgram, NeuronCore};
use snncc_ir::network::{Affine, Edge, Matrix, Neuron, NeuronModel, Reset, SynapseDelay};
use snncc_ir::spinnaker::{NeuronProgram, SpikeReset};
use snncc_ir::{Graph, NetworkNode, Node, Param, Tensor};
use std::collections::BTreeMap;

/// Pseudo-random numbers from −0.5 to 0.5.
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

fn neuron(model: NeuronModel, len: usize, reset: Reset) -> Node {
    Node::Neuron(Neuron { shape: Some(vec![len]), reset, ..Neuron::new(model) })
}

fn dense(inputs: usize, outputs: usize, seed: u64) -> Node {
    let weight = Matrix::Dense(Tensor::new(vec![outputs, inputs], numbers(inputs * outputs, seed)));
    Node::Affine(Affine { weight, bias: None, delay: Default::default() })
}

/// Nodes in a row.
fn row(nodes: Vec<(&str, Node)>) -> Network {
    let edges = (1..nodes.len() as u32).map(|at| Edge { source: NodeId(at - 1), target: NodeId(at) }).collect();
    let nodes: Vec<NetworkNode> =
        nodes.into_iter().map(|(name, node)| NetworkNode { name: name.to_owned(), node }).collect();
    Network { dt_s: Some(1e-3), nodes: nodes.into(), edges, ..Network::default() }
}

fn two_layers(reset: Reset) -> Network {
    row(vec![
        ("in", Node::Input { shape: vec![300] }),
        ("fc1", dense(300, 400, 1)),
        ("hidden", neuron(NeuronModel::If, 400, reset)),
        ("fc2", dense(400, 10, 2)),
        ("last", neuron(NeuronModel::If, 10, reset)),
        ("out", Node::Output { shape: vec![10] }),
    ])
}

fn compiled(network: &Network, target: &Target) -> Result<Compiled, Diagnostics> {
    let options = Options::default();
    compile(network, &mut Ctx { target, options: &options, calibration: None, observer: &mut NoObserver })
}

/// (source population, neuron, target population, neuron) → (weight, delay) of all synapses between them.
type Synapses = BTreeMap<(u32, u32, u32, u32), Vec<(i32, u32)>>;

/// The synapses that the memories must hold.
fn wanted(ir: &SpinnakerIr) -> Synapses {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for (id, projection) in ir.graph.projections.iter_with_ids() {
        for source in 0..projection.source_len {
            projection.fan_out(source, |synapse| {
                let weight = ir.weights[id][synapse.weight];
                if weight != 0 {
                    let key = (projection.source.0, source, projection.target.0, synapse.other);
                    all.entry(key).or_default().push((weight, projection.delays.get(source, synapse.weight)));
                }
            });
        }
    }
    all.values_mut().for_each(|synapses| synapses.sort_unstable());
    all
}

/// The same from the memories of the cores, by key look-up.
fn found(compiled: &Compiled) -> Synapses {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    let cores: BTreeMap<(u32, u32), &NeuronCore> = (compiled.image.chips.iter())
        .flat_map(|chip| chip.cores.iter().map(move |core| (chip.chip, core)))
        .filter_map(|(chip, core)| match &core.program {
            CoreProgram::Neurons(neurons) => Some(((chip, core.core), neurons)),
            CoreProgram::Injector(_) | CoreProgram::DelayExtension(_) => None,
        })
        .collect();
    let slices = &compiled.split.slices;
    let place = |slice: usize| (compiled.mapping.chips[slice], u32::from(compiled.mapping.cores[slice]));
    for (at, target) in slices.iter().enumerate() {
        let Some(core) = cores.get(&place(at)) else { continue };
        let memories = core.memories().unwrap();
        for from in 0..compiled.split.vertices() {
            let (source, extension) = (compiled.split.slice_of(from), from.checked_sub(slices.len()));
            for number in 0..compiled.split.sources(from) {
                let (neuron, later) = match extension.map(|at| compiled.split.extensions[at]) {
                    None => (number, 0),
                    Some(at) => (at.first + number % at.len, (1 + number / at.len) << at.delay_bits),
                };
                let key = compiled.mapping.keys[from].key + (number << 4);
                for range in memories.look_up(key).unwrap().unwrap_or_default() {
                    let words = snncc_image::spinnaker::layout::row_synapses(&core.synaptic_words[range]).unwrap();
                    for word in words {
                        let synapse = memories.parameters.format.decode(*word);
                        let sign = if synapse.synapse_type == 1 { -1 } else { 1 };
                        let ends = (
                            source.population.0,
                            source.first + neuron,
                            target.population.0,
                            target.first + synapse.target,
                        );
                        all.entry(ends).or_default().push((sign * i32::from(synapse.weight), later + synapse.delay));
                    }
                }
            }
        }
    }
    all.values_mut().for_each(|synapses| synapses.sort_unstable());
    all
}

#[test]
fn memories_hold_every_synapse_once() {
    let compiled = compiled(&two_layers(Reset::ToValue), &target("spinnaker-emu").unwrap()).unwrap();
    let lens: Vec<u32> = compiled.split.slices.iter().map(|slice| slice.len).collect();
    assert_eq!(lens, [150, 150, 200, 200, 10]);
    let wanted = wanted(&compiled.ir);
    assert!(wanted.len() > 100_000);
    assert!(wanted == found(&compiled), "synapses differ");
    assert_eq!(compiled.walk.deliveries, 2 * 2 + 2);
}

/// 300 inputs onto 400 neurons, each synapse with a delay of its own up to `longest` steps on the chip.
fn delayed(longest: u32) -> Network {
    let Node::Affine(affine) = dense(300, 400, 1) else { unreachable!() };
    let delays = (0..300 * 400_u32).map(|at| at.wrapping_mul(2_654_435_761) % longest).collect();
    row(vec![
        ("in", Node::Input { shape: vec![300] }),
        ("fc", Node::Affine(Affine { delay: SynapseDelay::PerSynapse(delays), ..affine })),
        ("n", neuron(NeuronModel::If, 400, Reset::ToValue)),
        ("out", Node::Output { shape: vec![400] }),
    ])
}

#[test]
fn long_delays_take_the_fewest_cores() {
    let target = target("spinnaker-48chip").unwrap();
    let split = |longest| {
        let compiled = compiled(&delayed(longest), &target).unwrap();
        assert!(wanted(&compiled.ir) == found(&compiled), "synapses differ");
        compiled.split
    };
    // 256 neurons leave room for 32 slots.
    let short = split(32);
    assert_eq!((short.slices.len(), short.extensions.len(), short.slices[2].delay_bits), (4, 0, 5));
    // 128 slots would take seven slices of neurons (of 64); two slices with stages of 32 steps take two extensions.
    let long = split(128);
    assert_eq!((long.slices.len(), long.extensions.len()), (4, 2));
    assert_eq!((long.extensions[0].stages, long.extensions[0].len, long.slices[2].delay_bits), (3, 150, 5));
    // The sources of each of them have rows.
    assert!(long.sent.iter().flatten().map(|word| word.count_ones()).sum::<u32>() == 900);
    // What an extension holds is bounded by its data memory: 19 bytes a step for 150 neurons, so two for each slice of inputs.
    let longest = split(4_000);
    assert_eq!((longest.slices.len(), longest.extensions.len()), (4, 4));
}

#[test]
fn delays_that_nothing_holds_are_refused() {
    let mut target = target("spinnaker-emu").unwrap();
    let snncc_chip::CoreKind::Spinnaker(core) = &mut target.model.core else { panic!("another kind of chip") };
    core.limits.dtcm_bytes.0 = 12_000;
    let problems = compiled(&delayed(20_000), &target).unwrap_err();
    assert_eq!((problems.0.len(), problems.0[0].code.number()), (1, "SNN0404"));
    assert_eq!(problems.0[0].item.as_deref(), Some("nodes/fc"));
    // Two stages of 4096 steps, a byte each, and 1024 bytes of spikes that wait fit.
    assert!(problems.0[0].message.contains("hold 12288 at most"), "{}", problems.0[0].message);
}

#[test]
fn cores_have_left_shifts_of_their_own() {
    // The last neurons have small weights.
    let mut network = two_layers(Reset::ToValue);
    let Node::Affine(affine) = &mut network.nodes[NodeId(1)].node else { unreachable!() };
    let Matrix::Dense(weight) = &mut affine.weight else { unreachable!() };
    weight.data[200 * 300..].iter_mut().for_each(|weight| *weight /= 20.0);
    let compiled = compiled(&network, &target("spinnaker-emu").unwrap()).unwrap();
    let hidden = neurons(&compiled.ir, "hidden");
    let shifts = &hidden.synapse_types[0].left_shift;
    assert_eq!(compiled.split.slices[2].len, 200);
    assert_eq!(shifts.get(0) - shifts.get(399), 4, "{shifts:?}");
    assert!((0..400).all(|at| shifts.get(at) == shifts.get(at / 200 * 200)));
    assert!(wanted(&compiled.ir) == found(&compiled), "synapses differ");
}

#[test]
fn bit_fields_tell_empty_rows() {
    let mut network = two_layers(Reset::ToValue);
    let Node::Affine(affine) = &mut network.nodes[NodeId(1)].node else { unreachable!() };
    let Matrix::Dense(weight) = &mut affine.weight else { unreachable!() };
    // Nothing leads from input 7 to the first slice of neurons.
    (0..200).for_each(|target| weight.data[target * 300 + 7] = 0.0);
    let compiled = compiled(&network, &target("spinnaker-emu").unwrap()).unwrap();
    assert!(wanted(&compiled.ir) == found(&compiled), "synapses differ");
    let fields = compiled.image.chips.iter().flat_map(|chip| &chip.cores).filter_map(|core| match &core.program {
        CoreProgram::Neurons(neurons) if !neurons.bit_fields.is_empty() => Some(&neurons.bit_fields),
        _ => None,
    });
    let fields: Vec<_> = fields.collect();
    // 150 inputs of two slices: five words each, one bit missing.
    assert_eq!(fields.len(), 1);
    assert_eq!((fields[0].len(), fields[0].iter().map(|word| word.count_ones()).sum::<u32>()), (10, 299));
}

#[test]
fn broken_parts_are_left_out() {
    let mut target = target("spinnaker-48chip").unwrap();
    let network = two_layers(Reset::BySubtraction);
    let whole = compiled(&network, &target).unwrap();
    // The chip that served is gone, of the others only three cores are left, and no chip has a link east.
    let chip = whole.mapping.chips[0];
    target.file.dead_chips = vec![(chip % 8, chip / 8)];
    target.file.dead_cores = (0..64_u32).flat_map(|chip| (3..16).map(move |core| chip * 18 + core)).collect();
    target.file.dead_links = (0..64_u32).map(|chip| (chip % 8, chip / 8, 0)).collect();
    let compiled = compiled(&network, &target).unwrap();
    assert!(compiled.mapping.chips.iter().all(|at| *at != chip));
    let used: Vec<(u32, u32)> = (compiled.image.chips.iter())
        .flat_map(|chip| chip.cores.iter().map(move |core| (chip.chip, core.core)))
        .collect();
    assert_eq!(used.len(), compiled.split.slices.len());
    assert!(used.iter().all(|(chip, core)| !target.file.dead_cores.contains(&(chip * 18 + core))));
    assert!(compiled.image.chips.iter().all(|chip| chip.routes.iter().all(|entry| entry.route & 1 == 0)));
    // Routes name the cores that are used.
    let routed =
        compiled.image.chips.iter().map(|chip| chip.routes.iter().fold(0, |all, entry| all | entry.route >> 6));
    for (chip, cores) in compiled.image.chips.iter().zip(routed) {
        let neurons = chip.cores.iter().filter(|core| matches!(core.program, CoreProgram::Neurons(_)));
        assert_eq!(cores, neurons.fold(0, |all, core| all | 1 << core.core), "chip {}", chip.chip);
    }
}

fn quantized(network: &Network) -> Result<SpinnakerIr, Diagnostics> {
    let (target, options) = (target("spinnaker-emu").unwrap(), Options::default());
    let mut ctx = Ctx { target: &target, options: &options, calibration: None, observer: &mut NoObserver };
    let ir = crate::lowered(network, &mut ctx)?;
    let split = split(&ir.graph, occupied(&ir), &ctx)?;
    quantize(ir, &split, &mut ctx)
}

fn neurons<'a>(ir: &'a SpinnakerIr, name: &str) -> &'a snncc_ir::spinnaker::SpinnakerNeurons {
    let find = |graph: &Graph| {
        graph.populations.iter_with_ids().find(|(_, population)| population.name == name).map(|(id, _)| id)
    };
    let id: PopulationId = find(&ir.graph).expect("a population");
    ir.neurons[id].as_ref().unwrap()
}

#[test]
fn scales_fill_slots_and_thresholds_are_whole() {
    let ir = quantized(&two_layers(Reset::BySubtraction)).unwrap();
    let hidden = neurons(&ir, "hidden");
    assert_eq!((hidden.program, hidden.reset), (NeuronProgram::Delta, SpikeReset::BySubtraction));
    let units = hidden.units_per_volt.get(0);
    // v > 1: the threshold is one unit above 1 V, and 1 V is a whole number of units.
    assert_eq!(f64::from(hidden.v_threshold.get(0)), units + 1.0);
    assert_eq!(hidden.membrane_keep, Param::Uniform(1 << 15));
    // No neuron's slot can overflow, and the largest weights have 8 bits and more.
    let (projection, weights) = (&ir.graph.projections[ProjectionId(0)], &ir.weights[ProjectionId(0)]);
    let mut sums = vec![[0_u32; 2]; 400];
    for source in 0..projection.source_len {
        projection.fan_out(source, |synapse| {
            let weight = weights[synapse.weight];
            sums[synapse.other as usize][usize::from(weight < 0)] += weight.unsigned_abs();
        });
    }
    let most = sums.iter().flatten().max().unwrap();
    assert!((60_000..1 << 16).contains(most), "{most}");
    assert!(weights.iter().any(|weight| weight.abs() >= 1 << 8));
    // What a weight is worth: `w << shift` units.
    let exact = numbers(300 * 400, 1);
    let at = weights.iter().position(|weight| *weight > 100).unwrap();
    let shift = hidden.synapse_types[0].left_shift.get(at / 300);
    let worth = f64::from(weights[at] << shift) / units;
    assert!((worth - exact[at]).abs() < f64::from(1_u32 << shift) / units, "{worth} {}", exact[at]);
}

#[test]
fn what_no_program_does_is_refused() {
    let filtered = |tau_mem: f64| {
        let model = NeuronModel::CubaLif;
        let Node::Neuron(neuron) = neuron(model, 4, Reset::ToValue) else { unreachable!() };
        let neuron = Neuron { tau_mem_s: Param::Uniform(tau_mem), tau_syn_s: Param::Uniform(5e-3), ..neuron };
        row(vec![
            ("in", Node::Input { shape: vec![4] }),
            ("fc", dense(4, 4, 3)),
            ("n", Node::Neuron(neuron)),
            ("out", Node::Output { shape: vec![4] }),
        ])
    };
    let leaky = quantized(&filtered(20e-3)).unwrap();
    let n = neurons(&leaky, "n");
    assert_eq!(n.program, NeuronProgram::CurrentExponential);
    // keep = 0.95 and 0.8.
    assert_eq!((n.membrane_keep.get(0), n.synapse_types[0].decay.get(0)), (31_130, 3_435_973_837));
    assert_eq!(n.resistance.get(0), ((1_u64 << 30) as f64 / f64::from(32_768 - 31_130)).round() as i32);
    let problems = quantized(&filtered(1e3)).unwrap_err();
    assert_eq!((problems.0[0].code.number(), problems.0[0].item.as_deref()), ("SNN0205", Some("nodes/n/tau_mem")));
}
