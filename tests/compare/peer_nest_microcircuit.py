"""The microcircuit of examples/microcircuit, the very synapses of its files, in NEST.

    python peer_nest_microcircuit.py FOLDER STEPS SEED    one line of JSON: rates by population, spikes, CPU seconds of the run

Neurons are `iaf_psc_exp` (exact integration, floats), the background is a Poisson process for each neuron, as published.
"""
import json
import os
import sys
import time

import nest
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/microcircuit"))
import make_microcircuit as model

folder, steps, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
arrays = np.load(os.path.join(folder, "synapses.npz"))
scale = round(sum(len(arrays[f"{name}.v"]) for name in model.NAMES) / model.SIZES.sum(), 3)
with open(os.path.join(folder, "net.ron")) as file:
    leaks = [float(line.split("v_leak: ")[1].split(",")[0]) for line in file if "v_leak: " in line]

nest.set_verbosity("M_ERROR")
nest.set(resolution=model.DT_MS, rng_seed=seed, local_num_threads=1)
populations, detectors = [], []
for at, name in enumerate(model.NAMES):
    population = nest.Create("iaf_psc_exp", len(arrays[f"{name}.v"]), {
        "C_m": model.CAPACITY_PF, "tau_m": model.TAU_MEMBRANE_MS, "tau_syn_ex": model.TAU_SYNAPSE_MS,
        "tau_syn_in": model.TAU_SYNAPSE_MS, "t_ref": model.REFRACTORY_STEPS * model.DT_MS, "E_L": 0.0, "V_reset": 0.0,
        "V_th": model.THRESHOLD_MV, "I_e": leaks[at] / model.RESISTANCE,
    })
    population.V_m = arrays[f"{name}.v"].astype(float)
    background = nest.Create("poisson_generator", params={"rate": model.EXTERNAL_INPUTS[at] * scale * model.EXTERNAL_HZ})
    weight = model.WEIGHT_PA / np.sqrt(scale)
    nest.Connect(background, population, syn_spec={"weight": weight, "delay": model.DT_MS})
    detector = nest.Create("spike_recorder")
    nest.Connect(population, detector)
    populations.append(population)
    detectors.append(detector)
for target, name in enumerate(model.NAMES):
    for source, source_name in enumerate(model.NAMES):
        key = f"{source_name}_{name}"
        if f"{key}.rows" not in arrays:
            continue
        nest.Connect(
            np.array(populations[source].tolist())[arrays[f"{key}.columns"]],
            np.array(populations[target].tolist())[arrays[f"{key}.rows"]],
            "one_to_one",
            {"weight": arrays[f"{key}.values"].astype(float),
             "delay": (arrays[f"{key}.delays"].astype(float) + 1) * model.DT_MS,
             "synapse_model": "static_synapse"},
        )
nest.Prepare()
start = time.process_time()
nest.Run(steps * model.DT_MS)
seconds = time.process_time() - start
nest.Cleanup()
spikes = [detector.n_events for detector in detectors]
rates = {name: count / len(population) / (steps * model.DT_MS * 1e-3)
         for name, count, population in zip(model.NAMES, spikes, populations)}
print(json.dumps({"rates_hz": rates, "spikes": sum(spikes), "cpu_seconds": seconds}))
