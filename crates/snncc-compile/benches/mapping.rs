//! Times of the mapping stages: `cargo bench -p snncc-compile`.

#[allow(dead_code)]
#[path = "../tests/mapping/networks.rs"]
mod networks;
#[path = "../tests/mapping/samples.rs"]
mod samples;

use criterion::{Criterion, criterion_group, criterion_main};
use samples::{cnn, mlp, random_recurrent, ring};
use snncc_chip::target;
use snncc_compile::{Ctx, NoObserver, Options, emit, partition, place, route};
use snncc_ir::QuantizedIr;

fn map(ir: &QuantizedIr, on: &str) -> usize {
    let (target, options, mut observer) = (target(on).unwrap(), Options::default(), NoObserver);
    let mut ctx = Ctx { target: &target, options: &options, calibration: None, observer: &mut observer };
    let partitioned = partition::partition(ir.clone(), &mut ctx).unwrap();
    let routed = route::route(place::place(partitioned, &mut ctx).unwrap(), &mut ctx).unwrap();
    emit::emit(&routed, &mut ctx).unwrap().cores.len()
}

fn mapping(criterion: &mut Criterion) {
    let small_cnn = [(16, 3, 2, 1, false), (16, 3, 1, 1, false), (8, 3, 1, 1, false), (8, 2, 2, 0, true)];
    let vgg =
        [(64, 3, 1, 1, false), (64, 2, 2, 0, true), (128, 3, 1, 1, false), (128, 2, 2, 0, true), (256, 3, 1, 1, false)];
    let networks = [
        ("mlp 784-128-64-10", mlp(&[784, 128, 64, 10]), "loihi-emu"),
        ("mlp 784-1024-1024-10", mlp(&[784, 1024, 1024, 10]), "loihi-emu"),
        ("cnn, 12,000 neurons", cnn([2, 34, 34], &small_cnn), "loihi-emu"),
        ("vgg start, 139,000 neurons", cnn([3, 32, 32], &vgg), "loihi-32chip"),
        ("10,000 neurons, 100 synapses each, unlimited", random_recurrent(10_000, 100), "unbounded-loihi"),
        ("shuffled ring, 8,000 neurons", ring(8_000, 60, true), "loihi-emu"),
    ];
    let mut group = criterion.benchmark_group("map");
    group.sample_size(10);
    for (name, ir, on) in &networks {
        group.bench_function(*name, |bencher| bencher.iter(|| map(ir, on)));
    }
    group.finish();
}

criterion_group!(benches, mapping);
criterion_main!(benches);
