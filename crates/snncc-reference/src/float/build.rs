//! From a network to nodes that can be stepped: checks, operations, and the state before the first step.

use super::aligned::Aligned;
use super::layout::Layout;
use super::linear::{DelayLine, Linear, Scale, Scratch};
use super::neurons::{Group, ThresholdGroup};
use super::rates::{Gate, RateGroup};
use super::signal::{Signal, Source};
use super::{FloatNetwork, FloatOptions, Memory, State};
use snncc_ids::{Diagnostic, Diagnostics, NodeId, code};
use snncc_ir::shapes::{self, MAX_ELEMENTS, Shapes};
use snncc_ir::{ConvolutionGeometry, Network, NetworkNode, Node, checks, cycles};

/// A node ready to be stepped.
#[derive(Debug)]
pub(super) struct StepNode {
    pub(super) name: String,
    pub(super) op: Op,
    /// What is summed, one entry per edge.
    pub(super) sources: Vec<Incoming>,
    pub(super) input_len: usize,
    pub(super) output_len: usize,
    /// Order of the output.
    pub(super) layout: Layout,
    pub(super) is_output: bool,
    /// Whether what comes in is spikes alone though it is given as values: several in a step, or of both signs.
    pub(super) counts: bool,
}

/// An edge, seen from its target.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) source: NodeId,
    /// For each position of the source's output, that in the target's input; `None` where they are the same.
    pub(super) conversion: Option<Vec<u32>>,
}

impl StepNode {
    /// The sum of what comes in. `sum` holds it, unless a single source gives it as it is.
    pub(super) fn gather<'a>(&self, signals: &'a [Signal], sum: &'a mut Gathered) -> Source<'a> {
        let signal = |incoming: &Incoming| signals[incoming.source.0 as usize].view();
        match &self.sources[..] {
            [incoming @ Incoming { conversion: None, .. }] => return signal(incoming),
            [incoming @ Incoming { conversion: Some(targets), .. }] => {
                if let Source::Spikes(spikes) = signal(incoming) {
                    sum.spikes.clear();
                    sum.spikes.extend(spikes.iter().map(|spike| targets[*spike as usize]));
                    sum.spikes.sort_unstable();
                    return Source::Spikes(&sum.spikes);
                }
            }
            _ => {}
        }
        let values = &mut sum.values[..self.input_len];
        let mut rest = &self.sources[..];
        match rest.split_first() {
            Some((first @ Incoming { conversion: None, .. }, others)) => {
                signal(first).copy_to(values);
                rest = others;
            }
            _ => values.fill(0.0),
        }
        for incoming in rest {
            match &incoming.conversion {
                Some(targets) => signal(incoming).add_converted_to(targets, values),
                None => signal(incoming).add_to(values),
            }
        }
        Source::Values(values)
    }
}

/// Room for the sum of several sources.
#[derive(Debug)]
pub(super) struct Gathered {
    values: Aligned,
    spikes: Vec<u32>,
}

impl Gathered {
    /// For inputs of at most `len` elements.
    pub(super) fn new(len: usize) -> Self {
        Self { values: Aligned::zeros(len), spikes: Vec::new() }
    }
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
    Neurons(Box<Group>),
    Rates(Box<RateGroup>),
    Gate(Gate),
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
    let layouts = Layouts::new(network, &shapes, &cycles.order);
    let mut nodes: Vec<StepNode> = Vec::with_capacity(network.nodes.len());
    for (id, node) in network.nodes.iter_with_ids() {
        nodes.push(StepNode {
            name: node.name.clone(),
            op: operation(node, id, &shapes, layouts.input[id.0 as usize], dt, options),
            sources: Vec::new(),
            input_len: shapes.input_len(id),
            output_len: shapes.output_len(id),
            layout: layouts.output[id.0 as usize],
            is_output: matches!(node.node, Node::Output { .. }),
            counts: false,
        });
    }
    for edge in &network.edges {
        let (from, to) = (layouts.output[edge.source.0 as usize], layouts.input[edge.target.0 as usize]);
        let conversion = from.conversion(to, shapes.input_len(edge.target));
        nodes[edge.target.0 as usize].sources.push(Incoming { source: edge.source, conversion });
    }
    for id in &cycles.order {
        let counts = |incoming: &Incoming| match &nodes[incoming.source.0 as usize] {
            StepNode { op: Op::Rates(_), .. } => true,
            StepNode { op: Op::Identity, counts, .. } => *counts,
            _ => false,
        };
        let sources = &nodes[id.0 as usize].sources;
        nodes[id.0 as usize].counts = !sources.is_empty() && sources.iter().all(counts);
    }
    check_memory(network, &nodes)?;
    let back_edges = cycles.is_back.iter().filter(|is_back| **is_back).count();
    let longest_input = nodes.iter().map(|node| node.input_len).max().unwrap_or(0);
    let initial = initial_state(&nodes, &cycles.order, back_edges, longest_input);
    Ok(FloatNetwork { nodes: nodes.into(), order: cycles.order, initial, longest_input })
}

/// Orders of what goes into and comes out of each node.
struct Layouts {
    input: Vec<Layout>,
    output: Vec<Layout>,
}

