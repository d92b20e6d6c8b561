//! The placement image: everything a chip (or the emulator) needs to run a network, and the symbol map back to it.
//!
//! docs/IMAGE_FORMAT.md is the contract, down to bits; [`Image`] is its decoded form. **Invariant:** an [`Image`] that came
//! out of [`Image::from_bytes`] is structurally sound (every index in range, every block decodable); that it fits a chip is
//! judged by the emulator, which recounts every capacity itself.

mod bytes;
mod container;
mod dump;
mod image;
mod read;
pub mod spinnaker;
mod synapses;
mod write;

pub use container::Family;
pub use dump::{dump, dump_rows};
pub use image::{
    AxonTable, AxonTarget, CompartmentConfig, Compartments, CoreImage, CoreSettings, Image, InAxon, InputPort,
    Location, NoiseSetting, NoiseTarget, OutputPort, PopulationSymbol, Readout, ResetModel, SignMode, SynapseFormat,
    SynapseList, ThresholdConfig, VERSION_MAJOR, VERSION_MINOR,
};
pub use synapses::{BlockLayout, Entry, decode_list, encode_block, list_words};
