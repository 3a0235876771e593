"""A job's findings as one HTML page: no network, no other file, the same bytes for the same findings."""

import io
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from jaxloc.report import elements, figures
from jaxloc.report.figures import Figures
from jaxloc.report.overlays import PART_COLOURS, make_mask_image
from jaxloc.report.records import Finding, Findings
from jaxloc.report.text import counted

_REST = "; annotations.json holds all."
_MASK_SIDE = 192
"""Pixels of a mask's longer side."""
_SETS = 1000
"""Rows of the table of sets at most."""


def render_page(findings: Findings, *, limit: int = 2000) -> str:
    """The page's text: counts of all images and settings, then a card for each of at most ``limit`` images."""
    shown, with_heat = _choose(findings.images, limit)
    masked = any(finding.mask is not None for finding in shown)
    parts = [findings.part_name(number) for number in range(max((len(one.parts) for one in shown), default=0))]
    sets = figures.of_sets(findings)
    categories = list(sets)
    numbers = {category: number for number, category in enumerate(categories)}
    with_shares = any(one.with_shares for one in sets.values())
    counts = sum((one.statuses for one in sets.values()), Counter())
    statuses = _statuses(counts, with_shares)
    return elements.page(
        "page",
        title=findings.title,
        lead=f"{findings.method} of {counted(findings.number, 'image')} in {counted(len(sets), 'set')}.",
        warnings=findings.warnings,
        tiles=_counts(statuses, counts, len(findings.skipped)) | {"Images": f"{findings.number:,}"},
        tables=_set_table(sets, statuses, with_shares) + "\n" + elements.settings(findings.settings),
        noscript="The images below need JavaScript. annotations.json, beside this page, holds every box and score.",
        limit_note=elements.limit_note(
            len(shown), len(findings.images), "image" if findings.classes_each == 1 else "object", _REST
        ),
        toggles=elements.toggle("box", "Box", key="b", checked=True)
        + elements.toggle("heat", "Heat map", key="h", checked=not masked, kind="of-heat")
        + elements.toggle("smooth", "Smooth", key="s", kind="of-heat")
        + elements.toggle("mask", "Mask", key="m", checked=True, kind="of-mask")
        + elements.toggle("parts", "Parts", key="p", checked=True, kind="of-parts")
        + elements.toggle("regions", "Regions", key="r", checked=True, kind="of-regions"),
        absent_note=elements.escape(_absent_note(counts)),
        skipped=elements.skipped(findings.skipped, categories, limit=limit, rest=_REST),
        reading=_reading(
            findings.score_meaning,
            with_shares,
            with_heat,
            parts,
            any(len(one.objects) > 1 for one in shown),
        )
        + _reading_of_asked(shown),
        data=elements.safe_json(sets=categories, parts=parts, images=(_image(finding, numbers) for finding in shown)),
    )


def _choose(images: Sequence[Finding], limit: int) -> tuple[list[Finding], bool]:
    """The images to show, and whether any image has a heat map; stops reading as early as possible."""
    candidates: list[Finding] = []
    number = {True: 0, False: 0}
    with_heat = False
    for finding in images:
        if number[True] >= limit and with_heat:
            break
        with_heat = with_heat or finding.heat is not None
        shown_here = finding.thumbnail is not None
        if number[shown_here] < limit:
            number[shown_here] += 1
            candidates.append(finding)
    return elements.choose(candidates, limit), with_heat


def _statuses(counts: Mapping[str, int], with_shares: bool) -> list[str]:
    """The statuses to count: noisy for methods with an object share, nothing found if it occurs."""
    statuses = ["found"]
    if with_shares or counts["noisy"]:
        statuses.append("noisy")
    if len(statuses) == 1 or counts["nothing found"]:
        statuses.append("nothing found")
    return statuses


def _counts(statuses: list[str], counts: Counter[str], skipped: int) -> dict[str, str]:
    """Headings and counts, of the whole page or of one set."""
    return {
        "Images": f"{counts.total():,}",
        **{status.capitalize(): f"{counts[status]:,}" for status in statuses},
        "Skipped": f"{skipped:,}",
    }


def _set_table(sets: Mapping[str, Figures], statuses: list[str], with_shares: bool) -> str:
    headings, rows = ["Set"], []
    for number, (category, one) in enumerate(itertools.islice(sets.items(), _SETS)):
        cells = _counts(statuses, one.statuses, one.skipped)
        cells["Median score"] = figures.median(one.scores)
        if with_shares:
            cells["Median object share"] = figures.median_share(one.shares)
        headings = ["Set", *cells]
        rows.append(elements.group_row(number, category, cells.values()))
    summary = "Sets" if len(sets) <= _SETS else f"Sets: the first {_SETS:,} of {len(sets):,} by name"
    return elements.details(summary, "groups", headings, rows, opened=True)


