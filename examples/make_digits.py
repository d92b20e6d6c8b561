"""Trains the networks of digits-mlp and digits-lenet and writes their models and data.

    KERAS_BACKEND=jax python examples/make_digits.py digits8x8.npz

Needs numpy, onnx and Keras 3; the checked-in files were made with the jax backend on a CPU. The argument is an .npz with
`images` (1797, 8, 8), levels 0 to 16, and `labels` (1797). Without one, `sklearn.datasets.load_digits()` is taken, which
has the same. Seeded: the same versions of the packages give the same weights. (A .keras file also holds the date.)
"""
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import onnx
from onnx import helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
TRAINING = 1200  # the first samples train, the other 597 test
SEED = 8


def read_digits():
    """Images (1797, 8, 8) as 8-bit levels, as they are checked in, and labels (1797)."""
    if len(sys.argv) > 1:
        with np.load(sys.argv[1]) as file:
            levels, labels = file["images"], file["labels"]
    else:
        from sklearn.datasets import load_digits

        digits = load_digits()
        levels, labels = digits.images, digits.target
    return np.rint(levels * (255 / 16)).astype(np.uint8), labels.astype(np.uint8)


def perceptron():
    layers = keras.layers
    return [
        keras.Input((64,), name="input"),
        layers.Dense(48, activation="relu", name="fc1"),
        layers.Dense(24, activation="relu", name="fc2"),
        layers.Dense(10, name="fc3"),
    ]


def lenet():
    layers = keras.layers
    return [
        keras.Input((8, 8, 1), name="input"),
        layers.Conv2D(8, 3, padding="same", name="conv1"),
        layers.BatchNormalization(name="norm1"),
        layers.ReLU(name="relu1"),
        layers.AveragePooling2D(2, name="pool1"),
        layers.Conv2D(16, 3, padding="same", name="conv2"),
        layers.BatchNormalization(name="norm2"),
        layers.ReLU(name="relu2"),
        layers.AveragePooling2D(2, name="pool2"),
        layers.Flatten(name="flatten"),
        layers.Dense(32, activation="relu", name="fc1"),
        layers.Dense(10, name="fc2"),
    ]


def train(name, layers, x, y, epochs):
    """Trains and returns a model without optimizer, which would treble the file."""
    keras.utils.set_random_seed(SEED)
    model = keras.Sequential(layers(), name=name)
    batch = 50
    rate = keras.optimizers.schedules.CosineDecay(4e-3, epochs * (len(x) // batch))
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(x, y, batch, epochs, verbose=0)
    trained = keras.Sequential(layers(), name=name)
    trained.set_weights(model.get_weights())
    return trained


def to_onnx(model):
    """The model as ONNX, opset 17: a node for each layer (normalization is not folded), channels first."""
    nodes, initializers = [], []
    channels_first = None  # shape in front of Flatten, as Keras has it

    def constant(name, values):
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    def node(kind, name, current, *constants, **attributes):
        nodes.append(helper.make_node(kind, [current, *constants], [name], name=name, **attributes))
        return name

    current = "input"
    for layer in model.layers:
        name = layer.name
        weights = layer.get_weights()
        match type(layer).__name__:
            case "Dense":
                kernel, bias = weights
                if channels_first:
                    # Rows in the order (row, column, channel) become (channel, row, column).
                    kernel = kernel.reshape(*channels_first, -1).transpose(2, 0, 1, 3).reshape(len(kernel), -1)
                    channels_first = None
                constants = constant(f"{name}.weight", kernel.T), constant(f"{name}.bias", bias)
                current = node("Gemm", name, current, *constants, transB=1)
                if layer.activation is keras.activations.relu:
                    current = node("Relu", f"{name}.relu", current)
            case "Conv2D":
                kernel, bias = weights
                constants = constant(f"{name}.weight", kernel.transpose(3, 2, 0, 1)), constant(f"{name}.bias", bias)
                current = node("Conv", name, current, *constants, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1])
            case "BatchNormalization":
                parts = zip(("scale", "bias", "mean", "variance"), weights, strict=True)
                constants = [constant(f"{name}.{part}", values) for part, values in parts]
                current = node("BatchNormalization", name, current, *constants, epsilon=layer.epsilon)
            case "ReLU":
                current = node("Relu", name, current)
            case "AveragePooling2D":
                current = node("AveragePool", name, current, kernel_shape=[2, 2], strides=[2, 2])
            case "Flatten":
                channels_first = tuple(layer.input.shape[1:])
                current = node("Flatten", name, current, axis=1)
            case kind:
                raise ValueError(f"{kind} has no ONNX form here")
    nodes[-1].output[0] = "output"
    shape = list(model.input_shape[1:])
    graph = helper.make_graph(
        nodes,
        model.name,
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, ["N", *shape[-1:], *shape[:-1]])],
        [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, ["N", 10])],
        initializers,
    )
    opset = [helper.make_opsetid("", 17)]
    converted = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="make_digits.py")
    onnx.checker.check_model(converted, full_check=True)
    return converted


def run_onnx(model, x):
    """Outputs of the ONNX model by onnx's own evaluator."""
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(model).run(None, {"input": x})[0]


if __name__ == "__main__":
    images, labels = read_digits()
    x = images.astype(np.float32) / 255
    test, truth = x[TRAINING:], labels[TRAINING:]
    # Calibration needs no labels, and a convolutional network fewer images.
    for name, layers, epochs, calibration in (("digits-mlp", perceptron, 60, TRAINING), ("digits-lenet", lenet, 40, 500)):
        folder = os.path.join(HERE, name)
        os.makedirs(folder, exist_ok=True)
        flat = name == "digits-mlp"
        for_keras = (lambda x: x.reshape(-1, 64)) if flat else (lambda x: x[..., None])
        for_onnx = for_keras if flat else (lambda x: x[:, None])
        model = train(name, layers, for_keras(x[:TRAINING]), labels[:TRAINING], epochs)
        converted = to_onnx(model)
        outputs = keras.ops.convert_to_numpy(model(for_keras(test)))
        difference = np.abs(outputs - run_onnx(converted, for_onnx(test))).max()
        assert difference < 1e-4, difference
        model.save(os.path.join(folder, f"{name}.keras"))
        onnx.save(converted, os.path.join(folder, f"{name}.onnx"))
        np.save(os.path.join(folder, "digits-train.npy"), images[:calibration])
        np.save(os.path.join(folder, "digits-test.npy"), images[TRAINING:])
        np.save(os.path.join(folder, "digits-test-labels.npy"), truth)
        right = int((outputs.argmax(1) == truth).sum())
        seen = keras.ops.convert_to_numpy(model(for_keras(x[:TRAINING]))).argmax(1) == labels[:TRAINING]
        print(f"{name}: {right} of {len(truth)} test digits ({100 * right / len(truth):.2f} %),", end=" ")
        print(f"{int(seen.sum())} of {TRAINING} training digits, ONNX within {difference:.1e}")
