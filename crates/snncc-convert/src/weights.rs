//! Weights of a layer moved so that it makes the most of the spikes it gets, layer by layer, in closed form.
//!
//! A layer of the spiking network reads `x̂`, means of spikes times scales, where the trained network's reads `x`. What rounding,
//! clipping and the order of spikes leave of `x` is in part systematic: errors of neighbouring inputs go together, and weights
//! can weigh them against each other as a bias cannot. So the layer's map is fitted to what the trained network wants of it,
//! `z = W x + b` on the same samples: the `ΔW`, `Δb` with the least squared error of `(W + ΔW) x̂ + b + Δb`, by ridge regression
//! (`ridge`). (Li et al., *A free lunch from ANN*, ICML 2021, reach for the same by gradient descent on each layer.)
//!
//! Samples are split: one in [`HELD_OUT`] is never learned from, and by these it is decided how far weights move, or that they
//! stay. At last the network with all changes is compared with the one without, by these samples too: layers that are nearer to
//! what they should be do not always make a better network (`better`). Weights are shared by all positions of a convolution; of these some are looked at, spread evenly and differently for
//! each sample.
//!
//! **Invariant:** the squared error on the samples held out never rises, and the result depends on no number of threads.

mod cholesky;
mod probe;
mod ridge;
mod windows;

pub(crate) use probe::before;

use crate::build::Built;
use crate::correct::{self, Corrected};
use crate::data::CalibrationData;
use crate::prepare::Prepared;
use probe::{Port, Probe, up_to};
use ridge::Moments;
use serde::Serialize;
use snncc_ids::{AnnNodeId, Diagnostics};
use snncc_ir::ann::{Ann, AnnOp, AnnTensor};
use snncc_reference::ann::AnnExecutor;
use std::collections::BTreeMap;
use windows::Windows;

/// Samples that weights are fitted to: so many where positions make up for it, and so many at most.
const LEAST_SAMPLES: usize = 500;
pub(crate) const SAMPLES: usize = 2000;
/// Positions of a sample that are looked at; more look alike.
const POSITIONS: usize = 1 << 5;
/// One sample of so many is held out.
const HELD_OUT: usize = 4;
/// Inputs of a map whose weights can be moved; the moments of more would take more than 256 MiB.
const MOST_INPUTS: usize = 1 << 12;
/// Rows that are wanted: so many for each input, and so many at least.
const ROWS_PER_INPUT: usize = 1 << 5;
const LEAST_ROWS: usize = 1 << 14;
/// Elements of the rows of a layer that may be held: 128 MiB.
const ROW_ELEMENTS: usize = 1 << 24;
/// Multiplications for the moments of a layer: some seconds.
const WORK: usize = 1 << 35;
/// Values of spiking layers that are held: 256 MiB.
const HELD_VALUES: usize = 1 << 26;
/// Share of weights that are 0 from which on a layer counts as pruned: moved weights would be synapses.
const PRUNED: f64 = 0.25;

/// What became of the weights of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightOutcome {
    /// Weights and bias moved.
    Moved,
    /// The bias moved; no change of the weights was better on the samples held out.
    BiasMoved,
    /// Nothing was better.
    Kept,
    /// A change was better for the layer, but the network with all changes named the trained network's class less often.
    TakenBack,
    /// Nothing was tried: the map has more inputs than is bearable.
    TooWide,
    /// Nothing was tried: many weights are 0, and each that moved would be a synapse more.
    Pruned,
}

/// What became of the weights of a layer, and what it is good for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WeightReport {
    /// The layer in the prepared network.
    #[serde(skip)]
    pub node: AnnNodeId,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: WeightOutcome,
    /// Inputs of an output.
    pub inputs: usize,
    /// Rows (samples times positions) that it was fitted to, and rows held out.
    pub rows: [usize; 2],
    /// Punishment of moved weights, as a multiple of the mean variance of an input; `None` where they stayed.
    pub ridge: Option<f64>,
    /// Error of what the layer's outputs are before activation, on the rows held out, without the change and with it: root of the
    /// mean square, relative to the trained network's values.
    pub error: [f64; 2],
    /// The squares behind `error`, and those of the trained network's values.
    #[serde(skip)]
    squares: [f64; 2],
    #[serde(skip)]
    wanted_squares: f64,
}

