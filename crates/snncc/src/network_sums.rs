//! What the levels of timing beyond the analytic one say of a run: sums over samples, a line of text, a table of steps.

use crate::args::Timing;
use crate::running::{Running, json_counts};
use crate::session::{Outcome, Session};
use serde_json::{Value as Json, json};
use snncc_chip::Target;
use snncc_emu::{NetworkBound, NetworkLevel, Trace};
use snncc_ids::{CoreId, Diagnostic, Diagnostics, code};
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

/// The level that is asked for.
///
/// # Errors
/// After the diagnostic that the cost table says nothing of the network.
pub(crate) fn level(session: &mut Session, running: &Running, timing: Timing) -> Outcome<NetworkLevel> {
    let level = match timing {
        Timing::Analytic => return Ok(NetworkLevel::Analytic),
        Timing::Link => NetworkLevel::Link,
        Timing::Flit => NetworkLevel::Flit,
    };
    if running.program.has_network() {
        return Ok(level);
    }
    let target = &running.opened.target;
    let message = format!("the cost table `{}` of `{}` has no `network`", target.file.costs, target.model.name);
    let problem = Diagnostic::error(code::HARDWARE_MODEL, message).at(format!("costs/{}", target.file.costs));
    Err(session
        .fail(Diagnostics::from(problem.help("take `--timing analytic`, or compile with a table that has it")), None))
}

/// Sums over samples; `None` at the analytic level.
pub(crate) fn total<'a>(timing: Timing, samples: impl Iterator<Item = &'a NetworkSums>) -> Option<NetworkSums> {
    (timing != Timing::Analytic).then(|| {
        samples.fold(NetworkSums::default(), |mut sum, sample| {
            sum.busy_ps += sample.busy_ps;
            sum.network_ps += sample.network_ps;
            sum.barrier_ps += sample.barrier_ps;
            sum.stalled_ps += sample.stalled_ps;
            sum.bound_steps.iter_mut().zip(sample.bound_steps).for_each(|(sum, steps)| *sum += steps);
            sum
        })
    })
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
    /// Of one sample.
    pub(crate) fn of(trace: &Trace) -> Self {
        let mut sums = Self::default();
        for step in &trace.network_steps {
            sums.busy_ps += u128::from(step.send_ps.max(step.receive_ps));
            sums.network_ps += u128::from(step.network_ps);
            sums.barrier_ps += u128::from(trace.barrier_ps);
            sums.stalled_ps += u128::from(step.stalled_ps);
            sums.bound_steps[bound(step.bound)] += 1;
        }
        sums
    }

    pub(crate) fn json(&self, timing: Timing) -> Json {
        json!({
            "timing": name(timing),
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
            name(timing),
            time_text(self.busy_ps as f64),
            time_text(self.network_ps as f64),
            time_text(self.barrier_ps as f64),
            bounds.join(", ")
        )
    }
}

fn name(timing: Timing) -> &'static str {
    match timing {
        Timing::Analytic => "analytic",
        Timing::Link => "link",
        Timing::Flit => "flit",
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
