//! A compilation as `check`, `compile` and `demo` run it: inputs read, options merged, stages observed, a report filled.

use crate::args::{MappingArgs, NetworkArgs, QuantizeArgs};
use crate::host::OnHost;
use crate::load::{LoadedNetwork, LoadedTarget};
use crate::machine;
use crate::report::{Known, report};
use crate::session::{Session, file_name};
use crate::values::{PinValue, expand_cores};
use indicatif::ProgressBar;
use snncc_chip::Target;
use snncc_compile::{Compiled, Ctx, Observer, Options, OverflowPolicy, QuantizeStrategy};
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_image::Image;
use snncc_ir::network::{MappingRequest, Pin, Reset};
use snncc_ir::{Calibration, Graph, Network, Node, QuantizedIr};
use snncc_report::{NetworkInfo, ReportData};
use std::time::Instant;

/// Options of a compilation from flags. What the flags say of the network itself is in the network already
/// ([`apply_overrides`]).
///
/// # Errors
/// `SNN0403` for cores that the target does not have.
pub(crate) fn options(
    network: &Network,
    target: &Target,
    lowering: &NetworkArgs,
    quantize: &QuantizeArgs,
    mapping: &MappingArgs,
) -> Result<Options, Diagnostics> {
    Ok(Options {
        align: !lowering.no_align,
        allow_loop_latency: lowering.allow_loop_latency,
        reset: lowering.approximate_reset.then_some(Reset::ToValue),
        strategy: quantize.quantizer,
        weight_bits: quantize.weight_bits,
        per_neuron_scales: !quantize.no_per_neuron_scales,
        overflow: quantize.overflow,
        mapping: merged(&network.mapping, mapping, target)?,
        effort: mapping.effort,
        seed: mapping.seed,
        ..Options::default()
    })
}

/// Puts `--dt` and `--reset` into the network, so that the network as compiled says all.
pub(crate) fn apply_overrides(network: &mut Network, lowering: &NetworkArgs) {
    network.dt_s = lowering.dt.or(network.dt_s);
    if let Some(reset) = lowering.reset {
        for node in network.nodes.iter_mut() {
            if let Node::Neuron(neuron) = &mut node.node
                && neuron.model.spikes()
            {
                neuron.reset = reset;
            }
        }
    }
}

/// Wishes of the file, then those of the flags.
fn merged(file: &MappingRequest, flags: &MappingArgs, target: &Target) -> Result<MappingRequest, Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut request = file.clone();
    let no_core = |what: String| {
        Diagnostic::error(code::ILLEGAL_PIN, format!("{what}: target `{}` has no such core", target.name()))
            .note(format!("it has {} cores, {} a chip, numbered from 0", target.cores(), target.cores_per_chip()))
    };
    for PinValue { population, neurons, core } in &flags.pin {
        match core.number(target) {
            Some(core) => request.pins.push(Pin { population: population.clone(), neurons: *neurons, core }),
            None => problems.push(no_core(format!("`{population}` is pinned to {core}"))),
        }
    }
    match expand_cores(&flags.reserve, target) {
        Ok(cores) => request.reserved_cores.extend(cores.iter().map(|core| core.0)),
        Err(range) => problems.push(no_core(format!("{}-{} cannot be reserved", range.first, range.last))),
    }
    request.split.extend(flags.split.iter().cloned());
    request.exclusive.extend(flags.exclusive.iter().cloned());
    problems.into_result(request).map(|(request, _)| request)
}

