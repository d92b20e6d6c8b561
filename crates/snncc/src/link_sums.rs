//! What runs of a machine at the timing level `link` tell: packets that were late or lost, and the use of links and queues.

use serde_json::{Value as Json, json};
use snncc_emu::spinnaker::{FaultCount, SpinnakerLinkUse, SpinnakerPlace, SpinnakerProgram, SpinnakerTrace};
use snncc_report::{Figure, number_text, time_text};
use std::collections::BTreeMap;

/// Names of the kinds of faults in results, in the order of `SpinnakerFaults::kinds`.
const KINDS: [&str; 6] = ["late_rows", "dropped", "skipped_synapses", "misdated_rows", "queue_overflows", "lost"];

/// Of a core.
#[derive(Clone, Copy, Debug, Default)]
struct CoreUse {
    late_rows: u64,
    skipped_synapses: u64,
    overflowed: u64,
    most_queued: u32,
    stalled_ps: u64,
}

/// Sample, step and place of something.
type First = (usize, u32, SpinnakerPlace);

/// Sums over samples. They do not depend on the order in which samples are added.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkSums {
    /// Times, and where the first was.
    kinds: [(u64, Option<First>); KINDS.len()],
    reinjected: u64,
    /// By chip and link.
    links: BTreeMap<(u32, u8), SpinnakerLinkUse>,
    /// By number.
    cores: BTreeMap<u32, CoreUse>,
    time_ps: u128,
}

impl LinkSums {
    /// Adds a sample, if its trace tells of links.
    pub(crate) fn add(&mut self, number: usize, trace: &SpinnakerTrace) {
        let Some(link) = &trace.link else { return };
        self.time_ps += trace.totals.time_ps;
        for ((sum, first), (_, FaultCount { count, first: of_sample }, _)) in
            self.kinds.iter_mut().zip(link.faults.kinds())
        {
            *sum += count;
            let found = of_sample.map(|(step, place)| (number, step, place));
            *first = [*first, found].into_iter().flatten().min();
        }
        self.reinjected += link.reinjected;
        for used in &link.links {
            let sum = self.links.entry((used.chip, used.link)).or_default();
            (sum.chip, sum.link) = (used.chip, used.link);
            sum.packets += used.packets;
            sum.busy_ps = sum.busy_ps.saturating_add(used.busy_ps);
            sum.waited_ps = sum.waited_ps.saturating_add(used.waited_ps);
            sum.longest_wait_ps = sum.longest_wait_ps.max(used.longest_wait_ps);
            sum.dropped += used.dropped;
        }
        for core in &trace.cores {
            let sum = self.cores.entry(core.core).or_default();
            sum.late_rows += core.late_rows;
            sum.skipped_synapses += core.skipped_synapses;
            sum.overflowed += core.overflowed;
            sum.most_queued = sum.most_queued.max(core.most_queued);
            sum.stalled_ps = sum.stalled_ps.saturating_add(core.stalled_ps);
        }
    }

    /// Share of the time in which a link was occupied.
    fn utilization(&self, link: &SpinnakerLinkUse) -> f64 {
        if self.time_ps == 0 { 0.0 } else { link.busy_ps as f64 / self.time_ps as f64 }
    }

    /// The link that was occupied longest; of equal ones the first.
    fn busiest(&self) -> Option<&SpinnakerLinkUse> {
        self.links.values().rev().max_by_key(|link| link.busy_ps)
    }

    /// The core with the most packets in its queue; of equal ones the first.
    fn worst_queue(&self) -> Option<(&u32, &CoreUse)> {
        self.cores.iter().rev().max_by_key(|(_, core)| core.most_queued)
    }

    /// For `counters.json`.
    pub(crate) fn json(&self, program: &SpinnakerProgram) -> Json {
        let kinds: serde_json::Map<String, Json> = KINDS
            .iter()
            .zip(&self.kinds)
            .map(|(name, (count, first))| {
                let first = first
                    .as_ref()
                    .map(|(sample, step, place)| json!({ "sample": sample, "chip_step": step, "place": program.place_name(*place) }));
                ((*name).to_owned(), json!({ "count": count, "first": first }))
            })
            .collect();
        let link = |used: &SpinnakerLinkUse| {
            json!({
                "name": link_name(program, used),
                "packets": used.packets,
                "utilization": self.utilization(used),
                "waited_ps": used.waited_ps,
                "longest_wait_ps": used.longest_wait_ps,
                "dropped": used.dropped,
            })
        };
        let core = |(core, used): (&u32, &CoreUse)| {
            json!({
                "name": program.place_name(SpinnakerPlace::Core(*core)),
                "late_rows": used.late_rows,
                "skipped_synapses": used.skipped_synapses,
                "queue_overflows": used.overflowed,
                "most_queued": used.most_queued,
                "stalled_ps": used.stalled_ps,
            })
        };
        json!({
            "faults": kinds,
            "reinjected": self.reinjected,
            "busiest_link": self.busiest().map(link),
            "worst_queue": self.worst_queue().map(core),
            "links": self.links.values().map(link).collect::<Vec<_>>(),
            "cores": self.cores.iter().map(core).collect::<Vec<_>>(),
        })
    }

    /// Rows for people.
    pub(crate) fn rows(&self, program: &SpinnakerProgram) -> Vec<(String, String)> {
        let mut rows: Vec<(String, String)> = KINDS
            .iter()
            .zip(&self.kinds)
            .map(|(name, (count, first))| {
                let first = first.as_ref().map_or(String::new(), |(sample, step, place)| {
                    format!(" (first: sample {sample}, chip step {step}, {})", program.place_name(*place))
                });
                (name.replace('_', " "), format!("{}{first}", number_text((*count).into())))
            })
            .collect();
        rows.push(("re-injected".to_owned(), number_text(self.reinjected.into())));
        if let Some((number, core)) = self.worst_queue() {
            let name = program.place_name(SpinnakerPlace::Core(*number));
            rows.push(("longest queue".to_owned(), format!("{} packets, {name}", core.most_queued)));
        }
        if let Some(link) = self.busiest() {
            let name = link_name(program, link);
            let (share, wait) = (100.0 * self.utilization(link), time_text(link.longest_wait_ps as f64));
            rows.push(("busiest link".to_owned(), format!("{share:.3} % of the time, {name}; longest wait {wait}")));
        }
        rows
    }

    /// Counts for a report.
    pub(crate) fn figures(&self) -> Vec<(String, Figure)> {
        let counts = KINDS.iter().zip(&self.kinds).map(|(name, (count, _))| (*name, *count));
        let counts = counts.chain([("reinjected", self.reinjected)]);
        counts.map(|(name, count)| (name.to_owned(), Figure::counted(count, "events"))).collect()
    }
}

fn link_name(program: &SpinnakerProgram, link: &SpinnakerLinkUse) -> String {
    program.place_name(SpinnakerPlace::Link { chip: link.chip, link: link.link })
}
