//! A linear layer as maps that stand at many positions: the rows that a regression learns from, and what it changes.

use super::ridge::Change;
use snncc_ir::ann::{AnnConvolution, AnnLinear, AnnOp, AnnTensor};

/// The rows of a layer. A convolution has one map for each group, at every position of its output; a fully connected layer has
/// one map, at every position before the last dimension.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    /// Maps.
    pub(super) groups: usize,
    /// Inputs and outputs of a map.
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Positions in a sample.
    pub(super) positions: usize,
    /// Of a convolution, over height and width.
    window: Option<[Axis; 2]>,
}

/// How the windows of a convolution lie along a dimension.
#[derive(Clone, Copy, Debug)]
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
}

impl Axis {
    /// Where element `k` of window `at` lies, if it is inside.
    fn position(&self, at: usize, k: usize) -> Option<usize> {
        (at * self.stride + k * self.dilation).checked_sub(self.before).filter(|position| *position < self.input)
    }
}

impl Windows {
    /// Of a layer from values of shape `x` to values of shape `y`; `None` if it is neither fully connected nor a convolution.
    pub(super) fn new(op: &AnnOp, x: &[usize], y: &[usize]) -> Option<Self> {
        match op {
            AnnOp::Linear(layer) => {
                let (outputs, inputs) = (layer.weight.shape[0], layer.weight.shape[1]);
                let positions = y.iter().product::<usize>() / outputs.max(1);
                Some(Self { groups: 1, inputs, outputs, positions, window: None })
            }
            AnnOp::Convolution(layer) => {
                let one = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, before: 0 };
                let axis = |d: usize| Axis {
                    input: x[d + 1],
                    output: y[d + 1],
                    kernel: layer.weight.shape[d + 2],
                    stride: layer.stride[d],
                    dilation: layer.dilation[d],
                    before: layer.padding[d].0,
                };
                let window = if y.len() == 2 { [one, axis(0)] } else { [axis(0), axis(1)] };
                Some(Self {
                    groups: layer.groups,
                    inputs: layer.weight.shape[1..].iter().product(),
                    outputs: layer.weight.shape[0] / layer.groups,
                    positions: y[1..].iter().product(),
                    window: Some(window),
                })
            }
            _ => None,
        }
    }

    /// Appends what the map of `group` reads at `position` of a sample `x`.
    pub(super) fn read(&self, x: &[f32], group: usize, position: usize, row: &mut Vec<f64>) {
        let Some([vertical, horizontal]) = &self.window else {
            row.extend(x[position * self.inputs..][..self.inputs].iter().map(|x| f64::from(*x)));
            return;
        };
        let (plane, area) = (vertical.input * horizontal.input, vertical.kernel * horizontal.kernel);
        let (top, left) = (position / horizontal.output, position % horizontal.output);
        let channels = self.inputs / area;
        for x in x[group * channels * plane..][..channels * plane].chunks_exact(plane) {
            for ky in 0..vertical.kernel {
                let line = vertical.position(top, ky).map(|y| &x[y * horizontal.input..][..horizontal.input]);
                row.extend((0..horizontal.kernel).map(|kx| match (line, horizontal.position(left, kx)) {
                    (Some(line), Some(at)) => f64::from(line[at]),
                    _ => 0.0,
                }));
            }
        }
    }

    /// Where output `output` of the map of `group` at `position` stands in a sample.
    pub(super) fn place(&self, group: usize, position: usize, output: usize) -> usize {
        match self.window {
            None => position * self.outputs + output,
            Some(_) => (group * self.outputs + output) * self.positions + position,
        }
    }
}