impl WeightReport {
    /// The report when the weights are as they were after all.
    fn taken_back(&mut self) {
        if matches!(self.outcome, WeightOutcome::Moved | WeightOutcome::BiasMoved) {
            self.outcome = WeightOutcome::TakenBack;
            self.ridge = None;
            (self.error[1], self.squares[1]) = (self.error[0], self.squares[0]);
        }
    }

    /// The error of several layers taken together, as [`WeightReport::error`]; `None` where nothing was measured.
    pub fn joint_error<'a>(reports: impl IntoIterator<Item = &'a Self>) -> Option<[f64; 2]> {
        let mut sums = ([0.0; 2], 0.0);
        for report in reports {
            (0..2).for_each(|at| sums.0[at] += report.squares[at]);
            sums.1 += report.wanted_squares;
        }
        (sums.1 > 0.0).then(|| sums.0.map(|squares| (squares / sums.1).sqrt()))
    }
}

/// Layers whose weights were trained: maps that have the values of a fully connected layer or a convolution of `original`, with
/// normalization or without. Others stand for maxima and activations.
pub(crate) fn trained_layers(original: &Ann, prepared: &Prepared) -> Vec<AnnNodeId> {
    let is_trained = |id: &AnnNodeId| {
        let stored = |weight: &AnnTensor| weight.filled_with().is_none();
        let has_weights = match &prepared.ann.nodes()[*id].op {
            AnnOp::Linear(layer) => stored(&layer.weight),
            AnnOp::Convolution(layer) => stored(&layer.weight),
            _ => false,
        };
        let origin = prepared.origins[*id].map(|origin| &original.nodes()[origin].op);
        let linear = |op: &AnnOp| {
            use AnnOp::{BatchNorm, Convolution, Linear, ScaleShift};
            matches!(op, Linear(_) | Convolution(_) | BatchNorm(_) | ScaleShift { .. })
        };
        has_weights && origin.is_some_and(linear)
    };
    prepared.ann.nodes().ids().filter(is_trained).collect()
}

/// Takes the weights back if that is better for the network as a whole: `moved` and `still` are corrected with moved weights and
/// without, `wanted` is the class that the trained network gives each sample. On the samples held out, those that lose their class
/// are compared with those that find it; what is within the standard deviation of chance, the root of their number, counts for
/// nothing.
///
/// # Errors
/// What the float reference finds in the networks.
pub(crate) fn better(
    moved: Corrected,
    still: Corrected,
    build: impl Fn(&Corrected) -> Result<Built, Diagnostics>,
    wanted: &[usize],
    data: &CalibrationData<'_>,
    steps: u32,
) -> Result<Corrected, Diagnostics> {
    let held_out: Vec<usize> = (0..wanted.len()).filter(|sample| is_held_out(*sample)).collect();
    let of_moved = correct::classes(&build(&moved)?, data, &held_out, steps)?;
    let of_still = correct::classes(&build(&still)?, data, &held_out, steps)?;
    let (mut lost, mut found) = (0.0, 0.0);
    for ((sample, moved), still) in held_out.iter().zip(of_moved).zip(of_still) {
        match (moved == wanted[*sample], still == wanted[*sample]) {
            (false, true) => lost += 1.0,
            (true, false) => found += 1.0,
            _ => {}
        }
    }
    if lost - found <= f64::sqrt(lost + found) {
        return Ok(moved);
    }
    let mut weights = moved.weights;
    weights.iter_mut().for_each(WeightReport::taken_back);
    Ok(Corrected { weights, ..still })
}

