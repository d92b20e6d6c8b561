//! Populations and projections: the structure that the float IR and the integer IR share.
//!
//! A projection stays compact: a dense one stores nothing, a convolution its geometry, only a sparse one its pattern.
//! Weights are separate arrays, parallel to [`Projection::weight_count`]; [`Projection::fan_out`] expands one source
//! neuron at a time.

use serde::{Deserialize, Serialize};
use snncc_ids::{IdVec, PopulationId, ProjectionId};

/// Populations and the projections between them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Populations: inputs first come where the network declares them; order is that of the network.
    pub populations: IdVec<PopulationId, Population>,
    /// Projections, in a fixed order that follows the network's edges.
    pub projections: IdVec<ProjectionId, Projection>,
}

/// What the members of a population are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PopulationRole {
    /// Axons driven by the host.
    Input,
    /// Neurons on the chip.
    Neurons,
}

/// Neurons of one kind, or the elements of one input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Population {
    /// Name of the network's node.
    pub name: String,
    /// Shape; neurons are numbered row-major.
    pub shape: Vec<usize>,
    /// Input or neurons.
    pub role: PopulationRole,
    /// Chip step minus network step of the same event: longest path from the inputs, 0 for inputs and without alignment.
    pub latency_steps: u32,
    /// Path of the network item, for diagnostics.
    pub item: String,
}

impl Population {
    /// Number of neurons.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no neurons.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Synapses from one population to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Projection {
    /// `source->target`, numbered from the second one on: `a->b#2`.
    pub name: String,
    /// Where spikes come from.
    pub source: PopulationId,
    /// Where they go.
    pub target: PopulationId,
    /// Neurons of the source.
    pub source_len: u32,
    /// Neurons of the target.
    pub target_len: u32,
    /// Which pairs are connected.
    pub connectivity: Connectivity,
    /// Steps from spike to arrival on the chip, at least 1.
    pub delays: Delays,
    /// Path of the network item (the node that holds the weights), for diagnostics.
    pub item: String,
}

/// Which pairs of neurons are connected, and how their weights are stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Connectivity {
    /// All pairs; weight of `(source, target)` at `target * source_len + source`.
    Dense,
    /// Neuron `i` to neuron `i`; weight `i`, or one weight for all.
    OneToOne {
        /// Whether a single weight serves all pairs.
        shared: bool,
    },
    /// A convolution; weights `(channels_out, channels_in / groups, kernel_height, kernel_width)`.
    Convolution(ConvolutionGeometry),
    /// Listed pairs, by source.
    Sparse(SparsePattern),
}

/// Geometry of a two-dimensional convolution (one-dimensional ones have height 1). Shapes are `(channels, height, width)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvolutionGeometry {
    /// Input channels, height, width.
    pub input: [u32; 3],
    /// Output channels, height, width.
    pub output: [u32; 3],
    /// Kernel height, width.
    pub kernel: [u32; 2],
    /// Stride along height, width.
    pub stride: [u32; 2],
    /// Zeros before the first row and column. (Zeros after the last follow from the output shape.)
    pub padding: [u32; 2],
    /// Dilation along height, width.
    pub dilation: [u32; 2],
    /// Groups of channels.
    pub groups: u32,
}

impl ConvolutionGeometry {
    /// Number of distinct weights.
    pub fn weight_count(&self) -> usize {
        self.output[0] as usize
            * (self.input[0] / self.groups) as usize
            * self.kernel[0] as usize
            * self.kernel[1] as usize
    }

    /// Outputs along dimension `d` (0 height, 1 width) that input position `position` reaches, as (output, kernel element),
    /// by ascending output.
    pub fn reached(&self, d: usize, position: u32) -> impl Iterator<Item = (u32, u32)> + use<> {
        let (padding, stride, dilation) = (self.padding[d], self.stride[d], self.dilation[d]);
        let output_len = self.output[d + 1];
        (0..self.kernel[d]).rev().filter_map(move |element| {
            let from_start = (position + padding).checked_sub(element * dilation)?;
            let output = from_start / stride;
            (from_start % stride == 0 && output < output_len).then_some((output, element))
        })
    }
}

/// Listed pairs in compressed rows, one row per source neuron, targets ascending within a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SparsePattern {
    /// `source_len + 1` offsets into `targets`.
    pub row_starts: Vec<u32>,
    /// Target neurons.
    pub targets: Vec<u32>,
}

