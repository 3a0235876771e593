"""Count the products in images with a trained counter: boxes, a table of counts, and a page."""

import collections
import csv
import dataclasses
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxloc._files import write_text
from jaxloc.data import Source, find_sets, read_image, read_size
from jaxloc.data.annotations import Annotated, Annotation
from jaxloc.errors import UsageError
from jaxloc.options import CountOptions, NetworkOptions, workers_of
from jaxloc.report.counted_page import Counted, render_counted
from jaxloc.report.exports import coco
from jaxloc.report.exports.job import Job
from jaxloc.report.records import Skipped
from jaxloc.report.tables import text_table
from jaxloc.report.text import SHOWN, counted, reasons
from jaxloc.run import outputs
from jaxloc.run.checkout import model
from jaxloc.run.checkout.compose import THUMBNAIL, as_counted
from jaxloc.run.checkout.model import LEAST_SCORE, Counter
from jaxloc.run.checkout.train import engine_of
from jaxloc.run.engine import memory_errors, of_network
from jaxloc.run.frozen import padded_maps, read_within
from jaxloc.run.thumbnails import read_thumbnails
from jaxloc.run.writing import disk_errors, locked

COUNTS, TABLE, PAGE = "counts.json", "counts.csv", "report.html"


@dataclasses.dataclass(frozen=True)
class CountedImages:
    """Images whose products were counted.

    Attributes:
        images: with every item found, also those whose score is below the threshold.
        threshold: the least score that was counted.
        skipped: reasons, by name of the image.
    """

    images: list[Annotated]
    threshold: float
    counter: Counter
    skipped: dict[str, str]
    folder: Path

    def counts(self, image: Annotated) -> dict[str, int]:
        """Number of items of each kind in an image, most first."""
        names = [one.category for one in image.annotations if one.score >= self.threshold]
        return dict(sorted(collections.Counter(names).items(), key=lambda item: (-item[1], item[0])))


def count(
    counter: str | os.PathLike[str],
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    options: CountOptions | None = None,
) -> CountedImages:
    """Find and count products in images.

    Args:
        counter: a file that ``train`` wrote, or its folder.
        paths: folders, images or archives.
        out: folder for ``annotations.json`` (COCO, every item of a score of 0.05 or more), ``counts.json``,
            ``counts.csv`` and ``report.html``.
        options: ``CountOptions()`` by default.

    Raises:
        UsageError: the counter cannot be read or is of other weights, or no image can be read.
    """
    file = Path(counter)
    known = model.load(file / "counter.safetensors" if file.is_dir() else file)
    options = of_network(options or CountOptions(), known.network)
    sets = find_sets(paths, exclude=outputs.places(out))
    sets.tell_ignored()
    sources = sets[0].sources
    folder = outputs.prepare(out)
    outputs.check_unused(folder, COUNTS)
    found: dict[int, Annotated] = {}
    skipped: dict[int, str] = {}
    with locked(folder), memory_errors(), disk_errors(folder, left="run the same command again"):
        engine = engine_of(options, known.layer)
        known.check(engine.weights)

        def read(number: int) -> np.ndarray | str:
            return read_within(sources[number], known.side, engine.minimum_side)

        for numbers, maps in padded_maps(range(len(sources)), read, engine, known.side, skipped, purpose="counting"):
            seen = jax.device_get(model.detect(known.params, known.scale, maps[known.layer]))
            for place, number in enumerate(numbers):
                found[number] = _annotated(
                    sources[number], jax.tree.map(lambda values, n=place: values[n], seen), known
                )
        if not found:
            raise UsageError(
                f"none of the {counted(len(sources), 'image')} can be used: {next(iter(skipped.values()))}"
            )
        threshold = known.threshold if options.threshold is None else options.threshold
        done = CountedImages(
            [found[number] for number in sorted(found)],
            threshold,
            known,
            {sources[number].name: reason for number, reason in sorted(skipped.items())},
            folder,
        )
        _write(done, options)
    return done


def _annotated(source: Source, found: Any, counter: Counter) -> Annotated:
    rows, columns = read_size(source.path) or read_image(source.path).pixels.shape[:2]
    boxes = found.boxes * np.array([columns, rows] * 2)
    kept = (found.scores >= LEAST_SCORE) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    items = tuple(
        Annotation(
            counter.classes[found.classes[place]], tuple(boxes[place].tolist()), score=float(found.scores[place])
        )
        for place in np.flatnonzero(kept).tolist()
    )
    return Annotated(source.name, None, items, width=columns, height=rows, path=source.path)


def _write(done: CountedImages, options: CountOptions) -> None:
    folder, kinds = done.folder, done.counter.classes
    coco.write(Job(folder, done.images, kinds, placement="none"))
    write_text(folder / COUNTS, json.dumps(to_plain(done), indent=1) + "\n")
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["image", *kinds, "items"])
    for image in done.images:
        counts = done.counts(image)
        rows.writerow([image.name, *(counts.get(kind, 0) for kind in kinds), sum(counts.values())])
    write_text(folder / TABLE, table.getvalue())
    above = [
        dataclasses.replace(image, annotations=tuple(one for one in image.annotations if one.score >= done.threshold))
        for image in done.images
    ]
    shown = range(min(len(above), options.report_limit))
    chosen = {number: path for number in shown if (path := above[number].path) is not None}
    workers = workers_of(NetworkOptions())
    page = Counted(
        "Counted products",
        {"threshold of scores": f"{done.threshold:.3g}", **done.counter.settings},
        [as_counted(image, scored=True) for image in above],
        shown,
        read_thumbnails(chosen, workers=workers, shorter_side=THUMBNAIL, side=THUMBNAIL),
        [Skipped(name, "", reason) for name, reason in done.skipped.items()],
        f"Items of scores of {done.threshold:.2f} or more; annotations.json has the others too.",
    )
    write_text(folder / PAGE, render_counted(page))


def to_plain(done: CountedImages) -> Mapping[str, Any]:
    """Counts of each image as plain values for JSON."""
    return {
        "threshold": done.threshold,
        "kinds": list(done.counter.classes),
        "images": {image.name: done.counts(image) for image in done.images},
        "skipped": done.skipped,
    }


def counted_text(done: CountedImages) -> str:
    """The counts of the first images, and where all of them are."""
    rows = [
        [image.name, sum(counts.values()), ", ".join(f"{number} × {kind}" for kind, number in counts.items())]
        for image in done.images[:SHOWN]
        for counts in [done.counts(image)]
    ]
    items = sum(sum(done.counts(image).values()) for image in done.images)
    lines = [
        *(f"Warning: {one}" for one in done.counter.warnings if not items),
        *reasons("Not used", done.skipped.items(), len(done.skipped), str(done.folder / COUNTS)),
        text_table(["image", "items", "counts"], rows),
        *([f"… and {len(done.images) - SHOWN:,} more"] if len(done.images) > SHOWN else []),
        f"{counted(items, 'item')} in {counted(len(done.images), 'image')}. All counts are in {done.folder / TABLE} "
        f"and {COUNTS}; look at {done.folder / PAGE}.",
        f"If the truth is known: jaxloc evaluate {done.folder} TRUTH --counts",
    ]
    return "\n".join(lines)
