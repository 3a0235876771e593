"""Tables of methods that ask a classifier: beam search after training on labels, and the curves of EISS."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxloc.data import ImageSet
from jaxloc.data.annotations import Annotated
from jaxloc.data.datasets import DatasetPart
from jaxloc.data.sources import Sources
from jaxloc.errors import UsageError
from jaxloc.metrics import box_iou
from jaxloc.options import (
    EvaluateOptions,
    FinetuneOptions,
    LocalizeEachOptions,
    ReproduceOptions,
    network_options,
)
from jaxloc.report.records import Findings
from jaxloc.run import outputs
from jaxloc.run.evaluation import evaluate
from jaxloc.run.finetune import finetune
from jaxloc.run.reproduce import papers
from jaxloc.run.reproduce.boxes import Measured, class_rows, notes_of, predictions_of
from jaxloc.run.reproduce.data import Prepared
from jaxloc.run.reproduce.results import Row
from jaxloc.run.runner import Run
from jaxloc.run.steps import Steps

_SPLITS = {"voc07": ("trainval", "test"), "voc12": ("train", "val"), "coco": ("train2014", "val2014")}
"""What is learnt from and what is measured on, by data set."""
_MEASURES = {"points": ("point AP", papers.BEAM_POINT), "detections": ("AP", papers.BEAM_DETECTION)}
_ITERATIONS, _EACH, _WINDOWS, _NEVER = 30, 100, "random:16", -1e9
_SHOWN = (0, 1, 2, 3, 5, 10, 15, 20, 30)


def measure_beam(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """Learn a classifier of the training images' labels; find an object of each class in the others by beam search."""
    learnt, tested = _roles(prepared)
    shared = network_options(options)
    same = {name: shared[name] for name in ("weights", "dtype", "workers", "allow_download")}
    training = FinetuneOptions(multi_label=True, seed=options.seed, **same)
    tuned = finetune([], out / "tuning", training, annotated=learnt)
    job = LocalizeEachOptions(method="beam", top_k=len(tuned.classes), **{**shared, "weights": str(tuned.weights)})
    findings = _run(prepared, tested, out / "beam", job, options)
    kind = prepared.table.kind
    measure, paper = _MEASURES[kind]
    rules: dict[str, Any] = {"point": kind == "points", "detection": kind == "detections"}
    recalls = "11" if prepared.name == "voc07" else "area"
    how = EvaluateOptions(samples=options.samples, seed=options.seed, recalls=recalls, **rules)  # type: ignore[arg-type]
    result = evaluate(predictions_of(findings), tested, how)
    rows = class_rows(result, measure, f"{measure}, %", paper[prepared.name])
    kept = tuned.epochs[tuned.best].validation_map
    notes = [
        f"{len(learnt):,} images are learnt from and {len(tested):,} measured on; on the images held out of training "
        f"the classifier's mean average precision is {100 * (math.nan if kept is None else kept):.1f} %.",
    ]
    return Measured(rows, notes + notes_of(findings, result))


def measure_curves(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """Mean scores of the region cropped and erased, and its IoU with the object, against the iteration."""
    chosen = _single(prepared, options.seed)
    rows: list[Row] = []
    curves: dict[str, dict[str, list[float]]] = {}
    for kept in (1, 5):
        job = LocalizeEachOptions(
            method="eiss",
            windows=_WINDOWS,
            classes_kept=kept,
            max_iterations=_ITERATIONS,
            eta=_NEVER,
            seed=options.seed,
            **network_options(options),
        )
        findings = _run(prepared, chosen, out / f"top-{kept}", job, options)
        each = [_curve(one.regions, chosen[one.name]) for one in findings.light() if one.regions]
        if not each:
            raise UsageError(f"{prepared.place}: none of the {len(chosen)} images could be searched")
        mean = np.mean(each, 0)
        curves[f"K = {kept}"] = dict(zip(("cropped", "erased", "IoU"), mean.tolist(), strict=True))
        cropped, erased, iou = mean
        for iteration in _SHOWN:
            label = f"K = {kept}, iteration {iteration}"
            for measure, values in (("cropped, % of the image's score", cropped), ("erased, % likewise", erased)):
                rows.append(Row(label, measure, 100 * float(values[iteration]), images=len(each), digits=1))
            rows.append(Row(label, "IoU, %", 100 * float(iou[iteration]), images=len(each), digits=1))
        peak, measure = float(iou.argmax()), "iteration of the greatest IoU"
        rows.append(Row(f"K = {kept}", measure, peak, papers.EISS_PEAK, len(each), digits=0))
    return Measured(rows, [], curves)


def _roles(prepared: Prepared) -> tuple[dict[str, Annotated], dict[str, Annotated]]:
    """The images to learn from and those to measure on: by split, or every other one of each class without splits."""
    images = {name: image for name, image in prepared.truth().items() if image.path is not None}
    if prepared.name in _SPLITS and any(image.splits for image in images.values()):
        learnt, tested = (
            {name: image for name, image in images.items() if split in image.splits} for split in _SPLITS[prepared.name]
        )
    else:
        names = sorted(images, key=lambda name: (sorted(images[name].labels), name))
        learnt, tested = ({name: images[name] for name in names[start::2]} for start in (0, 1))
    if not learnt or not tested:
        lacking = _SPLITS[prepared.name][0 if not learnt else 1]
        raise UsageError(f"{prepared.place}: has no image of the split {lacking}: get the whole data set")
    return learnt, tested


def _single(prepared: Prepared, seed: int) -> dict[str, Annotated]:
    """At most a hundred images of each class that hold one object of it, at random; each image once."""
    rng = np.random.default_rng(seed)
    truth, chosen = prepared.truth(), dict[str, Annotated]()
    for category, numbers in sorted(prepared.numbers.items()):
        names = [prepared.part.name(number) for number in numbers.tolist()]
        names = [name for name in names if [one.category for one in truth[name].annotations].count(category) == 1]
        for name in sorted(rng.permutation(names)[:_EACH].tolist()):
            only = tuple(one for one in truth[name].annotations if one.category == category)
            chosen.setdefault(name, Annotated(name, annotations=only, path=truth[name].path))
    if not chosen:
        raise UsageError(f"{prepared.place}: no image holds a single object of its class")
    return chosen


def _curve(regions: tuple[tuple[float, ...], ...], image: Annotated) -> np.ndarray:
    """Cropped and erased score as shares of the image's own, and IoU, at each iteration: ``[3, iterations + 1]``."""
    table = np.array(regions)
    table = table[np.minimum(np.arange(_ITERATIONS + 1), len(table) - 1)]  # a search that ended stays where it is
    overlap = box_iou(table[:, :4], [image.annotations[0].box])[:, 0]
    return np.stack([table[:, 4] / table[0, 4], table[:, 5] / table[0, 4], overlap])


def _run(
    prepared: Prepared, images: Mapping[str, Annotated], out: Path, job: LocalizeEachOptions, options: ReproduceOptions
) -> Findings:
    sets = [ImageSet("object", Sources([("", DatasetPart(prepared.part.place, images))]))]
    with Run(sets, outputs.prepare(out), Steps(job), overwrite=options.overwrite) as run:
        return run.localize()
