//! Hardware models: limits, number formats, arithmetic, time and energy of a kind of chip.

use crate::profile::ArithmeticProfile;
use crate::spinnaker::SpinnakerCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What a number rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Basis {
    /// Follows by definition.
    Exact,
    /// Published by the chip's makers or users.
    Literature,
    /// Calibrated or inferred by a model.
    Modelled,
    /// Chosen by us where nothing is published; says so.
    Assumed,
}

/// A number with its source (a key of [`HardwareModel::sources`]) and basis: `(1024, "davies2018", Literature)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sourced<T>(pub T, pub String, pub Basis);

/// A capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// At most this many.
    AtMost(u64),
    /// Not limited (emulator-only models).
    Unlimited,
}

impl Limit {
    /// The largest allowed count; `u64::MAX` where there is no limit.
    pub fn max(self) -> u64 {
        match self {
            Self::AtMost(limit) => limit,
            Self::Unlimited => u64::MAX,
        }
    }

    /// Whether `used` is allowed.
    pub fn allows(self, used: u64) -> bool {
        used <= self.max()
    }
}

/// A kind of chip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardwareModel {
    /// Version of this file format; 1.
    pub schema: u32,
    /// Name, equal to the file's.
    pub name: String,
    /// One paragraph: what it models, and what it is not.
    pub about: String,
    /// Where the numbers come from, by the key used in them.
    pub sources: BTreeMap<String, String>,
    /// Routers and cores of one chip.
    pub mesh: Mesh,
    /// What a core is.
    pub core: CoreKind,
    /// Time and energy tables, by name.
    pub costs: BTreeMap<String, CostTable>,
}

/// The mesh of one chip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mesh {
    /// Routers along x.
    pub columns: Sourced<u32>,
    /// Routers along y.
    pub rows: Sourced<u32>,
    /// Cores at each router.
    pub cores_per_router: Sourced<u32>,
    /// How packets find their way.
    pub routing: Routing,
}

/// Routing on a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Routing {
    /// First along x, then along y.
    XFirst,
    /// By tables, from each router to several of its six neighbours and to its cores.
    Multicast,
}

/// What a core is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum CoreKind {
    /// Compartments with current and voltage in fixed point, axons, a shared synapse memory.
    Loihi(Box<LoihiCore>),
    /// A processor with local memories that runs neurons as programs, and its share of the chip.
    Spinnaker(Box<SpinnakerCore>),
}

/// A Loihi-like core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoihiCore {
    /// Capacities.
    pub limits: LoihiLimits,
    /// Widths of fields.
    pub formats: LoihiFormats,
    /// Arithmetic.
    pub arithmetic: ArithmeticProfile,
}

/// Capacities of a Loihi-like core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoihiLimits {
    /// Compartments.
    pub compartments: Sourced<Limit>,
    /// Input axons: distinct source neurons (or input elements) with a synapse on the core.
    pub in_axons: Sourced<Limit>,
    /// Output axons: pairs of a compartment and a core it sends to.
    pub out_axons: Sourced<Limit>,
    /// Words of synapse memory.
    pub synapse_words: Sourced<Limit>,
    /// Distinct (decay_u, decay_v, refractory, reset model) settings.
    pub compartment_configs: Sourced<Limit>,
    /// Distinct threshold settings.
    pub threshold_configs: Sourced<Limit>,
    /// Distinct synapse formats.
    pub synapse_formats: Sourced<Limit>,
    /// Accumulator slots: compartments times `2^delay_bits`.
    pub accumulator_slots: Sourced<Limit>,
}

