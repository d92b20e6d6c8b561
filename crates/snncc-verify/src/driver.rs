//! Runs every sample past every witness.

use crate::compare::{difference, index_of};
use crate::divergence::{self, ChipRun};
use crate::integers::IntegerWitness;
use crate::loss::LossSums;
use crate::readout::{largest, predicted_by_membrane, predicted_by_spikes};
use crate::verification::{
    Accuracy, ChipTotals, Disturbance, FloatDivergence, OtherToolComparison, OtherToolPopulation, PopulationMismatches,
    Prediction, Saturation, ToolDivergence, Verification,
};
use crate::witness::{ChipTrace, SampleInput, Witnesses};
use rayon::prelude::*;
use snncc_data::SpikeTrain;
use snncc_ids::{Diagnostic, Diagnostics, Id, PopulationId, code, did_you_mean};
use snncc_ir::{Param, PopulationRole, Readout};
use snncc_reference::IntegerTrace;
use snncc_reference::float::{FloatInput, FloatTrace, Record};
use snncc_reference::spinnaker::CurrentTrace;

/// Spikes by population that another tool computed for a sample, in network steps.
type ToolSpikes<'a> = &'a (dyn Fn(usize) -> Vec<(String, SpikeTrain)> + Sync);

/// The class that one witness predicts.
type ClassOf = fn(&Prediction) -> Option<u32>;

/// What to run, and what to look at.
#[derive(Clone, Copy, Default)]
pub struct Plan<'a> {
    /// Samples.
    pub samples: usize,
    /// Network steps of each.
    pub steps: u32,
    /// Class of each sample.
    pub labels: Option<&'a [u32]>,
    /// In this many samples, from the first one on, currents and voltages are compared as well as spikes. (None, where
    /// the states of one sample would take more than a hundred megabytes.)
    pub state_samples: usize,
    /// Time constant, in steps, of the van Rossum distance, if it is asked for.
    pub van_rossum_tau_steps: Option<f64>,
    /// Spikes of another tool.
    pub other_tool: Option<ToolSpikes<'a>>,
    /// Called after each sample, from any thread.
    pub progress: Option<&'a (dyn Fn() + Sync)>,
}

/// Most values of one kind that are recorded in one run.
pub(crate) const STATE_LIMIT: usize = 1 << 22;

/// Witnesses and plan, made ready.
pub(crate) struct Setup<'a> {
    pub(crate) witnesses: &'a Witnesses<'a>,
    integer: IntegerWitness<'a>,
    /// Populations of neurons, by distance from the inputs.
    pub(crate) layers: Vec<Layer>,
    pub(crate) chip_steps: u32,
}

/// A population of neurons.
pub(crate) struct Layer {
    pub(crate) id: PopulationId,
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) len: usize,
    /// Chip step minus network step.
    pub(crate) latency: u32,
    /// Index in the image.
    pub(crate) in_image: usize,
    /// Whether it is none of the network's, but sends the constants of one: the float reference lacks it.
    is_added: bool,
    /// Whether spikes subtract: then the voltage after a spike, which is 0, is not the membrane.
    subtracts: bool,
}

/// A step and neuron of a layer where two witnesses differ; ordered as we look for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    step: u32,
    layer: usize,
    neuron: u32,
}

/// What one sample showed.
#[derive(Default)]
struct Outcome {
    /// By layer: spikes of the integer reference, of the emulator, and mismatches.
    exact: Vec<[u64; 3]>,
    /// First chip step in which a spike differs.
    first_mismatch: Option<u32>,
    state_mismatches: u64,
    output_mismatches: u64,
    /// By layer, if there is a float network.
    losses: Vec<LossSums>,
    float_first: Option<Mark>,
    prediction: Option<Prediction>,
    /// By population of the other tool.
    tool: Vec<OtherToolPopulation>,
    tool_first_chip: Option<ToolDivergence>,
    tool_first_float: Option<ToolDivergence>,
    saturations: Vec<Saturation>,
    totals: ChipTotals,
    disturbances: Vec<Disturbance>,
    /// Whether it differs, but does not if all packets come in time.
    is_late: bool,
}

