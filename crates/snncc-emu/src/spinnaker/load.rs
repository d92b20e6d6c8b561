//! From image to [`SpinnakerProgram`]: checks, and the rows that the spike of each source activates.

use super::check::{Judge, TYPES, core_name, neuron_bits};
use super::delay::DelayProgram;
use super::fabric::FabricBuilder;
use super::machine::SpinnakerMachine;
use super::program::{CoreProgram, Delivery, Effect, InputProgram, NeuronProgram, Sends, SpinnakerProgram};
use super::timing::Costs;
use super::walk::{KeyBlock, Tree, Walker};
use crate::load::{BuiltFor, other_model, place};
use crate::program::OutputProgram;
use snncc_chip::{HardwareModel, SpinnakerCore};
use snncc_ids::{Diagnostic, Diagnostics, code, did_you_mean};
use snncc_image::spinnaker::layout::{Memories, ROW_HEADER_WORDS, row_synapses};
use snncc_image::spinnaker::{ApplicationCore, CoreProgram as ImageProgram, NeuronCore, SpinnakerImage};
use std::cell::RefCell;

/// Neurons, plus synapse words weighed by how rarely they act, from which threads are worth waking in each step.
const WORTH_THREADS: u64 = 1 << 14;
/// About one synapse in this many acts in a step, compared with a neuron's update.
const SYNAPSES_PER_UPDATE: u64 = 32;

impl SpinnakerProgram {
    /// Checks an image against a machine of chips of this model, and lays it out for emulation. `costs` names a cost table of
    /// the model.
    ///
    /// Every capacity of docs/CHIP_SEMANTICS.md ("Resources of SpiNNaker-like cores") is counted anew, and every packet walked
    /// through the routing tables.
    ///
    /// # Errors
    /// `SNN0701` for an image of another hardware model; `SNN0111` for an unknown cost table; `SNN0109` for an image that is
    /// damaged or does not fit: one diagnostic for each resource of each core or chip, with what is used and what is there.
    pub fn load(
        image: &SpinnakerImage,
        model: &HardwareModel,
        machine: &SpinnakerMachine,
        costs: &str,
    ) -> Result<SpinnakerProgram, Diagnostics> {
        let Some(core) = model.spinnaker().filter(|_| image.model_hash == model.hash()) else {
            let built_for = BuiltFor { model: &image.model_name, hash: &image.model_hash, target: &image.target_name };
            return Err(other_model(&built_for, model, &model.name).into());
        };
        let Some(table) = core.costs.get(costs) else {
            return Err(unknown_costs(core, model, costs).into());
        };
        let mut judge =
            Judge { machine, model, core, cores_per_chip: image.cores_per_chip, problems: Diagnostics::new() };
        let memories = judge.check(image);
        if judge.problems.has_errors() {
            return Err(judge.problems);
        }
        let places = Loader::places(image, &memories);
        let fabric = RefCell::new(FabricBuilder::new(table, places.len()));
        let loader = Loader { image, machine, core, places, fabric };
        let program = loader.load(&mut judge, Costs::new(table));
        if judge.problems.has_errors() { Err(judge.problems) } else { Ok(program) }
    }
}

fn unknown_costs(core: &SpinnakerCore, model: &HardwareModel, costs: &str) -> Diagnostic {
    let names: Vec<&str> = core.costs.keys().map(String::as_str).collect();
    let message = format!("hardware model `{}` has no cost table `{costs}`", model.name);
    let diagnostic = Diagnostic::error(code::UNKNOWN_TARGET, message).note(format!("known: {}", names.join(", ")));
    match did_you_mean(costs, names) {
        Some(guess) => diagnostic.help(format!("did you mean `{guess}`?")),
        None => diagnostic,
    }
}

/// A core of the image.
struct Place<'a> {
    chip: u32,
    number: u32,
    core: &'a ApplicationCore,
    /// Of a core with neurons.
    memories: Option<&'a Memories>,
}

