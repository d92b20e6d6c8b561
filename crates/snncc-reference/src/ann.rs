//! Executes a trained [`Ann`] in `f32`: the ground truth of a conversion, and the source of its activation statistics.
//!
//! A network is prepared once: every node becomes a kernel, and a plan gives its value a buffer that is used again as soon as
//! its last reader has run; functions of single elements overwrite their input. Samples go through the network in chunks whose
//! size depends on the network alone, so that a chunk's values stay in the cache; chunks run in parallel.
//!
//! **Invariant:** the result of a sample depends neither on the samples around it nor on the number of threads: a matrix
//! product adds up each of its elements in one fixed order.

mod axis;
mod convolution;
mod elementwise;
mod kernel;
mod layout;
mod linear;
mod matrix;
mod plan;
mod pool;
#[cfg(test)]
mod tests;

use plan::{Operand, Plan, Workspace};
use rayon::prelude::*;
use snncc_ids::{AnnNodeId, Diagnostics};
use snncc_ir::ann::Ann;
use std::sync::Mutex;

/// `f32` values of a chunk that are meant to be alive at a time: 2 MiB, about the second-level cache of one or two cores.
const CHUNK_ELEMENTS: usize = 1 << 19;

/// Most samples of a chunk. Fully connected networks gain little beyond: the weights are reread once per chunk.
const CHUNK_SAMPLES: usize = 128;

/// A network, ready to run. Its weights are those of the [`Ann`], shared and not copied; a weight that is filled with one value
/// is never expanded.
#[derive(Debug)]
pub struct AnnExecutor {
    plan: Plan,
    outputs: Vec<AnnNodeId>,
    chunk_samples: usize,
}

impl AnnExecutor {
    /// Prepares a network.
    ///
    /// # Errors
    /// `SNN0301` for every node that cannot be executed: operators that are unsupported, and values beyond any memory.
    pub fn new(ann: &Ann) -> Result<Self, Diagnostics> {
        let plan = Plan::new(ann)?;
        let chunk_samples = (CHUNK_ELEMENTS / plan.elements_at_once().max(1)).clamp(1, CHUNK_SAMPLES);
        Ok(Self { plan, outputs: ann.outputs.iter().map(|(_, id)| *id).collect(), chunk_samples })
    }

    /// Samples that go through the network together. Depends on the network alone.
    pub fn chunk_samples(&self) -> usize {
        self.chunk_samples
    }

    /// Bytes of buffers for values that a thread needs, inputs aside.
    pub fn buffer_bytes(&self) -> usize {
        self.plan.buffer_elements(self.chunk_samples).saturating_mul(size_of::<f32>())
    }

    /// Elements of one sample of an input port, in the order of [`Ann::inputs`].
    pub fn input_elements(&self) -> &[usize] {
        self.plan.port_elements()
    }

    /// Elements of a node's value in one sample.
    pub fn elements(&self, id: AnnNodeId) -> usize {
        self.plan.steps()[id].elements
    }

    /// Runs `samples` samples, chunk after chunk. `input` has a slice per input port, sample after sample. `observe` sees the
    /// value of every node `(samples of the chunk, elements)` in topological order, for each chunk in turn; a chunk has
    /// [`Self::chunk_samples`] samples, the last one perhaps fewer. On one thread; [`Self::map_reduce`] uses all.
    ///
    /// # Panics
    /// If the lengths of `input` are not `samples` times [`Self::input_elements`].
    pub fn run(&self, input: &[&[f32]], samples: usize, observe: &mut dyn FnMut(AnnNodeId, &[f32])) {
        self.run_adjusted(input, samples, &mut |_, _| (), observe);
    }

