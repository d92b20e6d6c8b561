//! From image to [`Program`]: checks, capacities that depend on synapses, and the choice of each core's path.

use crate::check::{Judge, check, refusal};
use crate::lists::{Decoded, FanIn, decode, fan_in};
use crate::narrow::BLOCK;
use crate::program::{
    BiasFormat, CoreProgram, HopCost, MeshShape, Message, NarrowNeurons, Neurons, OutputProgram, PopulationProgram,
    PortProgram, Program, Rows, WideConfig, WideNeurons,
};
use crate::rules::{Rules, shift};
use crate::timing::Costs;
use snncc_chip::{ArithmeticProfile, HardwareModel, Overflow, Target};
use snncc_ids::{CoreId, Diagnostic, Diagnostics, code};
use snncc_image::{AxonTable, CoreImage, Image, PopulationSymbol, ResetModel};

/// Compartments, plus synapses weighed by how rarely they act, from which threads are worth waking in each step.
const WORTH_THREADS: u64 = 1 << 16;
/// About one synapse in this many acts in a step, compared with a compartment's update.
const SYNAPSES_PER_UPDATE: u64 = 32;

/// Widest register, without sign, that the narrow path takes; with `F` fraction bits also at most `F + 14`.
const NARROW_BITS: u32 = 26;
/// Largest bias of the narrow path: with a current of 26 bits the sum stays within 32.
const NARROW_BIAS: i64 = 1 << 30;
/// Bits that the sum in an accumulator of 64 bits may take.
pub(crate) const WIDE_SUM_BITS: u32 = 62;

/// Which paths cores may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paths {
    /// The fast path of 32 bits where it is exact, else the one of 64 bits.
    #[default]
    Fastest,
    /// The path of 64 bits only: for tests that compare the two.
    Wide,
}

impl Program {
    /// Checks an image against its target and lays it out for emulation.
    ///
    /// Every capacity of docs/CHIP_SEMANTICS.md ("Resources of a core") and every field is counted and checked anew.
    ///
    /// # Errors
    /// `SNN0701` for an image of another hardware model; `SNN0109` for one that is damaged or does not fit: one diagnostic
    /// for each resource of each core, with what is used and what is there.
    pub fn load(image: &Image, target: &Target) -> Result<Program, Diagnostics> {
        Self::load_with(image, target, Paths::Fastest)
    }

    /// As [`Program::load`], with a choice of paths. Results do not depend on it.
    ///
    /// # Errors
    /// As [`Program::load`].
    pub fn load_with(image: &Image, target: &Target, paths: Paths) -> Result<Program, Diagnostics> {
        let hash = target.model.hash();
        if image.model_hash != hash {
            let built_for = BuiltFor { model: &image.model_name, hash: &image.model_hash, target: &image.target_name };
            return Err(other_model(&built_for, &target.model, target.name()).into());
        }
        let mut judge = Judge::new(target);
        check(image, &mut judge);
        if judge.problems.has_errors() {
            return Err(judge.problems);
        }
        let loader = Loader { image, target, costs: Costs::new(target.costs()), paths };
        match loader.load(&mut judge) {
            Some(program) if !judge.problems.has_errors() => Ok(program),
            _ => Err(judge.problems),
        }
    }
}

/// What an image says it was built for.
pub(crate) struct BuiltFor<'a> {
    pub(crate) model: &'a str,
    pub(crate) hash: &'a [u8; 32],
    pub(crate) target: &'a str,
}

pub(crate) fn other_model(image: &BuiltFor<'_>, model: &HardwareModel, target: &str) -> Diagnostic {
    let short = |hash: &[u8; 32]| hash[..6].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (theirs, ours) = (image.model, &model.name);
    let message = if theirs == ours {
        format!("the image was built for another version of hardware model `{ours}`")
    } else {
        format!("the image was built for hardware model `{theirs}`, but target `{target}` has `{ours}`")
    };
    Diagnostic::error(code::WRONG_CHIP, message)
        .note(format!("model hash of the image {}…, of the target {}…", short(image.hash), short(&model.hash())))
        .help(format!("compile the network again for `{target}`, or run the image on `{}`", image.target))
}

