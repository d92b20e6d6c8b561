//! A small network past all witnesses: as it is, and with faults put into its image.

use crate::{Chip, ChipTrace, Compiled, EmulatedChip, Plan, SampleInput, Verification, Witnesses, verify};
use snncc_chip::{HardwareModel, Target};
use snncc_data::{HostBias, PortStimulus, SpikeTrain, Stimulus};
use snncc_emu::Program;
use snncc_ids::{Diagnostics, PopulationId};
use snncc_image::{
    AxonTable, AxonTarget, BlockLayout, CompartmentConfig, Compartments, CoreImage, CoreSettings, Entry, Image, InAxon,
    InputPort, Location, PopulationSymbol, SynapseFormat, SynapseList, ThresholdConfig, encode_block,
};
use snncc_ir::network::{Affine, Edge, Matrix, Neuron, NeuronModel, SynapseDelay};
use snncc_ir::{
    Connectivity, Delays, Graph, IntNeurons, IntWeights, Network, NetworkNode, Node, OutputPort, Param, Population,
    PopulationRole, Projection, QuantizedIr, Readout, ResetModel, SignMode, Tensor,
};
use snncc_reference::float::{FloatNetwork, FloatOptions};

/// Weights onto `hidden` (4 neurons, 3 inputs) and `out` (2 neurons): float weights are hundredths of the threshold.
const HIDDEN: [i32; 12] = [62, 38, -20, 34, 90, 14, -46, 22, 102, 70, 6, 54];
const OUT: [i32; 8] = [58, -32, 44, 10, -26, 76, 18, 66];
const STEPS: u32 = 40;
const HIDDEN_ID: PopulationId = PopulationId(1);

fn target() -> Target {
    snncc_chip::target("loihi-emu").unwrap()
}

/// Integrate-and-fire neurons with threshold 1.0: 100 << 6 integer units.
fn neurons(start_step: u32) -> IntNeurons {
    IntNeurons {
        decay_u: Param::Uniform(4095),
        decay_v: Param::Uniform(0),
        threshold_mantissa: Param::Uniform(100),
        bias_mantissa: Param::Uniform(0),
        bias_exponent: Param::Uniform(0),
        refractory: Param::Uniform(1),
        u_initial: Param::Uniform(0),
        v_initial: Param::Uniform(0),
        v_min_exponent: Some(23),
        v_max_exponent: Some(7),
        reset: ResetModel::Lif,
        noise: None,
        start_step,
        units_per_volt: Param::Uniform(6400.0),
        v_offset: Param::Uniform(0.0),
        spikes: true,
    }
}

fn quantized(readout: Readout) -> QuantizedIr {
    let population = |name: &str, shape: Vec<usize>, latency_steps| Population {
        name: name.into(),
        shape,
        role: if latency_steps == 0 { PopulationRole::Input } else { PopulationRole::Neurons },
        latency_steps,
        item: format!("nodes/{name}"),
    };
    let projection = |name: &str, source: u32, source_len, target_len| Projection {
        name: name.into(),
        source: PopulationId(source),
        target: PopulationId(source + 1),
        source_len,
        target_len,
        connectivity: Connectivity::Dense,
        delays: Delays::Uniform(1),
        item: "nodes/fc".into(),
    };
    let weights = |mantissas: &[i32]| IntWeights {
        mantissas: mantissas.to_vec(),
        exponent: 0,
        weight_bits: 8,
        sign_mode: SignMode::Mixed,
    };
    let mut out = neurons(3);
    if readout == Readout::Membrane {
        out.threshold_mantissa = Param::Uniform(131_071);
        out.spikes = false;
    }
    QuantizedIr {
        graph: Graph {
            populations: vec![
                population("in", vec![3], 0),
                population("hidden", vec![2, 2], 1),
                population("out", vec![2], 2),
            ]
            .into(),
            projections: vec![projection("in->hidden", 0, 3, 4), projection("hidden->out", 1, 4, 2)].into(),
        },
        neurons: vec![None, Some(neurons(2)), Some(out)].into(),
        weights: vec![weights(&HIDDEN), weights(&OUT)].into(),
        outputs: vec![OutputPort { name: "class".into(), population: PopulationId(2), readout }],
        dt_s: None,
        population_quality: vec![None; 3].into(),
        projection_quality: vec![None; 2].into(),
    }
}

