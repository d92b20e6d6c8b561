//! Architectures: a mesh of equal tiles with equal cores, and what each event costs.

use crate::yaml::{self, Node, Value, problem};
use snncc_ids::{Diagnostic, Diagnostics, code};

/// Energy and time of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventCost {
    pub(crate) energy_fj: u64,
    pub(crate) time_ps: u64,
}

/// What computes neurons of a soma unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SomaModel {
    Lif,
    /// Any other, by name.
    Other(String),
}

/// A soma unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Soma {
    pub(crate) name: String,
    pub(crate) model: SomaModel,
    pub(crate) access: EventCost,
    pub(crate) update: EventCost,
    pub(crate) spike: EventCost,
}

/// A synapse unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SynapseUnit {
    pub(crate) name: String,
    pub(crate) cost: EventCost,
}

/// A tile, with one of its equal cores.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tile {
    cores: u32,
    east_west: EventCost,
    north_south: EventCost,
    core: Core,
}

/// Units of a core. A unit whose name is a range stands for all of them: they cost the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Core {
    axon_in: EventCost,
    axon_out: EventCost,
    somas: Vec<Soma>,
    synapses: Vec<SynapseUnit>,
    dendrites: Vec<String>,
}

/// An architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture {
    pub(crate) name: String,
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    pub(crate) cores_per_tile: u32,
    /// Messages that a link holds, where the file says it.
    pub(crate) link_buffer_messages: Option<u32>,
    /// `(tiles in use, time_ps)`, ascending.
    pub(crate) barrier: Vec<(u32, u64)>,
    pub(crate) east_west: EventCost,
    pub(crate) north_south: EventCost,
    pub(crate) axon_in: EventCost,
    pub(crate) axon_out: EventCost,
    pub(crate) somas: Vec<Soma>,
    pub(crate) synapses: Vec<SynapseUnit>,
    pub(crate) dendrites: Vec<String>,
}

/// Most cores of a mesh that is read.
const MOST_CORES: u64 = 1 << 20;

impl Architecture {
    /// Reads an architecture file (YAML). Warnings come with it.
    ///
    /// # Errors
    /// `SNN0114` for a file that is damaged, `SNN0205` for what the emulator has no model of. Spans are bytes of the text.
    pub fn read(text: &str) -> Result<(Self, Vec<Diagnostic>), Diagnostics> {
        let root = yaml::parse(text)?;
        let mut reader = Reader { problems: Diagnostics::new() };
        let Some(chip) = root.get("architecture") else {
            return Err(problem(root.place, "there is no section `architecture`").into());
        };
        let read = reader.chip(chip);
        match read {
            Some(architecture) => reader.problems.into_result(architecture),
            None => Err(reader.problems),
        }
    }

    /// Columns and rows of the mesh.
    pub fn mesh(&self) -> (u32, u32) {
        (self.columns, self.rows)
    }

    /// The core with this number on this tile, in the numbering of targets: tiles count down the columns, routers of a target
    /// along the rows.
    pub(crate) fn core_number(&self, tile: u32, core: u32) -> Option<u32> {
        let (x, y) = (tile / self.rows, tile % self.rows);
        (x < self.columns && core < self.cores_per_tile).then(|| (y * self.columns + x) * self.cores_per_tile + core)
    }
}

/// A name that may be a range: `core[0..3]` is 4 of them.
fn instances(name: &str) -> Option<(&str, u32)> {
    let Some((base, range)) = name.split_once('[') else { return Some((name, 1)) };
    let (first, last) = range.strip_suffix(']')?.split_once("..")?;
    let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first == 0).then_some(())?;
    Some((base, last.checked_add(1)?))
}

struct Reader {
    problems: Diagnostics,
}

