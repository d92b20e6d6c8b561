//! Layers that run on the host: the float reference on one side of a cut, its spikes the input of the chip on the other.
//!
//! The host's work is counted projection by projection, in the form that the compiler would put on the chip (pools joined with
//! the weights behind them): a constant value is multiplied once with every weight it meets, a spike adds the weights it
//! meets, and every neuron is updated in every step.

use snncc_chip::HostCosts;
use snncc_compile::lower::{LowerOptions, lower};
use snncc_data::{PortStimulus, SpikeTrain, Stimulus};
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_ir::cut::{Cut, cut};
use snncc_ir::network::{Neuron, NeuronModel};
use snncc_ir::{Ir, Network, Node, PopulationRole, shapes};
use snncc_reference::float::{FloatInput, FloatNetwork, FloatOptions, Record};

/// A network cut in two, and its host part made ready.
pub(crate) struct OnHost {
    pub(crate) cut: Cut,
    pub(crate) part: HostPart,
}

impl OnHost {
    /// Puts these layers and what feeds them on the host; `None` for no names.
    ///
    /// # Errors
    /// What [`cut`] says, and what the float reference says of the host's part.
    pub(crate) fn of(network: &Network, names: &[String]) -> Result<Option<Self>, Diagnostics> {
        if names.is_empty() {
            return Ok(None);
        }
        let cut = cut(network, names)?;
        let part = HostPart::new(&cut.host, cut.sent.clone())?;
        Ok(Some(Self { cut, part }))
    }
}

/// Synapses that each element of an input or layer meets.
struct FanOut {
    source: String,
    synapses: Vec<u64>,
}

/// A layer on the host.
pub(crate) struct HostLayer {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// Connections onto it: products of its linear map.
    pub(crate) connections: u64,
}

impl HostLayer {
    pub(crate) fn neurons(&self) -> u64 {
        self.shape.iter().product::<usize>() as u64
    }
}

/// The part of a network that the host runs. Immutable: samples on any number of threads share it.
pub(crate) struct HostPart {
    float: FloatNetwork,
    inputs: Vec<String>,
    pub(crate) layers: Vec<HostLayer>,
    sent: Vec<String>,
    fan_outs: Vec<FanOut>,
}

/// Arithmetic of the host, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostWork {
    /// Products added to sums.
    pub(crate) multiply_accumulates: u128,
    /// Weights added to sums.
    pub(crate) accumulates: u128,
    /// Neurons times steps.
    pub(crate) neuron_updates: u128,
}

impl HostWork {
    pub(crate) fn add(&mut self, other: &Self) {
        self.multiply_accumulates += other.multiply_accumulates;
        self.accumulates += other.accumulates;
        self.neuron_updates += other.neuron_updates;
    }

