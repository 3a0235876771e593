"""``jaxloc colocalize`` several times in one process: the first pass is cold, the next warm, a last one by stage.

It prints JSON like ``plain_torch_ddt.py``. Stages overlap in a normal run (images decode while the network runs),
so they are timed in a pass of their own, in which each waits for the one before.

    python benchmarks/jaxloc_ddt.py PHOTOS --boxes jaxloc.json
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

start = time.perf_counter()

import jax

from jaxloc import run
from jaxloc.inference import Extractor
from jaxloc.run import feature_cache, fit_pass, outputs, runtime, steps, stream


def timed(seconds: dict[str, float], stage: str, function: Callable) -> Callable:
    """The same function, waiting for its result and adding up its seconds."""

    def wrapped(*args, **kwargs):
        began = time.perf_counter()
        result = jax.block_until_ready(function(*args, **kwargs))
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - began
        return result

    return wrapped


def by_stage(photos: Path, options: run.Options) -> dict[str, float]:
    """Seconds of each stage in a pass of its own."""
    seconds: dict[str, float] = {}
    stream.Stream._read = timed(seconds, "decode", stream.Stream._read)
    Extractor.features = timed(seconds, "network", Extractor.features)
    steps.Steps.moments = timed(seconds, "moments", steps.Steps.moments)
    fit_pass._fit = timed(seconds, "eigenvectors", fit_pass._fit)
    feature_cache.FeatureCache.put = timed(seconds, "keep features", feature_cache.FeatureCache.put)
    steps.Steps.localize = timed(seconds, "boxes", steps.Steps.localize)
    outputs.write = timed(seconds, "write", outputs.write)
    once(photos, options)
    return seconds


def once(photos: Path, options: run.Options) -> tuple[float, dict[str, list]]:
    """Seconds of one pass, and the boxes it found by file name."""
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        findings = run.colocalize([photos], out, options)
        return time.perf_counter() - began, {Path(f.name).name: list(f.box) for f in findings.images if f.box}


def main() -> None:
    """Run the passes and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--cache", default="none", help="folder of compiled programs, which the command has by default")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--stages", action="store_true", help="one more pass, timed by stage")
    arguments = parser.parse_args()
    imported = time.perf_counter()
    # Thumbnails and the page are work that the plain script does not do, but users get them: they are counted.
    options = run.Options(max_side=0, batch=arguments.batch, dtype=arguments.dtype, engine=arguments.engine)
    passes = []
    with runtime.set_up(cache=arguments.cache):
        for _ in range(arguments.passes):
            seconds, boxes = once(arguments.photos, options)
            passes.append(seconds)
        stages = by_stage(arguments.photos, options) if arguments.stages else {}
    arguments.boxes.write_text(json.dumps(boxes))
    print(json.dumps({"import": imported - start, "passes": passes, "stages": stages}))


if __name__ == "__main__":
    main()
