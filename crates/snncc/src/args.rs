//! The command line, as clap reads it. What a flag means is decided where it is used; here it is only named and explained.

use crate::conversion_args::{ConversionArgs, ExitArgs};
use crate::early_exit::ExitRule;
use crate::values;
use clap::{Args, Parser, Subcommand, ValueEnum};
use snncc_compile::{OverflowPolicy, QuantizeStrategy};
use snncc_data::Coding;
use snncc_formats::data_files::DataKind;
use snncc_ir::network::Reset;
use std::path::PathBuf;

/// Compiles, emulates and verifies spiking neural networks for neuromorphic chips.
///
/// Results go to standard output, diagnostics and progress to standard error.
///
/// Exit codes: 0 ok, 1 a bug in snncc, 2 wrong usage, 3 invalid input, 4 does not fit the target, 5 no placement or route,
/// 6 verification mismatch, 7 a denied warning, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "snncc", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Say less: errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more: every diagnostic in full.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colour on standard error.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        hide_possible_values = true,
        value_name = "auto|always|never"
    )]
    pub(crate) color: When,
    /// Form of diagnostics on standard error: text with source excerpts, one line each, or one JSON object a line.
    #[arg(long, global = true, value_enum, default_value = "human")]
    pub(crate) message_format: MessageFormat,
    /// Threads to use [default: one per processor]; results do not depend on it.
    #[arg(short, long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// Progress bars: on a terminal, or never.
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub(crate) progress: Progress,
    /// Fail (exit 7) if a warning of this code occurs; `warnings` means any.
    #[arg(long, global = true, value_name = "CODE|warnings", value_parser = values::deny)]
    pub(crate) deny: Vec<values::Deny>,
    /// Do not show warnings of this code.
    #[arg(long, global = true, value_name = "CODE", value_parser = values::code)]
    pub(crate) allow: Vec<snncc_ids::Code>,
}

/// When to do something that depends on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

/// Whether to show progress bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    Auto,
    Never,
}

/// Form of diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MessageFormat {
    Human,
    Short,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compile, emulate and verify a small trained network that comes with snncc.
    Demo(DemoArgs),
    /// Check a network and, for a target, whether it fits; report all problems.
    Check(CheckArgs),
    /// Turn a trained network (ONNX, Keras) into a spiking one; or rewrite a spiking one as RON or NIR.
    Convert(Box<ConvertArgs>),
    /// Compile a network for a target into an output folder.
    Compile(Box<CompileArgs>),
    /// Run a compiled network in the emulator.
    Emulate(EmulateArgs),
    /// Compare float reference, integer reference and emulator; exit 6 if the last two differ.
    Verify(VerifyArgs),
    /// Show where a trained network loses accuracy on its way to the chip, stage by stage and layer by layer.
    Ledger(Box<crate::ledger_args::LedgerArgs>),
    /// Try a trained network with all combinations of some options: accuracy, latency, energy.
    Sweep(Box<crate::ledger_args::SweepArgs>),
    /// Show the report of an output folder again.
    Report(ReportArgs),
    /// Show a network, a compiled image, or where a neuron sits.
    Inspect(InspectArgs),
    /// List, show or check targets and hardware models.
    Targets {
        #[command(subcommand)]
        action: TargetsAction,
    },
    /// Explain a diagnostic code.
    Explain(ExplainArgs),
    /// Print the completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one per command.
    Man {
        /// Write one page per command into this folder.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Target: the name of a built-in one (see `snncc targets list`), or a .ron file.
    #[arg(short, long, default_value = "loihi-emu")]
    pub(crate) target: String,
    /// Keep the files here instead of in a temporary place.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// How a network is read and lowered.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network options")]
pub(crate) struct NetworkArgs {
    /// Time step, such as 1e-3 or 1ms; overrides the network's.
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds)]
    pub(crate) dt: Option<f64>,
    /// Reset of all neurons: to-value, subtract or snntorch-subtract; overrides the network's.
    #[arg(long, value_parser = values::reset, value_name = "RESET")]
    pub(crate) reset: Option<Reset>,
    /// Let the chip reset to a value where the network resets by subtraction; verification reports what that costs.
    #[arg(long)]
    pub(crate) approximate_reset: bool,
    /// Keep plain chip timing: do not pad shorter paths with delay.
    #[arg(long)]
    pub(crate) no_align: bool,
    /// Allow loops that take longer on the chip than in the network.
    #[arg(long)]
    pub(crate) allow_loop_latency: bool,
}