    /// Counts by name.
    pub(crate) fn parts(&self) -> [(&'static str, u128); 3] {
        [
            ("multiply_accumulates", self.multiply_accumulates),
            ("accumulates", self.accumulates),
            ("neuron_updates", self.neuron_updates),
        ]
    }

    /// Energy in femtojoules, by the names of [`HostWork::parts`].
    pub(crate) fn energy_fj(&self, costs: &HostCosts) -> [(&'static str, u128); 3] {
        let costs = [&costs.multiply_accumulate, &costs.accumulate, &costs.neuron_update];
        let mut parts = self.parts();
        parts.iter_mut().zip(costs).for_each(|((_, count), cost)| *count *= u128::from(cost.energy_fj));
        parts
    }
}

impl HostPart {
    /// Makes the host's network ready; the chip is fed the spikes of `sent`.
    ///
    /// # Errors
    /// What the float reference says of the network; `SNN0211` for a layer to be sent that is none or does not fire.
    pub(crate) fn new(network: &Network, sent: Vec<String>) -> Result<Self, Diagnostics> {
        let fires = |name: &&String| match network.find(name).map(|id| &network.nodes[id].node) {
            Some(Node::Neuron(neuron)) => neuron.model.spikes(),
            Some(Node::Threshold(_)) => true,
            _ => false,
        };
        if let Some(name) = sent.iter().find(|name| !fires(name)) {
            let message = format!("`{name}` is no layer on the host that fires");
            return Err(Diagnostic::error(code::HOST_CUT, message).at(format!("nodes/{name}")).into());
        }
        let float = FloatNetwork::new(network, &FloatOptions::default())?;
        let ir = counted(network)?;
        let graph = &ir.graph;
        let mut fan_outs: Vec<FanOut> = graph
            .populations
            .iter()
            .map(|population| FanOut { source: population.name.clone(), synapses: vec![0; population.len()] })
            .collect();
        let mut connections = vec![0; graph.populations.len()];
        for projection in &graph.projections {
            for (source, sum) in (0..).zip(&mut fan_outs[projection.source.0 as usize].synapses) {
                projection.fan_out(source, |_| *sum += 1);
            }
            connections[projection.target.0 as usize] += projection.synapse_count();
        }
        let is_input = |role: PopulationRole| role == PopulationRole::Input;
        let inputs = graph.populations.iter().filter(|population| is_input(population.role));
        let layers = graph.populations.iter().zip(connections).filter(|(population, _)| !is_input(population.role));
        Ok(Self {
            float,
            inputs: inputs.map(|population| population.name.clone()).collect(),
            layers: layers
                .map(|(population, connections)| HostLayer {
                    name: population.name.clone(),
                    shape: population.shape.clone(),
                    connections,
                })
                .collect(),
            sent,
            fan_outs,
        })
    }

    /// Runs a sample: what the chip is fed, and what the host did.
    ///
    /// # Errors
    /// `SNN0210` where the data does not fit the host's inputs.
    pub(crate) fn run(
        &self,
        fed: &Stimulus,
        analog: &[(String, Vec<f64>)],
        steps: u32,
    ) -> Result<(Vec<PortStimulus>, HostWork), Diagnostics> {
        let ours = |name: &String| self.inputs.contains(name);
        let ports = fed.ports.iter().filter(|port| ours(&port.port)).cloned().collect();
        let spikes = Stimulus { ports, host_biases: Vec::new() };
        let analog = analog.iter().filter(|(port, _)| ours(port)).cloned().collect();
        let input = FloatInput { spikes: &spikes, analog };
        let mut trace = self.float.run(&input, steps, &Record { spikes: true, ..Record::default() })?;
        let neurons: u64 = self.layers.iter().map(HostLayer::neurons).sum();
        let mut work = HostWork { neuron_updates: u128::from(neurons) * u128::from(steps), ..HostWork::default() };
        for FanOut { source, synapses } in &self.fan_outs {
            if input.analog.iter().any(|(port, _)| port == source) {
                work.multiply_accumulates += synapses.iter().map(|synapses| u128::from(*synapses)).sum::<u128>();
                continue;
            }
            let of_layer = || trace.population(source)?.spikes.as_ref();
            let Some(train) = spikes.port(source).map(|port| &port.spikes).or_else(of_layer) else { continue };
            let met = met(train, steps, synapses);
            // Graded spikes are values: they are multiplied.
            let count = if train.payloads.is_some() { &mut work.multiply_accumulates } else { &mut work.accumulates };
            *count += met;
        }
        let train = |name: &String| {
            let population = trace.populations.iter_mut().find(|population| population.name == *name);
            let spikes = population.and_then(|population| population.spikes.take());
            let spikes = spikes.expect("bug in snncc: a host layer that feeds the chip left no spikes");
            PortStimulus { port: name.clone(), spikes }
        };
        Ok((self.sent.iter().map(train).collect(), work))
    }
}

/// Synapses that the spikes of the first `steps` steps meet.
fn met(train: &SpikeTrain, steps: u32, synapses: &[u64]) -> u128 {
    let end = train.step_starts[train.steps().min(steps) as usize] as usize;
    train.indices[..end].iter().map(|element| u128::from(synapses[*element as usize])).sum()
}

/// The projections of the host's network. What its neurons do is of no concern, so they are the plainest there are.
fn counted(network: &Network) -> Result<Ir, Diagnostics> {
    let shapes = shapes::infer(network)?;
    let mut plain = network.clone();
    let ids: Vec<_> = plain.nodes.ids().collect();
    for (id, node) in ids.into_iter().zip(plain.nodes.iter_mut()) {
        if matches!(node.node, Node::Neuron(_) | Node::Threshold(_)) {
            node.node = Node::Neuron(Neuron { shape: Some(shapes.output[id].clone()), ..Neuron::new(NeuronModel::If) });
        }
    }
    let options = LowerOptions { align: false, allow_loop_latency: true, ..LowerOptions::default() };
    lower(&plain, &options).map(|lowered| lowered.ir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use snncc_formats::ron_network::read_network;

    /// Two layers; weights of the first lead to both neurons, those of the second one by one.
    const NETWORK: &str = r#"(schema: 1, nodes: {
        "x": Input(shape: [3]), "w1": Linear(weight: [[0.5, 0.25, 0.0], [1.0, 0.5, 0.25]]),
        "a": If(shape: [2], v_threshold: 1.0, reset: BySubtraction),
        "w2": Linear(weight: [[1.0, 0.5]]), "b": If(shape: [1], v_threshold: 1.0), "y": Output(shape: [1]),
    }, edges: [("x", "w1"), ("w1", "a"), ("a", "w2"), ("w2", "b"), ("b", "y")])"#;

    fn network() -> Network {
        read_network(NETWORK, &mut |_: &str| Err(String::new())).unwrap_or_else(|error| panic!("{error}")).network
    }

    /// By hand: a constant input 1, 0, 0 adds 0.5 and 1 a step; `v > 1` spikes.
    #[test]
    fn constants_are_multiplied_once_and_spikes_add_the_weights_they_meet() {
        let whole = network();
        let host = OnHost::of(&whole, &["a".to_owned()]).unwrap().unwrap();
        let analog = vec![("x".to_owned(), vec![1.0, 0.0, 0.0])];
        let (fed, work) = host.part.run(&Stimulus::default(), &analog, 4).unwrap();
        assert_eq!((fed.len(), fed[0].port.as_str()), (1, "a"));
        assert_eq!(fed[0].spikes.events().collect::<Vec<_>>(), [(2, 1, 1), (3, 0, 1), (3, 1, 1), (4, 1, 1)]);
        assert_eq!(work.parts().map(|(_, count)| count), [6, 0, 8]);
        // The whole network fires the same.
        let float = FloatNetwork::new(&whole, &FloatOptions::default()).unwrap();
        let record = Record { spikes: true, ..Record::default() };
        let trace = float.run(&FloatInput { spikes: &Stimulus::default(), analog }, 4, &record).unwrap();
        assert_eq!(trace.population("a").unwrap().spikes.as_ref(), Some(&fed[0].spikes));

        let spikes = SpikeTrain::from_events(3, 5, &[(1, 0), (1, 1), (3, 2), (5, 2)]).unwrap();
        let ports = vec![PortStimulus { port: "x".to_owned(), spikes }];
        let (_, work) = host.part.run(&Stimulus { ports, host_biases: Vec::new() }, &[], 4).unwrap();
        assert_eq!(work.parts().map(|(_, count)| count), [0, 6, 8], "the spike of step 5 is beyond the run");
        assert_eq!((host.part.layers[0].connections, host.part.layers[0].neurons()), (6, 2));
    }

    /// Loops and delays on both sides of the cut, an input and a linear node that lead to both, a bias.
    const BOTH_SIDES: &str = r#"(schema: 1, dt: 1e-3, nodes: {
        "x": Input(shape: [3]),
        "w1": Affine(weight: [[0.9, 0.4, 0.1], [0.3, 0.8, 0.7], [-0.2, 0.6, 1.0]], bias: 0.05),
        "a": Lif(shape: [3], tau: 10e-3, r: 10, v_threshold: 1.0),
        "again": Linear(weight: [[0.0, 0.25, 0.1], [0.2, 0.0, -0.5], [0.1, 0.3, 0.0]], delay: 1),
        "join": Linear(weight: [[0.5, 0.5, 0.5]], delay: 2),
        "a2": If(shape: [1], v_threshold: 1.0, reset: BySubtraction),
        "b": If(shape: [1], v_threshold: 1.0, reset: BySubtraction),
        "skip": Linear(weight: [[0.2, 0.1, 0.3]]),
        "back": Linear(weight: [[-0.4]]),
        "y": Output(shape: [1]),
    }, edges: [
        ("x", "w1"), ("w1", "a"), ("a", "again"), ("again", "a"), ("a", "join"), ("join", "a2"), ("join", "b"), ("a2", "b"),
        ("x", "skip"), ("skip", "b"), ("b", "back"), ("back", "b"), ("b", "y"),
    ])"#;

    #[test]
    fn the_parts_one_after_the_other_do_what_the_whole_does() {
        let steps = 60;
        let whole =
            read_network(BOTH_SIDES, &mut |_: &str| Err(String::new())).unwrap_or_else(|e| panic!("{e}")).network;
        let events: Vec<(u32, u32)> =
            (1..=steps).flat_map(|t| (0..3).map(move |i| (t, i))).filter(|(t, i)| (t * 7 + i * 5) % 11 < 5).collect();
        let spikes = SpikeTrain::from_events(3, steps, &events).unwrap();
        let fed = Stimulus { ports: vec![PortStimulus { port: "x".to_owned(), spikes }], host_biases: Vec::new() };
        let record = Record { spikes: true, ..Record::default() };
        let run = |network: &Network, fed: &Stimulus| {
            let float = FloatNetwork::new(network, &FloatOptions::default()).unwrap();
            float.run(&fed.into(), steps, &record).unwrap()
        };
        let expected = run(&whole, &fed);
        assert!(expected.populations.iter().all(|population| population.spike_count > 5), "{expected:?}");
        for through in ["a", "a2"] {
            let host = OnHost::of(&whole, &[through.to_owned()]).unwrap().unwrap();
            let (sent, _) = host.part.run(&fed, &[], steps).unwrap();
            let ports = fed.ports.iter().cloned().chain(sent).collect();
            let chip = run(&host.cut.chip, &Stimulus { ports, host_biases: Vec::new() });
            for population in &chip.populations {
                let same = expected.population(&population.name).unwrap();
                assert_eq!(population.spikes, same.spikes, "{} behind {through}", population.name);
            }
            assert_eq!(chip.outputs[0].sum, expected.outputs[0].sum);
        }
    }

    #[test]
    fn only_layers_that_fire_are_sent() {
        let cut = cut(&network(), &["a".to_owned()]).unwrap();
        for name in ["x", "w1", "b"] {
            let problem = HostPart::new(&cut.host, vec![name.to_owned()]).err().unwrap().to_string();
            assert!(problem.contains("SNN0211") && problem.contains(name), "{problem}");
        }
    }

    #[test]
    fn energy_is_count_times_cost() {
        let costs = HostCosts::from_ron(snncc_chip::HOST_COSTS).unwrap();
        let work = HostWork { multiply_accumulates: 2, accumulates: 3, neuron_updates: 0 };
        let [mac, accumulate, update] = work.energy_fj(&costs).map(|(_, energy)| energy);
        assert_eq!(mac, 2 * u128::from(costs.multiply_accumulate.energy_fj));
        assert_eq!((accumulate, update), (3 * u128::from(costs.accumulate.energy_fj), 0));
    }
}