/// Steps from spike to arrival, each at least 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delays {
    /// The same for all synapses.
    Uniform(u32),
    /// One per source neuron.
    PerSource(Vec<u32>),
    /// One per stored weight.
    PerSynapse(Vec<u32>),
}

impl Delays {
    /// Delay of a synapse.
    pub fn get(&self, source: u32, weight: usize) -> u32 {
        match self {
            Self::Uniform(delay) => *delay,
            Self::PerSource(delays) => delays[source as usize],
            Self::PerSynapse(delays) => delays[weight],
        }
    }

    /// The longest delay (1 if there are none).
    pub fn max(&self) -> u32 {
        match self {
            Self::Uniform(delay) => *delay,
            Self::PerSource(delays) | Self::PerSynapse(delays) => delays.iter().copied().max().unwrap_or(1),
        }
    }

    /// The shortest delay (1 if there are none).
    pub fn min(&self) -> u32 {
        match self {
            Self::Uniform(delay) => *delay,
            Self::PerSource(delays) | Self::PerSynapse(delays) => delays.iter().copied().min().unwrap_or(1),
        }
    }
}

/// One synapse, as [`Projection::fan_out`] and [`Projection::fan_in`] show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synapse {
    /// The neuron on the other side: the target in `fan_out`, the source in `fan_in`.
    pub other: u32,
    /// Index of the weight in the projection's weight array.
    pub weight: usize,
}

impl Graph {
    /// The projection that resets `population` by subtraction (see docs/CHIP_SEMANTICS.md): from each neuron to itself.
    /// Such a population keeps its membrane in the current.
    pub fn reset_projection(&self, population: PopulationId) -> Option<ProjectionId> {
        let name = Projection::reset_name(&self.populations[population].name);
        let resets = |projection: &Projection| {
            (projection.source, projection.target) == (population, population) && projection.name == name
        };
        self.projections.iter_with_ids().find_map(|(id, projection)| resets(projection).then_some(id))
    }

    /// Whether `population` is the neuron that `lower` adds to send constants to the population of the same item: it is none
    /// of the network's, and fires in every step.
    pub fn sends_constants(&self, population: PopulationId) -> bool {
        let added = &self.populations[population];
        added.role == PopulationRole::Neurons
            && self.populations.as_slice()[..population.0 as usize].iter().any(|known| known.item == added.item)
    }
}

impl Projection {
    /// Name of the projection that resets the population `name` by subtraction.
    pub fn reset_name(name: &str) -> String {
        format!("{name}->{name} (reset)")
    }

    /// Length of the weight array.
    pub fn weight_count(&self) -> usize {
        match &self.connectivity {
            Connectivity::Dense => self.source_len as usize * self.target_len as usize,
            Connectivity::OneToOne { shared: true } => 1,
            Connectivity::OneToOne { shared: false } => self.source_len as usize,
            Connectivity::Convolution(geometry) => geometry.weight_count(),
            Connectivity::Sparse(pattern) => pattern.targets.len(),
        }
    }

    /// Number of synapses (a shared weight counts once per pair it serves).
    pub fn synapse_count(&self) -> u64 {
        match &self.connectivity {
            Connectivity::Dense => u64::from(self.source_len) * u64::from(self.target_len),
            Connectivity::OneToOne { .. } => u64::from(self.source_len),
            Connectivity::Sparse(pattern) => pattern.targets.len() as u64,
            Connectivity::Convolution(geometry) => {
                let along = |d: usize| -> u64 {
                    (0..geometry.input[d + 1]).map(|position| geometry.reached(d, position).count() as u64).sum()
                };
                let channel_pairs = u64::from(geometry.input[0]) * u64::from(geometry.output[0] / geometry.groups);
                along(0) * along(1) * channel_pairs
            }
        }
    }

