//! What a network was compiled to, of each family of chips: what verification asks of both.

use snncc_chip::HardwareModel;
use snncc_ids::{Id, PopulationId};
use snncc_image::spinnaker::SpinnakerImage;
use snncc_image::{Image, PopulationSymbol};
use snncc_ir::spinnaker::{SYNAPSE_TYPES, SpinnakerIr};
use snncc_ir::{Graph, OutputPort, Param, QuantizedIr};

/// Integers and image of a compiled network.
#[derive(Clone, Copy)]
pub enum Compiled<'a> {
    /// For Loihi-like chips.
    Compartments {
        /// The integers.
        quantized: &'a QuantizedIr,
        /// The image.
        image: &'a Image,
    },
    /// For SpiNNaker-like machines.
    Spinnaker {
        /// The integers.
        quantized: &'a SpinnakerIr,
        /// The image.
        image: &'a SpinnakerImage,
    },
}

impl<'a> Compiled<'a> {
    /// Populations and projections.
    pub fn graph(self) -> &'a Graph {
        match self {
            Self::Compartments { quantized, .. } => &quantized.graph,
            Self::Spinnaker { quantized, .. } => &quantized.graph,
        }
    }

    /// What leaves the chip.
    pub fn outputs(self) -> &'a [OutputPort] {
        match self {
            Self::Compartments { quantized, .. } => &quantized.outputs,
            Self::Spinnaker { quantized, .. } => &quantized.outputs,
        }
    }

    /// Populations of the image; of a SpiNNaker-like machine a compartment is the index of a neuron on its core.
    pub fn symbols(self) -> &'a [PopulationSymbol] {
        match self {
            Self::Compartments { image, .. } => &image.populations,
            Self::Spinnaker { image, .. } => &image.populations,
        }
    }

    /// Integer units per canonical volt, and what to add to a canonical voltage to get the network's; `None` for inputs.
    pub fn units(self, population: PopulationId) -> Option<(&'a Param, &'a Param)> {
        match self {
            Self::Compartments { quantized, .. } => {
                quantized.neurons[population].as_ref().map(|neurons| (&neurons.units_per_volt, &neurons.v_offset))
            }
            Self::Spinnaker { quantized, .. } => {
                quantized.neurons[population].as_ref().map(|neurons| (&neurons.units_per_volt, &neurons.v_offset))
            }
        }
    }

    /// The threshold of a neuron in integer units of its voltage.
    ///
    /// # Panics
    /// For an input: a bug of the caller.
    pub(crate) fn threshold(self, population: PopulationId, neuron: usize, model: &HardwareModel) -> f64 {
        let inputs = "bug in snncc: an input has no threshold";
        match self {
            Self::Compartments { quantized, .. } => {
                let neurons = quantized.neurons[population].as_ref().expect(inputs);
                let shift = model.loihi().arithmetic.threshold_shift;
                neurons.threshold_mantissa.get(neuron) as f64 * f64::from(shift).exp2()
            }
            Self::Spinnaker { quantized, .. } => {
                quantized.neurons[population].as_ref().expect(inputs).v_threshold.get(neuron).into()
            }
        }
    }

    /// What slots of a SpiNNaker-like machine's ring buffers mean as input of this neuron: excitatory less inhibitory, each
    /// shifted by its synapse type. 0 for other chips.
    pub(crate) fn input_of_slots(self, population: PopulationId, neuron: usize, slots: [u16; SYNAPSE_TYPES]) -> i64 {
        let Self::Spinnaker { quantized, .. } = self else { return 0 };
        let Some(neurons) = &quantized.neurons[population] else { return 0 };
        let [excitatory, inhibitory] =
            [0, 1].map(|kind| i64::from(slots[kind]) << neurons.synapse_types[kind].left_shift.get(neuron).min(32));
        excitatory - inhibitory
    }

    /// Fewest projections from an input to each population; those that no input reaches come last.
    pub(crate) fn distances(self) -> Vec<u32> {
        let graph = self.graph();
        let is_input = |population: &snncc_ir::Population| population.role == snncc_ir::PopulationRole::Input;
        let mut distance: Vec<u32> =
            graph.populations.iter().map(|population| if is_input(population) { 0 } else { u32::MAX }).collect();
        for round in 0..graph.populations.len() as u32 {
            for projection in &graph.projections {
                let (source, target) = (projection.source.index(), projection.target.index());
                if distance[source] == round && distance[target] > round + 1 {
                    distance[target] = round + 1;
                }
            }
        }
        distance
    }
}
