//! What runs count, summed over samples, of either family of chips.
//!
//! What both families count has one name; what only one counts stands among the others under its own. **Invariant:** sums of
//! integers do not depend on the order in which samples are added.

use crate::chip::ChipRun;
use crate::host::HostWork;
use crate::link_sums::LinkSums;
use crate::network_sums::NetworkSums;
use crate::running::SampleResult;
use serde_json::{Map, Value as Json, json};
use snncc_emu::spinnaker::{SpinnakerCoreTrace, SpinnakerTotals};
use snncc_emu::{CoreTrace, Overflows, Totals};
use snncc_report::Value;

/// Counts by name, in a fixed order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named(Vec<(&'static str, u128)>);

impl Named {
    /// Adds counts of the same names.
    fn add<const N: usize>(&mut self, counts: [(&'static str, u128); N]) {
        if self.0.is_empty() {
            self.0 = counts.to_vec();
            return;
        }
        for ((name, sum), (known, count)) in self.0.iter_mut().zip(counts) {
            debug_assert_eq!(*name, known, "bug in snncc: counts of another run");
            *sum += count;
        }
    }

    /// Names and counts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u128)> + '_ {
        self.0.iter().copied()
    }

    /// The count of this name; 0 where it is not counted.
    pub(crate) fn get(&self, name: &str) -> u128 {
        self.find(name).unwrap_or(0)
    }

    /// The count of this name.
    pub(crate) fn find(&self, name: &str) -> Option<u128> {
        self.iter().find(|(known, _)| *known == name).map(|(_, count)| count)
    }

    /// Sum of all.
    pub(crate) fn total(&self) -> u128 {
        self.iter().map(|(_, count)| count).sum()
    }

    /// As a JSON object, with the sum where wanted.
    pub(crate) fn json(&self, total: bool) -> Json {
        json_counts(self.iter(), total)
    }
}

/// Named counts as a JSON object, with their sum where wanted.
pub(crate) fn json_counts<'a>(counts: impl IntoIterator<Item = (&'a str, u128)>, total: bool) -> Json {
    let mut object = Map::new();
    let mut sum = 0;
    for (name, count) in counts {
        sum += count;
        object.insert(name.to_owned(), json!(Value::from(count)));
    }
    if total {
        object.insert("total".to_owned(), json!(Value::from(sum)));
    }
    Json::Object(object)
}

/// Sums over samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunSums {
    pub(crate) samples: u64,
    pub(crate) time_ps: u128,
    pub(crate) slowest_step_ps: u64,
    /// Events on the chip.
    pub(crate) counts: Named,
    /// What the host sent and wrote.
    pub(crate) host: Named,
    /// Energy by part.
    pub(crate) energy_fj: Named,
    /// Registers that overflowed, by kind.
    pub(crate) overflows: Named,
    /// Steps by what set their time; empty for machines, where steps are ticks.
    pub(crate) bound_steps: Named,
    /// By core in use, its number first.
    pub(crate) cores: Vec<(u32, Named)>,
    /// Spikes in network steps, by population.
    pub(crate) spikes: Vec<u128>,
    /// Spikes fed, by port.
    pub(crate) input_spikes: Vec<u128>,
    /// What the host computed.
    pub(crate) work: HostWork,
    /// Time in the mesh between cores, where its level tells.
    pub(crate) network: NetworkSums,
    /// Late and lost packets and the use of links of a machine, where its level tells.
    pub(crate) links: LinkSums,
}

