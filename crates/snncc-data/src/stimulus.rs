//! Spike trains, and what the host feeds a network in one sample.

/// Spikes of a group of neurons over the steps `1 ..= steps`, in compressed rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpikeTrain {
    /// Number of neurons.
    pub neurons: u32,
    /// `steps + 1` offsets into `indices`; the spikes of step `t` are `step_starts[t - 1] .. step_starts[t]`.
    pub step_starts: Vec<u32>,
    /// Neurons that spike, ascending within a step.
    pub indices: Vec<u32>,
    /// Payload of each spike; `None` where all are 1.
    pub payloads: Option<Vec<i32>>,
}

impl SpikeTrain {
    /// A train of no steps, to be filled with [`SpikeTrain::push_step`].
    pub fn new(neurons: u32) -> Self {
        Self { neurons, step_starts: vec![0], indices: Vec::new(), payloads: None }
    }

    /// A train without spikes.
    pub fn silent(neurons: u32, steps: u32) -> Self {
        Self { neurons, step_starts: vec![0; steps as usize + 1], indices: Vec::new(), payloads: None }
    }

    /// Appends a step in which these neurons (ascending) spike.
    pub fn push_step(&mut self, spikes: impl IntoIterator<Item = u32>) {
        self.indices.extend(spikes);
        self.step_starts.push(self.indices.len() as u32);
    }

    /// Number of steps.
    pub fn steps(&self) -> u32 {
        (self.step_starts.len() - 1) as u32
    }

    /// Number of spikes.
    pub fn spike_count(&self) -> u64 {
        self.indices.len() as u64
    }

    /// Neurons that spike in step `t` (from 1); none beyond the last step.
    pub fn at(&self, t: u32) -> &[u32] {
        &self.indices[self.row(t)]
    }

    /// Payloads of the spikes in step `t`, parallel to [`SpikeTrain::at`]; `None` where all are 1.
    pub fn payloads_at(&self, t: u32) -> Option<&[i32]> {
        self.payloads.as_ref().map(|payloads| &payloads[self.row(t)])
    }

    /// A train from `(step, neuron)` pairs in any order, steps from 1.
    ///
    /// # Errors
    /// The first event outside `1 ..= steps` or `0 .. neurons`, a pair given twice, or more than 2³² − 1 events.
    pub fn from_events(neurons: u32, steps: u32, events: &[(u32, u32)]) -> Result<Self, SpikeFault> {
        if u32::try_from(events.len()).is_err() {
            return Err(SpikeFault::TooMany { events: events.len() as u64 });
        }
        let mut train = Self::silent(neurons, steps);
        for (index, &(step, neuron)) in events.iter().enumerate() {
            if step == 0 || step > steps || neuron >= neurons {
                return Err(SpikeFault::OutOfRange { index, step, neuron, steps, neurons });
            }
            train.step_starts[step as usize] += 1;
        }
        for t in 1..train.step_starts.len() {
            train.step_starts[t] += train.step_starts[t - 1];
        }
        let mut next = train.step_starts.clone();
        train.indices = vec![0; events.len()];
        for &(step, neuron) in events {
            let slot = &mut next[step as usize - 1];
            train.indices[*slot as usize] = neuron;
            *slot += 1;
        }
        for t in 1..=steps {
            let row = train.row(t);
            let row = &mut train.indices[row];
            row.sort_unstable();
            if let Some(pair) = row.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(SpikeFault::Twice { step: t, neuron: pair[0] });
            }
        }
        Ok(train)
    }

    /// A train from a dense array `(steps, neurons)`, row-major: row 0 is step 1. A value that is not 0 is a spike; the
    /// values are kept as payloads where any differs from 0 and 1.
    ///
    /// # Errors
    /// If there are more than 2³² − 1 spikes or steps.
    ///
    /// # Panics
    /// If the length of `values` is no multiple of `neurons`; readers check it before.
    pub fn from_dense(neurons: u32, values: &[i32]) -> Result<Self, SpikeFault> {
        assert!(
            if neurons == 0 { values.is_empty() } else { values.len().is_multiple_of(neurons as usize) },
            "bug in snncc: {} values in rows of {neurons}",
            values.len()
        );
        let spikes = values.iter().filter(|value| **value != 0).count();
        let steps = values.len().checked_div(neurons as usize).unwrap_or(0);
        if u32::try_from(spikes).is_err() || u32::try_from(steps).is_err() {
            return Err(SpikeFault::TooMany { events: spikes.max(steps) as u64 });
        }
        let graded = values.iter().any(|value| !matches!(value, 0 | 1));
        let mut train = Self::new(neurons);
        train.indices.reserve(spikes);
        for row in values.chunks_exact((neurons as usize).max(1)) {
            train.push_step((0..neurons).zip(row).filter(|(_, value)| **value != 0).map(|(neuron, _)| neuron));
        }
        if graded {
            train.payloads = Some(values.iter().copied().filter(|value| *value != 0).collect());
        }
        Ok(train)
    }

    /// The dense array `(steps, neurons)`, row-major: payload of the spike, 1 without payloads, 0 for none.
    pub fn to_dense(&self) -> Vec<i32> {
        let mut dense = vec![0; self.steps() as usize * self.neurons as usize];
        for (step, neuron, payload) in self.events() {
            dense[(step as usize - 1) * self.neurons as usize + neuron as usize] = payload;
        }
        dense
    }

    /// Every spike as `(step, neuron, payload)`, ordered by step, then neuron.
    pub fn events(&self) -> impl Iterator<Item = (u32, u32, i32)> + '_ {
        (1..=self.steps()).flat_map(move |step| {
            self.row(step)
                .map(move |at| (step, self.indices[at], self.payloads.as_ref().map_or(1, |payloads| payloads[at])))
        })
    }

    /// The same spikes in exactly `steps` steps: cut, or continued in silence.
    #[must_use]
    pub fn with_steps(mut self, steps: u32) -> Self {
        let end = self.step_starts[self.steps().min(steps) as usize];
        self.step_starts.resize(steps as usize + 1, end);
        self.indices.truncate(end as usize);
        if let Some(payloads) = &mut self.payloads {
            payloads.truncate(end as usize);
        }
        self
    }

    /// Number of spikes of each neuron.
    pub fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.neurons as usize];
        for &neuron in &self.indices {
            counts[neuron as usize] += 1;
        }
        counts
    }

    fn row(&self, t: u32) -> std::ops::Range<usize> {
        assert!(t >= 1, "bug in snncc: steps count from 1");
        match self.step_starts.get(t as usize) {
            Some(end) => self.step_starts[t as usize - 1] as usize..*end as usize,
            None => 0..0,
        }
    }
}

