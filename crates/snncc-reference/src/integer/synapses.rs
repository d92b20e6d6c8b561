//! From spikes to dendritic input: docs/CHIP_SEMANTICS.md ("Input").

use super::arithmetic::shift;
use snncc_chip::{ArithmeticProfile, ExponentRule};
use snncc_ids::PopulationId;
use snncc_ir::{Connectivity, Delays, IntWeights, Projection};

/// Input of a population in coming steps: one row of accumulators per step.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    slots: usize,
    len: usize,
    values: Vec<i64>,
}

impl Ring {
    pub(super) fn new(slots: usize, len: usize) -> Self {
        Self { slots, len, values: vec![0; slots * len] }
    }

    /// Accumulators of step `t`, which must be fewer than `slots` steps ahead.
    pub(super) fn slot(&mut self, t: u32) -> &mut [i64] {
        let start = t as usize % self.slots * self.len;
        &mut self.values[start..start + self.len]
    }
}

/// A projection, its synapses by source neuron.
#[derive(Clone, Debug)]
pub(super) struct Synapses {
    pub(super) source: PopulationId,
    pub(super) target: PopulationId,
    /// Longest delay from spike to arrival, at least 1.
    pub(super) max_delay: u32,
    target_len: usize,
    fan_out: FanOut,
    scale: Scale,
    per_sum: bool,
}

#[derive(Clone, Debug)]
enum FanOut {
    /// Mantissas of all pairs, `(source, target)`, with one delay.
    Dense { mantissas: Vec<i32>, delay: u32 },
    /// Any other pattern whose synapses have their own weights, in compressed rows.
    Listed { row_starts: Vec<usize>, targets: Vec<u32>, mantissas: Vec<i32>, delays: Delays },
    /// Shared weights: walked anew for every spike.
    Walked { projection: Projection, mantissas: Vec<i32> },
}

/// From a mantissa (or a sum of mantissas) to what is added to the current.
#[derive(Clone, Copy, Debug)]
struct Scale {
    exponent: i64,
    weight_shift: i64,
    /// Largest magnitude of an effective weight, where it is clipped.
    limit: Option<i64>,
}

impl Scale {
    fn effective(self, mantissa: i64) -> i64 {
        let w = shift(shift(mantissa, self.exponent), self.weight_shift);
        match self.limit {
            Some(limit) => w.clamp(-limit, limit),
            None => w,
        }
    }
}

impl Synapses {
    pub(super) fn new(projection: &Projection, weights: &IntWeights, profile: &ArithmeticProfile) -> Self {
        let per_sum = profile.exponent_rule == ExponentRule::PerSum;
        let limit = profile.effective_weight_clip_bits.filter(|_| !per_sum);
        let scale = Scale {
            exponent: weights.exponent.into(),
            weight_shift: profile.weight_shift.into(),
            limit: limit.map(|bits| (1_i64 << bits.min(62)) - (1_i64 << profile.weight_shift.min(bits).min(62))),
        };
        let mantissas = &weights.mantissas;
        let fan_out = match (&projection.connectivity, &projection.delays) {
            (Connectivity::Dense, Delays::Uniform(delay)) => {
                FanOut::Dense { mantissas: transposed(mantissas, projection.source_len as usize), delay: *delay }
            }
            (Connectivity::Convolution(_) | Connectivity::OneToOne { shared: true }, _) => {
                FanOut::Walked { projection: projection.clone(), mantissas: mantissas.clone() }
            }
            _ => listed(projection, mantissas),
        };
        assert!(projection.delays.min() >= 1, "bug in snncc: {} has a delay of 0", projection.name);
        Self {
            source: projection.source,
            target: projection.target,
            max_delay: projection.delays.max(),
            target_len: projection.target_len as usize,
            fan_out,
            scale,
            per_sum,
        }
    }

