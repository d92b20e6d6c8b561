//! The master population table of a core: from the key of a packet to rows of synapses.
//!
//! **Invariant:** the entries of a decoded table are sorted by key and disjoint, so that a binary search finds the one entry
//! that a key belongs to, as a core does.

use super::layout::{BLOCK_ALIGNMENT_WORDS, ROW_WORDS_MAX};

/// Words in front of the entries.
const TABLE_HEADER_WORDS: usize = 2;
/// Words of an entry.
const ENTRY_WORDS: usize = 5;
/// An address that leads nowhere.
const INVALID_ADDRESS: u32 = (1 << 24) - 1;
/// Entries can name address items up to this.
const START_MAX: u16 = (1 << 13) - 1;
/// Most colour bits of an entry.
const COLOUR_BITS_MAX: u8 = 7;

/// An entry: the keys of a source, and where its rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PopulationEntry {
    /// Key.
    pub key: u32,
    /// Mask: a key belongs here if `key & mask` is the entry's key. Its ones are the high bits.
    pub mask: u32,
    /// First address item, at most 2^13 − 1.
    pub start: u16,
    /// Low bits of a key that hold the time of sending, at most 7.
    pub colour_bits: u8,
    /// Number of address items.
    pub count: u16,
    /// Bits of a key that say which core of the source it comes from, shifted down.
    pub core_mask: u16,
    /// Where these bits are, at most 31.
    pub mask_shift: u8,
    /// Neurons on each core of the source (the last may have fewer).
    pub neurons: u16,
    /// Words of the bit field of each core of the source.
    pub bit_field_words: u16,
}

impl PopulationEntry {
    /// Entry for one source core with `neurons` keys from `key` on, whose block is the smallest aligned one; `start` and `count`
    /// are those of its address items.
    ///
    /// # Panics
    /// If there are no neurons or more than 2^16 − 1, or the block exceeds 32 bits.
    pub fn of_core(key: u32, neurons: u32, colour_bits: u8, start: u16, count: u16) -> Self {
        let neuron_bits = neurons.next_power_of_two().trailing_zeros();
        let bits = neuron_bits + u32::from(colour_bits);
        assert!((1..1 << 16).contains(&neurons) && bits < u32::BITS, "bug in snncc: {neurons} keys from {key:#x} on");
        Self {
            key,
            mask: u32::MAX << bits,
            start,
            colour_bits,
            count,
            core_mask: 0,
            mask_shift: bits as u8,
            neurons: neurons as u16,
            bit_field_words: neurons.div_ceil(u32::BITS) as u16,
        }
    }

    /// Row that a key activates in each block of the entry.
    pub fn row(&self, key: u32) -> u64 {
        let (core, neuron) = self.source(key);
        u64::from(core) * u64::from(self.neurons) + u64::from(neuron)
    }

    /// Core of the source, and neuron on it, that a key stands for.
    pub fn source(&self, key: u32) -> (u32, u32) {
        let cores = u32::from(self.core_mask) << self.mask_shift;
        let core = (key >> self.mask_shift) & u32::from(self.core_mask);
        (core, (key & !(self.mask | cores)) >> self.colour_bits)
    }

    /// Words of its bit fields, if the core has bit fields.
    pub fn filter_words(&self) -> u64 {
        (u64::from(self.core_mask) + 1) * u64::from(self.bit_field_words)
    }

    /// Last key of the entry.
    fn last(&self) -> u32 {
        self.key | !self.mask
    }

    fn check(&self, addresses: usize) -> Result<(), String> {
        let end = usize::from(self.start) + usize::from(self.count);
        let cores = u64::from(self.core_mask) << self.mask_shift.min(32);
        let fault = if self.key & !self.mask != 0 || !(!self.mask).wrapping_add(1).is_power_of_two() && self.mask != 0 {
            format!("mask {:#010x} does not cut an aligned block", self.mask)
        } else if cores & !u64::from(!self.mask) != 0 || self.mask_shift > 31 {
            format!("core bits {:#x} << {} are not within its block", self.core_mask, self.mask_shift)
        } else if self.start > START_MAX || self.colour_bits > COLOUR_BITS_MAX || end > addresses {
            format!("{} address items from {} on, of {addresses}", self.count, self.start)
        } else {
            return Ok(());
        };
        Err(format!("population table entry {:#010x}: {fault}", self.key))
    }
}

