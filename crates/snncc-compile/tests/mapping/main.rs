//! The mapping stages from outside: every image is the network, within every limit.

mod checker;
mod known;
mod networks;

use checker::check_image;
use networks::generator::Rng;
use networks::{cases, random_network, random_target};
use proptest::prelude::*;
use snncc_chip::Target;
use snncc_compile::emit::emit;
use snncc_compile::partition::partition;
use snncc_compile::place::place;
use snncc_compile::route::{Routed, route};
use snncc_compile::{Ctx, NoObserver, Options};
use snncc_ids::Diagnostics;
use snncc_image::Image;
use snncc_ir::QuantizedIr;

/// All stages.
fn map(ir: &QuantizedIr, target: &Target, options: &Options) -> Result<(Routed, Image), Diagnostics> {
    let mut observer = NoObserver;
    let mut ctx = Ctx { target, options, calibration: None, observer: &mut observer };
    let partitioned = partition(ir.clone(), &mut ctx)?;
    let placed = place(partitioned, &mut ctx)?;
    let routed = route(placed, &mut ctx)?;
    let image = emit(&routed, &mut ctx)?;
    Ok((routed, image))
}

fn map_stages(name: &str, ir: &QuantizedIr, target: &Target, options: &Options) {
    let mut observer = NoObserver;
    let mut ctx = Ctx { target, options, calibration: None, observer: &mut observer };
    let start = std::time::Instant::now();
    let partitioned = match partition(ir.clone(), &mut ctx) {
        Ok(p) => p,
        Err(e) => {
            println!("{name}: {:?} {e} {:?}", start.elapsed(), e.0[0].notes);
            return;
        }
    };
    let t1 = start.elapsed();
    let (n, lb) = (partitioned.cores().len(), partitioned.cores_at_least());
    let axons: u64 = partitioned.core_use().map(|u| u.get(snncc_compile::backend::Resource::InAxons)).sum();
    for (id, p) in partitioned.population_cores().iter_with_ids() {
        if let Some(p) = p {
            println!("  {:?} {p:?}", partitioned.ir().graph.populations[id].shape);
        }
    }
    let placed = place(partitioned, &mut ctx).unwrap();
    let t2 = start.elapsed();
    let hops = placed.hops_per_step();
    let routed = route(placed, &mut ctx).unwrap();
    let t3 = start.elapsed();
    let image = emit(&routed, &mut ctx).unwrap();
    let t4 = start.elapsed();
    println!(
        "{name}: cores {n} (>= {lb}), axons {axons}, hops {hops}, partition {t1:?} place {:?} route {:?} emit {:?}",
        t2 - t1,
        t3 - t2,
        t4 - t3
    );
    let start = std::time::Instant::now();
    let bytes = image.to_bytes();
    println!("   {} bytes, {:?}", bytes.len(), start.elapsed());
}

fn with_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn images_are_the_network_within_all_limits(seed in cases()) {
        let mut rng = Rng(seed);
        let (ir, target) = (random_network(&mut rng), random_target(&mut rng));
        let options = Options { effort: rng.range(0, 3) as u8, ..Options::default() };
        match map(&ir, &target, &options) {
            Err(problems) => {
                for problem in &problems.0 {
                    prop_assert!(problem.code.number().starts_with("SNN040"), "{problem}");
                }
            }
            Ok((routed, image)) => {
                check_image(&image, &ir, &target);
                let bytes = image.to_bytes();
                prop_assert_eq!(&Image::from_bytes(&bytes).unwrap(), &image);
                let again = with_threads(4, || map(&ir, &target, &options).unwrap().1.to_bytes());
                let once = with_threads(1, || map(&ir, &target, &options).unwrap().1.to_bytes());
                prop_assert_eq!(&again, &bytes);
                prop_assert_eq!(&once, &bytes);
                let hops = routed.hops_per_step();
                prop_assert!((hops - routed.placed().hops_per_step()).abs() < 1e-6 * (1.0 + hops));
            }
        }
    }
}

/// The random chips are small, but most random networks must fit on them, or the property above says little.
#[test]
fn most_random_networks_fit() {
    let fit = (0..200)
        .filter(|seed| {
            let mut rng = Rng(*seed);
            let (ir, target) = (random_network(&mut rng), random_target(&mut rng));
            map(&ir, &target, &Options::default()).is_ok()
        })
        .count();
    assert!(fit >= 120, "{fit} of 200");
}
