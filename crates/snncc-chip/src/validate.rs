//! Named checks of hardware models and targets. What passes here is trusted everywhere else.

use crate::model::{Barrier, Basis, CoreKind, Cost, CostTable, HardwareModel, Limit, Routing, Sourced};
use crate::profile::Overflow;
use crate::spinnaker::{SpinnakerCore, SpinnakerCosts};
use crate::target::{MachineShape, Target, TargetFile};
use snncc_ids::{Diagnostic, Diagnostics, code};

struct Checker<'a> {
    model: &'a HardwareModel,
    problems: Diagnostics,
}

impl Checker<'_> {
    fn require(&mut self, holds: bool, item: &str, message: impl FnOnce() -> String) {
        if !holds {
            let message = format!("hardware model `{}`: {}", self.model.name, message());
            self.problems.push(Diagnostic::error(code::HARDWARE_MODEL, message).at(item));
        }
    }

    fn source(&mut self, key: &str, item: &str) {
        let known = self.model.sources.contains_key(key);
        self.require(known, item, || format!("the source `{key}` is not listed in `sources`"));
    }

    fn sourced<T>(&mut self, value: &Sourced<T>, item: &str, holds: impl FnOnce(&T) -> bool, rule: &str) {
        self.source(&value.1, item);
        self.require(holds(&value.0), item, || format!("`{item}` must be {rule}"));
    }
}

/// Checks a hardware model.
///
/// # Errors
/// `SNN0110`, one diagnostic for each thing wrong.
pub fn validate(model: &HardwareModel) -> Result<(), Diagnostics> {
    let mut checker = Checker { model, problems: Diagnostics::new() };
    checker
        .require(model.schema == 1, "schema", || format!("schema {} is not known; this version reads 1", model.schema));
    check_mesh(&mut checker);
    match &model.core {
        CoreKind::Loihi(_) => {
            checker.require(model.mesh.routing == Routing::XFirst, "mesh/routing", || "must be XFirst".into());
            check_limits(&mut checker);
            check_formats(&mut checker);
            check_arithmetic(&mut checker);
            checker.require(!model.costs.is_empty(), "costs", || "at least one cost table is needed".into());
            for (name, table) in &model.costs {
                check_costs(&mut checker, name, table);
            }
        }
        CoreKind::Spinnaker(core) => check_spinnaker(&mut checker, core),
    }
    checker.problems.into_result(()).map(|_| ())
}

fn check_mesh(checker: &mut Checker<'_>) {
    let mesh = &checker.model.mesh;
    let positive = |value: &u32| (1..=1 << 12).contains(value);
    checker.sourced(&mesh.columns, "mesh/columns", positive, "from 1 to 4096");
    checker.sourced(&mesh.rows, "mesh/rows", positive, "from 1 to 4096");
    checker.sourced(&mesh.cores_per_router, "mesh/cores_per_router", positive, "from 1 to 4096");
}

fn check_limits(checker: &mut Checker<'_>) {
    let limits = &checker.model.loihi().limits;
    let positive = |limit: &Limit| *limit != Limit::AtMost(0);
    for (item, limit) in [
        ("limits/compartments", &limits.compartments),
        ("limits/in_axons", &limits.in_axons),
        ("limits/out_axons", &limits.out_axons),
        ("limits/synapse_words", &limits.synapse_words),
        ("limits/compartment_configs", &limits.compartment_configs),
        ("limits/threshold_configs", &limits.threshold_configs),
        ("limits/synapse_formats", &limits.synapse_formats),
        ("limits/accumulator_slots", &limits.accumulator_slots),
    ] {
        checker.sourced(limit, item, positive, "above 0");
    }
}

