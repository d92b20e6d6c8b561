//! File tests: an ordinary network whose first comments are orders.
//!
//! ```ron
//! // target: tiny-loihi, lava-emu
//! // options: --no-align --weight-bits 4
//! // run: in[0] at 1,5*2; in[1] at 2 -> out[0] at 3,7*-1
//! // membrane: n[0] = 0, 0.5, 0.75
//! // totals: fired 3, time_ps 1200
//! // error: SNN0202 at nodes/fc
//! ```
//!
//! * `target`: built-in targets, or a target file beside the network; `loihi-emu` if left out.
//! * `options`: flags of the command. The network's own `mapping` is always used.
//! * `steps`: network steps to run; if left out, up to the last time in a `run`, and two more.
//! * `run`: spikes fed to inputs and expected of outputs or populations, in network steps, with payloads where they are not 1.
//!   What is not listed is silent; `-> out silent` says so of a whole port. Several `run` lines are several samples.
//! * `membrane`: voltages of a neuron after steps 1, 2, …, in the network's units, in the first run.
//! * `totals`: counts and costs of the first run.
//! * `error`, `warning`: codes with the items at fault; all errors of a file are listed, or it must compile.
//!
//! Every run is made by integer reference, emulator and, unless the network is given in integers or the order `float: differs`
//! stands there, the float reference. Compiling with 1 and 4 threads must give equal bytes; the network written and read again
//! must be the same; and its nodes in reverse order must give equal spikes, unless `order: matters`.

use crate::case::quantized;
use crate::observed::{self, Observed};
use crate::random_network::reversed;
use crate::road;
use snncc_chip::{Target, TargetFile};
use snncc_compile::{Compiled, Ctx, Observer, Options, OverflowPolicy, QuantizeStrategy, compile};
use snncc_data::{PortStimulus, SpikeTrain, Stimulus};
use snncc_emu::{Emulator, Program, RunOptions};
use snncc_formats::ron_network::{read_network, write_network};
use snncc_ids::{Diagnostic, Diagnostics, Severity};
use snncc_image::Image;
use snncc_ir::network::Reset;
use snncc_ir::{Network, Node};
use snncc_reference::float::{FloatNetwork, FloatOptions, Record};
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

/// A result, or what is wrong in one line or more.
pub type Outcome<T = ()> = Result<T, String>;

/// A spike: step and payload.
type Spike = (u32, i32);

/// Spikes by port or population, then neuron.
type Spikes = BTreeMap<String, BTreeMap<u32, Vec<Spike>>>;

/// Spikes fed and expected.
#[derive(Clone, Debug, Default, PartialEq)]
struct Run {
    fed: Spikes,
    expected: Spikes,
}

/// The orders of a file.
#[derive(Clone, Debug, Default, PartialEq)]
struct Orders {
    targets: Vec<String>,
    options: Options,
    steps: Option<u32>,
    runs: Vec<Run>,
    membranes: Vec<(String, u32, Vec<f64>)>,
    totals: Vec<(String, u128)>,
    errors: Vec<(String, String)>,
    warnings: Vec<(String, String)>,
    float_differs: bool,
    order_matters: bool,
}

/// Runs the file test at `path`.
///
/// # Errors
/// What did not go as the file orders.
pub fn check_file(path: &Path) -> Outcome {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let orders = Orders::parse(&text)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let of_errors = folder.ends_with("errors");
    let named = |(code, _): &(String, String)| stem.starts_with(code.as_str());
    if of_errors && !orders.errors.iter().chain(&orders.warnings).any(named) {
        return Err("the file is not named by a code that it expects".into());
    }
    for target in &orders.targets {
        let test = Test { orders: &orders, folder, text: &text };
        test.check(target).map_err(|fault| format!("on {target}: {fault}"))?;
    }
    Ok(())
}

/// Collects warnings.
#[derive(Default)]
struct Warnings(Vec<Diagnostic>);

impl Observer for Warnings {
    fn warning(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }
}

struct Test<'a> {
    orders: &'a Orders,
    folder: &'a Path,
    text: &'a str,
}