/// The layer with its maps changed. `changes` has one for each group.
pub(super) fn changed(op: &AnnOp, changes: &[Change]) -> AnnOp {
    let weights = |weight: &AnnTensor| {
        let flat = changes.iter().flat_map(|change| change.weight.columns().into_iter().flatten().copied());
        let values: Vec<f32> = weight.iter().zip(flat).map(|(weight, by)| (f64::from(weight) + by) as f32).collect();
        AnnTensor::new(weight.shape.clone(), values)
    };
    let biases = |bias: &Option<AnnTensor>| {
        let by = changes.iter().flat_map(|change| change.bias.iter().copied()).enumerate();
        let old = |at: usize| bias.as_ref().map_or(0.0, |bias| f64::from(bias.get(at)));
        Some(AnnTensor::vector(by.map(|(at, by)| (old(at) + by) as f32).collect::<Vec<_>>()))
    };
    match op {
        AnnOp::Linear(layer) => AnnOp::Linear(AnnLinear { weight: weights(&layer.weight), bias: biases(&layer.bias) }),
        AnnOp::Convolution(layer) => AnnOp::Convolution(AnnConvolution {
            weight: weights(&layer.weight),
            bias: biases(&layer.bias),
            ..layer.clone()
        }),
        _ => unreachable!("bug in snncc: a layer without windows"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2};
    use snncc_ir::ann::Ann;
    use snncc_reference::ann::AnnExecutor;

    /// Rows times weights are what the executor makes of a layer, and a changed layer gives what its changes say.
    fn check(op: AnnOp, shape: &[usize]) {
        let mut ann = Ann::new();
        let x = ann.push_input("x", shape.to_vec());
        let y = ann.push("y", op.clone(), vec![x], None).unwrap();
        ann.outputs.push(("y".into(), y));
        let windows = Windows::new(&op, shape, &ann.nodes()[y].shape).unwrap();
        let len: usize = shape.iter().product();
        let input: Vec<f32> = (0..len).map(|at| (at * 7 % 11) as f32 / 4.0 - 1.0).collect();
        let change = |group: usize| Change {
            weight: Array2::from_shape_fn((windows.inputs, windows.outputs), |(i, o)| (group + i * 2 + o) as f64 / 8.0),
            bias: Array1::from_shape_fn(windows.outputs, |o| (o + group) as f64 / 2.0),
        };
        let changes: Vec<Change> = (0..windows.groups).map(change).collect();
        let before = AnnExecutor::new(&ann).unwrap().outputs(&[&input], 1).remove(0);
        ann.replace(y, changed(&op, &changes)).unwrap();
        let after = AnnExecutor::new(&ann).unwrap().outputs(&[&input], 1).remove(0);
        assert_eq!(before.len(), windows.groups * windows.outputs * windows.positions);
        for (group, change) in changes.iter().enumerate() {
            for position in 0..windows.positions {
                let mut row = Vec::new();
                windows.read(&input, group, position, &mut row);
                let moved = change.weight.t().dot(&Array1::from(row)) + &change.bias;
                for (output, moved) in moved.iter().enumerate() {
                    let at = windows.place(group, position, output);
                    let found = f64::from(after[at] - before[at]);
                    assert!((found - moved).abs() < 1e-4, "group {group}, position {position}: {found} {moved}");
                }
            }
        }
    }

    fn tensor(shape: &[usize]) -> AnnTensor {
        let len: usize = shape.iter().product();
        AnnTensor::new(shape.to_vec(), (0..len).map(|at| (at * 5 % 13) as f32 / 8.0 - 0.5).collect::<Vec<_>>())
    }

    #[test]
    fn rows_are_what_the_layer_reads() {
        let linear = |outputs: usize, inputs: usize| AnnLinear { weight: tensor(&[outputs, inputs]), bias: None };
        check(AnnOp::Linear(linear(3, 5)), &[5]);
        check(AnnOp::Linear(linear(3, 5)), &[2, 4, 5]);
        check(
            AnnOp::Convolution(AnnConvolution {
                weight: tensor(&[6, 2, 3, 2]),
                bias: Some(tensor(&[6])),
                stride: vec![2, 1],
                padding: vec![(1, 0), (0, 2)],
                dilation: vec![1, 2],
                groups: 2,
            }),
            &[4, 7, 6],
        );
        check(
            AnnOp::Convolution(AnnConvolution {
                weight: tensor(&[3, 1, 3]),
                bias: None,
                stride: vec![1],
                padding: vec![(1, 1)],
                dilation: vec![1],
                groups: 3,
            }),
            &[3, 8],
        );
    }
}
