//! The first walk through a network: every layer becomes linear layers and rectifiers, or a problem. Folding comes after.

use super::Exactness;
use super::draft::{Draft, Value};
use super::fates::{Fates, at_most, grouped, kind_of};
use super::max_pool::{max_pool, maximum};
use super::mean_pool::mean_pool;
use super::rectifiers::{rectify, scale_shift};
use super::swap::swaps;
use crate::build::not_gated;
use crate::options::{ConvertOptions, MaxPooling};
use snncc_ids::{AnnNodeId, Diagnostic, Diagnostics, Id, IdVec, code};
use snncc_ir::ann::{Activation, Ann, AnnBatchNorm, AnnNode, AnnOp, AnnPool, AnnTensor, PoolFunction};
use std::collections::BTreeMap;

/// What the first walk makes.
pub(super) struct Expanded {
    pub(super) draft: Draft,
    pub(super) fates: Fates,
    /// Errors and warnings.
    pub(super) problems: Diagnostics,
}

/// Walks through `ann`.
pub(super) fn expand(ann: &Ann, options: &ConvertOptions) -> Expanded {
    let (swaps, problems) = swaps(ann, &options.swap_activations);
    let mut walk = Walk {
        ann,
        options,
        swaps,
        only_at_outputs: only_at_outputs(ann),
        values: ann.nodes().ids().map(|_| None).collect(),
        draft: Draft::default(),
        fates: Fates::new(ann),
        problems,
    };
    let used = used(ann);
    for (id, node) in ann.nodes().iter_with_ids() {
        if used[id] || matches!(node.op, AnnOp::Input) {
            walk.node(id, node, used[id]);
        }
    }
    let value = |id: AnnNodeId| walk.values[id].expect("bug in snncc: outputs are used");
    walk.draft.outputs = ann.outputs.iter().map(|(name, id)| (name.clone(), value(*id))).collect();
    Expanded { draft: walk.draft, fates: walk.fates, problems: walk.problems }
}

/// Which nodes an output needs.
fn used(ann: &Ann) -> IdVec<AnnNodeId, bool> {
    let mut used: IdVec<AnnNodeId, bool> = ann.nodes().ids().map(|_| false).collect();
    ann.outputs.iter().for_each(|(_, id)| used[*id] = true);
    for id in backwards(ann) {
        if used[id] {
            ann.nodes()[id].inputs.iter().for_each(|input| used[*input] = true);
        }
    }
    used
}

fn backwards(ann: &Ann) -> impl Iterator<Item = AnnNodeId> + use<> {
    (0..ann.nodes().len()).rev().map(AnnNodeId::new)
}

/// Which values leave the network and, on the way, are only moved.
fn only_at_outputs(ann: &Ann) -> IdVec<AnnNodeId, bool> {
    let mut only: IdVec<AnnNodeId, bool> = ann.nodes().ids().map(|_| true).collect();
    let mut read: IdVec<AnnNodeId, bool> = ann.nodes().ids().map(|_| false).collect();
    ann.outputs.iter().for_each(|(_, id)| read[*id] = true);
    let used = used(ann);
    for id in backwards(ann).filter(|id| used[*id]) {
        let node = &ann.nodes()[id];
        let moves = matches!(node.op, AnnOp::Reshape | AnnOp::Identity | AnnOp::Transpose { .. });
        for input in &node.inputs {
            read[*input] = true;
            only[*input] &= moves && only[id];
        }
    }
    only.ids().map(|id| only[id] && read[id]).collect()
}

struct Walk<'a> {
    ann: &'a Ann,
    options: &'a ConvertOptions,
    swaps: BTreeMap<AnnNodeId, Activation>,
    only_at_outputs: IdVec<AnnNodeId, bool>,
    values: IdVec<AnnNodeId, Option<Value>>,
    draft: Draft,
    fates: Fates,
    problems: Diagnostics,
}

