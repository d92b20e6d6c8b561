//! Windows of convolutions and pools: strides, dilations and the three ways to state padding.

use super::node::{FileNode, Reading, broken, length};

/// Windows along the spatial dimensions.
#[derive(Debug)]
pub(super) struct Window {
    pub stride: Vec<usize>,
    pub dilation: Vec<usize>,
    /// Before and after.
    pub padding: Vec<(usize, usize)>,
}

/// Who decides the padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AutoPad {
    /// The attribute `pads`.
    Stated,
    /// So that the output has the size of the input by the stride, the odd one after.
    SameUpper,
    /// As before, the odd one before.
    SameLower,
    /// None.
    Valid,
}

impl AutoPad {
    pub(super) fn of(node: &FileNode) -> Reading<Self> {
        match node.text("auto_pad", "NOTSET")? {
            "NOTSET" | "" => Ok(Self::Stated),
            "SAME_UPPER" => Ok(Self::SameUpper),
            "SAME_LOWER" => Ok(Self::SameLower),
            "VALID" => Ok(Self::Valid),
            other => broken(format!("`auto_pad` is `{other}`; ONNX knows NOTSET, SAME_UPPER, SAME_LOWER and VALID")),
        }
    }

    /// Splits padding into before and after.
    pub(super) fn split(self, total: usize) -> (usize, usize) {
        match self {
            Self::SameUpper => (total / 2, total.div_ceil(2)),
            _ => (total.div_ceil(2), total / 2),
        }
    }
}

/// Lengths along the spatial dimensions, or 1 everywhere.
pub(super) fn per_dimension(node: &FileNode, name: &str, dimensions: usize) -> Reading<Vec<usize>> {
    match node.lengths(name, 1)? {
        None => Ok(vec![1; dimensions]),
        Some(lengths) if lengths.len() == dimensions => Ok(lengths),
        Some(lengths) => broken(format!("`{name}` is {lengths:?}, but there are {dimensions} spatial dimensions")),
    }
}

/// The attribute `pads`, or none.
pub(super) fn stated_padding(node: &FileNode, dimensions: usize) -> Reading<Vec<(usize, usize)>> {
    let Some(pads) = node.ints("pads")? else { return Ok(vec![(0, 0); dimensions]) };
    if pads.len() != 2 * dimensions {
        return broken(format!("`pads` is {pads:?}, but there are {dimensions} spatial dimensions"));
    }
    let at = |index: usize| length("pads", pads[index], 0);
    (0..dimensions).map(|d| Ok((at(d)?, at(d + dimensions)?))).collect()
}

/// Elements between the first and one past the last that a window covers.
pub(super) fn reach(kernel: usize, dilation: usize) -> Reading<usize> {
    let reach =
        kernel.checked_sub(1).and_then(|steps| steps.checked_mul(dilation)).and_then(|span| span.checked_add(1));
    match reach.filter(|reach| *reach <= super::node::MAX_LENGTH) {
        Some(reach) => Ok(reach),
        None => broken(format!("a window of {kernel} elements at distance {dilation} is not possible")),
    }
}

impl Window {
    /// The windows of a convolution or pool with this kernel over this space.
    pub(super) fn of(node: &FileNode, kernel: &[usize], space: &[usize]) -> Reading<Self> {
        let dimensions = space.len();
        let stride = per_dimension(node, "strides", dimensions)?;
        let dilation = per_dimension(node, "dilations", dimensions)?;
        let auto_pad = AutoPad::of(node)?;
        let padding = match auto_pad {
            AutoPad::Stated => stated_padding(node, dimensions)?,
            AutoPad::Valid => vec![(0, 0); dimensions],
            AutoPad::SameUpper | AutoPad::SameLower => (0..dimensions)
                .map(|d| {
                    let outputs = space[d].div_ceil(stride[d]);
                    let needed = (outputs - 1) * stride[d] + reach(kernel[d], dilation[d])?;
                    Ok(auto_pad.split(needed.saturating_sub(space[d])))
                })
                .collect::<Reading<_>>()?,
        };
        Ok(Self { stride, dilation, padding })
    }
}
