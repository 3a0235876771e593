"""What a job found as one HTML page: no network, no other file, the same bytes for the same findings."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable
from typing import Any

from jaxloc.report import elements
from jaxloc.report.records import Finding, Findings
from jaxloc.report.text import displayable

# What each method does, in words, and how its score reads.
_METHODS = {
    "ddt": "DDT co-localisation",
    "ddt+": "DDT+ co-localisation",
    "scda": "SCDA localisation",
}
_DDT_SCORE = "at 0.5, the object's mean response is one standard deviation of its whole set"
_SCORES = {
    "ddt": _DDT_SCORE,
    "ddt+": _DDT_SCORE,
    "scda": "at 0.5, the object's mean activation is twice that of the whole picture",
}
_REST = "; annotations.json holds all."


def render_page(findings: Findings, *, limit: int = 2000) -> str:
    """The page's text: counts and settings, then a card for each picture, to sort, filter and enlarge.

    Args:
        findings: what the job found.
        limit: pictures to show, those with a thumbnail first; the counts are of all.

    Raises:
        ValueError: ``limit`` is negative.
    """
    shown = elements.choose(findings.pictures, limit)
    with_noise = any(finding.noise_score is not None for finding in findings.pictures)
    return elements.page(
        "page",
        title=findings.title,
        lead=_lead(findings),
        warnings=findings.warnings,
        tiles=_counts(_statuses(findings.pictures), findings.pictures, len(findings.skipped)),
        tables=_set_table(findings, with_noise) + "\n" + elements.settings(findings.settings),
        noscript="The pictures below need JavaScript. annotations.json, beside this page, holds every box and score.",
        limit_note=elements.limit_note(len(shown), len(findings.pictures), "picture", _REST),
        toggles=elements.toggle("box", "Box", key="b", checked=True)
        + elements.toggle("heat", "Heat map", key="h", checked=True, kind="of-heat")
        + elements.toggle("smooth", "Smooth", key="s", kind="of-heat"),
        absent_note=elements.escape(_absent_note(findings.pictures)),
        skipped=elements.skipped(findings.skipped, findings.categories, limit=limit, rest=_REST),
        reading=_reading(findings, with_noise),
        data=_data(findings.categories, shown),
    )


def _status(finding: Finding) -> str:
    """``"found"``, ``"noisy"`` or ``"nothing found"``: exactly one holds."""
    if finding.noisy:
        return "noisy"
    return "found" if finding.found else "nothing found"


def _lead(findings: Findings) -> str:
    pictures = elements.counted(len(findings.pictures), "picture")
    sets = elements.counted(len(findings.categories), "set")
    return f"{_METHODS.get(findings.method, findings.method)} of {pictures} in {sets}."


def _statuses(pictures: list[Finding]) -> list[str]:
    """The statuses worth a count: noisy and nothing found are different things, but a job may not have both."""
    statuses = ["found"]
    if any(finding.noise_score is not None or finding.noisy for finding in pictures):
        statuses.append("noisy")
    if len(statuses) == 1 or any(_status(finding) == "nothing found" for finding in pictures):
        statuses.append("nothing found")
    return statuses


def _counts(statuses: list[str], pictures: list[Finding], skipped: int) -> dict[str, str]:
    """Headings and counts, of the whole page or of one set."""
    counter = Counter(map(_status, pictures))
    return {
        "Pictures": f"{len(pictures):,}",
        **{status.capitalize(): f"{counter[status]:,}" for status in statuses},
        "Skipped": f"{skipped:,}",
    }


def _set_table(findings: Findings, with_noise: bool) -> str:
    statuses = _statuses(findings.pictures)
    pictures: dict[str, list[Finding]] = {category: [] for category in findings.categories}
    for finding in findings.pictures:
        pictures[finding.category].append(finding)
    skipped = Counter(item.category for item in findings.skipped)
    headings, rows = ["Set"], []
    for number, (category, some) in enumerate(pictures.items()):
        cells = _counts(statuses, some, skipped[category])
        cells["Median score"] = _median(finding.score for finding in some if _status(finding) == "found")
        if with_noise:
            cells["Median noise score"] = _median(f.noise_score for f in some if f.noise_score is not None)
        headings = ["Set", *cells]
        rows.append(elements.group_row(number, category, cells.values()))
    return elements.details("Sets", "groups", headings, rows, opened=True)


def _median(values: Iterable[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    return f"{statistics.median(finite):.2f}" if finite else "–"


def _absent_note(pictures: list[Finding]) -> str:
    statuses = {_status(finding) for finding in pictures}
    reasons = []
    if "noisy" in statuses:
        reasons.append("Noisy: so small a share of the picture responds that the object is taken to be absent.")
    if "nothing found" in statuses:
        reasons.append("Nothing found: no cell of the picture was kept as object.")
    return " ".join(reasons)


def _reading(findings: Findings, with_noise: bool) -> list[str]:
    scale = _SCORES.get(findings.method)
    items = ["<b>Score</b>, from 0 to 1: how far the object stands out" + (f"; {scale}." if scale else ".")]
    if with_noise:
        items.append(
            "<b>Noise score</b>: share of the picture's cells with a positive indicator; "
            "small where the object is absent."
        )
    if any(finding.heat is not None for finding in findings.pictures):
        items.append(
            '<b>Heat map</b>: cells above the threshold, <span class="ramp"></span> from weak to strong, scaled to '
            "each picture on its own; the large view also shows cells below it in blue."
        )
    of_all = ", noise scores of all" if with_noise else ""
    items.append(f"<b>Medians</b>: scores of the pictures where the object was found{of_all}.")
    return items


def _data(categories: list[str], pictures: list[Finding]) -> str:
    """What page.js shows."""
    numbers = {category: number for number, category in enumerate(categories)}
    return elements.safe_json(
        sets=map(displayable, categories), pictures=(_picture(finding, numbers) for finding in pictures)
    )


def _picture(finding: Finding, numbers: dict[str, int]) -> dict[str, Any]:
    heat = None
    if finding.heat is not None and finding.heat.size:
        rows, columns = finding.heat.shape
        cells = elements.base64_text(finding.heat.astype("int8").tobytes())
        heat = {"rows": rows, "columns": columns, "cells": cells}
    return {
        "name": displayable(finding.name),
        "set": numbers[finding.category],
        "width": finding.width,
        "height": finding.height,
        "box": elements.edges(finding.box),
        "score": elements.number(finding.score),
        "noise": None if finding.noise_score is None else elements.number(finding.noise_score),
        "status": _status(finding),
        "heat": heat,
        "thumbnail": None if finding.thumbnail is None else elements.base64_text(finding.thumbnail),
    }
