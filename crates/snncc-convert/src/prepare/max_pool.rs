//! Maxima as trees of rectifiers: `max(a, b) = a + ReLU(b − a)`.
//!
//! A maximum in the tree is kept as a weighted sum of the elements compared and of the rectifiers below it, so that each
//! comparison is one layer of rectifiers on one linear map: for pooling a depthwise convolution, which stays one when it is
//! joined with the layers around. Windows over two dimensions are pooled along the width, then along the height: neighbouring
//! windows share what they have in common. `k` elements take `k − 1` rectifiers in `⌈log₂ k⌉` levels; windows at every
//! position take one per level, since those of twice the length come from two of half the length.
//!
//! A maximum of values that are not negative is rectified once more, which changes nothing: the layers behind it then read one
//! neuron for each window, not every neuron that the maximum is the sum of. On a chip this is what decides the fan-in.
//!
//! Behind a rectifier, zeros around the input do as padding, which must never win. Elsewhere the input is continued by its
//! outermost elements, which every window at the border holds anyway.

use super::draft::{Draft, Value};
use snncc_ir::ann::{Activation, AnnConvolution, AnnOp, AnnPool, AnnTensor};

/// A window of an odd length above this is made even if that is possible, so that it can be halved: a layer of rectifiers for
/// each level instead of one for each comparison.
const LONG_WINDOW: usize = 8;

/// Windows with more elements along a dimension, where every comparison would be a layer, are refused.
const MAX_COMPARED: usize = 256;

/// Windows along a spatial dimension.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Which, counted without channels, and of how many.
    index: usize,
    of: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
    /// Length of the input without padding.
    len: usize,
}

impl Axis {
    fn outputs(&self) -> usize {
        (self.len + self.before + self.after - self.reach(self.kernel)) / self.stride + 1
    }

    /// Elements from the first to the last of a window, both included.
    fn reach(&self, kernel: usize) -> usize {
        self.dilation * (kernel - 1) + 1
    }

    /// Without padding and gaps.
    fn is_plain(&self) -> bool {
        self.before + self.after == 0 && self.dilation == 1
    }

    /// Where element `k` of window `o` lies, if it is inside.
    fn position(&self, o: usize, k: usize) -> Option<usize> {
        (o * self.stride + k * self.dilation).checked_sub(self.before).filter(|position| *position < self.len)
    }

    /// Whether a window lies in the padding as a whole.
    fn has_empty_window(&self) -> bool {
        (0..self.outputs()).any(|o| (0..self.kernel).all(|k| self.position(o, k).is_none()))
    }
}

/// A maximum and its price.
pub(super) struct Tree {
    pub(super) value: Value,
    /// Rectifiers, in all.
    pub(super) rectifiers: usize,
}

/// The maximum over windows. The pool fits the value.
///
/// # Errors
/// Why there is none.
pub(super) fn max_pool(draft: &mut Draft, name: &str, x: Value, pool: &AnnPool) -> Result<Tree, String> {
    let of = pool.kernel.len();
    let space = draft.shape(x)[1..].to_vec();
    let mut axes: Vec<Axis> = (0..of)
        .map(|index| Axis {
            index,
            of,
            kernel: pool.kernel[index],
            stride: pool.stride[index],
            dilation: pool.dilation[index],
            before: pool.padding[index].0,
            after: pool.padding[index].1,
            len: space[index],
        })
        .collect();
    if axes.iter().any(Axis::has_empty_window) {
        return Err("one of its windows lies in the padding as a whole, where there is no maximum".into());
    }
    let compared = |axis: &Axis| match (axis.stride, axis.is_plain()) {
        (1, _) => 0,
        (_, true) if axis.outputs() == 1 => 0,
        (stride, true) => axis.kernel >> axis.kernel.trailing_zeros().min(stride.trailing_zeros()),
        (_, false) => axis.kernel,
    };
    if axes.iter().any(|axis| compared(axis) > MAX_COMPARED) {
        return Err(format!(
            "its windows hold more than {MAX_COMPARED} elements along a dimension and overlap unevenly"
        ));
    }
    let start = draft.nodes.len();
    let mut value = x;
    let is_padded = |axis: &Axis| axis.before + axis.after > 0;
    if axes.iter().any(is_padded) && !draft.is_nonnegative(x) {
        value = continued(draft, name, x, &mut axes);
    }
    for axis in axes.iter().rev() {
        let suffix = if of == 1 { "" } else { ["/height", "/width"][axis.index] };
        value = along(draft, &format!("{name}{suffix}"), value, *axis);
    }
    let value = if value == x { x } else { closed(draft, name, value, &[x]) };
    Ok(Tree { value, rectifiers: rectifiers_since(draft, start) })
}

/// The maximum `value`, named, as neurons of its own where it is the maximum of values that are not negative.
fn closed(draft: &mut Draft, name: &str, value: Value, compared: &[Value]) -> Value {
    if !compared.iter().all(|value| draft.is_nonnegative(*value)) {
        draft.nodes[value].name = name.to_owned();
        return value;
    }
    draft.nodes[value].name = format!("{name}/sum");
    draft.push(name.to_owned(), AnnOp::Activation(Activation::Relu), vec![value], None)
}

