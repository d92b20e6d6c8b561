//! Why the first difference came about: the image's registers and synapses of the neuron against the quantized network.
//!
//! At the first difference all spikes and states before it are equal. So either the image does not hold what the quantized
//! network says, or the two implementations of the chip's arithmetic differ.

use crate::driver::{Layer, Setup};
use crate::verification::SideValues;
use snncc_chip::Overflow;
use snncc_data::SpikeTrain;
use snncc_ids::{IdVec, PopulationId};
use snncc_image::{BlockLayout, CoreImage, Image, Location, decode_list};
use snncc_ir::{Graph, IntNeurons, NoiseTarget, QuantizedIr, ResetModel};

/// Where, when and how the two sides differ.
pub(crate) struct Place<'a> {
    pub(crate) layer: &'a Layer,
    pub(crate) neuron: u32,
    pub(crate) location: Location,
    pub(crate) chip_step: u32,
    pub(crate) integer: SideValues,
    pub(crate) chip: SideValues,
}

/// A synapse onto the neuron, as image or quantized network have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Incoming {
    /// Population or input port, and neuron or element.
    source: (String, u32),
    /// Steps from spike to arrival.
    delay: u32,
    /// Odd, or 0: the weight is `mantissa · 2^exponent`.
    mantissa: i64,
    exponent: i32,
}

impl Incoming {
    pub(crate) fn new(source: (String, u32), delay: u32, mantissa: i32, exponent: i8) -> Option<Self> {
        let zeros = mantissa.trailing_zeros();
        (mantissa != 0).then(|| Self {
            source,
            delay,
            mantissa: i64::from(mantissa >> zeros),
            exponent: i32::from(exponent) + zeros as i32,
        })
    }

    fn weight(&self) -> String {
        if (0..32).contains(&self.exponent) {
            (self.mantissa << self.exponent).to_string()
        } else {
            format!("{}·2^{}", self.mantissa, self.exponent)
        }
    }
}

/// What can be told. `spikes` are those of the integer reference, by population; up to the step before, the emulator's are
/// the same.
pub(crate) fn explain(
    setup: &Setup<'_>,
    (ir, image): (&QuantizedIr, &Image),
    place: &Place<'_>,
    spikes: &IdVec<PopulationId, SpikeTrain>,
) -> Option<String> {
    let Some(core) = image.cores.iter().find(|core| core.core == place.location.core) else {
        return Some(format!("the image has no core {}", place.location.core));
    };
    let neurons = ir.neurons[place.layer.id].as_ref().expect("bug in snncc: layers have neurons");
    let registers = different_registers(neurons, core, place);
    let formats = &setup.witnesses.model.loihi().formats;
    let layout = BlockLayout { format_bits: formats.block_format_bits.0, count_bits: formats.block_count_bits.0 };
    let mut causes = Vec::new();
    if place.integer.u != place.chip.u {
        match image_synapses(image, core, place.location, layout) {
            Ok(held) => causes.extend(different_synapses(&ir.graph, place, wanted(ir, place), held, spikes)),
            Err(fault) => causes.push(format!("the image's synapses cannot be read: {fault}")),
        }
    }
    causes.extend(registers);
    if causes.is_empty() {
        causes.extend(wrapped(setup, place));
    }
    if causes.is_empty() {
        causes.push(
            "registers and synapses of the neuron in the image are those of the quantized network, and the same spikes \
             arrived: integer reference and emulator compute this step differently"
                .to_string(),
        );
    }
    Some(causes.join("; "))
}

