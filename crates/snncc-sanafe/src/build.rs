//! From architecture and mapped network to a network in a chip's integers, a hardware model and a target.
//!
//! A potential of SANA-FE is `v / 64` here: its LIF model drops what is smaller when it leaks, toward zero, which is what the
//! voltage of a Loihi-like core does. The current of a step is forgotten in the next (`decay_u` takes all of it).

use crate::architecture::{Architecture, EventCost, SomaModel};
use crate::description::{Description, Group, Neuron, refusal};
use snncc_chip::{
    ArithmeticProfile, Barrier, Basis, ChipGrid, CoreKind, Cost, CostTable, Defaults, ExponentRule, HardwareModel,
    Limit, LoihiCore, LoihiFormats, LoihiLimits, Mesh, NetworkTiming, Overflow, Routing, Sourced, TargetFile,
    UpdateRule, WeightCode,
};
use snncc_ids::{Diagnostic, Diagnostics, IdVec, NodeId, code};
use snncc_ir::network::{
    Compartments, Edge, MappingRequest, Matrix, NetworkNode, Pin, RunDefaults, SynapseDelay, Synapses,
};
use snncc_ir::{Calibration, Network, Node, Param, ResetModel, SignMode};
use std::collections::{BTreeMap, BTreeSet};

/// Units of a potential of 1.
const UNITS: f64 = 64.0;
/// Fraction bits of a decay.
const DECAY_BITS: u8 = 12;
/// Width without sign of voltages, currents and biases.
const STATE_BITS: u8 = 26;
/// Width of a weight of the first synapse unit; each further unit has one bit more, which tells them apart in the cost table.
const WEIGHT_BITS: u8 = 20;
/// Most synapse units in use.
const MOST_UNITS: usize = 9;

/// A network with the target it is mapped to.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The network, its neurons pinned to cores.
    pub network: Network,
    /// The architecture as a hardware model.
    pub model: HardwareModel,
    /// A target of one such chip.
    pub target: TargetFile,
    /// What is not exactly as SANA-FE has it.
    pub warnings: Vec<Diagnostic>,
}

/// What was changed on the way, to be told once.
#[derive(Default)]
struct Changes {
    rounded: u64,
    largest_error: f64,
    leaks: u64,
    empty: u64,
}

impl Changes {
    /// A value in whole units.
    fn units(&mut self, value: f64) -> f64 {
        let (exact, whole) = (value * UNITS, (value * UNITS).round());
        if exact != whole {
            self.rounded += 1;
            self.largest_error = self.largest_error.max((exact - whole).abs() / UNITS);
        }
        whole
    }

    fn warnings(&self) -> Vec<Diagnostic> {
        let mut warnings = Vec::new();
        let mut warn = |message: String| warnings.push(Diagnostic::warning(code::SANAFE_DIFFERENCE, message));
        if self.rounded > 0 {
            let (count, error) = (self.rounded, self.largest_error);
            warn(format!(
                "{count} weights, biases or potentials are no multiples of 1/64 and were rounded, by {error} at most"
            ));
        }
        if self.leaks > 0 {
            let count = self.leaks;
            warn(format!("{count} neurons leak by a part that is no multiple of 1/4096: the nearest is taken"));
        }
        if self.empty > 0 {
            let count = self.empty;
            warn(format!("{count} connections of weight 0 are left out; SANA-FE counts them as synaptic events"));
        }
        warnings
    }
}

