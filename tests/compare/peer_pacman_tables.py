"""PACMAN's compressors over its own tables.

    python peer_pacman_tables.py FOLDER    lines of JSON: table, compressor, entries in total and on the fullest chip, CPU seconds
"""
import contextlib
import io
import json
import os
import sys
import time

from pacman.config_setup import unittest_setup
from pacman.data.pacman_data_writer import PacmanDataWriter
from pacman.model.routing_tables import MulticastRoutingTables
from pacman.model.routing_tables.multicast_routing_tables import from_json
from pacman.model.routing_tables.uncompressed_multicast_routing_table import from_csv
from pacman.operations.router_compressors import RangeCompressor, pair_compressor
from spinn_machine import virtual_machine
from spinn_utilities.config_holder import set_config

folder = sys.argv[1]
unittest_setup()
set_config("Machine", "version", "5")
set_config("Mapping", "router_table_compress_as_far_as_possible", "True")


def timed(work):
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.process_time()
        result = work()
        return result, time.process_time() - start


def tell(table, compressor, sizes, seconds):
    print(json.dumps({"case": table, "by": compressor, "entries": sum(sizes), "fullest": max(sizes), "cpu_seconds": seconds}), flush=True)


for name in ("table1", "table2"):
    table = from_csv(os.path.join(folder, f"{name}.csv.gz"))
    short, seconds = timed(lambda: RangeCompressor().compress_table(table))
    tell(name, "PACMAN range", [short.number_of_entries], seconds)
tables = from_json(os.path.join(folder, "many_to_one.json.gz"))
for name, options in (("PACMAN pair", {"c_sort": True}), ("PACMAN pair, in Python", {"c_sort": False})):
    writer = PacmanDataWriter.mock()
    writer.set_precompressed(tables)
    writer.set_machine(virtual_machine(24, 24))
    short, seconds = timed(lambda: pair_compressor(**options))
    sizes = [short.get_routing_table_for_chip(table.x, table.y).number_of_entries for table in tables]
    tell("many_to_one", name, sizes, seconds)