impl Outcome {
    fn differs(&self) -> bool {
        self.first_mismatch.is_some() || self.state_mismatches + self.output_mismatches > 0
    }

    fn is_disturbed(&self) -> bool {
        self.disturbances.iter().any(|disturbance| disturbance.changes_results)
    }
}

/// Runs `plan.samples` samples, in parallel, and compares the witnesses. `sample` gives what a sample feeds the network.
///
/// # Errors
/// What `sample` or a witness says of its input; `SNN0801` if the image lacks a population of the network; `SNN0802` if
/// another tool names a population that does not exist.
pub fn verify(
    witnesses: &Witnesses<'_>,
    plan: &Plan<'_>,
    sample: &(dyn Fn(usize) -> Result<SampleInput, Diagnostics> + Sync),
) -> Result<Verification, Diagnostics> {
    let setup = Setup::new(witnesses, plan.steps)?;
    let state_values: usize = setup.layers.iter().map(|layer| layer.len).sum::<usize>() * setup.chip_steps as usize;
    let state_samples = if state_values > STATE_LIMIT { 0 } else { plan.state_samples.min(plan.samples) };
    let outcomes: Vec<Result<Outcome, Diagnostics>> = (0..plan.samples)
        .into_par_iter()
        .map(|at| {
            let outcome = setup.run(plan, at, &sample(at)?, at < state_samples);
            if let Some(progress) = plan.progress {
                progress();
            }
            outcome
        })
        .collect();
    let outcomes: Vec<Outcome> = outcomes.into_iter().collect::<Result<_, _>>()?;
    let mut verification = setup.fold(plan, &outcomes);
    verification.exact.state_samples = state_samples as u64;
    verification.exact.differing_samples = outcomes.iter().filter(|outcome| outcome.differs()).count() as u64;
    verification.late_samples = outcomes.iter().filter(|outcome| outcome.is_late).count() as u64;
    // A real difference is of more interest than one of late packets.
    let real = outcomes.iter().position(|outcome| outcome.differs() && !outcome.is_late);
    if let Some(at) = real.or_else(|| outcomes.iter().position(|outcome| outcome.differs())) {
        // Where late packets hide a real difference, it is looked for without them.
        let chip_run = match (outcomes[at].is_disturbed(), real) {
            (false, _) => ChipRun::Short,
            (true, None) => ChipRun::Whole,
            (true, Some(_)) => ChipRun::InTime,
        };
        // A state may differ before a spike does, so the whole run is looked at up to the first spike that differs.
        let bound = outcomes[at].first_mismatch.filter(|_| chip_run != ChipRun::InTime).unwrap_or(setup.chip_steps);
        verification.exact.first = divergence::locate(&setup, at, &sample(at)?, bound, chip_run)?;
    }
    if let Some((at, mark)) = outcomes.iter().enumerate().find_map(|(at, o)| o.float_first.map(|mark| (at, mark))) {
        verification.float_divergence = Some(setup.float_divergence(plan.steps, at, mark, &sample(at)?)?);
    }
    Ok(verification)
}

impl<'a> Setup<'a> {
    fn new(witnesses: &'a Witnesses<'a>, steps: u32) -> Result<Self, Diagnostics> {
        let graph = witnesses.compiled.graph();
        let distance = witnesses.compiled.distances();
        let mut faults = Diagnostics::new();
        let mut layers = Vec::new();
        for (id, population) in graph.populations.iter_with_ids() {
            if population.role == PopulationRole::Input {
                continue;
            }
            let symbols = witnesses.compiled.symbols();
            let in_image = symbols
                .iter()
                .position(|symbol| symbol.name == population.name && symbol.locations.len() == population.len());
            match in_image {
                Some(in_image) => layers.push(Layer {
                    id,
                    name: population.name.clone(),
                    shape: population.shape.clone(),
                    len: population.len(),
                    latency: population.latency_steps,
                    in_image,
                    is_added: graph.sends_constants(id),
                    subtracts: graph.reset_projection(id).is_some(),
                }),
                None => faults.push(
                    Diagnostic::error(
                        code::DIVERGENCE,
                        format!("the image has no population `{}` of {} neurons", population.name, population.len()),
                    )
                    .at(population.item.clone())
                    .help("compile the network again: image and quantized network are of different compilations"),
                ),
            }
        }
        if faults.has_errors() {
            return Err(faults);
        }
        layers.sort_by_key(|layer| (distance[layer.id.index()], layer.id));
        let latency = |id: PopulationId| graph.populations[id].latency_steps;
        let latest = match witnesses.compiled.outputs() {
            [] => layers.iter().map(|layer| layer.latency).max(),
            outputs => outputs.iter().map(|output| latency(output.population)).max(),
        };
        let integer = IntegerWitness::new(witnesses.compiled, witnesses.model);
        Ok(Self { witnesses, integer, layers, chip_steps: steps.saturating_add(latest.unwrap_or(0)) })
    }

