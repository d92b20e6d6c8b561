//! Values of flags: pins, cores, neurons, codes, times. Each parser says what it expected.

use snncc_chip::Target;
use snncc_compile::{OverflowPolicy, QuantizeStrategy};
use snncc_data::Coding;
use snncc_formats::data_files::DataKind;
use snncc_ids::{ALL_CODES, Code, CoreId, did_you_mean};
use snncc_ir::network::Reset;
use std::path::PathBuf;

/// What `--deny` names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Deny {
    /// Any warning.
    Warnings,
    /// Warnings of one code.
    Code(Code),
}

/// A core, by number over all chips or by chip and core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CoreName {
    /// Number over all chips.
    Number(u32),
    /// `chipA.coreB`
    OfChip(u32, u32),
}

impl CoreName {
    /// Number of the core on this target; `None` where the chip has no such core.
    pub(crate) fn number(self, target: &Target) -> Option<u32> {
        let number = match self {
            Self::Number(number) => number,
            Self::OfChip(chip, core) if core < target.cores_per_chip() => {
                chip.checked_mul(target.cores_per_chip())?.checked_add(core)?
            }
            Self::OfChip(..) => return None,
        };
        (number < target.cores()).then_some(number)
    }
}

impl std::fmt::Display for CoreName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::OfChip(chip, core) => write!(f, "chip{chip}.core{core}"),
        }
    }
}

/// Cores from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CoreRange {
    pub(crate) first: CoreName,
    pub(crate) last: CoreName,
}

/// Value of `--pin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PinValue {
    pub(crate) population: String,
    /// First neuron and count; `None`: the whole population.
    pub(crate) neurons: Option<(u32, u32)>,
    pub(crate) core: CoreName,
}

/// Value of `--input`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputValue {
    /// Port, where given.
    pub(crate) port: Option<String>,
    pub(crate) file: PathBuf,
}

/// Value of `--range`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RangeValue {
    /// Port; `None`: every port without a range of its own.
    pub(crate) port: Option<String>,
    /// The values fed as 0 and 1.
    pub(crate) range: (f64, f64),
}

/// What `--emit` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emit {
    /// Float and integer IR.
    Ir,
    /// What one stage made.
    Stage(&'static str),
}

impl Emit {
    /// Whether the result of this stage is asked for.
    pub(crate) fn wants(self, stage: &str) -> bool {
        match self {
            Self::Ir => matches!(stage, "lower" | "quantize"),
            Self::Stage(name) => name == stage,
        }
    }
}

fn number(text: &str, what: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| format!("`{text}` is no {what}"))
}

/// `SNN0402`
pub(crate) fn code(text: &str) -> Result<Code, String> {
    Code::find(text).ok_or_else(|| match did_you_mean(text, ALL_CODES.iter().map(|code| code.number())) {
        Some(guess) => format!("there is no code `{text}`; did you mean `{guess}`?"),
        None => format!("there is no code `{text}`; `snncc explain` lists them"),
    })
}

/// `SNN0402` or `warnings`
pub(crate) fn deny(text: &str) -> Result<Deny, String> {
    if text == "warnings" { Ok(Deny::Warnings) } else { code(text).map(Deny::Code) }
}

/// `3` or `chip0.core3`
pub(crate) fn core(text: &str) -> Result<CoreName, String> {
    match text.strip_prefix("chip").and_then(|rest| rest.split_once(".core")) {
        Some((chip, core)) => Ok(CoreName::OfChip(number(chip, "chip number")?, number(core, "core number")?)),
        None => text.parse().map(CoreName::Number).map_err(|_| format!("`{text}` is no core: write 3 or chip0.core3")),
    }
}

/// A chip as the user names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChipName {
    /// Number.
    Number(u32),
    /// Place along x and y.
    At(u32, u32),
}

