//! What arithmetic costs on the host, where it runs layers or computes currents. Data, as the chips are.

use crate::model::Basis;
use serde::{Deserialize, Serialize};
use snncc_ids::{Diagnostic, Diagnostics, code};
use std::collections::BTreeMap;

/// The built-in table, as text.
pub const HOST_COSTS: &str = include_str!("../../../hardware-models/host.ron");

/// Energy of the host's arithmetic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCosts {
    /// Version of this schema, 1.
    pub schema: u32,
    /// Name.
    pub name: String,
    /// One line: what the figures are, and what they leave out.
    pub about: String,
    /// Sources by key.
    pub sources: BTreeMap<String, String>,
    /// A product added to a sum: an analog value times a weight.
    pub multiply_accumulate: HostCost,
    /// A weight added to a sum: a spike that reaches a neuron.
    pub accumulate: HostCost,
    /// A neuron in a step.
    pub neuron_update: HostCost,
}

/// Energy of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCost {
    /// Energy in femtojoules.
    pub energy_fj: u64,
    /// Key of the source.
    pub source: String,
    /// What the number rests on.
    pub basis: Basis,
}

impl HostCosts {
    /// Reads a table.
    ///
    /// # Errors
    /// `SNN0110` for text that is none, another schema, or a source that is not listed.
    pub fn from_ron(text: &str) -> Result<Self, Diagnostics> {
        let costs: Self = crate::built_in::read("host costs", "host", text)?;
        let mut problems = Diagnostics::new();
        let mut problem = |item: &str, message: String| {
            problems.push(Diagnostic::error(code::HARDWARE_MODEL, format!("host costs: {message}")).at(item));
        };
        if costs.schema != 1 {
            problem("schema", format!("schema {} is not known; this version reads 1", costs.schema));
        }
        let parts = [
            ("multiply_accumulate", &costs.multiply_accumulate),
            ("accumulate", &costs.accumulate),
            ("neuron_update", &costs.neuron_update),
        ];
        for (item, cost) in parts {
            if !costs.sources.contains_key(&cost.source) {
                problem(item, format!("the source `{}` is not listed in `sources`", cost.source));
            }
        }
        problems.into_result(costs).map(|(costs, _)| costs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_is_valid_and_a_wrong_one_is_refused() {
        let costs = HostCosts::from_ron(HOST_COSTS).unwrap();
        assert!(costs.multiply_accumulate.energy_fj > costs.accumulate.energy_fj);
        let unlisted = HOST_COSTS.replacen("source: \"horowitz2014\"", "source: \"hearsay\"", 1);
        assert!(HostCosts::from_ron(&unlisted).unwrap_err().to_string().contains("hearsay"));
        assert!(HostCosts::from_ron(&HOST_COSTS.replace("schema: 1", "schema: 2")).is_err());
        assert!(HostCosts::from_ron("(").unwrap_err().to_string().contains("SNN0110"));
    }
}
