//! From spikes to ring buffers: docs/CHIP_SEMANTICS.md, "Synapses".

use snncc_ids::PopulationId;
use snncc_ir::spinnaker::SYNAPSE_TYPES;
use snncc_ir::{Connectivity, Delays, Projection};

/// Ring-buffer slots of a population: one row of `neuron · types + type` for each step ahead.
///
/// A slot holds the whole sum of what arrived, up to 32 bits, and is cut to 16 bits where it is taken: the sum of what is not
/// negative saturates at the same value whatever the order.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    rows: usize,
    row_len: usize,
    sums: Vec<u32>,
}

impl Ring {
    pub(super) fn new(steps_ahead: u32, len: usize) -> Self {
        let (rows, row_len) = (steps_ahead as usize, len * SYNAPSE_TYPES);
        Self { rows, row_len, sums: vec![0; rows * row_len] }
    }

    fn row(&mut self, t: u32) -> &mut [u32] {
        let start = t as usize % self.rows * self.row_len;
        &mut self.sums[start..start + self.row_len]
    }

    /// Adds to the slots of step `t` before step 1.
    pub(super) fn fill(&mut self, t: u32, slots: &[Vec<u16>; SYNAPSE_TYPES]) {
        if t as usize > self.rows {
            let mut longer = Self::new(t, self.row_len / SYNAPSE_TYPES);
            for step in 1..=self.rows as u32 {
                longer.row(step).copy_from_slice(self.row(step));
            }
            *self = longer;
        }
        let row = self.row(t);
        for (kind, slots) in slots.iter().enumerate() {
            for (sum, slot) in row.iter_mut().skip(kind).step_by(SYNAPSE_TYPES).zip(slots) {
                *sum = sum.saturating_add((*slot).into());
            }
        }
    }

    /// Takes the slots of step `t` by neuron, and leaves them empty. Returns how many saturated.
    pub(super) fn take(&mut self, t: u32, taken: &mut Vec<[u16; SYNAPSE_TYPES]>) -> u64 {
        let mut saturated = 0;
        taken.clear();
        taken.extend(self.row(t).chunks_exact_mut(SYNAPSE_TYPES).map(|sums| {
            let mut slots = [0; SYNAPSE_TYPES];
            for (slot, sum) in slots.iter_mut().zip(sums) {
                *slot = u16::try_from(*sum).unwrap_or_else(|_| {
                    saturated += 1;
                    u16::MAX
                });
                *sum = 0;
            }
            slots
        }));
        saturated
    }
}

/// A projection, its synapses by source neuron.
#[derive(Clone, Debug)]
pub(super) struct Synapses {
    pub(super) source: PopulationId,
    pub(super) target: PopulationId,
    /// Longest delay.
    pub(super) max_delay: u32,
    fan_out: FanOut,
}

#[derive(Clone, Debug)]
enum FanOut {
    /// Synapses that have their own weights, in compressed rows; those of weight 0 are left out.
    Listed { row_starts: Vec<usize>, slots: Vec<Passed>, delays: Delays },
    /// Shared weights: walked anew for every spike.
    Walked { projection: Projection, weights: Vec<i32> },
}

/// A synapse that a spike passes.
#[derive(Clone, Copy, Debug)]
struct Passed {
    /// Number in a row of the ring.
    slot: u32,
    magnitude: u16,
}

impl Passed {
    /// `None` for a weight of 0, which has no synapse.
    fn new(target: u32, weight: i32) -> Option<Self> {
        let magnitude = u16::try_from(weight.unsigned_abs()).expect("bug in snncc: a weight beyond a synapse word");
        let kind = u32::from(weight < 0);
        (magnitude > 0).then_some(Self { slot: target * SYNAPSE_TYPES as u32 + kind, magnitude })
    }

    fn add_to(self, row: &mut [u32]) {
        let sum = &mut row[self.slot as usize];
        *sum = sum.saturating_add(self.magnitude.into());
    }
}

impl Synapses {
    pub(super) fn new(projection: &Projection, weights: &[i32]) -> Self {
        let fan_out = match projection.connectivity {
            Connectivity::Convolution(_) | Connectivity::OneToOne { shared: true } => {
                FanOut::Walked { projection: projection.clone(), weights: weights.to_vec() }
            }
            Connectivity::Dense | Connectivity::Sparse(_) | Connectivity::OneToOne { shared: false } => {
                listed(projection, weights)
            }
        };
        Self { source: projection.source, target: projection.target, max_delay: projection.delays.max(), fan_out }
    }

    /// Delivers the spikes of step `t`, whose slots have been taken. Returns the number of synapses passed.
    pub(super) fn deliver(&self, t: u32, spikes: &[u32], ring: &mut Ring) -> u64 {
        let mut events = 0;
        for source in spikes {
            match &self.fan_out {
                FanOut::Listed { row_starts, slots, delays } => {
                    let synapses = row_starts[*source as usize]..row_starts[*source as usize + 1];
                    events += synapses.len() as u64;
                    if let Delays::PerSynapse(delays) = delays {
                        for (passed, delay) in slots[synapses.clone()].iter().zip(&delays[synapses]) {
                            passed.add_to(ring.row(t + delay));
                        }
                    } else {
                        let row = ring.row(t + delays.get(*source, 0));
                        slots[synapses].iter().for_each(|passed| passed.add_to(row));
                    }
                }
                FanOut::Walked { projection, weights } => projection.fan_out(*source, |synapse| {
                    if let Some(passed) = Passed::new(synapse.other, weights[synapse.weight]) {
                        events += 1;
                        passed.add_to(ring.row(t + projection.delays.get(*source, synapse.weight)));
                    }
                }),
            }
        }
        events
    }
}

/// The synapses in rows by source; delays that belong to a synapse move with it.
fn listed(projection: &Projection, weights: &[i32]) -> FanOut {
    let (mut row_starts, mut slots, mut order) = (vec![0], Vec::new(), Vec::new());
    for source in 0..projection.source_len {
        projection.fan_out(source, |synapse| {
            if let Some(passed) = Passed::new(synapse.other, weights[synapse.weight]) {
                slots.push(passed);
                order.push(synapse.weight);
            }
        });
        row_starts.push(slots.len());
    }
    let delays = match &projection.delays {
        Delays::PerSynapse(delays) => Delays::PerSynapse(order.iter().map(|weight| delays[*weight]).collect()),
        other => other.clone(),
    };
    FanOut::Listed { row_starts, slots, delays }
}