impl ChipName {
    /// Number of the chip on this target; `None` where there is no such chip.
    pub(crate) fn number(self, target: &Target) -> Option<u32> {
        let chips = &target.file.chips;
        let number = match self {
            Self::Number(number) => number,
            Self::At(x, y) if x < chips.columns => y.checked_mul(chips.columns)?.checked_add(x)?,
            Self::At(..) => return None,
        };
        (u64::from(number) < u64::from(chips.columns) * u64::from(chips.rows)).then_some(number)
    }
}

impl std::fmt::Display for ChipName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::At(x, y) => write!(f, "{x},{y}"),
        }
    }
}

/// `0`, `chip0`, `1,2`
pub(crate) fn chip(text: &str) -> Result<ChipName, String> {
    match text.split_once(',') {
        Some((x, y)) => Ok(ChipName::At(number(x, "place along x")?, number(y, "place along y")?)),
        None => number(text.strip_prefix("chip").unwrap_or(text), "chip: write 3 or 1,2").map(ChipName::Number),
    }
}

/// `3`, `chip0.core3`, `8-11`
pub(crate) fn cores(text: &str) -> Result<CoreRange, String> {
    match text.split_once('-') {
        None => core(text).map(|core| CoreRange { first: core, last: core }),
        Some((first, last)) => Ok(CoreRange { first: core(first)?, last: core(last)? }),
    }
}

/// `name` or `name[…]`: the name and what is in the brackets.
fn bracketed(text: &str) -> Result<(&str, Option<&str>), String> {
    match text.split_once('[') {
        None if text.is_empty() => Err("a layer's name is missing".to_owned()),
        None => Ok((text, None)),
        Some((name, rest)) => match rest.strip_suffix(']') {
            Some(inner) if !name.is_empty() => Ok((name, Some(inner))),
            _ => Err(format!("`{text}` is not of the form layer[first..end]")),
        },
    }
}

/// `fc1=5`, `fc1[17]=5`, `fc1[0..64]=chip0.core3` (end excluded), `fc1[0..=63]=5`
pub(crate) fn pin(text: &str) -> Result<PinValue, String> {
    let (what, place) = text
        .rsplit_once('=')
        .ok_or_else(|| format!("`{text}` has no `=`: write 'fc1[0..64]=5' or 'fc1=chip0.core3'"))?;
    // An inclusive range has a `=` of its own: `fc1[0..=63]=5` is split at the last one.
    let (name, range) = bracketed(what)?;
    let neurons = match range {
        None => None,
        Some(range) => {
            let (first, end) = match range.split_once("..") {
                None => {
                    let neuron = number(range, "neuron number")?;
                    (neuron, neuron.checked_add(1))
                }
                Some((first, end)) => {
                    let first = if first.is_empty() { 0 } else { number(first, "neuron number")? };
                    match end.strip_prefix('=') {
                        Some(last) => (first, number(last, "neuron number")?.checked_add(1)),
                        None => (first, Some(number(end, "neuron number")?)),
                    }
                }
            };
            match end.and_then(|end| end.checked_sub(first)) {
                Some(count) if count > 0 => Some((first, count)),
                _ => return Err(format!("the range `{range}` is empty")),
            }
        }
    };
    Ok(PinValue { population: name.to_owned(), neurons, core: core(place)? })
}

/// `fc1=2`
pub(crate) fn split(text: &str) -> Result<(String, u32), String> {
    let (name, count) = text.rsplit_once('=').ok_or_else(|| format!("`{text}` is not of the form layer=cores"))?;
    match number(count, "number of cores")? {
        0 => Err("a layer needs at least one core".to_owned()),
        count => Ok((name.to_owned(), count)),
    }
}

/// `fc1[17]`
pub(crate) fn neuron(text: &str) -> Result<(String, u32), String> {
    match bracketed(text)? {
        (name, Some(index)) => Ok((name.to_owned(), number(index, "neuron number")?)),
        (_, None) => Err(format!("`{text}` names no neuron: write {text}[17]")),
    }
}

