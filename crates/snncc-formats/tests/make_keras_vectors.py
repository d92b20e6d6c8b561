"""Makes tests/data/keras_vectors.npz: small Keras models with inputs and Keras's own outputs.

Two runs, one per generation of Keras; each replaces the vectors of its generation and keeps the others:

    pip install keras jax h5py numpy             # Keras 3 (made with 3.15.1, jax 0.10.2)
    KERAS_BACKEND=jax python make_keras_vectors.py
    pip install tensorflow-cpu==2.15.1           # Keras 2 (2.15)
    python make_keras_vectors.py

Arrays of a vector NAME (`k3_cnn`, `k2_cnn_h5`, ...):

    NAME/model          the file (.keras or .h5) as bytes, u8
    NAME/input          values as Keras takes them: (batch, ...) in Keras's order, f32; further inputs are NAME/input_1, ...
    NAME/output         Keras's own outputs on them, f32; further outputs are NAME/output_1, ...
    NAME/input_axes     how the input of the Ann lies: its dimension d is dimension axes[d] of Keras's value (without batch)
    NAME/output_axes    likewise of the output; further ones are NAME/output_axes_1, ...

So sample n of an input goes into the Ann as `input[n].transpose(input_axes)`, and the value of the Ann's output is to be
`output[n].transpose(output_axes)`. The rule behind the axes: images are channels first, (height, width, channels) of Keras
being (channels, height, width); so are sequences where a one-dimensional convolution or pool reads or makes them; other
values of two dimensions, and vectors, lie as in Keras. The models in Keras's channels-first format are as they are.

Weights are multiples of 1/64, which lets the file compress well.
"""

import os
import tempfile

import numpy as np

try:
    import tensorflow as tf

    keras = tf.keras
    GENERATION = 2
except ImportError:
    import keras

    GENERATION = 3
L = keras.layers
HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.join(HERE, "data", "keras_vectors.npz")
IMAGE, PLAIN2, PLAIN1, SEQUENCE = [2, 0, 1], [0, 1], [0], [1, 0]


def sequential(*layers):
    return keras.Sequential(list(layers))


def mlp():
    return sequential(L.Input((6, 5, 2)), L.Flatten(), L.Dense(7, activation="relu"), L.Dropout(0.3),
                      L.Dense(4, activation="softmax")), [IMAGE], [PLAIN1]


def cnn():
    """'same' padding that is not symmetric, depthwise convolution, batch normalization of all kinds, pools."""
    x = i = L.Input((11, 10, 3))
    x = L.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(x)
    x = L.BatchNormalization()(x)
    x = L.ReLU(max_value=6.0)(x)
    x = L.DepthwiseConv2D((3, 2), depth_multiplier=2, padding="same", activation="relu")(x)
    x = L.BatchNormalization(scale=False, epsilon=1e-4)(x)
    x = L.LeakyReLU()(x)
    x = L.MaxPooling2D(3, strides=2, padding="same")(x)
    x = L.BatchNormalization(center=False)(x)
    x = L.Conv2D(4, (2, 3), padding="same", activation="hard_sigmoid", groups=2)(x)
    x = L.AveragePooling2D((2, 3), strides=1, padding="same")(x)
    x = L.Flatten()(x)
    x = L.BatchNormalization()(x)
    x = L.Activation("tanh")(x)
    return keras.Model(i, L.Dense(5)(x)), [IMAGE], [PLAIN1]


def spatial():
    """Layers that change the size of the image; the output is an image."""
    x = i = L.Input((5, 6, 2))
    x = L.SeparableConv2D(4, 3, depth_multiplier=2, padding="same", strides=2, activation="relu")(x)
    x = L.PReLU(shared_axes=[1, 2])(x)
    x = L.Conv2DTranspose(3, 3, strides=2, padding="same")(x)
    x = L.PReLU()(x)
    x = L.Conv2DTranspose(2, (2, 4), strides=(3, 2), activation="elu")(x)
    x = L.ZeroPadding2D(((1, 0), (2, 3)))(x)
    x = L.Conv2D(3, 3, dilation_rate=2)(x)
    x = L.Cropping2D(((1, 2), (0, 1)))(x)
    x = L.UpSampling2D((2, 1))(x)
    x = L.Conv2DTranspose(2, 2, strides=3, padding="same", output_padding=1)(x)
    return keras.Model(i, x), [IMAGE], [IMAGE]


def graph():
    """Merging layers, global pools, gates; two inputs and three outputs."""
    a, b = L.Input((4, 5, 3)), L.Input((4, 5, 3))
    s = L.Add()([a, b, a])
    d = L.Subtract()([a, b])
    m = L.Maximum()([s, d, b])
    v = L.Average()([s, d])
    c = L.Concatenate()([m, v, a])
    c = L.Conv2D(4, 1, activation="relu")(c)
    g = L.GlobalAveragePooling2D()(c)
    g = L.Dense(4, activation="sigmoid")(g)
    g = L.Reshape((1, 1, 4))(g)
    c = L.Multiply()([c, g])
    rows = L.Concatenate(axis=1)([a, b])
    k = L.GlobalMaxPooling2D(keepdims=True)(rows)
    k = L.Add()([d, k])
    flat = L.Concatenate()([L.Flatten()(c), L.Flatten()(k), L.GlobalMaxPooling2D()(rows)])
    return keras.Model([a, b], [c, L.Dense(3)(flat), flat]), [IMAGE, IMAGE], [IMAGE, PLAIN1, PLAIN1]


