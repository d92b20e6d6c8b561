//! Calibration data, as the trained and as the spiking network take it.

use snncc_data::{Coding, DEFAULT_DELTA, Encoded, InputCoding, SampleValues, Samples, Stimulus, encode_with};
use snncc_ids::{AnnNodeId, Diagnostic, Diagnostics, code};
use snncc_ir::ann::Ann;
use snncc_reference::float::FloatInput;

/// Unlabelled samples of every input of the trained network, in the order of the inputs.
pub struct CalibrationData<'a> {
    ports: Vec<(String, &'a Samples)>,
    values: Vec<Vec<f32>>,
    ranges: Vec<(f64, f64)>,
    count: usize,
    coding: Coding,
    seed: u64,
}

/// A coded sample.
pub(crate) struct CodedSample {
    spikes: Stimulus,
    analog: Vec<(String, Vec<f64>)>,
}

impl CodedSample {
    pub(crate) fn input(&self) -> FloatInput<'_> {
        FloatInput { spikes: &self.spikes, analog: self.analog.clone() }
    }
}

impl<'a> CalibrationData<'a> {
    /// The first `most` samples for the inputs of `ann`. `coding` is what the spiking network will be fed with.
    ///
    /// # Errors
    /// SNN0303 where the samples do not suit the inputs.
    pub fn new(
        ann: &Ann,
        samples: &[&'a Samples],
        most: usize,
        coding: Coding,
        seed: u64,
    ) -> Result<Self, Diagnostics> {
        let inputs: Vec<AnnNodeId> = ann.inputs().collect();
        let refuse = |message: String, item: String| Diagnostic::error(code::CALIBRATION_NEEDED, message).at(item);
        if inputs.len() != samples.len() {
            let message =
                format!("the network has {} inputs, calibration data is given for {}", inputs.len(), samples.len());
            return Err(refuse(message, "graph".into()).into());
        }
        let mut data = Self { ports: Vec::new(), values: Vec::new(), ranges: Vec::new(), count: most, coding, seed };
        for (id, samples) in inputs.into_iter().zip(samples) {
            let node = &ann.nodes()[id];
            let elements: usize = node.shape.iter().product();
            if samples.elements() != elements || samples.steps.is_some() || samples.count == 0 {
                let given = match samples.steps {
                    Some(steps) => format!("{steps} steps of {} values", samples.elements()),
                    None => format!("{} samples of shape {:?}", samples.count, samples.shape),
                };
                let message =
                    format!("the data has {given}; input `{}` takes one value of shape {:?}", node.name, node.shape);
                return Err(refuse(message, ann.item(id))
                    .help("give samples of the training set as they are fed to the trained network")
                    .into());
            }
            data.count = data.count.min(samples.count);
            data.ports.push((node.name.trim_matches('/').replace('/', "."), samples));
        }
        for (_, samples) in &data.ports {
            let values = analog(samples, data.count);
            let (low, high) = values.iter().fold((0.0_f32, 1.0_f32), |(low, high), v| (low.min(*v), high.max(*v)));
            if !values.iter().all(|value| value.is_finite()) {
                return Err(
                    refuse("the calibration data holds values that are not numbers".into(), "graph".into()).into()
                );
            }
            data.ranges.push((low.into(), high.into()));
            data.values.push(values);
        }
        Ok(data)
    }

    /// Number of samples.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What the trained network is fed: one slice per input, sample after sample.
    pub fn values(&self) -> Vec<&[f32]> {
        self.values.iter().map(Vec::as_slice).collect()
    }

    /// Smallest and largest value that each input takes; 0 and 1 at least.
    pub fn ranges(&self) -> &[(f64, f64)] {
        &self.ranges
    }

    /// Names of the inputs.
    pub fn ports(&self) -> impl Iterator<Item = &str> {
        self.ports.iter().map(|(name, _)| name.as_str())
    }

    /// How the spiking network is fed.
    pub fn coding(&self) -> Coding {
        self.coding
    }

    /// The spikes of a sample.
    pub(crate) fn stimulus(&self, sample: usize, steps: u32) -> Result<CodedSample, Diagnostics> {
        let mut coded = CodedSample { spikes: Stimulus::default(), analog: Vec::new() };
        for ((port, samples), range) in self.ports.iter().zip(&self.ranges) {
            let range = (*range != (0.0, 1.0)).then_some(*range);
            let input = InputCoding { coding: self.coding, range, delta: DEFAULT_DELTA };
            match encode_with(samples, sample, &input, port, steps, self.seed)? {
                Encoded::Spikes(spikes) => coded.spikes.ports.push(spikes),
                Encoded::Current(values) => coded.analog.push((port.clone(), values)),
            }
        }
        Ok(coded)
    }
}

/// The first `count` samples as the trained network takes them.
fn analog(samples: &Samples, count: usize) -> Vec<f32> {
    let len = count * samples.elements();
    match &samples.values {
        SampleValues::U8 { values, full_scale } => {
            values[..len].iter().map(|level| f32::from(*level) / f32::from(*full_scale)).collect()
        }
        SampleValues::U16 { values, full_scale } => {
            values[..len].iter().map(|level| f32::from(*level) / f32::from(*full_scale)).collect()
        }
        SampleValues::F32(values) => values[..len].to_vec(),
        SampleValues::Spikes(trains) => trains[..count]
            .iter()
            .flat_map(|train| {
                let steps = f64::from(train.steps().max(1));
                train.counts().into_iter().map(move |count| (count as f64 / steps) as f32)
            })
            .collect(),
    }
}
