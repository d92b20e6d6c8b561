//! A mapped network as both formats give it: groups of neurons, connections, the core of each neuron.

use crate::architecture::Architecture;
use crate::yaml::{Place, problem};
use snncc_ids::{Diagnostic, Diagnostics, code, did_you_mean};
use std::collections::BTreeMap;

/// Most neurons of a network that is read: ranges name any number of them in a few bytes.
pub(crate) const MOST_NEURONS: usize = 1 << 22;

/// A mapped network, as its file describes it.
#[derive(Clone, Debug)]
pub struct Description {
    pub(crate) name: String,
    pub(crate) groups: Vec<Group>,
    /// Connections by pair of groups.
    pub(crate) connections: BTreeMap<(usize, usize), Vec<Connection>>,
}

/// A group of neurons.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) neurons: Vec<Neuron>,
}

/// A connection between neurons of two groups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Connection {
    pub(crate) source: u32,
    pub(crate) target: u32,
    pub(crate) weight: f64,
}

/// A neuron of the LIF model, in SANA-FE's units, and where it sits. The defaults are SANA-FE's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Neuron {
    pub(crate) threshold: f64,
    pub(crate) leak: f64,
    pub(crate) input_decay: f64,
    pub(crate) bias: f64,
    pub(crate) potential: f64,
    pub(crate) force_update: bool,
    pub(crate) log_spikes: bool,
    /// Index into the architecture's soma units.
    pub(crate) soma: u16,
    /// Index into the architecture's synapse units.
    pub(crate) synapse: u16,
    /// Core number, once mapped.
    pub(crate) core: Option<u32>,
}

impl Default for Neuron {
    fn default() -> Self {
        Self {
            threshold: 0.0,
            leak: 1.0,
            input_decay: 0.0,
            bias: 0.0,
            potential: 0.0,
            force_update: false,
            log_spikes: false,
            soma: 0,
            synapse: 0,
            core: None,
        }
    }
}

/// A refusal: the emulator has no model of it.
pub(crate) fn refusal(place: Place, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(code::UNSUPPORTED_BY_CHIP, message).span(place.start as usize, place.end as usize)
}

/// What both readers share: names of units, and what attributes mean.
pub(crate) struct Context<'a> {
    pub(crate) architecture: &'a Architecture,
    pub(crate) problems: Diagnostics,
}

impl<'a> Context<'a> {
    pub(crate) fn new(architecture: &'a Architecture) -> Self {
        Self { architecture, problems: Diagnostics::new() }
    }

    pub(crate) fn wrong(&mut self, place: Place, message: impl Into<String>) {
        // Each line of a large file can be wrong; a few say as much.
        if self.problems.0.len() < 100 {
            self.problems.push(problem(place, message));
        }
    }

    pub(crate) fn refuse(&mut self, place: Place, message: impl Into<String>) {
        if self.problems.0.len() < 100 {
            self.problems.push(refusal(place, message));
        }
    }

