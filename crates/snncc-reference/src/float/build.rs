//! From a network to nodes that can be stepped: checks, operations, and the state before the first step.

use super::linear::{DelayLine, Linear, Scale};
use super::neurons::{Group, ThresholdGroup};
use super::{FloatNetwork, FloatOptions, Memory, Signal, Source, State};
use snncc_ids::{Diagnostic, Diagnostics, NodeId, code};
use snncc_ir::shapes::{self, MAX_ELEMENTS, Shapes};
use snncc_ir::{Network, Node, checks, cycles};

/// A node ready to be stepped.
#[derive(Debug)]
pub(super) struct StepNode {
    pub(super) name: String,
    pub(super) op: Op,
    /// Nodes whose output is summed, one entry per edge.
    pub(super) sources: Vec<NodeId>,
    pub(super) input_len: usize,
    pub(super) output_len: usize,
    pub(super) is_output: bool,
}

/// What a node does in a step.
#[derive(Debug)]
pub(super) enum Op {
    Input,
    /// Flatten, Reshape and Output.
    Identity,
    Scale(Scale),
    Linear(Linear),
    Delay(DelayLine),
    Threshold(ThresholdGroup),
    Neurons(Group),
}

impl Op {
    /// Whether the output is spikes of neurons.
    pub(super) fn spikes(&self) -> bool {
        match self {
            Self::Threshold(_) => true,
            Self::Neurons(group) => group.spikes(),
            _ => false,
        }
    }
}

pub(super) fn build(network: &Network, options: &FloatOptions) -> Result<FloatNetwork, Diagnostics> {
    let shapes = shapes::infer(network)?;
    let dt = checks::time_step(network, options.dt_s)?;
    let mut problems = checks::check_values(network, dt);
    for (id, node) in network.nodes.iter_with_ids() {
        if matches!(node.node, Node::Compartments(_) | Node::Synapses(_)) {
            let message = format!("`{}` is given in a chip's integers and has no meaning in floats", node.name);
            problems.push(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message).at(network.item(id)));
        }
    }
    for path in cycles::loops_without_neurons(network) {
        problems.push(cycles::loop_diagnostic(network, &path));
    }
    problems.into_result(())?;

    let cycles = cycles::find(network);
    let mut nodes: Vec<StepNode> = Vec::with_capacity(network.nodes.len());
    for (id, node) in network.nodes.iter_with_ids() {
        nodes.push(StepNode {
            name: node.name.clone(),
            op: operation(&node.node, id, &shapes, dt, options),
            sources: Vec::new(),
            input_len: shapes.input_len(id),
            output_len: shapes.output_len(id),
            is_output: matches!(node.node, Node::Output { .. }),
        });
    }
    for edge in &network.edges {
        nodes[edge.target.0 as usize].sources.push(edge.source);
    }
    check_memory(network, &nodes)?;
    let back_edges = cycles.is_back.iter().filter(|is_back| **is_back).count();
    let initial = initial_state(&nodes, &cycles.order, back_edges);
    let longest_input = nodes.iter().map(|node| node.input_len).max().unwrap_or(0);
    Ok(FloatNetwork { nodes: nodes.into(), order: cycles.order, initial, longest_input })
}

