//! Calibration: what the float network does on data, for the quantizer and the placer.
//!
//! Samples run in parallel and are folded in order, so the statistics do not depend on the number of threads.

use crate::data::Data;
use crate::session::Session;
use rayon::prelude::*;
use snncc_ids::Diagnostics;
use snncc_ir::{Calibration, Network};
use snncc_reference::float::{FloatInput, FloatNetwork, FloatOptions, Record};

/// Samples whose statistics are held at once.
const SAMPLES_AT_ONCE: usize = 64;

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
    let run = |sample: usize| -> Result<(Calibration, Option<bool>), Diagnostics> {
        let coded = data.sample(sample)?;
        let input = FloatInput { spikes: &coded.stimulus, analog: coded.analog };
        let trace = float.observe(&input, data.steps, &Record::default())?;
        let class = trace.outputs.first().map(|output| output.class());
        let correct = data.labels.as_ref().zip(class).map(|(labels, class)| labels[sample] as usize == class);
        bar.inc(1);
        Ok((trace.calibration(), correct))
    };
    let (mut calibration, mut correct) = (Calibration::default(), 0);
    for first in (0..data.count).step_by(SAMPLES_AT_ONCE) {
        let samples = first..data.count.min(first + SAMPLES_AT_ONCE);
        for sample in samples.into_par_iter().map(run).collect::<Vec<_>>() {
            let (statistics, is_correct) = sample?;
            calibration.add(&statistics);
            correct += usize::from(is_correct == Some(true));
        }
    }
    bar.finish_and_clear();
    let correct = data.labels.as_ref().map(|_| correct);
    let steps = data.count as f64 * f64::from(data.steps);
    Ok(Calibrated { calibration: calibration.per_step(steps), correct })
}
