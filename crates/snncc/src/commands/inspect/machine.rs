//! `inspect` of an image for SpiNNaker-like machines: cores and keys, routing tables, the ways of packets, rows of synapses.

use super::Inspected;
use crate::machine_image::{LINKS, MachineImage};
use serde_json::{Value, json};
use snncc_chip::Target;
use snncc_ids::CoreId;
use snncc_image::spinnaker::layout::{Memories, Synapse, row_synapses};
use snncc_image::spinnaker::{
    ApplicationCore, ChipImage, CoreProgram, NeuronCore, RouteEntry, SpinnakerImage, route_text,
};
use snncc_report::CoreRow;
use std::collections::BTreeSet;

/// An image with what the compiler reported of its cores.
pub(super) struct View<'a> {
    image: MachineImage<'a>,
    resources: &'a [CoreRow],
}

fn hex(word: u32) -> String {
    format!("{word:#010x}")
}

impl<'a> View<'a> {
    pub(super) fn new(image: &'a SpinnakerImage, target: &'a Target, resources: &'a [CoreRow]) -> Self {
        Self { image: MachineImage::new(image, target), resources }
    }

    fn core_name(&self, core: u32) -> String {
        self.image.target.core_name(CoreId(core))
    }

    /// Part of a layer that sits on a core.
    fn slice(&self, core: u32) -> String {
        self.image.slices.get(&core).map_or_else(|| "none".to_owned(), |slice| slice.name())
    }

    /// Core of a neuron or of an element of an input, and its index there.
    fn place(&self, name: &str, neuron: u32) -> Result<(u32, u32), String> {
        let missing = || format!("`{name}[{neuron}]` is no neuron");
        let images = self.image.image;
        if let Some(population) = images.populations.iter().find(|population| population.name == name) {
            let at = population.locations.get(neuron as usize).ok_or_else(missing)?;
            return Ok((at.core, at.compartment));
        }
        let input = images.inputs.iter().find(|input| input.name == name).ok_or_else(missing)?;
        let mut rest = neuron;
        for (core, elements) in &input.injectors {
            match rest.checked_sub(*elements) {
                None => return Ok((*core, rest)),
                Some(left) => rest = left,
            }
        }
        Err(missing())
    }

    fn application(&self, core: u32) -> Result<&'a ApplicationCore, String> {
        self.image.image.core(core).ok_or_else(|| format!("core {} is not used", self.core_name(core)))
    }

    fn neurons(&self, core: u32) -> Result<&'a NeuronCore, String> {
        let CoreProgram::Neurons(neurons) = &self.application(core)?.program else {
            return Err(format!("core {} has no neurons", self.core_name(core)));
        };
        Ok(neurons)
    }

    fn row(&self, core: u32, application: &ApplicationCore) -> Value {
        let words = match &application.program {
            CoreProgram::Neurons(neurons) => neurons.synaptic_words.len(),
            _ => 0,
        };
        json!({
            "core": self.core_name(core), "layer": self.slice(core), "sources": application.sources(),
            "key": application.key.map_or("none".to_owned(), hex), "mask": hex(self.image.mask(application)),
            "sdram_bytes": self.image.sdram_bytes(application), "synaptic_words": words,
        })
    }

    /// Whose packets an entry takes, as far as no entry before it does.
    fn senders_of(&self, chip: &ChipImage, entry: usize) -> Vec<String> {
        let takes = |(_, key, mask): &(u32, u32, u32)| {
            // Keys of one core may part between entries: two blocks meet where they agree in what both fix.
            let meets = |entry: &RouteEntry| (key ^ entry.key) & entry.mask & mask == 0;
            let hidden = |entry: &RouteEntry| (key ^ entry.key) & entry.mask == 0 && entry.mask & !mask == 0;
            meets(&chip.routes[entry]) && !chip.routes[..entry].iter().any(hidden)
        };
        self.image.senders().filter(takes).map(|(core, ..)| self.slice(core)).collect()
    }

    fn memories(&self, core: &NeuronCore, number: u32) -> Result<Memories, String> {
        core.memories().map_err(|fault| format!("core {} is damaged: {fault}", self.core_name(number)))
    }

    fn table(&self, neurons: &NeuronCore, memories: &Memories) -> Vec<Value> {
        let synapses = |rows: &snncc_image::spinnaker::layout::Block| -> usize {
            let words = (0..rows.rows).filter_map(|row| rows.row(row)).map(|place| &neurons.synaptic_words[place]);
            words.map(|words| row_synapses(words).map_or(0, <[u32]>::len)).sum()
        };
        let entries = memories.table.entries.iter().flat_map(|entry| {
            let from = self.image.senders().find(|(_, key, _)| key & entry.mask == entry.key);
            let from = from.map_or_else(|| "none".to_owned(), |(core, ..)| self.slice(core));
            let blocks = memories.table.items(entry).iter().map(|item| {
                let at = item.first_word.and_then(|first| {
                    let at = memories.blocks.binary_search_by_key(&first, |block| block.first_word).ok()?;
                    Some(memories.blocks[at])
                });
                (item.first_word, at)
            });
            let blocks: Vec<_> = blocks.collect();
            blocks.into_iter().map(move |(first_word, block)| {
                json!({
                    "key": hex(entry.key), "mask": hex(entry.mask), "from": from,
                    "first_word": first_word, "rows": block.map(|block| block.rows),
                    "row_words": block.map(|block| block.row_words), "synapses": block.as_ref().map(synapses),
                })
            })
        });
        entries.collect()
    }
}