fn operation(node: &Node, id: NodeId, shapes: &Shapes, dt: Option<f64>, options: &FloatOptions) -> Op {
    let (input, len) = (&shapes.input[id], shapes.output_len(id));
    let geometry = |result: Result<_, String>| result.expect("bug in snncc: the shapes were inferred");
    match node {
        Node::Input { .. } => Op::Input,
        Node::Output { .. } | Node::Flatten { .. } | Node::Reshape { .. } => Op::Identity,
        Node::Affine(affine) => Op::Linear(Linear::affine(affine, len, shapes.input_len(id))),
        Node::Scale { scale } => Op::Scale(Scale(scale.data.clone())),
        Node::Convolution(convolution) => {
            Op::Linear(Linear::convolution(convolution, geometry(shapes::convolution_geometry(convolution, input))))
        }
        Node::Pool(pool) => Op::Linear(Linear::pool(pool, geometry(shapes::pool_geometry(pool, input)))),
        Node::Threshold(threshold) => Op::Threshold(ThresholdGroup {
            threshold: threshold.threshold.clone(),
            comparison: threshold.comparison,
            len,
        }),
        Node::Delay { delay, .. } => {
            let steps = checks::delay_steps(delay, dt).expect("bug in snncc: the delays were checked");
            Op::Delay(DelayLine { steps, len })
        }
        Node::Neuron(neuron) => Op::Neurons(Group::new(neuron, len, dt, options.reset)),
        Node::Compartments(_) | Node::Synapses(_) => unreachable!("bug in snncc: refused before"),
    }
}

/// Long delays of many elements need memory for every step; beyond a limit they are refused.
fn check_memory(network: &Network, nodes: &[StepNode]) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    for (id, node) in network.nodes.ids().zip(nodes) {
        let len = match &node.op {
            Op::Linear(linear) => linear.memory_len(),
            Op::Delay(delay) => delay.memory_len(),
            _ => 0,
        };
        if len > MAX_ELEMENTS {
            let message = format!("`{}`: delays would hold {len} values, more than {MAX_ELEMENTS}", node.name);
            problems.push(Diagnostic::error(code::BAD_PARAMETER, message).at(format!("{}/delay", network.item(id))));
        }
    }
    problems.into_result(()).map(|_| ())
}

/// The answer of every node to silence, and memories filled with it. A pass over the nodes in their order settles
/// everything up to the next back edge, and no loop is without neurons, so at most one pass per back edge is needed.
fn initial_state(nodes: &[StepNode], order: &[NodeId], back_edges: usize) -> State {
    let mut state = State { signals: vec![Signal::default(); nodes.len()], memories: vec![Memory::None; nodes.len()] };
    for (index, node) in nodes.iter().enumerate() {
        match &node.op {
            Op::Input => {}
            Op::Threshold(threshold) => state.memories[index] = Memory::Neurons(threshold.initial()),
            Op::Neurons(group) => {
                let memory = group.initial();
                if !group.spikes() {
                    state.signals[index] = Signal::Values(memory.v.clone());
                }
                state.memories[index] = Memory::Neurons(memory);
            }
            _ => state.signals[index] = Signal::Values(vec![0.0; node.output_len]),
        }
    }
    let mut sum = Vec::new();
    let mut gather = |node: &StepNode, signals: &[Signal]| {
        sum.clear();
        sum.resize(node.input_len, 0.0);
        for source in &node.sources {
            signals[source.0 as usize].view().add_to(&mut sum);
        }
        sum.clone()
    };
    for _ in 0..=back_edges {
        let mut changed = false;
        for id in order {
            let node = &nodes[id.0 as usize];
            let mut values = match &node.op {
                Op::Input | Op::Threshold(_) | Op::Neurons(_) => continue,
                _ => gather(node, &state.signals),
            };
            match &node.op {
                Op::Linear(linear) => {
                    let mut output = vec![0.0; node.output_len];
                    linear.steady(Source::Values(&values), &mut output);
                    values = output;
                }
                Op::Scale(scale) => scale.apply(&mut values),
                _ => {}
            }
            let signal = Signal::Values(values);
            if state.signals[id.0 as usize] != signal {
                state.signals[id.0 as usize] = signal;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    for (index, node) in nodes.iter().enumerate() {
        match &node.op {
            Op::Linear(linear) => {
                state.memories[index] = linear.initial_memory(Source::Values(&gather(node, &state.signals)));
            }
            Op::Delay(delay) => {
                state.memories[index] = delay.initial_memory(Source::Values(&gather(node, &state.signals)));
            }
            _ => {}
        }
    }
    state
}