/// An item of the address list: a block of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressItem {
    /// Synapse words of each row, 1 to [`ROW_WORDS_MAX`].
    pub row_words: u32,
    /// First word of the block in the core's synaptic memory, a multiple of [`BLOCK_ALIGNMENT_WORDS`]; `None`: no block.
    pub first_word: Option<u32>,
}

/// A master population table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PopulationTable {
    /// Entries, by ascending key.
    pub entries: Vec<PopulationEntry>,
    /// Address list.
    pub addresses: Vec<AddressItem>,
}

impl PopulationTable {
    /// The entry that a key belongs to.
    pub fn find(&self, key: u32) -> Option<&PopulationEntry> {
        let at = self.entries.partition_point(|entry| entry.key <= key).checked_sub(1)?;
        Some(&self.entries[at]).filter(|entry| key & entry.mask == entry.key)
    }

    /// Address items of an entry of this table.
    pub fn items(&self, entry: &PopulationEntry) -> &[AddressItem] {
        &self.addresses[usize::from(entry.start)..][..usize::from(entry.count)]
    }

    /// The words of the region.
    ///
    /// # Panics
    /// If the table is not sound (what [`PopulationTable::decode`] checks): sorted by key, disjoint, all values within their
    /// fields.
    pub fn encode(&self) -> Vec<u32> {
        if let Err(what) = self.check() {
            panic!("bug in snncc: {what}");
        }
        let mut words = vec![self.entries.len() as u32, self.addresses.len() as u32];
        for entry in &self.entries {
            let colour = u32::from(entry.colour_bits) << 13;
            words.extend([
                entry.key,
                entry.mask,
                u32::from(entry.start) | colour | u32::from(entry.count) << 16,
                u32::from(entry.core_mask) | u32::from(entry.mask_shift) << 16,
                u32::from(entry.neurons) | u32::from(entry.bit_field_words) << 16,
            ]);
        }
        words.extend(self.addresses.iter().map(|item| {
            let address = item.first_word.map_or(INVALID_ADDRESS, |word| word / BLOCK_ALIGNMENT_WORDS as u32);
            (item.row_words - 1) | address << 8
        }));
        words
    }

