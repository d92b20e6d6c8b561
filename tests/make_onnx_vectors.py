"""Writes `tests/data/onnx_vectors.npz`: small ONNX models with inputs and the outputs of onnxruntime.

Run from the project's folder with onnx and onnxruntime installed: `python tests/make_onnx_vectors.py`. The file is
checked in; the script is needed only to change it. Weights and inputs come from a fixed seed.

Layout, for each case NAME (letters, digits, `_`):

    NAME/model      u8   the bytes of the .onnx file
    NAME/input      f32  the first input of the graph, batch first
    NAME/input.1    f32  the second input, where there is one, and so on
    NAME/output     f32  the first output of the graph as onnxruntime gives it, batch first
    NAME/output.1   f32  the second output, and so on

Inputs and outputs stand in the order of the graph. The batch is 2 unless the model fixes it to 1.
"""

import io
import pathlib
import zipfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(20261124)
CASES = {}
F32 = TensorProto.FLOAT


def weights(*shape, scale=0.5):
    return (RANDOM.standard_normal(shape) * scale).astype(np.float32)


def node(kind, inputs, output="y", **attributes):
    outputs = output if isinstance(output, list) else [output]
    return helper.make_node(kind, inputs, outputs, name=attributes.pop("name", ""), **attributes)


def case(name, nodes, inputs, constants=None, opset=17, outputs=("y",), batch=2, ir=None, spread=2.0, listed=False,
         declare_output=True):
    """One model. `inputs`: {name: shape without batch}; `constants`: {name: array} as initializers;
    `listed`: initializers are inputs of the graph too, as IR version 3 asks; batch=None: a fixed batch of 1."""
    assert name not in CASES, name
    nodes = nodes if isinstance(nodes, list) else [nodes]
    constants = constants or {}
    axis = "N" if batch is not None else 1
    graph_inputs = [helper.make_tensor_value_info(key, F32, [axis, *shape]) for key, shape in inputs.items()]
    initializers = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    if listed:
        graph_inputs += [helper.make_tensor_value_info(i.name, i.data_type, list(i.dims)) for i in initializers]
    count = batch or 1
    feed = {key: (RANDOM.standard_normal((count, *shape)) * spread).astype(np.float32) for key, shape in inputs.items()}
    ir = ir or (3 if listed else 8 if opset < 19 else 10)

    def build(output_infos):
        graph = helper.make_graph(nodes, "g", graph_inputs, output_infos, initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir, producer_name="snncc")
        return model

    def run(model):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(None, feed)

    # Output shapes are first left open, then stated from the result.
    results = run(build([helper.make_tensor_value_info(key, F32, None) for key in outputs]))
    infos = [
        helper.make_tensor_value_info(key, F32, [axis if d == 0 else n for d, n in enumerate(result.shape)] if declare_output else None)
        for key, result in zip(outputs, results)
    ]
    model = build(infos)
    if ir > 3:
        onnx.checker.check_model(model)
    results = run(model)
    entry = {"model": np.frombuffer(model.SerializeToString(), np.uint8)}
    entry |= {("input" if i == 0 else f"input.{i}"): feed[key] for i, key in enumerate(inputs)}
    for i, result in enumerate(results):
        assert result.dtype == np.float32 and result.shape[0] == count and np.isfinite(result).all(), (name, result.shape)
        entry["output" if i == 0 else f"output.{i}"] = result
    CASES[name] = entry


def int64(*values):
    return np.array(values, np.int64)


