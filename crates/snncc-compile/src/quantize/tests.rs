//! The stage as a whole: golden blocks of nengo-loihi, examples counted by hand, and properties of random populations.

mod calibrated;
mod given;
mod golden;
mod subtraction;

use crate::{Ctx, Observer, Options};
use snncc_chip::Target;
use snncc_ids::{Diagnostic, Diagnostics, PopulationId};
use snncc_ir::Calibration;
use snncc_ir::network::Comparison;
use snncc_ir::{
    Connectivity, Delays, Graph, Ir, IrNeurons, IrWeights, NeuronParams, Param, Population, PopulationRole, Projection,
    QuantizedIr,
};

#[derive(Default)]
struct Warnings(Vec<Diagnostic>);

impl Observer for Warnings {
    fn warning(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }
}

impl Warnings {
    fn codes(&self) -> Vec<&'static str> {
        self.0.iter().map(|warning| warning.code.number()).collect()
    }
}

fn target(name: &str) -> Target {
    snncc_chip::target(name).unwrap()
}

fn run(
    ir: Ir,
    target: &Target,
    options: &Options,
    calibration: Option<&Calibration>,
) -> (Result<QuantizedIr, Diagnostics>, Warnings) {
    let mut observer = Warnings::default();
    let mut ctx = Ctx { target, options, calibration, observer: &mut observer };
    let result = super::quantize(ir, &mut ctx);
    (result, observer)
}

/// Neurons without leak, filter and bias.
fn integrators(threshold: f64) -> NeuronParams {
    NeuronParams {
        current_keep: Param::Uniform(0.0),
        voltage_keep: Param::Uniform(1.0),
        bias: Param::Uniform(0.0),
        subtracts: false,
        threshold: Param::Uniform(threshold),
        comparison: Comparison::Greater,
        refractory_steps: Param::Uniform(1),
        u_initial: Param::Uniform(0.0),
        v_initial: Param::Uniform(0.0),
        v_min: None,
        v_offset: Param::Uniform(0.0),
    }
}

fn population(name: &str, len: usize, role: PopulationRole) -> Population {
    Population { name: name.into(), shape: vec![len], role, latency_steps: 0, item: format!("nodes/{name}") }
}

fn projection(source: u32, target: u32, lens: (usize, usize), connectivity: Connectivity) -> Projection {
    Projection {
        name: format!("p{source}->p{target}"),
        source: PopulationId(source),
        target: PopulationId(target),
        source_len: lens.0 as u32,
        target_len: lens.1 as u32,
        connectivity,
        delays: Delays::Uniform(1),
        item: format!("nodes/w{source}"),
    }
}

/// An input of `sources` elements, densely connected to neurons.
fn dense(sources: usize, weights: Vec<f64>, params: NeuronParams) -> Ir {
    let targets = weights.len() / sources;
    Ir {
        graph: Graph {
            populations: vec![
                population("in", sources, PopulationRole::Input),
                population("out", targets, PopulationRole::Neurons),
            ]
            .into(),
            projections: vec![projection(0, 1, (sources, targets), Connectivity::Dense)].into(),
        },
        neurons: vec![None, Some(IrNeurons::Float(params))].into(),
        weights: vec![IrWeights::Float(weights)].into(),
        outputs: Vec::new(),
        dt_s: None,
    }
}
