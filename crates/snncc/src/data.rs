//! Input data: from files to one stimulus per sample, coded when it is needed.

use crate::args::DataArgs;
use crate::files::InputFile;
use crate::session::{Failure, Session};
use crate::values::{InputValue, RangeValue};
use snncc_data::{
    Coding, DEFAULT_DELTA, Encoded, HostBias, InputCoding, PortStimulus, SampleValues, Samples, Stimulus,
    clipped_values, encode_with,
};
use snncc_formats::data_files::{DataKind, read_labels, read_samples};
use snncc_ids::{Diagnostic, Diagnostics, ProjectionId, code, did_you_mean};
use snncc_ir::network::RunDefaults;
use snncc_ir::shapes::Shapes;
use snncc_ir::{Ir, IrNeurons, IrWeights, Network, Node, PopulationRole, Projection};
use std::path::PathBuf;

/// Steps of a sample where neither the user nor the data says.
const DEFAULT_STEPS: u32 = 64;
/// Most steps that data alone may ask for: beyond, its times are more likely microseconds than steps, or it is damaged.
const MOST_STEPS_OF_DATA: u32 = 1 << 20;

/// What to read, and how to code it.
pub(crate) struct DataRequest<'a> {
    pub(crate) inputs: &'a [InputValue],
    pub(crate) labels: Option<&'a PathBuf>,
    pub(crate) kind: Option<DataKind>,
    pub(crate) coding: Option<Coding>,
    pub(crate) ranges: &'a [RangeValue],
    pub(crate) delta: Option<f64>,
    pub(crate) steps: Option<u32>,
    pub(crate) samples: Option<usize>,
    pub(crate) seed: u64,
    /// What the network says where the user does not.
    pub(crate) defaults: &'a RunDefaults,
}

impl<'a> DataRequest<'a> {
    /// For the flags of a command and the network's own defaults.
    pub(crate) fn new(args: &'a DataArgs, defaults: &'a RunDefaults) -> Self {
        Self {
            inputs: &args.input,
            labels: args.labels.as_ref(),
            kind: args.data_kind,
            coding: args.coding,
            ranges: &args.range,
            delta: args.delta,
            steps: args.steps,
            samples: args.samples,
            seed: args.seed,
            defaults,
        }
    }

    /// The coding that user or network asks for; data that turns out to be spikes stays what it is in the second case.
    fn wanted_coding(&self) -> Option<Coding> {
        self.coding.or_else(|| Coding::find(self.defaults.coding.as_deref()?))
    }

    /// The coding of data such as this.
    fn coding_of(&self, samples: &Samples) -> Coding {
        match (&samples.values, self.coding) {
            (SampleValues::Spikes(_), None) => Coding::Spikes,
            _ => self.wanted_coding().unwrap_or_else(|| Coding::default_for(samples)),
        }
    }

    /// The range of a port's values: for the port or for all ports from the user, or from the network.
    fn range_of(&self, port: &str) -> Option<(f64, f64)> {
        let of_port = self.ranges.iter().rfind(|range| range.port.as_deref() == Some(port));
        let given = of_port.or_else(|| self.ranges.iter().rfind(|range| range.port.is_none()));
        let own = || self.defaults.ranges.iter().find(|(name, _)| name == port).map(|(_, range)| *range);
        given.map(|range| range.range).or_else(own)
    }

    /// Flags that do not go together.
    fn check(&self, coding: Coding, ports: &[Port]) -> Result<(), Diagnostic> {
        if let Some(name) = self.ranges.iter().find_map(|range| known_port(range.port.as_ref()?, ports).err()) {
            return Err(name);
        }
        if coding == Coding::Spikes && !self.ranges.is_empty() {
            return Err(mismatch("--range is for levels, and the data is spikes"));
        }
        if coding != Coding::Delta && self.delta.is_some() {
            return Err(mismatch(format!("--delta is for the coding delta; this one is `{}`", coding.name())));
        }
        Ok(())
    }
}

/// Samples of an input port, and how they are coded.
struct CodedPort {
    name: String,
    samples: Samples,
    coding: InputCoding,
}

