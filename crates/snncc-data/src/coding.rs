//! Codings: from the values of a sample to spikes in steps, or to a constant current.
//!
//! Levels are integers `level / scale`: 8-bit data has scale 255, 16-bit data 65535. Floats in `[0, 1]` are first rounded
//! to 16 bits (`level = ⌊65535·x + ½⌋`, scale 65535), so that `k/255` as a float codes exactly like the byte `k`, and sums
//! over steps are exact.
//!
//! An input range `(low, high)` maps values to `x = (value − low) / (high − low)` first, where a value of integer data is its
//! level over the full scale; these `x` are rounded to 16 bits, and become 0 and 1 beyond the range ([`clipped_values`]
//! counts them, for the caller to tell). The range `(0, 1)` leaves integers as they are.
//!
//! | Coding | Spikes of an element with `x = level / scale` |
//! |---|---|
//! | rate | `acc` starts at 0; each step `acc += level`; if `acc ≥ scale`: a spike, `acc −= scale`. `⌊T·x⌋` spikes in T steps |
//! | rate-rounded | the same, with `acc` from half the scale: `⌊T·x + ½⌋` spikes in T steps, the nearest number |
//! | poisson | in each step with probability `x`, drawn from the stream (seed, PoissonCoding, sample, port) |
//! | latency | one, at `t = 1 + ⌊(1−x)(T−1) + ½⌋`; none where `level = 0` |
//! | delta | where a series has moved from `ref` by more than δ: ON if up, OFF if down, and `ref` moves by δ |
//! | spikes | those of the data |
//! | current | none: `x` itself is the analog value of every step; values beyond a range stay what they are |
//!
//! Data with steps of its own feeds row `t − 1` in step `t`; past its end the levels are 0 (delta: they stay).
//!
//! Delta coding has two channels, so that every chip can take it: with `n` elements, neuron `i` is the ON and neuron
//! `n + i` the OFF of element `i` (shape `[2, …]`). `ref` is the value of the first step, and moves once in a step at most.

use crate::{PortStimulus, Purpose, RandomStream, SampleValues, Samples, SpikeTrain};
use snncc_ids::{Diagnostic, Diagnostics, code};

/// The change that makes a spike of delta coding, where nobody says.
pub const DEFAULT_DELTA: f64 = 0.1;

/// Delta coding counts in parts of a level, so that thresholds need not be whole levels.
const PARTS_OF_A_LEVEL: i64 = 1 << 16;

/// How values become input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// The value as a constant analog input, computed on the host.
    ConstantCurrent,
    /// Deterministic spikes at a rate proportional to the value.
    Rate,
    /// As `Rate`, but with the nearest number of spikes rather than the next below: without bias.
    RateRounded,
    /// Random spikes with the value as probability.
    Poisson,
    /// One spike, the earlier the larger the value.
    Latency,
    /// Spikes where a series changes, on an ON and an OFF channel.
    Delta,
    /// Spikes (plain or graded) as the data gives them.
    Spikes,
}

impl Coding {
    /// Every coding.
    pub const ALL: [Coding; 7] =
        [Self::ConstantCurrent, Self::Rate, Self::RateRounded, Self::Poisson, Self::Latency, Self::Delta, Self::Spikes];

    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConstantCurrent => "current",
            Self::Rate => "rate",
            Self::RateRounded => "rate-rounded",
            Self::Poisson => "poisson",
            Self::Latency => "latency",
            Self::Delta => "delta",
            Self::Spikes => "spikes",
        }
    }

    /// The coding of this name; `constant` is another one for `current`.
    pub fn find(name: &str) -> Option<Self> {
        let name = if name == "constant" { Self::ConstantCurrent.name() } else { name };
        Self::ALL.into_iter().find(|coding| coding.name() == name)
    }

    /// Elements of the input port that samples of so many elements are coded for.
    pub fn port_elements(self, elements: usize) -> usize {
        if self == Self::Delta { elements.saturating_mul(2) } else { elements }
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

/// A coding with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputCoding {
    /// The coding.
    pub coding: Coding,
    /// The values that are coded as 0 and 1. `None`: 0 and 1, and a value beyond is refused rather than clipped.
    pub range: Option<(f64, f64)>,
    /// The change that makes a spike of delta coding, as part of the range.
    pub delta: f64,
}

impl From<Coding> for InputCoding {
    /// Without a range, and with [`DEFAULT_DELTA`].
    fn from(coding: Coding) -> Self {
        Self { coding, range: None, delta: DEFAULT_DELTA }
    }
}

