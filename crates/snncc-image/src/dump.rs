//! An image as text for people: every register, axon and synapse, long tables cut short with a visible count of the rest.

use crate::image::{
    AxonTable, CompartmentConfig, CoreImage, Image, NoiseTarget, OutputPort, PopulationSymbol, Readout, ResetModel,
    SynapseFormat,
};
use crate::synapses::{BlockLayout, Entry, decode_list};
use std::fmt::{self, Display, Write};

/// Rows of a table that [`dump`] shows.
pub(crate) const ROWS: usize = 16;
/// Items of a row that are shown.
const ITEMS: usize = 16;

/// The image as text, tables cut after 16 rows.
pub fn dump(image: &Image, layout: BlockLayout) -> String {
    dump_rows(image, layout, ROWS)
}

/// The image as text, each table cut after `rows` rows.
pub fn dump_rows(image: &Image, layout: BlockLayout, rows: usize) -> String {
    let mut out = Text::new(rows);
    head(&mut out, &image.target_name, &image.model_name, &image.model_hash);
    out.table(0, "input ports", image.inputs.len(), |out, at| {
        let port = &image.inputs[at];
        let (axons, elements) = (port.axons.targets.len(), port.axons.rows());
        out.line(1, format_args!("{} {:?}: {elements} elements, {axons} axons", port.name, port.shape));
        axon_rows(out, 2, "element", &port.axons);
    });
    ports_and_populations(&mut out, &image.outputs, &image.populations);
    for core in &image.cores {
        dump_core(&mut out, core, layout);
    }
    tail(&mut out, &image.notes);
    out.text
}

/// What an image is for.
pub(crate) fn head(out: &mut Text, target_name: &str, model_name: &str, model_hash: &[u8]) {
    out.line(0, format_args!("image for target {target_name} (model {model_name}, {})", hex(model_hash)));
}

/// Output ports and populations.
pub(crate) fn ports_and_populations(out: &mut Text, outputs: &[OutputPort], populations: &[PopulationSymbol]) {
    out.table(0, "output ports", outputs.len(), |out, at| {
        let port = &outputs[at];
        let readout = match port.readout {
            Readout::Spikes => "spikes",
            Readout::Membrane => "membrane",
        };
        let population = populations.get(port.population as usize).map_or("?", |population| &population.name);
        out.line(1, format_args!("{}: {readout} of {population}", port.name));
    });
    out.table(0, "populations", populations.len(), |out, at| {
        let population = &populations[at];
        let places: Vec<String> = runs(population.locations.iter().map(|place| (place.core, place.compartment)));
        let units = match population.units_per_volt[..] {
            [units] => format!("{units} units per volt"),
            _ => "units per volt by neuron".to_string(),
        };
        let latency = population.latency_steps;
        out.line(1, format_args!("{} {:?}: latency {latency}, {units}", population.name, population.shape));
        out.table(2, "neurons (in order) at core.compartment", places.len(), |out, at| out.line(3, &places[at]));
    });
}

/// Notes.
pub(crate) fn tail(out: &mut Text, notes: &[(String, String)]) {
    out.table(0, "notes", notes.len(), |out, at| {
        let (key, value) = &notes[at];
        out.line(1, format_args!("{key}: {value}"));
    });
}

fn dump_core(out: &mut Text, core: &CoreImage, layout: BlockLayout) {
    let c = &core.compartments;
    out.line(
        0,
        format_args!(
            "core {}: {} compartments, {} in-axons, {} out-axons, {} lists, {} synapse words",
            core.core,
            c.len(),
            core.in_axons.len(),
            core.out_axons.targets.len(),
            core.lists.len(),
            core.synapse_words.len()
        ),
    );
    let register = |exponent: Option<u8>| exponent.map_or("none".to_string(), |exponent| exponent.to_string());
    let settings = &core.settings;
    out.line(
        1,
        format_args!(
            "registers: v_min {}, v_max {}, delay bits {}",
            register(settings.v_min_exponent),
            register(settings.v_max_exponent),
            settings.delay_bits
        ),
    );
    if let Some(noise) = settings.noise {
        let target = match noise.target {
            NoiseTarget::Dendrite => "dendrite",
            NoiseTarget::Membrane => "membrane",
        };
        let (exponent, offset, steps) = (noise.exponent, noise.mantissa_offset, core.noise_samples.len());
        out.line(
            1,
            format_args!("noise: to the {target}, exponent {exponent}, offset {offset}, samples of {steps} steps"),
        );
    }
    out.table(1, "compartment configs", core.compartment_configs.len(), |out, at| {
        out.line(2, format_args!("{at}: {}", Config(&core.compartment_configs[at])));
    });
    out.table(1, "threshold configs", core.threshold_configs.len(), |out, at| {
        let threshold = &core.threshold_configs[at];
        out.line(2, format_args!("{at}: mantissa {}, lower {}", threshold.mantissa, threshold.lower_mantissa));
    });
    out.table(1, "synapse formats", core.synapse_formats.len(), |out, at| {
        out.line(2, format_args!("{at}: {}", Format(&core.synapse_formats[at])));
    });
    out.table(1, "compartments", c.len(), |out, at| {
        let (config, threshold) = (c.config[at], c.threshold[at]);
        let (mantissa, exponent, start) = (c.bias_mantissa[at], c.bias_exponent[at], c.start_step[at]);
        let (u, v) = (c.u_initial[at], c.v_initial[at]);
        out.line(
            2,
            format_args!(
                "{at}: config {config}, threshold {threshold}, bias {mantissa} << {exponent} from step {start}, u {u}, v {v}"
            ),
        );
    });
    out.table(1, "in-axons", core.in_axons.len(), |out, at| {
        let axon = &core.in_axons[at];
        out.line(2, format_args!("{at}: list {} at compartment {}", axon.list, axon.base));
    });
    out.table(1, "lists", core.lists.len(), |out, at| {
        let list = &core.lists[at];
        let end = list.first_word as usize + list.words as usize;
        let words = core.synapse_words.get(list.first_word as usize..end).unwrap_or(&[]);
        let mut entries: Vec<Entry> = Vec::new();
        let fault = decode_list(words, layout, &core.synapse_formats, |entry| entries.push(entry)).err();
        out.line(2, format_args!("{at}: {} words from {}, {} synapses", list.words, list.first_word, entries.len()));
        out.items(3, "", &entries, |entry| {
            let delay = if entry.delay > 0 { format!("@{}", entry.delay) } else { String::new() };
            format!("+{}:{}{delay}/f{}", entry.index, entry.mantissa, entry.format)
        });
        if let Some(fault) = fault {
            out.line(3, format_args!("damaged: {fault}"));
        }
    });
    axon_rows(out, 1, "compartment", &core.out_axons);
}