fn check_formats(checker: &mut Checker<'_>) {
    let formats = &checker.model.loihi().formats;
    checker.sourced(&formats.synapse_word_bits, "formats/synapse_word_bits", |bits| *bits == 64, "64");
    checker.sourced(&formats.block_format_bits, "formats/block_format_bits", |bits| (1..=16).contains(bits), "1 to 16");
    checker.sourced(&formats.block_count_bits, "formats/block_count_bits", |bits| (1..=16).contains(bits), "1 to 16");
    checker.sourced(
        &formats.weight_codes,
        "formats/weight_codes",
        |codes| !codes.is_empty() && codes.iter().all(|code| code.bits <= 32),
        "a list of widths up to 32",
    );
    checker.sourced(
        &formats.weight_magnitude_bits,
        "formats/weight_magnitude_bits",
        |bits| (1..=30).contains(bits),
        "1 to 30",
    );
    checker.sourced(
        &formats.weight_exponent,
        "formats/weight_exponent",
        |(low, high)| low <= high && *low >= -16 && *high <= 16,
        "a range within −16 to 16",
    );
    checker.sourced(
        &formats.index_bits,
        "formats/index_bits",
        |bits| !bits.is_empty() && bits.is_sorted() && bits.iter().all(|bits| *bits <= 32),
        "an ascending list of widths up to 32",
    );
    checker.sourced(&formats.delay_bits, "formats/delay_bits", |bits| *bits <= 16, "at most 16");
    checker.sourced(&formats.delay_slots_reserved, "formats/delay_slots_reserved", |slots| *slots >= 1, "1 or more");
    let fraction_bits = checker.model.loihi().arithmetic.decay_fraction_bits;
    checker.sourced(
        &formats.decay_max,
        "formats/decay_max",
        |max| (1..=1 << fraction_bits).contains(max),
        "1 to 2^decay_fraction_bits",
    );
    checker.sourced(
        &formats.threshold_mantissa_max,
        "formats/threshold_mantissa_max",
        |max| (1..1 << 40).contains(max),
        "above 0",
    );
    checker.sourced(
        &formats.bias_mantissa,
        "formats/bias_mantissa",
        |(low, high)| *low <= 0 && *high >= 0,
        "a range with 0",
    );
    checker.sourced(
        &formats.bias_exponent,
        "formats/bias_exponent",
        |(low, high)| low <= high && *low >= -16 && *high <= 16,
        "a range within −16 to 16",
    );
    checker.sourced(&formats.refractory_max, "formats/refractory_max", |max| (1..1 << 16).contains(max), "1 or more");
    checker.sourced(&formats.v_min_exponent_max, "formats/v_min_exponent_max", |max| *max <= 62, "at most 62");
    checker.sourced(&formats.v_max_exponent_max, "formats/v_max_exponent_max", |max| *max <= 24, "at most 24");
    checker.source(&formats.clip_required.1, "formats/clip_required");
    checker.sourced(&formats.state_bits, "formats/state_bits", |bits| (8..=62).contains(bits), "8 to 62");
    checker.sourced(&formats.payload_max, "formats/payload_max", |max| *max >= 1, "1 or more");
}

fn check_spinnaker(checker: &mut Checker<'_>, core: &SpinnakerCore) {
    let mesh = &checker.model.mesh;
    let one_router = (mesh.columns.0, mesh.rows.0, mesh.routing) == (1, 1, Routing::Multicast);
    checker.require(one_router, "mesh", || "a chip of this kind has one router, with multicast".into());
    // Bits 6 to 23 of a route are cores.
    checker.sourced(&mesh.cores_per_router, "mesh/cores_per_router", |cores| (1..=18).contains(cores), "1 to 18");
    let limits = &core.limits;
    for (item, value) in [
        ("limits/neurons", &limits.neurons),
        ("limits/row_words", &limits.row_words),
        ("limits/routing_entries", &limits.routing_entries),
        ("limits/incoming_spikes", &limits.incoming_spikes),
    ] {
        checker.sourced(value, item, |value| (1..=1 << 16).contains(value), "1 to 65,536");
    }
    for (item, value) in [
        ("limits/itcm_bytes", &limits.itcm_bytes),
        ("limits/dtcm_bytes", &limits.dtcm_bytes),
        ("limits/sdram_bytes", &limits.sdram_bytes),
    ] {
        checker.sourced(value, item, |value| (1..=1 << 32).contains(value), "1 to 2^32");
    }
    checker.sourced(&limits.ring_buffer_bits, "limits/ring_buffer_bits", |bits| (2..=16).contains(bits), "2 to 16");
    let system = limits.system_cores.0.saturating_add(limits.ethernet_system_cores.0);
    for (item, value) in
        [("limits/system_cores", &limits.system_cores), ("limits/ethernet_system_cores", &limits.ethernet_system_cores)]
    {
        checker.sourced(value, item, |_| system < mesh.cores_per_router.0, "less than the cores of a chip, together");
    }
    let formats = &core.formats;
    checker.sourced(&formats.fraction_bits, "formats/fraction_bits", |bits| (1..=30).contains(bits), "1 to 30");
    checker.sourced(&formats.weight_bits, "formats/weight_bits", |bits| *bits == 16, "16");
    checker.sourced(&formats.left_shift_max, "formats/left_shift_max", |shift| *shift <= 15, "at most 15");
    checker.sourced(&formats.row_header_words, "formats/row_header_words", |words| *words == 3, "3");
    checker.sourced(&formats.population_entry_bytes, "formats/population_entry_bytes", |bytes| *bytes == 20, "20");
    checker.sourced(&formats.address_item_bytes, "formats/address_item_bytes", |bytes| *bytes == 4, "4");
    checker.sourced(&formats.colour_bits, "formats/colour_bits", |bits| *bits <= 7, "at most 7");
    checker.source(&formats.drops_late.1, "formats/drops_late");
    checker.sourced(&formats.neuron_bytes, "formats/neuron_bytes", |bytes| (1..=1 << 12).contains(bytes), "1 to 4096");
    let arithmetic = &core.arithmetic;
    checker.source(&arithmetic.delta.1, "arithmetic/delta");
    checker.source(&arithmetic.subtraction.1, "arithmetic/subtraction");
    checker.sourced(&arithmetic.expected_rate_hz, "arithmetic/expected_rate_hz", |rate| *rate >= 1, "1 or more");
    checker.sourced(
        &arithmetic.expected_deviations,
        "arithmetic/expected_deviations",
        |sigma| *sigma <= 100,
        "at most 100",
    );
    checker.require(!core.costs.is_empty(), "core/costs", || "at least one cost table is needed".into());
    for (name, table) in &core.costs {
        check_ticks(checker, name, table);
    }
}

