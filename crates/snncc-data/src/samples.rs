//! A set of samples: what a data file holds, before a coding turns it into spikes.
//!
//! **Invariant:** the values fill `count` samples of `steps` rows of `shape` exactly; [`Samples::new`] checks it.

use crate::SpikeTrain;
use snncc_ids::{Diagnostic, Diagnostics, code};

/// Samples of one input port.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Number of samples.
    pub count: usize,
    /// Shape of one sample in one step; elements are numbered row-major.
    pub shape: Vec<usize>,
    /// Steps of data per sample; `None` where a sample is one value per element, held for the whole run. Spikes always
    /// have steps (of the longest sample).
    pub steps: Option<u32>,
    /// The values.
    pub values: SampleValues,
    /// Class of each sample, where known.
    pub labels: Option<Vec<u32>>,
}

/// Values of samples. Levels are `(samples, steps, elements)`, row-major; without steps that dimension is left out.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValues {
    /// Levels from 0 to `full_scale`.
    U8 {
        /// The levels.
        values: Vec<u8>,
        /// The level that means 1 (255 unless the data says otherwise).
        full_scale: u8,
    },
    /// Levels from 0 to `full_scale`.
    U16 {
        /// The levels.
        values: Vec<u16>,
        /// The level that means 1 (65535 unless the data says otherwise).
        full_scale: u16,
    },
    /// Levels from 0 to 1 for spike codings; any finite number for constant currents.
    F32(Vec<f32>),
    /// One spike train per sample.
    Spikes(Vec<SpikeTrain>),
}

impl SampleValues {
    /// Number of stored values (of trains, for spikes).
    pub fn len(&self) -> usize {
        match self {
            Self::U8 { values, .. } => values.len(),
            Self::U16 { values, .. } => values.len(),
            Self::F32(values) => values.len(),
            Self::Spikes(trains) => trains.len(),
        }
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Samples {
    /// Samples without labels.
    ///
    /// # Errors
    /// `SNN0107` if the number of values is not `count · steps · elements`, or a sample has 2³² elements or more.
    pub fn new(count: usize, shape: Vec<usize>, steps: Option<u32>, values: SampleValues) -> Result<Self, Diagnostics> {
        let elements = shape.iter().copied().try_fold(1_usize, usize::checked_mul);
        let elements = elements
            .filter(|elements| u32::try_from(*elements).is_ok())
            .ok_or_else(|| fault(format!("a sample of shape {shape:?} has more than {} elements", u32::MAX)))?;
        let (expected, holds) = match &values {
            SampleValues::Spikes(trains) => {
                if let Some(train) = trains.iter().find(|train| train.neurons as usize != elements) {
                    return Err(fault(format!(
                        "a spike train has {} neurons, the samples {elements} elements",
                        train.neurons
                    )));
                }
                (Some(count), trains.len())
            }
            levels => {
                let rows = count.checked_mul(steps.map_or(1, |steps| steps as usize));
                (rows.and_then(|rows| rows.checked_mul(elements)), levels.len())
            }
        };
        if expected != Some(holds) {
            return Err(fault(format!(
                "{count} samples of shape {shape:?} and steps {steps:?} do not hold {holds} values"
            )));
        }
        Ok(Self { count, shape, steps, values, labels: None })
    }

    /// Elements of one sample in one step.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Adds the class of each sample.
    ///
    /// # Errors
    /// `SNN0107` if there are not as many labels as samples.
    pub fn with_labels(mut self, labels: Vec<u32>) -> Result<Self, Diagnostics> {
        if labels.len() != self.count {
            return Err(fault(format!("{} labels for {} samples", labels.len(), self.count)));
        }
        self.labels = Some(labels);
        Ok(self)
    }

    /// Says which level means 1, for levels that do not use their type's whole range (such as 0 to 16).
    ///
    /// # Errors
    /// `SNN0107` if the samples have no integer levels, or `full_scale` is 0 or beyond their type.
    pub fn with_full_scale(mut self, full_scale: u32) -> Result<Self, Diagnostics> {
        let accepted = match &mut self.values {
            SampleValues::U8 { full_scale: old, .. } => u8::try_from(full_scale).ok().map(|new| *old = new),
            SampleValues::U16 { full_scale: old, .. } => u16::try_from(full_scale).ok().map(|new| *old = new),
            SampleValues::F32(_) | SampleValues::Spikes(_) => None,
        };
        if accepted.is_none() || full_scale == 0 {
            return Err(fault(format!("full scale {full_scale} does not suit samples of {}", self.kind())));
        }
        Ok(self)
    }

    /// What the values are, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.values {
            SampleValues::U8 { .. } => "8-bit levels",
            SampleValues::U16 { .. } => "16-bit levels",
            SampleValues::F32(_) => "floats",
            SampleValues::Spikes(_) => "spikes",
        }
    }
}

fn fault(message: String) -> Diagnostics {
    Diagnostic::error(code::DATA_FILE, message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(count: usize, steps: Option<u32>, len: usize) -> Result<Samples, Diagnostics> {
        Samples::new(count, vec![2, 2], steps, SampleValues::U8 { values: vec![0; len], full_scale: 255 })
    }

    #[test]
    fn sizes_must_agree() {
        assert!(levels(3, None, 12).is_ok());
        assert!(levels(3, Some(5), 60).is_ok());
        assert!(levels(3, None, 13).unwrap_err().to_string().contains("13 values"));
        assert!(Samples::new(usize::MAX, vec![2], Some(9), SampleValues::F32(vec![])).is_err());
        assert!(Samples::new(1, vec![usize::MAX, 2], None, SampleValues::F32(vec![])).is_err());
        assert!(Samples::new(1, vec![3], Some(1), SampleValues::Spikes(vec![SpikeTrain::silent(2, 1)])).is_err());
    }

    #[test]
    fn labels_and_full_scale_are_checked() {
        let samples = levels(2, None, 8).unwrap();
        assert!(samples.clone().with_labels(vec![1]).is_err());
        assert_eq!(samples.clone().with_labels(vec![1, 0]).unwrap().labels, Some(vec![1, 0]));
        assert!(samples.clone().with_full_scale(0).is_err());
        assert!(samples.clone().with_full_scale(256).is_err());
        let SampleValues::U8 { full_scale, .. } = samples.with_full_scale(16).unwrap().values else { panic!() };
        assert_eq!(full_scale, 16);
    }
}
