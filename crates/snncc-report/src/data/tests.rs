//! Totals, titles, and reports that travel as JSON.

use super::*;
use crate::figure::Basis;

fn used(resource: &str, used: u64, available: Option<u64>) -> ResourceUse {
    ResourceUse {
        resource: resource.into(),
        used,
        available,
        limit_name: resource.into(),
        unit: resource.into(),
        basis: Basis::Literature,
        source: "test".into(),
    }
}

fn core(number: u32, resources: Vec<ResourceUse>) -> CoreRow {
    CoreRow {
        core: number,
        name: format!("chip0.core{number}"),
        router: (0, 0),
        layers: vec![("a".into(), 2)],
        binding: CoreRow::find_binding(&resources),
        resources,
    }
}

fn layer(name: &str, neurons: u64, synapses: u64) -> LayerRow {
    LayerRow {
        name: name.into(),
        role: "neurons".into(),
        constants_of: None,
        shape: vec![neurons as usize],
        neurons: Figure::exact(neurons, "neurons", "network"),
        elements: Figure::exact(0, "elements", "network"),
        synapses: Figure::exact(synapses, "synapses", "network"),
        cores: Some(Figure::exact(1, "cores", "image")),
        latency: Figure::exact(1, "steps", "network"),
        item: format!("nodes/{name}"),
    }
}

fn report() -> ReportData {
    let layers = vec![layer("a", 3, 7), layer("b", 4, 1 << 60)];
    let cores = vec![
        core(0, vec![used("compartments", 3, Some(16)), used("in_axons", 9, Some(10))]),
        core(1, vec![used("compartments", 4, Some(16)), used("in_axons", 1, None)]),
    ];
    ReportData {
        schema_version: SCHEMA_VERSION.into(),
        snncc_version: "0".into(),
        status: Status::Compiled,
        network: NetworkInfo::default(),
        target: TargetInfo::default(),
        options: vec![],
        totals: Totals::of(&layers, &cores),
        layers,
        host: vec![],
        cores,
        chips: vec![],
        links: vec![],
        quantization: vec![],
        placement: vec![],
        diagnostics: vec![],
        run: None,
        verification: None,
    }
}

#[test]
fn totals_are_sums_and_a_wrong_one_is_found() {
    let mut report = report();
    assert_eq!(report.totals.neurons.value, Value::Integer(7));
    assert_eq!(report.totals.synapses.value, Value::Integer((1 << 60) + 7));
    assert_eq!(report.totals.resources[0], used("compartments", 7, Some(32)));
    assert_eq!(report.totals.resources[1].available, None, "one unlimited core makes the sum unlimited");
    report.check_totals().unwrap();
    report.layers[0].neurons.value = Value::Integer(4);
    assert!(report.check_totals().is_err());
}

#[test]
fn the_hosts_sums_are_checked_apart_from_the_chips() {
    let figure = |value: u64| Figure::new(value, "fJ", Basis::Modelled, "test");
    let named = |values: [u64; 2]| vec![("a".to_owned(), figure(values[0])), ("b".to_owned(), figure(values[1]))];
    let host = HostRun {
        work: named([1, 1]),
        energy: named([3, 4]),
        total_energy: Some(figure(7)),
        energy_with_chip: Some(figure(18)),
        caveats: vec![],
    };
    let run = RunSection {
        input: String::new(),
        input_sha256: String::new(),
        coding: String::new(),
        samples: figure(1),
        steps: figure(1),
        accuracy: None,
        accuracy_by_step: vec![(1, figure(50)), (2, figure(60))],
        early_exit: vec![("steps, mean".into(), figure(2))],
        spikes: vec![],
        total_spikes: figure(0),
        synaptic_events: figure(9),
        synaptic_events_by_layer: named([4, 5]),
        packets: figure(0),
        hops: figure(0),
        time: figure(0),
        slowest_step: figure(0),
        energy: named([5, 6]),
        total_energy: figure(11),
        first_layer_energy: None,
        host: Some(host),
        overflows: vec![],
        host_work: vec![],
        cores: vec![],
        caveats: vec![],
    };
    let report = ReportData { run: Some(run), ..report() };
    report.check_totals().unwrap();
    assert_eq!(ReportData::from_json(&report.to_json()).unwrap(), report);
    let text = crate::views::text(&report);
    assert!(text.contains("after 2 steps") && text.contains("early exit, steps, mean"), "{text}");
    assert!(text.contains("energy, host, all parts") && text.contains("energy, chip and host"), "{text}");
    let with = |change: &dyn Fn(&mut RunSection)| {
        let mut changed = report.clone();
        change(changed.run.as_mut().unwrap());
        changed.check_totals()
    };
    assert!(with(&|run| run.synaptic_events_by_layer.truncate(1)).is_err());
    assert!(with(&|run| run.host.as_mut().unwrap().energy.truncate(1)).is_err());
    assert!(with(&|run| run.host.as_mut().unwrap().energy_with_chip = Some(figure(11))).is_err());
}

#[test]
fn added_constants_and_host_layers_are_told_apart() {
    let mut row = layer("fc.bias", 1, 0);
    row.constants_of = Some("fc".into());
    assert_eq!(row.title(), "fc.bias (constant source of fc)");
    let row = LayerRow { role: "host".into(), ..layer("fc", 0, 0) };
    assert_eq!((row.title(), layer("fc", 1, 0).title()), ("fc (on the host)".into(), "fc".into()));
}

#[test]
fn the_binding_resource_is_the_fullest() {
    let report = report();
    assert_eq!(report.cores[0].binding.as_deref(), Some("in_axons"));
    assert_eq!(report.cores[1].binding.as_deref(), Some("compartments"));
    assert_eq!(CoreRow::find_binding(&[used("x", 1, None)]), None);
}

#[test]
fn a_report_survives_json_and_a_newer_major_version_is_refused() {
    let report = report();
    let json = report.to_json();
    assert_eq!(ReportData::from_json(&json).unwrap(), report);
    let newer = json.replacen("\"1.0.0\"", "\"2.0.0\"", 1);
    assert!(ReportData::from_json(&newer).unwrap_err().contains("2.0.0"));
    assert!(ReportData::from_json("{}").is_err());
}

#[test]
fn the_text_view_names_layers_cores_and_the_failed_stage() {
    let mut report = report();
    let text = crate::views::text(&report);
    assert!(text.contains("chip0.core0") && text.contains("9 (90 %)"), "{text}");
    report.status = Status::Failed { stage: "partition".into() };
    assert!(crate::views::text(&report).contains("partition failed"));
}
