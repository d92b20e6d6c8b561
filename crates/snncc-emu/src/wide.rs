//! The general path: one compartment at a time in 64 bits, every rule of docs/CHIP_SEMANTICS.md.

use crate::core::Outcome;
use crate::program::{CoreProgram, WideNeurons};
use crate::synapses::Planes;
use snncc_chip::UpdateRule;
use snncc_image::NoiseTarget;

/// State of a wide core.
#[derive(Clone, Debug)]
pub(crate) struct WideState {
    pub(crate) u: Vec<i64>,
    pub(crate) v: Vec<i64>,
    pub(crate) bias: Vec<i64>,
    pub(crate) refractory: Vec<u32>,
    pub(crate) planes: Planes<i64>,
    /// Whether each config clears its compartments in this step.
    clears: Vec<bool>,
}

impl WideState {
    pub(crate) fn new(program: &CoreProgram, neurons: &WideNeurons) -> Self {
        let len = program.compartments;
        Self {
            u: vec![0; len],
            v: vec![0; len],
            bias: vec![0; len],
            refractory: vec![0; len],
            planes: Planes::new(program.synapses.planes, len),
            clears: vec![false; neurons.configs.len()],
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
    pub(crate) fn update(&mut self, program: &CoreProgram, neurons: &WideNeurons, step: u32, outcome: &mut Outcome) {
        let rules = program.rules;
        let count_bits = program.synapses.count_bits;
        for (clears, config) in self.clears.iter_mut().zip(&neurons.configs) {
            *clears = config.periodic.is_some_and(|(interval, offset)| step % interval == offset);
        }
        let samples =
            neurons.noise.as_ref().and_then(|(target, samples)| Some((*target, samples.get(step as usize - 1)?)));
        let u_counts = if program.updated == UpdateRule::ActiveVoltage { 0 } else { -1 };
        let plane = self.planes.of_step(u64::from(step));
        for i in 0..program.compartments {
            let config_index = neurons.config[i] as usize;
            let config = &neurons.configs[config_index];
            let arrived = std::mem::take(&mut plane[i]);
            let (mut u, mut v, bias) = (self.u[i], self.v[i], self.bias[i]);
            outcome.updated += u64::from((u & u_counts) | v | bias | arrived != 0);
            if self.clears[config_index] {
                (u, v) = (0, 0);
            }
            let mut input = (arrived >> count_bits) << rules.weight_shift;
            let mut membrane_noise = 0;
            if let Some((target, samples)) = samples {
                match target {
                    NoiseTarget::Dendrite => input += i64::from(samples[i]),
                    NoiseTarget::Membrane => membrane_noise = i64::from(samples[i]),
                }
            }
            let integrated = rules.integrate((u, v), (config.ku, config.kv), input, bias, membrane_noise);
            if integrated.left != 0 {
                outcome.overflows.note(integrated.left, step, i as u32);
            }
            v = if self.refractory[i] > 0 { 0 } else { integrated.v };
            let spike = if v > neurons.threshold[i] {
                1
            } else if config.ternary && v < neurons.lower_threshold[i] {
                -1
            } else {
                0
            };
            if spike != 0 {
                v = 0;
                self.refractory[i] = config.refractory;
                outcome.spikes.push((i as u32, spike));
                if outcome.tracks_updates {
                    outcome.updated_by.push(outcome.updated as u32);
                }
            }
            self.refractory[i] = self.refractory[i].saturating_sub(1);
            (self.u[i], self.v[i]) = (integrated.u, v);
        }
    }
}