impl RunSums {
    /// Adds the sample of this number.
    pub(crate) fn add(&mut self, number: usize, sample: &SampleResult) {
        self.samples += 1;
        self.slowest_step_ps = self.slowest_step_ps.max(sample.run.slowest_step_ps());
        self.work.add(&sample.work);
        for (sums, counts) in [(&mut self.spikes, &sample.spikes), (&mut self.input_spikes, &sample.input_spikes)] {
            sums.resize(counts.len(), 0);
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += u128::from(*count));
        }
        match &sample.run {
            ChipRun::Compartments(trace) => {
                self.add_compartments(&trace.totals);
                self.network.add(trace);
                self.add_cores(trace.cores.iter().map(|core| (core.core, core_counts(core))));
                trace.cores.iter().for_each(|core| self.overflows.add(overflows(&core.overflows)));
            }
            ChipRun::Machine(trace) => {
                self.add_machine(&trace.totals);
                self.links.add(number, trace);
                self.add_cores(trace.cores.iter().map(|core| (core.core, machine_core_counts(core))));
            }
        }
    }

    fn add_cores<const N: usize>(&mut self, cores: impl ExactSizeIterator<Item = (u32, [(&'static str, u128); N])>) {
        self.cores.resize(cores.len(), (0, Named::default()));
        for (sum, (core, counts)) in self.cores.iter_mut().zip(cores) {
            sum.0 = core;
            sum.1.add(counts);
        }
    }

    fn add_compartments(&mut self, totals: &Totals) {
        self.time_ps += totals.time_ps;
        self.counts.add([
            ("chip_spikes", totals.fired.into()),
            ("updates", totals.updated.into()),
            ("synaptic_events", totals.synaptic_events.into()),
            (FIRST_EVENTS, totals.first_synaptic_events.into()),
            (FIRST_ENERGY_FJ, totals.first_synapses_fj),
            ("packets", totals.packets.into()),
            ("hops", totals.hops.into()),
        ]);
        self.host.add([
            ("spikes", totals.host_spikes.into()),
            ("messages", totals.host_messages.into()),
            ("writes", totals.host_writes.into()),
        ]);
        let e = &totals.energy;
        self.energy_fj.add([
            ("soma", e.soma_fj),
            ("axon_out", e.axon_out_fj),
            ("hops", e.hops_fj),
            ("axon_in", e.axon_in_fj),
            ("synapses", e.synapses_fj),
        ]);
        self.bound_steps.add([
            ("send", totals.send_bound_steps.into()),
            ("receive", totals.receive_bound_steps.into()),
            ("barrier", totals.barrier_bound_steps.into()),
        ]);
    }

    fn add_machine(&mut self, totals: &SpinnakerTotals) {
        self.time_ps += totals.time_ps;
        self.counts.add([
            ("chip_spikes", totals.fired.into()),
            ("updates", totals.updated.into()),
            ("refractory_updates", totals.refractory.into()),
            ("synaptic_events", totals.synaptic_events.into()),
            ("rows", totals.rows.into()),
            ("packets", totals.packets.into()),
            ("packets_received", totals.packets_in.into()),
            ("packets_without_row", totals.unmatched.into()),
            ("packets_lost", totals.drops.total().into()),
            ("hops", totals.hops.into()),
            (OVERRUNS, totals.overruns.into()),
            ("overrun_steps", totals.overrun_steps.into()),
        ]);
        self.host.add([("spikes", totals.host_spikes.into()), ("writes", totals.host_writes.into())]);
        let e = &totals.energy;
        self.energy_fj.add([("chips", e.chips_fj), ("cores", e.cores_fj), ("hops", e.hops_fj)]);
        self.overflows
            .add([("ring_buffer", totals.saturations.into()), ("membrane", totals.membrane_saturations.into())]);
    }

    /// Synaptic events of the first layer on the chip, and the rest; `None` where they are not told apart.
    pub(crate) fn events_by_layer(&self) -> Option<[(&'static str, u128); 2]> {
        let first = self.counts.find(FIRST_EVENTS)?;
        Some([("first layer", first), ("later layers", self.counts.get("synaptic_events") - first)])
    }

    /// Energy of the synapses of the first layer, where it is told apart.
    pub(crate) fn first_synapses_fj(&self) -> Option<u128> {
        self.counts.find(FIRST_ENERGY_FJ)
    }
}

/// Synaptic events that spikes of the host activated.
const FIRST_EVENTS: &str = "first_layer_synaptic_events";
/// Their energy.
const FIRST_ENERGY_FJ: &str = "first_layer_synapse_energy_fj";
/// Pairs of step and core that was not done within a tick.
pub(crate) const OVERRUNS: &str = "overruns";
/// Cycles of a machine's core.
pub(crate) const CYCLES: &str = "cycles";

fn core_counts(core: &CoreTrace) -> [(&'static str, u128); 8] {
    [
        ("send_ps", core.send_ps),
        ("receive_ps", core.receive_ps),
        ("bound_steps", core.bound_steps.into()),
        ("updates", core.updated.into()),
        ("spikes", core.fired.into()),
        ("messages_out", core.messages_out.into()),
        ("messages_in", core.messages_in.into()),
        ("synaptic_events", core.synaptic_events.into()),
    ]
}

fn machine_core_counts(core: &SpinnakerCoreTrace) -> [(&'static str, u128); 9] {
    [
        (CYCLES, core.cycles.into()),
        (OVERRUNS, core.overruns.into()),
        ("updates", core.updated.into()),
        ("spikes", core.fired.into()),
        ("packets_out", core.packets_out.into()),
        ("packets_in", core.packets_in.into()),
        ("rows", core.rows.into()),
        ("synaptic_events", core.synaptic_events.into()),
        ("saturations", core.saturations.count.into()),
    ]
}

fn overflows(overflows: &Overflows) -> [(&'static str, u128); 5] {
    let o = overflows;
    [
        ("input", o.input.count.into()),
        ("current", o.current.count.into()),
        ("biased_current", o.biased_current.count.into()),
        ("v_high", o.v_high.count.into()),
        ("v_low", o.v_low.count.into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_in_json() {
        let counts = json_counts([("soma", 1 << 60), ("hops", 2)], true);
        assert_eq!(counts, json!({ "soma": "1152921504606846976", "hops": 2, "total": "1152921504606846978" }));
    }

    #[test]
    fn sums_add_samples_and_cores() {
        let core = CoreTrace { core: 3, fired: 2, send_ps: 10, ..CoreTrace::default() };
        let totals = Totals { fired: 2, first_synaptic_events: 1, synaptic_events: 5, time_ps: 7, ..Totals::default() };
        let mut sums = RunSums::default();
        for _ in 0..2 {
            sums.add_compartments(&totals);
            sums.add_cores([(core.core, core_counts(&core))].into_iter());
        }
        assert_eq!((sums.counts.get("chip_spikes"), sums.time_ps), (4, 14));
        assert_eq!(sums.events_by_layer(), Some([("first layer", 2), ("later layers", 8)]));
        let (number, counts) = &sums.cores[0];
        assert_eq!((number, counts.get("spikes"), counts.get("send_ps"), counts.find("none")), (&3, 4, 20, None));
    }

    #[test]
    fn what_a_machine_does_not_tell_apart_is_not_there() {
        let mut sums = RunSums::default();
        sums.add_machine(&SpinnakerTotals { synaptic_events: 5, overruns: 1, ..SpinnakerTotals::default() });
        assert_eq!((sums.events_by_layer(), sums.first_synapses_fj()), (None, None));
        assert_eq!((sums.counts.get("synaptic_events"), sums.counts.get(OVERRUNS)), (5, 1));
    }
}