/// Samples of every input port.
pub(crate) struct Data {
    ports: Vec<CodedPort>,
    pub(crate) coding: Coding,
    /// Network steps of a sample.
    pub(crate) steps: u32,
    /// Those of them in which it is fed: the first ones.
    pub(crate) input_steps: u32,
    /// Number of samples.
    pub(crate) count: usize,
    /// Class of each sample, where known.
    pub(crate) labels: Option<Vec<u32>>,
    seed: u64,
    /// Names of the files without folders, and the SHA-256 of each.
    pub(crate) files: Vec<(String, String)>,
}

/// What one sample feeds the network.
pub(crate) struct CodedSample {
    /// Spikes by port.
    pub(crate) stimulus: Stimulus,
    /// Constant values by port, for constant-current coding.
    pub(crate) analog: Vec<(String, Vec<f64>)>,
}

/// An input port of a network: name and number of elements.
pub(crate) type Port = (String, usize);

/// Reads the data for a network with these input ports.
///
/// # Errors
/// After the diagnostics have been shown.
pub(crate) fn load(session: &mut Session, request: &DataRequest<'_>, ports: &[Port]) -> Result<Data, Failure> {
    let (data, warnings) = read(request, ports).map_err(|problems| session.fail(problems, None))?;
    session.say(warnings, None);
    Ok(data)
}

fn mismatch(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(code::STIMULUS_MISMATCH, message)
}

/// The data, and warnings.
///
/// # Errors
/// What is wrong with files and flags.
pub(crate) fn read(request: &DataRequest<'_>, ports: &[Port]) -> Result<(Data, Vec<Diagnostic>), Diagnostics> {
    if request.inputs.is_empty() {
        return silence(request, ports).map(|data| (data, Vec::new()));
    }
    let mut found: Vec<CodedPort> = Vec::new();
    let mut files = Vec::new();
    for input in request.inputs {
        let port = port_of(input, ports)?;
        if found.iter().any(|found| found.name == port.0) {
            return Err(mismatch(format!("input `{}` gets two files", port.0)).into());
        }
        let file = InputFile::read(&input.file)?;
        let samples = samples_of(&file, request)?;
        let coding = found.first().map_or_else(|| request.coding_of(&samples), |first| first.coding.coding);
        request.check(coding, ports)?;
        let elements = coding.port_elements(samples.elements());
        if elements != port.1 {
            let channels = match coding {
                Coding::Delta => format!(", {elements} with their ON and OFF channels"),
                _ => String::new(),
            };
            return Err(mismatch(format!(
                "a sample of `{}` has {} elements (shape {:?}){channels}, input `{}` of the network has {}",
                file.name(),
                samples.elements(),
                samples.shape,
                port.0,
                port.1
            ))
            .at(format!("nodes/{}", port.0))
            .into());
        }
        files.push((file.name(), file.sha256()));
        let delta = request.delta.unwrap_or(DEFAULT_DELTA);
        let coding = InputCoding { coding, range: request.range_of(&port.0), delta };
        found.push(CodedPort { name: port.0.clone(), samples, coding });
    }
    let counts: Vec<usize> = found.iter().map(|port| port.samples.count).collect();
    if let Some(different) = counts.iter().find(|count| **count != counts[0]) {
        return Err(mismatch(format!("the inputs have {} and {different} samples", counts[0])).into());
    }
    let available = counts.first().copied().unwrap_or(0);
    let mut labels = found.iter().find_map(|port| port.samples.labels.clone());
    if let Some(path) = request.labels {
        let file = InputFile::read(path)?;
        let read = read_labels(&file.name(), &file.bytes)?;
        if read.len() != available {
            return Err(
                mismatch(format!("`{}` has {} labels, the data {available} samples", file.name(), read.len())).into()
            );
        }
        files.push((file.name(), file.sha256()));
        labels = Some(read);
    }
    let count = request.samples.map_or(available, |most| most.min(available));
    if count == 0 {
        return Err(mismatch("the data holds no samples").into());
    }
    let coding = found[0].coding.coding;
    let data_steps = found.iter().filter_map(|port| port.samples.steps).max();
    if let Some(steps) = data_steps.filter(|steps| request.steps.is_none() && *steps > MOST_STEPS_OF_DATA) {
        let problem = mismatch(format!("the data goes on to step {steps}; are its times in steps?"));
        return Err(problem
            .help("divide times in seconds by the time step, or say with --steps how many to run")
            .into());
    }
    let own_steps = data_steps.filter(|steps| *steps > 0);
    let defaults = request.defaults;
    let asked = match defaults.input_steps {
        Some(_) => request.steps.or(defaults.steps).or(own_steps),
        None => request.steps.or(own_steps).or(defaults.steps),
    };
    let steps = asked.unwrap_or(DEFAULT_STEPS);
    if let Some(input_steps) = defaults.input_steps {
        let problem = if coding == Coding::ConstantCurrent {
            Some("a constant current does not end".to_owned())
        } else {
            own_steps.filter(|steps| *steps > input_steps).map(|steps| format!("the data has {steps} steps"))
        };
        if let Some(problem) = problem {
            let message = format!("the network is fed for {input_steps} steps of {steps}, and {problem}");
            return Err(mismatch(message).at("run/input_steps").into());
        }
    }
    let data = Data {
        ports: found,
        coding,
        steps,
        input_steps: defaults.input_steps.map_or(steps, |input_steps| input_steps.min(steps)),
        count,
        labels: labels.map(|labels| labels[..count].to_vec()),
        seed: request.seed,
        files,
    };
    // A coding that does not suit the data fails on every sample: better here than in the middle of a run.
    if let Err(mut problems) = data.sample(0) {
        if request.coding.is_none() && request.defaults.coding.is_some() && coding != Coding::Spikes {
            let note = format!("the network asks for the coding `{}`; --coding takes another", coding.name());
            problems.0.iter_mut().for_each(|problem| problem.notes.push(note.clone()));
        }
        return Err(problems);
    }
    let mut warnings = data.clipped();
    warnings.extend(run_length(steps, defaults));
    Ok((data, warnings))
}

