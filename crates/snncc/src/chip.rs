//! A compiled program on its emulator, of either family of chips: what commands ask of a run.
//!
//! The one place that knows both emulators. A run gives spikes, membranes, counts, time and energy; who asks for them does not
//! see which family they come from, but for the names of counts ([`RunSums`](crate::sums::RunSums)).

use crate::args::Timing;
use crate::network_sums;
use crate::output::{AnyImage, Opened};
use snncc_chip::Target;
use snncc_data::Stimulus;
use snncc_emu::spinnaker::{
    SpinnakerEmulator, SpinnakerMachine, SpinnakerProgram, SpinnakerRunOptions, SpinnakerTiming, SpinnakerTrace,
};
use snncc_emu::{Bound, Emulator, NetworkLevel, PopulationTrace, Program, RunOptions, Selection, Trace};
use snncc_ids::{Diagnostic, Diagnostics, code};
use snncc_image::Readout;
use snncc_report::Table;
use snncc_verify::{Chip, EmulatedChip, EmulatedMachine};

/// Length of a tick of a network without time step, in seconds.
const ABSTRACT_TICK_S: f64 = 1e-3;

/// A loaded program. Immutable: emulators on any number of threads share it.
pub(crate) enum ChipProgram {
    Compartments(Box<Program>),
    Machine {
        program: Box<SpinnakerProgram>,
        /// Length of a tick in picoseconds.
        tick_ps: u64,
    },
}

/// What to record in a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    /// Populations whose spikes are recorded; they are counted in any case.
    pub(crate) spikes: Selection,
    /// Populations whose current and membrane are recorded in each step.
    pub(crate) states: Selection,
    /// Whether one run may use several threads.
    pub(crate) threads: bool,
    /// How exactly the network between cores is timed.
    pub(crate) timing: Timing,
}

/// How a mesh of cores is timed.
fn mesh_level(timing: Timing) -> NetworkLevel {
    match timing {
        Timing::Analytic => NetworkLevel::Analytic,
        Timing::Link => NetworkLevel::Link,
        Timing::Flit => NetworkLevel::Flit,
    }
}

/// How a machine is timed. [`ChipProgram::check_timing`] has refused what it does not know.
fn machine_level(timing: Timing) -> SpinnakerTiming {
    match timing {
        Timing::Analytic => SpinnakerTiming::Analytic,
        Timing::Link => SpinnakerTiming::Link,
        Timing::Flit => panic!("bug in snncc: flits on a machine"),
    }
}

/// Modelled time and energy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Costs {
    pub(crate) time_ps: u128,
    pub(crate) energy_fj: u128,
}

impl Costs {
    pub(crate) fn add(&mut self, other: Self) {
        self.time_ps += other.time_ps;
        self.energy_fj += other.energy_fj;
    }
}

impl ChipProgram {
    /// Loads the image of a folder. `dt_s`: time step of the network.
    ///
    /// # Errors
    /// What the emulator says of the image.
    pub(crate) fn load(opened: &Opened, dt_s: Option<f64>) -> Result<Self, Diagnostics> {
        let target = &opened.target;
        match &opened.image {
            AnyImage::Compartments(image) => {
                Program::load(image, target).map(|program| Self::Compartments(Box::new(program)))
            }
            AnyImage::Spinnaker(image) => {
                let machine = SpinnakerMachine::of(target);
                let program = SpinnakerProgram::load(image, &target.model, &machine, &target.file.costs)?;
                let tick_ps = (dt_s.unwrap_or(ABSTRACT_TICK_S) * 1e12).round() as u64;
                Ok(Self::Machine { program: Box::new(program), tick_ps })
            }
        }
    }