def convolutions():
    def conv(name, x, w, bias=True, opset=17, **attributes):
        constants = {"w": weights(*w)} | ({"b": weights(w[0])} if bias else {})
        case(f"conv_{name}", node("Conv", ["x", *constants], **attributes), {"x": x}, constants, opset)

    conv("plain", (2, 6, 5), (3, 2, 3, 3))
    conv("no_bias_opset7", (2, 6, 6), (3, 2, 3, 3), bias=False, opset=7, kernel_shape=[3, 3])
    conv("stride", (2, 7, 8), (3, 2, 3, 2), strides=[2, 3], kernel_shape=[3, 2])
    conv("pads", (2, 5, 6), (2, 2, 3, 3), pads=[1, 0, 2, 1])
    conv("groups", (4, 5, 5), (6, 2, 3, 3), group=2, pads=[1, 1, 1, 1], opset=11)
    conv("depthwise", (3, 6, 6), (6, 1, 3, 3), group=3, strides=[2, 2], pads=[1, 1, 1, 1])
    conv("dilation", (2, 8, 7), (2, 2, 3, 2), dilations=[2, 3], opset=13)
    conv("same_upper", (2, 6, 7), (2, 2, 4, 3), auto_pad="SAME_UPPER", strides=[2, 2], opset=21)
    conv("same_lower", (2, 6, 7), (2, 2, 4, 3), auto_pad="SAME_LOWER", strides=[2, 2])
    conv("valid", (2, 6, 6), (2, 2, 3, 3), auto_pad="VALID", strides=[2, 1])
    conv("line", (3, 12), (4, 3, 4), strides=[2], pads=[1, 2])
    conv("line_grouped", (4, 9), (4, 2, 3), group=2, dilations=[2], pads=[2, 1])
    conv("line_same_lower", (2, 9), (2, 2, 4), auto_pad="SAME_LOWER", strides=[2])
    case("conv_listed_ir3", node("Conv", ["x", "w", "b"], pads=[1, 1, 1, 1]), {"x": (1, 5, 5)},
         {"w": weights(2, 1, 3, 3), "b": weights(2)}, 9, listed=True)

    def transpose(name, x, w, group=1, bias=True, opset=17, **attributes):
        constants = {"w": weights(*w)} | ({"b": weights(w[1] * group)} if bias else {})
        case(f"conv_transpose_{name}", node("ConvTranspose", ["x", *constants], group=group, **attributes), {"x": x}, constants, opset)

    transpose("plain", (2, 4, 3), (2, 3, 3, 2))
    transpose("stride_pads", (2, 4, 4), (2, 3, 3, 3), strides=[2, 2], pads=[1, 0, 1, 2])
    transpose("output_padding", (2, 3, 4), (2, 2, 3, 3), strides=[2, 3], pads=[1, 1, 1, 1], output_padding=[1, 2], opset=11)
    transpose("output_shape", (2, 4, 4), (2, 1, 3, 3), strides=[2, 2], output_shape=[8, 8])
    transpose("output_shape_upper", (2, 4, 4), (2, 1, 3, 3), strides=[2, 2], output_shape=[8, 8], auto_pad="SAME_UPPER")
    transpose("same_upper", (1, 4, 4), (1, 2, 3, 4), strides=[2, 2], auto_pad="SAME_UPPER", opset=13)
    transpose("same_lower", (1, 4, 4), (1, 2, 3, 4), strides=[2, 2], auto_pad="SAME_LOWER")
    transpose("groups_dilation", (4, 4, 3), (4, 2, 2, 3), group=2, dilations=[2, 1], bias=False)
    transpose("line", (2, 5), (2, 3, 4), strides=[2], pads=[1, 1])


def linears():
    case("gemm", node("Gemm", ["x", "w", "b"]), {"x": (5,)}, {"w": weights(5, 3), "b": weights(3)})
    case("gemm_trans_b", node("Gemm", ["x", "w", "b"], transB=1), {"x": (5,)}, {"w": weights(3, 5), "b": weights(3)}, 11)
    case("gemm_alpha_beta", node("Gemm", ["x", "w", "b"], transB=1, alpha=0.5, beta=-2.0), {"x": (4,)},
         {"w": weights(3, 4), "b": weights(1, 3)}, 7)
    case("gemm_scalar_c", node("Gemm", ["x", "w", "b"]), {"x": (4,)}, {"w": weights(4, 3), "b": np.float32(0.75)})
    case("gemm_no_c", node("Gemm", ["x", "w"]), {"x": (4,)}, {"w": weights(4, 2)}, 13)
    case("matmul_add", [node("MatMul", ["x", "w"], "h"), node("Add", ["h", "b"])], {"x": (5,)}, {"w": weights(5, 3), "b": weights(3)})
    case("matmul_add_left", [node("MatMul", ["x", "w"], "h"), node("Add", ["b", "h"])], {"x": (5,)}, {"w": weights(5, 3), "b": weights(1, 3)})
    case("matmul_rows", node("MatMul", ["x", "w"]), {"x": (4, 5)}, {"w": weights(5, 3)})
    case("matmul_constant_left", node("MatMul", ["w", "x"]), {"x": (4, 5)}, {"w": weights(3, 4)})
    case("matmul_shared_value", [node("MatMul", ["x", "w"], "h"), node("Add", ["h", "b"], "s"), node("Add", ["h", "s"])],
         {"x": (4,)}, {"w": weights(4, 3), "b": weights(3)})
    case("gemm_constant_folded", [node("Transpose", ["w0"], "w", perm=[1, 0]), node("Gemm", ["x", "w"])], {"x": (4,)}, {"w0": weights(3, 4)})