impl Layouts {
    /// Convolutions and pools have theirs; what works element by element takes that of a source; inputs, outputs and the
    /// results of matrices are row-major. `order` has the source of every edge, but for back edges, before its target.
    fn new(network: &Network, shapes: &Shapes, order: &[NodeId]) -> Self {
        let count = network.nodes.len();
        let mut layouts = Self { input: vec![Layout::RowMajor; count], output: vec![Layout::RowMajor; count] };
        let mut offered = vec![Layout::RowMajor; count];
        let mut targets = vec![Vec::new(); count];
        network.edges.iter().for_each(|edge| targets[edge.source.0 as usize].push(edge.target));
        for id in order {
            let index = id.0 as usize;
            let input = &shapes.input[*id];
            let geometry = match &network.nodes[*id].node {
                Node::Convolution(convolution) => Some(shapes::convolution_geometry(convolution, input)),
                Node::Pool(pool) => Some(shapes::pool_geometry(pool, input)),
                Node::GatedPool(pool) => Some(shapes::gated_pool_geometry(pool, input)),
                _ => None,
            };
            (layouts.input[index], layouts.output[index]) = match (geometry.map(known), &network.nodes[*id].node) {
                (Some(g), _) => (Layout::channels_last(g.input), Layout::channels_last(g.output)),
                (_, Node::Input { .. } | Node::Output { .. }) => (Layout::RowMajor, Layout::RowMajor),
                (_, Node::Affine(_)) => (offered[index], Layout::RowMajor),
                _ => (offered[index], offered[index]),
            };
            for target in &targets[index] {
                let offered = &mut offered[target.0 as usize];
                if *offered == Layout::RowMajor {
                    *offered = layouts.output[index];
                }
            }
        }
        layouts
    }
}

/// A geometry of inferred shapes.
fn known(geometry: Result<ConvolutionGeometry, String>) -> ConvolutionGeometry {
    geometry.expect("bug in snncc: the shapes were inferred")
}

/// What `node` does to an input that has `layout`.
fn operation(
    node: &NetworkNode,
    id: NodeId,
    shapes: &Shapes,
    layout: Layout,
    dt: Option<f64>,
    options: &FloatOptions,
) -> Op {
    let (input, len) = (&shapes.input[id], shapes.output_len(id));
    match &node.node {
        Node::Input { .. } => Op::Input,
        Node::Output { .. } | Node::Flatten { .. } | Node::Reshape { .. } => Op::Identity,
        Node::Affine(affine) => Op::Linear(Linear::affine(affine, len, shapes.input_len(id), layout)),
        Node::Scale { scale } if scale.len() == 1 => Op::Scale(Scale(scale.data.clone())),
        Node::Scale { scale } => Op::Scale(Scale(layout.arranged(&scale.data))),
        Node::Convolution(convolution) => {
            Op::Linear(Linear::convolution(convolution, &known(shapes::convolution_geometry(convolution, input))))
        }
        Node::Pool(pool) => Op::Linear(Linear::pool(pool, &known(shapes::pool_geometry(pool, input)))),
        Node::Threshold(threshold) => Op::Threshold(ThresholdGroup {
            threshold: layout.arranged_param(&threshold.threshold),
            comparison: threshold.comparison,
            len,
        }),
        Node::Delay { delay, .. } => {
            let steps = checks::delay_steps(delay, dt).expect("bug in snncc: the delays were checked");
            Op::Delay(DelayLine { steps: layout.arranged_param(&steps), len })
        }
        Node::Neuron(neuron) => Op::Neurons(Box::new(Group::new(neuron, len, layout, dt, options.reset))),
        Node::RateNeuron(neuron) => Op::Rates(Box::new(RateGroup::new(neuron, len, layout, &node.name))),
        Node::GatedPool(pool) => Op::Gate(Gate::new(known(shapes::gated_pool_geometry(pool, input)))),
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
fn initial_state(nodes: &[StepNode], order: &[NodeId], back_edges: usize, longest_input: usize) -> State {
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
            Op::Rates(group) => {
                state.signals[index] = Signal::Values(Aligned::zeros(group.len));
                state.memories[index] = Memory::Rates(group.initial());
            }
            Op::Gate(gate) => {
                state.signals[index] = Signal::Values(Aligned::zeros(node.output_len));
                state.memories[index] = Memory::Ring(vec![0.0; gate.memory_len()]);
            }
            _ => state.signals[index] = Signal::Values(Aligned::zeros(node.output_len)),
        }
    }
    let (mut sum, mut scratch) = (Gathered::new(longest_input), Scratch::new());
    for _ in 0..=back_edges {
        let mut changed = false;
        for id in order {
            let node = &nodes[id.0 as usize];
            let mut values = Aligned::zeros(node.output_len);
            match &node.op {
                Op::Input | Op::Threshold(_) | Op::Neurons(_) | Op::Rates(_) | Op::Gate(_) => continue,
                Op::Linear(linear) => {
                    linear.steady(node.gather(&state.signals, &mut sum), &mut values, &mut scratch);
                }
                Op::Scale(scale) => scale.step(node.gather(&state.signals, &mut sum), &mut values),
                Op::Identity | Op::Delay(_) => node.gather(&state.signals, &mut sum).copy_to(&mut values),
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
                let input = node.gather(&state.signals, &mut sum);
                state.memories[index] = linear.initial_memory(input, &mut scratch);
            }
            Op::Delay(delay) => {
                state.memories[index] = delay.initial_memory(node.gather(&state.signals, &mut sum));
            }
            _ => {}
        }
    }
    state
}