/// Registers of the neuron in which the image differs from the quantized network.
fn different_registers(neurons: &IntNeurons, core: &CoreImage, place: &Place<'_>) -> Vec<String> {
    let (i, at) = (place.neuron as usize, place.location.compartment as usize);
    let held = &core.compartments;
    let config = held.config.get(at).and_then(|index| core.compartment_configs.get(*index as usize));
    let threshold = held.threshold.get(at).and_then(|index| core.threshold_configs.get(*index as usize));
    let (Some(config), Some(threshold)) = (config, threshold) else {
        return vec![format!("core {} of the image has no compartment {at}", core.core)];
    };
    let bias = |mantissa: i64, exponent: i64| {
        if exponent >= 0 { mantissa.wrapping_shl(exponent.min(63) as u32) } else { mantissa >> (-exponent).min(63) }
    };
    let clip = |exponent: Option<u8>| exponent.map_or(-1, i64::from);
    let mut found = Vec::new();
    let mut check = |name: &str, image: i64, network: i64| {
        if image != network {
            found.push(format!("{name} is {image} in the image, {network} in the quantized network"));
        }
    };
    check("decay_u", config.decay_u.into(), neurons.decay_u.get(i));
    check("decay_v", config.decay_v.into(), neurons.decay_v.get(i));
    check("the refractory register", config.refractory.into(), neurons.refractory.get(i));
    check("the threshold mantissa", threshold.mantissa.into(), neurons.threshold_mantissa.get(i));
    check(
        "the bias",
        bias(held.bias_mantissa[at].into(), held.bias_exponent[at].into()),
        bias(neurons.bias_mantissa.get(i), neurons.bias_exponent.get(i)),
    );
    check("the start step", held.start_step[at].max(1).into(), neurons.start_step.max(1).into());
    check("the initial current", held.u_initial[at], neurons.u_initial.get(i));
    check("the initial voltage", held.v_initial[at], neurons.v_initial.get(i));
    check("the lower clip register", clip(core.settings.v_min_exponent), clip(neurons.v_min_exponent));
    check("the upper clip register", clip(core.settings.v_max_exponent), clip(neurons.v_max_exponent));
    let (model, expected) = match neurons.reset {
        ResetModel::Lif => (snncc_image::ResetModel::Lif, None),
        ResetModel::Periodic { interval, offset } => (snncc_image::ResetModel::Periodic { interval, offset }, None),
        ResetModel::Ternary { lower_threshold_mantissa } => {
            (snncc_image::ResetModel::Ternary, Some(lower_threshold_mantissa))
        }
    };
    if let Some(expected) = expected {
        check("the lower threshold mantissa", threshold.lower_mantissa.into(), expected.into());
    }
    let sample = |steps: &[Vec<i32>], column: usize| {
        let row = steps.get(place.chip_step as usize - 1);
        row.and_then(|row| row.get(column)).copied().map_or(0, i64::from)
    };
    let network_noise = neurons.noise.as_ref().map_or(0, |noise| sample(&noise.samples, i));
    check("the noise sample of the step", sample(&core.noise_samples, at), network_noise);
    if config.reset != model {
        found.push(format!(
            "it fires and resets as {:?} in the image, {model:?} in the quantized network",
            config.reset
        ));
    }
    if let (Some(image), Some(network)) = (core.settings.noise, &neurons.noise) {
        let target = match network.target {
            NoiseTarget::Dendrite => snncc_image::NoiseTarget::Dendrite,
            NoiseTarget::Membrane => snncc_image::NoiseTarget::Membrane,
        };
        if image.target != target {
            found.push(format!(
                "noise goes to the {:?} in the image, {target:?} in the quantized network",
                image.target
            ));
        }
    }
    found
}

/// Synapses onto a compartment, by who sends to their axons.
fn image_synapses(
    image: &Image,
    core: &CoreImage,
    location: Location,
    layout: BlockLayout,
) -> Result<Vec<Incoming>, String> {
    let mut senders: Vec<Vec<(&str, u32)>> = vec![Vec::new(); core.in_axons.len()];
    let mut send = |targets: &[snncc_image::AxonTarget], name, neuron| {
        for target in targets.iter().filter(|target| target.core == core.core) {
            if let Some(senders) = senders.get_mut(target.axon as usize) {
                senders.push((name, neuron));
            }
        }
    };
    for port in &image.inputs {
        (0..port.axons.rows()).for_each(|element| send(port.axons.row(element), &port.name, element as u32));
    }
    for population in &image.populations {
        for (neuron, at) in (0..).zip(&population.locations) {
            let source = image.cores.iter().find(|core| core.core == at.core);
            let source = source.filter(|source| source.out_axons.rows() > at.compartment as usize);
            if let Some(source) = source {
                send(source.out_axons.row(at.compartment as usize), &population.name, neuron);
            }
        }
    }
    let mut incoming = Vec::new();
    for (axon, senders) in core.in_axons.iter().zip(&senders).filter(|(_, senders)| !senders.is_empty()) {
        let list = core.lists.get(axon.list as usize).ok_or_else(|| format!("there is no list {}", axon.list))?;
        let end = u64::from(list.first_word) + u64::from(list.words);
        let words = core.synapse_words.get(list.first_word as usize..end as usize);
        let words = words.ok_or_else(|| format!("list {} runs over the end of synapse memory", axon.list))?;
        decode_list(words, layout, &core.synapse_formats, |entry| {
            if u64::from(axon.base) + u64::from(entry.index) == u64::from(location.compartment) {
                let exponent = core.synapse_formats[entry.format as usize].exponent;
                for (name, neuron) in senders {
                    let source = ((*name).to_string(), *neuron);
                    incoming.extend(Incoming::new(source, u32::from(entry.delay) + 1, entry.mantissa, exponent));
                }
            }
        })?;
    }
    Ok(incoming)
}

