"""Makes the cases of `cases/`: architecture, mapped network, and what SANA-FE 2.2.9 says of each step (timing model `simple`).

    pip install sanafe==2.2.9 numpy
    python make_cases.py OUT            the small cases
    python make_cases.py OUT NET.npz    10,000 neurons, 100 synapses each, from arrays tgt (N, K), w (N, K), bias (N) and theta

`steps.csv` has whole picoseconds and femtojoules, rounded from SANA-FE's seconds and joules."""
import csv, pathlib, random, sys
import sanafe

UNITS = {"access": (51.2, 6.0), "update": (21.6, 3.7), "spike": (69.3, 30.0), "in": (0.5, 16.0), "out": (111.0, 5.1)}

def arch(path, width, height, cores, units, sync, hops=((3.0, 4.1), (4.2, 6.5)), soma=UNITS):
    (ew, ewt), (ns, nst) = hops
    hop = "".join(f"        energy_{d}_hop: {e}e-12\n        latency_{d}_hop: {t}e-9\n"
                  for d, e, t in [("north", ns, nst), ("south", ns, nst), ("east", ew, ewt), ("west", ew, ewt)])
    synapses = "".join(f"            - name: {n}\n              attributes: {{model: current_based, energy_process_spike: {e}e-12, latency_process_spike: {t}e-9}}\n"
                       for n, e, t in units)
    a = soma
    path.write_text(f"""architecture:
  name: {path.parent.name}
  attributes:
    topology: mesh
    width: {width}
    height: {height}
    link_buffer_size: 16
{sync}
  tile:
    - name: tile[0..{width * height - 1}]
      attributes:
{hop}      core:
        - name: core[0..{cores - 1}]
          attributes: {{buffer_position: soma, buffer_inside_unit: false, max_neurons_supported: 1024}}
          axon_in:
            - name: in
              attributes: {{energy_message_in: {a["in"][0]}e-12, latency_message_in: {a["in"][1]}e-9}}
          synapse:
{synapses}          dendrite:
            - name: sum
              attributes: {{model: accumulator, energy_update: 0.0, latency_update: 0.0}}
          soma:
            - name: lif
              attributes:
                model: leaky_integrate_fire
                energy_access_neuron: {a["access"][0]}e-12
                latency_access_neuron: {a["access"][1]}e-9
                energy_update_neuron: {a["update"][0]}e-12
                latency_update_neuron: {a["update"][1]}e-9
                energy_spike_out: {a["spike"][0]}e-12
                latency_spike_out: {a["spike"][1]}e-9
          axon_out:
            - name: out
              attributes: {{energy_message_out: {a["out"][0]}e-12, latency_message_out: {a["out"][1]}e-9}}
""")

TABLE = "    sync_model: table\n    latency_sync: {1: 0.6e-6, 2: 1.0e-6, 4: 1.4e-6, 29: 1.8e-6}"
LOIHI = [("dense", 35.5, 3.8), ("sparse", 33.6, 4.7), ("conv", 24.0, 3.1)]

def weight(rng, low, high):
    return rng.choice([w for w in range(low, high + 1) if w])

