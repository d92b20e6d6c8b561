//! Reports of a SpiNNaker-like machine in the form that users of sPyNNaker know, from a program's image alone.
//!
//! Uncompressed routing tables are not in the image: packets of every core are walked through the compressed ones, and each
//! chip on the way gets an entry for the core's keys.

use snncc_chip::Target;
use snncc_emu::spinnaker::SpinnakerMachine;
use snncc_image::spinnaker::{ApplicationCore, ChipImage, CoreProgram, DelayExtension, RouteEntry, SpinnakerImage};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Links of a chip; the bits of a route behind them are cores.
const LINKS: u32 = 6;

/// Names and texts of the reports.
pub(crate) fn reports(image: &SpinnakerImage, target: &Target) -> Vec<(String, String)> {
    let view = View { image, target, slices: slices(image) };
    let uncompressed = view.uncompressed();
    let mut reports = vec![
        ("placement_by_vertex_using_graph.rpt".to_owned(), view.by_vertex(true)),
        ("partitioned_by_vertex.rpt".to_owned(), view.by_vertex(false)),
        ("placement_by_core_using_graph.rpt".to_owned(), view.by_core()),
        ("virtual_key_space_information_report.rpt".to_owned(), view.key_space()),
        ("chip_sdram_usage_by_core.rpt".to_owned(), view.sdram()),
        ("routing_summary.rpt".to_owned(), summary("Routing Summary Report", &uncompressed, &view)),
        ("compressed_routing_summary.rpt".to_owned(), {
            let tables = image.chips.iter().map(|chip| (chip.chip, view.marked(&chip.routes))).collect();
            summary("Compressed Routing Summary Report", &tables, &view)
        }),
        ("comparison_of_compressed_uncompressed_routing_tables.rpt".to_owned(), view.comparison(&uncompressed)),
    ];
    for (chip, entries) in &uncompressed {
        let (x, y) = view.position(*chip);
        reports.push((format!("routing_tables_generated/routing_table_{x}_{y}.rpt"), table(entries)));
    }
    for chip in image.chips.iter().filter(|chip| !chip.routes.is_empty()) {
        let (x, y) = view.position(chip.chip);
        let name = format!("compressed_routing_tables_generated/routing_table_{x}_{y}.rpt");
        reports.push((name, table(&view.marked(&chip.routes))));
    }
    reports
}

/// Part of a population or an input on a core.
struct Slice {
    vertex: String,
    model: &'static str,
    first: u32,
    last: u32,
}

impl Slice {
    fn name(&self) -> String {
        format!("{}({}:{})", self.vertex, self.first, self.last)
    }
}

/// Slices by core over all chips.
fn slices(image: &SpinnakerImage) -> BTreeMap<u32, Slice> {
    let mut slices = BTreeMap::new();
    for input in &image.inputs {
        let mut first = 0;
        for (core, elements) in &input.injectors {
            let (vertex, last) = (input.name.clone(), first + elements - 1);
            slices.insert(*core, Slice { vertex, model: "SpikeInjector", first, last });
            first += elements;
        }
    }
    for population in &image.populations {
        for (neuron, at) in (0_u32..).zip(&population.locations) {
            let slice = slices.entry(at.core).or_insert_with(|| Slice {
                vertex: population.name.clone(),
                model: "Population",
                first: neuron,
                last: neuron,
            });
            (slice.first, slice.last) = (slice.first.min(neuron), slice.last.max(neuron));
        }
    }
    for (number, delay) in delay_extensions(image) {
        let Some(source) = slice_with_key(image, &slices, delay.key) else { continue };
        let (vertex, first) = (format!("{}_delayed", source.vertex), source.first + delay.first);
        let last = first + delay.neurons - 1;
        slices.insert(number, Slice { vertex, model: "DelayExtension", first, last });
    }
    slices
}

