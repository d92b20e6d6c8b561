#!/usr/bin/env python3
"""Writes the small NIR files in tests/data that tests/nir.rs reads. Needs h5py and numpy; no NIR package.

    python3 crates/snncc-formats/tests/make_nir.py

The layout is NIR's: /version, and below /node the type, the nodes and the edges.
"""

import pathlib

import h5py
import numpy as np

FOLDER = pathlib.Path(__file__).parent / "data"
TEXT = h5py.string_dtype("utf-8")


def write_node(group, node, options):
    """Writes one node: a dict of parameters with "type", or of "nodes" and "edges" for a nested graph."""
    for name, value in node.items():
        if name == "nodes":
            nodes = group.create_group("nodes")
            for child, parameters in value.items():
                write_node(nodes.create_group(child), parameters, options)
        elif name == "edges":
            group.create_dataset("edges", data=np.array(value, dtype=object).reshape(-1, 2), dtype=TEXT)
        elif name == "metadata":
            metadata = group.create_group("metadata")
            for key, entry in value.items():
                metadata.create_dataset(key, data=entry)
        elif isinstance(value, np.ndarray) and value.ndim > 0:
            group.create_dataset(name, data=value, **options)
        else:
            group.create_dataset(name, data=value)


def graph(nodes, edges, **rest):
    return {"type": "NIRGraph", "nodes": nodes, "edges": edges, **rest}


def write(name, root, version="1.0.8", **options):
    with h5py.File(FOLDER / f"{name}.nir", "w") as file:
        if version is not None:
            file.create_dataset("version", data=version)
        write_node(file.create_group("node"), root, options)


def chain(*names):
    return list(zip(names, names[1:]))


def f32(*values):
    return np.array(values, dtype=np.float32)


def full(shape, value, dtype=np.float64):
    return np.full(shape, value, dtype=dtype)


def ints(*values):
    return np.array(values, dtype=np.int64)


def ramp(*shape, dtype=np.float32):
    """0, 1/8, 2/8, … : exact in every float type."""
    return (np.arange(np.prod(shape)) / 8).reshape(shape).astype(dtype)


IDENTITY_2 = np.eye(2, dtype=np.float32)