def norms():
    def statistics(n):
        return {"g": 1 + weights(n), "b": weights(n), "m": weights(n), "v": np.abs(weights(n)) + 0.1}

    case("batch_norm_2d", node("BatchNormalization", ["x", "g", "b", "m", "v"], epsilon=0.01), {"x": (3, 4, 5)}, statistics(3))
    case("batch_norm_1d", node("BatchNormalization", ["x", "g", "b", "m", "v"]), {"x": (3, 6)}, statistics(3), 9)
    case("batch_norm_vector", node("BatchNormalization", ["x", "g", "b", "m", "v"], epsilon=0.1), {"x": (4,)}, statistics(4), 13)
    case("batch_norm_opset7", node("BatchNormalization", ["x", "g", "b", "m", "v"]), {"x": (2, 3, 3)}, statistics(2), 7)
    case("conv_batch_norm_relu", [
        node("Conv", ["x", "w"], "c", pads=[1, 1, 1, 1]), node("BatchNormalization", ["c", "g", "b", "m", "v"], "n"), node("Relu", ["n"])],
        {"x": (2, 5, 5)}, {"w": weights(3, 2, 3, 3)} | statistics(3), 14)
    case("lrn", node("LRN", ["x"], size=3, alpha=0.3, beta=0.6, bias=1.5), {"x": (5, 3, 2)})
    case("lrn_defaults", node("LRN", ["x"], size=5), {"x": (6, 2, 2)}, opset=9)


def activations():
    x = {"x": (3, 7)}
    for kind in ["Relu", "Sigmoid", "Tanh", "HardSwish", "Selu", "Softplus", "Softsign", "Abs", "LeakyRelu", "Elu", "ThresholdedRelu", "HardSigmoid", "Celu"]:
        case(kind.lower(), node(kind, ["x"]), x, spread=3.0)
    case("leaky_relu_slope", node("LeakyRelu", ["x"], alpha=0.2), x, opset=9)
    case("elu_alpha", node("Elu", ["x"], alpha=0.7), x, opset=7)
    case("celu_alpha", node("Celu", ["x"], alpha=2.0), x, opset=13)
    case("selu_values", node("Selu", ["x"], alpha=1.5, gamma=1.2), x, opset=11)
    case("thresholded_relu_alpha", node("ThresholdedRelu", ["x"], alpha=0.4), x, opset=11)
    case("hard_sigmoid_values", node("HardSigmoid", ["x"], alpha=1 / 6, beta=0.5), x, opset=13, spread=3.0)
    case("mish", node("Mish", ["x"]), x, opset=18)
    case("gelu", node("Gelu", ["x"]), x, opset=20)
    case("gelu_tanh", node("Gelu", ["x"], approximate="tanh"), x, opset=20)
    case("prelu_channel", node("PRelu", ["x", "s"]), {"x": (3, 4, 4)}, {"s": weights(3, 1, 1)}, 9)
    case("prelu_scalar", node("PRelu", ["x", "s"]), {"x": (3, 4)}, {"s": weights(1)})
    case("prelu_full", node("PRelu", ["x", "s"]), {"x": (3, 4)}, {"s": weights(1, 3, 4)})
    case("clip_opset7", node("Clip", ["x"], min=0.0, max=6.0), x, opset=7, spread=5.0)
    case("clip_inputs", node("Clip", ["x", "lo", "hi"]), x, {"lo": np.float32(-1), "hi": np.float32(1.5)}, 13)
    case("clip_min_only", node("Clip", ["x", "lo"]), x, {"lo": np.float32(-0.5)}, 11)
    case("clip_max_only", node("Clip", ["x", "", "hi"]), x, {"hi": np.float32(0.5)})
    case("silu", [node("Sigmoid", ["x"], "s"), node("Mul", ["x", "s"])], x)
    case("silu_reversed", [node("Sigmoid", ["x"], "s"), node("Mul", ["s", "x"])], x)
    case("hard_swish_pattern", [node("HardSigmoid", ["x"], "s", alpha=1 / 6, beta=0.5), node("Mul", ["x", "s"])], x, spread=3.0)
    case("hard_swish_clip", [node("Add", ["x", "three"], "a"), node("Clip", ["a", "lo", "hi"], "c"), node("Mul", ["x", "c"], "m"), node("Div", ["m", "six"])],
         x, {"three": np.float32(3), "lo": np.float32(0), "hi": np.float32(6), "six": np.float32(6)}, spread=3.0)
    root, one, half = {"r": np.float32(np.sqrt(2))}, {"one": np.float32(1)}, {"half": np.float32(0.5)}
    case("gelu_erf_torch", [node("Div", ["x", "r"], "d"), node("Erf", ["d"], "e"), node("Add", ["e", "one"], "p"), node("Mul", ["x", "p"], "m"), node("Mul", ["m", "half"])],
         x, root | one | half)
    case("gelu_erf_half_first", [node("Mul", ["x", "half"], "h"), node("Div", ["x", "r"], "d"), node("Erf", ["d"], "e"), node("Add", ["e", "one"], "p"), node("Mul", ["h", "p"])],
         x, root | one | half)