    /// Delivers the spikes `(neuron, payload)` of step `t − 1`: those of extra delay 0 into step `t`. Returns the number of
    /// synapses passed.
    pub(super) fn deliver(&self, t: u32, spikes: &[(u32, i64)], ring: &mut Ring) -> u64 {
        if spikes.is_empty() || self.target_len == 0 {
            return 0;
        }
        let mut events = 0;
        if self.per_sum {
            // All that is summed before the exponent arrives together with the same delay, so it left together too: the
            // spikes of this one step are enough.
            let mut sums = vec![0_i64; self.max_delay as usize * self.target_len];
            self.visit(spikes, |synapse, payload| {
                events += 1;
                let sum = &mut sums[(synapse.delay as usize - 1) * self.target_len + synapse.target as usize];
                *sum = sum.wrapping_add(payload.wrapping_mul(synapse.mantissa));
            });
            for (extra, row) in (0..).zip(sums.chunks_exact(self.target_len)) {
                for (accumulator, sum) in ring.slot(t + extra).iter_mut().zip(row) {
                    *accumulator = accumulator.wrapping_add(self.scale.effective(*sum));
                }
            }
        } else if let FanOut::Dense { mantissas, delay } = &self.fan_out {
            // The same as below, row by row: most of the work of most networks is here.
            let accumulators = ring.slot(t + delay - 1);
            for (source, payload) in spikes {
                for (accumulator, mantissa) in accumulators.iter_mut().zip(self.dense_row(mantissas, *source)) {
                    let w = self.scale.effective((*mantissa).into());
                    *accumulator = accumulator.wrapping_add(payload.wrapping_mul(w));
                }
                events += self.target_len as u64;
            }
        } else {
            self.visit(spikes, |synapse, payload| {
                events += 1;
                let accumulator = &mut ring.slot(t + synapse.delay - 1)[synapse.target as usize];
                let w = self.scale.effective(synapse.mantissa);
                *accumulator = accumulator.wrapping_add(payload.wrapping_mul(w));
            });
        }
        events
    }

    fn dense_row<'a>(&self, mantissas: &'a [i32], source: u32) -> &'a [i32] {
        &mantissas[source as usize * self.target_len..][..self.target_len]
    }

    /// Calls `visit` for each synapse of each spike.
    fn visit(&self, spikes: &[(u32, i64)], mut visit: impl FnMut(Passed, i64)) {
        for (source, payload) in spikes {
            match &self.fan_out {
                FanOut::Dense { mantissas, delay } => {
                    for (target, mantissa) in (0..).zip(self.dense_row(mantissas, *source)) {
                        visit(Passed { target, delay: *delay, mantissa: (*mantissa).into() }, *payload);
                    }
                }
                FanOut::Listed { row_starts, targets, mantissas, delays } => {
                    for at in row_starts[*source as usize]..row_starts[*source as usize + 1] {
                        let delay = delays.get(*source, at);
                        visit(Passed { target: targets[at], delay, mantissa: mantissas[at].into() }, *payload);
                    }
                }
                FanOut::Walked { projection, mantissas } => projection.fan_out(*source, |synapse| {
                    let delay = projection.delays.get(*source, synapse.weight);
                    let mantissa = mantissas[synapse.weight].into();
                    visit(Passed { target: synapse.other, delay, mantissa }, *payload);
                }),
            }
        }
    }
}

/// A synapse that a spike passes.
#[derive(Clone, Copy, Debug)]
struct Passed {
    target: u32,
    /// Steps from spike to arrival.
    delay: u32,
    mantissa: i64,
}

/// From `(target, source)` to `(source, target)`.
fn transposed(mantissas: &[i32], source_len: usize) -> Vec<i32> {
    let mut by_source = Vec::with_capacity(mantissas.len());
    for source in 0..source_len {
        by_source.extend(mantissas.iter().skip(source).step_by(source_len));
    }
    by_source
}

/// The synapses in rows by source; delays that belong to a synapse move with it.
fn listed(projection: &Projection, mantissas: &[i32]) -> FanOut {
    let (mut row_starts, mut targets, mut order) = (vec![0], Vec::new(), Vec::new());
    for source in 0..projection.source_len {
        projection.fan_out(source, |synapse| {
            targets.push(synapse.other);
            order.push(synapse.weight);
        });
        row_starts.push(targets.len());
    }
    let delays = match &projection.delays {
        Delays::PerSynapse(delays) => Delays::PerSynapse(order.iter().map(|weight| delays[*weight]).collect()),
        other => other.clone(),
    };
    FanOut::Listed { row_starts, targets, mantissas: order.iter().map(|weight| mantissas[*weight]).collect(), delays }
}