    /// The integer reference over `steps` chip steps, with the state of these populations, and what SpiNNaker-like machines
    /// keep besides.
    pub(crate) fn run_integer(
        &self,
        input: &SampleInput,
        steps: u32,
        state: Vec<PopulationId>,
    ) -> Result<(IntegerTrace, Vec<CurrentTrace>), Diagnostics> {
        self.integer.run(input, steps, state)
    }

    fn run_float(
        &self,
        input: &SampleInput,
        steps: u32,
        states_of: Vec<String>,
    ) -> Result<Option<FloatTrace>, Diagnostics> {
        let Some(float) = self.witnesses.float else { return Ok(None) };
        // Analog values are what constant currents of the chip stand for: they must not count twice.
        let mut stimulus = input.whole.as_ref().unwrap_or(&input.stimulus).clone();
        if !input.analog.is_empty() {
            stimulus.host_biases.clear();
        }
        let fed = FloatInput { spikes: &stimulus, analog: input.analog.clone() };
        float.run(&fed, steps, &Record { spikes: true, outputs: false, states_of }).map(Some)
    }

    fn run(&self, plan: &Plan<'_>, at: usize, input: &SampleInput, with_state: bool) -> Result<Outcome, Diagnostics> {
        let recorded = if with_state { &self.layers[..] } else { &[] };
        let (integer, _) = self.run_integer(input, self.chip_steps, recorded.iter().map(|layer| layer.id).collect())?;
        let in_image: Vec<usize> = recorded.iter().map(|layer| layer.in_image).collect();
        let chip = self.witnesses.chip.run(input, self.chip_steps, &in_image)?;
        let float = self.run_float(input, plan.steps, recorded.iter().map(|layer| layer.name.clone()).collect())?;
        let mut outcome = Outcome {
            exact: Vec::with_capacity(self.layers.len()),
            first_mismatch: None,
            state_mismatches: 0,
            output_mismatches: 0,
            losses: Vec::new(),
            float_first: None,
            prediction: None,
            tool: Vec::new(),
            tool_first_chip: None,
            tool_first_float: None,
            saturations: self.integer.saturations(&integer, &chip.totals.overflows),
            totals: chip.totals.clone(),
            disturbances: chip.disturbances.clone(),
            is_late: false,
        };
        self.compare_exactly(&integer, &chip, &mut outcome);
        if outcome.differs() && outcome.is_disturbed() {
            let mut in_time = Outcome::default();
            if let Some(chip) = self.witnesses.chip.run_in_time(input, self.chip_steps, &in_image)? {
                self.compare_exactly(&integer, &chip, &mut in_time);
                outcome.is_late = !in_time.differs();
            }
        }
        if let Some(float) = &float {
            self.compare_float(plan, float, &integer, &mut outcome);
        }
        outcome.prediction = self.predict(plan, at, float.as_ref(), &integer, &chip);
        if let Some(other_tool) = plan.other_tool {
            self.compare_tool(plan, at, &other_tool(at), float.as_ref(), &chip, &mut outcome)?;
        }
        Ok(outcome)
    }

