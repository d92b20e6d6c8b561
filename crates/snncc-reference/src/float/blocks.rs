//! Neurons updated many at a time, without branches: the rule of [`Group`] for groups without refractory period and with
//! one of NIR's resets.
//!
//! A block has as many neurons as a word has bits. Who fired is marked by a comparison and an "or" of whole vectors, each
//! neuron with its own bit; the words of all lanes together are the list of the block.
//!
//! Neurons with the same input in every step are updated many steps ahead ([`steps_ahead`]), so that a membrane does not
//! leave its register; then the bits of a neuron's word are steps.

use super::kernels::LANES;
use super::neurons::{Extremes, Group, GroupState, Parameter};
use pulp::{Simd, WithSimd};
use snncc_ir::network::Reset;

/// Neurons of a block, and most steps ahead.
pub(super) const LEN: usize = 64;

/// Vectors updated together when steps are taken ahead: enough to keep the machine busy while each waits for its own step.
const VECTORS_AHEAD: usize = 4;

/// No host bias.
static ZEROS: [f64; LEN] = [0.0; LEN];
/// The bit of each neuron of a block.
static BITS: [u64; LEN] = {
    let mut bits = [0; LEN];
    let mut neuron = 0;
    while neuron < LEN {
        bits[neuron] = 1 << neuron;
        neuron += 1;
    }
    bits
};

/// Updates all neurons but for those after the last whole vectors, and appends those that fired. Returns how many were
/// updated.
pub(super) fn step(
    arch: pulp::Arch,
    group: &Group,
    x: &[f64],
    host_bias: Option<&[f64]>,
    state: &mut GroupState,
    fired: &mut Vec<u32>,
) -> usize {
    dispatch(arch, group, x, host_bias, state, Fired::Step(fired))
}

/// Updates all neurons but for those after the last whole vector once for each list of `fired` (at most [`LEN`]) with the same
/// input, and appends to each list who fired in that step. Returns how many were updated.
pub(super) fn steps_ahead(
    arch: pulp::Arch,
    group: &Group,
    x: &[f64],
    host_bias: Option<&[f64]>,
    state: &mut GroupState,
    fired: &mut [Vec<u32>],
) -> usize {
    dispatch(arch, group, x, host_bias, state, Fired::Steps(fired))
}

fn dispatch(
    arch: pulp::Arch,
    group: &Group,
    x: &[f64],
    host_bias: Option<&[f64]>,
    state: &mut GroupState,
    fired: Fired<'_>,
) -> usize {
    let GroupState { v, i, extremes, .. } = state;
    let mut lanes = extremes.map(LaneExtremes::new);
    let update = Update { group, x, host_bias, v, i, extremes: lanes.as_mut(), fired };
    let updated = arch.dispatch(update);
    if let (Some(extremes), Some(lanes)) = (extremes, lanes) {
        *extremes = lanes.all();
    }
    updated
}

/// Where spikes go.
enum Fired<'a> {
    Step(&'a mut Vec<u32>),
    /// One list for each step ahead.
    Steps(&'a mut [Vec<u32>]),
}

/// Extremes lane by lane.
struct LaneExtremes {
    input_max: [f64; LANES],
    v_min: [f64; LANES],
    v_max: [f64; LANES],
}

impl LaneExtremes {
    fn new(extremes: Extremes) -> Self {
        let Extremes { input_max, v_min, v_max } = extremes;
        Self { input_max: [input_max; LANES], v_min: [v_min; LANES], v_max: [v_max; LANES] }
    }

    /// Sees the inputs and membranes of vector `part` of a row.
    #[inline(always)]
    fn see<S: Simd>(&mut self, simd: S, part: usize, x: S::f64s, v: S::f64s) {
        let input_max = &mut S::as_mut_simd_f64s(&mut self.input_max).0[part];
        *input_max = simd.max_f64s(simd.abs_f64s(x), *input_max);
        let v_min = &mut S::as_mut_simd_f64s(&mut self.v_min).0[part];
        *v_min = simd.min_f64s(v, *v_min);
        let v_max = &mut S::as_mut_simd_f64s(&mut self.v_max).0[part];
        *v_max = simd.max_f64s(v, *v_max);
    }

    fn all(&self) -> Extremes {
        let mut all = Extremes::NONE;
        for lane in 0..LANES {
            all.input_max = all.input_max.max(self.input_max[lane]);
            all.v_min = all.v_min.min(self.v_min[lane]);
            all.v_max = all.v_max.max(self.v_max[lane]);
        }
        all
    }
}

/// How the membrane takes its input.
const INTEGRATES: u8 = 0;
const LEAKS: u8 = 1;
const FILTERS: u8 = 2;
/// What happens above the threshold.
const NOTHING: u8 = 0;
const TO_VALUE: u8 = 1;
const SUBTRACTS: u8 = 2;

/// What else holds: extremes are asked for; all neurons have the same parameters, and there is no host bias; neither.
const OBSERVED: u8 = 0;
const UNIFORM: u8 = 1;
const GENERAL: u8 = 2;

struct Update<'a> {
    group: &'a Group,
    x: &'a [f64],
    host_bias: Option<&'a [f64]>,
    v: &'a mut [f64],
    i: &'a mut [f64],
    extremes: Option<&'a mut LaneExtremes>,
    fired: Fired<'a>,
}

