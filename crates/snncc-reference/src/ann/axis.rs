//! Windows along one spatial dimension: which elements meet.

use std::ops::Range;

/// Windows along a dimension: element `k` of window `o` lies at `o · stride + k · dilation − before`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// Length of what the windows lie on.
    pub(super) input: usize,
    /// Number of windows.
    pub(super) output: usize,
    /// Elements of a window.
    pub(super) kernel: usize,
    /// Distance of windows; at least 1.
    pub(super) stride: usize,
    /// Distance of the elements of a window.
    pub(super) dilation: usize,
    /// Padding before.
    pub(super) before: usize,
}

impl Axis {
    /// The dimension that a one-dimensional layer lacks.
    pub(super) const ONE: Self = Self { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, before: 0 };

    /// Height and width: a missing height is [`Self::ONE`].
    pub(super) fn pair(count: usize, of: impl Fn(usize) -> Self) -> [Self; 2] {
        match count {
            1 => [Self::ONE, of(0)],
            2 => [of(0), of(1)],
            _ => panic!("bug in snncc: windows over {count} dimensions"),
        }
    }

    /// The windows whose element `k` lies inside.
    pub(super) fn inside(&self, k: usize) -> Range<usize> {
        let offset = k * self.dilation;
        let start = self.before.saturating_sub(offset).div_ceil(self.stride);
        let end = (self.input + self.before).saturating_sub(offset).div_ceil(self.stride).min(self.output);
        start.min(end)..end
    }

    /// Where element `k` of window `o` lies, one of [`Self::inside`].
    pub(super) fn position(&self, o: usize, k: usize) -> usize {
        o * self.stride + k * self.dilation - self.before
    }

    /// How many elements of window `o` lie from the first element on, padding before it included if `counted_before`, and
    /// before `end`.
    pub(super) fn count(&self, o: usize, counted_before: bool, end: usize) -> usize {
        let start = o * self.stride;
        let dilation = self.dilation.max(1);
        let until = (end + self.before).saturating_sub(start).div_ceil(dilation).min(self.kernel);
        let from = if counted_before { 0 } else { self.before.saturating_sub(start).div_ceil(dilation) };
        until.saturating_sub(from)
    }
}
