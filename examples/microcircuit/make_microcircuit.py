"""Writes the cortical microcircuit at a scale, runs it in floats, or gives the rates of spikes (numpy only, seeded).

    python make_microcircuit.py network SCALE FOLDER         net.ron, synapses.npz, background.npy
    python make_microcircuit.py floats FOLDER STEPS [SEED]   rates of the same network in floats, delays as on the machine
    python make_microcircuit.py rates FOLDER COUNTERS        rates of a run of `snncc emulate`: its counters.json

Sources: T. C. Potjans, M. Diesmann, Cerebral Cortex 24 (2014), doi 10.1093/cercor/bhs358: table 5 (sizes, probabilities, weights,
delays). S. J. van Albada, M. Helias, M. Diesmann, PLoS Computational Biology 11 (2015), doi 10.1371/journal.pcbi.1004490: fewer
inputs at each neuron, weights divided by the square root of the scale, a constant current for the rest of the mean input.
"""
import json
import os
import sys

import numpy as np

NAMES = ["L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I"]
SIZES = np.array([20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948])
# From column to row.
PROBABILITIES = np.array([
    [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0000, 0.0076, 0.0000],
    [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0000, 0.0042, 0.0000],
    [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0000],
    [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0000, 0.1057, 0.0000],
    [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0000],
    [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0000],
    [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
    [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
])
EXTERNAL_INPUTS = np.array([1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100])
EXTERNAL_HZ = 8.0
# Rates of the network at full scale, for the mean input that scaling takes away: NEST's parameters of the model.
FULL_HZ = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])
# Where membranes begin, in mV, as in NEST's parameters of the model (`optimized`); the means are quoted from memory, and only shape the first steps.
START_MV = np.array([-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43])
START_DEVIATION_MV = np.array([5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48])

DT_MS, TAU_MEMBRANE_MS, TAU_SYNAPSE_MS, CAPACITY_PF = 0.1, 10.0, 0.5, 250.0
REST_MV, THRESHOLD_MV = -65.0, 15.0  # The threshold is above rest, which is also the reset.
WEIGHT_PA, RELATIVE_DEVIATION, INHIBITION = 87.8, 0.1, -4.0
DELAY_MS, DELAY_DEVIATION_MS, LONGEST_STEPS = (1.5, 0.75), (0.75, 0.375), 64
REFRACTORY_STEPS = 20  # 2 ms
RESISTANCE = TAU_MEMBRANE_MS / CAPACITY_PF  # mV per pA
# Euler steps with these constants decay as exponentials with the published ones.
EULER_MEMBRANE_MS = DT_MS / -np.expm1(-DT_MS / TAU_MEMBRANE_MS)
EULER_SYNAPSE_MS = DT_MS / -np.expm1(-DT_MS / TAU_SYNAPSE_MS)
GAIN = TAU_SYNAPSE_MS / DT_MS  # A spike brings the charge weight · tau.


def weights_pa():
    """Mean weights at full scale, from column to row."""
    weights = np.where(np.arange(8) % 2 == 0, WEIGHT_PA, INHIBITION * WEIGHT_PA) * np.ones((8, 1))
    weights[0, 2] *= 2
    return weights


def inputs_each():
    """Synapses of one neuron of the row from the column, at full scale: pairs were drawn with replacement."""
    pairs = np.outer(SIZES, SIZES).astype(float)
    return np.log(1 - PROBABILITIES) / np.log1p(-1 / pairs) / SIZES[:, None]


