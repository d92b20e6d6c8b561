//! Images built by hand: neurons and synapses in, [`Image`] out. Knows nothing of the emulator.
#![allow(dead_code)]
#![allow(unreachable_pub)]
#![allow(missing_docs)]

pub mod recurrent;

use snncc_chip::Target;
use snncc_image::{
    AxonTable, AxonTarget, BlockLayout, CompartmentConfig, CoreImage, Entry, Image, InAxon, InputPort, Location,
    OutputPort, PopulationSymbol, Readout, ResetModel, SignMode, SynapseFormat, SynapseList, ThresholdConfig,
    encode_block,
};
use std::collections::BTreeMap;

/// Registers of a compartment; the default keeps nothing, has no refractory period and a threshold of 100 · 64.
#[derive(Clone, Copy)]
pub struct Neuron {
    pub decay_u: u16,
    pub decay_v: u16,
    pub refractory: u16,
    pub reset: ResetModel,
    pub threshold: i32,
    pub lower_threshold: i32,
    pub bias: (i32, i8),
    pub start_step: u32,
    pub u: i64,
    pub v: i64,
}

pub const NEURON: Neuron = Neuron {
    decay_u: 4095,
    decay_v: 4095,
    refractory: 1,
    reset: ResetModel::Lif,
    threshold: 100,
    lower_threshold: 0,
    bias: (0, 0),
    start_step: 1,
    u: 0,
    v: 0,
};

#[derive(Clone, Copy)]
pub struct Synapse {
    pub target: u32,
    pub mantissa: i32,
    pub exponent: i8,
    pub delay: u8,
    pub group: u16,
    pub shared: bool,
}

pub fn synapse(target: u32, mantissa: i32) -> Synapse {
    Synapse { target, mantissa, exponent: 0, delay: 0, group: 0, shared: false }
}

/// Where spikes come from: a compartment of a core, or an element of an input port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Core(u32, u32),
    Port(usize, u32),
}

#[derive(Default)]
struct Axon {
    entries: Vec<Synapse>,
    base: u32,
    /// Axons with the same key share a list.
    shared: Option<u32>,
}

pub struct Builder {
    pub target: Target,
    neurons: BTreeMap<u32, Vec<Neuron>>,
    axons: BTreeMap<(u32, Source), Axon>,
    ports: Vec<(String, u32)>,
    pub image: Image,
}

impl Builder {
    pub fn new(target: &str) -> Self {
        Self::on(snncc_chip::target(target).unwrap())
    }

    pub fn on(target: Target) -> Self {
        let image = Image {
            model_name: target.model.name.clone(),
            model_hash: target.model.hash(),
            target_name: target.name().into(),
            cores: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            populations: Vec::new(),
            notes: Vec::new(),
        };
        Self { target, neurons: BTreeMap::new(), axons: BTreeMap::new(), ports: Vec::new(), image }
    }

    /// Adds a compartment and returns its number.
    pub fn neuron(&mut self, core: u32, neuron: Neuron) -> u32 {
        let neurons = self.neurons.entry(core).or_default();
        neurons.push(neuron);
        neurons.len() as u32 - 1
    }

    /// Adds a port and returns its index.
    pub fn port(&mut self, name: &str, elements: u32) -> usize {
        self.ports.push((name.into(), elements));
        self.ports.len() - 1
    }

    pub fn connect(&mut self, source: Source, core: u32, synapse: Synapse) {
        self.axons.entry((core, source)).or_default().entries.push(synapse);
    }

    /// Gives a source an axon on a list that all axons with this key share; the list's entries are those of the first.
    pub fn share(&mut self, source: Source, core: u32, key: u32, base: u32, entries: &[Synapse]) {
        let axon = Axon { entries: entries.to_vec(), base, shared: Some(key) };
        self.axons.insert((core, source), axon);
    }

    pub fn population(&mut self, name: &str, places: &[(u32, u32)], readout: Readout) {
        self.image.outputs.push(OutputPort {
            name: format!("{name}-out"),
            population: self.image.populations.len() as u32,
            readout,
        });
        self.image.populations.push(PopulationSymbol {
            name: name.into(),
            shape: vec![places.len() as u32],
            latency_steps: 0,
            locations: places.iter().map(|&(core, compartment)| Location { core, compartment }).collect(),
            units_per_volt: vec![64.0],
        });
    }