fn check_ticks(checker: &mut Checker<'_>, name: &str, table: &SpinnakerCosts) {
    let at = |field: &str| format!("costs/{name}/{field}");
    for (field, cycles) in [
        ("synapse", &table.synapse),
        ("row", &table.row),
        ("spike", &table.spike),
        ("spike_without_row", &table.spike_without_row),
        ("ring_empty", &table.ring_empty),
        ("ring_excitatory", &table.ring_excitatory),
        ("ring_inhibitory", &table.ring_inhibitory),
        ("neuron", &table.neuron),
        ("neuron_refractory", &table.neuron_refractory),
        ("packet_out", &table.packet_out),
        ("timeline/spike_interrupt", &table.timeline.spike_interrupt),
        ("timeline/transfer_end", &table.timeline.transfer_end),
    ] {
        checker.source(&cycles.source, &at(field));
        checker.require(cycles.cycles <= 1 << 24, &at(field), || format!("`{}` has more than 2^24 cycles", at(field)));
    }
    let clock = |hertz: &u64| (1..=10_u64.pow(12)).contains(hertz);
    checker.sourced(&table.clock_hz, &at("clock_hz"), clock, "1 Hz to 1 THz");
    let bytes = &table.transfer_bytes_per_cycle;
    checker.sourced(bytes, &at("transfer_bytes_per_cycle"), |bytes| (1..=1 << 12).contains(bytes), "1 to 4096");
    for (field, value) in [
        ("hop_time_ps", &table.hop_time_ps),
        ("timeline/router_time_ps", &table.timeline.router_time_ps),
        ("timeline/router_cycle_ps", &table.timeline.router_cycle_ps),
        ("timeline/router_wait_cycles", &table.timeline.router_wait_cycles),
        ("timeline/reinjection_ps", &table.timeline.reinjection_ps),
        ("link_occupied_ps", &table.link_occupied_ps),
        ("hop_energy_fj", &table.hop_energy_fj),
        ("chip_idle_uw", &table.chip_idle_uw),
        ("core_active_uw", &table.core_active_uw),
    ] {
        checker.sourced(value, &at(field), |value| *value <= 10_u64.pow(12), "at most 10^12");
    }
    let timeline = &table.timeline;
    for (field, slots) in [
        ("timeline/receive_slots", &timeline.receive_slots),
        ("timeline/send_slots", &timeline.send_slots),
        ("timeline/link_slots", &timeline.link_slots),
        ("timeline/router_slots", &timeline.router_slots),
    ] {
        checker.sourced(slots, &at(field), |slots| (1..=1 << 20).contains(slots), "1 to 2^20");
    }
    let kept = &timeline.reinjection_packets;
    checker.sourced(kept, &at("timeline/reinjection_packets"), |kept| *kept <= 1 << 20, "at most 2^20");
    let parts = u64::from(timeline.spike_interrupt.cycles) + u64::from(timeline.transfer_end.cycles);
    checker.require(parts <= table.spike.cycles.into(), &at("spike"), || {
        format!("{parts} cycles of a spike before and after it, of {} in all", table.spike.cycles)
    });
    let without_row = table.spike_without_row.cycles;
    checker.require(timeline.spike_interrupt.cycles <= without_row, &at("spike_without_row"), || {
        format!("the interrupt of a spike takes more than {without_row} cycles")
    });
    checker.require(timeline.router_time_ps.0 <= table.hop_time_ps.0, &at("hop_time_ps"), || {
        "a router takes longer than a hop".into()
    });
}