/// Populations with the index of the core and the number on it of each neuron; and by core and number, population and neuron,
/// `u32::MAX` where it has no name. `neurons` has the number of neurons of each core.
pub(crate) fn place(
    populations: &[PopulationSymbol],
    neurons: impl Iterator<Item = usize>,
    core_index: impl Fn(u32) -> Option<usize>,
    problems: &mut Diagnostics,
) -> (Vec<PopulationProgram>, Vec<Vec<(u32, u32)>>) {
    let mut symbols: Vec<Vec<(u32, u32)>> = neurons.map(|len| vec![(u32::MAX, u32::MAX); len]).collect();
    let mut programs = Vec::new();
    for (index, symbol) in populations.iter().enumerate() {
        let mut places = Vec::with_capacity(symbol.locations.len());
        let mut fault = None;
        for (neuron, place) in symbol.locations.iter().enumerate() {
            let name = core_index(place.core)
                .and_then(|core| Some((core, symbols[core].get_mut(place.compartment as usize)?)));
            match name {
                Some((core, name)) if *name == (u32::MAX, u32::MAX) => {
                    *name = (index as u32, neuron as u32);
                    places.push((core as u32, place.compartment));
                }
                Some(_) => {
                    fault.get_or_insert((neuron, place, "is taken by another neuron"));
                }
                None => {
                    fault.get_or_insert((neuron, place, "does not exist"));
                }
            }
        }
        if let Some((neuron, place, what)) = fault {
            let message = format!(
                "neuron {neuron} of `{}` sits on compartment {} of core {}, which {what}",
                symbol.name, place.compartment, place.core
            );
            problems.push(refusal(format!("populations/{index}"), message));
        }
        programs.push(PopulationProgram {
            name: symbol.name.clone(),
            shape: symbol.shape.clone(),
            latency_steps: symbol.latency_steps,
            places,
            units_per_volt: symbol.units_per_volt.clone(),
            ternary: false,
        });
    }
    (programs, symbols)
}

struct Loader<'a> {
    image: &'a Image,
    target: &'a Target,
    costs: Costs,
    paths: Paths,
}

