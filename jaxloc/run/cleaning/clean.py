"""Clean a collection: co-localise each class, decide what is kept, and write decisions, page and data set."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from jaxloc._files import write_text
from jaxloc.data import ImageSet, find_sets
from jaxloc.data.annotations import Annotated, Annotation, Annotations
from jaxloc.data.datasets import is_spec
from jaxloc.data.duplicates import Look
from jaxloc.errors import UsageError
from jaxloc.options import CleanOptions, ExportOptions, reading, workers_of
from jaxloc.report import decisions, review_page
from jaxloc.report.decisions import Decisions
from jaxloc.report.records import Findings
from jaxloc.run import outputs
from jaxloc.run.checkpoint import describe_images
from jaxloc.run.cleaning import rounds, rules
from jaxloc.run.cleaning.by_hand import apply_decisions, read_decisions, set_aside
from jaxloc.run.cleaning.hashing import hash_images
from jaxloc.run.export import Exported, export
from jaxloc.run.export_folder import check_replaceable
from jaxloc.run.jobs import colocalize
from jaxloc.run.plan import Images
from jaxloc.run.thumbnails import read_thumbnails
from jaxloc.run.writing import disk_errors, locked


@dataclasses.dataclass(frozen=True)
class Cleaned:
    """What cleaning did: the decisions about every image, the data set written, and the folder of all results."""

    decisions: Decisions
    exported: Exported
    folder: Path


def clean(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: CleanOptions | None = None,
    *,
    per_label: bool = False,
    by_hand: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Cleaned:
    """Turn a collection with a folder for each class into a data set without noise and duplicates, with boxes.

    A killed run resumes when called again and ends with the same bytes. Called again with other thresholds or with
    decisions by hand, it does not run the network again.

    Args:
        source: a folder, archive or data set that ``jaxloc.data.find_sets`` takes.
        out: folder for ``decisions.json``, ``review.html``, ``dataset/`` and ``work/``; a data set of an earlier run is
            replaced, unless something in it was added or changed. Decisions by hand of an earlier run that are not
            given again are kept in ``decisions-before.json``.
        options: ``CleanOptions()`` by default.
        per_label: classes are the labels, not the sub-folders; those of a data set always are.
        by_hand: a file of decisions that take precedence over the rules.
        overwrite: start over if ``out`` holds another run.

    Raises:
        JaxlocError: nothing could be done; the message says why and names the cure.
    """
    options, per_label = options or CleanOptions(), per_label or is_spec(os.fspath(source))
    outputs.check_apart(source, out, "where it would become a class")
    folder = outputs.prepare(out)
    check_replaceable(folder / "dataset", overwrite=True)
    work = folder / "work"
    sets = find_sets([source], per_folder=not per_label, per_label=per_label, exclude=outputs.places(work))
    images = Images(sets)
    identity = describe_images(images)
    decided = {} if by_hand is None else read_decisions(by_hand, identity)
    with locked(folder), disk_errors(folder):
        looks: list[Look | None] = []
        workers, how = workers_of(options.job), reading(options.job)
        job = dataclasses.replace(options.job, noise_threshold=0.0, report_limit=0, overlays=False)
        found = colocalize([source], work, job, per_folder=not per_label, per_label=per_label, overwrite=overwrite)
        if options.duplicates is not None:
            looks = hash_images(images, work, digest=identity["digest"], workers=workers, how=how)
        result = _decide(found, sets, looks, options)
        for _ in range(1, options.rounds):
            found = rounds.further(found, result.items, sets, work, job, overwrite=overwrite)
            result = _decide(found, sets, looks, options)
        items = apply_decisions(result.items, decided, str(by_hand))
        forgotten = set_aside(folder, decided, asked=by_hand is not None, images=identity)
        warnings = [*forgotten, *result.warnings]
        result = dataclasses.replace(result, images=identity, items=items, warnings=warnings)
        shown = review_page.choose_shown(result.items, options.review_limit)
        chosen = {number: images[number].path for number in shown}
        thumbnails = read_thumbnails(chosen, workers=workers, **how)
        decisions.write(folder / "decisions.json", result)
        write_text(folder / "review.html", review_page.render_review(result, shown, thumbnails))
        if not any(item.keep for item in result.items):
            raise UsageError(f"{source}: {rules.nothing_kept(result.items)}; look at {folder / 'review.html'}")
        as_asked = ExportOptions(
            placement=options.placement, found_only=options.found_only, origin=os.fspath(source), overwrite=True
        )
        exported = export(_kept(result, images), folder / "dataset", options.format, as_asked)
    return Cleaned(result, exported, folder)


def _decide(
    found: Findings, sets: Sequence[ImageSet], looks: Sequence[Look | None], options: CleanOptions
) -> Decisions:
    """The rules' decision about every image, in the order of the collection."""
    thresholds = rules.choose_thresholds(found.light(), [images.name for images in sets], options.noise)
    by_image = {
        (item.category, item.name): rules.judge_noise(item, alignment, thresholds[item.category])
        for item, alignment in rules.with_alignments(found.light(deviations=True))
    }
    by_image |= {(item.category, item.name): rules.judge_skipped(item) for item in found.skipped}
    items = [by_image[images.name, source.name] for images in sets for source in images.sources]
    if options.duplicates is not None:
        items = rules.judge_duplicates(items, looks, options.duplicates)
    settings = dict(found.settings)
    del settings["noise threshold"]
    settings |= {
        "noise": str(options.noise),
        "duplicates": "not looked for" if options.duplicates is None else f"up to {options.duplicates} bits of 64",
        "rounds": str(options.rounds),
        "kept without a box": "left out of the data set" if options.found_only else "in the data set, without objects",
    }
    return Decisions(found.title, {}, settings, thresholds, items, found.warnings)


def _kept(result: Decisions, photos: Images) -> Annotations:
    """The kept images with their boxes, and all classes."""
    images = {
        item.name: Annotated(
            name=item.name,
            category=item.category,
            annotations=() if item.box is None else (Annotation(item.category, item.box, score=item.score),),
            width=item.width,
            height=item.height,
            noise_score=item.noise_score,
            path=source.path,
        )
        for item, source in zip(result.items, photos, strict=True)
        if item.keep
    }
    return Annotations(images, categories=tuple(result.thresholds))
