"""Time of DDT on this machine: of the network for an image, and of the transform of all descriptors of a class."""

import os
import platform
import time
from collections import Counter
from pathlib import Path

import jax
import numpy as np

from jaxloc import ddt, moments
from jaxloc.errors import UsageError
from jaxloc.options import LocalizeOptions, ReproduceOptions, network_options
from jaxloc.run.reproduce import papers
from jaxloc.run.reproduce.boxes import Measured
from jaxloc.run.reproduce.data import Prepared
from jaxloc.run.reproduce.results import Row
from jaxloc.run.steps import Steps
from jaxloc.run.stream import open_stream

_CATEGORY = "aeroplane"
_REPEATS = 5


def measure_cost(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """Time extraction and transform for the paper's class; decoding and compiling are not counted."""
    sets = prepared.of_classes([_CATEGORY]).sets()
    if not sets:
        raise UsageError(f"{prepared.place}: has no images of {_CATEGORY}, which ddt-cost is measured on")
    job = LocalizeOptions(method="ddt", max_side=800, **network_options(options))
    engine = Steps(job)
    stream = open_stream(sets[0].sources, engine, job)
    descriptors, seconds = [], 0.0
    warm: set[tuple[int, ...]] = set()
    for batch in stream.batches("extracting"):
        if batch.images.shape not in warm:
            jax.block_until_ready(engine.features(batch))
            warm.add(batch.images.shape)
        start = time.perf_counter()
        maps = jax.block_until_ready(engine.features(batch))
        seconds += time.perf_counter() - start
        features, sizes = jax.device_get(maps[engine.layers[0]])
        for number, values, (rows, columns) in zip(batch.indices.tolist(), features, sizes, strict=True):
            if number >= 0:
                descriptors.append(values[:rows, :columns].reshape(-1, values.shape[-1]).astype(np.float32))
    if not descriptors:
        raise UsageError(f"{prepared.place}: none of the {len(sets[0].sources)} images of {_CATEGORY} can be read")
    every = jax.device_put(np.concatenate(descriptors), engine.mesh.devices.flat[0])
    jax.block_until_ready(_transform(every))
    taken = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(_transform(every))
        taken.append(time.perf_counter() - start)
    images, paper = len(descriptors), papers.DDT_COST
    mean_rows, mean_columns = np.mean(list(stream.sizes.values()), axis=0).tolist()
    kind = "cpu" if jax.default_backend() == "cpu" else "gpu"
    rows = [
        ("images", images, paper.images, 0),
        ("mean rows", mean_rows, paper.rows, 0),
        ("mean columns", mean_columns, paper.columns, 0),
        (f"descriptors of {every.shape[1]} dimensions", len(every), paper.descriptors, 0),
        ("transform of all, s", float(np.median(taken)), paper.transform, 3),
        (f"extraction an image ({kind}), s", seconds / images, paper.extraction[kind], 3),
    ]
    return Measured(
        [Row(_CATEGORY, measure, ours, theirs, images, digits=digits) for measure, ours, theirs, digits in rows],
        [
            f"Measured on {machine()}; the paper's on an Intel Xeon E5-2660 v3 and a K80 GPU.",
            f"The transform is the median of {_REPEATS} runs; extraction is one run over all images.",
            *(f"{number} × {reason}" for reason, number in Counter(stream.skipped.values()).items()),
        ],
    )


def machine() -> str:
    """Description of this machine."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return f"{jax.device_count()} × {device.device_kind}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores"


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@jax.jit
def _transform(descriptors: jax.Array) -> jax.Array:
    model = ddt.fit(moments.of(descriptors), components=1)
    return ddt.indicator_maps(model, descriptors[None])
