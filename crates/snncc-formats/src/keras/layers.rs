//! What each layer of Keras does, as nodes of an `Ann`.
//!
//! **Invariant:** a layer that is given values either makes nodes, says why it cannot be executed, or says what in the file
//! contradicts itself; the node of the layer proper has the layer's name, others have names behind it (`conv/activation`).

mod activation;
mod convolution;
mod merge;
mod normalization;
mod shape;

pub(super) use activation::apply_setting;

use super::config::{Failure, Layer};
use super::hdf5::Hdf5;
use super::values::{Builder, Value};
use super::weights::Variables;
use snncc_ids::AnnNodeId;
use snncc_ir::ann::{AnnOp, AnnTensor, PoolFunction};

/// Classes of layers by what is done with them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Input,
    Dense,
    /// With the number of spatial dimensions, as those that follow.
    Convolution(usize),
    Depthwise(usize),
    Separable(usize),
    Transposed(usize),
    Pool(PoolFunction, usize),
    GlobalPool(PoolFunction, usize),
    ZeroPadding(usize),
    Cropping(usize),
    UpSampling(usize),
    BatchNormalization,
    Normalization,
    Rescaling,
    Nonlinear,
    Flatten,
    Reshape,
    Permute,
    /// Does nothing in a trained network.
    Identity,
    /// Augments the data of training.
    Augmentation,
    Merge(merge::Merge),
    Concatenate,
}

/// The kind of a class, if it is one that is executed.
pub(super) fn kind(class: &str) -> Option<Kind> {
    use PoolFunction::{Average, Maximum};
    Some(match class {
        "InputLayer" => Kind::Input,
        "Dense" => Kind::Dense,
        "Conv1D" | "Convolution1D" => Kind::Convolution(1),
        "Conv2D" | "Convolution2D" => Kind::Convolution(2),
        "DepthwiseConv1D" => Kind::Depthwise(1),
        "DepthwiseConv2D" => Kind::Depthwise(2),
        "SeparableConv1D" | "SeparableConvolution1D" => Kind::Separable(1),
        "SeparableConv2D" | "SeparableConvolution2D" => Kind::Separable(2),
        "Conv1DTranspose" | "Convolution1DTranspose" => Kind::Transposed(1),
        "Conv2DTranspose" | "Convolution2DTranspose" => Kind::Transposed(2),
        "MaxPooling1D" | "MaxPool1D" => Kind::Pool(Maximum, 1),
        "MaxPooling2D" | "MaxPool2D" => Kind::Pool(Maximum, 2),
        "AveragePooling1D" | "AvgPool1D" => Kind::Pool(Average, 1),
        "AveragePooling2D" | "AvgPool2D" => Kind::Pool(Average, 2),
        "GlobalMaxPooling1D" | "GlobalMaxPool1D" => Kind::GlobalPool(Maximum, 1),
        "GlobalMaxPooling2D" | "GlobalMaxPool2D" => Kind::GlobalPool(Maximum, 2),
        "GlobalAveragePooling1D" | "GlobalAvgPool1D" => Kind::GlobalPool(Average, 1),
        "GlobalAveragePooling2D" | "GlobalAvgPool2D" => Kind::GlobalPool(Average, 2),
        "ZeroPadding1D" => Kind::ZeroPadding(1),
        "ZeroPadding2D" => Kind::ZeroPadding(2),
        "Cropping1D" => Kind::Cropping(1),
        "Cropping2D" => Kind::Cropping(2),
        "UpSampling1D" => Kind::UpSampling(1),
        "UpSampling2D" => Kind::UpSampling(2),
        "BatchNormalization" | "SyncBatchNormalization" => Kind::BatchNormalization,
        "Normalization" => Kind::Normalization,
        "Rescaling" => Kind::Rescaling,
        "Flatten" => Kind::Flatten,
        "Reshape" => Kind::Reshape,
        "Permute" => Kind::Permute,
        "Identity"
        | "Dropout"
        | "SpatialDropout1D"
        | "SpatialDropout2D"
        | "SpatialDropout3D"
        | "AlphaDropout"
        | "GaussianDropout"
        | "GaussianNoise"
        | "ActivityRegularization" => Kind::Identity,
        "RandomCrop" => return None,
        "AugMix" | "CutMix" | "MixUp" | "RandAugment" => Kind::Augmentation,
        class if class.starts_with("Random") => Kind::Augmentation,
        "Concatenate" => Kind::Concatenate,
        class => match (merge::of_class(class), activation::is_nonlinear(class)) {
            (Some(merge), _) => Kind::Merge(merge),
            (None, true) => Kind::Nonlinear,
            (None, false) => return None,
        },
    })
}

