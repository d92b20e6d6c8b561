"""Runs other tools and snncc on the same work, by turns on this machine, and prints what came out and the ratios.

    python3 tests/compare/compare.py multicast --peers FOLDER --data FOLDER
    python3 tests/compare/compare.py microcircuit --peers FOLDER [--scale 0.1] [--seeds 5]

`--peers` is a folder for the other tools (virtual environments, made on first use) and for scratch files; nothing is installed
elsewhere. `--data` holds `pacman/` and `microcircuit/`: PACMAN's benchmark tables and the mapping cases (docs/MULTICAST.md).
Times are CPU seconds of one thread. Python 3.11, the standard library alone.
"""
import argparse
import json
import os
import re
import resource
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CONFIGURATION = "[Machine]\nversion = 5\nvirtual_board = True\n[Reports]\nwrite_network_graph = False\n" \
    "write_text_specs = False\n[Mapping]\nvirtual_compressor = PairCompressor\n" \
    "router_table_compress_as_far_as_possible = True\n"


def python(peers, name, packages):
    """The interpreter of a virtual environment with these packages."""
    folder = peers / name
    interpreter = folder / "bin/python"
    if not interpreter.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([interpreter, "-m", "pip", "install", "-q", *packages], check=True)
    return interpreter


def output(command, **options):
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    if ended.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{ended.stdout[-2000:]}{ended.stderr[-4000:]}")
    return ended.stdout


def timed(command, **options):
    """CPU seconds of a command, all threads and its start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output(command, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def records(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def table(head, rows):
    widths = [max(len(str(row[at])) for row in [head, *rows]) for at in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |")


def multicast(options):
    """Routing tables and mapping against PACMAN."""
    if options.data is None:
        sys.exit("multicast: --data names no folder")
    interpreter = python(options.peers, "pacman", ["sPyNNaker==1!7.4.1", "setuptools<81"])
    home = options.peers / "pacman-home"
    home.mkdir(exist_ok=True)
    (home / ".spynnaker.cfg").write_text(CONFIGURATION)
    environment = os.environ | {"HOME": str(home)}
    theirs = {}
    for record in records(output([interpreter, HERE / "peer_pacman_tables.py", options.data / "pacman"], env=environment, cwd=home)):
        theirs.setdefault(record["case"], []).append(record)
    for case, neurons in (("pd100_256", 256), ("pd100_64", 64)):
        record = records(output([interpreter, HERE / "peer_pacman_mapping.py", neurons], env=environment, cwd=home))[-1]
        theirs[case] = [{"by": "PACMAN", "entries": "", "cpu_seconds": record["cpu_seconds"]}]
    ours = output(
        ["cargo", "test", "--release", "--locked", "-q", "-p", "snncc-multicast", "--test", "data", "--", "--nocapture", "--test-threads", "1"],
        cwd=ROOT, env=os.environ | {"SNNCC_SPINNAKER_DATA": str(options.data.resolve())},
    )
    rows = []
    for pattern in (r"(table\d): \d+ -> (\d+) entries in ([\d.]+) s", r"(many_to_one), defaults kept false: (\d+) entries.* in ([\d.]+) s",
                    r"(pd100_\d+): \d+ traversals, (\d+) entries.* ([\d.]+) s"):
        for case, entries, seconds in re.findall(pattern, ours):
            for record in theirs[case]:
                ratio = record["cpu_seconds"] / float(seconds)
                rows.append([case, record["by"], record["entries"], f"{record['cpu_seconds']:.4f}", entries, seconds, f"{ratio:.1f}"])
    table(["case", "peer", "its entries", "its CPU s", "snncc entries", "snncc CPU s", "its / ours"], rows)


def microcircuit(options):
    """Rates on the SpiNNaker-like machine against NEST on the very same synapses."""
    interpreter = python(options.peers, "nest", ["nest-simulator==3.10.0", "numpy"])
    work = options.peers / f"microcircuit-{options.scale}"
    example = ROOT / "examples/microcircuit/make_microcircuit.py"
    if not (work / "net.ron").exists():
        print(output([interpreter, example, "network", options.scale, work]), end="")
    subprocess.run(["cargo", "build", "--release", "--locked", "-q", "-p", "snncc"], cwd=ROOT, check=True)
    snncc = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "release/snncc"
    output([snncc, "compile", "net.ron", "--target", options.target, "--no-align", "--allow-loop-latency", "--force", "-o", "out"], cwd=work)
    names, ours, theirs = [], [], []
    for seed in range(1, options.seeds + 1):
        record = records(output([interpreter, HERE / "peer_nest_microcircuit.py", work, options.steps, seed]))[-1]
        names = list(record["rates_hz"])
        theirs.append(list(record["rates_hz"].values()))
        seconds = timed([snncc, "emulate", "out", "--input", "background.npy", "--data-kind", "levels", "--coding", "poisson", "--seed",
                         seed, "--steps", options.steps, "--check-samples", 0, "-o", f"run-{seed}"], cwd=work)
        text = output([interpreter, example, "rates", work, work / f"run-{seed}/counters.json"])
        ours.append([float(rate) for rate in re.findall(r"([\d.]+) Hz", text)])
        print(f"seed {seed}: NEST {record['cpu_seconds']:.1f} CPU s (run alone), snncc {seconds:.1f} CPU s (whole command)", file=sys.stderr)
    rows = []
    for at, name in enumerate(names):
        nest, snn = [run[at] for run in theirs], [run[at] for run in ours]
        mean = lambda values: sum(values) / len(values)
        rows.append([name, f"{mean(nest):.3f}", f"{min(nest):.3f} to {max(nest):.3f}", f"{mean(snn):.3f}", f"{min(snn):.3f} to {max(snn):.3f}"])
    table(["population", "NEST, Hz", "its seeds", "snncc, Hz", "its seeds"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=["multicast", "microcircuit"])
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--scale", default="0.1")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--target", default="spinnaker-48chip")
    options = parser.parse_args()
    options.peers = options.peers.resolve()
    options.peers.mkdir(parents=True, exist_ok=True)
    {"multicast": multicast, "microcircuit": microcircuit}[options.work](options)


if __name__ == "__main__":
    main()