/// What runs on the host.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Host options")]
pub(crate) struct HostArgs {
    /// Run these layers, and what feeds them, on the host in floats; their spikes are the chip's input. 'first': the layers
    /// that read inputs alone.
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    pub(crate) host: Vec<String>,
}

/// How floats become integers.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Quantization options")]
pub(crate) struct QuantizeArgs {
    /// Rules by which floats become integers: calibrated or nengo-loihi.
    #[arg(long, value_parser = values::quantizer, default_value = "calibrated", value_name = "RULES")]
    pub(crate) quantizer: QuantizeStrategy,
    /// Bits of a weight [default: the target's].
    #[arg(long, value_name = "N")]
    pub(crate) weight_bits: Option<u8>,
    /// Values that do not fit their field: error, saturate or wrap.
    #[arg(long, value_parser = values::overflow, default_value = "error", value_name = "POLICY")]
    pub(crate) overflow: OverflowPolicy,
    /// Give all neurons of a layer the same scale.
    #[arg(long)]
    pub(crate) no_per_neuron_scales: bool,
}

/// What the user asks of the mapping.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Mapping options")]
pub(crate) struct MappingArgs {
    /// Put neurons on a core: 'fc1[0..64]=5', 'fc1=chip0.core3'.
    #[arg(long, value_name = "NEURONS=CORE", value_parser = values::pin)]
    pub(crate) pin: Vec<values::PinValue>,
    /// Leave cores empty: '5', '8-11', 'chip0.core3', with commas.
    #[arg(long, value_name = "CORES", value_delimiter = ',', value_parser = values::cores)]
    pub(crate) reserve: Vec<values::CoreRange>,
    /// Spread a layer over at least so many cores: 'fc1=2'.
    #[arg(long, value_name = "LAYER=CORES", value_parser = values::split)]
    pub(crate) split: Vec<(String, u32)>,
    /// Share no core of this layer with other layers.
    #[arg(long, value_name = "LAYER")]
    pub(crate) exclusive: Vec<String>,
    /// Effort of partitioner and placer, 0 to 3: a budget of moves, never of time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=3), value_name = "0-3")]
    pub(crate) effort: u8,
    /// Seed of the placer [default: the target's].
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Network: a .ron or .nir file, or a trained one (.onnx, .keras, .h5), whose nodes are listed with what becomes of them.
    #[arg(value_name = "NET")]
    pub(crate) network: PathBuf,
    /// Target: the name of a built-in one, or a .ron file. Without it, only the network itself is checked.
    #[arg(short, long)]
    pub(crate) target: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) lowering: NetworkArgs,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    pub(crate) quantize: QuantizeArgs,
    #[command(flatten)]
    pub(crate) mapping: MappingArgs,
    #[command(flatten)]
    pub(crate) conversion: ConversionArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ConvertArgs {
    /// Trained network: .onnx, .keras or .h5. A spiking one (.ron, .nir) is only written in the other format. Or an architecture of
    /// SANA-FE (.yaml).
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// Mapped network of SANA-FE, .yaml or .net, that goes with an architecture: becomes network, hardware model and target.
    #[arg(value_name = "NETWORK")]
    pub(crate) network: Option<PathBuf>,
    /// Network to write: .ron (weights beside it in .npz) or .nir [default: MODEL.ron].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Unlabelled samples of the training set: IDX (MNIST), .npy, .npz; 'INPUT=FILE' where the network has several inputs.
    #[arg(long, value_name = "FILE", value_parser = values::input)]
    pub(crate) calibrate: Vec<values::InputValue>,
    /// Use only the first N samples.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = values::at_least_one)]
    pub(crate) calibrate_samples: usize,
    /// Target that the network is made for: checked, and named in the next step.
    #[arg(short, long)]
    pub(crate) target: Option<String>,
    /// Steps of a sample that the network is corrected for; it runs with any other number too.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) steps: u32,
    /// How data becomes input: rate-rounded, constant, rate, poisson or latency [default: rate-rounded].
    #[arg(long, value_parser = values::coding)]
    pub(crate) coding: Option<Coding>,
    /// Time step, such as 1e-3 or 1ms; only filters need one.
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds)]
    pub(crate) dt: Option<f64>,
    /// Seed of random codings.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) conversion: ConversionArgs,
    #[command(flatten)]
    pub(crate) exit: ExitArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CompileArgs {
    /// Network: a .ron or .nir file, or a trained one to convert first (.onnx, .keras, .h5; needs --calibrate).
    #[arg(value_name = "NET")]
    pub(crate) network: PathBuf,
    /// Target: the name of a built-in one (see `snncc targets list`), or a .ron file.
    #[arg(short, long)]
    pub(crate) target: String,
    /// Output folder; an older one of snncc is replaced; `out/NET@TARGET` if left out.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Write into a folder that holds other files too; they stay.
    #[arg(long)]
    pub(crate) force: bool,
    /// Also write what the stages made, as text in ir/: ir, lowered, quantized, partition, placement, routes, image.
    #[arg(long, value_delimiter = ',', value_name = "STAGES", value_parser = values::emit)]
    pub(crate) emit: Vec<values::Emit>,
    /// Print how long each stage took, and write it into manifest.json.
    #[arg(long)]
    pub(crate) timings: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) lowering: NetworkArgs,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    pub(crate) quantize: QuantizeArgs,
    #[command(flatten)]
    pub(crate) calibration: CalibrationArgs,
    #[command(flatten)]
    pub(crate) conversion: ConversionArgs,
    #[command(flatten)]
    pub(crate) exit: ExitArgs,
    #[command(flatten)]
    pub(crate) mapping: MappingArgs,
}