/// Makes a network, a hardware model named `model_name` and a target named `target_name`, which names the model's file
/// `model_file`.
///
/// # Errors
/// `SNN0205` for what the emulator has no model of, `SNN0114` for neurons without a core, `SNN0601` for values that are too large.
pub fn build(
    architecture: &Architecture,
    description: &Description,
    (target_name, model_name, model_file): (&str, &str, &str),
) -> Result<Converted, Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut changes = Changes::default();
    let soma = used_soma(architecture, description, &mut problems);
    let updated = update_rule(description, &mut problems);
    let mut nodes: IdVec<NodeId, NetworkNode> = IdVec::new();
    let mut names = BTreeSet::new();
    let mut unique = |wish: String| {
        let wish = wish.replace('/', ".");
        let mut name = wish.clone();
        let mut count = 1;
        while !names.insert(name.clone()) {
            count += 1;
            name = format!("{wish} {count}");
        }
        name
    };
    let mut pins = Vec::new();
    let mut groups = Vec::new();
    for group in &description.groups {
        let name = unique(group.name.clone());
        pins.extend(pins_of(group, &name, &mut problems));
        let compartments = compartments(group, &mut changes, &mut problems);
        groups.push(nodes.push(NetworkNode { name, node: Node::Compartments(compartments) }));
    }
    let mut edges = Vec::new();
    let mut units: BTreeMap<u16, u8> = BTreeMap::new();
    for group in &description.groups {
        for neuron in &group.neurons {
            let next = units.len() as u8;
            units.entry(neuron.synapse).or_insert(next);
        }
    }
    if units.len() > MOST_UNITS {
        let message = format!("{} synapse units in use; at most {MOST_UNITS} are modelled", units.len());
        problems.push(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message));
    }
    for (&(from, to), connections) in &description.connections {
        let (source, target) = (&description.groups[from], &description.groups[to]);
        for ((unit, _), layer) in layers(target, connections, &mut changes, &mut problems) {
            let synapses = Synapses {
                weight: Matrix::Sparse {
                    shape: (target.neurons.len(), source.neurons.len()),
                    rows: layer.rows,
                    columns: layer.columns,
                    values: layer.values,
                },
                exponent: 0,
                weight_bits: WEIGHT_BITS + units[&unit],
                sign_mode: SignMode::Mixed,
                delay: SynapseDelay::None,
            };
            let name = unique(format!("{}->{}", source.name, target.name));
            let id = nodes.push(NetworkNode { name, node: Node::Synapses(synapses) });
            edges.push(Edge { source: groups[from], target: id });
            edges.push(Edge { source: id, target: groups[to] });
        }
    }
    for at in outputs(description) {
        let shape = vec![description.groups[at].neurons.len()];
        let name = unique(format!("{} spikes", description.groups[at].name));
        let id = nodes.push(NetworkNode { name, node: Node::Output { shape } });
        edges.push(Edge { source: groups[at], target: id });
    }
    if problems.has_errors() {
        return Err(problems);
    }
    let mapping = MappingRequest { pins, ..MappingRequest::default() };
    let (run, calibration) = (RunDefaults::default(), Calibration::default());
    let network = Network { dt_s: None, nodes, edges, mapping, run, calibration };
    let model = hardware_model(architecture, soma, updated, &units, model_name);
    let target = TargetFile {
        schema: 1,
        name: target_name.to_owned(),
        about: format!(
            "the architecture `{}` of SANA-FE, with the mapping of `{}`",
            architecture.name, description.name
        ),
        hardware: model_file.to_owned(),
        chips: ChipGrid { columns: 1, rows: 1 },
        machine: None,
        dead_cores: Vec::new(),
        dead_chips: Vec::new(),
        dead_links: Vec::new(),
        costs: COSTS.to_owned(),
        defaults: Defaults { weight_bits: WEIGHT_BITS, seed: 1 },
    };
    Ok(Converted { network, model, target, warnings: changes.warnings() })
}

/// The soma unit of all neurons, in cost: the emulator has one cost for all compartments.
fn used_soma(architecture: &Architecture, description: &Description, problems: &mut Diagnostics) -> usize {
    let mut first: Option<usize> = None;
    for group in &description.groups {
        for at in group.neurons.iter().map(|neuron| usize::from(neuron.soma)).collect::<BTreeSet<_>>() {
            let Some(soma) = architecture.somas.get(at) else {
                problems.push(refusal(group.place, "the architecture has no soma unit"));
                continue;
            };
            if let SomaModel::Other(model) = &soma.model {
                let message = format!(
                    "neurons of `{}` are computed by `{}`, whose model is `{model}`; only leaky_integrate_fire is modelled",
                    group.name, soma.name
                );
                problems.push(refusal(group.place, message));
            }
            let one = &architecture.somas[*first.get_or_insert(at)];
            if (one.access, one.update, one.spike) != (soma.access, soma.update, soma.spike) {
                let message = format!("soma units `{}` and `{}` differ in cost: neurons have one", one.name, soma.name);
                problems.push(refusal(group.place, message));
            }
            if architecture.synapses.is_empty() {
                problems.push(refusal(group.place, "the architecture has no synapse unit"));
            }
        }
    }
    first.unwrap_or(0)
}

