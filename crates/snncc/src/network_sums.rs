//! What the levels of timing beyond the analytic one say of a run: sums over samples, a line of text, a table of steps.

use crate::args::Timing;
use crate::sums::json_counts;
use serde_json::{Value as Json, json};
use snncc_chip::Target;
use snncc_emu::{NetworkBound, Trace};
use snncc_ids::CoreId;
use snncc_report::{Table, Value, time_text};

/// Names of what bounds a step.
const BOUNDS: [&str; 4] = ["compute", "receive", "network", "barrier"];

/// Sums over the steps of samples.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NetworkSums {
    busy_ps: u128,
    network_ps: u128,
    barrier_ps: u128,
    stalled_ps: u128,
    /// Steps by what took most of their time, in the order of [`BOUNDS`].
    bound_steps: [u128; 4],
}

fn bound(bound: NetworkBound) -> usize {
    match bound {
        NetworkBound::Compute => 0,
        NetworkBound::Receive => 1,
        NetworkBound::Network => 2,
        NetworkBound::Barrier => 3,
    }
}

impl NetworkSums {
    /// Adds a sample; nothing at the analytic level.
    pub(crate) fn add(&mut self, trace: &Trace) {
        for step in &trace.network_steps {
            self.busy_ps += u128::from(step.send_ps.max(step.receive_ps));
            self.network_ps += u128::from(step.network_ps);
            self.barrier_ps += u128::from(trace.barrier_ps);
            self.stalled_ps += u128::from(step.stalled_ps);
            self.bound_steps[bound(step.bound)] += 1;
        }
    }

    pub(crate) fn json(&self) -> Json {
        json!({
            "cores_ps": Value::from(self.busy_ps),
            "network_ps": Value::from(self.network_ps),
            "barrier_ps": Value::from(self.barrier_ps),
            "stalled_ps": Value::from(self.stalled_ps),
            "bound_steps": json_counts(BOUNDS.into_iter().zip(self.bound_steps), false),
        })
    }

    pub(crate) fn text(&self, timing: Timing) -> String {
        let bounds: Vec<String> = BOUNDS
            .iter()
            .zip(self.bound_steps)
            .filter(|(_, steps)| *steps > 0)
            .map(|(name, steps)| format!("{name} in {steps}"))
            .collect();
        format!(
            "time ({}): {} on cores, {} in the network, {} in barriers; steps are bound by {}\n",
            timing.name(),
            time_text(self.busy_ps as f64),
            time_text(self.network_ps as f64),
            time_text(self.barrier_ps as f64),
            bounds.join(", ")
        )
    }
}

/// The steps of a sample.
pub(crate) fn table(trace: &Trace, target: &Target) -> Table {
    let mut table = Table::new(&[
        "step",
        "time_ps",
        "send_ps",
        "receive_ps",
        "network_ps",
        "barrier_ps",
        "stalled_ps",
        "bound",
        "last_core",
        "busiest_link",
        "busiest_link_ps",
    ]);
    for (number, (step, record)) in (1..).zip(trace.network_steps.iter().zip(&trace.step_records)) {
        let core =
            trace.cores.get(step.last_core as usize).map_or(String::new(), |core| target.core_name(CoreId(core.core)));
        let (link, occupied_ps) = step.busiest_link.map_or((String::new(), 0), |(place, occupied_ps)| {
            let ((x, y), (to_x, to_y)) = (place.from, place.to);
            (format!("mesh {} ({x} {y})->({to_x} {to_y})", place.mesh), occupied_ps)
        });
        let numbers =
            [number, record.time_ps, step.send_ps, step.receive_ps, step.network_ps, trace.barrier_ps, step.stalled_ps];
        let mut row: Vec<String> = numbers.iter().map(u64::to_string).collect();
        row.extend([BOUNDS[bound(step.bound)].to_owned(), core, link, occupied_ps.to_string()]);
        table.row(row);
    }
    table
}