impl Loader<'_> {
    fn profile(&self) -> &ArithmeticProfile {
        &self.target.model.loihi().arithmetic
    }

    fn mesh(&self) -> MeshShape {
        let (mesh, chips) = (&self.target.model.mesh, &self.target.file.chips);
        MeshShape {
            columns: mesh.columns.0 * chips.columns,
            rows: mesh.rows.0 * chips.rows,
            chip_columns: mesh.columns.0,
            chip_rows: mesh.rows.0,
            cores_per_router: mesh.cores_per_router.0,
        }
    }

    fn core_index(&self, number: u32) -> Option<usize> {
        self.image.cores.binary_search_by_key(&number, |core| core.core).ok()
    }

    /// `None` if there is nothing to go on with; refusals are in the judge in any case.
    fn load(&self, judge: &mut Judge<'_>) -> Option<Program> {
        let (populations, symbols) = self.populations(judge);
        let mut sources: Vec<Vec<u32>> = self.image.cores.iter().map(|core| vec![0; core.in_axons.len()]).collect();
        let mut seen = vec![u64::MAX; self.image.cores.len()];
        let mut next_source = 0;
        let mut rows_of = |table: &AxonTable, item: String, judge: &mut Judge<'_>| {
            self.rows(table, &item, &mut sources, &mut seen, &mut next_source, judge)
        };
        let core_rows: Vec<Rows> = self
            .image
            .cores
            .iter()
            .map(|core| rows_of(&core.out_axons, format!("cores/{}/out_axons", core.core), judge))
            .collect();
        let mut inputs: Vec<PortProgram> = self
            .image
            .inputs
            .iter()
            .enumerate()
            .map(|(at, port)| PortProgram {
                name: port.name.clone(),
                rows: rows_of(&port.axons, format!("inputs/{at}/axons"), judge),
            })
            .collect();
        if judge.problems.has_errors() {
            return None;
        }
        let graded_cores = self.graded_cores(&inputs);
        let mut cores = Vec::new();
        let mut list_starts = Vec::new();
        for (index, ((core, rows), symbols)) in self.image.cores.iter().zip(core_rows).zip(symbols).enumerate() {
            let sources = &sources[index];
            // Each source has an axon of its own, even where the image lets two share an entry.
            let in_axons = sources.iter().map(|sources| u64::from(*sources)).sum::<u64>().max(sources.len() as u64);
            judge.limit(core.core, "in_axons", in_axons, judge.limits().in_axons.0);
            let Some(decoded) = decode(core, &self.costs, judge) else { continue };
            list_starts.push(decoded.list_starts.clone());
            check_accumulators(core, decoded.longest_delay, judge);
            cores.extend(self.core(core, decoded, rows, sources, symbols, graded_cores[index], judge));
        }
        if judge.problems.has_errors() {
            return None;
        }
        // From here on a message names the place of its list.
        let rows = cores.iter_mut().map(|core: &mut CoreProgram| &mut core.rows);
        for rows in rows.chain(inputs.iter_mut().map(|port| &mut port.rows)) {
            for message in &mut rows.messages {
                message.list = list_starts[message.core as usize][message.list as usize];
            }
        }
        let mut routers: Vec<u32> = self
            .image
            .cores
            .iter()
            .filter(|core| !core.compartments.is_empty())
            .map(|core| self.target.router(CoreId(core.core)))
            .collect();
        routers.dedup();
        let formats = &self.target.model.loihi().formats;
        let synapses: u64 = cores.iter().map(|core: &CoreProgram| core.synapses.words.len() as u64).sum();
        let compartments: u64 = cores.iter().map(|core| core.compartments as u64).sum();
        let program = Program {
            worth_threads: cores.len() > 1 && compartments + synapses / SYNAPSES_PER_UPDATE >= WORTH_THREADS,
            cores,
            inputs,
            outputs: OutputProgram::of(&self.image.outputs),
            populations,
            costs: self.costs.clone(),
            routers: routers.len() as u32,
            mesh: self.mesh(),
            bias_format: BiasFormat { mantissa: formats.bias_mantissa.0, exponent: formats.bias_exponent.0 },
            payload_max: formats.payload_max.0,
        };
        check_dearest_step(&program, judge);
        Some(program)
    }

    /// Messages of each row of an axon table. Counts the sources of each input axon.
    fn rows(
        &self,
        table: &AxonTable,
        item: &str,
        sources: &mut [Vec<u32>],
        seen: &mut [u64],
        next_source: &mut u64,
        judge: &mut Judge<'_>,
    ) -> Rows {
        let mut messages = Vec::with_capacity(table.targets.len());
        let (mut lost, mut twice) = (None, None);
        for source in 0..table.rows() {
            for target in table.row(source) {
                let Some(core) = self.core_index(target.core) else {
                    lost.get_or_insert(target);
                    continue;
                };
                let Some(axon) = self.image.cores[core].in_axons.get(target.axon as usize) else {
                    lost.get_or_insert(target);
                    continue;
                };
                if std::mem::replace(&mut seen[core], *next_source) == *next_source {
                    twice.get_or_insert((source, target.core));
                }
                sources[core][target.axon as usize] = sources[core][target.axon as usize].saturating_add(1);
                messages.push(Message { core: core as u32, list: axon.list, base: axon.base });
            }
            *next_source += 1;
        }
        if let Some(target) = lost {
            judge.refuse(
                item,
                format!("an axon leads to input axon {} of core {}, which does not exist", target.axon, target.core),
            );
        }
        if let Some((source, core)) = twice {
            let core = judge.core_name(core);
            judge
                .refuse(item, format!("source {source} has two axons to {core}; it has one for each core it sends to"));
        }
        Rows { starts: table.starts.clone(), messages }
    }

    /// Cores that graded spikes of the host can reach.
    fn graded_cores(&self, inputs: &[PortProgram]) -> Vec<bool> {
        let mut graded = vec![false; self.image.cores.len()];
        if self.target.model.loihi().formats.payload_max.0 > 1 {
            for message in inputs.iter().flat_map(|port| &port.rows.messages) {
                graded[message.core as usize] = true;
            }
        }
        graded
    }

    fn populations(&self, judge: &mut Judge<'_>) -> (Vec<PopulationProgram>, Vec<Vec<(u32, u32)>>) {
        let neurons = self.image.cores.iter().map(|core| core.compartments.len());
        let placed = place(&self.image.populations, neurons, |number| self.core_index(number), &mut judge.problems);
        let (mut populations, symbols) = placed;
        for population in &mut populations {
            population.ternary = population.places.iter().any(|&(core, compartment)| {
                let core = &self.image.cores[core as usize];
                let config = core.compartments.config[compartment as usize];
                core.compartment_configs[config as usize].reset == ResetModel::Ternary
            });
        }
        (populations, symbols)
    }

    #[allow(clippy::too_many_arguments)]
    fn core(
        &self,
        core: &CoreImage,
        decoded: Decoded,
        rows: Rows,
        sources: &[u32],
        symbols: Vec<(u32, u32)>,
        graded: bool,
        judge: &mut Judge<'_>,
    ) -> Option<CoreProgram> {
        let bound = fan_in(core, &decoded, sources);
        let mut table = decoded.table;
        table.count_bits = u64::BITS - bound.events.leading_zeros();
        let rules = rules(self.profile(), core);
        if sum_bits(&bound, table.count_bits, rules.weight_shift) > WIDE_SUM_BITS {
            let what = format!(
                "up to {} events with a total weight of {} · 2^{} can reach one compartment in a step: more than 64 bits \
                 hold",
                bound.events, bound.units, rules.weight_shift
            );
            judge.refuse_core(core.core, "synapse_words", what);
            return None;
        }
        let c = &core.compartments;
        let start_step: Vec<u32> = c.start_step.iter().map(|step| (*step).max(1)).collect();
        let mut start_order: Vec<u32> = (0..c.len() as u32).collect();
        start_order.sort_by_key(|compartment| start_step[*compartment as usize]);
        let bias = c.bias_mantissa.iter().zip(&c.bias_exponent);
        let narrow = match self.paths {
            Paths::Fastest if !graded => self.narrow(core, &rules, &bound, table.count_bits),
            _ => None,
        };
        let from = CoreId(core.core);
        let hops = (0..c.len()).map(|source| self.hop_cost(from, rows.row(source))).collect();
        Some(CoreProgram {
            number: core.core,
            position: self.target.position(from),
            name: self.target.core_name(from),
            compartments: c.len(),
            neurons: narrow.map_or_else(|| Neurons::Wide(self.wide(core)), Neurons::Narrow),
            rules,
            synapses: table,
            rows,
            hops,
            start_step,
            start_order,
            bias: bias.map(|(mantissa, exponent)| shift(i64::from(*mantissa), i32::from(*exponent))).collect(),
            u_initial: c.u_initial.clone(),
            v_initial: c.v_initial.clone(),
            units_bound: bound.units,
            updated: self.costs.updated,
            symbols,
        })
    }

    /// Hops along x, then along y; chips are crossed where their meshes join.
    fn hop_cost(&self, from: CoreId, messages: &[Message]) -> HopCost {
        let mesh = &self.target.model.mesh;
        let start = self.target.position(from);
        let mut cost = HopCost::default();
        for message in messages {
            let end = self.target.position(CoreId(self.image.cores[message.core as usize].core));
            let along_x = start.0.abs_diff(end.0);
            let along_y = start.1.abs_diff(end.1);
            let crossings = (start.0 / mesh.columns.0).abs_diff(end.0 / mesh.columns.0)
                + (start.1 / mesh.rows.0).abs_diff(end.1 / mesh.rows.0);
            cost.hops = cost.hops.saturating_add(along_x + along_y);
            for (count, fj) in [
                (along_x, self.costs.hop_east_west_fj),
                (along_y, self.costs.hop_north_south_fj),
                (crossings, self.costs.chip_crossing_fj),
            ] {
                cost.energy_fj = cost.energy_fj.saturating_add(u64::from(count).saturating_mul(fj));
            }
        }
        cost
    }

    /// Kept parts `ku` and `kv` of a config.
    fn kept(&self, core: &CoreImage, config: usize) -> (i64, i64) {
        let (profile, config) = (self.profile(), &core.compartment_configs[config]);
        let whole = 1_i64 << profile.decay_fraction_bits;
        (
            whole - i64::from(profile.decay_u_offset) - i64::from(config.decay_u),
            whole - i64::from(profile.decay_v_offset) - i64::from(config.decay_v),
        )
    }

    fn threshold(&self, mantissa: i32) -> i64 {
        i64::from(mantissa) << self.profile().threshold_shift
    }

    /// The narrow layout, if it computes this core exactly.
    fn narrow(&self, core: &CoreImage, rules: &Rules, bound: &FanIn, count_bits: u32) -> Option<NarrowNeurons> {
        let bits = NARROW_BITS.min(rules.fraction_bits + 14);
        let wraps = |overflow: Overflow| match overflow {
            Overflow::Wrap(width) if u32::from(width) <= bits => Some(u32::from(width)),
            _ => None,
        };
        let (input_bits, current_bits, biased_current_bits) =
            (wraps(rules.input)?, wraps(rules.current)?, wraps(rules.biased_current)?);
        let limit = 1_i64 << bits;
        let formats = &self.target.model.loihi().formats;
        let ((mantissa_low, mantissa_high), (_, exponent_high)) = (formats.bias_mantissa.0, formats.bias_exponent.0);
        let bias = mantissa_high.max(-mantissa_low).checked_shl(exponent_high.clamp(0, 63) as u32)?;
        let small = |values: &[i64]| values.iter().all(|value| value.abs() < limit);
        let kept: Vec<(i64, i64)> = (0..core.compartment_configs.len()).map(|at| self.kept(core, at)).collect();
        let exact = rules.fraction_bits <= 14
            && rules.weight_shift <= input_bits
            && rules.v_min > -limit
            && rules.v_max < limit
            && bias <= NARROW_BIAS
            && small(&core.compartments.u_initial)
            && small(&core.compartments.v_initial)
            && kept.iter().all(|(ku, kv)| *ku >= 0 && *kv >= 0)
            && core.compartment_configs.iter().all(|config| config.reset == ResetModel::Lif)
            && core.noise_samples.is_empty()
            && sum_bits(bound, count_bits, 0) <= 31;
        if !exact {
            return None;
        }
        let c = &core.compartments;
        let padding = c.len().next_multiple_of(BLOCK) - c.len();
        let padded = |values: &mut dyn Iterator<Item = i64>, silent: i64| -> Vec<i64> {
            values.chain(std::iter::repeat_n(silent, padding)).collect()
        };
        let configs = || c.config.iter().map(|config| *config as usize);
        let ku = padded(&mut configs().map(|at| kept[at].0), 0);
        let kv = padded(&mut configs().map(|at| kept[at].1), 0);
        // A threshold beyond 32 bits is never reached: voltages have 26.
        let thresholds = c
            .threshold
            .iter()
            .map(|at| self.threshold(core.threshold_configs[*at as usize].mantissa).min(i64::from(i32::MAX)));
        let threshold = padded(&mut thresholds.into_iter(), i64::from(i32::MAX));
        let refractory = padded(&mut configs().map(|at| i64::from(core.compartment_configs[at].refractory)), 1);
        Some(NarrowNeurons {
            ku: ku.iter().map(|k| *k as u16).collect(),
            kv: kv.iter().map(|k| *k as u16).collect(),
            threshold: threshold.iter().map(|threshold| *threshold as i32).collect(),
            any_refractory: refractory.iter().any(|register| *register > 1),
            refractory: refractory.iter().map(|register| *register as i32).collect(),
            input_bits,
            current_bits,
            biased_current_bits,
        })
    }

    fn wide(&self, core: &CoreImage) -> WideNeurons {
        let configs = core.compartment_configs.iter().enumerate().map(|(at, config)| {
            let (ku, kv) = self.kept(core, at);
            let periodic = match config.reset {
                ResetModel::Periodic { interval, offset } => Some((interval, offset % interval)),
                ResetModel::Lif | ResetModel::Ternary => None,
            };
            let ternary = config.reset == ResetModel::Ternary;
            WideConfig { ku, kv, refractory: u32::from(config.refractory), periodic, ternary }
        });
        let thresholds = || core.compartments.threshold.iter().map(|at| &core.threshold_configs[*at as usize]);
        let noise = core.settings.noise.filter(|_| !core.noise_samples.is_empty());
        WideNeurons {
            configs: configs.collect(),
            config: core.compartments.config.clone(),
            threshold: thresholds().map(|threshold| self.threshold(threshold.mantissa)).collect(),
            lower_threshold: thresholds().map(|threshold| self.threshold(threshold.lower_mantissa)).collect(),
            noise: noise.map(|setting| (setting.target, core.noise_samples.clone())),
        }
    }
}

