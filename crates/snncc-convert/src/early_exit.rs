//! The rule by which runs may stop early ([`EarlyExit`]), calibrated on data without labels.
//!
//! An early answer is right if it is the answer of the full run. Margins are tried from the largest lead of any sample downwards,
//! on a grid that does not depend on the data, and each is accepted while the test below passes; the first that fails ends the
//! search. The smallest accepted margin gives the fewest steps. Because the order is fixed beforehand, the chance that any
//! accepted margin is too small is that of a single test (fixed-sequence testing; Angelopoulos et al., *Learn then Test*, 2021).
//!
//! The test: of `N` samples, `k` change their answer. The margin passes if, were the share of changed answers as large as allowed,
//! `k` or fewer of `N` would be seen with a probability of at most 1 − [`CONFIDENCE`]: the upper bound of Clopper and Pearson
//! (*Biometrika* 26, 1934) is within the allowed share. So few samples cannot show much: with none changed, a share of `p` takes
//! `ln 0.05 / ln(1 − p)` samples, 598 for 0.5 %.

use crate::data::CalibrationData;
use crate::pipeline::Progress;
use rayon::prelude::*;
use serde::Serialize;
use snncc_ids::Diagnostics;
use snncc_ir::{EarlyExit, Network, Standing};
use snncc_reference::float::{FloatNetwork, FloatOptions, Record};

/// Confidence that the share of changed answers is within what is allowed.
pub const CONFIDENCE: f64 = 0.95;
/// Decades of margins that are tried.
const DECADES: i32 = 4;

/// What the calibration of an early exit found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ExitCalibration {
    /// Least lead, in units of the output; no rule was found if there is none.
    pub margin: Option<f64>,
    /// The earliest step after which a calibration sample stops; runs stop no earlier.
    pub first_step: u32,
    /// Samples that the rule was calibrated on.
    pub samples: usize,
    /// Samples whose early answer differs from that of the full run.
    pub changed: usize,
    /// Share of changed answers that was allowed.
    pub allowed: f64,
    /// Steps of the full run.
    pub steps: u32,
    /// Mean number of steps with the rule.
    pub mean_steps: f64,
}

impl ExitCalibration {
    /// The rule, if one was found.
    pub fn rule(&self) -> Option<EarlyExit> {
        self.margin.map(|margin| EarlyExit { margin, first_step: self.first_step })
    }

    /// Least number of samples with which a rule can be found: it takes so many without a change.
    pub fn least_samples(&self) -> u64 {
        ((1.0 - CONFIDENCE).ln() / (-self.allowed).ln_1p()).ceil() as u64
    }
}

/// Runs the network on the calibration data, with so many steps of input and so many in all, and finds a rule that changes at most the share `changes` of the answers. `None` where the first output has fewer than two values.
///
/// # Errors
/// What the float reference finds in the network.
pub(crate) fn calibrate(
    network: &Network,
    data: &CalibrationData<'_>,
    (input_steps, steps): (u32, u32),
    changes: f64,
    progress: &dyn Progress,
) -> Result<Option<ExitCalibration>, Diagnostics> {
    let float = FloatNetwork::new(network, &FloatOptions::default())?;
    let record = Record { outputs: true, ..Record::default() };
    let leads = |sample: usize| -> Result<Option<(Leads, bool)>, Diagnostics> {
        let trace = float.run(&data.stimulus(sample, input_steps)?.input(), steps, &record)?;
        let Some(output) = trace.outputs.first().filter(|output| output.sum.len() > 1) else { return Ok(None) };
        progress.advance(1);
        let values = output.values.as_ref().expect("bug in snncc: outputs were asked for");
        Ok(Some((Leads::new(&standings(values, output.sum.len(), output.spiking)), output.spiking)))
    };
    progress.begin("early exit", data.count());
    let samples: Vec<Option<(Leads, bool)>> =
        (0..data.count()).into_par_iter().map(leads).collect::<Result<_, Diagnostics>>()?;
    let samples: Option<(Vec<Leads>, Vec<bool>)> = samples.into_iter().collect();
    let Some((samples, spiking)) = samples.filter(|(samples, _)| !samples.is_empty()) else { return Ok(None) };
    let mut found = search(&samples, steps, changes);
    if spiking.iter().all(|spiking| *spiking) {
        // Spike counts lead by whole numbers.
        found.margin = found.margin.map(f64::ceil);
    }
    Ok(Some(found))
}