def _absent_note(counts: Mapping[str, int]) -> str:
    reasons = []
    if counts["noisy"]:
        reasons.append("Noisy: the object share is so small that the object is taken to be absent.")
    if counts["nothing found"]:
        reasons.append("Nothing found: no cell of the image was kept as object.")
    return " ".join(reasons)


def _reading(score_meaning: str, with_shares: bool, with_heat: bool, parts: Sequence[str], regions: bool) -> list[str]:
    scale = f"; {elements.escape(score_meaning)}" if score_meaning else ""
    items = [f"<b>Score</b>, from 0 to 1: how far the object stands out{scale}."]
    if with_shares:
        items.append(
            "<b>Object share</b>: share of the image's cells that belong to the object (their indicator is positive); "
            "small where the object is absent. An image at or below the noise threshold is called <b>noisy</b>."
        )
    if with_heat:
        items.append(
            '<b>Heat map</b>: cells above the threshold, <span class="ramp"></span> from weak to strong, scaled to '
            "each image on its own; the large view also shows cells below it in blue."
        )
    if parts:
        colours = (PART_COLOURS[number % len(PART_COLOURS)] for number in range(len(parts)))
        short = (elements.escape(name.removeprefix("part ")) for name in parts)
        names = (
            f'<b style="background:{colour};color:#101418">&nbsp;{name}&nbsp;</b>'
            for name, colour in zip(short, colours, strict=True)
        )
        items.append(f"<b>Parts</b>: {' '.join(names)}, the same part in every image of a set.")
    if regions:
        yellow = '<b style="background:#ffe14d;color:#101418">&nbsp;yellow&nbsp;</b>'
        items.append(f"<b>Regions</b>: the heaviest in blue, lighter ones in {yellow}.")
    of_all = ", object shares of all" if with_shares else ""
    items.append(f"<b>Medians</b>: scores of the images where the object was found{of_all}.")
    return items


def _reading_of_asked(shown: Sequence[Finding]) -> list[str]:
    items = []
    if any(one.probability is not None for one in shown):
        items.append("<b>Probability</b>: of the class in the whole image, as the classifier says.")
    if any(one.passes for one in shown):
        items.append("<b>Passes</b>: images that the network was asked about, at the size that it was trained on.")
    if any(one.regions for one in shown):
        items.append(
            "<b>Regions</b>: those that the search went through, in white, and the last as the box. Its curves are the "
            "scores of each region cropped, and of the image with it erased: a region that holds the whole object "
            "scores high cropped, and leaves little erased."
        )
    return items


def _image(finding: Finding, numbers: dict[str, int]) -> dict[str, Any]:
    """What page.js shows of an image; parts, mask and what a classifier said only where the job kept them."""
    heat = None
    if finding.heat is not None and finding.heat.size:
        rows, columns = finding.heat.shape
        cells = elements.base64_text(finding.heat.astype("int8").tobytes())
        heat = {"rows": rows, "columns": columns, "cells": cells}
    shown = {
        "name": finding.name,
        "set": numbers[finding.category],
        "width": finding.width,
        "height": finding.height,
        "box": elements.edges(finding.box),
        "score": elements.number(finding.score),
        "share": elements.number(finding.noise_score),
        "probability": elements.number(finding.probability),
        "status": figures.status(finding),
        "heat": heat,
        "thumbnail": elements.base64_text(finding.thumbnail),
    }
    if finding.class_name not in (None, finding.category):
        shown["class"] = finding.class_name
    if finding.passes is not None:
        shown["passes"] = finding.passes
    if finding.regions:
        shown["regions"] = [[float(f"{value:.4g}") for value in row] for row in finding.regions]
    if any(finding.parts):
        shown["parts"] = [elements.edges(part) for part in finding.parts]
    if finding.objects:
        shown["objects"] = [elements.edges(region[:4]) for region in finding.objects[1:]]
    if finding.mask is not None and finding.thumbnail is not None:
        buffer = io.BytesIO()
        make_mask_image(finding.mask, finding.width, finding.height, _MASK_SIDE).save(buffer, "PNG")
        shown["mask"] = elements.base64_text(buffer.getvalue())
    return shown