/// Rows of an axon table that are not empty.
fn axon_rows(out: &mut Text, indent: usize, source: &str, table: &AxonTable) {
    let rows: Vec<usize> = (0..table.rows()).filter(|row| !table.row(*row).is_empty()).collect();
    out.table(indent, &format!("axons by {source}"), rows.len(), |out, at| {
        let targets = table.row(rows[at]);
        out.items(indent + 1, &format!("{}: ", rows[at]), targets, |axon| {
            format!("core {} axon {}", axon.core, axon.axon)
        });
    });
}

/// Consecutive places as `core.first–last`.
fn runs(places: impl Iterator<Item = (u32, u32)>) -> Vec<String> {
    let mut runs: Vec<(u32, u32, u32)> = Vec::new();
    for (core, compartment) in places {
        match runs.last_mut() {
            Some((last_core, _, last)) if *last_core == core && *last + 1 == compartment => *last = compartment,
            _ => runs.push((core, compartment, compartment)),
        }
    }
    runs.iter()
        .map(
            |(core, first, last)| {
                if first == last { format!("{core}.{first}") } else { format!("{core}.{first}–{last}") }
            },
        )
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Config<'a>(&'a CompartmentConfig);

impl Display for Config<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.0;
        write!(f, "decay u {}, decay v {}, refractory {}, ", config.decay_u, config.decay_v, config.refractory)?;
        match config.reset {
            ResetModel::Lif => f.write_str("reset on spike"),
            ResetModel::Periodic { interval, offset } => {
                write!(f, "reset on spike and every {interval} steps from {offset}")
            }
            ResetModel::Ternary => f.write_str("spikes of both signs"),
        }
    }
}

struct Format<'a>(&'a SynapseFormat);

impl Display for Format<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = self.0;
        let signs = match format.sign_mode {
            crate::image::SignMode::Mixed => "mixed",
            crate::image::SignMode::Excitatory => "excitatory",
            crate::image::SignMode::Inhibitory => "inhibitory",
        };
        match format.index_bits {
            None => f.write_str("dense")?,
            Some(bits) => write!(f, "sparse with {bits} index bits")?,
        }
        write!(
            f,
            ", {} weight bits << {} {signs}, exponent {}, {} delay bits",
            format.weight_bits, format.mantissa_shift, format.exponent, format.delay_bits
        )?;
        if format.accumulator_group != 0 {
            write!(f, ", group {}", format.accumulator_group)?;
        }
        if format.shared { f.write_str(", shared lists") } else { Ok(()) }
    }
}

/// Text with bounded tables.
pub(crate) struct Text {
    pub(crate) text: String,
    rows: usize,
}

impl Text {
    pub(crate) fn new(rows: usize) -> Self {
        Self { text: String::new(), rows }
    }

    pub(crate) fn line(&mut self, indent: usize, line: impl Display) {
        let _ = writeln!(self.text, "{:1$}{line}", "", 2 * indent);
    }

    /// A heading and the rows, or nothing if there are none.
    pub(crate) fn table(&mut self, indent: usize, name: &str, len: usize, mut row: impl FnMut(&mut Self, usize)) {
        if len == 0 {
            return;
        }
        self.line(indent, format_args!("{name}:"));
        for at in 0..len.min(self.rows) {
            row(self, at);
        }
        if len > self.rows {
            self.line(indent + 1, format_args!("… {} more", len - self.rows));
        }
    }

    /// One line of items, cut short as a table is.
    pub(crate) fn items<T>(&mut self, indent: usize, label: &str, items: &[T], show: impl Fn(&T) -> String) {
        let mut shown: Vec<String> = items.iter().take(ITEMS.max(self.rows)).map(show).collect();
        if items.len() > shown.len() {
            shown.push(format!("… {} more", items.len() - shown.len()));
        }
        if !shown.is_empty() {
            self.line(indent, format_args!("{label}{}", shown.join(", ")));
        }
    }
}