    /// Names of the input ports with the number of their elements.
    pub(crate) fn inputs(&self) -> Box<dyn Iterator<Item = (&str, u32)> + '_> {
        match self {
            Self::Compartments(program) => Box::new(program.inputs()),
            Self::Machine { program, .. } => Box::new(program.inputs()),
        }
    }

    /// Output ports: name, index of the population, what is read.
    pub(crate) fn outputs(&self) -> Box<dyn Iterator<Item = (&str, usize, Readout)> + '_> {
        match self {
            Self::Compartments(program) => Box::new(program.outputs()),
            Self::Machine { program, .. } => Box::new(program.outputs()),
        }
    }

    /// Populations: name and latency in steps; their order is that of [`ChipRun::populations`].
    pub(crate) fn populations(&self) -> Box<dyn Iterator<Item = (&str, u32)> + '_> {
        match self {
            Self::Compartments(program) => Box::new(program.populations().map(|(name, _, latency)| (name, latency))),
            Self::Machine { program, .. } => Box::new(program.populations().map(|(name, _, latency)| (name, latency))),
        }
    }

    /// Index of the population of this name.
    pub(crate) fn population(&self, name: &str) -> Option<usize> {
        self.populations().position(|(known, _)| known == name)
    }

    /// Length of a machine's tick in picoseconds.
    pub(crate) fn tick_ps(&self) -> Option<u64> {
        match self {
            Self::Compartments(_) => None,
            Self::Machine { tick_ps, .. } => Some(*tick_ps),
        }
    }

    /// An emulator before step 1.
    pub(crate) fn emulator(&self) -> ChipEmulator<'_> {
        match self {
            Self::Compartments(program) => ChipEmulator::Compartments(Emulator::new(program)),
            Self::Machine { program, tick_ps } => {
                ChipEmulator::Machine { emulator: Box::new(SpinnakerEmulator::new(program)), tick_ps: *tick_ps }
            }
        }
    }

    /// Refuses a level of timing that there is no model for.
    ///
    /// # Errors
    /// `SNN0110` where the cost table says nothing of the network, `SNN0205` for flits on a machine.
    pub(crate) fn check_timing(&self, timing: Timing, target: &Target) -> Result<(), Diagnostic> {
        match (self, timing) {
            (Self::Compartments(program), Timing::Link | Timing::Flit) if !program.has_network() => {
                let costs = &target.file.costs;
                let message = format!("the cost table `{costs}` of `{}` has no `network`", target.model.name);
                let problem = Diagnostic::error(code::HARDWARE_MODEL, message).at(format!("costs/{costs}"));
                Err(problem.help("take `--timing analytic`, or compile with a table that has it"))
            }
            (Self::Machine { .. }, Timing::Flit) => {
                let message = "a packet of a SpiNNaker-like machine is not cut into flits";
                Err(Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message).at("--timing").help("take `--timing link`"))
            }
            _ => Ok(()),
        }
    }

    /// Makes a machine's ticks so many times as long; whether there was nothing to refuse.
    pub(crate) fn stretch(&mut self, scale: u32) -> bool {
        match self {
            Self::Compartments(_) => scale == 1,
            Self::Machine { tick_ps, .. } => {
                *tick_ps = tick_ps.saturating_mul(scale.into());
                true
            }
        }
    }

    /// The emulator as a witness. `threads`: whether one run may use several. Timing that does not change what neurons compute is
    /// left out.
    pub(crate) fn witness(&self, threads: bool, timing: Timing) -> Box<dyn Chip + '_> {
        match self {
            Self::Compartments(program) => Box::new(EmulatedChip::new(program, true, threads)),
            Self::Machine { program, tick_ps } => {
                let machine = EmulatedMachine::new(program, Some(*tick_ps), threads);
                Box::new(machine.with_timing(machine_level(timing)))
            }
        }
    }
}

/// An emulator: the mutable state of a run. It may run any number of samples.
pub(crate) enum ChipEmulator<'a> {
    Compartments(Emulator<'a>),
    Machine { emulator: Box<SpinnakerEmulator<'a>>, tick_ps: u64 },
}

impl ChipEmulator<'_> {
    /// Runs a stimulus for so many chip steps, from the initial state.
    ///
    /// # Errors
    /// If the stimulus does not fit the program.
    pub(crate) fn run(
        &mut self,
        stimulus: &Stimulus,
        steps: u32,
        recording: &Recording,
    ) -> Result<ChipRun, Diagnostics> {
        let Recording { spikes, states, threads, timing } = recording.clone();
        match self {
            Self::Compartments(emulator) => {
                let network = mesh_level(timing);
                let options = RunOptions { spikes, states, threads, network, ..RunOptions::default() };
                let prepared = emulator.program().prepare(stimulus)?;
                Ok(ChipRun::Compartments(Box::new(emulator.run(&prepared, steps, &options))))
            }
            Self::Machine { emulator, tick_ps } => {
                let (tick_ps, timing) = (Some(*tick_ps), machine_level(timing));
                let options =
                    SpinnakerRunOptions { spikes, states, threads, tick_ps, timing, ..SpinnakerRunOptions::default() };
                let prepared = emulator.program().prepare(stimulus)?;
                Ok(ChipRun::Machine(Box::new(emulator.run(&prepared, steps, &options))))
            }
        }
    }
}

/// What a run gave.
pub(crate) enum ChipRun {
    Compartments(Box<Trace>),
    Machine(Box<SpinnakerTrace>),
}

impl ChipRun {
    /// What the populations did, in the program's order.
    pub(crate) fn populations(&self) -> &[PopulationTrace] {
        match self {
            Self::Compartments(trace) => &trace.populations,
            Self::Machine(trace) => &trace.populations,
        }
    }

