//! Input data: from files to one stimulus per sample, coded when it is needed.

use crate::args::DataArgs;
use crate::files::InputFile;
use crate::session::{Failure, Session};
use crate::values::InputValue;
use snncc_data::{Coding, Encoded, HostBias, SampleValues, Samples, Stimulus, encode};
use snncc_formats::data_files::{DataKind, read_labels, read_samples};
use snncc_ids::{Diagnostic, Diagnostics, code, did_you_mean};
use snncc_ir::shapes::Shapes;
use snncc_ir::{Ir, IrNeurons, IrWeights, Network, Node, PopulationRole};
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
    pub(crate) steps: Option<u32>,
    pub(crate) samples: Option<usize>,
    pub(crate) seed: u64,
}

impl<'a> From<&'a DataArgs> for DataRequest<'a> {
    fn from(args: &'a DataArgs) -> Self {
        Self {
            inputs: &args.input,
            labels: args.labels.as_ref(),
            kind: args.data_kind,
            coding: args.coding,
            steps: args.steps,
            samples: args.samples,
            seed: args.seed,
        }
    }
}

/// Samples of every input port.
pub(crate) struct Data {
    ports: Vec<(String, Samples)>,
    pub(crate) coding: Coding,
    /// Network steps of a sample.
    pub(crate) steps: u32,
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
    read(request, ports).map_err(|problems| session.fail(problems, None))
}

fn mismatch(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(code::STIMULUS_MISMATCH, message)
}

