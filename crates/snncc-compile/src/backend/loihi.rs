//! Loihi-like cores: tables of settings, core-wide registers, synapse memory.

use crate::backend::layout::{Family, Layout, block_layout, delay_bits, index_bits};
use crate::backend::lists::{RawLists, collect};
use crate::backend::tiles::{ProjectionBound, Sharing, convolution_bound, other_estimate};
use crate::backend::{Backend, CoreCount, CoreLimits, CoreUse, Part, Resource, Tile, View, values_of};
use snncc_chip::{ExponentRule, Limit, LoihiCore};
use snncc_ids::{IdVec, PopulationId, ProjectionId};
use snncc_image::{
    AxonTable, CompartmentConfig, Compartments, CoreImage, CoreSettings, InAxon, NoiseSetting, NoiseTarget, ResetModel,
    SignMode, SynapseFormat, ThresholdConfig, list_words,
};
use snncc_ir::{Connectivity, Delays, IntNeurons};
use std::collections::BTreeMap;

/// Most compartments the partitioner puts on a core whose model has no limit. Not a number of a chip: emulators keep targets
/// in 16 bits, and beyond this one core is no longer quick to work on.
const COMPARTMENTS_WHERE_UNLIMITED: u64 = 1 << 16;

/// Rules of a Loihi-like core for one network.
pub(crate) struct LoihiBackend<'a> {
    view: &'a View<'a>,
    core: &'a LoihiCore,
    limits: CoreLimits,
    compartments_per_core: usize,
    /// Family of each projection, before its accumulator group is known.
    families: IdVec<ProjectionId, Family>,
}

impl<'a> LoihiBackend<'a> {
    /// The rules for this network.
    pub(crate) fn new(view: &'a View<'a>, core: &'a LoihiCore) -> Self {
        let limits = &core.limits;
        let widest_index = core.formats.index_bits.0.last().copied().unwrap_or(0);
        // A field so wide that no core comes near it is no limit.
        let narrower = |limit: Limit, bits: u8| match limit {
            Limit::Unlimited if values_of(bits) >= COMPARTMENTS_WHERE_UNLIMITED => Limit::Unlimited,
            _ => Limit::AtMost(limit.max().min(values_of(bits))),
        };
        let most_compartments = match limits.compartments.0 {
            Limit::AtMost(limit) => limit,
            Limit::Unlimited => COMPARTMENTS_WHERE_UNLIMITED,
        };
        // A sparse format must be able to name every compartment, a block header every format.
        let per_core = most_compartments.min(values_of(widest_index));
        let families = view.ir.graph.projections.ids().map(|id| family(view, core, id)).collect();
        Self {
            view,
            core,
            limits: CoreLimits::new([
                narrower(limits.compartments.0, widest_index),
                limits.in_axons.0,
                limits.out_axons.0,
                limits.synapse_words.0,
                limits.compartment_configs.0,
                limits.threshold_configs.0,
                narrower(limits.synapse_formats.0, core.formats.block_format_bits.0),
                limits.accumulator_slots.0,
            ]),
            compartments_per_core: usize::try_from(per_core).unwrap_or(usize::MAX),
            families,
        }
    }

