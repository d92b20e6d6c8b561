//! Sums that tell what quantization costs a population.

use crate::compare::{counts, difference, van_rossum_distance};
use crate::verification::PopulationLoss;
use snncc_data::SpikeTrain;

/// Sums over samples. All but the last four are integers, so their order does not matter.
#[derive(Clone, Debug, Default)]
pub(crate) struct LossSums {
    float_spikes: u64,
    integer_spikes: u64,
    matching: u64,
    /// Of (sample, neuron) pairs: how many, and sums of counts, squares and products.
    pairs: u128,
    sums: [u128; 5],
    /// Sums of squares of the float membrane and of its difference to the integer one.
    signal: f64,
    noise: f64,
    membranes: u64,
    van_rossum: f64,
    samples: u64,
}

impl LossSums {
    /// The sums of one sample. `steps` network steps of `float`; chip step `t + latency` of `integer`.
    pub(crate) fn of(
        float: &SpikeTrain,
        integer: &SpikeTrain,
        latency: u32,
        steps: u32,
        tau_steps: Option<f64>,
    ) -> (Self, Option<(u32, u32)>) {
        let found = difference(float, integer, (0, latency), steps);
        let (a, b) = (counts(float, 0, steps), counts(integer, latency, steps));
        let mut sums = [0_u128; 5];
        for (x, y) in a.iter().zip(&b).map(|(x, y)| (u128::from(*x), u128::from(*y))) {
            for (sum, term) in sums.iter_mut().zip([x, y, x * x, y * y, x * y]) {
                *sum += term;
            }
        }
        let van_rossum = tau_steps.map_or(0.0, |tau| van_rossum_distance(float, integer, (0, latency), steps, tau));
        let loss = Self {
            float_spikes: found.first_spikes,
            integer_spikes: found.second_spikes,
            matching: found.matching,
            pairs: a.len() as u128,
            sums,
            van_rossum,
            samples: 1,
            ..Self::default()
        };
        (loss, found.first_mismatch)
    }

    /// Adds a membrane value in canonical units.
    pub(crate) fn membrane(&mut self, float: f64, integer: f64) {
        self.signal += float * float;
        self.noise += (float - integer) * (float - integer);
        self.membranes += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.float_spikes += other.float_spikes;
        self.integer_spikes += other.integer_spikes;
        self.matching += other.matching;
        self.pairs += other.pairs;
        self.sums.iter_mut().zip(other.sums).for_each(|(sum, term)| *sum += term);
        self.signal += other.signal;
        self.noise += other.noise;
        self.membranes += other.membranes;
        self.van_rossum += other.van_rossum;
        self.samples += other.samples;
    }

    pub(crate) fn finish(&self, population: &str, with_van_rossum: bool) -> PopulationLoss {
        let Self { float_spikes, integer_spikes, matching, .. } = *self;
        let ratio = |numerator: f64, denominator: f64| (denominator > 0.0).then(|| numerator / denominator);
        let total = (float_spikes + integer_spikes) as f64;
        PopulationLoss {
            population: population.to_string(),
            float_spikes,
            integer_spikes,
            matching_spikes: matching,
            count_ratio: ratio(integer_spikes as f64, float_spikes as f64),
            matching_fraction: ratio(2.0 * matching as f64, total).unwrap_or(1.0),
            rate_correlation: self.correlation(),
            membrane_sqnr_db: (self.membranes > 0 && self.signal > 0.0)
                .then(|| 10.0 * (self.signal / self.noise).log10()),
            van_rossum: with_van_rossum.then(|| self.van_rossum / self.samples.max(1) as f64),
        }
    }

    /// Pearson's correlation: sums stay exact up to the last step.
    fn correlation(&self) -> Option<f64> {
        let n = self.pairs as i128;
        let [x, y, xx, yy, xy] = self.sums.map(|sum| sum as i128);
        let (var_x, var_y) = (n * xx - x * x, n * yy - y * y);
        (var_x > 0 && var_y > 0).then(|| (n * xy - x * y) as f64 / (var_x as f64).sqrt() / (var_y as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_two_samples() {
        let float = SpikeTrain::from_events(3, 4, &[(1, 0), (2, 0), (3, 1), (4, 2)]).unwrap();
        // One step later; the last spike is missing, one is elsewhere.
        let integer = SpikeTrain::from_events(3, 5, &[(2, 0), (3, 0), (4, 2)]).unwrap();
        let (mut loss, first) = LossSums::of(&float, &integer, 1, 4, Some(10.0));
        assert_eq!(first, Some((3, 1)));
        // counts (2, 1, 1) and (2, 0, 1)
        let single = loss.finish("p", false);
        assert_eq!((single.float_spikes, single.integer_spikes, single.matching_spikes), (4, 3, 2));
        assert_eq!((single.count_ratio, single.matching_fraction), (Some(0.75), 4.0 / 7.0));
        // n Σxy − ΣxΣy = 3·5 − 12 = 3; 3·6 − 16 = 2; 3·5 − 9 = 6
        assert!((single.rate_correlation.unwrap() - 3.0 / 12.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!((single.membrane_sqnr_db, single.van_rossum), (None, None));
        loss.membrane(2.0, 2.0);
        loss.membrane(0.0, 0.2);
        loss.add(&LossSums::of(&float, &float, 0, 4, Some(10.0)).0);
        let both = loss.finish("p", true);
        assert_eq!((both.float_spikes, both.matching_spikes), (8, 6));
        assert!((both.membrane_sqnr_db.unwrap() - 20.0).abs() < 1e-9);
        assert!(both.van_rossum.unwrap() > 0.0);
    }

    #[test]
    fn silence_matches_and_has_no_correlation() {
        let silent = SpikeTrain::silent(2, 3);
        let loss = LossSums::of(&silent, &silent, 0, 3, None).0.finish("p", false);
        assert_eq!((loss.matching_fraction, loss.count_ratio, loss.rate_correlation), (1.0, None, None));
    }
}