/// Delay extensions with the numbers of their cores.
fn delay_extensions(image: &SpinnakerImage) -> impl Iterator<Item = (u32, &DelayExtension)> {
    let cores = image.chips.iter().flat_map(|chip| chip.cores.iter().map(move |core| (chip.chip, core)));
    cores.filter_map(|(chip, core)| match &core.program {
        CoreProgram::DelayExtension(delay) => Some((chip * image.cores_per_chip + core.core, delay)),
        CoreProgram::Neurons(_) | CoreProgram::Injector(_) => None,
    })
}

/// The slice whose core has this key.
fn slice_with_key<'a>(image: &SpinnakerImage, slices: &'a BTreeMap<u32, Slice>, key: u32) -> Option<&'a Slice> {
    slices.iter().find(|(core, _)| image.core(**core).is_some_and(|core| core.key == Some(key))).map(|(_, slice)| slice)
}

/// An entry, and whether default routing would do without it.
type Marked = (RouteEntry, bool);

struct View<'a> {
    image: &'a SpinnakerImage,
    target: &'a Target,
    slices: BTreeMap<u32, Slice>,
}

impl View<'_> {
    fn position(&self, chip: u32) -> (u32, u32) {
        (chip % self.target.file.chips.columns, chip / self.target.file.chips.columns)
    }

    fn place(&self, core: u32) -> String {
        let (x, y) = self.position(core / self.image.cores_per_chip);
        format!("({x}, {y}, {})", core % self.image.cores_per_chip)
    }

    fn title(&self, title: &str) -> String {
        let line = "=".repeat(title.len());
        format!("        {title}\n        {line}\n\nGenerated by snncc for target machine '{}'\n\n", self.target.name())
    }

    /// Vertices, in alphabetical order, with their slices.
    fn vertices(&self) -> BTreeMap<&str, Vec<(u32, &Slice)>> {
        let mut vertices: BTreeMap<&str, Vec<(u32, &Slice)>> = BTreeMap::new();
        for (core, slice) in &self.slices {
            vertices.entry(&slice.vertex).or_default().push((*core, slice));
        }
        vertices.values_mut().for_each(|slices| slices.sort_by_key(|(_, slice)| slice.first));
        vertices
    }

    fn by_vertex(&self, places: bool) -> String {
        let mut out = self.title(match places {
            true => "Placement Information by Vertex",
            false => "Partitioning Information by Vertex",
        });
        for (vertex, slices) in self.vertices() {
            let size = slices.iter().map(|(_, slice)| slice.last + 1).max().unwrap_or(0);
            let _ = writeln!(out, "**** Vertex: '{vertex}'\nModel: {}\nPop size: {size}", slices[0].1.model);
            out += "Machine Vertices:\n";
            for (core, slice) in slices {
                let range = format!("({}:{})", slice.first, slice.last);
                let _ = match places {
                    true => writeln!(out, "  Slice {range} on core {} {}", self.place(core), slice.name()),
                    false => writeln!(out, "  Slice {range}    Vertex {}", slice.name()),
                };
            }
            out.push('\n');
        }
        out
    }

    fn by_core(&self) -> String {
        let mut out = self.title("Placement Information by Core");
        for chip in self.image.chips.iter().filter(|chip| !chip.cores.is_empty()) {
            let (x, y) = self.position(chip.chip);
            let _ = writeln!(out, "**** Chip: ({x}, {y})\nApplication cores: {}", chip.cores.len());
            for core in &chip.cores {
                let Some(slice) = self.slices.get(&self.number(chip, core)) else { continue };
                let _ = writeln!(out, "  Processor {}: Vertex: '{}'", core.core, slice.vertex);
                let _ = writeln!(out, "              Slice: ({}:{})  {}", slice.first, slice.last, slice.name());
                let _ = writeln!(
                    out,
                    "              Model: {}\n              {}\n",
                    slice.model,
                    sdram_bytes(core, self.target)
                );
            }
        }
        out
    }

    fn number(&self, chip: &ChipImage, core: &ApplicationCore) -> u32 {
        chip.chip * self.image.cores_per_chip + core.core
    }

    /// Cores with a key, and the mask of their keys.
    fn senders(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        let colours = self.target.model.spinnaker().map_or(0, |core| core.formats.colour_bits.0);
        self.image.chips.iter().flat_map(|chip| chip.cores.iter().map(move |core| (chip, core))).filter_map(
            move |(chip, core)| {
                let atoms = (core.sources() as u32).max(1).next_power_of_two();
                Some((self.number(chip, core), core.key?, !((atoms << colours) - 1)))
            },
        )
    }

    fn key_space(&self) -> String {
        let keys: BTreeMap<u32, (u32, u32)> = self.senders().map(|(core, key, mask)| (core, (key, mask))).collect();
        let mut out = String::new();
        for (vertex, slices) in self.vertices() {
            let size = slices.iter().map(|(_, slice)| slice.last + 1).max().unwrap_or(0);
            let _ = writeln!(out, "Vertex: {vertex} with {size} atoms\n    Partition: SPIKE");
            for (core, slice) in slices {
                let Some((key, mask)) = keys.get(&core) else { continue };
                let _ = writeln!(
                    out,
                    "    Machine Vertex: {}, Slice: ({}:{}), Routing Info: KeyAndMask:{key:#x}:{mask:#x}",
                    slice.name(),
                    slice.first,
                    slice.last
                );
            }
        }
        out
    }

    fn sdram(&self) -> String {
        let mut out = self.title("Memory Usage by Core");
        let there = self.target.model.spinnaker().map_or(0, |core| core.limits.sdram_bytes.0);
        for chip in &self.image.chips {
            let (x, y) = self.position(chip.chip);
            let mut total = 0;
            for core in &chip.cores {
                let bytes = sdram_bytes(core, self.target);
                total += bytes;
                let name = self.slices.get(&self.number(chip, core)).map_or(String::new(), Slice::name);
                let _ = writeln!(
                    out,
                    "SDRAM reqs for core ({x},{y},{}) is {} KB ({bytes} bytes) for {name}",
                    core.core,
                    bytes.div_ceil(1 << 10)
                );
            }
            let _ = writeln!(out, "Total for chip ({x}, {y}): {total} bytes of {there}\n");
        }
        out
    }

    /// Entries of a compressed table; none is left that default routing would do.
    fn marked(&self, routes: &[RouteEntry]) -> Vec<Marked> {
        routes.iter().map(|entry| (*entry, false)).collect()
    }

    /// A table of each chip with one entry for each core whose packets come by.
    fn uncompressed(&self) -> BTreeMap<u32, Vec<Marked>> {
        let tables: BTreeMap<u32, &[RouteEntry]> =
            self.image.chips.iter().map(|chip| (chip.chip, &chip.routes[..])).collect();
        let machine = SpinnakerMachine::of(self.target);
        let mut found: BTreeMap<u32, Vec<Marked>> = BTreeMap::new();
        for (core, key, mask) in self.senders() {
            let mut seen = BTreeSet::new();
            let mut waiting = vec![(core / self.image.cores_per_chip, None)];
            while let Some((chip, came)) = waiting.pop() {
                if !seen.insert(chip) {
                    continue;
                }
                let entry =
                    tables.get(&chip).and_then(|table| table.iter().find(|entry| key & entry.mask == entry.key));
                let straight = came.map(|link: u32| 1 << link);
                let Some(route) = entry.map(|entry| entry.route).or(straight) else { continue };
                found.entry(chip).or_default().push((RouteEntry { key, mask, route }, straight == Some(route)));
                let links = (0..LINKS).filter(|link| route >> link & 1 == 1);
                waiting.extend(links.filter_map(|link| Some((machine.neighbour(chip, link)?, Some(link)))));
            }
        }
        found.values_mut().for_each(|entries| entries.sort_unstable());
        found
    }

    fn comparison(&self, uncompressed: &BTreeMap<u32, Vec<Marked>>) -> String {
        let mut out = String::new();
        let less =
            |from: usize, to: usize| if from == 0 { 0.0 } else { 100.0 * (from - to.min(from)) as f64 / from as f64 };
        let (mut before, mut after) = (0, 0);
        for chip in &self.image.chips {
            let (x, y) = self.position(chip.chip);
            let (from, to) = (uncompressed.get(&chip.chip).map_or(0, Vec::len), chip.routes.len());
            (before, after) = (before + from, after + to);
            let _ = writeln!(
                out,
                "Uncompressed table at {x}:{y} has {from} entries whereas compressed table has {to} entries. This is a \
                 decrease of {:.1}%",
                less(from, to)
            );
        }
        let _ = writeln!(
            out,
            "\nTotal has {before} entries whereas compressed tables have {after} entries. This is an average decrease of {:.1}%",
            less(before, after)
        );
        out
    }
}