/// The element-wise maximum of values of one shape.
pub(super) fn maximum(draft: &mut Draft, name: &str, values: &[Value]) -> Tree {
    if let [value] = values {
        return Tree { value: *value, rectifiers: 0 };
    }
    let start = draft.nodes.len();
    let mut level = 0;
    let value = tree(draft, values.len(), &mut |draft, form, is_difference| {
        level += usize::from(is_difference);
        let terms = values.iter().copied().zip(form.elements.iter().copied()).filter(|(_, factor)| *factor != 0.0);
        let name = if is_difference { format!("{name}/difference{level}") } else { name.to_owned() };
        weighted(draft, &name, terms.chain(form.rectifiers.iter().copied()).collect())
    });
    let value = closed(draft, name, value, values);
    Tree { value, rectifiers: rectifiers_since(draft, start) }
}

fn rectifiers_since(draft: &Draft, start: usize) -> usize {
    let new = draft.nodes.iter().skip(start).filter(|node| matches!(node.op, AnnOp::Activation(_)));
    new.map(|node| node.shape.iter().product::<usize>()).sum()
}

/// Continues a value by its outermost elements where windows are padded; the axes lose their padding.
fn continued(draft: &mut Draft, name: &str, x: Value, axes: &mut [Axis]) -> Value {
    let mut indices = vec![(0..draft.shape(x)[0]).collect::<Vec<usize>>()];
    for axis in axes {
        if axis.dilation == 1 || axis.before + axis.after == 0 {
            let places = 0..axis.len + axis.before + axis.after;
            let inside = |place: usize| place.saturating_sub(axis.before).min(axis.len - 1);
            indices.push(places.map(inside).collect());
            axis.len += axis.before + axis.after;
        } else {
            // Windows with gaps need not hold the outermost elements: each one is laid out by itself.
            let gapped = *axis;
            let window = |o: usize| {
                let found = move |k: usize| gapped.position(o, k);
                let first = (0..gapped.kernel).find_map(found).expect("bug in snncc: no window is empty");
                (0..gapped.kernel).map(move |k| found(k).unwrap_or(first))
            };
            indices.push((0..gapped.outputs()).flat_map(window).collect());
            (axis.len, axis.stride, axis.dilation) = (axis.outputs() * axis.kernel, axis.kernel, 1);
        }
        (axis.before, axis.after) = (0, 0);
    }
    draft.push(format!("{name}/continued"), AnnOp::Resample { indices }, vec![x], None)
}

/// The maximum over windows along one dimension.
fn along(draft: &mut Draft, name: &str, x: Value, mut axis: Axis) -> Value {
    let outputs = axis.outputs();
    let is_plain = axis.is_plain();
    if axis.kernel == 1 && outputs == axis.len && is_plain {
        return x;
    }
    // Of a single window the stride does not matter; a power of two can be halved.
    if outputs == 1 && is_plain {
        axis.stride = axis.len.next_power_of_two().max(2);
    }
    if axis.stride == 1 && axis.kernel > 3 {
        return by_doubling(draft, name, x, axis);
    }
    if axis.kernel > 3 && axis.kernel.is_multiple_of(2) && axis.stride.is_multiple_of(2) && is_plain {
        return by_halving(draft, name, x, axis);
    }
    if axis.kernel > LONG_WINDOW && outputs == 1 && is_plain {
        let x = one_more(draft, name, x, axis);
        let (kernel, len) = (axis.kernel + 1, axis.kernel + 1);
        return by_halving(draft, name, x, Axis { kernel, len, stride: len.next_power_of_two(), ..axis });
    }
    let mut level = 0;
    tree(draft, axis.kernel, &mut |draft, form, is_difference| {
        level += usize::from(is_difference);
        let name = if is_difference { format!("{name}/difference{level}") } else { name.to_owned() };
        let mut terms = Vec::new();
        if let Some(picked) = pick(draft, &format!("{name}/elements"), x, axis, &form.elements) {
            terms.push((picked, 1.0));
        }
        terms.extend(&form.rectifiers);
        weighted(draft, &name, terms)
    })
}

/// Windows of an even length at even places: the maxima of pairs, and then windows of half the length.
fn by_halving(draft: &mut Draft, name: &str, x: Value, axis: Axis) -> Value {
    let pairs = Axis { kernel: 2, stride: 2, ..axis };
    let value = along(draft, &format!("{name}/pairs{}", axis.kernel), x, pairs);
    let half = Axis { kernel: axis.kernel / 2, stride: axis.stride / 2, len: pairs.outputs(), ..axis };
    along(draft, name, value, half)
}