impl Test<'_> {
    fn check(&self, target: &str) -> Outcome {
        let mut warnings = Vec::new();
        let outcome = self.attempt(target, &mut warnings);
        let problems = match outcome {
            Ok(()) => Vec::new(),
            Err(Fault::Problems(problems)) => problems.0,
            Err(Fault::Text(text)) => return Err(text),
        };
        let (errors, more): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|problem| problem.severity == Severity::Error);
        warnings.extend(more);
        expect("errors", &self.orders.errors, &errors, true)?;
        // Warnings that no order names are left alone.
        expect("warnings", &self.orders.warnings, &warnings, false)
    }

    /// Everything up to the first stage that refuses.
    fn attempt(&self, target: &str, warnings: &mut Vec<Diagnostic>) -> Result<(), Fault> {
        let target = self.target(target)?;
        let mut files = |name: &str| std::fs::read(self.folder.join(name)).map_err(|error| error.kind().to_string());
        let parsed = read_network(self.text, &mut files)?;
        warnings.extend(parsed.warnings);
        let network = parsed.network;
        // Compared as text: fields that a model lacks are NaN, which equals nothing.
        let again = road::written_and_read(&network, 4)?;
        if write_network(&again, "tensors.npz", 4) != write_network(&network, "tensors.npz", 4) {
            return Err(Fault::Text("the network is another one once written and read".into()));
        }
        let mut options = self.orders.options.clone();
        options.mapping = network.mapping.clone();
        let compiled = self.compile(&network, &target, &options, warnings)?;
        let image = Image::from_bytes(&compiled.image.to_bytes())?;
        let program = Program::load(&image, &target)?;
        let backwards = reversed(&network);
        let other = match self.orders.order_matters {
            true => None,
            false => Some(self.compile(&backwards, &target, &options, &mut Vec::new())?),
        };
        for (number, run) in self.orders.runs.iter().enumerate() {
            let sample = Sample { test: self, network: &network, run, steps: self.steps(run) };
            let stimulus = sample.stimulus()?;
            let observed = sample.on_chip(&compiled, &program, &target, &stimulus)?;
            sample.expect_spikes("chip", &observed)?;
            if let Some(other) = &other {
                let program = Program::load(&other.image, &target)?;
                let theirs = sample.on_chip(other, &program, &target, &stimulus)?;
                let shown =
                    |observed: &[Observed]| observed.iter().map(|o| (o.group.clone(), o.spikes.clone())).collect();
                let (ours, theirs): (BTreeMap<_, _>, BTreeMap<_, _>) = (shown(&observed), shown(&theirs));
                if ours != theirs {
                    return Err(Fault::Text("populations declared in reverse fire otherwise".into()));
                }
            }
            if !self.orders.float_differs && !is_integer(&network) {
                sample.on_floats(&stimulus, number == 0)?;
            }
            let trace = self.trace(&program, &stimulus, sample.steps)?;
            warnings.extend(trace.overflow_warnings(&program));
            if number == 0 {
                sample.expect_membranes(&compiled, &observed)?;
                self.expect_totals(&trace)?;
            }
        }
        Ok(())
    }

    fn target(&self, name: &str) -> Result<Target, Fault> {
        if !name.ends_with(".ron") {
            return Ok(snncc_chip::target(name)?);
        }
        let text = std::fs::read_to_string(self.folder.join(name)).map_err(|error| Fault::Text(error.to_string()))?;
        let file = TargetFile::from_ron(name, &text)?;
        let model = snncc_chip::hardware_model(&file.hardware)?;
        Ok(Target::new(file, model)?)
    }

    /// Compiles with one thread and with four.
    fn compile(
        &self,
        network: &Network,
        target: &Target,
        options: &Options,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<Compiled, Fault> {
        let mut compiled = Vec::new();
        for threads in [1, 4] {
            let mut observer = Warnings::default();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let (result, told) = pool.install(|| {
                let mut local = Warnings::default();
                let result = compile(network, &mut Ctx { target, options, calibration: None, observer: &mut local });
                (result, local)
            });
            observer.0.extend(told.0);
            if threads == 1 {
                warnings.extend(observer.0);
            }
            compiled.push(result?);
        }
        let four = compiled.pop().expect("compiled twice");
        let one = compiled.pop().expect("compiled twice");
        if one.image.to_bytes() != four.image.to_bytes() {
            return Err(Fault::Text("four threads give other bytes than one".into()));
        }
        Ok(one)
    }

    /// Steps to run: as ordered, or two more than any spike needs.
    fn steps(&self, run: &Run) -> u32 {
        let all = run.fed.values().chain(run.expected.values()).flat_map(|neurons| neurons.values().flatten());
        self.orders.steps.unwrap_or_else(|| all.map(|(step, _)| *step).max().unwrap_or(0) + 2)
    }

    fn trace(&self, program: &Program, stimulus: &Stimulus, steps: u32) -> Result<snncc_emu::Trace, Fault> {
        let prepared = program.prepare(stimulus)?;
        Ok(Emulator::new(program).run(&prepared, steps, &RunOptions::default()))
    }

    fn expect_totals(&self, trace: &snncc_emu::Trace) -> Result<(), Fault> {
        let totals = &trace.totals;
        for (name, expected) in &self.orders.totals {
            let found = match name.as_str() {
                "updated" => totals.updated.into(),
                "fired" => totals.fired.into(),
                "packets" => totals.packets.into(),
                "hops" => totals.hops.into(),
                "synaptic_events" => totals.synaptic_events.into(),
                "host_spikes" => totals.host_spikes.into(),
                "host_writes" => totals.host_writes.into(),
                "time_ps" => totals.time_ps,
                "energy_fj" => totals.energy.total_fj(),
                other => return Err(Fault::Text(format!("there is no total `{other}`"))),
            };
            if found != *expected {
                return Err(Fault::Text(format!("{name} is {found}, expected {expected}")));
            }
        }
        Ok(())
    }
}

