//! Codings: from the values of a sample to spikes in steps, or to a constant current.
//!
//! Levels are integers `level / scale`: 8-bit data has scale 255, 16-bit data 65535. Floats in `[0, 1]` are first rounded
//! to 16 bits (`level = ⌊65535·x + ½⌋`, scale 65535), so that `k/255` as a float codes exactly like the byte `k`, and sums
//! over steps are exact.
//!
//! | Coding | Spikes of an element with `x = level / scale` |
//! |---|---|
//! | rate | `acc` starts at 0; each step `acc += level`; if `acc ≥ scale`: a spike, `acc −= scale`. `⌊T·x⌋` spikes in T steps |
//! | poisson | in each step with probability `x`, drawn from the stream (seed, PoissonCoding, sample, port) |
//! | latency | one, at `t = 1 + ⌊(1−x)(T−1) + ½⌋`; none where `level = 0` |
//! | spikes | those of the data |
//! | current | none: `x` itself is the analog value of every step |
//!
//! Data with steps of its own feeds row `t − 1` in step `t`; past its end the levels are 0.

use crate::{PortStimulus, Purpose, RandomStream, SampleValues, Samples, SpikeTrain};
use snncc_ids::{Diagnostic, Diagnostics, code};

/// How values become input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// The value as a constant analog input, computed on the host.
    ConstantCurrent,
    /// Deterministic spikes at a rate proportional to the value.
    Rate,
    /// Random spikes with the value as probability.
    Poisson,
    /// One spike, the earlier the larger the value.
    Latency,
    /// Spikes (plain or graded) as the data gives them.
    Spikes,
}

impl Coding {
    /// Every coding.
    pub const ALL: [Coding; 5] = [Self::ConstantCurrent, Self::Rate, Self::Poisson, Self::Latency, Self::Spikes];

    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConstantCurrent => "current",
            Self::Rate => "rate",
            Self::Poisson => "poisson",
            Self::Latency => "latency",
            Self::Spikes => "spikes",
        }
    }

    /// The coding of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| coding.name() == name)
    }

    /// The coding to take where none is asked for: spikes for spikes, rate for levels.
    pub fn default_for(samples: &Samples) -> Self {
        match samples.values {
            SampleValues::Spikes(_) => Self::Spikes,
            _ => Self::Rate,
        }
    }
}

/// A coded sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Encoded {
    /// Spikes for the port.
    Spikes(PortStimulus),
    /// One analog value per element, the same in every step; levels are divided by their full scale.
    Current(Vec<f64>),
}

/// Codes sample `sample` for `steps` steps of port `port`.
///
/// # Errors
/// `SNN0210` if there is no such sample, the coding does not suit the data (spikes cannot be rate-coded; data with steps
/// has no latency and no constant current), or a level lies outside its range.
pub fn encode(
    samples: &Samples,
    sample: usize,
    coding: Coding,
    port: &str,
    steps: u32,
    seed: u64,
) -> Result<Encoded, Diagnostics> {
    let fault = |message: String| Diagnostic::error(code::STIMULUS_MISMATCH, message).at(format!("nodes/{port}"));
    if sample >= samples.count {
        return Err(fault(format!("sample {sample} of {} does not exist; samples count from 0", samples.count)).into());
    }
    let given_spikes = matches!(samples.values, SampleValues::Spikes(_));
    if given_spikes != (coding == Coding::Spikes) {
        let suited = if given_spikes { "spikes" } else { "rate, poisson, latency or current" };
        return Err(fault(format!("coding `{}` does not suit data of {}", coding.name(), samples.kind()))
            .help(format!("use the coding {suited}"))
            .into());
    }
    if matches!(coding, Coding::Latency | Coding::ConstantCurrent)
        && let Some(data_steps) = samples.steps
    {
        return Err(fault(format!(
            "coding `{}` needs one value per element, the data has {data_steps} steps",
            coding.name()
        ))
        .help("use the coding rate or poisson")
        .into());
    }
    if let SampleValues::Spikes(trains) = &samples.values {
        return Ok(spikes(port, trains[sample].clone().with_steps(steps)));
    }
    if coding == Coding::ConstantCurrent {
        return current(samples, sample).map(Encoded::Current).map_err(|message| fault(message).into());
    }
    let levels = Levels::of(samples, sample).map_err(fault)?;
    let train = match coding {
        Coding::Rate => rate(&levels, steps),
        Coding::Poisson => {
            poisson(&levels, steps, &mut RandomStream::new(seed, Purpose::PoissonCoding, sample as u64, port))
        }
        Coding::Latency => latency(&levels, steps).map_err(|error| fault(error.to_string()))?,
        Coding::ConstantCurrent | Coding::Spikes => unreachable!("bug in snncc: handled above"),
    };
    Ok(spikes(port, train))
}

