//! The text view and the CSV tables of a report.
//!
//! **Invariant:** a view reads nothing but [`ReportData`].

use crate::data::{LayerRow, ReportData, ResourceUse, RunSection, Status, VerificationSection};
use crate::figure::{Figure, number_text};
use crate::table::Table;
use std::fmt::Write;

/// Rows of long tables that the text view shows.
const ROWS_SHOWN: usize = 24;

/// The report as text for a terminal.
pub fn text(report: &ReportData) -> String {
    let mut out = String::new();
    summary(&mut out, report);
    layers(&mut out, report);
    host(&mut out, report);
    cores(&mut out, report);
    chips(&mut out, report);
    quantization(&mut out, report);
    if let Some(run) = &report.run {
        run_section(&mut out, report, run);
    }
    if let Some(verification) = &report.verification {
        verification_section(&mut out, verification);
    }
    diagnostics(&mut out, report);
    out
}

fn summary(out: &mut String, report: &ReportData) {
    let (network, target) = (&report.network, &report.target);
    let _ = match &report.status {
        Status::Compiled => writeln!(out, "{} compiled for {}", network.file, target.name),
        Status::Failed { stage } => {
            writeln!(out, "{} does not compile for {}: {stage} failed", network.file, target.name)
        }
    };
    let chips = if target.chips == 1 { "chip" } else { "chips" };
    let _ = writeln!(
        out,
        "  target   {}; model {} ({} {chips}, {} usable cores)",
        target.about, target.model, target.chips, target.usable_cores
    );
    let mut size = format!("{}, {}", report.totals.neurons.text(), report.totals.synapses.text());
    if report.status == Status::Compiled {
        let _ = write!(size, ", {}", report.totals.cores.text());
    }
    let _ = writeln!(out, "  size     {size}");
    if let Some(step) = &network.step {
        let _ = writeln!(out, "  step     {} ({})", step.text(), step.source);
    }
    if let Some(latency) = &network.output_latency {
        let _ = writeln!(out, "  latency  {} from input to output", latency.text());
    }
}

fn layers(out: &mut String, report: &ReportData) {
    let mut table = Table::new(&["layer", "shape", "neurons", "synapses in", "cores", "latency"]);
    for layer in &report.layers {
        let shape: Vec<String> = layer.shape.iter().map(ToString::to_string).collect();
        table.row(vec![
            layer.title(),
            shape.join("×"),
            if is_fed(layer) { "–".into() } else { number_text(layer.neurons.value) },
            if is_fed(layer) { "–".into() } else { number_text(layer.synapses.value) },
            layer.cores.as_ref().map_or("–".into(), |cores| number_text(cores.value)),
            number_text(layer.latency.value),
        ]);
    }
    section(out, "Layers", &table);
}

/// Whether a layer is no neurons on the chip: the host feeds it.
fn is_fed(layer: &LayerRow) -> bool {
    matches!(layer.role.as_str(), "input" | "host")
}

fn host(out: &mut String, report: &ReportData) {
    let mut table = Table::new(&["layer", "shape", "neurons", "connections in"]);
    for layer in &report.host {
        let shape: Vec<String> = layer.shape.iter().map(ToString::to_string).collect();
        let numbers = [&layer.neurons, &layer.connections].map(|figure| number_text(figure.value));
        let mut row = vec![layer.name.clone(), shape.join("×")];
        row.extend(numbers);
        table.row(row);
    }
    section(out, "On the host", &table);
}

fn section(out: &mut String, title: &str, table: &Table) {
    if !table.is_empty() {
        let _ = write!(out, "\n{title}\n{}", table.text(2));
    }
}

fn share(used: &ResourceUse) -> String {
    match used.percent() {
        Some(percent) => format!("{} ({percent:.0} %)", number_text(used.used.into())),
        None => number_text(used.used.into()),
    }
}