def sequence():
    x = i = L.Input((13, 3))
    x = L.Conv1D(4, 3, dilation_rate=2, padding="causal", activation="relu")(x)
    x = L.SeparableConv1D(5, 3, padding="same", strides=2)(x)
    x = L.BatchNormalization()(x)
    x = L.Activation("relu")(x)
    x = L.ZeroPadding1D((1, 2))(x)
    x = L.AveragePooling1D(3, strides=2, padding="same")(x)
    x = L.UpSampling1D(3)(x)
    x = L.Cropping1D((1, 2))(x)
    x = L.Conv1DTranspose(4, 3, strides=2, padding="valid")(x)
    x = L.MaxPooling1D(2)(x)
    x = L.Dense(6, activation="softmax")(x)
    y = L.Flatten()(x)
    z = L.GlobalAveragePooling1D()(x)
    return keras.Model(i, [x, L.Dense(2)(y), L.Dense(3)(z)]), [SEQUENCE], [SEQUENCE, PLAIN1, PLAIN1]


def activations():
    """Every nonlinearity on one vector."""
    i = L.Input((9,))
    names = ["relu", "sigmoid", "tanh", "hard_sigmoid", "swish", "gelu", "elu", "selu", "softplus", "softsign",
             "softmax", "linear", "relu6" if GENERATION == 3 else "mish", "leaky_relu" if GENERATION == 3 else "mish"]
    if GENERATION == 3:
        names += ["silu", "hard_silu", "celu", "mish", "log_softmax", "hard_tanh"]
    parts = [L.Activation(name)(i) for name in names]
    slope = "negative_slope" if GENERATION == 3 else "alpha"
    parts += [L.ReLU(max_value=1.5, negative_slope=0.25)(i), L.ReLU(threshold=0.5)(i), L.ReLU(negative_slope=0.125)(i),
              L.LeakyReLU(**{slope: 0.5})(i), L.ELU(alpha=0.75)(i), L.Softmax()(i), L.PReLU()(i),
              L.ReLU(threshold=0.5, max_value=1.0)(i)]
    return keras.Model(i, L.Concatenate()(parts)), [PLAIN1], [PLAIN1]


def shapes():
    """Keras's order of elements through Reshape, Permute and Flatten."""
    x = i = L.Input((24,))
    x = L.Dense(24, activation="relu")(x)
    x = L.Reshape((3, 4, 2))(x)
    x = L.Conv2D(3, 2)(x)
    p = L.Permute((3, 1, 2))(x)
    p = L.Reshape((-1, 2))(p)
    f = L.Flatten()(x)
    f = L.Activation("relu")(f)
    f = L.Add()([f, L.Reshape((18,))(x)])
    q = L.Conv2D(2, 2, padding="same")(L.Permute((2, 3, 1))(x))
    q = L.Reshape((4, 3))(L.Dense(12)(L.Flatten()(q)))
    return keras.Model(i, [p, f, x, q]), [PLAIN1], [PLAIN2, PLAIN1, IMAGE, PLAIN2]


def preprocessing():
    x = i = L.Input((6, 5, 3))
    x = L.Rescaling(1 / 64, offset=-1.0)(x)
    x = L.RandomFlip("horizontal")(x)
    x = L.RandomRotation(0.1)(x)
    normalization = L.Normalization()
    normalization.adapt(np.random.default_rng(5).normal(1.0, 2.0, (20, 6, 5, 3)).astype("f4"))
    x = normalization(x)
    x = L.Normalization(mean=[0.5, -0.25, 0.125], variance=[4.0, 1.0, 0.25], invert=False)(x)
    x = L.GaussianNoise(0.5)(x)
    x = L.Conv2D(2, 3)(x)
    x = L.SpatialDropout2D(0.2)(x)
    x = L.Flatten()(x)
    x = L.Dropout(0.5)(x)
    return keras.Model(i, L.Dense(3, use_bias=False)(x)), [IMAGE], [PLAIN1]


def nested():
    """Models in a model, a layer and a model called twice, a frozen part."""
    inner_input = L.Input((4, 4, 2), name="inner_input")
    y = L.Conv2D(2, 3, padding="same", name="inner_conv")(inner_input)
    y = L.BatchNormalization(name="inner_norm")(y)
    inner = keras.Model(inner_input, L.Activation("relu")(y), name="inner")
    head = keras.Sequential([L.Input((32,)), L.BatchNormalization(name="norm"), L.Dense(6, activation="relu", name="fc"),
                             L.BatchNormalization(name="norm_2"), L.Dense(4, name="fc_2")], name="head")
    head.get_layer("norm").trainable = False
    shared = L.Dense(32, activation="tanh", name="shared")
    a = L.Input((4, 4, 2), name="a")
    x = inner(inner(a))
    x = shared(shared(L.Flatten(name="flatten")(x)))
    return keras.Model(a, L.Dense(3, name="last")(head(x))), [IMAGE], [PLAIN1]


