"""Exact search beside FAISS and NumPy: seconds for the same queries, and whether all find the same rows.

    pip install faiss-cpu
    python benchmarks/search.py [--gallery 100000] [--dimension 512] [--queries 1000] [--k 10 100] [--repeats 5]

Each side runs in a process of its own, in turn (A B C A B C …), and searches a few times within it; its time is the
fastest of these, for on a shared machine anything slower is somebody else's work. The ratio is taken turn by turn. The
first search, compilation included, is shown apart. Processor seconds tell a slow search from a busy machine, but
FAISS's threads spin while they wait. Every list is checked against a float64 sort: rows may differ only where scores do
by less than 1e-6. Memory is the peak during the searches, compilation included, beyond what was held before them: the
vectors and the index.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from peers import memory, reset_peak, run

SIDES = ("jaxloc", "faiss", "numpy")
SEARCHES = 5
TIE = 1e-6


def main() -> None:
    """Run all sides and print the table, or, as a child process, one side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gallery", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--k", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--lists", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    queries = unit_vectors(arguments.queries, arguments.dimension, 1)
    gallery = unit_vectors(arguments.gallery, arguments.dimension, 0)
    if arguments.side:
        measure(arguments, queries, gallery)
        return
    print(f"{arguments.queries} queries in {arguments.gallery} vectors of {arguments.dimension} dimensions")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    with tempfile.TemporaryDirectory() as scratch:
        for k in arguments.k:
            compare(arguments, k, Path(scratch), queries, gallery)


def compare(arguments: argparse.Namespace, k: int, scratch: Path, queries: np.ndarray, gallery: np.ndarray) -> None:
    """Time all sides in turn for one k, print them, and check their lists."""
    times: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    options = ["gallery", "dimension", "queries", "threads"]
    common = [word for name in options for word in (f"--{name}", str(getattr(arguments, name)))]
    for _ in range(arguments.repeats):
        for side in SIDES:
            command = [sys.executable, __file__, *common, "--k", str(k), "--side", side]
            done = run([*command, "--lists", str(scratch / f"{side}.npy")])
            times[side].append(json.loads(done.output.splitlines()[-1]))
    print(f"k = {k}")
    for side, found in times.items():
        ratios = [ours["seconds"] / theirs["seconds"] for ours, theirs in zip(times["jaxloc"], found, strict=True)]
        middle = {name: statistics.median(turn[name] for turn in found) for name in found[0]}
        print(
            f"  {side:7} {middle['seconds']:7.3f} s   processor {middle['processor']:7.3f} s   "
            f"first {middle['first']:7.3f} s   extra {middle['extra_mb']:6.0f} MB   "
            f"jaxloc / {side} {statistics.median(ratios):.2f}"
        )
    scores = queries.astype(np.float64) @ gallery.astype(np.float64).T
    order = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.take_along_axis(order, np.argsort(-np.take_along_axis(scores, order, 1), 1, kind="stable"), 1)
    best = np.take_along_axis(scores, order, 1)
    for side in SIDES:
        indices = np.load(scratch / f"{side}.npy")
        wrong = np.abs(np.take_along_axis(scores, indices, 1) - best) > TIE
        print(f"  {side:7} {(indices == order).mean():.6%} of rows as in float64, {wrong.sum()} wrong beyond ties")


def measure(arguments: argparse.Namespace, queries: np.ndarray, gallery: np.ndarray) -> None:
    """Search a few times with one side, print its times, and save its lists."""
    prepare = {"jaxloc": prepare_jaxloc, "faiss": prepare_faiss, "numpy": prepare_numpy}[arguments.side]
    search = prepare(queries, gallery, arguments.k[0], arguments.threads)
    before = reset_peak()
    seconds, processor = [], []
    for _ in range(SEARCHES + 1):
        start, used = time.perf_counter(), time.process_time()
        indices = search()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    np.save(arguments.lists, indices)
    found = {"first": seconds[0], "seconds": min(seconds[1:]), "processor": min(processor[1:])}
    print(json.dumps(found | {"extra_mb": memory("VmHWM") - before}))


def prepare_jaxloc(queries: np.ndarray, gallery: np.ndarray, k: int, threads: int) -> Callable[[], np.ndarray]:
    import functools

    import jax

    from jaxloc import ranking

    on_device = jax.block_until_ready(jax.device_put((queries, gallery)))
    search = jax.jit(functools.partial(ranking.top_k, k=k))
    return lambda: np.asarray(search(*on_device).indices)


def prepare_faiss(queries: np.ndarray, gallery: np.ndarray, k: int, threads: int) -> Callable[[], np.ndarray]:
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(gallery.shape[1])
    index.add(gallery)
    return lambda: index.search(queries, k)[1]


def prepare_numpy(queries: np.ndarray, gallery: np.ndarray, k: int, threads: int) -> Callable[[], np.ndarray]:
    def search() -> np.ndarray:
        scores = queries @ gallery.T
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        return np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, 1), 1, kind="stable"), 1)

    return search


def unit_vectors(count: int, dimension: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
