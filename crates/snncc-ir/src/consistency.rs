//! Whether the arrays of an integer IR fit its graph: asserted where a stage builds one, checked where one is read.

use crate::checks::MAX_DELAY_STEPS;
use crate::graph::{Connectivity, Delays, Graph, Population, PopulationRole, Projection};
use crate::ir::OutputPort;
use crate::quantized::{IntNeurons, QuantizedIr};
use crate::spinnaker::{SpinnakerIr, SpinnakerNeurons};
use snncc_ids::{IdVec, PopulationId};

impl QuantizedIr {
    /// Checks that every array has the length that the graph gives it, and that the graph is sound.
    ///
    /// # Errors
    /// The first thing that does not fit, by name.
    pub fn check(&self) -> Result<(), String> {
        let figures = (self.population_quality.len(), self.projection_quality.len());
        check_neurons(&self.graph, &self.neurons, fits)?;
        check_weights(&self.graph, self.weights.iter().map(|weights| weights.mantissas.len()))?;
        check_rest(&self.graph, figures, &self.outputs)
    }

    /// Checks the same where a stage has built the IR.
    ///
    /// # Panics
    /// If [`QuantizedIr::check`] fails: a bug in that stage.
    pub fn assert_consistent(&self) {
        if let Err(what) = self.check() {
            panic!("bug in snncc: {what}");
        }
    }
}

impl SpinnakerIr {
    /// Checks that every array has the length that the graph gives it, that the graph is sound, and that weights are those
    /// of synapse words.
    ///
    /// # Errors
    /// The first thing that does not fit, by name.
    pub fn check(&self) -> Result<(), String> {
        let figures = (self.population_quality.len(), self.projection_quality.len());
        check_neurons(&self.graph, &self.neurons, fits_spinnaker)?;
        check_weights(&self.graph, self.weights.iter().map(Vec::len))?;
        for (id, weights) in self.weights.iter_with_ids() {
            let largest = weights.iter().map(|weight| weight.unsigned_abs()).max().unwrap_or(0);
            require(largest <= u16::MAX.into(), || {
                format!("`{}` has a weight of {largest}", self.graph.projections[id].name)
            })?;
        }
        check_rest(&self.graph, figures, &self.outputs)
    }

    /// Checks the same where a stage has built the IR.
    ///
    /// # Panics
    /// If [`SpinnakerIr::check`] fails: a bug in that stage.
    pub fn assert_consistent(&self) {
        if let Err(what) = self.check() {
            panic!("bug in snncc: {what}");
        }
    }
}

fn check_neurons<N>(
    graph: &Graph,
    neurons: &IdVec<PopulationId, Option<N>>,
    fits: impl Fn(&N, usize) -> bool,
) -> Result<(), String> {
    require(neurons.len() == graph.populations.len(), || "neurons are missing".into())?;
    for (id, population) in graph.populations.iter_with_ids() {
        let len = length(population)?;
        let neurons = &neurons[id];
        let is_as_it_should = neurons.is_some() == (population.role == PopulationRole::Neurons);
        require(is_as_it_should, || format!("`{}` lacks its neurons, or is an input with some", population.name))?;
        if let Some(neurons) = neurons {
            require(fits(neurons, len), || format!("a parameter of `{}` is not for {len} neurons", population.name))?;
        }
    }
    Ok(())
}

/// Checks the projections, and the number of weights of each.
fn check_weights(graph: &Graph, weights: impl ExactSizeIterator<Item = usize>) -> Result<(), String> {
    require(weights.len() == graph.projections.len(), || "weights of projections are missing".into())?;
    for (projection, weights) in graph.projections.iter().zip(weights) {
        check_projection(projection, &graph.populations)?;
        let wanted = projection.weight_count();
        require(weights == wanted, || format!("`{}` has {weights} weights of {wanted}", projection.name))?;
    }
    Ok(())
}

