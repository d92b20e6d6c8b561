//! What the words in a core's memories mean: synapse words, rows and blocks of them, synapse parameters.
//!
//! docs/IMAGE_FORMAT.md, "SpiNNaker-like machines", says which bit is where. The layout is that of sPyNNaker 1!7.4.1.
//! **Invariant:** [`NeuronCore::memories`] finds everything wrong in a core's words; after it, every row decodes.

use super::NeuronCore;
use super::table::{AddressItem, PopulationEntry, PopulationTable};
use std::ops::Range;

/// Words in front of the synapse words of a row: plastic words, fixed words, plastic controls.
pub const ROW_HEADER_WORDS: usize = 3;
/// Most synapse words that an address item can give a row.
pub const ROW_WORDS_MAX: usize = 1 << 8;
/// Blocks of rows begin at multiples of this many words.
pub const BLOCK_ALIGNMENT_WORDS: usize = 4;
/// Bits of a synapse word below its weight: delay, type and target.
const FIELD_BITS: u8 = 16;
/// Words of the synapse parameters in front of the left shifts.
const PARAMETER_WORDS: usize = 7;

/// Widths of the fields of a core's synapse words and of its ring-buffer slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SynapseFormat {
    /// Bits of a target.
    pub target_bits: u8,
    /// Bits of a synapse type.
    pub type_bits: u8,
    /// A neuron has `2^delay_bits` ring-buffer slots for each type.
    pub delay_bits: u8,
}

/// A synapse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Synapse {
    /// Magnitude of the weight.
    pub weight: u16,
    /// Steps from spike to input, 1 to the number of slots.
    pub delay: u32,
    /// Synapse type: 0 excitatory, 1 inhibitory.
    pub synapse_type: u32,
    /// Neuron.
    pub target: u32,
}

/// Smallest `b` with `2^b >= count`.
fn bits_for(count: u32) -> u8 {
    count.max(1).next_power_of_two().trailing_zeros() as u8
}

impl SynapseFormat {
    /// The narrowest format for this many neurons, synapse types and delay slots (rounded up to powers of two); targets and
    /// types take at least a bit.
    ///
    /// # Panics
    /// If a count is above 2^31.
    pub fn new(atoms: u32, types: u32, slots: u32) -> Self {
        Self { target_bits: bits_for(atoms).max(1), type_bits: bits_for(types).max(1), delay_bits: bits_for(slots) }
    }

    /// Whether the fields fit below a weight.
    pub fn is_sound(self) -> bool {
        let sum = [self.type_bits, self.delay_bits].into_iter().fold(self.target_bits, u8::saturating_add);
        self.target_bits >= 1 && self.type_bits >= 1 && sum <= FIELD_BITS
    }

    /// Number of delay slots, the longest delay.
    pub fn slots(self) -> u32 {
        1 << self.delay_bits
    }

    /// Bits of target and type together.
    pub fn index_bits(self) -> u32 {
        u32::from(self.target_bits) + u32::from(self.type_bits)
    }

    /// Bits of the number of a ring-buffer slot.
    pub fn ring_bits(self) -> u32 {
        self.index_bits() + u32::from(self.delay_bits)
    }

    /// Ring-buffer slot of a step: `(step mod slots) << b | type << target bits | target`.
    pub fn ring_slot(self, step: u32, synapse_type: u32, target: u32) -> u32 {
        (step & (self.slots() - 1)) << self.index_bits() | synapse_type << self.target_bits | target
    }

    /// Type and target of a ring-buffer slot.
    pub fn slot_target(self, slot: u32) -> (u32, u32) {
        let types = (1 << self.type_bits) - 1;
        (slot >> self.target_bits & types, slot & ((1 << self.target_bits) - 1))
    }

