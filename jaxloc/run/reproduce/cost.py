"""Time of DDT on this machine: of the network for an image, and of the transform of all descriptors of a class."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxloc import ddt, moments
from jaxloc.errors import UsageError
from jaxloc.options import LocalizeOptions, ReproduceOptions
from jaxloc.run.reproduce import papers
from jaxloc.run.reproduce.boxes import Measured
from jaxloc.run.reproduce.data import Prepared
from jaxloc.run.reproduce.results import Row
from jaxloc.run.steps import Steps
from jaxloc.run.stream import open_stream

CATEGORY = "aeroplane"
_REPEATS = 5


def measure_cost(prepared: Prepared, weights: str, options: ReproduceOptions) -> Measured:
    """Time extraction and transform for the paper's class; decoding and compiling are not counted."""
    sets = prepared.of_classes([CATEGORY]).sets()
    if not sets:
        raise UsageError(f"{prepared.place}: has no images of {CATEGORY}, which ddt-cost is measured on")
    job = LocalizeOptions(method="ddt", max_side=800, **options.reading(weights))
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
        raise UsageError(f"{prepared.place}: none of the {len(sets[0].sources)} images of {CATEGORY} can be read")
    every = jax.device_put(np.concatenate(descriptors), engine.mesh.devices.flat[0])
    transform = _median_seconds(lambda: _transform(every))
    sizes_of = np.array(list(stream.sizes.values()), float)
    return Measured(
        _rows(len(descriptors), sizes_of.mean(0), every.shape, transform, seconds),
        [
            f"Measured on {machine()}; the paper's on an Intel Xeon E5-2660 v3 and a K80 GPU.",
            f"The transform is the median of {_REPEATS} runs; extraction is one run over all images.",
            *(f"{number} × {reason}" for number, reason in _counted(list(stream.skipped.values()))),
        ],
    )


def machine() -> str:
    """Description of this machine."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return f"{jax.device_count()} × {device.device_kind}"
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"
    )


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _rows(images: int, mean_size: np.ndarray, shape: tuple[int, ...], transform: float, extraction: float) -> list[Row]:
    paper = papers.DDT_COST
    kind = "cpu" if jax.default_backend() == "cpu" else "gpu"
    return [
        Row(CATEGORY, "pictures", images, paper.images, images, digits=0),
        Row(CATEGORY, "mean rows", float(mean_size[0]), paper.rows, images, digits=0),
        Row(CATEGORY, "mean columns", float(mean_size[1]), paper.columns, images, digits=0),
        Row(CATEGORY, f"descriptors of {shape[1]} dimensions", shape[0], paper.descriptors, images, digits=0),
        Row(CATEGORY, "transform of all, s", transform, paper.transform, images, digits=3),
        Row(
            CATEGORY,
            f"extraction an image ({kind}), s",
            extraction / images,
            paper.extraction[kind],
            images,
            digits=3,
        ),
    ]


def _transform_of(descriptors: jax.Array) -> jax.Array:
    model = ddt.fit(moments.of(descriptors), components=1)
    return ddt.indicator_maps(model, descriptors[None])


_transform = jax.jit(_transform_of)


def _median_seconds(work: Callable[[], Any]) -> float:
    jax.block_until_ready(work())
    taken = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(work())
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def _counted(reasons: list[str]) -> list[tuple[int, str]]:
    return [(reasons.count(reason), reason) for reason in dict.fromkeys(reasons)]