def network(scale, folder):
    os.makedirs(folder, exist_ok=True)
    random = np.random.default_rng(1)
    sizes = np.rint(SIZES * scale).astype(int)
    full_weights, each = weights_pa(), inputs_each()
    lost = 1 - np.sqrt(scale)
    mean = (full_weights * each) @ FULL_HZ + WEIGHT_PA * EXTERNAL_INPUTS * EXTERNAL_HZ
    constant_pa = lost * mean * TAU_SYNAPSE_MS * 1e-3
    arrays, nodes, edges = {}, [], []

    # A source for each neuron: at most a spike a step. With p / (1 + p) and weights of 1 + p, mean and variance of the input are
    # those of a Poisson process with p spikes a step.
    per_step = EXTERNAL_INPUTS * scale * EXTERNAL_HZ * DT_MS * 1e-3
    background = np.repeat(per_step / (1 + per_step), sizes)
    np.save(os.path.join(folder, "background.npy"), background.astype(np.float32)[None])
    nodes.append(f'"background": Input(shape: [{sizes.sum()}])')
    starts = np.concatenate([[0], np.cumsum(sizes)])

    for at, name in enumerate(NAMES):
        size = sizes[at]
        start = random.normal(START_MV[at] - REST_MV, START_DEVIATION_MV[at], size)
        arrays[f"{name}.v"] = np.minimum(start, THRESHOLD_MV - 0.01).astype(np.float32)
        nodes.append(
            f'"{name}": CubaLif(shape: [{size}], tau_syn: {EULER_SYNAPSE_MS * 1e-3:.12}, w_in: {GAIN:.12}, '
            f"tau_mem: {EULER_MEMBRANE_MS * 1e-3:.12}, r: {RESISTANCE:.12}, v_leak: {RESISTANCE * constant_pa[at]:.12}, "
            f'v_threshold: {THRESHOLD_MV}, refractory_steps: {REFRACTORY_STEPS + 1}, '
            f'v_initial: File("synapses.npz", "{name}.v"), comparison: GreaterOrEqual)'
        )
        nodes.append(f'"{name}_out": Output(shape: [{size}])')
        edges.append((name, f"{name}_out"))

    def linear(name, source, target, shape, rows, columns, values, delays):
        arrays[f"{name}.rows"], arrays[f"{name}.columns"] = rows.astype(np.int32), columns.astype(np.int32)
        # Small files: 11 bits of a weight are many beside its random part.
        arrays[f"{name}.values"] = values.astype(np.float16)
        delay = ""
        if delays is not None:
            # An edge takes a step of its own on the machine.
            arrays[f"{name}.delays"] = (delays - 1).astype(np.uint8)
            delay = f', delay: File("synapses.npz", "{name}.delays")'
        files = ", ".join(f'{part}: File("synapses.npz", "{name}.{part}")' for part in ("rows", "columns", "values"))
        nodes.append(f'"{name}": Linear(weight: Sparse(shape: ({shape[0]}, {shape[1]}), {files}){delay})')
        edges.extend([(source, name), (name, target)])

    for target, name in enumerate(NAMES):
        own = np.arange(sizes[target])
        values = np.full(sizes[target], WEIGHT_PA / np.sqrt(scale) * (1 + per_step[target]))
        shape = (sizes[target], sizes.sum())
        linear(f"background_{name}", "background", name, shape, own, starts[target] + own, values, None)
        for source, source_name in enumerate(NAMES):
            count = int(round(each[target, source] * scale * sizes[target]))
            shape = (sizes[target], sizes[source])
            # Distinct pairs: a small network has no room for more.
            count = min(count, shape[0] * shape[1])
            if count == 0:
                continue
            pairs = np.sort(random.choice(shape[0] * shape[1], count, replace=False, shuffle=False))
            rows, columns = np.divmod(pairs, shape[1])
            weight = full_weights[target, source] / np.sqrt(scale)
            values = random.normal(weight, abs(weight) * RELATIVE_DEVIATION, count)
            values = np.maximum(values, 0) if weight > 0 else np.minimum(values, 0)
            kind = source % 2
            delays = np.rint(random.normal(DELAY_MS[kind], DELAY_DEVIATION_MS[kind], count) / DT_MS)
            delays = np.clip(delays, 1, LONGEST_STEPS)
            linear(f"{source_name}_{name}", source_name, name, shape, rows, columns, values, delays)

    np.savez_compressed(os.path.join(folder, "synapses.npz"), **arrays)
    with open(os.path.join(folder, "net.ron"), "w") as file:
        file.write(f"// The cortical microcircuit at scale {scale}; voltages in mV above rest, currents in pA: make_microcircuit.py\n")
        file.write(f"(\n    schema: 1,\n    dt: {DT_MS * 1e-3},\n    nodes: {{\n")
        file.writelines(f"        {node},\n" for node in nodes)
        file.write("    },\n    edges: [\n")
        file.writelines(f'        ("{source}", "{target}"),\n' for source, target in edges)
        file.write("    ],\n)\n")
    print(sizes.sum(), "neurons,", sum(len(arrays[name]) for name in arrays if name.endswith(".values")), "synapses")