/// One run of a network.
struct Sample<'a> {
    test: &'a Test<'a>,
    network: &'a Network,
    run: &'a Run,
    steps: u32,
}

impl Sample<'_> {
    fn stimulus(&self) -> Outcome<Stimulus> {
        let mut stimulus = Stimulus::default();
        for (port, neurons) in &self.run.fed {
            let node = self.network.nodes.iter().find(|node| node.name == *port).map(|node| &node.node);
            let len = match node {
                Some(Node::Input { shape }) => shape.iter().product::<usize>() as u32,
                // Not a port: the stages must say so.
                _ => neurons.keys().last().map_or(1, |last| last + 1),
            };
            let mut dense = vec![0; (self.steps * len) as usize];
            for (neuron, spikes) in neurons {
                for (step, payload) in spikes {
                    let at = (step - 1) as usize * len as usize + *neuron as usize;
                    *dense.get_mut(at).ok_or("a spike outside the input or the steps")? = *payload;
                }
            }
            let spikes = SpikeTrain::from_dense(len, &dense).map_err(|fault| fault.to_string())?;
            stimulus.ports.push(PortStimulus { port: port.clone(), spikes });
        }
        Ok(stimulus)
    }

    /// Integer reference and emulator, which must agree. Spikes and states in network steps.
    fn on_chip(
        &self,
        compiled: &Compiled,
        program: &Program,
        target: &Target,
        stimulus: &Stimulus,
    ) -> Result<Vec<Observed>, Fault> {
        let ir = quantized(compiled);
        let latencies = || ir.graph.populations.iter().map(|population| population.latency_steps);
        let chip_steps = self.steps + latencies().max().unwrap_or(0);
        let found = observed::on_emulator(program, stimulus, chip_steps)?;
        let expected = observed::on_reference(ir, &target.model, stimulus, chip_steps)?;
        observed::compare(&expected, &found, chip_steps)
            .map_err(|difference| format!("emulator and integer reference: {difference}"))?;
        let moved = |mut observed: Observed| {
            let population = ir.graph.populations.iter().find(|population| population.name == observed.group);
            let latency = population.expect("a population of the network").latency_steps;
            let len = observed.spikes.neurons as usize;
            let mut spikes = SpikeTrain::new(observed.spikes.neurons);
            let mut payloads = Vec::new();
            for t in 1..=self.steps {
                let fired = observed.spikes.at(t + latency);
                spikes.push_step(fired.iter().copied());
                let given = observed.spikes.payloads_at(t + latency);
                payloads.extend(given.map_or(vec![1; fired.len()], <[i32]>::to_vec));
            }
            spikes.payloads = payloads.iter().any(|payload| *payload != 1).then_some(payloads);
            observed.spikes = spikes;
            observed.u.drain(..latency as usize * len);
            observed.v.drain(..latency as usize * len);
            observed
        };
        Ok(found.into_iter().map(moved).collect())
    }

    /// The population that a name means: its own, or that of an output port.
    fn population(&self, name: &str) -> Outcome<String> {
        let mut id = self.network.find(name).ok_or_else(|| format!("there is no node `{name}`"))?;
        while !self.network.nodes[id].node.is_population() {
            let mut sources = self.network.edges.iter().filter(|edge| edge.target == id).map(|edge| edge.source);
            id = sources.next().ok_or_else(|| format!("nothing leads to `{name}`"))?;
        }
        Ok(self.network.nodes[id].name.clone())
    }

    fn expect_spikes(&self, who: &str, observed: &[Observed]) -> Outcome {
        for (name, neurons) in &self.run.expected {
            let population = self.population(name)?;
            let found = observed.iter().find(|observed| observed.group == population);
            let found = found.ok_or_else(|| format!("{who}: `{population}` was not observed"))?;
            let mut spikes: BTreeMap<u32, Vec<Spike>> = BTreeMap::new();
            for (step, neuron, payload) in found.spikes.events() {
                spikes.entry(neuron).or_default().push((step, payload));
            }
            if spikes != *neurons {
                return Err(format!("{who}: `{name}` fires {}, expected {}", shown(&spikes), shown(neurons)));
            }
        }
        Ok(())
    }

    /// The float reference.
    fn on_floats(&self, stimulus: &Stimulus, membranes: bool) -> Result<(), Fault> {
        let options = FloatOptions { dt_s: self.test.orders.options.dt_s, reset: self.test.orders.options.reset };
        let network = FloatNetwork::new(self.network, &options)?;
        let states_of = self.test.orders.membranes.iter().map(|(name, _, _)| self.population(name));
        let record = Record { spikes: true, states_of: states_of.collect::<Result<_, _>>()?, ..Record::default() };
        let trace = network.run(&stimulus.into(), self.steps, &record)?;
        let observed: Vec<Observed> = (trace.populations.iter())
            .map(|population| {
                // Neurons that do not spike have no train.
                let spikes = population.spikes.clone().unwrap_or_else(|| SpikeTrain::silent(0, self.steps));
                Observed { group: population.name.clone(), u: Vec::new(), v: Vec::new(), spikes }
            })
            .collect();
        self.expect_spikes("float reference", &observed)?;
        for (name, neuron, expected) in self.test.orders.membranes.iter().filter(|_| membranes) {
            let population = trace.population(&self.population(name)?).expect("a population of the network");
            let Some(states) = &population.states else { continue };
            let len = states.v.len() / self.steps as usize;
            let found: Vec<f64> = states.v.iter().skip(*neuron as usize).step_by(len).copied().collect();
            expect_membrane("float reference", name, *neuron, expected, &found)?;
        }
        Ok(())
    }

    fn expect_membranes(&self, compiled: &Compiled, observed: &[Observed]) -> Outcome {
        let ir = quantized(compiled);
        for (name, neuron, expected) in &self.test.orders.membranes {
            let name = self.population(name)?;
            let (id, population) = (ir.graph.populations.iter_with_ids())
                .find(|(_, population)| population.name == name)
                .ok_or_else(|| format!("there is no population `{name}`"))?;
            let neurons = ir.neurons[id].as_ref().ok_or_else(|| format!("`{name}` is an input"))?;
            let states = observed.iter().find(|observed| observed.group == name).expect("a population");
            let (at, len) = (*neuron as usize, population.len());
            let volts = |units: &i64| *units as f64 / neurons.units_per_volt.get(at) + neurons.v_offset.get(at);
            let found: Vec<f64> = states.v.iter().skip(at).step_by(len).map(volts).collect();
            expect_membrane("chip", &name, *neuron, expected, &found)?;
        }
        Ok(())
    }
}

