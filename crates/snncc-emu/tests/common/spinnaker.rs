//! Images of SpiNNaker-like machines built by hand: neurons and synapses in, bytes of an image out.
#![allow(dead_code)]
#![allow(unreachable_pub)]
#![allow(missing_docs)]

use snncc_chip::{CoreKind, HardwareModel, SpinnakerCore, hardware_model};
use snncc_data::{PortStimulus, SpikeTrain, Stimulus};
use snncc_emu::Selection;
use snncc_emu::spinnaker::{
    SpinnakerEmulator, SpinnakerMachine, SpinnakerProgram, SpinnakerRunOptions, SpinnakerTrace,
};
use snncc_image::spinnaker::layout::{Synapse, SynapseFormat, SynapseParameters, push_block};
use snncc_image::spinnaker::table::{PopulationEntry, PopulationTable};
use snncc_image::spinnaker::{
    ApplicationCore, ChipImage, CoreProgram, NeuronCore, NeuronRegion, ProgramKind, RouteEntry, SpikeInput,
    SpinnakerImage, SynapseTypeRegion,
};
use snncc_image::{Location, OutputPort, PopulationSymbol, Readout};
use std::collections::BTreeMap;

pub const COLOUR_BITS: u8 = 4;
pub const FIRST_CORE: u32 = 2;

/// A neuron that keeps nothing of its membrane and spikes from 100 on; products are those with 1 = 2^15.
#[derive(Clone, Copy)]
pub struct Neuron {
    pub v: i32,
    pub v_rest: i32,
    pub resistance: i32,
    pub membrane_keep: i32,
    pub i_offset: i32,
    pub refractory_left: i32,
    pub v_reset: i32,
    pub refractory_steps: i32,
    pub v_threshold: i32,
    pub decay: [u32; 2],
    pub init: [u32; 2],
}

pub const NEURON: Neuron = Neuron {
    v: 0,
    v_rest: 0,
    resistance: 1 << 15,
    membrane_keep: 0,
    i_offset: 0,
    refractory_left: 0,
    v_reset: 0,
    refractory_steps: 0,
    v_threshold: 100,
    decay: [0; 2],
    init: [u32::MAX; 2],
};

pub const CURRENTS: ProgramKind = ProgramKind { is_delta: false, subtracts: false };
pub const DELTA: ProgramKind = ProgramKind { is_delta: true, subtracts: false };

pub enum Work {
    Injector(u32),
    Neurons { kind: ProgramKind, start_step: u32, neurons: Vec<Neuron>, left_shifts: [u8; 2], slots: u32 },
}

pub struct Core {
    pub chip: u32,
    pub core: u32,
    pub work: Work,
    pub ring_initial: Vec<(u32, u16)>,
    /// By core and neuron of the source.
    pub synapses: BTreeMap<usize, Vec<Vec<Synapse>>>,
}

impl Core {
    pub fn sources(&self) -> u32 {
        match &self.work {
            Work::Injector(sources) => *sources,
            Work::Neurons { neurons, .. } => neurons.len() as u32,
        }
    }
}

/// Cores in the order of their numbers. Each neuron core is a population `n0`, `n1` … with a membrane output.
pub struct Net {
    pub model: HardwareModel,
    pub machine: SpinnakerMachine,
    pub cores: Vec<Core>,
    /// Cores of the injectors of each input.
    pub inputs: Vec<(String, Vec<usize>)>,
    /// Chip and entry; where empty, each source goes to its targets, which are on its chip.
    pub routes: Vec<(u32, RouteEntry)>,
}

pub fn key_of(core: usize) -> u32 {
    (core as u32 + 1) << 16
}

pub fn entry(core: usize, route: u32) -> RouteEntry {
    RouteEntry { key: key_of(core), mask: 0xffff_0000, route }
}

impl Net {
    pub fn new(columns: u32, rows: u32) -> Self {
        Self {
            model: hardware_model("spinnaker1").unwrap(),
            machine: SpinnakerMachine::new(columns, rows, [false; 2]),
            cores: Vec::new(),
            inputs: Vec::new(),
            routes: Vec::new(),
        }
    }

