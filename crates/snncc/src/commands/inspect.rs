//! `snncc inspect`: a network, an image, and where a neuron sits.

use crate::args::InspectArgs;
use crate::load;
use crate::output::Opened;
use crate::session::{Outcome, Session, print, print_json};
use serde_json::{Value, json};
use snncc_chip::Target;
use snncc_ids::{CoreId, did_you_mean};
use snncc_image::{BlockLayout, CoreImage, Image, ResetModel, decode_list};
use snncc_report::{Table, number_text};
use std::path::Path;

/// Shows what the path holds.
pub(crate) fn run(session: &mut Session, args: &InspectArgs) -> Outcome {
    session.json = args.json;
    let is_image = args.path.extension().is_some_and(|extension| extension == "snnbin");
    if args.path.is_dir() || is_image {
        return image(session, args, is_image);
    }
    if args.neuron.is_some() || args.core.is_some() {
        return Err(session.usage("--neuron and --core need a compiled network: name its output folder"));
    }
    let loaded = load::network(session, &args.path)?;
    let text = if args.ir {
        let lowered = snncc_compile::lower::lower(&loaded.network, &snncc_compile::lower::LowerOptions::default());
        let lowered = lowered.map_err(|problems| {
            let problems = loaded.annotate(problems.0);
            session.fail(problems, Some(&loaded.source))
        })?;
        let warnings = loaded.annotate(lowered.warnings);
        session.say(warnings.0, Some(&loaded.source));
        snncc_ir::print::print_ir(&lowered.ir)
    } else {
        snncc_ir::print::print_network(&loaded.network)
    };
    print_text(args.json, &text);
    session.next(&format!("snncc check {} --target loihi-emu", args.path.display()));
    Ok(0)
}

fn print_text(as_json: bool, text: &str) {
    if as_json {
        print_json(&json!({ "lines": text.lines().collect::<Vec<_>>() }));
    } else {
        print(text);
    }
}

/// An image with the target it was made for.
struct Program {
    image: Image,
    target: Target,
    /// Layers that run on the host.
    host: Vec<String>,
}

fn image(session: &mut Session, args: &InspectArgs, is_image: bool) -> Outcome {
    let folder = if is_image { args.path.parent().unwrap_or(Path::new("")) } else { &args.path };
    let opened = Opened::open(folder);
    if args.ir {
        let opened = opened.map_err(|problems| session.fail(problems, None))?;
        let quantized = opened.quantized().map_err(|message| session.fail_files(&message))?;
        print_text(args.json, &snncc_ir::print::print_quantized(&quantized));
        return Ok(0);
    }
    let program = match opened {
        Ok(Opened { image, target, manifest, .. }) => Program { image, target, host: manifest.host },
        Err(problems) if !is_image => return Err(session.fail(problems, None)),
        // An image alone: its target must be a built-in one.
        Err(_) => {
            let file = crate::files::InputFile::read(&args.path).map_err(|problems| session.fail(problems, None))?;
            let image = Image::from_bytes(&file.bytes).map_err(|problems| session.fail(problems, None))?;
            let target = snncc_chip::target(&image.target_name).map_err(|problems| session.fail(problems, None))?;
            Program { image, target, host: Vec::new() }
        }
    };
    let value = match (&args.neuron, args.core) {
        (Some((name, neuron)), _) => program.neuron(name, *neuron),
        (None, Some(core)) => match core.number(&program.target) {
            Some(number) => program.core(number),
            None => Err(format!("target `{}` has no core {core}", program.target.name())),
        },
        (None, None) => Ok(program.overview()),
    };
    let value = value.map_err(|message| session.usage(&message))?;
    if args.json {
        print_json(&value);
    } else {
        print(&text(&value, 0));
    }
    if let (None, None, Some(population)) = (&args.neuron, args.core, program.image.populations.first()) {
        session.next(&format!("snncc inspect {} --neuron '{}[0]'", args.path.display(), population.name));
    }
    Ok(0)
}

