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

    fn row(&self, t: u32) -> std::ops::Range<usize> {
        assert!(t >= 1, "bug in snncc: steps count from 1");
        match self.step_starts.get(t as usize) {
            Some(end) => self.step_starts[t as usize - 1] as usize..*end as usize,
            None => 0..0,
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
