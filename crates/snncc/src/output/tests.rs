//! The files of an output folder.

use super::*;
use snncc_ids::{IdVec, PopulationId};
use snncc_ir::{
    Connectivity, Delays, Graph, IntNeurons, IntWeights, Param, Population, PopulationRole, Projection,
    ProjectionQuality, ResetModel, SignMode,
};

#[test]
fn a_folder_appears_whole_replaces_its_own_and_spares_others() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("deep/er/out");
    let write = |files: &[&str], force| {
        let folder = OutputFolder::begin(&out, force)?;
        files.iter().try_for_each(|name| folder.write(name, "x"))?;
        assert!(out.join(files[0]).exists() || existing(&out) != Existing::Own { compiled: false });
        folder.commit()
    };
    write(&[MANIFEST, "tables/cores.csv"], false).unwrap();
    assert_eq!(existing(&out), Existing::Own { compiled: false });
    let run = next_run(&out).unwrap();
    assert!(run.ends_with("run-001") && next_run(&out).unwrap().ends_with("run-002"));
    std::fs::write(out.join("notes.txt"), "mine").unwrap();
    write(&[MANIFEST, PROGRAM], false).unwrap();
    assert!(!out.join("tables").exists() && !run.exists() && out.join(PROGRAM).exists());
    assert_eq!(std::fs::read_to_string(out.join("notes.txt")).unwrap(), "mine");
    std::fs::remove_file(out.join(MANIFEST)).unwrap();
    assert!(write(&[MANIFEST], false).unwrap_err().contains("--force"));
    write(&[MANIFEST], true).unwrap();
    assert!(out.join("notes.txt").exists());
    drop(OutputFolder::begin(&out, true).unwrap());
    assert_eq!(std::fs::read_dir(out.parent().unwrap()).unwrap().count(), 1, "nothing is left beside the folder");
    drop(OutputFolder::begin(&place.path().join("new/er/out"), false).unwrap());
    assert!(!place.path().join("new").exists(), "a folder that was not finished leaves no parents");
}

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
    let files = quantized_files(&ir);
    let text = std::str::from_utf8(&files[0].1).unwrap();
    assert_eq!(read_quantized(text, &files[1].1).unwrap(), ir);
    assert!(read_quantized(text, &files[1].1[..10]).is_err());
    assert!(read_quantized("(", &files[1].1).is_err());
}

#[test]
fn runs_are_numbered_and_files_of_others_are_not_runs() {
    assert_eq!(run_number("run-012"), Some(12));
    assert_eq!(run_number("run-1000"), Some(1000));
    assert!(["run-", "run-1", "run-x01", "running"].iter().all(|name| run_number(name).is_none()));
    assert!(is_own("tables") && !is_own("notes.txt"));
}

#[test]
fn arrays_are_named_in_the_order_of_projections() {
    let weights: IdVec<ProjectionId, ()> = vec![(), ()].into();
    assert_eq!(weights.ids().map(weights_name).collect::<Vec<_>>(), ["weights0000", "weights0001"]);
}
