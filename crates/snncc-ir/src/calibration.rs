//! What a network does on calibration data: measured where the data is, used where numbers are chosen.

/// What the float network does on the calibration data, by population.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// Statistics of inputs and neuron populations, by name.
    pub populations: Vec<PopulationStatistics>,
}

/// Statistics of one population over all samples and steps of the calibration data.
#[derive(Clone, Debug, PartialEq)]
pub struct PopulationStatistics {
    /// Name of the Input or neuron node.
    pub name: String,
    /// Mean spikes per step of each neuron (of an input: mean value of each element).
    pub rates: Vec<f64>,
    /// Largest magnitude of the summed input of a neuron in one step (NIR's `x`, before `r` and `w_in`, biases included).
    pub input_max: f64,
    /// Smallest membrane seen; infinite for inputs.
    pub v_min: f64,
    /// Largest membrane seen, before reset; minus infinity for inputs.
    pub v_max: f64,
}

impl Calibration {
    /// Statistics of the population of this name.
    pub fn of(&self, name: &str) -> Option<&PopulationStatistics> {
        self.populations.iter().find(|population| population.name == name)
    }

    /// Itself, unless nothing is known.
    pub fn known(&self) -> Option<&Self> {
        (!self.populations.is_empty()).then_some(self)
    }

    /// Adds a further sample: rates are summed, extremes are those of any sample.
    pub fn add(&mut self, sample: &Self) {
        if self.populations.is_empty() {
            self.populations.clone_from(&sample.populations);
            return;
        }
        for (total, sample) in self.populations.iter_mut().zip(&sample.populations) {
            total.rates.iter_mut().zip(&sample.rates).for_each(|(sum, rate)| *sum += rate);
            total.input_max = total.input_max.max(sample.input_max);
            total.v_min = total.v_min.min(sample.v_min);
            total.v_max = total.v_max.max(sample.v_max);
        }
    }

    /// Of rates summed over so many steps, their means.
    pub fn per_step(mut self, steps: f64) -> Self {
        let rates = self.populations.iter_mut().flat_map(|population| &mut population.rates);
        rates.for_each(|rate| *rate /= steps);
        self
    }

    /// The same, with rates as a file holds them, in 32 bits.
    pub fn in_single_precision(mut self) -> Self {
        let rates = self.populations.iter_mut().flat_map(|population| &mut population.rates);
        rates.for_each(|rate| *rate = (*rate as f32).into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_add_up_and_extremes_win() {
        let of = |rate: f64, input_max: f64, v_min: f64, v_max: f64| Calibration {
            populations: vec![PopulationStatistics {
                name: "a".into(),
                rates: vec![rate, 1.0],
                input_max,
                v_min,
                v_max,
            }],
        };
        let mut total = Calibration::default();
        total.add(&of(2.0, 0.5, -1.0, 3.0));
        total.add(&of(4.0, 0.7, 0.0, 2.0));
        let mut expected = of(0.75, 0.7, -1.0, 3.0);
        expected.populations[0].rates[1] = 0.25;
        assert_eq!(total.per_step(8.0), expected);
    }
}
