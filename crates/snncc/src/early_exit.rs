//! `emulate --early-exit` and `--accuracy-by-step`: what the first output says after each network step of a run.
//!
//! A sample runs for all its steps; the rule is applied to the outputs of the emulated chip as they were after each step, and
//! time and energy are counted up to the step in which the chip would have been stopped: after network step `t` of an output
//! with latency ℓ, the chip has done `t + ℓ` steps.

use crate::args::EmulateArgs;
use crate::chip::{ChipRun, Costs, Recording};
use crate::running::{Running, accuracy};
use crate::session::{Outcome, Session};
use serde_json::{Value as Json, json};
use snncc_emu::Selection;
use snncc_image::Readout;
use snncc_ir::{EarlyExit, Exit, Standing};
use snncc_report::{Basis, Figure, Table, Value, energy_text, time_text};

/// Value of `--early-exit`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ExitRule {
    /// The network's.
    Calibrated,
    /// This margin, from the first step on.
    Margin(f64),
}

/// Reads `calibrated` or `margin:X`.
pub(crate) fn exit_rule(text: &str) -> Result<ExitRule, String> {
    match (text, text.strip_prefix("margin:").map(str::parse::<f64>)) {
        ("calibrated", _) => Ok(ExitRule::Calibrated),
        (_, Some(Ok(margin))) if margin > 0.0 && margin.is_finite() => Ok(ExitRule::Margin(margin)),
        _ => Err("expected calibrated or margin:X with X above 0".to_owned()),
    }
}

/// What is looked at after each step.
pub(crate) struct Watch {
    /// The output's population, its latency, and what is read of it.
    population: usize,
    latency: u32,
    readout: Readout,
    rule: Option<EarlyExit>,
    /// Whether the rule is the network's.
    is_calibrated: bool,
    by_step: bool,
}

/// What was seen of a sample.
#[derive(Default)]
pub(crate) struct Watched {
    pub(crate) exit: Option<Exited>,
    steps: Vec<AfterStep>,
}

/// Where a sample would have ended, with time and energy until then.
#[derive(Clone, Copy)]
pub(crate) struct Exited {
    pub(crate) exit: Exit,
    /// From the first chip step on.
    costs: Costs,
}

struct AfterStep {
    class: u32,
    costs: Costs,
}

impl Watch {
    /// What the flags ask for; `None` if they ask for nothing.
    ///
    /// # Errors
    /// After it has been said that the network has no output, or no rule.
    pub(crate) fn new(session: &mut Session, running: &Running, args: &EmulateArgs) -> Outcome<Option<Self>> {
        if args.early_exit.is_none() && !args.accuracy_by_step {
            return Ok(None);
        }
        let Some((_, population, readout)) = running.program.outputs().next() else {
            return Err(session.usage("the network has no output to read after each step"));
        };
        let defaults = &running.network.run;
        let rule = match args.early_exit {
            None => None,
            Some(ExitRule::Margin(margin)) => Some(EarlyExit { margin, first_step: 1 }),
            Some(ExitRule::Calibrated) => match defaults.early_exit {
                Some(rule) => Some(rule),
                None => {
                    return Err(session.usage(
                        "the network has no rule for stopping early: `convert` calibrates one if it is given enough samples; \
                         or give --early-exit=margin:X",
                    ));
                }
            },
        };
        let is_calibrated = args.early_exit == Some(ExitRule::Calibrated);
        if let (true, Some(steps)) = (is_calibrated, defaults.steps.filter(|steps| *steps != running.data.steps)) {
            session.note(&format!("note: the rule for stopping early was calibrated for {steps} steps"));
        }
        let (_, latency) = running.program.populations().nth(population).expect("bug in snncc: an output of nothing");
        Ok(Some(Self { population, latency, readout, rule, is_calibrated, by_step: args.accuracy_by_step }))
    }