    /// The word of a synapse.
    ///
    /// # Panics
    /// If delay, type or target have no place in the format.
    pub fn word(self, synapse: Synapse) -> u32 {
        let Synapse { weight, delay, synapse_type, target } = synapse;
        let fits = self.is_sound()
            && (1..=self.slots()).contains(&delay)
            && synapse_type < 1 << self.type_bits
            && target < 1 << self.target_bits;
        assert!(fits, "bug in snncc: {synapse:?} in {self:?}");
        // A delay of 2^16 without the bits of target and type: it is 0 in its field.
        let delay = delay << self.index_bits() & ((1 << FIELD_BITS) - 1);
        u32::from(weight) << FIELD_BITS | delay | synapse_type << self.target_bits | target
    }

    /// The synapse of a word.
    pub fn decode(self, word: u32) -> Synapse {
        let (synapse_type, target) = self.slot_target(word);
        let delay = (word & ((1 << FIELD_BITS) - 1)) >> self.index_bits() & (self.slots() - 1);
        let delay = if delay == 0 { self.slots() } else { delay };
        Synapse { weight: (word >> FIELD_BITS) as u16, delay, synapse_type, target }
    }
}

/// Appends a row with room for `length` synapse words; the rest of the row is 0.
///
/// # Panics
/// If there are more words than room.
pub fn push_row(memory: &mut Vec<u32>, synapses: &[u32], length: usize) {
    assert!(synapses.len() <= length, "bug in snncc: {} words in a row of {length}", synapses.len());
    memory.extend_from_slice(&[0, synapses.len() as u32, 0]);
    memory.extend_from_slice(synapses);
    memory.resize(memory.len() + length - synapses.len(), 0);
}

/// Appends a block of rows, as long as the longest needs, at the next aligned word; its address item.
///
/// # Panics
/// If there is no row, or one has more than [`ROW_WORDS_MAX`] words.
pub fn push_block<R: AsRef<[u32]>>(memory: &mut Vec<u32>, rows: &[R]) -> AddressItem {
    let longest = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    push_block_of(memory, rows, longest.max(1))
}

/// As [`push_block`], with room for `length` synapse words in each row.
///
/// # Panics
/// If there is no row, one has more words than that, or `length` is not 1 to [`ROW_WORDS_MAX`].
pub fn push_block_of<R: AsRef<[u32]>>(memory: &mut Vec<u32>, rows: &[R], length: usize) -> AddressItem {
    assert!((1..=ROW_WORDS_MAX).contains(&length) && !rows.is_empty(), "bug in snncc: rows of {length} words");
    memory.resize(memory.len().next_multiple_of(BLOCK_ALIGNMENT_WORDS), 0);
    let first_word = memory.len() as u32;
    for row in rows {
        push_row(memory, row.as_ref(), length);
    }
    AddressItem { row_words: length as u32, first_word: Some(first_word) }
}

/// A block that is filled row by row, in any order.
#[derive(Debug)]
pub struct BlockWriter<'a> {
    rows: &'a mut [u32],
    stride: usize,
}

impl<'a> BlockWriter<'a> {
    /// Appends a block of empty rows with room for `length` synapse words each, at the next aligned word.
    ///
    /// # Panics
    /// If there is no row, or `length` is not 1 to [`ROW_WORDS_MAX`].
    pub fn append(memory: &'a mut Vec<u32>, rows: usize, length: usize) -> (AddressItem, Self) {
        assert!((1..=ROW_WORDS_MAX).contains(&length) && rows > 0, "bug in snncc: {rows} rows of {length} words");
        memory.resize(memory.len().next_multiple_of(BLOCK_ALIGNMENT_WORDS), 0);
        let (first, stride) = (memory.len(), length + ROW_HEADER_WORDS);
        memory.resize(first + rows * stride, 0);
        let item = AddressItem { row_words: length as u32, first_word: Some(first as u32) };
        (item, Self { rows: &mut memory[first..], stride })
    }

    /// Adds a synapse word to a row.
    ///
    /// # Panics
    /// If the row is full or not there.
    pub fn push(&mut self, row: usize, word: u32) {
        let row = &mut self.rows[row * self.stride..(row + 1) * self.stride];
        let count = row[1] as usize;
        assert!(ROW_HEADER_WORDS + count < self.stride, "bug in snncc: more words than a row has room for");
        row[ROW_HEADER_WORDS + count] = word;
        row[1] += 1;
    }
}