/// A warning where a run is longer or shorter than what the network was made for bears.
fn run_length(steps: u32, defaults: &RunDefaults) -> Option<Diagnostic> {
    let warning = |message: String| Diagnostic::warning(code::RUN_LENGTH, message).at("run");
    if defaults.input_steps.is_some() {
        // Layers fire one after the other, at fixed steps; beyond the last there is silence.
        let needed = defaults.steps.filter(|needed| steps < *needed)?;
        let message = format!("the layers fire one after the other, which takes {needed} steps; this run has {steps}");
        return Some(warning(message).help(format!("leave --steps out, or give {needed} steps")));
    }
    let corrected = defaults.corrected_for?;
    let (few, many) = (steps.min(corrected), steps.max(corrected));
    let message = format!("the network was corrected for {corrected} steps, and this run has {steps}");
    let help = format!("convert it again with `--steps {steps}`, or run it with `--steps {corrected}`");
    (many >= few.saturating_mul(2)).then(|| warning(message).help(help))
}

/// One sample of a network without inputs.
fn silence(request: &DataRequest<'_>, ports: &[Port]) -> Result<Data, Diagnostics> {
    if !ports.is_empty() {
        let names: Vec<&str> = ports.iter().map(|(name, _)| name.as_str()).collect();
        let missing = mismatch("the network has inputs, and there is no data for them");
        return Err(missing.note(format!("inputs: {}", names.join(", "))).help("write --input FILE").into());
    }
    let steps = request.steps.or(request.defaults.steps).unwrap_or(DEFAULT_STEPS);
    Ok(Data {
        ports: Vec::new(),
        coding: Coding::Spikes,
        steps,
        input_steps: steps,
        count: 1,
        labels: None,
        seed: request.seed,
        files: Vec::new(),
    })
}

/// The port that a file is for.
fn port_of<'a>(input: &InputValue, ports: &'a [Port]) -> Result<&'a Port, Diagnostic> {
    let names: Vec<&str> = ports.iter().map(|(name, _)| name.as_str()).collect();
    match (&input.port, ports) {
        (None, [port]) => Ok(port),
        (None, _) => Err(mismatch(format!("the network has {} inputs; say which the file is for", ports.len()))
            .note(format!("inputs: {}", names.join(", ")))
            .help("write --input PORT=FILE")),
        (Some(name), _) => known_port(name, ports),
    }
}