def convolutional():
    """Conv2d, SumPool2d, AvgPool2d, IF, Flatten, Affine: shapes (2,6,8) (3,6,6) (3,3,3) (3,2,2) 12 2."""
    return graph(
        {
            "input": {"type": "Input", "shape": ints(2, 6, 8)},
            "1": {
                "type": "Conv2d",
                "input_shape": ints(6, 8),
                "weight": ramp(3, 2, 1, 3),
                "stride": ints(1, 1),
                "padding": ints(0, 0),
                "dilation": ints(1, 1),
                "groups": 1,
                "bias": f32(0, 1, 2),
            },
            "2": {"type": "IF", "r": full((3, 6, 6), 1.0), "v_threshold": full((3, 6, 6), 2.0)},
            "3": {"type": "SumPool2d", "kernel_size": ints(2, 2), "stride": ints(2, 2), "padding": ints(0, 0)},
            "10": {"type": "AvgPool2d", "kernel_size": ints(2, 2), "stride": ints(1, 1), "padding": ints(0, 0)},
            "11": {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": ints(3, 2, 2)},
            "12": {"type": "Affine", "weight": ramp(2, 12), "bias": f32(-1, 1)},
            "output": {"type": "Output", "shape": ints(2)},
        },
        chain("input", "1", "2", "3", "10", "11", "12", "output"),
    )


def one_dimensional():
    """Conv1d with "same" and numeric padding, Linear, Scale, Threshold, Delay, I, LI, CubaLI, LIF; metadata; odd types."""
    conv = {"type": "Conv1d", "weight": ramp(2, 1, 3, dtype=np.float16), "dilation": 1, "groups": 1}
    return graph(
        {
            "in": {"type": "Input", "shape": ints(1, 5), "metadata": {"made": "by hand", "year": 2026}},
            "same": {**conv, "stride": 1, "padding": "same", "bias": np.array([0, 1], ">f4"), "input_shape": 5},
            "flat": {"type": "Flatten", "start_dim": 0, "end_dim": 1},
            "linear": {"type": "Linear", "weight": np.arange(20, dtype=">i4").reshape(2, 10)},
            "scale": {"type": "Scale", "scale": np.array([0.5, 2.0], ">f8")},
            "threshold": {"type": "Threshold", "threshold": f32(0.5, 0.25)},
            "delay": {"type": "Delay", "delay": f32(0.001, 0.002)},
            "i": {"type": "I", "r": f32(1, 2)},
            "li": {"type": "LI", "tau": f32(0.01, 0.02), "r": f32(1, 1), "v_leak": f32(0, 0.5)},
            "cubali": {
                "type": "CubaLI",
                "tau_syn": f32(0.01, 0.01),
                "tau_mem": f32(0.02, 0.02),
                "r": f32(1, 1),
                "v_leak": f32(0, 0),
            },
            "lif": {
                "type": "LIF",
                "tau": np.float64(0.02),
                "r": full(1, 1.0),
                "v_leak": full(1, 0.0),
                "v_threshold": np.float32(1),
                "v_reset": full(1, -0.5),
            },
            "out": {"type": "Output", "shape": ints(2)},
        },
        chain("in", "same", "flat", "linear", "scale", "threshold", "delay", "i", "li", "cubali", "lif", "out"),
        metadata={"note": "ignored"},
    )


def cuba(neurons, dt=1e-4):
    tau_mem, tau_syn = 2e-3, 1e-3
    return {
        "type": "CubaLIF",
        "tau_mem": full(neurons, tau_mem),
        "tau_syn": full(neurons, tau_syn),
        "r": full(neurons, tau_mem / dt),
        "w_in": full(neurons, tau_syn / dt),
        "v_leak": full(neurons, 0.0),
        "v_threshold": full(neurons, 1.0),
        "v_reset": full(neurons, 0.0),
    }


def recurrent_part(neurons, name="lif"):
    """A nested graph: a population that feeds itself."""
    return graph(
        {
            "input": {"type": "Input", "shape": ints(neurons)},
            name: cuba(neurons),
            "w_rec": {"type": "Linear", "weight": ramp(neurons, neurons)},
            "output": {"type": "Output", "shape": ints(neurons)},
        },
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    )


def nested(name="lif"):
    return graph(
        {
            "input": {"type": "Input", "shape": ints(2)},
            "fc": {"type": "Linear", "weight": ramp(3, 2)},
            "hidden": recurrent_part(3, name),
            "outer": graph(
                {
                    "input": {"type": "Input", "shape": ints(3)},
                    "inner": graph(
                        {
                            "i": {"type": "Input", "shape": ints(3)},
                            "scale": {"type": "Scale", "scale": f32(1, 2, 3)},
                            "o": {"type": "Output", "shape": ints(3)},
                        },
                        [("i", "scale"), ("scale", "o"), ("i", "o")],
                    ),
                    "output": {"type": "Output", "shape": ints(3)},
                },
                chain("input", "inner", "output"),
            ),
            "last": cuba(3),
            "output": {"type": "Output", "shape": ints(3)},
        },
        chain("input", "fc", "hidden", "outer", "last", "output"),
    )


def line(middle, shape_in=ints(2), shape_out=ints(2), edges=None, **more):
    """input -> node -> output."""
    nodes = {"input": {"type": "Input", "shape": shape_in}, "node": middle, **more}
    nodes["output"] = {"type": "Output", "shape": shape_out}
    return graph(nodes, edges if edges is not None else chain("input", "node", "output"))


def main():
    FOLDER.mkdir(exist_ok=True)
    write("convolutional", convolutional())
    write("convolutional_gzip", convolutional(), compression="gzip")
    write("convolutional_lzf", convolutional(), compression="lzf", shuffle=True)
    write("one_dimensional", one_dimensional(), version=None)
    write("nested", nested())
    write("wrong_inner_name", nested("lif1"))

    threshold = {"type": "Threshold", "threshold": f32(0.5, 0.5)}
    twice = chain("input", "node", "output") + [("input", "node")]
    write("repeated_edge", line(threshold, edges=twice))
    write("unknown_type", line({"type": "CubaLIFF", "r": f32(1, 1)}))
    write("misspelt_parameter", line({"type": "IF", "r": f32(1, 1), "v_treshold": f32(1, 1)}))
    write("extra_parameter", line({**threshold, "colour": 3}))
    write("three_dimensional_weight", line({"type": "Linear", "weight": ramp(1, 2, 2)}))
    write("flat_output_shape", line(threshold, shape_out=ints(1, 2)))
    write("mismatch", line({"type": "Linear", "weight": ramp(2, 3)}, shape_in=ints(2)))
    write("no_ends", graph({"a": {"type": "Linear", "weight": IDENTITY_2}, "b": threshold}, chain("a", "b")))
    write("dotted_clash", line(recurrent_part(2), edges=[("input", "node"), ("node", "output")], **{"node.lif": threshold}))
    fixed = np.array([["input", "node"], ["node", "output"]], dtype="S6")
    write("fixed_strings", line(threshold, edges=[]))
    with h5py.File(FOLDER / "fixed_strings.nir", "a") as file:
        del file["node/edges"]
        file["node/edges"] = fixed
        del file["node/type"]
        file["node/type"] = np.bytes_("NIRGraph")


if __name__ == "__main__":
    main()