    /// Time and energy of each step.
    pub(crate) fn step_costs(&self) -> Vec<Costs> {
        match self {
            Self::Compartments(trace) => {
                let steps = trace.step_records.iter();
                steps
                    .map(|step| Costs { time_ps: step.time_ps.into(), energy_fj: step.energy.total_fj().into() })
                    .collect()
            }
            Self::Machine(trace) => {
                let steps = trace.step_records.iter();
                steps.map(|step| Costs { time_ps: step.time_ps.into(), energy_fj: step.energy.total_fj() }).collect()
            }
        }
    }

    /// Longest time of a step; of a machine that of the slowest core, where a step takes a tick in any case.
    pub(crate) fn slowest_step_ps(&self) -> u64 {
        match self {
            Self::Compartments(trace) => trace.step_records.iter().map(|step| step.time_ps).max(),
            Self::Machine(trace) => trace.step_records.iter().map(|step| step.slowest_ps).max(),
        }
        .unwrap_or(0)
    }

    /// A warning for each kind of register that overflowed, and of packet that was late or lost.
    ///
    /// # Panics
    /// If the run is that of another program.
    pub(crate) fn warnings(&self, program: &ChipProgram) -> Vec<Diagnostic> {
        match (self, program) {
            (Self::Compartments(trace), ChipProgram::Compartments(program)) => trace.overflow_warnings(program),
            (Self::Machine(trace), ChipProgram::Machine { program, .. }) => {
                let late = trace.link.iter().flat_map(|link| link.warnings(program));
                trace.overflow_warnings(program).into_iter().chain(late).collect()
            }
            _ => panic!("bug in snncc: a run of another kind of chip"),
        }
    }

    /// What the network did in each step, for `network-NNNNN.csv`; nothing where its level does not tell.
    pub(crate) fn network_table(&self, target: &Target) -> Option<Table> {
        match self {
            Self::Compartments(trace) if !trace.network_steps.is_empty() => Some(network_sums::table(trace, target)),
            _ => None,
        }
    }

    /// Counts, time and energy of each step, for `timing-NNNNN.csv`.
    pub(crate) fn step_table(&self, program: &ChipProgram) -> Table {
        let fields = ["chip_step", "time_ps", "energy_fj"];
        let fill = |names: &[&str], rows: Vec<Vec<String>>| {
            let mut table = Table::new(&[&fields, names].concat());
            for ((number, costs), rest) in (1_u32..).zip(self.step_costs()).zip(rows) {
                let row = [number.to_string(), costs.time_ps.to_string(), costs.energy_fj.to_string()];
                table.row(row.into_iter().chain(rest).collect());
            }
            table
        };
        match self {
            Self::Compartments(trace) => {
                let names = ["bound", "updated", "fired", "packets", "hops", "synaptic_events", "host_spikes"];
                let row = |step: &snncc_emu::StepRecord| {
                    let bound = match step.bound {
                        Bound::Send(core) => format!("send {core}"),
                        Bound::Receive(core) => format!("receive {core}"),
                        Bound::Barrier => "barrier".to_owned(),
                    };
                    let counts =
                        [step.updated, step.fired, step.packets, step.hops, step.synaptic_events, step.host_spikes];
                    std::iter::once(bound).chain(counts.map(|count| count.to_string())).collect()
                };
                fill(&names, trace.step_records.iter().map(row).collect())
            }
            Self::Machine(trace) => {
                let names = [
                    "slowest_core",
                    "slowest_core_ps",
                    "overruns",
                    "updated",
                    "refractory",
                    "fired",
                    "packets",
                    "packets_in",
                    "hops",
                    "lost",
                    "rows",
                    "synaptic_events",
                    "saturations",
                    "membrane_saturations",
                    "host_spikes",
                ];
                let numbers: Vec<u32> = match program {
                    ChipProgram::Machine { program, .. } => program.core_numbers().collect(),
                    ChipProgram::Compartments(_) => panic!("bug in snncc: a run of another kind of chip"),
                };
                let row = |step: &snncc_emu::spinnaker::SpinnakerStep| {
                    let counts = [
                        numbers.get(step.slowest_core as usize).copied().unwrap_or(0).into(),
                        step.slowest_ps,
                        step.overruns.into(),
                        step.updated,
                        step.refractory,
                        step.fired,
                        step.packets,
                        step.packets_in,
                        step.hops,
                        step.dropped,
                        step.rows,
                        step.synaptic_events,
                        step.saturations,
                        step.membrane_saturations,
                        step.host_spikes,
                    ];
                    counts.map(|count: u64| count.to_string()).to_vec()
                };
                fill(&names, trace.step_records.iter().map(row).collect())
            }
        }
    }
}