impl Inspected for View<'_> {
    fn layers(&self) -> Vec<(&str, usize)> {
        let image = self.image.image;
        let populations = image.populations.iter();
        let neurons = populations.map(|population| (population.name.as_str(), population.locations.len()));
        let elements = |injectors: &[(u32, u32)]| injectors.iter().map(|(_, elements)| *elements as usize).sum();
        neurons.chain(image.inputs.iter().map(|input| (input.name.as_str(), elements(&input.injectors)))).collect()
    }

    fn overview(&self) -> Value {
        let image = self.image.image;
        let populations: Vec<Value> = image
            .populations
            .iter()
            .map(|population| {
                let cores: BTreeSet<u32> = population.locations.iter().map(|at| at.core).collect();
                json!({
                    "name": population.name, "shape": population.shape, "neurons": population.locations.len(),
                    "cores": cores.len(), "latency_steps": population.latency_steps,
                })
            })
            .collect();
        let chip = |chip: &ChipImage| {
            json!({
                "chip": chip.chip, "position": self.image.position(chip.chip), "cores": chip.cores.len(),
                "routing_entries": chip.routes.len(),
                "sdram_bytes": chip.cores.iter().map(|core| self.image.sdram_bytes(core)).sum::<u64>(),
            })
        };
        json!({
            "hardware_model": image.model_name,
            "hardware_model_sha256": crate::files::hex(&image.model_hash),
            "target": image.target_name,
            "inputs": image.inputs.iter().map(|port| &port.name).collect::<Vec<_>>(),
            "outputs": image.outputs.iter().map(|port| &port.name).collect::<Vec<_>>(),
            "populations": populations,
            "chips": image.chips.iter().map(chip).collect::<Vec<_>>(),
            "cores": self.image.cores().map(|(number, core)| self.row(number, core)).collect::<Vec<_>>(),
            "notes": image.notes.iter().map(|(key, text)| json!({ "key": key, "text": text })).collect::<Vec<_>>(),
        })
    }

    fn neuron(&self, name: &str, neuron: u32) -> Result<Value, String> {
        let (core, index) = self.place(name, neuron)?;
        let application = self.application(core)?;
        let key = self.image.key(application, index);
        let stops = key.map_or_else(Vec::new, |key| self.image.walk(core, key));
        let chip = self.image.chip_of(core);
        let mut value = json!({
            "neuron": format!("{name}[{neuron}]"),
            "core": self.core_name(core),
            "core_number": core,
            "chip": self.image.position(chip),
            "index_on_core": index,
            "key": key.map_or("none".to_owned(), hex),
            "route": stops.iter().map(|stop| {
                let entry = stop.entry.and_then(|at| Some((at, self.image.chip(stop.chip)?.routes[at])));
                json!({
                    "chip": self.image.position(stop.chip),
                    "came": stop.came.map_or("from here".to_owned(), |link| format!("going {}", route_text(1 << link))),
                    "entry": entry.map_or("default".to_owned(), |(at, _)| at.to_string()),
                    "key": entry.map_or("–".to_owned(), |(_, entry)| hex(entry.key)),
                    "mask": entry.map_or("–".to_owned(), |(_, entry)| hex(entry.mask)),
                    "to": route_text(stop.route),
                })
            }).collect::<Vec<_>>(),
        });
        let mut targets = Vec::new();
        for packet in self.image.packets(core, index) {
            for target in self.image.arrivals(&self.image.walk(packet.core, packet.key)) {
                let Ok(neurons) = self.neurons(target) else { continue };
                let rows = self.memories(neurons, target)?.look_up(packet.key)?.unwrap_or_default();
                let words = rows.iter().filter_map(|place| row_synapses(&neurons.synaptic_words[place.clone()]).ok());
                targets.push(json!({
                    "core": self.core_name(target), "layer": self.slice(target),
                    "synapses": words.map(<[u32]>::len).sum::<usize>(),
                    "rows_at_words": rows.iter().map(|place| place.start.to_string()).collect::<Vec<_>>(),
                    "sent_by": self.core_name(packet.core), "held_steps": packet.held_steps,
                }));
            }
        }
        value["targets"] = json!(targets);
        if let CoreProgram::Neurons(neurons) = &application.program {
            let (n, at) = (&neurons.neurons, index as usize);
            let symbol = self.image.image.populations.iter().find(|population| population.name == name);
            let units = symbol.map(|symbol| &symbol.units_per_volt);
            value["parameters"] = json!({
                "program": if neurons.kind.is_delta { "delta" } else { "exponential currents" },
                "reset": if neurons.kind.subtracts { "by subtraction" } else { "to a value" },
                "start_step": neurons.start_step,
                "v": n.v[at], "v_rest": n.v_rest[at], "resistance": n.resistance[at], "membrane_keep": n.membrane_keep[at],
                "i_offset": n.i_offset[at], "v_reset": n.v_reset[at], "v_threshold": n.v_threshold[at],
                "refractory_steps": n.refractory_steps[at],
                "decays": neurons.synapse_types.iter().map(|kind| kind.decay[at].to_string()).collect::<Vec<_>>(),
            });
            value["units_per_volt"] = json!(units.and_then(|units| units.get(neuron as usize).or(units.first())));
        }
        Ok(value)
    }

    fn synapses(&self, from: (&str, u32), to: (&str, u32)) -> Result<Vec<Value>, String> {
        let (core, index) = self.place(from.0, from.1)?;
        let (target, neuron) = self.place(to.0, to.1)?;
        let neurons = self.neurons(target)?;
        let memories = self.memories(neurons, target)?;
        let mut found = Vec::new();
        for packet in self.image.packets(core, index) {
            let arrives = self.image.arrivals(&self.image.walk(packet.core, packet.key)).contains(&target);
            for place in memories.look_up(packet.key)?.unwrap_or_default() {
                for word in row_synapses(&neurons.synaptic_words[place.clone()])? {
                    let Synapse { weight, delay, synapse_type, target: at } = memories.parameters.format.decode(*word);
                    if at != neuron {
                        continue;
                    }
                    let shift = memories.parameters.left_shifts[synapse_type as usize];
                    let units = i64::from(weight) << shift;
                    found.push(json!({
                        "core": self.core_name(target), "row_at_word": place.start, "word": hex(*word), "weight": weight,
                        "type": if synapse_type == 0 { "excitatory" } else { "inhibitory" },
                        "input": if synapse_type == 0 { units } else { -units },
                        "delay_steps": delay + packet.held_steps, "held_steps": packet.held_steps, "packets_arrive": arrives,
                    }));
                }
            }
        }
        Ok(found)
    }

    fn core(&self, number: u32) -> Result<Value, String> {
        let application = self.application(number)?;
        let slice = self.image.slices.get(&number);
        let mut value = json!({
            "core": self.core_name(number),
            "core_number": number,
            "chip": self.image.position(self.image.chip_of(number)),
            "layer": slice.map(|slice| &slice.vertex),
            "first_neuron": slice.map(|slice| slice.first),
            "count": application.sources(),
            "key": application.key.map_or("none".to_owned(), hex),
            "mask": hex(self.image.mask(application)),
            "sdram_bytes": self.image.sdram_bytes(application),
        });
        if let Some(row) = self.resources.iter().find(|row| row.core == number) {
            let used = |used: &snncc_report::ResourceUse| json!({ "resource": used.resource, "used": used.used, "available": used.available, "unit": used.unit });
            value["resources"] = json!(row.resources.iter().map(used).collect::<Vec<_>>());
        }
        let CoreProgram::Neurons(neurons) = &application.program else {
            value["program"] = json!("sends packets, has no neurons");
            return Ok(value);
        };
        let memories = self.memories(neurons, number)?;
        let format = memories.parameters.format;
        let rows: u64 = memories.blocks.iter().map(|block| u64::from(block.rows)).sum();
        value["program"] = json!(if neurons.kind.is_delta { "delta" } else { "exponential currents" });
        value["start_step"] = json!(neurons.start_step);
        value["rows"] = json!(rows);
        value["synaptic_words"] = json!(neurons.synaptic_words.len());
        value["target_bits"] = json!(format.target_bits);
        value["type_bits"] = json!(format.type_bits);
        value["delay_slots"] = json!(format.slots());
        value["left_shifts"] = json!(memories.parameters.left_shifts);
        value["population_table"] = json!(self.table(neurons, &memories));
        Ok(value)
    }

    fn chip(&self, number: u32) -> Result<Value, String> {
        let (x, y) = self.image.position(number);
        let chip = self.image.chip(number).ok_or_else(|| format!("chip {number} at ({x}, {y}) is not used"))?;
        let entry = |(at, entry): (usize, &RouteEntry)| {
            json!({
                "entry": at, "key": hex(entry.key), "mask": hex(entry.mask), "to": route_text(entry.route),
                "links": (entry.route & ((1 << LINKS) - 1)).count_ones(), "cores": (entry.route >> LINKS).count_ones(),
                "packets_of": self.senders_of(chip, at),
            })
        };
        let cores = chip.cores.iter().map(|core| self.row(self.image.number(chip, core), core));
        Ok(json!({
            "chip": number,
            "position": (x, y),
            "cores": cores.collect::<Vec<_>>(),
            "sdram_bytes": chip.cores.iter().map(|core| self.image.sdram_bytes(core)).sum::<u64>(),
            "routing_entries": chip.routes.len(),
            "routing_table": chip.routes.iter().enumerate().map(entry).collect::<Vec<_>>(),
        }))
    }
}
