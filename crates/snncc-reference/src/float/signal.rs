//! What nodes give and take: spikes as lists of positions, or values.

use super::aligned::Aligned;

/// What a node gives in a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Signal {
    /// Positions that are 1, ascending; the others are 0.
    Spikes(Vec<u32>),
    /// All positions.
    Values(Aligned),
}

impl Default for Signal {
    fn default() -> Self {
        Self::Spikes(Vec::new())
    }
}

/// What a node takes in a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    Spikes(&'a [u32]),
    Values(&'a [f64]),
}

impl Signal {
    pub(super) fn view(&self) -> Source<'_> {
        match self {
            Self::Spikes(spikes) => Source::Spikes(spikes),
            Self::Values(values) => Source::Values(values),
        }
    }

    /// The buffer of values, `len` long and of any content.
    pub(super) fn values_mut(&mut self, len: usize) -> &mut [f64] {
        if !matches!(self, Self::Values(_)) {
            *self = Self::Values(Aligned::zeros(len));
        }
        match self {
            Self::Values(values) => values,
            Self::Spikes(_) => unreachable!("bug in snncc: just set to values"),
        }
    }

    /// The buffer of spikes, empty.
    pub(super) fn spikes_mut(&mut self) -> &mut Vec<u32> {
        if !matches!(self, Self::Spikes(_)) {
            *self = Self::Spikes(Vec::new());
        }
        match self {
            Self::Spikes(spikes) => {
                spikes.clear();
                spikes
            }
            Self::Values(_) => unreachable!("bug in snncc: just set to spikes"),
        }
    }
}

impl Source<'_> {
    /// Adds all positions to `sum`.
    pub(super) fn add_to(self, sum: &mut [f64]) {
        match self {
            Self::Spikes(spikes) => spikes.iter().for_each(|position| sum[*position as usize] += 1.0),
            Self::Values(values) => sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value),
        }
    }

    /// As [`Source::add_to`], position `p` to `sum[targets[p]]`.
    pub(super) fn add_converted_to(self, targets: &[u32], sum: &mut [f64]) {
        self.for_each_active(|position, value| sum[targets[position] as usize] += value);
    }

    /// Calls `visit` with position and value of everything that is not 0, ascending.
    pub(super) fn for_each_active(self, mut visit: impl FnMut(usize, f64)) {
        match self {
            Self::Spikes(spikes) => spikes.iter().for_each(|position| visit(*position as usize, 1.0)),
            Self::Values(values) => {
                values.iter().enumerate().filter(|(_, value)| **value != 0.0).for_each(|(at, value)| visit(at, *value));
            }
        }
    }

    /// Copies all positions into `target`.
    pub(super) fn copy_to(self, target: &mut [f64]) {
        match self {
            Self::Spikes(spikes) => {
                target.fill(0.0);
                spikes.iter().for_each(|position| target[*position as usize] = 1.0);
            }
            Self::Values(values) => target.copy_from_slice(values),
        }
    }
}
