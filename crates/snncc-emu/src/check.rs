//! What is checked of an image before it runs: structure, registers, and every capacity, counted anew.
//!
//! The compiler's counts are not trusted, nor is the reader's structure check: an [`Image`] may have been built by hand. After
//! [`check`] found nothing wrong every index in the image is in range, every register holds its value, and every limit that
//! does not depend on the synapses is kept; [`crate::lists`] and [`crate::load`] see to the rest.

use snncc_chip::{Limit, LoihiFormats, LoihiLimits, Target};
use snncc_ids::{CoreId, Diagnostic, Diagnostics, code};
use snncc_image::{AxonTable, CoreImage, Image, PopulationSymbol, ResetModel, SignMode, SynapseFormat};
use std::collections::BTreeSet;

/// Collects refusals.
pub(crate) struct Judge<'a> {
    pub(crate) target: &'a Target,
    pub(crate) problems: Diagnostics,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(target: &'a Target) -> Self {
        Self { target, problems: Diagnostics::new() }
    }

    pub(crate) fn formats(&self) -> &'a LoihiFormats {
        &self.target.model.loihi().formats
    }

    pub(crate) fn limits(&self) -> &'a LoihiLimits {
        &self.target.model.loihi().limits
    }

    pub(crate) fn core_name(&self, core: u32) -> String {
        if core < self.target.cores() { self.target.core_name(CoreId(core)) } else { format!("core {core}") }
    }

    /// Refuses the image.
    pub(crate) fn refuse(&mut self, item: impl Into<String>, message: impl Into<String>) {
        self.problems.push(refusal(item, message));
    }

    /// Refuses something of a core.
    pub(crate) fn refuse_core(&mut self, core: u32, resource: &str, message: impl std::fmt::Display) {
        let message = format!("{}: {message}", self.core_name(core));
        self.refuse(format!("cores/{core}/{resource}"), message);
    }

    /// Refuses a core that uses more of a resource than there is.
    pub(crate) fn limit(&mut self, core: u32, resource: &str, used: u64, limit: Limit) {
        if !limit.allows(used) {
            let message = format!("{used} {} in use, {} there", resource.replace('_', " "), limit.max());
            self.refuse_core(core, resource, message);
        }
    }

    /// Refuses a core for its faulty entries of one kind: names the first and says how many there are.
    fn refuse_faulty(
        &mut self,
        core: u32,
        resource: &str,
        faulty: impl Iterator<Item = usize>,
        describe: impl Fn(usize) -> String,
    ) {
        let (mut first, mut count) = (None, 0_u64);
        for at in faulty {
            first.get_or_insert(at);
            count += 1;
        }
        if let Some(at) = first {
            let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
            self.refuse_core(core, resource, format!("{}{more}", describe(at)));
        }
    }
}

/// Why an image cannot run.
pub(crate) fn refusal(item: impl Into<String>, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(code::IMAGE_DAMAGED, format!("the image cannot run: {}", message.into()))
        .at(item)
        .help("compile the network again")
}

/// Checks names, shapes, latencies and scales of populations; `slots` is the longest delay plus one.
pub(crate) fn check_populations(populations: &[PopulationSymbol], slots: u64, problems: &mut Diagnostics) {
    // A path passes each population once, and waits at each for no longer than the delay slots reach.
    let longest_path = populations.len() as u64 * (1 + slots);
    let mut names = BTreeSet::new();
    for (at, population) in populations.iter().enumerate() {
        let mut refuse = |message: String| problems.push(refusal(format!("populations/{at}"), message));
        let name = &population.name;
        if !names.insert(name.as_str()) {
            refuse(format!("two populations have the name `{name}`"));
        }
        let neurons = population.locations.len();
        if elements(&population.shape) != Some(neurons) {
            refuse(format!("population `{name}` has shape {:?} but {neurons} neurons", population.shape));
        }
        if u64::from(population.latency_steps) > longest_path {
            let latency = population.latency_steps;
            refuse(format!("population `{name}` has a latency of {latency} steps; no path takes over {longest_path}"));
        }
        let scales = &population.units_per_volt;
        if ![1, neurons].contains(&scales.len()) || !scales.iter().all(|scale| scale.is_finite() && *scale > 0.0) {
            refuse(format!("population `{name}` has no usable scale for each of its {neurons} neurons"));
        }
    }
}