/// The synapse words of a row.
///
/// # Errors
/// What is wrong with its header. Plastic synapses are not known here.
pub fn row_synapses(row: &[u32]) -> Result<&[u32], String> {
    let (Some([plastic, fixed, controls]), Some(words)) = (row.get(..ROW_HEADER_WORDS), row.get(ROW_HEADER_WORDS..))
    else {
        return Err(format!("a row of {} words has no header", row.len()));
    };
    if (*plastic, *controls) != (0, 0) {
        return Err(format!(
            "a row has {plastic} plastic words and {controls} controls; only fixed synapses are known"
        ));
    }
    words.get(..*fixed as usize).ok_or_else(|| format!("a row has {fixed} synapse words, and room for {}", words.len()))
}

/// The synapse parameters of a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynapseParameters {
    /// Neurons.
    pub neurons: u32,
    /// Widths.
    pub format: SynapseFormat,
    /// Whether spikes that come too late are dropped.
    pub drops_late: bool,
    /// Spikes that wait.
    pub spike_buffer: u32,
    /// Left shift of each synapse type.
    pub left_shifts: Vec<u8>,
}

impl SynapseParameters {
    /// The words of the region.
    pub fn encode(&self) -> Vec<u32> {
        let SynapseFormat { target_bits, type_bits, delay_bits } = self.format;
        let mut words = vec![self.neurons, self.left_shifts.len() as u32];
        words.extend([target_bits, type_bits, delay_bits, u8::from(self.drops_late)].map(u32::from));
        words.push(self.spike_buffer);
        words.extend(self.left_shifts.iter().map(|shift| u32::from(*shift)));
        words
    }

    /// From the words of the region.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(words: &[u32]) -> Result<Self, String> {
        let Some(([neurons, types, widths @ .., drops_late, spike_buffer], left_shifts)) =
            words.split_first_chunk::<PARAMETER_WORDS>()
        else {
            return Err(format!("synapse parameters of {} words", words.len()));
        };
        let [target_bits, type_bits, delay_bits] = widths.map(|width| u8::try_from(width).unwrap_or(u8::MAX));
        let format = SynapseFormat { target_bits, type_bits, delay_bits };
        let fits = format.is_sound() && *neurons <= 1 << target_bits && *types <= 1 << type_bits;
        if !fits || *types as usize != left_shifts.len() || *drops_late > 1 {
            return Err(format!(
                "synapse parameters of {neurons} neurons and {types} types with {} left shifts contradict {format:?}",
                left_shifts.len()
            ));
        }
        let shift = |shift: &u32| u8::try_from(*shift).ok().filter(|shift| *shift < 32);
        let left_shifts: Option<Vec<u8>> = left_shifts.iter().map(shift).collect();
        Ok(Self {
            neurons: *neurons,
            format,
            drops_late: *drops_late == 1,
            spike_buffer: *spike_buffer,
            left_shifts: left_shifts.ok_or("a left shift is above 31")?,
        })
    }
}

/// A block of rows: from its first word to the next block, or to the end of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// First word.
    pub first_word: u32,
    /// Synapse words of each row.
    pub row_words: u32,
    /// Number of rows.
    pub rows: u32,
}

impl Block {
    /// Words of a row with its header.
    pub fn stride(&self) -> usize {
        self.row_words as usize + ROW_HEADER_WORDS
    }

    /// Where a row lies in memory.
    pub fn row(&self, row: u32) -> Option<Range<usize>> {
        let first = self.first_word as usize + row as usize * self.stride();
        (row < self.rows).then(|| first..first + self.stride())
    }
}

/// A core's decoded memories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memories {
    /// Synapse parameters.
    pub parameters: SynapseParameters,
    /// Master population table.
    pub table: PopulationTable,
    /// Blocks, by ascending first word.
    pub blocks: Vec<Block>,
    /// Bit fields of the entries; empty where all rows are transferred.
    pub filters: Vec<Filter>,
}

