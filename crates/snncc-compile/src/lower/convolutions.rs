//! Two convolutions in a row as one, where that is exact: a pool before or behind a convolution, mostly.
//!
//! With strides `s`, dilations `d`, paddings `p` and kernels `k` of the first (1) and second (2) one, output `o` of the
//! second reads, through its element `k2` and the first one's element `k1`, the input at
//! `s1·(s2·o − p2 + d2·k2) − p1 + d1·k1`: a convolution with stride `s1·s2`, padding `p1 + s1·p2` and elements at
//! `s1·d2·k2 + d1·k1`. It is exact if the zeros that the second one reads beyond its input are zeros of the joined one too,
//! that is, if the first one's windows there lie wholly beyond the input.

use snncc_ir::ConvolutionGeometry;

/// Bounds of what is joined; nothing larger would be of use.
const MAX_JOINED_WEIGHTS: usize = 1 << 26;
const MAX_PADDING: u32 = 1 << 30;

/// Joins two convolutions, each given as geometry and weights; `None` where one convolution cannot be exact or would hold
/// synapses that the two do not have.
pub(super) fn join(
    first: (&ConvolutionGeometry, &[f64]),
    second: (&ConvolutionGeometry, &[f64]),
) -> Option<(ConvolutionGeometry, Vec<f64>)> {
    let ((a, first_weights), (b, second_weights)) = (first, second);
    // A Flatten between them makes another shape of the same elements.
    if a.output != b.input {
        return None;
    }
    let axes = [join_axis(a, b, 0)?, join_axis(a, b, 1)?];
    let groups = if is_depthwise(a) {
        b.groups
    } else if is_depthwise(b) {
        a.groups
    } else if a.groups == 1 && b.groups == 1 {
        1
    } else {
        return None;
    };
    let pair = |f: fn(&Axis) -> u32| [f(&axes[0]), f(&axes[1])];
    let joined = ConvolutionGeometry {
        input: a.input,
        output: b.output,
        kernel: pair(|axis| axis.kernel),
        stride: pair(|axis| axis.stride),
        padding: pair(|axis| axis.padding),
        dilation: pair(|axis| axis.dilation),
        groups,
    };
    if joined.weight_count() > MAX_JOINED_WEIGHTS || joined.padding.iter().any(|padding| *padding > MAX_PADDING) {
        return None;
    }
    let mut weights = vec![0.0; joined.weight_count()];
    let (a_kernel, b_kernel) = (a.kernel[0] * a.kernel[1], b.kernel[0] * b.kernel[1]);
    let (a_inputs, a_outputs) = (a.input[0] / a.groups, a.output[0] / a.groups);
    let (b_inputs, b_outputs) = (b.input[0] / b.groups, b.output[0] / b.groups);
    let joined_inputs = joined.input[0] / joined.groups;
    for channel_out in 0..b.output[0] {
        for b_slot in 0..b_inputs {
            let middle = channel_out / b_outputs * b_inputs + b_slot;
            for a_slot in 0..a_inputs {
                let channel_in = middle / a_outputs * a_inputs + a_slot;
                let joined_slot = channel_out * joined_inputs + channel_in % joined_inputs;
                for b_element in 0..b_kernel {
                    for a_element in 0..a_kernel {
                        let y = axes[0].element(a_element / a.kernel[1], b_element / b.kernel[1]);
                        let x = axes[1].element(a_element % a.kernel[1], b_element % b.kernel[1]);
                        let a_weight = first_weights[((middle * a_inputs + a_slot) * a_kernel + a_element) as usize];
                        let b_weight =
                            second_weights[((channel_out * b_inputs + b_slot) * b_kernel + b_element) as usize];
                        let at = (joined_slot * joined.kernel[0] + y) * joined.kernel[1] + x;
                        weights[at as usize] += a_weight * b_weight;
                    }
                }
            }
        }
    }
    Some((joined, weights))
}

/// Whether each channel is treated by itself.
fn is_depthwise(geometry: &ConvolutionGeometry) -> bool {
    geometry.groups == geometry.input[0] && geometry.groups == geometry.output[0]
}

struct Axis {
    kernel: u32,
    stride: u32,
    padding: u32,
    dilation: u32,
    /// Steps in the joined kernel per element of the first and of the second kernel.
    steps: [u32; 2],
}

impl Axis {
    fn element(&self, first: u32, second: u32) -> u32 {
        first * self.steps[0] + second * self.steps[1]
    }
}

fn join_axis(a: &ConvolutionGeometry, b: &ConvolutionGeometry, d: usize) -> Option<Axis> {
    let spread = a.stride[d].checked_mul(b.dilation[d])?;
    let (kernel, dilation, steps) = if b.kernel[d] == 1 {
        (a.kernel[d], a.dilation[d], [1, 0])
    } else if a.kernel[d] == 1 {
        (b.kernel[d], spread, [0, 1])
    } else if a.dilation[d] == 1 && a.kernel[d] >= spread {
        // The windows of the first kernel touch or overlap: no holes.
        (spread.checked_mul(b.kernel[d] - 1)?.checked_add(a.kernel[d])?, 1, [1, spread])
    } else {
        return None;
    };
    let axis = Axis {
        kernel,
        stride: a.stride[d].checked_mul(b.stride[d])?,
        padding: a.stride[d].checked_mul(b.padding[d])?.checked_add(a.padding[d])?,
        dilation,
        steps,
    };
    borders_agree(a, b, d).then_some(axis)
}

/// Whether every position beyond the middle that the second convolution reads stands for a window of the first one wholly
/// beyond the input.
fn borders_agree(a: &ConvolutionGeometry, b: &ConvolutionGeometry, d: usize) -> bool {
    let signed = i64::from;
    let (input, middle) = (signed(a.input[d + 1]), signed(a.output[d + 1]));
    let is_beyond = |position: i64| {
        let start = position * signed(a.stride[d]) - signed(a.padding[d]);
        (0..signed(a.kernel[d])).all(|element| !(0..input).contains(&(start + element * signed(a.dilation[d]))))
    };
    (0..signed(b.output[d + 1])).all(|output| {
        (0..signed(b.kernel[d])).all(|element| {
            let position = output * signed(b.stride[d]) - signed(b.padding[d]) + element * signed(b.dilation[d]);
            (0..middle).contains(&position) || is_beyond(position)
        })
    })
}