fn expect_membrane(who: &str, name: &str, neuron: u32, expected: &[f64], found: &[f64]) -> Outcome {
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * b.abs().max(1.0);
    match found.len() >= expected.len() && found.iter().zip(expected).all(close) {
        true => Ok(()),
        false => Err(format!("{who}: membrane of {name}[{neuron}] is {found:?}, expected {expected:?}")),
    }
}

fn shown(spikes: &BTreeMap<u32, Vec<Spike>>) -> String {
    let neuron = |(neuron, spikes): (&u32, &Vec<Spike>)| {
        let times = spikes.iter().map(|(step, payload)| match payload {
            1 => step.to_string(),
            payload => format!("{step}*{payload}"),
        });
        format!("[{neuron}] at {}", times.collect::<Vec<_>>().join(","))
    };
    let all: Vec<String> = spikes.iter().map(neuron).collect();
    if all.is_empty() { "never".into() } else { all.join("; ") }
}

fn is_integer(network: &Network) -> bool {
    network.nodes.iter().any(|node| matches!(node.node, Node::Compartments(_) | Node::Synapses(_)))
}

/// Whether the diagnostics are those expected: each named one is there, and, if `all`, no other.
fn expect(what: &str, expected: &[(String, String)], found: &[Diagnostic], all: bool) -> Outcome {
    let mut left: Vec<&Diagnostic> = found.iter().collect();
    let told = || found.iter().map(|problem| format!("\n    {problem}")).collect::<String>();
    for (code, item) in expected {
        let is_it = |problem: &&Diagnostic| {
            problem.code.number() == code && (item.is_empty() || problem.item.as_deref() == Some(item.as_str()))
        };
        match left.iter().position(is_it) {
            Some(at) => drop(left.remove(at)),
            None => return Err(format!("{what}: expected {code} at `{item}`; found:{}", told())),
        }
    }
    if all && !left.is_empty() {
        return Err(format!("{what} that no order names:{}", told()));
    }
    Ok(())
}