/// The port of this name.
fn known_port<'a>(name: &str, ports: &'a [Port]) -> Result<&'a Port, Diagnostic> {
    ports.iter().find(|(port, _)| port == name).ok_or_else(|| {
        let names: Vec<&str> = ports.iter().map(|(name, _)| name.as_str()).collect();
        let error = mismatch(format!("the network has no input `{name}`"));
        let error = error.note(format!("inputs: {}", names.join(", ")));
        match did_you_mean(name, names) {
            Some(guess) => error.help(format!("did you mean `{guess}`?")),
            None => error,
        }
    })
}

fn samples_of(file: &InputFile, request: &DataRequest<'_>) -> Result<Samples, Diagnostics> {
    let samples = read_samples(&file.name(), &file.bytes, request.kind)?;
    let spikes = matches!(samples.values, SampleValues::Spikes(_));
    if request.wanted_coding() == Some(Coding::Spikes) && request.kind.is_none() && !spikes {
        // Spikes were asked for: 0 and 1 in a small type are spikes then, not levels.
        return read_samples(&file.name(), &file.bytes, Some(DataKind::DenseSpikes));
    }
    Ok(samples)
}

impl Data {
    /// The samples of each port as they are in the files, with the port's name.
    pub(crate) fn samples(&self) -> impl Iterator<Item = (&str, &Samples)> {
        self.ports.iter().map(|port| (port.name.as_str(), &port.samples))
    }

    /// Codes one sample.
    ///
    /// # Errors
    /// `SNN0210` if the coding does not suit the data, or a value is out of its range.
    pub(crate) fn sample(&self, sample: usize) -> Result<CodedSample, Diagnostics> {
        let mut coded = CodedSample { stimulus: Stimulus::default(), analog: Vec::new() };
        for CodedPort { name, samples, coding } in &self.ports {
            match encode_with(samples, sample, coding, name, self.input_steps, self.seed)? {
                Encoded::Spikes(PortStimulus { port, spikes }) => {
                    coded.stimulus.ports.push(PortStimulus { port, spikes: spikes.with_steps(self.steps) });
                }
                Encoded::Current(values) => coded.analog.push((name.clone(), values)),
            }
        }
        Ok(coded)
    }

    /// A warning for each port that has values beyond its range, where the coding clips them.
    fn clipped(&self) -> Vec<Diagnostic> {
        let clips = |port: &&CodedPort| port.coding.coding != Coding::ConstantCurrent;
        let warning = |CodedPort { name, samples, coding }: &CodedPort| {
            let (low, high) = coding.range?;
            let outside = clipped_values(samples, (low, high), self.count);
            let all = samples.values.len() / samples.count * self.count;
            let message =
                format!("input `{name}`: values outside {low} to {high} are fed as its ends ({outside} of {all})");
            let warning = Diagnostic::warning(code::STIMULUS_MISMATCH, message).at(format!("nodes/{name}"));
            (outside > 0).then(|| warning.help("scale the data as the network was trained, or give another --range"))
        };
        self.ports.iter().filter(clips).filter_map(warning).collect()
    }
}

/// The input ports of a network whose shapes are known.
pub(crate) fn ports_of_network(network: &Network, shapes: &Shapes) -> Vec<Port> {
    let inputs = network.nodes.iter_with_ids().filter(|(_, node)| matches!(node.node, Node::Input { .. }));
    inputs.map(|(id, node)| (node.name.clone(), shapes.output_len(id))).collect()
}

/// Turns constant input values into constant currents of the populations they reach: the host multiplies them with the
/// float weights of the input's projections and writes the sums as biases.
///
/// With a synaptic filter, the current that a constant input settles at is taken from the first step on.
pub(crate) struct HostCurrents {
    ir: Ir,
    /// Inputs that get spikes: layers on the host.
    spiking: Vec<String>,
}

