//! The peers' own inputs: routing tables of PACMAN and the cortical microcircuit. `SNNCC_SPINNAKER_DATA` names their folder.

use flate2::read::GzDecoder;
use serde_json::Value;
use snncc_multicast::*;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

fn read(path: &str) -> Option<String> {
    let Some(folder) = std::env::var_os("SNNCC_SPINNAKER_DATA").map(PathBuf::from) else {
        // Past the capture of output: a skipped test says so.
        let _ = std::io::stderr().write_all(b"skipped: SNNCC_SPINNAKER_DATA names no folder\n");
        return None;
    };
    let file = std::fs::File::open(folder.join(path)).expect(path);
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect(path);
    Some(text)
}

fn csv(path: &str) -> Option<Table> {
    let number = |text: &str| u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok();
    let entry = |line: &str| -> Option<Entry> {
        let fields: Vec<u32> = line.split(',').filter_map(number).collect();
        let &[key, mask, route] = fields.as_slice() else { return None };
        Some(Entry { block: KeyBlock { key, mask }, route: Route(route), defaultable: false })
    };
    Some(Table { entries: read(path)?.lines().filter_map(entry).collect() })
}

/// Seconds that this thread has computed, where the system tells; else seconds that went by.
fn seconds() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let computed = told.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    computed.map_or_else(|| START.get_or_init(Instant::now).elapsed().as_secs_f64(), |nanoseconds| nanoseconds * 1e-9)
}

fn integer(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

#[test]
fn long_tables_shrink_and_keep_their_meaning() {
    for (name, entries, limit) in [("table1", 39_235, 736), ("table2", 39_520, 551)] {
        let Some(table) = csv(&format!("pacman/{name}.csv.gz")) else { return };
        assert_eq!(table.entries.len(), entries);
        let start = seconds();
        let short = minimize(&table, true);
        let seconds = seconds() - start;
        println!("{name}: {entries} -> {} entries in {seconds:.4} s", short.entries.len());
        assert!(equivalent(&table, &short));
        assert!(short.entries.len() <= limit);
    }
}

#[test]
fn a_machine_of_tables_shrinks() {
    let Some(text) = read("pacman/many_to_one.json.gz") else { return };
    let chips: Value = serde_json::from_str(&text).expect("JSON");
    let entry = |value: &Value| Entry {
        block: KeyBlock { key: integer(&value["key"]) as u32, mask: integer(&value["mask"]) as u32 },
        route: Route(integer(&value["spinnaker_route"]) as u32),
        defaultable: value["defaultable"].as_bool().expect("a flag"),
    };
    let tables: Vec<Table> = chips
        .as_array()
        .expect("a list")
        .iter()
        .map(|chip| Table { entries: chip["entries"].as_array().expect("a list").iter().map(entry).collect() })
        .collect();
    for keep_defaultable in [false, true] {
        let start = seconds();
        let short: Vec<Table> = tables.iter().map(|table| minimize(table, keep_defaultable)).collect();
        let seconds = seconds() - start;
        let total: usize = short.iter().map(|table| table.entries.len()).sum();
        let most = short.iter().map(|table| table.entries.len()).max().unwrap_or(0);
        println!("many_to_one, defaults kept {keep_defaultable}: {total} entries, at most {most}, in {seconds:.4} s");
        assert!(tables.iter().zip(&short).all(|(table, short)| equivalent(table, short)));
        assert!(most <= 1_023 && total <= 2_503);
    }
}

/// The case with its places and keys left away: the vertices that are not the system's, and one net per source.
fn microcircuit(name: &str) -> Option<(Problem, Machine)> {
    let case: Value = serde_json::from_str(&read(&format!("microcircuit/{name}.json.gz"))?).expect("JSON");
    let mut populations: BTreeMap<String, u32> = BTreeMap::new();
    let mut numbers: BTreeMap<u64, u32> = BTreeMap::new();
    let mut vertices = Vec::new();
    for vertex in case["vertices"].as_array().expect("a list") {
        if vertex["label"].as_str().expect("a label").starts_with("SYSTEM") {
            continue;
        }
        let next = populations.len() as u32;
        let population = *populations.entry(vertex["app"].as_str().expect("a name").to_owned()).or_insert(next);
        numbers.insert(integer(&vertex["id"]), vertices.len() as u32);
        vertices.push(Vertex { sdram_bytes: integer(&vertex["sdram"]), population, pinned: None });
    }
    let mut problem = Problem::new(vertices);
    for net in case["nets"].as_array().expect("a list") {
        let sinks = net["dst"].as_array().expect("a list").iter().map(|sink| numbers[&integer(sink)]);
        let atoms = !(integer(&net["mask"]) as u32) + 1;
        problem.add_net(Net { source: numbers[&integer(&net["src"])], atoms, weight: 1 }, sinks);
    }
    let size = |of: &str| integer(&case["summary"]["machine"][of]) as u32;
    let chips = case["chips"].as_array().expect("a list").iter().map(|chip| {
        let (x, y) = (integer(&chip[0]) as u32, integer(&chip[1]) as u32);
        let cores = case["cores_per_chip"].get(format!("{x},{y}")).map_or(18, integer) as u8;
        let first_core = if x % 4 == 0 && (x + y) % 12 == 0 { 3 } else { 2 };
        (x, y, ChipResources { first_core, cores: cores - first_core, sdram_bytes: 123_469_792 })
    });
    let mut machine = Machine::new(size("width"), size("height"), [false; 2], chips).expect("a machine");
    let links: std::collections::BTreeSet<(u64, u64, u64)> = case["links"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|link| (integer(&link[0]), integer(&link[1]), integer(&link[2])))
        .collect();
    for chip in machine.alive() {
        let (x, y) = machine.position(chip);
        for link in 0..LINKS {
            if !links.contains(&(u64::from(x), u64::from(y), link as u64)) {
                machine.remove_link(x, y, link);
            }
        }
    }
    Some((problem, machine))
}

#[test]
fn the_microcircuit_maps_well() {
    for (name, traversals, entries) in
        [("pd010_128", u64::MAX, usize::MAX), ("pd100_256", 11_847, 878), ("pd100_64", 121_758, 2_913)]
    {
        let Some((problem, machine)) = microcircuit(name) else { return };
        let start = seconds();
        let mapping = map(&problem, &machine, Options { table_entries: 1_023, keep_defaultable: false }).expect(name);
        let seconds = seconds() - start;
        let walk = check(&problem, &machine, &mapping).expect(name);
        let mut chips = mapping.chips.clone();
        chips.sort_unstable();
        chips.dedup();
        let most = mapping.tables.iter().map(|table| table.entries.len()).max().unwrap_or(0);
        println!(
            "{name}: {} traversals, {} entries (at most {most}), {} chips, longest way {}, {} deliveries, {seconds:.4} s",
            walk.traversals,
            mapping.entries(),
            chips.len(),
            walk.longest_way,
            walk.deliveries
        );
        assert_eq!(walk.traversals, mapping.traversals);
        assert!(walk.traversals <= traversals && mapping.entries() <= entries, "{name}");
    }
}
