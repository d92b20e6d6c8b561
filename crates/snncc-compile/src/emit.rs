//! The image of a routed network.
//!
//! Cores are made in parallel and collected in order, so the bytes do not depend on the number of threads.

use crate::backend::{Backend, Resource, View, backend};
use crate::options::Ctx;
use crate::partition::{Partitioned, borrow_parts};
use crate::route::Routed;
use rayon::prelude::*;
use snncc_ids::{Diagnostics, Id};
use snncc_image::{
    AxonTable, AxonTarget, CoreImage, Image, InputPort, Location, OutputPort, PopulationSymbol, Readout,
};
use snncc_ir::{Param, PopulationRole};

/// Makes the image. Its notes are empty.
///
/// # Errors
/// None at present: what could not be represented was refused before.
pub fn emit(routed: &Routed, ctx: &mut Ctx<'_>) -> Result<Image, Diagnostics> {
    let placed = routed.placed();
    let partitioned = placed.partitioned();
    let view = View::new(partitioned.ir());
    let backend = backend(&view, ctx.target);
    let mut by_place: Vec<usize> = (0..partitioned.cores().len()).collect();
    by_place.sort_by_key(|core| placed.core(*core));
    let mut cores: Vec<CoreImage> = by_place
        .par_iter()
        .map(|core| {
            let (mut image, sources) = backend.core_image(&borrow_parts(&partitioned.parts_of(*core)));
            let counted = &partitioned.cores()[*core];
            assert_eq!(sources, counted.sources, "bug in snncc: axons emitted and counted differ");
            let words = image.synapse_words.len() as u64;
            assert_eq!(
                words,
                counted.used.get(Resource::SynapseWords),
                "bug in snncc: words emitted and counted differ"
            );
            image.core = placed.core(*core).0;
            image
        })
        .collect();
    let axons = Axons::new(&view, partitioned, &by_place, |core| placed.core(core).0);
    for (image, core) in cores.iter_mut().zip(&by_place) {
        let neurons = partitioned
            .slices_of(*core)
            .flat_map(|(_, slice)| partitioned.neurons(slice).map(|neuron| view.global(slice.population, neuron)));
        image.out_axons = axons.table(neurons);
    }
    let graph = &view.ir.graph;
    let inputs = graph.populations.iter_with_ids().filter(|(_, population)| population.role == PopulationRole::Input);
    let inputs = inputs
        .map(|(id, population)| InputPort {
            name: population.name.clone(),
            shape: image_shape(&population.shape),
            axons: axons.table((0..population.len() as u32).map(|element| view.global(id, element))),
        })
        .collect();
    let (populations, number_of) = symbols(&view, routed);
    let outputs = view
        .ir
        .outputs
        .iter()
        .map(|port| OutputPort {
            name: port.name.clone(),
            population: number_of[port.population.index()].expect("bug in snncc: an output reads an input"),
            readout: match port.readout {
                snncc_ir::Readout::Spikes => Readout::Spikes,
                snncc_ir::Readout::Membrane => Readout::Membrane,
            },
        })
        .collect();
    Ok(Image {
        model_name: ctx.target.model.name.clone(),
        model_hash: ctx.target.model.hash(),
        target_name: ctx.target.name().to_string(),
        cores,
        inputs,
        outputs,
        populations,
        notes: Vec::new(),
    })
}

fn image_shape(shape: &[usize]) -> Vec<u32> {
    shape.iter().map(|len| u32::try_from(*len).expect("bug in snncc: a dimension of 2^32")).collect()
}

/// Destinations of every source in compressed rows.
struct Axons {
    starts: Vec<u32>,
    targets: Vec<AxonTarget>,
}

impl Axons {
    /// Inverts the cores' lists of sources; `cores` by ascending place, so that rows are ascending too.
    fn new(view: &View<'_>, partitioned: &Partitioned, cores: &[usize], place: impl Fn(usize) -> u32) -> Self {
        let mut starts = vec![0_u32; view.global_len() + 1];
        for source in cores.iter().flat_map(|core| &partitioned.cores()[*core].sources) {
            starts[*source as usize + 1] += 1;
        }
        for at in 0..view.global_len() {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut targets = vec![AxonTarget { core: 0, axon: 0 }; starts[view.global_len()] as usize];
        for core in cores {
            for (axon, source) in partitioned.cores()[*core].sources.iter().enumerate() {
                let at = &mut next[*source as usize];
                targets[*at as usize] = AxonTarget { core: place(*core), axon: axon as u32 };
                *at += 1;
            }
        }
        Self { starts, targets }
    }

    fn table(&self, sources: impl Iterator<Item = u32>) -> AxonTable {
        let mut table = AxonTable::default();
        for source in sources {
            let row = self.starts[source as usize] as usize..self.starts[source as usize + 1] as usize;
            table.targets.extend_from_slice(&self.targets[row]);
            table.starts.push(table.targets.len() as u32);
        }
        table
    }
}

/// Symbols of the populations with neurons, and the number of each population among them.
fn symbols(view: &View<'_>, routed: &Routed) -> (Vec<PopulationSymbol>, Vec<Option<u32>>) {
    let placed = routed.placed();
    let partitioned = placed.partitioned();
    let mut symbols = Vec::new();
    let mut number_of = Vec::new();
    for (id, population) in view.ir.graph.populations.iter_with_ids() {
        let Some(neurons) = &view.ir.neurons[id] else {
            number_of.push(None);
            continue;
        };
        number_of.push(Some(symbols.len() as u32));
        let units = &neurons.units_per_volt;
        symbols.push(PopulationSymbol {
            name: population.name.clone(),
            shape: image_shape(&population.shape),
            latency_steps: population.latency_steps,
            locations: vec![Location { core: 0, compartment: 0 }; population.len()],
            units_per_volt: match units {
                Param::Uniform(units) => vec![*units],
                Param::PerNeuron(units) => units.clone(),
            },
        });
    }
    for core in 0..partitioned.cores().len() {
        let mut compartment = 0;
        for (_, slice) in partitioned.slices_of(core) {
            let number = number_of[slice.population.index()].expect("bug in snncc: an input on a core") as usize;
            for neuron in partitioned.neurons(slice) {
                symbols[number].locations[neuron as usize] = Location { core: placed.core(core).0, compartment };
                compartment += 1;
            }
        }
    }
    (symbols, number_of)
}