/// The only window of a dimension, its last element twice.
fn one_more(draft: &mut Draft, name: &str, x: Value, axis: Axis) -> Value {
    let shape = draft.shape(x);
    let place = |d: usize| match d == axis.index + 1 {
        true => (0..axis.kernel).chain([axis.kernel - 1]).collect(),
        false => (0..shape[d]).collect::<Vec<usize>>(),
    };
    let indices = (0..shape.len()).map(place).collect();
    draft.push(format!("{name}/even{}", axis.kernel), AnnOp::Resample { indices }, vec![x], None)
}

/// Windows at every position, each from two of about half the length.
fn by_doubling(draft: &mut Draft, name: &str, x: Value, axis: Axis) -> Value {
    let (mut value, mut len, mut span) = (x, axis.len, 1);
    while span < axis.kernel {
        let step = span.min(axis.kernel - span);
        let padding = if span == 1 { (axis.before, axis.after) } else { (0, 0) };
        let two = Axis { kernel: 2, dilation: axis.dilation * step, before: padding.0, after: padding.1, len, ..axis };
        span += step;
        value = along(draft, &format!("{name}/{span}"), value, two);
        len = two.outputs();
    }
    value
}

/// A maximum: `Σ factor · element + Σ factor · rectifier`.
#[derive(Clone)]
struct Form {
    elements: Vec<f32>,
    rectifiers: Vec<(Value, f32)>,
}

/// A balanced tree over `count` elements. `make` turns a form into a value; it is told whether the form is a difference, to be
/// rectified, or the result.
fn tree(draft: &mut Draft, count: usize, make: &mut impl FnMut(&mut Draft, &Form, bool) -> Value) -> Value {
    let element = |index: usize| Form {
        elements: (0..count).map(|other| if other == index { 1.0 } else { 0.0 }).collect(),
        rectifiers: Vec::new(),
    };
    let mut forms: Vec<Form> = (0..count).map(element).collect();
    while forms.len() > 1 {
        let mut next = Vec::new();
        for pair in forms.chunks(2) {
            let [a, b] = pair else {
                next.extend_from_slice(pair);
                continue;
            };
            let negative = a.rectifiers.iter().map(|(value, factor)| (*value, -factor));
            let difference = Form {
                elements: b.elements.iter().zip(&a.elements).map(|(b, a)| b - a).collect(),
                rectifiers: b.rectifiers.iter().copied().chain(negative).collect(),
            };
            let argument = make(draft, &difference, true);
            let name = draft.nodes[argument].name.replace("/difference", "/neurons");
            let above = draft.push(name, AnnOp::Activation(Activation::Relu), vec![argument], None);
            let mut larger = a.clone();
            larger.rectifiers.push((above, 1.0));
            next.push(larger);
        }
        forms = next;
    }
    make(draft, &forms[0], false)
}

/// `Σ factor · value`
fn weighted(draft: &mut Draft, name: &str, terms: Vec<(Value, f32)>) -> Value {
    match terms[..] {
        [(value, 1.0)] => {
            draft.nodes[value].name = name.to_owned();
            value
        }
        _ => {
            let (inputs, coefficients) = terms.into_iter().unzip();
            draft.push(name, AnnOp::Sum { coefficients }, inputs, None)
        }
    }
}

/// `Σ factor · element` of every window, as a depthwise convolution whose kernel is as short as the number of windows allows;
/// `None` if all factors are 0.
fn pick(draft: &mut Draft, name: &str, x: Value, mut axis: Axis, factors: &[f32]) -> Option<Value> {
    let outputs = axis.outputs();
    let first = factors.iter().position(|factor| *factor != 0.0)?;
    let last = factors.iter().rposition(|factor| *factor != 0.0)?;
    let skipped = first.min(axis.before / axis.dilation);
    axis.before -= skipped * axis.dilation;
    let factors = &factors[skipped..];
    // With `kernel` elements, so much input gives the right number of windows.
    let fits = |kernel: usize| {
        let least = (outputs - 1) * axis.stride + axis.reach(kernel);
        let present = axis.len + axis.before;
        (present < least + axis.stride).then(|| least.saturating_sub(present))
    };
    let (kernel, after) = (last - skipped + 1..=factors.len())
        .find_map(|kernel| Some((kernel, fits(kernel)?)))
        .expect("bug in snncc: whole windows fit");
    let channels = draft.shape(x)[0];
    let at_axis = |value: usize| (0..axis.of).map(move |d| if d == axis.index { value } else { 1 });
    let shape: Vec<usize> = [channels, 1].into_iter().chain(at_axis(kernel)).collect();
    let kernels = std::iter::repeat_n(&factors[..kernel], channels).flatten().copied();
    let layer = AnnConvolution {
        weight: AnnTensor::new(shape, kernels.collect::<Vec<f32>>()),
        bias: None,
        stride: at_axis(axis.stride).collect(),
        padding: (0..axis.of).map(|d| if d == axis.index { (axis.before, after) } else { (0, 0) }).collect(),
        dilation: at_axis(axis.dilation).collect(),
        groups: channels,
    };
    Some(draft.push(name, AnnOp::Convolution(layer), vec![x], None))
}