/// Checks structure, registers and table sizes of an image.
pub(crate) fn check(image: &Image, judge: &mut Judge<'_>) {
    if !image.cores.windows(2).all(|pair| pair[0].core < pair[1].core) {
        judge.refuse("cores", "cores are not in ascending order, each once");
    }
    for core in &image.cores {
        let number = core.core;
        if number >= judge.target.cores() {
            let message = format!("there is no core {number}: the target has {} cores", judge.target.cores());
            judge.refuse(format!("cores/{number}"), message);
        } else if !judge.target.is_usable(CoreId(number)) {
            judge.refuse_core(number, "core", "the target lists this core as dead");
        }
        check_settings(core, judge);
        check_configs(core, judge);
        core.synapse_formats.iter().enumerate().for_each(|(at, format)| check_format(core, at, format, judge));
        check_compartments(core, judge);
        check_memory(core, judge);
    }
    let mut names = BTreeSet::new();
    for (at, port) in image.inputs.iter().enumerate() {
        let item = format!("inputs/{at}");
        if !names.insert(port.name.as_str()) {
            judge.refuse(item.clone(), format!("two input ports have the name `{}`", port.name));
        }
        match elements(&port.shape) {
            Some(len) => {
                if let Err(what) = check_table(&port.axons, len) {
                    judge.refuse(item, format!("input `{}`: {what}", port.name));
                }
            }
            None => judge.refuse(item, format!("input `{}` has the impossible shape {:?}", port.name, port.shape)),
        }
    }
    for (at, port) in image.outputs.iter().enumerate() {
        if port.population as usize >= image.populations.len() {
            let message = format!("output `{}` reads population {}, which does not exist", port.name, port.population);
            judge.refuse(format!("outputs/{at}"), message);
        }
    }
    let slots = image.cores.iter().map(|core| 1_u64 << core.settings.delay_bits.min(31)).max().unwrap_or(1);
    check_populations(&image.populations, slots, &mut judge.problems);
}

/// Number of elements of a shape.
fn elements(shape: &[u32]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, len| product.checked_mul(*len as usize))
}

/// Checks the offsets of an axon table.
fn check_table(table: &AxonTable, rows: usize) -> Result<(), String> {
    let starts = &table.starts;
    let sound = starts.len().checked_sub(1) == Some(rows)
        && starts[0] == 0
        && starts.is_sorted()
        && starts[rows] as usize == table.targets.len();
    if sound { Ok(()) } else { Err(format!("its axon table is not one of {rows} rows")) }
}

fn check_settings(core: &CoreImage, judge: &mut Judge<'_>) {
    let (number, settings, formats) = (core.core, &core.settings, judge.formats());
    for (resource, exponent, limit) in [
        ("v_min_exponent", settings.v_min_exponent, formats.v_min_exponent_max.0),
        ("v_max_exponent", settings.v_max_exponent, formats.v_max_exponent_max.0),
    ] {
        match exponent {
            Some(exponent) if exponent > limit => {
                judge.refuse_core(number, resource, format!("{exponent} exceeds the largest register, {limit}"));
            }
            None if formats.clip_required.0 => {
                judge.refuse_core(number, resource, "this chip always clips the voltage, but the register is not set");
            }
            _ => {}
        }
    }
    let arithmetic = &judge.target.model.loihi().arithmetic;
    if let Some(exponent) = settings.v_max_exponent {
        let bits =
            u32::from(arithmetic.v_max_base_bits) + u32::from(arithmetic.v_max_bits_per_unit) * u32::from(exponent);
        if bits > 62 {
            judge.refuse_core(number, "v_max_exponent", format!("a clip at 2^{bits} exceeds 64 bits"));
        }
    }
    if settings.delay_bits > formats.delay_bits.0 {
        let message = format!("{} delay bits; the chip has {}", settings.delay_bits, formats.delay_bits.0);
        judge.refuse_core(number, "delay_bits", message);
    }
    if !core.noise_samples.is_empty() && settings.noise.is_none() {
        judge.refuse_core(number, "noise_samples", "noise samples, but noise is not switched on");
    }
    let neurons = core.compartments.len();
    let faulty = core.noise_samples.iter().enumerate().filter(|(_, row)| row.len() != neurons);
    judge.refuse_faulty(number, "noise_samples", faulty.map(|(at, _)| at), |at| {
        format!("{} noise samples in step {} for {neurons} compartments", core.noise_samples[at].len(), at + 1)
    });
}

