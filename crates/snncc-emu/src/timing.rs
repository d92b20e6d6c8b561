//! Time and energy of a step at the `analytic` level (docs/CHIP_SEMANTICS.md, "Time and energy").
//!
//! Nothing here feeds back into what the neurons do. Costs are summed from tables made at load: a spike costs its source a
//! row of messages and a hop sum, a message costs its receiver what its list costs.
//! **Invariant:** [`Program::load`](crate::Program::load) has shown that the dearest possible step fits 63 bits, so sums of
//! one step need no checks.

use snncc_chip::{Barrier, CostTable, NetworkTiming, UpdateRule};
use std::collections::BTreeMap;

/// Energy by what it is spent on, in femtojoules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Energy<T> {
    /// Compartments: access, update and spike.
    pub soma_fj: T,
    /// Messages leaving a core.
    pub axon_out_fj: T,
    /// Hops and chip crossings.
    pub hops_fj: T,
    /// Messages entering a core.
    pub axon_in_fj: T,
    /// Synapses.
    pub synapses_fj: T,
}

impl Energy<u64> {
    /// Sum of all parts.
    pub fn total_fj(&self) -> u64 {
        self.soma_fj + self.axon_out_fj + self.hops_fj + self.axon_in_fj + self.synapses_fj
    }
}

impl Energy<u128> {
    /// Sum of all parts.
    pub fn total_fj(&self) -> u128 {
        self.soma_fj + self.axon_out_fj + self.hops_fj + self.axon_in_fj + self.synapses_fj
    }

    /// Adds the energy of a step.
    pub(crate) fn add(&mut self, step: &Energy<u64>) {
        self.soma_fj += u128::from(step.soma_fj);
        self.axon_out_fj += u128::from(step.axon_out_fj);
        self.hops_fj += u128::from(step.hops_fj);
        self.axon_in_fj += u128::from(step.axon_in_fj);
        self.synapses_fj += u128::from(step.synapses_fj);
    }
}

impl Energy<u64> {
    fn accumulate(&mut self, core: &Energy<u64>) {
        self.soma_fj += core.soma_fj;
        self.axon_out_fj += core.axon_out_fj;
        self.hops_fj += core.hops_fj;
        self.axon_in_fj += core.axon_in_fj;
        self.synapses_fj += core.synapses_fj;
    }
}

/// What set the time of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The send side of this core (index into [`crate::Trace::cores`]).
    Send(u32),
    /// The receive side of this core.
    Receive(u32),
    /// The barrier.
    Barrier,
}

/// An energy in femtojoules and a time in picoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EventCost {
    pub(crate) fj: u64,
    pub(crate) ps: u64,
}

/// The cost table in use, without its sources.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    pub(crate) soma_access: EventCost,
    pub(crate) soma_update: EventCost,
    pub(crate) spike_out: EventCost,
    pub(crate) axon_out: EventCost,
    pub(crate) axon_in: EventCost,
    pub(crate) synapse_dense: EventCost,
    pub(crate) synapse_sparse: EventCost,
    pub(crate) synapse_shared: EventCost,
    /// Instead of these three, by weight bits.
    pub(crate) synapse_by_weight_bits: BTreeMap<u8, EventCost>,
    pub(crate) hop_east_west_fj: u64,
    pub(crate) hop_north_south_fj: u64,
    pub(crate) chip_crossing_fj: u64,
    pub(crate) hop_east_west_ps: u64,
    pub(crate) hop_north_south_ps: u64,
    pub(crate) chip_crossing_ps: u64,
    pub(crate) barrier: Barrier,
    pub(crate) updated: UpdateRule,
    pub(crate) network: Option<NetworkTiming>,
}

