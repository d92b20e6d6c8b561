//! A core that holds spikes of another one and sends them again, for delays longer than ring buffers.
//!
//! Stage `s` (from 1) sends the spike of a neuron `s · stage_steps` steps after it came, with a key of its own. **Invariant:** after
//! [`DelayExtension::check`], stages times neurons is a number of keys that a core can have, and the bits are as many as there are
//! keys.

/// Most keys of a core.
const SOURCES_MAX: u64 = (1 << 16) - 1;
/// Words that say what the core does, in front of its bits: key, mask, colour bits, first neuron, neurons, stages, steps of a
/// stage.
const PARAMETER_WORDS: usize = 7;

/// The memories of a delay extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayExtension {
    /// Key of neuron 0 of the core whose spikes it holds.
    pub key: u32,
    /// Mask of the keys of that core: its ones are the high bits.
    pub mask: u32,
    /// Low bits of a key that hold the time of sending.
    pub colour_bits: u8,
    /// First neuron that it serves; packets of others of that core do nothing.
    pub first: u32,
    /// Number of neurons.
    pub neurons: u32,
    /// Number of stages.
    pub stages: u32,
    /// Steps from one stage to the next.
    pub stage_steps: u32,
    /// Which spikes are sent again: bit `(stage − 1) · neurons + neuron`, from the low bit of each word on.
    pub sent: Vec<u32>,
}

impl DelayExtension {
    /// Number of keys: source `(stage − 1) · neurons + neuron`.
    pub fn sources(&self) -> u32 {
        self.stages.saturating_mul(self.neurons)
    }

    /// Whether a source is sent.
    pub fn sends(&self, source: u32) -> bool {
        let word = self.sent.get((source / u32::BITS) as usize);
        word.is_some_and(|word| word >> (source % u32::BITS) & 1 == 1)
    }

    /// What a packet of this key means: `None` if it is none of the other core's, else the neuron here, if it is one of those.
    pub fn neuron(&self, key: u32) -> Option<Option<u32>> {
        let number = (key & !self.mask) >> self.colour_bits;
        (key & self.mask == self.key).then(|| number.checked_sub(self.first).filter(|neuron| *neuron < self.neurons))
    }

    /// Words of its memories.
    pub fn words(&self) -> usize {
        PARAMETER_WORDS + self.sent.len()
    }

    /// What is wrong with it.
    ///
    /// # Errors
    /// The first thing found.
    pub fn check(&self) -> Result<(), String> {
        let Self { mask, first, neurons, stages, stage_steps, .. } = self;
        let sources = u64::from(*neurons) * u64::from(*stages);
        let steps = u64::from(*stages) * u64::from(*stage_steps);
        if !(1..=SOURCES_MAX).contains(&sources) || *stage_steps == 0 || steps > u64::from(u32::MAX >> 1) {
            return Err(format!("a delay extension with {stages} stages of {stage_steps} steps for {neurons} neurons"));
        }
        if self.key & !mask != 0 || !(!mask).wrapping_add(1).is_power_of_two() || self.colour_bits > 7 {
            return Err(format!("a delay extension for key {:#010x} with mask {mask:#010x}", self.key));
        }
        let keys = u64::from(!mask >> self.colour_bits) + 1;
        if u64::from(*first) + u64::from(*neurons) > keys {
            return Err(format!("a delay extension for {neurons} neurons from {first} on; there are {keys} keys"));
        }
        if self.sent.len() as u64 != sources.div_ceil(u32::BITS.into()) {
            return Err(format!("a delay extension with {} words of bits for {sources} keys", self.sent.len()));
        }
        Ok(())
    }
}