fn check_configs(core: &CoreImage, judge: &mut Judge<'_>) {
    let (number, formats, limits) = (core.core, judge.formats(), judge.limits());
    judge.limit(number, "compartment_configs", core.compartment_configs.len() as u64, limits.compartment_configs.0);
    judge.limit(number, "threshold_configs", core.threshold_configs.len() as u64, limits.threshold_configs.0);
    judge.limit(number, "synapse_formats", core.synapse_formats.len() as u64, limits.synapse_formats.0);
    let (decay_max, refractory_max) = (formats.decay_max.0, formats.refractory_max.0);
    let faulty = core.compartment_configs.iter().enumerate().filter(|(_, config)| {
        i64::from(config.decay_u.max(config.decay_v)) > decay_max
            || !(1..=refractory_max).contains(&i64::from(config.refractory))
            || matches!(config.reset, ResetModel::Periodic { interval: 0, .. })
    });
    judge.refuse_faulty(number, "compartment_configs", faulty.map(|(at, _)| at), |at| {
        format!(
            "config {at} does not fit its registers (decays up to {decay_max}, refractory 1 to {refractory_max}, \
             interval from 1): {:?}",
            core.compartment_configs[at]
        )
    });
    let mantissa_max = formats.threshold_mantissa_max.0;
    let within = |mantissa: i32, from: i64| (from..=mantissa_max).contains(&i64::from(mantissa));
    let faulty =
        core.threshold_configs.iter().enumerate().filter(|(_, threshold)| {
            !within(threshold.mantissa, 0) || !within(threshold.lower_mantissa, -mantissa_max)
        });
    judge.refuse_faulty(number, "threshold_configs", faulty.map(|(at, _)| at), |at| {
        format!("threshold {at} exceeds the largest mantissa, {mantissa_max}: {:?}", core.threshold_configs[at])
    });
}

fn check_format(core: &CoreImage, at: usize, format: &SynapseFormat, judge: &mut Judge<'_>) {
    let formats = judge.formats();
    let mut faults = Vec::new();
    if !formats.weight_codes.0.iter().any(|code| code.bits == format.weight_bits) {
        faults.push(format!("the chip has no weights of {} bits", format.weight_bits));
    }
    let mixed = u8::from(format.sign_mode == SignMode::Mixed);
    let shift = (formats.weight_magnitude_bits.0 + mixed).saturating_sub(format.weight_bits);
    if format.mantissa_shift != shift {
        faults.push(format!(
            "mantissas of {} bits ({:?}) are multiples of 2^{shift}, not of 2^{}",
            format.weight_bits, format.sign_mode, format.mantissa_shift
        ));
    }
    let (low, high) = formats.weight_exponent.0;
    if !(low..=high).contains(&format.exponent) {
        faults.push(format!("the weight exponent {} is outside {low} to {high}", format.exponent));
    }
    if format.delay_bits > formats.delay_bits.0 {
        faults.push(format!("{} bits of delay; the chip has {}", format.delay_bits, formats.delay_bits.0));
    }
    if let Some(bits) = format.index_bits
        && !formats.index_bits.0.contains(&bits)
    {
        faults.push(format!("the chip has no index of {bits} bits"));
    }
    for fault in faults {
        judge.refuse_core(core.core, &format!("synapse_formats/{at}"), fault);
    }
}