/// Codes sample `sample` for `steps` steps of port `port`, with [`encode_with`] and the defaults of the coding's parameters.
///
/// # Errors
/// As [`encode_with`].
pub fn encode(
    samples: &Samples,
    sample: usize,
    coding: Coding,
    port: &str,
    steps: u32,
    seed: u64,
) -> Result<Encoded, Diagnostics> {
    encode_with(samples, sample, &coding.into(), port, steps, seed)
}

/// Codes sample `sample` for `steps` steps of port `port`. Values beyond a range are clipped; [`clipped_values`] counts them.
///
/// # Errors
/// `SNN0210` if there is no such sample, the coding does not suit the data (spikes cannot be rate-coded; data with steps
/// has no latency and no constant current; delta needs steps), the range or δ means nothing, or a value is not finite or
/// lies outside 0 to 1 without a range.
pub fn encode_with(
    samples: &Samples,
    sample: usize,
    input: &InputCoding,
    port: &str,
    steps: u32,
    seed: u64,
) -> Result<Encoded, Diagnostics> {
    let coding = input.coding;
    let fault = |message: String| Diagnostic::error(code::STIMULUS_MISMATCH, message).at(format!("nodes/{port}"));
    if sample >= samples.count {
        return Err(fault(format!("sample {sample} of {} does not exist; samples count from 0", samples.count)).into());
    }
    let given_spikes = matches!(samples.values, SampleValues::Spikes(_));
    if given_spikes != (coding == Coding::Spikes) {
        let suited = if given_spikes { "spikes" } else { "rate, rate-rounded, poisson, latency, delta or current" };
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
        .help("use the coding rate, rate-rounded, poisson or delta")
        .into());
    }
    if coding == Coding::Delta && samples.steps.is_none() {
        return Err(fault("coding `delta` needs data with steps; levels that are held do not change".to_owned())
            .help("use the coding rate, rate-rounded, poisson or latency, or say that the data is a series")
            .into());
    }
    if let SampleValues::Spikes(trains) = &samples.values {
        return Ok(spikes(port, trains[sample].clone().with_steps(steps)));
    }
    if let Some((low, high)) = input.range.filter(|(low, high)| !(low < high && (high - low).is_finite())) {
        return Err(fault(format!("the input range {low} to {high} does not go from a number to a larger one")).into());
    }
    if coding == Coding::ConstantCurrent {
        return current(samples, sample, input.range).map(Encoded::Current).map_err(|message| fault(message).into());
    }
    let levels = Levels::of(samples, sample, input.range).map_err(fault)?;
    let train = match coding {
        Coding::Rate => rate(&levels, steps, 0),
        Coding::RateRounded => rate(&levels, steps, levels.scale),
        Coding::Poisson => {
            poisson(&levels, steps, &mut RandomStream::new(seed, Purpose::PoissonCoding, sample as u64, port))
        }
        Coding::Latency => latency(&levels, steps).map_err(|error| fault(error.to_string()))?,
        Coding::Delta => delta(&levels, steps, input.delta).map_err(fault)?,
        Coding::ConstantCurrent | Coding::Spikes => unreachable!("bug in snncc: handled above"),
    };
    Ok(spikes(port, train))
}

/// How many values of the first `count` samples lie outside `range`, and are clipped to it by the codings that make spikes.
pub fn clipped_values(samples: &Samples, range: (f64, f64), count: usize) -> u64 {
    let all = match &samples.values {
        SampleValues::Spikes(_) => return 0,
        levels => levels.len(),
    };
    let len = all / samples.count.max(1) * count.min(samples.count);
    (0..len).filter(|at| !(range.0..=range.1).contains(&value(samples, *at))).count() as u64
}