/// Data that the quantizer may look at.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Calibration options")]
pub(crate) struct CalibrationArgs {
    /// Run the float network on this data first, and choose scales by what it does.
    #[arg(long, value_name = "FILE")]
    pub(crate) calibrate: Option<PathBuf>,
    /// Coding of the calibration data: constant, rate, rate-rounded, poisson, latency, delta or spikes [default: the
    /// network's, or by the data].
    #[arg(long, requires = "calibrate", value_parser = values::coding)]
    pub(crate) coding: Option<Coding>,
    /// Values of the calibration data that are fed as 0 and 1: LOW..HIGH or PORT=LOW..HIGH [default: the network's].
    #[arg(long, requires = "calibrate", value_name = "RANGE", value_parser = values::range, allow_hyphen_values = true)]
    pub(crate) range: Vec<values::RangeValue>,
    /// Change that makes a spike of delta coding, as part of the range [default: 0.1].
    #[arg(long, requires = "calibrate", value_name = "X", value_parser = values::delta)]
    pub(crate) delta: Option<f64>,
    /// Steps of a calibration sample [default: those of the data, the network's, or 64].
    #[arg(long, requires = "calibrate", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) steps: Option<u32>,
    /// Use only the first N samples [default: 200; a trained network is converted on 2000].
    #[arg(long, requires = "calibrate", value_name = "N", value_parser = values::at_least_one)]
    pub(crate) calibrate_samples: Option<usize>,
    /// Labels of the calibration data: also report the float network's accuracy on it.
    #[arg(long, requires = "calibrate", value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
}

/// Data to run on.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Data options")]
pub(crate) struct DataArgs {
    /// Input data: IDX (MNIST), .npy, .npz or CSV events, also gzipped. 'PORT=FILE' where the network has several inputs. Not for
    /// a network without inputs, which runs one sample.
    #[arg(short, long, value_name = "FILE", value_parser = values::input)]
    pub(crate) input: Vec<values::InputValue>,
    /// Labels: IDX, .npy or CSV; adds the accuracy.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// What the data is: levels, series, spikes or events [default: by the file].
    #[arg(long, value_parser = values::data_kind, value_name = "KIND")]
    pub(crate) data_kind: Option<DataKind>,
    /// How data becomes input: constant, rate, rate-rounded, poisson, latency, delta or spikes [default: the network's, or
    /// by the data].
    #[arg(long, value_parser = values::coding)]
    pub(crate) coding: Option<Coding>,
    /// Values that are fed as 0 and 1: LOW..HIGH or PORT=LOW..HIGH [default: the network's]. What lies beyond is clipped,
    /// with a warning.
    #[arg(long, value_name = "RANGE", value_parser = values::range, allow_hyphen_values = true)]
    pub(crate) range: Vec<values::RangeValue>,
    /// Change that makes a spike of delta coding, as part of the range [default: 0.1].
    #[arg(long, value_name = "X", value_parser = values::delta)]
    pub(crate) delta: Option<f64>,
    /// Network steps of a sample [default: those of the data, the network's, or 64]. The chip runs as many plus the output's
    /// latency.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) steps: Option<u32>,
    /// Use only the first N samples.
    #[arg(long, value_name = "N", value_parser = values::at_least_one)]
    pub(crate) samples: Option<usize>,
    /// Seed of random codings.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Args, Debug)]
pub(crate) struct EmulateArgs {
    /// Output folder of `snncc compile`.
    pub(crate) dir: PathBuf,
    /// Folder for results [default: run-NNN in DIR].
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Write traces of the first samples: spikes, membrane, timing.
    #[arg(long, value_delimiter = ',', value_enum, value_name = "KINDS")]
    pub(crate) trace: Vec<Trace>,
    #[command(flatten)]
    pub(crate) timing: TimingArgs,
    /// Compare the first N samples with the integer reference, spike for spike; exit 6 if they differ. 0: none.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) check_samples: usize,
    /// Also say what stopping early gives: a sample ends in the first step in which the largest value of the output leads by a
    /// margin: the network's (calibrated), or margin:X.
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "calibrated",
        value_parser = crate::early_exit::exit_rule,
        value_name = "calibrated|margin:X"
    )]
    pub(crate) early_exit: Option<ExitRule>,
    /// Also say how accurate the same run is after each step.
    #[arg(long)]
    pub(crate) accuracy_by_step: bool,
    /// Samples traced.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "trace")]
    pub(crate) trace_samples: usize,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct TimingArgs {
    /// How exactly the network between cores is timed: analytic (packets take no time), link (each link takes one packet after the
    /// other, buffers are finite; on SpiNNaker-like machines packets may be late or lost) or flit (routers cycle by cycle: slow).
    #[arg(long, value_enum, default_value = "analytic", value_name = "analytic|link|flit")]
    pub(crate) timing: Timing,
    /// Lengthen the ticks of a SpiNNaker-like machine: a time step of the network takes N times as long.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) time_scale: u32,
}