    fn unit<'n>(&mut self, place: Place, kind: &str, name: &str, names: impl Iterator<Item = &'n str>) -> Option<u16> {
        // `unit[3]` is one of a range of equal units.
        let base = name.split('[').next().unwrap_or(name);
        let names: Vec<&str> = names.collect();
        let found = names.iter().position(|known| *known == base);
        if found.is_none() {
            let message = format!("the architecture has no {kind} unit `{name}`; it has {}", names.join(", "));
            let mut diagnostic = problem(place, message);
            if let Some(guess) = did_you_mean(base, names.iter().copied()) {
                diagnostic = diagnostic.help(format!("did you mean `{guess}`?"));
            }
            self.problems.push(diagnostic);
        }
        found.map(|at| at as u16)
    }

    /// Sets the soma unit of a neuron.
    pub(crate) fn set_soma(&mut self, place: Place, name: &str, neuron: &mut Neuron) {
        let architecture = self.architecture;
        if let Some(at) = self.unit(place, "soma", name, architecture.somas.iter().map(|unit| &unit.name[..])) {
            neuron.soma = at;
        }
    }

    /// Sets the unit of synapses onto a neuron.
    pub(crate) fn set_synapse(&mut self, place: Place, name: &str, neuron: &mut Neuron) {
        let architecture = self.architecture;
        if let Some(at) = self.unit(place, "synapse", name, architecture.synapses.iter().map(|unit| &unit.name[..])) {
            neuron.synapse = at;
        }
    }

    /// Checks the dendrite unit of a neuron: they all do the same.
    pub(crate) fn check_dendrite(&mut self, place: Place, name: &str) {
        let architecture = self.architecture;
        self.unit(place, "dendrite", name, architecture.dendrites.iter().map(|unit| &unit[..]));
    }

    /// An attribute of a neuron: `text` is `None` for a value that is no scalar.
    pub(crate) fn attribute(&mut self, place: Place, key: &str, text: Option<&str>, neuron: &mut Neuron) {
        let Some(text) = text else {
            return self.refuse(place, format!("the attribute `{key}` with a list or map is not modelled"));
        };
        let number = text.parse::<f64>().ok().filter(|value| value.is_finite());
        let truth = match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        };
        let field = match key {
            "threshold" => &mut neuron.threshold,
            "leak_decay" => &mut neuron.leak,
            "input_decay" => &mut neuron.input_decay,
            "bias" => &mut neuron.bias,
            "potential" => &mut neuron.potential,
            "force_update" | "force_update_every_timestep" | "log_spikes" => {
                let Some(value) = truth else { return self.wrong(place, format!("`{key}` should be true or false")) };
                if key == "log_spikes" {
                    neuron.log_spikes = value;
                } else {
                    neuron.force_update = value;
                }
                return;
            }
            "log_potential" | "log_v" | "log_u" | "connections_out" => return,
            "soma_hw_name" => return self.set_soma(place, text, neuron),
            "synapse_hw_name" => return self.set_synapse(place, text, neuron),
            "dendrite_hw_name" => return self.check_dendrite(place, text),
            "reset" | "reverse_reset" | "reverse_threshold" if number == Some(0.0) => return,
            "refractory_delay" if matches!(text, "0" | "1") => return,
            "reset_mode" if text == "hard" => return,
            "reverse_reset_mode" if text == "none" => return,
            "reset" | "refractory_delay" | "reset_mode" | "reverse_reset_mode" => {
                return self
                    .refuse(place, format!("`{key}: {text}` is not modelled: neurons reset to 0 and fire again"));
            }
            // Without a reset of its own it changes nothing.
            "reverse_reset" | "reverse_threshold" if number.is_some() => return,
            _ => return self.refuse(place, format!("the attribute `{key}` of a neuron is not modelled")),
        };
        match number {
            Some(value) => *field = value,
            None => self.wrong(place, format!("`{key}` should be a number")),
        }
    }

    /// An attribute of a connection: the weight, where it is one.
    pub(crate) fn connection_attribute(&mut self, place: Place, key: &str, text: Option<&str>) -> Option<f64> {
        let number = text.and_then(|text| text.parse::<f64>().ok()).filter(|value| value.is_finite());
        match (key, number) {
            ("weight" | "w", Some(weight)) => Some(weight),
            ("weight" | "w", None) => {
                self.wrong(place, "a weight should be a number");
                None
            }
            ("delay" | "d", Some(0.0)) => None,
            ("delay" | "d", _) => {
                self.refuse(place, "delays are not modelled");
                None
            }
            _ => {
                self.refuse(place, format!("the attribute `{key}` of a connection is not modelled"));
                None
            }
        }
    }

    /// Maps neurons of a group to a core given as `tile.core`.
    pub(crate) fn map(&mut self, place: Place, address: &str, neurons: &mut [Neuron]) {
        let parts = address.split_once('.');
        let parsed = parts.and_then(|(tile, core)| Some((tile.parse().ok()?, core.parse().ok()?)));
        let Some((tile, core)) = parsed else {
            return self.wrong(place, format!("`{address}` is no core: write `tile.core`"));
        };
        match self.architecture.core_number(tile, core) {
            Some(core) => neurons.iter_mut().for_each(|neuron| neuron.core = Some(core)),
            None => {
                let (columns, rows) = self.architecture.mesh();
                let cores = self.architecture.cores_per_tile;
                let message = format!("there is no core {address}: {} tiles with {cores} cores each", columns * rows);
                self.wrong(place, message);
            }
        }
    }
}
