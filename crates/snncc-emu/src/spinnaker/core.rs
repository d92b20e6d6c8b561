//! The state of one core, and its part of a step: the update of its neurons, and the rows that packets activate.
//!
//! A core touches nothing but itself, so the cores of a step may run in any order or at once.

use super::check::TYPES;
use super::delay::Held;
use super::program::{CoreProgram, Delivery, Effect, NeuronProgram, SpinnakerProgram};
use super::timing::Load;
use crate::core::OverflowCount;
use snncc_chip::Product;

/// What a ring-buffer slot is cut to as long as it is added to: one more than 16 bits hold, so that it is seen where the slot is
/// taken.
const SLOT_OVERFULL: u32 = 1 << u16::BITS;

/// The mutable part of a core. That of an injector has no neurons.
#[derive(Clone, Debug, Default)]
pub(crate) struct CoreState {
    pub(crate) v: Vec<i32>,
    pub(crate) refractory_left: Vec<i32>,
    /// Constant input: the image's, or what the host wrote instead.
    pub(crate) i_offset: Vec<i32>,
    /// Current of each synapse type.
    g: [Vec<i32>; TYPES],
    ring: Vec<u32>,
    /// Of a delay extension.
    pub(crate) held: Held,
    /// Slots that were taken in this step, and currents with them (the initial ones before the first update), before they decay.
    pub(crate) taken: [Vec<u16>; TYPES],
    pub(crate) driven: [Vec<i32>; TYPES],
    /// Sources that spiked in this step, ascending.
    pub(crate) spikes: Vec<u32>,
    pub(crate) spike_counts: Vec<u32>,
    /// Rows that packets of this step activate.
    pub(crate) inbox: Vec<Delivery>,
    /// Rows that were processed since the last update, where time feeds back.
    pub(crate) processed: Vec<ProcessedRow>,
    pub(crate) load: Load,
    pub(crate) saturations: OverflowCount,
    pub(crate) membrane_high: OverflowCount,
    pub(crate) membrane_low: OverflowCount,
}

/// A row that a core has processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessedRow {
    pub(crate) first_word: u32,
    pub(crate) synapses: u16,
    /// Steps by which the colour of the packet says that it is late.
    pub(crate) late: u32,
    /// The step in which it was sent, by its colour.
    pub(crate) sent: u32,
}

/// The product of numbers with a fraction.
#[inline]
fn mul<const ROUNDED: bool>(a: i32, b: i32, fraction_bits: u32) -> i32 {
    let product = i64::from(a) * i64::from(b);
    if ROUNDED {
        saturate((product + (1 << (fraction_bits - 1))) >> fraction_bits)
    } else {
        (product >> fraction_bits) as i32
    }
}

