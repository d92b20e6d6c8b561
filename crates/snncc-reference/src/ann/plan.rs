//! Which buffer holds which value, and the run of a chunk of samples through the network.
//!
//! **Invariant:** a buffer is given to another value only after the last reader of the one in it has run; a value that
//! overwrites its input is the last reader of that.

use super::kernel::{Kernel, Prepared};
use snncc_ids::{AnnNodeId, Diagnostic, Diagnostics, IdVec, code};
use snncc_ir::ann::{Ann, AnnNode, element_count};

/// Most `f32` values of one sample that the buffers may hold together: 1 GiB.
const LARGEST_ELEMENTS: usize = 1 << 28;

/// The kernels of a network in order, and where their values live.
#[derive(Debug)]
pub(super) struct Plan {
    steps: IdVec<AnnNodeId, Step>,
    /// Elements of a sample that each buffer has room for.
    slots: Vec<usize>,
    ports: Vec<usize>,
}

/// A node in the plan.
#[derive(Debug)]
pub(super) struct Step {
    kernel: Kernel,
    /// In the order of the kernel.
    inputs: Vec<AnnNodeId>,
    place: Place,
    /// Elements of the value in one sample.
    pub(super) elements: usize,
}

/// Where a value lives.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Port(usize),
    Slot(usize),
}

/// What a chunk runs on: some samples of the whole input.
pub(super) struct Operand<'a> {
    pub(super) input: &'a [&'a [f32]],
    pub(super) first: usize,
    pub(super) samples: usize,
}

/// Buffers of one thread; they grow when first used.
#[derive(Default)]
pub(super) struct Workspace {
    slots: Vec<Vec<f32>>,
    scratch: Vec<f32>,
}

impl Plan {
    /// Prepares all nodes and gives out buffers.
    ///
    /// # Errors
    /// A diagnostic for every node that cannot be executed.
    pub(super) fn new(ann: &Ann) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut prepared: Vec<(Prepared, usize)> = Vec::new();
        let mut ports = Vec::new();
        for (id, node) in ann.nodes().iter_with_ids() {
            let inputs: Vec<&[usize]> = node.inputs.iter().map(|id| &ann.nodes()[*id].shape[..]).collect();
            // What reads a value too large is not prepared, for that may take as much memory; it is not at fault.
            if inputs.iter().any(|shape| checked_elements(shape).is_err()) {
                continue;
            }
            match prepare(node, &inputs, &mut ports) {
                Ok(kernel) => prepared.push(kernel),
                Err(reason) => problems.push(cannot_execute(ann, id, &reason)),
            }
        }
        if problems.has_errors() {
            return Err(problems);
        }
        let plan = Self::place(ann, prepared, ports);
        let elements = plan.elements_at_once();
        if elements > LARGEST_ELEMENTS {
            return Err(Diagnostic::error(
                code::UNSUPPORTED_LAYER,
                format!(
                    "the network cannot be executed: {elements} values are alive at a time, at most {LARGEST_ELEMENTS} may be"
                ),
            )
            .into());
        }
        Ok(plan)
    }

    fn place(ann: &Ann, prepared: Vec<(Prepared, usize)>, ports: Vec<usize>) -> Self {
        let nodes = ann.nodes();
        // The node that made the value which a node shows, and the last that reads it.
        let mut makers: IdVec<AnnNodeId, AnnNodeId> = IdVec::new();
        let mut last_readers: IdVec<AnnNodeId, AnnNodeId> = IdVec::new();
        for ((id, node), (prepared, _)) in nodes.iter_with_ids().zip(&prepared) {
            makers.push(if matches!(prepared.kernel, Kernel::Alias) { makers[node.inputs[0]] } else { id });
            last_readers.push(id);
            node.inputs.iter().for_each(|input| last_readers[makers[*input]] = id);
        }
        let mut slots = Slots::default();
        let mut steps: IdVec<AnnNodeId, Step> = IdVec::new();
        for ((id, node), (Prepared { kernel, swapped }, elements)) in nodes.iter_with_ids().zip(prepared) {
            let mut inputs = node.inputs.clone();
            if swapped {
                inputs.reverse();
            }
            let ends_here = |maker: AnnNodeId| last_readers[maker] == id;
            let mut reused = None;
            let place = match &kernel {
                Kernel::Input { port } => Place::Port(*port),
                Kernel::Alias => steps[inputs[0]].place,
                Kernel::Over(_) => {
                    let maker = makers[inputs[0]];
                    let again = inputs[1..].iter().any(|other| makers[*other] == maker);
                    match steps[maker].place {
                        Place::Slot(slot) if ends_here(maker) && !again => {
                            reused = Some(maker);
                            Place::Slot(slot)
                        }
                        _ => Place::Slot(slots.take(elements)),
                    }
                }
                Kernel::Apart(_) => Place::Slot(slots.take(elements)),
            };
            steps.push(Step { kernel, inputs, place, elements });
            // Free what is read for the last time, once even where it is read twice.
            let mut ended: Vec<AnnNodeId> =
                node.inputs.iter().map(|input| makers[*input]).chain([makers[id]]).collect();
            ended.sort_unstable();
            ended.dedup();
            for maker in ended {
                if let Place::Slot(slot) = steps[maker].place
                    && ends_here(maker)
                    && reused != Some(maker)
                {
                    slots.free.push(slot);
                }
            }
        }
        Self { steps, slots: slots.sizes, ports }
    }

    pub(super) fn steps(&self) -> &IdVec<AnnNodeId, Step> {
        &self.steps
    }

    pub(super) fn port_elements(&self) -> &[usize] {
        &self.ports
    }

    /// Elements of a sample that are held at a time, input included.
    pub(super) fn elements_at_once(&self) -> usize {
        self.slots.iter().chain(&self.ports).fold(0, |sum, elements| sum.saturating_add(*elements))
    }

    /// Elements of a workspace for chunks of this many samples.
    pub(super) fn buffer_elements(&self, samples: usize) -> usize {
        let slots = self.slots.iter().fold(0_usize, |sum, elements| sum.saturating_add(*elements));
        slots.saturating_mul(samples).saturating_add(self.scratch_elements(samples))
    }

    fn scratch_elements(&self, samples: usize) -> usize {
        self.steps.iter().map(|step| step.kernel.scratch_elements(samples)).max().unwrap_or(0)
    }

    /// Runs some samples; `adjust` may change the value of each node that has a buffer of its own, `observe` sees every value
    /// as soon as it is there.
    pub(super) fn run(
        &self,
        operand: &Operand<'_>,
        workspace: &mut Workspace,
        adjust: &mut dyn FnMut(AnnNodeId, &mut [f32]),
        observe: &mut dyn FnMut(AnnNodeId, &[f32]),
    ) {
        let samples = operand.samples;
        workspace.reserve(&self.slots, self.scratch_elements(samples), samples);
        let Workspace { slots, scratch } = workspace;
        for (id, step) in self.steps.iter_with_ids() {
            if let (Place::Slot(slot), Kernel::Over(_) | Kernel::Apart(_)) = (step.place, &step.kernel) {
                // Taken out, so that it can be written while the others are read.
                let mut buffer = std::mem::take(&mut slots[slot]);
                let y = &mut buffer[..step.elements * samples];
                let x = |input: usize| self.value(step.inputs[input], operand, slots);
                match &step.kernel {
                    Kernel::Over(kernel) => {
                        if self.steps[step.inputs[0]].place != step.place {
                            y.copy_from_slice(x(0));
                        }
                        kernel.run(x, y);
                    }
                    Kernel::Apart(kernel) => kernel.run(x, y, scratch),
                    Kernel::Input { .. } | Kernel::Alias => unreachable!("bug in snncc: they have no buffer"),
                }
                adjust(id, y);
                slots[slot] = buffer;
            }
            observe(id, self.value(id, operand, slots));
        }
    }

    fn value<'a>(&self, id: AnnNodeId, operand: &Operand<'a>, slots: &'a [Vec<f32>]) -> &'a [f32] {
        let step = &self.steps[id];
        let len = step.elements * operand.samples;
        match step.place {
            Place::Port(port) => &operand.input[port][operand.first * step.elements..][..len],
            Place::Slot(slot) => &slots[slot][..len],
        }
    }
}