    /// Integer reference and emulator.
    fn compare_exactly(&self, integer: &IntegerTrace, chip: &ChipTrace, outcome: &mut Outcome) {
        for layer in &self.layers {
            let found = difference(&integer.spikes[layer.id], &chip.spikes[layer.in_image], (0, 0), self.chip_steps);
            outcome.exact.push([found.first_spikes, found.second_spikes, found.mismatches]);
            let step = found.first_mismatch.map(|(step, _)| step);
            outcome.first_mismatch = outcome.first_mismatch.into_iter().chain(step).min();
        }
        for (ours, theirs) in integer.state.iter().zip(&chip.state) {
            outcome.state_mismatches += unequal(&ours.u, &theirs.u) + unequal(&ours.v, &theirs.v);
        }
        let membranes = (self.witnesses.compiled.outputs().iter().zip(&integer.output_voltages))
            .zip(&chip.output_voltages)
            .filter(|((port, _), _)| port.readout == Readout::Membrane);
        for ((_, ours), theirs) in membranes {
            outcome.output_mismatches += unequal(ours, theirs);
        }
    }

    fn compare_float(&self, plan: &Plan<'_>, float: &FloatTrace, integer: &IntegerTrace, outcome: &mut Outcome) {
        for (at, layer) in self.layers.iter().enumerate() {
            if layer.is_added {
                outcome.losses.push(LossSums::default());
                continue;
            }
            let traced = float.population(&layer.name);
            let silent = SpikeTrain::silent(layer.len as u32, 0);
            let spikes = traced.and_then(|population| population.spikes.as_ref()).unwrap_or(&silent);
            let ours = &integer.spikes[layer.id];
            let (mut loss, first) = LossSums::of(spikes, ours, layer.latency, plan.steps, plan.van_rossum_tau_steps);
            let mark = first.map(|(step, neuron)| Mark { step, layer: at, neuron });
            outcome.float_first = outcome.float_first.into_iter().chain(mark).min();
            let state = integer.state.iter().find(|state| state.population == layer.id);
            if let (Some(state), Some(states)) = (state, traced.and_then(|population| population.states.as_ref())) {
                let canonical = self.canonical(layer);
                let from = layer.latency as usize * layer.len;
                for (at, (v, integer_v)) in states.v.iter().zip(state.v.iter().skip(from)).enumerate() {
                    if layer.subtracts && *integer_v == 0 {
                        continue;
                    }
                    let (units, offset) = canonical(at % layer.len);
                    loss.membrane(v - offset, *integer_v as f64 / units);
                }
            }
            outcome.losses.push(loss);
        }
    }