impl Walk<'_> {
    fn node(&mut self, id: AnnNodeId, node: &AnnNode, is_used: bool) {
        let inputs: Vec<Value> =
            node.inputs.iter().map(|input| self.values[*input].expect("bug in snncc: inputs come first")).collect();
        let value = self.value(id, node, &inputs);
        self.values[id] = Some(value);
        // What is passed on unchanged stays what it was.
        let made = &mut self.draft.nodes[value];
        if made.origin.is_none() && !inputs.contains(&value) {
            made.origin = Some(id);
        }
        if !is_used {
            self.fates.exact(id, "not used");
        }
    }

    fn value(&mut self, id: AnnNodeId, node: &AnnNode, inputs: &[Value]) -> Value {
        let name = &node.name[..];
        let first = inputs.first().copied();
        let x = || first.expect("bug in snncc: shapes were checked");
        let moved = "moves elements: which synapses lead where";
        match &node.op {
            AnnOp::Input => self.keep(id, node, inputs, "input, coded as spikes or currents"),
            AnnOp::Linear(_) | AnnOp::Convolution(_) | AnnOp::ConvolutionTranspose(_) => {
                self.keep(id, node, inputs, "synapses onto the neurons behind it")
            }
            AnnOp::Concat { .. } | AnnOp::Slice { .. } | AnnOp::Resample { .. } if !is_idle(node, self.ann) => {
                self.keep(id, node, inputs, moved)
            }
            AnnOp::Reshape | AnnOp::Transpose { .. } if !is_idle(node, self.ann) => self.keep(id, node, inputs, moved),
            AnnOp::Identity
            | AnnOp::Reshape
            | AnnOp::Transpose { .. }
            | AnnOp::Slice { .. }
            | AnnOp::Resample { .. }
            | AnnOp::Concat { .. } => {
                self.fates.exact(id, "removed: it changes nothing");
                x()
            }
            AnnOp::BatchNorm(_) if node.shape.is_empty() => self.refuse(id, "its input has no channels", None),
            AnnOp::BatchNorm(norm) => {
                let op = affine_of(norm, node.shape.len());
                self.factors(id, name, op, x())
            }
            AnnOp::ScaleShift { .. } => self.factors(id, name, node.op.clone(), x()),
            AnnOp::Activation(activation) => self.activation(id, name, Some(activation), x()),
            AnnOp::Unsupported { .. } if self.swaps.contains_key(&id) => self.activation(id, name, None, x()),
            AnnOp::Pool(pool) if pool.function == PoolFunction::Maximum => self.max_pool(id, name, pool, x()),
            AnnOp::Pool(pool) => {
                self.fates.exact(id, "linear, joined with the next layer");
                mean_pool(&mut self.draft, name, x(), pool)
            }
            AnnOp::GlobalPool(PoolFunction::Average) => {
                self.keep(id, node, inputs, "linear, joined with the next layer")
            }
            AnnOp::GlobalPool(PoolFunction::Maximum) => self.global_max_pool(id, node, x()),
            AnnOp::Pad { before, after, value } => self.pad(id, name, x(), (before, after), *value),
            AnnOp::Sum { coefficients } => {
                self.fates.exact(id, "sum of currents");
                match coefficients[..] {
                    [factor] => scale_shift(&mut self.draft, name, x(), factor, 0.0),
                    _ => self.draft.push(name, node.op.clone(), inputs.to_vec(), None),
                }
            }
            AnnOp::Maximum => {
                let tree = maximum(&mut self.draft, name, inputs);
                self.fates.exact(id, tree_note(tree.rectifiers, node.shape.iter().product()));
                tree.value
            }
            AnnOp::Softmax { log, .. } if self.only_at_outputs[id] => {
                let probabilities = if *log { "their logarithms are" } else { "probabilities are" };
                let note = format!(
                    "dropped at the output: the class with the largest membrane is the same; {probabilities} computed on the host"
                );
                self.fates.exact(id, note);
                x()
            }
            AnnOp::Softmax { .. } | AnnOp::Product | AnnOp::LocalResponseNorm { .. } | AnnOp::Unsupported { .. } => {
                let (why, help) = refusal(&node.op);
                self.refuse(id, &why, help)
            }
        }
    }

    /// A layer that stays as it is.
    fn keep(&mut self, id: AnnNodeId, node: &AnnNode, inputs: &[Value], note: &str) -> Value {
        self.fates.exact(id, note);
        self.draft.push(&node.name, node.op.clone(), inputs.to_vec(), Some(node.shape.clone()))
    }

    /// Factors and constants, to be folded.
    fn factors(&mut self, id: AnnNodeId, name: &str, op: AnnOp, x: Value) -> Value {
        let value = self.draft.push(name, op, vec![x], None);
        self.draft.nodes[value].holds.push(id);
        value
    }

    /// A value in place of a layer that has no spiking form, so that the walk can go on.
    fn refuse(&mut self, id: AnnNodeId, why: &str, help: Option<&str>) -> Value {
        let node = &self.ann.nodes()[id];
        let message = format!("`{}` ({}): {why}", node.name, kind_of(self.ann, id));
        let mut diagnostic = Diagnostic::error(code::UNSUPPORTED_LAYER, message).at(self.ann.item(id));
        diagnostic.help.extend(help.map(str::to_owned));
        self.problems.push(diagnostic);
        let note = help.map_or(why.to_owned(), |help| format!("{why}: {help}"));
        self.fates.set(id, Exactness::Unsupported, note);
        let inputs = node.inputs.iter().filter_map(|input| self.values[*input]).collect();
        self.draft.push(&node.name, AnnOp::Unsupported { reason: why.to_owned() }, inputs, Some(node.shape.clone()))
    }

    fn warn(&mut self, id: AnnNodeId, message: &str, notes: Vec<String>, help: Option<String>) {
        let message = format!("`{}` ({}): {message}", self.ann.nodes()[id].name, kind_of(self.ann, id));
        let mut diagnostic = Diagnostic::warning(code::APPROXIMATED_LAYER, message).at(self.ann.item(id));
        diagnostic.notes = notes;
        diagnostic.help.extend(help);
        self.problems.push(diagnostic);
    }

    /// An activation, or a layer that is not known and swapped for one.
    fn activation(&mut self, id: AnnNodeId, name: &str, activation: Option<&Activation>, x: Value) -> Value {
        let swapped = self.swaps.get(&id).filter(|to| Some(*to) != activation).cloned();
        let used = swapped.as_ref().or(activation).expect("bug in snncc: a layer that is no activation");
        let Some(made) = rectify(&mut self.draft, name, x, used, self.options) else {
            let why = format!("{} with these parameters has no spiking form: {used:?}", used.name());
            return self.refuse(id, &why, Some("swap it for another activation, and train on from there"));
        };
        let exactness = match (&swapped, &made.approximation) {
            (None, None) => Exactness::Exact,
            _ => Exactness::Approximate,
        };
        self.fates.set(id, exactness, &made.note[..]);
        if let Some(approximation) = made.approximation {
            let help = approximation
                .finer
                .map(|(units, error)| format!("with {units} segments the error is at most {}", at_most(error)));
            let note = "the error is the largest over all inputs of the function".to_owned();
            self.warn(id, &format!("{} becomes a {}", used.name(), made.note), vec![note], help);
        }
        if let Some(swapped) = swapped {
            let name = activation.map_or(kind_of(self.ann, id), |activation| activation.name().to_owned());
            self.fates.prefix(id, &format!("{name} swapped for {}", swapped.name()));
        }
        made.value
    }

    fn max_pool(&mut self, id: AnnNodeId, name: &str, pool: &AnnPool, x: Value) -> Value {
        if self.options.max_pool == MaxPooling::Average {
            self.warn_of_average(id);
            let pool = AnnPool { function: PoolFunction::Average, counted_after: None, ..pool.clone() };
            return mean_pool(&mut self.draft, name, x, &pool);
        }
        if self.options.max_pool == MaxPooling::Gated {
            if let Some(why) = not_gated(pool) {
                return self.refuse(id, why, Some("choose other windows, or `--max-pool tree`"));
            }
            self.fates
                .exact(id, "gate that passes the spikes of the most active input of each window; runs in floats only");
            return self.draft.push(name, AnnOp::Pool(pool.clone()), vec![x], None);
        }
        match max_pool(&mut self.draft, name, x, pool) {
            Ok(tree) => {
                self.fates.exact(id, tree_note(tree.rectifiers, self.ann.nodes()[id].shape.iter().product()));
                tree.value
            }
            Err(why) => self.refuse(id, &why, Some("choose other windows, or average pooling (`--max-pool average`)")),
        }
    }

    fn global_max_pool(&mut self, id: AnnNodeId, node: &AnnNode, x: Value) -> Value {
        if self.options.max_pool == MaxPooling::Average {
            self.warn_of_average(id);
            return self.draft.push(&node.name, AnnOp::GlobalPool(PoolFunction::Average), vec![x], None);
        }
        let shape = self.draft.shape(x).to_vec();
        let flat = match shape.len() {
            2 | 3 => shape,
            _ => vec![shape[0], shape[1..].iter().product()],
        };
        let x = self.draft.reshape(&format!("{}/flat", node.name), x, &flat);
        let dimensions = flat.len() - 1;
        let pool = AnnPool {
            function: PoolFunction::Maximum,
            kernel: flat[1..].to_vec(),
            stride: flat[1..].to_vec(),
            padding: vec![(0, 0); dimensions],
            dilation: vec![1; dimensions],
            counted_after: None,
        };
        let value = self.max_pool(id, &node.name, &pool, x);
        self.draft.reshape(&node.name, value, &node.shape)
    }

    fn warn_of_average(&mut self, id: AnnNodeId) {
        self.fates.set(id, Exactness::Approximate, "average pooling over the same windows in its place");
        let note = "a network that was trained for max pooling loses accuracy by it".to_owned();
        let help = "`--max-pool tree` is exact and costs neurons".to_owned();
        self.warn(id, "average pooling takes the place of max pooling", vec![note], Some(help));
    }

    /// A constant around a value: zeros around the value less the constant, and the constant added afterwards.
    fn pad(&mut self, id: AnnNodeId, name: &str, x: Value, around: (&[usize], &[usize]), constant: f32) -> Value {
        let (before, after) = around;
        if !(f32::MIN..=f32::MAX).contains(&constant) || constant == f32::MIN {
            let help = "pad the pool behind it instead, where padding never wins, and save the model again";
            return self.refuse(id, "padding with minus infinity is no value that neurons could send", Some(help));
        }
        if before.iter().chain(after).all(|count| *count == 0) {
            self.fates.exact(id, "removed: it changes nothing");
            return x;
        }
        self.fates.exact(id, "zeros around the values: no synapses");
        let zeros = AnnOp::Pad { before: before.to_vec(), after: after.to_vec(), value: 0.0 };
        if constant == 0.0 {
            return self.draft.push(name, zeros, vec![x], None);
        }
        self.fates.exact(id, "a constant around the values");
        let moved = scale_shift(&mut self.draft, format!("{name}/moved"), x, 1.0, -constant);
        let padded = self.draft.push(format!("{name}/zeros"), zeros, vec![moved], None);
        scale_shift(&mut self.draft, name, padded, 1.0, constant)
    }
}

