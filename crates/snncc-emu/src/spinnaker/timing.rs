//! Time and energy of a step (docs/CHIP_SEMANTICS.md, "Time and energy of SpiNNaker-like cores").
//!
//! Nothing here feeds back into what the neurons do: cycles are counts of what a core did, times its clock.

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
        let time = (u128::from(cycles) * PICOSECONDS_PER_SECOND).div_ceil(u128::from(self.table.clock_hz.0));
        u64::try_from(time).unwrap_or(u64::MAX)
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
