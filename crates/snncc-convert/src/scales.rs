//! The scale of a channel: the activation that a spike in every step stands for.
//!
//! A scale above all activations clips none but leaves few spikes to most of them; a small one clips. The rules of [`Balance`]
//! trade one for the other, channel by channel or for the layer as a whole.
//!
//! Scales divide the weights behind which they stand, and what a calibration does not show may still come. So channels of
//! which little is known are kept away from small scales:
//! - silent channels have the layer's scale;
//! - channels with fewer than [`FEW_VALUES`] values above 0 have at least their largest value and half the layer's scale;
//! - a percentile of all values, which is 0 where hardly any value is above 0, is at least the 90th of those.
//!
//! **Invariant:** scales are finite and above 0.

mod divergence;
mod rounding;
#[cfg(test)]
mod tests;

use crate::options::Balance;
use crate::statistics::{Histogram, LayerStatistics};
use rayon::prelude::*;

/// Values above 0 from which on a channel's own distribution is trusted.
pub const FEW_VALUES: u64 = 10;
/// Part of the layer's scale that the scale of a channel with fewer values has at least.
const FEW_VALUES_SHARE: f64 = 0.5;
/// Of a channel's values above 0 a percentile keeps at least this percentage.
const LEAST_PERCENTILE: f64 = 90.0;

/// Scales of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Scales {
    /// One per channel, above 0. A channel that is silent on the data has the layer's; a silent layer has 1.
    pub scales: Vec<f64>,
    /// Share of the activations above their scale.
    pub clipped: f64,
}

/// Chooses the scales of a layer. `steps` matters to the rules that count rounding.
pub fn choose(layer: &LayerStatistics, balance: Balance, per_channel: bool, steps: u32) -> Scales {
    let whole = layer.layer();
    let of_layer = by_rule(&whole, balance, steps).unwrap_or(1.0);
    let of_channel = |channel: &Histogram| match by_rule(channel, balance, steps) {
        None => of_layer,
        Some(scale) if channel.active() < FEW_VALUES => scale.max(channel.largest()).max(FEW_VALUES_SHARE * of_layer),
        Some(scale) => scale,
    };
    let scales: Vec<f64> = match per_channel {
        true => layer.channels.par_iter().map(of_channel).collect(),
        false => vec![of_layer; layer.channels.len()],
    };
    let above: f64 = layer.channels.iter().zip(&scales).map(|(channel, scale)| channel.above(*scale)).sum();
    Scales { scales, clipped: if whole.count == 0 { 0.0 } else { above / whole.count as f64 } }
}

/// The scale by the rule alone; none without values above 0.
fn by_rule(values: &Histogram, balance: Balance, steps: u32) -> Option<f64> {
    if values.active() == 0 {
        return None;
    }
    let steps = steps.max(1);
    let scale = match balance {
        Balance::Maximum => values.largest(),
        Balance::Percentile { percent, of_active } => {
            values.percentile(percent, of_active).max(values.percentile(LEAST_PERCENTILE, true))
        }
        Balance::MeanSquaredError => rounding::least_squared_error(values, steps),
        Balance::Divergence => divergence::least_divergence(values, steps),
    };
    Some(scale)
}
