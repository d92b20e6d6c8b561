//! The hardware models and targets that come with snncc, and how any other is read.

use crate::model::HardwareModel;
use crate::target::{Target, TargetFile};
use crate::validate::validate;
use ron::extensions::Extensions;
use serde::de::DeserializeOwned;
use snncc_ids::{Diagnostic, Diagnostics, code, did_you_mean};

macro_rules! files {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../", $folder, "/", $name, ".ron"))),)*]
    };
}

/// Built-in hardware models: name and text.
pub const HARDWARE_MODELS: &[(&str, &str)] =
    files!("hardware-models": "loihi1", "tiny-loihi", "nengo-loihi", "lava", "brian2-loihi", "spinnaker1");

/// Built-in targets: name and text.
pub const TARGETS: &[(&str, &str)] = files!(
    "targets": "loihi-emu", "loihi-2chip", "loihi-32chip", "tiny-loihi", "unbounded-loihi", "nengo-loihi-emu", "lava-emu", "brian2-loihi-emu",
    "spinnaker-emu", "spinnaker-48chip", "spinnaker-3board", "tiny-spinnaker",
);

pub(crate) fn read<T: DeserializeOwned>(what: &str, name: &str, text: &str) -> Result<T, Diagnostics> {
    ron::Options::default()
        .with_default_extension(Extensions::UNWRAP_VARIANT_NEWTYPES | Extensions::IMPLICIT_SOME)
        .from_str(text)
        .map_err(|error| {
            let offset = |position: ron::error::Position| {
                let line_start: usize = text.split_inclusive('\n').take(position.line - 1).map(str::len).sum();
                let line = &text[line_start.min(text.len())..];
                line_start + line.char_indices().nth(position.col - 1).map_or(line.len(), |(at, _)| at)
            };
            let (start, end) = (offset(error.span.start), offset(error.span.end));
            Diagnostic::error(code::HARDWARE_MODEL, format!("{what} `{name}` cannot be read: {}", error.code))
                .span(start, end.max(start))
                .into()
        })
}

/// The built-in hardware model of this name, validated.
///
/// # Errors
/// `SNN0111` if there is none.
pub fn hardware_model(name: &str) -> Result<HardwareModel, Diagnostics> {
    match HARDWARE_MODELS.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => HardwareModel::from_ron(name, text),
        None => Err(unknown("hardware model", name, HARDWARE_MODELS)),
    }
}

/// The built-in target of this name, with its hardware model, validated.
///
/// # Errors
/// `SNN0111` if there is none.
pub fn target(name: &str) -> Result<Target, Diagnostics> {
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => {
            let file = TargetFile::from_ron(name, text)?;
            let model = hardware_model(&file.hardware)?;
            Target::new(file, model)
        }
        None => Err(unknown("target", name, TARGETS)),
    }
}

fn unknown(what: &str, name: &str, known: &[(&str, &str)]) -> Diagnostics {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let mut diagnostic = Diagnostic::error(code::UNKNOWN_TARGET, format!("there is no {what} `{name}`"))
        .note(format!("known: {}", names.join(", ")));
    if let Some(guess) = did_you_mean(name, names) {
        diagnostic = diagnostic.help(format!("did you mean `{guess}`?"));
    }
    diagnostic.into()
}

impl HardwareModel {
    /// Reads and validates a hardware model.
    ///
    /// # Errors
    /// `SNN0110` with the place, for text that is not a valid model.
    pub fn from_ron(name: &str, text: &str) -> Result<Self, Diagnostics> {
        let model: HardwareModel = read("hardware model", name, text)?;
        validate(&model)?;
        Ok(model)
    }
}

/// Writes what [`read`] reads.
fn write<T: serde::Serialize>(value: &T) -> String {
    ron::Options::default()
        .with_default_extension(Extensions::UNWRAP_VARIANT_NEWTYPES | Extensions::IMPLICIT_SOME)
        .to_string_pretty(value, ron::ser::PrettyConfig::default().depth_limit(4))
        .expect("bug in snncc: models and targets can be written")
        + "\n"
}

