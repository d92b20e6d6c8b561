"""Writes the generated files of the examples (numpy only, seeded): python examples/make_examples.py"""
import os

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))


def path(*parts):
    return os.path.join(HERE, *parts)


def two_neurons():
    # 12 steps, one input element, a spike in every step: dense (steps, neurons). Booleans are spikes; uint8 would be levels.
    np.save(path("two-neurons", "input.npy"), np.ones((12, 1), bool))


def recurrent():
    """80 excitatory and 20 inhibitory neurons with random synapses and delays, driven by 10 inputs."""
    random = np.random.default_rng(7)
    excitatory, inhibitory, inputs, steps = 80, 20, 10, 200

    def sparse(targets, sources, probability, low, high):
        connected = random.random((targets, sources)) < probability
        rows, columns = np.nonzero(connected)
        values = random.uniform(low, high, len(rows)).astype(np.float32)
        return rows.astype(np.int32), columns.astype(np.int32), values

    arrays = {}
    for name, arguments in {
        "input": (excitatory, inputs, 0.5, 0.1, 0.4),
        "ee": (excitatory, excitatory, 0.1, 0.02, 0.15),
        "ei": (inhibitory, excitatory, 0.3, 0.02, 0.06),
        "ie": (excitatory, inhibitory, 0.4, -0.4, -0.1),
    }.items():
        rows, columns, values = sparse(*arguments)
        arrays[f"{name}.rows"], arrays[f"{name}.columns"], arrays[f"{name}.values"] = rows, columns, values
    arrays["ie.delays"] = random.integers(1, 4, len(arrays["ie.rows"])).astype(np.int32)
    np.savez_compressed(path("recurrent", "synapses.npz"), **arrays)
    np.save(path("recurrent", "input.npy"), random.random((steps, inputs)) < 0.15)


def convolution():
    """Four oriented edge detectors, pooled: the kernels are Sobel's, not trained."""
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
    diagonal = np.array([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]], np.float32)
    kernels = np.stack([across, across.T, diagonal, np.fliplr(diagonal)])[:, None] / 4
    np.save(path("convolution", "kernels.npy"), kernels)
    np.save(path("convolution", "sums.npy"), np.full((4, 1, 8, 8), 0.25, np.float32))
    # A square, a cross and a diagonal line, 16 by 16, 8 bits.
    images = np.zeros((3, 16, 16), np.uint8)
    images[0, 4:12, 4:12] = 255
    images[1, 7:9, 2:14] = 255
    images[1, 2:14, 7:9] = 255
    for at in range(2, 14):
        images[2, at, at - 1 : at + 2] = 255
    np.save(path("convolution", "images.npy"), images)


def too_big():
    np.savez_compressed(
        path("too-big", "weights.npz"),
        wide=np.full((4, 5000), 0.01, np.float32),
        tall=np.full((140_000, 4), 0.25, np.float32),
    )


if __name__ == "__main__":
    for make in (two_neurons, recurrent, convolution, too_big):
        make()