/// The options that shape a result, by name.
pub(crate) fn option_names(options: &Options, target: &Target) -> Vec<(String, String)> {
    let strategy = match options.strategy {
        QuantizeStrategy::Calibrated => "calibrated",
        QuantizeStrategy::NengoLoihi => "nengo-loihi",
    };
    let overflow = match options.overflow {
        OverflowPolicy::Error => "error",
        OverflowPolicy::Saturate => "saturate",
        OverflowPolicy::Wrap => "wrap",
    };
    let bits = options.weight_bits.unwrap_or(target.file.defaults.weight_bits);
    let seed = options.seed.unwrap_or(target.file.defaults.seed);
    [
        ("align", options.align.to_string()),
        ("allow_loop_latency", options.allow_loop_latency.to_string()),
        ("approximate_reset", options.reset.is_some().to_string()),
        ("quantizer", strategy.to_owned()),
        ("weight_bits", bits.to_string()),
        ("per_neuron_scales", options.per_neuron_scales.to_string()),
        ("overflow", overflow.to_owned()),
        ("effort", options.effort.to_string()),
        ("seed", seed.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Follows the stages: a spinner, times, texts that were asked for, warnings.
pub(crate) struct Follower {
    spinner: ProgressBar,
    wanted: Vec<crate::values::Emit>,
    began: Instant,
    /// The stage that runs.
    pub(crate) stage: String,
    /// Stages that ended, with their milliseconds.
    pub(crate) timings_ms: Vec<(String, f64)>,
    /// Stage and text.
    pub(crate) texts: Vec<(String, String)>,
    /// Warnings of all stages.
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Follower {
    /// A follower that keeps the texts of these stages.
    pub(crate) fn new(session: &Session, wanted: &[crate::values::Emit]) -> Self {
        Self {
            spinner: session.spinner(),
            wanted: wanted.to_vec(),
            began: Instant::now(),
            stage: String::new(),
            timings_ms: Vec::new(),
            texts: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Whether the text of a stage is wanted.
    pub(crate) fn wants(&self, stage: &str) -> bool {
        self.wanted.iter().any(|emit| emit.wants(stage))
    }

    /// The last stage has ended.
    pub(crate) fn end(&mut self) {
        if !self.stage.is_empty() {
            let stage = std::mem::take(&mut self.stage);
            self.timings_ms.push((stage, self.began.elapsed().as_secs_f64() * 1e3));
        }
        self.began = Instant::now();
        self.spinner.finish_and_clear();
    }
}

impl Observer for Follower {
    fn stage(&mut self, name: &str) {
        if !self.stage.is_empty() {
            self.timings_ms.push((self.stage.clone(), self.began.elapsed().as_secs_f64() * 1e3));
        }
        self.began = Instant::now();
        name.clone_into(&mut self.stage);
        self.spinner.set_message(name.to_owned());
    }

    fn finished(&mut self, name: &str, text: &dyn Fn() -> String) {
        if self.wants(name) {
            self.texts.push((name.to_owned(), text()));
        }
    }

    fn warning(&mut self, diagnostic: Diagnostic) {
        self.warnings.push(diagnostic);
    }
}

/// A compilation that is ready to run.
pub(crate) struct Job<'a> {
    pub(crate) network: &'a LoadedNetwork,
    pub(crate) target: &'a LoadedTarget,
    pub(crate) options: Options,
    pub(crate) calibration: Option<Calibration>,
    /// Layers that are not for the chip.
    pub(crate) host: Option<OnHost>,
}

/// Why there is no image.
pub(crate) struct Stopped {
    /// The stage that gave up.
    pub(crate) stage: String,
    /// What it found.
    pub(crate) problems: Diagnostics,
}

impl Job<'_> {
    /// What is for the chip.
    pub(crate) fn chip_network(&self) -> &Network {
        self.host.as_ref().map_or(&self.network.network, |host| &host.cut.chip)
    }

    /// Options that shape the result, and the layers on the host, by name.
    fn named_options(&self) -> Vec<(String, String)> {
        let mut names = option_names(&self.options, &self.target.target);
        names.extend(self.host.iter().map(|host| ("host".to_owned(), host.cut.layers.join(", "))));
        names
    }

    fn ctx<'c>(&'c self, options: &'c Options, observer: &'c mut dyn Observer) -> Ctx<'c> {
        let calibration = self.calibration.as_ref().or(self.network.network.calibration.known());
        Ctx { target: &self.target.target, options, calibration, observer }
    }

    /// Runs all stages.
    ///
    /// # Errors
    /// The stage that failed, and all that it found.
    pub(crate) fn compile(&self, follower: &mut Follower) -> Result<Compiled, Stopped> {
        let mut ctx = self.ctx(&self.options, follower);
        match snncc_compile::compile(self.chip_network(), &mut ctx) {
            Ok(mut compiled) => {
                follower.end();
                compiled.image.notes = self.notes();
                Ok(compiled)
            }
            Err(problems) => {
                let stage = follower.stage.clone();
                follower.end();
                Err(Stopped { stage, problems })
            }
        }
    }

    /// Runs all stages for a SpiNNaker-like machine.
    ///
    /// # Errors
    /// The stage that failed, and all that it found.
    pub(crate) fn compile_for_machine(
        &self,
        follower: &mut Follower,
    ) -> Result<snncc_compile::spinnaker::Compiled, Stopped> {
        follower.stage = "options".to_owned();
        let compiled = machine::check_options(self).and_then(|()| {
            let mut ctx = self.ctx(&self.options, follower);
            snncc_compile::spinnaker::compile(self.chip_network(), &mut ctx)
        });
        let stage = follower.stage.clone();
        follower.end();
        let mut compiled = compiled.map_err(|problems| Stopped { stage, problems })?;
        compiled.image.notes = self.notes();
        Ok(compiled)
    }

    /// The integer IR alone.
    ///
    /// # Errors
    /// What lowering and quantization find.
    pub(crate) fn quantized(&self, options: &Options, observer: &mut dyn Observer) -> Result<QuantizedIr, Diagnostics> {
        snncc_compile::quantized(self.chip_network(), &mut self.ctx(options, observer))
    }

    /// The integer IR where values that do not fit are no obstacle; `None` where there is another one.
    pub(crate) fn saturated(&self) -> Option<QuantizedIr> {
        if machine::is_machine(&self.target.target) {
            return None;
        }
        let options = Options { overflow: OverflowPolicy::Saturate, ..self.options.clone() };
        self.quantized(&options, &mut snncc_compile::NoObserver).ok()
    }

    /// Checks whether the network fits, without placing it.
    ///
    /// # Errors
    /// What the partitioner finds.
    pub(crate) fn fits(&self, quantized: QuantizedIr, follower: &mut Follower) -> Result<Fit, Diagnostics> {
        let mut ctx = self.ctx(&self.options, follower);
        ctx.observer.stage("partition");
        let partitioned = snncc_compile::partition::partition(quantized, &mut ctx);
        follower.end();
        partitioned.map(|partitioned| Fit { cores: partitioned.cores().len(), at_least: partitioned.cores_at_least() })
    }

    /// What made the image, for its notes section.
    fn notes(&self) -> Vec<(String, String)> {
        let mut notes = vec![("compiler".to_owned(), format!("snncc {}", env!("CARGO_PKG_VERSION")))];
        notes.extend(self.named_options());
        let calibration = match (&self.calibration, self.network.network.calibration.known()) {
            (Some(_), _) => "data",
            (None, Some(_)) => "network file",
            (None, None) => "none",
        };
        notes.push(("calibration".to_owned(), calibration.to_owned()));
        notes
    }

    /// The report of what is known.
    pub(crate) fn report(&self, session: &Session, known: &Results<'_>) -> ReportData {
        let (_, file, sha256) = self.network.inputs.first().cloned().unwrap_or_default();
        report(&Known {
            target: &self.target.target,
            network: NetworkInfo { file: file_name(&file), sha256, ..NetworkInfo::default() },
            options: self.named_options(),
            host: self.host.as_ref().map(|host| &host.part),
            quantized: known.quantized,
            graph: known.graph,
            image: known.image,
            failed: known.failed.clone(),
            diagnostics: session.said().collect(),
        })
    }
}

/// Whether a network fits.
pub(crate) struct Fit {
    /// Cores it takes.
    pub(crate) cores: usize,
    /// Cores that no mapping can go below.
    pub(crate) at_least: u32,
}

/// What came of a compilation, as far as it went.
#[derive(Default)]
pub(crate) struct Results<'a> {
    pub(crate) quantized: Option<&'a QuantizedIr>,
    pub(crate) graph: Option<&'a Graph>,
    pub(crate) image: Option<&'a Image>,
    pub(crate) failed: Option<String>,
}
