"""DDT's fit of one set while other work keeps the cores busy, with one BLAS thread and with all of them.

The fit is an eigendecomposition::

    python benchmarks/busy_cores.py [--dimension 512] [--busy 0 1 2] [--repeats 5]
"""

import argparse
import contextlib
import hashlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np

from jaxloc import ddt, moments
from jaxloc.run.blas import one_blas_thread


@contextlib.contextmanager
def busy(threads: int) -> Iterator[None]:
    """Keep a number of cores busy with work that does not hold the interpreter's lock."""
    done = threading.Event()

    def work() -> None:
        block = bytes(1 << 20)
        while not done.is_set():
            hashlib.sha256(block).digest()

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in running:
            thread.join()


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Of calls one after another."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    """Print one line for each number of busy threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    rows = np.random.default_rng(0).normal(size=(4 * arguments.dimension, arguments.dimension)).astype(np.float32)
    sums = moments.of(rows)

    fit = jax.jit(ddt.fit)

    def once() -> None:
        jax.block_until_ready(fit(sums))

    once()
    for threads in arguments.busy:
        with busy(threads):
            every = median_seconds(once, arguments.repeats)
            with one_blas_thread():
                one = median_seconds(once, arguments.repeats)
        print(
            f"{threads} busy threads: one BLAS thread {1000 * one:7.1f} ms, all of them {1000 * every:7.1f} ms, "
            f"ratio {one / every:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
