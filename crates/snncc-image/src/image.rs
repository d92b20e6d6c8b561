//! The decoded image.

/// Major version of the format: a reader refuses a newer one.
pub const VERSION_MAJOR: u16 = 1;
/// Minor version: later ones only add sections, which older readers skip.
pub const VERSION_MINOR: u16 = 0;

/// A placement image.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Name of the hardware model.
    pub model_name: String,
    /// SHA-256 of the hardware model's canonical form.
    pub model_hash: [u8; 32],
    /// Name of the target.
    pub target_name: String,
    /// Cores in use, by ascending core number.
    pub cores: Vec<CoreImage>,
    /// Input ports.
    pub inputs: Vec<InputPort>,
    /// Output ports.
    pub outputs: Vec<OutputPort>,
    /// Populations of neurons.
    pub populations: Vec<PopulationSymbol>,
    /// Free text by key: how the image was made.
    pub notes: Vec<(String, String)>,
}

/// One core.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CoreImage {
    /// Number of the core over all chips.
    pub core: u32,
    /// Settings of the whole core.
    pub settings: CoreSettings,
    /// Distinct decay and refractory settings.
    pub compartment_configs: Vec<CompartmentConfig>,
    /// Distinct thresholds.
    pub threshold_configs: Vec<ThresholdConfig>,
    /// Distinct synapse formats.
    pub synapse_formats: Vec<SynapseFormat>,
    /// Compartments.
    pub compartments: Compartments,
    /// Input axons.
    pub in_axons: Vec<InAxon>,
    /// Synapse lists, in the order of their words, without gaps.
    pub lists: Vec<SynapseList>,
    /// Synapse memory.
    pub synapse_words: Vec<u64>,
    /// Output axons, one row per compartment.
    pub out_axons: AxonTable,
    /// Noise samples `[step][compartment]`, from step 1 on.
    pub noise_samples: Vec<Vec<i32>>,
}

/// Settings of a whole core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreSettings {
    /// Voltages are not below `−2^e + 1`; `None`: not clipped.
    pub v_min_exponent: Option<u8>,
    /// Voltages are not above `2^(base + per_unit · e) − 1`; `None`: not clipped.
    pub v_max_exponent: Option<u8>,
    /// Each compartment has `2^delay_bits` accumulator slots.
    pub delay_bits: u8,
    /// Noise, if any.
    pub noise: Option<NoiseSetting>,
}

/// Noise registers of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoiseSetting {
    /// Exponent.
    pub exponent: u8,
    /// Offset.
    pub mantissa_offset: i32,
    /// Where it is added.
    pub target: NoiseTarget,
}

/// Where noise is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseTarget {
    /// To the dendritic input, before it wraps.
    Dendrite,
    /// To the sum of current and bias, before it wraps.
    Membrane,
}

/// Decays, refractory period, reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompartmentConfig {
    /// Current decay register.
    pub decay_u: u16,
    /// Voltage decay register.
    pub decay_v: u16,
    /// Refractory register, 1 for none.
    pub refractory: u16,
    /// How it fires and resets.
    pub reset: ResetModel,
}

/// How a compartment fires and resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResetModel {
    /// Fires above the threshold; `v = 0`.
    Lif,
    /// As `Lif`, and `u = v = 0` before the update of step `t` where `t mod interval = offset mod interval`.
    Periodic {
        /// Steps between clears, at least 1.
        interval: u32,
        /// Step of the first clear.
        offset: u32,
    },
    /// Fires +1 above the threshold and −1 below the lower one; `v = 0` on either.
    Ternary,
}

/// Thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThresholdConfig {
    /// Threshold mantissa.
    pub mantissa: i32,
    /// Lower threshold mantissa (used by `Ternary` only; otherwise 0).
    pub lower_mantissa: i32,
}

