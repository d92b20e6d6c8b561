//! How messages travel: nets, paths, loads of links.
//!
//! A message goes from a compartment to one destination core, first along x, then along y; each destination is a message of
//! its own. That is free of deadlock and always finds a way (dead cores keep their routers).

use crate::backend::{Resource, View};
use crate::options::Ctx;
use crate::place::{Placed, rates};
use snncc_chip::{Hop, Target};
use snncc_ids::{CoreId, Diagnostics, IdVec, LinkId, NetId, SliceId};
use std::collections::BTreeMap;
use std::ops::Range;

/// Neurons of a slice that send to the same cores.
#[derive(Clone, Debug, PartialEq)]
pub struct Net {
    /// The slice.
    pub slice: SliceId,
    /// Positions in the partitioner's order of the slice's population, ascending.
    pub neurons: Vec<Range<u32>>,
    /// Where they send, ascending; may include their own core.
    pub destinations: Vec<CoreId>,
    /// Spikes per step of these neurons together, from the calibration data; otherwise their number.
    pub rate: f64,
}

/// Paths of a net.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Links to each destination in turn.
    pub links: Vec<LinkId>,
    /// End of each destination's links in `links`.
    pub ends: Vec<u32>,
}

impl Route {
    /// Links to destination number `at`, in order.
    pub fn path(&self, at: usize) -> &[LinkId] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.links[start..self.ends[at] as usize]
    }
}

/// A placed network with its messages' paths.
#[derive(Clone, Debug, PartialEq)]
pub struct Routed {
    placed: Placed,
    nets: IdVec<NetId, Net>,
    route_of: IdVec<NetId, Route>,
    link_loads: BTreeMap<LinkId, f64>,
}

/// Finds nets and paths.
///
/// # Errors
/// None at present: x-then-y routing always finds a way.
pub fn route(placed: Placed, ctx: &mut Ctx<'_>) -> Result<Routed, Diagnostics> {
    let nets = nets(&placed, ctx);
    let mut out_axons = vec![0; placed.partitioned().cores().len()];
    let mut link_loads = BTreeMap::new();
    let mut route_of = IdVec::new();
    for net in &nets {
        let from = placed.core_of(net.slice);
        let mut route = Route::default();
        for destination in &net.destinations {
            for hop in ctx.target.path(from, *destination) {
                let link = link(ctx.target, &hop);
                route.links.push(link);
                *link_loads.entry(link).or_default() += net.rate;
            }
            route.ends.push(route.links.len() as u32);
        }
        let neurons: u64 = net.neurons.iter().map(|run| run.len() as u64).sum();
        out_axons[placed.partitioned().core_of_slice(net.slice)] += neurons * net.destinations.len() as u64;
        route_of.push(route);
    }
    for (used, counted) in placed.partitioned().core_use().zip(&out_axons) {
        assert_eq!(used.get(Resource::OutAxons), *counted, "bug in snncc: output axons routed and counted differ");
    }
    Ok(Routed { placed, nets, route_of, link_loads })
}

/// Number of the directed link of a hop: four for each router of the joint mesh.
fn link(target: &Target, hop: &Hop) -> LinkId {
    let (columns, _) = target.mesh_size();
    let direction = match (hop.vertical, hop.from < hop.to) {
        (false, true) => 0,
        (false, false) => 1,
        (true, true) => 2,
        (true, false) => 3,
    };
    LinkId((hop.from.1 * columns + hop.from.0) * 4 + direction)
}

/// The two routers (x, y) that a link joins, from and to.
pub fn link_ends(target: &Target, link: LinkId) -> ((u32, u32), (u32, u32)) {
    let (columns, _) = target.mesh_size();
    let (router, direction) = (link.0 / 4, link.0 % 4);
    let from = (router % columns, router / columns);
    let to = match direction {
        0 => (from.0 + 1, from.1),
        1 => (from.0 - 1, from.1),
        2 => (from.0, from.1 + 1),
        _ => (from.0, from.1 - 1),
    };
    (from, to)
}

fn nets(placed: &Placed, ctx: &Ctx<'_>) -> IdVec<NetId, Net> {
    let partitioned = placed.partitioned();
    let view = View::new(partitioned.ir());
    let rates = rates(&view, ctx);
    // Destination cores of each source in compressed rows, ascending within a row.
    let mut by_place: Vec<usize> = (0..partitioned.cores().len()).collect();
    by_place.sort_by_key(|core| placed.core(*core));
    let mut starts = vec![0_u32; view.global_len() + 1];
    let sources =
        || by_place.iter().flat_map(|core| partitioned.cores()[*core].sources.iter().map(move |s| (*core, *s)));
    for (_, source) in sources() {
        starts[source as usize + 1] += 1;
    }
    for at in 0..view.global_len() {
        starts[at + 1] += starts[at];
    }
    let mut next = starts.clone();
    let mut destinations = vec![CoreId(0); starts[view.global_len()] as usize];
    for (core, source) in sources() {
        let at = &mut next[source as usize];
        destinations[*at as usize] = placed.core(core);
        *at += 1;
    }
    let mut nets: IdVec<NetId, Net> = IdVec::new();
    for (slice_id, slice) in partitioned.slices().iter_with_ids() {
        let mut known: BTreeMap<&[CoreId], NetId> = BTreeMap::new();
        for (position, neuron) in slice.neurons.clone().zip(partitioned.neurons(slice)) {
            let global = view.global(slice.population, neuron) as usize;
            let row = &destinations[starts[global] as usize..starts[global + 1] as usize];
            if row.is_empty() {
                continue;
            }
            let id = *known.entry(row).or_insert_with(|| {
                nets.push(Net { slice: slice_id, neurons: Vec::new(), destinations: row.to_vec(), rate: 0.0 })
            });
            let net = &mut nets[id];
            net.rate += rates[global];
            match net.neurons.last_mut() {
                Some(run) if run.end == position => run.end += 1,
                _ => net.neurons.push(position..position + 1),
            }
        }
    }
    nets
}

impl Routed {
    /// The placement.
    pub fn placed(&self) -> &Placed {
        &self.placed
    }

    /// Nets, by slice and first neuron.
    pub fn nets(&self) -> &IdVec<NetId, Net> {
        &self.nets
    }

    /// Paths of a net.
    pub fn route_of(&self, net: NetId) -> &Route {
        &self.route_of[net]
    }

    /// Messages per step over each link in use, at the nets' rates.
    pub fn link_loads(&self) -> &BTreeMap<LinkId, f64> {
        &self.link_loads
    }

    /// The link with the most messages per step, if any message leaves its router.
    pub fn heaviest_link(&self) -> Option<(LinkId, f64)> {
        let loads = self.link_loads.iter().map(|(link, load)| (*link, *load));
        loads.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
    }

    /// Hops per step of all nets.
    pub fn hops_per_step(&self) -> f64 {
        self.nets.iter().zip(self.route_of.iter()).map(|(net, route)| net.rate * route.links.len() as f64).sum()
    }
}
