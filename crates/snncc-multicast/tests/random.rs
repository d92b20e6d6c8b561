//! Random problems on random damaged machines: a mapping passes the witness, or the problem is named; and random tables keep their
//! meaning, key by key.

mod boards;

use proptest::prelude::*;
use snncc_multicast::*;

/// 300, or what `PROPTEST_CASES` asks for.
fn cases_wanted() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

const OPTIONS: Options = Options { table_entries: 1_023, keep_defaultable: false };

prop_compose! {
    fn machines()(
        shape in 0..4u8,
        (width, height) in (1..7u32, 1..7u32),
        wraps in any::<[bool; 2]>(),
        cores in 1..9u8,
        dead_chips in prop::collection::vec((0..16u32, 0..16u32), 0..5),
        dead_links in prop::collection::vec((0..16u32, 0..16u32, 0..6usize), 0..20),
    ) -> Machine {
        let chip = ChipResources { first_core: 2, cores, sdram_bytes: 100 };
        let ethernet = ChipResources { first_core: 3, cores: cores - 1, ..chip };
        let machine = match shape {
            0 => boards::board(chip, ethernet),
            1 => Machine::rectangle(2, 2, [true; 2], chip),
            2 => boards::triads(1, 1, wraps, chip, ethernet),
            _ => Machine::rectangle(width, height, wraps, chip),
        };
        let mut machine = machine.unwrap();
        dead_chips.into_iter().for_each(|(x, y)| machine.remove_chip(x, y));
        dead_links.into_iter().for_each(|(x, y, link)| machine.remove_link(x, y, link));
        machine
    }
}

prop_compose! {
    /// Nets draw their sinks from a few groups, so that some classes have several sources.
    fn problems()(
        vertices in prop::collection::vec((0..40u64, 0..4u32, prop::option::weighted(0.05, (0..8u32, 0..8u32))), 1..80),
        groups in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..20), 1..12),
        nets in prop::collection::vec((any::<prop::sample::Index>(), 1..70u32, 0..4u32, any::<prop::sample::Index>()), 0..60),
    ) -> Problem {
        let count = vertices.len();
        let vertex = |(sdram_bytes, population, pinned)| Vertex { sdram_bytes, population, pinned };
        let mut problem = Problem::new(vertices.into_iter().map(vertex).collect());
        for (source, atoms, weight, group) in nets {
            let sinks = groups[group.index(groups.len())].iter().map(|sink| sink.index(count) as u32);
            problem.add_net(Net { source: source.index(count) as u32, atoms, weight }, sinks);
        }
        problem
    }
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (0..64u32, 0..64u32, 0..8u32, any::<bool>()).prop_map(|(key, mask, route, defaultable)| Entry {
        block: KeyBlock { key: key & mask, mask: mask | !63 },
        route: Route(1 << (route % 5)),
        defaultable,
    });
    prop::collection::vec(entry, 0..24)
}

fn look_up(table: &Table, key: u32) -> Option<Entry> {
    table.entries.iter().copied().find(|entry| key & entry.block.mask == entry.block.key)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases_wanted(), ..ProptestConfig::default() })]

    #[test]
    fn mappings_pass_the_witness(machine in machines(), problem in problems(), keep_defaultable: bool) {
        let options = Options { keep_defaultable, ..OPTIONS };
        match map(&problem, &machine, options) {
            Ok(mapping) => {
                let walk = check(&problem, &machine, &mapping);
                prop_assert!(walk.is_ok(), "{walk:?}");
                prop_assert_eq!(walk.unwrap().traversals, mapping.traversals);
                prop_assert_eq!(map(&problem, &machine, options), Ok(mapping));
            }
            Err(problems) => {
                prop_assert!(problems.has_errors());
                for problem in &problems.0 {
                    let known = ["SNN0402", "SNN0403", "SNN0501"];
                    prop_assert!(known.contains(&problem.code.number()), "{problem}");
                }
            }
        }
    }

    #[test]
    fn minimized_tables_keep_their_meaning(entries in entries(), keep_defaultable: bool) {
        let table = Table { entries };
        let short = minimize(&table, keep_defaultable);
        prop_assert!(short.entries.len() <= table.entries.len());
        prop_assert!(equivalent(&table, &short) || keep_defaultable);
        for key in 0..64 {
            let Some(before) = look_up(&table, key) else { continue };
            match look_up(&short, key) {
                Some(after) => prop_assert_eq!(after.route, before.route),
                None => prop_assert!(before.defaultable && !keep_defaultable),
            }
        }
    }

    #[test]
    fn the_proof_agrees_with_every_key(entries in entries(), others in entries()) {
        let (table, other) = (Table { entries }, Table { entries: others });
        let alike = (0..64).all(|key| match (look_up(&table, key), look_up(&other, key)) {
            (None, _) => true,
            (Some(before), None) => before.defaultable,
            (Some(before), Some(after)) => before.route == after.route,
        });
        prop_assert_eq!(equivalent(&table, &other), alike);
    }
}

const CHIP: ChipResources = ChipResources { first_core: 1, cores: 2, sdram_bytes: 10 };

fn code_of(problem: &Problem, machine: &Machine, options: Options) -> String {
    map(problem, machine, options).unwrap_err().0[0].code.number().to_owned()
}

