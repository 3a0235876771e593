"""Names of images as a table, as JSON, as a page, and as text."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jaxloc._files import write_text
from jaxloc.report.records import Skipped
from jaxloc.report.search_page import render_search
from jaxloc.report.search_records import Query, Result, Searched
from jaxloc.report.tables import text_table
from jaxloc.report.text import counted, reasons

if TYPE_CHECKING:
    from jaxloc.run.fewshot.naming import Named

TABLE, PLAIN, PAGE = "names.csv", "names.json", "report.html"
"""Files of the results."""


def write_names(done: "Named", thumbnails: Mapping[int, bytes], limit: int) -> None:
    """Write the table, the JSON and the page of at most ``limit`` images into the folder.

    ``thumbnails`` are those of the exemplars and then of the images, by number.
    """
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["image", "name", "score", "margin", "second", *(["nearest_mean"] if done.mapped else [])])
    for one in done.images:
        (name, score), (second, _) = one.scores[:2]
        own = [one.image, name, f"{score:.4f}", f"{one.margin:.4f}", second]
        rows.writerow([*own, one.by_mean] if done.mapped else own)
    write_text(done.folder / TABLE, table.getvalue())
    write_text(done.folder / PLAIN, json.dumps(to_plain(done), indent=1) + "\n")
    write_text(done.folder / PAGE, render_search(_searched(done, thumbnails), limit=limit))


def to_plain(done: "Named") -> dict[str, Any]:
    """All names as plain values for JSON."""
    exemplars = done.exemplars
    return {
        "settings": dict(done.settings),
        "exemplars": [{"name": name, "label": label} for name, label in exemplars],
        "images": [
            {
                "image": one.image,
                "name": one.label,
                "score": one.scores[0][1],
                "margin": one.margin,
                "scores": dict(one.scores),
                "nearest_mean": one.by_mean,
                "nearest": [
                    dict(zip(("name", "label", "score"), (*exemplars[number], score), strict=True))
                    for number, score in one.nearest
                ],
            }
            for one in done.images
        ],
        "warnings": done.warnings,
        "skipped": dict(done.skipped),
    }


def _searched(done: "Named", thumbnails: Mapping[int, bytes]) -> Searched:
    """The names as the page of a search shows them: each image beside its nearest exemplars."""

    def exemplar(number: int, score: float) -> Result:
        return Result(*done.exemplars[number], score, None, thumbnails.get(number), None, 0, 0)

    queries = [
        Query(
            name=one.image,
            label=one.label,
            width=0,
            height=0,
            box=None,
            mask=None,
            found=True,
            thumbnail=thumbnails.get(number),
            results=[exemplar(*each) for each in one.nearest],
            average_precision=None,
            names=one.scores,
        )
        for number, one in enumerate(done.images, len(done.exemplars))
    ]
    classes = len({label for _, label in done.exemplars})
    exemplars = counted(len(done.exemplars), "exemplar")
    return Searched(
        title="Names by exemplars",
        settings=done.settings,
        gallery_size=len(done.exemplars),
        queries=queries,
        warnings=done.warnings,
        skipped=[Skipped(name, "", reason) for name, reason in done.skipped.items()],
        summary={"Names": f"{classes:,}"} | ({"Mean disagrees": f"{_disagreements(done):,}"} if done.mapped else {}),
        gallery_name="Exemplars",
        lead=f"{counted(len(queries), 'image')} named by {exemplars} of {counted(classes, 'class')}.",
    )


def _disagreements(done: "Named") -> int:
    """Number of images that the nearest mean names otherwise."""
    return sum(one.label != one.by_mean for one in done.images)


def naming_text(done: "Named", seconds: float) -> str:
    """How many images got each name, the doubtful ones, and where the results are."""
    exemplars = Counter(label for _, label in done.exemplars)
    images = Counter(one.label for one in done.images)
    rows = [[name, count, images[name]] for name, count in sorted(exemplars.items())]
    doubtful = sorted(done.images, key=lambda one: one.margin)[:5]
    told = ", ".join(f"{one.image} ({one.label} or {one.scores[1][0]})" for one in doubtful)
    parts = [
        text_table(["name", "exemplars", "images"], rows),
        f"Least certain: {told}.",
        *([f"The nearest mean names {counted(_disagreements(done), 'image')} otherwise."] if done.mapped else []),
        *(f"Warning: {warning}" for warning in done.warnings),
        *reasons("Skipped", done.skipped.items(), len(done.skipped), PLAIN),
        f"{counted(len(done.images), 'image')} named. {seconds:.1f} s. Look at {done.folder / PAGE}; {TABLE} and "
        f"{PLAIN} beside it hold every name.",
    ]
    return "\n\n".join(parts)