    /// As [`Self::run`], but `adjust` may change the value of a node before anything reads it. It is called for all nodes but
    /// inputs and those that show the value of another under a new shape ([`Reshape`](snncc_ir::ann::AnnOp::Reshape),
    /// [`Identity`](snncc_ir::ann::AnnOp::Identity)).
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn run_adjusted(
        &self,
        input: &[&[f32]],
        samples: usize,
        adjust: &mut dyn FnMut(AnnNodeId, &mut [f32]),
        observe: &mut dyn FnMut(AnnNodeId, &[f32]),
    ) {
        self.check_input(input, samples);
        let mut workspace = Workspace::default();
        for first in (0..samples).step_by(self.chunk_samples) {
            self.run_chunk(input, first, samples, &mut workspace, adjust, observe);
        }
    }

    /// The values of the network's outputs, each `(samples, elements)`, in the order of [`Ann::outputs`]. In parallel.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn outputs(&self, input: &[&[f32]], samples: usize) -> Vec<Vec<f32>> {
        let mut outputs: Vec<Vec<f32>> =
            self.outputs.iter().map(|id| Vec::with_capacity(samples * self.elements(*id))).collect();
        let make = || vec![Vec::new(); self.outputs.len()];
        let visit = |values: &mut Vec<Vec<f32>>, node: AnnNodeId, _: usize, value: &[f32]| {
            for (values, output) in values.iter_mut().zip(&self.outputs) {
                if *output == node {
                    values.extend_from_slice(value);
                }
            }
        };
        self.map_reduce(input, samples, make, visit, |values| {
            outputs.iter_mut().zip(values).for_each(|(output, values)| output.extend(values));
        });
        outputs
    }

    /// Runs chunks of samples in parallel and merges what was made of each in the order of the samples: `make` starts a
    /// chunk, `visit` sees the value of every node `(samples of the chunk, elements)` in topological order with the number of
    /// the chunk's first sample, and `merge` gets the chunks one after the other. The result does not depend on the number of
    /// threads; not many more chunks than threads are kept at a time.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn map_reduce<A: Send>(
        &self,
        input: &[&[f32]],
        samples: usize,
        make: impl Fn() -> A + Sync,
        visit: impl Fn(&mut A, AnnNodeId, usize, &[f32]) + Sync,
        mut merge: impl FnMut(A),
    ) {
        self.check_input(input, samples);
        let spare: Mutex<Vec<Workspace>> = Mutex::default();
        let run = |chunk: usize| {
            let spare_now = || spare.lock().expect("bug in snncc: a chunk panicked");
            let mut workspace = spare_now().pop().unwrap_or_default();
            let (mut made, first) = (make(), chunk * self.chunk_samples);
            self.run_chunk(input, first, samples, &mut workspace, &mut |_, _| (), &mut |node, value| {
                visit(&mut made, node, first, value);
            });
            spare_now().push(workspace);
            made
        };
        let chunks = samples.div_ceil(self.chunk_samples);
        // Enough chunks at a time that threads seldom wait for the slowest, few enough to hold.
        let at_once = rayon::current_num_threads() * 8;
        for start in (0..chunks).step_by(at_once) {
            let end = chunks.min(start + at_once);
            let made: Vec<A> = (start..end).into_par_iter().with_max_len(1).map(run).collect();
            made.into_iter().for_each(&mut merge);
        }
    }

    fn run_chunk(
        &self,
        input: &[&[f32]],
        first: usize,
        samples: usize,
        workspace: &mut Workspace,
        adjust: &mut dyn FnMut(AnnNodeId, &mut [f32]),
        observe: &mut dyn FnMut(AnnNodeId, &[f32]),
    ) {
        let samples = self.chunk_samples.min(samples - first);
        self.plan.run(&Operand { input, first, samples }, workspace, adjust, observe);
    }

    fn check_input(&self, input: &[&[f32]], samples: usize) {
        let needed = self.input_elements();
        assert!(
            input.len() == needed.len() && input.iter().zip(needed).all(|(port, len)| port.len() == samples * len),
            "bug in snncc: {samples} samples need {needed:?} values each, the ports have {:?} in all",
            input.iter().map(|port| port.len()).collect::<Vec<_>>()
        );
    }
}