/// Value `at` of samples that are not spikes; that of integers is the level over full scale.
fn value(samples: &Samples, at: usize) -> f64 {
    match &samples.values {
        SampleValues::U8 { values, full_scale } => f64::from(values[at]) / f64::from(*full_scale),
        SampleValues::U16 { values, full_scale } => f64::from(values[at]) / f64::from(*full_scale),
        SampleValues::F32(values) => values[at].into(),
        SampleValues::Spikes(_) => unreachable!("bug in snncc: spikes have no levels"),
    }
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
    fn of(samples: &Samples, sample: usize, range: Option<(f64, f64)>) -> Result<Self, String> {
        let elements = samples.elements();
        let len = samples.steps.map_or(1, |steps| steps as usize) * elements;
        let places = sample * len..(sample + 1) * len;
        // The range of 0 to 1 changes nothing but what happens beyond it.
        let integers = range.is_none_or(|range| range == (0.0, 1.0));
        let clip = |level: u32, scale: u32| if range.is_some() { level.min(scale) } else { level };
        let (values, scale): (Vec<u32>, u32) = match &samples.values {
            SampleValues::U8 { values, full_scale } if integers => {
                let scale = (*full_scale).into();
                (values[places].iter().map(|&level| clip(level.into(), scale)).collect(), scale)
            }
            SampleValues::U16 { values, full_scale } if integers => {
                let scale = (*full_scale).into();
                (values[places].iter().map(|&level| clip(level.into(), scale)).collect(), scale)
            }
            _ => {
                let scale = u32::from(u16::MAX);
                let (low, high) = range.unwrap_or((0.0, 1.0));
                let mut levels = Vec::with_capacity(len);
                for (element, at) in places.enumerate() {
                    let value = value(samples, at);
                    if !value.is_finite() {
                        return Err(format!("element {element} of sample {sample} is not a number"));
                    }
                    if range.is_none() && !(0.0..=1.0).contains(&value) {
                        return Err(format!("element {element} of sample {sample} is {value}, outside 0 to 1"));
                    }
                    let x = ((value - low) / (high - low)).clamp(0.0, 1.0);
                    levels.push((x * f64::from(scale)).round() as u32);
                }
                (levels, scale)
            }
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

/// Accumulators count halves of a level and start at `initial`.
fn rate(levels: &Levels, steps: u32, initial: u32) -> SpikeTrain {
    let mut train = levels.silent();
    let mut accumulators = vec![initial; levels.elements];
    for t in 1..=steps {
        let row = levels.at(t).unwrap_or(&[]);
        train.push_step((0..).zip(row).zip(&mut accumulators).filter_map(|((element, level), accumulator)| {
            *accumulator += 2 * level;
            let spike = *accumulator >= 2 * levels.scale;
            *accumulator -= if spike { 2 * levels.scale } else { 0 };
            spike.then_some(element)
        }));
    }
    train
}

/// ON spikes of all elements, then OFF spikes.
fn delta(levels: &Levels, steps: u32, threshold: f64) -> Result<SpikeTrain, String> {
    let parts = (threshold * f64::from(levels.scale) * PARTS_OF_A_LEVEL as f64).round();
    if !(1.0..=f64::from(levels.scale) * PARTS_OF_A_LEVEL as f64).contains(&parts) {
        return Err(format!("the change {threshold} that makes a spike is not above 0 and at most 1"));
    }
    let threshold = parts as i64;
    let channels = (levels.elements as u64 * 2).try_into();
    let channels = channels.map_err(|_| format!("{} elements have too many ON and OFF channels", levels.elements))?;
    let of_level = |level: &u32| i64::from(*level) * PARTS_OF_A_LEVEL;
    let mut references: Vec<i64> = levels.at(1).unwrap_or(&[]).iter().map(of_level).collect();
    let mut train = SpikeTrain::new(channels);
    let (mut on, mut off) = (Vec::new(), Vec::new());
    let mut row = levels.at(1).unwrap_or(&[]);
    for t in 1..=steps {
        row = levels.at(t).unwrap_or(row);
        for ((element, level), reference) in (0_u32..).zip(row).zip(&mut references) {
            let change = of_level(level) - *reference;
            if change > threshold {
                *reference += threshold;
                on.push(element);
            } else if change < -threshold {
                *reference -= threshold;
                off.push(levels.elements as u32 + element);
            }
        }
        train.push_step(on.drain(..).chain(off.drain(..)));
    }
    Ok(train)
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

fn current(samples: &Samples, sample: usize, range: Option<(f64, f64)>) -> Result<Vec<f64>, String> {
    let elements = samples.elements();
    let mapped = |at: usize| {
        let value = value(samples, sample * elements + at);
        range.map_or(value, |(low, high)| (value - low) / (high - low))
    };
    let values: Vec<f64> = (0..elements).map(mapped).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(format!("element {at} of sample {sample} is not a number")),
        None => Ok(values),
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
        for coding in [Coding::Rate, Coding::RateRounded, Coding::Latency] {
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

    /// By hand, with halves: 100 starts at 127.5 and reaches 327.5 at step 2 (rest 72.5), 272.5 at step 4 (rest 17.5), 317.5
    /// at step 7.
    #[test]
    fn rounded_rates_are_the_nearest() {
        let spikes = train(&bytes(&[100]), Coding::RateRounded, 8);
        assert_eq!((1..=8).filter(|t| spikes.at(*t) == [0]).collect::<Vec<_>>(), [2, 4, 7]);
        let all: Vec<u8> = (0..=255).collect();
        for steps in [1, 2, 7, 64, 255] {
            let counts = train(&bytes(&all), Coding::RateRounded, steps).counts();
            let nearest = |level: u32| (2 * steps * level + 255) / (2 * 255);
            assert!((0..256).all(|level| counts[level as usize] == nearest(level)), "{steps}: {counts:?}");
        }
        // Rounded down, 256 levels lose almost half a spike on average; rounded to the nearest, nothing.
        let sum = |coding| train(&bytes(&all), coding, 10).counts().iter().sum::<u32>();
        assert_eq!((sum(Coding::RateRounded), sum(Coding::Rate)), (1280, 1155));
    }

    fn coded(samples: &Samples, input: &InputCoding, steps: u32) -> Encoded {
        encode_with(samples, 0, input, "input", steps, 1).unwrap()
    }

    #[test]
    fn ranges_map_clip_and_count() {
        let samples = floats(&[-2.0, -1.0, 0.0, 2.0, 3.0, 9.0]);
        let input = InputCoding { range: Some((-1.0, 3.0)), ..Coding::RateRounded.into() };
        let Encoded::Spikes(port) = coded(&samples, &input, 4) else { panic!() };
        assert_eq!(port.spikes.counts(), [0, 0, 1, 3, 4, 4]);
        assert_eq!(clipped_values(&samples, (-1.0, 3.0), 1), 2);
        assert_eq!((clipped_values(&samples, (-2.0, 9.0), 1), clipped_values(&samples, (0.0, 1.0), 0)), (0, 0));
        let current = InputCoding { coding: Coding::ConstantCurrent, ..input };
        assert_eq!(coded(&samples, &current, 4), Encoded::Current(vec![-0.25, 0.0, 0.25, 0.75, 1.0, 2.5]));
        // Integers are fractions of their full scale, exact under the range from 0 to 1.
        let samples = bytes(&[0, 51, 255]);
        let unit = InputCoding { range: Some((0.0, 1.0)), ..input };
        assert_eq!(coded(&samples, &unit, 50), coded(&samples, &Coding::RateRounded.into(), 50));
        let lower = InputCoding { range: Some((0.0, 0.4)), ..input };
        let Encoded::Spikes(port) = coded(&samples, &lower, 10) else { panic!() };
        assert_eq!(port.spikes.counts(), [0, 5, 10]);
        assert_eq!(clipped_values(&samples, (0.0, 0.4), 1), 1);
        for range in [(1.0, 1.0), (1.0, 0.0), (0.0, f64::NAN), (f64::NEG_INFINITY, 0.0), (f64::MIN, f64::MAX)] {
            let wrong = InputCoding { range: Some(range), ..input };
            assert!(
                encode_with(&samples, 0, &wrong, "i", 1, 0).unwrap_err().to_string().contains("range"),
                "{range:?}"
            );
        }
        assert!(encode_with(&floats(&[f32::INFINITY]), 0, &unit, "i", 1, 0).is_err());
    }

    /// Two elements, δ = 0.2: the first climbs to 0.7 and falls back to 0.1 (ref 0, 0.2, 0.4, 0.6, 0.4), the second stays.
    #[test]
    fn delta_spikes_where_a_series_changes() {
        let rows = [[0.0, 0.5], [0.3, 0.5], [0.5, 0.6], [0.7, 0.4], [0.7, 0.5], [0.1, 0.5]];
        let values = SampleValues::F32(rows.concat());
        let samples = Samples::new(1, vec![2], Some(6), values).unwrap();
        let input = InputCoding { delta: 0.2, ..Coding::Delta.into() };
        let Encoded::Spikes(port) = coded(&samples, &input, 9) else { panic!() };
        assert_eq!((port.spikes.neurons, port.spikes.steps()), (4, 9));
        assert_eq!(Coding::Delta.port_elements(2), 4);
        // After its end the series stays at 0.1: ref goes on to 0.2, from where 0.1 is within δ.
        let events: Vec<_> = port.spikes.events().collect();
        assert_eq!(events, [(2, 0, 1), (3, 0, 1), (4, 0, 1), (6, 2, 1), (7, 2, 1)]);
        let fault =
            |input: &InputCoding, samples: &Samples| encode_with(samples, 0, input, "i", 1, 0).unwrap_err().to_string();
        assert!(fault(&input, &floats(&[0.5])).contains("needs data with steps"));
        for delta in [0.0, -1.0, 2.0, f64::NAN] {
            assert!(fault(&InputCoding { delta, ..input }, &samples).contains("change"), "{delta}");
        }
    }
}
