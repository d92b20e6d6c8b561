//! Flags of a conversion, as clap reads them, and the options they mean.

use crate::values;
use clap::{Args, ValueEnum};
use snncc_convert::ConvertOptions;
use snncc_convert::options::{
    Balance, BalanceForm, Correction, Filter, FiringRate, MaxPooling, NeuronKind, ReadoutChoice, Schedule, Swap,
    is_part,
};
use snncc_ids::{Diagnostic, code, did_you_mean};
use snncc_ir::ann::{Activation, SoftLif};
use snncc_ir::network::{Reset, Spiking};

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
    /// Spikes per step at the scale, at most 1 of neurons that fire once: for all layers (0.5) or for one and its parts (fc1=0.5)
    /// [default: 1; of lif, the rate that errs least].
    #[arg(long, value_name = "[LAYER=]RATE", value_parser = firing_rate)]
    pub(crate) firing_rate: Vec<(Option<String>, f64)>,
    /// Max pooling: tree (exact, more neurons), average, measured (the better of these on the calibration data), or gated (passes
    /// the spikes of the most active input; in floats only).
    #[arg(long, value_enum, default_value = "tree", value_name = "tree|average|gated|measured")]
    pub(crate) max_pool: MaxPool,
    /// When layers fire: pipelined (all in every step), or layers (one after the other, each when all of its input has arrived,
    /// which rounds exactly and takes as many steps again for every layer).
    #[arg(long, value_enum, default_value = "pipelined", value_name = "pipelined|layers")]
    pub(crate) schedule: ScheduleKind,
    /// Replace an activation, by layer or function: 'act3=relu', 'tanh=hard-sigmoid'.
    #[arg(long, value_name = "FROM=TO", value_parser = swap)]
    pub(crate) swap_activation: Vec<Swap>,
    /// Rectifiers that stand for a smooth activation.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) segments: u8,
    /// What is corrected on the calibration data: none, bias, potential, both, or weights (fitted to the spikes, then both).
    #[arg(long, value_enum, default_value = "both", value_name = "none|bias|potential|both|weights")]
    pub(crate) correction: CorrectionKind,
    /// Neurons in place of activations: if; lif with its time constants, such as lif:20ms:2ms (needs --dt); or, in floats only,
    /// regular, stochastic and poisson, which follow the rate of the activation with any number of spikes in a step.
    #[arg(long, value_name = "NEURON", value_parser = neuron, default_value = "if")]
    pub(crate) neuron: NeuronKind,
    /// Negative spikes for activations with values below 0, instead of pairs of neurons; needs --neuron regular, stochastic or
    /// poisson.
    #[arg(long)]
    pub(crate) signed_spikes: bool,
    /// Reset of `if` neurons: subtract or to-value [default: subtract]. Chips that reset to a value subtract by a synapse to
    /// themselves.
    #[arg(long, value_parser = values::reset, value_name = "RESET")]
    pub(crate) neuron_reset: Option<Reset>,
    /// What is read from the last layer: membrane (neurons that do not spike and add up), spikes, or filtered:20ms (neurons that
    /// do not spike and forget with this time constant; needs --dt).
    #[arg(long, value_parser = readout, default_value = "membrane", value_name = "READOUT")]
    pub(crate) readout: ReadoutChoice,
    /// Synaptic filter: lowpass:5ms, alpha:5ms, double-exponential:5ms:1ms, or auto (a lowpass chosen from the noise of the spikes
    /// and the steps); needs --dt.
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
    Gated,
    Measured,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScheduleKind {
    Pipelined,
    Layers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CorrectionKind {
    None,
    Bias,
    Potential,
    Both,
    Weights,
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
    /// Flags that do not go together.
    pub(crate) fn check(&self) -> Result<(), Diagnostic> {
        let sends_several = matches!(self.neuron, NeuronKind::Rate(_));
        let help =
            "add `--neuron regular`, whose neurons send any number of spikes of both signs in a step, in floats only";
        if self.signed_spikes && !sends_several {
            let message = "--signed-spikes is for neurons that send negative spikes";
            return Err(Diagnostic::error(code::BAD_PARAMETER, message).help(help));
        }
        if let Some((_, rate)) = self.firing_rate.iter().find(|(_, rate)| *rate > 1.0 && !sends_several) {
            let message =
                format!("--firing-rate {rate} is more than the one spike per step that these neurons can send");
            return Err(Diagnostic::error(code::BAD_PARAMETER, message).help(help));
        }
        match (self.neuron, self.neuron_reset) {
            (NeuronKind::Lif { .. }, Some(reset)) if reset != Reset::ToValue => {
                let message = "--neuron-reset subtract is for `if` neurons; `lif` neurons reset to a value";
                Err(Diagnostic::error(code::BAD_PARAMETER, message)
                    .help("leave --neuron-reset out, or take `--neuron if`, which loses nothing at a spike"))
            }
            _ => Ok(()),
        }
    }

    /// The reset of `if` neurons.
    pub(crate) fn reset(&self) -> Reset {
        self.neuron_reset.unwrap_or(Reset::BySubtraction)
    }

    /// The options that the flags mean.
    pub(crate) fn options(&self, steps: u32, dt_s: Option<f64>) -> ConvertOptions {
        let scalar = self.firing_rate.iter().rev().find(|(layer, _)| layer.is_none()).map(|(_, rate)| *rate);
        let per_layer: Vec<(String, f64)> =
            self.firing_rate.iter().filter_map(|(layer, rate)| Some((layer.clone()?, *rate))).collect();
        ConvertOptions {
            steps,
            schedule: match self.schedule {
                ScheduleKind::Pipelined => Schedule::Pipelined,
                ScheduleKind::Layers => Schedule::Layers,
            },
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
            neuron: self.neuron,
            signed_spikes: self.signed_spikes,
            reset: self.reset(),
            max_pool: match self.max_pool {
                MaxPool::Tree => MaxPooling::Tree,
                MaxPool::Average => MaxPooling::Average,
                MaxPool::Gated => MaxPooling::Gated,
                MaxPool::Measured => MaxPooling::Measured,
            },
            swap_activations: self.swap_activation.clone(),
            segments: self.segments.into(),
            correction: match self.correction {
                CorrectionKind::None => Correction::None,
                CorrectionKind::Bias => Correction::Bias,
                CorrectionKind::Potential => Correction::Potential,
                CorrectionKind::Both => Correction::Both,
                CorrectionKind::Weights => Correction::Weights,
            },
            readout: self.readout,
            filter: self.filter,
            dt_s,
            ..ConvertOptions::default()
        }
    }
}

/// `--firing-rate` of a layer that there is not. `layers` are those of the prepared network.
pub(crate) fn check_layers(options: &ConvertOptions, layers: &[&str]) -> Result<(), Diagnostic> {
    let FiringRate::PerLayer(rates) = &options.firing_rate else { return Ok(()) };
    match rates.iter().find(|(name, _)| !layers.iter().any(|layer| is_part(layer, name))) {
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

/// Rates above are no use: what they round is less than what sums of floats do.
const HIGHEST_RATE: f64 = 1e6;

fn firing_rate(text: &str) -> Result<(Option<String>, f64), String> {
    let (layer, rate) = match text.rsplit_once('=') {
        Some((layer, rate)) => (Some(layer.to_owned()), rate),
        None => (None, text),
    };
    match rate.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= HIGHEST_RATE => Ok((layer, rate)),
        _ => Err(format!("`{rate}` is no rate above 0 and up to {HIGHEST_RATE} spikes per step")),
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

fn neuron(text: &str) -> Result<NeuronKind, String> {
    let mut parts = text.split(':');
    let kind = parts.next().unwrap_or_default();
    let times: Vec<&str> = parts.collect();
    match (kind, &times[..]) {
        ("if", []) => Ok(NeuronKind::IntegrateAndFire),
        ("lif", [tau_rc]) => Ok(NeuronKind::Lif { tau_rc_s: values::seconds(tau_rc)?, tau_ref_s: 0.0 }),
        ("lif", [tau_rc, tau_ref]) => {
            Ok(NeuronKind::Lif { tau_rc_s: values::seconds(tau_rc)?, tau_ref_s: refractory(tau_ref)? })
        }
        ("regular", []) => Ok(NeuronKind::Rate(Spiking::Regular)),
        ("stochastic", []) => Ok(NeuronKind::Rate(Spiking::Stochastic)),
        ("poisson", []) => Ok(NeuronKind::Rate(Spiking::Poisson)),
        _ => Err("expected if, lif:TAU_RC, lif:TAU_RC:TAU_REF, regular, stochastic or poisson".to_owned()),
    }
}

/// A time that may be 0.
fn refractory(text: &str) -> Result<f64, String> {
    if ["0", "0s", "0ms"].contains(&text) { Ok(0.0) } else { values::seconds(text) }
}

/// `soft-lif:20ms:2ms`, with gamma and amplitude behind it if they are not 0.02 and 1.
fn soft_lif(text: &str) -> Result<Activation, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let ("soft-lif", 3..=5) = (parts[0], parts.len()) else {
        return Err(
            "expected soft-lif:TAU_RC:TAU_REF, with :GAMMA:AMPLITUDE behind it if they are not 0.02 and 1".to_owned()
        );
    };
    let number = |at: usize, default: f32| match parts.get(at) {
        Some(text) => text.parse::<f32>().map_err(|_| format!("`{text}` is no number")),
        None => Ok(default),
    };
    let (tau_rc_s, tau_ref_s) = (values::seconds(parts[1])? as f32, refractory(parts[2])? as f32);
    let soft = SoftLif { tau_rc_s, tau_ref_s, gamma: number(3, 0.02)?, amplitude: number(4, 1.0)? };
    Ok(Activation::SoftLif(soft.checked()?))
}

fn filter(text: &str) -> Result<Filter, String> {
    let mut parts = text.split(':');
    let kind = parts.next().unwrap_or_default();
    let taus = parts.map(values::seconds).collect::<Result<Vec<f64>, String>>()?;
    match (kind, &taus[..]) {
        ("auto", []) => Ok(Filter::Automatic),
        ("lowpass", [tau_s]) => Ok(Filter::Lowpass { tau_s: *tau_s }),
        ("alpha", [tau_s]) => Ok(Filter::Alpha { tau_s: *tau_s }),
        ("double-exponential", [tau_1_s, tau_2_s]) => {
            Ok(Filter::DoubleExponential { tau_1_s: *tau_1_s, tau_2_s: *tau_2_s })
        }
        _ => Err("expected auto, lowpass:TIME, alpha:TIME or double-exponential:TIME:TIME".to_owned()),
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
    if to.to_ascii_lowercase().starts_with("soft-lif") {
        return Ok(Swap { from: from.to_owned(), to: soft_lif(&to.to_ascii_lowercase())? });
    }
    match ACTIVATIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(to)) {
        Some((_, activation)) => Ok(Swap { from: from.to_owned(), to: activation.clone() }),
        None => {
            let names: Vec<&str> = ACTIVATIONS.iter().map(|(name, _)| *name).collect();
            Err(format!("`{to}` is none of {}, soft-lif:TAU_RC:TAU_REF", names.join(", ")))
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
        assert!(firing_rate("0").is_err() && firing_rate("1e9").is_err());
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
        let soft = SoftLif { tau_rc_s: 0.02, tau_ref_s: 0.0, gamma: 0.1, amplitude: 0.5 };
        assert_eq!(swap("relu=soft-lif:20ms:0:0.1:0.5").unwrap().to, Activation::SoftLif(soft));
        assert!(swap("relu=soft-lif:20ms").is_err() && swap("relu=soft-lif:20ms:2ms:-1").is_err());
        assert_eq!(neuron("lif:20ms:2ms").unwrap(), NeuronKind::Lif { tau_rc_s: 0.02, tau_ref_s: 0.002 });
        assert!(neuron("lif").is_err() && neuron("if:20ms").is_err());
    }
}