/// How synapses of a block are stored and weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SynapseFormat {
    /// Bits of a stored weight.
    pub weight_bits: u8,
    /// Low bits that every mantissa leaves 0: `mantissa = stored << weight_shift`.
    pub mantissa_shift: u8,
    /// Signs.
    pub sign_mode: SignMode,
    /// The weight is multiplied by `2^exponent`.
    pub exponent: i8,
    /// Bits of a stored delay; 0: no extra delay.
    pub delay_bits: u8,
    /// Bits of a stored target index; `None`: dense, targets are consecutive.
    pub index_bits: Option<u8>,
    /// Weights of one group are summed before the exponent is applied, in a chip that does so.
    pub accumulator_group: u16,
    /// Whether lists of this format are shared between axons (prices the synapse in the cost table).
    pub shared: bool,
}

/// Signs of stored weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignMode {
    /// Two's complement.
    Mixed,
    /// Not negative.
    Excitatory,
    /// Stored as magnitude of a weight that is 0 or less.
    Inhibitory,
}

/// Compartments of a core, in parallel arrays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compartments {
    /// Index of the compartment config.
    pub config: Vec<u32>,
    /// Index of the threshold config.
    pub threshold: Vec<u32>,
    /// Bias mantissa.
    pub bias_mantissa: Vec<i32>,
    /// Bias exponent.
    pub bias_exponent: Vec<i8>,
    /// First step in which bias and initial state hold: the host writes them before this step.
    pub start_step: Vec<u32>,
    /// Current written before the start step.
    pub u_initial: Vec<i64>,
    /// Voltage written before the start step.
    pub v_initial: Vec<i64>,
}

impl Compartments {
    /// Number of compartments.
    pub fn len(&self) -> usize {
        self.config.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.config.is_empty()
    }
}

/// An input axon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InAxon {
    /// Its synapse list.
    pub list: u32,
    /// Added to every target index of the list.
    pub base: u32,
}

/// Where a synapse list lies in synapse memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynapseList {
    /// First word.
    pub first_word: u32,
    /// Number of words.
    pub words: u32,
}

/// Destinations in compressed rows.
#[derive(Clone, Debug, PartialEq)]
pub struct AxonTable {
    /// Offsets of the rows; one more than there are rows.
    pub starts: Vec<u32>,
    /// Destinations.
    pub targets: Vec<AxonTarget>,
}

impl Default for AxonTable {
    fn default() -> Self {
        Self { starts: vec![0], targets: Vec::new() }
    }
}

impl AxonTable {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Destinations of one source.
    pub fn row(&self, source: usize) -> &[AxonTarget] {
        &self.targets[self.starts[source] as usize..self.starts[source + 1] as usize]
    }
}

/// An axon of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AxonTarget {
    /// Core number.
    pub core: u32,
    /// Input axon on that core.
    pub axon: u32,
}

/// Where the host sends the spikes of an Input node.
#[derive(Clone, Debug, PartialEq)]
pub struct InputPort {
    /// Name of the Input node.
    pub name: String,
    /// Shape.
    pub shape: Vec<u32>,
    /// Axons of each element.
    pub axons: AxonTable,
}

/// What the host reads for an Output node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPort {
    /// Name of the Output node.
    pub name: String,
    /// Index into [`Image::populations`].
    pub population: u32,
    /// What is read.
    pub readout: Readout,
}

/// What is read of a population.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readout {
    /// Spikes.
    Spikes,
    /// Voltages.
    Membrane,
}

/// A population of neurons and where each sits.
#[derive(Clone, Debug, PartialEq)]
pub struct PopulationSymbol {
    /// Name.
    pub name: String,
    /// Shape; neurons are numbered row-major.
    pub shape: Vec<u32>,
    /// Chip step minus network step of the same event.
    pub latency_steps: u32,
    /// Core and compartment of each neuron.
    pub locations: Vec<Location>,
    /// Integer units per float unit of the canonical voltage: one for all neurons, or one per neuron.
    pub units_per_volt: Vec<f64>,
}

/// Place of a neuron.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Core number.
    pub core: u32,
    /// Compartment on it.
    pub compartment: u32,
}