/// Whether a layer that moves elements leaves them where they are.
fn is_idle(node: &AnnNode, ann: &Ann) -> bool {
    let same = |id: AnnNodeId| ann.nodes()[id].shape == node.shape;
    let is_alone = node.inputs.len() == 1 && same(node.inputs[0]);
    is_alone
        && match &node.op {
            AnnOp::Transpose { permutation } => permutation.iter().copied().eq(0..permutation.len()),
            AnnOp::Resample { indices } => indices.iter().all(|list| list.iter().copied().eq(0..list.len())),
            _ => true,
        }
}

fn tree_note(rectifiers: usize, elements: usize) -> String {
    if rectifiers == 0 {
        return "moves elements: which synapses lead where".to_owned();
    }
    let each = rectifiers as f64 / elements as f64;
    format!(
        "exact tree of neurons, max(a, b) = a + ReLU(b − a): {} in all, {} per element",
        grouped(rectifiers),
        (each * 10.0).round() / 10.0
    )
}

/// The affine map of a batch normalization.
fn affine_of(norm: &AnnBatchNorm, rank: usize) -> AnnOp {
    let channels = norm.gamma.len();
    let shape: Vec<usize> = [channels].into_iter().chain(std::iter::repeat_n(1, rank - 1)).collect();
    let at = |tensor: &AnnTensor, index: usize| f64::from(tensor.get(index));
    let gain = |index: usize| at(&norm.gamma, index) / (at(&norm.variance, index) + f64::from(norm.epsilon)).sqrt();
    let shift = |index: usize| at(&norm.beta, index) - gain(index) * at(&norm.mean, index);
    let filled =
        [&norm.gamma, &norm.beta, &norm.mean, &norm.variance].iter().all(|tensor| tensor.filled_with().is_some());
    let tensor = |of: &dyn Fn(usize) -> f64| match filled {
        true => AnnTensor::fill(shape.clone(), of(0) as f32),
        false => AnnTensor::new(shape.clone(), (0..channels).map(|index| of(index) as f32).collect::<Vec<f32>>()),
    };
    AnnOp::ScaleShift { scale: Some(tensor(&gain)), shift: Some(tensor(&shift)) }
}

/// Why an operator has no spiking form, and what to do.
fn refusal(op: &AnnOp) -> (String, Option<&'static str>) {
    match op {
        AnnOp::Softmax { .. } => (
            "a softmax inside the network has no spiking form".into(),
            Some("attention cannot be converted; if it is a gate, retrain with HardSigmoid or ReLU in its place"),
        ),
        AnnOp::Product => (
            "a product of two values that depend on the input has no spiking form".into(),
            Some("retrain without the gate (squeeze and excitation, GLU); a factor that is constant is folded"),
        ),
        AnnOp::LocalResponseNorm { .. } => (
            "local response normalization has no spiking form".into(),
            Some(
                "retrain without it or with batch normalization, which is folded; Hunsberger & Eliasmith (2016) removed it at a \
                 cost of 0.35 points on CIFAR-10",
            ),
        ),
        AnnOp::Unsupported { reason } => (reason.clone(), None),
        _ => panic!("bug in snncc: this operator has a spiking form"),
    }
}
