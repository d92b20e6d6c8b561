//! Round trips of random networks, the examples of the format's document, and what errors say.

mod networks;

use super::*;
use crate::tensor_files::write_npz;
use networks::network;
use proptest::prelude::*;
use snncc_ids::{Diagnostics, Id, NodeId, code};
use snncc_ir::network::*;
use snncc_ir::{EarlyExit, Param, Tensor};
use std::collections::BTreeMap;

fn no_files(name: &str) -> Result<Vec<u8>, String> {
    Err(format!("no file {name} in this test"))
}

fn read(text: &str) -> Result<Parsed, Diagnostics> {
    read_network(text, &mut no_files)
}

/// For comparing networks: time constants that a model lacks are NaN, and −0 is not 0.
fn debug(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

/// `CODE item: message` of each problem, and the text it points at.
fn problems(text: &str) -> Vec<(String, &str)> {
    read(text)
        .expect_err("the text has a mistake")
        .0
        .into_iter()
        .map(|problem| {
            let span = problem.span.expect("every problem of a text has a place");
            let item = problem.item.unwrap_or_default();
            let help: String = problem.help.iter().map(|help| format!(" [{help}]")).collect();
            (format!("{} {item}: {}{help}", problem.code, problem.message), &text[span.start..span.end])
        })
        .collect()
}

/// The problems of a network of these nodes.
fn node_problems(nodes: &str) -> Vec<(String, String)> {
    let text = format!("(schema: 1, dt: 1e-3, nodes: {{{nodes}}}, edges: [])");
    problems(&text).into_iter().map(|(message, place)| (message, place.to_owned())).collect()
}

fn one_problem(nodes: &str, message: &str, place: &str) {
    assert_eq!(node_problems(nodes), [(message.to_owned(), place.to_owned())]);
}

fn one_node(node: &str) -> Node {
    let parsed = read(&format!("(schema: 1, dt: 1e-3, nodes: {{\"n\": {node}}}, edges: [])"));
    parsed.unwrap_or_else(|problems| panic!("{problems}")).network.nodes[NodeId::new(0)].node.clone()
}

#[test]
fn every_example_of_the_document_is_read() {
    let document = include_str!("../../../../docs/RON_FORMAT.md");
    let arrays = [("fc1.weight", Tensor::new(vec![2, 2], vec![1.0_f32, 2.0, 3.0, 4.0]).into())];
    let bytes = write_npz(&arrays);
    let mut kinds = BTreeMap::new();
    let mut examples = 0;
    for block in document.split("```ron\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let is_network = block.starts_with('(');
        let text =
            if is_network { block.to_owned() } else { format!("(schema: 1, dt: 1e-3, nodes: {{{block}}}, edges: [])") };
        let mut files = |name: &str| if name == "weights.npz" { Ok(bytes.clone()) } else { Err("no".to_owned()) };
        let parsed = read_network(&text, &mut files).unwrap_or_else(|problems| panic!("{block}\n{problems}"));
        assert!(parsed.warnings.is_empty());
        for kind in nodes::NODE_KINDS.iter().filter(|kind| block.contains(&format!(" {kind}("))) {
            *kinds.entry(*kind).or_insert(0) += 1;
        }
        let written = write_network(&parsed.network, "x.npz", usize::MAX);
        assert_eq!(debug(&read(&written.text).unwrap().network), debug(&parsed.network), "{}", written.text);
        examples += 1;
    }
    assert!(examples > 20);
    assert_eq!(kinds.len(), nodes::NODE_KINDS.len(), "each kind of node has an example: {kinds:?}");
}

#[test]
fn defaults_and_broadcasting() {
    let Node::Neuron(lif) = one_node("Lif(tau: 20e-3, v_threshold: 1)") else { panic!() };
    let mut expected = Neuron::new(NeuronModel::Lif);
    expected.tau_mem_s = Param::Uniform(0.02);
    assert_eq!(debug(&lif), debug(&expected));
    let Node::Affine(affine) = one_node("Affine(weight: [[1, 2], [3, 4]], bias: 0.5, delay: 0)") else { panic!() };
    assert_eq!(affine.weight, Matrix::Dense(Tensor::new(vec![2, 2], vec![1.0, 2.0, 3.0, 4.0])));
    assert_eq!(affine.bias, Some(Tensor::vector(vec![0.5, 0.5])));
    assert_eq!(affine.delay, SynapseDelay::None);
    // A nested parameter gives the shape, a flat one does not.
    let Node::Neuron(nested) = one_node("If(v_threshold: [[1, 2], [3, 4]], r: [1, 2, 3, 4])") else { panic!() };
    assert_eq!(nested.shape, Some(vec![2, 2]));
    assert_eq!(nested.v_threshold, Param::PerNeuron(vec![1.0, 2.0, 3.0, 4.0]));
    let Node::Neuron(flat) = one_node("If(v_threshold: [1, 2])") else { panic!() };
    assert_eq!(flat.shape, None);
}

#[test]
fn the_default_reset_reaches_spiking_groups() {
    let text = "(schema: 1, reset: BySubtraction, edges: [], nodes: {
        \"a\": If(v_threshold: 1), \"b\": If(v_threshold: 1, reset: ToValue), \"c\": I() })";
    let network = read(text).unwrap().network;
    let resets: Vec<Reset> = network
        .nodes
        .iter()
        .map(|node| match &node.node {
            Node::Neuron(neuron) => neuron.reset,
            _ => panic!(),
        })
        .collect();
    assert_eq!(resets, [Reset::BySubtraction, Reset::ToValue, Reset::ToValue]);
}

#[test]
fn files_are_asked_for_once_and_converted() {
    let weight = Tensor::new(vec![2, 3], vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let arrays: [(&str, crate::tensor_files::AnyTensor); 3] = [
        ("w", weight.into()),
        ("tau", Tensor::vector(vec![0.25_f32]).into()),
        ("bad", Tensor::vector(vec![1.0, f64::NAN]).into()),
    ];
    let bytes = write_npz(&arrays);
    let mut asked = Vec::new();
    let mut files = |name: &str| {
        asked.push(name.to_owned());
        if name == "m.npz" { Ok(bytes.clone()) } else { Err("not found".to_owned()) }
    };
    let text = r#"(schema: 1, edges: [], nodes: {
        "fc": Linear(weight: File("m.npz", "w")), "n": Lif(shape: 3, tau: File("m.npz", "tau"), v_threshold: 1) })"#;
    let network = read_network(text, &mut files).unwrap().network;
    let Node::Neuron(neuron) = &network.nodes[NodeId::new(1)].node else { panic!() };
    assert_eq!(neuron.tau_mem_s, Param::Uniform(0.25));
    let text = r#"(schema: 1, edges: [], nodes: {
        "a": Linear(weight: File("m.npz", "W2")), "b": If(v_threshold: File("m.npz", "bad")),
        "c": Scale(scale: File("x.npy")), "d": Scale(scale: File("x.npy")), "e": Linear(weight: File("m.npz", "tau")) })"#;
    let problems = read_network(text, &mut files).unwrap_err();
    assert_eq!(asked, ["m.npz", "m.npz", "x.npy"]);
    let expected = [
        "error[SNN0105]: `m.npz`, array `W2`: has no array `W2`; did you mean `w`? (it has: bad, tau, w) (at nodes/a/weight)",
        "error[SNN0105]: `m.npz`, array `bad`: value NaN at [1] is not finite (at nodes/b/v_threshold)",
        "error[SNN0101]: `x.npy` cannot be read: not found (at nodes/c/scale)",
        "error[SNN0202]: a weight matrix has the shape [outputs, inputs]; this one has [1] (at nodes/e/weight)",
    ];
    let found: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
    let span = problems.0[0].span.unwrap();
    assert_eq!(&text[span.start..span.end], r#"File("m.npz", "W2""#);
}