/// Bit field of a table entry: the sources that have a row worth a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Words for each core of the source.
    core_words: usize,
    words: Vec<u32>,
}

impl Filter {
    /// Whether a source has a row; one beyond the words has none.
    pub fn passes(&self, core: u32, neuron: u32) -> bool {
        let at = (neuron / u32::BITS) as usize;
        let word = (at < self.core_words).then(|| self.words.get(core as usize * self.core_words + at)).flatten();
        word.is_some_and(|word| word >> (neuron % u32::BITS) & 1 == 1)
    }
}

impl Memories {
    /// Where the rows lie that a key activates, header included, one for each address item, and none if the bit field says so;
    /// `None` if the table has no entry for the key.
    ///
    /// # Errors
    /// If the row is beyond the end of its block.
    pub fn look_up(&self, key: u32) -> Result<Option<Vec<Range<usize>>>, String> {
        let Some(entry) = self.table.find(key) else { return Ok(None) };
        let row = entry.row(key);
        let at = self.table.entries.partition_point(|other| other.key < entry.key);
        let (core, neuron) = entry.source(key);
        if self.filters.get(at).is_some_and(|filter| !filter.passes(core, neuron)) {
            return Ok(Some(Vec::new()));
        }
        let mut rows = Vec::with_capacity(entry.count as usize);
        for item in self.table.items(entry) {
            let Some(first) = item.first_word else { continue };
            let at = self.blocks.binary_search_by_key(&first, |block| block.first_word);
            let block = self.blocks[at.expect("bug in snncc: an address without block")];
            let place = u32::try_from(row).ok().and_then(|row| block.row(row));
            rows.push(place.ok_or_else(|| {
                format!("key {key:#x} wants row {row} of the block at word {first}, which has {} rows", block.rows)
            })?);
        }
        Ok(Some(rows))
    }
}

