//! `inspect` of an image for chips with compartments.

use super::Inspected;
use serde_json::{Value, json};
use snncc_chip::Target;
use snncc_ids::CoreId;
use snncc_image::{AxonTarget, BlockLayout, CoreImage, Entry, Image, Location, ResetModel, decode_list};

/// An image with the target it was made for.
pub(super) struct Program<'a> {
    pub(super) image: &'a Image,
    pub(super) target: &'a Target,
}

impl Program<'_> {
    fn core_name(&self, core: u32) -> String {
        self.target.core_name(CoreId(core))
    }

    fn layout(&self) -> BlockLayout {
        let formats = &self.target.model.loihi().formats;
        BlockLayout { format_bits: formats.block_format_bits.0, count_bits: formats.block_count_bits.0 }
    }

    /// Name of the neuron at a place.
    fn neuron_at(&self, core: u32, compartment: u32) -> Option<String> {
        self.image.populations.iter().find_map(|population| {
            let at = population.locations.iter().position(|at| (at.core, at.compartment) == (core, compartment))?;
            Some(format!("{}[{at}]", population.name))
        })
    }

    fn image_of(&self, core: u32) -> Option<&CoreImage> {
        self.image.cores.iter().find(|image| image.core == core)
    }

    fn for_each_synapse(&self, core: &CoreImage, axon: u32, visit: impl FnMut(Entry)) -> [u32; 2] {
        let list = &core.lists[core.in_axons[axon as usize].list as usize];
        let words = &core.synapse_words[list.first_word as usize..(list.first_word + list.words) as usize];
        // An image that was read is decodable.
        let _ = decode_list(words, self.layout(), &core.synapse_formats, visit);
        [list.first_word, list.words]
    }

    /// Synapses of an in-axon: number, and the words its list takes.
    fn axon(&self, core: &CoreImage, axon: u32) -> (usize, [u32; 2]) {
        let mut synapses = 0;
        let words = self.for_each_synapse(core, axon, |_| synapses += 1);
        (synapses, words)
    }

    /// What out-axons lead to.
    fn axon_rows(&self, axons: &[AxonTarget]) -> Vec<Value> {
        let row = |axon: &AxonTarget| {
            let target = self.image_of(axon.core);
            let (synapses, words) = target.map_or((0, [0, 0]), |target| self.axon(target, axon.axon));
            json!({
                "to": self.core_name(axon.core), "in_axon": axon.axon, "synapses": synapses,
                "first_word": words[0], "words": words[1],
            })
        };
        axons.iter().map(row).collect()
    }

    /// Out-axons of a neuron, or of an element of an input.
    fn axons(&self, name: &str, neuron: u32) -> Result<&[AxonTarget], String> {
        if let Some(port) = self.image.inputs.iter().find(|port| port.name == name) {
            return Ok(port.axons.row(neuron as usize));
        }
        let at = self.location(name, neuron)?;
        let core = self.image_of(at.core).ok_or("the image has no such core")?;
        Ok(core.out_axons.row(at.compartment as usize))
    }

    fn location(&self, name: &str, neuron: u32) -> Result<Location, String> {
        let population = self.image.populations.iter().find(|population| population.name == name);
        let at = population.and_then(|population| population.locations.get(neuron as usize));
        at.copied().ok_or_else(|| format!("`{name}[{neuron}]` is no neuron"))
    }
}