fn check_compartments(core: &CoreImage, judge: &mut Judge<'_>) {
    let (number, c, formats) = (core.core, &core.compartments, judge.formats());
    let neurons = c.len();
    judge.limit(number, "compartments", neurons as u64, judge.limits().compartments.0);
    let lengths = [
        c.threshold.len(),
        c.bias_mantissa.len(),
        c.bias_exponent.len(),
        c.start_step.len(),
        c.u_initial.len(),
        c.v_initial.len(),
    ];
    if lengths.iter().any(|len| *len != neurons) || u32::try_from(neurons).is_err() {
        judge.refuse_core(number, "compartments", "the arrays of its compartments differ in length");
        return;
    }
    let indices =
        |values: &[u32], len: usize| -> Vec<usize> { (0..neurons).filter(|at| values[*at] as usize >= len).collect() };
    let faulty = indices(&c.config, core.compartment_configs.len());
    judge.refuse_faulty(number, "compartments", faulty.into_iter(), |at| {
        format!("compartment {at} has config {}, which does not exist", c.config[at])
    });
    let faulty = indices(&c.threshold, core.threshold_configs.len());
    judge.refuse_faulty(number, "compartments", faulty.into_iter(), |at| {
        format!("compartment {at} has threshold {}, which does not exist", c.threshold[at])
    });
    let ((mantissa_low, mantissa_high), (low, high)) = (formats.bias_mantissa.0, formats.bias_exponent.0);
    let faulty = (0..neurons).filter(|&at| {
        !(mantissa_low..=mantissa_high).contains(&i64::from(c.bias_mantissa[at]))
            || !(low..=high).contains(&i64::from(c.bias_exponent[at]))
    });
    judge.refuse_faulty(number, "bias", faulty, |at| {
        format!(
            "compartment {at} has bias {} · 2^{}, but mantissas go from {mantissa_low} to {mantissa_high} and exponents \
             from {low} to {high}",
            c.bias_mantissa[at], c.bias_exponent[at]
        )
    });
    let bits = formats.state_bits.0;
    let fits = |value: i64| (-(1_i64 << bits)..1 << bits).contains(&value);
    let faulty = (0..neurons).filter(|&at| !fits(c.u_initial[at]) || !fits(c.v_initial[at]));
    judge.refuse_faulty(number, "initial_state", faulty, |at| {
        format!(
            "compartment {at} starts with u = {}, v = {}, which do not fit {bits} bits and sign",
            c.u_initial[at], c.v_initial[at]
        )
    });
}

fn check_memory(core: &CoreImage, judge: &mut Judge<'_>) {
    let (number, limits) = (core.core, judge.limits());
    judge.limit(number, "synapse_words", core.synapse_words.len() as u64, limits.synapse_words.0);
    judge.limit(number, "out_axons", core.out_axons.targets.len() as u64, limits.out_axons.0);
    let mut next = 0_u64;
    let gapless = core.lists.iter().all(|list| {
        let at_next = u64::from(list.first_word) == next;
        next += u64::from(list.words);
        at_next
    });
    if !gapless || next != core.synapse_words.len() as u64 {
        judge.refuse_core(
            number,
            "lists",
            "its synapse lists do not cover its synapse words in order and without gaps",
        );
    }
    let faulty = (0..core.in_axons.len()).filter(|at| core.in_axons[*at].list as usize >= core.lists.len());
    judge.refuse_faulty(number, "in_axons", faulty, |at| {
        format!("input axon {at} has list {}, which does not exist", core.in_axons[at].list)
    });
    if let Err(what) = check_table(&core.out_axons, core.compartments.len()) {
        judge.refuse_core(number, "out_axons", what);
    }
}