    /// Adds what must be recorded.
    pub(crate) fn record(&self, options: &mut Recording) {
        let chosen = match self.readout {
            Readout::Spikes => &mut options.spikes,
            Readout::Membrane => &mut options.states,
        };
        match chosen {
            Selection::All => {}
            Selection::Some(populations) if populations.contains(&self.population) => {}
            Selection::Some(populations) => populations.push(self.population),
            Selection::None => *chosen = Selection::Some(vec![self.population]),
        }
    }

    /// What the output says after each network step.
    fn standings(&self, running: &Running, run: &ChipRun) -> Vec<Standing> {
        let (steps, population) = (running.data.steps, &run.populations()[self.population]);
        let len = population.counts.len();
        let mut values = vec![0.0; len];
        let chip_steps = (1..=steps).map(|step| step.saturating_add(self.latency));
        match self.readout {
            Readout::Spikes => {
                let train = population.spikes.as_ref().expect("bug in snncc: spikes were asked for");
                let after = |step: u32| {
                    train.at(step).iter().for_each(|neuron| values[*neuron as usize] += 1.0);
                    Standing::of(&values)
                };
                chip_steps.map(after).collect()
            }
            Readout::Membrane => {
                let voltages = &population.states.as_ref().expect("bug in snncc: states were asked for").v;
                let name = running.program.populations().nth(self.population).map_or("", |(name, _)| name);
                let (units_per_volt, v_offset) = running.units(name).expect("bug in snncc: an output without neurons");
                let after = |step: u32| {
                    let voltages = &voltages[(step as usize - 1) * len..][..len];
                    for (at, (value, v)) in values.iter_mut().zip(voltages).enumerate() {
                        *value = *v as f64 / units_per_volt.get(at) + v_offset.get(at);
                    }
                    Standing::of(&values)
                };
                chip_steps.map(after).collect()
            }
        }
    }

    /// Looks at a run.
    pub(crate) fn look(&self, running: &Running, run: &ChipRun) -> Watched {
        let standings = self.standings(running, run);
        let costs = run.step_costs();
        let costs_until = |step: u32| {
            let mut sum = Costs::default();
            costs[..step.saturating_add(self.latency) as usize].iter().for_each(|costs| sum.add(*costs));
            sum
        };
        let exit = self.rule.and_then(|rule| rule.exit(&standings));
        let exit = exit.map(|exit| Exited { exit, costs: costs_until(exit.step) });
        let mut steps = Vec::new();
        if self.by_step {
            let mut sum = costs_until(0);
            for (standing, costs) in standings.iter().zip(&costs[self.latency as usize..]) {
                sum.add(*costs);
                steps.push(AfterStep { class: standing.class, costs: sum });
            }
        }
        Watched { exit, steps }
    }
}

/// Right answers, and those of the full run.
#[derive(Clone, Copy, Default)]
struct Answers {
    samples: u64,
    correct: u64,
    same: u64,
    costs: Costs,
}

impl Answers {
    fn add(&mut self, class: u32, full: Option<u32>, label: Option<u32>, costs: Costs) {
        self.samples += 1;
        self.correct += u64::from(label == Some(class));
        self.same += u64::from(full == Some(class));
        self.costs.add(costs);
    }

    fn agreement(&self) -> f64 {
        accuracy(self.same, self.samples)
    }

    fn time_ps(&self) -> f64 {
        self.costs.time_ps as f64 / self.samples as f64
    }

    fn energy_fj(&self) -> f64 {
        self.costs.energy_fj as f64 / self.samples as f64
    }
}

/// What was seen of all samples.
pub(crate) struct WatchSummary<'a> {
    watch: &'a Watch,
    has_labels: bool,
    /// Steps until the exit, in ascending order, where there is a rule.
    exit_steps: Vec<u32>,
    at_exit: Answers,
    /// After each step, where asked for.
    by_step: Vec<Answers>,
}

