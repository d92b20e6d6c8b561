//! Every diagnostic code, by stage. The page of a code is `docs/errors/CODE.md`; a tidy test holds that each code has its
//! page and its test.

use serde::{Serialize, Serializer};

/// A diagnostic code such as `SNN0402`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    number: &'static str,
    title: &'static str,
    exit: u8,
}

impl Code {
    /// `SNN0402`
    pub fn number(self) -> &'static str {
        self.number
    }

    /// One line that says what the code means.
    pub fn title(self) -> &'static str {
        self.title
    }

    /// The exit code of the command when an error of this code stops it.
    pub fn exit(self) -> u8 {
        self.exit
    }

    /// The code with this number, in any case.
    pub fn find(number: &str) -> Option<Code> {
        ALL_CODES.iter().copied().find(|code| code.number.eq_ignore_ascii_case(number))
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.number)
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.number)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.number)
    }
}

macro_rules! codes {
    ($($name:ident = $number:literal, exit $exit:literal, $title:literal;)*) => {
        /// The codes by name: `code::UNKNOWN_FIELD`.
        pub mod code {
            use super::Code;
            $(#[doc = $title] pub const $name: Code = Code { number: $number, title: $title, exit: $exit };)*
        }
        /// Every code, in order of number.
        pub const ALL_CODES: &[Code] = &[$(code::$name,)*];
    };
}

codes! {
    // SNN01xx: reading files
    FILE_UNREADABLE = "SNN0101", exit 3, "a file cannot be read";
    SYNTAX = "SNN0102", exit 3, "the text is not valid RON";
    UNKNOWN_FIELD = "SNN0103", exit 3, "a field or variant has a name that is not known here";
    WRONG_TYPE = "SNN0104", exit 3, "a field is missing or has a value of the wrong type";
    TENSOR_FILE = "SNN0105", exit 3, "a tensor file is damaged, or lacks the array asked for";
    NIR_STRUCTURE = "SNN0106", exit 3, "the file is not a NIR graph as the format defines it";
    DATA_FILE = "SNN0107", exit 3, "a data file (IDX, npy, npz, CSV) is damaged or of the wrong kind";
    UNSUPPORTED_VERSION = "SNN0108", exit 3, "the schema or format version is not one this version reads";
    IMAGE_DAMAGED = "SNN0109", exit 3, "the placement image is damaged";
    HARDWARE_MODEL = "SNN0110", exit 3, "the hardware model or target contradicts itself";
    UNKNOWN_TARGET = "SNN0111", exit 3, "there is no target or hardware model of this name";
    OUTPUT_FOLDER = "SNN0112", exit 3, "a file of an output folder is missing or was changed, or cannot be written";
    ANN_FILE = "SNN0113", exit 3, "an ONNX or Keras file is damaged, or not a network as the format defines it";
    SANAFE_FILE = "SNN0114", exit 3, "a SANA-FE architecture or network is damaged, or not as the format defines it";
    SANAFE_DIFFERENCE = "SNN0115", exit 3, "something in a SANA-FE architecture or network is not taken over exactly";
    // SNN02xx: meaning and shapes
    UNKNOWN_NODE = "SNN0201", exit 3, "an edge names a node that does not exist";
    SHAPE_MISMATCH = "SNN0202", exit 3, "two shapes that must agree differ";
    BAD_PARAMETER = "SNN0203", exit 3, "a parameter is outside the range where it means something";
    DT_REQUIRED = "SNN0204", exit 3, "the network has time constants but no time step";
    UNSUPPORTED_BY_CHIP = "SNN0205", exit 3, "the chip cannot do what the network asks, and no exact rewrite exists";
    LOOP_LATENCY = "SNN0206", exit 3, "a loop is longer than one step and cannot keep its timing on a chip";
    NO_NEURONS = "SNN0207", exit 3, "values reach an output or a loop without passing a neuron";
    DUPLICATE_NAME = "SNN0208", exit 3, "two items have the same name";
    UNREACHABLE = "SNN0209", exit 3, "a node is not connected to any input or output";
    STIMULUS_MISMATCH = "SNN0210", exit 3, "input data does not match the network's input";
    HOST_CUT = "SNN0211", exit 3, "the network cannot be cut between host and chip as asked";
    RUN_LENGTH = "SNN0212", exit 3, "a run is much longer or shorter than the network was made for";
    // SNN03xx: from an artificial network to a spiking one
    UNSUPPORTED_LAYER = "SNN0301", exit 3, "a layer has no spiking form";
    APPROXIMATED_LAYER = "SNN0302", exit 3, "a layer is replaced by one that is not the same";
    CALIBRATION_NEEDED = "SNN0303", exit 3, "a conversion needs calibration data, or the data given does not suit it";
    // SNN04xx: fit and partition
    NEURON_FITS_NOWHERE = "SNN0401", exit 4, "a single neuron exceeds a limit of every core";
    CHIP_FULL = "SNN0402", exit 4, "the network needs more cores than the target has";
    ILLEGAL_PIN = "SNN0403", exit 4, "a pin or reservation cannot be honoured";
    DELAY_TOO_LONG = "SNN0404", exit 4, "a delay is longer than the chip can hold";
    // SNN05xx: place and route
    NO_ROUTE = "SNN0501", exit 5, "no route exists between two cores";
    // SNN06xx: quantize
    VALUE_OVERFLOWS = "SNN0601", exit 3, "a value does not fit its field on the chip";
    ALL_ZERO_WEIGHTS = "SNN0602", exit 3, "all weights of a neuron or layer quantize to zero";
    THRESHOLD_UNREACHABLE = "SNN0603", exit 3, "a threshold cannot be reached";
    LIKELY_INPUT_SCALE = "SNN0604", exit 3, "a scale rests on likely input, not on the largest possible";
    FAR_FROM_RESET = "SNN0605", exit 3, "membranes that start far from their reset leave thresholds few steps";
    // SNN07xx: emulate
    WRONG_CHIP = "SNN0701", exit 3, "the image was built for another hardware model";
    STATE_OVERFLOW = "SNN0702", exit 3, "a register overflowed while the network ran";
    LATE_PACKETS = "SNN0703", exit 3, "packets were late, dropped or lost while the network ran";
    // SNN08xx: verify
    DIVERGENCE = "SNN0801", exit 6, "two witnesses disagree";
    OTHER_TOOL_DIVERGENCE = "SNN0802", exit 6, "the spikes differ from those of another tool";
    TIMING_DIVERGENCE = "SNN0803", exit 8, "spikes differ because packets were late or lost";
}
