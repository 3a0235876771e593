"""Co-localise a collection, and again with models fitted on the kept images only, which noise does not affect."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxloc.data import ImageSet, Source
from jaxloc.options import LocalizeOptions
from jaxloc.report.decisions import Decision
from jaxloc.report.records import Findings
from jaxloc.run import model_file, outputs
from jaxloc.run.fit_pass import MINIMUM_SET
from jaxloc.run.jobs import colocalize
from jaxloc.run.runner import Run
from jaxloc.run.steps import Steps


def first(
    source: str | os.PathLike[str], work: Path, job: LocalizeOptions, *, per_label: bool, overwrite: bool
) -> Findings:
    """Co-localise every class of the collection."""
    return colocalize([source], work, job, per_folder=not per_label, per_label=per_label, overwrite=overwrite)


def further(
    before: Findings,
    items: Sequence[Decision],
    sets: Sequence[ImageSet],
    work: Path,
    job: LocalizeOptions,
    *,
    overwrite: bool,
) -> Findings:
    """Fit each class on its kept images and localise in all of its images again.

    A class with too few kept images keeps the findings of the previous round.

    Args:
        before: findings of the previous round.
        items: decisions of the previous round, in the order of the collection.
        sets: the collection.
        work: folder of rounds; a digest of the kept names identifies this round.
        job: how DDT is run.
        overwrite: start over if the folder holds another run.
    """
    kept, whole = [], []
    start = 0
    for images in sets:
        numbers = np.flatnonzero([item.keep for item in items[start : start + len(images.sources)]])
        start += len(images.sources)
        if len(numbers) >= MINIMUM_SET:
            kept.append(ImageSet(images.name, _take(images.sources, numbers)))
            whole.append(images)
    if not kept:
        return before
    names = "\0".join(source.name for images in kept for source in images.sources)
    work = work / f"kept-{hashlib.sha256(names.encode()).hexdigest()[:12]}"
    steps = Steps(job)
    fitting, looking = outputs.prepare(work / "fit"), outputs.prepare(work / "all")
    with Run(kept, fitting, steps, overwrite=overwrite) as run:
        warnings = run.colocalize().warnings
    fitted = model_file.load(fitting / "model.safetensors")
    depends = {"model": hashlib.sha256((fitting / "model.safetensors").read_bytes()).hexdigest()}
    with Run(whole, looking, steps, depends=depends, overwrite=overwrite) as run:
        after = run.localize(fitted.sets)
    done = {images.name for images in whole}
    return dataclasses.replace(
        after,
        title=before.title,
        images=sorted(
            [*after.light(), *(item for item in before.light() if item.category not in done)],
            key=lambda item: item.category,
        ),
        skipped=[*after.skipped, *(item for item in before.skipped if item.category not in done)],
        warnings=warnings,
    )


def _take(sources: Sequence[Source], numbers: np.ndarray) -> Sequence[Source]:
    return [sources[number] for number in numbers.tolist()]