fn cores(out: &mut String, report: &ReportData) {
    let shown: Vec<&str> = report.totals.resources.iter().take(4).map(|used| used.resource.as_str()).collect();
    let titles: Vec<String> = shown.iter().map(|name| title_of(name)).collect();
    let mut headers = vec!["core", "layers"];
    headers.extend(titles.iter().map(String::as_str));
    headers.push("binding");
    let mut table = Table::new(&headers);
    for core in report.cores.iter().take(ROWS_SHOWN) {
        let layers: Vec<String> = core.layers.iter().map(|(name, neurons)| format!("{name}:{neurons}")).collect();
        let mut row = vec![core.name.clone(), layers.join(" ")];
        row.extend(shown.iter().map(|name| core.resource(name).map_or("–".into(), share)));
        row.push(core.binding.as_ref().map_or("–".into(), |binding| binding.replace('_', " ")));
        table.row(row);
    }
    section(out, "Cores", &table);
    more(out, report.cores.len());
}

/// `in-axons` of `in_axons`, `synapse words` of `synapse_words`.
fn title_of(resource: &str) -> String {
    match resource.ends_with("axons") {
        true => resource.replace('_', "-"),
        false => resource.replace('_', " "),
    }
}

fn chips(out: &mut String, report: &ReportData) {
    let Some(first) = report.chips.first() else { return };
    let titles: Vec<String> = first.resources.iter().map(|used| title_of(&used.resource)).collect();
    let mut headers = vec!["chip", "cores"];
    headers.extend(titles.iter().map(String::as_str));
    let mut table = Table::new(&headers);
    for chip in report.chips.iter().take(ROWS_SHOWN) {
        let mut row = vec![format!("({}, {})", chip.position.0, chip.position.1), chip.cores.to_string()];
        row.extend(chip.resources.iter().map(share));
        table.row(row);
    }
    section(out, "Chips", &table);
    more(out, report.chips.len());
}

fn more(out: &mut String, rows: usize) {
    if rows > ROWS_SHOWN {
        let _ = writeln!(out, "  … and {} more; report.json and tables/ have all", rows - ROWS_SHOWN);
    }
}

fn quantization(out: &mut String, report: &ReportData) {
    let figure = |figure: &Option<Figure>| figure.as_ref().map_or("–".into(), |figure| number_text(figure.value));
    let mut table =
        Table::new(&["projection", "weights", "bits", "signs", "SQNR dB", "zeroed", "clipped", "threshold error"]);
    for row in report.quantization.iter().take(ROWS_SHOWN) {
        table.row(vec![
            row.projection.clone(),
            number_text(row.weights.value),
            row.weight_bits.to_string(),
            row.signs.clone(),
            figure(&row.sqnr),
            figure(&row.zeroed),
            figure(&row.clipped),
            figure(&row.threshold_error),
        ]);
    }
    section(out, "Quantization", &table);
    more(out, report.quantization.len());
}

fn labelled(figure: &Figure) -> String {
    format!("{}  [{}: {}]", figure.text(), figure.basis.name(), figure.source)
}

