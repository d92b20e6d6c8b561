//! Numbers that begin at a cache line, so that no vector lies across two.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest vectors.
const LINE: usize = 64;

/// A fixed number of values from a cache line on.
pub(super) struct Aligned {
    values: Vec<f64>,
    /// Values before the line.
    first: usize,
    len: usize,
}

impl Aligned {
    /// At least `len` values: what was there, or as many zeros.
    pub(super) fn grow(&mut self, len: usize) {
        if self.len < len {
            *self = Self::zeros(len);
        }
    }

    pub(super) fn zeros(len: usize) -> Self {
        let values = vec![0.0; len + LINE / size_of::<f64>() - 1];
        let first = values.as_ptr().align_offset(LINE);
        // The place in memory is a matter of speed alone; it may be unknown.
        Self { first: if first + len <= values.len() { first } else { 0 }, values, len }
    }
}

impl From<&[f64]> for Aligned {
    fn from(values: &[f64]) -> Self {
        let mut aligned = Self::zeros(values.len());
        aligned.copy_from_slice(values);
        aligned
    }
}

impl Deref for Aligned {
    type Target = [f64];

    #[inline(always)]
    fn deref(&self) -> &[f64] {
        &self.values[self.first..self.first + self.len]
    }
}

impl DerefMut for Aligned {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.values[self.first..self.first + self.len]
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        Self::from(&self[..])
    }
}

impl PartialEq for Aligned {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl std::fmt::Debug for Aligned {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self[..].fmt(formatter)
    }
}
