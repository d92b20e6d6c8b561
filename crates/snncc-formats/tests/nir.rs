//! NIR files: those of `tests/make_nir.py`, damaged copies of them, and any folder named by `SNNCC_NIR_DATA`.

use snncc_formats::nir::{NirNetwork, read_nir, write_nir};
use snncc_ids::{Diagnostics, code};
use snncc_ir::network::{DelayTime, Matrix, NeuronModel, Node, Padding};
use snncc_ir::{Param, Tensor};
use std::path::Path;

fn bytes_of(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(format!("{name}.nir"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read(name: &str) -> NirNetwork {
    read_nir(&bytes_of(name)).unwrap_or_else(|problems| panic!("{name}: {problems}"))
}

fn refused(name: &str) -> Diagnostics {
    read_nir(&bytes_of(name)).expect_err(name)
}

fn names(nir: &NirNetwork) -> Vec<&str> {
    nir.network.nodes.iter().map(|node| &*node.name).collect()
}

fn node<'a>(nir: &'a NirNetwork, name: &str) -> &'a Node {
    &nir.network.nodes[nir.network.find(name).unwrap_or_else(|| panic!("no node {name}"))].node
}

fn edges(nir: &NirNetwork) -> Vec<String> {
    let name = |id| &nir.network.nodes[id].name;
    nir.network.edges.iter().map(|edge| format!("{}->{}", name(edge.source), name(edge.target))).collect()
}

fn ramp(shape: &[usize]) -> Tensor {
    let len: usize = shape.iter().product();
    Tensor::new(shape.to_vec(), (0..len).map(|i| i as f64 / 8.0).collect())
}

#[test]
fn convolutional_network_in_three_storages() {
    let nir = read("convolutional");
    assert_eq!(nir.warnings, []);
    assert_eq!(nir.version.as_deref(), Some("1.0.8"));
    assert_eq!(nir.network.dt_s, None);
    assert_eq!(names(&nir), ["1", "2", "3", "10", "11", "12", "input", "output"]);
    let Node::Convolution(convolution) = node(&nir, "1") else { panic!() };
    assert_eq!(convolution.weight, ramp(&[3, 2, 1, 3]));
    assert_eq!(convolution.padding, Padding::Explicit(vec![0, 0]));
    assert_eq!(convolution.input_shape, Some(vec![6, 8]));
    assert_eq!(convolution.bias, Some(Tensor::vector(vec![0.0, 1.0, 2.0])));
    let Node::Neuron(neuron) = node(&nir, "2") else { panic!() };
    assert_eq!((neuron.model, neuron.shape.clone()), (NeuronModel::If, Some(vec![3, 6, 6])));
    assert_eq!((neuron.v_threshold.clone(), neuron.v_reset.clone()), (Param::Uniform(2.0), Param::Uniform(0.0)));
    let Node::Affine(affine) = node(&nir, "12") else { panic!() };
    assert_eq!(affine.weight, Matrix::Dense(ramp(&[2, 12])));
    // As text, since the time constants that IF lacks are not equal to themselves.
    assert_eq!(format!("{:?}", read("convolutional_gzip")), format!("{nir:?}"));
    assert_eq!(format!("{:?}", read("convolutional_lzf")), format!("{nir:?}"));
}

#[test]
fn one_dimensional_network_with_odd_types() {
    let nir = read("one_dimensional");
    assert_eq!(nir.warnings, []);
    assert_eq!(nir.version, None);
    let Node::Convolution(convolution) = node(&nir, "same") else { panic!() };
    assert_eq!((&convolution.weight, &convolution.padding), (&ramp(&[2, 1, 3]), &Padding::Same));
    assert_eq!(convolution.bias, Some(Tensor::vector(vec![0.0, 1.0])), "big-endian 32-bit floats");
    let Node::Affine(linear) = node(&nir, "linear") else { panic!() };
    let counts = Tensor::new(vec![2, 10], (0..20).map(f64::from).collect());
    assert_eq!((&linear.weight, &linear.bias), (&Matrix::Dense(counts), &None), "big-endian integers");
    assert_eq!(*node(&nir, "scale"), Node::Scale { scale: Tensor::vector(vec![0.5, 2.0]) });
    let Node::Threshold(threshold) = node(&nir, "threshold") else { panic!() };
    assert_eq!(threshold.threshold, Param::PerNeuron(vec![0.5, 0.25]));
    let Node::Delay { delay: DelayTime::Seconds(delay), .. } = node(&nir, "delay") else { panic!() };
    assert_eq!(delay.values(), [f64::from(0.001_f32), f64::from(0.002_f32)]);
    for (name, model) in
        [("i", NeuronModel::I), ("li", NeuronModel::Li), ("cubali", NeuronModel::CubaLi), ("lif", NeuronModel::Lif)]
    {
        let Node::Neuron(neuron) = node(&nir, name) else { panic!() };
        assert_eq!((neuron.model, neuron.shape.clone()), (model, Some(vec![2])), "{name}");
    }
    let Node::Neuron(lif) = node(&nir, "lif") else { panic!() };
    assert_eq!((&lif.tau_mem_s, &lif.v_reset), (&Param::Uniform(0.02), &Param::Uniform(-0.5)));
    let Node::Neuron(cubali) = node(&nir, "cubali") else { panic!() };
    assert_eq!(cubali.w_in, Param::Uniform(1.0));
}

#[test]
fn nested_graphs_dissolve() {
    let nir = read("nested");
    assert_eq!(nir.warnings, []);
    assert_eq!(names(&nir), ["fc", "hidden.lif", "hidden.w_rec", "input", "last", "outer.inner.scale", "output"]);
    let mut found = edges(&nir);
    found.sort();
    assert_eq!(
        found,
        [
            "fc->hidden.lif",
            "hidden.lif->hidden.w_rec",
            "hidden.lif->last",
            "hidden.lif->outer.inner.scale",
            "hidden.w_rec->hidden.lif",
            "input->fc",
            "last->output",
            "outer.inner.scale->last",
        ]
    );
    assert_eq!(nir.network.dt_s, Some(1e-4));
}

#[test]
fn oddities_load_with_a_warning() {
    let warning = |name: &str| {
        let nir = read(name);
        let [warning] = &nir.warnings[..] else { panic!("{name}: {:?}", nir.warnings) };
        (warning.code, warning.item.clone().unwrap(), warning.message.clone())
    };
    let (found, item, message) = warning("repeated_edge");
    assert_eq!((found, &*item), (code::NIR_STRUCTURE, "edges"));
    assert!(message.contains("`input` -> `node`"));
    let (found, item, _) = warning("extra_parameter");
    assert_eq!((found, &*item), (code::NIR_STRUCTURE, "nodes/node/colour"));
    let (found, item, message) = warning("flat_output_shape");
    assert_eq!((found, &*item), (code::SHAPE_MISMATCH, "nodes/output"));
    assert!(message.contains("[1, 2]") && message.contains("[2]"));
    assert_eq!(*node(&read("flat_output_shape"), "output"), Node::Output { shape: vec![2] });
    assert_eq!(read("fixed_strings").warnings, []);
}

#[test]
fn missing_ends_are_added() {
    let nir = read("no_ends");
    assert_eq!(nir.warnings.len(), 2);
    assert_eq!(edges(&nir), ["a->b", "b->output_b", "input_a->a"]);
    assert_eq!(*node(&nir, "input_a"), Node::Input { shape: vec![2] });
    assert_eq!(*node(&nir, "output_b"), Node::Output { shape: vec![2] });
}

#[test]
fn errors_name_place_and_remedy() {
    let only = |name: &str| {
        let Diagnostics(mut problems) = refused(name);
        assert_eq!(problems.len(), 1, "{name}: {problems:?}");
        problems.remove(0)
    };
    let problem = only("wrong_inner_name");
    assert_eq!((problem.code, problem.item.as_deref()), (code::UNKNOWN_NODE, Some("nodes/hidden/edges")));
    assert_eq!(problem.message, "4 edges name the node `lif`, which the nested graph `hidden` does not have");
    assert_eq!(
        (&problem.notes[..], &problem.help[..]),
        (&["no edge names these nodes: lif1".to_owned()][..], &["did you mean `lif1`?".to_owned()][..])
    );

    let problem = only("unknown_type");
    assert_eq!((problem.code, problem.item.as_deref()), (code::NIR_STRUCTURE, Some("nodes/node/type")));
    assert!(problem.notes[0].contains("SumPool2d"));
    assert_eq!(problem.help, ["did you mean `CubaLIF`?"]);

    let Diagnostics(problems) = refused("misspelt_parameter");
    assert_eq!(problems[0].item.as_deref(), Some("nodes/node/v_threshold"));
    assert_eq!(problems[0].help, ["there is a dataset `v_treshold`: was it meant?"]);

    let problem = only("three_dimensional_weight");
    assert_eq!(problem.item.as_deref(), Some("nodes/node/weight"));
    assert!(problem.message.contains("[1, 2, 2]"));

    let problem = only("mismatch");
    assert_eq!((problem.code, problem.item.as_deref()), (code::SHAPE_MISMATCH, Some("nodes/node")));
    assert!(problem.message.contains("[3] (3 elements), but `input` gives [2] (2)"), "{problem}");

    assert_eq!(only("dotted_clash").code, code::DUPLICATE_NAME);
}

#[test]
fn other_bytes_are_refused() {
    for bytes in [&b""[..], b"(schema: 1)", b"\x89HDF\r\n\x1a\n"] {
        assert_eq!(read_nir(bytes).unwrap_err().0[0].code, code::NIR_STRUCTURE);
    }
    // An HDF5 file without /node.
    let mut builder = hdf5_pure::FileBuilder::new();
    builder.create_dataset("x").with_f64_data(&[1.0]);
    let problems = read_nir(&builder.finish().unwrap()).unwrap_err();
    assert!(problems.to_string().contains("no group `/node`"), "{problems}");
}

/// Cut anywhere and with any byte changed, a file gives a network or a diagnostic.
#[test]
fn damaged_files_never_panic() {
    let mut refused = 0;
    for name in ["repeated_edge", "convolutional_gzip"] {
        let bytes = bytes_of(name);
        for at in (0..bytes.len()).step_by(bytes.len() / 400) {
            refused += usize::from(read_nir(&bytes[..at]).is_err());
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                refused += usize::from(read_nir(&damaged).is_err());
            }
        }
    }
    assert!(refused > 800, "{refused}");
}