/// Values as indented text: one line per entry, arrays of objects as tables.
fn text(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() => number_text(number.as_u64().unwrap_or_default().into()),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    };
    let Value::Object(fields) = value else { return format!("{pad}{}\n", plain(value)) };
    let mut out = String::new();
    for (name, field) in fields {
        let name = name.replace('_', " ");
        match field {
            Value::Object(_) => out += &format!("{pad}{name}\n{}", text(field, indent + 2)),
            Value::Array(items) if items.iter().any(Value::is_object) => {
                let columns: Vec<&str> =
                    items[0].as_object().map_or_else(Vec::new, |row| row.keys().map(String::as_str).collect());
                let mut table = Table::new(&columns);
                for item in items {
                    table.row(columns.iter().map(|column| plain(&item[*column])).collect());
                }
                out += &format!("{pad}{name}\n{}", table.text(indent + 2));
            }
            _ => out += &format!("{pad}{name}: {}\n", plain(field)),
        }
    }
    out
}

impl Program {
    fn core_name(&self, core: u32) -> String {
        self.target.core_name(CoreId(core))
    }

    fn layout(&self) -> BlockLayout {
        let formats = &self.target.model.loihi().formats;
        BlockLayout { format_bits: formats.block_format_bits.0, count_bits: formats.block_count_bits.0 }
    }

    fn overview(&self) -> Value {
        let image = &self.image;
        let populations: Vec<Value> = image
            .populations
            .iter()
            .map(|population| {
                let mut cores: Vec<u32> = population.locations.iter().map(|at| at.core).collect();
                cores.sort_unstable();
                cores.dedup();
                json!({
                    "name": population.name, "shape": population.shape, "neurons": population.locations.len(),
                    "cores": cores.len(), "latency_steps": population.latency_steps,
                })
            })
            .collect();
        let ports = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>();
        let mut overview = json!({
            "hardware_model": image.model_name,
            "hardware_model_sha256": crate::files::hex(&image.model_hash),
            "target": image.target_name,
            "inputs": ports(image.inputs.iter().map(|port| &port.name).collect()),
            "outputs": ports(image.outputs.iter().map(|port| &port.name).collect()),
            "populations": populations,
            "cores": image.cores.iter().map(|core| json!({
                "core": self.core_name(core.core), "compartments": core.compartments.len(),
                "in_axons": core.in_axons.len(), "out_axons": core.out_axons.targets.len(),
                "synapse_words": core.synapse_words.len(),
            })).collect::<Vec<_>>(),
            "notes": image.notes.iter().map(|(key, text)| json!({ "key": key, "text": text })).collect::<Vec<_>>(),
        });
        if !self.host.is_empty() {
            overview["host_layers"] = json!(self.host);
        }
        overview
    }

    /// Name of the neuron at a place.
    fn neuron_at(&self, core: u32, compartment: u32) -> Option<String> {
        self.image.populations.iter().find_map(|population| {
            let at = population.locations.iter().position(|at| (at.core, at.compartment) == (core, compartment))?;
            Some(format!("{}[{at}]", population.name))
        })
    }

    fn image_of(&self, core: u32) -> Option<&CoreImage> {
        self.image.cores.iter().find(|image| image.core == core)
    }

    /// Synapses of an in-axon: number, and the words its list takes.
    fn axon(&self, core: &CoreImage, axon: u32) -> (usize, [u32; 2]) {
        let list = &core.lists[core.in_axons[axon as usize].list as usize];
        let words = &core.synapse_words[list.first_word as usize..(list.first_word + list.words) as usize];
        let mut synapses = 0;
        // An image that was read is decodable; a count is all that is wanted here.
        let _ = decode_list(words, self.layout(), &core.synapse_formats, |_| synapses += 1);
        (synapses, [list.first_word, list.words])
    }