    pub fn spinnaker(&mut self) -> &mut SpinnakerCore {
        match &mut self.model.core {
            CoreKind::Spinnaker(core) => core,
            CoreKind::Loihi(_) => unreachable!("spinnaker1 is of this family"),
        }
    }

    fn data(&self) -> &SpinnakerCore {
        self.model.spinnaker().unwrap()
    }

    fn push(&mut self, chip: u32, work: Work) -> usize {
        let core = FIRST_CORE + self.cores.iter().filter(|core| core.chip == chip).count() as u32;
        self.cores.push(Core { chip, core, work, ring_initial: Vec::new(), synapses: BTreeMap::new() });
        self.cores.len() - 1
    }

    /// An input of its own for a new injector.
    pub fn injector(&mut self, chip: u32, sources: u32) -> usize {
        let core = self.push(chip, Work::Injector(sources));
        self.inputs.push((format!("in{core}"), vec![core]));
        core
    }

    pub fn neurons(&mut self, chip: u32, kind: ProgramKind, neurons: Vec<Neuron>, slots: u32) -> usize {
        self.push(chip, Work::Neurons { kind, start_step: 1, neurons, left_shifts: [0; 2], slots })
    }

    /// `weight` below 0 is inhibitory.
    pub fn connect(&mut self, source: (usize, u32), target: (usize, u32), weight: i32, delay: u32) {
        let sources = self.cores[source.0].sources() as usize;
        let rows = self.cores[target.0].synapses.entry(source.0).or_insert_with(|| vec![Vec::new(); sources]);
        rows[source.1 as usize].push(Synapse {
            weight: u16::try_from(weight.unsigned_abs()).unwrap(),
            delay,
            synapse_type: u32::from(weight < 0),
            target: target.1,
        });
    }

    fn neuron_core(&self, core: &Core) -> Option<NeuronCore> {
        let Work::Neurons { kind, start_step, neurons, left_shifts, slots } = &core.work else { return None };
        let format = SynapseFormat::new(neurons.len() as u32, 2, *slots);
        let (mut memory, mut table) = (Vec::new(), PopulationTable::default());
        for (source, rows) in &core.synapses {
            let words: Vec<Vec<u32>> =
                rows.iter().map(|row| row.iter().map(|synapse| format.word(*synapse)).collect()).collect();
            let start = table.addresses.len() as u16;
            table.addresses.push(push_block(&mut memory, &words));
            let sources = self.cores[*source].sources();
            table.entries.push(PopulationEntry::of_core(key_of(*source), sources, COLOUR_BITS, start, 1));
        }
        let column = |get: fn(&Neuron) -> i32| neurons.iter().map(get).collect();
        let kinds = (0..2).map(|kind| SynapseTypeRegion {
            decay: neurons.iter().map(|neuron| neuron.decay[kind]).collect(),
            init: neurons.iter().map(|neuron| neuron.init[kind]).collect(),
            value: vec![0; neurons.len()],
        });
        Some(NeuronCore {
            kind: *kind,
            start_step: *start_step,
            neurons: NeuronRegion {
                v: column(|n| n.v),
                v_rest: column(|n| n.v_rest),
                resistance: column(|n| n.resistance),
                membrane_keep: column(|n| n.membrane_keep),
                i_offset: column(|n| n.i_offset),
                refractory_left: column(|n| n.refractory_left),
                v_reset: column(|n| n.v_reset),
                refractory_steps: column(|n| n.refractory_steps),
                v_threshold: column(|n| n.v_threshold),
            },
            synapse_types: if kind.is_delta { Vec::new() } else { kinds.collect() },
            synapse_parameters: SynapseParameters {
                neurons: neurons.len() as u32,
                format,
                drops_late: self.data().formats.drops_late.0,
                spike_buffer: self.data().limits.incoming_spikes.0,
                left_shifts: left_shifts.to_vec(),
            }
            .encode(),
            population_table: table.encode(),
            synaptic_words: memory,
            bit_fields: Vec::new(),
            ring_initial: core.ring_initial.clone(),
        })
    }