/// Shared memory of a core: its neurons, synapse parameters, population table, bit fields and rows.
pub(crate) fn sdram_bytes(core: &ApplicationCore, target: &Target) -> u64 {
    let neurons = match &core.program {
        CoreProgram::Injector(_) => return 0,
        CoreProgram::DelayExtension(delay) => return (delay.words() * size_of::<u32>()) as u64,
        CoreProgram::Neurons(neurons) => neurons,
    };
    let neuron_bytes = target.model.spinnaker().map_or(0, |core| core.formats.neuron_bytes.0);
    let tables = neurons.population_table.len() + neurons.bit_fields.len() + neurons.synapse_parameters.len();
    let words = neurons.synaptic_words.len() + tables;
    (words * size_of::<u32>()) as u64 + neurons.neurons.len() as u64 * u64::from(neuron_bytes)
}

fn table(entries: &[Marked]) -> String {
    let mut out = format!("Router contains {} entries\n", entries.len());
    out += "Index Key        Mask       Route      Default [Cores][Links]\n";
    out += "----- ---------- ---------- ---------- ------- --------------\n";
    for (index, (entry, is_defaultable)) in entries.iter().enumerate() {
        let bits = |range: std::ops::Range<u32>| {
            let named = range.clone().filter(|bit| entry.route >> bit & 1 == 1);
            named.map(|bit| (bit - range.start).to_string()).collect::<Vec<_>>().join(", ")
        };
        let _ = writeln!(
            out,
            "{index:5} {:#010X} {:#010X} {:#010X} {:<7} [{}] [{}]",
            entry.key,
            entry.mask,
            entry.route,
            u8::from(*is_defaultable),
            bits(LINKS..u32::BITS),
            bits(0..LINKS)
        );
    }
    let _ =
        writeln!(out, "{} Defaultable entries", entries.iter().filter(|(_, is_defaultable)| *is_defaultable).count());
    out
}

fn summary(title: &str, tables: &BTreeMap<u32, Vec<Marked>>, view: &View<'_>) -> String {
    let mut out = view.title(title);
    let (mut total, mut most) = (0, 0);
    for (chip, entries) in tables {
        let (x, y) = view.position(*chip);
        let defaultable = entries.iter().filter(|(_, is_defaultable)| *is_defaultable).count();
        let links_only = entries.iter().filter(|(entry, _)| entry.route >> LINKS == 0).count();
        let routes: BTreeSet<u32> = entries.iter().map(|(entry, _)| entry.route).collect();
        (total, most) = (total + entries.len(), most.max(entries.len()));
        let _ = writeln!(
            out,
            "Chip {x}:{y} has {} entries of which {defaultable} are defaultable and {links_only} link only with {} unique \
             spinnaker routes",
            entries.len(),
            routes.len()
        );
    }
    let _ = writeln!(out, "\nTotal entries {total}, max per chip {most}");
    out
}
