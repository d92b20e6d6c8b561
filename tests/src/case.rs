//! Random cases of the whole road: a network, a chip, options and input from one seed.

use crate::random::Random;
use crate::random_network::{exact, floats, integers, stimulus};
use crate::{random_chip, road};
use snncc_chip::Target;
use snncc_compile::{Compiled, Options, OverflowPolicy, QuantizeStrategy};
use snncc_data::{HostBias, Stimulus};
use snncc_ids::Diagnostics;
use snncc_ir::{Network, Node, QuantizedIr};

/// Which networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In floats.
    Floats,
    /// In the chip's integers.
    Integers,
    /// In floats that need no rounding.
    Exact,
}

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The network.
    pub network: Network,
    /// What it is fed, in network steps.
    pub stimulus: Stimulus,
    /// Network steps.
    pub steps: u32,
    /// The chip.
    pub target: Target,
    /// Options of the compiler.
    pub options: Options,
}

impl Case {
    /// The case of this seed.
    pub fn new(kind: Kind, seed: u64) -> Self {
        let mut random = Random(seed ^ 0x00c0_ffee);
        let target = random_chip::chip(&mut random);
        let core = target.model.loihi();
        let network = match kind {
            Kind::Floats => floats(seed),
            Kind::Integers => integers(seed, core),
            Kind::Exact => exact(seed),
        };
        let steps = random.from(8, 30) as u32;
        // Graded spikes, where the chip has them and the network knows them.
        let graded = kind == Kind::Integers && core.formats.payload_max.0 > 1 && random.chance(50);
        let payload_max = if graded { 9 } else { 1 };
        let percent = random.pick(&[5, 30, 30, 80]);
        let mut stimulus = stimulus(&network, &mut random, steps, percent, payload_max);
        let mut options = Options { effort: random.from(0, 3) as u8, ..Options::default() };
        options.align = match kind {
            Kind::Floats => random.chance(90),
            Kind::Integers => random.chance(30),
            Kind::Exact => true,
        };
        options.allow_loop_latency = kind != Kind::Exact && random.chance(80);
        options.per_neuron_scales = random.chance(70);
        if kind == Kind::Exact {
            // On a core with few thresholds one mantissa serves several, at the price of the weights' grid.
            options.per_neuron_scales &= core.limits.threshold_configs.0.allows(8);
        }
        if kind == Kind::Floats {
            if random.chance(20) {
                options.strategy = QuantizeStrategy::NengoLoihi;
            }
            if random.chance(30) {
                options.weight_bits = Some(random.pick(&[1, 2, 3, 4, 5, 6, 8]));
            }
            options.overflow = random.pick(&[OverflowPolicy::Error, OverflowPolicy::Saturate, OverflowPolicy::Wrap]);
            if random.chance(20) {
                stimulus.host_biases.extend(host_bias(&network, &mut random));
            }
        }
        Self { network, stimulus, steps, target, options }
    }

    /// Compiles it.
    ///
    /// # Errors
    /// What the compiler says.
    pub fn compiled(&self) -> Result<Compiled, Diagnostics> {
        road::compiled(&self.network, &self.target, &self.options, None)
    }

    /// Chip steps that show `steps` network steps of every population.
    pub fn chip_steps(&self, ir: &QuantizedIr) -> u32 {
        self.steps + ir.graph.populations.iter().map(|population| population.latency_steps).max().unwrap_or(0)
    }
}

/// The quantized network of a compilation.
pub fn quantized(compiled: &Compiled) -> &QuantizedIr {
    compiled.routed.placed().partitioned().ir()
}

/// A constant current for one population whose number of neurons the network tells.
fn host_bias(network: &Network, random: &mut Random) -> Option<HostBias> {
    let mut populations = network.nodes.iter().filter_map(|node| match &node.node {
        Node::Neuron(neuron) => neuron.shape.as_ref().map(|shape| (&node.name, shape.iter().product::<usize>())),
        _ => None,
    });
    let (name, len) = populations.next()?;
    Some(HostBias { population: name.clone(), current: random.values(len, 0.25) })
}