    /// From the words of the region.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(words: &[u32]) -> Result<Self, String> {
        let Some(([entries, addresses], rest)) = words.split_first_chunk::<TABLE_HEADER_WORDS>() else {
            return Err(format!("a population table of {} words", words.len()));
        };
        if u64::from(*entries) * ENTRY_WORDS as u64 + u64::from(*addresses) != rest.len() as u64 {
            return Err(format!("{} words for {entries} table entries and {addresses} address items", rest.len()));
        }
        let (entry_words, address_words) = rest.split_at(*entries as usize * ENTRY_WORDS);
        let entry = |words: &[u32]| {
            let (core_mask, mask_shift) = (words[3] as u16, words[3] >> 16);
            PopulationEntry {
                key: words[0],
                mask: words[1],
                start: words[2] as u16 & START_MAX,
                colour_bits: (words[2] >> 13) as u8 & COLOUR_BITS_MAX,
                count: (words[2] >> 16) as u16,
                core_mask,
                // Above 31 in any case where it is cut.
                mask_shift: u8::try_from(mask_shift).unwrap_or(u8::MAX),
                neurons: words[4] as u16,
                bit_field_words: (words[4] >> 16) as u16,
            }
        };
        let address = |word: &u32| AddressItem {
            row_words: (word & 0xff) + 1,
            first_word: Some(word >> 8).filter(|at| *at != INVALID_ADDRESS).map(|at| at * BLOCK_ALIGNMENT_WORDS as u32),
        };
        let table = Self {
            entries: entry_words.chunks_exact(ENTRY_WORDS).map(entry).collect(),
            addresses: address_words.iter().map(address).collect(),
        };
        table.check()?;
        Ok(table)
    }

    fn check(&self) -> Result<(), String> {
        for entry in &self.entries {
            entry.check(self.addresses.len())?;
        }
        if let Some(pair) = self.entries.windows(2).find(|pair| pair[0].last() >= pair[1].key) {
            return Err(format!(
                "population table entries {:#010x} and {:#010x} are not in order, or overlap",
                pair[0].key, pair[1].key
            ));
        }
        let mut blocks: Vec<(u32, u32)> = Vec::with_capacity(self.addresses.len());
        for item in &self.addresses {
            let aligned = item.first_word.is_none_or(|word| {
                (word as usize).is_multiple_of(BLOCK_ALIGNMENT_WORDS)
                    && word / (BLOCK_ALIGNMENT_WORDS as u32) < INVALID_ADDRESS
            });
            if !(1..=ROW_WORDS_MAX).contains(&(item.row_words as usize)) || !aligned {
                return Err(format!("no address item can hold {item:?}"));
            }
            blocks.extend(item.first_word.map(|word| (word, item.row_words)));
        }
        blocks.sort_unstable();
        match blocks.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1) {
            Some(pair) => {
                Err(format!("the block at word {} has rows of {} and of {} words", pair[0].0, pair[0].1, pair[1].1))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> PopulationTable {
        PopulationTable {
            entries: vec![
                PopulationEntry::of_core(0x400, 5, 4, 0, 1),
                // Four cores of 64 neurons; bits 10 and 11 say which.
                PopulationEntry {
                    key: 0x1000,
                    mask: 0xffff_f000,
                    start: 1,
                    colour_bits: 4,
                    count: 2,
                    core_mask: 3,
                    mask_shift: 10,
                    neurons: 60,
                    bit_field_words: 2,
                },
            ],
            addresses: vec![
                AddressItem { row_words: 256, first_word: Some(64) },
                AddressItem { row_words: 1, first_word: None },
                AddressItem { row_words: 24, first_word: Some(0) },
            ],
        }
    }

    #[test]
    fn words_are_those_of_the_format_and_come_back() {
        let words = table().encode();
        assert_eq!(words[..2], [2, 3]);
        assert_eq!(words[2..7], [0x400, 0xffff_ff80, 4 << 13 | 1 << 16, 7 << 16, 5 | 1 << 16]);
        assert_eq!(words[7..12], [0x1000, 0xffff_f000, 1 | 4 << 13 | 2 << 16, 3 | 10 << 16, 60 | 2 << 16]);
        assert_eq!(words[12..], [0xff | 16 << 8, 0xffff_ff00, 0x17]);
        assert_eq!(PopulationTable::decode(&words), Ok(table()));
    }

    #[test]
    fn keys_find_their_rows() {
        let table = table();
        let row = |key| table.find(key).map(|entry| (entry.start, entry.row(key)));
        assert_eq!(row(0x3ff), None);
        assert_eq!(row(0x43f), Some((0, 3)), "the colour does not count");
        assert_eq!(row(0x480), None);
        assert_eq!(row(0x1000 + (2 << 10) + (5 << 4)), Some((1, 125)));
        assert_eq!(row(0x2000), None);
        let items = table.items(table.find(0x1000).unwrap());
        assert_eq!(items, &table.addresses[1..]);
    }

    #[test]
    fn damage_is_named() {
        let words = table().encode();
        // Entry count, order, mask, start, core bits, shift, address items and block shared by rows of two lengths.
        for (at, value) in [
            (0, 1),
            (0, u32::MAX),
            (1, 9),
            (2, 0x1000),
            (3, 0xffff_ff90),
            (4, 3 | 1 << 16),
            (10, 0xff | 10 << 16),
            (10, 40 << 16),
            (14, 0x18 | 16 << 8),
        ] {
            let mut damaged = words.clone();
            damaged[at] = value;
            assert!(PopulationTable::decode(&damaged).is_err(), "word {at} = {value:#x}");
        }
        assert!(PopulationTable::decode(&[0]).is_err() && PopulationTable::decode(&[0, 0]).is_ok());
    }
}
