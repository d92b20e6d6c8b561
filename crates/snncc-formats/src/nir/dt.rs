//! The time step that a NIR file implies.
//!
//! NIR stores no time step. snnTorch's export convention sets `r = tau_mem / dt` and `w_in = tau_syn / dt`, so that the
//! gains of the discrete update are exactly 1; a file written so gives its step away. Other neuron models do not carry two
//! equal quotients that could confirm the guess, so only CubaLIF counts.

use snncc_ir::network::{Network, NeuronModel, Node};

/// Largest relative difference of quotients that count as equal: parameters may be 32-bit floats.
const TOLERANCE: f64 = 1e-6;

/// The step in seconds, if every neuron of every CubaLIF node has `tau_mem / r = tau_syn / w_in`, and all have the same.
/// A step within 2·10⁻⁷ of a number of four digits, the error of a quotient of 32-bit floats, is that number.
pub fn infer_dt(network: &Network) -> Option<f64> {
    let mut first = None;
    for node in network.nodes.iter() {
        let Node::Neuron(neuron) = &node.node else { continue };
        if neuron.model != NeuronModel::CubaLif {
            continue;
        }
        let membrane = neuron.tau_mem_s.zip(&neuron.r, |tau, gain| tau / gain);
        let synapse = neuron.tau_syn_s.zip(&neuron.w_in, |tau, gain| tau / gain);
        for &quotient in membrane.values().iter().chain(synapse.values()) {
            let dt = *first.get_or_insert(quotient);
            if !(quotient.is_finite() && quotient > 0.0 && (quotient - dt).abs() <= TOLERANCE * dt) {
                return None;
            }
        }
    }
    first.map(|dt| {
        let rounded: f64 = format!("{dt:.3e}").parse().expect("bug in snncc: a formatted float does not parse");
        if (rounded - dt).abs() <= 2e-7 * dt { rounded } else { dt }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use snncc_ir::Param;
    use snncc_ir::network::{NetworkNode, Neuron};

    fn cuba(tau_mem: f64, r: Vec<f64>, tau_syn: f64, w_in: f64) -> NetworkNode {
        let mut neuron = Neuron::new(NeuronModel::CubaLif);
        neuron.tau_mem_s = Param::Uniform(tau_mem);
        neuron.r = Param::PerNeuron(r);
        neuron.tau_syn_s = Param::Uniform(tau_syn);
        neuron.w_in = Param::Uniform(w_in);
        NetworkNode { name: "n".to_owned(), node: Node::Neuron(neuron) }
    }

    fn network(nodes: Vec<NetworkNode>) -> Network {
        Network { nodes: nodes.into(), ..Network::default() }
    }

    #[test]
    fn equal_quotients_give_the_step() {
        // Values of 32-bit floats: 2.2222222e-4 / 2.2222223 and 2e-4 / 2.
        let tau = f64::from(2.222_222_2e-4_f32);
        let r = f64::from(2.222_222_3_f32);
        assert_eq!(infer_dt(&network(vec![cuba(tau, vec![r, r], 2e-4, 2.0)])), Some(1e-4));
        let third = 1e-3 / 3.0;
        assert_eq!(infer_dt(&network(vec![cuba(third, vec![1.0], third, 1.0)])), Some(third));
    }

    #[test]
    fn anything_less_gives_none() {
        let good = || cuba(2e-3, vec![20.0], 1e-3, 10.0);
        assert_eq!(infer_dt(&network(vec![good()])), Some(1e-4));
        assert_eq!(infer_dt(&network(vec![good(), cuba(2e-3, vec![20.0, 20.1], 1e-3, 10.0)])), None);
        assert_eq!(infer_dt(&network(vec![good(), cuba(2e-3, vec![10.0], 1e-3, 5.0)])), None);
        assert_eq!(infer_dt(&network(vec![cuba(2e-3, vec![20.0], 1e-3, 11.0)])), None);
        assert_eq!(infer_dt(&network(vec![cuba(2e-3, vec![0.0], 1e-3, 0.0)])), None);
        assert_eq!(infer_dt(&network(vec![cuba(0.0, vec![1.0], 0.0, 1.0)])), None);
        assert_eq!(infer_dt(&network(vec![])), None);
    }
}
