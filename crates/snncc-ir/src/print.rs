//! Text of a network and of both IRs, for `inspect`, `--emit ir` and snapshots. Items are shown by name, never by index, so
//! that a change in one place does not renumber the rest.

use crate::graph::{Connectivity, Delays, Graph, PopulationRole, Projection};
use crate::ir::{Ir, IrNeurons, IrWeights, OutputPort};
use crate::network::{Compartments, Matrix, Network, Node, SynapseDelay};
use crate::quantized::{IntWeights, QuantizedIr};
use crate::spinnaker::{NeuronProgram, SpikeReset, SpinnakerIr};
use crate::tensor::Param;
use std::fmt::{Display, Write};

/// One line per node and edge.
pub fn print_network(network: &Network) -> String {
    let mut out = String::new();
    let dt = network.dt_s.map_or("none".to_string(), |dt| format!("{dt} s"));
    let _ = writeln!(out, "network: {} nodes, {} edges, dt {dt}", network.nodes.len(), network.edges.len());
    for node in &network.nodes {
        let _ = writeln!(out, "  {}: {}", node.name, node_text(&node.node));
    }
    for edge in &network.edges {
        let _ = writeln!(out, "  {} -> {}", network.nodes[edge.source].name, network.nodes[edge.target].name);
    }
    out
}

fn node_text(node: &Node) -> String {
    match node {
        Node::Input { shape } => format!("Input {shape:?}"),
        Node::Output { shape } => format!("Output {shape:?}"),
        Node::Affine(affine) => {
            let kind = if affine.bias.is_some() { "Affine" } else { "Linear" };
            format!("{kind} {}{}", matrix(&affine.weight), delay(&affine.delay))
        }
        Node::Scale { scale } => format!("Scale {:?}", scale.shape),
        Node::Convolution(c) => format!(
            "Conv{}d weight {:?}, stride {:?}, padding {:?}, dilation {:?}, groups {}",
            c.dimensions, c.weight.shape, c.stride, c.padding, c.dilation, c.groups
        ),
        Node::Pool(pool) => format!(
            "{:?}Pool2d kernel {:?}, stride {:?}, padding {:?}",
            pool.kind, pool.kernel, pool.stride, pool.padding
        ),
        Node::GatedPool(pool) => {
            format!("GatedMaxPool2d kernel {:?}, stride {:?}, padding {:?}", pool.kernel, pool.stride, pool.padding)
        }
        Node::RateNeuron(neuron) => {
            format!("RateNeuron {}, {:?}, gain {}", neuron.function.name(), neuron.spiking, param(&neuron.gain))
        }
        Node::Flatten { start_dim, end_dim } => format!("Flatten {start_dim}..={end_dim}"),
        Node::Reshape { shape } => format!("Reshape {shape:?}"),
        Node::Threshold(threshold) => format!("Threshold {}", param(&threshold.threshold)),
        Node::Delay { delay, .. } => format!("Delay {delay:?}"),
        Node::Neuron(neuron) => {
            let mut text = neuron.model.name().to_string();
            if let Some(shape) = &neuron.shape {
                let _ = write!(text, " {shape:?}");
            }
            if neuron.model.filters() {
                let _ = write!(text, ", tau_syn {} s", param(&neuron.tau_syn_s));
            }
            if neuron.model.leaks() {
                let _ = write!(text, ", tau_mem {} s", param(&neuron.tau_mem_s));
            }
            if neuron.model.spikes() {
                let _ = write!(
                    text,
                    ", threshold {} ({:?}), reset {:?} to {}",
                    param(&neuron.v_threshold),
                    neuron.comparison,
                    neuron.reset,
                    param(&neuron.v_reset)
                );
            }
            text
        }
        Node::Compartments(compartments) => format!("Compartments {:?}", compartments.shape),
        Node::Synapses(synapses) => format!("Synapses {}{}", matrix(&synapses.weight), delay(&synapses.delay)),
    }
}

fn matrix<T>(matrix: &Matrix<T>) -> String {
    match (matrix, matrix.dimensions()) {
        (Matrix::Sparse { values, .. }, Some((outputs, inputs))) => {
            format!("{outputs}x{inputs} sparse, {} entries", values.len())
        }
        (_, Some((outputs, inputs))) => format!("{outputs}x{inputs}"),
        (_, None) => "of no matrix shape".into(),
    }
}

