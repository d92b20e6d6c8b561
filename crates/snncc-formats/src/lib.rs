//! Readers and writers of network and tensor files: RON, NIR, npy, npz, safetensors and IDX.
//!
//! **Invariant:** bytes and text in, values and diagnostics out. Nothing here opens a file, and no input panics.

pub mod ann;
pub mod data_files;
mod hdf5_floats;
pub mod keras;
pub mod nir;
pub mod onnx;
pub mod ron_network;
pub mod tensor_files;
