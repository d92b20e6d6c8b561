//! `snncc targets`: what can be compiled for.

use crate::args::TargetsAction;
use crate::files::InputFile;
use crate::load;
use crate::session::{Outcome, Session, print, print_json};
use serde_json::json;
use snncc_chip::{Basis, CoreKind, HardwareModel, Limit, LoihiCore, SpinnakerCore, TARGETS, Target, TargetFile};
use snncc_ids::{CoreId, Diagnostics};
use snncc_image::spinnaker::route_text;
use snncc_report::{Table, number_text};
use std::path::Path;

/// Runs an action.
pub(crate) fn run(session: &mut Session, action: &TargetsAction) -> Outcome {
    match action {
        TargetsAction::List { json } => list(session, *json),
        TargetsAction::Show { target, json } => {
            let target = load::target(session, target)?.target;
            if *json {
                print_json(&json!({ "target": target.file, "hardware_model": target.model }));
            } else {
                print(&text(&target));
            }
            Ok(0)
        }
        TargetsAction::Check { file } => check(session, file),
    }
}

fn list(session: &mut Session, as_json: bool) -> Outcome {
    session.json = as_json;
    let targets: Vec<Target> = TARGETS
        .iter()
        .map(|(name, _)| snncc_chip::target(name).unwrap_or_else(|problems| panic!("bug in snncc: {problems}")))
        .collect();
    if as_json {
        let row = |target: &Target| {
            json!({
                "name": target.name(), "about": target.file.about, "hardware_model": target.model.name,
                "chips": target.present_chips(), "cores": target.usable_cores(), "costs": target.file.costs,
            })
        };
        print_json(&targets.iter().map(row).collect());
    } else {
        let mut table = Table::new(&["target", "model", "chips", "cores", "about"]);
        for target in &targets {
            table.row(vec![
                target.name().to_owned(),
                target.model.name.clone(),
                target.present_chips().to_string(),
                target.usable_cores().to_string(),
                target.file.about.clone(),
            ]);
        }
        print(&table.text(0));
    }
    session.next("snncc targets show loihi-emu");
    Ok(0)
}

fn text(target: &Target) -> String {
    let model = &target.model;
    let mut out = format!("{}: {}\n", target.name(), target.file.about);
    out += &format!("hardware model {}: {}\n", model.name, model.about);
    let (columns, rows) = target.mesh_size();
    out += &format!(
        "{} chip(s), {columns} × {rows} routers, {} core(s) at each, {} usable\n",
        target.present_chips(),
        model.mesh.cores_per_router.0,
        target.usable_cores()
    );
    out += &match &model.core {
        CoreKind::Loihi(core) => compartment_tables(target, core),
        CoreKind::Spinnaker(core) => machine_tables(target, core),
    };
    out += "\nsources\n";
    for (key, text) in &model.sources {
        out += &format!("  {key}: {text}\n");
    }
    out
}

/// Limits and costs of chips with compartments.
fn compartment_tables(target: &Target, core: &LoihiCore) -> String {
    let limits = &core.limits;
    let mut out = String::new();
    let mut table = Table::new(&["limit of a core", "value", "basis", "source"]);
    for (name, limit) in [
        ("compartments", &limits.compartments),
        ("in-axons", &limits.in_axons),
        ("out-axons", &limits.out_axons),
        ("synapse words", &limits.synapse_words),
        ("compartment settings", &limits.compartment_configs),
        ("threshold settings", &limits.threshold_configs),
        ("synapse formats", &limits.synapse_formats),
        ("accumulator slots", &limits.accumulator_slots),
    ] {
        let value = match limit.0 {
            Limit::AtMost(most) => number_text(most.into()),
            Limit::Unlimited => "no limit".to_owned(),
        };
        table.row(vec![name.into(), value, crate::report::basis(limit.2).name().into(), limit.1.clone()]);
    }
    out += &format!("\n{}", table.text(2));
    if let Some(costs) = target.model.costs.get(&target.file.costs) {
        let mut table = Table::new(&["event", "energy fJ", "time ps", "basis", "source"]);
        for (name, cost) in [
            ("soma access", &costs.soma_access),
            ("soma update", &costs.soma_update),
            ("spike out", &costs.spike_out),
            ("axon out", &costs.axon_out),
            ("axon in", &costs.axon_in),
            ("synapse, dense", &costs.synapse_dense),
            ("synapse, sparse", &costs.synapse_sparse),
            ("synapse, shared", &costs.synapse_shared),
            ("hop east or west", &costs.hop_east_west),
            ("hop north or south", &costs.hop_north_south),
            ("chip crossing", &costs.chip_crossing),
        ] {
            table.row(vec![
                name.into(),
                number_text(cost.energy_fj.into()),
                number_text(cost.time_ps.into()),
                crate::report::basis(cost.basis).name().into(),
                cost.source.clone(),
            ]);
        }
        out += &format!("\ncosts {}: {}\n{}", target.file.costs, costs.about, table.text(2));
    }
    out
}