def units_case(out):
    """Three groups on a mesh of 3 by 2 with 2 cores a tile, each group with a synapse unit of its own; messages to the own core;
    neurons that rest."""
    folder = out / "units"; folder.mkdir(parents=True, exist_ok=True)
    arch(folder / "arch.yaml", 3, 2, 2, LOIHI, TABLE)
    rng = random.Random(3)
    sizes = {"a": 40, "b": 30, "c": 25}; unit = {"a": "dense", "b": "sparse", "c": "conv"}
    t = "network:\n  name: units\n  groups:\n"
    for g, n in sizes.items():
        leak = {"a": 1.0, "b": 0.75, "c": 0.999755859375}[g]
        t += f"  - name: {g}\n    attributes: {{threshold: {12.5 if g == 'b' else 20}, reset: 0, leak_decay: {leak}, soma_hw_name: lif, synapse_hw_name: {unit[g]}, log_spikes: true}}\n    neurons:\n"
        for i in range(n):
            bias = rng.choice([0, 0, 1.5, 3, -1, 2.25]) if g != "c" else 0
            t += f"    - {i}: [bias: {bias}]\n"
    t += "  edges:\n"
    for g in sizes:
        for h in sizes:
            pairs = [(i, j) for i in range(sizes[g]) for j in range(sizes[h]) if rng.random() < 0.15]
            for i, j in pairs[:4]:
                t += f"  - {g}.{i} -> {h}.{j}: [weight: {weight(rng, -3, 6)}]\n"
            t += f"  - {g} -> {h}:\n      type: sparse\n      source_target_pairs: {[list(p) for p in pairs]}\n      weight: {[weight(rng, -6, 10) / 2 for _ in pairs]}\n"
    t += "mappings:\n"
    for g, n in sizes.items():
        for i in range(n):
            t += f"- {g}.{i}: {{core: '{rng.randrange(6) if g != 'c' else 5}.{rng.randrange(2)}'}}\n"
    (folder / "net.yaml").write_text(t)
    run(folder, "net.yaml", 60)

def netlist_case(out):
    """The line format, on a mesh of 2 by 5 with one core a tile and a fixed barrier; every neuron is updated."""
    folder = out / "netlist"; folder.mkdir(parents=True, exist_ok=True)
    costs = {"access": (10.0, 1.25), "update": (7.5, 0.333), "spike": (1.0, 2.0), "in": (3.0, 0.5), "out": (2.0, 40.0)}
    arch(folder / "arch.yaml", 2, 5, 1, [("only", 1.125, 0.007)], "    sync_model: fixed\n    latency_sync: 12.5e-9", ((1.0, 2.0), (3.5, 1.0)), costs)
    rng = random.Random(5)
    t = "# a network in lines\n"
    t += "g 50 threshold=10 force_update=1 soma_hw_name=lif synapse_hw_name=only leak_decay=0.5\n"
    t += "g 20 threshold=3.25 force_update=1 soma_hw_name=lif synapse_hw_name=only\n"
    for i in range(50):
        t += f"n 0.{i} bias={rng.choice([0.0, 4.0, 6.0, 7.5])}\n"
    for _ in range(500):
        s, d = (0, rng.randrange(50)), (rng.randrange(2), rng.randrange(20))
        t += f"e {s[0]}.{s[1]}->{d[0]}.{d[1]} weight={weight(rng, -2, 4)}.0\n"
    for g, n in ((0, 50), (1, 20)):
        for i in range(n):
            t += f"& {g}.{i}@{rng.randrange(10)}.0\n"
    (folder / "net.net").write_text(t)
    run(folder, "net.net", 40)

def convolution_case(out):
    """Two convolutions and a dense layer on a mesh of 8 by 4 with 4 cores a tile."""
    folder = out / "convolution"; folder.mkdir(parents=True, exist_ok=True)
    arch(folder / "arch.yaml", 8, 4, 4, LOIHI, TABLE)
    rng = random.Random(7)
    t = "network:\n  name: convolution\n  groups:\n"
    sizes = [("in", 7 * 6), ("one", 3 * 3 * 2), ("two", 2 * 2 * 4), ("out", 5)]
    for g, n in sizes:
        t += f"  - name: {g}\n    attributes: {{threshold: {30 if g == 'in' else 40}, soma_hw_name: lif, synapse_hw_name: {'dense' if g == 'out' else 'conv'}}}\n    neurons:\n"
        t += "".join(f"    - {i}: {{bias: {rng.choice([0, 3, 7, 11])}}}\n" for i in range(n)) if g == "in" else f"    - 0..{n - 1}: [bias: 0]\n"
    values = lambda n: [weight(rng, -9, 25) for _ in range(n)]
    t += "  edges:\n"
    t += f"  - in -> one: {{type: conv2d, input_width: 7, input_height: 6, input_channels: 1, kernel_width: 3, kernel_height: 2, kernel_count: 2, stride_width: 2, stride_height: 2, weight: {values(12)}}}\n"
    t += f"  - one -> two: {{type: conv2d, input_width: 3, input_height: 3, input_channels: 2, kernel_width: 2, kernel_height: 2, kernel_count: 4, stride_width: 1, stride_height: 1, weight: {values(32)}}}\n"
    t += f"  - two -> out: {{type: dense, weight: {values(80)}}}\n"
    t += "mappings:\n"
    for g, n in sizes:
        for i in range(n):
            t += f"- {g}.{i}: [core: '{rng.choice([0, 9, 31])}.{rng.randrange(2)}']\n"
    (folder / "net.yaml").write_text(t)
    run(folder, "net.yaml", 50)