    /// Integer units per canonical volt and offset of the network's voltage, of each neuron of a layer.
    fn canonical(&self, layer: &Layer) -> impl Fn(usize) -> (f64, f64) + use<'a> {
        let (units_per_volt, v_offset) = self.units(layer.id);
        |neuron| (units_per_volt.get(neuron), v_offset.get(neuron))
    }

    fn units(&self, layer: PopulationId) -> (&'a Param, &'a Param) {
        self.witnesses.compiled.units(layer).expect("bug in snncc: layers have neurons")
    }

    fn predict(
        &self,
        plan: &Plan<'_>,
        at: usize,
        float: Option<&FloatTrace>,
        integer: &IntegerTrace,
        chip: &ChipTrace,
    ) -> Option<Prediction> {
        let port = self.witnesses.compiled.outputs().first()?;
        let layer = self.layers.iter().find(|layer| layer.id == port.population)?;
        let units = self.units(port.population);
        let by_spikes = |train: &SpikeTrain| predicted_by_spikes(train, layer.latency, plan.steps);
        let (integer, chip) = match port.readout {
            Readout::Spikes => (by_spikes(&integer.spikes[layer.id]), by_spikes(&chip.spikes[layer.in_image])),
            Readout::Membrane => (
                predicted_by_membrane(integer.output_voltages.first()?, units),
                predicted_by_membrane(chip.output_voltages.first()?, units),
            ),
        };
        let float = float
            .and_then(|trace| trace.output(&port.name))
            .map(|output| if output.spiking { largest(&output.sum) } else { largest(&output.last) });
        let label = plan.labels.and_then(|labels| labels.get(at)).copied();
        Some(Prediction { sample: at as u64, label, float, integer, chip })
    }

    fn compare_tool(
        &self,
        plan: &Plan<'_>,
        at: usize,
        given: &[(String, SpikeTrain)],
        float: Option<&FloatTrace>,
        chip: &ChipTrace,
        outcome: &mut Outcome,
    ) -> Result<(), Diagnostics> {
        let mut faults = Diagnostics::new();
        let (mut first_chip, mut first_float) = (None, None);
        for (name, theirs) in given {
            let found = self.layers.iter().enumerate().find(|(_, layer)| layer.name == *name);
            let Some((number, layer)) = found.filter(|(_, layer)| layer.len == theirs.neurons as usize) else {
                let message = match found {
                    Some((_, layer)) => format!(
                        "the other tool gives {} neurons of `{name}`, the network has {}",
                        theirs.neurons, layer.len
                    ),
                    None => format!("the other tool gives spikes of `{name}`, which is no population of the network"),
                };
                let mut fault = Diagnostic::error(code::OTHER_TOOL_DIVERGENCE, message).at(format!("nodes/{name}"));
                if let Some(near) = did_you_mean(name, self.layers.iter().map(|layer| layer.name.as_str())) {
                    fault = fault.help(format!("did you mean `{near}`?"));
                }
                faults.push(fault);
                continue;
            };
            let mark = |(step, neuron)| Mark { step, layer: number, neuron };
            let with_chip = difference(theirs, &chip.spikes[layer.in_image], (0, layer.latency), plan.steps);
            first_chip = first_chip.into_iter().chain(with_chip.first_mismatch.map(mark)).min();
            let with_float = (float.and_then(|trace| trace.population(name)?.spikes.as_ref()))
                .map(|ours| difference(theirs, ours, (0, 0), plan.steps));
            first_float =
                first_float.into_iter().chain(with_float.and_then(|found| found.first_mismatch).map(mark)).min();
            outcome.tool.push(OtherToolPopulation {
                population: name.clone(),
                tool_spikes: with_chip.first_spikes,
                chip_spikes: with_chip.second_spikes,
                chip_mismatches: with_chip.mismatches,
                float_mismatches: with_float.map(|found| found.mismatches),
            });
        }
        let divergence = |mark: Mark| {
            let layer = &self.layers[mark.layer];
            let theirs = given.iter().find(|(name, _)| *name == layer.name).map(|(_, train)| train.at(mark.step));
            ToolDivergence {
                sample: at as u64,
                network_step: mark.step,
                population: layer.name.clone(),
                neuron: mark.neuron,
                index: index_of(mark.neuron, &layer.shape),
                tool_spikes: theirs.is_some_and(|spikes| spikes.contains(&mark.neuron)),
            }
        };
        outcome.tool_first_chip = first_chip.map(divergence);
        outcome.tool_first_float = first_float.map(divergence);
        if faults.has_errors() { Err(faults) } else { Ok(()) }
    }

    fn fold(&self, plan: &Plan<'_>, outcomes: &[Outcome]) -> Verification {
        let mut verification = Verification {
            samples: plan.samples as u64,
            network_steps: plan.steps,
            chip_steps: self.chip_steps,
            ..Verification::default()
        };
        let exact = &mut verification.exact;
        for (at, layer) in self.layers.iter().enumerate() {
            let sum = |column: usize| outcomes.iter().map(|outcome| outcome.exact[at][column]).sum();
            let row = PopulationMismatches {
                population: layer.name.clone(),
                integer_spikes: sum(0),
                chip_spikes: sum(1),
                mismatches: sum(2),
            };
            exact.mismatches += row.mismatches;
            exact.populations.push(row);
            if self.witnesses.float.is_some() && !layer.is_added {
                let mut loss = LossSums::default();
                outcomes.iter().for_each(|outcome| loss.add(&outcome.losses[at]));
                verification.losses.push(loss.finish(&layer.name, plan.van_rossum_tau_steps.is_some()));
            }
        }
        for (at, outcome) in (0_u64..).zip(outcomes) {
            verification.add_disturbances(at, &outcome.disturbances);
            verification.exact.state_mismatches += outcome.state_mismatches;
            verification.exact.output_mismatches += outcome.output_mismatches;
            verification.chip.add(&outcome.totals);
            verification.add_saturations(&outcome.saturations);
            verification.predictions.extend(outcome.prediction);
        }
        let predictions = &verification.predictions;
        let flipped = |p: &&Prediction| p.float.is_some_and(|float| float != p.integer);
        verification.flipped = predictions.iter().filter(flipped).map(|p| p.sample).collect();
        let labelled: Vec<(u32, &Prediction)> = predictions.iter().filter_map(|p| Some((p.label?, p))).collect();
        let witnesses: [(&str, ClassOf); 3] =
            [("float", |p| p.float), ("integer", |p| Some(p.integer)), ("emulator", |p| Some(p.chip))];
        for (witness, class) in witnesses {
            if labelled.iter().any(|(_, prediction)| class(prediction).is_some()) {
                let correct = labelled.iter().filter(|(label, p)| class(p) == Some(*label)).count() as u64;
                let samples = labelled.len() as u64;
                verification.accuracy.push(Accuracy { witness: witness.to_string(), correct, samples });
            }
        }
        if plan.other_tool.is_some() {
            verification.other_tool = Some(fold_tool(outcomes));
        }
        verification
    }

    fn float_divergence(
        &self,
        steps: u32,
        at: usize,
        mark: Mark,
        input: &SampleInput,
    ) -> Result<FloatDivergence, Diagnostics> {
        let layer = &self.layers[mark.layer];
        let neuron = mark.neuron as usize;
        let chip_step = mark.step + layer.latency;
        let float = self.run_float(input, mark.step.min(steps), vec![layer.name.clone()])?;
        let (integer, _) = self.run_integer(input, chip_step, vec![layer.id])?;
        let traced = float.as_ref().and_then(|trace| trace.population(&layer.name));
        let spikes = traced.and_then(|population| population.spikes.as_ref());
        let float_spikes = spikes.is_some_and(|train| train.at(mark.step).contains(&mark.neuron));
        let (units, offset) = self.canonical(layer)(neuron);
        let float_v = |step: u32| {
            let row = (step as usize).checked_sub(1)? * layer.len;
            traced?.states.as_ref()?.v.get(row + neuron).map(|v| v - offset)
        };
        let integer_v = |step: u32| {
            let row = (step as usize).checked_sub(1)? * layer.len;
            let v = integer.state[0].v.get(row + neuron).filter(|v| !layer.subtracts || **v != 0);
            v.map(|v| *v as f64 / units)
        };
        let threshold = self.witnesses.compiled.threshold(layer.id, neuron, self.witnesses.model);
        Ok(FloatDivergence {
            sample: at as u64,
            network_step: mark.step,
            chip_step,
            population: layer.name.clone(),
            neuron: mark.neuron,
            index: index_of(mark.neuron, &layer.shape),
            float_spikes,
            float_v_before: float_v(mark.step - 1),
            integer_v_before: if mark.step > 1 { integer_v(chip_step - 1) } else { None },
            silent_v: if float_spikes { integer_v(chip_step) } else { float_v(mark.step) },
            threshold: threshold / units,
        })
    }
}

/// Values that differ; a list that is shorter differs in what it lacks.
fn unequal(ours: &[i64], theirs: &[i64]) -> u64 {
    let common = ours.iter().zip(theirs).filter(|(a, b)| a != b).count();
    (common + ours.len().abs_diff(theirs.len())) as u64
}

fn fold_tool(outcomes: &[Outcome]) -> OtherToolComparison {
    let mut comparison = OtherToolComparison::default();
    for row in outcomes.iter().flat_map(|outcome| &outcome.tool) {
        match comparison.populations.iter_mut().find(|sum| sum.population == row.population) {
            Some(sum) => {
                sum.tool_spikes += row.tool_spikes;
                sum.chip_spikes += row.chip_spikes;
                sum.chip_mismatches += row.chip_mismatches;
                sum.float_mismatches = sum.float_mismatches.zip(row.float_mismatches).map(|(a, b)| a + b);
            }
            None => comparison.populations.push(row.clone()),
        }
    }
    comparison.first_with_chip = outcomes.iter().find_map(|outcome| outcome.tool_first_chip.clone());
    comparison.first_with_float = outcomes.iter().find_map(|outcome| outcome.tool_first_float.clone());
    comparison
}