/// For each of `targets` in the network that is being made (`tuned`): moves the weights. `layers` are those of spikes, and `build`
/// gives the spiking form of a network as it is corrected so far, which is all before the targets. Reports come in the order of
/// the targets.
///
/// # Errors
/// What the references find in the networks.
pub(crate) fn tune(
    trained: &Ann,
    tuned: &mut Ann,
    targets: &[AnnNodeId],
    layers: &[AnnNodeId],
    build: impl FnOnce(&Ann) -> Result<Built, Diagnostics>,
    data: &CalibrationData<'_>,
    steps: u32,
) -> Result<Vec<WeightReport>, Diagnostics> {
    let tries: Vec<Try> = targets.iter().map(|target| Try::new(trained, *target, layers)).collect();
    let mut sources: Vec<AnnNodeId> =
        tries.iter().filter(|one| one.refused.is_none()).flat_map(|one| one.sources.iter().copied()).collect();
    sources.sort_unstable();
    sources.dedup();
    let elements: usize = sources.iter().map(|id| trained.nodes()[*id].shape.iter().product::<usize>()).sum();
    let wanted = tries.iter().map(Try::samples).max().unwrap_or(0);
    let samples = data.count().min(wanted).min(HELD_VALUES / elements.max(1));
    // Nothing behind the sources need spike.
    let built = build(&up_to(tuned, &sources))?;
    let spiking = correct::values(&built, trained, &sources, data, samples, steps)?;
    let mut reports = Vec::with_capacity(tries.len());
    for one in tries {
        let mut report = WeightReport {
            node: one.target,
            name: trained.nodes()[one.target].name.clone(),
            outcome: one.refused.unwrap_or(WeightOutcome::Kept),
            inputs: one.windows.inputs,
            rows: [0; 2],
            ridge: None,
            error: [0.0; 2],
            squares: [0.0; 2],
            wanted_squares: 0.0,
        };
        if one.refused.is_none() {
            let rows = one.rows(trained, tuned, &spiking, data, samples)?;
            let choice = ridge::choose(&rows.learned, &rows.held_out);
            let moments = |moments: &[Moments]| moments.first().map_or(0, |moments| moments.rows);
            report.rows = [moments(&rows.learned), moments(&rows.held_out)];
            report.ridge = choice.ridge;
            (report.squares, report.wanted_squares) = (choice.squares, rows.wanted_squares);
            report.error = WeightReport::joint_error([&report]).unwrap_or_default();
            if let Some(changes) = &choice.changes {
                let moved = choice.ridge.is_some();
                report.outcome = if moved { WeightOutcome::Moved } else { WeightOutcome::BiasMoved };
                let op = windows::changed(&tuned.nodes()[one.target].op, changes);
                tuned.replace(one.target, op).expect("bug in snncc: the same layer with other weights");
            }
        }
        reports.push(report);
    }
    Ok(reports)
}

/// A layer whose weights are to be moved.
struct Try {
    target: AnnNodeId,
    windows: Windows,
    /// The layers of spikes and the inputs that it reads, through others that do not spike, in order.
    sources: Vec<AnnNodeId>,
    refused: Option<WeightOutcome>,
}

/// What was seen of a layer.
struct Rows {
    /// By group.
    learned: Vec<Moments>,
    held_out: Vec<Moments>,
    /// `Σ z²` over the rows held out.
    wanted_squares: f64,
}

/// Rows of some samples.
#[derive(Default)]
struct Chunk {
    /// By group: inputs and residuals of the rows learned from, and of those held out.
    parts: [Vec<(Vec<f64>, Vec<f64>)>; 2],
    wanted: Vec<f32>,
    wanted_squares: f64,
}

impl Try {
    fn new(trained: &Ann, target: AnnNodeId, layers: &[AnnNodeId]) -> Self {
        let node = &trained.nodes()[target];
        let x = &trained.nodes()[node.inputs[0]].shape;
        let windows = Windows::new(&node.op, x, &node.shape).expect("bug in snncc: a layer without windows");
        let weight = match &node.op {
            AnnOp::Linear(layer) => &layer.weight,
            AnnOp::Convolution(layer) => &layer.weight,
            _ => unreachable!("bug in snncc: a layer without weights"),
        };
        let zeros = weight.iter().filter(|weight| *weight == 0.0).count();
        let per_map = windows.groups.saturating_mul(windows.inputs).saturating_mul(windows.inputs);
        let refused = if per_map > MOST_INPUTS * MOST_INPUTS {
            Some(WeightOutcome::TooWide)
        } else if zeros as f64 > PRUNED * weight.len() as f64 {
            Some(WeightOutcome::Pruned)
        } else {
            None
        };
        let (sources, _) = before(trained, target, layers);
        Self { target, windows, sources, refused }
    }