    fn neuron(&self, name: &str, neuron: u32) -> Result<Value, String> {
        let populations = &self.image.populations;
        if self.host.iter().any(|layer| layer == name) {
            return Err(format!("`{name}` runs on the host and sits on no core"));
        }
        let Some(population) = populations.iter().find(|population| population.name == name) else {
            let names: Vec<&str> = populations.iter().map(|population| population.name.as_str()).collect();
            let guess = did_you_mean(name, names.iter().copied());
            let guess = guess.map_or(String::new(), |guess| format!("; did you mean `{guess}`?"));
            return Err(format!("there is no layer `{name}`{guess} (layers: {})", names.join(", ")));
        };
        let Some(at) = population.locations.get(neuron as usize) else {
            return Err(format!("`{name}` has {} neurons, numbered from 0", population.locations.len()));
        };
        let core = self.image_of(at.core).ok_or("the image has no such core")?;
        let (index, state) = (at.compartment as usize, &core.compartments);
        let config = &core.compartment_configs[state.config[index] as usize];
        let threshold = &core.threshold_configs[state.threshold[index] as usize];
        let axons: Vec<Value> = core
            .out_axons
            .row(index)
            .iter()
            .map(|axon| {
                let target = self.image_of(axon.core);
                let (synapses, words) = target.map_or((0, [0, 0]), |target| self.axon(target, axon.axon));
                json!({
                    "to": self.core_name(axon.core), "in_axon": axon.axon, "synapses": synapses,
                    "first_word": words[0], "words": words[1],
                })
            })
            .collect();
        Ok(json!({
            "neuron": format!("{name}[{neuron}]"),
            "core": self.core_name(at.core),
            "core_number": at.core,
            "router": self.target.position(CoreId(at.core)),
            "compartment": at.compartment,
            "registers": {
                "decay_u": config.decay_u, "decay_v": config.decay_v, "refractory": config.refractory,
                "reset": match config.reset {
                    ResetModel::Lif => "to 0".to_owned(),
                    ResetModel::Periodic { interval, offset } => format!("to 0, and every {interval} steps from {offset}"),
                    ResetModel::Ternary => "to 0, two thresholds".to_owned(),
                },
                "threshold_mantissa": threshold.mantissa,
                "bias_mantissa": state.bias_mantissa[index], "bias_exponent": state.bias_exponent[index],
                "start_step": state.start_step[index],
                "u_initial": state.u_initial[index], "v_initial": state.v_initial[index],
            },
            "units_per_volt": population.units_per_volt.get(neuron as usize).or(population.units_per_volt.first()),
            "out_axons": axons,
        }))
    }

    fn core(&self, number: u32) -> Result<Value, String> {
        let name = self.core_name(number);
        let core = self.image_of(number).ok_or_else(|| format!("core {name} is not used"))?;
        let mut runs: Vec<(String, u32, u32, u32)> = Vec::new();
        for population in &self.image.populations {
            for (neuron, at) in (0_u32..).zip(&population.locations).filter(|(_, at)| at.core == number) {
                match runs.last_mut() {
                    Some((name, first, compartment, count))
                        if *name == population.name
                            && *first + *count == neuron
                            && *compartment + *count == at.compartment =>
                    {
                        *count += 1;
                    }
                    _ => runs.push((population.name.clone(), neuron, at.compartment, 1)),
                }
            }
        }
        let synapses: usize = (0..core.in_axons.len() as u32).map(|axon| self.axon(core, axon).0).sum();
        Ok(json!({
            "core": name,
            "core_number": number,
            "router": self.target.position(CoreId(number)),
            "first_neuron": self.neuron_at(number, 0),
            "neurons": runs.iter().map(|(layer, first, compartment, count)| json!({
                "layer": layer, "first_neuron": first, "count": count, "first_compartment": compartment,
            })).collect::<Vec<_>>(),
            "in_axons": core.in_axons.len(),
            "synapses": synapses,
            "synapse_lists": core.lists.len(),
            "synapse_words": core.synapse_words.len(),
            "out_axons": core.out_axons.targets.len(),
            "delay_bits": core.settings.delay_bits,
            "v_min_exponent": core.settings.v_min_exponent,
            "v_max_exponent": core.settings.v_max_exponent,
            "synapse_formats": core.synapse_formats.iter().map(|format| json!({
                "weight_bits": format.weight_bits, "exponent": format.exponent, "delay_bits": format.delay_bits,
                "index_bits": format.index_bits, "signs": format!("{:?}", format.sign_mode).to_lowercase(),
                "shared": format.shared,
            })).collect::<Vec<_>>(),
        }))
    }
}
