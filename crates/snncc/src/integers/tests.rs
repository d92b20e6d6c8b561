//! Integers survive their files.

use super::*;
use snncc_ids::PopulationId;
use snncc_ir::{
    Connectivity, Delays, IntNeurons, IntWeights, Population, PopulationRole, Projection, ProjectionQuality,
    ResetModel, SignMode,
};

fn ir() -> QuantizedIr {
    let population = |name: &str, role, len: usize| Population {
        name: name.into(),
        shape: vec![len],
        role,
        latency_steps: 0,
        item: format!("nodes/{name}"),
    };
    let mut graph = Graph::default();
    let source = graph.populations.push(population("in", PopulationRole::Input, 2));
    let target = graph.populations.push(population("a", PopulationRole::Neurons, 3));
    graph.projections.push(Projection {
        name: "in->a".into(),
        source,
        target,
        source_len: 2,
        target_len: 3,
        connectivity: Connectivity::Dense,
        delays: Delays::Uniform(1),
        item: "nodes/w".into(),
    });
    let neurons = IntNeurons {
        decay_u: Param::Uniform(4095),
        decay_v: Param::PerNeuron(vec![1, 2, 3]),
        threshold_mantissa: Param::Uniform(-1),
        bias_mantissa: Param::Uniform(0),
        bias_exponent: Param::Uniform(0),
        refractory: Param::Uniform(1),
        u_initial: Param::Uniform(0),
        v_initial: Param::Uniform(0),
        v_min_exponent: Some(23),
        v_max_exponent: None,
        reset: ResetModel::Lif,
        noise: None,
        start_step: 2,
        units_per_volt: Param::Uniform(0.1),
        v_offset: Param::Uniform(0.0),
        spikes: true,
    };
    let weights = IntWeights {
        mantissas: vec![-2, 0, 4, 254, -254, 6],
        exponent: -1,
        weight_bits: 8,
        sign_mode: SignMode::Mixed,
    };
    let quality = ProjectionQuality { weights: 6, sqnr_db: f64::INFINITY, max_error: 0.1, zeroed: 0, clipped: 0 };
    QuantizedIr {
        graph,
        neurons: vec![None, Some(neurons)].into(),
        weights: vec![weights].into(),
        outputs: vec![snncc_ir::OutputPort {
            name: "out".into(),
            population: PopulationId(1),
            readout: snncc_ir::Readout::Spikes,
        }],
        dt_s: Some(1e-3),
        population_quality: vec![None, None].into(),
        projection_quality: vec![Some(quality)].into(),
    }
}

#[test]
fn the_integer_ir_survives_its_files() {
    let ir = ir();
    let files = compartment_files(&ir);
    let text = std::str::from_utf8(&files[0].1).unwrap();
    let read = |text: &str, weights: &[u8]| match Integers::read(false, text, weights) {
        Ok(Integers::Compartments(ir)) => Some(ir),
        _ => None,
    };
    assert_eq!(read(text, &files[1].1), Some(ir));
    assert_eq!(read(text, &files[1].1[..10]), None);
    assert_eq!(read("(", &files[1].1), None);
    assert!(Integers::read(true, text, &files[1].1).is_err(), "integers of the other family");
}

#[test]
fn arrays_are_named_in_the_order_of_projections() {
    let weights: IdVec<ProjectionId, ()> = vec![(), ()].into();
    assert_eq!(weights.ids().map(weights_name).collect::<Vec<_>>(), ["weights0000", "weights0001"]);
}
