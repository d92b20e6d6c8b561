//! Random networks and chips.

use generator::Rng;
use proptest::prelude::*;
use snncc_chip::{HardwareModel, Limit, Target, hardware_model, target};
use snncc_ids::{CoreId, IdVec, PopulationId};
use snncc_ir::network::{MappingRequest, Pin};
use snncc_ir::{
    Connectivity, ConvolutionGeometry, Delays, Graph, IntNeurons, IntWeights, NoiseParams, NoiseTarget, OutputPort,
    Param, Population, PopulationRole, Projection, QuantizedIr, Readout, ResetModel, SignMode, SparsePattern,
};

/// A small generator of its own, so that a case is one number.
pub(crate) mod generator {
    /// SplitMix64.
    pub(crate) struct Rng(pub(crate) u64);

    impl Rng {
        pub(crate) fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        /// In `low ..= high`.
        pub(crate) fn range(&mut self, low: u64, high: u64) -> u64 {
            low + self.next() % (high - low + 1)
        }

        pub(crate) fn chance(&mut self, percent: u64) -> bool {
            self.next() % 100 < percent
        }

        pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
            from[self.next() as usize % from.len()]
        }
    }
}

/// Neurons with the plainest parameters.
pub(crate) fn plain_neurons() -> IntNeurons {
    IntNeurons {
        decay_u: Param::Uniform(4095),
        decay_v: Param::Uniform(128),
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
        start_step: 1,
        units_per_volt: Param::Uniform(1.0),
        v_offset: Param::Uniform(0.0),
        spikes: true,
    }
}

/// Builds a [`QuantizedIr`] step by step.
#[derive(Default)]
pub(crate) struct Builder {
    graph: Graph,
    neurons: Vec<Option<IntNeurons>>,
    weights: Vec<IntWeights>,
}

impl Builder {
    pub(crate) fn population(&mut self, name: &str, shape: &[usize], neurons: Option<IntNeurons>) -> PopulationId {
        let role = if neurons.is_some() { PopulationRole::Neurons } else { PopulationRole::Input };
        self.neurons.push(neurons);
        self.graph.populations.push(Population {
            name: name.into(),
            shape: shape.to_vec(),
            role,
            latency_steps: self.graph.populations.len() as u32,
            item: format!("nodes/{name}"),
        })
    }

    pub(crate) fn shape(&self, id: PopulationId) -> &[usize] {
        &self.graph.populations[id].shape
    }

    pub(crate) fn project(
        &mut self,
        source: PopulationId,
        target: PopulationId,
        connectivity: Connectivity,
        delays: Delays,
        weights: impl FnOnce(usize) -> IntWeights,
    ) {
        let (from, to) = (&self.graph.populations[source], &self.graph.populations[target]);
        let projection = Projection {
            name: format!("{}->{}", from.name, to.name),
            source,
            target,
            source_len: from.len() as u32,
            target_len: to.len() as u32,
            connectivity,
            delays,
            item: format!("nodes/{}", to.name),
        };
        self.weights.push(weights(projection.weight_count()));
        self.graph.projections.push(projection);
    }

    pub(crate) fn finish(self) -> QuantizedIr {
        let outputs = self
            .neurons
            .iter()
            .rposition(Option::is_some)
            .map(|last| OutputPort {
                name: "output".into(),
                population: PopulationId(last as u32),
                readout: Readout::Spikes,
            })
            .into_iter()
            .collect();
        let ir = QuantizedIr {
            population_quality: self.neurons.iter().map(|_| None).collect(),
            projection_quality: self.weights.iter().map(|_| None).collect(),
            graph: self.graph,
            neurons: self.neurons.into(),
            weights: IdVec::from(self.weights),
            outputs,
            dt_s: None,
        };
        ir.assert_consistent();
        ir
    }
}

/// Random weights on the grid of their width and signs; `zeros` in percent, from `values` different ones.
pub(crate) fn random_weights(rng: &mut Rng, len: usize, bits: u8, zeros: u64, values: u64) -> IntWeights {
    let sign_mode = rng.pick(&[SignMode::Mixed, SignMode::Excitatory, SignMode::Inhibitory]);
    let shift = 8 - bits + u8::from(sign_mode == SignMode::Mixed);
    let offset = rng.next();
    let mantissas = (0..len)
        .map(|_| {
            if rng.chance(zeros) {
                return 0;
            }
            let step = (rng.range(0, values - 1).wrapping_mul(37) ^ offset) % (1 << bits);
            match sign_mode {
                SignMode::Mixed => (step as i32 - (1 << (bits - 1))) << shift,
                SignMode::Excitatory => (step as i32) << shift,
                SignMode::Inhibitory => -((step as i32) << shift),
            }
        })
        .collect();
    IntWeights { mantissas, exponent: rng.range(0, 4) as i8 - 2, weight_bits: bits, sign_mode }
}