    /// Calls `visit` for each synapse of `source`, by ascending target.
    pub fn fan_out(&self, source: u32, mut visit: impl FnMut(Synapse)) {
        match &self.connectivity {
            Connectivity::Dense => {
                for target in 0..self.target_len {
                    let weight = target as usize * self.source_len as usize + source as usize;
                    visit(Synapse { other: target, weight });
                }
            }
            Connectivity::OneToOne { shared } => {
                visit(Synapse { other: source, weight: if *shared { 0 } else { source as usize } });
            }
            Connectivity::Sparse(pattern) => {
                let row =
                    pattern.row_starts[source as usize] as usize..pattern.row_starts[source as usize + 1] as usize;
                for weight in row {
                    visit(Synapse { other: pattern.targets[weight], weight });
                }
            }
            Connectivity::Convolution(g) => {
                let plane = g.input[1] * g.input[2];
                let (channel, y, x) = (source / plane, source % plane / g.input[2], source % g.input[2]);
                let (inputs_per_group, outputs_per_group) = (g.input[0] / g.groups, g.output[0] / g.groups);
                let group = channel / inputs_per_group;
                let kernel_len = (g.kernel[0] * g.kernel[1]) as usize;
                for out_channel in group * outputs_per_group..(group + 1) * outputs_per_group {
                    let slot = out_channel as usize * inputs_per_group as usize + (channel % inputs_per_group) as usize;
                    for (out_y, ky) in g.reached(0, y) {
                        for (out_x, kx) in g.reached(1, x) {
                            visit(Synapse {
                                other: (out_channel * g.output[1] + out_y) * g.output[2] + out_x,
                                weight: slot * kernel_len + (ky * g.kernel[1] + kx) as usize,
                            });
                        }
                    }
                }
            }
        }
    }

    /// Calls `visit` for each synapse of `source` onto the neurons `targets`, by ascending target. What is beside them costs
    /// no time but in convolutions.
    pub fn fan_out_onto(&self, source: u32, targets: std::ops::Range<u32>, mut visit: impl FnMut(Synapse)) {
        match &self.connectivity {
            Connectivity::Dense => {
                for target in targets {
                    let weight = target as usize * self.source_len as usize + source as usize;
                    visit(Synapse { other: target, weight });
                }
            }
            Connectivity::Sparse(pattern) => {
                let [start, end] = [0, 1].map(|at| pattern.row_starts[source as usize + at] as usize);
                let first = start + pattern.targets[start..end].partition_point(|other| *other < targets.start);
                for weight in first..end {
                    let other = pattern.targets[weight];
                    if other >= targets.end {
                        break;
                    }
                    visit(Synapse { other, weight });
                }
            }
            Connectivity::OneToOne { .. } | Connectivity::Convolution(_) => self.fan_out(source, |synapse| {
                if targets.contains(&synapse.other) {
                    visit(synapse);
                }
            }),
        }
    }

    /// Calls `visit` for each synapse onto `target`. By ascending source, except that a sparse projection is searched row
    /// by row (in `O(synapses)`): build your own transpose where many targets are asked for.
    pub fn fan_in(&self, target: u32, mut visit: impl FnMut(Synapse)) {
        match &self.connectivity {
            Connectivity::Dense => {
                for source in 0..self.source_len {
                    let weight = target as usize * self.source_len as usize + source as usize;
                    visit(Synapse { other: source, weight });
                }
            }
            Connectivity::OneToOne { shared } => {
                visit(Synapse { other: target, weight: if *shared { 0 } else { target as usize } });
            }
            Connectivity::Sparse(pattern) => {
                for source in 0..self.source_len as usize {
                    let row = pattern.row_starts[source] as usize..pattern.row_starts[source + 1] as usize;
                    if let Ok(at) = pattern.targets[row.clone()].binary_search(&target) {
                        visit(Synapse { other: source as u32, weight: row.start + at });
                    }
                }
            }
            Connectivity::Convolution(g) => {
                let plane = g.output[1] * g.output[2];
                let (out_channel, y, x) = (target / plane, target % plane / g.output[2], target % g.output[2]);
                let (inputs_per_group, outputs_per_group) = (g.input[0] / g.groups, g.output[0] / g.groups);
                let group = out_channel / outputs_per_group;
                let kernel_len = (g.kernel[0] * g.kernel[1]) as usize;
                let position = |d: usize, output: u32, element: u32| {
                    (output * g.stride[d] + element * g.dilation[d])
                        .checked_sub(g.padding[d])
                        .filter(|position| *position < g.input[d + 1])
                };
                for in_channel in 0..inputs_per_group {
                    let slot = out_channel as usize * inputs_per_group as usize + in_channel as usize;
                    for ky in 0..g.kernel[0] {
                        let Some(in_y) = position(0, y, ky) else { continue };
                        for kx in 0..g.kernel[1] {
                            let Some(in_x) = position(1, x, kx) else { continue };
                            visit(Synapse {
                                other: ((group * inputs_per_group + in_channel) * g.input[1] + in_y) * g.input[2]
                                    + in_x,
                                weight: slot * kernel_len + (ky * g.kernel[1] + kx) as usize,
                            });
                        }
                    }
                }
            }
        }
    }
}