fn run_section(out: &mut String, report: &ReportData, run: &RunSection) {
    let _ = writeln!(out, "\nRun: {} ({} coding)", run.input, run.coding);
    let mut lines = vec![("samples".to_owned(), run.samples.text()), ("steps a sample".to_owned(), run.steps.text())];
    lines.extend(run.accuracy.iter().map(|accuracy| ("accuracy".to_owned(), labelled(accuracy))));
    let by_step = run.accuracy_by_step.iter();
    let shown = by_step.filter(|(steps, _)| steps.is_power_of_two() || *steps as usize == run.accuracy_by_step.len());
    lines.extend(shown.map(|(steps, accuracy)| (format!("after {steps} steps"), labelled(accuracy))));
    lines.extend(run.early_exit.iter().map(|(what, figure)| (format!("early exit, {what}"), labelled(figure))));
    let title = |name: &String| {
        report.layers.iter().find(|layer| layer.name == *name).map_or_else(|| name.clone(), LayerRow::title)
    };
    lines.extend(run.spikes.iter().map(|(layer, spikes)| (format!("spikes of {}", title(layer)), spikes.text())));
    lines.push(("spikes, all neurons".to_owned(), labelled(&run.total_spikes)));
    lines.push(("synaptic events".to_owned(), labelled(&run.synaptic_events)));
    let by_layer = run.synaptic_events_by_layer.iter();
    lines.extend(by_layer.map(|(part, events)| (format!("synaptic events, {part}"), events.text())));
    lines.push(("packets".to_owned(), labelled(&run.packets)));
    lines.push(("hops".to_owned(), labelled(&run.hops)));
    lines.push(("time".to_owned(), labelled(&run.time)));
    lines.push(("slowest step".to_owned(), labelled(&run.slowest_step)));
    lines.extend(run.energy.iter().map(|(part, energy)| (format!("energy, {part}"), energy.text())));
    lines.push(("energy, all parts".to_owned(), labelled(&run.total_energy)));
    let first = run.first_layer_energy.iter();
    lines.extend(first.map(|energy| ("of it, synapses of the first layer".to_owned(), energy.text())));
    if let Some(host) = &run.host {
        lines.extend(host.work.iter().map(|(kind, count)| (format!("host, {kind}"), labelled(count))));
        lines.extend(host.energy.iter().map(|(kind, energy)| (format!("energy, host, {kind}"), energy.text())));
        let total = host.total_energy.iter();
        lines.extend(total.map(|energy| ("energy, host, all parts".to_owned(), labelled(energy))));
        let both = host.energy_with_chip.iter();
        lines.extend(both.map(|energy| ("energy, chip and host".to_owned(), energy.text())));
    }
    lines.extend(run.overflows.iter().map(|(kind, count)| (format!("overflows, {kind}"), count.text())));
    lines.extend(run.host_work.iter().map(|(kind, count)| (format!("host, {kind}"), count.text())));
    pairs(out, &lines);
    for caveat in run.caveats.iter().chain(run.host.iter().flat_map(|host| &host.caveats)) {
        let _ = writeln!(out, "  note: {caveat}");
    }
}

fn pairs(out: &mut String, lines: &[(String, String)]) {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, text) in lines {
        let _ = writeln!(out, "  {name}{}  {text}", " ".repeat(width - name.chars().count()));
    }
}

fn verification_section(out: &mut String, verification: &VerificationSection) {
    let _ = writeln!(out, "\nVerification: {}", verification.input);
    let mut lines = vec![
        ("samples".to_owned(), verification.samples.text()),
        ("steps a sample".to_owned(), verification.steps.text()),
        ("mismatches".to_owned(), labelled(&verification.mismatches)),
    ];
    lines.extend(verification.first_divergence.iter().map(|first| ("first divergence".to_owned(), first.clone())));
    lines.extend(verification.accuracy.iter().map(|(name, accuracy)| (format!("accuracy, {name}"), accuracy.text())));
    for row in &verification.losses {
        let measures: Vec<String> =
            row.measures.iter().map(|(name, figure)| format!("{name} {}", figure.text())).collect();
        lines.push((format!("loss of {}", row.layer), measures.join(", ")));
    }
    pairs(out, &lines);
}

fn diagnostics(out: &mut String, report: &ReportData) {
    if report.diagnostics.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nDiagnostics");
    for row in report.diagnostics.iter().take(ROWS_SHOWN) {
        let place = row.item.as_ref().map_or(String::new(), |item| format!(" (at {item})"));
        let _ = writeln!(out, "  {}[{}]: {}{place}", row.severity, row.code, row.message);
    }
    more(out, report.diagnostics.len());
}

/// The tables of the output folder: file name and CSV text.
pub fn csv_tables(report: &ReportData) -> Vec<(&'static str, String)> {
    vec![
        ("layers.csv", layers_csv(report)),
        ("cores.csv", cores_csv(report)),
        ("links.csv", links_csv(report)),
        ("quantization.csv", quantization_csv(report)),
        ("placement.csv", placement_csv(report)),
    ]
}

