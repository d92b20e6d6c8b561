//! Time and energy of a step (docs/CHIP_SEMANTICS.md, "Time and energy of SpiNNaker-like cores").
//!
//! Nothing here feeds back into what the neurons do: cycles are counts of what a core did, times its clock. Where time does feed
//! back, at the level `link`, [`Durations`] has the parts of it.

use snncc_chip::SpinnakerCosts;

const PICOSECONDS_PER_SECOND: u128 = 1_000_000_000_000;

/// Energy by what it is spent on, in femtojoules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpinnakerEnergy {
    /// Packets on links.
    pub hops_fj: u128,
    /// Chips in use, idle.
    pub chips_fj: u128,
    /// Cores in use, in addition.
    pub cores_fj: u128,
}

impl SpinnakerEnergy {
    /// Sum of all parts.
    pub fn total_fj(&self) -> u128 {
        self.hops_fj + self.chips_fj + self.cores_fj
    }

    pub(crate) fn add(&mut self, other: &SpinnakerEnergy) {
        self.hops_fj += other.hops_fj;
        self.chips_fj += other.chips_fj;
        self.cores_fj += other.cores_fj;
    }
}

/// What one core did in one step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) updated: u64,
    pub(crate) refractory: u64,
    /// Ring-buffer slots taken that held something.
    pub(crate) excitatory_slots: u64,
    pub(crate) inhibitory_slots: u64,
    pub(crate) fired: u64,
    pub(crate) packets_out: u64,
    pub(crate) packets_in: u64,
    /// Packets in whose key the population table does not have.
    pub(crate) unmatched: u64,
    /// Packets in that start no transfer, though the core knows their source.
    pub(crate) without_row: u64,
    /// Words of bits that a delay extension looks at.
    pub(crate) looked_at: u64,
    pub(crate) rows: u64,
    pub(crate) row_bytes: u64,
    pub(crate) synaptic_events: u64,
    pub(crate) saturations: u64,
    pub(crate) membrane_saturations: u64,
}

/// Time of cycles of a clock in picoseconds, rounded up.
pub(crate) fn time_ps(cycles: u64, clock_hz: u64) -> u64 {
    let time = (u128::from(cycles) * PICOSECONDS_PER_SECOND).div_ceil(u128::from(clock_hz));
    u64::try_from(time).unwrap_or(u64::MAX)
}

/// What a core's work on a packet takes, in picoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Durations {
    /// From the end of the interrupt to the start of the transfer.
    pub(crate) look_up_ps: u64,
    /// After the interrupt of a packet that starts no transfer though its source is known.
    pub(crate) without_row_ps: u64,
    /// After the transfer.
    pub(crate) transfer_end_ps: u64,
    costs: (u32, u32, u32),
    clock_hz: u64,
}

impl Durations {
    pub(crate) fn new(costs: &Costs) -> Self {
        let table = &costs.table;
        let after = table.timeline.transfer_end.cycles;
        let before = table.timeline.spike_interrupt.cycles;
        let look_up = table.spike.cycles.saturating_sub(after).saturating_sub(before);
        Self {
            without_row_ps: costs.time_ps(table.spike_without_row.cycles.saturating_sub(before).into()),
            look_up_ps: costs.time_ps(look_up.into()),
            transfer_end_ps: costs.time_ps(after.into()),
            costs: (table.row.cycles, table.synapse.cycles, table.transfer_bytes_per_cycle.0),
            clock_hz: table.clock_hz.0,
        }
    }

    /// Processing of a row.
    pub(crate) fn row_ps(&self, synapses: u16) -> u64 {
        let cycles = u64::from(self.costs.0) + u64::from(synapses) * u64::from(self.costs.1);
        time_ps(cycles, self.clock_hz)
    }

    /// Transfer of a row.
    pub(crate) fn transfer_ps(&self, row_words: u16) -> u64 {
        let bytes = u64::from(row_words) * size_of::<u32>() as u64;
        time_ps(bytes.div_ceil(u64::from(self.costs.2)), self.clock_hz)
    }
}

/// The cost table in use, without its sources.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    table: SpinnakerCosts,
}

impl Costs {
    pub(crate) fn new(table: &SpinnakerCosts) -> Self {
        Self { table: table.clone() }
    }

    /// Cycles of a core in a step.
    pub(crate) fn cycles(&self, load: &Load) -> u64 {
        let costs = &self.table;
        let empty = 2 * load.updated - load.excitatory_slots - load.inhibitory_slots;
        [
            (empty, &costs.ring_empty),
            (load.excitatory_slots, &costs.ring_excitatory),
            (load.inhibitory_slots, &costs.ring_inhibitory),
            (load.updated - load.refractory, &costs.neuron),
            (load.refractory, &costs.neuron_refractory),
            (load.packets_out, &costs.packet_out),
            (load.packets_in - load.without_row, &costs.spike),
            (load.without_row, &costs.spike_without_row),
            (load.looked_at, &costs.ring_empty),
            (load.rows, &costs.row),
            (load.synaptic_events, &costs.synapse),
        ]
        .into_iter()
        .map(|(count, cost)| count * u64::from(cost.cycles))
        .sum::<u64>()
            + load.row_bytes.div_ceil(u64::from(costs.transfer_bytes_per_cycle.0))
    }

    /// Time of these cycles in picoseconds, rounded up.
    pub(crate) fn time_ps(&self, cycles: u64) -> u64 {
        time_ps(cycles, self.table.clock_hz.0)
    }

    /// Cycles in a time, rounded down.
    pub(crate) fn cycles_in(&self, time_ps: u64) -> u64 {
        (u128::from(time_ps) * u128::from(self.table.clock_hz.0) / PICOSECONDS_PER_SECOND) as u64
    }

    /// Cycles of the update of a neuron and its slots: `held` says which of them hold something.
    pub(crate) fn neuron_cycles(&self, held: [bool; 2], is_refractory: bool) -> u64 {
        let costs = &self.table;
        let slots = [(held[0], &costs.ring_excitatory), (held[1], &costs.ring_inhibitory)];
        let slots = slots.map(|(holds, cost)| u64::from(if holds { cost.cycles } else { costs.ring_empty.cycles }));
        let neuron = if is_refractory { &costs.neuron_refractory } else { &costs.neuron };
        slots[0] + slots[1] + u64::from(neuron.cycles)
    }

    /// Cycles of a delay extension that looks at so many words of bits.
    pub(crate) fn looking_cycles(&self, words: u64) -> u64 {
        words * u64::from(self.table.ring_empty.cycles)
    }

    /// Cycles of sending a packet.
    pub(crate) fn packet_cycles(&self) -> u64 {
        self.table.packet_out.cycles.into()
    }

    /// Energy of a step.
    pub(crate) fn energy(&self, hops: u64, chips: u64, cores: u64, time_ps: u64) -> SpinnakerEnergy {
        // A microwatt for a picosecond is a thousandth of a femtojoule.
        let power =
            |count: u64, microwatts: u64| u128::from(count) * u128::from(microwatts) * u128::from(time_ps) / 1000;
        SpinnakerEnergy {
            hops_fj: u128::from(hops) * u128::from(self.table.hop_energy_fj.0),
            chips_fj: power(chips, self.table.chip_idle_uw.0),
            cores_fj: power(cores, self.table.core_active_uw.0),
        }
    }
}