/// Whether layers of a class never have variables.
pub(super) fn has_no_weights(class: &str) -> bool {
    let with_weights = |kind| {
        use Kind::{BatchNormalization, Convolution, Dense, Depthwise, Separable, Transposed};
        matches!(kind, Dense | Convolution(_) | Depthwise(_) | Separable(_) | Transposed(_) | BatchNormalization)
    };
    kind(class).is_some_and(|kind| !with_weights(kind)) && class != "PReLU"
}

/// What a layer reads.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Value(Value),
    Number(f64),
}

/// What became of a layer.
pub(super) struct Made {
    pub value: Value,
    /// The node that does what the layer does.
    pub node: Option<AnnNodeId>,
    /// What happened if there is no such node.
    pub folded: &'static str,
}

impl Made {
    fn node(value: Value, node: AnnNodeId) -> Self {
        Self { value, node: Some(node), folded: "" }
    }

    /// The node of the value itself is that of the layer.
    fn value(value: Value) -> Self {
        let node = value.node;
        Self::node(value, node)
    }
}

/// What making a layer needs.
pub(super) struct Context<'c, 'a> {
    pub builder: &'c mut Builder,
    pub layer: &'c Layer<'a>,
    pub variables: &'c Variables,
    pub file: &'c Hdf5,
    /// Generation of Keras.
    pub major: u32,
    /// Whether the model has its channels first.
    pub channels_first: bool,
}

impl Context<'_, '_> {
    fn name(&self) -> &str {
        &self.layer.path
    }

    /// The first `count` variables, counted against the budget.
    fn tensors(&mut self, count: usize) -> Result<Vec<AnnTensor>, Failure> {
        let tensors = self.variables.tensors(self.layer, count, self.file)?;
        for tensor in &tensors {
            self.builder.spend(tensor.len())?;
        }
        Ok(tensors)
    }

    /// Kernels, and the bias if the settings have one.
    fn kernels_and_bias(&mut self, kernels: usize) -> Result<(Vec<AnnTensor>, Option<AnnTensor>), Failure> {
        let biased = self.layer.config.boolean("use_bias", true);
        let mut tensors = self.tensors(kernels + usize::from(biased))?;
        let bias = if biased { tensors.pop() } else { None };
        Ok((tensors, bias))
    }

    /// Appends the function that the settings fuse with the layer.
    fn activated(&mut self, value: Value, node: AnnNodeId) -> Result<Made, Failure> {
        let setting = self.layer.config.get("activation");
        let name = format!("{}/activation", self.name());
        let value = apply_setting(self.builder, value, setting, self.major, &name)?;
        Ok(Made::node(value, node))
    }
}