fn rules(profile: &ArithmeticProfile, core: &CoreImage) -> Rules {
    let v_max = |exponent: u8| {
        let bits = u32::from(profile.v_max_base_bits) + u32::from(profile.v_max_bits_per_unit) * u32::from(exponent);
        (1_i64 << bits) - 1
    };
    Rules {
        fraction_bits: u32::from(profile.decay_fraction_bits),
        weight_shift: u32::from(profile.weight_shift),
        input: profile.input_overflow,
        current: profile.current_overflow,
        biased_current: profile.biased_current_overflow,
        v_min: core.settings.v_min_exponent.map_or(i64::MIN, |exponent| -(1_i64 << exponent) + 1),
        v_max: core.settings.v_max_exponent.map_or(i64::MAX, v_max),
    }
}

/// Bits that hold `(units + 1) << max(count_bits, weight_shift)`: what an accumulator and the input made of it must take.
fn sum_bits(bound: &FanIn, count_bits: u32, weight_shift: u32) -> u32 {
    u64::BITS - bound.units.saturating_add(1).leading_zeros() + count_bits.max(weight_shift)
}

fn check_accumulators(core: &CoreImage, longest_delay: u32, judge: &mut Judge<'_>) {
    let (number, formats) = (core.core, judge.formats());
    let reserved = u32::from(formats.delay_slots_reserved.0);
    let bits = core.settings.delay_bits;
    let reach = if bits == 0 { 0 } else { (1_u32 << bits.min(31)).saturating_sub(reserved) };
    if longest_delay > reach {
        let what = format!("an extra delay of {longest_delay} steps; {bits} delay bits allow {reach}");
        judge.refuse_core(number, "delay_bits", what);
    }
    let slots = (core.compartments.len() as u64) << bits.min(31);
    judge.limit(number, "accumulator_slots", slots, judge.limits().accumulator_slots.0);
}

