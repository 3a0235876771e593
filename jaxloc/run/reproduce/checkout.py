"""RPC's table: counters trained on single products, on pasted ones and on lit ones, measured on checkout images."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxloc.data.annotations import Annotated, Annotations, read
from jaxloc.errors import UsageError
from jaxloc.options import (
    ComposeOptions,
    CountOptions,
    CutOptions,
    EvaluateOptions,
    ExportOptions,
    ReproduceOptions,
    TrainCounterOptions,
    network_options,
)
from jaxloc.run.checkout import compose, count, train
from jaxloc.run.evaluation.counts import LevelScore, measure_counts
from jaxloc.run.export import export
from jaxloc.run.reproduce import papers
from jaxloc.run.reproduce.boxes import Measured
from jaxloc.run.reproduce.data import Prepared
from jaxloc.run.reproduce.results import Row

_COMPOSED, _STEPS, _SIDE, _MARGIN = 2000, 2000, 448, 0.1
_COMPOSITIONS = {"Syn": "none", "Render": "simulated"}
_NOT_MEASURED = "one counter of both sets is not trained"


def measure_checkout(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """Compose, train and count; all of it resumes."""
    images = {split: _of_split(prepared, split) for split in ("train", "test")}
    products = _export(images["train"], out / "products", "crops", margin=_MARGIN)
    single, test = (_export(images[split], out / split, "coco") for split in ("train", "test"))
    shared = network_options(options)
    learning = {name: shared[name] for name in ("weights", "devices", "dtype", "conv", "allow_download")}
    cutting = CutOptions(**{name: value for name, value in shared.items() if name != "max_side"})
    sets = {"Single": single}
    for label, render in _COMPOSITIONS.items():
        how = ComposeOptions(images=_COMPOSED, render=render, side=2 * _SIDE, seed=options.seed, cutting=cutting)  # type: ignore[arg-type]
        sets[label] = compose(products, out / label.lower(), how).exported.folder
    truth = read(test).images
    measured: dict[str, Mapping[str, LevelScore]] = {}
    for label, place in sets.items():
        training = TrainCounterOptions(side=_SIDE, steps=_STEPS, seed=options.seed, **learning)
        counter = train(place, out / f"{label.lower()}-model", training)
        counted = count(counter.file, [test / "images"], out / f"{label.lower()}-counted", CountOptions(**learning))
        found = {image.name: image for image in counted.images}
        measured[label] = measure_counts(found, truth, EvaluateOptions(counts=True, count_threshold="best")).levels
    rows = [
        Row(f"{label}, {level}", measure, ours, paper, reason="" if label in measured else _NOT_MEASURED)
        for label, levels in papers.RPC_TABLE_3.items()
        for level, printed in levels.items()
        for measure, ours, paper in zip(
            papers.RPC_MEASURES, _figures(measured.get(label, {}).get(level)), printed, strict=True
        )
    ]
    notes = [
        f"{len(images['train']):,} exemplars, {_COMPOSED:,} composed images of each kind, {_STEPS:,} steps, and "
        f"{len(images['test']):,} checkout images; the paper composes 100,000.",
    ]
    return Measured(rows, notes)


def _of_split(prepared: Prepared, split: str) -> dict[str, Annotated]:
    images = {name: image for name, image in prepared.truth().items() if split in image.splits and image.path}
    if not images:
        raise UsageError(f"{prepared.place}: has no image of the split {split}: get the whole data set")
    return images


def _export(images: Mapping[str, Annotated], out: Path, format: str, **more: Any) -> Path:
    """The images in a layout of their own, as hard links where that can be."""
    plain = {name: Annotated(**{field: getattr(image, field) for field in _KEPT}) for name, image in images.items()}
    return export(Annotations(plain), out, format, ExportOptions(overwrite=True, **more)).folder


_KEPT = ("name", "annotations", "width", "height", "path", "level")
"""Fields that are exported: a split would make a file of its own."""


def _figures(score: LevelScore | None) -> tuple[float, ...]:
    """``papers.RPC_MEASURES`` of a level; NaN where it was not measured."""
    if score is None:
        return (math.nan,) * len(papers.RPC_MEASURES)
    accuracy, distance, class_distance, class_iou = score.counting
    return 100 * accuracy, distance, class_distance, 100 * class_iou, 100 * score.map50, 100 * score.mmap
