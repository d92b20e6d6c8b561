//! The greedy start: the core with the most traffic to those already placed goes to the free place that costs least.

use crate::place::{Slots, Traffic};
use snncc_chip::Target;
use snncc_ids::CoreId;

/// A place for each logical core.
pub(crate) fn place(traffic: &Traffic, slots: &Slots, target: &Target) -> Vec<CoreId> {
    let count = traffic.neighbours.len();
    let mut core_of: Vec<Option<CoreId>> = slots.pinned.clone();
    let mut free = slots.free.clone();
    // Traffic to placed cores, and in all.
    let mut pull = vec![0.0; count];
    for (core, neighbours) in traffic.neighbours.iter().enumerate() {
        pull[core] =
            neighbours.iter().filter(|(other, _)| core_of[*other as usize].is_some()).map(|(_, rate)| rate).sum();
    }
    let total: Vec<f64> =
        traffic.neighbours.iter().map(|neighbours| neighbours.iter().map(|(_, rate)| rate).sum()).collect();
    while let Some(next) = (0..count).filter(|core| core_of[*core].is_none()).max_by(|a, b| {
        (pull[*a], total[*a])
            .partial_cmp(&(pull[*b], total[*b]))
            .expect("bug in snncc: rates are numbers")
            .then(b.cmp(a))
    }) {
        let cost = |place: CoreId| -> f64 {
            let placed =
                traffic.neighbours[next].iter().filter_map(|(other, rate)| Some((core_of[*other as usize]?, rate)));
            placed.map(|(other, rate)| rate * f64::from(target.hops(place, other))).sum()
        };
        // Cores of one router cost the same: look at the first free one of each.
        let mut best: Option<(f64, usize)> = None;
        let mut last_router = None;
        for (at, place) in free.iter().enumerate() {
            if last_router.replace(target.router(*place)) == Some(target.router(*place)) {
                continue;
            }
            let cost = cost(*place);
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, at));
            }
        }
        let (_, at) = best.expect("bug in snncc: more cores than places");
        core_of[next] = Some(free.remove(at));
        for (other, rate) in &traffic.neighbours[next] {
            pull[*other as usize] += rate;
        }
    }
    core_of.into_iter().map(|core| core.expect("bug in snncc: a core without a place")).collect()
}