def synthetic_case(out, npz):
    import numpy as np
    d = np.load(npz); tgt, w, bias, theta = d["tgt"], d["w"], d["bias"], int(d["theta"]); n = len(bias)
    for name, per, steps in (("packed", 1000, 1000), ("spread", -(-n // 128), 60)):
        folder = out / name; folder.mkdir(parents=True, exist_ok=True)
        costs = dict(UNITS); costs["in"] = (0.0, 16.0)
        arch(folder / "arch.yaml", 8, 4, 4, LOIHI, TABLE, soma=costs)
        with open(folder / "net.yaml", "w") as f:
            f.write(f"network:\n  name: {name}\n  groups:\n  - name: n\n    attributes: {{threshold: {theta}, reset: 0, leak_decay: 1.0, force_update: true, soma_hw_name: lif, synapse_hw_name: sparse}}\n    neurons:\n")
            f.writelines(f"    - {i}: {{bias: {bias[i]}}}\n" for i in range(n))
            f.write("  edges:\n  - n -> n:\n      type: sparse\n      source_target_pairs: [" + ", ".join(f"[{i}, {t}]" for i in range(n) for t in tgt[i]) + "]\n")
            f.write("      weight: [" + ", ".join(map(str, w.ravel())) + "]\nmappings:\n")
            f.writelines(f"- n.{c * per}..{min(n, c * per + per) - 1}: {{core: '{c // 4}.{c % 4}'}}\n" for c in range(-(-n // per)))
        run(folder, "net.yaml", steps)

def run(folder, network, steps):
    architecture = sanafe.load_arch(str(folder / "arch.yaml"))
    net = sanafe.load_net(str(folder / network), architecture, use_netlist_format=network.endswith(".net"))
    chip = sanafe.SpikingChip(architecture); chip.load(net)
    trace = folder / "perf.csv"
    total = chip.sim(steps, timing_model="simple", processing_threads=1, scheduler_threads=0, perf_trace=str(trace))
    del chip
    hops = [int(row["hops"]) for row in csv.DictReader(open(trace))]
    trace.unlink()
    chip = sanafe.SpikingChip(sanafe.load_arch(str(folder / "arch.yaml"))); chip.load(net)
    with open(folder / "steps.csv", "w") as f:
        f.write("fired,updated,packets,hops,synaptic_events,time_ps,soma_fj,synapse_fj,network_fj\n")
        for step in range(steps):
            r = chip.sim(1, timing_model="simple", processing_threads=1, scheduler_threads=0)
            e = r["energy"]
            f.write(",".join(map(str, [r["neurons_fired"], r["neurons_updated"], r["packets_sent"], hops[step], r["spikes"], round(r["sim_time"] * 1e12),
                    round(e["soma"] * 1e15), round(e["synapse"] * 1e15), round(e["network"] * 1e15)])) + "\n")
    print(folder.name, {k: v for k, v in total.items() if not k.endswith("_trace")})

out = pathlib.Path(sys.argv[1])
if len(sys.argv) > 2:
    synthetic_case(out, sys.argv[2])
else:
    units_case(out); netlist_case(out); convolution_case(out)
