//! An independent look at an image: what it computes must be the network, and no limit may be exceeded.

use snncc_chip::{ExponentRule, Limit, Target};
use snncc_ids::{Id, PopulationId};
use snncc_image::{BlockLayout, CoreImage, Image, ResetModel, decode_list};
use snncc_ir::network::MappingRequest;
use snncc_ir::{Connectivity, PopulationRole, QuantizedIr};
use std::collections::{BTreeMap, BTreeSet};

/// Target (population, neuron), weight mantissa, exponent, extra delay, weight bits, whether priced as shared.
type Synapse = (usize, u32, i32, i8, u32, u8, bool);

/// A source (population, member) and its axons (core, axon).
type Row = ((usize, u32), Vec<(u32, u32)>);

/// Panics with what is wrong.
pub(crate) fn check_image(image: &Image, ir: &QuantizedIr, target: &Target) {
    let core = target.model.loihi();
    let layout =
        BlockLayout { format_bits: core.formats.block_format_bits.0, count_bits: core.formats.block_count_bits.0 };
    check_symbols(image, ir);
    for core_image in &image.cores {
        check_limits(core_image, target);
    }
    // Who sits where.
    let mut who: BTreeMap<(u32, u32), (usize, u32)> = BTreeMap::new();
    let mut symbols = image.populations.iter();
    let mut rows: Vec<Row> = Vec::new();
    let mut ports = image.inputs.iter();
    for (id, population) in ir.graph.populations.iter_with_ids() {
        if population.role == PopulationRole::Input {
            let port = ports.next().expect("a port for each input");
            assert_eq!(port.name, population.name);
            assert_eq!(port.axons.rows(), population.len());
            for element in 0..population.len() {
                let row = port.axons.row(element).iter().map(|axon| (axon.core, axon.axon)).collect();
                rows.push(((id.index(), element as u32), row));
            }
            continue;
        }
        let symbol = symbols.next().expect("a symbol for each population");
        for (neuron, place) in symbol.locations.iter().enumerate() {
            let before = who.insert((place.core, place.compartment), (id.index(), neuron as u32));
            assert_eq!(before, None, "two neurons on one compartment");
            let at = image.cores.binary_search_by_key(&place.core, |core| core.core).expect("a core in use");
            let row = image.cores[at].out_axons.row(place.compartment as usize);
            rows.push(((id.index(), neuron as u32), row.iter().map(|axon| (axon.core, axon.axon)).collect()));
        }
    }
    let compartments: usize = image.cores.iter().map(|core| core.compartments.len()).sum();
    assert_eq!(compartments, who.len(), "compartments without a neuron");
    // Each axon has one source, and a source one axon per core.
    let mut axons = BTreeSet::new();
    for (source, row) in &rows {
        let cores: BTreeSet<u32> = row.iter().map(|(core, _)| *core).collect();
        assert_eq!(cores.len(), row.len(), "{source:?} has two axons on one core");
        for axon in row {
            assert!(axons.insert(*axon), "axon {axon:?} has two sources");
        }
    }
    assert_eq!(
        axons.len(),
        image.cores.iter().map(|core| core.in_axons.len()).sum::<usize>(),
        "axons without a source"
    );
    // Decoded synapses of each source against the network's.
    for (source, row) in rows {
        let mut found: Vec<Synapse> = Vec::new();
        for (core_number, axon) in row {
            let at = image.cores.binary_search_by_key(&core_number, |core| core.core).expect("a core in use");
            let core_image = &image.cores[at];
            let axon = core_image.in_axons[axon as usize];
            let list = core_image.lists[axon.list as usize];
            let words = &core_image.synapse_words[list.first_word as usize..(list.first_word + list.words) as usize];
            decode_list(words, layout, &core_image.synapse_formats, |entry| {
                if entry.mantissa == 0 {
                    return;
                }
                let format = core_image.synapse_formats[entry.format as usize];
                let neuron = who[&(core_number, axon.base + entry.index)];
                let delay = u32::from(entry.delay);
                let bits = format.weight_bits;
                found.push((neuron.0, neuron.1, entry.mantissa, format.exponent, delay, bits, format.shared));
            })
            .expect("a sound list");
        }
        let mut expected: Vec<Synapse> = Vec::new();
        for (id, projection) in ir.graph.projections.iter_with_ids() {
            if projection.source.index() != source.0 {
                continue;
            }
            let weights = &ir.weights[id];
            let shared = matches!(projection.connectivity, Connectivity::Convolution(_));
            projection.fan_out(source.1, |synapse| {
                let mantissa = weights.mantissas[synapse.weight];
                if mantissa != 0 {
                    let delay = projection.delays.get(source.1, synapse.weight) - 1;
                    let (to, bits) = (projection.target.index(), weights.weight_bits);
                    expected.push((to, synapse.other, mantissa, weights.exponent, delay, bits, shared));
                }
            });
        }
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "synapses of {source:?}");
    }
    if core.arithmetic.exponent_rule == ExponentRule::PerSum {
        check_groups(image, ir);
    }
}

/// Formats of one core that carry the same group belong to one projection, so they agree in target signs and exponent; there
/// are no more groups than projections.
fn check_groups(image: &Image, ir: &QuantizedIr) {
    for core in &image.cores {
        let mut groups: BTreeMap<u16, (u8, u8, i8)> = BTreeMap::new();
        for format in &core.synapse_formats {
            let key = (format.weight_bits, format.mantissa_shift, format.exponent);
            assert_eq!(*groups.entry(format.accumulator_group).or_insert(key), key);
        }
        assert!(groups.len() <= ir.graph.projections.len());
    }
}

