//! Flags of a conversion, as clap reads them, and the options they mean.

use crate::values;
use clap::{Args, ValueEnum};
use snncc_convert::ConvertOptions;
use snncc_convert::options::{Balance, BalanceForm, Correction, Filter, FiringRate, MaxPooling, ReadoutChoice, Swap};
use snncc_ids::{Diagnostic, code, did_you_mean};
use snncc_ir::ann::Activation;
use snncc_ir::network::Reset;

/// How a trained network becomes a spiking one. The defaults need no tuning.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Conversion options")]
pub(crate) struct ConversionArgs {
    /// Scale of a channel: max, p99.9 (any percentile), active-p99.9 (of values above 0), mse or kl.
    #[arg(long, value_name = "RULE", value_parser = balance, default_value = "p99.9")]
    pub(crate) balance: Balance,
    /// One scale for a whole layer instead of one per channel.
    #[arg(long)]
    pub(crate) per_layer: bool,
    /// Where scales go: into weights (thresholds are 1) or into thresholds; the spikes are the same.
    #[arg(long, value_enum, default_value = "weights", value_name = "weights|thresholds")]
    pub(crate) scale_in: ScaleIn,
    /// Spikes per step at the scale, at most 1: for all layers (0.5) or for one (fc1=0.5) [default: 1].
    #[arg(long, value_name = "[LAYER=]RATE", value_parser = firing_rate)]
    pub(crate) firing_rate: Vec<(Option<String>, f64)>,
    /// Max pooling: tree (exact, more neurons), average, or measured (the better on the calibration data).
    #[arg(long, value_enum, default_value = "tree", value_name = "tree|average|measured")]
    pub(crate) max_pool: MaxPool,
    /// Replace an activation, by layer or function: 'act3=relu', 'tanh=hard-sigmoid'.
    #[arg(long, value_name = "FROM=TO", value_parser = swap)]
    pub(crate) swap_activation: Vec<Swap>,
    /// Rectifiers that stand for a smooth activation.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) segments: u8,
    /// What is corrected on the calibration data: none, bias, potential or both.
    #[arg(long, value_enum, default_value = "both", value_name = "none|bias|potential|both")]
    pub(crate) correction: CorrectionKind,
    /// Reset of the neurons: subtract or to-value. Chips that reset to a value subtract by a synapse to themselves.
    #[arg(long, value_parser = values::reset, default_value = "subtract", value_name = "RESET")]
    pub(crate) neuron_reset: Reset,
    /// What is read from the last layer: membrane (neurons that do not spike and add up), spikes, or filtered:20ms (neurons that
    /// do not spike and forget with this time constant; needs --dt).
    #[arg(long, value_parser = readout, default_value = "membrane", value_name = "READOUT")]
    pub(crate) readout: ReadoutChoice,
    /// Synaptic filter: lowpass:5ms, alpha:5ms or double-exponential:5ms:1ms; needs --dt.
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    pub(crate) filter: Option<Filter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScaleIn {
    Weights,
    Thresholds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MaxPool {
    Tree,
    Average,
    Measured,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CorrectionKind {
    None,
    Bias,
    Potential,
    Both,
}

/// When a run of the spiking network may stop before its last step.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Conversion options")]
pub(crate) struct ExitArgs {
    /// Share of answers that stopping early may change: a rule for `emulate --early-exit` is calibrated so that, with 95 %
    /// confidence, no more change. none: no rule.
    #[arg(long, value_parser = exit_changes, default_value = "0.5%", value_name = "SHARE")]
    pub(crate) early_exit_changes: ExitChanges,
}

/// Value of `--early-exit-changes`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ExitChanges {
    /// At most this part, between 0 and 1.
    AtMost(f64),
    /// No rule is wanted.
    NoRule,
}

impl ExitArgs {
    /// The share, if a rule is wanted.
    pub(crate) fn changes(self) -> Option<f64> {
        match self.early_exit_changes {
            ExitChanges::AtMost(share) => Some(share),
            ExitChanges::NoRule => None,
        }
    }
}

impl ConversionArgs {
    /// The options that the flags mean.
    pub(crate) fn options(&self, steps: u32, dt_s: Option<f64>) -> ConvertOptions {
        let scalar = self.firing_rate.iter().rev().find(|(layer, _)| layer.is_none()).map(|(_, rate)| *rate);
        let per_layer: Vec<(String, f64)> =
            self.firing_rate.iter().filter_map(|(layer, rate)| Some((layer.clone()?, *rate))).collect();
        ConvertOptions {
            steps,
            balance: self.balance,
            per_channel: !self.per_layer,
            form: match self.scale_in {
                ScaleIn::Weights => BalanceForm::Weights,
                ScaleIn::Thresholds => BalanceForm::Thresholds,
            },
            firing_rate: match (scalar, per_layer.is_empty()) {
                (_, false) => FiringRate::PerLayer(per_layer),
                (Some(rate), true) => FiringRate::Scalar(rate),
                (None, true) => FiringRate::Automatic,
            },
            reset: self.neuron_reset,
            max_pool: match self.max_pool {
                MaxPool::Tree => MaxPooling::Tree,
                MaxPool::Average => MaxPooling::Average,
                MaxPool::Measured => MaxPooling::Measured,
            },
            swap_activations: self.swap_activation.clone(),
            segments: self.segments.into(),
            correction: match self.correction {
                CorrectionKind::None => Correction::None,
                CorrectionKind::Bias => Correction::Bias,
                CorrectionKind::Potential => Correction::Potential,
                CorrectionKind::Both => Correction::Both,
            },
            readout: self.readout,
            filter: self.filter,
            dt_s,
            ..ConvertOptions::default()
        }
    }
}

/// `--firing-rate` of a layer that there is not.
pub(crate) fn check_layers(options: &ConvertOptions, layers: &[&str]) -> Result<(), Diagnostic> {
    let FiringRate::PerLayer(rates) = &options.firing_rate else { return Ok(()) };
    match rates.iter().find(|(name, _)| !layers.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => {
            let error = Diagnostic::error(
                code::UNKNOWN_NODE,
                format!("--firing-rate names `{name}`, and no layer has this name"),
            );
            Err(match did_you_mean(name, layers.iter().copied()) {
                Some(guess) => error.help(format!("did you mean `{guess}`?")),
                None => error.note(format!("layers: {}", layers.join(", "))),
            })
        }
    }
}

fn balance(text: &str) -> Result<Balance, String> {
    let percent = |text: &str, of_active: bool| match text.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(Balance::Percentile { percent, of_active }),
        _ => Err(format!("`{text}` is no percentile between 0 and 100")),
    };
    match text {
        "max" => Ok(Balance::Maximum),
        "mse" => Ok(Balance::MeanSquaredError),
        "kl" => Ok(Balance::Divergence),
        _ => match (text.strip_prefix("active-p"), text.strip_prefix('p')) {
            (Some(value), _) => percent(value, true),
            (_, Some(value)) => percent(value, false),
            _ => Err("expected max, p99.9, active-p99.9, mse or kl".to_owned()),
        },
    }
}

fn firing_rate(text: &str) -> Result<(Option<String>, f64), String> {
    let (layer, rate) = match text.rsplit_once('=') {
        Some((layer, rate)) => (Some(layer.to_owned()), rate),
        None => (None, text),
    };
    match rate.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1.0 => Ok((layer, rate)),
        _ => Err(format!("`{rate}` is no rate above 0 and up to 1 spike per step")),
    }
}