impl HardwareModel {
    /// The model as a RON file.
    pub fn to_ron(&self) -> String {
        write(self)
    }
}

impl TargetFile {
    /// The target as a RON file.
    pub fn to_ron(&self) -> String {
        write(self)
    }

    /// Reads a target file; [`Target::new`] validates it against its model.
    ///
    /// # Errors
    /// `SNN0110` with the place.
    pub fn from_ron(name: &str, text: &str) -> Result<Self, Diagnostics> {
        read("target", name, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snncc_ids::CoreId;

    #[test]
    fn every_built_in_model_and_target_is_valid_and_named_as_its_file() {
        for (name, _) in HARDWARE_MODELS {
            assert_eq!(hardware_model(name).unwrap_or_else(|e| panic!("{e}")).name, *name);
        }
        for (name, _) in TARGETS.iter() {
            assert_eq!(target(name).unwrap_or_else(|e| panic!("{e}")).name(), *name);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for (name, _) in HARDWARE_MODELS {
            let model = hardware_model(name).unwrap();
            assert_eq!(HardwareModel::from_ron(name, &model.to_ron()).unwrap_or_else(|e| panic!("{e}")), model);
        }
        for (name, _) in TARGETS {
            let file = target(name).unwrap().file;
            assert_eq!(TargetFile::from_ron(name, &file.to_ron()).unwrap_or_else(|e| panic!("{e}")), file);
        }
    }

    #[test]
    fn boards_are_hexagons_that_tile() {
        let board = target("spinnaker-48chip").unwrap();
        let chips = board.machine_chips();
        assert_eq!((chips.len(), chips.iter().filter(|chip| chip.2).count()), (48, 1));
        assert!(
            chips.contains(&(4, 0, false)) && !chips.iter().any(|(x, y, _)| (*x, *y) == (5, 0) || (*x, *y) == (0, 4))
        );
        let mut triad = target("spinnaker-3board").unwrap().machine_chips();
        triad.sort_unstable();
        let all: Vec<(u32, u32)> = (0..12).flat_map(|x| (0..12).map(move |y| (x, y))).collect();
        assert_eq!(triad.iter().map(|(x, y, _)| (*x, *y)).collect::<Vec<_>>(), all);
        // Ethernet chips of three boards: x is a multiple of 4 and x + y of 12 (SpiNNMachine).
        let ethernet: Vec<(u32, u32)> = triad.iter().filter(|chip| chip.2).map(|(x, y, _)| (*x, *y)).collect();
        assert_eq!(ethernet, [(0, 0), (4, 8), (8, 4)]);
    }

    #[test]
    fn unknown_names_get_a_suggestion() {
        let error = target("loihi-emo").unwrap_err();
        assert_eq!(error.0[0].help, ["did you mean `loihi-emu`?"]);
    }

    #[test]
    fn a_misspelt_field_is_refused_with_its_place() {
        let text = TARGETS[0].1.replace("dead_cores", "dead_core");
        let text = if text == TARGETS[0].1 { text.replacen("costs:", "cost:", 1) } else { text };
        let error = TargetFile::from_ron("x", &text).unwrap_err();
        assert!(error.0[0].span.is_some(), "{error}");
    }

    #[test]
    fn paths_go_along_x_first_and_count_chip_crossings() {
        let two = target("loihi-2chip").unwrap();
        let from = CoreId(0);
        let to = CoreId(two.cores_per_chip() + two.model.mesh.columns.0 * two.model.mesh.cores_per_router.0);
        assert_eq!(two.position(to), (two.model.mesh.columns.0, 1));
        let hops: Vec<_> = two.path(from, to).collect();
        assert_eq!(hops.len() as u32, two.hops(from, to));
        assert_eq!(hops.iter().filter(|hop| hop.crosses_chip).count(), 1);
        assert!(hops.last().unwrap().vertical && !hops[0].vertical);
    }
}
