//! Values of the trained network as sums of terms over nodes of the spiking one.

use snncc_ids::NodeId;

/// No source: the element is 0.
pub(super) const ZERO: u32 = u32::MAX;

/// A value: the sum of its terms.
#[derive(Clone, Debug, Default)]
pub(super) struct Value {
    pub(super) terms: Vec<Term>,
    pub(super) shape: Vec<usize>,
}

/// `value[i] = factors[i] · node[source[i]]`.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub(super) node: NodeId,
    /// Shape of the node's output.
    pub(super) node_shape: Vec<usize>,
    /// Element of the node for each element of the value, or [`ZERO`]; `None`: the same.
    pub(super) source: Option<Vec<u32>>,
    /// Factor of each element; `None`: 1.
    pub(super) factors: Option<Vec<f64>>,
    /// Whether nothing else reads the node, so that factors may go into its weights.
    pub(super) exclusive: bool,
}

impl Value {
    pub(super) fn of_node(node: NodeId, shape: &[usize], exclusive: bool) -> Self {
        let term = Term { node, node_shape: shape.to_vec(), source: None, factors: None, exclusive };
        Self { terms: vec![term], shape: shape.to_vec() }
    }

    /// The value whose element `i` is element `source[i]` of this one.
    pub(super) fn gathered(&self, source: &[u32], shape: &[usize]) -> Self {
        let terms = self.terms.iter().map(|term| term.gathered(source)).collect();
        Self { terms, shape: shape.to_vec() }
    }

    /// Every element multiplied with its factor.
    pub(super) fn weighed(&self, factors: &[f64]) -> Self {
        let terms = self.terms.iter().map(|term| term.weighed(factors)).collect();
        Self { terms, shape: self.shape.clone() }
    }

    /// The value of the same elements under another shape.
    pub(super) fn reshaped(&self, shape: &[usize]) -> Self {
        Self { terms: self.terms.clone(), shape: shape.to_vec() }
    }

    /// Marks all nodes as read by others too.
    pub(super) fn shared(mut self) -> Self {
        self.terms.iter_mut().for_each(|term| term.exclusive = false);
        self
    }
}

impl Term {
    fn gathered(&self, source: &[u32]) -> Self {
        let through = |at: &u32| match (*at, &self.source) {
            (ZERO, _) => ZERO,
            (at, Some(before)) => before[at as usize],
            (at, None) => at,
        };
        let node_len: usize = self.node_shape.iter().product();
        let joined: Vec<u32> = source.iter().map(through).collect();
        let is_identity = joined.len() == node_len && joined.iter().enumerate().all(|(at, from)| *from as usize == at);
        let factors = self
            .factors
            .as_ref()
            .map(|factors| source.iter().map(|at| if *at == ZERO { 0.0 } else { factors[*at as usize] }).collect());
        Self {
            node: self.node,
            node_shape: self.node_shape.clone(),
            source: (!is_identity).then_some(joined),
            factors,
            exclusive: self.exclusive,
        }
    }

    fn weighed(&self, factors: &[f64]) -> Self {
        let mut term = self.clone();
        let product = match &self.factors {
            Some(before) => before.iter().zip(factors).map(|(before, factor)| before * factor).collect(),
            None => factors.to_vec(),
        };
        let product: Vec<f64> = product;
        term.factors = product.iter().any(|factor| *factor != 1.0).then_some(product);
        term
    }
}

/// The value of each channel (dimension 0 of `shape`), if all elements of a channel share theirs.
pub(super) fn by_channel(values: &[f64], shape: &[usize]) -> Option<Vec<f64>> {
    let plane: usize = shape.iter().skip(1).product();
    values.chunks_exact(plane).map(|channel| channel.iter().all(|v| *v == channel[0]).then_some(channel[0])).collect()
}

/// For a value made of a node by moving whole channels: the source channel of each, or `None` for a channel of zeros.
pub(super) fn channel_map(source: &[u32], from: &[usize], to: &[usize]) -> Option<Vec<Option<usize>>> {
    if from.len() < 2 || from.len() != to.len() || from[1..] != to[1..] {
        return None;
    }
    let plane: usize = to[1..].iter().product();
    let channel = |elements: &[u32]| -> Option<Option<usize>> {
        if elements.iter().all(|at| *at == ZERO) {
            return Some(None);
        }
        let first = elements[0] as usize;
        let runs = elements.iter().enumerate().all(|(k, at)| *at as usize == first + k && *at != ZERO);
        (runs && first.is_multiple_of(plane)).then_some(Some(first / plane))
    };
    source.chunks_exact(plane).map(channel).collect()
}

/// Source element of each element of `shape` taken by `position` (a function of the multi-index) from a value of shape `from`;
/// `None` stands for 0.
pub(super) fn gather(shape: &[usize], from: &[usize], position: impl Fn(&[usize], &mut [usize]) -> bool) -> Vec<u32> {
    let count: usize = shape.iter().product();
    let mut at = vec![0; shape.len()];
    let mut there = vec![0; from.len()];
    let mut result = Vec::with_capacity(count);
    for _ in 0..count {
        result.push(match position(&at, &mut there) {
            true => there.iter().zip(from).fold(0, |index, (p, length)| index * length + p) as u32,
            false => ZERO,
        });
        for d in (0..shape.len()).rev() {
            at[d] += 1;
            if at[d] < shape[d] {
                break;
            }
            at[d] = 0;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_compose_and_channels_are_found() {
        let value = Value::of_node(NodeId(0), &[2, 2], true);
        let swapped = value.gathered(&[2, 3, 0, 1], &[2, 2]).weighed(&[1.0, 1.0, 3.0, 3.0]);
        assert_eq!(
            channel_map(swapped.terms[0].source.as_ref().unwrap(), &[2, 2], &[2, 2]).unwrap(),
            [Some(1), Some(0)]
        );
        assert_eq!(by_channel(swapped.terms[0].factors.as_ref().unwrap(), &[2, 2]).unwrap(), [1.0, 3.0]);
        let back = swapped.gathered(&[2, 3, 0, 1], &[2, 2]);
        assert!(back.terms[0].source.is_none());
        assert_eq!(back.terms[0].factors.as_ref().unwrap(), &[3.0, 3.0, 1.0, 1.0]);
        let embedded = value.gathered(&[ZERO, ZERO, 0, 1], &[2, 2]);
        assert_eq!(channel_map(embedded.terms[0].source.as_ref().unwrap(), &[2, 2], &[2, 2]).unwrap(), [None, Some(0)]);
    }

    #[test]
    fn gather_walks_in_row_major_order() {
        let transposed = gather(&[3, 2], &[2, 3], |at, there| {
            (there[0], there[1]) = (at[1], at[0]);
            true
        });
        assert_eq!(transposed, [0, 3, 1, 4, 2, 5]);
    }
}