impl HostCurrents {
    /// For a lowered network, in which `spiking` are inputs that get spikes.
    ///
    /// # Errors
    /// `SNN0210` where an input reaches neurons through integer weights or to integer neurons, which have no float units, or
    /// neurons that reset by subtraction, whose membrane no bias reaches.
    pub(crate) fn new(ir: Ir, spiking: Vec<String>) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        let currents = Self { ir, spiking };
        let ir = &currents.ir;
        for (id, projection) in currents.projections() {
            let float_weights = matches!(ir.weights[id], IrWeights::Float(_));
            let float_neurons = matches!(ir.neurons[projection.target], Some(IrNeurons::Float(_)));
            if !float_weights || !float_neurons {
                let message =
                    format!("constant currents need float weights; `{}` is given in integers", projection.name);
                problems.push(mismatch(message).at(&*projection.item).help("use the coding rate, poisson or spikes"));
            }
            if ir.graph.reset_projection(projection.target).is_some() {
                let target = &ir.graph.populations[projection.target];
                let message = format!(
                    "constant currents reach `{}`, which resets by subtraction: on the chip only spikes add up there",
                    target.name
                );
                let on_host =
                    format!("let the host compute `{0}` and send its spikes: compile with `--host {0}`", target.name);
                let problem = mismatch(message).at(&*target.item).help(on_host);
                problems.push(problem.help("or use the coding rate, poisson or spikes"));
            }
        }
        problems.into_result(()).map(|_| currents)
    }

    /// The projections whose sources are constant values.
    fn projections(&self) -> impl Iterator<Item = (ProjectionId, &Projection)> {
        let constant = |projection: &Projection| {
            let source = &self.ir.graph.populations[projection.source];
            source.role == PopulationRole::Input && !self.spiking.contains(&source.name)
        };
        self.ir.graph.projections.iter_with_ids().filter(move |(_, projection)| constant(projection))
    }

    /// Products of a sample: each constant value with each weight it meets.
    pub(crate) fn products(&self) -> u64 {
        self.projections().map(|(_, projection)| projection.synapse_count()).sum()
    }

    /// Whether a filter makes the currents approximate in the first steps: the names of such populations.
    pub(crate) fn filtered(&self) -> Vec<String> {
        let graph = &self.ir.graph;
        let mut names: Vec<String> = self
            .projections()
            .map(|(_, projection)| projection)
            .filter(|projection| match &self.ir.neurons[projection.target] {
                Some(IrNeurons::Float(params)) => params.current_keep.values().iter().any(|keep| *keep != 0.0),
                _ => false,
            })
            .map(|projection| graph.populations[projection.target].name.clone())
            .collect();
        names.dedup();
        names
    }

    /// The currents of these constant values.
    pub(crate) fn of(&self, analog: &[(String, Vec<f64>)]) -> Vec<HostBias> {
        let graph = &self.ir.graph;
        let mut currents: Vec<Option<Vec<f64>>> = vec![None; graph.populations.len()];
        for (id, projection) in self.projections() {
            let source = &graph.populations[projection.source];
            let Some((_, values)) = analog.iter().find(|(port, _)| *port == source.name) else { continue };
            let IrWeights::Float(weights) = &self.ir.weights[id] else { continue };
            let Some(IrNeurons::Float(params)) = &self.ir.neurons[projection.target] else { continue };
            let current =
                currents[projection.target.0 as usize].get_or_insert_with(|| vec![0.0; projection.target_len as usize]);
            let mut sums = vec![0.0; projection.target_len as usize];
            for (element, value) in (0..projection.source_len).zip(values) {
                if *value != 0.0 {
                    projection
                        .fan_out(element, |synapse| sums[synapse.other as usize] += value * weights[synapse.weight]);
                }
            }
            for (neuron, (current, sum)) in current.iter_mut().zip(sums).enumerate() {
                *current += sum / (1.0 - params.current_keep.get(neuron));
            }
        }
        let named = graph.populations.iter().zip(currents);
        named
            .filter_map(|(population, current)| {
                current.map(|current| HostBias { population: population.name.clone(), current })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const NO_DEFAULTS: &RunDefaults = &RunDefaults {
        coding: None,
        steps: None,
        input_steps: None,
        corrected_for: None,
        ranges: Vec::new(),
        early_exit: None,
    };

    fn request(inputs: &[InputValue]) -> DataRequest<'_> {
        DataRequest {
            inputs,
            labels: None,
            kind: None,
            coding: None,
            ranges: &[],
            delta: None,
            steps: None,
            samples: None,
            seed: 1,
            defaults: NO_DEFAULTS,
        }
    }

    fn input(port: Option<&str>, path: &Path) -> InputValue {
        InputValue { port: port.map(str::to_owned), file: path.to_owned() }
    }

    #[test]
    fn files_find_their_ports() {
        let ports = [("left".to_owned(), 2), ("right".to_owned(), 2)];
        let path = Path::new("x.npy");
        assert!(port_of(&input(None, path), &ports).unwrap_err().message.contains("2 inputs"));
        assert_eq!(port_of(&input(Some("right"), path), &ports).unwrap(), &ports[1]);
        assert_eq!(port_of(&input(Some("rigth"), path), &ports).unwrap_err().help, ["did you mean `right`?"]);
        assert_eq!(port_of(&input(None, path), &ports[..1]).unwrap(), &ports[0]);
    }

    #[test]
    fn events_give_their_steps_and_a_missing_file_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.csv");
        std::fs::write(&path, "t,neuron\n1,0\n5,1\n").unwrap();
        let inputs = [input(None, &path)];
        let ports = [("in".to_owned(), 2)];
        let (data, warnings) = read(&request(&inputs), &ports).unwrap();
        assert_eq!(warnings, []);
        assert_eq!((data.coding, data.steps, data.count), (Coding::Spikes, 5, 1));
        assert_eq!(data.sample(0).unwrap().stimulus.ports[0].spikes.spike_count(), 2);
        std::fs::write(&path, "t,neuron\n1,0\n5000000,1\n").unwrap();
        let endless = read(&request(&inputs), &ports).err().unwrap().to_string();
        assert!(endless.contains("SNN0210") && endless.contains("5000000"), "{endless}");
        let (data, _) = read(&DataRequest { steps: Some(7), ..request(&inputs) }, &ports).unwrap();
        assert_eq!(data.sample(0).unwrap().stimulus.ports[0].spikes.spike_count(), 1);
        let wrong = read(&request(&inputs), &[("in".to_owned(), 3)]);
        assert!(wrong.err().unwrap().to_string().contains("SNN0210"));
        let missing = [input(None, &folder.path().join("none.npy"))];
        assert!(read(&request(&missing), &ports).err().unwrap().to_string().contains("SNN0101"));
    }

    #[test]
    fn defaults_of_the_network_give_way_to_flags_and_leave_spikes_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("levels.csv");
        std::fs::write(&path, "-1.0,3.0\n0.0,5.5\n").unwrap();
        let inputs = [input(None, &path)];
        let ports = [("in".to_owned(), 2)];
        let defaults = RunDefaults {
            coding: Some("rate-rounded".to_owned()),
            steps: Some(4),
            ranges: vec![("in".to_owned(), (-1.0, 3.0))],
            ..RunDefaults::default()
        };
        let base = || DataRequest { kind: Some(DataKind::Levels), defaults: &defaults, ..request(&inputs) };
        let counts = |data: &Data, sample| data.sample(sample).unwrap().stimulus.ports[0].spikes.counts();
        let (data, warnings) = read(&base(), &ports).unwrap();
        assert_eq!((data.coding, data.steps), (Coding::RateRounded, 4));
        assert_eq!((counts(&data, 0), counts(&data, 1)), (vec![0, 4], vec![1, 4]));
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].message.starts_with("input `in`: values outside -1 to 3 are fed as its ends (1 "),
            "{}",
            warnings[0].message
        );
        // Only what is used is counted.
        assert_eq!(read(&DataRequest { samples: Some(1), ..base() }, &ports).unwrap().1, []);
        let range = [RangeValue { port: Some("in".to_owned()), range: (-1.0, 7.0) }];
        let flags = DataRequest { coding: Some(Coding::Rate), steps: Some(6), ranges: &range, ..base() };
        let (data, warnings) = read(&flags, &ports).unwrap();
        assert_eq!((data.coding, data.steps, warnings.len()), (Coding::Rate, 6, 0));
        assert_eq!(counts(&data, 0), [0, 3]);
        let fault = |request: &DataRequest<'_>| read(request, &ports).err().unwrap().to_string();
        let range = [RangeValue { port: Some("inn".to_owned()), range: (0.0, 1.0) }];
        assert!(fault(&DataRequest { ranges: &range, ..base() }).contains("the network has no input `inn`"));
        assert!(fault(&DataRequest { delta: Some(0.1), ..base() }).contains("--delta is for the coding delta"));
        // A coding that does not suit is the network's, and the message says so.
        let latency = RunDefaults { coding: Some("latency".to_owned()), ..RunDefaults::default() };
        let series = DataRequest { kind: Some(DataKind::Series), defaults: &latency, ..request(&inputs) };
        let problem = read(&series, &ports).err().unwrap().0.remove(0);
        assert_eq!(problem.notes, ["the network asks for the coding `latency`; --coding takes another"]);
        std::fs::write(&path, "t,neuron\n1,0\n5,1\n").unwrap();
        let (data, _) = read(&DataRequest { kind: None, ..base() }, &ports).unwrap();
        assert_eq!((data.coding, data.steps), (Coding::Spikes, 5));
        let range = [RangeValue { port: None, range: (0.0, 1.0) }];
        assert!(fault(&DataRequest { kind: None, ranges: &range, ..base() }).contains("the data is spikes"));
    }

    #[test]
    fn runs_of_another_length_than_the_network_is_made_for_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("levels.csv");
        std::fs::write(&path, "1.0,0.5\n").unwrap();
        let inputs = [input(None, &path)];
        let ports = [("in".to_owned(), 2)];
        let corrected = RunDefaults { steps: Some(8), corrected_for: Some(8), ..RunDefaults::default() };
        let told = |defaults: &RunDefaults, steps: Option<u32>| {
            let request = DataRequest { kind: Some(DataKind::Levels), steps, defaults, ..request(&inputs) };
            read(&request, &ports).unwrap().1
        };
        let counts = [None, Some(5), Some(15), Some(4), Some(16)].map(|steps| told(&corrected, steps).len());
        assert_eq!(counts, [0, 0, 0, 1, 1]);
        let warning = told(&corrected, Some(16)).remove(0);
        assert_eq!(warning.code, code::RUN_LENGTH);
        assert_eq!(warning.message, "the network was corrected for 8 steps, and this run has 16");
        assert_eq!(warning.help, ["convert it again with `--steps 16`, or run it with `--steps 8`"]);
        // Layers that wait: input in the first steps alone, and a run that is long enough.
        let waits = RunDefaults { steps: Some(7), input_steps: Some(3), ..RunDefaults::default() };
        let base = || DataRequest { kind: Some(DataKind::Levels), defaults: &waits, ..request(&inputs) };
        let (data, warnings) = read(&base(), &ports).unwrap();
        let sample = data.sample(0).unwrap();
        let spikes = &sample.stimulus.ports[0].spikes;
        assert_eq!((spikes.steps(), spikes.counts(), spikes.at(4), warnings.len()), (7, vec![3, 1], &[][..], 0));
        assert_eq!((told(&waits, Some(20)).len(), told(&waits, Some(6)).len()), (0, 1));
        let current = DataRequest { coding: Some(Coding::ConstantCurrent), ..base() };
        assert!(read(&current, &ports).err().unwrap().to_string().contains("a constant current does not end"));
    }

    #[test]
    fn delta_coding_feeds_two_channels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("series.csv");
        std::fs::write(&path, "0.0,0.5\n0.3,0.5\n0.3,0.1\n").unwrap();
        let inputs = [input(None, &path)];
        let delta = DataRequest { coding: Some(Coding::Delta), delta: Some(0.25), ..request(&inputs) };
        let (data, _) = read(&delta, &[("in".to_owned(), 4)]).unwrap();
        let events: Vec<_> = data.sample(0).unwrap().stimulus.ports[0].spikes.events().collect();
        assert_eq!((data.steps, events), (3, vec![(2, 0, 1), (3, 3, 1)]));
        let wrong = read(&delta, &[("in".to_owned(), 2)]).err().unwrap().to_string();
        assert!(wrong.contains("4 with their ON and OFF channels"), "{wrong}");
    }
}