/// Vertices pinned in a row, one to a chip, and a net from the first to all others.
fn row(length: u32) -> Problem {
    let vertex = |x| Vertex { sdram_bytes: 1, population: 0, pinned: Some((x, 0)) };
    let mut problem = Problem::new((0..length).map(vertex).collect());
    problem.add_net(Net { source: 0, atoms: 5, weight: 3 }, 1..length);
    problem
}

#[test]
fn a_net_follows_the_row_and_straight_chips_need_no_entry() {
    let machine = Machine::rectangle(5, 1, [false; 2], CHIP).unwrap();
    let mut problem = row(5);
    let mapping = map(&problem, &machine, OPTIONS).unwrap();
    let walk = check(&problem, &machine, &mapping).unwrap();
    assert_eq!((walk.traversals, walk.weighted_traversals, walk.deliveries, walk.longest_way), (4, 12, 4, 4));
    assert_eq!(mapping.entries(), 5);
    problem = row(5);
    problem.add_net(Net { source: 4, atoms: 8, weight: 1 }, [0]);
    let mapping = map(&problem, &machine, OPTIONS).unwrap();
    assert_eq!(check(&problem, &machine, &mapping).unwrap().traversals, 8);
    assert_eq!(mapping.entries(), 5 + 2, "the way back is straight: entries at its ends only");
}

#[test]
fn a_one_way_link_is_used_in_its_direction() {
    let mut machine = Machine::rectangle(3, 1, [true, false], CHIP).unwrap();
    machine.remove_link(1, 0, 3);
    machine.remove_link(0, 0, 3);
    machine.remove_link(2, 0, 0);
    let problem = row(3);
    let mapping = map(&problem, &machine, OPTIONS).unwrap();
    assert_eq!(check(&problem, &machine, &mapping).unwrap().traversals, 2);
}

#[test]
fn what_cannot_be_mapped_is_named() {
    let mut machine = Machine::rectangle(3, 1, [false; 2], CHIP).unwrap();
    let tight = Options { table_entries: 0, ..OPTIONS };
    assert_eq!(code_of(&row(3), &machine, tight), "SNN0402");
    assert_eq!(code_of(&row(4), &machine, OPTIONS), "SNN0403");
    machine.remove_link(1, 0, 0);
    assert_eq!(code_of(&row(3), &machine, OPTIONS), "SNN0501");
    let vertices = |count, sdram_bytes| Problem::new(vec![Vertex { sdram_bytes, ..Vertex::default() }; count]);
    assert_eq!(code_of(&vertices(1, 11), &machine, OPTIONS), "SNN0401");
    assert_eq!(code_of(&vertices(7, 1), &machine, OPTIONS), "SNN0402");
    for (source, atoms) in [(0, 0), (9, 1)] {
        let mut problem = vertices(2, 1);
        problem.add_net(Net { source, atoms, weight: 1 }, [1]);
        assert_eq!(code_of(&problem, &machine, OPTIONS), "SNN0203");
    }
    let mut problem = vertices(2, 1);
    for _ in 0..3 {
        problem.add_net(Net { source: 0, atoms: 1 << 31, weight: 1 }, [1]);
    }
    assert_eq!(code_of(&problem, &machine, OPTIONS), "SNN0402");
}

#[test]
fn a_damaged_witness_is_caught() {
    let machine = Machine::rectangle(5, 1, [false; 2], CHIP).unwrap();
    let problem = row(5);
    let good = map(&problem, &machine, OPTIONS).unwrap();
    let change = |change: &dyn Fn(&mut Mapping)| {
        let mut bad = good.clone();
        change(&mut bad);
        check(&problem, &machine, &bad).unwrap_err()
    };
    assert!(change(&|bad| bad.tables[0].entries.clear()).contains("dropped"));
    assert!(change(&|bad| bad.tables[2].entries.clear()).contains("should reach"));
    assert!(change(&|bad| bad.tables[3].entries[0].route.0 |= 1 << 3).contains("twice"));
    assert!(change(&|bad| bad.tables[4].entries[0].route.0 |= 1).contains("dead link"));
    assert!(change(&|bad| bad.chips[1] = 2).contains("pinned"));
    assert!(change(&|bad| bad.cores[1] = 0).contains("not to be used"));
    assert!(change(&|bad| bad.keys[0].mask = !1).contains("aligned block"));
}

#[test]
fn sources_of_one_class_share_a_tree_and_its_entries() {
    // Everyone to everyone on 3 by 3 chips of two cores: eight links for each net, and a few entries per chip for 18 sources.
    let machine = Machine::rectangle(3, 3, [false; 2], CHIP).unwrap();
    let mut problem = Problem::new(vec![Vertex::default(); 18]);
    for source in 0..18 {
        problem.add_net(Net { source, atoms: 100, weight: 1 }, 0..18);
    }
    let mapping = map(&problem, &machine, OPTIONS).unwrap();
    assert_eq!(check(&problem, &machine, &mapping).unwrap().traversals, 18 * 8);
    // A tree over n chips has 3 n - 2 (chip, direction) pairs, and each needs an entry.
    assert_eq!(mapping.entries(), 3 * 9 - 2);
}