/// What the output says after each step; `values` are `[step][element]`, spikes to be summed or membranes.
fn standings(values: &[f64], elements: usize, spiking: bool) -> Vec<Standing> {
    let mut sum = vec![0.0; elements];
    let of_step = |step: &[f64]| {
        if spiking {
            sum.iter_mut().zip(step).for_each(|(sum, value)| *sum += value);
            Standing::of(&sum)
        } else {
            Standing::of(step)
        }
    };
    values.chunks_exact(elements).map(of_step).collect()
}

/// The steps of a run in which its lead was larger than in all steps before: a run with any margin stops in one of them, or
/// after the last step.
struct Leads {
    /// Step, its standing.
    records: Vec<(u32, Standing)>,
    /// The answer of the full run.
    class: u32,
}

impl Leads {
    fn new(standings: &[Standing]) -> Self {
        let mut records: Vec<(u32, Standing)> = Vec::new();
        for (step, standing) in (1..).zip(standings) {
            if records.last().is_none_or(|(_, last)| standing.lead > last.lead) {
                records.push((step, *standing));
            }
        }
        Self { records, class: standings.last().map_or(0, |standing| standing.class) }
    }

    /// Where the run stops with a margin: (step, whether the answer is another one than that of the full run).
    fn exit(&self, margin: f64, steps: u32) -> (u32, bool) {
        let at = self.records.partition_point(|(_, standing)| standing.lead < margin);
        self.records.get(at).map_or((steps, false), |(step, standing)| (*step, standing.class != self.class))
    }
}

/// The smallest margin that passes, of those tried from the largest lead downwards.
fn search(samples: &[Leads], steps: u32, allowed: f64) -> ExitCalibration {
    let largest = samples.iter().flat_map(|leads| leads.records.last()).map(|(_, standing)| standing.lead);
    let largest = largest.fold(0.0, f64::max);
    let most = most_changes(samples.len(), allowed);
    let mut found = ExitCalibration {
        margin: None,
        first_step: 1,
        samples: samples.len(),
        changed: 0,
        allowed,
        steps,
        mean_steps: steps.into(),
    };
    let margins = if most.is_some() { margins(largest) } else { Vec::new() };
    for margin in margins {
        let (mut sum, mut changed, mut first_step) = (0_u64, 0, steps);
        for (step, changes) in samples.iter().map(|leads| leads.exit(margin, steps)) {
            sum += u64::from(step);
            changed += usize::from(changes);
            first_step = first_step.min(step);
        }
        if most.is_some_and(|most| changed > most) {
            break;
        }
        let mean_steps = sum as f64 / samples.len() as f64;
        found = ExitCalibration { margin: Some(margin), first_step, changed, mean_steps, ..found };
    }
    found
}

/// Numbers of two digits from the first that is not below `largest` downwards. None if `largest` is not above 0.
fn margins(largest: f64) -> Vec<f64> {
    if !(largest > 0.0 && largest.is_finite()) {
        return Vec::new();
    }
    let top = largest.log10().floor() as i32 + 1;
    // As written in decimals: 1.3, not 1.3000000000000003.
    let number = |digits: i32, decade: i32| -> f64 {
        format!("{digits}e{}", decade - 1).parse().expect("bug in snncc: digits are a number")
    };
    let decades = (top - DECADES..=top).rev();
    let numbers = decades.flat_map(|decade| (10..100).rev().map(move |digits| number(digits, decade)));
    let mut margins: Vec<f64> = numbers.filter(|margin| *margin > 0.0 && margin.is_finite()).collect();
    let above = margins.iter().take_while(|margin| **margin >= largest).count();
    margins.drain(..above.saturating_sub(1));
    margins
}