fn random_neurons(rng: &mut Rng, len: usize) -> IntNeurons {
    let mut neurons = plain_neurons();
    let some = |rng: &mut Rng, values: &[i64]| {
        if rng.chance(70) {
            Param::Uniform(rng.pick(values))
        } else {
            Param::PerNeuron((0..len).map(|_| rng.pick(values)).collect())
        }
    };
    neurons.decay_u = some(rng, &[4095, 100]);
    neurons.decay_v = some(rng, &[0, 64]);
    neurons.threshold_mantissa = some(rng, &[10, 20, 30]);
    neurons.bias_mantissa = some(rng, &[0, -5, 7]);
    neurons.refractory = some(rng, &[1, 2]);
    neurons.v_initial = some(rng, &[0, 64]);
    neurons.v_min_exponent = Some(rng.pick(&[23, 23, 23, 0]));
    neurons.start_step = rng.range(1, 4) as u32;
    if rng.chance(10) {
        let steps = rng.range(0, 4);
        neurons.noise = Some(NoiseParams {
            exponent: rng.range(1, 2) as u8,
            mantissa_offset: 0,
            target: NoiseTarget::Membrane,
            samples: (0..steps).map(|_| (0..len).map(|_| rng.range(0, 9) as i32).collect()).collect(),
        });
    }
    neurons
}

fn random_delays(rng: &mut Rng, sources: usize, weights: usize) -> Delays {
    let longest = rng.pick(&[1, 2, 4, 6]);
    match rng.range(0, 4) {
        0 => Delays::PerSource((0..sources).map(|_| rng.range(1, longest) as u32).collect()),
        1 => Delays::PerSynapse((0..weights).map(|_| rng.range(1, longest) as u32).collect()),
        2 => Delays::Uniform(longest as u32),
        _ => Delays::Uniform(1),
    }
}

/// A convolution over this input, if one fits.
fn random_convolution(rng: &mut Rng, input: [u32; 3]) -> Option<ConvolutionGeometry> {
    let groups = if input[0] > 1 && rng.chance(40) { input[0] } else { 1 };
    let channels = groups * rng.range(1, 3) as u32;
    let kernel = [rng.range(1, 3) as u32, rng.range(1, 3) as u32];
    let stride = [rng.range(1, 2) as u32, rng.range(1, 2) as u32];
    let padding = [rng.range(0, 1) as u32, rng.range(0, 1) as u32];
    let dilation = [rng.range(1, 2) as u32, rng.range(1, 2) as u32];
    let out = |d: usize| {
        let extent = dilation[d] * (kernel[d] - 1) + 1;
        (input[d + 1] + 2 * padding[d]).checked_sub(extent).map(|room| room / stride[d] + 1)
    };
    let output = [channels, out(0)?, out(1)?];
    Some(ConvolutionGeometry { input, output, kernel, stride, padding, dilation, groups })
}

fn random_connectivity(rng: &mut Rng, sources: usize, targets: usize) -> Connectivity {
    if sources == targets && rng.chance(30) {
        return Connectivity::OneToOne { shared: rng.chance(50) };
    }
    if rng.chance(50) {
        return Connectivity::Dense;
    }
    let density = rng.pick(&[10, 30, 80]);
    let mut pattern = SparsePattern { row_starts: vec![0], targets: Vec::new() };
    for _ in 0..sources {
        pattern.targets.extend((0..targets as u32).filter(|_| rng.chance(density)));
        pattern.row_starts.push(pattern.targets.len() as u32);
    }
    Connectivity::Sparse(pattern)
}

/// A random network of a few populations.
pub(crate) fn random_network(rng: &mut Rng) -> QuantizedIr {
    let mut builder = Builder::default();
    let shape = |rng: &mut Rng| [rng.range(1, 3) as usize, rng.range(1, 6) as usize, rng.range(1, 6) as usize];
    let mut ids = Vec::new();
    for input in 0..rng.range(1, 2) {
        let shape = shape(rng);
        ids.push(builder.population(&format!("input{input}"), &shape, None));
    }
    let inputs = ids.len();
    let bits = |rng: &mut Rng| rng.pick(&[2, 3, 4, 5, 6, 8]);
    for number in 0..rng.range(1, 4) {
        let source = rng.pick(&ids);
        let dims: [u32; 3] =
            builder.shape(source).iter().map(|len| *len as u32).collect::<Vec<_>>().try_into().unwrap();
        let geometry = if rng.chance(50) { random_convolution(rng, dims) } else { None };
        let shape = geometry.as_ref().map_or_else(|| shape(rng), |g| g.output.map(|len| len as usize));
        let len = shape.iter().product();
        let neurons = random_neurons(rng, len);
        let id = builder.population(&format!("layer{number}"), &shape, Some(neurons));
        let from = builder.shape(source).iter().product();
        let connectivity = match geometry {
            Some(geometry) => Connectivity::Convolution(geometry),
            None => random_connectivity(rng, from, len),
        };
        project(&mut builder, rng, source, id, connectivity, bits);
        ids.push(id);
    }
    for _ in 0..rng.range(0, 3) {
        let (source, target) = (rng.pick(&ids), rng.pick(&ids[inputs..]));
        let len = |id| builder.shape(id).iter().product();
        let connectivity = random_connectivity(rng, len(source), len(target));
        project(&mut builder, rng, source, target, connectivity, bits);
    }
    builder.finish()
}

