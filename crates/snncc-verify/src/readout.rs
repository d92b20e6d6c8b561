//! From what an output shows to a class.

use crate::compare::counts;
use snncc_data::SpikeTrain;
use snncc_ir::Param;

/// Index of the largest value; the lowest of equals, 0 of none.
pub fn largest<T: PartialOrd>(values: &[T]) -> u32 {
    (0..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best }) as u32
}

/// The class with the most spikes in the network steps `1 ..= steps`.
pub fn predicted_by_spikes(train: &SpikeTrain, latency: u32, steps: u32) -> u32 {
    largest(&counts(train, latency, steps))
}

/// The class with the highest membrane, in the network's own units: `units` are integer units per canonical volt, and what to
/// add to a canonical voltage to get the network's.
pub fn predicted_by_membrane(voltages: &[i64], (units_per_volt, v_offset): (&Param, &Param)) -> u32 {
    let in_volts = |(i, v): (usize, &i64)| *v as f64 / units_per_volt.get(i) + v_offset.get(i);
    largest(&voltages.iter().enumerate().map(in_volts).collect::<Vec<f64>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lowest_class() {
        assert_eq!((largest(&[1, 3, 3]), largest(&[0, 0]), largest::<u32>(&[])), (1, 0, 0));
        let train = SpikeTrain::from_events(3, 4, &[(1, 2), (2, 1), (3, 2), (4, 1), (4, 2)]).unwrap();
        assert_eq!(predicted_by_spikes(&train, 0, 4), 2);
        // Steps 2 and 3 only: one spike each of 1 and 2.
        assert_eq!(predicted_by_spikes(&train, 1, 2), 1);
    }
}