impl Reader {
    /// A section that must be there.
    fn section<'a>(&mut self, node: &'a Node, name: &str) -> Option<&'a Node> {
        let found = node.get(name);
        if found.is_none() {
            self.problems.push(problem(node.place, format!("there is no `{name}` here")));
        }
        found
    }

    fn refuse(&mut self, node: &Node, message: impl Into<String>) {
        let span = node.place;
        let refusal = Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message);
        self.problems.push(refusal.span(span.start as usize, span.end as usize));
    }

    fn number(&mut self, node: &Node) -> Option<f64> {
        let value = node.text().and_then(|text| text.parse::<f64>().ok()).filter(|value| value.is_finite());
        if value.is_none() {
            self.problems.push(problem(node.place, "this should be a number"));
        }
        value
    }

    fn whole(&mut self, node: &Node) -> Option<u32> {
        let value = node.text().and_then(|text| text.parse::<u32>().ok());
        if value.is_none() {
            self.problems.push(problem(node.place, "this should be a whole number of at most 32 bits"));
        }
        value
    }

    /// A quantity in whole parts of a unit: femtojoules or picoseconds.
    fn parts(&mut self, node: &Node, parts: f64, unit: &str) -> Option<u64> {
        let value = self.number(node)? * parts;
        // One event of a second or a millijoule is a mistake of unit.
        if !(0.0..=1e12).contains(&value) {
            self.problems.push(problem(node.place, format!("this must lie between 0 and 10^12 {unit}")));
            return None;
        }
        let whole = value.round();
        if (value - whole).abs() > 1e-6 {
            let message = format!("{value} {unit} are rounded to {whole}: costs are whole {unit}");
            let place = node.place;
            self.problems.push(
                Diagnostic::warning(code::SANAFE_DIFFERENCE, message).span(place.start as usize, place.end as usize),
            );
        }
        Some(whole as u64)
    }

    /// The attributes of a unit, of which all must be known: `Some` value for each of `keys`.
    fn attributes<'a>(&mut self, unit: &'a Node, keys: &[&str]) -> Vec<Option<&'a Node>> {
        let mut found = vec![None; keys.len()];
        let entries = unit.get("attributes").map_or(Some(Vec::new()), Node::entries);
        let Some(entries) = entries else {
            self.problems.push(problem(unit.place, "`attributes` should be a map"));
            return found;
        };
        for (key, value) in entries {
            match keys.iter().position(|known| key.text() == Some(known)) {
                Some(at) => found[at] = Some(value),
                None => {
                    let name = key.text().unwrap_or("this");
                    self.refuse(key, format!("the attribute `{name}` is not modelled"));
                }
            }
        }
        found
    }

    fn energy_and_time(&mut self, energy: Option<&Node>, time: Option<&Node>) -> EventCost {
        EventCost {
            energy_fj: energy.and_then(|node| self.parts(node, 1e15, "fJ")).unwrap_or(0),
            time_ps: time.and_then(|node| self.parts(node, 1e12, "ps")).unwrap_or(0),
        }
    }

    fn name<'a>(&mut self, node: &'a Node) -> Option<(&'a str, u32)> {
        let name = self.section(node, "name")?;
        let read = name.text().and_then(instances);
        if read.is_none() {
            self.problems.push(problem(name.place, "this should be a name, or a range such as `name[0..3]`"));
        }
        read
    }

    fn chip(&mut self, chip: &Node) -> Option<Architecture> {
        let keys = ["topology", "width", "height", "link_buffer_size", "sync_model", "latency_sync"];
        let found = self.attributes(chip, &keys);
        let &[topology, width, height, buffer, sync, latency] = &found[..] else {
            unreachable!("bug in snncc: as many values as keys")
        };
        if let Some(topology) = topology.filter(|topology| topology.text() != Some("mesh")) {
            self.refuse(topology, "only the topology `mesh` is modelled");
        }
        let (columns, rows) = match (width, height) {
            (Some(width), Some(height)) => (self.whole(width)?, self.whole(height)?),
            _ => {
                self.problems.push(problem(chip.place, "the attributes `width` and `height` of the mesh are missing"));
                return None;
            }
        };
        let tiles = self.tiles(chip, columns, rows)?;
        let link_buffer_messages = buffer.and_then(|buffer| self.whole(buffer));
        let barrier = self.barrier(chip, sync, latency)?;
        Some(Architecture {
            name: chip.get("name").and_then(Node::text).unwrap_or("architecture").to_owned(),
            columns,
            rows,
            cores_per_tile: tiles.cores,
            link_buffer_messages,
            barrier,
            east_west: tiles.east_west,
            north_south: tiles.north_south,
            axon_in: tiles.core.axon_in,
            axon_out: tiles.core.axon_out,
            somas: tiles.core.somas,
            synapses: tiles.core.synapses,
            dendrites: tiles.core.dendrites,
        })
    }

    fn barrier(&mut self, chip: &Node, sync: Option<&Node>, latency: Option<&Node>) -> Option<Vec<(u32, u64)>> {
        let Some(latency) = latency else { return Some(vec![(1, 0)]) };
        match (sync.and_then(Node::text), &latency.value) {
            (None | Some("fixed"), Value::Scalar(_)) => Some(vec![(1, self.parts(latency, 1e12, "ps")?)]),
            (Some("table"), Value::Map(entries)) => {
                let mut table = Vec::new();
                for (tiles, time) in entries {
                    table.push((self.whole(tiles)?, self.parts(time, 1e12, "ps")?));
                }
                table.sort_unstable();
                if table.is_empty() || table.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                    self.problems.push(problem(latency.place, "a table needs entries, each number of tiles once"));
                    return None;
                }
                Some(table)
            }
            _ => {
                let place = sync.unwrap_or(chip).place;
                let message = "`sync_model` must be `fixed` with one time, or `table` with a map from tiles to times";
                self.problems.push(problem(place, message));
                None
            }
        }
    }

    /// All tiles of the mesh as one, if they are equal.
    fn tiles(&mut self, chip: &Node, columns: u32, rows: u32) -> Option<Tile> {
        let section = self.section(chip, "tile")?;
        let nodes = section.list().unwrap_or(std::slice::from_ref(section));
        let mut count = 0_u64;
        let mut one: Option<Tile> = None;
        for node in nodes {
            let (_, instances) = self.name(node)?;
            count += u64::from(instances);
            let tile = self.tile(node)?;
            match &one {
                Some(first) if *first != tile => self.refuse(node, "tiles that differ are not modelled"),
                Some(_) => {}
                None => one = Some(tile),
            }
        }
        let Some(tile) = one else {
            self.problems.push(problem(section.place, "there are no tiles"));
            return None;
        };
        let places = u64::from(columns) * u64::from(rows);
        if count != places {
            self.problems.push(problem(section.place, format!("{count} tiles for a mesh of {columns} by {rows}")));
            return None;
        }
        if places.saturating_mul(u64::from(tile.cores)) > MOST_CORES || columns > 1 << 12 || rows > 1 << 12 {
            self.refuse(section, format!("{places} tiles with {} cores each are more than 2^20 cores", tile.cores));
            return None;
        }
        Some(tile)
    }

    fn tile(&mut self, tile: &Node) -> Option<Tile> {
        let keys = [
            "energy_north_hop",
            "latency_north_hop",
            "energy_south_hop",
            "latency_south_hop",
            "energy_east_hop",
            "latency_east_hop",
            "energy_west_hop",
            "latency_west_hop",
        ];
        let found = self.attributes(tile, &keys);
        let mut hops = Vec::new();
        for pair in found.chunks(2) {
            hops.push(self.energy_and_time(pair[0], pair[1]));
        }
        let (north, south, east, west) = (hops[0], hops[1], hops[2], hops[3]);
        if north != south || east != west {
            self.refuse(tile, "hops that cost more in one direction than in the opposite one are not modelled");
        }
        let section = self.section(tile, "core")?;
        let nodes = section.list().unwrap_or(std::slice::from_ref(section));
        let (mut cores, mut one) = (0_u32, None);
        for node in nodes {
            let (_, instances) = self.name(node)?;
            cores = cores.saturating_add(instances);
            let core = self.core(node)?;
            match &one {
                Some(first) if *first != core => self.refuse(node, "cores that differ are not modelled"),
                Some(_) => {}
                None => one = Some(core),
            }
        }
        let Some(core) = one else {
            self.problems.push(problem(section.place, "there are no cores"));
            return None;
        };
        if cores > 1 << 12 {
            self.refuse(section, "more than 4096 cores on a tile");
            return None;
        }
        Some(Tile { cores, east_west: east, north_south: north, core })
    }

    fn core(&mut self, core: &Node) -> Option<Core> {
        let keys = ["buffer_position", "buffer_inside_unit", "max_neurons_supported"];
        let found = self.attributes(core, &keys);
        if let Some(node) = found[0].filter(|node| node.text() != Some("soma")) {
            self.refuse(node, "only `buffer_position: soma` is modelled: a step's input waits before the soma");
        }
        if let Some(node) = found[1].filter(|node| node.text() != Some("false")) {
            self.refuse(node, "only `buffer_inside_unit: false` is modelled");
        }
        // Cores have no limits in the model that is made: the mapping is given.
        let axon_in = self.one_unit(core, "axon_in", ["energy_message_in", "latency_message_in"])?;
        let axon_out = self.one_unit(core, "axon_out", ["energy_message_out", "latency_message_out"])?;
        let mut somas = Vec::new();
        for unit in self.units(core, "soma")? {
            let keys = [
                "energy_access_neuron",
                "latency_access_neuron",
                "energy_update_neuron",
                "latency_update_neuron",
                "energy_spike_out",
                "latency_spike_out",
                "model",
            ];
            let found = self.attributes(unit, &keys);
            let model = match found[6].and_then(Node::text) {
                Some("leaky_integrate_fire" | "leaky_integrate_and_fire") => SomaModel::Lif,
                other => SomaModel::Other(other.unwrap_or("none").to_owned()),
            };
            somas.push(Soma {
                name: self.name(unit)?.0.to_owned(),
                model,
                access: self.energy_and_time(found[0], found[1]),
                update: self.energy_and_time(found[2], found[3]),
                spike: self.energy_and_time(found[4], found[5]),
            });
        }
        let mut synapses = Vec::new();
        for unit in self.units(core, "synapse")? {
            let found = self.attributes(unit, &["energy_process_spike", "latency_process_spike", "model"]);
            if let Some(model) = found[2].filter(|model| model.text() != Some("current_based")) {
                self.refuse(model, "only synapses of the model `current_based` are modelled");
            }
            let cost = self.energy_and_time(found[0], found[1]);
            synapses.push(SynapseUnit { name: self.name(unit)?.0.to_owned(), cost });
        }
        let mut dendrites = Vec::new();
        for unit in self.units(core, "dendrite")? {
            let found = self.attributes(unit, &["energy_update", "latency_update", "model"]);
            if self.energy_and_time(found[0], found[1]) != EventCost::default() {
                self.refuse(unit, "dendrites with a cost of their own are not modelled");
            }
            let adds = |model: &&Node| matches!(model.text(), Some("accumulator" | "accumulator_with_delay"));
            if let Some(model) = found[2].filter(|model| !adds(model)) {
                self.refuse(model, "only dendrites that add up their input (`accumulator`) are modelled");
            }
            dendrites.push(self.name(unit)?.0.to_owned());
        }
        Some(Core { axon_in, axon_out, somas, synapses, dendrites })
    }

    fn units<'a>(&mut self, core: &'a Node, section: &str) -> Option<&'a [Node]> {
        let node = self.section(core, section)?;
        Some(node.list().unwrap_or(std::slice::from_ref(node)))
    }

    fn one_unit(&mut self, core: &Node, section: &str, keys: [&str; 2]) -> Option<EventCost> {
        let [unit] = self.units(core, section)? else {
            self.refuse(core, format!("a core must have one `{section}`"));
            return None;
        };
        let found = self.attributes(unit, &keys);
        Some(self.energy_and_time(found[0], found[1]))
    }
}
