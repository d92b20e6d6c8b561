//! Delay extensions: spikes of another core are held and sent again, stage by stage.
//!
//! A ring of bits holds the spikes of the last `stages · stage_steps` steps, all that any stage still needs. In step `t`, before
//! spikes of `t` come, stage `s` sends the spikes of step `t − s · stage_steps`; the last stage frees the place for those of `t`.

use snncc_image::spinnaker::DelayExtension;

/// Spikes held in a word.
const WORD: u32 = u64::BITS;

/// What a delay extension does.
#[derive(Clone, Debug)]
pub(crate) struct DelayProgram {
    neurons: u32,
    stages: u32,
    stage_steps: u32,
    /// For each source whether it is sent.
    sent: Vec<bool>,
}

impl DelayProgram {
    pub(crate) fn new(image: &DelayExtension) -> Self {
        Self {
            neurons: image.neurons,
            stages: image.stages,
            stage_steps: image.stage_steps,
            sent: (0..image.sources()).map(|source| image.sends(source)).collect(),
        }
    }

    /// Steps whose spikes are held.
    pub(crate) fn steps(&self) -> u32 {
        self.stages.saturating_mul(self.stage_steps)
    }

    /// Stages that a spike misses which comes so many steps late.
    pub(crate) fn stages_before(&self, late: u32) -> u64 {
        u64::from((late / self.stage_steps.max(1)).min(self.stages))
    }

    fn words(&self) -> usize {
        self.neurons.div_ceil(WORD) as usize
    }

    /// Words of bits that are looked at in each step, 32 neurons of a stage in each.
    pub(crate) fn looked_at(&self) -> u64 {
        u64::from(self.stages) * u64::from(self.neurons.div_ceil(u32::BITS))
    }
}

/// Spikes that are held.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    bits: Vec<u64>,
}

impl Held {
    pub(crate) fn reset(&mut self, program: &DelayProgram) {
        self.bits.clear();
        self.bits.resize(program.steps() as usize * program.words(), 0);
    }

    /// Appends the sources that a step sends, ascending, and makes room for the spikes of the step.
    pub(crate) fn send(&mut self, program: &DelayProgram, step: u32, sources: &mut Vec<u32>) {
        for stage in 1..=program.stages {
            let Some(then) = step.checked_sub(stage * program.stage_steps) else { break };
            let first = (stage - 1) * program.neurons;
            for (at, word) in (0_u32..).zip(self.step(program, then)) {
                let mut rest = *word;
                while rest != 0 {
                    let source = first + at * WORD + rest.trailing_zeros();
                    if program.sent[source as usize] {
                        sources.push(source);
                    }
                    rest &= rest - 1;
                }
            }
        }
        self.step(program, step).fill(0);
    }

    /// Holds a spike of a step.
    pub(crate) fn hold(&mut self, program: &DelayProgram, step: u32, neuron: u32) {
        self.step(program, step)[(neuron / WORD) as usize] |= 1 << (neuron % WORD);
    }

    fn step(&mut self, program: &DelayProgram, step: u32) -> &mut [u64] {
        let first = step as usize % program.steps() as usize * program.words();
        &mut self.bits[first..first + program.words()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_send_what_is_read_of_them() {
        // Two stages of three steps for two neurons; nothing reads stage 1 of neuron 0.
        let image = DelayExtension {
            key: 0,
            mask: u32::MAX << 8,
            colour_bits: 4,
            first: 0,
            neurons: 2,
            stages: 2,
            stage_steps: 3,
            sent: vec![0b1110],
        };
        let program = DelayProgram::new(&image);
        let mut held = Held::default();
        held.reset(&program);
        let mut sent = Vec::new();
        for step in 1..=9 {
            let mut sources = Vec::new();
            held.send(&program, step, &mut sources);
            sent.extend(sources.into_iter().map(|source| (step, source)));
            for (at, neuron) in [(1, 0), (1, 1), (3, 0), (4, 1)] {
                if at == step {
                    held.hold(&program, step, neuron);
                }
            }
        }
        // Sources 2 and 3 are stage 2.
        assert_eq!(sent, [(4, 1), (7, 1), (7, 2), (7, 3), (9, 2)]);
    }
}