#[test]
fn spans_lead_to_the_line() {
    let text = "(schema: 1, dt: 1e-3, nodes: {
        \"in\": Input(shape: [2]),
        \"fc\": Linear(weight: [[1, 2],
                              [3, 4]]),
        \"n\": Lif(tau: 2e-2,
                   v_threshold: 1.5) },
     edges: [(\"in\", \"fc\"), (\"fc\", \"n\")],
     mapping: (pins: [(population: \"n\", core: 3)], split: {\"n\": 2}))";
    let spans = read(text).unwrap().spans;
    let at = |item: &str| spans.find(item).map(|span| &text[span.start..span.end]);
    assert_eq!(at("nodes/n/v_threshold"), Some("v_threshold: 1.5"));
    assert_eq!(at("nodes/n/tau_mem_s"), Some("tau: 2e-2"));
    assert_eq!(at("nodes/n/no_such_field"), Some("\"n\": Lif("));
    assert_eq!(at("nodes/fc/weight/1/0"), Some("weight: ["));
    assert_eq!(at("edges/1"), Some("(\"fc\", \"n\")"));
    assert_eq!(at("mapping/pins/0/core"), Some("core: 3"));
    assert_eq!(at("mapping/split/n"), Some("\"n\": 2"));
    assert_eq!(at("dt"), Some("dt: 1e-3"));
    assert_eq!(at("cores/3"), None);
}

#[test]
fn misspelt_names_are_found_everywhere() {
    one_problem(
        r#""n": Lif(tau: 1e-2, v_treshold: 1.0, v_threshold: 1.0)"#,
        "SNN0103 nodes/n/v_treshold: `v_treshold` is not a field of `Lif` [did you mean `v_threshold`?]",
        "v_treshold",
    );
    one_problem(r#""n": LIF(tau: 1)"#, "SNN0103 nodes/n: `LIF` is not a kind of node [did you mean `Lif`?]", "LIF(");
    one_problem(
        r#""n": If(v_threshold: 1, reset: BySubstraction)"#,
        "SNN0103 nodes/n/reset: `BySubstraction` is not a reset [did you mean `BySubtraction`?]",
        "BySubstraction",
    );
    one_problem(
        r#""n": Linear(weight: Sparse(shape: (1, 1), entrys: [], entries: []))"#,
        "SNN0103 nodes/n/weight/entrys: `entrys` is not a field of `Sparse` [did you mean `entries`?]",
        "entrys",
    );
    let text = "(schema: 1, nodes: {\"hidden\": I()}, edge: [], edges: [(\"hiden\", \"hidden\")])";
    let expected = [
        ("SNN0103 edge: `edge` is not a field of a network [did you mean `edges`?]".to_owned(), "edge"),
        ("SNN0201 edges/0: there is no node `hiden` [did you mean `hidden`?]".to_owned(), "\"hiden\""),
    ];
    assert_eq!(problems(text), expected);
}

/// Each kind of brackets with fields, given one field that does not exist: none may swallow it.
#[test]
fn no_input_type_accepts_unknown_fields() {
    for kind in nodes::NODE_KINDS {
        let found = node_problems(&format!("\"n\": {kind}(zzz: 1)"));
        assert_eq!(found[0].0, format!("SNN0103 nodes/n/zzz: `zzz` is not a field of `{kind}`"));
    }
    let compartments = "\"n\": Compartments(shape: 1, decay_u: 0, decay_v: 0, threshold_mantissa: 1, ";
    for (inside, title) in [
        ("reset: Periodic(zzz: 1)", "`Periodic`"),
        ("reset: Ternary(zzz: 1)", "`Ternary`"),
        ("reset: Lif(zzz: 1)", "`Lif`"),
        ("noise: (zzz: 1)", "noise"),
    ] {
        let found = node_problems(&format!("{compartments}{inside})"));
        assert!(found[0].0.contains(&format!("`zzz` is not a field of {title}")), "{found:?}");
    }
    let found = node_problems("\"n\": Scale(scale: Tensor(zzz: 1))");
    assert!(found[0].0.contains("`zzz` is not a field of `Tensor`"));
    for (mapping, title) in [("zzz: 1", "`mapping`"), ("pins: [(zzz: 1)]", "a pin")] {
        let text = format!("(schema: 1, nodes: {{}}, edges: [], mapping: ({mapping}))");
        assert!(problems(&text)[0].0.contains(&format!("`zzz` is not a field of {title}")));
    }
}

#[test]
fn missing_fields_and_wrong_types_point_at_the_opening() {
    one_problem(
        "\"n\": Lif(\n shape: [3],\n v_threshold: 1.0,\n)",
        "SNN0104 nodes/n: `Lif` needs the field `tau`",
        "Lif(",
    );
    one_problem(
        r#""n": Linear(weight: "w.npy")"#,
        "SNN0104 nodes/n/weight: expected a number or a list, `Tensor(…)` or `File(…)`, found a string",
        "\"w.npy\"",
    );
    one_problem(
        r#""n": Linear(weight: [[1, 2], [3, true]])"#,
        "SNN0104 nodes/n/weight: expected a number, found a truth value",
        "true",
    );
    one_problem(
        r#""n": If(v_threshold: 1, refractory_steps: [1, 2.5])"#,
        "SNN0104 nodes/n/refractory_steps: 2.5 is not an integer from 0 to 4294967295",
        "2.5",
    );
    one_problem(r#""n": Input([3])"#, "SNN0104 nodes/n: `Input` takes named fields, such as `shape: …`", "Input(");
    one_problem(
        r#""n": Affine(weight: [[1]])"#,
        "SNN0104 nodes/n: `Affine` needs the field `bias` [`Linear` has no bias]",
        "Affine(",
    );
    one_problem(
        r#""n": Delay()"#,
        "SNN0104 nodes/n: `Delay` needs either `delay` (in seconds) or `delay_steps`",
        "Delay(",
    );
    let text = "(dt: 1e-3, nodes: [], edges: {})";
    let messages: Vec<String> = problems(text).into_iter().map(|(message, _)| message).collect();
    assert_eq!(
        messages,
        [
            "SNN0104 : a network needs the field `schema`",
            "SNN0104 nodes: expected a map `{\"name\": Lif(…), …}`, found a list",
        ]
    );
    assert_eq!(problems("(schema: 2, nodes: {}, edges: [])")[0].1, "2");
    assert_eq!(problems("{\"schema\": 1}")[0].1, "{");
}

#[test]
fn values_without_meaning_point_at_the_element() {
    one_problem(
        r#""n": Lif(tau: [1e-2, -1e-2], v_threshold: 1)"#,
        "SNN0203 nodes/n/tau: `tau` of neuron 1 is -0.01, but a time constant is greater than 0 (in seconds)",
        "-1e-2",
    );
    one_problem(
        r#""n": Li(tau: 1e-4)"#,
        "SNN0203 nodes/n/tau: `tau` is 0.0001, but must be at least the time step, 0.001 s: forward Euler oscillates below it",
        "1e-4",
    );
    one_problem(
        r#""n": If(v_threshold: [[1, 2], [0.5, 3]], v_reset: 0.5)"#,
        "SNN0203 nodes/n/v_threshold: `v_threshold` 0.5 of neuron 2 is not above `v_reset` 0.5",
        "0.5",
    );
    one_problem(r#""n": Scale(scale: [1, NaN])"#, "SNN0203 nodes/n/scale: NaN is not a finite 64-bit number", "NaN");
    one_problem(
        r#""n": If(v_threshold: 1, refractory_steps: 0)"#,
        "SNN0203 nodes/n/refractory_steps: `refractory_steps` is 0, but 1 already means no refractory period",
        "0",
    );
    one_problem(
        r#""n": Synapses(weight: [[1, -2]], weight_bits: 8, sign_mode: Excitatory)"#,
        "SNN0203 nodes/n/weight: weight -2 has a sign that `sign_mode: Excitatory` excludes",
        "[",
    );
    one_problem(
        r#""n": Input(shape: [3, 0])"#,
        "SNN0203 nodes/n/shape: a node of shape [3, 0] must have from 1 to 4294967295 elements",
        "[",
    );
    one_problem(
        r#""n": Conv2d(weight: [[[[1]]]], stride: 2, padding: Same)"#,
        "SNN0203 nodes/n/padding: padding `Same` needs stride 1; the stride is [2, 2]",
        "Same",
    );
    assert_eq!(
        problems("(schema: 1, dt: 0, nodes: {}, edges: [])")[0].0,
        "SNN0203 dt: the time step is 0 s, not greater than 0"
    );
    let parsed = read("(schema: 1, nodes: {\"n\": If(v_threshold: 1, v_reset: -2, v_min: -1)}, edges: [])").unwrap();
    assert_eq!(parsed.warnings[0].message, "`v_reset` -2 is below `v_min` -1, so a reset ends at `v_min`");
}

#[test]
fn shapes_inside_a_node_must_agree() {
    one_problem(
        r#""n": Affine(weight: [[1, 2], [3, 4]], bias: [1, 2, 3])"#,
        "SNN0202 nodes/n/bias: `bias` of shape [3] for 2 outputs",
        "[",
    );
    one_problem(
        "\"n\": Linear(weight: [[1, 2],\n[3]])",
        "SNN0202 nodes/n/weight: this row has length 1, the first row of its kind 2",
        "[",
    );
    one_problem(
        r#""n": If(shape: [2, 2], v_threshold: [1, 2, 3])"#,
        "SNN0202 nodes/n/v_threshold: `v_threshold` has shape [3], the group [2, 2] \
         [a number without brackets applies to all neurons]",
        "[",
    );
    one_problem(
        r#""n": If(v_threshold: [1, 2, 3], r: [1, 2])"#,
        "SNN0202 nodes/n/v_threshold: `v_threshold` has shape [3], `r` [2] \
         [a number without brackets applies to all neurons]",
        "[",
    );
    one_problem(
        r#""n": Linear(weight: [[1, 2]], delay: [1, 2, 3])"#,
        "SNN0202 nodes/n/delay: delays of shape [3] for 2 weights; give one for each, or one for all",
        "[",
    );
    one_problem(
        r#""n": Conv2d(weight: [[[1]]])"#,
        "SNN0202 nodes/n/weight: `weight` has the shape [channels out, channels in / groups, kernel height, kernel width]; \
         this one has [1, 1, 1]",
        "[",
    );
    one_problem(
        r#""n": Scale(scale: Tensor(shape: [2, 2], data: [1, 2, 3]))"#,
        "SNN0202 nodes/n/scale: a tensor of shape [2, 2] cannot have 3 values",
        "Tensor(",
    );
    one_problem(
        r#""n": AvgPool2d(kernel_size: [2, 2, 2])"#,
        "SNN0202 nodes/n/kernel_size: 3 lengths for 2 dimensions",
        "[",
    );
}

#[test]
fn repeated_items_are_refused() {
    one_problem(
        "\"n\": I(),\n \"n\": I()",
        "SNN0208 nodes/n: two nodes are called `n`; the first is in line 1",
        "\"n\"",
    );
    one_problem(r#""n": I(r: 1, r: 2)"#, "SNN0208 nodes/n/r: field `r` of `I` is given twice", "r");
    one_problem(
        r#""n": Linear(weight: Sparse(shape: (2, 2), entries: [(0, 1, 1), (1, 1, 2), (0, 1, 3)]))"#,
        "SNN0208 nodes/n/weight: entry 2 gives the synapse at row 0, column 1 a second time",
        "(",
    );
    one_problem(
        r#""n": Linear(weight: Sparse(shape: (2, 2), entries: [(0, 2, 1)]))"#,
        "SNN0203 nodes/n/weight: entry 0 at row 0, column 2 is outside the matrix of 2 rows and 2 columns",
        "(",
    );
    let text = "(schema: 1, nodes: {\"a\": I()}, edges: [(\"a\", \"a\"), (\"a\", \"a\")])";
    assert_eq!(
        problems(text)[0].0,
        "SNN0208 edges/1: the edge from `a` to `a` is already edge 0 [to add the values twice, double the weights]"
    );
}

#[test]
fn functions_of_rates_are_checked() {
    let Node::RateNeuron(neuron) = one_node("RateNeuron(function: Selu(alpha: 1.5, gamma: 1), seed: 3)") else {
        panic!()
    };
    assert_eq!(neuron.function, snncc_ir::ann::Activation::Selu { alpha: 1.5, gamma: 1.0 });
    assert_eq!((neuron.seed, neuron.gain, neuron.shape), (3, snncc_ir::Param::Uniform(1.0), None));
    for (node, message) in [
        ("RateNeuron(function: Rulu)", "`Rulu`"),
        ("RateNeuron(function: Elu)", "needs the field `alpha`"),
        ("RateNeuron(function: Elu(alpha: 1, slope: 2))", "`slope`"),
        ("RateNeuron(function: 3)", "a function, such as"),
        ("RateNeuron(gain: 3)", "function"),
        ("RateNeuron(function: SoftLif(tau_rc: 0, tau_ref: 0, gamma: 0, amplitude: 1))", "tau_rc of a SoftLIF"),
        ("GatedMaxPool2d(kernel_size: 0)", "0"),
    ] {
        let found = node_problems(&format!("\"n\": {node}"));
        assert!(found.iter().any(|(found, _)| found.contains(message)), "{node}: {found:?}");
    }
}

#[test]
fn mapping_is_checked() {
    let text = "(schema: 1, nodes: {\"a\": I(shape: 4), \"w\": Linear(weight: [[1]])}, edges: [], mapping: (
        reserved_cores: [-1], pins: [(population: \"b\", core: 1), (population: \"a\", neurons: (2, 3), core: 1)],
        exclusive: [\"c\", \"w\"], split: {\"a\": 0, \"a\": 2}))";
    let found: Vec<String> = problems(text).into_iter().map(|(message, _)| message).collect();
    let expected = [
        "SNN0201 mapping/pins/0/population: there is no node `b` [did you mean `a`?]",
        "SNN0403 mapping/pins/1/neurons: neurons 2 .. 5 are not a range of `a`, which has 4",
        "SNN0104 mapping/reserved_cores/0: -1 is not an integer from 0 to 4294967295",
        "SNN0201 mapping/exclusive/0: there is no node `c` [did you mean `a`?]",
        "SNN0403 mapping/exclusive/1: `w` is not a group of neurons",
        "SNN0203 mapping/split/a: `a` cannot be split over 0 cores",
        "SNN0208 mapping/split/a: `split` has the population `a` twice",
    ];
    assert_eq!(found, expected);
}

#[test]
fn defaults_of_a_run_are_checked() {
    let text = |run: &str| {
        format!("(schema: 1, nodes: {{\"in\": Input(shape: 4), \"a\": I()}}, edges: [(\"in\", \"a\")], run: ({run}))")
    };
    let network =
        read(&text("coding: \"constant\", ranges: {\"in\": (-1, 3e2)}, early_exit: (margin: 2), input_steps: 3"))
            .unwrap()
            .network;
    // A coding has one name in networks.
    let expected = RunDefaults {
        coding: Some("current".into()),
        steps: None,
        input_steps: Some(3),
        corrected_for: None,
        ranges: vec![("in".into(), (-1.0, 300.0))],
        early_exit: Some(EarlyExit { margin: 2.0, first_step: 1 }),
    };
    assert_eq!(network.run, expected);
    assert_eq!(read(&text("")).unwrap().network.run, RunDefaults::default());
    let wrong = "coding: \"rate-round\", steps: 0, input_steps: 0, ranges: {\"on\": (0, 1), \"a\": (0, 1), \"in\": (1, 1), \"in\": 2}";
    let found: Vec<String> = problems(&text(wrong)).into_iter().map(|(message, _)| message).collect();
    let expected = [
        "SNN0103 run/coding: `rate-round` is not a coding [did you mean `rate-rounded`?]",
        "SNN0203 run/steps: a run has at least one step",
        "SNN0203 run/input_steps: a run has at least one step",
        "SNN0201 run/ranges: there is no node `on` [did you mean `in`?]",
        "SNN0203 run/ranges/a: `a` is not an input",
        "SNN0203 run/ranges/in: the range 1 to 1 does not go from a number to a larger one",
        "SNN0208 run/ranges/in: `ranges` has the input `in` twice",
        "SNN0104 run/ranges/in: expected (low, high), found a number",
    ];
    assert_eq!(found, expected);
    assert!(problems(&text("zzz: 1"))[0].0.contains("`zzz` is not a field of `run`"));
    let mut found: Vec<String> = Vec::new();
    for rule in ["(margin: 0, first_step: 0)", "(first_step: 2)", "(margin: inf)", "3"] {
        let text = text(&format!("early_exit: {rule}"));
        found.extend(problems(&text).into_iter().map(|(message, _)| message));
    }
    let expected = [
        "SNN0203 run/early_exit/margin: the margin 0 is not above 0",
        "SNN0203 run/early_exit/first_step: steps count from 1",
        "SNN0104 run/early_exit: `early_exit` needs the field `margin`",
        "SNN0203 run/early_exit/margin: inf is not a finite 64-bit number",
        "SNN0104 run/early_exit: expected `early_exit` with its fields in `()`, found a number",
    ];
    assert_eq!(found, expected);
}

#[test]
fn statistics_of_a_calibration_are_checked() {
    let text = |calibration: &str| {
        let nodes = "nodes: {\"in\": Input(shape: 2), \"a\": I()}, edges: [(\"in\", \"a\")]";
        format!("(schema: 1, {nodes}, calibration: {{{calibration}}})")
    };
    let network = read(&text("\"a\": (rates: [0.5, 1], v_min: -2)")).unwrap().network;
    assert_eq!(network.calibration.of("a").unwrap().rates, [0.5, 1.0]);
    assert_eq!(network.calibration.of("a").unwrap().v_min, -2.0);
    assert!(read(&text("")).unwrap().network.calibration.known().is_none());
    let wrong = "\"in\": (rates: [1]), \"b\": (rates: [1]), \"a\": (v_max: 1), \"in\": (rates: [1, 2])";
    let found: Vec<String> = problems(&text(wrong)).into_iter().map(|(message, _)| message).collect();
    let expected = [
        "SNN0202 calibration/in/rates: 1 rate(s) for 2 neuron(s)",
        "SNN0201 calibration: there is no node `b` [did you mean `a`?]",
        "SNN0104 calibration/a: a population's statistics needs the field `rates`",
        "SNN0208 calibration/in: `calibration` has the node `in` twice",
    ];
    assert_eq!(found, expected);
}

#[test]
fn syntax_errors_name_the_open_bracket() {
    let text = "(schema: 1,\n nodes: {\"a\": I(r: [1, 2),\n}, edges: [])";
    let problem = read(text).unwrap_err().0.remove(0);
    assert_eq!(problem.code, code::SYNTAX);
    assert_eq!(problem.message, "`,` or `]` is expected here, not `)`");
    assert_eq!(problem.notes, ["the innermost bracket still open is the `[` in line 2"]);
}

#[test]
fn hostile_amounts_of_mistakes_end_early() {
    let nodes: String = (0..50_000).map(|index| format!("\"n{index}\": I(zz: 1),")).collect();
    assert!(node_problems(&nodes).len() < 120);
    let edges = "(\"x\", \"y\"),".repeat(50_000);
    let text = format!("(schema: 1, nodes: {{\"a\": I()}}, edges: [{edges}])");
    assert!(problems(&text).len() < 120);
}

/// A million numbers, as text, are read in well under a second or two; run with `--nocapture` to see how fast.
#[test]
fn large_inline_tensors() {
    let row: String = (0..1000).map(|index| format!("{:?}, ", f64::from(index) * 0.001_237)).collect();
    let rows = format!("[{row}],\n").repeat(1000);
    let text = format!("(schema: 1, nodes: {{\"fc\": Linear(weight: [{rows}])}}, edges: [])");
    let start = std::time::Instant::now();
    let network = read(&text).unwrap().network;
    println!("{} bytes read in {:?}", text.len(), start.elapsed());
    let Node::Affine(affine) = &network.nodes[NodeId::new(0)].node else { panic!() };
    assert_eq!(affine.weight.dimensions(), Some((1000, 1000)));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(network in network(), inline_limit in prop::sample::select(vec![0, 3, 1000])) {
        let written = write_network(&network, "weights.npz", inline_limit);
        let mut files = |name: &str| match &written.files[..] {
            [(file, bytes)] if file == name => Ok(bytes.clone()),
            _ => Err("no such file".to_owned()),
        };
        let parsed = read_network(&written.text, &mut files)
            .unwrap_or_else(|problems| panic!("{}\n{problems}", written.text));
        prop_assert_eq!(debug(&parsed.network), debug(&network), "{}", written.text);
        prop_assert_eq!(write_network(&parsed.network, "weights.npz", inline_limit), written);
    }

    #[test]
    fn damaged_text_never_panics(network in network(), at in any::<prop::sample::Index>(), length in 0_usize..6,
                                 insert in r#"[\[\](){}:,"0-9.eNoneSm a-z_]{0,3}"#) {
        let mut text = write_network(&network, "weights.npz", 1000).text;
        let start = (0..=at.index(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap();
        let end = (start + length.min(text.len() - start)..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap();
        text.replace_range(start..end, &insert);
        if let Err(problems) = read(&text) {
            for problem in problems.0 {
                let span = problem.span.unwrap();
                prop_assert!(text.get(span.start..span.end).is_some());
            }
        }
    }
}
