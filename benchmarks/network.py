"""Networks alone, by jaxloc, torch and OpenVINO, in float32 and bfloat16, on two processor cores.

    pip install torch openvino torchvision timm transformers     # each peer is timed if it is there
    python benchmarks/network.py [--cases 224x1 448x8 mixed …] [--sides …] [--repeats R]
    python benchmarks/network.py --network resnet50 --network efficientnet-lite0 --cases 224x1 224x8

VGG-16 computes relu5_3. Other networks have random parameters and compute all there is, to the class scores.

Each side is a process of its own on the same two cores, and they are asked in turn, so that a busy machine slows all
alike. A figure is the median over the rounds; a ratio is the median of the rounds' ratios. "mixed" is eight sizes of
photographs: jaxloc pads them to one batch, the peers, which would let padding leak into the features, take them one by
one, OpenVINO with a model compiled for each size. jaxloc's time includes scaling and normalising the pixels; the peers
get theirs ready. Every side's features are compared with those of jaxloc's direct convolution.

The first line says which instructions for bfloat16 the processor has. Without any, libraries emulate it, torch at an
eighth of its speed in float32, so that its sides are left out unless asked for. Other networks than VGG-16 are timed in
float32, by XLA and the peers.
"""

import argparse
import importlib.util
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from network_sides import SIDES

CASES = {
    "224x1": [(224, 224)],
    "350x498x1": [(350, 498)],
    "448x1": [(448, 448)],
    "224x8": [(224, 224)] * 8,
    "350x498x8": [(350, 498)] * 8,
    "448x8": [(448, 448)] * 8,
    "mixed": [(375, 500), (333, 500), (375, 500), (350, 498), (364, 500), (333, 499), (375, 500), (356, 493)],
}
PEERS = ("torch channels-last", "OpenVINO", "torch channels-last bfloat16", "OpenVINO bfloat16")


class Worker:
    """One side in a process of its own."""

    def __init__(self, side: str, sizes: list[tuple[int, int]], features: Path, cores: str, network: str) -> None:
        script = str(Path(__file__).with_name("network_sides.py"))
        command = [sys.executable, script, side, json.dumps(sizes), str(features), cores, network]
        self.side = side
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def ask(self) -> float:
        """Let the side run once; its seconds."""
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> float:
        """The number on the next line."""
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.side}: the process ended")
        return float(line)

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


class Timing(NamedTuple):
    """One side of one case: seconds by round, and the largest difference of a feature over the largest feature."""

    seconds: list[float]
    difference: float


def measure(
    network: str, sizes: list[tuple[int, int]], sides: list[str], repeats: int, cores: str
) -> dict[str, Timing]:
    """Time the sides in turn."""
    with tempfile.TemporaryDirectory() as scratch:
        files = {side: Path(scratch, f"{number}.npy") for number, side in enumerate(sides)}
        workers = [Worker(side, sizes, files[side], cores, network) for side in sides]
        rounds = [{worker.side: worker.ask() for worker in workers} for _ in range(repeats)]
        for worker in workers:
            worker.close()
        features = {side: np.load(file) for side, file in files.items()}
    reference = features.get("jaxloc direct", features[sides[0]])
    largest = np.abs(reference).max()
    return {
        side: Timing([r[side] for r in rounds], np.abs(features[side] - reference).max() / largest) for side in sides
    }


def ratio(timings: dict[str, Timing], side: str, peer: str) -> str:
    """The median of the rounds' ratios."""
    if peer not in timings:
        return "–"
    return f"{statistics.median(a / b for a, b in zip(timings[side].seconds, timings[peer].seconds, strict=True)):.2f}"


def processor() -> tuple[str, list[str]]:
    """Name of the processor, and its instructions for bfloat16."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    return name, sorted(flags & {"amx_bf16", "avx512_bf16"})


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", help="vgg16 by default")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--sides", nargs="+", choices=SIDES, help="all that the processor computes by default")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cores", default="0,1", help="processor cores that every side may use")
    arguments = parser.parse_args()
    name, instructions = processor()
    asked = arguments.sides or [side for side in SIDES if instructions or not side.endswith("bfloat16")]
    sides = [side for side in asked if importlib.util.find_spec(SIDES[side])]
    for side in set(asked) - set(sides):
        print(f"{side}: {SIDES[side]} is not installed, so it is left out")
    print(f"{name}, bfloat16 instructions: {', '.join(instructions) or 'none'}\n")
    print("| network | case | side | ms | " + " | ".join(f"/ {peer}" for peer in PEERS) + " | difference | load |")
    print("|" + "---|" * (6 + len(PEERS)))
    for network, case in itertools.product(arguments.network or ["vgg16"], arguments.cases):
        able = [side for side in sides if network == "vgg16" or side in ("jaxloc", *PEERS[:2], "torch")]
        timings = measure(network, CASES[case], able, arguments.repeats, arguments.cores)
        load = os.getloadavg()[0]
        for side, timing in timings.items():
            ratios = " | ".join(ratio(timings, side, peer) for peer in PEERS)
            milliseconds = f"{1000 * statistics.median(timing.seconds):.1f}"
            cells = f"{network} | {case} | {side} | {milliseconds} | {ratios} | {timing.difference:.0e} | {load:.1f}"
            print(f"| {cells} |", flush=True)


if __name__ == "__main__":
    main()