impl<'a> WatchSummary<'a> {
    /// Of samples: number, class of the full run, what was seen.
    pub(crate) fn new<'s>(
        watch: &'a Watch,
        labels: Option<&[u32]>,
        samples: impl Iterator<Item = (usize, Option<u32>, &'s Watched)>,
    ) -> Self {
        let mut summary = Self {
            watch,
            has_labels: labels.is_some(),
            exit_steps: Vec::new(),
            at_exit: Answers::default(),
            by_step: Vec::new(),
        };
        for (number, full, watched) in samples {
            let label = labels.map(|labels| labels[number]);
            if let Some(Exited { exit, costs }) = watched.exit {
                summary.exit_steps.push(exit.step);
                summary.at_exit.add(exit.class, full, label, costs);
            }
            summary.by_step.resize(watched.steps.len(), Answers::default());
            for (answers, step) in summary.by_step.iter_mut().zip(&watched.steps) {
                answers.add(step.class, full, label, step.costs);
            }
        }
        summary.exit_steps.sort_unstable();
        summary
    }

    /// The smallest number of steps that at least this part of the samples does not exceed.
    fn steps_of(&self, part: f64) -> u32 {
        let rank = (part * self.exit_steps.len() as f64).ceil() as usize;
        self.exit_steps.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }

    fn mean_steps(&self) -> f64 {
        self.exit_steps.iter().map(|steps| f64::from(*steps)).sum::<f64>() / self.exit_steps.len() as f64
    }