#[inline]
fn saturate(value: i64) -> i32 {
    value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// A part, of 2^32, of a number, rounded down.
#[inline]
fn part(value: i32, of_2_32: u32) -> i32 {
    ((i64::from(value) * i64::from(of_2_32)) >> u32::BITS) as i32
}

/// A packet that activates no row.
fn count_without_row(load: &mut Load, effect: Effect) {
    load.unmatched += u64::from(effect == Effect::Unmatched);
    load.without_row += u64::from(matches!(effect, Effect::NoRow | Effect::Held));
}

impl CoreState {
    pub(crate) fn reset(&mut self, program: &CoreProgram) {
        self.spikes.clear();
        self.inbox.clear();
        self.processed.clear();
        self.load = Load::default();
        self.saturations = OverflowCount::default();
        self.membrane_high = OverflowCount::default();
        self.membrane_low = OverflowCount::default();
        if let Some(delay) = &program.delay {
            self.held.reset(delay);
        }
        let Some(neurons) = &program.neurons else { return };
        let len = neurons.region.len();
        self.v.clone_from(&neurons.region.v);
        self.refractory_left.clone_from(&neurons.region.refractory_left);
        self.i_offset.clone_from(&neurons.region.i_offset);
        for kind in 0..TYPES {
            match neurons.types.get(kind) {
                Some(region) => self.g[kind].clone_from(&region.value),
                None => self.g[kind] = vec![0; len],
            }
            self.taken[kind] = vec![0; len];
            self.driven[kind].clone_from(&self.g[kind]);
        }
        self.spike_counts = vec![0; len];
        self.ring.clear();
        self.ring.resize(1 << neurons.format.ring_bits(), 0);
        for &(slot, value) in &neurons.ring_initial {
            self.ring[slot as usize] = value.into();
        }
    }

    /// Takes the ring-buffer slots of the step and updates all neurons. Adds to the load.
    pub(crate) fn update(&mut self, program: &SpinnakerProgram, core: &CoreProgram, step: u32) {
        self.spikes.clear();
        if let Some(delay) = &core.delay {
            self.held.send(delay, step, &mut self.spikes);
            self.load.looked_at += delay.looked_at();
        }
        let Some(neurons) = &core.neurons else { return };
        if step < neurons.start_step {
            self.empty_slots(neurons, step);
            return;
        }
        self.take_slots(neurons, step);
        let fraction = program.fraction_bits;
        match (program.product, neurons.kind.is_delta) {
            (Product::Truncated, false) => self.update_currents::<false>(neurons, fraction, step),
            (Product::Rounded, false) => self.update_currents::<true>(neurons, fraction, step),
            (Product::Truncated, true) => self.update_delta::<false>(neurons, fraction, step),
            (Product::Rounded, true) => self.update_delta::<true>(neurons, fraction, step),
        }
        self.load.updated += neurons.region.len() as u64;
        self.load.fired += self.spikes.len() as u64;
        for &neuron in &self.spikes {
            self.spike_counts[neuron as usize] += 1;
        }
    }

    fn empty_slots(&mut self, neurons: &NeuronProgram, step: u32) {
        let format = neurons.format;
        let first = format.ring_slot(step, 0, 0) as usize;
        self.ring[first..first + (1 << format.index_bits())].fill(0);
    }

    fn take_slots(&mut self, neurons: &NeuronProgram, step: u32) {
        let len = neurons.region.len();
        let mut held = [0; TYPES];
        for (kind, taken) in self.taken.iter_mut().enumerate() {
            let first = neurons.format.ring_slot(step, kind as u32, 0) as usize;
            let slots = &mut self.ring[first..first + len];
            let mut overfull = 0;
            for (taken, slot) in taken.iter_mut().zip(&mut *slots) {
                held[kind] += u64::from(*slot != 0);
                overfull += u64::from(*slot == SLOT_OVERFULL);
                *taken = (*slot).min(u16::MAX.into()) as u16;
            }
            if overfull > 0 {
                self.load.saturations += overfull;
                for neuron in
                    (0_u32..).zip(&*slots).filter(|(_, slot)| **slot == SLOT_OVERFULL).map(|(neuron, _)| neuron)
                {
                    self.saturations.note(step, neuron);
                }
            }
            slots.fill(0);
        }
        self.load.excitatory_slots += held[0];
        self.load.inhibitory_slots += held[1];
    }

    fn update_currents<const ROUNDED: bool>(&mut self, neurons: &NeuronProgram, fraction: u32, step: u32) {
        let region = &neurons.region;
        for (kind, region) in neurons.types.iter().enumerate().take(TYPES) {
            let shift = neurons.left_shifts[kind];
            let columns = self.taken[kind].iter().zip(&region.init).zip(&region.decay);
            for (((slot, init), decay), (g, driven)) in columns.zip(self.g[kind].iter_mut().zip(&mut self.driven[kind]))
            {
                let input = (u32::from(*slot) << shift) as i32;
                *driven = g.wrapping_add(part(input, *init));
                *g = part(*driven, *decay);
            }
        }
        for i in 0..region.len() {
            let v = self.v[i];
            let next = if self.refractory_left[i] <= 0 {
                let x = self.driven[0][i].wrapping_sub(self.driven[1][i]).wrapping_add(self.i_offset[i]);
                let goal = mul::<ROUNDED>(x, region.resistance[i], fraction).wrapping_add(region.v_rest[i]);
                goal.wrapping_sub(mul::<ROUNDED>(region.membrane_keep[i], goal.wrapping_sub(v), fraction))
            } else {
                self.load.refractory += 1;
                self.refractory_left[i] -= 1;
                v
            };
            self.fire(neurons, i, next, step);
        }
    }

    fn update_delta<const ROUNDED: bool>(&mut self, neurons: &NeuronProgram, fraction: u32, step: u32) {
        let region = &neurons.region;
        for i in 0..region.len() {
            for kind in 0..TYPES {
                self.driven[kind][i] = (u32::from(self.taken[kind][i]) << neurons.left_shifts[kind]) as i32;
            }
            let v = self.v[i];
            let next = if self.refractory_left[i] <= 0 {
                let (rest, keep) = (region.v_rest[i], region.membrane_keep[i]);
                let leaked = rest.wrapping_sub(mul::<ROUNDED>(keep, rest.wrapping_sub(v), fraction));
                let sum = i64::from(leaked) + i64::from(self.driven[0][i]) - i64::from(self.driven[1][i])
                    + i64::from(self.i_offset[i]);
                self.saturated(sum, i, step)
            } else {
                self.load.refractory += 1;
                self.refractory_left[i] -= 1;
                v
            };
            self.fire(neurons, i, next, step);
        }
    }

    /// A membrane, saturated; counted if it was.
    #[inline]
    fn saturated(&mut self, value: i64, neuron: usize, step: u32) -> i32 {
        let kept = saturate(value);
        if i64::from(kept) != value {
            self.load.membrane_saturations += 1;
            let side = if value > 0 { &mut self.membrane_high } else { &mut self.membrane_low };
            side.note(step, neuron as u32);
        }
        kept
    }

    /// Threshold, reset, refractory period.
    #[inline]
    fn fire(&mut self, neurons: &NeuronProgram, i: usize, v: i32, step: u32) {
        let region = &neurons.region;
        let threshold = region.v_threshold[i];
        if v < threshold || threshold == i32::MAX {
            self.v[i] = v;
            return;
        }
        self.v[i] = if neurons.kind.subtracts {
            let less = i64::from(threshold) - i64::from(region.v_reset[i]);
            self.saturated(i64::from(v) - less, i, step)
        } else {
            region.v_reset[i]
        };
        self.refractory_left[i] = region.refractory_steps[i];
        self.spikes.push(i as u32);
    }

    /// Adds the rows in the inbox to the ring buffers.
    pub(crate) fn deliver(&mut self, core: &CoreProgram, step: u32) {
        let Some(neurons) = &core.neurons else { return self.hold(core, step) };
        let format = neurons.format;
        let mask = (1_u32 << format.ring_bits()) - 1;
        let offset = (step & (format.slots() - 1)) << format.index_bits();
        for delivery in &self.inbox {
            self.load.packets_in += u64::from(delivery.is_first);
            if delivery.effect != Effect::Row {
                count_without_row(&mut self.load, delivery.effect);
                continue;
            }
            self.load.rows += 1;
            self.load.row_bytes += u64::from(delivery.row_words) * size_of::<u32>() as u64;
            self.load.synaptic_events += u64::from(delivery.synapses);
            let first = delivery.first_word as usize;
            for word in &neurons.words[first..first + usize::from(delivery.synapses)] {
                // What the delay carries beyond its field is cut by the mask.
                let at = word.wrapping_add(offset) & mask;
                let slot = &mut self.ring[at as usize];
                *slot = (*slot + (word >> u16::BITS)).min(SLOT_OVERFULL);
            }
        }
        self.inbox.clear();
    }

    /// What a delay extension does with its packets, and an injector, which gets none.
    fn hold(&mut self, core: &CoreProgram, step: u32) {
        let Some(delay) = &core.delay else { return };
        let inbox = std::mem::take(&mut self.inbox);
        for delivery in &inbox {
            self.load.packets_in += 1;
            count_without_row(&mut self.load, delivery.effect);
            if delivery.effect == Effect::Held {
                self.held.hold(delay, step, delivery.first_word);
            }
        }
        self.inbox = inbox;
        self.inbox.clear();
    }

    /// Adds rows to the ring buffers that were processed since the last update. What was counted of them is counted.
    pub(crate) fn take_in(&mut self, core: &CoreProgram) {
        let Some(neurons) = &core.neurons else { return };
        let format = neurons.format;
        let mask = (1_u32 << format.ring_bits()) - 1;
        for row in self.processed.drain(..) {
            let offset = (row.sent & (format.slots() - 1)) << format.index_bits();
            let first = row.first_word as usize;
            for word in &neurons.words[first..first + usize::from(row.synapses)] {
                if row.late == 0 || format.decode(*word).delay > row.late {
                    let slot = &mut self.ring[(word.wrapping_add(offset) & mask) as usize];
                    *slot = (*slot + (word >> u16::BITS)).min(SLOT_OVERFULL);
                }
            }
        }
    }

    /// Currents of a neuron in this step and its membrane after it.
    pub(crate) fn u_and_v(&self, neuron: u32) -> (i64, i64) {
        let at = neuron as usize;
        (i64::from(self.driven[0][at]) - i64::from(self.driven[1][at]), i64::from(self.v[at]))
    }
}
