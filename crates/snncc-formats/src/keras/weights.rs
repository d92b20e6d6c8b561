//! Where the variables of each layer lie in the HDF5 file.
//!
//! An archive has them by position: the layers of a model are numbered within each class (`layers/dense`,
//! `layers/dense_1`), and so are the variables of a layer (`vars/0`). Keras 2.12 counts layers that have weights twice, so the
//! groups that exist are paired with the layers in order. The legacy format has a group for each layer of the outermost
//! model, by name, which lists its variables; all those of a nested model stand in one list, the trainable ones first.
//!
//! **Invariant:** every layer of the model has an entry; what is not in the file is an empty list.

use super::config::{Config, Failure, Layer, Model};
use super::hdf5::Hdf5;
use snncc_ir::ann::AnnTensor;
use std::collections::BTreeMap;

/// How a file keeps its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `model.weights.h5` of a `.keras` archive.
    Archive,
    /// `model_weights` of an `.h5` file.
    Legacy,
}

/// Paths of the arrays of each layer, by the path of the layer.
pub(super) struct Variables(BTreeMap<String, Vec<String>>);

/// The variables that a layer of a class has, in Keras's order, and whether they are trained. `None`: unknown class.
pub(super) fn expected(class: &str, config: &Config<'_>) -> Option<Vec<(&'static str, bool)>> {
    let with_bias = |mut names: Vec<(&'static str, bool)>| {
        if config.boolean("use_bias", true) {
            names.push(("bias", true));
        }
        names
    };
    Some(match class {
        "Dense"
        | "Conv1D"
        | "Conv2D"
        | "Conv1DTranspose"
        | "Conv2DTranspose"
        | "Convolution1D"
        | "Convolution2D"
        | "Convolution1DTranspose"
        | "Convolution2DTranspose"
        | "DepthwiseConv1D"
        | "DepthwiseConv2D" => with_bias(vec![("kernel", true)]),
        "SeparableConv1D" | "SeparableConv2D" | "SeparableConvolution1D" | "SeparableConvolution2D" => {
            with_bias(vec![("depthwise_kernel", true), ("pointwise_kernel", true)])
        }
        "BatchNormalization" | "SyncBatchNormalization" => {
            let mut names = Vec::new();
            if config.boolean("scale", true) {
                names.push(("gamma", true));
            }
            if config.boolean("center", true) {
                names.push(("beta", true));
            }
            names.extend([("moving_mean", false), ("moving_variance", false)]);
            names
        }
        "PReLU" => vec![("alpha", true)],
        "Normalization" if config.get("mean").is_none() => vec![("mean", false), ("variance", false), ("count", false)],
        class if super::layers::has_no_weights(class) => Vec::new(),
        _ => return None,
    })
}

/// Finds the variables of all layers.
///
/// # Errors
/// If the file lacks the group of all weights.
pub(super) fn locate(model: &Model<'_>, file: &Hdf5, format: Format) -> Result<Variables, String> {
    let mut variables = Variables(BTreeMap::new());
    match format {
        Format::Archive => variables.add_archived(model, "", file),
        Format::Legacy => {
            if !file.groups("").iter().any(|name| name == "model_weights") {
                return Err("it has no group `model_weights`".to_owned());
            }
            for layer in &model.layers {
                let group = format!("model_weights/{}", layer.name);
                let names = file.attributes(&group).ok().and_then(|found| found.list("weight_names"));
                let names = names.unwrap_or_default();
                let path = |name: &String| format!("{group}/{name}");
                match &layer.inner {
                    None => variables.insert(layer, names.iter().map(path).collect()),
                    Some(inner) => variables.add_listed(inner, &names, path),
                }
            }
        }
    }
    Ok(variables)
}

impl Variables {
    fn insert(&mut self, layer: &Layer<'_>, paths: Vec<String>) {
        self.0.insert(layer.path.clone(), paths);
    }

    fn add_archived(&mut self, model: &Model<'_>, group: &str, file: &Hdf5) {
        let containers = ["layers", "_layer_checkpoint_dependencies"].map(|name| format!("{group}{name}"));
        let found = containers.iter().map(|container| (container, file.groups(container)));
        let (container, names) =
            found.into_iter().find(|(_, names)| !names.is_empty()).unwrap_or((&containers[0], vec![]));
        let mut by_class: BTreeMap<String, Vec<&Layer<'_>>> = BTreeMap::new();
        for layer in model.layers.iter().filter(|layer| !layer.implied) {
            by_class.entry(snake_case(layer.class)).or_default().push(layer);
        }
        for (class, layers) in by_class {
            let mut numbered: Vec<(u64, &str)> =
                names.iter().filter_map(|name| Some((number(name, &class)?, &name[..]))).collect();
            numbered.sort_unstable();
            for (position, layer) in layers.iter().enumerate() {
                // As many groups as layers: in order. Otherwise some layer is kept elsewhere, and the numbers say which.
                let name = match numbered.len() == layers.len() {
                    true => Some(numbered[position].1),
                    false => numbered.iter().find(|(number, _)| *number == position as u64).map(|(_, name)| *name),
                };
                let group = name.map(|name| format!("{container}/{name}/"));
                match (&layer.inner, group) {
                    (Some(inner), group) => self.add_archived(inner, group.as_deref().unwrap_or("?/"), file),
                    (None, None) => self.insert(layer, Vec::new()),
                    (None, Some(group)) => {
                        let mut names = file.arrays(&format!("{group}vars"));
                        names.sort_by_key(|name| (name.parse::<u64>().unwrap_or(u64::MAX), name.clone()));
                        self.insert(layer, names.iter().map(|name| format!("{group}vars/{name}")).collect());
                    }
                }
            }
        }
    }