fn spikes(port: &str, spikes: SpikeTrain) -> Encoded {
    Encoded::Spikes(PortStimulus { port: port.to_owned(), spikes })
}

/// Values of one sample as fractions `level / scale` with levels from 0 to `scale`.
struct Levels {
    /// `(rows, elements)`.
    values: Vec<u32>,
    elements: usize,
    scale: u32,
    /// Whether the single row is held for the whole run.
    held: bool,
}

impl Levels {
    fn of(samples: &Samples, sample: usize) -> Result<Self, String> {
        let elements = samples.elements();
        let len = samples.steps.map_or(1, |steps| steps as usize) * elements;
        let range = sample * len..(sample + 1) * len;
        let (values, scale): (Vec<u32>, u32) = match &samples.values {
            SampleValues::U8 { values, full_scale } => {
                (values[range].iter().map(|&level| level.into()).collect(), (*full_scale).into())
            }
            SampleValues::U16 { values, full_scale } => {
                (values[range].iter().map(|&level| level.into()).collect(), (*full_scale).into())
            }
            SampleValues::F32(values) => {
                let values = &values[range];
                if let Some(at) = values.iter().position(|value| !(0.0..=1.0).contains(value)) {
                    return Err(format!("element {at} of sample {sample} is {}, outside 0 to 1", values[at]));
                }
                let scale = u32::from(u16::MAX);
                (values.iter().map(|&value| (f64::from(value) * f64::from(scale)).round() as u32).collect(), scale)
            }
            SampleValues::Spikes(_) => unreachable!("bug in snncc: spikes have no levels"),
        };
        if let Some(at) = values.iter().position(|level| *level > scale) {
            return Err(format!("element {at} of sample {sample} is {}, beyond full scale {scale}", values[at]));
        }
        Ok(Self { values, elements, scale, held: samples.steps.is_none() })
    }

    /// Levels in step `t`; `None` past the end of the data.
    fn at(&self, t: u32) -> Option<&[u32]> {
        let row = if self.held { 0 } else { t as usize - 1 };
        self.values.get(row * self.elements..(row + 1) * self.elements)
    }

    fn silent(&self) -> SpikeTrain {
        SpikeTrain::new(self.elements as u32)
    }
}

fn rate(levels: &Levels, steps: u32) -> SpikeTrain {
    let mut train = levels.silent();
    let mut accumulators = vec![0_u32; levels.elements];
    for t in 1..=steps {
        let row = levels.at(t).unwrap_or(&[]);
        train.push_step((0..).zip(row).zip(&mut accumulators).filter_map(|((element, level), accumulator)| {
            *accumulator += level;
            let spike = *accumulator >= levels.scale;
            *accumulator -= if spike { levels.scale } else { 0 };
            spike.then_some(element)
        }));
    }
    train
}

fn poisson(levels: &Levels, steps: u32, stream: &mut RandomStream) -> SpikeTrain {
    let mut train = levels.silent();
    for t in 1..=steps {
        let row = levels.at(t).unwrap_or(&[]);
        train.push_step(
            (0..).zip(row).filter_map(|(element, &level)| {
                (stream.below(levels.scale.into()) < u64::from(level)).then_some(element)
            }),
        );
    }
    train
}

