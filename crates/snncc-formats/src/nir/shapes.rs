//! Shapes along the edges: fills in those the file leaves open, and compares the rest.
//!
//! A node's output shape follows from its own arrays (Affine, neurons with one parameter per neuron) or from its input
//! (convolution, pooling, Flatten, nodes whose parameters are single values). Shapes spread from the nodes that know theirs
//! until nothing changes; cycles are no obstacle, since every node is settled at most once.
//!
//! Stored shapes give way to computed ones with a warning as long as no values depend on them: those of Output nodes and
//! convolutions are sometimes wrong in files (NIR's Python package takes the kernel's height for both dimensions), and
//! some exporters keep dimensions of length 1. What cannot be read in one way is an error.

use super::graph::Stored;
use super::node::shapes_differ;
use snncc_ids::{Diagnostic, Diagnostics, Id, NodeId, code};
use snncc_ir::network::{Convolution, Network, Node, Padding, Pool};

/// Settles the shapes of all nodes, in place. Gives the output shape of each node that is not an Output, where known.
pub(super) fn settle(network: &mut Network, stored: &[Stored], problems: &mut Diagnostics) -> Vec<Option<Vec<usize>>> {
    let count = network.nodes.len();
    let mut sources: Vec<Vec<NodeId>> = vec![Vec::new(); count];
    let mut targets: Vec<Vec<NodeId>> = vec![Vec::new(); count];
    for edge in &network.edges {
        sources[edge.target.index()].push(edge.source);
        targets[edge.source.index()].push(edge.target);
    }
    // Nodes that know their output without their input come first, so that a wrong shape shows where it stands.
    let mut outputs: Vec<Option<Vec<usize>>> = network.nodes.iter().map(|node| own_output_shape(&node.node)).collect();
    let mut open: Vec<NodeId> = network.nodes.ids().filter(|id| outputs[id.index()].is_some()).collect();
    open.reverse();
    while let Some(id) = open.pop() {
        for &target in &targets[id.index()] {
            if outputs[target.index()].is_none() && !matches!(network.nodes[target].node, Node::Output { .. }) {
                let input = outputs[id.index()].as_deref().expect("bug in snncc: an open node has no shape");
                match output_shape(&network.nodes[target].node, input) {
                    Ok(shape) => {
                        outputs[target.index()] = Some(shape);
                        open.push(target);
                    }
                    Err(message) => {
                        problems.push(shapes_differ(message).at(stored[target.index()].item.clone()));
                        // Told once: later messages would follow from it.
                        outputs[target.index()] = Some(Vec::new());
                    }
                }
            }
        }
    }
    for id in network.nodes.ids() {
        let known =
            sources[id.index()].iter().filter_map(|source| Some((*source, outputs[source.index()].as_deref()?)));
        let known: Vec<(NodeId, &[usize])> = known.filter(|(_, shape)| !shape.is_empty()).collect();
        let Some(&(first, input)) = known.first() else { continue };
        if let Some((other, shape)) = known.iter().find(|(_, shape)| *shape != input) {
            let name = |id: NodeId| &network.nodes[id].name;
            let message = format!(
                "`{}` gets the shape {input:?} from `{}` and {shape:?} from `{}`; inputs are added, so they must agree",
                name(id),
                name(first),
                name(*other)
            );
            problems.push(shapes_differ(message).at(stored[id.index()].item.clone()));
            continue;
        }
        let source_name = network.nodes[first].name.clone();
        let node = &mut network.nodes[id];
        compare(&mut node.node, &node.name, input, &source_name, &stored[id.index()], problems);
    }
    for id in network.nodes.ids() {
        // Left by a graph without Output nodes whose shapes stay unknown.
        if matches!(&network.nodes[id].node, Node::Output { shape } if shape.is_empty()) && !problems.has_errors() {
            let message = format!("the shape of `{}` does not follow from the file", network.nodes[id].name);
            problems.push(shapes_differ(message).at(stored[id.index()].item.clone()));
        }
    }
    outputs
}