/// The kernel of a node and the elements of its value; the elements of an input port go to `ports`.
fn prepare(node: &AnnNode, inputs: &[&[usize]], ports: &mut Vec<usize>) -> Result<(Prepared, usize), String> {
    let elements = checked_elements(&node.shape)?;
    let prepared = Kernel::prepare(node, inputs, ports.len())?;
    if matches!(prepared.kernel, Kernel::Input { .. }) {
        ports.push(elements);
    }
    match prepared.kernel.scratch_elements(1) <= LARGEST_ELEMENTS {
        true => Ok((prepared, elements)),
        false => Err("its kernel is too large".into()),
    }
}

fn checked_elements(shape: &[usize]) -> Result<usize, String> {
    element_count(shape).filter(|elements| *elements <= LARGEST_ELEMENTS).ok_or_else(|| {
        format!("its value of shape {shape:?} has more than the {LARGEST_ELEMENTS} elements that a layer may have")
    })
}

fn cannot_execute(ann: &Ann, id: AnnNodeId, reason: &str) -> Diagnostic {
    let name = &ann.nodes()[id].name;
    Diagnostic::error(code::UNSUPPORTED_LAYER, format!("layer `{name}` cannot be executed: {reason}")).at(ann.item(id))
}

/// Buffers while they are given out.
#[derive(Default)]
struct Slots {
    sizes: Vec<usize>,
    free: Vec<usize>,
}

impl Slots {
    /// The smallest free buffer that has room, else the largest, which grows, else a new one.
    fn take(&mut self, elements: usize) -> usize {
        let fit = |slot: &usize| {
            let size = self.sizes[*slot];
            if size >= elements { (0, size) } else { (1, usize::MAX - size) }
        };
        match (0..self.free.len()).min_by_key(|position| fit(&self.free[*position])) {
            Some(position) => {
                let slot = self.free.swap_remove(position);
                self.sizes[slot] = self.sizes[slot].max(elements);
                slot
            }
            None => {
                self.sizes.push(elements);
                self.sizes.len() - 1
            }
        }
    }
}

impl Workspace {
    fn reserve(&mut self, slots: &[usize], scratch: usize, samples: usize) {
        self.slots.resize_with(slots.len(), Vec::new);
        let grow = |buffer: &mut Vec<f32>, len: usize| {
            if buffer.len() < len {
                *buffer = vec![0.0; len];
            }
        };
        self.slots.iter_mut().zip(slots).for_each(|(buffer, elements)| grow(buffer, elements * samples));
        grow(&mut self.scratch, scratch);
    }
}
