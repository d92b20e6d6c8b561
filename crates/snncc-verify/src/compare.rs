//! Two spike trains side by side.

use snncc_data::SpikeTrain;

/// How two spike trains differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Spikes of the first train in the compared steps.
    pub first_spikes: u64,
    /// Spikes of the second.
    pub second_spikes: u64,
    /// Spikes of both, at the same neuron and step and with the same payload.
    pub matching: u64,
    /// (step, neuron) pairs where only one spikes, or with another payload.
    pub mismatches: u64,
    /// The first such pair, steps from 1.
    pub first_mismatch: Option<(u32, u32)>,
}

/// Compares steps `1 ..= steps`: step `t` of the first train, moved by `shifts.0`, with step `t` of the second, moved by
/// `shifts.1`. A train that ends early is silent from there on.
pub fn difference(first: &SpikeTrain, second: &SpikeTrain, shifts: (u32, u32), steps: u32) -> Difference {
    let mut found = Difference::default();
    for t in 1..=steps {
        let (ta, tb) = (t.saturating_add(shifts.0), t.saturating_add(shifts.1));
        let (a, b) = (first.at(ta), second.at(tb));
        found.first_spikes += a.len() as u64;
        found.second_spikes += b.len() as u64;
        let graded = first.payloads.is_some() || second.payloads.is_some();
        if !graded && a == b {
            found.matching += a.len() as u64;
            continue;
        }
        let payload = |train: &SpikeTrain, step, at: usize| train.payloads_at(step).map_or(1, |payloads| payloads[at]);
        let (mut i, mut j) = (0, 0);
        while i < a.len() || j < b.len() {
            let (x, y) = (a.get(i).copied().unwrap_or(u32::MAX), b.get(j).copied().unwrap_or(u32::MAX));
            let equal = x == y && (!graded || payload(first, ta, i) == payload(second, tb, j));
            if equal {
                found.matching += 1;
            } else {
                found.mismatches += 1;
                found.first_mismatch.get_or_insert((t, x.min(y)));
            }
            i += usize::from(x <= y);
            j += usize::from(y <= x);
        }
    }
    found
}

/// Spikes of each neuron in steps `1 + shift ..= steps + shift`.
pub(crate) fn counts(train: &SpikeTrain, shift: u32, steps: u32) -> Vec<u32> {
    let mut counts = vec![0; train.neurons as usize];
    for t in 1..=steps {
        for neuron in train.at(t.saturating_add(shift)) {
            counts[*neuron as usize] += 1;
        }
    }
    counts
}

/// The van Rossum distance of two trains, squared and averaged over neurons: both are filtered with `exp(−t/τ)`, and the
/// squared difference is summed over steps and divided by `τ` (van Rossum, *Neural Computation* 13, 2001). A spike more or
/// less costs about ½. Steps are taken as in [`difference`].
pub fn van_rossum_distance(
    first: &SpikeTrain,
    second: &SpikeTrain,
    shifts: (u32, u32),
    steps: u32,
    tau_steps: f64,
) -> f64 {
    if first.neurons == 0 {
        return 0.0;
    }
    let keep = (-1.0 / tau_steps).exp();
    let mut filtered = vec![0.0; first.neurons as usize];
    let mut sum = 0.0;
    for t in 1..=steps {
        filtered.iter_mut().for_each(|value| *value *= keep);
        first.at(t.saturating_add(shifts.0)).iter().for_each(|neuron| filtered[*neuron as usize] += 1.0);
        second.at(t.saturating_add(shifts.1)).iter().for_each(|neuron| filtered[*neuron as usize] -= 1.0);
        sum += filtered.iter().map(|value| value * value).sum::<f64>();
    }
    sum / tau_steps / f64::from(first.neurons)
}

/// A row-major number as an index along each dimension.
pub(crate) fn index_of(neuron: u32, shape: &[usize]) -> Vec<u32> {
    let mut rest = neuron as usize;
    let mut index: Vec<u32> = (shape.iter().rev())
        .map(|len| {
            let at = rest % (*len).max(1);
            rest /= (*len).max(1);
            at as u32
        })
        .collect();
    index.reverse();
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(steps: u32, events: &[(u32, u32)]) -> SpikeTrain {
        SpikeTrain::from_events(4, steps, events).unwrap()
    }

    #[test]
    fn spikes_are_matched_by_step_and_neuron() {
        let a = train(3, &[(1, 0), (2, 1), (2, 3)]);
        let b = train(4, &[(2, 0), (3, 2), (3, 3), (4, 1)]);
        let found = difference(&a, &b, (0, 1), 3);
        assert_eq!((found.first_spikes, found.second_spikes, found.matching, found.mismatches), (3, 4, 2, 3));
        assert_eq!(found.first_mismatch, Some((2, 1)));
        assert_eq!(difference(&a, &a, (0, 0), 9).mismatches, 0);
    }

    #[test]
    fn payloads_count() {
        let plain = train(1, &[(1, 0), (1, 1)]);
        let ones = SpikeTrain { payloads: Some(vec![1, 1]), ..plain.clone() };
        let signed = SpikeTrain { payloads: Some(vec![1, -1]), ..plain.clone() };
        assert_eq!(difference(&plain, &ones, (0, 0), 1).mismatches, 0);
        let found = difference(&plain, &signed, (0, 0), 1);
        assert_eq!((found.mismatches, found.matching, found.first_mismatch), (1, 1, Some((1, 1))));
    }

    #[test]
    fn a_spike_too_many_is_half_a_unit_away() {
        let silent = SpikeTrain::silent(1, 2000);
        let one = SpikeTrain::from_events(1, 2000, &[(1, 0)]).unwrap();
        let distance = van_rossum_distance(&silent, &one, (0, 0), 2000, 50.0);
        // Σ exp(−2k/50) / 50 = 1 / (50 (1 − e^−0.04)) = 0.51007
        assert!((distance - 0.510_07).abs() < 1e-4, "{distance}");
        assert_eq!(van_rossum_distance(&one, &one, (0, 0), 2000, 50.0), 0.0);
    }

    #[test]
    fn numbers_become_indices() {
        assert_eq!(index_of(23, &[2, 3, 4]), [1, 2, 3]);
        assert_eq!(index_of(7, &[10]), [7]);
    }
}