/// Compares the shape that arrives with the one the node expects; corrects the node where it may.
fn compare(node: &mut Node, name: &str, input: &[usize], source: &str, stored: &Stored, problems: &mut Diagnostics) {
    let elements = |shape: &[usize]| snncc_ir::ann::element_count(shape);
    let warn = |problems: &mut Diagnostics, what: &str, expected: &[usize]| {
        let message =
            format!("{what} of `{name}` is {expected:?}, but `{source}` gives {input:?}; the computed shape is used");
        problems.push(Diagnostic::warning(code::SHAPE_MISMATCH, message).at(stored.item.clone()));
    };
    let refuse = |problems: &mut Diagnostics, expected: &[usize]| {
        let message = format!(
            "`{name}` takes the shape {expected:?} ({} elements), but `{source}` gives {input:?} ({})",
            elements(expected).unwrap_or(usize::MAX),
            elements(input).unwrap_or(usize::MAX)
        );
        problems.push(shapes_differ(message).at(stored.item.clone()));
    };
    match node {
        Node::Output { shape } => {
            if !shape.is_empty() && *shape != input {
                warn(problems, "the stored shape", shape);
            }
            *shape = input.to_vec();
        }
        Node::Neuron(snncc_ir::network::Neuron { shape, .. })
        | Node::Threshold(snncc_ir::network::Threshold { shape, .. })
        | Node::Delay { shape, .. } => match shape {
            Some(expected) if elements(expected) != elements(input) => refuse(problems, expected),
            Some(expected) if *expected != input => {
                warn(problems, "the shape of the parameters", expected);
                *shape = Some(input.to_vec());
            }
            _ => *shape = Some(input.to_vec()),
        },
        Node::Scale { scale } if scale.len() > 1 && scale.shape != input => {
            if elements(input) == Some(scale.len()) {
                warn(problems, "the shape of the factors", &scale.shape);
                scale.shape = input.to_vec();
            } else {
                refuse(problems, &scale.shape);
            }
        }
        Node::Affine(affine) => {
            let Some((_, inputs)) = affine.weight.dimensions() else { return };
            if elements(input) != Some(inputs) {
                refuse(problems, &[inputs]);
            } else if input != [inputs] {
                warn(problems, "the input shape", &[inputs]);
            }
        }
        Node::Convolution(convolution) => {
            // The number of channels was checked when the output shape was computed.
            if let Some(expected) = &convolution.input_shape
                && input.get(1..) != Some(expected)
            {
                warn(problems, "the stored `input_shape`", expected);
            }
            convolution.input_shape = input.get(1..).map(<[usize]>::to_vec);
        }
        Node::Reshape { shape } if elements(shape) != elements(input) => refuse(problems, shape),
        Node::Flatten { .. } => {
            if let Some(expected) = &stored.input
                && expected != input
            {
                warn(problems, "the stored `input_type`", expected);
            }
        }
        _ => {}
    }
}

/// The input shape that a node knows by itself.
pub(super) fn own_input_shape(node: &Node) -> Option<Vec<usize>> {
    match node {
        Node::Output { shape } => Some(shape.clone()),
        Node::Affine(affine) => affine.weight.dimensions().map(|(_, inputs)| vec![inputs]),
        Node::Scale { scale } if scale.len() > 1 => Some(scale.shape.clone()),
        Node::Convolution(convolution) => {
            let mut shape = vec![convolution.weight.shape[1].checked_mul(convolution.groups)?];
            shape.extend(convolution.input_shape.as_ref()?);
            Some(shape)
        }
        Node::Neuron(neuron) => neuron.shape.clone(),
        Node::RateNeuron(neuron) => neuron.shape.clone(),
        Node::Threshold(threshold) => threshold.shape.clone(),
        Node::Delay { shape, .. } => shape.clone(),
        _ => None,
    }
}