/// What stops a test.
enum Fault {
    Problems(Diagnostics),
    Text(String),
}

impl From<Diagnostics> for Fault {
    fn from(problems: Diagnostics) -> Self {
        Self::Problems(problems)
    }
}

impl From<String> for Fault {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Orders {
    /// The orders in the comments before the network.
    fn parse(text: &str) -> Outcome<Self> {
        let mut orders = Self::default();
        let comments = text.lines().map_while(|line| line.strip_prefix("//"));
        for line in comments {
            let Some((order, rest)) = line.trim().split_once(": ") else { continue };
            orders.order(order, rest.trim()).map_err(|fault| format!("`{}`: {fault}", line.trim()))?;
        }
        if orders.targets.is_empty() {
            orders.targets.push("loihi-emu".into());
        }
        if orders.runs.is_empty() && orders.errors.is_empty() && orders.warnings.is_empty() {
            return Err("the file orders nothing".into());
        }
        Ok(orders)
    }

    fn order(&mut self, order: &str, rest: &str) -> Outcome {
        match order {
            "target" => self.targets.extend(rest.split(',').map(|name| name.trim().to_string())),
            "options" => self.flags(rest)?,
            "steps" => self.steps = Some(number(rest)?),
            "run" => {
                let (fed, expected) = rest.split_once("->").ok_or("no `->`")?;
                self.runs.push(Run { fed: spikes(fed)?, expected: spikes(expected)? });
            }
            "membrane" => {
                let (neuron, values) = rest.split_once('=').ok_or("no `=`")?;
                let (name, neuron) = element(neuron.trim())?;
                let values = values.split(',').map(|value| number(value.trim())).collect::<Result<_, _>>()?;
                self.membranes.push((name, neuron, values));
            }
            "totals" => {
                for part in rest.split(',') {
                    let (name, value) = part.trim().split_once(' ').ok_or("a total is a name and a number")?;
                    self.totals.push((name.to_string(), number(value)?));
                }
            }
            "error" => self.errors.push(place(rest)),
            "warning" => self.warnings.push(place(rest)),
            "float" if rest == "differs" => self.float_differs = true,
            "order" if rest == "matters" => self.order_matters = true,
            // Prose with a colon.
            other if other.contains(' ') || other.starts_with(char::is_uppercase) => {}
            _ => return Err("no such order".into()),
        }
        Ok(())
    }