fn check_arithmetic(checker: &mut Checker<'_>) {
    let arithmetic = &checker.model.loihi().arithmetic;
    let bits = arithmetic.decay_fraction_bits;
    checker.require((1..=16).contains(&bits), "arithmetic/decay_fraction_bits", || "must be 1 to 16".into());
    for (item, shift) in [
        ("arithmetic/weight_shift", arithmetic.weight_shift),
        ("arithmetic/threshold_shift", arithmetic.threshold_shift),
    ] {
        checker.require(shift <= 16, item, || format!("`{item}` must be at most 16"));
    }
    for (item, overflow) in [
        ("arithmetic/input_overflow", arithmetic.input_overflow),
        ("arithmetic/current_overflow", arithmetic.current_overflow),
        ("arithmetic/biased_current_overflow", arithmetic.biased_current_overflow),
    ] {
        let within = match overflow {
            Overflow::Unbounded => true,
            Overflow::Wrap(bits) | Overflow::WrapOnce(bits) => (8..=40).contains(&bits),
        };
        checker.require(within, item, || format!("`{item}` must have 8 to 40 bits"));
    }
}

fn check_costs(checker: &mut Checker<'_>, name: &str, table: &CostTable) {
    let events: [(&str, &Cost); 11] = [
        ("soma_access", &table.soma_access),
        ("soma_update", &table.soma_update),
        ("spike_out", &table.spike_out),
        ("axon_out", &table.axon_out),
        ("axon_in", &table.axon_in),
        ("synapse_dense", &table.synapse_dense),
        ("synapse_sparse", &table.synapse_sparse),
        ("synapse_shared", &table.synapse_shared),
        ("hop_east_west", &table.hop_east_west),
        ("hop_north_south", &table.hop_north_south),
        ("chip_crossing", &table.chip_crossing),
    ];
    // A second in picoseconds, a millijoule in femtojoules: larger event costs are mistakes of unit, and would overflow sums.
    let ceiling = 10_u64.pow(12);
    let by_bits = table.synapse_by_weight_bits.iter();
    let by_bits = by_bits.map(|(bits, cost)| (format!("synapse_by_weight_bits/{bits}"), cost));
    for (event, cost) in events.map(|(event, cost)| (event.to_owned(), cost)).into_iter().chain(by_bits) {
        let item = format!("costs/{name}/{event}");
        checker.source(&cost.source, &item);
        let sane = cost.energy_fj <= ceiling && cost.time_ps <= ceiling;
        checker.require(sane, &item, || format!("`{item}` exceeds 1 s or 1 mJ for one event: a mistake of unit?"));
    }
    let item = format!("costs/{name}/barrier");
    match &table.barrier {
        Barrier::Table { entries, source, .. } => {
            checker.source(source, &item);
            let ascending = !entries.is_empty() && entries.windows(2).all(|pair| pair[0].0 < pair[1].0);
            checker.require(ascending, &item, || format!("`{item}` must be a list with ascending router counts"));
        }
        Barrier::Linear { from, to, source, .. } => {
            checker.source(source, &item);
            let rising = from.0 < to.0 && from.1 <= to.1;
            checker.require(rising, &item, || format!("`{item}` must rise from its first to its second point"));
        }
    }
    if let Some(power) = &table.static_power {
        checker.source(&power.source, &format!("costs/{name}/static_power"));
    }
    if let Some(network) = &table.network {
        let item = format!("costs/{name}/network");
        checker.source(&network.source, &item);
        for (field, value) in [
            ("meshes", network.meshes),
            ("link_messages", network.link_messages),
            ("send_messages", network.send_messages),
            ("receive_messages", network.receive_messages),
            ("channels", network.channels),
            ("buffer_flits", network.buffer_flits),
            ("message_flits", network.message_flits),
        ] {
            let sane = (1..=1 << 16).contains(&value);
            checker.require(sane, &item, || format!("`{item}/{field}` must be 1 to 65,536"));
        }
        let few = network.meshes <= 16 && network.channels <= 64;
        checker.require(few, &item, || format!("`{item}` has more than 16 meshes or 64 channels"));
        let occupied =
            [network.east_west_occupied_ps, network.north_south_occupied_ps, network.chip_crossing_occupied_ps];
        let sane = occupied.iter().all(|ps| *ps <= ceiling) && (1..=ceiling).contains(&network.cycle_ps);
        checker.require(sane, &item, || format!("`{item}` has a time of more than 1 s, or a cycle of 0"));
    }
    debug_assert!(Basis::Exact < Basis::Assumed);
}

