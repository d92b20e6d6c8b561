//! Synapse memory: blocks of synapses in 64-bit words.
//!
//! A list is a sequence of blocks, each starting at a word. A block is a header (format index, entry count minus one) and
//! its entries, least significant bit first, padded to whole words:
//!
//! ```text
//! entry = weight (weight_bits) | delay (delay_bits) | index (index_bits, sparse formats only)
//! ```
//!
//! A *position* runs through the list, from 0. An entry of a dense format targets the position and moves it on by one; an
//! entry of a sparse format targets its index and leaves the position one past it. The target compartment is the axon's base
//! plus that. Word counts are those of nengo-loihi's `bits_per_axon`: `ceil64(entries · entry_bits + 4 + 6)` a block of at
//! most 64 entries.

use crate::image::{SignMode, SynapseFormat};

/// Widths of a block header, from the hardware model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLayout {
    /// Bits of the format index.
    pub format_bits: u8,
    /// Bits of the entry count minus one.
    pub count_bits: u8,
}

impl BlockLayout {
    /// Most entries of a block.
    pub fn entries_per_block(self) -> usize {
        1 << self.count_bits
    }

    /// Words of a block of `entries` entries of `entry_bits` bits.
    pub fn block_words(self, entries: usize, entry_bits: usize) -> usize {
        (entries * entry_bits + usize::from(self.format_bits) + usize::from(self.count_bits)).div_ceil(64)
    }
}

impl SynapseFormat {
    /// Bits of one entry.
    pub fn entry_bits(&self) -> usize {
        usize::from(self.weight_bits) + usize::from(self.delay_bits) + usize::from(self.index_bits.unwrap_or(0))
    }
}

/// Words that `entries` entries of one format take, in as few blocks as possible.
pub fn list_words(layout: BlockLayout, format: &SynapseFormat, entries: usize) -> usize {
    let (full, rest) = (entries / layout.entries_per_block(), entries % layout.entries_per_block());
    let last = if rest > 0 { layout.block_words(rest, format.entry_bits()) } else { 0 };
    full * layout.block_words(layout.entries_per_block(), format.entry_bits()) + last
}

/// A decoded synapse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Index of its format on the core.
    pub format: u16,
    /// Target, relative to the axon's base.
    pub index: u32,
    /// Extra delay in steps.
    pub delay: u8,
    /// Weight mantissa.
    pub mantissa: i32,
}

/// Appends one block to the words. Entries all have the given format; in a dense format their targets are consecutive and
/// continue the list's position.
///
/// # Panics
/// If there are no entries or more than fit a block, or a value does not fit its field: the compiler checks both before.
pub fn encode_block(words: &mut Vec<u64>, layout: BlockLayout, index: u16, format: &SynapseFormat, entries: &[Entry]) {
    assert!(
        (1..=layout.entries_per_block()).contains(&entries.len()),
        "bug in snncc: {} entries in a block",
        entries.len()
    );
    let mut bits = BitWriter { words, used: 64 };
    bits.put(u64::from(index), layout.format_bits);
    bits.put(entries.len() as u64 - 1, layout.count_bits);
    for entry in entries {
        let stored = stored_weight(format, entry.mantissa);
        bits.put(stored, format.weight_bits);
        bits.put(u64::from(entry.delay), format.delay_bits);
        if let Some(index_bits) = format.index_bits {
            bits.put(u64::from(entry.index), index_bits);
        }
    }
}

fn stored_weight(format: &SynapseFormat, mantissa: i32) -> u64 {
    let scaled = mantissa >> format.mantissa_shift;
    assert_eq!(
        scaled << format.mantissa_shift,
        mantissa,
        "bug in snncc: mantissa {mantissa} is off the grid of its format"
    );
    let bits = format.weight_bits;
    match format.sign_mode {
        SignMode::Mixed => {
            let half = 1_i64 << bits >> 1;
            assert!(
                (-half..half.max(1)).contains(&i64::from(scaled)),
                "bug in snncc: weight {scaled} exceeds {bits} bits"
            );
            scaled as u64 & low_bits(bits)
        }
        SignMode::Excitatory | SignMode::Inhibitory => {
            let magnitude =
                if format.sign_mode == SignMode::Inhibitory { -i64::from(scaled) } else { i64::from(scaled) };
            assert!((0..1_i64 << bits).contains(&magnitude), "bug in snncc: weight {scaled} exceeds {bits} bits");
            magnitude as u64
        }
    }
}

fn low_bits(bits: u8) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

struct BitWriter<'a> {
    words: &'a mut Vec<u64>,
    used: u8,
}

impl BitWriter<'_> {
    fn put(&mut self, value: u64, bits: u8) {
        assert!(value <= low_bits(bits), "bug in snncc: {value} exceeds {bits} bits");
        let (mut value, mut left) = (value, bits);
        while left > 0 {
            if self.used == 64 {
                self.words.push(0);
                self.used = 0;
            }
            let now = left.min(64 - self.used);
            let word = self.words.last_mut().expect("bug in snncc: no word");
            *word |= (value & low_bits(now)) << self.used;
            value = if now == 64 { 0 } else { value >> now };
            self.used += now;
            left -= now;
        }
    }
}