    /// Deals the list of a nested model's variables out to its layers: by the names of the layers in those of the variables,
    /// or by the order of Keras.
    fn add_listed(&mut self, model: &Model<'_>, names: &[String], path: impl Fn(&String) -> String) {
        let mut leaves = Vec::new();
        collect_leaves(model, &mut leaves);
        let layer_of = |name: &str| name.rsplit('/').nth(1).unwrap_or("").to_owned();
        let mut by_layer: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in names {
            by_layer.entry(layer_of(name)).or_default().push(path(name));
        }
        let last = |layer: &Layer<'_>| layer.name.rsplit('/').next().unwrap_or(layer.name).to_owned();
        let mut unique: Vec<String> = leaves.iter().map(|layer| last(layer)).collect();
        unique.sort_unstable();
        unique.dedup();
        let counts_fit = leaves.iter().all(|layer| {
            let expected = expected(layer.class, &layer.config).map(|variables| variables.len());
            expected.is_none_or(|count| count == by_layer.get(&last(layer)).map_or(0, Vec::len))
        });
        let all_known = by_layer.keys().all(|name| unique.binary_search(name).is_ok());
        if unique.len() == leaves.len() && counts_fit && all_known {
            for layer in leaves {
                self.insert(layer, by_layer.remove(&last(layer)).unwrap_or_default());
            }
            return;
        }
        let mut slots: Vec<(bool, usize)> = Vec::new();
        for (index, layer) in leaves.iter().enumerate() {
            let trainable = layer.config.boolean("trainable", true);
            let variables = expected(layer.class, &layer.config).unwrap_or_default();
            slots.extend(variables.iter().map(|(_, trained)| (!(*trained && trainable), index)));
        }
        slots.sort_by_key(|(frozen, _)| *frozen);
        let mut dealt: Vec<Vec<String>> = vec![Vec::new(); leaves.len()];
        if slots.len() == names.len() {
            for ((_, index), name) in slots.iter().zip(names) {
                dealt[*index].push(path(name));
            }
        }
        for (layer, paths) in leaves.iter().zip(dealt) {
            self.insert(layer, paths);
        }
    }

    /// The first `count` of a layer's variables as tensors, in the order of [`expected`].
    pub(super) fn tensors(&self, layer: &Layer<'_>, count: usize, file: &Hdf5) -> Result<Vec<AnnTensor>, Failure> {
        let names = expected(layer.class, &layer.config).unwrap_or_default();
        let paths = self.0.get(&layer.path).map(Vec::as_slice).unwrap_or(&[]);
        if paths.len() != names.len() || names.len() < count {
            let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            return Err(Failure::Bad(format!(
                "a {} with these settings has {} variables ({}), the file holds {}",
                layer.class,
                names.len(),
                names.join(", "),
                paths.len()
            )));
        }
        paths.iter().take(count).map(|path| file.tensor(path).map_err(Failure::Bad)).collect()
    }
}

fn collect_leaves<'m, 'a>(model: &'m Model<'a>, leaves: &mut Vec<&'m Layer<'a>>) {
    for layer in &model.layers {
        match &layer.inner {
            Some(inner) => collect_leaves(inner, leaves),
            None if layer.implied => {}
            None => leaves.push(layer),
        }
    }
}

/// `n` of `class_n`, 0 of `class`.
fn number(name: &str, class: &str) -> Option<u64> {
    match name.strip_prefix(class)? {
        "" => Some(0),
        rest => rest.strip_prefix('_')?.parse().ok(),
    }
}

/// Keras's name of a class in paths: `Conv2DTranspose` is `conv2d_transpose`, `PReLU` is `p_re_lu`. An underscore goes before
/// an upper-case letter that lower-case ones follow, and between a lower-case and an upper-case letter.
fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().filter(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    let is_lower = |index: usize| letters.get(index).is_some_and(char::is_ascii_lowercase);
    let mut name = String::new();
    for (index, letter) in letters.iter().enumerate() {
        if index > 0 && letter.is_ascii_uppercase() && (is_lower(index + 1) || is_lower(index - 1)) {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names as they stand in files that Keras wrote.
    #[test]
    fn classes_have_keras_names() {
        for (class, name) in [
            ("Dense", "dense"),
            ("Conv2D", "conv2d"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("SeparableConv1D", "separable_conv1d"),
            ("PReLU", "p_re_lu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("ELU", "elu"),
            ("BatchNormalization", "batch_normalization"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
        ] {
            assert_eq!(snake_case(class), name);
        }
        assert_eq!(number("dense_12", "dense"), Some(12));
        assert_eq!(number("dense", "dense"), Some(0));
        assert_eq!(number("dense_x", "dense"), None);
        assert_eq!(number("conv2d_transpose", "conv2d"), None);
    }
}
