//! From lists to synapse memory: which format each segment gets, how many words that takes, and the words.
//!
//! **Rule** (docs/IMAGE_FORMAT.md, "How the compiler chooses formats"). Projections that agree in weight bits, mantissa
//! shift, signs, exponent, sharing, accumulator group and in whether they delay form a *family*. A family has at most two
//! formats on a core: a dense one, and a sparse one whose index width is the smallest of the chip's that holds the largest
//! index of any segment of the family. A segment is dense if its first target is not below the list's running position and
//! the dense blocks, entries of weight 0 filling gaps, take fewer words than the sparse ones; or as many without any filler.
//! If the core then has more formats than the chip allows, each family is held to one format: dense if all its segments can
//! be and that takes no more words, else sparse.

use crate::backend::lists::{RawLists, Segment};
use snncc_chip::LoihiCore;
use snncc_image::{BlockLayout, Entry, SynapseFormat, SynapseList, encode_block, list_words};

/// A family of synapse formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Family {
    /// Its format, with `index_bits` and `delay_bits` still open.
    pub(crate) format: SynapseFormat,
    /// Whether its projections have extra delays anywhere.
    pub(crate) delayed: bool,
}

/// How the lists of a core are stored.
pub(crate) struct Layout {
    /// Distinct formats.
    pub(crate) formats: Vec<SynapseFormat>,
    /// Words in all.
    pub(crate) words: u64,
    /// Words of each list.
    pub(crate) words_of_list: Vec<u32>,
    /// Longest extra delay.
    pub(crate) longest_delay: u32,
    /// Delay bits of the core.
    pub(crate) delay_bits: u8,
    /// Dense and sparse format of each family.
    of_family: Vec<[SynapseFormat; 2]>,
    /// Whether each segment is dense.
    dense: Vec<bool>,
    block: BlockLayout,
}

/// Widths of block headers.
pub(crate) fn block_layout(core: &LoihiCore) -> BlockLayout {
    BlockLayout { format_bits: core.formats.block_format_bits.0, count_bits: core.formats.block_count_bits.0 }
}

/// Smallest number of delay bits whose slots hold the delay; 0 for no delay. May exceed the chip's: that is refused
/// elsewhere.
pub(crate) fn delay_bits(core: &LoihiCore, longest_delay: u32) -> u8 {
    let slots = u64::from(longest_delay) + u64::from(core.formats.delay_slots_reserved.0);
    if longest_delay == 0 { 0 } else { (64 - (slots - 1).leading_zeros()) as u8 }
}

/// Smallest index width of the chip that holds `index`; the largest if none does (the number of compartments is limited so
/// that this does not occur).
pub(crate) fn index_bits(core: &LoihiCore, index: u32) -> u8 {
    let widths = &core.formats.index_bits.0;
    *widths
        .iter()
        .find(|bits| u64::from(index) < crate::backend::values_of(**bits))
        .unwrap_or(&widths[widths.len() - 1])
}

/// What [`choose`] may give a family.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allowed {
    Both,
    DenseOnly,
    SparseOnly,
}

impl Layout {
    /// Chooses formats and counts words.
    pub(crate) fn new(core: &LoihiCore, lists: &RawLists, families: &[Family], format_limit: u64) -> Self {
        let block = block_layout(core);
        let longest_delay = lists.delay.iter().copied().max().map_or(0, u32::from);
        let delay_bits = delay_bits(core, longest_delay);
        let mut largest = vec![0_u32; families.len()];
        for segment in &lists.segments {
            let last = lists.index[segment.entries().end - 1];
            let largest = &mut largest[usize::from(segment.family)];
            *largest = (*largest).max(last);
        }
        let of_family: Vec<[SynapseFormat; 2]> = families
            .iter()
            .zip(&largest)
            .map(|(family, largest)| {
                let delay_bits = if family.delayed { delay_bits } else { 0 };
                let with = |index_bits| SynapseFormat { delay_bits, index_bits, ..family.format };
                [with(None), with(Some(index_bits(core, *largest)))]
            })
            .collect();
        let mut layout = Self {
            formats: Vec::new(),
            words: 0,
            words_of_list: Vec::new(),
            longest_delay,
            delay_bits,
            of_family,
            dense: Vec::new(),
            block,
        };
        layout.choose(lists, &vec![Allowed::Both; families.len()]);
        if layout.formats.len() as u64 > format_limit {
            let allowed = layout.one_format_each(lists);
            layout.choose(lists, &allowed);
        }
        layout
    }