impl WithSimd for Update<'_> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let model = self.group.model;
        match (model.filters(), model.leaks()) {
            (true, _) => self.of_model::<S, FILTERS>(simd),
            (_, true) => self.of_model::<S, LEAKS>(simd),
            _ => self.of_model::<S, INTEGRATES>(simd),
        }
    }
}

impl Update<'_> {
    #[inline(always)]
    fn of_model<S: Simd, const MODEL: u8>(self, simd: S) -> usize {
        match self.group.reset {
            _ if !self.group.model.spikes() => self.of_reset::<S, MODEL, NOTHING>(simd),
            Reset::ToValue => self.of_reset::<S, MODEL, TO_VALUE>(simd),
            Reset::BySubtraction => self.of_reset::<S, MODEL, SUBTRACTS>(simd),
            Reset::SnntorchSubtract => unreachable!("bug in snncc: this reset is not updated in blocks"),
        }
    }

    #[inline(always)]
    fn of_reset<S: Simd, const MODEL: u8, const RESET: u8>(self, simd: S) -> usize {
        let uniform = self.group.is_uniform() && self.host_bias.is_none();
        match self.extremes {
            Some(_) => self.run::<S, MODEL, RESET, OBSERVED>(simd),
            // The most frequent groups by far.
            None if uniform && MODEL != FILTERS && RESET != NOTHING => self.run::<S, MODEL, RESET, UNIFORM>(simd),
            None => self.run::<S, MODEL, RESET, GENERAL>(simd),
        }
    }

    #[inline(always)]
    fn run<S: Simd, const MODEL: u8, const RESET: u8, const CASE: u8>(mut self, simd: S) -> usize {
        let len = self.v.len();
        let mut first = 0;
        match std::mem::replace(&mut self.fired, Fired::Steps(&mut [])) {
            Fired::Step(fired) => {
                while len - first >= LEN {
                    append(fired, first, self.block::<S, MODEL, RESET, CASE, LEN>(simd, first));
                    first += LEN;
                }
                while len - first >= LANES {
                    append(fired, first, self.block::<S, MODEL, RESET, CASE, LANES>(simd, first));
                    first += LANES;
                }
            }
            Fired::Steps(fired) => {
                while len - first >= VECTORS_AHEAD * S::F64_LANES {
                    self.ahead::<S, MODEL, RESET, CASE, VECTORS_AHEAD>(simd, first, fired);
                    first += VECTORS_AHEAD * S::F64_LANES;
                }
                while len - first >= S::F64_LANES {
                    self.ahead::<S, MODEL, RESET, CASE, 1>(simd, first, fired);
                    first += S::F64_LANES;
                }
            }
        }
        first
    }

    /// Updates `VECTORS` vectors of neurons from `first` on, once for each list of `fired`.
    #[inline(always)]
    fn ahead<S: Simd, const MODEL: u8, const RESET: u8, const CASE: u8, const VECTORS: usize>(
        &mut self,
        simd: S,
        first: usize,
        fired: &mut [Vec<u32>],
    ) {
        let range = first..first + VECTORS * S::F64_LANES;
        let rule = Rule::<S, CASE>::new(self.group, self.host_bias, simd, range.clone());
        let x = vectors::<S>(&self.x[range.clone()]);
        let v = S::as_mut_simd_f64s(&mut self.v[range.clone()]).0;
        let i = S::as_mut_simd_f64s(if MODEL == FILTERS { &mut self.i[range] } else { &mut [] }).0;
        let none = simd.splat_u64s(0);
        let mut membranes = [simd.splat_f64s(0.0); VECTORS];
        let mut currents = membranes;
        let mut marks = [none; VECTORS];
        membranes.copy_from_slice(v);
        if MODEL == FILTERS {
            currents.copy_from_slice(i);
        }
        for step in 0..fired.len().min(LEN) {
            let mark = simd.splat_u64s(1 << step);
            for n in 0..VECTORS {
                let after = rule.updated::<MODEL>(simd, n, x[n], membranes[n], &mut currents[n]);
                if CASE == OBSERVED
                    && let Some(extremes) = &mut self.extremes
                {
                    extremes.see(simd, n % (LANES / S::F64_LANES), x[n], after);
                }
                let (fired, reset) = rule.reset::<RESET>(simd, n, after);
                membranes[n] = reset;
                marks[n] = simd.or_u64s(marks[n], simd.select_u64s(fired, mark, none));
            }
        }
        v.copy_from_slice(&membranes);
        if MODEL == FILTERS {
            i.copy_from_slice(&currents);
        }
        let mut words = [0_u64; VECTORS_AHEAD * LANES];
        S::as_mut_simd_u64s(&mut words).0[..VECTORS].copy_from_slice(&marks);
        for (neuron, mut marks) in words[..VECTORS * S::F64_LANES].iter().copied().enumerate() {
            while marks != 0 {
                fired[marks.trailing_zeros() as usize].push((first + neuron) as u32);
                marks &= marks - 1;
            }
        }
    }

    /// Updates `COUNT` neurons from `first` on. Bit `n` of the result tells whether neuron `first + n` fired.
    #[inline(always)]
    fn block<S: Simd, const MODEL: u8, const RESET: u8, const CASE: u8, const COUNT: usize>(
        &mut self,
        simd: S,
        first: usize,
    ) -> u64 {
        let range = first..first + COUNT;
        let rule = Rule::<S, CASE>::new(self.group, self.host_bias, simd, range.clone());
        let x = vectors::<S>(&self.x[range.clone()]);
        let v = S::as_mut_simd_f64s(&mut self.v[range.clone()]).0;
        let i = S::as_mut_simd_f64s(if MODEL == FILTERS { &mut self.i[range] } else { &mut [] }).0;
        let bits = S::as_simd_u64s(&BITS).0;
        let none = simd.splat_u64s(0);
        let mut marks = none;
        for n in 0..COUNT / S::F64_LANES {
            let mut current = if MODEL == FILTERS { i[n] } else { simd.splat_f64s(0.0) };
            let after = rule.updated::<MODEL>(simd, n, x[n], v[n], &mut current);
            if MODEL == FILTERS {
                i[n] = current;
            }
            if CASE == OBSERVED
                && let Some(extremes) = &mut self.extremes
            {
                extremes.see(simd, n % (LANES / S::F64_LANES), x[n], after);
            }
            v[n] = if RESET == NOTHING {
                after
            } else {
                let (fired, reset) = rule.reset::<RESET>(simd, n, after);
                marks = simd.or_u64s(marks, simd.select_u64s(fired, bits[n], none));
                reset
            };
        }
        let mut words = [0; LANES];
        S::as_mut_simd_u64s(&mut words).0[0] = marks;
        words.iter().fold(0, |all, word| all | word)
    }
}

