//! The fast path: 64 compartments at a time in 32 bits.
//!
//! A core takes it where every register wraps within 26 bits, the voltage is clipped within 26 bits, compartments are plain
//! `Lif` without noise, and the accumulators provably fit 32 bits ([`crate::load`] decides). Then
//! `|x| · k >> F = (|x| >> F) · k + ((|x| mod 2^F) · k >> F)` multiplies numbers of 15 bits only, and the whole update is
//! straight-line code that the compiler vectorises.
//!
//! Registers that overflow are rare: a block only notes *that* something left its register, and the scalar rules
//! ([`crate::rules`]) then say what, from the old values. Clips at `v_min` are not rare and are counted in the block.

use crate::core::{Outcome, Overflows};
use crate::program::{CoreProgram, NarrowNeurons};
use crate::synapses::Planes;
use snncc_chip::UpdateRule;

/// Compartments in a block.
pub(crate) const BLOCK: usize = 64;

/// State of a narrow core, padded to whole blocks.
#[derive(Clone, Debug)]
pub(crate) struct NarrowState {
    pub(crate) u: Vec<i32>,
    pub(crate) v: Vec<i32>,
    pub(crate) bias: Vec<i32>,
    /// Refractory counters; empty where no register exceeds 1.
    pub(crate) refractory: Vec<i32>,
    pub(crate) planes: Planes<i32>,
}

/// Uniform constants of a core.
#[derive(Clone, Copy)]
struct Constants {
    fraction_bits: u32,
    low_mask: u32,
    /// All ones where a current left over makes a compartment count as updated, otherwise 0.
    u_counts: i32,
    count_bits: u32,
    weight_shift: u32,
    units_min: i32,
    units_max: i32,
    input_unused: u32,
    current_unused: u32,
    biased_unused: u32,
    v_min: i32,
    v_max: i32,
}

/// Old and new values of one block.
struct Block<'a> {
    u: &'a [i32; BLOCK],
    v: &'a [i32; BLOCK],
    arrived: &'a [i32; BLOCK],
    bias: &'a [i32; BLOCK],
    ku: &'a [u16; BLOCK],
    kv: &'a [u16; BLOCK],
    threshold: &'a [i32; BLOCK],
}

#[derive(Default)]
struct Flags {
    updated: i32,
    clipped_low: i32,
    /// Not 0 if a register other than `v_min` was left.
    rare: i32,
    fired: i32,
}

/// `tdiv` for `|x| < 2^(15 + F)` and `0 ≤ k < 2^15`: masks tell the compiler that 16-bit products are enough.
#[inline(always)]
fn tdiv(x: i32, k: u16, c: &Constants) -> i32 {
    let magnitude = x.unsigned_abs();
    let k = u32::from(k & 0x7fff);
    let high = (magnitude >> c.fraction_bits) & 0x7fff;
    let low = magnitude & c.low_mask & 0x7fff;
    let kept = (high * k + ((low * k) >> c.fraction_bits)) as i32;
    let sign = x >> 31;
    (kept ^ sign) - sign
}

/// Updates a block into `u`, `v` and `fired` (1 where it spikes). `refractory` holds the counters and the registers.
#[inline(always)]
fn update_block<const REFRACTORY: bool>(
    c: &Constants,
    old: &Block<'_>,
    mut refractory: Option<(&mut [i32; BLOCK], &[i32; BLOCK])>,
    u: &mut [i32; BLOCK],
    v: &mut [i32; BLOCK],
    fired: &mut [u8; BLOCK],
) -> Flags {
    let mut flags = Flags::default();
    for i in 0..BLOCK {
        let arrived = old.arrived[i];
        flags.updated += i32::from((old.u[i] & c.u_counts) | old.v[i] | old.bias[i] | arrived != 0);
        let units = arrived >> c.count_bits;
        let input = (units << c.weight_shift) << c.input_unused >> c.input_unused;
        let u_sum = tdiv(old.u[i], old.ku[i], c) + input;
        let u_new = u_sum << c.current_unused >> c.current_unused;
        let biased_sum = u_new.wrapping_add(old.bias[i]);
        let biased = biased_sum << c.biased_unused >> c.biased_unused;
        let v_sum = tdiv(old.v[i], old.kv[i], c) + biased;
        let mut v_new = v_sum.max(c.v_min).min(c.v_max);
        flags.clipped_low += i32::from(v_sum < c.v_min);
        flags.rare |= (u_sum ^ u_new)
            | (biased_sum ^ biased)
            | i32::from(units > c.units_max)
            | i32::from(units < c.units_min)
            | i32::from(v_sum > c.v_max);
        if REFRACTORY {
            let counter = refractory.as_ref().map_or(0, |(counter, _)| counter[i]);
            v_new = if counter > 0 { 0 } else { v_new };
        }
        let spike = v_new > old.threshold[i];
        if REFRACTORY && let Some((counter, register)) = &mut refractory {
            let next = if spike { register[i] } else { counter[i] };
            counter[i] = (next - 1).max(0);
        }
        u[i] = u_new;
        v[i] = if spike { 0 } else { v_new };
        fired[i] = u8::from(spike);
        flags.fired |= i32::from(spike);
    }
    flags
}

/// Bit `i` is byte `i`; each byte is 0 or 1. Eight bytes are gathered by one multiplication that moves byte `j` to bit
/// `56 + j`.
fn gather(bytes: &[u8; BLOCK]) -> u64 {
    let (eights, _) = bytes.as_chunks::<8>();
    eights.iter().enumerate().fold(0, |bits, (at, eight)| {
        bits | (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at)
    })
}