    /// Rows that are wanted and bearable.
    fn most_rows(&self) -> usize {
        let Windows { groups, inputs, outputs, .. } = self.windows;
        let row = (groups * (inputs + outputs)).max(1);
        let rows = (ROWS_PER_INPUT * inputs).max(LEAST_ROWS);
        rows.min(ROW_ELEMENTS / row).min(WORK / (row * inputs).max(1))
    }

    /// Samples that are wanted.
    fn samples(&self) -> usize {
        let each = self.windows.positions.clamp(1, POSITIONS);
        if self.refused.is_some() { 0 } else { self.most_rows().div_ceil(each).clamp(LEAST_SAMPLES, SAMPLES) }
    }

    /// Positions that are looked at in a sample, and samples.
    fn extent(&self, samples: usize) -> (usize, usize) {
        let rows = self.most_rows();
        let each = (rows / samples.max(1)).clamp(1, self.windows.positions.clamp(1, POSITIONS));
        (each, samples.min(rows))
    }

    /// Runs both networks on `samples` samples and collects the rows.
    fn rows(
        &self,
        trained: &Ann,
        tuned: &Ann,
        spiking: &BTreeMap<AnnNodeId, Vec<f32>>,
        data: &CalibrationData<'_>,
        samples: usize,
    ) -> Result<Rows, Diagnostics> {
        let Windows { groups, inputs, outputs, positions, .. } = self.windows;
        let (each, samples) = self.extent(samples);
        let probe = Probe::new(trained, tuned, self.target, &self.sources);
        let executor = AnnExecutor::new(&probe.ann)?;
        let data = data.values();
        let port = |(port, elements): (&Port, &usize)| -> &[f32] {
            match port {
                Port::Data(at) => &data[*at][..samples * elements],
                Port::Spiking(id) => &spiking[id][..samples * elements],
            }
        };
        let input: Vec<&[f32]> = probe.ports.iter().zip(executor.input_elements()).map(port).collect();
        let input_elements = executor.elements(probe.input);
        let output_elements = executor.elements(probe.output);
        let make = || Chunk { parts: [(); 2].map(|()| vec![Default::default(); groups]), ..Chunk::default() };
        let visit = |chunk: &mut Chunk, node: AnnNodeId, first: usize, value: &[f32]| {
            if node == probe.wanted {
                chunk.wanted = value.to_vec();
            }
            if node != probe.input && node != probe.output {
                return;
            }
            let elements = if node == probe.input { input_elements } else { output_elements };
            for (at, value) in value.chunks_exact(elements).enumerate() {
                let held_out = is_held_out(first + at);
                for position in chosen_positions(first + at, each, positions) {
                    for group in 0..groups {
                        let (x, r) = &mut chunk.parts[usize::from(held_out)][group];
                        if node == probe.input {
                            self.windows.read(value, group, position, x);
                            continue;
                        }
                        for output in 0..outputs {
                            let place = self.windows.place(group, position, output);
                            let wanted = f64::from(chunk.wanted[at * elements + place]);
                            r.push(wanted - f64::from(value[place]));
                            chunk.wanted_squares += if held_out { wanted * wanted } else { 0.0 };
                        }
                    }
                }
            }
        };
        let moments = || (0..groups).map(|_| Moments::new(inputs, outputs)).collect::<Vec<_>>();
        let mut rows = Rows { learned: moments(), held_out: moments(), wanted_squares: 0.0 };
        executor.map_reduce(&input, samples, make, visit, |chunk: Chunk| {
            for (moments, parts) in [&mut rows.learned, &mut rows.held_out].into_iter().zip(&chunk.parts) {
                moments.iter_mut().zip(parts).for_each(|(moments, (x, r))| moments.add(x, r));
            }
            rows.wanted_squares += chunk.wanted_squares;
        });
        Ok(rows)
    }
}