fn readout(text: &str) -> Result<ReadoutChoice, String> {
    match (text, text.strip_prefix("filtered:")) {
        ("membrane", _) => Ok(ReadoutChoice::Membrane),
        ("spikes", _) => Ok(ReadoutChoice::Spikes),
        (_, Some(time)) => Ok(ReadoutChoice::Filtered { tau_s: values::seconds(time)? }),
        _ => Err("expected membrane, spikes or filtered:TIME".to_owned()),
    }
}

fn exit_changes(text: &str) -> Result<ExitChanges, String> {
    let (digits, unit) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
    match digits.trim().parse::<f64>() {
        Ok(share) if share > 0.0 && share < unit => Ok(ExitChanges::AtMost(share / unit)),
        _ if text == "none" => Ok(ExitChanges::NoRule),
        _ => Err(format!("`{text}` is neither a share between 0 and 1 (0.005, 0.5%) nor none")),
    }
}

fn filter(text: &str) -> Result<Filter, String> {
    let mut parts = text.split(':');
    let kind = parts.next().unwrap_or_default();
    let taus = parts.map(values::seconds).collect::<Result<Vec<f64>, String>>()?;
    match (kind, &taus[..]) {
        ("lowpass", [tau_s]) => Ok(Filter::Lowpass { tau_s: *tau_s }),
        ("alpha", [tau_s]) => Ok(Filter::Alpha { tau_s: *tau_s }),
        ("double-exponential", [tau_1_s, tau_2_s]) => {
            Ok(Filter::DoubleExponential { tau_1_s: *tau_1_s, tau_2_s: *tau_2_s })
        }
        _ => Err("expected lowpass:TIME, alpha:TIME or double-exponential:TIME:TIME".to_owned()),
    }
}

