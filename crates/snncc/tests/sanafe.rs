//! A mapped network of SANA-FE through the command: converted, compiled, emulated at all levels of timing, verified.

mod support;

use support::Place;

const ARCHITECTURE: &str = include_str!("../../snncc-sanafe/tests/cases/units/arch.yaml");
const NETWORK: &str = include_str!("../../snncc-sanafe/tests/cases/units/net.yaml");

#[test]
fn an_architecture_and_its_network_run_as_in_sanafe() {
    let place = Place::with(&[("arch.yaml", ARCHITECTURE), ("units.yaml", NETWORK)]);
    place.run("convert arch.yaml units.yaml").exits(0);
    place.run("compile units.ron --target ./units-target.ron --no-align -o out").exits(0);
    place.run("emulate out --steps 60 -o analytic").exits(0);
    let counters = |run: &str| -> serde_json::Value {
        serde_json::from_slice(&place.read(&format!("{run}/counters.json"))).unwrap()
    };
    let analytic = counters("analytic");
    // What SANA-FE 2.2.9 says, in ps and fJ.
    assert_eq!((&analytic["time_ps"], &analytic["chip_spikes"]), (&101_267_800.into(), &450.into()));
    assert_eq!((&analytic["packets"], &analytic["synaptic_events"]), (&3_515.into(), &6_624.into()));
    assert_eq!(analytic["energy_fj"]["total"], 1_056_153_100);
    for timing in ["link", "flit"] {
        place.run(&format!("emulate out --steps 60 --timing {timing} --trace timing -o {timing}")).exits(0);
        let timed = counters(timing);
        assert_eq!(timed["energy_fj"], analytic["energy_fj"]);
        let network = &timed["network"];
        let part = |part: &str| network[part].as_u64().unwrap();
        assert_eq!(timed["time_ps"].as_u64().unwrap(), part("cores_ps") + part("network_ps") + part("barrier_ps"));
        assert!(part("network_ps") > 0);
        let table = String::from_utf8(place.read(&format!("{timing}/network-00000.csv"))).unwrap();
        assert_eq!(table.lines().count(), 61);
    }
    place.run("emulate out --input x.csv").exits(3);
}

#[test]
fn files_that_do_not_go_together_are_wrong_usage() {
    let place =
        Place::with(&[("arch.yaml", ARCHITECTURE), ("bad.yaml", "network: {}\nmappings: []\n"), ("net.ron", "()")]);
    place.run("convert arch.yaml").exits(2);
    place.run("convert net.ron bad.yaml").exits(2);
    place.run("convert arch.yaml bad.yaml").exits(3).says("SNN0114");
}