fn check_symbols(image: &Image, ir: &QuantizedIr) {
    let neurons = ir.graph.populations.iter_with_ids().filter(|(_, p)| p.role == PopulationRole::Neurons);
    let neurons: Vec<(PopulationId, _)> = neurons.collect();
    assert_eq!(neurons.len(), image.populations.len());
    for (symbol, (id, population)) in image.populations.iter().zip(neurons) {
        assert_eq!(symbol.name, population.name);
        assert_eq!(symbol.latency_steps, population.latency_steps);
        assert_eq!(symbol.locations.len(), population.len());
        let int = ir.neurons[id].as_ref().expect("neurons");
        for (at, place) in symbol.locations.iter().enumerate() {
            let core = &image.cores[image.cores.binary_search_by_key(&place.core, |core| core.core).expect("a core")];
            let (c, slot) = (&core.compartments, place.compartment as usize);
            let config = core.compartment_configs[c.config[slot] as usize];
            assert_eq!(i64::from(config.decay_u), int.decay_u.get(at));
            assert_eq!(i64::from(config.decay_v), int.decay_v.get(at));
            assert_eq!(i64::from(config.refractory), int.refractory.get(at));
            assert_eq!(config.reset, ResetModel::Lif);
            let threshold = core.threshold_configs[c.threshold[slot] as usize];
            assert_eq!(i64::from(threshold.mantissa), int.threshold_mantissa.get(at));
            assert_eq!(i64::from(c.bias_mantissa[slot]), int.bias_mantissa.get(at));
            assert_eq!(c.start_step[slot], int.start_step);
            assert_eq!(core.settings.v_min_exponent, int.v_min_exponent);
            assert_eq!(core.settings.v_max_exponent, int.v_max_exponent);
            let samples: Vec<i32> = core.noise_samples.iter().map(|step| step[slot]).collect();
            let given = int.noise.as_ref().map_or(&[][..], |noise| &noise.samples);
            assert_eq!(core.settings.noise.is_some(), int.noise.is_some());
            for (step, sample) in samples.iter().enumerate() {
                assert_eq!(*sample, given.get(step).map_or(0, |row| row[at]), "noise of step {step}");
            }
            assert!(samples.len() >= given.len());
        }
    }
}

fn check_limits(core: &CoreImage, target: &Target) {
    let (limits, formats) = (&target.model.loihi().limits, &target.model.loihi().formats);
    assert!(target.is_usable(snncc_ids::CoreId(core.core)), "core {} must not be used", core.core);
    let within = |what: &str, limit: Limit, used: usize| {
        assert!(limit.allows(used as u64), "core {}: {used} {what} of {limit:?}", core.core);
    };
    within("compartments", limits.compartments.0, core.compartments.len());
    within("in-axons", limits.in_axons.0, core.in_axons.len());
    within("out-axons", limits.out_axons.0, core.out_axons.targets.len());
    within("words", limits.synapse_words.0, core.synapse_words.len());
    within("configs", limits.compartment_configs.0, core.compartment_configs.len());
    within("thresholds", limits.threshold_configs.0, core.threshold_configs.len());
    within("formats", limits.synapse_formats.0, core.synapse_formats.len());
    within("slots", limits.accumulator_slots.0, core.compartments.len() << core.settings.delay_bits);
    assert!(core.settings.delay_bits <= formats.delay_bits.0);
    for (at, format) in core.synapse_formats.iter().enumerate() {
        assert!(!core.synapse_formats[..at].contains(format), "a format twice");
        assert!(format.delay_bits <= formats.delay_bits.0);
        assert!(format.index_bits.is_none_or(|bits| formats.index_bits.0.contains(&bits)));
        assert!(formats.weight_codes.0.iter().any(|code| code.bits == format.weight_bits));
    }
    let layout = BlockLayout { format_bits: formats.block_format_bits.0, count_bits: formats.block_count_bits.0 };
    let longest = (1_u32 << core.settings.delay_bits).saturating_sub(u32::from(formats.delay_slots_reserved.0));
    let mut in_use = BTreeSet::new();
    let mut contents = BTreeSet::new();
    for list in &core.lists {
        let words = &core.synapse_words[list.first_word as usize..(list.first_word + list.words) as usize];
        assert!(contents.insert(words), "core {}: the same list twice", core.core);
        decode_list(words, layout, &core.synapse_formats, |entry| {
            in_use.insert(entry.format);
            assert!(entry.delay == 0 || u32::from(entry.delay) <= longest, "delay {} of {longest}", entry.delay);
        })
        .expect("a sound list");
    }
    assert_eq!(in_use.len(), core.synapse_formats.len(), "formats without use");
}

/// Panics if a wish was not honoured.
pub(crate) fn check_wishes(image: &Image, wishes: &MappingRequest) {
    let find = |name: &str| image.populations.iter().find(|population| population.name == name).expect("a population");
    for pin in &wishes.pins {
        let (first, count) = pin.neurons.expect("a range");
        for place in &find(&pin.population).locations[first as usize..(first + count) as usize] {
            assert_eq!(place.core, pin.core, "a neuron of {pin:?}");
        }
    }
    for core in &image.cores {
        assert!(!wishes.reserved_cores.contains(&core.core), "core {} is reserved", core.core);
    }
    for name in &wishes.exclusive {
        let mine: BTreeSet<u32> = find(name).locations.iter().map(|place| place.core).collect();
        for other in image.populations.iter().filter(|population| population.name != *name) {
            assert!(other.locations.iter().all(|place| !mine.contains(&place.core)), "`{name}` is not alone");
        }
    }
    for (name, cores) in &wishes.split {
        let mine: BTreeSet<u32> = find(name).locations.iter().map(|place| place.core).collect();
        assert!(mine.len() >= *cores as usize, "`{name}` is on {} cores", mine.len());
    }
}
