"""The Potjans-Diesmann microcircuit mapped by sPyNNaker/PACMAN on virtual boards (nothing is run).

    python peer_pacman_mapping.py NEURONS_PER_CORE    one line of JSON: CPU seconds of each stage

Needs `.spynnaker.cfg` in the home folder with `version = 5`, `virtual_board = True` (compare.py writes one).
"""
import json
import os
import sys
import time

import spinn_front_end_common.interface.abstract_spinnaker_base as base

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/microcircuit"))
import make_microcircuit as model

STAGES = ("place_application_graph", "route_application_graph", "merged_routing_table_generator", "pair_compressor")
cpu_seconds = {}


def watch(stage):
    inner = getattr(base, stage)

    def outer(*arguments, **options):
        start = time.process_time()
        result = inner(*arguments, **options)
        cpu_seconds[stage] = cpu_seconds.get(stage, 0) + time.process_time() - start
        return result

    setattr(base, stage, outer)


for stage in STAGES:
    watch(stage)
# Mapping alone: no data for cores, no reports that need it.
for part in ("_do_data_generation", "_execute_graph_provenance_gatherer", "_execute_create_database_interface",
             "_report_sdram_usage_per_chip"):
    setattr(base.AbstractSpinnakerBase, part, lambda self, *arguments, **options: None)

import spynnaker.pyNN as pynn

per_core = int(sys.argv[1])
pynn.setup(timestep=1.0)
pynn.set_number_of_neurons_per_core(pynn.IF_curr_exp, per_core)
pynn.set_number_of_neurons_per_core(pynn.SpikeSourcePoisson, per_core)
populations, sources = [], []
for name, size, inputs in zip(model.NAMES, model.SIZES, model.EXTERNAL_INPUTS):
    populations.append(pynn.Population(int(size), pynn.IF_curr_exp(), label=name))
    rate = model.EXTERNAL_HZ * int(inputs)
    sources.append(pynn.Population(int(size), pynn.SpikeSourcePoisson(rate=rate), label=f"background_{name}"))
for source, population in zip(sources, populations):
    pynn.Projection(source, population, pynn.OneToOneConnector(), pynn.StaticSynapse(weight=0.0878, delay=1.0))
for row, target in enumerate(populations):
    for column, source in enumerate(populations):
        probability = model.PROBABILITIES[row][column]
        if probability > 0:
            kind = "excitatory" if column % 2 == 0 else "inhibitory"
            pynn.Projection(source, target, pynn.FixedProbabilityConnector(probability),
                            pynn.StaticSynapse(weight=0.0878, delay=1.0), receptor_type=kind)
pynn.run(10)
print(json.dumps({"stages": cpu_seconds, "cpu_seconds": sum(cpu_seconds.values())}), flush=True)
os._exit(0)
