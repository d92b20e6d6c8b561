//! The machine of a target, as the multicast mapper knows it.

use snncc_chip::Target;
use snncc_ids::Diagnostics;
use snncc_multicast::{ChipResources, Machine};

/// Chips with their free cores and memory, and the links between them.
///
/// # Errors
/// A grid that is larger than the mapper can hold.
///
/// # Panics
/// For a target of another kind.
pub fn machine(target: &Target) -> Result<Machine, Diagnostics> {
    let core = target.model.spinnaker().expect("bug in snncc: no SpiNNaker-like target");
    let offered = |system: u32| ChipResources {
        first_core: system as u8,
        cores: (target.cores_per_chip() - system) as u8,
        sdram_bytes: core.limits.sdram_bytes.0,
    };
    let plain = core.limits.system_cores.0;
    let (plain, ethernet) = (offered(plain), offered(plain + core.limits.ethernet_system_cores.0));
    let (columns, rows) = (target.file.chips.columns, target.file.chips.rows);
    let chips = target.machine_chips();
    let chips = chips.into_iter().map(|(x, y, has_ethernet)| (x, y, if has_ethernet { ethernet } else { plain }));
    let wraps = target.wraps();
    let mut machine = Machine::new(columns, rows, [wraps.0, wraps.1], chips)?;
    for (x, y, link) in &target.file.dead_links {
        machine.remove_link(*x, *y, usize::from(*link));
    }
    for chip in machine.alive() {
        let resources = machine.resources(chip).expect("bug in snncc: a chip that is there");
        let first = u32::from(resources.first_core);
        let lost = cores(target, chip, first).filter(|(_, dead)| *dead).count() as u8;
        if lost > 0 {
            machine.set_cores(chip, resources.cores - lost);
        }
    }
    Ok(machine)
}

/// Cores of a chip from `first` on, and whether each is dead.
fn cores(target: &Target, chip: u32, first: u32) -> impl Iterator<Item = (u32, bool)> + '_ {
    let per_chip = target.cores_per_chip();
    (first..per_chip).map(move |core| (core, target.file.dead_cores.contains(&(chip * per_chip + core))))
}

/// The core of a chip that the mapper calls `core`: it counts only working ones from `first` on.
pub(super) fn working_core(target: &Target, chip: u32, first: u32, core: u32) -> u32 {
    let mut working = cores(target, chip, first).filter(|(_, dead)| !dead).map(|(core, _)| core);
    working.nth((core - first) as usize).expect("bug in snncc: the mapper uses cores that there are")
}
