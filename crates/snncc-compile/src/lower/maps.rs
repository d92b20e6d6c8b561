//! Linear maps between the elements of two populations, in the compact forms of [`Connectivity`], and their composition.
//!
//! Composition keeps the most compact form that is exact: factors go into weights, convolutions and pools join where their
//! borders allow it (`convolutions`), everything else is a sparse product, which becomes dense if more than half is filled.
//!
//! **Invariant:** `weights` is parallel to the connectivity of `shell`; the lengths of a chain of maps fit.

use super::convolutions;
use snncc_ids::PopulationId;
use snncc_ir::network::{Affine, Matrix, PoolKind};
use snncc_ir::shapes::{convolution_geometry, pool_geometry};
use snncc_ir::{Connectivity, ConvolutionGeometry, Delays, Node, Param, Projection, SparsePattern};

/// Most synapses that a product may list; more would not fit any target.
const MAX_LISTED_SYNAPSES: u64 = 1 << 28;

/// A linear map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LinearMap {
    /// Lengths and connectivity; the rest is not used.
    pub(super) shell: Projection,
    /// Weights in the order of the connectivity.
    pub(super) weights: Vec<f64>,
}

/// A map would list more synapses than the limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooLarge;

impl TooLarge {
    /// What to tell the user.
    pub(super) fn message(self) -> String {
        format!("joined with its neighbours it would list more than {MAX_LISTED_SYNAPSES} synapses")
    }
}

impl LinearMap {
    fn new(source_len: usize, target_len: usize, connectivity: Connectivity, weights: Vec<f64>) -> Self {
        Self { shell: shell(source_len, target_len, connectivity), weights }
    }

    /// `y = x` over `len` elements.
    pub(super) fn identity(len: usize) -> Self {
        Self::new(len, len, Connectivity::OneToOne { shared: true }, vec![1.0])
    }

    /// The map of an Affine (without bias), a Convolution (likewise) or a Pool; `None` for other nodes.
    pub(super) fn of(node: &Node, input: &[usize], target_len: usize) -> Option<Self> {
        let fits =
            |geometry: Result<ConvolutionGeometry, String>| geometry.expect("bug in snncc: shapes were inferred");
        let source_len = input.iter().product();
        match node {
            Node::Affine(affine) => Some(Self::affine(affine, source_len, target_len)),
            Node::Convolution(convolution) => {
                let geometry = fits(convolution_geometry(convolution, input));
                let weights = convolution.weight.data.clone();
                Some(Self::new(source_len, target_len, Connectivity::Convolution(geometry), weights))
            }
            Node::Pool(pool) => {
                let geometry = fits(pool_geometry(pool, input));
                let weight = match pool.kind {
                    PoolKind::Sum => 1.0,
                    PoolKind::Average => 1.0 / (pool.kernel[0] * pool.kernel[1]) as f64,
                };
                let weights = vec![weight; geometry.weight_count()];
                Some(Self::new(source_len, target_len, Connectivity::Convolution(geometry), weights))
            }
            _ => None,
        }
    }

    fn affine(affine: &Affine, source_len: usize, target_len: usize) -> Self {
        let (connectivity, weights) = match &affine.weight {
            Matrix::Dense(tensor) => (Connectivity::Dense, tensor.data.clone()),
            Matrix::Sparse { values, .. } => {
                let (pattern, order) = sparse_pattern(&affine.weight, source_len);
                (Connectivity::Sparse(pattern), order.into_iter().map(|at| values[at]).collect())
            }
        };
        Self::new(source_len, target_len, connectivity, weights)
    }

    pub(super) fn source_len(&self) -> usize {
        self.shell.source_len as usize
    }

    pub(super) fn target_len(&self) -> usize {
        self.shell.target_len as usize
    }

    /// Whether every target has one source, of the same index.
    pub(super) fn is_one_to_one(&self) -> bool {
        matches!(self.shell.connectivity, Connectivity::OneToOne { .. })
    }

    /// Whether the map changes nothing.
    pub(super) fn is_identity(&self) -> bool {
        self.shell.connectivity == Connectivity::OneToOne { shared: true } && self.weights == [1.0]
    }