fn plain(figure: &Figure) -> String {
    match figure.value.as_integer() {
        Some(value) => value.to_string(),
        None => figure.value.as_f64().to_string(),
    }
}

fn plain_or_empty(figure: &Option<Figure>) -> String {
    figure.as_ref().map(plain).unwrap_or_default()
}

fn layers_csv(report: &ReportData) -> String {
    let mut table =
        Table::new(&["layer", "role", "shape", "neurons", "elements", "synapses", "cores", "latency_steps", "item"]);
    for layer in &report.layers {
        let shape: Vec<String> = layer.shape.iter().map(ToString::to_string).collect();
        table.row(vec![
            layer.name.clone(),
            layer.role.clone(),
            shape.join("x"),
            plain(&layer.neurons),
            plain(&layer.elements),
            plain(&layer.synapses),
            plain_or_empty(&layer.cores),
            plain(&layer.latency),
            layer.item.clone(),
        ]);
    }
    table.csv()
}

fn cores_csv(report: &ReportData) -> String {
    let resources: Vec<&str> = report.totals.resources.iter().map(|resource| resource.resource.as_str()).collect();
    let limits: Vec<String> = resources.iter().map(|name| format!("{name}_limit")).collect();
    let mut headers = vec!["core", "name", "router_x", "router_y", "layers", "binding"];
    for (name, limit) in resources.iter().zip(&limits) {
        headers.extend([*name, limit.as_str()]);
    }
    let mut table = Table::new(&headers);
    for core in &report.cores {
        let layers: Vec<String> = core.layers.iter().map(|(name, neurons)| format!("{name}:{neurons}")).collect();
        let mut row = vec![
            core.core.to_string(),
            core.name.clone(),
            core.router.0.to_string(),
            core.router.1.to_string(),
            layers.join(" "),
            core.binding.clone().unwrap_or_default(),
        ];
        for name in &resources {
            let used = core.resource(name);
            row.push(used.map_or(String::new(), |used| used.used.to_string()));
            row.push(used.and_then(|used| used.available).map_or(String::new(), |limit| limit.to_string()));
        }
        table.row(row);
    }
    table.csv()
}

fn links_csv(report: &ReportData) -> String {
    let mut table = Table::new(&["from_x", "from_y", "to_x", "to_y", "crosses_chip", "axons"]);
    for link in &report.links {
        let numbers = [link.from.0, link.from.1, link.to.0, link.to.1];
        let mut row: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        row.extend([link.crosses_chip.to_string(), plain(&link.axons)]);
        table.row(row);
    }
    table.csv()
}

fn quantization_csv(report: &ReportData) -> String {
    let mut table = Table::new(&[
        "projection",
        "target",
        "weights",
        "weight_bits",
        "exponent",
        "signs",
        "sqnr_db",
        "max_error",
        "zeroed",
        "clipped",
        "threshold_error",
        "bias_error",
        "decay_error",
    ]);
    for row in &report.quantization {
        let mut cells = vec![
            row.projection.clone(),
            row.target.clone(),
            plain(&row.weights),
            row.weight_bits.to_string(),
            row.exponent.to_string(),
            row.signs.clone(),
        ];
        let figures = [
            &row.sqnr,
            &row.max_error,
            &row.zeroed,
            &row.clipped,
            &row.threshold_error,
            &row.bias_error,
            &row.decay_error,
        ];
        cells.extend(figures.map(plain_or_empty));
        table.row(cells);
    }
    table.csv()
}

fn placement_csv(report: &ReportData) -> String {
    let mut table = Table::new(&["layer", "first_neuron", "count", "core", "core_name", "first_compartment"]);
    for row in &report.placement {
        table.row(vec![
            row.layer.clone(),
            row.first_neuron.to_string(),
            row.count.to_string(),
            row.core.to_string(),
            row.core_name.clone(),
            row.first_compartment.to_string(),
        ]);
    }
    table.csv()
}