/// Limits and costs of SpiNNaker-like machines.
fn machine_tables(target: &Target, core: &SpinnakerCore) -> String {
    let limits = &core.limits;
    let mut table = Table::new(&["limit", "value", "basis", "source"]);
    let mut row = |name: &str, value: u64, basis: Basis, source: &str| {
        let basis = crate::report::basis(basis).name();
        table.row(vec![name.into(), number_text(value.into()), basis.into(), source.into()]);
    };
    for (name, limit) in [
        ("neurons of a core", &limits.neurons),
        ("synapse words of a row", &limits.row_words),
        ("routing entries of a chip", &limits.routing_entries),
        ("cores of a chip for the system", &limits.system_cores),
        ("more of them with Ethernet", &limits.ethernet_system_cores),
        ("spikes that wait on a core", &limits.incoming_spikes),
    ] {
        row(name, limit.0.into(), limit.2, &limit.1);
    }
    for (name, limit) in [
        ("instruction memory of a core, bytes", &limits.itcm_bytes),
        ("data memory of a core, bytes", &limits.dtcm_bytes),
        ("shared memory of a chip, bytes", &limits.sdram_bytes),
    ] {
        row(name, limit.0, limit.2, &limit.1);
    }
    for (name, bits) in [
        ("bits of a weight", &core.formats.weight_bits),
        ("bits of a key for the time of sending", &core.formats.colour_bits),
    ] {
        row(name, bits.0.into(), bits.2, &bits.1);
    }
    let mut out = format!("{}\n{}", missing(target), table.text(2));
    let Some(costs) = core.costs.get(&target.file.costs) else { return out };
    let mut table = Table::new(&["event", "cycles", "basis", "source"]);
    for (name, cost) in [
        ("synapse", &costs.synapse),
        ("row", &costs.row),
        ("spike received", &costs.spike),
        ("neuron", &costs.neuron),
        ("neuron, refractory", &costs.neuron_refractory),
        ("ring buffer, empty", &costs.ring_empty),
        ("ring buffer, excitatory", &costs.ring_excitatory),
        ("ring buffer, inhibitory", &costs.ring_inhibitory),
        ("packet sent", &costs.packet_out),
    ] {
        let basis = crate::report::basis(cost.basis).name();
        table.row(vec![name.into(), cost.cycles.to_string(), basis.into(), cost.source.clone()]);
    }
    out += &format!("\ncosts {}: {}\n{}", target.file.costs, costs.about, table.text(2));
    let mut table = Table::new(&["time and energy", "value", "basis", "source"]);
    for (name, value) in [
        ("clock, Hz", &costs.clock_hz),
        ("packet on a link, ps", &costs.link_occupied_ps),
        ("hop, fJ", &costs.hop_energy_fj),
        ("hop, ps", &costs.hop_time_ps),
        ("chip, idle, µW", &costs.chip_idle_uw),
        ("core, active, µW", &costs.core_active_uw),
    ] {
        let basis = crate::report::basis(value.2).name();
        table.row(vec![name.into(), number_text(value.0.into()), basis.into(), value.1.clone()]);
    }
    let transfer = &costs.transfer_bytes_per_cycle;
    table.row(vec![
        "shared memory, bytes a cycle".into(),
        transfer.0.to_string(),
        crate::report::basis(transfer.2).name().into(),
        transfer.1.clone(),
    ]);
    out += &format!("\n{}", table.text(2));
    out
}

/// How a machine's chips lie, and what of it does not work.
fn missing(target: &Target) -> String {
    let file = &target.file;
    let chips = target.machine_chips();
    let boards = chips.iter().filter(|(_, _, has_ethernet)| *has_ethernet).count();
    let (along_x, along_y) = target.wraps();
    let wraps = match (along_x, along_y) {
        (true, true) => "links go on over both edges",
        (true, false) => "links go on over the edge along x",
        (false, true) => "links go on over the edge along y",
        (false, false) => "links end at the edges",
    };
    let mut out = format!("{}, {wraps}\n", snncc_report::count_text(boards.into(), "boards"));
    let dead = [
        ("dead chips", file.dead_chips.iter().map(|(x, y)| format!("({x}, {y})")).collect::<Vec<_>>()),
        ("dead cores", file.dead_cores.iter().map(|core| target.core_name(CoreId(*core))).collect()),
        (
            "dead links",
            file.dead_links.iter().map(|(x, y, link)| format!("{} of ({x}, {y})", route_text(1 << *link))).collect(),
        ),
    ];
    for (what, names) in dead.into_iter().filter(|(_, names)| !names.is_empty()) {
        out += &format!("{what}: {}\n", names.join(", "));
    }
    out
}

fn check(session: &mut Session, path: &Path) -> Outcome {
    let file = InputFile::read(path).map_err(|problems| session.fail(problems, None))?;
    let source = file.source();
    let text = file.text().map_err(|problems| session.fail(problems, Some(&source)))?;
    let name = path.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
    // A target file names hardware, a hardware model has a core; neither has the other's field.
    let as_model = HardwareModel::from_ron(&name, text);
    let is_target = TargetFile::from_ron(&name, text).is_ok() || !has_field(text, "core");
    if is_target {
        let shown = path.display().to_string();
        let shown = if shown.contains(['/', '\\']) { shown } else { format!("./{shown}") };
        let target = load::target(session, &shown)?.target;
        print(&format!("{}: a valid target of {} usable cores\n", path.display(), target.usable_cores()));
    } else {
        let model = as_model.map_err(|problems: Diagnostics| session.fail(problems, Some(&source)))?;
        print(&format!("{}: a valid hardware model, `{}`\n", path.display(), model.name));
    }
    Ok(0)
}

fn has_field(text: &str, field: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with(&format!("{field}:")))
}