fn read(request: &DataRequest<'_>, ports: &[Port]) -> Result<Data, Diagnostics> {
    let mut found: Vec<(String, Samples)> = Vec::new();
    let mut files = Vec::new();
    for input in request.inputs {
        let port = port_of(input, ports)?;
        if found.iter().any(|(name, _)| *name == port.0) {
            return Err(mismatch(format!("input `{}` gets two files", port.0)).into());
        }
        let file = InputFile::read(&input.file)?;
        let samples = samples_of(&file, request)?;
        if samples.elements() != port.1 {
            return Err(mismatch(format!(
                "a sample of `{}` has {} elements (shape {:?}), input `{}` of the network has {}",
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
        found.push((port.0.clone(), samples));
    }
    let counts: Vec<usize> = found.iter().map(|(_, samples)| samples.count).collect();
    if let Some(different) = counts.iter().find(|count| **count != counts[0]) {
        return Err(mismatch(format!("the inputs have {} and {different} samples", counts[0])).into());
    }
    let available = counts.first().copied().unwrap_or(0);
    let mut labels = found.iter().find_map(|(_, samples)| samples.labels.clone());
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
    let first = &found[0].1;
    let coding = request.coding.unwrap_or_else(|| Coding::default_for(first));
    let data_steps = found.iter().filter_map(|(_, samples)| samples.steps).max();
    if let Some(steps) = data_steps.filter(|steps| request.steps.is_none() && *steps > MOST_STEPS_OF_DATA) {
        let problem = mismatch(format!("the data goes on to step {steps}; are its times in steps?"));
        return Err(problem
            .help("divide times in seconds by the time step, or say with --steps how many to run")
            .into());
    }
    let steps = request.steps.or(data_steps.filter(|steps| *steps > 0)).unwrap_or(DEFAULT_STEPS);
    let data = Data {
        ports: found,
        coding,
        steps,
        count,
        labels: labels.map(|labels| labels[..count].to_vec()),
        seed: request.seed,
        files,
    };
    // A coding that does not suit the data fails on every sample: better here than in the middle of a run.
    data.sample(0)?;
    Ok(data)
}

/// The port that a file is for.
fn port_of<'a>(input: &InputValue, ports: &'a [Port]) -> Result<&'a Port, Diagnostic> {
    let names: Vec<&str> = ports.iter().map(|(name, _)| name.as_str()).collect();
    match (&input.port, ports) {
        (None, [port]) => Ok(port),
        (None, _) => Err(mismatch(format!("the network has {} inputs; say which the file is for", ports.len()))
            .note(format!("inputs: {}", names.join(", ")))
            .help("write --input PORT=FILE")),
        (Some(name), _) => ports.iter().find(|(port, _)| port == name).ok_or_else(|| {
            let error = mismatch(format!("the network has no input `{name}`"));
            let error = error.note(format!("inputs: {}", names.join(", ")));
            match did_you_mean(name, names) {
                Some(guess) => error.help(format!("did you mean `{guess}`?")),
                None => error,
            }
        }),
    }
}

fn samples_of(file: &InputFile, request: &DataRequest<'_>) -> Result<Samples, Diagnostics> {
    let samples = read_samples(&file.name(), &file.bytes, request.kind)?;
    let spikes = matches!(samples.values, SampleValues::Spikes(_));
    if request.coding == Some(Coding::Spikes) && request.kind.is_none() && !spikes {
        // Spikes were asked for: 0 and 1 in a small type are spikes then, not levels.
        return read_samples(&file.name(), &file.bytes, Some(DataKind::DenseSpikes));
    }
    Ok(samples)
}

impl Data {
    /// Codes one sample.
    ///
    /// # Errors
    /// `SNN0210` if the coding does not suit the data, or a value is out of its range.
    pub(crate) fn sample(&self, sample: usize) -> Result<CodedSample, Diagnostics> {
        let mut coded = CodedSample { stimulus: Stimulus::default(), analog: Vec::new() };
        for (port, samples) in &self.ports {
            match encode(samples, sample, self.coding, port, self.steps, self.seed)? {
                Encoded::Spikes(spikes) => coded.stimulus.ports.push(spikes),
                Encoded::Current(values) => coded.analog.push((port.clone(), values)),
            }
        }
        Ok(coded)
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
}

impl HostCurrents {
    /// For a lowered network.
    ///
    /// # Errors
    /// `SNN0210` where an input reaches neurons through integer weights or to integer neurons, which have no float units, or
    /// neurons that reset by subtraction, whose membrane no bias reaches.
    pub(crate) fn new(ir: Ir) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        for (id, projection) in ir.graph.projections.iter_with_ids() {
            if ir.graph.populations[projection.source].role != PopulationRole::Input {
                continue;
            }
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
                problems.push(mismatch(message).at(&*target.item).help("use the coding rate, poisson or spikes"));
            }
        }
        problems.into_result(Self { ir }).map(|(currents, _)| currents)
    }

    /// Whether a filter makes the currents approximate in the first steps: the names of such populations.
    pub(crate) fn filtered(&self) -> Vec<String> {
        let graph = &self.ir.graph;
        let reached = graph.projections.iter().filter(|p| graph.populations[p.source].role == PopulationRole::Input);
        let mut names: Vec<String> = reached
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
        for (id, projection) in graph.projections.iter_with_ids() {
            let source = &graph.populations[projection.source];
            let Some((_, values)) =
                analog.iter().find(|(port, _)| source.role == PopulationRole::Input && *port == source.name)
            else {
                continue;
            };
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

    fn request(inputs: &[InputValue]) -> DataRequest<'_> {
        DataRequest { inputs, labels: None, kind: None, coding: None, steps: None, samples: None, seed: 1 }
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
        let data = read(&request(&inputs), &ports).unwrap();
        assert_eq!((data.coding, data.steps, data.count), (Coding::Spikes, 5, 1));
        assert_eq!(data.sample(0).unwrap().stimulus.ports[0].spikes.spike_count(), 2);
        std::fs::write(&path, "t,neuron\n1,0\n5000000,1\n").unwrap();
        let endless = read(&request(&inputs), &ports).err().unwrap().to_string();
        assert!(endless.contains("SNN0210") && endless.contains("5000000"), "{endless}");
        let data = read(&DataRequest { steps: Some(7), ..request(&inputs) }, &ports).unwrap();
        assert_eq!(data.sample(0).unwrap().stimulus.ports[0].spikes.spike_count(), 1);
        let wrong = read(&request(&inputs), &[("in".to_owned(), 3)]);
        assert!(wrong.err().unwrap().to_string().contains("SNN0210"));
        let missing = [input(None, &folder.path().join("none.npy"))];
        assert!(read(&request(&missing), &ports).err().unwrap().to_string().contains("SNN0101"));
    }
}