    fn neurons(&self, population: PopulationId) -> &'a IntNeurons {
        self.view.ir.neurons[population].as_ref().expect("bug in snncc: an input on a core")
    }

    /// Lists of the core and how they are stored.
    fn synapses(&self, parts: &[Part<'_>]) -> (RawLists, Layout) {
        let mut numbers: BTreeMap<Family, u16> = BTreeMap::new();
        let mut families: Vec<Family> = Vec::new();
        let mut ordinal = 0;
        let lists = collect(self.view, parts, |projection| {
            let mut family = self.families[projection];
            if self.core.arithmetic.exponent_rule == ExponentRule::PerSum {
                family.format.accumulator_group = ordinal;
                ordinal += 1;
            }
            *numbers.entry(family).or_insert_with(|| {
                families.push(family);
                (families.len() - 1) as u16
            })
        });
        let layout = Layout::new(self.core, &lists, &families, self.limits.get(Resource::SynapseFormats).max());
        (lists, layout)
    }

    fn tables(&self, parts: &[Part<'_>]) -> Tables {
        let mut tables = Tables::default();
        for part in parts {
            let neurons = self.neurons(part.population);
            let uniform = [&neurons.decay_u, &neurons.decay_v, &neurons.refractory, &neurons.threshold_mantissa]
                .iter()
                .all(|parameter| parameter.values().len() == 1);
            if uniform && !part.neurons.is_empty() {
                let (config, threshold) = settings(neurons, part.neurons[0]);
                let (config, threshold) = (tables.config(config), tables.threshold(threshold));
                tables.config_of.resize(tables.config_of.len() + part.neurons.len(), config);
                tables.threshold_of.resize(tables.threshold_of.len() + part.neurons.len(), threshold);
            } else {
                for neuron in part.neurons {
                    let (config, threshold) = settings(neurons, *neuron);
                    let (config, threshold) = (tables.config(config), tables.threshold(threshold));
                    tables.config_of.push(config);
                    tables.threshold_of.push(threshold);
                }
            }
        }
        tables
    }

    fn settings(&self, parts: &[Part<'_>], delay_bits: u8) -> CoreSettings {
        let first = self.neurons(parts[0].population);
        CoreSettings {
            v_min_exponent: first.v_min_exponent,
            v_max_exponent: first.v_max_exponent,
            delay_bits,
            noise: noise_setting(first),
        }
    }

    /// Noise of each step, as long as that of the longest population.
    fn noise_samples(&self, parts: &[Part<'_>]) -> Vec<Vec<i32>> {
        let noises = || parts.iter().map(|part| self.neurons(part.population).noise.as_ref());
        let steps = noises().flatten().map(|noise| noise.samples.len()).max().unwrap_or(0);
        (0..steps)
            .map(|step| {
                let mut samples = Vec::new();
                for (part, noise) in parts.iter().zip(noises()) {
                    let row = noise.and_then(|noise| noise.samples.get(step));
                    samples.extend(part.neurons.iter().map(|neuron| row.map_or(0, |row| row[*neuron as usize])));
                }
                samples
            })
            .collect()
    }
}

impl Backend for LoihiBackend<'_> {
    fn limits(&self) -> &CoreLimits {
        &self.limits
    }

    fn compartments_per_core(&self) -> usize {
        self.compartments_per_core
    }

    fn may_share(&self, a: PopulationId, b: PopulationId) -> bool {
        let (a, b) = (self.neurons(a), self.neurons(b));
        (a.v_min_exponent, a.v_max_exponent) == (b.v_min_exponent, b.v_max_exponent)
            && noise_setting(a) == noise_setting(b)
    }

    fn longest_delay(&self) -> u32 {
        let formats = &self.core.formats;
        let slots = values_of(formats.delay_bits.0).min(self.limits.get(Resource::AccumulatorSlots).max());
        // Slots of one compartment are a power of two; `Entry` holds a delay in a byte.
        let power = u64::BITS - 1 - slots.max(1).leading_zeros();
        (1_u64 << power).saturating_sub(u64::from(formats.delay_slots_reserved.0)).min(u64::from(u8::MAX)) as u32
    }

    fn tile_use(&self, population: PopulationId, tile: &Tile) -> CoreUse {
        let incoming = self.view.incoming(population);
        let longest = incoming.iter().map(|id| self.view.projection(*id).delays.max() - 1).max().unwrap_or(0);
        let bits = delay_bits(self.core, longest);
        let mut sum = ProjectionBound::default();
        for id in incoming {
            let family = self.families[*id];
            let format = SynapseFormat { delay_bits: if family.delayed { bits } else { 0 }, ..family.format };
            let bound = match &self.view.projection(*id).connectivity {
                Connectivity::Convolution(g) => {
                    let mantissas = &self.view.ir.weights[*id].mantissas;
                    let uniform = mantissas.windows(2).all(|pair| pair[0] == pair[1]);
                    let sharing = match &self.view.projection(*id).delays {
                        Delays::PerSource(_) => Sharing::None,
                        Delays::Uniform(_) if uniform => Sharing::AcrossChannels,
                        _ => Sharing::ByClass,
                    };
                    convolution_bound(self.core, g, &format, sharing, tile)
                }
                _ => other_estimate(self.view, self.core, *id, &format, tile.len() as u64),
            };
            sum.axons += bound.axons;
            sum.words += bound.words;
        }
        let mut used = CoreUse::default();
        used.set(Resource::Compartments, tile.len() as u64);
        used.set(Resource::InAxons, sum.axons);
        used.set(Resource::SynapseWords, sum.words);
        used.set(Resource::AccumulatorSlots, (tile.len() as u64) << bits);
        used
    }

    fn scattered_words(&self, projection: ProjectionId, synapses: usize) -> u64 {
        let family = self.families[projection];
        let longest = self.view.projection(projection).delays.max() - 1;
        let format = SynapseFormat {
            delay_bits: if family.delayed { delay_bits(self.core, longest) } else { 0 },
            index_bits: Some(index_bits(self.core, self.compartments_per_core as u32 - 1)),
            ..family.format
        };
        list_words(block_layout(self.core), &format, synapses) as u64
    }

    fn count(&self, parts: &[Part<'_>]) -> CoreCount {
        let (lists, layout) = self.synapses(parts);
        let tables = self.tables(parts);
        let compartments = tables.config_of.len() as u64;
        let mut used = CoreUse::default();
        used.set(Resource::Compartments, compartments);
        used.set(Resource::InAxons, lists.axons.len() as u64);
        used.set(Resource::SynapseWords, layout.words);
        used.set(Resource::CompartmentConfigs, tables.configs.len() as u64);
        used.set(Resource::ThresholdConfigs, tables.thresholds.len() as u64);
        used.set(Resource::SynapseFormats, layout.formats.len() as u64);
        used.set(Resource::AccumulatorSlots, compartments << delay_bits(self.core, layout.longest_delay));
        let mut hashed: Vec<(u64, u32)> = lists.hashes.iter().copied().zip(layout.words_of_list).collect();
        hashed.sort_unstable();
        CoreCount {
            used,
            sources: lists.axons.iter().map(|axon| axon.source).collect(),
            longest_delay: layout.longest_delay,
            synapses: lists.synapses,
            lists: hashed,
        }
    }

    fn core_image(&self, parts: &[Part<'_>]) -> (CoreImage, Vec<u32>) {
        let (lists, layout) = self.synapses(parts);
        let (placed_lists, synapse_words) = layout.encode(&lists);
        let tables = self.tables(parts);
        let image = CoreImage {
            core: 0,
            settings: self.settings(parts, layout.delay_bits),
            compartment_configs: tables.configs,
            threshold_configs: tables.thresholds,
            synapse_formats: layout.formats,
            compartments: compartments(self, parts, tables.config_of, tables.threshold_of),
            in_axons: lists.axons.iter().map(|axon| InAxon { list: axon.list, base: axon.base }).collect(),
            lists: placed_lists,
            synapse_words,
            out_axons: AxonTable::default(),
            noise_samples: self.noise_samples(parts),
        };
        (image, lists.axons.iter().map(|axon| axon.source).collect())
    }
}

/// Distinct settings of a core in order of first use, and those of each compartment.
#[derive(Default)]
struct Tables {
    configs: Vec<CompartmentConfig>,
    thresholds: Vec<ThresholdConfig>,
    config_number: BTreeMap<CompartmentConfig, u32>,
    threshold_number: BTreeMap<ThresholdConfig, u32>,
    config_of: Vec<u32>,
    threshold_of: Vec<u32>,
}

impl Tables {
    fn config(&mut self, config: CompartmentConfig) -> u32 {
        *self.config_number.entry(config).or_insert_with(|| {
            self.configs.push(config);
            self.configs.len() as u32 - 1
        })
    }

    fn threshold(&mut self, threshold: ThresholdConfig) -> u32 {
        *self.threshold_number.entry(threshold).or_insert_with(|| {
            self.thresholds.push(threshold);
            self.thresholds.len() as u32 - 1
        })
    }
}

/// A value that `quantize` has checked against its field.
fn field<T: TryFrom<i64>>(value: i64, what: &str) -> T {
    T::try_from(value).unwrap_or_else(|_| panic!("bug in snncc: {what} {value} is out of its field"))
}

fn settings(neurons: &IntNeurons, neuron: u32) -> (CompartmentConfig, ThresholdConfig) {
    let at = neuron as usize;
    let (reset, lower_mantissa) = match neurons.reset {
        snncc_ir::ResetModel::Lif => (ResetModel::Lif, 0),
        snncc_ir::ResetModel::Periodic { interval, offset } => (ResetModel::Periodic { interval, offset }, 0),
        snncc_ir::ResetModel::Ternary { lower_threshold_mantissa } => (ResetModel::Ternary, lower_threshold_mantissa),
    };
    let config = CompartmentConfig {
        decay_u: field(neurons.decay_u.get(at), "current decay"),
        decay_v: field(neurons.decay_v.get(at), "voltage decay"),
        refractory: field(neurons.refractory.get(at), "refractory period"),
        reset,
    };
    (config, ThresholdConfig { mantissa: field(neurons.threshold_mantissa.get(at), "threshold"), lower_mantissa })
}

fn compartments(backend: &LoihiBackend<'_>, parts: &[Part<'_>], config: Vec<u32>, threshold: Vec<u32>) -> Compartments {
    let mut compartments = Compartments { config, threshold, ..Compartments::default() };
    for part in parts {
        let neurons = backend.neurons(part.population);
        for neuron in part.neurons {
            let at = *neuron as usize;
            compartments.bias_mantissa.push(field(neurons.bias_mantissa.get(at), "bias mantissa"));
            compartments.bias_exponent.push(field(neurons.bias_exponent.get(at), "bias exponent"));
            compartments.start_step.push(neurons.start_step);
            compartments.u_initial.push(neurons.u_initial.get(at));
            compartments.v_initial.push(neurons.v_initial.get(at));
        }
    }
    compartments
}

fn noise_setting(neurons: &IntNeurons) -> Option<NoiseSetting> {
    neurons.noise.as_ref().map(|noise| NoiseSetting {
        exponent: noise.exponent,
        mantissa_offset: noise.mantissa_offset,
        target: match noise.target {
            snncc_ir::NoiseTarget::Dendrite => NoiseTarget::Dendrite,
            snncc_ir::NoiseTarget::Membrane => NoiseTarget::Membrane,
        },
    })
}

fn family(view: &View<'_>, core: &LoihiCore, id: ProjectionId) -> Family {
    let (weights, projection) = (&view.ir.weights[id], view.projection(id));
    let mixed = weights.sign_mode == snncc_ir::SignMode::Mixed;
    let stored_bits = i16::from(weights.weight_bits) - i16::from(mixed);
    let mantissa_shift = (i16::from(core.formats.weight_magnitude_bits.0) - stored_bits).max(0) as u8;
    Family {
        format: SynapseFormat {
            weight_bits: weights.weight_bits,
            mantissa_shift,
            sign_mode: match weights.sign_mode {
                snncc_ir::SignMode::Mixed => SignMode::Mixed,
                snncc_ir::SignMode::Excitatory => SignMode::Excitatory,
                snncc_ir::SignMode::Inhibitory => SignMode::Inhibitory,
            },
            exponent: weights.exponent,
            delay_bits: 0,
            index_bits: None,
            accumulator_group: 0,
            shared: matches!(projection.connectivity, Connectivity::Convolution(_)),
        },
        delayed: projection.delays.max() > 1,
    }
}