impl NarrowState {
    pub(crate) fn new(program: &CoreProgram, neurons: &NarrowNeurons) -> Self {
        let len = program.compartments.next_multiple_of(BLOCK);
        Self {
            u: vec![0; len],
            v: vec![0; len],
            bias: vec![0; len],
            refractory: vec![0; if neurons.any_refractory { len } else { 0 }],
            planes: Planes::new(program.synapses.planes, len),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.u.fill(0);
        self.v.fill(0);
        self.bias.fill(0);
        self.refractory.fill(0);
        self.planes.clear();
    }

    /// Computes one step of all compartments.
    pub(crate) fn update(&mut self, program: &CoreProgram, neurons: &NarrowNeurons, step: u32, outcome: &mut Outcome) {
        if neurons.any_refractory {
            self.update_all::<true>(program, neurons, step, outcome);
        } else {
            self.update_all::<false>(program, neurons, step, outcome);
        }
    }

    fn update_all<const REFRACTORY: bool>(
        &mut self,
        program: &CoreProgram,
        neurons: &NarrowNeurons,
        step: u32,
        outcome: &mut Outcome,
    ) {
        let constants = Constants::new(program, neurons);
        let arrived = self.planes.of_step(u64::from(step)).as_chunks_mut::<BLOCK>().0.iter_mut();
        let states = self.u.as_chunks_mut::<BLOCK>().0.iter_mut().zip(self.v.as_chunks_mut::<BLOCK>().0);
        let biases = self.bias.as_chunks::<BLOCK>().0.iter();
        let decays = neurons.ku.as_chunks::<BLOCK>().0.iter().zip(neurons.kv.as_chunks::<BLOCK>().0);
        let thresholds = neurons.threshold.as_chunks::<BLOCK>().0.iter();
        let mut counters = self.refractory.as_chunks_mut::<BLOCK>().0.iter_mut();
        let mut registers = neurons.refractory.as_chunks::<BLOCK>().0.iter();
        let (mut new_u, mut new_v, mut fired) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
        let mut first = 0;
        for ((((arrived, (u, v)), bias), (ku, kv)), threshold) in
            arrived.zip(states).zip(biases).zip(decays).zip(thresholds)
        {
            let old = Block { u, v, arrived, bias, ku, kv, threshold };
            let refractory = if REFRACTORY { counters.next().zip(registers.next()) } else { None };
            let flags = update_block::<REFRACTORY>(&constants, &old, refractory, &mut new_u, &mut new_v, &mut fired);
            let updated_before = outcome.updated;
            outcome.updated += flags.updated as u64;
            if flags.rare != 0 || (flags.clipped_low != 0 && !outcome.overflows.has_clipped_low()) {
                count_overflows(program, &constants, &old, first, step, &mut outcome.overflows);
            } else {
                outcome.overflows.add_clipped_low(flags.clipped_low as u64);
            }
            if flags.fired != 0 {
                let mut bits = gather(&fired);
                if outcome.tracks_updates {
                    count_updates(&constants, &old, bits, updated_before as u32, &mut outcome.updated_by);
                }
                while bits != 0 {
                    outcome.spikes.push((first as u32 + bits.trailing_zeros(), 1));
                    bits &= bits - 1;
                }
            }
            *u = new_u;
            *v = new_v;
            *arrived = [0; BLOCK];
            first += BLOCK;
        }
    }
}

/// For each compartment of `fired`, how many up to it were updated; `before` in earlier blocks.
fn count_updates(c: &Constants, old: &Block<'_>, fired: u64, before: u32, updated_by: &mut Vec<u32>) {
    let mut count = before;
    for i in 0..BLOCK {
        count += u32::from((old.u[i] & c.u_counts) | old.v[i] | old.bias[i] | old.arrived[i] != 0);
        if fired >> i & 1 != 0 {
            updated_by.push(count);
        }
    }
}

/// Counts what left its register in a block, from its old values.
#[cold]
fn count_overflows(
    program: &CoreProgram,
    c: &Constants,
    old: &Block<'_>,
    first: usize,
    step: u32,
    overflows: &mut Overflows,
) {
    for i in 0..BLOCK {
        let integrated = program.rules.integrate(
            (i64::from(old.u[i]), i64::from(old.v[i])),
            (i64::from(old.ku[i]), i64::from(old.kv[i])),
            i64::from(old.arrived[i] >> c.count_bits) << c.weight_shift,
            i64::from(old.bias[i]),
            0,
        );
        overflows.note(integrated.left, step, (first + i) as u32);
    }
}

impl Constants {
    fn new(program: &CoreProgram, neurons: &NarrowNeurons) -> Self {
        let rules = &program.rules;
        let input_edge = 1_i64 << neurons.input_bits;
        Self {
            fraction_bits: rules.fraction_bits,
            low_mask: (1 << rules.fraction_bits) - 1,
            u_counts: if program.updated == UpdateRule::ActiveVoltage { 0 } else { -1 },
            count_bits: program.synapses.count_bits,
            weight_shift: rules.weight_shift,
            units_min: (-input_edge >> rules.weight_shift) as i32,
            units_max: ((input_edge - 1) >> rules.weight_shift) as i32,
            input_unused: 31 - neurons.input_bits,
            current_unused: 31 - neurons.current_bits,
            biased_unused: 31 - neurons.biased_current_bits,
            v_min: rules.v_min as i32,
            v_max: rules.v_max as i32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fired_bytes_become_bits() {
        let mut bytes = [0; BLOCK];
        for at in [0, 7, 8, 13, 62, 63] {
            bytes[at] = 1;
        }
        assert_eq!(gather(&bytes), 1 | 1 << 7 | 1 << 8 | 1 << 13 | 1 << 62 | 1 << 63);
        assert_eq!(gather(&[1; BLOCK]), u64::MAX);
    }
}
