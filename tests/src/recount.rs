//! The resources of an image, counted again from docs/CHIP_SEMANTICS.md ("Resources of a core") with code of its own, down to
//! the bits of synapse memory: neither the compiler's counting nor the emulator's is asked.

use snncc_chip::{Limit, LoihiCore, Target};
use snncc_image::{CoreImage, Image, SignMode};
use std::collections::{BTreeMap, BTreeSet};

/// A synapse as stored: its format, target relative to the axon, extra delay.
#[derive(Clone, Copy, Debug)]
struct Synapse {
    format: usize,
    target: u64,
    delay: u64,
}

/// Everything in which an image exceeds its chip or wastes what it counts.
pub fn faults(image: &Image, target: &Target) -> Vec<String> {
    let core = target.model.loihi();
    let mut faults = Vec::new();
    let numbers: Vec<u32> = image.cores.iter().map(|core| core.core).collect();
    if !numbers.is_sorted_by(|a, b| a < b) {
        faults.push(format!("cores {numbers:?} are not ascending"));
    }
    let sources = sources(image);
    for core_image in &image.cores {
        let mut counted = Recount { core: core_image, chip: core, faults: Vec::new() };
        let number = core_image.core;
        if number >= target.cores() || target.file.dead_cores.contains(&number) {
            counted.faults.push("it must not be used".into());
        }
        counted.compartments();
        counted.axons(sources.get(&number).map_or(&[], |sources| &sources[..]));
        counted.synapses();
        let found = counted.faults;
        faults.extend(found.into_iter().map(|fault| format!("core {number}: {fault}")));
    }
    let used: BTreeSet<u32> = sources.keys().copied().collect();
    if let Some(lost) = used.iter().find(|number| !numbers.contains(number)) {
        faults.push(format!("messages go to core {lost}, which is not in use"));
    }
    faults
}

/// A source of spikes: a compartment of a core, or an element of an input port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Compartment(u32, usize),
    Element(usize, usize),
}

/// For each core, who sends to which of its axons.
fn sources(image: &Image) -> BTreeMap<u32, Vec<(Source, u32)>> {
    let mut sources: BTreeMap<u32, Vec<(Source, u32)>> = BTreeMap::new();
    let mut send = |source: Source, row: &[snncc_image::AxonTarget]| {
        row.iter().for_each(|to| sources.entry(to.core).or_default().push((source, to.axon)));
    };
    for core in &image.cores {
        for compartment in 0..core.out_axons.rows() {
            send(Source::Compartment(core.core, compartment), core.out_axons.row(compartment));
        }
    }
    for (port, input) in image.inputs.iter().enumerate() {
        for element in 0..input.axons.rows() {
            send(Source::Element(port, element), input.axons.row(element));
        }
    }
    sources
}

struct Recount<'a> {
    core: &'a CoreImage,
    chip: &'a LoihiCore,
    faults: Vec<String>,
}

