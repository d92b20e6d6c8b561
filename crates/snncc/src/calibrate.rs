//! Calibration: what the float network does on data, for the quantizer and the placer.
//!
//! Samples run in parallel and are folded in order, so the statistics do not depend on the number of threads.

use crate::data::Data;
use crate::session::Session;
use rayon::prelude::*;
use snncc_compile::{Calibration, PopulationStatistics};
use snncc_ids::Diagnostics;
use snncc_ir::{Network, Node};
use snncc_reference::float::{FloatInput, FloatNetwork, FloatOptions, PopulationTrace, Record};

/// Most membrane values recorded in one sample; a network with more gives rates only.
const STATE_LIMIT: usize = 1 << 25;

/// Statistics of one population, while samples are added.
struct Sums {
    name: String,
    counts: Vec<f64>,
    v_min: f64,
    v_max: f64,
}

/// What a calibration gave.
pub(crate) struct Calibrated {
    pub(crate) calibration: Calibration,
    /// Correct predictions of the float network, where there were labels.
    pub(crate) correct: Option<usize>,
}

/// Runs the float network on the data.
///
/// # Errors
/// What the float reference says of network and data.
pub(crate) fn calibrate(session: &Session, network: &Network, data: &Data) -> Result<Calibrated, Diagnostics> {
    let float = FloatNetwork::new(network, &FloatOptions::default())?;
    let neurons: Vec<(String, f64)> = network
        .nodes
        .iter()
        .filter_map(|node| match &node.node {
            Node::Neuron(neuron) => {
                let thresholds = neuron.v_threshold.values().iter().copied();
                let threshold =
                    if neuron.model.spikes() { thresholds.fold(f64::NEG_INFINITY, f64::max) } else { f64::NAN };
                Some((node.name.clone(), threshold))
            }
            _ => None,
        })
        .collect();
    let names: Vec<String> = neurons.iter().map(|(name, _)| name.clone()).collect();
    let bar = session.bar("calibrating", data.count as u64);
    let run = |sample: usize| -> Result<(Vec<Sums>, Option<bool>), Diagnostics> {
        let coded = data.sample(sample)?;
        let input = FloatInput { spikes: &coded.stimulus, analog: coded.analog };
        let lens = data.steps as usize * float_neurons(network);
        let states_of = if lens <= STATE_LIMIT { names.clone() } else { Vec::new() };
        let trace = float.run(&input, data.steps, &Record { spikes: true, outputs: false, states_of })?;
        let threshold = |name: &str| neurons.iter().find(|(known, _)| known == name).map_or(f64::NAN, |(_, t)| *t);
        let sums = trace.populations.iter().map(|population| {
            let analog = input.analog.iter().find(|(port, _)| population.is_input && *port == population.name);
            Sums::of(population, threshold(&population.name), analog.map(|(_, values)| values.as_slice()), data.steps)
        });
        let sums = sums.collect();
        let class = trace.outputs.first().map(|output| output.class());
        let correct = data.labels.as_ref().zip(class).map(|(labels, class)| labels[sample] as usize == class);
        bar.inc(1);
        Ok((sums, correct))
    };
    let samples: Vec<_> = (0..data.count).into_par_iter().map(run).collect();
    bar.finish_and_clear();
    let mut total: Vec<Sums> = Vec::new();
    let mut correct = None;
    for sample in samples {
        let (sums, right) = sample?;
        if let Some(right) = right {
            *correct.get_or_insert(0) += usize::from(right);
        }
        if total.is_empty() {
            total = sums;
        } else {
            total.iter_mut().zip(sums).for_each(|(total, sums)| total.add(&sums));
        }
    }
    let steps = data.count as f64 * f64::from(data.steps);
    let populations = total.into_iter().map(|sums| sums.statistics(steps)).collect();
    Ok(Calibrated { calibration: Calibration { populations }, correct })
}

/// Neurons whose states a sample records, as far as shapes are written out.
fn float_neurons(network: &Network) -> usize {
    let shapes = network.nodes.iter().filter_map(|node| match &node.node {
        Node::Neuron(neuron) => Some(neuron.shape.as_ref().map_or(1, |shape| shape.iter().product())),
        _ => None,
    });
    shapes.sum()
}

impl Sums {
    /// Of one sample. `threshold` is the highest of the population; NaN where it does not spike.
    fn of(population: &PopulationTrace, threshold: f64, analog: Option<&[f64]>, steps: u32) -> Self {
        let mut sums =
            Self { name: population.name.clone(), counts: Vec::new(), v_min: f64::INFINITY, v_max: f64::NEG_INFINITY };
        if let Some(train) = &population.spikes {
            sums.counts = train.counts().into_iter().map(f64::from).collect();
        }
        if let Some(values) = analog {
            sums.counts = values.iter().map(|value| value * f64::from(steps)).collect();
        }
        if let Some(states) = &population.states {
            let neurons =
                population.spikes.as_ref().map_or(states.v.len() / steps.max(1) as usize, |t| t.neurons as usize);
            let mut largest_rise = 0.0_f64;
            for (at, v) in states.v.iter().enumerate() {
                sums.v_min = sums.v_min.min(*v);
                sums.v_max = sums.v_max.max(*v);
                if at >= neurons {
                    largest_rise = largest_rise.max(v - states.v[at - neurons]);
                }
            }
            // States are recorded after the reset. Where the population fired, its membrane went beyond the threshold by
            // at most what it rises in a step.
            if population.spike_count > 0 && threshold.is_finite() {
                sums.v_max = sums.v_max.max(threshold + largest_rise);
            }
        }
        sums
    }

    fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self.v_min = self.v_min.min(other.v_min);
        self.v_max = self.v_max.max(other.v_max);
    }

    fn statistics(self, steps: f64) -> PopulationStatistics {
        PopulationStatistics {
            name: self.name,
            rates: self.counts.iter().map(|count| count / steps).collect(),
            // Not measured by the float reference; no stage reads it.
            input_max: f64::NAN,
            v_min: self.v_min,
            v_max: self.v_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snncc_data::SpikeTrain;
    use snncc_ids::NodeId;
    use snncc_reference::float::States;

    /// One neuron of threshold 1 that rises by 0.6 and fires in step 2: 0.6, (1.2 →) 0, 0.6.
    #[test]
    fn rates_and_the_room_above_the_threshold() {
        let trace = |fires: &[(u32, u32)]| PopulationTrace {
            node: NodeId(0),
            name: "a".into(),
            is_input: false,
            spike_count: fires.len() as u64,
            spikes: Some(SpikeTrain::from_events(1, 3, fires).unwrap()),
            states: Some(States { v: vec![0.6, 0.0, 0.6], i: vec![] }),
        };
        let mut sums = Sums::of(&trace(&[(2, 0)]), 1.0, None, 3);
        sums.add(&Sums::of(&trace(&[]), 1.0, None, 3));
        let statistics = sums.statistics(6.0);
        assert_eq!(statistics.rates, [1.0 / 6.0]);
        assert_eq!((statistics.v_min, statistics.v_max), (0.0, 1.6));
    }
}