/// The output shape that a node knows without its input.
fn own_output_shape(node: &Node) -> Option<Vec<usize>> {
    match node {
        Node::Input { shape } => Some(shape.clone()),
        Node::Reshape { shape } => Some(shape.clone()),
        Node::Affine(affine) => affine.weight.dimensions().map(|(outputs, _)| vec![outputs]),
        Node::Scale { .. } | Node::Neuron(_) | Node::RateNeuron(_) | Node::Threshold(_) | Node::Delay { .. } => {
            own_input_shape(node)
        }
        _ => None,
    }
}

/// The output shape for an input shape, of a node that does not know it by itself.
fn output_shape(node: &Node, input: &[usize]) -> Result<Vec<usize>, String> {
    match node {
        Node::Convolution(convolution) => convolved(convolution, input),
        Node::Pool(pool) => pooled(pool, input),
        Node::Flatten { start_dim, end_dim } => flattened(*start_dim, *end_dim, input),
        _ => Ok(input.to_vec()),
    }
}

/// Length of a dimension after a window has passed it: `⌊(n + 2p − d(k−1) − 1)/s⌋ + 1`; `None` where the window is longer
/// than the padded input.
fn window_length(n: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> Option<usize> {
    let reach = dilation.checked_mul(kernel - 1)?.checked_add(1)?;
    let padded = padding.checked_mul(2)?.checked_add(n)?;
    Some(padded.checked_sub(reach)? / stride + 1)
}

fn convolved(convolution: &Convolution, input: &[usize]) -> Result<Vec<usize>, String> {
    let channels = convolution.weight.shape[1].saturating_mul(convolution.groups);
    let kernel = &convolution.weight.shape[2..];
    if input.len() != kernel.len() + 1 || input[0] != channels {
        return Err(format!(
            "the convolution takes {channels} channels of {} dimensions, but its input has the shape {input:?}",
            kernel.len()
        ));
    }
    let mut shape = vec![convolution.weight.shape[0]];
    for (d, &n) in input[1..].iter().enumerate() {
        let padding = match &convolution.padding {
            Padding::Same => {
                shape.push(n);
                continue;
            }
            Padding::Valid => 0,
            Padding::Explicit(padding) => padding[d],
        };
        let length = window_length(n, kernel[d], convolution.stride[d], padding, convolution.dilation[d]);
        shape.push(length.ok_or_else(|| {
            format!("the kernel {kernel:?} with dilation {:?} exceeds the input {input:?}", convolution.dilation)
        })?);
    }
    Ok(shape)
}

fn pooled(pool: &Pool, input: &[usize]) -> Result<Vec<usize>, String> {
    let [channels, height, width] = input[..] else {
        return Err(format!("pooling takes (channels, height, width), but its input has the shape {input:?}"));
    };
    let along = |d: usize, n: usize| {
        window_length(n, pool.kernel[d], pool.stride[d], pool.padding[d], 1)
            .ok_or_else(|| format!("the window {:?} exceeds the input {input:?}", pool.kernel))
    };
    Ok(vec![channels, along(0, height)?, along(1, width)?])
}

fn flattened(start: i64, end: i64, input: &[usize]) -> Result<Vec<usize>, String> {
    let rank = input.len() as i64;
    let from_front = |dimension: i64| if dimension < 0 { dimension + rank } else { dimension };
    let (first, last) = (from_front(start), from_front(end));
    if !(0 <= first && first <= last && last < rank) {
        return Err(format!("dimensions {start} to {end} cannot be joined in the shape {input:?}"));
    }
    let (first, last) = (first as usize, last as usize);
    let mut shape = input[..first].to_vec();
    shape.push(input[first..=last].iter().product());
    shape.extend(&input[last + 1..]);
    Ok(shape)
}

/// The dimensions `first ..= last` whose joining makes `output` of `input`; `None` where none does.
pub(super) fn joined_dimensions(input: &[usize], output: &[usize]) -> Option<(i64, i64)> {
    let first = input.iter().zip(output).take_while(|(a, b)| a == b).count().min(output.len().checked_sub(1)?);
    // Where the shapes go on alike behind the joined dimensions, the join may start at any of the first that agree.
    (0..=first).rev().find_map(|first| {
        let last = (input.len() + first).checked_sub(output.len())?;
        let (first, last) = (first as i64, last as i64);
        (flattened(first, last, input).as_deref() == Ok(output)).then_some((first, last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use snncc_ir::Tensor;
    use snncc_ir::network::PoolKind;

    fn convolution(kernel: [usize; 2], stride: [usize; 2], padding: Padding, dilation: [usize; 2]) -> Convolution {
        let shape = vec![4, 2, kernel[0], kernel[1]];
        let len = shape.iter().product();
        Convolution {
            dimensions: 2,
            weight: Tensor::new(shape, vec![0.0; len]),
            bias: None,
            stride: stride.to_vec(),
            padding,
            dilation: dilation.to_vec(),
            groups: 1,
            input_shape: None,
            delay: 0,
        }
    }

    /// PyTorch's results: the kernel's own length counts in each dimension.
    #[test]
    fn convolutions_shrink_as_in_pytorch() {
        let shape = |kernel, stride, padding, dilation, input: &[usize]| {
            convolved(&convolution(kernel, stride, padding, dilation), input)
        };
        assert_eq!(shape([3, 5], [1, 1], Padding::Valid, [1, 1], &[2, 8, 10]), Ok(vec![4, 6, 6]));
        let explicit = |a, b| Padding::Explicit(vec![a, b]);
        assert_eq!(shape([5, 5], [2, 2], explicit(1, 1), [1, 1], &[2, 34, 34]), Ok(vec![4, 16, 16]));
        assert_eq!(shape([3, 3], [2, 1], explicit(0, 2), [2, 1], &[2, 9, 4]), Ok(vec![4, 3, 6]));
        assert_eq!(shape([4, 2], [1, 1], Padding::Same, [1, 1], &[2, 7, 3]), Ok(vec![4, 7, 3]));
        assert!(shape([9, 1], [1, 1], Padding::Valid, [1, 1], &[2, 8, 8]).unwrap_err().contains("exceeds"));
        assert!(shape([1, 1], [1, 1], Padding::Valid, [1, 1], &[3, 8, 8]).unwrap_err().contains("2 channels"));
    }

    #[test]
    fn pooling_and_flatten() {
        let pool = Pool { kind: PoolKind::Sum, kernel: [2, 3], stride: [2, 1], padding: [0, 1] };
        assert_eq!(pooled(&pool, &[8, 5, 4]), Ok(vec![8, 2, 4]));
        assert!(pooled(&pool, &[8, 5]).is_err());
        assert_eq!(flattened(0, -1, &[8, 4, 4]), Ok(vec![128]));
        assert_eq!(flattened(1, 2, &[8, 4, 4, 3]), Ok(vec![8, 16, 3]));
        assert_eq!(flattened(-2, -1, &[8, 4, 4]), Ok(vec![8, 16]));
        assert!(flattened(1, -1, &[8]).is_err());
        assert!(flattened(2, 1, &[8, 4, 4]).is_err());
        assert_eq!(joined_dimensions(&[8, 4, 4], &[128]), Some((0, 2)));
        assert_eq!(joined_dimensions(&[8, 4, 4, 3], &[8, 16, 3]), Some((1, 2)));
        assert_eq!(joined_dimensions(&[1, 6, 5], &[6, 5]), Some((0, 1)));
        assert_eq!(joined_dimensions(&[6, 5], &[6, 5]), Some((1, 1)));
        assert_eq!(joined_dimensions(&[6, 6], &[4, 9]), None);
        assert_eq!(joined_dimensions(&[128], &[8, 16]), None);
        assert_eq!(joined_dimensions(&[4, 4], &[]), None);
    }
}