fn delay(delay: &SynapseDelay) -> String {
    match delay {
        SynapseDelay::None => String::new(),
        SynapseDelay::Uniform(steps) => format!(", delay {steps}"),
        SynapseDelay::PerSynapse(steps) => format!(", delays up to {}", steps.iter().max().copied().unwrap_or(0)),
    }
}

fn param<T: Copy + Display + PartialOrd>(param: &Param<T>) -> String {
    match param {
        Param::Uniform(value) => value.to_string(),
        Param::PerNeuron(values) => {
            let pick = |better: fn(&T, &T) -> bool| {
                values.iter().copied().reduce(|best, value| if better(&value, &best) { value } else { best })
            };
            match (pick(|a, b| a < b), pick(|a, b| a > b)) {
                (Some(low), Some(high)) => format!("{low}..{high}"),
                _ => "none".into(),
            }
        }
    }
}

fn projection(projection: &Projection, graph: &Graph) -> String {
    let connectivity = match &projection.connectivity {
        Connectivity::Dense => "dense".to_string(),
        Connectivity::OneToOne { .. } => "one to one".to_string(),
        Connectivity::Sparse(pattern) => format!("sparse, {} entries", pattern.targets.len()),
        Connectivity::Convolution(g) => format!(
            "convolution {:?} -> {:?}, kernel {:?}, stride {:?}, padding {:?}, dilation {:?}, groups {}",
            g.input, g.output, g.kernel, g.stride, g.padding, g.dilation, g.groups
        ),
    };
    let delays = match &projection.delays {
        Delays::Uniform(steps) => format!("{steps}"),
        other => format!("{}..{}", other.min(), other.max()),
    };
    let (source, target) = (&graph.populations[projection.source], &graph.populations[projection.target]);
    format!(
        "{}: {} ({}) to {} ({}), {connectivity}, {} synapses, delay {delays}",
        projection.name,
        source.name,
        source.len(),
        target.name,
        target.len(),
        projection.synapse_count()
    )
}

fn outputs(out: &mut String, ports: &[OutputPort], graph: &Graph) {
    for port in ports {
        let _ =
            writeln!(out, "  output {}: {:?} of {}", port.name, port.readout, graph.populations[port.population].name);
    }
}

fn range_text(values: impl Iterator<Item = f64>) -> String {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low <= high { format!("{low}..{high}") } else { "none".into() }
}

/// The float IR: populations, projections, outputs.
pub fn print_ir(ir: &Ir) -> String {
    let mut out = String::from("ir\n");
    for (id, population) in ir.graph.populations.iter_with_ids() {
        let _ = write!(out, "  {} {:?}, latency {}", population.name, population.shape, population.latency_steps);
        match &ir.neurons[id] {
            None => {
                assert_eq!(population.role, PopulationRole::Input, "bug in snncc: neurons without parameters");
                let _ = writeln!(out, ", input");
            }
            Some(IrNeurons::Integer(compartments)) => {
                let _ = writeln!(out, ", in the chip's integers: {}", compartments_text(compartments));
            }
            Some(IrNeurons::Float(p)) => {
                let _ = writeln!(
                    out,
                    ", u keeps {}, v keeps {}, bias {}, threshold {} ({:?}), refractory {}",
                    param(&p.current_keep),
                    param(&p.voltage_keep),
                    param(&p.bias),
                    param(&p.threshold),
                    p.comparison,
                    param(&p.refractory_steps)
                );
            }
        }
    }
    for (id, item) in ir.graph.projections.iter_with_ids() {
        let weights = match &ir.weights[id] {
            IrWeights::Float(weights) => format!("weights {}", range_text(weights.iter().copied())),
            IrWeights::Integer(weights) => int_weights(weights),
        };
        let _ = writeln!(out, "  {}, {weights}", projection(item, &ir.graph));
    }
    outputs(&mut out, &ir.outputs, &ir.graph);
    out
}

fn compartments_text(c: &Compartments) -> String {
    format!(
        "decay_u {}, decay_v {}, threshold {}, bias {} << {}, refractory {}",
        param(&c.decay_u),
        param(&c.decay_v),
        param(&c.threshold_mantissa),
        param(&c.bias_mantissa),
        param(&c.bias_exponent),
        param(&c.refractory)
    )
}