/// Makes the nodes of a layer.
///
/// # Errors
/// Why it cannot be executed, or what is wrong with the file.
pub(super) fn make(mut context: Context<'_, '_>, operands: &[Operand]) -> Result<Made, Failure> {
    let layer = context.layer;
    let Some(kind) = kind(layer.class).filter(|_| !layer.custom || activation::is_lif(layer.class)) else {
        return Err(Failure::Unsupported(why_not(layer)));
    };
    // Operations of Keras 3 share some names with layers, but have other settings.
    let is_operation = layer.module.contains(".ops");
    if is_operation && !matches!(kind, Kind::Merge(_) | Kind::Concatenate | Kind::Nonlinear) {
        return Err(Failure::Unsupported(why_not(layer)));
    }
    let policy = layer.config.type_policy();
    if ["int8", "int4", "float8", "gptq", "awq"].iter().any(|quantized| policy.contains(quantized)) {
        return Err(Failure::Unsupported(format!(
            "its weights are quantized (`{policy}`); save the model before that"
        )));
    }
    if let Kind::Merge(merge) = kind {
        return merge::merge(&mut context, merge, operands);
    }
    let values: Vec<Value> = operands
        .iter()
        .filter_map(|operand| match operand {
            Operand::Value(value) => Some(value.clone()),
            Operand::Number(_) => None,
        })
        .collect();
    if kind == Kind::Concatenate && !values.is_empty() {
        return merge::concatenate(&mut context, &values);
    }
    let [value] = &values[..] else {
        return Err(Failure::Bad(format!("it is called on {} values, a {} takes one", values.len(), layer.class)));
    };
    match kind {
        Kind::Dense => convolution::dense(&mut context, value),
        Kind::Convolution(dimensions) => convolution::convolution(&mut context, value, dimensions, false),
        Kind::Depthwise(dimensions) => convolution::convolution(&mut context, value, dimensions, true),
        Kind::Separable(dimensions) => convolution::separable(&mut context, value, dimensions),
        Kind::Transposed(dimensions) => convolution::transposed(&mut context, value, dimensions),
        Kind::Pool(function, dimensions) => shape::pool(&mut context, value, function, dimensions),
        Kind::GlobalPool(function, dimensions) => shape::global_pool(&mut context, value, function, dimensions),
        Kind::ZeroPadding(dimensions) => shape::zero_padding(&mut context, value, dimensions),
        Kind::Cropping(dimensions) => shape::cropping(&mut context, value, dimensions),
        Kind::UpSampling(dimensions) => shape::up_sampling(&mut context, value, dimensions),
        Kind::Flatten => shape::flatten(&mut context, value),
        Kind::Reshape => shape::reshape(&mut context, value),
        Kind::Permute => shape::permute(&mut context, value),
        Kind::BatchNormalization => normalization::batch(&mut context, value),
        Kind::Normalization => normalization::input(&mut context, value),
        Kind::Rescaling => normalization::rescaling(&mut context, value),
        Kind::Nonlinear => activation::layer(&mut context, value),
        Kind::Identity | Kind::Augmentation => {
            Ok(Made::value(context.builder.push_like(&layer.path, AnnOp::Identity, value)?))
        }
        Kind::Input | Kind::Merge(_) | Kind::Concatenate => {
            Err(Failure::Bad(format!("it is called on a value, which a {} is not", layer.class)))
        }
    }
}

/// Why a layer is not executed, and what to do.
fn why_not(layer: &Layer<'_>) -> String {
    let class = layer.class;
    if layer.custom {
        return format!(
            "`{class}` is a class of its author's own, whose code is not in the file; build it from layers of Keras"
        );
    }
    match class {
        "Lambda" => "a Lambda is Python code, which is not read; write it as layers of Keras".to_owned(),
        "TFOpLambda" | "SlicingOpLambda" | "TensorFlowOpLayer" => {
            "operations of TensorFlow outside layers are not read; use layers such as Add, Multiply and Rescaling"
                .to_owned()
        }
        "LSTM" | "GRU" | "SimpleRNN" | "RNN" | "Bidirectional" | "ConvLSTM1D" | "ConvLSTM2D" => {
            format!(
                "recurrent layers such as {class} are not executed; a spiking network has its own memory, trained as such"
            )
        }
        "Conv3D" | "MaxPooling3D" | "AveragePooling3D" | "Conv3DTranspose" => {
            format!("three spatial dimensions, as of {class}, are not executed")
        }
        "LayerNormalization" | "GroupNormalization" | "UnitNormalization" | "RMSNormalization" => {
            format!(
                "{class} depends on the values of each sample, so it does not fold into weights; train with BatchNormalization"
            )
        }
        class => format!("layers of the class {class} are not executed"),
    }
}