/// The same network in floats.
fn float_network(readout: Readout) -> FloatNetwork {
    let affine = |mantissas: &[i32], outputs: usize, inputs: usize| {
        let weight = Tensor::new(vec![outputs, inputs], mantissas.iter().map(|m| f64::from(*m) / 100.0).collect());
        Node::Affine(Affine { weight: Matrix::Dense(weight), bias: None, delay: SynapseDelay::None })
    };
    let group = |shape: &[usize], model| Node::Neuron(Neuron { shape: Some(shape.to_vec()), ..Neuron::new(model) });
    let out = if readout == Readout::Membrane { NeuronModel::I } else { NeuronModel::If };
    let nodes = [
        ("in", Node::Input { shape: vec![3] }),
        ("fc1", affine(&HIDDEN, 4, 3)),
        ("hidden", group(&[4], NeuronModel::If)),
        ("fc2", affine(&OUT, 2, 4)),
        ("out", group(&[2], out)),
        ("class", Node::Output { shape: vec![2] }),
    ];
    let nodes = nodes.map(|(name, node)| NetworkNode { name: name.into(), node });
    let edges = (0..5).map(|at| Edge { source: snncc_ids::NodeId(at), target: snncc_ids::NodeId(at + 1) });
    let network = Network { nodes: nodes.to_vec().into(), edges: edges.collect(), ..Network::default() };
    FloatNetwork::new(&network, &FloatOptions::default()).unwrap_or_else(|fault| panic!("{fault}"))
}

fn table(rows: Vec<Vec<AxonTarget>>) -> AxonTable {
    let mut starts = vec![0];
    starts.extend(rows.iter().scan(0, |end, row| {
        *end += row.len() as u32;
        Some(*end)
    }));
    AxonTable { starts, targets: rows.concat() }
}

/// `hidden` on core 0, `out` on core 1; an axon and a list for each source; a second format with a delay field is there for
/// faults.
fn image(ir: &QuantizedIr, delay: impl Fn(u32, u32) -> u8) -> Image {
    let target = target();
    let formats = &target.model.loihi().formats;
    let layout = BlockLayout { format_bits: formats.block_format_bits.0, count_bits: formats.block_count_bits.0 };
    let mut cores = Vec::new();
    let mut populations = Vec::new();
    for (id, projection) in ir.graph.projections.iter_with_ids() {
        let population = &ir.graph.populations[projection.target];
        let parameters = ir.neurons[projection.target].as_ref().unwrap();
        let len = population.len();
        let format = SynapseFormat {
            weight_bits: 8,
            mantissa_shift: 1,
            sign_mode: snncc_image::SignMode::Mixed,
            exponent: ir.weights[id].exponent,
            delay_bits: 2,
            index_bits: Some(6),
            accumulator_group: 0,
            shared: false,
        };
        let (mut lists, mut synapse_words) = (Vec::new(), Vec::new());
        for source in 0..projection.source_len {
            let mut entries = Vec::new();
            projection.fan_out(source, |synapse| {
                let mantissa = ir.weights[id].mantissas[synapse.weight];
                entries.push(Entry { format: 0, index: synapse.other, delay: delay(source, synapse.other), mantissa });
            });
            let first_word = synapse_words.len() as u32;
            encode_block(&mut synapse_words, layout, 0, &format, &entries);
            lists.push(SynapseList { first_word, words: synapse_words.len() as u32 - first_word });
        }
        let core = cores.len() as u32;
        let to_next = |compartment: u32| {
            if id.0 == 0 { vec![AxonTarget { core: core + 1, axon: compartment }] } else { vec![] }
        };
        cores.push(CoreImage {
            core,
            settings: CoreSettings { v_min_exponent: Some(23), v_max_exponent: Some(7), delay_bits: 2, noise: None },
            compartment_configs: vec![CompartmentConfig {
                decay_u: parameters.decay_u.get(0) as u16,
                decay_v: parameters.decay_v.get(0) as u16,
                refractory: parameters.refractory.get(0) as u16,
                reset: snncc_image::ResetModel::Lif,
            }],
            threshold_configs: vec![ThresholdConfig {
                mantissa: parameters.threshold_mantissa.get(0) as i32,
                lower_mantissa: 0,
            }],
            synapse_formats: vec![format],
            compartments: Compartments {
                config: vec![0; len],
                threshold: vec![0; len],
                bias_mantissa: vec![0; len],
                bias_exponent: vec![0; len],
                start_step: vec![parameters.start_step; len],
                u_initial: vec![0; len],
                v_initial: vec![0; len],
            },
            in_axons: (0..projection.source_len).map(|list| InAxon { list, base: 0 }).collect(),
            lists,
            synapse_words,
            out_axons: table((0..len as u32).map(to_next).collect()),
            noise_samples: Vec::new(),
        });
        populations.push(PopulationSymbol {
            name: population.name.clone(),
            shape: population.shape.iter().map(|len| *len as u32).collect(),
            latency_steps: population.latency_steps,
            locations: (0..len as u32).map(|compartment| Location { core, compartment }).collect(),
            units_per_volt: vec![parameters.units_per_volt.get(0)],
        });
    }
    let readout = match ir.outputs[0].readout {
        Readout::Spikes => snncc_image::Readout::Spikes,
        Readout::Membrane => snncc_image::Readout::Membrane,
    };
    Image {
        model_name: target.model.name.clone(),
        model_hash: target.model.hash(),
        target_name: target.name().to_string(),
        cores,
        inputs: vec![InputPort {
            name: "in".into(),
            shape: vec![3],
            axons: table((0..3).map(|axon| vec![AxonTarget { core: 0, axon }]).collect()),
        }],
        outputs: vec![snncc_image::OutputPort { name: "class".into(), population: 1, readout }],
        populations,
        notes: Vec::new(),
    }
}