/// How exactly the network between cores is timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Timing {
    #[default]
    Analytic,
    Link,
    Flit,
}

impl Timing {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Analytic => "analytic",
            Self::Link => "link",
            Self::Flit => "flit",
        }
    }
}

/// What a trace records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Trace {
    /// Every spike, by layer.
    Spikes,
    /// Every membrane in every step.
    Membrane,
    /// Time and energy of every step.
    Timing,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Output folder of `snncc compile`.
    pub(crate) dir: PathBuf,
    /// Folder for results [default: run-NNN in DIR].
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Also compare with spikes of another tool: an .npz with one array (samples, steps, neurons) or (steps, neurons) a layer.
    #[arg(long = "ref", value_name = "FILE")]
    pub(crate) reference: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) timing: TimingArgs,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Output folder of `snncc compile`, or a run folder in it.
    pub(crate) dir: PathBuf,
    /// Form.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ReportFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// Only the compilation, without the latest run.
    #[arg(long)]
    pub(crate) no_run: bool,
}

/// Form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For reading.
    Text,
    /// As it is kept.
    Json,
    /// Of a SpiNNaker-like machine: the files that users of sPyNNaker know, in DIR/reports.
    Spinnaker,
}

#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// A network (.ron, .nir), an image (.snnbin), or an output folder.
    pub(crate) path: PathBuf,
    /// Where a neuron sits, with its registers, and where its spikes go: `fc1[17]`.
    #[arg(long, value_name = "LAYER[N]", value_parser = values::neuron)]
    pub(crate) neuron: Option<(String, u32)>,
    /// The synapses from the neuron of --neuron to this one: `fc2[3]`.
    #[arg(long, value_name = "LAYER[N]", requires = "neuron", value_parser = values::neuron)]
    pub(crate) to: Option<(String, u32)>,
    /// What sits on a core: 'chip0.core3' or '3'.
    #[arg(long, value_name = "CORE", conflicts_with = "neuron", value_parser = values::core)]
    pub(crate) core: Option<values::CoreName>,
    /// Of a SpiNNaker-like machine, cores and routing table of a chip: '1,2' (x and y) or its number.
    #[arg(long, value_name = "CHIP", conflicts_with_all = ["neuron", "core"], value_parser = values::chip)]
    pub(crate) chip: Option<values::ChipName>,
    /// The network lowered to the float IR, or the quantized IR of an output folder.
    #[arg(long)]
    pub(crate) ir: bool,
    /// Print as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TargetsAction {
    /// List the built-in targets.
    List {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a target with its hardware model.
    Show {
        /// Name, or a .ron file.
        target: String,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check a target or hardware model file.
    Check {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// A code such as SNN0402. Without it, all codes are listed.
    pub(crate) code: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_reach_their_fields() {
        let line =
            "snncc compile net.ron -t loihi-emu -o out --pin fc1[0..64]=5 --reserve 1,4-6 --deny warnings --emit ir -q";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Compile(args) = cli.command else { panic!() };
        assert!(cli.global.quiet && cli.global.deny.len() == 1);
        assert_eq!(args.mapping.reserve.len(), 2);
        assert_eq!(args.mapping.pin[0].population, "fc1");
        assert!(Cli::try_parse_from(["snncc", "compile", "net.ron", "-t", "x", "--steps", "3"]).is_err());
    }
}
