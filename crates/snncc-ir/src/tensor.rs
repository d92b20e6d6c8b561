//! Plain row-major tensors, and parameters that are one value or one value per neuron.

use serde::{Deserialize, Serialize};

/// A row-major tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor<T = f64> {
    /// Length of each dimension, outermost first.
    pub shape: Vec<usize>,
    /// Values; as many as the product of `shape`.
    pub data: Vec<T>,
}

impl<T> Tensor<T> {
    /// A tensor of these dimensions.
    ///
    /// # Panics
    /// If the number of values is not the product of `shape`; readers check it before.
    pub fn new(shape: Vec<usize>, data: Vec<T>) -> Self {
        assert_eq!(
            shape.iter().copied().try_fold(1_usize, usize::checked_mul),
            Some(data.len()),
            "bug in snncc: tensor of shape {shape:?}"
        );
        Self { shape, data }
    }

    /// A one-dimensional tensor.
    pub fn vector(data: Vec<T>) -> Self {
        Self { shape: vec![data.len()], data }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The same shape with other values.
    pub fn map<U>(&self, f: impl FnMut(&T) -> U) -> Tensor<U> {
        Tensor { shape: self.shape.clone(), data: self.data.iter().map(f).collect() }
    }
}

/// One value for all neurons of a population, or one per neuron in row-major order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Param<T = f64> {
    /// The same value for every neuron.
    Uniform(T),
    /// One value per neuron.
    PerNeuron(Vec<T>),
}

impl<T: Copy> Param<T> {
    /// The value of neuron `index`.
    pub fn get(&self, index: usize) -> T {
        match self {
            Self::Uniform(value) => *value,
            Self::PerNeuron(values) => values[index],
        }
    }

    /// Each stored value once (one for a uniform parameter).
    pub fn values(&self) -> &[T] {
        match self {
            Self::Uniform(value) => std::slice::from_ref(value),
            Self::PerNeuron(values) => values,
        }
    }

    /// Applies `f` to every stored value.
    pub fn map<U>(&self, mut f: impl FnMut(T) -> U) -> Param<U> {
        match self {
            Self::Uniform(value) => Param::Uniform(f(*value)),
            Self::PerNeuron(values) => Param::PerNeuron(values.iter().map(|value| f(*value)).collect()),
        }
    }

    /// Combines two parameters neuron by neuron; uniform where both are.
    pub fn zip<U: Copy, V>(&self, other: &Param<U>, mut f: impl FnMut(T, U) -> V) -> Param<V> {
        match (self, other) {
            (Self::Uniform(a), Param::Uniform(b)) => Param::Uniform(f(*a, *b)),
            (Self::PerNeuron(a), Param::Uniform(b)) => Param::PerNeuron(a.iter().map(|a| f(*a, *b)).collect()),
            (Self::Uniform(a), Param::PerNeuron(b)) => Param::PerNeuron(b.iter().map(|b| f(*a, *b)).collect()),
            (Self::PerNeuron(a), Param::PerNeuron(b)) => {
                Param::PerNeuron(a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect())
            }
        }
    }

    /// Whether the parameter fits a population of `neurons` neurons.
    pub fn fits(&self, neurons: usize) -> bool {
        match self {
            Self::Uniform(_) => true,
            Self::PerNeuron(values) => values.len() == neurons,
        }
    }
}

impl<T: Copy + PartialEq> Param<T> {
    /// From one value per neuron; uniform if they are all equal (and there is at least one).
    pub fn from_values(values: Vec<T>) -> Self {
        match values.first() {
            Some(first) if values.iter().all(|value| value == first) => Self::Uniform(*first),
            _ => Self::PerNeuron(values),
        }
    }
}
