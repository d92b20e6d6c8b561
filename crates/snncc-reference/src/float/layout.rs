//! The order in which the elements of a node lie in memory.
//!
//! The network counts elements row by row: `(channel, height, width)`. Convolutions and pools work with the channels of one
//! place together, since an input reaches all output channels of a place with weights that then lie together too. So what
//! they take and give is kept channels last, and so is what lies between them; matrices take either order, as their
//! columns are arranged once. What leaves a run (the trace) is in the network's order.

use snncc_ir::Param;

/// Order of elements. A *position* counts in this order, an *element* in the network's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Layout {
    /// As the network counts.
    #[default]
    RowMajor,
    /// `(place, channel)`, where the network has `(channel, place)`; neither count is 1.
    ChannelsLast {
        /// Number of channels.
        channels: u32,
        /// Number of places: height times width.
        places: u32,
    },
}

impl Layout {
    /// The layout of `(channels, height, width)` that keeps channels together.
    pub(super) fn channels_last(shape: [u32; 3]) -> Self {
        let (channels, places) = (shape[0], shape[1] * shape[2]);
        if channels == 1 || places == 1 { Self::RowMajor } else { Self::ChannelsLast { channels, places } }
    }

    /// The element at a position.
    pub(super) fn element(self, position: usize) -> usize {
        match self {
            Self::RowMajor => position,
            Self::ChannelsLast { channels, places } => {
                position % channels as usize * places as usize + position / channels as usize
            }
        }
    }

    /// The position of an element.
    pub(super) fn position(self, element: usize) -> usize {
        match self {
            Self::RowMajor => element,
            Self::ChannelsLast { channels, places } => {
                element % places as usize * channels as usize + element / places as usize
            }
        }
    }

    /// Values given by element, by position.
    pub(super) fn arranged<T: Copy>(self, elements: &[T]) -> Vec<T> {
        (0..elements.len()).map(|position| elements[self.element(position)]).collect()
    }

    /// Values given by position, by element.
    pub(super) fn restored<T: Copy>(self, positions: &[T]) -> Vec<T> {
        (0..positions.len()).map(|element| positions[self.position(element)]).collect()
    }

    /// As [`Layout::arranged`].
    pub(super) fn arranged_param<T: Copy>(self, param: &Param<T>) -> Param<T> {
        match param {
            Param::Uniform(value) => Param::Uniform(*value),
            Param::PerNeuron(values) => Param::PerNeuron(self.arranged(values)),
        }
    }

    /// For each position of this layout, that of the same element in `other`; `None` if they are the same. `len` is the
    /// number of elements.
    pub(super) fn conversion(self, other: Self, len: usize) -> Option<Vec<u32>> {
        (self != other).then(|| (0..len).map(|at| other.position(self.element(at)) as u32).collect())
    }

    /// The spikes at `positions` (ascending) of `len` as elements, ascending.
    pub(super) fn restored_spikes(self, positions: &[u32], len: usize) -> Vec<u32> {
        let Self::ChannelsLast { channels, places } = self else { return positions.to_vec() };
        let mut marks = vec![0_u64; len.div_ceil(64)];
        for position in positions {
            let place = position / channels;
            let element = (position - place * channels) * places + place;
            marks[element as usize / 64] |= 1 << (element % 64);
        }
        let mut elements = Vec::with_capacity(positions.len());
        for (first, mut word) in (0..).step_by(64).zip(marks) {
            while word != 0 {
                elements.push(first + word.trailing_zeros());
                word &= word - 1;
            }
        }
        elements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_a_place_lie_together() {
        let layout = Layout::channels_last([2, 1, 3]);
        let elements = [10, 11, 12, 20, 21, 22];
        let positions = layout.arranged(&elements);
        assert_eq!(positions, [10, 20, 11, 21, 12, 22]);
        assert_eq!(layout.restored(&positions), elements);
        assert_eq!(layout.restored_spikes(&[1, 2, 5], 6), [1, 3, 5]);
        assert_eq!(layout.conversion(Layout::RowMajor, 6).unwrap(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(Layout::RowMajor.conversion(layout, 6).unwrap(), [0, 2, 4, 1, 3, 5]);
        assert_eq!(Layout::channels_last([5, 1, 1]), Layout::RowMajor);
        assert_eq!(Layout::channels_last([1, 5, 5]).conversion(Layout::RowMajor, 25), None);
    }
}