/// Input spikes of a sample: each element with a period of its own.
fn sample(at: usize) -> Result<SampleInput, Diagnostics> {
    let mut spikes = SpikeTrain::new(3);
    for t in 1..=STEPS as usize {
        spikes.push_step((0..3).filter(|element| (t + at).is_multiple_of(2 + (*element as usize + at) % 3)));
    }
    let ports = vec![PortStimulus { port: "in".into(), spikes }];
    Ok(SampleInput { stimulus: Stimulus { ports, host_biases: vec![] }, analog: vec![], whole: None })
}

struct Bench {
    ir: QuantizedIr,
    image: Image,
    model: HardwareModel,
    float: FloatNetwork,
}

impl Bench {
    fn new(readout: Readout) -> Self {
        let ir = quantized(readout);
        Self { image: image(&ir, |_, _| 0), ir, model: target().model, float: float_network(readout) }
    }

    fn verify(&self, plan: &Plan<'_>) -> Result<Verification, Diagnostics> {
        let program = Program::load(&self.image, &target()).unwrap_or_else(|fault| panic!("{fault}"));
        self.verify_on(&EmulatedChip::new(&program, true, false), plan, &sample)
    }

    fn verify_on(
        &self,
        chip: &dyn Chip,
        plan: &Plan<'_>,
        sample: &(dyn Fn(usize) -> Result<SampleInput, Diagnostics> + Sync),
    ) -> Result<Verification, Diagnostics> {
        let Self { ir, image, model, float } = self;
        let compiled = Compiled::Compartments { quantized: ir, image };
        verify(&Witnesses { float: Some(float), compiled, model, chip }, plan, sample)
    }
}

fn plan(samples: usize) -> Plan<'static> {
    Plan { samples, steps: STEPS, state_samples: 1, ..Plan::default() }
}