/// A neuron with a bias is updated in any case.
fn update_rule(description: &Description, problems: &mut Diagnostics) -> UpdateRule {
    let neurons = || description.groups.iter().flat_map(|group| &group.neurons);
    if !neurons().any(|neuron| neuron.force_update) {
        return UpdateRule::ActiveVoltage;
    }
    let lazy = |neuron: &Neuron| !neuron.force_update && neuron.bias == 0.0;
    if let Some(group) = description.groups.iter().find(|group| group.neurons.iter().any(lazy)) {
        let message = format!("neurons of `{}` are not updated in each step, those of others are", group.name);
        problems.push(refusal(group.place, message).help("set `force_update` for all neurons or for none"));
    }
    UpdateRule::Always
}

/// Pins of a group: one for each run of neurons on a core.
fn pins_of(group: &Group, name: &str, problems: &mut Diagnostics) -> Vec<Pin> {
    let unmapped = group.neurons.iter().filter(|neuron| neuron.core.is_none()).count();
    if unmapped > 0 {
        let message = format!("{unmapped} neurons of `{}` are not mapped to a core", group.name);
        problems.push(crate::yaml::problem(group.place, message));
    }
    let mut pins: Vec<Pin> = Vec::new();
    for (at, neuron) in group.neurons.iter().enumerate() {
        let Some(core) = neuron.core else { continue };
        match pins.last_mut() {
            Some(Pin { neurons: Some((first, count)), core: last, .. })
                if *last == core && *first + *count == at as u32 =>
            {
                *count += 1;
            }
            _ => pins.push(Pin { population: name.to_owned(), neurons: Some((at as u32, 1)), core }),
        }
    }
    pins
}

/// One value for all if they are equal.
fn param(values: Vec<i64>) -> Param<i64> {
    match values.split_first() {
        Some((first, rest)) if rest.iter().all(|value| value == first) => Param::Uniform(*first),
        _ => Param::PerNeuron(values),
    }
}

fn compartments(group: &Group, changes: &mut Changes, problems: &mut Diagnostics) -> Compartments {
    let whole = f64::from(1_u32 << DECAY_BITS);
    let limit = f64::from(1_u32 << STATE_BITS);
    let (mut decay_v, mut thresholds, mut biases, mut potentials) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut refused = BTreeSet::new();
    for neuron in &group.neurons {
        let kept = neuron.leak * whole;
        // Files have 4095/4096 with a few digits.
        changes.leaks += u64::from((kept - kept.round()).abs() > 1e-12 * whole);
        if !(0.0..=1.0).contains(&neuron.leak) {
            refused.insert("`leak_decay` must lie between 0 and 1");
        }
        if neuron.input_decay != 0.0 {
            refused.insert("only `input_decay: 0` is modelled");
        }
        if neuron.potential != 0.0 && neuron.leak != 1.0 {
            refused.insert("an initial potential is modelled only without leak");
        }
        decay_v.push((whole - kept.round().clamp(0.0, whole)) as i64);
        // The voltage is whole: it exceeds the threshold if it exceeds the whole number below.
        let values = [(neuron.threshold * UNITS).floor(), changes.units(neuron.bias), changes.units(neuron.potential)];
        if values.iter().any(|value| value.abs() >= limit) || values[0] < 0.0 {
            refused.insert("thresholds must lie between 0 and 2^20, biases and potentials between their negatives");
        }
        thresholds.push(values[0] as i64);
        biases.push(values[1] as i64);
        potentials.push(values[2] as i64);
    }
    for message in refused {
        problems.push(refusal(group.place, format!("group `{}`: {message}", group.name)));
    }
    Compartments {
        shape: vec![group.neurons.len()],
        decay_u: Param::Uniform(1 << DECAY_BITS),
        decay_v: param(decay_v),
        threshold_mantissa: param(thresholds),
        bias_mantissa: param(biases),
        bias_exponent: Param::Uniform(0),
        refractory: Param::Uniform(1),
        v_min_exponent: Some(STATE_BITS),
        v_max_exponent: Some(0),
        u_initial: Param::Uniform(0),
        v_initial: param(potentials),
        reset: ResetModel::Lif,
        noise: None,
    }
}