/// Widths of the fields of a Loihi-like core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoihiFormats {
    /// Width of a word of synapse memory.
    pub synapse_word_bits: Sourced<u8>,
    /// Bits in front of each block of synapses that name its format.
    pub block_format_bits: Sourced<u8>,
    /// Bits in front of each block that hold its entry count minus one.
    pub block_count_bits: Sourced<u8>,
    /// Weight widths a synapse format may have, with their codes.
    pub weight_codes: Sourced<Vec<WeightCode>>,
    /// Width of a full weight without sign: a mantissa is a multiple of `2^(full − bits + (1 if mixed))`.
    pub weight_magnitude_bits: Sourced<u8>,
    /// Smallest and largest weight exponent.
    pub weight_exponent: Sourced<(i8, i8)>,
    /// Widths the index field of a sparse format may have, ascending.
    pub index_bits: Sourced<Vec<u8>>,
    /// Largest width of the delay field.
    pub delay_bits: Sourced<u8>,
    /// The longest extra delay with `b` delay bits is `2^b − delay_slots_reserved`.
    pub delay_slots_reserved: Sourced<u8>,
    /// Largest decay register.
    pub decay_max: Sourced<i64>,
    /// Largest threshold mantissa.
    pub threshold_mantissa_max: Sourced<i64>,
    /// Smallest and largest bias mantissa.
    pub bias_mantissa: Sourced<(i64, i64)>,
    /// Smallest and largest bias exponent.
    pub bias_exponent: Sourced<(i64, i64)>,
    /// Largest refractory register.
    pub refractory_max: Sourced<i64>,
    /// Largest lower-clip register.
    pub v_min_exponent_max: Sourced<u8>,
    /// Largest upper-clip register.
    pub v_max_exponent_max: Sourced<u8>,
    /// Whether the voltage must be clipped (a chip always clips; some emulators do not).
    pub clip_required: Sourced<bool>,
    /// Width without sign of the state registers, for initial values.
    pub state_bits: Sourced<u8>,
    /// Largest magnitude of a graded spike's payload; 1 for a chip without payloads.
    pub payload_max: Sourced<i64>,
}

/// A weight width and the code that names it in a synapse format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightCode {
    /// Bits of a weight.
    pub bits: u8,
    /// Value of the format's weight field.
    pub code: u8,
}

/// Energy and time of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Energy in femtojoules.
    pub energy_fj: u64,
    /// Time in picoseconds.
    pub time_ps: u64,
    /// Key of the source.
    pub source: String,
    /// What the numbers rest on.
    pub basis: Basis,
}

/// A time and energy table for the accounting of docs/CHIP_SEMANTICS.md ("Time and energy").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostTable {
    /// One line: what it is.
    pub about: String,
    /// Reading a compartment, each step.
    pub soma_access: Cost,
    /// Updating it, in addition.
    pub soma_update: Cost,
    /// A spike, in addition.
    pub spike_out: Cost,
    /// A message to one core.
    pub axon_out: Cost,
    /// A message received.
    pub axon_in: Cost,
    /// One synapse of a dense format.
    pub synapse_dense: Cost,
    /// One synapse of a sparse format.
    pub synapse_sparse: Cost,
    /// One synapse of a list shared between axons (convolutions).
    pub synapse_shared: Cost,
    /// One synapse of a format with so many weight bits, instead of the three above: for models whose cores have several
    /// synapse units.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub synapse_by_weight_bits: BTreeMap<u8, Cost>,
    /// One hop east or west.
    pub hop_east_west: Cost,
    /// One hop north or south.
    pub hop_north_south: Cost,
    /// Crossing to another chip, in addition to the hop.
    pub chip_crossing: Cost,
    /// Mesh barrier at the end of each step.
    pub barrier: Barrier,
    /// Which compartments count as updated.
    pub updated: UpdateRule,
    /// Power drawn whatever happens, if known. Off unless asked for.
    pub static_power: Option<StaticPower>,
    /// How messages pass the mesh, for the levels of timing beyond the analytic one. It means nothing to an image, and
    /// [`HardwareModel::hash`] leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkTiming>,
}