fn latency(levels: &Levels, steps: u32) -> Result<SpikeTrain, crate::SpikeFault> {
    let scale = u64::from(levels.scale);
    let last = u64::from(steps.saturating_sub(1));
    let row = levels.at(1).filter(|_| steps > 0).unwrap_or(&[]);
    let events: Vec<(u32, u32)> = (0..)
        .zip(row)
        .filter(|(_, level)| **level > 0)
        .map(|(element, &level)| {
            let delay = (2 * (scale - u64::from(level)) * last + scale) / (2 * scale);
            (1 + delay as u32, element)
        })
        .collect();
    SpikeTrain::from_events(levels.elements as u32, steps, &events)
}

fn current(samples: &Samples, sample: usize) -> Result<Vec<f64>, String> {
    let elements = samples.elements();
    let range = sample * elements..(sample + 1) * elements;
    match &samples.values {
        SampleValues::U8 { values, full_scale } => {
            Ok(values[range].iter().map(|&level| f64::from(level) / f64::from(*full_scale)).collect())
        }
        SampleValues::U16 { values, full_scale } => {
            Ok(values[range].iter().map(|&level| f64::from(level) / f64::from(*full_scale)).collect())
        }
        SampleValues::F32(values) => match values[range.clone()].iter().position(|value| !value.is_finite()) {
            Some(at) => Err(format!("element {at} of sample {sample} is not a number")),
            None => Ok(values[range].iter().map(|&value| value.into()).collect()),
        },
        SampleValues::Spikes(_) => unreachable!("bug in snncc: spikes are no current"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[u8]) -> Samples {
        let values = SampleValues::U8 { values: values.to_vec(), full_scale: 255 };
        Samples::new(1, vec![values.len()], None, values).unwrap()
    }

    fn floats(values: &[f32]) -> Samples {
        Samples::new(1, vec![values.len()], None, SampleValues::F32(values.to_vec())).unwrap()
    }

    fn train(samples: &Samples, coding: Coding, steps: u32) -> SpikeTrain {
        match encode(samples, 0, coding, "input", steps, 1).unwrap() {
            Encoded::Spikes(port) => port.spikes,
            Encoded::Current(_) => panic!("no spikes"),
        }
    }

    /// By hand: 100 reaches 300 at step 3 (rest 45), 345 at step 6 (rest 90), 290 at step 8 (rest 35).
    #[test]
    fn rate_coding_counts_in_integers() {
        let spikes = train(&bytes(&[100, 255, 0, 128]), Coding::Rate, 8);
        let steps_of = |neuron| (1..=8).filter(|t| spikes.at(*t).contains(&neuron)).collect::<Vec<_>>();
        assert_eq!(steps_of(0), [3, 6, 8]);
        assert_eq!(steps_of(1), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(steps_of(2), []);
        assert_eq!(steps_of(3), [2, 4, 6, 8]);
    }

    #[test]
    fn floats_of_byte_levels_code_like_the_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        let scaled: Vec<f32> = all.iter().map(|&level| f32::from(level) / 255.0).collect();
        for coding in [Coding::Rate, Coding::Latency] {
            assert_eq!(train(&bytes(&all), coding, 300), train(&floats(&scaled), coding, 300));
        }
        assert_eq!(train(&floats(&[0.1]), Coding::Rate, 10).at(10), [0]);
    }

    #[test]
    fn full_scale_sets_the_level_of_one() {
        let values = SampleValues::U8 { values: vec![16, 8], full_scale: 255 };
        let samples = Samples::new(1, vec![2], None, values).unwrap().with_full_scale(16).unwrap();
        assert_eq!(train(&samples, Coding::Rate, 6).counts(), [6, 3]);
        assert_eq!(encode(&samples, 0, Coding::ConstantCurrent, "i", 1, 0).unwrap(), Encoded::Current(vec![1.0, 0.5]));
        let low = samples.with_full_scale(10).unwrap();
        let fault = encode(&low, 0, Coding::Rate, "i", 6, 0).unwrap_err();
        assert!(fault.to_string().contains("element 0 of sample 0 is 16, beyond full scale 10"), "{fault}");
    }

    /// T = 5: x = 1 → 1; x = 0.5 → 1 + 2; x = 51/255 = 0.2 → 1 + round(3.2) = 4; x = 1/255 → 1 + round(3.98) = 5.
    #[test]
    fn latency_puts_large_values_first() {
        let spikes = train(&bytes(&[255, 51, 1, 0]), Coding::Latency, 5);
        assert_eq!(spikes.events().collect::<Vec<_>>(), [(1, 0, 1), (4, 1, 1), (5, 2, 1)]);
        assert_eq!(train(&floats(&[0.5]), Coding::Latency, 5).events().collect::<Vec<_>>(), [(3, 0, 1)]);
        assert_eq!(train(&bytes(&[1]), Coding::Latency, 1).at(1), [0]);
        assert_eq!(train(&bytes(&[1]), Coding::Latency, 0).spike_count(), 0);
    }

    #[test]
    fn poisson_is_seeded_exact_at_the_ends_and_near_its_mean() {
        let samples = bytes(&[0, 255, 64]);
        let spikes = train(&samples, Coding::Poisson, 4000);
        assert_eq!(spikes, train(&samples, Coding::Poisson, 4000));
        let counts = spikes.counts();
        assert_eq!((counts[0], counts[1]), (0, 4000));
        // mean 1003.9, standard deviation 27.4
        assert!((894..1114).contains(&counts[2]), "{counts:?}");
        // A longer run starts with the same spikes: the stream is drawn step by step.
        assert_eq!(train(&samples, Coding::Poisson, 5000).with_steps(4000), spikes);
        let Encoded::Spikes(other) = encode(&samples, 0, Coding::Poisson, "input", 4000, 2).unwrap() else { panic!() };
        assert_ne!(other.spikes, spikes);
    }

    #[test]
    fn data_with_steps_feeds_a_row_a_step_and_then_silence() {
        let values = SampleValues::U8 { values: vec![255, 0, 100, 155], full_scale: 255 };
        let samples = Samples::new(1, vec![2], Some(2), values).unwrap();
        let spikes = train(&samples, Coding::Rate, 4);
        assert_eq!(spikes.events().collect::<Vec<_>>(), [(1, 0, 1)]);
        assert!(encode(&samples, 0, Coding::Latency, "i", 4, 0).unwrap_err().to_string().contains("2 steps"));
        assert!(encode(&samples, 0, Coding::ConstantCurrent, "i", 4, 0).is_err());
    }

    #[test]
    fn spikes_pass_and_misuse_is_told() {
        let given = SpikeTrain::from_dense(2, &[0, 5, 1, 0]).unwrap();
        let samples = Samples::new(1, vec![2], Some(2), SampleValues::Spikes(vec![given.clone()])).unwrap();
        assert_eq!(Coding::default_for(&samples), Coding::Spikes);
        assert_eq!(train(&samples, Coding::Spikes, 3), given.with_steps(3));
        assert!(encode(&samples, 0, Coding::Rate, "i", 3, 0).is_err());
        assert!(encode(&samples, 1, Coding::Spikes, "i", 3, 0).unwrap_err().to_string().contains("sample 1 of 1"));
        assert!(encode(&floats(&[1.5]), 0, Coding::Rate, "i", 3, 0).unwrap_err().to_string().contains("1.5"));
        assert!(encode(&floats(&[f32::NAN]), 0, Coding::ConstantCurrent, "i", 3, 0).is_err());
        assert_eq!(Coding::find("poisson"), Some(Coding::Poisson));
    }
}