def floats(folder, steps, seed=2):
    """Runs the network with the equations of `CubaLif`."""
    arrays = np.load(os.path.join(folder, "synapses.npz"))
    random = np.random.default_rng(seed)
    sizes = np.array([len(arrays[f"{name}.v"]) for name in NAMES])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    level = np.load(os.path.join(folder, "background.npy"))[0]
    total = int(sizes.sum())
    sources, targets, values, delays = [], [], [], []
    for target, name in enumerate(NAMES):
        for source, source_name in enumerate(NAMES):
            key = f"{source_name}_{name}"
            if f"{key}.rows" in arrays:
                sources.append(arrays[f"{key}.columns"] + starts[source])
                targets.append(arrays[f"{key}.rows"] + starts[target])
                values.append(arrays[f"{key}.values"].astype(np.float32))
                delays.append(arrays[f"{key}.delays"].astype(np.int32) + 1)
    sources, targets = np.concatenate(sources), np.concatenate(targets)
    values, delays = np.concatenate(values), np.concatenate(delays)
    order = np.argsort(sources, kind="stable")
    targets, values, delays = targets[order], values[order], delays[order]
    rows = np.concatenate([[0], np.cumsum(np.bincount(sources, minlength=total))])
    external = np.concatenate([arrays[f"background_{name}.values"] for name in NAMES]).astype(float)

    with open(os.path.join(folder, "net.ron")) as file:
        leaks = [line.split("v_leak: ")[1].split(",")[0] for line in file if "v_leak: " in line]
    leak = np.repeat(np.array(leaks, float), sizes)
    voltage = np.concatenate([arrays[f"{name}.v"] for name in NAMES]).astype(float)
    current, left = np.zeros(total), np.zeros(total, int)
    ring = np.zeros((LONGEST_STEPS + 1, total))
    counts = np.zeros(total, int)
    for step in range(steps):
        arrived = ring[step % len(ring)]
        arrived += external * (random.random(total) < level)
        current += DT_MS / EULER_SYNAPSE_MS * (GAIN * arrived - current)
        arrived[:] = 0
        moved = voltage + DT_MS / EULER_MEMBRANE_MS * (leak - voltage + RESISTANCE * current)
        voltage = np.where(left > 0, 0.0, moved)
        left = np.maximum(left - 1, 0)
        spiking = np.nonzero(voltage >= THRESHOLD_MV)[0]
        voltage[spiking], left[spiking] = 0.0, REFRACTORY_STEPS
        counts[spiking] += 1
        for neuron in spiking:
            row = slice(rows[neuron], rows[neuron + 1])
            np.add.at(ring, ((step + delays[row]) % len(ring), targets[row]), values[row])
    for at, name in enumerate(NAMES):
        print(f"{name:5} {counts[starts[at]:starts[at + 1]].mean() / (steps * DT_MS * 1e-3):6.2f} Hz")


def rates(folder, counters):
    """Rates of a run of `snncc emulate`."""
    arrays = np.load(os.path.join(folder, "synapses.npz"))
    with open(counters) as file:
        counted = json.load(file)
    for name in NAMES:
        size = len(arrays[f"{name}.v"])
        print(f"{name:5} {counted['spikes'][name] / size / (counted['steps'] * DT_MS * 1e-3):6.2f} Hz")


if __name__ == "__main__":
    command, arguments = sys.argv[1], sys.argv[2:]
    if command == "network":
        network(float(arguments[0]), arguments[1])
    elif command == "floats":
        floats(arguments[0], *map(int, arguments[1:]))
    else:
        rates(arguments[0], arguments[1])