/// `FILE` or `PORT=FILE`
pub(crate) fn input(text: &str) -> Result<InputValue, String> {
    match text.split_once('=') {
        // A path may hold `=`; a port's name holds no separator.
        Some((port, file)) if !port.contains(['/', '\\']) && !port.is_empty() => {
            Ok(InputValue { port: Some(port.to_owned()), file: file.into() })
        }
        _ => Ok(InputValue { port: None, file: text.into() }),
    }
}

/// Seconds: `1e-3`, `1ms`, `250us`
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let (digits, factor) = [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9), ("s", 1.0)]
        .into_iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|digits| (digits, factor)))
        .unwrap_or((text, 1.0));
    match digits.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value * factor),
        _ => Err(format!("`{text}` is no time above 0: write 1e-3 or 1ms")),
    }
}

/// At least one of something.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("`{text}` is no number of at least 1")),
        Ok(count) => Ok(count),
    }
}

fn one_of<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let guess = did_you_mean(text, names.iter().copied());
        let guess = guess.map_or(String::new(), |guess| format!("; did you mean `{guess}`?"));
        format!("known are {}{guess}", names.join(", "))
    })
}

/// A coding.
pub(crate) fn coding(text: &str) -> Result<Coding, String> {
    one_of(
        text,
        &[
            ("constant", Coding::ConstantCurrent),
            ("rate", Coding::Rate),
            ("rate-rounded", Coding::RateRounded),
            ("poisson", Coding::Poisson),
            ("latency", Coding::Latency),
            ("delta", Coding::Delta),
            ("spikes", Coding::Spikes),
            ("current", Coding::ConstantCurrent),
        ],
    )
}

/// `0..255`, `-1..1` or `PORT=-1..1`
pub(crate) fn range(text: &str) -> Result<RangeValue, String> {
    let (port, ends) = match text.split_once('=') {
        Some((port, ends)) if !port.is_empty() => (Some(port.to_owned()), ends),
        _ => (None, text),
    };
    let ends = ends.split_once("..").and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
    match ends {
        Some((low, high)) if f64::is_finite(high - low) && low < high => Ok(RangeValue { port, range: (low, high) }),
        _ => Err(format!("`{text}` is no range from a number to a larger one: write 0..255 or PORT=-1..1")),
    }
}

/// The change that makes a spike of delta coding.
pub(crate) fn delta(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(delta) if delta > 0.0 && delta <= 1.0 => Ok(delta),
        _ => Err(format!("`{text}` is no number above 0 and at most 1")),
    }
}

/// What data is.
pub(crate) fn data_kind(text: &str) -> Result<DataKind, String> {
    one_of(text, &DataKind::ALL.map(|kind| (kind.name(), kind)))
}

/// A reset.
pub(crate) fn reset(text: &str) -> Result<Reset, String> {
    one_of(
        text,
        &[
            ("to-value", Reset::ToValue),
            ("subtract", Reset::BySubtraction),
            ("snntorch-subtract", Reset::SnntorchSubtract),
        ],
    )
}

/// Quantization rules.
pub(crate) fn quantizer(text: &str) -> Result<QuantizeStrategy, String> {
    one_of(text, &[("calibrated", QuantizeStrategy::Calibrated), ("nengo-loihi", QuantizeStrategy::NengoLoihi)])
}

/// An overflow policy.
pub(crate) fn overflow(text: &str) -> Result<OverflowPolicy, String> {
    one_of(
        text,
        &[("error", OverflowPolicy::Error), ("saturate", OverflowPolicy::Saturate), ("wrap", OverflowPolicy::Wrap)],
    )
}

/// Something to emit.
pub(crate) fn emit(text: &str) -> Result<Emit, String> {
    one_of(
        text,
        &[
            ("ir", Emit::Ir),
            ("lowered", Emit::Stage("lower")),
            ("quantized", Emit::Stage("quantize")),
            ("partition", Emit::Stage("partition")),
            ("placement", Emit::Stage("place")),
            ("routes", Emit::Stage("route")),
            ("image", Emit::Stage("emit")),
        ],
    )
}