fn is_held_out(sample: usize) -> bool {
    sample % HELD_OUT == HELD_OUT - 1
}

/// `each` of `positions` positions, one in every equal part of them; where in its part depends on the sample.
fn chosen_positions(sample: usize, each: usize, positions: usize) -> impl Iterator<Item = usize> {
    // Multiples of the golden section are spread evenly, however many they are.
    let offset = (sample as f64 * 0.618_033_988_749_895).fract();
    (0..each).map(move |at| (((at as f64 + offset) * positions as f64 / each as f64) as usize).min(positions - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{self, Corrections};
    use crate::options::ConvertOptions;
    use snncc_data::{Coding, SampleValues, Samples};
    use snncc_ir::ann::AnnLinear;

    /// Three classes, each of which is an input, or the next one.
    fn corrected(turn: usize) -> Corrected {
        let mut ann = Ann::new();
        let x = ann.push_input("x", vec![3]);
        let weight: Vec<f32> = (0..9).map(|at| f32::from(u8::from((at / 3 + turn) % 3 == at % 3))).collect();
        let linear = AnnLinear { weight: AnnTensor::new(vec![3, 3], weight), bias: None };
        let y = ann.push("y", AnnOp::Linear(linear), vec![x], None).unwrap();
        ann.outputs.push(("y".into(), y));
        let report = WeightReport {
            node: y,
            name: "y".into(),
            outcome: WeightOutcome::Moved,
            inputs: 3,
            rows: [6, 2],
            ridge: Some(0.1),
            error: [0.5, 0.25],
            squares: [1.0, 0.25],
            wanted_squares: 4.0,
        };
        Corrected { ann, corrections: Corrections::new(), weights: vec![report] }
    }

    #[test]
    fn a_network_that_is_worse_gets_its_weights_back() {
        let levels: Vec<u8> = (0..24).map(|at| if at % 3 == at / 3 % 3 { 255 } else { 40 }).collect();
        let samples = Samples::new(8, vec![3], None, SampleValues::U8 { values: levels, full_scale: 255 }).unwrap();
        let data = CalibrationData::new(&corrected(0).ann, &[&samples], 8, Coding::RateRounded, 1).unwrap();
        let options = ConvertOptions::default();
        let build =
            |with: &Corrected| build::build(&with.ann, &BTreeMap::new(), &with.corrections, data.ranges(), &options);
        let wanted: Vec<usize> = (0..8).map(|sample| sample % 3).collect();
        for (moved, still, outcome, error) in [
            (1, 0, WeightOutcome::TakenBack, [0.5, 0.5]),
            (0, 1, WeightOutcome::Moved, [0.5, 0.25]),
            (0, 0, WeightOutcome::Moved, [0.5, 0.25]),
        ] {
            let chosen = better(corrected(moved), corrected(still), build, &wanted, &data, 8).unwrap();
            assert_eq!((chosen.weights[0].outcome, chosen.weights[0].error), (outcome, error));
            assert_eq!(WeightReport::joint_error(&chosen.weights), Some(error));
            let AnnOp::Linear(layer) = &chosen.ann.nodes()[chosen.weights[0].node].op else { unreachable!() };
            assert_eq!(layer.weight.get(0), 1.0);
        }
    }

    #[test]
    fn positions_are_spread() {
        assert!(chosen_positions(3, 5, 5).eq(0..5));
        for sample in 0..40 {
            let chosen: Vec<usize> = chosen_positions(sample, 4, 31).collect();
            assert!(
                chosen.windows(2).all(|pair| (6..=9).contains(&(pair[1] - pair[0]))) && chosen[3] < 31,
                "{chosen:?}"
            );
        }
        let mut seen: Vec<usize> = (0..40).flat_map(|sample| chosen_positions(sample, 4, 31)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 31);
    }
}