    /// Words of a segment as dense and as sparse, with the number of dense entries. Dense is `None` if the position is past
    /// the first target.
    fn words_of(&self, lists: &RawLists, segment: &Segment, position: u32) -> (Option<(u64, usize)>, u64) {
        let [dense, sparse] = &self.of_family[usize::from(segment.family)];
        let entries = segment.entries();
        let (first, last) = (lists.index[entries.start], lists.index[entries.end - 1]);
        let as_dense = (position <= first).then(|| {
            let span = (last - position + 1) as usize;
            (list_words(self.block, dense, span) as u64, span)
        });
        (as_dense, list_words(self.block, sparse, entries.len()) as u64)
    }

    fn choose(&mut self, lists: &RawLists, allowed: &[Allowed]) {
        self.dense = vec![false; lists.segments.len()];
        self.words_of_list.clear();
        let mut in_use = vec![[false; 2]; self.of_family.len()];
        let mut start = 0;
        for end in &lists.list_ends {
            let (mut position, mut words) = (0, 0);
            for at in start..*end as usize {
                let segment = &lists.segments[at];
                let (as_dense, sparse_words) = self.words_of(lists, segment, position);
                let dense = match (as_dense, allowed[usize::from(segment.family)]) {
                    (None, _) | (_, Allowed::SparseOnly) => false,
                    (_, Allowed::DenseOnly) => true,
                    (Some((words, entries)), Allowed::Both) => {
                        words < sparse_words || words == sparse_words && entries == segment.entries().len()
                    }
                };
                words += if dense { as_dense.map_or(0, |(words, _)| words) } else { sparse_words };
                self.dense[at] = dense;
                in_use[usize::from(segment.family)][usize::from(!dense)] = true;
                position = lists.index[segment.entries().end - 1] + 1;
            }
            self.words_of_list.push(u32::try_from(words).expect("bug in snncc: a list of 2^32 words"));
            start = *end as usize;
        }
        self.words = self.words_of_list.iter().map(|words| u64::from(*words)).sum();
        self.formats.clear();
        for (formats, used) in self.of_family.iter().zip(in_use) {
            self.formats.extend(formats.iter().zip(used).filter(|(_, used)| *used).map(|(format, _)| *format));
        }
        self.formats.sort_unstable();
        self.formats.dedup();
    }

    /// The one format that each family is held to. A segment that cannot be dense (an earlier projection reaches beyond its
    /// first target) makes its family sparse.
    fn one_format_each(&self, lists: &RawLists) -> Vec<Allowed> {
        let mut words = vec![[Some(0_u64), Some(0)]; self.of_family.len()];
        let mut start = 0;
        for end in &lists.list_ends {
            let mut position = 0;
            for segment in &lists.segments[start..*end as usize] {
                let (as_dense, sparse_words) = self.words_of(lists, segment, position);
                let [dense, sparse] = &mut words[usize::from(segment.family)];
                *dense = dense.zip(as_dense).map(|(sum, (words, _))| sum + words);
                *sparse = sparse.map(|sum| sum + sparse_words);
                position = lists.index[segment.entries().end - 1] + 1;
            }
            start = *end as usize;
        }
        words
            .iter()
            .map(
                |[dense, sparse]| {
                    if dense.is_some() && dense <= sparse { Allowed::DenseOnly } else { Allowed::SparseOnly }
                },
            )
            .collect()
    }

    /// The words of all lists, and where each list lies.
    pub(crate) fn encode(&self, lists: &RawLists) -> (Vec<SynapseList>, Vec<u64>) {
        let mut words = Vec::with_capacity(self.words as usize);
        let mut placed = Vec::with_capacity(lists.list_ends.len());
        let mut entries: Vec<Entry> = Vec::new();
        let mut start = 0;
        for end in &lists.list_ends {
            let first_word = words.len() as u32;
            let mut position = 0;
            for at in start..*end as usize {
                let segment = &lists.segments[at];
                let format = &self.of_family[usize::from(segment.family)][usize::from(!self.dense[at])];
                let number =
                    self.formats.binary_search(format).expect("bug in snncc: a format that was not chosen") as u16;
                entries.clear();
                for entry in segment.entries() {
                    let index = lists.index[entry];
                    if self.dense[at] {
                        entries.extend((position..index).map(|index| Entry {
                            format: number,
                            index,
                            delay: 0,
                            mantissa: 0,
                        }));
                    }
                    let (delay, mantissa) = (lists.delay[entry], lists.mantissa[entry]);
                    entries.push(Entry { format: number, index, delay, mantissa });
                    position = index + 1;
                }
                for block in entries.chunks(self.block.entries_per_block()) {
                    encode_block(&mut words, self.block, number, format, block);
                }
            }
            placed.push(SynapseList { first_word, words: words.len() as u32 - first_word });
            start = *end as usize;
        }
        assert_eq!(words.len() as u64, self.words, "bug in snncc: words encoded and words counted differ");
        (placed, words)
    }
}