impl Target {
    /// Joins a target file with its hardware model.
    ///
    /// # Errors
    /// `SNN0110`, one diagnostic for each thing wrong.
    pub fn new(file: TargetFile, model: HardwareModel) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut require = |holds: bool, item: &str, message: String| {
            if !holds {
                let message = format!("target `{}`: {message}", file.name);
                problems.push(Diagnostic::error(code::HARDWARE_MODEL, message).at(item));
            }
        };
        require(file.schema == 1, "schema", format!("schema {} is not known; this version reads 1", file.schema));
        let grid = file.chips;
        require(
            (1..=256).contains(&grid.columns) && (1..=256).contains(&grid.rows),
            "chips",
            "the chip grid must have 1 to 256 columns and rows".into(),
        );
        let tables: Vec<&str> = match &model.core {
            CoreKind::Loihi(_) => model.costs.keys().map(String::as_str).collect(),
            CoreKind::Spinnaker(core) => core.costs.keys().map(String::as_str).collect(),
        };
        require(
            tables.contains(&file.costs.as_str()),
            "costs",
            format!("hardware model `{}` has no cost table `{}`; it has {}", model.name, file.costs, tables.join(", ")),
        );
        let has_weights = match &model.core {
            CoreKind::Loihi(core) => {
                core.formats.weight_codes.0.iter().any(|code| code.bits == file.defaults.weight_bits)
            }
            CoreKind::Spinnaker(core) => core.formats.weight_bits.0 == file.defaults.weight_bits,
        };
        require(
            has_weights,
            "defaults/weight_bits",
            format!("the hardware model has no weights of {} bits", file.defaults.weight_bits),
        );
        match (model.spinnaker(), &file.machine) {
            (Some(_), None) => require(false, "machine", "a machine with multicast routers needs its shape".into()),
            (Some(_), Some(shape)) => {
                let side = |chips: u32, wraps: bool| {
                    if wraps { chips.is_multiple_of(12) } else { chips > 12 && chips % 12 == 4 }
                };
                let fits = match shape {
                    MachineShape::Rectangle { .. } => true,
                    MachineShape::Board => (grid.columns, grid.rows) == (8, 8),
                    MachineShape::Triads { wraps } => side(grid.columns, wraps.0) && side(grid.rows, wraps.1),
                };
                let wanted = "8 by 8 for a board; multiples of 12 for triads, and 4 more where they do not wrap";
                require(fits, "chips", format!("the chip grid does not suit the machine's shape: {wanted}"));
                let inside = |x: u32, y: u32| x < grid.columns && y < grid.rows;
                for (x, y) in &file.dead_chips {
                    require(inside(*x, *y), "dead_chips", format!("there is no chip ({x}, {y})"));
                }
                for (x, y, link) in &file.dead_links {
                    let there = inside(*x, *y) && *link < 6;
                    require(there, "dead_links", format!("there is no link {link} of chip ({x}, {y})"));
                }
            }
            (None, _) => {
                let has_none = file.machine.is_none() && file.dead_chips.is_empty() && file.dead_links.is_empty();
                let message = "`machine`, `dead_chips` and `dead_links` are for machines with multicast routers";
                require(has_none, "machine", message.into());
            }
        }
        let mesh = &model.mesh;
        let cores = [grid.columns, grid.rows, mesh.columns.0, mesh.rows.0, mesh.cores_per_router.0]
            .iter()
            .try_fold(1_u32, |product, factor| product.checked_mul(*factor));
        require(cores.is_some_and(|cores| cores <= 1 << 24), "chips", "the target has more than 2^24 cores".into());
        for core in &file.dead_cores {
            require(cores.is_none_or(|cores| *core < cores), "dead_cores", format!("there is no core {core}"));
        }
        let unique = file.dead_cores.windows(2).all(|pair| pair[0] < pair[1]);
        require(unique, "dead_cores", "dead cores must be listed in ascending order, each once".into());
        problems.into_result(()).map(|_| Self { file, model })
    }

    /// The cost table in use.
    pub fn costs(&self) -> &CostTable {
        &self.model.costs[&self.file.costs]
    }
}
