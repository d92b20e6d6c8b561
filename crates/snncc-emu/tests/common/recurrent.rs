//! A random recurrent network for benchmarks and for comparing threads.

use super::{Builder, NEURON as LIF, Neuron, Source, synapse};
use snncc_data::{PortStimulus, Purpose, RandomStream, SpikeTrain, Stimulus};
use snncc_image::Readout;

/// `neurons` neurons of 100 synapses each, a tenth as many inputs of 20 synapses that spike with probability 0.1: about 4 % of
/// the neurons fire in a step. They are dealt out in equal parts to this many cores.
pub fn network(target: &str, cores: u32, neurons: u32, steps: u32) -> (Builder, Stimulus) {
    let mut random = RandomStream::new(1, Purpose::Generation, 0, "bench");
    let mut builder = Builder::new(target);
    let inputs = neurons / 10;
    let share = neurons.div_ceil(cores);
    let place = |neuron: u32| (neuron / share, neuron % share);
    for neuron in 0..neurons {
        builder.neuron(place(neuron).0, Neuron { decay_u: 1023, decay_v: 256, threshold: 2000, ..LIF });
    }
    let port = builder.port("input", inputs);
    let targets = |count: usize, random: &mut RandomStream| {
        let mut chosen = std::collections::BTreeSet::new();
        while chosen.len() < count {
            chosen.insert(random.below(u64::from(neurons)) as u32);
        }
        chosen
    };
    for neuron in 0..neurons {
        for target in targets(100, &mut random) {
            let weight = 2 * (1 + random.below(12) as i32) * if neuron >= neurons / 5 * 4 { -5 } else { 1 };
            let (from, to) = (place(neuron), place(target));
            builder.connect(Source::Core(from.0, from.1), to.0, synapse(to.1, weight));
        }
    }
    for input in 0..inputs {
        for target in targets(20, &mut random) {
            let to = place(target);
            builder.connect(Source::Port(port, input), to.0, synapse(to.1, 200));
        }
    }
    let places: Vec<_> = (0..neurons).map(place).collect();
    builder.population("neurons", &places, Readout::Spikes);
    let mut spikes = SpikeTrain::new(inputs);
    for _ in 0..steps {
        spikes.push_step((0..inputs).filter(|_| random.below(10) == 0).collect::<Vec<_>>());
    }
    (builder, Stimulus { ports: vec![PortStimulus { port: "input".into(), spikes }], host_biases: Vec::new() })
}