impl Inspected for Program<'_> {
    fn layers(&self) -> Vec<(&str, usize)> {
        let populations = self.image.populations.iter();
        let neurons = populations.map(|population| (population.name.as_str(), population.locations.len()));
        let inputs = self.image.inputs.iter().map(|port| (port.name.as_str(), port.axons.rows()));
        neurons.chain(inputs).collect()
    }

    fn overview(&self) -> Value {
        let image = &self.image;
        let populations: Vec<Value> = image
            .populations
            .iter()
            .map(|population| {
                let mut cores: Vec<u32> = population.locations.iter().map(|at| at.core).collect();
                cores.sort_unstable();
                cores.dedup();
                json!({
                    "name": population.name, "shape": population.shape, "neurons": population.locations.len(),
                    "cores": cores.len(), "latency_steps": population.latency_steps,
                })
            })
            .collect();
        let ports = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>();
        json!({
            "hardware_model": image.model_name,
            "hardware_model_sha256": crate::files::hex(&image.model_hash),
            "target": image.target_name,
            "inputs": ports(image.inputs.iter().map(|port| &port.name).collect()),
            "outputs": ports(image.outputs.iter().map(|port| &port.name).collect()),
            "populations": populations,
            "cores": image.cores.iter().map(|core| json!({
                "core": self.core_name(core.core), "compartments": core.compartments.len(),
                "in_axons": core.in_axons.len(), "out_axons": core.out_axons.targets.len(),
                "synapse_words": core.synapse_words.len(),
            })).collect::<Vec<_>>(),
            "notes": image.notes.iter().map(|(key, text)| json!({ "key": key, "text": text })).collect::<Vec<_>>(),
        })
    }

    fn neuron(&self, name: &str, neuron: u32) -> Result<Value, String> {
        let Some(population) = self.image.populations.iter().find(|population| population.name == name) else {
            return Ok(json!({
                "element": format!("{name}[{neuron}]"), "out_axons": self.axon_rows(self.axons(name, neuron)?),
            }));
        };
        let at = self.location(name, neuron)?;
        let core = self.image_of(at.core).ok_or("the image has no such core")?;
        let (index, state) = (at.compartment as usize, &core.compartments);
        let config = &core.compartment_configs[state.config[index] as usize];
        let threshold = &core.threshold_configs[state.threshold[index] as usize];
        Ok(json!({
            "neuron": format!("{name}[{neuron}]"),
            "core": self.core_name(at.core),
            "core_number": at.core,
            "router": self.target.position(CoreId(at.core)),
            "compartment": at.compartment,
            "registers": {
                "decay_u": config.decay_u, "decay_v": config.decay_v, "refractory": config.refractory,
                "reset": match config.reset {
                    ResetModel::Lif => "to 0".to_owned(),
                    ResetModel::Periodic { interval, offset } => format!("to 0, and every {interval} steps from {offset}"),
                    ResetModel::Ternary => "to 0, two thresholds".to_owned(),
                },
                "threshold_mantissa": threshold.mantissa,
                "bias_mantissa": state.bias_mantissa[index], "bias_exponent": state.bias_exponent[index],
                "start_step": state.start_step[index],
                "u_initial": state.u_initial[index], "v_initial": state.v_initial[index],
            },
            "units_per_volt": population.units_per_volt.get(neuron as usize).or(population.units_per_volt.first()),
            "out_axons": self.axon_rows(core.out_axons.row(index)),
        }))
    }

    fn synapses(&self, from: (&str, u32), to: (&str, u32)) -> Result<Vec<Value>, String> {
        if self.image.inputs.iter().any(|port| port.name == to.0) {
            return Err(format!("`{}` is an input: no synapse leads there", to.0));
        }
        let place = self.location(to.0, to.1)?;
        let core = self.image_of(place.core).ok_or("the image has no such core")?;
        let mut found = Vec::new();
        for axon in self.axons(from.0, from.1)?.iter().filter(|axon| axon.core == place.core) {
            let in_axon = &core.in_axons[axon.axon as usize];
            self.for_each_synapse(core, axon.axon, |synapse| {
                if synapse.index.checked_add(in_axon.base) == Some(place.compartment) {
                    let format = &core.synapse_formats[synapse.format as usize];
                    found.push(json!({
                        "core": self.core_name(place.core), "in_axon": axon.axon, "mantissa": synapse.mantissa,
                        "exponent": format.exponent, "delay_steps": 1 + u32::from(synapse.delay),
                    }));
                }
            });
        }
        Ok(found)
    }

    fn chip(&self, _: u32) -> Result<Value, String> {
        Err(format!("chips of `{}` have no routing tables: ask for a --core or a --neuron", self.target.name()))
    }

    fn core(&self, number: u32) -> Result<Value, String> {
        let name = self.core_name(number);
        let core = self.image_of(number).ok_or_else(|| format!("core {name} is not used"))?;
        let mut runs: Vec<(String, u32, u32, u32)> = Vec::new();
        for population in &self.image.populations {
            for (neuron, at) in (0_u32..).zip(&population.locations).filter(|(_, at)| at.core == number) {
                match runs.last_mut() {
                    Some((name, first, compartment, count))
                        if *name == population.name
                            && *first + *count == neuron
                            && *compartment + *count == at.compartment =>
                    {
                        *count += 1;
                    }
                    _ => runs.push((population.name.clone(), neuron, at.compartment, 1)),
                }
            }
        }
        let synapses: usize = (0..core.in_axons.len() as u32).map(|axon| self.axon(core, axon).0).sum();
        Ok(json!({
            "core": name,
            "core_number": number,
            "router": self.target.position(CoreId(number)),
            "first_neuron": self.neuron_at(number, 0),
            "neurons": runs.iter().map(|(layer, first, compartment, count)| json!({
                "layer": layer, "first_neuron": first, "count": count, "first_compartment": compartment,
            })).collect::<Vec<_>>(),
            "in_axons": core.in_axons.len(),
            "synapses": synapses,
            "synapse_lists": core.lists.len(),
            "synapse_words": core.synapse_words.len(),
            "out_axons": core.out_axons.targets.len(),
            "delay_bits": core.settings.delay_bits,
            "v_min_exponent": core.settings.v_min_exponent,
            "v_max_exponent": core.settings.v_max_exponent,
            "synapse_formats": core.synapse_formats.iter().map(|format| json!({
                "weight_bits": format.weight_bits, "exponent": format.exponent, "delay_bits": format.delay_bits,
                "index_bits": format.index_bits, "signs": format!("{:?}", format.sign_mode).to_lowercase(),
                "shared": format.shared,
            })).collect::<Vec<_>>(),
        }))
    }
}