impl Costs {
    pub(crate) fn new(table: &CostTable) -> Self {
        let cost = |cost: &snncc_chip::Cost| EventCost { fj: cost.energy_fj, ps: cost.time_ps };
        Self {
            soma_access: cost(&table.soma_access),
            soma_update: cost(&table.soma_update),
            spike_out: cost(&table.spike_out),
            axon_out: cost(&table.axon_out),
            axon_in: cost(&table.axon_in),
            synapse_dense: cost(&table.synapse_dense),
            synapse_sparse: cost(&table.synapse_sparse),
            synapse_shared: cost(&table.synapse_shared),
            synapse_by_weight_bits: table.synapse_by_weight_bits.iter().map(|(bits, c)| (*bits, cost(c))).collect(),
            hop_east_west_fj: table.hop_east_west.energy_fj,
            hop_north_south_fj: table.hop_north_south.energy_fj,
            chip_crossing_fj: table.chip_crossing.energy_fj,
            hop_east_west_ps: table.hop_east_west.time_ps,
            hop_north_south_ps: table.hop_north_south.time_ps,
            chip_crossing_ps: table.chip_crossing.time_ps,
            barrier: table.barrier.clone(),
            updated: table.updated,
            network: table.network.clone(),
        }
    }
}

/// What one core did in one step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) updated: u64,
    pub(crate) fired: u64,
    /// Messages sent: out-axons of the compartments that fired.
    pub(crate) messages_out: u64,
    pub(crate) hops: u64,
    pub(crate) hops_fj: u64,
    pub(crate) messages_in: u64,
    pub(crate) synaptic_events: u64,
    /// `axon_in` and synapses of all messages received.
    pub(crate) receive_ps: u64,
    pub(crate) synapses_fj: u64,
}

impl Load {
    pub(crate) fn send_ps(&self, costs: &Costs, compartments: u64) -> u64 {
        compartments * costs.soma_access.ps
            + self.updated * costs.soma_update.ps
            + self.fired * costs.spike_out.ps
            + self.messages_out * costs.axon_out.ps
    }

    pub(crate) fn energy(&self, costs: &Costs, compartments: u64) -> Energy<u64> {
        Energy {
            soma_fj: compartments * costs.soma_access.fj
                + self.updated * costs.soma_update.fj
                + self.fired * costs.spike_out.fj,
            axon_out_fj: self.messages_out * costs.axon_out.fj,
            hops_fj: self.hops_fj,
            axon_in_fj: self.messages_in * costs.axon_in.fj,
            synapses_fj: self.synapses_fj,
        }
    }
}

/// Send and receive time of a core in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreStep {
    /// Time of the send side.
    pub send_ps: u64,
    /// Time of the receive side.
    pub receive_ps: u64,
}

/// Time, energy and bound of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepCost {
    pub(crate) time_ps: u64,
    pub(crate) energy: Energy<u64>,
    pub(crate) bound: Bound,
}

/// Prices a step from the loads of all cores; `visit` gets each core's index, times and energy. Of equal times the send side
/// comes before the receive side before the barrier, and the lower core first.
pub(crate) fn price_step<'a>(
    costs: &Costs,
    barrier_ps: u64,
    cores: impl Iterator<Item = (u64, &'a Load)>,
    mut visit: impl FnMut(usize, CoreStep, &Energy<u64>),
) -> StepCost {
    let mut energy = Energy::default();
    let (mut send, mut receive) = ((0, 0), (0, 0));
    for (index, (compartments, load)) in cores.enumerate() {
        let times = CoreStep { send_ps: load.send_ps(costs, compartments), receive_ps: load.receive_ps };
        if times.send_ps > send.0 {
            send = (times.send_ps, index as u32);
        }
        if times.receive_ps > receive.0 {
            receive = (times.receive_ps, index as u32);
        }
        let spent = load.energy(costs, compartments);
        energy.accumulate(&spent);
        visit(index, times, &spent);
    }
    let busy_ps = send.0.max(receive.0);
    let bound = if busy_ps < barrier_ps || busy_ps == 0 {
        Bound::Barrier
    } else if send.0 >= receive.0 {
        Bound::Send(send.1)
    } else {
        Bound::Receive(receive.1)
    };
    StepCost { time_ps: busy_ps + barrier_ps, energy, bound }
}
