//! When the answer of a run is clear enough to stop.
//!
//! The rule: stop after the first step, not before [`EarlyExit::first_step`], in which the largest value of the output leads
//! the second largest by [`EarlyExit::margin`]. The values are what the class is read from: sums of spikes or membranes over
//! the steps so far, not divided by them, or a filtered output as it stands.
//!
//! Why not divided: neurons that reset by subtraction pass on their input up to a remainder on their membrane, which does not
//! grow with the steps. So the sum after `t` steps is `t z + e(t)` with a bounded `e`, and a lead above the bound of the
//! differences of `e` is not lost again, whenever it is reached. A lead of the mean, `z + e(t)/t`, says the less the earlier it
//! is measured, and needs a late first step. A constant bound on a sum is also what Wald's sequential test asks of independent
//! noise (*Annals of Mathematical Statistics* 16, 1945).

/// A rule for stopping before the last step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyExit {
    /// Least lead of the largest value before the second largest, in units of the output; finite and above 0.
    pub margin: f64,
    /// First step, from 1, after which a run may stop.
    pub first_step: u32,
}

/// What an output says after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Index of the largest value, the lowest of equals.
    pub class: u32,
    /// Lead of the largest value before the second largest; 0 with fewer than two values.
    pub lead: f64,
}

impl Standing {
    /// Of the values of an output.
    pub fn of(values: &[f64]) -> Self {
        let mut class = 0;
        let mut second = f64::NEG_INFINITY;
        for (at, value) in values.iter().enumerate().skip(1) {
            if *value > values[class] {
                second = values[class];
                class = at;
            } else {
                second = second.max(*value);
            }
        }
        let lead = if values.len() < 2 { 0.0 } else { values[class] - second };
        Self { class: class as u32, lead }
    }
}

/// Where a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The last step, from 1.
    pub step: u32,
    /// The class then.
    pub class: u32,
}

impl EarlyExit {
    /// Whether a run stops after `step`.
    pub fn stops(&self, step: u32, lead: f64) -> bool {
        step >= self.first_step && lead >= self.margin
    }

    /// Where a run with these standings, from step 1 on, ends; `None` without steps.
    pub fn exit(&self, standings: &[Standing]) -> Option<Exit> {
        let stops = (1..).zip(standings).find(|(step, standing)| self.stops(*step, standing.lead));
        let (step, standing) = match stops {
            Some(found) => found,
            None => (standings.len() as u32, standings.last()?),
        };
        Some(Exit { step, class: standing.class })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lead_is_that_of_the_first_of_the_largest() {
        let of = |values: &[f64]| {
            let Standing { class, lead } = Standing::of(values);
            (class, lead)
        };
        assert_eq!(of(&[1.0, 4.0, 2.5]), (1, 1.5));
        assert_eq!(of(&[4.0, 1.0, 3.0]), (0, 1.0));
        assert_eq!(of(&[-3.0, -1.0, -1.0]), (1, 0.0));
        assert_eq!(of(&[1.0, 2.0, 5.0]), (2, 3.0));
        assert_eq!((of(&[7.0]), of(&[])), ((0, 0.0), (0, 0.0)));
    }

    #[test]
    fn a_run_stops_at_the_first_lead_that_is_wide_enough() {
        // Leads 3, 1, 2, 4 of the classes 2, 0, 1, 1.
        let standings: Vec<Standing> =
            [(2, 3.0), (0, 1.0), (1, 2.0), (1, 4.0)].map(|(class, lead)| Standing { class, lead }).to_vec();
        let exit = |margin: f64, first_step: u32| {
            let exit = EarlyExit { margin, first_step }.exit(&standings).unwrap();
            (exit.step, exit.class)
        };
        assert_eq!(exit(3.0, 1), (1, 2));
        assert_eq!(exit(3.0, 2), (4, 1));
        assert_eq!(exit(2.0, 2), (3, 1));
        assert_eq!(exit(1.0, 2), (2, 0));
        // Never wide enough: the last step.
        assert_eq!(exit(4.5, 1), (4, 1));
        assert_eq!(exit(1.0, 9), (4, 1));
        assert_eq!(EarlyExit { margin: 1.0, first_step: 1 }.exit(&[]), None);
    }
}
