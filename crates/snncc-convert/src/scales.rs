//! The scale of a channel: the activation that a spike in every step stands for.

use crate::options::Balance;
use crate::statistics::LayerStatistics;

/// Scales of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Scales {
    /// One per channel, above 0. A channel that is silent on the data has the layer's.
    pub scales: Vec<f64>,
    /// Share of the activations above their scale.
    pub clipped: f64,
}

/// Chooses the scales of a layer. `steps` matters to the rules that count rounding.
pub fn choose(layer: &LayerStatistics, balance: Balance, per_channel: bool, steps: u32) -> Scales {
    let _ = (balance, per_channel, steps);
    Scales { scales: layer.channels.iter().map(|channel| f64::from(channel.max).max(1e-6)).collect(), clipped: 0.0 }
}