/// Appends neuron `first + n` for each bit `n` of `marks`.
#[inline(always)]
fn append(fired: &mut Vec<u32>, first: usize, mut marks: u64) {
    while marks != 0 {
        fired.push(first as u32 + marks.trailing_zeros());
        marks &= marks - 1;
    }
}

/// The parameters of some neurons.
struct Rule<'a, S: Simd, const CASE: u8> {
    r: Vectors<'a, S>,
    w_in: Vectors<'a, S>,
    decay: Vectors<'a, S>,
    leak: Vectors<'a, S>,
    v_leak: Vectors<'a, S>,
    bias: Vectors<'a, S>,
    fires_above: Vectors<'a, S>,
    v_reset: Vectors<'a, S>,
    drop: Vectors<'a, S>,
    v_min: S::f64s,
}

/// A parameter of some neurons. Where it is the same for all, the first vector stays in a register.
struct Vectors<'a, S: Simd> {
    first: S::f64s,
    all: &'a [S::f64s],
}

impl<'a, S: Simd, const CASE: u8> Rule<'a, S, CASE> {
    #[inline(always)]
    fn new(group: &'a Group, host_bias: Option<&'a [f64]>, simd: S, range: std::ops::Range<usize>) -> Self {
        const { assert!(LANES.is_multiple_of(S::F64_LANES)) };
        Self {
            r: of_range(&group.r, &range),
            w_in: of_range(&group.w_in, &range),
            decay: of_range(&group.decay, &range),
            leak: of_range(&group.leak, &range),
            v_leak: of_range(&group.v_leak, &range),
            bias: in_vectors(match host_bias {
                Some(bias) => &bias[range.clone()],
                None => &ZEROS[..range.len()],
            }),
            fires_above: of_range(&group.fires_above, &range),
            v_reset: of_range(&group.v_reset, &range),
            drop: of_range(&group.drop, &range),
            v_min: simd.splat_f64s(group.v_min),
        }
    }