    pub fn image(&self) -> SpinnakerImage {
        let cores_per_chip = self.model.mesh.cores_per_router.0;
        let mut chips: BTreeMap<u32, ChipImage> = BTreeMap::new();
        let mut populations = Vec::new();
        for (at, core) in self.cores.iter().enumerate() {
            let chip = chips.entry(core.chip).or_default();
            let program = match self.neuron_core(core) {
                Some(neurons) => CoreProgram::Neurons(neurons),
                None => CoreProgram::Injector(core.sources()),
            };
            let is_source = self.cores.iter().any(|target| target.synapses.contains_key(&at))
                || self.routes.iter().any(|(_, entry)| entry.key == key_of(at));
            let key = is_source.then(|| key_of(at));
            if matches!(program, CoreProgram::Neurons(_)) {
                let number = core.chip * cores_per_chip + core.core;
                populations.push(PopulationSymbol {
                    name: format!("n{at}"),
                    shape: vec![core.sources()],
                    latency_steps: 1,
                    locations: (0..core.sources()).map(|compartment| Location { core: number, compartment }).collect(),
                    units_per_volt: vec![1.0],
                });
            }
            chip.cores.push(ApplicationCore { core: core.core, key, program });
            if is_source && self.routes.is_empty() {
                let targets = self.cores.iter().filter(|target| target.synapses.contains_key(&at));
                chip.routes.push(entry(at, targets.fold(0, |route, target| route | 1 << (6 + target.core))));
            }
        }
        for (chip, entry) in &self.routes {
            chips.entry(*chip).or_default().routes.push(*entry);
        }
        for (number, chip) in &mut chips {
            chip.chip = *number;
        }
        let inputs = self.inputs.iter().map(|(name, cores)| {
            let injectors: Vec<(u32, u32)> = cores
                .iter()
                .map(|core| &self.cores[*core])
                .map(|core| (core.chip * cores_per_chip + core.core, core.sources()))
                .collect();
            let elements = injectors.iter().map(|(_, sources)| sources).sum();
            SpikeInput { name: name.clone(), shape: vec![elements], injectors }
        });
        let outputs = (0..populations.len() as u32).map(|population| OutputPort {
            name: format!("out{population}"),
            population,
            readout: Readout::Membrane,
        });
        SpinnakerImage {
            model_name: self.model.name.clone(),
            model_hash: self.model.hash(),
            target_name: "by hand".into(),
            cores_per_chip,
            chips: chips.into_values().collect(),
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            populations,
            notes: Vec::new(),
        }
    }

    /// Loaded from the bytes of the image.
    pub fn program(&self) -> SpinnakerProgram {
        let image =
            SpinnakerImage::from_bytes(&self.image().to_bytes()).unwrap_or_else(|problems| panic!("{problems}"));
        SpinnakerProgram::load(&image, &self.model, &self.machine, "ticks")
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// A run with everything recorded; events are `(step, element)` of inputs by name.
    pub fn run(&self, events: &[(&str, &[(u32, u32)])], steps: u32, options: &SpinnakerRunOptions) -> SpinnakerTrace {
        let program = self.program();
        let elements = |name: &str| program.inputs().find(|(input, _)| *input == name).unwrap().1;
        let ports = events.iter().map(|(name, events)| PortStimulus {
            port: (*name).to_string(),
            spikes: SpikeTrain::from_events(elements(name), steps, events).unwrap(),
        });
        let stimulus = Stimulus { ports: ports.collect(), host_biases: Vec::new() };
        let stimulus = program.prepare(&stimulus).unwrap_or_else(|problems| panic!("{problems}"));
        SpinnakerEmulator::new(&program).run(&stimulus, steps, options)
    }
}

pub fn recorded() -> SpinnakerRunOptions {
    SpinnakerRunOptions {
        spikes: Selection::All,
        states: Selection::All,
        details: Selection::All,
        core_steps: true,
        ..SpinnakerRunOptions::default()
    }
}