struct BitReader<'a> {
    words: &'a [u64],
    at: usize,
}

impl BitReader<'_> {
    fn get(&mut self, bits: u8) -> Option<u64> {
        let (mut value, mut got) = (0_u64, 0_u8);
        while got < bits {
            let word = *self.words.get(self.at / 64)?;
            let offset = (self.at % 64) as u8;
            let now = (bits - got).min(64 - offset);
            value |= (word >> offset & low_bits(now)) << got;
            got += now;
            self.at += usize::from(now);
        }
        Some(value)
    }
}

/// Decodes the words of one list and calls `visit` for each synapse.
///
/// # Errors
/// What is wrong, if a block names an unknown format or runs over the end of the words.
pub fn decode_list(
    words: &[u64],
    layout: BlockLayout,
    formats: &[SynapseFormat],
    mut visit: impl FnMut(Entry),
) -> Result<(), String> {
    let (mut first, mut position) = (0, 0_u32);
    while first < words.len() {
        let mut bits = BitReader { words: &words[first..], at: 0 };
        let short = || format!("a block at word {first} of a list runs over its end");
        let index = bits.get(layout.format_bits).ok_or_else(short)?;
        let entries = bits.get(layout.count_bits).ok_or_else(short)? as usize + 1;
        let format = formats.get(index as usize).ok_or_else(|| {
            format!("a block at word {first} of a list has format {index}, of {} formats", formats.len())
        })?;
        for _ in 0..entries {
            let stored = bits.get(format.weight_bits).ok_or_else(short)?;
            let delay = bits.get(format.delay_bits).ok_or_else(short)? as u8;
            let target = match format.index_bits {
                Some(index_bits) => bits.get(index_bits).ok_or_else(short)? as u32,
                None => position,
            };
            position = target.checked_add(1).ok_or_else(|| "a target index exceeds 32 bits".to_string())?;
            visit(Entry { format: index as u16, index: target, delay, mantissa: mantissa(format, stored) });
        }
        first += bits.at.div_ceil(64);
    }
    Ok(())
}

fn mantissa(format: &SynapseFormat, stored: u64) -> i32 {
    let scaled = match format.sign_mode {
        SignMode::Mixed => {
            let unused = 64 - u32::from(format.weight_bits.max(1));
            ((stored << unused) as i64 >> unused) as i32
        }
        SignMode::Excitatory => stored as i32,
        SignMode::Inhibitory => (stored as i32).wrapping_neg(),
    };
    scaled << format.mantissa_shift
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: BlockLayout = BlockLayout { format_bits: 4, count_bits: 6 };

    fn format(index_bits: Option<u8>) -> SynapseFormat {
        SynapseFormat {
            weight_bits: 8,
            mantissa_shift: 1,
            sign_mode: SignMode::Mixed,
            exponent: 0,
            delay_bits: 0,
            index_bits,
            accumulator_group: 0,
            shared: false,
        }
    }

    #[test]
    fn word_counts_are_those_of_nengo_loihi() {
        // specs: 100 targets, 8 bits: dense 14 words, sparse with 7 index bits 25 words.
        assert_eq!(list_words(LAYOUT, &format(None), 100), 14);
        assert_eq!(list_words(LAYOUT, &format(Some(7)), 100), 25);
        assert_eq!(list_words(LAYOUT, &format(None), 512), 8 * 9);
    }

    #[test]
    fn a_dense_block_by_hand() {
        let mut words = Vec::new();
        let entries = [2, -2].map(|mantissa| Entry { format: 3, index: 0, delay: 0, mantissa });
        encode_block(&mut words, LAYOUT, 3, &format(None), &entries);
        // format 3, count − 1 = 1 at bit 4, weight 1 at bit 10, weight −1 = 0xff at bit 18
        assert_eq!(words, [3 | 1 << 4 | 1 << 10 | 0xff << 18]);
    }

    #[test]
    fn blocks_round_trip_across_word_borders_and_formats() {
        let formats = [
            format(None),
            SynapseFormat { delay_bits: 3, sign_mode: SignMode::Inhibitory, mantissa_shift: 0, ..format(Some(11)) },
        ];
        let dense: Vec<Entry> = (0..64)
            .map(|i| Entry {
                format: 0,
                index: i,
                delay: 0,
                mantissa: (i as i32 - 32) * 8 - if i == 0 { 0 } else { 2 },
            })
            .collect();
        let sparse: Vec<Entry> = (0..9)
            .map(|i| Entry { format: 1, index: 70 + i * 200, delay: (i % 8) as u8, mantissa: -(i as i32) * 28 })
            .collect();
        let mut words = Vec::new();
        encode_block(&mut words, LAYOUT, 0, &formats[0], &dense);
        encode_block(&mut words, LAYOUT, 1, &formats[1], &sparse);
        let mut back = Vec::new();
        decode_list(&words, LAYOUT, &formats, |entry| back.push(entry)).unwrap();
        assert_eq!(back, [dense, sparse].concat());
        assert!(decode_list(&words[..words.len() - 1], LAYOUT, &formats, |_| ()).is_err());
        assert!(decode_list(&words, LAYOUT, &formats[..1], |_| ()).is_err());
    }
}
