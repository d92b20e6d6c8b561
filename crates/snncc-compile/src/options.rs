//! What the user may ask of the compiler, and what every stage is given.

use snncc_chip::Target;
use snncc_ids::Diagnostic;
use snncc_ir::Calibration;
use snncc_ir::network::{MappingRequest, Reset};

/// Options of a compilation. The defaults are those of the command.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Time step in seconds; overrides the network's.
    pub dt_s: Option<f64>,
    /// Whether paths are padded with delay so that network step `t` is chip step `t + latency` everywhere.
    pub align: bool,
    /// Reset of all neurons; overrides the network's.
    pub reset: Option<Reset>,
    /// Whether loops may take longer on the chip than in the network.
    pub allow_loop_latency: bool,
    /// How floats become integers.
    pub strategy: QuantizeStrategy,
    /// Bits of a weight; the target's default if absent.
    pub weight_bits: Option<u8>,
    /// Whether neurons of a population may have different scales, as far as the chip has thresholds for them.
    pub per_neuron_scales: bool,
    /// What happens to values that do not fit their field.
    pub overflow: OverflowPolicy,
    /// Pins, reservations and splits, from the file and from flags.
    pub mapping: MappingRequest,
    /// Effort of partitioner and placer, 0 to 3. It sets a budget of moves, never of time.
    pub effort: u8,
    /// Seed of the placer; the target's default if absent.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dt_s: None,
            align: true,
            reset: None,
            allow_loop_latency: false,
            strategy: QuantizeStrategy::Calibrated,
            weight_bits: None,
            per_neuron_scales: true,
            overflow: OverflowPolicy::Error,
            mapping: MappingRequest::default(),
            effort: 2,
            seed: None,
        }
    }
}

/// How floats become integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantizeStrategy {
    /// Scales that minimize the expected error of each layer's input, on calibration data where given.
    Calibrated,
    /// The rules of nengo-loihi's `discretize_model`.
    NengoLoihi,
}

/// What happens to values that do not fit their field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverflowPolicy {
    /// An error that names them.
    Error,
    /// The nearest value of the field; counted and reported.
    Saturate,
    /// Two's complement; counted and reported.
    Wrap,
}

/// Follows a compilation: progress, dumps and warnings hang on it.
pub trait Observer {
    /// A stage begins.
    fn stage(&mut self, _name: &str) {}
    /// A stage has finished; `text` prints its result if anyone wants it.
    fn finished(&mut self, _name: &str, _text: &dyn Fn() -> String) {}
    /// A stage has something to say that does not stop it.
    fn warning(&mut self, _diagnostic: Diagnostic) {}
}

/// An observer that does nothing.
#[derive(Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}

/// What every stage is given.
pub struct Ctx<'a> {
    /// The target.
    pub target: &'a Target,
    /// Options.
    pub options: &'a Options,
    /// Calibration, if there is data.
    pub calibration: Option<&'a Calibration>,
    /// Follows the compilation.
    pub observer: &'a mut dyn Observer,
}

impl Ctx<'_> {
    /// Bits of a weight.
    pub fn weight_bits(&self) -> u8 {
        self.options.weight_bits.unwrap_or(self.target.file.defaults.weight_bits)
    }

    /// Seed of every random choice.
    pub fn seed(&self) -> u64 {
        self.options.seed.unwrap_or(self.target.file.defaults.seed)
    }
}