def pools():
    def pool(name, kind, x, opset=17, **attributes):
        case(name, node(kind, ["x"], **attributes), {"x": x}, opset=opset)

    pool("average_pool", "AveragePool", (2, 6, 6), kernel_shape=[2, 2], strides=[2, 2])
    pool("average_pool_stride_default", "AveragePool", (2, 5, 5), opset=7, kernel_shape=[3, 2])
    pool("average_pool_pads", "AveragePool", (2, 6, 5), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    pool("average_pool_pads_counted", "AveragePool", (2, 6, 5), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 1], count_include_pad=1)
    pool("average_pool_ceil", "AveragePool", (2, 6, 7), kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1, opset=19)
    pool("average_pool_ceil_counted", "AveragePool", (2, 6, 6), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1, count_include_pad=1, opset=19)
    pool("average_pool_ceil_pads", "AveragePool", (1, 6, 6), kernel_shape=[2, 2], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1, opset=19)
    pool("average_pool_same_upper", "AveragePool", (2, 5, 6), kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_UPPER", opset=11)
    pool("average_pool_same_lower", "AveragePool", (2, 5, 6), kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_LOWER")
    pool("average_pool_dilated", "AveragePool", (2, 7, 7), kernel_shape=[2, 3], dilations=[2, 2], opset=19)
    pool("average_pool_line", "AveragePool", (3, 9), kernel_shape=[3], strides=[3], pads=[1, 0])
    pool("max_pool", "MaxPool", (2, 6, 6), kernel_shape=[2, 2], strides=[2, 2])
    pool("max_pool_pads", "MaxPool", (2, 6, 6), opset=8, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    pool("max_pool_ceil", "MaxPool", (2, 6, 7), opset=11, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    pool("max_pool_ceil_pads", "MaxPool", (1, 6, 6), opset=12, kernel_shape=[2, 2], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1)
    pool("max_pool_dilated", "MaxPool", (2, 7, 7), kernel_shape=[2, 2], dilations=[2, 3], opset=13)
    pool("max_pool_same_lower", "MaxPool", (2, 5, 5), kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER", opset=7)
    pool("max_pool_same_upper", "MaxPool", (2, 5, 5), kernel_shape=[3, 2], strides=[1, 2], auto_pad="SAME_UPPER")
    pool("max_pool_line", "MaxPool", (3, 8), kernel_shape=[3], strides=[2], opset=21)
    pool("average_pool_ceil_dropped", "AveragePool", (1, 5, 5), kernel_shape=[2, 2], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1, count_include_pad=1, opset=19)
    pool("max_pool_ceil_dropped", "MaxPool", (1, 4, 5), kernel_shape=[1, 2], strides=[2, 3], pads=[0, 1, 0, 1], ceil_mode=1, opset=12)
    pool("global_average_pool", "GlobalAveragePool", (3, 4, 5))
    pool("global_average_pool_line", "GlobalAveragePool", (3, 5), opset=7)
    pool("global_max_pool", "GlobalMaxPool", (3, 4, 5))
    pool("reduce_mean_keep", "ReduceMean", (3, 4, 5), axes=[2, 3], keepdims=1)
    pool("reduce_mean_drop", "ReduceMean", (3, 4, 5), axes=[-1, -2], keepdims=0, opset=11)
    pool("reduce_max_drop", "ReduceMax", (3, 4, 5), axes=[2, 3], keepdims=0)
    pool("reduce_mean_channels_last", "ReduceMean", (4, 5, 3), axes=[1, 2], keepdims=0)
    pool("reduce_mean_channels", "ReduceMean", (3, 4, 5), axes=[1], keepdims=1)
    pool("reduce_max_all", "ReduceMax", (3, 4), axes=[1, 2], keepdims=0)
    case("reduce_sum_middle", node("ReduceSum", ["x", "axes"], keepdims=0), {"x": (3, 4, 2)}, {"axes": int64(2)}, 13)
    case("reduce_mean_opset18", node("ReduceMean", ["x", "axes"], keepdims=0), {"x": (3, 4, 5)}, {"axes": int64(2, 3)}, 18)


def shapes():
    x = {"x": (2, 3, 4)}
    case("flatten", node("Flatten", ["x"]), x)
    case("flatten_negative", node("Flatten", ["x"], axis=-3), x, opset=13)
    case("reshape_minus_one", node("Reshape", ["x", "s"]), x, {"s": int64(-1, 24)}, 7)
    case("reshape_zero", node("Reshape", ["x", "s"]), x, {"s": int64(0, -1, 4)})
    case("reshape_fixed_batch", node("Reshape", ["x", "s"]), x, {"s": int64(1, -1)}, 9, batch=None)
    case("reshape_dynamic", [
        node("Shape", ["x"], "shape"), node("Gather", ["shape", "zero"], "n", axis=0), node("Unsqueeze", ["n", "axes"], "n1"),
        node("Concat", ["n1", "rest"], "s", axis=0), node("Reshape", ["x", "s"])],
        x, {"zero": np.int64(0), "axes": int64(0), "rest": int64(-1)}, 13)
    case("reshape_dynamic_product", [
        node("Shape", ["x"], "shape"), node("Slice", ["shape", "b0", "e1"], "n"), node("Gather", ["shape", "one"], "c"),
        node("Gather", ["shape", "two"], "h"), node("Mul", ["c", "h"], "ch"), node("Unsqueeze", ["ch", "axes"], "ch1"),
        node("Cast", ["ch1"], "ch2", to=TensorProto.INT64), node("Concat", ["n", "ch2", "rest"], "s", axis=0), node("Reshape", ["x", "s"])],
        x, {"b0": int64(0), "e1": int64(1), "one": np.int64(1), "two": np.int64(2), "axes": int64(0), "rest": int64(4)}, 17)
    case("squeeze_attribute", node("Squeeze", ["x"], axes=[2, 3]), {"x": (5, 1, 1)}, opset=11)
    case("squeeze_input", node("Squeeze", ["x", "a"]), {"x": (5, 1, 1)}, {"a": int64(-1)}, 13)
    case("unsqueeze_attribute", node("Unsqueeze", ["x"], axes=[1]), {"x": (5,)}, opset=11)
    case("unsqueeze_input", node("Unsqueeze", ["x", "a"]), {"x": (5,)}, {"a": int64(-1, 1)}, 21)
    case("transpose", node("Transpose", ["x"], perm=[0, 3, 1, 2]), x)
    case("pad_attribute", node("Pad", ["x"], pads=[0, 0, 1, 2, 0, 1, 0, 1], value=0.5), x, opset=10)
    case("pad_input", node("Pad", ["x", "p", "v"]), x, {"p": int64(0, 0, 1, 0, 0, 0, 2, 1), "v": np.float32(-1.5)}, 13)
    case("pad_axes", node("Pad", ["x", "p", "", "a"]), x, {"p": int64(1, 0, 2, 1), "a": int64(-1, 1)}, 18)
    case("pad_cut", node("Pad", ["x", "p"]), x, {"p": int64(0, 0, 1, -1, 0, 0, 0, 2)}, 13)
    case("pad_reflect", node("Pad", ["x", "p"], mode="reflect"), x, {"p": int64(0, 0, 1, 2, 0, 0, 2, 3)}, 13)
    case("pad_edge", node("Pad", ["x", "p"], mode="edge"), x, {"p": int64(0, 0, 1, 2, 0, 0, 2, 0)}, 11)
    case("expand", node("Expand", ["x", "s"]), {"x": (3, 1)}, {"s": int64(1, 3, 4)}, 13)
    case("tile", node("Tile", ["x", "r"]), {"x": (2, 3)}, {"r": int64(1, 2, 3)}, 13)
    case("depth_to_space", node("DepthToSpace", ["x"], blocksize=2), {"x": (8, 2, 3)}, opset=13)
    case("depth_to_space_crd", node("DepthToSpace", ["x"], blocksize=2, mode="CRD"), {"x": (8, 2, 3)}, opset=11)
    case("space_to_depth", node("SpaceToDepth", ["x"], blocksize=2), {"x": (2, 4, 6)}, opset=13)
    case("slice_reversed", node("Slice", ["x", "b", "e", "a", "k"]), x, {"b": int64(-1), "e": int64(-2**62), "a": int64(3), "k": int64(-2)}, 13)
    case("gather_list", node("Gather", ["x", "i"], axis=1), {"x": (4, 3)}, {"i": int64(3, 0, 0)}, 13)
    case("gather_matrix", node("Gather", ["x", "i"], axis=1), {"x": (4, 2)}, {"i": np.array([[0, 2], [1, 3]], np.int64)}, 13)
    case("gather_shuffle", node("Gather", ["x", "i"], axis=1), {"x": (6, 2, 2)}, {"i": int64(0, 3, 1, 4, 2, 5)}, 13)
    case("squeeze_batch", [node("Squeeze", ["x", "a"], "v"), node("Relu", ["v"], "r"), node("Unsqueeze", ["r", "a"])], {"x": (4,)}, {"a": int64(0)}, 13, batch=None)
    case("flatten_dynamic_sizes", [
        node("Shape", ["x"], "shape"), node("Constant", [], "k", value_int=0), node("Gather", ["shape", "k"], "n"), node("Unsqueeze", ["n", "a"], "n1"),
        node("ConstantOfShape", ["one"], "minus", value=numpy_helper.from_array(np.array([-1], np.int64))), node("Concat", ["n1", "minus"], "s", axis=0),
        node("Reshape", ["x", "s"])], x, {"a": int64(0), "one": int64(1)}, 13)
    case("slice_attribute", node("Slice", ["x"], starts=[1, 0], ends=[2, 3], axes=[2, 3]), x, opset=9)
    case("slice_input", node("Slice", ["x", "b", "e", "a", "k"]), x, {"b": int64(1, -4), "e": int64(2**62, -1), "a": int64(2, -1), "k": int64(1, 2)}, 13)
    case("slice_default_axes", node("Slice", ["x", "b", "e"]), x, {"b": int64(0, 0, 1), "e": int64(2**31 - 1, 1, 3)}, 11)
    case("split", [node("Split", ["x"], ["a", "b"], axis=1, split=[1, 3]), node("Concat", ["b", "a"], axis=1)], {"x": (4, 3)}, opset=11)
    case("split_outputs", node("Split", ["x", "s"], ["y", "z"], axis=-1), {"x": (2, 5)}, {"s": int64(2, 3)}, 13, outputs=("y", "z"))
    case("split_equal", [node("Split", ["x"], ["a", "b", "c"], axis=1, num_outputs=3), node("Sum", ["a", "b"], "y"), node("Sub", ["c", "a"], "z")],
         {"x": (6, 2)}, opset=18, outputs=("y", "z"))
    case("gather_range", node("Gather", ["x", "i"], axis=2), {"x": (2, 5)}, {"i": int64(1, 2, 3)})
    case("gather_scalar", node("Gather", ["x", "i"], axis=1), {"x": (3, 5)}, {"i": np.int64(-1)}, 11)
    case("concat", node("Concat", ["x", "z"], axis=1), {"x": (2, 3), "z": (1, 3)})
    case("concat_last", node("Concat", ["x", "x"], axis=-1), {"x": (2, 3)}, opset=7)


def resizes():
    def resize(name, mode, nearest, scales=None, sizes=None, x=(1, 4, 5), opset=13):
        constants = {"r": np.zeros(0, np.float32)}
        if sizes:
            constants |= {"s0": np.zeros(0, np.float32), "s": int64(*sizes)}
        else:
            constants |= {"s": np.array(scales, np.float32)}
        case(f"resize_{name}", node("Resize", ["x", *constants], mode="nearest", coordinate_transformation_mode=mode, nearest_mode=nearest),
             {"x": x}, constants, opset)

    resize("asymmetric_floor", "asymmetric", "floor", [1, 1, 2, 2])
    resize("asymmetric_ceil", "asymmetric", "ceil", [1, 1, 1.5, 2.5], opset=11)
    resize("half_pixel", "half_pixel", "round_prefer_floor", [1, 1, 2, 3])
    resize("half_pixel_down", "half_pixel", "round_prefer_ceil", [1, 1, 0.5, 0.6])
    resize("half_pixel_floor", "half_pixel", "floor", [1, 1, 2, 1.7], opset=18)
    resize("align_corners", "align_corners", "round_prefer_floor", [1, 1, 2, 2.2])
    resize("pytorch_half_pixel", "pytorch_half_pixel", "round_prefer_floor", [1, 1, 2, 0.2], opset=11)
    resize("half_pixel_symmetric", "half_pixel_symmetric", "round_prefer_floor", [1, 1, 1.3, 0.7], opset=19)
    case("resize_sizes", node("Resize", ["x", "", "", "s"], mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric"),
         {"x": (1, 4, 5)}, {"s": int64(1, 1, 7, 8)}, 13, batch=None)
    case("resize_opset10_down", node("Resize", ["x", "s"]), {"x": (1, 3, 10)}, {"s": np.array([1, 1, 1, 0.35], np.float32)}, 10)
    case("resize_not_larger", node("Resize", ["x", "", "", "s"], mode="nearest", axes=[2, 3], keep_aspect_ratio_policy="not_larger"),
         {"x": (1, 4, 6)}, {"s": int64(7, 8)}, 18)
    case("resize_sizes_axes", node("Resize", ["x", "", "", "s"], mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric", axes=[2, 3]),
         {"x": (2, 4, 4)}, {"s": int64(8, 6)}, 18)
    case("resize_opset10", node("Resize", ["x", "s"], mode="nearest"), {"x": (2, 3, 4)}, {"s": np.array([1, 1, 2, 1.5], np.float32)}, 10)
    case("upsample_opset7", node("Upsample", ["x"], scales=[1.0, 1.0, 2.0, 3.0]), {"x": (2, 3, 2)}, opset=7)
    case("upsample_opset9", node("Upsample", ["x", "s"], mode="nearest"), {"x": (2, 3, 2)}, {"s": np.array([1, 1, 3, 2], np.float32)}, 9)


def arithmetic():
    x = {"x": (3, 4)}
    case("add_constant", node("Add", ["x", "c"]), x, {"c": weights(3, 1)})
    case("sub_constant", node("Sub", ["x", "c"]), x, {"c": weights(1, 3, 4)})
    case("sub_from_constant", node("Sub", ["c", "x"]), x, {"c": weights(4)}, 7)
    case("mul_constant", node("Mul", ["c", "x"]), x, {"c": weights(1, 1, 4)})
    case("div_constant", node("Div", ["x", "c"]), x, {"c": np.float32(2.5)})
    case("add_wide_constant", node("Add", ["x", "c"]), {"x": (3, 1)}, {"c": weights(4)})
    case("neg", node("Neg", ["x"]), x)
    case("add_values", node("Add", ["x", "z"]), x | {"z": (3, 4)})
    case("sub_values", node("Sub", ["x", "z"]), x | {"z": (3, 4)})
    case("mul_values", node("Mul", ["x", "z"]), x | {"z": (3, 4)})
    case("add_gate", node("Add", ["x", "z"]), {"x": (3, 2, 2), "z": (3, 1, 1)})
    case("sub_gate", node("Sub", ["z", "x"]), {"x": (3, 2, 2), "z": (3, 1, 1)})
    case("mul_row", node("Mul", ["x", "z"]), {"x": (3, 4), "z": (3, 1)})
    case("mul_spatial_gate", node("Mul", ["x", "z"]), {"x": (3, 2, 2), "z": (1, 2, 2)})
    case("square", node("Pow", ["x", "two"]), x, {"two": np.float32(2)}, 13)
    case("square_by_mul", node("Mul", ["x", "x"]), x)
    case("mish_pattern", [node("Softplus", ["x"], "s"), node("Tanh", ["s"], "t"), node("Mul", ["x", "t"])], x, spread=3.0)
    case("relu6_min_max", [node("Max", ["x", "zero"], "m"), node("Min", ["m", "six"])], x, {"zero": np.float32(0), "six": np.float32(6)}, 13, spread=5.0)
    case("conv_add_bias", [node("Conv", ["x", "w"], "c"), node("Add", ["c", "b"])], {"x": (2, 4, 4)}, {"w": weights(3, 2, 2, 2), "b": weights(1, 3, 1, 1)})
    case("gemm_two_biases", [node("Gemm", ["x", "w", "b"], "g"), node("Sub", ["g", "c"])], {"x": (4,)}, {"w": weights(4, 3), "b": weights(3), "c": weights(3)})
    case("matmul_add_rows", [node("MatMul", ["x", "w"], "m"), node("Add", ["m", "b"])], {"x": (4, 5)}, {"w": weights(5, 3), "b": weights(4, 1)})
    case("matmul_vector", node("MatMul", ["x", "w"]), {"x": (3, 5)}, {"w": weights(5)})
    case("gemm_live_c", node("Gemm", ["x", "w", "z"], beta=0.5), {"x": (4,), "z": (3,)}, {"w": weights(4, 3)})
    case("sum_three", node("Sum", ["x", "z", "c"]), x | {"z": (3, 4)}, {"c": weights(3, 4)}, 8)
    case("max_values", node("Max", ["x", "z"]), x | {"z": (3, 4)}, opset=8)
    case("max_constant", node("Max", ["x", "c"]), x, {"c": np.float32(0.25)}, 13)
    case("min_constant", node("Min", ["x", "c"]), x, {"c": np.float32(0.25)}, 13)
    case("dropout", node("Dropout", ["x"], ratio=0.5), x, opset=7)
    case("dropout_inputs", node("Dropout", ["x", "r"]), x, {"r": np.float32(0.3)}, 13)
    case("identity_chain", [node("Identity", ["x"], "i"), node("Cast", ["i"], to=F32)], x)
    case("softmax", node("Softmax", ["x"]), x)
    case("softmax_axis", node("Softmax", ["x"], axis=1), {"x": (3, 2, 2)}, opset=13)
    case("softmax_opset11_flattens", node("Softmax", ["x"]), x, opset=11)
    case("softmax_opset7_axis2", node("Softmax", ["x"], axis=2), {"x": (2, 3, 2)}, opset=7)
    case("log_softmax", node("LogSoftmax", ["x"], axis=-1), x, opset=13)


def composites():
    case("squeeze_excitation", [
        node("GlobalAveragePool", ["x"], "p"), node("Conv", ["p", "w1", "b1"], "h"), node("Relu", ["h"], "r"), node("Conv", ["r", "w2"], "g"),
        node("HardSigmoid", ["g"], "s"), node("Mul", ["x", "s"])],
        {"x": (4, 3, 3)}, {"w1": weights(2, 4, 1, 1), "b1": weights(2), "w2": weights(4, 2, 1, 1)})
    case("residual", [
        node("Conv", ["x", "w1"], "a", pads=[1, 1, 1, 1]), node("Relu", ["a"], "b"), node("Conv", ["b", "w2"], "c", pads=[1, 1, 1, 1]),
        node("Add", ["c", "x"], "d"), node("Relu", ["d"])],
        {"x": (2, 4, 4)}, {"w1": weights(3, 2, 3, 3), "w2": weights(2, 3, 3, 3)})
    case("inception", [
        node("Conv", ["x", "w1"], "a"), node("Conv", ["x", "w3"], "b", auto_pad="SAME_UPPER"),
        node("MaxPool", ["x"], "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), node("Concat", ["a", "b", "c"], axis=1)],
        {"x": (2, 4, 4)}, {"w1": weights(2, 2, 1, 1), "w3": weights(1, 2, 3, 3)})
    case("channel_shuffle", [
        node("Reshape", ["x", "s1"], "a"), node("Transpose", ["a"], "b", perm=[0, 2, 1, 3, 4]), node("Reshape", ["b", "s2"])],
        {"x": (6, 2, 2)}, {"s1": int64(0, 2, 3, 2, 2), "s2": int64(0, 6, 2, 2)})
    case("channels_last", [
        node("Transpose", ["x"], "t", perm=[0, 3, 1, 2]), node("Conv", ["t", "w"], "c"), node("Relu", ["c"], "r"),
        node("Transpose", ["r"], "u", perm=[0, 2, 3, 1]), node("Reshape", ["u", "s"], "f"), node("MatMul", ["f", "d"], "m"), node("Add", ["m", "e"])],
        {"x": (4, 4, 1)}, {"w": weights(2, 1, 3, 3), "s": int64(-1, 8), "d": weights(8, 3), "e": weights(3)})
    case("mlp", [
        node("Flatten", ["x"], "f"), node("Gemm", ["f", "w1", "b1"], "h", transB=1), node("Relu", ["h"], "r"), node("Gemm", ["r", "w2", "b2"], transB=1)],
        {"x": (1, 3, 3)}, {"w1": weights(5, 9), "b1": weights(5), "w2": weights(3, 5), "b2": weights(3)})
    case("normalized_input", [
        node("Constant", [], "mean", value=numpy_helper.from_array(np.float32(0.13))), node("Constant", [], "deviation", value_float=0.31),
        node("Sub", ["x", "mean"], "s"), node("Div", ["s", "deviation"], "d"), node("Conv", ["d", "w"])],
        {"x": (1, 4, 4)}, {"w": weights(2, 1, 2, 2)}, 13)
    case("constant_of_shape", [
        node("ConstantOfShape", ["s"], "w", value=numpy_helper.from_array(np.array([0.25], np.float32))), node("Conv", ["x", "w"])],
        {"x": (2, 4, 4)}, {"s": int64(3, 2, 2, 2)}, 9)
    case("half_weights", [node("Cast", ["w16"], "w", to=F32), node("Gemm", ["x", "w"])], {"x": (4,)}, {"w16": weights(4, 3).astype(np.float16)})
    case("dequantized_weights", [node("DequantizeLinear", ["w8", "s", "z"], "w", axis=0), node("Gemm", ["x", "w"], transB=1)], {"x": (4,)},
         {"w8": RANDOM.integers(-128, 128, (3, 4)).astype(np.int8), "s": np.array([0.01, 0.02, 0.005], np.float32), "z": np.array([0, 3, -5], np.int8)}, 13)
    case("two_heads", [
        node("Relu", ["x"], "h"), node("Gemm", ["h", "w1"], "y"), node("Gemm", ["h", "w2"], "g"), node("Sigmoid", ["g"], "z")],
        {"x": (4,)}, {"w1": weights(4, 3), "w2": weights(4, 2)}, outputs=("y", "z"))
    case("bilinear_one", [node("Resize", ["x", "", "s"], "h", mode="linear"), node("Relu", ["h"])], {"x": (1, 3, 3)}, {"s": np.ones(4, np.float32)})
    case("weight_normalized", [
        node("Mul", ["v", "v"], "q"), node("ReduceSum", ["q", "axes"], "n", keepdims=1), node("Sqrt", ["n"], "r"), node("Div", ["v", "r"], "d"),
        node("Mul", ["d", "g"], "w"), node("Gemm", ["x", "w"], transB=1)],
        {"x": (4,)}, {"v": weights(3, 4), "g": weights(3, 1), "axes": int64(1)}, 13)


def main():
    for group in [convolutions, linears, norms, activations, pools, shapes, resizes, arithmetic, composites]:
        group()
    path = pathlib.Path(__file__).parent / "data" / "onnx_vectors.npz"
    # A zip of npy members with fixed dates, so that the same arrays give the same bytes.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, entry in sorted(CASES.items()):
            for key, value in entry.items():
                npy = io.BytesIO()
                np.lib.format.write_array(npy, np.ascontiguousarray(value), version=(1, 0))
                member = zipfile.ZipInfo(f"{name}/{key}.npy", (1980, 1, 1, 0, 0, 0))
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, npy.getvalue())
    largest = max(CASES, key=lambda name: len(CASES[name]["model"]))
    print(f"{len(CASES)} cases, {path.stat().st_size} bytes; the largest model is {largest}, {len(CASES[largest]['model'])} bytes")


main()
