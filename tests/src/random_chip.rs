//! Random small chips: the built-in models with less of everything, so that small networks meet every limit.

use crate::random::Random;
use snncc_chip::{Limit, Target, UpdateRule, hardware_model, target};

/// A chip and how much of it is broken.
pub fn chip(random: &mut Random) -> Target {
    let name =
        random.pick(&["loihi1", "loihi1", "loihi1", "loihi1", "tiny-loihi", "nengo-loihi", "lava", "brian2-loihi"]);
    let mut model = hardware_model(name).expect("a built-in model");
    model.mesh.columns.0 = random.from(1, 4) as u32;
    model.mesh.rows.0 = random.from(1, 4) as u32;
    model.mesh.cores_per_router.0 = random.from(1, 4) as u32;
    let snncc_chip::CoreKind::Loihi(core) = &mut model.core else { panic!("no Loihi-like cores") };
    let limits = &mut core.limits;
    let small = random.chance(75);
    let compartments = random.pick(&[4, 8, 16, 32, 64]);
    let mut at_most = |of_100: usize, low: usize, high: usize, limit: &mut Limit| {
        if random.chance(of_100) {
            *limit = Limit::AtMost(random.from(low, high) as u64);
        }
    };
    let often = if small { 80 } else { 10 };
    at_most(often, compartments, compartments, &mut limits.compartments.0);
    at_most(often, 24, 200, &mut limits.in_axons.0);
    at_most(often, 24, 300, &mut limits.out_axons.0);
    at_most(often, 40, 800, &mut limits.synapse_words.0);
    at_most(often, 1, 8, &mut limits.compartment_configs.0);
    at_most(often, 1, 6, &mut limits.threshold_configs.0);
    at_most(often, 2, 7, &mut limits.synapse_formats.0);
    at_most(often, compartments, 8 * compartments, &mut limits.accumulator_slots.0);
    for table in model.costs.values_mut() {
        table.updated = random.pick(&[UpdateRule::Active, UpdateRule::Always]);
        table.chip_crossing.energy_fj = random.pick(&[0, 9_000]);
    }
    let tables: Vec<String> = model.costs.keys().cloned().collect();

    let mut file = target("loihi-emu").expect("a built-in target").file;
    file.name = "random".into();
    file.hardware = model.name.clone();
    file.chips.columns = random.from(1, 2) as u32;
    file.chips.rows = random.from(1, 2) as u32;
    file.costs = tables[random.below(tables.len())].clone();
    let cores =
        file.chips.columns * file.chips.rows * model.mesh.columns.0 * model.mesh.rows.0 * model.mesh.cores_per_router.0;
    let broken = random.pick(&[0, 0, 10, 50]);
    file.dead_cores = random.some(cores, broken);
    if file.dead_cores.len() as u32 == cores {
        file.dead_cores.pop();
    }
    Target::new(file, model).expect("a valid target")
}