    /// Lays the network out. Every core gets the largest clip registers of 23 bits and as few delay bits as possible.
    pub fn build(&self) -> Image {
        let mut image = self.image.clone();
        let formats = &self.target.model.loihi().formats;
        let layout = BlockLayout { format_bits: formats.block_format_bits.0, count_bits: formats.block_count_bits.0 };
        let mut out: BTreeMap<Source, Vec<AxonTarget>> = BTreeMap::new();
        for (&number, neurons) in &self.neurons {
            let mut core = CoreImage { core: number, ..CoreImage::default() };
            core.settings.v_min_exponent = Some(23);
            core.settings.v_max_exponent = Some(7);
            if !formats.clip_required.0 {
                core.settings.v_min_exponent = None;
                core.settings.v_max_exponent = None;
            }
            for neuron in neurons {
                let config = CompartmentConfig {
                    decay_u: neuron.decay_u,
                    decay_v: neuron.decay_v,
                    refractory: neuron.refractory,
                    reset: neuron.reset,
                };
                let threshold = ThresholdConfig { mantissa: neuron.threshold, lower_mantissa: neuron.lower_threshold };
                let c = &mut core.compartments;
                c.config.push(intern(&mut core.compartment_configs, config));
                c.threshold.push(intern(&mut core.threshold_configs, threshold));
                c.bias_mantissa.push(neuron.bias.0);
                c.bias_exponent.push(neuron.bias.1);
                c.start_step.push(neuron.start_step);
                c.u_initial.push(neuron.u);
                c.v_initial.push(neuron.v);
            }
            let axons = self.axons.iter().filter(|((core, _), _)| *core == number);
            let longest = axons.clone().flat_map(|(_, axon)| &axon.entries).map(|entry| entry.delay).max();
            let reserved = u32::from(formats.delay_slots_reserved.0);
            let longest = u32::from(longest.unwrap_or(0));
            let delay_bits = if longest == 0 { 0 } else { (1..9).find(|b| (1 << b) - reserved >= longest).unwrap() };
            core.settings.delay_bits = delay_bits;
            let mut lists: BTreeMap<u32, u32> = BTreeMap::new();
            for ((_, source), axon) in axons {
                let known = axon.shared.and_then(|key| lists.get(&key).copied());
                let list = known.unwrap_or_else(|| {
                    encode(&mut core, layout, &axon.entries, delay_bits, self);
                    core.lists.len() as u32 - 1
                });
                if let Some(key) = axon.shared {
                    lists.insert(key, list);
                }
                core.in_axons.push(InAxon { list, base: axon.base });
                let target = AxonTarget { core: number, axon: core.in_axons.len() as u32 - 1 };
                out.entry(*source).or_default().push(target);
            }
            image.cores.push(core);
        }
        let table = |rows: &mut dyn Iterator<Item = Source>| {
            let mut table = AxonTable::default();
            for source in rows {
                table.targets.extend(out.get(&source).into_iter().flatten());
                table.starts.push(table.targets.len() as u32);
            }
            table
        };
        for core in &mut image.cores {
            core.out_axons = table(&mut (0..core.compartments.len() as u32).map(|at| Source::Core(core.core, at)));
        }
        image.inputs = self
            .ports
            .iter()
            .enumerate()
            .map(|(port, (name, elements))| InputPort {
                name: name.clone(),
                shape: vec![*elements],
                axons: table(&mut (0..*elements).map(|element| Source::Port(port, element))),
            })
            .collect();
        image
    }
}

fn intern<T: PartialEq>(table: &mut Vec<T>, item: T) -> u32 {
    let at = table.iter().position(|known| *known == item).unwrap_or_else(|| {
        table.push(item);
        table.len() - 1
    });
    at as u32
}

/// Appends a list: blocks of one sparse format each.
fn encode(core: &mut CoreImage, layout: BlockLayout, entries: &[Synapse], delay_bits: u8, builder: &Builder) {
    let formats = &builder.target.model.loihi().formats;
    let first_word = core.synapse_words.len() as u32;
    let mut entries = entries.to_vec();
    let largest = core.compartments.len() - 1;
    let index_bits = *formats.index_bits.0.iter().find(|bits| (largest as u64) < 1 << **bits).unwrap();
    let mut by_format: BTreeMap<u16, Vec<Entry>> = BTreeMap::new();
    entries.sort_by_key(|entry| entry.target);
    for entry in entries {
        let small = entry.mantissa % 2 == 0 && (-256..255).contains(&entry.mantissa);
        let format = SynapseFormat {
            weight_bits: if small { 8 } else { 24 },
            mantissa_shift: u8::from(small),
            sign_mode: SignMode::Mixed,
            exponent: entry.exponent,
            delay_bits,
            index_bits: Some(index_bits),
            accumulator_group: entry.group,
            shared: entry.shared,
        };
        let format = intern(&mut core.synapse_formats, format) as u16;
        by_format.entry(format).or_default().push(Entry {
            format,
            index: entry.target,
            delay: entry.delay,
            mantissa: entry.mantissa,
        });
    }
    for (format, entries) in by_format {
        let definition = core.synapse_formats[usize::from(format)];
        for block in entries.chunks(layout.entries_per_block()) {
            encode_block(&mut core.synapse_words, layout, format, &definition, block);
        }
    }
    core.lists.push(SynapseList { first_word, words: core.synapse_words.len() as u32 - first_word });
}