/// How messages pass a mesh: what the costs of hops do not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkTiming {
    /// Physical meshes: a core sends on the mesh of its number modulo this, and receives from all.
    pub meshes: u32,
    /// For how long a message occupies a link east or west, before the next can follow.
    pub east_west_occupied_ps: u64,
    /// The same north or south.
    pub north_south_occupied_ps: u64,
    /// The same for what joins two chips, in addition to the link.
    pub chip_crossing_occupied_ps: u64,
    /// Messages that the input of a router holds.
    pub link_messages: u32,
    /// Messages that wait at a core's output: the core stalls at one more.
    pub send_messages: u32,
    /// Messages that a core holds at its input, that in service included.
    pub receive_messages: u32,
    /// Clock of the routers at the level of flits.
    pub cycle_ps: u64,
    /// Virtual channels of a router's input, at the level of flits.
    pub channels: u32,
    /// Flits that each of them holds.
    pub buffer_flits: u32,
    /// Flits of a message.
    pub message_flits: u32,
    /// Key of the source.
    pub source: String,
    /// What the numbers rest on.
    pub basis: Basis,
}

/// Time of the barrier that ends a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Barrier {
    /// `(routers in use, time_ps)`, ascending: the entry with the largest key not above the count.
    Table {
        /// Entries.
        entries: Vec<(u32, u64)>,
        /// Key of the source.
        source: String,
        /// What the numbers rest on.
        basis: Basis,
    },
    /// Linear between two points `(routers in use, time_ps)`, and on beyond the second, in integers rounded down.
    Linear {
        /// First point.
        from: (u32, u64),
        /// Second point.
        to: (u32, u64),
        /// Key of the source.
        source: String,
        /// What the numbers rest on.
        basis: Basis,
    },
}

impl Barrier {
    /// Time of the barrier with this many routers in use, in picoseconds.
    pub fn time_ps(&self, routers: u32) -> u64 {
        match self {
            Self::Table { entries, .. } => {
                entries.iter().take_while(|(key, _)| *key <= routers).last().map_or(0, |(_, time_ps)| *time_ps)
            }
            Self::Linear { from, to, .. } => {
                let steps = u64::from(routers.saturating_sub(from.0));
                from.1 + (to.1 - from.1) * steps / u64::from(to.0 - from.0)
            }
        }
    }
}

/// Which compartments pay for an update in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateRule {
    /// Those with `u`, `v` or bias not 0, or with input in this step.
    Active,
    /// Those with `v` or bias not 0, or with input in this step: a current left over does not count.
    ActiveVoltage,
    /// All.
    Always,
}

/// Static power of a chip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticPower {
    /// Microwatts for each core in use.
    pub core_uw: u64,
    /// Microwatts for each chip.
    pub chip_uw: u64,
    /// Key of the source.
    pub source: String,
    /// What the numbers rest on.
    pub basis: Basis,
}

impl HardwareModel {
    /// SHA-256 of the model's canonical form (compact JSON, fields in declaration order, maps sorted): an image is bound to
    /// the model it was built for.
    pub fn hash(&self) -> [u8; 32] {
        let mut model = self.clone();
        model.costs.values_mut().for_each(|costs| costs.network = None);
        let canonical = serde_json::to_vec(&model).expect("bug in snncc: a hardware model is always serializable");
        Sha256::digest(canonical).into()
    }

    /// The Loihi-like core of this model.
    ///
    /// # Panics
    /// For a model of another kind: its targets take another way through the compiler.
    pub fn loihi(&self) -> &LoihiCore {
        match &self.core {
            CoreKind::Loihi(core) => core,
            CoreKind::Spinnaker(_) => panic!("bug in snncc: `{}` has no Loihi-like cores", self.name),
        }
    }

    /// The SpiNNaker-like core of this model, if it has such cores.
    pub fn spinnaker(&self) -> Option<&SpinnakerCore> {
        match &self.core {
            CoreKind::Loihi(_) => None,
            CoreKind::Spinnaker(core) => Some(core),
        }
    }
}
