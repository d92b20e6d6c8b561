//! `snncc inspect`: a network, an image, and where a neuron sits.

mod compartments;
mod machine;

use crate::args::InspectArgs;
use crate::load;
use crate::output::{AnyImage, Opened};
use crate::session::{Outcome, Session, print, print_json};
use serde_json::{Value, json};
use snncc_chip::Target;
use snncc_ids::{Diagnostics, code, did_you_mean};
use snncc_image::Image;
use snncc_image::spinnaker::SpinnakerImage;
use snncc_report::{Table, number_text};
use std::path::Path;

/// Shows what the path holds.
pub(crate) fn run(session: &mut Session, args: &InspectArgs) -> Outcome {
    session.json = args.json;
    let is_image = args.path.extension().is_some_and(|extension| extension == "snnbin");
    if args.path.is_dir() || is_image {
        return image(session, args, is_image);
    }
    if args.neuron.is_some() || args.core.is_some() || args.chip.is_some() {
        return Err(session.usage("--neuron, --core and --chip need a compiled network: name its output folder"));
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

fn image(session: &mut Session, args: &InspectArgs, is_image: bool) -> Outcome {
    let folder = if is_image { args.path.parent().unwrap_or(Path::new("")) } else { &args.path };
    let opened = Opened::open(folder);
    if args.ir {
        let opened = opened.map_err(|problems| session.fail(problems, None))?;
        let integers = opened.quantized().map_err(|message| session.fail_files(&message))?;
        print_text(args.json, &integers.print());
        return Ok(0);
    }
    let (image, target, host, resources) = match opened {
        Ok(opened) => {
            // A folder whose report is damaged still has its image.
            let resources = opened.report().map(|report| report.cores).unwrap_or_default();
            (opened.image, opened.target, opened.manifest.host, resources)
        }
        Err(problems) if !is_image => return Err(session.fail(problems, None)),
        // An image alone: its target must be a built-in one.
        Err(_) => {
            let file = crate::files::InputFile::read(&args.path).map_err(|problems| session.fail(problems, None))?;
            let (image, target) = image_alone(&file.bytes).map_err(|problems| session.fail(problems, None))?;
            (image, target, Vec::new(), Vec::new())
        }
    };
    let asked = Asked { args, target: &target, host: &host };
    let value = match &image {
        AnyImage::Compartments(image) => asked.of(&compartments::Program { image, target: &target }),
        AnyImage::Spinnaker(image) => asked.of(&machine::View::new(image, &target, &resources)),
    };
    let value = value.map_err(|message| session.usage(&message))?;
    if args.json {
        print_json(&value);
    } else {
        print(&text(&value, 0));
    }
    if let (None, None, None, Some(population)) = (&args.neuron, args.core, args.chip, image.populations().first()) {
        session.next(&format!("snncc inspect {} --neuron '{}[0]'", args.path.display(), population.name));
    }
    Ok(0)
}

/// An image without a folder, for a built-in target.
fn image_alone(bytes: &[u8]) -> Result<(AnyImage, Target), Diagnostics> {
    // The families tell each other's images; whose fault counts is known only to the right one.
    let (image, name) = match SpinnakerImage::from_bytes(bytes) {
        Ok(image) => {
            let name = image.target_name.clone();
            (AnyImage::Spinnaker(image), name)
        }
        Err(problems) if problems.0.iter().any(|problem| problem.code == code::WRONG_CHIP) => {
            let image = Image::from_bytes(bytes)?;
            let name = image.target_name.clone();
            (AnyImage::Compartments(image), name)
        }
        Err(problems) => return Err(problems),
    };
    Ok((image, snncc_chip::target(&name)?))
}

/// What can be asked of an image of either family; errors are in words.
trait Inspected {
    /// Names of what has neurons to ask for, and how many.
    fn layers(&self) -> Vec<(&str, usize)>;
    /// All of it.
    fn overview(&self) -> Value;
    /// Where a neuron sits.
    fn neuron(&self, name: &str, neuron: u32) -> Result<Value, String>;
    /// The synapses from one neuron to another.
    fn synapses(&self, from: (&str, u32), to: (&str, u32)) -> Result<Vec<Value>, String>;
    /// What sits on a core.
    fn core(&self, number: u32) -> Result<Value, String>;
    /// What sits on a chip, and where it sends packets.
    fn chip(&self, number: u32) -> Result<Value, String>;
}

/// What the user asks.
struct Asked<'a> {
    args: &'a InspectArgs,
    target: &'a Target,
    /// Layers that run on the host.
    host: &'a [String],
}

impl Asked<'_> {
    fn of(&self, inspected: &dyn Inspected) -> Result<Value, String> {
        let args = self.args;
        if let Some((name, neuron)) = &args.neuron {
            self.check_neuron(inspected, name, *neuron)?;
            let Some((to, to_neuron)) = &args.to else { return inspected.neuron(name, *neuron) };
            self.check_neuron(inspected, to, *to_neuron)?;
            let synapses = inspected.synapses((name, *neuron), (to, *to_neuron))?;
            return Ok(json!({
                "from": format!("{name}[{neuron}]"), "to": format!("{to}[{to_neuron}]"),
                "count": synapses.len(), "synapses": synapses,
            }));
        }
        if let Some(core) = args.core {
            let number = core.number(self.target);
            return inspected
                .core(number.ok_or_else(|| format!("target `{}` has no core {core}", self.target.name()))?);
        }
        if let Some(chip) = args.chip {
            let number = chip.number(self.target);
            return inspected
                .chip(number.ok_or_else(|| format!("target `{}` has no chip {chip}", self.target.name()))?);
        }
        let mut overview = inspected.overview();
        if !self.host.is_empty() {
            overview["host_layers"] = json!(self.host);
        }
        Ok(overview)
    }

    fn check_neuron(&self, inspected: &dyn Inspected, name: &str, neuron: u32) -> Result<(), String> {
        let layers = inspected.layers();
        let found = layers.iter().find(|(known, _)| *known == name);
        // The spikes of a layer on the host are an input of the chip.
        if self.host.iter().any(|layer| layer == name) {
            return Err(format!("`{name}` runs on the host and sits on no core"));
        }
        let Some((_, len)) = found else {
            let names: Vec<&str> = layers.iter().map(|(name, _)| *name).collect();
            let guess = did_you_mean(name, names.iter().copied());
            let guess = guess.map_or(String::new(), |guess| format!("; did you mean `{guess}`?"));
            return Err(format!("there is no layer `{name}`{guess} (layers: {})", names.join(", ")));
        };
        match (neuron as usize) < *len {
            true => Ok(()),
            false => Err(format!("`{name}` has {len} neurons, numbered from 0")),
        }
    }
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
