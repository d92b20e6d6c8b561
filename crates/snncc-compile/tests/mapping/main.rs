//! The mapping stages from outside: every image is the network, within every limit.

mod checker;
mod known;
mod networks;
mod samples;
mod wishes;

use checker::{check_image, check_wishes};
use networks::generator::Rng;
use networks::{cases, random_network, random_target, random_wishes};
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

fn with_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

/// 300, or what `PROPTEST_CASES` asks for.
fn cases_wanted() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases_wanted(), ..ProptestConfig::default() })]

    #[test]
    fn images_are_the_network_within_all_limits(seed in cases()) {
        let mut rng = Rng(seed);
        let (ir, target) = (random_network(&mut rng), random_target(&mut rng));
        let mapping = if rng.chance(40) { random_wishes(&mut rng, &ir, &target) } else { Default::default() };
        let options = Options { effort: rng.range(0, 3) as u8, mapping, ..Options::default() };
        match map(&ir, &target, &options) {
            Err(problems) => {
                for problem in &problems.0 {
                    prop_assert!(problem.code.number().starts_with("SNN040"), "{problem}");
                }
            }
            Ok((routed, image)) => {
                check_image(&image, &ir, &target);
                check_wishes(&image, &options.mapping);
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