    fn flags(&mut self, flags: &str) -> Outcome {
        let options = &mut self.options;
        let mut words = flags.split_whitespace();
        while let Some(flag) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{flag} needs a value"));
            match flag {
                "--no-align" => options.align = false,
                "--allow-loop-latency" => options.allow_loop_latency = true,
                "--no-per-neuron-scales" => options.per_neuron_scales = false,
                "--weight-bits" => options.weight_bits = Some(number(value()?)?),
                "--effort" => options.effort = number(value()?)?,
                "--seed" => options.seed = Some(number(value()?)?),
                "--dt" => options.dt_s = Some(number(value()?)?),
                "--reset" => {
                    options.reset = Some(match value()? {
                        "to-value" => Reset::ToValue,
                        "subtract" => Reset::BySubtraction,
                        "snntorch-subtract" => Reset::SnntorchSubtract,
                        other => return Err(format!("reset {other}")),
                    });
                }
                "--quantizer" => {
                    options.strategy = match value()? {
                        "calibrated" => QuantizeStrategy::Calibrated,
                        "nengo-loihi" => QuantizeStrategy::NengoLoihi,
                        other => return Err(format!("quantizer {other}")),
                    };
                }
                "--overflow" => {
                    options.overflow = match value()? {
                        "error" => OverflowPolicy::Error,
                        "saturate" => OverflowPolicy::Saturate,
                        "wrap" => OverflowPolicy::Wrap,
                        other => return Err(format!("overflow {other}")),
                    };
                }
                other => return Err(format!("no such flag as {other}")),
            }
        }
        Ok(())
    }
}

fn number<T: FromStr>(text: &str) -> Outcome<T> {
    text.replace('_', "").parse().map_err(|_| format!("`{text}` is no such number"))
}

/// `SNN0202 at nodes/fc`, or the code alone.
fn place(text: &str) -> (String, String) {
    let (code, item) = text.split_once(" at ").unwrap_or((text, ""));
    (code.trim().to_string(), item.trim().to_string())
}

/// `port[3]`.
fn element(text: &str) -> Outcome<(String, u32)> {
    let (name, rest) = text.split_once('[').ok_or_else(|| format!("`{text}` names no neuron"))?;
    let index = rest.strip_suffix(']').ok_or_else(|| format!("`{text}` has no `]`"))?;
    Ok((name.to_string(), number(index)?))
}

/// `in[0] at 1,5; in[1] at 2*3`, `out silent`, or nothing.
fn spikes(text: &str) -> Outcome<Spikes> {
    let mut spikes = Spikes::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        if let Some(port) = part.strip_suffix(" silent") {
            spikes.entry(port.to_string()).or_default();
            continue;
        }
        let (port, times) = part.split_once(" at ").ok_or_else(|| format!("`{part}` says no times"))?;
        let (port, neuron) = element(port.trim())?;
        let mut train = Vec::new();
        for time in times.split(',').map(str::trim) {
            let (step, payload) = time.split_once('*').unwrap_or((time, "1"));
            train.push((number::<u32>(step)?, number(payload)?));
        }
        if train.iter().any(|(step, _)| *step == 0) {
            return Err("steps count from 1".into());
        }
        spikes.entry(port).or_default().insert(neuron, train);
    }
    Ok(spikes)
}