struct Loader<'a> {
    image: &'a SpinnakerImage,
    machine: &'a SpinnakerMachine,
    core: &'a SpinnakerCore,
    /// By ascending number.
    places: Vec<Place<'a>>,
    /// Gets the trees of packets as they are walked.
    fabric: RefCell<FabricBuilder>,
}

impl<'a> Loader<'a> {
    fn places(image: &'a SpinnakerImage, memories: &'a [Memories]) -> Vec<Place<'a>> {
        let mut memories = memories.iter();
        let cores = image.chips.iter().flat_map(|chip| chip.cores.iter().map(move |core| (chip.chip, core)));
        cores
            .map(|(chip, core)| Place {
                chip,
                number: chip * image.cores_per_chip + core.core,
                core,
                memories: match core.program {
                    ImageProgram::Neurons(_) => memories.next(),
                    ImageProgram::Injector(_) | ImageProgram::DelayExtension(_) => None,
                },
            })
            .collect()
    }

    fn index(&self, number: u32) -> Option<usize> {
        self.places.binary_search_by_key(&number, |place| place.number).ok()
    }

    fn load(&self, judge: &mut Judge<'_>, costs: Costs) -> SpinnakerProgram {
        let neurons = self.places.iter().map(|place| match &place.core.program {
            ImageProgram::Neurons(core) => core.neurons.len(),
            ImageProgram::Injector(_) | ImageProgram::DelayExtension(_) => 0,
        });
        let (populations, symbols) =
            place(&self.image.populations, neurons, |number| self.index(number), &mut judge.problems);
        let mut cores = Vec::with_capacity(self.places.len());
        let mut work = 0;
        for (place, symbols) in self.places.iter().zip(symbols) {
            let neurons = match (&place.core.program, place.memories) {
                (ImageProgram::Neurons(core), Some(memories)) => Some(neuron_program(core, memories)),
                _ => None,
            };
            let delay = match &place.core.program {
                ImageProgram::DelayExtension(image) => Some(DelayProgram::new(image)),
                ImageProgram::Neurons(_) | ImageProgram::Injector(_) => None,
            };
            work += neurons
                .as_ref()
                .map_or(0, |neurons| neurons.region.len() as u64 + neurons.words.len() as u64 / SYNAPSES_PER_UPDATE);
            cores.push(CoreProgram {
                number: place.number,
                name: core_name(place.chip, place.core.core, self.machine.columns),
                neurons,
                delay,
                sends: self.sends(place, judge),
                spike_buffer: match (&place.core.program, place.memories) {
                    (ImageProgram::Injector(_), _) => 0,
                    (_, Some(memories)) => memories.parameters.spike_buffer,
                    (_, None) => self.core.limits.incoming_spikes.0,
                },
                symbols,
            });
        }
        let arithmetic = &self.core.arithmetic;
        SpinnakerProgram {
            worth_threads: cores.len() > 1 && work >= WORTH_THREADS,
            cores,
            inputs: self.inputs(),
            outputs: OutputProgram::of(&self.image.outputs),
            populations,
            costs,
            product: arithmetic.product,
            fraction_bits: u32::from(self.core.formats.fraction_bits.0),
            fabric: self.fabric.borrow_mut().take(),
            colour_bits: u32::from(self.core.formats.colour_bits.0),
            columns: self.machine.columns,
            chips: self.image.chips.len() as u32,
        }
    }

    fn inputs(&self) -> Vec<InputProgram> {
        let port = |port: &snncc_image::spinnaker::SpikeInput| {
            let mut elements = 0;
            let mut injectors = Vec::with_capacity(port.injectors.len());
            for &(number, count) in &port.injectors {
                let core = self.index(number).expect("bug in snncc: an injector that was checked");
                injectors.push((elements, core as u32));
                elements += count;
            }
            InputProgram { name: port.name.clone(), elements, injectors }
        };
        self.image.inputs.iter().map(port).collect()
    }

    /// Walks the packets of a core, and finds the rows that they activate where they arrive.
    fn sends(&self, place: &Place<'_>, judge: &mut Judge<'_>) -> Sends {
        let mut sends = Sends { starts: vec![0], ..Sends::default() };
        let Some(key) = place.core.key else { return sends };
        let colour_bits = u32::from(self.core.formats.colour_bits.0);
        let block = KeyBlock { key, neuron_bits: neuron_bits(place.core), colour_bits };
        let mut fault = None;
        let walker = Walker { machine: self.machine, chips: &self.image.chips };
        walker.walk(place.chip, block, place.core.sources() as u32, &mut |first, count, tree: &Tree| {
            let targets = self.targets(tree, &mut fault);
            if targets.len() < tree.arrivals.len() {
                return;
            }
            let in_fabric = self.fabric.borrow_mut().add(tree, &targets);
            for source in first..first + count {
                for &target in &targets {
                    self.deliver(target, key + (source << colour_bits), &mut sends.deliveries, &mut fault);
                }
                sends.starts.push(sends.deliveries.len());
                sends.ways.push((tree.hops, tree.drops));
                sends.trees.push(in_fabric);
            }
        });
        if let Some(fault) = fault {
            judge.refuse_core(place.chip, place.core.core, "key", fault);
        }
        sends
    }

    /// Indices of the cores where a packet arrives.
    fn targets(&self, tree: &Tree, fault: &mut Option<String>) -> Vec<usize> {
        let mut targets = Vec::with_capacity(tree.arrivals.len());
        for &(chip, core) in &tree.arrivals {
            match self.index(chip * self.image.cores_per_chip + core) {
                Some(index) if !matches!(self.places[index].core.program, ImageProgram::Injector(_)) => {
                    targets.push(index)
                }
                _ => {
                    let name = core_name(chip, core, self.machine.columns);
                    fault.get_or_insert(format!(
                        "its packets go to {name}, which has neither neurons nor a delay extension"
                    ));
                }
            }
        }
        targets
    }

    fn deliver(&self, target: usize, key: u32, deliveries: &mut Vec<Delivery>, fault: &mut Option<String>) {
        let place = &self.places[target];
        let alone = |effect, first_word| Delivery {
            core: target as u32,
            first_word,
            synapses: 0,
            row_words: 0,
            is_first: true,
            effect,
        };
        let (core, memories) = match (&place.core.program, place.memories) {
            (ImageProgram::Neurons(core), Some(memories)) => (core, memories),
            (ImageProgram::DelayExtension(delay), _) => {
                deliveries.push(match delay.neuron(key) {
                    None => alone(Effect::Unmatched, 0),
                    Some(None) => alone(Effect::NoRow, 0),
                    Some(Some(neuron)) => alone(Effect::Held, neuron),
                });
                return;
            }
            _ => return,
        };
        match memories.look_up(key) {
            Err(what) => {
                let name = core_name(place.chip, place.core.core, self.machine.columns);
                fault.get_or_insert(format!("on {name}, {what}"));
            }
            Ok(None) => deliveries.push(alone(Effect::Unmatched, 0)),
            Ok(Some(rows)) if rows.is_empty() => deliveries.push(alone(Effect::NoRow, 0)),
            Ok(Some(rows)) => {
                for (at, row) in rows.into_iter().enumerate() {
                    let words = &core.synaptic_words[row.clone()];
                    let synapses = row_synapses(words).expect("bug in snncc: a row that was checked").len();
                    deliveries.push(Delivery {
                        synapses: synapses as u16,
                        row_words: row.len() as u16,
                        is_first: at == 0,
                        ..alone(Effect::Row, (row.start + ROW_HEADER_WORDS) as u32)
                    });
                }
            }
        }
    }
}

fn neuron_program(core: &NeuronCore, memories: &Memories) -> NeuronProgram {
    let mut left_shifts = [0; TYPES];
    left_shifts.copy_from_slice(&memories.parameters.left_shifts);
    NeuronProgram {
        kind: core.kind,
        start_step: core.start_step,
        region: core.neurons.clone(),
        types: core.synapse_types.clone(),
        left_shifts,
        format: memories.parameters.format,
        words: core.synaptic_words.clone(),
        ring_initial: core.ring_initial.clone(),
        drops_late: memories.parameters.drops_late,
    }
}