    /// Vector `n` of a parameter.
    #[inline(always)]
    fn at(values: &Vectors<'_, S>, n: usize) -> S::f64s {
        if CASE == UNIFORM { values.first } else { values.all[n] }
    }

    /// The membranes of vector `n` after input `x`, before they are reset; updates the current.
    #[inline(always)]
    fn updated<const MODEL: u8>(
        &self,
        simd: S,
        n: usize,
        x: S::f64s,
        before: S::f64s,
        current: &mut S::f64s,
    ) -> S::f64s {
        if MODEL == FILTERS {
            let change = simd.sub_f64s(simd.mul_f64s(Self::at(&self.w_in, n), x), *current);
            *current = simd.add_f64s(*current, simd.mul_f64s(Self::at(&self.decay, n), change));
        }
        let drive = simd.mul_f64s(Self::at(&self.r, n), if MODEL == FILTERS { *current } else { x });
        let step = if MODEL == INTEGRATES {
            drive
        } else {
            let difference = simd.add_f64s(simd.sub_f64s(Self::at(&self.v_leak, n), before), drive);
            simd.mul_f64s(Self::at(&self.leak, n), difference)
        };
        let after = simd.add_f64s(before, step);
        let after = if CASE == UNIFORM { after } else { simd.add_f64s(after, Self::at(&self.bias, n)) };
        simd.max_f64s(after, self.v_min)
    }

    /// Who fires, and the membranes then.
    #[inline(always)]
    fn reset<const RESET: u8>(&self, simd: S, n: usize, after: S::f64s) -> (S::m64s, S::f64s) {
        let fired = simd.greater_than_f64s(after, Self::at(&self.fires_above, n));
        let reset =
            if RESET == SUBTRACTS { simd.sub_f64s(after, Self::at(&self.drop, n)) } else { Self::at(&self.v_reset, n) };
        (fired, simd.select_f64s(fired, reset, after))
    }
}

#[inline(always)]
fn of_range<'a, S: Simd>(parameter: &'a Parameter, range: &std::ops::Range<usize>) -> Vectors<'a, S> {
    in_vectors(parameter.run(range.start, range.len()))
}

#[inline(always)]
fn in_vectors<S: Simd>(values: &[f64]) -> Vectors<'_, S> {
    let all = vectors::<S>(values);
    Vectors { first: all[0], all }
}

#[inline(always)]
fn vectors<S: Simd>(values: &[f64]) -> &[S::f64s] {
    S::as_simd_f64s(values).0
}
