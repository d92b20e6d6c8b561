//! Which population a stimulus is for: the part of a run that both families of chips share.
//!
//! **Invariant:** what is matched has the size of its population, so that a run cannot index outside it.

use crate::integer::AddedBias;
use snncc_data::{PortStimulus, SpikeTrain};
use snncc_ids::{Diagnostic, Diagnostics, code};

fn fault(item: &str, message: String) -> Diagnostic {
    Diagnostic::error(code::STIMULUS_MISMATCH, message).at(format!("nodes/{item}"))
}

/// The stimulus of each population; `inputs` gives name and size of those that are inputs. `SNN0210` for one that names no
/// input, has another size, or comes twice.
pub(crate) fn match_ports<'a, 'b>(
    ports: &'a [PortStimulus],
    inputs: impl Iterator<Item = Option<(&'b str, usize)>>,
    faults: &mut Diagnostics,
) -> Vec<Option<&'a SpikeTrain>> {
    let inputs: Vec<Option<(&str, usize)>> = inputs.collect();
    let mut stimuli = vec![None; inputs.len()];
    for PortStimulus { port: name, spikes } in ports {
        let found = (inputs.iter().enumerate())
            .find_map(|(at, input)| input.filter(|(known, _)| known == name).map(|(_, len)| (at, len)));
        let Some((at, len)) = found else {
            faults.push(fault(name, format!("the network has no input `{name}`")));
            continue;
        };
        let neurons = spikes.neurons;
        if len != neurons as usize {
            faults.push(fault(name, format!("the stimulus has {neurons} elements, input `{name}` has {len}")));
        } else if spikes.indices.iter().any(|element| *element as usize >= len) {
            faults.push(fault(name, format!("a spike lies outside the {neurons} elements of input `{name}`")));
        } else if stimuli[at].is_some() {
            faults.push(fault(name, format!("input `{name}` has two stimuli")));
        } else {
            stimuli[at] = Some(spikes);
        }
    }
    stimuli
}

/// The added bias of a population with so many neurons (`None`: an input). `SNN0210` if it does not suit it.
pub(crate) fn match_bias<'a>(
    bias: &'a AddedBias,
    name: &str,
    neurons: Option<usize>,
    faults: &mut Diagnostics,
) -> Option<&'a [i64]> {
    let given = bias.bias.len();
    match neurons {
        None => faults.push(fault(name, format!("`{name}` is an input and has no bias"))),
        Some(wanted) if wanted != given => {
            faults.push(fault(name, format!("{given} added biases for the {wanted} neurons of `{name}`")));
        }
        Some(_) => return Some(&bias.bias),
    }
    None
}

/// `SNN0210` for a stimulus whose spikes carry payloads, on a chip whose spikes are all alike.
pub(crate) fn refuse_payloads(ports: &[PortStimulus], faults: &mut Diagnostics) {
    for PortStimulus { port: name, spikes } in ports {
        if let Some(payload) = spikes.payloads.iter().flatten().find(|payload| **payload != 1) {
            faults.push(
                fault(
                    name,
                    format!("a spike of input `{name}` carries {payload}, but spikes of this chip carry nothing"),
                )
                .help("feed the input with plain spikes"),
            );
        }
    }
}

/// `SNN0210` for an added bias that leaves the 32 bits of the register it is added in.
pub(crate) fn bias_too_large(name: &str, sum: i64) -> Diagnostic {
    fault(name, format!("with the added bias, the constant input of a neuron of `{name}` is {sum}, beyond 32 bits"))
}