impl Recount<'_> {
    fn within(&mut self, what: &str, limit: Limit, used: usize) {
        if !limit.allows(used as u64) {
            self.faults.push(format!("{used} {what}, {limit:?}"));
        }
    }

    fn require(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(fault());
        }
    }

    /// Compartments and the settings they take from tables.
    fn compartments(&mut self) {
        let (core, limits, formats) = (self.core, &self.chip.limits, &self.chip.formats);
        let compartments = &core.compartments;
        self.within("compartments", limits.compartments.0, compartments.len());
        let configs: BTreeSet<_> =
            compartments.config.iter().map(|config| core.compartment_configs[*config as usize]).collect();
        let thresholds: BTreeSet<_> =
            compartments.threshold.iter().map(|threshold| core.threshold_configs[*threshold as usize]).collect();
        self.within("compartment configs", limits.compartment_configs.0, configs.len());
        self.within("threshold configs", limits.threshold_configs.0, thresholds.len());
        let (in_tables, used) =
            ((core.compartment_configs.len(), core.threshold_configs.len()), (configs.len(), thresholds.len()));
        self.require(in_tables == used, || format!("tables of {in_tables:?} configs and thresholds, used: {used:?}"));
        for config in configs {
            let decays = i64::from(config.decay_u.max(config.decay_v));
            let refractory = i64::from(config.refractory);
            self.require(decays <= formats.decay_max.0, || format!("a decay of {decays}"));
            self.require((1..=formats.refractory_max.0).contains(&refractory), || format!("refractory {refractory}"));
        }
        for threshold in thresholds {
            let (mantissa, lower) = (i64::from(threshold.mantissa), i64::from(threshold.lower_mantissa));
            let most = formats.threshold_mantissa_max.0;
            self.require((0..=most).contains(&mantissa), || format!("a threshold of {mantissa}"));
            self.require(lower.abs() <= most, || format!("a lower threshold of {lower}"));
        }
        let (mantissas, exponents) = (formats.bias_mantissa.0, formats.bias_exponent.0);
        for (mantissa, exponent) in compartments.bias_mantissa.iter().zip(&compartments.bias_exponent) {
            let (mantissa, exponent) = (i64::from(*mantissa), i64::from(*exponent));
            let fits =
                (mantissas.0..=mantissas.1).contains(&mantissa) && (exponents.0..=exponents.1).contains(&exponent);
            self.require(fits, || format!("a bias of {mantissa} · 2^{exponent}"));
        }
        let settings = &core.settings;
        for (what, exponent, most) in [
            ("v_min", settings.v_min_exponent, formats.v_min_exponent_max.0),
            ("v_max", settings.v_max_exponent, formats.v_max_exponent_max.0),
        ] {
            let fits = exponent.map_or(!formats.clip_required.0, |exponent| exponent <= most);
            self.require(fits, || format!("{what} register {exponent:?}"));
        }
        self.require(core.out_axons.rows() == compartments.len(), || "a compartment without a row of axons".into());
    }

    /// Axons in and out: one in-axon for each distinct source, one out-axon for each pair of compartment and core.
    fn axons(&mut self, sources: &[(Source, u32)]) {
        let (core, limits) = (self.core, &self.chip.limits);
        let distinct: BTreeSet<Source> = sources.iter().map(|(source, _)| *source).collect();
        let axons: BTreeSet<u32> = sources.iter().map(|(_, axon)| *axon).collect();
        self.within("in-axons", limits.in_axons.0, distinct.len());
        let (all, sources) = (core.in_axons.len(), sources.len());
        let one_each = distinct.len() == sources && axons.len() == sources && all == sources;
        self.require(one_each, || {
            let (distinct, hit) = (distinct.len(), axons.len());
            format!("{all} in-axons, {hit} of them used, by {distinct} sources over {sources} connections")
        });
        let pairs: BTreeSet<(usize, u32)> = (0..core.out_axons.rows())
            .flat_map(|compartment| core.out_axons.row(compartment).iter().map(move |to| (compartment, to.core)))
            .collect();
        self.within("out-axons", limits.out_axons.0, pairs.len());
        let stored = core.out_axons.targets.len();
        self.require(stored == pairs.len(), || format!("{stored} out-axons for {} pairs", pairs.len()));
    }

    /// Synapse memory, formats, delays and what accumulators they need.
    fn synapses(&mut self) {
        let (core, limits, formats) = (self.core, &self.chip.limits, &self.chip.formats);
        let words = |list: &snncc_image::SynapseList| {
            &core.synapse_words[list.first_word as usize..(list.first_word + list.words) as usize]
        };
        let contents: BTreeSet<&[u64]> = core.lists.iter().map(words).collect();
        let memory: usize = contents.iter().map(|words| words.len()).sum();
        let stored = core.synapse_words.len();
        let listed: usize = core.lists.iter().map(|list| list.words as usize).sum();
        self.within("synapse words", limits.synapse_words.0, stored);
        // The compiler may miss that two lists are equal where that depends on the core's delay bits.
        self.require(memory <= stored && stored == listed, || {
            format!("{stored} words hold lists of {listed} words, {memory} of them distinct")
        });
        let mut in_use = BTreeSet::new();
        let mut longest = 0;
        let mut lists = Vec::new();
        for list in &core.lists {
            match self.decode(words(list)) {
                Ok(synapses) => {
                    in_use.extend(synapses.iter().map(|synapse| core.synapse_formats[synapse.format]));
                    longest = synapses.iter().map(|synapse| synapse.delay).fold(longest, u64::max);
                    lists.push(synapses);
                }
                Err(fault) => {
                    self.faults.push(fault);
                    return;
                }
            }
        }
        self.within("synapse formats", limits.synapse_formats.0, in_use.len());
        let table = core.synapse_formats.len();
        self.require(table == in_use.len(), || format!("{table} formats, {} in use", in_use.len()));
        for axon in &core.in_axons {
            let synapses = &lists[axon.list as usize];
            let last = synapses.iter().map(|synapse| u64::from(axon.base) + synapse.target).max();
            let fits = last.is_some_and(|last| last < core.compartments.len() as u64);
            self.require(fits, || format!("an axon of {} synapses reaches compartment {last:?}", synapses.len()));
        }
        let reserved = u64::from(formats.delay_slots_reserved.0);
        let bits = match longest {
            0 => 0,
            longest => (0..32).find(|bits| (1_u64 << bits) >= longest + reserved).expect("delays are below 2^16"),
        };
        let chosen = core.settings.delay_bits;
        self.require(chosen == bits, || format!("{chosen} delay bits, {bits} hold the longest delay of {longest}"));
        self.require(bits <= formats.delay_bits.0, || format!("a delay of {longest}"));
        self.within("accumulator slots", limits.accumulator_slots.0, core.compartments.len() << bits);
        for format in &core.synapse_formats {
            let (low, high) = formats.weight_exponent.0;
            let mixed = u8::from(format.sign_mode == SignMode::Mixed);
            let shift = formats.weight_magnitude_bits.0 + mixed;
            let fits = (low..=high).contains(&format.exponent)
                && formats.weight_codes.0.iter().any(|code| code.bits == format.weight_bits)
                && format.mantissa_shift == shift.saturating_sub(format.weight_bits)
                && format.index_bits.is_none_or(|bits| formats.index_bits.0.contains(&bits))
                && format.delay_bits <= formats.delay_bits.0;
            self.require(fits, || format!("format {format:?}"));
        }
    }

    /// The synapses of a list: blocks of a header (format, entries − 1) and entries of weight, delay and, in sparse formats,
    /// target; lowest bits first, each block from a new word.
    fn decode(&self, words: &[u64]) -> Result<Vec<Synapse>, String> {
        let formats = &self.chip.formats;
        let mut synapses = Vec::new();
        let (mut at, mut next) = (0, 0);
        while at < words.len() * 64 {
            let mut bits = |count: u8| {
                let value = (0..usize::from(count))
                    .map(|bit| (at + bit, bit))
                    .map(|(at, bit)| words.get(at / 64).map(|word| (word >> (at % 64) & 1) << bit))
                    .sum::<Option<u64>>();
                at += usize::from(count);
                value.ok_or_else(|| "a block runs over the end of its list".to_string())
            };
            let format = bits(formats.block_format_bits.0)? as usize;
            let entries = bits(formats.block_count_bits.0)? + 1;
            let settings = self.core.synapse_formats.get(format).ok_or_else(|| format!("format {format} of none"))?;
            for _ in 0..entries {
                bits(settings.weight_bits)?;
                let delay = bits(settings.delay_bits)?;
                let target = settings.index_bits.map_or(Ok(next), &mut bits)?;
                next = target + 1;
                synapses.push(Synapse { format, target, delay });
            }
            at = at.next_multiple_of(64);
        }
        Ok(synapses)
    }
}
