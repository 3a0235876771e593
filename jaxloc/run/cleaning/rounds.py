"""Co-localise a collection again, with models fitted on the kept images only, which noise does not affect."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxloc._files import checksum, digest
from jaxloc.data import ImageSet
from jaxloc.options import LocalizeOptions
from jaxloc.report.decisions import Decision
from jaxloc.report.records import Findings
from jaxloc.run import model_file, outputs
from jaxloc.run.fit_pass import MINIMUM_SET
from jaxloc.run.runner import Run
from jaxloc.run.steps import Steps


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

    A class with too few kept images keeps the findings ``before``; ``items`` are the decisions on them, in the order of
    the collection. A digest of the kept names identifies this round in the folder ``work``.
    """
    kept, whole = [], []
    decisions = iter(items)
    for images in sets:
        chosen = [source for source, item in zip(images.sources, decisions, strict=False) if item.keep]
        if len(chosen) >= MINIMUM_SET:
            kept.append(ImageSet(images.name, chosen))
            whole.append(images)
    if not kept:
        return before
    names = "\0".join(source.name for images in kept for source in images.sources)
    work = work / f"kept-{digest(names)[:12]}"
    steps = Steps(job)
    fitting, looking = outputs.prepare(work / "fit"), outputs.prepare(work / "all")
    with Run(kept, fitting, steps, overwrite=overwrite) as run:
        warnings = run.colocalize().warnings
    fitted = model_file.load(fitting / "model.safetensors")
    depends = {"model": checksum(fitting / "model.safetensors")}
    with Run(whole, looking, steps, depends=depends, overwrite=overwrite) as run:
        after = run.localize(fitted.sets)
    done = {images.name for images in whole}
    return dataclasses.replace(
        after,
        title=before.title,
        images=sorted(
            [
                *after.light(deviations=True),
                *(item for item in before.light(deviations=True) if item.category not in done),
            ],
            key=lambda item: item.category,
        ),
        skipped=[*after.skipped, *(item for item in before.skipped if item.category not in done)],
        warnings=warnings,
    )