/// Synapses onto the neuron that the network has.
fn wanted(ir: &QuantizedIr, place: &Place<'_>) -> Vec<Incoming> {
    let populations = &ir.graph.populations;
    let mut wanted = Vec::new();
    for (id, projection) in ir.graph.projections.iter_with_ids() {
        if projection.target == place.layer.id {
            let weights = &ir.weights[id];
            projection.fan_in(place.neuron, |synapse| {
                wanted.extend(Incoming::new(
                    (populations[projection.source].name.clone(), synapse.other),
                    projection.delays.get(synapse.other, synapse.weight),
                    weights.mantissas[synapse.weight],
                    weights.exponent,
                ));
            });
        }
    }
    wanted
}

/// In which synapse the image differs from the quantized network: one through which a spike arrives in this step, if there
/// is one.
pub(crate) fn different_synapses(
    graph: &Graph,
    place: &Place<'_>,
    mut wanted: Vec<Incoming>,
    mut held: Vec<Incoming>,
    spikes: &IdVec<PopulationId, SpikeTrain>,
) -> Option<String> {
    let populations = &graph.populations;
    let total = wanted.len();
    held.sort_unstable();
    wanted.sort_unstable();
    let (missing, extra) = (without(&wanted, &held), without(&held, &wanted));
    let arrives = |synapse: &&Incoming| {
        let source = populations.iter_with_ids().find(|(_, population)| population.name == synapse.source.0);
        let sent = place.chip_step.checked_sub(synapse.delay).filter(|step| *step > 0);
        source.zip(sent).is_some_and(|((id, _), step)| spikes[id].at(step).contains(&synapse.source.1))
    };
    let pick = |list: &[Incoming]| list.iter().find(arrives).or(list.first()).cloned();
    let differing = missing.len().max(extra.len());
    let name = |synapse: &Incoming| format!("`{}`[{}]", synapse.source.0, synapse.source.1);
    let describe = |s: &Incoming| format!("weight {} and delay {}", s.weight(), s.delay);
    let active = |s: &Incoming| {
        if arrives(&s) {
            format!(", a spike of step {} arrives through it", place.chip_step - s.delay)
        } else {
            String::new()
        }
    };
    let text = match (pick(&missing), pick(&extra)) {
        (None, None) => return None,
        (Some(wanted), _) => match extra.iter().find(|held| held.source == wanted.source) {
            Some(held) => format!(
                "the synapse from {} has {} in the image, {} in the quantized network{}",
                name(&wanted),
                describe(held),
                describe(&wanted),
                active(&wanted)
            ),
            None => format!(
                "the synapse from {} with {} is missing in the image{}",
                name(&wanted),
                describe(&wanted),
                active(&wanted)
            ),
        },
        (None, Some(held)) => format!(
            "the image has a synapse from {} with {} that the quantized network lacks{}",
            name(&held),
            describe(&held),
            active(&held)
        ),
    };
    Some(format!("{text} ({differing} of the neuron's {total} synapses differ)"))
}

/// Items of `list` that `other` lacks, both sorted, each occurrence counted.
fn without(list: &[Incoming], other: &[Incoming]) -> Vec<Incoming> {
    let mut rest = other.iter().peekable();
    let mut lacking = Vec::new();
    for item in list {
        while rest.next_if(|next| *next < item).is_some() {}
        if rest.next_if(|next| *next == item).is_none() {
            lacking.push(item.clone());
        }
    }
    lacking
}

/// Whether one side wrapped a register and the other did not.
fn wrapped(setup: &Setup<'_>, place: &Place<'_>) -> Option<String> {
    let profile = &setup.witnesses.model.loihi().arithmetic;
    let turn = |rule: Overflow| match rule {
        Overflow::Unbounded => None,
        Overflow::Wrap(bits) | Overflow::WrapOnce(bits) => Some(1_i64 << (bits.min(61) + 1)),
    };
    let difference = place.integer.u.wrapping_sub(place.chip.u);
    let registers = [("dendritic input", profile.input_overflow), ("current", profile.current_overflow)].into_iter();
    registers
        .filter_map(|(name, rule)| Some((name, turn(rule)?)))
        .find(|(_, turn)| difference != 0 && difference % turn == 0)
        .map(|(name, turn)| format!("the {name} left its register and wrapped on one side only (by {turn})"))
}