#[test]
fn three_witnesses_agree() {
    let bench = Bench::new(Readout::Spikes);
    let labels = [0, 1, 1];
    let plan = Plan { labels: Some(&labels), van_rossum_tau_steps: Some(5.0), ..plan(3) };
    let found = bench.verify(&plan).unwrap();
    assert!(found.passes(), "{:?}", found.exact);
    assert_eq!((found.chip_steps, found.exact.state_samples, found.exact.state_mismatches), (STEPS + 2, 1, 0));
    assert_eq!(found.float_divergence, None);
    for loss in &found.losses {
        assert!(loss.float_spikes > 10, "{loss:?}");
        assert_eq!((loss.integer_spikes, loss.matching_spikes), (loss.float_spikes, loss.float_spikes));
        assert_eq!((loss.count_ratio, loss.matching_fraction, loss.van_rossum), (Some(1.0), 1.0, Some(0.0)));
        assert!(loss.rate_correlation.unwrap() > 0.999_999);
        // Equal up to the rounding of hundredths.
        assert!(loss.membrane_sqnr_db.unwrap() > 200.0, "{loss:?}");
    }
    for prediction in &found.predictions {
        assert_eq!((prediction.float, prediction.integer), (Some(prediction.integer), prediction.chip));
    }
    let correct = found.predictions.iter().filter(|p| p.label == Some(p.chip)).count() as u64;
    assert_eq!(found.accuracy.len(), 3);
    assert!(found.accuracy.iter().all(|accuracy| (accuracy.correct, accuracy.samples) == (correct, 3)));
    assert!(found.flipped.is_empty());
    let chip = &found.chip;
    assert!(chip.synaptic_events > 0 && chip.packets > 0 && chip.time_ps > 0);
    assert!(chip.energy_fj.iter().any(|(part, energy)| part == "synapses" && *energy > 0));
}

#[test]
fn threads_change_nothing() {
    let bench = Bench::new(Readout::Spikes);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| bench.verify(&Plan { van_rossum_tau_steps: Some(3.0), ..plan(9) }).unwrap())
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn membranes_are_read_at_the_end() {
    let bench = Bench::new(Readout::Membrane);
    let found = bench.verify(&plan(4)).unwrap();
    assert!(found.passes() && found.float_divergence.is_none());
    assert_eq!(found.predictions.len(), 4);
    assert!(found.predictions.iter().all(|p| p.float == Some(p.integer) && p.integer == p.chip));
}

/// The first divergence after a fault, checked against a hand-made expectation.
fn first(bench: &Bench) -> crate::FirstDivergence {
    let found = bench.verify(&plan(2)).unwrap();
    assert!(!found.passes());
    let text = found.diagnostics()[0].to_string();
    assert!(text.contains("SNN0801"), "{text}");
    found.exact.first.unwrap()
}

#[test]
fn a_wrong_weight_is_found_where_it_first_arrives() {
    let mut bench = Bench::new(Readout::Spikes);
    let mut faulty = bench.ir.clone();
    // From input 1 onto hidden[1,0], which is neuron 2.
    faulty.weights = faulty
        .weights
        .iter()
        .cloned()
        .enumerate()
        .map(|(at, mut weights)| {
            if at == 0 {
                weights.mantissas[2 * 3 + 1] = 24;
            }
            weights
        })
        .collect();
    bench.image = image(&faulty, |_, _| 0);
    let first = first(&bench);
    // Input 1 of sample 0 spikes every third step, first in step 3.
    assert_eq!((first.sample, first.chip_step, first.network_step), (0, 4, 3));
    assert_eq!((&first.population[..], first.neuron, &first.index[..]), ("hidden", 2, &[1, 0][..]));
    assert_eq!((first.core, first.compartment), (0, 2));
    assert_eq!((first.integer.input, first.chip.input), (22 * 64, 24 * 64));
    let cause = first.cause.unwrap();
    let expected = "the synapse from `in`[1] has weight 24 and delay 1 in the image, weight 22 and delay 1 in the quantized \
                    network, a spike of step 3 arrives through it (1 of the neuron's 3 synapses differ)";
    assert_eq!(cause, expected);
}