/// Activations that can take the place of others.
const ACTIVATIONS: &[(&str, Activation)] = &[
    ("relu", Activation::Relu),
    ("relu6", Activation::Clip { min: 0.0, max: 6.0 }),
    ("leaky-relu", Activation::LeakyRelu { slope: 0.01 }),
    ("hard-sigmoid", Activation::HardSigmoid { alpha: 0.2, beta: 0.5 }),
    ("hard-swish", Activation::HardSwish),
    ("sigmoid", Activation::Sigmoid),
    ("tanh", Activation::Tanh),
    ("silu", Activation::Silu),
    ("elu", Activation::Elu { alpha: 1.0 }),
    ("softplus", Activation::Softplus),
    ("abs", Activation::Abs),
];

fn swap(text: &str) -> Result<Swap, String> {
    let (from, to) = text.rsplit_once('=').ok_or("expected FROM=TO")?;
    match ACTIVATIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(to)) {
        Some((_, activation)) => Ok(Swap { from: from.to_owned(), to: activation.clone() }),
        None => {
            let names: Vec<&str> = ACTIVATIONS.iter().map(|(name, _)| *name).collect();
            Err(format!("`{to}` is none of {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read() {
        assert_eq!(balance("p99").unwrap(), Balance::Percentile { percent: 99.0, of_active: false });
        assert_eq!(balance("active-p99.9").unwrap(), Balance::Percentile { percent: 99.9, of_active: true });
        assert!(balance("p101").is_err() && balance("best").is_err());
        assert_eq!(firing_rate("fc1=0.5").unwrap(), (Some("fc1".into()), 0.5));
        assert!(firing_rate("2").is_err());
        assert_eq!(filter("lowpass:5ms").unwrap(), Filter::Lowpass { tau_s: 5e-3 });
        assert!(filter("lowpass").is_err());
        assert_eq!(readout("filtered:20ms").unwrap(), ReadoutChoice::Filtered { tau_s: 2e-2 });
        assert!(readout("filtered").is_err() && readout("filtered:0").is_err());
        assert_eq!(exit_changes("0.5%").unwrap(), ExitChanges::AtMost(0.005));
        assert_eq!(exit_changes("0.01").unwrap(), ExitChanges::AtMost(0.01));
        assert_eq!(exit_changes("none").unwrap(), ExitChanges::NoRule);
        assert!(exit_changes("0").is_err() && exit_changes("100%").is_err() && exit_changes("nan").is_err());
        assert_eq!(swap("Tanh=hard-sigmoid").unwrap().from, "Tanh");
        assert!(swap("tanh=nothing").unwrap_err().contains("relu6"));
    }
}