/// Synapses of one pair of groups that one matrix can hold.
#[derive(Default)]
struct Layer {
    rows: Vec<u32>,
    columns: Vec<u32>,
    values: Vec<i32>,
}

/// Connections by the unit of their target, and by how many came before between the same neurons: a matrix holds each pair once.
fn layers(
    target: &Group,
    connections: &[crate::description::Connection],
    changes: &mut Changes,
    problems: &mut Diagnostics,
) -> BTreeMap<(u16, u32), Layer> {
    let largest = f64::from((1_u32 << (WEIGHT_BITS - 1)) - 1);
    let mut order: Vec<usize> = (0..connections.len()).collect();
    order.sort_by_key(|at| (connections[*at].target, connections[*at].source));
    let mut layers: BTreeMap<(u16, u32), Layer> = BTreeMap::new();
    let (mut last, mut repeats, mut too_large) = (None, 0, None);
    for at in order {
        let connection = connections[at];
        let pair = (connection.target, connection.source);
        repeats = if last == Some(pair) { repeats + 1 } else { 0 };
        last = Some(pair);
        let units = changes.units(connection.weight);
        changes.empty += u64::from(units == 0.0);
        if units.abs() > largest {
            too_large = Some(connection.weight);
        }
        let layer = layers.entry((target.neurons[connection.target as usize].synapse, repeats)).or_default();
        layer.rows.push(connection.target);
        layer.columns.push(connection.source);
        layer.values.push(units as i32);
    }
    if let Some(weight) = too_large {
        let message = format!("the weight {weight} onto `{}`: at most {} is modelled", target.name, largest / UNITS);
        let place = target.place;
        let diagnostic = Diagnostic::error(code::VALUE_OVERFLOWS, message);
        problems.push(diagnostic.span(place.start as usize, place.end as usize));
    }
    layers
}

/// Groups whose spikes are logged; otherwise those that send to no other.
fn outputs(description: &Description) -> Vec<usize> {
    let all = 0..description.groups.len();
    let logged: Vec<usize> =
        all.clone().filter(|at| description.groups[*at].neurons.iter().any(|neuron| neuron.log_spikes)).collect();
    if !logged.is_empty() {
        return logged;
    }
    let sends = |at: &usize| description.connections.keys().any(|(from, to)| from == at && to != at);
    let last: Vec<usize> = all.clone().filter(|at| !sends(at)).collect();
    if last.is_empty() { all.collect() } else { last }
}

/// Name of the cost table.
const COSTS: &str = "sanafe";
/// Key of the source of what the file says.
const FILE: &str = "architecture";
/// Key of the source of what it does not say.
const OURS: &str = "reader";

