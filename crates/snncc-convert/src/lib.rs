//! From a trained artificial network to a spiking one, step by step, each with its measured cost.
//!
//! 1. [`prepare`](prepare::prepare): the [`Ann`](snncc_ir::ann::Ann) is rewritten until it holds linear layers and rectifiers only.
//!    Batch normalization is folded; max pooling, smooth and negative activations become sums of rectifiers.
//! 2. [`measure`](statistics::measure): what each layer does on the calibration data, as streaming histograms.
//! 3. [`choose`](scales::choose): the scale of each channel, the activation that a spike in every step stands for.
//! 4. `build`: the [`Network`](snncc_ir::Network) of integrate-and-fire neurons.
//! 5. `correct`: the spiking network runs on the calibration data, and biases and initial potentials are moved until the mean
//!    of every channel agrees with the trained network's; if asked for, weights are fitted to the spikes first. No labels are used.
//! 6. [`early_exit`]: how clear an answer must be for a run to stop before its last step.
//!
//! **Invariant:** nothing is dropped or replaced silently: what is not exact is a diagnostic and a line of the report.

pub mod build;
mod correct;
pub mod data;
pub mod early_exit;
pub mod noise;
pub mod options;
pub mod pipeline;
pub mod prepare;
pub mod scales;
pub mod stages;
pub mod statistics;
mod weights;

pub use data::CalibrationData;
pub use early_exit::ExitCalibration;
pub use options::ConvertOptions;
pub use pipeline::{Converted, LayerReport, NoProgress, Progress, convert};
pub use weights::{WeightOutcome, WeightReport};
