//! What is refused and what is warned of, on small texts.

use crate::{Architecture, build, read_netlist, read_network};
use snncc_ids::{Diagnostic, Diagnostics, code};

const ARCHITECTURE: &str = include_str!("../tests/cases/netlist/arch.yaml");

fn architecture() -> Architecture {
    Architecture::read(ARCHITECTURE).unwrap_or_else(|e| panic!("{e}")).0
}

fn network(groups: &str, edges: &str, mappings: &str) -> String {
    format!("network:\n  name: x\n  groups:\n{groups}\n  edges:\n{edges}\nmappings:\n{mappings}\n")
}

const GROUP: &str = "  - {name: a, attributes: {threshold: 1}, neurons: [0..2]}";
const EDGE: &str = "  - a.0 -> a.1: [weight: 1]";
const MAPPING: &str = "- a: {core: 0.0}";

/// All the way, with warnings.
fn convert(text: &str) -> Result<Vec<Diagnostic>, Diagnostics> {
    let architecture = architecture();
    let (description, mut warnings) = read_network(text, &architecture)?;
    warnings.extend(build(&architecture, &description, ("t", "m", "m.ron"))?.warnings);
    Ok(warnings)
}

#[test]
fn the_plain_network_has_no_warnings() {
    assert_eq!(convert(&network(GROUP, EDGE, MAPPING)).unwrap(), []);
}

#[test]
fn damaged_networks_are_told_with_their_place() {
    for (text, wanted) in [
        (network(GROUP, "  - a.0 -> a.7: [weight: 1]", MAPPING), "a.0 -> a.7"),
        (network(GROUP, "  - a -> b: {type: dense, weight: [1]}", MAPPING), "a -> b"),
        (network(GROUP, "  - a -> a: {type: dense, weight: [1]}", MAPPING), "a -> a"),
        (network(GROUP, EDGE, "- a: {core: 10.0}"), "10.0"),
        (network(GROUP, EDGE, "- a: {core: 0.1}"), "0.1"),
        (network("  - {name: a, attributes: {threshold: x}, neurons: [0]}", EDGE, MAPPING), "x"),
    ] {
        let problems = convert(&text).unwrap_err();
        let problem = &problems.0[0];
        assert_eq!(problem.code.number(), "SNN0114", "{problems}");
        let span = problem.span.expect("a place");
        assert_eq!(&text[span.start..span.end], wanted, "{problems}");
    }
    // Neurons 1 and 2 have no core.
    let problems = convert(&network(GROUP, EDGE, "- a.0: {core: 0.0}")).unwrap_err();
    assert!(problems.0[0].message.starts_with("2 neurons"), "{problems}");
    assert_eq!(Architecture::read("a: b").unwrap_err().0[0].code, code::SANAFE_FILE);
    for line in ["x 1", "g", "n 0.0 bias=1", "g 2 bias", "g 2 threshold=1\ne 0.0->0.5 weight=1", "& 0.0@1.0"] {
        assert_eq!(read_netlist(line, "x", &architecture()).unwrap_err().0[0].code, code::SANAFE_FILE, "{line}");
    }
}

#[test]
fn what_the_emulator_has_no_model_of_is_refused() {
    for attributes in
        ["reset: 1", "refractory_delay: 2", "noise: f", "leak_decay: 1.5", "input_decay: 0.5", "threshold: -1"]
    {
        let group = GROUP.replace("threshold: 1", attributes);
        let problems = convert(&network(&group, EDGE, MAPPING)).unwrap_err();
        assert_eq!(problems.0[0].code, code::UNSUPPORTED_BY_CHIP, "{attributes}: {problems}");
    }
    for (from, to) in [
        ("topology: mesh", "topology: torus"),
        ("model: leaky_integrate_fire", "model: truenorth"),
        ("buffer_position: soma", "buffer_position: dendrite"),
        ("energy_east_hop: 1.0e-12", "energy_east_hop: 2.0e-12"),
        ("model: accumulator,", "model: taps,"),
    ] {
        assert!(ARCHITECTURE.contains(from), "{from}");
        let read = Architecture::read(&ARCHITECTURE.replace(from, to)).and_then(|(architecture, _)| {
            let (description, _) = read_network(&network(GROUP, EDGE, MAPPING), &architecture)?;
            build(&architecture, &description, ("t", "m", "m.ron"))
        });
        assert_eq!(read.unwrap_err().0[0].code, code::UNSUPPORTED_BY_CHIP, "{to}");
    }
    let huge = "  - {name: a, attributes: {threshold: 1}, neurons: [0..4000000000]}";
    assert_eq!(convert(&network(huge, EDGE, MAPPING)).unwrap_err().0[0].code, code::UNSUPPORTED_BY_CHIP);
}

#[test]
fn what_is_rounded_is_warned_of() {
    for (text, wanted) in [
        (network(GROUP, "  - a.0 -> a.1: [weight: 0.3]", MAPPING), "1 weights"),
        (network(GROUP, "  - a.0 -> a.1: [weight: 0]", MAPPING), "1 connections of weight 0"),
        (network(&GROUP.replace("threshold: 1", "leak_decay: 0.3"), EDGE, MAPPING), "3 neurons leak"),
    ] {
        let warnings = convert(&text).unwrap();
        assert_eq!(warnings[0].code.number(), "SNN0115");
        assert!(warnings[0].message.starts_with(wanted), "{warnings:?}");
    }
    let (_, warnings) = Architecture::read(&ARCHITECTURE.replace("12.5e-9", "12.5001e-9")).unwrap();
    assert_eq!((warnings.len(), warnings[0].code), (1, code::SANAFE_DIFFERENCE));
}