fn hardware_model(
    architecture: &Architecture,
    soma: usize,
    updated: UpdateRule,
    units: &BTreeMap<u16, u8>,
    name: &str,
) -> HardwareModel {
    fn file<T>(value: T) -> Sourced<T> {
        Sourced(value, FILE.to_owned(), Basis::Modelled)
    }
    fn ours<T>(value: T) -> Sourced<T> {
        Sourced(value, OURS.to_owned(), Basis::Assumed)
    }
    let cost = |event: EventCost| Cost {
        energy_fj: event.energy_fj,
        time_ps: event.time_ps,
        source: FILE.to_owned(),
        basis: Basis::Modelled,
    };
    let unlimited = || ours(Limit::Unlimited);
    let by_unit: BTreeMap<u8, Cost> = units
        .iter()
        .filter_map(|(unit, bits)| {
            Some((WEIGHT_BITS + bits, cost(architecture.synapses.get(usize::from(*unit))?.cost)))
        })
        .collect();
    let synapse = architecture.synapses.first().map_or(EventCost::default(), |unit| unit.cost);
    let soma = &architecture.somas[soma];
    let costs = CostTable {
        about: format!("the costs of `{}`, on the accounting of SANA-FE", architecture.name),
        soma_access: cost(soma.access),
        soma_update: cost(soma.update),
        spike_out: cost(soma.spike),
        axon_out: cost(architecture.axon_out),
        axon_in: cost(architecture.axon_in),
        synapse_dense: cost(synapse),
        synapse_sparse: cost(synapse),
        synapse_shared: cost(synapse),
        synapse_by_weight_bits: by_unit,
        hop_east_west: cost(architecture.east_west),
        hop_north_south: cost(architecture.north_south),
        chip_crossing: Cost { source: OURS.to_owned(), basis: Basis::Assumed, ..cost(EventCost::default()) },
        barrier: Barrier::Table {
            entries: architecture.barrier.clone(),
            source: FILE.to_owned(),
            basis: Basis::Modelled,
        },
        updated,
        static_power: None,
        network: Some(NetworkTiming {
            meshes: 1,
            east_west_occupied_ps: architecture.east_west.time_ps,
            north_south_occupied_ps: architecture.north_south.time_ps,
            chip_crossing_occupied_ps: 0,
            link_messages: architecture.link_buffer_messages.unwrap_or(16).clamp(1, 1 << 16),
            send_messages: 1,
            receive_messages: 16,
            cycle_ps: 1_000,
            channels: 1,
            buffer_flits: 8,
            message_flits: 1,
            source: OURS.to_owned(),
            basis: Basis::Assumed,
        }),
    };
    let weight_codes = (0..MOST_UNITS as u8).map(|unit| WeightCode { bits: WEIGHT_BITS + unit, code: 8 + unit });
    let state = 1_i64 << STATE_BITS;
    HardwareModel {
        schema: 1,
        name: name.to_owned(),
        about: format!(
            "The mesh and costs of the SANA-FE architecture `{}`, without limits: a mapping is given.",
            architecture.name
        ),
        sources: BTreeMap::from([
            (FILE.to_owned(), format!("the architecture file of `{}`", architecture.name)),
            (
                OURS.to_owned(),
                "wide enough for the potentials of SANA-FE, in units of 1/64; no limits; routers and ports as assumed"
                    .to_owned(),
            ),
        ]),
        mesh: Mesh {
            columns: file(architecture.columns),
            rows: file(architecture.rows),
            cores_per_router: file(architecture.cores_per_tile),
            routing: Routing::XFirst,
        },
        core: CoreKind::Loihi(Box::new(LoihiCore {
            limits: LoihiLimits {
                compartments: unlimited(),
                in_axons: unlimited(),
                out_axons: unlimited(),
                synapse_words: unlimited(),
                compartment_configs: unlimited(),
                threshold_configs: unlimited(),
                synapse_formats: unlimited(),
                accumulator_slots: unlimited(),
            },
            formats: LoihiFormats {
                synapse_word_bits: ours(64),
                block_format_bits: ours(8),
                block_count_bits: ours(6),
                weight_codes: ours(weight_codes.collect()),
                weight_magnitude_bits: ours(WEIGHT_BITS - 1),
                weight_exponent: ours((0, 0)),
                index_bits: ours(vec![0, 6, 8, 10, 12, 16, 24]),
                delay_bits: ours(0),
                delay_slots_reserved: ours(1),
                decay_max: ours(1 << DECAY_BITS),
                threshold_mantissa_max: ours(state),
                bias_mantissa: ours((-state, state)),
                bias_exponent: ours((0, 0)),
                refractory_max: ours(1),
                v_min_exponent_max: ours(STATE_BITS),
                v_max_exponent_max: ours(0),
                clip_required: ours(true),
                state_bits: ours(STATE_BITS),
                payload_max: ours(1),
            },
            arithmetic: ArithmeticProfile {
                decay_fraction_bits: DECAY_BITS,
                decay_u_offset: 0,
                decay_v_offset: 0,
                weight_shift: 0,
                exponent_rule: ExponentRule::PerWeight,
                effective_weight_clip_bits: None,
                input_overflow: Overflow::Wrap(STATE_BITS),
                current_overflow: Overflow::Wrap(STATE_BITS),
                biased_current_overflow: Overflow::Wrap(STATE_BITS),
                threshold_shift: 0,
                v_max_base_bits: STATE_BITS,
                v_max_bits_per_unit: 0,
            },
        })),
        costs: BTreeMap::from([(COSTS.to_owned(), costs)]),
    }
}
