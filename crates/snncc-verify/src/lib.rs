//! Three witnesses of one network: the float reference, the integer reference, and the image on the emulator.
//!
//! ```text
//! Network in f64  ≈  the network in integers  =  image on the emulator
//!          quantization loss         equal in every step
//! ```
//!
//! The first comparison is reported as loss; the second must be exact, and where it is not, [`verify`] finds the first step,
//! layer and neuron that differ and says why, as far as image and quantized network tell. Spikes of other tools can be
//! compared too. All of it goes for both families of chips: [`Compiled`] says what was compiled.
//!
//! **Invariant:** results do not depend on the number of threads: samples are run in parallel and folded in order.

mod cause;
mod compare;
mod compiled;
mod divergence;
mod driver;
mod emulated;
mod host;
mod integers;
mod loss;
mod machine;
mod machine_cause;
#[cfg(test)]
mod machine_tests;
mod readout;
#[cfg(test)]
mod tests;
mod verification;
mod witness;

pub use compare::{Difference, difference, van_rossum_distance};
pub use compiled::Compiled;
pub use driver::{Plan, verify};
pub use emulated::EmulatedChip;
pub use host::added_bias;
pub use integers::IntegerWitness;
pub use machine::EmulatedMachine;
pub use readout::{largest, predicted_by_membrane, predicted_by_spikes};
pub use verification::{
    Accuracy, ChipTotals, Disturbance, ExactComparison, FirstDivergence, FloatDivergence, OtherToolComparison,
    OtherToolPopulation, PopulationLoss, PopulationMismatches, Prediction, Saturation, SideValues, ToolDivergence,
    Verification,
};
pub use witness::{Chip, ChipState, ChipTrace, SampleInput, Witnesses};