/// Every core of the ranges, or the first range that the target does not have.
pub(crate) fn expand_cores(ranges: &[CoreRange], target: &Target) -> Result<Vec<CoreId>, CoreRange> {
    let mut cores = Vec::new();
    for range in ranges {
        match (range.first.number(target), range.last.number(target)) {
            (Some(first), Some(last)) if first <= last => cores.extend((first..=last).map(CoreId)),
            _ => return Err(*range),
        }
    }
    cores.sort_unstable();
    cores.dedup();
    Ok(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(text: &str) -> (String, Option<(u32, u32)>, CoreName) {
        let pin = pin(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (pin.population, pin.neurons, pin.core)
    }

    #[test]
    fn pins_have_a_range_and_a_core() {
        assert_eq!(pinned("fc1[0..64]=5"), ("fc1".into(), Some((0, 64)), CoreName::Number(5)));
        assert_eq!(pinned("fc1=chip0.core3"), ("fc1".into(), None, CoreName::OfChip(0, 3)));
        assert_eq!(pinned("a.b[7]=0"), ("a.b".into(), Some((7, 1)), CoreName::Number(0)));
        assert_eq!(pinned("x[10..=19]=2"), ("x".into(), Some((10, 10)), CoreName::Number(2)));
        assert_eq!(pinned("x[..8]=2"), ("x".into(), Some((0, 8)), CoreName::Number(2)));
        for wrong in
            ["fc1", "fc1=", "=5", "fc1[3=5", "fc1[5..5]=1", "fc1[9..2]=1", "[0..3]=1", "fc1=core3", "f[4294967295]=1"]
        {
            assert!(pin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cores_are_resolved_on_the_target() {
        let target = snncc_chip::target("loihi-2chip").unwrap();
        let per_chip = target.cores_per_chip();
        assert_eq!(core("chip1.core3").unwrap().number(&target), Some(per_chip + 3));
        assert_eq!(CoreName::OfChip(0, per_chip).number(&target), None, "the next chip's core has another name");
        assert_eq!(CoreName::Number(2 * per_chip).number(&target), None);
        let ranges = [cores("2-4").unwrap(), cores("chip0.core4").unwrap()];
        assert_eq!(expand_cores(&ranges, &target).unwrap(), [2, 3, 4].map(CoreId));
        assert!(expand_cores(&[cores("4-2").unwrap()], &target).is_err());
    }

    #[test]
    fn times_codes_inputs_and_words() {
        assert_eq!(seconds("1ms"), seconds("1e-3"));
        assert_eq!(seconds("2s"), Ok(2.0));
        assert!(seconds("0").is_err() && seconds("-1ms").is_err() && seconds("inf").is_err());
        assert_eq!(code("snn0402").unwrap().number(), "SNN0402");
        assert!(code("SNN9999").is_err());
        assert_eq!(input("in=a.npz").unwrap().port.as_deref(), Some("in"));
        assert_eq!(input("a/b=c.npz").unwrap().port, None);
        assert!(coding("rat").unwrap_err().contains("did you mean `rate`"));
        // Every coding has its name.
        assert!(Coding::ALL.iter().all(|known| coding(known.name()) == Ok(*known)));
        assert_eq!(range("-1..1.5").unwrap(), RangeValue { port: None, range: (-1.0, 1.5) });
        assert_eq!(range("in=0..255").unwrap(), RangeValue { port: Some("in".into()), range: (0.0, 255.0) });
        for wrong in ["1..0", "0..0", "0..inf", "nan..1", "0-1", "in=", "..1"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
        assert!(delta("0.2") == Ok(0.2) && delta("0").is_err() && delta("nan").is_err());
        assert_eq!(neuron("fc1[17]"), Ok(("fc1".into(), 17)));
        assert!(neuron("fc1").is_err());
    }
}