fn project(
    builder: &mut Builder,
    rng: &mut Rng,
    source: PopulationId,
    target: PopulationId,
    connectivity: Connectivity,
    bits: impl Fn(&mut Rng) -> u8,
) {
    let sources: usize = builder.shape(source).iter().product();
    let targets: usize = builder.shape(target).iter().product();
    let count = match &connectivity {
        Connectivity::Dense => sources * targets,
        Connectivity::OneToOne { shared } => {
            if *shared {
                1
            } else {
                sources
            }
        }
        Connectivity::Convolution(geometry) => geometry.weight_count(),
        Connectivity::Sparse(pattern) => pattern.targets.len(),
    };
    let delays = random_delays(rng, sources, count);
    let (bits, zeros, values) = (bits(rng), rng.pick(&[0, 10, 60]), rng.pick(&[1, 2, 200]));
    builder.project(source, target, connectivity, delays, |len| random_weights(rng, len, bits, zeros, values));
}

/// A random small chip.
pub(crate) fn random_target(rng: &mut Rng) -> Target {
    let name = rng.pick(&["loihi1", "loihi1", "lava"]);
    let mut model: HardwareModel = hardware_model(name).unwrap();
    model.mesh.columns.0 = 4;
    model.mesh.rows.0 = 4;
    model.mesh.cores_per_router.0 = rng.range(1, 4) as u32;
    let snncc_chip::CoreKind::Loihi(core) = &mut model.core else { panic!("no Loihi-like cores") };
    let limits = &mut core.limits;
    let at_most = |rng: &mut Rng, low, high| Limit::AtMost(rng.range(low, high));
    limits.compartments.0 = at_most(rng, 4, 40);
    limits.in_axons.0 = at_most(rng, 30, 200);
    limits.out_axons.0 = at_most(rng, 30, 300);
    limits.synapse_words.0 = at_most(rng, 60, 600);
    limits.compartment_configs.0 = at_most(rng, 2, 8);
    limits.threshold_configs.0 = at_most(rng, 1, 4);
    limits.synapse_formats.0 = at_most(rng, 3, 9);
    limits.accumulator_slots.0 = at_most(rng, 64, 300);
    let mut file = target("loihi-emu").unwrap().file;
    file.hardware = model.name.clone();
    file.chips.columns = rng.range(1, 2) as u32;
    file.dead_cores = vec![1, 5];
    Target::new(file, model).unwrap()
}

/// A network and a chip for each seed.
pub(crate) fn cases() -> impl Strategy<Value = u64> {
    any::<u64>()
}

/// Legal pins, reservations, exclusive and split populations.
pub(crate) fn random_wishes(rng: &mut Rng, ir: &QuantizedIr, target: &Target) -> MappingRequest {
    let mut wishes = MappingRequest::default();
    let usable: Vec<u32> = (0..target.cores()).filter(|core| target.is_usable(CoreId(*core))).collect();
    for (_, population) in ir.graph.populations.iter_with_ids() {
        if population.role == PopulationRole::Input {
            continue;
        }
        let (name, len) = (population.name.clone(), population.len() as u64);
        if rng.chance(20) {
            wishes.exclusive.push(name.clone());
        }
        if rng.chance(20) {
            wishes.split.push((name.clone(), rng.range(1, len.min(4)) as u32));
        }
        if rng.chance(40) {
            let first = rng.range(0, len - 1);
            let neurons = (first as u32, rng.range(1, (len - first).min(6)) as u32);
            wishes.pins.push(Pin { population: name, neurons: Some(neurons), core: rng.pick(&usable) });
        }
    }
    let reserved = rng.pick(&usable);
    if rng.chance(30) && wishes.pins.iter().all(|pin| pin.core != reserved) {
        wishes.reserved_cores.push(reserved);
    }
    wishes
}