fn check_rest(graph: &Graph, figures: (usize, usize), outputs: &[OutputPort]) -> Result<(), String> {
    let wanted = (graph.populations.len(), graph.projections.len());
    require(figures == wanted, || "figures of populations or projections are missing".into())?;
    for output in outputs {
        let known = graph.populations.get(output.population).is_some();
        require(known, || format!("`{}` reads no population", output.name))?;
    }
    Ok(())
}

fn require(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn length(population: &Population) -> Result<usize, String> {
    let len = population.shape.iter().try_fold(1_usize, |len, dimension| len.checked_mul(*dimension));
    len.filter(|len| u32::try_from(*len).is_ok()).ok_or_else(|| format!("`{}` is too large", population.name))
}

fn fits(n: &IntNeurons, len: usize) -> bool {
    let integers = [
        &n.decay_u,
        &n.decay_v,
        &n.threshold_mantissa,
        &n.bias_mantissa,
        &n.bias_exponent,
        &n.refractory,
        &n.u_initial,
        &n.v_initial,
    ];
    let noise_fits = n.noise.as_ref().is_none_or(|noise| noise.samples.iter().all(|samples| samples.len() == len));
    integers.iter().all(|parameter| parameter.fits(len))
        && n.units_per_volt.fits(len)
        && n.v_offset.fits(len)
        && noise_fits
}

fn fits_spinnaker(n: &SpinnakerNeurons, len: usize) -> bool {
    let integers = [
        &n.v_initial,
        &n.v_rest,
        &n.resistance,
        &n.membrane_keep,
        &n.i_offset,
        &n.v_reset,
        &n.v_threshold,
        &n.refractory_steps,
    ];
    let types = n.synapse_types.iter().all(|kind| {
        let shifts = kind.left_shift.fits(len) && kind.left_shift.values().iter().all(|shift| *shift < 32);
        kind.decay.fits(len) && kind.init.fits(len) && kind.initial.fits(len) && shifts
    });
    integers.iter().all(|parameter| parameter.fits(len)) && types && n.units_per_volt.fits(len) && n.v_offset.fits(len)
}

fn check_projection(projection: &Projection, populations: &IdVec<PopulationId, Population>) -> Result<(), String> {
    let name = &projection.name;
    let (Some(source), Some(target)) = (populations.get(projection.source), populations.get(projection.target)) else {
        return Err(format!("`{name}` has an end that is no population"));
    };
    let lengths = (length(source)?, length(target)?);
    let (sources, targets) = (projection.source_len, projection.target_len);
    require(lengths == (sources as usize, targets as usize), || format!("`{name}` has ends of other sizes"))?;
    let sound = match &projection.connectivity {
        Connectivity::Dense => true,
        Connectivity::OneToOne { .. } => sources == targets,
        Connectivity::Sparse(pattern) => {
            let rows = pattern.row_starts.len() == sources as usize + 1
                && pattern.row_starts[0] == 0
                && pattern.row_starts.is_sorted()
                && pattern.row_starts[sources as usize] as usize == pattern.targets.len();
            rows && pattern.targets.iter().all(|other| *other < targets)
        }
        Connectivity::Convolution(g) => {
            let volume = |shape: [u32; 3]| shape.iter().try_fold(1_u32, |volume, len| volume.checked_mul(*len));
            let positive = [g.stride, g.dilation, g.kernel].iter().flatten().all(|len| (1..1 << 16).contains(len));
            let weights = [g.output[0], g.input[0], g.kernel[0], g.kernel[1]];
            positive
                && g.padding.iter().all(|padding| *padding < 1 << 16)
                && volume(g.input) == Some(sources)
                && volume(g.output) == Some(targets)
                && g.groups > 0
                && g.input[0] % g.groups == 0
                && g.output[0] % g.groups == 0
                && weights.iter().try_fold(1_u32, |count, len| count.checked_mul(*len)).is_some()
        }
    };
    require(sound, || format!("the connections of `{name}` are damaged"))?;
    let delays = match &projection.delays {
        Delays::Uniform(_) => true,
        Delays::PerSource(delays) => delays.len() == sources as usize,
        Delays::PerSynapse(delays) => delays.len() == projection.weight_count(),
    };
    let held = |delay: u32| (1..=MAX_DELAY_STEPS).contains(&delay);
    let delays = delays && held(projection.delays.min()) && held(projection.delays.max());
    require(delays, || format!("the delays of `{name}` are damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IntWeights, ProjectionQuality, SignMode, SparsePattern};

    fn two_inputs(connectivity: Connectivity, mantissas: usize) -> QuantizedIr {
        let population = |name: &str, len| Population {
            name: name.into(),
            shape: vec![len],
            role: PopulationRole::Input,
            latency_steps: 0,
            item: String::new(),
        };
        let mut graph = Graph::default();
        let (source, target) = (graph.populations.push(population("a", 2)), graph.populations.push(population("b", 3)));
        graph.projections.push(Projection {
            name: "a->b".into(),
            source,
            target,
            source_len: 2,
            target_len: 3,
            connectivity,
            delays: Delays::Uniform(1),
            item: String::new(),
        });
        let weights =
            IntWeights { mantissas: vec![0; mantissas], exponent: 0, weight_bits: 8, sign_mode: SignMode::Mixed };
        QuantizedIr {
            graph,
            neurons: vec![None, None].into(),
            weights: vec![weights].into(),
            outputs: Vec::new(),
            dt_s: None,
            population_quality: vec![None, None].into(),
            projection_quality: vec![None].into(),
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(two_inputs(Connectivity::Dense, 6).check(), Ok(()));
        assert!(two_inputs(Connectivity::Dense, 5).check().unwrap_err().contains("5 weights of 6"));
        assert!(two_inputs(Connectivity::OneToOne { shared: true }, 1).check().is_err());
        let sparse = |row_starts: &[u32], targets: &[u32]| {
            let pattern = SparsePattern { row_starts: row_starts.to_vec(), targets: targets.to_vec() };
            two_inputs(Connectivity::Sparse(pattern), targets.len()).check()
        };
        assert_eq!(sparse(&[0, 1, 2], &[0, 2]), Ok(()));
        for (rows, targets) in
            [(&[0, 1][..], &[0][..]), (&[0, 2, 1], &[0, 1]), (&[0, 1, 2], &[0, 3]), (&[1, 1, 2], &[0, 1])]
        {
            assert!(sparse(rows, targets).is_err(), "{rows:?} {targets:?}");
        }
        let mut large = two_inputs(Connectivity::Dense, 6);
        large.graph.populations[PopulationId(0)].shape = vec![usize::MAX, 2];
        assert!(large.check().unwrap_err().contains("too large"));
    }

    #[test]
    fn weights_beyond_a_synapse_word_are_named() {
        let checked = |weights: Vec<i32>| {
            let QuantizedIr { graph, .. } = two_inputs(Connectivity::Dense, 0);
            let figures = ProjectionQuality { weights: 0, sqnr_db: 0.0, max_error: 0.0, zeroed: 0, clipped: 0 };
            let ir = SpinnakerIr {
                graph,
                neurons: vec![None, None].into(),
                weights: vec![weights].into(),
                outputs: Vec::new(),
                dt_s: None,
                population_quality: vec![None, None].into(),
                projection_quality: vec![figures].into(),
            };
            ir.check()
        };
        let largest = i32::from(u16::MAX);
        assert_eq!(checked(vec![largest, -largest, 0, 1, 2, 3]), Ok(()));
        assert!(checked(vec![0, 0, 0, 0, 0, -largest - 1]).unwrap_err().contains("a weight of 65536"));
        assert!(checked(vec![0; 5]).unwrap_err().contains("5 weights of 6"));
    }
}
