//! Refusals, swaps, and what is said of each node.

use super::*;

fn note<'f>(fates: &'f [Fate], name: &str) -> &'f str {
    &fates.iter().find(|fate| fate.name == name).unwrap().note
}

#[test]
fn everything_without_a_spiking_form_is_told_at_once() {
    let mut ann = Ann::new();
    let x = ann.push_input("x", vec![4, 6, 6]);
    let norm = AnnOp::LocalResponseNorm { size: 5, alpha: 1.0, beta: 0.75, bias: 2.0 };
    let norm = ann.push("norm1", norm, vec![x], None).unwrap();
    let softmax = ann.push("attention", AnnOp::Softmax { axis: 0, log: false }, vec![norm], None).unwrap();
    let product = ann.push("gate", AnnOp::Product, vec![softmax, norm], None).unwrap();
    let reason = "no reader knows `Whatever`".to_owned();
    let other = ann.push("what", AnnOp::Unsupported { reason }, vec![product], Some(vec![4, 3, 3])).unwrap();
    let pool = pool(PoolFunction::Maximum, &[2, 2], &[1, 1], &[(2, 0); 2]);
    let pooled = ann.push("pool", AnnOp::Pool(pool), vec![other], None).unwrap();
    let silu = ann.push("silu", AnnOp::Activation(Activation::Silu), vec![pooled], None).unwrap();
    ann.push("unused", AnnOp::Softmax { axis: 0, log: false }, vec![norm], None).unwrap();
    ann.outputs = vec![("y".into(), silu)];
    let problems = prepare(&ann, &ConvertOptions::default()).unwrap_err();
    let errors: Vec<_> = problems.0.iter().filter(|problem| problem.severity == Severity::Error).collect();
    let items: Vec<&str> = errors.iter().map(|problem| problem.item.as_deref().unwrap()).collect();
    assert_eq!(items, ["graph/norm1", "graph/attention", "graph/gate", "graph/what", "graph/pool"]);
    assert!(errors.iter().all(|problem| problem.code == code::UNSUPPORTED_LAYER));
    assert!(errors[0].help[0].contains("0.35 points on CIFAR-10"));
    assert_eq!(errors[3].message, "`what` (Unsupported): no reader knows `Whatever`");
    assert_eq!(problems.0.len(), 6, "the approximation is a warning");

    let fates = check(&ann, &ConvertOptions::default());
    let exactness: Vec<Exactness> = fates.iter().map(|fate| fate.exactness).collect();
    use Exactness::{Approximate, Exact, Unsupported};
    assert_eq!(exactness, [Exact, Unsupported, Unsupported, Unsupported, Unsupported, Unsupported, Approximate, Exact]);
    assert_eq!((note(&fates, "unused"), &fates[1].kind[..]), ("not used", "LocalResponseNorm"));
}

#[test]
fn softmax_at_the_output_is_dropped() {
    let mut numbers = Numbers(1);
    let layers = vec![
        ("fc", linear(&mut numbers, 4, 3)),
        ("softmax", AnnOp::Softmax { axis: 0, log: true }),
        ("flat", AnnOp::Reshape),
        ("same", AnnOp::Identity),
    ];
    let prepared = prepare(&row(&[3], layers), &ConvertOptions::default()).unwrap();
    assert_eq!(prepared.ann.nodes().len(), 2);
    assert!(note(&prepared.fates, "softmax").starts_with("dropped at the output"));
    assert!(prepared.warnings.is_empty());
}

#[test]
fn activations_are_swapped_by_layer_or_function() {
    let layers = vec![
        ("a", AnnOp::Activation(Activation::Silu)),
        ("b", AnnOp::Activation(Activation::Silu)),
        ("c", AnnOp::Activation(Activation::Clip { min: 0.0, max: 6.0 })),
    ];
    let ann = row(&[3], layers);
    let swap = |from: &str, to: Activation| Swap { from: from.into(), to };
    let clip = Activation::Clip { min: 0.0, max: 1.0 };
    let swap_activations = vec![swap("silu", Activation::Relu), swap("B", clip.clone()), swap("Sigmoid", clip)];
    let options = ConvertOptions { swap_activations, ..ConvertOptions::default() };
    let prepared = prepare(&ann, &options).unwrap();
    assert!(prepared.warnings.is_empty());
    let notes: Vec<&str> = prepared.fates.iter().map(|fate| &fate.note[..]).collect();
    assert_eq!(notes[1], "SiLU swapped for ReLU; integrate-and-fire neurons");
    assert_eq!(notes[2], "SiLU swapped for Clip; integrate-and-fire neurons, clipped at 1 exactly");
    assert_eq!(notes[3], "integrate-and-fire neurons, clipped at 6 exactly");
    let exactness: Vec<Exactness> = prepared.fates.iter().map(|fate| fate.exactness).collect();
    assert_eq!(exactness[1..], [Exactness::Approximate, Exactness::Approximate, Exactness::Exact]);
}

#[test]
fn swaps_that_name_nothing_are_errors() {
    let mut numbers = Numbers(1);
    let layers = vec![("fc", linear(&mut numbers, 4, 3)), ("act", AnnOp::Activation(Activation::Silu))];
    let ann = row(&[3], layers);
    let swap = |from: &str| Swap { from: from.into(), to: Activation::Relu };
    let bad = Swap { from: "act".into(), to: Activation::PRelu { slope: AnnTensor::fill(vec![7], 0.1) } };
    let swap_activations = vec![swap("sigmod"), swap("fc"), bad];
    let options = ConvertOptions { swap_activations, ..ConvertOptions::default() };
    let problems = prepare(&ann, &options).unwrap_err().0;
    assert_eq!(problems[0].code, code::UNKNOWN_FIELD);
    assert_eq!(problems[0].help, ["did you mean `Sigmoid`?"]);
    assert_eq!(problems[1].message, "`fc` has no activation that could be swapped");
    assert_eq!(problems[2].code, code::BAD_PARAMETER);
    assert_eq!(check(&ann, &options).len(), 3);
}

/// A Keras layer with its activation is one node of the file and two of the network.
#[test]
fn fates_follow_the_nodes_of_the_file() {
    let mut numbers = Numbers(1);
    let mut ann = Ann::new();
    let x = ann.push_input("x", vec![3]);
    let fc = ann.push("fc", linear(&mut numbers, 4, 3), vec![x], None).unwrap();
    let act = ann.push("fc/activation", AnnOp::Activation(Activation::Tanh), vec![fc], None).unwrap();
    ann.outputs = vec![("y".into(), act)];
    let source = |name: &str, kind: &str, fate| SourceNode { name: name.into(), kind: kind.into(), fate };
    ann.sources = vec![
        source("x", "InputLayer", SourceFate::Node(x)),
        source("fc", "Dense", SourceFate::Node(fc)),
        source("shape", "Shape", SourceFate::Folded("constant".into())),
    ];
    let fates = check(&ann, &ConvertOptions::default());
    assert_eq!(fates.len(), 3);
    assert_eq!((&fates[1].kind[..], fates[1].exactness), ("Dense", Exactness::Approximate));
    assert!(
        fates[1]
            .note
            .starts_with("synapses onto the neurons behind it; activation: sum of 8 rectifiers, error at most")
    );
    assert_eq!((&fates[2].note[..], fates[2].exactness), ("constant", Exactness::Exact));
    let options = ConvertOptions {
        swap_activations: vec![Swap { from: "FC".into(), to: Activation::Relu }],
        ..ConvertOptions::default()
    };
    assert!(check(&ann, &options)[1].note.contains("Tanh swapped for ReLU"));
}