#[test]
fn a_wrong_delay_and_a_missing_axon_are_told() {
    let mut bench = Bench::new(Readout::Spikes);
    bench.image = image(&bench.ir, |source, target| u8::from((source, target) == (2, 1)));
    let late = first(&bench);
    assert_eq!((late.neuron, late.chip.input), (1, late.integer.input - 14 * 64));
    assert!(late.cause.unwrap().contains("weight 14 and delay 2 in the image, weight 14 and delay 1 in the"));

    bench.image = image(&bench.ir, |_, _| 0);
    bench.image.cores[0].out_axons = table(vec![
        vec![AxonTarget { core: 1, axon: 0 }],
        vec![],
        vec![AxonTarget { core: 1, axon: 2 }],
        vec![AxonTarget { core: 1, axon: 3 }],
    ]);
    let missing = first(&bench);
    assert_eq!((&missing.population[..], missing.neuron), ("out", 0));
    assert!(missing.cause.unwrap().starts_with("the synapse from `hidden`[1] with weight -32 and delay 1 is missing"));
}

#[test]
fn wrong_registers_are_named() {
    let mut bench = Bench::new(Readout::Spikes);
    bench.image.cores[0].threshold_configs[0].mantissa = 150;
    let first_threshold = first(&bench);
    assert_eq!(first_threshold.integer.u, first_threshold.chip.u);
    assert_eq!((first_threshold.integer.spike, first_threshold.chip.spike), (1, 0));
    let cause = first_threshold.cause.unwrap();
    assert_eq!(cause, "the threshold mantissa is 150 in the image, 100 in the quantized network");

    // A bias of one unit on one neuron shows in the voltage long before a spike differs.
    let mut bench = Bench::new(Readout::Spikes);
    bench.image.cores[1].compartments.bias_mantissa[1] = 1;
    let first_bias = first(&bench);
    assert_eq!((first_bias.chip_step, first_bias.network_step, first_bias.neuron), (3, 1, 1));
    assert_eq!((first_bias.integer.v, first_bias.chip.v), (0, 1));
    assert_eq!(first_bias.cause.unwrap(), "the bias is 1 in the image, 0 in the quantized network");
}

/// An emulator with a fault of its own.
struct Faulty<'a>(EmulatedChip<'a>);

impl Chip for Faulty<'_> {
    fn run(&self, input: &SampleInput, steps: u32, state: &[usize]) -> Result<ChipTrace, Diagnostics> {
        let mut trace = self.0.run(input, steps, state)?;
        if let Some(last) = trace.state.first_mut() {
            // Neuron 3 of the first population, from step 10 on.
            last.u.iter_mut().skip(9 * 4 + 3).step_by(4).for_each(|u| *u -= 1 << 24);
        }
        Ok(trace)
    }
}

#[test]
fn a_fault_of_the_emulator_itself_is_told_apart() {
    let bench = Bench::new(Readout::Spikes);
    let program = Program::load(&bench.image, &target()).unwrap();
    let found = bench.verify_on(&Faulty(EmulatedChip::new(&program, false, false)), &plan(2), &sample).unwrap();
    assert_eq!((found.exact.mismatches, found.exact.differing_samples), (0, 1));
    let first = found.exact.first.unwrap();
    assert_eq!((first.chip_step, first.neuron), (10, 3));
    assert!(first.cause.unwrap().starts_with("the dendritic input left its register and wrapped on one side only"));
}

#[test]
fn quantization_loss_is_measured_and_its_first_spike_found() {
    let mut bench = Bench::new(Readout::Spikes);
    // A threshold of 0.9 instead of 1.0 in both integer witnesses.
    bench.ir.neurons[HIDDEN_ID].as_mut().unwrap().threshold_mantissa = Param::Uniform(90);
    bench.image = image(&bench.ir, |_, _| 0);
    let found = bench.verify(&plan(3)).unwrap();
    assert!(found.passes());
    let loss = &found.losses[0];
    assert!(loss.integer_spikes > loss.float_spikes && loss.matching_fraction < 1.0, "{loss:?}");
    assert!(loss.membrane_sqnr_db.unwrap() < 40.0);
    let first = found.float_divergence.unwrap();
    assert_eq!((first.sample, first.chip_step, first.float_spikes), (0, first.network_step + 1, false));
    assert_eq!(first.threshold, 0.9);
    let silent = first.silent_v.unwrap();
    assert!(silent > 0.9 && silent <= 1.0, "{first:?}");
    assert!((first.float_v_before.unwrap_or(0.0) - first.integer_v_before.unwrap_or(0.0)).abs() < 1e-9);
}