/// Time and energy of a step are summed in 64 bits without checks: the dearest step, in which every compartment and every
/// host neuron spikes, must fit.
fn check_dearest_step(program: &Program, judge: &mut Judge<'_>) {
    let costs = &program.costs;
    let (mut ps, mut fj) = (0_u128, 0_u128);
    let mut messages = |rows: &Rows| {
        for message in &rows.messages {
            let price = program.cores[message.core as usize].synapses.price(message.list);
            ps += u128::from(price.receive_ps) + u128::from(costs.axon_out.ps);
            fj += u128::from(price.synapses_fj) + u128::from(costs.axon_out.fj) + u128::from(costs.axon_in.fj);
        }
    };
    program.cores.iter().for_each(|core| messages(&core.rows));
    program.inputs.iter().for_each(|port| messages(&port.rows));
    for core in &program.cores {
        for cost in [costs.soma_access, costs.soma_update, costs.spike_out] {
            ps += core.compartments as u128 * u128::from(cost.ps);
            fj += core.compartments as u128 * u128::from(cost.fj);
        }
        fj += core.hops.iter().map(|hops| u128::from(hops.energy_fj)).sum::<u128>();
    }
    ps += u128::from(costs.barrier.time_ps(program.routers));
    if ps.max(fj) >> 63 != 0 {
        judge.refuse("costs", "one step could take more than 2^63 ps or fJ by the target's cost table");
    }
}
