"""The README's pure functions, called as they are and inside a jit of one's own: time of the first and of later calls.

    python benchmarks/eager.py [--side 32] [--channels 512]

Nothing is read from a compilation cache.
"""

import argparse
import functools
import os
import statistics
import time

os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)

import jax
import numpy as np

from jaxloc import ddt, moments, scda


def main() -> None:
    """Print milliseconds of the first call and the median of 20 later ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=32, help="rows and columns of the feature maps")
    parser.add_argument("--channels", type=int, default=512)
    arguments = parser.parse_args()
    rng, side = np.random.default_rng(0), arguments.side
    shape = (side, side, arguments.channels)
    features = [jax.device_put(np.maximum(rng.normal(size=shape), 0).astype(np.float32)) for _ in range(4)]
    size = (16 * side, 16 * side)
    model = jax.device_get(ddt.fit(functools.reduce(moments.merge, map(moments.of, features))))
    calls = {
        "scda.localize": lambda x: scda.localize(x, size),
        "moments.of": moments.of,
        "ddt.localize": lambda x: ddt.localize(model, x, size),
    }
    for way, wrap in (("as it is", lambda call: call), ("inside jit", jax.jit)):
        for name, call in calls.items():
            jax.clear_caches()
            wrapped, times = wrap(call), []
            for number in range(21):
                began = time.perf_counter()
                jax.block_until_ready(wrapped(features[number % 4]))
                times.append(1000 * (time.perf_counter() - began))
            print(f"{name:14} {way:10} first {times[0]:7.1f} ms, then {statistics.median(times[1:]):6.2f} ms")


if __name__ == "__main__":
    main()
