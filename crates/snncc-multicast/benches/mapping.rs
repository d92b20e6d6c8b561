//! Times of mapping and of minimization: `cargo bench -p snncc-multicast`.

#[path = "../tests/boards/mod.rs"]
#[allow(dead_code)]
mod boards;

use criterion::{Criterion, criterion_group, criterion_main};
use snncc_multicast::*;

const CHIP: ChipResources = ChipResources { first_core: 2, cores: 16, sdram_bytes: 1 << 27 };
const ETHERNET: ChipResources = ChipResources { first_core: 3, cores: 15, sdram_bytes: 1 << 27 };

/// A dense recurrent network of `cores` cores, each with a source of input of its own.
fn dense(cores: u32) -> Problem {
    let vertex = |number| Vertex {
        sdram_bytes: if number < cores { 11 << 20 } else { 1 << 14 },
        population: number / 64,
        pinned: None,
    };
    let mut problem = Problem::new((0..2 * cores).map(vertex).collect());
    for source in 0..cores {
        problem.add_net(Net { source, atoms: 1 << 8, weight: 1 }, 0..cores);
        problem.add_net(Net { source: cores + source, atoms: 1 << 8, weight: 1 }, [source]);
    }
    problem
}

/// Layers of `width` cores, each core to five of the next layer.
fn layers(width: u32, depth: u32) -> Problem {
    let vertex = |number| Vertex { sdram_bytes: 1 << 20, population: number / width, pinned: None };
    let mut problem = Problem::new((0..width * depth).map(vertex).collect());
    for source in 0..width * (depth - 1) {
        let (layer, at) = (source / width, source % width);
        let sinks = (0..5).map(|step| (layer + 1) * width + (at + step) % width);
        problem.add_net(Net { source, atoms: 1 << 8, weight: 1 }, sinks);
    }
    problem
}

fn mapping(criterion: &mut Criterion) {
    let machine = boards::triads(2, 1, [false; 2], CHIP, ETHERNET).unwrap();
    let options = Options { table_entries: 1_023, keep_defaultable: false };
    let mut group = criterion.benchmark_group("map");
    group.sample_size(10);
    for (name, problem) in [("dense, 300 cores", dense(300)), ("layers, 20 of 100 cores", layers(100, 20))] {
        group.bench_function(name, |bencher| bencher.iter(|| map(&problem, &machine, options).unwrap().entries()));
    }
    group.finish();
    // Routes in no order: only general blocks help.
    let block = |key: u32| KeyBlock { key, mask: u32::MAX };
    let route = |key: u32| Route(1 << (key.wrapping_mul(0x9e37_79b9) >> 28));
    let entry = |key| Entry { block: block(key), route: route(key), defaultable: false };
    let table = Table { entries: (0..1_000).map(entry).collect() };
    criterion.bench_function("minimize 1,000 keys in no order", |bencher| bencher.iter(|| minimize(&table, true)));
}

criterion_group!(benches, mapping);
criterion_main!(benches);
