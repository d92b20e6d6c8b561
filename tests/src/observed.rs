//! What the populations of a network did in a run, on whatever ran it, and where two runs part.

use snncc_chip::HardwareModel;
use snncc_data::{SpikeTrain, Stimulus};
use snncc_emu::{Emulator, Program, RunOptions, Selection};
use snncc_ids::Diagnostics;
use snncc_ir::{PopulationRole, QuantizedIr};
use snncc_reference::{IntegerInput, IntegerNetwork, IntegerRecord};
use snncc_verify::added_bias;

/// State and spikes of a population over a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Name of the population.
    pub group: String,
    /// Current after each step, `(steps, neurons)`.
    pub u: Vec<i64>,
    /// Voltage after each step, `(steps, neurons)`.
    pub v: Vec<i64>,
    /// Spikes; payloads −1 where a ternary compartment fired below.
    pub spikes: SpikeTrain,
}

/// Runs the integer reference for `steps` chip steps.
///
/// # Errors
/// If the stimulus does not fit the network.
pub fn on_reference(
    ir: &QuantizedIr,
    model: &HardwareModel,
    stimulus: &Stimulus,
    steps: u32,
) -> Result<Vec<Observed>, Diagnostics> {
    let populations = ir.graph.populations.iter_with_ids();
    let neurons = populations.filter(|(_, population)| population.role == PopulationRole::Neurons);
    let record = IntegerRecord { state: neurons.map(|(id, _)| id).collect() };
    let added = added_bias(stimulus, ir, model)?;
    let input = IntegerInput { ports: &stimulus.ports, added_bias: &added };
    let trace = IntegerNetwork::new(ir, model).run(&input, steps, &record)?;
    let observed = trace.state.into_iter().map(|state| Observed {
        group: ir.graph.populations[state.population].name.clone(),
        u: state.u,
        v: state.v,
        spikes: trace.spikes[state.population].clone(),
    });
    Ok(observed.collect())
}

/// Runs the emulator for `steps` chip steps.
///
/// # Errors
/// If the stimulus does not fit the image.
pub fn on_emulator(program: &Program, stimulus: &Stimulus, steps: u32) -> Result<Vec<Observed>, Diagnostics> {
    let stimulus = program.prepare(stimulus)?;
    let options = RunOptions { spikes: Selection::All, states: Selection::All, ..RunOptions::default() };
    let trace = Emulator::new(program).run(&stimulus, steps, &options);
    let observed = program.populations().zip(trace.populations).map(|((name, _, _), population)| {
        let states = population.states.expect("states were asked for");
        let spikes = population.spikes.expect("spikes were asked for");
        Observed { group: name.to_string(), u: states.u, v: states.v, spikes }
    });
    Ok(observed.collect())
}

/// Whether every group of `expected` was `found` to do the same in all steps.
///
/// # Errors
/// The first difference, by step, then group.
pub fn compare(expected: &[Observed], found: &[Observed], steps: u32) -> Result<(), String> {
    let mut first: Option<(u32, String)> = None;
    for expected in expected {
        let group = &expected.group;
        let found = found.iter().find(|observed| observed.group == *group);
        let found = found.ok_or_else(|| format!("group `{group}` was not observed"))?;
        let difference = expected.difference(found, steps);
        if let Some((step, what)) = difference
            && first.as_ref().is_none_or(|(earliest, _)| step < *earliest)
        {
            first = Some((step, format!("step {step}, group `{group}`: {what}")));
        }
    }
    first.map_or(Ok(()), |(_, what)| Err(what))
}

impl Observed {
    /// The first step in which `found` differs, and how.
    fn difference(&self, found: &Self, steps: u32) -> Option<(u32, String)> {
        let n = self.spikes.neurons as usize;
        for (step, at) in (1..=steps).map(|step| (step, (step as usize - 1) * n)) {
            for (name, ours, theirs) in [("u", &found.u, &self.u), ("v", &found.v, &self.v)] {
                let (Some(ours), Some(theirs)) = (ours.get(at..at + n), theirs.get(at..at + n)) else {
                    return Some((step, format!("{name} ends before the step")));
                };
                if let Some(neuron) = (0..n).find(|neuron| ours[*neuron] != theirs[*neuron]) {
                    let (ours, theirs) = (ours[neuron], theirs[neuron]);
                    return Some((step, format!("{name} of neuron {neuron} is {ours}, expected {theirs}")));
                }
            }
            let events = |train: &SpikeTrain| -> Vec<(u32, i32)> {
                let payloads = train.payloads_at(step);
                let payload = |at: usize| payloads.map_or(1, |payloads| payloads[at]);
                train.at(step).iter().enumerate().map(|(at, neuron)| (*neuron, payload(at))).collect()
            };
            let (ours, theirs) = (events(&found.spikes), events(&self.spikes));
            if ours != theirs {
                return Some((step, format!("spikes {ours:?}, expected {theirs:?}")));
            }
        }
        None
    }
}
