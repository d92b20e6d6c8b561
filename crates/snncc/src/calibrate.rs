//! Calibration: what the float network does on data, for the quantizer and the placer.
//!
//! Samples run in parallel and are folded in order, so the statistics do not depend on the number of threads.

use crate::data::Data;
use crate::session::Session;
use rayon::prelude::*;
use snncc_compile::{Calibration, PopulationStatistics};
use snncc_ids::Diagnostics;
use snncc_ir::Network;
use snncc_reference::float::{FloatInput, FloatNetwork, FloatOptions, PopulationTrace, Record};

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
    let bar = session.bar("calibrating", data.count as u64);
    let run = |sample: usize| -> Result<(Vec<PopulationStatistics>, Option<bool>), Diagnostics> {
        let coded = data.sample(sample)?;
        let input = FloatInput { spikes: &coded.stimulus, analog: coded.analog };
        let trace = float.observe(&input, data.steps, &Record::default())?;
        let class = trace.outputs.first().map(|output| output.class());
        let correct = data.labels.as_ref().zip(class).map(|(labels, class)| labels[sample] as usize == class);
        bar.inc(1);
        Ok((trace.populations.iter().filter_map(statistics).collect(), correct))
    };
    let samples: Vec<_> = (0..data.count).into_par_iter().map(run).collect();
    bar.finish_and_clear();
    let mut total: Vec<PopulationStatistics> = Vec::new();
    let mut correct = None;
    for sample in samples {
        let (populations, right) = sample?;
        if let Some(right) = right {
            *correct.get_or_insert(0) += usize::from(right);
        }
        if total.is_empty() {
            total = populations;
        } else {
            total.iter_mut().zip(&populations).for_each(|(total, sample)| add(total, sample));
        }
    }
    let steps = data.count as f64 * f64::from(data.steps);
    for population in &mut total {
        population.rates.iter_mut().for_each(|rate| *rate /= steps);
    }
    Ok(Calibrated { calibration: Calibration { populations: total }, correct })
}

/// Statistics of one sample; the rates are sums over its steps.
fn statistics(population: &PopulationTrace) -> Option<PopulationStatistics> {
    let found = population.statistics.as_ref()?;
    Some(PopulationStatistics {
        name: population.name.clone(),
        rates: found.activity.clone(),
        input_max: found.input_max,
        v_min: found.v_min,
        v_max: found.v_max,
    })
}

fn add(total: &mut PopulationStatistics, sample: &PopulationStatistics) {
    total.rates.iter_mut().zip(&sample.rates).for_each(|(sum, rate)| *sum += rate);
    total.input_max = total.input_max.max(sample.input_max);
    total.v_min = total.v_min.min(sample.v_min);
    total.v_max = total.v_max.max(sample.v_max);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_add_up_and_extremes_win() {
        let of = |rate: f64, input_max: f64, v_min: f64, v_max: f64| PopulationStatistics {
            name: "a".into(),
            rates: vec![rate, 1.0],
            input_max,
            v_min,
            v_max,
        };
        let mut total = of(2.0, 0.5, -1.0, 3.0);
        add(&mut total, &of(4.0, 0.7, 0.0, 2.0));
        assert_eq!(total, PopulationStatistics { rates: vec![6.0, 2.0], ..of(0.0, 0.7, -1.0, 3.0) });
    }
}