/// Every file of a folder loads and survives writing, or is one of the two whose inner edges name a missing node.
#[test]
fn files_of_the_folder_named_by_snncc_nir_data_load() {
    let Some(folder) = std::env::var_os("SNNCC_NIR_DATA") else {
        // Written to the stream itself: the harness hides what the print macros say in a test that passes.
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"skipped: SNNCC_NIR_DATA names no folder of NIR files\n",
        );
        return;
    };
    let mut folders = vec![std::path::PathBuf::from(folder)];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "nir") {
                continue;
            }
            count += 1;
            let result = read_nir(&std::fs::read(&path).unwrap());
            if path.to_string_lossy().ends_with("_subgraph.nir") {
                let problems = result.expect_err("a file known to be broken loads");
                assert!(problems.0.iter().all(|problem| problem.code == code::UNKNOWN_NODE), "{problems}");
                eprintln!("{}: {problems}", path.display());
                continue;
            }
            let nir = result.unwrap_or_else(|problems| panic!("{}: {problems}", path.display()));
            let again = read_nir(&write_nir(&nir.network).unwrap()).unwrap();
            assert_eq!(format!("{:?}", again.network), format!("{:?}", nir.network), "{}", path.display());
            eprintln!(
                "{}: {} nodes, {} edges, dt {:?}, warnings {:?}",
                path.display(),
                nir.network.nodes.len(),
                nir.network.edges.len(),
                nir.network.dt_s,
                nir.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
            );
        }
    }
    assert!(count > 0, "SNNCC_NIR_DATA has no .nir files");
}