impl NeuronCore {
    /// Decodes the words of the memories, and checks all of them: table sorted, blocks inside memory, every row sound, targets
    /// and types in range.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn memories(&self) -> Result<Memories, String> {
        let parameters = SynapseParameters::decode(&self.synapse_parameters)?;
        if parameters.neurons as usize != self.neurons.len() {
            return Err(format!("synapse parameters of {} neurons for {}", parameters.neurons, self.neurons.len()));
        }
        let table = PopulationTable::decode(&self.population_table)?;
        let blocks = self.blocks(&table)?;
        for block in &blocks {
            for at in 0..block.rows {
                let place = block.row(at).expect("bug in snncc: a row of the block");
                self.check_row(&self.synaptic_words[place], &parameters)
                    .map_err(|what| format!("row {at} of the block at word {}: {what}", block.first_word))?;
            }
        }
        let filters = self.filters(&table)?;
        Ok(Memories { parameters, table, blocks, filters })
    }

    fn filters(&self, table: &PopulationTable) -> Result<Vec<Filter>, String> {
        let lengths = table.entries.iter().map(PopulationEntry::filter_words);
        let needed: u64 = lengths.clone().sum();
        if self.bit_fields.is_empty() {
            return Ok(Vec::new());
        } else if self.bit_fields.len() as u64 != needed {
            return Err(format!("{} words of bit fields; the population table has {needed}", self.bit_fields.len()));
        }
        let mut rest = &self.bit_fields[..];
        let cut = |(entry, len): (&PopulationEntry, u64)| {
            let (words, others) = rest.split_at(len as usize);
            rest = others;
            Filter { core_words: entry.bit_field_words.into(), words: words.to_vec() }
        };
        Ok(table.entries.iter().zip(lengths).map(cut).collect())
    }

    fn check_row(&self, row: &[u32], parameters: &SynapseParameters) -> Result<(), String> {
        for word in row_synapses(row)? {
            let synapse = parameters.format.decode(*word);
            if synapse.target >= parameters.neurons || synapse.synapse_type as usize >= parameters.left_shifts.len() {
                let (target, kind) = (synapse.target, synapse.synapse_type);
                return Err(format!("word {word:#010x} leads to neuron {target}, synapse type {kind}"));
            }
        }
        Ok(())
    }

    fn blocks(&self, table: &PopulationTable) -> Result<Vec<Block>, String> {
        let mut blocks: Vec<Block> = table
            .addresses
            .iter()
            .filter_map(|item| Some(Block { first_word: item.first_word?, row_words: item.row_words, rows: 0 }))
            .collect();
        blocks.sort_unstable_by_key(|block| (block.first_word, block.row_words));
        blocks.dedup();
        let mut end = self.synaptic_words.len();
        for block in blocks.iter_mut().rev() {
            let first = block.first_word as usize;
            let room = end.saturating_sub(first) / block.stride();
            if room == 0 {
                return Err(format!(
                    "no row of {} words fits between word {first}, where a block begins, and word {end}",
                    block.row_words
                ));
            }
            block.rows = room as u32;
            end = first;
        }
        Ok(blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_their_fields_where_sources_say() {
        // 64 neurons, two types, 32 slots: 6 + 1 bits below the delay.
        let format = SynapseFormat::new(64, 2, 20);
        assert_eq!(format, SynapseFormat { target_bits: 6, type_bits: 1, delay_bits: 5 });
        let synapse = Synapse { weight: 512, delay: 20, synapse_type: 1, target: 13 };
        assert_eq!(format.word(synapse), 512 << 16 | 20 << 7 | 1 << 6 | 13);
        assert_eq!(format.decode(format.word(synapse)), synapse);
        assert_eq!(format.ring_slot(33, 1, 13), 1 << 7 | 1 << 6 | 13);
        assert_eq!(SynapseFormat::new(1, 1, 1), SynapseFormat { target_bits: 1, type_bits: 1, delay_bits: 0 });
    }

    #[test]
    fn the_longest_delay_comes_back() {
        // A field of just the delay bits, and one with room above.
        for format in [SynapseFormat::new(2, 2, 1 << 14), SynapseFormat::new(256, 2, 32), SynapseFormat::new(4, 2, 1)] {
            for delay in [1, format.slots()] {
                let synapse = Synapse { weight: 0xffff, delay, synapse_type: 0, target: 1 };
                assert_eq!(format.decode(format.word(synapse)), synapse, "{format:?}");
            }
        }
    }

    #[test]
    fn rows_are_padded_and_blocks_aligned() {
        let mut memory = Vec::new();
        let item = push_block(&mut memory, &[vec![7, 8], vec![9]]);
        assert_eq!(memory, [0, 2, 0, 7, 8, 0, 1, 0, 9, 0]);
        assert_eq!(item, AddressItem { row_words: 2, first_word: Some(0) });
        let item = push_block(&mut memory, &[Vec::new()]);
        assert_eq!(memory[10..], [0, 0, 0, 0, 0, 0]);
        assert_eq!(item, AddressItem { row_words: 1, first_word: Some(12) });
        assert_eq!(row_synapses(&memory[..5]), Ok(&[7, 8][..]));
        assert!(row_synapses(&[0, 3, 0, 1, 2]).is_err() && row_synapses(&[1, 0, 0]).is_err());
        assert!(row_synapses(&[0, 0]).is_err());
    }

    #[test]
    fn synapse_parameters_come_back() {
        let parameters = SynapseParameters {
            neurons: 60,
            format: SynapseFormat::new(60, 2, 32),
            drops_late: false,
            spike_buffer: 256,
            left_shifts: vec![5, 0],
        };
        let words = parameters.encode();
        assert_eq!(words, [60, 2, 6, 1, 5, 0, 256, 5, 0]);
        assert_eq!(SynapseParameters::decode(&words), Ok(parameters));
        for (at, value) in [(0, 65), (1, 1), (1, 3), (2, 0), (2, 300), (4, 10), (5, 2), (7, 32)] {
            let mut damaged = words.clone();
            damaged[at] = value;
            assert!(SynapseParameters::decode(&damaged).is_err(), "word {at} = {value}");
        }
    }
}