    fn answers_json(&self, answers: &Answers) -> serde_json::Map<String, Json> {
        let labelled = |value: Json| if self.has_labels { value } else { Json::Null };
        let pairs = [
            ("accuracy", labelled(json!(accuracy(answers.correct, answers.samples)))),
            ("correct", labelled(json!(answers.correct))),
            ("agreement", json!(answers.agreement())),
            ("time_ps_per_sample", json!(Value::from(answers.time_ps()))),
            ("energy_fj_per_sample", json!(Value::from(answers.energy_fj()))),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The keys `early_exit` and `accuracy_by_step`; null for what was not asked for.
    pub(crate) fn json(&self) -> [Json; 2] {
        let exit = self.watch.rule.map(|rule| {
            let mut object = self.answers_json(&self.at_exit);
            let source = if self.watch.is_calibrated { "calibrated" } else { "command line" };
            object.insert("margin".to_owned(), json!(rule.margin));
            object.insert("first_step".to_owned(), json!(rule.first_step));
            object.insert("source".to_owned(), json!(source));
            let steps = json!({
                "mean": self.mean_steps(), "median": self.steps_of(0.5), "p95": self.steps_of(0.95),
                "largest": self.exit_steps.last(),
            });
            object.insert("steps".to_owned(), steps);
            Json::Object(object)
        });
        let by_step = (1..).zip(&self.by_step).map(|(steps, answers)| {
            let mut object = self.answers_json(answers);
            object.insert("steps".to_owned(), json!(steps));
            Json::Object(object)
        });
        let by_step = self.watch.by_step.then(|| Json::Array(by_step.collect()));
        [exit.unwrap_or(Json::Null), by_step.unwrap_or(Json::Null)]
    }

    /// Part of the samples that are right, with its basis; without labels, that have the class of the full run.
    fn right(&self, answers: &Answers) -> Figure {
        let (part, source) = match self.has_labels {
            true => (accuracy(answers.correct, answers.samples), "emulator"),
            false => (answers.agreement(), "emulator, as after all steps"),
        };
        Figure::new(part * 100.0, "%", Basis::Counted, source)
    }

    /// For the report: what is right after each step.
    pub(crate) fn figures_by_step(&self) -> Vec<(u32, Figure)> {
        (1..).zip(self.by_step.iter().map(|answers| self.right(answers))).collect()
    }

    /// For the report: what the exit gives.
    pub(crate) fn exit_figures(&self) -> Vec<(String, Figure)> {
        if self.watch.rule.is_none() {
            return Vec::new();
        }
        let steps = |steps: f64| Figure::new(steps, "steps", Basis::Counted, "emulator");
        let (time, energy) = (self.at_exit.time_ps(), self.at_exit.energy_fj());
        let figures = [
            ("accuracy", self.right(&self.at_exit)),
            ("steps, mean", steps(self.mean_steps())),
            ("steps, 95th percentile", steps(self.steps_of(0.95).into())),
            ("time a sample", Figure::new(time, "ps", Basis::Modelled, "steps until the exit")),
            ("energy a sample", Figure::new(energy, "fJ", Basis::Modelled, "steps until the exit")),
        ];
        figures.map(|(what, figure)| (what.to_owned(), figure)).to_vec()
    }

    /// For reading; `full_steps` are those of the run.
    pub(crate) fn text(&self, full_steps: u32) -> String {
        let percent = |part: f64| format!("{:.2} %", part * 100.0);
        let right = |answers: &Answers| match self.has_labels {
            true => percent(accuracy(answers.correct, answers.samples)),
            false => "–".to_owned(),
        };
        let mut out = String::new();
        if let Some(rule) = self.watch.rule {
            let source = if self.watch.is_calibrated { "calibrated" } else { "given" };
            out += &format!(
                "early exit ({source}: the first class leads by {} from step {} on)\n",
                rule.margin, rule.first_step
            );
            let mut table = Table::new(&["until the exit", ""]);
            let mut row = |name: &str, text: String| table.row(vec![name.to_owned(), text]);
            row("accuracy", right(&self.at_exit));
            row("same class as the full run", percent(self.at_exit.agreement()));
            row("steps, mean", format!("{:.2} of {full_steps}", self.mean_steps()));
            row("steps, median", self.steps_of(0.5).to_string());
            row("steps, 95th percentile", self.steps_of(0.95).to_string());
            row("modelled time a sample", time_text(self.at_exit.time_ps()));
            row("modelled energy a sample", energy_text(self.at_exit.energy_fj()));
            out += &table.text(2);
        }
        if !self.by_step.is_empty() {
            out += "after so many steps of the same run\n";
            let mut table = Table::new(&["steps", "accuracy", "as the full run", "time", "energy"]);
            for (step, answers) in (1_u32..).zip(&self.by_step) {
                if step.is_power_of_two() || step as usize == self.by_step.len() {
                    let (time, energy) = (time_text(answers.time_ps()), energy_text(answers.energy_fj()));
                    table.row(vec![step.to_string(), right(answers), percent(answers.agreement()), time, energy]);
                }
            }
            out += &table.text(2);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        assert_eq!(exit_rule("calibrated"), Ok(ExitRule::Calibrated));
        assert_eq!(exit_rule("margin:2.5"), Ok(ExitRule::Margin(2.5)));
        for wrong in ["margin:0", "margin:inf", "margin:", "2", "margin"] {
            assert!(exit_rule(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn samples_are_summed_up() {
        let watch = Watch {
            population: 0,
            latency: 2,
            readout: Readout::Spikes,
            rule: Some(EarlyExit { margin: 1.0, first_step: 1 }),
            is_calibrated: true,
            by_step: false,
        };
        // Steps 1 to 20; the last sample changes its class, the first is wrong.
        let watched = |step: u32| Watched {
            exit: Some(Exited {
                exit: Exit { step, class: u32::from(step == 20) },
                costs: Costs { time_ps: u128::from(step + 2) * 10, energy_fj: 4 },
            }),
            steps: Vec::new(),
        };
        let all: Vec<Watched> = (1..=20).rev().map(watched).collect();
        let labels: Vec<u32> = (0..20).map(|number| u32::from(number == 0 || number == 19)).collect();
        let samples = all.iter().enumerate().map(|(number, watched)| (number, Some(0), watched));
        let summary = WatchSummary::new(&watch, Some(&labels), samples);
        assert_eq!((summary.steps_of(0.5), summary.steps_of(0.95), summary.mean_steps()), (10, 19, 10.5));
        assert_eq!((summary.at_exit.correct, summary.at_exit.same), (19, 19));
        assert_eq!((summary.at_exit.time_ps(), summary.at_exit.energy_fj()), (125.0, 4.0));
        let [exit, by_step] = summary.json();
        assert_eq!((&exit["accuracy"], &exit["agreement"], by_step), (&json!(0.95), &json!(0.95), Json::Null));
    }
}