#[test]
fn spikes_of_another_tool_are_compared_with_chip_and_floats() {
    let bench = Bench::new(Readout::Spikes);
    let float = |at: usize| {
        let input = sample(at).unwrap();
        let record = snncc_reference::float::Record { spikes: true, ..Default::default() };
        bench.float.run(&(&input.stimulus).into(), STEPS, &record).unwrap()
    };
    let spikes = |at: usize, name: &str| float(at).population(name).unwrap().spikes.clone().unwrap();
    let same = |at: usize| vec![("out".to_string(), spikes(at, "out")), ("hidden".to_string(), spikes(at, "hidden"))];
    let found = bench.verify(&Plan { other_tool: Some(&same), ..plan(2) }).unwrap();
    assert!(found.passes());
    let tool = found.other_tool.unwrap();
    assert!(tool.populations.iter().all(|p| p.tool_spikes > 0 && p.chip_mismatches == 0));

    let late = |at: usize| {
        let mut train = spikes(at, "hidden");
        if at == 1 {
            train = SpikeTrain::from_events(4, STEPS, &train.events().skip(1).map(|e| (e.0, e.1)).collect::<Vec<_>>())
                .unwrap();
        }
        vec![("hidden".to_string(), train)]
    };
    let found = bench.verify(&Plan { other_tool: Some(&late), ..plan(2) }).unwrap();
    let diagnostics = found.diagnostics();
    assert_eq!((diagnostics.len(), diagnostics[0].code.number()), (1, "SNN0802"));
    assert!(diagnostics[0].notes[0].contains("the emulator spikes, the other tool does not"), "{diagnostics:?}");
    let tool = found.other_tool.unwrap();
    assert_eq!(tool.first_with_chip.as_ref().map(|first| first.sample), Some(1));
    assert_eq!(tool.first_with_chip, tool.first_with_float);
    assert_eq!((tool.populations[0].chip_mismatches, tool.populations[0].float_mismatches), (1, Some(1)));

    let unknown = |_| vec![("hiden".to_string(), SpikeTrain::silent(4, STEPS))];
    let faults = bench.verify(&Plan { other_tool: Some(&unknown), ..plan(1) }).unwrap_err();
    assert_eq!(faults.0[0].help, ["did you mean `hidden`?"]);
}

#[test]
fn constant_currents_reach_all_witnesses() {
    let mut bench = Bench::new(Readout::Spikes);
    bench.ir.neurons[HIDDEN_ID].as_mut().unwrap().bias_mantissa = Param::Uniform(3);
    bench.image = image(&bench.ir, |_, _| 0);
    bench.image.cores[0].compartments.bias_mantissa = vec![3; 4];
    // 0.7 · 6400 + 3 = 4483 needs exponent 1, where it is a tie: 2241.5 goes to 2242 · 2.
    let current = vec![0.7, 0.01, -0.02, 0.3];
    let with_current = |at: usize| {
        let mut input = sample(at)?;
        input.stimulus.host_biases = vec![HostBias { population: "hidden".into(), current: current.clone() }];
        Ok(input)
    };
    let added = crate::added_bias(&with_current(0).unwrap().stimulus, &bench.ir, &bench.model).unwrap();
    assert_eq!(added[0].bias, [4481, 64, -128, 1920]);
    let program = Program::load(&bench.image, &target()).unwrap();
    let found = bench.verify_on(&EmulatedChip::new(&program, false, false), &plan(2), &with_current).unwrap();
    assert!(found.passes(), "{:?}", found.exact.first);
    assert!(found.losses[0].matching_fraction > 0.8, "{:?}", found.losses[0]);
}

#[test]
fn an_image_of_another_network_is_refused() {
    let mut bench = Bench::new(Readout::Spikes);
    bench.image.populations[0].name = "elsewhere".into();
    let fault = bench.verify(&plan(1)).unwrap_err().to_string();
    assert!(fault.contains("no population `hidden` of 4 neurons"), "{fault}");
}