    /// `y = W x`.
    pub(super) fn apply(&self, x: &[f64]) -> Vec<f64> {
        let mut y = vec![0.0; self.target_len()];
        for (source, x) in x.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            self.shell.fan_out(source as u32, |synapse| y[synapse.other as usize] += x * self.weights[synapse.weight]);
        }
        y
    }

    /// `factors ∘ W x`.
    pub(super) fn scale_targets(self, factors: &Param) -> Result<Self, TooLarge> {
        self.scale(factors, Side::Target)
    }

    /// `W (factors ∘ x)`.
    pub(super) fn scale_sources(self, factors: &Param) -> Result<Self, TooLarge> {
        self.scale(factors, Side::Source)
    }

    /// Multiplies the weight of every pair with the factor of the neuron on `side`.
    fn scale(mut self, factors: &Param, side: Side) -> Result<Self, TooLarge> {
        let factors = match factors {
            Param::Uniform(factor) => {
                if *factor != 1.0 {
                    self.weights.iter_mut().for_each(|weight| *weight *= factor);
                }
                return Ok(self);
            }
            Param::PerNeuron(factors) => factors,
        };
        match &self.shell.connectivity {
            Connectivity::OneToOne { shared: true } => {
                let weights = factors.iter().map(|factor| factor * self.weights[0]).collect();
                let connectivity = Connectivity::OneToOne { shared: false };
                return Ok(Self::new(self.source_len(), self.target_len(), connectivity, weights));
            }
            Connectivity::Convolution(geometry) => {
                let Some(channels) = channel_factors(geometry, factors, side) else {
                    return self.listed()?.scale(&Param::PerNeuron(factors.clone()), side);
                };
                let kernel_len = (geometry.kernel[0] * geometry.kernel[1]) as usize;
                let inputs = (geometry.input[0] / geometry.groups) as usize;
                let outputs = (geometry.output[0] / geometry.groups) as usize;
                for (slot, weights) in self.weights.chunks_exact_mut(kernel_len).enumerate() {
                    let (channel_out, channel_in) = (slot / inputs, slot % inputs);
                    let channel = match side {
                        Side::Target => channel_out,
                        Side::Source => channel_out / outputs * inputs + channel_in,
                    };
                    weights.iter_mut().for_each(|weight| *weight *= channels[channel]);
                }
            }
            Connectivity::Dense => {
                for (target, row) in self.weights.chunks_exact_mut(self.shell.source_len as usize).enumerate() {
                    match side {
                        Side::Target => row.iter_mut().for_each(|weight| *weight *= factors[target]),
                        Side::Source => row.iter_mut().zip(factors).for_each(|(weight, factor)| *weight *= factor),
                    }
                }
            }
            Connectivity::OneToOne { shared: false } => {
                self.weights.iter_mut().zip(factors).for_each(|(weight, factor)| *weight *= factor);
            }
            Connectivity::Sparse(_) => {
                for source in 0..self.shell.source_len {
                    let weights = &mut self.weights;
                    self.shell.fan_out(source, |synapse| {
                        weights[synapse.weight] *= match side {
                            Side::Target => factors[synapse.other as usize],
                            Side::Source => factors[source as usize],
                        };
                    });
                }
            }
        }
        Ok(self)
    }

    /// The same map with every synapse listed.
    pub(super) fn listed(&self) -> Result<Self, TooLarge> {
        if self.shell.synapse_count() > MAX_LISTED_SYNAPSES {
            return Err(TooLarge);
        }
        let mut pattern = SparsePattern { row_starts: vec![0], targets: Vec::new() };
        let mut weights = Vec::new();
        for source in 0..self.shell.source_len {
            self.shell.fan_out(source, |synapse| {
                pattern.targets.push(synapse.other);
                weights.push(self.weights[synapse.weight]);
            });
            pattern.row_starts.push(pattern.targets.len() as u32);
        }
        Ok(Self::new(self.source_len(), self.target_len(), Connectivity::Sparse(pattern), weights))
    }

    /// `next` after this map.
    pub(super) fn then(&self, next: &Self) -> Result<Self, TooLarge> {
        assert_eq!(self.shell.target_len, next.shell.source_len, "bug in snncc: maps that do not fit");
        if let Some(factors) = self.factors() {
            return next.clone().scale_sources(&factors);
        }
        if let Some(factors) = next.factors() {
            return self.clone().scale_targets(&factors);
        }
        if let (Connectivity::Convolution(a), Connectivity::Convolution(b)) =
            (&self.shell.connectivity, &next.shell.connectivity)
            && let Some((geometry, weights)) = convolutions::join((a, &self.weights), (b, &next.weights))
        {
            return Ok(Self::new(self.source_len(), next.target_len(), Connectivity::Convolution(geometry), weights));
        }
        self.product(next)
    }

    /// The factors of a one-to-one map.
    fn factors(&self) -> Option<Param> {
        match self.shell.connectivity {
            Connectivity::OneToOne { shared: true } => Some(Param::Uniform(self.weights[0])),
            Connectivity::OneToOne { shared: false } => Some(Param::PerNeuron(self.weights.clone())),
            _ => None,
        }
    }

    /// The sparse product, source by source; dense if more than half is filled.
    fn product(&self, next: &Self) -> Result<Self, TooLarge> {
        let next = next.listed()?;
        let Connectivity::Sparse(rows) = &next.shell.connectivity else { unreachable!("bug in snncc: just listed") };
        let mut pattern = SparsePattern { row_starts: vec![0], targets: Vec::new() };
        let mut weights = Vec::new();
        let mut sums = vec![0.0; next.target_len()];
        let mut is_reached = vec![false; next.target_len()];
        let mut reached: Vec<u32> = Vec::new();
        for source in 0..self.shell.source_len {
            self.shell.fan_out(source, |synapse| {
                let weight = self.weights[synapse.weight];
                let middle = synapse.other as usize;
                for at in rows.row_starts[middle] as usize..rows.row_starts[middle + 1] as usize {
                    let target = rows.targets[at];
                    sums[target as usize] += weight * next.weights[at];
                    if !std::mem::replace(&mut is_reached[target as usize], true) {
                        reached.push(target);
                    }
                }
            });
            reached.sort_unstable();
            if (weights.len() + reached.len()) as u64 > MAX_LISTED_SYNAPSES {
                return Err(TooLarge);
            }
            for target in reached.drain(..) {
                pattern.targets.push(target);
                weights.push(std::mem::take(&mut sums[target as usize]));
                is_reached[target as usize] = false;
            }
            pattern.row_starts.push(weights.len() as u32);
        }
        let product = Self::new(self.source_len(), next.target_len(), Connectivity::Sparse(pattern), weights);
        Ok(product.dense_if_full())
    }

    fn dense_if_full(self) -> Self {
        let pairs = self.source_len() as u64 * self.target_len() as u64;
        if self.weights.len() as u64 * 2 <= pairs {
            return self;
        }
        let mut weights = vec![0.0; self.source_len() * self.target_len()];
        for source in 0..self.source_len() {
            self.shell.fan_out(source as u32, |synapse| {
                weights[synapse.other as usize * self.source_len() + source] = self.weights[synapse.weight];
            });
        }
        Self::new(self.source_len(), self.target_len(), Connectivity::Dense, weights)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Source,
    Target,
}

