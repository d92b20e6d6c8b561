//! Layers that exporters write as several nodes: SiLU, hard swish, Mish and GELU.
//!
//! A pattern is found when its last node is read: a layer of the original value takes that node's place, and the earlier
//! layers stay without readers.

use super::constant::uniform;
use super::graph::{Call, Live, Reader};
use super::node::Reading;
use snncc_ir::ann::{Activation, AnnOp};

/// Constants of a pattern as files round them.
fn near(value: f32, expected: f64) -> bool {
    (f64::from(value) - expected).abs() <= 1e-4 * expected.abs()
}

impl Reader<'_, '_> {
    fn activation_of(&self, draft: usize) -> Option<(&Activation, usize)> {
        match &self.drafts[draft].op {
            AnnOp::Activation(activation) => Some((activation, self.drafts[draft].inputs[0])),
            _ => None,
        }
    }

    /// `x` and the factor of a layer that multiplies by one number.
    fn scale_of(&self, draft: usize) -> Option<(f32, usize)> {
        match &self.drafts[draft].op {
            AnnOp::ScaleShift { scale: Some(scale), shift: None } => {
                Some((uniform(scale)?, self.drafts[draft].inputs[0]))
            }
            _ => None,
        }
    }

    /// `x` and the term of a layer that adds one number.
    fn shift_of(&self, draft: usize) -> Option<(f32, usize)> {
        match &self.drafts[draft].op {
            AnnOp::ScaleShift { scale: None, shift: Some(shift) } => {
                Some((uniform(shift)?, self.drafts[draft].inputs[0]))
            }
            _ => None,
        }
    }

    /// `x` of `min(max(x + 3, 0), 6)`.
    fn clipped_shift(&self, draft: usize) -> Option<usize> {
        let (Activation::Clip { min: 0.0, max: 6.0 }, shifted) = self.activation_of(draft)? else { return None };
        let (3.0, x) = self.shift_of(shifted)? else { return None };
        Some(x)
    }

    /// `x · a · (1 + erf(x / √2))`: `a` and `x`.
    fn gelu_of(&self, a: usize, b: usize) -> Option<(f32, usize)> {
        let peel = |draft: usize| self.scale_of(draft).unwrap_or((1.0, draft));
        [(a, b), (b, a)].into_iter().find_map(|(plain, gate)| {
            let (plain_factor, x) = peel(plain);
            let (gate_factor, shifted) = peel(gate);
            let (1.0, erf) = self.shift_of(shifted)? else { return None };
            let (inner, origin) = peel(*self.error_functions.get(&erf)?);
            let matches = near(inner, std::f64::consts::FRAC_1_SQRT_2) && (origin == x || origin == plain);
            // Where x itself is a product with a number, the factor belongs to it.
            let factor = if origin == plain { 1.0 } else { plain_factor };
            matches.then_some((factor * gate_factor, origin))
        })
    }

    /// A product of two values that is an activation of one of them.
    pub(super) fn merge_product(&mut self, call: &Call, a: Live, b: Live) -> Reading<Option<Live>> {
        let gate = |x: Live, gate: Live| -> Option<Activation> {
            let (activation, origin) = self.activation_of(gate.draft)?;
            match activation {
                Activation::Sigmoid if origin == x.draft => Some(Activation::Silu),
                Activation::HardSigmoid { alpha, beta } if origin == x.draft => {
                    (near(*alpha, 1.0 / 6.0) && near(*beta, 0.5)).then_some(Activation::HardSwish)
                }
                Activation::Tanh => match self.activation_of(origin)? {
                    (Activation::Softplus, origin) if origin == x.draft => Some(Activation::Mish),
                    _ => None,
                },
                _ => None,
            }
        };
        let found = gate(a, b).map(|activation| (activation, a, b)).or_else(|| gate(b, a).map(|found| (found, b, a)));
        if let Some((activation, x, gate)) = found {
            let name = activation.name();
            self.absorb_down_to(call, gate.draft, x.draft, name);
            return self.layer_of(call, AnnOp::Activation(activation), &[x], None).map(Some);
        }
        match self.gelu_of(a.draft, b.draft) {
            Some((factor, x)) if near(factor, 0.5) => self.gelu(call, &[a.draft, b.draft], x, a).map(Some),
            _ => Ok(None),
        }
    }

    /// A product with one number that completes an activation.
    pub(super) fn merge_scale(&mut self, call: &Call, x: Live, factor: f32) -> Reading<Option<Live>> {
        if near(factor, 1.0 / 6.0)
            && let Some(origin) = self.clipped_shift(x.draft)
        {
            self.absorb_down_to(call, x.draft, origin, "HardSigmoid");
            let op = AnnOp::Activation(Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 });
            return self.layer_of(call, op, &[Live { draft: origin, batch: x.batch }], None).map(Some);
        }
        let (AnnOp::Product, [a, b]) = (&self.drafts[x.draft].op, &self.drafts[x.draft].inputs[..]) else {
            return Ok(None);
        };
        let (a, b) = (*a, *b);
        let hard = [(a, b), (b, a)].into_iter().find(|(x, gate)| self.clipped_shift(*gate) == Some(*x));
        if let (Some((origin, _)), true) = (hard, near(factor, 1.0 / 6.0)) {
            self.absorb_down_to(call, x.draft, origin, "HardSwish");
            let live = Live { draft: origin, batch: x.batch };
            return self.layer_of(call, AnnOp::Activation(Activation::HardSwish), &[live], None).map(Some);
        }
        match self.gelu_of(a, b) {
            Some((inner, origin)) if near(inner * factor, 0.5) => self.gelu(call, &[x.draft], origin, x).map(Some),
            _ => Ok(None),
        }
    }

    fn gelu(&mut self, call: &Call, tops: &[usize], origin: usize, like: Live) -> Reading<Live> {
        tops.iter().for_each(|top| self.absorb_down_to(call, *top, origin, "GELU"));
        let op = AnnOp::Activation(Activation::Gelu { tanh: false });
        self.layer_of(call, op, &[Live { draft: origin, batch: like.batch }], None)
    }

    /// Marks the layers between `top` and `origin` as parts of the current one; should others read them, they stay.
    fn absorb_down_to(&mut self, call: &Call, top: usize, origin: usize, role: &str) {
        let mut open = vec![top];
        while let Some(draft) = open.pop() {
            // Layers before the origin are not part of the pattern.
            if draft > origin && self.drafts[draft].absorbed.is_none() {
                self.absorb(call, draft, role);
                open.extend(self.drafts[draft].inputs.iter().copied());
            }
        }
    }

    /// `Erf`: known only as a part of a GELU.
    pub(super) fn error_function(&mut self, call: &Call) -> Reading<Live> {
        let x = call.live(0)?;
        let reason = "the error function is supported only as part of a GELU, x · (1 + erf(x/√2)) / 2";
        let live = self.layer_of(call, AnnOp::Unsupported { reason: reason.into() }, &[x], None)?;
        self.error_functions.insert(live.draft, x.draft);
        Ok(live)
    }
}