/// Why a list of events is not a spike train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpikeFault {
    /// An event lies outside the steps or neurons.
    OutOfRange {
        /// Position in the list.
        index: usize,
        /// Its step.
        step: u32,
        /// Its neuron.
        neuron: u32,
        /// Number of steps.
        steps: u32,
        /// Number of neurons.
        neurons: u32,
    },
    /// A neuron spikes twice in one step.
    Twice {
        /// The step.
        step: u32,
        /// The neuron.
        neuron: u32,
    },
    /// More events or steps than a train can number.
    TooMany {
        /// How many.
        events: u64,
    },
}

impl std::fmt::Display for SpikeFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OutOfRange { index, step, neuron, steps, neurons } => write!(
                f,
                "event {index} is neuron {neuron} at step {step}, outside steps 1 to {steps} and neurons 0 to {}",
                i64::from(*neurons) - 1
            ),
            Self::Twice { step, neuron } => write!(f, "neuron {neuron} spikes twice in step {step}"),
            Self::TooMany { events } => write!(f, "{events} events or steps, more than {}", u32::MAX),
        }
    }
}

/// What the host feeds one input port.
#[derive(Clone, Debug, PartialEq)]
pub struct PortStimulus {
    /// Name of the Input node.
    pub port: String,
    /// Spikes in network steps.
    pub spikes: SpikeTrain,
}

/// A constant current, computed on the host and written as bias of the neurons it reaches.
#[derive(Clone, Debug, PartialEq)]
pub struct HostBias {
    /// Name of the population.
    pub population: String,
    /// Current of each neuron per step, in units of the network's canonical voltage; added to the population's bias.
    pub current: Vec<f64>,
}

/// Everything the host feeds a network in one sample.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Stimulus {
    /// One entry per input port that gets spikes.
    pub ports: Vec<PortStimulus>,
    /// Constant currents.
    pub host_biases: Vec<HostBias>,
}

impl Stimulus {
    /// The stimulus of this port.
    pub fn port(&self, name: &str) -> Option<&PortStimulus> {
        self.ports.iter().find(|port| port.port == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_sorted_into_steps() {
        let train = SpikeTrain::from_events(4, 3, &[(3, 1), (1, 2), (1, 0), (3, 0)]).unwrap();
        assert_eq!(train.step_starts, [0, 2, 2, 4]);
        assert_eq!((train.at(1), train.at(2), train.at(3), train.at(4)), (&[0, 2][..], &[][..], &[0, 1][..], &[][..]));
        assert_eq!(train.events().collect::<Vec<_>>(), [(1, 0, 1), (1, 2, 1), (3, 0, 1), (3, 1, 1)]);
        assert_eq!(train.counts(), [2, 1, 1, 0]);
        assert_eq!(train.to_dense(), [1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0]);
        assert_eq!(SpikeTrain::from_dense(4, &train.to_dense()).unwrap(), train);
    }

    #[test]
    fn faulty_events_are_named() {
        let fault = |events: &[(u32, u32)]| SpikeTrain::from_events(2, 2, events).unwrap_err().to_string();
        assert_eq!(fault(&[(1, 0), (1, 0)]), "neuron 0 spikes twice in step 1");
        assert!(fault(&[(1, 1), (0, 1)]).starts_with("event 1 is neuron 1 at step 0, outside steps 1 to 2"));
        assert!(fault(&[(3, 0)]).contains("step 3"));
        assert!(fault(&[(1, 2)]).contains("neurons 0 to 1"));
    }

    #[test]
    fn graded_spikes_keep_their_payloads_when_cut_and_padded() {
        let train = SpikeTrain::from_dense(2, &[0, -3, 2, 1]).unwrap();
        assert_eq!(train.payloads, Some(vec![-3, 2, 1]));
        let cut = train.clone().with_steps(1);
        assert_eq!((cut.steps(), cut.spike_count(), cut.payloads_at(1)), (1, 1, Some(&[-3][..])));
        let padded = train.with_steps(4);
        assert_eq!((padded.steps(), padded.spike_count(), padded.at(4)), (4, 3, &[][..]));
    }
}
