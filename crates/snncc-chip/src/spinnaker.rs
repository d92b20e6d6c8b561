//! What a SpiNNaker-like chip has: cores with local memories and a clock, shared memory, a multicast router.
//!
//! A chip of this family has one router and [`crate::Mesh::cores_per_router`] cores. docs/CHIP_SEMANTICS.md is the contract.

use crate::model::{Basis, Sourced};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A SpiNNaker-like core with its share of the chip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpinnakerCore {
    /// Capacities.
    pub limits: SpinnakerLimits,
    /// Widths and sizes of what is stored.
    pub formats: SpinnakerFormats,
    /// Arithmetic.
    pub arithmetic: SpinnakerArithmetic,
    /// Time and energy tables, by name.
    pub costs: BTreeMap<String, SpinnakerCosts>,
}

/// Capacities of a core and of its chip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpinnakerLimits {
    /// Neurons on a core.
    pub neurons: Sourced<u32>,
    /// Instruction memory of a core.
    pub itcm_bytes: Sourced<u64>,
    /// Data memory of a core.
    pub dtcm_bytes: Sourced<u64>,
    /// Shared memory of a chip that applications may use.
    pub sdram_bytes: Sourced<u64>,
    /// A core has at most `2^bits` ring-buffer slots, over neurons, synapse types and delays.
    pub ring_buffer_bits: Sourced<u8>,
    /// Synapse words of a row, its header not counted.
    pub row_words: Sourced<u32>,
    /// Entries of a router's table that applications may use.
    pub routing_entries: Sourced<u32>,
    /// Cores of each chip that the system takes.
    pub system_cores: Sourced<u32>,
    /// Cores that it takes on chips with an Ethernet link, in addition.
    pub ethernet_system_cores: Sourced<u32>,
    /// Spikes that wait on a core.
    pub incoming_spikes: Sourced<u32>,
}

/// Widths and sizes of what is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpinnakerFormats {
    /// Fraction bits of a neuron's numbers, which have 32 bits.
    pub fraction_bits: Sourced<u8>,
    /// Bits of a weight's magnitude; a weight of magnitude `m` adds `m << left_shift` to the input, in units of the fraction.
    pub weight_bits: Sourced<u8>,
    /// Largest left shift of a ring buffer.
    pub left_shift_max: Sourced<u8>,
    /// Words in front of the synapse words of a row.
    pub row_header_words: Sourced<u32>,
    /// Bytes of an entry of the master population table.
    pub population_entry_bytes: Sourced<u32>,
    /// Bytes of an item of its address list.
    pub address_item_bytes: Sourced<u32>,
    /// Low bits of a key that hold the time of sending.
    pub colour_bits: Sourced<u8>,
    /// Whether a spike that these bits show to be late is dropped even where its delays are long enough.
    pub drops_late: Sourced<bool>,
    /// Data memory of a neuron: state, threshold and synapse state of two types.
    pub neuron_bytes: Sourced<u32>,
}

/// How numbers with a fraction are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Product {
    /// Rounded down; wraps at 32 bits.
    Truncated,
    /// Rounded half up; saturates at 32 bits.
    Rounded,
}

/// Arithmetic of a core, and how weights are scaled for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpinnakerArithmetic {
    /// Products of numbers with a fraction.
    pub product: Product,
    /// Whether there is a program that adds its input to the membrane as it is.
    pub delta: Sourced<bool>,
    /// Whether there are programs whose spikes subtract from the membrane.
    pub subtraction: Sourced<bool>,
    /// Spikes per second of a source of unknown rate, for the largest sum in a ring buffer that is expected.
    pub expected_rate_hz: Sourced<u32>,
    /// Standard deviations above the mean sum that it takes.
    pub expected_deviations: Sourced<u32>,
}

/// A time of a core, in cycles of its clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cycles {
    /// Cycles.
    pub cycles: u32,
    /// Key of the source.
    pub source: String,
    /// What the number rests on.
    pub basis: Basis,
}

/// Time and energy of a SpiNNaker-like chip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpinnakerCosts {
    /// One line: what it is.
    pub about: String,
    /// Clock of a core.
    pub clock_hz: Sourced<u64>,
    /// A synapse word added to its ring buffer.
    pub synapse: Cycles,
    /// Setting up a row, without search and transfer.
    pub row: Cycles,
    /// Receiving a packet, finding its row, starting and ending the transfer.
    pub spike: Cycles,
    /// Receiving a packet that starts no transfer: its source has no row, or it comes to a delay extension.
    pub spike_without_row: Cycles,
    /// Bytes of a row that are transferred in a cycle.
    pub transfer_bytes_per_cycle: Sourced<u32>,
    /// Taking an empty ring-buffer slot into the input.
    pub ring_empty: Cycles,
    /// Taking an excitatory slot.
    pub ring_excitatory: Cycles,
    /// Taking an inhibitory slot.
    pub ring_inhibitory: Cycles,
    /// Updating a neuron.
    pub neuron: Cycles,
    /// Updating a refractory one.
    pub neuron_refractory: Cycles,
    /// Sending a packet.
    pub packet_out: Cycles,
    /// Time of a packet on a link with its router, in picoseconds.
    pub hop_time_ps: Sourced<u64>,
    /// Time that a packet occupies a link, in picoseconds.
    pub link_occupied_ps: Sourced<u64>,
    /// What the timing level `link` needs besides.
    pub timeline: SpinnakerTimeline,
    /// Energy of a packet's hop, in femtojoules.
    pub hop_energy_fj: Sourced<u64>,
    /// Power of an idle chip, in microwatts.
    pub chip_idle_uw: Sourced<u64>,
    /// Power of an active core, in microwatts.
    pub core_active_uw: Sourced<u64>,
}

/// Parts of a core's and a router's time, and buffers of packets: what the timing level `link` needs.
///
/// A router has no emergency routing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpinnakerTimeline {
    /// The part of [`SpinnakerCosts::spike`] that interrupts everything else: taking the packet into the queue.
    pub spike_interrupt: Cycles,
    /// The part of [`SpinnakerCosts::spike`] after the transfer of the row.
    pub transfer_end: Cycles,
    /// Packets that a core holds while it takes one into the queue.
    pub receive_slots: Sourced<u32>,
    /// Packets that a core holds for the router; it stalls when it sends one more.
    pub send_slots: Sourced<u32>,
    /// Packets on a link and behind it.
    pub link_slots: Sourced<u32>,
    /// Packets in a router.
    pub router_slots: Sourced<u32>,
    /// The part of [`SpinnakerCosts::hop_time_ps`] that a router takes, in picoseconds.
    pub router_time_ps: Sourced<u64>,
    /// A router takes a packet each cycle, in picoseconds.
    pub router_cycle_ps: Sourced<u64>,
    /// Cycles for which a router waits for an output that is blocked, before it drops the packet.
    pub router_wait_cycles: Sourced<u64>,
    /// Dropped packets that a chip keeps for sending them again; those beyond are lost.
    pub reinjection_packets: Sourced<u32>,
    /// Time before each packet that is sent again, in picoseconds.
    pub reinjection_ps: Sourced<u64>,
}
