//! A trained network tried out: converted with some options, compiled in memory, with data to run on. What `ledger` and
//! `sweep` share.

use crate::args::MappingArgs;
use crate::chip::ChipProgram;
use crate::commands::compile::manifest;
use crate::compilation::{Follower, Job, apply_overrides, options};
use crate::conversion::{self, Model, Request};
use crate::conversion_args::ConversionArgs;
use crate::data::{self, Data, DataRequest};
use crate::integers::Integers;
use crate::ledger_args::ExperimentArgs;
use crate::load::{LoadedNetwork, LoadedTarget};
use crate::machine::is_machine;
use crate::output::{AnyImage, Opened};
use crate::running::Running;
use crate::session::{Outcome, Session};
use crate::values::InputValue;
use snncc_convert::Converted;
use snncc_ids::{Diagnostic, Diagnostics};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A trained network and what it is tried for.
pub(crate) struct Experiment<'a> {
    pub(crate) args: &'a ExperimentArgs,
    pub(crate) model: Model,
    pub(crate) target: Option<LoadedTarget>,
}

/// A converted network with its data.
pub(crate) struct Spiking {
    pub(crate) converted: Converted,
    pub(crate) network: LoadedNetwork,
    pub(crate) data: Arc<Data>,
}

/// A part of the work: its result, and warnings.
pub(crate) type Step<T> = Result<(T, Vec<Diagnostic>), Diagnostics>;

impl<'a> Experiment<'a> {
    /// Reads model and target.
    ///
    /// # Errors
    /// After the diagnostics have been shown.
    pub(crate) fn open(session: &mut Session, args: &'a ExperimentArgs) -> Outcome<Self> {
        if !conversion::is_model(&args.model) {
            let message = format!("`{}` is no trained network (.onnx, .keras or .h5)", args.model.display());
            return Err(session.usage(&message));
        }
        let target = args.target.as_deref().map(|name| crate::load::target(session, name)).transpose()?;
        Ok(Self { args, model: conversion::read(session, &args.model)?, target })
    }

    /// Converts the network for so many steps, and reads the data for it.
    ///
    /// # Errors
    /// What has no spiking form, and what is wrong with the data.
    pub(crate) fn convert(&mut self, session: &Session, conversion: &ConversionArgs, steps: u32) -> Step<Spiking> {
        let args = self.args;
        let request = Request {
            args: conversion,
            calibrate: &args.calibrate,
            samples: args.calibrate_samples,
            steps,
            coding: args.coding,
            dt_s: args.lowering.dt,
            seed: args.seed,
            early_exit_changes: None,
        };
        let converted = conversion::attempt(session, &mut self.model, &request)?;
        let mut warnings = converted.prepared.warnings.clone();
        let mut network = self.model.spiking(converted.network.clone());
        apply_overrides(&mut network.network, &args.lowering);
        let (data, clipped) = self.data(&network, &args.input, Some(&args.labels), args.samples)?;
        warnings.extend(clipped);
        Ok((Spiking { converted, network, data: Arc::new(data) }, warnings))
    }

    fn data(
        &self,
        network: &LoadedNetwork,
        inputs: &[InputValue],
        labels: Option<&PathBuf>,
        samples: Option<usize>,
    ) -> Step<Data> {
        let request = DataRequest {
            inputs,
            labels,
            kind: None,
            coding: self.args.coding,
            ranges: &[],
            delta: None,
            steps: None,
            samples,
            seed: self.args.seed,
            defaults: &network.network.run,
        };
        let shapes = snncc_ir::shapes::infer(&network.network)?;
        data::read(&request, &data::ports_of_network(&network.network, &shapes))
    }

    /// Compiles a converted network for the target: a compiled network, ready to run.
    ///
    /// # Errors
    /// What does not fit, or has no form on the chip.
    ///
    /// # Panics
    /// Without a target.
    pub(crate) fn compile(&self, session: &Session, spiking: &Spiking, weight_bits: Option<u8>) -> Step<Running> {
        let target = self.target.as_ref().expect("bug in snncc: compiled without a target");
        let args = self.args;
        let quantize = crate::args::QuantizeArgs { weight_bits, ..args.quantize.clone() };
        let mapping = MappingArgs {
            pin: Vec::new(),
            reserve: Vec::new(),
            split: Vec::new(),
            exclusive: Vec::new(),
            effort: args.effort,
            seed: None,
        };
        let network = &spiking.network;
        let options = options(&network.network, &target.target, &args.lowering, &quantize, &mapping)?;
        let job = Job { network, target, options, calibration: None, host: None };
        let mut follower = Follower::new(session, &[]);
        let (image, integers) = match is_machine(&target.target) {
            true => {
                let compiled = job.compile_for_machine(&mut follower).map_err(|stopped| stopped.problems)?;
                (AnyImage::Spinnaker(compiled.image), Integers::Spinnaker(compiled.ir))
            }
            false => {
                let compiled = job.compile(&mut follower).map_err(|stopped| stopped.problems)?;
                let quantized = compiled.routed.placed().partitioned().ir().clone();
                (AnyImage::Compartments(compiled.image), Integers::Compartments(quantized))
            }
        };
        let opened = Opened {
            folder: PathBuf::new(),
            manifest: manifest(&job, &network.inputs, Vec::new()),
            target: target.target.clone(),
            image,
        };
        let program = ChipProgram::load(&opened, network.network.dt_s)?;
        let running = Running::new(opened, program, network.network.clone(), spiking.data.clone(), None)?;
        Ok((running.with_integers(integers), follower.warnings))
    }

    /// The last part of the model's path.
    pub(crate) fn model_name(&self) -> String {
        Path::new(&self.model.source.path).file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned())
    }
}

/// Shows warnings that have not been shown yet.
pub(crate) fn say_once(session: &mut Session, warnings: Vec<Diagnostic>, experiment: &Experiment<'_>) {
    let known: Vec<Diagnostic> = session.said().cloned().collect();
    session.say(warnings.into_iter().filter(|warning| !known.contains(warning)), Some(&experiment.model.source));
}
