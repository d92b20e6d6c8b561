//! Reads Keras models: `.keras` (the archive of Keras 2.12 and later) and `.h5` (the older format, still written by Keras 3).
//!
//! A file is a description in JSON, a graph of layers, and HDF5 groups with the weights. `config` makes the description a
//! `config::Model`, whatever generation of Keras wrote it; `weights` finds the variables of every layer; `graph` goes
//! through the layers in the order of their dependences, nested models in place, and `layers` gives each its
//! `snncc_ir::ann::AnnOp`.
//!
//! **Order of dimensions.** Keras has channels last, an `Ann`(snncc_ir::ann::Ann) first. While reading, every value is
//! known by its shape in Keras and by its *layout*, which says where each of its dimensions, or each of its elements, lies in
//! the `Ann` (`values`); nothing is moved as long as an operator can be written for the layout at hand. So a Flatten of an
//! image keeps the order of the `Ann`, and the columns of the Dense layers behind it are permuted instead; Permute costs
//! nothing; a Transpose or a Resample appears where an order is needed that is not there.
//!
//! **Inputs.** `(height, width, channels)` becomes `(channels, height, width)`; `(length, channels)` becomes
//! `(channels, length)` if a one-dimensional convolution, pool or the like reads it, and stays as it is otherwise (an image
//! without channels that is flattened or gets a channel by Reshape). Models in `channels_first` keep their shapes. **Outputs**
//! of three dimensions are channels first; those of two lie as their layer makes them, `(channels, length)` behind a
//! one-dimensional convolution and as in Keras behind a Reshape.
//!
//! **Invariant:** any bytes give a network or diagnostics, in memory proportional to the file plus a constant.

mod archive;
mod config;
mod graph;
mod hdf5;
mod layers;
mod values;
mod weights;

use crate::ann::ReadAnn;
use snncc_ids::{Diagnostic, Diagnostics, code};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Longest description that is read, 16 MiB; those of the largest published models have less than one.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// Reads a Keras model in either format, told apart by its first bytes. `name` is the file's name, for messages.
///
/// Layers that snncc cannot execute become [`Unsupported`](snncc_ir::ann::AnnOp::Unsupported) nodes, not errors.
///
/// # Errors
/// `SNN0113` if the file is neither, is damaged, holds weights only, or if a layer contradicts its weights or its inputs;
/// one diagnostic for each such layer, at `layers/NAME`.
pub fn read_keras(name: &str, bytes: &[u8]) -> Result<ReadAnn, Diagnostics> {
    // The HDF5 library may stop at a broken invariant in a damaged file.
    catch_unwind(AssertUnwindSafe(|| read_unguarded(name, bytes))).unwrap_or_else(|_| {
        Err(damaged(name, "the HDF5 library gave up on it").note("it stopped at a broken invariant").into())
    })
}

fn read_unguarded(name: &str, bytes: &[u8]) -> Result<ReadAnn, Diagnostics> {
    if archive::is_archive(bytes) {
        let members = archive::read(bytes).map_err(|why| damaged(name, why))?;
        let file = hdf5::Hdf5::open(members.weights).map_err(|why| damaged(name, format!("its weights: {why}")))?;
        let json = config::parse(name, &members.config)?;
        let version = config::keras_version(members.metadata.as_deref());
        read_model(name, &json, version.as_deref(), &file, weights::Format::Archive)
    } else if hdf5_pure::is_hdf5_bytes(bytes) {
        let file = hdf5::Hdf5::open(bytes.to_vec()).map_err(|why| damaged(name, why))?;
        let attributes = file.attributes("").map_err(|why| damaged(name, why))?;
        let Some(text) = attributes.text("model_config") else {
            return Err(Diagnostic::error(code::ANN_FILE, format!("`{name}` is HDF5, but describes no Keras model"))
                .note("its root has no attribute `model_config`: it holds weights only, or is of another program")
                .help("save the whole model: `model.save(\"model.keras\")` in place of `save_weights`")
                .into());
        };
        if text.len() as u64 > MAX_CONFIG_BYTES {
            return Err(damaged(name, format!("its description has {} bytes", text.len())).into());
        }
        let json = config::parse(name, text.as_bytes())?;
        let version = attributes.text("keras_version");
        read_model(name, &json, version, &file, weights::Format::Legacy)
    } else {
        let start: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Err(Diagnostic::error(
            code::ANN_FILE,
            format!("`{name}` is no Keras model: its {} bytes start with `{}`", bytes.len(), start.join(" ")),
        )
        .note("a .keras file starts as a zip archive, 50 4b 03 04, and an .h5 file as HDF5, 89 48 44 46 0d 0a 1a 0a")
        .help("a SavedModel folder can be loaded in Python and saved as .keras")
        .into())
    }
}

fn read_model(
    name: &str,
    json: &serde_json::Value,
    version: Option<&str>,
    file: &hdf5::Hdf5,
    format: weights::Format,
) -> Result<ReadAnn, Diagnostics> {
    let major = version.and_then(|version| version.split('.').next()?.parse().ok());
    if major == Some(1) {
        return Err(Diagnostic::error(code::ANN_FILE, format!("`{name}` was written by Keras 1, which is not read"))
            .help("load it with Keras 2 and save it again")
            .into());
    }
    let model = config::read_model(name, json)?;
    let variables = weights::locate(&model, file, format).map_err(|why| damaged(name, why))?;
    graph::build(&model, major.unwrap_or(2), variables, file)
}

fn damaged(name: &str, why: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error(code::ANN_FILE, format!("`{name}` is damaged: {why}"))
}