def channels_first():
    options = {"data_format": "channels_first"}
    x = i = L.Input((3, 7, 6))
    x = L.Conv2D(4, 3, strides=2, padding="same", **options)(x)
    x = L.BatchNormalization(axis=1)(x)
    x = L.ReLU()(x)
    x = L.AveragePooling2D(2, **options)(x)
    y = L.Flatten(**options)(x)
    z = L.GlobalAveragePooling2D(**options)(x)
    return keras.Model(i, [x, L.Dense(3)(y), L.Dense(2)(z)]), [[0, 1, 2]], [[0, 1, 2], PLAIN1, PLAIN1]


def grey():
    """An image without channels: the first layer gives it one."""
    return sequential(L.Input((6, 7)), L.Reshape((6, 7, 1)), L.Conv2D(3, 3, activation="relu"), L.MaxPooling2D(),
                      L.Flatten(), L.Dense(4)), [PLAIN2], [PLAIN1]


def dense_maps():
    """Dense layers over the last dimension of maps and of rows."""
    x = i = L.Input((3, 4, 5))
    x = L.Dense(3, activation="relu")(x)
    x = L.BatchNormalization(axis=2)(x)
    y = L.Reshape((4, 9))(x)
    y = L.Dense(2)(y)
    return keras.Model(i, [x, y]), [IMAGE], [IMAGE, PLAIN2]


def operators():
    """Arithmetic written as such, which Keras 3 keeps as operations."""
    a = i = L.Input((4, 4, 2))
    x = L.Conv2D(2, 3, padding="same")(a)
    x = keras.ops.relu(x * 2.0 + 1.0)
    x = 0.5 - (x - a) / 4.0
    x = x * a
    return keras.Model(i, L.Flatten()(x)), [IMAGE], [PLAIN1]


def randomize(model, rng):
    for weight in model.weights:
        name = getattr(weight, "path", weight.name)
        last = name.split("/")[-1].split(":")[0]
        # Normalization has worked with its own statistics since adapt(), whatever its variables become.
        if "seed" in name or last in ("mean", "variance", "count") or "float" not in str(weight.dtype):
            continue
        values = np.round(rng.normal(0, 0.4, weight.shape) * 64) / 64
        if "variance" in name:
            values = np.abs(values) + 0.25
        weight.assign(values.astype("f4"))


def save(model, extension):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model." + extension)
        model.save(path)
        with open(path, "rb") as file:
            return np.frombuffer(file.read(), np.uint8)


def main():
    both, legacy = ["keras", "h5"], ["h5"]
    plans = {2: [(mlp, both), (cnn, both), (spatial, legacy), (graph, legacy), (sequence, legacy), (activations, legacy),
                 (shapes, legacy), (preprocessing, both), (nested, both), (dense_maps, legacy)],
             3: [(mlp, both), (cnn, both), (spatial, ["keras"]), (graph, ["keras"]), (sequence, ["keras"]),
                 (activations, ["keras"]), (shapes, ["keras"]), (preprocessing, both), (nested, both),
                 (channels_first, ["keras"]), (grey, both), (dense_maps, ["keras"]), (operators, ["keras"])]}
    arrays = {}
    if os.path.exists(TARGET):
        with np.load(TARGET) as old:
            arrays = {name: old[name] for name in old.files if not name.startswith(f"k{GENERATION}_")}
    for make, extensions in plans[GENERATION]:
        keras.backend.clear_session()
        model, input_axes, output_axes = make()
        rng = np.random.default_rng(7)
        randomize(model, rng)
        scale = 64 if make is preprocessing else 1
        inputs = [(np.round(rng.normal(0, 1, (2, *x.shape[1:])) * 256) / 256 * scale).astype("f4") for x in model.inputs]
        outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        for extension in extensions:
            name = f"k{GENERATION}_{make.__name__}" + ("_h5" if extension == "h5" else "")
            arrays[f"{name}/model"] = save(model, extension)
            for kind, values, axes in [("input", inputs, input_axes), ("output", outputs, output_axes)]:
                for n, (value, order) in enumerate(zip(values, axes, strict=True)):
                    number = f"_{n}" if n else ""
                    value = np.asarray(value, "f4")
                    assert value.ndim == len(order) + 1 and np.isfinite(value).all()
                    arrays[f"{name}/{kind}{number}"] = value
                    arrays[f"{name}/{kind}_axes{number}"] = np.array(order, np.int64)
            print(name, arrays[f"{name}/model"].size, [x.shape for x in inputs], [np.shape(x) for x in outputs])
    np.savez_compressed(TARGET, **dict(sorted(arrays.items())))
    print(os.path.getsize(TARGET), "bytes")


if __name__ == "__main__":
    main()