/// Most changed answers of `samples` with which a margin passes; `None` if not even none is enough.
fn most_changes(samples: usize, allowed: f64) -> Option<usize> {
    let (ln_odds, mut ln_term) = (allowed.ln() - (-allowed).ln_1p(), samples as f64 * (-allowed).ln_1p());
    let (mut sum, mut most) = (0.0, None);
    for changes in 0..samples {
        // The probability of so many changes.
        sum += ln_term.exp();
        if sum > 1.0 - CONFIDENCE {
            break;
        }
        most = Some(changes);
        ln_term += ((samples - changes) as f64 / (changes + 1) as f64).ln() + ln_odds;
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(standings: &[(u32, f64)]) -> Leads {
        Leads::new(&standings.iter().map(|&(class, lead)| Standing { class, lead }).collect::<Vec<_>>())
    }

    #[test]
    fn the_bound_is_that_of_clopper_and_pearson() {
        // (1 − p)^N ≤ 0.05 from N = 598 on; published 95 % upper bounds of 1 of 100: 4.656 %, of 5 of 100: 10.225 %.
        assert_eq!((most_changes(597, 0.005), most_changes(598, 0.005)), (None, Some(0)));
        assert_eq!((most_changes(100, 0.0465), most_changes(100, 0.0467)), (Some(0), Some(1)));
        assert_eq!((most_changes(100, 0.1022), most_changes(100, 0.1023)), (Some(4), Some(5)));
        assert_eq!(most_changes(2000, 0.005), Some(4));
        // Normal approximation: 500,000 − 1.64485 · 500. The first terms are below the smallest number.
        assert!((499_170..499_185).contains(&most_changes(1_000_000, 0.5).unwrap()));
        let calibration = search(&[], 8, 0.005);
        assert_eq!((calibration.least_samples(), calibration.margin), (598, None));
    }

    #[test]
    fn a_run_stops_where_the_rule_says() {
        let run = [(2, 3.0), (0, 1.0), (1, 2.0), (1, 4.0)];
        let standings: Vec<Standing> = run.iter().map(|&(class, lead)| Standing { class, lead }).collect();
        for margin in [0.5, 3.0, 3.5, 4.0, 4.5] {
            let exit = EarlyExit { margin, first_step: 1 }.exit(&standings).unwrap();
            assert_eq!(leads(&run).exit(margin, 4), (exit.step, exit.class != 1));
        }
        assert_eq!(leads(&run).exit(2.0, 4), (1, true));
    }

    #[test]
    fn margins_have_two_digits_and_begin_above_the_largest_lead() {
        let tried = margins(13.2);
        assert_eq!(tried[..6], [14.0, 13.0, 12.0, 11.0, 10.0, 9.9]);
        assert_eq!(*tried.last().unwrap(), 0.01);
        assert_eq!((margins(9.95)[0], margins(0.001)[0]), (10.0, 0.001));
        assert_eq!((margins(0.0).len(), margins(f64::INFINITY).len()), (0, 0));
    }

    #[test]
    fn the_margin_is_the_smallest_before_too_many_answers_change() {
        // 999 samples lead by 5 after the first step and keep their class; one leads by 2 with a class that it loses.
        let mut samples: Vec<Leads> = (0..999).map(|_| leads(&[(1, 5.0), (1, 9.0)])).collect();
        samples.push(leads(&[(0, 2.0), (1, 6.0)]));
        // None of 1,000 may change: 0.3 % is shown with 998 samples.
        let strict = search(&samples, 2, 0.003);
        assert_eq!((strict.margin, strict.first_step, strict.changed), (Some(2.1), 1, 0));
        assert_eq!(strict.mean_steps, 1.001);
        // One may.
        let loose = search(&samples, 2, 0.005);
        assert_eq!((loose.margin, loose.changed, loose.mean_steps), (Some(0.001), 1, 1.0));
        // Too few samples to show anything.
        let few = search(&samples[..100], 2, 0.005);
        assert_eq!((few.rule(), few.mean_steps), (None, 2.0));
    }

    #[test]
    fn spikes_are_summed_and_membranes_are_not() {
        let values = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0];
        let leads = |spiking: bool| standings(&values, 2, spiking).iter().map(|s| s.lead).collect::<Vec<_>>();
        assert_eq!((leads(true), leads(false)), (vec![1.0, 2.0, 1.0], vec![1.0, 1.0, 1.0]));
    }
}