fn int_weights(weights: &IntWeights) -> String {
    format!(
        "mantissas {} ({} bits, {:?}), exponent {}",
        range_text(weights.mantissas.iter().map(|mantissa| f64::from(*mantissa))),
        weights.weight_bits,
        weights.sign_mode,
        weights.exponent
    )
}

/// The integer IR: registers and weights, with what quantization cost.
pub fn print_quantized(ir: &QuantizedIr) -> String {
    let mut out = String::from("quantized ir\n");
    for (id, population) in ir.graph.populations.iter_with_ids() {
        let _ = write!(out, "  {} {:?}, latency {}", population.name, population.shape, population.latency_steps);
        match &ir.neurons[id] {
            None => out.push_str(", input\n"),
            Some(n) => {
                let _ = writeln!(
                    out,
                    ", decay_u {}, decay_v {}, threshold {}, bias {} << {}, refractory {}, start {}, units per volt {}",
                    param(&n.decay_u),
                    param(&n.decay_v),
                    param(&n.threshold_mantissa),
                    param(&n.bias_mantissa),
                    param(&n.bias_exponent),
                    param(&n.refractory),
                    n.start_step,
                    param(&n.units_per_volt)
                );
            }
        }
    }
    for (id, item) in ir.graph.projections.iter_with_ids() {
        let _ = write!(out, "  {}, {}", projection(item, &ir.graph), int_weights(&ir.weights[id]));
        if let Some(quality) = &ir.projection_quality[id] {
            let _ = write!(
                out,
                ", SQNR {:.1} dB, {} zeroed, {} clipped of {}",
                quality.sqnr_db, quality.zeroed, quality.clipped, quality.weights
            );
        }
        out.push('\n');
    }
    outputs(&mut out, &ir.outputs, &ir.graph);
    out
}

/// The integer IR of a SpiNNaker-like machine: registers and weights, with what quantization cost.
pub fn print_spinnaker(ir: &SpinnakerIr) -> String {
    let mut out = String::from("quantized ir of a SpiNNaker-like machine\n");
    for (id, population) in ir.graph.populations.iter_with_ids() {
        let _ = write!(out, "  {} {:?}, latency {}", population.name, population.shape, population.latency_steps);
        let Some(n) = &ir.neurons[id] else {
            out.push_str(", input\n");
            continue;
        };
        let program = match n.program {
            NeuronProgram::CurrentExponential => "exponential currents",
            NeuronProgram::Delta => "delta",
        };
        let reset = match n.reset {
            SpikeReset::ToValue => format!("reset to {}", param(&n.v_reset)),
            SpikeReset::BySubtraction => "reset by subtraction".to_string(),
        };
        let [excitatory, inhibitory] = &n.synapse_types;
        let _ =
            write!(out, ", {program}, keep {}, threshold {}, {reset}", param(&n.membrane_keep), param(&n.v_threshold));
        let _ = write!(out, ", offset {}, refractory {}", param(&n.i_offset), param(&n.refractory_steps));
        if n.program == NeuronProgram::CurrentExponential {
            let (decays, resistance) = ([&excitatory.decay, &inhibitory.decay].map(param), param(&n.resistance));
            let _ = write!(out, ", R {resistance}, decays {}, {}", decays[0], decays[1]);
        }
        let _ = writeln!(
            out,
            ", left shifts {}, {}, start {}, units per volt {}",
            param(&excitatory.left_shift),
            param(&inhibitory.left_shift),
            n.start_step,
            param(&n.units_per_volt)
        );
    }
    for (id, item) in ir.graph.projections.iter_with_ids() {
        let weights = &ir.weights[id];
        let range = range_text(weights.iter().map(|weight| f64::from(*weight)));
        let _ = write!(out, "  {}, weights {range}", projection(item, &ir.graph));
        let quality = &ir.projection_quality[id];
        let _ = writeln!(
            out,
            ", SQNR {:.1} dB, {} zeroed, {} clipped of {}",
            quality.sqnr_db, quality.zeroed, quality.clipped, quality.weights
        );
    }
    outputs(&mut out, &ir.outputs, &ir.graph);
    out
}
