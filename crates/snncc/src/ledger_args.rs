//! Flags of `ledger` and `sweep`, as clap reads them.

use crate::args::{NetworkArgs, QuantizeArgs};
use crate::conversion_args::ConversionArgs;
use crate::values;
use clap::Args;
use snncc_data::Coding;
use std::path::PathBuf;

/// A trained network, the data to convert it on and the data to try it on.
#[derive(Args, Clone, Debug)]
pub(crate) struct ExperimentArgs {
    /// Trained network: .onnx, .keras or .h5.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// Unlabelled samples of the training set: IDX (MNIST), .npy, .npz; 'INPUT=FILE' where the network has several inputs.
    #[arg(long, required = true, value_name = "FILE", value_parser = values::input)]
    pub(crate) calibrate: Vec<values::InputValue>,
    /// Use only the first N samples of them.
    #[arg(long, value_name = "N", default_value_t = crate::conversion::SAMPLES, value_parser = values::at_least_one)]
    pub(crate) calibrate_samples: usize,
    /// Samples to try the network on: other ones than those of the calibration.
    #[arg(short, long, required = true, value_name = "FILE", value_parser = values::input)]
    pub(crate) input: Vec<values::InputValue>,
    /// Their labels: IDX, .npy or CSV.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: PathBuf,
    /// Use only the first N samples.
    #[arg(long, value_name = "N", value_parser = values::at_least_one)]
    pub(crate) samples: Option<usize>,
    /// How data becomes input: rate-rounded, constant, rate, poisson or latency [default: rate-rounded].
    #[arg(long, value_parser = values::coding)]
    pub(crate) coding: Option<Coding>,
    /// Seed of random codings.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Target: the name of a built-in one (see `snncc targets list`), or a .ron file. Without it, nothing runs on a chip.
    #[arg(short, long)]
    pub(crate) target: Option<String>,
    /// Effort of partitioner and placer, 0 to 3.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=3), value_name = "0-3")]
    pub(crate) effort: u8,
    #[command(flatten)]
    pub(crate) conversion: ConversionArgs,
    #[command(flatten)]
    pub(crate) lowering: NetworkArgs,
    #[command(flatten)]
    pub(crate) quantize: QuantizeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct LedgerArgs {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArgs,
    /// Steps of a sample; the network is converted for each.
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "4,8,16,32",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) steps: Vec<u32>,
    /// Write the result as JSON into this file too.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArgs,
    /// Steps of a sample where they do not vary.
    #[arg(long, value_name = "N", default_value_t = crate::conversion::STEPS, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) steps: u32,
    /// What to vary: steps, weight-bits, percentile, tau (of a lowpass filter; 0 for none; needs --dt) or firing-rate.
    #[arg(long, required = true, value_name = "WHAT=V,…", value_parser = vary)]
    pub(crate) vary: Vec<Vary>,
    /// Run the float network only, nothing on a chip.
    #[arg(long)]
    pub(crate) float: bool,
    /// Print CSV: the default.
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Print JSON instead of CSV.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the result into this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// An option that a sweep varies, with its values as they were written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Vary {
    /// The option, as a column name.
    pub(crate) name: &'static str,
    pub(crate) values: Vec<(String, Setting)>,
}

/// One value of an option.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Setting {
    Steps(u32),
    WeightBits(u8),
    /// Of the activations, for the scale of a channel.
    Percentile(f64),
    /// Of a lowpass filter, in seconds; none: no filter.
    Tau(Option<f64>),
    /// Spikes per step at the scale.
    FiringRate(f64),
}

/// `steps=8,16,32`
fn vary(text: &str) -> Result<Vary, String> {
    let (name, values) = text.split_once('=').ok_or("write WHAT=VALUE,VALUE")?;
    let number = |value: &str, low: f64, high: f64| match value.parse::<f64>() {
        Ok(number) if number > low && number <= high => Ok(number),
        _ => Err(format!("`{value}` is no number above {low} and up to {high}")),
    };
    let whole = |value: &str| value.parse::<u32>().map_err(|_| format!("`{value}` is no whole number"));
    type Read<'a> = &'a dyn Fn(&str) -> Result<Setting, String>;
    let known: [(&str, &'static str, Read<'_>); 5] = [
        ("steps", "steps", &|value| match whole(value)? {
            0 => Err("a sample has at least 1 step".to_owned()),
            steps => Ok(Setting::Steps(steps)),
        }),
        ("weight-bits", "weight_bits", &|value| {
            whole(value)?.try_into().map(Setting::WeightBits).map_err(|_| format!("`{value}` is too many bits"))
        }),
        ("percentile", "percentile", &|value| number(value, 0.0, 100.0).map(Setting::Percentile)),
        ("tau", "tau", &|value| match value {
            "0" | "0ms" | "0s" => Ok(Setting::Tau(None)),
            _ => values::seconds(value).map(|tau_s| Setting::Tau(Some(tau_s))),
        }),
        ("firing-rate", "firing_rate", &|value| number(value, 0.0, 1.0).map(Setting::FiringRate)),
    ];
    let Some((_, column, read)) = known.into_iter().find(|(known, ..)| *known == name) else {
        let names = known.map(|(name, ..)| name);
        let guess = snncc_ids::did_you_mean(name, names);
        let guess = guess.map_or(String::new(), |guess| format!("; did you mean `{guess}`?"));
        return Err(format!("known are {}{guess}", names.join(", ")));
    };
    let values = values.split(',').map(|value| Ok((value.to_owned(), read(value)?)));
    Ok(Vary { name: column, values: values.collect::<Result<_, String>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_read() {
        let taus = vary("tau=0,2ms").unwrap();
        assert_eq!(taus.name, "tau");
        assert_eq!(taus.values[0], ("0".to_owned(), Setting::Tau(None)));
        assert_eq!(taus.values[1], ("2ms".to_owned(), Setting::Tau(Some(2e-3))));
        assert_eq!(vary("weight-bits=8").unwrap().values[0].1, Setting::WeightBits(8));
        assert!(vary("steps=0").is_err() && vary("percentile=101").is_err() && vary("weight-bits=999").is_err());
        assert!(vary("step=8").unwrap_err().contains("did you mean `steps`?"));
    }
}
