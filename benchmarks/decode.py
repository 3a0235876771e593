"""Images decoded per second: the library's threads beside Grain's threads and its worker processes.

    pip install grain
    python benchmarks/decode.py FOLDER [--shorter-side 224] [--workers 2] [--images 1000] [--repeats 5] [--busy]

Each side runs in a process of its own, in turn (A B C A B C …), and decodes the same images in the same order; the
folder is gone through as often as needed. The first images, with the start of threads or processes, are shown apart.
With ``--busy`` a network's convolutions run all the while in the consuming thread, once for every batch of eight: then
the rate is that of the whole. "Waited" is the share of the time in which the consumer had no image, "processor" the
processor seconds of all threads and processes with imports: on a shared machine the fairer figure.
"""

import argparse
import functools
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from peers import run

from jaxloc.data import Source, find_sets, read_image
from jaxloc.data.ahead import read_ahead

SIDES = ("threads", "grain threads", "grain processes", "one thread")
BATCH = 8
Side = Callable[[Sequence[Source], int | None, int], Iterator[np.ndarray]]


def main() -> None:
    """Run all sides and print the table, or, as a child process, one side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shorter-side", type=int, default=0, help="0 for full size")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        measure(arguments)
        return
    found: dict[str, list[dict]] = {side: [] for side in SIDES}
    for _ in range(arguments.repeats):
        for side in SIDES:
            done = run([sys.executable, *sys.argv, "--side", side])
            [line] = (line for line in done.output.splitlines() if line.startswith('{"rate"'))
            found[side].append(json.loads(line) | {"peak_mb": done.peak_mb, "processor": done.processor_seconds})
    if len({turn["digest"] for turns in found.values() for turn in turns}) != 1:
        raise SystemExit("the sides do not give the same images in the same order")
    for side, turns in found.items():
        ratios = [theirs["rate"] / ours["rate"] for ours, theirs in zip(found["threads"], turns, strict=True)]
        middle = {name: statistics.median(turn[name] for turn in turns) for name in turns[0] if name != "digest"}
        print(
            f"{side:16} {middle['rate']:7.1f} images/s   {statistics.median(ratios):.2f} of threads   "
            f"waited {middle['wait']:.0%}   processor {middle['processor']:.1f} s   "
            f"first {middle['first']:.2f} s   largest process {middle['peak_mb']:.0f} MB"
        )


def measure(arguments: argparse.Namespace) -> None:
    """Decode with one side, and print its rate, the time to its first image, and what it gave."""
    [images] = find_sets([arguments.folder])
    sources = [images.sources[i % len(images.sources)] for i in range(arguments.images)]
    work = convolve() if arguments.busy else None
    sides: dict[str, Side] = {
        "threads": with_threads,
        "grain threads": with_grain_threads,
        "grain processes": with_grain_processes,
        "one thread": lambda sources, side, _: (decode(source, side) for source in sources),
    }
    digest = hashlib.sha256()
    start = time.perf_counter()
    photos = sides[arguments.side](sources, arguments.shorter_side or None, arguments.workers)
    first = next(photos)
    begun = time.perf_counter()
    digest.update(first[::16, ::16].tobytes())
    waited = 0.0
    for number in range(1, len(sources)):
        before = time.perf_counter()
        digest.update(next(photos)[::16, ::16].tobytes())
        waited += time.perf_counter() - before
        if work and number % BATCH == 0:
            work()
    taken = time.perf_counter() - begun
    result = {"rate": (len(sources) - 1) / taken, "first": begun - start, "wait": waited / taken}
    print(json.dumps(result | {"digest": digest.hexdigest()}))


def decode(source: Source, shorter_side: int | None) -> np.ndarray:
    return read_image(source.path, shorter_side=shorter_side).pixels


def with_threads(sources: Sequence[Source], shorter_side: int | None, workers: int) -> Iterator[np.ndarray]:
    function = functools.partial(decode, shorter_side=shorter_side)
    return read_ahead(function, sources, workers=workers, ahead=2 * workers + BATCH)


def with_grain_threads(sources: Sequence[Source], shorter_side: int | None, workers: int) -> Iterator[np.ndarray]:
    import grain

    function = functools.partial(decode, shorter_side=shorter_side)
    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=2 * workers + BATCH)
    return iter(grain.MapDataset.source(sources).map(function).to_iter_dataset(options))


def with_grain_processes(sources: Sequence[Source], shorter_side: int | None, workers: int) -> Iterator[np.ndarray]:
    import grain
    from absl import flags

    flags.FLAGS(sys.argv[:1])  # else Grain's processes do not start
    function = functools.partial(decode, shorter_side=shorter_side)
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
    dataset = grain.MapDataset.source(sources).map(function).to_iter_dataset(options)
    return iter(dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=BATCH)))


def convolve() -> Callable[[], object]:
    """Three convolutions over a batch, 5.5 GFLOP."""
    import jax

    images = jax.random.normal(jax.random.key(0), (BATCH, 28, 28, 128))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 128, 128))

    @jax.jit
    def network(images: jax.Array) -> jax.Array:
        for _ in range(3):
            images = jax.lax.conv_general_dilated(
                images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        return images.sum()

    network(images).block_until_ready()
    return lambda: network(images).block_until_ready()


if __name__ == "__main__":
    main()