/// One factor per channel of a convolution's input or output, if all positions of a channel share theirs.
fn channel_factors(geometry: &ConvolutionGeometry, factors: &[f64], side: Side) -> Option<Vec<f64>> {
    let shape = match side {
        Side::Source => geometry.input,
        Side::Target => geometry.output,
    };
    let channels = factors.chunks_exact((shape[1] * shape[2]) as usize);
    channels.map(|channel| channel.iter().all(|factor| *factor == channel[0]).then_some(channel[0])).collect()
}

/// The pattern of a sparse matrix by source, and for each of its entries the index of the matrix's entry.
///
/// # Panics
/// If the matrix is dense.
pub(super) fn sparse_pattern<T>(matrix: &Matrix<T>, source_len: usize) -> (SparsePattern, Vec<usize>) {
    let Matrix::Sparse { rows, columns, .. } = matrix else {
        unreachable!("bug in snncc: a dense matrix has no pattern")
    };
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_unstable_by_key(|at| (columns[*at], rows[*at]));
    let mut row_starts = vec![0; source_len + 1];
    columns.iter().for_each(|column| row_starts[*column as usize + 1] += 1);
    for source in 0..source_len {
        row_starts[source + 1] += row_starts[source];
    }
    (SparsePattern { row_starts, targets: order.iter().map(|at| rows[*at]).collect() }, order)
}

/// A projection that stands for its connectivity alone.
pub(super) fn shell(source_len: usize, target_len: usize, connectivity: Connectivity) -> Projection {
    Projection {
        name: String::new(),
        source: PopulationId(0),
        target: PopulationId(0),
        source_len: source_len as u32,
        target_len: target_len as u32,
        connectivity,
        delays: Delays::Uniform(1),
        item: String::new(),
    }
}
